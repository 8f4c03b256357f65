"""`flow` and `task` as Prefect has them: functions whose calls are runs of art.

The calls run here: submitted and mapped ones in threads, all others in their caller's. Retries are made.
What Prefect can be told besides is accepted where that changes nothing about the result, and refused else.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import update_wrapper
from types import MethodType
from typing import Any, Generic, TypeVar, overload

from typing_extensions import ParamSpec, Self

from art import UsageError
from art.compat import repository

P = ParamSpec("P")
R = TypeVar("R")

_ACCEPTED = {
    "cache_expiration", "cache_key_fn", "cache_policy", "cache_result_in_memory", "description",
    "flow_run_name", "log_prints", "persist_result", "refresh_cache", "result_serializer",
    "result_storage", "result_storage_key", "tags", "task_run_name", "task_runner",
    "validate_parameters", "version", "viz_return_value",
}  # fmt: skip
_TEXT = 200  # characters of an argument that is recorded


@dataclass
class _FlowRun:
    """A flow that runs: what its tasks are part of, and the threads of those that were submitted."""

    name: str
    pool: ThreadPoolExecutor = field(default_factory=lambda: _threads())


_flow: contextvars.ContextVar[_FlowRun | None] = contextvars.ContextVar("flow", default=None)
_is_async: contextvars.ContextVar[bool | None] = contextvars.ContextVar("is_async", default=None)


def _threads() -> ThreadPoolExecutor:
    """Return a pool where nothing waits: a task may wait for another one that it has submitted."""
    return ThreadPoolExecutor(sys.maxsize, thread_name_prefix="art-flow")


def is_asynchronous() -> bool:
    """Whether the function of the run that goes on, or what calls where there is none, is asynchronous."""
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return _is_async.get() is not False


def get_run_logger() -> logging.Logger:
    """Return the logger of Python's for flows and tasks."""
    return logging.getLogger("art.flow")


class PrefectFuture(Generic[R]):
    """What a task that was submitted will come to."""

    def __init__(self, future: Future[R]) -> None:
        self._future = future

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Wait for it and return it. Raise what the task raised, or return that."""
        if not raise_on_failure and (error := self._future.exception(timeout)):
            return error  # type: ignore[return-value]
        return self._future.result(timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is there, or the task failed."""
        self._future.exception(timeout)


class PrefectFutureList(list[PrefectFuture[R]]):
    """What a task that was mapped will come to."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """Wait for all and return them in order."""
        return [future.result(timeout, raise_on_failure) for future in self]

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all are there."""
        for future in self:
            future.wait(timeout)


class MappingMissingIterable(UsageError):  # noqa: N818 - Prefect's name
    """`map` was given nothing to map over."""


class MappingLengthMismatch(UsageError):  # noqa: N818 - Prefect's name
    """`map` was given iterables of different lengths."""


@dataclass(frozen=True)
class unmapped(Generic[R]):  # noqa: N801 - Prefect's name
    """An argument of `map` that is the same for all."""

    value: R


class _Job(ABC, Generic[P, R]):
    """A function whose calls are runs."""

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | list[float] | Callable[[int], list[float]] | None = None,
        **options: Any,
    ) -> None:
        what = type(self).__name__.lower()
        if refused := sorted(options.keys() - _ACCEPTED):
            raise UsageError(
                f"art.compat has no {refused[0]!r} for a {what}, and does not do as if it had",
                hint="docs/porting.md lists what is accepted",
            )
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise UsageError(f"the {what} {fn.__name__} is a generator, which is no run of art")
        update_wrapper(self, fn)
        self.fn = fn
        self.name: str = name or fn.__name__.replace("_", "-")
        self.retries = retries or 0
        self.retry_delay_seconds = retry_delay_seconds
        self.is_async = inspect.iscoroutinefunction(fn)

    def with_options(self, **options: Any) -> Self:
        """Return the same with other options."""
        delay = self.retry_delay_seconds
        said = {"name": self.name, "retries": self.retries, "retry_delay_seconds": delay}
        return type(self)(self.fn, **{**said, **options})

    def __get__(self, instance: object, owner: type | None = None) -> Self:
        """Return it bound to an object, where it is a method."""
        if instance is None:
            return self
        bound = self.with_options()
        bound.fn = MethodType(self.fn, instance)
        return bound

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as a run."""
        if self.is_async:
            later: Any = self._call_later(args, kwargs)
            return later  # type: ignore[no-any-return]
        with self._running(args, kwargs) as delays:
            for delay in delays:
                try:
                    return _resolved(self.fn(*args, **kwargs))  # type: ignore[no-any-return]
                except Exception:  # noqa: BLE001 - it is to be tried again whatever it was
                    time.sleep(delay)
            return _resolved(self.fn(*args, **kwargs))  # type: ignore[no-any-return]

    async def _call_later(self, args: Any, kwargs: Any) -> Any:
        import asyncio

        call: Any = self.fn
        with self._running(args, kwargs) as delays:
            for delay in delays:
                try:
                    return _resolved(await call(*args, **kwargs))
                except Exception:  # noqa: BLE001 - it is to be tried again whatever it was
                    await asyncio.sleep(delay)
            return _resolved(await call(*args, **kwargs))

    @abstractmethod
    def _running(self, args: Any, kwargs: Any) -> AbstractContextManager[list[float]]:
        """Let the run of one call be current; give the seconds before each further attempt."""

    @contextmanager
    def _run(self, name: str, step: str | None, args: Any, kwargs: Any) -> Iterator[list[float]]:
        """Let a run be current inside; give the seconds to wait before each further attempt."""
        arguments = inspect.signature(self.fn).bind(*args, **kwargs).arguments
        params = {name: value for name, value in arguments.items() if _is_small(value)}
        with repository().run(name, step=step, params=params):
            token = _is_async.set(self.is_async)
            try:
                yield self._delays()
            finally:
                _is_async.reset(token)

    def _delays(self) -> list[float]:
        delay = self.retry_delay_seconds
        if callable(delay):
            delay = delay(self.retries)
        seconds = list(delay) if isinstance(delay, (list, tuple)) else [delay or 0]
        return [seconds[min(number, len(seconds) - 1)] for number in range(self.retries)]


class Flow(_Job[P, R]):
    """A function whose calls are runs, which tasks called inside are part of."""

    @contextmanager
    def _running(self, args: Any, kwargs: Any) -> Iterator[list[float]]:
        with self._run(self.name, None, args, kwargs) as delays:
            run = _FlowRun(self.name)
            token = _flow.set(run)
            try:
                yield delays
            finally:
                _flow.reset(token)
                run.pool.shutdown()  # what was submitted is part of the flow


class Task(_Job[P, R]):
    """A function whose calls are steps of the flow that calls it, or runs of their own."""

    @contextmanager
    def _running(self, args: Any, kwargs: Any) -> Iterator[list[float]]:
        flow = _flow.get()
        name, step = (flow.name, self.name) if flow else (self.name, None)
        with self._run(name, step, args, kwargs) as delays:
            yield delays

    def submit(
        self,
        *args: Any,
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        **kwargs: Any,
    ) -> PrefectFuture[R]:
        """Call it in a thread, once what is waited for, and the futures among the arguments, are there."""
        needed = list(wait_for or ())

        def call() -> Any:
            for future in needed:
                future.wait()
            return self._value(*_resolved(list(args)), **_resolved(kwargs))

        flow = _flow.get()
        pool = flow.pool if flow else _threads()
        future = pool.submit(contextvars.copy_context().run, call)
        if not flow:
            pool.shutdown(wait=False)
        return PrefectFuture(future)

    def _value(self, *args: Any, **kwargs: Any) -> Any:
        value: Any = self(*args, **kwargs)
        if not self.is_async:
            return value
        import asyncio

        return asyncio.run(value)

    def map(
        self,
        *args: Any,
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        **kwargs: Any,
    ) -> PrefectFutureList[R]:
        """Submit it for each item of the arguments that are iterable, texts and `unmapped` ones aside."""
        args, kwargs = tuple(_resolved(list(args))), _resolved(kwargs)
        every: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        mapped = {name: list(value) for name, value in every if _is_mapped(value)}
        lengths = {len(items) for items in mapped.values()}
        if len(lengths) != 1:
            found = f"lengths {sorted(lengths)}" if lengths else "nothing iterable"
            error = MappingLengthMismatch if lengths else MappingMissingIterable
            raise error(f"{self.name}.map needs iterables of one length, and there are {found}")

        def item(name: int | str, value: Any, number: int) -> Any:
            if name in mapped:
                return mapped[name][number]
            return value.value if isinstance(value, unmapped) else value

        return PrefectFutureList(
            self.submit(
                *(item(place, value, number) for place, value in enumerate(args)),
                wait_for=wait_for,
                **{name: item(name, value, number) for name, value in kwargs.items()},
            )
            for number in range(lengths.pop())
        )


def _is_mapped(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, unmapped))


def _is_small(value: Any) -> bool:
    """Whether an argument is a parameter that is recorded, rather than data."""
    if type(value) is str:
        return len(value) <= _TEXT
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return value is None or type(value) in (bool, float)


def _resolved(value: Any) -> Any:
    """Return a value with the results of futures in their places."""
    if isinstance(value, PrefectFuture):
        return value.result()
    if type(value) in (list, tuple, PrefectFutureList):
        made = [_resolved(item) for item in value]
        return tuple(made) if type(value) is tuple else made
    if type(value) is dict:
        return {name: _resolved(item) for name, item in value.items()}
    return value


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(*, name: str | None = None, **options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Make the calls of a function runs: `@flow`, or with options."""
    return Flow(fn) if fn is not None else lambda fn: Flow(fn, **options)


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(*, name: str | None = None, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Make the calls of a function steps of a flow, or runs: `@task`, or with options."""
    return Task(fn) if fn is not None else lambda fn: Task(fn, **options)
