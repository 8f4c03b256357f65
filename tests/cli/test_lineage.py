"""`art lineage` and `art usage`: what is printed, in which form, with which exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import art
from art.cli.places import naming
from art.errors import UnavailableError, UsageError
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


def test_inspect_shows_who_uses_a_version(made: Repo, run: Runner) -> None:
    for number in range(6):
        made.value(f"more{number}", 1, inputs=["clean"])

    assert run("inspect", "raw").out.splitlines()[-1] == "used by  clean@v1"
    assert run("inspect", "clean").out.endswith("more1@v1 and 2 more: art usage clean\n")
    assert "used by" not in run("inspect", "model").out
    assert run("inspect", "raw", "--json").json["used_by"] == ["clean@v1"]


# --- versions in other repositories ---------------------------------------------------------------


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Repo]:
    """Return another repository, with two versions of raw."""
    with art.init(tmp_path / "away") as other:
        other.value("raw", 1, tags=["prod"])
        other.value("raw", 2)
        yield other


def test_an_input_may_be_in_another_repository(
    repo: Repo, away: Repo, run: Runner, tmp_path: Path
) -> None:
    run("create", "made", "--value", "7", "--input", f"{away.root}#raw@prod")

    assert repo.version("made").document["inputs"] == [
        {"key": "raw", "id": away.version("raw@v1").id, "number": 1, "url": str(away.root)}
    ]
    line = run("lineage", "made").out.splitlines()[-1]
    assert line.startswith("└─ raw@v1  b3:")
    assert line.endswith(f"in another repository  {away.root}")
    assert str(away.root) in "".join(run("inspect", "made").out.split())


def test_the_name_of_a_remote_may_stand_for_its_url(repo: Repo, away: Repo, run: Runner) -> None:
    repo.remotes.add("origin", str(away.root / ".art"), probe=False)
    run("create", "made", "--value", "7", "--input", "origin#raw")

    (given,) = repo.version("made").document["inputs"]
    assert (given["number"], given["url"]) == (2, str(away.root / ".art"))


def test_what_is_not_in_the_other_repository_is_refused(
    repo: Repo, away: Repo, run: Runner
) -> None:
    run("create", "made", "--value", "7", "--input", f"{away.root}#nope", code=4)
    run("create", "made", "--value", "7", "--input", "nowhere#raw", code=4)
    run("create", "made", "--value", "7", "--input", "./nowhere#raw", code=11)

    assert repo.listing() == []


@pytest.mark.parametrize(
    ("ref", "error", "hint"),
    [
        ("nope", "there is no key 'nope'", "art ls --remote {}"),
        ("raw@v7", "raw has no v7, its last is v2", "art log raw --remote {}"),
        ("raw@pord", "raw has no tag 'pord'", "tags: prod"),
        ("raw@next", "raw has no tag 'next'", None),
        ("raw?day=1", "no version of raw has a partition 'day', nor any other one", None),
        (
            "b3:12345678",
            "no version has an id that begins with b3:12345678",
            "art ls -a --remote {}",
        ),
        ("raw@v1/x", "raw@v1/x names a path in a version", "raw@v1 alone"),
        ("r w", "key 'r w' is not possible", "did you mean r-w?"),
    ],
)
def test_errors_of_another_repository_name_it_and_hint_at_what_helps_from_here(
    repo: Repo, away: Repo, run: Runner, ref: str, error: str, hint: str | None
) -> None:
    if hint is None:
        away.untag("raw", "prod")
    place = str(away.root)
    failed = run("create", "made", "--value", "7", "--input", f"{place}#{ref}", code=_code(ref))
    assert failed.error.startswith(f"{place}: {error}")
    assert (f"hint: {hint.format(place)}" in failed.err) if hint else ("hint" not in failed.err)


def _code(ref: str) -> int:
    return 2 if ref in ("raw@v1/x", "r w") else 4


def test_a_place_without_a_version_is_refused(repo: Repo, away: Repo, run: Runner) -> None:
    failed = run("create", "made", "--value", "7", "--input", f"{away.root}#", code=2)
    assert failed.error == f"--input '{away.root}#' names no version"


@pytest.mark.parametrize("message", ["timed out", "remote origin (s3://b/r): timed out"])
def test_that_a_place_is_opened_as_a_remote_is_not_told(message: str) -> None:
    with pytest.raises(UnavailableError) as caught, naming("s3://b/r", "s3://b/r"):
        raise UnavailableError(message)
    assert (caught.value.message, str(caught.value)) == ("s3://b/r: timed out",) * 2


def test_a_key_that_is_not_at_a_remote_is_told_with_its_place(
    repo: Repo, away: Repo, run: Runner
) -> None:
    failed = run("resolve", "nope", "--remote", str(away.root), code=4)
    assert failed.error == f"{away.root}: there is no key 'nope'"
    assert f"hint: art ls --remote {away.root}\n" in failed.err


@pytest.mark.parametrize(
    "given",
    [
        {"key": "raw", "id": "b3:1234", "number": 1, "url": "s3://x/y"},
        {"key": "../raw", "id": "b3:" + "1" * 64, "number": 1, "url": "s3://x/y"},
        {"key": "raw", "id": "b3:" + "1" * 64, "number": 0, "url": "s3://x/y"},
        {"key": "raw", "id": "b3:" + "1" * 64, "number": 1},
        {"key": "raw", "id": "b3:" + "1" * 64, "number": 1, "url": "s3://key:secret@x/y"},
    ],
)
def test_what_names_no_version_elsewhere_is_refused(repo: Repo, given: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        repo.value("made", 1, inputs=[given])

    assert "secret" not in caught.value.message


def test_a_version_elsewhere_that_comes_here_is_found(repo: Repo, away: Repo, run: Runner) -> None:
    raw = away.version("raw@v1")
    given = {"key": "raw", "id": raw.id, "number": 1, "url": "s3://bucket/away"}
    repo.value("made", 1, inputs=[given])
    assert repo.lineage("made").nodes[1].state == "elsewhere"
    away.remotes.add("shared", str(repo.root.parent / "shared"))
    away.push()
    repo.remotes.add("shared", str(repo.root.parent / "shared"))

    repo.fetch()

    assert repo.lineage("made").nodes[1].state == "live"
    assert [each.record.ref for each in repo.usage("raw@v1")] == ["made@v1"]
