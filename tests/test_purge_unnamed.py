"""What was purged goes also where no layout says any more which chunks it had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import art
from art.cleaned import NAME, Cleaned, read_cleaned
from art.repo import Repo
from tests.support import lay_out
from tests.support_faults import Death, Fault, failing
from tests.support_gc import Place, contents_of, put
from tests.support_state import random_bytes
from tests.support_world import holds

SECRET = random_bytes(900, 99)
LARGE = random_bytes(60_000, 98)


def join(repo: Repo) -> None:
    """Make ten versions whose chunks lie in one pack, the first with a secret, most in the second."""
    put(repo, "k", 1, 900, secret=SECRET)
    put(repo, "k", 2, 900, large=LARGE)
    for seed in range(3, 11):
        put(repo, "k", seed, 900)
    repo.gc(grace="0s")
    assert len(list(repo._backend.walk("packs"))) == 1


def sweep(repo: Repo) -> None:
    """Let gc take the layout of the first one, and leave its chunks in the pack."""
    repo.delete("k@v1")
    repo.gc(grace="0s")
    assert repo.states("k@v1") == {"swept"}
    assert holds(repo._backend, SECRET)


def check_clean(repo: Repo) -> None:
    assert not holds(repo._backend, SECRET)
    assert repo.version("k@v2").read("large") == LARGE
    assert len(contents_of(repo, is_partial=True)) == len(list(repo.history("k"))) - 1
    assert repo.fsck(data=True).is_whole


def test_a_version_that_was_swept_before_leaves_nothing(repo: Repo) -> None:
    join(repo)
    sweep(repo)
    (done,) = repo.purge("k@v1")
    assert done.collected.packs == 1
    check_clean(repo)
    assert repo.plan_gc(grace="0s").is_empty


def test_packs_that_were_looked_at_are_not_looked_at_again(repo: Repo) -> None:
    join(repo)
    sweep(repo)
    repo.purge("k@v1")
    repo.gc(grace="0s")
    before = read_cleaned(repo._backend)
    assert len(before.payloads) == 1
    assert len(before.packs) == 1
    repo.delete("k@v3")
    repo.gc(grace="0s")  # what it had is little of its pack, and no secret
    assert read_cleaned(repo._backend) == before
    assert repo.plan_gc(grace="0s").is_empty


def test_where_nothing_was_purged_nobody_asks_what_is_clean(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        a = place.add("a")
        put(a, "k", 1)
        a.push()
        place.watched.calls.clear()
        a.gc(remote="origin")
        assert NAME not in {name for _, name in place.watched.calls}
    finally:
        place.close()


@pytest.mark.parametrize(
    "data", [b"", b"ARTCLEN\x01", b"ARTCLEN\x01" + bytes(36), Cleaned().encode() + b"x"]
)
def test_a_damaged_list_of_clean_packs_says_nothing(repo: Repo, data: bytes) -> None:
    join(repo)
    sweep(repo)
    repo._backend.replace(NAME, data)
    assert read_cleaned(repo._backend) == Cleaned()
    repo.purge("k@v1")
    check_clean(repo)


def test_killed_anywhere_it_is_finished_by_doing_it_again_or_by_gc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with art.init(tmp_path / "template") as repo:
        join(repo)
        sweep(repo)
    for at in range(1, 200):
        root = tmp_path / f"run-{at}"
        shutil.copytree(tmp_path / "template", root)
        fault = Fault(at, "death", is_late=at % 3 == 0)
        try:
            with failing(monkeypatch, root, fault) as repo:
                repo.purge("k@v1")
        except Death:
            pass
        with Repo(root) as repo:
            assert repo.version("k@v2").read("large") == LARGE
            if at % 2 or repo.states("k@v1") != {"purged"}:
                repo.purge("k@v1")
            else:
                repo.gc(grace="0s")
            check_clean(repo)
            repo.gc(grace="0s")
            assert repo.plan_gc(grace="0s").is_empty
        shutil.rmtree(root)
        if not fault.has_fired:
            break
    else:
        raise AssertionError("it never ends")
    assert at > 10


def test_at_a_remote_only_packs_that_are_old_go(place: Place) -> None:
    a = place.repos["a"]
    join(a)
    sweep(a)
    a.push()
    assert holds(place.inner, SECRET)  # in the pack that went there as it is
    a.purge("k@v1", remote="origin")
    assert holds(place.inner, SECRET)  # it may be of a push that goes on
    place.pass_days(2)
    a.gc(remote="origin", grace="0s")
    assert not holds(place.inner, SECRET)
    a.fetch()
    a.gc(grace="0s")
    check_clean(a)
    assert a.fsck(remote="origin", data=True).is_whole


def test_what_comes_to_a_remote_later_from_one_who_does_not_know_goes(place: Place) -> None:
    a = place.repos["a"]
    join(a)
    a.push()
    clone = place.clone("c")
    clone.pull(all=True)
    place.pass_days(2)
    a.purge("k@v1", remote="origin")
    a.delete("k@v2")
    a.push()
    for _ in range(3):
        place.pass_days(2)
        a.gc(remote="origin", grace="0s")
    assert not holds(place.inner, SECRET)
    files = {name: clone.version("k@v2").read(name) for name in ("x", "large")}
    clone.create("other", lay_out(place.root / "again", files))
    clone.push("other")
    if holds(place.inner, SECRET):  # in the pack that went there as it is
        a.gc(remote="origin", grace="0s")
        assert holds(place.inner, SECRET)  # it may be of a push that goes on
    place.pass_days(2)
    a.gc(remote="origin", grace="0s")
    assert not holds(place.inner, SECRET)
    a.pull("other", all=True)
    assert a.version("other").read("large") == LARGE
    assert a.fsck(remote="origin", data=True).is_whole


def test_a_clone_whose_packs_came_as_they_were_forgets_what_it_never_had(place: Place) -> None:
    a = place.repos["a"]
    join(a)
    a.push()
    clone = place.clone("c")
    clone.version("k@v2").get(place.root / "out")
    assert holds(clone._backend, SECRET)  # nothing says of what
    a.purge("k@v1", remote="origin")
    clone.fetch()
    clone.gc(grace="0s")
    assert not holds(clone._backend, SECRET)
    assert clone.version("k@v2").read("large") == LARGE
    assert clone.fsck(data=True).is_whole


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_request_to_a_remote_it_is_finished(tmp_path: Path, late: bool) -> None:
    def die() -> None:
        raise Death

    template = Place(tmp_path)
    join(template.add("template"))
    template.repos["template"].remove_remote("origin")
    template.close()
    for at in range(1, 60):
        root = tmp_path / str(at)
        place = Place(root)
        try:
            shutil.copytree(tmp_path / "template", root / "a")
            a = place.repos["a"] = Repo(root / "a")
            a.remotes.add("origin", place.url)
            a.push()
            a.delete("k@v1")
            a.push()
            place.pass_days(2)
            a.gc(remote="origin", grace="0s")
            place.watched.arm(at, die, late=late, kinds=("create", "replace", "upload", "delete"))
            is_over = False
            try:
                a.purge("k@v1", remote="origin")
                is_over = True
            except Death:
                a.close()
                a = place.repos["a"] = Repo(root / "a")
            a.gc(remote="origin", grace="0s")
            a.purge("k@v1", remote="origin")
            a.gc(remote="origin", grace="0s")
            assert not holds(place.inner, SECRET), at
            assert a.fsck(remote="origin", data=True).is_whole
            assert len(place.live()) == 9
        finally:
            place.close()
        if is_over:
            return
    raise AssertionError("it never ends")
