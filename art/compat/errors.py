"""Errors of art that are, too, what the original raises there: `except KeyError` goes on to work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from art import ArtError, NoRepositoryError

E = TypeVar("E", bound=ArtError)


_known: dict[tuple[type[ArtError], type[Exception]], Any] = {}


def both(error: type[E], kind: type[Exception]) -> type[E]:
    """Return the class of errors of art that are of another kind, too."""
    if issubclass(error, kind):
        return error
    if (error, kind) not in _known:
        # `KeyError` would show the message as a literal
        own = {"__doc__": error.__doc__, "__str__": ArtError.__str__, "__reduce__": _reduced}
        _known[error, kind] = type(error.__name__, (error, kind), own)
    return _known[error, kind]  # type: ignore[no-any-return]


@contextmanager
def also(kind: type[Exception], *errors: type[ArtError]) -> Iterator[None]:
    """Let these errors, where they come from inside, be of another kind, too. That there is no repository
    is no such thing."""
    try:
        yield
    except errors as error:
        is_plain = type(error).__init__ is ArtError.__init__
        if isinstance(error, (kind, NoRepositoryError)) or not is_plain:
            raise
        raise both(type(error), kind)(error.message, hint=error.hint) from error.__cause__


def _reduced(error: Any) -> tuple[Any, ...]:
    """Let such errors go from process to process."""
    base, kind = type(error).__bases__
    return _remade, (base, kind, error.message, error.hint)


def _remade(
    base: type[ArtError], kind: type[Exception], message: str, hint: str | None
) -> ArtError:
    return both(base, kind)(message, hint=hint)
