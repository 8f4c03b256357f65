"""Which payloads a pull brings, and where one comes from when it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

import art
from art.errors import CorruptError, NotFoundError, UnavailableError
from art.repo import Repo
from tests.support import lay_out
from tests.support_state import random_bytes
from tests.support_sync import Plan, World, files_of, records_of


def create(world: World, repo: Repo, key: str | None, seed: int) -> str:
    folder = lay_out(world.root / f"data-{seed}", {"x": random_bytes(5000, seed)})
    return repo.create(key, folder).version.id


def here(repo: Repo) -> set[str]:
    live = [record for record in records_of(repo) if record.is_live]
    return {record.ref for record in live if repo.version(record.ref).is_here}


@pytest.fixture
def five(world: World, a: Repo) -> World:
    """Return a remote with five versions of `k`, the second tagged, the fourth deleted; and one more."""
    for seed in range(5):
        create(world, a, "k", seed)
    create(world, a, "other", 5)
    a.tag("k@v2", "prod")
    a.delete("k@v4")
    a.push()
    return world


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        ({}, ["k@v2", "k@v5", "other@v1"]),
        ({"depth": 2}, ["k@v2", "k@v3", "k@v5", "other@v1"]),
        ({"all": True}, ["k@v1", "k@v2", "k@v3", "k@v4", "k@v5", "other@v1"]),
        ({"payload": False}, []),
    ],
)
def test_a_pull_brings_what_is_asked_for(
    five: World, b: Repo, depth: dict[str, int], expected: list[str]
) -> None:
    pulled = b.pull(**depth)  # type: ignore[arg-type]
    assert sorted(sent.ref for sent in pulled.versions) == expected
    assert pulled.left == []
    assert b.pull(**depth).versions == []  # type: ignore[arg-type]
    live = {ref for ref in expected if ref != "k@v4"}
    assert {ref for ref in live if b.version(ref).is_here} == live


def test_a_plan_says_what_a_pull_does(five: World, b: Repo) -> None:
    b.fetch()
    plan = b.plan_pull()
    pulled = b.pull()
    assert plan.versions == pulled.versions
    assert (plan.packs, plan.size_bytes) == (pulled.packs, pulled.size_bytes)


def test_one_key_comes_alone(five: World, b: Repo) -> None:
    assert [sent.ref for sent in b.pull("other").versions] == ["other@v1"]


def test_what_is_needed_comes_when_it_is_needed(five: World, a: Repo, b: Repo) -> None:
    b.fetch()
    for record in records_of(b):
        if record.is_live:
            assert files_of(b, record) == files_of(a, record)
    target = five.root / "out"
    b.version("k@prod").get(target)
    assert (target / "x").read_bytes() == random_bytes(5000, 1)


def damage_packs(world: World, refs: list[str], repo: Repo) -> None:
    for ref in refs:
        payload = repo.version(ref).payload
        assert payload
        assert payload.tree
        stored = repo._store.objects.stored(payload.tree)
        assert stored
        for pack in stored.packs():
            name = f"packs/{pack[:2]}/{pack}.pack"
            data = bytearray(world.remote.inner.read(name))
            data[100] ^= 1
            world.remote.inner.replace(name, bytes(data))


def test_what_is_damaged_at_the_remote_stays_there_and_the_rest_comes(
    five: World, a: Repo, b: Repo
) -> None:
    damage_packs(five, ["k@v2"], a)
    pulled = b.pull()
    assert sorted(sent.ref for sent in pulled.versions) == ["k@v5", "other@v1"]
    (left,) = pulled.left
    assert left.ref == "k@v2"
    with pytest.raises(CorruptError):
        b.version("k@v2").read("x")


def test_what_the_remote_lost_stays_away_and_the_rest_comes(five: World, a: Repo, b: Repo) -> None:
    payload = a.version("k@v2").payload
    assert payload
    five.lose(f"layouts/{str(payload.tree)[:2]}/{payload.tree}")
    pulled = b.pull()
    assert sorted(sent.ref for sent in pulled.versions) == ["k@v5", "other@v1"]
    assert [left.ref for left in pulled.left] == ["k@v2"]
    with pytest.raises(NotFoundError, match="neither here nor at a remote"):
        b.version("k@v2").read("x")


def test_an_interrupted_pull_goes_on(five: World, b: Repo) -> None:
    five.remote.plan = Plan("before", 30)
    with pytest.raises(UnavailableError):
        b.pull(all=True)
    some = here(b)
    five.remote.plan = Plan()
    rest = {sent.ref for sent in b.pull(all=True).versions}
    assert some
    assert some.isdisjoint(rest)
    assert here(b) == some | rest - {"k@v4"}


def test_a_payload_comes_from_whichever_remote_has_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    a = art.init(tmp_path / "a")
    a.remotes.add("one", str(tmp_path / "one"))
    a.remotes.add("two", str(tmp_path / "two"))
    a.create("k", lay_out(tmp_path / "data", {"x": b"content"}))
    a.push()
    a.push(remote="two")
    b = art.clone(str(tmp_path / "one"), tmp_path / "b")
    b.remotes.add("two", str(tmp_path / "two"))
    for folder in ("layouts", "packs"):
        (tmp_path / "one" / folder).rename(tmp_path / f"no-{folder}")
    assert b.version("k").read("x") == b"content"
    a.close()
    b.close()
