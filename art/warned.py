"""Warnings that name the line of the program that called art, rather than one of art's own."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120 - as code has it
_BETWEEN = {"contextlib", "threading", "concurrent.futures.thread"}  # art is on both sides of these


@dataclass(frozen=True)
class Line:
    """A line of a program, and the names that its module has."""

    file: str
    number: int
    names: dict[str, Any]


_asked: ContextVar[Line | None] = ContextVar("art_asked", default=None)


def caller() -> Line | None:
    """Return the line that called art: in a thread of art's own what `on_behalf` says."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_HERE) and frame.f_globals.get("__name__") not in _BETWEEN:
            return Line(file, frame.f_lineno, frame.f_globals)
        frame = frame.f_back
    return _asked.get()


@contextmanager
def on_behalf(line: Line | None) -> Iterator[None]:
    """Let what is done inside, in another thread than that which asked for it, be of the line that did."""
    token = _asked.set(line)
    try:
        yield
    finally:
        _asked.reset(token)


def warn(message: str) -> None:
    """Warn the program that called art."""
    line = caller() or Line(__file__, 1, globals())
    warnings.warn_explicit(
        message,
        UserWarning,
        line.file,
        line.number,
        module=line.names.get("__name__"),
        registry=line.names.setdefault("__warningregistry__", {}),
    )
