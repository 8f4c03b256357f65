"""What gc frees and what it never touches, here and at remotes. Where it dies: `test_gc_crash.py`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import art
import art.catalog
from art import document as documents
from art.backend import Item, LocalBackend
from art.disk import lock
from art.errors import ArtError, CorruptError, NewerFormatError
from art.model import Chunking
from art.objects import ObjectStore
from art.pack import pack_name
from art.repo import Repo
from tests.support import lay_out
from tests.support_faults import Death
from tests.support_gc import Place, age, contents_of, put, sizes
from tests.support_processes import finish, started
from tests.support_state import random_bytes

# `ART_TEST_STEP=1` tries every single call, by default every third.
_STEP = int(os.environ.get("ART_TEST_STEP", "3"))


@pytest.fixture
def place(place: Place) -> Place:
    place.add("b")
    return place


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    found.add("a")
    found.add("b")
    yield found
    found.close()


def total(repo: Repo) -> int:
    return sum(sizes(repo).values())


def state(repo: Repo, ref: str) -> str:
    (found,) = repo.states(ref)
    return found


def layouts_of(repo: Repo, ref: str) -> list[Path]:
    payload = repo.version(ref).payload
    assert payload
    assert payload.tree
    return list((repo.root / ".art/layouts" / payload.tree[:2] / payload.tree).iterdir())


def make_shared(repo: Repo) -> None:
    """Make versions that share chunks, lists of chunks, layouts and packs; some are deleted."""
    files = {f"f{n}": random_bytes(9000, n) for n in range(30)}
    folder = lay_out(repo.root.parent / "shared", files)
    for number in range(4):
        (folder / "large").write_bytes(random_bytes(400_000, number % 2))
        (folder / f"new{number}").write_bytes(random_bytes(3000, 100 + number))
        repo.create("k", folder)
    repo.create("one", folder / "f3")
    put(repo, "alone", 900, 200_000)
    put(repo, None, 901)
    repo.delete("k@v1", "k@v3", "alone", force=True)


# -- what stays ----------------------------------------------------------------------------------


def test_nothing_that_is_live_or_can_be_restored_goes(repo: Repo) -> None:
    make_shared(repo)
    before = contents_of(repo)
    repo.gc()
    assert contents_of(repo) == before
    assert repo.gc().freed_bytes == 0


def test_what_was_deleted_long_ago_goes_and_the_rest_reads_back(repo: Repo) -> None:
    make_shared(repo)
    live = {r.id for r in repo.history("k") + repo.history("one") if r.is_live}
    before = {id: files for id, files in contents_of(repo).items() if id in live}
    size = total(repo)
    planned = repo.plan_gc(grace="0s")
    assert {record.ref for record in planned.expired} == {"k@v1", "k@v3", "alone@v1"}
    done = repo.gc(grace="0s")
    assert done.swept == 3
    assert done.freed_bytes == size - total(repo) > 200_000
    assert {id: files for id, files in contents_of(repo).items() if id in live} == before
    assert state(repo, "alone@v1") == "swept"
    assert not [finding for finding in repo.doctor(data=True) if finding.level == "error"]


def test_a_second_run_has_nothing_to_do(repo: Repo) -> None:
    make_shared(repo)
    repo.gc(grace="0s")
    before = sizes(repo)
    assert repo.plan_gc(grace="0s").is_empty
    done = repo.gc(grace="0s")
    assert (done.freed_bytes, done.packs, done.swept) == (0, 0, 0)
    assert sizes(repo) == before


def test_small_packs_are_joined_once(repo: Repo) -> None:
    for number in range(12):
        put(repo, f"k/{number}", number)
    before = contents_of(repo)
    assert repo.gc().packs == 12
    assert len([name for name in sizes(repo) if name.startswith("packs")]) == 1
    assert contents_of(repo) == before
    assert repo.plan_gc().is_empty


def test_what_a_tag_names_stays_after_its_version_was_deleted(repo: Repo) -> None:
    put(repo, "k", 1)
    put(repo, "k", 2)
    repo.tag("k@v1", "prod")
    repo.delete("k@v1", "k@v2", force=True)
    assert repo.gc(grace="0s").swept == 1
    assert state(repo, "k@v1") == "deleted"
    repo.restore("k@v1")
    assert repo.version("k@prod").read("x") == random_bytes(5000, 1)


def test_inputs_of_live_versions_stay_also_where_they_were_moved(repo: Repo) -> None:
    put(repo, "raw", 1)
    repo.create("made", lay_out(repo.root / "out", {"y": b"made"}), inputs=["raw@v1"])
    repo.move("raw", "raw2")
    repo.delete("raw2@v1", force=True)
    assert repo.gc(grace="0s").swept == 0
    repo.restore("raw2@v1")
    assert repo.version("raw2@v1").read("x") == random_bytes(5000, 1)
    repo.delete("made", "raw2@v1", force=True)
    assert repo.gc(grace="0s").swept == 2


def test_a_deletion_counts_from_the_later_of_two_clocks(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(days=40)
    put(repo, "written/lately", 1)
    put(repo, "said/lately", 2)
    put(repo, "long/ago", 3)
    with monkeypatch.context() as patch:
        patch.setattr(art.catalog, "now", lambda: long_ago.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        repo.delete("written/lately", "long/ago")
    repo.delete("said/lately")
    age(repo.root / ".art/refs/said", 40)
    age(repo.root / ".art/refs/long", 40)
    assert [record.ref for record in repo.plan_gc().expired] == ["long/ago@v1"]


def test_a_clock_that_was_set_back_expires_nothing(repo: Repo) -> None:
    put(repo, "k", 1)
    repo.delete("k")
    age(repo.root / ".art/refs", -3)  # written in what is the future now
    assert repo.plan_gc(grace="0s").expired == []


@pytest.mark.parametrize(
    "look",
    [
        lambda repo: list(repo.version("k0").files),
        lambda repo: repo.version("k0").read("x"),
        lambda repo: repo.fsck(data=True).problems,
        lambda repo: [found for found in repo.doctor() if found.level == "error"],
    ],
    ids=["files", "read", "fsck", "doctor"],
)
def test_who_reads_what_is_put_into_other_packs_at_this_moment_finds_no_damage(
    look: Callable[[Repo], object], repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        put(repo, f"k{number}", number)
    expected = look(repo)
    names, walk, left = LocalBackend.names, LocalBackend.walk, ["once"]

    def collect(directory: str) -> None:
        if directory.startswith("layouts") and left and is_free(repo):
            left.clear()
            with Repo(repo.root) as other:
                assert other.gc().packs == 9

    def late_names(self: LocalBackend, directory: str) -> list[str]:
        found = names(self, directory)
        collect(directory)
        return found

    def late_walk(self: LocalBackend, prefix: str) -> Iterator[Item]:
        found = list(walk(self, prefix))
        collect(prefix)
        yield from found

    monkeypatch.setattr(LocalBackend, "names", late_names)
    monkeypatch.setattr(LocalBackend, "walk", late_walk)
    assert look(repo) == expected


def is_free(repo: Repo) -> bool:
    """Whether gc need not wait for anybody."""
    with open(repo.root / ".art" / "locks" / "gc", "w") as handle:
        return lock(handle.fileno(), is_shared=False, waits=False)


def test_no_version_is_restored_whose_bytes_go_at_this_moment(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(repo, "k", 1)
    repo.delete("k")
    stored = ObjectStore.stored

    def late(self: ObjectStore, *arguments: Any) -> object:
        found = stored(self, *arguments)
        monkeypatch.setattr(ObjectStore, "stored", stored)
        if is_free(repo):
            with Repo(repo.root) as other:
                assert other.gc(grace="0s").swept
        return found

    monkeypatch.setattr(ObjectStore, "stored", late)
    assert [version.ref for version in repo.restore("k@v1")] == ["k@v1"]
    assert repo.version("k").read("x") == random_bytes(5000, 1)


def test_a_restoration_that_came_first_is_seen(repo: Repo, tmp_path: Path) -> None:
    put(repo, "k", 1)
    repo.delete("k")
    with Repo(repo.root) as other:
        collector = repo._keeping._local(0)
        plan = collector.plan()
        other.restore("k@v1")
        done = collector.execute(plan)
    assert (done.swept, done.packs) == (0, 0)
    assert repo.version("k").read("x") == random_bytes(5000, 1)


def test_a_layout_goes_on_where_the_version_it_extends_went(repo: Repo) -> None:
    files = {f"f{n:03}": random_bytes(4000, n) for n in range(200)}
    folder = lay_out(repo.root / "d", files)
    repo.create("k", folder)
    (folder / "f007").write_bytes(b"changed")
    repo.create("k", folder)
    repo.delete("k@v1")
    before = contents_of(repo)
    repo.gc(grace="0s")
    id = repo.version("k@v2").id
    assert contents_of(repo) == {id: before[id]}
    assert repo.plan_gc(grace="0s").is_empty


def test_text_and_notes_need_no_packs(repo: Repo) -> None:
    repo.markdown("k", "# text")
    repo.create("k", title="nothing")
    assert repo.gc().freed_bytes == 0


# -- what stops it -------------------------------------------------------------------------------


def spoil_gap(repo: Repo) -> None:
    (repo.root / ".art/manifests/k/v00000002.yaml").unlink()


def spoil_state_gap(repo: Repo) -> None:
    repo.delete("k@v3")
    repo.restore("k@v3")
    (repo.root / ".art/refs/k/_state/00000002.yaml").unlink()


def spoil_manifest(repo: Repo) -> None:
    path = repo.root / ".art/manifests/k/v00000002.yaml"
    path.write_bytes(path.read_bytes().replace(b"k", b"l", 1))
    (repo.root / ".art/index.sqlite").unlink()
    repo._database.close()


def spoil_layout(repo: Repo) -> None:
    for path in layouts_of(repo, "k@v2"):
        path.write_bytes(b"ARTLAYT\1 no")


def lose_layout(repo: Repo) -> None:
    for path in layouts_of(repo, "k@v2"):
        path.unlink()


def lose_pack(repo: Repo) -> None:
    names = [name for name in sizes(repo) if name.startswith("packs")]
    (repo.root / ".art" / names[0]).unlink()


def cut_pack(repo: Repo) -> None:
    names = [name for name in sizes(repo) if name.startswith("packs")]
    path = repo.root / ".art" / names[0]
    path.write_bytes(path.read_bytes()[:-20])


def spoil_all_chunks(repo: Repo) -> None:
    """What is to be moved is damaged: it is read, and nothing was removed before."""
    for name in sizes(repo):
        if name.startswith("packs"):
            path = repo.root / ".art" / name
            data = bytearray(path.read_bytes())
            data[40:3000] = bytes(2960)
            path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_gap,
        spoil_state_gap,
        spoil_manifest,
        spoil_layout,
        lose_layout,
        lose_pack,
        cut_pack,
        spoil_all_chunks,
    ],
)
def test_damage_stops_it_and_nothing_changes(repo: Repo, spoil: object) -> None:
    for number in range(3):
        put(repo, "k", number)
    for number in range(10):
        put(repo, "other", number, 3000)
    repo.delete("k@v1", "other@v1")
    spoil(repo)  # type: ignore[operator]
    before = sizes(repo)
    refs = {p: p.read_bytes() for p in (repo.root / ".art/refs").rglob("*.yaml")}
    with pytest.raises(CorruptError):
        repo.gc(grace="0s")
    assert before.items() <= sizes(repo).items()
    assert {p: p.read_bytes() for p in (repo.root / ".art/refs").rglob("*.yaml")} == refs


def test_an_index_that_misses_a_version_stops_it(repo: Repo) -> None:
    for number in range(3):
        put(repo, "k", number)
    repo.history("k")
    key_dir = repo.root / ".art/manifests/k"
    os.utime(key_dir, ns=(10**18, 10**18))
    repo.listing()
    repo._database.execute("DELETE FROM versions WHERE number = 2")
    before = sizes(repo)
    with pytest.raises(CorruptError, match="index"):
        repo.gc(grace="0s")
    assert sizes(repo) == before


def test_drafts_of_a_newer_art_stop_it(repo: Repo) -> None:
    put(repo, "k", 1)
    lay_out(repo.root / ".art/drafts/k/_/part", {"x": b"?"})
    with pytest.raises(NewerFormatError, match="drafts"):
        repo.gc(grace="0s")


# -- together with others ------------------------------------------------------------------------

_WRITER = """
import random
for turn in range(12):
    path = Path(folder, f"file-{number}-{turn}")
    path.write_bytes(random.Random(number * 1000 + turn % 4).randbytes(30000))
    made = repo.create(f"k/{number}", path)
    say(id=made.version.id, text=turn % 4)
    if turn % 3 == 2:
        repo.delete(f"k/{number}@v{turn - 1}")
"""
_COLLECTOR = """
for turn in range(12):
    say(freed=repo.gc(grace="0s").freed_bytes)
"""
_READER = """
import random
for turn in range(20):
    target = Path(folder, f"got-{number}-{turn}")
    repo.version("stays").get(target)
    assert target.read_bytes() == random.Random(77).randbytes(30000)
"""


def test_writers_and_readers_in_other_processes_go_on(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import random

    (tmp_path / "stays").write_bytes(random.Random(77).randbytes(30000))
    repo.create("stays", tmp_path / "stays")
    for number in range(9):
        put(repo, "small", number, 100)
    monkeypatch.chdir(repo.root)
    with started(tmp_path / "go", _WRITER, _WRITER, _COLLECTOR, _READER) as children:
        said = [finish(child) for child in children]
    repo.gc(grace="0s")
    for number in range(2):
        live = {record.id for record in repo.history(f"k/{number}") if record.is_live}
        for made in said[number]:
            if made["id"] in live:
                (file,) = contents_of(repo)[made["id"]].values()
                assert file == random.Random(number * 1000 + made["text"]).randbytes(30000)


# -- clones --------------------------------------------------------------------------------------


def test_a_clone_without_payloads_has_nothing_to_free(place: Place) -> None:
    a = place.repos["a"]
    for number in range(3):
        put(a, "k", number)
    a.push()
    clone = place.clone("c")
    assert clone.plan_gc().is_empty
    assert clone.version("k@v2").read("x") == random_bytes(5000, 1)
    clone.gc()
    assert clone.version("k@v1").read("x") == random_bytes(5000, 0)


def test_published_versions_are_not_swept_here_and_come_again(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    put(a, "k", 2)
    a.push()
    a.delete("k@v1")
    done = a.gc(grace="0s")
    assert done.swept == 0
    assert done.packs >= 1
    assert state(a, "k@v1") == "deleted"
    a.restore("k@v1")
    assert a.version("k@v1").read("x") == random_bytes(5000, 1)


# -- at a remote ---------------------------------------------------------------------------------


def test_at_a_remote_packs_are_marked_first_and_deleted_later(place: Place) -> None:
    a = place.repos["a"]
    contents = {put(a, "k", n): {"x": random_bytes(5000, n)} for n in (1, 2)}
    a.push()
    a.delete("k@v1")
    a.push()
    place.pass_days(31)
    packs = place.packs()
    first = a.gc(remote="origin", grace="30d")
    assert (first.swept, first.packs, first.waiting) == (1, 0, 1)
    assert place.packs() == packs
    place.pass_days(20)
    assert a.gc(remote="origin", grace="30d").packs == 0  # the mark is younger than the grace
    place.pass_days(11)
    last = a.gc(remote="origin", grace="30d")
    assert last.packs == 1
    assert last.freed_bytes > 5000
    place.check(contents)
    (gone,) = packs - place.packs()
    assert place.marks() == {gone}  # for those who rely on it
    place.pass_days(31)
    a.gc(remote="origin", grace="30d")
    assert place.marks() == set()
    assert a.plan_gc(remote="origin", grace="30d").is_empty


def test_a_mark_stays_a_day_at_least(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    a.push()
    a.delete("k")
    a.push()
    place.pass_days(2)
    assert a.gc(remote="origin", grace="0s").waiting == 1
    place.pass_days(0.9)
    assert a.gc(remote="origin", grace="0s").packs == 0
    place.pass_days(0.2)
    assert a.gc(remote="origin", grace="0s").packs == 1


def test_what_is_young_may_be_of_a_push_that_goes_on(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    a.push()
    a.delete("k")
    a.push()
    assert a.gc(remote="origin", grace="0s").waiting == 0
    assert place.marks() == set()


def test_a_pack_that_is_needed_again_is_spared(place: Place) -> None:
    a, b = place.repos["a"], place.repos["b"]
    id = put(a, "k", 1)
    a.push()
    b.pull()
    a.delete("k")
    a.push()
    place.pass_days(2)
    a.gc(remote="origin", grace="0s")
    assert len(place.marks()) == 1
    again = put(b, "again", 1)
    b.push()  # what is marked goes again
    assert len(place.packs()) == 2
    place.pass_days(2)
    a.gc(remote="origin", grace="0s")
    assert len(place.packs()) == 1
    contents = {id: {"x": random_bytes(5000, 1)}, again: {"x": random_bytes(5000, 1)}}
    place.check(contents)


def test_a_restored_version_brings_its_payload_again(place: Place) -> None:
    a, b = place.repos["a"], place.repos["b"]
    id = put(a, "k", 1)
    a.push()
    b.pull()
    b.delete("k")
    b.push()
    a.fetch()
    a.restore("k@v1")
    for _ in range(2):
        place.pass_days(2)
        b.gc(remote="origin", grace="0s")
    assert place.packs() == set()
    pushed = a.push()
    assert pushed.left == []
    assert pushed.packs == 1
    assert id in place.live()
    place.check({id: {"x": random_bytes(5000, 1)}})
    b.fetch()
    assert b.version("k@v1").read("x") == random_bytes(5000, 1)


def test_a_restored_version_whose_payload_is_nowhere_is_held_back(place: Place) -> None:
    a, b = place.repos["a"], place.repos["b"]
    put(a, "k", 1)
    a.push()
    b.fetch()
    a.delete("k")
    a.push()
    b.fetch()
    b.restore("k@v1")  # its bytes are thought to be at the remote
    for _ in range(2):
        place.pass_days(2)
        a.gc(remote="origin", grace="0s")
    pushed = b.push()
    assert pushed.entries == 0
    assert ["_state" in left.ref for left in pushed.left] == [True]
    assert place.live() == {}


def test_what_the_remote_lost_stops_gc_there(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    put(a, "other", 2)
    a.push()
    place.inner.delete("manifests/other/v00000001.yaml")
    place.pass_days(2)
    with pytest.raises(CorruptError, match="lost"):
        a.gc(remote="origin", grace="0s")
    assert place.marks() == set()


def test_a_missing_pack_stops_gc_there(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    put(a, "other", 2)
    a.push()
    a.delete("other")
    a.push()
    place.pass_days(2)
    tree = a.version("k").payload.tree  # type: ignore[union-attr]
    (pack,) = a._store.objects.stored(str(tree)).packs()  # type: ignore[union-attr]
    place.inner.delete(pack_name(pack))
    before = place.packs()
    with pytest.raises(CorruptError, match="missing"):
        a.gc(remote="origin", grace="0s")
    assert place.packs() == before


def make_history(place: Place) -> dict[str, dict[str, bytes]]:
    a = place.repos["a"]
    files = {f"f{n:03}": random_bytes(3000, n) for n in range(40)}
    contents = {}
    for number in range(4):
        files |= {f"f{number:03}": b"changed %d" % number, "large": random_bytes(90_000, number)}
        made = a.create("k", lay_out(place.root / f"v{number}", files))
        contents[made.version.id] = dict(files)
        a.push()
    for number in range(9):
        contents[put(a, "small", number, 100)] = {"x": random_bytes(100, number)}
        a.push()
    a.delete("k@v1", "k@v3", "small@v2")
    a.push()
    return contents


def test_packs_little_of_which_is_needed_are_repacked_and_small_ones_joined(place: Place) -> None:
    contents = make_history(place)
    a = place.repos["a"]
    before = sum(item.size for item in place.inner.walk("packs"))
    for _ in range(4):
        place.pass_days(2)
        a.gc(remote="origin", grace="0s")
        place.check(contents)
    assert sum(item.size for item in place.inner.walk("packs")) < before
    assert len(place.packs()) < 8
    assert a.plan_gc(remote="origin", grace="0s").is_empty
    clone = place.clone("c")
    clone.pull(all=True)
    assert contents_of(clone).items() <= contents.items()


def test_gc_between_any_two_requests_of_a_push_loses_nothing(memory: Place) -> None:
    """Gc marks, and deletes days later, while somebody pushes who relies on what it deletes."""
    a, b = memory.repos["a"], memory.repos["b"]
    contents: dict[str, dict[str, bytes]] = {}
    base = {f"f{n:03}": random_bytes(3000, n) for n in range(40)}

    def keep(days: list[float]) -> None:
        for each in days:
            memory.pass_days(each)
            a.gc(remote="origin", grace="0s")

    for at in range(4, 17, _STEP):
        for days in ([2.0] * 4, [2.0] * (1 + at % 3)):
            key = f"k/{at}-{len(days)}"
            files = base | {"own": random_bytes(100, at * 10 + len(days))}
            first = a.create(key, lay_out(memory.root / "first", files))
            contents[first.version.id] = files
            a.push(key)
            b.pull(key)
            a.delete(key)
            a.push(key)
            files = files | {"own2": random_bytes(100, at)}
            made = b.create(key, lay_out(memory.root / f"second-{at}", files))
            contents[made.version.id] = files
            memory.watched.arm(at, lambda days=days: keep(days))  # type: ignore[misc]
            pushed = b.push(key)
            memory.watched.act = None
            assert pushed.left == []
            assert made.version.id in memory.live()
            memory.check(contents)
            b.delete(key)
            b.push(key)
            a.fetch()
            keep([2.0, 2.0])


@pytest.mark.parametrize("is_same", [True, False])
def test_a_layout_whose_packs_are_gone_is_not_relied_on(memory: Place, *, is_same: bool) -> None:
    """A push that was killed may have left it, when gc had deleted them and taken their marks away."""
    a, b = memory.repos["a"], memory.repos["b"]
    files = {f"f{n:03}": random_bytes(3000, n) for n in range(40)}
    a.create("k", lay_out(memory.root / "first", files))
    a.push()
    b.pull(all=True)
    a.delete("k")
    a.push()
    for pack in memory.packs():
        memory.inner.delete(pack_name(pack))
    files |= {} if is_same else {"f000": b"changed"}
    made = b.create("again" if is_same else "k", lay_out(memory.root / "second", files)).version
    assert b.push().left == []
    assert made.id in memory.live()
    memory.check({made.id: files})
    assert made.payload
    for found in ObjectStore(memory.inner, Chunking()).readings(str(made.payload.tree)):
        assert found.packs() <= memory.packs()


def test_the_plan_of_a_remote_changes_nothing(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    a.push()
    a.delete("k")
    a.push()
    place.pass_days(2)
    names = {item.name for item in place.inner.walk("") if not item.name.startswith("tmp")}
    plan = a.plan_gc(remote="origin", grace="0s")
    assert len(plan.expired) == 1
    assert plan.waiting_bytes > 5000
    assert {i.name for i in place.inner.walk("") if not i.name.startswith("tmp")} == names


def test_entries_say_who_swept(place: Place) -> None:
    a = place.repos["a"]
    put(a, "k", 1)
    a.push()
    a.delete("k")
    a.push()
    place.pass_days(2)
    a.gc(remote="origin", grace="0s")
    data = place.inner.read("refs/k/_state/00000002.yaml")
    entry = documents.decode(data, "entry")
    assert entry["state"] == "swept"
    assert json.dumps(entry["versions"])
    a.fetch()
    with pytest.raises(ArtError):
        a.restore("k@v1")


def test_a_push_that_stood_still_for_days_looks_again_before_a_version_comes(
    memory: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies right after the version is there, so that it has no other chance to look."""
    a, b = memory.repos["a"], memory.repos["b"]
    base = {f"f{n:03}": random_bytes(3000, n) for n in range(20)}
    contents: dict[str, dict[str, bytes]] = {}
    create = memory.inner.create
    is_armed = False

    def die_after(name: str, data: bytes) -> bool:
        made = create(name, data)
        if is_armed and name.startswith("manifests/k/"):
            raise Death
        return made

    def keep() -> None:
        nonlocal is_armed
        for _ in range(4):
            memory.pass_days(2)
            a.gc(remote="origin", grace="0s")
        is_armed = True

    monkeypatch.setattr(memory.inner, "create", die_after)
    for at in range(3, 40):
        key = f"k/{at}"
        files = base | {"own": random_bytes(100, 1000 + at)}
        contents[a.create(key, lay_out(memory.root / f"first-{at}", files)).version.id] = files
        a.push(key)
        b.pull(key)
        a.delete(key)
        a.push(key)
        files = files | {"own2": random_bytes(100, 2000 + at)}
        contents[b.create(key, lay_out(memory.root / f"second-{at}", files)).version.id] = files
        memory.watched.arm(at, keep)
        with contextlib.suppress(Death):
            b.push(key)
        is_last = not is_armed
        what, name = memory.watched.calls[min(at, len(memory.watched.calls)) - 1]
        is_armed, memory.watched.act = False, None
        if not (what == "create" and name.startswith("manifests/")):  # held after it had looked
            memory.check(contents)
        b.push()
        memory.check(contents)
        if is_last:
            break
    assert at > 8
