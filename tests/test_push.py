"""What a push brings to a remote, what it costs, and what it leaves where something stands against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import art
from art import checkpoint
from art.backend import Backend
from art.catalog import VERSIONS, Log
from art.document import decode, encode
from art.errors import ConflictError, NotFoundError, UnavailableError
from art.merge import Ledger
from art.place import UNFINISHED
from art.push import Pusher
from art.remote import open_backend
from art.repo import Repo
from tests.conftest import Runner
from tests.support import lay_out
from tests.support_state import random_bytes
from tests.support_sync import Plan, World, documents_of, files_of, progress_of, records_of


def make(repo: Repo, key: str, *contents: str) -> None:
    for content in contents:
        repo.markdown(key, content)


def create(world: World, repo: Repo, key: str | None, seed: int, size: int = 5000) -> str:
    folder = lay_out(world.root / f"data-{seed}", {"x": random_bytes(size, seed)})
    return repo.create(key, folder).version.id


def texts(repo: Repo, key: str = "k") -> list[str]:
    found = repo.history(key)
    return [repo.version(record.ref).text() for record in reversed(found) if record.is_live]


def lose_payload(world: World, repo: Repo, ref: str) -> None:
    """Remove a version's layout here, as if the payload had never come."""
    payload = repo.version(ref).payload
    assert payload
    assert payload.tree
    folder = world.root / repo.root.name / ".art/layouts" / payload.tree[:2] / payload.tree
    for layout in folder.iterdir():
        layout.unlink()


# -- what is told --------------------------------------------------------------------------------


def test_a_push_does_what_its_plan_says(world: World, a: Repo) -> None:
    create(world, a, "k", 1)
    create(world, a, None, 2)
    a.tag("k", "prod")
    a.delete("k", force=True)
    planned = a.plan_push()
    pushed = a.push()
    assert {sent.id for sent in planned.versions} == {sent.id for sent in pushed.versions}
    assert planned.entries == pushed.entries == 2
    assert (planned.packs, planned.size_bytes) == (pushed.packs, pushed.size_bytes)
    assert pushed.packs == 2
    assert a.plan_push().is_empty


def test_one_key_goes_alone(world: World, a: Repo, b: Repo) -> None:
    make(a, "k", "# k")
    make(a, "k/sub", "# sub")
    create(world, a, None, 1)
    assert [sent.ref for sent in a.push("k").versions] == ["k@v1"]
    assert [sent.ref for sent in a.push("k/*").versions] == ["k/sub@v1"]
    for pattern in ("nowhere", "nowhere*"):
        with pytest.raises(NotFoundError, match="nowhere"):
            a.push("k", pattern)
    b.fetch()
    assert b.keys() == ["k", "k/sub"]


def test_what_was_published_before_an_end_is_told(world: World, a: Repo) -> None:
    make(a, "k", "# 1", "# 2", "# 3")
    a.push("k")
    make(a, "k", "# 4", "# 5")
    world.remote.plan = Plan("before", 5)
    with pytest.raises(UnavailableError):
        a.push()
    assert any("published at origin before that: k@v4" in told for told in world.warnings("a"))


def test_entries_that_were_published_before_an_end_are_told(world: World, a: Repo) -> None:
    make(a, "k", "# 1")
    a.push()
    a.tag("k", "prod")
    a.progress("bar", 10)
    a.push("k")
    a.tag("k", "again")
    make(a, "secret", "# 2")
    a.push("secret")
    a.purge("secret@v1")
    del world.remote.documents[Log("secret", VERSIONS).file(1)]  # which gets its stub
    replace = world.remote.inner.replace

    def fail(name: str, content: bytes) -> None:
        if name.startswith("manifests/"):
            raise UnavailableError("no answer")
        replace(name, content)

    world.remote.inner.replace = fail  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        a.push()
    stays, published = world.warnings("a")
    assert stays.startswith("secret@v1 is still at origin")
    assert published == "published at origin before that: bar@v1 and 3 entries"
    world.remote.inner.replace = replace  # type: ignore[method-assign]
    pushed = a.push()
    assert (pushed.versions, pushed.entries) == ([], 0)
    name = Log("secret", VERSIONS).file(1)
    assert world.remote.inner.read(name) == a._backend.read(name), "the stub is there"


# -- what is left --------------------------------------------------------------------------------


def test_a_version_whose_payload_is_nowhere_stays_and_all_that_builds_on_it(
    world: World, a: Repo, b: Repo
) -> None:
    create(world, a, "k", 1)
    create(world, a, "k", 2)
    create(world, a, "k", 3)
    a.tag("k@v2", "prod")
    a.tag("k@v1", "first")
    a.note("k@v1", title="noted")
    a.note("k@v3", title="noted, too")
    make(a, "other", "# other")
    keyless = create(world, a, None, 4)
    lose_payload(world, a, "k@v2")
    lose_payload(world, a, keyless)
    pushed = a.push()
    assert {sent.ref for sent in pushed.versions} == {"k@v1", "other@v1"}
    assert {item.ref for item in pushed.left} == {
        "k@v2",
        keyless,
        "refs/k/_tags/prod/00000001.yaml",
        "refs/k/_notes/00000002.yaml",
    }
    world.check_remote()
    b.fetch()
    assert b.tag_names("k") == ["first"]
    assert b.version("k").title == "noted"
    for seed in (2, 4):  # the payloads are made again
        create(world, a, f"again-{seed}", seed)
    assert a.push().left == []
    world.settle()
    world.check_equal()


def test_damage_here_stops_one_key_only(world: World, a: Repo, b: Repo) -> None:
    make(a, "k", "# 1", "# 2")
    make(a, "gap", "# 1", "# 2", "# 3")
    create(world, a, "packed", 1)
    keyless = create(world, a, None, 2)
    make(a, "other", "# 1")
    a.progress("bar", 10)
    at = world.root / "a/.art"
    (at / "manifests/k/v00000002.yaml").write_bytes(b"damaged")
    (at / "manifests/gap/v00000002.yaml").unlink()
    (uid,) = (record.uid for record in records_of(a) if record.type == "progress")
    (at / f"progress/{uid}.yaml").write_bytes(b"damaged")
    for pack in at.glob("packs/*/*"):
        data = bytearray(pack.read_bytes())
        data[40] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(data)
    pushed = a.push()
    assert {sent.ref for sent in pushed.versions} == {"other@v1", "bar@v1"}
    left = {item.ref: item.reason for item in pushed.left}
    assert left.keys() == {"k@v1", "gap@v1", "packed@v1", keyless, "bar@v1"}
    assert "damaged" in left["packed@v1"]
    assert "v00000002.yaml is missing" in left["gap@v1"]
    world.check_remote()
    b.fetch()
    assert b.keys() == ["bar", "other"]


@pytest.mark.parametrize("is_known", [False, True])
def test_damage_at_the_remote_stops_one_key_only(
    world: World, a: Repo, b: Repo, is_known: bool
) -> None:
    make(a, "k", "# 1")
    a.push()
    if is_known:
        b.fetch()
    make(a, "k", "# 2")
    a.push()
    name = "manifests/k/v00000002.yaml"
    world.remote.inner.replace(name, b"damaged")
    make(b, "k", "# b")
    b.tag("k", "prod")
    make(b, "other", "# 1")
    pushed = b.push()
    assert [sent.ref for sent in pushed.versions] == ["other@v1"]
    assert any("v00000002.yaml" in item.reason for item in pushed.left)
    world.remote.inner.replace(name, world.remote.documents[name])
    world.settle()
    world.check_equal()


def test_without_payload_only_what_is_there_already_goes(world: World, a: Repo) -> None:
    create(world, a, "k", 1)
    pushed = a.push(payload=False)
    assert pushed.versions == []
    (left,) = pushed.left
    assert left.ref == "k@v1"
    assert left.hint == "push without --no-payload"
    a.push()
    a.copy("k", "copy")
    assert [sent.ref for sent in a.push(payload=False).versions] == ["copy@v1"]


def test_a_state_that_points_elsewhere_waits_for_what_it_points_to(
    world: World, a: Repo, b: Repo
) -> None:
    make(a, "k", "# 1")
    a.push()
    a.move("k", "moved")
    pushed = a.push("k")
    assert (pushed.versions, pushed.entries) == ([], 0)
    assert [item.ref for item in pushed.left] == ["refs/k/_state/00000001.yaml"]
    b.fetch()
    assert b.version("k@v1").text() == "# 1"
    assert a.push().left == []
    b.fetch()
    assert b.version("k@v1").key == "moved"


# -- others were first ---------------------------------------------------------------------------


def test_the_versions_that_a_tag_of_others_names_come_with_it(
    world: World, a: Repo, b: Repo
) -> None:
    make(a, "k", "# 1")
    a.push()
    b.fetch()
    make(a, "k", "# 2")
    a.tag("k@v2", "prod")
    a.push()
    b.tag("k@v1", "prod")
    (lost,) = b.push().superseded
    assert b.version("k@prod").text() == "# 2"
    assert "prod" in lost.what


def test_what_a_remote_lost_goes_again_with_what_is_new(world: World, a: Repo, b: Repo) -> None:
    create(world, a, "k", 1)
    create(world, a, "k", 2)
    a.tag("k@v2", "prod")
    a.push()
    world.lose("manifests/k/v00000002", "refs/", "layouts/", "packs/")
    create(world, a, "k", 3)
    a.tag("k@v3", "prod")
    pushed = a.push()
    assert [sent.ref for sent in pushed.versions] == ["k@v2", "k@v3"]
    assert pushed.entries == 2
    b.fetch()
    assert b.version("k@prod").read("x") == random_bytes(5000, 3)
    assert b.version("k@v2").read("x") == random_bytes(5000, 2)


@pytest.mark.parametrize("is_taken_away", [False, True])
def test_what_has_no_effect_is_told_with_a_command_that_does_it_again(
    world: World, a: Repo, b: Repo, is_taken_away: bool, run: Runner
) -> None:
    make(a, "k", "# 1", "# 2")
    a.tag("k@v1", "prod")
    a.push()
    b.fetch()
    a.tag("k@v2", "prod")
    a.push()
    if is_taken_away:
        b.untag("k", "prod")
    else:
        make(b, "k", "# b")
        b.tag("k@v3", "prod")
    (lost,) = b.push().superseded
    assert b.version("k@prod").number == 2
    words = lost.command.split()
    assert words[0] == "art"
    run("-C", str(b.root), *words[1:])
    assert b.tag_names("k") == ([] if is_taken_away else ["prod"])
    if not is_taken_away:
        assert b.version("k@prod").text() == "# b"
    assert b.push().superseded == []
    world.settle()
    world.check_equal()


def test_what_another_process_fetches_during_a_push_does_not_end_it(
    world: World, a: Repo, b: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(a, "k", "# 1")
    a.push()
    b.fetch()
    make(b, "k", "# b")
    b.push()
    make(a, "k", "# a")
    prepare = Pusher._secure

    def fetch_before(self: Pusher, *args: Any) -> None:
        monkeypatch.setattr(Pusher, "_secure", prepare)
        with Repo(world.root / "a") as other:
            other.fetch()
        prepare(self, *args)

    monkeypatch.setattr(Pusher, "_secure", fetch_before)
    assert [sent.ref for sent in a.push().versions] == ["k@v3"]
    world.settle()
    world.check_equal()


def test_a_purge_by_who_is_behind_takes_the_checkpoints_away(
    world: World, a: Repo, b: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SIZES", (8, 4))
    make(a, "k", "# 1", "# 2", "# secret")
    a.push()
    b.fetch()
    make(a, "k", *(f"# {number}" for number in range(7)))
    a.push()
    log = Log("k", VERSIONS)
    assert len(world.remote.inner.names(f"checkpoints/{log.directory}")) == 3
    b.purge("k@v3")
    make(b, "k", "# mine")
    del world.remote.documents[log.file(3)]  # which now may get other content
    b.push()
    assert b"purged" in world.remote.inner.read(log.file(3))
    assert world.remote.inner.names(f"checkpoints/{log.directory}") == ["_5-8"]


def test_a_number_that_is_taken_and_cannot_be_read_ends_the_push(world: World, a: Repo) -> None:
    make(a, "k", "# 1")
    world.remote.inner.create = lambda name, content: False  # type: ignore[method-assign]
    with pytest.raises(UnavailableError, match=r"v00000001\.yaml is taken at origin"):
        a.push()


def test_where_listings_are_old_the_number_that_is_taken_is_read_all_the_same(
    world: World, a: Repo, b: Repo
) -> None:
    make(a, "k", "# 1")
    a.push()
    make(b, "k", "# 2")
    world.remote.plan = Plan("stale")
    (moved,) = b.push().renumbered
    assert (moved.old, moved.new) == (1, 2)


def test_a_push_finishes_what_a_killed_process_began(world: World, a: Repo) -> None:
    """What is there twice meanwhile is not published twice."""
    make(a, "k", "# 1", "# 2")
    names = [Log("k", VERSIONS).file(number) for number in (1, 2)]
    one, two = (a._backend.read(name) for name in names)
    a._backend.create(Log("k", VERSIONS).file(3), two)
    other = encode({**a.version("k@v1").manifest.document, "uid": a.id})
    target = [data.decode() for data in (other, one, two)]
    begun = {"log": "manifests/k", "first": 1, "target": target}
    a._backend.replace(UNFINISHED, json.dumps(begun).encode())
    assert len(a.push().versions) == 3
    found = [world.remote.inner.read(Log("k", VERSIONS).file(n)) for n in (1, 2, 3)]
    assert found == [other, one, two]


def test_what_was_purged_here_is_purged_there(world: World, a: Repo, b: Repo) -> None:
    make(a, "k", "# 1")
    a.push()
    log = Log("k", VERSIONS)
    manifest = a.version("k").manifest
    fields = {"art": 1, "uid": manifest.uid, "key": "k", "created": manifest.created}
    stub = encode(fields | {"purged": {"id": manifest.id}})
    a.close()
    (world.root / "a/.art/index.sqlite").unlink()
    (world.root / "a/.art" / log.file(1)).unlink()
    a._backend.create(log.file(1), stub)
    del world.remote.documents[log.file(1)]  # which now may get other content
    with Repo(world.root / "a") as again:
        again.markdown("k", "# 2")
        assert [sent.ref for sent in again.push().versions] == ["k@v2"]
    assert world.remote.inner.read(log.file(1)) == stub
    b.fetch()
    assert [record.state for record in b.history("k")] == ["live", "purged"]


# -- two remotes ---------------------------------------------------------------------------------


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[tuple[Repo, Repo]]:
    """Return two repositories with a remote that gives the numbers, and a mirror."""
    repos = [art.init(tmp_path / name) for name in "ab"]
    for name in ("first", "mirror"):
        (tmp_path / name).mkdir()
        for repo in repos:
            repo.remotes.add(name, str(tmp_path / name))
    yield repos[0], repos[1]
    for repo in repos:
        repo.close()


def test_a_mirror_gets_what_has_its_final_number(mirrored: tuple[Repo, Repo]) -> None:
    a, _ = mirrored
    make(a, "k", "# 1")
    pushed = a.push(remote="mirror")
    assert pushed.versions == []
    (left,) = pushed.left
    assert left.is_conflict
    assert left.hint == "art push --remote first"
    a.push()
    assert [sent.ref for sent in a.push(remote="mirror").versions] == ["k@v1"]
    make(a, "k", "# 2", "# 3")
    a.push()
    make(a, "k", "# 4")
    pushed = a.push(remote="mirror")
    assert [sent.ref for sent in pushed.versions] == ["k@v2", "k@v3"]
    assert [item.ref for item in pushed.left] == ["k@v4"]


def test_two_may_bring_the_same_to_a_mirror(mirrored: tuple[Repo, Repo]) -> None:
    a, b = mirrored
    make(a, "k", "# 1", "# 2")
    a.push()
    a.push(remote="mirror")
    b.fetch()
    make(b, "k", "# 3")
    b.push()
    assert [sent.ref for sent in b.push(remote="mirror").versions][-1] == "k@v3"
    assert a.push(remote="mirror").versions == []
    a.fetch()
    assert a.push(remote="mirror").left == []
    assert texts(a) == ["# 1", "# 2", "# 3"]


def test_a_mirror_that_lost_something_gets_it_again(
    mirrored: tuple[Repo, Repo], tmp_path: Path
) -> None:
    a, _ = mirrored
    make(a, "k", "# 1", "# 2")
    a.push()
    a.push(remote="mirror")
    (tmp_path / "mirror/manifests/k/v00000002.yaml").unlink()
    make(a, "k", "# 3")
    a.push()
    pushed = a.push(remote="mirror")
    assert [sent.ref for sent in pushed.versions] == ["k@v2", "k@v3"]


def test_a_mirror_with_something_else_at_a_number_is_a_conflict(
    mirrored: tuple[Repo, Repo], tmp_path: Path
) -> None:
    a, b = mirrored
    make(b, "k", "# wrong")
    other = art.init(tmp_path / "other")
    other.remotes.add("mirror", str(tmp_path / "mirror"))
    make(other, "k", "# other")
    other.push()
    other.close()
    make(a, "k", "# 1")
    a.push()
    before = documents_of(a)
    with pytest.raises(ConflictError, match="k@v1 is another one at mirror than at first"):
        a.push(remote="mirror")
    with pytest.raises(ConflictError, match="k@v1 is published already"):
        a.fetch(remote="mirror")
    assert documents_of(a) == before


def test_where_another_remote_may_have_a_payload_the_hint_says_so(
    mirrored: tuple[Repo, Repo], tmp_path: Path
) -> None:
    a, b = mirrored
    a.create("k", lay_out(tmp_path / "data", {"x": random_bytes(5000, 1)}))
    a.push()
    b.fetch()
    b.push(remote="mirror")
    (left,) = b.push(remote="mirror").left
    assert (left.ref, left.hint) == ("k@v1", "art pull --all k")
    b.pull("k", all=True)
    assert b.push(remote="mirror").left == []


# -- what it costs -------------------------------------------------------------------------------


def test_a_push_of_nothing_asks_twice(world: World, a: Repo, b: Repo) -> None:
    create(world, a, "k", 1)
    create(world, a, None, 2)
    a.tag("k", "prod")
    a.progress("bar", 30)
    a.push()
    b.fetch()
    b.push()  # which takes note of the repository there
    for repo in (a, b):
        world.requests()
        repo.push()
        assert len(world.requests()) <= 2


def test_a_push_of_a_few_asks_for_these_few(world: World, a: Repo) -> None:
    for number in range(100):
        make(a, f"k/{number}", "# 1")
    a.push()
    world.requests()
    make(a, "k/7", "# 2")
    a.push()
    assert len(world.requests()) <= 2 + 2


def test_of_a_large_version_the_change_goes(world: World, a: Repo) -> None:
    files = {f"f{number}": random_bytes(3000, number) for number in range(200)}
    a.create("k", lay_out(world.root / "data", files))
    first = a.push().size_bytes
    a.create("k", lay_out(world.root / "data", {"f7": b"changed", "f8": b"changed, too"}))
    world.requests()
    pushed = a.push()
    assert pushed.size_bytes < first / 50
    requests = world.requests()
    packs = sum(what == "size" and name.startswith("packs/") for what, name in requests)
    assert packs <= 10 + 1, "whether what it relies on is there"
    assert len(requests) - packs <= 12  # three of them ask for marks of gc


def test_one_file_of_many_is_few_requests(world: World, a: Repo, b: Repo) -> None:
    files = {f"d{n % 50}/f{n}": random_bytes(2000, n) for n in range(5000)}
    a.create("k", lay_out(world.root / "data", files))
    a.push()
    b.fetch()
    world.requests()
    assert b.version("k").read("d7/f1007") == files["d7/f1007"]
    assert len(world.requests()) <= 8
    assert not b.version("k").is_here


def fill(world: World, repo: Repo, count: int) -> None:
    """Give a repository a key of many versions, and the remote, too, as a push would."""
    log = Log("k", VERSIONS)
    document = {"art": 1, "key": "k", "type": "note", "created": "2026-11-21T08:30:00.000000Z"}
    uid = "019aa5a8-1f2e-7c3b-9d52-{:012x}"
    contents = [
        encode({**document, "uid": uid.format(number), "author": "ana"}) for number in range(count)
    ]
    for number, data in enumerate(contents, 1):
        world.remote.inner.create(log.file(number), data)
        world.remote.documents[log.file(number)] = data
        for first, last in checkpoint.due(number):
            bundle = checkpoint.encode(contents[first - 1 : last])
            world.remote.inner.create(checkpoint.name(log, first, last), bundle)


def test_a_clone_of_many_versions_is_few_requests(world: World) -> None:
    fill(world, world.repos["a"], 20_000)
    world.requests()
    clone = world.clone("c")
    listings = 2 * 20  # a remote lists a thousand names at once
    assert len(world.requests()) + listings < 200
    assert len(clone.history("k")) == 20_000
    world.requests()
    clone.fetch()
    assert len(world.requests()) <= 5
    make(clone, "k", "# next")
    world.requests()
    assert [sent.ref for sent in clone.push().versions] == ["k@v20001"]
    assert len(world.requests()) <= 4


def test_checkpoints_are_written_by_whoever_publishes_their_last_document(
    world: World, a: Repo, b: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SIZES", (8, 4))
    for number in range(5):
        make(a, "k", f"# a{number}", f"# aa{number}")
        a.push()
        b.fetch()
        make(b, "k", f"# b{number}")
        b.push()
        a.fetch()
    log = Log("k", VERSIONS)
    for first, last in ((1, 8), (1, 4), (5, 8), (9, 12)):
        data = world.remote.inner.read(checkpoint.name(log, first, last))
        expected = [world.remote.inner.read(log.file(n)) for n in range(first, last + 1)]
        assert checkpoint.decode(data, last - first + 1, "here") == expected


def forget(world: World, name: str) -> Repo:
    """Let a repository forget what it knows of its remotes."""
    shutil.rmtree(world.root / name / ".art/sync")
    return world.reopen(name)


def test_what_was_there_already_does_not_count_as_pushed(world: World, a: Repo) -> None:
    create(world, a, "k", 1)
    create(world, a, None, 2)
    a.tag("k", "prod")
    a.push()
    a = forget(world, "a")
    make(a, "other", "# 1")
    pushed = a.push()
    assert [sent.ref for sent in pushed.versions] == ["other@v1"]
    assert pushed.entries == 0


@pytest.mark.parametrize("is_keyless", [False, True])
def test_nothing_is_sent_again_of_what_was_purged_at_a_remote(
    tmp_path: Path, is_keyless: bool
) -> None:
    (tmp_path / "remote").mkdir()
    a = art.init(tmp_path / "a")
    a.remotes.add("origin", str(tmp_path / "remote"))
    folder = lay_out(tmp_path / "data", {"x": random_bytes(50_000, 1)})
    id = a.create(None if is_keyless else "k", folder).version.id
    a.push()
    with art.clone(str(tmp_path / "remote"), tmp_path / "b", all=True):
        a.purge(id, remote="origin")
    assert not list((tmp_path / "remote/packs").rglob("*.pack"))
    shutil.rmtree(tmp_path / "b/.art/sync")
    with Repo(tmp_path / "b") as b:
        make(b, "other", "# 1")
        assert [sent.ref for sent in b.push().versions] == ["other@v1"]
        assert [record.state for record in records_of(b) if record.id == id] == ["purged"]
    assert not list((tmp_path / "remote/packs").rglob("*.pack"))
    a.close()


def test_a_version_without_payload_is_never_live_at_a_remote(world: World, a: Repo) -> None:
    """Killed anywhere, a push of a version that was swept leaves none that promises a payload."""
    create(world, a, "k", 1)
    make(a, "k", "# 2")
    a.delete("k@v1")
    a.gc(grace="0s")
    a.push()
    names = [name for name in world.remote.order if "/k/" in name]
    assert names.index("refs/k/_state/00000002.yaml") < names.index("manifests/k/v00000001.yaml")
    assert [record.state for record in world.clone("c").history("k")] == ["live", "swept"]


def test_a_tag_brings_its_version_again_that_the_remote_lost(world: World, a: Repo) -> None:
    create(world, a, "k", 1)
    a.push()
    world.lose("manifests/", "packs/", "layouts/")
    a.tag("k@v1", "prod")
    pushed = a.push()
    assert [sent.ref for sent in pushed.versions] == ["k@v1"]
    assert pushed.entries == 1
    world.check_remote()


def test_a_published_number_that_has_gone_to_another_is_told(
    world: World, a: Repo, b: Repo
) -> None:
    make(a, "k", "# 1", "# 2")
    a.push()
    world.lose("manifests/k/v00000002")
    b.fetch()
    make(b, "k", "# other")
    b.push()
    a.tag("k@v2", "prod")
    pushed = a.push()
    (left,) = pushed.left
    assert (left.ref, left.is_conflict) == ("k@v2", True)
    assert "it is v3 now" in left.reason
    b.fetch()
    assert b.version("k@prod").text() == "# 2"
    world.settle()
    world.check_equal()


def test_what_is_known_of_a_remote_is_no_evidence(world: World, a: Repo) -> None:
    create(world, a, "k", 1)
    a.tag("k", "prod")
    a.progress("bar", 30)
    a.push()
    sent = list(world.remote.sent)
    (ledger,) = (world.root / "a/.art/sync").glob("*/published.json")
    ledger.unlink()
    a.push()
    assert world.remote.sent == sent, "no pack goes again"
    assert Ledger(a._backend, ledger.parent.name).end(Log("k", VERSIONS)) == 1
    world.check_remote()


def test_the_larger_sequence_of_a_progress_wins(world: World, a: Repo, b: Repo) -> None:
    a.progress("bar", 10)
    a.push()
    b.fetch()
    a.progress("bar", 20)
    a.progress("bar", 30)
    a.push()
    b.push()
    b.fetch()
    assert progress_of(b) == progress_of(a) == {"bar@v1": 30}
    (name,) = (name for name in world.remote.documents if name.startswith("progress/"))
    world.remote.inner.replace(name, b"damaged")
    a.progress("bar", 40)
    a.push()
    b.fetch()
    assert progress_of(b) == {"bar@v1": 40}


@pytest.mark.parametrize("created", ["2020-01-01T00:00:00.000000Z", "2090-01-01T00:00:00.000000Z"])
@pytest.mark.parametrize("is_pushed_first", [False, True])
def test_of_two_values_of_a_progress_with_one_sequence_number_one_wins_everywhere(
    world: World, a: Repo, b: Repo, created: str, is_pushed_first: bool
) -> None:
    a.progress("bar", 10)
    a.push()
    b.fetch()
    a.progress("bar", 20)
    (name,) = (name for name in world.remote.documents if name.startswith("progress/"))
    other = encode({**decode(a._backend.read(name), name), "value": 70, "created": created})
    world.remote.inner.replace(name, other)
    world.remote.documents[name] = other
    b.fetch()
    assert progress_of(b) == {"bar@v1": 70}
    if is_pushed_first:
        assert a.push().entries == (created < "2026")
    assert a.fetch().entries == (not is_pushed_first and created > "2026")
    world.settle()
    world.check_equal()
    assert progress_of(b) == {"bar@v1": 70 if created > "2026" else 20}


def test_everything_comes_back_from_a_fresh_clone(world: World, a: Repo) -> None:
    create(world, a, "k", 1, 300_000)
    create(world, a, "k", 2)
    a.create(None, lay_out(world.root / "x", {"y": b"z"}))
    a.push()
    clone = world.clone("c")
    for record in records_of(a):
        assert files_of(clone, record) == files_of(a, record)


# -- remotes that lost bytes ---------------------------------------------------------------------


@pytest.fixture
def lossy(tmp_path: Path) -> Iterator[tuple[Repo, Backend]]:
    """Return a repository with a remote whose packs are lost after the first push."""
    url = f"memory://{tmp_path.name}-lossy"
    repo = art.init(tmp_path / "lossy")
    repo.remotes.add("origin", url)
    repo.create("k", lay_out(tmp_path / "data", {"x": random_bytes(300_000, 1)}))
    repo.push()
    remote = open_backend(url)
    for item in list(remote.walk("packs")):
        remote.delete(item.name)
    yield repo, remote
    repo.close()


def test_what_lies_in_packs_that_a_remote_lost_goes_anew(
    lossy: tuple[Repo, Backend], tmp_path: Path
) -> None:
    """Its layouts are still there: of the same payload, and of one that the next resembles."""
    repo, remote = lossy
    repo.create("k", lay_out(tmp_path / "data", {"y": b"y" * 5000}))
    assert repo.push().packs
    repo.copy("k@v1", "copy")
    assert repo.push().packs
    with art.clone(remote.where, tmp_path / "clone") as clone:
        for ref in ("k@v2", "copy", "k@v1"):
            assert clone.version(ref).read("x") == random_bytes(300_000, 1)


def test_without_payload_what_a_remote_lost_is_left(lossy: tuple[Repo, Backend]) -> None:
    repo, _ = lossy
    repo.copy("k", "copy")
    pushed = repo.push(payload=False)
    assert pushed.versions == []
    assert [item.ref for item in pushed.left] == ["copy@v1"]


@pytest.mark.parametrize("is_fetched", [False, True])
def test_a_push_that_fails_before_it_looked_again_lets_the_next_one_look(
    world: World, a: Repo, b: Repo, is_fetched: bool
) -> None:
    """gc marks the packs of the first version after they were relied on, and the network fails."""
    create(world, a, "k", 1, 300_000)
    a.push()
    b.fetch()
    b.pull("k")
    b.copy("k", "copy")
    make(b, "z", "# z")
    inner = world.remote.inner
    packs = [item.name for item in inner.walk("packs")]
    create_at_remote = inner.create

    def create_and_mark(name: str, content: bytes) -> bool:
        if name.startswith("manifests/z/"):
            raise UnavailableError("no answer")
        if name.startswith("manifests/copy/"):
            for pack in packs:
                create_at_remote(f"gc/marks/{Path(pack).stem}", b"")
        return create_at_remote(name, content)

    inner.create = create_and_mark  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        b.push()
    inner.create = create_at_remote  # type: ignore[method-assign]
    if is_fetched:
        b.fetch()
    pushed = b.push()
    assert pushed.packs, "what is marked goes anew"
    assert [sent.ref for sent in pushed.versions] == ["z@v1"]
    world.requests()
    b.push()
    assert len(world.requests()) <= 2
    for pack in packs:
        inner.delete(pack)
    assert world.clone("c").version("copy").read("x") == random_bytes(300_000, 1)
