"""Tables: rows under named columns, read from csv, tsv, json, jsonl, parquet and streams of Arrow.

Reading for people is lenient: short rows are filled up, bytes that are not UTF-8 are replaced.
`describe_table`, which looks at a file before it is published, is strict and names the line.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from art.errors import ArtError, UsageError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}

LINE_LIMIT = 16 << 20
JSON_LIMIT = 64 << 20
COLUMN_LIMIT = 100_000
CELL_LIMIT = 20_000_000
DEPTH_LIMIT = 100
DESCRIBED_COLUMNS = 1000
DESCRIBED_NAME = 200
_SLICE = 1024  # rows that are read at once
BEYOND = "<beyond what Python holds>"


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Each row has a cell for each column, None where there is no value. `rows` are the first of
    `total_rows`; `is_cut` says that there are more.
    """

    columns: list[str]
    rows: list[list[Any]]
    total_rows: int
    is_cut: bool


def table_format(filename: str) -> str:
    """Return `csv`, `tsv`, `json`, `jsonl` or `parquet` by the ending of the name.

    Raise UsageError where it is none of them.
    """
    found = FORMATS.get(PurePath(filename).suffix.lower())
    if found is None:
        raise UsageError(
            f"{filename!r} is not known as a table, expected a name ending in {', '.join(FORMATS)}"
        )
    return found


def read_table(
    data: BinaryIO | bytes,
    format: str,
    *,
    limit: int | None = None,
    known_rows: int | None = None,
) -> Table:
    """Return the first `limit` rows, or all.

    Rows beyond the limit are counted, unless the number of all rows is already known from a
    manifest. The caller closes `data`. Raise UsageError where it is no table at all, or too large
    to be held in memory.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    with ExitStack() as resources:
        if format == "parquet" and not stream.seekable():
            stream = _on_disk(stream, resources)
        content = _content(_Input(stream, "the table", is_strict=False), format)
        return _read(content, limit, known_rows)


def open_table(
    stream: BinaryIO, format: str, name: str, *, strict: bool = False
) -> tuple[list[str], Iterator[list[Any]], int | None]:
    """Return columns, rows, and how many rows there are where that is known beforehand.

    Reading rows may add columns; a row may be shorter than they are. For parquet, the stream must be able
    to seek. Raise UsageError, also while rows are read, where it is no table, or, if `strict`, a malformed
    one.
    """
    content = _content(_Input(stream, name, is_strict=strict), format)
    return content.columns, content.rows, content.total


def _read(content: _Content, limit: int | None, known_rows: int | None) -> Table:
    check_cells(content.total or 0, len(content.columns), limit)
    rows = list(islice(_bounded(content), limit))
    total = known_rows if content.total is None else content.total
    if total is None:
        total = len(rows) + sum(1 for _ in content.rows)
    elif limit is None or len(rows) < limit:
        total = len(rows)
    check_cells(len(rows), len(content.columns))
    width = len(content.columns)
    rows = [row if len(row) == width else row + [None] * (width - len(row)) for row in rows]
    return Table(content.columns, rows, total, total > len(rows))


def describe_table(path: Path) -> dict[str, Any]:
    """Return name of the format, columns and number of rows, reading in bounded memory.

    At most the first 1,000 columns are named. Raise UsageError that names file and line where the
    table is malformed, such as rows of different length.
    """
    format_name = table_format(path.name)
    with path.open("rb") as stream:
        content = _content(_Input(stream, path.name, is_strict=True), format_name)
        total = content.total
        rows = sum(1 for _ in content.rows) if total is None else total
    return {"name": format_name, "columns": named_columns(content.columns), "rows": rows}


def named_columns(columns: list[str]) -> list[str]:
    """Return the names that a manifest says: at most 1,000, none very long."""
    return [
        name if len(name) <= DESCRIBED_NAME else name[: DESCRIBED_NAME - 1] + "…"
        for name in columns[:DESCRIBED_COLUMNS]
    ]


def cell_text(value: Any) -> str:
    """Return a cell as people read it; None is empty. The text is not escaped for terminals."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(json_value(value), ensure_ascii=False)
    return str(value)


def load_json(text: str | bytes) -> Any:
    """Return the value. Raise ValueError where it is no JSON, or nested too deeply to work with."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise ValueError(f"nested deeper than {DEPTH_LIMIT} levels")


def _children(value: Any) -> Iterable[Any]:
    """The parts that may have parts themselves."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return ()
    return [item for item in value if type(item) in (dict, list)]


def json_value(value: Any) -> Any:
    """Return `value` as JSON can carry it: what JSON has no form for becomes text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else json.dumps(value)
    if isinstance(value, dict):
        return {str(name): json_value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    return cell_text(value)


@dataclass(frozen=True)
class _Input:
    stream: BinaryIO
    name: str
    is_strict: bool

    def wrong(self, what: str, hint: str | None = None) -> UsageError:
        return UsageError(f"{self.name}: {what}", hint=hint)


@dataclass
class _Content:
    """`columns` may grow while `rows` are read; a row may be shorter than `columns`."""

    columns: list[str]
    rows: Iterator[list[Any]]
    total: int | None = None


def _content(source: _Input, format_name: str) -> _Content:
    if format_name == "csv":
        return _csv(source, ",")
    if format_name == "tsv":
        return _csv(source, "\t")
    if format_name == "jsonl":
        return _records(_json_lines(source), source)
    if format_name == "json":
        return _json(source)
    if format_name == "parquet":
        return _parquet(source)
    if format_name == "arrow":
        return _arrow(source)
    raise UsageError(
        f"table format {format_name!r} is not known, "
        "expected one of csv, tsv, json, jsonl, parquet, arrow"
    )


def _bounded(content: _Content) -> Iterator[list[Any]]:
    """Stop a table before padding its rows to all columns would fill the memory."""
    for number, row in enumerate(content.rows, 1):
        if number % 64 == 0:
            check_cells(number, len(content.columns))
        yield row


def check_cells(rows: int, columns: int, limit: int | None = None) -> None:
    """Raise UsageError where so many rows, of which at most `limit` are read, cannot be held in memory."""
    rows = rows if limit is None else min(rows, limit)
    if rows * columns > CELL_LIMIT:
        raise UsageError(
            f"the table has {rows:,} rows of {columns:,} columns, at most {CELL_LIMIT:,} cells "
            "can be held in memory"
        )


def _lines(source: _Input) -> Iterator[str]:
    for number, line in enumerate(iter(partial(source.stream.readline, LINE_LIMIT), b""), 1):
        if len(line) == LINE_LIMIT:
            raise source.wrong(f"line {number} is longer than {LINE_LIMIT:,} bytes")
        yield _decoded(line, number, source)


def _decoded(line: bytes, number: int, source: _Input) -> str:
    if number == 1:
        if line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise source.wrong(
                "is UTF-16, expected UTF-8",
                f"iconv -f UTF-16 -t UTF-8 {shlex.quote(source.name)}",
            )
        line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        return line.decode("utf-8", "strict" if source.is_strict else "replace")
    except UnicodeDecodeError as error:
        raise source.wrong(
            f"line {number} is not UTF-8: byte 0x{line[error.start]:02x}",
            f"iconv -f LATIN1 -t UTF-8 {shlex.quote(source.name)}",
        ) from error


def _csv(source: _Input, delimiter: str) -> _Content:
    # The limit is one for the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))
    reader = csv.reader(_lines(source), delimiter=delimiter, strict=source.is_strict)
    columns: list[str] = []
    rows = _csv_rows(reader, columns, source)
    if next(rows, None) is None and source.is_strict:
        raise source.wrong("is empty, expected a line with the names of the columns")
    return _Content(columns, rows)


def _csv_rows(reader: Any, columns: list[str], source: _Input) -> Iterator[list[str]]:
    """Yield the line of names first, then the rows; lines without any cell are skipped."""
    try:
        for cells in reader:
            if len(cells) != len(columns) and cells:
                if columns and source.is_strict:
                    raise source.wrong(
                        f"line {reader.line_num} has {_count(len(cells), 'cell')}, "
                        f"expected {len(columns)}"
                    )
                _grow(columns, numbered(len(columns), len(cells)) if columns else cells, source)
            if cells:
                yield cells
    except csv.Error as error:
        raise source.wrong(f"line {reader.line_num}: {error}") from error


def _grow(columns: list[str], names: list[str], source: _Input) -> None:
    """Append `names`, which stand for cells beyond the columns known so far."""
    columns.extend(names)
    if len(columns) > COLUMN_LIMIT:
        raise source.wrong(f"has more than {COLUMN_LIMIT:,} columns")


def numbered(start: int, stop: int) -> list[str]:
    """Return names for columns that have none."""
    return [f"column {number + 1}" for number in range(start, min(stop, COLUMN_LIMIT + 1))]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _json(source: _Input) -> _Content:
    data = source.stream.read(JSON_LIMIT + 1)
    if len(data) > JSON_LIMIT:
        raise source.wrong(
            f"is larger than {JSON_LIMIT >> 20} MiB, too large for a table in json",
            "csv, jsonl and parquet have no such limit",
        )
    value = _parsed(data, "", source)
    if isinstance(value, list):
        return _records(((f"row {number}", item) for number, item in enumerate(value, 1)), source)
    if isinstance(value, dict) and all(isinstance(column, list) for column in value.values()):
        return _json_columns(value, source)
    raise source.wrong(
        f"is {_kind(value)}, expected a list of objects, a list of lists or an object of lists"
    )


def _json_columns(value: dict[str, list[Any]], source: _Input) -> _Content:
    lengths = [len(column) for column in value.values()]
    for name, length in zip(value, lengths, strict=True):
        if source.is_strict and length != lengths[0]:
            raise source.wrong(
                f"column {name!r} has {_count(length, 'value')}, expected {lengths[0]:,}"
            )
    rows = map(list, zip_longest(*value.values()))
    return _Content(list(value), rows, max(lengths, default=0))


def _json_lines(source: _Input) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(source), 1):
        if not line.isspace():
            yield f"line {number}", _parsed(line, f"line {number}: ", source)


def _parsed(text: str | bytes, place: str, source: _Input) -> Any:
    try:
        return load_json(text)
    except ValueError as error:
        raise source.wrong(f"{place}not JSON ({error})") from error


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else "a number")


def _records(records: Iterator[tuple[str, Any]], source: _Input) -> _Content:
    """Rows given as objects, or as lists of which the first may name the columns."""
    first = next(records, None)
    if first is None:
        return _Content([], iter(()))
    place, value = first
    if isinstance(value, list):
        if is_header(value):
            columns = list(value)
            return _Content(columns, _list_rows(records, columns, source))
        columns = numbered(0, len(value))
        return _Content(columns, _list_rows(_chained(first, records), columns, source))
    if isinstance(value, dict):
        grower = _ObjectRows(source)
        return _Content(grower.columns, grower.rows(_chained(first, records)))
    raise source.wrong(f"{place} is {_kind(value)}, expected an object or a list")


def is_header(value: list[Any]) -> bool:
    """A list of different texts names the columns; anything else is a row already."""
    return all(isinstance(item, str) for item in value) and len(set(value)) == len(value) > 0


def _chained(first: tuple[str, Any], rest: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    yield first
    yield from rest


def _list_rows(
    records: Iterator[tuple[str, Any]], columns: list[str], source: _Input
) -> Iterator[list[Any]]:
    for place, cells in records:
        if not isinstance(cells, list):
            raise source.wrong(f"{place} is {_kind(cells)}, expected a list as before")
        if len(cells) != len(columns):
            if source.is_strict:
                raise source.wrong(
                    f"{place} has {_count(len(cells), 'cell')}, expected {len(columns)}"
                )
            _grow(columns, numbered(len(columns), len(cells)), source)
        yield cells


@dataclass
class _ObjectRows:
    """Objects become rows; a name that was not seen before becomes one more column."""

    source: _Input
    columns: list[str] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)

    def rows(self, records: Iterator[tuple[str, Any]]) -> Iterator[list[Any]]:
        for place, record in records:
            if not isinstance(record, dict):
                raise self.source.wrong(f"{place} is {_kind(record)}, expected an object as before")
            if list(record) == self.columns:
                yield list(record.values())
            else:
                yield self._row(record)

    def _row(self, record: dict[str, Any]) -> list[Any]:
        for name in record:
            if name not in self.positions:
                self.positions[name] = len(self.columns)
                _grow(self.columns, [name], self.source)
        row: list[Any] = [None] * len(self.columns)
        for name, value in record.items():
            row[self.positions[name]] = value
        return row


def _parquet(source: _Input) -> _Content:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise source.wrong("parquet needs pyarrow", "pip install pyarrow") from error
    arrow_error: type[Exception] = importlib.import_module("pyarrow").lib.ArrowException
    try:
        file = parquet.ParquetFile(source.stream)
        batches = file.iter_batches(batch_size=_SLICE)
        rows = _arrow_rows(batches, arrow_error, source, "parquet")
        return _Content(list(file.schema_arrow.names), rows, int(file.metadata.num_rows))
    except (arrow_error, OSError) as error:
        raise _not_read(error, source, "parquet") from error


def _arrow_rows(
    batches: Iterable[Any], arrow_error: type[Exception], source: _Input, what: str
) -> Iterator[list[Any]]:
    try:
        for batch in batches:
            yield from map(list, zip(*map(arrow_values, batch.columns), strict=True))
    except (arrow_error, OSError) as error:
        raise _not_read(error, source, what) from error


def _not_read(error: Exception, source: _Input, what: str) -> Exception:
    """Errors of the stream itself pass: they say more than that it cannot be read."""
    if isinstance(error, ArtError):
        return error
    return source.wrong(f"cannot be read as {what} ({(str(error).splitlines() or ['damaged'])[0]})")


def _arrow(source: _Input) -> _Content:
    """Read the stream of Arrow IPC."""
    try:
        ipc = importlib.import_module("pyarrow.ipc")
    except ImportError as error:
        raise source.wrong("a stream of Arrow needs pyarrow", "pip install pyarrow") from error
    arrow_error: type[Exception] = importlib.import_module("pyarrow").lib.ArrowException
    try:
        reader = ipc.open_stream(source.stream)
        slices = (
            batch.slice(start, _SLICE)
            for batch in reader
            for start in range(0, batch.num_rows, _SLICE)
        )
        rows = _arrow_rows(slices, arrow_error, source, "Arrow")
        return _Content(list(reader.schema.names), rows)
    except (arrow_error, OSError) as error:
        raise _not_read(error, source, "Arrow") from error


def arrow_values(column: Any) -> list[Any]:
    """Return the values of an Arrow array as Python has them. What Python has no room for, nanoseconds and
    years beyond 9999 say, are texts: with pandas installed, Arrow would give times of that for some."""
    arrow_error: type[Exception] = importlib.import_module("pyarrow").lib.ArrowException
    if getattr(column.type, "unit", "") == "ns":
        try:
            column = column.cast(_microseconds(column.type))
        except arrow_error:
            column = column.cast("string")
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [arrow_value(scalar) for scalar in column]


def arrow_value(scalar: Any) -> Any:
    """Return a value of Arrow as Python has it, or a text."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    arrow_error: type[Exception] = importlib.import_module("pyarrow").lib.ArrowException
    try:
        return scalar.cast("string").as_py()
    except (arrow_error, ValueError, TypeError):  # a list that holds such a value; no such zone
        return BEYOND


def _microseconds(type: Any) -> Any:
    arrow = importlib.import_module("pyarrow")
    if arrow.types.is_timestamp(type):
        return arrow.timestamp("us", type.tz)
    return arrow.time64("us") if arrow.types.is_time64(type) else arrow.duration("us")


def _on_disk(stream: BinaryIO, resources: ExitStack) -> BinaryIO:
    """Parquet is read from its end; a stream that only goes forward is put on disk first."""
    import tempfile

    copy = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return copy
