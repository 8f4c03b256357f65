"""Whether a value is of the type that a function says: its items, too, in bounded time."""

from __future__ import annotations

import types
import typing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from art.errors import UsageError

_NUMBERS: dict[type, tuple[type, ...]] = {float: (int,), complex: (float, int)}
_COLLECTIONS = (list, tuple, set, frozenset, deque)  # others may be read only once
_MOST = 100_000  # items whose class does not tell, of which so many are looked at
_DEEPEST = 100  # an annotation may refer to itself
_TEXT = 200  # characters of an annotation, or of a key, that are shown

_Items = Iterable[tuple[object, Any]]  # by their place


@dataclass(frozen=True)
class _Wrong:
    """A value that is not of the type that it is to be, and its place in what holds it."""

    value: Any
    place: str = ""


def check_type(value: Any, annotation: Any, where: str) -> None:
    """Raise UsageError where a value is not of a type, with the first thing in it that is not.

    All items are looked at where their class tells, as in `list[int | None]`; where it does not, as in
    `list[list[int]]`, the first 100,000.
    """
    wrong = _Check().wrong(value, annotation)
    if wrong is None:
        return
    inside = f" with {kind_text(wrong.value)} at {wrong.place}" if wrong.place else ""
    raise UsageError(f"{where} {kind_text(value)}{inside}, expected {_type_text(annotation)}")


def kind_text(value: Any) -> str:
    """Return what a value is, as errors say it."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


class _Check:
    """One value that is looked at."""

    def __init__(self) -> None:
        self._left = _MOST
        self._depth = 0

    def wrong(self, value: Any, annotation: Any) -> _Wrong | None:
        """Return what is not of the type, None where nothing is, as far as that can be told."""
        annotation = _bare(annotation)
        origin, parts = get_origin(annotation), get_args(annotation)
        if _is_union(annotation):
            is_any = any(self.wrong(value, each) is None for each in parts)
            return None if is_any else _Wrong(value)
        if origin is Literal:
            is_any = any(value == each and type(value) is type(each) for each in parts)
            return None if is_any else _Wrong(value)
        if typing.is_typeddict(origin or annotation):
            return self._of_fields(value, origin or annotation)
        if not _is_instance(value, origin or annotation):
            return _Wrong(value)
        if not parts or self._depth >= _DEEPEST:
            return None
        self._depth += 1
        try:
            return self._inside(value, origin, parts)
        finally:
            self._depth -= 1

    def _inside(self, value: Any, origin: Any, parts: tuple[Any, ...]) -> _Wrong | None:
        """The same of what a collection holds, where that is not a new one each time."""
        if origin is tuple and ... not in parts:
            if len(value) != len(parts):
                return _Wrong(value)
            return self._of_places(dict(enumerate(value)), dict(enumerate(parts)))
        if isinstance(value, dict) and len(parts) == 2:
            keys = ((key, key) for key in value)
            return self._of_items(keys, parts[0], "key {}") or self._of_items(
                value.items(), parts[1]
            )
        if isinstance(value, _COLLECTIONS) and (len(parts) == 1 or parts[1:] == (...,)):
            return self._of_items(enumerate(value), parts[0])
        return None

    def _of_fields(self, value: Any, annotation: Any) -> _Wrong | None:
        """The same of a TypedDict."""
        fields = typing.get_type_hints(annotation)
        if not isinstance(value, dict) or not (
            annotation.__required_keys__ <= value.keys() <= fields.keys()
        ):
            return _Wrong(value)
        return self._of_places(value, fields)

    def _of_places(self, value: Mapping[Any, Any], parts: Mapping[Any, Any]) -> _Wrong | None:
        """The same where each place has a type of its own."""
        found = (self._of_items([pair], parts[pair[0]]) for pair in value.items())
        return next(filter(None, found), None)

    def _of_items(self, items: _Items, annotation: Any, form: str = "[{}]") -> _Wrong | None:
        for place, item in self._few(items, annotation):
            if wrong := self.wrong(item, annotation):
                return _Wrong(wrong.value, form.format(_cut(repr(place))) + wrong.place)
        return None

    def _few(self, items: _Items, annotation: Any) -> Iterator[tuple[object, Any]]:
        """Yield what is to be looked at: one item of each class where that tells, else the first ones."""
        if _is_told_by_class(annotation):
            by_class: dict[type, tuple[object, Any]] = {}
            for pair in items:
                by_class.setdefault(type(pair[1]), pair)
            yield from by_class.values()
            return
        for pair in items:
            if self._left <= 0:
                return
            self._left -= 1
            yield pair


def _bare(annotation: Any) -> Any:
    """Return what is meant by a type that has a name, a bound, or more than a type."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, TypeVar):
            bounds = annotation.__constraints__ or (annotation.__bound__ or Any,)
            annotation = Union[bounds]  # noqa: UP007 - as many as there are
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _is_told_by_class(annotation: Any) -> bool:
    """Whether the class of a value tells if it is of a type."""
    annotation = _bare(annotation)
    if _is_union(annotation):
        return all(map(_is_told_by_class, get_args(annotation)))
    return not get_args(annotation) and not typing.is_typeddict(annotation)


def _is_instance(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if not isinstance(kind, type) or kind is Any:
        return True
    try:
        is_number = isinstance(value, _NUMBERS.get(kind, ())) and not isinstance(value, bool)
        return isinstance(value, kind) or is_number
    except TypeError:  # a protocol that cannot tell
        return True


def _type_text(annotation: Any) -> str:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    is_class = isinstance(annotation, type) and not get_args(annotation)
    return _cut(annotation.__name__ if is_class else str(annotation))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
