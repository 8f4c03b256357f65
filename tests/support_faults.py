"""A backend that fails at the n-th step of writing, and a look at what is left afterwards."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import art.repo.base
from art.backend import LocalBackend, LocalStaged
from art.disk import explain
from art.repo import Repo

NEVER = 10**9


class Death(BaseException):
    """The process is gone: nothing that comes after it has any effect."""


@dataclass
class Fault:
    """What goes wrong, and at which step of writing.

    `kind` is `full` (ENOSPC from then on), `eio` (once), `death` (nothing happens any more) or
    `lost` (an exclusive creation that succeeded says that the name was taken). `is_late` faults come
    when the step has had its effect.
    """

    at: int
    kind: str
    is_late: bool = False
    steps: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def has_fired(self) -> bool:
        return len(self.steps) >= self.at

    @property
    def is_dead(self) -> bool:
        return self.kind == "death" and self.has_fired

    @contextmanager
    def step(self, name: str, path: str) -> Iterator[bool]:
        """Wrap one step; the value says whether the step is the one that fails, late."""
        with self._lock:
            if self.is_dead:
                raise Death
            self.steps.append(name)
            number = len(self.steps)
        is_hit = number == self.at or (self.kind == "full" and number > self.at)
        if is_hit and (not self.is_late or name == "stage"):  # what is half open is no state
            self._raise(path)
        yield is_hit
        if is_hit:
            self._raise(path)

    def _raise(self, path: str) -> None:
        if self.kind == "death":
            raise Death
        if self.kind != "lost":
            code = errno.ENOSPC if self.kind == "full" else errno.EIO
            explain(OSError(code, os.strerror(code)), path)


class FaultyBackend(LocalBackend):
    """A LocalBackend all of whose writing goes through a Fault."""

    def __init__(self, root: Path, fault: Fault) -> None:
        super().__init__(root)
        self.fault = fault

    def stage(self) -> LocalStaged:
        with self.fault.step("stage", "tmp"):
            self.make_directory("tmp")
            return FaultyStaged(self, f"{self.root}/tmp/{os.urandom(8).hex()}")

    def make_directory(self, name: str) -> None:
        if self.fault.is_dead:
            raise Death
        super().make_directory(name)

    def delete(self, name: str) -> None:
        with self.fault.step("delete", name):
            super().delete(name)


class FaultyStaged(LocalStaged):
    """A temporary file of a FaultyBackend."""

    def __init__(self, backend: FaultyBackend, path: str) -> None:
        super().__init__(backend, path)
        self._fault = backend.fault

    def write(self, data: bytes) -> None:
        with self._fault.step("write", self._path) as is_hit:
            is_cut = is_hit and self._fault.kind != "lost"
            super().write(data[: len(data) // 2] if is_cut else data)

    def commit(self, name: str) -> None:
        with self._fault.step("commit", name):
            super().commit(name)

    def publish(self, name: str) -> bool:
        with self._fault.step("publish", name) as is_hit:
            is_ours = super().publish(name)
        return is_ours and not (is_hit and self._fault.kind == "lost")

    def discard(self) -> None:
        if self._fault.is_dead:
            self._is_here = False  # a dead process removes nothing
        super().discard()


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, root: Path, fault: Fault) -> Iterator[Repo]:
    """Open a repository whose writing fails as `fault` says."""
    with monkeypatch.context() as patch:
        patch.setattr(art.repo.base, "LocalBackend", lambda place: FaultyBackend(place, fault))
        with Repo(root) as repo:
            yield repo


def temporary_files(root: Path) -> list[str]:
    """Return the names of what lies in the repository's folder for temporary files."""
    place = root / ".art" / "tmp"
    return sorted(path.name for path in place.iterdir()) if place.exists() else []
