"""Single values of NumPy and pandas as JSON, exactly: no file is needed for each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from art.materialize import scalars
from art.materialize.base import unequal
from art.materialize.classes import ClassForm, Steps
from art.materialize.libraries import require
from art.materialize.scalars import Form, exactly
from art.model import Document

_DTYPE = re.compile(r"\|b1|\|[iu]1|<[iu][248]|<f[248]|<c8|<c16|<[mM]8(\[[0-9]*[A-Za-z]+\])?")
_UNITS = ("s", "ms", "us", "ns")
_NUMBERS = (
    "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128", "datetime64", "timedelta64",
)  # fmt: skip


def form_of(cls: type) -> Form | ClassForm | None:
    """Return how objects of exactly this class are written. Nothing is imported for that."""
    package = cls.__module__.partition(".")[0]
    form = _FORMS.get(f"{package}.{cls.__qualname__}")
    if form is None:
        return None
    home = sys.modules.get(cls.__module__)
    return form if getattr(home, cls.__qualname__, None) is cls else None


def form_named(tag: str) -> Form | ClassForm | None:
    """Return how objects are read that stand under this word."""
    return _TAGS.get(tag)


def shown(value: Any) -> Any:
    """Return a value as Python has it, to be shown: a number of NumPy as Python's; times of NumPy, and
    periods and intervals, as texts; None for NA and NaT. Others as they are."""
    form = form_of(type(value))
    if form is None or form.tag in ("timestamp", "pandas.timedelta"):
        return value
    if form.tag in ("NA", "NaT"):
        return None
    return value.item() if form is _NUMBER and value.dtype.kind not in "mM" else str(value)


# -- NumPy -------------------------------------------------------------------------------------------


def _write_number(value: Any) -> Document:
    dtype = value.dtype.newbyteorder("<").str
    if value.dtype.kind in "mM":
        return {"dtype": dtype, "value": int(value.view("i8"))}
    plain = value.item()
    if type(plain) is complex:
        plain = {"real": scalars.real(plain.real), "imag": scalars.real(plain.imag)}
    return {"dtype": dtype, "value": scalars.real(plain) if type(plain) is float else plain}


def _read_number(dtype: str, value: Any) -> Any:
    np = require("numpy", "numpy")
    if not _DTYPE.fullmatch(exactly(str, dtype)):
        raise ValueError(f"there is no number of {dtype!r}")
    found = np.dtype(dtype)
    if found.kind in "mM":
        return np.array(exactly(int, value), "<i8").view(found)[()]
    if found.kind == "c":
        value = complex(exactly(float, value["real"]), exactly(float, value["imag"]))
    else:
        exactly({"b": bool, "i": int, "u": int, "f": float}[found.kind], value)
    with np.errstate(over="ignore"):
        made = np.array(value, found)[()]
    if made != value and made == made:  # NaN is no loss
        raise ValueError(f"{value} is no {dtype}")
    return made


def _write_text(value: Any) -> Document:
    return {"value": scalars.text(str(value))}


def _read_text(value: str) -> Any:
    return require("numpy", "numpy").str_(exactly(str, value))


# -- pandas ------------------------------------------------------------------------------------------


def _write_timestamp(value: Any) -> Document:
    """The moment in steps of its unit, and the zone that it is shown in."""
    about = {} if value.tzinfo is None else _zone(value)
    found = {"value": int(value.asm8.view("i8")), "unit": value.unit, **about}
    back = _read_timestamp(**found)
    if back != value or back.unit != value.unit or back.fold != value.fold:
        raise unequal(value, "it would not come back equal")
    return found


def _zone(value: Any) -> Document:
    form = scalars.form_of(type(value.tzinfo))
    if form is None:
        zone = type(value.tzinfo)
        hint = "use zoneinfo.ZoneInfo or datetime.timezone"
        raise unequal(value, f"its time zone is a {zone.__module__}.{zone.__qualname__}", hint=hint)
    return {"zone": {scalars.TAG: form.tag, **form.write(value.tzinfo)}}


def _read_timestamp(value: int, unit: str, zone: Any = None) -> Any:
    pd, np = require("pandas", "frames"), require("numpy", "numpy")
    if isinstance(zone, dict):  # as `_write_timestamp` made it, which looks whether it comes back
        fields = {name: part for name, part in zone.items() if name != scalars.TAG}
        form = scalars.form_named(zone[scalars.TAG])
        assert form is not None
        zone = form.read(**fields)
    made = pd.Timestamp(np.datetime64(exactly(int, value), _checked_unit(unit)))
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def _checked_unit(unit: Any) -> str:
    if unit not in _UNITS:
        raise ValueError(f"there is no unit {unit!r}")
    return str(unit)


def _write_timedelta(value: Any) -> Document:
    return {"value": int(value.asm8.view("i8")), "unit": value.unit}


def _read_timedelta(value: int, unit: str) -> Any:
    pd, np = require("pandas", "frames"), require("numpy", "numpy")
    return pd.Timedelta(np.timedelta64(exactly(int, value), _checked_unit(unit)))


def _write_period(value: Any) -> Document:
    return {"ordinal": value.ordinal, "freq": value.freqstr}


def _read_period(ordinal: int, freq: str) -> Any:
    pd = require("pandas", "frames")
    return pd.Period(ordinal=exactly(int, ordinal), freq=exactly(str, freq))


def _write_interval(value: Any) -> Steps:
    left = yield ".left", value.left
    right = yield ".right", value.right
    return {"left": left, "right": right, "closed": value.closed}


def _read_interval(left: Any, right: Any, closed: str) -> Any:
    return require("pandas", "frames").Interval(left, right, closed=closed)


def _nothing(name: str) -> Callable[[], Any]:
    return lambda: getattr(require("pandas", "frames"), name)


def _no_fields(value: Any) -> Document:
    return {}


_NUMBER = Form("numpy", _write_number, _read_number)
_FORMS: dict[str, Form | ClassForm] = {
    **{f"numpy.{name}": _NUMBER for name in _NUMBERS},
    "numpy.str_": Form("numpy.str", _write_text, _read_text),
    "pandas.Timestamp": Form("timestamp", _write_timestamp, _read_timestamp),
    "pandas.Timedelta": Form("pandas.timedelta", _write_timedelta, _read_timedelta),
    "pandas.Period": Form("period", _write_period, _read_period),
    "pandas.Interval": ClassForm("interval", _write_interval, _read_interval),
    "pandas.NaTType": Form("NaT", _no_fields, _nothing("NaT")),
    "pandas.NAType": Form("NA", _no_fields, _nothing("NA")),
}
_TAGS = {form.tag: form for form in _FORMS.values()}
