"""The language of `--where`: what is found, what is refused and where, and that nothing reaches SQL unbound."""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import art
from art import index, sql
from art.errors import NotFoundError, QueryError, UsageError
from art.index import Group
from art.listing import Filter
from art.query.syntax import parse
from art.query.tree import Field, Kind
from art.repo import Repo
from art.said import Said

_EXAMPLES = int(os.environ.get("ART_TEST_EXAMPLES", "60"))
NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """Return a repository with versions that differ in everything a query can ask for."""
    with art.init(tmp_path_factory.mktemp("shelf"), nested=True) as repo:
        fill(repo)
        yield repo


def fill(repo: Repo) -> None:
    about: dict[str, Any] = {
        "labels": ["weekly", "ok"],
        "partitions": {"region": "eu", "part": "9"},
    }
    metadata = {"acc": 0.95, "rows": 1200, "model": {"name": "resnet"}, "ok": True, "note": "5"}
    repo.markdown("sales/raw", "1" * 2000, title="Raw sales", metadata=metadata, **about)
    about = {"labels": ["weekly"], "partitions": {"region": "us", "part": "10"}}
    metadata = {"acc": 0.5, "list": ["a", 7, None], "a.b": {"c": "dotted"}, "day": "2026-11-02"}
    repo.markdown("sales/raw", "2", description="Second, 50 % off", metadata=metadata, **about)
    metadata = {"loss": math.nan, "peak": math.inf, "low": -math.inf, "acc": "0.97", "größe": "x"}
    repo.json("sales/eu/report", [1], inputs=["sales/raw@v1"], metadata=metadata, labels=["loss"])
    repo.value("churn", 3, inputs=["sales/eu/report@v1"], title='It\'s 100% "sure"')
    repo.value("churn", 4, title="_underscore%")
    with repo.run("train", step="fit", command=["python", "fit.py"], params={"lr": 0.1}):
        repo.markdown("models/net", "net", inputs=["churn@v1"])
    repo.markdown("gone", "gone", title="was here")
    repo.delete("gone")
    repo.tag("sales/raw@v1", "prod")
    repo.tag("sales/raw@v1", "rel-1")
    repo.tag("churn@v2", "prod")
    repo.note("churn@v1", metadata={"noted": "later"}, add_labels=["seen"])
    repo.markdown(None, "keyless", title="no key", metadata={"acc": 1})


def test_texts_do_not_end_where_there_is_nul(repo: Repo) -> None:
    repo.value("whole", 1, metadata={"note": "a\0b", "list": ["x\0", "a"]}, title="t\0u")
    repo.value("short", 1, metadata={"note": "a"}, title="t")
    assert found(repo, "metadata.note = 'a'") == ["short@v1"]
    assert found(repo, "metadata.note = 'a\0b'") == ["whole@v1"]
    assert found(repo, "metadata.note endswith b") == ["whole@v1"]
    assert found(repo, "metadata.list = x") == []
    assert found(repo, "title = t") == ["short@v1"]
    assert repo.version("whole").metadata == {"note": "a\0b", "list": ["x\0", "a"]}
    assert repo.query("metadata.note contains b")[0].about["metadata"]["note"] == "a\0b"


def found(repo: Repo, where: str) -> list[str]:
    return [record.ref for record in repo.query(where)]


RAW1, RAW2, REPORT, CHURN1, CHURN2, NET = (
    "sales/raw@v1", "sales/raw@v2", "sales/eu/report@v1", "churn@v1", "churn@v2", "models/net@v1",
)  # fmt: skip
ALL = [CHURN2, CHURN1, NET, REPORT, RAW2, RAW1]

FOUND: list[tuple[str, list[str]]] = [
    ("type = markdown", [NET, RAW2, RAW1]),
    ("type != markdown", [CHURN2, CHURN1, REPORT]),
    ("TYPE == markdown AND NOT number <> 2", [RAW2]),
    ("type in (json, value) and not key = churn", [REPORT]),
    ("type not in (json, markdown)", [CHURN2, CHURN1]),
    ("key = sales/raw", [RAW2, RAW1]),
    ("key like 'sales/*'", [RAW2, RAW1]),
    ("key like sales/**", [REPORT, RAW2, RAW1]),
    ("key like '**/r[!e]w'", [RAW2, RAW1]),
    ("key not like sales/**", [CHURN2, CHURN1, NET]),
    ("key startswith sales and key endswith report", [REPORT]),
    ("key contains ales/", [REPORT, RAW2, RAW1]),
    ("key > models and key <= sales/eu/report", [NET, REPORT]),
    ("number = 2", [CHURN2, RAW2]),
    ("version = v2", [CHURN2, RAW2]),
    ("number in (v1, 7)", [CHURN1, NET, REPORT, RAW1]),
    ("size > 1K", [RAW1]),
    ("size >= 2000 and size < 2Ki", [RAW1]),
    ("size < 0.001K", []),
    ("size = 1", [CHURN2, CHURN1, RAW2]),
    ("files = null", ALL),
    ("title = 'Raw sales'", [RAW1]),
    ('title = "It\'s 100% \\"sure\\""', [CHURN1]),
    ("title like '*100%*'", [CHURN1]),
    ("title startswith _", [CHURN2]),
    ("title startswith ''", [CHURN2, CHURN1, RAW1]),
    ("title endswith ''", [CHURN2, CHURN1, RAW1]),
    ("title contains RAW", []),
    ("title like '[R]aw?sales'", [RAW1]),
    ("title like '[!R]*'", [CHURN2, CHURN1]),
    ("title like '[*'", []),
    ("title is null", [NET, REPORT, RAW2]),
    ("title = null", [NET, REPORT, RAW2]),
    ("title != null", [CHURN2, CHURN1, RAW1]),
    ("title is not null and title != 'Raw sales'", [CHURN2, CHURN1]),
    ("title != 'Raw sales'", [CHURN2, CHURN1]),
    ("not title = 'Raw sales'", [CHURN2, CHURN1, NET, REPORT, RAW2]),
    ("description contains '50 %'", [RAW2]),
    ("author is not null", ALL),
    ("tag = prod", [CHURN2, RAW1]),
    ("tag in (rel-1, none)", [RAW1]),
    ("tag != prod", [CHURN1, NET, REPORT, RAW2]),
    ("tag like rel-*", [RAW1]),
    ("tag is null", [CHURN1, NET, REPORT, RAW2]),
    ("label = weekly and label = ok", [RAW1]),
    ("labels in (ok, loss, seen)", [CHURN1, REPORT, RAW1]),
    ("label not in (weekly, loss)", [CHURN2, CHURN1, NET]),
    ("label = null", [CHURN2, NET]),
    ("label contains eek", [RAW2, RAW1]),
    ("metadata.acc >= 0.9", [REPORT, RAW1]),
    ("metadata.acc >= '0.9'", [REPORT]),
    ("metadata.acc = 0.97", [REPORT]),
    ("metadata.acc != 0.5", [REPORT, RAW1]),
    ("metadata.rows = 1.2K", [RAW1]),
    ("metadata.rows > 20m", []),
    ("metadata.rows >= 20m", [RAW1]),
    ("metadata.rows > abc", []),
    ("metadata.rows != abc", [RAW1]),
    ("metadata.note = 5", [RAW1]),
    ("metadata.note > 4.5", [RAW1]),
    ("metadata.note > 12", []),
    ("metadata.model.name = resnet", [RAW1]),
    ("metadata.model.name like res*", [RAW1]),
    ("metadata.model = resnet", []),
    ("metadata.model is not null", [RAW1]),
    ("metadata.ok = true", [RAW1]),
    ("metadata.ok = false", []),
    ("metadata.ok = 1", []),
    ("metadata.list = a", [RAW2]),
    ("metadata.list = 7", [RAW2]),
    ("metadata.list > 6.5", [RAW2]),
    ("metadata.list != a", []),
    ('metadata."a.b".c = dotted', [RAW2]),
    ("metadata.größe = x", [REPORT]),
    ("metadata.day >= 2026-11-01", [RAW2]),
    ("metadata.day < now-7d and metadata.day < today", [RAW2]),
    ("metadata.loss is null", ALL),
    ("metadata.peak > 1e300", [REPORT]),
    ("metadata.low < -1e300", [REPORT]),
    ("metadata.noted = later", [CHURN1]),
    ("metadata.none = null", ALL),
    ("metadata.none = x or metadata.none != x or metadata.none < 5", []),
    ("region = eu", [RAW1]),
    ("region in (eu, us)", [RAW2, RAW1]),
    ("partition.region != eu", [RAW2]),
    ("part > 9", [RAW2]),
    ("part >= 9 and part < 10", [RAW1]),
    ("region > 5", []),
    ("region is null", [CHURN2, CHURN1, NET, REPORT]),
    ("latest = true", [CHURN2, NET, REPORT, RAW2]),
    ("latest = no", [CHURN1, RAW1]),
    ("input = sales/raw@v1", [REPORT]),
    ("input in (churn, sales/raw)", [NET, REPORT]),
    ("input != churn@v1 and input is not null", [CHURN1, REPORT]),
    ("input is null", [CHURN2, RAW2, RAW1]),
    ("ancestor = sales/raw@prod", [CHURN1, NET, REPORT]),
    ("ancestor = sales/raw", [CHURN1, NET, REPORT]),
    ("ancestor in (sales/raw@v2, churn@v1)", [NET]),
    ("ancestor != sales/raw", [CHURN2, RAW2, RAW1]),
    ("descendant = models/net", [CHURN1, REPORT, RAW1]),
    ("run.step = fit", [NET]),
    ("run.name startswith tr and run.params.lr < 1", [NET]),
    ("run.command = fit.py", [NET]),
    ("run is null", [CHURN2, CHURN1, REPORT, RAW2, RAW1]),
    ("format.name is not null and type = value", [CHURN2, CHURN1]),
    ("payload.reference is null", ALL),
    ("state = live", ALL),
    ("state = deleted", ["gone@v1"]),
    ("state in (deleted, live) and title is not null", [CHURN2, CHURN1, "gone@v1", RAW1]),
    ("title = 'was here'", []),
    ("created > now-1h and created <= now", ALL),
    ("created < today-2d or age > 1h", []),
    ("age < 1h", ALL),
    ("created >= 2020 and created > 2020-02 and created > 2020-02-03T04:05", ALL),
    ("not created = yesterday", ALL),
    ("(type = value or type = json) and (number = 1)", [CHURN1, REPORT]),
    ("type = value or type = json and number = 7", [CHURN2, CHURN1]),
    ("not not not (type = value)", [NET, REPORT, RAW2, RAW1]),
]


@pytest.mark.parametrize(("where", "expected"), FOUND)
def test_a_query_finds_what_it_says(shelf: Repo, where: str, expected: list[str]) -> None:
    assert found(shelf, where) == expected
    assert shelf.count(where) == len(expected)
    whole = len(ALL) + ("state" in where)  # which looks at what is deleted, too
    assert shelf.count(f"not ({where})") == whole - len(expected)


def test_an_id_is_found_by_its_first_digits(shelf: Repo) -> None:
    id = shelf.version(RAW2).id
    assert found(shelf, f"id = {id}") == found(shelf, f"id in ({id[:11]}, b3:00000000)") == [RAW2]
    assert found(shelf, f"id startswith {id[:20]}") == [RAW2]
    assert shelf.count(f"id != {id[:11]}") == len(ALL) - 1


def test_descent_follows_versions_that_were_moved(repo: Repo) -> None:
    repo.value("a", 1)
    repo.value("b", 2, inputs=["a@v1"])
    repo.value("c", 3, inputs=["b@v1"])
    repo.move("a", "x/a")
    repo.move("b", "x/b")
    assert found(repo, "ancestor = x/a@v1") == found(repo, "ancestor = a") == ["c@v1", "x/b@v1"]
    assert found(repo, "input = x/b") == ["c@v1"]
    assert found(repo, "descendant = c@v1") == ["x/a@v1", "x/b@v1"]


def test_a_version_is_not_its_own_ancestor_but_others_of_its_key_may_be(repo: Repo) -> None:
    repo.value("a", 1)
    repo.value("a", 2, inputs=["a@v1"])
    repo.value("a", 3, inputs=["a@v2"])
    assert found(repo, "ancestor = a") == ["a@v3", "a@v2"]
    assert found(repo, "ancestor = a@v2") == ["a@v3"]
    assert found(repo, "descendant = a@v2") == ["a@v1"]


def test_a_word_alone_is_a_key_and_told_where_there_is_none(repo: Repo) -> None:
    repo.value("rides", 1)
    assert [record.key for record in repo.query("rides")] == ["rides"]
    for wrong in ("rdes", "size", "sales/rides"):
        with pytest.raises(NotFoundError, match=f"there is no key '{wrong}'") as caught:
            repo.query(wrong)
        assert not isinstance(caught.value, QueryError)
    with pytest.raises(NotFoundError) as caught:
        repo.query("rdes", region="eu")
    assert caught.value.hint == "did you mean rides?"


WRONG: list[tuple[str, int, str, str | None]] = [
    ("", 0, "found the end, expected a field", None),
    ("size", 4, "expected a comparison", "operators: ="),
    ("size >", 6, "found the end, expected a value", None),
    ("szie > 1M", 0, "no field or partition 'szie'", "did you mean size?"),
    ("type = a and metdata.acc > 1", 13, "'metdata.acc'", "did you mean metadata.acc?"),
    ("regoin = eu", 0, "'regoin'", "region"),
    ("zzz is null", 0, "'zzz'", "fields: key, number"),
    ("zürich = 5", 0, "no field 'zürich'", "fields:"),
    ("metadata..x = 5", 0, "is no field", None),
    ('metadata."a"b = 5', 0, "is no field", None),
    ('metadata."a\\"b" = 5', 0, "quotes", None),
    ("size > big", 7, "'big' is no value of size", "5M"),
    ("size in (1, x)", 12, "'x' is no value of size", None),
    ("size > 5m", 7, "'5m' is no value of size", "5M"),
    ("created > soon", 10, "'soon' is no value of created", "now-7d"),
    ("created > 2026-13", 10, "no value of created", None),
    ("age > 5", 6, "no value of age", "7d"),
    ("age = 7d", 4, "age cannot be compared with =", "<, <=, >, >="),
    ("state = lost", 8, "'lost' is no value of state", "deleted"),
    ("id = 12ab", 5, "'12ab' is no value of id", "b3:"),
    ("latest = 5", 9, "no value of latest", "true or false"),
    ("size like 5*", 5, "size cannot be compared with like", "possible"),
    ("tag < b", 4, "tag cannot be compared with <", None),
    ("ancestor is null", 0, "ancestor is never null", "input is null"),
    ("ancestor = sales/rww", 11, "no key 'sales/rww'", "sales/raw"),
    ("ancestor = sales/raw@v9", 11, "v9", None),
    ("input = 'a key'", 8, "not possible", None),
    ("type = a b", 7, "`a b` is more than one value", 'quoted: "a b"'),
    ("type = 'a' b", 11, "found `b`, expected `and`, `or` or the end", None),
    ("age > 7 days and size = 1", 6, "`7 days` is more than one value", "7d"),
    ("age < 2 months", 6, "`2 months` is more than one value", "60d"),
    ("created > 3 Days ago", 10, "`3 Days ago` is more than one value", "now-3d"),
    ("created > now - 3 days", 10, "is more than one value", "one word: now-3d"),
    ("size > 5 MB", 7, "`5 MB` is more than one value", "5MB"),
    ("region =~ eu", 7, "found `=~`, expected a comparison", "for =~ write: like 'eu*'"),
    ("title ~ eu", 6, "found `~`, expected a comparison", "like 'eu*'"),
    ("size => 5", 5, "found `=>`, expected a comparison", "for => write: >="),
    ("!tag = a", 0, "found `!`, expected a field", "for ! write: not"),
    ("tag = a && tag = b", 8, "found `&&`, expected `and`", "for && write: and"),
    ("tag = a, tag = b", 7, "found `,`, expected `and`", "stands `and`"),
    ("metadata.acc > 0,9", 16, "found `,`", "is quoted"),
    ("(type = a", 9, "expected `)`", None),
    ("type = a)", 8, "found `)`", None),
    ("type in a", 8, "expected `(`", None),
    ("type in ()", 9, "expected a value", None),
    ("type in (a b)", 11, "expected `,` or `)`", None),
    ("type in (a, null)", 12, "expected a value", '"null"'),
    ("type is 5", 8, "expected `null` or `not null`", "type = …"),
    ("type is not 5", 12, "expected `null`", "type != …"),
    ("type not = a", 9, "expected like", None),
    ("title = 'open", 8, "does not end", None),
    ("type ! a", 5, "found `!`, expected a comparison", "not"),
    ("type = and", 7, "found `and`, expected a value", '"and"'),
    ("type = a and", 12, "found the end, expected a field", None),
    ("'type' = a", 0, "expected a field", None),
    ("title = a\"b\"", 8, "quotes go around the whole value", None),
    ("title = \ud800", 8, "not valid Unicode", None),
    ("not " * 31 + "size = 1", 120, "nested deeper than 30", None),
    ("(" * 100_000, 10_000, "at most 10,000 characters", None),
    ("(" * 9_999, 30, "nested deeper", None),
    (" and ".join(["size = 1"] * 201), 2600, "at most 200 comparisons", None),
    (f"size in ({','.join('1' * 501)})", 1009, "at most 500 values", None),
    ("metadata." + "a." * 40 + "b = 1", 0, "at most 32 parts", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "at", "message", "hint"), WRONG, ids=lambda value: str(value)[:40]
)
def test_an_error_points_at_the_character(
    shelf: Repo, where: str, at: int, message: str, hint: str | None
) -> None:
    with pytest.raises(QueryError) as raised:
        shelf.query(where=where)
    error = raised.value
    assert message in error.message
    assert error.message.endswith(f"at character {at + 1} of the query")
    assert error.at == at
    assert "\n" not in error.message
    assert hint is None or hint in (error.hint or "")
    line, caret = error.excerpt
    assert len(line) <= 100
    assert where[at : at + 1] in (line[len(caret) - 1 : len(caret)], "", "\ud800")


def test_as_much_as_is_allowed_is_answered(shelf: Repo) -> None:
    many = " or ".join(["metadata.list > 99"] * 199 + ["type = value"])
    assert found(shelf, many) == [CHURN2, CHURN1]
    values = ",".join(["'é'"] * 499 + ["value"])
    assert found(shelf, f"type in ({values})") == [CHURN2, CHURN1]
    assert found(shelf, f"metadata.list in ({values})") == []
    assert found(shelf, "not " * 29 + "type = value") == [NET, REPORT, RAW2, RAW1]
    assert shelf.count(f"created in ({','.join(['2020'] * 500)})") == 0
    assert shelf.count("metadata." + "a." * 30 + "b is null") == len(ALL)


@pytest.mark.parametrize(
    "words", [("and", "or"), ("or", "and"), ("and not", "or not"), ("and", "and")]
)
@pytest.mark.parametrize(
    "leaf", ["metadata.list > 1", "label in (a, b)", "ancestor = churn", "part < 9"]
)
def test_what_is_as_deep_as_is_allowed_is_answered(
    shelf: Repo, leaf: str, words: tuple[str, str]
) -> None:
    right = left = wide = leaf
    for depth in range(13 if "not" in words[0] else 27):
        right = f"{leaf} {words[depth % 2]} ({right})"
        left = f"({left}) {words[depth % 2]} {leaf}"
        if depth < 6:
            wide = f"({wide}) {words[depth % 2]} ({wide})"
    for query in (right, left, wide):
        assert shelf.count(query) + shelf.count(f"not ({query})") == len(ALL)
        newest = Filter(where=query, sort="metadata.acc", limit=3)
        assert len(shelf.listing(filter=newest)) <= 4
    assert not shelf._index.was_rebuilt


# -- listings --------------------------------------------------------------------------------------


def test_a_listing_shows_the_newest_of_each_key_that_matches(shelf: Repo) -> None:
    def listed(**words: Any) -> list[str]:
        return [record.ref for record in shelf.listing(filter=Filter(**words))]

    assert listed(where="metadata.acc > 0.4") == [REPORT, RAW2]
    assert listed(where="metadata.acc > 0.4", all=True) == [REPORT, RAW2, RAW1]
    assert listed(where="metadata.acc > 0.9") == [REPORT, RAW1]
    assert listed(where="metadata.acc > 0.9", labels=("ok",)) == [RAW1]
    assert listed(where="state = deleted") == ["gone@v1"]
    assert listed(where="title is not null", deleted=True) == ["gone@v1"]
    keyless = shelf.listing(filter=Filter(where="metadata.acc = 1", anonymous=True))
    assert [record.title for record in keyless] == ["no key"]
    assert shelf.count(filter=Filter()) == 4
    assert shelf.count(filter=Filter(where="size > 0", anonymous=True)) == 1


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("metadata.acc", [RAW2, RAW1, REPORT, CHURN2, CHURN1, NET]),
        ("metadata.acc:desc", [REPORT, RAW1, RAW2, CHURN2, CHURN1, NET]),
        ("size:asc", [CHURN2, CHURN1, RAW2, NET, REPORT, RAW1]),
        ("size", [RAW1, REPORT, NET, CHURN2, CHURN1, RAW2]),
        ("region", [RAW1, RAW2, CHURN2, CHURN1, NET, REPORT]),
        ("title:desc", [CHURN2, RAW1, CHURN1, NET, REPORT, RAW2]),
        ("key:desc", [RAW2, RAW1, REPORT, NET, CHURN2, CHURN1]),
    ],
)
def test_versions_are_sorted_by_any_field(shelf: Repo, sort: str, expected: list[str]) -> None:
    assert [record.ref for record in shelf.query(sort=sort)] == expected
    pages = [shelf.query(sort=sort, limit=2, offset=at) for at in range(0, 8, 2)]
    assert [record.ref for page in pages for record in page] == expected
    assert shelf.count(filter=Filter(all=True, limit=4, offset=4)) == 2


@pytest.mark.parametrize("sort", ["label", "ancestor", "a b", "metadata.", ":asc", "no-such"])
def test_what_is_no_order_is_refused(shelf: Repo, sort: str) -> None:
    with pytest.raises(UsageError):
        shelf.query(sort=sort)


def grouped(groups: list[Group]) -> list[tuple[Any, int, int]]:
    return [(group.value, group.count, group.size) for group in groups]


def test_versions_are_counted_by_a_field(shelf: Repo) -> None:
    size = {record.ref: record.size or 0 for record in shelf.query()}

    def sum_of(*refs: str) -> int:
        return sum(size[ref] for ref in refs)

    assert grouped(shelf.groups("key")) == [
        ("churn", 2, 2),
        ("models/net", 1, 3),
        ("sales/eu/report", 1, size[REPORT]),
        ("sales/raw", 2, 2001),
    ]
    assert grouped(shelf.groups("label")) == [
        ("loss", 1, size[REPORT]),
        ("ok", 1, 2000),
        ("seen", 1, 1),
        ("weekly", 2, 2001),
        (None, 2, sum_of(CHURN2, NET)),
    ]
    assert grouped(shelf.groups("partition:region", where="region is not null")) == [
        ("eu", 1, 2000),
        ("us", 1, 1),
    ]
    assert grouped(shelf.groups("metadata.ok")) == [(True, 1, 2000), (None, 5, sum_of(*ALL[:5]))]
    assert [group.value for group in shelf.groups("metadata.list")] == [["a", 7, None], None]
    assert [group.value for group in shelf.groups("metadata.acc")] == [0.5, 0.95, "0.97", None]
    assert [group.value for group in shelf.groups("tag", "sales/**")] == ["prod", "rel-1", None]
    assert shelf.groups("type", filter=Filter(sort="count"))[0].value == "markdown"
    newest = shelf.groups("key", filter=Filter(sort="created", limit=1))
    assert [group.value for group in newest] == ["models/net"]
    assert newest[0].newest == shelf.version(NET).created


@pytest.mark.parametrize("by", ["ancestor", "latest", "a b", "no-such", "metadata..x"])
def test_what_nothing_can_be_grouped_by_is_refused(shelf: Repo, by: str) -> None:
    with pytest.raises(UsageError):
        shelf.groups(by)


def test_sizes_beyond_64_bits_are_added(repo: Repo) -> None:
    from tests.support_hostile import NOW as WHEN
    from tests.support_hostile import document

    folder = Path(repo.root) / ".art" / "manifests" / "k"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        fields = {"art": 1, "uid": f"019aa5a8-0000-7000-8000-00000000000{number}", "key": "k"}
        fields |= {"type": "file", "created": WHEN, "author": "eve"}
        fields["payload"] = {"tree": f"{number}" * 64, "size": 2**63 - 1, "files": 1}
        (folder / f"v0000000{number}.yaml").write_bytes(document(fields))
    assert grouped(repo.groups("key")) == [("k", 3, 3 * (2**63 - 1))]


# -- nothing crashes, nothing is pasted ------------------------------------------------------------

MARK = "☃"
names = st.sampled_from(
    ["type", "key", "title", "size", "number", "created", "age", "tag", "label", "latest", "state"]
    + ["metadata.acc", "metadata.list", "metadata.model.name", "run.step", "region", "part", "id"]
    + ["input", "ancestor", f'metadata."{MARK} \'"', f"metadata.{MARK}'--", "partition.region"]
)
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "like", "contains", "startswith"])
values = st.one_of(
    st.sampled_from(["1", "0.9", "5M", "true", "eu", "prod", "7d", "now-1d", "2026-11-21", "live"]),
    st.sampled_from(["sales/raw@v1", "b3:01234567", "'*'", "'[!a]*?'", "null", "9" * 40, "1e400"]),
    st.text(max_size=8).map(lambda text: json.dumps(MARK + text, ensure_ascii=False)),
)


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    name = draw(names)
    if draw(st.booleans()):
        return f"{name} {draw(operators)} {draw(values)}"
    if draw(st.booleans()):
        return f"{name} {draw(st.sampled_from(['in', 'not in']))} ({draw(values)}, {draw(values)})"
    return f"{name} is {draw(st.sampled_from(['null', 'not null']))}"


written = st.recursive(
    comparisons(),
    lambda part: st.one_of(
        part.map(lambda one: f"not ({one})"),
        st.tuples(part, st.sampled_from(["and", "or"]), part).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=3 * _EXAMPLES, suppress_health_check=list(HealthCheck))
@given(where=written | st.text(max_size=40) | st.tuples(written, st.text(max_size=5)).map("".join))
def test_whatever_is_asked_is_answered_or_refused(shelf: Repo, where: str) -> None:
    try:
        count = shelf.count(where)
    except QueryError as error:
        assert 0 <= error.at <= len(where)
        return
    whole = len(ALL) + ("state" in where)
    if not re.search(r"\bstate\b", where):
        assert count + shelf.count(f"not ({where})") == whole
    assert len(shelf.query(where, sort="metadata.acc")) == count
    assert not shelf._index.was_rebuilt, "an answer is no error of SQLite"


@settings(max_examples=3 * _EXAMPLES)
@given(where=written)
def test_nothing_of_a_query_is_in_the_sql(where: str) -> None:
    try:
        query = parse(where, NOW)
    except QueryError:
        return
    by_time = sql.Order(Field("created", Kind.TIME), descending=True)
    newest = sql.Selection(query.node, newest=True, limit=5)
    all_of_them = sql.Selection(query.node, orders=(by_time,), limit=5)
    near = sql.nearest(all_of_them, "2026-11-21T08:30:00.000000Z")
    pieces = [sql.where(newest), sql.source(newest), sql.ordered(newest), sql.ordered(all_of_them)]
    for made in [*pieces, near] if near else pieces:
        assert made.text.isascii()
        assert re.fullmatch(r"[\w\s().,*=<>!?|'$+-]*", made.text)
        assert set(re.findall(r"'([^']*)'", made.text)) <= CONSTANTS
        assert made.text.count("?") == len(made.values)
    is_bound = any(MARK in str(value) or "2603" in str(value) for value in made.values)
    assert is_bound or MARK not in re.sub(r"(input|ancestor) .*", "", where)


CONSTANTS = {
    "array", "false", "integer", "live", "null", "real", "text", "true",
    "$.labels", "$.description",
}  # fmt: skip


@settings(max_examples=_EXAMPLES, suppress_health_check=list(HealthCheck))
@given(left=comparisons(), right=comparisons())
def test_and_or_not_go_together_as_in_logic(shelf: Repo, left: str, right: str) -> None:
    if re.search(r"\bstate\b", f"{left} {right}"):
        return  # which versions are looked at depends on it
    try:
        one, other = set(found(shelf, left)), set(found(shelf, right))
    except QueryError:
        return
    assert set(found(shelf, f"{left} and {right}")) == one & other
    assert set(found(shelf, f"{left} or {right}")) == one | other
    assert set(found(shelf, f"not ({left} or {right})")) == set(ALL) - one - other
    assert set(found(shelf, f"not {left} and not {right}")) == set(ALL) - one - other


# -- shortcuts: what is found is the same as without them --------------------------------------------

sorts = st.sampled_from(
    ["created", "created:asc", "age", "age:desc", "metadata.acc", "title:asc", "key", "size:desc"]
)


@settings(max_examples=2 * _EXAMPLES, suppress_health_check=list(HealthCheck))
@given(
    where=written,
    sort=sorts,
    limit=st.integers(0, 3),
    offset=st.integers(0, 2),
    near=st.integers(1, 7),
)
def test_the_first_of_what_is_found_are_those_of_all(
    shelf: Repo, where: str, sort: str, limit: int, offset: int, near: int
) -> None:
    try:
        everything = shelf.query(where, sort=sort)
    except QueryError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_NEAR", near)
        some = shelf.query(where, sort=sort, limit=limit, offset=offset)
    assert some == everything[offset : offset + limit]


@settings(max_examples=2 * _EXAMPLES, suppress_health_check=list(HealthCheck))
@given(where=written, is_newest=st.booleans())
def test_what_no_version_says_is_found_nowhere_whether_it_is_looked_for_or_not(
    shelf: Repo, where: str, is_newest: bool
) -> None:
    wanted = Filter(where=where, all=not is_newest)
    try:
        answers = shelf.listing(filter=wanted), shelf.count(filter=wanted)
    except QueryError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Said, "paths", lambda self: None)
        assert (shelf.listing(filter=wanted), shelf.count(filter=wanted)) == answers
    assert answers[1] == len(answers[0])


def test_of_each_key_the_highest_number_that_matches_is_shown(repo: Repo) -> None:
    for key, values in {"a": (1, 5, 2), "b": (5, 5), "c": (1,), "d": (5, 1, 5)}.items():
        for value in values:
            repo.value(key, value, metadata={"v": value}, always=True)
    repo.delete("d@v3")

    def shown(where: str, **more: Any) -> list[str]:
        return [record.ref for record in repo.listing(filter=Filter(where=where, **more))]

    assert shown("metadata.v = 5") == ["a@v2", "b@v2", "d@v1"]
    assert shown("metadata.v = 1", sort="number") == ["d@v2", "a@v1", "c@v1"]
    assert shown("latest = true") == ["a@v3", "b@v2", "c@v1", "d@v2"]
    assert shown("latest = true and metadata.v < 5", all=True, limit=2) == ["a@v3", "c@v1"]
    assert shown("latest = false", all=True) == ["a@v2", "a@v1", "b@v1", "d@v1"]
    assert shown("latest in (true, false)", all=True, limit=3) == ["a@v3", "a@v2", "a@v1"]
    assert repo.count("latest = true") == 4


def test_a_name_is_found_as_soon_as_something_is_said_under_it(repo: Repo) -> None:
    repo.value("k", 1, metadata={"a": 1})
    assert repo.query("metadata.later = 3") == []
    assert repo.count("metadata.later is null") == 1
    repo.note("k@v1", metadata={"later": 3})
    assert found(repo, "metadata.later = 3") == ["k@v1"]
    with Repo(repo.root) as other:
        other.value("k", 2, metadata={"deep": {"in": {"it": 3}}})
        assert found(other, "metadata.deep.in.it = 3") == ["k@v2"]
    assert found(repo, "metadata.deep.in.it = 3 and metadata.deep is not null") == ["k@v2"]
    assert repo.query("metadata.deep.at.it = 3") == []
    assert found(repo, "metadata.deep.at is null and number = 2") == ["k@v2"]


def test_more_names_than_are_kept_are_found(repo: Repo) -> None:
    for number in range(12):
        names = {f"n{number}-{at}": at for at in range(190)}
        repo.value("many", number, metadata=names)
    repo.value("wide", 1, metadata={f"w{at}": at for at in range(300)})
    for where in ("metadata.n0-0 = 0", "metadata.n11-189 = 189", "metadata.w299 = 299"):
        assert len(found(repo, where)) == 1
    assert repo.query("metadata.absent = 0") == []


# -- compared with Python --------------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.floats(-20, 20).map(lambda number: round(number, 1)),
    st.sampled_from(
        ["", "a", "b", "é", "5", "-3.5", "007", "1.2.3", "2026-11-21", "true", "inf", "x" * 9]
    ),
    st.text(alphabet="ab\\\"'%_*[]é\U0001f600\n\0", max_size=3),
)
stored = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner, max_size=1),
    max_leaves=3,
)


def holds(value: Any, word: str, compare: str, text: str, number: float | None) -> bool:
    """Whether docs/where.md says that a value in a document compares so with one in a query."""
    if isinstance(value, list):
        return any(
            holds(item, word, compare, text, number) for item in value if not isinstance(item, list)
        )
    if isinstance(value, bool):
        return compare == "=" and word == str(value).lower()
    if isinstance(value, (int, float)):
        return number is not None and bool(COMPARED[compare](value, number))
    if not isinstance(value, str):
        return False
    if number is None or compare == "=":
        return bool(COMPARED[compare](value, text))
    read = re.fullmatch(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?\s*", value)
    return read is not None and bool(COMPARED[compare](float(value), number))


COMPARED = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def test_metadata_compare_as_in_python(repo: Repo) -> None:
    """One version for every value: each query is answered for all of them at once."""
    seen: dict[str, Any] = {}

    @settings(max_examples=40, derandomize=True)
    @given(st.lists(stored, min_size=4, max_size=4))
    def collect(items: list[Any]) -> None:
        seen.update((json.dumps(item), item) for item in items)

    collect()
    chosen = list(seen.values())[:80]
    for number, item in enumerate(chosen):
        repo.value("k", number, metadata={"v": item})

    @settings(max_examples=2 * _EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(
        wanted=scalars.filter(lambda value: value is not None),
        compare=st.sampled_from(list(COMPARED)),
    )
    def compare_all(wanted: Any, compare: str) -> None:
        text = wanted if isinstance(wanted, str) else json.dumps(wanted)
        word = text if isinstance(wanted, (bool, int, float)) else ""
        number = (
            wanted if isinstance(wanted, (int, float)) and not isinstance(wanted, bool) else None
        )
        escaped = re.sub(r'(["\\])', r"\\\1", text)
        query = (
            f'metadata.v {compare} "{escaped}"'
            if isinstance(wanted, str)
            else f"metadata.v {compare} {text}"
        )
        expected = [
            n + 1 for n, item in enumerate(chosen) if holds(item, word, compare, text, number)
        ]
        answered = [record.number for record in repo.query(query, sort="number:asc")]
        assert answered == expected, query

    compare_all()
