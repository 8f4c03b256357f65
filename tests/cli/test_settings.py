"""`art settings`."""

from __future__ import annotations

import pytest

from art.repo import Repo
from tests.conftest import Runner

pytestmark = pytest.mark.usefixtures("repo")


def test_settings_are_changed_and_shown(repo: Repo, run: Runner) -> None:
    out = run("settings", "k", "type=value", "partitions=region,day", "protected:=true").out
    assert out == "partitions  day, region\nprotected   true\ntype        value\n"
    run(
        "settings",
        "k",
        "retention.keep_last=10",
        "retention.keep_tagged=no",
        "--unset",
        "partitions",
    )

    assert run("settings", "k").out.splitlines() == [
        "protected  true",
        "retention  keep_last=10 keep_tagged=false",
        "type       value",
    ]
    assert run("settings", "k", "--json").json == {
        "key": "k",
        "settings": {
            "protected": True,
            "retention": {"keep_last": 10, "keep_tagged": False},
            "type": "value",
        },
        "signature_required": None,
    }


def test_retention_as_a_whole(run: Runner) -> None:
    document = run("settings", "k", 'retention:={"keep_last": 2}', "--json").json
    assert document == {
        "key": "k",
        "settings": {"retention": {"keep_last": 2}},
        "signature_required": None,
        "changed": True,
    }


def test_a_key_without_settings(repo: Repo, run: Runner) -> None:
    assert "no key 'k'" in run("settings", "k", code=4).error
    repo.value("k", 1)
    shown = run("settings", "k")
    assert (shown.out, shown.err) == ("", "k has no settings\n")
    assert run("settings", "k", "--history").out.splitlines()[1:] == []


def test_history_tells_who_changed_what_and_why(repo: Repo, run: Runner) -> None:
    run("settings", "k", "type=value", "-m", "agreed")
    run("settings", "k", "--unset", "type")

    lines = run("settings", "k", "--history").out.splitlines()
    assert len(lines) == 3
    assert "type: value" in lines[2]
    assert lines[2].endswith("agreed")
    changes = run("settings", "k", "--history", "--json").json
    assert [change["settings"] for change in changes] == [{}, {"type": "value"}]
    assert changes[1]["message"] == "agreed"


def test_the_same_again_is_nothing_to_do(run: Runner) -> None:
    run("settings", "k", "type=value", "--error-on-noop")
    assert run("settings", "k", "type=value", "--json").json["changed"] is False
    run("settings", "k", "type=value", "--error-on-noop", code=9)
    run("settings", "k", "--unset", "protected", "--error-on-noop", code=9)


@pytest.mark.parametrize(
    "words",
    [
        ("nope=1",),
        ("type",),
        ("type=a", "type=b"),
        ("type=a", "--unset", "type"),
        ("--unset", "nope"),
        ("--history", "type=a"),
        ("retention.keep_last=many",),
        ("protected:=3",),
    ],
)
def test_mistakes(run: Runner, words: tuple[str, ...]) -> None:
    run("settings", "k", *words, code=2)


def test_an_unknown_setting_is_told_with_the_known_ones(run: Runner) -> None:
    failed = run("settings", "k", "typ=table", code=2)
    assert failed.error == "there is no setting 'typ'"
    assert "did you mean type?" in failed.err
    assert "known: type, description, partitions, " in run("settings", "k", "zzz=1", code=2).err


def test_what_is_protected_needs_force(repo: Repo, run: Runner) -> None:
    repo.value("k", 1, tags=["prod"])
    repo.value("k", 2)
    run("settings", "k", "protected_tags=prod")

    for words in (
        ("tag", "set", "k@v2", "prod"),
        ("tag", "back", "k", "prod"),
        ("tag", "delete", "k", "prod"),
    ):
        failed = run(*words, code=5)
        assert "the tag is protected" in failed.error
        assert "--force" in failed.err
        run(*words, "--force")
    run("settings", "k", "protected=true")
    assert run("delete", "k@v1", code=5).error == "k@v1 is not deleted: k is protected"
    run("delete", "k@v1", "--force")


def test_what_is_not_as_declared_is_refused(repo: Repo, run: Runner) -> None:
    run("settings", "k", "type=table", "partitions=day")
    failed = run("create", "k", "--value", "1", code=2)
    assert "a partition day, which is missing" in failed.error
    assert "--allow-undeclared" in failed.err
    failed = run("create", "k", "--value", "1", "-p", "day=1", code=5)
    assert "declared to be of type table, this is a value" in failed.error


def test_names_from_elsewhere_are_escaped(repo: Repo, run: Runner) -> None:
    run("settings", "k", "protected=true", "-m", "\x1b[31mred")
    assert "\x1b" not in run("settings", "k", "--history").out
