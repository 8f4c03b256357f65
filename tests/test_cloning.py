"""Repositories out of remotes: whole or not at all, with all that was said and what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import art
from art.errors import ConflictError, CorruptError, NoRepositoryError, UnavailableError
from art.repo import Repo
from tests.support import lay_out, view
from tests.support_state import random_bytes
from tests.support_sync import Plan, Telling, World, files_of, records_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    a = world.add("a")
    for seed in range(3):
        a.create("k", lay_out(tmp_path / "data", {"x": random_bytes(5000, seed)}))
    a.tag("k@v1", "prod")
    a.markdown("other", "# other")
    a.push()
    yield world
    world.close()


def test_a_clone_has_the_history_and_brings_payloads_when_they_are_needed(world: World) -> None:
    clone = world.clone("c")
    assert view(clone) == view(world.repos["a"])
    assert not clone.version("k").is_here
    for record in records_of(clone):
        assert files_of(clone, record) == files_of(world.repos["a"], record)
    clone.markdown("other", "# more")
    assert [sent.ref for sent in clone.push().versions] == ["other@v2"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [({"payload": True}, {1, 3}), ({"depth": 2}, {1, 2, 3}), ({"all": True}, {1, 2, 3})],
)
def test_payloads_come_at_once_where_they_are_asked_for(
    world: World, more: dict[str, bool], expected: set[int]
) -> None:
    with art.clone(world.url, world.root / "c", **more) as clone:  # type: ignore[arg-type]
        assert {n for n in (1, 2, 3) if clone.version(f"k@v{n}").is_here} == expected


def test_a_payload_that_cannot_come_is_told(world: World) -> None:
    payload = world.repos["a"].version("k@v3").payload
    assert payload
    world.lose(f"layouts/{str(payload.tree)[:2]}/{payload.tree}")
    reporter = Telling()
    with art.clone(world.url, world.root / "c", payload=True, reporter=reporter) as clone:
        assert clone.version("k@prod").is_here
    assert any("k@v3 has no payload here" in told for told in reporter.warnings)


def test_an_interrupted_clone_leaves_nothing_behind(world: World) -> None:
    (world.root / "mine").mkdir()
    (world.root / "mine/file").write_text("mine")
    for at in range(1, 100):
        plan = world.remote.plan = Plan("before", at)
        for name in ("c", "mine"):
            plan.count, plan.has_fired = 0, False
            try:
                art.clone(world.url, world.root / name).close()
            except UnavailableError:
                assert not (world.root / "c").exists()
                assert [path.name for path in (world.root / "mine").iterdir()] == ["file"]
        if not plan.has_fired:
            return
    raise AssertionError("it never passed")


def test_a_clone_of_what_is_damaged_says_so_and_has_the_rest(world: World) -> None:
    world.remote.inner.replace("manifests/k/v00000002.yaml", b"damaged")
    with pytest.raises(CorruptError, match="manifests/k/v00000002"):
        world.clone("c")
    with Repo(world.root / "c") as repo:
        assert repo.remotes.get().name == "origin"
        assert "k" not in repo.keys()  # noqa: SIM118 - a method


def test_what_others_put_into_a_folder_survives_a_clone_that_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(repo: Repo, *_: object, **__: object) -> None:
        (repo.root / "notes.txt").write_text("mine")
        raise UnavailableError("the network is gone")

    monkeypatch.setattr(Repo, "fetch", fails)
    with pytest.raises(UnavailableError):
        world.clone("c")
    assert [path.name for path in (world.root / "c").iterdir()] == ["notes.txt"]


def test_what_is_there_is_left_alone(world: World) -> None:
    art.init(world.root / "mine").close()
    with pytest.raises(ConflictError, match="has a repository already"):
        art.clone(world.url, world.root / "mine")
    with Repo(world.root / "mine") as repo:
        assert repo.keys() == []


def test_where_there_is_no_repository_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoRepositoryError):
        art.clone(str(tmp_path / "empty"), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_remote_can_be_opened_for_a_moment(world: World) -> None:
    with art.open_remote(world.url, "k") as repo:
        root = repo.root
        assert repo.keys() == ["k"]
        assert repo.version("k@prod").read("x") == random_bytes(5000, 0)
    assert not root.exists()
    world.remote.plan = Plan("before", 5)
    with pytest.raises(UnavailableError), art.open_remote(world.url):
        pass
