"""Previews as bytes: cut until they fit, and read back with suspicion."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from art.errors import CorruptError, NewerFormatError, UsageError
from art.model import Document

LIMIT = 64 << 10
FORMAT = 1
KINDS = ("table", "array", "image", "text", "json", "archive")

_DEPTH = 16
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
# How long texts and lists may be, from the mildest to the last attempt. Fields of a document are
# few: mappings keep at least as many.
_STAGES = ((8192, 1000), (2048, 500), (1000, 250), (300, 150), (120, 100), (60, 50), (40, 20))
_FIELDS = 32
# A part of these is worth nothing: they are there or not.
_WHOLE = ("thumbnail", "histogram")


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the preview as canonical JSON of at most 64 KiB; what does not fit is cut, and marked so.

    Raise UsageError where it is no preview at all.
    """
    for text, items in _STAGES:
        data = _bytes(_Cut(text, items).document(document))
        if len(data) <= LIMIT:
            return _checked(data)
    return _checked(_bytes({"art": FORMAT, "kind": document.get("kind"), "cut": True}))


def parse(data: bytes) -> Document:
    """Return the preview. Raise CorruptError where it is none, NewerFormatError where a newer art wrote it.

    Kinds and fields that are not known here are kept, those that are known have the types they must.
    """
    if len(data) > LIMIT:
        raise CorruptError(f"the preview is {len(data):,} bytes long, expected at most {LIMIT:,}")
    try:
        document = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"the preview is damaged: {error}") from None
    if not isinstance(document, dict):
        raise CorruptError("the preview is damaged: it is no mapping")
    format = document.get("art")
    if type(format) is int and format > FORMAT:
        raise NewerFormatError(
            f"the preview has format {format}, this art reads {FORMAT}", hint="upgrade art"
        )
    _check(document)
    return document


def _bytes(document: Document) -> bytes:
    # ASCII, so that a surrogate of a strange file name is kept too
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _checked(data: bytes) -> bytes:
    try:
        parse(data)
    except (CorruptError, NewerFormatError) as error:
        raise UsageError(f"this is not a preview: {error.message}") from None
    return data


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


class _Cut:
    """Copies a document, with texts and lists of limited length."""

    def __init__(self, text: int, items: int) -> None:
        self.text = text
        self.items = items
        self.is_cut = False

    def document(self, document: Mapping[str, Any]) -> Document:
        copy = self.mapping(document, 0)
        return copy | {"cut": True} if self.is_cut else copy

    def value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return number(value)
        if isinstance(value, str):
            return self.limited(value)
        if isinstance(value, Mapping):
            return self.mapping(value, depth + 1)
        if isinstance(value, (list, tuple)):
            return self.list(value, depth + 1)
        raise UsageError(f"this is not a preview: JSON has no {type(value).__name__}")

    def limited(self, text: str) -> str:
        if len(text) <= self.text:
            return text
        self.is_cut = True
        return text[: self.text - 1] + "…"

    def list(self, values: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        if self.too_deep(depth):
            return []
        self.is_cut |= len(values) > self.items
        return [self.value(value, depth) for value in values[: self.items]]

    def mapping(self, values: Mapping[str, Any], depth: int) -> Document:
        if self.too_deep(depth):
            return {}
        copy: Document = {}
        limit = max(self.items, _FIELDS)
        self.is_cut |= len(values) > limit
        for (name, value), _ in zip(values.items(), range(limit), strict=False):
            if name in _WHOLE:
                whole = _Cut(LIMIT, LIMIT)
                kept = whole.value(value, depth)
                if self.text < _STAGES[2][0] and len(json.dumps(kept)) > self.text:
                    self.is_cut = True
                    continue
                copy[name] = kept
            else:
                copy[self.limited(str(name))] = self.value(value, depth)
        return copy

    def too_deep(self, depth: int) -> bool:
        self.is_cut |= depth > _DEPTH
        return depth > _DEPTH


def number(value: float) -> int | float | str:
    """Return a number as JSON can hold it: beyond 64 bits, and what is not finite, as a text."""
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else long_number(value)
    return float(value) if math.isfinite(value) else json.dumps(float(value))


def long_number(value: int) -> str:
    """Return a text for a number of any length; Python prints none beyond some thousand digits."""
    return str(value) if value.bit_length() <= 512 else f"<{value.bit_length()} bits>"


# --- which fields a kind has --------------------------------------------------------------------

_Check = Callable[[Any], bool]


def _check(document: Document) -> None:
    kind = document.get("kind")
    if type(document.get("art")) is not int or document["art"] != FORMAT:
        raise _wrong("art", document.get("art"))
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise _wrong("kind", kind)
    if not isinstance(document.get("cut"), bool):
        raise _wrong("cut", document.get("cut"))
    if not _is_json(document, 0):
        raise CorruptError(
            "the preview is damaged: a number is not finite, or it is nested too deeply"
        )
    for name, check in _KIND_FIELDS.get(kind, {}).items():
        if name in document and not check(document[name]):
            raise _wrong(name, document[name])


def _wrong(field: str, found: object) -> CorruptError:
    return CorruptError(f"the preview is damaged: field {field!r} is {str(found)[:60]!r}")


def _is_json(value: Any, depth: int) -> bool:
    if depth > 2 * _DEPTH:
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or all(_is_json(each, depth + 1) for each in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, (str, bool, int, float))


def _lists(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _fields(fields: dict[str, _Check]) -> _Check:
    return lambda value: (
        isinstance(value, dict)
        and all(check(value[name]) for name, check in fields.items() if name in value)
    )


def _is_top(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and _is_cell(value[0]) and _is_count(value[1])
    )


def _is_head(value: Any) -> bool:
    return isinstance(value, list) and all(
        _is_cell(each) or _lists(_is_cell)(each) for each in value
    )


_HISTOGRAM = _fields({"low": _is_cell, "high": _is_cell, "counts": _lists(_is_count)})
_STATISTICS: dict[str, _Check] = {
    "dtype": _is_text,
    "count": _is_count,
    "nulls": _is_count,
    "min": _is_cell,
    "max": _is_cell,
    "mean": _is_cell,
    "uniques": _is_count,
    "uniques_exact": _is_bool,
    "histogram": _HISTOGRAM,
    "top": _lists(_is_top),
}
_COLUMN = _fields({"name": _is_text, "index": _is_bool, "over": _is_count, **_STATISTICS})
_ENTRY = _fields({"name": _is_text, "size": _is_count, "dir": _is_bool})
_THUMBNAIL = _fields({"media": _is_text, "width": _is_count, "height": _is_count, "data": _is_text})
_KIND_FIELDS: dict[str, dict[str, _Check]] = {
    "table": {
        "rows": _is_count,
        "over": _is_count,
        "width": _is_count,
        "columns": _lists(_COLUMN),
        "head": _lists(_lists(_is_cell)),
    },
    "array": {
        "shape": _lists(_is_count),
        "size": _is_count,
        "over": _is_count,
        "head": _is_head,
        **_STATISTICS,
    },
    "image": {
        "width": _is_count,
        "height": _is_count,
        "mode": _is_text,
        "format": _is_text,
        "frames": _is_count,
        "thumbnail": _THUMBNAIL,
    },
    "text": {"text": _is_text, "size": _is_count},
    "json": {"length": _is_count},
    "archive": {
        "format": _is_text,
        "entries": _lists(_ENTRY),
        "count": _is_count,
        "size": _is_count,
    },
}
