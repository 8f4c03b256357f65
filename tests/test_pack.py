"""Packs: frames, directory and trailer; whatever is damaged is noticed before it is handed out."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from art import pack as packs
from art.backend import Backend, LocalBackend
from art.errors import CorruptError
from art.pack import CHUNK_LIMIT, HEADER_SIZE, TRAILER_SIZE, Directory, Location
from art.packer import Packer
from tests.support import digest_of

DECOMPRESSOR = zstandard.ZstdDecompressor()
chunk_sets = st.lists(st.binary(min_size=1, max_size=50), unique=True, max_size=40)


def build(chunks: list[bytes]) -> bytes:
    """Return a pack of raw chunks."""
    parts = [packs.new_header()]
    records = []
    offset = HEADER_SIZE
    for chunk in chunks:
        frame = packs.raw_frame(chunk)
        records.append(packs.RECORD.pack(digest_of(chunk), offset, len(frame), len(chunk)))
        parts.append(frame)
        offset += len(frame)
    return b"".join(parts) + packs.footer(records, offset)


def open_directory(pack: bytes) -> Directory:
    offset, length, digest = packs.parse_trailer(pack[-TRAILER_SIZE:], len(pack), "p")
    return Directory(pack[offset : offset + length], digest, "p")


@given(chunk_sets, st.binary(min_size=1, max_size=50))
def test_a_directory_finds_what_the_pack_holds_and_nothing_else(
    chunks: list[bytes], other: bytes
) -> None:
    pack = build(chunks)
    directory = open_directory(pack)
    for chunk in chunks:
        found = directory.find(digest_of(chunk))
        assert found
        offset, length, size = found
        frame = pack[offset : offset + length]
        assert packs.unpack_frame(frame, size, digest_of(chunk), "p", DECOMPRESSOR) == chunk
    assert (directory.find(digest_of(other)) is not None) == (other in chunks)
    assert directory.digests() == sorted(map(digest_of, chunks))


def test_every_pack_has_another_nonce() -> None:
    assert len({packs.new_header() for _ in range(100)}) == 100


def test_every_flipped_bit_of_directory_and_trailer_is_noticed() -> None:
    pack = build([b"one", b"two", b"three"])
    whole, digests = (
        open_directory(pack),
        [digest_of(chunk) for chunk in (b"one", b"two", b"three")],
    )
    places = [whole.find(digest) for digest in digests]
    start = len(pack) - TRAILER_SIZE - 3 * packs.RECORD.size
    for bit in range(8 * start, 8 * len(pack)):
        damaged = bytearray(pack)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = open_directory(bytes(damaged))
        except CorruptError:
            continue
        # only the zeros between digest and magic mean nothing
        assert len(pack) - 24 <= bit // 8 < len(pack) - 8
        assert [found.find(digest) for digest in digests] == places


@pytest.mark.parametrize("length", [0, 1, HEADER_SIZE, 63, 64, 100])
def test_a_truncated_pack_has_no_directory(length: int) -> None:
    pack = build([b"one", b"two" * 100])[:length]
    with pytest.raises(CorruptError, match="^p is damaged"):
        open_directory(pack)


def test_every_flipped_bit_of_a_frame_is_noticed() -> None:
    chunk = b"abc " * 40
    compressed = zstandard.ZstdCompressor().compress(chunk)
    for frame in (packs.raw_frame(chunk), packs.zstd_frame(compressed)):
        for bit in range(8 * len(frame)):
            damaged = bytearray(frame)
            damaged[bit // 8] ^= 1 << bit % 8
            try:
                found = packs.unpack_frame(
                    bytes(damaged), len(chunk), digest_of(chunk), "p", DECOMPRESSOR
                )
            except CorruptError:
                continue
            assert found == chunk, "a bit that zstd ignores may flip, the content may not"


@pytest.mark.parametrize(
    "frame", [b"", b"\x00", b"\x01", b"\x02abc", b"\xff", b"\x01abc", b"\x00ab"]
)
def test_a_frame_that_is_none_is_damage_that_is_named(frame: bytes) -> None:
    with pytest.raises(CorruptError, match=r"^packs/p: chunk "):
        packs.unpack_frame(frame, 3, digest_of(b"abc"), "packs/p", DECOMPRESSOR)


def test_a_frame_never_gives_more_than_it_says() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    with pytest.raises(CorruptError, match="another size"):
        packs.unpack_frame(packs.zstd_frame(bomb), 10, digest_of(b"x"), "p", DECOMPRESSOR)


def test_a_frame_that_hides_its_size_is_refused() -> None:
    writer = zstandard.ZstdCompressor(write_content_size=False)
    with pytest.raises(CorruptError, match="another size"):
        packs.unpack_frame(
            packs.zstd_frame(writer.compress(bytes(1 << 20))),
            10,
            digest_of(b"x"),
            "p",
            DECOMPRESSOR,
        )


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    """The header says 10 bytes, the blocks give a million."""
    honest = bytearray(zstandard.ZstdCompressor().compress(bytes(1 << 20)))
    small = zstandard.ZstdCompressor().compress(bytes(10))
    assert zstandard.frame_header_size(small) == 6
    blocks = bytes(honest[zstandard.frame_header_size(honest) :])
    liar = bytes(small[:6]) + blocks
    assert zstandard.frame_content_size(liar) == 10
    with pytest.raises(CorruptError, match="does not decompress"):
        packs.unpack_frame(packs.zstd_frame(liar), 10, digest_of(bytes(10)), "p", DECOMPRESSOR)


def test_a_chunk_beyond_the_limit_is_refused_before_anything_is_done() -> None:
    with pytest.raises(CorruptError, match="impossible size"):
        packs.unpack_frame(b"\x00x", CHUNK_LIMIT + 1, digest_of(b"x"), "p", DECOMPRESSOR)


# -- packs being written -------------------------------------------------------------------------


def read_back(backend: Backend, packer: Packer) -> dict[bytes, bytes]:
    """Return every chunk that the packer placed, read from where it says."""
    found = {}
    for digest, number, offset, length, size in struct.iter_unpack("<32sIIII", packer.records()):
        name = packs.pack_name(packer.pack_ids()[number])
        frame = backend.read(name, offset, length)
        found[digest] = packs.unpack_frame(frame, size, digest, name, DECOMPRESSOR)
    return found


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store")


def test_what_goes_into_a_packer_lies_where_it_says(backend: LocalBackend) -> None:
    noise = random.Random(1)
    chunks = [noise.randbytes(noise.choice([1, 100, 5000, 20_000])) for _ in range(30)]
    chunks += [b"a" * size for size in (1, 100, 5000, 20_000)]
    packer = Packer(backend, 2)
    for at in range(0, len(chunks), 7):
        packer.put([(digest_of(chunk), chunk) for chunk in chunks[at : at + 7]])
    packer.finish()
    assert read_back(backend, packer) == {digest_of(chunk): chunk for chunk in chunks}
    (item,) = backend.walk("packs")
    content = backend.read(item.name)
    assert item.name == packs.pack_name(blake3(content).hexdigest()), "b3sum checks it"
    assert content[:8] == b"ARTPACK\x01"
    assert packer.stored_bytes == len(content)
    assert len(content) < sum(map(len, chunks)), "what can be compressed is"


def test_a_pack_that_is_full_is_followed_by_another(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.packer.PACK_SIZE", 10_000)
    noise = random.Random(2)
    chunks = [noise.randbytes(3000) for _ in range(20)]
    packer = Packer(backend, 2)
    for chunk in chunks:
        packer.put([(digest_of(chunk), chunk)])
    packer.finish()
    assert read_back(backend, packer) == {digest_of(chunk): chunk for chunk in chunks}
    assert len(packer.new_packs()) == 5
    assert len(list(backend.walk("packs"))) == 5


def test_adopted_chunks_are_placed_but_no_pack_is_written(backend: LocalBackend) -> None:
    packer = Packer(backend, 2)
    packer.adopt(digest_of(b"x"), Location("ab" * 32, 32, 10, 9))
    packer.adopt(digest_of(b"y"), Location("ab" * 32, 42, 10, 9))
    packer.finish()
    assert list(backend.walk("")) == []
    assert packer.new_packs() == []
    assert dict(packer.placed()) == {digest_of(b"x"): "ab" * 32, digest_of(b"y"): "ab" * 32}


def test_an_aborted_packer_leaves_nothing(backend: LocalBackend) -> None:
    packer = Packer(backend, 2)
    packer.put([(digest_of(b"x"), b"x")])
    packer.abort()
    packer.abort()
    assert list(backend.walk("")) == []


def test_what_fails_while_writing_is_raised_to_the_caller(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    packer = Packer(backend, 2)
    monkeypatch.setattr("art.backend.LocalStaged.commit", failing)
    packer.put([(digest_of(b"x"), b"x")])
    with pytest.raises(OSError, match="No space"):
        packer.finish()
    packer.abort()
    assert list(backend.walk("")) == []
