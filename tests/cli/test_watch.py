"""`art watch`, as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner

pytest.importorskip("watchfiles")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")

Process = subprocess.Popen[str]


@pytest.fixture
def watching(repo: Repo, workplace: Path) -> Iterator[Callable[..., Process]]:
    """Return what begins to watch `data.txt`; it is ended with the test."""
    begun: list[Process] = []
    (workplace / "data.txt").write_text("one")

    def begin(*words: str) -> Process:
        command = [
            sys.executable,
            "-m",
            "art",
            "watch",
            "data.txt",
            "k",
            "--debounce",
            "0.1",
            *words,
        ]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Jobs in the background of a shell ignore it, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def error(process: Process) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_each_new_version_is_printed(
    repo: Repo, workplace: Path, watching: Callable[..., Process]
) -> None:
    process = watching("-t", "nightly", "-M", "rows:=3", "-q")

    assert line(process) == f"k@v1  {repo.version('k').id}\n"
    (workplace / "data.txt").write_text("two")
    assert line(process).startswith("k@v2  b3:")
    assert repo.version("k@nightly").read() == b"two"
    assert repo.version("k@v2").metadata == {"rows": 3}


def test_lines_of_json(repo: Repo, workplace: Path, watching: Callable[..., Process]) -> None:
    process = watching("--json")

    assert json.loads(line(process))["ref"] == "k@v1"
    (workplace / "data.txt").write_text("two")
    assert json.loads(line(process))["ref"] == "k@v2"


def test_errors_are_told_and_watching_goes_on(
    repo: Repo, workplace: Path, watching: Callable[..., Process]
) -> None:
    process = watching()

    assert line(process).startswith("k@v1")
    (workplace / "data.txt").unlink()
    assert error(process).startswith("error: ")
    (workplace / "data.txt").write_text("two")
    assert line(process).startswith("k@v2")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_quietly(watching: Callable[..., Process], number: int, code: int) -> None:
    process = watching()

    line(process)
    process.send_signal(number)
    assert process.communicate() == ("", "")
    assert process.returncode == code


def test_once_ends_with_the_first_change(
    repo: Repo, workplace: Path, watching: Callable[..., Process]
) -> None:
    process = watching("--once")

    assert line(process).startswith("k@v1")
    (workplace / "data.txt").write_text("two")
    out, err = process.communicate()

    assert out.startswith("k@v2")
    assert err == ""
    assert process.returncode == 0


def test_what_cannot_be_watched_is_refused(repo: Repo, workplace: Path, run: Runner) -> None:
    (workplace / "data.txt").write_text("one")

    assert "one key is expected after it" in run("watch", "data.txt", code=2).error
    assert "nothing to watch" in run("watch", "nope", "k", code=2).error
    assert "debounce" in run("watch", "data.txt", "k", "--debounce", "0", code=2).error
    run("watch", "data.txt", "bad key", code=2)
