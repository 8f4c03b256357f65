"""A cell as a text, and a value as JSON has it.

As texts: times in ISO 8601; bytes in base64; `NaN`, `Infinity`, `-Infinity`; `true` and `false`; lists and
mappings as JSON; a Decimal, a UUID and others as Python's `str` gives them; nothing for None.

As JSON: null for None and NaN; what JSON has no form for is the text above.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections import deque
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

from art.errors import UsageError
from art.materialize import foreign

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False
).encode  # `dumps` makes one each time
_AS_TEXT = (bytes, bytearray, memoryview, date, time, timedelta, Decimal, Fraction, UUID, PurePath)


def cell_text(value: Any) -> str:
    """Return a cell as a text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else json.dumps(float(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return json_bytes(json_view(value)).decode()
    return str(value)


def cell_view(value: Any) -> Any:
    """Return a cell of a table as JSON has it."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return json_view(value)
    return cell_text(value)


def json_bytes(view: Any, *, indent: int | None = None) -> bytes:
    """Return what JSON has as JSON in UTF-8, on one line unless it is indented."""
    try:
        if indent is None:
            return _encode(view).encode()
        return json.dumps(view, ensure_ascii=False, allow_nan=False, indent=indent).encode()
    except UnicodeEncodeError:  # half of a character, which UTF-8 has no form for
        return json.dumps(view, allow_nan=False, indent=indent).encode()


def json_view(value: Any) -> Any:
    """Return a value as JSON has it. Raise UsageError where nothing would be left of it, and where two
    keys of a mapping would become one."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return json_view(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [json_view(item) for item in value]
    if isinstance(value, (complex, *_AS_TEXT)):
        return cell_text(value)
    plain = foreign.shown(value)
    return _fields(value) if plain is value else json_view(plain)


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else cell_text(value)


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    view: dict[str, Any] = {}
    for key, item in value.items():
        name = "null" if key is None else cell_text(key)
        if name in view:
            raise UsageError(f"two keys of a mapping would be {name!r} in JSON")
        view[name] = json_view(item)
    return view


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass or a model of pydantic."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    elif isinstance(getattr(type(value), "model_fields", None), dict):
        names = list(type(value).model_fields)
    else:
        raise UsageError(f"JSON has no form for a {type(value).__name__}")
    return {name: json_view(getattr(value, name)) for name in names}
