"""Payloads from one store to another: only what is new there, in packs as they are or made for it.

A pack goes as it is where at least half of it is needed; out of others, the frames that are needed
are copied into new packs, still compressed. Everything is verified before it gets a name, packs are
durable before the layout that points into them.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import Backend, LocalBackend
from art.errors import BusyError, CorruptError, NotFoundError
from art.layout import Piece
from art.objects import ObjectStore, StoredPayload, layout_directory
from art.pack import Location, pack_name
from art.repack import NewPack, Places, SamePack, ahead, check_file, read_frames
from art.reporter import Reporter
from art.tree import Node
from art.writer import ChunkHints, NoHints

EXTENSION_LIMIT = 16_384  # so a layout that extends another is read from a remote by one request
_PART_SIZE = 8 << 20
_LOCAL_PART_SIZE = 4 << 20
_UPLOADS = 2
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
    needed: dict[str, bytearray] = field(default_factory=dict)
    whole: dict[str, int] = field(default_factory=dict)
    staged: dict[str, int] = field(default_factory=dict)
    staged_chunks: Places = field(default_factory=Places)
    made: list[str] = field(default_factory=list)
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

    @property
    def repacked_size(self) -> int:
        return sum(_weight(records) for records in self.needed.values())


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
    ) -> None:
        self._source = source
        self._target = target
        self._scratch = scratch
        self._reporter = reporter
        self._jobs = jobs
        self._hints = hints or NoHints()
        self._bases: OrderedDict[str, StoredPayload] = OrderedDict()
        self._packs: set[str] = set()  # known to be at the target
        self._links: set[str] = set()  # digests of layouts there
        self._sent = Places()  # chunks in new packs there
        self._pending: set[str] = set()  # payloads that were planned and are not sent yet
        self._promised_packs: set[str] = set()
        self._promised = Places()
        self._directories: OrderedDict[str, packs.Directory | None] = OrderedDict()
        self._latest: tuple[Shipment, _Work] | None = None
        self._open: list[SamePack | NewPack] = []  # being written, to be dropped where that fails
        self._size_bytes = self._count = 0

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
        size = sum(work.whole.values()) + sum(work.staged.values()) + work.repacked_size
        parts = sum(
            -(-size // _PART_SIZE) + 1 for size in (*work.whole.values(), work.repacked_size)
        )
        shipment = Shipment(
            payload, tuple(bases), size, len(work.whole), len(work.needed), parts + 2
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
        self._size_bytes = self._count = 0
        if work is None:
            self._pending.discard(shipment.payload)
            return Shipped(shipment.payload, 0, 0, 1)
        self._reporter.start(self._verb(), total_bytes=shipment.size_bytes)
        try:
            self._send(work)
        finally:
            self._reporter.finish()
        self._write_layouts(work)
        self._pending.discard(shipment.payload)
        for pack in work.made:
            self._scratch.delete(pack_name(pack))
        requests = -(-self._size_bytes // _PART_SIZE) + 2 * self._count + 2
        return Shipped(shipment.payload, self._size_bytes, self._count, requests)

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
                hint="art doctor",
            )
        if len(self._sent) > _SENT_LIMIT:  # what is sent twice is still right
            self._sent, self._promised = Places(), Places()
        found = self._find_bases(bases)
        work = self._extension(source, found, believes=believes)
        if work is None:
            work = _Work(source, None, _all_chunks(source))
            self._resolve(work, found, believes=believes)
        self._group(work)
        return work

    def _is_there(self, payload: str) -> bool:
        """Whether the target has the payload, durably; a damaged one does not count."""
        backend = self._target.backend
        if self._target.is_remote:
            return bool(backend.names(layout_directory(payload)))
        try:
            is_there = self._target.stored(payload) is not None
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
            self._packs |= base.packs()
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
            found = self._target.stored(payload, self._scratch if self._target.is_remote else None)
        except CorruptError as error:
            self._reporter.warn(f"{error.message}; its content is sent anew")
            return None
        if found:
            self._bases[payload] = found
        return found

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
            if location.pack in self._packs or digest in self._sent:
                continue
            if place := self._find_there(digest, bases):
                work.held.add(digest, place)
            elif believes and (location.pack in self._promised_packs or digest in self._promised):
                work.relies_on_promises = True
            else:
                records = work.needed.setdefault(location.pack, bytearray())
                records += packs.RECORD.pack(
                    digest, location.offset, location.length, location.size
                )

    def _find_there(self, digest: bytes, bases: list[StoredPayload]) -> Location | None:
        for base in bases:
            if place := base.find(digest):
                return place
        if self._target.is_remote:
            return None
        pack = self._hints.find(digest)
        directory = self._directory(pack) if pack else None
        place_there = directory.find(digest) if directory else None
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
        names = list(work.needed)
        with ThreadPoolExecutor(self._jobs, "look") as threads:
            sizes = list(ahead(threads, self._pack_size, names, 4 * self._jobs))
        for pack, size in zip(names, sizes, strict=True):
            if self._has_pack(pack, size):
                self._packs.add(pack)
                del work.needed[pack]
            elif 2 * _weight(work.needed[pack]) >= size:
                work.whole[pack] = size
                del work.needed[pack]
        if self._is_upload and work.needed:
            self._find_staged(work)

    def _pack_size(self, pack: str) -> int:
        size = self._source.backend.size(pack_name(pack))
        if size is None:
            raise CorruptError(
                f"{pack_name(pack)} is missing at {self._source.backend.where}", hint="art doctor"
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

    def _find_staged(self, work: _Work) -> None:
        """Find again what an interrupted transfer has repacked already."""
        store = ObjectStore(self._scratch, self._source.chunking)
        for pack in store.pack_ids():
            size = self._scratch.size(pack_name(pack))
            try:
                directory = store.directory(pack)
                check_file(self._scratch.path(pack_name(pack)), pack)
            except CorruptError:
                self._scratch.delete(pack_name(pack))
                continue
            except FileNotFoundError:
                continue
            found = {
                digest: place
                for records in work.needed.values()
                for digest, *_ in _each(records)
                if (place := directory.find(digest))
            }
            if size and 2 * sum(length for _, length, _ in found.values()) >= size:
                work.staged[pack] = size
                for digest, place in found.items():
                    work.staged_chunks.add(digest, Location(pack, *place))
                _take_away(work.needed, found)

    def _promise(self, work: _Work) -> None:
        self._pending.add(work.source.digest)
        self._promised_packs |= work.whole.keys()
        for pack, records in work.needed.items():
            for digest, *place in _each(records):
                self._promised.add(digest, Location(pack, *place))
        for digest, location in work.staged_chunks:
            self._promised.add(digest, location)

    # -- sending ---------------------------------------------------------------------------------

    @property
    def _is_upload(self) -> bool:
        """Whether files of this machine go to a remote."""
        return self._target.is_remote and not self._source.is_remote

    def _send(self, work: _Work) -> None:
        try:
            with ThreadPoolExecutor(self._jobs, "read") as readers:
                if self._is_upload:
                    self._upload_all(work, readers)
                else:
                    self._write_all(work, readers)
        finally:
            while self._open:
                self._open.pop().discard()

    def _upload_all(self, work: _Work, readers: ThreadPoolExecutor) -> None:
        def upload(job: tuple[str, LocalBackend, bool]) -> tuple[str, int, bool]:
            return self._upload(*job)

        with ThreadPoolExecutor(min(_UPLOADS, self._jobs), "upload") as threads:
            jobs = self._uploads(work, readers)
            with contextlib.closing(ahead(threads, upload, jobs, _UPLOADS + 1)) as uploads:
                for pack, size, is_new in uploads:
                    self._note_sent(pack, size, is_new=is_new)
                    self._reporter.advance(size_bytes=size)
        for digest, location in work.staged_chunks:
            self._sent.add(digest, location)

    def _uploads(
        self, work: _Work, readers: ThreadPoolExecutor
    ) -> Iterator[tuple[str, LocalBackend, bool]]:
        """Yield packs, where they lie, and whether they are yet to be checked."""
        local = self._source.backend
        assert isinstance(local, LocalBackend)
        yield from ((pack, local, True) for pack in work.whole)
        work.made += work.staged
        yield from ((pack, self._scratch, False) for pack in work.staged)
        for new in self._repacked(work, self._scratch, readers):
            pack = new.commit()
            self._open.remove(new)
            work.made.append(pack)
            for digest, *place in new.chunks:
                work.staged_chunks.add(digest, Location(pack, *place))
            yield pack, self._scratch, False

    def _upload(self, pack: str, place: LocalBackend, is_unchecked: bool) -> tuple[str, int, bool]:
        name = pack_name(pack)
        path = place.path(name)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise self._vanished(name, place) from None
        if self._target.backend.size(name) == size:
            return pack, size, False
        if is_unchecked:
            check_file(path, pack)
        self._target.backend.upload(name, path)
        return pack, size, True

    def _vanished(self, name: str, place: LocalBackend) -> CorruptError | BusyError:
        if place is self._scratch:
            return BusyError(
                f"another process is transferring the same to {self._target.backend.where}",
                hint="run the command again",
            )
        return CorruptError(f"{name} is missing", hint="art doctor")

    def _write_all(self, work: _Work, readers: ThreadPoolExecutor) -> None:
        def commit(new: SamePack | NewPack) -> tuple[str, SamePack | NewPack]:
            return new.commit(), new

        with (
            ThreadPoolExecutor(1, "sync") as threads,
            contextlib.closing(ahead(threads, commit, self._all(work, readers), 2)) as committed,
        ):
            for pack, new in committed:
                self._open.remove(new)
                self._note_sent(pack, new.size, is_new=True)
                for digest, *place in new.chunks:
                    self._sent.add(digest, Location(pack, *place))

    def _all(self, work: _Work, readers: ThreadPoolExecutor) -> Iterator[SamePack | NewPack]:
        """Yield packs that are written and not yet durable."""
        yield from self._same(work, readers)
        yield from self._repacked(work, self._target.backend, readers)

    def _note_sent(self, pack: str, size: int, *, is_new: bool) -> None:
        self._packs.add(pack)
        if is_new:
            self._size_bytes += size
            self._count += 1

    def _same(self, work: _Work, readers: ThreadPoolExecutor) -> Iterator[SamePack]:
        """Yield copies of the packs that go whole."""
        part = _PART_SIZE if self._source.is_remote else _LOCAL_PART_SIZE
        ranges = [
            (pack, start, min(part, size - start))
            for pack, size in work.whole.items()
            for start in range(0, size, part)
        ]
        with contextlib.closing(ahead(readers, self._part, ranges, self._jobs)) as parts:
            for pack, size in work.whole.items():
                new = self._same_pack(pack, size)
                for _ in range(0, size, part):
                    new.write(data := next(parts))
                    self._reporter.advance(size_bytes=len(data))
                yield new if new.is_right else self._again(pack, size, new)

    def _again(self, pack: str, size: int, wrong: SamePack) -> SamePack:
        """Read a pack once more: it may have been damaged on its way."""
        self._open.remove(wrong)
        wrong.discard()
        new = self._same_pack(pack, size)
        for start in range(0, size, _PART_SIZE):
            new.write(self._part((pack, start, min(_PART_SIZE, size - start))))
        return new

    def _same_pack(self, pack: str, size: int) -> SamePack:
        new = SamePack(self._target.backend, pack, size)
        self._open.append(new)
        return new

    def _part(self, place: tuple[str, int, int]) -> bytes:
        pack, start, length = place
        try:
            return self._source.backend.read(pack_name(pack), start, length)
        except FileNotFoundError:
            raise CorruptError(f"{pack_name(pack)} is missing", hint="art doctor") from None

    def _repacked(
        self, work: _Work, place: Backend, readers: ThreadPoolExecutor
    ) -> Iterator[NewPack]:
        """Yield new packs of the frames that are needed out of packs that stay."""
        new: NewPack | None = None
        for pack, records in work.needed.items():
            wanted = ((digest, Location(pack, *at)) for digest, *at in _each(records))
            groups = read_frames(self._source.backend, wanted, readers, self._jobs)
            with contextlib.closing(groups):
                for digest, location, frame in (found for group in groups for found in group):
                    if new is None:
                        new = NewPack(place)
                        self._open.append(new)
                    new.add(digest, frame, location.size)
                    if not self._is_upload:
                        self._reporter.advance(size_bytes=len(frame))
                    if new.is_full:
                        yield new
                        new = None
        if new is not None:
            yield new

    # -- the layout ------------------------------------------------------------------------------

    def _write_layouts(self, work: _Work) -> None:
        """Write the layout: that of the source where its packs are those of the target."""
        source = work.source
        is_short = source.layout is source.root or not self._target.is_remote
        is_short = is_short or source.layout.chunk_count <= EXTENSION_LIMIT
        if is_short and source.packs() <= self._packs:
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
        work.needed, work.uses, work.held = {}, None, Places()  # memory for what follows
        names, records = places.packs, places.records
        del places
        return layouts.encode(
            work.source.digest, names, layouts.sort_records(records), pieces, root
        )

    def _place(self, work: _Work, digest: bytes, location: Location) -> Location:
        """Return where a chunk lies at the target now."""
        if location.pack in self._packs:
            return location
        place = work.held.find(digest) or self._sent.find(digest)
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


def _all_chunks(source: StoredPayload) -> Places | None:
    """Return what a payload uses, None where that is what its layouts have, or nearly so."""
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


def _each(records: bytes | bytearray) -> Iterator[tuple[bytes, int, int, int]]:
    return packs.RECORD.iter_unpack(records)


def _weight(records: bytearray) -> int:
    """Return how many bytes of a pack these chunks take, their part of its directory as well."""
    return len(records) + sum(length for _, _, length, _ in _each(records))


def _take_away(needed: dict[str, bytearray], found: Container[bytes]) -> None:
    for pack, records in list(needed.items()):
        kept = [packs.RECORD.pack(*record) for record in _each(records) if record[0] not in found]
        needed[pack] = bytearray().join(kept)
        if not kept:
            del needed[pack]
