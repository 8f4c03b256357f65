"""Previews as files of stores: gc, purge, fsck and archives know them."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path

import pytest

import art
from art import previews
from art.errors import CorruptError, UnavailableError
from art.model import new_uid
from art.repo import Repo
from tests.support_gc import Place

ROWS = [{"name": f"ana {n}", "sum": n} for n in range(600)]


def here(repo: Repo) -> set[str]:
    return {item.name.rpartition("/")[2] for item in repo._backend.walk("previews")}


def there(place: Place) -> set[str]:
    return {item.name.rpartition("/")[2] for item in place.inner.walk("previews")}


def make(repo: Repo, key: str, at: int) -> str:
    """Make a table of its own; return the digest of its preview."""
    repo.table(key, [{"name": f"secret-{at}", "sum": at}, *ROWS])
    return str(repo.version(key).manifest.document["preview"])


def test_gc_takes_previews_that_no_version_names_which_stays(repo: Repo) -> None:
    first, second = make(repo, "t", 1), make(repo, "t", 2)
    repo.delete("t@v1")
    repo.gc(grace="7d")
    assert here(repo) == {first, second}
    size = repo._backend.size(previews.preview_name(first))
    plan = repo.plan_gc(grace="0s")
    assert plan.previews == {previews.preview_name(first): size}
    assert plan.freed_bytes >= (size or 0) > 0
    repo.gc(grace="0s")
    assert here(repo) == {second}
    assert repo.version("t").preview is not None
    assert repo.plan_gc(grace="0s").is_empty


def test_a_preview_that_a_tag_keeps_or_another_version_has_stays(repo: Repo) -> None:
    first, second = make(repo, "t", 1), make(repo, "t", 2)
    repo.tag("t@v1", "prod")
    repo.delete("t@v1", force=True)
    repo.copy("t@v2", "u")
    repo.delete("t@v2", force=True)
    repo.gc(grace="0s")
    assert here(repo) == {first, second}


def test_at_a_remote_only_previews_that_are_old_go(place: Place) -> None:
    a = place.repos["a"]
    first, second = make(a, "t", 1), make(a, "t", 2)
    a.push()
    young = previews.put(place.inner, b'{"art":1,"kind":"text"}')  # of a push that goes on
    a.delete("t@v1")
    a.push()
    a.gc(remote="origin", grace="0s")
    assert there(place) == {first, second, young}
    place.pass_days(2)
    done = a.gc(remote="origin", grace="0s")
    assert there(place) == {second}
    assert done.freed_bytes > 0
    assert a.plan_gc(remote="origin", grace="0s").previews == {}


def test_a_purge_removes_the_preview_at_once_here_and_there(place: Place) -> None:
    a = place.repos["a"]
    first, second = make(a, "t", 1), make(a, "t", 2)
    a.push()
    clone = place.clone("c")
    assert clone.version("t@v1").preview is not None
    (here_done, there_done) = a.purge("t@v1", remote="origin")
    assert not here_done.keeps_preview
    assert not there_done.keeps_preview
    assert here(a) == there(place) == {second}
    stub = a._store.catalog.manifest("t", 1)
    assert stub.document["purged"]["preview"] == first
    clone.fetch()
    clone.gc()
    assert first not in here(clone)
    assert clone.version("t").preview is not None
    for path in (a.root / ".art").rglob("*"):
        assert not path.is_file() or b"secret-1" not in path.read_bytes(), path


def test_a_preview_of_a_text_goes_with_a_purge_though_there_is_no_payload_in_packs(
    repo: Repo,
) -> None:
    digest = previews.put(repo._backend, b'{"art":1,"kind":"text","head":"x"}')
    (repo.root / "x.txt").write_text("a text\n" * 3)
    repo.create("t", repo.root / "x.txt")
    repo.gc(grace="0s")
    assert digest not in here(repo)
    repo.purge("t@v1")
    assert here(repo) == set()


def test_what_another_version_shows_as_well_stays_and_is_told(repo: Repo) -> None:
    digest = make(repo, "t", 1)
    repo.copy("t@v1", "u")
    (done,) = repo.purge("t@v1")
    assert done.keeps_preview
    assert here(repo) == {digest}
    (done,) = repo.purge("u@v1")
    assert not done.keeps_preview
    assert here(repo) == set()


def test_a_purge_that_others_learn_of_takes_the_preview_with_the_next_gc(place: Place) -> None:
    a = place.repos["a"]
    first, second = make(a, "t", 1), make(a, "t", 2)
    a.push()
    a.purge("t@v1")
    a.push()
    assert first in there(place)
    a.gc(remote="origin")
    assert there(place) == {second}


# -- checks ------------------------------------------------------------------------------------------


def spoil(repo: Repo, digest: str, data: bytes = b"{}") -> Path:
    path = repo.root / ".art" / previews.preview_name(digest)
    path.write_bytes(data)
    return path


def test_a_preview_that_is_not_what_its_name_says_is_damage(repo: Repo) -> None:
    first, second = make(repo, "t", 1), make(repo, "t", 2)
    assert repo.fsck(data=True).is_whole
    spoil(repo, first)
    assert repo.fsck().is_whole  # the structure: names and sizes
    (problem,) = repo.fsck(data=True).problems
    assert (problem.kind, problem.refs) == ("preview", ("t@v1",))
    assert first in problem.name
    with pytest.raises(CorruptError):
        _ = repo.version("t@v1").preview
    repo.delete("t@v1")
    repo.gc(grace="0s")
    assert repo.fsck(data=True).is_whole
    assert here(repo) == {second}


def test_a_preview_larger_than_any_is_damage_that_is_not_read(repo: Repo) -> None:
    digest = make(repo, "t", 1)
    with spoil(repo, digest).open("wb") as file:
        file.truncate(10 << 30)
    (problem,) = repo.fsck().problems
    assert "10737418240 bytes" in problem.message
    with pytest.raises(CorruptError):
        _ = repo.version("t").preview


def test_a_missing_preview_is_no_damage(repo: Repo) -> None:
    (repo.root / ".art" / previews.preview_name(make(repo, "t", 1))).unlink()
    report = repo.fsck(data=True)
    assert report.is_whole
    assert report.counts["missing_previews"] == 1
    assert repo.version("t").preview is None


def test_in_parts_every_preview_is_read_once(repo: Repo) -> None:
    digests = [make(repo, f"t{at}", at) for at in range(8)]
    read, found = 0, set()
    for digest in digests:
        spoil(repo, digest)
    for _ in range(30):
        report = repo.fsck(sample=0.1)
        read += report.counts.get("read_previews", 0)
        found |= {problem.name for problem in report.problems}
        if report.coverage and report.coverage.is_complete:
            break
    assert found == {previews.preview_name(digest) for digest in digests}
    assert read == len(digests)


def test_a_damaged_preview_is_taken_from_a_peer_or_out_of_the_way(
    repo: Repo, tmp_path: Path
) -> None:
    first, second = make(repo, "t", 1), make(repo, "t", 2)
    (tmp_path / "remote").mkdir()
    repo.remotes.add("origin", str(tmp_path / "remote"))
    repo.push()
    (tmp_path / "remote" / previews.preview_name(second)).unlink()
    spoil(repo, first)
    spoil(repo, second)
    done = repo.execute_repair(repo.plan_repair(data=True))
    assert not done.left
    assert len(done.quarantined) == 2
    assert here(repo) == {first}
    assert repo.version("t@v1").preview is not None
    assert repo.version("t@v2").preview is None
    assert repo.fsck(data=True).is_whole
    path = tmp_path / "remote" / previews.preview_name(first)
    path.write_bytes(b"{}")
    (problem,) = repo.fsck(remote="origin", data=True).problems
    assert problem.refs == ("t@v1",)
    repo.execute_repair(repo.plan_repair(remote="origin", data=True))
    assert repo.fsck(remote="origin", data=True).is_whole
    assert path.read_bytes() == repo._backend.read(previews.preview_name(first))


def test_records_of_runs_are_checked_as_documents(repo: Repo, tmp_path: Path) -> None:
    with repo.run("etl") as run:
        repo.save(1, "n")
    path = repo.root / ".art" / "runs" / f"{run.id}.yaml"
    report = repo.fsck()
    assert report.is_whole
    assert report.counts["runs"] == 1
    data = path.read_bytes()
    (path.parent / f"{new_uid()}.yaml").write_bytes(data)
    (path.parent / "notes.txt").write_text("mine")
    path.write_bytes(data.replace(b"completed", b"completes"))
    report = repo.fsck()
    assert {problem.kind for problem in report.problems} == {"document"}
    assert len(report.problems) == 2
    assert "runs/notes.txt" in {notice.name for notice in report.notices}


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_no_preview_and_harms_nobody(
    repo: Repo, tmp_path: Path, kind: str
) -> None:
    digest = make(repo, "t", 1)
    (tmp_path / "elsewhere").write_text("mine")
    path = repo.root / ".art" / previews.preview_name(digest)
    path.unlink()
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    repo.fsck(data=True)
    with contextlib.suppress(CorruptError):
        assert repo.version("t").preview is None
    repo.delete("t@v1")
    repo.gc(grace="0s")
    assert (tmp_path / "elsewhere").read_text() == "mine"


@pytest.mark.parametrize("named", ["../../../etc/passwd", "f" * 63, "F" * 64, "", "x" * 5000])
def test_a_manifest_that_names_what_can_be_no_preview_shows_none(repo: Repo, named: str) -> None:
    with pytest.raises(FileNotFoundError):
        previews.read(repo._backend, named)


# -- transfers and archives --------------------------------------------------------------------------


def test_the_record_of_a_run_goes_with_the_versions_that_name_it(place: Place) -> None:
    a = place.repos["a"]
    with a.run("etl", params={"rate": 2}) as run:
        make(a, "t", 1)
        assert a.version("t").run_record is None  # it goes on
    with a.run("other"):
        pass  # which no version names
    name = f"runs/{run.id}.yaml"
    a.push()
    assert [item.name for item in place.inner.walk("runs")] == [name]
    clone = place.clone("c")
    assert list(clone._backend.walk("runs")) == []
    record = clone.version("t").run_record
    assert record is not None
    assert (record["status"], record["params"]) == ("completed", {"rate": 2})
    assert clone._backend.read(name) == a._backend.read(name)
    assert clone.fsck().counts["runs"] == 1
    assert a.fsck(remote="origin").is_whole


def test_the_record_of_a_run_comes_when_it_is_written_where_its_versions_were_pushed_before(
    place: Place,
) -> None:
    a = place.repos["a"]
    with a.run("outer") as outer:
        with a.run("outer", step="inner") as inner:
            make(a, "t", 1)
            a.push()
        a.push()
        with a.run("later") as later:
            make(a, "local", 1)
    (a.root / "file").write_text("1")
    with a.run("part") as part:
        a.part("whole", a.root / "file", draft="d", name="x")
    with a.run("seal") as seal:
        a.seal("whole", draft="d", expect=1)
    there = {item.name for item in place.inner.walk("runs")}
    assert there == {f"runs/{run.id}.yaml" for run in (outer, inner, later, part, seal)}
    clone = place.clone("c")
    past = clone.get_run(outer.id)
    assert [step.id for step in past.steps.values()] == [inner.id, later.id]
    assert past.steps["inner"].outputs["t"].ref == "t@v1"


def test_the_record_of_a_run_comes_with_the_next_push_where_the_remote_was_away(
    tmp_path: Path,
) -> None:
    def away() -> None:
        raise UnavailableError("the remote is away")

    place = Place(tmp_path)
    try:
        a = place.add("a")
        with a.run("etl") as run:
            make(a, "t", 1)
            a.push()
            place.watched.arm(1, away, kinds=("create",))
        assert a.get_run(run.id).status == "completed"
        assert list(place.inner.walk("runs")) == []
        a.push()
        assert [item.name for item in place.inner.walk("runs")] == [f"runs/{run.id}.yaml"]
        place.watched.calls.clear()
        a.push()
        assert len(place.watched.calls) <= 2
    finally:
        place.close()


def test_it_is_there_before_the_manifest_and_nothing_to_push_asks_no_more(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        a = place.add("a")
        with a.run("etl"):
            make(a, "t", 1)
        place.watched.calls.clear()
        a.push()
        created = [name for what, name in place.watched.calls if what == "create"]
        (manifest,) = [at for at, name in enumerate(created) if name.startswith("manifests/")]
        beside = [name for name in created[:manifest] if name.startswith(("runs/", "previews/"))]
        assert len(beside) == 2
        place.watched.calls.clear()
        a.push()
        assert len(place.watched.calls) <= 2
    finally:
        place.close()


def test_a_damaged_record_is_not_sent_nor_shown(place: Place) -> None:
    a = place.repos["a"]
    with a.run("etl") as run:
        make(a, "t", 1)
    path = a.root / ".art" / "runs" / f"{run.id}.yaml"
    path.write_bytes(path.read_bytes().replace(b"etl", b"elt"))
    assert not a.push().left
    assert list(place.inner.walk("runs")) == []
    with pytest.raises(CorruptError):
        _ = a.version("t").run_record


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz", "all.zip"])
@pytest.mark.parametrize("is_part", [False, True])
def test_previews_and_runs_are_in_archives(
    repo: Repo, tmp_path: Path, name: str, is_part: bool
) -> None:
    with repo.run("etl") as run:
        first, second = make(repo, "t", 1), make(repo, "t", 2)
        third = make(repo, "u", 3)
    repo.copy("t@v2", "w")
    repo.export(tmp_path / name, *(["t@v2", "u@v1"] if is_part else []), all=not is_part)
    with art.init(tmp_path / "other") as other:
        other.import_archive(tmp_path / name)
        assert here(other) == {second, third} if is_part else {first, second, third}
        assert other.version("u").preview == repo.version("u").preview
        record = other.version("u").run_record
        assert record is not None
        assert record["uid"] == run.id
        assert other.fsck(data=True).is_whole


@pytest.mark.parametrize("which", ["previews", "runs"])
def test_what_an_archive_has_in_their_place_is_refused(
    repo: Repo, tmp_path: Path, which: str
) -> None:
    with repo.run("etl"):
        make(repo, "t", 1)
    repo.export(tmp_path / "all.tar", all=True)
    with (
        tarfile.open(tmp_path / "all.tar") as old,
        tarfile.open(tmp_path / "bad.tar", "w") as new,
    ):
        for info in old:
            file = old.extractfile(info)
            data = file.read() if file else b""
            if info.name.startswith(f".art/{which}/"):
                data = data.replace(b"art", b"tra")
            new.addfile(info, io.BytesIO(data))
    with art.init(tmp_path / "other") as other:
        with pytest.raises(CorruptError):
            other.import_archive(tmp_path / "bad.tar")
        assert list(other._backend.walk(which)) == []


def test_what_du_tells_has_previews_and_runs(repo: Repo) -> None:
    before = repo.du().other_bytes
    with repo.run("etl") as run:
        digest = make(repo, "t", 1)
    sizes = [repo._backend.size(n) for n in (previews.preview_name(digest), f"runs/{run.id}.yaml")]
    assert repo.du().other_bytes - before > sum(size or 0 for size in sizes)
