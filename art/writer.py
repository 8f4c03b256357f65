"""Writing payloads: cut into chunks, into packs, and a layout that says where each lies.

A `PayloadWriter` takes chunks in order. The caller's thread reads, cuts and hashes; a second thread
compresses, writes and hashes packs; a third waits for the disk. Nothing is visible before `finish`,
which returns when packs and layout are durable.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art import tree as trees
from art.errors import CorruptError
from art.model import Chunking
from art.objects import ObjectStore, layout_directory
from art.pack import Location
from art.packer import Packer
from art.stored import LIST_RECORD, StoredPayload, chunk_record
from art.tree import Node

if TYPE_CHECKING:
    from typing_extensions import Self

BLOCK_SIZE = 4 << 20
_BATCH_BYTES = 2 << 20
_BATCH_CHUNKS = 256


class ChunkHints(Protocol):
    """Guesses in which packs chunks lie. They are checked before they are used."""

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Return the id of a pack that may hold the chunk, for each of which one is known."""


class NoHints:
    """Knows nothing."""

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        return {}


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
        self._distrusted = store.distrusted
        is_sound = base is not None and base.packs().isdisjoint(self._distrusted)
        self._base = base = base if is_sound else None
        self._hints = hints
        self._extends = base is not None and base.is_extensible
        self._seen = _Digests()
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
        if self._is_known(digest):
            return True
        hint = self._hints.find([digest]).get(digest)
        return hint is not None and self._check_hint(digest, hint)

    def _is_known(self, digest: bytes) -> bool:
        """The same, without asking for hints."""
        if digest in self._seen:
            return True
        location = self._base.find(digest) if self._base else None
        if location and not self._extends:
            self._adopt(digest, location)
        return location is not None

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
        if not self._is_known(digest):  # hints are asked for many at once, which takes a tenth
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
            chunks.append(chunk_record(self.add(chunk), len(chunk)))
        if len(chunks) < 2:
            return hasher.hexdigest(), size, (), False
        if len(chunks) <= trees.INLINE_CHUNKS:
            return hasher.hexdigest(), size, _as_text(chunks), False
        records = [
            chunk_record(self.add(part), len(part))
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
        self._seen = _Digests()
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
            hasher.update(chunk_record(digest, len(piece)))
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
        """Whether a layout of this tree is there already; a damaged one does not count, nor one that
        needs a damaged pack."""
        if self._base and tree == self._base.digest:
            return True
        try:
            return self._store.stored(tree, avoid=self._distrusted) is not None
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
        """Believe a hint only after the pack itself says so, and never a damaged one."""
        if pack in self._distrusted:
            return False
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
        if not self._batch:
            return
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if hints := self._hints.find([digest for digest, _ in batch]):
            batch = [
                (digest, data)
                for digest, data in batch
                if digest not in hints or not self._check_hint(digest, hints[digest])
            ]
        if batch:
            self._packer.put(batch)


class TreeHasher(PayloadWriter):
    """Works out a checksum of a folder and stores nothing."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store, None, NoHints())

    def _is_known(self, digest: bytes) -> bool:
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


class _Digests:
    """A set of digests that takes about 40 bytes for each, a fifth of what a `set` takes.

    An open hash table of numbers, by the first bytes of the digests, which are random already.
    """

    def __init__(self) -> None:
        self._digests = bytearray()
        self._count = 0
        self._slots = array("I", bytes(4 << 10))

    def __contains__(self, digest: bytes) -> bool:
        return self._slots[self._slot(digest)] != 0

    def add(self, digest: bytes) -> None:
        slot = self._slot(digest)
        if self._slots[slot]:
            return
        self._digests += digest
        self._count += 1
        self._slots[slot] = self._count
        if 2 * self._count > len(self._slots):
            self._grow()

    def _slot(self, digest: bytes) -> int:
        """Return where the digest is, or where it belongs."""
        mask = len(self._slots) - 1
        slot = int.from_bytes(digest[:8], "little") & mask
        while number := self._slots[slot]:
            if self._digests[32 * number - 32 : 32 * number] == digest:
                break
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        self._slots = array("I", bytes(8 * len(self._slots)))
        for number in range(1, self._count + 1):
            digest = bytes(self._digests[32 * number - 32 : 32 * number])
            self._slots[self._slot(digest)] = number


def _as_text(chunks: list[bytes]) -> tuple[tuple[str, int], ...]:
    return tuple((chunk[:32].hex(), int.from_bytes(chunk[32:], "little")) for chunk in chunks)


def _blocks(parts: list[bytes]) -> Iterator[bytes]:
    step = BLOCK_SIZE // LIST_RECORD
    for at in range(0, len(parts), step):
        yield b"".join(parts[at : at + step])


def _tree_blocks(lines: Iterable[bytes], begun: deque[tuple[int, bytes]]) -> Iterator[bytes]:
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
