"""Keeping a repository and its remotes: the facade's part for collecting what nobody needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from art.backend import Backend, LocalBackend
from art.changes import Changes
from art.errors import REPAIR, ConflictError, CorruptError, NotFoundError, repair_at
from art.evidence import Awaited, Evidence, ledgers
from art.exchange import Copied, Exchange
from art.fetch import Fetcher
from art.gc import Collected, Collector, GcPlan
from art.holders import Search
from art.index import Index
from art.merge import Ledger
from art.place import GC_LOCK
from art.purge import Purged, PurgePlan, Purger
from art.reporter import Reporter
from art.resolve import Resolver
from art.rows import Record
from art.store import Store
from art.stubs import purged_records, replace_by_stub, unwanted
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
        with self._collector(remote, grace) as (collector, index):
            plan = collector.plan()
            plan.unfinished = purged_records(index)
            return plan

    def gc(self, remote: str | None, grace: float) -> Collected:
        """Remove what is needed no more; see `Collector`."""
        with self._collector(remote, grace, finishes=True) as (collector, _):
            plan = collector.plan()
            if remote is None and plan.foul.is_new:
                self._forget_copies()
            done = collector.execute(plan)
            collector.sweep_temporary()
            return done

    def _put_stubs(self, backend: Backend, index: Index) -> None:
        """Finish purges of which only the state is there."""
        for record in purged_records(index):
            replace_by_stub(backend, index, record)

    def check_purge(self, record: Record, grace: float, *, force: bool) -> None:
        """Raise what `purge` would, before anything is done, also at a remote."""
        self._purger(grace).check(record, force=force)

    def plan_purge(
        self, records: list[Record], grace: float, *, same: bool, force: bool
    ) -> PurgePlan:
        """Return what purging these versions would do; with `same`, also of all with the same payload.
        Raise what `purge` would."""
        search = Search(self._store, self._index)
        holders = search.holders(records)
        if same:
            records = records + [each.record for each in holders.found if each.is_same]
            holders = search.holders(records)
        records = sorted(records, key=lambda record: record.uid, reverse=True)
        going = {record.id for record in records}
        for record in records:
            self._purger(grace).check(record, force=force, going=going)
        return PurgePlan(records, holders)

    def purge(self, record: Record, message: str | None, grace: float, *, force: bool) -> Purged:
        """Purge a version here; see `Purger`."""
        with self._backend.alone(GC_LOCK):
            self._forget_copies()
            return self._purger(grace).purge(record, message, force=force)

    def _purger(self, grace: float) -> Purger:
        store, index = self._store, self._index
        return Purger(store, index, store.catalog, self._changes, self._local(grace))

    def _forget_copies(self) -> None:
        """Remove what is kept for transfers, which purged bytes may be in. No transfer runs now."""
        for item in list(self._backend.walk("sync")):
            if item.name.split("/")[2:3] in (["packs"], ["layouts"]):
                self._backend.delete(item.name)

    def purge_remote(
        self, record: Record, remote: str, message: str | None, grace: float, *, force: bool
    ) -> Purged:
        """Purge a version at a remote, and take in here that it is."""
        with self._exchange.copied(remote) as copied:
            store, pair = copied.store, copied.pair
            found = pair.index.ask(lambda index: index.by_id(record.id, record.key))
            if not found:
                raise copied.problem or NotFoundError(
                    f"{record.ref} is not at {remote}", hint=f"art fetch {record.key}"
                )
            if found[0].state != "purged":
                self._refuse_mirror(store, record, remote)
            changes = self._changes_of(store, pair)
            collector = self._shared(store, pair, changes, grace)
            purger = Purger(store, pair.index, pair.local.catalog, changes, collector)
            problem = copied.problem or self._loss(remote, copied)
            purged = purger.purge(found[0], message, force=force, problem=problem)
        with contextlib.suppress(*([type(problem)] if problem else ())):  # it is told at the end
            self._exchange.fetch((record.key,) if record.key else (), remote, purging=record.id)
        return purged

    def _refuse_mirror(self, store: Store, record: Record, remote: str) -> None:
        """Raise ConflictError where the authority must say first that a version is purged."""
        if self._exchange.is_mirror(store):
            raise ConflictError(
                f"{remote} is a mirror: that {record.ref} is purged is for the authority to say",
                hint=f"art purge {record.ref} --remote AUTHORITY; art push --remote {remote}; "
                f"art gc --remote {remote}",
            )

    @contextlib.contextmanager
    def _collector(
        self, remote: str | None, grace: float, *, finishes: bool = False
    ) -> Iterator[tuple[Collector, Index]]:
        """Yield what collects, and the index that it goes by. `finishes` says to finish purges that were
        interrupted."""
        if remote is None:
            with self._backend.alone(GC_LOCK):
                if finishes:
                    self._index.ask(lambda index: index.refresh_all())
                    self._put_stubs(self._backend, self._index)
                yield self._local(grace), self._index
            return
        with _about(remote), self._copied(remote) as (store, pair):
            if finishes:
                self._put_stubs(store.backend, pair.index)
            yield self._shared(store, pair, self._changes_of(store, pair), grace), pair.index

    @contextlib.contextmanager
    def _copied(self, remote: str) -> Iterator[tuple[Store, Pairing]]:
        """Yield a remote and a copy of its history. Raise CorruptError where that is not whole, or the
        remote lost some of what it is known to have had: nothing may be removed on the word of what is
        left."""
        with self._exchange.copied(remote) as copied:
            if problem := copied.problem or self._loss(remote, copied):
                raise problem
            yield copied.store, copied.pair

    def _loss(self, remote: str, copied: Copied) -> CorruptError | None:
        """Return what a remote has lost of what it is known to have had."""
        known = Ledger(self._backend, copied.store.id)
        ends = copied.pair.index.ask(lambda index: index.ends())
        for log, end in known.ends().items():
            name = log.file(ends.get(log, 0) + 1)
            # A push may have brought it since the copy was made.
            if ends.get(log, 0) < end and copied.store.backend.size(name) is None:
                return CorruptError(
                    f"{remote} has lost {name}; nothing was removed", hint=repair_at(remote)
                )
        return None

    def _changes_of(self, store: Store, pair: Pairing) -> Changes:
        return Changes(store, pair.index, Resolver(store, pair.index), self._author)

    def _shared(self, store: Store, pair: Pairing, changes: Changes, grace: float) -> Collector:
        return Collector(
            store,
            pair.index,
            changes,
            pair.scratch,
            self._reporter(),
            grace=grace,
            purged=lambda: unwanted(pair.local.catalog, pair.index),
            reread=lambda: self._fetch_again(Fetcher(pair)),
            evidence=lambda: Evidence.of([Ledger(self._backend, store.id)]),
            sweeps=not self._exchange.is_mirror(store),
        )

    def _local(self, grace: float) -> Collector:
        return Collector(
            self._store,
            self._index,
            self._changes,
            self._backend,
            self._reporter(),
            grace=grace,
            purged=lambda: unwanted(self._store.catalog, self._index),
            is_elsewhere=self._is_elsewhere,
            evidence=lambda: Evidence.of(ledgers(self._backend)),
            is_awaited=self._is_awaited,
        )

    def _is_awaited(self, record: Record) -> bool:
        awaited, version = Awaited(self._backend), (record.key, record.number, record.uid)
        # Its fetch may be through since it was asked whether a remote has it.
        return awaited.has(*version, is_live=record.is_live) or self._is_elsewhere(record)

    def _fetch_again(self, fetcher: Fetcher) -> None:
        fetcher.fetch(Selection())


@contextlib.contextmanager
def _about(remote: str) -> Iterator[None]:
    """Say of damage at a remote that it is to be healed there."""
    try:
        yield
    except CorruptError as error:
        hint = repair_at(remote) if error.hint in (None, REPAIR) else error.hint
        raise CorruptError(error.message, hint=hint) from error
