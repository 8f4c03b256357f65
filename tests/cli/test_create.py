"""`art create` and `art progress`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner

LINE = re.compile(r"([\w/.-]+@v\d+)  (b3:[0-9a-f]{64})(?:  (.+))?\n")


def test_create_prints_reference_and_id(repo: Repo, files: Path, run: Runner) -> None:
    result = run("create", "sales/data", "data")

    found = LINE.fullmatch(result.out)
    assert found
    assert found.group(1) == "sales/data@v1"
    assert repo.version(found.group(2)).ref == "sales/data@v1"
    assert result.err.startswith("3 files, ")


def test_create_again_says_unchanged(repo: Repo, files: Path, run: Runner) -> None:
    first = run("create", "sales/data", "data").out
    again = run("create", "sales/data", "data")

    assert again.out == first.rstrip("\n") + "  unchanged\n"


def test_create_always_makes_a_new_version(repo: Repo, files: Path, run: Runner) -> None:
    run("create", "sales/data", "data")

    assert run("create", "sales/data", "data", "--always").out.startswith("sales/data@v2 ")


def test_create_as_json(repo: Repo, files: Path, run: Runner) -> None:
    document = run("create", "k", "data", "--json", "-M", "rows:=3", "-l", "b", "-t", "prod").json

    assert document["key"] == "k"
    assert document["number"] == 1
    assert document["ref"] == "k@v1"
    assert document["id"].startswith("b3:")
    assert document["created"] is True
    assert document["created_at"].endswith("Z")
    assert document["metadata"] == {"rows": 3}
    assert document["labels"] == ["b"]
    assert document["tags"] == ["prod"]
    assert document["files"] == 3
    again = run("--json", "create", "k", "data", "-M", "rows:=3", "-l", "b", "-t", "prod").json
    assert again["created"] is False
    assert again["id"] == document["id"]


def test_create_from_standard_input(repo: Repo, run: Runner) -> None:
    run("create", "logs", "-", "--name", "app.log", stdin=b"started\n\xff")

    version = repo.version("logs")
    assert [node.path for node in version.files] == ["app.log"]
    assert version.read() == b"started\n\xff"


def test_standard_input_is_called_content_by_default(repo: Repo, run: Runner) -> None:
    run("create", "logs", "-", stdin=b"x")

    assert repo.version("logs").files[0].path == "content"


def test_create_from_a_glob(repo: Repo, files: Path, run: Runner) -> None:
    run("create", "parts", "data/eu/*.csv")

    names = [Path(node.path).name for node in repo.version("parts").files]
    assert names == ["part-0.csv", "part-1.csv"]
    assert "missing" in run("create", "parts", "data/missing/*.csv", code=4).error


@pytest.mark.parametrize(
    ("words", "kind", "content"),
    [
        (["--markdown", "# Hi\n"], "markdown", "# Hi\n"),
        (["--link", "https://example.org/a", "--text", "A"], "link", "https://example.org/a"),
        (["--value", "0.93"], "value", "0.93"),
        (["--value", "007"], "value", '"007"'),
        (["--value", "true"], "value", "true"),
        (["--data", '{"a": [1, null]}'], "json", None),
    ],
)
def test_create_of_typed_values(
    repo: Repo, run: Runner, words: list[str], kind: str, content: str | None
) -> None:
    run("create", "k", *words)

    version = repo.version("k")
    assert version.type == kind
    if content is not None:
        assert version.text() == content
    else:
        assert json.loads(version.text()) == {"a": [1, None]}


def test_link_keeps_its_text(repo: Repo, run: Runner) -> None:
    run("create", "k", "--link", "https://example.org/a", "--text", "A")

    assert repo.version("k").link == ("https://example.org/a", "A")


def test_markdown_and_data_come_from_files_and_standard_input(
    repo: Repo, workplace: Path, run: Runner
) -> None:
    (workplace / "a.md").write_text("# File\n")
    (workplace / "a.json").write_text("[1]")
    run("create", "m", "--markdown", "a.md")
    run("create", "n", "--markdown", "-", stdin=b"# In\n")
    run("create", "d", "--data", "a.json")
    run("create", "e", "--data", "-", stdin=b"[2]")

    assert repo.version("m").text() == "# File\n"
    assert repo.version("n").text() == "# In\n"
    assert json.loads(repo.version("d").text()) == [1]
    assert json.loads(repo.version("e").text()) == [2]
    assert run("create", "m", "--markdown", "b.md", code=4).error == "no file 'b.md'"


def test_table_image_and_reference(repo: Repo, files: Path, run: Runner) -> None:
    run("create", "t", "--table", "data/eu/part-0.csv")
    run("create", "i", "--image", "https://example.org/a.png")
    run("create", "r", "--reference", "data/README.txt")

    assert repo.version("t").rows().columns == ["day", "price"]
    assert repo.version("i").payload.url == "https://example.org/a.png"
    assert repo.version("r").payload.size == 7


def test_anonymous_is_reached_by_its_id(repo: Repo, files: Path, run: Runner) -> None:
    document = run("create", "--anonymous", "data/README.txt", "--json").json

    assert document["key"] is None
    assert document["ref"] == document["id"]
    assert run("cat", document["id"]).out == "Prices\n"


def test_base_adds_and_removes(repo: Repo, files: Path, workplace: Path, run: Runner) -> None:
    run("create", "k", "data")
    (workplace / "new.txt").write_text("new\n")
    run("create", "k", "--base", "k@v1", "--add", "new.txt", "--rm", "eu/*")

    names = [node.path for node in repo.version("k@v2").files if node.is_file]
    assert names == ["README.txt", "new.txt"]


def test_placeholders_in_keys(repo: Repo, files: Path, run: Runner) -> None:
    out = run("create", "runs/{stage}/{date}", "data", "--set", "stage=eval").out

    assert re.match(r"runs/eval/\d{4}-\d\d-\d\d@v1 ", out)
    result = run("create", "runs/{nope}", "data", code=2)
    assert "nope" in result.error
    assert "git_sha" in result.err


def test_inputs_partitions_and_descriptions(repo: Repo, files: Path, run: Runner) -> None:
    run("create", "raw", "data")
    run(
        "create",
        "k",
        "data/README.txt",
        "-i",
        "raw@v1",
        "-p",
        "region=eu",
        "-m",
        "why",
        "--title",
        "T",
    )

    version = repo.version("k")
    assert version.inputs[0]["key"] == "raw"
    assert version.partitions == {"region": "eu"}
    assert (version.title, version.description) == ("T", "why")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "a key is missing"),
        (["k"], "nothing to keep: name files, a folder, - or a value"),
        (["data"], "a key is missing before 'data'"),
        (["k", "-", "data"], "- is standard input and stands alone"),
        (["k", "data", "--value", "1"], "path 'data' and --value exclude each other"),
        (["k", "--link", "https://a.example", "--value", "1"], None),
        (["k", "data", "--text", "A"], "--text goes with --link"),
        (["k", "data", "--rm", "A"], "--rm goes with --base"),
        (["k", "data", "-M", "rows"], "--meta 'rows' is not of the form k=v or k:=JSON"),
        (["k", "data", "-M", "rows:=x"], None),
        (["k", "data", "-M", "rows:=NaN"], None),
        (["k", "data", "-M", "a=1", "-M", "a=2"], "--meta 'a' is given twice"),
        (["k", "data", "-p", "=1"], "-p '=1' is not of the form NAME=VALUE"),
        (["k", "--value", "{}"], "--value is one number, truth value or text"),
        (["k", "--data", "{"], None),
        (["k", '{"a": 1}', "--json"], None),
        (["k", "--progress", "120"], None),
        (["k", "--progress", "nan"], None),
        (["not a key", "data"], None),
        (["k", "-file.txt"], None),
    ],
)
def test_mistakes_are_usage_errors(
    repo: Repo, files: Path, run: Runner, words: list[str], error: str | None
) -> None:
    result = run("create", *words, code=2)

    assert result.out == ""
    assert "Traceback" not in result.err
    if error is not None:
        assert result.error == error
    assert repo.listing() == []


def test_a_missing_file_is_not_found(repo: Repo, run: Runner) -> None:
    assert "nope.txt" in run("create", "k", "nope.txt", code=4).error


def test_file_names_with_dashes_come_after_two_dashes(
    repo: Repo, workplace: Path, run: Runner
) -> None:
    (workplace / "-odd.txt").write_text("odd\n")

    assert "--" in run("create", "k", "-odd.txt", code=2).err
    run("create", "k", "--", "-odd.txt")
    assert repo.version("k").read() == b"odd\n"


def test_progress_is_made_and_updated_in_place(repo: Repo, run: Runner) -> None:
    assert run("progress", "job", "10").out.endswith("  10 %\n")
    assert run("progress", "job", "42.5", "-m", "half").out.endswith("  42.5 %\n")

    version = repo.version("job")
    assert version.number == 1
    assert version.progress.value == 42.5
    assert version.progress.message == "half"
    assert run("progress", "job", "0", "--new", "--json").json["ref"] == "job@v2"
    run("progress", "job", "101", code=2)
    assert run("progress", "job", "101", "--clamp", "--json").json["value"] == 100


def test_quiet_prints_the_result_only(repo: Repo, files: Path, run: Runner) -> None:
    result = run("-q", "create", "k", "data")

    assert LINE.fullmatch(result.out)
    assert result.err == ""
