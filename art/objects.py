"""Payload bytes by digest: chunks in packs, found through layouts.

A `StoredPayload` hands out chunks, each verified. `art.writer` makes payloads.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import zstandard
from blake3 import blake3

from art import pack as packs
from art import tree as trees
from art.backend import Backend
from art.errors import CorruptError
from art.layout import Layout, size_by_head
from art.model import Chunking
from art.pack import Location, pack_name
from art.tree import Node

_BLOCK_SIZE = 4 << 20
LIST_RECORD = 36
_LAYOUT_BEGINNING = 2 << 20  # no more is read of a file that does not say itself how long it is


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
        layout = Layout(data, name, digest)
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
        while block := self.backend.read(name, offset, _BLOCK_SIZE):
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
        pieces = (chunk_record(piece.digest, piece.location.size) for piece in self._pieces)
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
            whole = len(data) - len(data) % LIST_RECORD
            rest = data[whole:]
            for at in range(0, whole, LIST_RECORD):
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


def chunk_record(digest: bytes, length: int) -> bytes:
    """Return how lists of chunks write one (FORMAT §5)."""
    return digest + length.to_bytes(4, "little")
