"""Which versions are of the partitions that are asked for, as questions to the index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from art.errors import NotFoundError, UsageError
from art.index import Index
from art.keys import TYPES
from art.nearest import did_you_mean
from art.partitions import ALL, Declared, compared, condition, field_of
from art.periods import Granularity
from art.query.tree import (
    EQUAL,
    FIELDS,
    ORDERS,
    And,
    Field,
    IsNull,
    Node,
    Not,
    Or,
    Test,
    Value,
    replaced,
    tests,
)
from art.ref import LATEST, Ref
from art.sql import Order, Selection

_SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """What is asked of partitions: a condition, and the fields whose greatest values are meant."""

    node: Node
    greatest: tuple[Field, ...] = ()


def of_key(index: Index, ref: Ref, *, live: bool, limit: int | None = None) -> Selection:
    """Return what selects the versions of a reference's key and partitions, the newest first."""
    declared = Declared.of(index.settings(ref.key).get(ref.key, {}))
    asked = _asked(index, ref, {ref.key: declared})
    parts = [_test("key", ref.key), asked.node, *([_test("state", "live")] if live else [])]
    return Selection(
        And(tuple(parts)),
        greatest=asked.greatest,
        orders=(Order(Field("number", FIELDS["number"]), descending=True),),
        limit=limit,
    )


def of_id(index: Index, ref: Ref, key: str | None, id: str) -> Selection:
    """Return what selects a version where it is of the reference's partitions. Raise UsageError where the
    greatest of several is asked for: it is one already."""
    settings = index.settings(key) if key else {}
    declared = {key: Declared.of(settings.get(key, {}))} if key else {}
    asked = _asked(index, replace(ref, key=key or ""), declared)
    if asked.greatest:
        raise UsageError(
            f"{ref} names one version, and the greatest of several partitions is asked for",
            hint=f"leave out @{ref.selector}",
        )
    return Selection(And((_test("id", id), asked.node)), keyless=key is None)


def count_unfit(index: Index, key: str) -> int:
    """Return how many live versions of a key lack a partition that is declared by now."""
    names = Declared.of(index.settings(key).get(key, {})).names
    lacks = Or(tuple(IsNull(field_of(name)) for name in names))
    return index.count(Selection(And((_test("key", key), _test("state", "live"), lacks))))


def warn_of_names(
    index: Index, key: str, names: Iterable[str], warn: Callable[[str], None]
) -> None:
    """Tell of partitions that no version of a key has, and that are called nearly like one that some have."""

    def ask(index: Index) -> set[str]:
        index.refresh(key)
        return index.partition_names(key)

    known = index.ask(ask)
    for name in names:
        if name not in known and (hint := did_you_mean(name, known)):
            warn(f"no version of {key} had a partition {name!r} before; {hint}")


def warn_of_type(index: Index, word: str, warn: Callable[[str], None]) -> None:
    """Tell of a type that no version has, and that is spelled nearly like one that art gives."""
    hint = None if word in TYPES else did_you_mean(word, TYPES)
    if hint and not index.ask(lambda index: index.count(Selection(_test("type", word)))):
        warn(f"no version is of type {word!r}; {hint}")


def among(
    index: Index, partitions: Mapping[str, str], by: str | None, is_meant: Iterable[str] | None
) -> Asked:
    """Return what is asked of the versions of all keys, each by what is declared of it; `is_meant` are
    the keys that count, None for all. Raise UsageError."""
    meant = None if is_meant is None else set(is_meant)
    declared = {
        key: Declared.of(settings)
        for key, settings in index.settings().items()
        if meant is None or key in meant
    }
    ref = Ref("", partitions=tuple(partitions.items()), by=by or "")
    return _asked(index, ref, declared)


def timed(index: Index, node: Node) -> Node:
    """Return a condition in which partitions that are declared to be time are compared as that."""
    names = {_timed_name(test) for test in tests(node)} - {None}
    if not names:
        return node
    times: dict[str, dict[Granularity, list[str]]] = {}
    for key, settings in index.settings().items():
        for name, granularity in Declared.of(settings).times.items():
            if name in names:
                times.setdefault(name, {}).setdefault(granularity, []).append(key)
    now = datetime.now(timezone.utc)

    def change(test: Test | IsNull) -> Node:
        name = _timed_name(test)
        if name not in times or not isinstance(test, Test):
            return test
        keys = [key for each in times[name].values() for key in each]
        parts: list[Node] = [And((Not(_test("key", *keys)), test))]
        for granularity, of in times[name].items():
            parts.append(And((_test("key", *of), _as_time(test, granularity, now))))
        return Or(tuple(parts))

    return replaced(node, change) if times else node


def _timed_name(test: Test | IsNull) -> str | None:
    """Return the name of the partition that a test compares, None where it does not."""
    if isinstance(test, IsNull) or test.operator not in (EQUAL, *ORDERS):
        return None
    return test.field.path[1] if test.field.path[:1] == ("partitions",) else None


def _as_time(test: Test, granularity: Granularity, now: datetime) -> Node:
    """Return a test of a time; where its value is none, of the text."""
    parts: list[Node] = []
    for value in test.operands:
        assert isinstance(value, Value)
        try:
            parts.append(compared(test.field, test.operator, value, granularity, now))
        except UsageError:
            parts.append(replace(test, operands=(value,)))
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def check_names(index: Index, names: Iterable[str], keys: Collection[str] | None) -> None:
    """Raise NotFoundError where one of these partitions is neither declared of these keys, of all for
    None, nor has any of their versions one: it was mistyped. What has no version may have any."""
    known = known_names(index, keys)
    if not known and not any(map(index.latest_number, index.keys() if keys is None else keys)):
        return
    for name in names:
        if name not in known and name != ALL:
            of = f" of {next(iter(keys))}" if keys is not None and len(keys) == 1 else ""
            hint = did_you_mean(name, [*known, *FIELDS]) or _there_are(known)
            more = "" if known else ", nor any other one"
            raise NotFoundError(f"no version{of} has a partition {name!r}{more}", hint=hint)


def known_names(index: Index, keys: Collection[str] | None) -> list[str]:
    """Return the names of all partitions that are declared of keys, or that their versions have."""
    declared = index.settings()
    known: set[str] = index.partition_names() if keys is None else set()
    for key in declared if keys is None else keys:
        known.update(Declared.of(declared.get(key, {})).names)
        known.update(() if keys is None else index.partition_names(key))
    return sorted(known)


def _there_are(names: list[str]) -> str | None:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are {', '.join(names[:_SHOWN])}{more}" if names else None


def _asked(index: Index, ref: Ref, declared: Mapping[str, Declared]) -> Asked:
    now = datetime.now(timezone.utc)
    nodes = [_node(name, text, ref.key, declared, now) for name, text in ref.partitions]
    greatest = [field_of(name) for name, text in ref.partitions if text == LATEST]
    if ref.by == ALL:
        greatest += [field_of(name) for name in _names(index, ref.key or None, declared.values())]
    elif ref.by:
        greatest.append(field_of(ref.by))
    return Asked(And(tuple(nodes)), tuple(greatest))


def _node(name: str, text: str, key: str, declared: Mapping[str, Declared], now: datetime) -> Node:
    """Return the condition on one partition, of one key or, where that is empty, of all: it may be time in
    some of them and a text in the others."""
    if key in declared:
        return condition(name, text, declared[key].times.get(name), now)
    timed: dict[Granularity, list[str]] = {}
    for each, what in declared.items():
        if name in what.times:
            timed.setdefault(what.times[name], []).append(each)
    if not timed:
        return condition(name, text)
    parts: list[Node] = [
        And((_test("key", *keys), condition(name, text, granularity, now)))
        for granularity, keys in timed.items()
    ]
    with suppress(UsageError):  # a range of time may go backwards as a range of texts
        others = Not(_test("key", *(each for keys in timed.values() for each in keys)))
        parts.append(And((others, condition(name, text))))
    return Or(tuple(parts))


def _names(index: Index, key: str | None, declared: Iterable[Declared]) -> list[str]:
    """Return the names of all partitions, those that decide first before the others."""
    each = list(declared)
    if key is not None and each and each[0].names:
        return list(each[0].by_weight)
    names = [name for one in each for name in one.times]
    names += [name for one in each for name in one.names]
    return list(dict.fromkeys([*names, *sorted(index.partition_names(key))]))


def _test(name: str, *values: str) -> Test:
    return Test(Field(name, FIELDS[name]), EQUAL, values)
