"""`art run` with inputs of other repositories."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import art
from art.repo import Repo
from tests.conftest import Runner

COPY = "import sys; open('out', 'w').write(open(sys.argv[1]).read()); open('count', 'a').write('x')"
COMMAND = ("--out", "k=out", "--", sys.executable, "-c", COPY, "{raw}")


@pytest.fixture
def other(repo: Repo, tmp_path: Path) -> Iterator[Repo]:
    """Return a repository beside that which is worked in, with two versions."""
    with art.init(tmp_path / "other") as other:
        for text in (b"one", b"two"):
            other.create_stream("sales/raw", io.BytesIO(text), name="raw.txt")
        yield other


def worked(repo: Repo) -> int:
    """Return how often the command was run."""
    return len((repo.root / "count").read_text())


@pytest.mark.parametrize("place", ["../other", "origin", "file:"])
def test_an_input_may_be_in_another_repository(
    place: str, repo: Repo, other: Repo, run: Runner
) -> None:
    if place == "origin":
        other.remotes.add("shared", str(other.root.parent / "shared"))
        other.push()
        repo.remotes.add("origin", str(other.root.parent / "shared"))
    where = other.root.as_uri() if place == "file:" else place
    run("run", "--param", "n=v1", "--in", f"raw={where}#sales/raw@{{n}}", *COMMAND)
    made = repo.version("k")
    url = str(other.root.parent / "shared") if place == "origin" else os.path.realpath(other.root)
    first = other.version("sales/raw@v1")
    named = {"key": "sales/raw", "id": first.id, "number": 1, "url": url}
    assert (made.text(), made.inputs) == ("one", [named])
    assert repo.runs()[0].document["inputs"] == [named]
    assert (
        "cached"
        in run("run", "--param", "n=v1", "--in", f"raw={where}#sales/raw@{{n}}", *COMMAND).err
    )
    assert repo.runs()[0].document["inputs"] == [named]
    run("run", "--param", "n=v2", "--in", f"raw={where}#sales/raw@{{n}}", *COMMAND)
    assert (repo.version("k").text(), worked(repo)) == ("two", 2)


def test_a_file_with_such_a_name_is_a_file(repo: Repo, workplace: Path, run: Runner) -> None:
    (workplace / "a#b").write_text("file")
    run("run", "--in", "raw=./a#b", *COMMAND)
    assert repo.version("k").text() == "file"


def test_what_is_not_there_is_told(repo: Repo, other: Repo, run: Runner) -> None:
    assert "sales/rav" in run("run", "--in", "raw=../other#sales/rav", *COMMAND, code=4).error
    assert "nowhere" in run("run", "--in", "raw=../nowhere#sales/raw", *COMMAND, code=11).error
    assert "nothing" in run("run", "--in", "raw=./nothing", *COMMAND, code=4).error


def test_versions_of_other_repositories_are_inputs_in_python_too(repo: Repo, other: Repo) -> None:
    words = (sys.executable, "-c", COPY, "{raw}")
    raw = other.version("sales/raw")
    ran = repo.run_command(words, inputs={"raw": raw}, outputs={"k": "out"})
    (named,) = ran.outputs["k"].inputs
    assert (named["id"], named["url"]) == (raw.id, os.path.realpath(other.root))
    assert repo.run_command(words, inputs={"raw": raw}, outputs={"k": "out"}).cached
