"""Every way things go wrong, grouped by what a caller does about it.

`message` is one line: the thing, what was found, what was expected. `hint` is the command that
helps. `kind` is stable and appears in `--json`; `exit_code` is what the shell sees.
"""

from __future__ import annotations


class ArtError(Exception):
    """Something art can explain. Catch this to catch them all."""

    kind = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


REPAIR = "art fsck --repair"
_BEFORE, _WIDTH = 50, 100  # characters of a query that are shown, at most


def repair_at(remote: str) -> str:
    """Return the command that heals a remote."""
    return f"art fsck --remote {remote} --repair"


class UsageError(ArtError, ValueError):
    """The call itself is wrong: fix it."""

    kind = "usage"
    exit_code = 2


class QueryError(UsageError):
    """A query is not understood, or asks for what cannot be. `at` is the place of the character."""

    def __init__(self, problem: str, text: str, at: int, *, hint: str | None = None) -> None:
        super().__init__(f"{problem}, at character {at + 1} of the query", hint=hint)
        self.text = text
        self.at = at

    @property
    def excerpt(self) -> tuple[str, str]:
        """The query, or what of it is around the character, and a line with a caret below it."""
        start = max(0, self.at - _BEFORE)
        shown = self.text[start : start + _WIDTH]
        line = "".join(letter if letter.isprintable() else "?" for letter in shown)
        return line, " " * (self.at - start) + "^"


class PartialError(ArtError):
    """Some of it was done; the message says what was not."""

    kind = "partial"
    exit_code = 3


class NotFoundError(ArtError, LookupError):
    """No such key, version, tag or path."""

    kind = "not-found"
    exit_code = 4


class ConflictError(ArtError):
    """The state of things stands against it: look, then retry or force."""

    kind = "conflict"
    exit_code = 5


class BusyError(ArtError):
    """Another process holds what is needed: wait and retry."""

    kind = "busy"
    exit_code = 6


class DeniedError(ArtError, PermissionError):
    """The system or the remote does not permit it."""

    kind = "denied"
    exit_code = 7


class CorruptError(ArtError):
    """Stored bytes are not what they must be. Nothing of them was handed out."""

    kind = "corrupt"
    exit_code = 8


class NothingToDoError(ArtError):
    """Raised only where the caller asked for it (`--error-on-noop`)."""

    kind = "noop"
    exit_code = 9


class NoRepositoryError(NotFoundError):
    """No repository here or above."""

    kind = "no-repository"
    exit_code = 10


class UnavailableError(ArtError):
    """A remote or URL cannot be reached: retry later."""

    kind = "unavailable"
    exit_code = 11


class NewerFormatError(ArtError):
    """Written by a newer art: upgrade."""

    kind = "newer-format"
    exit_code = 12


class StorageError(ArtError, OSError):
    """The disk is full, read-only, or failing."""

    kind = "storage"
    exit_code = 1
