"""Tasks and workflows, as Union and flytekit 1 have them: functions whose calls are runs."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, get_args, get_origin

from art import UsageError, Version
from art.compat import repository
from art.compat.union.artifacts import (
    Artifact,
    ArtifactIDSpecification,
    ArtifactQuery,
    Going,
    going,
    settled,
)

ACCEPTED = {
    "accelerator", "cache", "cache_serialize", "cache_version", "container_image", "deck_fields",
    "deprecated", "disable_deck", "docs", "enable_deck", "interruptible", "limits", "pod_template",
    "pod_template_name", "requests", "secret_requests",
}  # fmt: skip
_TEXT = 200  # characters of an argument that is recorded


@dataclass(frozen=True)
class ImageSpec:
    """An image to run tasks in, which here run without one."""

    name: str | None = None
    packages: list[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, name: str | None = None, packages: Any = None, **options: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "packages", packages)
        object.__setattr__(self, "options", options)


class Job:
    """A function whose calls are runs."""

    def __init__(self, fn: Callable[..., Any], *, is_workflow: bool, **options: Any) -> None:
        if refused := sorted(name for name in options.keys() - ACCEPTED if options[name]):
            raise UsageError(
                f"art.compat has no {refused[0]!r} for tasks, and does not do as if it had",
                hint="docs/porting.md lists what is accepted",
            )
        is_generator = inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)
        if is_generator or inspect.iscoroutinefunction(fn):
            kind = "a generator" if is_generator else "asynchronous"
            raise UsageError(f"{fn.__name__} is {kind}, as tasks and workflows of art are not")
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = fn.__name__
        self.is_workflow = is_workflow
        self.signature = inspect.signature(fn)
        for spec in self.outputs:
            for value in spec.values.values() if spec else ():
                settled(value, dict.fromkeys(self.signature.parameters))

    @functools.cached_property
    def outputs(self) -> list[ArtifactIDSpecification | None]:
        """What each value that is returned becomes a version of."""
        try:
            hints = typing.get_type_hints(self.fn, include_extras=True)
        except NameError as error:
            raise UsageError(f"an annotation of {self.name} has no meaning: {error}") from None
        returned = hints.get("return")
        parts = get_args(returned) if get_origin(returned) is tuple else ()
        return [_spec(each) for each in (parts if parts and ... not in parts else (returned,))]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, as a run: versions among the arguments, and queries, become what they hold."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        outer, inputs = going.get(), dict(bound.arguments)
        call = Going(outer.name if outer else self.name, known=outer.known if outer else [])
        params = {name: _param(value) for name, value in inputs.items() if _is_small(value)}
        step = None if self.is_workflow else self.name
        repo = repository()
        with repo.run(call.name, step=step, params=params) as run, _current(call):
            for name, value in inputs.items():
                if isinstance(value, ArtifactQuery):
                    value = value.get(**{k: v for k, v in inputs.items() if k != name})
                if isinstance(value, Version):
                    bound.arguments[name] = value.load()
                    call.known.append((bound.arguments[name], value))
                for known, version in call.known:
                    if known is bound.arguments[name] and not _is_small(known):
                        run.note_input(
                            {"key": version.key, "id": version.id, "number": version.number}
                        )
            returned = self.fn(*bound.args, **bound.kwargs)
            self._save(call, returned, inputs)
        return returned

    def _save(self, call: Going, returned: Any, inputs: Mapping[str, Any]) -> None:
        """Make versions of what is returned annotated, and of what was created besides."""
        values = returned if len(self.outputs) > 1 else (returned,)
        if not isinstance(values, tuple) or len(values) != len(self.outputs):
            raise UsageError(f"{self.name} did not return {len(self.outputs)} values, as it says")
        for value, spec in zip(values, self.outputs, strict=True):
            if spec is None:
                continue
            noted = next(
                (n for n in call.noted if n.value is value and n.artifact is spec.artifact), None
            )
            if noted:
                call.noted.remove(noted)
            elif any(known is value and v.key == spec.artifact.key for known, v in call.known):
                continue  # a task that the workflow called made it
            values = {name: settled(one, inputs) for name, one in spec.values.items()}
            values |= noted.values if noted else {}
            made = spec.artifact.save(value, values, noted.cards if noted else [])
            call.known.append((value, made))
        for noted in call.noted:
            call.known.append(
                (noted.value, noted.artifact.save(noted.value, noted.values, noted.cards))
            )


@contextmanager
def _current(call: Going) -> Iterator[None]:
    token = going.set(call)
    try:
        yield
    finally:
        going.reset(token)


def _spec(annotation: Any) -> ArtifactIDSpecification | None:
    if get_origin(annotation) is not Annotated:
        return None
    for each in annotation.__metadata__:
        if isinstance(each, Artifact):
            return each()
        if isinstance(each, ArtifactIDSpecification):
            return each
    return None


def _is_small(value: Any) -> bool:
    """Whether an argument is a parameter that is recorded, rather than data."""
    if isinstance(value, str):
        return len(value) <= _TEXT
    return value is None or isinstance(value, (bool, int, float, datetime))


def _param(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make the calls of a function steps of a workflow, or runs: `@task`, or with options. What says where
    and how it is to run is accepted, and has no effect."""
    if fn is not None:
        return Job(fn, is_workflow=False, **options)
    return lambda fn: Job(fn, is_workflow=False, **options)


def workflow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make the calls of a function runs, which the tasks that it calls are part of."""
    if fn is not None:
        return Job(fn, is_workflow=True, **options)
    return lambda fn: Job(fn, is_workflow=True, **options)
