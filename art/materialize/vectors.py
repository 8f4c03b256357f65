"""Columns and indexes of pandas as Arrow arrays, and back, exactly.

A *codec* is for one dtype. It packs any slice of a vector into an Arrow array of always the same type, and
unpacks such arrays, as they come, into one vector. `spec` is what must be known to make the codec anew: plain
values for JSON, and, in `Aside`, whole vectors, such as the categories of a categorical.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from art.materialize.objects import PROVED, InexactError, Objects
from art.model import Document


class Aside:
    """Vectors that are kept beside the columns, each packed whole."""

    def __init__(self, batches: list[Any] | None = None) -> None:
        self.batches = batches or []

    def add(self, array: Any) -> int:
        """Keep an Arrow array; return its number."""
        import pyarrow

        if isinstance(array, pyarrow.ChunkedArray):
            array = array.combine_chunks()
        self.batches.append(pyarrow.record_batch([array], ["vector"]))
        return len(self.batches) - 1

    def get(self, number: int) -> Any:
        if type(number) is not int or not 0 <= number < len(self.batches):
            raise ValueError(f"there is no vector {number!r}")
        return self.batches[number].column(0)


class Codec(Protocol):
    """What packs and unpacks vectors of one dtype."""

    spec: Document

    def pack(self, vector: Any) -> Any:
        """Return an Arrow array for a slice of a vector: an array or extension array of pandas."""

    def reader(self, rows: int) -> Reader:
        """Return what takes Arrow arrays with so many rows altogether."""


class Reader(Protocol):
    """Takes Arrow arrays one after another, and gives the vector."""

    def add(self, array: Any) -> None: ...
    def vector(self) -> Any: ...


def codec(vector: Any, aside: Aside) -> Codec:
    """Return the codec for a vector. Raise InexactError where there is none."""
    import numpy as np
    import pandas as pd

    dtype = vector.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            return Objects.of(vector)
        return _Numpy(dtype)
    for kinds, made in _EXTENSIONS(pd):
        if isinstance(dtype, kinds):
            return made(vector, aside)
    raise InexactError(f"its dtype {dtype} is not known here")


def from_spec(spec: Document, aside: Aside) -> Codec:
    """Return the codec that a spec is of. Raise ValueError where it is none."""
    made = _BY_KIND.get(str(spec.get("kind")))
    if made is None:
        raise ValueError(f"there is no vector of kind {spec.get('kind')!r}")
    return made(spec, aside)


def pack_whole(vector: Any, aside: Aside) -> Document:
    """Keep a whole vector aside; return what `unpack_whole` needs."""
    found = codec(vector, aside)
    return {"is": found.spec, "at": aside.add(found.pack(vector))}


def unpack_whole(packed: Document, aside: Aside) -> Any:
    """Return the vector that was kept aside."""
    array = aside.get(packed["at"])
    reader = from_spec(packed["is"], aside).reader(len(array))
    reader.add(array)
    return reader.vector()


# --- dtypes of NumPy ----------------------------------------------------------------------------


class _Numpy:
    """Booleans, numbers and times. NaN stays NaN, it does not become null."""

    def __init__(self, dtype: Any) -> None:
        import numpy as np
        import pyarrow as pa

        self.dtype = np.dtype(dtype)
        self.is_time = self.dtype.kind in "mM"
        if not self.dtype.isnative or self.dtype.kind not in "biufmM":
            raise InexactError(f"its dtype {self.dtype} is not Arrow's")
        try:
            self.type = pa.from_numpy_dtype(self.dtype)
        except pa.lib.ArrowException:
            raise InexactError(f"its dtype {self.dtype} is not Arrow's") from None
        if self.type == pa.timestamp("s"):
            self.type = pa.timestamp("ms")  # Parquet has no seconds
        self.spec = {"kind": "numpy", "dtype": self.dtype.str}

    def pack(self, vector: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        array = pa.array(np.asarray(vector), from_pandas=self.is_time)
        return array if array.type == self.type else array.cast(self.type)

    def reader(self, rows: int) -> Reader:
        return _Filling(self.dtype, self.type, rows)


class _Filling:
    """Fills an array of NumPy as values come."""

    def __init__(self, dtype: Any, type: Any, rows: int) -> None:
        import numpy as np

        self.out = np.empty(rows, dtype)
        self.type = type
        self.done = 0

    def add(self, array: Any) -> None:
        if array.type != self.type:
            raise ValueError(f"a column of {array.type} was expected to be of {self.type}")
        if array.null_count and self.out.dtype.kind not in "mM":
            raise ValueError("a column has nulls")
        end = self.done + len(array)
        if end > len(self.out):
            raise ValueError("a column is too long")
        self.out[self.done : end] = array.to_numpy(zero_copy_only=False)
        self.done = end

    def vector(self) -> Any:
        if self.done != len(self.out):
            raise ValueError("a column is too short")
        return self.out


# --- dtypes of pandas ---------------------------------------------------------------------------


_ZONED = re.compile(r"datetime64\[(s|ms|us|ns), (?!dateutil)[A-Za-z0-9_+:-]+(/[A-Za-z0-9_+-]+)*\]")


class _Zoned:
    """Times with a zone: stored as times of UTC, with the zone's name."""

    def __init__(self, text: str) -> None:
        import pandas as pd
        import pyarrow as pa

        self.dtype = pd.api.types.pandas_dtype(text)
        self.spec = {"kind": "zoned", "dtype": text}
        self.plain = _Numpy(f"M8[{self.dtype.unit}]")
        try:
            zone = pa.lib.tzinfo_to_string(self.dtype.tz)
        except (ValueError, TypeError):
            zone = "UTC"
        self.type = pa.timestamp(self.plain.type.unit, zone)

    @classmethod
    def of(cls, vector: Any, aside: Aside) -> _Zoned:
        import pandas as pd

        text = str(vector.dtype)
        try:
            is_same = pd.api.types.pandas_dtype(text) == vector.dtype
        except (TypeError, ValueError, KeyError):  # KeyError: no such zone
            is_same = False
        if not is_same:
            raise InexactError(f"its time zone {vector.dtype.tz!r} has no name to find it by")
        return cls(text)

    @classmethod
    def from_spec(cls, spec: Document, aside: Aside) -> _Zoned:
        text = str(spec["dtype"])
        if not _ZONED.fullmatch(text):  # among others, pandas would take the path of a file
            raise ValueError(f"there is no dtype {text!r}")
        return cls(text)

    def pack(self, vector: Any) -> Any:
        return self.plain.pack(vector.tz_convert(None).to_numpy()).cast(self.type)

    def reader(self, rows: int) -> Reader:
        import pandas as pd

        def zoned(values: Any) -> Any:
            return pd.array(values, dtype=values.dtype).tz_localize("UTC").tz_convert(self.dtype.tz)

        filling = self.plain.reader(rows)
        return _Converting(filling, lambda array: array.cast(self.plain.type), zoned)


class _Converting:
    """Converts arrays before another reader takes them, and the vector that it gives."""

    def __init__(
        self, inner: Reader, before: Callable[[Any], Any], after: Callable[[Any], Any]
    ) -> None:
        self.inner = inner
        self.before = before
        self.after = after

    def add(self, array: Any) -> None:
        self.inner.add(self.before(array))

    def vector(self) -> Any:
        return self.after(self.inner.vector())


class _Native:
    """Dtypes that convert to Arrow and back themselves: nullable numbers, texts, Arrow's own."""

    def __init__(self, dtype: Any, spec: Document, type: Any) -> None:
        self.dtype = dtype
        self.spec = spec
        self.type = type

    @classmethod
    def of(cls, vector: Any, aside: Aside) -> _Native:
        import pandas as pd

        dtype = vector.dtype
        found = cls(dtype, {"kind": "native", **_native_spec(dtype)}, _packed(vector[:0]).type)
        if isinstance(dtype, pd.StringDtype):
            return found
        for start in range(0, len(vector), PROVED):
            part = vector[start : start + PROVED]
            _prove(found, part)
        return found

    @classmethod
    def from_spec(cls, spec: Document, aside: Aside) -> _Native:
        dtype = _native_dtype(spec)
        return cls(dtype, spec, None)

    def pack(self, vector: Any) -> Any:
        array = _packed(vector)
        return array if array.type == self.type else array.cast(self.type)

    def reader(self, rows: int) -> Reader:
        return _Chunks(self.dtype)


def _packed(vector: Any) -> Any:
    import pyarrow as pa

    array = pa.array(vector, from_pandas=False)
    return pa.chunked_array([array]) if isinstance(array, pa.Array) else array


def _native_spec(dtype: Any) -> Document:
    import pandas as pd

    if isinstance(dtype, pd.StringDtype):
        return {"string": dtype.storage, "na": "NA" if dtype.na_value is pd.NA else "nan"}
    if isinstance(dtype, pd.ArrowDtype):
        import base64

        import pyarrow as pa

        schema = pa.schema([("vector", dtype.pyarrow_dtype)])
        return {"arrow": base64.b64encode(schema.serialize().to_pybytes()).decode()}
    return {"dtype": str(dtype)}


def _native_dtype(spec: Document) -> Any:
    import numpy as np
    import pandas as pd

    if "string" in spec:
        missing = pd.NA if spec["na"] == "NA" else np.nan
        return pd.StringDtype(spec["string"], na_value=missing)
    if "arrow" in spec:
        import base64

        import pyarrow as pa

        serialized = base64.b64decode(spec["arrow"], validate=True)
        return pd.ArrowDtype(pa.ipc.read_schema(pa.py_buffer(serialized)).field(0).type)
    if spec["dtype"] not in _MASKED:
        raise ValueError(f"there is no dtype {spec['dtype']!r}")
    return pd.api.types.pandas_dtype(spec["dtype"])


_MASKED = {
    "boolean",
    *(f"{sign}{bits}" for sign in ("Int", "UInt") for bits in (8, 16, 32, 64)),
    "Float32",
    "Float64",
}


def _prove(found: Codec, part: Any) -> None:
    """Raise InexactError where a slice of a vector does not come back equal."""
    import pandas as pd

    reader = found.reader(len(part))
    for chunk in _chunks(found.pack(part)):
        reader.add(chunk)
    try:
        pd.testing.assert_extension_array_equal(reader.vector(), part, check_exact=True)
    except AssertionError:
        raise InexactError(f"its {part.dtype} values would not come back equal") from None
    except NotImplementedError:  # neither pandas nor Arrow has all there is for such a type
        raise InexactError(f"its {part.dtype} values cannot be compared") from None


def _chunks(array: Any) -> list[Any]:
    return list(array.chunks) if hasattr(array, "chunks") else [array]


class _Chunks:
    """Collects chunks, of which a dtype makes the vector."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.chunks: list[Any] = []

    def add(self, array: Any) -> None:
        self.chunks.append(array)

    def vector(self) -> Any:
        import pandas as pd
        import pyarrow as pa

        if not self.chunks:
            return pd.array([], dtype=self.dtype)
        made = self.dtype.__from_arrow__(pa.chunked_array(self.chunks))
        if made.dtype != self.dtype:
            raise ValueError(f"a column is {made.dtype}, expected {self.dtype}")
        return made


class Coded:
    """Codes into a vector of different values: a categorical, a level of a MultiIndex.

    Values are stored where Arrow finds them again, so that others can read them, otherwise the codes.
    """

    def __init__(self, spec: Document, values: Any, finish: Callable[[Any, Any], Any]) -> None:
        import pyarrow as pa

        self.spec = spec
        self.values = values
        self.is_dense = not pa.types.is_nested(values.type) and not pa.types.is_float16(values.type)
        self.finish = finish

    def pack(self, codes: Any) -> Any:
        """Return an array for codes, of which -1 is for nothing."""
        import numpy as np
        import pyarrow as pa

        codes = np.asarray(codes)
        indices = pa.array(codes.astype(np.int32, copy=False), mask=codes < 0)
        return self.values.take(indices) if self.is_dense else indices

    def reader(self, rows: int) -> Reader:
        import numpy as np
        import pyarrow.compute as compute

        inner = _Filling(np.dtype(np.int32), _int32(), rows)

        def coded(array: Any) -> Any:
            if self.is_dense:
                found = compute.index_in(array, value_set=self.values)
                if found.null_count != array.null_count:
                    raise ValueError("a column has a value that is not one of its values")
                array = found
            return array.fill_null(-1)

        return _Converting(inner, coded, self._finished)

    def _finished(self, codes: Any) -> Any:
        if len(codes) and not -1 <= codes.min() <= codes.max() < len(self.values):
            raise ValueError("a code is out of range")
        return self.finish(self.values, codes)


def _int32() -> Any:
    import pyarrow

    return pyarrow.int32()


def _distinct(vector: Any, aside: Aside) -> tuple[Document, Any]:
    """Keep the values that codes are for aside, as they must be found again."""
    import numpy as np

    if vector.dtype.kind == "f" and isinstance(vector.dtype, np.dtype):
        is_strange = np.isnan(vector) | (np.signbit(vector) & (vector == 0))
        if is_strange.any():
            raise InexactError("NaN or -0.0 is one of its categories")
    packed = pack_whole(vector, aside)
    return packed, aside.get(packed["at"])


class _Category(Coded):
    @classmethod
    def of(cls, vector: Any, aside: Aside) -> _Category:
        index = vector.categories
        packed, values = _distinct(index.array if _is_extension(index) else index.to_numpy(), aside)
        spec = {"kind": "category", "of": packed, "ordered": bool(vector.ordered)}
        found = cls(spec, values, lambda values, codes: None)
        made = from_spec(spec | {"names": None}, aside)
        back = made.reader(0).vector()
        if (
            back.dtype != vector.dtype
            or back.categories.dtype != index.dtype
            or index.name is not None
        ):
            raise InexactError("its categories would not come back equal")
        return found

    @classmethod
    def from_spec(cls, spec: Document, aside: Aside) -> _Category:
        import pandas as pd

        categories = make_index(unpack_whole(spec["of"], aside), None)

        def finish(values: Any, codes: Any) -> Any:
            return pd.Categorical.from_codes(codes, categories=categories, ordered=spec["ordered"])

        return cls(spec, aside.get(spec["of"]["at"]), finish)

    def pack(self, vector: Any) -> Any:
        return super().pack(vector.codes)


def _is_extension(vector: Any) -> bool:
    import numpy as np

    return not isinstance(vector.dtype, np.dtype)


class Level(Coded):
    """A level of a MultiIndex; what comes back are its values and the codes."""

    @classmethod
    def of(cls, level: Any, aside: Aside) -> Level:
        packed, values = _distinct(level.array if _is_extension(level) else level.to_numpy(), aside)
        return cls({"of": packed}, values, lambda values, codes: codes)

    @classmethod
    def from_spec(cls, spec: Document, aside: Aside) -> Level:
        level = make_index(unpack_whole(spec["of"], aside), None)
        return cls(spec, aside.get(spec["of"]["at"]), lambda values, codes: (level, codes))


def make_index(vector: Any, name: Any) -> Any:
    """Return an index of exactly the vector's dtype."""
    import pandas as pd

    return pd.Index(vector, dtype=vector.dtype, name=name, tupleize_cols=False, copy=False)


class _Period:
    """Periods: stored as the numbers that pandas counts them by."""

    def __init__(self, spec: Document, aside: Aside) -> None:
        import pandas as pd

        self.spec = spec
        self.dtype = pd.PeriodDtype(spec["freq"])

    @classmethod
    def of(cls, vector: Any, aside: Aside) -> _Period:
        found = cls({"kind": "period", "freq": str(vector.dtype)[len("period[") : -1]}, aside)
        if found.dtype != vector.dtype:
            raise InexactError(f"its frequency {vector.dtype.freq!r} has no name")
        return found

    def pack(self, vector: Any) -> Any:
        import pyarrow as pa

        return pa.array(vector.asi8, pa.int64(), mask=vector.isna())

    def reader(self, rows: int) -> Reader:
        import numpy as np
        import pandas as pd
        import pyarrow as pa

        inner = _Filling(np.dtype(np.int64), pa.int64(), rows)

        def periods(ordinals: Any) -> Any:
            return pd.arrays.PeriodArray(ordinals, dtype=self.dtype)

        return _Converting(inner, lambda array: array.fill_null(_NAT), periods)


_NAT = -(2**63)


class _Interval:
    """Intervals: two columns in one."""

    def __init__(self, spec: Document, aside: Aside) -> None:
        self.spec = spec
        self.left = from_spec(spec["left"], aside)
        self.right = from_spec(spec["right"], aside)

    @classmethod
    def of(cls, vector: Any, aside: Aside) -> _Interval:
        left, right = _sides(vector)
        spec = {"kind": "interval", "closed": vector.closed}
        spec |= {"left": codec(left, aside).spec, "right": codec(right, aside).spec}
        found = cls(spec, aside)
        for start in range(0, len(vector), PROVED):
            _prove(found, vector[start : start + PROVED])
        return found

    def pack(self, vector: Any) -> Any:
        import pyarrow as pa

        left, right = _sides(vector)
        return pa.StructArray.from_arrays(
            [self.left.pack(left), self.right.pack(right)], ["left", "right"]
        )

    def reader(self, rows: int) -> Reader:
        return _Sides(self.spec["closed"], self.left.reader(rows), self.right.reader(rows))


def _sides(vector: Any) -> tuple[Any, Any]:
    sides = (vector.left, vector.right)
    left, right = (side.array if _is_extension(side) else side.to_numpy() for side in sides)
    return left, right


class _Sides:
    def __init__(self, closed: str, left: Reader, right: Reader) -> None:
        self.closed = closed
        self.left = left
        self.right = right

    def add(self, array: Any) -> None:
        self.left.add(array.field("left"))
        self.right.add(array.field("right"))

    def vector(self) -> Any:
        import pandas as pd

        left, right = self.left.vector(), self.right.vector()
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=self.closed)


def _EXTENSIONS(pd: Any) -> tuple[tuple[Any, Callable[[Any, Aside], Codec]], ...]:  # noqa: N802
    masked = tuple(type(pd.api.types.pandas_dtype(name)) for name in _MASKED)
    return (
        (pd.CategoricalDtype, _Category.of),
        (pd.DatetimeTZDtype, _Zoned.of),
        ((pd.StringDtype, pd.ArrowDtype, *masked), _Native.of),
        (pd.PeriodDtype, _Period.of),
        (pd.IntervalDtype, _Interval.of),
    )


_BY_KIND: dict[str, Callable[[Document, Aside], Codec]] = {
    "numpy": lambda spec, aside: _Numpy(spec["dtype"]),
    "zoned": _Zoned.from_spec,
    "native": _Native.from_spec,
    "category": _Category.from_spec,
    "period": _Period,
    "interval": _Interval,
    "object": Objects.from_spec,
}
