"""What paths and globs name on the disk."""

from __future__ import annotations

import errno
import glob
import os
from itertools import dropwhile

from art.disk import explain
from art.errors import NotFoundError, UsageError
from art.nearest import nearest
from art.tree import folders_above

_LISTED = 1000  # names among which one is looked for that is spelled nearly so


def expand(path: str) -> list[str]:
    """Return what a path or a glob names, in order; a glob passes over repositories' own folders.

    Raise NotFoundError where nothing is there, UsageError where the path is a repository's own folder, or
    leads into one.
    """
    if _is_there(path):
        refuse_own(path)
        return [path]
    if glob.has_magic(path):
        try:
            found = glob.glob(path, recursive=True)
        except RecursionError:
            raise UsageError(
                f"glob {path!r} leads through too many folders in each other",
                hint="name the folder",
            ) from None
        found = [match for match in found if not _leads_through_link(match, path)]
        if matches := sorted(match for match in found if not _is_own(match)):
            return _outermost(matches) if "**" in path else matches
        _refuse_unreadable(path)
        raise NotFoundError(f"glob {path!r} matches nothing in {os.getcwd()}")
    hint = None
    if path.startswith("-"):
        hint = f"options come before the paths; a file named so is ./{path}"
    elif near := _nearest(path):
        hint = f"did you mean {near}?"
    raise NotFoundError(f"there is no file or folder {path!r} in {os.getcwd()}", hint=hint)


def _nearest(path: str) -> str | None:
    """Return the file or folder beside it whose name is spelled nearly so."""
    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")[:_LISTED]
    except OSError:
        return None
    near = nearest(name, names)
    return os.path.join(folder, near[0]) if near else None


def refuse_own(path: str) -> None:
    """Raise UsageError for a repository's own folder, and for what lies in one."""
    if _is_own(path):
        raise UsageError(
            f"{path} belongs to a repository: a folder called .art is never part of a version",
            hint="name the files beside it; art clone copies a repository",
        )


def _is_own(path: str) -> bool:
    """Whether a path is that of a repository's own folder, or of something in one, links followed."""
    return ".art" in os.path.realpath(path).lower().split(os.sep)


def _is_there(path: str) -> bool:
    """Whether something is at `path`. Raise DeniedError where that may not be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return False
        explain(error, path)
    return True


def _refuse_unreadable(pattern: str) -> None:
    """Raise DeniedError where a glob finds nothing because its folder may not be read."""
    parts = pattern.split(os.sep)
    folder = os.sep.join(parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
    if os.path.isdir(folder or os.sep) and not os.access(folder or os.sep, os.R_OK | os.X_OK):
        explain(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), folder)


def _leads_through_link(match: str, pattern: str) -> bool:
    """Whether a glob came to a path through a link to a folder, which may lead anywhere."""
    fixed = len(pattern.split(os.sep)) - len(
        list(dropwhile(lambda part: not glob.has_magic(part), pattern.split(os.sep)))
    )
    parts = match.rstrip(os.sep).split(os.sep)
    return any(os.path.islink(os.sep.join(parts[:end])) for end in range(fixed + 1, len(parts)))


def _outermost(paths: list[str]) -> list[str]:
    """Leave out what lies in a folder that is there as well: `**` gives both."""
    kept: dict[str, None] = {}
    for path in paths:
        bare = path.rstrip(os.sep)
        if not any(folder in kept for folder in folders_above(bare.replace(os.sep, "/"))):
            kept[bare] = None
    return list(kept)
