"""Packs: files of chunks (FORMAT §7). Pure bytes; no file is opened here."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

import zstandard
from blake3 import blake3

from art.errors import CorruptError

MAGIC = b"ARTPACK\x01"
END_MAGIC = b"ENDPACK\x01"
HEADER_SIZE = 32
TRAILER_SIZE = 64
OVERHEAD = HEADER_SIZE + TRAILER_SIZE  # of any pack, beside frames and their records
RECORD = struct.Struct("<32sIII")  # digest, offset, length of the frame, size of the chunk
CHUNK_LIMIT = 8 << 20
OFFSET_LIMIT = 2**32
COUNT_LIMIT = 2**20
SIZE_LIMIT = OFFSET_LIMIT + COUNT_LIMIT * RECORD.size + TRAILER_SIZE

_TRAILER = struct.Struct("<II32s16x8s")
_RAW, _ZSTD = b"\x00", b"\x01"


@dataclass(frozen=True)
class Location:
    """Where the frame of a chunk lies: pack id in hex, offset and length of the frame, chunk size."""

    pack: str
    offset: int
    length: int
    size: int


def pack_name(pack: str) -> str:
    """Return the name of a pack in a store."""
    return f"packs/{pack[:2]}/{pack}.pack"


def new_header() -> bytes:
    """Return the first bytes of a pack that no other pack has."""
    return MAGIC + os.urandom(24)


def raw_frame(chunk: bytes | memoryview) -> bytes:
    """Return the frame of a chunk stored as it is."""
    return b"".join((_RAW, chunk))


def zstd_frame(compressed: bytes | memoryview) -> bytes:
    """Return the frame of a chunk stored compressed."""
    return b"".join((_ZSTD, compressed))


def footer(records: list[bytes], offset: int) -> bytes:
    """Return directory and trailer of a pack whose frames end at `offset`."""
    directory = b"".join(sorted(records))
    trailer = _TRAILER.pack(len(records), offset, blake3(directory).digest(), END_MAGIC)
    return directory + trailer


def parse_trailer(trailer: bytes, pack_size: int, name: str) -> tuple[int, int, bytes]:
    """Return offset, length and digest of the directory. Raise CorruptError naming `name`."""
    if len(trailer) != TRAILER_SIZE or trailer[-8:] != END_MAGIC:
        raise CorruptError(
            f"{name} is damaged: it has no valid trailer", hint="art fsck --data --repair"
        )
    count, offset, digest, _ = _TRAILER.unpack(trailer)
    length = count * RECORD.size
    if count > COUNT_LIMIT or offset < HEADER_SIZE or offset + length + TRAILER_SIZE != pack_size:
        raise CorruptError(
            f"{name} is damaged: its directory is not where it says",
            hint="art fsck --data --repair",
        )
    return offset, length, digest


class Directory:
    """The directory of one pack, searchable by digest. The frames end before `end`."""

    def __init__(self, data: bytes, digest: bytes, name: str, end: int = OFFSET_LIMIT) -> None:
        if blake3(data).digest() != digest:
            raise CorruptError(
                f"{name} is damaged: its directory does not match", hint="art fsck --data --repair"
            )
        self._data = data
        self._end = end
        self._count = len(data) // RECORD.size

    def find(self, digest: bytes) -> tuple[int, int, int] | None:
        """Return offset, length and size of the chunk, None where the pack does not have it, or
        claims to have it where or as large as it cannot be."""
        position = find_record(self._data, RECORD.size, digest, 0, self._count)
        if position is None:
            return None
        _, offset, length, size = RECORD.unpack_from(self._data, position * RECORD.size)
        is_inside = offset >= HEADER_SIZE and offset + length <= self._end
        is_possible = is_inside and 1 < length <= size + 1 and size <= CHUNK_LIMIT
        return (offset, length, size) if is_possible else None

    def digests(self) -> list[bytes]:
        """Return the digests of all chunks in the pack."""
        return [self._data[at : at + 32] for at in range(0, len(self._data), RECORD.size)]


def find_record(
    table: bytes | memoryview, width: int, digest: bytes, low: int, high: int
) -> int | None:
    """Return which of the sorted records from `low` up to `high` begins with `digest`."""
    while low < high:
        middle = (low + high) // 2
        found = table[middle * width : middle * width + 32]
        if found == digest:
            return middle
        if bytes(found) < digest:
            low = middle + 1
        else:
            high = middle
    return None


def unpack_frame(
    frame: bytes, size: int, digest: bytes, where: str, decompressor: zstandard.ZstdDecompressor
) -> bytes:
    """Return the chunk in a frame, verified. Raise CorruptError naming `where`.

    Never produces more than `size` bytes, whatever the frame claims.
    """
    if size > CHUNK_LIMIT or not frame:
        raise CorruptError(
            f"{where}: chunk {digest.hex()[:16]} has an impossible size",
            hint="art fsck --data --repair",
        )
    kind = frame[:1]
    if kind == _RAW:
        chunk = frame[1:]
    elif kind == _ZSTD:
        chunk = _decompress(frame, size, digest, where, decompressor)
    else:
        raise CorruptError(
            f"{where}: chunk {digest.hex()[:16]} has an unknown encoding",
            hint="art fsck --data --repair",
        )
    if len(chunk) != size or blake3(chunk).digest() != digest:
        raise CorruptError(
            f"{where}: chunk {digest.hex()[:16]} does not match its digest",
            hint="art fsck --data --repair",
        )
    return chunk


def _decompress(
    frame: bytes, size: int, digest: bytes, where: str, decompressor: zstandard.ZstdDecompressor
) -> bytes:
    body = memoryview(frame)[1:]
    try:
        if zstandard.frame_content_size(body) != size:
            raise zstandard.ZstdError("it claims another size")
        return decompressor.decompress(body)
    except zstandard.ZstdError as error:
        raise CorruptError(
            f"{where}: chunk {digest.hex()[:16]} does not decompress ({error})",
            hint="art fsck --data --repair",
        ) from error
