"""Payload bytes by digest: cut into chunks, stored in packs, found through layouts.

Writing: a `PayloadWriter` takes chunks in order. The caller's thread reads, cuts and hashes; a
second thread compresses, writes and hashes packs; a third waits for the disk. Nothing is visible
before `finish`, which returns when packs and layout are durable.

Reading: a `StoredPayload` hands out chunks, each verified.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art import tree as trees
from art.backend import Backend
from art.errors import CorruptError
from art.layout import Layout, size_by_head
from art.model import Chunking
from art.pack import Location, pack_name
from art.packer import Packer
from art.tree import Node

if TYPE_CHECKING:
    from typing_extensions import Self

BLOCK_SIZE = 4 << 20
_BATCH_BYTES = 2 << 20
_BATCH_CHUNKS = 256
_LIST_RECORD = 36
_LAYOUT_BEGINNING = 1 << 20  # no more is read of a file that does not say itself how long it is


class ChunkHints(Protocol):
    """Guesses in which pack a chunk lies. They are checked before they are used."""

    def find(self, digest: bytes) -> str | None:
        """Return the id of a pack that may hold the chunk."""


class NoHints:
    """Knows nothing."""

    def find(self, digest: bytes) -> str | None:
        return None


def layout_directory(payload: str) -> str:
    return f"layouts/{payload[:2]}/{payload}"


class ObjectStore:
    """The packs and layouts of one store. `jobs` is how many threads may work for it."""

    def __init__(self, backend: Backend, chunking: Chunking) -> None:
        self.backend = backend
        self.jobs = min(8, os.cpu_count() or 1)
        self.chunking = chunking

    def stored(self, payload: str) -> StoredPayload | None:
        """Return a payload by the digest of its tree, None where this store does not have it.

        A layout whose packs are gone is passed over. Raise CorruptError where every layout that
        there is is damaged.
        """
        problem: CorruptError | None = None
        for digest in sorted(self.backend.names(layout_directory(payload))):
            try:
                chain = self._chain(payload, digest)
                if all(self._has_pack(pack) for pack in _packs(chain)):
                    return StoredPayload(self.backend, chain)
            except CorruptError as error:
                problem = error
        if problem:
            raise problem
        return None

    def _has_pack(self, pack: str) -> bool:
        """Whether a pack is there, as long as its trailer says. Raise CorruptError where it is not
        whole: no new version may rely on it."""
        name = pack_name(pack)
        size = self.backend.size(name)
        if size is None:
            return False
        trailer = self.backend.read(name, max(0, size - packs.TRAILER_SIZE), packs.TRAILER_SIZE)
        packs.parse_trailer(trailer, size, name)
        return True

    def _chain(self, payload: str, digest: str) -> list[Layout]:
        """Return a layout, and the one that it extends."""
        layout = self._layout(payload, digest)
        if not (base := layout.extends):
            return [layout]
        extended = self._layout(base.payload, base.digest)
        if extended.depth:
            raise CorruptError(
                f"{layout.name} is damaged: it extends one that extends another", hint="art doctor"
            )
        return [layout, extended]

    def _layout(self, payload: str, digest: str) -> Layout:
        name = f"{layout_directory(payload)}/{digest}"
        try:
            data = self.backend.read(name, 0, _LAYOUT_BEGINNING)
            if len(data) == _LAYOUT_BEGINNING and self.backend.size(name) == size_by_head(data):
                data += self.backend.read(name, _LAYOUT_BEGINNING)
        except FileNotFoundError:
            raise CorruptError(f"{name} is missing", hint="art doctor") from None
        if blake3(data).hexdigest() != digest:
            raise CorruptError(
                f"{name} is damaged: its content is not what its name says", hint="art doctor"
            )
        layout = Layout(data, name)
        if layout.payload != payload:
            raise CorruptError(f"{name} is damaged: it is about another payload", hint="art doctor")
        return layout

    def directory(self, pack: str) -> packs.Directory:
        """Return the verified directory of a pack. Raise FileNotFoundError or CorruptError."""
        name = pack_name(pack)
        size = self.backend.size(name)
        if size is None:
            raise FileNotFoundError(name)
        trailer = self.backend.read(name, max(0, size - packs.TRAILER_SIZE), packs.TRAILER_SIZE)
        offset, length, digest = packs.parse_trailer(trailer, size, name)
        return packs.Directory(self.backend.read(name, offset, length), digest, name, offset)

    def check_pack(self, pack: str) -> None:
        """Read a whole pack. Raise CorruptError where it is not what its name says."""
        name = pack_name(pack)
        hasher = blake3()
        offset = 0
        while block := self.backend.read(name, offset, BLOCK_SIZE):
            hasher.update(block)
            offset += len(block)
        if hasher.hexdigest() != pack:
            raise CorruptError(
                f"{name} is damaged: its content is not what its name says",
                hint="move it out of .art, then `art create` from the same files stores its content again",
            )

    def pack_ids(self) -> list[str]:
        """Return the ids of all packs."""
        suffix = ".pack"
        names = (item.name.rpartition("/")[2] for item in self.backend.walk("packs"))
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]


def _packs(chain: list[Layout]) -> set[str]:
    return {pack for layout in chain for pack in layout.packs}


class StoredPayload:
    """One payload in one store, for reading. Safe to share between threads."""

    def __init__(self, backend: Backend, chain: list[Layout]) -> None:
        """Raise CorruptError where the pieces are not those of the payload."""
        self._chain = chain
        self._pieces = chain[0].pieces()
        self._backend = backend
        self._local = threading.local()
        self.digest = chain[0].payload
        self.name = chain[0].name
        pieces = (_record(piece.digest, piece.location.size) for piece in self._pieces)
        if blake3(b"".join(pieces)).hexdigest() != self.digest:
            raise CorruptError(f"{self.name} is damaged: it gives another tree", hint="art doctor")

    @property
    def layout(self) -> Layout:
        return self._chain[0]

    @property
    def root(self) -> Layout:
        """The layout that another may extend."""
        return self._chain[-1]

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

    def chunk(self, digest: bytes) -> bytes:
        """Return a verified chunk. Raise CorruptError."""
        location = self.find(digest)
        if location is None:
            raise CorruptError(
                f"{self.name} is damaged: chunk {digest.hex()[:16]} is nowhere", hint="art doctor"
            )
        return self._read(digest, location)

    def tree(self) -> Iterator[Node]:
        """Yield the nodes in order, verified."""
        parts = (self._read(piece.digest, piece.location) for piece in self._pieces)
        return trees.parse(parts, f"tree {self.digest[:16]}")

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
        for digest, length in node.chunks:
            data = rest + self._sized(bytes.fromhex(digest), length)
            whole = len(data) - len(data) % _LIST_RECORD
            rest = data[whole:]
            for at in range(0, whole, _LIST_RECORD):
                yield data[at : at + 32], int.from_bytes(data[at + 32 : at + 36], "little")
        if rest:
            raise CorruptError(
                f"tree {self.digest[:16]} is damaged: the chunk list of {node.path!r}"
            )

    def content(self, node: Node) -> Iterator[bytes]:
        """Yield the content of a file in parts, each verified; raise at the end if the whole is not
        what the tree says."""
        hasher = blake3()
        size = 0
        for digest, length in self.chunks(node):
            part = self._sized(digest, length)
            size += length
            if size > node.size or not length:
                break
            if node.chunks:
                hasher.update(part)
            yield part
        if size != node.size or (node.chunks and hasher.hexdigest() != node.b3):
            raise CorruptError(
                f"tree {self.digest[:16]} is damaged: the chunks of {node.path!r} are not its content",
                hint="art doctor",
            )

    def small_content(self, node: Node) -> bytes:
        """Return the verified content of a file of one chunk or none."""
        if not node.size:
            return b""
        return self._sized(bytes.fromhex(node.b3), node.size)

    def _sized(self, digest: bytes, length: int) -> bytes:
        data = self.chunk(digest)
        if len(data) != length:
            raise CorruptError(f"tree {self.digest[:16]} is damaged: a chunk has another length")
        return data

    def _read(self, digest: bytes, location: Location) -> bytes:
        reader: _PackReader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _PackReader(self._backend)
        return reader.chunk(digest, location)


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
            raise CorruptError(
                f"{name} cannot be read: {error.strerror}", hint="art doctor"
            ) from error

    def _open_pack(self, pack: str, path: Path) -> int:
        handle = self._open[pack] = os.open(path, os.O_RDONLY)
        if len(self._open) > self._LIMIT:
            os.close(self._open.popitem(last=False)[1])
        return handle

    def __del__(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


@dataclass(frozen=True)
class Written:
    """What writing a payload came to. `chunks` are new or newly found: digest prefix and pack id."""

    payload: str
    stored_bytes: int
    packs: list[str]
    chunks: Callable[[], Iterable[tuple[bytes, str]]]


class PayloadWriter:
    """Stores one payload. Use as a context manager; without `finish` everything is dropped.

    `base` is a payload whose chunks need not be stored again.
    """

    def __init__(self, store: ObjectStore, base: StoredPayload | None, hints: ChunkHints) -> None:
        self._store = store
        self._base = base
        self._hints = hints
        self._extends = base is not None and base.is_extensible
        self._seen: set[bytes] = set()
        self._directories: dict[str, packs.Directory | None] = {}
        self._packer = Packer(store.backend, store.jobs)
        self._batch: list[tuple[bytes, bytes | memoryview]] = []
        self._batch_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._packer.abort()

    @property
    def covered(self) -> str | None:
        """The payload all of whose files are known to be stored: no need to ask for them."""
        return self._base.digest if self._base and self._extends else None

    @property
    def whole(self) -> int:
        """Content of at most so many bytes is one chunk."""
        return self._store.chunking.whole

    def has(self, digest: bytes) -> bool:
        """Whether the chunk is stored or on its way. Then it is part of this payload's layout."""
        if digest in self._seen:
            return True
        if self._base and (location := self._base.find(digest)):
            if not self._extends:
                self._adopt(digest, location)
            return True
        hint = self._hints.find(digest)
        return hint is not None and self._check_hint(digest, hint)

    def has_file(self, node: Node) -> bool:
        """Whether all chunks of a file are stored, those of its list of chunks as well."""
        if not node.chunks:
            return not node.size or self.has(bytes.fromhex(node.b3))
        if not all(self.has(bytes.fromhex(digest)) for digest, _ in node.chunks):
            return False
        if not node.chunks_are_list:
            return True
        base = self._base
        if base is None or any(not base.find(bytes.fromhex(digest)) for digest, _ in node.chunks):
            return False
        return all(self.has(digest) for digest, _ in base.chunks(node))

    def add(self, data: bytes | memoryview, digest: bytes | None = None) -> bytes:
        """Store a chunk unless it is stored; return its digest. `data` must not change later."""
        digest = digest or blake3(data).digest()
        if not self.has(digest):
            self._seen.add(digest)
            self._queue(digest, data)
        return digest

    def add_file(
        self, read: Callable[[int], bytes]
    ) -> tuple[str, int, tuple[tuple[str, int], ...], bool]:
        """Store a file of any length from `read(size)`, which returns b"" at its end.

        Return its digest, size, chunks and whether these hold the list of its chunks (`Node`).
        """
        hasher = blake3()
        chunks: list[bytes] = []
        size = 0

        def blocks() -> Iterator[bytes]:
            nonlocal size
            while block := read(BLOCK_SIZE):
                hasher.update(block)
                size += len(block)
                yield block

        for chunk in cut(blocks(), self._store.chunking):
            chunks.append(_record(self.add(chunk), len(chunk)))
        if len(chunks) < 2:
            return hasher.hexdigest(), size, (), False
        if len(chunks) <= trees.INLINE_CHUNKS:
            return hasher.hexdigest(), size, _as_text(chunks), False
        records = [
            _record(self.add(part), len(part))
            for part in cut(_blocks(chunks), self._store.chunking)
        ]
        return hasher.hexdigest(), size, _as_text(records), True

    def finish(self, lines: Iterable[bytes]) -> Written:
        """Store the tree of these lines, which come in the order of their paths, and make everything
        durable, packs before the layout.

        `lines` is consumed once, so it may add the files as it goes.
        """
        tree, pieces = self._add_tree(lines)
        self._flush()
        self._adopt_extension()
        self._packer.finish()
        self._seen.clear()
        if self._is_stored(tree):
            # Another writer may have put its layout there a moment ago.
            self._store.backend.sync(layout_directory(tree))
        else:
            self._write_layout(tree, pieces)
        packer = self._packer
        return Written(tree, packer.stored_bytes, packer.new_packs(), packer.placed)

    def _add_tree(self, lines: Iterable[bytes]) -> tuple[str, list[tuple[bytes, str]]]:
        """Return the payload's digest and the pieces of its tree: digest and first path of each."""
        hasher = blake3()
        begun: deque[tuple[int, bytes]] = deque()  # offset and line, of lines not yet in a piece
        pieces = []
        end = 0
        for piece in cut(_tree_blocks(lines, begun), self._store.chunking):
            end += len(piece)
            first = begun[0][1] if begun and begun[0][0] < end else None
            while begun and begun[0][0] < end:
                begun.popleft()
            digest = self._add_piece(bytes(piece))
            hasher.update(_record(digest, len(piece)))
            pieces.append((digest, trees.quoted_order(first) if first else ""))
        return hasher.hexdigest(), pieces

    def _add_piece(self, data: bytes) -> bytes:
        """Store a piece of the tree. Its place goes into this layout's own table in any case."""
        digest = blake3(data).digest()
        location = self._base.find(digest) if self._base else None
        if location and digest not in self._seen:
            self._adopt(digest, location)
        return self.add(data, digest)

    def _adopt_extension(self) -> None:
        """Take over what the base's own layout adds to the root, which both extend."""
        if self._base and self._extends and self._base.layout is not self._base.root:
            for digest, location in self._base.layout.records():
                if digest not in self._seen:
                    self._adopt(digest, location)

    def _is_stored(self, tree: str) -> bool:
        """Whether a layout of this tree is there already; a damaged one does not count."""
        if self._base and tree == self._base.digest:
            return True
        try:
            return self._store.stored(tree) is not None
        except CorruptError:
            return False

    def _write_layout(self, tree: str, pieces: list[tuple[bytes, str]]) -> None:
        records = self._packer.records()
        width = layouts.RECORD.size
        count = len(records) // width
        table = []
        for digest, path in pieces:
            at = packs.find_record(records, width, digest, 0, count)
            assert at is not None, "every piece was added"
            table.append((records[at * width : at * width + width], path))
        root = self._base.root if self._base and self._extends else None
        data = layouts.encode(tree, self._packer.pack_ids(), records, table, root)
        name = f"{layout_directory(tree)}/{blake3(data).hexdigest()}"
        backend = self._store.backend
        if not backend.create(name, data) and backend.read(name) != data:
            backend.replace(name, data)  # its name says what it must be, so this can only mend it

    def _adopt(self, digest: bytes, location: Location) -> None:
        self._seen.add(digest)
        self._packer.adopt(digest, location)

    def _check_hint(self, digest: bytes, pack: str) -> bool:
        """Believe a hint only after the pack itself says so."""
        if pack not in self._directories:
            try:
                self._directories[pack] = self._store.directory(pack)
            except (FileNotFoundError, CorruptError):
                self._directories[pack] = None  # then the chunk is simply stored again
        directory = self._directories[pack]
        found = directory.find(digest) if directory else None
        if found is None:
            return False
        self._adopt(digest, Location(pack, *found))
        return True

    def _queue(self, digest: bytes, data: bytes | memoryview) -> None:
        self._batch.append((digest, data))
        self._batch_bytes += len(data)
        if self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= _BATCH_CHUNKS:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._packer.put(self._batch)
        self._batch, self._batch_bytes = [], 0


class TreeHasher(PayloadWriter):
    """Works out a checksum of a folder and stores nothing."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store, None, NoHints())

    def has(self, digest: bytes) -> bool:
        return True

    def add_file(
        self, read: Callable[[int], bytes]
    ) -> tuple[str, int, tuple[tuple[str, int], ...], bool]:
        hasher = blake3()
        size = 0
        while block := read(BLOCK_SIZE):
            hasher.update(block)
            size += len(block)
        return hasher.hexdigest(), size, (), False

    def digest(self, lines: Iterable[bytes]) -> str:
        """Return the BLAKE3 of these lines, which say nothing of chunks."""
        hasher = blake3()
        for line in lines:
            hasher.update(line)
        return hasher.hexdigest()


def _record(digest: bytes, length: int) -> bytes:
    """Return how lists of chunks write one (FORMAT §5)."""
    return digest + length.to_bytes(4, "little")


def _as_text(chunks: list[bytes]) -> tuple[tuple[str, int], ...]:
    return tuple((chunk[:32].hex(), int.from_bytes(chunk[32:], "little")) for chunk in chunks)


def _blocks(parts: list[bytes]) -> Iterator[bytes]:
    step = BLOCK_SIZE // _LIST_RECORD
    for at in range(0, len(parts), step):
        yield b"".join(parts[at : at + step])


def _tree_blocks(
    lines: Iterable[bytes], begun: deque[tuple[int, bytes]]
) -> Iterator[bytes]:
    """Yield the lines in blocks; note for each in `begun` where it begins."""
    block: list[bytes] = []
    offset = block_start = 0
    for line in lines:
        begun.append((offset, line))
        block.append(line)
        offset += len(line)
        if offset - block_start >= BLOCK_SIZE // 4:
            yield b"".join(block)
            block, block_start = [], offset
    yield b"".join(block)


def cut(blocks: Iterable[bytes], chunking: Chunking) -> Iterator[memoryview]:
    """Yield the chunks of a byte string given in blocks, whatever the blocks' sizes (FORMAT §6)."""
    source = iter(blocks)
    buffer = b""
    for block in source:
        buffer += block
        if len(buffer) > chunking.whole:
            break
    else:
        if buffer:
            yield memoryview(buffer)
        return
    from pyfastcdc import FastCDC

    cutter = FastCDC(chunking.average, min_size=chunking.min, max_size=chunking.max)
    while True:
        view = memoryview(buffer)
        ends = [chunk.offset + chunk.length for chunk in cutter.cut_buf(buffer)]
        # The last cut may only be there because the buffer ends: it waits for what follows.
        start = 0
        for end in ends[:-1]:
            yield view[start:end]
            start = end
        block = next(source, b"")
        if not block:
            yield view[start:]
            return
        buffer = b"".join((view[start:], block))
