"""Tables: pandas and Arrow; polars in `polar`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar

from art import preview
from art.errors import UsageError
from art.materialize import foreign, parquet, scalars, values
from art.materialize.base import Stream, unequal
from art.materialize.libraries import require
from art.materialize.objects import InexactError
from art.materialize.vectors import (
    Aside,
    Codec,
    Level,
    Reader,
    codec,
    from_spec,
    make_index,
    pack_whole,
    unpack_whole,
)
from art.model import Document

_VERSION = 1
_BATCH = 1 << 17  # rows that are read at once


class PandasFrames(Stream):
    """DataFrames of pandas, in Parquet that others can read too.

    Rows, columns, their labels of any number of levels, names, dtypes and `attrs` come back: nullable,
    categorical, zoned, periods, intervals, Arrow's; the step of a RangeIndex, the freq of a DatetimeIndex.
    Columns of objects are proved before anything is written, and refused where they mix types; so are Sparse
    and complex ones. A million rows are converted at a time, so memory beyond the frame stays small.
    """

    name = "pandas"
    types = ("pandas.DataFrame",)
    kind = "table"
    is_series: ClassVar[bool] = False
    file = "content.parquet"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        columns = [str(label) for label in value.columns]
        return _write(value, [value.iloc[:, i] for i in range(value.shape[1])], columns, stream)

    def read(self, stream: BinaryIO, format: Document) -> Any:
        require("pandas", "frames")
        with parquet.opened(stream) as file:
            return _read(file, is_series=self.is_series)

    def head(self, stream: BinaryIO, limit: int | None) -> tuple[Any, int]:
        """Return the first rows as a DataFrame, or all, and how many there are."""
        require("pandas", "frames")
        with parquet.opened(stream) as file:
            found = _read(file, is_series=self.is_series, limit=limit)
            if self.is_series:
                found = found.to_frame(name="values" if found.name is None else found.name)
            return found, file.metadata.num_rows

    def preview(self, value: Any) -> Document:
        return preview.of_frame(value)


class PandasSeries(PandasFrames):
    """Series of pandas: as a DataFrame of one column."""

    name = "pandas-series"
    types = ("pandas.Series",)
    is_series = True

    def write(self, value: Any, stream: BinaryIO) -> Document:
        name = "values" if value.name is None else str(value.name)
        return _write(value, [value], [name], stream)


# --- pandas: writing ----------------------------------------------------------------------------


@dataclass
class _Column:
    """A column of the file: a part of the table's columns or of its index, and how it is packed."""

    name: str
    codec: Codec
    part: Callable[[int, int], Any]
    width: float


@dataclass
class _Plan:
    """What is written: how to get at each column, and what must be known beside them."""

    value: Any
    aside: Aside = field(default_factory=Aside)
    columns: list[_Column] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(self, what: str, name: str, vector: Any) -> Document:
        """Plan for a column of these values; return what must be known of it."""
        found = self._codec(what, vector)
        self.columns.append(
            _Column(self.unique(name), found, lambda a, b: vector[a:b], _width(vector))
        )
        return found.spec

    def _codec(self, what: str, vector: Any) -> Codec:
        try:
            return codec(vector, self.aside)
        except InexactError as error:
            raise self.wrong(what, str(error)) from None

    def unique(self, name: str) -> str:
        """Return a name that no other column of the file has."""
        name = name.encode("utf-8", "replace").decode() or "_"
        found, number = name, 1
        while found in self.names:
            number += 1
            found = f"{name}.{number}"
        self.names.add(found)
        return found

    def wrong(self, what: str, why: str) -> UsageError:
        hint = "convert it, such as by astype(str), or leave it out"
        if why.endswith((" list", " dict", " tuple", " ndarray")):
            hint = (
                "astype(pd.ArrowDtype(pa.list_(…))) keeps it, pa.struct or pa.map_ for mappings; "
                "or save a table of polars or Arrow"
            )
        return unequal(self.value, f"{what}: {why}", hint)

    def label(self, what: str, label: Any) -> Any:
        try:
            return _label(label)
        except InexactError as error:
            raise self.wrong(what, str(error)) from None


def _width(vector: Any) -> float:
    """Return about how many bytes a value takes, going by a thousand of them: the same for equal vectors."""
    import numpy as np
    import pandas as pd

    dtype = vector.dtype
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return float(dtype.itemsize)
    if not isinstance(dtype, (np.dtype, pd.StringDtype, pd.ArrowDtype)):
        return 16.0
    try:
        some = list(vector[:: max(1, len(vector) // 1000)])
    except (ValueError, OverflowError):  # times for which Python has no room
        return 16.0
    sized = sum(len(each) for each in some if isinstance(each, (str, bytes, list, dict)))
    return 8 + sized / max(len(some), 1)


def _write(value: Any, series: list[Any], names: list[str], stream: BinaryIO) -> Document:
    import pandas as pd

    require("pyarrow", "frames")
    import pyarrow as pa

    plan = _Plan(value)
    is_series = isinstance(value, pd.Series)
    document: Document = {"art": _VERSION, "rows": len(value), "attrs": _attrs(value)}
    document["vectors"] = [
        plan.add(f"column {name!r}", name, _vector(each))
        for name, each in zip(names, series, strict=True)
    ]
    document["index"] = _index(plan, value.index)
    document["duplicates"] = value.flags.allows_duplicate_labels
    if is_series:
        document["name"] = plan.label("its name", value.name)
    else:
        document["labels"] = _labels(plan, value.columns)
    try:
        _write_columns(plan, document, stream)
    except (pa.lib.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise unequal(value, f"Arrow says {(str(error).splitlines() or [''])[0][:200]}") from None
    return parquet.described("parquet", [column.name for column in plan.columns], len(value))


def _vector(series: Any) -> Any:
    """Return the values of a Series or an Index, without a copy."""
    import numpy as np

    return series.to_numpy() if isinstance(series.dtype, np.dtype) else series.array


def _write_columns(plan: _Plan, document: Document, stream: BinaryIO) -> None:
    import pyarrow as pa

    fields = [(each.name, each.codec.pack(each.part(0, 0)).type) for each in plan.columns]
    schema = pa.schema(fields)
    wrong = parquet.kept(schema) if fields else []
    if wrong:
        type = schema.field(wrong[0]).type
        raise plan.wrong(f"column {wrong[0]!r}", f"Parquet has no place for its type, {type}")
    rows = len(plan.value)
    step = parquet.rows_per_group(sum(each.width for each in plan.columns))

    def part(place: int, start: int, stop: int) -> Any:
        column = plan.columns[place]
        return column.codec.pack(column.part(start, stop))

    with parquet.writing(stream, schema, parquet.repeating(schema, rows, part)) as writer:
        for start in range(0, rows if fields else 0, step):
            stop = min(start + step, rows)
            arrays = [part(place, start, stop) for place in range(len(fields))]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        parquet.note(writer, document, plan.aside)


def _attrs(value: Any) -> str:
    """Return the attrs as JSON. Raise UsageError where they would not come back."""
    try:
        return values.text_of(dict(value.attrs))
    except UsageError as error:
        raise unequal(value, f"its attrs, {error.message}", "value.attrs = {}") from None


def _index(plan: _Plan, index: Any) -> Document:
    """Plan for the index; return what must be known of it."""
    import pandas as pd

    names = [plan.label("the name of its index", name) for name in index.names]
    if type(index) is pd.RangeIndex:
        return {"names": names, "range": [index.start, index.stop, index.step]}
    if isinstance(index, pd.MultiIndex):
        return {"names": names, "levels": [_level(plan, index, i) for i in range(index.nlevels)]}
    name = "__index_level_0__" if index.name is None else str(index.name)
    spec = plan.add("its index", name, _vector(index))
    return {"names": names, "of": spec, "freq": _freq(plan, index)}


def _level(plan: _Plan, index: Any, number: int) -> Document:
    level, codes = index.levels[number], index.codes[number]
    freq = _freq(plan, level)
    try:
        found = Level.of(level, plan.aside)
    except InexactError as error:
        raise plan.wrong(f"level {number} of its index", str(error)) from None
    name = index.names[number]
    name = f"__index_level_{number}__" if name is None else str(name)
    plan.columns.append(_Column(plan.unique(name), found, lambda a, b: codes[a:b], 8.0))
    return {**found.spec, **_step(level), "freq": freq}


def _step(index: Any) -> Document:
    """Return how to make an index that is a range, beyond its values."""
    import pandas as pd

    if type(index) is pd.RangeIndex:
        return {"range": [index.start, index.stop, index.step]}
    return {}


def _freq(plan: _Plan, index: Any) -> str | None:
    import pandas as pd

    freq = getattr(index, "freq", None)
    if freq is None or isinstance(index, pd.PeriodIndex):
        return None
    try:
        if pd.tseries.frequencies.to_offset(freq.freqstr) == freq:
            return str(freq.freqstr)
    except ValueError:
        pass
    raise plan.wrong("its index", f"its freq {freq!r} has no name to find it by")


def _labels(plan: _Plan, columns: Any) -> Document:
    """Return the labels of the columns, of which there are as many as they like, whole."""
    import pandas as pd

    names = [plan.label("the name of its columns", name) for name in columns.names]
    if type(columns) is pd.RangeIndex:
        return {"names": names, "range": [columns.start, columns.stop, columns.step]}
    if isinstance(columns, pd.MultiIndex):
        levels = [_packed_labels(plan, level) for level in columns.levels]
        return {
            "names": names,
            "levels": levels,
            "codes": [list(map(int, c)) for c in columns.codes],
        }
    return {"names": names, **_packed_labels(plan, columns)}


def _packed_labels(plan: _Plan, index: Any) -> Document:
    freq = _freq(plan, index)
    if index.dtype.kind == "O" and index.dtype == object:
        return {"objects": [plan.label("its columns", each) for each in index], "freq": freq}
    try:
        return {"of": pack_whole(_vector(index), plan.aside), "freq": freq, **_step(index)}
    except InexactError as error:
        raise plan.wrong("its columns", str(error)) from None


def _label(label: Any) -> Any:
    """Return a label or name as JSON has it. Raise InexactError where it would not come back."""
    if label is None or type(label) in (str, bool, int):
        return label
    if type(label) is float:
        return {"float": repr(label)}
    if type(label) is tuple:
        return {"tuple": [_label(each) for each in label]}
    if scalars.form_of(type(label)) or foreign.form_of(type(label)):
        return {"value": json.loads(values.text_of(label))}
    raise InexactError(f"the label {label!r} is a {type(label).__name__}")


# --- pandas: reading ----------------------------------------------------------------------------


def _read(file: Any, *, is_series: bool, limit: int | None = None) -> Any:
    import pandas as pd

    document, aside = parquet.noted(file.metadata.metadata)
    if document["art"] != _VERSION:
        raise ValueError(f"it is of version {document['art']!r}")
    rows = document["rows"] if limit is None else min(document["rows"], limit)
    index = document["index"]
    codecs = [from_spec(spec, aside) for spec in document["vectors"]]
    codecs += [Level.from_spec(level, aside) for level in index.get("levels", ())]
    codecs += [from_spec(index["of"], aside)] if "of" in index else []
    vectors = _read_columns(file, [each.reader(rows) for each in codecs], rows)
    width = len(document["vectors"])
    columns, index = vectors[:width], _made_index(index, vectors[width:], rows)
    if is_series:
        name = _from_label(document["name"])
        made = pd.Series(columns[0], index=index, dtype=columns[0].dtype, name=name, copy=False)
    else:
        made = _frame(columns, index, rows)
        made.columns = _made_labels(document["labels"], aside)
    if len(made) != rows:
        raise ValueError(f"it has {len(made):,} rows, expected {rows:,}")
    made.attrs = values.decode(document["attrs"].encode())
    if not document["duplicates"]:
        made.flags.allows_duplicate_labels = False
    return made


def _read_columns(file: Any, readers: list[Reader], rows: int) -> list[Any]:
    """Read so many rows, some after others; return the vectors."""
    if file.metadata.num_columns and len(file.schema_arrow) != len(readers):
        raise ValueError(f"it has {len(file.schema_arrow)} columns, expected {len(readers)}")
    is_head = rows < file.metadata.num_rows
    left = rows
    for number in range(file.metadata.num_row_groups):
        # one group at a time: of all of them together, all would be held
        for batch in file.iter_batches(_BATCH, row_groups=[number]) if left else ():
            batch = batch[:left] if is_head else batch
            left -= len(batch)
            for reader, column in zip(readers, batch.columns, strict=True):
                reader.add(column)
    vectors = []
    while readers:
        vectors.append(readers.pop(0).vector())
    return vectors


def _frame(columns: list[Any], index: Any, rows: int) -> Any:
    import pandas as pd

    if index is None:
        index = pd.RangeIndex(rows)
    series = {
        i: pd.Series(each, index=index, dtype=each.dtype, copy=False)
        for i, each in enumerate(columns)
    }
    return pd.DataFrame(series, index=index, copy=False)


def _made_index(spec: Document, vectors: list[Any], rows: int) -> Any:
    import pandas as pd

    names = [_from_label(name) for name in spec["names"]]
    if "range" in spec:
        return pd.RangeIndex(*spec["range"], name=names[0])[:rows]
    if "levels" in spec:
        levels = [
            _with_step(level, each)
            for (level, _), each in zip(vectors, spec["levels"], strict=True)
        ]
        return pd.MultiIndex(levels, [codes for _, codes in vectors], names=names)
    return _with_step(make_index(vectors[0], names[0]), spec, rows)


def _with_step(index: Any, spec: Document, rows: int | None = None) -> Any:
    import pandas as pd

    if "range" in spec:
        made = pd.RangeIndex(*spec["range"])[:rows]
        if not made.equals(index):
            raise ValueError(f"an index is not the range {spec['range']}")
        return made
    if spec["freq"] is not None:
        index.freq = spec["freq"]
    return index


def _made_labels(spec: Document, aside: Aside) -> Any:
    import pandas as pd

    names = [_from_label(name) for name in spec["names"]]
    if "range" in spec:
        return pd.RangeIndex(*spec["range"], name=names[0])
    if "levels" in spec:
        levels = [_unpacked_labels(level, aside) for level in spec["levels"]]
        return pd.MultiIndex(levels, spec["codes"], names=names)
    return _unpacked_labels(spec, aside).rename(names[0])


def _unpacked_labels(spec: Document, aside: Aside) -> Any:
    import numpy as np

    if "of" in spec:
        return _with_step(make_index(unpack_whole(spec["of"], aside), None), spec)
    labels = np.empty(len(spec["objects"]), object)
    for place, label in enumerate(spec["objects"]):
        labels[place] = _from_label(label)
    return make_index(labels, None)


def _from_label(label: Any) -> Any:
    if isinstance(label, dict):
        if "float" in label:
            return float(label["float"])
        if "value" in label:
            return values.decode(json.dumps(label["value"]).encode())
        return tuple(_from_label(each) for each in label["tuple"])
    return label
