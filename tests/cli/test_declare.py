"""`art declare`, `-p`, `--by`, `--latest-per`, and docs/partitions.md, which prints what it shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from art.cli import main
from art.periods import Granularity
from art.repo import Repo
from tests.conftest import Runner

PAGE = (Path(__file__).parents[2] / "docs" / "partitions.md").read_text(encoding="utf-8")
CONSOLE = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def normal(text: str) -> list[str]:
    """Return the lines of `text`, ids and blanks made equal."""
    text = re.sub(r"b3:[0-9a-f]+…?", "ID", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]


def test_the_page_prints_what_it_shows(repo: Repo) -> None:
    for step in re.split(r"^(?=\$ )", CONSOLE, flags=re.MULTILINE)[1:]:
        line, _, shown = step.partition("\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            main(shlex.split(line.removeprefix("$ art ")))
        assert normal(printed.getvalue()) == normal(shown), line


def test_the_python_of_the_page_prints_what_it_says(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(compile(block, "partitions.md", "exec"), names)
    said = re.findall(r"^print\(.*\)  # (.+)$", "".join(PYTHON), re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == said


def test_the_page_has_every_length(repo: Repo) -> None:
    for each in Granularity:
        assert f"| `{each.value}` | `{each.example}` |" in PAGE


def test_what_is_declared_is_shown_and_told_apart_from_what_was_there(
    repo: Repo, run: Runner
) -> None:
    words = ("declare", "k", "--partition", "a", "--time-partition", "due:month", "--type", "value")
    more = ("-t", "newest", "--retention", "keep_last=3", "--retention", "keep_within=30d")
    document = run(*words, *more, "-m", "Rows", "--message", "agreed", "--json").json
    assert document["settings"] == {
        "default_tags": ["newest"],
        "description": "Rows",
        "partitions": ["a", "due"],
        "retention": {"keep_last": 3, "keep_within": "30d"},
        "time_partitions": {"due": "month"},
        "type": "value",
    }
    assert document["changed"]
    run(*words, code=0)
    run(*words, "--error-on-noop", code=9)
    assert run("declare", "k").out == run("settings", "k").out
    assert "agreed" in run("settings", "k", "--history").out
    assert "no key 'other'" in run("declare", "other", code=4).error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--partition", "a b"), "'a b'"),
        (("--partition", "partition"), "means all partitions"),
        (("--time-partition", "fortnight"), "'fortnight' is no granularity"),
        (("--time-partition", "due:"), "no granularity|no name|expected"),
        (("--retention", "keep_all=1"), "keep_all"),
        (("--retention", "keep_last=many"), "keep_last"),
        (("--retention", "keep_last"), "not of the form"),
        (("--tag", "v1"), "v1"),
    ],
)
def test_mistakes(run: Runner, repo: Repo, words: tuple[str, ...], message: str) -> None:
    assert re.search(message, run("declare", "k", *words, code=2).error)
    run("settings", "k", code=4)


def test_partitions_that_are_left_out_are_named_with_the_command_that_keeps_them(
    repo: Repo, run: Runner
) -> None:
    run("declare", "k", "--partition", "a", "--time-partition", "day")
    said = run("declare", "k", "--partition", "b", "--partition", "day").err
    assert "a, day of k is not declared any more as it was" in said
    command = re.search(r"to keep it: art (.*)", said)
    assert command
    assert run(*command[1].split()).err == ""
    assert run("declare", "k", "--json").json["settings"] == {
        "partitions": ["a", "b", "day"],
        "time_partitions": {"day": "day"},
    }
    assert "b, day of k is not declared any more" in run("settings", "k", "partitions=a").err
    assert run("settings", "k", "--unset", "partitions").err == "k has no settings\n"


def test_a_type_that_is_probably_mistyped_is_told_once(repo: Repo, run: Runner) -> None:
    warning = "warning: no version is of type 'tabel'; did you mean table?"
    assert warning in run("declare", "k", "--type", "tabel").err
    assert warning in run("create", "other", "--value", "1", "--type", "tabel").err
    for words in (("declare", "k", "--type", "tabel"), ("declare", "k", "--type", "dataset")):
        assert "warning" not in run(*words).err  # there is one by now, or it is like none


def test_settings_take_what_is_declared_away(repo: Repo, run: Runner) -> None:
    run("declare", "k", "--time-partition", "day", "-t", "newest")
    run("settings", "k", "--unset", "time_partitions", "--unset", "default_tags")
    assert run("settings", "k", "--json").json["settings"] == {"partitions": ["day"]}
    assert "time_partitions day=day" in normal(run("settings", "k", "time_partitions=day").out)
    assert run("settings", "k", "time_partitions=hour", code=2).error.startswith(
        "k has no partition"
    )


def test_missing_unknown_and_wrong_partitions_are_usage_errors(repo: Repo, run: Runner) -> None:
    run("declare", "k", "--partition", "a", "--time-partition", "day")
    for words, message in (
        (("-p", "a=1"), "partition day, which is missing"),
        (("-p", "a=1", "-p", "day=today", "-p", "b=1"), "k has no partition b"),
        (("-p", "a=1", "-p", "day=soon"), "'soon' is no time"),
    ):
        assert message in run("create", "k", "--value", "1", *words, code=2).error
    run("create", "k", "--value", "1", "-p", "b=1", "--allow-undeclared")
    assert run("inspect", "k", "--json").json["partitions"] == {"b": "1"}


@pytest.mark.parametrize(
    "words",
    [
        ("create", "k", "--value", "1"),
        ("progress", "k", "5"),
        ("cp", "plain", "k"),
        ("mv", "plain", "k"),
        ("seal", "k", "--draft", "d", "--expect", "1"),
        ("run", "--out", "k=new", "--", sys.executable, "-c", "open('new', 'x')"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_that_makes_versions_can_be_told_to_take_others(
    repo: Repo, run: Runner, workplace: Path, words: tuple[str, ...]
) -> None:
    (workplace / "file").write_text("1")
    repo.create("plain", "file")
    repo.part("k", "file", draft="d", name="one")
    repo.declare("k", partitions=["region"])
    assert "partition region, which is missing" in run(*words, code=2).error
    assert not (workplace / "new").exists()  # it is refused before the work is done
    assert repo.runs() == []
    run(words[0], "--allow-undeclared", *words[1:])
    assert repo.version("k").partitions == {}


def test_watch_can_be_told_to_take_others(repo: Repo, workplace: Path) -> None:
    (workplace / "file").write_text("1")
    repo.declare("k", partitions=["region"])
    command = [sys.executable, "-m", "art", "watch", "file", "k", "--allow-undeclared"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=workplace) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("k@v1 ")
        process.terminate()


def test_every_command_that_reads_takes_the_greatest(repo: Repo, run: Runner) -> None:
    for number in (9, 10, 3):
        repo.value("k", number, partitions={"n": str(number)})
    assert run("cat", "k", "--by", "n").out == "10"
    assert run("cat", "k", "-p", "n=..9", "--by", "partition").out == "9"
    assert run("cat", "k?n=..9&by:n").out == "9"
    assert run("inspect", "k", "--by", "n", "--json").json["number"] == 2
    run("get", "k", "out", "--by", "n")
    assert Path("out").read_text() == "10"
    assert run("resolve", "k", "k@v1", "--by", "n", code=2).error.startswith("k@v1?by:n names one")
    assert run("resolve", "k", "--by", "a b", code=2)
    assert run("ls", "--by", "n", "-o", "csv", "--columns", "ref").out.split() == ["ref", "k@v2"]
    assert run("ls", "-p", "n=latest", "--count").out.strip() == "1"
    assert run("ls", "--latest-per", "n", "--count").out.strip() == "3"
    assert run("ls", "--latest-per", "a b", code=2)


def test_what_is_asked_is_told_apart_from_what_it_means_for_ever(repo: Repo, run: Runner) -> None:
    repo.value("k", 1, partitions={"a": "x"})
    asked, exact = run("resolve", "k?a=x", "k@v1", "--json").json
    assert (asked["asked"], asked["is_exact"], asked["ref"]) == ("k@latest?a=x", False, "k@v1")
    assert (exact["asked"], exact["is_exact"], exact["ref"]) == ("k@v1", True, "k@v1")


def test_placeholders_stand_in_values_of_partitions(repo: Repo, run: Runner) -> None:
    run("create", "k", "--value", "1", "-p", "a={x}-{{y}}", "--set", "x=1")
    assert repo.version("k").partitions == {"a": "1-{y}"}
    failed = run("create", "k", "--value", "1", "-p", "a={nope}", code=2)
    assert failed.error == "partition a '{nope}' has the unknown placeholder {nope}"
