"""The repository: every operation of art, for the command line and for Python.

`Repo` puts the other modules together. Nothing in this package loops over bytes, writes YAML, asks
SQL or prints. Its operations are in modules by what they are about, each built on the one before:
`base`, `looking`, `publishing`, `objects`, `changing`, `sharing`, `running`, `drafting`, `reacting`,
`reporting`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from art import place
from art.backend import LocalBackend
from art.errors import ConflictError, NoRepositoryError
from art.place import DIRECTORY
from art.repo.base import Published
from art.repo.reporting import Reporting
from art.store import Store

__all__ = ["Published", "Repo", "init", "open"]


def init(path: str | os.PathLike[str] = ".", *, bare: bool = False, nested: bool = False) -> Repo:
    """Create a repository in the folder `path`, or open the one that is there.

    Raise ConflictError inside another repository unless `nested`, CorruptError where there is what
    is left of one.
    """
    root = Path(os.path.abspath(path))
    if os.path.lexists(root / "format.yaml"):
        raise ConflictError(
            f"{root} is a bare repository, which others push to",
            hint=f"art clone {root} FOLDER makes one to work in",
        )
    if not place.is_complete(root / DIRECTORY):
        above = None if nested else place.find(root.parent)
        if above:
            raise ConflictError(
                f"{root} lies in the repository at {above}",
                hint="art init --nested makes one all the same",
            )
        place.make(root / DIRECTORY)
        with contextlib.suppress(ConflictError):  # another process makes it at the same time
            Store.init(LocalBackend(root / DIRECTORY), bare=bare)
    return Repo(root)


def open(path: str | os.PathLike[str] | None = None) -> Repo:
    """Open the repository in `path` or the nearest folder above; by default `ART_DIR` or this folder.

    Raise NoRepositoryError where there is none, CorruptError where the nearest one is damaged.
    """
    start = Path(path or os.environ.get("ART_DIR") or ".").absolute()
    found = place.find(start)
    if found is None and os.path.lexists(start / "format.yaml"):
        raise NoRepositoryError(
            f"{start} is a bare repository, which is looked at as a remote",
            hint="art ls --remote .",
        )
    if found is None:
        raise NoRepositoryError(f"no repository in {start} or above", hint="art init")
    return Repo(found)


class Repo(Reporting):
    """One repository. Open it with `art.open()`, make it with `art.init()`."""
