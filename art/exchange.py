"""What a repository and its remotes exchange: the facade's part for push, fetch, pull and clone."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from art.addresses import RemoteSetting, is_place
from art.backend import Backend, LocalBackend
from art.beside import names_beside, run_name
from art.catalog import VERSIONS, Log
from art.changes import Changes
from art.database import Database
from art.delivery import bring_beside, bring_owed
from art.errors import ArtError, ConflictError, CorruptError
from art.fetch import Fetcher
from art.index import Index
from art.merge import Ledger, renumbered
from art.model import Document
from art.objects import layout_directory
from art.opening import mirrored, note_mirror
from art.outgoing import Authority
from art.place import GC_LOCK
from art.pull import Depth, Puller, Supply
from art.push import Pusher
from art.reliance import Reliance
from art.remotes import Remotes
from art.reporter import Reporter
from art.rows import Record
from art.store import Store
from art.stubs import purged_records, replace_by_stub
from art.sync import (
    Fetched,
    Pairing,
    Pulled,
    PullPlan,
    Pushed,
    PushPlan,
    RemoteStatus,
    Renumbered,
    Selection,
    Sent,
)
from art.writer import ChunkHints


@dataclass(frozen=True)
class Copied:
    """A remote, and a copy of its history; `problem` says why that is not whole, None where it is."""

    store: Store
    pair: Pairing
    problem: CorruptError | ConflictError | None


@dataclass(frozen=True)
class Shared:
    """A remote where several repositories find what steps gave, and what one puts there before it says so."""

    pair: Pairing

    @property
    def backend(self) -> Backend:
        """Where its names are."""
        return self.pair.remote.backend

    def has(self, tree: str) -> bool:
        """Whether it has a payload."""
        return bool(self.backend.names(layout_directory(tree)))

    def bring_beside(self, document: Document) -> None:
        """Bring what a manifest names beside it before it comes: records of runs, when they are written."""
        bring_beside(self.pair, names_beside(document))

    def ship(self, trees: Iterable[str]) -> None:
        """Bring payloads there, durably, before the versions that have them. Raise what keeps one here."""
        reliance = Reliance(self.pair, payload=True)
        held = self.pair.backend.together(GC_LOCK)
        try:
            for tree in trees:
                if shipment := reliance.needed(tree, []):
                    reliance.ship(shipment)
            for error in reliance.secure().values():
                raise error
        finally:
            held.release()
            self.pair.reporter.finish()


class Exchange:
    """One repository and its remotes. Each method is one transfer, or the plan for one."""

    def __init__(
        self,
        store: Store,
        index: Index,
        remotes: Remotes,
        reporter: Callable[[], Reporter],
        hints: Callable[[], ChunkHints],
        jobs: Callable[[], int | None],
        changes: Callable[[], Changes],
    ) -> None:
        self._jobs = jobs
        self._changes = changes
        self._store = store
        self._index = index
        self._remotes = remotes
        self._reporter = reporter
        self._hints = hints
        self._backend = LocalBackend(Path(store.backend.where))

    def plan_push(self, patterns: Iterable[str], remote: str | None, *, payload: bool) -> PushPlan:
        """Return what `push` would do now."""
        with self._pair(remote) as pair:
            return self._pusher(pair, payload=payload).plan(Selection(patterns))

    def push(self, patterns: Iterable[str], remote: str | None, *, payload: bool) -> Pushed:
        """Publish at a remote what it does not have; one push of this repository at a time."""
        setting = self._remotes.get(remote)
        store = self._remotes.open_shared(setting)
        with self._backend.alone(f"push-{store.id}"), self._paired(store, setting.name) as pair:
            pushed = self._pusher(pair, payload=payload).push(Selection(patterns))
            authority = self._remotes.get().repository
            if authority not in (None, store.id) and (pushed.versions or pushed.entries):
                note_mirror(store.backend, str(authority))
            if pushed.versions or pushed.entries or pushed.left or pushed.renumbered:
                self._put_stubs(Selection())  # it may have taken in what others purged
            return pushed

    def plan_fetch(self, patterns: Iterable[str], remote: str | None) -> Fetched:
        """Return what `fetch` would do now."""
        with self._pair(remote) as pair:
            return Fetcher(pair).plan(Selection(patterns))

    def fetch(
        self, patterns: Iterable[str], remote: str | None, *, purging: str | None = None
    ) -> Fetched:
        """Take in what a remote has of the history. Nothing need be said of the version with the id
        `purging`, whose bytes go from here next."""
        with self._pair(remote) as pair:
            return self._fetch(pair, Selection(patterns), purging)

    def plan_pull(self, patterns: Iterable[str], remote: str | None, depth: Depth) -> PullPlan:
        """Return which payloads `pull` would bring of what is known here."""
        with self._pair(remote) as pair:
            return Puller(pair, self._hints()).plan(Selection(patterns), depth)

    def pull(
        self, patterns: Iterable[str], remote: str | None, depth: Depth, *, payload: bool
    ) -> Pulled:
        """Fetch, then bring payloads."""
        selection = Selection(patterns)
        with self._pair(remote) as pair:
            fetched = self._fetch(pair, selection)
            if not payload:
                return Pulled(fetched, [], 0, 0, [])
            return Puller(pair, self._hints()).pull(selection, depth, fetched)

    @contextlib.contextmanager
    def copied(self, remote: str | None) -> Iterator[Copied]:
        """Yield a remote for changing it, and a copy of its whole history in a temporary repository."""
        setting = self._remotes.get(remote)
        store = self._remotes.open_shared(setting)
        with tempfile.TemporaryDirectory(prefix="art-") as folder:
            backend = LocalBackend(Path(folder), is_durable=False)
            copy = Store.init(backend, chunking=store.chunking)
            index = Index(Database(None, copy.id), copy.catalog)
            pair = Pairing(copy, index, store, setting.name, self._reporter())
            problem: CorruptError | ConflictError | None = None
            try:
                try:
                    Fetcher(pair).fetch(Selection())
                except (CorruptError, ConflictError) as error:  # the rest was taken in
                    problem = error
                yield Copied(store, pair, problem)
            finally:
                pair.close()

    def supply(self) -> Supply:
        """Return what gives payloads that are not here, from all remotes, the authority first."""
        return Supply(self._pairs, self._hints())

    @contextlib.contextmanager
    def shared(self, remote: str | None = None) -> Iterator[Shared]:
        """Give a remote, by default the authority, to look at and claim results of steps."""
        with self._pair(remote) as pair:
            yield Shared(pair)

    def bring_record(self, uid: str) -> None:
        """Bring the record of a run, which was written now, to the remotes where versions that name it were
        published before. Where one cannot be reached, the next push there brings it."""
        for setting in self._remotes.all():
            ledger = Ledger(self._backend, setting.repository or "unknown")
            if run_name(uid) not in ledger.owed():
                continue
            try:
                with self._pair(setting.name) as pair:
                    bring_owed(pair)
            except ArtError as error:
                what = f"the record of run {uid} is not at {setting.name} yet"
                self._reporter().warn(f"{what}, the next push brings it: {error.message}")

    def is_published(self, record: Record) -> bool:
        """Whether a remote is known to have a version."""
        return bool(self.holding(record))

    def holding(self, record: Record) -> list[str]:
        """Return the names of the remotes that are known to have a version."""
        version = record.key, record.number, record.uid
        return [
            setting.name
            for setting in self._remotes.all()
            if setting.repository
            and Ledger(self._backend, setting.repository).has_version(*version)
        ]

    def known_at(self, name: str) -> Ledger | None:
        """Return what is known to be at a remote, None where that was never asked."""
        id = self._remotes.get(name).repository
        return Ledger(self._backend, id) if id else None

    def only_at(self, name: str) -> list[Sent]:
        """Return the versions, live or restorable, whose payload is not here, and which one remote is
        known to have and no other."""
        known: dict[str, Ledger] = {
            setting.name: Ledger(self._backend, setting.repository)
            for setting in self._remotes.all()
            if setting.repository
        }
        own = known.pop(name, None)

        def is_only_there(record: Record) -> bool:
            version = record.key, record.number, record.uid
            return (
                record.payload is not None
                and record.state in ("live", "deleted")
                and own is not None
                and own.has_version(*version)
                and not any(ledger.has_version(*version) for ledger in known.values())
                and not self._backend.names(layout_directory(record.payload))
            )

        self._index.ask(lambda index: index.refresh_all())
        records = self._index.ask(lambda index: index.all())
        return [Sent.of(record) for record in records if is_only_there(record)]

    def is_mirror(self, store: Store) -> bool:
        """Whether a remote has its numbers from another one, which alone may add to the logs."""
        authority = self._remotes.get().repository
        return authority not in (None, store.id) or mirrored(store.backend) not in (None, store.id)

    def status(self, remote: str | None, *, ask: bool) -> list[RemoteStatus]:
        """Return for each remote, or one, what is on one side only. Remotes are asked with `ask`."""
        settings = [self._remotes.get(remote)] if remote else self._remotes.all()
        ends = self._index.ask(_ends)
        return [self._status_of(setting, ends, ask=ask) for setting in settings]

    # -- inside ----------------------------------------------------------------------------------

    def _fetch(self, pair: Pairing, selection: Selection, purging: str | None = None) -> Fetched:
        try:
            return Fetcher(pair).fetch(selection)
        finally:  # also where some of it is damaged there
            self._put_stubs(selection, purging)

    def _put_stubs(self, selection: Selection, purging: str | None = None) -> None:
        """Do here what others purged."""
        for was, record in self._index.ask(_moved_and_purged):
            self._changes().purge(record, f"it was {was.ref}, which was purged")
        for record in purged_records(self._index):
            if not selection.has(record.key):
                continue
            if record.payload and record.id != purging:
                ref = f"{record.ref} was purged: `art gc` removes its bytes from here, too"
                self._reporter().warn(ref)
            replace_by_stub(self._backend, self._index, record)

    def _status_of(
        self, setting: RemoteSetting, ends: dict[Log, int], *, ask: bool
    ) -> RemoteStatus:
        ledger = Ledger(self._backend, setting.repository or "unknown")
        records = self._index.ask(lambda index: index.all())
        versions = [
            Sent.of(record)
            for record in records
            if not ledger.has_version(record.key, record.number, record.uid)
        ]
        others = [log for log in ends if log.name != VERSIONS]
        entries = sum(max(0, ends[log] - ledger.end(log)) for log in others)
        there = len(self.plan_fetch((), setting.name).versions) if ask else None
        return RemoteStatus(
            setting.name,
            setting.where,
            versions,
            entries,
            there,
            self._renumbered(),
            self._missing(),
        )

    def _renumbered(self) -> list[Renumbered]:
        moves = renumbered(self._backend)
        records = self._index.ask(
            lambda index: [record for key in moves for record in index.versions(key)]
        )
        ids = {record.uid: record.id for record in records}
        return [
            Renumbered(key, old, new, ids[uid])
            for key, found in moves.items()
            for old, new, uid in found
            if uid in ids
        ]

    def _missing(self) -> int:
        """Return how many live versions have no payload here."""
        records = self._index.ask(lambda index: index.all())
        trees = [record.payload for record in records if record.payload and record.is_live]
        stored = {tree: bool(self._backend.names(layout_directory(tree))) for tree in set(trees)}
        return sum(not stored[tree] for tree in trees)

    def _pusher(self, pair: Pairing, *, payload: bool) -> Pusher:
        authority = self._remotes.get()
        if authority.repository in (None, pair.remote.id):
            if authority.mirror_of and authority.mirror_of != pair.remote.id:
                raise ConflictError(
                    f"remote {authority.name} is a mirror: repository {authority.mirror_of} gives its "
                    "numbers",
                    hint="art remote add hub URL (where that one is); art config set authority hub",
                )
            return Pusher(pair, payload=payload)
        ledger = Ledger(self._backend, str(authority.repository))
        return Pusher(pair, Authority(authority.name, ledger), payload=payload)

    @contextlib.contextmanager
    def _pair(self, remote: str | None) -> Iterator[Pairing]:
        name = remote if remote and is_place(remote) else self._remotes.get(remote).name
        with self._paired(self._remotes.open(name), name) as pair:
            yield pair

    @contextlib.contextmanager
    def _paired(self, store: Store, name: str) -> Iterator[Pairing]:
        pair = Pairing(self._store, self._index, store, name, self._reporter(), self._jobs())
        try:
            yield pair
        finally:
            pair.close()

    def _pairs(self) -> Iterator[Pairing]:
        problem: ArtError | None = None
        for setting in sorted(self._remotes.all(), key=lambda each: not each.is_authority):
            try:
                store = self._remotes.open(setting.name)
            except ArtError as error:
                problem = problem or error
                continue
            with self._paired(store, setting.name) as pair:
                yield pair
        if problem:
            raise problem


def _moved_and_purged(index: Index) -> list[tuple[Record, Record]]:
    """Return versions that were purged by somebody who did not know that they had been moved, and what
    they are now."""
    index.refresh_all()
    purged = index.of_state("purged")
    moves = index.moves() if purged else {}
    was = {_end(moves, r.id): r for r in purged if r.id in moves}
    found = index.by_ids(was)
    return [(was[r.id], r) for r in found if r.state in ("live", "deleted", "swept")]


def _end(moves: Mapping[str, str], id: str) -> str:
    """Return what a version became in the end."""
    for _ in moves:
        if id not in moves:
            break
        id = moves[id]
    return id


def _ends(index: Index) -> dict[Log, int]:
    index.refresh_all()
    return index.ends()
