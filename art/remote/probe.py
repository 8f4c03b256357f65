"""Whether a store keeps what art relies on, found out by trying."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from art.backend import Backend
from art.model import new_uid

_ROUNDS = 5
_WRITERS = 2
_RANGES = ((0, 1), (3, 4), (0, 10), (9, 1), (8, 100), (10, 5))


@dataclass(frozen=True)
class Probe:
    """What was found; all of it must be true where several people write."""

    creates_once: bool  # a second creation is refused, and the first content stays
    one_of_two_wins: bool  # of writers at the same time exactly one is told that it created it
    lists_at_once: bool  # what was written is in the listing
    reads_ranges: bool  # a part of the bytes is that part
    replaces: bool  # what was replaced is read as it is now
    deletes: bool  # what was deleted is gone

    @property
    def is_safe(self) -> bool:
        """Whether several people may write there."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What it does not keep, in words that follow "the store"."""
        said = {
            "creates_once": "lets a name be written again that must be given once",
            "one_of_two_wins": "lets two writers at once both believe that a name is theirs",
            "lists_at_once": "does not list what was just written",
            "reads_ranges": "returns other bytes than the part that was asked for",
            "replaces": "returns old content after it was replaced",
            "deletes": "keeps what was deleted",
        }
        return [words for field, words in said.items() if not getattr(self, field)]


def probe(backend: Backend) -> Probe:
    """Try what art relies on, below `tmp/`, and remove what that left.

    Raise DeniedError or UnavailableError where it cannot be tried.
    """
    folder = f"tmp/probe-{new_uid()}"
    try:
        return Probe(
            creates_once=_creates_once(backend, f"{folder}/once"),
            one_of_two_wins=all(
                _one_wins(backend, f"{folder}/race-{number}") for number in range(_ROUNDS)
            ),
            lists_at_once=_lists(backend, folder),
            reads_ranges=_reads_ranges(backend, f"{folder}/ranges"),
            replaces=_replaces(backend, f"{folder}/replaced"),
            deletes=_deletes(backend, f"{folder}/deleted"),
        )
    finally:
        for item in list(backend.walk(folder)):
            backend.delete(item.name)


def _creates_once(backend: Backend, name: str) -> bool:
    first, second = _unique(name, 2)
    is_mine = backend.create(name, first)
    is_refused = not backend.create(name, second)
    return is_mine and is_refused and backend.read(name) == first


def _one_wins(backend: Backend, name: str) -> bool:
    contents = list(_unique(name, _WRITERS))
    start = threading.Barrier(_WRITERS)

    def create(content: bytes) -> bool:
        start.wait()
        return backend.create(name, content)

    with ThreadPoolExecutor(_WRITERS, "probe") as threads:
        won = list(threads.map(create, contents))
    return sum(won) == 1 and backend.read(name) == contents[won.index(True)]


def _lists(backend: Backend, folder: str) -> bool:
    created = f"{folder}/listed/below"
    backend.create(created, b"listed")
    walked = {item.name: item.size for item in backend.walk(folder)}
    is_named = "listed/" in backend.names(folder) and "below" in backend.names(f"{folder}/listed")
    return is_named and walked.get(created) == 6


def _reads_ranges(backend: Backend, name: str) -> bool:
    content = b"0123456789"
    backend.create(name, content)
    return backend.size(name) == 10 and all(
        backend.read(name, start, length) == content[start : start + length]
        for start, length in _RANGES
    )


def _replaces(backend: Backend, name: str) -> bool:
    for content in _unique(name, 3):
        backend.replace(name, content)
        if backend.read(name) != content:
            return False
    return True


def _deletes(backend: Backend, name: str) -> bool:
    backend.create(name, b"deleted")
    backend.delete(name)
    backend.delete(name)  # again is no error
    try:
        backend.read(name)
    except FileNotFoundError:
        return backend.size(name) is None
    return False


def _unique(name: str, count: int) -> Iterator[bytes]:
    for number in range(count):
        yield f"{name} {number} {new_uid()}".encode()
