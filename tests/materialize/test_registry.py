"""Which materializer is for an object."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from art.errors import NotFoundError, UsageError
from art.materialize import Materializer, Stream, asked, find, named, register, registry


class Animal:
    pass


class Dog(Animal):
    pass


class Puppy(Dog):
    pass


class Animals(Stream):
    name = "animals"
    types: tuple[type | str, ...] = (Animal,)

    def filename(self, value: Any) -> str:
        return "animal.txt"

    def write(self, value: Any, stream: BinaryIO) -> dict[str, Any]:
        return {"name": "animal"}

    def read(self, stream: BinaryIO, format: dict[str, Any]) -> Any:
        return Animal()


class AllAnimals(Animals):
    name = "all-animals"
    takes_subclasses = True


class Dogs(Animals):
    name = "dogs"
    types = (Dog,)


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_registered", [])
    yield
    registry._plugins.cache_clear()


def give_plugins(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    points = [EntryPoint(f"p{n}", value, registry.ENTRY_POINT) for n, value in enumerate(values)]
    monkeypatch.setattr(
        registry, "entry_points", lambda group: points if group == registry.ENTRY_POINT else []
    )
    registry._plugins.cache_clear()


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "a", b"a", [], (), {}, set(), 1j], ids=repr)
def test_what_python_has_is_for_the_built_in_one(value: object) -> None:
    assert find(value).name == "value"


def test_the_exact_type_comes_before_its_bases() -> None:
    register(AllAnimals())
    assert find(Puppy()).name == "all-animals"
    register(Dogs())
    register(AllAnimals())
    assert (find(Animal()).name, find(Dog()).name) == ("all-animals", "dogs")


def test_the_nearest_base_decides_and_a_subclass_is_refused_unless_it_is_taken() -> None:
    register(AllAnimals())
    register(Dogs())
    with pytest.raises(
        UsageError, match=r"Puppy would come back as its base .*Dog: it is not saved"
    ) as caught:
        find(Puppy())
    assert caught.value.hint == "convert it to Dog, or art.register_materializer(…) for it"


def test_the_subclass_of_a_built_in_type_is_refused() -> None:
    class Text(str):
        pass

    with pytest.raises(UsageError, match="Text would come back as its base str: it is not saved"):
        find(Text("x"))


def test_an_object_nobody_can_save_is_an_error_that_says_what_helps() -> None:
    with pytest.raises(UsageError, match=r"there is no materializer for .*Animal") as caught:
        find(Animal())
    assert "art.register_materializer(…)" in str(caught.value.hint)


def test_the_error_for_a_well_known_type_says_what_to_save_instead() -> None:
    for value, hint in (
        ((each for each in ()), "save list(…) of it"),
        (memoryview(b""), "save bytes(…) of it"),
        (np.ma.array([1]), "save its .data and its .mask, in a dict"),
        (pd.DatetimeIndex([]), "save its to_series(), or its to_frame()"),
        (pd.Categorical(["a"]), "save pandas.Series(…) of it"),
        (pl.LazyFrame(), "save what its collect() returns"),
        (pa.record_batch({"a": [1]}), "save pyarrow.Table.from_batches([…])"),
        (pa.array([1]), "save pyarrow.table({…: it})"),
    ):
        with pytest.raises(UsageError) as caught:
            find(value)
        assert caught.value.hint == hint


def test_what_lies_in_another_object_and_nobody_can_save_is_pickled_with_the_whole_of_it(
    repo: Any,
) -> None:
    for pickle in (False, True):
        with pytest.raises(UsageError, match=r"at \['a'\]: there is no materializer") as caught:
            repo.save({"a": Animal()}, "k", pickle=pickle)
        assert 'materializer="pickle", pickle=True' in str(caught.value.hint)
    with pytest.warns(UserWarning, match="pickle"):
        repo.save({"a": Animal}, "k", materializer="pickle", pickle=True)


def test_the_last_one_registered_comes_first_also_before_built_in_ones() -> None:
    class Numbers(Animals):
        name = "numbers"
        types = (complex,)

    class Others(Numbers):
        name = "others"

    register(Numbers())
    assert find(1j).name == "numbers"
    register(Others())
    assert (find(1j).name, named("numbers").name) == ("others", "numbers")
    register(Numbers())
    assert find(1j).name == "numbers"


def test_types_may_be_named_by_package_and_class() -> None:
    class Named(Animals):
        name = "named"
        types = ("fractions.Fraction", f"{Animal.__module__.partition('.')[0]}.Animal")

    from fractions import Fraction

    register(Named())
    assert (find(Fraction(1)).name, find(Animal()).name) == ("named", "named")


def test_a_name_is_of_one_class_only() -> None:
    class Thief(Animals):
        pass

    register(Animals())
    assert register(again := Animals()) is again
    assert named("animals") is again
    with pytest.raises(UsageError, match="there is a materializer 'animals' already"):
        register(Thief())

    class Value(Animals):
        name = "value"

    with pytest.raises(UsageError, match="'value' is the name of a built-in materializer"):
        register(Value())


@pytest.mark.parametrize(
    "what",
    [Animals, object(), Materializer(), "animals", None],
    ids=["class", "object", "base", "text", "none"],
)
def test_what_is_no_materializer_is_not_registered(what: Any) -> None:
    with pytest.raises(UsageError, match="is no materializer"):
        register(what)


def test_a_materializer_needs_a_name() -> None:
    class Nameless(Stream):
        pass

    with pytest.raises(UsageError, match="has no name"):
        register(Nameless())


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="there is no materializer 'nope' here"):
        named("nope")


def test_installed_packages_bring_materializers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "READY", Dogs(), raising=False)
    give_plugins(monkeypatch, f"{__name__}:AllAnimals", f"{__name__}:READY")

    assert (find(Animal()).name, find(Dog()).name, named("dogs").name) == (
        "all-animals",
        "dogs",
        "dogs",
    )
    register(Animals())
    assert find(Animal()).name == "animals"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"{__name__}:Animal", "is no materializer"),
        (f"{__name__}:Nothing", "cannot be loaded"),
        ("no_such_module_at_all:Nothing", "cannot be loaded"),
        (f"{__name__}:Builtin", "is the name of a built-in materializer"),
    ],
)
def test_a_package_that_brings_something_else_is_named(
    value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Builtin(Animals):
        name = "numpy"

    monkeypatch.setattr(sys.modules[__name__], "Builtin", Builtin, raising=False)
    give_plugins(monkeypatch, value)
    with pytest.raises(UsageError, match=message):
        find(Animal())


def test_looking_for_a_materializer_imports_nothing_for_other_objects() -> None:
    code = (
        "import sys\n"
        "from art.materialize import find\n"
        "from pathlib import Path\n"
        "for value in (1, 'a', [1], Path()): find(value)\n"
        "print([m for m in sys.modules if m.partition('.')[0] in\n"
        "    ('numpy', 'pandas', 'polars', 'pyarrow', 'PIL', 'matplotlib', 'plotly', 'torch', 'sklearn',\n"
        "     'skops', 'safetensors', 'pydantic', 'yaml', 'rich', 'fsspec')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_OF_ANY = ("pickle", "safetensors", "value")  # these look themselves at what they are given


@pytest.mark.parametrize("name", [name for name in registry._BUILTIN if name not in _OF_ANY])
def test_a_built_in_one_that_is_named_for_another_type_is_refused(name: str) -> None:
    for value in (3, [1, 2], Animal()):
        with pytest.raises(UsageError, match=f"'{name}' is for other types than "):
            asked(name, value)


def test_a_subclass_is_refused_where_its_materializer_is_named_too() -> None:
    class Numbers(list[int]):
        pass

    with pytest.raises(UsageError, match="'value' is for other types than "):
        asked("value", Numbers())
    with pytest.raises(UsageError, match="'value' is for other types than "):
        asked(named("value"), lambda: 1)


def test_what_is_given_as_a_materializer_must_be_one() -> None:
    with pytest.raises(UsageError, match="is no materializer"):
        asked(int, 3)
    assert isinstance(asked(Animals(), Dog()), Animals)
    assert asked("value", [1]).name == "value"
