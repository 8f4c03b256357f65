"""What values look like in a query: numbers with units, spans, times."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

from art.query.tree import Period

_SPAN = re.compile(r"([0-9]{1,6})\s*([smhdwy])")
_SPOKEN = re.compile(
    r"(?:(now|today|yesterday)\s*-\s*)?([0-9]{1,4})\s*"
    r"(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?|months?|y|years?)(?:\s+ago)?"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_NUMBER = re.compile(
    r"([-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?)"
)
_UNIT = re.compile(r"(?:([kKMGTP])(i?))?B?")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_RELATIVE = re.compile(r"(?i:(now|today|yesterday))((?:\s*[-+]\s*[0-9]{1,6}[smhdwy])*)")
_STEP = re.compile(r"([-+])\s*([0-9]{1,6})([smhdwy])")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_YEAR = re.compile(r"[0-9]{4}")
# How long a time written in so many characters lasts: a day, a minute, a second.
_LENGTHS = {10: timedelta(days=1), 16: timedelta(minutes=1), 19: timedelta(seconds=1)}


def parse_span(text: str) -> timedelta | None:
    """Return the span that a text such as `12h` or `30d` means, None where it is none."""
    found = _SPAN.fullmatch(text)
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else None


def as_one_word(text: str) -> str | None:
    """Return how a span, or a number with its unit, that people write as several words is written: `7d` for
    `7 days`, `now-3d` for `now - 3 days`, `5MB` for `5 MB`. None where it is none of these."""
    found = _SPOKEN.fullmatch(text.lower())
    if found:
        since, count, unit = found.groups()
        span = f"{int(count) * 30}d" if unit.startswith("mo") else count + unit[0]
        return f"{since}-{span}" if since else span
    joined = "".join(text.split())
    return joined if parse_number(joined) is not None else None


def parse_number(text: str) -> int | float | None:
    """Return the finite number that a text such as `1200`, `0.9`, `5M` or `2Ki` means, else None. It fits
    into 64 bits, or is a float."""
    found = _NUMBER.match(text)
    unit = found and _UNIT.fullmatch(text, found.end())
    if not found or not unit:
        return None
    letter, binary = unit.groups()
    scale = (1024 if binary else 1000) ** (_POWERS[letter.upper()] if letter else 0)
    try:
        number: int | float = int(found[1]) * scale
    except ValueError:
        product = float(found[1]) * scale
        number = int(product) if letter and product.is_integer() else product
    if isinstance(number, int) and -(2**63) <= number < 2**63:
        return number
    return float(number) if math.isfinite(float(number)) else None


def parse_period(text: str, now: datetime) -> Period | None:
    """Return the time that a text means, None where it is none: `2026`, `2026-11`, `2026-11-21`,
    `2026-11-21T08:30` are as long as they say, `now-7d` is an instant, `today` and `yesterday` are days.
    What has no zone is local time."""
    try:
        if found := _RELATIVE.fullmatch(text):
            return _relative(found[1].lower(), found[2], now)
        if _YEAR.fullmatch(text):
            return _period(datetime(int(text), 1, 1), datetime(int(text) + 1, 1, 1))  # noqa: DTZ001
        if found := _MONTH.fullmatch(text):
            start = datetime(int(found[1]), int(found[2]), 1)  # noqa: DTZ001
            return _period(start, (start + timedelta(days=31)).replace(day=1))
        start = datetime.fromisoformat(text.replace("Z", "+00:00"))
        local = re.sub(r"(?:Z|[-+][0-9]{2}:?[0-9]{2})\Z", "", text[10:])
        length = _LENGTHS.get(len(text[:10] + local))
        return _period(start, start + length if length else None)
    except (ValueError, OverflowError, OSError):  # in the year 0, or 10000, is no time either
        return None


def time_text(when: datetime) -> str:
    """Return a time as documents write it; what has no zone is local time."""
    utc = when.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat("T", "microseconds") + "Z"


def _relative(word: str, steps: str, now: datetime) -> Period:
    if word == "now":
        return Period(time_text(now + _sum(steps)))
    day = now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    day -= timedelta(days=1 if word == "yesterday" else 0)
    day += _sum(steps)
    return _period(day, day + timedelta(days=1))


def _sum(steps: str) -> timedelta:
    total = timedelta()
    for sign, count, unit in _STEP.findall(steps):
        total += timedelta(seconds=int(f"{sign}{count}") * _SECONDS[unit])
    return total


def _period(start: datetime, end: datetime | None) -> Period:
    return Period(time_text(start), None if end is None else time_text(end))
