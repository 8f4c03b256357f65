"""The fields of a version that can be asked about, and what may be compared with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from art.errors import QueryError
from art.query.literals import parse_number, parse_period, parse_span, time_text
from art.query.tree import (
    EQUAL,
    FIELDS,
    ORDERS,
    STARTS,
    TEXTUAL,
    Field,
    Kind,
    Operand,
    Period,
    Reference,
    Value,
)

ROOTS = ("metadata", "partition", "format", "run", "payload", "origin")
_ALIASES = {
    "version": "number", "tags": "tag", "labels": "label", "inputs": "input",
    "partitions": "partition",
}  # fmt: skip
STATES = ("live", "deleted", "swept", "purged", "moved", "damaged")
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
_ID = re.compile(r"b3:[0-9a-f]{8,64}")
_PARTS = 32
_MATCHING = {  # the operators that make sense of a kind
    Kind.TEXT: (EQUAL, *ORDERS, *TEXTUAL),
    Kind.KEY: (EQUAL, *ORDERS, *TEXTUAL),
    Kind.ID: (EQUAL, STARTS),
    Kind.STATE: (EQUAL,),
    Kind.NUMBER: (EQUAL, *ORDERS),
    Kind.TIME: (EQUAL, *ORDERS),
    Kind.AGE: ORDERS,
    Kind.FLAG: (EQUAL,),
    Kind.TEXTS: (EQUAL, *TEXTUAL),
    Kind.REFERENCES: (EQUAL,),
    Kind.ANY: (EQUAL, *ORDERS, *TEXTUAL),
}


@dataclass(frozen=True)
class Word:
    """A value in a query as it was written."""

    text: str
    at: int
    is_quoted: bool = False


def parse_field(name: str, query: str | None = None, at: int = 0) -> Field:
    """Return the field that `name` means: one of `FIELDS`, a path below one of `ROOTS`, or a partition.

    Raise QueryError where it can be none.
    """
    text = name if query is None else query
    words = [_unescaped(quoted) if quoted else plain for quoted, plain in _PART.findall(name)]
    if _PART.sub("x", name) != ".".join("x" * len(words)) or not all(words) or not words:
        raise QueryError(f"{name!r} is no field", text, at, hint=known_fields(name))
    if any('"' in word for word in words):
        raise QueryError("names with quotes in them cannot be asked for", text, at)
    if len(words) > _PARTS:
        raise QueryError(f"a field has at most {_PARTS} parts", text, at)
    first = words[0].lower() if words[0].isascii() else words[0]
    first = _ALIASES.get(first, first)
    if len(words) == 1 and first in FIELDS:
        return Field(first, FIELDS[first], at=at)
    if first == "partition" and len(words) > 1:  # names of partitions may have dots in them
        return Field("partition", Kind.ANY, ("partitions", ".".join(words[1:])), at)
    if first in ROOTS:
        root = "partitions" if first == "partition" else first
        return Field(first, Kind.ANY, (root, *words[1:]), at)
    if _BARE.fullmatch(name):
        return Field(name, Kind.ANY, ("partitions", name), at, is_bare=True)
    raise QueryError(f"there is no field {name!r}", text, at, hint=known_fields(name))


def known_fields(name: str, partitions: tuple[str, ...] = ()) -> str:
    """Return a hint: the fields that are spelled nearly so, or all."""
    from difflib import get_close_matches

    roots = [f"{root}.NAME" for root in ROOTS]
    first, dot, rest = name.partition(".")
    if dot and (near := get_close_matches(first, ROOTS, 1)):
        return f"did you mean {near[0]}.{rest}?"
    known = [*FIELDS, *_ALIASES, *ROOTS, *partitions]
    if near := get_close_matches(name.lower(), known, 3):
        words = [f"{word}.NAME" if word in ROOTS else word for word in near]
        return f"did you mean {', '.join(words)}?"
    return "fields: " + ", ".join([*FIELDS, *roots])


def check_operator(field: Field, operator: str, query: str, at: int) -> None:
    """Raise QueryError where an operator makes no sense of a field."""
    known = _MATCHING[field.kind]
    if operator not in known:
        words = ", ".join(["!=" if word == EQUAL else word for word in known])
        more = f"{words}, =" if EQUAL in known else words
        raise QueryError(
            f"{field.name} cannot be compared with {operator}", query, at, hint=f"possible: {more}"
        )


def operand(field: Field, operator: str, word: Word, query: str, now: datetime) -> Operand:
    """Return a value as what the field's values are. Raise QueryError where it is none."""
    if field.kind is Kind.ANY:
        return _any(operator, word, now)
    found, expected = _READERS[field.kind](word, now)
    if found is None:
        raise QueryError(
            f"{word.text[:60]!r} is no value of {field.name}", query, word.at, hint=expected
        )
    return found


def _any(operator: str, word: Word, now: datetime) -> Value:
    if word.is_quoted or operator in TEXTUAL:
        return Value(word.text)
    flag = {"true": True, "false": False}.get(word.text.lower())
    if re.match("(?i:now|today|yesterday)", word.text) and (when := parse_period(word.text, now)):
        return Value(when.start, word=word.text)
    number = parse_number(word.text)
    if number is None and (span := parse_span(word.text)):
        number = int(span.total_seconds())
    return Value(word.text, number, flag)


Reading = tuple[Operand | None, str]


def _text(word: Word, now: datetime) -> Reading:
    return word.text, "a text"


def _id(word: Word, now: datetime) -> Reading:
    is_id = _ID.fullmatch(word.text) is not None
    return (word.text if is_id else None), "ids are b3: and at least 8 of their 64 hex digits"


def _state(word: Word, now: datetime) -> Reading:
    return (word.text if word.text in STATES else None), "states: " + ", ".join(STATES)


def _number(word: Word, now: datetime) -> Reading:
    text = word.text[1:] if re.fullmatch("v[0-9]+", word.text) else word.text
    return parse_number(text), "numbers look like 12, 0.5, 5M (million bytes) or 5Mi"


def _time(word: Word, now: datetime) -> Reading:
    expected = "times look like 2026-11-21, 2026-11-21T08:30, 2026-11, today, now-7d"
    return parse_period(word.text, now), expected


def _age(word: Word, now: datetime) -> Reading:
    expected = "ages look like 90s, 30m, 12h, 7d, 8w or 1y"
    span = parse_span(word.text)
    try:
        return (Period(time_text(now - span)) if span is not None else None), expected
    except OverflowError:  # before all years
        return Period(time_text(datetime(1, 1, 2))), expected  # noqa: DTZ001


def _flag(word: Word, now: datetime) -> Reading:
    flags = {"true": True, "yes": True, "false": False, "no": False}
    return flags.get(word.text.lower()), "true or false"


def _reference(word: Word, now: datetime) -> Reading:
    return Reference(word.text, word.at), "a reference such as sales/raw@v3"


_READERS: dict[Kind, Callable[[Word, datetime], Reading]] = {
    Kind.TEXT: _text,
    Kind.KEY: _text,
    Kind.TEXTS: _text,
    Kind.ID: _id,
    Kind.STATE: _state,
    Kind.NUMBER: _number,
    Kind.TIME: _time,
    Kind.AGE: _age,
    Kind.FLAG: _flag,
    Kind.REFERENCES: _reference,
}


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
