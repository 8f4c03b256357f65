"""Pickles: named on purpose, never without a warning."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

from art.errors import CorruptError, UsageError
from art.materialize import find, named
from tests.materialize.shapes import Plain

PICKLES: Any = named("pickle")


def dump(value: object) -> tuple[bytes, dict[str, Any]]:
    stream = io.BytesIO()
    with pytest.warns(UserWarning, match="loading it runs code"):
        format = PICKLES.write(value, stream)
    return stream.getvalue(), format


def test_what_is_pickled_comes_back_with_warnings_on_both_ends() -> None:
    data, format = dump({"a": Plain(range(3))})

    assert format == {"name": "pickle", "protocol": 5, "class": "builtins:dict"}
    assert PICKLES.filename({}) == "content.pickle"
    with pytest.warns(UserWarning, match="runs whatever code its author put into it"):
        assert PICKLES.read(io.BytesIO(data), format) == {"a": Plain(range(3))}


def test_no_object_is_pickled_unless_that_is_asked_for() -> None:
    for value in (len, object(), iter([])):
        with pytest.raises(UsageError, match="there is no materializer for") as caught:
            find(value)
        assert "pickle=True on both ends" in str(caught.value.hint)


@pytest.mark.parametrize(
    "value", [lambda: 1, iter(x for x in ""), open], ids=["lambda", "generator", "open"]
)
def test_what_cannot_be_pickled_is_an_error(value: object) -> None:
    if value is open:
        dump(value)  # a function is pickled as its name
        return
    with (
        pytest.warns(UserWarning, match="saved as a pickle"),
        pytest.raises(UsageError, match="it cannot be pickled"),
    ):
        PICKLES.write(value, io.BytesIO())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x05",
        pickle.dumps([1])[:-1],
        b"cnowhere\nnothing\n.",
        b"cos\nnothing\n.",
        b"\xff" * 9,
    ],
)
def test_a_damaged_pickle_is_corrupt(data: bytes) -> None:
    with pytest.warns(UserWarning, match="loaded from a pickle"), pytest.raises(CorruptError):
        PICKLES.read(io.BytesIO(data), {})
