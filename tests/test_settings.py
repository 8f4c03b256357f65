"""What is declared of a key: how it is stored and merged, and what it forbids."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

import art
from art import document as documents
from art.catalog import SETTINGS
from art.errors import ConflictError, CorruptError, NotFoundError, UsageError
from art.materialize.base import Stream
from art.model import new_uid
from art.repo import Repo
from art.retention import Policy
from art.settings import Settings
from tests.support import run_together

LOG = "refs/k/_settings"
NAMES = {"type", "partitions", "retention", "protected", "protected_tags"}


def entry(**fields: Any) -> dict[str, Any]:
    base = {"art": 1, "uid": new_uid(), "key": "k", "created": "2026-11-21T08:30:00.000000Z"}
    return base | {"author": "eve", "after": None} | fields


def put(repo: Repo, number: int, document: dict[str, Any]) -> None:
    assert repo._backend.create(f"{LOG}/{number:08}.yaml", documents.encode(document))


def head(repo: Repo) -> str:
    return repo._store.catalog.entries("k", SETTINGS)[-1].uid


# -- the log -------------------------------------------------------------------------------------


def test_each_entry_holds_all_settings_and_names_the_head_it_saw(repo: Repo) -> None:
    repo.set_settings("k", type="table", message="agreed")
    repo.set_settings("k", protected=True)
    first, second = repo._store.catalog.entries("k", SETTINGS)

    assert first.document["settings"] == {"type": "table"}
    assert (first.document["after"], first.message) == (None, "agreed")
    assert second.document["settings"] == {"protected": True, "type": "table"}
    assert second.document["after"] == first.uid


def test_what_is_set_is_what_holds(repo: Repo) -> None:
    repo.set_settings(
        "k",
        type="value",
        partitions=["region", "day"],
        protected="no",
        protected_tags="prod,release-*",
        retention={"keep_last": 3, "keep_labels": ["gold"], "keep_daily": None},
    )
    found = repo.settings("k")

    assert found == Settings(
        "k",
        "value",
        ("day", "region"),
        Policy(keep_last=3, keep_labels=("gold",)),
        False,
        ("prod", "release-*"),
        found.document,
    )
    assert found.document["retention"] == {"keep_last": 3, "keep_labels": ["gold"]}
    assert set(found.document) == NAMES


def test_none_takes_away_and_leaves_nothing_empty(repo: Repo) -> None:
    repo.set_settings("k", type="value", **{"retention.keep_last": 3})
    repo.set_settings("k", **{"retention.keep_within": "30d"})
    assert repo.settings("k").retention == Policy(keep_last=3, keep_within="30d")
    repo.set_settings("k", **{"retention.keep_last": None})
    assert repo.settings("k").retention == Policy(keep_within="30d")
    repo.set_settings("k", **{"retention.keep_within": None})
    assert repo.settings("k").document == {"type": "value"}
    repo.set_settings("k", retention={"keep_last": 1})
    repo.set_settings("k", retention=None, type="")
    assert repo._store.catalog.entries("k", SETTINGS)[-1].document["settings"] == {}


def test_nothing_is_appended_where_nothing_changes(repo: Repo) -> None:
    assert not repo.set_settings("k", type=None).changed
    assert repo.set_settings("k", type="value", protected_tags=["b", "a"]).changed
    again = repo.set_settings("k", type="value", protected_tags="a,b,a")
    assert not again.changed
    assert again.settings == {"protected_tags": ["a", "b"], "type": "value"}
    assert len(repo.settings_history("k")) == 1


def test_settings_come_before_the_first_version(repo: Repo) -> None:
    repo.set_settings("k", type="value")
    assert repo.keys() == []
    assert repo.settings("k").type == "value"
    with pytest.raises(NotFoundError):
        repo.settings("other")
    with pytest.raises(NotFoundError):
        repo.settings_history("other")
    assert repo.value("k", 1).version.number == 1
    repo.value("other", 1)
    assert repo.settings("other") == Settings("other")
    assert repo.settings_history("other") == []


def test_changes_by_several_at_once_are_all_kept(repo: Repo) -> None:
    def change(name: str, value: object) -> None:
        with Repo(repo.root) as other:
            other.set_settings("k", **{name: value})

    changes = [("type", "value"), ("protected", True), ("retention.keep_last", 1)]
    changes += [("retention.keep_daily", 2), ("partitions", "a"), ("protected_tags", "x")]
    run_together([lambda c=c: change(*c) for c in changes])  # type: ignore[misc]

    assert set(repo.settings("k").document) == NAMES
    assert repo.settings("k").retention == Policy(keep_last=1, keep_daily=2)
    assert len(repo.settings_history("k")) == 6


def test_an_entry_that_did_not_see_the_head_has_no_effect(repo: Repo) -> None:
    repo.set_settings("k", type="value")
    put(repo, 2, entry(settings={"type": "table"}))
    assert repo.settings("k").type == "value"
    put(
        repo,
        3,
        entry(settings={"type": "json"}, after=repo._store.catalog.entries("k", SETTINGS)[0].uid),
    )
    assert repo.settings("k").type == "json"
    assert [change.superseded for change in repo.settings_history("k")] == [False, True, False]


def test_settings_travel_and_the_later_of_two_clones_has_no_effect(
    workplace: Path, repo: Repo
) -> None:
    with art.init(workplace / "shared", bare=True, nested=True) as shared:
        place = str(shared.root)
    repo.remotes.add("origin", place)
    repo.value("k", 1)
    repo.set_settings("k", type="value")
    repo.push()
    with art.clone(place, workplace / "clone") as other:
        assert other.settings("k").type == "value"
        other.set_settings("k", protected=True)
        repo.set_settings("k", partitions=["day"])
        other.push()
        repo.fetch()
        assert repo.settings("k").document == {"protected": True, "type": "value"}
        assert [c.superseded for c in repo.settings_history("k")] == [True, False, False]


def test_unknown_settings_are_kept(repo: Repo) -> None:
    put(repo, 1, entry(settings={"colour": "red", "type": "value"}))
    repo.set_settings("k", type=None, protected=True)
    assert repo.settings("k").document == {"colour": "red", "protected": True}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"type": 3}, "type"),
        ({"retention": {"keep_last": "x"}}, "retention"),
        ({"retention": ["keep_last"]}, "retention"),
        ({"protected": "maybe"}, "protected"),
        ({"partitions": {"a": 1}}, "partitions"),
    ],
)
def test_an_impossible_value_is_damage_that_can_be_mended(
    repo: Repo, settings: dict[str, Any], name: str
) -> None:
    repo.value("k", 1)
    put(repo, 1, entry(settings=settings))
    for action in (lambda: repo.settings("k"), lambda: repo.delete("k@v1")):
        with pytest.raises(CorruptError, match=f"{LOG}/00000001.yaml is damaged") as caught:
            action()
        assert caught.value.hint == f"art settings k --unset {name}"
    repo.set_settings("k", **{name: None})
    assert repo.delete("k@v1").versions


def test_damaged_bytes_protect_and_do_not_stop_work(repo: Repo) -> None:
    repo.value("k", 1)
    repo.set_settings("k", type="value")
    path = repo._backend.path(f"{LOG}/00000001.yaml")
    path.write_bytes(path.read_bytes().replace(b"value", b"table"))
    (repo.root / ".art/index.sqlite").unlink()
    with Repo(repo.root) as fresh:
        with pytest.raises(CorruptError):
            fresh.delete("k@v1")
        with pytest.raises(CorruptError):
            fresh.tag("k@v1", "prod")
        assert fresh.value("k", 2).created
        fresh.delete("k@v1", force=True)


def test_settings_that_are_no_mapping_are_damage(repo: Repo) -> None:
    put(repo, 1, entry(settings=["type"]))
    with pytest.raises(CorruptError, match="settings"):
        repo.settings("k")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nope": 1}, "'nope'"),
        ({"retention.nope": 1}, "'retention.nope'"),
        ({"retention.older_than": "3d"}, "older_than"),
        ({"retention": "3"}, "retention is '3'"),
        ({"retention": {"nope": 1}}, "'nope'"),
        ({"type": 3}, "type is 3"),
        ({"type": "Not A Type"}, "Not A Type"),
        ({"protected": "maybe"}, "protected is 'maybe'"),
        ({"partitions": "a b"}, "'a b'"),
        ({"protected_tags": "a/b"}, "'a/b'"),
        ({"protected_tags": 3}, "protected_tags is 3"),
    ],
)
def test_mistakes_are_refused_and_change_nothing(
    repo: Repo, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        repo.set_settings("k", **{"retention.keep_last": 1, **changes})
    with pytest.raises(NotFoundError):
        repo.settings("k")


# -- what they forbid ----------------------------------------------------------------------------


def test_another_type_than_declared_is_refused(repo: Repo, files: Path) -> None:
    repo.set_settings("k", type="table")
    for make in (
        lambda: repo.value("k", 1),
        lambda: repo.create("k", files),
        lambda: repo.progress("k", 3),
        lambda: repo.create("k", files, type="folder"),
    ):
        with pytest.raises(ConflictError, match="declared to be of type table"):
            make()
    with pytest.raises(NotFoundError):
        repo.history("k")
    assert repo.table("k", files / "eu/part-0.csv").created
    assert repo.create("k", files, type="table").created
    repo.value("v", 1)
    with pytest.raises(ConflictError, match="this is a value"):
        repo.copy("v@v1", "k")


def test_what_is_of_another_type_than_declared_is_refused_before_it_is_read(
    repo: Repo, workplace: Path
) -> None:
    def refuse() -> int:
        raise AssertionError("it was read")

    stream = io.BytesIO()
    stream.read = refuse  # type: ignore[method-assign, assignment]
    os.mkfifo(workplace / "pipe")  # which nobody writes to, and which is no content of a folder
    (workplace / "folder").mkdir()
    os.mkfifo(workplace / "folder" / "pipe")
    repo.declare("table", type="table")
    repo.declare("file", type="file")
    for make in (
        lambda: repo.create("table", "folder"),
        lambda: repo.create("file", "folder"),
        lambda: repo.create("table", "pipe"),
        lambda: repo.create_stream("table", stream),
        lambda: repo.image("table", "pipe"),
        lambda: repo.reference("table", "folder"),
        lambda: repo.save(object(), "table", materializer=Unwritten()),
        lambda: repo.run_command(["mv", "folder", "out"], outputs={"file": "out"}),
    ):
        with pytest.raises(ConflictError, match="are declared to be of type"):
            make()


class Unwritten(Stream):
    """What writes no object."""

    name = "unwritten"
    file = "content"


def test_a_version_without_a_declared_partition_is_refused(repo: Repo) -> None:
    repo.set_settings("k", partitions="region,day")
    with pytest.raises(UsageError, match="partition day, which is missing"):
        repo.value("k", 1, partitions={"region": "eu"})
    with pytest.raises(UsageError, match="k has no partition more"):
        repo.value("k", 1, partitions={"region": "eu", "day": "1", "more": "x"})
    assert repo.value("k", 1, partitions={"region": "eu", "day": "1"}).created
    assert repo.value("k", 1, partitions={"more": "x"}, allow_undeclared=True).created


def test_versions_of_a_protected_key_are_deleted_by_force_only(repo: Repo) -> None:
    repo.value("k", 1)
    repo.value("k", 2)
    repo.set_settings("k", protected=True)
    plan = repo.plan_delete("k")
    assert [refusal.reason for refusal in plan.refused] == ["k is protected"] * 2
    with pytest.raises(ConflictError, match="k is protected"):
        repo.delete("k@v1")
    repo.delete("k@v1", force=True)
    with pytest.raises(ConflictError, match="k is protected"):
        repo.purge("k@v2")
    repo.set_settings("k", protected=None)
    assert repo.delete("k@v2").versions


def test_a_protected_tag_is_moved_and_taken_away_by_force_only(repo: Repo) -> None:
    repo.value("k", 1)
    repo.value("k", 2)
    repo.set_settings("k", protected_tags="release-*")
    repo.tag("k@v1", "release-1")  # that it is given at all is no move
    assert not repo.tag("k@v1", "release-1").changed
    repo.tag("k@v1", "other")
    repo.tag("k@v2", "other")
    for move in (
        lambda force: repo.tag("k@v2", "release-1", force=force),
        lambda force: repo.tag_back("k", "release-1", force=force),
        lambda force: repo.untag("k", "release-1", force=force),
    ):
        before = repo.tags("k")["release-1"].number
        with pytest.raises(ConflictError, match="'release-1' of k stays") as caught:
            move(False)
        assert "--force" in str(caught.value.hint)
        assert repo.tags("k")["release-1"].number == before
        move(True)
    assert "release-1" not in repo.tags("k")
    repo.tag("k@v2", "release-1")


def test_all_tags_of_a_protected_key_are_protected(repo: Repo) -> None:
    repo.value("k", 1, tags=["a"])
    repo.value("k", 2)
    repo.set_settings("k", protected=True)
    with pytest.raises(ConflictError, match="k is protected"):
        repo.tag("k@v2", "a")
    repo.tag("k@v2", "b")
    with pytest.raises(ConflictError):
        repo.untag("k", "b")


def test_creating_does_not_move_a_protected_tag(repo: Repo) -> None:
    repo.set_settings("k", protected_tags=["prod"])
    repo.value("k", 1, tags=["prod"])
    with pytest.raises(ConflictError, match="'prod' of k stays"):
        repo.value("k", 2, tags=["prod"])
    assert [record.number for record in repo.history("k")] == [1]


def test_a_pattern_that_is_hard_to_match_takes_no_time(repo: Repo) -> None:
    repo.value("k", 1, tags=["a" * 100])
    repo.set_settings("k", protected_tags=["*a" * 60 + "*b"])
    assert repo.untag("k", "a" * 100).changed


@pytest.mark.parametrize("setting", [{"protected": True}, {"protected_tags": "pro*"}])
def test_a_protected_key_or_one_with_a_protected_tag_is_moved_by_force_only(
    setting: dict[str, Any], repo: Repo
) -> None:
    repo.value("k", 1, tags=["prod"])
    repo.value("other", 1, tags=["staging"])
    repo.set_settings("k", **setting)
    repo.set_settings("other", protected_tags="pro*")
    with pytest.raises(ConflictError, match="k is not moved: .* is protected"):
        repo.move("k", "new")
    assert repo.tags("k")["prod"].ref == "k@v1"
    repo.move("k", "new", force=True)
    assert repo.tags("new")["prod"].number == 1
    repo.move("other", "free")


def test_moving_a_key_takes_its_settings_along(repo: Repo) -> None:
    repo.value("k", 1, tags=["prod"])
    repo.set_settings("k", type="value", protected=True)
    repo.move("k", "new", force=True)
    assert repo.settings("new").document == {"protected": True, "type": "value"}
    assert repo.tags("new")["prod"].number == 1
    with pytest.raises(ConflictError):
        repo.delete("new@v1")


def test_moving_a_key_leaves_the_settings_of_the_new_one(repo: Repo) -> None:
    repo.value("k", 1)
    repo.set_settings("k", type="value", protected=True)
    repo.set_settings("new", protected=False)
    repo.move("k", "new", force=True)
    assert repo.settings("new").document == {"protected": False}


def test_what_was_made_elsewhere_is_taken_as_it_is(workplace: Path, repo: Repo) -> None:
    repo.value("k", 1)
    with art.init(workplace / "shared", bare=True, nested=True) as shared:
        place = str(shared.root)
    repo.remotes.add("origin", place)
    repo.push()
    with art.clone(place, workplace / "clone") as other:
        other.markdown("k", "text")
        other.push()
    repo.set_settings("k", type="value", protected=True)
    repo.fetch()
    assert [record.type for record in repo.history("k")] == ["markdown", "value"]
