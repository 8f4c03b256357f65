"""Odd paths, pipes, names and values: each gives what was meant, or says what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from art.cli import common
from art.repo import Repo
from tests.conftest import Runner

ART = [sys.executable, "-m", "art"]
needs_bash = pytest.mark.skipif(os.name == "nt", reason="needs bash")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    words = " ".join(f"'{word}'" for word in ART)
    command = f'art() {{ {words} "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["dangling"], ["--markdown", "dangling"], ["--table", "dangling"]]
)
def test_a_link_to_nothing_is_not_found(
    repo: Repo, workplace: Path, run: Runner, words: list[str]
) -> None:
    (workplace / "dangling").symlink_to("nowhere")

    assert "dangling" in run("create", "k", *words, code=4).error
    assert repo.listing() == []


def test_a_link_to_nothing_inside_a_folder_is_kept(
    repo: Repo, workplace: Path, run: Runner
) -> None:
    (workplace / "d").mkdir()
    (workplace / "d/dangling").symlink_to("nowhere")

    run("create", "k", "d")

    assert repo.version("k").node("dangling").link == "nowhere"


@pytest.mark.parametrize("path", ["locked", "locked/f", "locked/*"])
def test_what_may_not_be_read_is_denied_and_not_missing(
    repo: Repo, workplace: Path, run: Runner, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "locked").mkdir()
    (workplace / "locked/f").write_text("x")
    if os.geteuid() == 0:  # who may read everything must be told
        forbid(monkeypatch, "locked")
    else:
        (workplace / "locked").chmod(0)
    try:
        assert "locked" in run("create", "k", path, code=7).error
    finally:
        (workplace / "locked").chmod(0o755)


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the system say of a folder and what is in it that it may not be looked into."""

    def refusing(real: Callable[..., object], *, inside: bool) -> Callable[..., object]:
        def call(path: object, *rest: object, **named: object) -> object:
            text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
            if f"{name}/" in text or (not inside and text.endswith(name)):
                raise PermissionError(13, "Permission denied", text)
            return real(path, *rest, **named)

        return call

    access = os.access
    monkeypatch.setattr("os.lstat", refusing(os.lstat, inside=True))
    monkeypatch.setattr("os.scandir", refusing(os.scandir, inside=False))
    monkeypatch.setattr(
        "os.access", lambda path, mode: not str(path).endswith(name) and access(path, mode)
    )


@needs_bash
@pytest.mark.parametrize(
    "command",
    [
        "art create k <(printf hello)",
        "printf hello | art create k /dev/stdin",
        "mkfifo p; printf hello >p & art create k p",
        "printf hello >f; art create k /dev/stdin <f",
        "art create k --markdown <(printf hello)",
        "art create k --data <(printf '\"hello\"')",
    ],
)
def test_a_pipe_is_its_content(repo: Repo, command: str) -> None:
    done = shell(command)

    assert done.returncode == 0, done.stderr
    assert repo.version("k").text().strip().strip('"') == "hello"


@needs_bash
def test_a_pipe_stands_alone(repo: Repo) -> None:
    done = shell("art create k <(printf a) <(printf b)")

    assert done.returncode == 2
    assert "stands alone" in done.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1/x", "http://127.0.0.1:1/x"])
def test_a_server_that_is_not_there_is_unavailable(repo: Repo, run: Runner, url: str) -> None:
    run("create", "k", "--reference", url, code=11)


# -- get -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "words"),
    [("", "DEST is empty"), ("-", "art cat k"), ("x.zip", "--zip makes"), ("x.tar.gz", "--tar")],
)
def test_a_destination_that_means_something_else_is_explained(
    repo: Repo, files: Path, workplace: Path, run: Runner, destination: str, words: str
) -> None:
    repo.create("k", files)

    assert words in run("get", "k", destination, code=2).err
    assert sorted(path.name for path in workplace.iterdir()) == [".art", "data"]


def test_an_archive_that_is_the_content_is_taken_out_as_it_is(
    repo: Repo, workplace: Path, run: Runner
) -> None:
    (workplace / "a.zip").write_text("zip")
    repo.create("k", "a.zip")

    run("get", "k", "b.zip")

    assert (workplace / "b.zip").read_text() == "zip"


def test_a_path_is_escaped_on_a_terminal_only(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.value("k", 1)
    assert run("get", "k", "a\x1b[31m").out == "a\x1b[31m\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("get", "k", "a\x1b[31m").out == "a\\x1b[31m\n"


# -- output ----------------------------------------------------------------------------------------


@needs_bash
def test_a_reader_that_leaves_ends_it_silently(repo: Repo, workplace: Path) -> None:
    (workplace / "big").write_text("line\n" * 200_000)
    repo.create("k", "big")

    done = shell("art cat k | head -n1; echo ${PIPESTATUS[0]}")

    assert (done.stdout, done.stderr) == ("line\n141\n", "")


def test_a_listing_in_json_is_the_same_when_it_is_streamed(repo: Repo, run: Runner) -> None:
    assert run("ls", "--json").out == "[]\n"
    for number in range(3):
        repo.value(f"k{number}", number, title="a\nb" * number)

    out = run("ls", "--json").out

    assert out == json.dumps(json.loads(out), indent=2) + "\n"
    assert [row["key"] for row in json.loads(out)] == ["k0", "k1", "k2"]


def test_an_interruption_while_starting_is_one_line(workplace: Path) -> None:
    (workplace / "typer.py").write_text("raise KeyboardInterrupt")

    done = subprocess.run(
        [*ART, "ls"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(workplace), *sys.path])},
    )

    assert done.returncode == 130
    assert done.stderr == "error: interrupted before anything was done\n"


def test_progress_keeps_its_message_until_it_is_taken_away(repo: Repo, run: Runner) -> None:
    run("progress", "train", "10", "-m", "epoch 1")
    run("progress", "train", "20.5")

    assert "20.5 %  epoch 1" in run("ls").out
    assert run("ls", "--json").json[0]["progress"]["message"] == "epoch 1"
    assert run("ls", "-o", "csv", "--columns", "key,progress").out == "key,progress\ntrain,20.5\n"

    run("progress", "train", "30", "-m", "")
    assert run("ls", "--columns", "progress").out.split() == ["PROGRESS", "30", "%"]
    assert repo.version("train").progress.message is None  # type: ignore[union-attr]


def test_progress_that_is_damaged_is_listed_all_the_same(repo: Repo, run: Runner) -> None:
    run("progress", "train", "10")
    next((repo.root / ".art/progress").iterdir()).write_text("x")

    assert "damaged" in run("ls").out
    assert run("ls", "--json").json[0]["progress"] is None


def test_paths_that_shells_would_cut_are_not_completed(repo: Repo, workplace: Path) -> None:
    (workplace / "d").mkdir()
    for name in ("plain.csv", "größe.csv", "a b", "$(x)", "new\nline", "quo'te", "star*"):
        (workplace / "d" / name).write_text(name)
    repo.create("k", "d")

    assert common.complete_ref("k@v1/") == ["k@v1/größe.csv", "k@v1/plain.csv"] or (
        common.complete_ref("k@v1/") == ["k@v1/plain.csv", "k@v1/größe.csv"]
    )
