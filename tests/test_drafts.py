"""Drafts: parts of several jobs become one version, once, without a server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import art
from art import document
from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    NewerFormatError,
    NotFoundError,
    UsageError,
)
from art.repo import Repo
from tests.support import lay_out
from tests.support_faults import Fault, failing
from tests.support_gc import Place
from tests.support_processes import lines_of, run_together
from tests.support_state import random_bytes

_STEP = os.environ.get("ART_TEST_STEP")


def folder_of(repo: Repo, name: str, **files: bytes) -> Path:
    """Lay out what a job made."""
    place = repo.root.parent / f"{repo.root.name}-{name}"
    return lay_out(place, {path.replace("_", "."): data for path, data in files.items()})


def put(repo: Repo, name: str, draft: str = "run", key: str = "k", **files: bytes) -> Any:
    """Add a part that has these files, or one of its own."""
    content = files or {"data_bin": random_bytes(9000, sum(map(ord, name)))}
    return repo.part(key, folder_of(repo, f"{draft}-{name}", **content), draft=draft, name=name)


def read(repo: Repo, ref: str = "k") -> dict[str, bytes]:
    """Return path and content of every file of a version."""
    version = repo.version(ref)
    return {node.path: version.read(node.path) for node in version.files if node.is_file}


def reason(act: Callable[[], object], kind: type[ArtError]) -> str:
    with pytest.raises(kind) as caught:
        act()
    return caught.value.message


@pytest.fixture
def repos(tmp_path: Path) -> Iterator[list[Repo]]:
    """Return three repositories that have one remote, and nothing else, in common."""
    found = []
    for name in ("one", "two", "three"):
        found.append(art.init(tmp_path / name))
        found[-1].remotes.add("origin", str(tmp_path / "shared"))
    yield found
    for repo in found:
        repo.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


# -- one version -----------------------------------------------------------------------------------


def test_parts_in_one_repository_become_a_version_with_a_folder_for_each(repo: Repo) -> None:
    put(repo, "linux", report_txt=b"fine", log_txt=b"1")
    put(repo, "mac", report_txt=b"fine, too")
    made = repo.seal("k", draft="run", expect=2, title="Reports", labels=["ci"])
    assert (made.created, made.version.ref, made.version.title) == (True, "k@v1", "Reports")
    assert (made.version.type, made.version.labels) == ("folder", ["ci"])
    assert read(repo) == {
        "linux/report.txt": b"fine",
        "linux/log.txt": b"1",
        "mac/report.txt": b"fine, too",
    }
    assert (made.version.size, made.version.payload.files) == (14, 3)  # type: ignore[union-attr]


def test_nobody_sees_parts_before_the_seal(repo: Repo) -> None:
    put(repo, "linux")
    assert repo.listing() == []
    with pytest.raises(NotFoundError):
        repo.version("k")


def test_a_single_file_and_a_glob_are_parts_as_they_would_be_versions(
    repo: Repo, workplace: Path
) -> None:
    lay_out(workplace, {"out/a.csv": b"1", "out/b.csv": b"2", "one.txt": b"3"})
    repo.part("k", "one.txt", draft="run", name="file")
    repo.part("k", "out/*.csv", draft="run", name="glob")
    repo.seal("k", draft="run", expect=["file", "glob"])
    assert read(repo) == {"file/one.txt": b"3", "glob/a.csv": b"1", "glob/b.csv": b"2"}


def test_an_empty_part_is_an_empty_folder(repo: Repo, workplace: Path) -> None:
    (workplace / "nothing").mkdir()
    repo.part("k", "nothing", draft="run", name="a")
    put(repo, "b", x=b"1")
    repo.seal("k", draft="run", expect=2)
    assert [(node.path, node.is_dir) for node in repo.version("k").files] == [
        ("a", True),
        ("b/x", False),
    ]


def test_repositories_meet_at_a_remote_and_who_seals_has_none_of_the_bytes(
    repos: list[Repo],
) -> None:
    one, two, three = repos
    big = random_bytes(700_000, 1)
    put(one, "a", big_bin=big, same=b"s" * 1000)
    put(two, "b", big_bin=big[:400_000], same=b"s" * 1000)
    made = three.seal("k", draft="run", expect=["a", "b"], tags=["prod"])
    assert not list((three.root / ".art").glob("packs/*/*"))
    for repo in repos:
        repo.fetch()
        assert repo.version("k@prod").id == made.version.id
        assert read(repo) == {
            "a/big.bin": big,
            "a/same": b"s" * 1000,
            "b/big.bin": big[:400_000],
            "b/same": b"s" * 1000,
        }
        assert repo.fsck(data=True).is_whole
        assert repo.fsck(remote="origin", data=True).is_whole


def test_a_draft_can_be_kept_here_although_there_is_a_remote(repos: list[Repo]) -> None:
    one, two, _ = repos
    folder = folder_of(one, "a", x=b"1")
    assert one.part("k", folder, draft="run", name="a", local=True).where is None
    assert one.part("k", folder, draft="other", name="a").where == "origin"
    assert [state.draft for state in one.drafts(local=True)] == ["run"]
    assert [state.draft for state in two.drafts()] == ["other"]
    one.seal("k", draft="run", expect=1, local=True)
    assert one.version("k").ref == "k@v1"
    with pytest.raises(NotFoundError):
        two.fetch("k")


def test_a_version_of_parts_goes_behind_what_others_published(repos: list[Repo]) -> None:
    one, two, three = repos
    put(one, "a", x=b"1")
    two.value("k", 1)
    two.push()
    three.value("k", 2)  # not published: it gets the next number
    made = three.seal("k", draft="run", expect=1)
    assert made.version.ref == "k@v2"
    three.push()
    two.fetch()
    assert [record.type for record in two.history("k")] == ["value", "folder", "value"]


def test_inputs_of_parts_are_those_of_the_version(repo: Repo) -> None:
    for key in ("raw/a", "raw/b", "code"):
        repo.value(key, 1)
    for name in ("a", "b"):
        folder = folder_of(repo, name, x=name.encode())
        repo.part("k", folder, draft="run", name=name, inputs=[f"raw/{name}@v1", "code@v1"])
    repo.seal("k", draft="run", expect=2)
    assert [each["key"] for each in repo.version("k").inputs] == ["raw/a", "code", "raw/b"]


def test_the_same_content_as_the_latest_version_is_that_version(repo: Repo) -> None:
    for draft in ("1", "2"):
        put(repo, "a", draft, x=b"1")
    first = repo.seal("k", draft="1", expect=1)
    second = repo.seal("k", draft="2", expect=1)
    assert (second.created, second.version.id) == (False, first.version.id)
    assert repo.seal("k", draft="2", expect=1).version.id == first.version.id
    put(repo, "a", "3", x=b"2")
    assert repo.seal("k", draft="3", expect=1).version.ref == "k@v2"


def test_the_same_as_a_version_that_is_not_published_is_published(repos: list[Repo]) -> None:
    one, two, _ = repos
    folder = lay_out(one.root.parent / "same", {"a/x": b"1"})
    here = one.create("k", folder)
    put(one, "a", x=b"1")
    made = one.seal("k", draft="run", expect=1)
    assert made.version.id == here.version.id
    assert two.seal("k", draft="run", expect=1).version.id == here.version.id
    assert read(two) == {"a/x": b"1"}
    assert [record.number for record in one.history("k")] == [1]


# -- side by side ----------------------------------------------------------------------------------


def test_files_lie_side_by_side_where_that_is_asked_for(repo: Repo) -> None:
    (folder_of(repo, "run-a", p0=b"0", common=b"c") / "sub").mkdir()
    put(repo, "a", p0=b"0", common=b"c")
    lay_out(repo.root.parent / f"{repo.root.name}-run-b", {"sub/x": b"x"})
    put(repo, "b", p1=b"1", common=b"c")
    repo.seal("k", draft="run", expect=2, flat=True)
    assert read(repo) == {"p0": b"0", "p1": b"1", "common": b"c", "sub/x": b"x"}
    assert repo.fsck(data=True).is_whole


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ({"x": b"1"}, {"x": b"2"}, "'x' of part a and of part b"),
        ({"x": b"1", "x-y": b"3"}, {"x/y": b"2"}, "'x' of part a and 'x/y' of part b"),
        ({"x/y/z": b"1"}, {"x/y": b"2"}, "'x/y' of part b and 'x/y/z' of part a"),
    ],
)
def test_what_does_not_go_side_by_side_is_named_and_goes_in_folders(
    one: dict[str, bytes], other: dict[str, bytes], named: str, repo: Repo, workplace: Path
) -> None:
    for name, files in (("a", one), ("b", other)):
        repo.part("k", lay_out(workplace / name, files), draft="run", name=name)
    act = lambda: repo.seal("k", draft="run", expect=2, flat=True)  # noqa: E731
    assert named in reason(act, ConflictError)
    assert repo.listing() == []
    repo.seal("k", draft="run", expect=2)
    assert len(read(repo)) == len(one) + len(other)


def test_a_file_and_an_empty_folder_of_one_name_do_not_go_side_by_side(
    repo: Repo, workplace: Path
) -> None:
    (workplace / "a" / "x").mkdir(parents=True)
    repo.part("k", "a", draft="run", name="a")
    repo.part("k", lay_out(workplace / "b", {"x": b"", "x-": b""}), draft="run", name="b")
    act = lambda: repo.seal("k", draft="run", expect=2, flat=True)  # noqa: E731
    assert "'x'" in reason(act, ConflictError)


# -- once, and complete ----------------------------------------------------------------------------


def test_sealing_again_gives_the_same_version_everywhere(repos: list[Repo]) -> None:
    for repo in repos:
        put(repo, repo.root.name)
    made = [repo.seal("k", draft="run", expect=3, title=repo.root.name) for repo in repos * 2]
    assert {each.version.id for each in made} == {made[0].version.id}
    assert [each.created for each in made] == [True, False, False, False, False, False]
    assert made[-1].version.title == "one"  # the first one said so
    assert len(repos[2].history("k")) == 1


@pytest.mark.parametrize("is_shared", [False, True])
def test_sealing_again_leaves_tags_that_were_moved_since(
    is_shared: bool, repos: list[Repo]
) -> None:
    one, two = repos[0], repos[is_shared]
    told: list[str] = []
    two.reporter.warn = told.append  # type: ignore[method-assign]

    def seal(repo: Repo, draft: str) -> str:
        made = repo.seal("k", draft=draft, expect=1, tags=["main"], local=not is_shared)
        return made.version.ref

    for draft in ("first", "second"):
        one.part(
            "k", folder_of(one, draft, x=draft.encode()), draft=draft, name="a", local=not is_shared
        )
        seal(one, draft)
    assert seal(two, "first") == "k@v1"
    assert two.version("k@main").ref == "k@v2"
    (said,) = told
    assert said.startswith("tag main of k was moved since k@v1 was made, and stays where it is")
    assert seal(two, "second") == "k@v2"
    one.tag("k@v1", tag="main")
    if is_shared:
        one.push()
    assert seal(two, "second") == "k@v2"
    assert two.version("k@main").ref == "k@v1"
    assert len(told) == 2
    one.untag("k", "main")
    assert seal(one, "second") == "k@v2"
    assert one.version("k@v2").record.tags == []


def test_sealing_again_sets_a_tag_that_was_not_set(repo: Repo) -> None:
    put(repo, "a")
    repo.seal("k", draft="run", expect=1)
    repo.seal("k", draft="run", expect=1, tags=["main"])
    assert repo.version("k@main").ref == "k@v1"


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_sealed_version_that_was_deleted_is_told(is_shared: bool, repos: list[Repo]) -> None:
    one, two = repos[0], repos[is_shared]
    one.part("k", folder_of(one, "a", x=b"1"), draft="run", name="a", local=not is_shared)
    one.seal("k", draft="run", expect=1, local=not is_shared)
    one.delete("k@v1")
    if is_shared:
        one.push()
    with pytest.raises(ConflictError, match="k@v1, which draft run is sealed as, is deleted") as no:
        two.seal("k", draft="run", expect=1, tags=["main"], local=not is_shared)
    assert no.value.hint == "art restore k@v1"
    two.restore("k@v1")
    made = two.seal("k", draft="run", expect=1, tags=["main"], local=not is_shared)
    assert (made.version.ref, made.created) == ("k@v1", False)
    assert two.version("k@main").ref == "k@v1"


def test_a_missing_part_is_named_and_nothing_is_made(repo: Repo) -> None:
    put(repo, "a")
    for expect, told in ((["a", "b", "c"], "lacks b, c"), (2, "has 1 part: a; 2 were expected")):
        act = lambda expect=expect: repo.seal("k", draft="run", expect=expect)  # type: ignore[misc]  # noqa: E731
        assert told in reason(act, NotFoundError)
    assert repo.listing() == []
    put(repo, "b")
    assert repo.seal("k", draft="run", expect=["b", "a"]).created


def test_a_part_too_many_is_named(repo: Repo) -> None:
    put(repo, "a")
    put(repo, "b")
    for expect, told in (("a", "has b, not expected"), (1, "2 parts: a, b; 1 were expected")):
        wanted = [expect] if isinstance(expect, str) else expect
        act = lambda wanted=wanted: repo.seal("k", draft="run", expect=wanted)  # type: ignore[misc]  # noqa: E731
        assert told in reason(act, ConflictError)


def test_other_parts_than_were_sealed_are_refused(repo: Repo) -> None:
    put(repo, "a")
    made = repo.seal("k", draft="run", expect=1)
    for expect in (2, ["a", "b"], ["b"]):
        act = lambda expect=expect: repo.seal("k", draft="run", expect=expect)  # type: ignore[misc]  # noqa: E731
        assert made.version.id in reason(act, ConflictError)


@pytest.mark.parametrize("expect", [0, -1, True, "ab", [], ["a/b"], [""]])
def test_an_expectation_that_is_none_is_refused(expect: Any, repo: Repo) -> None:
    with pytest.raises(UsageError):
        repo.seal("k", draft="run", expect=expect)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x.yaml", "ä", "x" * 201])
def test_a_name_that_is_none_is_refused(name: str, repo: Repo, files: Path) -> None:
    for given in ({"draft": name, "name": "a"}, {"draft": "run", "name": name}):
        with pytest.raises(UsageError):
            repo.part("k", files, **given)
    assert not (repo.root / ".art" / "drafts").exists()


@pytest.mark.parametrize("name", ["v3", "latest", "4711", "Run-1", "con", "a."])
def test_a_name_may_be_what_a_tag_may_not(name: str, repo: Repo, files: Path) -> None:
    repo.part("K/con", files, draft=name, name=name)
    (state,) = repo.drafts()
    assert (state.key, state.draft, list(state.parts)) == ("K/con", name, [name])
    assert repo.seal("K/con", draft=name, expect=[name]).created


def test_a_part_that_comes_after_the_seal_is_refused_and_named(repos: list[Repo]) -> None:
    one, two, _ = repos
    put(one, "a", x=b"1")
    made = one.seal("k", draft="run", expect=1)
    told = reason(lambda: put(two, "late", x=b"2"), ConflictError)
    assert "part late is not in it" in told
    assert made.version.id in told
    assert "has other content" in reason(lambda: put(two, "a", x=b"2"), ConflictError)
    assert not put(two, "a", x=b"1").created  # run again, it is in there


def test_a_part_of_the_same_name_and_content_is_adopted(repos: list[Repo]) -> None:
    one, two, _ = repos
    assert put(one, "a", x=b"1").created
    assert not put(two, "a", x=b"1").created
    told = reason(lambda: put(two, "a", x=b"2"), ConflictError)
    assert "part a of draft run of k is there with other content" in told
    folder = folder_of(two, "new", x=b"2")
    assert two.part("k", folder, draft="run", name="a", replace=True).created
    one.seal("k", draft="run", expect=1)
    assert read(one) == {"a/x": b"2"}


def test_replacing_after_the_seal_is_refused(repo: Repo) -> None:
    put(repo, "a", x=b"1")
    repo.seal("k", draft="run", expect=1)
    folder = folder_of(repo, "new", x=b"2")
    act = lambda: repo.part("k", folder, draft="run", name="a", replace=True)  # noqa: E731
    assert "sealed" in reason(act, ConflictError)


def test_the_settings_of_the_key_hold_for_what_is_sealed(repo: Repo) -> None:
    repo.set_settings("k", partitions=["region"])
    put(repo, "a")
    with pytest.raises(UsageError, match="region"):
        repo.seal("k", draft="run", expect=1)
    assert repo.seal("k", draft="run", expect=1, partitions={"region": "eu"}).created


def test_a_mirror_takes_no_parts(tmp_path: Path, repos: list[Repo]) -> None:
    one = repos[0]
    one.value("k", 1)
    one.push()
    one.remotes.add("mirror", str(tmp_path / "mirror"))
    one.push(remote="mirror")
    one.config.change(lambda document: {**document, "authority": "mirror"})
    with pytest.raises(ConflictError, match="mirror"):
        put(one, "a")


# -- at the same time, and killed --------------------------------------------------------------------

_PART = """
folder = Path(sys.argv[3]).parent / f"job-{number}"
folder.mkdir()
(folder / "data").write_bytes(bytes([number]) * 50_000)
added = repo.part("k", folder, draft="run", name=f"job{number}")
say(created=added.created)
"""
_SEAL = """
made = repo.seal("k", draft="run", expect=8)
say(id=made.version.id, created=made.created)
"""


@pytest.mark.parametrize("is_shared", [False, True])
def test_eight_jobs_add_parts_and_eight_seal_at_once(
    is_shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"repo-{number}" for number in range(8 if is_shared else 1)]
    for name in names:
        with art.init(tmp_path / name) as repo:
            if is_shared:
                repo.remotes.add("origin", str(tmp_path / "shared"))
    # Where each has a repository of its own, it is found by its number.
    choose = f"repo = art.open({str(tmp_path)!r} + f'/repo-{{number}}')\n" if is_shared else ""
    monkeypatch.chdir(tmp_path / names[0])
    added = run_together(tmp_path / "parts", *[choose + _PART] * 8)
    assert added == [[{"created": True}]] * 8
    sealed = [said for (said,) in run_together(tmp_path / "seals", *[choose + _SEAL] * 8)]
    assert len({each["id"] for each in sealed}) == 1
    assert sum(each["created"] for each in sealed) == 1
    for name in names:
        with art.open(tmp_path / name) as repo:
            if is_shared:
                repo.fetch()
            assert [record.number for record in repo.history("k")] == [1]
            content = {f"job{n}/data": bytes([n]) * 50_000 for n in range(8)}
            assert read(repo) == content
            assert repo.fsck(data=True).is_whole


_RACE = """
folder = Path(sys.argv[3]).parent / f"race-{number}"
folder.mkdir()
(folder / "data").write_bytes(bytes([number]) * 5_000)
try:
    added = repo.part("k", folder, draft="run", name=f"job{number}")
    say(part=f"job{number}")
except art.ConflictError as error:
    say(late=f"job{number}")
"""
_SEAL_WHATEVER = """
while True:
    parts = [name for state in repo.drafts("k") for name in state.parts]
    try:
        made = repo.seal("k", draft="run", expect=parts or ["none"])
    except (art.NotFoundError, art.ConflictError):
        continue
    break
say(files=sorted({node.path.split("/")[0] for node in made.version.files}))
"""


@pytest.mark.parametrize("is_shared", [False, True])
def test_every_part_that_was_accepted_is_in_the_version_whenever_it_is_sealed(
    is_shared: bool, repo: Repo, tmp_path: Path
) -> None:
    choose = ""
    if is_shared:
        choose = f"repo = art.open({str(tmp_path)!r} + f'/repo-{{number}}')\n"
        for number in range(8):
            with art.init(tmp_path / f"repo-{number}") as one:
                one.remotes.add("origin", str(tmp_path / "shared"))
    scripts = [choose + script for script in [*[_RACE] * 7, _SEAL_WHATEVER]]
    *parts, (sealed,) = run_together(tmp_path / "go", *scripts)
    accepted = sorted(said["part"] for (said,) in parts if "part" in said)
    assert sealed["files"] == accepted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_shared", [False, True])
def test_jobs_that_are_killed_at_any_point_make_one_version(
    when: str, is_shared: bool, tmp_path: Path
) -> None:
    template, folder = tmp_path / "template", tmp_path / "copies"
    folder.mkdir()
    for name in ("one", "other") if is_shared else ("one",):
        with art.init(template / name) as repo:
            if is_shared:
                repo.remotes.add("origin", str(template / "shared"))
    step = _STEP or ("11" if is_shared else "3")
    lines = [
        line.split() for line in lines_of("support_draft_killer", template, folder, when, step)
    ]
    assert len(lines) > 5
    assert lines[-1][0] == "done"
    for _, before, *counts, is_well in lines:
        assert (counts, is_well) == (["1"], "True"), lines
        assert int(before) <= 1


class _BrokenError(Exception):
    """The connection breaks."""


@pytest.mark.parametrize("is_late", [False, True])
def test_whoever_dies_at_any_request_to_a_remote_loses_nothing(
    is_late: bool, tmp_path: Path
) -> None:
    """Another repository goes on, adds what is missing and seals: one version, with all parts."""

    def work(repo: Repo) -> str:
        for name in ("a", "b"):
            put(repo, name, x=name.encode() * 3000)
        return repo.seal("k", draft="run", expect=2, tags=["prod"]).version.id

    def die() -> None:
        raise _BrokenError

    kinds = ("create", "replace", "upload")
    for at in range(1, 100):
        (tmp_path / str(at)).mkdir()
        place = Place(tmp_path / str(at))
        try:
            one, two = place.add("one"), place.add("two")
            place.watched.arm(at, die, late=is_late, kinds=kinds)
            is_through = False
            try:
                ended = work(one)
                is_through = True
            except _BrokenError:
                pass
            place.watched.act = None
            names = place.inner.names("manifests/k")
            made = work(two)
            assert len(place.inner.names("manifests/k")) == 1 >= len(names)
            assert read(two) == {"a/x": b"a" * 3000, "b/x": b"b" * 3000}
            assert (work(one), one.version("k@prod").id) == (made, made)
            assert two.fsck(remote="origin", data=True).is_whole
            assert one.fsck(data=True).is_whole
            if is_through:
                assert ended == made
                return
        finally:
            place.close()
    raise AssertionError("it never passed")


@pytest.mark.parametrize(("kind", "is_late"), [("lost", True), ("eio", False), ("full", False)])
def test_whatever_fails_on_the_disk_there_is_one_version_in_the_end(
    kind: str, is_late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lost`: the name was created, and the answer says that it was taken."""

    def work(repo: Repo) -> str:
        for name in ("a", "b"):
            put(repo, name, x=name.encode() * 3000)
        return repo.seal("k", draft="run", expect=2).version.id

    for at in range(1, 200):
        root = tmp_path / str(at)
        art.init(root).close()
        fault = Fault(at, kind, is_late)
        with failing(monkeypatch, root, fault) as repo, contextlib.suppress(ArtError, OSError):
            work(repo)
            assert kind == "lost" or not fault.has_fired
        with Repo(root) as repo:
            made = work(repo)
            assert [record.id for record in repo.history("k")] == [made]
            assert read(repo) == {"a/x": b"a" * 3000, "b/x": b"b" * 3000}
            assert repo.fsck(data=True).is_whole
        if not fault.has_fired:
            return
    raise AssertionError("it never passed")


# -- gc --------------------------------------------------------------------------------------------


def test_gc_keeps_parts_until_they_are_sealed_and_then_the_version(repo: Repo) -> None:
    put(repo, "a")
    put(repo, "b")
    repo.gc(grace="0s")
    made = repo.seal("k", draft="run", expect=2)
    before = read(repo)
    repo.gc(grace="0s")
    assert read(repo) == before
    assert repo.fsck(data=True).is_whole
    repo.delete(made.version.ref)
    repo.gc(grace="0s")
    assert not list((repo.root / ".art").glob("packs/*/*"))


def test_gc_takes_what_was_dropped_or_replaced(repo: Repo) -> None:
    put(repo, "a", x=random_bytes(5000, 1))
    folder = folder_of(repo, "new", x=b"2")
    repo.part("k", folder, draft="run", name="a", replace=True)
    before = repo.gc(grace="0s")
    assert before.freed_bytes > 4000
    assert [list(state.parts) for state in repo.drafts()] == [["a"]]
    dropped = repo.drop_draft("k", "run")
    assert list(dropped.parts) == ["a"]
    repo.gc(grace="0s")
    assert not list((repo.root / ".art").glob("packs/*/*"))
    assert repo.drafts() == []


def test_a_dropped_draft_begins_anew(repo: Repo) -> None:
    put(repo, "a", x=b"1")
    repo.drop_draft("k", "run")
    with pytest.raises(NotFoundError):
        repo.drop_draft("k", "run")
    with pytest.raises(NotFoundError):
        repo.seal("k", draft="run", expect=1)
    assert put(repo, "b", x=b"2").created
    repo.seal("k", draft="run", expect=["b"])
    with pytest.raises(ConflictError, match="sealed"):
        repo.drop_draft("k", "run")


def test_gc_of_a_remote_keeps_parts_for_ever_and_takes_what_was_dropped(place: Place) -> None:
    one, two = place.add("one"), place.add("two")
    put(one, "a")
    put(one, "c", "other")
    for _ in range(4):
        place.pass_days(3)
        two.gc(remote="origin", grace="0s")
    two.drop_draft("k", "other")
    put(two, "b")
    for _ in range(4):
        place.pass_days(3)
        two.gc(remote="origin", grace="0s")
    made = two.seal("k", draft="run", expect=2)
    for _ in range(4):
        place.pass_days(3)
        one.gc(remote="origin", grace="0s")
    one.fetch()
    assert one.version("k").id == made.version.id
    assert set(read(one)) == {"a/data.bin", "b/data.bin"}
    assert one.fsck(remote="origin", data=True).is_whole


def test_gc_between_any_two_requests_of_a_part_and_a_seal_takes_nothing(tmp_path: Path) -> None:
    """The bytes are there already, of a version that was deleted: what is relied on is about to go."""
    kinds = ("create", "upload", "names", "read", "size")
    at = 1
    while True:
        (tmp_path / str(at)).mkdir()
        place = Place(tmp_path / str(at))
        try:
            one, keeper = place.add("one"), place.add("keeper")
            folder = folder_of(one, "run-a", data_bin=random_bytes(9000, 97))
            one.create("old", folder)
            one.push()
            one.delete("old", force=True)
            one.push()
            keeper.fetch()
            place.pass_days(9)

            def collect(place: Place = place, keeper: Repo = keeper) -> None:
                for _ in range(2):
                    keeper.gc(remote="origin", grace="0s")
                    place.pass_days(0.4)

            place.watched.arm(at, collect, kinds=kinds)
            put(one, "a")
            made = one.seal("k", draft="run", expect=1)
            has_passed = place.watched.act is not None
            for _ in range(4):
                keeper.gc(remote="origin", grace="0s")
                place.pass_days(3)
            assert made.version.ref == "k@v1"
            report = keeper.fsck(remote="origin", data=True)
            assert report.is_whole, (at, report.problems)
            with place.clone("fresh") as fresh:
                assert read(fresh) == {"a/data.bin": random_bytes(9000, 97)}
            if has_passed:
                return
        finally:
            place.close()
        at += 1 if _STEP else 19


def test_a_seal_without_its_version_keeps_what_it_needs(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from art.publish import Publisher

    put(repo, "a")
    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "complete", lambda *_: (_ for _ in ()).throw(_BrokenError))
        with pytest.raises(_BrokenError):
            repo.seal("k", draft="run", expect=1)
    assert repo.listing() == []
    repo.gc(grace="0s")
    assert repo.fsck(data=True).counts["payloads"] == 1
    made = repo.seal("k", draft="run", expect=1)
    assert (made.created, made.version.ref) == (False, "k@v1")
    assert read(repo) == {"a/data.bin": random_bytes(9000, 97)}


# -- damage ----------------------------------------------------------------------------------------


def entry(repo: Repo, number: int) -> Path:
    return repo.root / ".art" / "drafts" / "k" / "_" / "run" / f"{number:08}.yaml"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("data", [b"", b"art: 1\n", None])
def test_a_damaged_draft_stops_gc_and_is_told_until_it_is_dropped(
    number: int, data: bytes | None, repo: Repo
) -> None:
    for name in ("a", "b", "c"):
        put(repo, name)
    path = entry(repo, number)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    for act in (
        lambda: repo.gc(grace="0s"),
        lambda: repo.seal("k", draft="run", expect=3),
        lambda: put(repo, "d"),
    ):
        assert f"{number:08}.yaml" in reason(act, CorruptError)
    (problem,) = repo.fsck().problems
    assert (problem.kind, problem.hint) == ("draft", "art draft drop k run")
    assert problem.name.endswith(path.name)
    (state,) = repo.drafts()
    assert path.name in str(state.problem)
    repo.drop_draft("k", "run")
    repo.gc(grace="0s")
    assert repo.fsck().is_whole
    assert repo.drafts() == []


@pytest.mark.parametrize(
    "change",
    [
        {"part": "../x"},
        {"part": 3},
        {"key": "other"},
        {"draft": "other"},
        {"dropped": True},
        {"payload": {"inline": "x", "size": 1, "b3": "0" * 64}},
        {"payload": None},
        {"payload": {"tree": "..", "size": 1, "files": 1}},
        {"sealed": {"a": "x"}, "part": None},
    ],
)
def test_an_entry_that_says_something_impossible_is_damage(
    change: dict[str, Any], repo: Repo
) -> None:
    put(repo, "a")
    found = document.decode(entry(repo, 1).read_bytes(), "it")
    changed = {name: value for name, value in {**found, **change}.items() if value is not None}
    entry(repo, 1).write_bytes(document.encode(changed))
    with pytest.raises(CorruptError, match="00000001.yaml"):
        repo.seal("k", draft="run", expect=1)
    assert [problem.kind for problem in repo.fsck().problems] == ["draft"]


def test_a_draft_of_a_newer_format_is_told_and_stops_gc(repo: Repo) -> None:
    put(repo, "a")
    found = document.decode(entry(repo, 1).read_bytes(), "it")
    entry(repo, 1).write_bytes(document.encode({**found, "art": 2}))
    with pytest.raises(NewerFormatError):
        repo.gc(grace="0s")
    report = repo.fsck()
    assert (report.is_whole, [each.kind for each in report.notices]) == (True, ["newer"])


def test_what_another_program_puts_behind_a_seal_does_not_count(repo: Repo) -> None:
    put(repo, "a", x=b"1")
    made = repo.seal("k", draft="run", expect=1)
    part = document.decode(entry(repo, 1).read_bytes(), "it")
    entry(repo, 3).write_bytes(document.encode({**part, "part": "b"}))
    entry(repo, 4).write_bytes(
        document.encode({**part, "uid": part["uid"][::-1].replace("-", "0")})
    )
    assert repo.fsck().problems  # the last one has no uid
    entry(repo, 4).unlink()
    again = repo.seal("k", draft="run", expect=["a"])
    assert (again.version.id, again.created) == (made.version.id, False)
    with pytest.raises(ConflictError):
        put(repo, "b", x=b"1")


@pytest.mark.parametrize("field", ["title", "uid", "payload", "purged"])
def test_a_seal_whose_manifest_is_another_one_is_damage(field: str, repo: Repo) -> None:
    put(repo, "a")
    repo.seal("k", draft="run", expect=1, title="T")
    found = document.decode(entry(repo, 2).read_bytes(), "it")
    found["manifest"][field] = {
        "payload": {"tree": "../x"},
        "purged": {"id": "b3:" + "0" * 64},
    }.get(field, "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10")
    entry(repo, 2).write_bytes(document.encode(found))
    with pytest.raises(CorruptError, match="00000002.yaml"):
        repo.seal("k", draft="run", expect=1)
    assert [problem.kind for problem in repo.fsck().problems] == ["draft"]


def test_a_part_whose_bytes_are_gone_is_found_and_stops_gc(repo: Repo) -> None:
    put(repo, "a")
    for path in (repo.root / ".art").glob("packs/*/*"):
        path.unlink()
    (problem,) = repo.fsck().problems
    assert problem.refs == ("draft run of k, part a",)
    with pytest.raises(CorruptError, match="draft run of k, part a"):
        repo.gc(grace="0s")
    with pytest.raises(CorruptError):
        repo.seal("k", draft="run", expect=1)
    assert not put(repo, "a").created  # the same again heals it
    assert repo.seal("k", draft="run", expect=1).created
    assert repo.fsck(data=True).is_whole


def test_what_is_purged_is_nowhere_in_the_draft(repo: Repo) -> None:
    put(repo, "a")
    secret = repo.seal("k", draft="run", expect=1, title="secret").version
    repo.purge(secret.ref, force=True)
    text = "".join(path.read_text() for path in (repo.root / ".art/drafts").rglob("*.yaml"))
    assert "secret" not in text
    assert "purged: true" in text
    assert not list((repo.root / ".art").glob("packs/*/*"))
    assert repo.fsck().is_whole
    repo.gc(grace="0s")


def test_gc_asks_for_one_entry_of_each_draft_that_ended(place: Place) -> None:
    one = place.add("one")
    counts = []
    for turn in range(3):
        place.watched.arm(0, lambda: None)
        one.gc(remote="origin", grace="0s")
        counts.append(sum("drafts/" in name for _, name in place.watched.calls))
        for number in range(4):
            for name in ("a", "b", "c"):
                put(one, name, f"{turn}-{number}", x=f"{turn} {number} {name}".encode())
            one.seal("k", draft=f"{turn}-{number}", expect=3)
    assert counts == [0, 4, 8]


def test_how_much_a_seal_asks_for_does_not_depend_on_the_bytes(place: Place) -> None:
    one, two = place.add("one"), place.add("two")
    counts = []
    for draft, size in (("small", 3000), ("large", 3_000_000)):
        put(one, "a", draft, x=random_bytes(size, 1))
        put(one, "b", draft, x=random_bytes(size, 2))
        place.watched.arm(0, lambda: None)
        two.seal("k", draft=draft, expect=2)
        counts.append(len(place.watched.calls))
    assert counts[1] <= counts[0] + 4
