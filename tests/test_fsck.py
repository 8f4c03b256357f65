"""Checking: every damage is found and named with the versions it touches, here and at a remote."""

from __future__ import annotations

import json
import resource
import tracemalloc
from pathlib import Path

import pytest
from blake3 import blake3

import art
from art import layout as layouts
from art import packer
from art.errors import ArtError, CorruptError, NotFoundError
from art.fsck import Report
from art.layout import Layout
from art.repo import Repo
from tests.support_damage import files_of
from tests.support_fsck import (
    DAMAGES,
    KINDS,
    damage,
    fresh,
    make_fsck_template,
    of_kind,
    stored_files,
    unreadable,
)
from tests.support_state import random_bytes

_LOCAL_KINDS = [kind for kind in KINDS if kind != "checkpoint"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fsck_template(tmp_path_factory.mktemp("template"))


def check(root: Path, **extent: object) -> Report:
    with Repo(root / "repo") as repo:
        return repo.fsck(**extent)  # type: ignore[arg-type]


def names(report: Report) -> str:
    return "\n".join(problem.name + " " + problem.message for problem in report.problems)


def refs(report: Report) -> set[str]:
    return {ref for problem in report.problems for ref in problem.refs}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", _LOCAL_KINDS)
def test_damage_is_found_and_named_with_what_it_touches(
    kind: str, how: str, template: Path, tmp_path: Path
) -> None:
    for original in of_kind(template / "repo", kind)[:3]:
        root = fresh(template, tmp_path / "world")
        path = root / original.relative_to(template)
        damage(path, how)
        report = check(root, data=True)
        name = path.relative_to(root / "repo/.art").as_posix()
        is_layout = kind == "layout" and how == "delete"  # its payload is at the remote
        assert name in names(report) or is_layout, f"{name}: {names(report)}"
        assert refs(report) or is_layout, names(report)
        with Repo(root / "repo") as repo:
            repo.remotes.remove("origin")
            assert set(unreadable(repo)) - {"data@prod"} <= refs(report) or is_layout


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_at_a_remote_is_found(kind: str, how: str, template: Path, tmp_path: Path) -> None:
    for original in of_kind(template / "remote", kind)[:3]:
        root = fresh(template, tmp_path / "world")
        path = root / original.relative_to(template)
        damage(path, how)
        report = check(root, data=True, remote="origin")
        name = path.relative_to(root / "remote").as_posix()
        if kind == "checkpoint" and how in ("delete", "extend"):
            assert not report.problems  # a reader does without, and reads no further than its end
        elif kind == "layout" and how == "delete":
            assert name.rpartition("/")[0] in names(report)
            assert refs(report)
        else:
            assert name in names(report)
            assert refs(report)


@pytest.mark.parametrize("kind", _LOCAL_KINDS)
def test_files_in_each_others_place_are_found(kind: str, template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    found = of_kind(root / "repo", kind)
    if len(found) < 2 or kind == "note":
        other_kind = "manifest" if kind == "inline manifest" else "inline manifest"
        found = [*found, of_kind(root / "repo", other_kind)[0]]
    one, other = found[0], found[-1]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    # Two versions of a key that changed their places are told by who knows how it was.
    report = check(root, data=True, remote="origin" if kind == "manifest" else None)
    for path in (one, other):
        assert path.relative_to(root / "repo/.art").as_posix() in names(report)
    assert refs(report)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_format_is_said_at_once(how: str, template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    damage(root / "repo/.art/format.yaml", how)
    with pytest.raises(CorruptError, match=r"format\.yaml"):
        art.open(root / "repo").fsck()
    root = fresh(template, tmp_path / "world")
    damage(root / "remote/format.yaml", how)
    with pytest.raises(ArtError, match=r"format\.yaml|no repository"):
        check(root, remote="origin")


def test_structure_finds_without_reading_everything_what_is_missing(
    template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "world")
    path = max(files_of(root / "repo", ".pack"), key=lambda path: path.stat().st_size)
    middle = bytearray(path.read_bytes())
    middle[len(middle) // 2] ^= 1
    path.write_bytes(middle)
    assert not check(root).problems
    path.write_bytes(middle[:-1])
    assert path.name in names(check(root))
    path.unlink()
    assert "is missing" in names(check(root))


def test_checking_changes_nothing(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    before = stored_files(root / "repo/.art"), stored_files(root / "remote")
    for remote in (None, "origin"):
        check(root, data=True, remote=remote)
        check(root, sample=0.01, remote=remote)
    assert (stored_files(root / "repo/.art"), stored_files(root / "remote")) == before


def test_what_is_chosen_is_all_that_is_checked(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    damage(of_kind(root / "repo", "inline manifest")[0], "flip")
    assert "manifests/text" in names(check(root, data=True))
    with Repo(root / "repo") as repo:
        assert not repo.fsck("da*", "one", data=True).problems
        assert "manifests/text" in names(repo.fsck("text"))
        assert repo.fsck("one", data=True).counts["versions"] == 1
        with pytest.raises(NotFoundError):
            repo.fsck("nothing")


def test_clones_need_not_have_payloads(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    with art.clone(str(root / "remote"), tmp_path / "clone") as repo:
        report = repo.fsck(data=True)
        assert not report.problems
        assert report.counts["elsewhere"] > 0
        repo.version("one").read()
        assert not repo.fsck(data=True).problems


def test_what_is_not_needed_and_what_is_not_known_is_no_damage(
    template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "world")
    place = root / "repo/.art"
    (place / "packs/00").mkdir(exist_ok=True)
    whole = of_kind(root / "repo", "pack")[0].read_bytes()
    for name in ("mine.txt", "manifests/data/notes.txt", "packs/00/x.pack", "refs/odd.yaml"):
        (place / name).write_text("x")
    (place / f"packs/00/{'0' * 64}.pack").write_bytes(whole)
    (place / "tmp").mkdir(exist_ok=True)
    (place / "tmp/left").write_text("left")
    report = check(root, data=True)
    assert not report.problems
    said = {notice.name for notice in report.notices}
    assert {"mine.txt", "manifests/data/notes.txt", "packs/00/x.pack", "refs/odd.yaml"} <= said
    assert any(notice.kind == "pack" for notice in report.notices)  # its content is another's
    assert report.counts["unreferenced_packs"] == 1
    assert report.counts["temporary_files"] >= 1


def test_gaps_doubles_and_entries_about_nothing_are_found(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    place = root / "repo/.art"
    (place / "manifests/many/v00000007.yaml").unlink()
    first = (place / "refs/data/_notes/00000001.yaml").read_bytes()
    (place / "refs/data/_notes/00000002.yaml").write_bytes(first)
    (place / "refs/one/_tags/prod").mkdir(parents=True)
    report = check(root)
    assert "manifests/many/v00000007.yaml is missing" in names(report)
    assert "many@v7" in refs(report)
    assert "00000002.yaml is the same document as refs/data/_notes/00000001.yaml" in names(report)


def test_a_last_version_that_is_gone_is_missed_by_who_names_it(repo: Repo) -> None:
    repo.value("k", 1)
    repo.value("k", 2)
    repo.tag("k@v2", "prod")
    Path(".art/manifests/k/v00000002.yaml").unlink()
    (problem,) = repo.fsck().problems
    assert problem.name == "manifests/k/v00000002.yaml"
    assert "_tags/prod/00000001.yaml names it" in problem.message
    assert problem.refs == ("k@v2",)


def test_a_checkpoint_must_say_what_the_documents_say(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    (path,) = of_kind(root / "remote", "checkpoint")
    other = path.with_name("_65-128")
    other.write_bytes(path.read_bytes())
    (root / "remote/checkpoints/data").mkdir()
    (root / "remote/checkpoints/data/odd").write_text("x")
    report = check(root, remote="origin")
    assert not report.problems or all("_65-128" in each.name for each in report.problems)
    (root / "remote/manifests/many/v00000001.yaml").write_bytes(
        (root / "remote/manifests/many/v00000002.yaml").read_bytes()
    )
    report = check(root, remote="origin")
    assert "_1-64 is damaged: its number 1 is not what the document is" in names(report)
    assert "many@v1…v64" in refs(report)


# -- samples ---------------------------------------------------------------------------------------


@pytest.fixture
def many_packs(repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    monkeypatch.setattr(packer, "PACK_SIZE", 32 << 10)
    (workplace / "data").write_bytes(random_bytes(1_500_000, 1))
    repo.create("k", "data")
    return repo


def test_samples_cover_everything_after_enough_runs(many_packs: Repo) -> None:
    shares = []
    read = 0
    for _ in range(100):
        report = many_packs.fsck(sample=0.05)
        assert report.coverage is not None
        read += report.counts["read_packs"]
        shares.append(report.coverage.verified_bytes / report.coverage.total_bytes)
        if report.coverage.is_complete:
            break
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert 10 <= len(shares) <= 21
    assert read == report.counts["packs"] > 10
    since = report.coverage.since
    again = many_packs.fsck(sample=0.05).coverage  # it begins anew
    assert again is not None
    assert again.since > since
    assert not again.is_complete


def test_a_sample_finds_each_damaged_pack_in_the_end_and_does_not_forget_it(
    many_packs: Repo,
) -> None:
    path = files_of(Path(), ".pack")[7]
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    found = [bool(many_packs.fsck(sample=0.1).problems) for _ in range(12)]
    first = found.index(True)
    assert all(found[first:])
    path.write_bytes(whole)
    assert not many_packs.fsck(sample=0.1).problems


def test_time_that_is_up_ends_a_check_and_the_next_goes_on(many_packs: Repo) -> None:
    report = many_packs.fsck(max_duration=1e-9)
    assert report.coverage is not None
    assert 0 < report.counts["read_packs"] < report.counts["packs"]
    more = many_packs.fsck(max_duration=1e-9).coverage
    assert more is not None
    assert more.verified_bytes > report.coverage.verified_bytes
    assert more.since == report.coverage.since


def test_samples_of_a_remote_are_remembered_apart(many_packs: Repo, tmp_path: Path) -> None:
    many_packs.remotes.add("origin", str(tmp_path / "remote"))
    many_packs.push()
    here = many_packs.fsck(sample=0.5).coverage
    there = many_packs.fsck(sample=0.1, remote="origin").coverage
    assert here is not None
    assert there is not None
    assert there.verified_bytes < here.verified_bytes


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stores": 1}', "\0", '{"stores": {}}'])
def test_what_is_remembered_may_be_lost_or_damaged(many_packs: Repo, text: str) -> None:
    many_packs.fsck(sample=0.05)
    path = Path(".art/sync/fsck.json")
    json.loads(path.read_text())
    path.write_text(text)
    report = many_packs.fsck(sample=0.05)
    assert not report.problems
    assert report.coverage is not None
    assert report.coverage.verified_bytes < report.coverage.total_bytes


def test_each_file_is_put_together_once_and_each_pack_read_each_time(many_packs: Repo) -> None:
    first = many_packs.fsck(data=True)
    again = many_packs.fsck(data=True)
    assert first.counts["read_trees"] == 1
    assert "read_trees" not in again.counts
    assert first.counts["read_packs"] == again.counts["read_packs"] == first.counts["packs"]


def test_memory_does_not_grow_with_what_is_read(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packer, "PACK_SIZE", 1 << 20)
    monkeypatch.setenv("ART_JOBS", "1")
    peaks = []
    for number, size in enumerate((4 << 20, 40 << 20)):
        (workplace / "data").write_bytes(random_bytes(size, number))
        repo.create(f"k{number}", "data")
        Path(".art/sync/fsck.json").unlink(missing_ok=True)
        tracemalloc.start()
        assert not repo.fsck(data=True).problems
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (4 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_what_one_layout_places_rightly_another_may_not(tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    for number in range(40):
        (source / f"{number}.bin").write_bytes(random_bytes(500, number))
    with art.init(tmp_path / "repo") as repo:
        repo.create("k", source)
        (source / "0.bin").write_bytes(b"changed")
        tree = repo.create("k", source).version.record.payload
        assert not repo.fsck(data=True).problems
    _misplace_shared_chunks(tmp_path / "repo/.art", str(tree))
    with art.open(tmp_path / "repo") as repo:
        report = repo.fsck(data=True)
    assert refs(report) == {"k@v2"}
    assert ".pack: chunk " in names(report)


def _misplace_shared_chunks(place: Path, payload: str) -> None:
    """Put a layout of this payload in the place of its own that points beside the chunks it shares."""
    (path,) = (place / "layouts" / payload[:2] / payload).iterdir()
    own = Layout(path.read_bytes(), path.name, path.name)
    assert own.extends
    link = own.extends
    root_path = place / "layouts" / link.payload[:2] / link.payload / link.digest
    root = Layout(root_path.read_bytes(), link.digest, link.digest)
    packs = [*own.packs, *root.packs]
    record = layouts.RECORD
    chunks = list(record.iter_unpack(own.table()))
    for digest, pack, offset, *size in record.iter_unpack(root.table()):
        chunks.append((digest, pack + len(own.packs), offset + 1, *size))
    table = layouts.sort_records(b"".join(record.pack(*chunk) for chunk in chunks))
    pieces = [
        (
            record.pack(piece.digest, packs.index(at.pack), at.offset, at.length, at.size),
            piece.first_path,
        )
        for piece in own.pieces()
        for at in [piece.location]
    ]
    data = layouts.encode(payload, packs, table, pieces)
    path.unlink()
    path.with_name(blake3(data).hexdigest()).write_bytes(data)
