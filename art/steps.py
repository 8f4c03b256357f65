"""Functions as steps: what they are given is noted, what they return becomes versions.

@art.step
def clean(raw: DataFrame, rate: float = 0.1) -> Annotated[DataFrame, "sales/clean"]: ...

with art.run("etl"):
    cleaned = clean(repo.version("sales/raw"), rate=0.2)    # a Version: cleaned.load()
"""

from __future__ import annotations

import functools
import inspect
import logging
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, overload

from art import runs, sources
from art.about import About
from art.artifacts import Artifact
from art.caching import Reuse, fingerprint
from art.config import span_seconds
from art.errors import UsageError
from art.model import check_metadata
from art.repo import Repo
from art.repo import open as open_repo
from art.repo.running import Job, Offer
from art.saving import Saving
from art.version import Version

_log = logging.getLogger("art")
_NUMBERS: dict[type, tuple[type, ...]] = {float: (int,), complex: (float, int)}


@contextmanager
def run(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    repo: Repo | None = None,
) -> Iterator[runs.Run]:
    """Let steps that are called, and versions that are made, inside be part of a run of this name, in
    `repo` or the repository that `art.open()` finds."""
    with (repo or open_repo()).run(name, params=params) as current:
        yield current


@dataclass(frozen=True)
class _Output:
    """One thing that a step returns: `name` is a key that may have placeholders, None where it has none."""

    name: str | None
    annotation: Any
    partitions: Mapping[str, object] = field(default_factory=dict)


@dataclass(eq=False)
class Step:
    """A function that is a step: calling it makes versions, or finds them again, and returns them.

    `function` is the plain function. What is `reuse`d depends on `key`, too: what that returns of the
    arguments, by name.
    """

    function: Callable[..., Any]
    name: str
    reuse: Reuse
    key: Callable[[dict[str, Any]], Any] | None = None

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the version of what the function returns: None, a Version, or a tuple of them.

        Arguments that are versions are loaded, and are its inputs, also in lists, tuples and dicts; what
        JSON has is a parameter. Raise UsageError for anything else, and where a value is not of the type
        that is annotated.
        """
        current = runs.current()
        repo = _repo(current)
        call = Call.of(self, args, kwargs)
        outputs = _outputs(_hints(self).get("return", Any))
        names = _named(repo, self.name, outputs, call.params)
        outputs = _settled(repo, outputs, call.params)
        keys = [name for name, _ in names]
        job = self.job(repo, call, keys, **_partitions(outputs))
        if not outputs:  # it is called for something else
            job = replace(job, fingerprint=None)
        with runs.within(current):
            ran = repo.perform(job, lambda _: self._work(repo, call, outputs, names))
        if ran.cached:
            _log.info("step %s: nothing has changed since run %s", self.name, ran.cached)
        found = tuple(ran.outputs[name] for name, _ in names if name in ran.outputs)
        return found if len(outputs) > 1 else found[0] if found else None

    def options(self, *, cache: bool = True, expires: float | str | None = None) -> Step:
        """Return the step with another choice of what is given again; see `step`."""
        reuse = replace(self.reuse, is_used=cache, expires=_seconds(expires))
        return replace(self, reuse=reuse)

    def job(self, repo: Repo, call: Call, results: Sequence[str], **more: Any) -> Job:
        """Return what `Repo.perform` does for a call. What it gave before is found again where code,
        parameters, inputs, `results`, the names of what comes of it, and whatever `more` says are the same.
        """
        current = runs.current()
        return Job(
            name=str(current.about.get("name", self.name)) if current else self.name,
            step=self.name,
            params=call.params,
            inputs=call.versions,
            fingerprint=self._fingerprint(repo, call, {"outputs": list(results), **more}),
            reuse=self.reuse,
        )

    def _fingerprint(self, repo: Repo, call: Call, more: Mapping[str, Any]) -> str | None:
        """Return the digest of what a call depends on; None where nobody knows what that is."""
        code = sources.of(self.function)
        if code is None:
            return None
        key = self.key(dict(call.arguments)) if self.key else None
        return fingerprint(
            {
                "what": "step",
                "step": self.name,
                "code": code,
                "params": call.params,
                "inputs": call.ids,
                "key": check_metadata(key, "key"),
                **repo.surroundings_of(self.reuse),
                **more,
            }
        )

    def _work(
        self, repo: Repo, call: Call, outputs: list[_Output], names: list[tuple[str, str]]
    ) -> dict[str, Offer]:
        returned = call.run()
        if not outputs:
            check_type(returned, None, f"step {self.name} returns")
            return {}
        values = self._values(returned, len(outputs))
        offers = {}
        for value, output, (name, key) in zip(values, outputs, names, strict=True):
            check_type(value, output.annotation, f"step {self.name} returns for {name}")
            saving = Saving.of(value, None, pickle=False, preview=True)
            about: About = {"partitions": output.partitions} if output.partitions else {}
            offers[name] = Offer(key, repo.content_of(saving, key), about)
        return offers

    def _values(self, returned: Any, count: int) -> Sequence[Any]:
        if count == 1:
            return (returned,)
        if not isinstance(returned, tuple) or len(returned) != count:
            what = f"{len(returned)} values" if isinstance(returned, tuple) else _kind(returned)
            raise UsageError(f"step {self.name} returns {what}, expected a tuple of {count}")
        return returned


@overload
def step(function: Callable[..., Any], /) -> Step: ...
@overload
def step(
    *,
    name: str | None = None,
    cache: bool = True,
    expires: float | str | None = None,
    depends: Sequence[str] = (),
    env: Sequence[str] = (),
    key: Callable[[dict[str, Any]], Any] | None = None,
) -> Callable[[Callable[..., Any]], Step]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    cache: bool = True,
    expires: float | str | None = None,
    depends: Sequence[str] = (),
    env: Sequence[str] = (),
    key: Callable[[dict[str, Any]], Any] | None = None,
) -> Step | Callable[[Callable[..., Any]], Step]:
    """Make a function a step, which is called as before and returns versions.

    `-> Annotated[T, "key"]` names the artifact that it makes, `-> tuple[Annotated[…], …]` several; the key
    may have placeholders: those of `art create`, and `{parameter}`. An `art.Artifact` in its place says
    also of which partitions it is. Without a name it is `STEP/output`.

    The function is not called where its code, parameters, inputs, outputs, the files in `depends`, the
    environment variables in `env` and what `key` returns of the arguments are as they were; then the
    earlier versions are returned. Its code is its source, that of functions and classes of the same
    module that it uses, and constants there. `cache=False` calls it always, `expires` (seconds, or "7d")
    after that time.
    """
    reuse = Reuse(cache, _seconds(expires), tuple(depends), tuple(env))

    def decorate(plain: Callable[..., Any]) -> Step:
        return Step(plain, name or plain.__name__, reuse, key)

    return decorate if function is None else decorate(function)


@dataclass(frozen=True)
class Call:
    """The arguments of one call: `params` and, with versions in them, `inputs`, by name."""

    step: Step
    bound: inspect.BoundArguments
    params: dict[str, Any]
    inputs: dict[str, Any]

    @classmethod
    def of(cls, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Raise UsageError for an argument that is neither, or not of the type that is annotated."""
        bound = inspect.signature(step.function).bind(*args, **kwargs)
        bound.apply_defaults()
        hints = _hints(step)
        params, inputs = {}, {}
        for name, value in bound.arguments.items():
            bound.arguments[name] = value = _unwrapped(value)
            where = f"argument {name} of step {step.name}"
            if next(_versions(value), None):
                inputs[name] = value
                _parameter(_replaced(value, lambda version: version.id), where)
                continue
            if not _is_variadic(step, name):
                check_type(value, hints.get(name, Any), f"{where} is")
            params[name] = _parameter(value, where)
        return cls(step, bound, params, inputs)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All of them by name, versions unloaded."""
        return self.bound.arguments

    @property
    def versions(self) -> list[Version]:
        return [version for value in self.inputs.values() for version in _versions(value)]

    @property
    def ids(self) -> dict[str, Any]:
        """The inputs with ids in place of versions."""
        return {name: _replaced(value, lambda v: v.id) for name, value in self.inputs.items()}

    def run(self) -> Any:
        """Load the inputs and call the function."""
        hints = _hints(self.step)
        for name, value in self.inputs.items():
            annotation = hints.get(name, Any)
            if annotation is Version:
                continue
            loaded = _replaced(value, lambda version: version.load())
            if not _is_variadic(self.step, name):
                check_type(loaded, annotation, f"argument {name} of step {self.step.name} is")
            self.bound.arguments[name] = loaded
        return self.step.function(*self.bound.args, **self.bound.kwargs)


def _repo(current: runs.Run | None) -> Repo:
    """Return the repository of the run, also where another thread or process began it."""
    if current and isinstance(current.repo, Repo):
        return current.repo
    return open_repo(current.root if current else None)


def _hints(step: Step) -> dict[str, Any]:
    try:
        return typing.get_type_hints(step.function, include_extras=True)
    except NameError as error:
        raise UsageError(f"an annotation of step {step.name} has no meaning: {error}") from None


def _is_variadic(step: Step, name: str) -> bool:
    kind = inspect.signature(step.function).parameters[name].kind
    return kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _outputs(annotation: Any) -> list[_Output]:
    """Return what a step returns by its annotation."""
    if annotation is None or annotation is type(None):
        return []
    parts = get_args(annotation)
    if get_origin(annotation) is tuple and parts and ... not in parts:
        return [_output(part) for part in parts]
    return [_output(annotation)]


def _output(annotation: Any) -> _Output:
    if get_origin(annotation) is Annotated:
        for each in annotation.__metadata__:
            if isinstance(each, str):
                return _Output(each, annotation)
            if isinstance(each, Artifact):
                return _Output(each.key, annotation, each.values)
    return _Output(None, annotation)


def _named(
    repo: Repo, step: str, outputs: list[_Output], params: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return name and key of each output. Raise UsageError where two are the same."""
    values = {name: str(value) for name, value in params.items()}
    names = []
    for place, output in enumerate(outputs):
        if output.name is not None:
            key = repo.expand_key(output.name, values)
            names.append((key, key))
        else:
            name = f"output_{place}" if len(outputs) > 1 else "output"
            names.append((name, f"{step}/{name}"))
    if len({key for _, key in names}) < len(names):
        raise UsageError(f"step {step} has two outputs of the same name")
    return names


def _settled(repo: Repo, outputs: list[_Output], params: Mapping[str, Any]) -> list[_Output]:
    """Return outputs with the placeholders in values of their partitions replaced."""
    values = {name: str(value) for name, value in params.items()}
    return [
        replace(each, partitions=repo.expand_partitions(each.partitions, values))
        if each.partitions
        else each
        for each in outputs
    ]


def _partitions(outputs: list[_Output]) -> dict[str, Any]:
    """Return what the fingerprint says of partitions: nothing where there are none."""
    of = [{name: str(value) for name, value in out.partitions.items()} for out in outputs]
    return {"partitions": of} if any(of) else {}


def _unwrapped(value: Any) -> Any:
    """Return the version of what `Repo.save` and its like returned."""
    from art.repo import Published

    return value.version if isinstance(value, Published) else value


def _versions(value: Any) -> Iterator[Version]:
    if isinstance(value, Version):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _versions(each)
    elif isinstance(value, dict):
        yield from _versions(list(value.values()))


def _replaced(value: Any, function: Callable[[Version], Any]) -> Any:
    """Return a value with what the function returns in place of its versions."""
    if isinstance(value, Version):
        return function(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_replaced(each, function) for each in value])
    if isinstance(value, dict):
        return {name: _replaced(each, function) for name, each in value.items()}
    return value


def is_parameter(value: Any) -> bool:
    """Whether a step may be given a value as it is, as JSON has its like."""
    try:
        check_metadata(value)
    except UsageError:
        return False
    return True


def _parameter(value: Any, where: str) -> Any:
    try:
        return check_metadata(value, where)
    except UsageError as error:
        raise UsageError(
            f"{where} is neither a parameter nor a version: {error.message}",
            hint="repo.save(value, key).version makes it one",
        ) from None


def check_type(value: Any, annotation: Any, where: str) -> None:
    """Raise UsageError where a value is not of a type, as far as that can be told without its items."""
    if not _is_of(value, annotation):
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        expected = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        raise UsageError(f"{where} {_kind(value)}, expected {expected}")


def _is_of(value: Any, annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_of(value, get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_is_of(value, each) for each in get_args(annotation))
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(annotation))
    if annotation is None:
        return value is None
    kind = origin or annotation
    if not isinstance(kind, type) or isinstance(annotation, TypeVar) or kind is Any:
        return True
    try:
        is_number = isinstance(value, _NUMBERS.get(kind, ())) and not isinstance(value, bool)
        return isinstance(value, kind) or is_number
    except TypeError:  # a protocol that cannot tell
        return True


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _seconds(expires: float | str | None) -> float | None:
    if not isinstance(expires, str):
        return expires
    try:
        return span_seconds(expires)
    except ValueError as error:
        raise UsageError(f"expires {expires!r} is not {error}") from None
