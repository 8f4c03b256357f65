"""Make large repositories and stores whose versions, or runs, say much of themselves: the same in both.

`art ROOT COUNT` writes manifests as FORMAT.md says, and needs `blake3`; `mlflow FILE COUNT` writes the
rows of MLflow's SQLite store, whose tables its own library has made there, with one run for each version.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

KEYS = 1000
WIDE, DEEP = "lineage/wide/start", "lineage/deep/start"
_HALF = 100  # versions that are made from each version of the first step; and versions in a layer
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
_REGIONS, _TYPES = ("asia", "eu", "us"), ("file", "model", "table")
_MODELS, _LABELS = ("forest", "linear", "resnet", "tree"), ("daily", "prod", "weekly", "x")


@dataclass(frozen=True)
class Facts:
    """What is said of one version, or run."""

    number: int
    key: str
    version: int
    type: str
    created: datetime
    title: str
    region: str
    day: str
    labels: tuple[str, str]
    model: str
    layers: int
    size: int
    rows: int
    acc: float
    loss: float

    @property
    def uid(self) -> str:
        return f"019aa5a8-1f2e-7000-8000-{self.number:012x}"


def facts(count: int, keys: int = KEYS) -> Iterator[Facts]:
    """Yield the same of so many versions each time; keys take turns."""
    chance = random.Random(6)
    for number in range(count):
        at = number % keys
        created = _START + timedelta(seconds=240 * number)
        yield Facts(
            number,
            f"{'models' if at % 2 else 'sales'}/part-{at // 100}/key-{at:04}",
            number // keys + 1,
            chance.choice(_TYPES),
            created,
            f"Report {number % 97} of the week",
            chance.choice(_REGIONS),
            f"{created:%Y-%m-%d}",
            tuple(sorted(chance.sample(_LABELS, 2))),  # type: ignore[arg-type]
            chance.choice(_MODELS),
            chance.randrange(100),
            chance.randrange(10**9),
            chance.randrange(10**6),
            chance.random(),
            chance.random(),
        )


# -- art ---------------------------------------------------------------------------------------------


def make_art(root: Path, count: int) -> None:
    """Add so many versions to a repository; a tenth of them, each time, is made in one of two ways from
    one version: in two wide steps, and in layers of 100 that go deep."""
    tenth = count // 10
    before: dict[str, str] = {}
    for said in facts(count - 2 * tenth):
        source = before.get(said.key)
        before[said.key] = write(
            root, said, [(said.key, said.version - 1, source)] if source else []
        )
    first = count - 2 * tenth
    _make_lineage(root, WIDE, first, tenth, lambda at: max(0, at // _HALF))
    _make_lineage(root, DEEP, first + tenth, tenth, lambda at: max(0, at - _HALF))


def _make_lineage(
    root: Path, start: str, first: int, count: int, source_of: Callable[[int], int]
) -> None:
    """Add versions of which the one at 0 is the first, and each other is made from another one."""
    found: list[tuple[str, int, str]] = []
    for at, said in enumerate(facts(count)):
        folder = start.rpartition("/")[0]
        key, version = (start, 1) if at == 0 else (f"{folder}/step-{at % 50}", (at - 1) // 50 + 1)
        known = {"number": first + at, "key": key, "version": version}
        made = Facts(**{**said.__dict__, **known})
        inputs = [found[source_of(at)]] if at else []
        found.append((key, version, write(root, made, inputs)))


def write(root: Path, said: Facts, inputs: Sequence[tuple[str, int, str]]) -> str:
    """Write the manifest of one version, and return its id."""
    from blake3 import blake3

    body = _manifest(said, inputs).encode()
    data = body + b"check: " + blake3(body).hexdigest()[:32].encode() + b"\n"
    path = root / ".art" / "manifests" / said.key / f"v{said.version:08d}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"b3:{blake3(data).hexdigest()}"


def _manifest(said: Facts, inputs: Sequence[tuple[str, int, str]]) -> str:
    made_of = "".join(f"- key: {key}\n  id: {id}\n  number: {n}\n" for key, n, id in inputs)
    digest = f"a{said.number:063x}"
    return f"""art: 1
uid: {said.uid}
key: {said.key}
type: {said.type}
created: '{said.created:%Y-%m-%dT%H:%M:%S.%fZ}'
author: ana@build-7
title: {said.title}
description: Sales per region, as they were known then.
metadata:
  rows: {said.rows}
  acc: {said.acc:.12f}
  model:
    name: {said.model}
    layers: {said.layers}
  loss: {said.loss:.12f}
labels:
- {said.labels[0]}
- {said.labels[1]}
partitions:
  region: {said.region}
  day: '{said.day}'
{"inputs:" if inputs else ""}
{made_of}run:
  id: 019aa5a8-1f2e-7001-8000-{said.number:012x}
  name: train
  step: fit
  command:
  - python
  - train.py
  - --epochs
  - '10'
  params:
    lr: 0.1
    epochs: 10
  git:
    commit: {digest[:40]}
    branch: main
  host: build-7
payload:
  tree: {digest}
  size: {said.size}
  files: 3
format:
  name: parquet
  columns:
  - id
  - region
  - value
""".replace("\n\n", "\n")


# -- MLflow ------------------------------------------------------------------------------------------


def make_mlflow(file: Path, count: int) -> None:
    """Add so many runs to the experiment 1 of a store, with what versions say as attributes, metrics,
    parameters and tags."""
    with sqlite3.connect(file) as database:
        for said in facts(count):
            _add_run(database, said)
        database.execute("ANALYZE")
    database.close()


def _add_run(database: sqlite3.Connection, said: Facts) -> None:
    run, when = said.uid.replace("-", ""), int(said.created.timestamp() * 1000)
    database.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, "
        "start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
        "VALUES (?, ?, 'UNKNOWN', '', '', 'ana', 'FINISHED', ?, ?, '', 'active', ?, 1)",
        (run, said.title, when, when, f"mlflow-artifacts:/1/{run}"),
    )
    numbers = {"rows": said.rows, "acc": said.acc, "loss": said.loss, "size": said.size}
    for name, value in numbers.items():
        database.execute(
            "INSERT INTO metrics (key, value, timestamp, run_uuid) VALUES (?, ?, ?, ?)",
            (name, value, when, run),
        )
        database.execute(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
            "VALUES (?, ?, ?, 0, 0, ?)",
            (name, value, when, run),
        )
    params = {"model": said.model, "layers": said.layers, "lr": 0.1, "epochs": 10}
    labels = {f"label.{label}": "1" for label in said.labels}
    tags = {"key": said.key, "type": said.type, "region": said.region, "day": said.day, **labels}
    tags["mlflow.runName"] = said.title  # where its search looks for the name
    for table, texts in (("params", params), ("tags", tags)):
        database.executemany(
            f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)",
            [(name, str(value), run) for name, value in texts.items()],
        )


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make versions, or runs, that say much.")
    parser.add_argument("kind", choices=("art", "mlflow"))
    parser.add_argument("place", type=Path, help="a repository, or the file of a store")
    parser.add_argument("count", type=int)
    options = parser.parse_args(words)
    make = make_art if options.kind == "art" else make_mlflow
    make(options.place, options.count)
    os.sync()
    return 0


if __name__ == "__main__":
    sys.exit(main())
