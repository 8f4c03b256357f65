"""Measure the peak memory of `art` on one very large file and on very many small ones."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import data
import report
import tools
from bench import say

LIMIT_MB = 300


@dataclass(frozen=True)
class Case:
    """A payload and how it is made at `path`."""

    name: str
    title: str
    make: Callable[[Path], None]


@dataclass(frozen=True)
class Usage:
    """What one run of the program took; its own memory, or that of its largest child process."""

    case: str
    command: str
    seconds: float
    peak_mb: float
    exit_code: int


def main(words: Sequence[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _parser().parse_args(words)
    binary = tools.find({"art": options.art}).get("art")
    if not binary:
        say(f"{options.art} is missing")
        return 1
    usages = []
    for case in _cases(options):
        place = Path(tempfile.mkdtemp(prefix="art-memory-", dir=options.dir))
        try:
            usages += _measure(binary, case, place, get=options.get)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    sys.stdout.write("\n".join(_table(usages, Path(options.dir or tempfile.gettempdir()))) + "\n")
    return 0 if all(usage.exit_code == 0 for usage in usages) else 1


def _cases(options: argparse.Namespace) -> list[Case]:
    size = round(options.gb * 1e9)

    def one_file(path: Path) -> None:
        if options.random:
            data.random_file(path, size, seed="memory")
        else:
            data.sparse_file(path, size)

    kind = "random" if options.random else "sparse"
    cases = [
        Case("file", f"one {kind} file of {options.gb:g} GB", one_file),
        Case(
            "files",
            f"a folder of {options.files:,} small files",
            lambda path: data.small_files(path, options.files),
        ),
    ]
    return [case for case in cases if options.only in (None, case.name)]


def _measure(binary: str, case: Case, place: Path, *, get: bool) -> list[Usage]:
    """Run the commands one after the other; stop after one that fails."""
    source, repository, home = place / "source", place / "repository", place / "home"
    home.mkdir()
    env = tools.environment(home)
    say(f"making {case.title}")
    case.make(source)
    tools.run([binary, "init", repository], cwd=place, env=env)
    commands = {
        "create": ["create", "payload", str(source)],
        "create, nothing changed": ["create", "payload", str(source)],
    }
    if get:
        commands["get"] = ["get", "payload", str(place / "output")]
    usages = []
    for command, words in commands.items():
        say(f"  {command}")
        usages.append(_run([binary, "-C", str(repository), *words], env, case.title, command))
        if usages[-1].exit_code:
            break
    return usages


def _run(words: Sequence[str], env: dict[str, str], case: str, command: str) -> Usage:
    began = time.perf_counter()
    process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    # wait4 gives this child's own figures; getrusage mixes all children there ever were.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    return Usage(case, command, seconds, usage.ru_maxrss * 1024 / 1e6, process.returncode)


def _table(usages: Sequence[Usage], place: Path) -> list[str]:
    head = ["payload", "command", "time", "peak memory", "aim", "reached"]
    rows = [head, ["---"] * len(head)]
    for usage in usages:
        reached = "yes" if usage.peak_mb < LIMIT_MB else "no"
        said = f"failed with {usage.exit_code}" if usage.exit_code else reached
        cells = [usage.case, usage.command, f"{usage.seconds:.1f} s", f"{usage.peak_mb:.0f} MB"]
        rows.append([*cells, f"< {LIMIT_MB} MB", said])
    facts = (f"- {name}: {fact}" for name, fact in report.machine(place).items())
    return [f"| {' | '.join(row)} |" for row in rows] + ["", *facts]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure the peak memory of art.")
    add = parser.add_argument
    add("--art", metavar="PROGRAM", default="art", help="default: the one on the PATH")
    add("--only", choices=("file", "files"), help="one of the two payloads")
    add("--gb", type=float, default=20, help="size of the file (default: 20)")
    add("--random", action="store_true", help="fill the file with random bytes; needs twice --gb")
    add("--files", type=int, default=1_000_000, help="how many small files (default: 1,000,000)")
    add("--get", action="store_true", help="also take the version out again, which needs room")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
