"""Compare `art` with the tools a user would take instead, against one S3 server on this machine.

`python benchmarks/remote.py --help` shows the options; README.md in this folder says what it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import remote_rows
import report
import server
import tools
from bench import Samples, say
from local import names_from, told
from remote_rows import RemoteBench
from remote_tools import REMOTE_TOOLS, find
from report import Outcome
from server import Server
from tools import ToolError

ROWS = {row.name: row for row in remote_rows.ROWS}
CONDITIONS = (
    "medians of the rounds; the tools alternate within each round, a different one first each time",
    "before each measurement everything is flushed; before a push the source is read into the page"
    " cache",
    "push: `art push` (the version was made before), `dvc push` (added before), `restic backup`, which"
    " reads and packs as well, `rclone copy`, `s5cmd sync` (`cp` of a single file)",
    "clone and take out: `art clone` and `art get`; `restic restore` and `dvc pull` without a cache;"
    " `rclone copy`; `s5cmd cp`",
    "no TLS; server and client share the cores; all tools with their defaults",
    "a request waits in a proxy on this machine, which all tools go through in those rows alone",
)


def main(words: Sequence[str] | None = None) -> int:
    return told(_parser().parse_args(words), _run)


def _run(options: argparse.Namespace, place: Path) -> str:
    chosen = {name: getattr(options, name) for name in REMOTE_TOOLS if getattr(options, name)}
    binaries = {k: v for k, v in find(chosen).items() if k in options.tools}
    bench = RemoteBench(place, binaries, options.rounds, 0, options.scale)
    program = server.find(options.server)
    if not (program or options.endpoint):
        raise ToolError("no S3 server: --endpoint URL, or pip install ministack")
    facts = _facts(bench)
    facts["server"] = options.endpoint or Path(str(program)).name
    outcomes = []
    for name in options.only:
        outcomes += _outcomes(bench, ROWS[name], options, program)
    facts["load at the end"] = f"{os.getloadavg()[0]:.2f} (1 minute)"
    notes = [*CONDITIONS, *bench.notes]
    return report.section(outcomes, facts, notes, full_size=options.scale == 1)


def _outcomes(
    bench: RemoteBench, row: remote_rows.Row, options: argparse.Namespace, program: str | None
) -> list[Outcome]:
    """Measure a row in a folder and with a server of its own, which are taken away after."""
    say(f"{row.name}: {row.work} (load {os.getloadavg()[0]:.2f})")
    folder = bench.place / row.name
    folder.mkdir()
    inside = replace(bench, place=folder, failed=set(), peaks={}, requests={})
    samples: Samples = {"art": []}
    try:
        with _reached(inside, row.delay, options, program):
            samples = row.measure(inside)
    except ToolError as error:
        bench.notes.append(f"{row.name}: not measured: {error}")
        say(bench.notes[-1])
    finally:
        tools.discard(folder)
    all_samples = {name: samples.get(name, []) for name in [*inside.failed, *samples]}
    outcomes = row.outcomes(all_samples, inside)
    for outcome in outcomes:
        medians = (f"{k} {report.shown(v, outcome.unit)}" for k, v in outcome.medians.items())
        say(f"  {outcome.unit}: " + ", ".join(medians))
    return outcomes


@contextlib.contextmanager
def _reached(
    bench: RemoteBench, delay: float, options: argparse.Namespace, program: str | None
) -> Iterator[None]:
    """Let the bench know a server, and a proxy before it where requests are to wait."""
    with contextlib.ExitStack() as stack:
        if options.endpoint:
            found = Server(options.endpoint, options.bucket)
        else:
            assert program
            found = stack.enter_context(server.serving(program, bench.place))
        bench.endpoint, bench.bucket = found.endpoint, found.bucket
        if delay:
            bench.proxy = stack.enter_context(server.proxied(found))
            bench.endpoint, bench.delay = bench.proxy.endpoint, delay
        yield


def _facts(bench: RemoteBench) -> dict[str, str]:
    facts = report.machine(bench.place)
    for name, tool in REMOTE_TOOLS.items():
        binary = bench.binaries.get(name)
        home = bench.place / "home"
        said = tools.version(tool, binary, home) if binary else "missing, skipped"
        facts[name] = said
    return {"run": f"{bench.rounds} rounds, scale {bench.scale:g}", **facts}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare art with other tools at an S3 server.")
    add = parser.add_argument
    add("--only", type=names_from(ROWS), default=list(ROWS), help=f"rows: {','.join(ROWS)}")
    known = ",".join(REMOTE_TOOLS)
    add("--tools", type=names_from(REMOTE_TOOLS), default=list(REMOTE_TOOLS), help=f"of {known}")
    add("--rounds", type=int, default=3, help="measurements of each tool in a row (default: 3)")
    add("--scale", type=float, default=1.0, help="share of the full size; 0.01 to try it out")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    add("--output", type=Path, help="append the section of this run to this markdown file")
    add("--endpoint", metavar="URL", help="of an S3 server that runs (default: one is started)")
    add("--bucket", default=server.BUCKET, help="there; it must exist, and what is put there stays")
    add("--server", metavar="PROGRAM", help="ministack or moto_server (default: what is installed)")
    for name in REMOTE_TOOLS:
        add(f"--{name}", metavar="PROGRAM", help="default: the one on the PATH")
    return parser


if __name__ == "__main__":
    sys.exit(main())
