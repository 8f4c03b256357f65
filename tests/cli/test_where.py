"""`--where` on the command line, and docs/where.md, whose examples run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import art
from art.query.fields import FIELDS, ROOTS
from art.repo import Repo
from tests.conftest import Runner

PAGE = (Path(__file__).parents[2] / "docs" / "where.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ art ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def shelf(repo: Repo) -> Repo:
    about = {"labels": ["weekly"], "partitions": {"region": "eu"}}
    repo.markdown("sales/raw", "1", metadata={"acc": 0.4}, **about)  # type: ignore[arg-type]
    repo.markdown("sales/raw", "22", metadata={"acc": 0.95}, **about)  # type: ignore[arg-type]
    repo.value("churn", 1, inputs=["sales/raw@v1"], title="Churn", metadata={"acc": 0.2})
    repo.tag("sales/raw@v2", "prod")
    return repo


@pytest.mark.parametrize("line", COMMANDS)
def test_the_examples_of_the_page_run(shelf: Repo, run: Runner, line: str) -> None:
    run(*shlex.split(line))


def test_the_python_of_the_page_runs(shelf: Repo) -> None:
    for block in PYTHON:
        exec(block, {"repo": shelf, "art": art})


def test_the_page_names_every_field() -> None:
    for name in [*FIELDS, *(f"{root}.NAME" for root in ROOTS)]:
        assert f"`{name}`" in PAGE


def test_the_error_of_the_page_is_that_of_the_command(shelf: Repo, run: Runner) -> None:
    shown = re.findall(r"```text\n(error:.*?)```", PAGE, re.DOTALL)
    done = run("ls", "--where", "type = table and szie > 1M", code=2)
    assert [done.err] == shown


def test_a_listing_has_the_newest_that_match(shelf: Repo, run: Runner) -> None:
    columns = ("-o", "csv", "--columns", "ref")
    assert run("ls", "--where", "metadata.acc < 0.5", *columns).out.split() == [
        "ref", "churn@v1", "sales/raw@v1",
    ]  # fmt: skip
    done = run("ls", "-a", "--where", "region = eu", "--limit", "1", "--offset", "1", *columns)
    assert done.out.split() == ["ref", "sales/raw@v1"]


def test_counts(shelf: Repo, run: Runner) -> None:
    assert run("ls", "--count").out == "2\n"
    assert run("ls", "-a", "--count").out == "3\n"
    assert run("ls", "sales/*", "--where", "tag = prod", "--count", "--json").json == {"count": 1}
    assert "--group-by" in run("ls", "--count", "--group-by", "key", code=2).error


def test_groups(shelf: Repo, run: Runner) -> None:
    lines = run("ls", "--group-by", "label").out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["LABEL", "VERSIONS", "SIZE", "NEWEST"],
        ["weekly", "2", "3", "B"],
        ["-", "1", "1", "B"],
    ]
    newest = shelf.version("sales/raw").created
    [first, _] = run("ls", "--group-by", "partition:region", "--json").json
    assert first == {
        "by": "partition:region",
        "value": "eu",
        "count": 2,
        "size": 3,
        "newest": newest,
    }
    assert run("ls", "--group-by", "type", "--sort", "count", "-o", "csv").out.splitlines()[:2] == [
        "type,count,size,newest",
        f"markdown,2,3,{newest}",
    ]
    assert len(run("ls", "--group-by", "key", "-o", "jsonl", "-n", "1").out.splitlines()) == 1
    assert "no ids" in run("ls", "--group-by", "key", "-o", "ids", code=2).error


def test_an_error_in_json_has_the_place(shelf: Repo, run: Runner) -> None:
    done = run("ls", "--where", "size > big", "--json", code=2)
    assert '"at": 7' in done.err
    assert '"query": "size > big"' in done.err


def test_an_error_in_a_long_query_shows_what_is_around(shelf: Repo, run: Runner) -> None:
    query = " or ".join(["title = 'a\x1b[2J'"] * 20 + ["szie = 1"] + ["size = 1"] * 20)
    _, line, caret, _ = run("ls", "--where", query, code=2).err.splitlines()
    assert len(line) == 102
    assert "\x1b" not in line
    assert line[caret.index("^") :].startswith("szie = 1")


def test_words_that_are_no_unicode_find_nothing(shelf: Repo, run: Runner) -> None:
    for words in (
        ["--type", "\udcff"],
        ["-t", "\udcff"],
        ["-l", "\udcff"],
        ["-p", "region=\udcff"],
    ):
        assert len(run("ls", *words).out.splitlines()) == 1
    run("ls", "\udcff", code=4)
    run("ls", "--where", "title = \udcff", code=2)


def test_prune_applies_its_rules_to_what_matches(shelf: Repo, run: Runner) -> None:
    for value in range(4):
        shelf.value("k", value, metadata={"acc": value / 4}, labels=["tmp"] if value % 2 else [])
    done = run("prune", "k", "--where", "label = tmp", "--keep-last", "1", "--yes", "--json").json
    assert [(one["ref"], one["keep"]) for one in done["versions"]] == [
        ("k@v4", True),
        ("k@v2", False),
    ]
    assert [record.ref for record in shelf.query("key = k")] == ["k@v4", "k@v3", "k@v1"]
    run("prune", "--where", "metadata.acc < 0.6 and key = k", "--keep-last", "0", "--yes")
    assert [record.ref for record in shelf.query("key = k")] == ["k@v4"]


def test_prune_refuses_a_query_that_is_not_understood(shelf: Repo, run: Runner) -> None:
    for query in ("regoin = eu", "size <", "ancestor = nothing"):
        run("prune", "--where", query, "--keep-last", "0", "--yes", code=2)
    assert shelf.count() == 3


def test_prune_of_keyless_versions_takes_a_query(repo: Repo, run: Runner) -> None:
    repo.markdown(None, "1", title="old")
    repo.markdown(None, "2", title="new")
    run("prune", "--anonymous", "--where", "title = old", "--keep-last", "0", "--yes")
    assert [record.title for record in repo.listing(filter=art.Filter(anonymous=True))] == ["new"]


def test_prune_keeps_what_no_longer_matches(repo: Repo) -> None:
    repo.value("k", 1)
    repo.value("k", 2)
    policy = art.Policy(keep_last=0, keep_tagged=False)
    plan = repo.plan_prune("k", policy=policy, where="tag is null")
    repo.tag("k@v1", "prod")
    done = repo.execute_prune(plan)
    assert [record.ref for record in done.versions] == ["k@v2"]
    assert repo.count("key = k") == 1
