"""How long jobs say how far they are, without knowing a terminal."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives progress of one job at a time. Calls come from one thread and are cheap."""

    def start(self, what: str, *, total_bytes: int | None = None) -> None:
        """A phase begins, such as "reading data/"; `total_bytes` where it is known."""

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """So many more files and bytes are done."""

    def finish(self) -> None:
        """The phase is over."""

    def warn(self, message: str) -> None:
        """Say something the user should know; the job goes on."""


class Silent:
    """Says nothing."""

    def start(self, what: str, *, total_bytes: int | None = None) -> None:
        pass

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        pass

    def finish(self) -> None:
        pass

    def warn(self, message: str) -> None:
        pass
