"""Making versions: what makes two equal, what an edited version is, and which number it gets."""

from __future__ import annotations

import math
import os
import random
import shutil
import tempfile
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import art
from art.catalog import Catalog
from art.edit import added_sources
from art.errors import ConflictError, CorruptError, NotFoundError, UsageError
from art.model import Document, Manifest
from art.repo import Repo
from tests.support import disk, lay_out

posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file system")


# -- what makes two versions equal ---------------------------------------------------------------


def test_the_same_content_and_description_again_is_the_version_that_is_there(
    repo: Repo, workplace: Path
) -> None:
    lay_out(workplace / "data", {"a": "a", "b": "b"})
    about: dict[str, Any] = {
        "title": "t",
        "description": "d",
        "metadata": {"n": 1, "nan": math.nan, "deep": {"x": [1, None, True]}},
        "labels": ["y", "x"],
        "partitions": {"region": "eu"},
    }
    first = repo.create("k", "data", **about)
    again = repo.create("k", "data", **about)
    assert (first.created, again.created) == (True, False)
    assert again.version == first.version
    reordered = about | {
        "labels": ["x", "y", "x"],
        "metadata": dict(reversed(about["metadata"].items())),
    }
    assert not repo.create("k", "data", **reordered).created
    assert len(repo.history("k")) == 1


DIFFERENCES: list[dict[str, Any]] = [
    {"title": "other"},
    {"title": None},
    {"description": "other"},
    {"metadata": {"n": 2}},
    {"metadata": {"n": 1.0}},
    {"metadata": {"n": True}},
    {"metadata": {"n": "1"}},
    {"metadata": {"n": 1, "m": None}},
    {"metadata": {}},
    {"labels": ["x", "y"]},
    {"partitions": {"region": "us"}},
    {"type": "special"},
    {"inputs": ["other@v1"]},
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_any_difference_in_the_description_is_a_new_version(
    repo: Repo, difference: dict[str, Any]
) -> None:
    repo.markdown("other", "x")
    about: dict[str, Any] = {
        "title": "t",
        "description": "d",
        "metadata": {"n": 1},
        "labels": ["x"],
        "partitions": {"region": "eu"},
    }
    repo.markdown("k", "text", **about)
    made = repo.markdown("k", "text", **(about | difference))
    assert made.created
    assert made.version.number == 2


def test_only_the_latest_live_version_counts(repo: Repo) -> None:
    repo.markdown("k", "one")
    repo.markdown("k", "two")
    assert repo.markdown("k", "one").version.number == 3
    repo.delete("k@v3")
    assert repo.markdown("k", "two").version.number == 2
    repo.delete("k")
    assert repo.markdown("k", "two").version.number == 4


def test_always_makes_a_new_one(repo: Repo) -> None:
    for number in (1, 2, 3):
        made = repo.markdown("k", "same", always=True)
        assert (made.created, made.version.number) == (True, number)


def test_who_makes_it_makes_no_difference(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    first = repo.markdown("k", "text").version
    monkeypatch.setenv("ART_AUTHOR", "somebody else")
    assert repo.markdown("k", "text").version.id == first.id
    assert repo.markdown("k", "new").version.author == "somebody else"


def test_the_same_content_under_another_key_is_another_version(repo: Repo) -> None:
    assert repo.markdown("a", "text").version.id != repo.markdown("b", "text").version.id


def test_a_note_on_the_latest_does_not_make_its_content_new(repo: Repo) -> None:
    repo.markdown("k", "text")
    repo.note("k", title="noted")
    made = repo.markdown("k", "text")
    assert not made.created
    assert made.version.title == "noted"


def test_tags_and_messages_are_put_on_a_version_that_was_there(repo: Repo) -> None:
    repo.markdown("k", "text")
    made = repo.markdown("k", "text", tags=["prod"], message="again")
    assert not made.created
    assert made.version.tags == ["prod"]
    assert repo.tag_history("k", "prod")[0].message == "again"


def test_a_damaged_latest_version_is_not_taken_for_the_same(repo: Repo) -> None:
    repo.markdown("k", "text")
    path = repo.root / ".art/manifests/k/v00000001.yaml"
    path.write_bytes(path.read_bytes().replace(b"text", b"tixt"))
    assert repo.markdown("k", "text").version.number == 2


# -- which number --------------------------------------------------------------------------------


def test_a_writer_that_loses_a_number_takes_the_next_and_says_so(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals = ["first", "second"]
    real = Catalog.create_manifest

    def racing(self: Catalog, document: Document, number: int | None) -> Manifest | None:
        if rivals:
            text = rivals.pop(0)
            with art.open(repo.root) as other:
                other.markdown("k", text)
        return real(self, document, number)

    monkeypatch.setattr(Catalog, "create_manifest", racing)
    made = repo.markdown("k", "mine")
    monkeypatch.undo()
    assert sorted(version.text() for version in map(repo.version, ("k@v1", "k@v2", "k@v3"))) == [
        "first",
        "mine",
        "second",
    ]
    assert made.version.text() == "mine"
    assert made.lost >= 1


def test_after_a_lost_race_sameness_is_looked_at_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_first = True
    real = Catalog.create_manifest

    def racing(self: Catalog, document: Document, number: int | None) -> Manifest | None:
        nonlocal is_first
        if is_first:
            is_first = False
            with art.open(repo.root) as other:
                other.markdown("k", "the same")
        return real(self, document, number)

    monkeypatch.setattr(Catalog, "create_manifest", racing)
    made = repo.markdown("k", "the same")
    assert (made.created, made.version.ref, made.lost) == (False, "k@v1", 1)


def test_numbers_of_deleted_versions_are_not_used_again(repo: Repo) -> None:
    for number in range(1, 4):
        assert repo.markdown("k", f"{number}").version.number == number
        repo.delete(f"k@v{number}")


# -- what is said of a version -------------------------------------------------------------------


class Colour(str, Enum):
    RED = "red"


class Metric(float):
    """As numpy's numbers are."""


def test_enumerations_and_numbers_of_other_kinds_become_plain(repo: Repo) -> None:
    metadata = {"colour": Colour.RED, "loss": Metric(0.5), "shape": (1, 2), Colour.RED: 1}
    version = repo.markdown("k", "x", metadata=metadata).version
    assert version.metadata == {"colour": "red", "loss": 0.5, "shape": [1, 2], "red": 1}
    assert [type(value) for value in version.metadata.values()] == [str, float, list, int]
    assert not repo.markdown("k", "x", metadata=metadata).created


def test_labels_inputs_and_tags_may_come_from_anything_that_can_be_looped_over(repo: Repo) -> None:
    repo.markdown("in", "x")
    version = repo.markdown(
        "k",
        "x",
        labels=(label for label in "ba"),
        inputs=iter(["in"]),
        tags=(tag for tag in ("t", "u")),
    ).version
    assert (version.labels, version.tags) == (["a", "b"], ["t", "u"])
    assert [entry["key"] for entry in version.inputs] == ["in"]


BAD: list[dict[str, Any]] = [
    {"metadata": {"a": object()}},
    {"metadata": {"a": 2**64}},
    {"metadata": {"a": "x" * (1 << 20)}},
    {"metadata": {f"{number}": "x" * 1000 for number in range(1100)}},
    {"metadata": {"a": "\ud800"}},
    {"title": "x" * (1 << 16) + "x"},
    {"title": "\udcff"},
    {"description": "x" * (1 << 17)},
    {"labels": ["a b"]},
    {"labels": [""]},
    {"labels": ["a,b"]},
    {"labels": ["x" * 201]},
    {"labels": ["a\n"]},
    {"labels": ["\ud800"]},
    {"partitions": {"a b": "x"}},
    {"partitions": {"": "x"}},
    {"partitions": {f"p{number}": "x" for number in range(33)}},
    {"partitions": {"a": "\udcff"}},
    {"type": "No Type"},
    {"type": ""},
    {"tags": ["v1"]},
    {"tags": ["latest"]},
    {"tags": ["ok", "a/b"]},
    {"inputs": ["b3:xyz"]},
    {"inputs": ["in@"]},
]


@pytest.mark.parametrize("about", BAD, ids=lambda about: str(about)[:40])
def test_what_cannot_be_said_of_a_version_is_a_usage_error_and_makes_none(
    repo: Repo, about: dict[str, Any]
) -> None:
    if about == {"type": ""}:
        assert repo.markdown("k", "x", **about).version.type == "markdown"
        return
    with pytest.raises(UsageError):
        repo.markdown("k", "x", **about)
    assert repo.listing() == []
    assert repo.markdown("k", "x").version.number == 1


@pytest.mark.parametrize("ref", ["missing", "in@v9", "in@nope", "b3:0123456789abcdef"])
def test_an_input_that_is_not_there_is_not_found(repo: Repo, ref: str) -> None:
    repo.markdown("in", "x")
    with pytest.raises(NotFoundError):
        repo.markdown("k", "x", inputs=["in", ref])
    assert repo.keys() == ["in"]


def test_inputs_are_recorded_by_id_and_number(repo: Repo) -> None:
    first = repo.markdown("in", "x").version
    keyless = repo.markdown(None, "x").version
    repo.tag("in@v1", "prod")
    version = repo.markdown("k", "x", inputs=["in@prod", keyless.id[:20], "in"]).version
    known = {"key": "in", "id": first.id, "number": 1}
    assert version.inputs == [known, {"id": keyless.id}, known]


texts = st.text(
    st.one_of(
        st.sampled_from(" \t\n\r\x85\u2028\ufeff\x00\x7f\x80\ufffe\U0001f600#:-'\""),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=20,
)


@settings(max_examples=40)
@given(texts, texts, texts, texts)
def test_any_text_comes_back(content: str, title: str, description: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as place, art.init(place) as repo:
        about: dict[str, Any] = {
            "title": title,
            "description": description,
            "metadata": {"a": value},
        }
        repo.markdown("k", content, dedent=False, **about)
        for fresh in (False, True):
            if fresh:
                (repo.root / ".art/index.sqlite").unlink()
            with art.open(place) as again:
                version = again.version("k")
                assert version.text() == content
                assert (version.title or "", version.description or "") == (title, description)
                assert version.metadata == {"a": value}
        assert not repo.markdown("k", content, dedent=False, **about).created


@pytest.mark.parametrize("size", [4096, 4097, 300_000])
def test_a_text_of_any_size_comes_back(repo: Repo, size: int) -> None:
    text = "ä" + "x" * (size - 2)
    version = repo.markdown("k", text).version
    assert version.payload
    assert (version.payload.inline is not None) == (size <= 4096)
    assert version.text() == text
    assert version.get("out.md").size == size
    assert Path("out.md").read_text() == text
    assert not repo.markdown("k", text).created


# -- a version from an earlier one ---------------------------------------------------------------


@pytest.fixture
def base(repo: Repo, workplace: Path) -> Path:
    """Return the folder `data`, which is `k@v1`."""
    folder = lay_out(
        workplace / "data",
        {"a.csv": "a", "b.csv": "b", "eu/x.csv": "x", "eu/y.csv": "y", "us/z.csv": "z" * 100_000},
    )
    (folder / "link").symlink_to("a.csv")
    (folder / "void").mkdir()
    (folder / "private").mkdir()
    (folder / "private/key").write_text("k")
    (folder / "private").chmod(0o700)
    repo.create("k", folder)
    return folder


def same_as_on_disk(repo: Repo, folder: Path) -> bool:
    """Whether the latest version is what creating from the folder would give."""
    latest = repo.version("k")
    made = repo.create("k", folder, always=True).version
    assert latest.payload
    return latest.payload == made.payload and latest.type == made.type


Edit = tuple[list[str], list[str]]
EDITS: dict[str, Edit] = {
    "a file more": (["new.csv"], []),
    "a file more in a folder": (["eu/new.csv=new.csv"], []),
    "a file more in a new folder": (["asia/deep/new.csv=new.csv"], []),
    "a file in an empty folder": (["void/new.csv=new.csv"], []),
    "a file in a private folder": (["private/new.csv=new.csv"], []),
    "a file replaced": (["a.csv=new.csv"], []),
    "a file replaced deep": (["us/z.csv=new.csv"], []),
    "a file removed": ([], ["b.csv"]),
    "a folder removed": ([], ["eu"]),
    "a folder removed by its slash": ([], ["eu/"]),
    "several removed": ([], ["a.csv", "us", "void"]),
    "a glob removed": ([], ["*.csv"]),
    "a deep glob removed": ([], ["**/z.csv", "us"]),
    "removed and added again": (["a.csv=new.csv"], ["a.csv"]),
    "a folder removed and added again": (["eu=more"], ["eu"]),
    "a folder added": (["more"], []),
    "a folder added in place of a file": (["a.csv=more"], []),
    "a file in place of an empty folder": (["void=new.csv"], []),
    "a link removed": ([], ["link"]),
    "a file in place of a link": (["link=new.csv"], []),
    "all but one removed": ([], ["b.csv", "eu", "us", "link", "void", "private"]),
    "all removed": ([], ["**"]),
}


def apply_edit(folder: Path, added: list[str], removed: list[str]) -> None:
    """Do on disk what the edit does."""
    for pattern in removed:
        for path in sorted(folder.glob(pattern.rstrip("/")), reverse=True):
            if path == folder:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.is_symlink() or path.exists():
                path.unlink()
    if removed == ["**"]:
        for path in folder.iterdir():
            path.unlink()
    for text in added:
        name, _, source = text.partition("=")
        source = source or name
        target = folder / name
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            target.rmdir()
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)


@posix
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_version_equals_one_made_from_the_edited_folder(
    repo: Repo, base: Path, workplace: Path, edit: str
) -> None:
    lay_out(workplace, {"new.csv": "new", "more/p.csv": "p", "more/q/r.csv": "r"})
    added, removed = EDITS[edit]
    made = repo.create("k", base="k@v1", add=added, remove=removed)
    assert made.created
    apply_edit(base, added, removed)
    made.version.get("out")
    assert disk(workplace / "out") == disk(base)
    assert same_as_on_disk(repo, base)


@posix
def test_an_edit_reads_nothing_of_what_stays(repo: Repo, base: Path, workplace: Path) -> None:
    shutil.rmtree(base)
    lay_out(workplace, {"new.csv": "new"})
    made = repo.create("k", base="k", add=["new.csv"])
    assert made.stored_bytes < 10_000
    assert made.version.read("us/z.csv") == b"z" * 100_000


REFUSED: dict[str, Edit] = {
    "a file where a folder is": (["eu=new.csv"], []),
    "a folder where a folder is": (["eu=more"], []),
    "below a file": (["a.csv/new.csv=new.csv"], []),
    "below a link": (["link/new.csv=new.csv"], []),
    "twice": (["x=new.csv", "x=other.csv"], []),
    "one inside the other": (["x=more", "x/p.csv=new.csv"], []),
    "outside": (["../x=new.csv"], []),
    "absolute": (["/x=new.csv"], []),
    "nothing": (["=new.csv"], []),
    "a repository": ([".art/x=new.csv"], []),
}


@posix
@pytest.mark.parametrize("edit", REFUSED)
def test_an_edit_that_would_make_an_impossible_tree_is_a_usage_error(
    repo: Repo, base: Path, workplace: Path, edit: str
) -> None:
    lay_out(workplace, {"new.csv": "new", "other.csv": "other", "more/p.csv": "p"})
    added, removed = REFUSED[edit]
    with pytest.raises(UsageError):
        repo.create("k", base="k", add=added, remove=removed)
    assert len(repo.history("k")) == 1


@pytest.mark.parametrize(
    ("added", "removed"),
    [
        ([], ["nope"]),
        ([], ["a.csv", "*.png"]),
        (["nope.csv"], []),
        (["x=nope.csv"], []),
        ([], ["a"]),
    ],
    ids=str,
)
def test_what_is_not_there_is_neither_added_nor_removed(
    repo: Repo, base: Path, added: list[str], removed: list[str]
) -> None:
    with pytest.raises(NotFoundError):
        repo.create("k", base="k", add=added, remove=removed)
    assert len(repo.history("k")) == 1


def test_an_edit_without_any_change_is_the_same_version(repo: Repo, base: Path) -> None:
    assert not repo.create("k", base="k").created
    assert not repo.create("k", base="k", add=["a.csv=data/a.csv"]).created


def test_an_edit_goes_from_any_key_and_version(repo: Repo, base: Path, workplace: Path) -> None:
    lay_out(workplace, {"new.csv": "new"})
    repo.create("k", base="k", remove=["**"])
    made = repo.create("other", base="k@v1", add=["new.csv"], remove=["us"]).version
    assert made.ref == "other@v1"
    assert made.read("a.csv") == b"a"
    assert made.read("new.csv") == b"new"


def test_a_single_file_stays_one_while_it_is_one(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"a.csv": "a", "new.csv": "new"})
    repo.create("f", "a.csv")
    replaced = repo.create("f", base="f", add=["a.csv=new.csv"]).version
    assert (replaced.type, replaced.read()) == ("file", b"new")
    renamed = repo.create("f", base="f", add=["new.csv"], remove=["a.csv"]).version
    assert (renamed.type, renamed.get("out/").path.name) == ("file", "new.csv")
    more = repo.create("f", base="f", add=["a.csv"]).version
    assert more.type == "folder"
    assert more.payload
    assert more.payload.file is None


def test_an_edit_needs_a_version_with_files(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"a": "a"})
    repo.markdown("m", "text")
    with pytest.raises(UsageError, match="has no files to start from"):
        repo.create("k", base="m", add=["a"])
    with pytest.raises(UsageError, match="takes its files by add and remove"):
        repo.create("k", "a", base="m")
    with pytest.raises(UsageError, match="from an earlier version"):
        repo.create("k", add=["a"])


def test_edit_after_edit_stays_readable(repo: Repo, workplace: Path) -> None:
    noise = random.Random(4)
    model = {f"{number:02}": noise.randbytes(2000) for number in range(20)}
    lay_out(workplace / "data", model)
    repo.create("k", "data")
    for turn in range(25):
        name = f"{noise.randrange(30):02}"
        added, removed = [], []
        if name in model and turn % 3:
            removed, _ = [name], model.pop(name)
        else:
            model[name] = noise.randbytes(2000)
            lay_out(workplace / "new", {name: model[name]})
            added = [f"{name}=new/{name}"]
        version = repo.create("k", base="k", add=added, remove=removed).version
        assert {node.path: version.read(node.path) for node in version.files} == model
    for record in repo.history("k"):
        with art.open(repo.root) as again:
            for node in again.version(record.ref).files:
                again.version(record.ref).read(node.path)


@pytest.mark.parametrize(
    ("text", "name"),
    [("a.csv", "a.csv"), ("./a.csv", "a.csv"), ("d/b", "d/b"), ("x/y=a.csv", "x/y"), ("a=b", "a=b")]
    + [("../work/a.csv", "a.csv")],
)
def test_an_added_file_keeps_its_relative_path_or_gets_the_one_given(
    workplace: Path, text: str, name: str
) -> None:
    lay_out(workplace, {"a.csv": "", "d/b": "", "a=b": ""})
    (source,) = added_sources([text])
    assert source.name == name
    assert Path(source.path).is_file()


def test_an_absolute_path_is_added_under_its_last_part(workplace: Path) -> None:
    lay_out(workplace, {"d/b": ""})
    (source,) = added_sources([str(workplace / "d/b")])
    assert source.name == "b"


# -- what is there already -----------------------------------------------------------------------


def test_content_that_another_key_has_is_not_stored_again(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", {"a": random.Random(1).randbytes(200_000)})
    first = repo.create("a", "data")
    second = repo.create("b", "data")
    assert first.stored_bytes > 200_000
    assert second.stored_bytes == 0
    assert len(list((repo.root / ".art/packs").rglob("*.pack"))) == 1


def test_without_an_index_it_is_still_known_what_is_stored(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", {"a": random.Random(1).randbytes(200_000)})
    repo.create("a", "data")
    (repo.root / ".art/index.sqlite").unlink()
    with art.open(repo.root) as again:
        assert again.create("b", "data").stored_bytes == 0


def test_where_the_bytes_of_the_latest_are_gone_everything_is_stored_anew(
    repo: Repo, workplace: Path
) -> None:
    lay_out(workplace / "data", {"a": "content of a"})
    repo.create("k", "data")
    for pack in (repo.root / ".art/packs").rglob("*.pack"):
        pack.unlink()
    with pytest.raises(CorruptError, match="is not in this repository"):
        repo.version("k").read("a")
    repo.create("k", "data", always=True)
    assert repo.version("k@v2").read("a") == b"content of a"
    assert repo.version("k@v1").read("a") == b"content of a", "it is the same payload"


def test_leftovers_of_killed_writers_are_swept_when_they_are_old(repo: Repo) -> None:
    for name, age in (("old", 3 * 86400), ("young", 60)):
        path = repo.root / ".art/tmp" / name
        path.write_bytes(b"x")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    repo.markdown("k", "x")
    assert [path.name for path in (repo.root / ".art/tmp").iterdir()] == ["young"]


def test_a_failed_creation_leaves_no_temporary_file(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", {"a": "a" * 100_000, "b": "b"})

    real = os.lstat

    def vanish(path: str) -> os.stat_result:
        if path.endswith("/b"):
            raise FileNotFoundError(path)
        return real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "lstat", vanish)
        with pytest.raises(ConflictError):
            repo.create("k", "data")
    assert list((repo.root / ".art/tmp").iterdir()) == []
    assert repo.create("k", "data").version.number == 1
