"""`art gc`."""

from __future__ import annotations

import random
from pathlib import Path

from art.repo import Repo
from tests.conftest import Runner
from tests.support_gc import age

_ZERO = {
    "freed_bytes": 0,
    "packs": 0,
    "swept": 0,
    "waiting": 0,
    "waiting_bytes": 0,
    "restorable": 0,
    "young": 0,
    "young_bytes": 0,
    "young_until": None,
    "spread_bytes": 0,
    "drafts": 0,
}


def make(repo: Repo, files: Path) -> None:
    repo.create("keep", files)
    repo.create("gone", files / "README.txt", title="one")
    repo.delete("gone")
    (files / "large").write_bytes(bytes(range(256)) * 2000)
    repo.create("big", files / "large")
    repo.delete("big")


def test_with_nothing_to_free_it_says_so(repo: Repo, files: Path, run: Runner) -> None:
    repo.create("data", files)
    result = run("gc")
    assert result.err.strip() == "nothing to free: every pack is needed"
    assert run("gc", "--json").json == _ZERO
    run("gc", "--error-on-noop", code=9)


def test_a_dry_run_says_what_would_go_and_changes_nothing(
    repo: Repo, files: Path, run: Runner
) -> None:
    make(repo, files)
    shown = run("gc", "--grace", "0s", "--dry-run", "--json").json
    assert shown["swept"] == 2
    assert shown["freed_bytes"] > 0
    result = run("gc", "--grace", "0s", "--dry-run")
    assert result.out.startswith("would free ")
    assert "big@v1 is deleted; after this nothing brings it back" in result.err
    repo.restore("big@v1")


def test_what_could_be_restored_goes_only_when_confirmed(
    repo: Repo, files: Path, run: Runner
) -> None:
    make(repo, files)
    assert "--yes" in run("gc", "--grace", "0s", code=2).err
    assert repo.states("big") == {"deleted"}
    result = run("gc", "--grace", "0s", "--yes")
    assert "2 versions swept" in result.out
    assert repo.states("big") == {"swept"}
    assert run("gc", "--grace", "0s", "--json").json == _ZERO
    assert "were freed by gc" in run("get", "big@v1", code=4).error
    assert "nothing brings its bytes back" in run("restore", "big@v1", code=2).error


def test_what_nobody_could_have_goes_unasked(repo: Repo, files: Path, run: Runner) -> None:
    for number in range(9):
        (files / "README.txt").write_text(f"{number}" * 100)
        repo.create("k", files)
    shown = run("gc", "--dry-run").out
    assert shown.startswith("would free about "), "new packs and layouts are not known before"
    assert " in 9 packs; " in shown
    assert " that versions need go into new packs" in shown
    result = run("gc", "--json")
    assert result.json["packs"] == 9
    assert result.json["swept"] == 0


def test_the_default_grace_keeps_what_was_deleted_lately(
    repo: Repo, files: Path, run: Runner
) -> None:
    make(repo, files)
    shown = run("gc", "--json")
    assert shown.json == _ZERO | {"restorable": 2}
    assert "nothing to free now" in shown.err
    assert "2 deleted versions can be restored" in shown.err
    run("gc", "--grace", "soon", code=2)


def test_what_lies_between_what_is_needed_is_told(repo: Repo, files: Path, run: Runner) -> None:
    (files / "large").write_bytes(random.Random(1).randbytes(400_000))
    (files / "small").write_bytes(random.Random(2).randbytes(100_000))
    repo.create("k", files)
    (files / "small").unlink()
    repo.create("k", files)
    repo.delete("k@v1")
    shown = run("gc", "--grace", "0s", "--yes", "--json")
    assert shown.json["packs"] == 0
    assert shown.json["spread_bytes"] > 100_000
    assert "lie in packs of which most is needed" in run("gc").err


def test_damage_is_told_and_nothing_forces_it(repo: Repo, files: Path, run: Runner) -> None:
    make(repo, files)
    for path in (repo.root / ".art/packs").rglob("*.pack"):
        path.unlink()
    result = run("gc", "--yes", code=8)
    assert "nothing was removed" in result.error
    assert "hint: art fsck" in result.err
    assert "force" not in run("gc", "--help").out


def test_at_a_remote_what_is_marked_is_told(
    repo: Repo, files: Path, run: Runner, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    run("remote", "add", "origin", str(remote))
    make(repo, files)
    run("push")
    (remote / "tmp").mkdir(exist_ok=True)
    (remote / "tmp" / "12-left").write_bytes(b"by a push that was killed")
    result = run("gc", "--remote", "origin", "--grace", "0s", "--yes", "--dry-run")
    assert "needed by no version, wait until 20" in result.err
    age(remote, 2)
    result = run("gc", "--remote", "origin", "--grace", "0s", "--yes")
    assert "0 packs deleted, 2 versions swept; " in result.out
    assert not (remote / "tmp" / "12-left").exists()
    assert "marked for a later run" in result.out
    age(remote, 2)
    shown = run("gc", "--remote", "origin", "--grace", "0s", "--json").json
    assert shown["packs"] >= 1
    assert shown["freed_bytes"] > 0
    run("gc", "--remote", "nowhere", code=4)


def test_a_purge_that_was_killed_is_finished_though_no_bytes_are_left(
    repo: Repo, run: Runner
) -> None:
    repo.value("k", "hunter2")
    repo._changes().purge(repo.version("k").record)
    manifest = repo.root / ".art/manifests/k/v00000001.yaml"
    assert "hunter2" in manifest.read_text()
    assert "1 purge that stopped halfway finished" in run("gc").out
    assert "hunter2" not in manifest.read_text()
