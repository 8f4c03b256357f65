"""Layouts: where the chunks of one payload lie in one store (FORMAT §8). Pure bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from art.errors import REPAIR, CorruptError
from art.pack import CHUNK_LIMIT, Location, find_record

MAGIC = b"ARTLAYT\x01"
DEPTH_LIMIT = 1
BEGINNING = 2 << 20  # no more is read of a file that does not say itself how long it is
RECORD = struct.Struct("<32sIIII")  # digest, pack number, offset, length, size

_HEAD = struct.Struct("<8s32s32s32sIIIIII")
_ZERO = b"\x00" * 32
_RANGE_LIMIT = 64 << 20


@dataclass(frozen=True)
class Piece:
    """A chunk of the tree: its digest, where it lies, the path of the first line that begins in it."""

    digest: bytes
    location: Location
    first_path: str


@dataclass(frozen=True)
class Link:
    """A layout by name: payload and digest in hex."""

    payload: str
    digest: str


class Source(Protocol):
    """The bytes of a layout: all of them, or what fetches the ranges that are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Ranges:
    """The bytes of a layout of which only the beginning was read: `fetch(start, length)` gives the
    rest. What it gives is not verified by the layout's name."""

    def __init__(self, beginning: bytes, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._beginning = beginning
        self._size = size
        self._fetch = fetch

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        start, end, _ = part.indices(self._size)
        if end <= len(self._beginning):
            return self._beginning[start:end]
        if end - start > _RANGE_LIMIT:
            raise ValueError(f"it has a part of {end - start} bytes")
        data = self._fetch(start, end - start)
        if len(data) != end - start:
            raise ValueError("it ends too early")
        return data


class Layout:
    """A parsed layout. `find` knows its own chunks only; `extends` names where to look on.

    `depth` is 1 where it extends another, else 0: one that is extended extends nothing itself.
    """

    def __init__(self, data: Source, name: str, digest: str) -> None:
        """Raise CorruptError that names `name` where anything does not fit."""
        self._data = data
        self.name = name
        self.digest = digest
        try:
            self._parse()
        except (struct.error, ValueError, IndexError) as error:
            raise CorruptError(f"{name} is damaged: {error}", hint=REPAIR) from error

    def _parse(self) -> None:
        head = _HEAD.unpack(self._data[: _HEAD.size])
        magic, payload, base_payload, base, self.depth, packs, chunks, bits, pieces, paths = head
        if magic != MAGIC or bits > 16 or self.depth > DEPTH_LIMIT:
            raise ValueError("it is not a layout")
        if (self.depth == 0) != (base == _ZERO):
            raise ValueError(f"its depth of {self.depth} does not fit")
        at = _HEAD.size
        self._packs_at, at = at, at + 32 * packs
        self._fan_at, at = at, at + 4 * 2**bits
        self._pieces_at, at = at, at + RECORD.size * pieces
        self._ends_at, at = at, at + 4 * pieces
        self._paths_at, at = at, at + paths
        self._chunks_at, at = at, at + RECORD.size * chunks
        if at != len(self._data):
            raise ValueError(f"it has {len(self._data)} bytes, expected {at}")
        self.payload = payload.hex()
        self.extends = Link(base_payload.hex(), base.hex()) if base != _ZERO else None
        self._bits, self._piece_count, self.chunk_count = bits, pieces, chunks
        ids = self._data[self._packs_at : self._fan_at].hex()
        self.packs = [ids[at : at + 64] for at in range(0, len(ids), 64)]
        """The ids of the packs it points into, in hex."""

    @property
    def is_partial(self) -> bool:
        """Whether each `find` may be a request of its own."""
        return isinstance(self._data, Ranges)

    @property
    def table_size(self) -> int:
        """Bytes of the table of chunks."""
        return RECORD.size * int(self.chunk_count)

    def content(self) -> bytes:
        """Return all its bytes."""
        return self._data[: len(self._data)]

    def complete(self) -> None:
        """Read the table of chunks whole, so that each `find` costs nothing."""
        if isinstance(self._data, Ranges):
            self._data = _Joined(self._data, self._chunks_at)

    def find(self, digest: bytes) -> Location | None:
        """Return where a chunk lies, None where this layout does not say."""
        try:
            return self._find(digest)
        except ValueError as error:
            raise CorruptError(f"{self.name} is damaged: {error}", hint=REPAIR) from error

    def _find(self, digest: bytes) -> Location | None:
        prefix = int.from_bytes(digest[:2], "big") >> (16 - self._bits) if self._bits else 0
        low = self._fan(prefix - 1) if prefix else 0
        high = min(self._fan(prefix), self.chunk_count)
        if low >= high:
            return None
        width = RECORD.size
        at = self._chunks_at
        table = self._data[at + width * low : at + width * high]
        position = find_record(table, width, digest, 0, high - low)
        return None if position is None else self._location(table, width * position)[1]

    def pieces(self) -> list[Piece]:
        """Return the pieces of the tree, in order."""
        table = self._data[self._pieces_at : self._ends_at]
        ends = struct.unpack(f"<{self._piece_count}I", self._data[self._ends_at : self._paths_at])
        paths = self._data[self._paths_at : self._chunks_at]
        result = []
        start = 0
        for position, end in enumerate(ends):
            digest, location = self._location(table, RECORD.size * position)
            result.append(Piece(digest, location, paths[start:end].decode("ascii", "replace")))
            start = end
        return result

    def table(self) -> bytes:
        """Return its `RECORD`s, sorted. The numbers of packs in them are not checked."""
        return self._data[self._chunks_at : self._chunks_at + self.table_size]

    def records(self) -> Iterator[tuple[bytes, Location]]:
        """Yield all chunks that this layout itself places, those of the pieces as well."""
        table = self.table()
        for at in range(0, len(table), RECORD.size):
            yield self._location(table, at)

    def _fan(self, prefix: int) -> int:
        at = self._fan_at + 4 * prefix
        return int.from_bytes(self._data[at : at + 4], "little")

    def _location(self, table: bytes, at: int) -> tuple[bytes, Location]:
        digest, number, offset, length, size = RECORD.unpack_from(table, at)
        if size > CHUNK_LIMIT or length > CHUNK_LIMIT + (1 << 16):
            raise CorruptError(f"{self.name} is damaged: a chunk of {size} bytes", hint=REPAIR)
        if number >= len(self.packs):
            raise CorruptError(f"{self.name} is damaged: it has no pack {number}", hint=REPAIR)
        return digest, Location(self.packs[number], offset, length, size)


class _Joined:
    """A layout in two parts: what lies before the table of chunks, and the table."""

    def __init__(self, source: Ranges, start: int) -> None:
        self._source = source
        self._start = start
        self._table = source[start : len(source)]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, part: slice, /) -> bytes:
        start, end, _ = part.indices(len(self._source))
        if start < self._start:
            return self._source[start:end]
        return self._table[start - self._start : end - self._start]


def size_by_head(data: bytes) -> int:
    """Return how large the layout is that begins so, 0 where none does."""
    if len(data) < _HEAD.size:
        return 0
    *_, packs, chunks, bits, pieces, paths = _HEAD.unpack_from(data)
    if bits > 16:
        return 0
    return int(
        _HEAD.size + 32 * packs + 4 * 2**bits + RECORD.size * (chunks + pieces) + 4 * pieces + paths
    )


def encode(
    payload: str,
    packs: list[str],
    chunks: bytes,
    pieces: list[tuple[bytes, str]],
    base: Layout | None = None,
) -> bytes:
    """Return the bytes of a layout.

    `chunks` are `RECORD`s one after another, sorted and without repeats; `pieces` are records with
    their first path. `base` is the layout that knows all other chunks.
    """
    count = len(chunks) // RECORD.size
    bits = max(0, min(16, count.bit_length() - 5))
    paths = [path.encode("ascii") for _, path in pieces]
    head = _HEAD.pack(
        MAGIC,
        bytes.fromhex(payload),
        bytes.fromhex(base.payload) if base else _ZERO,
        bytes.fromhex(base.digest) if base else _ZERO,
        base.depth + 1 if base else 0,
        len(packs),
        count,
        bits,
        len(pieces),
        sum(map(len, paths)),
    )
    parts = [head, *map(bytes.fromhex, packs), _fan_out(chunks, bits)]
    parts += [record for record, _ in pieces]
    parts += [_ends(paths), *paths, chunks]
    return b"".join(parts)


def sort_records(records: bytes | bytearray) -> bytes:
    """Return records one after another, sorted by their digests.

    There may be millions: they are split by the first byte, so that few are objects at any time.
    """
    width = RECORD.size
    buckets = [bytearray() for _ in range(256)]
    for at in range(0, len(records), width):
        buckets[records[at]] += records[at : at + width]
    for number, bucket in enumerate(buckets):
        cut = sorted(bytes(bucket[at : at + width]) for at in range(0, len(bucket), width))
        buckets[number] = bytearray().join(cut)
    return b"".join(buckets)


def _fan_out(chunks: bytes, bits: int) -> bytes:
    counts = [0] * 2**bits
    shift = 16 - bits
    for at in range(0, len(chunks), RECORD.size):
        counts[(chunks[at] << 8 | chunks[at + 1]) >> shift] += 1
    total = 0
    for prefix, count in enumerate(counts):
        total += count
        counts[prefix] = total
    return struct.pack(f"<{len(counts)}I", *counts)


def _ends(paths: list[bytes]) -> bytes:
    total = 0
    ends = []
    for path in paths:
        total += len(path)
        ends.append(total)
    return struct.pack(f"<{len(ends)}I", *ends)
