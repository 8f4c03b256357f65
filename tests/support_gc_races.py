"""Races of who pushes with who collects the same remote, each held up at any request of his.

Both are threads of this process. They take turns as a schedule says, and then go on at will; between two
runs of gc the remote's clock jumps by days.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from art.backend import Backend
from tests.support_gc_crash import Snapshot, World

_PUSH, _GC = 40, 150  # requests of each, about
_GOLDEN = 0.618034
_MORE = 10**6


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
