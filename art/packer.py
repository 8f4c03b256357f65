"""Packs being written.

The caller's thread does the book-keeping, because Python's threads share one lock: others are given
only work that lets go of it, which is compressing, writing with hashing, and waiting for the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import Backend, Staged
from art.errors import StorageError
from art.pack import Location, pack_name

if TYPE_CHECKING:
    from typing import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")

PACK_SIZE = 64 << 20
_PACK_COUNT = 1 << 16
_WRITE_SIZE = 4 << 20
_QUEUE_LENGTH = 4
_SAMPLE = 4096

Batch = list[tuple[bytes, "bytes | memoryview"]]


class _Thread(ThreadPoolExecutor):
    """One thread, as long as there are any. While the process ends, other threads may still write, and
    functions that `atexit` calls: they do the work themselves, after what they brought before."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(function, *args, **kwargs)
        except RuntimeError:
            self.shutdown(wait=True)
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised by who asks for the result
            future.set_exception(error)
        return future


class Packer:
    """Puts chunks into packs, and remembers where each lies. Used by one thread."""

    def __init__(self, backend: Backend, jobs: int) -> None:
        self._backend = backend
        self._threads = [_Thread(1, name) for name in ("compress", "write", "sync")]
        self._compressing: deque[tuple[Batch, Future[list[bytes]]]] = deque()
        self._writing: deque[Future[None]] = deque()
        self._finishing: deque[Future[None]] = deque()
        self._open: _OpenPack | None = None
        self._staged: list[Staged] = []
        self._pack_ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._new: set[int] = set()
        self._records: bytes | bytearray = bytearray()
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._jobs = max(1, jobs - 1)  # one is busy reading
        self.stored_bytes = 0

    def put(self, batch: Batch) -> None:
        """Store new chunks: digests and contents, which must not change later. Blocks while too many
        wait; raises what failed before."""
        while len(self._compressing) >= _QUEUE_LENGTH:
            self._store_next()
        compressor, _, _ = self._threads
        frames = compressor.submit(self._frames, [data for _, data in batch])
        self._compressing.append((batch, frames))

    def adopt(self, digest: bytes, location: Location) -> None:
        """Remember a chunk that lies in a pack already."""
        number = self._numbers.get(location.pack)
        if number is None:
            number = self._numbers[location.pack] = self._new_number(location.pack)
        self._remember(digest, number, location.offset, location.length, location.size)

    def finish(self) -> None:
        """Wait until every pack is durable."""
        while self._compressing:
            self._store_next()
        self._end_pack()
        _wait(self._writing, 0)
        _wait(self._finishing, 0)
        self._shut_down()

    def abort(self) -> None:
        """Drop what is not finished. Does nothing after `finish`."""
        for _, frames in self._compressing:
            frames.cancel()
        for future in (*self._writing, *self._finishing):
            future.cancel()
        self._shut_down()
        for staged in self._staged:
            staged.discard()

    def pack_ids(self) -> list[str]:
        """Return the ids of all packs that hold a remembered chunk, in the order of their numbers."""
        return self._pack_ids

    def new_packs(self) -> list[str]:
        """Return the ids of the packs that were written, not adopted."""
        return [self._pack_ids[number] for number in sorted(self._new)]

    def records(self) -> bytes:
        """Return the layout records of all chunks, sorted. Call it once everything is finished."""
        self._records = layouts.sort_records(self._records)
        return self._records

    def placed(self) -> Iterator[tuple[bytes, str]]:
        """Yield the digest of each chunk with its pack."""
        for digest, number, *_ in layouts.RECORD.iter_unpack(self._records):
            yield digest, self._pack_ids[number]

    def _shut_down(self) -> None:
        for thread in self._threads:
            thread.shutdown(wait=True)

    def _new_number(self, pack: str) -> int:
        self._pack_ids.append(pack)
        return len(self._pack_ids) - 1

    def _remember(self, digest: bytes, number: int, offset: int, length: int, size: int) -> None:
        self._records += layouts.RECORD.pack(digest, number, offset, length, size)

    def _store_next(self) -> None:
        """Take the frames of the oldest batch over into a pack."""
        batch, frames = self._compressing.popleft()
        for (digest, data), frame in zip(batch, frames.result(), strict=True):
            pack = self._open = self._open or self._begin_pack()
            self._remember(digest, pack.number, pack.offset, len(frame), len(data))
            pack.add(digest, frame, len(data))
            if pack.buffered >= _WRITE_SIZE:
                self._write(pack)
            if pack.offset >= PACK_SIZE or pack.count >= _PACK_COUNT:
                self._end_pack()

    def _begin_pack(self) -> _OpenPack:
        staged = self._backend.stage()
        self._staged.append(staged)
        return _OpenPack(staged, self._new_number(""))

    def _write(self, pack: _OpenPack) -> None:
        _wait(self._writing, _QUEUE_LENGTH - 1)
        _, writer, _ = self._threads
        self._writing.append(writer.submit(pack.write, pack.take()))

    def _end_pack(self) -> None:
        if self._open is None:
            return
        pack, self._open = self._open, None
        pack.close()
        self._write(pack)
        _wait(self._finishing, 1)
        _, _, syncer = self._threads
        self._finishing.append(syncer.submit(self._commit, pack, self._writing[-1]))

    def _commit(self, pack: _OpenPack, written: Future[None]) -> None:
        """Make a pack durable, after the last write to it, which follows all others."""
        try:
            written.result()
            pack_id = pack.commit()
        finally:
            pack.staged.discard()
        self._pack_ids[pack.number] = pack_id
        self._new.add(pack.number)
        self.stored_bytes += pack.offset

    def _frames(self, chunks: list[bytes | memoryview]) -> list[bytes]:
        """Return the frame of each chunk: compressed where that saves something."""
        tried = self._worth_compressing(chunks)
        compressed = iter(
            self._compress(
                [chunk for chunk, is_tried in zip(chunks, tried, strict=True) if is_tried]
            )
        )
        frames = []
        for chunk, is_tried in zip(chunks, tried, strict=True):
            packed = next(compressed) if is_tried else None
            if packed is not None and len(packed) < len(chunk) - len(chunk) // 32:
                frames.append(packs.zstd_frame(packed))
            else:
                frames.append(packs.raw_frame(chunk))
        return frames

    def _worth_compressing(self, chunks: list[bytes | memoryview]) -> list[bool]:
        """Try a sample from the middle of each larger chunk: random data is not worth the time."""
        large = [number for number, chunk in enumerate(chunks) if len(chunk) > 2 * _SAMPLE]
        samples = [_middle(chunks[number]) for number in large]
        tried = [True] * len(chunks)
        for number, packed in zip(large, self._compress(samples), strict=True):
            tried[number] = len(packed) < _SAMPLE - _SAMPLE // 32
        return tried

    def _compress(self, chunks: list[bytes | memoryview]) -> list[bytes]:
        if not chunks:
            return []
        batch = getattr(self._compressor, "multi_compress_to_buffer", None)
        if batch is None:  # not every build of zstandard has it
            return [self._compressor.compress(chunk) for chunk in chunks]
        return [segment.tobytes() for segment in batch(chunks, threads=self._jobs)]


class _OpenPack:
    """A pack that is being written. `offset` is where its next frame will lie."""

    def __init__(self, staged: Staged, number: int) -> None:
        self.staged = staged
        self.number = number
        self.offset = 0
        self.buffered = 0
        self._records: list[bytes] = []
        self._buffer: list[bytes] = []
        self._hasher = blake3()
        self._is_whole = True
        self._append(packs.new_header())

    @property
    def count(self) -> int:
        return len(self._records)

    def add(self, digest: bytes, frame: bytes, size: int) -> None:
        """Append a frame."""
        self._records.append(packs.RECORD.pack(digest, self.offset, len(frame), size))
        self._append(frame)

    def close(self) -> None:
        """Append the directory and the trailer."""
        self._append(packs.footer(self._records, self.offset))

    def take(self) -> list[bytes]:
        """Return what is to be written next."""
        parts, self._buffer, self.buffered = self._buffer, [], 0
        return parts

    def write(self, parts: list[bytes]) -> None:
        """Write and hash. Calls must come in order."""
        if not self._is_whole:
            raise StorageError("an earlier part of the pack could not be written")
        self._is_whole = False
        data = b"".join(parts)
        self._hasher.update(data)
        self.staged.write(data)
        self._is_whole = True

    def commit(self) -> str:
        """Give the pack its name, durably; return its id."""
        pack_id = self._hasher.hexdigest()
        self.staged.commit(pack_name(pack_id))
        return pack_id

    def _append(self, data: bytes) -> None:
        self._buffer.append(data)
        self.buffered += len(data)
        self.offset += len(data)


def _wait(futures: deque[Future[None]], most: int) -> None:
    """Wait until at most so many are under way; raise what failed."""
    while len(futures) > most:
        futures.popleft().result()


def _middle(chunk: bytes | memoryview) -> bytes | memoryview:
    start = (len(chunk) - _SAMPLE) // 2
    return chunk[start : start + _SAMPLE]
