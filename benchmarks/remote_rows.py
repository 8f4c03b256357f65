"""The rows of `remote.py`: for each its work, one function that measures it, and its aims."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import data
from bench import SETTLING_SECONDS, Bench, Samples, say
from remote_tools import REMOTE_TOOLS, Place, RemoteTool
from report import Aim, Below, Faster, Outcome, Times, Unit, Within
from server import Proxy
from tools import ToolError, discard

ALL = ("art", "restic", "dvc", "rclone", "s5cmd")
FILES = 20_000


@dataclass
class RemoteBench(Bench):
    """A run against one server, maybe through a proxy. `extra` are figures that come on the way."""

    endpoint: str | None = None
    bucket: str = ""
    proxy: Proxy | None = None
    delay: float = 0.0
    peaks: Samples = field(default_factory=dict)
    requests: Samples = field(default_factory=dict)

    def open(self, name: str, source: Path, *, is_folder: bool = False) -> RemoteTool:
        """Give a tool fresh places here and there."""
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.place))
        if is_folder:
            there = Place(None, str(place / "remote"))
            Path(there.path).mkdir()
        else:
            there = Place(self.endpoint, f"{self.bucket}/{self.place.parent.name}/{place.name}")
        tool = REMOTE_TOOLS[name](self.binaries[name], place, source, there)
        tool.start()
        return tool

    def timed(self, tool: RemoteTool, step: Callable[[], object]) -> float:
        """Return the seconds of a step with nothing to flush; note its memory and its requests.

        Only here requests wait: nobody waits for what is not measured.
        """
        os.sync()
        tool.peak, tool.cpu_seconds = 0, 0.0
        if self.proxy:
            self.proxy.let_wait(self.delay)
        began = time.perf_counter()
        step()
        seconds = time.perf_counter() - began
        self.peaks.setdefault(tool.name, []).append(tool.peak)
        said = f"  {tool.name} {seconds:.3f} s, of a CPU {tool.cpu_seconds:.3f} s"
        if self.proxy:
            requests = self.proxy.let_wait(0)
            self.requests.setdefault(tool.name, []).append(requests)
            said += f", {requests:,} requests"
        say(said)
        return seconds

    def timed_push(self, tool: RemoteTool) -> float:
        data.warm(tool.source)
        return self.timed(tool, tool.push)

    def timed_pull(self, tool: RemoteTool, expected: str) -> float:
        tool.fresh()
        results: list[Path] = []
        seconds = self.timed(tool, lambda: results.append(tool.pull()))
        if data.digest(results[0]) != expected:
            raise ToolError("what it wrote differs from the source")
        return seconds


@dataclass(frozen=True)
class Row:
    """A row of the table, described at full size. `delay` are the seconds that each request waits;
    with a delay its requests are counted, too, in a row of their own. So is `memory`, where asked."""

    name: str
    work: str
    measure: Callable[[RemoteBench], Samples]
    aims: tuple[Aim, ...] = ()
    delay: float = 0.0
    request_aims: tuple[Aim, ...] = ()
    memory_aims: tuple[Aim, ...] = ()

    def outcomes(self, samples: Samples, bench: RemoteBench) -> list[Outcome]:
        found = [Outcome(self.name, self.work, "s", self.aims, samples)]
        more: list[tuple[str, Unit, tuple[Aim, ...], Samples]] = []
        if bench.proxy:
            more.append(("requests", "requests", self.request_aims, bench.requests))
        if self.memory_aims:
            more.append(("peak memory", "bytes", self.memory_aims, bench.peaks))
        for what, unit, aims, values in more:
            work = f"{self.work}: {what}"
            right = {name: found for name, found in values.items() if samples.get(name)}
            found.append(Outcome(self.name, work, unit, aims, right))
        return found


def push_many(bench: RemoteBench) -> Samples:
    """First push of many small files; fresh repositories each time."""
    return _first_push(bench, _many_files(bench), ALL)


def push_same(bench: RemoteBench) -> Samples:
    """Push with nothing to push."""
    primed = _prime(bench, _many_files(bench))
    return bench.alternate(primed, lambda name: bench.timed_push(primed[name]))


def push_same_folder(bench: RemoteBench) -> Samples:
    primed = _prime(bench, _many_files(bench), ("art",), is_folder=True)
    return bench.alternate(primed, lambda name: bench.timed_push(primed[name]))


def push_changed(bench: RemoteBench) -> Samples:
    """Push after one file in a hundred has changed."""
    primed = _prime(bench, _many_files(bench))

    def change(number: int) -> None:
        for source in {tool.source for tool in primed.values()}:
            data.change_files(source, bench.scaled(FILES), edition=number + 1)
        time.sleep(SETTLING_SECONDS)

    return _alternate_both(bench, primed, lambda name: primed[name], before_round=change)


def pull_many(bench: RemoteBench) -> Samples:
    """The many small files on another machine; compared with the source after."""
    source = _many_files(bench)
    expected = data.digest(source)
    primed = _prime(bench, source)
    return bench.alternate(primed, lambda name: bench.timed_pull(primed[name], expected))


def push_big(bench: RemoteBench) -> Samples:
    return _first_push(bench, _big_file(bench), ("art", "s5cmd", "restic"))


def push_big_folder(bench: RemoteBench) -> Samples:
    return _first_push(bench, _big_file(bench), ("art", "cp"), is_folder=True)


def pull_big(bench: RemoteBench) -> Samples:
    source = _big_file(bench)
    expected = _content_digest(source)
    primed = _prime(bench, source, ("art", "s5cmd", "restic"))

    def step(name: str) -> float:
        tool = primed[name]
        tool.fresh()
        results: list[Path] = []
        seconds = bench.timed(tool, lambda: results.append(tool.pull()))
        if [_content_digest(path) for path in data.files_below(results[0])] != [expected]:
            raise ToolError("what it wrote differs from the source")
        return seconds

    return bench.alternate(primed, step)


_MANY = "20,000 files of 1 to 16 KiB, 174 MB"
_PUSH_AIMS: tuple[Aim, ...] = (
    Faster(2.2, "restic"),
    Faster(2.2, "restic", "art-create"),
    Faster(20, "dvc"),
    Faster(9, "rclone"),
)
_PULL_AIMS: tuple[Aim, ...] = (Faster(1.3, "restic"), Faster(12, "dvc"))
_SMALL_MEMORY = (Below(400_000_000, "bytes"),)
_DELAY = 0.03


def _rows() -> list[Row]:
    rows = [
        Row("push-many", f"push of {_MANY}", push_many, _PUSH_AIMS),
        Row("pull-many", f"clone and take out {_MANY}", pull_many, _PULL_AIMS),
        Row("push-same", "nothing to push", push_same, (Within(0.9),)),
        Row("push-changed", "push of 1 % changed files", push_changed),
    ]
    aims = {"push-same": (Below(2, "requests"),)}
    slow = [
        Row(
            f"{row.name}-30ms",
            f"{row.work}; 30 ms more per request",
            row.measure,
            () if row.name == "push-same" else row.aims,
            delay=_DELAY,
            request_aims=aims.get(row.name, ()),
        )
        for row in rows
    ]
    folder = Row(
        "push-same-folder", "nothing to push, to a folder", push_same_folder, (Within(0.25),)
    )
    big = [
        Row(
            "push-big",
            "push of 1 GiB of random bytes",
            push_big,
            (Times(1.5, ("s5cmd",)),),
            memory_aims=_SMALL_MEMORY,
        ),
        Row(
            "push-big-folder",
            "push of 1 GiB of random bytes, to a folder",
            push_big_folder,
            (Times(1.5, ("cp",)),),
            memory_aims=_SMALL_MEMORY,
        ),
        Row(
            "pull-big",
            "clone and take out 1 GiB of random bytes",
            pull_big,
            memory_aims=_SMALL_MEMORY,
        ),
    ]
    return [*rows, folder, *big, *slow]


ROWS = _rows()


def _first_push(
    bench: RemoteBench, source: Path, names: Iterable[str], *, is_folder: bool = False
) -> Samples:
    opened: dict[str, RemoteTool] = {}

    def opener(name: str) -> RemoteTool:
        if name in opened:
            discard(opened[name].place)
        opened[name] = bench.open(name, source, is_folder=is_folder)
        return opened[name]

    return _alternate_both(bench, bench.here(names), opener)


def _alternate_both(
    bench: RemoteBench,
    names: Iterable[str],
    opener: Callable[[str], RemoteTool],
    before_round: Callable[[int], None] | None = None,
) -> Samples:
    """Time the push, and for those that create something before it, the whole as well."""
    whole: Samples = {}

    def step(name: str) -> float:
        tool = opener(name)
        data.warm(tool.source)
        os.sync()
        began = time.perf_counter()
        tool.create()
        created = time.perf_counter() - began
        pushed = bench.timed_push(tool)
        if name in ("art", "dvc"):
            whole.setdefault(f"{name}-create", []).append(created + pushed)
        return pushed

    samples = bench.alternate(names, step, before_round=before_round)
    return samples | {k: v for k, v in whole.items() if samples[k.removesuffix("-create")]}


def _prime(
    bench: RemoteBench, source: Path, names: Iterable[str] = ALL, *, is_folder: bool = False
) -> dict[str, RemoteTool]:
    """Give each tool a place that holds the source; leave out those that fail."""
    primed = {}
    for name in bench.here(names):
        with bench.noting_failure(name):
            tool = bench.open(name, source, is_folder=is_folder)
            tool.create()
            tool.push()
            primed[name] = tool
    time.sleep(SETTLING_SECONDS)
    return primed


def _content_digest(path: Path) -> str:
    """Return a digest of the contents of a file, whatever its name."""
    found = hashlib.blake2b()
    with path.open("rb") as file:
        while block := file.read(data.MIB):
            found.update(block)
    return found.hexdigest()


def _many_files(bench: Bench) -> Path:
    source = bench.place / "source" / "files"
    source.parent.mkdir()
    data.many_files(source, bench.scaled(FILES))
    return source


def _big_file(bench: Bench) -> Path:
    source = bench.place / "source" / "big.bin"
    source.parent.mkdir()
    data.random_file(source, bench.scaled(data.GIB), seed="big")
    return source
