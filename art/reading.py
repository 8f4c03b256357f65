"""Reading chunks out of packs: each is verified, and neighbours on a remote come by one request."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import zstandard

from art import pack as packs
from art.backend import Backend
from art.errors import REPAIR, CorruptError
from art.pack import Location, pack_name

_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # nobody waits for a pipe
_REQUEST_SIZE = 8 << 20  # no more is asked for at once
_REQUEST_COUNT = 1024
_GAP = 64 << 10  # so much between two chunks costs less than another request
_TAIL_SIZE = 256 << 10  # holds the directory of most packs
T = TypeVar("T")


class Reader:
    """Reads chunks from the packs of one store. Safe to share between threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._is_remote = backend.path("packs") is None
        self._local = threading.local()

    def read_all(self, chunks: Iterable[tuple[bytes, Location]]) -> Iterator[bytes]:
        """Yield verified chunks in this order; on a remote, neighbours come by one request."""
        if not self._is_remote:
            yield from (self.read(digest, location) for digest, location in chunks)
            return
        decompressor = zstandard.ZstdDecompressor()
        for batch in batches(chunks, lambda chunk: chunk[1].length):
            frames: dict[Location, bytes] = {}
            for run in runs({location for _, location in batch}):
                frames |= read_run(self._backend, run)
            for digest, location in batch:
                name = pack_name(location.pack)
                yield packs.unpack_frame(
                    frames[location], location.size, digest, name, decompressor
                )

    def read(self, digest: bytes, location: Location) -> bytes:
        """Return a verified chunk. Raise CorruptError."""
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


def batches(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield items in groups whose chunks can be asked for together. `size_of` gives an item's bytes."""
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


def read_directory(backend: Backend, pack: str) -> packs.Directory:
    """Return the verified directory of a pack. Raise FileNotFoundError or CorruptError."""
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
