"""What the code of a function is: a digest that changes when it does something else."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any

from blake3 import blake3

from art.errors import UsageError
from art.model import check_metadata

_WRAPPED = (
    "__func__",
    "fget",
    "fset",
    "fdel",
    "func",
)  # of static and class methods, of properties


def of(function: Callable[..., Any]) -> str | None:
    """Return the digest of a function, of the functions and classes of its module that it uses, and of
    the values there: what they are or, where that cannot be written, the statements that make them. None
    where it holds on to something else, which may be anything."""
    code = _Code(_plain(function).__module__)
    code.collect(function)
    if None in code.parts.values():
        return None
    return blake3(json.dumps(code.parts, sort_keys=True).encode()).hexdigest()


class _Code:
    """What a function of a module is made of: `parts`, texts by name, None for what is not known."""

    def __init__(self, module: str) -> None:
        self.parts: dict[str, str | None] = {}
        self._module = module

    def collect(self, what: Any) -> None:
        """Add the code of a function or class, and all that it uses."""
        plain = _plain(what)
        name = plain.__qualname__
        if name in self.parts:
            return
        self.parts[name] = _text(plain)
        inside = _names_in(plain)
        for function in _functions(plain):
            self._use(inside | _names(function.__code__), function.__globals__)
            for used, value in _held(function):
                if not self._add(f"{name}.{used}", value, None):
                    self.parts[f"{name}.{used}"] = None
        for base in plain.__bases__ if isinstance(plain, type) else ():
            self._add(name, base, plain.__module__)

    def _use(self, names: set[str], known: Mapping[str, Any]) -> None:
        """Add what these names are now among the globals of a module."""
        module = known.get("__name__")
        for name in sorted(names & known.keys()):
            # A program is the same as the module that its file is.
            label = f"={name}" if module == self._module else f"{module}={name}"
            if label not in self.parts and not self._add(label, known[name], module):
                self._add_made(label, name, known)

    def _add(self, label: str, value: Any, module: str | None) -> bool:
        """Add what is used; return whether it is known what that is."""
        plain = _plain(value)
        if isinstance(plain, (FunctionType, type)):
            if module is None or plain.__module__ == module:
                self.collect(plain)
            return True
        if isinstance(plain, ModuleType) or inspect.isbuiltin(plain):
            return True
        text = _written(value)
        if text is not None:
            self.parts[label] = text
        return text is not None

    def _add_made(self, label: str, name: str, known: Mapping[str, Any]) -> None:
        """Add how a module makes something that cannot be written, such as a connection."""
        try:
            source = inspect.getsource(sys.modules[known["__name__"]])
        except (KeyError, OSError, TypeError):  # typed into an interpreter
            self.parts[label] = None
            return
        made = _statements(source).get(name, ())
        self.parts[label] = "\n".join(map(ast.unparse, made))  # none where it was imported
        for statement in made:
            self._use(_names_below(statement), known)


def _written(value: Any) -> str | None:
    """Return a text that stands for a value, None where there is none."""
    if isinstance(value, (PurePath, re.Pattern)):  # a path, not what is there
        return repr(value)
    if isinstance(value, (deque, defaultdict)):  # these gather what comes
        return None
    try:
        return json.dumps(check_metadata(value), sort_keys=True)
    except UsageError:
        pass
    from art.materialize import values

    if not values.Values().matches(type(value)):
        return None
    try:
        return values.text_of(value)
    except (UsageError, OSError):  # it is larger, or no value at all
        return None


@lru_cache(maxsize=8)
def _statements(source: str) -> dict[str, list[ast.stmt]]:
    """Return the statements of a module that give a name a value, by name."""
    found: dict[str, list[ast.stmt]] = {}
    left: list[ast.AST] = [ast.parse(source)]
    while left:
        node = left.pop()
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in _names_below(target):
                    found.setdefault(name, []).insert(0, node)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            left.extend(ast.iter_child_nodes(node))
    return found


def _names_below(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


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
    found: list[FunctionType] = []
    for each in vars(what).values():
        inner = (getattr(each, name, None) for name in _WRAPPED)
        found += [plain for plain in map(_plain, (each, *inner)) if isinstance(plain, FunctionType)]
    return found


def _names_in(what: Any) -> set[str]:
    """Return the names in the text of a class, as what its body uses is in none of its functions."""
    if isinstance(what, FunctionType):
        return set()
    try:
        return _names_below(ast.parse(_text(what)))
    except SyntaxError:  # no text: what was compiled
        return set()


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
