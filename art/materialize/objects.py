"""Columns of pandas that hold Python's objects, as Arrow arrays, and back, exactly."""

from __future__ import annotations

import math
from typing import Any

from art.model import Document

PROVED = 1 << 18  # rows that are packed and unpacked at once, to see whether they come back


class InexactError(ValueError):
    """A vector would not come back equal; the message says why."""


class Objects:
    """Objects of one type of Python's, and one kind of nothing among them."""

    def __init__(self, spec: Document, type: Any) -> None:
        self.spec = spec
        self.type = type

    @classmethod
    def of(cls, vector: Any) -> Objects:
        """Prove that all objects come back, with their types."""
        kinds = _kinds(vector)
        names = sorted(kinds & set(_NULLS))
        values = kinds - set(_NULLS)
        if len(names) > 1 or len(values) > 1:
            raise InexactError(f"it mixes {' and '.join(sorted(kinds))}")
        type = _object_type(values.pop() if values else None, vector)
        found = cls({"kind": "object", "null": names[0] if names else None}, type)
        for start in range(0, len(vector), PROVED):
            found.prove(vector[start : start + PROVED])
        return found

    @classmethod
    def from_spec(cls, spec: Document, aside: object) -> Objects:
        if spec["null"] is not None and spec["null"] not in _NULLS:
            raise ValueError(f"there is no null {spec['null']!r}")
        return cls(spec, None)

    def prove(self, part: Any) -> None:
        import pyarrow as pa

        reader = self.reader(len(part))
        try:
            reader.add(self.pack(part))
        except (pa.lib.ArrowException, TypeError, ValueError, OverflowError) as error:
            first = (str(error).splitlines() or ["not Arrow's"])[0]
            raise InexactError(f"Arrow cannot hold its objects ({first[:120]})") from None
        back = reader.vector()
        if not all(map(_is_same, back, part)):
            raise InexactError("its objects would not come back equal")

    def pack(self, vector: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        values = np.asarray(vector, dtype=object)
        mask = np.fromiter(map(_is_null, values), bool, len(values))
        return pa.array(values, self.type, mask=mask, from_pandas=False)

    def reader(self, rows: int) -> _Listing:
        return _Listing(_null(self.spec["null"]), rows)


_NULLS = ("None", "nan", "NA", "NaT")


def _null(name: str | None) -> Any:
    import pandas as pd

    return {"nan": math.nan, "NA": pd.NA, "NaT": pd.NaT}.get(str(name))


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    if kind == "float" and math.isnan(value):
        return "nan"
    return {"NAType": "NA", "NaTType": "NaT"}.get(kind, kind)


def _is_null(value: Any) -> bool:
    return value is None or _kind(value) in _NULLS


def _kinds(vector: Any) -> set[str]:
    """Return the names of the types in a vector, and of its nulls."""
    types = set(map(type, vector))
    if any(each.__name__ in ("float",) for each in types):
        return {_kind(value) for value in vector}
    return {
        {"NoneType": "None", "NAType": "NA", "NaTType": "NaT"}.get(each.__name__, each.__name__)
        for each in types
    }


def _object_type(kind: str | None, vector: Any) -> Any:
    import pyarrow as pa

    plain = {
        None: pa.null(),
        "str": pa.large_string(),
        "bytes": pa.large_binary(),
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us"),
        "timedelta": pa.duration("us"),
        "time": pa.time64("us"),
    }
    if kind == "Decimal":
        return _decimal_type(vector)
    if kind not in plain:
        raise InexactError(f"it holds objects of type {kind}")
    return plain[kind]


def _decimal_type(vector: Any) -> Any:
    """Return the type for decimals that all have the same number of places."""
    import pyarrow as pa

    values = [value for value in vector if not _is_null(value)]
    places = {value.as_tuple().exponent for value in values}
    scale = -min((each for each in places if isinstance(each, int)), default=0)
    if len(places) > 1 or any(not isinstance(each, int) for each in places) or scale < 0:
        raise InexactError("its decimals have different numbers of places, or are not finite")
    digits = max([len(value.as_tuple().digits) for value in values] + [scale, 1])
    if digits > 76:
        raise InexactError("its decimals have more than 76 digits")
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    return one == other if type(one) in (str, bytes, int) else repr(one) == repr(other)


class _Listing:
    def __init__(self, null: Any, rows: int) -> None:
        import numpy as np

        self.null = null
        self.out = np.empty(rows, object)
        self.done = 0

    def add(self, array: Any) -> None:
        values = array.to_pylist()
        if array.null_count and self.null is not None:
            values = [self.null if value is None else value for value in values]
        if self.done + len(values) > len(self.out):
            raise ValueError("a column is too long")
        self.out[self.done : self.done + len(values)] = _objects(values)
        self.done += len(values)

    def vector(self) -> Any:
        if self.done != len(self.out):
            raise ValueError("a column is too short")
        return self.out


def _objects(values: list[Any]) -> Any:
    import numpy as np

    array = np.empty(len(values), object)
    array[:] = values
    return array
