"""Launch plans, as Union has them: workflows with inputs, which are called for new versions of an artifact.

There is no service that would do that: `LaunchPlan.serve` waits, in a process that goes on.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from art import ArtError, Filter, UsageError, Version
from art.compat import repository
from art.compat.union.artifacts import Artifact, ArtifactQuery, Partition, TimePartition
from art.compat.union.tasks import Job
from art.ref import asked
from art.repo.reacting import Waiting

ACCEPTED = {
    "annotations", "auth_role", "auto_activate", "concurrency", "labels", "max_parallelism",
    "notifications", "overwrite_cache", "raw_output_data_config", "security_context",
}  # fmt: skip
_log = logging.getLogger("art")


@dataclass(frozen=True)
class OnArtifact:
    """Something new of an artifact, or of what a query asks for. `inputs` of the workflow may be the
    artifact, its partitions, also with something added to its time, other artifacts, of which the latest is
    meant, queries, also by those partitions, and values."""

    trigger_on: Artifact | ArtifactQuery
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UsageError for what nobody can wait for."""
        if not isinstance(self.trigger_on, (Artifact, ArtifactQuery)):
            raise UsageError(f"a trigger is on an artifact or a query, not on {self.trigger_on!r}")
        if isinstance(self.trigger_on, ArtifactQuery):
            self.trigger_on.wanted({})
        object.__setattr__(self, "inputs", dict(self.inputs or {}))

    @property
    def artifact(self) -> Artifact:
        """The artifact that it is about."""
        on = self.trigger_on
        return on.artifact if isinstance(on, ArtifactQuery) else on

    @property
    def key(self) -> str:
        """The key of the versions that it is about."""
        return self.trigger_on.key

    def filter(self) -> Filter:
        """Return which versions of the key count."""
        on = self.trigger_on
        wanted = on.wanted({}) if isinstance(on, ArtifactQuery) else {}
        return Filter(partitions={name: asked(value) for name, value in wanted.items()})

    def inputs_of(self, version: Version) -> dict[str, Any]:
        """Return the inputs of the workflow for a version."""
        return {name: self._input(value, version) for name, value in self.inputs.items()}

    def _input(self, value: Any, version: Version) -> Any:
        if isinstance(value, Artifact):
            return version if value is self.artifact else value.query()
        if isinstance(value, ArtifactQuery):
            return value.after(self.artifact, version)
        if isinstance(value, TimePartition):
            return value.bound_to(self.artifact, version).period({}).start
        if isinstance(value, Partition):
            return value.bound_to(self.artifact, version).value
        return value


class LaunchPlan:
    """A workflow with inputs: `default_inputs`, which a call may replace, and `fixed_inputs`."""

    def __init__(
        self,
        name: str,
        workflow: Job,
        default_inputs: Mapping[str, Any] | None = None,
        fixed_inputs: Mapping[str, Any] | None = None,
        trigger: OnArtifact | None = None,
    ) -> None:
        """Raise UsageError for inputs that the workflow has not, and for a trigger that leaves one out."""
        self.name = name
        self.workflow = workflow
        self.default_inputs = dict(default_inputs or {})
        self.fixed_inputs = dict(fixed_inputs or {})
        self.trigger = trigger
        given = {**self.default_inputs, **self.fixed_inputs, **(trigger.inputs if trigger else {})}
        known = workflow.signature.parameters
        if unknown := sorted(given.keys() - known.keys()):
            raise UsageError(
                f"workflow {workflow.name} has no input {unknown[0]!r}",
                hint=f"inputs: {', '.join(known) or 'none'}",
            )
        for each in known.values() if trigger else ():
            if each.default is inspect.Parameter.empty and each.name not in given:
                raise UsageError(f"the trigger of {name} gives no input {each.name!r}")

    @classmethod
    def create(
        cls,
        name: str,
        workflow: Job,
        default_inputs: Mapping[str, Any] | None = None,
        fixed_inputs: Mapping[str, Any] | None = None,
        trigger: OnArtifact | None = None,
        **options: Any,
    ) -> LaunchPlan:
        """Return a launch plan. Raise UsageError for one with a schedule, which nobody would keep."""
        for option in sorted(name for name in options.keys() - ACCEPTED if options[name]):
            raise UsageError(
                f"art.compat has no {option!r} for launch plans, and does not do as if it had",
                hint="docs/porting.md lists what is accepted",
            )
        return cls(name, workflow, default_inputs, fixed_inputs, trigger)

    @classmethod
    def get_or_create(cls, workflow: Job, name: str | None = None, **options: Any) -> LaunchPlan:
        """Return a launch plan; without a name it has that of the workflow."""
        return cls.create(name or workflow.name, workflow, **options)

    def __repr__(self) -> str:
        return f"<LaunchPlan {self.name!r}>"

    def __call__(self, **inputs: Any) -> Any:
        """Call the workflow."""
        return self.workflow(**{**self.default_inputs, **inputs, **self.fixed_inputs})

    def serve(
        self,
        *,
        cursor: str | os.PathLike[str] | None = None,
        interval: float = 5.0,
        stop: threading.Event | None = None,
    ) -> None:
        """Call the workflow for each version that comes, until `stop` is set; every `interval` seconds it is
        looked for. `cursor` is a file for which versions that was done, for the next process; without one
        those that come from now on count.

        A workflow that fails ends nothing: its run says so, and the logger `art`. Where this process is
        killed meanwhile, it is called once more by the next one that has the cursor. Raise UsageError where
        there is no trigger.
        """
        if self.trigger is None:
            raise UsageError(f"{self!r} has no trigger", hint="trigger=OnArtifact(trigger_on=…)")
        repo = repository()
        waiting = Waiting(self.trigger.filter(), cursor=cursor, interval=interval)
        for found in repo.events(self.trigger.key, waiting=waiting, stop=stop):
            if isinstance(found, ArtError):
                _log.warning("%s: %s", self.name, found.message)
                continue
            for event in found.events:
                version = repo.version(event.record.ref)
                try:
                    self(**self.trigger.inputs_of(version))
                except Exception:  # noqa: BLE001 - it is the workflow's, and told
                    _log.exception("%s failed for %s", self.name, version.ref)
