"""Python's own values: what comes back, how it looks, what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import math
import os
import random
import string
import subprocess
import sys
import tempfile
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, Generic
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art import typed
from art.errors import ArtError, ConflictError, CorruptError, NotFoundError, UsageError
from art.materialize import Folder, Stream, find, named, registry
from art.materialize.values import DEPTH_LIMIT
from tests.materialize import shapes
from tests.materialize.shapes import (
    RAN,
    Bits,
    Box,
    Colour,
    Deeper,
    Frozen,
    Late,
    Level,
    Mode,
    Money,
    Named,
    Numbers,
    Order,
    Pair,
    Plain,
    Point,
    Slotted,
    T,
    Word,
    same,
)

VALUES: Any = named("value")


def save(value: object, folder: Path | None = None) -> tuple[Path, dict[str, Any]]:
    folder = Path(tempfile.mkdtemp()) if folder is None else folder
    materializer: Any = find(value)
    assert materializer.name == "value"
    return folder, materializer.save(value, folder)


def text_of(value: object) -> str:
    folder, _ = save(value)
    return (folder / "content.json").read_text("utf-8")


def back(value: object) -> Any:
    folder, format = save(value)
    return VALUES.load(folder, format)


def load(text: str | bytes, format: dict[str, Any] | None = None) -> Any:
    folder = Path(tempfile.mkdtemp())
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    (folder / "content.json").write_bytes(data)
    return VALUES.load(folder, format or {"name": "json"})


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is saved lie in the folder of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


# -- what comes back ---------------------------------------------------------------------------------

ZONES = st.one_of(
    st.none(),
    st.just(timezone.utc),
    st.sampled_from(["Europe/Vienna", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]).map(
        ZoneInfo
    ),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    st.text(max_size=5).map(lambda name: timezone(timedelta(hours=1), name)),
)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8) | st.text(
    string.printable, max_size=8
)
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**3000), 2**3000),
    st.floats(),
    st.complex_numbers(),
    TEXTS,
    st.sampled_from(["$art", "\ud83d\ude00", "\ud800", "", "\x00", "\u2028\x85\x7f\ufeff"]),
    st.binary(max_size=20),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.fractions(),
    st.dates(),
    st.times(timezones=ZONES),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.datetimes().map(lambda moment: moment.replace(fold=1)),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Colour, *Level, *Word, Mode.READ | Mode.RUN, Mode(0), Bits.ONE | Bits.TWO]),
    st.just(Box.Inner.ONLY),
)
KEYS = st.recursive(
    HASHABLE,
    lambda inner: (
        st.tuples(inner, inner)
        | st.frozensets(inner, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(Frozen, inner)
    ),
    max_leaves=5,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict),
        st.sets(KEYS, max_size=4),
        st.lists(inner, max_size=4).map(deque),
        st.lists(inner, max_size=4).map(lambda items: deque(items, 4)),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(Named, inner, inner),
        st.builds(Plain, inner, inner),
        st.builds(Slotted, inner),
        st.builds(Deeper, inner, inner),
        st.builds(Box, inner),
        st.builds(Money, amount=inner),
        st.builds(Order, lines=st.lists(st.builds(Money, amount=inner), max_size=2), other=inner),
    )


OBJECTS = st.recursive(
    HASHABLE | st.binary(max_size=9).map(bytearray) | st.just(Decimal("sNaN12")),
    containers,
    max_leaves=15,
)


@given(OBJECTS)
def test_what_comes_back_equals_what_was_saved_with_all_its_types(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, format = save(value, Path(folder))
        loaded = VALUES.load(path, format)
        assert same(loaded, value)
        with tempfile.TemporaryDirectory() as again:
            assert VALUES.save(loaded, Path(again)) == format
            assert (Path(again) / "content.json").read_bytes() == (
                path / "content.json"
            ).read_bytes()


SINGLE = {
    "a NaN": float("nan"),
    "a zero below zero": -0.0,
    "a complex zero below zero": complex(-0.0, float("-inf")),
    "the largest number that stands plain": 2**2048 - 1,
    "a number beyond": -(2**2048),
    "a number that Python has no text for": 7 ** (10**5),
    "two halves that would join": "\ud83d\ude00",
    "half a character": "a\udcff",
    "a Decimal with zeros at its end": Decimal("1.500"),
    "a Decimal below zero": Decimal("-0E+7"),
    "a Decimal that signals": Decimal("-sNaN123"),
    "a large Decimal": Decimal("1E+999999"),
    "one hour of two": datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Vienna"), fold=1),
    "an offset of seconds": time(1, 2, 3, 4, timezone(timedelta(seconds=-1, microseconds=5))),
    "an offset with a name": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "")),
    "a zone": ZoneInfo("Asia/Kathmandu"),
    "the first moment": datetime.min,  # noqa: DTZ901
    "the longest time": timedelta.max,
    "nothing in it": [{}, [], (), set(), frozenset(), b"", "", OrderedDict(), deque()],
    "a deque of none": deque(maxlen=0),
    "keys that nearly are the same": {
        1: "a",
        "1": "b",
        (1,): "c",
        None: "d",
        "None": "e",
        1.5: "f",
    },
    "two NaN": {float("nan"), float("nan")},
    "a key of the form": {"$art": "tuple", "items": [1, 2]},
    "a form in a form": [{"$art": {"$art": []}}],
    "a field of the form": Order(lines=[], **{"$art": 1, "ä": 2}),
    "an inner class": Box.Inner.ONLY,
    "many bytes": {"a": b"\x00\xff" * 5000, "b": bytearray(b"x" * 5000)},
    "many bytes in a set": {b"\x00\xff" * 5000, b"\x01" * 5000},
    "a model of a list": Numbers([1, 2]),
    "a model whose rules are broken": Money.model_construct(amount=1, currency=5),
    "a model that lacks a field": Money.model_construct(currency="USD"),
}


@pytest.mark.parametrize("value", SINGLE.values(), ids=SINGLE.keys())
def test_what_is_easily_lost_comes_back(value: Any) -> None:
    assert same(back(value), value)


def test_all_of_a_list_is_compared_by_type_in_these_tests() -> None:
    different = [1, True, 1.0, "1", Decimal(1), (1,), [1], {1}, frozenset({1}), -0.0, 0.0, None]
    for number, left in enumerate(different):
        assert [same(left, right) for right in different].index(True) == number
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_a_number_needs_no_limit_of_digits() -> None:
    code = (
        "import sys, tempfile, pathlib; sys.set_int_max_str_digits(640)\n"
        "from art.materialize import find\n"
        "for v in (2**2048 - 1, 10**5000):\n"
        "    d = pathlib.Path(tempfile.mkdtemp()); m = find(v)\n"
        "    assert m.load(d, m.save(v, d)) == v"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_decimal_does_not_depend_on_the_context() -> None:
    with localcontext() as context:
        context.prec = 2
        assert str(back(Decimal("3.14159"))) == "3.14159"


def test_nothing_of_a_class_runs_on_loading() -> None:
    late = Late(1)
    late.computed = 5
    value = [late, Frozen(1), Named(1, 2), Money(amount=1), Order(lines=[Money(amount=2)], more=3)]
    value[4]._seen = 9
    folder, format = save(value)
    RAN.clear()
    loaded = VALUES.load(folder, format)

    assert RAN == []
    assert same(loaded, value)
    assert (loaded[4]._seen, loaded[4].more, loaded[4].model_fields_set) == (
        9,
        3,
        {"lines", "more"},
    )


def test_a_field_without_a_value_has_none_again_and_one_of_the_class_its_own() -> None:
    late = Late(1)
    assert late.twice == 2  # what is cached can be computed again
    loaded = back(late)
    assert not hasattr(loaded, "computed")
    assert vars(loaded) == {"a": 1, "usual": 7}


def test_what_is_shared_comes_back_equal() -> None:
    shared = [1]
    assert back([shared, shared, {"a": shared}]) == [[1], [1], {"a": [1]}]


# -- how it looks ------------------------------------------------------------------------------------

PLAIN = [{"a": 1}, [1, 2.5, None, True, "ä"], {"a": {"b": [{}]}, "": []}, [], {}, 10**30, -0.0]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_what_json_has_is_written_as_json(value: Any) -> None:
    assert json.loads(text_of(value)) == value


@pytest.mark.parametrize("value", [v for v in PLAIN if isinstance(v, (dict, list))], ids=repr)
def test_json_is_the_same_as_repo_json_writes(value: Any) -> None:
    assert (text_of(value), save(value)[1]) == (typed.json_text(value), {"name": "json"})
    assert VALUES.kind_of(value) == "json"


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 10**30, 10**700, 1.5, math.inf, math.nan, "ä\n"],
    ids=lambda v: str(v)[:40],
)
def test_a_value_is_the_same_as_repo_value_writes(value: Any) -> None:
    kind, text = typed.value_text(value)
    assert (text_of(value), save(value)[1]) == (text, {"name": "json", "kind": kind})
    assert VALUES.kind_of(value) == "value"


def test_what_json_has_not_stands_as_a_form() -> None:
    assert json.loads(text_of({"a": (1, {2})})) == {
        "a": {"$art": "tuple", "items": [1, {"$art": "set", "items": [2]}]}
    }
    assert json.loads(text_of({"$art": 1})) == {"$art": "dict", "items": [["$art", 1]]}
    assert json.loads(text_of([math.inf, date(2026, 11, 21), Colour.RED])) == [
        {"$art": "float", "value": "inf"},
        {"$art": "date", "value": "2026-11-21"},
        {"$art": "enum", "type": "tests.materialize.shapes:Colour", "member": "RED", "value": 1},
    ]


@pytest.mark.parametrize(
    ("value", "kind", "format"),
    [
        ((1, 2), "object", {"class": "tuple", "length": 2}),
        ({1: 2}, "object", {"class": "dict", "length": 1}),
        ({"$art": 1}, "object", {"class": "dict", "length": 1}),
        (b"abc", "object", {"class": "bytes", "length": 3}),
        (Decimal(1), "object", {"class": "decimal:Decimal"}),
        (Plain(1), "object", {"class": "tests.materialize.shapes:Plain"}),
    ],
    ids=str,
)
def test_the_format_says_what_people_want_to_know(
    value: Any, kind: str, format: dict[str, Any]
) -> None:
    assert VALUES.kind_of(value) == kind
    assert save(value)[1] == {"name": "json", **format}


def test_sets_are_written_in_one_order() -> None:
    items: list[Any] = [
        1,
        "1",
        (1,),
        2.5,
        frozenset({"b", "a"}),
        None,
        Colour.RED,
        *string.ascii_letters,
    ]
    texts = set()
    for _ in range(5):
        random.shuffle(items)
        texts.add(text_of(set(items)))
    assert len(texts) == 1


def test_every_process_writes_the_same_bytes() -> None:
    code = (
        "import sys, tempfile, pathlib\n"
        "from art.materialize import find\n"
        "v = {'s': set('abcdefgh'), 'f': frozenset({('x', 1), ('y', frozenset('pqr'))})}\n"
        "d = pathlib.Path(tempfile.mkdtemp()); find(v).save(v, d)\n"
        "sys.stdout.write((d / 'content.json').read_text())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(texts) == 1


def test_an_int_is_saved_without_anything_heavy() -> None:
    code = (
        "import sys, tempfile, pathlib\n"
        "from art.materialize import find\n"
        "d = pathlib.Path(tempfile.mkdtemp()); m = find(7); m.load(d, m.save(7, d))\n"
        "heavy = {'numpy', 'pandas', 'polars', 'pyarrow', 'pydantic', 'PIL', 'torch', 'yaml', 'rich',\n"
        "    'fsspec', 'decimal', 'uuid', 'zoneinfo', 'pickle', 'matplotlib', 'sklearn', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_previews_show_texts_and_structures() -> None:
    assert VALUES.preview("some words")["text"] == "some words"
    assert VALUES.preview({"a": (1, 2)})["value"] == {"a": [1, 2]}


# -- what is refused ---------------------------------------------------------------------------------


class Text(str):
    pass


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_what_would_come_back_as_its_base_is_refused_with_its_place() -> None:
    for value, place in [
        ({"a": [1, 2, 3, Text("x")]}, "at ['a'][3]: "),
        ({Text("x"): 1}, "at .keys()[0]: "),
        ({("k", 1): Plain(Point(1, Text("x")))}, "at [('k', 1)].a.y: "),
        ([{Text("x")}], "at [0]{…}: "),
        (Text("x"), ""),
    ]:
        with pytest.raises(UsageError) as caught:
            save(value)
        assert caught.value.message.startswith(place)
        assert "would come back as its base" in caught.value.message


REFUSED: dict[str, tuple[Any, str]] = {
    "a function": ([len], "at [0]: there is no materializer for builtin_function_or_method"),
    "an object of a local class": ([object()], "at [0]: there is no materializer for object"),
    "a number of decimals too many": (Fraction(1, 2**200_000), "its parts have more than"),
    "a property as a field": (shapes.Guarded(1), "its field a is a property, which runs code"),
    "a dataclass that is a list": (shapes.Listing(), "cannot be made anew"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_come_back_is_refused(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        save(value)
    assert message in caught.value.message


def test_keys_that_nearly_all_collide_are_refused_as_reading_would_refuse_them() -> None:
    many = [n * sys.hash_info.modulus for n in range(1, 200)]
    assert back({*many[:90], *range(10_000)}) == {*many[:90], *range(10_000)}
    for value in (set(many), frozenset(many), dict.fromkeys(many), OrderedDict.fromkeys(many)):
        with pytest.raises(UsageError, match="have the same hash"):
            save(value)


def test_what_a_model_can_compute_again_is_not_kept() -> None:
    value = shapes.Cached(a=2)
    assert value.twice == 4
    loaded = back(value)
    assert "twice" not in vars(loaded)
    assert (loaded, loaded.twice) == (shapes.Cached(a=2), 4)


def test_a_flag_that_makes_unions_in_its_own_way_is_refused_where_that_would_run() -> None:
    assert back(shapes.Wild.A) is shapes.Wild.A
    text = text_of(shapes.Wild.A)
    with pytest.raises(ConflictError):
        load(text.replace('"value": 1', '"value": 3'))


def test_a_place_that_is_long_is_shortened() -> None:
    with pytest.raises(UsageError) as caught:
        save(deep(10_000))
    assert len(caught.value.message) < 200


def test_attributes_beyond_the_fields_are_refused() -> None:
    plain, pair, ordered, money = Plain(1), Named(1, 2), OrderedDict(a=1), Order(lines=[])
    plain.more = pair.more = ordered.more = 1  # type: ignore[attr-defined]
    vars(money)["beyond"] = 1
    for value in (plain, pair, ordered, money):
        with pytest.raises(UsageError, match="it has attributes.*: (more|beyond)"):
            save(value)


def test_a_class_that_cannot_be_found_by_its_name_is_refused() -> None:
    @dataclasses.dataclass
    class Local:
        a: int

    with pytest.raises(UsageError, match="define it at the top of a module|its class is not found"):
        save(Local(1))


def test_a_zone_that_has_no_key_is_refused(tmp_path: Path) -> None:
    import zoneinfo

    for root in zoneinfo.TZPATH:
        if (path := Path(root, "Europe/Vienna")).is_file():
            with path.open("rb") as stream:
                zone = ZoneInfo.from_file(stream)
            with pytest.raises(UsageError, match="without a usual key"):
                save(datetime(2026, 1, 1, tzinfo=zone))
            return
    pytest.skip("this system has no time zones of its own")


def test_an_object_that_holds_itself_is_refused() -> None:
    cycle: list[Any] = [1]
    cycle.append({"a": (cycle,)})
    plain = Plain(None)
    plain.a = [plain]
    with pytest.raises(UsageError, match=r"at \[1\]\['a'\]\[0\]: .*it holds itself"):
        save(cycle)
    with pytest.raises(UsageError, match=r"at \.a\[0\]: .*it holds itself"):
        save(plain)


def test_deep_nesting_comes_back_or_is_refused() -> None:
    assert back(deep(DEPTH_LIMIT)) == deep(DEPTH_LIMIT)
    value: Any = 1
    for level in range(DEPTH_LIMIT - 1):
        value = {level: value} if level % 2 else Plain(value)
    assert same(back(value), value)
    for levels in (DEPTH_LIMIT + 2, 10_000):
        with pytest.raises(UsageError, match="nested deeper than"):
            save(deep(levels))


def test_deep_nesting_comes_back_where_little_is_left_of_the_stack() -> None:
    def at_depth(levels: int) -> None:
        if levels:
            at_depth(levels - 1)
        else:
            assert back(deep(DEPTH_LIMIT))

    at_depth(sys.getrecursionlimit() - len(inspect.stack(0)) - 100)


# -- classes that changed ----------------------------------------------------------------------------


def test_a_class_whose_module_is_not_imported_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('it ran')")
    sys.path.insert(0, str(tmp_path))
    try:
        for form in ("dataclass", "pydantic", "namedtuple"):
            with pytest.raises(NotFoundError) as caught:
                load(
                    json.dumps(
                        {"$art": form, "type": "evil_module:C", "fields": {}, **SET.get(form, {})}
                    )
                )
            assert str(caught.value.hint).startswith("import evil_module first")
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_module" not in sys.modules


SET: dict[str, Any] = {"pydantic": {"set": []}}
SHAPES = "tests.materialize.shapes"
CHANGED = {
    "a field more": ("dataclass", {"type": f"{SHAPES}:Plain", "fields": {"a": 1}}),
    "a field less": ("dataclass", {"type": f"{SHAPES}:Plain", "fields": {"a": 1, "b": 2, "c": 3}}),
    "another order": ("namedtuple", {"type": f"{SHAPES}:Point", "fields": {"y": 1, "x": 2}}),
    "another field of a model": (
        "pydantic",
        {"type": f"{SHAPES}:Numbers", "fields": {"x": 1}, "set": []},
    ),
    "no extra now": (
        "pydantic",
        {
            "type": f"{SHAPES}:Money",
            "fields": {"amount": 1, "currency": ""},
            "set": [],
            "extra": {},
        },
    ),
    "a private attribute less": (
        "pydantic",
        {
            "type": f"{SHAPES}:Order",
            "fields": {"lines": [], "note": 1},
            "set": [],
            "extra": {},
            "private": {"_x": 1},
        },
    ),
    "no dataclass": ("dataclass", {"type": "subprocess:Popen", "fields": {"args": "true"}}),
    "no model": ("pydantic", {"type": f"{SHAPES}:Plain", "fields": {"a": 1, "b": 2}, "set": []}),
    "no named tuple": ("namedtuple", {"type": "builtins:tuple", "fields": {}}),
    "no enum": ("enum", {"type": f"{SHAPES}:Plain", "member": "a"}),
    "no flag": ("flag", {"type": f"{SHAPES}:Colour", "value": 1}),
    "no member": ("enum", {"type": f"{SHAPES}:Colour", "member": "BLUE", "value": 1}),
    "a method as a member": ("enum", {"type": f"{SHAPES}:Colour", "member": "__class__"}),
    "another value": ("enum", {"type": f"{SHAPES}:Colour", "member": "RED", "value": 2}),
    "a value of another type": (
        "enum",
        {"type": f"{SHAPES}:Colour", "member": "RED", "value": True},
    ),
    "a value that was none": ("enum", {"type": f"{SHAPES}:Colour", "member": "RED"}),
    "a field that would run": ("dataclass", {"type": f"{SHAPES}:Guarded", "fields": {"a": 1}}),
    "a union that code of its own makes": ("flag", {"type": f"{SHAPES}:Wild", "value": 3}),
    "a flag beyond": ("flag", {"type": f"{SHAPES}:Mode", "value": 1 << 100}),
    "a class that needs more": ("dataclass", {"type": f"{SHAPES}:Listing", "fields": {"a": 1}}),
}


@pytest.mark.parametrize(("form", "fields"), CHANGED.values(), ids=CHANGED.keys())
def test_a_class_that_is_not_what_it_was_is_an_error(form: str, fields: dict[str, Any]) -> None:
    RAN.clear()
    with pytest.raises(ConflictError):
        load(json.dumps({"$art": form, **fields}))
    assert RAN == []


@pytest.mark.parametrize(
    "name", ["os:path", "os:system", f"{SHAPES}:nope", f"{SHAPES}:Box.nope", f"{SHAPES}"]
)
def test_what_is_no_class_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        load(json.dumps({"$art": "dataclass", "type": name, "fields": {}}))


def test_a_module_is_not_asked_for_what_it_makes_when_it_is_asked() -> None:
    module: Any = type(sys)("lazy_module")
    module.__getattr__ = lambda name: pytest.fail("it was asked")
    sys.modules["lazy_module"] = module
    try:
        with pytest.raises(NotFoundError):
            load('{"$art": "dataclass", "type": "lazy_module:C", "fields": {}}')
    finally:
        del sys.modules["lazy_module"]


# -- hostile files -----------------------------------------------------------------------------------

HOSTILE = {
    "nothing": "",
    "half of it": '{"a": [1, 2',
    "two of them": "1 2",
    "no UTF-8": b'"\xff"',
    "lists in lists": "[" * 100_000,
    "objects in objects": '{"a":' * 100_000,
    "tuples in tuples": '{"$art":"tuple","items":[' * 5000 + "]}" * 5000,
    "a number of a million digits": "9" * 1_000_000,
    "a number in hex that is none": '{"$art":"int","hex":"0x1_0"}',
    "NaN": "[NaN]",
    "infinity": "-Infinity",
    "a key twice": '{"a": 1, "a": 2}',
    "a form twice": '{"$art": "set", "$art": "tuple", "items": []}',
    "an unknown form": '{"$art": "code", "text": "1"}',
    "a form that is no text": '{"$art": ["set"], "items": []}',
    "a form in place of its word": '{"$art": {"$art": "str", "base64": "c2V0"}, "items": 1}',
    "a form that says nothing": '{"$art": "tuple"}',
    "a form that says too much": '{"$art": "tuple", "items": [], "more": 1}',
    "a form that speaks of itself": '{"$art": "date", "self": 1}',
    "items that are none": '{"$art": "tuple", "items": {"a": 1}}',
    "items of another form": '{"$art": "list", "items": []}',
    "an item twice": '{"$art": "set", "items": [1, 1.0]}',
    "an item without a hash": '{"$art": "frozenset", "items": [[1]]}',
    "a key without a hash": '{"$art": "dict", "items": [[[], 1]]}',
    "a key twice in pairs": '{"$art": "dict", "items": [[1, 1], [true, 2]]}',
    "a pair of three": '{"$art": "dict", "items": [[1, 2, 3]]}',
    "a pair that is a text": '{"$art": "OrderedDict", "items": ["ab"]}',
    "a deque that is too long": '{"$art": "deque", "items": [1, 2], "maxlen": 1}',
    "a deque without measure": '{"$art": "deque", "items": [], "maxlen": -1}',
    "a float that is a word": '{"$art": "float", "value": "1e5"}',
    "a complex of texts": '{"$art": "complex", "real": "1", "imag": 2.0}',
    "items that collide": json.dumps(
        {"$art": "set", "items": [n * sys.hash_info.modulus for n in range(1, 50_000)]}
    ),
    "keys that collide": json.dumps(
        {"$art": "dict", "items": [[n * sys.hash_info.modulus, 1] for n in range(1, 50_000)]}
    ),
    "bytes that are none": '{"$art": "bytes", "base64": "?"}',
    "bytes written otherwise": '{"$art": "bytes", "base64": "YR=="}',
    "bytes nowhere": '{"$art": "bytes"}',
    "bytes elsewhere": '{"$art": "bytes", "number": "../content.json"}',
    "bytes that are not there": '{"$art": "bytes", "number": "0"}',
    "a date that is none": '{"$art": "date", "value": "2026-02-30"}',
    "a date written otherwise": '{"$art": "date", "value": "20260101"}',
    "a time in a zone and an offset": '{"$art":"datetime","value":"2026-01-01T00:00:00+01:00","zone":"UTC"}',
    "a zone that leads away": '{"$art": "zoneinfo", "key": "../../etc/passwd"}',
    "a zone by its whole path": '{"$art": "zoneinfo", "key": "/etc/passwd"}',
    "a fold of two": '{"$art":"datetime","value":"2026-01-01T00:00:00","fold":2}',
    "a time that is too long": '{"$art": "timedelta", "days": 9999999999, "seconds": 0, "microseconds": 0}',
    "a time of many seconds": '{"$art": "timedelta", "days": 0, "seconds": 99999, "microseconds": 0}',
    "a Decimal that is none": '{"$art": "decimal", "value": "abc"}',
    "a Decimal written otherwise": '{"$art": "decimal", "value": " 1_0"}',
    "a Decimal beyond": '{"$art": "decimal", "value": "1E+9999999999999999999999"}',
    "a fraction of nothing": '{"$art": "fraction", "numerator": 1, "denominator": 0}',
    "a fraction that can be shortened": '{"$art": "fraction", "numerator": 2, "denominator": 4}',
    "a fraction of floats": '{"$art": "fraction", "numerator": 1.0, "denominator": 2.0}',
    "a fraction of large parts": json.dumps(
        {
            "$art": "fraction",
            "numerator": {"$art": "int", "hex": "0x1" + "f" * 1_000_000},
            "denominator": {"$art": "int", "hex": "0x1" + "7" * 1_000_000},
        }
    ),
    "a UUID that is none": '{"$art": "uuid", "value": "{00000000-0000-0000-0000-000000000000}"}',
    "a class without a module": '{"$art": "dataclass", "type": ":C", "fields": {}}',
    "a class by a sentence": '{"$art": "dataclass", "type": "os; x:C", "fields": {}}',
    "fields that are none": f'{{"$art": "dataclass", "type": "{SHAPES}:Plain", "fields": [1, 2]}}',
    "a field that is set and not there": (
        f'{{"$art":"pydantic","type":"{SHAPES}:Money","fields":{{"amount":1,"currency":""}},"set":["x"]}}'
    ),
    "a pickle": '{"$art":"leaf","materializer":"pickle","number":"0","format":{},"file":"content.pickle"}',
    "a leaf of itself": '{"$art":"leaf","materializer":"value","number":"0","format":{}}',
    "a leaf that leads away": (
        '{"$art":"leaf","materializer":"path","number":"../..","format":{"name":"folder"}}'
    ),
    "a leaf that is not there": '{"$art":"leaf","materializer":"path","number":"0","format":{"name":"file"}}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_corrupt(text: str | bytes) -> None:
    with pytest.raises(CorruptError):
        load(text)


def test_a_manifest_that_says_something_else_is_corrupt() -> None:
    for text, kind in [("1", "str"), ('"abc"', "float"), ("1", "bool"), ("[]", "null")]:
        with pytest.raises(CorruptError):
            load(text, {"name": "json", "kind": kind})


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.one_of(
    st.lists(inner, max_size=3),
    st.dictionaries(st.sampled_from(["$art", "items", "type", "fields", "value", "number"]), inner, max_size=4),
    st.sampled_from(["set", "dict", "deque", "enum", "leaf", "bytes", "datetime", "pydantic", "int"]).flatmap(
        lambda tag: st.dictionaries(st.sampled_from(["items", "type", "value", "number"]), inner).map(
            lambda fields: {"$art": tag, **fields}
        )
    ),
), max_leaves=10))  # fmt: skip
def test_whatever_a_file_holds_only_errors_of_art_come(value: Any) -> None:
    with contextlib.suppress(ArtError):
        load(json.dumps(value))


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('"secret"')
    folder = tmp_path / "payload"
    folder.mkdir()
    (folder / "content.json").symlink_to(tmp_path / "secret")
    with pytest.raises(CorruptError, match="content.json is not the file it must be"):
        VALUES.load(folder, {})
    (folder / "content.json").unlink()
    (folder / "content.json").write_text('{"$art": "bytes", "number": "0"}')
    (tmp_path / "0").write_text("secret")
    (folder / "leaves").symlink_to(tmp_path)
    with pytest.raises(CorruptError):
        VALUES.load(folder, {})


# -- what other materializers are for ----------------------------------------------------------------


class Grid:
    def __init__(self, cells: list[int]) -> None:
        self.cells = cells

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.cells == other.cells

    def __hash__(self) -> int:
        return 1


class Scan(Grid):
    pass


class Grids(Stream):
    name = "grids"
    types = (Grid,)

    def filename(self, value: Any) -> str:
        return "grid.bin"

    def write(self, value: Any, stream: BinaryIO) -> dict[str, Any]:
        if 0 in value.cells:
            raise UsageError("a grid has no zeros")
        stream.write(bytes(value.cells))
        return {"name": "grid", "$art": len(value.cells)}

    def read(self, stream: BinaryIO, format: dict[str, Any]) -> Any:
        assert set(format) == {"name", "$art"}
        return Grid(list(stream.read()))


class Scans(Folder):
    name = "scans"
    types = (Scan,)

    def save(self, value: Any, folder: Path) -> dict[str, Any]:
        for number, cell in enumerate(value.cells):
            (folder / str(number)).write_text(str(cell))
        return {"name": "scan"}

    def load(self, folder: Path, format: dict[str, Any]) -> Any:
        return Scan([int(path.read_text()) for path in sorted(folder.iterdir())])


@pytest.fixture
def grids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", [Grids(), Scans()])


@pytest.mark.usefixtures("grids")
def test_what_another_materializer_is_for_lies_in_a_folder_of_its_own() -> None:
    value = {"a": Grid([1, 2]), "b": [Scan([3]), Plain(Grid([]))], "c": b"x" * 5000}
    folder, format = save(value)

    found = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert found == [
        "content.json",
        "leaves/0/grid.bin",
        "leaves/1/0",
        "leaves/2/grid.bin",
        "leaves/3",
    ]
    assert format == {"name": "json", "class": "dict", "length": 3}
    loaded = VALUES.load(folder, format)
    assert same(loaded, value)
    assert type(loaded["b"][0]) is Scan


@pytest.mark.usefixtures("grids")
def test_what_another_materializer_refuses_is_refused_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"^at \['a'\]\[1\]: a grid has no zeros$"):
        save({"a": [1, Grid([0])]})
    with pytest.raises(UsageError, match="a set has no order to number them by"):
        save({"a": {Grid([1])}})


@pytest.mark.usefixtures("grids")
def test_files_of_a_leaf_are_not_looked_for_elsewhere() -> None:
    folder, format = save([Grid([1])])
    text = (folder / "content.json").read_text()
    for wrong in ("../0/grid.bin", "..", "", "a/b", "nope"):
        (folder / "content.json").write_text(text.replace("grid.bin", wrong))
        with pytest.raises(CorruptError):
            VALUES.load(folder, format)


@pytest.mark.usefixtures("grids")
def test_a_leaf_whose_materializer_is_not_here_is_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, format = save([Grid([1])])
    monkeypatch.setattr(registry, "_registered", [])
    with pytest.raises(NotFoundError, match="there is no materializer 'grids' here"):
        VALUES.load(folder, format)


def test_one_registered_for_a_class_comes_before_what_is_built_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Points(Grids):
        name = "points"
        types = (Point,)

        def write(self, value: Any, stream: BinaryIO) -> dict[str, Any]:
            stream.write(bytes(value))
            return {"name": "point"}

        def read(self, stream: BinaryIO, format: dict[str, Any]) -> Any:
            return Point(*stream.read())

    monkeypatch.setattr(registry, "_registered", [Points()])
    folder, format = save([Point(1, 2)])
    assert (folder / "leaves/0/grid.bin").read_bytes() == b"\1\2"
    assert VALUES.load(folder, format) == [Point(1, 2)]
    assert find(Point(1, 2)).name == "points"


def test_a_path_inside_of_an_object_is_copied_and_the_folder_kept(workplace: Path) -> None:
    (workplace / "a.txt").write_text("text")
    folder, format = save({"path": Path("a.txt"), "text": "a.txt"})
    assert VALUES.keeps(format)
    assert not VALUES.keeps(save({"text": "a.txt"})[1])
    (workplace / "a.txt").unlink()

    loaded = VALUES.load(folder, format)
    assert (loaded["path"].read_text(), loaded["path"].name, loaded["text"]) == (
        "text",
        "a.txt",
        "a.txt",
    )


def test_uuids_of_all_versions_come_back() -> None:
    import uuid

    for value in (uuid.uuid1(), uuid.uuid4(), UUID(int=0)):
        assert back(value) == value


# -- of libraries ----------------------------------------------------------------------------------


def _same_scalar(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def test_numbers_of_numpy_come_back_without_files():
    np = pytest.importorskip("numpy")
    numbers = [
        *(np.dtype(name).type(1) for name in "?bBhHiIlLefdFD"),
        *(np.float64(x) for x in (0.1, -0.0, "inf", "nan")), np.float32(0.1), np.float16(65504),
        np.int64(-(2**63)), np.uint64(2**64 - 1), np.complex128(complex(0.1, math.inf)),
        np.datetime64("2026-01-02T03:04:05.123456789"), np.datetime64("NaT", "D"),
        np.timedelta64(3, "25s"), np.timedelta64(1), np.str_("ü"),
    ]  # fmt: skip
    folder, format = save({"list": numbers, np.int64(3): {np.bool_(1)}})
    assert [path.name for path in folder.iterdir()] == ["content.json"]
    made = VALUES.load(folder, format)
    assert all(map(_same_scalar, made["list"], numbers))
    assert len(made["list"]) == len(numbers)
    assert _same_scalar(list(made)[1], np.int64(3))


def test_values_of_pandas_come_back():
    pd = pytest.importorskip("pandas")
    moments = [
        pd.Timestamp("2026-01-02T03:04:05.123456789"),
        pd.Timestamp("2026-07-01T02:30", tz="Europe/Berlin"),
        pd.Timestamp("2026-10-25T01:30", tz="UTC").tz_convert("Europe/Berlin"),
        pd.Timestamp("2026-01-02", tz=timezone.utc),
        pd.Timestamp("2026-01-02", tz=timezone(timedelta(hours=2))),
        pd.Timestamp("2026-01-02").as_unit("s"),
    ]
    others = [
        pd.NaT, pd.NA, pd.Timedelta("1 days 00:00:00.000000001"), pd.Timedelta(-3, "s"),
        pd.Period("2026-01", "M"), pd.Period("2026-01-02", "W-TUE"), pd.Interval(0, 3),
        pd.Interval(0.5, 1.5, closed="neither"), pd.Interval(moments[5], moments[0]),
    ]  # fmt: skip
    for value in moments + others:
        made = back(value)
        assert _same_scalar(made, value)
        assert getattr(made, "unit", None) == getattr(value, "unit", None)
        assert repr(getattr(made, "tzinfo", None)) == repr(getattr(value, "tzinfo", None))
    assert repr(back({"a": moments, "b": others})) == repr({"a": moments, "b": others})


@pytest.mark.parametrize(
    "value",
    [
        Counter("abca"),
        defaultdict(list, {"a": [1]}),
        defaultdict(None, {1: 2}),
        range(3),
        range(10**700, -5, -2),
        timezone.utc,
        timezone(timedelta(hours=-3, microseconds=1)),
        timezone(timedelta(hours=1), "Home"),
        PurePosixPath("/a/../b"),
        PureWindowsPath("C:/a"),
    ],
)
def test_more_of_the_standard_library_comes_back(value):
    for made in (back(value), back([value])[0]):
        assert type(made) is type(value)
        assert repr(made) == repr(value)


def test_a_defaultdict_of_ones_own_factory_is_refused_with_what_helps():
    with pytest.raises(UsageError, match="its factory") as error:
        save(defaultdict(lambda: 1))
    assert error.value.hint == "save dict(…) of it"


def test_plain_json_is_written_as_it_is_and_never_too_deep():
    row = {"a": 1, "b": ["ü", None]}
    folder, _ = save([row, row])
    text = json.dumps([row, row], indent=2, ensure_ascii=False) + "\n"
    assert (folder / "content.json").read_text("utf-8") == text
    deep: list[Any] = []
    for _ in range(DEPTH_LIMIT + 1):
        deep = [deep]
    with pytest.raises(UsageError, match="nested deeper"):
        save(deep)
    deep[0] = deep
    with pytest.raises(UsageError, match="it holds itself"):
        save(deep)


def test_what_a_changed_class_cannot_load_can_be_had_as_text(monkeypatch):
    folder, format = save(Point(1, 2))
    monkeypatch.setattr(shapes, "Point", Pair)
    with pytest.raises(ArtError) as error:
        VALUES.load(folder, format)
    assert "version.text()" in str(error.value.hint)
    monkeypatch.delattr(shapes, "Point")
    with pytest.raises(NotFoundError, match="has no such class") as gone:
        VALUES.load(folder, format)
    assert "art cat REF" in str(gone.value.hint)


def test_a_model_whose_field_has_another_type_now_is_refused(monkeypatch):
    pydantic = pytest.importorskip("pydantic")

    def model(kind: type) -> Any:
        return pydantic.create_model("Changed", __module__=shapes.__name__, x=(kind, ...))

    monkeypatch.setattr(shapes, "Changed", model(int), raising=False)
    folder, format = save(shapes.Changed(x=1))
    assert VALUES.load(folder, format).x == 1
    monkeypatch.setattr(shapes, "Changed", model(str))
    with pytest.raises(ConflictError, match="Changed.x has another type than when"):
        VALUES.load(folder, format)


def test_an_object_of_a_class_of_main_is_saved_with_a_warning(monkeypatch):
    made = dataclasses.make_dataclass("Here", ["x"], namespace={"__module__": "__main__"})
    made.__module__ = "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "Here", made, raising=False)
    with pytest.warns(UserWarning, match="Here is a class of __main__: no other program"):
        assert back(made(1)) == made(1)


def test_a_dataclass_that_was_made_with_type_arguments_comes_back_equal() -> None:
    assert back(Box[int](3)) == Box(3)
    assert back([Box[Box[str]](Box[str]("a"))]) == [Box(Box("a"))]


def test_a_generic_model_that_has_no_name_is_refused_with_what_gives_it_one() -> None:
    pydantic = pytest.importorskip("pydantic")
    page = pydantic.create_model("Page", __base__=(pydantic.BaseModel, Generic[T]), item=(T, ...))
    with pytest.raises(UsageError) as caught:
        back(page[int](item=1))
    assert str(caught.value.hint).startswith("give it a name at the top of a module: class Name(Pa")
