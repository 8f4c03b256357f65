"""Layouts: every chunk is found where it was put, in the layout or in those it extends."""

from __future__ import annotations

import random
import struct

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from art import layout as layouts
from art.errors import CorruptError
from art.layout import DEPTH_LIMIT, Layout, Link, encode, sort_records
from art.pack import CHUNK_LIMIT, Location
from tests.support import digest_of

PAYLOAD = "ab" * 32
digests = st.binary(min_size=32, max_size=32)
places = st.tuples(
    st.integers(0, 2), st.integers(0, 2**32 - 1), st.integers(0, 2**20), st.integers(0, CHUNK_LIMIT)
)
tables = st.dictionaries(digests, places, max_size=60)
PACKS = ["11" * 32, "22" * 32, "33" * 32]


def record(digest: bytes, place: tuple[int, int, int, int]) -> bytes:
    return layouts.RECORD.pack(digest, *place)


def location(place: tuple[int, int, int, int]) -> Location:
    number, offset, length, size = place
    return Location(PACKS[number], offset, length, size)


def parsed(data: bytes) -> Layout:
    return Layout(data, "l", blake3(data).hexdigest())


def records_of(table: dict[bytes, tuple[int, int, int, int]]) -> bytes:
    return sort_records(b"".join(record(digest, place) for digest, place in table.items()))


@given(tables, digests)
def test_every_chunk_is_found_where_it_is_and_no_other(
    table: dict[bytes, tuple[int, int, int, int]], other: bytes
) -> None:
    layout = parsed(encode(PAYLOAD, PACKS, records_of(table), []))
    for digest, place in table.items():
        assert layout.find(digest) == location(place)
    assert (layout.find(other) is not None) == (other in table)
    assert list(layout.records()) == [(digest, location(table[digest])) for digest in sorted(table)]
    assert layout.packs == PACKS
    assert (layout.payload, layout.extends, layout.depth) == (PAYLOAD, None, 0)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 5000])
def test_the_fan_out_serves_few_and_many_chunks(count: int) -> None:
    chosen = [digest_of(b"%d" % number) for number in range(count)]
    table = {digest: (0, number, 1, 1) for number, digest in enumerate(chosen)}
    data = encode(PAYLOAD, PACKS, records_of(table), [])
    layout = parsed(data)
    bits = struct.unpack_from("<I", data, 116)[0]
    assert bits == (0 if count < 16 else count.bit_length() - 5)
    assert all(layout.find(digest) == location(table[digest]) for digest in chosen)
    assert all(layout.find(digest_of(b"x%d" % number)) is None for number in range(1000))


@pytest.mark.parametrize("edge", [b"\x00" * 32, b"\xff" * 32, b"\x00\xff" * 16, b"\xff\x00" * 16])
def test_digests_at_the_edges_are_found(edge: bytes) -> None:
    table = {digest_of(b"%d" % number): (0, 0, 1, 1) for number in range(3000)}
    layout = parsed(encode(PAYLOAD, PACKS, records_of(table), []))
    assert layout.find(edge) is None
    table[edge] = (2, 7, 7, 7)
    layout = parsed(encode(PAYLOAD, PACKS, records_of(table), []))
    assert layout.find(edge) == location((2, 7, 7, 7))


paths = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


@given(st.lists(st.tuples(digests, places, paths), max_size=10))
def test_the_pieces_of_the_tree_keep_their_order_and_first_paths(
    pieces: list[tuple[bytes, tuple[int, int, int, int], str]],
) -> None:
    written = [(record(digest, place), path) for digest, place, path in pieces]
    layout = parsed(encode(PAYLOAD, PACKS, b"", written))
    assert [(piece.digest, piece.location, piece.first_path) for piece in layout.pieces()] == [
        (digest, location(place), path) for digest, place, path in pieces
    ]
    assert all(layout.find(digest) is None for digest, _, _ in pieces), "pieces are a table apart"


@given(st.lists(tables, min_size=1, max_size=DEPTH_LIMIT + 1))
def test_a_chain_of_extensions_knows_every_chunk(
    levels: list[dict[bytes, tuple[int, int, int, int]]],
) -> None:
    chain: list[Layout] = []
    for depth, table in enumerate(levels):
        base = chain[-1] if chain else None
        layout = parsed(encode(f"{depth:064x}", PACKS, records_of(table), [], base))
        assert layout.depth == depth
        assert layout.extends == (Link(base.payload, base.digest) if base else None)
        chain.append(layout)
    for layout, table in zip(chain, levels, strict=True):
        assert {digest for digest, _ in layout.records()} == set(table)


def test_a_layout_that_would_be_too_deep_is_refused() -> None:
    base = None
    for depth in range(DEPTH_LIMIT + 1):
        base = parsed(encode(f"{depth:064x}", [], b"", [], base))
    with pytest.raises(CorruptError, match="not a layout"):
        parsed(encode(PAYLOAD, [], b"", [], base))


SAMPLE = encode(
    PAYLOAD,
    PACKS,
    records_of({digest_of(b"%d" % number): (number % 3, number, 1, 1) for number in range(40)}),
    [(record(digest_of(b"piece"), (0, 9, 9, 9)), "a/b")],
)


@pytest.mark.parametrize("length", [0, 7, 8, 127, 128, 200, len(SAMPLE) - 1])
def test_a_truncated_layout_is_damage_that_is_named(length: int) -> None:
    with pytest.raises(CorruptError, match="^l is damaged"):
        parsed(SAMPLE[:length])


def test_a_longer_layout_is_damaged() -> None:
    with pytest.raises(CorruptError, match="^l is damaged: it has"):
        parsed(SAMPLE + b"\x00")


@pytest.mark.parametrize("offset", [*range(8), *range(104, 128)])
@pytest.mark.parametrize("value", [1, 0x7F, 0xFF])
def test_a_changed_head_never_leads_beyond_the_file(offset: int, value: int) -> None:
    """The digest in a layout's name protects it; this is the second line, for what was made so."""
    damaged = bytearray(SAMPLE)
    damaged[offset] ^= value
    with pytest.raises(CorruptError, match="^l is damaged"):
        use(parsed(bytes(damaged)))


def use(layout: Layout) -> None:
    layout.pieces()
    list(layout.records())
    for number in range(40):
        layout.find(digest_of(b"%d" % number))


def test_random_damage_raises_corrupt_error_or_nothing() -> None:
    noise = random.Random(5)
    refused = 0
    for _ in range(500):
        damaged = bytearray(SAMPLE)
        for _ in range(noise.randrange(1, 6)):
            damaged[noise.randrange(len(damaged))] = noise.randrange(256)
        try:
            layout = parsed(bytes(damaged))
            layout.pieces()
            list(layout.records())
            for number in range(40):
                layout.find(digest_of(b"%d" % number))
        except CorruptError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "place", [(3, 0, 1, 1), (2**32 - 1, 0, 1, 1), (0, 0, 1, CHUNK_LIMIT + 1), (0, 0, 2**32 - 1, 1)]
)
def test_a_place_that_cannot_be_is_damage(place: tuple[int, int, int, int]) -> None:
    layout = parsed(encode(PAYLOAD, PACKS, record(digest_of(b"x"), place), []))
    with pytest.raises(CorruptError, match="^l is damaged"):
        layout.find(digest_of(b"x"))
