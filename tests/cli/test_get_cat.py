"""`art get` and `art cat`."""

from __future__ import annotations

import base64
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

    assert result.out == f"{workplace / 'out'}\n"
    assert result.err == "sales/data@v1: 3 files written, 0 unchanged\n"
    assert (workplace / "out" / "eu" / "part-0.csv").read_text() == "day,price\n1,2.50\n2,3.00\n"


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
