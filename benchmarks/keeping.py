"""Compare `art` with restic in what keeps a repository: gc, fsck, and planning what to prune.

`python benchmarks/keeping.py --help` shows the options; README.md in this folder says what it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import data
import report
import server
import tools
from bench import SETTLING_SECONDS, Bench, Samples
from local import names_from, told
from remote_tools import Place, RemoteArt, RemoteRestic
from report import Aim, Faster, Times, Within
from tools import TOOLS, Tool, ToolError

FILES = 20_000
VERSIONS = 100
PRUNED = 100_000
COMPARED = ("art", "restic")
POLICIES: dict[str, tuple[str, ...]] = {
    "last": ("--keep-last", "10"),
    "daily": ("--keep-daily", "7"),
    "mixed": (
        *("--keep-last", "10", "--keep-within", "7d", "--keep-daily", "7"),
        *("--keep-weekly", "4", "--keep-monthly", "12"),
    ),
    "unreferenced": ("--unreferenced", "--older-than", "30d"),
}
CONDITIONS = (
    "medians of the rounds; the tools alternate within each round, a different one first each time",
    "each command is started anew; before it everything is flushed and the repository read into the"
    " page cache",
    "gc: nothing is to be done, as `art gc` and `restic prune` had run before",
    "what `art fsck` remembers of earlier checks is removed before each, but where it says again",
    "prune: the whole command with `--dry-run`, its 100,000 lines of output written to a pipe",
    "restic's repository comes to S3 as it is here, file by file, and its cache is warm",
)


@dataclass
class Keeping:
    """A run, and the repositories that its rows share, each made when it is first asked for."""

    bench: Bench
    server: str | None
    stack: contextlib.ExitStack
    histories: dict[str, dict[str, Tool]] = field(default_factory=dict)
    manifests: dict[str, Path] = field(default_factory=dict)

    def history(self) -> dict[str, Tool]:
        """Return repositories with many versions of many files, each another 1 % rewritten."""
        if "here" not in self.histories:
            self.histories["here"] = self._make_history()
        return self.histories["here"]

    def _make_history(self) -> dict[str, Tool]:
        source = self._new_folder() / "files"
        count = self.bench.scaled(FILES)
        data.many_files(source, count)
        made = {name: self.bench.start(name, source) for name in self.bench.here(COMPARED)}
        for edition in range(min(VERSIONS, self.bench.scaled(VERSIONS * 10))):
            if edition:
                data.change_files(source, count, edition=edition)
                time.sleep(0.05)
            for tool in made.values():
                tool.create()
        for name, tool in made.items():
            collect(name, tool)
        time.sleep(SETTLING_SECONDS)
        return made

    def at(self, kind: str) -> dict[str, Tool]:
        """Return the same with remotes: `folder` or `s3`."""
        if kind not in self.histories:
            there = self._folder() if kind == "folder" else self._s3()
            self.histories[kind] = there
        return self.histories[kind]

    def _folder(self) -> dict[str, Tool]:
        """A repository of restic is in a folder already."""
        found = dict(self.history())
        if "art" in found:
            found["art"] = self._pushed(Place(None, str(self._new_folder())), "folder")
        return found

    def _s3(self) -> dict[str, Tool]:
        if not self.server:
            raise ToolError("no S3 server is installed: pip install ministack")
        there = self.stack.enter_context(server.serving(self.server, self._new_folder()))
        found: dict[str, Tool] = {}
        for name, old in self.history().items():
            place = Place(there.endpoint, f"{there.bucket}/{name}")
            if name == "art":
                found[name] = self._pushed(place, "s3")
            else:
                _upload(old.repository, f"{there.endpoint}/{place.path}")
                tool = RemoteRestic(old.binary, old.place, old.source, place)
                url = f"s3:{place.endpoint}/{place.path}"
                tool.env |= {"RESTIC_PASSWORD": "benchmark", "RESTIC_REPOSITORY": url}
                tool.call("check")  # fills its cache
                found[name] = tool
        return found

    def _pushed(self, there: Place, remote: str) -> Tool:
        old = self.history()["art"]
        tool = RemoteArt(old.binary, old.place, old.source, there)
        repository = tool.repository.parent
        tool.call("-C", repository, "remote", "add", remote, there.url)
        tool.call("-C", repository, "push", "--remote", remote)
        return tool

    def repository(self, keys: int) -> Path:
        """Return a repository with 100,000 versions in all, in so many keys."""
        name = f"keys-{keys}"
        if name not in self.manifests:
            binary = self.bench.binaries["art"]
            folder = self._new_folder() / name
            maker = Path(__file__).with_name("repositories.py")
            count = self.bench.scaled(PRUNED)
            words = ["--art", binary, "--every", "240", "--keys", str(keys), "versions"]
            make = [tools.python_of(binary), maker, *words, folder, str(count)]
            tools.run(make, cwd=self.bench.place, env=tools.environment(self.bench.place))
            time.sleep(SETTLING_SECONDS)
            self.manifests[name] = folder
        return self.manifests[name]

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.bench.place))


def collect(name: str, tool: Tool, *words: str) -> None:
    if name == "art":
        tool.call("-C", tool.repository.parent, "gc", "--yes", *words)
    else:
        tool.call("prune")


def check(name: str, tool: Tool) -> None:
    if name == "art":
        tool.call("-C", tool.repository.parent, "fsck", "--data")
    else:
        tool.call("check", "--read-data")


@dataclass(frozen=True)
class Row:
    """A row of the table; the work is described at full size."""

    name: str
    work: str
    measure: Callable[[Keeping], Samples]
    aims: tuple[Aim, ...] = ()


def gc_same(keeping: Keeping) -> Samples:
    return _alternate(keeping, keeping.history(), collect)


def gc_remote(kind: str) -> Callable[[Keeping], Samples]:
    """Return what measures `gc` at a remote."""

    def step(name: str, tool: Tool) -> None:
        collect(name, tool, *(("--remote", kind) if name == "art" else ()))

    return lambda keeping: _alternate(keeping, keeping.at(kind), step, uncounted=1)


def fsck_data(keeping: Keeping) -> Samples:
    return _alternate(keeping, keeping.history(), check, before=_forget)


def fsck_again(keeping: Keeping) -> Samples:
    return _alternate(keeping, keeping.history(), check, uncounted=1)


def _forget(name: str, tool: Tool) -> None:
    if name == "art":
        (tool.repository / "sync" / "fsck.json").unlink(missing_ok=True)


def _alternate(
    keeping: Keeping,
    found: dict[str, Tool],
    work: Callable[[str, Tool], None],
    *,
    before: Callable[[str, Tool], None] = lambda name, tool: None,
    uncounted: int = 0,
) -> Samples:
    def step(name: str) -> float:
        tool = found[name]
        before(name, tool)
        os.sync()
        if tool.repository.exists():
            data.warm(tool.repository)
        began = time.perf_counter()
        work(name, tool)
        return time.perf_counter() - began

    if uncounted:
        keeping.bench.alternate(found, step, rounds=uncounted)
    return keeping.bench.alternate(found, step)


def prune_plan(keys: int, policy: tuple[str, ...]) -> Callable[[Keeping], Samples]:
    """Return what measures planning by a policy, in a repository with so many keys."""

    def measure(keeping: Keeping) -> Samples:
        bench = keeping.bench
        binary = bench.binaries.get("art")
        if binary is None:
            return {}
        env = tools.environment(bench.place)
        words = [binary, "-C", str(keeping.repository(keys)), "prune", "**", *policy, "--dry-run"]

        def step(_: str) -> float:
            began = time.perf_counter()
            tools.run(words, cwd=bench.place, env=env)
            return time.perf_counter() - began

        bench.alternate(["art"], step, rounds=1)  # builds the index
        return bench.alternate(["art"], step)

    return measure


def _rows() -> list[Row]:
    many = f"{FILES:,} files in {VERSIONS} versions"
    rows = [
        Row("gc-same", f"gc with nothing to do, {many}", gc_same, (Times(1.5, ("restic",)),)),
        Row(
            "gc-same-folder", f"the same at a remote that is a folder, {many}", gc_remote("folder")
        ),
        Row("gc-same-s3", f"the same at S3, {many}", gc_remote("s3")),
        Row("fsck-data", f"every byte checked, {many}", fsck_data, (Faster(3, "restic"),)),
        Row("fsck-data-again", "the same again", fsck_again),
    ]
    for keys, what in ((1, "one key with 100,000 versions"), (1000, "1,000 keys with 100 each")):
        for name, policy in POLICIES.items():
            work = f"`prune {' '.join(policy)}`: {what}"
            measure = prune_plan(keys, policy)
            rows.append(Row(f"prune-{keys}-{name}", work, measure, (Within(2),)))
    return rows


ROWS = {row.name: row for row in _rows()}


def main(words: Sequence[str] | None = None) -> int:
    return told(_parser().parse_args(words), _run)


def _run(options: argparse.Namespace, place: Path) -> str:
    chosen = {name: getattr(options, name) for name in COMPARED if getattr(options, name)}
    binaries = {k: v for k, v in tools.find(chosen).items() if k in COMPARED}
    bench = Bench(place, binaries, options.rounds, 0, options.scale)
    facts = {"run": f"{bench.rounds} rounds, scale {bench.scale:g}", **report.machine(place)}
    for name in COMPARED:
        binary = binaries.get(name)
        home = place / "home"
        facts[name] = tools.version(TOOLS[name], binary, home) if binary else "missing, skipped"
    program = server.find(options.server)
    facts["server"] = Path(program).name if program else "none"
    with contextlib.ExitStack() as stack:
        keeping = Keeping(bench, program, stack)
        outcomes = [
            bench.measured(row.name, row.work, "s", row.aims, partial(row.measure, keeping))
            for row in map(ROWS.__getitem__, options.only)
        ]
    facts["load at the end"] = f"{os.getloadavg()[0]:.2f} (1 minute)"
    notes = [*CONDITIONS, *bench.notes]
    return report.section(outcomes, facts, notes, full_size=options.scale == 1)


def _upload(folder: Path, url: str) -> None:
    """Put every file below a folder to a server that asks for no signature."""
    for path in data.files_below(folder):
        name = path.relative_to(folder).as_posix()
        request = urllib.request.Request(f"{url}/{name}", path.read_bytes(), method="PUT")
        with urllib.request.urlopen(request, timeout=60):
            pass


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare keeping a repository: gc, fsck, prune.")
    add = parser.add_argument
    add("--only", type=names_from(ROWS), default=list(ROWS), help=f"rows: {','.join(ROWS)}")
    add("--rounds", type=int, default=3, help="measurements of each tool in a row (default: 3)")
    add("--scale", type=float, default=1.0, help="share of the full size; 0.01 to try it out")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    add("--output", type=Path, help="append the section of this run to this markdown file")
    add("--server", metavar="PROGRAM", help="ministack or moto_server (default: what is installed)")
    for name in COMPARED:
        add(f"--{name}", metavar="PROGRAM", help="default: the one on the PATH")
    return parser


if __name__ == "__main__":
    sys.exit(main())
