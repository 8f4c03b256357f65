"""Completion: the files in `completions/` are current, and shells complete what is in a repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import art
from art.repo import Repo
from tests.conftest import Runner

FOLDER = Path(__file__).parent.parent / "completions"
FILES = {"bash": "art.bash", "zsh": "_art", "fish": "art.fish", "powershell": "art.ps1"}


@pytest.mark.parametrize("shell", FILES)
def test_files_are_what_the_command_prints(shell: str, run: Runner) -> None:
    assert (FOLDER / FILES[shell]).read_text() == run("completion", shell).out


def test_completion_for_an_unknown_shell_is_refused(run: Runner) -> None:
    assert "tcsh" in run("completion", "tcsh", code=2).error


@pytest.fixture
def path_with_art(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "art"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m art "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.fixture
def _made(repo: Repo, files: Path, path_with_art: None) -> None:
    repo.create("sales/data", files)
    repo.create("sales/data", files, always=True, tags=["prod"])
    repo.value("churn", 1)
    repo.remotes.add("origin", "../shared")
    with art.init("other", nested=True) as other:
        other.value("else", 1)


def shell(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout


CASES = [
    ("art res", ["resolve", "restore"]),
    ("art get s", ["sales/data"]),
    (
        "art get sales/data@",
        ["sales/data@latest", "sales/data@prod", "sales/data@v1", "sales/data@v2"],
    ),
    ("art get sales/data@p", ["sales/data@prod"]),
    ("art cat sales/data@v1/e", ["sales/data@v1/eu/"]),
    ("art cat sales/data@v1/eu/part-1", ["sales/data@v1/eu/part-1.csv"]),
    ("art tag back sales/data p", ["prod"]),
    ("art ls --col", ["--columns"]),
    ("art --", ["--directory", "--help", "--json", "--quiet", "--verbose", "--version"]),
    ("art -C other get e", ["else"]),
    ("art push --remote o", ["origin"]),
    ("art remote set-url o", ["origin"]),
    ("art pull s", ["sales/data"]),
]


@pytest.mark.usefixtures("_made")
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash_completes(line: str, expected: list[str]) -> None:
    script = f"""
        source '{FOLDER / "art.bash"}'
        COMP_LINE='{line}' COMP_POINT={len(line)}
        _art art 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    # bash itself keeps what stands before the last @, : or =
    kept = line.rpartition(" ")[2].rpartition("@")
    prefix = kept[0] + kept[1]

    assert sorted(shell("bash", "-c", script).split()) == [
        word.removeprefix(prefix) for word in expected
    ]


@pytest.mark.usefixtures("_made")
@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
@pytest.mark.parametrize(("line", "expected"), CASES[:5])
def test_fish_completes(line: str, expected: list[str]) -> None:
    out = shell("fish", "-c", f"source '{FOLDER / 'art.fish'}'; complete -C '{line}'")

    assert sorted(row.split("\t")[0] for row in out.splitlines()) == expected


@pytest.mark.usefixtures("_made")
@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
@pytest.mark.parametrize(("line", "expected"), CASES[:5])
def test_zsh_completes(line: str, expected: list[str]) -> None:
    words = " ".join(f"'{word}'" for word in line.split(" "))
    script = f"""
        compdef() {{ }}
        compadd() {{ print -l -- $values }}
        _files() {{ }}
        source '{FOLDER / "_art"}'
        words=({words}) CURRENT={len(line.split(" "))}
        _art
    """

    assert sorted(shell("zsh", "-f", "-c", script).split()) == expected


def test_completion_outside_a_repository_is_silent(path_with_art: None) -> None:
    done = subprocess.run(
        ["env", "_ART_COMPLETE=complete_bash", "COMP_WORDS=art get s", "COMP_CWORD=2", "art"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")
