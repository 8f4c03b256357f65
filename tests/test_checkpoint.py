"""Checkpoints: what is in them is what was put in, and nothing else is taken for one."""

from __future__ import annotations

import random

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from art import checkpoint
from art.catalog import VERSIONS, Log
from art.checkpoint import _cover
from art.errors import CorruptError


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_what_goes_in_comes_out(contents: list[bytes]) -> None:
    assert checkpoint.decode(checkpoint.encode(contents), len(contents), "here") == contents


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5), st.data())
def test_a_checkpoint_that_was_changed_is_refused_or_the_same(
    contents: list[bytes], data: st.DataObject
) -> None:
    whole = bytearray(checkpoint.encode(contents))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        assert checkpoint.decode(bytes(whole), len(contents), "here") == contents
    except CorruptError as error:
        assert "here is damaged" in error.message


@given(st.binary(max_size=200))
def test_anything_else_is_refused(junk: bytes) -> None:
    for data in (junk, b"ARTCHKP\x01" + junk):
        with pytest.raises(CorruptError):
            checkpoint.decode(data, 1, "here")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    body = bytes(100 << 20)
    data = b"ARTCHKP\x01" + blake3(body).digest() + zstandard.ZstdCompressor().compress(body)
    assert len(data) < 100_000
    with pytest.raises(CorruptError):
        checkpoint.decode(data, 64, "here")


def test_one_with_another_number_of_documents_is_refused() -> None:
    for contents, has in (([b"1"], "has 1"), ([b"1"] * 3, "has more than 2")):
        with pytest.raises(CorruptError, match=f"it {has} documents, expected 2"):
            checkpoint.decode(checkpoint.encode(contents), 2, "here")


def test_checkpoints_are_due_at_multiples_of_their_size() -> None:
    assert [n for n in range(1, 200) if checkpoint.due(n)] == [64, 128, 192]
    assert checkpoint.due(128) == [(65, 128)]
    assert sorted(checkpoint.due(2048)) == [(1025, 2048), (1985, 2048)]
    assert checkpoint.name(Log("k", VERSIONS), 1, 64) == "checkpoints/manifests/k/_1-64"


def test_none_of_those_that_are_read_overlaps_another() -> None:
    chance = random.Random(5)
    names = [f"_{first}-{last}" for n in range(1, 5001) for first, last in checkpoint.due(n)]
    for _ in range(50):
        start = chance.randint(1, 5000)
        wanted = range(start, chance.randint(start, 5000) + 1)
        known = chance.sample(names, chance.randint(0, len(names)))
        known += ["_0-64", "_5-7", "junk", "_1-64x"]
        chosen = sorted(_cover(wanted, known))
        assert all(low[1] < high[0] for low, high in zip(chosen, chosen[1:], strict=False))
        for first, last in chosen:
            assert f"_{first}-{last}" in known
            assert 2 * len(range(max(first, wanted.start), min(last, wanted[-1]) + 1)) > (
                last - first + 1
            )
