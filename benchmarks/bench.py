"""How the tools are measured: alternating, each on a repository of its own, failures noted."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import data
import report
from tools import TOOLS, Tool, ToolError

Samples = dict[str, list[float]]

# A tool that knows a file by its times reads it again if it changed just before it was recorded.
SETTLING_SECONDS = 2.5


@dataclass
class Bench:
    """One run: where it works, with which programs, how often, how much; and what went wrong."""

    place: Path
    binaries: Mapping[str, str]
    rounds: int
    repeats: int
    scale: float
    notes: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)

    def measured(
        self,
        name: str,
        work: str,
        unit: report.Unit,
        aims: tuple[report.Aim, ...],
        measure: Callable[[], Samples],
    ) -> report.Outcome:
        """Measure a row and tell of it; what cannot be measured is noted."""
        say(f"{name}: {work} (load {os.getloadavg()[0]:.2f})")
        self.failed.clear()
        samples: Samples = {"art": []}
        try:
            samples = measure()
        except ToolError as error:
            self.notes.append(f"{name}: not measured: {error}")
            say(self.notes[-1])
        found = {tool: samples.get(tool, []) for tool in [*self.failed, *samples]}
        outcome = report.Outcome(name, work, unit, aims, found)
        shown = (f"{tool} {report.shown(value, unit)}" for tool, value in outcome.medians.items())
        say("  " + ", ".join(shown))
        return outcome

    def scaled(self, full: int) -> int:
        return max(100, round(full * self.scale))

    def here(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self.binaries]

    def start(self, name: str, source: Path) -> Tool:
        """Give the tool a fresh repository."""
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.place))
        tool = TOOLS[name](self.binaries[name], place, source)
        tool.start()
        return tool

    def prime(self, names: Iterable[str], source: Path) -> dict[str, Tool]:
        """Give each tool a repository that holds the source; leave out those that fail."""
        primed = {}
        for name in self.here(names):
            with self.noting_failure(name):
                tool = self.start(name, source)
                tool.create()
                primed[name] = tool
        time.sleep(SETTLING_SECONDS)
        return primed

    def alternate(
        self,
        names: Iterable[str],
        step: Callable[[str], float],
        *,
        rounds: int | None = None,
        before_round: Callable[[int], None] | None = None,
    ) -> Samples:
        """Measure each tool once a round, a different one first each time.

        A tool that fails is noted, loses its measurements and is left out from then on.
        """
        samples: Samples = {name: [] for name in names}
        working = list(samples)
        for number in range(rounds or self.rounds):
            if before_round:
                before_round(number)
            for name in _turned(working, number):
                with self.noting_failure(name) as failures:
                    samples[name].append(step(name))
                if failures:
                    working.remove(name)
                    samples[name].clear()
        return samples

    @contextmanager
    def noting_failure(self, name: str) -> Iterator[list[str]]:
        failures: list[str] = []
        try:
            yield failures
        except ToolError as error:
            failures.append(f"{self.place.name}: {name} failed: {error}")
            self.notes += failures
            self.failed.add(name)
            say(failures[0])


def timed_create(tool: Tool) -> float:
    """Return the seconds of one `create`, with nothing to flush and the source in memory."""
    os.sync()
    data.warm(tool.source)
    began = time.perf_counter()
    tool.create()
    return time.perf_counter() - began


def timed_get(tool: Tool, expected: str) -> float:
    """Return the seconds of one `get` into an empty place; anything but `expected` is a failure."""
    tool.clear()
    os.sync()
    data.warm(tool.repository)
    began = time.perf_counter()
    result = tool.get()
    seconds = time.perf_counter() - began
    if not result.exists() or data.digest(result) != expected:
        raise ToolError("what it wrote differs from the source")
    return seconds


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _turned(names: Sequence[str], by: int) -> list[str]:
    start = by % len(names) if names else 0
    return [*names[start:], *names[:start]]
