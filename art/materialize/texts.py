"""Texts that say what they are: pages of HTML, Markdown, tables in CSV, values in JSON."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from art.errors import CorruptError
from art.materialize.base import Stream, unequal
from art.model import Document


class HTMLString(str):
    """A page of HTML."""

    __slots__ = ()


class MarkdownString(str):
    """A text in Markdown."""

    __slots__ = ()


class CSVString(str):
    """A table in CSV."""

    __slots__ = ()


class JSONString(str):
    """A value in JSON."""

    __slots__ = ()


_KINDS: dict[str, type[str]] = {
    "html": HTMLString,
    "md": MarkdownString,
    "csv": CSVString,
    "json": JSONString,
}
_ENDINGS = {cls: ending for ending, cls in _KINDS.items()}


class Texts(Stream):
    """Written as it is, in UTF-8, into a file whose ending says what it is. Nothing looks at whether it is
    that; what shows it does."""

    name: ClassVar[str] = "text"
    types: ClassVar[tuple[type | str, ...]] = tuple(_ENDINGS)

    def filename(self, value: Any) -> str:
        """Return the name of its file."""
        return f"content.{_ENDINGS[type(value)]}"

    def preview(self, value: Any) -> Document | None:
        """Return what a file of that name would show: the words of a page, the rows of a table …"""
        from art import preview

        with tempfile.TemporaryDirectory(prefix="art-text-") as folder:
            path = Path(folder, self.filename(value))
            path.write_bytes(_encoded(value))
            return preview.of_file(path)

    def write(self, value: Any, stream: BinaryIO) -> Document:
        """Write it. Raise UsageError where it is no Unicode."""
        stream.write(_encoded(value))
        return {"text": _ENDINGS[type(value)]}

    def read(self, stream: BinaryIO, format: Document) -> Any:
        """Return it, of its class."""
        cls = _KINDS.get(str(format.get("text")))
        if cls is None:
            raise CorruptError(f"{format.get('text')!r} is no kind of text")
        try:
            return cls(stream.read().decode())
        except UnicodeDecodeError as error:
            raise CorruptError(f"the text is damaged: {error}") from None


def _encoded(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise unequal(value, f"it is no valid Unicode ({error.reason})") from None
