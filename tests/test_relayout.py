"""Layouts that are gone, made anew from packs alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from art.repo import Repo
from tests.support_damage import files_of
from tests.support_gc import random_bytes


def fill(folder: Path, count: int, seed: int) -> None:
    """Make many files, so that their tree has several pieces."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        name = f"a-rather-long-name-of-a-file-{number:05}-{(number * 7919) % 1000:03}.txt"
        (folder / name).write_bytes(random_bytes(40, seed + number))


def content(repo: Repo, ref: str) -> dict[str, bytes]:
    """Take a version out, all of it at once, and return its files."""
    folder = Path(tempfile.mkdtemp(dir=repo.root.parent)) / "out"
    repo.version(ref).get(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def break_layouts(workplace: Path, how: str) -> None:
    for path in (workplace / ".art" / "layouts").rglob("*"):
        if path.is_file() and how == "missing":
            path.unlink()
        elif path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize("how", ["missing", "cut"])
@pytest.mark.parametrize("count", [3, 2500])
def test_layouts_come_back_from_packs_alone(
    how: str, count: int, repo: Repo, workplace: Path
) -> None:
    fill(workplace / "data", count, 1)
    (workplace / "data" / "large").write_bytes(random_bytes(500_000, 5))
    repo.create("k", "data")
    (workplace / "data" / "large").write_bytes(random_bytes(500_000, 6))
    (workplace / "data" / "b").write_bytes(b"new")
    repo.create("k", "data")
    before = [content(repo, f"k@v{number}") for number in (1, 2)]
    assert files_of(workplace, ".pack")
    break_layouts(workplace, how)
    done = repo.execute_repair(repo.plan_repair())
    assert not done.left
    assert {step.kind for step in done.steps} <= {"layout", "quarantine"}
    assert [content(repo, f"k@v{number}") for number in (1, 2)] == before
    assert not repo.fsck(data=True).problems
    assert repo.plan_gc().is_empty


def test_what_gets_the_same_layout_again_keeps_it(repo: Repo, workplace: Path) -> None:
    fill(workplace / "data", 3, 1)
    repo.create("k", "data")
    break_layouts(workplace, "cut")
    repo.execute_repair(repo.plan_repair())
    break_layouts(workplace, "cut")  # of a layout that is written as it was
    done = repo.execute_repair(repo.plan_repair())
    assert [step.kind for step in done.steps] == ["layout", "quarantine"]
    (kept,) = (repo.root / ".art" / name for name in done.quarantined)
    assert kept.stat().st_size == 20
    assert not repo.fsck(data=True).problems


def test_a_pack_that_is_lost_as_well_is_told(repo: Repo, workplace: Path) -> None:
    fill(workplace / "data", 3, 1)
    repo.create("k", "data")
    break_layouts(workplace, "missing")
    for path in files_of(workplace, ".pack"):
        path.unlink()
    done = repo.execute_repair(repo.plan_repair())
    assert [problem.refs for problem in done.left] == [("k@v1",)]
