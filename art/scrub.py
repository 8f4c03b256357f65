"""Stored bytes, read and compared: packs as a whole and chunk by chunk, payloads against them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import Backend
from art.errors import ArtError, CorruptError
from art.layout import Layout, size_by_head
from art.objects import layout_directory
from art.pack import CHUNK_LIMIT, Location, pack_name
from art.repack import Places
from art.stored import StoredPayload, chunk_record
from art.tree import Node, Order, parse_line

_BLOCK_SIZE = 8 << 20
_FRAME_LIMIT = CHUNK_LIMIT + (1 << 16)
_DIRECTORY_BYTES = 128 << 20
_FACTS_BYTES = 64 << 20
_FACT_BYTES = 300  # of a short line, what is around it included
_TABLE_LIMIT = 1 << 18
_ROOTS = 2
_RECORD = packs.RECORD


@dataclass(frozen=True)
class Scrubbed:
    """What reading a pack came to. `error` says what is wrong with it, None where nothing is."""

    pack: str
    size: int
    error: str | None = None


def scrub_pack(backend: Backend, pack: str) -> Scrubbed:
    """Read a pack from its first to its last byte, in blocks, and verify its name and each frame.

    What looks damaged is read once more: it may have been damaged on its way.
    """
    found = _scrub(backend, pack)
    return found if found.error is None else _scrub(backend, pack)


def _scrub(backend: Backend, pack: str) -> Scrubbed:
    name = pack_name(pack)
    try:
        records = _records(backend, pack)
        error = None
    except FileNotFoundError:
        return Scrubbed(pack, 0, f"{name} is missing")
    except ArtError as problem:
        records, error = [], problem.message
    size = backend.size(name) or 0
    if size > packs.SIZE_LIMIT:
        return Scrubbed(pack, size, f"{name} is damaged: no pack has {size} bytes")
    reader = _FrameReader(backend, name, records)
    try:
        digest = reader.run()
    except FileNotFoundError:
        return Scrubbed(pack, 0, f"{name} is missing")
    except ArtError as problem:
        return Scrubbed(pack, reader.size, error or problem.message)
    error = error or reader.error
    if not error and digest != pack:
        error = f"{name} is damaged: its content is not what its name says"
    return Scrubbed(pack, reader.size, error)


def _records(backend: Backend, pack: str) -> list[tuple[int, int, int, bytes]]:
    """Return offset, length, size and digest of a pack's frames, in the order of their offsets."""
    directory = ObjectDirectory(backend, pack)
    return sorted(directory.frames())


class ObjectDirectory:
    """The verified directory of one pack. Raises FileNotFoundError or CorruptError when made."""

    def __init__(self, backend: Backend, pack: str) -> None:
        name = pack_name(pack)
        size = backend.size(name)
        if size is None:
            raise FileNotFoundError(name)
        trailer = backend.read(name, max(0, size - packs.TRAILER_SIZE), packs.TRAILER_SIZE)
        offset, length, digest = packs.parse_trailer(trailer, size, name)
        self._data = backend.read(name, offset, length)
        self._directory = packs.Directory(self._data, digest, name, offset)
        self.weight = 4 * length  # with `records`

    def find(self, digest: bytes) -> tuple[int, int, int] | None:
        """Return offset, length and size of a chunk, None where the pack does not have it."""
        return self._directory.find(digest)

    @cached_property
    def records(self) -> frozenset[bytes]:
        """All that `find` can find: digest, offset, length and size of each, as the directory has it."""
        width = _RECORD.size
        cut = (self._data[at : at + width] for at in range(0, len(self._data), width))
        return frozenset(record for record in cut if self.find(record[:32]))

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield offset, length, size and digest of each frame, in the order of digests."""
        for digest, offset, length, size in _RECORD.iter_unpack(self._data):
            yield offset, length, size, digest


class _FrameReader:
    """Reads a file once, in blocks, and verifies the frames in it as they go by."""

    def __init__(
        self, backend: Backend, name: str, records: list[tuple[int, int, int, bytes]]
    ) -> None:
        self._backend = backend
        self._name = name
        self._records = records
        self._next = 0
        self._window = b""
        self._start = 0  # offset of the window
        self._decompressor = zstandard.ZstdDecompressor()
        self.error: str | None = None
        self.size = 0

    def run(self) -> str:
        """Return the digest of the whole file."""
        hasher = blake3()
        while block := self._backend.read(self._name, self.size, _BLOCK_SIZE):
            hasher.update(block)
            self._window += block
            self.size += len(block)
            self._take_frames()
        for record in self._records[self._next :]:
            self._note(f"chunk {record[3].hex()[:16]} lies beyond its end")
        return hasher.hexdigest()

    def _take_frames(self) -> None:
        while self._next < len(self._records):
            offset, length, size, digest = self._records[self._next]
            if length <= _FRAME_LIMIT and offset + length > self.size:
                break
            self._next += 1
            if length > _FRAME_LIMIT or offset < self._start:
                self._note(f"chunk {digest.hex()[:16]} lies where none can be")
            else:
                self._verify(offset, length, size, digest)
        keep = self.size
        if self._next < len(self._records):
            keep = min(keep, max(self._start, self._records[self._next][0]))
        self._window = self._window[keep - self._start :]
        self._start = keep

    def _verify(self, offset: int, length: int, size: int, digest: bytes) -> None:
        frame = self._window[offset - self._start : offset - self._start + length]
        try:
            packs.unpack_frame(frame, size, digest, self._name, self._decompressor)
        except CorruptError as error:
            self.error = self.error or error.message

    def _note(self, what: str) -> None:
        self.error = self.error or f"{self._name} is damaged: {what}"


class Directories:
    """Directories of packs, of which as many are kept as memory is meant for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: OrderedDict[str, ObjectDirectory | None] = OrderedDict()
        self._weight = 0

    def find(self, pack: str, digest: bytes) -> tuple[int, int, int] | None:
        """Return what a pack itself says of a chunk, None where that is nothing, or not readable."""
        if pack not in self._kept:
            self._load(pack)
        else:
            self._kept.move_to_end(pack)
        directory = self._kept[pack]
        return directory.find(digest) if directory else None

    def records(self, pack: str) -> frozenset[bytes]:
        """Return all that a pack says of its chunks; nothing where that cannot be read."""
        self.find(pack, b"")
        directory = self._kept[pack]
        return directory.records if directory else frozenset()

    def _load(self, pack: str) -> None:
        try:
            directory = ObjectDirectory(self._backend, pack)
            self._weight += directory.weight
        except (FileNotFoundError, CorruptError):
            directory = None
        self._kept[pack] = directory
        while self._weight > _DIRECTORY_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._weight -= dropped.weight if dropped else 0


def load_chain(
    backend: Backend, payload: str, digest: str, known: Mapping[str, Layout]
) -> list[Layout]:
    """Return a layout, verified by its name, and the one it extends, unless that is known by its
    digest. Raise CorruptError."""
    layout = _load(backend, payload, digest)
    base = layout.extends
    if base is None:
        return [layout]
    extended = known.get(base.digest) or _load(backend, base.payload, base.digest)
    if extended.depth:
        raise CorruptError(f"{layout.name} is damaged: it extends one that extends another")
    return [layout, extended]


def broken_layout(backend: Backend, payload: str, digest: str) -> str | None:
    """Return the name of the layout that is at fault where one cannot be opened: itself, or the one it
    extends; None where neither is."""
    for _ in range(2):
        try:
            layout = _load(backend, payload, digest)
        except CorruptError:
            return f"{layout_directory(payload)}/{digest}"
        if layout.extends is None:
            return None
        payload, digest = layout.extends.payload, layout.extends.digest
    return None


def _load(backend: Backend, payload: str, digest: str) -> Layout:
    name = f"{layout_directory(payload)}/{digest}"
    for is_last in (False, True):
        try:
            data = backend.read(name, 0, _BLOCK_SIZE)
            if len(data) == _BLOCK_SIZE and backend.size(name) == size_by_head(data):
                data += backend.read(name, _BLOCK_SIZE)
        except FileNotFoundError:
            raise CorruptError(f"{name} is missing") from None
        if blake3(data).hexdigest() == digest:
            break
        if is_last:
            raise CorruptError(f"{name} is damaged: its content is not what its name says")
    layout = Layout(data, name, digest)
    if layout.payload != payload:
        raise CorruptError(f"{name} is damaged: it is about another payload")
    return layout


class Fact(NamedTuple):
    """What a line of a tree says: what it is sorted by, digest and size of each chunk it needs, as
    lists of chunks write them, and the file where that has several chunks. Where they stand in a list,
    which may be of any length, it `is_long`, and they are read again."""

    order: str
    chunks: tuple[bytes, ...]
    file: Node | None
    is_long: bool = False


class TreeChecker:
    """Checks payloads of one store: that their trees are whole, that every chunk has a place that its
    pack agrees with, and that the chunks of each file are its content.

    Versions share most of their lines and chunks. So what a line says is remembered, and each layout is
    compared with its packs as a whole; only what is new or does not fit is looked at one by one.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._directories = Directories(backend)
        self._whole_files: set[bytes] = set()
        self._facts: dict[bytes, Fact] = {}
        self._weight = 0
        self._roots: OrderedDict[str, frozenset[bytes]] = OrderedDict()

    def check(self, stored: StoredPayload, *, with_contents: bool) -> Iterator[int]:
        """Yield how many bytes were read, now and then. Raise CorruptError at the first thing that is
        wrong. What was found whole in another payload is not read again."""
        for piece in stored.pieces:
            self._check_place(stored, piece.digest, piece.location)
            yield piece.location.size
        placed = [self._root(stored.root)]
        if stored.layout is not stored.root:
            placed.append(self._agreed(stored.layout))
        order = Order(f"tree {stored.digest[:16]}")
        for lines in stored.tree_lines():
            facts = [self._facts.get(line) or self._learn(stored, line) for line in lines]
            order.take_all([fact.order for fact in facts])
            needed = set().union(*[fact.chunks for fact in facts]).difference(*placed)
            for line, fact in zip(lines, facts, strict=True) if needed else ():
                if not needed.isdisjoint(fact.chunks):
                    self._check_file(stored, parse_line(line, stored.name))
            for file in [fact.file for fact in facts if fact.file and fact.is_long]:
                self._check_file(stored, file, placed)
            for file in [fact.file for fact in facts if fact.file and with_contents]:
                yield from self._check_content(stored, file)

    def _learn(self, stored: StoredPayload, line: bytes) -> Fact:
        """Return what a line says, and remember it as far as memory is meant for that."""
        node = parse_line(line, f"tree {stored.digest[:16]}")
        if node.chunks_are_list:
            return Fact(node.order, (), node, is_long=True)
        chunks = list(stored.chunks(node)) if node.is_file else []
        if sum(length for _, length in chunks) != node.size:
            self._check_file(stored, node)
        keys = tuple(chunk_record(digest, length) for digest, length in chunks)
        fact = Fact(node.order, keys, node if node.chunks else None)
        self._weight += _FACT_BYTES + 3 * len(line) + 80 * len(keys)
        if self._weight > _FACTS_BYTES:
            self._facts.clear()
            self._weight = 0
        self._facts[line] = fact
        return fact

    def _root(self, layout: Layout) -> frozenset[bytes]:
        """Return what the last few roots place: many payloads extend the same one."""
        if layout.digest not in self._roots:
            self._roots[layout.digest] = self._agreed(layout)
        self._roots.move_to_end(layout.digest)
        while len(self._roots) > _ROOTS:
            self._roots.popitem(last=False)
        return self._roots[layout.digest]

    def _agreed(self, layout: Layout) -> frozenset[bytes]:
        """Return digest and size of all chunks of which the packs say the same as the layout; nothing
        where these are too many to be kept."""
        if layout.chunk_count > _TABLE_LIMIT:
            return frozenset()
        table = layout.table()
        by_pack: dict[bytes, list[bytes]] = {}
        for at in range(0, len(table), layouts.RECORD.size):
            record = table[at : at + layouts.RECORD.size]
            by_pack.setdefault(record[32:36], []).append(record[:32] + record[36:])
        agreed: set[bytes] = set()
        for number, records in by_pack.items():
            place = int.from_bytes(number, "little")
            if place < len(layout.packs):
                found = self._directories.records(layout.packs[place]).intersection(records)
                agreed.update([record[:32] + record[40:] for record in found])
        return frozenset(agreed)

    def _check_file(
        self, stored: StoredPayload, node: Node, placed: Iterable[frozenset[bytes]] = ()
    ) -> None:
        """Check the place of each chunk of a file, but of those that are `placed` already."""
        for text, _ in node.chunks if node.chunks_are_list else ():
            listed = bytes.fromhex(text)
            self._check_place(stored, listed, stored.place(listed))
        sizes = 0
        for digest, length in stored.chunks(node):
            if any(chunk_record(digest, length) in known for known in placed):
                sizes += length
            else:
                place = stored.place(digest)
                self._check_place(stored, digest, place)
                sizes += place.size
        if sizes != node.size:
            raise CorruptError(
                f"tree {stored.digest[:16]} is damaged: the chunks of {node.path!r} have "
                f"{sizes} bytes, expected {node.size}"
            )

    def _check_place(self, stored: StoredPayload, digest: bytes, place: Location) -> None:
        """Where the pack itself says the same, reading the pack has verified the chunk."""
        if self._directories.find(place.pack, digest) != (place.offset, place.length, place.size):
            read_chunk(self._backend, digest, place)

    def _check_content(self, stored: StoredPayload, node: Node) -> Iterator[int]:
        mark = blake3(f"{node.b3} {node.chunks}".encode()).digest(length=16)
        if mark in self._whole_files:
            return
        for part in stored.content(node):
            yield len(part)
        self._whole_files.add(mark)


def unreadable(
    backend: Backend, stored: StoredPayload, suspects: Container[str]
) -> dict[bytes, Location]:
    """Return which chunks that a payload needs out of these packs cannot be had from there.

    Raise CorruptError where its tree cannot be read, so that nobody can tell which they are.
    """
    bad: dict[bytes, Location] = {}
    seen = Places()
    for digest, place in needed(stored):
        if place.pack in suspects and seen.add(digest, place):
            try:
                read_chunk(backend, digest, place)
            except CorruptError:
                bad[digest] = place
    return bad


def read_chunk(backend: Backend, digest: bytes, place: Location) -> bytes:
    """Return the frame of a chunk, verified. Raise CorruptError where it is not at this place."""
    name = pack_name(place.pack)
    try:
        frame = backend.read(name, place.offset, place.length)
    except FileNotFoundError:
        raise CorruptError(f"{name} is missing") from None
    packs.unpack_frame(frame, place.size, digest, name, zstandard.ZstdDecompressor())
    return frame


def needed(stored: StoredPayload) -> Iterator[tuple[bytes, Location]]:
    """Yield every chunk that a payload's tree needs, with repeats, and where it lies."""
    for piece in stored.pieces:
        yield piece.digest, piece.location
    for node in stored.tree():
        for digest in stored.digests(node):
            yield digest, stored.place(digest)
