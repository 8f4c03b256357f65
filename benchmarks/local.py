"""Compare `art` with the tools a user would take instead, side by side on one machine.

`python benchmarks/local.py --help` shows the options; README.md in this folder says what it needs.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import report
import rows
import tools
from bench import Bench, say
from report import Outcome
from tools import TOOLS, ToolError

ROWS = {row.name: row for row in rows.ROWS}
CONDITIONS = (
    "medians of the rounds; the tools alternate within each round, a different one first each time",
    "before each measurement everything is flushed and the source read into the page cache",
    "`sync -f` flushes the file system that holds the copy; after the other tools nothing is"
    " flushed, so that their figures hold what they make durable themselves",
    "git without its background gc, restic and DVC with their defaults, borg without encryption",
    "bytes stored: the sum of the sizes of all files in the repository's folder",
)


def main(words: Sequence[str] | None = None) -> int:
    return told(_parser().parse_args(words), _run)


def _run(options: argparse.Namespace, place: Path) -> str:
    chosen = {name: getattr(options, name) for name in TOOLS if getattr(options, name)}
    binaries = {k: v for k, v in tools.find(chosen).items() if k in options.tools}
    bench = Bench(place, binaries, options.rounds, options.repeats, options.scale)
    facts = _facts(bench)
    outcomes = [_outcome(bench, ROWS[name]) for name in options.only]
    notes = [*CONDITIONS, *bench.notes]
    return report.section(outcomes, facts, notes, full_size=options.scale == 1)


def _outcome(bench: Bench, row: rows.Row) -> Outcome:
    """Measure a row in a folder of its own, which is taken away after."""
    say(f"{row.name}: {row.work}")
    folder = bench.place / row.name
    folder.mkdir()
    inside = replace(bench, place=folder, failed=set())
    try:
        samples = row.measure(inside)
    except ToolError as error:
        bench.notes.append(f"{row.name}: not measured: {error}")
        say(bench.notes[-1])
        samples = {"art": []}
    finally:
        tools.discard(folder)
    all_samples = {name: samples.get(name, []) for name in [*inside.failed, *samples]}
    outcome = Outcome(row.name, row.work, row.unit, row.aims, all_samples)
    medians = (f"{k} {report.shown(v, row.unit)}" for k, v in outcome.medians.items())
    say("  " + ", ".join(medians))
    return outcome


def _facts(bench: Bench) -> dict[str, str]:
    facts = report.machine(bench.place)
    for name in TOOLS:
        binary = bench.binaries.get(name)
        said = (
            tools.version(TOOLS[name], binary, bench.place / "home")
            if binary
            else "missing, skipped"
        )
        facts[name] = said
    rounds = f"{bench.rounds} rounds, {bench.repeats} of each start-up, scale {bench.scale:g}"
    return {"run": rounds, **facts}


def told(options: argparse.Namespace, run: Callable[[argparse.Namespace, Path], str]) -> int:
    """Print what a run in a folder of its own found, and append it to a file where that is wanted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Path(tempfile.mkdtemp(prefix="art-benchmark-", dir=options.dir))
    try:
        text = run(options, place)
    except KeyboardInterrupt:
        return 130
    except ToolError as error:
        say(str(error))
        return 1
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sys.stdout.write(text)
    if options.output:
        append(options.output, text)
    return 0


def append(path: Path, text: str) -> None:
    old = path.read_text(encoding="utf-8") if path.exists() else "# Benchmark results\n\n"
    path.write_text(old + text, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare art with other tools, side by side.")
    add = parser.add_argument
    add("--only", type=names_from(ROWS), default=list(ROWS), help=f"rows: {','.join(ROWS)}")
    add("--tools", type=names_from(TOOLS), default=list(TOOLS), help=f"of {','.join(TOOLS)}")
    add("--rounds", type=int, default=5, help="measurements of each tool in a row (default: 5)")
    add("--repeats", type=int, default=31, help="measurements of each start-up (default: 31)")
    add("--scale", type=float, default=1.0, help="share of the full size; 0.01 to try it out")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    add("--output", type=Path, help="append the section of this run to this markdown file")
    for name in TOOLS:
        add(f"--{name}", metavar="PROGRAM", help="default: the one on the PATH")
    return parser


def names_from(known: Iterable[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return chosen

    return names


if __name__ == "__main__":
    sys.exit(main())
