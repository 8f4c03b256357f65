"""`step` as ZenML has it: a function whose calls make versions, or find them again."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import cached_property, update_wrapper
from typing import Any, overload

from art import Repo, UsageError, Version
from art import step as art_step
from art.annotations import check_type
from art.caching import Reuse
from art.compat import key_of, repository
from art.compat.zenml.artifacts import ArtifactVersion, about_of, named
from art.compat.zenml.context import (
    Going,
    PipelineContext,
    StepContext,
    current_pipeline,
    current_step,
    pipeline_run,
    within_step,
)
from art.compat.zenml.outputs import Output, outputs_of
from art.repo.jobs import Offer
from art.saving import Saving
from art.steps import Call, is_parameter, plain_function

ACCEPTED = {
    "enable_artifact_metadata", "enable_heartbeat", "enable_step_logs", "experiment_tracker", "extra",
    "heartbeat_healthy_threshold", "runtime", "settings", "step_operator", "step_type",
}  # fmt: skip


@dataclass(frozen=True)
class StepRetryConfig:
    """How often a step that fails is tried again: seconds before the first time, and by what they are
    multiplied then."""

    max_retries: int = 1
    delay: float = 0
    backoff: float = 0


@dataclass(frozen=True)
class ExternalArtifact:
    """A value for a step that nothing made before: it becomes a version, unless there is one of it."""

    value: Any
    materializer: str | None = None


@dataclass(frozen=True)
class Options:
    """What a step can be told."""

    name: str | None = None
    enable_cache: bool | None = None
    enable_artifact_visualization: bool | None = None
    output_materializers: str | Mapping[str, str] | None = None
    substitutions: Mapping[str, str] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    retry: StepRetryConfig | None = None
    on_failure: Callable[..., Any] | None = None
    on_success: Callable[[], Any] | None = None

    def told(self, **options: Any) -> Options:
        """Return them with others in their places. Raise UsageError for one that means nothing here."""
        known = {name: value for name, value in options.items() if name not in ACCEPTED}
        if refused := sorted(known.keys() - self.__dataclass_fields__.keys()):
            raise UsageError(
                f"art.compat has no {refused[0]!r} for steps, and does not do as if it had",
                hint="docs/porting.md lists what is accepted",
            )
        return replace(self, **known)


class StepInterfaceError(UsageError, TypeError):
    """A step was called with arguments that it does not take."""


class Step:
    """A function whose calls make versions. `entrypoint` is the plain function."""

    def __init__(self, entrypoint: Callable[..., Any], options: Options) -> None:
        update_wrapper(self, entrypoint)
        self.entrypoint = entrypoint
        self.options = options

    def __repr__(self) -> str:
        return f"<Step {self.name!r}>"

    @property
    def name(self) -> str:
        """Its name: that of the function, where it was given none."""
        return self.options.name or self.entrypoint.__name__

    def with_options(self, **options: Any) -> Step:
        """Return the same step with other options."""
        return Step(self.entrypoint, self.options.told(**options))

    def configure(self, **options: Any) -> Step:
        """Change its options, and return it."""
        self.options = self.options.told(**options)
        return self

    def resolve(self) -> str:
        """Return where it is found: module and name."""
        return f"{self.entrypoint.__module__}.{self.entrypoint.__qualname__}"

    def __call__(
        self, *args: Any, after: object = None, id: str | None = None, **kwargs: Any
    ) -> Any:
        """Call it: in a pipeline, where that returns versions, or alone, where it returns what these hold.
        In another step it is the plain function. `after` says nothing that the order of calls does not.
        """
        if current_step():
            return self.entrypoint(*args, **kwargs)
        if pipeline := current_pipeline():
            return self._invoked(pipeline, id, args, kwargs)
        with pipeline_run(self.name, {}) as alone:
            made = self._invoked(alone, id, args, kwargs)
        several = made if isinstance(made, tuple) else (made,)
        values = tuple(each and each.load() for each in several)
        return values if isinstance(made, tuple) else values[0]

    def _invoked(
        self, pipeline: PipelineContext, id: str | None, args: Any, kwargs: Any
    ) -> ArtifactVersion | tuple[ArtifactVersion, ...] | None:
        return _Invocation(self, pipeline, pipeline.invoked(self.name, id)).done(args, kwargs)

    @cached_property
    def outputs(self) -> list[Output]:
        """What it returns."""
        return outputs_of(self.entrypoint)


@dataclass
class _Invocation:
    """One call of a step in a pipeline."""

    step: Step
    pipeline: PipelineContext
    id: str
    repo: Repo = field(default_factory=repository)

    def done(self, args: Any, kwargs: Any) -> ArtifactVersion | tuple[ArtifactVersion, ...] | None:
        """Return the versions of what the step returns: made now, or before."""
        outputs = self._outputs()
        reuse = Reuse(self._is_cached())
        plain = art_step(name=self.step.name)(self.step.entrypoint)
        plain = replace(plain, reuse=reuse)
        try:
            call = Call.of(plain, *self._arguments(args, kwargs))
        except (TypeError, UsageError) as error:
            hint = error.hint if isinstance(error, UsageError) else None
            raise StepInterfaceError(str(error), hint=hint) from None
        said = [(repr(each.config), each.materializer, each.default_title) for each in outputs]
        names = [each.name for each in outputs]
        job = plain.job(self.repo, call, names, configured=said)
        ran = self.repo.perform(
            replace(job, step=self.id), lambda run: self._work(run, call, outputs)
        )
        found = []
        for each in outputs:
            wanted = each.config.version if each.name in ran.created else None
            found.append(named(self.repo, each.title, wanted, ran.outputs[each.name]))
        return tuple(found) if len(found) > 1 else found[0] if found else None

    def _outputs(self) -> list[Output]:
        """Return the outputs of the step with their names, which depend on what calls it."""
        step, materializers = self.step, self.step.options.output_materializers
        known = {**(step.options.substitutions or {}), **self.pipeline.placeholders}
        return [
            replace(
                each.settled(self.pipeline.name, step.name, known),
                materializer=materializers.get(each.name)
                if isinstance(materializers, Mapping)
                else materializers,
            )
            for each in step.outputs
        ]

    def _is_cached(self) -> bool:
        """Whether what was made before is given: forced by the pipeline, said by the step, by the
        pipeline."""
        said = (self.step.options.enable_cache, self.pipeline.is_cached)
        for each in said[::-1] if self.pipeline.is_forced else said:
            if each is not None:
                return each
        return True

    def _arguments(self, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments, with versions in the places of what is neither version nor parameter."""
        signature = inspect.signature(self.step.entrypoint)
        given = signature.bind_partial(*args, **kwargs).arguments
        told = {n: v for n, v in self.step.options.parameters.items() if n not in given}
        bound = signature.bind(*args, **kwargs, **told)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            bound.arguments[name] = self._argument(name, value)
        return bound.args, bound.kwargs

    def _argument(self, name: str, value: Any) -> Any:
        value = _stored(value)
        if isinstance(value, ExternalArtifact):
            return self._external(name, value.value, value.materializer)
        if _holds_version(value) or is_parameter(value):
            return value
        return self._external(name, value, None)

    def _external(self, name: str, value: Any, materializer: str | None) -> Version:
        key = f"external/{key_of(self.step.name)}/{name}"
        return self.repo.save(value, key, materializer=materializer).version

    def _work(self, run: Going, call: Call, outputs: list[Output]) -> dict[str, Offer]:
        """Call the function; return what is to become versions of what it returns."""
        said = {each.name: each for each in outputs}
        inputs = {name: value for name, value in call.inputs.items() if isinstance(value, Version)}
        context = StepContext(
            run,
            self.pipeline,
            said,
            {name: ArtifactVersion(version) for name, version in inputs.items()},
        )
        run.ended["arguments"] = {
            name: [each.id for each in _versions(value)] for name, value in call.inputs.items()
        }
        with within_step(context):
            try:
                returned = self._attempted(call)
            except Exception as error:
                self._tell("on_failure", error)
                raise
            finally:
                if context.metadata:
                    run.ended["metadata"] = context.metadata
            offers = self._offers(context, returned, outputs)
            self._tell("on_success")
        return offers

    def _attempted(self, call: Call) -> Any:
        retry = self.step.options.retry or StepRetryConfig(0)
        delay = retry.delay
        for _ in range(retry.max_retries):
            with suppress(Exception):  # it is to be tried again whatever it was
                return _finished(call.run())
            time.sleep(delay)
            delay *= retry.backoff or 1
        return _finished(call.run())

    def _tell(self, when: str, *error: Exception) -> None:
        """Call what is to be called when the step has ended: that of the step, else of the pipeline."""
        hook = getattr(self.step.options, when) or self.pipeline.hooks.get(when)
        if hook:
            hook(*error[: len(inspect.signature(hook).parameters)])

    def _offers(
        self, context: StepContext, returned: Any, outputs: list[Output]
    ) -> dict[str, Offer]:
        where = f"step {self.step.name} returns"
        if not outputs:
            check_type(returned, None, where)
            return {}
        values = returned if len(outputs) > 1 else (returned,)
        if not isinstance(values, (tuple, list)) or len(values) != len(outputs):
            raise UsageError(f"{where} {type(returned).__name__}, expected {len(outputs)} values")
        offers = {}
        for value, output in zip(values, outputs, strict=True):
            check_type(value, output.annotation, f"{where} for {output.name}")
            offers[output.name] = self._offer(context, value, output)
        return offers

    def _offer(self, context: StepContext, value: Any, output: Output) -> Offer:
        config, name = output.config, output.name
        metadata, tags = context.get_output_metadata(name), context.get_output_tags(name)
        about: Any = about_of(self.repo, output.title, config.version, config.kind, tags, metadata)
        shown = self.step.options.enable_artifact_visualization is not False
        saving = Saving.of(value, output.materializer, pickle=False, preview=shown)
        content = self.repo.content_of(saving, output.key)
        about["always"] = True  # what was done again is a version of its own
        return Offer(output.key, content, about)


def _finished(returned: Any) -> Any:
    """Return what comes of what a function returned: an asynchronous one gets a loop of its own."""
    if not inspect.iscoroutine(returned):
        return returned
    import asyncio

    with ThreadPoolExecutor(1) as thread:  # there may be a loop in this one
        return thread.submit(copy_context().run, asyncio.run, returned).result()


def _stored(value: Any) -> Any:
    """Return a value with what art has in the places of versions of artifacts."""
    if isinstance(value, ArtifactVersion):
        return value.stored
    if type(value) in (list, tuple):
        return type(value)(map(_stored, value))
    if type(value) is dict:
        return {name: _stored(each) for name, each in value.items()}
    return value


def _versions(value: Any) -> list[Version]:
    if isinstance(value, Version):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, (list, tuple, dict)):
        return [version for each in inner for version in _versions(each)]
    return []


def _holds_version(value: Any) -> bool:
    return bool(_versions(value))


@overload
def step(entrypoint: Callable[..., Any], /) -> Step: ...
@overload
def step(**options: Any) -> Callable[[Callable[..., Any]], Step]: ...
def step(
    entrypoint: Callable[..., Any] | None = None, /, **options: Any
) -> Step | Callable[[Callable[..., Any]], Step]:
    """Make a function a step: `@step`, or with options. Raise UsageError for one that means nothing here."""
    told = Options().told(**options)

    def decorate(decorated: Callable[..., Any]) -> Step:
        return Step(plain_function(decorated, told.name), told)

    return decorate if entrypoint is None else decorate(entrypoint)
