"""What goes wrong in systems that do a part of what this one does, shown absent."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import pickle
import random
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import art
from art import publish
from art.document import encode
from art.errors import ArtError, CorruptError, DeniedError, UsageError
from art.repo import Repo
from tests.conftest import Runner
from tests.materialize.shapes import Plain
from tests.support_sync import World


def manifests(place: Path) -> dict[str, str]:
    """Return the documents of all versions below a folder, by their names there."""
    files = [path for path in place.rglob("*.yaml") if "manifests" in path.parts]
    return {path.relative_to(place).as_posix(): path.read_text() for path in files}


def test_a_repository_and_its_remote_can_be_moved_because_no_manifest_says_where_they_are(
    repo: Repo, workplace: Path
) -> None:
    Path("a.txt").write_text("text" * 3000)
    repo.create("file", "a.txt")
    repo.save({"rows": list(range(3000))}, "object")
    repo.remotes.add("origin", str(workplace / "shared"))
    repo.push()
    repo.close()
    for text in (
        *manifests(workplace / ".art").values(),
        *manifests(workplace / "shared").values(),
    ):
        assert str(workplace) not in text

    moved = workplace / "other" / "host"
    moved.mkdir(parents=True)
    shutil.move(workplace / ".art", moved / ".art")
    shutil.move(workplace / "shared", workplace / "bucket")
    with art.open(moved) as again:
        again.remotes.set_url("origin", str(workplace / "bucket"))
        assert again.version("object").load() == {"rows": list(range(3000))}
        assert not again.fsck(data=True).problems
        assert not again.fsck(remote="origin", data=True).problems
        again.save(7, "more")
        assert [sent.key for sent in again.push().versions] == ["more"]
    with art.clone(str(workplace / "bucket"), workplace / "clone") as clone:
        assert clone.version("file").read() == b"text" * 3000


@pytest.mark.parametrize(
    "cell",
    [
        float("inf"),
        float("-inf"),
        float("nan"),
        dt.datetime(2026, 3, 29, 1, 30),  # noqa: DTZ001
        dt.datetime(2026, 3, 29, 1, 30, 0, 7, dt.timezone.utc),
        dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
        dt.date(2026, 1, 1),
        Decimal("1.500"),
        Decimal("NaN"),
        b"\0\xff",
        None,
        [None, {"a": None}],
        (1, None),
        2**70,
        True,
    ],
    ids=repr,
)
def test_a_cell_of_any_type_comes_back_and_its_json_is_json(
    repo: Repo, run: Runner, cell: Any
) -> None:
    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    for data in ([{"a": 1, "b": cell}], {"b": [cell, None]}, [["a", "b"], [1, cell]]):
        version = repo.table("t", data, always=True).version
        assert repr(version.load()) == repr(data)
        shown = run("get", "t", "-", "--as", "json").out
        rows = json.loads(shown, parse_constant=refuse)
        if isinstance(cell, float) and cell != cell:
            assert rows[0]["b"] is None
        assert json.loads(run("inspect", "t", "--json").out, parse_constant=refuse)
        assert run("inspect", "t").out


@pytest.mark.parametrize("text", ["a]b", "a)b (c", "two words", "ü∂", "`x` *y* <z>", "a\\b"])
def test_a_link_with_any_text_comes_back(repo: Repo, run: Runner, text: str) -> None:
    url = f"https://example.org/{quote(text)}"
    version = repo.link("l", url, text=text).version
    document = json.loads(run("inspect", "l", "--json").out)
    assert json.dumps(text) in json.dumps(document)
    assert url in version.text()
    assert text in run("inspect", "l").out


def test_metadata_is_kept_as_it_is_or_refused(repo: Repo, run: Runner) -> None:
    long = {"note": "x" * 10_000, "list": list(range(500)), "nested": {"a": [None, 1.5, True]}}
    assert repo.save(1, "k", metadata=long).version.metadata == long
    assert repo.note("k", metadata={"late": "y" * 10_000}).metadata["late"] == "y" * 10_000
    assert run("inspect", "k", "--json").json["metadata"]["note"] == "x" * 10_000
    with pytest.raises(ArtError):
        repo.save(2, "k", metadata={"note": "x" * 3_000_000})
    assert repo.version("k").load() == 1


def test_keyless_versions_are_listed_with_the_others(repo: Repo, run: Runner) -> None:
    for key in ("a", "b", "c"):
        repo.save(1, key)
    repo.save({"no": "key"})
    repo.create(None)  # of no type, and without a payload

    keyed = run("ls", "-a", "--json").json
    keyless = run("ls", "--anonymous", "--json").json
    assert sorted(str(row["key"]) for row in keyed) == ["a", "b", "c"]
    assert [row["key"] for row in keyless] == [None, None]
    assert len(run("ls", "--anonymous").out.splitlines()) == 3
    for row in keyed + keyless:
        assert run("inspect", row["id"], "--json").json["id"] == row["id"]


def test_a_thousand_keys_are_a_thousand_rows(repo: Repo, run: Runner) -> None:
    for number in range(1000):
        repo.create(f"k/{number:04}")

    for words in (["-n", "1000"], ["-n", "5000"], []):
        rows = run("ls", *words, "--json").json
        assert [row["key"] for row in rows] == [f"k/{number:04}" for number in range(1000)]
    text = run("ls", "-o", "csv", "--columns", "key,id").out
    assert len({row["id"] for row in csv.DictReader(io.StringIO(text))}) == 1000


def test_content_under_three_keys_is_stored_once_and_stays_as_long_as_one_needs_it(
    repo: Repo, workplace: Path
) -> None:
    chance = random.Random(1).randbytes(3_000_000)
    repo.remotes.add("origin", str(workplace / "shared"))
    for key in ("a", "b", "c"):
        repo.create_stream(key, io.BytesIO(chance))
        repo.push()

    def size(place: Path) -> int:
        return sum(path.stat().st_size for path in place.rglob("*.pack"))

    assert size(workplace / ".art") < 3_100_000
    assert size(workplace / "shared") < 3_100_000
    repo.delete("a")
    repo.delete("b")
    repo.gc(grace="0s")
    assert repo.version("c").read() == chance
    repo.push()
    with art.clone(str(workplace / "shared"), workplace / "clone") as clone:
        assert clone.version("c").read() == chance


def test_a_key_that_moves_takes_its_payload_along_without_sending_it(
    repo: Repo, workplace: Path
) -> None:
    repo.remotes.add("origin", str(workplace / "shared"))
    repo.create_stream("old/name", io.BytesIO(bytes(range(256)) * 20_000))
    assert repo.push().packs == 1
    repo.move("old/name", "new/name")
    pushed = repo.push()
    assert (pushed.packs, pushed.versions[0].key) == (0, "new/name")


def test_the_latest_version_is_the_last_one_whatever_the_clock_says(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.save("first", "k")
    monkeypatch.setattr(publish, "now", lambda: "2020-01-01T00:00:00.000000Z")
    made = repo.save("second", "k").version
    assert made.created < repo.version("k@v1").created
    assert repo.version("k").ref == made.ref == "k@v2"
    assert [record.number for record in repo.listing("k")] == [2]
    assert repo.version("k@latest-1").load() == "first"


def test_a_version_of_a_newer_format_is_told_and_nothing_is_swept(repo: Repo, run: Runner) -> None:
    repo.save(list(range(5000)), "k")
    document = {**repo.version("k").manifest.document, "art": 99, "uid": "x"}
    document.pop("check", None)
    (repo.root / ".art/manifests/k/v00000002.yaml").write_bytes(encode(document))

    before = sorted((repo.root / ".art").rglob("*.pack"))
    assert "k" in run("ls").out
    assert "has format 99, this art knows 1" in run("inspect", "k@v2", code=12).error
    refused = run("gc", "--yes", code=12).error
    assert "has format 99, this art knows 1; nothing was removed" in refused
    assert sorted((repo.root / ".art").rglob("*.pack")) == before
    assert repo.version("k@v1").load() == list(range(5000))


def test_a_pickle_that_was_tampered_with_is_damage_and_does_not_run(repo: Repo) -> None:
    with pytest.warns(UserWarning, match="pickle"):
        version = repo.save(
            Plain(["x" * 50] * 200), "k", materializer="pickle", pickle=True
        ).version
    (pack,) = (repo.root / ".art" / "packs").rglob("*.pack")
    data = bytearray(pack.read_bytes())
    place = data.index(b"\x80\x05") if b"\x80\x05" in data else len(data) // 3
    data[place + 30] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    with art.open() as again:
        with pytest.raises(DeniedError, match="runs code"):
            again.version("k").load()
        with pytest.warns(UserWarning, match="pickle"), pytest.raises(CorruptError):
            again.version(version.ref).load(pickle=True)


def test_nothing_of_a_version_but_a_progress_is_set_in_place(repo: Repo) -> None:
    made = repo.save("text", "k").version
    before = manifests(repo.root)
    with pytest.raises(UsageError, match="not a progress"):
        repo.update_progress("k", 5)
    repo.note("k", title="Title", description="said later", metadata={"a": 1})
    repo.tag("k", "prod")
    progress = repo.progress("p", 10).version
    manifest = manifests(repo.root)
    repo.progress("p", 20)
    assert manifests(repo.root) == manifest
    assert {name: manifest[name] for name in before} == before
    assert (repo.version("k").id, repo.version("p").id) == (made.id, progress.id)


def test_64_mib_come_back_as_they_were(repo: Repo) -> None:
    chance = random.Random(64).randbytes(64 << 20)
    repo.create_stream("large", io.BytesIO(chance), name="large.bin")
    repo.version("large").get("copy.bin")
    assert Path("copy.bin").read_bytes() == chance


def test_versions_that_two_clones_push_at_once_are_both_there(
    world: World, a: Repo, b: Repo
) -> None:
    """Who comes second is told the number that his version got, and neither is lost anywhere."""
    first = a.markdown("k", "first").version.id
    second = b.markdown("k", "second").version.id
    assert a.push().renumbered == []
    (moved,) = b.push().renumbered
    assert (moved.key, moved.old, moved.new) == ("k", 1, 2)
    a.fetch()
    with art.clone(world.url, world.root / "fresh") as fresh:
        for repo in (a, b, fresh):
            assert [each.id for each in repo.history("k")] == [second, first]


def test_a_version_that_is_pickled_is_the_same_where_it_is_read(repo: Repo) -> None:
    version = repo.save({"rows": 3}, "k").version
    again = pickle.loads(pickle.dumps(version))
    assert (again.id, repr(again)) == (version.id, repr(version))
    assert again.load() == {"rows": 3}
