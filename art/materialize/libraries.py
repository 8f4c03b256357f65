"""Libraries that may not be installed, and what they say of strange files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from art.errors import ArtError, CorruptError, UsageError


def require(library: str, extra: str) -> Any:
    """Return the library. Raise UsageError, with the extra that has it, where it is not installed."""
    try:
        return import_module(library)
    except ImportError:
        raise UsageError(
            f"this needs {library}, which is not installed", hint=f"pip install 'art-vcs[{extra}]'"
        ) from None


_STRANGE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@contextlib.contextmanager
def damage(what: str, *errors: type[BaseException]) -> Iterator[None]:
    """Turn what libraries say of strange content into a CorruptError."""
    try:
        yield
    except ArtError:
        raise
    except (*_STRANGE, *errors) as error:
        said = (str(error).splitlines() or ["it cannot be read"])[0]
        raise CorruptError(f"{what} is damaged: {said[:200]}") from error
