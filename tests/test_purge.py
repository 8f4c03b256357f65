"""After a purge, what must not exist is nowhere: not in packs, manifests, copies of them, or clones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import zstandard

import art
from art.errors import ConflictError, CorruptError, PartialError
from art.model import Chunking
from art.objects import ObjectStore
from art.pack import pack_name
from art.repo import Repo
from art.stubs import stub
from tests.support import lay_out
from tests.support_faults import Death, Fault, failing
from tests.support_gc import Place, contents_of, put
from tests.support_state import random_bytes

SECRET = b"SECRET-hunter2-"
LEAK = SECRET * 200


def leak(repo: Repo, key: str | None = "k", **about: object) -> dict[str, bytes]:
    """Make a version with a secret among much that the next one has, too; return what stays."""
    files = {f"f{n:02}": random_bytes(6000, n) for n in range(20)}
    folder = lay_out(repo.root.parent / "leak", files | {"secret": LEAK})
    repo.create(key, folder, **about)  # type: ignore[arg-type]
    (folder / "secret").unlink()
    repo.create("k", folder)
    shutil.rmtree(folder)
    return files


def found_in(data: bytes) -> bool:
    """Whether the secret is in these bytes, as they are or in a frame of a pack."""
    if SECRET in data:
        return True
    start = data.find(b"\x28\xb5\x2f\xfd")
    while start >= 0:
        try:
            plain = zstandard.ZstdDecompressor().decompressobj().decompress(data[start:])
            if SECRET in plain:
                return True
        except zstandard.ZstdError:
            pass
        start = data.find(b"\x28\xb5\x2f\xfd", start + 1)
    return False


def leaks(root: Path) -> list[str]:
    """Return the files in a folder that hold the secret."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(root)) for path in files if found_in(path.read_bytes()))


def leaks_at(place: Place) -> list[str]:
    """Return the names at the remote that hold the secret."""
    names = [item.name for item in place.inner.walk("")]
    return sorted(name for name in names if found_in(place.inner.read(name)))


def state(repo: Repo, ref: str) -> str:
    (found,) = repo.states(ref)
    return found


def test_the_secret_is_nowhere_and_the_rest_is_there(repo: Repo) -> None:
    files = leak(repo, title=SECRET.decode(), metadata={"password": SECRET.decode()})
    assert leaks(repo.root / ".art")
    (done,) = repo.purge("k@v1")
    assert leaks(repo.root / ".art") == []
    assert done.shared_bytes > 100_000
    assert done.same == []
    assert contents_of(repo) == {repo.version("k@v2").id: files}
    assert state(repo, "k@v1") == "purged"
    put(repo, "k", 99)
    assert repo.version("k").number == 3
    assert repo.plan_gc().is_empty


def test_a_number_stays_taken_also_where_it_was_the_last(repo: Repo) -> None:
    put(repo, "k", 1, secret=LEAK)
    repo.purge("k@v1")
    put(repo, "k", 2)
    assert repo.version("k").ref == "k@v2"
    assert leaks(repo.root / ".art") == []


def test_a_keyless_version_is_purged(repo: Repo) -> None:
    leak(repo, None)
    (record,) = repo._index.ask(lambda index: index.versions(None))
    repo.purge(record.id)
    assert leaks(repo.root / ".art") == []
    assert repo.version("k@v1").read("f01") == random_bytes(6000, 1)


def test_a_deleted_version_is_purged(repo: Repo) -> None:
    leak(repo)
    repo.delete("k@v1")
    repo.purge("k@v1")
    assert leaks(repo.root / ".art") == []


def test_a_pack_that_nobody_can_look_into_or_needs_goes_too(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(random_bytes(100_000, seed=8))
    repo.create("k", tmp_path / "secret")
    (pack,) = (repo.root / ".art/packs").rglob("*.pack")
    data = pack.read_bytes()
    pack.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])  # in its directory
    repo.purge("k@v1")
    assert not pack.exists()


def test_a_purge_sweeps_nothing_else(repo: Repo) -> None:
    leak(repo)
    put(repo, "other", 7)
    repo.delete("other")
    collected = repo.purge("k@v1")[0].collected
    assert collected.swept == 0
    repo.restore("other@v1")
    assert repo.version("other@v1").read("x") == random_bytes(5000, 7)


def test_tags_and_versions_made_from_it_need_force(repo: Repo) -> None:
    leak(repo)
    repo.tag("k@v1", "prod")
    with pytest.raises(ConflictError, match="prod"):
        repo.purge("k@v1")
    repo.untag("k", "prod")
    put(repo, "made", 1)
    repo.create("made", lay_out(repo.root / "out", {"y": b"1"}), inputs=["k@v1"])
    with pytest.raises(ConflictError, match="made@v2 was made from it"):
        repo.purge("k@v1")
    assert leaks(repo.root / ".art")
    repo.purge("k@v1", force=True)
    assert leaks(repo.root / ".art") == []
    assert repo.version("made").inputs


def test_another_version_with_the_same_payload_keeps_it_and_is_told(repo: Repo) -> None:
    put(repo, "k", 1, secret=LEAK)
    repo.copy("k@v1", "copy")
    (done,) = repo.purge("k@v1")
    assert [record.ref for record in done.same] == ["copy@v1"]
    assert repo.version("copy").read("secret") == LEAK
    repo.purge("copy@v1")
    assert leaks(repo.root / ".art") == []


def test_what_was_moved_is_purged_under_its_new_key(repo: Repo) -> None:
    put(repo, "k", 1, secret=LEAK)
    repo.move("k", "new")
    (done,) = repo.purge("k@v1")
    assert done.record.ref == "new@v1"
    assert leaks(repo.root / ".art") == []


def test_notes_stay_and_are_told(repo: Repo) -> None:
    leak(repo)
    repo.note("k@v1", description="see the ticket")
    (done,) = repo.purge("k@v1")
    assert done.notes == ["refs/k/_notes/00000001.yaml"]


def test_killed_anywhere_it_is_finished_by_doing_it_again_or_by_gc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with art.init(tmp_path / "template") as repo:
        files = leak(repo, title=SECRET.decode())
    at = 0
    while True:
        at += 1
        root = tmp_path / f"run-{at}"
        shutil.copytree(tmp_path / "template", root)
        fault = Fault(at, "death", is_late=at % 3 == 0)
        try:
            with failing(monkeypatch, root, fault) as repo:
                repo.purge("k@v1")
        except Death:
            pass
        with Repo(root) as repo:
            assert repo.version("k@v2").read("f03") == files["f03"]
            if at % 2 or state(repo, "k@v1") != "purged":
                repo.purge("k@v1")
            else:
                repo.gc()
            shutil.rmtree(root / ".art/tmp", ignore_errors=True)
            assert leaks(root / ".art") == [], at
            assert contents_of(repo) == {repo.version("k@v2").id: files}
        shutil.rmtree(root)
        if not fault.has_fired:
            break
    assert at > 10


def test_a_purge_that_stopped_before_the_stub_is_something_for_gc_to_do(repo: Repo) -> None:
    repo.value("k", SECRET.decode())
    record = repo.version("k").record
    repo._changes().purge(record)  # and then it is killed: no bytes in packs, nothing else to free
    assert leaks(repo.root / ".art/manifests")
    plan = repo.plan_gc()
    assert [found.ref for found in plan.unfinished] == ["k@v1"]
    assert not plan.is_empty
    repo.gc()
    assert leaks(repo.root / ".art/manifests") == []
    assert repo.plan_gc().is_empty


def test_a_manifest_that_was_damaged_since_is_replaced_by_the_same_stub(repo: Repo) -> None:
    leak(repo, title=SECRET.decode())
    path = repo.root / ".art/manifests/k/v00000001.yaml"
    long_ago = path.parent.stat().st_mtime - 60
    os.utime(path.parent, (long_ago, long_ago))
    repo.history("k")
    whole = repo._store.catalog.manifest("k", 1)
    with path.open("ab") as file:  # which the time of its folder does not show
        file.write(b"more")
    repo.purge("k@v1")
    assert path.read_bytes() == stub(whole)
    assert leaks(repo.root / ".art") == []
    assert not repo.fsck(data=True).problems


def test_a_missing_pack_of_another_version_stops_it(repo: Repo) -> None:
    leak(repo)
    put(repo, "other", 5, 300_000)
    tree = repo.version("other").payload.tree  # type: ignore[union-attr]
    (pack,) = repo._store.objects.stored(str(tree)).packs()  # type: ignore[union-attr]
    path = repo.root / ".art" / pack_name(pack)
    path.rename(repo.root / "pack")
    with pytest.raises(PartialError, match="is purged, but its bytes are still at .* other@v1"):
        repo.purge("k@v1")
    assert state(repo, "k@v1") == "purged"
    assert leaks(repo.root / ".art/packs")
    (repo.root / "pack").rename(path)
    repo.gc()
    assert leaks(repo.root / ".art") == []


# -- remotes and clones --------------------------------------------------------------------------


def test_at_a_remote_and_in_clones_it_is_nowhere(place: Place) -> None:
    a = place.repos["a"]
    files = leak(a, title=SECRET.decode())
    a.push()
    clone = place.clone("c")
    clone.pull(all=True)
    assert leaks_at(place)
    assert leaks(clone.root / ".art")
    a.purge("k@v1", remote="origin")
    assert leaks(a.root / ".art") == []
    assert leaks_at(place) == []
    clone.fetch()
    assert state(clone, "k@v1") == "purged"
    clone.gc()
    assert leaks(clone.root / ".art") == []
    assert contents_of(clone) == {clone.version("k@v2").id: files}
    place.check({clone.version("k@v2").id: files})
    fresh = place.clone("d")
    assert fresh.version("k@v2").read("f01") == files["f01"]
    assert leaks(fresh.root / ".art") == []


def test_a_clone_that_does_not_know_pushes_later(place: Place) -> None:
    a = place.repos["a"]
    files = leak(a, title=SECRET.decode())
    a.push()
    clone = place.clone("c")
    clone.pull(all=True)
    a.purge("k@v1", remote="origin")
    clone.create("k", lay_out(place.root / "next", files | {"new": b"1"}))
    clone.tag("k@v2", "prod")
    clone.push()
    assert leaks_at(place) == []
    clone.fetch()
    clone.gc()
    assert leaks(clone.root / ".art") == []
    assert clone.version("k@v3").read("f02") == files["f02"]
    a.fetch()
    assert a.version("k@v3").read("new") == b"1"
    assert leaks(a.root / ".art") == []


def test_a_clone_whose_last_version_it_was_takes_the_stub_and_forgets_the_bytes(
    place: Place,
) -> None:
    """The stub comes with the versions, before what is said of them."""
    a = place.repos["a"]
    files = {f"f{n:02}": random_bytes(6000, n) for n in range(20)}
    folder = lay_out(place.root / "f", files | {"secret": LEAK})
    a.create("k", folder)
    (folder / "secret").unlink()
    a.create("other", folder)
    a.push()
    clone = place.clone("c")
    clone.pull(all=True)
    a.purge("k@v1", remote="origin")
    clone.fetch()
    clone.gc()
    assert leaks(clone.root / ".art") == []
    assert clone.version("other").read("f01") == files["f01"]


def test_purged_here_and_pushed_it_goes_there_with_gc(place: Place) -> None:
    a = place.repos["a"]
    files = leak(a, title=SECRET.decode())
    a.push()
    a.purge("k@v1")
    a.push()
    a.gc(remote="origin")
    assert leaks_at(place) == []
    place.check({a.version("k@v2").id: files})


def test_checkpoints_with_it_go_and_do_not_come_again(place: Place) -> None:
    a = place.repos["a"]
    a.create("k", lay_out(place.root / "s", {"secret": LEAK}), title=SECRET.decode())
    for number in range(63):
        a.markdown("k", f"# {number}")
    a.push()
    clone = place.clone("c")
    a.purge("k@v1", remote="origin")
    assert leaks_at(place) == []
    assert not list(place.inner.walk("checkpoints/manifests/k"))
    for number in range(64):
        clone.markdown("k", f"# more {number}")
    clone.push()
    assert leaks_at(place) == []


def test_a_clone_that_does_not_know_writes_no_checkpoint_with_it(place: Place) -> None:
    a = place.repos["a"]
    a.create("k", lay_out(place.root / "s", {"secret": LEAK}), title=SECRET.decode())
    a.markdown("k", "# second")
    a.push()
    clone = place.clone("c")
    a.purge("k@v1", remote="origin")
    for number in range(62):
        clone.markdown("k", f"# {number}")
    clone.push()
    assert leaks_at(place) == []
    fresh = place.clone("d")
    assert state(fresh, "k@v1") == "purged"


def test_damage_of_another_key_at_the_remote_keeps_the_bytes_only_until_it_is_mended(
    place: Place,
) -> None:
    a = place.repos["a"]
    files = leak(a, title=SECRET.decode())
    put(a, "other", 5)
    a.push()
    name = "manifests/other/v00000001.yaml"
    whole = place.inner.read(name)
    place.inner.replace(name, whole.replace(b"other", b"0ther"))
    with pytest.raises(PartialError, match="k@v1 is purged, but its bytes are still at") as error:
        a.purge("k@v1", remote="origin")
    assert error.value.hint == ("art fsck --remote origin --repair, then art gc --remote origin")
    assert leaks(a.root / ".art") == []
    assert leaks_at(place)
    assert not [found for found in leaks_at(place) if not found.startswith("packs/")]
    with pytest.raises(CorruptError):
        a.gc(remote="origin")
    a.execute_repair(a.plan_repair(remote="origin"))
    assert place.inner.read(name) == whole
    a.gc(remote="origin")
    assert leaks_at(place) == []
    assert place.clone("d").version("k@v2").read("f01") == files["f01"]


def test_what_is_refused_here_is_not_done_at_the_remote_before(place: Place) -> None:
    a = place.repos["a"]
    leak(a)
    a.push()
    a.tag("k@v1", "prod")
    with pytest.raises(ConflictError, match="prod"):
        a.purge("k@v1", remote="origin")
    clone = place.clone("c")
    assert state(clone, "k@v1") == "live"


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_request_it_is_finished_by_doing_it_again_or_by_gc(
    tmp_path: Path, late: bool
) -> None:
    def die() -> None:
        raise Death

    for at in range(1, 40):
        root = tmp_path / str(at)
        root.mkdir()
        place = Place(root)
        try:
            a = place.add("a")
            files = leak(a, title=SECRET.decode())
            a.push()
            kinds = ("create", "replace", "upload", "delete")
            place.watched.arm(at, die, late=late, kinds=kinds)
            is_over = False
            try:
                a.purge("k@v1", remote="origin")
                is_over = True
            except Death:
                place.watched.act = None
                place.check(expected(a, files))
                a.close()
                a = place.repos["a"] = Repo(root / "a")
            if at % 2:
                a.purge("k@v1", remote="origin")
            else:
                a.gc(remote="origin")
                a.purge("k@v1", remote="origin")
            assert [name for name in leaks_at(place) if not name.startswith("tmp/")] == [], at
            assert leaks(a.root / ".art") == [], at
            place.check({a.version("k@v2").id: files})
        finally:
            place.close()
        if is_over:
            return
    raise AssertionError("it never ends")


def expected(repo: Repo, files: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    first, second = repo.history("k")[::-1]
    return {first.id: files | {"secret": LEAK}, second.id: files}


def test_a_purge_while_others_push_what_they_share_loses_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        a = place.add("a")
        files = leak(a)
        a.push()
        contents = expected(a, files)
        clone = place.clone("c")
        clone.pull(all=True)
        for at in range(3, 16):
            seed = 1000 + at
            more = files | {"secret": SECRET + b"%d" % seed * 500}
            made = a.create("k", lay_out(tmp_path / f"l{at}", more))
            contents[made.version.id] = more
            a.push()
            clone.fetch()
            clone.pull(all=True)
            theirs = files | {"own": b"%d" % at}
            new = clone.create("k", lay_out(tmp_path / f"n{at}", theirs), base=None)
            contents[new.version.id] = theirs
            ref = made.version.ref
            place.watched.arm(at, lambda ref=ref: a.purge(ref, remote="origin") and None)  # type: ignore[misc]
            pushed = clone.push()
            place.watched.act = None
            assert pushed.left == []
            assert new.version.id in place.live()
            place.check(contents)
            a.fetch()
    finally:
        place.close()


def test_copies_that_an_interrupted_push_left_go(repo: Repo) -> None:
    put(repo, "k", 1, secret=LEAK)
    pack = repo.root / ".art/sync/019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10/packs/ab/ab.pack"
    pack.parent.mkdir(parents=True)
    pack.write_bytes(LEAK)
    repo.purge("k@v1")
    assert leaks(repo.root / ".art") == []


def test_objects_of_a_purged_version_are_no_layouts_either(repo: Repo) -> None:
    put(repo, "k", 1, secret=LEAK)
    tree = repo.version("k").payload.tree  # type: ignore[union-attr]
    repo.purge("k@v1")
    objects = ObjectStore(repo._backend, Chunking())
    assert objects.stored(str(tree)) is None


def test_what_was_moved_before_others_purged_it_is_purged_too(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        a = place.add("a")
        leak(a)
        a.push()
        clone = place.clone("c")
        clone.pull(all=True)
        clone.move("k", "elsewhere")
        clone.move("elsewhere", "moved")
        a.purge("k@v1", remote="origin")
        clone.push()
        assert [record.state for record in clone.history("moved")] == ["live", "purged"]
        clone.push()
        clone.gc(grace="0s")
        assert leaks(clone.root / ".art") == []
        clone.gc(remote="origin", grace="0s")
        assert leaks_at(place) == []
    finally:
        place.close()
