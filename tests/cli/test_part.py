"""`art part`, `art seal`, `art draft`."""

from __future__ import annotations

from pathlib import Path

import pytest

import art
from art.repo import Repo
from tests.conftest import Runner


def part(run: Runner, name: str, *more: str, code: int = 0) -> None:
    run("part", "k", "data/eu", "--draft", "7", "--name", name, *more, code=code)


def test_parts_are_added_and_sealed(repo: Repo, files: Path, run: Runner) -> None:
    told = run("part", "k", "data/eu", "--draft", "7", "--name", "a").out
    assert told == "part a of draft 7 of k: 2 files, 41 B\n"
    told = run("part", "k", "data/eu", "--draft", "7", "--name", "a").out
    assert told == "part a of draft 7 of k: 2 files, 41 B  unchanged\n"
    part(run, "b", "--error-on-noop")
    part(run, "b", "--error-on-noop", code=9)
    made = run("seal", "k", "--draft", "7", "--expect", "2", "-t", "main", "-M", "n:=2", "-l", "ci")
    version = repo.version("k@main")
    assert made.out == f"k@v1  {version.id}\n"
    assert (version.metadata, version.labels) == ({"n": 2}, ["ci"])
    again = run("seal", "k", "--draft", "7", "--expect", "b,a", "--json").json
    assert (again["id"], again["created"], again["draft"]) == (version.id, False, "7")
    run("seal", "k", "--draft", "7", "--expect", "2", "--error-on-noop", code=9)


def test_what_goes_wrong_has_exit_codes_and_says_what_helps(
    repo: Repo, files: Path, run: Runner
) -> None:
    part(run, "a")
    missing = run("seal", "k", "--draft", "7", "--expect", "a,b", code=4)
    assert missing.error == "draft 7 of k lacks b; it has 1 part"
    assert "hint: art draft ls k" in missing.err
    assert run("seal", "k", "--draft", "7", "--expect", "b", code=4)
    other = run("part", "k", "data", "--draft", "7", "--name", "a", code=5)
    assert "--replace" in other.err
    run("part", "k", "data", "--draft", "7", "--name", "a", "--replace")
    part(run, "c")
    assert "c, not expected" in run("seal", "k", "--draft", "7", "--expect", "a,", code=5).error
    run("seal", "k", "--draft", "7", "--expect", "2")
    assert (
        "part d is not in it"
        in run("part", "k", "data", "--draft", "7", "--name", "d", code=5).error
    )
    assert "nowhere" in run("part", "k", "nowhere", "--draft", "8", "--name", "d", code=4).error


@pytest.mark.parametrize("expect", ["", ",", "a,a", "0", "a b", "-1"])
def test_an_expectation_that_is_none_is_refused(expect: str, repo: Repo, run: Runner) -> None:
    run("seal", "k", "--draft", "7", f"--expect={expect}", code=2)


def test_a_part_needs_a_draft_a_name_and_a_path(repo: Repo, files: Path, run: Runner) -> None:
    assert "--draft" in run("part", "k", "data", "--name", "a", code=2).error
    assert "--name" in run("part", "k", "data", "--draft", "7", code=2).error
    assert "at least one" in run("part", "k", "--draft", "7", "--name", "a", code=2).error


def test_drafts_are_listed_and_dropped(repo: Repo, files: Path, run: Runner) -> None:
    assert run("draft", "ls").out == ""
    part(run, "a")
    part(run, "b")
    line = run("draft", "ls").out.splitlines()[1]
    assert line.split()[:5] == ["k", "7", "2:", "a", "b"]
    assert line.endswith("open")
    (found,) = run("draft", "ls", "k", "--json").json
    assert [each["part"] for each in found["parts"]] == ["a", "b"]
    assert "1 payload kept for drafts" in run("gc", "--dry-run").err
    assert "add --yes" in run("draft", "drop", "k", "7", code=2).err
    assert run("draft", "drop", "k", "7", "--yes").out == "draft 7 of k is dropped: 2 parts, 82 B\n"
    assert run("draft", "ls").out == ""
    run("draft", "drop", "k", "7", "--yes", code=4)


def test_drafts_of_a_remote_are_shown_to_all_who_have_it(
    repo: Repo, files: Path, tmp_path: Path, run: Runner
) -> None:
    run("remote", "add", "origin", str(tmp_path / "remote"))
    assert "at origin" in run("part", "k", "data", "--draft", "7", "--name", "a").out
    with art.init(tmp_path / "other") as other:
        other.remotes.add("origin", str(tmp_path / "remote"))
    assert "7" in run("-C", str(tmp_path / "other"), "draft", "ls").out
    assert run("draft", "ls", "--local").out == ""
    sealed = run("-C", str(tmp_path / "other"), "seal", "k", "--draft", "7", "--expect", "a")
    run("fetch")
    assert sealed.out == f"k@v1  {repo.version('k').id}\n"
    assert "sealed b3:" in run("draft", "ls").out


def test_a_draft_or_key_that_is_mistyped_is_told_with_what_was_probably_meant(
    repo: Repo, files: Path, run: Runner
) -> None:
    assert run("draft", "ls").err == "no drafts; `art part` begins one\n"
    first = run("part", "tests/report", "data", "--draft", "run-47", "--name", "linux")
    assert "warning" not in first.err.replace("warning: there is no remote", "")
    for key, draft in (("tests/report", "run-74"), ("tests/repotr", "run-47")):
        for words in (
            ("seal", key, "--draft", draft, "--expect", "1"),
            ("draft", "drop", key, draft, "-y"),
        ):
            failed = run(*words, code=4)
            assert failed.error.startswith(f"{key} has no draft {draft}")
            assert failed.err.endswith("hint: did you mean tests/report run-47?\n")
    listed = run("draft", "ls", "tests/repotr")
    assert (listed.out, listed.err) == (
        "",
        "tests/repotr has no drafts; did you mean tests/report?\n",
    )
    assert run("draft", "ls", "other", "--json").json == []
    assert run("draft", "ls", "other").err == "other has no drafts\n"
    failed = run("seal", "tests/report", "--draft", "run-47", "--expect", "linxu", code=4)
    assert failed.err.endswith("lacks linxu; it has 1 part\nhint: did you mean linux?\n")


def test_a_part_that_begins_a_draft_of_a_mistyped_key_says_so(
    repo: Repo, files: Path, run: Runner
) -> None:
    def begin(key: str, draft: str) -> str:
        return run("part", key, "data", "--draft", draft, "--name", "a", "--local").err

    assert begin("tests/report", "run-47") == ""
    assert "did you mean tests/report?" in begin("tests/repotr", "run-47")
    assert begin("tests/repotr", "run-47") == ""  # it has begun
    assert begin("tests/repotr", "run-48") == ""
    assert begin("models", "run-47") == ""


def test_a_draft_that_was_dropped_is_not_meant(repo: Repo, files: Path, run: Runner) -> None:
    part(run, "a")
    run("draft", "drop", "k", "7", "-y")
    assert "hint: art draft ls\n" in run("seal", "k", "--draft", "7", "--expect", "1", code=4).err
