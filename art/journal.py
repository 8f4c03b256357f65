"""The journal of a run that goes on: what it read, made and did so far, here and in other processes.

Its first line says what the run is; each further one is one thing that was noted, appended whole. A line that
was not written to its end, as its writer was killed or the disk was full, counts for nothing: the next one
begins on a line of its own all the same.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from art.model import Document

_Noted = dict[str, dict[str, Document]]  # by kind, then by its text, in the order of the file


class Journal:
    """What is noted in one file. Only what others appended since is read when it is asked for.

    It needs no lock: threads that read the same lines at once note the same, in the same order.
    """

    def __init__(self, path: Path, about: Document) -> None:
        self.path = path
        self.about = about
        self._noted: _Noted = {}
        self._end = 0  # of the last whole line that was read

    @classmethod
    def begin(cls, path: Path, about: Document) -> Journal:
        """Create the file, with what the run is."""
        path.write_text(json.dumps(about) + "\n", "utf-8")
        return cls(path, about)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Return the journal in a file. Raise OSError, or ValueError where it is none."""
        with path.open("rb") as stream:
            about = json.loads(stream.readline())
        if not isinstance(about, dict) or not isinstance(about.get("run"), dict):
            raise ValueError(f"{path} is no journal of a run")
        return cls(path, about)

    def note(self, kind: str, what: Document) -> None:
        """Append something with an `id`; nothing happens where the run has ended."""
        line = b"\n" + json.dumps({kind: what}).encode() + b"\n"
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return
        try:
            while os.write(file, line) < len(line):
                pass  # what was cut off counts for nothing; where the disk is full, the next one says so
        finally:
            os.close(file)

    def noted(self, kind: str) -> list[Document]:
        """Return all of a kind that was noted so far, in order, each once."""
        self._read()
        return list(self._noted.get(kind, {}).values())

    def has(self, kind: str, what: Document) -> bool:
        """Whether this was noted."""
        self._read()
        return _text(what) in self._noted.get(kind, {})

    def _read(self) -> None:
        start = self._end
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                data = stream.read()
        except FileNotFoundError:  # it ended: what is known is all that there will be
            return
        whole, newline, _ = data.rpartition(b"\n")
        for line in whole.split(b"\n"):
            for kind, what in _parsed(line).items():
                if isinstance(what, dict) and isinstance(what.get("id"), str):
                    self._noted.setdefault(kind, {}).setdefault(_text(what), what)
        self._end = start + len(whole) + len(newline)


def _parsed(line: bytes) -> dict[str, Any]:
    """Return what a line says; nothing where it says nothing."""
    try:
        found = json.loads(line) if line else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(what: Document) -> str:
    return json.dumps(what, sort_keys=True)
