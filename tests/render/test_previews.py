"""Previews as text: whatever they say, for whatever terminal."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from art import preview
from art.errors import ArtError
from art.preview.form import KINDS
from art.render import charts, previews
from art.render.terminal import render_version

HOSTILE = "\x1b[2J\x07\r\u202egnp\u2028\x9b31m\ud800"

TEXTS = st.sampled_from(["", "a", HOSTILE, "x" * 300, "a\nb\tc", "日本"])
CELLS = st.one_of(st.none(), st.booleans(), TEXTS, st.integers(), st.just(10**600), st.floats())
COUNTS = st.one_of(st.integers(0, 100), st.just(2**63 - 1))
VALUES = st.recursive(
    CELLS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=4)
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings that have these fields, or have not."""
    return st.fixed_dictionaries({}, optional=fields)


STATISTICS = {
    "dtype": TEXTS, "count": COUNTS, "nulls": COUNTS, "min": CELLS, "max": CELLS, "mean": CELLS,
    "uniques": COUNTS, "uniques_exact": st.booleans(),
    "histogram": some(low=CELLS, high=CELLS, counts=st.lists(COUNTS, max_size=12)),
    "top": st.lists(st.tuples(CELLS, COUNTS).map(list), max_size=3),
}  # fmt: skip
COLUMN = some(name=TEXTS, index=st.booleans(), over=COUNTS, **STATISTICS)
ENTRY = some(name=TEXTS, size=COUNTS, dir=st.booleans())
ROWS = st.lists(st.lists(CELLS, max_size=4), max_size=3)
FIELDS = {
    "table": some(rows=COUNTS, over=COUNTS, width=COUNTS, columns=st.lists(COLUMN, max_size=4), head=ROWS),
    "array": some(
        shape=st.lists(COUNTS, max_size=3), size=COUNTS, over=COUNTS,
        head=ROWS | st.lists(CELLS, max_size=9), **STATISTICS,
    ),
    "image": some(width=COUNTS, height=COUNTS, mode=TEXTS, format=TEXTS, frames=COUNTS),
    "text": some(text=TEXTS, size=COUNTS),
    "archive": some(format=TEXTS, entries=st.lists(ENTRY, max_size=3), count=COUNTS, size=COUNTS),
    "json": some(value=VALUES, length=COUNTS),
    "other": some(value=VALUES, text=VALUES),
}  # fmt: skip
assert set(KINDS) < set(FIELDS)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Return what `preview.parse` lets through."""
    kind = draw(st.sampled_from(sorted(FIELDS)))
    document = draw(FIELDS[kind]) | {"art": 1, "kind": kind, "cut": draw(st.booleans())}
    try:
        return preview.parse(json.dumps(document).encode())
    except ArtError:  # a number that is not finite, say
        return {"art": 1, "kind": kind, "cut": False}


@given(documents(), st.booleans(), st.integers(1, 200))
@example({"art": 1, "kind": "json", "cut": False, "value": [1, 2**64, 1.7e308, -1.7e308]}, True, 1)
def test_any_preview_is_shown_as_lines_of_printable_text(document, ascii, width):
    lines = list(previews.full_lines(document, width=width, ascii=ascii))

    assert lines
    for line in lines:
        assert not {c for c in line if unicodedata.category(c) in ("Cc", "Cs", "Zl")}
        assert "\u202e" not in line
    names, rows = previews.head(document)
    header, summary = previews.columns_summary(document, ascii=ascii)
    assert all(len(row) == len(names) for row in rows)
    assert all(len(row) == len(header) for row in summary)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50), st.booleans())
def test_any_numbers_can_be_plotted(values, ascii):
    finite = [value for value in values if abs(value) < float("inf")]

    assert len(charts.sparkline(finite, ascii=ascii)) == len(finite)
    lines = list(charts.plot(values, width=20, height=4, ascii=ascii))
    assert len(lines) == (4 if finite else 0)
    assert all(len(line) <= 20 for line in lines)
    assert not ascii or "".join(lines).isascii()


def test_bars_and_sparklines():
    assert charts.bars([0, 1, 2, 4]) == "▁▃▅█"
    assert charts.bars([0, 1, 2, 4], ascii=True) == "_:=#"
    assert charts.sparkline([-1, 0, 1]) == "▁▅█"
    assert charts.bar(3, 4, 2) == "█▌"
    assert charts.bar(3, 4, 4, ascii=True) == "###"
    assert charts.bar(1, 10**9, 4) == "▏"
    assert charts.bar(0, 0, 4) == ""


def test_a_plot_rises_where_the_numbers_do():
    assert list(charts.plot([0, 1, 2, 3], width=4, height=4, ascii=True)) == [
        "   *", "  *", " *", "*",
    ]  # fmt: skip
    assert list(charts.plot([0, 3], width=2, height=1)) == ["⡠⠊"]
    assert list(charts.plot([None, None], width=4, height=4)) == []


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", False), ("ascii", True), ("latin-1", True)]
)
def test_what_a_stream_can_show_is_found_out(encoding, expected):
    assert charts.is_ascii(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) is expected
    assert not charts.is_ascii(io.StringIO())


def test_the_statistics_of_a_table_in_full():
    document = preview.of_rows(["n", "who"], [[1, "a"], [2, "b"], [3, "a"], [None, "a"]])

    text = "\n".join(previews.full_lines(document, width=80))

    assert "4 rows, 2 columns" in text
    assert "count 3  nulls 1  uniques 3  min 1  max 3  mean 2" in text
    assert "a  3  ████" in text
    assert "2.8  ████" in text


def test_what_was_looked_at_in_part_says_over_how_many_rows():
    columns = [
        {"name": "a", "dtype": "int64", "count": 900, "nulls": 0},
        {"name": "s", "dtype": "str", "over": 50, "count": 50, "nulls": 0},
    ]
    document = {
        "art": 1,
        "kind": "table",
        "rows": 5000,
        "over": 900,
        "width": 2,
        "columns": columns,
    }
    lines = list(previews.full_lines(document, width=80))
    assert "5,000 rows, 2 columns, statistics over 900" in lines
    assert "a  int64" in lines
    assert "s  str, statistics over 50" in lines
    header, rows = previews.columns_summary(document)
    assert header == ["column", "type", "over", "count", "nulls"]
    assert rows == [["a", "int64", "", "900", "0"], ["s", "str", "50", "50", "0"]]
    array = {"art": 1, "kind": "array", "shape": [9000], "size": 9000, "over": 90, "dtype": "int8"}
    assert "statistics over 90" in next(iter(previews.short_lines(array, width=80)))


def test_series_are_plotted():
    document = preview.of_json({"loss": [3.0, 2.0, 1.0], "name": "x"})

    lines = list(previews.short_lines(document, width=60))

    assert "loss  3 numbers" in lines
    assert any(line.startswith("3 ┤") for line in lines)
    assert '  "name": "x"' in lines


def shown(version: Any) -> str:
    stream = io.StringIO()
    render_version(version, stream, width=100, color=False)
    return stream.getvalue()


def test_an_array_is_shown_by_its_preview(repo):
    numpy = pytest.importorskip("numpy")
    version = repo.save(numpy.arange(6).reshape(2, 3), "a").version

    text = shown(version)

    assert "2 x 3, int64, 6 elements" in text
    assert "binary" not in text
    assert "mean 2.5" in text


def test_an_archive_is_shown_by_its_preview(repo, workplace):
    import zipfile

    with zipfile.ZipFile(workplace / "x.zip", "w") as archive:
        archive.writestr("in/side.txt", "text")
    text = shown(repo.create("k", "x.zip").version)

    assert "zip, 1 entry, 4 B unpacked" in text
    assert "in/side.txt" in text


HOSTILE_PREVIEWS = [
    {
        "kind": "table",
        "columns": [{"name": HOSTILE, "dtype": HOSTILE}],
        "head": [[HOSTILE], [], [1, 2]],
    },
    {"kind": "array", "dtype": HOSTILE, "head": [HOSTILE]},
    {"kind": "image", "format": HOSTILE, "mode": HOSTILE, "thumbnail": {"data": "%%%"}},
    {"kind": "image", "thumbnail": {"data": "AAAA", "media": HOSTILE}},
    {"kind": "archive", "entries": [{"name": HOSTILE, "size": 2**63 - 1}]},
    {"kind": "json", "value": {HOSTILE: [1, 2, 3], "a": HOSTILE}},
    {"kind": "other", HOSTILE: HOSTILE},
]


@pytest.mark.parametrize("document", HOSTILE_PREVIEWS)
def test_no_preview_can_command_the_terminal(repo, workplace, monkeypatch, document):
    (workplace / "x.bin").write_bytes(b"\0")
    version = repo.create("k", "x.bin").version
    found = preview.parse(json.dumps(document | {"art": 1, "cut": True}).encode())
    monkeypatch.setattr(type(version), "preview", found)
    stream = io.StringIO()

    render_version(version, stream, width=80, color=True)

    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cs")} - {"\n"}
    assert "\u202e" not in text
    assert "the preview is cut" in text


def test_a_thumbnail_is_shown_where_pictures_can_be(repo, workplace, monkeypatch):
    images = pytest.importorskip("PIL.Image")
    images.new("RGB", (64, 64), (255, 0, 0)).save(workplace / "red.png")
    version = repo.image("k", "red.png").version
    monkeypatch.setattr(type(version), "is_here", False)
    monkeypatch.setattr(type(version), "may_be_fetched", True)
    stream = io.StringIO()

    render_version(version, stream, width=80, color=True)

    assert "PNG, 64 x 64 pixels, RGB" in stream.getvalue()
    assert "▀" in stream.getvalue()
    assert "▀" not in shown(version)
