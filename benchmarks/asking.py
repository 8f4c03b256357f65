"""Compare asking `art` with asking others: queries with MLflow's search, nothing to be done with `dvc repro`;
and measure lineage, building the index, and looking for what is new.

`python benchmarks/asking.py --help` shows the options; README.md in this folder says what it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import described
import report
import tools
from bench import SETTLING_SECONDS, Bench, Samples
from local import names_from, told
from report import Aim, Faster, Within
from tools import ToolError

VERSIONS = 100_000
PER_SECOND = 700  # manifests that each core is to take into the index
COMPARED = ("art", "dvc", "mlflow")
CONDITIONS = (
    "medians of the rounds; what is compared alternates within each round, another one first each time",
    f"{VERSIONS:,} versions of 1,000 keys and more, and as many runs in MLflow's SQLite store, filled"
    " directly, that have the same as metrics, parameters, tags and start time",
    "where-…: asked and answered in one process that had started before; MLflow: `MlflowClient.search_runs`"
    " with `max_results=20`, art: `Repo.query` with `limit=20`; the same order, the newest first where"
    " nothing else is said",
    "ls-… and count-…: the whole command, whose start is in it; start: the process up to where it can be"
    " asked, which for MLflow is not in where-…",
    "run-…: the whole command in the repository with all these versions; DVC: one stage with one"
    " dependency and one output, without git",
)


@dataclass(frozen=True)
class Question:
    """What is asked of both: a query of `art` and the filter of MLflow that means the same, if there is
    one; and in what order, by default the newest first."""

    what: str
    query: str
    filter: str | None = None
    sort: str = "created:desc"
    order: str = "start_time DESC"


_JUNE = 1780272000000  # 2026-06-01 in milliseconds
QUESTIONS = {
    "few": Question(
        "one number, 1 % of the versions", "metadata.acc >= 0.99", "metrics.acc >= 0.99"
    ),
    "most": Question(
        "one number, 90 % of the versions", "metadata.acc >= 0.1", "metrics.acc >= 0.1"
    ),
    "text": Question("one text, 25 %", "metadata.model.name = resnet", "params.model = 'resnet'"),
    "partition": Question("one partition, 33 %", "region = eu", "tags.region = 'eu'"),
    "several": Question(
        "seven conditions",
        "type = table and size > 1M and metadata.acc >= 0.5 and label = prod and "
        "region in (eu, us) and metadata.loss < 0.5 and created >= 2026-06-01",
        "tags.type = 'table' and metrics.size > 1000000 and metrics.acc >= 0.5 and "
        "tags.`label.prod` = '1' and tags.region != 'asia' and metrics.loss < 0.5 and "
        f"attributes.start_time >= {_JUNE}",
    ),
    "sorted": Question(
        "half of the versions, sorted by a number",
        "metadata.acc > 0.5",
        "metrics.acc > 0.5",
        "metadata.acc:desc",
        "metrics.acc DESC",
    ),
    "contains": Question(
        "part of a title", "title contains 'rt 7 of'", "attributes.run_name LIKE '%rt 7 of%'"
    ),
    "none": Question("nothing found", "metadata.absent = 3", "metrics.absent = 3"),
    "not": Question("a condition turned around", "not metadata.acc < 0.5"),
    "ten": Question("ten conditions", " and ".join(f"metadata.acc > 0.{at}" for at in range(10))),
    "or": Question(
        "three places", "format.name = csv or metadata.loss < 0.1 or partition.region = us"
    ),
    "run": Question("what the run says", "run.step = fit and run.git.branch = main"),
    "label": Question("two labels, 17 %", "label = weekly and label = prod"),
    "latest": Question("the latest of each key", "latest = true and created < now-30d"),
    "ancestor": Question("made from one version", f"ancestor = {described.WIDE}@v1"),
}


@dataclass
class Asking:
    """A run, and the repositories and processes that its rows share, each made when it is first asked for."""

    bench: Bench
    stack: contextlib.ExitStack
    is_cpu: bool
    made: dict[str, Path] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        quiet = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.bench.place / "site")}
        return (
            tools.environment(self.bench.place / "home")
            | quiet
            | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        )

    @property
    def count(self) -> int:
        return max(1000, self.bench.scaled(VERSIONS))

    def run(self, words: Sequence[str | Path], cwd: Path) -> float:
        """Run a command to its end; return its seconds, or those of a CPU that it and its children took."""
        before, began = os.times(), time.perf_counter()
        tools.run(words, cwd=cwd, env=self.env)
        seconds, after = time.perf_counter() - began, os.times()
        return _children(after) - _children(before) if self.is_cpu else seconds

    def repository(self) -> Path:
        """Return a repository of `art` with all versions, whose index is built."""
        if "art" not in self.made:
            folder = self._new_folder() / "repository"
            self.run([self.bench.binaries["art"], "init", folder], self.bench.place)
            self._describe("art", folder, tools.python_of(self.bench.binaries["art"]))
            time.sleep(SETTLING_SECONDS)
            self.art("ls", "--count", at=folder)
            self.made["art"] = folder
        return self.made["art"]

    def art(self, *words: str, at: Path | None = None) -> float:
        return self.run([self.bench.binaries["art"], *words], at or self.repository())

    def store(self) -> Path:
        """Return the file of a store of MLflow with as many runs."""
        if "mlflow" not in self.made:
            file = self._new_folder() / "mlflow.db"
            python = self.bench.binaries["mlflow"]
            make = (
                "import sys; from mlflow.tracking import MlflowClient; "
                "MlflowClient(sys.argv[1]).create_experiment('benchmark')"
            )
            self.run([python, "-c", make, f"sqlite:///{file}"], file.parent)
            self._describe("mlflow", file, sys.executable)
            self.made["mlflow"] = file
        return self.made["mlflow"]

    def _describe(self, kind: str, place: Path, python: str) -> None:
        maker = Path(__file__).with_name("described.py")
        self.run([python, maker, kind, place, str(self.count)], self.bench.place)

    def asker(self, name: str) -> list[str | Path]:
        """Return the command of a process that can be asked."""
        script = Path(__file__).with_name("asked.py")
        if name == "art":
            return [tools.python_of(self.bench.binaries["art"]), script, "art", self.repository()]
        return [self.bench.binaries["mlflow"], script, "mlflow", f"sqlite:///{self.store()}"]

    def ask(self, name: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask a process that was started before; return what it says."""
        if name not in self.processes:
            self.processes[name] = self.stack.enter_context(_talking(self.asker(name), self.env))
        return _answer(self.processes[name], question)

    def stage(self, name: str) -> Path:
        """Return a folder with a command whose output was made: for `art` in the large repository."""
        if f"stage-{name}" not in self.made:
            folder = self.repository() if name == "art" else self._new_folder()
            (folder / "raw.csv").write_bytes(b"region,value\n" + b"eu,12\n" * 100_000)
            if name == "dvc":
                self._start_dvc(folder)
            self.made[f"stage-{name}"] = folder
            self.repeat(name)
        return self.made[f"stage-{name}"]

    def _start_dvc(self, folder: Path) -> None:
        (folder / "dvc.yaml").write_text(
            "stages:\n  clean:\n    cmd: cp raw.csv clean.csv\n    deps: [raw.csv]\n"
            "    outs: [clean.csv]\n",
            encoding="utf-8",
        )
        for words in (("init", "--no-scm", "-q"), ("config", "core.analytics", "false")):
            self.run([self.bench.binaries["dvc"], *words], folder)
        self.run([self.bench.binaries["dvc"], "config", "core.check_update", "false"], folder)

    def repeat(self, name: str) -> float:
        """Have the output made by whoever has reason to."""
        folder = self.stage(name)
        if name == "dvc":
            return self.run([self.bench.binaries["dvc"], "repro"], folder)
        output = ("--depends", "raw.csv", "--out", "sales/clean=clean.csv")
        return self.art("run", *output, "--", "cp", "raw.csv", "clean.csv")

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.bench.place))


def _answer(process: subprocess.Popen[str], question: Mapping[str, Any]) -> Mapping[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    if not (line := process.stdout.readline()):
        raise ToolError(f"no answer to {question}")
    return json.loads(line)  # type: ignore[no-any-return]


def _children(times: os.times_result) -> float:
    return times.children_user + times.children_system


@contextlib.contextmanager
def _talking(
    words: Sequence[str | Path], env: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Start a process that can be asked; it has said that it is ready."""
    process = subprocess.Popen(
        [str(word) for word in words],
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise ToolError(f"{words[1]} {words[2]} does not start")
        yield process
    finally:
        process.kill()
        process.communicate()


# -- rows --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of the table; the work is described at full size."""

    name: str
    work: str
    measure: Callable[[Asking], Samples]
    aims: tuple[Aim, ...] = ()


def start(asking: Asking) -> Samples:
    """Measure up to where a process can be asked."""

    def step(name: str) -> float:
        words = asking.asker(name)
        before, began = os.times(), time.perf_counter()
        with _talking(words, asking.env):
            seconds = time.perf_counter() - began
        return _children(os.times()) - _children(before) if asking.is_cpu else seconds

    return asking.bench.alternate(asking.bench.here(("art", "mlflow")), step)


def whole(asking: Asking, question: Question) -> Samples:
    """Measure one question from the start of a process, or command, to its answer."""
    listed = ("ls", "-a", "--where", question.query, "--sort", question.sort, "--limit", "20")

    def step(name: str) -> float:
        if name == "art":
            return asking.art(*listed)
        before, began = os.times(), time.perf_counter()
        with _talking(asking.asker(name), asking.env) as process:
            _answer(process, {"query": question.filter, "sort": question.order})
            seconds = time.perf_counter() - began
        return _children(os.times()) - _children(before) if asking.is_cpu else seconds

    return asking.bench.alternate(asking.bench.here(("art", "mlflow")), step)


def where(asking: Asking, question: Question) -> Samples:
    """Measure a query in processes that have started."""
    asked = {
        "art": {"query": question.query, "sort": question.sort},
        "mlflow": {"query": question.filter, "sort": question.order},
    }
    names = asking.bench.here(["art", *(["mlflow"] if question.filter else [])])
    answers: dict[str, int] = {}

    def step(name: str) -> float:
        answer = asking.ask(name, asked[name])
        answers[name] = answer["found"]
        return float(answer["cpu" if asking.is_cpu else "seconds"])

    asking.bench.alternate(names, step, rounds=1)
    samples = asking.bench.alternate(names, step)
    if len(set(answers.values())) > 1:
        asking.bench.notes.append(f"where {question.what}: found {answers}, which is not the same")
    return samples


def command(asking: Asking, *words: str) -> Samples:
    """Measure a command in the large repository."""
    asking.bench.alternate(["art"], lambda _: asking.art(*words), rounds=1)
    return asking.bench.alternate(["art"], lambda _: asking.art(*words))


def rebuild(asking: Asking) -> Samples:
    """Measure the first question after the index was removed."""

    def step(_: str) -> float:
        (asking.repository() / ".art" / "index.sqlite").unlink()
        return asking.art("ls", "--count")

    samples = asking.bench.alternate(["art"], step, rounds=max(3, asking.bench.rounds // 3))
    rates = ", ".join(f"{asking.count / each:,.0f}" for each in samples["art"])
    asking.bench.notes.append(f"rebuild: {rates} manifests per second")
    return samples


def repeat(asking: Asking) -> Samples:
    """Measure that there is nothing to do."""
    names = asking.bench.here(("art", "dvc"))
    asking.bench.alternate(names, asking.repeat, rounds=1)
    return asking.bench.alternate(names, asking.repeat)


def watch(asking: Asking) -> Samples:
    """Measure one look for what is new, in a process that has started."""

    def step(_: str) -> float:
        answer = asking.ask("art", {"watch": "sales/**"})
        return float(answer["cpu" if asking.is_cpu else "seconds"])

    asking.bench.alternate(["art"], step, rounds=1)
    return asking.bench.alternate(["art"], step)


def _rows() -> list[Row]:
    rows = [Row("start", "a process up to where it can be asked", start)]
    for name, one in QUESTIONS.items():
        aims: tuple[Aim, ...] = (Within(0.3), *([Faster(3, "mlflow")] if one.filter else []))
        rows.append(Row(f"where-{name}", one.what, partial(where, question=one), aims))
    for name in ("few", "sorted"):
        one = QUESTIONS[name]
        work = f"the same from start to end, {one.what}"
        measure = partial(whole, question=one)
        rows.append(Row(f"whole-{name}", work, measure, (Within(0.3), Faster(3, "mlflow"))))
    for name, one in QUESTIONS.items():
        words = ("ls", "-a", "--where", one.query)
        listed = _command(*words, "--sort", one.sort, "--limit", "20")
        rows.append(Row(f"ls-{name}", f"`ls`, {one.what}", listed, (Within(0.3),)))
        counted = _command(*words, "--count")
        rows.append(Row(f"count-{name}", f"`ls --count`, {one.what}", counted, (Within(0.3),)))
    for name, ref, what in (
        ("lineage-wide", described.WIDE, "10,000 descendants in two steps"),
        ("lineage-deep", described.DEEP, "10,000 descendants in 100 layers"),
    ):
        work = f"`lineage --down`, {what}"
        rows.append(Row(name, work, _command("lineage", f"{ref}@v1", "--down"), (Within(1),)))
    cores = len(os.sched_getaffinity(0))
    allowed = Within(round(VERSIONS / PER_SECOND / cores, 1))
    work = f"index of {VERSIONS:,} manifests built anew, {PER_SECOND}/s on each of {cores} cores"
    rows.append(Row("rebuild", work, rebuild, (allowed,)))
    rows.append(
        Row("run-again", "`run` and nothing to do", repeat, (Within(0.3), Faster(3, "dvc")))
    )
    dry = _command("prune", "--keep-last", "10", "--dry-run")
    rows.append(Row("prune", f"`prune --dry-run` over {VERSIONS:,} versions", dry, (Within(2),)))
    rows.append(Row("watch", "`watch`: one look at 500 keys, nothing new", watch))
    return rows


def _command(*words: str) -> Callable[[Asking], Samples]:
    return lambda asking: command(asking, *words)


ROWS = {row.name: row for row in _rows()}


def main(words: Sequence[str] | None = None) -> int:
    return told(_parser().parse_args(words), _run)


def _run(options: argparse.Namespace, place: Path) -> str:
    chosen = {name: getattr(options, name) for name in ("art", "dvc") if getattr(options, name)}
    binaries = {k: v for k, v in tools.find(chosen).items() if k in COMPARED}
    if options.mlflow:
        binaries["mlflow"] = str(Path(options.mlflow).absolute())
    bench = Bench(place, binaries, options.rounds, 0, options.scale)
    measured = "CPU" if options.cpu else "wall"
    facts = {
        "run": f"{bench.rounds} rounds, scale {bench.scale:g}, {measured} time",
        **report.machine(place),
        **_versions(binaries, place),
    }
    with contextlib.ExitStack() as stack:
        asking = Asking(bench, stack, options.cpu)
        outcomes = [
            bench.measured(row.name, row.work, "s", row.aims, partial(row.measure, asking))
            for row in map(ROWS.__getitem__, options.only)
        ]
    facts["load at the end"] = f"{os.getloadavg()[0]:.2f} (1 minute)"
    notes = [*CONDITIONS, *bench.notes]
    return report.section(outcomes, facts, notes, full_size=options.scale == 1)


def _versions(binaries: Mapping[str, str], place: Path) -> dict[str, str]:
    home = place / "home"
    said = dict.fromkeys(COMPARED, "missing, skipped")
    for name, binary in binaries.items():
        if name == "mlflow":
            text = "import mlflow; print('mlflow', mlflow.__version__)"
            said[name] = tools.run(
                [binary, "-c", text], cwd=place, env=tools.environment(home)
            ).strip()
        else:
            said[name] = tools.version(tools.TOOLS[name], binary, home)
    return said


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare asking art with asking MLflow and DVC.")
    add = parser.add_argument
    add("--only", type=names_from(ROWS), default=list(ROWS), help=f"rows: {','.join(ROWS)}")
    add("--rounds", type=int, default=9, help="measurements of each tool in a row (default: 9)")
    add("--scale", type=float, default=1.0, help="share of the full size; 0.01 to try it out")
    add("--cpu", action="store_true", help="CPU time in place of wall time, on a busy machine")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    add("--output", type=Path, help="append the section of this run to this markdown file")
    add("--mlflow", metavar="PYTHON", help="the interpreter in which MLflow is installed")
    for name in ("art", "dvc"):
        add(f"--{name}", metavar="PROGRAM", help="default: the one on the PATH")
    return parser


if __name__ == "__main__":
    sys.exit(main())
