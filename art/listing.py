"""Which versions a listing shows, and in what order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from art.errors import UsageError
from art.index import Index, Record
from art.model import glob_pattern

SORTS: dict[str, Callable[[Record], Any]] = {
    "key": lambda record: (record.key or "", -(record.number or 0), record.created),
    "created": lambda record: record.created,
    "size": lambda record: record.size or 0,
    "files": lambda record: record.files or 0,
    "type": lambda record: (record.type, record.key or ""),
    "author": lambda record: (record.author, record.key or ""),
    "number": lambda record: record.number or 0,
    "title": lambda record: (record.title or "", record.key or ""),
}
_NEWEST_FIRST = ("created", "size", "files", "number")
_SPAN = re.compile(r"([0-9]{1,6})\s*([smhdwy])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


@dataclass(frozen=True)
class Filter:
    """What `listing` shows: by default the latest live version of each key, by key.

    `since` and `until` are times (`2026-11-21`, with a time, or a span such as `7d` before now).
    Several tags, or types, mean any of them; several labels or partitions mean all of them, and the
    latest version of a key is then the latest that has them.
    """

    all: bool = False
    anonymous: bool = False
    deleted: bool = False
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    partitions: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    until: str | None = None
    sort: str = "key"
    reverse: bool = False
    limit: int | None = None


def select(index: Index, patterns: tuple[str, ...], filter: Filter) -> list[Record]:
    """Return the versions that match, in order. Raise UsageError for what is not understood."""
    if filter.sort not in SORTS:
        raise UsageError(f"{filter.sort!r} is no order", hint=f"known: {', '.join(SORTS)}")
    matches = _matcher(patterns, filter)
    index.refresh_all()
    found = [record for record in _candidates(index, filter) if matches(record)]
    if _wants_newest_match(filter):
        found = _newest_of_each(found)
    descending = (filter.sort in _NEWEST_FIRST) != filter.reverse
    found.sort(key=SORTS[filter.sort], reverse=descending)
    return found[: filter.limit] if filter.limit is not None else found


def _candidates(index: Index, filter: Filter) -> list[Record]:
    if filter.anonymous:
        records = index.versions(None)
    elif filter.all or filter.deleted or filter.tags or filter.labels or filter.partitions:
        records = index.everything()
    else:
        return index.latest()
    if filter.deleted:
        return [record for record in records if record.state == "deleted"]
    return [record for record in records if record.is_live or record.state == "damaged"]


def _wants_newest_match(filter: Filter) -> bool:
    several = filter.all or filter.anonymous or filter.deleted or filter.tags
    return bool(filter.labels or filter.partitions) and not several


def _newest_of_each(records: list[Record]) -> list[Record]:
    newest: dict[str | None, Record] = {}
    for record in records:
        before = newest.get(record.key)
        if before is None or (record.number or 0) > (before.number or 0):
            newest[record.key] = record
    return list(newest.values())


def _matcher(patterns: tuple[str, ...], filter: Filter) -> Callable[[Record], bool]:
    globs = [re.compile(glob_pattern(pattern.rstrip("/"))) for pattern in patterns]
    since, until = _time(filter.since), _time(filter.until)

    def matches(record: Record) -> bool:
        return (
            (not globs or any(glob.fullmatch(record.key or record.id) for glob in globs))
            and (not filter.types or record.type in filter.types)
            and (not filter.tags or not set(filter.tags).isdisjoint(record.tags))
            and (not filter.labels or set(filter.labels) <= set(record.labels))
            and (not filter.partitions or filter.partitions.items() <= record.partitions.items())
            and (since is None or record.created >= since)
            and (until is None or record.created <= until)
        )

    return matches


def parse_span(text: str) -> timedelta | None:
    """Return the span that a text such as `12h` or `30d` means, None where it is none."""
    found = _SPAN.fullmatch(text)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else None


def _time(text: str | None) -> str | None:
    """Return a time given by a user as documents write it; what has no zone is local time."""
    if text is None:
        return None
    try:
        span = parse_span(text)
        if span is None:
            when = datetime.fromisoformat(text.replace("Z", "+00:00"))
        else:
            when = datetime.now(timezone.utc) - span
        return (
            when.astimezone(timezone.utc).replace(tzinfo=None).isoformat("T", "microseconds") + "Z"
        )
    except (ValueError, OverflowError):  # in the year 0, or 10000, is no time either
        raise UsageError(
            f"{text!r} is no time", hint="use 2026-11-21, 2026-11-21T08:30, or a span: 12h, 7d"
        ) from None
