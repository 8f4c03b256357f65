"""Tables of Arrow and polars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from art import preview
from art.materialize import parquet
from art.materialize.base import Stream, unequal
from art.materialize.libraries import damage, require
from art.materialize.parquet import described
from art.materialize.vectors import Aside
from art.model import Document

_VERSION = 1


class ArrowTables(Stream):
    """Tables of Arrow: Parquet where it has all the types, otherwise the stream of Arrow IPC.

    Schema, with its metadata, and values come back; how the table was cut into chunks does not.
    """

    name = "arrow"
    types = ("pyarrow.Table",)
    kind = "table"

    def filename(self, value: Any) -> str:
        return "content.parquet" if _fits_parquet(value) else "content.arrows"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        import pyarrow as pa

        try:
            if _fits_parquet(value):
                _write_arrow(value, stream)
                name = "parquet"
            else:
                _write_ipc(value, stream)
                name = "arrow"
        except (pa.lib.ArrowException, ValueError) as error:
            raise unequal(value, f"Arrow says {str(error).splitlines()[0]}") from None
        return described(name, value.schema.names, value.num_rows)

    def read(self, stream: BinaryIO, format: Document) -> Any:
        pa = require("pyarrow", "frames")
        if format.get("name") == "parquet":
            with parquet.opened(stream) as file:
                _, aside = parquet.noted(file.metadata.metadata)
                return pa.Table.from_arrays(file.read().columns, schema=aside.batches[0].schema)
        with damage("the table", pa.lib.ArrowException, OSError):
            return pa.ipc.open_stream(stream).read_all()

    def preview(self, value: Any) -> Document:
        return preview.of_frame(value)


def _fits_parquet(table: Any) -> bool:
    """Return whether Parquet gives all back exactly, beyond what `parquet.kept` finds."""
    names = table.schema.names
    return bool(
        0 < len(names) == len(set(names))
        and all(_is_plain(each.type) for each in table.schema)
        and not parquet.kept(table.schema)
    )


def _is_plain(type: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    if types.is_struct(type):
        return type.num_fields > 0 and all(_is_plain(each.type) for each in type)
    if types.is_list(type) or types.is_large_list(type):
        return _is_plain(type.value_type)
    if types.is_timestamp(type) or types.is_time32(type):
        return bool(
            type.unit != "s"
        )  # it is stored in milliseconds, of which there may be too many
    return bool(
        types.is_integer(type)
        or types.is_floating(type)
        or types.is_boolean(type)
        or types.is_time64(type)
        or types.is_date32(type)
        or types.is_string(type)
        or types.is_large_string(type)
        or types.is_binary(type)
        or types.is_large_binary(type)
        or types.is_decimal128(type)
    )


def _pieces(table: Any) -> Iterator[Any]:
    """Cut a table the same way however it is cut already, so that equal ones give equal bytes."""
    step = parquet.rows_per_group(table.nbytes / max(table.num_rows, 1))
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step).combine_chunks()


def _write_arrow(table: Any, stream: BinaryIO) -> None:
    import pyarrow as pa

    bare = table.schema.remove_metadata()
    empty = [pa.array([], each.type) for each in table.schema]
    aside = Aside([pa.record_batch(empty, schema=table.schema)])

    def part(place: int, start: int, stop: int) -> Any:
        return table.column(place).slice(start, stop - start)

    with parquet.writing(stream, bare, parquet.repeating(bare, table.num_rows, part)) as writer:
        for piece in _pieces(table):
            writer.write_table(piece.replace_schema_metadata(None).cast(bare))
        parquet.note(writer, {"art": _VERSION}, aside)


def _write_ipc(table: Any, stream: BinaryIO) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=True)
    with pa.ipc.new_stream(parquet.Sink(stream), table.schema, options=options) as writer:
        for piece in _pieces(table):
            writer.write_table(piece)


# --- polars -------------------------------------------------------------------------------------


class PolarsFrames(Stream):
    """DataFrames of polars, in the Parquet that polars writes.

    Names, dtypes and values come back; columns of objects are refused. Those whose dtypes are not plain,
    such as categories and nested ones, are proved before anything is written. A Series is refused, and so is
    a LazyFrame.
    """

    name = "polars"
    types = ("polars.DataFrame",)
    kind = "table"
    file = "content.parquet"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        _prove(value)
        _write_polars(value, parquet.Sink(stream))
        return described("parquet", value.columns, value.height)

    def read(self, stream: BinaryIO, format: Document) -> Any:
        polars = require("polars", "polars")
        with parquet.seekable(stream) as file, damage("the table", *_errors(polars), OSError):
            return polars.read_parquet(file)

    def preview(self, value: Any) -> Document:
        return preview.of_frame(value)


_PROVED = 1 << 18


def _write_polars(frame: Any, stream: Any) -> None:
    frame.write_parquet(stream, compression="zstd", row_group_size=_PROVED)


def _errors(polars: Any) -> tuple[type[BaseException], ...]:
    """Return how polars says that a file is strange; some of it makes it panic."""
    return (polars.exceptions.PolarsError, polars.exceptions.PanicException)


def _prove(frame: Any) -> None:
    """Raise UsageError where a column does not come back as it is."""
    import polars

    for name, dtype in frame.schema.items():
        if isinstance(dtype, polars.Object):
            raise unequal(
                frame, f"column {name!r} holds objects of Python", "convert it, or leave it out"
            )
    odd = [name for name, dtype in frame.schema.items() if not _is_plain_polars(dtype)]
    if not odd:
        return
    for name in odd:
        part = frame.select(name)
        for start in range(0, max(frame.height, 1), _PROVED):
            piece = part.slice(start, _PROVED)
            if not _comes_back(piece):
                dtype = frame.schema[name]
                raise unequal(frame, f"column {name!r} of {dtype} would not come back equal")


def _comes_back(piece: Any) -> bool:
    import io

    import polars

    data = io.BytesIO()
    try:
        _write_polars(piece, data)
        back = polars.read_parquet(io.BytesIO(data.getvalue()))
    except _errors(polars):
        return False
    return bool(back.schema == piece.schema and back.equals(piece, null_equal=True))


def _is_plain_polars(dtype: Any) -> bool:
    import polars

    return bool(
        (dtype.is_integer() and dtype not in (polars.Int128,))
        or dtype in (polars.Float32, polars.Float64, polars.String, polars.Binary, polars.Boolean)
        or isinstance(dtype, (polars.Datetime, polars.Duration, polars.Date, polars.Time))
    )
