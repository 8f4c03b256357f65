"""Packs that a check found damaged: later checks look at them again, and nothing new relies on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from art.errors import CorruptError
from art.repo import Repo
from tests.support_damage import files_of
from tests.support_fsck import damage
from tests.support_state import random_bytes

_CONTENT = random_bytes(300_000, seed=4)


@pytest.fixture
def damaged(repo: Repo, tmp_path: Path) -> Repo:
    """A repository with a pack in which one byte changed, and the file that is in it elsewhere."""
    (tmp_path / "file").write_bytes(_CONTENT)
    repo.create("key", tmp_path / "file")
    (pack,) = files_of(repo.root, ".pack")
    damage(pack, "flip")
    return repo


def test_every_check_tells_of_a_damaged_pack_that_one_found(damaged: Repo) -> None:
    assert damaged.fsck().is_whole, "no check has read it yet"
    assert not damaged.fsck(data=True).is_whole
    (problem,) = damaged.fsck().problems
    assert problem.refs == ("key@v1",)
    assert not damaged.fsck("key").is_whole
    assert any("a check found" in finding.message for finding in damaged.doctor())


def test_what_a_check_of_some_keys_found_all_others_tell_of(damaged: Repo) -> None:
    assert not damaged.fsck("k*", data=True).is_whole
    assert not damaged.fsck().is_whole


def test_a_repair_that_does_not_read_everything_heals_what_is_known(
    damaged: Repo, tmp_path: Path
) -> None:
    damaged.fsck(sample=1.0)
    done = damaged.execute_repair(damaged.plan_repair(source=tmp_path / "file"))
    assert done.steps
    assert not done.left
    assert damaged.version("key").read() == _CONTENT
    assert damaged.fsck(data=True).is_whole
    assert damaged.fsck().is_whole
    assert all(finding.level != "error" for finding in damaged.doctor())


def test_a_damaged_pack_of_a_remote_is_told_of_again(repo: Repo, tmp_path: Path) -> None:
    repo.create("key", _file(tmp_path))
    repo.remotes.add("origin", str(tmp_path / "remote"))
    repo.push()
    (pack,) = sorted((tmp_path / "remote").rglob("*.pack"))
    damage(pack, "flip")
    repo.fsck(data=True, remote="origin")
    assert not repo.fsck(remote="origin").is_whole
    assert repo.fsck().is_whole, "here it is as it was"
    done = repo.execute_repair(repo.plan_repair(remote="origin"))
    assert not done.left
    assert repo.fsck(remote="origin", data=True).is_whole


@pytest.mark.parametrize("key", ["key", "other"])
def test_nothing_new_relies_on_a_pack_that_is_known_to_be_damaged(
    damaged: Repo, tmp_path: Path, key: str
) -> None:
    damaged.fsck(data=True)
    with pytest.raises(CorruptError):
        damaged.version("key").read()
    made = damaged.create(key, tmp_path / "file")
    assert made.created == (key == "other")
    assert made.version.read() == _CONTENT
    assert damaged.version("key").read() == _CONTENT, "it is read where it is whole"

    assert not damaged.execute_repair(damaged.plan_repair()).left
    assert damaged.fsck(data=True).is_whole
    assert damaged.version("key").read() == _CONTENT


@pytest.mark.parametrize("text", ["", "{}", "\0", "[1, null]", '["../../x"]'])
def test_what_is_known_of_packs_may_be_lost(damaged: Repo, tmp_path: Path, text: str) -> None:
    damaged.fsck(data=True)
    note = damaged.root / ".art/sync/damaged-packs.json"
    assert "[" in note.read_text()
    note.write_text(text)
    assert damaged.fsck().is_whole
    damaged.create("other", tmp_path / "file")
    assert not damaged.fsck(data=True).is_whole


def _file(folder: Path) -> Path:
    (folder / "file").write_bytes(_CONTENT)
    return folder / "file"
