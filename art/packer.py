"""Packs being written: compresses, writes, hashes and syncs in threads of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import Backend, Staged
from art.pack import Location, pack_name

PACK_SIZE = 64 << 20
_WRITE_SIZE = 4 << 20
_QUEUE_LENGTH = 4
_SAMPLE = 4096


class Packer:
    """Puts chunks into packs, in threads of its own, and remembers where each lies."""

    def __init__(self, backend: Backend, jobs: int) -> None:
        self._backend = backend
        self._worker = ThreadPoolExecutor(1, "pack")
        self._syncer = ThreadPoolExecutor(1, "sync")
        self._waiting: deque[Future[None]] = deque()
        self._finishing: deque[Future[None]] = deque()
        self._open: _OpenPack | None = None
        self._staged: list[Staged] = []
        self._lock = threading.Lock()
        self._pack_ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._new: set[int] = set()
        self._records = bytearray()
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._threads = max(1, jobs - 1)  # one is busy reading
        self.stored_bytes = 0

    def put(self, batch: list[tuple[bytes, bytes | memoryview]]) -> None:
        """Store new chunks. Blocks while too many wait; raises what failed before."""
        while len(self._waiting) >= _QUEUE_LENGTH:
            self._waiting.popleft().result()
        self._waiting.append(self._worker.submit(self._store, batch))

    def adopt(self, digest: bytes, location: Location) -> None:
        """Remember a chunk that lies in a pack already."""
        with self._lock:
            number = self._numbers.get(location.pack)
            if number is None:
                number = self._numbers[location.pack] = self._new_number(location.pack)
        self._remember(digest, number, location.offset, location.length, location.size)

    def finish(self) -> None:
        """Wait until every pack is durable."""
        while self._waiting:
            self._waiting.popleft().result()
        self._worker.submit(self._end_pack).result()
        while self._finishing:
            self._finishing.popleft().result()
        self._shut_down()

    def abort(self) -> None:
        """Drop what is not finished. Does nothing after `finish`."""
        for future in (*self._waiting, *self._finishing):
            future.cancel()
        self._shut_down()
        for staged in self._staged:
            staged.discard()

    def pack_ids(self) -> list[str]:
        return self._pack_ids

    def new_packs(self) -> list[str]:
        """Return the ids of the packs that were written, not adopted."""
        return [self._pack_ids[number] for number in sorted(self._new)]

    def records(self) -> list[bytes]:
        """Return the layout records of all chunks, in no order."""
        width = layouts.RECORD.size
        return [bytes(self._records[at : at + width]) for at in range(0, len(self._records), width)]

    def placed(self) -> Iterator[tuple[bytes, str]]:
        """Yield the digest of each chunk with its pack."""
        for digest, number, *_ in layouts.RECORD.iter_unpack(self._records):
            yield digest, self._pack_ids[number]

    def _shut_down(self) -> None:
        self._worker.shutdown(wait=True)
        self._syncer.shutdown(wait=True)

    def _new_number(self, pack: str) -> int:
        self._pack_ids.append(pack)
        return len(self._pack_ids) - 1

    def _remember(self, digest: bytes, number: int, offset: int, length: int, size: int) -> None:
        self._records.extend(layouts.RECORD.pack(digest, number, offset, length, size))

    def _store(self, batch: list[tuple[bytes, bytes | memoryview]]) -> None:
        for (digest, data), frame in zip(
            batch, self._frames([data for _, data in batch]), strict=True
        ):
            if self._open is None:
                self._open = self._begin_pack()
            offset = self._open.add(digest, frame, len(data))
            self._remember(digest, self._open.number, offset, len(frame), len(data))
            if self._open.offset >= PACK_SIZE:
                self._end_pack()

    def _begin_pack(self) -> _OpenPack:
        staged = self._backend.stage()
        self._staged.append(staged)
        with self._lock:
            return _OpenPack(staged, self._new_number(""))

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
        return [segment.tobytes() for segment in batch(chunks, threads=self._threads)]

    def _end_pack(self) -> None:
        if self._open is None:
            return
        pack, self._open = self._open, None
        while len(self._finishing) >= 2:
            self._finishing.popleft().result()
        self._finishing.append(self._syncer.submit(self._commit, pack))

    def _commit(self, pack: _OpenPack) -> None:
        try:
            pack_id, size = pack.finish()
        finally:
            pack.staged.discard()
        self._pack_ids[pack.number] = pack_id
        self._new.add(pack.number)
        self.stored_bytes += size


class _OpenPack:
    """A pack that is being written."""

    def __init__(self, staged: Staged, number: int) -> None:
        self.staged = staged
        self.number = number
        self.offset = 0
        self._records: list[bytes] = []
        self._hasher = blake3()
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._append(packs.new_header())

    def add(self, digest: bytes, frame: bytes, size: int) -> int:
        """Append a frame; return its offset."""
        offset = self.offset
        self._records.append(packs.RECORD.pack(digest, offset, len(frame), size))
        self._append(frame)
        return offset

    def finish(self) -> tuple[str, int]:
        """Give the pack its name, durably; return its id and its size in bytes."""
        self._append(packs.footer(self._records, self.offset))
        self._write()
        pack_id = self._hasher.hexdigest()
        self.staged.commit(pack_name(pack_id))
        return pack_id, self.offset

    def _append(self, data: bytes) -> None:
        self._buffer.append(data)
        self._buffered += len(data)
        self.offset += len(data)
        if self._buffered >= _WRITE_SIZE:
            self._write()

    def _write(self) -> None:
        data = b"".join(self._buffer)
        self._buffer, self._buffered = [], 0
        self._hasher.update(data)
        self.staged.write(data)


def _middle(chunk: bytes | memoryview) -> bytes | memoryview:
    start = (len(chunk) - _SAMPLE) // 2
    return chunk[start : start + _SAMPLE]
