"""Functions as steps: what they are given is noted, what they return becomes versions.

@art.step
def clean(raw: DataFrame, rate: float = 0.1) -> Annotated[DataFrame, "sales/clean"]: ...

with art.run("etl"):
    cleaned = clean(repo.version("sales/raw"), rate=0.2)    # a Version: cleaned.load()
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import operator
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FunctionType, GenericAlias, MethodType
from typing import Annotated, Any, get_args, get_origin, overload

from art import runs, sources, warned
from art.about import About
from art.annotations import check_type, kind_text
from art.artifacts import Artifact
from art.caching import Reuse, fingerprint
from art.config import span_seconds
from art.errors import UsageError
from art.model import check_metadata
from art.repo import Repo
from art.repo import open as open_repo
from art.repo.jobs import Job, Offer
from art.saving import Saving
from art.version import Version

_log = logging.getLogger("art")


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

    def __reduce__(self) -> str | tuple[Callable[..., Step], tuple[Any, ...]]:
        """A step that is pickled is that of the module where it is read, as its function would be."""
        place = self.function.__module__, self.function.__qualname__
        if _step_at(*place) is self:
            return place[1]
        return _with_options, (*place, self.name, self.reuse, self.key)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the version of what the function returns: None, a Version, or a tuple of them.

        Arguments that are versions are loaded, and are its inputs, also in lists, tuples and dicts; what
        JSON has is a parameter. Raise UsageError for anything else, and where a value is not of the type
        that is annotated. Of an asynchronous function this is to be awaited.
        """
        if inspect.iscoroutinefunction(self.function):
            return self._awaited(args, kwargs, warned.caller())
        return self._performed(args, kwargs, lambda returned: returned)

    async def _awaited(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], line: warned.Line | None
    ) -> Any:
        from art.awaiting import in_thread

        def work(awaited: Callable[[Any], Any]) -> Any:
            with warned.on_behalf(line):
                return self._performed(args, kwargs, awaited)

        return await in_thread(work)

    def _performed(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], finished: Callable[[Any], Any]
    ) -> Any:
        """Call it, where that is needed; `finished` gives what comes of what the function returns."""
        current = runs.current()
        repo = _repo(current)
        call = Call.of(self, args, kwargs)
        outputs = _outputs(_hints(self).get("return", Any))
        names = _named(repo, self.name, outputs, call.params)
        outputs = _settled(repo, outputs, call.params)
        keys = [name for name, _ in names]
        job = self.job(repo, call, keys, **_partitions(outputs))
        said = dict(zip(keys, map(_about, outputs), strict=True))
        job = replace(job, outputs=dict(names), about=said)
        if not outputs:  # it is called for something else
            job = replace(job, fingerprint=None)
        with runs.within(current):
            ran = repo.perform(
                job, lambda _: self._offers(repo, finished(call.run()), names, outputs)
            )
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

    def _offers(
        self, repo: Repo, returned: Any, names: list[tuple[str, str]], outputs: list[_Output]
    ) -> dict[str, Offer]:
        """Return what is to become versions of what the function returned."""
        if not outputs:
            check_type(returned, None, f"step {self.name} returns")
            return {}
        values = self._values(returned, len(outputs))
        offers = {}
        for value, output, (name, key) in zip(values, outputs, names, strict=True):
            check_type(value, output.annotation, f"step {self.name} returns for {name}")
            saving = Saving.of(value, None, pickle=False, preview=True)
            offers[name] = Offer(key, repo.content_of(saving, key), _about(output))
        return offers

    def _values(self, returned: Any, count: int) -> Sequence[Any]:
        if count == 1:
            return (returned,)
        if not isinstance(returned, tuple) or len(returned) != count:
            what = f"{len(returned)} values" if isinstance(returned, tuple) else kind_text(returned)
            raise UsageError(f"step {self.name} returns {what}, expected a tuple of {count}")
        return returned


def _step_at(module: str, name: str) -> Step | None:
    """Return the step with this name in a module, None where something else is there."""
    try:
        found = operator.attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, Step) else None


def _with_options(module: str, place: str, name: str, reuse: Reuse, key: Any) -> Step:
    found = _step_at(module, place)
    if found is None:
        raise UsageError(f"there is no step {place} in the module {module}")
    return replace(found, name=name, reuse=reuse, key=key)


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
    module that it uses, and values there. `cache=False` calls it always, `expires` (seconds, or "7d")
    after that time.
    """
    reuse = Reuse(cache, _seconds(expires), tuple(depends), tuple(env))

    def decorate(decorated: Callable[..., Any]) -> Step:
        plain = plain_function(decorated, name)
        return Step(plain, name or plain.__name__, reuse, key)

    return decorate if function is None else decorate(function)


def plain_function(function: Any, name: str | None = None) -> Callable[..., Any]:
    """Return the function that a step calls. Raise UsageError for what can be none."""
    if isinstance(function, staticmethod):
        function = function.__func__
    called = name or getattr(function, "__name__", None) or type(function).__name__
    if isinstance(function, Step):
        raise UsageError(f"{called} is a step already", hint="its .function is the plain function")
    if _is_method(function) or not isinstance(inspect.unwrap(function), FunctionType):
        raise UsageError(
            f"{called} cannot be a step: it is {_kind_of(function)}, expected a function",
            hint="what it needs of an object is to be an argument of a function",
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"{called} cannot be a step: it is a generator, of which nothing can be kept",
            hint="return a list",
        )
    if called == "<lambda>":
        raise UsageError("a lambda needs a name to be a step", hint="art.step(name=…)(lambda …)")
    return function  # type: ignore[no-any-return]


def _is_method(function: Any) -> bool:
    """Whether a function is given an object of the class that it stands in, or that class."""
    if not isinstance(function, FunctionType):
        return isinstance(function, (MethodType, classmethod))
    around = function.__qualname__.rpartition(".")[0]
    names = list(inspect.signature(function).parameters)
    return bool(around) and not around.endswith("<locals>") and names[:1] in (["self"], ["cls"])


def _kind_of(function: Any) -> str:
    if isinstance(function, type):
        return "a class"
    return "a method" if _is_method(function) else f"a {type(function).__name__}"


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
        try:
            bound = inspect.signature(step.function).bind(*args, **kwargs)
        except TypeError as error:  # as a function would say it
            raise TypeError(f"step {step.name}: {error}") from None
        bound.apply_defaults()
        hints = _hints(step)
        params, inputs = {}, {}
        for name, value in bound.arguments.items():
            bound.arguments[name] = value = _unwrapped(value)
            if next(_versions(value), None):
                inputs[name] = value
                _parameter(step, name, _replaced(value, lambda version: version.id))
                continue
            check_type(value, hints.get(name, Any), f"argument {name} of step {step.name} is")
            params[name] = _parameter(step, name, value)
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
            if _asks_for_versions(annotation):
                continue
            loaded = _replaced(value, lambda version: version.load())
            check_type(loaded, annotation, f"argument {name} of step {self.step.name} is")
            self.bound.arguments[name] = loaded
        return self.step.function(*self.bound.args, **self.bound.kwargs)


def _repo(current: runs.Run | None) -> Repo:
    """Return the repository of the run, also where another thread or process began it."""
    if current and isinstance(current.repo, Repo):
        return current.repo
    return open_repo(current.root if current else None)


def _hints(step: Step) -> dict[str, Any]:
    """Return the annotations of a function by name: of `*args` and `**kwargs` as what these are in it."""
    hints: dict[str, Any]
    try:
        hints = typing.get_type_hints(step.function, include_extras=True)
    except NameError as error:
        raise UsageError(f"an annotation of step {step.name} has no meaning: {error}") from None
    for name, parameter in inspect.signature(step.function).parameters.items():
        if name in hints and parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            hints[name] = GenericAlias(tuple, (hints[name], ...))
        elif name in hints and parameter.kind is inspect.Parameter.VAR_KEYWORD:
            hints[name] = GenericAlias(dict, (str, hints[name]))
    return hints


def _asks_for_versions(annotation: Any) -> bool:
    """Whether an argument is to be given versions, rather than what they hold."""
    return annotation is Version or any(map(_asks_for_versions, get_args(annotation)))


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


def _about(output: _Output) -> About:
    """Return what is said of what becomes of it."""
    return {"partitions": output.partitions} if output.partitions else {}


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


def _parameter(step: Step, name: str, value: Any) -> Any:
    try:
        return check_metadata(value, name)
    except UsageError as error:
        raise UsageError(
            f"argument {name} of step {step.name} is neither a parameter nor a version: {error.message}",
            hint="repo.save(value, key).version makes it one",
        ) from None


def _seconds(expires: float | str | None) -> float | None:
    if not isinstance(expires, str):
        return expires
    try:
        return span_seconds(expires)
    except ValueError as error:
        raise UsageError(f"expires {expires!r} is not {error}") from None
