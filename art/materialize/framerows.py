"""Rows of pandas' frames, as everyone is shown them: in listings, in other forms, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from art.materialize.libraries import require
from art.materialize.registry import named

FRAMES = ("pandas", "pandas-series")  # names of the materializers
SLICE = 1 << 14  # rows of a frame or an array that become Python objects at once


def frame_head(materializer: str, stream: BinaryIO, limit: int | None) -> tuple[Any, int]:
    """Return the first rows of a stored frame or Series as a DataFrame, and how many there are."""
    from art.materialize.frames import PandasFrames

    found = named(materializer)
    assert isinstance(found, PandasFrames)
    return found.head(stream, limit)


def frame_rows(frame: Any) -> tuple[list[str], Callable[[], Iterator[Sequence[Any]]]]:
    """Return the columns of a DataFrame and what goes through its rows; the index comes first, unless it
    only counts them. A cell is as pandas has it, None for NA and NaT."""
    vectors = frame_vectors(frame)
    levels = frame.index.nlevels if len(vectors) > frame.shape[1] else 0
    names = [_level_name(frame.index, level) for level in range(levels)]

    def again() -> Iterator[Sequence[Any]]:
        for start in range(0, len(frame), SLICE):
            parts = [cells(vector[start : start + SLICE]) for vector in vectors]
            rows = min(SLICE, len(frame) - start)
            yield from zip(*parts, strict=True) if parts else ([] for _ in range(rows))

    return names + [str(label) for label in frame.columns], again


def frame_vectors(frame: Any) -> list[Any]:
    """Return the levels of the index, unless it only counts the rows, and the columns."""
    pandas = require("pandas", "frames")
    index = frame.index
    levels = range(0 if _only_counts(pandas, index) else index.nlevels)
    columns = (frame.iloc[:, place].array for place in range(frame.shape[1]))
    return [*(index.get_level_values(level) for level in levels), *columns]


def is_coded(dtype: Any) -> bool:
    """Whether values of this dtype are stored as something else than what they are shown as."""
    pandas = require("pandas", "frames")
    if isinstance(dtype, pandas.CategoricalDtype):
        dtype = dtype.categories.dtype
    return isinstance(dtype, (pandas.PeriodDtype, pandas.IntervalDtype))


def _only_counts(pandas: Any, index: Any) -> bool:
    plain = isinstance(index, pandas.RangeIndex) and index.name is None
    return bool(plain and index.start == 0 and index.step == 1)


def _level_name(index: Any, level: int) -> str:
    name = index.names[level]
    if name is not None:
        return str(name)
    return "index" if index.nlevels == 1 else f"level {level + 1}"


def cells(vector: Any) -> list[Any]:
    """Return the values of a vector as Python has them, None for NA and NaT."""
    pandas = require("pandas", "frames")
    missing = (pandas.NA, pandas.NaT)
    values = pandas.Series(vector).astype(object).tolist()
    return [None if any(value is each for each in missing) else value for value in values]
