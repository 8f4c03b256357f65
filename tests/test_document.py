"""Documents: what goes in comes out, and nothing else does."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from art import document as documents
from art.document import decode, encode, load_plain
from art.errors import CorruptError, NewerFormatError, UsageError
from tests.support import manifest_document

# Any character that Unicode has except surrogates, with those that YAML treats specially often.
odd = st.sampled_from(
    " \t\n\r\x85\u2028\u2029\ufeff\x00\x07\x7f\x80\ud7ff\ufffe\uffff\U0001f600#:-?!&*'\"%@`{}[],|>~=<"
)
texts = st.text(st.one_of(odd, st.characters(exclude_categories=["Cs"])), max_size=12) | st.sampled_from(
    ["yes", "No", "NULL", "~", "1", "1.0", "1e3", "0x1F", "0b1", "1:30", "1_000", ".inf", "-.NaN", "<<"]
    + ["2026-11-21", "2026-11-21T08:30:00.000000Z", "=", "- a", "a: b", "...", "---", "? a", "null "]
    + ["y", "n", "on", "OFF", "b3:0123", "0o17", "017", "+1", "1.", ".5", "a\n\n b \n", " a", "'", "''"]
)  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    texts,
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def seal(body: bytes) -> bytes:
    """Return the bytes of a document with this body, however bad it is, and a right checksum."""
    return body + b"check: " + blake3(body).hexdigest()[:32].encode() + b"\n"


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # tells 1, 1.0 and True apart, and NaN is itself


@settings(max_examples=400)
@given(st.dictionaries(texts, values, max_size=4))
@example({"a": [[], {}, [[]], [{}]], "": "", " ": {"": None}})
@example({"inline": "# Title\r\n\ttext \n\n"})
def test_any_metadata_comes_back_as_it_was(metadata: dict[str, Any]) -> None:
    document = {"art": 1, "metadata": metadata}
    assert same(decode(encode(document), "x"), document)


@given(st.dictionaries(texts.filter(lambda name: name not in ("art", "check")), values, max_size=4))
def test_unknown_fields_are_kept_in_their_order(fields: dict[str, Any]) -> None:
    document = {"art": 1} | fields
    assert same(decode(encode(document), "x"), document)
    assert list(decode(encode(document), "x")) == list(document)


@given(st.dictionaries(texts, values, max_size=4))
def test_encoding_is_canonical(fields: dict[str, Any]) -> None:
    data = encode({"art": 1, "metadata": fields})
    assert encode(decode(data, "x")) == data


def test_a_document_ends_in_its_checksum() -> None:
    data = encode({"art": 1, "key": "a"})
    body = b"art: 1\nkey: a\n"
    assert data == body + b"check: " + blake3(body).hexdigest()[:32].encode() + b"\n"


def test_every_flipped_bit_is_noticed() -> None:
    data = encode(manifest_document(metadata={"rows": 1200, "text": "größer"}))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptError, match="^m/v1 is damaged: its checksum"):
            decode(bytes(damaged), "m/v1")


def test_every_truncation_and_every_added_byte_is_noticed() -> None:
    data = encode(manifest_document())
    for length in range(len(data)):
        with pytest.raises(CorruptError):
            decode(data[:length], "x")
    for longer in (data + b"\n", b"\n" + data, data + data, data[:-1] + b"\r\n"):
        with pytest.raises(CorruptError):
            decode(longer, "x")


TRICKS = {
    "anchor": b"a: &x 1\n",
    "alias": b"a: &x [1]\nb: *x\n",
    "bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "python tag": b"a: !!python/object/apply:os.system [id]\n",
    "tag": b"a: !!str 1\n",
    "local tag": b"a: !x 1\n",
    "binary": b"a: !!binary aGk=\n",
    "tag directive": b"%TAG ! tag:x,2000:\n---\na: !y 1\n",
    "date": b"a: 2026-11-21\n",
    "time": b"a: 2026-11-21T08:30:00Z\n",
    "twice": b"a: 1\na: 2\n",
    "twice inside": b"a:\n  b: 1\n  'b': 2\n",
    "twice in a list": b"a:\n- {b: 1, b: 2}\n",
    "merge over": b"a:\n  <<: {b: 1}\n  b: 2\n",
    "number as key": b"1: a\n",
    "null as key": b"a:\n  ~: a\n",
    "list as key": b"? [a]\n: b\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "list": b"- art: 1\n",
    "text": b"hello\n",
    "not UTF-8": b"a: \xff\n",
    "UTF-16": "a: 1\n".encode("utf-16"),
    "control": b"a: \x00\n",
    "unfinished": b"a: [1, 2\n",
    "65 bits": b"a: 18446744073709551616\n",
    "65 bits in hex": b"a: 0x10000000000000000\n",
    "huge number": b"a: 1" + b"0" * 5000 + b"\n",
    "number of base 60": b"a: 1" + b":59" * 300_000 + b"\n",
    "infinite of base 60": b"a: 1" + b":59" * 300_000 + b".5\n",
    "deep in brackets": b"a: " + b"[" * 200_000 + b"]" * 200_000 + b"\n",
    "deep in braces": b"a: " + b"{a: " * 100 + b"}" * 100 + b"\n",
    "deep in dashes": b"a:\n  " + b"- " * 300_000 + b"\n",
    "deep in question marks": b"a:\n  " + b"? " * 300_000 + b"a\n",
    "deep in both": b"a:\n  " + b"- ? " * 150_000 + b"a\n",
    "deep with tabs": b"a:\n  " + b"-\t" * 300_000 + b"a\n",
    "deep in old lines": b"a:\n" + b"".join(b" " * n + b"-\r" for n in range(600)) + b"\n",
    "deep in lines": b"".join(b" " * n + b"a:\n" for n in range(600)),
    "deep in both kinds of lines": b"".join(
        b" " * n + b"a:\n" + b" " * n + b"-\n" for n in range(600)
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_of_yaml_is_damage_even_under_a_right_checksum(trick: str) -> None:
    body = TRICKS[trick]
    head = b"" if body.startswith((b"%", b"-", b"\xff\xfe")) else b"art: 1\n"
    with pytest.raises(CorruptError, match="^x is damaged: "):
        decode(seal(head + body), "x")


def test_more_than_64_levels_are_refused_and_64_are_taken() -> None:
    for opening, closing in (("[", "]"), ("{a: ", "}")):
        for depth in (63, 64):
            body = f"art: 1\na: {opening * depth}{closing * depth}\n".encode()
            if depth == 63:
                assert decode(seal(body), "x")["art"] == 1
            else:
                with pytest.raises(CorruptError, match="deeper than 64"):
                    decode(seal(body), "x")


@pytest.mark.parametrize("number", ["0", "-1", "'1'", "true", "1.0", "null", "[1]", ""])
def test_a_format_that_is_no_number_is_damage(number: str) -> None:
    with pytest.raises(CorruptError, match="field 'art'"):
        decode(seal(f"art: {number}\nkey: a\n".encode()), "x")


@pytest.mark.parametrize("number", [2, 3, 10**17, 2**63 - 1])
def test_a_larger_format_is_newer_not_damaged(number: int) -> None:
    with pytest.raises(NewerFormatError, match=f"x has format {number}"):
        decode(seal(f"art: {number}\nkey: a\n".encode()), "x")


def test_a_document_without_a_format_is_damaged() -> None:
    with pytest.raises(CorruptError, match="field 'art'"):
        decode(seal(b"key: a\n"), "x")


def test_the_checksum_must_stand_in_a_line_of_its_own() -> None:
    with pytest.raises(CorruptError):
        decode(seal(b"art: 1\nkey: a"), "x")


def test_what_no_reader_would_take_is_not_written() -> None:
    just = "x" * (documents.SIZE_LIMIT - len(encode({"art": 1, "a": ""})) + len("''"))
    assert decode(encode({"art": 1, "a": just}), "x")["a"] == just
    with pytest.raises(UsageError, match="at most 1048576"):
        encode({"art": 1, "a": just + "x"})


def test_a_larger_file_is_damaged_whatever_is_in_it() -> None:
    with pytest.raises(CorruptError, match="at most 1048576"):
        decode(seal(b"art: 1\na: " + b"x" * documents.SIZE_LIMIT + b"\n"), "x")


plain_lines = st.lists(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "", "", "  ", "    ", "      ", " "]),
        st.sampled_from(["", "", "- ", "- - ", "-"]),
        st.sampled_from(["a: ", "b: ", "c:", "key: ", "on: ", "null: ", "", "a:", "1: ", "A: "]),
        st.sampled_from(
            ["", "", "x", "1", "-5", "007", "1.5", "1e5", "-0", "-0.0", "true", "Yes", "~", "NULL", "n"]
            + ["'a: b'", "'it''s'", "' '", "''", "'a", '"a"', "a b", "a ", " a", "a#", "a #b", "b3:" + "a" * 64]
            + ["two words", "null and void", "a, (b) c%", "a - b", "- a", "--a", "-y", "a: b", "é \u017f", "naïve b", "'ü'"]
            + ["1.0e-05", "1.5e+400", "1.e5", "no  no", "yes ", "c0ffee" * 6 + "1234", "1" * 40, "\u0085", "a\u00a0b"]
            + ["2026-11-21", "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10", "0b" + "1" * 62, "1" * 64, "{}", "[]", "x:y"]
        ),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=500)
@given(plain_lines, st.sampled_from(["\n", ""]))
@example(["a: x"], "")
@example(["a:", "- b: 1", "  c:", "  - d"], "\n")
def test_the_fast_reader_reads_as_yaml_does(lines: list[str], end: str) -> None:
    body = ("\n".join(lines) + end).encode()
    try:
        expected = documents._load(body)
    except (yaml.YAMLError, ValueError):
        expected = CorruptError
    found = documents._read_plain(body)
    if found is not None:
        if expected is CorruptError:
            raise AssertionError(f"YAML refuses {body!r}, which was read as {found!r}")
        assert same(found, expected)


def test_the_fast_reader_reads_what_art_writes() -> None:
    document = manifest_document(
        title="Wöchentlicher Bericht, November",
        description="Sales per region (of the week).",
        metadata={"rows": 1, "ratio": 0.5, "rate": 1e-05, "loss": 0.009123456789012345},
        run={"command": ["train", "--epochs", "10"], "git": {"commit": "49f32a55" * 5}},
        inputs=[{"key": "a", "id": "b3:" + "a" * 64, "number": 4}],
        payload={"tree": "1a" * 32, "size": 5, "files": 1},
    )
    body = encode(document)[:-40]
    assert documents._read_plain(body) == document


def test_the_fast_reader_reads_the_settings_of_remotes() -> None:
    settings = {
        "remotes": {
            "origin": {"url": "s3://bucket/repo", "endpoint_url": "http://127.0.0.1:9000"},
            "disk": {"url": "/mnt/shared", "probed": True},
        },
        "authority": "origin",
    }
    assert documents._read_plain(documents.dump_plain(settings)) == settings


def test_a_settings_file_needs_no_newline_at_its_end() -> None:
    assert load_plain(b"author: ana", "config.yaml") == {"author": "ana"}
    assert load_plain(b"author: ana\njobs: 2", "config.yaml") == {"author": "ana", "jobs": 2}


@pytest.mark.parametrize("data", [b"", b"\n", b"# nothing\n"])
def test_a_settings_file_may_be_empty(data: bytes) -> None:
    assert load_plain(data, "config.yaml") == {}


@pytest.mark.parametrize(
    "data", [b"- a\n", b"a: &x 1\n", b"a: !!python/name:os.system\n", b"1: 2\n", b"\xff"]
)
def test_a_settings_file_is_read_as_strictly(data: bytes) -> None:
    with pytest.raises(CorruptError, match=r"^config\.yaml is damaged"):
        load_plain(data, "config.yaml")


def test_a_nan_survives() -> None:
    assert math.isnan(decode(encode({"art": 1, "a": math.nan}), "x")["a"])
