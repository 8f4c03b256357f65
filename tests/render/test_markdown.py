"""The page of a job: what a repository says stays text, whatever it says."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from art.render.markdown import code, fenced, link, quoted, report_markdown, text
from art.render.plain import escape
from art.repo import Repo

HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "`x` | y\n| z",
    "**bold** _it_ ~~no~~ $x$",
    "# heading\n- item",
    "@somebody #12 https://example.org www.example.org",
    "&lt;b&gt; &amp;",
    "\x1b[31m\u202e",
    "a\\",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_text_is_one_line_without_structure(hostile: str) -> None:
    shown = text(hostile)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|#@!~$]", shown)


@given(st.text())
def test_no_special_character_of_a_text_is_left_alone(found: str) -> None:
    shown = text(found)
    assert "<" not in shown
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|#@!~$]", shown.replace("\\\\", ""))


@given(st.text(min_size=1))
def test_a_text_is_shown_as_it_is(found: str) -> None:
    shown = MarkdownIt("commonmark").enable("table").renderInline(text(found))
    assert not re.search("<(?!br)", shown)
    read = html.unescape(shown)
    assert read.split() == escape(found).split()


@given(st.text(alphabet="`~\nx ", max_size=40))
def test_nothing_in_a_fence_ends_it(found: str) -> None:
    first, *lines = fenced(found).splitlines()
    assert lines[-1] == first
    assert not [line for line in lines[:-1] if line.strip().startswith(first)]


@given(st.text(alphabet="`~<!a>\n -#", max_size=60))
def test_every_line_of_a_quotation_is_in_it(found: str) -> None:
    shown = quoted(found)
    assert all(line.startswith(">") for line in shown.rstrip("\n").split("\n") if shown.strip())
    assert shown.endswith("\n")


def test_html_in_markdown_is_text_but_in_fences_it_is_as_it_was() -> None:
    assert (
        quoted("<b>x</b>\n```\n<b>\n```\n<i>")
        == "> &lt;b>x&lt;/b>\n> ```\n> <b>\n> ```\n> &lt;i>\n"
    )


def test_a_name_that_would_end_its_code_is_text() -> None:
    assert code("sales/report@v1") == "`sales/report@v1`"
    assert code("a|b") == r"a\|b"
    assert code("a`b") == r"a\`b"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "file:///etc", "http://[x"]
)
def test_only_a_url_that_a_browser_goes_to_is_a_link(url: str) -> None:
    assert "](" not in link(url, "here")


def test_nothing_in_a_url_ends_the_link() -> None:
    assert link("https://x.org/a(b)?q=<c>", "[x]") == r"[\[x\]](https://x.org/a%28b%29?q=%3Cc%3E)"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_version_does_not_change_the_page(hostile: str, repo: Repo) -> None:
    about = {"title": hostile, "description": hostile, "metadata": {"m": hostile, "n": [hostile]}}
    repo.table("t", [{"a": hostile, hostile or "b": 1}], **about)
    repo.markdown("m", hostile)
    repo.json("j", {"x": hostile})
    page = report_markdown(repo.report("t", "m", "j"))
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    inline = [child for token in tokens for child in token.children or ()]
    assert not [token for token in (*tokens, *inline) if token.type.startswith("html")]
    headings = [
        tokens[at + 1].content
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    assert [re.sub("(`[^`]*`).*", r"\1", heading) for heading in headings] == [
        "Published with art",
        "`t@v1`",
        "`m@v1`",
        "`j@v1`",
        "To get them",
    ]
    assert [token.type for token in tokens].count("table_open") == 3  # the list, metadata, the rows
    assert tokens[-1].type == "fence"
    assert tokens[-1].content.startswith("art get ")
    assert "\x1b" not in page


def test_a_page_that_would_be_too_long_says_what_is_left_out(repo: Repo) -> None:
    for number in range(30):
        repo.markdown("long", f"{number}\n" + "x" * 3000)
    refs = [f"long@v{number}" for number in range(1, 31)]
    report = repo.report(*refs)
    assert len(report_markdown(report)) > 90_000
    page = report_markdown(report, limit=20_000)
    assert len(page.encode()) <= 20_000
    left = 30 - len(re.findall("^### `long", page, re.MULTILINE))
    assert f"{left} versions more in the list above only" in page
    assert page.rstrip().endswith("```")
    assert "too many for this page" in report_markdown(report, limit=500)
