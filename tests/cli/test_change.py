"""`art tag`, `note`, `delete`, `restore`, `mv` and `cp`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner


@pytest.fixture(autouse=True)
def _made(repo: Repo) -> None:
    repo.markdown("report", "one")
    repo.markdown("report", "two")
    repo.markdown("report", "three")


def live(repo: Repo, key: str = "report") -> list[int | None]:
    return [record.number for record in repo.history(key) if record.is_live]


def test_tag_moves_and_goes_back(repo: Repo, run: Runner) -> None:
    assert run("tag", "set", "report@v1", "prod").out.startswith("report@prod → v1  b3:")
    assert run("tag", "set", "report@v1", "prod").out.endswith("  unchanged\n")
    run("tag", "set", "report@v3", "prod", "-m", "checked")
    run("tag", "back", "report", "prod")

    assert repo.version("report@prod").number == 1
    moves = run("tag", "history", "report", "prod", "--json").json
    assert [move["number"] for move in moves] == [1, 3, 1]
    assert moves[1]["message"] == "checked"
    assert "checked" in run("tag", "history", "report", "prod").out


def test_tags_are_listed_and_deleted(repo: Repo, run: Runner) -> None:
    run("tag", "set", "report@v1", "prod")
    run("tag", "set", "report@v2", "beta")

    assert [tag["tag"] for tag in run("tag", "list", "report", "--json").json] == ["beta", "prod"]
    assert "report@v1" in run("tag", "list").out
    run("tag", "delete", "report", "beta")
    assert [tag["ref"] for tag in run("tag", "list", "--json").json] == ["report@v1"]
    assert "(none)" in run("tag", "history", "report", "beta").out
    run("tag", "delete", "report", "beta", code=4)


def test_tag_refuses_names_that_mean_something_else(run: Runner) -> None:
    for name in ("latest", "latest-1", "v3", "a b", "x.yaml"):
        run("tag", "set", "report", name, code=2)


def test_note_changes_what_is_said_and_nothing_else(repo: Repo, run: Runner) -> None:
    before = repo.version("report@v2")
    out = run(
        *("note", "report@v2", "--title", "T", "-m", "D", "-l", "a", "-l", "b"),
        *("-M", "rows:=2", "-M", "by=ana"),
    ).out
    run("note", "report@v2", "--title", "", "--unlabel", "a", "--unmeta", "by")

    version = repo.version("report@v2")
    assert out == f"report@v2  {before.id}\n"
    assert (version.id, version.read()) == (before.id, before.read())
    assert (version.title, version.description) == (None, "D")
    assert (version.labels, version.metadata) == (["b"], {"rows": 2})


def test_note_needs_something_to_say(run: Runner) -> None:
    run("note", "report", code=2)


def test_key_and_tag_may_be_one_reference(repo: Repo, run: Runner) -> None:
    repo.tag("report@v2", "prod")
    repo.tag("report@v1", "prod")
    assert len(run("tag", "history", "report@prod", "--json").json) == 2
    run("tag", "back", "report@prod")
    assert repo.version("report@prod").number == 2
    run("tag", "delete", "report@prod")
    assert repo.tags("report") == {}
    assert "art tag list report" in run("tag", "delete", "report", code=2).err
    run("tag", "delete", "report@prod", "other", code=2)
    assert "names a version" in run("fsck", "report@v2", code=2).error


def test_delete_of_one_version_and_back(repo: Repo, run: Runner) -> None:
    result = run("delete", "report@v2")

    assert result.out.startswith("deleted report@v2  b3:")
    assert "1 version deleted" in result.err
    assert live(repo) == [3, 1]
    assert "restore report@v2" in run("cat", "report@v2", code=4).err
    assert run("restore", "report@v2").out == "report@v2\n"
    assert run("cat", "report@v2").out == "two"


def test_delete_of_a_key_needs_yes_where_nobody_can_answer(repo: Repo, run: Runner) -> None:
    result = run("delete", "report", code=2)

    assert "delete all 3 live versions of report?" in result.error
    assert live(repo) == [3, 2, 1]
    assert run("delete", "report", "--yes", "--json").json["deleted"] == 3
    assert live(repo) == []
    assert len(run("restore", "report", "--json").json) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, [3, 2, 1]), ("y\n", 0, [])])
def test_delete_of_a_key_asks_on_a_terminal(
    repo: Repo, answer: str, code: int, left: list[int]
) -> None:
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    done = subprocess.run(
        [sys.executable, "-m", "art", "delete", "report"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
    )
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)

    assert "delete all 3 live versions of report?" in shown
    assert (done.returncode, live(repo)) == (code, left)


def test_yes_can_come_from_the_environment(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ART_YES", "1")
    run("delete", "report")

    assert live(repo) == []


def test_dry_run_deletes_nothing(repo: Repo, run: Runner) -> None:
    repo.tag("report@v3", "prod")
    document = run("delete", "report", "--dry-run", "--json").json

    assert document["deleted"] == 0
    assert [version["ref"] for version in document["versions"]] == ["report@v2", "report@v1"]
    assert document["refused"][0]["reason"] == "it is tagged prod"
    assert run("delete", "report", "-n").out.count("would delete") == 2
    assert live(repo) == [3, 2, 1]


def test_delete_refuses_what_is_needed(repo: Repo, run: Runner) -> None:
    repo.tag("report@v1", "prod")
    repo.markdown("summary", "of it", inputs=["report@v2"])

    assert "tagged prod" in run("delete", "report@v1", code=5).error
    assert "input of summary@v1" in run("delete", "report@v2", code=5).error
    assert live(repo) == [3, 2, 1]
    run("delete", "report@v1", "report@v2", "--force")
    assert live(repo) == [3]


def test_delete_by_id(repo: Repo, run: Runner) -> None:
    run("delete", "--id", repo.version("report@v2").id)

    assert live(repo) == [3, 1]
    assert "does not begin with b3:" in run("delete", "--id", "12", code=2).error
    run("delete", code=2)
    run("delete", "nope@v1", code=4)
    run("delete", "nope", "--yes", code=4)


def test_250_versions_are_250_versions(repo: Repo, run: Runner) -> None:
    for number in range(250):
        repo.value("many", number)

    assert run("delete", "many", "--yes", "--json").json["deleted"] == 250
    assert "250 versions" in run("restore", "many").err


def test_what_is_done_already_is_no_error(repo: Repo, run: Runner) -> None:
    run("delete", "report@v3")
    result = run("delete", "report@v3", "--json")
    assert result.json["deleted"] == 0
    assert "report@v3 was deleted already" in result.err
    run("delete", "report@v3", "--error-on-noop", code=9)
    assert run("delete", "report@v3", "report@v2", "--error-on-noop", "--json").json["deleted"] == 1
    run("restore", "report@v3", "report@v2")
    assert "it was live already" in run("restore", "report@v3").err
    run("restore", "report@v3", "--error-on-noop", code=9)
    run("restore", "report", code=4)
    assert live(repo) == [3, 2, 1]


def test_mv_leaves_references_that_lead_there(repo: Repo, run: Runner) -> None:
    repo.tag("report@v2", "prod")
    out = run("mv", "report", "reports/all").out

    assert out.splitlines()[0] == "report@v1 → reports/all@v1"
    assert repo.keys() == ["reports/all"]
    assert run("cat", "report@prod").out == "two"
    assert run("cat", "reports/all@prod").out == "two"
    run("mv", "nope", "other", code=4)


def test_cp_of_one_version_and_of_all(repo: Repo, run: Runner) -> None:
    document = run("cp", "report@v2", "copy/one", "--json").json
    run("cp", "report", "copy/all")

    assert document["versions"] == [{"from": "report@v2", "to": "copy/one@v1"}]
    assert run("cat", "copy/one").out == "two"
    assert live(repo, "copy/all") == [3, 2, 1]
    run("cp", "report", "bad key", code=2)


def test_nothing_to_do_is_an_error_only_where_that_is_asked_for(
    repo: Repo, workplace: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "f.txt").write_text("f")
    steps = [
        ["init"],
        ["create", "f", "f.txt"],
        ["create", "n", "--value", "1"],
        ["tag", "set", "f@v1", "prod"],
        ["note", "f", "--title", "T", "-l", "a", "-M", "n:=1"],
        ["cp", "f@v1", "g"],
        ["get", "f", "out/"],
    ]
    for words in steps:
        run(*words)
        run(*words)
        failed = run(*words, "--error-on-noop", code=9)
        assert failed.err.splitlines()[-1].startswith("error: ")
    assert run("note", "f", "-M", "n:=true", "--error-on-noop").out.startswith("f@v1")
    assert len(repo.version("f").notes) == 2

    run("restore", "g@v1", "--error-on-noop", code=9)
    run("delete", "g@v1", "--error-on-noop")
    run("delete", "g@v1", "--error-on-noop", code=9)
    run("delete", "g", "--yes", "--error-on-noop", code=9)
    run("delete", "g@v1", "--error-on-noop", code=9)
    monkeypatch.setenv("ART_ERROR_ON_NOOP", "1")
    run("create", "f", "f.txt", "--title", "other")
    failed = run("create", "f", "f.txt", "--title", "other", "--json", code=9)
    assert failed.json["ref"] == "f@v2"
    assert json.loads(failed.err.splitlines()[-1])["error"]["kind"] == "noop"
