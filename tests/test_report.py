"""What a job published: that of a run, of a CI job, or what is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from art.errors import NotFoundError, UsageError
from art.render.markdown import report_markdown
from art.repo import Repo
from tests.conftest import Runner

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_RUN_ID": "77",
    "GITHUB_JOB": "build",
    "GITHUB_REPOSITORY": 'me/"x"',
}


@pytest.fixture(autouse=True)
def _no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)


def refs(repo: Repo, *given: str, run: str | None = None) -> list[str]:
    return [each.version.ref for each in repo.report(*given, run=run).versions]


def test_a_run_tells_what_it_made_oldest_first(repo: Repo) -> None:
    repo.value("before", 1)
    with repo.run("etl") as run:
        repo.value("b", 1)
        repo.value("a", 2)
        assert refs(repo) == ["b@v1", "a@v1"]
        assert repo.report().job["name"] == "etl"
    assert refs(repo, run=run.id) == ["b@v1", "a@v1"]
    assert refs(repo, "before", "a@v1") == ["before@v1", "a@v1"]


def test_keyless_versions_and_what_was_there_already_count(repo: Repo) -> None:
    repo.value("same", 1)
    with repo.run("etl"):
        repo.value("same", 1)
        made = repo.value(None, 2).version
        assert refs(repo) == ["same@v1", made.ref]


def test_a_job_of_a_service_tells_what_its_runs_made(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    with repo.run("one"):
        repo.value("a", 1)
    with repo.run("two"):
        repo.value("b", 1)
    monkeypatch.setenv("GITHUB_JOB", "other")
    with repo.run("three"):
        repo.value("c", 1)
    assert refs(repo) == ["c@v1"]
    monkeypatch.setenv("GITHUB_JOB", "build")
    assert refs(repo) == ["a@v1", "b@v1"]


def test_runs_that_are_part_of_a_job_count_and_what_they_found_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ART_RUN", "github-77-build")
    with repo.run("outer"):
        with repo.run("middle"), repo.run("inner"):
            repo.value("deep", 1)
        repo.value("a", 1)
    told = repo.report()
    assert [each.version.ref for each in told.versions] == ["deep@v1", "a@v1"]
    assert all(each.is_new for each in told.versions)
    outer = next(each for each in repo.runs() if each.name == "outer")
    assert refs(repo, run=outer.id) == refs(repo, run=outer.id[-12:]) == ["deep@v1", "a@v1"]
    assert repo.report(run=outer.id).job["name"] == "outer"
    monkeypatch.setenv("ART_RUN", "github-78-build")
    monkeypatch.setenv("GITHUB_RUN_ID", "78")
    with repo.run("again"):
        repo.value("a", 1)
    (found,) = repo.report().versions
    assert (found.version.ref, found.is_new) == ("a@v1", False)
    monkeypatch.delenv("ART_RUN")
    (found,) = repo.report().versions
    assert (found.version.ref, found.is_new) == ("a@v1", False)
    assert "(unchanged)" in report_markdown(repo.report())


def test_a_command_that_was_not_run_again_tells_what_it_gave(
    repo: Repo, workplace: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, state in (("1", ""), ("2", " (unchanged)")):
        monkeypatch.setenv("ART_RUN", f"job-{number}")
        run("run", "--out", "o=out", "--", sys.executable, "-c", "open('out', 'w').write('x')")
        page = run("report").out
        assert f"`o@v1`{state} |" in page


def test_an_id_in_the_environment_is_a_run(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART_RUN", 'gh-"77\\')
    repo.value("a", 1)
    assert refs(repo) == ["a@v1"]
    assert refs(repo, run="gh-77") == []


def test_without_anything_that_tells_which_job_it_is_refused(repo: Repo) -> None:
    with pytest.raises(UsageError, match="nothing tells which job"):
        repo.report()
    with pytest.raises(UsageError):
        repo.report("a", run="b")
    with pytest.raises(NotFoundError):
        repo.report("nothing")


def test_tags_say_what_they_named_before_and_remotes_are_known(repo: Repo, tmp_path: Path) -> None:
    repo.value("a", 1, tags=["prod"])
    repo.value("a", 2, tags=["prod", "new"])
    (found,) = repo.report("a").versions
    assert (found.tags, found.is_published) == ({"new": None, "prod": 1}, False)
    repo.remotes.add("origin", str(tmp_path / "remote"))
    assert not repo.report("a").versions[0].is_published
    repo.push()
    report = repo.report("a")
    assert report.versions[0].is_published
    assert report.url == str(tmp_path / "remote")


def test_the_command_prints_a_page_with_what_is_to_be_seen(
    repo: Repo, files: Path, run: Runner
) -> None:
    run("create", "t", "--table", "data/eu/part-0.csv", "-t", "prod", "--title", "Prices")
    run("create", "f", "data", "-m", "All of *them*", "-M", "rows:=3")
    run("create", "l", "--link", "https://example.org/x", "--text", "a page")
    run("create", "i", "--image", "https://example.org/p.png", "--title", "Plot")
    run("create", "p", "--progress", "30")
    page = run("report", "t", "f", "l", "i", "p").out
    assert "| `t@v1` | table | 24 B | `prod` |" in page
    assert "### `t@v1` Prices" in page
    assert "| day | price |\n| --- | --- |\n| 1 | 2\\.50 |" in page
    assert "> All of *them*" in page
    assert "| `rows` | 3 |" in page
    assert "eu/part-0.csv" in page
    assert "[a page](https://example.org/x)" in page
    assert "![Plot](https://example.org/p.png)" in page
    assert "30 %" in page
    assert "art get t@v1" in page


def test_the_command_says_that_there_is_nothing(repo: Repo, run: Runner) -> None:
    assert "Nothing was published" in run("report", "--run", "none").out
    run("report", "--run", "none", "--error-on-noop", code=9)
    assert run("report", "--run", "none", "--json").json["versions"] == []
    repo.value("a", 1)
    (found,) = run("report", "a", "--json").json["versions"]
    assert (found["ref"], found["published"], found["tagged_before"]) == ("a@v1", False, {})
