"""What goes on: the pipeline and the step that call, and what they say of themselves meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from art import UsageError
from art.compat import repository
from art.compat.zenml.artifacts import ArtifactVersion, plain

if TYPE_CHECKING:
    from art.compat.zenml.outputs import Output
    from art.compat.zenml.past import PipelineRecord, PipelineRun, StepRun

T = TypeVar("T")
DATE = "%Y_%m_%d"
TIME = "%H_%M_%S_%f"


class StepContextError(UsageError, RuntimeError):
    """A step was asked for where none goes on, or for an output that it does not have."""


class Going(Protocol):
    """A run that goes on."""

    about: dict[str, Any]
    ended: dict[str, Any]

    @property
    def id(self) -> str: ...
    @property
    def steps(self) -> list[dict[str, Any]]: ...
    @property
    def inputs(self) -> list[dict[str, Any]]: ...
    @property
    def outputs(self) -> list[dict[str, Any]]: ...


@dataclass
class PipelineContext:
    """A pipeline that goes on."""

    name: str
    run: Going
    extra: Mapping[str, Any] = field(default_factory=dict)
    substitutions: Mapping[str, str] = field(default_factory=dict)
    is_cached: bool | None = None  # what the pipeline says; `is_forced`, whatever its steps say
    is_forced: bool = False
    hooks: Mapping[str, Any] = field(default_factory=dict)
    invocations: set[str] = field(default_factory=set)

    @property
    def placeholders(self) -> dict[str, str]:
        """What can stand in the names of outputs: the substitutions, and when the run began."""
        began = moment(self.run.about["started"])
        return {**self.substitutions, "date": f"{began:{DATE}}", "time": f"{began:{TIME}}"}

    def invoked(self, name: str, id: str | None) -> str:
        """Return the id of a call of a step. Raise UsageError where it was given before."""
        found, number = id or name, 2
        while found in self.invocations:
            if id:
                raise UsageError(f"pipeline {self.name} has a step {id!r} already")
            found, number = f"{name}_{number}", number + 1
        self.invocations.add(found)
        return found


@dataclass
class StepContext:
    """A step that goes on: its runs, its inputs, and what it says of its outputs."""

    run: Going
    _pipeline: PipelineContext
    _outputs: Mapping[str, Output]
    inputs: Mapping[str, ArtifactVersion]
    metadata: dict[str, Any] = field(default_factory=dict)
    _said: dict[str, dict[str, Any]] = field(default_factory=dict)
    _tags: dict[str, list[str]] = field(default_factory=dict)

    @property
    def step_name(self) -> str:
        """The id of the call: the name of the step, where it was given none."""
        return str(self.run.about["step"])

    @property
    def step_run(self) -> StepRun:
        """The run of the step."""
        from art.compat.zenml.past import StepRun, going

        return StepRun(going(self.run))

    @property
    def pipeline_run(self) -> PipelineRun:
        """The run of the pipeline that it is part of."""
        from art.compat.zenml.past import PipelineRun, going

        return PipelineRun(going(self._pipeline.run))

    @property
    def pipeline(self) -> PipelineRecord:
        """The pipeline that it is part of."""
        return self.pipeline_run.pipeline

    def add_output_metadata(
        self, metadata: Mapping[str, Any], output_name: str | None = None
    ) -> None:
        """Say more of the version that will be made of an output. Raise StepContextError for one that the
        step does not have."""
        self._said.setdefault(self._name(output_name), {}).update(plain(metadata))

    def get_output_metadata(self, output_name: str | None = None) -> dict[str, Any]:
        """Return what is said of an output."""
        output = self._outputs[self._name(output_name)]
        return {**(output.config.run_metadata or {}), **self._said.get(output.name, {})}

    def add_output_tags(self, tags: Iterable[str], output_name: str | None = None) -> None:
        """Let the version that will be made of an output have these tags, too."""
        self._tags.setdefault(self._name(output_name), []).extend(tags)

    def get_output_tags(self, output_name: str | None = None) -> list[str]:
        """Return the tags of an output."""
        output = self._outputs[self._name(output_name)]
        return list(dict.fromkeys([*(output.config.tags or ()), *self._tags.get(output.name, ())]))

    def log_pipeline_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Say more of the pipeline's run; the names are `STEP::NAME`."""
        said = {f"{self.step_name}::{name}": value for name, value in plain(metadata).items()}
        self._pipeline.run.ended.setdefault("metadata", {}).update(said)

    def has_output(self, name: str) -> bool:
        """Whether the step has an output of this name."""
        return name in self._outputs or name in {each.title for each in self._outputs.values()}

    def _name(self, wanted: str | None) -> str:
        if wanted is None and len(self._outputs) == 1:
            return next(iter(self._outputs))
        for name, output in self._outputs.items():
            if wanted in (name, output.title):
                return name
        raise StepContextError(
            f"step {self.step_name} has no output {wanted!r}"
            if wanted
            else f"step {self.step_name} has {len(self._outputs)} outputs",
            hint=f"its outputs: {', '.join(self._outputs) or 'none'}",
        )


_pipeline: ContextVar[PipelineContext | None] = ContextVar("pipeline", default=None)
_step: ContextVar[StepContext | None] = ContextVar("step", default=None)


def current_pipeline() -> PipelineContext | None:
    """Return the pipeline that goes on, None where there is none."""
    return _pipeline.get()


def current_step() -> StepContext | None:
    """Return the step that goes on, None where there is none."""
    return _step.get()


def get_pipeline_context() -> PipelineContext:
    """Return the pipeline that goes on. Raise StepContextError where there is none."""
    found = _pipeline.get()
    if found is None:
        raise StepContextError("no pipeline goes on here: this is for functions of pipelines")
    return found


def get_step_context() -> StepContext:
    """Return the step that goes on. Raise StepContextError where there is none."""
    found = _step.get()
    if found is None:
        raise StepContextError("no step goes on here: this is for functions of steps")
    return found


def within_step(context: StepContext) -> AbstractContextManager[StepContext | None]:
    """Let a step be the one that goes on inside."""
    return _within(_step, context)


@contextmanager
def _within(variable: ContextVar[T | None], context: T) -> Iterator[T]:
    token = variable.set(context)
    try:
        yield context
    finally:
        variable.reset(token)


@contextmanager
def pipeline_run(
    name: str, params: Mapping[str, Any], title: str | None = None, **options: Any
) -> Iterator[PipelineContext]:
    """Let a run of a pipeline go on inside; `title` is a template of a name that no other run has.

    Raise UsageError where there is such a run.
    """
    repo = repository()
    with repo.run(name, params=params) as run:
        context = PipelineContext(name, run, **options)
        if title:
            run.ended["title"] = _free(title, context)
        with _within(_pipeline, context):
            yield context


def _free(template: str, context: PipelineContext) -> str:
    from art.compat.zenml.outputs import settled

    single = template.replace("{{", "{").replace("}}", "}")  # as older releases wrote them
    title = settled(single, context.placeholders)
    if any(run.document.get("title") == title for run in repository().runs()):
        raise UsageError(
            f"there is a run {title!r} already", hint=f"run_name='{title}_{{date}}_{{time}}'"
        )
    return title


def moment(text: str) -> datetime:
    """Return a time of a record."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
