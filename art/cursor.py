"""Which events were reacted to: a file that only grows, so that a watcher that was stopped, or killed,
goes on where it was.

A line of JSON each: `{"cursor": 1}` first, `{"watched": NAME, "seen": [uid…]}` for what was there when
watching began, `{"done": [uid…], …}` for what was reacted to. The last line may be torn: it was never
acknowledged then.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any

from art.backend import LocalBackend
from art.disk import explain, lock
from art.errors import BusyError, CorruptError

_HEADER = {"cursor": 1}
_FIRST_LINE = json.dumps(_HEADER).encode() + b"\n"
_FLAGS = (
    os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
)


class Cursor:
    """A cursor, which one process has at a time. Without a path it lasts as long as the process."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Open it, or begin it. Raise BusyError where another process has it, CorruptError where it is no
        cursor or damaged."""
        self._handle = -1
        # By all names of it, what was begun lies beside the same one.
        self.path = Path(os.path.realpath(path)) if path is not None else None
        self.seen: set[str] = set()
        self.watched: set[str] = set()
        if self.path is None:
            return
        try:
            self._handle = os.open(self.path, _FLAGS, 0o666)
        except OSError as error:
            explain(error, str(self.path))
        if not lock(self._handle, is_shared=False, waits=False):
            self.close()
            raise BusyError(
                f"another process uses {self.path}", hint="give each watcher its own --cursor"
            )
        self._read(self.path)
        LocalBackend(self.path.parent).sync("")  # that it is there, is durable, too

    def close(self) -> None:
        """Let other processes have it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        self.close()

    def begin(self, watched: str, uids: Collection[str]) -> None:
        """Note what is there already of something that is watched from now on."""
        self._append({"watched": watched, "seen": list(uids)})
        self.watched.add(watched)
        self.seen |= set(uids)

    def note_done(self, uids: Collection[str], **about: Any) -> None:
        """Note that these events were reacted to. When this returns, that is durable."""
        self._append({"done": sorted(uids), **about})
        self.seen |= set(uids)

    def _append(self, document: dict[str, Any]) -> None:
        if self._handle < 0:
            return
        data = memoryview(json.dumps(document).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._handle, data) :]
            os.fsync(self._handle)
        except OSError as error:
            explain(error, str(self.path))

    def _read(self, path: Path) -> None:
        # Before anything is cut off: it may be a file of something else.
        is_file = stat.S_ISREG(os.fstat(self._handle).st_mode)
        if not is_file or not _FIRST_LINE.startswith(os.read(self._handle, len(_FIRST_LINE))):
            raise _foreign(path, 1)
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._handle, whole)
        lines = data[:whole].splitlines()
        if not lines:
            self._append(_HEADER)
        for number, line in enumerate(lines, 1):
            try:
                self._take(json.loads(line), is_first=number == 1)
            except (ValueError, TypeError, AttributeError):
                raise _foreign(path, number) from None

    def _take(self, document: dict[str, Any], *, is_first: bool) -> None:
        if is_first != (document == _HEADER):
            raise ValueError(document)
        if "watched" in document:
            self.watched.add(str(document["watched"]))
        for uid in [*document.get("seen", ()), *document.get("done", ())]:
            self.seen.add(str(uid))


def _foreign(path: Path, number: int) -> CorruptError:
    return CorruptError(
        f"line {number} of {path} is not what art wrote",
        hint="give another --cursor, with --since for what was missed",
    )
