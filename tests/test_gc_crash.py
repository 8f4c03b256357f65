"""Wherever gc, a push, a restoration or a pruning dies: nothing is lost, and the next run completes it.

`ART_TEST_FULL=1` tries every single step, by default only some of them are tried. Remotes behind a
server are in `remote/test_gc_there.py`.
"""

from __future__ import annotations

import contextlib
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
    World,
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
    cut_off_everywhere(name, snapshot, tmp_path, in_memory, 19)


@pytest.mark.parametrize("name", WORKS)
def test_dying_at_any_step_in_a_shared_folder_loses_nothing(
    name: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    cut_off_everywhere(name, snapshot, tmp_path, in_folder, 97)


@pytest.mark.parametrize("name", WORKS)
def test_dying_at_any_step_in_ones_own_folder_loses_nothing(
    name: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    cut_off_everywhere(name, snapshot, tmp_path, in_memory, 41, is_own=True)


def test_gc_that_dies_again_and_again_loses_nothing(snapshot: Snapshot, tmp_path: Path) -> None:
    """Each run takes up what those before it left, and comes further."""
    with contextlib.closing(World(tmp_path, in_memory(tmp_path))) as world:
        world.load(snapshot)
        before = world.check()
        for at in itertools.count(1, 1 if IS_FULL else 5):
            fault = Fault(at, "death", is_late=bool(at % 2))
            world.open("keeper", fault)
            surviving(lambda: world.collect(0.0))
            assert world.check() == before, fault.steps[-1:]
            if not fault.has_fired:
                break
        world.open("keeper")
        world.collect(2.0, 2.0, 2.0, 2.0)
        assert world.check() == before
        world.check_whole(where="in the end")
        assert world.repos["keeper"].plan_gc(remote="origin", grace="0s").is_empty


def make_own(repo: Repo) -> None:
    """Make versions that share chunks, lists of chunks, layouts and packs; some are deleted."""
    folder = lay_out(repo.root.parent / "k", {f"f{n}": random_bytes(9000, n) for n in range(20)})
    for number in range(4):
        (folder / "large").write_bytes(random_bytes(400_000, number % 2))
        (folder / f"new{number}").write_bytes(random_bytes(3000, 100 + number))
        repo.create("k", folder)
    for number in range(9):
        put(repo, "small", number, 100)
    put(repo, "alone", 900, 200_000)
    put(repo, None, 901)
    repo.delete("k@v1", "k@v3", "small@v2", "alone", force=True)


def test_gc_that_dies_at_any_step_leaves_a_repository_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with art.init(tmp_path / "template") as repo:
        make_own(repo)
        keys = ("k", "small", "alone")
        gone = {r.id for key in keys for r in repo.history(key) if not r.is_live}
        before = {id: files for id, files in contents_of(repo).items() if id not in gone}
    for at in range(1, 1000, 1 if IS_FULL else 8):
        for is_late in (False, True) if IS_FULL else (bool(at // 8 % 2),):
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
                assert repo.states("alone@v1") == {"swept"}
                assert repo.plan_gc(grace="0s").is_empty
            shutil.rmtree(root)
        if not fault.has_fired:
            return
    raise AssertionError("it never passed")
