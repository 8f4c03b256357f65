"""Paths in a payload: which nodes they name, and where these are taken out to."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from art.keys import GLOB_START, glob_pattern, is_glob
from art.stored import StoredPayload
from art.tree import Node


def named_nodes(payload: StoredPayload, path: str) -> Iterator[Node]:
    """Yield the nodes at a path, below it, or matching a glob; all where it is empty. A name that looks
    like a glob and is there is that name."""
    matches = at_or_below(path)
    if is_glob(path) and not any(matches(node.path) for node in payload.tree()):
        pattern = re.compile(glob_pattern(path) + "(?:/.*)?")  # folders with what is in them
        matches = lambda name: bool(pattern.fullmatch(name))  # noqa: E731 - one of two
    for node in payload.tree():
        if matches(node.path):
            yield node


def relative(nodes: Iterator[Node], path: str) -> Iterator[Node]:
    """Yield the nodes that `path` names with paths from the folder it lies in or is."""
    first = next(nodes, None)
    if first is None:
        return
    if first.path == path and not first.is_dir:
        prefix = os.path.dirname(path)
    else:
        prefix = path if at_or_below(path)(first.path) else _fixed_folder(path)
    for node in itertools.chain([first], nodes):
        if node.path != prefix:  # the folder itself is what it is taken out to
            yield node._replace(path=node.path[len(prefix) + 1 :]) if prefix else node


def at_or_below(path: str) -> Callable[[str], bool]:
    """Return a test whether a name is `path`, or in the folder `path`; all are in ""."""
    return lambda name: not path or name == path or name.startswith(path + "/")


def _fixed_folder(glob: str) -> str:
    """Return the folder that a glob begins with."""
    match = GLOB_START.search(glob)
    return glob[: match.start() if match else None].rpartition("/")[0]


def file_target(to: str | os.PathLike[str] | None, name: str) -> Path:
    """Return where a file of this name goes that is taken out to `to`, as an absolute path: into it where
    that is a folder."""
    name = os.path.basename(name)
    if to is None:
        return Path(os.path.abspath(name))
    is_folder = os.path.isdir(to) or os.fspath(to).endswith(("/", os.sep))
    return Path(os.path.abspath(os.path.join(to, name) if is_folder else to))
