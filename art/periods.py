"""Periods of UTC: the values of partitions in time (FORMAT §9.4).

    Period.parse("2026-11-21") + 1            # 2026-11-22
    Period.of(datetime.now(), "week").text    # 2026-W47
    Period.parse("2026-11-21T14Z") - timedelta(days=1)

Whatever has no zone is UTC. Every instant lies in exactly one period of a granularity.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from functools import total_ordering

from art.errors import UsageError

_UTC = timezone.utc
_TICK = timedelta(microseconds=1)
_ZONE = r"(?P<zone>[Zz]|[-+][0-9]{2}(?::?[0-9]{2})?)?"
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<hour>[0-9]{2})"
    r"(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?)?" + _ZONE
)
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_WEEK = re.compile(r"([0-9]{4})-[Ww]([0-9]{2})")
_QUARTER = re.compile(r"([0-9]{4})-[Qq]([1-4])")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_YEAR = re.compile(r"[0-9]{4}")
_STEP = re.compile(r"([-+])([0-9]{1,6})(min|mo|[mhdwqy])")
_DAYS = {"today": 0, "yesterday": 1}
_SPANS = {
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_MONTHS = {"mo": 1, "q": 3, "y": 12}


class Granularity(str, Enum):
    """How long a period lasts."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    @classmethod
    def named(cls, word: object) -> Granularity:
        """Raise UsageError where there is none of this name."""
        try:
            return cls(word.value if isinstance(word, Enum) else word)
        except ValueError:
            known = ", ".join(each.value for each in cls)
            raise UsageError(
                f"{word!r} is no granularity", hint=f"known: {known}; with a name, as in date:day"
            ) from None

    @property
    def example(self) -> str:
        """A period of this granularity, as it is written."""
        return Period.of(datetime(2026, 11, 21, 14, 5, tzinfo=_UTC), self).text


@total_ordering
@dataclass(frozen=True)
class Period:
    """One minute, hour … or year of UTC. It begins at `start`, which has the zone UTC.

    Adding a number goes on by as many periods; adding a timedelta gives the period that has the
    beginning moved by so much. Periods are ordered by their beginnings.
    """

    granularity: Granularity
    start: datetime

    @classmethod
    def of(cls, when: date | datetime, granularity: Granularity | str) -> Period:
        """Return the period that has an instant in it: a datetime, of UTC where it has no zone, or the
        beginning of a date. Raise UsageError where its time in UTC is in no year from 1 to 9999."""
        named = Granularity.named(granularity)
        return cls(named, _FLOORS[named](_utc(when)))

    @classmethod
    def parse(cls, text: str, granularity: Granularity | str | None = None) -> Period:
        """Return the period that a text means, such as `2026-11-21`, `2026-W47` or `2026-11-21T14:05+01:00`;
        with a granularity, the one of these that it lies in. Raise UsageError."""
        found = parse_interval(text)
        if granularity is None:
            if found.granularity is None:
                return cls.of(found.start, Granularity.MINUTE)
            return cls.of(found.start, found.granularity)
        return found.period(Granularity.named(granularity))

    @property
    def text(self) -> str:
        """How it is written. Of one granularity, what is later is also greater as a text."""
        return _TEXTS[self.granularity](self.start)

    @property
    def last(self) -> datetime:
        """Its last microsecond."""
        return _lasts(self.start, self.granularity)

    def __add__(self, other: int | timedelta) -> Period:
        try:
            if isinstance(other, timedelta):
                return Period.of(self.start + other, self.granularity)
            if isinstance(other, int):
                return Period.of(_moved(self.start, other, self.granularity), self.granularity)
        except (OverflowError, ValueError):
            raise UsageError(f"{self.text} {other:+} is in no year from 1 to 9999") from None
        return NotImplemented

    def __sub__(self, other: int | timedelta) -> Period:
        if isinstance(other, (int, timedelta)):
            return self + -other
        return NotImplemented

    def __contains__(self, when: object) -> bool:
        return isinstance(when, date) and Period.of(when, self.granularity) == self

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Period) or other.granularity is not self.granularity:
            return NotImplemented
        return self.start < other.start

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Interval:
    """What a text says of a time: from its first to its last microsecond. `granularity` is None for
    seconds and what is shorter."""

    text: str
    start: datetime
    last: datetime
    granularity: Granularity | None = None

    def period(self, granularity: Granularity) -> Period:
        """Return the period that all of it lies in. Raise UsageError where it is in several."""
        first = Period.of(self.start, granularity)
        if self.last > first.last:
            raise UsageError(
                f"{self.text} is more than one {granularity.value} of UTC",
                hint=f"one is written so: {granularity.example}",
            )
        return first

    def first_period(self, granularity: Granularity) -> Period:
        """Return the period that all of it lies in, else the first that begins in it."""
        first = Period.of(self.start, granularity)
        return first if self.last <= first.last or first.start == self.start else first + 1

    def last_period(self, granularity: Granularity) -> Period:
        """Return the last period that begins in it, else the one that it lies in."""
        return Period.of(self.last, granularity)


def parse_interval(text: str, now: datetime | None = None) -> Interval:
    """Return what a text says of a time, such as `2026-11`, `2026-11-21T14:05+01:00`, or, from `now` on,
    `-1d`, `today`, `yesterday` or `now`. Raise UsageError where it is none."""
    try:
        if is_relative(text):
            return _relative(text, _utc(now or datetime.now(_UTC)))
        if found := _TIME.fullmatch(text):
            return _timed(text, found)
        for pattern, granularity, start in _FORMS:
            if found := pattern.fullmatch(text):
                first = start(*map(int, found.groups() or (text,)))
                return Interval(text, first, _lasts(first, granularity), granularity)
    except (ValueError, OverflowError):  # a 13th month, or the year 0
        pass
    raise UsageError(
        f"{text!r} is no time",
        hint="use 2026-11-21, 2026-11-21T14:05+01:00, 2026-W47, 2026-11, 2026-Q4, 2026, -1d or today",
    )


def is_relative(text: str) -> bool:
    """Whether a text counts from now: `-1d`, `-2h`, `-3mo`, `+1w`, which are instants, as `now` is;
    `today` and `yesterday`, which are days."""
    return text == "now" or text in _DAYS or _STEP.fullmatch(text) is not None


def _utc(when: date | datetime) -> datetime:
    if not isinstance(when, datetime):
        return datetime(when.year, when.month, when.day, tzinfo=_UTC)
    if when.tzinfo is None:
        return when.replace(tzinfo=_UTC)
    try:
        return when.astimezone(_UTC)
    except OverflowError:
        raise UsageError(f"{when} is in no year of UTC from 1 to 9999") from None


def _lasts(start: datetime, granularity: Granularity) -> datetime:
    """Return the last microsecond of a period, also of the last one that there is."""
    try:
        return _moved(start, 1, granularity) - _TICK
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=_UTC)


def _moved(start: datetime, count: int, granularity: Granularity) -> datetime:
    if granularity in _LENGTHS:
        return start + count * _LENGTHS[granularity]
    return _months_on(start, count * _IN_MONTHS[granularity])


def _months_on(start: datetime, months: int) -> datetime:
    """Return the same day and time so many months later, or the last day that the month has."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    following = date(year + month // 11, (month + 1) % 12 + 1, 1) if (year, month) != _END else None
    days = (following - date(year, month + 1, 1)).days if following else 31
    return start.replace(year=year, month=month + 1, day=min(start.day, days))


_END = (9999, 11)
_LENGTHS = {
    Granularity.MINUTE: _SPANS["m"],
    Granularity.HOUR: _SPANS["h"],
    Granularity.DAY: _SPANS["d"],
    Granularity.WEEK: _SPANS["w"],
}
_IN_MONTHS = {Granularity.MONTH: 1, Granularity.QUARTER: 3, Granularity.YEAR: 12}


def _midnight(when: datetime) -> datetime:
    return when.replace(hour=0, minute=0, second=0, microsecond=0)


_FLOORS: dict[Granularity, Callable[[datetime], datetime]] = {
    Granularity.MINUTE: lambda when: when.replace(second=0, microsecond=0),
    Granularity.HOUR: lambda when: when.replace(minute=0, second=0, microsecond=0),
    Granularity.DAY: _midnight,
    Granularity.WEEK: lambda when: _midnight(when) - timedelta(days=when.weekday()),
    Granularity.MONTH: lambda when: _midnight(when).replace(day=1),
    Granularity.QUARTER: lambda when: _midnight(when).replace(
        month=(when.month - 1) // 3 * 3 + 1, day=1
    ),
    Granularity.YEAR: lambda when: _midnight(when).replace(month=1, day=1),
}


def _day_text(start: datetime) -> str:
    return start.date().isoformat()  # strftime leaves out zeros of early years on some systems


def _week_text(start: datetime) -> str:
    year, week, _ = start.isocalendar()
    return f"{year:04}-W{week:02}"


_TEXTS: dict[Granularity, Callable[[datetime], str]] = {
    Granularity.MINUTE: lambda start: f"{_day_text(start)}T{start.hour:02}:{start.minute:02}Z",
    Granularity.HOUR: lambda start: f"{_day_text(start)}T{start.hour:02}Z",
    Granularity.DAY: _day_text,
    Granularity.WEEK: _week_text,
    Granularity.MONTH: lambda start: _day_text(start)[:7],
    Granularity.QUARTER: lambda start: f"{start.year:04}-Q{(start.month + 2) // 3}",
    Granularity.YEAR: lambda start: f"{start.year:04}",
}


def _timed(text: str, found: re.Match[str]) -> Interval:
    zone = (found["zone"] or "Z").upper().replace(":", "")
    offset = timedelta() if zone == "Z" else _offset(zone)
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    fraction = int((found["fraction"] or "").ljust(6, "0")[:6])
    local = datetime.fromisoformat(found["day"]).replace(tzinfo=_UTC)
    start = local.replace(hour=hour, minute=minute, second=second, microsecond=fraction) - offset
    if found["second"] is not None:
        return Interval(text, start, start)
    granularity = Granularity.HOUR if found["minute"] is None else Granularity.MINUTE
    return Interval(text, start, _lasts(start, granularity), granularity)


def _offset(zone: str) -> timedelta:
    hours, minutes = int(zone[1:3]), int(zone[3:] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no offset of a zone")
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)


def _relative(text: str, now: datetime) -> Interval:
    if text in _DAYS:
        start = _midnight(now) - timedelta(days=_DAYS[text])
        return Interval(text, start, _lasts(start, Granularity.DAY), Granularity.DAY)
    found = _STEP.fullmatch(text)
    count = int(found[1] + found[2]) if found else 0
    unit = found[3] if found else "m"
    months = _MONTHS.get(unit)
    when = _months_on(now, count * months) if months else now + count * _SPANS[unit]
    return Interval(text, when, when)


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=_UTC)


def _week(year: int, week: int) -> datetime:
    return _utc(date.fromisocalendar(year, week, 1))


_FORMS: tuple[tuple[re.Pattern[str], Granularity, Callable[..., datetime]], ...] = (
    (_DAY, Granularity.DAY, _day),
    (_WEEK, Granularity.WEEK, _week),
    (_QUARTER, Granularity.QUARTER, lambda year, quarter: _day(year, quarter * 3 - 2, 1)),
    (_MONTH, Granularity.MONTH, lambda year, month: _day(year, month, 1)),
    (_YEAR, Granularity.YEAR, lambda year: _day(year, 1, 1)),
)
