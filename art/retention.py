"""Which versions stay and which may go: from versions and a policy to decisions.

Pure: it reads no file and no clock, so the same versions, policy and time give the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple

from art.errors import UsageError
from art.query.literals import parse_span
from art.rows import Record

_MAX_COUNT = 10**6
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_BEGINNING = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Policy:
    """Rules. A version stays where at least one of them keeps it; what none keeps may go.

    `keep_last` counts versions by number; 0 gives up the newest, too, which otherwise always stays.
    `keep_daily`, `keep_weekly` and `keep_monthly` keep the newest version of each of so many days,
    ISO weeks and months that have one, all in UTC. Spans are texts such as `12h`, `30d`, `8w` and `1y`,
    which is 365 days.
    With `older_than` what is not older stays, with `unreferenced` what something refers to.
    """

    keep_last: int | None = None
    keep_within: str | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    keep_tagged: bool = True
    keep_labels: tuple[str, ...] = ()
    older_than: str | None = None
    unreferenced: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a value that is not possible."""
        for name, value in asdict(self).items():
            if value is not None:
                object.__setattr__(self, name, _CHECKS[name](value, name))

    @property
    def has_rules(self) -> bool:
        """Whether it says what may go. To keep what is tagged alone does not."""
        given = {name: value for name, value in asdict(self).items() if name != "keep_tagged"}
        return any(value not in (None, ()) and value is not False for value in given.values())


class Decision(NamedTuple):
    """What becomes of a version. `rule` is a stable word, `reason` says it to people."""

    record: Record
    is_kept: bool
    rule: str
    reason: str


def decide(
    records: Iterable[Record],
    policy: Policy,
    now: datetime,
    referrer: Callable[[Record], str | None] = lambda record: None,
) -> list[Decision]:
    """Decide about the live versions of one key, or about keyless ones; newest first.

    `referrer` tells what refers to a version; it is asked only where `policy.unreferenced` needs it.
    """
    ordered = sorted(records, key=_order, reverse=True)
    kept: dict[int, Decision] = {}  # by identity, which is cheap
    for rule, record, reason in _keeping(ordered, policy, now):
        if id(record) not in kept:
            kept[id(record)] = Decision(record, True, rule, reason)
    if policy.unreferenced:
        for record in ordered:
            if id(record) not in kept and (by := referrer(record)):
                kept[id(record)] = Decision(record, True, "referenced", by)
    rule, reason = _dropping(policy)
    return [kept.get(id(r)) or Decision(r, False, rule, reason) for r in ordered]


Kept = Iterator[tuple[str, Record, str]]


def _keeping(ordered: list[Record], policy: Policy, now: datetime) -> Kept:
    """Yield rule, version and reason, for every rule that keeps a version."""
    if ordered and ordered[0].key is not None and policy.keep_last != 0:
        yield "newest", ordered[0], "the newest version"
    yield from _named(ordered, policy)
    for record in ordered[: policy.keep_last or 0]:
        yield "last", record, f"one of the last {policy.keep_last:,}"
    for period, limit in (
        ("day", policy.keep_daily),
        ("week", policy.keep_weekly),
        ("month", policy.keep_monthly),
    ):
        yield from _newest_of_each(ordered, period, limit or 0)
    yield from _young(ordered, "within", policy.keep_within, now)
    yield from _young(ordered, "not-older", policy.older_than, now)


def _named(ordered: list[Record], policy: Policy) -> Kept:
    for record in ordered:
        if record.tags and (policy.keep_tagged or policy.unreferenced):
            yield "tagged", record, f"tagged {', '.join(record.tags)}"
        for label in policy.keep_labels:
            if label in record.labels:
                yield "label", record, f"labelled {label}"


def _newest_of_each(ordered: list[Record], period: str, limit: int) -> Kept:
    """Yield the newest version of each of the last `limit` periods that have one."""
    if not limit:
        return
    seen: set[str] = set()
    # By time, not by number: another clone may publish later what it made earlier.
    for record in sorted(
        ordered, key=lambda record: (record.created, _order(record)), reverse=True
    ):
        name = _PERIODS[period](record.created)
        if name not in seen and len(seen) < limit:
            seen.add(name)
            yield _RULES[period], record, f"the newest of {period} {name}"


def _young(ordered: list[Record], rule: str, span: str | None, now: datetime) -> Kept:
    if span is None:
        return
    edge = _before(now, parse_span(span) or timedelta())
    for record in ordered:
        if _time(record) >= edge:
            yield rule, record, f"not older than {span}"


def _dropping(policy: Policy) -> tuple[str, str]:
    older = f"older than {policy.older_than}" if policy.older_than else ""
    if policy.unreferenced:
        return "unreferenced", "nothing refers to it" + (f", {older}" if older else "")
    return ("older-than", older) if older else ("none", "no rule keeps it")


def _order(record: Record) -> tuple[int, str, str]:
    return record.number or 0, record.created, record.id


def _time(record: Record) -> datetime:
    return datetime.fromisoformat(record.created.removesuffix("Z")).replace(tzinfo=timezone.utc)


def _before(now: datetime, span: timedelta) -> datetime:
    try:
        return now - span
    except OverflowError:  # a span longer than there are years
        return _BEGINNING


def _week(created: str) -> str:
    year, week, _ = date.fromisoformat(created[:10]).isocalendar()
    return f"{year}-W{week:02}"


_PERIODS: Mapping[str, Callable[[str], str]] = {
    "day": lambda created: created[:10],
    "week": _week,
    "month": lambda created: created[:7],
}
_RULES = {"day": "daily", "week": "weekly", "month": "monthly"}


# -- checking what is given ------------------------------------------------------------------------


def policy_of(rules: Mapping[str, Any]) -> Policy:
    """Return the policy that a key's `retention` setting describes. Raise UsageError."""
    for name in rules:
        if name not in SETTABLE:
            raise UsageError(
                f"there is no rule {name!r} for retention", hint=f"known: {', '.join(SETTABLE)}"
            )
    return Policy(**rules)


def check_rule(name: str, value: object) -> Any:
    """Return the value of a rule as documents hold it; a text is read. Raise UsageError."""
    checked = getattr(policy_of({name: value}), name)
    return list(checked) if isinstance(checked, tuple) else checked


def _count(value: object, name: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) < 8 else _MAX_COUNT + 1
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise UsageError(f"{name} is {value!r}, expected a number from 0 to {_MAX_COUNT}")
    return value


def _span(value: object, name: str) -> str:
    if not isinstance(value, str) or parse_span(value) is None:
        raise UsageError(f"{name} is {value!r}, expected a span such as 12h, 30d, 8w or 1y")
    return value


def check_flag(value: object, name: str) -> bool:
    """Return a truth value, also where it is given as a text. Raise UsageError."""
    word = value.lower() if isinstance(value, str) else value
    if not isinstance(word, bool) and word not in _YES + _NO:
        raise UsageError(f"{name} is {value!r}, expected true or false")
    return word is True or word in _YES


def check_words(value: object, name: str) -> tuple[str, ...]:
    """Return texts, sorted and each once; a text alone has commas between them. Raise UsageError."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)):
        raise UsageError(f"{name} is {value!r}, expected a list of texts")
    for word in words:
        if not isinstance(word, str) or not word.strip() or not word.isprintable():
            raise UsageError(f"{name} has {word!r}, expected a text of one line")
    return tuple(sorted({word.strip() for word in words}))


_CHECKS: Mapping[str, Callable[[object, str], Any]] = {
    "keep_last": _count,
    "keep_within": _span,
    "keep_daily": _count,
    "keep_weekly": _count,
    "keep_monthly": _count,
    "keep_tagged": check_flag,
    "keep_labels": check_words,
    "older_than": _span,
    "unreferenced": check_flag,
}
SETTABLE = tuple(name for name in _CHECKS if name.startswith("keep_"))
