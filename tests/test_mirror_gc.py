"""Collecting and purging at a mirror, whose logs are the authority's; and versions that were moved where
their bytes are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from art.backend import Backend, Item
from art.errors import ConflictError, UnavailableError
from tests.support_gc import put, read_all
from tests.support_state import random_bytes
from tests.support_world import World, documents_of, holds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.add("a")
    made.add("b")
    yield made
    made.close()


class Checked:
    """A remote where, after each change, what is purged is said to be so."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.count = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def create(self, name: str, data: bytes) -> bool:
        is_new = self.inner.create(name, data)
        self.check(name)
        return is_new

    def replace(self, name: str, data: bytes) -> None:
        self.inner.replace(name, data)
        self.check(name)

    def check(self, name: str) -> None:
        self.count += 1
        manifests, states = read_all(self.inner)
        for id, manifest in manifests.items():
            assert not manifest.is_stub or states.get(id) == "purged", name


def push_both(world: World) -> None:
    with world.by("a") as repo:
        repo.push()
        repo.push(remote="mirror")


def collect_mirror(world: World) -> None:
    with world.by("a") as repo:
        for _ in range(4):
            repo.gc(remote="mirror", grace="0s")
            world.pass_days(2)


def test_gc_of_a_mirror_adds_nothing_to_its_logs(world: World) -> None:
    with world.by("a") as repo:
        put(repo, "k", 1)
        put(repo, "k", 2)
        repo.delete("k@v1")
        push_both(world)
        before = documents_of(world.mirror)
        world.pass_days(30)
        collect_mirror(world)
        assert documents_of(world.mirror) == before
        repo.restore("k@v1")  # the authority still has its bytes, and so does the mirror
        push_both(world)
    assert documents_of(world.mirror) == documents_of(world.inner)
    assert len(read_all(world.mirror)[0]) == 2


def test_what_the_authority_swept_goes_from_a_mirror_that_was_told(world: World) -> None:
    with world.by("a") as repo:
        put(repo, "k", 1)
        put(repo, "k", 2)
        repo.delete("k@v1")
        push_both(world)
        world.pass_days(30)
        for _ in range(4):
            repo.gc(remote="origin", grace="0s")
            world.pass_days(2)
        repo.fetch()
        push_both(world)
        collect_mirror(world)
    assert len(list(world.mirror.walk("packs"))) == len(list(world.inner.walk("packs"))) == 1


def test_a_purge_at_a_mirror_is_for_the_authority_to_say_first(world: World) -> None:
    with world.by("a") as repo:
        secret = b"\x93secret\x07" * 3
        put(repo, "k", 1, secret=secret)
        put(repo, "k", 2)
        push_both(world)
        before = documents_of(world.mirror)
        with pytest.raises(ConflictError, match="mirror is a mirror"):
            repo.purge("k@v1", remote="mirror")
        assert documents_of(world.mirror) == before
        assert repo.version("k@v1").read("secret") == secret
        repo.purge("k@v1", remote="origin")
        push_both(world)
        collect_mirror(world)
    for backend in world.stores():
        assert not holds(backend, secret)


def test_a_version_that_was_moved_without_its_bytes_is_no_damage(world: World) -> None:
    with world.by("a") as repo:
        put(repo, "k", 1)
        repo.push()
    with world.by("b") as repo:
        repo.fetch()
        repo.move("k", "moved")
        assert repo.fsck().is_whole
        assert all(finding.level != "error" for finding in repo.doctor())
        repo.gc(grace="0s")
        repo.push()
        assert repo.fsck(remote="origin", data=True).is_whole
        assert repo.version("moved").read("x")


def test_what_is_purged_is_said_at_a_mirror_before_its_stub_comes(world: World) -> None:
    with world.by("a") as repo:
        put(repo, "k", 1)
        put(repo, "other", 2)
        push_both(world)
        repo.move("k", "moved")  # is for later: what it became comes first
        put(repo, "k", 3)
        put(repo, "k", 4)
        repo.delete("k@v3")
        repo.restore("k@v3")
        repo.purge("k@v3", force=True)
        put(repo, "other", 5)
        keyless = put(repo, None, 6)
        repo.push()
        repo.purge("other@v2", force=True)
        repo.purge(keyless, force=True)
        repo.push()
    checked = Checked(world.mirror)
    world.lines["a", world.mirror_url].inner = checked
    with world.by("a") as repo:
        repo.push(remote="mirror")
    assert checked.count >= 13
    assert documents_of(world.mirror) == documents_of(world.inner)
    assert sum(manifest.is_stub for manifest in read_all(world.mirror)[0].values()) == 3


def test_what_is_purged_later_is_said_before_its_stub_comes(world: World) -> None:
    with world.by("a") as repo:
        put(repo, "k", 1)
        put(repo, "k", 2)
        keyless = put(repo, None, 3)
        repo.push()
        for ref in ("k@v1", "k@v2", keyless):
            repo.purge(ref, force=True)
        checked = Checked(world.inner)
        world.lines["a", world.url].inner = checked
        repo.push()
    assert checked.count >= 6
    assert all(manifest.is_stub for manifest in read_all(world.inner)[0].values())


def test_what_the_authority_does_not_know_to_be_purged_does_not_come_to_a_mirror(
    world: World,
) -> None:
    with world.by("a") as repo:
        put(repo, "k", 1)
        put(repo, "k", 2)
        keyless = put(repo, None, 3)
        repo.push()
        for ref in ("k@v1", keyless):
            repo.purge(ref, force=True)
        world.lines["a", world.mirror_url].inner = Checked(world.mirror)
        pushed = repo.push(remote="mirror")
        assert not pushed.versions
        left = {left.ref: left for left in pushed.left}
        assert left["k@v1"].reason == "it is gone, and origin does not know that yet"
        assert left[keyless].hint == "art push --remote origin"
        repo.push()
        assert len(repo.push(remote="mirror").versions) == 3
    assert documents_of(world.mirror) == documents_of(world.inner)


def test_a_stub_without_the_entry_that_says_so_does_not_come_to_a_mirror(world: World) -> None:
    """The authority got the entry after a fetch from there had looked at entries, and before it looked
    at versions."""
    with world.by("a") as repo:
        put(repo, "k", 1)
        repo.push()
        repo.purge("k@v1", force=True)
        repo.push()
    line = world.lines["b", world.url]
    line.inner = Unsaid(world.inner)
    with world.by("b") as repo:
        repo.fetch()
        world.lines["b", world.mirror_url].inner = Checked(world.mirror)
        (left,) = repo.push(remote="mirror").left
        assert (left.ref, left.hint) == ("k@v1", "art fetch")
        line.inner = world.inner
        repo.fetch()
        assert not repo.push(remote="mirror").left
    assert documents_of(world.mirror) == documents_of(world.inner)


class Unsaid:
    """A remote whose entries are not seen yet."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def walk(self, prefix: str) -> list[Item]:
        return [item for item in self.inner.walk(prefix) if not item.name.startswith("refs/")]


# -- progress --------------------------------------------------------------------------------------


def test_the_value_of_a_progress_is_there_before_its_version(world: World) -> None:
    with world.by("a") as repo:
        repo.progress("bar", 1)
        repo.progress(None, 2)
        world.lines["a", world.url].inner = Valued(world.inner)
        repo.push()
    for at in range(1, 30):
        world.add(name := f"client-{at}")
        world.lines[name, world.url].arm(at, unavailable)
        with world.by(name) as repo:
            try:
                repo.fetch()
            except UnavailableError:
                assert repo.fsck().is_whole
                continue
            found = repo.version("bar").progress
            assert found
            assert found.value == 1
            assert at > 5, "it was cut off at some requests"
            return
    raise AssertionError("a fetch takes fewer requests")


def unavailable() -> None:
    raise UnavailableError("the line is down")


class Valued(Checked):
    """A remote where each version of a progress that comes has its value."""

    def check(self, name: str) -> None:
        manifests, _ = read_all(self.inner)
        for manifest in manifests.values():
            if manifest.type == "progress":
                assert self.inner.size(f"progress/{manifest.uid}.yaml"), name


# -- layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(1, 5))
def test_a_layout_that_comes_after_gc_took_what_it_extends_is_dropped(
    tmp_path: Path, at: int
) -> None:
    """The push stands still after it has sent a pack, or a layout."""
    common = {f"f{number}": random_bytes(3000, number) for number in range(12)}
    world = World(tmp_path, has_path=True)
    try:
        world.add("keeper")
        world.add("a")
        with world.by("a") as repo:
            for seed in (1, 2):
                put(repo, "k", seed, **common)
            repo.delete("k@v1")

        def pass_days() -> None:
            world.acting = "keeper"
            for days in (2.0, 9.0):
                world.pass_days(days)
                world.repos["keeper"].gc(remote="origin", grace="0s")
            world.acting = "a"

        line = world.lines["a", world.url]
        line.arm(at, pass_days, late=True, kinds=("upload", "create"))
        with world.by("a") as repo:
            repo.push()
        with world.by("keeper") as keeper:
            assert keeper.fsck(remote="origin", data=True).is_whole
        assert world.live()
    finally:
        world.close()
