"""Functions of the user's that commands call."""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from art.cli.common import Output
from art.errors import ArtError, NotFoundError, UsageError


@contextlib.contextmanager
def importable() -> Iterator[None]:
    """Let modules of the current folder be imported, as `python -m` does."""
    here = os.getcwd()  # noqa: PTH109 - what is on sys.path is a text
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


def call(output: Output, word: str) -> Any:
    """Return what a function returns that is called as `module:function`. What it prints goes to standard
    error, where the result is not. Raise ArtError, with the last line of the traceback, where it fails."""
    module, colon, name = word.partition(":")
    if not (module and colon and name):
        raise UsageError(f"--from-python {word!r} is not of the form module:function")
    with contextlib.redirect_stdout(sys.stderr):
        function = _guarded(output, word, lambda: _found(module, name))
        if not callable(function):
            raise UsageError(f"{word} is a {type(function).__name__}, expected a function")
        return _whole(word, _guarded(output, word, function))


def _whole(word: str, value: Any) -> Any:
    """Return what a function gave. Raise UsageError where it has only begun to run."""
    if isinstance(value, CoroutineType):
        value.close()
        raise UsageError(
            f"{word} is asynchronous, expected a function that returns its object",
            hint=f"call it in one that does: return asyncio.run({word.rpartition(':')[2]}())",
        )
    if isinstance(value, (GeneratorType, AsyncGeneratorType)):
        raise UsageError(
            f"{word} is a generator, expected a function that returns its object",
            hint="return a list of what it yields",
        )
    return value


def _found(module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # one that the module itself needs
        where = os.getcwd()  # noqa: PTH109
        raise _MissingError(
            f"there is no module {module!r}, neither in {where} nor installed"
        ) from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise _MissingError(f"{module} has no {name!r}")
        found = getattr(found, part)
    return found


class _MissingError(NotFoundError):
    """What was named is not there, which is no failure of its own."""


def _guarded(output: Output, word: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except _MissingError as error:
        raise NotFoundError(error.message) from None
    except (Exception, SystemExit) as error:  # it is the user's code that runs
        if output.is_verbose:
            traceback.print_exception(error, file=sys.stderr)
        last = traceback.format_exception_only(error)[-1].strip()
        hint = None if output.is_verbose else "--verbose shows the traceback"
        raise ArtError(f"{word} failed: {last}", hint=hint) from error
