"""Tables given as Python data: lists of mappings, mappings of lists, lists of lists.

What is stored is the data as it was given, as JSON. Where cells are more than JSON has (times, Decimal,
NaN …), the format is `objects`, and the cells are forms of `materialize.values`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any, BinaryIO

from art import tables
from art.errors import CorruptError, UsageError
from art.materialize import foreign, values
from art.materialize.framerows import FRAMES, frame_head, frame_rows
from art.tables import Table

OBJECTS = "objects"
_SHOWN = 20
_SHAPES = "a list of mappings, a mapping of lists, or a list of lists"


def shaped(data: Any, columns: Sequence[str] | None = None, *, ragged: bool = False) -> Any:
    """Return the data of a table as it is stored: as it was given, other iterables as lists. With the
    names of `columns`, rows become mappings.

    Raise UsageError where it is no table, or its rows, or its columns, are of different lengths and
    not `ragged`.
    """
    if isinstance(data, Mapping):
        return _columnar(data, columns, ragged=ragged)
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise UsageError(f"a table is {_SHAPES}, not a {type(data).__name__}", hint=_hint(data))
    rows = data if type(data) is list else list(data)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, (Mapping, list, tuple)) or type(row) is not type(rows[0]):
            raise UsageError(
                f"row {number} of the table is a {type(row).__name__}, expected "
                + (
                    f"a {type(rows[0]).__name__} as before" if number > 1 else "a mapping or a list"
                ),
                hint=_hint(data),
            )
        if isinstance(row, Mapping):
            _check_names(row)
    if rows and isinstance(rows[0], Mapping):
        if columns is None:
            return rows
        _check_known(columns, {name for row in rows for name in row})
        return [{name: row.get(name) for name in columns} for row in rows]
    return _named(rows, columns, ragged=ragged)


def _hint(data: Any) -> str | None:
    """Return what makes a table of something that is none, where that is known."""
    methods = {"collect": "collect()", "to_frame": "to_frame()", "tolist": "tolist()"}
    fitting = (call for method, call in methods.items() if callable(getattr(data, method, None)))
    found = next(fitting, None)
    return f"give what its {found} returns" if found else None


def _column_hint(column: Any) -> str | None:
    """Return what makes a list of a column that is none."""
    if callable(getattr(column, "tolist", None)):
        return "give what its tolist() returns"
    is_several = isinstance(column, Iterable) and not isinstance(column, (str, bytes))
    return "give list(…) of it" if is_several else None


def _columnar(
    data: Mapping[Any, Any], columns: Sequence[str] | None, *, ragged: bool
) -> Mapping[Any, Any]:
    _check_names(data)
    if columns is not None:
        _check_known(columns, data)
        data = {name: data[name] for name in columns}
    lengths: dict[str, int] = {}
    for name, column in data.items():
        if not isinstance(column, (list, tuple)):
            raise UsageError(
                f"column {name!r} of the table is a {type(column).__name__}, expected a list",
                hint=_hint(column) or "give list(…) of it"
                if isinstance(column, Iterable) and not isinstance(column, (str, bytes))
                else None,
            )
        lengths[name] = len(column)
        first = next(iter(lengths.values()))
        if len(column) != first and not ragged:
            raise _uneven(f"column {name!r} has {len(column)} cells, the first has {first}")
    return data


def _named(rows: list[Any], columns: Sequence[str] | None, *, ragged: bool) -> list[Any]:
    width = len(columns) if columns is not None else len(rows[0]) if rows else 0
    for number, row in enumerate(rows, 1):
        is_uneven = len(row) != width and not ragged
        if is_uneven or (columns is not None and len(row) > width):
            raise _uneven(f"row {number} has {len(row)} cells, expected {width}")
    if columns is None:
        return rows
    _check_names(dict.fromkeys(columns))
    if len(set(columns)) != len(columns):
        raise UsageError("columns of the table have the same name")
    return [dict(zip_longest(columns, row)) for row in rows]


def _check_known(columns: Sequence[str], known: Collection[str]) -> None:
    for name in columns:
        if name not in known:
            names = ", ".join(sorted(known)[:_SHOWN])
            raise UsageError(f"the table has no column {name!r}, but {names}")


def _check_names(record: Mapping[Any, Any]) -> None:
    for name in record:
        if type(name) is not str:
            raise UsageError(f"a column of the table is called {name!r}: names are texts")


def _uneven(what: str) -> UsageError:
    return UsageError(what, hint="ragged=True, if that is meant")


def format_of(data: Any) -> str:
    """Return the name of the format in which the data is stored."""
    return "json" if values.is_json(data) else OBJECTS


def table_of(data: Any, limit: int | None = None) -> Table:
    """Return stored data as a table, or its first rows. Raise CorruptError where it is none."""
    columns, rows, total = _parts(data)
    shown = [list(map(foreign.shown, row)) for row in islice(rows, limit)]
    shown = [row + [None] * (len(columns) - len(row)) for row in shown]
    return Table(columns, shown, total, total > len(shown))


def _parts(data: Any) -> tuple[list[str], Iterable[Sequence[Any]], int]:
    if isinstance(data, Mapping):
        columns = list(data)
        total = max(map(len, data.values()), default=0)
        return columns, zip_longest(*data.values()), total
    if not isinstance(data, list):
        raise CorruptError("what is stored is no table")
    if data and isinstance(data[0], Mapping):
        columns = list(dict.fromkeys(name for record in data for name in record))
        return columns, ([record.get(name) for name in columns] for record in data), len(data)
    if data and tables.is_header(list(data[0])):
        return list(data[0]), data[1:], len(data) - 1
    width = max(map(len, data), default=0)
    return tables.numbered(0, width), data, len(data)


def declared(format: Mapping[str, Any]) -> str | None:
    """Return by what name `read` knows the format that a manifest says, None where it says none."""
    materializer = format.get("materializer")
    found = materializer if materializer in FRAMES else format.get("name")
    return found if isinstance(found, str) else None


def read(
    stream: BinaryIO, format: str, *, limit: int | None = None, known_rows: int | None = None
) -> Table:
    """Return the table in a file of any format, as `tables.read_table` does."""
    if format in FRAMES and importlib.util.find_spec("pandas"):
        return _frame(stream, format, limit)
    if format in FRAMES:
        format = "parquet"  # which it is, for others; periods and intervals are numbers there
    if format != OBJECTS:
        return tables.read_table(stream, format, limit=limit, known_rows=known_rows)
    data = stream.read(tables.JSON_LIMIT + 1)
    if len(data) > tables.JSON_LIMIT:
        raise UsageError(f"the table is larger than {tables.JSON_LIMIT >> 20} MiB")
    return table_of(values.decode(data), limit)


def _frame(stream: BinaryIO, materializer: str, limit: int | None) -> Table:
    frame, total = frame_head(materializer, stream, limit)
    tables.check_cells(len(frame), frame.shape[1])
    columns, again = frame_rows(frame)
    return Table(columns, list(map(list, again())), total, total > len(frame))
