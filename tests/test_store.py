"""A store says what it is in one file, and asks for what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from art.backend import LocalBackend
from art.document import decode, encode
from art.errors import ConflictError, CorruptError, NewerFormatError, NoRepositoryError
from art.model import Chunking
from art.store import Store


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store")


def rewrite(backend: LocalBackend, **fields: Any) -> None:
    document = decode(backend.read("format.yaml"), "format.yaml")
    changed = {name: value for name, value in (document | fields).items() if value != "absent"}
    backend.replace("format.yaml", encode(changed))


@pytest.mark.parametrize("bare", [False, True])
def test_a_new_store_opens_as_what_it_was_made(backend: LocalBackend, bare: bool) -> None:
    made = Store.init(backend, bare=bare)
    opened = Store.open(backend, "here")
    assert (opened.id, opened.is_bare) == (made.id, bare)
    assert opened.objects.chunking == made.objects.chunking == Chunking()


def test_two_stores_have_two_ids(tmp_path: Path) -> None:
    ids = {Store.init(LocalBackend(tmp_path / name)).id for name in "abc"}
    assert len(ids) == 3


def test_a_store_is_made_once(backend: LocalBackend) -> None:
    made = Store.init(backend)
    with pytest.raises(ConflictError, match="there is a repository already"):
        Store.init(backend)
    assert Store.open(backend, "here").id == made.id


def test_nothing_is_no_store(backend: LocalBackend) -> None:
    with pytest.raises(NoRepositoryError, match="no repository at here"):
        Store.open(backend, "here")


def test_a_damaged_format_file_is_named(backend: LocalBackend) -> None:
    Store.init(backend)
    data = backend.read("format.yaml")
    for damaged in (b"", data[:-1], data.replace(b"bare: false", b"bare: truth")):
        backend.replace("format.yaml", damaged)
        with pytest.raises(CorruptError, match=r"format.yaml is damaged"):
            Store.open(backend, "here")


@pytest.mark.parametrize(
    "chunking",
    [
        "absent",
        5,
        [],
        {"min": 0},
        {"min": -1},
        {"min": 8192.0},
        {"min": "8192"},
        {"min": True},
        {"min": 65536},
        {"average": 0},
        {"average": 128},
        {"average": 262144},
        {"max": 1 << 40},
        {"max": 16 << 20},
        {"max": 16384},
        {"whole": 0},
        {"whole": 1 << 40},
        {"whole": None},
    ],
    ids=str,
)
def test_chunk_sizes_that_cannot_be_are_damage(backend: LocalBackend, chunking: Any) -> None:
    Store.init(backend)
    if isinstance(chunking, dict):
        known = decode(backend.read("format.yaml"), "format.yaml")["chunking"]
        chunking = known | chunking
    rewrite(backend, chunking=chunking)
    with pytest.raises(CorruptError, match=r"format.yaml is damaged"):
        Store.open(backend, "here")


@pytest.mark.parametrize("uid", ["absent", None, 5, "", "../x"])
def test_a_store_without_an_id_is_damaged(backend: LocalBackend, uid: Any) -> None:
    Store.init(backend)
    rewrite(backend, uid=uid)
    with pytest.raises(CorruptError, match="field 'uid'"):
        Store.open(backend, "here")


@pytest.mark.parametrize("bare", ["absent", "yes", 1, None])
def test_a_store_that_does_not_say_whether_it_is_bare_is_damaged(
    backend: LocalBackend, bare: Any
) -> None:
    Store.init(backend)
    rewrite(backend, bare=bare)
    with pytest.raises(CorruptError, match="field 'bare'"):
        Store.open(backend, "here")


def test_another_way_of_cutting_is_a_newer_format(backend: LocalBackend) -> None:
    Store.init(backend)
    rewrite(backend, chunking={"algorithm": "fastcdc-2030"})
    with pytest.raises(NewerFormatError, match="'fastcdc-2030'"):
        Store.open(backend, "here")


def test_a_newer_store_is_refused_as_newer(backend: LocalBackend) -> None:
    Store.init(backend)
    rewrite(backend, art=2)
    with pytest.raises(NewerFormatError, match=r"format.yaml has format 2"):
        Store.open(backend, "here")


@pytest.mark.parametrize("name", ["read-trees2", "write-x", "gc-x", "other-x", "x", "read-"])
def test_a_feature_that_is_not_known_is_refused_by_name(backend: LocalBackend, name: str) -> None:
    Store.init(backend)
    backend.create(f"features/{name}", b"")
    with pytest.raises(NewerFormatError, match=f"'{name}'"):
        Store.open(backend, "here")


def test_unknown_fields_and_unknown_files_do_no_harm(backend: LocalBackend) -> None:
    made = Store.init(backend)
    rewrite(backend, future={"a": 1})
    backend.create("something-else", b"x")
    assert Store.open(backend, "here").id == made.id
