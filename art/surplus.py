"""What lies in a folder and is not part of a version: found first, removed when that is wanted."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from art.disk import explain
from art.errors import ConflictError
from art.folder import Folder, stamp
from art.staging import is_temporary
from art.tree import Node, folders_above

_REPOSITORIES = (".art", ".git")


@dataclass(frozen=True)
class Surplus:
    """Files and links in the folder `root` that a version does not have, each with the stamp of what
    was seen, and folders that it does not have, the innermost first. Paths are relative to it."""

    root: Path
    files: list[tuple[str, bytes]]
    folders: list[str]

    @property
    def paths(self) -> list[str]:
        """What would be removed, in order; folders end in `/`."""
        return sorted([*(path for path, _ in self.files), *(f"{path}/" for path in self.folders)])

    def remove(self) -> int:
        """Remove them, and nothing else; return how many files and links that were.

        Raise ConflictError where one has changed since; folders that have come to hold something
        stay.
        """
        if not self.files and not self.folders:
            return 0
        with Folder(str(self.root)) as folder:
            for path, seen in self.files:
                folder.remove(path, seen)
            for path in self.folders:
                folder.remove_empty(path)
        return len(self.files)


def find_surplus(root: Path, nodes: Iterable[Node]) -> Surplus:
    """Return what lies below `root` and is none of the nodes. Links are not followed.

    Raise ConflictError where there is a repository in the folder, or the folder is in one's own.
    """
    root = root.absolute()
    if not root.is_dir():
        return Surplus(root, [], [])
    if root.is_symlink():
        raise ConflictError(f"{root} is a symbolic link: nothing is removed through it")
    where = root.resolve().parts
    if inside := next((part for part in where if part.lower() in _REPOSITORIES), None):
        raise ConflictError(f"{root} lies in {inside}: nothing is removed there")
    wanted: set[str] = set()
    for node in nodes:
        wanted.add(node.path)
        wanted.update(folders_above(node.path))
    files: list[tuple[str, bytes]] = []
    folders: list[str] = []
    for entry, path in _walk(str(root)):
        if path in wanted:
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(path)
        else:
            files.append((path, stamp(entry.stat(follow_symlinks=False))))
    return _without_namesakes(Surplus(root, files, folders[::-1]), wanted)


def _walk(root: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield all below a folder, each folder before what is in it."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(f"{root}/{prefix}") as entries:
                found = list(entries)
        except OSError as error:
            explain(error, f"{root}/{prefix}")
        for entry in found:
            if entry.name.lower() in _REPOSITORIES:
                raise ConflictError(
                    f"{root} holds {prefix}{entry.name}: nothing is removed from around a repository",
                    hint="take the version out into a folder of its own",
                )
            if is_temporary(entry.name):
                continue
            yield entry, prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{prefix}{entry.name}/")


def _without_namesakes(surplus: Surplus, wanted: set[str]) -> Surplus:
    """Leave out what the file system takes for something of the version: README for Readme."""
    if not surplus.files and not surplus.folders:
        return surplus
    names = {_folded(path): path for path in wanted}

    def is_other(path: str) -> bool:
        near = names.get(_folded(path))
        if near is None or not os.path.lexists(surplus.root / near):
            return True
        return not os.path.samestat(os.lstat(surplus.root / near), os.lstat(surplus.root / path))

    return Surplus(
        surplus.root,
        [(path, seen) for path, seen in surplus.files if is_other(path)],
        [path for path in surplus.folders if is_other(path)],
    )


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
