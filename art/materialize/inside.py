"""The files of an object in the folder that it was taken out to, whatever is said of them."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from art.errors import CorruptError
from art.materialize.scalars import exactly

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


def checked_number(number: Any) -> str:
    """Return the name of a file that a number stands for. Raise ValueError."""
    if not _NUMBER.fullmatch(number):
        raise ValueError("a file has no such number")
    return str(number)


def checked_name(name: Any) -> str:
    """Return a name that a file can have. Raise ValueError, TypeError."""
    if exactly(str, name) in ("", ".", "..") or not {"/", "\\", "\0"}.isdisjoint(name):
        raise ValueError("a file has no such name")
    return str(name)


def file_in(folder: Path, *parts: str) -> Path:
    """Return the path of a file. Raise CorruptError where it is not there."""
    return _own(folder, parts, stat.S_ISREG, "file")


def folder_in(folder: Path, *parts: str) -> Path:
    """Return the path of a folder. Raise CorruptError where it is not there."""
    return _own(folder, parts, stat.S_ISDIR, "folder")


def _own(folder: Path, parts: tuple[str, ...], is_right: Callable[[int], bool], what: str) -> Path:
    """Return the path of what lies in a folder. Raise CorruptError where it does not, or where a link
    leads out of it."""
    path = folder
    for number, part in enumerate(parts, 1):
        path = path / part
        try:
            mode = path.lstat().st_mode
        except OSError:
            raise CorruptError(f"there is no {what} {'/'.join(parts)}") from None
        if not (is_right(mode) if number == len(parts) else stat.S_ISDIR(mode)):
            raise CorruptError(f"{'/'.join(parts[:number])} is not the {what} it must be")
    return path
