"""Repositories out of remotes: a clone that stays, and one that is forgotten after use."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from art import place
from art.backend import LocalBackend
from art.disk import explain
from art.errors import ConflictError, CorruptError
from art.opening import open_url
from art.place import DIRECTORY
from art.repo import Repo
from art.reporter import Reporter
from art.store import Store

_ORIGIN = "origin"


def clone(
    url: str,
    path: str | os.PathLike[str] | None = None,
    *,
    options: Mapping[str, str] | None = None,
    depth: int | None = None,
    all: bool = False,
    payload: bool = False,
    reporter: Reporter | None = None,
) -> Repo:
    """Make a repository in `path`, by default a folder named as the end of the URL, with the history
    of the remote at `url`, which becomes its `origin`.

    Payloads come when they are needed; with `payload`, `depth` or `all` those that `Repo.pull` brings
    come at once. Raise ConflictError where there is a repository already, or what the remote raises;
    then nothing is left behind, but with CorruptError all that is whole there.
    """
    remote = open_url(url, options)
    root = Path(os.path.abspath(path if path is not None else _name(url)))
    is_new = _claim(root)
    repo: Repo | None = None
    try:
        repo = _new(root, remote, url, options, reporter)
        if payload or all or depth is not None:
            for left in repo.pull(depth=depth or 1, all=all).left:
                repo.reporter.warn(f"{left.ref} has no payload here: {left.reason}")
        else:
            repo.fetch()
    except CorruptError:
        raise
    except BaseException:
        if repo:
            repo.close()
        shutil.rmtree(root / DIRECTORY, ignore_errors=True)
        with contextlib.suppress(OSError):  # what others put there meanwhile stays
            if is_new:
                root.rmdir()
        raise
    return repo


def _claim(root: Path) -> bool:
    """Make the folder of a repository that is nobody else's; return whether `root` itself is new."""
    is_new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / DIRECTORY).mkdir()
    except FileExistsError:
        raise ConflictError(
            f"{root} has a repository already", hint=f"art -C {root} pull"
        ) from None
    except OSError as error:
        explain(error, str(root))
    return is_new


@contextlib.contextmanager
def open_remote(
    url: str,
    *patterns: str,
    options: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Repo]:
    """Yield a repository in a temporary folder with the history of the keys that match, or of all,
    whose payloads come from the remote. What is changed in it is lost."""
    remote = open_url(url, options)
    with tempfile.TemporaryDirectory(prefix="art-") as folder:
        repo = _new(Path(folder), remote, url, options, reporter)
        repo.place = repo.remotes.get(_ORIGIN).url
        try:
            fetched: set[str] = set()
            while wanted := set(patterns) - fetched:
                repo.fetch(*wanted)
                fetched |= wanted
                patterns += tuple(repo.moved_keys(*wanted))  # references go on there
            if not fetched:
                repo.fetch()
            yield repo
        finally:
            repo.close()


def _new(
    root: Path,
    remote: Store,
    url: str,
    options: Mapping[str, str] | None,
    reporter: Reporter | None,
) -> Repo:
    """Make a repository that cuts files as the remote does, so that their chunks are the same."""
    place.make(root / DIRECTORY)
    Store.init(LocalBackend(root / DIRECTORY), chunking=remote.chunking)
    repo = Repo(root, reporter)
    try:
        repo.remotes.adopt(remote, url, options)
        repo.remotes.add(_ORIGIN, url, options, probe=False)
    except BaseException:
        repo.close()
        raise
    return repo


def _name(url: str) -> str:
    """Return the last part of a URL, without what fsspec or a bare folder puts behind it."""
    name = url.rstrip("/").rpartition("/")[2]
    return name.removesuffix(".art") or "clone"
