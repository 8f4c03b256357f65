"""`get --exact`: what is not part of the version is listed, then removed, and nothing else ever is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from art.errors import ConflictError, UsageError
from art.repo import Repo
from art.surplus import find_surplus
from art.tree import Node
from tests.conftest import Runner


@pytest.fixture
def out(repo: Repo, files: Path, run: Runner, workplace: Path) -> Path:
    """Return a folder with `data@v1` and things of somebody's own."""
    run("create", "data", "data")
    run("get", "data", "out")
    place = workplace / "out"
    (place / "mine.txt").write_text("mine")
    (place / "eu/more").mkdir()
    (place / "eu/more/deep.txt").write_text("mine")
    (place / "link").symlink_to(workplace / "data")
    (place / "empty").mkdir()
    return place


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_folder_holds_the_version_and_nothing_else(
    out: Path, run: Runner, workplace: Path
) -> None:
    (out / "README.txt").unlink()

    done = run("get", "data", "out", "--exact", "--yes", "--json")

    assert names(out) == names(workplace / "data")
    assert done.json["removed"] == ["empty/", "eu/more/", "eu/more/deep.txt", "link", "mine.txt"]
    assert f"not in the version: {out}/eu/more/deep.txt" in done.err
    assert "3 files removed" in done.err
    assert run("get", "data", "out", "--exact").err == "data@v1: 0 files written, 3 unchanged\n"
    run("get", "data", "out", "--exact", "--error-on-noop", code=9)


def test_nothing_is_removed_where_nobody_agreed(out: Path, run: Runner) -> None:
    before = names(out)

    refused = run("get", "data", "out", "--exact", code=2)

    assert "remove 3 files and folders from" in refused.error
    assert "mine.txt" in refused.err
    assert names(out) == before


def test_without_exact_files_of_ones_own_stay(out: Path, run: Runner) -> None:
    before = names(out)
    run("get", "data", "out", "--yes")
    assert names(out) == before


def test_nothing_is_removed_where_the_version_cannot_be_put_in_place(
    out: Path, run: Runner
) -> None:
    (out / "README.txt").write_text("changed by hand")
    before = names(out)

    run("get", "data", "out", "--exact", "--yes", code=5)

    assert names(out) == before


@pytest.mark.parametrize("name", [".git", ".art", "eu/.git", "eu/.ART"])
def test_a_folder_with_a_repository_in_it_is_left_alone(out: Path, run: Runner, name: str) -> None:
    (out / name).mkdir()
    before = names(out)

    assert "holds" in run("get", "data", "out", "--exact", "--yes", code=5).error
    assert names(out) == before


def test_a_repository_is_no_place_for_it(
    out: Path, run: Runner, workplace: Path, repo: Repo
) -> None:
    run("get", "data", ".", "--exact", "--yes", code=5)
    run("get", "data", ".art/tmp", "--exact", "--yes", code=5)
    (workplace / "way").symlink_to(out)
    run("get", "data", "way", "--exact", "--yes", code=5)
    assert (out / "mine.txt").exists()


def test_a_part_of_a_version_is_exact_in_its_own_folder(
    out: Path, run: Runner, workplace: Path
) -> None:
    run("get", "data@v1/eu", "out/eu", "--exact", "--yes")

    assert names(out / "eu") == ["part-0.csv", "part-1.csv"]
    assert (out / "mine.txt").exists()


def test_only_folders_are_made_exact(repo: Repo, run: Runner, out: Path) -> None:
    repo.value("n", 1)
    run("get", "n", "--exact", code=2)
    run("get", "data", "--exact", "--zip", code=2)
    with pytest.raises(UsageError):
        repo.version("data").surplus("x", path="README.txt")
    assert repo.version("data").surplus("nowhere").paths == []


def test_what_changed_since_it_was_listed_stays(repo: Repo, out: Path) -> None:
    surplus = repo.version("data").surplus(out)
    (out / "mine.txt").write_text("changed meanwhile")
    (out / "empty/new").write_text("new")

    with pytest.raises(ConflictError, match="has changed meanwhile"):
        surplus.remove()

    assert (out / "mine.txt").read_text() == "changed meanwhile"
    assert (out / "empty/new").exists()


def test_a_folder_that_became_a_link_is_not_followed(
    repo: Repo, out: Path, workplace: Path
) -> None:
    surplus = repo.version("data").surplus(out)
    elsewhere = workplace / "elsewhere"
    (out / "eu/more").rename(elsewhere)
    (out / "eu/more").symlink_to(elsewhere)

    with pytest.raises(ConflictError):
        surplus.remove()

    assert (elsewhere / "deep.txt").read_text() == "mine"


def test_a_name_that_the_file_system_takes_for_the_same_stays(workplace: Path) -> None:
    (workplace / "Readme").write_text("x")
    os.link(
        workplace / "Readme", workplace / "README"
    )  # one file under two names, as such disks have it

    assert find_surplus(workplace, [Node("README", 0o644, 1)]).paths == []


def test_names_that_differ_in_capitals_only_are_two_where_they_are_two_files(
    workplace: Path,
) -> None:
    (workplace / "Readme").write_text("x")
    (workplace / "README").write_text("y")

    found = find_surplus(workplace, [Node("README", 0o644, 1)])

    assert found.paths == (
        [] if (workplace / "README").samefile(workplace / "Readme") else ["Readme"]
    )
