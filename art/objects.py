"""Payload bytes by digest: chunks in packs, found through layouts.

A `StoredPayload` hands out chunks, each verified. `art.writer` makes payloads.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import NoReturn, TypeVar

import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art import tree as trees
from art.backend import Backend
from art.errors import REPAIR, CorruptError
from art.layout import Layout, Piece, Ranges, Source, size_by_head
from art.model import Chunking
from art.pack import Location, pack_name
from art.tree import Node

_BLOCK_SIZE = 4 << 20
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # nobody waits for a pipe
LIST_RECORD = 36
T = TypeVar("T")
_LAYOUT_BEGINNING = 2 << 20  # no more is read of a file that does not say itself how long it is
_REQUEST_SIZE = 8 << 20  # no more is asked for at once
_REQUEST_COUNT = 1024
_GAP = 64 << 10  # so much between two chunks costs less than another request
_LINE_START = b'{"path":"'  # found nowhere else in a line, where quotes within texts are escaped
_TAIL_SIZE = 256 << 10  # holds the directory of most packs
_DIRECTORIES = 16
MARKS = "gc/marks"
_LOOKUPS = 3  # for so few chunks, their places in the table cost less than a directory


def layout_directory(payload: str) -> str:
    return f"layouts/{payload[:2]}/{payload}"


class ObjectStore:
    """The packs and layouts of one store. `jobs` is how many threads may work for it."""

    def __init__(self, backend: Backend, chunking: Chunking) -> None:
        self.backend = backend
        self.jobs = min(8, os.cpu_count() or 1)
        self.chunking = chunking

    def stored(
        self,
        payload: str,
        cache: Backend | None = None,
        avoid: Set[str] = frozenset(),
    ) -> StoredPayload | None:
        """Return a payload by the digest of its tree, None where this store does not have it, or only
        with packs that one should `avoid`.

        A layout whose packs are gone is passed over; on a remote, where each would be a request, a
        layout is believed, one without marked packs first. Raise CorruptError where every layout that
        there is is damaged. `cache` keeps layouts under their names, and is no more believed than the
        store.
        """
        return self._open(payload, lambda digest: self._chain(payload, digest, cache), avoid)

    def stored_ranged(self, payload: str) -> StoredPayload | None:
        """Return the same for reading a few files of many: of a large layout on a remote only the
        beginning is read, and ranges of the rest when they are needed."""
        if not self.is_remote:
            return self.stored(payload)
        return self._open(payload, lambda digest: self._partial_chain(payload, digest))

    @cached_property
    def is_remote(self) -> bool:
        """Whether reading from it means requests."""
        return self.backend.path("packs") is None

    def _open(
        self,
        payload: str,
        open_chain: Callable[[str], list[Layout]],
        avoid: Set[str] = frozenset(),
    ) -> StoredPayload | None:
        digests = sorted(self.backend.names(layout_directory(payload)))
        if self.is_remote and len(digests) > 1 and not avoid:
            with contextlib.suppress(CorruptError):  # the packs of some may be gone, or go soon
                if found := self._first(digests, open_chain, self.marked_packs()):
                    return found
        return self._first(digests, open_chain, avoid)

    def _first(
        self, digests: list[str], open_chain: Callable[[str], list[Layout]], avoid: Set[str]
    ) -> StoredPayload | None:
        problem: CorruptError | None = None
        for digest in digests:
            try:
                chain = open_chain(digest)
                if not _packs(chain).isdisjoint(avoid):
                    continue
                if self.is_remote or all(self.has_pack(pack) for pack in _packs(chain)):
                    return StoredPayload(self.backend, chain)
            except CorruptError as error:
                problem = error
        if problem:
            raise problem
        return None

    def has_pack(self, pack: str) -> bool:
        """Whether a pack is there, as long as its trailer says. Raise CorruptError where it is not
        whole: no new version may rely on it."""
        name = pack_name(pack)
        size = self.backend.size(name)
        if size is None:
            return False
        try:
            trailer = self.backend.read(name, max(0, size - packs.TRAILER_SIZE), packs.TRAILER_SIZE)
        except FileNotFoundError:  # gc took it in between
            return False
        packs.parse_trailer(trailer, size, name)
        return True

    def _chain(self, payload: str, digest: str, cache: Backend | None) -> list[Layout]:
        """Return a layout, and the one that it extends."""
        layout = self.layout(payload, digest, cache)
        if not (base := layout.extends):
            return [layout]
        return _checked_chain(layout, self.layout(base.payload, base.digest, cache))

    def _partial_chain(self, payload: str, digest: str) -> list[Layout]:
        layout = self._partial_layout(payload, digest)
        if not (base := layout.extends):
            return [layout]
        return _checked_chain(layout, self._partial_layout(base.payload, base.digest))

    def layout(self, payload: str, digest: str, cache: Backend | None = None) -> Layout:
        """Return one verified layout. Raise CorruptError."""
        name = f"{layout_directory(payload)}/{digest}"
        if cache and (data := _cached(cache, name, digest)) is not None:
            return _parsed(data, name, digest, payload)
        data = self._beginning(name)
        if len(data) == _LAYOUT_BEGINNING and self.backend.size(name) == size_by_head(data):
            data += self.backend.read(name, _LAYOUT_BEGINNING)
        _check_digest(data, name, digest)
        if cache:
            cache.replace(name, data)
        return _parsed(data, name, digest, payload)

    def _partial_layout(self, payload: str, digest: str) -> Layout:
        name = f"{layout_directory(payload)}/{digest}"
        data = self._beginning(name)
        source: Source = data
        if len(data) < _LAYOUT_BEGINNING:
            _check_digest(data, name, digest)
        else:

            def fetch(start: int, length: int) -> bytes:
                return self.backend.read(name, start, length)

            source = Ranges(data, size_by_head(data), fetch)
        return _parsed(source, name, digest, payload)

    def _beginning(self, name: str) -> bytes:
        try:
            return self.backend.read(name, 0, _LAYOUT_BEGINNING)
        except FileNotFoundError:
            raise CorruptError(f"{name} is missing", hint=REPAIR) from None

    def directory(self, pack: str) -> packs.Directory:
        """Return the verified directory of a pack. Raise FileNotFoundError or CorruptError."""
        return _read_directory(self.backend, pack)

    def check_pack(self, pack: str) -> None:
        """Read a whole pack. Raise CorruptError where it is not what its name says."""
        name = pack_name(pack)
        hasher = blake3()
        offset = 0
        while block := self.backend.read(name, offset, _BLOCK_SIZE):
            hasher.update(block)
            offset += len(block)
        if hasher.hexdigest() != pack:
            raise CorruptError(
                f"{name} is damaged: its content is not what its name says",
                hint="move it out of .art, then `art create` from the same files stores its content again",
            )

    def readings(self, payload: str, cache: Backend | None = None) -> Iterator[StoredPayload]:
        """Yield a payload once for each layout of it that is whole, whether its packs are there or not.
        Raise CorruptError at the end where there are layouts and none is whole."""
        problem: CorruptError | None = None
        is_found = False
        for digest in sorted(self.backend.names(layout_directory(payload))):
            try:
                found = StoredPayload(self.backend, self._chain(payload, digest, cache))
            except CorruptError as error:
                problem = problem or error
                continue
            is_found = True
            yield found
        if problem and not is_found:
            raise problem

    def marked_packs(self) -> set[str]:
        """Return the packs that gc is to delete, or deleted lately (FORMAT §13): what is new must not
        rely on them."""
        return set(self.backend.names(MARKS))

    def pack_ids(self) -> list[str]:
        """Return the ids of all packs."""
        suffix = ".pack"
        names = (item.name.rpartition("/")[2] for item in self.backend.walk("packs"))
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]


def _read_directory(backend: Backend, pack: str) -> packs.Directory:
    name = pack_name(pack)
    size = backend.size(name)
    if size is None:
        raise FileNotFoundError(name)
    tail_size = min(size, _TAIL_SIZE if backend.path(name) is None else packs.TRAILER_SIZE)
    tail = backend.read(name, size - tail_size, tail_size)
    offset, length, digest = packs.parse_trailer(tail[-packs.TRAILER_SIZE :], size, name)
    at = offset - (size - tail_size)
    data = tail[at : at + length] if at >= 0 else backend.read(name, offset, length)
    return packs.Directory(data, digest, name, offset)


def _cached(cache: Backend, name: str, digest: str) -> bytes | None:
    try:
        data = cache.read(name)
    except (FileNotFoundError, CorruptError):
        return None
    return data if blake3(data).hexdigest() == digest else None


def _check_digest(data: bytes, name: str, digest: str) -> None:
    if blake3(data).hexdigest() != digest:
        raise CorruptError(f"{name} is damaged: its content is not what its name says", hint=REPAIR)


def _parsed(data: Source, name: str, digest: str, payload: str) -> Layout:
    layout = Layout(data, name, digest)
    if layout.payload != payload:
        raise CorruptError(f"{name} is damaged: it is about another payload", hint=REPAIR)
    return layout


def _checked_chain(layout: Layout, extended: Layout) -> list[Layout]:
    if extended.depth:
        raise CorruptError(
            f"{layout.name} is damaged: it extends one that extends another", hint=REPAIR
        )
    return [layout, extended]


def _packs(chain: list[Layout]) -> set[str]:
    return {pack for layout in chain for pack in layout.packs}


class StoredPayload:
    """One payload in one store, for reading. Safe to share between threads."""

    def __init__(self, backend: Backend, chain: list[Layout]) -> None:
        """Raise CorruptError where the pieces are not those of the payload."""
        self._chain = chain
        self._pieces = chain[0].pieces()
        self._backend = backend
        self._is_remote = backend.path("packs") is None
        self._local = threading.local()
        self._directories: OrderedDict[str, packs.Directory] = OrderedDict()
        self._piece_places: dict[bytes, Location] = {}
        self.digest = chain[0].payload
        self.name = chain[0].name
        pieces = (chunk_record(piece.digest, piece.location.size) for piece in self._pieces)
        if blake3(b"".join(pieces)).hexdigest() != self.digest:
            raise CorruptError(f"{self.name} is damaged: it gives another tree", hint=REPAIR)

    @property
    def layout(self) -> Layout:
        return self._chain[0]

    @property
    def pieces(self) -> Sequence[Piece]:
        """The pieces of its tree, in order."""
        return self._pieces

    @property
    def root(self) -> Layout:
        """The layout that another may extend."""
        return self._chain[-1]

    def root_payload(self) -> StoredPayload:
        """Return the payload whose layout the root is."""
        return StoredPayload(self._backend, [self.root])

    @property
    def size(self) -> int:
        """Bytes of all frames that its layouts place."""
        record = layouts.RECORD
        tables = (layout.table() for layout in self._chain)
        return sum(length for table in tables for *_, length, _ in record.iter_unpack(table))

    @property
    def is_extensible(self) -> bool:
        """Whether a further layout had better extend the root, too, than stand alone."""
        return self.layout is self.root or 2 * self.layout.chunk_count < self.root.chunk_count

    def packs(self) -> set[str]:
        """Return the ids of all packs it needs."""
        return _packs(self._chain)

    def places(self) -> Iterator[Location]:
        """Yield where all chunks lie that its layouts name, pieces of the tree included."""
        for layout in self._chain:
            yield from (location for _, location in layout.records())
        yield from (piece.location for piece in self._pieces)

    def find(self, digest: bytes) -> Location | None:
        """Return where a chunk lies, None where it is no part of this payload's layout."""
        for layout in self._chain:
            if location := layout.find(digest):
                return location
        return None

    def find_piece(self, digest: bytes) -> Location | None:
        """Return where a piece of the tree lies, None where it is none of this payload's."""
        if not self._piece_places:
            self._piece_places = {piece.digest: piece.location for piece in self._pieces}
        return self._piece_places.get(digest)

    def place(self, digest: bytes) -> Location:
        """Return where a chunk lies. Raise CorruptError where no layout says."""
        return self.find(digest) or self._missing(digest)

    def chunk(self, digest: bytes) -> bytes:
        """Return a verified chunk. Raise CorruptError."""
        return self._read(digest, self.place(digest))

    def _missing(self, digest: bytes) -> NoReturn:
        raise CorruptError(
            f"{self.name} is damaged: chunk {digest.hex()[:16]} is nowhere", hint=REPAIR
        )

    def tree(self) -> Iterator[Node]:
        """Yield the nodes in order, verified."""
        return trees.parse(self._parts(range(len(self._pieces))), f"tree {self.digest[:16]}")

    def tree_lines(self) -> Iterator[list[bytes]]:
        """Yield the lines of the tree, many at once. Neither they nor their order are checked."""
        return trees.split(self._parts(range(len(self._pieces))), f"tree {self.digest[:16]}")

    def node(self, path: str) -> Node | None:
        """Return the node of a path, None where there is none. Reads only the pieces of the tree that
        may hold it."""
        return self._seek(path) or self._seek(path + "/")

    def nodes_of(self, pieces: Iterable[int], seen: trees.Seen | None = None) -> Iterator[Node]:
        """Yield, in order, the nodes of all lines of which a part lies in these pieces, given by their
        positions in order, and perhaps of some others; not of lines that were `seen`."""
        runs: list[tuple[int, int]] = []
        for position in pieces:
            start = self._line_start(position)
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], position + 1)
            else:
                runs.append((start, position + 1))
        for start, end in runs:
            yield from self._nodes(start, end, seen=seen)

    def _line_start(self, position: int) -> int:
        """Return the piece in which the line begins that may go on into this one."""
        position = max(0, position - 1)
        while position and not self._pieces[position].first_path:
            position -= 1
        return position

    def _seek(self, order: str) -> Node | None:
        """Find the node by what trees are sorted by. The first paths only say where to begin: that a
        node is missing is told by those around its place."""
        start = self._last_before(order)
        last = ""
        for at in range(start, len(self._pieces), 2):
            for node in self._nodes(at, min(at + 2, len(self._pieces)), is_strict=at == start):
                if node.order == order:
                    return node
                if node.order > order:
                    if start and not last:
                        raise self._wrong_paths()
                    return None
                last = node.order
        return None

    def _last_before(self, order: str) -> int:
        """Return the last piece in which a line begins that is not beyond `order`, by the first paths."""
        low, high = 0, len(self._pieces)
        while low < high:
            middle = at = (low + high) // 2
            while at > low and not self._pieces[at].first_path:
                at -= 1
            if self._first_order(at) <= order:
                low = middle + 1
            else:
                high = at
        return self._line_start(low)

    def _first_order(self, position: int) -> str:
        try:
            return trees.unquoted_order(self._pieces[position].first_path)
        except ValueError:
            raise self._wrong_paths() from None

    def _wrong_paths(self) -> CorruptError:
        return CorruptError(
            f"{self.name} is damaged: its first paths are not those of the tree", hint=REPAIR
        )

    def _nodes(
        self, start: int, end: int, *, is_strict: bool = True, seen: trees.Seen | None = None
    ) -> Iterator[Node]:
        """Yield the nodes whose lines begin in these pieces. With `is_strict`, one must begin in the
        first of them."""
        name = f"tree {self.digest[:16]}"
        rest = b""
        is_inside = start > 0  # a line from before
        for number, part in enumerate(self._parts(range(start, end))):
            data = part
            if is_inside and not part.startswith(_LINE_START):
                data = part[part.find(b"\n") + 1 :] if b"\n" in part else b""
            is_inside = is_inside and not data
            if not data and is_strict and not number:
                raise self._wrong_paths()
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if len(rest) > trees.LINE_LIMIT:
                raise CorruptError(f"{name} is damaged: a line is too long", hint=REPAIR)
            lines = seen.unseen(lines) if seen else lines
            yield from (trees.parse_line(line, name) for line in lines)
        if rest:
            yield trees.parse_line(rest + self._line_end(end, len(rest)), name)

    def _line_end(self, start: int, length: int) -> bytes:
        """Return the rest of a line that goes on in this piece, without its newline."""
        parts = []
        for position in range(start, len(self._pieces)):
            (part,) = self._parts([position])
            head, newline, _ = part.partition(b"\n")
            parts.append(head)
            length += len(head)
            if newline:
                return b"".join(parts)
            if length > trees.LINE_LIMIT:
                break
        raise CorruptError(f"tree {self.digest[:16]} is damaged: a line has no end")

    def _parts(self, positions: Iterable[int]) -> Iterator[bytes]:
        """Yield verified pieces of the tree."""
        pieces = (self._pieces[position] for position in positions)
        return self._read_all((piece.digest, piece.location) for piece in pieces)

    def chunks(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """Yield digest and length of each chunk of a file, in order."""
        if not node.size:
            return
        if not node.chunks:
            yield bytes.fromhex(node.b3), node.size
        elif not node.chunks_are_list:
            for digest, length in node.chunks:
                yield bytes.fromhex(digest), length
        else:
            yield from self._listed_chunks(node)

    def _listed_chunks(self, node: Node) -> Iterator[tuple[bytes, int]]:
        rest = b""
        parts = self._contents((bytes.fromhex(digest), length) for digest, length in node.chunks)
        for part in parts:
            data = rest + part
            whole = len(data) - len(data) % LIST_RECORD
            rest = data[whole:]
            for at in range(0, whole, LIST_RECORD):
                yield data[at : at + 32], int.from_bytes(data[at + 32 : at + 36], "little")
        if rest:
            raise CorruptError(
                f"tree {self.digest[:16]} is damaged: the chunk list of {node.path!r}"
            )

    def digests(self, node: Node) -> Iterator[bytes]:
        """Yield the digests of all chunks that a node needs, those of its list of chunks as well."""
        if node.is_file:
            if node.chunks_are_list:
                yield from (bytes.fromhex(digest) for digest, _ in node.chunks)
            yield from (digest for digest, _ in self.chunks(node))

    def content(self, node: Node) -> Iterator[bytes]:
        """Yield the content of a file in parts, each verified; raise at the end if the whole is not
        what the tree says."""
        hasher = blake3()
        size = 0
        for part in self._contents(self._promised(node)):
            size += len(part)
            if node.chunks:
                hasher.update(part)
            yield part
        if size != node.size or (node.chunks and hasher.hexdigest() != node.b3):
            raise self._wrong_content(node)

    def _promised(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """Yield its chunks. Raise CorruptError before they come to more than its size."""
        size = 0
        for digest, length in self.chunks(node):
            size += length
            if size > node.size or not length:
                raise self._wrong_content(node)
            yield digest, length

    def _wrong_content(self, node: Node) -> CorruptError:
        return CorruptError(
            f"tree {self.digest[:16]} is damaged: the chunks of {node.path!r} are not its content",
            hint=REPAIR,
        )

    def small_content(self, node: Node) -> bytes:
        """Return the verified content of a file of one chunk or none."""
        if not node.size:
            return b""
        return self._sized(bytes.fromhex(node.b3), node.size)

    def _sized(self, digest: bytes, length: int) -> bytes:
        data = self.chunk(digest)
        if len(data) != length:
            raise self._wrong_length()
        return data

    def _wrong_length(self) -> CorruptError:
        return CorruptError(f"tree {self.digest[:16]} is damaged: a chunk has another length")

    def _contents(self, chunks: Iterable[tuple[bytes, int]]) -> Iterator[bytes]:
        """Yield verified chunks, given by digest and length."""
        if not self._is_remote:
            return (self._sized(digest, length) for digest, length in chunks)
        return self._read_all(self._located(chunks))

    def _located(self, chunks: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, Location]]:
        for batch in _batches(chunks, lambda chunk: chunk[1]):
            places = self._locate({digest for digest, _ in batch})
            for digest, length in batch:
                location = places.get(digest) or self._missing(digest)
                if location.size != length:
                    raise self._wrong_length()
                yield digest, location

    def _locate(self, digests: set[bytes]) -> dict[bytes, Location]:
        """Return where chunks lie, with as few requests as that takes."""
        found: dict[bytes, Location] = {}
        for layout in self._chain:
            missing = digests - found.keys()
            if layout.is_partial and layout.table_size <= _LAYOUT_BEGINNING:
                layout.complete()
            if layout.is_partial:
                self._look_up(layout, missing, found)
            else:
                places = ((digest, layout.find(digest)) for digest in missing)
                found |= {digest: location for digest, location in places if location}
        return found

    def _look_up(self, layout: Layout, missing: set[bytes], found: dict[bytes, Location]) -> None:
        """Find chunks where each look into the table is a request. It says in which pack one lies;
        the directory of that pack, which takes two, has its neighbours in the file, too."""
        for pack in list(self._directories):
            missing -= self._look_into(pack, missing, found)
        while missing:
            location = layout.find(digest := missing.pop())
            if location is None:
                return  # it is in none, as this layout is the last one
            found[digest] = location
            if len(missing) >= _LOOKUPS:
                missing -= self._look_into(location.pack, missing, found)

    def _look_into(
        self, pack: str, missing: set[bytes], found: dict[bytes, Location]
    ) -> set[bytes]:
        """Find chunks in the directory of a pack; return their digests."""
        directory = self._directories.get(pack)
        if directory is None:
            try:
                directory = _read_directory(self._backend, pack)
            except FileNotFoundError:
                raise CorruptError(f"{pack_name(pack)} is missing", hint=REPAIR) from None
            self._directories[pack] = directory
            if len(self._directories) > _DIRECTORIES:
                self._directories.popitem(last=False)
        here = {digest: place for digest in missing if (place := directory.find(digest))}
        found |= {digest: Location(pack, *place) for digest, place in here.items()}
        return set(here)

    def _read_all(self, chunks: Iterable[tuple[bytes, Location]]) -> Iterator[bytes]:
        """Yield verified chunks in this order; on a remote, neighbours come by one request."""
        if not self._is_remote:
            yield from (self._read(digest, location) for digest, location in chunks)
            return
        decompressor = zstandard.ZstdDecompressor()
        for batch in _batches(chunks, lambda chunk: chunk[1].length):
            frames: dict[Location, bytes] = {}
            for run in runs({location for _, location in batch}):
                frames |= read_run(self._backend, run)
            for digest, location in batch:
                name = pack_name(location.pack)
                yield packs.unpack_frame(
                    frames[location], location.size, digest, name, decompressor
                )

    def _read(self, digest: bytes, location: Location) -> bytes:
        reader: _PackReader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _PackReader(self._backend)
        return reader.chunk(digest, location)


def runs(places: Iterable[Location], gap: int = _GAP) -> Iterator[list[Location]]:
    """Yield these places in the order of packs and offsets, in groups that one request can read."""
    run: list[Location] = []
    for place in sorted(places, key=lambda place: (place.pack, place.offset)):
        if run and not _is_near(run, place, gap):
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _is_near(run: list[Location], place: Location, gap: int) -> bool:
    end = run[-1].offset + run[-1].length
    is_small = place.offset + place.length - run[0].offset <= _REQUEST_SIZE
    return place.pack == run[0].pack and place.offset - end <= gap and is_small


def read_run(backend: Backend, run: list[Location]) -> dict[Location, bytes]:
    """Read neighbouring frames of one pack by one request. They are not verified."""
    start = run[0].offset
    name = pack_name(run[0].pack)
    end = max(place.offset + place.length for place in run)
    try:
        data = backend.read(name, start, end - start)
    except FileNotFoundError:
        raise CorruptError(f"{name} is missing", hint=REPAIR) from None
    return {
        place: data[place.offset - start : place.offset - start + place.length] for place in run
    }


def _batches(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    batch: list[T] = []
    size = 0
    for item in items:
        if batch and (size + size_of(item) > _REQUEST_SIZE or len(batch) == _REQUEST_COUNT):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += size_of(item)
    if batch:
        yield batch


class _PackReader:
    """Reads chunks from packs, for one thread; on this machine's disk it keeps some packs open."""

    _LIMIT = 32

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._open: OrderedDict[str, int] = OrderedDict()
        self._decompressor = zstandard.ZstdDecompressor()

    def chunk(self, digest: bytes, location: Location) -> bytes:
        """Return a verified chunk. Raise CorruptError."""
        frame = self._frame(location)
        return packs.unpack_frame(
            frame, location.size, digest, pack_name(location.pack), self._decompressor
        )

    def _frame(self, location: Location) -> bytes:
        handle = self._open.get(location.pack)
        name = pack_name(location.pack)
        try:
            if handle is None:
                path = self._backend.path(name)
                if path is None or not hasattr(os, "pread"):
                    return self._backend.read(name, location.offset, location.length)
                handle = self._open_pack(location.pack, path)
            return os.pread(handle, location.length, location.offset)
        except OSError as error:
            raise CorruptError(f"{name} cannot be read: {error.strerror}", hint=REPAIR) from error

    def _open_pack(self, pack: str, path: Path) -> int:
        handle = self._open[pack] = os.open(path, _READ_FLAGS)
        if len(self._open) > self._LIMIT:
            os.close(self._open.popitem(last=False)[1])
        return handle

    def __del__(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


def chunk_record(digest: bytes, length: int) -> bytes:
    """Return how lists of chunks write one (FORMAT §5)."""
    return digest + length.to_bytes(4, "little")
