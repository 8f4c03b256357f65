"""`art purge`."""

from __future__ import annotations

from pathlib import Path

from art.repo import Repo
from tests.conftest import Runner


def leak(repo: Repo, files: Path) -> None:
    (files / "secret").write_text("SECRET" * 50)
    repo.create("k", files)
    (files / "secret").unlink()
    repo.create("k", files)


def test_it_asks_first_and_says_what_stays(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    repo.note("k@v1", description="oh no")
    assert "--yes" in run("purge", "k@v1", code=2).err
    assert repo.states("k@v1") == {"live"}
    result = run("purge", "k@v1", "--yes", "-m", "a password")
    assert result.out.startswith("k@v1 is gone for ever; ")
    assert "are part of other versions, too, and stay" in result.err
    assert "refs/k/_notes/00000001.yaml stays" in result.err
    assert repo.states("k@v1") == {"purged"}
    run("inspect", "k@v1", code=4)
    run("restore", "k@v1", code=2)


def test_json_says_what_it_came_to(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    repo.copy("k@v1", "copy")
    shown = run("purge", "k@v1", "--yes", "--json").json
    assert shown["state"] == "purged"
    assert shown["same_payload"] == ["copy@v1"]
    assert shown["notes"] == []
    assert (shown["key"], shown["number"]) == ("k", 1)


def test_a_tag_needs_force(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    repo.tag("k@v1", "prod")
    assert "tag 'prod' names it" in run("purge", "k@v1", "--yes", code=5).error
    run("purge", "k@v1", "--yes", "--force")


def test_a_key_alone_is_too_much(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    run("purge", "k", "--yes", code=2)
    run("purge", "k@v9", "--yes", code=4)


def test_there_first_then_here(repo: Repo, files: Path, run: Runner, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    run("remote", "add", "origin", str(remote))
    leak(repo, files)
    assert "not at origin" in run("purge", "k@v1", "--remote", "origin", "--yes", code=4).error
    run("push")
    run("purge", "k@v1", "--remote", "origin", "--yes")
    assert b"SECRET" not in b"".join(p.read_bytes() for p in remote.rglob("*") if p.is_file())
    assert repo.states("k@v1") == {"purged"}
    run("purge", "k@v1", "--remote", "origin", "--yes")  # again: nothing is left to do
