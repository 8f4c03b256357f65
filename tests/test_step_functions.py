"""Which functions are steps, and what they may be given and return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict, Union

import pytest

import art
from art import runs
from art.annotations import check_type
from art.errors import UsageError
from art.repo import Repo
from art.version import Version

Number = NewType("Number", int)
where: ContextVar[str] = ContextVar("where", default="nowhere")


class Point(TypedDict):
    x: int


@art.step
def load(count: int = 3) -> Annotated[list[int], "numbers"]:
    return list(range(count))


@art.step
def anything(value):  # type: ignore[no-untyped-def]
    return value


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "place"),
    [
        (list[int], [1, True], [1, "2"], "str at [1]"),
        (list[float], [1, 2.5], [1, None], "expected list[float]"),
        (list[list[int]], [[1], []], [[1], [2, "x"]], "str at [1][1]"),
        (list[Any], [1, "x", None], (1,), "a value of type tuple, expected"),
        (Sequence[int], [1, 2], ["x"], "str at [0]"),
        (dict[str, int], {"a": 1}, {"a": 1, "b": "x"}, "str at ['b']"),
        (dict[str, list[int]], {"a": [1]}, {"a": [1, 2.5]}, "float at ['a'][1]"),
        (Mapping[str, int | None], {"a": None}, {"a": "x"}, "str at ['a']"),
        (tuple[int, str], (1, "x"), (1, 2), "int at [1]"),
        (tuple[int, str], (1, "x"), (1,), "a value of type tuple, expected tuple[int, str]"),
        (tuple[int, ...], (1, 2, 3), (1, "x"), "str at [1]"),
        (list[int] | None, None, ["x"], "a value of type list, expected"),
        (Optional[list[int]], [1], ["x"], "a value of type list, expected"),  # noqa: UP045
        (Union[list[int], list[str]], ["x"], [1, "x"], "a value of type list, "),  # noqa: UP007
        (list[Literal["a", 1]], ["a", 1], ["a", True], "bool at [1]"),
        (list[Annotated[int, "an id"]], [1], ["x"], "str at [0]"),
        (Point, {"x": 1}, {"x": "y"}, "str at ['x']"),
        (list[Point], [{"x": 1}], [{"y": 1}], "dict at [0]"),
        (list[Number], [1], ["x"], "str at [0]"),
    ],
)
def test_what_is_nested_in_arguments_and_results_is_of_the_annotated_types(
    annotation: Any, good: Any, bad: Any, place: str, repo: Repo
) -> None:
    def same(value):  # type: ignore[no-untyped-def]
        return value

    def given(value):  # type: ignore[no-untyped-def]
        return bad

    same.__annotations__["value"] = annotation
    given.__annotations__["return"] = Annotated[annotation, "given"]
    assert art.step(same)(good).load() in (good, list(good or ()))
    for call in (lambda: art.step(same)(bad), lambda: art.step(given)(0)):
        with pytest.raises(UsageError) as caught:
            call()
        assert place in caught.value.message


def test_versions_in_lists_are_given_as_they_are_where_that_is_annotated(repo: Repo) -> None:
    @art.step
    def refs(parts: list[Version], more: Version | None) -> Annotated[list[str], "refs"]:
        return [part.ref for part in parts]

    one = load(1)
    assert refs([one, one], None).load() == ["numbers@v1", "numbers@v1"]


def test_items_of_variable_arguments_are_of_the_annotated_type_too(repo: Repo) -> None:
    @art.step
    def sums(*parts: list[int], **names: str) -> Annotated[int, "sum"]:
        return sum(map(sum, parts))

    assert sums([1], load(3), name="x").load() == 4
    with pytest.raises(UsageError, match=r"argument parts .* str at \[1\]\[0\]"):
        sums([1], ["x"])
    with pytest.raises(UsageError, match=r"argument names .* int at \['name'\]"):
        sums(name=1)


def test_long_lists_are_looked_at_in_bounded_time() -> None:
    numbers: list[Any] = [0] * 1_000_000
    check_type(numbers, list[int], "it is")
    numbers[-1] = "x"
    with pytest.raises(UsageError, match=r"str at \[999999\]"):
        check_type(numbers, list[int | None], "it is")

    class Counted(list[int]):
        looked = 0

        def __iter__(self) -> Iterator[int]:
            Counted.looked += 1
            return super().__iter__()

    check_type([Counted() for _ in range(150_000)], list[list[int]], "it is")
    assert Counted.looked == 100_000


def test_long_arguments_are_cut_in_errors(repo: Repo) -> None:
    class Long:
        def __repr__(self) -> str:
            return "long" * 5000

    for value in (Long(), [Long()], {"long" * 5000: Long()}, {Long(): 1}, 10**5000):
        with pytest.raises(UsageError, match="neither a parameter nor a version") as caught:
            anything(value)
        assert len(str(caught.value)) < 400
    with pytest.raises(UsageError, match="is of type object, expected text"):
        anything(object())


def test_functions_of_every_kind_are_steps_or_refused_at_once(repo: Repo) -> None:
    class Sums:
        @art.step
        @staticmethod
        def total(numbers: list[int]) -> Annotated[int, "total"]:
            return sum(numbers)

        @staticmethod
        @art.step
        def count(numbers: list[int]) -> Annotated[int, "count"]:
            return len(numbers)

        def method(self, numbers: list[int]) -> int:
            return len(numbers)

    assert (Sums.total([1, 2]).load(), Sums().total([1, 2, 3]).load()) == (3, 6)
    assert (Sums.count([1, 2]).load(), Sums().count([1, 2]).load()) == (2, 2)
    doubled, trebled = art.step(name="n")(lambda n: n * 2), art.step(name="n")(lambda n: n * 3)
    assert [doubled(2).load(), trebled(2).load(), doubled(2).load()] == [4, 6, 4]

    def numbers():  # type: ignore[no-untyped-def]
        yield 1

    async def later():  # type: ignore[no-untyped-def]
        yield 1

    wrong = {
        "a lambda needs a name": lambda: 1,
        "is a generator": numbers,
        "later cannot be a step: it is a generator": later,
        "method cannot be a step: it is a method": Sums.method,
        "it is a method, expected a function": Sums().method,
        "total is a step already": Sums.total,
        "Sums cannot be a step: it is a class": Sums,
        "it is a partial": partial(sum, [1]),
        "len cannot be a step: it is a builtin": len,
    }
    for message, function in wrong.items():
        with pytest.raises(UsageError, match=message):
            art.step(function)
    with pytest.raises(UsageError, match="it is a method"):

        class Steps:
            @art.step
            def method(self) -> None:
                pass

    with pytest.raises(UsageError, match="it is a method"):

        class More:
            @art.step
            @classmethod
            def method(cls) -> None:
                pass


@art.step
async def fetched(name: str, seconds: float = 0) -> Annotated[str, "fetched/{name}"]:
    await asyncio.sleep(seconds)
    run = runs.current()
    assert run is not None
    return f"{name} {where.get()} {run.about['step']}"


@art.step
async def joined(parts: list[str], more: int = 0) -> Annotated[list[str], "joined"]:
    for _ in range(more):
        await fetched("inner")
    return parts


def test_asynchronous_functions_are_awaited_in_their_runs(repo: Repo) -> None:
    async def work() -> Any:
        where.set("here")
        with art.run("etl") as run:
            made = await asyncio.gather(*(fetched(f"n{n}", 0.01) for n in range(20)))
            return run.id, made, await joined(list(made), more=1)

    id, made, last = asyncio.run(work())
    assert [each.load() for each in made[:2]] == ["n0 here fetched", "n1 here fetched"]
    assert [each["key"] for each in last.inputs][:2] == ["fetched/n0", "fetched/n1"]
    past = repo.get_run(id)
    assert len(past.steps) == 21
    assert list(past.steps["joined"].steps) == ["fetched"]
    assert {run.status for run in repo.runs()} == {"completed"}
    count = len(repo.runs())
    asyncio.run(work())
    again = repo.runs()[: len(repo.runs()) - count]
    assert sum(run.cached is not None for run in again) >= 20


def test_many_asynchronous_steps_that_await_others_do_not_wait_for_each_other(repo: Repo) -> None:
    @art.step
    async def outer(number: int) -> Annotated[int, "outer/{number}"]:
        return len((await fetched(f"of{number}")).load())

    async def work() -> Any:
        return await asyncio.gather(*map(outer, range(40)))

    assert [version.load() for version in asyncio.run(work())] == [
        len(f"of{number} nowhere fetched") for number in range(40)
    ]


def test_an_asynchronous_step_that_fails_or_is_cancelled_leaves_a_record(repo: Repo) -> None:
    ended = []

    @art.step
    async def waits() -> Annotated[int, "never"]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return 1

    @art.step
    async def fails() -> Annotated[int, "never"]:
        raise ValueError("no luck")

    async def work() -> None:
        nonlocal begun
        begun = asyncio.Event()
        task = asyncio.ensure_future(waits())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ValueError, match="no luck"):
            await fails()

    begun: Any = None
    asyncio.run(work())
    assert ended == ["cancelled"]
    failed, cancelled = repo.runs()
    assert failed.error == "ValueError: no luck"
    assert str(cancelled.error).startswith("CancelledError")
    assert repo.keys() == []
