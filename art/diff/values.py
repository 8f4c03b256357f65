"""Nested values compared by paths: JSON, metadata."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from art.diff.sequences import find_gaps

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class JsonChange:
    """One place where two values differ. `kind` is "added", "removed" or "changed".

    An index in `path` counts in the right value, for what was removed in the left one.
    """

    path: str
    kind: str
    old: Any = None
    new: Any = None


def compare_json(left: Any, right: Any) -> list[JsonChange]:
    """Return what differs, with paths such as `$.a.b[3]`.

    1 and 1.0 are equal, 1 and true are not. Elements that were put into or taken out of a list do
    not make those after them different.
    """
    return list(_value_changes(left, right, "$"))


def compare_mappings(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[JsonChange]:
    """Return what differs, with paths such as `metadata.accuracy`."""
    return list(_mapping_changes(left, right, ""))


def _value_changes(left: Any, right: Any, path: str) -> Iterator[JsonChange]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        yield from _mapping_changes(left, right, path)
    elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        yield from _list_changes(left, right, path)
    elif token(left) != token(right):
        yield JsonChange(path, "changed", left, right)


def _mapping_changes(
    left: Mapping[str, Any], right: Mapping[str, Any], path: str
) -> Iterator[JsonChange]:
    for name, old in left.items():
        if name in right:
            yield from _value_changes(old, right[name], _member(path, name))
        else:
            yield JsonChange(_member(path, name), "removed", old=old)
    for name, new in right.items():
        if name not in left:
            yield JsonChange(_member(path, name), "added", new=new)


def _member(path: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        return f"{path}[{json.dumps(name)}]"
    return f"{path}.{name}" if path else name


def _list_changes(left: Sequence[Any], right: Sequence[Any], path: str) -> Iterator[JsonChange]:
    gaps = find_gaps([token(item) for item in left], [token(item) for item in right])
    for a_from, a_to, b_from, b_to in gaps:
        shared = min(a_to - a_from, b_to - b_from)
        for i, j in zip(range(a_from, a_from + shared), range(b_from, b_to), strict=False):
            yield from _value_changes(left[i], right[j], f"{path}[{j}]")
        for i in range(a_from + shared, a_to):
            yield JsonChange(f"{path}[{i}]", "removed", old=left[i])
        for j in range(b_from + shared, b_to):
            yield JsonChange(f"{path}[{j}]", "added", new=right[j])


def token(value: Any) -> Hashable:
    """Return what is equal and hashes equally exactly for values that users take for equal."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, float) and math.isnan(value):
        return (float, "nan")  # not equal to itself
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping):
        return (dict, frozenset((name, token(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (list, tuple(map(token, value)))
    return (type(value), str(value))
