"""Statistics of values as Python has them, and previews of tables from rows."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import islice
from typing import Any

from art.model import Document
from art.preview.form import FORMAT, number
from art.tables import cell_text

HEAD = 10
BINS = 10
TOP = 5
WIDTH = 500  # columns that are looked at
CELL = 200  # characters of a cell
SHORT = 80  # characters of a value among the most frequent ones
ROWS = 10_000  # that Python looks at, one by one
CELLS = 200_000
UNIQUES = 10_000

_INT = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,5})?"
)
_NOT_FINITE = ("nan", "inf", "-inf", "+inf", "infinity", "-infinity")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]{5,15}(?:Z|[+-][0-9:]{4,6})?)?")


def of_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    total: int | None = None,
    *,
    texts: bool = False,
) -> Document:
    """Return the preview of a table, having looked at no more than its first 10,000 rows.

    `columns` may grow while rows are read, and a row may be shorter than they are. `total` is how many
    rows there are, where it is known; otherwise the rest is counted. `texts` says that cells are texts
    that may stand for numbers and times, and empty ones for nothing, as in csv.
    """
    remaining = iter(rows)
    taken = _first(remaining)
    if total is None:
        total = len(taken) + sum(1 for _ in remaining)
    found = []
    for place, name in enumerate(columns[:WIDTH]):
        values = [row[place] if place < len(row) else None for row in taken]
        found.append(_column(name, values, texts=texts))
    return table(
        found,
        [_head(row, min(len(columns), WIDTH)) for row in taken[:HEAD]],
        rows=total,
        over=len(taken),
        width=len(columns),
    )


def _first(rows: Iterator[Sequence[Any]]) -> list[Sequence[Any]]:
    taken: list[Sequence[Any]] = []
    cells = 0
    for row in islice(rows, ROWS):
        taken.append(row)
        cells += len(row)
        if cells >= CELLS and len(taken) >= HEAD:
            break
    return taken


def table(
    columns: list[Document], head: list[list[Any]], *, rows: int, over: int, width: int
) -> Document:
    """Return a table's preview. Where not all rows were looked at, there may be more different values."""
    if over < rows:
        for column in columns:
            if "uniques" in column:
                column["uniques_exact"] = False
    return {
        "art": FORMAT,
        "kind": "table",
        "cut": width > len(columns),
        "rows": rows,
        "over": over,
        "width": width,
        "columns": columns,
        "head": head,
    }


def _head(row: Sequence[Any], width: int) -> list[Any]:
    cells = [cell(value) for value in row[:width]]
    return cells + [None] * (width - len(cells))


def _column(name: str, values: list[Any], *, texts: bool) -> Document:
    if texts:
        values = _meant([None if value == "" else value for value in values])
    return {"name": short(name, CELL), **statistics(values)}


def cell(value: Any) -> Any:
    """Return a value as a cell of a preview."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return short(value, CELL)
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, (dict, list, tuple)) and len(value) > CELL:
        return f"<{len(value):,} items>"
    return short(cell_text(value), CELL)


def short(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters."""
    text = str(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def statistics(values: list[Any]) -> Document:
    """Return what there is to say of some values, a column of a table: None and NaN are nulls."""
    there = [value for value in values if not _is_null(value)]
    kind = _kind(there)
    found: Document = {"dtype": kind, "count": len(there), "nulls": len(values) - len(there)}
    if not there:
        return found
    found |= _uniques(there)
    if kind in ("int", "float", "decimal"):
        found |= _numbers(there)
    elif kind in ("date", "datetime", "time", "timedelta"):
        found |= _times(there)
    return found


def _is_null(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError, ArithmeticError):  # NA of pandas; arrays; a signalling NaN
        return type(value).__name__ in ("NAType", "Decimal")


def _kind(values: list[Any]) -> str:
    kinds = set(map(_kind_of, set(map(type, values))))
    if kinds == {"int", "float"}:
        return "float"
    return "" if not kinds else kinds.pop() if len(kinds) == 1 else "mixed"


def _kind_of(cls: type) -> str:
    return next((name for base, name in _KINDS if issubclass(cls, base)), cls.__name__)


# pandas has subclasses of datetime and timedelta
_KINDS = ((str, "text"), (Decimal, "decimal"), (datetime, "datetime"), (timedelta, "timedelta"))


def _uniques(values: list[Any]) -> Document:
    try:
        counts = Counter(islice(values, UNIQUES))
        rest = values[UNIQUES:]
        counts.update(rest)
    except TypeError:  # lists and dictionaries cannot be counted
        return {}
    found: Document = {"uniques": len(counts), "uniques_exact": True}
    top = counts.most_common(TOP)
    if isinstance(values[0], (str, bool)) and top[0][1] > 1:
        found["top"] = [[shortest(value), count] for value, count in top]
    return found


def shortest(value: Any) -> Any:
    return short(value, SHORT) if isinstance(value, str) else cell(value)


def _numbers(values: list[Any]) -> Document:
    found: Document = {"min": cell(min(values)), "max": cell(max(values))}
    finite = [each for each in map(_as_float, values) if math.isfinite(each)]
    if len(finite) == len(values):
        found["mean"] = number(math.fsum(each / len(finite) for each in finite))
    return found | histogram(finite, number)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _times(values: list[Any]) -> Document:
    try:
        found: Document = {"min": cell(min(values)), "max": cell(max(values))}
    except TypeError:  # with a zone and without
        return {}
    if type(values[0]) is time:
        return found
    numbers, back = _as_numbers(values)
    return found | histogram(numbers, lambda value: cell(back(value)))


def _as_numbers(values: list[Any]) -> tuple[list[float], Callable[[float], Any]]:
    """Return times as numbers, and what makes a time of such a number."""
    first = min(values)
    if type(first) is date:
        return [float(value.toordinal()) for value in values], lambda n: date.fromordinal(round(n))
    if isinstance(first, timedelta):
        return [value.total_seconds() for value in values], lambda n: timedelta(seconds=n)
    return [
        (value - first).total_seconds() for value in values
    ], lambda n: first + timedelta(seconds=n)


def histogram(values: list[float], shown: Callable[[float], Any]) -> Document:
    """Return how many values lie in each of ten bins, from the least to the greatest."""
    if not values or not math.isfinite(max(values) - min(values)) or max(values) <= min(values):
        return {}
    low, high = min(values), max(values)
    counts = [0] * BINS
    for value in values:
        counts[min(int((value - low) / (high - low) * BINS), BINS - 1)] += 1
    return {"histogram": {"low": shown(low), "high": shown(high), "counts": counts}}


def _meant(values: list[Any]) -> list[Any]:
    """Return texts as the numbers or times that all of them stand for, else as they are."""
    there = [value for value in values if value is not None]
    if not there or not all(isinstance(value, str) for value in there):
        return values
    for fits, made in (
        (_INT.fullmatch, int),
        (_is_float, float),
        (_TIME.fullmatch, _time),
    ):
        if all(map(fits, there)):
            try:
                return [None if value is None else made(value) for value in values]
            except ValueError:
                return values
    return values


def _is_float(text: str) -> bool:
    return bool(_FLOAT.fullmatch(text)) or text.lower() in _NOT_FINITE


def _time(text: str) -> date:
    if len(text) == 10:
        return date.fromisoformat(text)
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found.astimezone(timezone.utc) if found.tzinfo else found
