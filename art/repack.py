"""Frames on their way from packs into other packs, and tables of where chunks lie."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import Backend
from art.errors import CorruptError
from art.pack import Location, pack_name
from art.packer import PACK_SIZE
from art.reading import read_run, runs

_PACK_COUNT = 1 << 16
_WRITE_SIZE = 4 << 20
_GAP = 256 << 10
_BLOCK_SIZE = 4 << 20
_WIDTH = layouts.RECORD.size

S = TypeVar("S")
T = TypeVar("T")


class Places:
    """Where chunks lie, by digest: about 60 bytes each, a fifth of what a `dict` takes.

    An open hash table of numbers, by the first bytes of the digests, which are random already.
    """

    def __init__(self) -> None:
        self._records = bytearray()
        self._slots = array("I", bytes(4 << 10))
        self._numbers: dict[str, int] = {}
        self.packs: list[str] = []
        """The ids of packs, by the numbers in `records`."""

    def __len__(self) -> int:
        return len(self._records) // _WIDTH

    def __contains__(self, digest: bytes) -> bool:
        return self._slots[self._slot(digest)] != 0

    def __iter__(self) -> Iterator[tuple[bytes, Location]]:
        for digest, number, *place in layouts.RECORD.iter_unpack(self._records):
            yield digest, Location(self.packs[number], *place)

    @property
    def records(self) -> bytearray:
        """The records of a layout, one after another, in the order in which they came."""
        return self._records

    def find(self, digest: bytes) -> Location | None:
        """Return where a chunk lies, None where this does not say."""
        number = self._slots[self._slot(digest)]
        if not number:
            return None
        _, pack, *place = layouts.RECORD.unpack_from(self._records, _WIDTH * (number - 1))
        return Location(self.packs[pack], *place)

    def add(self, digest: bytes, location: Location) -> bool:
        """Note where a chunk lies unless that is known; return whether it was not."""
        slot = self._slot(digest)
        if self._slots[slot]:
            return False
        self._records += self.record(digest, location)
        self._slots[slot] = len(self)
        if 2 * len(self) > len(self._slots):
            self._grow()
        return True

    def record(self, digest: bytes, location: Location) -> bytes:
        """Return the record that a layout has for a chunk, with the number of its pack here."""
        number = self._numbers.get(location.pack)
        if number is None:
            number = self._numbers[location.pack] = len(self.packs)
            self.packs.append(location.pack)
        return layouts.RECORD.pack(digest, number, location.offset, location.length, location.size)

    def _slot(self, digest: bytes) -> int:
        """Return where the digest is, or where it belongs."""
        mask = len(self._slots) - 1
        slot = int.from_bytes(digest[:8], "little") & mask
        while number := self._slots[slot]:
            if self._records[_WIDTH * number - _WIDTH : _WIDTH * number - _WIDTH + 32] == digest:
                break
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        slots = self._slots = array("I", bytes(8 * len(self._slots)))
        mask = len(slots) - 1
        for number in range(len(self)):
            at = _WIDTH * number
            slot = int.from_bytes(self._records[at : at + 8], "little") & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number + 1


class NewPack:
    """A pack of frames that are ready, being written to a store."""

    def __init__(self, backend: Backend) -> None:
        self._staged = backend.stage()
        self._hasher = blake3()
        self._records: list[bytes] = []
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._offset = 0
        self.chunks: list[tuple[bytes, int, int, int]] = []
        """Digest, offset, length and size of each frame."""
        self._append(packs.new_header())

    @property
    def is_full(self) -> bool:
        return self._offset >= PACK_SIZE or len(self._records) >= _PACK_COUNT

    @property
    def size(self) -> int:
        return self._offset

    def add(self, digest: bytes, frame: bytes, size: int) -> None:
        """Append a verified frame."""
        self.chunks.append((digest, self._offset, len(frame), size))
        self._records.append(packs.RECORD.pack(digest, self._offset, len(frame), size))
        self._append(frame)
        if self._buffered >= _WRITE_SIZE:
            self._write()

    def commit(self) -> str:
        """Make it durable under its id, which is returned."""
        self._append(packs.footer(self._records, self._offset))
        self._write()
        pack = self._hasher.hexdigest()
        self._staged.commit(pack_name(pack))
        return pack

    def discard(self) -> None:
        """Drop it. Does nothing after `commit`."""
        self._staged.discard()

    def _append(self, data: bytes) -> None:
        self._buffer.append(data)
        self._buffered += len(data)
        self._offset += len(data)

    def _write(self) -> None:
        data = b"".join(self._buffer)
        self._buffer, self._buffered = [], 0
        self._hasher.update(data)
        self._staged.write(data)


class SamePack:
    """A pack on its way from one store to another as it is."""

    def __init__(self, backend: Backend, pack: str, size: int) -> None:
        self._staged = backend.stage()
        self._hasher = blake3()
        self._pack = pack
        self.size = size
        self.chunks: list[tuple[bytes, int, int, int]] = []

    def write(self, data: bytes) -> None:
        self._hasher.update(data)
        self._staged.write(data)

    @property
    def is_right(self) -> bool:
        """Whether what was written is what its id says."""
        return self._hasher.hexdigest() == self._pack

    def commit(self) -> str:
        """Make it durable under its id, which is returned. Raise CorruptError where it is not right."""
        if not self.is_right:
            raise damaged(self._pack)
        self._staged.commit(pack_name(self._pack))
        return self._pack

    def discard(self) -> None:
        """Drop it. Does nothing after `commit`."""
        self._staged.discard()


Frames = list[tuple[bytes, Location, bytes]]


def read_frames(
    backend: Backend,
    wanted: Iterable[tuple[bytes, Location]],
    threads: ThreadPoolExecutor,
    jobs: int,
) -> Generator[Frames]:
    """Yield the frames of these chunks of one pack in the order of their offsets, in groups, each
    verified and as it is stored. Several groups are read at a time."""
    digests = {location: digest for digest, location in wanted}

    def load(run: list[Location]) -> Frames:
        try:
            return _verified(read_run(backend, run), digests)
        except CorruptError:  # once more: it may have been damaged on its way
            return _verified(read_run(backend, run), digests)

    return ahead(threads, load, runs(digests, _GAP), jobs)


def _verified(frames: dict[Location, bytes], digests: dict[Location, bytes]) -> Frames:
    decompressor = zstandard.ZstdDecompressor()
    found = []
    for place, frame in frames.items():
        digest = digests[place]
        packs.unpack_frame(frame, place.size, digest, pack_name(place.pack), decompressor)
        found.append((digest, place, frame))
    return found


def ahead(
    threads: ThreadPoolExecutor, work: Callable[[S], T], items: Iterable[S], window: int
) -> Generator[T]:
    """Yield what `work` returns for each item, in order, with at most `window` under way or waiting.
    None is left when this ends, however that is."""
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            if len(waiting) >= window:
                yield waiting.popleft().result()
            waiting.append(threads.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def check_file(path: Path, pack: str) -> None:
    """Raise CorruptError where the file of a pack on this machine's disk is not what its name says."""
    hasher = blake3()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_SIZE):
            hasher.update(block)
    if hasher.hexdigest() != pack:
        raise damaged(pack)


def damaged(pack: str) -> CorruptError:
    """Return the error for a pack that is not what its name says."""
    return CorruptError(
        f"{pack_name(pack)} is damaged: its content is not what its name says",
        hint="art fsck --data --repair",
    )


def each_record(records: bytes | bytearray) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield digest, offset, length and size of chunks of a pack, as its directory writes them."""
    return packs.RECORD.iter_unpack(records)


def weight(records: bytearray) -> int:
    """Return how many bytes of a pack these chunks take, their part of its directory as well."""
    return len(records) + sum(length for _, _, length, _ in each_record(records))
