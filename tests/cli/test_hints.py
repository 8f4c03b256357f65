"""Mistakes that people make on the command line: the error names the fault, the hint what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner

MISTAKES = [
    ("create sales/report reprot.md", 4, "no file or folder 'reprot.md'", "did you mean report.md?"),
    ("create sales/report report.md -m", 2, "'-m' requires an argument", "art create --help"),
    ("create sales:report! report.md", 2, "key 'sales:report!' is not", "did you mean sales-report?"),
    ("create /sales/report/ report.md", 2, "is not possible", "did you mean sales/report?"),
    ("create k report.md -M rows:=abc", 2, "is not JSON", "rows=abc is a text"),
    ("inspect SALES/DATA", 4, "no key 'SALES/DATA'", "did you mean sales/data"),
    ("inspect 12345678", 4, "no key '12345678'", "b3:12345678"),
    ("inspect sales/data:prod", 2, "is not possible", "sales/data@prod"),
    ("inspect sales/*", 2, "is not possible", "patterns go with art ls"),
    ("inspect sales/data@v1/x.csv", 2, "names a path", "sales/data@v1 alone; art cat"),
    ("diff sales/data v1", 4, "no key 'v1'", "KEY@v1"),
    ("tag sales/data prod", 2, "art tag has no command 'sales/data'", "art tag set KEY TAG"),
    ("tag rm sales/data prod", 2, "no command 'rm'", "art tag delete"),
    ("remote remove origin", 2, "no command 'remove'", "art remote rm"),
    ("remote lst", 2, "no command 'lst'", "art remote ls"),
    ("config jobs 3", 2, "no command 'jobs'", "art config set NAME VALUE"),
    ("config get job", 2, "no setting 'job'", "did you mean jobs?"),
    ("settings sales/data typ=table", 2, "no setting 'typ'", "did you mean type?"),
    ("declare k --time-partition date", 2, "'date' is no granularity", "date:day"),
    ("draft drop k nodraft", 4, "k has no draft nodraft", "art draft ls"),
    ("run --in raw=report.md -- true", 4, "no key 'report.md'", "./report.md"),
    ("watch sales/x data --once", 2, "nothing to watch at sales/x", "art watch data sales/x"),
    ("du sales/dta", 4, "no key 'sales/dta'", "did you mean sales/data"),
    ("push origin", 4, "no key 'origin'", "origin is a remote: --remote origin"),
    ("pull origin", 4, "no key 'origin'", "origin is a remote: --remote origin"),
    ("export sales/data", 2, "the file to write is missing", "art export sales/data FILE.tar"),
    ("export sales/data out", 2, "'out' is no name of an archive", "out.tar"),
    ("remote add ../shared", 2, "a name and a URL", "art remote add origin ../shared"),
    ("remote add s3 s3:bucket/x", 2, "'s3:bucket/x' is not a URL", "s3://bucket/x"),
    ("clone me@host:data", 2, "'me@host:data' is not a URL", "sftp://me@host/~/data"),
    ("get sales/data --zip out.tar.gz", 2, "no name of a zip file", "--zip out.zip"),
]  # fmt: skip


@pytest.fixture
def filled(repo: Repo, workplace: Path) -> Repo:
    """Return a repository with a remote and an artifact."""
    (workplace / "data").mkdir()
    (workplace / "data" / "x.csv").write_text("a\n1\n")
    (workplace / "report.md").write_text("# Report\n")
    repo.create("sales/data", "data", tags=["prod"])
    repo.remotes.add("origin", str(workplace.parent / "shared"))
    return repo


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("words", "code", "message", "hint"), MISTAKES, ids=[words for words, *_ in MISTAKES]
)
def test_a_mistake_is_named_with_what_helps(
    run: Runner, words: str, code: int, message: str, hint: str
) -> None:
    said = run(*words.split(), code=code)
    assert message in said.error
    (hints,) = [line for line in said.err.splitlines() if line.startswith("hint: ")]
    assert hint in hints
    assert said.out == ""


@pytest.mark.usefixtures("filled")
def test_what_lists_nothing_tells_of_words_that_are_probably_mistyped(run: Runner) -> None:
    assert "did you mean folder?" in run("ls", "--type", "foldr").err
    assert "did you mean prod?" in run("ls", "--tag", "prd").err
    assert run("ls", "--tag", "other").err == ""
    assert run("ls", "nothing/*").err == ""


@pytest.mark.usefixtures("filled")
def test_a_destination_that_looks_like_a_version_is_told(run: Runner, workplace: Path) -> None:
    run("create", "sales/data", "report.md")
    assert "that version is sales/data@v1" in run("get", "sales/data", "v1").err
    assert (workplace / "v1").exists()
    assert "that version" not in run("get", "sales/data@v2", "v2").err


@pytest.mark.usefixtures("filled")
def test_a_command_in_one_word_is_told_apart_from_one_that_is_missing(run: Runner) -> None:
    assert "its words stand apart, or behind sh -c" in run("run", "ls -l", code=127).err
    assert "apart" not in run("run", "nosuchcommand", code=127).err
