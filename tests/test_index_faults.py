"""Whatever happens to the index, answers stay right: it is derived, and nobody believes it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import art
from art import database
from art.listing import Filter
from art.repo import Repo
from tests.support_damage import CONTENTS, look_at_all, make_damage_template
from tests.support_processes import run_together
from tests.support_state import content


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a bit of everything, and its index."""
    return make_damage_template(tmp_path_factory.mktemp("template") / "repo")


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """Return a copy of the template."""
    shutil.copytree(template, tmp_path / "repo")
    return tmp_path / "repo"


def _other_repository(path: Path) -> None:
    other = path.parent.parent / "elsewhere"
    with art.init(other, nested=True) as repo:
        repo.value("data", "another repository's")
    shutil.copy(other / ".art/index.sqlite", path)


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return change


def _folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


CHANGES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(random.Random(1).randbytes(50_000)),
    "text": lambda path: path.write_bytes(b"no database\n" * 100),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "cut to its header": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "zeros at its end": lambda path: path.write_bytes(path.read_bytes()[:-8192] + bytes(8192)),
    "a folder": _folder,
    "of another repository": _other_repository,
    "of another release": _sql("PRAGMA user_version = 99"),
    "of no release": _sql("PRAGMA user_version = 0"),
    "without tables": _sql(
        *[f"DROP TABLE {name}" for name in ("versions", "files", "chunks", "entries")]
    ),
    "with other columns": _sql("DROP TABLE versions", "CREATE TABLE versions (a, b)"),
    "without identity": _sql("DELETE FROM identity"),
    "without versions": _sql("DELETE FROM versions"),
    "without directories": _sql("DELETE FROM directories"),
    "with packs that are paths": _sql("UPDATE packs SET id = '../../../etc/' || number"),
    "with packs that are numbers": _sql("UPDATE packs SET id = number"),
    "with packs that are null": _sql("UPDATE packs SET id = NULL"),
    "with packs that are bytes": _sql("UPDATE packs SET id = CAST(number AS BLOB)"),
    "with packs that are long": _sql(
        "UPDATE packs SET id = printf('%.*c', 5000, 'a') || number",
    ),
    "with packs that hold NUL": _sql("UPDATE packs SET id = char(97, 0, 98) || number"),
    "with packs that are no UTF-8": _sql("UPDATE packs SET id = CAST(x'ff' || number AS TEXT)"),
    "with chunks in no pack": _sql("UPDATE chunks SET pack = 12345"),
    "with files that are null": _sql("UPDATE files SET data = NULL"),
    "with files that are short": _sql("UPDATE files SET data = x'00'"),
    "with files that are numbers": _sql("UPDATE files SET data = 5"),
    "with files that are text": _sql("UPDATE files SET data = 'text'"),
    "with a payload that is none": _sql("UPDATE files SET payload = 'x'"),
    "with wrong states": _sql("UPDATE versions SET state = 'deleted'"),
    "with wrong tags": _sql("UPDATE versions SET tags = 'evil'"),
    "with wrong ids": _sql("UPDATE versions SET id = 'b3:' || hex(randomblob(32))"),
    "with numbers that are text": _sql("UPDATE versions SET number = 'x' WHERE number = 1"),
    "with descriptions that are none": _sql("UPDATE versions SET about = NULL, base = 5"),
    "with entries that are none": _sql("UPDATE entries SET document = '{'"),
    "with keys that are none": _sql("UPDATE keys SET key = 'x/' || id WHERE id > 0"),
    "with keys that are numbers": _sql("UPDATE keys SET key = id WHERE id > 0"),
    "with texts that are no UTF-8": _sql("UPDATE versions SET title = CAST(x'ff' AS TEXT)"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_index_that_is_not_what_it_should_be_changes_no_answer(name: str, root: Path) -> None:
    CHANGES[name](root / ".art/index.sqlite")

    with Repo(root) as repo:
        assert {row.ref for row in repo.listing(filter=Filter(all=True))} == ROWS
        assert [row.ref for row in repo.history("data")] == ["data@v2", "data@v1"]
    assert look_at_all(root) == []
    with Repo(root) as repo:
        assert {ref: content(repo, ref) for ref in ("data@v1", "data@v2")} == {
            ref: CONTENTS[ref] for ref in ("data@v1", "data@v2")
        }


@pytest.mark.parametrize(
    "name", [name for name in CHANGES if name not in ("a folder", "without directories")]
)
def test_an_index_heals_so_that_the_next_command_finds_it_whole(name: str, root: Path) -> None:
    path = root / ".art/index.sqlite"
    CHANGES[name](path)
    with Repo(root) as repo:
        repo.listing()
        repo.create("data", root / "data")
        repo.create("data", root / "data")
    before = path.read_bytes()
    with Repo(root) as repo:
        repo.listing()
        repo.version("data")
        made = repo.create("data", root / "data")
        assert not made.created
        assert not any("index" in finding.message for finding in repo.doctor())
    assert before[:16] == path.read_bytes()[:16] == b"SQLite format 3\0"
    connection = sqlite3.connect(path)
    [count] = connection.execute("SELECT count(*) FROM versions").fetchone()
    connection.close()
    assert count >= 9, "what was learned was not kept"


def test_flipped_bits_of_the_index_change_no_answer(template: Path, tmp_path: Path) -> None:
    chance = random.Random(4)
    data = (template / ".art/index.sqlite").read_bytes()
    # Pages that are all zeros are not read; what is not zero is worth the time.
    places = chance.sample([at for at, byte in enumerate(data) if byte], 40)
    for at in [18, 19, 24, 28, 100, 105, *places]:
        root = tmp_path / "repo"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        (root / ".art/index.sqlite").write_bytes(changed)
        assert look_at_all(root) == [], f"byte {at}"


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make waiting for a lock short."""
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)


@pytest.fixture
def locked(root: Path) -> Iterator[Path]:
    """Return a repository whose index another process holds locked."""
    script = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
connection.execute("DELETE FROM directories")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""
    index = root / ".art/index.sqlite"
    words = [sys.executable, "-c", script, str(index)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"locked\n"
        yield root
        child.stdin.close()
        assert child.wait() == 0, "the lock was taken away from its holder"


@pytest.mark.usefixtures("short_wait")
def test_an_index_locked_for_long_is_left_alone_and_done_without(locked: Path) -> None:
    index = locked / ".art/index.sqlite"
    before = index.stat().st_ino

    assert look_at_all(locked) == []
    with Repo(locked) as repo:
        assert not any("index" in finding.message for finding in repo.doctor())

    assert index.stat().st_ino == before, "the index of another process was removed"


def test_an_index_deleted_while_in_use_changes_no_answer(root: Path) -> None:
    index = root / ".art/index.sqlite"
    with Repo(root) as first, Repo(root) as second:
        first.listing()
        second.listing()
        for turn in range(10):
            if turn % 3 == 0:
                index.unlink(missing_ok=True)
            writer, reader = (first, second) if turn % 2 else (second, first)
            ref = writer.value("fresh", turn).version.ref
            writer.tag(ref, "newest")
            assert ref == f"fresh@v{turn + 1}"
            assert reader.version("fresh").ref == ref
            assert reader.version("fresh@newest").ref == ref
            assert [row.ref for row in reader.listing("fresh")] == [ref]
        with Repo(root) as third:
            assert [row.number for row in third.history("fresh")] == [*range(10, 0, -1)]
            assert [row.ref for row in third.listing("fresh")] == ["fresh@v10"]


def test_an_index_deleted_again_and_again_under_many_processes_changes_no_answer(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    writer = """
for turn in range(25):
    ref = repo.value(f"k{turn % 3}", [number, turn] and number * 100 + turn).version.ref
    assert repo.version(ref).read() == str(number * 100 + turn).encode()
    refs = {row.ref for row in repo.listing()}
    say(ref=ref)
"""
    remover = """
for turn in range(60):
    Path(".art/index.sqlite").unlink(missing_ok=True)
    time.sleep(0.01)
"""
    said = run_together(tmp_path / "all", writer, writer, writer, remover)

    refs = sorted(line["ref"] for lines in said for line in lines)
    numbers = {key: sorted(int(r.split("v")[1]) for r in refs if r.startswith(key)) for key in KEYS}
    assert all(found == [*range(1, len(found) + 1)] for found in numbers.values()), numbers
    for fresh in (False, True):
        if fresh:
            (root / ".art/index.sqlite").unlink(missing_ok=True)
        with Repo(root) as repo:
            latest = {row.key: row.number for row in repo.listing("k?")}
            assert latest == {key: len(found) for key, found in numbers.items()}


ROWS = {"data@v1", "data@v2", "text@v1", "one@v1", "link@v1", "ref@v1", "bar@v1"}
KEYS = ("k0", "k1", "k2")


def test_a_full_disk_for_the_index_alone_changes_no_answer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement.startswith(("INSERT", "UPDATE", "DELETE")) and self.is_on_disk:
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(statement, *values)

        is_on_disk = True

    def connected(path: str, **options: Any) -> sqlite3.Connection:
        connection: Full = connect(path, factory=Full, **options)
        connection.is_on_disk = path != ":memory:"
        return connection

    monkeypatch.setattr(database.sqlite3, "connect", connected)
    assert look_at_all(root) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_journal_left_by_a_killed_process_is_rolled_back(root: Path) -> None:
    script = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for _ in range(3):
    connection.execute("UPDATE versions SET title = hex(randomblob(4000)), state = 'deleted'")
    connection.execute("UPDATE files SET data = randomblob(9000)")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(root / ".art/index.sqlite")])
    assert done.returncode == -9
    assert (root / ".art/index.sqlite-journal").stat().st_size > 0
    assert look_at_all(root) == []
