"""Runs of pipelines and steps, as their records tell, and those that go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any
from uuid import UUID

from art import NotFoundError, UsageError, Version
from art.compat import name_of, repository
from art.compat.errors import also, both
from art.compat.zenml.artifacts import ArtifactVersion, is_uuid
from art.compat.zenml.context import DATE, TIME, Going, current_pipeline, current_step, moment
from art.records import PastRun


class ExecutionStatus(str, Enum):
    """How far a run is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CACHED = "cached"

    @property
    def is_finished(self) -> bool:
        """Whether it has ended."""
        return self is not ExecutionStatus.RUNNING

    @property
    def is_successful(self) -> bool:
        """Whether it has ended without an error."""
        return self in (ExecutionStatus.COMPLETED, ExecutionStatus.CACHED)

    @property
    def is_failed(self) -> bool:
        """Whether it has ended with an error."""
        return self is ExecutionStatus.FAILED


class Outputs(ArtifactVersion):
    """What a step made under one name: the version, and a list of all that it saved under that name."""

    def __init__(self, stored: Version, every: list[ArtifactVersion]) -> None:
        super().__init__(stored)
        self._every = every

    def __len__(self) -> int:
        return len(self._every)

    def __iter__(self) -> Iterator[ArtifactVersion]:
        return iter(self._every)

    def __getitem__(self, position: int) -> ArtifactVersion:
        return self._every[position]


@dataclass(frozen=True)
class Configuration:
    """What a run was told."""

    parameters: Mapping[str, Any]


class _Run:
    """What runs of pipelines and of steps have in common. `stored` is what art knows of it."""

    def __init__(self, stored: PastRun) -> None:
        self.stored = stored

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.status.value}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Run) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def name(self) -> str:
        """Its name."""
        raise NotImplementedError

    @property
    def id(self) -> UUID:
        """The id of the run."""
        return UUID(self.stored.id)

    @property
    def status(self) -> ExecutionStatus:
        """How far it is."""
        return ExecutionStatus.CACHED if self.stored.cached else ExecutionStatus(self.stored.status)

    @property
    def config(self) -> Configuration:
        """What it was told: `config.parameters`."""
        return Configuration(self.stored.params)

    @property
    def start_time(self) -> datetime:
        """When it began."""
        return moment(self.stored.started)

    @property
    def end_time(self) -> datetime | None:
        """When it ended, None while it goes on."""
        return moment(self.stored.ended) if self.status.is_finished else None

    @property
    def run_metadata(self) -> dict[str, Any]:
        """What was logged of it."""
        return dict(self.stored.document.get("metadata") or {})


class StepRun(_Run):
    """One call of a step."""

    @property
    def name(self) -> str:
        """The name of the step, or the id that the call was given."""
        return str(self.stored.step)

    @cached_property
    def _worker(self) -> PastRun:
        """The run that did the work: itself, or the one whose outputs it gave."""
        if self.stored.cached:
            with contextlib.suppress(NotFoundError):
                return repository().get_run(self.stored.cached)
        return self.stored

    @property
    def run_metadata(self) -> dict[str, Any]:
        """What was logged of it, also where it was found again."""
        return dict(self._worker.document.get("metadata") or {})

    @cached_property
    def outputs(self) -> dict[str, Outputs]:
        """What it made, by name: what it returned, then what it saved besides."""
        results = self.stored.document.get("results") or {}
        found: dict[str, Version] = {}
        for name, version in self.stored.outputs.items():
            is_named = name in results and "{" not in name
            found[name if is_named else name_of(version)] = version
        every: dict[str, list[ArtifactVersion]] = {name: [] for name in found}
        for version in self.stored.made:
            each = ArtifactVersion(version)
            name = next((name for name, one in found.items() if one == version), each.name)
            every.setdefault(name, []).append(each)
        return {
            name: Outputs(version, every[name] or [ArtifactVersion(version)])
            for name, version in found.items()
        }

    @property
    def output(self) -> Outputs:
        """Its only output. Raise UsageError where it has none or several."""
        self._check_one("outputs", self.outputs)
        return next(iter(self.outputs.values()))

    @cached_property
    def inputs(self) -> dict[str, ArtifactVersion]:
        """What it was given, by the names of its arguments; what it read by itself by its own name."""
        given: Mapping[str, list[str]] = self._worker.document.get("arguments") or {}
        left = {version.id: ArtifactVersion(version) for version in self.stored.inputs}
        named = {name: left[ids[0]] for name, ids in given.items() if len(ids) == 1}
        for version in named.values():
            left.pop(version.stored.id, None)
        return named | {version.name: version for version in left.values()}

    @property
    def input(self) -> ArtifactVersion:
        """Its only input. Raise UsageError where it has none or several."""
        self._check_one("inputs", self.inputs)
        return next(iter(self.inputs.values()))

    def _check_one(self, what: str, found: Mapping[str, Any]) -> None:
        if len(found) != 1:
            hint = ", ".join(found) or None
            raise UsageError(f"step {self.name} has {len(found)} {what}", hint=hint)


class PipelineRun(_Run):
    """One run of a pipeline."""

    @property
    def name(self) -> str:
        """The name that it was given, else the pipeline's and when it began."""
        title = self.stored.document.get("title")
        return str(title) if title else f"{self.stored.name}-{self.start_time:{DATE}-{TIME}}"

    @property
    def status(self) -> ExecutionStatus:
        """How far it is; cached, where all of its steps were."""
        status = ExecutionStatus(self.stored.status)
        if status is ExecutionStatus.COMPLETED:
            steps = self.stored.steps.values()
            if steps and all(step.cached for step in steps):
                return ExecutionStatus.CACHED
        return status

    @property
    def steps(self) -> dict[str, StepRun]:
        """Its steps that have ended, by their ids, in order."""
        return {name: StepRun(each) for name, each in self.stored.steps.items()}

    @property
    def pipeline(self) -> PipelineRecord:
        """The pipeline."""
        return PipelineRecord(self.stored.name)


@dataclass(frozen=True)
class PipelineRecord:
    """A pipeline that was run."""

    name: str

    @property
    def runs(self) -> list[PipelineRun]:
        """Its runs, newest first; the one that goes on, too."""
        going = _going()
        first = [going] if going and going.stored.name == self.name else []
        return [*first, *runs(self.name)]

    @property
    def last_run(self) -> PipelineRun:
        """Its newest run. Raise NotFoundError where there is none."""
        return self._first(self.runs, "run")

    @property
    def last_successful_run(self) -> PipelineRun:
        """Its newest run that ended without an error. Raise NotFoundError where there is none."""
        found = [run for run in self.runs if run.status.is_successful]
        return self._first(found, "successful run")

    def _first(self, found: list[PipelineRun], what: str) -> PipelineRun:
        if not found:
            raise both(NotFoundError, RuntimeError)(
                f"pipeline {self.name} has no {what}", hint="art runs"
            )
        return found[0]


def runs(pipeline: str | None = None) -> Iterator[PipelineRun]:
    """Yield the runs of pipelines that have ended, or of one pipeline, newest first."""
    for each in repository().runs(pipeline):
        if not each.step:
            yield PipelineRun(each)


@also(KeyError, NotFoundError)
def find_run(name_id_or_prefix: str | UUID) -> PipelineRun:
    """Return a run of a pipeline by its id, its name or what that begins with, the newest; also the one
    that goes on. Raise NotFoundError, which is a KeyError here."""
    wanted, going = str(name_id_or_prefix), _going()
    if going and wanted in (str(going.id), going.name):
        return going
    if is_uuid(wanted):
        return PipelineRun(repository().get_run(wanted))
    begun = []
    for run in runs():
        if run.name == wanted:
            return run
        if run.name.startswith(wanted):
            begun.append(run)
    if not begun:
        raise NotFoundError(f"there is no run {wanted!r} of a pipeline", hint="art runs")
    return begun[0]


@also(KeyError, NotFoundError)
def find_step_run(id: str | UUID) -> StepRun:
    """Return a run of a step by its id. Raise NotFoundError, which is a KeyError here."""
    step = current_step()
    if step and str(id) == step.run.id:
        return StepRun(going(step.run))
    return StepRun(repository().get_run(str(id)))


def going(run: Going) -> PastRun:
    """Return what the record of a run that goes on would say now."""
    repo = repository()
    document = {
        **run.about,
        "uid": run.id,
        "created": run.about["started"],
        "status": "running",
        "inputs": run.inputs,
        "outputs": run.outputs,
        "steps": run.steps,
        **run.ended,
    }

    def find(noted: dict[str, Any]) -> Version:
        key = noted.get("key")
        return repo.version(f"{key}@{noted['id']}" if key else noted["id"])

    return PastRun(document, find, repo.get_run)


def _going() -> PipelineRun | None:
    pipeline = current_pipeline()
    return PipelineRun(going(pipeline.run)) if pipeline else None
