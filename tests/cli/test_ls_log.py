"""`art ls` and `art log`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner


@pytest.fixture(autouse=True)
def _made(repo: Repo) -> None:
    repo.markdown("sales/report", "one", title="First")
    repo.markdown("sales/report", "two", metadata={"rows": 2}, labels=["weekly"], tags=["prod"])
    repo.value("sales/eu/total", 3, partitions={"region": "eu"})
    repo.value("churn", 0.5)
    repo.value(None, "nobody")


def refs(result_json: list[dict[str, str]]) -> list[str]:
    return [row["ref"] for row in result_json]


def test_ls_shows_the_latest_of_each_key(run: Runner) -> None:
    lines = run("ls").out.splitlines()

    assert lines[0].split() == ["KEY", "VERSION", "TYPE", "SIZE", "CREATED", "TAGS", "ABOUT"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["churn", "v1", "value"],
        ["sales/eu/total", "v1", "value"],
        ["sales/report", "v2", "markdown"],
    ]


def test_ls_of_an_empty_repository_shows_the_header(run: Runner) -> None:
    run("init", "other", "--nested")

    assert run("ls", "-C", "other").out.split()[:2] == ["KEY", "VERSION"]
    assert run("ls", "-C", "other", "--json").json == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["churn@v1", "sales/eu/total@v1", "sales/report@v2"]),
        (["sales/*"], ["sales/report@v2"]),
        (["sales/**"], ["sales/eu/total@v1", "sales/report@v2"]),
        (["churn", "sales/report"], ["churn@v1", "sales/report@v2"]),
        (["-a", "sales/*"], ["sales/report@v2", "sales/report@v1"]),
        (["-n", "1"], ["churn@v1"]),
        (["-n", "0"], []),
        (["-r"], ["sales/report@v2", "sales/eu/total@v1", "churn@v1"]),
        (["--sort", "created", "-n", "1"], ["churn@v1"]),
        (["--type", "markdown"], ["sales/report@v2"]),
        (["--tag", "prod"], ["sales/report@v2"]),
        (["--label", "weekly"], ["sales/report@v2"]),
        (["-p", "region=eu"], ["sales/eu/total@v1"]),
        (["--since", "1h", "churn"], ["churn@v1"]),
        (["--since", "now - 1 day", "churn"], ["churn@v1"]),
        (["--since", "2 hours", "churn"], ["churn@v1"]),
        (["--since", "yesterday", "churn"], ["churn@v1"]),
        (["--until", "yesterday", "churn"], []),
        (["--until", "2020-01-01"], []),
        (["--deleted"], []),
    ],
)
def test_ls_filters_and_sorts(run: Runner, words: list[str], expected: list[str]) -> None:
    assert refs(run("ls", "--json", *words).json) == expected


def test_what_is_no_order_says_what_is(run: Runner) -> None:
    assert "'down' is no direction" in run("ls", "--sort", "size:down", code=2).error
    failed = run("ls", "--sort", "size,key", code=2)
    assert "'size,key' is no order" in failed.error
    assert "one is given" in failed.err


def test_ls_shows_versions_without_a_key(run: Runner) -> None:
    (row,) = run("ls", "--anonymous", "-o", "json").json

    assert row["key"] is None
    assert run("ls", "--anonymous").out.splitlines()[1].split()[0][:15] == row["id"][:15]
    assert run("resolve", row["id"]).out == row["id"] + "\n"
    assert run("cat", row["id"]).out == '"nobody"'


def test_ids_of_listings_are_references(run: Runner) -> None:
    ids = run("ls", "-a", "-o", "ids").out.split()

    assert len(ids) == 4
    assert len(refs(run("resolve", *ids, "--json").json)) == 4


def test_ls_in_machine_forms(run: Runner) -> None:
    lines = run("ls", "-o", "jsonl").out.splitlines()
    text = run("ls", "-o", "csv", "--columns", "ref,size,created,metadata.rows,labels").out
    rows = list(csv.DictReader(io.StringIO(text)))

    assert refs([json.loads(line) for line in lines])[0] == "churn@v1"
    assert rows[2]["ref"] == "sales/report@v2"
    assert rows[2]["metadata.rows"] == "2"
    assert rows[2]["labels"] == '["weekly"]'
    assert rows[2]["created"].endswith("Z")


def test_ls_shows_the_columns_asked_for(run: Runner) -> None:
    out = run("ls", "sales/report", "--columns", "ref,id,tags,metadata.rows,state").out

    header, row = out.splitlines()
    assert header.split() == ["REF", "ID", "TAGS", "METADATA.ROWS", "STATE"]
    assert row.split()[0] == "sales/report@v2"
    assert len(row.split()[1]) == 67
    assert row.split()[2:] == ["prod", "2", "live"]


@pytest.mark.parametrize(
    "words",
    [["--columns", "nope"], ["--columns", ""], ["-o", "yaml"], ["--sort", "nope"], ["-n", "-1"]],
)
def test_ls_refuses_what_it_does_not_know(run: Runner, words: list[str]) -> None:
    result = run("ls", *words, code=2)

    assert result.out == ""


def test_log_shows_history_newest_first(repo: Repo, run: Runner) -> None:
    repo.delete("sales/report@v1")
    rows = run("log", "sales/report", "--json").json

    assert [(row["ref"], row["state"]) for row in rows] == [
        ("sales/report@v2", "live"),
        ("sales/report@v1", "deleted"),
    ]
    assert "deleted" in run("log", "sales/report").out
    assert refs(run("log", "sales/report", "-n", "1", "-o", "json").json) == ["sales/report@v2"]


def test_log_of_an_unknown_key_suggests(run: Runner) -> None:
    result = run("log", "sales/repor", code=4)

    assert "did you mean sales/report" in result.err


def test_names_are_escaped(repo: Repo, run: Runner) -> None:
    repo.value("evil", 1, title="\x1b[31mred\nline")

    assert "\x1b" not in run("ls", "evil").out
    assert "\x1b" not in run("ls", "evil", "-o", "csv", "--columns", "title").out
    assert run("ls", "evil", "--json").json[0]["title"] == "\x1b[31mred\nline"
    assert "\x1b" not in run("ls", "evil", "--json").out


def test_columns_say_what_manifests_do_of_the_content(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    (workplace / "t.csv").write_text("day,price\n1,2\n3,4\n")
    repo.table("t", workplace / "t.csv")
    names = "key,rows,columns,shape,dtype,width,height"

    lines = run("ls", "t", "--columns", names).out.splitlines()
    assert lines[1].split() == ["t", "2", "day,", "price"]
    assert run("log", "t", "--columns", "rows").out.split() == ["ROWS", "2"]
    text = run("ls", "t", "-o", "csv", "--columns", names).out
    assert next(csv.DictReader(io.StringIO(text)))["columns"] == '["day", "price"]'


def test_many_names_in_a_column_are_shortened_for_people_only(repo: Repo, run: Runner) -> None:
    names = [f"column_{number}" for number in range(100)]
    repo.table("t", {name: [1] for name in names})
    repo.table("long", {"x" * 300: [1]})

    text = run("ls", "t", "--columns", "key,columns").out.splitlines()[1]
    assert text == "t    " + ", ".join(names[:6]) + ", …"
    text = run("ls", "long", "--columns", "columns").out.splitlines()[1]
    assert text == "x" * 60 + ", …"
    text = run("ls", "t", "-o", "csv", "--columns", "columns").out
    assert next(csv.DictReader(io.StringIO(text)))["columns"].count("column_") == len(names)


def test_shapes_of_arrays_are_a_column(repo: Repo, run: Runner) -> None:
    numpy = pytest.importorskip("numpy")
    repo.save(numpy.zeros((4, 2), "float32"), "a")

    lines = run("ls", "a", "--columns", "shape,dtype").out.splitlines()
    assert lines[1] == "4 x 2  float32"


def test_an_unknown_column_is_told_the_known_ones(run: Runner) -> None:
    hint = run("ls", "--columns", "key,nope", code=2).err.splitlines()[-1]

    assert all(name in hint for name in ("key", "shape", "metadata.NAME"))
