"""Payloads from one store to another: only what is new there, in packs as they are or made for it.

A pack goes as it is where at least half of it is needed; out of others, the frames that are needed
are copied into new packs, still compressed. Everything is verified before it gets a name, packs are
durable before the layout that points into them.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import LocalBackend
from art.errors import REPAIR, CorruptError, NotFoundError
from art.layout import Piece
from art.objects import ObjectStore, layout_directory
from art.pack import Location, pack_name
from art.repack import Places, ahead, each_record, weight
from art.reporter import Reporter
from art.shipping import PART_SIZE, Cargo, Sender
from art.stored import StoredPayload
from art.tree import Node
from art.writer import ChunkHints, NoHints

EXTENSION_LIMIT = 16_384  # so a layout that extends another is read from a remote by one request
_BASE_BYTES = 40 << 20
_SENT_LIMIT = 2_000_000
_DIRECTORIES = 64
_SURPLUS = 0.02  # so much may be sent in vain to save going through a whole tree


@dataclass(frozen=True)
class Shipment:
    """A payload that is to be sent. `packs` go as they are, out of `repacked` others a part goes.
    `requests` is an estimate."""

    payload: str
    bases: tuple[str, ...]
    size_bytes: int
    packs: int
    repacked: int
    requests: int


@dataclass(frozen=True)
class Shipped:
    """What sending a payload came to: what was sent now, not what lay there from an earlier attempt."""

    payload: str
    size_bytes: int
    packs: int
    requests: int


@dataclass
class _Work:
    """What is to be done for one payload. `uses` are the chunks of which the target's layout must say
    where they lie, and where they lie at the source; `base` is a payload whose root that layout
    extends; `held` says where chunks lie at the target already."""

    source: StoredPayload
    base: StoredPayload | None
    uses: Places | None
    held: Places = field(default_factory=Places)
    cargo: Cargo = field(default_factory=Cargo)
    relies_on_promises: bool = False

    def chunks(self) -> Iterator[tuple[bytes, Location]]:
        """Yield digests and places at the source of all that is used."""
        if self.uses is not None:
            yield from self.uses
            return
        layout, root = self.source.layout, self.source.root
        yield from layout.records()
        for piece in self.source.pieces:
            if layout.find(piece.digest) is None:
                yield piece.digest, piece.location
        if layout is not root:
            own = {digest for digest, _ in layout.records()}
            own |= {piece.digest for piece in self.source.pieces}
            yield from (chunk for chunk in root.records() if chunk[0] not in own)


class Courier:
    """Moves payloads from one store to another, one after the other. Used by one thread.

    `scratch` keeps the layouts of the side that is remote, and new packs on their way there, which an
    interrupted transfer finds again.
    """

    def __init__(
        self,
        source: ObjectStore,
        target: ObjectStore,
        scratch: LocalBackend,
        reporter: Reporter,
        jobs: int = 8,
        hints: ChunkHints | None = None,
        avoid: Set[str] = frozenset(),
    ) -> None:
        """`avoid` are packs at the target that are about to go: what is needed of them is sent anew.
        Source and target may be one store."""
        self._avoid = avoid
        self._source = source
        self._target = target
        self._scratch = scratch
        self._reporter = reporter
        self._jobs = jobs
        self._hints = hints or NoHints()
        self._bases: OrderedDict[str, StoredPayload] = OrderedDict()
        self._sender = Sender(source, target, scratch, reporter, jobs)
        self._links: set[str] = set()  # digests of layouts there
        self._used: set[str] = set()  # packs into which layouts point that were written
        self._pending: set[str] = set()  # payloads that were planned and are not sent yet
        self._promised_packs: set[str] = set()
        self._promised = Places()
        self._directories: OrderedDict[str, packs.Directory | None] = OrderedDict()
        self._latest: tuple[Shipment, _Work] | None = None
        self._is_within = source.backend is target.backend
        if self._is_within:
            self._sender.packs |= set(target.pack_ids()) - avoid

    def plan(self, payload: str, bases: Sequence[str] = ()) -> Shipment | None:
        """Return what is to be sent, None where the target has the payload.

        `bases` are payloads that the target may have, the most similar first. What earlier plans of
        this courier send counts as sent. Raise NotFoundError where the source does not have the
        payload, CorruptError where that is damaged there.
        """
        self._latest = None
        work = self._prepare(payload, bases, believes=True)
        if work is None:
            return None
        size = (
            sum(work.cargo.whole.values())
            + sum(work.cargo.staged.values())
            + work.cargo.repacked_size
        )
        parts = sum(
            -(-size // PART_SIZE) + 1
            for size in (*work.cargo.whole.values(), work.cargo.repacked_size)
        )
        shipment = Shipment(
            payload, tuple(bases), size, len(work.cargo.whole), len(work.cargo.needed), parts + 2
        )
        self._promise(work)
        if not work.relies_on_promises:
            self._latest = shipment, work
        return shipment

    def ship(self, shipment: Shipment) -> Shipped:
        """Send it. When this returns, packs and layout are durable at the target."""
        latest, self._latest = self._latest, None
        work: _Work | None
        if latest and latest[0] is shipment:
            work = latest[1]
        else:
            work = self._prepare(shipment.payload, shipment.bases, believes=False)
        if work is None:
            self._pending.discard(shipment.payload)
            return Shipped(shipment.payload, 0, 0, 1)
        self._reporter.start(self._verb(), total_bytes=shipment.size_bytes)
        try:
            count, size = self._sender.send(work.cargo)
        finally:
            self._reporter.finish()
        self._write_layouts(work)
        self._pending.discard(shipment.payload)
        for pack in work.cargo.made:
            self._scratch.delete(pack_name(pack))
        requests = -(-size // PART_SIZE) + 2 * count + 2
        return Shipped(shipment.payload, size, count, requests)

    def gather(self, chunks: Iterable[tuple[bytes, Location]]) -> None:
        """Send chunks in as few new packs as they fit into, before the payloads that use them."""
        cargo = Cargo()
        for digest, location in chunks:
            records = cargo.needed.setdefault(location.pack, bytearray())
            records += packs.RECORD.pack(digest, location.offset, location.length, location.size)
        self._reporter.start(self._verb(), total_bytes=cargo.repacked_size)
        try:
            self._sender.send(cargo)
        finally:
            self._reporter.finish()

    @property
    def relied_packs(self) -> set[str]:
        """The packs into which the layouts written by `ship` point, and that were there before."""
        return self._used - self._sender.sent

    def _verb(self) -> str:
        if self._target.is_remote:
            return "uploading"
        return "downloading" if self._source.is_remote else "copying"

    # -- what is to be sent ----------------------------------------------------------------------

    def _prepare(self, payload: str, bases: Sequence[str], *, believes: bool) -> _Work | None:
        """Work out what to send; with `believes`, what was promised counts as sent."""
        if self._is_there(payload):
            return None
        source = self._source.stored(payload, self._scratch if self._source.is_remote else None)
        if source is None:
            raise NotFoundError(
                f"payload {payload[:16]} is not at {self._source.backend.where}",
                hint=REPAIR,
            )
        is_within = self._source.backend is self._target.backend
        if (
            len(self._sender.chunks) > _SENT_LIMIT and not is_within
        ):  # what is sent twice is still right
            self._sender.chunks, self._promised = Places(), Places()
        found = self._find_bases(bases)
        work = self._extension(source, found, believes=believes)
        if work is None:
            # Where something goes, what is not needed may be what was purged there.
            uses = _all_chunks(source, is_exact=self._is_within or bool(self._avoid))
            work = _Work(source, None, uses)
            self._resolve(work, found, believes=believes)
        self._group(work)
        return work

    def _is_there(self, payload: str) -> bool:
        """Whether the target has the payload, durably; a damaged one does not count."""
        backend = self._target.backend
        if self._target.is_remote and not self._avoid:
            return bool(backend.names(layout_directory(payload)))
        try:
            is_there = self._stored_there(payload) is not None
        except CorruptError:
            return False
        if is_there:  # since a moment ago, perhaps, and from another process
            backend.sync(layout_directory(payload))
        return is_there

    def _find_bases(self, payloads: Sequence[str]) -> list[StoredPayload]:
        """Return those of these payloads that the target has, as many as memory is meant for."""
        found = []
        size = 0
        for payload in payloads:
            base = self._base(payload)
            if base is None:
                continue
            found.append(base)
            self._sender.packs |= base.packs() - self._avoid
            self._links |= {base.layout.digest, base.root.digest}
            size += base.layout.table_size + base.root.table_size
            if size > _BASE_BYTES:
                break
        while len(self._bases) > 1 and self._cached_size() > _BASE_BYTES:
            self._bases.popitem(last=False)
        return found

    def _base(self, payload: str) -> StoredPayload | None:
        if payload in self._bases:
            self._bases.move_to_end(payload)
            return self._bases[payload]
        if payload in self._pending:
            return None
        try:
            found = self._stored_there(payload)
        except CorruptError as error:
            self._reporter.warn(f"{error.message}; its content is sent anew")
            return None
        if found:
            self._bases[payload] = found
        return found

    def _stored_there(self, payload: str) -> StoredPayload | None:
        cache = self._scratch if self._target.is_remote else None
        return self._target.stored(payload, cache, self._avoid)

    def _cached_size(self) -> int:
        return sum(base.layout.table_size + base.root.table_size for base in self._bases.values())

    def _extension(
        self, source: StoredPayload, bases: list[StoredPayload], *, believes: bool
    ) -> _Work | None:
        """Return the work if the target's layout is to extend the root of a base. Then only those
        parts of the tree are looked at that the base does not have."""
        base = max(bases, key=lambda base: _shared(source, base), default=None)
        if base is None or not base.is_extensible or not _shared(source, base):
            return None
        work = _Work(source, base, _changed_chunks(source, base))
        assert work.uses is not None
        own = sum(base.root.find(digest) is None for digest, _ in work.uses)
        own += base.layout.chunk_count if base.layout is not base.root else 0
        if 2 * own >= base.root.chunk_count or (self._target.is_remote and own > EXTENSION_LIMIT):
            return None
        self._resolve(work, bases, believes=believes)
        return work

    def _resolve(self, work: _Work, bases: list[StoredPayload], *, believes: bool) -> None:
        """Tell which of the chunks the target has, and where, and which are needed."""
        for digest, location in work.chunks():
            if location.pack in self._sender.packs or digest in self._sender.chunks:
                continue
            if place := self._find_there(digest, bases):
                work.held.add(digest, place)
            elif believes and (location.pack in self._promised_packs or digest in self._promised):
                work.relies_on_promises = True
            else:
                records = work.cargo.needed.setdefault(location.pack, bytearray())
                records += packs.RECORD.pack(
                    digest, location.offset, location.length, location.size
                )

    def _find_there(self, digest: bytes, bases: list[StoredPayload]) -> Location | None:
        for base in bases:
            if place := base.find(digest):
                return place
        if self._target.is_remote and self._source is not self._target:
            return None  # nothing is known of its packs
        pack = self._hints.find([digest]).get(digest)
        directory = self._directory(pack) if pack else None
        place_there = directory.find(digest) if directory and pack not in self._avoid else None
        return Location(pack, *place_there) if pack and place_there else None

    def _directory(self, pack: str) -> packs.Directory | None:
        """Return the directory of a pack at the target: a hint is believed only after the pack."""
        if pack not in self._directories:
            try:
                self._directories[pack] = self._target.directory(pack)
            except (FileNotFoundError, CorruptError):
                self._directories[pack] = None
            if len(self._directories) > _DIRECTORIES:
                self._directories.popitem(last=False)
        return self._directories.get(pack)

    def _group(self, work: _Work) -> None:
        """Tell which packs go whole; what stays in `needed` is to be repacked."""
        names = list(work.cargo.needed)
        with ThreadPoolExecutor(self._jobs, "look") as threads:
            sizes = list(ahead(threads, self._pack_size, names, 4 * self._jobs))
        for pack, size in zip(names, sizes, strict=True):
            if pack in self._avoid:
                continue
            if self._has_pack(pack, size):
                self._sender.packs.add(pack)
                del work.cargo.needed[pack]
            elif 2 * weight(work.cargo.needed[pack]) >= size:
                work.cargo.whole[pack] = size
                del work.cargo.needed[pack]
        self._sender.find_staged(work.cargo)

    def _pack_size(self, pack: str) -> int:
        size = self._source.backend.size(pack_name(pack))
        if size is None:
            raise CorruptError(
                f"{pack_name(pack)} is missing at {self._source.backend.where}", hint=REPAIR
            )
        return size

    def _has_pack(self, pack: str, size: int) -> bool:
        """Whether an earlier attempt brought a pack to a target on this machine."""
        if self._target.is_remote or self._target.backend.size(pack_name(pack)) != size:
            return False
        try:
            return self._target.has_pack(pack)
        except CorruptError:
            return False

    def _promise(self, work: _Work) -> None:
        self._pending.add(work.source.digest)
        self._promised_packs |= work.cargo.whole.keys()
        for pack, records in work.cargo.needed.items():
            for digest, *place in each_record(records):
                self._promised.add(digest, Location(pack, *place))
        for digest, location in work.cargo.staged_chunks:
            self._promised.add(digest, location)

    # -- the layout ------------------------------------------------------------------------------

    def _write_layouts(self, work: _Work) -> None:
        """Write the layout: that of the source where its packs are those of the target."""
        source = work.source
        is_short = source.layout is source.root or not self._target.is_remote
        is_short = is_short or source.layout.chunk_count <= EXTENSION_LIMIT
        if is_short and source.packs() <= self._sender.packs:
            self._used |= source.packs()
            if source.root.digest not in self._links:
                self._create(source.root.name, source.root.content())
            if source.layout is not source.root:
                self._create(source.layout.name, source.layout.content())
            self._links |= {source.layout.digest, source.root.digest}
            return
        data = self._encode(work)
        self._create(f"{layout_directory(source.digest)}/{blake3(data).hexdigest()}", data)

    def _encode(self, work: _Work) -> bytes:
        root = work.base.root if work.base else None
        places = Places()
        if work.base and work.base.layout is not root:
            for digest, location in work.base.layout.records():
                places.add(digest, location)
        for digest, location in work.chunks():
            if root is None or root.find(digest) is None:
                places.add(digest, self._place(work, digest, location))
        pieces = [self._piece(work, piece, places) for piece in work.source.pieces]
        work.cargo.needed, work.uses, work.held = {}, None, Places()  # memory for what follows
        names, records = places.packs, places.records
        self._used |= {*names, *(root.packs if root else ())}
        del places
        return layouts.encode(
            work.source.digest, names, layouts.sort_records(records), pieces, root
        )

    def _place(self, work: _Work, digest: bytes, location: Location) -> Location:
        """Return where a chunk lies at the target now."""
        if location.pack in self._sender.packs:
            return location
        place = work.held.find(digest) or self._sender.chunks.find(digest)
        assert place, "all that is used is held or was sent"
        return place

    def _piece(self, work: _Work, piece: Piece, places: Places) -> tuple[bytes, str]:
        """Return the record of a piece of the tree. The table of chunks has it, too, or that of the
        root has."""
        place = work.base.find_piece(piece.digest) if work.base else None
        place = place or self._place(work, piece.digest, piece.location)
        return places.record(piece.digest, place), piece.first_path

    def _create(self, name: str, data: bytes) -> None:
        backend = self._target.backend
        if not backend.create(name, data) and backend.read(name) != data:
            backend.replace(name, data)  # its name says what it must be, so this can only mend it
        if self._target.is_remote:
            self._scratch.replace(name, data)


def _all_chunks(source: StoredPayload, *, is_exact: bool) -> Places | None:
    """Return what a payload uses, None where that is what its layouts have, or, unless `is_exact`,
    nearly so."""
    if is_exact:
        return _used(source, source.tree(), source.pieces)
    if source.layout is source.root:
        return None
    with contextlib.suppress(CorruptError):  # of the root's tree, which this one does not need
        if _surplus_size(source) <= _SURPLUS * source.size:
            return None
    return _used(source, source.tree(), source.pieces)


def _surplus_size(source: StoredPayload) -> int:
    """Return how large the chunks are, at most, that the tree of the root uses and this one does not:
    what only those parts of both trees say that differ."""
    root = source.root_payload()
    lost = _changed_chunks(root, source)
    kept = _changed_chunks(source, root)
    return sum(place.length for digest, place in lost if digest not in kept)


def _changed_chunks(source: StoredPayload, base: StoredPayload) -> Places:
    """Return what those parts of a payload's tree use that a base does not have."""
    known = {piece.digest for piece in base.pieces}
    changed = [at for at, piece in enumerate(source.pieces) if piece.digest not in known]
    return _used(source, source.nodes_of(changed), [source.pieces[at] for at in changed])


def _used(source: StoredPayload, nodes: Iterable[Node], pieces: Iterable[Piece]) -> Places:
    used = Places()
    for piece in pieces:
        used.add(piece.digest, piece.location)
    for node in nodes:
        for digest in source.digests(node):
            if digest not in used:
                used.add(digest, source.place(digest))
    return used


def _shared(source: StoredPayload, base: StoredPayload) -> int:
    """Return how many pieces two trees have in common."""
    return len({piece.digest for piece in source.pieces} & {piece.digest for piece in base.pieces})
