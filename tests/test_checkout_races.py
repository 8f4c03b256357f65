"""Taking out while others change the folder, or the process is killed: what they have is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import art
from art import checkout, folder, staging
from art.checkout import Checkout
from art.errors import ArtError, ConflictError, UsageError
from art.repo import Repo
from art.version import Version
from tests.support import disk, lay_out

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file system")
OLD = {"a.csv": "old", "b.csv": "b", "in/c.csv": "old", "in/deep/d.csv": "d"}


@pytest.fixture(params=["by handles", "by paths"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems without handles of folders look at each name right before instead."""
    if request.param == "by paths":
        monkeypatch.setattr(folder, "_HAS_HANDLES", False)


@pytest.fixture
def newer(repo: Repo, workplace: Path) -> Version:
    """Return the second of two versions; `out` holds the first, but for `b.csv` and `in/deep`."""
    place = lay_out(workplace / "data", OLD)
    repo.create("k", place).version.get("out")
    (workplace / "out/b.csv").unlink()
    (workplace / "out/in/deep/d.csv").unlink()
    (workplace / "out/in/deep").rmdir()
    lay_out(place, {"a.csv": "newer", "in/c.csv": "newer"})
    return repo.create("k", place).version


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that sets what happens between the look at a folder and the placing."""
    real = Checkout._place

    def set_up(happens: Callable[[], object]) -> None:
        def place(self: Checkout, *arguments: object, **named: object) -> None:
            happens()
            real(self, *arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(Checkout, "_place", place)

    return set_up


Meanwhile = Callable[[Callable[[], object]], None]


def test_a_file_that_changes_after_it_was_looked_at_is_kept(
    newer: Version, workplace: Path, meanwhile: Meanwhile
) -> None:
    path = workplace / "out/a.csv"
    meanwhile(lambda: path.write_text("mine"))
    with pytest.raises(ConflictError, match=r"a\.csv has changed meanwhile"):
        newer.get("out")
    assert path.read_text() == "mine"


def test_a_change_that_keeps_size_and_time_is_seen_too(
    newer: Version, workplace: Path, meanwhile: Meanwhile
) -> None:
    path = workplace / "out/a.csv"
    found = path.stat()

    def change() -> None:
        path.write_text("new")
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    meanwhile(change)
    with pytest.raises(ConflictError, match="has changed meanwhile"):
        newer.get("out")
    assert path.read_text() == "new"


def test_a_file_that_goes_away_meanwhile_does_not_come_back(
    newer: Version, workplace: Path, meanwhile: Meanwhile
) -> None:
    meanwhile((workplace / "out/a.csv").unlink)
    with pytest.raises(ConflictError, match="has changed meanwhile"):
        newer.get("out")
    assert not (workplace / "out/a.csv").exists()


def test_who_asked_to_overwrite_overwrites_what_changed_meanwhile(
    newer: Version, workplace: Path, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: (workplace / "out/a.csv").write_text("mine"))
    newer.get("out", force=True)
    assert disk(workplace / "out") == disk(workplace / "data")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["b.csv", "in/deep/d.csv"])
def test_a_file_that_comes_into_being_meanwhile_is_never_overwritten(
    newer: Version, workplace: Path, meanwhile: Meanwhile, name: str, force: bool
) -> None:
    meanwhile(lambda: lay_out(workplace / "out", {name: "mine"}))
    with pytest.raises(ConflictError, match="has come into being meanwhile"):
        newer.get("out", force=force)
    assert (workplace / "out" / name).read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["in", "in/deep"])
def test_nothing_is_written_through_a_folder_that_became_a_link(
    newer: Version, workplace: Path, meanwhile: Meanwhile, name: str, force: bool
) -> None:
    outside = lay_out(workplace / "outside", {"c.csv": "old", "deep/x": "x"})
    before = disk(outside)
    path = workplace / "out" / name

    def swap() -> None:
        if path.exists():
            path.rename(workplace / "away")
        path.symlink_to(outside)

    meanwhile(swap)
    with pytest.raises(ConflictError, match="is a symbolic link: nothing is written through it"):
        newer.get("out", force=force)
    assert disk(outside) == before


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_became_a_folder_meanwhile_is_kept(
    newer: Version, workplace: Path, meanwhile: Meanwhile, force: bool
) -> None:
    def swap() -> None:
        (workplace / "out/a.csv").unlink()
        lay_out(workplace / "out/a.csv", {"mine": "mine"})

    meanwhile(swap)
    with pytest.raises(ConflictError, match="has changed meanwhile|is a folder"):
        newer.get("out", force=force)
    assert (workplace / "out/a.csv/mine").read_text() == "mine"


def test_the_mode_of_what_a_link_leads_to_is_never_set(
    newer: Version, workplace: Path, meanwhile: Meanwhile
) -> None:
    newer.get("out")
    precious = workplace / "precious"
    precious.write_text("newer")
    precious.chmod(0o600)
    path = workplace / "out/a.csv"
    path.chmod(0o640)

    def swap() -> None:
        path.unlink()
        path.symlink_to(precious)

    meanwhile(swap)
    with pytest.raises(ConflictError):
        newer.get("out")
    assert precious.stat().st_mode & 0o777 == 0o600


def test_a_single_file_that_changes_meanwhile_is_kept(
    newer: Version, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workplace / "out/a.csv"
    real = Checkout._write_node

    def slowly(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        path.write_text("mine")

    monkeypatch.setattr(Checkout, "_write_node", slowly)
    with pytest.raises(ConflictError, match="has changed meanwhile"):
        newer.get("out/a.csv", path="a.csv")
    assert path.read_text() == "mine"


def test_a_pipe_in_place_of_a_file_is_a_conflict_and_nothing_waits_for_it(
    newer: Version, workplace: Path
) -> None:
    path = workplace / "out/a.csv"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConflictError, match="changed on disk"):
        newer.get("out")


def test_many_changed_files_are_checked_in_portions(
    newer: Version, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "_CHANGED_BATCH", 1)
    (workplace / "out/in/c.csv").write_text("mine")
    with pytest.raises(ConflictError, match=r"c\.csv changed on disk"):
        newer.get("out")
    (workplace / "out/in/c.csv").write_text("old")
    newer.get("out")
    assert disk(workplace / "out") == disk(workplace / "data")


# -- what a killed process leaves ----------------------------------------------------------------

_KILLED = """
import os, signal, sys
import art
from art import checkout
from art.checkout import Checkout
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
Checkout._place = checkout._rename = die
art.open().version("k").get(sys.argv[1])
"""


def kill_a_get(target: str) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, target], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def leftovers(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if staging.is_temporary(path.name)]


@pytest.mark.parametrize(("target", "place"), [("new", "."), ("out", "out")])
def test_what_a_killed_get_left_behind_goes_with_the_next_one(
    newer: Version, workplace: Path, target: str, place: str
) -> None:
    kill_a_get(target)
    (left,) = leftovers(workplace / place)
    assert (left / "new").is_dir()
    newer.get(target)
    assert leftovers(workplace / place) == []
    assert disk(workplace / target) == disk(workplace / "data")


def test_no_version_holds_what_a_killed_get_left_behind(
    repo: Repo, newer: Version, workplace: Path
) -> None:
    kill_a_get("out")
    kill_a_get("out/in/other")
    assert len(leftovers(workplace / "out")) == len(leftovers(workplace / "out/in")) == 1
    lay_out(
        workplace / "out", {".art-get": "", ".mine.art-get/x": "", ".0123456789ab.art-get-x": ""}
    )
    made = repo.create("again", "out").version
    kept = {node.path for node in made.files}
    assert kept == {
        ".0123456789ab.art-get-x",
        ".art-get",
        ".mine.art-get/x",
        "a.csv",
        "in/c.csv",
    }


def test_a_get_that_is_at_work_is_left_alone(
    newer: Version, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, go_on = threading.Event(), threading.Event()
    real = checkout._rename

    def slowly(source: str, target: Path) -> None:
        if threading.current_thread() is not threading.main_thread():
            at_work.set()
            assert go_on.wait(60)
        real(source, target)

    monkeypatch.setattr(checkout, "_rename", slowly)
    other = threading.Thread(target=lambda: art.open(workplace).version("k").get("one"))
    other.start()
    assert at_work.wait(60)
    newer.get("two")
    go_on.set()
    other.join()
    assert disk(workplace / "one") == disk(workplace / "two") == disk(workplace / "data")


@pytest.mark.parametrize("change", ["a file", "a link", "another name"])
def test_only_folders_that_get_makes_are_swept(
    newer: Version, workplace: Path, change: str
) -> None:
    outside = lay_out(workplace / "outside", {"precious": "x"})
    path = workplace / ".0123456789ab.art-get"
    if change == "a file":
        path.write_text("mine")
    elif change == "a link":
        path.symlink_to(outside)
    else:
        path = lay_out(workplace / ".0123456789AB.art-get", {"mine": "x"})
    newer.get("new")
    assert os.path.lexists(path)
    assert disk(outside) == {"precious": ("file", 0o644, b"x")}


def test_a_new_folder_whose_lock_another_process_takes_is_not_used(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making and the locking of a folder it looks left behind."""
    real = staging._locked
    taken: list[str] = []

    def late(path: str) -> int:
        if not taken:
            taken.append(path)
            staging.remove(path)
        return real(path)

    monkeypatch.setattr(staging, "_locked", late)
    with staging.beside(workplace / "new") as path:
        assert Path(path).is_dir()
        assert [path] != taken
    assert disk(workplace) == {}


# -- folders in folders --------------------------------------------------------------------------


@pytest.fixture
def deep(workplace: Path) -> Iterator[str]:
    """Return a path of folders as deep as the system's paths go, some room left for `get`."""
    room = 4000 - len(os.fsencode(workplace)) - len("/existing/.0123456789ab.art-get/new/")
    yield "/".join(["d"] * (room // 2))
    for path in workplace.iterdir():  # pytest itself cannot remove it
        if path.name != ".art":
            staging.remove(str(path))


def test_folders_as_deep_as_paths_go_are_stored_and_taken_out(
    repo: Repo, workplace: Path, deep: str
) -> None:
    os.mkdir("data")
    path = "data"
    for part in deep.split("/"):
        path += f"/{part}"
        os.mkdir(path)
    Path(path, "f").write_text("deep")
    Path("data/top").write_text("top")
    os.mkdir("existing")
    version = repo.create("k", "data").version
    assert [node.path for node in version.files] == [f"{deep}/f", "top"]
    for target in ("new", "existing", "existing"):
        version.get(target)
        assert Path(target, deep, "f").read_text() == "deep"
    assert leftovers(workplace) == leftovers(workplace / "existing") == []


def test_a_glob_into_folders_as_deep_as_paths_go_is_explained(
    repo: Repo, workplace: Path, deep: str
) -> None:
    path = "data"
    for part in deep.split("/"):
        os.mkdir(path)
        path += f"/{part}"
    with pytest.raises(UsageError, match="too many folders in each other"):
        repo.create("k", "data/**")


def test_what_was_written_deep_down_is_removed_after_a_failure(
    repo: Repo, workplace: Path, deep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(workplace / "data", {"a": "a"})
    version = repo.create("k", "data").version

    def fail(source: str, target: Path) -> None:
        os.makedirs(f"{source}/x")
        path = f"{source}/x"
        for part in deep.split("/"):
            path += f"/{part}"
            os.mkdir(path)
        os.chmod(f"{source}/x", 0o555)
        raise ConflictError("no")

    monkeypatch.setattr(checkout, "_rename", fail)
    with pytest.raises(ArtError, match="no"):
        version.get("new")
    assert leftovers(workplace) == []
