"""Keys, tags, references and notes: the grammar, and that names never merge."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from art.errors import CorruptError, UsageError
from art.keys import check_key, check_tag, check_type, escape, glob_pattern, unescape
from art.model import (
    Entry,
    Manifest,
    apply_notes,
    check_metadata,
    describe,
    heads,
    new_uid,
    now,
    parse_progress,
    states,
)
from tests.support import ID, UID, manifest_document

segments = st.one_of(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,7}", fullmatch=True),
    st.sampled_from(["con", "Nul", "AUX", "com1", "lpt9.txt", "a.", "a..", "nul.", "A.b.C", "0"]),
).filter(lambda segment: not segment.endswith(".yaml"))
keys = st.lists(segments, min_size=1, max_size=4).map("/".join)


def is_tag(text: str) -> bool:
    return not text.startswith("latest") and not re.fullmatch(r"v[0-9]+", text)


tags = segments.filter(is_tag)


@given(keys)
def test_a_key_of_segments_is_accepted_as_it_is(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/../b",
        ".hidden",
        "_tags",
        "-a",
        "a b",
        "a\n",
        "a\\b",
        "a@b",
        "a:b",
        "a!b",
        "é",
        "a\udcff",
        "a\ud800",
        "report.yaml",
        "report.yaml/x",
        "x" * 256,
        "\udcff" * 256,
        "\ud800" * 256,
    ],
)
def test_what_is_no_key_is_a_usage_error(key: str) -> None:
    with pytest.raises(UsageError):
        check_key(key)


@pytest.mark.parametrize("key", ["x" * 255, "a/" * 127 + "a", "X" * 127, "CON" + "X" * 122])
def test_a_key_of_255_bytes_fits_wherever_names_have_255_bytes(key: str) -> None:
    assert max(map(len, escape(check_key(key)).split("/"))) <= 255


@pytest.mark.parametrize("key", ["X" * 128, "a/" + "X" * 130 + "/b", "NUL." + "X" * 126])
def test_a_key_whose_name_no_disk_can_hold_is_refused_before_anything_is_stored(key: str) -> None:
    with pytest.raises(UsageError, match="too long"):
        check_key(key)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "a/b",
        "latest",
        "latest-1",
        "latestish",
        "v1",
        "v007",
        "_a",
        "a.yaml",
        "x" * 201,
        "X" * 130,
    ]
    + ["a\n", "v1\n"],
)
def test_what_is_no_tag_is_a_usage_error(tag: str) -> None:
    with pytest.raises(UsageError):
        check_tag(tag)


@pytest.mark.parametrize("tag", ["prod", "v", "v1.0", "V1", "Latest", "2026-11-21", "x" * 200])
def test_a_tag_may_look_like_a_release(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize("word", ["", "File", "a b", "file\n", "-x", "a" * 64])
def test_what_is_no_type_is_a_usage_error(word: str) -> None:
    with pytest.raises(UsageError):
        check_type(word)


@given(keys)
@example("CON.a/aux/Prn.")
def test_unescape_undoes_escape(key: str) -> None:
    assert unescape(escape(key)) == key


@given(keys)
def test_a_name_has_neither_capitals_nor_what_windows_refuses(key: str) -> None:
    name = escape(key)
    assert re.fullmatch(r"[a-z0-9._!/-]+", name)
    for part in name.split("/"):
        assert not part.endswith(".")
        assert not re.fullmatch(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", part)


@given(keys, keys)
@example("Con", "con")
@example("a.", "a")
@example("nul.txt", "nul")
def test_two_keys_never_share_a_name_even_where_case_is_ignored(one: str, other: str) -> None:
    assume(one != other)
    assert escape(one).casefold() != escape(other).casefold()


@given(st.text("aAbB.!_-/", max_size=8))
def test_a_name_that_no_key_has_is_not_unescaped(name: str) -> None:
    key = unescape(name)
    assert key is None or escape(key) == name


globs = st.text("ab*?/[]!.x", min_size=1, max_size=7)


@given(globs, st.lists(st.text("ab.x[", min_size=1, max_size=3), min_size=1, max_size=3))
@example("a?b", ["a", "b"])
@example("[.*]", ["."])
@example("[!a]", ["b"])
@example("a[!x]b", ["a", "b"])
@example("**/a", ["a"])
def test_a_glob_means_what_a_slow_matcher_says(pattern: str, path: list[str]) -> None:
    text = "/".join(path)
    assert bool(re.fullmatch(glob_pattern(pattern), text)) == glob_matches(pattern, text)


def glob_matches(pattern: str, text: str) -> bool:
    """The meaning of a glob, without regular expressions: only `**` crosses a `/`."""
    if not pattern:
        return not text
    if pattern.startswith("**/"):
        rests = [text, *(text[at + 1 :] for at, letter in enumerate(text) if letter == "/")]
        return any(glob_matches(pattern[3:], rest) for rest in rests)
    if pattern.startswith("**"):
        return any(glob_matches(pattern[2:], text[at:]) for at in range(len(text) + 1))
    if pattern.startswith("*"):
        reach = len(text.split("/", 1)[0])
        return any(glob_matches(pattern[1:], text[at:]) for at in range(reach + 1))
    if not text:
        return False
    if pattern[0] == "?":
        return text[0] != "/" and glob_matches(pattern[1:], text[1:])
    end = pattern.find("]", 3 if pattern.startswith("[!") else 2)
    if pattern[0] == "[" and end > 0 and "/" not in pattern[:end]:
        members = pattern[1:end].removeprefix("!")
        is_in = (text[0] in members) != (pattern[1] == "!")
        return is_in and text[0] != "/" and glob_matches(pattern[end + 1 :], text[1:])
    return text[0] == pattern[0] and glob_matches(pattern[1:], text[1:])


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, None, True, "x", {"b": {}}]}, {}, {"n": math.nan}]
)
def test_metadata_may_be_what_documents_hold(value: Any) -> None:
    check_metadata(value)


class Text(str):
    """A text of a type of its own, as enumerations are."""


class Number(float):
    """A number of a type of its own, as numpy's are."""


@pytest.mark.parametrize(
    "value",
    [{1: "a"}, {"a": {2: 3}}, {"a": b"x"}, {"a": {1, 2}}, {"a": 2**63}, {"a": -(2**63) - 1}]
    + [{"a": "\ud800"}, {"\udc00": 1}, {"a": object()}, {"a": 1j}],
)
def test_other_metadata_is_a_usage_error(value: Any) -> None:
    with pytest.raises(UsageError):
        check_metadata(value)


def test_metadata_nested_without_end_is_a_usage_error() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(UsageError, match="deep"):
        check_metadata(deep)


@pytest.mark.parametrize("text", ["0", "100", "33.5", "1e1", " 7 "])
def test_a_progress_from_0_to_100_is_taken(text: str) -> None:
    assert parse_progress(text) == float(text)


@pytest.mark.parametrize("value", [math.nan, "NaN", "abc", None, [], "", "50%"])
@pytest.mark.parametrize("clamp", [False, True])
def test_a_progress_that_is_no_number_is_refused_always(value: object, clamp: bool) -> None:
    with pytest.raises(UsageError, match="is not a number"):
        parse_progress(value, clamp=clamp)


@pytest.mark.parametrize(("value", "clamped"), [(-1, 0), (100.01, 100), ("inf", 100), ("-inf", 0)])
def test_a_progress_outside_is_refused_or_clamped(value: object, clamped: float) -> None:
    with pytest.raises(UsageError, match="outside"):
        parse_progress(value)
    assert parse_progress(value, clamp=True) == clamped


def test_uids_are_version_7_and_in_the_order_of_time() -> None:
    uids = []
    for _ in range(5):
        uids.append(new_uid())
        time.sleep(0.002)
    assert uids == sorted(uids)
    assert len({new_uid() for _ in range(1000)}) == 1000
    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(pattern, new_uid()) for _ in range(200))


def test_now_is_utc_with_microseconds() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", now())


# -- manifests and entries -----------------------------------------------------------------------


def test_a_manifest_keeps_unknown_fields() -> None:
    document = manifest_document() | {"future": {"a": 1}}
    assert Manifest.from_document(document, ID, "x").document["future"] == {"a": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uid", None),
        ("uid", "no"),
        ("uid", 7),
        ("key", 7),
        ("key", "../etc"),
        ("type", None),
        ("type", "No Type"),
        ("created", "yesterday"),
        ("author", None),
        ("title", 1),
        ("description", []),
        ("metadata", "x"),
        ("labels", {"a": 1}),
        ("labels", [1]),
        ("partitions", {"a": 1}),
        ("partitions", []),
        ("inputs", {}),
        ("inputs", ["x"]),
        ("inputs", [{}]),
        ("inputs", [{"id": "b3:12"}]),
        ("inputs", [{"id": ID, "key": 1}]),
        ("inputs", [{"id": ID, "key": "../x"}]),
        ("inputs", [{"id": ID, "key": "a", "number": "1"}]),
        ("format", 1),
        ("run", "x"),
        ("origin", 1),
        ("preview", 1),
        ("payload", "x"),
        ("payload", {}),
        ("payload", {"tree": "x", "size": 1, "files": 1}),
        ("payload", {"tree": "a" * 64, "size": -1, "files": 1}),
        ("payload", {"tree": "a" * 64, "size": 2**63, "files": 1}),
        ("payload", {"tree": "a" * 64, "size": True, "files": 1}),
        ("payload", {"tree": "a" * 64, "size": 1, "files": "1"}),
        ("payload", {"tree": "a" * 64, "size": 1, "files": 1, "file": 5}),
        ("payload", {"tree": "a" * 64, "size": 1, "files": 1, "reference": "x:"}),
        ("payload", {"inline": 5, "size": 1, "b3": "a" * 64}),
        ("payload", {"inline": "ab", "size": 1, "b3": "a" * 64}),
        ("payload", {"inline": "a" * 4097, "size": 4097, "b3": "a" * 64}),
        ("payload", {"reference": 5}),
        ("payload", {"reference": "s3://a", "checksum": "md5:1"}),
        ("purged", True),
        ("purged", {"id": 1}),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_damage_that_is_named(
    field: str, value: Any
) -> None:
    with pytest.raises(CorruptError, match=r"^m/v1 is damaged: field"):
        Manifest.from_document(manifest_document() | {field: value}, ID, "m/v1")


def test_a_stub_has_the_id_that_the_version_had() -> None:
    stub = {"art": 1, "uid": UID, "key": "a", "created": now(), "purged": {"id": ID}}
    manifest = Manifest.from_document(stub, "b3:" + "0" * 64, "x")
    assert manifest.is_stub
    assert manifest.id == ID


def test_who_when_and_why_do_not_make_versions_differ() -> None:
    document = manifest_document()
    same = document | {"uid": new_uid(), "created": now(), "author": "b", "run": {"id": "1"}}
    assert describe(same) == describe(document)
    assert describe(document | {"title": "x"}) != describe(document)


def entry_document(**fields: Any) -> dict[str, Any]:
    return {"art": 1, "uid": UID, "key": "a", "created": now(), "author": "me"} | fields


@pytest.mark.parametrize(
    "fields",
    [
        {"uid": "x"},
        {"created": 5},
        {"id": "b3:1"},
        {"id": 5},
        {"state": 5},
        {"state": "deleted", "versions": 5},
        {"state": "deleted", "versions": ["x"]},
        {"state": "deleted", "versions": [{"id": "x"}]},
        {"state": "moved", "versions": [{"id": ID, "to": "x"}]},
        {"state": "moved", "versions": [{"id": ID, "to": {"key": "..", "id": ID}}]},
        {"id": ID, "set": 5},
        {"id": ID, "set": {"labels": ["a"]}},
        {"id": ID, "set": {"labels": 5}},
        {"id": ID, "set": {"title": 5}},
        {"id": ID, "set": {"description": {"a": 1}}},
        {"id": ID, "set": {"metadata": "x"}},
        {"id": ID, "message": 5},
    ],
)
def test_an_entry_that_is_not_what_it_must_be_is_damage_that_is_named(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(CorruptError, match=r"^refs/a/1 is damaged: field"):
        Entry.from_document(entry_document(**fields), 1, "refs/a/1")


def moves(*afters: int | None) -> list[Entry]:
    """Return tag entries 1, 2 … that saw the entry given for each as the head."""
    uids = [new_uid() for _ in afters]
    return [
        Entry(number, {"uid": uid, "after": None if after is None else uids[after - 1]})
        for number, (uid, after) in enumerate(zip(uids, afters, strict=True), 1)
    ]


def test_the_head_is_the_last_entry_that_saw_the_head_before_it() -> None:
    entries = moves(None, 1, 1, 2)
    head, superseded = heads(entries)
    assert head is entries[3]
    assert superseded == {entries[2].uid}


def test_an_empty_log_has_no_head() -> None:
    assert heads([]) == (None, set())


def test_an_entry_that_saw_nothing_is_superseded_where_something_is() -> None:
    entries = moves(None, None)
    assert heads(entries) == (entries[0], {entries[1].uid})


def test_notes_are_merged_key_by_key_and_null_takes_away() -> None:
    base = {"title": "a", "metadata": {"x": 1, "deep": {"y": 2, "z": 3}}, "labels": ["a", "b"]}
    notes = [
        {"title": None, "metadata": {"x": 5, "deep": {"y": None, "w": 0}}},
        {"labels": {"b": None, "c": True}, "description": "more"},
    ]
    assert apply_notes(base, notes) == {
        "metadata": {"x": 5, "deep": {"z": 3, "w": 0}},
        "labels": ["a", "c"],
        "description": "more",
    }
    assert base["title"] == "a", "the manifest itself stays"


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("abc"), plain, max_size=3))
def test_a_note_said_twice_says_what_it_says_once(metadata: dict[str, Any]) -> None:
    base = {"metadata": {"a": 1, "b": {"c": 2}}}
    note = {"metadata": metadata}
    assert apply_notes(base, [note, note]) == apply_notes(base, [note])


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("deleted restored", "live"),
        ("deleted swept restored", "live"),
        ("deleted swept deleted", "swept"),
        ("purged restored deleted", "purged"),
    ],
)
def test_a_state_is_the_last_that_has_an_effect(said: str, state: str) -> None:
    entries = [
        Entry(number, {"state": word, "versions": [{"id": "b3:1", "number": 1}]})
        for number, word in enumerate(said.split(), 1)
    ]
    assert states(entries) == {"b3:1": state}
