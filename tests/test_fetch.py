"""What a fetch brings, and what it does where something is lost, damaged or not as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import art
from art import checkpoint, fetch
from art.catalog import VERSIONS, Log
from art.errors import ConflictError, CorruptError, DeniedError, NotFoundError
from art.repo import Repo
from tests.support import lay_out
from tests.support_sync import World, documents_of, progress_of, records_of


def texts(repo: Repo, key: str = "k") -> list[str]:
    found = repo.history(key)
    return [repo.version(record.ref).text() for record in reversed(found) if record.is_live]


def make(repo: Repo, key: str, *contents: str) -> None:
    for content in contents:
        repo.markdown(key, content)


def test_a_fetch_brings_all_that_is_said_and_no_payloads(world: World, a: Repo, b: Repo) -> None:
    folder = lay_out(world.root / "data", {"x": b"x" * 5000})
    a.create("k", folder, tags=["prod"])
    a.note("k", title="noted")
    a.create(None, folder, title="keyless")
    a.progress("bar", 30)
    a.markdown("gone", "# gone")
    a.delete("gone")
    a.push()
    planned = b.plan_fetch()
    fetched = b.fetch()
    assert planned == fetched
    assert len(fetched.versions) == 4
    assert fetched.entries == 4
    assert b.plan_fetch().versions == b.fetch().versions == []
    assert documents_of(a) == documents_of(b)
    assert progress_of(b) == {"bar@v1": 30}
    assert b.version("k@prod").title == "noted"
    assert not b.version("k").is_here


def test_one_key_comes_alone(a: Repo, b: Repo) -> None:
    make(a, "k", "# k")
    make(a, "k/sub", "# sub")
    a.tag("k/sub", "prod")
    a.push()
    b.fetch("k")
    assert b.keys() == ["k"]
    b.fetch("k/*")
    assert b.keys() == ["k", "k/sub"]
    for pattern in ("nowhere", "nowhere*"):
        for bring in (b.fetch, b.plan_fetch, b.pull):
            with pytest.raises(NotFoundError, match="nowhere"):
                bring("k", pattern)
    make(b, "here", "# here")
    assert b.fetch("her*").versions == b.push("k/*").versions == []


def test_our_own_versions_follow_those_of_the_remote(world: World, a: Repo, b: Repo) -> None:
    make(a, "k", "# 1", "# 2")
    make(b, "k", "# x", "# y")
    a.push()
    fetched = b.fetch()
    assert [(item.old, item.new) for item in fetched.renumbered] == [(1, 3), (2, 4)]
    assert texts(b) == ["# 1", "# 2", "# x", "# y"]
    world.settle()
    world.check_equal()


def test_a_long_log_comes_in_pieces_and_our_versions_move_once(
    world: World, a: Repo, b: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_BATCH", 4)
    make(a, "k", *(f"# {number}" for number in range(11)))
    make(b, "k", "# mine")
    a.push()
    (moved,) = b.fetch().renumbered
    assert (moved.old, moved.new) == (1, 12)
    assert texts(b) == [*(f"# {number}" for number in range(11)), "# mine"]


# -- what a remote lost --------------------------------------------------------------------------


def everything(repo: Repo, root: Path) -> None:
    folder = lay_out(root / "data", {"x": b"x" * 5000})
    make(repo, "k", "# 1", "# 2")
    repo.create("k", folder, tags=["prod"])
    repo.create(None, folder)
    repo.progress("bar", 30)
    make(repo, "other", "# other")
    repo.note("other", title="noted")


LOSSES = {
    "its newest version": ["manifests/k/v00000003"],
    "two versions": ["manifests/k/v00000003", "manifests/k/v00000002"],
    "a key": ["manifests/k/", "refs/k/"],
    "a tag": ["refs/k/_tags/prod/"],
    "notes": ["refs/other/_notes"],
    "a keyless version": ["anonymous/"],
    "a progress": ["progress/"],
    "everything": ["manifests/", "refs/", "anonymous/", "progress/", "packs/", "layouts/"],
}


@pytest.mark.parametrize("lost", LOSSES.values(), ids=list(LOSSES))
def test_what_a_remote_lost_is_told_and_comes_back_with_the_next_push(
    world: World, a: Repo, b: Repo, lost: list[str]
) -> None:
    everything(a, world.root)
    a.push()
    b.fetch()
    before = documents_of(a), progress_of(a)
    world.lose(*lost)
    fetched = a.fetch()
    assert (fetched.versions, fetched.renumbered) == ([], [])
    told = " ".join(world.warnings("a"))
    assert "the next push brings back" in told or lost == ["progress/"]
    a.push()
    assert a.fetch().versions == []
    assert not world.warnings("a")
    assert (documents_of(a), progress_of(a)) == before
    world.check_remote()
    world.check_equal()


def test_where_a_lost_number_was_given_again_nothing_is_lost(
    world: World, a: Repo, b: Repo
) -> None:
    """A remote is restored from a backup, and somebody pushes before those who know more."""
    make(a, "k", "# 1", "# 2", "# 3")
    a.push()
    world.lose("manifests/k/v00000002", "manifests/k/v00000003")
    b.fetch()
    make(b, "k", "# other")
    b.push()
    make(a, "k", "# 4")
    pushed = a.push()
    assert [(item.old, item.new) for item in pushed.renumbered] == [(2, 3), (3, 4), (4, 5)]
    assert [sent.ref for sent in pushed.versions] == ["k@v3", "k@v4", "k@v5"]
    world.settle()
    world.check_equal()
    assert texts(b) == ["# 1", "# other", "# 2", "# 3", "# 4"]


@pytest.mark.parametrize("keys", [(), ("k",)])
def test_a_remote_that_was_set_back_and_has_grown_as_long_again_is_noticed(
    world: World, a: Repo, b: Repo, keys: tuple[str, ...]
) -> None:
    make(a, "k", "# 1", "# 2")
    make(a, "other", "# 1")
    a.push()
    a.fetch()
    world.lose("manifests/k/v00000002")
    b.fetch()
    make(b, "k", "# other")
    b.push()
    (moved,) = a.fetch(*keys).renumbered
    assert (moved.old, moved.new) == (2, 3)
    (told,) = world.warnings("a")
    assert told.startswith("origin had published k@v2, and has another version there now")
    assert a.fetch(*keys).renumbered == []
    assert not world.warnings("a")
    world.settle()
    world.check_equal()


def test_a_fetch_of_nothing_new_asks_for_listings_only(world: World, a: Repo) -> None:
    make(a, "k", "# 1", "# 2")
    a.tag("k", "prod")
    make(a, "other", "# 1")
    a.push()
    a.fetch()
    world.requests()
    a.fetch()
    assert not [call for call in world.requests() if call[0] == "read" and "/" in call[1]]


# -- damage --------------------------------------------------------------------------------------


def damage(world: World, name: str) -> None:
    data = bytearray(world.remote.inner.read(name))
    data[len(data) // 2] ^= 1
    world.remote.inner.replace(name, bytes(data))


DAMAGED = {
    "manifests/k/v00000002.yaml": {"k": ["# 1", "# 2", "# 3"]},
    "refs/k/_tags/prod/00000001.yaml": {},
    "anonymous/": {},
    "progress/": {},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_document_is_refused_and_the_rest_comes(
    world: World, a: Repo, b: Repo, name: str
) -> None:
    everything(a, world.root)
    a.push()
    name = next(found for found in world.remote.order if found.startswith(name))
    damage(world, name)
    with pytest.raises(CorruptError, match=name) as caught:
        b.fetch()
    assert caught.value.hint == "art fsck --remote origin --repair"
    assert name not in documents_of(b)
    assert texts(b, "other") == ["# other"]
    world.remote.inner.replace(name, world.remote.documents[name])
    b.fetch()
    assert documents_of(a) == documents_of(b)
    assert progress_of(a) == progress_of(b)


def test_of_several_damaged_documents_the_first_is_named_and_the_rest_comes(
    world: World, a: Repo, b: Repo
) -> None:
    everything(a, world.root)
    a.create(None, world.root / "data", title="another")
    a.progress("foo", 40)
    a.push()
    keyless = [name for name in world.remote.order if name.startswith("anonymous/")]
    values = [name for name in world.remote.order if name.startswith("progress/")]
    for name in ("manifests/k/v00000001.yaml", keyless[0], values[0]):
        damage(world, name)
    with pytest.raises(CorruptError, match=r"v00000001\.yaml .* and 2 more such problems"):
        b.fetch()
    assert keyless[1] in documents_of(b)
    assert b._backend.size(values[1]) is not None
    for name in ("manifests/k/v00000001.yaml", keyless[0], values[0]):
        world.remote.inner.replace(name, world.remote.documents[name])
    world.settle()
    world.check_equal()


def test_a_document_that_is_damaged_on_its_way_is_asked_for_again(
    world: World, a: Repo, b: Repo
) -> None:
    make(a, "k", "# 1")
    a.push()
    read = world.remote.inner.read
    seen = []

    def once(name: str, start: int = 0, length: int | None = None) -> bytes:
        data = read(name, start, length)
        if name.startswith("manifests/") and name not in seen:
            seen.append(name)
            return data[:-9]
        return data

    world.remote.inner.read = once  # type: ignore[method-assign]
    b.fetch()
    assert texts(b) == ["# 1"]
    assert seen


def test_a_version_missing_among_others_is_damage(world: World, a: Repo, b: Repo) -> None:
    everything(a, world.root)
    a.push()
    world.lose("manifests/k/v00000002")
    with pytest.raises(CorruptError, match=r"v00000002\.yaml is missing"):
        b.fetch()
    assert b.keys() == ["bar", "other"], "nothing of the key, all of the others"
    assert b.tags("other") == {}


def test_our_own_damage_stops_one_key_only(world: World, a: Repo, b: Repo) -> None:
    make(a, "k", "# 1")
    make(a, "other", "# 1")
    a.push()
    make(b, "k", "# mine")
    (world.root / "b/.art/manifests/k/v00000001.yaml").write_bytes(b"damaged")
    with pytest.raises(CorruptError, match="manifests/k/v00000001"):
        b.fetch()
    assert texts(b, "other") == ["# 1"]


# -- checkpoints ---------------------------------------------------------------------------------


@pytest.fixture
def long(world: World, a: Repo, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a remote with a key of 70 versions, in checkpoints of 16 and 4."""
    monkeypatch.setattr(checkpoint, "SIZES", (16, 4))
    make(a, "k", *(f"# {number}" for number in range(70)))
    a.push()
    return world


def documents_read(world: World, repo: Repo) -> int:
    world.requests()
    repo.fetch()
    assert len(repo.history("k")) == 70
    assert documents_of(repo) == documents_of(world.repos["a"])
    return sum(what == "read" and name.startswith("manifests") for what, name in world.requests())


def test_checkpoints_are_read_in_place_of_their_documents(long: World, b: Repo) -> None:
    assert [f"_{n - 15}-{n}" in " ".join(long.remote.order) for n in (16, 32, 48, 64)] == [True] * 4
    assert documents_read(long, b) == 2 + 5, "those behind, and the last of each"


@pytest.mark.parametrize("what", ["gone", "flipped", "cut", "another", "empty"])
def test_without_a_checkpoint_the_documents_are_read(long: World, b: Repo, what: str) -> None:
    name = "checkpoints/manifests/k/_17-32"
    data = long.remote.inner.read(name)
    other = long.remote.inner.read("checkpoints/manifests/k/_1-16")
    flipped = data[:60] + bytes([data[60] ^ 1]) + data[61:]
    contents = {"flipped": flipped, "cut": data[:-5], "another": other, "empty": b""}
    if what == "gone":
        long.remote.inner.delete(name)
    else:
        long.remote.inner.replace(name, contents[what])
    assert documents_read(long, b) > 7


def test_a_checkpoint_of_documents_that_were_lost_since_is_not_believed(
    long: World, a: Repo, b: Repo
) -> None:
    """Other versions have their numbers now, and the checkpoint has a name that is taken."""
    make(b, "k", "# mine")
    long.lose(*(f"manifests/k/v{number:08}" for number in range(30, 71)))
    b.push()
    assert texts(b) == [*(f"# {number}" for number in range(29)), "# mine"]
    a.fetch()
    assert a.version("k@v30").text() == "# mine"
    a.push()
    long.settle()
    long.check_equal()


def test_a_checkpoint_has_exactly_its_documents(long: World) -> None:
    contents = [long.remote.inner.read(Log("k", VERSIONS).file(n)) for n in range(1, 17)]
    assert checkpoint.decode(checkpoint.encode(contents), 16, "here") == contents
    for wrong in (contents[:15], [*contents, contents[0]]):
        with pytest.raises(CorruptError, match="documents"):
            checkpoint.decode(checkpoint.encode(wrong), 16, "here")


def test_who_comes_late_to_a_long_log_asks_for_a_listing(long: World, b: Repo) -> None:
    make(b, "k", "# mine")
    long.requests()
    b.push()
    assert len(long.requests()) < 32
    assert b.version("k").number == 71
    long.settle()
    long.check_equal()


# -- other places --------------------------------------------------------------------------------


def test_numbers_of_a_repository_that_somebody_works_in_are_not_final(tmp_path: Path) -> None:
    """`b` has fetched from `a`, who had not published; then another one has that number."""
    (tmp_path / "shared").mkdir()
    a, b, c = (art.init(tmp_path / name) for name in "abc")
    for repo in (a, b, c):
        repo.remotes.add("origin", str(tmp_path / "shared"))
    make(a, "k", "# a")
    make(c, "k", "# c")
    b.fetch(remote=str(tmp_path / "a"))
    assert texts(b) == ["# a"]
    c.push()
    (moved,) = b.fetch().renumbered
    assert (moved.old, moved.new) == (1, 2)
    assert texts(b) == ["# c", "# a"]
    make(a, "k", "# more")
    with pytest.raises(ConflictError, match="k@v1 is published already"):
        b.fetch(remote=str(tmp_path / "a"))
    a.push()
    b.fetch(remote=str(tmp_path / "a"))
    assert texts(a) == texts(b) == ["# c", "# a", "# more"]
    for repo in (a, b, c):
        repo.close()


def test_a_repository_that_can_only_be_read_takes_nothing_in(
    world: World, a: Repo, b: Repo
) -> None:
    make(a, "k", "# 1")
    a.push()
    b.close()
    copy = world.root / "copy"
    shutil.copytree(world.root / "b", copy)
    for folder in [copy / ".art", *(copy / ".art").rglob("*")]:
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    try:
        if (copy / ".art/x").parent.stat().st_uid == 0:
            pytest.skip("root may write everywhere")
        with Repo(copy) as repo:
            assert len(repo.plan_fetch().versions) == 1
            with pytest.raises(DeniedError):
                repo.fetch()
            assert records_of(repo) == []
    finally:
        for folder in [copy / ".art", *(copy / ".art").rglob("*")]:
            folder.chmod(0o755)
