"""Runs: versions say which run made them and what it read."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import art
from art import document, runs
from art.cloning import clone, open_remote
from art.errors import UsageError
from art.repo import Repo
from art.repo.running import Job, Offer
from tests.support_sync import Telling


@pytest.fixture(autouse=True)
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ART_RUN",
        "ART_RUN_FILE",
        "GITHUB_ACTIONS",
        "GITLAB_CI",
        "JENKINS_URL",
        "BUILDKITE",
        "TF_BUILD",
    ):
        monkeypatch.delenv(name, raising=False)


def record(repo: Repo, id: str) -> dict[str, object]:
    data = (repo.root / ".art" / "runs" / f"{id}.yaml").read_bytes()
    return document.decode(data, "run")


def test_versions_made_in_a_run_say_so_and_what_was_read_before(repo: Repo) -> None:
    repo.save({"a": 1}, "raw")
    repo.save(2, "other")
    with repo.run("etl", step="clean", params={"rate": 0.1}) as run:
        first = repo.save(0, "early").version
        raw = repo.version("raw").load()
        second = repo.save(raw["a"] + 1, "clean").version
    third = repo.save(9, "late").version
    assert first.inputs == []
    assert [(each["key"], each["number"]) for each in second.inputs] == [("raw", 1)]
    assert second.run is not None
    assert (second.run["id"], second.run["name"], second.run["step"], second.run["params"]) == (
        run.id, "etl", "clean", {"rate": 0.1},
    )  # fmt: skip
    assert third.run is None
    found = record(repo, run.id)
    assert found["status"] == "completed"
    assert [each["key"] for each in found["outputs"]] == ["early", "clean"]  # type: ignore[attr-defined]
    assert [each["key"] for each in found["inputs"]] == ["raw"]  # type: ignore[attr-defined]


def test_what_is_saved_in_the_background_is_of_the_run_in_which_that_was_asked(repo: Repo) -> None:
    with repo.run("etl") as run:
        future = repo.save([1], "later", wait=False)
        tracker = repo.track([1], "tracked", interval=0.05)
    assert future.result().version.run == repo.version("later").run
    tracker.set([2])
    thread = threading.Thread(target=tracker.stop)
    thread.start()
    thread.join()
    for ref in ("later", "tracked@v1", "tracked@v2"):
        made = repo.version(ref).run
        assert made is not None
        assert made["id"] == run.id
    assert {each["key"] for each in record(repo, run.id)["outputs"]} == {"tracked", "later"}  # type: ignore[attr-defined]


def test_inputs_that_were_named_are_not_named_twice(repo: Repo) -> None:
    repo.save(1, "raw")
    with repo.run("etl"):
        repo.version("raw").load()
        made = repo.save(2, "out", inputs=["raw@v1"]).version
    assert len(made.inputs) == 1


def test_what_a_run_made_and_looked_at_again_is_no_input_of_the_same_key(repo: Repo) -> None:
    with repo.run("etl"):
        first = repo.save([1], "k").version
        assert first.load() == [1]
        again = repo.save([1], "k")
        other = repo.save([2], "other").version
    assert not again.created
    assert [each["key"] for each in other.inputs] == ["k"]


def test_a_run_that_fails_leaves_a_record_with_its_error(repo: Repo) -> None:
    with pytest.raises(ZeroDivisionError), repo.run("etl") as run:
        repo.save(1, "made")
        1 / 0  # noqa: B018
    found = record(repo, run.id)
    assert (found["status"], found["error"]) == ("failed", "ZeroDivisionError: division by zero")
    assert [each["key"] for each in found["outputs"]] == ["made"]  # type: ignore[attr-defined]


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError("it cannot tell")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("\udc80"), "ValueError: \\udc80"),
        (ValueError("x" * 9_000_000), "ValueError: xxx"),
        (SilentError(), "SilentError: "),
        (SystemExit("no"), "SystemExit: no"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_whatever_a_run_fails_with_is_raised_and_recorded(
    repo: Repo, error: BaseException, told: str
) -> None:
    with pytest.raises(type(error)) as raised, repo.run("etl") as run:
        raise error
    assert raised.value is error
    found = record(repo, run.id)
    assert found["status"] == "failed"
    assert str(found["error"]).startswith(told)
    assert len(str(found["error"])) <= 4000


@pytest.mark.parametrize("code", [None, 0])
def test_a_program_that_ends_itself_well_has_not_failed(repo: Repo, code: int | None) -> None:
    with pytest.raises(SystemExit), repo.run("etl") as run:
        sys.exit(code)
    assert record(repo, run.id)["status"] == "completed"
    assert "error" not in record(repo, run.id)


def test_what_failed_is_raised_where_no_record_can_be_written(repo: Repo) -> None:
    (repo.root / ".art" / "runs").write_text("in the way")
    with pytest.raises(ZeroDivisionError) as raised, repo.run("etl") as run:
        1 / 0  # noqa: B018
    if sys.version_info >= (3, 11):
        assert run.id in raised.value.__notes__[0]


def test_a_run_that_read_thousands_of_versions_names_them(repo: Repo, tmp_path: Path) -> None:
    """Its record names all; its versions as many as a manifest holds, and how many more there are."""
    long = "/".join(["k" * 120] * 2)
    reading = [{"key": f"{long}/{n}", "id": f"b3:{n:064x}", "number": 1} for n in range(3500)]
    reporter = repo.reporter = Telling()
    with repo.run("merge") as run:
        for each in reading:
            run.note_input(each)
        made = repo.save(1, "merged").version
        again = repo.save(2, "merged", inputs=[made]).version
    left = made.manifest.document["omitted"]["inputs"]
    assert len(made.inputs) > 2000
    assert made.inputs == reading[: 3500 - left]
    assert again.inputs[0]["id"] == made.id
    assert any(f"{left:,} of the versions" in text for text in reporter.warnings)
    past = repo.get_run(run.id)
    assert past.document["inputs"] == reading
    assert not repo.fsck().problems
    repo.remotes.add("origin", str(tmp_path / "remote"))
    repo.push()
    copy = clone(str(tmp_path / "remote"), tmp_path / "clone")
    assert copy.get_run(run.id).document["inputs"] == reading


def test_outputs_that_say_more_than_a_result_holds_are_made_and_not_found_again(repo: Repo) -> None:
    long = "/".join(["k" * 120] * 2)
    reading: list[Any] = [
        SimpleNamespace(key=f"{long}/{n}", id=f"b3:{n:064x}", number=1, place=repo.place)
        for n in range(2000)
    ]
    job = Job("merge", inputs=reading, fingerprint="0" * 64)
    offers = {
        key: Offer(key, lambda publisher: publisher.stream(io.BytesIO(b"x"), "x", None))
        for key in ("one", "two")
    }
    ran = repo.perform(job, lambda _: offers)
    assert len(ran.outputs["two"].inputs) == 2000
    assert ran.created == {"one", "two"}
    assert "too large" in str(ran.uncached)


def test_what_is_too_much_for_a_record_is_cut_and_counted(repo: Repo) -> None:
    """Nothing that a program says of its run keeps the run from ending."""
    with repo.run("etl") as run:
        repo.save(1, "k")
        for number in range(30):
            run.note_input({"key": "k" * 400_000, "id": f"b3:{number}", "number": number})
        run.ended["metadata"] = {"note": "\udcff", "n": 2**70}
    found = repo.get_run(run.id).document
    assert (found["status"], found["name"]) == ("completed", "etl")
    assert [each["key"] for each in found["outputs"]] == ["k"]
    assert found["omitted"]["inputs"] == 30 - len(found["inputs"]) > 0
    assert found["metadata"] == {"note": "\\udcff"}


def test_a_run_in_a_run_knows_the_outer_one(repo: Repo) -> None:
    with repo.run("outer") as outer:
        with repo.run("inner") as inner:
            made = repo.save(1, "k").version
        after = repo.save(2, "k").version
    assert made.run is not None
    assert after.run is not None
    assert (made.run["id"], made.run["parent"], after.run["id"]) == (inner.id, outer.id, outer.id)


def test_processes_take_part_in_the_run_that_started_them(repo: Repo) -> None:
    repo.save(1, "raw")
    with repo.run("etl") as run:
        script = "import art; r = art.open(); r.save(r.version('raw').load() + 1, 'out')"
        environment = {**os.environ, **runs.environment(run)}
        subprocess.run([sys.executable, "-c", script], cwd=repo.root, env=environment, check=True)
        assert [each["key"] for each in run.inputs] == ["raw"]
        assert [each["key"] for each in run.outputs] == ["out"]
    made = repo.version("out")
    assert made.run is not None
    assert made.run["id"] == run.id
    assert [each["key"] for each in made.inputs] == ["raw"]


@pytest.mark.parametrize("torn", ['{"inp', '{"output": {"key": "é', "null\n", "[[[", "\0\0\0"])
def test_a_line_of_the_journal_that_was_not_written_to_its_end_costs_nothing(
    repo: Repo, torn: str
) -> None:
    repo.save(1, "raw")
    repo.save(2, "other")
    with repo.run("etl") as run:
        repo.version("raw").load()
        with open(runs.environment(run)["ART_RUN_FILE"], "ab") as journal:
            journal.write(torn.encode()[: len(torn)])
        repo.version("other").load()
        script = "import art; art.open().save(3, 'process')"
        subprocess.run([sys.executable, "-c", script], cwd=repo.root, check=True)
        made = repo.save(4, "out").version
    assert [each["key"] for each in made.inputs] == ["raw", "other"]
    found = record(repo, run.id)
    assert [each["key"] for each in found["outputs"]] == ["process", "out"]  # type: ignore[attr-defined]


def test_who_reads_the_journal_while_others_write_sees_whole_lines_only(repo: Repo) -> None:
    """The text of what is written is so long that a write may be seen half done."""
    with repo.run("etl") as run:
        script = (
            "from art import runs\nrun = runs.current()\n"
            "for n in range(60): run.note_input({'key': 'k' * 3_000, 'id': f'{NAME}-{n}'})"
        )
        writers = [
            subprocess.Popen([sys.executable, "-c", script.replace("NAME", str(n))])
            for n in range(3)
        ]
        while any(writer.poll() is None for writer in writers):
            seen = run.inputs
            assert all(len(each["key"]) == 3_000 for each in seen)
        assert {writer.wait() for writer in writers} == {0}
        assert len(run.inputs) == 180


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_noting_what_is_read_does_not_read_what_was_noted_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    count, parsed = 300, []
    real = json.loads

    def loads(text: str | bytes) -> object:
        parsed.append(1)
        return real(text)

    def note() -> None:
        for number in range(count):
            current = runs.current()
            assert current
            current.note_input({"key": "k", "id": f"b3:{number}", "number": number})
            current.note_input({"key": "k", "id": f"b3:{number}", "number": number})

    with repo.run("etl") as run:
        monkeypatch.setattr(json, "loads", loads)
        in_thread(note) if is_elsewhere else note()
        assert len(parsed) <= 2 * count
        assert len(run.inputs) == count


def test_what_is_in_another_repository_is_named_with_its_place(tmp_path: Path, repo: Repo) -> None:
    other = art.init(tmp_path / "other")
    (tmp_path / "link").symlink_to(repo.root)
    other.save(1, "far")
    repo.save(2, "near")
    with repo.run("etl") as run:
        other.version("far").load()
        art.open(tmp_path / "link").version("near").load()
        there = other.save(3, "there").version
        here = repo.save(4, "here").version
        with open_remote(str(other.root / ".art"), "far") as looked_at:
            looked_at.version("far").load()
        last = repo.save(5, "last").version
    url, own = str(other.root), str(repo.root)
    bare = f"{url}/.art"
    assert [(each["key"], each.get("url")) for each in here.inputs] == [
        ("far", url),
        ("near", None),
    ]
    assert [(each["key"], each.get("url")) for each in there.inputs] == [
        ("far", None),
        ("near", own),
    ]
    assert ("far", bare) in [(each["key"], each.get("url")) for each in last.inputs]
    assert [node.state for node in repo.lineage("here", down=False).nodes] == [
        "live",
        "elsewhere",
        "live",
    ]
    past = repo.get_run(run.id)
    made = past.document["outputs"]
    assert [(each["key"], each.get("url")) for each in made] == [("there", url), ("here", None), ("last", None)]  # fmt: skip
    assert list(past.outputs) == ["here", "last"]
    assert [version.key for version in past.inputs] == ["near"]


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_threads_and_processes_are_part_of_the_run_in_which_they_start(repo: Repo) -> None:
    with repo.run("etl") as run:
        in_thread(lambda: repo.save(1, "thread"))
        script = "import art; art.open().save(2, 'process')"
        subprocess.run([sys.executable, "-c", script], cwd=repo.root, check=True)
    repo.save(3, "late")
    ids = [(repo.version(key).run or {}).get("id") for key in ("thread", "process", "late")]
    assert ids == [run.id, run.id, None]
    assert "ART_RUN" not in os.environ


def test_a_thread_that_begins_a_run_of_its_own_is_in_that(repo: Repo) -> None:
    def work() -> None:
        with repo.run("own"):
            repo.save(1, "own")

    with repo.run("etl"):
        in_thread(work)
        in_thread(lambda: repo.save(2, "after"))
    own, after = repo.version("own").run, repo.version("after").run
    assert own is not None
    assert after is not None
    assert (own["name"], own.get("parent"), after["name"]) == ("own", None, "etl")


def test_what_a_service_says_of_its_job_is_noted(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    monkeypatch.setenv("GITHUB_JOB", "test")
    with repo.run("etl"):
        made = repo.save(1, "k").version
    assert made.run is not None
    assert made.run["ci"] == {"service": "github", "run": "77", "job": "test"}


def test_git_is_noted_where_there_is_one(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.root)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q", "-b", "work"], check=True)
    Path("x").write_text("x")
    subprocess.run([*git, "add", "x"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    clean = runs.surroundings()["git"]
    Path("x").write_text("y")
    assert (clean["branch"], len(clean["commit"]), "dirty" in clean) == ("work", 40, False)
    assert runs.surroundings()["git"] == {**clean, "dirty": True}


def test_the_id_of_a_run_may_come_from_outside(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART_RUN", "night-12")
    made = repo.save(1, "k").version
    assert made.run is not None
    assert made.run["id"] == "night-12"


def test_a_run_needs_a_name_and_parameters_that_can_be_kept(repo: Repo) -> None:
    with pytest.raises(UsageError, match="name"), repo.run(""):
        pass
    with pytest.raises(UsageError), repo.run("x", params={"f": open}):
        pass
