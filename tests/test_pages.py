"""The words of a page of HTML: on the terminal, in previews and in reports, and never as HTML."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art import preview
from art.pages import words
from art.repo import Repo
from tests.conftest import Runner

PAGE = """<!doctype html><html><head><title>Q3 &amp; Q4</title><style>p { color: red }</style>
<script>if (a < b) alert("</p>never")</script></head><body onload="alert(1)"><!-- <p>nor this -->
<h1 class="a > b">Sales</h1><p>Up   by <b>7&nbsp;%</b>,
says <a href="javascript:alert(1)">Ana</a></p><ul><li>one<li><p>two</p></ul>
<table><tr><th>day</th><th>sum</th></tr><tr><td>1</td><td></td><td>2.5</td></tr></table>
<pre>a
  &lt;b&gt;
</pre>1 < 2<img src=x onerror=alert(1)></body></html>"""
WORDS = [
    "Q3 & Q4", "", "# Sales", "Up by 7\N{NO-BREAK SPACE}%, says Ana", "- one", "- two", "day | sum",
    "1 |  | 2.5", "a", "  <b>", "1 < 2",
]  # fmt: skip


def test_the_words_of_a_page_are_those_that_people_read() -> None:
    assert list(words(PAGE)) == WORDS


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("", []),
        ("no HTML at all < >", ["no HTML at all < >"]),
        ("<script>1", []),
        ("<SCRIPT>1</Script >a", ["a"]),
        ("<!-- a", []),
        ("a<p title='b", ["a"]),
        ("<p title=it's>a</p>", ["a"]),
        ("<p title='>'>a", ["a"]),
        ("<td>" * 1000 + "a", ["a"]),
        ("<pre>" * 1000 + " a", [" a"]),
        ("&#27;[31m&#x202e;a", ["[31m\u202ea"]),  # a page has no control characters
    ],
    ids=range(11),
)
def test_pages_that_are_odd_have_words_too(page: str, shown: list[str]) -> None:
    assert list(words(page)) == shown


PIECES = st.sampled_from(
    ["<", ">", "<p ", "</p>", "<script>", "</script>", "<!--", "-->", "'", '"', "=", "<td>", "<pre>",
     "</pre>", "<li>", "<h2>", "&lt;", "&", "\n", " ", "a"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_text_is_a_page(page: str) -> None:
    for line in words(page):
        assert "\n" not in line


def test_a_page_is_shown_by_its_words_wherever_it_is_shown(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    Path("page.html").write_text(PAGE)
    version = repo.create("page", "page.html").version
    text = "\n".join(WORDS)
    assert version.preview == {
        "art": 1,
        "kind": "text",
        "format": "html",
        "cut": False,
        "size": len(PAGE),
        "text": text,
    }
    shown = run("inspect", "page").out
    assert f"page of HTML, {len(PAGE)} B; its words:\nQ3 & Q4\n\n# Sales\n" in shown
    report = run("report", "page").out
    for out in (shown, report, run("inspect", "page", "--stats").out):
        assert "day | sum" in out
        assert not any(word in out for word in ("alert", "never", "nor this", "color", "onerror"))
    assert "```\npage of HTML" in report
    assert run("cat", "page").out == PAGE


def test_a_page_without_words_is_shown_as_it_is_and_a_large_one_is_cut(workplace: Path) -> None:
    path = workplace / "page.HTML"
    path.write_text("<script>draw()</script>")
    found = preview.of_file(path)
    assert found is not None
    assert found["text"] == "<script>draw()</script>"
    path.write_text("<p>word</p>" * 10_000)
    found = preview.of_file(path)
    assert found is not None
    assert (found["cut"], found["size"], found["text"][:9]) == (True, 110_000, "word\nword")


def test_strings_of_each_kind_are_shown_as_what_they_are(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    for name, text in {
        "html": "<p>one &amp; two</p>",
        "md": "# Head\n\n<b>x</b>\n",
        "csv": "a,b\n1,2\n",
        "json": '{"a": [1, 2]}',
    }.items():
        Path(f"it.{name}").write_text(text)
        repo.create(name, f"it.{name}")
    kinds = {name: repo.version(name).preview for name in ("html", "md", "csv", "json")}
    assert [each and each["kind"] for each in kinds.values()] == ["text", "text", "table", "json"]
    assert "one & two" in run("inspect", "html").out
    assert "# Head" not in run("inspect", "md").out
    assert "1   2" in run("inspect", "csv").out
    assert '"a": [' in run("inspect", "json").out
    report = run("report", "html", "md", "csv", "json").out
    assert "\none & two\n" in report
    assert "> # Head\n>\n> &lt;b>x&lt;/b>" in report
    assert "| 1 | 2 |" in report
