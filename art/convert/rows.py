"""Rows that one can go through as often as one likes, and of what kind their columns are."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

# Texts that are numbers and nothing else: no zeros in front, no more digits than a number holds.
_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_DIGITS = 15  # that any float keeps
_EXACT = 2**53  # up to here, a float is any whole number
_LONG = 2**63
_TEXT = "text"

Pass = Callable[[], Iterator[Sequence[Any]]]


@dataclass(frozen=True)
class Rows:
    """A table: `again()` goes through its rows from the first on. A row may be shorter than `columns`,
    which are all there are. `texts` says that cells are texts, which may stand for numbers."""

    columns: list[str]
    again: Pass
    texts: bool = False

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield the rows, each with a cell for each column."""
        width = len(self.columns)
        for row in self.again():
            yield [*row, *[None] * (width - len(row))]

    def kinds(self) -> list[str]:
        """Return what each column holds, having looked at all rows: `bool`, `int`, `float`, `date`,
        `datetime`, `zoned` (datetimes), `time`, `bytes`, or `text` for everything else.

        Where cells are texts, a column is of numbers if each of its cells that is not empty is written as
        one and loses nothing as one: `007` is a text, and so is a number of twenty digits.
        """
        seen = [_Seen(texts=self.texts) for _ in self.columns]
        for row in self.again():
            for column, value in zip(seen, row, strict=False):
                if column.is_open:
                    column.note(value)
        return [column.kind for column in seen]

    def typed(self) -> Rows:
        """Return the same with numbers where cells are texts that stand for them."""
        if not self.texts:
            return self
        makers: list[Callable[[str], Any] | None] = [_MAKERS.get(kind) for kind in self.kinds()]

        def again() -> Iterator[list[Any]]:
            for row in self.again():
                pairs = zip(makers, row, strict=False)
                yield [cell if make is None else _made(make, cell) for make, cell in pairs]

        return Rows(self.columns, again)


def _made(make: Callable[[str], Any], cell: str | None) -> Any:
    return make(cell) if cell else None


_MAKERS: dict[str, Callable[[str], Any]] = {"int": int, "float": float}


@dataclass
class _Seen:
    """What was seen of a column so far. It is open as long as more may change what that comes to."""

    texts: bool
    kinds: set[str] = field(default_factory=set)
    is_exact: bool = True  # whether its whole numbers are the same as floats
    is_open: bool = True

    def note(self, value: Any) -> None:
        if value is None or (self.texts and value == ""):
            return
        kind = _text_kind(value) if self.texts else _kind(value)
        if kind == "int" and self.is_exact and len(str(value)) > _DIGITS:
            self.is_exact = abs(int(value)) <= _EXACT
        elif kind in self.kinds:
            return
        self.kinds.add(kind)
        self.is_open = self.kind != _TEXT

    @property
    def kind(self) -> str:
        if len(self.kinds) == 1:
            return next(iter(self.kinds))
        return "float" if self.kinds == {"int", "float"} and self.is_exact else _TEXT


def _text_kind(text: str) -> str:
    if _INT.fullmatch(text) and (len(text) <= _DIGITS or abs(int(text)) < _LONG):
        return "int"
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        mantissa = text.lower().partition("e")[0].replace(".", "").lstrip("-0")
        is_whole = len(mantissa) <= _DIGITS and (float(text) != 0 or not mantissa)
        return "float" if is_whole and text != "-0" else _TEXT
    return _TEXT


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -_LONG <= value < _LONG else _TEXT
    if isinstance(value, datetime):
        if getattr(value, "nanosecond", 0):  # of pandas
            return _TEXT
        return "datetime" if value.tzinfo is None else "zoned"
    return next((kind for cls, kind in _KINDS if isinstance(value, cls)), _TEXT)


_KINDS = ((float, "float"), (date, "date"), (time, "time"), ((bytes, bytearray), "bytes"))
