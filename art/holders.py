"""Which other versions hold what some versions hold: files, parts of files or texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from art.errors import CorruptError, NotFoundError
from art.index import Index
from art.resolve import Resolver
from art.rows import Record
from art.store import Store
from art.stored import StoredPayload
from art.stubs import payload_of

_GONE = {"purged", "moved", "damaged"}


@dataclass(frozen=True)
class Holder:
    """A version that holds some of the same. `files` are paths in it, none where it is a text; `is_same`
    says that its whole payload is the same."""

    record: Record
    files: list[str]
    is_same: bool


@dataclass(frozen=True)
class Holders:
    """Those that hold some of the same, by reference, and versions whose files are not here, or damaged,
    so that they could not be looked at."""

    found: list[Holder]
    unseen: list[Record]


class Search:
    """Looks through the versions of one store for what some of them hold."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._resolver = Resolver(store, index)

    def holders(self, records: Iterable[Record]) -> Holders:
        """Return which other versions hold something of these, which perhaps are purged already."""
        own = list(records)
        ids = {record.id for record in own}
        self._index.ask(lambda index: index.refresh_all())
        others = [
            record
            for record in self._index.ask(lambda index: index.all())
            if record.id not in ids and record.state not in _GONE
        ]
        payloads = {p for r in own if (p := payload_of(self._store.catalog, r))}
        trees = self._of_trees(payloads, [record for record in others if record.payload])
        texts = self._of_texts(own, [record for record in others if not record.payload])
        found = sorted(trees.found + texts, key=lambda holder: not holder.is_same)
        return Holders(found, trees.unseen)

    def _of_trees(self, payloads: set[str], others: list[Record]) -> Holders:
        wanted: set[bytes] = set()
        for payload in payloads:
            if stored := self._stored(payload):
                for node in stored.tree():
                    wanted.update(stored.digests(node) if node.size else ())
        paths = _Paths(wanted)
        found: dict[str, list[str] | None] = {}
        holders: list[Holder] = []
        unseen: list[Record] = []
        for record in others:
            payload = record.payload or ""
            if payload not in found:
                found[payload] = self._paths(payload, paths)
            files = found[payload]
            if files or payload in payloads:
                holders.append(Holder(record, files or [], payload in payloads))
            elif files is None:
                unseen.append(record)
        return Holders(holders, unseen)

    def _paths(self, payload: str, paths: _Paths) -> list[str] | None:
        try:
            stored = self._stored(payload)
            return None if stored is None else sorted(set(paths.of(stored)))
        except CorruptError:
            return None

    def _stored(self, payload: str) -> StoredPayload | None:
        try:
            return self._store.objects.stored(payload)
        except CorruptError:
            return None

    def _of_texts(self, own: list[Record], others: list[Record]) -> list[Holder]:
        texts = {text for record in own if (text := self._text(record))}
        sizes = {size for size, _ in texts}
        same = [r for r in others if r.size in sizes and self._text(r) in texts]
        return [Holder(record, [], is_same=True) for record in same]

    def _text(self, record: Record) -> tuple[int | None, str] | None:
        """Return size and digest of a version that is a text."""
        if record.payload or not record.size or record.state in _GONE:
            return None
        try:
            payload = self._resolver.manifest(record).payload
        except (CorruptError, NotFoundError):
            return None
        return (payload.size, payload.b3) if payload and payload.b3 else None


class _Paths:
    """Finds in trees the files that have one of these chunks. Versions share most pieces of their trees:
    each is looked at once, for what is beside it."""

    def __init__(self, wanted: set[bytes]) -> None:
        self._wanted = wanted
        self._known: dict[tuple[bytes, ...], list[str]] = {}

    def of(self, stored: StoredPayload) -> Iterator[str]:
        digests = [piece.digest for piece in stored.pieces]
        for at in range(len(digests)):
            beside = tuple(digests[max(0, at - 1) : at + 2])
            if beside not in self._known:
                nodes = stored.nodes_of([at])
                self._known[beside] = [
                    node.path
                    for node in nodes
                    if node.size and not self._wanted.isdisjoint(stored.digests(node))
                ]
            yield from self._known[beside]
