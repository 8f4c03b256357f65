"""Folders elsewhere, recorded by reference: what is given is what was recorded, and nothing more."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from art import checkout
from art.errors import ArtError, ConflictError, CorruptError, UsageError
from art.repo import Repo
from art.tree import Node
from tests.support import disk, lay_out

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file system")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    place = lay_out(
        tmp_path / "elsewhere", {"a.csv": "1,2\n", "eu/b.csv": "3\n", "big": b"x" * 70_000}
    )
    (place / "void").mkdir()
    (place / "eu/link").symlink_to("../a.csv")
    return place


def test_what_is_ignored_is_neither_recorded_nor_given(
    repo: Repo, workplace: Path, elsewhere: Path
) -> None:
    lay_out(elsewhere, {".artignore": "*.log\n/cache/\n", "eu/.artignore": "!keep.log\n"})
    expected = disk(elsewhere) | {"eu/keep.log": ("file", 0o644, b"kept")}
    lay_out(elsewhere, {"x.log": "x", "eu/keep.log": "kept", "eu/x.log": "x", "cache/y": "y"})
    version = repo.reference("r", elsewhere).version
    version.get("out")
    assert disk(workplace / "out") == expected
    lay_out(elsewhere, {"more.log": "what is ignored may change"})
    version.get("again")
    assert disk(workplace / "again") == expected


def test_an_ignore_file_that_ignores_itself_changes_nothing(
    repo: Repo, workplace: Path, elsewhere: Path
) -> None:
    expected = disk(elsewhere)
    lay_out(elsewhere, {".artignore": ".artignore\n*.log\n", "x.log": "x"})
    repo.reference("r", elsewhere).version.get("out")
    assert disk(workplace / "out") == expected


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_are_those_that_were_recorded_whatever_the_umask_is(
    repo: Repo, workplace: Path, elsewhere: Path, umask: int
) -> None:
    (elsewhere / "a.csv").chmod(0o755)
    lay_out(elsewhere, {"closed/x": "x", "closed/in/y": "y"})
    (elsewhere / "closed").chmod(0o550)
    version = repo.reference("r", elsewhere).version
    before = os.umask(umask)
    try:
        version.get("out")
    finally:
        os.umask(before)
    assert disk(workplace / "out") == disk(elsewhere)
    for place in (elsewhere, workplace / "out"):
        (place / "closed").chmod(0o755)


def test_a_large_file_is_given_too(repo: Repo, workplace: Path, elsewhere: Path) -> None:
    """Larger than a chunk may be: a folder that is only measured has none."""
    (elsewhere / "large").write_bytes(os.urandom(1 << 20) * 9)
    repo.reference("r", elsewhere).version.get("out")
    assert disk(workplace / "out") == disk(elsewhere)


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a device": lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),
}


def put(kind: str, path: Path) -> None:
    try:
        SPECIAL[kind](path)
    except PermissionError:
        pytest.skip(f"{kind} cannot be made here")


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_folder_with_something_special_is_neither_recorded_nor_given(
    repo: Repo, workplace: Path, elsewhere: Path, kind: str
) -> None:
    version = repo.reference("r", elsewhere).version
    put(kind, elsewhere / "eu/special")
    with pytest.raises(UsageError, match=kind):
        repo.reference("r2", elsewhere)
    with pytest.raises(ArtError):
        version.get("out")
    assert [path.name for path in workplace.iterdir()] == [".art"]


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_becomes_special_before_it_is_copied_is_refused(
    workplace: Path, elsewhere: Path, kind: str
) -> None:
    (elsewhere / "a.csv").unlink()
    put(kind, elsewhere / "a.csv")
    with pytest.raises(ConflictError, match="is no file any more"):
        checkout.copy_nodes([Node("a.csv", size=4)], str(elsewhere), "out")


def test_what_grows_while_it_is_copied_is_refused(workplace: Path, elsewhere: Path) -> None:
    with pytest.raises(ConflictError, match="grows"):
        checkout.copy_nodes([Node("big", size=4)], str(elsewhere), "out")


@pytest.mark.parametrize("path", ["a.csv", "eu"])
def test_no_link_is_followed_out_of_the_folder(
    workplace: Path, elsewhere: Path, tmp_path: Path, path: str
) -> None:
    outside = lay_out(tmp_path / "outside", {"b.csv": "3\n", "secret": "1,2\n"})
    (elsewhere / path).rename(tmp_path / "away")
    (elsewhere / path).symlink_to(outside if path == "eu" else outside / "secret")
    nodes = [Node("a.csv", size=4), Node("eu/b.csv", size=2)]
    with pytest.raises(ConflictError, match="no file any more|symbolic link"):
        checkout.copy_nodes(nodes, str(elsewhere), "out")
    assert not (workplace / "out" / ("a.csv" if path == "a.csv" else "eu/b.csv")).exists()


@pytest.mark.parametrize("name", ["a.csv", "eu/new", "void/x"])
def test_what_changed_since_gets_no_name(
    repo: Repo, workplace: Path, elsewhere: Path, name: str
) -> None:
    version = repo.reference("r", elsewhere).version
    lay_out(elsewhere, {name: "9,9\n"})
    with pytest.raises(CorruptError, match="has changed"):
        version.get("out")
    assert [path.name for path in workplace.iterdir()] == [".art"]


def test_what_changes_while_it_is_copied_gets_no_name(
    repo: Repo, workplace: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = repo.reference("r", elsewhere).version
    real = checkout.copy_nodes

    def slowly(nodes: list[Node], source: str, target: str) -> None:
        (elsewhere / "a.csv").write_text("9,9\n")
        real(nodes, source, target)

    monkeypatch.setattr(checkout, "copy_nodes", slowly)
    with pytest.raises(CorruptError, match="has changed"):
        version.get("out")
    assert [path.name for path in workplace.iterdir()] == [".art"]


def test_folders_in_folders_are_given_too(repo: Repo, workplace: Path, elsewhere: Path) -> None:
    lay_out(elsewhere, {"/".join(["d"] * 500) + "/x": "x"})
    repo.reference("r", elsewhere).version.get("out")
    assert Path("out", *["d"] * 500, "x").read_text() == "x"
