"""`pipeline` as ZenML has it: a function that calls steps, as a run. Steps are done when they are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import update_wrapper
from typing import Any, overload

from art import UsageError
from art.compat import repository
from art.compat.zenml.context import current_pipeline, pipeline_run
from art.compat.zenml.past import PipelineRecord, PipelineRun
from art.steps import is_parameter

ACCEPTED = {
    "enable_artifact_metadata", "enable_artifact_visualization", "enable_heartbeat",
    "enable_pipeline_logs", "enable_step_logs", "settings", "tags", "unlisted",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What a pipeline can be told; `is_forced` says that `enable_cache` is for all of its steps."""

    name: str | None = None
    run_name: str | None = None
    enable_cache: bool | None = None
    extra: Mapping[str, Any] | None = None
    substitutions: Mapping[str, str] | None = None
    on_failure: Callable[..., Any] | None = None
    on_success: Callable[[], Any] | None = None
    is_forced: bool = False

    def told(self, **options: Any) -> Options:
        """Return them with others in their places. Raise UsageError for one that means nothing here."""
        known = {name: value for name, value in options.items() if name not in ACCEPTED}
        if refused := sorted(known.keys() - self.__dataclass_fields__.keys()):
            raise UsageError(
                f"art.compat has no {refused[0]!r} for pipelines, and does not do as if it had",
                hint="docs/porting.md lists what is accepted",
            )
        return replace(self, **known)


class Pipeline:
    """A function whose calls are runs, which the steps that it calls are part of. `entrypoint` is the plain
    function."""

    def __init__(self, entrypoint: Callable[..., Any], options: Options) -> None:
        update_wrapper(self, entrypoint)
        self.entrypoint = entrypoint
        self.options = options

    def __repr__(self) -> str:
        return f"<Pipeline {self.name!r}>"

    @property
    def name(self) -> str:
        """Its name: that of the function, where it was given none."""
        return self.options.name or self.entrypoint.__name__

    @property
    def model(self) -> PipelineRecord:
        """The runs of it."""
        return PipelineRecord(self.name)

    def with_options(self, **options: Any) -> Pipeline:
        """Return the same pipeline with other options; `enable_cache` is for all of its steps then."""
        forced = {"is_forced": True} if options.get("enable_cache") is not None else {}
        return Pipeline(self.entrypoint, self.options.told(**options, **forced))

    def configure(self, **options: Any) -> Pipeline:
        """Change its options, and return it."""
        self.options = self.options.told(**options)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and return the run. In another pipeline its steps are part of that, and what the function
        returns is returned."""
        if current_pipeline():
            return self.entrypoint(*args, **kwargs)
        bound = inspect.signature(self.entrypoint).bind(*args, **kwargs)
        bound.apply_defaults()
        params = {name: value for name, value in bound.arguments.items() if is_parameter(value)}
        told = self.options
        with pipeline_run(
            self.name,
            params,
            told.run_name,
            extra=told.extra or {},
            substitutions=told.substitutions or {},
            is_cached=told.enable_cache,
            is_forced=told.is_forced,
            hooks={"on_failure": told.on_failure, "on_success": told.on_success},
        ) as context:
            self.entrypoint(*bound.args, **bound.kwargs)
        return PipelineRun(repository().get_run(context.run.id))


@overload
def pipeline(entrypoint: Callable[..., Any], /) -> Pipeline: ...
@overload
def pipeline(**options: Any) -> Callable[[Callable[..., Any]], Pipeline]: ...
def pipeline(
    entrypoint: Callable[..., Any] | None = None, /, **options: Any
) -> Pipeline | Callable[[Callable[..., Any]], Pipeline]:
    """Make the calls of a function runs: `@pipeline`, or with options. Raise UsageError for one that means
    nothing here."""
    told = Options().told(**options)
    if entrypoint is not None:
        return Pipeline(entrypoint, told)
    return lambda entrypoint: Pipeline(entrypoint, told)
