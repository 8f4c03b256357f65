"""Classes whose objects are saved, and how to compare objects by more than `==`."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel, computed_field, field_validator

RAN: list[str] = []  # what ran that must not


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"
    ODD = (1, 2)
    ALIAS = 1  # noqa: PIE796


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, enum.Enum):
    A = "a"


class Mode(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Wild(enum.Flag):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        RAN.append("Wild._missing_")
        return super()._missing_(value)


class Point(NamedTuple):
    x: Any
    y: Any = 0


Pair = namedtuple("Pair", "left right")


class Named(Pair):
    def __new__(cls, left: Any, right: Any) -> Named:
        RAN.append("Named.__new__")
        return super().__new__(cls, left, right)


@dataclass
class Plain:
    a: Any
    b: Any = 2
    kept: ClassVar[int] = 3


@dataclass(frozen=True, order=True)
class Frozen:
    a: Any

    def __post_init__(self) -> None:
        RAN.append("Frozen.__post_init__")


@dataclass(slots=True)
class Slotted:
    a: Any
    b: Any = 1


@dataclass(frozen=True, slots=True)
class Deeper(Frozen):
    b: Any = None


@dataclass
class Late:
    a: Any
    computed: Any = field(init=False)
    usual: Any = field(init=False, default=7)

    def __init__(self, a: Any) -> None:
        RAN.append("Late.__init__")
        self.a = a

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("Late.__setattr__")
        object.__setattr__(self, name, value)

    @cached_property
    def twice(self) -> Any:
        return self.a * 2


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    item: T

    class Inner(enum.Enum):
        ONLY = 1


@dataclass
class Guarded:
    a: int

    @property
    def a(self) -> int:  # type: ignore[no-redef]
        return 1

    @a.setter
    def a(self, value: int) -> None:
        RAN.append("Guarded.a")


@dataclass
class Listing(list):  # type: ignore[type-arg]
    a: int = 1


class Money(BaseModel):
    model_config = ConfigDict(frozen=True)
    amount: Any
    currency: str = "EUR"

    @field_validator("currency")
    @classmethod
    def check(cls, value: str) -> str:
        RAN.append("Money.check")
        return value


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")
    lines: list[Money]
    note: Any = None
    _seen: int = PrivateAttr(default=0)

    def model_post_init(self, context: Any) -> None:
        RAN.append("Order.model_post_init")
        super().model_post_init(context)


class Cached(BaseModel):
    a: int

    @computed_field
    @cached_property
    def twice(self) -> int:
        return self.a * 2


class Numbers(RootModel[list[int]]):
    pass


def same(left: Any, right: Any) -> bool:
    """Whether two objects are equal with the types of all their parts, their order, NaN and -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, enum.Enum):
        return left is right
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=False)
        return len(left) == len(right) and all(map(same, *_unzipped(pairs)))
    if isinstance(left, (set, frozenset)):
        return len(left) == len(right) and same(sorted(left, key=order), sorted(right, key=order))
    if isinstance(left, (list, tuple)) or hasattr(left, "maxlen"):
        ends = getattr(left, "maxlen", None) == getattr(right, "maxlen", None)
        return ends and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, BaseModel):
        parts = (
            "__dict__",
            "__pydantic_fields_set__",
            "__pydantic_extra__",
            "__pydantic_private__",
        )
        return all(same(getattr(left, part), getattr(right, part)) for part in parts)
    if dataclasses.is_dataclass(left):
        names = [f.name for f in dataclasses.fields(left)]
        return all(same(getattr(left, n, Ellipsis), getattr(right, n, Ellipsis)) for n in names)
    return _same_single(left, right)


def _unzipped(pairs: Any) -> tuple[list[Any], list[Any]]:
    pairs = list(pairs)
    return [left for left, _ in pairs], [right for _, right in pairs]


def _same_single(left: Any, right: Any) -> bool:
    if getattr(left, "fold", 0) != getattr(right, "fold", 0):
        return False
    if getattr(left, "tzinfo", None) is not None:
        return repr(left) == repr(right)
    if isinstance(left, Decimal):
        return str(left) == str(right)
    return bool(left == right)


def order(value: Any) -> str:
    """Return what a set of different things can be sorted by: with `repr`, but for sets in it."""
    if isinstance(value, frozenset):
        return "frozenset" + ",".join(sorted(map(order, value)))
    if isinstance(value, tuple):
        return "tuple" + ",".join(map(order, value))
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return f"{type(value).__name__}{value!r}"
