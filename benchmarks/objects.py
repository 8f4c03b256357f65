"""Compare saving Python objects with what their own libraries write: time, peak memory, and `import art`.

`python benchmarks/objects.py --help` shows the options; README.md in this folder says what it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import report
import tools
from bench import Bench, Samples
from local import names_from, told
from report import Aim, Below, Medians, Times, Unit

ELEMENTS = 125_000_000  # of 8 bytes each: 1 GB
COLUMNS = 10
PACKAGES = ("art-vcs", "numpy", "pandas", "pyarrow")
OTHERS = {"frame": "pandas", "array": "numpy"}
CONDITIONS = (
    "medians of the rounds; what is compared alternates within each round, another one first each time",
    "each object is made and saved once in a process of its own, into an empty folder, with everything"
    " flushed before; only saving is timed",
    "`Repo.save` makes the version durable; pandas leaves what it wrote to the kernel, `np.save` is followed"
    " by `sync -f`",
    "peak memory: the most that the process had while it saved, less what it had when the object was there",
    "`import art`: the whole process, started anew, against one that imports nothing",
)


@dataclass(frozen=True)
class Above:
    """At most so many seconds more than the other."""

    seconds: float
    tool: str

    @property
    def text(self) -> str:
        return f"≤ {self.seconds * 1000:g} ms above {report.short(self.tool)}"

    def reached(self, medians: Medians) -> bool | None:
        if not {"art", self.tool} <= medians.keys():
            return None
        return medians["art"] - medians[self.tool] <= self.seconds


@dataclass(frozen=True)
class Saved:
    """What saving one object took."""

    seconds: float
    peak: float


@dataclass
class Objects:
    """A run. What is found of an object is for two rows, and kept."""

    bench: Bench
    found: dict[str, dict[str, list[Saved]]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, list[Saved]]:
        """Return what saving an object took with each tool, in the order of the rounds."""
        if kind not in self.found:
            found: dict[str, list[Saved]] = {"art": [], OTHERS[kind]: []}

            def step(tool: str) -> float:
                saved = self._saved(kind, tool)
                found[tool].append(saved)
                return saved.seconds

            timed = self.bench.alternate(found, step)
            self.found[kind] = {tool: found[tool] if timed[tool] else [] for tool in found}
        return self.found[kind]

    def _saved(self, kind: str, tool: str) -> Saved:
        folder = Path(tempfile.mkdtemp(prefix=f"{tool}-", dir=self.bench.place))
        try:
            words = ["--alone", kind, tool, str(self.bench.scaled(ELEMENTS)), str(folder)]
            said = tools.run(
                [sys.executable, __file__, *words], cwd=folder, env=tools.environment(folder)
            )
            return Saved(**json.loads(said))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def times(kind: str) -> Callable[[Objects], Samples]:
    return lambda objects: {k: [each.seconds for each in v] for k, v in objects.of(kind).items()}


def peaks(kind: str) -> Callable[[Objects], Samples]:
    return lambda objects: {"art": [each.peak for each in objects.of(kind)["art"]]}


def starts(objects: Objects) -> Samples:
    bench = objects.bench
    codes = {"art": "import art", "python": "pass"}

    def step(name: str) -> float:
        words = [sys.executable, "-c", codes[name]]
        began = time.perf_counter()
        tools.run(words, cwd=bench.place, env=tools.environment(bench.place))
        return time.perf_counter() - began

    bench.alternate(codes, step, rounds=2)  # compiles what is not compiled
    return bench.alternate(codes, step, rounds=bench.repeats)


@dataclass(frozen=True)
class Row:
    """A row of the table; the work is described at full size."""

    name: str
    work: str
    measure: Callable[[Objects], Samples]
    aims: tuple[Aim, ...]
    unit: Unit = "s"


_FRAME = f"a DataFrame of 1 GB, {COLUMNS} columns of random float64"
_ARRAY = "an array of 1 GB of random float64"
_PEAK = Below(300_000_000, "bytes")
ROWS = {
    row.name: row
    for row in (
        Row("frame", f"save {_FRAME}", times("frame"), (Times(1.3, ("pandas",)),)),
        Row("frame-memory", "the same: memory beyond it", peaks("frame"), (_PEAK,), "bytes"),
        Row("array", f"save {_ARRAY}", times("array"), (Times(1.5, ("numpy",)),)),
        Row("array-memory", "the same: memory beyond it", peaks("array"), (_PEAK,), "bytes"),
        Row("import", "`import art`", starts, (Above(0.030, "python"),)),
    )
}


# --- one object, in a process of its own ----------------------------------------------------------


def alone(kind: str, tool: str, elements: int, folder: Path) -> None:
    """Make an object, save it, and print what that took."""
    value = _made(kind, elements)
    save = _saving(tool, value, folder)
    os.sync()
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    began = time.perf_counter()
    save()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak": _memory("VmHWM") - before}))


def _made(kind: str, elements: int) -> Any:
    import numpy

    chance = numpy.random.default_rng(5)
    if kind == "array":
        return chance.standard_normal(elements)
    import pandas

    rows = elements // COLUMNS
    return pandas.DataFrame({f"c{n}": chance.standard_normal(rows) for n in range(COLUMNS)})


def _saving(tool: str, value: Any, folder: Path) -> Callable[[], object]:
    """Return what saves an object. What is needed for that is imported, and ready, before."""
    if tool == "art":
        import art

        repo = art.init(folder)
        repo.save(value[:10].copy(), "small")
        return lambda: repo.save(value, "object")
    path = folder / "object"
    if tool == "pandas":
        value[:10].to_parquet(folder / "small")
        return lambda: value.to_parquet(path)
    import numpy

    def save() -> None:
        with path.open("wb") as file:
            numpy.save(file, value)
        subprocess.run(["sync", "-f", path], check=True)

    return save


def _memory(what: str) -> int:
    """Return bytes that the kernel tells of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


# --- the whole run --------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    if options.alone:
        kind, tool, elements, folder = options.alone
        alone(kind, tool, int(elements), Path(folder))
        return 0
    return told(options, _run)


def _run(options: argparse.Namespace, place: Path) -> str:
    bench = Bench(place, {}, options.rounds, options.repeats, options.scale)
    rounds = f"{bench.rounds} rounds, {bench.repeats} of `import art`, scale {bench.scale:g}"
    facts = {"run": rounds, **report.machine(place), **{name: _version(name) for name in PACKAGES}}
    objects = Objects(bench)
    outcomes = [
        bench.measured(row.name, row.work, row.unit, row.aims, partial(row.measure, objects))
        for row in map(ROWS.__getitem__, options.only)
    ]
    facts["load at the end"] = f"{os.getloadavg()[0]:.2f} (1 minute)"
    notes = [*CONDITIONS, *bench.notes]
    return report.section(outcomes, facts, notes, full_size=options.scale == 1)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare saving objects with their libraries.")
    add = parser.add_argument
    add("--only", type=names_from(ROWS), default=list(ROWS), help=f"rows: {','.join(ROWS)}")
    add("--rounds", type=int, default=5, help="measurements of each in a row (default: 5)")
    add("--repeats", type=int, default=31, help="measurements of `import art` (default: 31)")
    add("--scale", type=float, default=1.0, help="share of the full size; 0.01 to try it out")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    add("--output", type=Path, help="append the section of this run to this markdown file")
    add("--alone", nargs=4, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
