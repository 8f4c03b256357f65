"""Every operation of a repository, as a user of the library calls it."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import art
from art.errors import (
    ConflictError,
    CorruptError,
    NoRepositoryError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from art.listing import Filter
from art.ref import Ref
from art.repo import Repo
from tests.support import disk, lay_out

posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file system")


def numbers(repo: Repo, key: str, state: str = "live") -> list[int]:
    """Return the numbers of a key's versions in a state, ascending."""
    return sorted(record.number or 0 for record in repo.history(key) if record.state == state)


def three(repo: Repo, key: str = "k") -> None:
    for number in (1, 2, 3):
        repo.markdown(key, f"text {number}")


# -- making and opening --------------------------------------------------------------------------


def test_a_repository_is_made_once_and_opened_again(workplace: Path) -> None:
    first = art.init("here")
    again = art.init("here")
    assert first.id == again.id
    assert art.open("here").id == first.id
    assert first.root == workplace / "here"


def test_a_repository_is_found_from_any_folder_below(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = workplace / "a/b/c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert art.open().id == repo.id
    assert art.open(workplace / ".art").root == workplace
    assert art.open(workplace / ".art/manifests").id == repo.id


def test_the_environment_may_say_where_it_is(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoRepositoryError, match="no repository in"):
        art.open()
    monkeypatch.setenv("ART_DIR", str(repo.root))
    assert art.open().id == repo.id


def test_a_repository_inside_another_must_be_meant(repo: Repo, workplace: Path) -> None:
    with pytest.raises(ConflictError, match="lies in the repository at"):
        art.init("inner")
    assert not (workplace / "inner/.art").exists()
    assert art.init("inner", nested=True).id != repo.id


def test_a_bare_repository_says_so(tmp_path: Path) -> None:
    assert art.init(tmp_path / "bare", bare=True)._store.is_bare


# -- creating ------------------------------------------------------------------------------------


def test_what_creating_came_to_is_told(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", {"a": "x" * 10, "b": "y" * 20})
    made = repo.create("sales/report", "data", title="Report", tags=["prod"])
    assert (made.created, made.files, made.reused, made.lost) == (True, 2, 0, 0)
    assert made.stored_bytes > 30
    version = made.version
    assert (version.ref, version.key, version.number) == ("sales/report@v1", "sales/report", 1)
    assert re.fullmatch(r"b3:[0-9a-f]{64}", version.id)
    assert (version.type, version.size, version.title) == ("folder", 30, "Report")
    assert (version.tags, version.state) == (["prod"], "live")
    assert version == repo.version("sales/report@prod") == repo.version(version.id)
    assert hash(version) == hash(repo.version("sales/report"))


def test_a_version_may_carry_nothing_but_its_description(repo: Repo) -> None:
    version = repo.create("k", metadata={"n": 1}).version
    assert (version.type, version.payload, version.files, version.size) == ("note", None, [], None)
    assert version.metadata == {"n": 1}


def test_a_bad_key_is_refused_before_anything_is_read_or_stored(
    repo: Repo, workplace: Path
) -> None:
    lay_out(workplace, {"a": "a", "t.csv": "a\n1\n", "i.svg": "<svg/>"})
    works: list[Callable[[str], object]] = [
        lambda key: repo.create(key, "a"),
        lambda key: repo.create_stream(key, io.BytesIO(b"a")),
        lambda key: repo.markdown(key, "x"),
        lambda key: repo.link(key, "https://x.org"),
        lambda key: repo.json(key, 1),
        lambda key: repo.value(key, 1),
        lambda key: repo.table(key, "t.csv"),
        lambda key: repo.image(key, "i.svg"),
        lambda key: repo.reference(key, "a"),
        lambda key: repo.progress(key, 1),
        lambda key: repo.copy("k", key),
        lambda key: repo.move("k", key),
        lambda key: repo.history(key),
        lambda key: repo.tags(key),
        lambda key: repo.untag(key, "t"),
    ]
    repo.markdown("k", "x")
    before = {path for path in (repo.root / ".art").rglob("*") if path.suffix != ".sqlite"}
    for work in works:
        for key in ("../x", "a b", "", "x" * 300):
            with pytest.raises((UsageError, NotFoundError)):
                work(key)
    after = {path for path in (repo.root / ".art").rglob("*") if path.suffix != ".sqlite"}
    assert {path for path in after - before if path.is_file()} == set()


def test_typed_versions_say_how_to_read_them(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"t.csv": "day,price\n1,2.5\n2,3\n", "i.svg": "<svg/>"})
    made = {
        "markdown": repo.markdown("m", "# Hi").version,
        "link": repo.link("l", "https://example.com", text="Example").version,
        "json": repo.json("j", {"a": [1, 2.5, None]}).version,
        "value": repo.value("v", 3.5).version,
        "table": repo.table("t", "t.csv").version,
        "image": repo.image("i", "i.svg").version,
        "reference": repo.reference("r", "t.csv").version,
        "progress": repo.progress("p", 5).version,
    }
    for type, version in made.items():
        assert version.type == type
    assert made["markdown"].text() == "# Hi"
    assert made["link"].link == ("https://example.com", "Example")
    assert made["json"].text() == '{\n  "a": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    assert (made["value"].text(), made["value"].format) == (
        "3.5",
        {"name": "json", "kind": "float"},
    )
    assert made["table"].format["name"] == "csv"
    assert len(made["table"].rows().rows) == 2
    assert made["image"].format["name"] == "svg+xml"
    assert made["progress"].progress
    assert made["progress"].progress.value == 5
    assert [record.type for record in repo.listing(filter=Filter(types=("link", "json")))] == [
        "json",
        "link",
    ]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [(True, "bool", "true"), (7, "int", "7"), (-0.5, "float", "-0.5"), ("ä", "str", '"ä"')]
    + [(None, "null", "null"), (float("inf"), "float", '"inf"'), (float("nan"), "float", '"nan"')],
    ids=str,
)
def test_values_keep_their_kind(repo: Repo, value: object, kind: str, text: str) -> None:
    version = repo.value("v", value).version
    assert (version.format["kind"], version.text()) == (kind, text)


def test_values_of_two_kinds_are_two_versions(repo: Repo) -> None:
    assert [repo.value("v", value).version.number for value in (1, 1.0, True, "1", 1)] == [
        1,
        2,
        3,
        4,
        5,
    ]


BAD_CONTENT: dict[str, Callable[[Repo], object]] = {
    "a value that is none": lambda repo: repo.value("k", [1]),
    "json that is none": lambda repo: repo.json("k", {"a": object()}),
    "json with nan": lambda repo: repo.json("k", float("nan")),
    "a text that is no Unicode": lambda repo: repo.markdown("k", "\ud800"),
    "a link that is none": lambda repo: repo.link("k", "example.com"),
    "a link with a password": lambda repo: repo.link("k", "https://me:secret@example.com"),
    "a link with a line end": lambda repo: repo.link("k", "https://example.com/\nx"),
    "a link with an odd text": lambda repo: repo.link("k", "https://example.com", text="\ud800"),
    "a table that is none": lambda repo: repo.table("k", "nothing.csv"),
    "a table of another kind": lambda repo: repo.table("k", "a.bin"),
    "an image that is none": lambda repo: repo.image("k", "a.bin"),
    "an image that is not what it says": lambda repo: repo.image("k", "b.png"),
    "a folder as image": lambda repo: repo.image("k", "."),
    "a stream called as a path": lambda repo: repo.create_stream("k", io.BytesIO(b"a"), name="a/b"),
    "a reference to a bad url": lambda repo: repo.reference("k", "https://me:secret@example.com"),
    "a progress that is none": lambda repo: repo.progress("k", "much"),
    "a keyless version with a tag": lambda repo: repo.markdown(None, "x", tags=["t"]),
}


@pytest.mark.parametrize("bad", BAD_CONTENT)
def test_content_that_cannot_be_is_a_usage_error_and_makes_no_version(
    repo: Repo, workplace: Path, bad: str
) -> None:
    lay_out(workplace, {"a.bin": b"\x00\x01", "b.png": b"no image"})
    with pytest.raises((UsageError, NotFoundError)):
        BAD_CONTENT[bad](repo)
    assert repo.listing() == []
    assert repo.listing(filter=Filter(anonymous=True)) == []


# -- keyless versions ----------------------------------------------------------------------------


def test_a_keyless_version_is_reached_by_its_id(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"a": "content"})
    version = repo.create(None, "a", title="t").version
    assert (version.key, version.number, version.ref) == (None, None, version.id)
    for ref in (version.id, version.id[:20], f"{version.id[:11]}"):
        assert repo.version(ref).read() == b"content"
    assert repo.listing() == []
    assert [record.id for record in repo.listing(filter=Filter(anonymous=True))] == [version.id]


def test_the_same_keyless_content_twice_is_two_versions(repo: Repo) -> None:
    assert repo.markdown(None, "x").version.id != repo.markdown(None, "x").version.id


def test_a_keyless_version_is_noted_deleted_and_restored(repo: Repo) -> None:
    id = repo.markdown(None, "x").version.id
    assert repo.note(id, title="noted", add_labels=["l"]).title == "noted"
    assert [entry.document["set"] for entry in repo.version(id).notes] == [
        {"title": "noted", "labels": {"l": True}}
    ]
    repo.delete(id)
    with pytest.raises(NotFoundError, match="was deleted"):
        repo.version(id)
    assert repo.listing(filter=Filter(anonymous=True)) == []
    (restored,) = repo.restore(id)
    assert (restored.id, restored.title) == (id, "noted")


def test_a_keyless_version_is_given_a_key_by_copying(repo: Repo) -> None:
    id = repo.markdown(None, "x", title="t").version.id
    with pytest.raises(UsageError, match="keyless version cannot be tagged"):
        repo.tag(id, "prod")
    repo.copy(id, "k")
    assert (repo.version("k").text(), repo.version("k").title) == ("x", "t")


# -- references and listing ----------------------------------------------------------------------


def test_every_selector_finds_its_version(repo: Repo) -> None:
    three(repo)
    repo.tag("k@v2", "prod")
    ids = {number: repo.version(f"k@v{number}").id for number in (1, 2, 3)}
    found = {
        "k": 3,
        "k@latest": 3,
        "k@latest-0": 3,
        "k@latest-1": 2,
        "k@latest-2": 1,
        "k@v1": 1,
        "k@prod": 2,
        f"k@{ids[1]}": 1,
        f"k@{ids[2][:12]}": 2,
        ids[3]: 3,
        "art://k@v2": 2,
    }
    for ref, number in found.items():
        assert repo.version(ref).number == number, ref
    assert repo.version(Ref("k", "v2")).number == 2


@pytest.mark.parametrize(
    ("ref", "words", "hint"),
    [
        ("salse/report", "there is no key 'salse/report'", "sales/report"),
        ("report", "there is no key 'report'", "sales/report"),
        ("sales/report@v9", "sales/report has no v9, its last is v3", "art log"),
        ("sales/report@v0", "sales/report has no v0", "art log"),
        ("sales/report@latest-3", "has 3 live versions, no latest-3", "art log"),
        ("sales/report@prdo", "has no tag 'prdo'", "prod"),
        ("sales/report@b3:00000000", "no version has an id that begins with", "art ls"),
        ("b3:00000000", "no version has an id that begins with", "art ls"),
    ],
)
def test_what_is_not_there_is_not_found_and_the_nearest_is_named(
    repo: Repo, ref: str, words: str, hint: str
) -> None:
    three(repo, "sales/report")
    repo.tag("sales/report@v1", "prod")
    with pytest.raises(NotFoundError, match=re.escape(words)) as raised:
        repo.version(ref)
    assert hint in str(raised.value.hint)


def test_latest_passes_over_what_is_deleted(repo: Repo) -> None:
    three(repo)
    repo.delete("k@v3")
    assert repo.version("k").number == 2
    assert repo.version("k@latest-1").number == 1
    repo.delete("k")
    with pytest.raises(NotFoundError, match="was deleted"):
        repo.version("k")


def test_an_ambiguous_id_is_a_usage_error_that_names_what_it_may_be(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(repo)
    real = type(repo._index).by_id
    monkeypatch.setattr(
        type(repo._index), "by_id", lambda self, prefix, key=None: real(self, prefix[:3], key)
    )
    with pytest.raises(UsageError, match="is ambiguous: k@v[123], k@v[123], k@v[123]"):
        repo.version("b3:01234567")


@pytest.fixture
def shelf(repo: Repo) -> Repo:
    """Return a repository with several keys, types, labels, partitions and tags."""
    repo.markdown("a", "1", labels=["x"], partitions={"region": "eu"})
    repo.markdown("a", "22", labels=["x", "y"], partitions={"region": "us"})
    repo.json("b/c", 1, labels=["y"], title="Zed")
    repo.markdown("b/d/e", "333", title="Ann")
    repo.markdown("gone", "4")
    repo.delete("gone")
    repo.tag("a@v1", "prod")
    repo.tag("b/c", "prod")
    return repo


FILTERS: list[tuple[tuple[str, ...], Filter, list[str]]] = [
    ((), Filter(), ["a@v2", "b/c@v1", "b/d/e@v1"]),
    (("b/*",), Filter(), ["b/c@v1"]),
    (("b/**",), Filter(), ["b/c@v1", "b/d/e@v1"]),
    (("a", "b/c"), Filter(), ["a@v2", "b/c@v1"]),
    (("?",), Filter(), ["a@v2"]),
    (("x/*",), Filter(), []),
    ((), Filter(all=True), ["a@v2", "a@v1", "b/c@v1", "b/d/e@v1"]),
    ((), Filter(deleted=True), ["gone@v1"]),
    ((), Filter(types=("json",)), ["b/c@v1"]),
    ((), Filter(tags=("prod",)), ["a@v1", "b/c@v1"]),
    ((), Filter(tags=("none",)), []),
    ((), Filter(labels=("y",)), ["a@v2", "b/c@v1"]),
    ((), Filter(labels=("x", "y")), ["a@v2"]),
    ((), Filter(partitions={"region": "us"}), ["a@v2"]),
    ((), Filter(since="2000-01-01"), ["a@v2", "b/c@v1", "b/d/e@v1"]),
    ((), Filter(since="1h"), ["a@v2", "b/c@v1", "b/d/e@v1"]),
    ((), Filter(until="2000-01-01"), []),
    ((), Filter(until="1w"), []),
    ((), Filter(since="2999-01-01T08:30"), []),
    ((), Filter(limit=1), ["a@v2"]),
    ((), Filter(limit=0), []),
    ((), Filter(sort="size"), ["b/d/e@v1", "a@v2", "b/c@v1"]),
    ((), Filter(sort="created", reverse=True), ["a@v2", "b/c@v1", "b/d/e@v1"]),
    ((), Filter(sort="key", reverse=True), ["b/d/e@v1", "b/c@v1", "a@v2"]),
    ((), Filter(sort="title"), ["b/d/e@v1", "b/c@v1", "a@v2"]),
    ((), Filter(sort="number", limit=1), ["a@v2"]),
]


@pytest.mark.parametrize(("patterns", "filter", "expected"), FILTERS, ids=str)
def test_a_listing_shows_what_was_asked_for(
    shelf: Repo, patterns: tuple[str, ...], filter: Filter, expected: list[str]
) -> None:
    assert [record.ref for record in shelf.listing(*patterns, filter=filter)] == expected


@pytest.mark.parametrize(
    "filter", [Filter(sort="colour"), Filter(since="soon"), Filter(until="7q")], ids=str
)
def test_a_filter_that_is_not_understood_is_a_usage_error(shelf: Repo, filter: Filter) -> None:
    with pytest.raises(UsageError):
        shelf.listing(filter=filter)


def test_the_newest_version_that_matches_a_partition_wins_among_all(shelf: Repo) -> None:
    wanted = Filter(all=True, partitions={"region": "eu"})
    assert [record.ref for record in shelf.listing("a", filter=wanted)] == ["a@v1"]


def test_a_key_that_is_named_must_be_there(shelf: Repo) -> None:
    with pytest.raises(NotFoundError, match="there is no key 'b'"):
        shelf.listing("b")


def test_keys_are_those_with_a_live_version(shelf: Repo) -> None:
    assert shelf.keys() == ["a", "b/c", "b/d/e"]


def test_a_history_has_every_state_newest_first(repo: Repo) -> None:
    three(repo)
    repo.delete("k@v2")
    assert [(r.number, r.state) for r in repo.history("k")] == [
        (3, "live"),
        (2, "deleted"),
        (1, "live"),
    ]
    assert [r.number for r in repo.history("k", limit=2)] == [3, 2]
    with pytest.raises(NotFoundError, match="there is no key 'nope'"):
        repo.history("nope")


# -- tags ----------------------------------------------------------------------------------------


def test_a_tag_moves_and_its_history_says_how(repo: Repo) -> None:
    three(repo)
    assert repo.tag("k@v1", "prod", message="first").previous is None
    moved = repo.tag("k@v3", "prod")
    first, third = repo.version("k@v1").id, repo.version("k@v3").id
    assert (moved.id, moved.number, moved.previous, moved.changed) == (third, 3, first, True)
    assert not repo.tag("k@v3", "prod").changed
    assert [(move.number, move.message) for move in repo.tag_history("k", "prod")] == [
        (3, None),
        (1, "first"),
    ]
    assert {tag: version.number for tag, version in repo.tags("k").items()} == {"prod": 3}
    assert repo.tag_names("k") == ["prod"]
    assert repo.version("k@v1").tags == []


def test_a_tag_goes_further_back_each_time(repo: Repo) -> None:
    three(repo)
    for number in (1, 2, 3):
        repo.tag(f"k@v{number}", "prod")
    assert repo.tag_back("k", "prod").number == 2
    assert repo.tag_back("k", "prod").number == 1
    assert repo.version("k@prod").number == 1
    assert len(repo.tag_history("k", "prod")) == 5
    with pytest.raises(NotFoundError, match="was never anywhere else before"):
        repo.tag_back("k", "prod")


def test_a_tag_that_was_set_again_after_going_back_goes_back_from_there(repo: Repo) -> None:
    three(repo)
    for number in (1, 2, 3):
        repo.tag(f"k@v{number}", "prod")
    repo.tag_back("k", "prod")
    repo.tag("k@v1", "prod")
    assert [repo.tag_back("k", "prod").number for _ in range(2)] == [2, 1]


def test_a_tag_does_not_go_back_to_a_deleted_version(repo: Repo) -> None:
    three(repo)
    for number in (1, 2, 3):
        repo.tag(f"k@v{number}", "prod")
    repo.delete("k@v2")
    assert repo.tag_back("k", "prod").number == 1
    repo.tag("k@v3", "prod")
    repo.delete("k@v1")
    with pytest.raises(NotFoundError, match="none of them is there any more"):
        repo.tag_back("k", "prod")
    assert repo.version("k@prod").number == 3


def test_the_keys_with_tags_are_those_that_tags_are_looked_for_in(repo: Repo) -> None:
    three(repo)
    repo.value("other", 1)
    repo.value("X/tags", 1)
    repo.tag("X/tags@v1", "Prod")
    assert repo.tagged_keys() == ["X/tags"]
    repo.tag("k@v1", "prod")
    assert repo.tagged_keys() == ["X/tags", "k"]
    repo.delete("k", force=True)
    assert repo.tagged_keys() == ["X/tags"]


def test_a_tag_that_was_nowhere_else_cannot_go_back(repo: Repo) -> None:
    three(repo)
    repo.tag("k@v1", "prod")
    with pytest.raises(NotFoundError, match="was never anywhere else"):
        repo.tag_back("k", "prod")


def test_a_tag_taken_away_is_gone_and_can_come_back(repo: Repo) -> None:
    three(repo)
    repo.tag("k@v2", "prod")
    gone = repo.untag("k", "prod", message="no more")
    assert (gone.id, gone.number) == (None, None)
    assert repo.tag_names("k") == []
    with pytest.raises(NotFoundError, match="has no tag 'prod'"):
        repo.version("k@prod")
    with pytest.raises(NotFoundError):
        repo.untag("k", "prod")
    assert repo.tag_back("k", "prod").number == 2
    assert repo.version("k@prod").number == 2


def test_tags_that_differ_in_capitals_are_two(repo: Repo) -> None:
    three(repo)
    repo.tag("k@v1", "prod")
    repo.tag("k@v2", "Prod")
    assert {tag: version.number for tag, version in repo.tags("k").items()} == {
        "Prod": 2,
        "prod": 1,
    }


def test_a_tag_of_an_unknown_key_or_version_is_not_found(repo: Repo) -> None:
    three(repo)
    for work in (
        lambda: repo.tag("nope", "prod"),
        lambda: repo.tag("k@v9", "prod"),
        lambda: repo.untag("nope", "prod"),
        lambda: repo.untag("k", "prod"),
        lambda: repo.tag_history("k", "prod"),
        lambda: repo.tag_back("k", "prod"),
        lambda: repo.tags("nope"),
        lambda: repo.tag_names("nope"),
    ):
        with pytest.raises(NotFoundError):
            work()
    with pytest.raises(UsageError):
        repo.tag("k", "v2")


def test_a_tag_on_a_deleted_version_still_names_it(repo: Repo) -> None:
    three(repo)
    repo.tag("k@v2", "prod")
    repo.delete("k@v2", force=True)
    assert repo.tags("k")["prod"].number == 2
    with pytest.raises(NotFoundError, match="k@v2 was deleted"):
        repo.version("k@prod")
    with pytest.raises(NotFoundError, match="was deleted"):
        repo.tag("k@v2", "other")


# -- notes ---------------------------------------------------------------------------------------


def test_notes_add_to_a_version_that_stays_as_it_is(repo: Repo) -> None:
    made = repo.markdown(
        "k", "x", title="t", description="d", metadata={"a": 1, "deep": {"b": 2}}, labels=["l", "m"]
    ).version
    noted = repo.note(
        "k",
        title="new",
        description="",
        metadata={"c": 3, "deep": {"d": 4}},
        remove_metadata=["a"],
        add_labels=["n"],
        remove_labels=["l"],
        message="why",
    )
    assert (noted.title, noted.description, noted.labels) == ("new", None, ["m", "n"])
    assert noted.metadata == {"c": 3, "deep": {"b": 2, "d": 4}}
    assert (noted.id, noted.document) == (made.id, made.document)
    assert noted.manifest.title == "t"
    assert [entry.message for entry in noted.notes] == ["why"]
    assert repo.version("k").metadata == noted.metadata


def test_later_notes_win(repo: Repo) -> None:
    three(repo)
    for title in ("one", "two", "three"):
        repo.note("k@v2", title=title)
    assert repo.version("k@v2").title == "three"
    assert repo.version("k@v1").title is None
    assert repo.listing(filter=Filter(all=True))[1].title == "three"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"metadata": {}},
        {"add_labels": []},
        {"add_labels": ["a b"]},
        {"remove_labels": ["a,b"]},
        {"metadata": {"a": object()}},
        {"metadata": {"a": 2**64}},
        {"metadata": {"a": "x" * (1 << 20)}},
        {"title": "x" * (1 << 17)},
        {"description": "\ud800"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_note_that_says_nothing_or_cannot_be_is_a_usage_error(
    repo: Repo, change: dict[str, object]
) -> None:
    three(repo)
    with pytest.raises(UsageError):
        repo.note("k", **change)  # type: ignore[arg-type]
    assert repo.version("k").notes == []
    assert repo.note("k", title="ok").title == "ok", "and the log is as good as before"


# -- deleting and restoring ----------------------------------------------------------------------


def test_what_is_deleted_comes_back_under_its_number(repo: Repo) -> None:
    three(repo)
    before = repo.version("k@v2")
    plan = repo.delete("k@v2", message="old")
    assert [record.ref for record in plan.versions] == ["k@v2"]
    assert numbers(repo, "k") == [1, 3]
    with pytest.raises(NotFoundError, match=r"k@v2 was deleted on \d{4}-") as raised:
        repo.version("k@v2")
    assert raised.value.hint == "art restore k@v2"
    (restored,) = repo.restore("k@v2")
    assert restored == before
    assert restored.text() == "text 2"
    assert numbers(repo, "k") == [1, 2, 3]


def test_a_key_alone_means_all_its_versions(repo: Repo) -> None:
    three(repo)
    repo.delete("k@v1")
    assert [record.number for record in repo.delete("k").versions] == [3, 2]
    assert repo.keys() == []
    assert [version.number for version in repo.restore("k")] == [1, 2, 3]


def test_250_versions_are_250_versions(repo: Repo) -> None:
    for number in range(250):
        repo.markdown("k", f"{number}")
    assert len(repo.plan_delete("k").versions) == 250
    plan = repo.delete("k")
    assert len(plan.versions) == 250
    assert numbers(repo, "k", "deleted") == list(range(1, 251))
    assert len(repo.restore("k")) == 250
    assert numbers(repo, "k") == list(range(1, 251))


def test_many_versions_under_long_keys_fit_into_their_log(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.changes._VERSIONS_PER_ENTRY", 7)
    for number in range(20):
        repo.markdown("k", f"{number}")
    repo.move("k", "x" * 200)
    assert [
        number for _, number in zip(range(20), numbers(repo, "k", "moved"), strict=True)
    ] == list(range(1, 21))
    assert len(list((repo.root / ".art/refs/k/_state").iterdir())) == 3


def test_the_largest_entry_of_a_state_log_is_one_that_readers_take() -> None:
    from art import changes
    from art.document import SIZE_LIMIT, encode

    target = {"key": "x" * 255, "id": "b3:" + "a" * 64, "number": 10**17}
    version = {"id": "b3:" + "a" * 64, "number": 10**17, "to": target}
    entry = {"art": 1, "versions": [version] * changes._VERSIONS_PER_ENTRY}
    assert len(encode(entry)) < SIZE_LIMIT


def test_a_tagged_version_is_deleted_only_by_force(repo: Repo) -> None:
    three(repo)
    repo.tag("k@v2", "prod")
    repo.tag("k@v2", "best")
    with pytest.raises(ConflictError, match="k@v2 is not deleted: it is tagged best, prod"):
        repo.delete("k")
    assert numbers(repo, "k") == [1, 2, 3], "nothing at all was deleted"
    plan = repo.plan_delete("k")
    assert [record.number for record in plan.versions] == [3, 1]
    assert [(refusal.record.number, refusal.reason) for refusal in plan.refused] == [
        (2, "it is tagged best, prod")
    ]
    assert len(repo.delete("k", force=True).versions) == 3


def test_an_input_of_a_live_version_is_deleted_only_by_force(repo: Repo) -> None:
    repo.markdown("raw", "x")
    repo.markdown("one", "x", inputs=["raw"])
    repo.markdown("two", "x", inputs=["raw"])
    with pytest.raises(ConflictError, match="it is an input of one@v1 and 1 more"):
        repo.delete("raw")
    repo.delete("one")
    with pytest.raises(ConflictError, match="it is an input of two@v1$"):
        repo.delete("raw")
    assert repo.delete("raw", "two").keys == ["raw", "two"]


def test_what_stays_keeps_its_inputs(repo: Repo) -> None:
    """`two` stays because it is tagged; so `one` stays as its input, and `raw` as that of `one`."""
    repo.markdown("raw", "x")
    repo.markdown("one", "x", inputs=["raw"])
    repo.markdown("two", "x", inputs=["one"])
    repo.tag("two", "prod")
    plan = repo.plan_delete("raw", "one", "two")
    assert plan.versions == []
    assert {refusal.record.key: refusal.reason for refusal in plan.refused} == {
        "two": "it is tagged prod",
        "one": "it is an input of two@v1",
        "raw": "it is an input of one@v1",
    }


def test_a_plan_deletes_nothing_until_it_is_executed(repo: Repo) -> None:
    three(repo)
    plan = repo.plan_delete("k@v1", "k@v3", "k@v1")
    assert numbers(repo, "k") == [1, 2, 3]
    assert repo.execute_delete(plan) == 2
    assert numbers(repo, "k") == [2]


def test_what_is_not_there_or_deleted_already_is_not_deleted(repo: Repo) -> None:
    three(repo)
    repo.delete("k@v1")
    again = repo.delete("k@v1")
    assert ([record.ref for record in again.done], again.versions) == (["k@v1"], [])
    for ref in ("nope", "k@v9", "k@nope"):
        with pytest.raises(NotFoundError):
            repo.delete(ref)
    assert numbers(repo, "k") == [2, 3]


def test_only_what_is_deleted_is_restored(repo: Repo) -> None:
    three(repo)
    with pytest.raises(NotFoundError, match="has no deleted version"):
        repo.restore("k")
    assert repo.restore("k@v1") == []
    with pytest.raises(NotFoundError):
        repo.restore("nope")


def test_a_version_whose_bytes_are_gone_is_not_restored(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"a": "content"})
    repo.create("k", "a")
    repo.delete("k")
    for pack in (repo.root / ".art/packs").rglob("*.pack"):
        pack.unlink()
    with pytest.raises(ConflictError, match="its payload is not here any more"):
        repo.restore("k")
    assert numbers(repo, "k", "deleted") == [1]


# -- moving and copying --------------------------------------------------------------------------


def test_a_moved_key_goes_on_under_its_new_name(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"a": "content"})
    repo.create("old", "a", title="t", metadata={"n": 1})
    repo.markdown("old", "two")
    repo.markdown("old", "three")
    repo.delete("old@v2")
    repo.tag("old@v1", "prod")
    repo.note("old@v1", title="noted")
    packs = sorted((repo.root / ".art/packs").rglob("*.pack"))
    moved = repo.move("old", "new/name")
    assert moved.versions == [("old@v1", "new/name@v1"), ("old@v3", "new/name@v2")]
    assert moved.tags == ["prod"]
    assert sorted((repo.root / ".art/packs").rglob("*.pack")) == packs, "nothing is transferred"
    assert repo.keys() == ["new/name"]
    version = repo.version("new/name@prod")
    assert (version.read(), version.title, version.metadata) == (b"content", "noted", {"n": 1})
    assert version.document["origin"]["key"] == "old"
    for ref, target in (("old", "v2"), ("old@v1", "v1"), ("old@v3", "v2"), ("old@prod", "v1")):
        assert repo.version(ref).ref == f"new/name@{target}", ref
    assert [record.state for record in repo.history("old")] == ["moved", "deleted", "moved"]


def test_a_key_may_be_used_again_after_it_moved(repo: Repo) -> None:
    three(repo, "old")
    repo.move("old", "new")
    assert repo.markdown("old", "fresh").version.ref == "old@v4"
    assert repo.version("old").text() == "fresh"
    assert repo.version("old@v1").ref == "new@v1"
    assert repo.keys() == ["new", "old"]


def test_references_follow_several_moves(repo: Repo) -> None:
    three(repo, "a")
    repo.move("a", "b")
    repo.move("b", "c")
    assert repo.version("a@v2").ref == "c@v2"
    repo.move("c", "a")
    assert repo.version("a@v2").ref == "a@v5"
    assert repo.version("b").ref == "a@v6"
    assert [repo.version("a").text(), repo.version("a@v1").text()] == ["text 3", "text 1"]


def test_inputs_of_a_moved_version_are_still_protected(repo: Repo) -> None:
    repo.markdown("raw", "x")
    repo.markdown("old", "x", inputs=["raw"])
    repo.move("old", "new")
    with pytest.raises(ConflictError, match="it is an input of new@v1"):
        repo.delete("raw")


def test_a_move_onto_itself_or_of_nothing_is_refused(repo: Repo) -> None:
    three(repo)
    with pytest.raises(UsageError, match="has that name already"):
        repo.move("k", "k")
    with pytest.raises(NotFoundError):
        repo.move("nope", "x")
    repo.delete("k")
    with pytest.raises(NotFoundError, match="no live version"):
        repo.move("k", "x")


def test_a_move_onto_a_key_with_versions_of_its_own_is_refused(repo: Repo) -> None:
    three(repo, "old")
    repo.markdown("new", "mine")
    with pytest.raises(ConflictError, match="new has versions of its own, such as new@v1"):
        repo.move("old", "new")
    repo.delete("new")
    repo.move("old", "new")
    assert numbers(repo, "new") == [2, 3, 4]
    assert repo.version("old@v1").ref == "new@v2"


def test_a_copy_is_a_version_of_its_own(repo: Repo) -> None:
    three(repo)
    repo.note("k@v2", title="noted")
    repo.tag("k@v2", "prod")
    copied = repo.copy("k@v2", "other")
    assert copied.versions == [("k@v2", "other@v1")]
    assert (repo.version("other").text(), repo.version("other").title) == ("text 2", "noted")
    assert repo.version("other").id != repo.version("k@v2").id
    assert repo.version("other").document["origin"]["id"] == repo.version("k@v2").id
    repo.delete("k", force=True)
    assert repo.version("other").text() == "text 2"


def test_a_copy_of_a_key_copies_all_its_live_versions(repo: Repo) -> None:
    three(repo)
    repo.delete("k@v2")
    assert repo.copy("k", "other").versions == [("k@v1", "other@v1"), ("k@v3", "other@v2")]
    assert repo.copy("k", "other").versions == [("k@v1", "other@v1"), ("k@v3", "other@v2")]
    assert numbers(repo, "other") == [1, 2], "done again, it makes nothing new"


def test_a_copy_that_was_deleted_is_made_again(repo: Repo) -> None:
    three(repo)
    repo.copy("k@v1", "other")
    repo.delete("other")
    assert repo.copy("k@v1", "other").versions == [("k@v1", "other@v2")]
    assert repo.version("other").text() == "text 1"


def test_a_key_moves_onto_one_that_had_a_deleted_copy_of_it(repo: Repo) -> None:
    three(repo)
    repo.copy("k", "other")
    repo.delete("other")
    repo.move("k", "other")
    assert numbers(repo, "other") == [4, 5, 6]
    assert repo.version("k@v1").ref == "other@v4"


def test_a_progress_moves_with_its_value(repo: Repo) -> None:
    repo.progress("old", 30, message="half way")
    repo.move("old", "new")
    found = repo.version("old").progress
    assert found
    assert (found.value, found.message) == (30, "half way")
    repo.progress("new", 40)
    assert repo.version("old").progress.value == 40  # type: ignore[union-attr]
    assert len(repo.history("new")) == 1


# -- progress ------------------------------------------------------------------------------------


def test_a_progress_is_set_in_place(repo: Repo) -> None:
    assert repo.progress("train", 10).created
    for value in (20, "30.5", 5):
        assert not repo.progress("train", value, message=f"at {value}").created
    found = repo.version("train").progress
    assert found
    assert (found.value, found.sequence, found.message) == (5, 4, "at 5")
    assert len(repo.history("train")) == 1


def test_a_message_of_a_progress_stays_until_there_is_another(repo: Repo) -> None:
    repo.progress("train", 10, message="loading")
    repo.progress("train", 20)
    assert repo.version("train").progress.message == "loading"  # type: ignore[union-attr]


def test_a_new_progress_is_another_version(repo: Repo) -> None:
    repo.progress("train", 100)
    made = repo.progress("train", 0, new=True)
    assert (made.created, made.version.number) == (True, 2)
    assert repo.version("train@v1").progress.value == 100  # type: ignore[union-attr]
    repo.markdown("train", "something else")
    assert repo.progress("train", 50).version.number == 4


def test_a_progress_without_a_key_is_set_by_its_id(repo: Repo) -> None:
    made = repo.progress(None, 0).version
    assert repo.progress(None, 5).version.id != made.id
    version = repo.update_progress(made.id, 40, message="half")
    assert version == made
    assert version.key is None
    found = repo.version(made.id).progress
    assert found is not None
    assert (found.value, found.sequence, found.message) == (40, 2, "half")
    assert not repo.fsck().problems


def test_a_progress_that_is_not_the_latest_is_set_too(repo: Repo) -> None:
    repo.progress("train", 10)
    repo.progress("train", 0, new=True)
    repo.update_progress("train@v1", 400, clamp=True)
    assert [repo.version(f"train@v{n}").load() for n in (1, 2)] == [100, 0]
    repo.value("other", 1)
    with pytest.raises(UsageError, match="not a progress"):
        repo.update_progress("other", 10)


def test_the_limits_of_a_progress(repo: Repo) -> None:
    for value in (-1, 101, "nan", "x"):
        with pytest.raises(UsageError):
            repo.progress("train", value)
    assert repo.listing() == []
    repo.progress("train", 101, clamp=True)
    assert repo.version("train").progress.value == 100  # type: ignore[union-attr]
    repo.progress("train", -5, clamp=True)
    assert repo.version("train").progress.value == 0  # type: ignore[union-attr]


def test_a_progress_whose_value_is_damaged_says_so(repo: Repo) -> None:
    version = repo.progress("train", 5).version
    path = repo.root / f".art/progress/{version.manifest.uid}.yaml"
    path.write_bytes(path.read_bytes().replace(b"5.0", b"9.0"))
    with pytest.raises(CorruptError, match=f"progress/{version.manifest.uid}.yaml is damaged"):
        _ = repo.version("train").progress
    path.unlink()
    with pytest.raises(CorruptError, match=r"progress/.* is missing"):
        _ = repo.version("train").progress


# -- references to bytes elsewhere ---------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "name", ["plain.csv", "with space", "100%", "a%20b", "a#b?c", "größe", os.fsdecode(b"caf\xe9")]
)
def test_a_file_is_recorded_by_reference_and_not_copied(
    repo: Repo, tmp_path: Path, name: str
) -> None:
    lay_out(tmp_path / "elsewhere", {name: "content", "a b": "another"})
    version = repo.reference("r", tmp_path / "elsewhere" / name).version
    assert version.payload
    assert (version.type, version.size) == ("reference", 7)
    assert str(version.payload.checksum).startswith("b3:")
    assert list((repo.root / ".art").rglob("*.pack")) == []
    assert version.read() == b"content"
    version.get("out.csv")
    assert Path("out.csv").read_text() == "content"
    assert not repo.reference("r", version.payload.url or "").created


@pytest.mark.parametrize("content", ["changed", "longer than it was", ""])
def test_a_changed_source_is_noticed_and_nothing_of_it_is_kept(
    repo: Repo, tmp_path: Path, workplace: Path, content: str
) -> None:
    source = tmp_path / "source"
    source.write_text("content")
    version = repo.reference("r", source).version
    source.write_text(content)
    before = disk(workplace)
    with pytest.raises(CorruptError, match="has changed"):
        version.read()
    with pytest.raises(CorruptError, match="has changed"):
        version.get("out")
    assert disk(workplace).keys() == before.keys()
    source.unlink()
    with pytest.raises(NotFoundError):
        version.read()


@posix
def test_a_folder_is_recorded_by_reference_with_the_digest_of_its_tree(
    repo: Repo, tmp_path: Path, workplace: Path
) -> None:
    folder = lay_out(tmp_path / "source", {"a": "a", "in/b": "b"})
    (folder / "in/b").chmod(0o755)
    (folder / "link").symlink_to("a")
    version = repo.reference("r", folder).version
    assert version.payload
    assert (version.size, version.payload.files) == (2, 2)
    assert str(version.payload.checksum).startswith("tree:")
    version.get("out")
    assert disk(workplace / "out") == disk(folder)
    (folder / "in/b").write_text("B")
    with pytest.raises(CorruptError, match="has changed"):
        version.get("again")
    assert not (workplace / "again").exists()


def test_a_folder_by_reference_gives_only_what_was_recorded(
    repo: Repo, tmp_path: Path, workplace: Path
) -> None:
    folder = lay_out(
        tmp_path / "source", {"a": "a", ".artignore": "*.log\n", "big.log": "x" * 1000}
    )
    version = repo.reference("r", folder).version
    version.get("out")
    assert sorted(disk(workplace / "out")) == [".artignore", "a"]


@posix
def test_a_reference_is_loaded_as_the_path_of_a_copy(repo: Repo, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "source", {"a": "a", "in/b": "b"})
    assert disk(repo.reference("r", folder).version.load()) == disk(folder)
    assert repo.reference("f", folder / "a").version.load().read_text() == "a"


def test_a_reference_to_nothing_is_not_found(repo: Repo) -> None:
    for path in ("nothing", "file:///nothing/there"):
        with pytest.raises(NotFoundError):
            repo.reference("r", path)
    assert repo.listing() == []


class Site(BaseHTTPRequestHandler):
    """Serves `pages` by path: status, content, and how many bytes of it are announced."""

    pages: dict[str, tuple[int, bytes, int | None]]

    def do_GET(self) -> None:
        status, content, announced = self.pages.get(self.path, (404, b"", 0))
        self.send_response(status)
        if announced is not None:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a site on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Site.pages = {"/a.csv": (200, b"content", 7)}
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_url_is_recorded_by_reference_and_read_when_asked(repo: Repo, site: str) -> None:
    version = repo.reference("r", f"{site}/a.csv").version
    assert version.size == 7
    assert version.read() == b"content"
    assert version.get().path.name == "a.csv"
    assert Path("a.csv").read_text() == "content"
    assert version.get("b.csv").written == 1


def test_a_url_that_is_not_measured_is_whatever_lies_there(repo: Repo, site: str) -> None:
    version = repo.reference("r", f"{site}/later.csv", measure=False).version
    assert (version.type, version.size) == ("reference", None)
    with pytest.raises(NotFoundError):
        version.read()
    Site.pages["/later.csv"] = (200, b"content", 7)
    assert version.read() == b"content"


def test_a_link_may_lack_what_makes_it_a_url_where_that_is_said(repo: Repo) -> None:
    for url in ("example.org", "../a report.html"):
        assert repo.link("l", url, relative=True).version.link == (url, url)
        with pytest.raises(UsageError, match="not a URL"):
            repo.link("l", url)
    for url in ("", " ", "a\nb", "https://me:secret@host/a b"):
        with pytest.raises(UsageError):
            repo.link("l", url, relative=True)


def test_a_url_whose_content_changed_is_noticed(repo: Repo, site: str, workplace: Path) -> None:
    version = repo.reference("r", f"{site}/a.csv").version
    for content in (b"changed", b"longer than before", b""):
        Site.pages["/a.csv"] = (200, content, len(content))
        with pytest.raises(CorruptError, match="has changed"):
            version.read()
        with pytest.raises(CorruptError, match="has changed"):
            version.get("out")
    assert not (workplace / "out").exists()


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_url_that_answers_with_an_error_is_unavailable(
    repo: Repo, site: str, status: int
) -> None:
    Site.pages["/a.csv"] = (status, b"no", 2)
    with pytest.raises(UnavailableError, match=f"answers {status}"):
        repo.reference("r", f"{site}/a.csv")


@pytest.mark.parametrize("status", [404, 410])
def test_a_url_that_is_not_there_is_not_found(repo: Repo, site: str, status: int) -> None:
    Site.pages["/a.csv"] = (status, b"no", 2)
    with pytest.raises(NotFoundError, match=f"answers {status}"):
        repo.reference("r", f"{site}/a.csv")


@pytest.mark.parametrize("sent", [b"", b"conte"])
def test_an_answer_that_breaks_off_is_not_recorded_as_the_whole(
    repo: Repo, site: str, sent: bytes
) -> None:
    Site.pages["/a.csv"] = (200, sent, 7)
    with pytest.raises(UnavailableError, match="cannot be read"):
        repo.reference("r", f"{site}/a.csv")
    assert repo.listing() == []


def test_a_site_that_is_not_there_is_unavailable(repo: Repo, site: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match="cannot be read"):
            repo.reference("r", f"http://127.0.0.1:{unused.getsockname()[1]}/a.csv")


def test_an_unknown_scheme_is_a_usage_error(repo: Repo) -> None:
    with pytest.raises(UsageError, match="nonsense:// cannot be read here"):
        repo.reference("r", "nonsense://host/a")


def test_a_url_that_fsspec_knows_is_read_through_it(repo: Repo) -> None:
    import fsspec

    with fsspec.open("memory://place/a.csv", "wb") as file:
        file.write(b"content")
    version = repo.reference("r", "memory://place/a.csv").version
    assert (version.size, version.read()) == (7, b"content")
    with pytest.raises(NotFoundError):
        repo.reference("r", "memory://place/none")


def test_an_image_by_url_is_recorded_without_a_look(repo: Repo) -> None:
    version = repo.image("i", "https://example.invalid/x.png").version
    assert version.payload
    assert version.payload.url == "https://example.invalid/x.png"


# -- placeholders --------------------------------------------------------------------------------


def test_placeholders_in_keys_are_filled_in(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART_RUN", "run 7/x")
    assert re.fullmatch(r"a/\d{4}-\d\d-\d\d", repo.expand_key("a/{date}"))
    assert re.fullmatch(r"\d\d-\d\d-\d\d", repo.expand_key("{time}"))
    assert repo.expand_key("r-{run}") == "r-run-7/x"
    assert repo.expand_key("{name}/{date}", {"name": "x", "date": "today"}) == "x/today"
    assert repo.expand_key("plain") == "plain"
    assert re.fullmatch(r"[A-Za-z0-9._/-]+", repo.expand_key("{user}/{host}"))
    for template in ("a-{user}", "{host}", "{date}-{time}"):
        repo.markdown(repo.expand_key(template), "x")


def test_an_unknown_placeholder_is_an_error_that_lists_the_known(repo: Repo) -> None:
    with pytest.raises(UsageError, match=re.escape("unknown placeholder {dat}")) as raised:
        repo.expand_key("a/{dat}", {"mine": "x"})
    for known in ("date", "time", "git_sha", "branch", "user", "host", "run", "mine"):
        assert known in str(raised.value.hint)


@pytest.mark.parametrize("template", ["{git_sha}", "{branch}", "{run}"])
def test_a_placeholder_whose_value_is_not_known_is_an_error(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "CI_", "BUILD"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repo.root.parent))
    with pytest.raises(UsageError):
        repo.expand_key(template)


def test_placeholders_ask_git_where_it_is(repo: Repo, workplace: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    try:
        subprocess.run(["git", "init", "-q", "-b", "feature/x"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not there to ask")
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert repo.expand_key("{branch}") == "feature/x"
    assert re.fullmatch(r"[0-9a-f]{12}", repo.expand_key("{git_sha}"))


# -- reading -------------------------------------------------------------------------------------


@pytest.fixture
def folder(repo: Repo, workplace: Path) -> art.Version:
    lay_out(workplace / "data", {"a.txt": "a\nb\n", "in/b.bin": b"\xff\x00", "big": b"z" * 300_000})
    return repo.create("k", "data").version


def test_a_version_is_read_whole_in_parts_and_as_a_file(folder: art.Version) -> None:
    assert folder.read("a.txt") == b"a\nb\n"
    assert folder.text("a.txt") == "a\nb\n"
    assert b"".join(folder.chunks("big")) == b"z" * 300_000
    with folder.open("a.txt") as file:
        assert file.readline() == b"a\n"
        assert file.read() == b"b\n"
    with folder.open("big") as file:
        assert file.read(10) == b"z" * 10
        assert len(file.read()) == 299_990
    assert folder.node("in/b.bin").size == 2
    assert [node.path for node in folder.iter_files("in")] == ["in/b.bin"]


@pytest.mark.parametrize(
    ("path", "error"),
    [(None, UsageError), ("in", UsageError), ("nope", NotFoundError), ("*.txt", NotFoundError)],
)
def test_only_a_file_can_be_read(
    folder: art.Version, path: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        folder.read(path)


def test_bytes_that_are_no_text_are_a_usage_error(folder: art.Version) -> None:
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        folder.text("in/b.bin")


def test_a_version_shows_what_it_is(folder: art.Version) -> None:
    assert repr(folder) == f"<Version k@v1 {folder.id[:15]}>"
    assert folder != "k@v1"
    with pytest.raises(UsageError, match="is a folder, not a table"):
        folder.rows()


# -- the state of things -------------------------------------------------------------------------


def test_the_status_counts(shelf: Repo) -> None:
    shelf.markdown(None, "x")
    status = shelf.status()
    assert (status.keys, status.versions, status.anonymous) == (3, 5, 1)
    assert status.states == {"live": 5, "deleted": 1}
    assert (status.id, status.root) == (shelf.id, str(shelf.root))
    assert (status.missing_payloads, status.damaged) == ([], [])


def test_the_status_names_payloads_that_are_not_here(repo: Repo, folder: art.Version) -> None:
    assert repo.status().packs == 1
    for layout in (repo.root / ".art/layouts").rglob("*"):
        if layout.is_file():
            layout.unlink()
    assert repo.status().missing_payloads == ["k@v1"]


def test_weights_are_those_of_files_and_of_packs(repo: Repo, workplace: Path) -> None:
    noise = os.urandom(100_000)
    lay_out(workplace / "one", {"shared": noise, "own": os.urandom(50_000)})
    lay_out(workplace / "two", {"shared": noise})
    repo.create("one", "one")
    repo.create("two", "two")
    repo.create("one", "two")
    usage = repo.du()
    assert [(key.key, key.versions, key.size) for key in usage.keys] == [
        ("one", 2, 250_000),
        ("two", 1, 100_000),
    ]
    one, two = usage.keys
    assert 150_000 < one.stored < 160_000
    assert 50_000 < one.unique < 60_000
    assert two.unique < 10_000
    assert usage.pack_bytes == sum(
        p.stat().st_size for p in (repo.root / ".art/packs").rglob("*.pack")
    )
    assert [key.key for key in repo.du("t*").keys] == ["two"]
    repo.delete("one")
    assert 50_000 < repo.du().unreferenced < 70_000


def test_the_doctor_finds_nothing_where_nothing_is_wrong(shelf: Repo, folder: art.Version) -> None:
    findings = shelf.doctor()
    assert {finding.level for finding in findings} <= {"ok", "warning"}
    assert any("manifests are whole" in finding.message for finding in findings)


FINDINGS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a missing manifest": (lambda art: (art / "manifests/a/v00000001.yaml").unlink(), "error", "a/v00000001.yaml is missing"),
    "a damaged manifest": (lambda art: (art / "manifests/a/v00000002.yaml").write_text("x"), "error", "a/v00000002.yaml is damaged"),
    "a damaged entry": (lambda art: (art / "refs/a/_tags/prod/00000001.yaml").write_text("x"), "error", "_tags/prod/00000001.yaml is damaged"),
    "a missing pack": (lambda art: next((art / "packs").rglob("*.pack")).unlink(), "error", "payload is not in this repository"),
    "a truncated pack": (lambda art: next((art / "packs").rglob("*.pack")).write_bytes(b"x"), "error", "is damaged"),
    "a foreign file": (lambda art: (art / "mine.txt").write_text("x"), "warning", "mine.txt is not art's"),
    "a leftover": (lambda art: (art / "tmp/left").write_text("x"), "warning", "1 temporary files"),
    "bad settings": (lambda art: (art / "config.yaml").write_text("jobs: many"), "error", "'jobs'"),
}  # fmt: skip


@pytest.mark.parametrize("what", FINDINGS)
def test_the_doctor_finds_what_is_wrong(shelf: Repo, folder: art.Version, what: str) -> None:
    spoil, level, words = FINDINGS[what]
    spoil(shelf.root / ".art")
    matching = [finding for finding in shelf.doctor() if words in finding.message]
    assert [finding.level for finding in matching[:1]] == [level]


# -- settings ------------------------------------------------------------------------------------


def test_settings_hold_in_their_order(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert repo.config.get("jobs").origin == "default"
    home = Path(os.environ["XDG_CONFIG_HOME"]) / "art/config.yaml"
    home.parent.mkdir(parents=True)
    home.write_text("jobs: 3\nauthor: me")
    assert (repo.config.get("jobs").value, repo.config.get("jobs").origin) == (3, "user")
    repo.config.set("jobs", "5")
    assert (repo.config.get("jobs").value, repo.config.get("jobs").origin) == (5, "repository")
    monkeypatch.setenv("ART_JOBS", "7")
    assert (repo.config.get("jobs").value, repo.config.get("jobs").origin) == (7, "environment")
    monkeypatch.delenv("ART_JOBS")
    assert repo.config.unset("jobs").origin == "user"
    assert repo.markdown("k", "x").version.author == "me"


@pytest.mark.parametrize(
    ("name", "text"), [("jobs", "0"), ("jobs", "x"), ("author", ""), ("nope", "1")]
)
def test_a_setting_that_cannot_be_is_a_usage_error(repo: Repo, name: str, text: str) -> None:
    with pytest.raises(UsageError):
        repo.config.set(name, text)
    assert not (repo.root / ".art/config.yaml").exists()


def test_a_repository_is_closed_and_goes_on(repo: Repo) -> None:
    three(repo)
    repo.close()
    assert repo.version("k").text() == "text 3"
    assert repr(repo) == f"<Repo {repo.root}>"
