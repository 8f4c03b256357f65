"""Queries as SQL over the tables of the index. What came from a user is bound, never part of the text.

A condition is true, false or null, which `Not` takes for false: a comparison with what is missing is
false, and its opposite true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from art.database import APART, NUL
from art.keys import is_glob
from art.query.tree import (
    CONTAINS,
    ENDS,
    EQUAL,
    LIKE,
    STARTS,
    TEXTUAL,
    And,
    Field,
    IsNull,
    Kind,
    Node,
    Not,
    Operand,
    Or,
    Period,
    Reference,
    Test,
    Value,
    tests,
)

Bound = str | int | float
_SHALLOW = 3
_SHORT = ("metadata", "partitions")  # JSON that mostly is, unlike what runs and formats say
_VERSION = "(versions.key_id, versions.number, versions.uid)"
_NUMBERED = "(versions.key_id, versions.number)"
_LATEST = (
    "(versions.key_id != 0 AND versions.number = (SELECT v.number FROM versions v "
    "WHERE v.key_id = versions.key_id AND v.state = 'live' ORDER BY v.number DESC LIMIT 1))"
)
# Of each key the first that fits, from the highest number down: others are not looked at.
_HIGHEST = (
    "SELECT k.id AS k, (SELECT versions.number FROM versions WHERE versions.key_id = k.id AND {} "
    "ORDER BY versions.number DESC LIMIT 1) AS n FROM keys k WHERE k.id != 0"
)
_INPUTS = "(SELECT inputs.key_id, inputs.number, inputs.uid FROM inputs"
_CREATED = "+versions.created"  # not by its index, which is slower where most times are asked for
_KEY = "(SELECT keys.key FROM keys WHERE keys.id = versions.key_id)"
_COLUMNS = {
    "key": _KEY,
    "number": "nullif(versions.number, -1)",
    "id": "versions.id",
    "type": "versions.type",
    "state": "versions.state",
    "size": "versions.size",
    "files": "versions.files",
    "created": _CREATED,
    "age": _CREATED,
    "author": "versions.author",
    "title": "versions.title",
    "description": "json_extract(versions.about, '$.description')",
    "latest": _LATEST,
}
_NEVER_NULL = ("key", "id", "type", "state", "created", "age", "author", "latest")
_LISTS = {
    "tag": "json_each(versions.tags)",
    "label": "json_each(versions.labels)",
}
_TOKENS = {"tag": "versions.tags", "label": "versions.labels"}
# `made` tells what was made of the first ones from these themselves; a version that was moved has two ids.
_SAME = (
    "WITH RECURSIVE same(id) AS (SELECT value FROM json_each(?) UNION "
    "SELECT moves.id FROM same JOIN moves ON moves.target = same.id) SELECT id FROM same"
)
_BELOW = (
    "WITH RECURSIVE below(id, made) AS (SELECT value, 0 FROM json_each(?) UNION "
    "SELECT moves.id, below.made FROM below JOIN moves ON moves.target = below.id UNION "
    "SELECT v.id, 1 FROM below JOIN inputs i ON i.input = below.id "
    "JOIN versions v ON (v.key_id, v.number, v.uid) = (i.key_id, i.number, i.uid)) "
    "SELECT id FROM below WHERE made"
)
_ABOVE = (
    "WITH RECURSIVE above(id, made) AS (SELECT value, 0 FROM json_each(?) UNION "
    "SELECT moves.target, above.made FROM above JOIN moves ON moves.id = above.id UNION "
    "SELECT i.input, 1 FROM above JOIN versions v ON v.id = above.id "
    "JOIN inputs i ON (i.key_id, i.number, i.uid) = (v.key_id, v.number, v.uid)) "
    "SELECT id FROM above WHERE made"
)


@dataclass(frozen=True)
class Sql:
    """A piece of SQL and the values that are bound to its question marks, in order. `depth` is how deep
    conditions are nested in it."""

    text: str
    values: tuple[Bound, ...] = ()
    depth: int = 0


@dataclass(frozen=True)
class Order:
    """What rows are sorted by. What has no value comes last."""

    field: Field
    descending: bool = False


@dataclass(frozen=True)
class Selection:
    """Which versions are meant, of keys or the keyless ones, and in what order.

    `greatest` leaves those of each key that have its greatest value of these fields, of which the first
    counts most, and `newest` the highest number of these. With `per` that is so for each value of these
    fields, which is not missing, and the highest number is left. The first order counts most.
    """

    condition: Node
    keyless: bool = False
    newest: bool = False
    greatest: tuple[Field, ...] = ()
    per: tuple[Field, ...] = ()
    orders: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


def where(selection: Selection) -> Sql:
    """Return the condition that rows of `versions` meet; order and limit are not in it."""
    found = condition(selection.condition)
    scope = "versions.key_id = 0" if selection.keyless else "versions.key_id != 0"
    if selection.greatest or selection.per:
        return _ranked(selection, Sql(f"{scope} AND {found.text}", found.values))
    if not selection.newest or selection.keyless:
        return Sql(f"{scope} AND {found.text}", found.values)
    return Sql(f"{_NUMBERED} IN ({_HIGHEST.format(found.text)})", found.values)


def source(selection: Selection) -> Sql:
    """Return what follows FROM for the rows that `where` means."""
    is_plain = selection.keyless or selection.greatest or selection.per
    if is_plain or not (selection.newest or _asks_for_latest(selection.condition)):
        found = where(selection)
        return Sql(f"versions WHERE {found.text}", found.values)
    found = condition(selection.condition)
    joined = "CROSS JOIN versions ON versions.key_id = c.k AND versions.number = c.n"
    if selection.newest:
        return Sql(f"({_HIGHEST.format(found.text)}) c {joined}", found.values)
    live = _HIGHEST.format("versions.state = 'live'")
    return Sql(f"({live}) c {joined} WHERE {found.text}", found.values)


def _asks_for_latest(node: Node) -> bool:
    """Whether only the latest of each key can meet a condition."""
    if isinstance(node, And):
        return any(_asks_for_latest(part) for part in node.parts)
    return isinstance(node, Test) and node.field.kind is Kind.FLAG and node.operands == (True,)


def _ranked(selection: Selection, found: Sql) -> Sql:
    """Return the condition for what comes first of each key, or of each value of a field in a key."""
    values = [value_of(field) for field in selection.per]
    among = ["versions.key_id", *(value.text for value in values)]
    orders = [term for field in selection.greatest for term in _by_size(value_of(field))]
    if selection.newest or selection.per:
        orders.append(Sql("versions.number"))
    there = [f"{value.text} IS NOT NULL" for value in values]
    bound = [one for part in (*values, *orders, found, *values) for one in part.values]
    return Sql(
        f"{_NUMBERED} IN (SELECT key_id, number FROM (SELECT versions.key_id, versions.number, "
        f"rank() OVER (PARTITION BY {', '.join(among)} ORDER BY "
        f"{', '.join(order.text + ' DESC' for order in orders)}) AS place "
        f"FROM versions WHERE {' AND '.join([found.text, *there])}) WHERE place = 1)",
        tuple(bound),
    )


def _by_size(value: Sql) -> tuple[Sql, Sql, Sql]:
    """Return what sorts texts: those that are whole numbers by size, and before the others."""
    text = f"({value.text} GLOB '*[^0-9]*')"
    digits = f"ltrim({value.text}, '0')"
    return (
        Sql(text, value.values),
        Sql(f"CASE WHEN {text} THEN 0 ELSE length({digits}) END", value.values * 2),
        Sql(f"CASE WHEN {text} THEN {value.text} ELSE {digits} END", value.values * 3),
    )


def ordered(selection: Selection) -> Sql:
    """Return what follows FROM, with order and limit."""
    found, order = source(selection), _order(selection)
    if selection.limit is None and not selection.offset:
        return Sql(found.text + order.text, found.values + order.values)
    limit = -1 if selection.limit is None else selection.limit
    return _first(found, order.text, order, limit, selection.offset)


def nearest(selection: Selection, edge: str) -> Sql | None:
    """Return what `ordered` does, for those only that were made up to the time `edge`, counted from the
    end where the order begins: as many as the limit says are then the right ones. None where the order is
    another one, what is first depends on all, or few versions are as quickly found by themselves."""
    first = selection.orders[0] if selection.orders else None
    is_all = selection.newest or selection.greatest or selection.per or selection.limit is None
    if is_all or first is None or first.field.kind is not Kind.TIME:
        return None
    if any(test.field.kind in (Kind.REFERENCES, Kind.ID) for test in tests(selection.condition)):
        return None
    found, order = where(selection), _order(selection)
    near = f"versions.created {'>=' if first.descending else '<='} ?"
    by_time = order.text.replace(_CREATED, "versions.created", 1)
    rows = Sql(f"versions WHERE {near} AND {found.text}", (edge, *found.values))
    return _first(rows, by_time, order, selection.limit or 0, selection.offset)


def _first(rows: Sql, way: str, order: Sql, limit: int, offset: int) -> Sql:
    """Return the first of some rows, sorted by what is narrow: all that is said of them is read later."""
    source = rows.text
    if source.startswith("versions WHERE"):  # versions of a key lie together: it is looked up once
        source = source.replace("versions", "versions CROSS JOIN keys ON keys.id = key_id", 1)
        way = way.replace(_KEY, "keys.key")
    narrow = (
        "SELECT versions.key_id AS k, versions.number AS n, versions.uid AS u "
        f"FROM {source}{way} LIMIT ? OFFSET ?"
    )
    return Sql(
        f"({narrow}) f CROSS JOIN versions ON {_VERSION} = (f.k, f.n, f.u){order.text}",
        (*rows.values, *order.values, limit, offset, *order.values),
    )


def edge(selection: Selection, count: int) -> Sql:
    """Return the statement that finds the time of the version at this place in the order by time."""
    way = " DESC" if selection.orders and selection.orders[0].descending else ""
    text = f"SELECT created FROM versions ORDER BY created{way} LIMIT 1 OFFSET ?"
    return Sql(text, (count,))


def _order(selection: Selection) -> Sql:
    terms: list[str] = []
    values: tuple[Bound, ...] = ()
    for order in selection.orders:
        value = value_of(order.field)
        if order.descending:  # what is missing is the least to SQLite
            terms.append(f"{value.text} DESC")
        elif order.field.name in _NEVER_NULL:
            terms.append(value.text)
        else:
            terms.append(f"{value.text} NULLS LAST")
        values += value.values
    return Sql(f" ORDER BY {', '.join(terms)}" if terms else "", values)


def groups(selection: Selection, field: Field) -> Sql:
    """Return the statement that counts by a field: JSON type and value, number of versions, their size
    in parts of 1 MiB and what is left, time of the newest."""
    found = where(selection)
    if field.name in _LISTS:
        source, kind, value = f"versions LEFT JOIN {_LISTS[field.name]} j", "j.type", Sql("j.value")
    else:
        source, value = "versions", value_of(field)
        kind = f"json_type({_column(field)}, ?)" if field.path else "'text'"
    more = (_path(field),) if field.path else ()
    return Sql(
        f"SELECT {kind} AS kind, {value.text} AS value, count(*), "
        "sum(versions.size >> 20), sum(versions.size & 1048575), max(versions.created) "
        f"FROM {source} WHERE {found.text} GROUP BY kind, value",
        (*more, *value.values, *found.values),
    )


def value_of(field: Field) -> Sql:
    """Return the value of a field, to sort or group by."""
    if field.path:
        return Sql(f"json_extract({_column(field)}, ?)", (_path(field),))
    return Sql(_COLUMNS[field.name])


def condition(node: Node, *, negated: bool = False) -> Sql:
    """Return a tree, or its opposite, as a condition over `versions`."""
    if isinstance(node, Not):
        return condition(node.part, negated=not negated)
    if isinstance(node, (And, Or)):
        word = _word(node, negated=negated)
        return _joined(_terms(node, word, negated=negated), word)
    found = _is_null(node.field) if isinstance(node, IsNull) else _TESTS[node.field.kind](node)
    return replace(found, text=f"NOT ifnull({found.text}, 0)") if negated else found


def _word(node: And | Or, *, negated: bool) -> str:
    return "AND" if isinstance(node, And) is not negated else "OR"


def _terms(node: Node, word: str, *, negated: bool) -> list[Sql]:
    """Return what `word` joins in a node, also from nodes in it: SQLite's parser takes few parentheses."""
    while isinstance(node, Not):
        node, negated = node.part, not negated
    if not isinstance(node, (And, Or)) or _word(node, negated=negated) != word:
        return [condition(node, negated=negated)]
    return [term for part in node.parts for term in _terms(part, word, negated=negated)]


def _joined(parts: Sequence[Sql], word: str) -> Sql:
    """Return parts joined. What is deep comes first, where it takes least of the parser's stack."""
    if len(parts) < 2:
        return parts[0] if parts else Sql("1" if word == "AND" else "0")
    depth = max(part.depth for part in parts)
    if depth > _SHALLOW:
        parts = sorted(parts, key=lambda part: -part.depth)
    values = tuple(value for part in parts for value in part.values)
    return Sql(f"({f' {word} '.join(part.text for part in parts)})", values, depth + 1)


def _is_null(field: Field) -> Sql:
    if field.path:
        return Sql(f"ifnull(json_type({_column(field)}, ?), 'null') = 'null'", (_path(field),))
    if field.name in _LISTS:
        return Sql(f"NOT EXISTS (SELECT 1 FROM {_LISTS[field.name]})")
    if field.kind is Kind.REFERENCES:
        return Sql(f"{_VERSION} NOT IN {_INPUTS})")
    return Sql(f"{_COLUMNS[field.name]} IS NULL")


def _column(field: Field) -> str:
    """Return the column with the JSON that a value stands in."""
    return f"versions.{field.path[0] if field.path[0] in APART else 'about'}"


def _path(field: Field) -> str:
    """Return where in the JSON a value stands; names are escaped as they are there."""
    parts = field.path[1:] if field.path[0] in APART else field.path
    return "".join(["$", *(f".{json.dumps(part)}" for part in parts)])


# -- tests by kind of field --------------------------------------------------------------------------


def _text(test: Test) -> Sql:
    return _compared(_COLUMNS[test.field.name], test.operator, test.operands)


def _key(test: Test) -> Sql:
    if test.operator == LIKE and is_glob(str(test.operands[0])):
        found = Sql("matches_key(?, keys.key)", (str(test.operands[0]),))
    elif test.operator == LIKE:
        found = _compared("keys.key", EQUAL, test.operands)
    else:
        found = _compared("keys.key", test.operator, test.operands)
    return Sql(f"versions.key_id IN (SELECT keys.id FROM keys WHERE {found.text})", found.values)


def _id(test: Test) -> Sql:
    """Whether an id begins so, which the index of ids finds."""
    if test.operator != EQUAL:
        return _text(test)
    spans = [
        Sql("(versions.id >= ? AND versions.id < ?)", (str(one), f"{one}g"))
        for one in test.operands
    ]
    return _joined(spans, "OR")


def _created(test: Test) -> Sql:
    """Whether a time is within or beside a period."""
    found = []
    for period in test.operands:
        assert isinstance(period, Period)
        text, values = _AGAINST_PERIODS[test.operator, period.end is None]
        bounds = {"start": period.start, "end": period.end or ""}
        found.append(Sql(text, tuple(bounds[name] for name in values)))
    return _joined(found, "OR")


_AGAINST_PERIODS = {  # by operator, and whether it is one instant
    (EQUAL, True): (f"{_CREATED} = ?", ("start",)),
    (EQUAL, False): (f"({_CREATED} >= ? AND {_CREATED} < ?)", ("start", "end")),
    ("<", True): (f"{_CREATED} < ?", ("start",)),
    ("<", False): (f"{_CREATED} < ?", ("start",)),
    ("<=", True): (f"{_CREATED} <= ?", ("start",)),
    ("<=", False): (f"{_CREATED} < ?", ("end",)),
    (">", True): (f"{_CREATED} > ?", ("start",)),
    (">", False): (f"{_CREATED} >= ?", ("end",)),
    (">=", True): (f"{_CREATED} >= ?", ("start",)),
    (">=", False): (f"{_CREATED} >= ?", ("start",)),
}
_OLDER = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _age(test: Test) -> Sql:
    """What is older was created before."""
    return _created(Test(test.field, _OLDER[test.operator], test.operands))


def _flag(test: Test) -> Sql:
    return _compared(_COLUMNS[test.field.name], EQUAL, [int(bool(one)) for one in test.operands])


def _texts(test: Test) -> Sql:
    found = _compared("j.value", test.operator, test.operands)
    text = f"EXISTS (SELECT 1 FROM {_LISTS[test.field.name]} j WHERE {found.text})"
    if test.operator != EQUAL or len(test.operands) > 1:
        return Sql(text, found.values)
    wanted = [Value(str(test.operands[0]))]
    return _with_token(_TOKENS[test.field.name], wanted, Sql(text, found.values))


def _references(test: Test) -> Sql:
    ids = [id for one in test.operands if isinstance(one, Reference) for id in one.ids]
    bound = (json.dumps(ids),)
    if test.field.name == "input":
        return Sql(f"{_VERSION} IN {_INPUTS} WHERE inputs.input IN ({_SAME}))", bound)
    reach = _BELOW if test.field.name == "ancestor" else _ABOVE
    return Sql(f"versions.id IN ({reach})", bound)


def _any(test: Test) -> Sql:
    """Whether a JSON value, or a member where it is a list, is as wanted, by the type that it has."""
    path = _path(test.field)
    values = [
        replace(one, text=one.text.replace("\0", NUL))
        for one in test.operands
        if isinstance(one, Value)
    ]
    column = _column(test.field)
    type, value = f"json_type({column}, ?)", f"json_extract({column}, ?)"
    cases, bound = _cases(value, (path,), test.operator, values)
    inner, inner_bound = _cases("j.value", (), test.operator, values)
    member = f"SELECT 1 FROM json_each({column}, ?) j WHERE CASE j.type {inner} ELSE 0 END"
    found = Sql(
        f"CASE {type} {cases} WHEN 'array' THEN EXISTS ({member}) ELSE 0 END",
        (path, *bound, path, *inner_bound),
    )
    if test.operator != EQUAL or test.field.path[0] not in _SHORT:
        return found
    return _with_token(column, values, found)


def _with_token(column: str, wanted: Sequence[Value], found: Sql) -> Sql:
    """Return a test for equality; before it, for a text, whether it is in the JSON at all: where that is
    short it is seen at once."""
    first = wanted[0]
    if len(wanted) > 1 or first.number is not None or first.flag is not None:
        return found
    values = (json.dumps(first.text), *found.values)
    return Sql(f"(instr({column}, ?) > 0 AND {found.text})", values)


def _cases(
    value: str, place: tuple[Bound, ...], operator: str, wanted: Sequence[Value]
) -> tuple[str, tuple[Bound, ...]]:
    """Return the branches of a CASE over the type of a JSON value, and what is bound in them."""
    numbers = [one.number for one in wanted if one.number is not None]
    by_type: dict[str, Sql] = {"text": _text_value(value, place, operator, wanted[0], wanted)}
    if numbers and operator not in TEXTUAL:
        number = _compared(value, operator, numbers, place)
        by_type |= {"integer": number, "real": number}
    if operator == EQUAL:
        by_type |= {
            "true" if one.flag else "false": Sql("1") for one in wanted if one.flag is not None
        }
    text = " ".join(f"WHEN '{type}' THEN {test.text}" for type, test in by_type.items())
    return text, tuple(one for test in by_type.values() for one in test.values)


def _text_value(
    value: str, place: tuple[Bound, ...], operator: str, first: Value, wanted: Sequence[Value]
) -> Sql:
    """Compare a text; by size with a number only where it is written as one, as numbers in partitions
    and in `--meta k=v` are."""
    if first.number is None or operator not in ("<", "<=", ">", ">="):
        return _compared(value, operator, [one.text for one in wanted], place)
    return (
        Sql(  # the CAST makes SQLite read the text as a number; what is none is above all numbers
            f"({value} {operator} CAST(? AS NUMERIC) AND {value} <= CAST(9e999 AS REAL))",
            (*place, first.number, *place),
        )
    )


_TESTS: dict[Kind, Callable[[Test], Sql]] = {
    Kind.TEXT: _text,
    Kind.KEY: _key,
    Kind.ID: _id,
    Kind.STATE: _text,
    Kind.NUMBER: _text,
    Kind.TIME: _created,
    Kind.AGE: _age,
    Kind.FLAG: _flag,
    Kind.TEXTS: _texts,
    Kind.REFERENCES: _references,
    Kind.ANY: _any,
}


# -- comparisons -------------------------------------------------------------------------------------


def _compared(
    value: str, operator: str, operands: Sequence[Operand], place: tuple[Bound, ...] = ()
) -> Sql:
    """Compare an expression, which has `place` bound in it, with texts or numbers; `=` with any."""
    first = operands[0]
    assert isinstance(first, (str, int, float))
    if operator == EQUAL and len(operands) > 1:
        return Sql(f"{value} IN (SELECT value FROM json_each(?))", (*place, json.dumps(operands)))
    if operator in _FORMS:
        return Sql(_FORMS[operator].format(value), (*place, first))
    if operator == LIKE:
        return Sql(f"{value} GLOB ?", (*place, glob(str(first))))
    if operator == STARTS:
        return Sql(f"substr({value}, 1, length(?)) = ?", (*place, first, first))
    assert operator == ENDS
    if not first:
        return Sql(f"{value} IS NOT NULL", place)
    return Sql(f"substr({value}, -length(?)) = ?", (*place, first, first))


_FORMS = {EQUAL: "{} = ?", CONTAINS: "instr({}, ?) > 0"}
_FORMS |= {operator: f"{{}} {operator} ?" for operator in ("<", "<=", ">", ">=")}
_GLOB_PART = re.compile(r"\*+|\?|\[(!?)([^\]]+)\]|\[", re.DOTALL)


def glob(text: str) -> str:
    """Return a glob as SQLite writes them: `[^a]` in place of `[!a]`; `**` is `*`."""
    return _GLOB_PART.sub(_glob_part, text)


def _glob_part(match: re.Match[str]) -> str:
    part = match.group()
    if part[0] == "*" or part == "?":
        return part[0]
    if part == "[":
        return "[[]"
    negation, members = match.groups()
    if members.startswith("^"):  # there a member, in SQLite a negation in the first place
        members = members.lstrip("^") + "^"
    if members == "^" and not negation:
        return "^"
    return f"[{'^' if negation else ''}{members}]"
