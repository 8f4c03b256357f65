"""Wherever a push or a fetch is cut off: nothing is lost, nothing goes twice, and the next one completes it.

`ART_TEST_STEP=1` tries every single call of those that are many, by default only some of them are tried.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import art.exchange
import art.repo.base
import art.sync
from art.backend import LocalStaged
from art.errors import StorageError, UnavailableError
from art.repo import Repo
from tests.support import lay_out
from tests.support_faults import Death, Fault, FaultyBackend, FaultyStaged
from tests.support_processes import lines_of
from tests.support_state import random_bytes
from tests.support_sync import Plan, World, documents_of, files_of, progress_of, records_of
from tests.support_sync_killer import copy_template

_STEP = int(os.environ.get("ART_TEST_STEP", "0"))


def prepare(world: World) -> None:
    """Make a remote that `a` filled, and `b`, who does not know the last of it and has versions with
    the same numbers, tags and all the rest."""
    a, b = world.add("a"), world.add("b")
    data = world.root / "data"
    files = {f"f{number}": random_bytes(20_000, number) for number in range(6)}
    a.create("k", lay_out(data, files), tags=["prod"])
    a.push()
    b.pull()
    lay_out(data, {"f1": random_bytes(20_000, 11)})
    a.create("k", data, tags=["prod"])
    a.note("k@v1", title="by a")
    a.markdown("k", "# a")
    a.create(None, lay_out(world.root / "keyless", {"x": random_bytes(9000, 31)}))
    a.push()
    lay_out(data, {"f2": random_bytes(20_000, 12), "f3": random_bytes(150_000, 13)})
    b.create("k", data, tags=["prod", "dev"])
    b.note("k@v1", title="by b")
    b.markdown("k", "# b")
    more = lay_out(world.root / "more", {"x": random_bytes(9000, 21), "y": random_bytes(9000, 22)})
    b.create("other", more / "x")
    b.create(None, more / "y")
    b.progress("bar", 30)
    b.delete("other")


Seen = tuple[set[tuple[object, ...]], dict[str, float], set[str]]


def seen(world: World, name: str) -> Seen:
    """Return what a repository knows, without what is new each time."""
    repo = world.repos[name]
    records = records_of(repo)
    facts = {(r.ref, r.id, r.state, r.title, tuple(r.tags)) for r in records}
    return facts, progress_of(repo), set(documents_of(repo).values())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    with closing(World(root, is_on_disk=True)) as world:
        prepare(world)
    return root


def taken_up(template: Path, root: Path) -> World:
    shutil.copytree(template, root, symlinks=True)
    world = World(root, is_on_disk=True)
    world.open("a")
    world.open("b")
    return world


WORKS: dict[str, Callable[[Repo], object]] = {
    "push": lambda b: b.push(),
    "fetch": lambda b: b.fetch(),
}


@pytest.fixture(params=WORKS)
def work(request: pytest.FixtureRequest) -> Callable[[Repo], object]:
    return WORKS[request.param]


def undisturbed(template: Path, root: Path, work: Callable[[Repo], object]) -> tuple[Seen, World]:
    with closing(taken_up(template, root)) as world:
        work(world.repos["b"])
        return seen(world, "b"), world


def check(
    world: World, work: Callable[[Repo], object], expected: Seen, packs: int, where: str
) -> None:
    """Check what is there after a death, and that the same again completes it."""
    repo = world.reopen("b")
    world.remote.plan = Plan()
    before = {record.id for record in records_of(repo)}
    assert before <= {fact[1] for fact in expected[0]}, where
    world.check_remote()
    work(repo)
    assert seen(world, "b") == expected, where
    assert len(world.remote.sent) == packs, f"{where}: {world.remote.sent}"
    assert len(set(world.remote.sent)) == packs, where
    world.check_remote()


@pytest.mark.parametrize("kind", ["death before", "death after", "after"])
def test_cut_off_at_any_request(
    work: Callable[[Repo], object], kind: str, template: Path, tmp_path: Path
) -> None:
    expected, calm = undisturbed(template, tmp_path / "calm", work)
    packs = len(calm.remote.sent)
    for at in range(1, 1000, 1 if kind == "death before" else _STEP or 4):
        root = tmp_path / f"at-{at}"
        with closing(taken_up(template, root)) as world:
            plan = world.remote.plan = Plan(kind, at)
            try:
                work(world.repos["b"])
            except (Death, UnavailableError):
                assert plan.has_fired
            else:
                assert not plan.has_fired or kind == "after", "a death that nobody noticed"
            where = f"{kind} at {world.remote.calls[-1]}, request {at}"
            check(world, work, expected, packs, where)
            if not plan.has_fired:
                world.settle()
                world.check_equal()
                return
        shutil.rmtree(root)
    raise AssertionError("it never passed")


class LocalFaults(FaultyBackend):
    """Counts the names that are given many at once, too."""

    def stage(self) -> LocalStaged:
        staged = super().stage()
        assert isinstance(staged, FaultyStaged)
        return _Staged(self, staged)


class _Staged(FaultyStaged):
    def __init__(self, backend: FaultyBackend, staged: FaultyStaged) -> None:
        self.__dict__.update(staged.__dict__)

    def link(self, name: str) -> bool:
        with self._fault.step("link", name):
            return super().link(name)


@pytest.mark.parametrize(("kind", "is_late"), [("death", False), ("death", True), ("full", False)])
def test_cut_off_at_any_step_of_writing_here(
    work: Callable[[Repo], object],
    kind: str,
    is_late: bool,
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, calm = undisturbed(template, tmp_path / "calm", work)
    packs = len(calm.remote.sent)
    for at in range(1, 10_000, _STEP or 5):
        root = tmp_path / f"at-{at}"
        fault = Fault(at, kind, is_late)
        with closing(taken_up(template, root)) as world:
            with monkeypatch.context() as patch:

                class Bound(LocalFaults):
                    def __init__(self, place: Path, *, is_durable: bool = True) -> None:
                        super().__init__(place, fault)
                        self.is_durable = is_durable

                for module in (art.repo.base, art.exchange, art.sync):
                    patch.setattr(module, "LocalBackend", Bound)
                world.repos["b"].close()
                world.open("b")
                try:
                    work(world.repos["b"])
                except (Death, StorageError):
                    assert fault.has_fired
            where = f"{kind} at step {at}: {fault.steps[-1]}"
            check(world, work, expected, packs, where)
        shutil.rmtree(root)
        if not fault.has_fired:
            return
    raise AssertionError("it never passed")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", WORKS)
def test_killed_at_a_system_call(name: str, when: str, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    with closing(World(template, has_path=True)) as world:
        prepare(world)
    copy_template(template, tmp_path / "calm")
    expected = killed(tmp_path / "calm", name)
    words = template, tmp_path, name, when, _STEP or 29
    kills = [line.split() for line in lines_of("support_sync_killer", *words)]
    assert kills[-1][1] == "done"
    assert len(kills) > 3
    for number, call in kills:
        assert killed(tmp_path / number, name) == expected, (
            f"{name}, killed {when} {call}, {number}"
        )


def killed(root: Path, name: str) -> tuple[Seen, dict[object, dict[str, bytes]]]:
    """Return what the same again makes of it, and what is in a fresh clone."""
    with closing(World(root, has_path=True)) as world:
        world.check_remote()
        world.open("b")
        WORKS[name](world.repos["b"])
        found = seen(world, "b")
        world.settle()
        world.check_remote()
        fresh = world.clone("fresh")
        assert documents_of(fresh) == documents_of(world.repos["b"])
        return found, {r.id: files_of(fresh, r) for r in records_of(fresh) if r.is_live}
