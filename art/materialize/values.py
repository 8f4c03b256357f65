"""What Python has itself, nested as one likes, as JSON.

A value that JSON has looks as it does in any JSON; everything else is a form (see `scalars`). Equal
objects give equal bytes, on every machine: mappings keep their order, sets are sorted by how their items
are written. What other materializers are for lies in folders of its own, `leaves/0` and so on.
"""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from reprlib import Repr
from typing import Any, ClassVar, TypeVar

from art.errors import ArtError, CorruptError
from art.materialize import classes, foreign, scalars
from art.materialize.base import Folder, Materializer, Stream, unequal
from art.materialize.classes import Steps
from art.materialize.inside import checked_name, checked_number, file_in, folder_in
from art.materialize.scalars import TAG, exactly, is_plain, mapping
from art.model import Document

CONTENT = "content.json"
DEPTH_LIMIT = (
    200  # Python's own limit is 1000 calls; a level takes up to three to write and to read
)

_LEAVES = "leaves"
_BYTES_INLINE = 4096  # larger ones lie in a file of their own, where equal parts are kept once
_COLLISIONS = 100
_STEPS = 12  # of a place that are shown
T = TypeVar("T")
KINDS = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}
_NOT_FINITE = {str(number): number for number in (float("inf"), float("-inf"), float("nan"))}
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class Values(Folder):
    """None, numbers, texts, bytes, dates, collections, enums, dataclasses, models of pydantic."""

    name: ClassVar[str] = "value"
    inline_name: ClassVar[str | None] = CONTENT

    def matches(self, cls: type) -> bool:
        """Return whether objects of exactly this class are written here."""
        return cls in KINDS or cls in _SIZED or _form_of(cls) is not None

    def kind_of(self, value: Any) -> str:
        """Return `value` for one number, text, truth value or null, `json` for what JSON has."""
        if type(value) in KINDS:
            return "value"
        return "json" if is_json(value) else "object"

    def preview(self, value: Any) -> Document | None:
        """Return the head of a text, or what is in the object down to some depth."""
        from art import preview

        return preview.of_text(value) if type(value) is str else preview.of_json(value)

    def save(self, value: Any, folder: Path) -> Document:
        """Write `content.json`, and what other materializers are for. Raise UsageError, with the place
        inside the object, where something would not come back equal."""
        encoder = _Encoder(folder)
        if type(value) in KINDS:
            text = scalar_text(value)
        else:
            text = _json_text(value) if _is_json_only(value) else encoder.text(value)
        (folder / CONTENT).write_bytes(text.encode())
        return _format(value) | ({"keeps": True} if encoder.keeps else {})

    def load(self, folder: Path, format: Document) -> Any:
        """Return the object. Raise CorruptError where the files are not what `save` writes,
        NotFoundError where the module of a class is not imported, ConflictError where a class has
        changed since."""
        data = file_in(folder, CONTENT).read_bytes()
        value = _Decoder(folder).whole(data)
        kind = format.get("kind")
        if kind == "float" and type(value) is str:
            value = _NOT_FINITE.get(value)
        if kind is not None and KINDS.get(type(value)) != kind:
            raise CorruptError(f"{CONTENT} holds no {kind}, as its manifest says")
        return value

    def keeps(self, format: Document) -> bool:
        """Return whether there are paths in the object."""
        return format.get("keeps") is True


def text_of(value: Any) -> str:
    """Return the JSON text of an object, for `decode`. Raise UsageError where it would not come back equal,
    or takes files."""
    return json.dumps(_Encoder(None).whole(value), ensure_ascii=False)


def decode(data: bytes) -> Any:
    """Return the object in a `content.json` beside which there are no other files. Raise CorruptError."""
    return _Decoder(Path(os.devnull)).whole(data)


def scalar_text(value: object) -> str:
    """Return the text for a number, text, truth value or null."""
    if isinstance(value, float) and not is_plain(value):
        return json.dumps(str(value))  # which it is, the format says
    return json.dumps(_scalar(value), ensure_ascii=False)


def is_json(value: object) -> bool:
    """Whether JSON has this itself: lists, and mappings whose keys are texts, of what it has."""
    left, seen = [value], set()
    while left:
        item = left.pop()
        if type(item) in (list, dict):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, dict):
                if not all(type(key) is str and key != TAG and is_plain(key) for key in item):
                    return False
                item = item.values()
            left.extend(item)  # type: ignore[arg-type]
        elif not is_plain(item):
            return False
    return True


def _is_json_only(value: Any) -> bool:
    """Whether a value stands in JSON as it is, which it need not be walked through for."""
    from art.materialize.registry import find

    if {find([]).name, find({}).name} != {Values.name}:
        return False
    level: dict[int, Any] = {id(value): value}
    for _ in range(DEPTH_LIMIT):
        if not level:
            return is_json(value)
        level = {
            id(item): item
            for each in level.values()
            if type(each) in (list, dict)
            for item in (each.values() if type(each) is dict else each)
            if type(item) not in KINDS
        }
    return False


def _json_text(made: Any) -> str:
    return _with_whole_stack(lambda: json.dumps(made, ensure_ascii=False, indent=2)) + "\n"


def _format(value: Any) -> Document:
    kind = KINDS.get(type(value))
    if kind is not None:
        return {"name": "json", "kind": kind}
    if is_json(value):
        return {"name": "json"}
    about: Document = {"name": "json", "class": classes.name_of(type(value))}
    about["class"] = about["class"].removeprefix("builtins:")
    if type(value) in _SIZED:
        about["length"] = len(value)
    return about


def _scalar(value: Any) -> Any:
    cls = type(value)
    if cls is str:
        return scalars.text(value)
    if cls is int:
        return scalars.integer(value)
    return scalars.real(value) if cls is float else value


def _with_whole_stack(function: Callable[[], T]) -> T:
    """Return what a function returns that nests calls, where little is left of the stack too."""
    try:
        return function()
    except RecursionError:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function).result()


# -- writing -----------------------------------------------------------------------------------------


class _Encoder:
    """Makes JSON of one object. What JSON cannot hold goes into files below `folder`, if there is one."""

    def __init__(self, folder: Path | None) -> None:
        self.keeps = False
        self._folder = folder
        self._count = 0  # of files and folders made
        self._place: list[Any] = []  # where in the object the encoder is
        self._open: set[int] = set()  # ids of what it is in
        self._sets = 0  # how many of these are sets
        self._others: dict[type, Materializer | None] = {}
        self._writers: dict[type, Callable[[Any], Steps]] = {}

    def text(self, value: Any) -> str:
        """Return the JSON text of a whole object."""
        return _json_text(self.whole(value))

    def whole(self, value: Any) -> Any:
        """Return how a whole object stands in JSON. An error says at which place in it."""
        try:
            return self._walk(value)
        except ArtError as error:
            if not self._place:
                raise
            place = [str(step) for step in self._place]
            if len(place) > _STEPS:
                place[_STEPS // 2 : -_STEPS // 2] = ["…"]
            message = f"at {''.join(place)}: {error.message}"
            raise type(error)(message, hint=error.hint) from error

    def _walk(self, value: Any) -> Any:
        """Take the steps through an object, and through what is in it as they come to that."""
        walks = [(value, self._enter(value))]
        made = None
        while True:
            value, steps = walks[-1]
            try:
                place, inner = steps.send(made)
            except StopIteration as end:
                made = end.value
                self._open.discard(id(value))
                walks.pop()
                if not walks:
                    return made
                self._place.pop()
                continue
            if type(inner) in KINDS:
                made = _scalar(inner)
            else:
                made = None
                self._place.append(place)
                walks.append((inner, self._enter(inner)))

    def _enter(self, value: Any) -> Steps:
        """Return the steps through an object."""
        if id(value) in self._open:
            raise unequal(value, "it holds itself")
        if len(self._place) > DEPTH_LIMIT:
            raise unequal(value, f"it is nested deeper than {DEPTH_LIMIT} levels")
        self._open.add(id(value))
        cls = type(value)
        other = self._other(cls, value) if self._place else None
        if other is not None:
            return self._leaf(other, value)
        if cls in (bytes, bytearray) and len(value) > _BYTES_INLINE and not self._sets:
            return self._bytes(cls, value)
        if cls in (set, frozenset):
            return self._set(cls, value)
        writer = self._writers.get(cls)
        if writer is None:
            writer = self._writers[cls] = _writer_of(cls)
        return writer(value)

    def _set(self, cls: type, values: Collection[Any]) -> Steps:
        """Return how a set stands in JSON: its items in the order of how they do."""
        _refuse_collisions(values)
        self._sets += 1
        items = []
        for value in values:
            items.append((yield "{…}", value))
        self._sets -= 1
        items.sort(key=lambda item: json.dumps(item, separators=(",", ":")))
        return {TAG: cls.__name__, "items": items}

    # -- files

    def _other(self, cls: type, value: Any) -> Materializer | None:
        """Return the materializer for something inside the object, None where it is this one."""
        from art.materialize.registry import find, is_state

        if is_state(value):
            return find(value)
        if cls not in self._others:
            found = find(value, is_part=True)
            is_own = found.name == Values.name
            is_own = is_own or (found.name == "numpy" and foreign.form_of(cls) is not None)
            self._others[cls] = None if is_own else found
        return self._others[cls]

    def _leaf(self, materializer: Materializer, value: Any) -> Steps:
        self._refuse_in_set(value)
        number, folder = self._next(value)
        folder.mkdir()
        entry: Document = {TAG: "leaf", "materializer": materializer.name, "number": number}
        if isinstance(materializer, Stream):
            entry["file"] = materializer.filename(value)
            with (folder / entry["file"]).open("xb") as stream:
                format = materializer.write(value, stream)
        else:
            assert isinstance(materializer, Folder)
            format = materializer.save(value, folder)
            self.keeps = self.keeps or materializer.keeps(format)
        return {**entry, "format": (yield ".format", format)}

    def _bytes(self, cls: type, value: bytes | bytearray) -> Steps:
        """Return the form of bytes that lie in a file."""
        number, path = self._next(value)
        path.write_bytes(value)
        return {TAG: cls.__name__, "number": (yield "", number)}

    def _next(self, value: Any) -> tuple[str, Path]:
        if self._folder is None:
            raise unequal(value, "it takes a file of its own, for which there is no room here")
        folder = self._folder / _LEAVES
        folder.mkdir(exist_ok=True)
        number = str(self._count)
        self._count += 1
        return number, folder / number

    def _refuse_in_set(self, value: Any) -> None:
        if self._sets:
            raise unequal(
                value, "it takes files, and a set has no order to number them by", hint="use a list"
            )


class _Key:
    """A key or an index as a step of a place; shortened, and only where it is shown."""

    def __init__(self, key: object) -> None:
        self._key = key

    def __str__(self) -> str:
        return f"[{_SHORT.repr(self._key)}]"


def _items(values: Iterable[Any]) -> Steps:
    """Return how the items of a sequence stand in JSON."""
    made = []
    for index, value in enumerate(values):
        made.append(_scalar(value) if type(value) in KINDS else (yield _Key(index), value))
    return made


def _pairs(value: dict[Any, Any]) -> Steps:
    """Return how keys and values of a mapping stand in JSON, in order."""
    made = []
    for index, (key, item) in enumerate(value.items()):
        written = scalars.text(key) if type(key) is str else (yield f".keys()[{index}]", key)
        made.append((written, (yield _Key(key), item)))
    return made


def _write_dict(value: dict[Any, Any]) -> Steps:
    _refuse_collisions(value)
    return mapping((yield from _pairs(value)))


def _write_tuple(value: tuple[Any, ...]) -> Steps:
    return {TAG: "tuple", "items": (yield from _items(value))}


def _write_deque(value: Any) -> Steps:
    bound = {} if value.maxlen is None else {"maxlen": value.maxlen}
    return {TAG: "deque", "items": (yield from _items(value)), **bound}


def _write_items(value: Any) -> Steps:
    _refuse_collisions(value)
    if beyond := getattr(value, "__dict__", None):
        raise unequal(value, f"it has attributes beyond its items: {', '.join(beyond)}")
    items = list(map(list, (yield from _pairs(value))))
    return {TAG: type(value).__name__, "items": items}


def _write_defaultdict(value: Any) -> Steps:
    factory = next((n for n, f in _FACTORIES.items() if f is value.default_factory), None)
    if factory is None:
        raise unequal(
            value,
            f"its factory {_SHORT.repr(value.default_factory)} is none of {', '.join(_FACTORIES)}",
            hint="save dict(…) of it",
        )
    return {**(yield from _write_items(value)), "factory": factory}


# What makes the values of a defaultdict: only what Python has itself is found again.
_FACTORIES: dict[str, Any] = {
    each.__name__: each
    for each in (list, dict, set, tuple, frozenset, int, float, complex, bool, str, bytes)
} | {"None": None}


_CONTAINERS: dict[type, Callable[[Any], Steps]] = {
    list: _items,
    dict: _write_dict,
    tuple: _write_tuple,
    deque: _write_deque,
    OrderedDict: _write_items,
    Counter: _write_items,
    defaultdict: _write_defaultdict,
}
_SIZED = {*_CONTAINERS, set, frozenset, bytes, bytearray}


def _refuse_collisions(value: Collection[Any]) -> None:
    """Raise UsageError where reading would take this for an attack."""
    if _collide(value):
        raise unequal(value, f"more than {_COLLISIONS} of its keys have the same hash")


def _collide(keys: Collection[Any]) -> bool:
    """Whether so many keys have one hash that making a set of them takes time that grows with the
    square of their number. Hashes of texts cannot be foreseen."""
    if len(keys) <= _COLLISIONS:
        return False
    counts = Counter(hash(key) for key in keys if type(key) is not str)
    return max(counts.values(), default=0) > _COLLISIONS


def _writer_of(cls: type) -> Callable[[Any], Steps]:
    """Return what gives the steps through objects of a class."""
    if cls in _CONTAINERS:
        return _CONTAINERS[cls]
    form = _form_of(cls)

    def write(value: Any) -> Steps:
        if isinstance(form, classes.ClassForm):
            return {TAG: form.tag, **(yield from form.write(value))}
        assert form is not None
        return {TAG: form.tag, **form.write(value)}

    return write


def _form_of(cls: type) -> scalars.Form | classes.ClassForm | None:
    return scalars.form_of(cls) or foreign.form_of(cls) or classes.form_of(cls)


# -- reading -----------------------------------------------------------------------------------------


class _Decoder:
    """Makes one object of JSON, from the innermost parts outwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[str, Callable[..., Any]] = {
            "bytes": self._bytes,
            "bytearray": lambda **fields: bytearray(self._bytes(**fields)),
            "leaf": self._leaf,
            "tuple": lambda items: tuple(exactly(list, items)),
            "set": _read_set,
            "frozenset": lambda items: frozenset(_read_set(items)),
            "dict": _read_dict,
            "OrderedDict": _read_ordered,
            "Counter": lambda items: Counter(_read_dict(items)),
            "defaultdict": _read_defaultdict,
            "deque": _read_deque,
        }

    def whole(self, data: bytes) -> Any:
        """Return the object of a whole file."""
        try:
            return _with_whole_stack(lambda: self._parse(data.decode()))
        except ArtError:
            raise
        except RecursionError:
            raise _corrupt("it is nested too deeply") from None
        except ValueError as error:
            raise _corrupt(str(error)) from None

    def _parse(self, text: str) -> Any:
        return json.loads(
            text,
            object_pairs_hook=self._object,
            parse_int=scalars.parse_integer,
            parse_constant=_refuse_constant,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _corrupt("a key stands twice in an object")
        if TAG not in found:
            return found
        tag = found.pop(TAG)
        try:
            return self._reader(exactly(str, tag))(**found)
        except ArtError:
            raise
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
            raise _corrupt(f"a form {_SHORT.repr(tag)} is wrong ({error})") from None

    def _reader(self, tag: str) -> Callable[..., Any]:
        reader = self._readers.get(tag)
        if reader is None:
            form = scalars.form_named(tag) or foreign.form_named(tag) or classes.form_named(tag)
            if form is None:
                raise ValueError("nothing is called so")
            reader = form.read
        return reader

    def _bytes(self, base64: str | None = None, number: str | None = None) -> bytes:
        if (base64 is None) == (number is None):
            raise ValueError("its bytes must be in one place")
        if base64 is not None:
            return scalars.from_base64(base64)
        return file_in(self._folder, _LEAVES, checked_number(number)).read_bytes()

    def _leaf(
        self, materializer: str, number: str, format: Document, file: str | None = None
    ) -> Any:
        from art.materialize.registry import named

        if exactly(str, materializer) in ("pickle", Values.name):
            raise ValueError(f"a {materializer} cannot be inside another object")
        found = named(materializer)
        if isinstance(found, Stream) != (file is not None):
            raise ValueError(f"{materializer} has one file or a folder of them")
        exactly(dict, format)
        parts = (_LEAVES, checked_number(number))
        if isinstance(found, Stream):
            with file_in(self._folder, *parts, checked_name(file)).open("rb") as stream:
                return found.read(stream, format)
        assert isinstance(found, Folder)
        return found.load(folder_in(self._folder, *parts), format)


def _read_set(items: list[Any]) -> set[Any]:
    if _collide(exactly(list, items)):
        raise ValueError("too many items have one hash")
    made = set(items)
    if len(made) != len(items):
        raise ValueError("an item stands twice")
    return made


def _read_dict(items: list[Any]) -> dict[Any, Any]:
    pairs = list(map(_pair, exactly(list, items)))
    if _collide([key for key, _ in pairs]):
        raise ValueError("too many keys have one hash")
    made = dict(pairs)
    if len(made) != len(items):
        raise ValueError("a key stands twice")
    return made


def _pair(item: Any) -> tuple[Any, Any]:
    key, value = exactly(list, item)
    return key, value


def _read_ordered(items: list[Any]) -> Any:
    return OrderedDict(_read_dict(items))


def _read_defaultdict(items: list[Any], factory: str) -> Any:
    return defaultdict(_FACTORIES[exactly(str, factory)], _read_dict(items))


def _read_deque(items: list[Any], maxlen: int | None = None) -> Any:
    if maxlen is not None and exactly(int, maxlen) < len(exactly(list, items)):
        raise ValueError("it is longer than it can be")
    return deque(exactly(list, items), maxlen)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _corrupt(what: str) -> CorruptError:
    return CorruptError(f"{CONTENT} is damaged: {what}", hint="art doctor")
