"""What is at a remote stays whole while somebody pushes and somebody else collects it, whoever is held up.

`ART_TEST_FULL=1` runs 200 races, not 15. Races at a remote behind a server are in
`remote/test_gc_there.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from art.backend import Backend
from art.errors import UnavailableError
from art.model import Chunking
from art.objects import ObjectStore, layout_directory
from art.remote import open_backend
from art.repo import Repo
from tests.support_faults import NEVER, Death, Fault
from tests.support_gc_crash import IS_FULL, Snapshot, World, make_snapshot, surviving
from tests.support_gc_races import check, race, run_race
from tests.support_state import random_bytes

_RACES = 200 if IS_FULL else 15
_STRIDE = 1 if IS_FULL else 13  # of the races there are
_COUNTER = itertools.count()


def in_memory(_: Path) -> Backend:
    return open_backend(f"memory://race-{next(_COUNTER)}")


def in_folder(root: Path) -> Backend:
    (root / "remote").mkdir()
    return open_backend(str(root / "remote"))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"))


def test_who_pushes_while_gc_runs_in_memory_loses_nothing(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    for number in range(0, _RACES * _STRIDE, _STRIDE):
        remote = open_backend(f"memory://race-{next(_COUNTER)}")
        run_race(race(number), snapshot, tmp_path / str(number), remote)


def test_who_pushes_while_gc_runs_in_a_folder_loses_nothing(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    for number in range(3, _RACES * _STRIDE, _STRIDE):
        (tmp_path / f"remote-{number}").mkdir()
        remote = open_backend(str(tmp_path / f"remote-{number}"))
        run_race(race(number), snapshot, tmp_path / str(number), remote)


def test_what_is_published_is_whole_at_once_whatever_gc_did_before(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    """Until the last layout is written gc may run on any days: nothing is published without its bytes,
    not even for a moment."""
    requests = push_with_gc_at(0, snapshot, tmp_path / "calm")
    for at in range(2, last_layout(requests) + 1, 1 if IS_FULL else 4):
        push_with_gc_at(at, snapshot, tmp_path / str(at), looks_at_once=True)


def test_what_was_pushed_is_whole_whatever_gc_did_after_the_last_layout(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    """When gc comes between a look at the marks and a manifest, on several days, the push mends that
    before it ends."""
    requests = push_with_gc_at(0, snapshot, tmp_path / "calm")
    for at in range(last_layout(requests) + 1, len(requests) + 1):
        push_with_gc_at(at, snapshot, tmp_path / str(at))


def last_layout(requests: list[str]) -> int:
    return max(n for n, asked in enumerate(requests, 1) if asked.startswith("create layouts/"))


def push_with_gc_at(
    at: int, snapshot: Snapshot, root: Path, *, looks_at_once: bool = False
) -> list[str]:
    """Push, with gc on several days before the n-th request; look what is live afterwards, or as soon
    as a version is published; return the requests."""
    root.mkdir()
    remote = open_backend(f"memory://race-{next(_COUNTER)}")
    requests: list[str] = []
    with contextlib.closing(World(root, remote)) as world:
        world.load(snapshot)
        before = world.check()

        def turn(what: str, name: str, *, is_after: bool) -> None:
            if is_after:
                if looks_at_once and what == "create" and name.startswith("manifests/"):
                    world.check()
                return
            requests.append(f"{what} {name}")
            if len(requests) == at:
                world.collect(2.0, 2.0, 2.0)

        world.client("b").turn = turn
        world.push("b")
        check(world, before)
    shutil.rmtree(root)
    return requests


@pytest.mark.parametrize("connect", [in_memory, in_folder])
def test_a_version_that_comes_while_gc_is_about_to_delete_keeps_its_packs(
    connect: Callable[[Path], Backend], snapshot: Snapshot, tmp_path: Path
) -> None:
    """Who publishes it was held up since before they were marked, and dies right after it. Gc has its
    plan by then, in which they go: it must look again."""
    remote = connect(tmp_path)
    with contextlib.closing(World(tmp_path, remote)) as world, ThreadPoolExecutor(1) as threads:
        world.load(snapshot)
        before = world.check()
        fault = Fault(NEVER, "death")
        b = world.open("b", fault)
        fresh, tree = known_to(b, "fresh")
        is_held, may_go = threading.Event(), threading.Event()

        def hold() -> None:
            is_held.set()
            may_go.wait()

        world.client("b").turn = around("manifests/", hold, lambda: die(fault))
        pushing = threads.submit(surviving, lambda: b.push("fresh"))
        pushing.add_done_callback(lambda _: is_held.set())
        try:
            is_held.wait()
            world.collect(0.0)
            assert packs_of(world, tree) <= world.marks()
            go_on = around("gc/marks/", lambda: may_go.set() or pushing.result())
            world.client("keeper").turn = go_on
            world.collect(2.0)
        finally:
            may_go.set()
        check(world, before | {fresh})
        push_again(world, before | {fresh})


@pytest.mark.parametrize("is_keyless", [False, True])
@pytest.mark.parametrize("dies", [False, True])
def test_what_gc_took_from_a_push_that_was_cut_off_comes_with_the_next_one(
    *, is_keyless: bool, dies: bool, snapshot: Snapshot, tmp_path: Path
) -> None:
    """It published a version that relies on what gc had deleted days after it looked, and came to no
    second look. What is there is fetched before the next one, so that no version seems to be new."""
    with contextlib.closing(World(tmp_path, in_memory(tmp_path))) as world:
        world.load(snapshot)
        files = {"x": random_bytes(7000, 700)}
        world.make("a", "lone", files)
        world.repos["a"].push()
        world.repos["b"].pull("lone")
        world.repos["a"].delete("lone@v1")
        world.repos["a"].push()
        world.time.days += 2.0
        before = world.check()
        fault = Fault(NEVER, "death")
        b = world.open("b", fault)
        _, tree = known_to(b, "lone@v1")
        id = world.make("b", None if is_keyless else "taken", files)
        client = world.client("b")

        def cut_off() -> None:
            if dies:
                die(fault)
            client.turn = refuse_marks

        name = "anonymous/" if is_keyless else "manifests/taken/"
        client.turn = around(name, lambda: world.collect(0.0, 2.0), cut_off)
        with contextlib.suppress(UnavailableError):
            surviving(lambda: b.push(*([] if is_keyless else ["taken"])))
        assert world.inner.names(layout_directory(tree)) == []
        world.open("b").fetch()
        push_again(world, before | {id})


def known_to(repo: Repo, ref: str) -> tuple[str, str]:
    """Return the id and the payload of a version, of which gc is to mark the packs at the remote."""
    version = repo.version(ref)
    assert version.payload
    return version.id, str(version.payload.tree)


def around(
    prefix: str, before: Callable[[], object], after: Callable[[], object] = lambda: None
) -> Callable[..., None]:
    """Return a turn that does something once before something of that name is created or listed, and
    something else right after it."""
    steps = iter([before, after])

    def turn(what: str, name: str, *, is_after: bool) -> None:
        if what in ("create", "publish", "names") and name.startswith(prefix):
            next(steps, lambda: None)()

    return turn


def die(fault: Fault) -> None:
    """Let nothing that follows have any effect."""
    fault.at = 0
    raise Death


def refuse_marks(what: str, name: str, *, is_after: bool) -> None:
    """Let nobody look what gc is to delete."""
    if name.startswith("gc/marks"):
        raise UnavailableError("the remote does not answer")


def packs_of(world: World, tree: str) -> set[str]:
    """Return the packs that a payload needs, as its only layout at the remote says."""
    (found,) = ObjectStore(world.inner, Chunking()).readings(tree)
    return found.packs()


def push_again(world: World, expected: set[str]) -> None:
    """Push what is left, by a new process, and check that all is whole, then and after gc."""
    world.open("b")
    world.push("b")
    check(world, expected)
    world.collect(2.0, 2.0, 2.0)
    check(world, expected)
    world.check_whole("b", where="in the end")
