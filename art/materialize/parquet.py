"""Parquet files: written piece by piece into any stream, and read the same way."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

from art.errors import UsageError
from art.materialize.libraries import damage, require
from art.materialize.vectors import Aside
from art.model import Document
from art.tables import DESCRIBED_COLUMNS, DESCRIBED_NAME

ROWS = 1 << 20  # of one row group, as pandas has it
BYTES = 64 << 20  # and how many it may take in memory
ASIDE_LIMIT = 256 << 20
# How many runs of how many rows tell whether values repeat, and of how many one is another at most.
_RUNS = 16
_RUN = 4096
_REPEATING = 0.9
_KEY = "art"


class Sink:
    """What libraries write into: they see nothing of the stream but its bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._stream.write(view)
        self._position += len(view)
        return len(view)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None: ...
    def close(self) -> None: ...
    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def rows_per_group(width: float) -> int:
    """Return how many rows of so many bytes are written at once."""
    return int(max(1000, min(ROWS, BYTES / max(width, 1))))


def kept(schema: Any) -> list[str]:
    """Return the names of the columns that would be of another type when read from Parquet."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as parquet

    data = io.BytesIO()
    try:
        parquet.write_table(schema.empty_table(), data)
        back = parquet.read_schema(io.BytesIO(data.getvalue()))
    except (pa.lib.ArrowException, TypeError, ValueError):
        if len(schema) == 1:
            return [schema.field(0).name]
        return [name for each in schema for name in kept(pa.schema([each]))]
    return [one.name for one, other in zip(schema, back, strict=True) if one.type != other.type]


@contextlib.contextmanager
def writing(stream: BinaryIO, schema: Any, repeating: list[str] | None = None) -> Iterator[Any]:
    """Give a writer of Parquet, set as that of pandas; `repeating` are the columns that get a dictionary of
    their values, None for all."""
    import pyarrow.parquet as parquet

    with parquet.ParquetWriter(
        Sink(stream), schema, compression="snappy", use_dictionary=repeating is None or repeating
    ) as writer:
        yield writer


def repeating(schema: Any, rows: int, part: Callable[[int, int, int], Any]) -> list[str] | None:
    """Return the columns whose values repeat, going by some of the rows. For others it takes several times
    as long as all else to look for a dictionary of them, in vain. None where nobody can tell.

    `part(place, start, stop)` gives rows of a column as an Arrow array; there are `rows` of them.
    """
    import pyarrow as pa

    if any(pa.types.is_nested(each.type) for each in schema):
        return None
    return [each.name for place, each in enumerate(schema) if _repeats(rows, partial(part, place))]


def _repeats(rows: int, part: Callable[[int, int], Any]) -> bool:
    """Whether values of a column come again in some runs of its rows, the same ones for equal columns."""
    import pyarrow as pa
    import pyarrow.compute as compute

    step = max(1, math.ceil(rows / _RUNS))
    runs = [part(start, min(start + min(step, _RUN), rows)) for start in range(0, rows, step)]
    chunks = [chunk for run in runs for chunk in getattr(run, "chunks", [run])]
    try:
        distinct = compute.count_distinct(pa.chunked_array(chunks)).as_py() if chunks else 0
    except (pa.lib.ArrowException, TypeError):
        return True  # a type that cannot be counted
    return bool(distinct <= _REPEATING * sum(map(len, chunks)))


def note(writer: Any, document: Document, aside: Aside) -> None:
    """Put what is to be known of the columns at the end of the file. Raise UsageError where that is
    too much."""
    packed = [_ipc(batch) for batch in aside.batches]
    if sum(map(len, packed)) > ASIDE_LIMIT:
        raise UsageError(
            f"the categories, or labels, take more than {ASIDE_LIMIT >> 20} MiB",
            hint="make plain columns of them: reset_index(), astype(…)",
        )
    text = json.dumps(document | {"aside": len(packed)}, separators=(",", ":"), sort_keys=True)
    writer.add_key_value_metadata({_KEY: text})
    for number, data in enumerate(packed):
        writer.add_key_value_metadata({f"{_KEY}:{number}": base64.b64encode(data).decode()})


def noted(metadata: dict[bytes, bytes] | None) -> tuple[Document, Aside]:
    """Return what `note` put there. Raise ValueError where it is not there."""
    import pyarrow as pa

    metadata = metadata or {}
    document = json.loads(metadata.get(_KEY.encode(), b"null"))
    if not isinstance(document, dict):
        raise ValueError("it was not written by art")
    batches = []
    for number in range(document["aside"]):
        data = base64.b64decode(metadata[f"{_KEY}:{number}".encode()], validate=True)
        batches.append(pa.ipc.open_stream(data).read_next_batch())
    return document, Aside(batches)


def _ipc(batch: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


@contextlib.contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Give a stream that can seek: Parquet is read from its end. Where it cannot, it is put on disk."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        yield cast("BinaryIO", copy)


@contextlib.contextmanager
def opened(stream: BinaryIO) -> Iterator[Any]:
    """Give the Parquet file. Raise CorruptError where it is none, and where what is done with it finds
    that it is not what it must be."""
    pa = require("pyarrow", "frames")
    parquet = require("pyarrow.parquet", "frames")
    with seekable(stream) as file, damage("the table", pa.lib.ArrowException, OSError):
        yield parquet.ParquetFile(
            file, buffer_size=1 << 20, thrift_string_size_limit=2 * ASIDE_LIMIT
        )


def described(name: str, columns: list[str], rows: int) -> Document:
    """Return the format of a table, as that of a file which is published as one."""
    short = [
        each if len(each) <= DESCRIBED_NAME else each[: DESCRIBED_NAME - 1] + "…"
        for each in columns[:DESCRIBED_COLUMNS]
    ]
    return {"name": name, "columns": short, "rows": rows}
