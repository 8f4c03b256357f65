"""Options that mean nothing in the way a command is used: each is refused, and named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner

KEYS = "where keys are waited for"
OF_VERSIONS = {
    "-m": "x",
    "--title": "x",
    "-M": "a=1",
    "-l": "x",
    "-t": "x",
    "-i": "k",
    "--type": "x",
    "--allow-undeclared": None,
    "--debounce": "2",
}


@pytest.fixture(autouse=True)
def _made(repo: Repo, workplace: Path) -> None:
    (workplace / "file").write_text("1")
    repo.create("k", "file")
    with repo.run("etl"):
        pass


@pytest.mark.parametrize("option", OF_VERSIONS)
def test_what_is_said_of_versions_is_refused_where_watch_makes_none(
    run: Runner, option: str
) -> None:
    value = OF_VERSIONS[option]
    failed = run("watch", "k", option, *([value] if value else []), "--once", code=2)
    assert option in failed.error.split(" ")[0].split("/")
    assert failed.error.endswith(f"means nothing {KEYS}")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("watch", "k", "-j", "2"), "-j/--jobs means nothing without --exec"),
        (("watch", "k", "--exec", "true", "--once", "-j2"), "-j/--jobs means nothing with --once"),
        (
            ("watch", "file", "k", "-j2"),
            "-j/--jobs means nothing where a file or folder is watched",
        ),
        (("declare", "k", "--message", "x"), "--message means nothing where nothing is declared"),
        (("settings", "k", "-m", "x"), "-m/--message means nothing where nothing is changed"),
        (("settings", "k", "--history", "--sign"), "--sign means nothing where nothing is changed"),
        (("runs", "etl", "-n", "3"), "-n/--number means nothing where one run is shown"),
        (("get", "k", "--zip", "-f"), "-f/--force means nothing where nothing is overwritten"),
        (
            ("get", "k", "-", "--as", "json", "-f"),
            "-f/--force means nothing where nothing is overwritten",
        ),
        (("ls", "--count", "-o", "csv"), "-o/--format means nothing with --count"),
        (("ls", "--count", "--columns", "key"), "--columns means nothing with --count"),
        (("ls", "--count", "--sort", "size"), "--sort means nothing with --count"),
        (("ls", "--count", "-r"), "-r/--reverse means nothing with --count"),
        (
            ("ls", "--group-by", "type", "--columns", "key"),
            "--columns means nothing with --group-by",
        ),
        (
            ("create", "k-{a}", "file", "--set", "a=1", "--set", "b=2", "-p", "x={a}"),
            "--set b means nothing: neither key nor partitions have {b} in them",
        ),
        (
            ("create", "k", "file", "--name", "x"),
            "--name means nothing where neither standard input nor a pipe is read",
        ),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else None,
)
def test_an_option_that_means_nothing_is_refused(
    run: Runner, words: tuple[str, ...], error: str
) -> None:
    assert run(*words, code=2).error == error


def test_what_is_set_in_the_environment_is_for_the_commands_that_it_means_something_in(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ART_LS_COLUMNS", "key")
    monkeypatch.setenv("ART_ERROR_ON_NOOP", "1")
    assert run("ls", "--count").out == "1\n"
    assert run("declare", "k").err == "k has no settings\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there pipes have no names in a folder")
def test_a_name_is_for_standard_input_and_pipes(repo: Repo, run: Runner, workplace: Path) -> None:
    run("create", "a", "-", "--name", "x", stdin=b"1")
    reading, writing = os.pipe()
    os.write(writing, b"1")
    os.close(writing)
    run("create", "b", f"/dev/fd/{reading}", "--name", "x")
    os.close(reading)
    assert {repo.version(key).node().path for key in "ab"} == {"x"}
