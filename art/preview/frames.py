"""Previews of tables of pandas, polars and Arrow.

Statistics are over at most a million rows, taken evenly, one column after another, so that a large table
costs little; `over` says how many, of the table, and of a column where they are fewer. Arrow computes them;
what it cannot, and where it is not installed, is looked at by Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from art.errors import UsageError
from art.model import Document
from art.preview import columns as plain
from art.preview.columns import HEAD, TOP, WIDTH, cell, short
from art.preview.form import number
from art.tables import BEYOND, arrow_value, arrow_values

ROWS = 1_000_000
CELLS = 20_000_000
BYTES = 32 << 20  # of one column that is looked at


@dataclass(frozen=True)
class _Column:
    """`values(step, limit)` gives every step-th value, at most `limit`, as a list of Python's;
    `arrow(step)` gives every step-th as an Arrow array. `width` is bytes per value, as far as known."""

    name: str
    dtype: str
    values: Callable[[int, int], list[Any]]
    arrow: Callable[[int], Any]
    width: float
    is_index: bool = False


@dataclass(frozen=True)
class _Table:
    rows: int
    width: int
    columns: Iterator[_Column]


def of_frame(frame: Any) -> Document:
    """Return the preview of a pandas DataFrame or Series, a polars DataFrame or an Arrow table."""
    package = type(frame).__module__.partition(".")[0]
    if package not in _TABLES:
        raise UsageError(f"a {type(frame).__name__} is no table")
    table = _TABLES[package](frame)
    step = math.ceil(table.rows / max(1000, min(ROWS, CELLS // max(table.width, 1)))) or 1
    found, heads = [], []
    for column in table.columns:
        found.append(_described(column, table.rows, step))
        heads.append([cell(value) for value in column.values(1, HEAD)])
    head = [list(row) for row in zip(*heads, strict=True)]
    over = math.ceil(table.rows / step)
    return plain.table(found, head, rows=table.rows, over=over, width=table.width)


def _described(column: _Column, rows: int, step: int) -> Document:
    wider = math.ceil(rows * column.width / BYTES) or 1
    found, over = _statistics(column, max(step, wider), rows)
    if over < rows and "uniques" in found:
        found["uniques_exact"] = False
    head: Document = {"name": short(column.name, plain.CELL)}
    if over != math.ceil(rows / step):
        head["over"] = over  # fewer rows than of the other columns
    return head | ({"index": True} if column.is_index else {}) | found | {"dtype": column.dtype}


def _statistics(column: _Column, step: int, rows: int) -> tuple[Document, int]:
    """Return what there is to say of a column, and over how many rows."""
    try:
        import pyarrow
    except ImportError:
        pass
    else:
        try:
            over = math.ceil(rows / step)
            return _computed(column.arrow(step), rows=over), over
        except (pyarrow.lib.ArrowException, TypeError, ValueError, OverflowError):
            pass  # a type that it does not have, or mixed values
    values = column.values(max(step, math.ceil(rows / plain.ROWS)), plain.ROWS)
    return plain.statistics(values), len(values)


# --- what Arrow computes ------------------------------------------------------------------------


def _computed(values: Any, rows: int) -> Document:
    import pyarrow as arrow
    import pyarrow.compute as compute

    types = arrow.types
    kind = values.type
    if types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if types.is_floating(kind):
        values = compute.if_else(compute.is_nan(values), arrow.scalar(None, kind), values)
    found: Document = {"count": rows - values.null_count, "nulls": values.null_count}
    if not found["count"] or types.is_nested(kind):
        return found
    if types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind):
        return found | _uniques(values, compute) | _frequent(values, compute)
    if not (types.is_primitive(kind) or types.is_decimal(kind)):
        return found
    return found | _uniques(values, compute) | _range(values, arrow, compute)


def _uniques(values: Any, compute: Any) -> Document:
    """Return how many different values there are. Where the first ones are many already, the rest is
    not counted, which would take long."""
    first = compute.count_distinct(values.slice(0, _FIRST)).as_py()
    if first > plain.UNIQUES and len(values) > _FIRST:
        return {"uniques": first, "uniques_exact": False}
    return {"uniques": compute.count_distinct(values).as_py(), "uniques_exact": True}


_FIRST = 1 << 16


def _frequent(values: Any, compute: Any) -> Document:
    if compute.count_distinct(values.slice(0, _FIRST)).as_py() > plain.UNIQUES:
        return {}
    counted = compute.value_counts(values.drop_null())
    counts = counted.field("counts")
    order = compute.select_k_unstable(counts, TOP, [("", "descending")])
    top = [(counted.field("values")[i.as_py()].as_py(), counts[i.as_py()].as_py()) for i in order]
    if top[0][1] == 1:
        return {}
    top.sort(key=lambda pair: (-pair[1], str(pair[0])))
    return {"top": [[plain.shortest(value), count] for value, count in top]}


def _range(values: Any, arrow: Any, compute: Any) -> Document:
    kind = values.type
    if arrow.types.is_float16(kind):
        values = values.cast(arrow.float32())
    ends = compute.min_max(values)
    low, high = ends["min"], ends["max"]
    found: Document = {"min": _cell(low), "max": _cell(high)}
    is_time = arrow.types.is_temporal(kind)
    if not is_time:
        found["mean"] = number(float(compute.mean(values).as_py()))
    if arrow.types.is_interval(kind) or arrow.types.is_time(kind):
        return found
    if is_time:
        unit = arrow.int64() if kind.bit_width == 64 else arrow.int32()
        shown = (found["min"], found["max"])
        return found | _histogram(
            values.cast(unit).cast(arrow.float64(), safe=False), compute, shown
        )
    finite = values.cast(arrow.float64(), safe=False)
    if arrow.types.is_floating(kind):
        finite = finite.filter(compute.is_finite(finite))
    return found | _histogram(finite, compute, None)


def _histogram(values: Any, compute: Any, shown: tuple[Any, Any] | None) -> Document:
    if len(values) == values.null_count:
        return {}
    ends = compute.min_max(values).as_py()
    low, high = ends["min"], ends["max"]
    if not math.isfinite(high - low) or high <= low:
        return {}
    places = compute.floor(
        compute.multiply(
            compute.divide(compute.subtract(values, low), high - low), float(plain.BINS)
        )
    )
    counts = [0] * plain.BINS
    for each in compute.value_counts(places.drop_null()):
        counts[min(int(each["values"].as_py()), plain.BINS - 1)] += each["counts"].as_py()
    first, last = shown or (number(low), number(high))
    return {"histogram": {"low": first, "high": last, "counts": counts}}


def _cell(scalar: Any) -> Any:
    return cell(arrow_value(scalar))


# --- where tables have their columns ------------------------------------------------------------


def _pandas(frame: Any) -> _Table:
    import pandas

    if isinstance(frame, pandas.Series):
        named = [("" if frame.name is None else str(frame.name), frame)]
    else:
        named = []
    plain_index = type(frame.index) is pandas.RangeIndex and frame.index.name is None
    levels = 0 if plain_index else frame.index.nlevels
    width = levels + (len(named) or frame.shape[1])

    def found() -> Iterator[_Column]:
        for level in range(levels):
            yield _level(frame.index, level)
        for place in range(min(width, WIDTH) - levels):
            name, series = (
                named[place] if named else (_label(frame.columns[place]), frame.iloc[:, place])
            )
            yield _series(name, series)

    return _Table(len(frame), width, found())


def _label(label: Any) -> str:
    return " / ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _level(index: Any, level: int) -> _Column:
    name = index.names[level]
    dtype = index.dtypes.iloc[level] if index.nlevels > 1 else index.dtype

    def part(step: int, limit: int | None = None) -> Any:
        return index[::step][:limit].get_level_values(level).to_series()

    return _of_pandas("" if name is None else str(name), dtype, part, is_index=True)


def _series(name: str, series: Any) -> _Column:
    def part(step: int, limit: int | None = None) -> Any:
        return series.iloc[::step].iloc[:limit]

    return _of_pandas(name, series.dtype, part, is_index=False)


def _of_pandas(name: str, dtype: Any, part: Callable[..., Any], *, is_index: bool) -> _Column:
    import pandas

    def arrow(step: int) -> Any:
        import pyarrow

        if isinstance(dtype, (pandas.PeriodDtype, pandas.IntervalDtype, pandas.SparseDtype)):
            raise TypeError(f"{dtype} is not Arrow's")
        return _array(pyarrow.array(part(step), from_pandas=True))

    def values(step: int, limit: int) -> list[Any]:
        some = part(step, limit)
        try:
            return [_python(value) for value in some.tolist()]
        except (ValueError, OverflowError):
            return _by_arrow(some.array.__arrow_array__, len(some))

    size = getattr(dtype, "itemsize", 8)
    is_text = dtype.kind == "O"
    width = _measured(part) if is_text else float(size)
    return _Column(name, str(dtype), values, arrow, width, is_index)


def _measured(part: Callable[..., Any]) -> float:
    """Return how many bytes values of different lengths take, going by the first ones."""
    first = part(1, 1000).tolist()
    return 16 + sum(len(v) for v in first if isinstance(v, (str, bytes))) / max(len(first), 1)


def _array(values: Any) -> Any:
    """Return an Arrow array whose texts are of a type that everything is there for."""
    import pyarrow

    if values.type in (pyarrow.string_view(), pyarrow.string()):
        values = values.cast(pyarrow.large_string())
    return values.combine_chunks() if isinstance(values, pyarrow.ChunkedArray) else values


def _by_arrow(made: Callable[[], Any], count: int) -> list[Any]:
    """Return values that Python has not room for all of, as far as Arrow is there to make texts of them."""
    try:
        return arrow_values(made())
    except ImportError:
        return [BEYOND] * count


def _python(value: Any) -> Any:
    """Return a value of pandas as one of Python's, or a text for it."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (datetime, timedelta)):
        return value
    if type(value).__module__.startswith(("pandas", "numpy")):
        item = getattr(value, "item", None)
        return item() if item is not None and getattr(value, "ndim", 1) == 0 else str(value)
    return value


def _polars(frame: Any) -> _Table:
    def found() -> Iterator[_Column]:
        for series in frame.iter_columns() if frame.width <= WIDTH else frame.get_columns()[:WIDTH]:
            yield _polars_column(series)

    return _Table(frame.height, frame.width, found())


def _polars_column(series: Any) -> _Column:
    def arrow(step: int) -> Any:
        if str(series.dtype).startswith("Object"):
            raise TypeError("objects of Python are not Arrow's")
        return _array(series.gather_every(step).to_arrow())

    def values(step: int, limit: int) -> list[Any]:
        import polars

        part = series.gather_every(step).head(limit)
        try:
            return list(part.to_list())
        except (ValueError, OverflowError, polars.exceptions.PanicException):
            return _by_arrow(part.to_arrow, len(part))

    width = series.estimated_size() / max(len(series), 1)
    return _Column(series.name, str(series.dtype), values, arrow, width)


def _arrow(table: Any) -> _Table:
    def found() -> Iterator[_Column]:
        for place, field in zip(range(WIDTH), table.schema, strict=False):
            yield _arrow_column(field.name, table.column(place))

    return _Table(table.num_rows, table.num_columns, found())


def _arrow_column(name: str, column: Any) -> _Column:
    import pyarrow

    def runs(step: int) -> Any:
        """Return evenly spaced runs of rows, which are not copied."""
        if step == 1:
            return column
        wanted = math.ceil(len(column) / step)
        pieces = min(wanted, 1000)
        lengths = [wanted * (i + 1) // pieces - wanted * i // pieces for i in range(pieces)]
        starts = [len(column) * i // pieces for i in range(pieces)]
        parts = [column.slice(start, n) for start, n in zip(starts, lengths, strict=True)]
        return pyarrow.chunked_array([c for part in parts for c in part.chunks], type=column.type)

    def storage(values: Any) -> Any:
        if isinstance(values.type, pyarrow.BaseExtensionType):
            chunks = [chunk.storage for chunk in values.chunks]
            return pyarrow.chunked_array(chunks, type=values.type.storage_type)
        return values

    def values(step: int, limit: int) -> list[Any]:
        return arrow_values(storage(runs(step).slice(0, limit)))

    width = column.nbytes / max(len(column), 1)
    return _Column(name, str(column.type), values, lambda step: _array(storage(runs(step))), width)


_TABLES: dict[str, Callable[[Any], _Table]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
}
