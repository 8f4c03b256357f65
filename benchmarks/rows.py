"""The rows of the table: for each its work, one function that measures it, and its aims."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import data
import tools
from bench import SETTLING_SECONDS, Bench, Samples, say, timed_create, timed_get
from report import Aim, Faster, Times, Unit, Within
from tools import Tool

TIMED = ("art", "cp", "git", "restic", "dvc")
REPEATED = ("art", "git", "restic", "dvc")
DEDUPLICATING = ("art", "restic", "borg", "bup")
FILES = 20_000


@dataclass(frozen=True)
class Row:
    """A row of the table; the work is described at full size."""

    name: str
    work: str
    measure: Callable[[Bench], Samples]
    aims: tuple[Aim, ...]
    unit: Unit = "s"


def create_many(bench: Bench) -> Samples:
    """First version of many small files; a fresh repository each time."""
    return _first_create(bench, _many_files(bench))


def create_same(bench: Bench) -> Samples:
    """The same files again, nothing changed."""
    primed = bench.prime(REPEATED, _many_files(bench))
    return bench.alternate(primed, lambda name: timed_create(primed[name]))


def create_changed(bench: Bench) -> Samples:
    """The same files again, one in a hundred changed since the version before."""
    primed = bench.prime(REPEATED, _many_files(bench))

    def change(number: int) -> None:
        for source in {tool.source for tool in primed.values()}:
            data.change_files(source, bench.scaled(FILES), edition=number + 1)

    return bench.alternate(primed, lambda name: timed_create(primed[name]), before_round=change)


def create_big(bench: Bench) -> Samples:
    """First version of one big file that cannot be compressed; a fresh repository each time."""
    source = _folder(bench) / "big.bin"
    data.random_file(source, bench.scaled(2 * data.GIB), seed="big")
    return _first_create(bench, source)


def stored(bench: Bench) -> Samples:
    """Bytes stored for four versions of a file; made once, as no time is taken."""
    source = _folder(bench) / "file.bin"
    size, more = bench.scaled(data.GIB), bench.scaled(data.MIB)
    data.random_file(source, size, seed="stored")
    started = _started(bench, source)
    _create_each(bench, started, "the file")
    data.overwrite_blocks(source, seed="overwrite")
    _create_each(bench, started, "1 % overwritten")
    data.insert_in_front(source, more, seed="insert")
    _create_each(bench, started, "longer in front")
    data.append(source, 10 * more, seed="append")
    _create_each(bench, started, "longer at the end")
    return {name: [float(tool.stored())] for name, tool in started.items()}


def get_many(bench: Bench) -> Samples:
    """The many small files taken out into an empty folder, and compared with the source after."""
    source = _many_files(bench)
    expected = data.digest(source)
    primed = bench.prime(REPEATED, source)
    return bench.alternate(primed, lambda name: timed_get(primed[name], expected))


def ls_many(bench: Bench) -> Samples:
    return _start_up(bench, ("keys", bench.scaled(10_000)), ("ls",))


def log_many(bench: Bench) -> Samples:
    return _start_up(bench, ("versions", bench.scaled(100_000)), ("log", "history", "-n", "10"))


def ls_few(bench: Bench) -> Samples:
    return _start_up(bench, ("keys", 10), ("ls",))


def log_few(bench: Bench) -> Samples:
    return _start_up(bench, ("keys", 10), ("log", "group-0/key-00000", "-n", "10"))


_FEW_KEYS = (Within(0.15), Times(6, ("python",)))
ROWS = (
    Row(
        "create-many",
        "`create` of 20,000 files of 1 to 16 KiB in 200 folders",
        create_many,
        (Times(1.3, ("cp",)), Faster(2.5, "restic"), Faster(7, "dvc")),
    ),
    Row(
        "create-same",
        "the same again, nothing changed",
        create_same,
        (Within(0.35), Faster(4, "restic")),
    ),
    Row("create-changed", "the same, 1 % of the files changed", create_changed, (Within(0.5),)),
    Row(
        "create-big",
        "`create` of one 2 GiB random file",
        create_big,
        (Faster(3, "restic"), Faster(1.5, "dvc"), Times(2.5, ("cp",))),
    ),
    Row(
        "stored",
        "bytes stored for a 1 GiB file and three successors (1 % scattered 4 KiB overwrites;"
        " 1 MiB inserted in front; 10 MiB appended)",
        stored,
        (Times(1.03, ("restic", "borg")),),
        "bytes",
    ),
    Row(
        "get-many",
        "`get` of the 20,000 files, into an empty folder",
        get_many,
        (Faster(1.6, "restic"), Faster(2.5, "dvc")),
    ),
    Row("ls-many", "`art ls` with 10,000 keys", ls_many, (Within(0.25),)),
    Row("log-many", "`art log -n 10` of a key with 100,000 versions", log_many, (Within(0.25),)),
    Row("ls-few", "`art ls` with 10 keys", ls_few, _FEW_KEYS),
    Row("log-few", "`art log -n 10` with 10 keys", log_few, _FEW_KEYS),
)


def _first_create(bench: Bench, source: Path) -> Samples:
    def step(name: str) -> float:
        tool = bench.start(name, source)
        try:
            return timed_create(tool)
        finally:
            tools.discard(tool.place)

    return bench.alternate(bench.here(TIMED), step)


def _started(bench: Bench, source: Path) -> dict[str, Tool]:
    started = {}
    for name in bench.here(DEDUPLICATING):
        with bench.noting_failure(name):
            started[name] = bench.start(name, source)
    return started


def _create_each(bench: Bench, started: dict[str, Tool], what: str) -> None:
    """Make a version with each tool; drop a tool that fails."""
    for name in list(started):
        with bench.noting_failure(name) as failures:
            started[name].create()
            say(f"  {name}, {what}: {started[name].stored() / 1e6:,.1f} MB in all")
        if failures:
            del started[name]


def _start_up(bench: Bench, contents: tuple[str, int], words: Sequence[str]) -> Samples:
    """Time a command of `art` on a repository with the contents, beside a bare interpreter.

    A first round, not counted, leaves everything compiled, indexed and in the page cache.
    """
    binary = bench.binaries.get("art")
    python = tools.python_of(binary)
    env = tools.environment(bench.place)
    commands = {"python": [python, "-c", "pass"]}
    if binary:
        maker = Path(__file__).with_name("repositories.py")
        kind, count = contents
        make = [python, str(maker), "--art", binary, kind, "repository", str(count)]
        tools.run(make, cwd=bench.place, env=env)
        commands = {"art": [binary, "-C", str(bench.place / "repository"), *words], **commands}

    def step(name: str) -> float:
        began = time.perf_counter()
        tools.run(commands[name], cwd=bench.place, env=env)
        return time.perf_counter() - began

    time.sleep(SETTLING_SECONDS)
    bench.alternate(commands, step, rounds=1)
    return bench.alternate(commands, step, rounds=bench.repeats)


def _many_files(bench: Bench) -> Path:
    source = _folder(bench) / "files"
    data.many_files(source, bench.scaled(FILES))
    return source


def _folder(bench: Bench) -> Path:
    folder = bench.place / "source"
    folder.mkdir()
    return folder
