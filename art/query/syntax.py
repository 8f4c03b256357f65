"""From the words of a query to its tree, by recursive descent. The grammar is in docs/where.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from art.errors import QueryError
from art.query.fields import Word, check_operator, operand, parse_field
from art.query.literals import as_one_word
from art.query.tree import (
    EQUAL,
    TEXTUAL,
    And,
    Field,
    IsNull,
    Kind,
    Node,
    Not,
    Or,
    Query,
    Test,
)

_TEXT_LIMIT, _DEPTH_LIMIT, _TEST_LIMIT, _VALUE_LIMIT = 10_000, 30, 200, 500
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<time>(?i:now|today|yesterday)(?:\s*[-+]\s*[0-9]{1,6}[smhdwy])+(?=[\s()]|,|\Z))
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<foreign>=~|!~|=>|=<|!(?!=))
    |(?P<operator><=|>=|!=|<>|==|=|<|>)
    |(?P<mark>[(),])
    |(?P<word>[^\s()"',=<>!]+(?:"(?:[^"\\]|\\.)*"[^\s()"',=<>!]*)*)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"and", "or", "not", "in", "is", "null", *TEXTUAL}
_SPELLINGS = {"==": EQUAL, "<>": "!="}
_FOREIGN = {  # what other languages have, and what that is here
    "=~": "like 'eu*', a glob", "~": "like 'eu*', a glob", "!~": "not like 'eu*', a glob",
    "matches": "like 'eu*', a glob", "ilike": "like", "=>": ">=", "=<": "<=", ":": "=",
    "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not",
    "between": ">= and <=, as two comparisons",
}  # fmt: skip
_OPERATORS = "=, !=, <, <=, >, >=, in, like, contains, startswith, endswith, is null"


@dataclass(frozen=True)
class _Token:
    kind: str  # a group of _TOKEN, or "keyword", "end"
    text: str
    at: int

    @property
    def is_value(self) -> bool:
        return self.kind in ("word", "quoted", "time")


def parse(text: str, now: datetime | None = None) -> Query:
    """Return the query that `text` is. Raise QueryError, which says at what character."""
    if len(text) > _TEXT_LIMIT:
        raise QueryError(f"a query has at most {_TEXT_LIMIT:,} characters", text, _TEXT_LIMIT)
    return _Parser(text, now or datetime.now(timezone.utc)).query()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _no_token(text, at)
        kind, piece = str(match.lastgroup), match.group()
        if kind == "word" and piece.lower() in _WORDS:
            kind, piece = "keyword", piece.lower()
        if kind != "space":
            found.append(_Token(kind, piece, at))
        at = match.end()
    return [*found, _Token("end", "", len(text.rstrip()))]


def _no_token(text: str, at: int) -> QueryError:
    if text[at] in "\"'":
        return QueryError(f"the text that begins with {text[at]} does not end", text, at)
    return QueryError(f"{text[at]!r} is not understood", text, at, hint=f"operators: {_OPERATORS}")


class _Parser:
    def __init__(self, text: str, now: datetime) -> None:
        self._text = text
        self._now = now
        surrogate = re.search("[\ud800-\udfff]", text)
        if surrogate:
            raise self._error("this is not valid Unicode", surrogate.start())
        self._rest = _tokens(text)[::-1]
        self._depth = 0
        self._tests = 0
        self._values = 0

    def query(self) -> Query:
        node = self._either()
        if self._next.kind != "end":
            raise self._unexpected("`and`, `or` or the end")
        return Query(self._text, node)

    # -- and, or, not ----------------------------------------------------------------------------

    def _either(self) -> Node:
        parts = [self._both()]
        while self._takes("keyword", "or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Node:
        parts = [self._negation()]
        while self._takes("keyword", "and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self) -> Node:
        opening = self._next
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise self._error(f"this is nested deeper than {_DEPTH_LIMIT} times", opening.at)
        node: Node
        if self._takes("keyword", "not"):
            node = Not(self._negation())
        elif self._takes("mark", "("):
            node = self._either()
            if not self._takes("mark", ")"):
                raise self._unexpected("`)`")
        else:
            node = self._test()
        self._depth -= 1
        return node

    # -- tests -----------------------------------------------------------------------------------

    def _test(self) -> Node:
        word = self._next
        if word.kind not in ("word", "time"):
            raise self._unexpected("a field")
        self._tests += 1
        if self._tests > _TEST_LIMIT:
            raise self._error(f"a query has at most {_TEST_LIMIT} comparisons", word.at)
        field = parse_field(self._take().text, self._text, word.at)
        if self._takes("keyword", "is"):
            return self._null(field)
        is_negative = self._takes("keyword", "not")
        if self._takes("keyword", "in"):
            return self._any_of(field, is_negative=is_negative)
        operator = self._operator(field, is_negative=is_negative)
        if operator in (EQUAL, "!=") and self._takes("keyword", "null"):
            return self._is_null(field, is_negative=operator == "!=")
        name = EQUAL if operator == "!=" else operator
        value = self._lone_value(field)
        node = Test(field, name, (operand(field, name, value, self._text, self._now),))
        return _negated(node) if is_negative or operator == "!=" else node

    def _null(self, field: Field) -> Node:
        is_negative = self._takes("keyword", "not")
        if not self._takes("keyword", "null"):
            raise self._unexpected(
                "`null`" if is_negative else "`null` or `not null`",
                f"with a value: {field.name} {'!=' if is_negative else '='} …",
            )
        return self._is_null(field, is_negative=is_negative)

    def _is_null(self, field: Field, *, is_negative: bool) -> Node:
        if field.name in ("ancestor", "descendant"):
            raise self._error(f"{field.name} is never null", field.at, hint="use: input is null")
        found = IsNull(field)
        return Not(found) if is_negative else found

    def _operator(self, field: Field, *, is_negative: bool) -> str:
        token = self._next
        textual = token.kind == "keyword" and token.text in TEXTUAL
        if not textual and (is_negative or token.kind != "operator"):
            raise self._unexpected("like, contains, startswith, endswith or in"
                                   if is_negative else "a comparison")  # fmt: skip
        operator = _SPELLINGS.get(token.text, token.text)
        check_operator(field, EQUAL if operator == "!=" else operator, self._text, token.at)
        self._take()
        return operator

    def _any_of(self, field: Field, *, is_negative: bool) -> Node:
        check_operator(field, EQUAL, self._text, self._next.at)
        if not self._takes("mark", "("):
            raise self._unexpected("`(` and values")
        operands = [operand(field, EQUAL, self._value(), self._text, self._now)]
        while self._takes("mark", ","):
            operands.append(operand(field, EQUAL, self._value(), self._text, self._now))
        if not self._takes("mark", ")"):
            raise self._unexpected("`,` or `)`")
        node = Test(field, EQUAL, tuple(operands))
        return _negated(node) if is_negative else node

    def _value(self) -> Word:
        token = self._next
        if not token.is_value:
            raise self._unexpected("a value")
        self._values += 1
        if self._values > _VALUE_LIMIT:
            raise self._error(f"a query has at most {_VALUE_LIMIT} values", token.at)
        self._take()
        if token.kind == "quoted":
            unescaped = re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
            return Word(unescaped, token.at, is_quoted=True)
        if '"' in token.text:
            raise self._error("quotes go around the whole value", token.at)
        return Word(token.text, token.at)

    def _lone_value(self, field: Field) -> Word:
        """Return a value behind which the comparison ends."""
        value = self._value()
        end = len(self._text)
        for token in reversed(self._rest):
            if token.kind not in ("word", "time") or token.text.lower() in _FOREIGN:
                end = token.at
                break
        words = self._text[value.at : end].strip()
        if value.is_quoted or words == value.text:
            return value
        word = as_one_word(words)
        if word and field.kind is Kind.TIME and word[0].isdigit():
            word = f"now-{word}"
        hint = (
            f"as one word: {word}" if word else f'texts of several words are quoted: "{words[:60]}"'
        )
        raise self._error(f"`{words[:60]}` is more than one value", value.at, hint=hint)

    # -- tokens ----------------------------------------------------------------------------------

    @property
    def _next(self) -> _Token:
        return self._rest[-1]

    def _take(self) -> _Token:
        return self._rest.pop()

    def _takes(self, kind: str, text: str) -> bool:
        if (self._next.kind, self._next.text) != (kind, text):
            return False
        self._take()
        return True

    def _unexpected(self, expected: str, hint: str | None = None) -> QueryError:
        token = self._next
        foreign = _FOREIGN.get(token.text.lower())
        if token.kind == "keyword" and expected in ("a value", "a field"):
            hint = f'a text that is such a word stands in quotes: "{token.text}"'
        elif foreign:
            hint = f"for {token.text} write: {foreign}"
        elif token.text == ",":
            hint = "between comparisons stands `and`; a value with a comma in it is quoted"
        elif expected == "a comparison":
            hint = f"operators: {_OPERATORS}"
        found = "the end" if token.kind == "end" else f"`{token.text[:60]}`"
        return self._error(f"found {found}, expected {expected}", token.at, hint=hint)

    def _error(self, problem: str, at: int, hint: str | None = None) -> QueryError:
        return QueryError(problem, self._text, at, hint=hint)


def _negated(node: Test) -> Node:
    """Return that a value is there and is another one; lists and inputs are always there."""
    if node.field.kind in (Kind.TEXTS, Kind.REFERENCES):
        return Not(node)
    return And((Not(IsNull(node.field)), Not(node)))
