"""What is declared of the partitions of a key, and what is asked of them: docs/partitions.md.

A value that is asked for is one text, several (`eu,us`), a range (`2026-11-01..2026-11-07`, with both its
ends, of which one may be left out) or `latest`, the greatest that there is. In double quotes it is that text,
also where a version is made.
What is declared to be time is compared as time: `-1d`, `2026-11` or `2026-11-21T14:05+01:00` will do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from art.errors import UsageError
from art.nearest import did_you_mean
from art.periods import Granularity, Interval, Period, is_relative, parse_interval
from art.query.tree import EQUAL, And, Field, IsNull, Kind, Node, Not, Or, Test, Value
from art.ref import LATEST, literal

ALL = "partition"  # in the place of a name: all of them together
LIMIT = 32
_ITEM = re.compile(r'"((?:[^"]|"")*)"(?=,|\Z)|([^,]*)')
_WHOLE = re.compile(r"[0-9]{1,18}")
_LONGEST = 1 << 16
_ITEMS = 500


@dataclass(frozen=True)
class Declared:
    """The partitions that versions of a key must be of, and those among them that are time."""

    names: tuple[str, ...] = ()
    times: Mapping[str, Granularity] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Declared:
        """Return what settings say; what they say wrongly is left out."""
        names, times = settings.get("partitions"), settings.get("time_partitions")
        return cls(
            tuple(name for name in names if isinstance(name, str))
            if isinstance(names, list)
            else (),
            {
                name: Granularity(word)
                for name, word in (times.items() if isinstance(times, dict) else ())
                if isinstance(word, str) and word in Granularity._value2member_map_
            },
        )

    @property
    def by_weight(self) -> tuple[str, ...]:
        """The names, time first: what decides which version is of the greatest partition."""
        return (*self.times, *(name for name in self.names if name not in self.times))

    def without(self, other: Declared) -> list[str]:
        """Return the partitions that the other does not declare, or not to be time."""
        return [
            name
            for name in self.names
            if name not in other.names or (name in self.times and name not in other.times)
        ]

    def with_all(self, other: Declared) -> Declared:
        """Return these partitions, and the others."""
        names = dict.fromkeys([*self.names, *other.names])
        return Declared(tuple(names), {**other.times, **self.times})

    def command(self, key: str) -> str:
        """Return the command that declares them."""
        words = ["art declare", key]
        words += [f"--partition {name}" for name in self.names if name not in self.times]
        for name, length in self.times.items():
            is_short = name == length.value
            words.append(f"--time-partition {name if is_short else f'{name}:{length.value}'}")
        return " ".join(words)

    def check(self, key: str | None, names: Iterable[str]) -> None:
        """Raise UsageError where a partition is missing, or is not declared."""
        if not self.names:
            return
        hint = f"declared: {self}; --allow-undeclared takes it all the same"
        for name in names:
            if name not in self.names:
                likely = did_you_mean(name, self.names)
                raise UsageError(
                    f"{key} has no partition {name}", hint=f"{likely} {hint}" if likely else hint
                )
        for name in self.names:
            if name not in names:
                raise UsageError(
                    f"versions of {key} are of a partition {name}, which is missing", hint=hint
                )

    def __str__(self) -> str:
        words = (
            f"{name} ({self.times[name].value})" if name in self.times else name
            for name in self.names
        )
        return ", ".join(words)


def value_text(name: str, value: object, granularity: Granularity | None = None) -> str:
    """Return the value of a new version's partition as it is stored: of time in its one form. Dates and
    datetimes are for partitions that are declared to be time; a date is its day elsewhere.

    A text in double quotes is what stands in them. One that would mean something else where it is asked
    for is refused without. Raise UsageError.
    """
    if value is None:
        raise UsageError(f"partition {name} has no value")
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        raise UsageError(f"partition {name} is {value!r}, expected one value")
    if isinstance(value, str):
        value = _named(name, value, granularity)
    try:
        if granularity is not None:
            return _period(value, granularity).text
    except UsageError as error:
        raise UsageError(f"partition {name}: {error.message}", hint=error.hint) from None
    if isinstance(value, datetime):
        raise UsageError(
            f"partition {name} is the time {value}, and nothing says how long its periods are",
            hint=f"art declare KEY --time-partition {name}:hour, or a text",
        )
    return str(value)


def _named(name: str, text: str, granularity: Granularity | None) -> str:
    """Return the one text that stands for itself, or in quotes. Raise UsageError for another one."""
    items = list(_items(name, text))
    if len(items) > 1:
        means = "each of these values"
    elif text == LATEST:
        means = "the greatest value"
    elif ".." in text and not items[0][1]:
        means = "a range"
    else:
        return items[0][0]
    raise UsageError(
        f"partition {name} is {text!r}, which means {means} where it is asked for; a version is of one",
        hint=f"one is written so: {granularity.example}"
        if granularity
        else f"in double quotes it is this text: '{name}={literal(text)}'",
    )


def field_of(name: str) -> Field:
    """Return the field of a partition, or of all together, for `ALL`."""
    path = ("partitions",) if name == ALL else ("partitions", name)
    return Field("partition", Kind.ANY, path)


def condition(
    name: str, text: str, granularity: Granularity | None = None, now: datetime | None = None
) -> Node:
    """Return what a version's partition must meet. Raise UsageError."""
    of = field_of(name)
    if len(text) > _LONGEST:
        raise UsageError(f"what is asked of partition {name} has more than 64 KiB")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return Or(())  # no document has it
    if text == LATEST:
        return Not(IsNull(of))
    parts: list[Node] = []
    values: list[Value] = []
    for item, is_quoted in _items(name, text):
        try:
            found = _found(of, item, is_quoted or ".." not in item, granularity, now)
        except UsageError as error:
            raise UsageError(f"{name}={text}: {error.message}", hint=error.hint) from None
        if found is None:
            values.append(Value(item))
        else:
            parts.append(found)
    if values:
        parts.append(Test(of, EQUAL, tuple(values)))
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _found(
    of: Field, item: str, is_one: bool, granularity: Granularity | None, now: datetime | None
) -> Node | None:
    """Return the test for a time or a range, None for a text."""
    if is_one:
        if granularity is None:
            return None
        parse_interval(item, now)
        return _spans(of, item, item, granularity, now)
    first, _, last = item.partition("..")
    if not first and not last:
        raise UsageError("a range has a beginning or an end")
    if granularity is None:
        return _between(of, first, last)
    return _spans(of, first, last, granularity, now)


def compared(
    of: Field, operator: str, value: Value, granularity: Granularity, now: datetime
) -> Node:
    """Return the test of a query for a partition that is time, with both ends of what the value names:
    later than `2026-11` is later than all of it. Raise UsageError where it is no time."""
    try:
        found = parse_interval(value.word or value.text, now)
    except UsageError:
        found = parse_interval(value.text, now)  # a sum that only queries know
    first, last = found.first_period(granularity).text, found.last_period(granularity).text
    if operator == EQUAL:
        return _within(of, first, last)
    return Test(of, operator, (Value(last if operator in (">", "<=") else first),))


def looks_relative(text: str) -> bool:
    """Whether a text would count from now if its partition were declared to be time."""
    return any(is_relative(end) for end in re.split(r",|\.\.", text))


def _items(name: str, text: str) -> list[tuple[str, bool]]:
    """Return the values in a list, and whether each stood in quotes."""
    found: list[tuple[str, bool]] = []
    at = 0
    while at <= len(text):
        match = _ITEM.match(text, at)
        assert match is not None  # the second half matches nothing, too
        quoted, plain = match.groups()
        found.append((plain, False) if quoted is None else (quoted.replace('""', '"'), True))
        at = match.end() + 1
    if len(found) > _ITEMS:
        raise UsageError(f"more than {_ITEMS} values of partition {name} are asked for")
    return found


def _spans(
    of: Field, first: str, last: str, granularity: Granularity, now: datetime | None
) -> Node:
    """Return the test for what lies from the beginning of one time to the end of another one."""
    start, end = _interval(first, now), _interval(last, now)
    low = start.first_period(granularity).text if start else None
    high = end.last_period(granularity).text if end else None
    if low is not None and low == high:
        return Test(of, EQUAL, (Value(low),))
    return _within(of, low, high)


def _interval(text: str, now: datetime | None) -> Interval | None:
    return parse_interval(text, now) if text else None


def _between(of: Field, first: str, last: str) -> Node:
    """Return the test for a range of texts, or, where both ends are whole numbers, of those."""
    is_number = all(_WHOLE.fullmatch(end) for end in (first, last) if end)
    return _within(of, first or None, last or None, is_number=is_number)


def _within(of: Field, low: str | None, high: str | None, *, is_number: bool = False) -> Node:
    def value(text: str) -> Value:
        return Value(text, int(text)) if is_number else Value(text)

    if low and high and (int(low) > int(high) if is_number else low > high):
        raise UsageError(f"the range is empty: {low} comes after {high}")
    tests: list[Node] = [Test(of, ">=", (value(low),))] if low else []
    tests += [Test(of, "<=", (value(high),))] if high else []
    return And(tuple(tests))


def _period(value: object, granularity: Granularity) -> Period:
    if isinstance(value, Period):
        value = value.text
    if isinstance(value, datetime):
        return Period.of(value, granularity)
    if isinstance(value, date):
        return Period.parse(value.isoformat(), granularity)
    return Period.parse(str(value), granularity)
