"""What there is in a version to be converted."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from art import tables
from art.convert.rows import Rows
from art.errors import CorruptError, UsageError
from art.materialize import Stream, named, parquet
from art.materialize.framerows import FRAMES, SLICE, frame_head, frame_rows
from art.materialize.libraries import damage, require
from art.tabledata import OBJECTS

if TYPE_CHECKING:
    from art.version import Version

FORMS = ("csv", "json", "parquet", "md", "html", "xlsx")
_MARKDOWN = (".md", ".markdown")
_EMPTY = 1 << 20  # lists that an array without elements may be


@dataclass(frozen=True)
class Source:
    """One file of a version, or what is in its manifest. `kind` is a format of tables (`csv`, `tsv`,
    `jsonl`, `json`, `parquet`, `objects`), or `frame`, `arrow`, `array`, `markdown`, `object`, `other`."""

    version: Version
    path: str | None
    name: str
    kind: str
    title: str

    @property
    def is_single(self) -> bool:
        """Whether it is one file, or stands in the manifest."""
        payload = self.version.payload
        return payload is None or payload.tree is None or payload.file is not None

    def open(self) -> BinaryIO:
        return self.version.open(self.path)

    def copy(self, stream: BinaryIO) -> None:
        """Write the content as it is."""
        with self.open() as content:
            shutil.copyfileobj(content, stream, 1 << 20)

    def text(self) -> str:
        return self.version.text(self.path)

    def frame(self) -> Any:
        """Return the DataFrame of pandas; of a Series, one of one column."""
        with self.open() as stream:
            return frame_head(str(self.version.format["materializer"]), stream, None)[0]

    def array(self) -> Any:
        """Return the array of NumPy."""
        require("numpy", "numpy")
        materializer = named("numpy")
        assert isinstance(materializer, Stream)
        with self.open() as stream:
            try:
                array = materializer.read(stream, {})
            except CorruptError as error:
                if self.version.format.get("materializer"):
                    raise
                raise UsageError(f"{self.name}: {error.message}") from None
        if math.prod(max(1, side) for side in array.shape) > max(array.size, _EMPTY):
            raise UsageError(f"{self.title} is an array of {array.shape}, which holds nothing")
        return array

    def refused(self, form: str) -> UsageError:
        return UsageError(
            f"{self.title} is no table or document that {form} could be made of",
            hint=f"art get {self.title} takes it out as it is",
        )


def source(version: Version, path: str = "") -> Source:
    """Return what is at a path, or the only file of a version. Raise UsageError where there are several."""
    payload = version.payload
    if payload is None:
        raise UsageError(
            f"{version.ref} is a {version.type} without content", hint=f"art inspect {version.ref}"
        )
    title = f"{version.ref}/{path}" if path else version.ref
    if path:
        return Source(version, path, path, _by_name(path), title)
    version.bring()  # it may be read more than once
    if payload.tree is not None and payload.file is None and version.format.get("materializer"):
        return Source(version, None, "", "object", title)  # files that are one object
    name = payload.file or payload.url or ""
    if payload.tree is not None and payload.file is None:
        node = version.node()  # raises where there are several
        return Source(version, node.path, node.path, _by_name(node.path), title)
    return Source(version, None, name, _kind(version, name), title)


def is_that(source: Source, form: str) -> bool:
    """Whether it has that form already."""
    if form == "md":
        return source.kind == "markdown"
    return source.kind == form and form in ("csv", "parquet")


def rows(source: Source, form: str) -> Rows:
    """Return the rows of a table. Raise UsageError where it is none."""
    maker = _ROWS.get(source.kind)
    if maker is not None:
        return maker(source)
    if source.kind == "object" and source.is_single:
        return _object(source, form)
    if source.kind not in ("csv", "tsv", "jsonl", "json", "parquet", OBJECTS):
        raise source.refused(form)
    return _file(source)


def _kind(version: Version, name: str) -> str:
    format = version.format
    materializer = format.get("materializer")
    if materializer in FRAMES:
        return "frame"
    if materializer == "numpy":
        return "array"
    if materializer in ("arrow", "polars"):
        return "arrow" if format.get("name") == "arrow" else "parquet"
    if version.type == "table" and format.get("name") in (*tables.FORMATS.values(), OBJECTS):
        return str(format["name"])
    if version.type in ("json", "value"):
        return "json"
    if materializer is not None:
        return "object" if materializer == "value" else "other"
    return "markdown" if version.type == "markdown" else _by_name(name)


def _by_name(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    return "array" if suffix == ".npy" else tables.FORMATS.get(suffix, "other")


# --- rows -----------------------------------------------------------------------------------------


@contextmanager
def _opened(source: Source) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """Give columns, to which reading rows may add, and rows."""
    name = source.name or source.title
    with source.open() as stream:
        if source.kind == "parquet":
            with parquet.seekable(stream) as file:
                columns, rows, _ = tables.open_table(file, "parquet", name)
                yield columns, rows
        elif source.kind == OBJECTS:
            yield _table(_decoded(stream, name))
        else:
            columns, rows, _ = tables.open_table(stream, source.kind, name, strict=True)
            yield columns, rows


def _decoded(stream: BinaryIO, name: str) -> Any:
    """Return the object in a `content.json`."""
    from art.materialize import values

    data = stream.read(tables.JSON_LIMIT + 1)
    if len(data) > tables.JSON_LIMIT:
        raise UsageError(f"{name} is larger than {tables.JSON_LIMIT >> 20} MiB")
    return values.decode(data)


def _table(value: Any) -> tuple[list[str], Iterator[Sequence[Any]]]:
    from art import tabledata

    table = tabledata.table_of(value)
    return table.columns, iter(table.rows)


def _object(source: Source, form: str) -> Rows:
    """Rows of an object that is a table all the same: a list of mappings with times in them, say."""
    from art import tabledata

    with source.open() as stream:
        value = _decoded(stream, source.title)
    try:
        columns, found = _table(tabledata.shaped(value))
    except UsageError:
        raise source.refused(form) from None
    kept = list(found)
    return Rows(columns, lambda: iter(kept))


def _file(source: Source) -> Rows:
    def again() -> Iterator[Sequence[Any]]:
        with _opened(source) as (_, rows):
            yield from rows

    with _opened(source) as (columns, rows):
        if source.kind in ("jsonl", "json"):  # the last row may have a column that no other has
            for _ in rows:
                pass
        found = list(columns)
    return Rows(found, again, texts=source.kind in ("csv", "tsv"))


def _frame(source: Source) -> Rows:
    """Rows of a frame of pandas."""
    return Rows(*frame_rows(source.frame()))


def _array(source: Source) -> Rows:
    """Rows of an array: of one dimension in one column, else as they are."""
    array = source.array()
    if array.ndim > 2:
        raise UsageError(
            f"{source.title} has {array.ndim} dimensions, a table has two",
            hint=f"art get {source.title} --as json",
        )
    array = array.reshape(-1, 1) if array.ndim < 2 else array
    if array.shape[1] > tables.COLUMN_LIMIT:
        columns = f"{array.shape[1]:,} columns, a table at most {tables.COLUMN_LIMIT:,}"
        raise UsageError(f"{source.title} has {columns}")

    def again() -> Iterator[Sequence[Any]]:
        step = max(1, SLICE // max(1, array.shape[1]))
        for start in range(0, len(array), step):
            yield from plain(array[start : start + step])

    return Rows(tables.numbered(0, array.shape[1]), again)


def plain(array: Any) -> list[Any]:
    """Return an array as lists; what Python has no type for as texts."""
    kind = array.dtype.kind
    if kind == "M":
        import numpy as np

        array = np.datetime_as_string(array)
    elif kind in "mc" or (kind == "f" and array.dtype.itemsize > 8):
        array = array.astype(str)
    return list(array.tolist())


def _arrow(source: Source) -> Rows:
    """Rows of a table in the stream of Arrow IPC."""
    pa = require("pyarrow", "tables")

    def again() -> Iterator[Sequence[Any]]:
        with source.open() as stream, damage("the table", pa.lib.ArrowException, OSError):
            for batch in pa.ipc.open_stream(stream):
                for start in range(0, batch.num_rows, SLICE):
                    part = batch.slice(start, SLICE)
                    yield from zip(*map(tables.arrow_values, part.columns), strict=True)

    with source.open() as stream, damage("the table", pa.lib.ArrowException, OSError):
        columns = list(pa.ipc.open_stream(stream).schema.names)
    return Rows(columns, again)


_ROWS: dict[str, Callable[[Source], Rows]] = {
    "frame": _frame,
    "array": _array,
    "arrow": _arrow,
}
