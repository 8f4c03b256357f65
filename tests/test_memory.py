"""What is remembered of chunks: hints, noted in small transactions, learned again after a kill."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from art import memory
from art.database import Database
from art.index import Index
from art.memory import Memory
from art.repo import Repo


@pytest.fixture
def stored(repo: Repo, tmp_path: Path) -> Repo:
    """Return a repository with 30 chunks in one pack, and nothing remembered of them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}").write_text(f"content {number}")
    repo.create("k", folder)
    repo.close()
    (repo.root / ".art/index.sqlite").unlink()
    return repo


def digests(repo: Repo) -> list[bytes]:
    objects = repo._store.objects
    return [digest for pack in objects.pack_ids() for digest in objects.directory(pack).digests()]


def test_a_pack_is_learned_again_where_a_process_was_killed_halfway(
    stored: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_BATCH", 10)
    database = Database(str(stored.root / ".art/index.sqlite"), stored.id)
    remembered = Memory(database, stored._store.objects)
    turns: list[int] = []
    original = Database.execute_many

    def killed(self: Database, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        turns.append(1)
        if len(turns) == 3:
            raise KeyboardInterrupt
        original(self, statement, rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Database, "execute_many", killed)
        remembered.learn_packs()
    known = digests(stored)
    assert 0 < len(remembered.find(known)) < len(known)

    remembered.learn_packs()
    found = remembered.find(known)
    assert set(found) == set(known)
    assert {*found.values()} == {*stored._store.objects.pack_ids()}
    database.close()


def test_others_can_write_while_much_is_being_noted(
    stored: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_BATCH", 10)
    path = str(stored.root / ".art/index.sqlite")
    database = Database(path, stored.id)
    database.execute("SELECT 1")

    def chunks() -> Iterable[tuple[bytes, str]]:
        for number in range(25):
            if number in (10, 20):
                other = sqlite3.connect(path, timeout=0)
                other.execute("DELETE FROM directories")
                other.commit()
                other.close()
            yield number.to_bytes(32, "little"), "p"

    Memory(database, stored._store.objects).note_chunks(chunks)
    assert database.execute("SELECT count(*) FROM chunks").fetchone() == (25,)
    database.close()


def test_what_is_kept_in_memory_alone_has_a_bound(
    stored: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / "one").write_bytes(str(number).encode() * 100)
        stored.create("other", tmp_path / "one")
    monkeypatch.setattr(memory, "_CHUNKS_IN_MEMORY", 1)
    database = Database(None, stored.id)
    remembered = Memory(database, stored._store.objects)
    remembered.learn_packs()
    (packs,) = database.execute("SELECT count(*) FROM packs").fetchone()
    assert packs == 1 < len(stored._store.objects.pack_ids())


def test_the_first_progress_of_a_key_looks_at_no_other(
    stored: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Index) -> None:
        raise AssertionError("every key is looked at")

    monkeypatch.setattr(Index, "refresh_all", refused)
    assert stored.progress("bar", 10).version.ref == "bar@v1"
    assert stored.progress("bar", 20).version.ref == "bar@v1"
