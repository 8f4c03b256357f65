"""The index: answers like the files, whatever happened to it, and is never the truth."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import art
from art.catalog import Catalog
from art.database import Database
from art.errors import ConflictError, CorruptError
from art.index import Index
from art.listing import Filter
from art.model import Entry
from art.repo import Repo
from art.rows import Record
from tests.support import fresh_view, view


@pytest.fixture
def filled(repo: Repo) -> Repo:
    """Return a repository with a little of everything, in a settled state."""
    for number in range(3):
        repo.markdown(
            "a", f"text {number}", title=f"title {number}", labels=["x"], metadata={"n": number}
        )
        repo.markdown("b/c", f"other {number}", inputs=[f"a@v{number + 1}"])
    repo.markdown("gone", "text")
    repo.markdown(None, "keyless")
    repo.tag("a@v2", "prod")
    repo.tag("a@v3", "prod")
    repo.tag("b/c@v1", "Prod")
    repo.note("a@v1", title="noted", metadata={"extra": [1, 2.5, None]}, add_labels=["y"])
    repo.delete("gone")
    repo.delete("b/c@v3")
    settle(repo.root)
    return repo


def settle(root: Path) -> None:
    """Let every directory look as if nothing had changed for an hour."""
    for folder, _, _ in os.walk(root / ".art"):
        found = os.stat(folder)
        os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns - 3_600_000_000_000))


def index_path(repo: Repo) -> Path:
    return repo.root / ".art" / "index.sqlite"


def test_what_is_known_is_what_the_files_say(filled: Repo) -> None:
    assert view(filled) == fresh_view(filled)
    shown = {record.ref: record for record in filled.listing(filter=Filter(all=True))}
    assert sorted(shown) == ["a@v1", "a@v2", "a@v3", "b/c@v1", "b/c@v2"]
    assert shown["a@v1"].title == "noted"
    assert shown["a@v1"].labels == ["x", "y"]
    assert shown["a@v1"].metadata == {"n": 0, "extra": [1, 2.5, None]}
    assert shown["a@v3"].tags == ["prod"]
    assert shown["a@v2"].tags == []
    assert filled.history("gone")[0].state == "deleted"


def test_a_listing_reads_no_file_where_nothing_changed(
    filled: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.listing()
    read: list[str] = []
    monkeypatch.setattr("art.backend.LocalBackend.read", lambda self, name, *_: read.append(name))
    monkeypatch.setattr("art.backend.LocalBackend.names", lambda self, name: read.append(name))
    assert len(filled.listing()) == 2
    assert read == []


CHANGES: dict[str, Callable[[Repo], object]] = {
    "a version": lambda repo: repo.markdown("a", "new"),
    "a version of a new key": lambda repo: repo.markdown("b/d/e", "new"),
    "a key inside a key": lambda repo: repo.markdown("a/b", "new"),
    "a keyless version": lambda repo: repo.markdown(None, "new"),
    "a tag": lambda repo: repo.tag("a@v1", "new"),
    "a tag on a key without logs": lambda repo: repo.tag("b/c@v2", "new"),
    "a tag moved": lambda repo: repo.tag("a@v1", "prod"),
    "a tag taken away": lambda repo: repo.untag("a", "prod"),
    "a note": lambda repo: repo.note("a@v1", title="again"),
    "a note on a keyless version": lambda repo: repo.note(
        repo.listing(filter=Filter(anonymous=True))[0].id, title="again"
    ),
    "a deletion": lambda repo: repo.delete("a@v1", force=True),
    "a restoration": lambda repo: repo.restore("gone"),
    "a move": lambda repo: repo.move("b/c", "moved/here"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_process_did_is_seen_at_once(filled: Repo, change: str) -> None:
    before = view(filled)
    with art.open(filled.root) as other:
        index_path(filled).rename(index_path(filled).with_name("kept"))  # it tells this one nothing
        CHANGES[change](other)
    index_path(filled).with_name("kept").replace(index_path(filled))
    assert view(filled) != before
    assert view(filled) == fresh_view(filled)


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_process_did_is_seen_by_who_asks_for_one_key(
    filled: Repo, change: str
) -> None:
    with art.open(filled.root) as other:
        index_path(filled).rename(index_path(filled).with_name("kept"))
        CHANGES[change](other)
    index_path(filled).with_name("kept").replace(index_path(filled))
    expected = fresh_view(filled)
    for key in filled_keys(filled):
        found = [describe(record) for record in filled.history(key)]
        assert sorted(found) == sorted(line for line in expected if line.startswith(f"{key}@"))


def describe(record: Record) -> str:
    return f"{record.ref} {record}"


def filled_keys(repo: Repo) -> list[str]:
    return sorted(Catalog(repo._backend).keys())


def test_a_deleted_index_is_built_anew(filled: Repo) -> None:
    expected = view(filled)
    filled.close()
    index_path(filled).unlink()
    assert view(filled) == expected
    assert index_path(filled).exists()


JUNK: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"hello\n" * 1000,
    "zeros": lambda data: bytes(len(data)),
    "noise": lambda data: random.Random(1).randbytes(len(data)),
    "half": lambda data: data[: len(data) // 2],
    "head only": lambda data: data[:100],
    "a byte less": lambda data: data[:-1],
    "without its tables": lambda data: data[:4096],
    "middle gone": lambda data: data[:8192] + bytes(len(data) - 8192),
}


@pytest.mark.parametrize("junk", JUNK)
def test_a_damaged_index_is_built_anew(filled: Repo, junk: str) -> None:
    expected = view(filled)
    filled.close()
    index_path(filled).write_bytes(JUNK[junk](index_path(filled).read_bytes()))
    with art.open(filled.root) as repo:
        assert view(repo) == expected
        assert repo.markdown("a", "and on").version.ref == "a@v4"
        assert view(repo) == fresh_view(repo)


def test_random_damage_never_changes_an_answer(filled: Repo) -> None:
    """A damaged page may hide a row, which asking for the version brings back; none is ever wrong."""
    expected = view(filled)
    filled.close()
    whole = index_path(filled).read_bytes()
    noise = random.Random(3)
    for turn in range(150):
        damaged = bytearray(whole)
        for _ in range(50):
            where = noise.randrange(len(damaged))
            damaged[where] = noise.randrange(256) if turn % 2 else damaged[where] ^ 1 << turn % 8
        index_path(filled).write_bytes(damaged)
        with art.open(filled.root) as repo:
            assert repo.version("a@v2").text() == "text 1"
            assert set(view(repo)) <= set(expected)


CELLS = [
    ("versions", "number", 77),
    ("versions", "id", "b3:" + "0" * 64),
    ("versions", "type", "folder"),
    ("versions", "created", "2000-01-01T00:00:00.000000Z"),
    ("versions", "author", "eve"),
    ("versions", "size", 7),
    ("versions", "title", "wrong"),
    ("versions", "about", "{}"),
    ("versions", "about", "{"),
    ("versions", "tags", "wrong"),
    ("versions", "state", "purged"),
    ("versions", "crc", 7),
    ("versions", "base", "{"),
    ("entries", "document", "{}"),
    ("entries", "document", "{"),
    ("entries", "number", 77),
    ("entries", "crc", 1),
    ("inputs", "uid", "wrong"),
    ("inputs", "number", 2),
    ("keys", "key", "wrong"),
]


@pytest.mark.parametrize(("table", "column", "value"), CELLS, ids=str)
def test_a_changed_cell_is_noticed(filled: Repo, table: str, column: str, value: object) -> None:
    expected = view(filled)
    filled.close()
    with sqlite3.connect(index_path(filled)) as database:
        where = "rowid = (SELECT max(id) FROM keys)" if table == "keys" else "1"
        if column == "number" or (table, column) == ("keys", "key"):
            where = {
                "versions": "key_id = 1 AND number = 2",
                "entries": "log = '_state'",
                "inputs": "1",
                "keys": "key = 'a'",
            }[table]
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))
    database.close()
    with art.open(filled.root) as repo:
        assert view(repo) == expected
        assert [refusal.reason for refusal in repo.plan_delete("a@v1").refused] == [
            "it is an input of b/c@v1"
        ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE said SET paths = '[]'",
        "UPDATE said SET paths = NULL",
        "UPDATE said SET crc = 1",
        "DELETE FROM said",
        "INSERT INTO said SELECT * FROM said",
    ],
)
def test_names_that_are_not_those_of_the_versions_hide_nothing(repo: Repo, change: str) -> None:
    repo.value("k", 1, metadata={"acc": 0.9})
    assert repo.count("metadata.acc > 0.5") == 1
    repo.close()
    with sqlite3.connect(index_path(repo)) as database:
        database.execute(change)
    database.close()
    with art.open(repo.root) as again:
        assert again.count("metadata.acc > 0.5") == 1


def test_an_index_of_another_repository_is_not_believed(filled: Repo, tmp_path: Path) -> None:
    expected = view(filled)
    filled.close()
    with art.init(tmp_path / "other") as other:
        other.markdown("a", "of the other")
        view(other)
        index_path(other).replace(index_path(filled))
    with art.open(filled.root) as repo:
        assert view(repo) == expected


@pytest.mark.parametrize("version", [0, 99])
def test_an_index_of_another_release_is_built_anew(filled: Repo, version: int) -> None:
    expected = view(filled)
    filled.close()
    with sqlite3.connect(index_path(filled)) as database:
        database.execute(f"PRAGMA user_version={version}")
    database.close()
    with art.open(filled.root) as repo:
        assert view(repo) == expected


def test_an_index_that_cannot_be_a_file_is_kept_in_memory(filled: Repo) -> None:
    expected = view(filled)
    filled.close()
    index_path(filled).unlink()
    index_path(filled).mkdir()
    with art.open(filled.root) as repo:
        assert view(repo) == expected
        assert repo.markdown("a", "new").version.ref == "a@v4"
        assert repo.version("a").text() == "new"


def test_an_index_that_is_locked_is_done_without(
    filled: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.database._BUSY_SECONDS", 0.01)
    expected = view(filled)
    filled.close()
    inode = index_path(filled).stat().st_ino
    locker = sqlite3.connect(index_path(filled), isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    try:
        with art.open(filled.root) as repo:
            assert view(repo) == expected
            assert repo.markdown("a", "new").version.ref == "a@v4"
    finally:
        locker.close()
    assert index_path(filled).stat().st_ino == inode, "it is in use, not damaged"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_repository_that_may_only_be_read_answers(filled: Repo) -> None:
    expected = view(filled)
    filled.close()
    index_path(filled).unlink()
    for folder, _, names in os.walk(filled.root / ".art"):
        Path(folder).chmod(0o555)
        for name in names:
            (Path(folder) / name).chmod(0o444)
    try:
        with art.open(filled.root) as repo:
            assert view(repo) == expected
    finally:
        for folder, _, _ in os.walk(filled.root / ".art"):
            Path(folder).chmod(0o755)


# -- many manifests ------------------------------------------------------------------------------


def rows_of(repo: Repo) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows that the index has of versions, once it is built anew."""
    repo.close()
    index_path(repo).unlink()
    with art.open(repo.root) as again:
        again.listing()
    with sqlite3.connect(index_path(repo)) as database:
        found = {
            table: database.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("keys", "versions", "inputs", "entries", "named")
        }
    database.close()
    return found


@pytest.fixture
def several(filled: Repo, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes several processes read the manifests, however few there are. One of these is
    damaged, one has numbers that JSON does not know."""
    for number in range(20):
        filled.markdown(f"many/{number % 5}", f"{number} ü", inputs=["a@v1", "b/c@v1"])
    filled.markdown("odd", "text", metadata={"nan": float("nan"), "inf": [float("inf")]})
    spoil(filled.root / ".art/manifests/many/1/v00000002.yaml")
    settle(filled.root)

    def switch() -> None:
        monkeypatch.setattr("art.intake._MANY", 1)
        monkeypatch.setattr("art.taking._SHARE", 4)
        monkeypatch.setattr("art.taking._cores", lambda: 3)

    return switch


def test_several_processes_take_in_what_one_does(
    filled: Repo, several: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = rows_of(filled)
    several()
    read: list[str] = []
    monkeypatch.setattr("art.catalog.Catalog.manifest", lambda self, *which: read.append(which))
    assert rows_of(filled) == alone
    assert read == [], "this process reads no manifest"
    assert len(alone["versions"]) == 29


@pytest.mark.parametrize("broken", ["no program", "ends at once", "says nonsense"])
def test_what_other_processes_cannot_read_is_read_here(
    filled: Repo, several: Callable[[], None], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    alone = rows_of(filled)
    several()
    if broken == "no program":
        monkeypatch.setattr("sys.executable", str(filled.root / "python"))
    else:
        said = {"ends at once": "", "says nonsense": "print('nonsense' * 9)"}
        monkeypatch.setattr("art.taking._COMMAND", said[broken])
    assert rows_of(filled) == alone


# -- damaged files -------------------------------------------------------------------------------


def spoil(path: Path) -> bytes:
    original = path.read_bytes()
    path.write_bytes(original.replace(b"author", b"zuthor"))
    return original


def test_a_damaged_manifest_is_shown_as_such_and_mended_when_it_is(filled: Repo) -> None:
    expected = view(filled)
    path = filled.root / ".art/manifests/a/v00000003.yaml"
    original = spoil(path)
    filled.close()
    index_path(filled).unlink()
    (damaged,) = [record for record in filled.listing("a") if record.state == "damaged"]
    assert (damaged.ref, damaged.title) == (
        "a@v3",
        "manifests/a/v00000003.yaml is damaged: its checksum does not match its content",
    )
    with pytest.raises(CorruptError, match=r"manifests/a/v00000003.yaml is damaged"):
        filled.version("a@v3")
    path.write_bytes(original)
    assert filled.version("a@v3").text() == "text 2"
    assert view(filled) == expected


def test_a_damaged_manifest_hides_no_other_version(filled: Repo) -> None:
    spoil(filled.root / ".art/manifests/a/v00000002.yaml")
    filled.close()
    index_path(filled).unlink()
    assert filled.version("a").number == 3
    assert filled.version("a@v1").text() == "text 0"
    assert filled.markdown("a", "new").version.number == 4


def test_a_damaged_entry_of_a_log_is_reported_and_stops_no_other_key(filled: Repo) -> None:
    spoil(filled.root / ".art/refs/a/_notes/00000001.yaml")
    filled.close()
    index_path(filled).unlink()
    assert filled.version("b/c@v1").text() == "other 0"
    assert {record.ref for record in filled.listing()} >= {"b/c@v2"}
    assert filled.version("a@v1").text() == "text 0"
    with pytest.raises(CorruptError, match=r"refs/a/_notes/00000001.yaml"):
        filled.version("a@v1").notes  # noqa: B018


def test_what_was_removed_from_the_disk_is_forgotten(filled: Repo) -> None:
    place = filled.root / ".art"
    view(filled)
    (place / "manifests/a/v00000003.yaml").unlink()
    (place / "refs/a/_tags/prod/00000002.yaml").unlink()
    shutil.rmtree(place / "manifests/gone")
    shutil.rmtree(place / "refs/gone")
    next((place / "anonymous").iterdir()).unlink()

    assert view(filled) == fresh_view(filled)
    assert filled.version("a").number == 2
    assert filled.version("a@prod").number == 2
    assert "gone" not in filled.keys()  # noqa: SIM118


def test_a_key_that_is_asked_for_alone_shows_no_ghosts_either(filled: Repo) -> None:
    place = filled.root / ".art"
    view(filled)
    (place / "manifests/a/v00000003.yaml").unlink()
    (place / "refs/a/_tags/prod/00000002.yaml").unlink()

    assert filled.version("a").number == 2
    assert filled.version("a@prod").number == 2
    assert filled.markdown("a", "third").version.number == 3
    filled.tag("a@v3", "prod")
    assert (place / "refs/a/_tags/prod/00000002.yaml").exists()
    assert view(filled) == fresh_view(filled)


def test_a_moved_input_stays_protected(repo: Repo) -> None:
    repo.markdown("raw", "bytes")
    repo.markdown("model", "learned", inputs=["raw@v1"])
    repo.move("raw", "raw2")
    repo.move("raw2", "raw3")
    repo.copy("raw3@v1", "other")
    with pytest.raises(ConflictError, match="raw3@v1 is not deleted: it is an input of model@v1"):
        repo.delete("raw3@v1")
    assert repo.delete("other").versions, "a copy is nobody's input"
    assert repo.delete("raw3@v1", force=True).versions


def test_an_index_that_is_a_link_is_not_followed(filled: Repo) -> None:
    outside = filled.root / "mine"
    outside.write_bytes(b"")
    filled.close()
    for path in (index_path(filled), filled.root / ".art/index.sqlite-journal"):
        path.unlink(missing_ok=True)
        path.symlink_to(outside)
    with Repo(filled.root) as repo:
        assert repo.version("a").number == 3
        repo.listing()
    assert outside.read_bytes() == b""
    assert not index_path(filled).is_symlink()


# -- two processes -------------------------------------------------------------------------------


def test_a_late_note_of_a_version_forgets_nothing_that_is_known_of_it(repo: Repo) -> None:
    """Another process saw, tagged and deleted the version before its maker noted it."""
    repo.markdown("a", "first")
    manifest = repo._resolver.manifest(repo.history("a")[0])
    with art.open(repo.root) as other:
        other.tag("a@v1", "prod")
        other.note("a@v1", title="noted")
        other.delete("a@v1", force=True)
        expected = view(other)
    repo._index.note_version(manifest, 1)
    assert view(repo) == expected
    settle(repo.root)
    assert view(repo) == expected


def test_an_input_is_counted_once_however_often_it_is_noted(repo: Repo) -> None:
    repo.markdown("a", "first")
    made = repo.markdown("b", "second", inputs=["a@v1"]).version
    for _ in range(3):
        repo._index.note_version(made.manifest, 1)
    (refusal,) = repo.plan_delete("a").refused
    assert refusal.reason == "it is an input of b@v1"


WORKER = """
import sys
import art

repo = art.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(8):
    made = repo.markdown("shared", f"{sys.argv[2]} {turn}").version
    repo.markdown(f"own/{sys.argv[2]}", f"{turn}", inputs=[made.ref])
    repo.tag(made.ref, f"of-{sys.argv[2]}")
    if turn % 3 == 0:
        repo.listing()
    if turn == 4:
        (repo.root / ".art" / "index.sqlite").unlink(missing_ok=True)
"""


def test_processes_that_share_and_delete_an_index_agree_with_the_files(repo: Repo) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(repo.root), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two", "three")
    ]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.communicate("go\n")
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert [record.number for record in repo.history("shared")] == list(range(24, 0, -1))
    assert view(repo) == fresh_view(repo)
    assert sorted(repo.tag_names("shared")) == ["of-one", "of-three", "of-two"]


# -- the database --------------------------------------------------------------------------------


def test_what_fails_inside_a_transaction_did_not_happen() -> None:
    database = Database(None, "r")
    with pytest.raises(RuntimeError), database.transaction():
        database.execute("INSERT INTO keys (key) VALUES ('a')")
        raise RuntimeError
    assert database.execute("SELECT count(*) FROM keys WHERE key = 'a'").fetchone() == (0,)
    database.close()


def test_a_database_in_memory_starts_as_empty_as_a_file(tmp_path: Path) -> None:
    for path in (None, str(tmp_path / "x.sqlite")):
        database = Database(path, "r")
        tables = database.execute("SELECT sql FROM sqlite_master ORDER BY name")
        assert len(tables) > 10
        database.close()


def test_an_entry_survives_being_kept_as_json(repo: Repo) -> None:
    repo.markdown("a", "x")
    repo.note("a", metadata={"nan": float("nan"), "list": [1, 1.0, True], "ü": "\U0001f600\x00"})
    (entry,) = repo._index.ask(lambda index: index.log("a", "_notes"))
    (file,) = Catalog(repo._backend).entries("a", "_notes")
    assert json.dumps(entry.document) == json.dumps(file.document)
    assert isinstance(entry, Entry)


def test_an_index_can_be_made_for_any_catalog(filled: Repo) -> None:
    index = Index(Database(None, filled.id), Catalog(filled._backend))
    index.refresh("a")
    assert index.latest_number("a") == 3
    assert index.keys() == ["a"]
    index.refresh_all()
    assert index.keys() == ["a", "b/c", "gone"]
