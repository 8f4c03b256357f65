"""The calls of other systems on a repository of art: code runs on when its import lines are changed.

`prefect`, `clearml`, `zenml` and `union` have what those systems have for artifacts, under the same
names. They use art as any program does. The repository is the one of `ART_DIR` or of the current folder,
and opened when it is first needed; NoRepositoryError says that there is none. docs/porting.md has a table
of the calls.
"""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from uuid import UUID

import art
from art import ConflictError, Filter, NotFoundError, Repo, UsageError, Version

__all__ = ["close", "repository"]

_open: dict[tuple[int, str], Repo] = {}
_lock = threading.Lock()


def repository(path: str | None = None) -> Repo:
    """Return the repository that the calls work on, or that in `path`. It stays open, for all threads of
    this process."""
    start = path or os.environ.get("ART_DIR") or "."
    place = (os.getpid(), os.path.abspath(start))  # noqa: PTH100 - it is asked for often
    with _lock:
        if place not in _open:
            _open[place] = art.open(start)
        return _open[place]


def close() -> None:
    """Finish what goes on in the background and let go of all repositories. Raise what went wrong."""
    with _lock:
        repos = [_open.pop(place) for place in list(_open)]
    for repo in repos:
        repo.close()


def key_of(name: str) -> str:
    """Return the key for a name of another system: `Numpy Eye` → `Numpy-Eye`. Its `/` are kept.

    Raise UsageError where nothing of it can be part of a key.
    """
    plain = unicodedata.normalize("NFKD", str(name))
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    parts = [re.sub("[^A-Za-z0-9._-]+", "-", part).strip("-._") for part in plain.split("/")]
    parts = [re.sub(r"\.yaml$", "-yaml", part) for part in parts]  # such a key cannot be
    if not all(parts):
        raise UsageError(
            f"{name!r} cannot be the name of an artifact: nothing of it can be part of a key",
            hint="names have Latin letters or digits, also between their slashes",
        )
    return "/".join(parts)


def title_of(name: str) -> str | None:
    """Return the title by which a version keeps its name where its key cannot."""
    return None if key_of(name) == name else name


def label_of(tag: str) -> str:
    """Return the label for a tag of another system: without spaces and commas."""
    return re.sub(r"[\s,]+", "-", str(tag).strip())


def name_of(version: Version, prefix: str = "") -> str:
    """Return the name under which a version was made, below the key `prefix`."""
    short = (version.key or "").removeprefix(prefix)
    title = version.manifest.title
    return title if title and _is_key(title, short) else short


def _is_key(name: str, key: str) -> bool:
    try:
        return key_of(name) == key
    except UsageError:
        return False


def check_same_name(repo: Repo, name: str, prefix: str = "") -> None:
    """Raise ConflictError where the key of a name is that of an artifact with another name."""
    key = prefix + key_of(name)
    try:
        latest = repo.version(key)
    except NotFoundError:
        return
    if (other := name_of(latest, prefix)) != name:
        raise ConflictError(
            f"{name!r} and {other!r} would both be {key}", hint="rename one of them"
        )


def version_by_uid(repo: Repo, uid: UUID | str) -> Version:
    """Return the version with a uid, keyed or keyless. Raise NotFoundError."""
    for filter in (Filter(all=True), Filter(anonymous=True)):
        for record in repo.listing(filter=filter):
            if record.uid == str(uid):
                return repo.version(record.ref)
    raise NotFoundError(f"there is no artifact with the id {uid}", hint="art ls --all")
