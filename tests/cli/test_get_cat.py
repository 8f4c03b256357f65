"""`art get` and `art cat`."""

from __future__ import annotations

import base64
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner


@pytest.fixture(autouse=True)
def _made(repo: Repo, files: Path) -> None:
    repo.create("sales/data", files)
    repo.create("sales/readme", files / "README.txt")


def test_get_takes_a_folder_out(run: Runner, workplace: Path) -> None:
    result = run("get", "sales/data", "out")

    assert result.out == "out\n"
    assert result.err == "sales/data@v1: 3 files written, 0 unchanged\n"
    assert (workplace / "out" / "eu" / "part-0.csv").read_text() == "day,price\n1,2.50\n2,3.00\n"


ONE_OF_EACH = {
    "file": "t.csv",
    "folder": "folder",
    "value": "value.txt",
    "markdown": "markdown.md",
    "link": "link.url",
    "json": "json.json",
    "table": "t.csv",
    "reference": "t.csv",
}


@pytest.fixture
def one_of_each(repo: Repo, files: Path) -> None:
    """Make a version of every kind of content."""
    (files / "t.csv").write_text("a\n1\n")
    repo.create("file", files / "t.csv")
    repo.create("folder", files)
    repo.value("value", 1234)
    repo.markdown("markdown", "# hi")
    repo.link("link", "https://example.org")
    repo.json("json", [12])
    repo.table("table", files / "t.csv")
    repo.reference("reference", files / "t.csv")


@pytest.mark.parametrize(("kind", "name"), ONE_OF_EACH.items())
def test_get_tells_paths_and_sizes_in_one_way_whatever_it_is(
    one_of_each: None, run: Runner, workplace: Path, tmp_path: Path, kind: str, name: str
) -> None:
    (workplace / "sub").mkdir()
    size = run("ls", kind, "--json").json[0]["size"]
    for _ in ("written", "there already"):
        document = run("get", kind, "sub/out", "--json").json
        assert (document["path"], document["size"]) == (os.path.join("sub", "out"), size)

    assert run("get", kind).out == f"{name}\n"
    assert run("get", kind, str(tmp_path / "far")).out == f"{tmp_path / 'far'}\n"
    assert run("get", kind, "../near").out == f"{tmp_path / 'near'}\n"
    assert run("-C", "sub", "get", kind, "x").out == f"{workplace / 'sub' / 'x'}\n"


def test_get_leaves_right_files_alone_and_says_so(run: Runner, workplace: Path) -> None:
    run("get", "sales/data", "out")
    (workplace / "out" / "README.txt").unlink()
    document = run("get", "sales/data", "out", "--json").json

    assert (document["written"], document["unchanged"], document["files"]) == (1, 2, 3)


def test_get_refuses_changed_files_without_force(run: Runner, workplace: Path) -> None:
    run("get", "sales/readme", "a.txt")
    (workplace / "a.txt").write_text("mine\n")

    run("get", "sales/readme", "a.txt", code=5)
    assert (workplace / "a.txt").read_text() == "mine\n"
    run("get", "sales/readme", "a.txt", "--force")
    assert (workplace / "a.txt").read_text() == "Prices\n"


def test_get_takes_one_path_or_a_glob(run: Runner, workplace: Path) -> None:
    run("get", "sales/data@v1/eu/part-1.csv", "one.csv")
    run("get", "sales/data@v1/eu/*.csv", "parts")

    assert (workplace / "one.csv").read_text() == "day,price\n3,1.00\n"
    assert sorted(path.name for path in (workplace / "parts").iterdir()) == [
        "part-0.csv",
        "part-1.csv",
    ]
    assert "nope" in run("get", "sales/data@v1/nope", code=4).error


def test_get_as_archives(run: Runner, workplace: Path) -> None:
    run("get", "sales/data", "a.zip", "--zip")
    run("get", "sales/data", "a.tar", "--tar")

    with zipfile.ZipFile(workplace / "a.zip") as archive:
        assert archive.read("README.txt") == b"Prices\n"
    with tarfile.open(workplace / "a.tar") as archive:
        assert "README.txt" in archive.getnames()
    run("get", "sales/data", "b", "--tar", "--zip", code=2)


def test_unknown_keys_come_with_near_ones(run: Runner) -> None:
    result = run("get", "sales/dat", code=4)

    assert "sales/dat" in result.error
    assert "sales/data" in result.err.splitlines()[-1]


def test_cat_prints_bytes_as_they_are(repo: Repo, run: Runner, workplace: Path) -> None:
    (workplace / "odd").write_bytes(b"\x00\xff\x1b[31m")
    repo.create("odd", "odd")

    assert run("cat", "sales/readme").out == "Prices\n"
    assert run("cat", "sales/data@v1/eu/part-1.csv").out == "day,price\n3,1.00\n"
    document = run("cat", "odd", "--json").json
    assert base64.b64decode(document["base64"]) == b"\x00\xff\x1b[31m"


def test_cat_as_json(run: Runner) -> None:
    document = run("cat", "sales/data@v1/README.txt", "--json").json

    assert document["text"] == "Prices\n"
    assert document["ref"] == "sales/data@v1"
    assert document["path"] == "README.txt"


def test_cat_of_a_folder_asks_for_a_path(run: Runner) -> None:
    result = run("cat", "sales/data", code=2)

    assert "3 files" in result.error


def test_cat_shows_escapes_on_a_terminal(
    repo: Repo, run: Runner, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "odd").write_bytes(b"a\x1b[31m\x00\xff\tb\n")
    repo.create("odd", "odd")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert run("cat", "odd").out == "a\\x1b[31m\\x00\\xff\tb\n"


def test_get_as_another_form(repo: Repo, run: Runner, workplace: Path) -> None:
    repo.table("prices", workplace / "data" / "eu" / "part-0.csv")

    assert run("get", "prices", "--as", "json").out == "part-0.json\n"
    assert '"price": 2.5' in (workplace / "part-0.json").read_text()
    assert run("get", "prices", "--as", "json", "--json").json["unchanged"] == 1
    run("get", "prices", "--as", "json", "--error-on-noop", code=9)
    (workplace / "part-0.json").write_text("mine")
    run("get", "prices", "--as", "json", code=5)
    run("get", "prices", "--as", "json", "-f")
    assert run("get", "sales/data@v1/eu/part-1.csv", "out/x.md", "--as", "md").code == 0
    assert (workplace / "out" / "x.md").read_text().startswith("| day | price |")


def test_get_as_another_form_to_standard_output(repo: Repo, run: Runner, workplace: Path) -> None:
    out = run("get", "sales/data@v1/eu/part-0.csv", "-", "--as", "json").out

    assert out == '[\n{"day": 1, "price": 2.5},\n{"day": 2, "price": 3.0}\n]\n'
    run("get", "sales/data@v1/eu/part-0.csv", "-", "--as", "json", "--json", code=2)
    for words in (["--zip"], ["--tar"], ["--exact"]):
        run("get", "sales/data", "--as", "csv", *words, code=2)
    assert "no table" in run("get", "sales/readme", "--as", "csv", code=2).error
    run("get", "sales/data@v1/eu/part-0.csv", "--as", "yaml", code=2)
