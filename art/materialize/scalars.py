"""Single values as JSON: numbers, texts, bytes, dates.

What JSON has itself stands as it is; all else as a *form*, an object whose `$art` says which. A form can
be told from a user's mapping because a mapping that has this key is written as a form itself.
"""

from __future__ import annotations

import binascii
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from art.materialize.base import unequal
from art.model import Document

TAG = "$art"

# Every Python reads and writes that many decimal digits, however it is set up; beyond, texts of numbers
# take time that grows with their square.
_DIGITS = 640
_PLAIN_BITS = 2048  # 617 digits
_FRACTION_BITS = 1 << 17  # making one takes time that grows with the square of that
_HEX = re.compile(r"-?0x[0-9a-f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,3}")


@dataclass(frozen=True)
class Form:
    """How objects of one class stand in JSON. `read` gets what `write` returned, by name: it raises
    TypeError or ValueError where something is missing, unknown or wrong."""

    tag: str
    write: Callable[[Any], Document]
    read: Callable[..., Any]


def integer(value: int) -> Any:
    """Return how a whole number stands in JSON."""
    return value if value.bit_length() <= _PLAIN_BITS else {TAG: "int", "hex": hex(value)}


def real(value: float) -> Any:
    """Return how a float stands in JSON. One NaN is like any other."""
    return value if math.isfinite(value) else {TAG: "float", "value": str(value)}


def text(value: str) -> Any:
    """Return how a text stands in JSON. Halves of characters have no place there."""
    if value.isascii() or not _SURROGATE.search(value):
        return value
    return {TAG: "str", "base64": base64(value.encode("utf-8", "surrogatepass"))}


def mapping(pairs: Iterable[tuple[Any, Any]]) -> Document:
    """Return how keys and values, which stand in JSON already, do so together, in order."""
    pairs = list(pairs)
    if all(type(key) is str and key != TAG for key, _ in pairs):
        return dict(pairs)
    return {TAG: "dict", "items": [list(pair) for pair in pairs]}


def is_plain(value: object) -> bool:
    """Whether JSON has this number, text, truth value or null itself."""
    cls = type(value)
    if cls is str:
        return text(value) is value  # type: ignore[arg-type]
    if cls is int:
        return value.bit_length() <= _PLAIN_BITS  # type: ignore[attr-defined, no-any-return]
    if cls is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    return value is None or cls is bool


def parse_integer(digits: str) -> int:
    """Return a number in JSON. Raise ValueError where it is longer than one that is written there."""
    if len(digits) > _DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def base64(data: bytes | bytearray) -> str:
    """Return bytes as a text."""
    return binascii.b2a_base64(data, newline=False).decode()


def from_base64(text: str) -> bytes:
    """Return the bytes of a text. Raise ValueError where it is not what `base64` returns."""
    data = binascii.a2b_base64(exactly(str, text))
    if base64(data) != text:
        raise ValueError("this is not base64")
    return data


def exactly(cls: type, value: Any) -> Any:
    """Return `value`; raise TypeError where it is not of exactly this class."""
    if type(value) is not cls:
        raise TypeError(f"a {type(value).__name__}, not a {cls.__name__}")
    return value


def form_of(cls: type) -> Form | None:
    """Return how objects of exactly this class are written. Nothing is imported for that: whoever has
    such an object has its module."""
    form = _FORMS.get(f"{cls.__module__}.{cls.__qualname__}")
    found = getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) if form else None
    return form if found is cls else None


def form_named(tag: str) -> Form | None:
    """Return how objects are read that stand under this word."""
    return _TAGS.get(tag)


# -- numbers and texts -------------------------------------------------------------------------------


def _read_int(hex: str) -> int:
    if not _HEX.fullmatch(hex):
        raise ValueError("this is no number")
    return int(hex, 16)


def _read_float(value: str) -> float:
    if value not in ("inf", "-inf", "nan"):
        raise ValueError("this is neither infinite nor NaN")
    return float(value)


def _read_str(base64: str) -> str:
    return from_base64(base64).decode("utf-8", "surrogatepass")


def _write_complex(value: complex) -> Document:
    return {"real": real(value.real), "imag": real(value.imag)}


def _read_complex(real: float, imag: float) -> complex:
    return complex(exactly(float, real), exactly(float, imag))


def _write_bytes(value: bytes | bytearray) -> Document:
    return {"base64": base64(value)}


def _read_bytes(base64: str) -> bytes:
    return from_base64(base64)


def _read_bytearray(base64: str) -> bytearray:
    return bytearray(from_base64(base64))


def _write_text(value: Any) -> Document:
    return {"value": str(value)}


def _of_text(cls: type, value: str) -> Any:
    """Return what a class makes of a text that it gave itself."""
    made = cls(exactly(str, value))
    if str(made) != value:
        raise ValueError(f"this is no {cls.__name__}")
    return made


def _read_decimal(value: str) -> Any:
    from decimal import Decimal

    return _of_text(Decimal, value)


def _write_fraction(value: Any) -> Document:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _FRACTION_BITS:
        raise unequal(value, f"its parts have more than {_FRACTION_BITS} bits")
    return {"numerator": integer(value.numerator), "denominator": integer(value.denominator)}


def _read_fraction(numerator: int, denominator: int) -> Any:
    from fractions import Fraction

    for part in (numerator, denominator):
        if exactly(int, part).bit_length() > _FRACTION_BITS:
            raise ValueError("its parts are too large")
    if denominator < 1:
        raise ValueError("its denominator is none")
    made = Fraction(numerator, denominator)
    if made.denominator != denominator:
        raise ValueError("it is not in lowest terms")
    return made


# -- dates -------------------------------------------------------------------------------------------


def _write_date(value: Any) -> Document:
    return {"value": value.isoformat()}


def _read_date(value: str) -> Any:
    from datetime import date

    return _from_iso(date, value)


def _write_time(value: Any) -> Document:
    """A zone that has a key stands as that, another as its offset: what a zone is, its key says."""
    about = {} if value.tzinfo is None else _zone(value)
    if value.fold:
        about["fold"] = 1
    is_whole = "zone" not in about and "offset" not in about
    return {"value": (value if is_whole else value.replace(tzinfo=None)).isoformat(), **about}


def _zone(value: Any) -> Document:
    """Return what is not in the text of a time. Python misreads offsets there that are not whole
    seconds."""
    from datetime import timezone

    zone = value.tzinfo
    if form_of(type(zone)) is _ZONE_FORM:
        return {"zone": _write_zone(zone)["key"]}
    if type(zone) is not timezone:
        raise unequal(
            value,
            f"its time zone is a {type(zone).__module__}.{type(zone).__qualname__}",
            hint="use zoneinfo.ZoneInfo or datetime.timezone",
        )
    about = _write_timezone(zone)
    if not zone.utcoffset(None).microseconds:
        del about["offset"]
    return about


def _read_time(value: str, **about: Any) -> Any:
    from datetime import time

    return _with_zone(_from_iso(time, value), **about)


def _read_datetime(value: str, **about: Any) -> Any:
    from datetime import datetime

    return _with_zone(_from_iso(datetime, value), **about)


def _with_zone(
    made: Any,
    zone: str | None = None,
    offset: int | None = None,
    name: str | None = None,
    fold: int = 0,
) -> Any:
    from datetime import timedelta, timezone

    if (made.tzinfo, zone, offset).count(None) < 2:
        raise ValueError("it has two zones")
    if zone is not None:
        made = made.replace(tzinfo=_read_zone(zone))
    elif offset is not None:
        made = made.replace(tzinfo=timezone(timedelta(microseconds=exactly(int, offset))))
    if name is not None:
        made = made.replace(tzinfo=timezone(made.tzinfo.utcoffset(None), exactly(str, name)))
    return made.replace(fold=exactly(int, fold))


def _read_zone(key: str) -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from art.errors import NotFoundError

    if not _ZONE.fullmatch(key):
        raise ValueError("this is no key of a zone")
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, OSError):
        raise NotFoundError(
            f"there is no time zone {key!r} on this machine", hint="pip install tzdata"
        ) from None


def _from_iso(cls: Any, value: str) -> Any:
    made = cls.fromisoformat(value)
    if made.isoformat() != value:
        raise ValueError(f"this is no {cls.__name__}")
    return made


def _write_timedelta(value: Any) -> Document:
    return {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}


def _read_timedelta(days: int, seconds: int, microseconds: int) -> Any:
    from datetime import timedelta

    made = timedelta(*(exactly(int, part) for part in (days, seconds, microseconds)))
    if _write_timedelta(made) != {"days": days, "seconds": seconds, "microseconds": microseconds}:
        raise ValueError("this is no timedelta")
    return made


def _write_zone(value: Any) -> Document:
    if value.key is None or not _ZONE.fullmatch(value.key):
        raise unequal(value, f"a time zone without a usual key, {value.key!r}")
    return {"key": value.key}


def _read_uuid(value: str) -> Any:
    from uuid import UUID

    return _of_text(UUID, value)


def _write_timezone(value: Any) -> Document:
    from datetime import timedelta, timezone

    offset, name = value.utcoffset(None), value.tzname(None)
    about = {} if name == timezone(offset).tzname(None) else {"name": text(name)}
    return {"offset": offset // timedelta.resolution, **about}


def _read_timezone(offset: int, name: str | None = None) -> Any:
    from datetime import timedelta, timezone

    made = timedelta(microseconds=exactly(int, offset))
    return timezone(made) if name is None else timezone(made, exactly(str, name))


def _write_range(value: range) -> Document:
    return {name: integer(getattr(value, name)) for name in ("start", "stop", "step")}


def _read_range(start: int, stop: int, step: int) -> range:
    return range(exactly(int, start), exactly(int, stop), exactly(int, step))


def _write_path(value: Any) -> Document:
    return {"value": text(str(value))}


def _read_path(flavour: str) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        import pathlib

        made = getattr(pathlib, flavour)(exactly(str, value))
        if str(made) != value:
            raise ValueError("this is no path")
        return made

    return read


_POSIX = Form("posixpath", _write_path, _read_path("PurePosixPath"))
_WINDOWS = Form("windowspath", _write_path, _read_path("PureWindowsPath"))
_ZONE_FORM = Form("zoneinfo", _write_zone, _read_zone)
_FORMS = {
    "builtins.complex": Form("complex", _write_complex, _read_complex),
    "builtins.bytes": Form("bytes", _write_bytes, _read_bytes),
    "builtins.bytearray": Form("bytearray", _write_bytes, _read_bytearray),
    "decimal.Decimal": Form("decimal", _write_text, _read_decimal),
    "fractions.Fraction": Form("fraction", _write_fraction, _read_fraction),
    "datetime.date": Form("date", _write_date, _read_date),
    "datetime.time": Form("time", _write_time, _read_time),
    "datetime.datetime": Form("datetime", _write_time, _read_datetime),
    "datetime.timedelta": Form("timedelta", _write_timedelta, _read_timedelta),
    "zoneinfo.ZoneInfo": _ZONE_FORM,
    "datetime.timezone": Form("timezone", _write_timezone, _read_timezone),
    "builtins.range": Form("range", _write_range, _read_range),
    "pathlib.PurePosixPath": _POSIX,
    "pathlib.PureWindowsPath": _WINDOWS,
    "pathlib._local.PurePosixPath": _POSIX,  # of Python 3.13
    "pathlib._local.PureWindowsPath": _WINDOWS,
    "uuid.UUID": Form("uuid", _write_text, _read_uuid),
}
_TAGS = {form.tag: form for form in _FORMS.values()} | {
    "int": Form("int", dict, _read_int),
    "float": Form("float", dict, _read_float),
    "str": Form("str", dict, _read_str),
}
