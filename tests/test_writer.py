"""Writing payloads: what matters when there are very many chunks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from blake3 import blake3

from art.backend import LocalBackend
from art.objects import ObjectStore
from tests.support import SMALL, get_files, put_files, stored


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(LocalBackend(tmp_path / "store"), SMALL)


def test_of_thousands_of_chunks_each_is_stored_once_and_found(objects: ObjectStore) -> None:
    files = {f"{number:05}": b"%d" % (number % 3000) for number in range(6000)}
    written = put_files(objects, files)
    payload = stored(objects, written.payload)
    contents = {blake3(data).digest() for data in files.values()}
    placed = [digest for digest, _ in payload.layout.records()]
    assert placed == sorted(set(placed))
    assert contents <= set(placed)
    assert get_files(objects, written.payload) == files


class Counting:
    """Knows nothing, and counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        self.count += 1
        return {}


def test_hints_are_asked_for_many_new_chunks_at_once(objects: ObjectStore) -> None:
    hints = Counting()
    put_files(objects, {f"{number:05}": b"%d" % number for number in range(2000)}, hints=hints)
    assert 0 < hints.count < 40


def test_an_extension_is_extended_until_it_outgrows_half_of_its_root(objects: ObjectStore) -> None:
    """So a change costs what it is, and still no more than two layouts are read."""
    files = {f"{number:04}": b"%d" % number for number in range(600)}
    base = root = stored(objects, put_files(objects, files).payload)
    sizes = []
    for turn in range(40):
        files |= {f"{15 * turn + n:04}": b"%d of %d" % (n, turn) for n in range(15)}
        base = stored(objects, put_files(objects, files, base=base).payload)
        sizes.append(base.layout.chunk_count if base.layout.depth else 0)
        assert get_files(objects, base.digest) == files
    pieces = len(root.layout.pieces())
    assert 15 < sizes[0] < pieces + 20
    assert sizes[:3] == sorted(sizes[:3]), "each takes over what the one before it added"
    assert 0 in sizes, "at last one stands alone"
    assert max(sizes) <= root.layout.chunk_count // 2 + pieces + 20


def test_a_layout_that_stands_alone_holds_only_what_its_tree_needs(objects: ObjectStore) -> None:
    files = {f"{number:04}": b"%d" % number for number in range(100)}
    base = stored(objects, put_files(objects, files).payload)
    for turn in range(20):
        files |= {f"{number:04}": b"%d of %d" % (number, turn) for number in range(100)}
        base = stored(objects, put_files(objects, files, base=base).payload)
        if not base.layout.depth:
            assert base.layout.chunk_count <= 100 + len(base.layout.pieces())
