"""What holds for every command line: errors, exit codes, options from the environment."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import art
from art.cli import NAMES, main
from art.errors import CorruptError
from art.repo import Repo
from tests.conftest import Runner

ART = [sys.executable, "-m", "art"]


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the name and function of every command and sub-command."""
    for name in NAMES:
        module = importlib.import_module(f"art.cli.{name}")
        if hasattr(module, "command"):
            yield name, module.command
        else:
            for info in module.app.registered_commands:
                yield f"{name} {info.name}", info.callback


def options(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    for parameter in inspect.signature(function).parameters.values():
        for item in typing.get_args(parameter.annotation)[1:]:
            yield parameter.name, item


COMMANDS = dict(functions())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, run: Runner) -> None:
    result = run(*name.split(), "--help")

    summary = str(COMMANDS[name].__doc__).strip().splitlines()[0]
    assert not summary.endswith(".")
    assert summary[0].isupper()
    assert "Examples:" in result.out
    assert f"art {name}" in result.out
    for option in ("--json", "--quiet", "--verbose", "--directory", "--help"):
        assert option in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_and_has_its_name_in_the_environment(name: str) -> None:
    for parameter, item in options(COMMANDS[name]):
        assert item.help, parameter
        assert not item.help.endswith("."), parameter
        names = [word for word in (item.param_decls or ()) if word.startswith("--")]
        if names:
            default = f"ART_{name}_{parameter}".upper().replace(" ", "_")
            spelled = names[0].removeprefix("--").replace("-", "_")
            assert item.envvar or default.endswith(f"_{spelled.upper()}"), names


def test_help_shows_every_command(run: Runner) -> None:
    out = run("--help").out

    assert run().out == out
    for name in NAMES:
        assert f"\n    {name} " in out


def test_version(run: Runner) -> None:
    assert run("--version").out == f"art {art.__version__}\n"


def test_unknown_commands_come_with_a_near_one(run: Runner) -> None:
    result = run("crate", "k", code=2)

    assert result.err == "error: no command 'crate'\nhint: art create\n"
    assert "art --help" in run("zzzz", code=2).err
    assert run("tag", "sett", code=2).err.endswith("hint: art tag set\n")


def test_wrong_options_are_usage_errors(run: Runner) -> None:
    result = run("ls", "--colums", "a", code=2)

    assert result.error.startswith("no such option: --colums")
    assert result.err.endswith("hint: art ls --help\n")
    assert "missing" in run("cat", code=2).error.lower()


def test_groups_ask_for_a_sub_command(run: Runner) -> None:
    result = run("tag", code=2)

    assert result.err == "error: missing command\nhint: art tag --help\n"
    for name in ("set", "list", "delete", "history", "back"):
        assert f"\n  {name} " in run("tag", "--help").out


def test_verbose_says_where_and_how_long(repo: Repo, workplace: Path, run: Runner) -> None:
    err = run("-v", "ls").err

    assert err.startswith(f"repository {workplace}\ntook ")
    assert run("ls", "-v", "--json").json == []


def test_errors_as_json(run: Runner) -> None:
    result = run("ls", "--json", code=10)

    error = json.loads(result.err)["error"]
    assert error["kind"] == "no-repository"
    assert error["exit_code"] == 10
    assert error["hint"] == "art init"
    assert result.out == ""
    assert json.loads(run("--json", "nope", code=2).err)["error"]["kind"] == "usage"


def test_options_come_from_the_environment(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ART_JSON", "1")
    monkeypatch.setenv("ART_CREATE_TITLE", "From outside")
    monkeypatch.setenv("ART_CREATE_META", "a=1 b:=2")
    monkeypatch.setenv("ART_QUIET", "true")

    assert run("create", "k", "--value", "1").json["title"] == "From outside"
    assert run("ls").json[0]["metadata"] == {"a": "1", "b": 2}
    monkeypatch.setenv("ART_DIRECTORY", str(tmp_path))
    assert json.loads(run("ls", code=10).err)["error"]["kind"] == "no-repository"


def test_unexpected_errors_leave_a_report(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(Repo, "status", lambda _: {}["not\nthere"])

    result = run("status", code=1)

    assert len(result.err.splitlines()) == 2
    assert result.error.startswith("unexpected KeyError: ")
    (report,) = tmp_path.glob("art-error-*.txt")
    assert str(report) in result.err
    text = report.read_text()
    assert "Traceback" in text
    assert "'status'" in text
    assert f"art {art.__version__}" in text


def test_damage_has_its_exit_code(repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: Repo) -> None:
        raise CorruptError("manifests/\x1b[31m is damaged", hint="art doctor")

    monkeypatch.setattr(Repo, "status", damaged)

    assert "\x1b" not in run("status", code=8).err


def test_system_errors_are_one_line(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Repo) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr(Repo, "status", fails)

    assert run("status", code=7).err == "error: permission denied: 'some/file'\n"


def test_an_interruption_says_what_is_certain(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Repo) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Repo, "status", interrupted)

    assert "only what was reported above" in run("status", code=130).error


def test_odd_names_do_not_break_the_output(repo: Repo, workplace: Path, run: Runner) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems do not have names that are not text")
    folder = workplace / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    (folder / "new\nline \x1b[31m").write_text("y")
    run("create", "odd", "odd")

    out = run("inspect", "odd").out
    assert "\x1b" not in out
    assert "not-utf8" in out
    run("get", "odd", "back")
    assert sorted(os.listdir(os.fsencode(workplace / "back"))) == sorted(
        os.listdir(os.fsencode(folder))
    )


def test_a_closed_pipe_is_quiet(repo: Repo) -> None:
    for number in range(3):
        repo.markdown(f"k{number}", "x" * 4000)
    command = " ".join(f"'{word}'" for word in ART)
    done = subprocess.run(
        ["bash", "-c", f"{command} cat k0 | true; {command} ls -o jsonl | head -c 1"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""


def test_exit_code_reaches_the_shell(workplace: Path) -> None:
    done = subprocess.run([*ART, "ls"], capture_output=True, text=True, check=False)

    assert done.returncode == 10
    assert done.stdout == ""


def test_main_returns_and_does_not_exit() -> None:
    assert main(["ls"]) == 10
