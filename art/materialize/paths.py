"""Files and folders, as they lie on the disk."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any, ClassVar

from art.disk import explain
from art.errors import ConflictError, CorruptError, NotFoundError, UsageError
from art.materialize.base import Folder
from art.model import Document

_AGAIN = "save it when nothing writes to it"


class Paths(Folder):
    """A path means the file or folder there, which is copied under its name, with links as links, modes
    and empty folders. What comes back is the path of a copy."""

    name: ClassVar[str] = "path"
    types: ClassVar[tuple[type | str, ...]] = ("pathlib.PosixPath", "pathlib.WindowsPath")

    def kind_of(self, value: Any) -> str:
        """Return `file` or `folder`."""
        return "folder" if value.is_dir() else "file"

    def preview(self, value: Any) -> Document | None:
        """Return what is in a file."""
        from art import preview

        return None if value.is_dir() else preview.of_file(value)

    def save(self, value: Any, folder: Path) -> Document:
        """Copy the file or folder. A path that is itself a link means what that leads to. Raise
        NotFoundError where there is nothing, UsageError for pipes and the like, ConflictError where
        something changes meanwhile."""
        kind = _kind(value)
        place = value.resolve()
        name = place.name if value.name in ("", "..") else value.name
        if not name:
            raise UsageError(f"{value} has no name to be saved under", hint="name a folder in it")
        if folder.resolve().is_relative_to(place):
            raise UsageError(f"{value} cannot be saved: {folder}, where to, lies in it")
        _copy(place, folder / name)
        return {"name": kind}

    def source(self, value: Any) -> tuple[Path, Document] | None:
        """Return it itself: what `.artignore` names in a folder is left out then."""
        kind = _kind(value)
        name = os.path.basename(os.path.abspath(value))  # noqa: PTH100, PTH119 - resolves no links
        return value, {"name": kind} | ({"folder": name} if kind == "folder" and name else {})

    def load(self, folder: Path, format: Document) -> Any:
        """Return the path of the file or folder. Raise CorruptError where it is not the only one."""
        found = list(folder.iterdir())
        is_right = {"file": stat.S_ISREG, "folder": stat.S_ISDIR}.get(str(format.get("name")))
        if len(found) != 1 or is_right is None or not is_right(found[0].lstat().st_mode):
            raise CorruptError(
                f"there must be one {format.get('name')}, and there are: "
                f"{', '.join(sorted(path.name for path in found)[:5]) or 'none'}"
            )
        return found[0]

    def keeps(self, format: Document) -> bool:
        """Return true: the object is a path into the folder."""
        return True


def _kind(path: Path) -> str:
    try:
        return "folder" if stat.S_ISDIR(path.stat().st_mode) else "file"
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFoundError(
            f"there is no file or folder {str(path)!r} in {Path.cwd()}",
            hint="a path is saved as what lies there; str(path) is saved as a text",
        ) from None
    except OSError as error:
        explain(error, str(path))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all that is in it. Folders get their modes when they are full."""
    left, folders = [(source, target)], []
    try:
        while left:
            source, target = left.pop()
            mode = source.lstat().st_mode
            if stat.S_ISDIR(mode):
                target.mkdir()
                folders.append((target, mode))
                left += [(inner, target / inner.name) for inner in source.iterdir()]
            elif stat.S_ISLNK(mode):
                target.symlink_to(source.readlink())
            else:
                _copy_file(source, target)
        for target, mode in reversed(folders):
            target.chmod(mode & 0o777)
    except FileNotFoundError:
        raise ConflictError(f"{source} went away while it was read", hint=_AGAIN) from None
    except OSError as error:
        explain(error, str(source))


def _copy_file(source: Path, target: Path) -> None:
    found = source.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{source} is neither a file nor a folder nor a link")
    shutil.copyfile(source, target, follow_symlinks=False)
    if _stamp(source.lstat()) != _stamp(found):
        raise ConflictError(f"{source} changed while it was read", hint=_AGAIN)
    target.chmod(found.st_mode & 0o777)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns
