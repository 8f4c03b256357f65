"""`art watch KEY`, as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")

Process = subprocess.Popen[str]


@pytest.fixture
def waiting(repo: Repo, workplace: Path) -> Iterator[Callable[..., Process]]:
    """Return what begins to wait, and returns when it does; it is ended with the test."""
    begun: list[Process] = []

    def begin(*words: str, warning: str | None = None) -> Process:
        command = [sys.executable, "-m", "art", "watch", "--interval", "0.02", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=workplace, text=True, **pipes)  # type: ignore[call-overload]
        begun.append(process)
        if warning is not None:
            assert process.stderr.readline() == f"warning: {warning}\n"
        assert process.stderr.readline().startswith(f"waiting for what is new of {words[0]} (")
        return process  # type: ignore[no-any-return]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def rest_of(process: Process) -> tuple[str, str]:
    """Return what it says until it ends. `communicate` would lose what came with the last line that was read."""
    assert process.stdout
    assert process.stderr
    said = process.stdout.read(), process.stderr.read()
    process.wait()
    return said


def line_of(process: Process) -> dict[str, object]:
    assert process.stdout
    found = json.loads(process.stdout.readline())
    assert isinstance(found, dict)
    return found


def test_what_is_new_is_told_as_lines_of_json(repo: Repo, waiting: Callable[..., Process]) -> None:
    process = waiting("k", "k@prod", "--since", "1d")
    made = repo.markdown("k", "1").version
    assert line_of(process) == {
        "event": "version",
        "uid": made.id,
        "key": "k",
        "ref": "k@v1",
        "number": 1,
        "id": made.id,
        "type": "markdown",
        "created": made.created,
    }
    repo.tag("k@v1", tag="prod")
    found = line_of(process)
    assert (found["event"], found["ref"], found["tag"]) == ("tag", "k@v1", "prod")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143


def test_once_ends_after_one_which_counts_as_told(
    repo: Repo, waiting: Callable[..., Process]
) -> None:
    for number in range(3):
        repo.markdown("k", f"{number}")
    for number in (1, 2, 3):
        process = waiting("k", "--since", "1d", "--cursor", "c", "--once")
        assert line_of(process)["number"] == number
        assert process.wait() == 0


def test_the_exit_code_of_one_command_is_that_of_the_command(
    repo: Repo, waiting: Callable[..., Process]
) -> None:
    repo.markdown("k", "1")
    process = waiting("k", "--since", "1d", "--once", "--exec", "echo did {ref}; exit 7")
    out, err = rest_of(process)
    assert process.returncode == 7
    assert out == "did k@v1\n"
    assert "the command for k@v1 ended with 7" in err


def test_as_many_commands_run_at_a_time_as_jobs_says(
    repo: Repo, waiting: Callable[..., Process], workplace: Path
) -> None:
    for number in range(3):
        repo.markdown("k", f"{number}")
    # Each goes on when all three have begun.
    command = "touch begun-{number}; while [ $(ls | grep -c begun) -lt 3 ]; do sleep 0.01; done; echo {ref}"
    process = waiting("k", "--since", "1d", "--jobs", "3", "--exec", command)
    assert process.stdout
    assert sorted(process.stdout.readline() for _ in range(3)) == ["k@v1\n", "k@v2\n", "k@v3\n"]


def test_a_word_that_stands_for_nothing_is_told(
    repo: Repo, waiting: Callable[..., Process]
) -> None:
    repo.markdown("k", "1")
    process = waiting("k", "--since", "1d", "--once", "--exec", "echo {rev} ${ref} {print}")
    out, err = rest_of(process)
    assert "warning: {rev} stands for nothing; did you mean {ref}?" in err
    assert err.count("warning") == 1
    assert out.startswith("{rev}")


def test_a_partition_that_no_version_has_yet_is_told_and_waited_for(
    repo: Repo, waiting: Callable[..., Process]
) -> None:
    repo.value("k", 1, partitions={"region": "eu"})
    warning = "no version of k has a partition 'regoin'; did you mean region?"
    process = waiting("k", "-p", "regoin=eu", "--once", warning=warning)
    repo.value("k", 2, partitions={"regoin": "eu"})
    assert line_of(process)["ref"] == "k@v2"


def test_a_remote_that_is_away_is_told_once_and_that_it_is_back(
    repo: Repo, waiting: Callable[..., Process], tmp_path: Path
) -> None:
    repo.remotes.add("origin", str(tmp_path / "shared"))
    repo.markdown("k", "1")
    repo.push()
    process = waiting("k", "--remote", "origin")
    assert process.stderr

    (tmp_path / "shared").rename(tmp_path / "away")
    time.sleep(0.5)  # in which it looks many times
    (tmp_path / "away").rename(tmp_path / "shared")
    back = "warning: origin is reachable again\n"
    said = list(takewhile(lambda line: line != back, process.stderr))
    assert sum("there is no folder" in line for line in said) == 1
    repo.markdown("k", "2")
    repo.push()
    assert line_of(process)["ref"] == "k@v2"


def test_ctrl_c_ends_it_and_what_it_runs(
    repo: Repo, waiting: Callable[..., Process], workplace: Path
) -> None:
    repo.markdown("k", "1")
    command = "echo begun; exec sleep 100"
    process = waiting("k", "--since", "1d", "--exec", command)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = rest_of(process)
    assert process.returncode == 130
    assert "it will be run again" in err


def test_several_that_are_waited_for_together_are_one_line(
    repo: Repo, waiting: Callable[..., Process]
) -> None:
    process = waiting("a", "b", "--all-of")
    repo.markdown("b", "1")
    repo.markdown("a", "1")
    found = line_of(process)["events"]
    assert isinstance(found, list)
    assert [event["ref"] for event in found] == ["a@v1", "b@v1"]


def test_a_file_without_a_key_is_refused_and_keys_are_named(
    run: Runner, repo: Repo, workplace: Path
) -> None:
    (workplace / "data").write_text("1")
    expected = "data is a file or folder: one key is expected after it"
    assert run("watch", "data", code=2).error == expected
    assert run("watch", "k", "--since", "soon", code=2).error == "'soon' is no time"
