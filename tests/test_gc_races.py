"""Somebody pushes while somebody else collects the same remote, each held up at any request of his.

Both are threads of this process. They take turns as a schedule says, and then go on at will; between two
runs of gc the remote's clock jumps by days. `ART_TEST_FULL=1` runs 200 races, not 30.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from art.backend import Backend
from art.remote import open_backend
from tests.support_gc_crash import IS_FULL, Snapshot, World, make_snapshot

_RACES = 200 if IS_FULL else 30
_STRIDE = 1 if IS_FULL else 7  # of the races there are
_PUSH, _GC = 40, 150  # requests of each, about
_GOLDEN = 0.618034
_MORE = 10**6
_COUNTER = itertools.count()


@dataclass(frozen=True)
class Race:
    """Who pushes, on how many days gc runs, and who does how many requests before the other one."""

    pusher: str
    days: tuple[float, ...]
    schedule: tuple[tuple[str, int], ...]


def race(number: int) -> Race:
    """Return one race: the places where both are held up are spread over all their requests."""
    pusher = "c" if number % 5 == 4 else "b"
    days = ((0.0, 2.0, 2.0), (0.0, 2.0), (2.0, 0.0, 2.0), (0.5,))[number // 3 % 4]
    push = 1 + int(number * _GOLDEN * _PUSH) % _PUSH
    gc = 1 + int(number * _GOLDEN**2 * _GC * len(days)) % (_GC * len(days))
    schedules = (
        ((pusher, push), ("keeper", _MORE)),
        (("keeper", gc), (pusher, push), ("keeper", _MORE)),
        ((pusher, push), ("keeper", gc), (pusher, _MORE)),
        (("keeper", gc), (pusher, 3), ("keeper", 7), (pusher, push), ("keeper", _MORE)),
    )
    return Race(pusher, days, schedules[number % len(schedules)])


class Turns:
    """Lets threads go on as a schedule says. Whoever has ended is passed over."""

    def __init__(self, schedule: tuple[tuple[str, int], ...]) -> None:
        self._left = list(schedule)
        self._ended: set[str] = set()
        self._changed = threading.Condition()

    def of(self, who: str) -> Callable[..., None]:
        """Return what a client calls before and after each request."""

        def turn(what: str, name: str, *, is_after: bool) -> None:
            if not is_after:
                with self._changed:
                    self._changed.wait_for(lambda: self._current() in (None, who))
                    self._spend()

        return turn

    def run(self, who: str, work: Callable[[], None]) -> None:
        """Do the work of one of them."""
        try:
            work()
        finally:
            with self._changed:
                self._ended.add(who)
                self._changed.notify_all()

    def _current(self) -> str | None:
        while self._left and (self._left[0][1] <= 0 or self._left[0][0] in self._ended):
            del self._left[0]
        return self._left[0][0] if self._left else None

    def _spend(self) -> None:
        if self._left:
            who, count = self._left[0]
            self._left[0] = (who, count - 1)
            if count <= 1:
                self._changed.notify_all()


def run_race(race: Race, snapshot: Snapshot, root: Path, remote: Backend) -> None:
    """Let both run at once, and check that nothing is lost, then and later."""
    root.mkdir()
    turns = Turns(race.schedule)
    with contextlib.closing(World(root, remote)) as world, ThreadPoolExecutor(2) as threads:
        world.load(snapshot)
        if race.pusher == "c":
            world.repos["c"].restore("gone@v1")
        before = world.check()
        works = {race.pusher: lambda: world.push(race.pusher)}
        works["keeper"] = lambda: world.collect(*race.days)
        for who in works:
            world.client(who).turn = turns.of(who)
        for future in [threads.submit(turns.run, *work) for work in works.items()]:
            future.result()
        check(world, before)
        world.collect(2.0, 2.0, 2.0)
        check(world, before)
        world.check_whole(where=str(race))
    shutil.rmtree(root)


def check(world: World, before: set[str]) -> None:
    """Check that all that was live, and all that was acknowledged, is there to the last byte."""
    lost = (before | world.acknowledged) - world.check()
    assert lost == set()


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
