"""Where a repository is found and made: never another one than was meant."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import art
from art import ConflictError, CorruptError, DeniedError
from art.backend import LocalBackend
from art.repo import Repo
from tests.conftest import Runner

as_root = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden here"
)


@pytest.fixture
def inner(repo: Repo, workplace: Path) -> Path:
    """Return a repository's folder inside another repository's."""
    art.init("inner", nested=True).value("inner", 1)
    repo.value("outer", 1)
    return workplace / "inner"


def test_a_repository_that_lost_its_format_is_not_passed_over(inner: Path, run: Runner) -> None:
    (inner / ".art/format.yaml").unlink()

    for words in (["ls"], ["create", "outer", "--value", "2"], ["delete", "outer", "--yes"]):
        failed = run("-C", "inner", *words, code=8)
        assert str(inner / ".art") in failed.error

    assert run("ls", "-o", "ids").out.count("\n") == 1


def test_a_repository_whose_format_is_damaged_is_named(inner: Path) -> None:
    (inner / ".art/format.yaml").write_text("art: 1\n")

    with pytest.raises(CorruptError, match=r"inner/\.art/format\.yaml is damaged"):
        art.open(inner)
    with pytest.raises(CorruptError, match=r"inner/\.art/format\.yaml is damaged"):
        art.init(inner)


def test_a_format_that_is_a_link_to_nothing_is_not_passed_over(inner: Path) -> None:
    (inner / ".art/format.yaml").unlink()
    (inner / ".art/format.yaml").symlink_to("nowhere")

    with pytest.raises(art.ArtError, match="inner"):
        art.open(inner)


def test_an_empty_folder_called_art_is_none(repo: Repo, workplace: Path) -> None:
    (workplace / "inner/.art").mkdir(parents=True)

    assert art.open("inner").id == repo.id


def test_init_gives_no_second_id_to_a_damaged_repository(inner: Path, run: Runner) -> None:
    before = sorted((inner / ".art").rglob("*"))
    (inner / ".art/format.yaml").rename(inner / "kept.yaml")

    failed = run("init", "inner", "--nested", code=8)

    assert "rename .art to begin anew" in failed.err
    (inner / "kept.yaml").rename(inner / ".art/format.yaml")
    assert sorted((inner / ".art").rglob("*")) == before
    assert art.open("inner").version("inner").read() == b"1"


def test_an_init_that_was_killed_is_done_again(workplace: Path, run: Runner) -> None:
    (workplace / ".art/tmp").mkdir(parents=True)
    (workplace / ".art/tmp/1-2").write_text("art: 1")

    assert f"hint: art init {workplace}" in run("ls", code=8).err
    assert run("init").out.startswith("repository made")
    assert art.open().listing() == []


def test_init_over_an_empty_folder_says_that_it_made_one(workplace: Path, run: Runner) -> None:
    (workplace / ".art").mkdir()

    assert run("init").out.startswith("repository made")
    assert run("init").out.startswith("repository is already there")


def test_a_file_called_art_is_left_alone(workplace: Path) -> None:
    (workplace / ".art").write_text("mine")

    with pytest.raises(ConflictError, match="is not a folder"):
        art.init()
    assert (workplace / ".art").read_text() == "mine"


@as_root
def test_a_repository_that_may_not_be_read_is_not_passed_over(inner: Path) -> None:
    (inner / ".art").chmod(0)
    try:
        with pytest.raises(DeniedError, match="inner"):
            art.open(inner)
    finally:
        (inner / ".art").chmod(0o755)


def test_the_folder_itself_is_durable(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(LocalBackend, "sync_directory", lambda _, path: synced.append(path))

    art.init("a/b")

    assert synced[:3] == [str(workplace), str(workplace / "a"), str(workplace / "a/b")]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_does_not_sweep_a_repository_up(repo: Repo, workplace: Path) -> None:
    repo.value("k", 1)
    (workplace / "mine.txt").write_text("x")
    subprocess.run(["git", "init", "-q"], check=True)

    seen = subprocess.run(["git", "status", "-s", "-u"], capture_output=True, text=True, check=True)

    assert seen.stdout == "?? mine.txt\n"
    assert [f.message for f in repo.doctor() if f.level != "ok" and "free" not in f.message] == []
