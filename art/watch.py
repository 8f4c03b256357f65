"""A file or folder on the disk, saved again whenever it changed."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from art.errors import ArtError, ConflictError, UsageError
from art.place import DIRECTORY

T = TypeVar("T")
_STEP = 50  # milliseconds without a change after which changes count as done
_GONE_SECONDS = 0.2  # between two looks whether what was removed is there again
_RETRIES = 5  # times that a file which changes while it is read is looked at again at once


def watch(
    path: str | os.PathLike[str],
    save: Callable[[], T],
    *,
    debounce: float,
    stop: threading.Event | None = None,
) -> Iterator[T | ArtError]:
    """Yield what `save` returns now and after each change, or the error that it raised: the next change
    may mend that. Changes are waited for to end, for at most `debounce` seconds.

    What changes in `.art` is no change. Ends when `stop` is set. Raise UsageError where watchfiles is
    not installed or there is nothing to watch.
    """
    try:
        import watchfiles  # noqa: F401 - whether it is there is said before anything else
    except ImportError:
        raise UsageError("watching needs watchfiles", hint="pip install 'art-vcs[watch]'") from None
    if not 0 < debounce < 86400:
        raise UsageError(f"debounce {debounce!r} is not a number of seconds above 0")
    target = os.path.abspath(path)
    if not os.path.lexists(target):
        raise UsageError(f"there is nothing to watch at {target}")
    ended = stop or threading.Event()
    yield _saved(save, ended)
    while not ended.is_set():
        is_first = True  # what changed between the look before and the beginning is found
        for is_change in _changes(target, debounce, ended):
            if is_change or is_first:
                yield _saved(save, ended)
            is_first = False
        while not os.path.exists(_watched(target)) and not ended.wait(_GONE_SECONDS):
            pass


def _changes(target: str, debounce: float, ended: threading.Event) -> Iterator[bool]:
    """Yield whether something changed, now and then, until there is another folder in the place of the
    one that is watched, or none."""
    import watchfiles

    places = {_watched(target)}
    targets = {target}
    if os.path.exists(target):  # of a link, what it leads to as well
        targets.add(os.path.realpath(target))
        places = set(map(_watched, targets))
    looked = {target, *places}
    before = {place: _folder(place) for place in looked}
    with contextlib.suppress(FileNotFoundError):  # it was removed at this very moment
        for found in watchfiles.watch(
            *places,
            watch_filter=lambda _, name: any(_concerns(name, each) for each in targets),
            debounce=max(_STEP, int(debounce * 1000)),
            step=max(1, min(_STEP, int(debounce * 1000))),
            stop_event=ended,
            yield_on_timeout=True,
            rust_timeout=max(200, int(debounce * 1000)),
            recursive=os.path.isdir(target),
            raise_interrupt=True,
        ):
            yield bool(found)
            if {place: _folder(place) for place in looked} != before:
                return


def _folder(path: str) -> tuple[int, int] | None:
    """Return which folder this is now, None where it is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _watched(target: str) -> str:
    """Return what to watch: a file's folder, because programs put new files in the place of old ones."""
    return target if os.path.isdir(target) else os.path.dirname(target)


def _concerns(name: str, target: str) -> bool:
    if name != target and not name.startswith(target + os.sep):
        return False
    return DIRECTORY not in Path(os.path.relpath(name, target)).parts


def _saved(save: Callable[[], T], ended: threading.Event) -> T | ArtError:
    for turn in range(_RETRIES):
        try:
            return save()
        except ConflictError as error:  # it changes at this very moment
            if turn == _RETRIES - 1 or ended.wait(0.1 * 2**turn):
                return error
        except ArtError as error:
            return error
    raise AssertionError("unreachable")
