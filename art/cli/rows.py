"""Rows of versions as a table, JSON, JSON Lines, csv or ids: what `ls` and `log` print."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

from art.cli.common import Output, option, record_document, stream_json
from art.errors import ArtError, UsageError
from art.render import plain

if TYPE_CHECKING:
    from art.index import Group
    from art.repo import Repo
    from art.rows import Record

COLUMNS = [
    "key", "version", "ref", "id", "type", "size", "files", "created", "author", "about", "title",
    "description", "labels", "partitions", "metadata", "tags", "state", "progress",
    "rows", "columns", "width", "height", "shape", "dtype",
]  # fmt: skip
_LIST_WIDTH = 60  # characters of a cell with several names; csv and JSON have all of them
_OF_FORMAT = ("rows", "columns", "width", "height", "shape", "dtype")
_RIGHT = ("size", "files", "version", "rows", "width", "height")


class Format(str, Enum):
    """A form of output."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    IDS = "ids"


Number = Annotated[
    int | None, option("-n", "--number", "--limit", metavar="N", min=0, help="At most so many")
]
Where = Annotated[
    str | None,
    option(
        "--where",
        metavar="QUERY",
        help="Only what a query matches, as 'type = table and size > 1M'; fields: key number id type state "
        "size files created age author title description tag label latest input ancestor descendant "
        "metadata.NAME run.NAME format.NAME payload.NAME origin.NAME and names of partitions",
    ),
]
Columns = Annotated[
    str | None,
    option("--columns", metavar="A,B", help=f"Columns: {' '.join(COLUMNS)} metadata.NAME"),
]
Form = Annotated[
    Format | None,
    option(
        "-o",
        "--format",
        metavar="table|json|jsonl|csv|ids",
        help="Form of the output",
        show_default="table",
    ),
]


def show_rows(
    output: Output,
    repo: "Repo",
    rows: Sequence["Record"],
    format: Format | None,
    columns: Sequence[str],
) -> None:
    """Print rows in the form that was asked for; `--json` is `-o json`."""
    format = format or (Format.JSON if output.is_json else Format.TABLE)
    if format is Format.JSON:
        marks = repo.damaged_versions()
        sys.stdout.writelines(stream_json(_document(repo, row, marks) for row in rows))
    elif format is Format.JSONL:
        marks = repo.damaged_versions()
        lines = (plain.json_text(_document(repo, row, marks)) for row in rows)
        sys.stdout.writelines(line + "\n" for line in lines)
    elif format is Format.IDS:
        sys.stdout.writelines(f"{row.id}\n" for row in rows)
    elif format is Format.CSV:
        pairs = ((_document(repo, row), row) for row in rows)
        cells = [[_value(document, row, name) for name in columns] for document, row in pairs]
        sys.stdout.write(plain.csv_text(columns, cells))
    else:
        sys.stdout.write(_table(repo, rows, columns))


def show_count(output: Output, count: int) -> None:
    """Print how many there are."""
    output.show(str(count), {"count": count})


def show_groups(output: Output, groups: Sequence["Group"], by: str, format: Format | None) -> None:
    """Print groups of versions in the form that was asked for."""
    format = format or (Format.JSON if output.is_json else Format.TABLE)
    names = ["value", "count", "size", "newest"]
    documents = [{"by": by, **{name: getattr(one, name) for name in names}} for one in groups]
    if format is Format.IDS:
        raise UsageError("groups have no ids", hint="use -o table, json, jsonl or csv")
    if format is Format.JSON:
        sys.stdout.writelines(stream_json(documents))
    elif format is Format.JSONL:
        sys.stdout.writelines(plain.json_text(document) + "\n" for document in documents)
    elif format is Format.CSV:
        rows = [[document[name] for name in names] for document in documents]
        sys.stdout.write(plain.csv_text([by, *names[1:]], rows))
    else:
        cells = [
            [
                "-" if one.value is None else _text(one.value),
                f"{one.count:,}",
                plain.size_text(one.size),
                plain.age_text(one.newest) if one.newest else "-",
            ]
            for one in groups
        ]
        header = [by.upper(), "VERSIONS", "SIZE", "NEWEST"]
        sys.stdout.write(plain.listing_text(header, cells, right=(1, 2), keep=(0,)))


def parse_columns(text: str | None, default: Sequence[str]) -> Sequence[str]:
    """Return the names in `a,b`; `metadata.NAME` is one value of the metadata."""
    if text is None:
        return default
    known = f"columns: {' '.join(COLUMNS)} metadata.NAME"
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in COLUMNS and not name.startswith("metadata."):
            raise UsageError(f"no column {name!r}", hint=known)
    if not names:
        raise UsageError("--columns names no column", hint=known)
    return names


def _document(
    repo: "Repo", row: "Record", marks: Mapping[str, str] | None = None
) -> dict[str, Any]:
    document = record_document(row)
    if marks and row.id in marks:
        document["damaged"] = marks[row.id]
    if row.type == "progress":
        from dataclasses import asdict

        try:
            document["progress"] = asdict(repo.progress_of(row))  # type: ignore[arg-type]
        except ArtError:  # the version is listed all the same, `inspect` says what is wrong
            document["progress"] = None
    return document


def _progress_text(repo: "Repo", row: "Record") -> str:
    """Return such as "42.5 %  epoch 17", nothing for what is no progress."""
    if row.type != "progress":
        return ""
    progress = _document(repo, row)["progress"]
    if progress is None:
        return "damaged"
    return "  ".join(filter(None, [f"{progress['value']:g} %", progress["message"]]))


def _table(repo: "Repo", rows: Sequence["Record"], columns: Sequence[str]) -> str:
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    shows = [_show(repo, name, is_terminal=is_terminal) for name in columns]
    cells = [[show(row) for show in shows] for row in rows]
    right = [place for place, name in enumerate(columns) if name in _RIGHT]
    keep = [place for place, name in enumerate(columns) if name in ("key", "version", "ref", "id")]
    header = [name.upper() for name in columns]
    return plain.listing_text(header, cells, right=right, width=width, keep=keep)


def _show(repo: "Repo", name: str, *, is_terminal: bool) -> Callable[["Record"], str]:
    """Return what makes a record's cell in a column; most columns need one attribute only."""
    if name == "progress":
        return lambda row: _progress_text(repo, row)
    if name == "about":
        return lambda row: "  ".join(filter(None, [_progress_text(repo, row), _about(row)]))
    if name == "state" and (marks := repo.damaged_versions()):
        return lambda row: f"{row.state}, damaged" if row.id in marks else row.state
    if name == "type" and (marks := repo.damaged_versions()):
        return lambda row: f"{row.type}, damaged" if row.id in marks else row.type
    if name == "id" and is_terminal:
        return lambda row: row.id[:15]
    if name in _OF_FORMAT:
        return lambda row: _format_text(row, name)
    return _CELLS.get(name) or (lambda row: _text(_value(record_document(row), row, name)))


def _format_text(row: "Record", name: str) -> str:
    """Return what the manifest says of the content, such as "day, price" or "100 x 3"."""
    value = _of_format(row, name)
    if not isinstance(value, list):
        return _text(value)
    if name == "shape":
        return " x ".join(map(_text, value))
    text = ", ".join(map(_text, value))
    if len(text) <= _LIST_WIDTH:
        return text
    whole = text[:_LIST_WIDTH].rpartition(", ")[0]  # names, as many as there is room for
    return (whole or text[:_LIST_WIDTH]) + ", …"


def _of_format(row: "Record", name: str) -> Any:
    format = row.about.get("format")
    return format.get(name) if isinstance(format, dict) else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else plain.json_text(value)


def _value(document: dict[str, Any], row: "Record", name: str) -> Any:
    if name in _OF_FORMAT:
        return _of_format(row, name)
    if name == "version":
        return document["number"] and f"v{document['number']}"
    if name == "created":
        return document["created_at"]
    if name == "about":
        return document["title"] or _first_line(document["description"])
    if name == "progress":
        return (document.get("progress") or {}).get("value")
    if name.startswith("metadata."):
        return document["metadata"].get(name.removeprefix("metadata."))
    return document[name]


def _about(row: "Record") -> str:
    return row.title or _first_line(row.description)


def _first_line(text: str | None) -> str:
    return text.partition("\n")[0] if text else ""


_CELLS: dict[str, Callable[["Record"], str]] = {
    "key": lambda row: row.key or "-",
    "id": lambda row: row.id,
    "type": lambda row: row.type,
    "state": lambda row: row.state,
    "author": lambda row: row.author,
    "title": lambda row: row.title or "",
    "version": lambda row: f"v{row.number}" if row.number else "-",
    "size": lambda row: plain.size_text(row.size),
    "files": lambda row: "-" if row.files is None else str(row.files),
    "created": lambda row: plain.age_text(row.created),
    "labels": lambda row: " ".join(row.labels),
    "tags": lambda row: " ".join(row.tags),
    "partitions": lambda row: " ".join(f"{key}={value}" for key, value in row.partitions.items()),
}
