"""Errors of a repository that is elsewhere: they name the place, and hint at what helps from here."""

import contextlib
import re
from collections.abc import Iterator

from art.errors import ArtError

# As what `art.cloning` opens it for as long as a command takes.
_ORIGIN = re.compile(r"^remote origin(?: \([^)]*\))?: |, neither here nor at origin$")
_LOOKING = ("ls", "log", "inspect", "resolve", "get", "cat")  # which take --remote


@contextlib.contextmanager
def naming(place: str, url: str) -> Iterator[None]:
    """Let errors that are raised inside name `place`, a remote or URL as it was typed, or its URL."""
    try:
        yield
    except ArtError as error:
        message = _ORIGIN.sub("", error.message)
        is_named = place in message or url in message
        error.message = message if is_named else f"{place}: {message}"
        error.args = (error.message,)
        error.hint = error.hint and _hint(error.hint, place)
        raise


def _hint(hint: str, place: str) -> str | None:
    """Return what helps at the place; None where that is a command for the repository here."""
    words = hint.replace("`", "").split()
    if words[0] != "art":
        return hint
    return f"{hint.partition(' --remote ')[0]} --remote {place}" if words[1] in _LOOKING else None
