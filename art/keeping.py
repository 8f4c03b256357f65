"""Keeping a repository and its remotes: the facade's part for collecting what nobody needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from art.backend import LocalBackend
from art.changes import Changes
from art.errors import NotFoundError
from art.exchange import Exchange
from art.fetch import Fetcher
from art.gc import Collected, Collector, GcPlan
from art.index import Index, Record
from art.place import GC_LOCK
from art.purge import Purged, Purger
from art.reporter import Reporter
from art.resolve import Resolver
from art.store import Store
from art.stubs import forget_purged, purged_payloads
from art.sync import Pairing, Selection


class Keeping:
    """What removes bytes, here or at a remote."""

    def __init__(
        self,
        store: Store,
        index: Index,
        exchange: Exchange,
        changes: Changes,
        reporter: Callable[[], Reporter],
        author: str,
        is_elsewhere: Callable[[Record], bool],
    ) -> None:
        self._store = store
        self._index = index
        self._exchange = exchange
        self._changes = changes
        self._reporter = reporter
        self._author = author
        self._is_elsewhere = is_elsewhere
        self._backend = LocalBackend(Path(store.backend.where))

    def plan_gc(self, remote: str | None, grace: float) -> GcPlan:
        """Return what `gc` would do now."""
        with self._collector(remote, grace) as collector:
            if remote is None and (payloads := purged_payloads(self._backend)):
                return collector.plan_removal(payloads)[0]
            return collector.plan()

    def gc(self, remote: str | None, grace: float) -> Collected:
        """Remove what is needed no more; see `Collector`."""
        with self._collector(remote, grace) as collector:
            if remote is None and (payloads := purged_payloads(self._backend)):
                collected, _ = collector.remove(payloads)
                forget_purged(self._backend)
                return collected
            return collector.execute(collector.plan())

    def purge(self, record: Record, message: str | None, grace: float, *, force: bool) -> Purged:
        """Purge a version here; see `Purger`."""
        with self._backend.alone(GC_LOCK):
            purger = Purger(self._backend, self._index, self._changes, self._local(grace))
            return purger.purge(record, message, force=force)

    def purge_remote(
        self, record: Record, remote: str, message: str | None, grace: float, *, force: bool
    ) -> Purged:
        """Purge a version at a remote, and take in here that it is."""
        with self._exchange.copied(remote) as (store, pair):
            resolver = Resolver(store, pair.index)
            changes = Changes(store, pair.index, resolver, self._author)
            found = pair.index.ask(lambda index: index.by_id(record.id, record.key))
            if not found:
                raise NotFoundError(
                    f"{record.ref} is not at {remote}", hint=f"art fetch {record.key}"
                )
            collector = self._shared(store, pair, changes, grace)
            purger = Purger(store.backend, pair.index, changes, collector)
            purged = purger.purge(found[0], message, force=force)
        self._exchange.fetch((record.key,) if record.key else (), remote)
        return purged

    @contextlib.contextmanager
    def _collector(self, remote: str | None, grace: float) -> Iterator[Collector]:
        if remote is None:
            with self._backend.alone(GC_LOCK):
                yield self._local(grace)
            return
        with self._exchange.copied(remote) as (store, pair):
            resolver = Resolver(store, pair.index)
            changes = Changes(store, pair.index, resolver, self._author)
            yield self._shared(store, pair, changes, grace)

    def _shared(self, store: Store, pair: Pairing, changes: Changes, grace: float) -> Collector:
        return Collector(
            store,
            pair.index,
            changes,
            pair.scratch,
            self._reporter(),
            grace=grace,
            reread=lambda: self._fetch_again(Fetcher(pair)),
        )

    def _local(self, grace: float) -> Collector:
        return Collector(
            self._store,
            self._index,
            self._changes,
            self._backend,
            self._reporter(),
            grace=grace,
            is_elsewhere=self._is_elsewhere,
        )

    def _fetch_again(self, fetcher: Fetcher) -> None:
        fetcher.fetch(Selection())
