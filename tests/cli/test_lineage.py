"""`art lineage` and `art usage`: what is printed, in which form, with which exit code."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from art.repo import Repo
from tests.conftest import Runner


@pytest.fixture
def made(repo: Repo) -> Repo:
    """Return a repository where raw became clean, and that model."""
    repo.value("raw", 1)
    repo.value("clean", 2, inputs=["raw"], tags=["prod"])
    repo.value("model", 3, inputs=["clean"])
    return repo


def test_the_tree_shows_both_directions(made: Repo, run: Runner) -> None:
    assert run("lineage", "clean@prod").out.splitlines() == [
        "clean@v1  value  prod",
        "made from",
        "└─ raw@v1  value",
        "used by",
        "└─ model@v1  value",
    ]


def test_up_and_down_are_the_only_direction(made: Repo, run: Runner) -> None:
    assert "used by" not in run("lineage", "clean", "--up").out
    assert "made from" not in run("lineage", "clean", "--down").out
    assert "made from" in run("lineage", "clean", "--down", "--up").out


def test_depth_bounds_what_is_shown(made: Repo, run: Runner) -> None:
    assert run("lineage", "raw", "--depth", "1").out.splitlines()[-2:] == [
        "└─ clean@v1  value  prod",
        "there is more: --depth",
    ]


@pytest.mark.parametrize("words", [["--json"], ["--format", "json"]])
def test_json_is_a_graph(made: Repo, run: Runner, words: list[str]) -> None:
    document = run("lineage", "clean", *words).json

    assert [node["ref"] for node in document["nodes"]] == ["clean@v1", "raw@v1", "model@v1"]
    assert len(document["edges"]) == 2


def test_every_other_form_is_printed(made: Repo, run: Runner) -> None:
    assert run("lineage", "clean", "--format", "dot").out.startswith("digraph lineage {")
    assert run("lineage", "clean", "--format", "mermaid").out.startswith("flowchart LR")
    assert ElementTree.fromstring(run("lineage", "clean", "--format", "svg").out) is not None
    lines = run("lineage", "clean", "--format", "openlineage").out.splitlines()
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "COMPLETE"] * 2


def test_two_forms_at_once_are_refused(made: Repo, run: Runner) -> None:
    assert "exclude" in run("lineage", "clean", "--json", "--format", "dot", code=2).err
    run("lineage", "clean", "--format", "png", code=2)
    run("lineage", "nope", code=4)


def test_usage_lists_who_uses_a_version(made: Repo, run: Runner) -> None:
    made.copy("raw@v1", "mirror")

    lines = run("usage", "raw").out.splitlines()

    assert lines[0].split() == [
        "version",
        "type",
        "created",
        "author",
        "tags",
        "state",
        "run",
        "as",
    ]
    assert {line.split()[0] for line in lines[1:]} == {"clean@v1", "mirror@v1"}
    found = run("usage", "raw", "--json").json
    assert {each["ref"]: each["kind"] for each in found} == {
        "clean@v1": "input",
        "mirror@v1": "copy",
    }


def test_usage_of_what_nobody_uses_is_empty(made: Repo, run: Runner) -> None:
    result = run("usage", "model")

    assert (result.out, "no version is known" in result.err) == ("", True)
    assert run("usage", "model", "--json").json == []


def test_what_was_deleted_still_has_its_lineage(made: Repo, run: Runner) -> None:
    made.delete("model@v1")

    assert "clean@v1" in run("lineage", "model@v1").out
    assert "deleted" in run("usage", "clean").out
