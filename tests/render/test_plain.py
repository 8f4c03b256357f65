"""Plain text: aligned, exact, and never more than text to a terminal."""

import csv
import io
import json
import re
import subprocess
import sys
import unicodedata
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art.diff import Comparison, compare_json, compare_lines, compare_tables, compare_trees
from art.render.manifest import manifest_fields
from art.render.plain import (
    LineReporter,
    age_text,
    comparison_text,
    count_text,
    csv_text,
    escape,
    escape_lines,
    json_text,
    jsonl_text,
    listing_text,
    progress_text,
    size_text,
    text_width,
)
from art.tables import Table
from art.tree import Node

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
HOSTILE = "\x1b[2J\x1b]0;title\x07\r\x9b31m\u202egnp.\u2028\x00\x7f\udcff"


def is_safe(text: str) -> bool:
    """Whether a terminal is sent no control but newlines and tabs, and can be sent all of it."""
    text.encode()
    return all(
        unicodedata.category(char) not in ("Cc", "Zl", "Zp", "Cs") or char in "\n\t"
        for char in text
    ) and not re.search("[\u202a-\u202e\u2066-\u2069]", text)


@given(st.text(st.characters(), max_size=30))
def test_escaped_text_is_safe_and_escaping_it_again_changes_nothing(text):
    for shown in (escape(text), escape_lines(text)):
        assert is_safe(shown)
        assert escape_lines(shown) == shown
    assert "\n" not in escape(text)


def test_text_that_people_write_stays_as_it_is():
    for text in ("plain", "naïve café", "日本語", "👩‍💻 emoji", "a b", "a\\b"):
        assert escape(text) == text


def test_what_is_not_printable_is_shown_by_its_code():
    assert escape("a\x1b[31m\n\udcff\u202e") == "a\\x1b[31m\\x0a\\xff\\u202e"
    assert escape_lines("a\r\nb\tc\rd") == "a\nb\tc\\x0dd"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_258_291, "1.2 MiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (2000 * 1024**5, "2,000.0 PiB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-30), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=31), "1 month ago"),
        (timedelta(days=360), "1 year ago"),
        (timedelta(days=365 * 3), "3 years ago"),
        (timedelta(days=-2), "2026-11-23 12:00"),
    ],
)
def test_ages_are_told_in_the_largest_unit(age, text):
    created = (NOW - age).isoformat(timespec="microseconds").replace("+00:00", "Z")

    assert age_text(created, NOW) == text


def test_what_is_no_time_is_shown_as_it_is():
    assert age_text("yes\x1b") == "yes\\x1b"


def test_counts_agree_with_their_noun():
    assert count_text(1, "file") == "1 file"
    assert count_text(1200, "file") == "1,200 files"
    assert count_text(2, "entry") == "2 entries"


# --- listings -------------------------------------------------------------------------------------


def test_columns_are_aligned_and_no_line_ends_in_spaces():
    text = listing_text(
        ["KEY", "SIZE", "TITLE"], [["a", "1 B", ""], ["long/key", "12 B", "T"]], right=(1,)
    )

    assert text == "KEY       SIZE  TITLE\na          1 B\nlong/key  12 B  T\n"


def test_a_listing_without_rows_is_its_header():
    assert listing_text(["KEY", "SIZE"], []) == "KEY  SIZE\n"


def test_wide_characters_take_two_columns_and_marks_none():
    lines = listing_text(["K", "V"], [["日本", "x"], ["e\u0301", "y"]]).splitlines()

    assert [text_width(line.rpartition(" ")[0]) for line in lines] == [5, 5, 5]


texts = st.text(st.characters(), max_size=12)


@given(st.lists(st.tuples(texts, texts, texts), max_size=8), st.integers(40, 80))
def test_a_listing_is_safe_and_aligned_whatever_the_cells_are(rows, width):
    wide = [(key[:4], title * 9, other) for key, title, other in rows]

    lines = listing_text(["KEY", "TITLE", "X"], wide, width=width).split("\n")

    assert len(lines) == len(rows) + 2
    assert is_safe("\n".join(lines))
    assert all(text_width(line) <= max(width, 24 + 8 + 8 + 4) for line in lines)


def test_a_listing_that_is_too_wide_cuts_its_widest_columns_but_not_the_key():
    rows = [["some/long/key/that/stays", "x" * 50, "short"]]

    lines = listing_text(["KEY", "TITLE", "TAG"], rows, width=50).splitlines()

    assert lines[1] == "some/long/key/that/stays  xxxxxxxxxxxxxxxx…  short"
    assert len(lines[1]) == 50


def test_csv_is_read_back_and_harmless():
    text = csv_text(["k", "v"], [["a,b", 'say "x"\n'], [None, HOSTILE], [1.5, ["x", True]]])

    assert is_safe(text)
    assert list(csv.reader(io.StringIO(text))) == [
        ["k", "v"],
        ["a,b", 'say "x"\n'],
        ["", escape_lines(HOSTILE)],
        ["1.5", '["x", true]'],
    ]


@given(st.dictionaries(texts, texts | st.floats() | st.none() | st.lists(texts, max_size=2)))
def test_json_lines_are_harmless_and_lose_nothing(document):
    text = jsonl_text([document, {}])
    first, second, rest = text.split("\n")

    assert is_safe(text)
    assert (second, rest) == ("{}", "")
    found = json.loads(first, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for name, value in document.items():
        is_finite = not isinstance(value, float) or abs(value) < float("inf")
        assert found[name] == value if is_finite else isinstance(found[name], str)


def test_json_keeps_what_people_can_read():
    assert json_text({"t": "naïve 日本"}) == '{"t": "naïve 日本"}'
    assert json_text(["\x9b"]) == '["\\u009b"]'


# --- differences ----------------------------------------------------------------------------------


def node(path: str, size: int = 1, **about: object) -> Node:
    return Node(path, size=size, b3=f"{size:064x}", **about)  # type: ignore[arg-type]


def test_lines_are_shown_under_the_two_names():
    lines = compare_lines("a\nb\n", "a\nc\n")

    text = comparison_text(Comparison("k@v1", "k@v2", [], "text", lines=lines))

    assert text == "--- k@v1\n+++ k@v2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_colour_marks_what_was_added_and_removed():
    lines = compare_lines("b\n", "c\n")

    text = comparison_text(Comparison("k@v1", "k@v2", [], "text", lines=lines), color=True)

    assert "\x1b[31m-b\x1b[0m\n\x1b[32m+c\x1b[0m\n" in text


def test_metadata_is_shown_by_paths_and_long_texts_by_lines():
    changes = compare_json({"a": 1, "d": "x\ny\n", "g": True}, {"a": 2, "d": "x\nz\n", "n": None})

    text = comparison_text(Comparison("k@v1", "k@v2", changes, "identical"))

    assert text.splitlines()[2:] == [
        *("~ $.a: 1 → 2", "~ $.d:", "@@ -1,2 +1,2 @@", " x", "-y", "+z", "- $.g: true"),
        *("+ $.n: null", "content: identical"),
    ]


def test_a_table_is_shown_by_rows_and_cells_and_counted():
    old = Table(["id", "v"], [["1", "a"], ["2", "b"], ["3", "c"]], 3, False)
    new = Table(["id", "v", "w"], [["1", "a", ""], ["2", "x", ""], ["4", "d", "e"]], 3, False)
    table = compare_tables(old, new, ["id"])
    comparison = Comparison("k@v1", "k@v2", [], "table", table=table)

    assert comparison_text(comparison).splitlines()[2:] == [
        "+ column w",
        "- row 3: 3 | c",
        "~ row 2 (2): v: b → x",
        "+ row 3: 4 | d | e",
        "1 row added, 1 removed, 1 changed; 1 row the same",
    ]
    assert comparison_text(comparison, stat=True).splitlines()[2:] == [
        "+ column w",
        "1 row added, 1 removed, 1 changed; 1 row the same",
    ]


def test_a_tree_is_shown_by_files_and_counted():
    left = [node("a", 1024), node("b", 7, mode=0o644), node("c", 3), node("d", 5)]
    right = [node("a", 2048), node("b", 7, mode=0o755), node("e", 3), Node("l", link="b")]
    tree = compare_trees(left, right)
    comparison = Comparison("k@v1", "k@v2", [], "tree", tree=tree, contents={"a": ["@@", "-x"]})

    assert comparison_text(comparison).splitlines()[2:] == [
        "- d  5 B",
        "~ a  1.0 KiB → 2.0 KiB",
        "~ b  mode 644 → 755",
        "> c → e",
        "+ l -> b",
        "1 file added, 1 removed, 1 modified, 1 mode changed, 1 renamed; "
        "4 → 3 files, 1.0 KiB → 2.0 KiB",
        *("--- a", "@@", "-x"),
    ]
    assert "~ a  +1.0 KiB\n" in comparison_text(comparison, stat=True)


def test_equal_versions_are_said_to_be_the_same():
    text = comparison_text(Comparison("k@v1", "k@v2", [], "none"))

    assert text == "k@v1 and k@v2 are the same\n"


def test_notes_are_shown_last():
    comparison = Comparison("k@v1", "k@v2", [], "binary", notes=["too large"])

    assert comparison_text(comparison).splitlines()[2:] == [
        "content: differs (binary)",
        "note: too large",
    ]


@pytest.mark.parametrize("stat", [False, True])
def test_nothing_in_a_comparison_reaches_the_terminal_as_a_command(stat):
    bad = Node(HOSTILE, size=1, b3="0" * 64)
    columns = [HOSTILE]
    comparisons = [
        Comparison(
            HOSTILE, "x", compare_json({HOSTILE: 1}, {HOSTILE: HOSTILE}), "text", notes=[HOSTILE]
        ),
        Comparison("x", "y", [], "text", lines=compare_lines(HOSTILE, HOSTILE + "\n" + HOSTILE)),
        Comparison(
            "x",
            "y",
            [],
            "table",
            table=compare_tables(
                Table(columns, [[HOSTILE], ["1"]], 2, False),
                Table([*columns, HOSTILE], [[HOSTILE + "2", HOSTILE]], 1, False),
            ),
        ),
        Comparison("x", "y", [], "json", json=compare_json([HOSTILE], [[HOSTILE]])),
        Comparison(
            "x",
            "y",
            [],
            "tree",
            tree=compare_trees([bad], [Node("z", link=HOSTILE)]),
            contents={HOSTILE: ["+" + HOSTILE]},
        ),
    ]

    for comparison in comparisons:
        assert is_safe(comparison_text(comparison, stat=stat))


# --- the manifest ---------------------------------------------------------------------------------


def test_the_fields_of_a_manifest_have_later_notes_applied(repo, files):
    repo.create("raw", "data/README.txt")
    repo.create("prices", "data", title="Old", metadata={"rows": 3}, inputs=["raw"], tags=["prod"])
    repo.note("prices", title="New", add_labels=["checked"])

    fields = dict(manifest_fields(repo.version("prices")))

    assert fields["version"] == "prices@v1"
    assert fields["title"] == "New"
    assert fields["labels"] == "checked"
    assert fields["tags"] == "prod"
    assert fields["metadata"] == "rows: 3"
    assert fields["inputs"].startswith("raw@v1  b3:")
    assert fields["payload"].startswith("tree, 48 B in 3 files\n")
    assert fields["created"].endswith("(just now)")


def test_a_run_is_said_in_words(repo, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    with repo.run("train", step="fit", params={"rate": 0.1}):
        version = repo.value("k", 1).version

    lines = dict(manifest_fields(version))["run"].splitlines()

    assert lines[0] == "train, step fit"
    assert lines[1] == f"id {version.run['id']}"
    assert "ci github run 77" in lines
    assert "params rate 0.1" in lines


def test_the_digest_of_a_preview_is_no_field_for_people(repo, files):
    version = repo.table("prices", files / "eu" / "part-0.csv").version

    assert "preview" in version.document
    assert "preview" not in dict(manifest_fields(version))


# --- progress -------------------------------------------------------------------------------------


def reporter() -> tuple[LineReporter, io.StringIO, list[float]]:
    now = [0.0]
    stream = io.StringIO()
    return LineReporter(stream, clock=lambda: now[0]), stream, now


def test_a_short_job_says_nothing():
    line_reporter, stream, now = reporter()

    line_reporter.start("reading data/")
    now[0] = 59.0
    line_reporter.advance(files=1, size_bytes=1)
    line_reporter.finish()

    assert stream.getvalue() == ""


def test_a_long_job_says_one_line_a_minute():
    line_reporter, stream, now = reporter()

    line_reporter.start("reading data\x1b", total_bytes=4096)
    for second in range(0, 150, 10):
        now[0] = float(second)
        line_reporter.advance(files=1, size_bytes=128)

    assert stream.getvalue().splitlines() == [
        "reading data\\x1b: 7 files, 896 B of 4.0 KiB (21 %), 14 B/s, 4 min left",
        "reading data\\x1b: 13 files, 1.6 KiB of 4.0 KiB (40 %), 13 B/s, 3 min left",
    ]


def test_warnings_are_said_at_once():
    line_reporter, stream, _ = reporter()

    line_reporter.warn("skipped\x07")

    assert stream.getvalue() == "warning: skipped\\x07\n"


def test_plain_text_needs_neither_rich_nor_the_comparison():
    code = "import sys, art.render.plain; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"rich", "yaml", "art.diff", "art.tables", "unicodedata"} & set(loaded)


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        ((0, 0), None, 0.0, "sending: 0 files, 0 B"),
        ((0, 1 << 20), None, 2.0, "sending: 1.0 MiB, 512.0 KiB/s"),
        ((0, 1 << 20), 4 << 20, 2.0, "sending: 1.0 MiB of 4.0 MiB (25 %), 512.0 KiB/s, 6 s left"),
        (
            (3, 1 << 20),
            100 << 20,
            2.0,
            "sending: 3 files, 1.0 MiB of 100.0 MiB (1 %), 512.0 KiB/s, 3 min left",
        ),
        (
            (0, 1 << 20),
            100 << 30,
            2.0,
            "sending: 1.0 MiB of 100.0 GiB (0 %), 512.0 KiB/s, 57 h left",
        ),
        ((0, 1 << 20), 1 << 20, 2.0, "sending: 1.0 MiB of 1.0 MiB (100 %), 512.0 KiB/s"),
    ],
)
def test_progress_says_rate_and_what_is_left(
    done: tuple[int, int], total: int | None, seconds: float, text: str
) -> None:
    assert progress_text("sending", *done, total, seconds) == text
