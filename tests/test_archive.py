"""Versions go into one plain file and come back with their history."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import art
from art.backend import LocalBackend
from art.errors import ArtError, ConflictError, CorruptError, NotFoundError, UsageError
from art.model import Chunking
from art.place import make
from art.repo import Repo
from art.store import Store
from tests.conftest import Runner
from tests.test_recover import tree_of

KINDS = ["a.tar", "a.tar.gz", "a.zip"]


@pytest.fixture
def other(workplace: Path, repo: Repo) -> Iterator[Repo]:
    """Return a second, empty repository."""
    with art.init(workplace / "other", nested=True) as found:
        yield found


@pytest.fixture
def rich(repo: Repo, workplace: Path) -> Repo:
    """Return a repository with something of everything."""
    data = workplace / "data"
    (data / "in" / "empty").mkdir(parents=True)
    (data / "in" / "empty").chmod(0o500)
    (data / "none").write_bytes(b"")
    (data / "run").write_text("#!/bin/sh\n")
    (data / "run").chmod(0o751)
    (data / "ü 🎨").write_text("odd")
    (data / "link").symlink_to("../outside")
    (data / "large").write_bytes(random.Random(1).randbytes(6 << 20))
    repo.create("Sales/Data", "data", title="one")
    (data / "run").write_text("other\n")
    repo.create("Sales/Data", "data", title="two", tags=["prod"])
    repo.create("Sales/Data", "data/run", title="three")
    repo.note("Sales/Data@v1", add_labels=["old"])
    repo.delete("Sales/Data@v1")
    repo.tag("Sales/Data@v3", "prod")
    repo.value("a", 3)
    repo.create("a/v1", "data/run")
    repo.link("a/v1/files", "https://example.org/")
    repo.progress("p", 40)
    repo.set_settings("a", protected=True)
    repo.reference("far", "data/run")
    (workplace / "nothing").mkdir()
    repo.create("nothing", "nothing")
    repo.create(None, "data/run", title="keyless")
    return repo


def catalog_of(repo: Repo) -> dict[str, bytes]:
    """Return all manifests and logs of a repository by name."""
    place = repo.root / ".art"
    parts = ("manifests", "refs", "anonymous", "progress")
    files = (path for part in parts for path in (place / part).rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def names_in(path: Path) -> list[str]:
    if path.suffix == ".zip":
        return zipfile.ZipFile(path).namelist()
    with tarfile.open(path) as tar:
        return tar.getnames()


@pytest.mark.parametrize("name", KINDS)
def test_everything_comes_back_as_it_was(
    name: str, rich: Repo, other: Repo, workplace: Path
) -> None:
    rich.export(name, all=True)
    done = other.import_archive(name)
    assert catalog_of(other) == catalog_of(rich)
    assert done.without_payload == []
    assert {r.ref for r in other.listing()} == {r.ref for r in rich.listing()}
    for repo in (rich, other):
        repo.version("Sales/Data@v2").get(repo.root / "out")
    assert tree_of(other.root / "out") == tree_of(rich.root / "out")
    other.restore("Sales/Data@v1")
    assert other.version("Sales/Data@v1").read("run") == b"#!/bin/sh\n"
    assert other.version("nothing").files == []
    again = other.import_archive(name)
    assert (again.versions, again.entries, again.renumbered) == ([], 0, [])


@pytest.mark.parametrize("name", KINDS)
def test_the_files_can_be_read_without_art(name: str, rich: Repo, workplace: Path) -> None:
    rich.export(name, all=True)
    plain = workplace / "plain"
    if name.endswith("zip"):
        zipfile.ZipFile(name).extractall(plain)
    else:
        with tarfile.open(name) as tar:
            tar.extractall(plain, filter="tar")
    assert (plain / "Sales/Data/v2/files/run").read_text() == "other\n"
    large = (workplace / "data" / "large").read_bytes()
    assert (plain / "Sales/Data/v1/files/large").read_bytes() == large
    assert (plain / "a/v1/text").read_text() == "3"
    assert (plain / "a/!v1/v1/files/run").exists()
    assert (plain / "a/!v1/files/v1/text").read_text() == "https://example.org/"
    assert (plain / "far/v1/reference").read_text().startswith("file://")
    assert (plain / ".art/manifests/!sales/!data/v00000002.yaml").exists()
    assert (plain / ".art/refs/!sales/!data/_tags/prod/00000002.yaml").exists()


def test_one_version_gets_the_next_number_and_keeps_its_id(
    rich: Repo, other: Repo, run: Runner
) -> None:
    id = rich.version("Sales/Data@v2").id
    rich.note("Sales/Data@v2", title="noted")
    rich.export("one.tar", "Sales/Data@v2", "a@v1")
    assert other.import_archive("one.tar").versions == ["Sales/Data@v1", "a@v1"]
    version = other.version("Sales/Data")
    assert (version.id, version.number, version.title) == (id, 1, "noted")
    assert version.read("run") == b"other\n"
    assert other.tags("Sales/Data") == {}
    assert other.import_archive("one.tar").versions == []
    other.value("Sales/Data", 7)
    rich.export("three.tar", "Sales/Data@v3")
    assert other.import_archive("three.tar").versions == ["Sales/Data@v3"]


def test_two_histories_are_merged(rich: Repo, other: Repo) -> None:
    mine = other.value("a", "mine").version.id
    rich.export("a.tar", "a", "p")
    done = other.import_archive("a.tar")
    assert done.versions == ["a@v1", "p@v1"]
    assert done.renumbered == [("a@v1", "a@v2")]
    assert other.version("a@v2").id == mine
    assert other.version("a@v1").id == rich.version("a@v1").id
    assert other.settings("a").protected
    rich.progress("p", 60)
    rich.value("a", 4)
    rich.export("b.tar", "a", "p")
    assert other.import_archive("b.tar").versions == ["a@v2"]
    assert other.version("a@v3").id == mine
    progress = other.version("p").progress
    assert progress
    assert progress.value == 60


def test_own_moves_of_tags_that_an_import_leaves_without_effect_are_told(
    rich: Repo, other: Repo, run: Runner, workplace: Path
) -> None:
    mine = other.value("a", "mine").version.id
    other.tag("a@v1", "stable")
    other.tag("a@v1", "own")
    rich.tag("a@v1", "stable")
    rich.export("a.tar", "a")
    result = run("-C", "other", "import", str(workplace / "a.tar"), code=5)
    assert "imported a@v1" in result.out
    again = f"art tag set a@{mine[:15]} stable"
    assert result.error.startswith(f"tag 'stable' on a@{mine[:15]} has no effect")
    assert again in result.err
    assert "own" not in result.err
    run("-C", "other", *again.split()[1:], "--force")  # it came with the settings
    assert other.version("a@stable").id == other.version("a@own").id == mine
    assert run("-C", "other", "import", str(workplace / "a.tar"), "--json").json["superseded"] == []


def test_published_numbers_are_final(rich: Repo, other: Repo, workplace: Path) -> None:
    other.value("a", "mine")
    other.remotes.add("origin", str(workplace / "shared"))
    other.push()
    rich.export("a.tar", "a")
    with pytest.raises(ConflictError, match="published"):
        other.import_archive("a.tar")
    assert other.version("a@v1").read() == b'"mine"'


def test_an_empty_repository_takes_over_the_history(rich: Repo, other: Repo) -> None:
    rich.export("all.tar", all=True)
    other.import_archive("all.tar")
    assert other.history_id == rich.history_id


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999])
@pytest.mark.parametrize("name", KINDS)
def test_an_archive_that_is_cut_off_is_refused(
    name: str, at: float, rich: Repo, other: Repo
) -> None:
    rich.export(name, all=True)
    data = Path(name).read_bytes()
    if name == "a.tar":  # with whole members, and without what tar puts at the end
        data = data[: int(len(data) * at) // 512 * 512] if at < 0.99 else data[:-10240]
    else:
        data = data[: int(len(data) * at)]
    Path(name).write_bytes(data)
    with pytest.raises(CorruptError):
        other.import_archive(name)
    for record in other.listing():  # what is there is whole
        version = other.version(record.ref)
        if version.payload and version.payload.tree:
            version.get(other.root / "out" / str(record.key))


def test_changed_content_is_refused(rich: Repo, other: Repo) -> None:
    rich.export("a.tar", "Sales/Data")
    data = Path("a.tar").read_bytes()
    at = data.index(random.Random(1).randbytes(100)) + 50
    Path("a.tar").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(CorruptError, match=r"the files in Sales/Data/v1 are not those"):
        other.import_archive("a.tar")
    assert other.keys() == []


def rewritten(path: str, change: dict[str, bytes | None], more: dict[str, bytes]) -> None:
    """Write a tar file anew with members that have other content, or are left out, and more."""
    with tarfile.open(path) as old:
        members = [(m, old.extractfile(m).read() if m.isreg() else b"") for m in old]  # type: ignore[union-attr]
    with tarfile.open(path, "w") as new:
        for member, data in members:
            content = change.get(member.name, data)
            if content is None:
                continue
            if member.name == ".art/end":
                for name, extra in more.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(extra)
                    new.addfile(info, io.BytesIO(extra))
            member.size = len(content) if member.isreg() else 0
            new.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name",
    [
        "../out",
        "/tmp/out",
        "a/v1/files/../../../out",
        ".art/manifests/../../x/v00000001.yaml",
        ".art/hooks/pre-create",
        ".art/config.yaml",
        ".art/progress/../../config.yaml",
        "b/v1/files/x",
    ],
)
def test_members_of_hostile_names_are_refused(name: str, repo: Repo, other: Repo) -> None:
    Path("f").write_text("f")
    repo.create("a", "f")
    repo.export("a.tar", "a")
    rewritten("a.tar", {}, {name: b"evil"})
    before = sorted(os.listdir())
    with pytest.raises(ArtError):
        other.import_archive("a.tar")
    assert sorted(os.listdir()) == before
    assert not (other.root / ".art" / "hooks").exists()


def test_gaps_and_damaged_documents_are_refused(rich: Repo, other: Repo) -> None:
    name = ".art/manifests/!sales/!data/v00000002.yaml"
    for change in (None, b"art: 1\n"):
        rich.export("a.tar", "Sales/Data")
        rewritten("a.tar", {name: change}, {})
        with pytest.raises(CorruptError):
            other.import_archive("a.tar")
        Path("a.tar").unlink()
    assert other.keys() == []


def test_other_chunk_sizes_are_refused_clearly(rich: Repo, workplace: Path) -> None:
    make(workplace / "third" / ".art")
    Store.init(LocalBackend(workplace / "third" / ".art"), chunking=Chunking(average=16 << 10))
    rich.export("a.tar", "a")
    with (
        art.open(workplace / "third") as third,
        pytest.raises(ConflictError, match="cuts files otherwise"),
    ):
        third.import_archive("a.tar")


def test_what_is_no_archive_of_art_is_refused(repo: Repo, workplace: Path) -> None:
    (workplace / "x.tar").write_bytes(b"no tar")
    with pytest.raises(CorruptError):
        repo.import_archive("x.tar")
    with tarfile.open("y.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    with pytest.raises(CorruptError, match="no archive of art export"):
        repo.import_archive("y.tar")
    (workplace / "z.tar.gz").write_bytes(gzip.compress(b"x" * 10000)[:-9])
    with pytest.raises(CorruptError):
        repo.import_archive("z.tar.gz")
    with pytest.raises(NotFoundError):
        repo.import_archive("nowhere.tar")


def test_names_that_are_not_utf8_go_into_tar_and_not_into_zip(
    repo: Repo, other: Repo, workplace: Path
) -> None:
    (workplace / "data").mkdir()
    Path(os.fsdecode(os.fsencode(workplace / "data") + b"/\xff")).write_text("x")
    repo.create("k", "data")
    with pytest.raises(ConflictError, match="zip"):
        repo.export("a.zip", "k")
    assert not Path("a.zip").exists()
    repo.export("a.tar", "k")
    assert other.import_archive("a.tar").versions == ["k@v1"]


def test_memory_does_not_grow_with_files(repo: Repo, other: Repo, workplace: Path) -> None:
    (workplace / "data").mkdir()
    for number in range(1500):
        (workplace / "data" / f"file-{number}").write_text(f"{number}\n")
    with (workplace / "data" / "large").open("wb") as file:
        for seed in range(7):
            file.write(random.Random(seed).randbytes(8 << 20))
    repo.create("k", "data")
    tracemalloc.start()
    try:
        repo.export("a.tar", "k")
        _, exporting = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        other.import_archive("a.tar")
        _, importing = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert exporting < 40 << 20
    assert importing < 90 << 20  # the packs that are being filled


def test_the_command_line(rich: Repo, other: Repo, run: Runner, workplace: Path) -> None:
    run("export", "Sales/Data", "x.tar")
    assert run("export", "Sales/Data", "x.tar", code=5).error.endswith("exists")
    run("export", "x.txt", "--all", code=2)
    run("export", "x.tar", code=2)
    run("export", "none", "y.tar", code=4)
    result = run("-C", str(other.root), "import", str(workplace / "x.tar"))
    assert result.out.splitlines()[0] == "imported Sales/Data@v1"
    again = run("-C", str(other.root), "import", "../x.tar", "--error-on-noop", code=9)
    assert "nothing to import" in again.err
    assert run("import", "x.tar", "--json").json["versions"] == []


def test_what_is_damaged_is_left_out_and_named(
    repo: Repo, other: Repo, run: Runner, workplace: Path
) -> None:
    before: set[Path] = set()
    for number in range(3):
        (workplace / "f").write_bytes(random.Random(number).randbytes(100_000))
        repo.create("k", workplace / "f")
        packs = set((repo.root / ".art/packs").rglob("*.pack"))
        if number == 1:
            (pack,) = packs - before
            data = bytearray(pack.read_bytes())
            data[len(data) // 2] ^= 1
            pack.chmod(0o644)
            pack.write_bytes(data)
        before = packs
    result = run("export", "--all", "all.tar", code=3)
    assert "was written without k@v2" in result.error
    done = other.import_archive("all.tar")
    assert (done.versions, done.without_payload) == (["k@v1", "k@v2", "k@v3"], ["k@v2"])
    assert other.version("k@v3").read() == (workplace / "f").read_bytes()
    run("export", "k@v2", "one.tar", code=8)
    assert not (workplace / "one.tar").exists()


def test_what_was_moved_is_there_once_and_comes_back(
    repo: Repo, other: Repo, run: Runner, workplace: Path
) -> None:
    (workplace / "f").write_bytes(random.Random(1).randbytes(100_000))
    repo.create("old", workplace / "f")
    repo.move("old", "new")
    shown = run("export", "--all", "all.tar", "--dry-run", "--json").json
    assert (shown["files"], shown["size"]) == (1, 100_000)
    assert not (workplace / "all.tar").exists()
    assert "writing 1 file, " in run("export", "--all", "all.tar").err
    assert (workplace / "all.tar").stat().st_size < 150_000
    other.import_archive("all.tar")
    assert other.version("old@v1").id == repo.version("new@v1").id
    assert other.version("new").read() == (workplace / "f").read_bytes()
    run("export", "old", "old.tar")
    assert (workplace / "old.tar").stat().st_size > 100_000


def test_names_of_archives_say_their_kind(repo: Repo) -> None:
    with pytest.raises(UsageError, match=r"\.tar\.gz"):
        repo.export("x.rar", all=True)


def test_a_tar_file_that_ends_with_a_zip_file_comes_back(
    repo: Repo, other: Repo, workplace: Path
) -> None:
    with zipfile.ZipFile(workplace / "data.zip", "w") as bundle:
        bundle.writestr("a", b"content")
    made = repo.create("k", workplace / "data.zip")
    repo.export(workplace / "all.tar", "k")

    other.import_archive(workplace / "all.tar")
    assert other.version("k").read() == repo.version("k").read()
    assert other.version("k").id == made.version.id


@pytest.mark.parametrize("kind", ["x", "g", "L", "K"])
def test_a_header_that_unfolds_is_refused_with_little_memory(
    kind: str, repo: Repo, workplace: Path
) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind.encode(), 64 << 20
    with gzip.open(workplace / "a.tar.gz", "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size))
    tracemalloc.start()
    with pytest.raises(CorruptError, match="header in the archive"):
        repo.import_archive(workplace / "a.tar.gz")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_headers_about_headers_are_refused(repo: Repo, workplace: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = b"L", 5
    one = header.tobuf(tarfile.GNU_FORMAT) + b"name\0" + bytes(507)
    (workplace / "a.tar").write_bytes(one * 900)
    with pytest.raises(CorruptError, match="header"):
        repo.import_archive(workplace / "a.tar")
