"""What the code of a function is: a digest that changes when it does something else."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from blake3 import blake3

from art.errors import UsageError
from art.model import check_metadata


def of(function: Callable[..., Any]) -> str | None:
    """Return the digest of a function, of the functions and classes of its module that it uses, and of
    the constants there; None where it holds on to something else, which may be anything."""
    parts: dict[str, str | None] = {}
    _collect(function, "", parts)
    if None in parts.values():
        return None
    return blake3(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _collect(what: Any, name: str, parts: dict[str, str | None]) -> None:
    """Add the code of `what`, and all that it uses."""
    plain = _plain(what)
    name = name or plain.__qualname__
    if name in parts:
        return
    parts[name] = _text(plain)
    for function in _functions(plain):
        for used, value in _used(function):
            _add(f"{name}.{used}", value, plain.__module__, parts)
        for used, value in _held(function):
            if not _add(f"{name}.{used}", value, None, parts):
                parts[f"{name}.{used}"] = None
    for base in plain.__bases__ if isinstance(plain, type) else ():
        _add(name, base, plain.__module__, parts)


def _add(name: str, value: Any, module: str | None, parts: dict[str, str | None]) -> bool:
    """Add what a function uses; return whether it is known what that is."""
    plain = _plain(value)
    if isinstance(plain, (FunctionType, type)):
        if module is None or plain.__module__ == module:
            _collect(plain, plain.__qualname__, parts)
        return True
    try:
        parts[name] = json.dumps(check_metadata(value), sort_keys=True)
    except UsageError:
        return False
    return True


def _plain(what: Any) -> Any:
    """Return the function that is decorated."""
    return inspect.unwrap(what) if hasattr(what, "__wrapped__") else what


def _text(what: Any) -> str:
    try:
        if what.__name__ == "<lambda>":  # its lines may hold several
            raise OSError
        return textwrap.dedent(inspect.getsource(what))
    except (OSError, TypeError):  # typed into an interpreter
        return "".join(repr(_compiled(function.__code__)) for function in _functions(what))


def _compiled(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(
        _compiled(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts
    )
    return code.co_name, code.co_code.hex(), code.co_names, constants


def _functions(what: Any) -> list[FunctionType]:
    if isinstance(what, FunctionType):
        return [what]
    return [each for each in vars(what).values() if isinstance(each, FunctionType)]


def _used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global names that a function uses, and what they are now."""
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _names(code: CodeType) -> set[str]:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _held(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names of outer functions that a function uses, and what they are now."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue
