"""Which versions a listing shows, in what order, and how many of each kind there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from art.errors import UsageError
from art.index import Group, Index
from art.keys import glob_pattern
from art.query.tree import (
    EQUAL,
    FIELDS,
    LIKE,
    And,
    Field,
    Kind,
    Node,
    Operand,
    Or,
    Period,
    Query,
    Test,
    tests,
)
from art.ref import PARTITION
from art.rows import Record
from art.sql import Order, Selection

SORTS = ("key", "created", "size", "files", "type", "author", "number", "title")
GROUP_SORTS = ("key", "count", "size", "created")
_ALL = 2**63 - 1  # as many as a number of SQL can say
_DESCENDING = ("created", "size", "files", "number")  # the newest and the largest first
Resolve = Callable[
    [str], Iterable[str]
]  # from a reference to the ids of the versions that it means


@dataclass(frozen=True)
class Filter:
    """What `listing` shows: by default the latest live version of each key, by key.

    `where` is a query in the language of docs/where.md. `since` and `until` are times (`2026-11-21`,
    with a time, or a span such as `7d` before now). Several tags, or types, mean any of them; several
    labels or partitions mean all of them; what can be asked of partitions is in docs/partitions.md. With
    labels, partitions or a query the latest version of a key is the latest that matches or, with `by`, that
    of the greatest value of this partition (or of all: `partition`); with `latest_per` it is the latest of
    each value of these. With `all` every version is meant. `sort` is one of `SORTS` or another field of a
    query, with `:asc` or `:desc` behind it.
    """

    all: bool = False
    anonymous: bool = False
    deleted: bool = False
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    partitions: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    latest_per: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    where: str | None = None
    sort: str = "key"
    reverse: bool = False
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True)
class Wanted:
    """What a listing is to show, understood. `fields` are those to look up before it is asked for."""

    selection: Selection
    query: Query | None
    fields: tuple[Field, ...] = ()
    patterns: tuple[str, ...] = ()
    partitions: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None


def understand(patterns: tuple[str, ...], filter: Filter, resolve: Resolve) -> Wanted:
    """Return what a filter means. Raise UsageError for what is not understood."""
    if filter.offset < 0 or (filter.limit or 0) < 0:
        raise UsageError("limit and offset are numbers of at least 0")
    query = understand_query(filter.where, resolve) if filter.where is not None else None
    orders = _orders(filter.sort, is_reverse=filter.reverse)
    parts = [*_scope(filter, query), *_parts(patterns, filter)]
    selection = Selection(
        And(tuple(parts)),
        keyless=filter.anonymous,
        newest=_wants_newest_match(filter),
        per=_per(filter),
        orders=orders,
        limit=None if filter.limit is None else min(filter.limit, _ALL),
        offset=min(filter.offset, _ALL),
    )
    asked = filter.partitions, filter.by
    return Wanted(selection, query, (orders[0].field,), patterns, *asked)


def understand_query(text: str, resolve: Resolve) -> Query:
    """Return a query, its references resolved. Raise QueryError."""
    from art.query.references import bind
    from art.query.syntax import parse

    return bind(parse(text), resolve)


def select(index: Index, wanted: Wanted) -> list[Record]:
    """Return the versions that are wanted, in order. Raise UsageError for an unknown field of a query."""
    return index.selected(prepared(index, wanted))


def show(index: Index, wanted: Wanted) -> list[Record]:
    """Return what `select` does. Raise NotFoundError, too, where a partition is named that there is not."""
    found = select(index, wanted)
    names = _partition_names(wanted)
    if not all(any(name in one.partitions for one in found) for name in names):
        check_names(index, wanted)
    return found


def count(index: Index, wanted: Wanted) -> int:
    """Return how many versions `show` would return."""
    found = prepared(index, wanted)
    number = max(0, index.count(found) - found.offset)
    if not number or wanted.by:
        check_names(index, wanted)
    limit = found.limit
    return number if limit is None else min(number, limit)


def group(
    index: Index, by: str, patterns: tuple[str, ...], filter: Filter, resolve: Resolve
) -> list[Group]:
    """Return how many versions that match there are, not only the latest of each key, by a field. A
    version is counted for each of its labels or tags."""
    sort, direction = _split_sort(filter.sort)
    if sort not in GROUP_SORTS:
        raise UsageError(f"{sort!r} is no order of groups", hint=f"known: {', '.join(GROUP_SORTS)}")
    whole = replace(filter, all=True, sort="key", limit=None, offset=0)
    wanted = understand(patterns, whole, resolve)
    field = _known_field(by.replace(":", ".", 1) if by.startswith("partition:") else by)
    if field.kind in (Kind.REFERENCES, Kind.FLAG, Kind.AGE):
        raise UsageError(f"versions cannot be grouped by {field.name}")
    wanted = replace(wanted, fields=(field,))
    found = sorted(index.groups(prepared(index, wanted), field), key=lambda one: _rank(one.value))
    if all(one.value is None for one in found):
        check_names(index, wanted)
    if sort != "key":
        found.sort(key=_GROUP_ORDERS[sort], reverse=direction != "asc")
    if filter.reverse or (sort == "key" and direction == "desc"):
        found.reverse()
    end = None if filter.limit is None else filter.offset + filter.limit
    return found[filter.offset : end]


_GROUP_ORDERS: Mapping[str, Callable[[Group], Any]] = {
    "count": lambda group: group.count,
    "size": lambda group: group.size,
    "created": lambda group: group.newest,
}


def _rank(value: Any) -> tuple[int, Any]:
    """Return what sorts values of all types: numbers, texts, others, and last what is missing."""
    if value is None:
        return 3, 0
    if isinstance(value, (int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, str(value))


def check_names(index: Index, wanted: Wanted) -> None:
    """Raise NotFoundError where a partition is named that no version has, and none is declared to have."""
    if names := _partition_names(wanted):
        from art import matching

        matching.check_names(index, names, _meant(index, wanted))


def _partition_names(wanted: Wanted) -> list[str]:
    """Return the names of all partitions that are asked for, sorted or grouped by."""
    named = [*wanted.selection.per, *wanted.fields, *(wanted.query.fields if wanted.query else ())]
    paths = [field.path for field in named if field.path[:1] == ("partitions",)]
    names = [".".join(path[1:]) for path in paths if len(path) > 1]
    return [*wanted.partitions, *([wanted.by] if wanted.by else ()), *names]


def prepared(index: Index, wanted: Wanted, *, is_checked: bool = True) -> Selection:
    """Return what is to be asked of the index, which is brought up to date. Raise QueryError as `check` does,
    unless names may come later."""
    index.refresh_all()
    if is_checked and wanted.query is not None:
        check(index, wanted.query)
    for named in wanted.fields:
        _check_fields(index, [named], named.name)
    selection = wanted.selection
    if wanted.query is not None:
        selection = replace(selection, condition=timed(index, selection.condition))
    if not (wanted.partitions or wanted.by):
        return selection
    from art import matching

    asked = matching.among(index, wanted.partitions, wanted.by, _meant(index, wanted))
    if asked.greatest and wanted.selection.keyless:
        raise UsageError("what has no key has no greatest partition", hint="leave out --anonymous")
    both = And((selection.condition, asked.node))
    return replace(selection, condition=both, greatest=asked.greatest)


def timed(index: Index, node: Node) -> Node:
    """Return a condition in which partitions that are declared to be time are compared as that."""
    if not any(test.field.path[:1] == ("partitions",) for test in tests(node)):
        return node
    from art import matching

    return matching.timed(index, node)


def _meant(index: Index, wanted: Wanted) -> list[str] | None:
    """Return the keys that a listing's patterns mean, None where it has none."""
    if not wanted.patterns or wanted.selection.keyless:
        return None
    globs = "|".join(glob_pattern(text.rstrip("/")) for text in wanted.patterns)
    return [key for key in index.keys() if re.fullmatch(globs, key)]  # noqa: SIM118


def check(index: Index, query: Query) -> None:
    """Raise QueryError where a query has a name that is neither a field nor a partition, which a version has
    or which is declared."""
    _check_fields(index, query.fields, query.text)


def checked(index: Index, query: Query) -> Query:
    """Return a query as what it means in a repository. Raise QueryError as `check` does."""
    check(index, query)
    return replace(query, node=timed(index, query.node))


def _check_fields(index: Index, fields: Iterable[Field], text: str) -> None:
    if any(field.is_bare for field in fields):
        from art import matching
        from art.query.references import check_partitions

        check_partitions(fields, text, index.is_used, lambda: matching.known_names(index, None))


def _scope(filter: Filter, query: Query | None) -> list[Node]:
    """Return in which states versions are shown, and whether only the latest of each key."""
    scope: list[Node]
    names_state = query is not None and any(field.name == "state" for field in query.fields)
    if filter.deleted:
        scope = [_test("state", EQUAL, "deleted")]
    elif names_state:
        scope = []
    elif query is not None:
        scope = [_test("state", EQUAL, "live")]
    else:
        scope = [_test("state", EQUAL, "live", "damaged")]
    several = filter.all or filter.anonymous or filter.deleted or filter.tags
    if query is not None:
        scope.append(query.node)
    elif not (several or _is_narrow(filter)):
        scope = [Or((_test("latest", EQUAL, True), _test("state", EQUAL, "damaged")))]
    return scope


def _wants_newest_match(filter: Filter) -> bool:
    several = filter.all or filter.anonymous or filter.deleted or filter.tags
    return (_is_narrow(filter) or filter.where is not None) and not several


def _is_narrow(filter: Filter) -> bool:
    """Whether not every latest version is one that is wanted."""
    return bool(filter.labels or filter.partitions or filter.by or filter.latest_per)


def _per(filter: Filter) -> tuple[Field, ...]:
    if not filter.latest_per:
        return ()
    from art.partitions import field_of

    if filter.anonymous:
        raise UsageError("what has no key is not the latest of anything")
    return tuple(field_of(_partition_name(name)) for name in filter.latest_per)


def _partition_name(name: str) -> str:
    if not PARTITION.fullmatch(name):
        hint = "several are named one by one" if "," in name else None
        raise UsageError(f"{name!r} is no name of a partition", hint=hint)
    return name


def _parts(patterns: tuple[str, ...], filter: Filter) -> list[Node]:
    """Return what the words of a filter but its query ask for."""
    name = "id" if filter.anonymous else "key"
    parts: list[Node] = []
    if patterns:
        globs = [text.rstrip("/") for text in patterns if _is_unicode(text)]
        parts.append(Or(tuple(_test(name, LIKE, glob) for glob in globs)))
    if filter.types:
        parts.append(_any_of("type", filter.types))
    if filter.tags:
        parts.append(_any_of("tag", filter.tags))
    parts += [_any_of("label", (label,)) for label in filter.labels]
    for name in (*filter.partitions, *([filter.by] if filter.by else ())):
        _partition_name(name)
    if since := moment(filter.since):
        parts.append(_test("created", ">=", Period(since)))
    if until := moment(filter.until):
        parts.append(_test("created", "<=", Period(until)))
    return parts


def _any_of(name: str, texts: tuple[str, ...]) -> Node:
    """Return a test for any of these; what is no Unicode, as names of files may be, is in no document."""
    found = [text for text in texts if _is_unicode(text)]
    return _test(name, EQUAL, *found) if found else Or(())


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _test(name: str, operator: str, *operands: Operand) -> Test:
    return Test(Field(name, FIELDS[name]), operator, operands)


def _orders(sort: str, *, is_reverse: bool) -> tuple[Order, ...]:
    """Return the order that is asked for, and then by key and number, the newest first."""
    name, direction = _split_sort(sort)
    field = _known_field(name)
    if field.kind in (Kind.TEXTS, Kind.REFERENCES):
        raise UsageError(f"versions cannot be sorted by {name}", hint=f"known: {', '.join(SORTS)}")
    descending = direction == "desc" or (not direction and name in _DESCENDING)
    ties = [("key", False), ("number", True), ("created", False)]
    orders = [(field, descending)]
    orders += [(_known_field(name), way) for name, way in ties if name != field.name]
    return tuple(Order(field, descending=way != is_reverse) for field, way in orders)


def _split_sort(sort: str) -> tuple[str, str]:
    """Return the field and `asc`, `desc` or nothing."""
    name, _, direction = sort.rpartition(":")
    if name in FIELDS and direction not in ("asc", "desc"):
        raise UsageError(f"{direction!r} is no direction", hint=f"{name}:asc or {name}:desc")
    return (name, direction) if name and direction in ("asc", "desc") else (sort, "")


def _known_field(name: str) -> Field:
    if name in FIELDS:
        return Field(name, FIELDS[name])
    from art.query.fields import parse_field

    try:
        return parse_field(name)
    except UsageError:
        of = "; one is given" if "," in name else ""
        hint = f"known: {', '.join(SORTS)}{of}"
        raise UsageError(f"{name!r} is no order", hint=hint) from None


_UNIT = re.compile(r"([0-9])\s*(second|minute|hour|day|week|year)s?\b")


def moment(text: str | None) -> str | None:
    """Return a time given by a user as documents write it; what has no zone is local time."""
    if text is None:
        return None
    from art.query.literals import parse_period, parse_span, time_text

    now, words = datetime.now(timezone.utc), _UNIT.sub(lambda unit: unit[1] + unit[2][0], text)
    try:
        if (span := parse_span(words)) is not None:
            return time_text(now - span)
        if when := parse_period(words, now):
            return when.start
    except (ValueError, OverflowError):  # a span that is longer than time
        pass
    hint = "use 2026-11-21, 2026-11-21T08:30, today, or a span: 12h, 7d, now - 1 day"
    raise UsageError(f"{text!r} is no time", hint=hint)
