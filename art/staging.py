"""Temporary folders: that which a payload is written into before it gets its name, and that of a run.

A process holds a lock on its own, which ends with the process however that ends. So the next one can
tell what was left behind by one that was killed, and removes it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from art.disk import explain

if sys.platform != "win32":  # there, what is left behind stays until somebody removes it
    import fcntl

_NAME = re.compile(r"\.[0-9a-f]{12}\.art-get")
_OF_RUNS = re.compile(r"art-run-[0-9a-f]{12}")


def is_temporary(name: str) -> bool:
    """Whether this is the name of such a folder; no version holds one."""
    return _NAME.fullmatch(name) is not None


@contextlib.contextmanager
def beside(target: Path) -> Iterator[str]:
    """Give a new folder on the file system of `target`, in it where it is a folder, else beside it; it
    is gone at the end. Nobody else may look into it."""
    place = target if target.is_dir() else target.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(str(place))
        path, lock = _make(str(place), ".", ".art-get")
    except OSError as error:
        explain(error, str(place))
    try:
        yield path
    finally:
        remove(path)
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def of_run() -> Iterator[tuple[str, int | None]]:
    """Give a new folder among the temporary ones, which is gone at the end, and the handle that holds its
    lock, where there are locks: a process that has it, too, keeps the folder as long as it lives."""
    place = tempfile.gettempdir()
    try:
        with contextlib.suppress(PermissionError):  # who may not look need not tidy up
            sweep(place, _OF_RUNS)
        path, lock = _make(place, "art-run-")
    except OSError as error:
        explain(error, place)
    try:
        yield path, lock
    finally:
        remove(path)
        if lock is not None:
            os.close(lock)


def sweep(place: str, names: re.Pattern[str] = _NAME) -> None:
    """Remove from a folder what processes that are no more left there."""
    if sys.platform == "win32":
        return
    with os.scandir(place) as entries:
        found = [entry.path for entry in entries if names.fullmatch(entry.name)]
    for path in found:
        with contextlib.suppress(OSError):  # still in use, another user's, or gone by now
            handle = _locked(path)
            try:
                if os.fstat(handle).st_uid == os.geteuid():
                    remove(path)
            finally:
                os.close(handle)


def _make(place: str, before: str, after: str = "") -> tuple[str, int | None]:
    """Return a new folder and the handle that holds its lock, where there are locks."""
    while True:
        path = f"{place}/{before}{secrets.token_hex(6)}{after}"
        if sys.platform == "win32":
            os.mkdir(path)
            return path, None
        os.mkdir(path, 0o700)
        try:
            handle = _locked(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process took it for left behind, as it had no lock yet
        except OSError:
            return path, None  # a file system without locks: there, nobody else gets one either
        if os.path.lexists(path):
            return path, handle
        os.close(handle)


def _locked(path: str) -> int:
    """Return a handle of a folder that holds its lock. Raise OSError where another one does."""
    assert sys.platform != "win32"
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def remove(path: str) -> None:
    """Remove a folder of ours, as far as that goes: however deep, and whatever modes it has."""
    folders = [path]
    for folder in folders:  # which grows meanwhile
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
            folders += _empty(folder)
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _empty(folder: str) -> list[str]:
    """Remove the files of a folder; return the folders in it."""
    inner: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            (inner if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    for name in files:
        os.unlink(f"{folder}/{name}")
    return [f"{folder}/{name}" for name in inner]
