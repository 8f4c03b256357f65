"""Hooks are asked before and told after; they are the user's own, and are run from nowhere else."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import art
from art.cloning import clone
from art.errors import DeniedError
from art.repo import Repo
from tests.conftest import Runner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="hooks are scripts of a shell here")


class Warnings:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, what: str, *, total_bytes: int | None = None) -> None:
        pass

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        pass

    def finish(self) -> None:
        pass

    def warn(self, message: str) -> None:
        self.said.append(message)


def put(repo: Repo, name: str, script: str = "cat >> said.json; echo >> said.json") -> Path:
    """Write a hook; by default it keeps what it reads in said.json where it runs."""
    path = repo.root / ".art" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def told(repo: Repo) -> list[dict[str, Any]]:
    """Return what hooks were told."""
    path = repo.root / "said.json"
    return [json.loads(line) for line in path.read_text().splitlines() if line]


@pytest.fixture
def warnings(repo: Repo) -> list[str]:
    reporter = Warnings()
    repo.reporter = reporter
    return reporter.said


def test_creating_asks_before_and_tells_after(repo: Repo, files: Path) -> None:
    put(repo, "pre-create")
    put(repo, "post-create")
    made = repo.create("k", "data", title="T", tags=["prod"]).version
    before, after = told(repo)
    assert before["event"] == "pre-create"
    assert before["repository"] == {"id": repo.id, "path": str(repo.root)}
    (planned,) = before["versions"]
    assert planned["manifest"]["payload"]["files"] == 3
    assert {name: planned[name] for name in ("key", "number", "id")} == {
        "key": "k",
        "number": None,
        "id": None,
    }
    (done,) = after["versions"]
    assert (done["ref"], done["id"]) == ("k@v1", made.id)
    assert done["manifest"] == planned["manifest"] == made.document


def test_what_is_unchanged_is_no_event_and_keyless_and_copied_versions_are(repo: Repo) -> None:
    put(repo, "pre-create")
    repo.value("k", 1)
    repo.value("k", 1)
    repo.value(None, 2)
    repo.copy("k@v1", "copy")
    repo.move("copy", "moved")
    assert [event["versions"][0]["key"] for event in told(repo)] == ["k", None, "copy", "moved"]


def test_a_refusal_stops_it_and_says_why(repo: Repo, run: Runner) -> None:
    put(repo, "pre-create", "echo 'not on' >&2; echo 'Fridays' >&2; exit 3")
    with pytest.raises(DeniedError, match="hook pre-create refused: not on Fridays"):
        repo.value("k", 1)
    assert repo.keys() == []
    assert not list((repo.root / ".art").rglob("v*.yaml"))
    result = run("create", "k", "--value", "1", code=7)
    assert "hint: --no-hooks" in result.err
    run("create", "k", "--value", "1", "--no-hooks")
    assert repo.keys() == ["k"]


def test_a_refusal_leaves_nothing_behind(repo: Repo) -> None:
    put(repo, "pre-create", "exit 1")
    for refused in (lambda: repo.progress("p", 4), lambda: repo.value(None, 1)):
        with pytest.raises(DeniedError):
            refused()
    for part in ("manifests", "anonymous", "progress", "refs"):
        assert not [p for p in (repo.root / ".art" / part).rglob("*") if p.is_file()]


@pytest.mark.parametrize("variable", ["ART_NO_HOOKS", "ART_HOOK"])
def test_the_environment_turns_them_off(
    variable: str, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(repo, "pre-create", "exit 1")
    monkeypatch.setenv(variable, "1")
    repo.value("k", 1)
    monkeypatch.setenv(variable, "0")
    with pytest.raises(DeniedError, match="exit code 1"):
        repo.value("k", 2)


def test_deleting_pruning_and_purging_ask(repo: Repo, run: Runner) -> None:
    for number in (1, 2, 3, 4):
        repo.value("k", number)
    hook = put(repo, "pre-delete", "exit 1")
    run("delete", "k@v1", code=7)
    run("prune", "k", "--keep-last", "1", "--yes", code=7)
    run("purge", "k@v1", "--yes", code=7)
    assert len([record for record in repo.history("k") if record.is_live]) == 4
    hook.unlink()
    put(repo, "pre-delete")
    run("delete", "k@v1")
    assert [version["ref"] for version in told(repo)[0]["versions"]] == ["k@v1"]


def test_pushing_and_pulling_tell_the_remote(repo: Repo, workplace: Path) -> None:
    repo.remotes.add("origin", str(workplace / "shared"))
    repo.value("k", 1)
    put(repo, "pre-push", "exit 1")
    with pytest.raises(DeniedError, match="pre-push"):
        repo.push()
    assert not (workplace / "shared" / "manifests").exists()
    for name in ("pre-push", "post-push", "post-pull"):
        put(repo, name)
    repo.push()
    repo.pull()
    before, after, pulled = told(repo)
    assert before["versions"] == after["versions"]
    assert before["versions"][0]["ref"] == "k@v1"
    assert after["remote"] == {"name": "origin", "url": str(workplace / "shared")}
    assert (pulled["event"], pulled["versions"]) == ("post-pull", [])


def test_no_clone_carries_hooks(repo: Repo, workplace: Path) -> None:
    repo.remotes.add("origin", str(workplace / "shared"))
    repo.value("k", 1)
    put(repo, "post-push", "exit 0")
    repo.push()
    assert not list((workplace / "shared").rglob("hooks"))
    (workplace / "shared" / "hooks").mkdir()
    (workplace / "shared" / "hooks" / "pre-create").write_text("#!/bin/sh\nexit 1\n")
    (workplace / "shared" / "hooks" / "pre-create").chmod(0o755)
    copy = clone(str(workplace / "shared"), workplace / "copy")
    assert not (workplace / "copy" / ".art" / "hooks").exists()
    assert copy


def test_a_failing_post_hook_warns(repo: Repo, warnings: list[str]) -> None:
    put(repo, "post-create", "echo oh >&2; exit 1")
    assert repo.value("k", 1).created
    assert warnings == ["hook post-create failed: oh"]


def test_what_a_hook_says_is_shown(repo: Repo, warnings: list[str]) -> None:
    put(repo, "pre-create", "echo looked >&2; echo not shown")
    repo.value("k", 1)
    assert warnings == ["hook pre-create: looked"]


def test_it_runs_in_the_root_with_its_environment(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "sub").mkdir()
    monkeypatch.chdir(workplace / "sub")
    put(repo, "pre-create", 'echo "$PWD $ART_HOOK $ART_DIR" > here')
    art.open().value("k", 1)
    assert (workplace / "here").read_text().split() == [str(workplace), "1", str(workplace)]


def test_a_hook_that_cannot_be_started_refuses(repo: Repo) -> None:
    put(repo, "pre-create").write_text("#!/nowhere/shell\n")
    with pytest.raises(DeniedError, match="cannot be started"):
        repo.value("k", 1)


def test_what_a_hook_leaves_running_is_not_waited_for(repo: Repo) -> None:
    put(repo, "post-create", "sleep 30 &")
    started = time.monotonic()
    repo.value("k", 1)
    assert time.monotonic() - started < 20


def test_one_that_reads_nothing_is_no_error(repo: Repo) -> None:
    put(repo, "pre-create", "exit 0")
    repo.value("k", 1, metadata={"large": "x" * 500_000})


def test_links_and_what_is_not_executable_are_not_run(
    repo: Repo, workplace: Path, warnings: list[str]
) -> None:
    hook = put(repo, "pre-create", "exit 1")
    hook.chmod(0o644)
    repo.value("k", 1)
    repo.value("k", 2)
    assert warnings == ["hook pre-create is not run: it is not executable"]
    hook.chmod(0o757)
    with art.open() as other:
        other.value("k", 3)
    outside = workplace / "outside"
    hook.parent.rename(outside)
    (outside / "pre-create").chmod(0o755)
    hook.parent.symlink_to(outside)
    with art.open() as other:
        other.value("k", 4)
    hook.parent.unlink()
    hook.parent.mkdir()
    hook.symlink_to(outside / "pre-create")
    with art.open() as other:
        other.value("k", 5)
    assert len(repo.history("k")) == 5


def test_without_a_folder_it_costs_one_look(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.lstat

    def lstat(path: Any, **words: Any) -> os.stat_result:
        if "hooks" in str(path):
            looked.append(str(path))
        return real(path, **words)

    monkeypatch.setattr(os, "lstat", lstat)
    repo.value("k", 1)
    assert looked == [str(repo.root / ".art" / "hooks")] * 2  # before and after
