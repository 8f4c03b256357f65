"""The newest documents of a log vanish: no gap shows it, and nothing may build on what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

import art
from art.errors import CorruptError
from art.repo import Repo
from tests.support_faults import Death
from tests.support_gc import contents_of, put, sizes
from tests.support_sync import World


def lose(repo: Repo, name: str) -> bytes:
    path = repo.root / ".art" / name
    data = path.read_bytes()
    path.unlink()
    return data


def test_a_number_that_was_published_is_never_given_again(world: World, a: Repo) -> None:
    for text in ("one", "two"):
        a.markdown("z", text)
    a.push()
    lose(a, "manifests/z/v00000002.yaml")
    made = a.markdown("z", "other").version
    assert made.number == 3
    assert any("z@v2 is missing" in warning for warning in world.warnings("a"))
    assert [problem.name for problem in a.fsck().problems] == ["manifests/z/v00000002.yaml"]


def test_a_version_that_equals_the_one_before_a_lost_one_is_made_all_the_same(a: Repo) -> None:
    for text in ("one", "two"):
        a.markdown("z", text)
    a.push()
    lose(a, "manifests/z/v00000002.yaml")
    made = a.markdown("z", "one")
    assert (made.created, made.version.number) == (True, 3)


def test_what_was_made_beyond_a_lost_number_is_published_once_that_is_back(
    world: World, a: Repo
) -> None:
    for text in ("one", "two"):
        a.markdown("z", text)
    a.push()
    lose(a, "manifests/z/v00000002.yaml")
    a.markdown("z", "three")
    (left,) = a.push().left
    assert "v00000002.yaml is missing" in left.reason
    assert left.hint == "art fsck --repair"
    a.execute_repair(a.plan_repair())
    a.push()
    b = world.repos["b"]
    b.fetch()
    assert [b.version(f"z@v{n}").text() for n in (1, 2, 3)] == ["one", "two", "three"]


@pytest.mark.parametrize("said", ["tag", "note", "delete"])
def test_a_number_that_an_entry_names_is_never_given_again(tmp_path: Path, said: str) -> None:
    with art.init(tmp_path / "repo") as repo:
        for text in ("one", "two"):
            repo.markdown("z", text)
        if said == "tag":
            repo.tag("z@v2", "prod")
        elif said == "note":
            repo.note("z@v2", title="noted")
        else:
            repo.delete("z@v2")
        lose(repo, "manifests/z/v00000002.yaml")
        assert repo.markdown("z", "other").version.number == 3


def test_a_lost_number_of_one_key_says_nothing_of_others(a: Repo) -> None:
    for key in ("z", "z/z", "zz", "x.z"):
        a.markdown(key, "one")
    a.markdown("z/z", "two")
    a.push()
    lose(a, "manifests/z/z/v00000002.yaml")
    assert a.markdown("z", "new").version.number == 2
    assert a.markdown("zz", "new").version.number == 2
    assert a.markdown("z/z", "new").version.number == 3


def test_status_and_push_tell_of_numbers_that_went_to_other_versions(world: World, a: Repo) -> None:
    for text in ("one", "two"):
        a.markdown("z", text)
    a.push()
    lose(a, "manifests/z/v00000002.yaml")
    a.history("z")
    with art.init(world.root / "elsewhere") as other:  # which knows of nothing
        other.markdown("z", "one")
        data = other.markdown("z", "other")
        stranger = other.root / ".art/manifests/z/v00000002.yaml"
        (a.root / ".art/manifests/z/v00000002.yaml").write_bytes(stranger.read_bytes())
    (status,) = a.sync_status()
    assert [sent.ref for sent in status.local_only] == ["z@v2"]
    assert [problem.name for problem in a.fsck().problems] == ["manifests/z/v00000002.yaml"]
    pushed = a.push()
    assert [(each.old, each.new) for each in pushed.renumbered] == [(2, 3)]
    assert [sent.ref for sent in pushed.versions] == ["z@v3"]
    assert [a.version(f"z@v{n}").text() for n in (1, 2, 3)] == ["one", "two", "other"]
    assert a.version("z@v3").id == data.version.id
    world.requests()
    assert not a.push().versions
    assert len(world.requests()) <= 2


def test_push_tells_of_published_versions_that_are_missing_here(world: World, a: Repo) -> None:
    for text in ("one", "two"):
        a.markdown("z", text)
    a.push()
    lose(a, "manifests/z/v00000002.yaml")
    a.push()
    assert any("z@v2 is missing here" in warning for warning in world.warnings("a"))


# -- gc --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["tag", "note", "delete"])
def test_gc_frees_nothing_when_an_entry_names_a_newest_version_that_is_missing(
    tmp_path: Path, said: str
) -> None:
    with art.init(tmp_path / "repo") as repo:
        for seed in (1, 2, 3):
            put(repo, "k/g", seed)
        if said == "tag":
            repo.tag("k/g@v3", "prod")
        elif said == "note":
            repo.note("k/g@v3", title="noted")
        else:
            repo.delete("k/g@v3")
        data = lose(repo, "manifests/k/g/v00000003.yaml")
        before = sizes(repo)
        with pytest.raises(CorruptError, match=r"v00000003.yaml is missing") as caught:
            repo.gc(grace="0d")
        assert caught.value.hint == "art fsck --repair"
        assert sizes(repo) == before
        (repo.root / ".art/manifests/k/g/v00000003.yaml").write_bytes(data)
        repo.gc()
        assert len(contents_of(repo)) == 3


def test_gc_frees_nothing_when_a_published_newest_version_is_missing(a: Repo) -> None:
    for seed in (1, 2):
        put(a, "k", seed)
    a.push()
    lose(a, "manifests/k/v00000002.yaml")
    before = sizes(a)
    with pytest.raises(CorruptError, match=r"v00000002.yaml is missing"):
        a.gc()
    assert sizes(a) == before


def test_gc_frees_nothing_when_a_published_keyless_version_is_missing(a: Repo) -> None:
    uid = a.version(put(a, None, 1)).record.uid
    a.push()
    lose(a, f"anonymous/{uid}.yaml")
    with pytest.raises(CorruptError, match=rf"anonymous/{uid}.yaml is missing"):
        a.gc()


def test_gc_frees_nothing_when_what_a_removed_remote_had_is_missing(a: Repo) -> None:
    put(a, "k", 1)
    put(a, "k", 2)
    a.push()
    a.remotes.remove("origin")
    lose(a, "manifests/k/v00000002.yaml")
    with pytest.raises(CorruptError, match=r"v00000002.yaml is missing"):
        a.gc()
    assert [problem.name for problem in a.fsck().problems] == ["manifests/k/v00000002.yaml"]


def test_gc_at_a_remote_frees_nothing_when_a_tag_names_what_nobody_here_knows(
    world: World, a: Repo
) -> None:
    put(a, "k", 1)
    put(a, "k", 2)
    a.tag("k@v2", "prod")
    a.push()
    world.lose("manifests/k/v00000002.yaml")
    b = world.repos["b"]
    b.fetch()
    with pytest.raises(CorruptError, match=r"v00000002.yaml") as caught:
        b.gc(remote="origin")
    assert caught.value.hint == "art fsck --remote origin --repair"


# -- what is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["flipped", "missing"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_history_shows_damage_that_the_index_does_not_know(
    world: World, a: Repo, how: str, number: int
) -> None:
    for text in ("one", "two", "three"):
        a.markdown("z", text)
    a.tag("z@v3", "prod")
    assert [record.state for record in a.history("z")] == ["live"] * 3
    path = a.root / f".art/manifests/z/v{number:08}.yaml"
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"markdown", b"markdowm"))
    for _ in range(2):  # also when it was noticed before
        found = {record.number: record.state for record in a.history("z")}
        assert found == {**dict.fromkeys((3, 2, 1), "live"), number: "damaged"}
        assert any(f"v{number:08}.yaml" in warning for warning in world.warnings("a"))
    assert len(a.history("z", limit=2)) == 2


def test_the_history_of_many_versions_shows_which_are_missing(
    a: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.resolve._CHECKED", 2)
    for text in ("one", "two", "three", "four"):
        a.markdown("z", text)
    a.history("z")
    lose(a, "manifests/z/v00000002.yaml")
    assert [record.state for record in a.history("z")] == ["live", "live", "damaged", "live"]


# -- what is not there and not lost ----------------------------------------------------------------


def collect_one_of_two(a: Repo) -> None:
    """Publish two versions, and let gc take here what the first of them has, which is deleted."""
    put(a, "a/b", 1)
    put(a, "a/b", 2)
    a.push()
    a.delete("a/b@v1")
    a.gc(grace="0d")


def test_an_archive_has_the_files_of_deleted_versions_that_a_remote_keeps(
    world: World, a: Repo
) -> None:
    collect_one_of_two(a)
    a.export(world.root / "j.tar", all=True)
    with art.init(world.root / "new") as new:
        new.import_archive(world.root / "j.tar")
        assert new.fsck().is_whole
        new.restore("a/b@v1")
        assert len(contents_of(new)) == 2


def test_deleted_versions_whose_files_are_nowhere_are_told_and_come_without(
    world: World, a: Repo
) -> None:
    collect_one_of_two(a)
    a.remove_remote("origin")
    assert "the files of a/b@v1 are at" in world.warnings("a")[-1]
    a.export(world.root / "j.tar", all=True)
    (told,) = world.warnings("a")
    assert "a/b@v1 is deleted, and its files are nowhere" in told
    with art.init(world.root / "new") as new:
        new.import_archive(world.root / "j.tar")
        assert new.fsck().is_whole
        new.gc()
        assert len(contents_of(new, is_partial=True)) == 1


def test_it_is_told_what_is_nowhere_when_a_remote_is_forgotten(world: World, a: Repo) -> None:
    put(a, "k", 1)
    put(a, "k", 2)
    a.push()
    b = world.repos["b"]
    b.pull()
    a.remove_remote("origin")
    assert not world.warnings("a")
    b.remove_remote("origin")
    (told,) = world.warnings("b")
    assert "the files of k@v1 are at" in told


def test_a_fetch_that_was_killed_leaves_nothing_that_looks_lost(
    world: World, a: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(a, "k", 1)
    put(a, None, 2)
    a.push()
    b = world.repos["b"]
    with monkeypatch.context() as patch:
        patch.setattr("art.merge.Ledger.save", _die)
        patch.setattr("art.sync.Pairing.forget_coming", _die)
        with pytest.raises(Death):
            b.fetch()
    b = world.reopen("b")
    assert b.history("k")
    assert b.fsck().is_whole
    assert not [found for found in b.doctor() if found.level == "error"]
    assert b.gc(grace="0d").packs == 0
    assert [sent.ref for sent in b.sync_status()[0].local_only if sent.key] == ["k@v1"]
    b.fetch()
    assert not list((b.root / ".art/sync").rglob("coming.json"))
    assert b.fsck().is_whole


def _die(*_: object) -> None:
    raise Death


def test_the_hint_of_damage_is_the_command_that_repairs(a: Repo) -> None:
    a.markdown("z", "one")
    a.tag("z@v1", "prod")
    path = a.root / ".art/manifests/z/v00000001.yaml"
    path.write_bytes(path.read_bytes().replace(b"markdown", b"markdowm"))
    with pytest.raises(CorruptError) as caught:
        a.version("z@v1")
    assert caught.value.hint == "art fsck --repair"
    path.unlink()
    with pytest.raises(CorruptError) as caught:
        a.version("z@prod")
    assert caught.value.hint == "art fsck --repair"


def test_the_hint_of_damage_at_a_remote_is_to_repair_it_there(world: World, a: Repo) -> None:
    put(a, "k", 1)
    a.push()
    b = world.repos["b"]
    b.fetch()
    (layout,) = [item.name for item in world.remote.walk("layouts")]
    data = bytearray(world.remote.read(layout))
    data[200] ^= 1
    world.remote.inner.replace(layout, bytes(data))
    (left,) = b.pull().left
    assert left.hint == "art fsck --remote origin --repair"
    with pytest.raises(CorruptError) as caught:
        b.version("k").get(world.root / "out")
    assert caught.value.hint == "art fsck --remote origin --repair"
