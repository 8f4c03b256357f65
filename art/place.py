"""Where a repository lies: the nearest one is found, a new one is given its folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from art.backend import Backend, LocalBackend
from art.disk import explain
from art.errors import ConflictError, CorruptError, DeniedError, StorageError

DIRECTORY = ".art"
UNFINISHED = "sync/unfinished.json"  # what a killed process began and whoever comes next finishes
RENUMBERED = "sync/renumbered.json"  # which versions had other numbers before they were published
PUBLISHED = "published.json"  # of what is known of a remote, in sync/<its id>/
GC_LOCK = "gc"  # writers of payloads hold it together, who deletes them holds it alone
_FORMAT = "format.yaml"
_IGNORED = ".gitignore"
# What `make` leaves where it is killed: with nothing else, there never was a repository.
_BEGUN = {"tmp", _IGNORED}


@contextlib.contextmanager
def without_gc(backend: Backend) -> Iterator[None]:
    """Let gc, which joins packs to others, wait until what is here has been read, where there are locks."""
    held = None
    if isinstance(backend, LocalBackend):
        with contextlib.suppress(DeniedError, StorageError):  # a disk that is only read, say
            held = backend.together(GC_LOCK)
    try:
        yield
    finally:
        if held:
            held.release()


def find(start: Path) -> Path | None:
    """Return the nearest folder, `start` or one above, that holds a repository.

    Raise CorruptError where the nearest one has lost its `format.yaml`: what was meant for it must
    not go to another one further up.
    """
    for folder in (start, *start.parents):
        place = folder / DIRECTORY
        if is_complete(place):
            return folder
        if _content(place):
            raise _damaged(place)
    return None


def is_complete(place: Path) -> bool:
    """Whether the folder `place` is a repository's, whatever is in its `format.yaml`."""
    return os.path.lexists(place / _FORMAT)


def make(place: Path) -> None:
    """Make the folder of a repository, durably, and keep git out of it.

    Raise CorruptError where it holds what is left of a repository.
    """
    if _content(place) - _BEGUN:
        raise _damaged(place)
    if os.path.lexists(place) and not place.is_dir():
        raise ConflictError(f"{place} is there and is not a folder", hint="rename it")
    backend = LocalBackend(place)
    missing = [folder for folder in place.parents if not folder.is_dir()]
    for folder in (*reversed(missing), place):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            explain(error, str(folder))
        backend.sync_directory(str(folder.parent))
    backend.create(_IGNORED, b"*\n")


def _content(place: Path) -> set[str]:
    """Return the names in a folder; none where there is no such folder."""
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return set(os.listdir(place))
    except OSError as error:
        explain(error, str(place))
    return set()


def _damaged(place: Path) -> CorruptError:
    if not _content(place) - _BEGUN:
        return CorruptError(
            f"{place} has no {_FORMAT}: making it was interrupted",
            hint=f"art init {place.parent}",
        )
    return CorruptError(
        f"{place} has no {_FORMAT}, though it holds other files of a repository",
        hint=f"bring {_FORMAT} back from a backup, or rename {DIRECTORY} to begin anew",
    )
