"""Standard output as a stream of bytes: as they are, on a terminal with what it would obey shown instead."""

import codecs
import io
import sys
from typing import Any


class StandardOutput(io.RawIOBase):
    """Writes all it is given. Flush it at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = None
        if sys.stdout.isatty():
            self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        if self._decoder is not None:
            view = memoryview(_printable(self._decoder.decode(bytes(view))))
        while view:  # with PYTHONUNBUFFERED a part of it may be taken
            view = view[sys.stdout.buffer.write(view) :]
        return size

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def _printable(text: str) -> bytes:
    """Return text in which control characters other than newline and tab are shown as escapes."""
    shown = (
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )
    return "".join(shown).encode()
