"""Rows into a file of a form, one after another."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, BinaryIO

from art.convert.cells import cell_text, cell_view, json_bytes
from art.convert.documents import page_foot, page_head
from art.convert.rows import Rows
from art.convert.sources import Source
from art.errors import UsageError
from art.materialize import parquet
from art.materialize.framerows import cells, frame_rows, frame_vectors, is_coded
from art.materialize.libraries import require

_BATCH = 10_000  # rows, or fewer where they are wide
_CELLS = 500_000
_TEXTS = 4 << 20  # characters
_PLAIN = re.compile(r"([\\`*_\[\]<>|&~$#!])")  # what markdown could take for more than text


def _csv(rows: Rows, title: str, stream: BinaryIO) -> None:
    text = io.TextIOWrapper(stream, "utf-8", errors="backslashreplace", newline="")
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows.columns)
        for row in rows:
            writer.writerow([cell_text(cell) for cell in row])
        text.flush()
    finally:
        text.detach()  # or it would close the stream


def _json(rows: Rows, title: str, stream: BinaryIO) -> None:
    """Write a list of objects, one a line."""
    columns = _distinct(rows.columns, "json")
    before = b"["
    for row in rows.typed():
        record = dict(zip(columns, map(cell_view, row), strict=True))
        stream.write(before + b"\n" + json_bytes(record))
        before = b","
    stream.write(b"[]\n" if before == b"[" else b"\n]\n")


def _distinct(columns: list[str], form: str) -> list[str]:
    """Return the names. Raise UsageError where there is one twice, because cells would be lost."""
    seen: set[str] = set()
    for name in columns:
        if name in seen:
            hint = "--as csv keeps both"
            raise UsageError(
                f"two columns are called {name!r}, {form} has one of a name", hint=hint
            )
        seen.add(name)
    return columns


def _markdown(rows: Rows, title: str, stream: BinaryIO) -> None:
    def line(cells: Sequence[str]) -> bytes:
        return ("| " + " | ".join(cells) + " |\n").encode("utf-8", "backslashreplace")

    stream.write(line([_in_markdown(name) for name in rows.columns]))
    stream.write(line(["---"] * len(rows.columns)))
    for row in rows:
        stream.write(line([_in_markdown(cell_text(cell)) for cell in row]))


def _in_markdown(text: str) -> str:
    escaped = _PLAIN.sub(r"\\\1", text)
    return escaped if escaped.isprintable() else "<br>".join(escaped.splitlines())


def _html(rows: Rows, title: str, stream: BinaryIO) -> None:
    def line(tag: str, cells: Sequence[Any]) -> bytes:
        parts = [_in_html(tag, cell) for cell in cells]
        return ("<tr>" + "".join(parts) + "</tr>\n").encode("utf-8", "backslashreplace")

    stream.write(page_head(title, wide=True).encode("utf-8", "backslashreplace"))
    stream.write(b"<table>\n<thead>\n" + line("th", rows.columns) + b"</thead>\n<tbody>\n")
    for row in rows:
        stream.write(line("td", row))
    stream.write(b"</tbody>\n</table>\n" + page_foot().encode())


def _in_html(tag: str, cell: Any) -> str:
    is_number = isinstance(cell, (int, float)) and not isinstance(cell, bool)
    return f"<{tag}{' class=n' if is_number else ''}>{html.escape(cell_text(cell))}</{tag}>"


# --- parquet --------------------------------------------------------------------------------------


def _parquet(rows: Rows, title: str, stream: BinaryIO) -> None:
    pa = require("pyarrow", "tables")
    if not rows.columns:
        raise UsageError(f"{title} has no columns, which parquet needs")
    kinds = rows.kinds()
    types = {
        "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "date": pa.date32(),
        "datetime": pa.timestamp("us"), "zoned": pa.timestamp("us", tz="UTC"),
        "time": pa.time64("us"), "bytes": pa.binary(),
    }  # fmt: skip
    columns = _distinct(rows.columns, "parquet")
    schema = pa.schema(
        [(n, types.get(k, pa.string())) for n, k in zip(columns, kinds, strict=True)]
    )
    makers: list[Callable[[Any], Any] | None] = [
        _as_text if kind not in types else float if kind == "float" else None for kind in kinds
    ]
    with parquet.writing(stream, schema) as writer:
        for batch in _batches(rows.typed(), len(columns)):
            cells = [
                _made(make, cells)
                for make, cells in zip(makers, zip(*batch, strict=True), strict=True)
            ]
            arrays = [pa.array(each, field.type) for each, field in zip(cells, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def write_frame(source: Source, stream: BinaryIO) -> None:
    """Write a frame of pandas with the columns that every form has of it: as it is stored, unless that
    has an index beside them, or numbers for what is shown as a text. Other types stay."""
    frame = source.frame()
    vectors = frame_vectors(frame)
    if not any(is_coded(vector.dtype) for vector in vectors) and len(vectors) == frame.shape[1]:
        source.copy(stream)
        return
    pa = require("pyarrow", "tables")
    columns, _ = frame_rows(frame)
    names = _distinct(columns, "parquet")
    arrays = [
        pa.array(_made(_as_text, cells(vector)), pa.string())
        if is_coded(vector.dtype)
        else pa.array(vector, from_pandas=True)
        for vector in vectors
    ]
    table = pa.Table.from_arrays(arrays, names)
    with parquet.writing(stream, table.schema) as writer:
        writer.write_table(table)


def _batches(rows: Rows, width: int) -> Iterator[list[list[Any]]]:
    """Yield rows in lists that take little memory."""
    limit = max(1, min(_BATCH, _CELLS // max(1, width)))
    batch: list[list[Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
        if len(batch) >= limit or size >= _TEXTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _made(make: Callable[[Any], Any] | None, cells: Sequence[Any]) -> Sequence[Any]:
    return cells if make is None else [None if cell is None else make(cell) for cell in cells]


def _as_text(value: Any) -> str:
    return cell_text(value).encode("utf-8", "backslashreplace").decode()


# --- xlsx -----------------------------------------------------------------------------------------

_ROWS, _COLUMNS, _TEXT = 1_048_576, 16_384, 32_767  # that a sheet has room for
_EXACT = 2**53  # larger numbers would be rounded
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FIRST = datetime(1900, 3, 1)  # noqa: DTZ001 - before it, sheets count days otherwise

_LAST = 9999  # the last year that they have


def _xlsx(rows: Rows, title: str, stream: BinaryIO) -> None:
    """Write one sheet. Texts are texts, also where they begin with `=`; what a sheet has no room for,
    such as more digits, zones and NaN, is a text."""
    openpyxl = require("openpyxl", "xlsx")
    if len(rows.columns) > _COLUMNS:
        raise _too_large(f"{title} has {len(rows.columns):,} columns, a sheet {_COLUMNS:,}")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("data")
    try:
        _fill_sheet(sheet, rows, title)
    except BaseException:
        sheet.close()
        raise
    book.save(stream)


def _fill_sheet(sheet: Any, rows: Rows, title: str) -> None:
    make = _cell_maker(sheet)
    sheet.append([make(name) for name in rows.columns])
    for number, row in enumerate(rows.typed(), 2):
        if number > _ROWS:
            raise _too_large(f"{title} has more than the {_ROWS:,} rows of a sheet")
        sheet.append([make(cell) for cell in row])


def _cell_maker(sheet: Any) -> Callable[[Any], Any]:
    cells = require("openpyxl.cell", "xlsx")

    def make(value: Any) -> Any:
        found = _in_sheet(value)
        if not isinstance(found, str):
            return found
        if len(found) > _TEXT:
            raise _too_large(f"a cell has {len(found):,} characters, one of a sheet {_TEXT:,}")
        cell = cells.WriteOnlyCell(sheet, _CONTROL.sub("\ufffd", found))
        cell.data_type = "s"  # not a formula, nor an error
        return cell

    return make


def _in_sheet(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else cell_text(value)
    if isinstance(value, datetime):
        is_plain = value.tzinfo is None and value.year <= _LAST
        is_plain = is_plain and value >= _FIRST and not value.microsecond % 1000
        is_plain = is_plain and not getattr(value, "nanosecond", 0)
        return value.replace() if is_plain else cell_text(value)
    if isinstance(value, date):
        return value if value >= _FIRST.date() else cell_text(value)
    return cell_text(value)


def _too_large(what: str) -> UsageError:
    return UsageError(what, hint="csv and parquet have no such limit")


WRITERS: dict[str, Callable[[Rows, str, BinaryIO], None]] = {
    "csv": _csv,
    "json": _json,
    "md": _markdown,
    "html": _html,
    "parquet": _parquet,
    "xlsx": _xlsx,
}
