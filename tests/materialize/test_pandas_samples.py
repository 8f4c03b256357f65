"""What pandas tests itself with: its indexes, its dtypes, its frames."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pandas as pd
import pytest

from art.errors import UsageError
from tests.materialize.trips import back, stored

tm = pytest.importorskip("pandas._testing")
conftest = pytest.importorskip("pandas.conftest")

# Parquet has no complex numbers, and of objects it holds only those of one type.
REFUSED = {"complex64", "complex128", "mixed-int-string"}
NO_PARQUET = ("time32[s]", "date64", "timestamp[s")
INDEXES = dict(conftest.indices_dict)
DTYPES = sorted(
    {
        str(dtype)
        for name in (
            *("ALL_NUMERIC_DTYPES", "DATETIME64_DTYPES", "TIMEDELTA64_DTYPES"),
            *("BOOL_DTYPES", "STRING_DTYPES"),
        )
        for dtype in getattr(tm, name)
    }
    - {"<class 'bool'>", "<class 'int'>", "<class 'float'>", "<class 'complex'>", "<class 'str'>"}
)
ARROW = {str(dtype): dtype for dtype in getattr(tm, "ALL_PYARROW_DTYPES", [])}


def assert_same(made: Any, value: Any) -> None:
    assert type(made) is type(value)
    compare = tm.assert_frame_equal if isinstance(value, pd.DataFrame) else tm.assert_series_equal
    compare(made, value, check_exact=True, check_freq=True)
    assert made.index.identical(value.index)
    assert made.attrs == value.attrs


@pytest.mark.parametrize("name", INDEXES)
def test_every_index_comes_back_as_index_and_as_column(name: str) -> None:
    index = INDEXES[name]
    values: list[Any] = [pd.DataFrame({"n": range(len(index))}, index=index)]
    values.append(pd.Series(range(len(index)), index=index, name=("a", 1)))
    if not isinstance(index, pd.MultiIndex):
        values.append(pd.DataFrame({"c": index.to_series(index=range(len(index)))}))
        values.append(index.to_series(index=range(len(index))))
    for value in values:
        if name in REFUSED:
            with pytest.raises(UsageError, match="cannot be saved"):
                stored(value)
        else:
            assert_same(back(value), value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(dtype: str) -> None:
    for values in ([], [1, 0, 1], [0] * 5):
        series = pd.Series(values, dtype="int64").astype(dtype)
        if dtype.startswith(("complex", "c8", "c16")):
            with pytest.raises(UsageError, match="cannot be saved"):
                stored(series)
            continue
        assert_same(back(series), series)
        frame = pd.DataFrame({"a": series, "b": series})
        assert_same(back(frame), frame)


@pytest.mark.parametrize("name", ARROW)
def test_every_dtype_of_arrow_comes_back(name: str) -> None:
    dtype = pd.ArrowDtype(ARROW[name])
    some = {
        "b": True, "i": 1, "u": 1, "f": 1.5, "d": decimal.Decimal(1), "s": "x", "t": dt.timedelta(1),
    }  # fmt: skip
    kinds = {"bool": "b", "uint": "u", "int": "i", "float": "f", "double": "f", "half": "f",
             "decimal": "d", "string": "s", "binary": "y", "timestamp": "m", "date": "a",
             "time": "h", "duration": "t"}  # fmt: skip
    some |= {"y": b"x", "m": dt.datetime(2026, 1, 2, 3), "a": dt.date(2026, 1, 2)}  # noqa: DTZ001
    some |= {"h": dt.time(1, 2, 3)}
    kind = next(kinds[each] for each in ("timestamp", "duration", *kinds) if name.startswith(each))
    for values in ([], [some[kind], None, some[kind]], [None]):
        series = pd.Series(values, dtype=dtype)
        if name.startswith(NO_PARQUET):
            with pytest.raises(UsageError, match="Parquet has no place for its type"):
                stored(series)
        else:
            assert_same(back(series), series)


@pytest.mark.parametrize(
    "name",
    [
        *("float_frame", "int_frame"),
        *("multiindex_year_month_day_dataframe_random_data", "datetime_series", "string_series"),
        *("object_series", "rand_series_with_duplicate_datetimeindex"),
    ],
)
def test_every_frame_and_series_comes_back(name: str) -> None:
    fixture = getattr(conftest, name, None)
    if fixture is None:
        pytest.skip(f"this pandas has no {name}")
    value = getattr(fixture, "__wrapped__", getattr(fixture, "_fixture_function", None))()
    assert_same(back(value), value)
