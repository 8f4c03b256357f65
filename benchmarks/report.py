"""What a run found, as markdown: aims, the table, the single measurements, the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Literal, Protocol

from tools import TOOLS

Medians = Mapping[str, float]
Unit = Literal["s", "bytes", "requests"]
_SYMBOLS: Mapping[Unit, str] = {"s": "s", "bytes": "MB", "requests": ""}
TITLES = {
    "art": "art",
    "art-create": "art create + push",
    **{name: tool.title for name, tool in TOOLS.items()},
    "dvc-create": "DVC add + push",
    "rclone": "rclone",
    "s5cmd": "s5cmd",
    "pandas": "pandas `to_parquet`",
    "numpy": "`np.save` and `sync`",
    "mlflow": "MLflow",
    "python": "python -c pass",
}
SHORT = {"cp": "cp", "git": "git", "dvc": "DVC", "mlflow": "MLflow", "python": "python -c pass"}
SHORT |= {"pandas": "to_parquet", "numpy": "np.save"}
SHORT |= {"art-create": "create + push", "dvc-create": "DVC add + push"}


class Aim(Protocol):
    """What `art` is to reach in a row; `reached` is None where a tool it needs was not measured."""

    @property
    def text(self) -> str: ...
    def reached(self, medians: Medians) -> bool | None: ...


@dataclass(frozen=True)
class Within:
    """At most so many seconds."""

    seconds: float

    @property
    def text(self) -> str:
        return f"≤ {self.seconds:g} s"

    def reached(self, medians: Medians) -> bool | None:
        return medians["art"] <= self.seconds if "art" in medians else None


@dataclass(frozen=True)
class Times:
    """At most so many times what the best of the named tools takes."""

    factor: float
    tools: tuple[str, ...]

    @property
    def text(self) -> str:
        names = " and ".join(short(tool) for tool in self.tools)
        better = f"the better of {names}" if len(self.tools) > 1 else names
        return f"≤ {self.factor:g}x of {better}"

    def reached(self, medians: Medians) -> bool | None:
        if not {"art", *self.tools} <= medians.keys():
            return None
        return medians["art"] <= self.factor * min(medians[tool] for tool in self.tools)


@dataclass(frozen=True)
class Faster:
    """At least so many times faster than the tool, in what is measured as `own`."""

    factor: float
    tool: str
    own: str = "art"

    @property
    def text(self) -> str:
        what = "" if self.own == "art" else f"{short(self.own)} "
        return f"{what}≥ {self.factor:g}x faster than {short(self.tool)}"

    def reached(self, medians: Medians) -> bool | None:
        if not {self.own, self.tool} <= medians.keys():
            return None
        return medians[self.tool] >= self.factor * medians[self.own]


@dataclass(frozen=True)
class Below:
    """At most so many requests or bytes."""

    limit: int
    unit: Unit

    @property
    def text(self) -> str:
        return f"≤ {shown(self.limit, self.unit)}"

    def reached(self, medians: Medians) -> bool | None:
        return medians["art"] <= self.limit if "art" in medians else None


@dataclass(frozen=True)
class Outcome:
    """The measurements of one row: tool to values, in the order of the rounds."""

    name: str
    work: str
    unit: Unit
    aims: tuple[Aim, ...]
    samples: Mapping[str, Sequence[float]]

    @property
    def medians(self) -> dict[str, float]:
        return {tool: median(values) for tool, values in self.samples.items() if values}


def shown(value: float, unit: Unit) -> str:
    return f"{_bare(value, unit)} {_SYMBOLS[unit]}".rstrip()


def short(tool: str) -> str:
    return SHORT.get(tool, tool)


def section(
    outcomes: Sequence[Outcome], facts: Mapping[str, str], notes: Sequence[str], *, full_size: bool
) -> str:
    """Return the markdown section of one run."""
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    parts = [f"## {when}", *table(outcomes, full_size=full_size), ""]
    parts += [f"- {name}: {fact}" for name, fact in facts.items()]
    parts += [f"- {note}" for note in notes]
    return "\n".join([*parts, "", *measurements(outcomes), ""])


def table(outcomes: Sequence[Outcome], *, full_size: bool) -> list[str]:
    """Return the lines of the table; the aims are judged at full size only."""
    tools = [tool for tool in TITLES if any(tool in outcome.samples for outcome in outcomes)]
    tools = ["art", *(tool for tool in tools if tool != "art")]
    head = ["work", *(TITLES[tool] for tool in tools), "ratio", "aim", "reached"]
    rows = [head, ["---"] * len(head)]
    for outcome in outcomes:
        cells = [_cell(outcome, tool) for tool in tools]
        aims = "; ".join(aim.text for aim in outcome.aims)
        judged = _verdict(outcome) if full_size else "not at this scale"
        rows.append([outcome.work, *cells, _ratios(outcome), aims, judged])
    return ["", *(f"| {' | '.join(row)} |" for row in rows)]


def measurements(outcomes: Sequence[Outcome]) -> list[str]:
    """Return every single measurement, so that the spread can be seen."""
    lines = ["Every measurement, in the order of the rounds:", "", "```"]
    for outcome in outcomes:
        for tool, values in outcome.samples.items():
            shown = " ".join(_bare(value, outcome.unit) for value in values) or "none"
            lines.append(f"{outcome.name:<17} {short(tool):<14} {shown}")
    return [*lines, "```"]


def machine(place: Path) -> dict[str, str]:
    """Return what the figures depend on, for work in the folder `place`."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    model = _after_colon(_cpu_line("model name")) or platform.processor()
    sha = "with" if "sha_ni" in _cpu_line("flags") else "without"
    return {
        "CPU": f"{model}, {len(os.sched_getaffinity(0))} cores, {sha} SHA instructions",
        "memory": f"{memory_gb:.1f} GB",
        "file system": file_system(place),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "load at the start": f"{os.getloadavg()[0]:.2f} (1 minute)",
    }


def file_system(place: Path) -> str:
    """Return the type and mount options of the file system that `place` lies on."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, kind, options = line.split()[:4]
        if place.resolve().is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, f"{kind} ({options})")
    return best[1]


def _cpu_line(field: str) -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line.startswith(field)), "")


def _after_colon(line: str) -> str:
    return line.partition(":")[2].strip()


def _cell(outcome: Outcome, tool: str) -> str:
    if tool not in outcome.samples:
        return "missing" if tool == "art" else "-"
    if tool not in outcome.medians:
        return "failed"
    return shown(outcome.medians[tool], outcome.unit)


def _bare(value: float, unit: Unit) -> str:
    if unit == "requests":
        return f"{value:,.0f}"
    return f"{value / 1e6:,.1f}" if unit == "bytes" else f"{value:.3f}"


def _ratios(outcome: Outcome) -> str:
    medians = outcome.medians
    if "art" not in medians:
        return "-"
    others = (tool for tool in medians if tool not in ("art", "art-create"))
    return "; ".join(_ratio(outcome, medians["art"], tool) for tool in others) or "-"


def _ratio(outcome: Outcome, art: float, tool: str) -> str:
    other = outcome.medians[tool]
    below = {name for aim in outcome.aims if isinstance(aim, Times) for name in aim.tools}
    if tool in below or outcome.unit != "s" or art > other:
        return f"{art / other:.2f}x of {short(tool)}"
    return f"{other / art:.1f}x faster than {short(tool)}"


def _verdict(outcome: Outcome) -> str:
    verdicts = {aim.text: aim.reached(outcome.medians) for aim in outcome.aims}
    if all(verdicts.values()):
        return "yes"
    failed = [text for text, reached in verdicts.items() if reached is False]
    open_ = [text for text, reached in verdicts.items() if reached is None]
    said = [f"no: {', '.join(failed)}"] if failed else []
    return "; ".join(said + ([f"not measured: {', '.join(open_)}"] if open_ else []))
