"""While packs of a repository are read or written, gc there has to wait: it may take any of them away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import art
from art.backend import LocalBackend, LocalStaged
from art.repo import Repo
from tests.support_gc import may_collect
from tests.support_state import random_bytes


def _create(repo: Repo, folder: Path) -> None:
    repo.create("new", _file(folder, 2))


def _push(repo: Repo, folder: Path) -> None:
    repo.push()


def _pull(repo: Repo, folder: Path) -> None:
    repo.pull()


def _get(repo: Repo, folder: Path) -> None:
    repo.version("here").get(folder / "out")


def _export(repo: Repo, folder: Path) -> None:
    repo.export(folder / "here.tar", "here")


def _import(repo: Repo, folder: Path) -> None:
    with art.init(folder / "other") as other:
        other.create("theirs", _file(folder, 3))
        other.export(folder / "theirs.tar", "theirs")
    repo.import_archive(folder / "theirs.tar")


@pytest.mark.parametrize("work", [_create, _push, _pull, _get, _export, _import])
def test_gc_waits_for_who_uses_packs(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Repo, Path], None]
) -> None:
    repo.remotes.add("origin", str(tmp_path / "remote"))
    with art.clone(str(tmp_path / "remote"), tmp_path / "clone") as clone:
        clone.create("there", _file(tmp_path, 1))
        clone.push()
    repo.fetch()
    repo.create("here", _file(tmp_path, 0))
    free = _watch(repo, monkeypatch)

    work(repo, tmp_path)

    assert free, "packs are looked at"
    assert not any(free)
    assert may_collect(repo.root), "afterwards it need not wait"


def _watch(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that gets, each time a pack of this repository is used, whether gc could begin."""
    free: list[bool] = []
    read, commit = LocalBackend.read, LocalStaged.commit
    own = str(repo.root)

    def reading(self: LocalBackend, name: str, *where: int) -> bytes:
        if name.startswith("packs/") and self.where.startswith(own):
            free.append(may_collect(repo.root))
        return read(self, name, *where)

    def committing(self: LocalStaged, name: str) -> None:
        if name.startswith("packs/") and self._backend.where.startswith(own):
            free.append(may_collect(repo.root))
        commit(self, name)

    monkeypatch.setattr(LocalBackend, "read", reading)
    monkeypatch.setattr(LocalStaged, "commit", committing)
    return free


def _file(folder: Path, seed: int) -> Path:
    (folder / "file").write_bytes(random_bytes(300_000, seed))
    return folder / "file"
