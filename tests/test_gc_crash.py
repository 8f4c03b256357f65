"""Wherever gc, a push, a restoration or a pruning dies: nothing is lost, and the next run completes it.

`ART_TEST_FULL=1` tries every single step, by default only some of them are tried. Remotes behind a
server are in `remote/test_gc_there.py`.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

import art
from art.backend import Backend
from art.remote import open_backend
from art.repo import Repo
from tests.support import lay_out
from tests.support_faults import Fault, failing
from tests.support_gc import contents_of, put
from tests.support_gc_crash import (
    IS_FULL,
    WORKS,
    Snapshot,
    cut_off_everywhere,
    make_snapshot,
    surviving,
)
from tests.support_state import random_bytes

_COUNTER = itertools.count()


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"))


def in_memory(_: Path) -> Backend:
    return open_backend(f"memory://cut-{next(_COUNTER)}")


def in_folder(root: Path) -> Backend:
    (root / "remote").mkdir()
    return open_backend(str(root / "remote"))


@pytest.mark.parametrize("name", WORKS)
def test_dying_at_any_request_to_a_remote_loses_nothing(
    name: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    cut_off_everywhere(name, snapshot, tmp_path, in_memory, 13)


@pytest.mark.parametrize("name", WORKS)
def test_dying_at_any_step_in_a_shared_folder_loses_nothing(
    name: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    cut_off_everywhere(name, snapshot, tmp_path, in_folder, 53)


@pytest.mark.parametrize("name", WORKS)
def test_dying_at_any_step_in_ones_own_folder_loses_nothing(
    name: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    cut_off_everywhere(name, snapshot, tmp_path, in_memory, 23, is_own=True)


def make_own(repo: Repo) -> None:
    """Make versions whose layouts extend others, some deleted, in packs of all kinds."""
    files = {f"f{n}": random_bytes(9000, n) for n in range(20)}
    for number in range(4):
        files[f"new{number}"] = random_bytes(3000, 100 + number)
        repo.create("k", lay_out(repo.root.parent / f"k{number}", files))
    for number in range(9):
        put(repo, "small", number, 100)
    repo.delete("k@v1", "k@v3", "small@v2", force=True)


def test_gc_that_dies_at_any_step_leaves_a_repository_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with art.init(tmp_path / "template") as repo:
        make_own(repo)
        live = {r.id for key in ("k", "small") for r in repo.history(key) if r.is_live}
        before = {id: files for id, files in contents_of(repo).items() if id in live}
    for at in range(1, 1000, 1 if IS_FULL else 6):
        for is_late in (False, True) if IS_FULL else (bool(at // 6 % 2),):
            root = tmp_path / "run"
            shutil.copytree(tmp_path / "template", root)
            fault = Fault(at, "death", is_late)
            with failing(monkeypatch, root, fault) as repo:
                surviving(lambda repo=repo: repo.gc(grace="0s"))  # type: ignore[misc]
            with Repo(root) as repo:
                found = repo.fsck(data=True).problems
                assert [str(each) for each in found] == [], f"{at}: {fault.steps[-1]}"
                for _ in range(3):  # of what was written twice, either may be kept
                    repo.gc(grace="0s")
                assert contents_of(repo) == before
                assert repo.plan_gc(grace="0s").is_empty
            shutil.rmtree(root)
        if not fault.has_fired:
            return
    raise AssertionError("it never passed")
