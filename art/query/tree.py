"""What a query means: tests, and how they go together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What the values of a field are."""

    TEXT = auto()
    KEY = auto()
    ID = auto()
    STATE = auto()
    NUMBER = auto()
    TIME = auto()
    AGE = auto()
    FLAG = auto()
    TEXTS = auto()  # a list of texts, perhaps empty
    REFERENCES = auto()  # ids of versions
    ANY = auto()  # a JSON value, or none


FIELDS = {
    "key": Kind.KEY, "number": Kind.NUMBER, "id": Kind.ID, "type": Kind.TEXT, "state": Kind.STATE,
    "size": Kind.NUMBER, "files": Kind.NUMBER, "created": Kind.TIME, "age": Kind.AGE,
    "author": Kind.TEXT, "title": Kind.TEXT, "description": Kind.TEXT, "tag": Kind.TEXTS,
    "label": Kind.TEXTS, "latest": Kind.FLAG, "input": Kind.REFERENCES,
    "ancestor": Kind.REFERENCES, "descendant": Kind.REFERENCES,
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """What a test is about. `path` leads to a value where the kind is ANY: `("metadata", "acc")`.

    `at` is where it stands in the query; `is_bare` says that only its name makes it a partition.
    """

    name: str
    kind: Kind
    path: tuple[str, ...] = ()
    at: int = 0
    is_bare: bool = False


@dataclass(frozen=True)
class Period:
    """A time as documents write it, from the first instant to before `end`; without `end` it is one
    instant."""

    start: str
    end: str | None = None


@dataclass(frozen=True)
class Value:
    """What a value in a query may be where the field has no type: the text as it stands, and the number
    or truth value that it reads as, where it has no quotes; `word` is what was written where the text is
    the time that it means."""

    text: str
    number: int | float | None = None
    flag: bool | None = None
    word: str = ""


@dataclass(frozen=True)
class Reference:
    """A reference to versions, and, once they are known, their ids."""

    text: str
    at: int
    ids: tuple[str, ...] = ()


Operand = str | int | float | bool | Period | Value | Reference
EQUAL, LIKE, CONTAINS, STARTS, ENDS = "=", "like", "contains", "startswith", "endswith"
TEXTUAL = (LIKE, CONTAINS, STARTS, ENDS)
ORDERS = ("<", "<=", ">", ">=")


@dataclass(frozen=True)
class Test:
    """Whether a field and a value belong together; `=` holds for any of several values.

    It is false where the field has no value. `field` decides the class of the operands.
    """

    __test__ = False  # for pytest, which looks for classes of this name

    field: Field
    operator: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class IsNull:
    """Whether a field has no value."""

    field: Field


@dataclass(frozen=True)
class Not:
    """What does not hold."""

    part: Node


@dataclass(frozen=True)
class And:
    """What holds where all parts do; without parts, always."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """What holds where one of the parts does; without parts, never."""

    parts: tuple[Node, ...]


Node = Test | IsNull | Not | And | Or


@dataclass(frozen=True)
class Query:
    """A query as it was written, and what it means."""

    text: str
    node: Node

    @property
    def fields(self) -> list[Field]:
        """Every field that it asks about."""
        return [test.field for test in tests(self.node)]


def tests(node: Node) -> Iterator[Test | IsNull]:
    """Yield the tests of a tree, from left to right."""
    if isinstance(node, (And, Or)):
        for part in node.parts:
            yield from tests(part)
    elif isinstance(node, Not):
        yield from tests(node.part)
    else:
        yield node


def replaced(node: Node, change: Callable[[Test | IsNull], Node]) -> Node:
    """Return a tree with what `change` makes of each test in its place."""
    if isinstance(node, And):
        return And(tuple(replaced(part, change) for part in node.parts))
    if isinstance(node, Or):
        return Or(tuple(replaced(part, change) for part in node.parts))
    if isinstance(node, Not):
        return Not(replaced(node.part, change))
    return change(node)


def settled(node: Node, paths: Collection[tuple[str, ...]]) -> Node:
    """Return a tree without the tests of what no version has, where these are the paths of all that any
    has: what they come to stands in their place."""

    def change(test: Test | IsNull) -> Node:
        if not test.field.path or test.field.path in paths:
            return test
        return And(()) if isinstance(test, IsNull) else Or(())

    return replaced(node, change)
