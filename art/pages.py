"""What people read on a page of HTML, as lines of text. Nothing of it is run, fetched or taken for markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import islice

LIMIT = 8 << 20  # bytes of a page that are looked at: scripts come before its words, often
SUFFIXES = (".html", ".htm", ".xhtml")

_PIECES = 200_000  # texts and tags that are looked at

_MARKUP = re.compile(r"<(?:(?P<comment>!--)|(?P<close>/?)(?P<name>[A-Za-z][^\s/>]*)|[!?])")
_VALUE_OR_END = re.compile(r">|=\s*([\"'])")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_UNREAD = ("script", "style", "template", "svg", "noscript", "iframe", "object")
_UNREAD_ENDS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _UNREAD}
_PREFIXES = {"li": "- "} | {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCKS = {
    *_PREFIXES, "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "dd",
    "details", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head", "header",
    "hr", "html", "legend", "main", "nav", "ol", "option", "p", "pre", "section", "select",
    "summary", "table", "tbody", "textarea", "tfoot", "thead", "title", "tr", "ul",
}  # fmt: skip


def words(page: str) -> Iterator[str]:
    """Yield the lines that are to be read on a page, which may be cut or no HTML at all. It takes time in
    proportion to the page, whatever is in it."""
    line = _Line()
    has_any = False
    for name, is_closing, text in islice(_pieces(page), _PIECES):
        if not name:
            line.add(text)
        elif name in ("td", "th") and not is_closing:
            line.separate()
        elif name in _BLOCKS:
            for each in line.ended():
                if each.startswith("#") and has_any:
                    yield ""
                has_any = True
                yield each
            line.begin(name, is_closing=is_closing)
    yield from line.ended()


class _Line:
    """What stands between the beginnings and ends of blocks: one line, or those of a `pre`."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._prefix = ""
        self._is_kept = False  # with all blanks
        self._has_word = False

    def begin(self, block: str, *, is_closing: bool) -> None:
        self._is_kept = block == "pre" and not is_closing
        if is_closing:
            self._prefix = ""
        else:
            self._prefix = _PREFIXES.get(block, self._prefix)

    def add(self, text: str) -> None:
        self._parts.append(html.unescape(text if self._is_kept else _BLANKS.sub(" ", text)))
        self._has_word = self._has_word or not text.isspace()

    def separate(self) -> None:
        """Tell a cell of a table from the one before it."""
        if self._has_word:
            self._parts.append(" | ")

    def ended(self) -> Iterator[str]:
        """Yield what is in it, and begin anew."""
        if self._has_word:
            text = "".join(self._parts)
            if self._is_kept:
                yield from text.strip("\n").splitlines()
            else:
                yield self._prefix + text.strip()
            self._prefix = ""
        self._parts, self._has_word = [], False


def _pieces(page: str) -> Iterator[tuple[str, bool, str]]:
    """Yield texts, and tags by their names, with whether they close."""
    at = 0
    while found := _MARKUP.search(page, at):
        if found.start() > at:
            yield "", False, page[at : found.start()]
        if found["comment"]:
            at = _after(page, "-->", found.end())
        elif found["name"] is None:
            at = _after(page, ">", found.end())
        else:
            at = _end_of_tag(page, found.end())
            name = found["name"].lower()
            yield name, bool(found["close"]), ""
            if name in _UNREAD and not found["close"]:
                end = _UNREAD_ENDS[name].search(page, at)
                at = end.start() if end else len(page)
    if at < len(page):
        yield "", False, page[at:]


def _after(page: str, mark: str, at: int) -> int:
    found = page.find(mark, at)
    return len(page) if found < 0 else found + len(mark)


def _end_of_tag(page: str, at: int) -> int:
    """Return where a tag ends, which a value in quotes does not, whatever is in it."""
    while found := _VALUE_OR_END.search(page, at):
        if found.group() == ">":
            return found.end()
        at = max(page.find(found[1], found.end()) + 1, found.end())
    return len(page)
