"""A payload onto the disk: exactly it, inside the target, and nothing the user has is lost."""

from __future__ import annotations

import io
import os
import stat
import sys
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from blake3 import blake3

from art import bundle, checkout
from art import folder as folders
from art.backend import LocalBackend
from art.checkout import Checkout, Got
from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    NotFoundError,
    UsageError,
)
from art.model import Chunking, now
from art.objects import ObjectStore
from art.repo import Repo
from art.reporter import Silent
from art.tree import Node
from art.version import Version
from tests.support import Disk, digest_of, disk, lay_out, put_nodes, stored

posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file system")
FILES = {"a.csv": "1,2\n", "eu/b.csv": "3\n", "eu/deep/c.txt": "c", "us/d.csv": "4\n", "empty": ""}


@pytest.fixture
def made(repo: Repo, workplace: Path) -> Version:
    """Return a version of the folder `data`, which has files, links, modes and an empty folder."""
    folder = lay_out(workplace / "data", FILES | {"run.sh": "#!/bin/sh\n", "big": b"z" * 300_000})
    (folder / "run.sh").chmod(0o755)
    (folder / "void").mkdir()
    (folder / "eu" / "link").symlink_to("../a.csv")
    return repo.create("k/data-set", folder).version


# -- what is written where -----------------------------------------------------------------------


def test_a_folder_is_taken_out_as_it_was(made: Version, workplace: Path) -> None:
    got = made.get("out")
    assert disk(workplace / "out") == disk(workplace / "data")
    assert got == Got(workplace / "out", 7, 0, made.size or 0)


def test_without_a_name_it_takes_the_last_part_of_the_key(made: Version, workplace: Path) -> None:
    assert made.get().path == workplace / "data-set"
    assert disk(workplace / "data-set") == disk(workplace / "data")


def test_folders_above_the_target_are_made(made: Version, workplace: Path) -> None:
    made.get("x/y/z")
    assert disk(workplace / "x/y/z") == disk(workplace / "data")


def test_an_existing_folder_is_filled(made: Version, workplace: Path) -> None:
    lay_out(workplace / "out", {"mine": "mine", "eu/mine": "mine"})
    made.get("out")
    found = disk(workplace / "out")
    assert found.pop("mine")[2] == b"mine"
    assert found.pop("eu/mine")[2] == b"mine"
    assert found == disk(workplace / "data")


SELECTIONS: list[tuple[str, str, list[str]]] = [
    ("a.csv", "x.csv", ["x.csv"]),
    ("eu/b.csv", "x.csv", ["x.csv"]),
    ("eu/b.csv", "existing/", ["existing/b.csv"]),
    ("eu/b.csv", "new/", ["new/b.csv"]),
    ("eu", "out", ["out/b.csv", "out/deep", "out/deep/c.txt", "out/link"]),
    ("eu/deep", "out", ["out/c.txt"]),
    ("*.csv", "out", ["out/a.csv"]),
    ("**/*.csv", "out", ["out/a.csv", "out/eu", "out/eu/b.csv", "out/us", "out/us/d.csv"]),
    ("eu/*.csv", "out", ["out/b.csv"]),
    ("*/b.csv", "out", ["out/eu", "out/eu/b.csv"]),
    ("void", "out", []),
    ("[a]*", "out", ["out/a.csv"]),
    ("eu/link", "x", ["x"]),
]


@pytest.mark.parametrize(("path", "to", "expected"), SELECTIONS, ids=str)
def test_a_part_can_be_taken_out(
    made: Version, workplace: Path, path: str, to: str, expected: list[str]
) -> None:
    (workplace / "existing").mkdir()
    before = set(disk(workplace))
    made.get(to, path=path)
    created = set(disk(workplace)).difference(before)
    assert sorted(created - {"out", "new", "out/void"}) == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("eu", "eu"), ("eu/b.csv", "b.csv"), ("eu/*", "b.csv")]
)
def test_a_part_taken_out_without_a_target_lands_here(
    made: Version, workplace: Path, path: str, expected: str
) -> None:
    made.get(path=path)
    assert (workplace / expected).exists()


@pytest.mark.parametrize("path", ["nope", "eu/nope", "a.csv/x", "*.png", "e", "eu/b.cs"])
@pytest.mark.parametrize("archive", [None, "tar", "zip"])
def test_a_path_that_is_not_there_is_not_found(
    made: Version, workplace: Path, path: str, archive: str | None
) -> None:
    before = disk(workplace)
    with pytest.raises(NotFoundError, match="has no file"):
        made.get("out", path=path, archive=archive)
    assert disk(workplace) == before


def test_a_name_that_looks_like_a_glob_is_itself_first(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", {"[ab]": "itself", "a": "a", "d[1]/x?": "in", "d1/x": "x"})
    version = repo.create("k", "data").version
    version.get("out", path="[ab]")
    assert (workplace / "out").read_bytes() == b"itself"
    version.get("folder", path="d[1]")
    assert disk(workplace / "folder") == disk(workplace / "data" / "d[1]")
    assert version.read("d[1]/x?") == b"in"
    assert [node.path for node in version.iter_files("d[1]/*")] == ["d1/x"]


def test_a_single_file_is_a_file(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"in/report.csv": "x"})
    version = repo.create("k", "in/report.csv").version
    assert version.get().path == workplace / "report.csv"
    assert version.get("other.csv").path == workplace / "other.csv"
    assert version.get("in/").unchanged == 1
    assert (workplace / "other.csv").read_text() == "x"


def test_a_folder_of_one_file_is_a_folder(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", {"only": "x"})
    repo.create("k", "data").version.get("out")
    assert disk(workplace / "out") == disk(workplace / "data")


@posix
def test_modes_are_those_of_the_version_whatever_the_umask_is(
    made: Version, workplace: Path
) -> None:
    old = os.umask(0o077)
    try:
        made.get("out")
        made.get("x.sh", path="run.sh")
    finally:
        os.umask(old)
    assert {
        name: entry for name, entry in disk(workplace / "out").items() if entry[0] == "file"
    } == {name: entry for name, entry in disk(workplace / "data").items() if entry[0] == "file"}
    assert (workplace / "x.sh").stat().st_mode & 0o777 == 0o755


@posix
def test_a_folder_that_forbids_writing_is_filled_and_then_forbids_it(
    repo: Repo, workplace: Path
) -> None:
    folder = lay_out(workplace / "data", {"ro/a": "a", "ro/in/b": "b", "ro/in/void/x": ""})
    (folder / "ro/in/void/x").unlink()
    closed = [folder / name for name in ("ro/in/void", "ro/in", "ro")]
    for path in closed:
        path.chmod(0o555)
    try:
        repo.create("k", folder)
        repo.version("k").get("out")
        assert disk(workplace / "out") == disk(folder)
    finally:
        for path in [
            *closed[::-1],
            *(workplace / "out" / p.relative_to(folder) for p in closed[::-1]),
        ]:
            path.chmod(0o755)


@posix
def test_modes_that_went_wrong_are_mended(made: Version, workplace: Path) -> None:
    made.get("out")
    (workplace / "out/run.sh").chmod(0o600)
    (workplace / "out/void").chmod(0o700)
    got = made.get("out")
    assert (got.written, got.unchanged) == (0, 7)
    assert disk(workplace / "out") == disk(workplace / "data")


# -- what is there already -----------------------------------------------------------------------


def inodes(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        name: ((folder / name).lstat().st_ino, (folder / name).lstat().st_mtime_ns)
        for name, (kind, _, _) in disk(folder).items()
        if kind == "file"
    }


def test_files_that_are_right_are_left_alone(made: Version, workplace: Path) -> None:
    made.get("out")
    before = inodes(workplace / "out")
    (workplace / "out/eu/b.csv").unlink()
    got = made.get("out")
    assert (got.written, got.unchanged, got.size) == (1, 6, 300019)
    after = inodes(workplace / "out")
    assert before.pop("eu/b.csv")
    assert after.pop("eu/b.csv")
    assert after == before
    assert disk(workplace / "out") == disk(workplace / "data")


CHANGES: dict[str, Callable[[Path], object]] = {
    "longer": lambda out: (out / "a.csv").write_text("1,2\nmine\n"),
    "as long": lambda out: (out / "a.csv").write_text("9,9\n"),
    "shortened": lambda out: (out / "big").write_text("z"),
    "a link instead": lambda out: replace(out / "a.csv", lambda path: path.symlink_to("eu/b.csv")),
    "a dangling link instead": lambda out: replace(
        out / "a.csv", lambda path: path.symlink_to("no")
    ),
    "another link": lambda out: replace(out / "eu/link", lambda path: path.symlink_to("b.csv")),
    "a file for a link": lambda out: replace(out / "eu/link", lambda path: path.write_text("x")),
}


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


@posix
@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_are_overwritten_only_with_force(
    made: Version, workplace: Path, change: str
) -> None:
    made.get("out")
    CHANGES[change](workplace / "out")
    (workplace / "out/us/d.csv").unlink()
    before = disk(workplace / "out")
    with pytest.raises(ConflictError, match="changed on disk and would be overwritten"):
        made.get("out")
    assert disk(workplace / "out") == before, "not even what was missing is written"
    made.get("out", force=True)
    assert disk(workplace / "out") == disk(workplace / "data")


@posix
def test_a_refusal_changes_no_mode_either(made: Version, workplace: Path) -> None:
    made.get("out")
    (workplace / "out/run.sh").chmod(0o600)
    (workplace / "out/us/d.csv").write_text("mine")
    before = disk(workplace / "out")
    with pytest.raises(ConflictError):
        made.get("out")
    assert disk(workplace / "out") == before


def test_files_of_another_version_may_be_replaced(
    repo: Repo, made: Version, workplace: Path
) -> None:
    made.get("out")
    (workplace / "data/a.csv").write_text("new")
    (workplace / "data/big").write_bytes(b"new" * 200_000)
    newer = repo.create("k/data-set", "data").version
    newer.get("out")
    assert disk(workplace / "out") == disk(workplace / "data")
    made.get("out")
    assert (workplace / "out/a.csv").read_text() == "1,2\n"


def test_a_damaged_older_version_does_not_stand_in_the_way(repo: Repo, workplace: Path) -> None:
    lay_out(workplace / "data", FILES)
    older = repo.create("k", "data").version
    repo.markdown("k", "in between, so that the next layout stands for itself")
    (workplace / "data/a.csv").write_text("new")
    newer = repo.create("k", "data").version
    newer.get("out")
    assert older.payload
    (layout,) = (workplace / ".art/layouts").glob(f"*/{older.payload.tree}/*")
    layout.write_bytes(b"")
    (workplace / "out/eu/b.csv").write_text("mine")
    with pytest.raises(ConflictError, match="changed on disk"):
        newer.get("out")


def test_what_some_version_holds_may_be_overwritten(made: Version, workplace: Path) -> None:
    made.get("out")
    (workplace / "out/a.csv").write_text("")  # so is the file `empty`
    made.get("out")
    assert disk(workplace / "out") == disk(workplace / "data")


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "a folder where a file goes": lambda out: replace(out / "a.csv", Path.mkdir),
    "a file where a folder goes": lambda out: (
        (out / "void").rmdir() or (out / "void").write_text("x")
    ),
    "a file where a folder of files goes": lambda out: rename_and(out / "us", Path.touch),
    "a link where a folder goes": lambda out: rename_and(out / "us", lambda p: p.symlink_to("eu")),
    "a link where an empty folder goes": lambda out: rename_and(
        out / "void", lambda p: p.symlink_to("eu")
    ),
}


def rename_and(path: Path, make: Callable[[Path], object]) -> None:
    path.rename(path.with_name("away"))
    make(path)


@posix
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_stands_in_the_way_is_never_removed(
    made: Version, workplace: Path, obstacle: str, force: bool
) -> None:
    made.get("out")
    OBSTACLES[obstacle](workplace / "out")
    before = disk(workplace / "out")
    with pytest.raises(ConflictError):
        made.get("out", force=force)
    assert disk(workplace / "out") == before


def test_a_file_is_no_target_for_a_folder(made: Version, workplace: Path) -> None:
    Path("out").write_text("mine")
    with pytest.raises(ConflictError, match="is there and is not a folder"):
        made.get("out", force=True)
    assert Path("out").read_text() == "mine"


def test_a_folder_is_no_target_for_a_file_unless_named_as_one(
    made: Version, workplace: Path
) -> None:
    (workplace / "out" / "a.csv").mkdir(parents=True)
    with pytest.raises(ConflictError, match="is a folder"):
        made.get("out", path="a.csv", force=True)


@posix
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_through_a_link_in_the_target(
    made: Version, workplace: Path, force: bool
) -> None:
    outside = lay_out(workplace / "outside", {"b.csv": "precious"})
    (workplace / "out").mkdir()
    (workplace / "out/eu").symlink_to(outside)
    before = disk(workplace)
    with pytest.raises(ConflictError, match="is a symbolic link: nothing is written through it"):
        made.get("out", force=force)
    assert disk(workplace) == before


@posix
def test_forcing_a_file_over_a_link_replaces_the_link_not_its_target(
    made: Version, workplace: Path
) -> None:
    (workplace / "precious").write_text("precious")
    (workplace / "out").mkdir()
    (workplace / "out/a.csv").symlink_to(workplace / "precious")
    made.get("out", force=True)
    assert (workplace / "precious").read_text() == "precious"
    (workplace / "x.csv").symlink_to(workplace / "precious")
    made.get("x.csv", path="a.csv", force=True)
    assert (workplace / "precious").read_text() == "precious"
    assert (workplace / "x.csv").read_text() == "1,2\n"


# -- texts ---------------------------------------------------------------------------------------


def test_a_text_is_taken_out_as_a_file_named_by_its_type(repo: Repo, workplace: Path) -> None:
    repo.markdown("a/report", "# Hi\n").version.get()
    repo.json("j", {"a": 1}).version.get()
    repo.link("l", "https://example.com/x").version.get()
    assert (workplace / "report.md").read_text() == "# Hi\n"
    assert (workplace / "j.json").read_text() == '{\n  "a": 1\n}\n'
    assert (workplace / "l.url").read_text() == "https://example.com/x"


def test_a_changed_text_is_overwritten_only_with_force(repo: Repo, workplace: Path) -> None:
    version = repo.markdown("a", "text").version
    assert version.get("out.md").written == 1
    assert version.get("out.md").unchanged == 1
    Path("out.md").write_text("mine")
    with pytest.raises(ConflictError, match="differs"):
        version.get("out.md")
    assert Path("out.md").read_text() == "mine"
    version.get("out.md", force=True)
    assert Path("out.md").read_text() == "text"


def test_a_text_has_no_paths_and_goes_into_no_archive(repo: Repo) -> None:
    version = repo.markdown("a", "text").version
    with pytest.raises(NotFoundError):
        version.get(path="x")
    with pytest.raises(UsageError, match="only files go into archives"):
        version.get(archive="zip")


def test_a_version_without_content_gives_nothing(repo: Repo) -> None:
    with pytest.raises(UsageError, match="without content"):
        repo.create("a", metadata={"n": 1}).version.get()


# -- archives ------------------------------------------------------------------------------------


def unpacked(data: bytes, kind: str) -> Disk:
    """Return what an archive holds, read by Python's own modules, without folders of mode 755."""
    found: Disk = {}
    if kind == "tar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if member.issym():
                    found[member.name] = ("link", 0, member.linkname)
                elif member.isdir():
                    found[member.name] = ("folder", member.mode, "")
                else:
                    content = tar.extractfile(member)
                    assert content
                    found[member.name] = ("file", member.mode, content.read())
        return found
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert bundle.testzip() is None
        for entry in bundle.infolist():
            mode = entry.external_attr >> 16
            if stat.S_ISLNK(mode):
                found[entry.filename] = ("link", 0, bundle.read(entry).decode())
            elif entry.is_dir():
                found[entry.filename.rstrip("/")] = ("folder", mode & 0o777, "")
            else:
                found[entry.filename] = ("file", mode & 0o777, bundle.read(entry))
    return found


def listed(folder: Path, version: Version) -> Disk:
    """Return what a folder holds, of folders only those that the version lists."""
    named = {node.path for node in version.files}
    return {name: entry for name, entry in disk(folder).items() if name in named}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_holds_what_get_writes(made: Version, workplace: Path, kind: str) -> None:
    got = made.get(f"out.{kind}", archive=kind)
    assert unpacked(got.path.read_bytes(), kind) == listed(workplace / "data", made)
    assert (got.files, got.size) == (7, made.size)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_is_named_after_the_key_and_never_overwrites(
    made: Version, workplace: Path, kind: str
) -> None:
    assert made.get(archive=kind).path == workplace / f"data-set.{kind}"
    before = disk(workplace)
    with pytest.raises(ConflictError, match="exists"):
        made.get(archive=kind, force=True)
    assert disk(workplace) == before


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_part_goes_into_an_archive_too(made: Version, kind: str) -> None:
    got = made.get("out", path="eu/deep", archive=kind)
    assert unpacked(got.path.read_bytes(), kind) == {"c.txt": ("file", 0o644, b"c")}


def test_another_archive_is_a_usage_error(made: Version, workplace: Path) -> None:
    before = disk(workplace)
    with pytest.raises(UsageError, match="'rar' is not known"):
        made.get("out", archive="rar")
    assert disk(workplace) == before


@posix
def test_a_name_that_is_not_unicode_goes_into_a_tar_but_not_into_a_zip(
    repo: Repo, workplace: Path
) -> None:
    name = os.fsdecode(b"caf\xe9\n")
    version = repo.create("k", lay_out(workplace / "data", {name: "x"})).version
    got = version.get("out.tar", archive="tar")
    assert unpacked(got.path.read_bytes(), "tar") == {name: ("file", 0o644, b"x")}
    before = disk(workplace)
    with pytest.raises(ConflictError, match="no possible name in a zip file"):
        version.get("out.zip", archive="zip")
    assert disk(workplace) == before


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_two_archives_of_a_version_are_equal(made: Version, workplace: Path, kind: str) -> None:
    one, two = (made.get(name, archive=kind).path.read_bytes() for name in ("one", "two"))
    assert one == two


# -- hostile trees -------------------------------------------------------------------------------


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(LocalBackend(tmp_path / "store"), Chunking())


def evil(path: str) -> Node:
    return Node(path, 0o644, 4, digest_of(b"evil").hex())


HOSTILE: dict[str, list[Node]] = {
    "absolute": [evil("/tmp/art-evil")],
    "up": [evil("../evil")],
    "up inside": [evil("a/../../evil")],
    "dot": [evil("./evil")],
    "empty part": [evil("a//evil")],
    "nothing": [evil("")],
    "a folder up": [Node("..", 0o777, is_dir=True)],
    "a folder absolute": [Node("/tmp/art-evil", 0o777, is_dir=True)],
    "a link up": [Node("../evil", link="/etc/passwd")],
    "a file below a link": [Node("a", link="../outside"), evil("a/evil")],
    "a file below a link, apart": [Node("a", link="../outside"), evil("a!"), evil("a/evil")],
    "a file far below a link": [Node("a", link="../outside"), evil("a/b/c")],
    "a folder in place of a link": [Node("a", link="../outside"), Node("a", 0o777, is_dir=True)],
    "a link below a link": [Node("a", link="../outside"), Node("a/evil", link="/etc/passwd")],
    "a file below a file": [evil("a"), evil("a/b")],
    "a repository": [evil(".art/hooks/pre-create")],
    "a repository inside": [evil("x/.art/format.yaml")],
    "a repository in capitals": [evil(".ART/format.yaml")],
    "a folder called as one": [Node("x/.art", 0o755, is_dir=True)],
    "null byte": [evil("a\0b")],
}


def take_out(objects: ObjectStore, nodes: list[Node], target: Path) -> Got:
    payload = stored(objects, put_nodes(objects, nodes, [b"evil"]))
    return Checkout(payload, target, Silent(), lambda _: set(), 2).folder(
        payload.tree(), force=True
    )


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("trick", HOSTILE)
def test_nothing_is_written_outside_the_target(
    objects: ObjectStore, workplace: Path, trick: str, is_there: bool
) -> None:
    (workplace / "outside").mkdir()
    if is_there:
        (workplace / "target").mkdir()
    before = disk(workplace)
    with pytest.raises(ArtError):
        take_out(objects, HOSTILE[trick], workplace / "target")
    assert disk(workplace) == before
    assert not Path("/tmp/art-evil").exists()


@pytest.mark.parametrize("trick", HOSTILE)
def test_nodes_that_no_parser_saw_are_as_harmless(
    objects: ObjectStore, workplace: Path, trick: str
) -> None:
    """The checkout does not lean on the tree having been checked when it was read."""
    (workplace / "outside").mkdir()
    before = disk(workplace)
    payload = stored(objects, put_nodes(objects, [evil("x")], [b"evil"]))
    with pytest.raises((ArtError, ValueError)):
        Checkout(payload, workplace / "target", Silent(), lambda _: set(), 2).folder(
            HOSTILE[trick], force=True
        )
    assert disk(workplace) == before


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("trick", HOSTILE)
def test_no_archive_holds_what_would_lead_outside(
    objects: ObjectStore, workplace: Path, trick: str, kind: str
) -> None:
    payload = stored(objects, put_nodes(objects, HOSTILE[trick], [b"evil"]))
    with pytest.raises(ArtError):
        bundle.archive(payload, payload.tree(), workplace / "out", kind, now())
    assert disk(workplace) == {}


def test_a_tree_whose_content_is_damaged_leaves_the_disk_as_it_was(
    objects: ObjectStore, workplace: Path
) -> None:
    nodes = [evil("a"), Node("b", 0o644, 7, digest_of(b"missing").hex())]
    lay_out(workplace / "target", {"mine": "mine"})
    for target in ("target", "new"):
        before = disk(workplace)
        with pytest.raises(CorruptError, match=digest_of(b"missing").hex()[:16]):
            take_out(objects, nodes, workplace / target)
        assert disk(workplace) == before


@pytest.mark.parametrize("kind", ["tar", "zip", None])
@pytest.mark.parametrize("size", [4, 5, 8, 9])
def test_a_file_that_is_not_what_the_tree_says_is_never_handed_out(
    objects: ObjectStore, workplace: Path, kind: str | None, size: int
) -> None:
    """The list of chunks gives eight right bytes, the tree says fewer, more, or another digest."""
    listing = (digest_of(b"evil") + (4).to_bytes(4, "little")) * 2
    b3 = blake3(b"evil").hexdigest() if size < 8 else blake3(b"else").hexdigest()
    parts = ((digest_of(listing).hex(), len(listing)),)
    node = Node("a", 0o644, size, b3, parts, chunks_are_list=True)
    payload = stored(objects, put_nodes(objects, [node], [b"evil", listing]))
    with pytest.raises(CorruptError):
        if kind:
            bundle.archive(payload, payload.tree(), workplace / "out", kind, now())
        else:
            Checkout(payload, workplace / "out", Silent(), lambda _: set(), 2).folder(
                payload.tree(), force=False
            )
    assert disk(workplace) == {}


def is_case_insensitive() -> bool:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "a").touch()
        return (Path(place) / "A").exists()


@pytest.mark.skipif(not is_case_insensitive(), reason="this file system tells capitals apart")
@pytest.mark.parametrize("paths", [["A", "a"], ["A/x", "a/x"], ["A", "a/x"]], ids=str)
def test_names_that_the_file_system_merges_are_reported(
    objects: ObjectStore, workplace: Path, paths: list[str]
) -> None:
    with pytest.raises(CorruptError, match="takes for another one|as a file and as a folder"):
        take_out(objects, [evil(path) for path in paths], workplace / "target")
    assert disk(workplace) == {}


@pytest.mark.skipif(is_case_insensitive(), reason="this file system merges capitals")
def test_names_that_differ_in_capitals_are_two_where_that_works(
    objects: ObjectStore, workplace: Path
) -> None:
    take_out(objects, [evil("A"), evil("a")], workplace / "target")
    assert sorted(disk(workplace / "target")) == ["A", "a"]


@pytest.mark.parametrize(
    "name",
    [
        "con",
        "NUL.txt",
        "a/aux/b",
        "Com1",
        "a:b",
        "a\\b",
        "..\\evil",
        "a.",
        "a ",
        "x/a /y",
        'a"',
        "a|b",
    ]
    + ["a?", "a*", "a<", "a\x01", "C:", "C:\\x"],
)
def test_names_that_windows_takes_for_something_else_are_refused_there(
    objects: ObjectStore, workplace: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConflictError, match="no possible name on this system"):
        list(checkout.checked([evil(name)]))


@pytest.mark.parametrize("name", ["console", "nul-x", "a.b", ".hidden", "com", "com10", "é", "a b"])
def test_names_that_windows_takes_are_not_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert [node.path for node in checkout.checked([evil(name)])] == [name]


# -- the temporary place -------------------------------------------------------------------------


def test_the_temporary_place_is_where_the_target_is_and_goes_away(
    made: Version, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent of an existing target may not be writable, or be on another file system."""
    places: list[Path] = []
    real = checkout._make_folders

    def noting(root: str, path: str, made: set[str]) -> None:
        places.append(Path(root))
        real(root, path, made)

    monkeypatch.setattr(checkout, "_make_folders", noting)
    (workplace / "out").mkdir()
    made.get("out")
    assert {place.parent.parent for place in places} == {workplace / "out"}
    places.clear()
    made.get("new")
    assert {place.parent.parent for place in places} == {workplace}
    assert disk(workplace / "out") == disk(workplace / "new") == disk(workplace / "data")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_the_folder_above_the_target_need_not_be_writable(made: Version, workplace: Path) -> None:
    (workplace / "home/me").mkdir(parents=True)
    (workplace / "home").chmod(0o555)
    try:
        made.get(workplace / "home/me")
    finally:
        (workplace / "home").chmod(0o755)
    assert disk(workplace / "home/me") == disk(workplace / "data")


def test_a_target_that_appears_meanwhile_is_not_overwritten(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(workplace, {"in/a": "x"})
    version = repo.create("k", "in/a").version
    real = Checkout._write_node

    def slowly(self: Checkout, node: Node, path: str) -> None:
        real(self, node, path)
        (workplace / "a").write_text("mine")

    monkeypatch.setattr(Checkout, "_write_node", slowly)
    with pytest.raises(ConflictError, match="come into being meanwhile"):
        version.get()
    assert (workplace / "a").read_text() == "mine"


def test_many_files_come_out_through_several_batches(objects: ObjectStore, workplace: Path) -> None:
    names = [f"{number // 50:02}/{number:04}" for number in range(700)]
    got = take_out(objects, [evil(name) for name in names], workplace / "out")
    assert got.written == 700
    files: Iterable[str] = (
        name for name, entry in disk(workplace / "out").items() if entry[0] == "file"
    )
    assert sorted(files) == names


@pytest.mark.parametrize("force", [False, True])
def test_memory_does_not_grow_with_the_number_of_files(
    objects: ObjectStore, workplace: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    """Some are missing, some changed, some right but for their mode, some right."""
    monkeypatch.setattr(checkout, "_CHANGED_BATCH", 100)
    monkeypatch.setattr(folders, "_BLOCK", 4096)
    payload = stored(objects, put_nodes(objects, [evil("a")], [b"evil"]))
    peaks = {}
    for turn, count in enumerate((4000, 400, 4000)):  # the first warms up
        for number in range(0, count, 2):
            lay_out(
                workplace / f"out{turn}",
                {f"{number // 100:04}/{number:08}": b"evil"[: number % 3 + 2]},
            )
        tracemalloc.start()
        Checkout(payload, workplace / f"out{turn}", Silent(), lambda digests: digests, 1).folder(
            (evil(f"{number // 100:04}/{number:08}") for number in range(count)), force=force
        )
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[4000] < peaks[400] + 300_000, peaks
