"""Files on disk into versions: all that a folder can hold, only what changed, never half of a file."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import art
from art import worktree
from art.backend import LocalBackend
from art.errors import ConflictError, DeniedError, NotFoundError, UsageError
from art.ignore import Ignore
from art.memory import NoMemory
from art.model import Chunking
from art.objects import ObjectStore
from art.repo import Repo
from art.reporter import Silent
from art.tree import Node, folders_above
from art.worktree import Ingest, find_sources
from art.writer import NoHints, PayloadWriter
from tests.support import disk, get_files, lay_out

posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file system")


def paths_of(repo: Repo, ref: str = "k") -> list[str]:
    return [node.path for node in repo.version(ref).files]


# -- what a folder can hold ----------------------------------------------------------------------

ODD_NAMES = [
    "plain.txt",
    "with space",
    " leading and trailing ",
    "-dash",
    "--force",
    "größe",
    "日本語",
    "\U0001f600",
    "new\nline",
    "\n",
    "tab\t",
    "quote\"'`",
    "back\\slash",
    "*?[a]",
    "$HOME",
    "#hash",
    "!bang",
    "~",
    "...",
    ".hidden",
    "\x7f",
    "\x01",
    "a" * 255,
    os.fsdecode(b"\xff\xfe"),
    os.fsdecode(b"caf\xe9"),
    "é",  # composed
    "e\u0301",  # and not
    "con",
    "a:b",
    "%41",
    "@v1",
]


@posix
def test_odd_names_survive(repo: Repo, workplace: Path) -> None:
    folder = workplace / "data"
    for number, name in enumerate(ODD_NAMES):
        lay_out(folder, {name: f"{number}"})
        lay_out(folder / "folders" / name, {name: f"in {number}"})
    repo.create("k", folder)
    repo.version("k").get("out")
    assert disk(workplace / "out") == disk(folder)
    assert paths_of(repo) == sorted(paths_of(repo))
    for number, name in enumerate(ODD_NAMES):
        assert repo.version("k").read(name) == b"%d" % number
        assert repo.version("k").read(f"folders/{name}/{name}") == b"in %d" % number


@posix
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_single_file_with_an_odd_name_survives(repo: Repo, workplace: Path, name: str) -> None:
    lay_out(workplace / "in", {name: "content"})
    version = repo.create("k", workplace / "in" / name).version
    assert (version.type, version.read(), version.read(name)) == ("file", b"content", b"content")
    version.get("out/")
    assert disk(workplace / "out") == disk(workplace / "in")
    more = repo.create("k", base="k", add=[f"more={workplace / 'in' / name}"]).version
    assert sorted(node.path for node in more.files) == sorted([name, "more"])


@posix
def test_modes_links_and_empty_folders_survive(repo: Repo, workplace: Path) -> None:
    folder = lay_out(
        workplace / "data", {"a": "a", "run.sh": "#!", "secret": "s", "in/b": "b", "ro": ""}
    )
    for name, mode in (("run.sh", 0o755), ("secret", 0o600), ("ro", 0o444), ("a", 0o666)):
        (folder / name).chmod(mode)
    for name, target in (
        ("link", "a"),
        ("dangling", "nowhere"),
        ("up", "../outside"),
        ("absolute", "/etc/passwd"),
        ("to-folder", "in"),
        ("loop", "loop"),
        ("in/odd", os.fsdecode(b"\xff\n ")),
    ):
        (folder / name).symlink_to(target)
    for name, mode in (
        ("empty", 0o755),
        ("private", 0o700),
        ("in/deep/empty", 0o755),
        ("open", 0o777),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(mode)
    (folder / "private" / "file").write_text("x")
    repo.create("k", folder)
    repo.version("k").get("out")
    assert disk(workplace / "out") == disk(folder)
    shown = {node.path: node for node in repo.version("k").files}
    assert shown["to-folder"].link == "in"
    assert "in" not in shown, "a folder of mode 755 that is not empty needs no line"
    assert shown["private"].is_dir


def test_set_user_id_is_not_kept(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "a"})
    (folder / "a").chmod(0o4755)
    repo.create("k", folder)
    assert repo.version("k").files[0].mode == 0o755


names = st.sampled_from(["a", "b", "-c", "d e", "é", "f\n", ".g", "a.b", "a-", "A"])
blobs = st.sampled_from([b"", b"x", b"y" * 70_000, bytes(200_000)])
shapes = st.recursive(
    st.one_of(blobs, st.sampled_from(["a", "../x", "/"])),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


def build(path: Path, shape: bytes | str | dict[str, object]) -> None:
    """Make a file, a link or a folder."""
    if isinstance(shape, dict):
        path.mkdir()
        for name, inner in shape.items():
            build(path / name, inner)  # type: ignore[arg-type]
    elif isinstance(shape, str):
        path.symlink_to(shape)
    else:
        path.write_bytes(shape)


@posix
@settings(max_examples=40)
@given(st.dictionaries(names, shapes, max_size=5))
def test_any_folder_comes_back_as_it_was(shape: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as place, art.init(place) as repo:
        folder, out = Path(place, "data"), Path(place, "out")
        build(folder, shape)
        repo.create("k", folder)
        repo.version("k").get(out)
        assert disk(out) == disk(folder)


@posix
def test_a_pipe_and_a_socket_are_refused_and_nothing_waits_for_them(
    repo: Repo, workplace: Path
) -> None:
    folder = lay_out(workplace / "data", {"a": "a"})
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match=r"data/pipe is a pipe"):
        repo.create("k", folder)
    with pytest.raises(UsageError, match=r"data/pipe is a pipe"):
        repo.create("k", folder / "pipe")
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        Path("s").rename(folder / "s")
        with pytest.raises(UsageError, match=r"data/s is a socket"):
            repo.create("k", folder)
    with pytest.raises(UsageError, match="/dev/null is a device"):
        repo.create("k", "/dev/null")
    assert repo.listing() == []


@posix
def test_what_cannot_be_stored_may_be_ignored(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "a", ".artignore": "pipe\n"})
    os.mkfifo(folder / "pipe")
    repo.create("k", folder)
    assert paths_of(repo) == [".artignore", "a"]


@posix
def test_an_ignore_file_that_is_no_file_is_not_read(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "a"})
    os.mkfifo(folder / ".artignore")
    with pytest.raises(UsageError, match="is a pipe"):
        repo.create("k", folder)
    (folder / ".artignore").unlink()
    (folder / ".artignore").mkdir()
    repo.create("k", folder)
    assert paths_of(repo) == [".artignore", "a"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_explained(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "a"})
    (folder / "a").chmod(0)
    with pytest.raises(DeniedError, match="data/a: permission denied"):
        repo.create("k", folder)


def test_repositories_are_not_part_of_a_folder(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"a": "a", "sub/.art/x": "x", "sub/b": "b", "sub/.arts": "c"})
    repo.create("k", workplace)
    assert paths_of(repo) == ["a", "sub/.arts", "sub/b"]


# -- what paths mean -----------------------------------------------------------------------------


@pytest.fixture
def data(workplace: Path) -> Path:
    return lay_out(
        workplace / "data",
        {
            "a.csv": "1",
            "b.csv": "2",
            "c.txt": "3",
            "eu/d.csv": "4",
            "eu/.h.csv": "5",
            "us/e.csv": "6",
        },
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["data"], ["a.csv", "b.csv", "c.txt", "eu/.h.csv", "eu/d.csv", "us/e.csv"]),
        (["data/"], ["a.csv", "b.csv", "c.txt", "eu/.h.csv", "eu/d.csv", "us/e.csv"]),
        (["data/a.csv"], ["a.csv"]),
        (["data/eu/d.csv"], ["d.csv"]),
        (["data/*.csv"], ["a.csv", "b.csv"]),
        (["data/[ab].csv"], ["a.csv", "b.csv"]),
        (["data/?.txt"], ["c.txt"]),
        (["data/*/*.csv"], ["eu/d.csv", "us/e.csv"]),
        (["data/**/*.csv"], ["a.csv", "b.csv", "eu/d.csv", "us/e.csv"]),
        (["data/**"], ["a.csv", "b.csv", "c.txt", "eu/.h.csv", "eu/d.csv", "us/e.csv"]),
        (["data/**/eu"], [".h.csv", "d.csv"]),
        (["data/*"], ["a.csv", "b.csv", "c.txt", "eu/.h.csv", "eu/d.csv", "us/e.csv"]),
        (["data/eu", "data/us"], ["eu/.h.csv", "eu/d.csv", "us/e.csv"]),
        (["data/eu", "data/a.csv"], ["a.csv", "eu/.h.csv", "eu/d.csv"]),
        (["data/eu/d.csv", "data/us/e.csv"], ["eu/d.csv", "us/e.csv"]),
        (["data/a.csv", "data/a.csv", "./data/a.csv"], ["a.csv"]),
        (["data/eu/../a.csv"], ["a.csv"]),
    ],
    ids=str,
)
def test_paths_and_globs_mean_what_the_shell_means(
    repo: Repo, data: Path, given: list[str], expected: list[str]
) -> None:
    repo.create("k", *given)
    assert paths_of(repo) == expected


def test_a_single_file_is_a_file_and_a_folder_a_folder(repo: Repo, data: Path) -> None:
    assert repo.create("one", "data/a.csv").version.type == "file"
    assert repo.create("one/of-a-glob", "data/c*").version.type == "file"
    assert repo.create("folder", "data/us").version.type == "folder"
    assert repo.create("two", "data/a.csv", "data/b.csv").version.type == "folder"


@pytest.mark.parametrize("path", ["nothing", "data/*.png", "data/[", "", "data/nothing/*", "-x"])
def test_a_path_or_glob_that_matches_nothing_is_an_error(repo: Repo, data: Path, path: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        repo.create("k", "data/a.csv", path)
    assert repr(path) in raised.value.message
    assert repo.listing() == []


def test_a_name_with_magic_letters_is_that_name_first(repo: Repo, workplace: Path) -> None:
    lay_out(workplace, {"[ab]": "itself", "a": "a", "b": "b"})
    repo.create("k", "[ab]")
    assert paths_of(repo) == ["[ab]"]


@pytest.mark.parametrize("given", [["data", "data/a.csv"], ["data/eu/d.csv", "data/eu"]], ids=str)
def test_something_given_twice_in_two_ways_is_refused(
    repo: Repo, data: Path, given: list[str]
) -> None:
    with pytest.raises(UsageError, match="is given together with something inside it"):
        repo.create("k", *given)


@posix
def test_a_link_that_is_named_is_followed(repo: Repo, data: Path) -> None:
    Path("to-file").symlink_to("data/a.csv")
    Path("to-folder").symlink_to("data/us")
    repo.create("file", "to-file")
    repo.create("folder", "to-folder")
    assert repo.version("file").read() == b"1"
    assert paths_of(repo, "file") == ["to-file"]
    assert paths_of(repo, "folder") == ["e.csv"]


@posix
def test_a_link_to_nowhere_that_is_named_is_not_found(repo: Repo, data: Path) -> None:
    Path("dangling").symlink_to("nowhere")
    with pytest.raises(NotFoundError, match="dangling"):
        repo.create("k", "dangling")


def test_the_order_of_sources_is_that_of_paths(workplace: Path) -> None:
    lay_out(workplace / "d", {"a/x": "", "a!": "", "a.b": "", "a0": ""})
    sources = find_sources(("d/a", "d/a!", "d/a.b", "d/a0"))
    objects = ObjectStore(LocalBackend(workplace / "store"), Chunking())
    with PayloadWriter(objects, None, NoHints()) as writer:
        payload = writer.finish(Ingest(writer, NoMemory(), Silent()).lines(sources)).payload
    assert list(get_files(objects, payload)) == ["a!", "a.b", "a/x", "a0"]


# -- what is ignored -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"": ""}, ["a.log", "b.txt", "build/x", "in/a.log", "in/build/y", "in/b.txt"]),
        ({"": "*.log"}, ["b.txt", "build/x", "in/b.txt", "in/build/y"]),
        ({"": "/*.log"}, ["b.txt", "build/x", "in/a.log", "in/b.txt", "in/build/y"]),
        ({"": "build/"}, ["a.log", "b.txt", "in/a.log", "in/b.txt"]),
        ({"": "/build"}, ["a.log", "b.txt", "in/a.log", "in/b.txt", "in/build/y"]),
        ({"": "*.log\n!in/a.log"}, ["b.txt", "build/x", "in/a.log", "in/b.txt", "in/build/y"]),
        ({"": "in\n!in/a.log"}, ["a.log", "b.txt", "build/x"]),
        ({"": "# a\n\n*.log  \n\\#x\n"}, ["b.txt", "build/x", "in/b.txt", "in/build/y"]),
        ({"": "\ufeff*.log\r\nbuild\r\n"}, ["b.txt", "in/b.txt"]),
        (
            {"": "*.log", "in/": "!a.log"},
            ["b.txt", "build/x", "in/a.log", "in/b.txt", "in/build/y"],
        ),
        ({"in/": "*"}, ["a.log", "b.txt", "build/x"]),
        ({"in/": "/b.txt"}, ["a.log", "b.txt", "build/x", "in/a.log", "in/build/y"]),
        ({"in/": "/build"}, ["a.log", "b.txt", "build/x", "in/a.log", "in/b.txt"]),
        ({"": "*", "in/": "!*"}, []),
        ({"": "*\n!*/\n!*.txt"}, ["b.txt", "in/b.txt"]),
        ({"": "in/**\n!in/b.txt"}, ["a.log", "b.txt", "build/x", "in/b.txt"]),
        ({"": "/*\n!/in\n/in/*\n!/in/build"}, ["in/build/y"]),
    ],
    ids=str,
)
def test_ignore_files_mean_what_gits_mean(
    repo: Repo, workplace: Path, rules: dict[str, str], expected: list[str]
) -> None:
    files = {
        name: "x" for name in ("a.log", "b.txt", "build/x", "in/a.log", "in/build/y", "in/b.txt")
    }
    ignores = {f"{folder}.artignore": text for folder, text in rules.items()}
    folder = lay_out(workplace / "data", files | ignores)
    repo.create("k", folder)
    found = [node.path for node in repo.version("k").files if node.is_file]
    assert [path for path in found if not path.endswith(".artignore")] == sorted(expected)


PATTERNS = [
    "[a-c]",
    "[c-a]",
    "[!a-c]",
    "[^a-c]",
    "[]]",
    "[!]]",
    "[]-a]",
    "[a-]",
    "[-a]",
    "[\\]]",
    "[a\\-c]",
]
PATTERNS += [
    "[[:alpha:]]",
    "[[:digit:]x]",
    "[![:alnum:]]",
    "[[:nope:]]",
    "[[:alpha:]-z]",
    "[[:]",
    "[[:]]",
]
PATTERNS += [
    "[[:alpha]",
    "[a",
    "a[",
    "[",
    "[]",
    "[!]",
    "\\",
    "a\\",
    "\\a",
    "\\[",
    "[a]]",
    "[[]",
    "[a&&b]",
]
PATTERNS += [
    "*",
    "**",
    "***",
    "a*",
    "*a",
    "?",
    "??",
    "a/*",
    "a/**",
    "**/a",
    "a/**/b",
    "a/**/**/b",
    "/**/b",
]
PATTERNS += [
    "a**/b",
    "**a/b",
    "a/***",
    "***/b",
    "/",
    "//",
    "/*",
    "/**",
    "**/",
    "*/",
    "/a/",
    "a/b/",
    "/b",
    "a//b",
]
PATTERNS += [
    "!a",
    "#a",
    "\\#a",
    "\\!a",
    "a ",
    "a\\ ",
    "a\\  ",
    "a\\\\ ",
    " a",
    "[/]",
    "a[/]b",
    "a[!x]b",
    "a?b",
]
MATCHED = [
    *"bcdxz-]\\[&:1Z! ",
    "a/a",
    "a/b",
    "a/c/b",
    "a/c/c/b",
    "a/x/a",
    "a ",
    "ab",
    "#a",
    "!a",
    "a[",
    "a\\",
]
MATCHED += ["[a", "[]", "q/b", "q/a", "aa/b", " a", "[[:nope:]]"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_git_matches(
    git: Callable[[Path], list[str]], workplace: Path, pattern: str
) -> None:
    folder = lay_out(workplace / "data", dict.fromkeys(MATCHED, "x"))
    for name in (".gitignore", ".artignore"):
        (folder / name).write_text(pattern + "\n")
    ignore = Ignore().with_file(str(folder / ".artignore"), "")
    theirs = set(git(folder))
    for path in MATCHED:
        folders = [f"{above}/" for above in folders_above(path)]
        assert any(map(ignore.matches, [*folders, path])) == (path not in theirs), path


pieces = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "*",
        "**",
        "?",
        "/",
        "/",
        "!",
        "[ab]",
        "[!a]",
        "[a-b]",
        "[[:alpha:]]",
        "[",
        "]",
        "\\",
        ".x",
        "#",
        "\\*",
        "\\!",
        "\\#",
        " ",
    ]
)
lines = st.lists(pieces, min_size=1, max_size=5).map("".join).filter(lambda line: "***" not in line)
rule_files = st.lists(lines, max_size=4).map("\n".join)
leaves = st.sampled_from(["a", "b", "ab", "a.x", "b.x", ".x", "ab.x"])
file_sets = st.sets(st.lists(leaves, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8)


def without_conflicts(paths: set[str]) -> list[str]:
    return [one for one in sorted(paths) if not any(other.startswith(one + "/") for other in paths)]


def has_git() -> bool:
    try:
        return subprocess.run(["git", "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[str]]:
    """Return a function that says which files of a folder git does not ignore."""
    if not has_git():
        pytest.skip("git is not there to compare with")
    directory = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", "--bare", directory], check=True)

    def kept(folder: Path) -> list[str]:
        words = ["git", f"--git-dir={directory}", f"--work-tree={folder}", "-c", "core.bare=false"]
        words += ["ls-files", "-z", "--others", "--exclude-standard"]
        done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.split("\0")[:-1]

    return kept


@settings(max_examples=100)
@given(rule_files, rule_files, rule_files, file_sets)
@example("aa\na[!a]", "", "", {"a/a"})
@example("[!]a]", "", "", {"a/b", "b", "]"})
@example("*\n!a", "!a", "", {"a/a", "a/b"})
def test_ignore_files_ignore_what_git_ignores(
    git: Callable[[Path], list[str]], top: str, in_a: str, in_ab: str, paths: set[str]
) -> None:
    rules = {".": top, "a": in_a, "a/b": in_ab}
    kept = without_conflicts(paths)
    with tempfile.TemporaryDirectory() as place:
        folder = lay_out(Path(place), {path: "x" for path in kept})
        for name, text in rules.items():
            if (folder / name).is_dir():
                for ignore in (".gitignore", ".artignore"):
                    (folder / name / ignore).write_text(text + "\n")
        objects = ObjectStore(LocalBackend(folder / ".art"), Chunking())
        with PayloadWriter(objects, None, NoHints()) as writer:
            found = list(Ingest(writer, NoMemory(), Silent()).lines(find_sources((folder,))))
        nodes = [worktree_path(line) for line in found]
        ours = [path for path in nodes if path in kept]
        assert ours == [path for path in sorted(git(folder)) if path in kept]


def worktree_path(line: bytes) -> str:
    import json

    return str(json.loads(line)["path"])


# -- files that change ---------------------------------------------------------------------------


class Meddler(PayloadWriter):
    """A writer during whose work files change: `meddle` is called with each piece of content."""

    meddle: Callable[[bytes], None] = staticmethod(lambda _: None)

    def add(self, data: bytes | memoryview, digest: bytes | None = None) -> bytes:
        self.meddle(bytes(data))
        return super().add(data, digest)


@pytest.fixture
def meddler(workplace: Path) -> Iterator[Meddler]:
    with Meddler(
        ObjectStore(LocalBackend(workplace / "store"), Chunking()), None, NoHints()
    ) as writer:
        yield writer


def ingest(writer: PayloadWriter, folder: Path) -> str:
    walk = Ingest(writer, NoMemory(), Silent())
    payload = writer.finish(walk.lines(find_sources((folder,)))).payload
    files = get_files(writer._store, payload)
    assert (walk.files, walk.size) == (len(files), sum(map(len, files.values())))
    return payload


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    workplace: Path, meddler: Meddler, size: int
) -> None:
    folder = lay_out(workplace / "data", {"a": b"x" * size, "b": b"b"})
    changes = [b"longer" * size, b"", b"y" * size]

    def meddle(data: bytes) -> None:
        if changes and data[:1] != b"b":
            (folder / "a").write_bytes(changes.pop(0))

    meddler.meddle = meddle
    changes[1:2] = []  # two changes: the third reading finds it at rest
    payload = ingest(meddler, folder)
    assert get_files(meddler._store, payload) == {"a": b"y" * size, "b": b"b"}


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_never_rests_is_refused(workplace: Path, meddler: Meddler, change: str) -> None:
    folder = lay_out(workplace / "data", {"a": b"x" * 1000})
    turn = 0

    def meddle(_: bytes) -> None:
        nonlocal turn
        turn += 1
        size = {"grow": 1000 + turn, "shrink": 1000 - turn, "rewrite": 1000}[change]
        (folder / "a").write_bytes(bytes([turn]) * size)

    meddler.meddle = meddle
    with pytest.raises(ConflictError, match=r"data/a changed again and again while it was read"):
        ingest(meddler, folder)
    assert turn >= 3
    assert list(meddler._store.backend.walk("layouts")) == []


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_vanishes_while_a_folder_is_read_is_a_conflict(
    workplace: Path, meddler: Meddler, what: str
) -> None:
    folder = lay_out(workplace / "data", {"a": b"a", "b/c": b"c", "d": b"d"})

    def meddle(data: bytes) -> None:
        if data == b"a":
            if what == "folder":
                (folder / "b/c").unlink()
                (folder / "b").rmdir()
            (folder / "d").unlink()

    meddler.meddle = meddle
    with pytest.raises(ConflictError, match="vanished while it was read: no version was made"):
        ingest(meddler, folder)


@posix
def test_a_file_that_becomes_a_link_while_it_is_read_is_not_followed(
    workplace: Path, meddler: Meddler
) -> None:
    folder = lay_out(workplace / "data", {"a": b"a", "b": b"b"})
    secret = workplace / "secret"
    secret.write_bytes(b"secret")
    real_lstat = os.lstat

    def lstat(path: str) -> os.stat_result:
        found = real_lstat(path)
        if path.endswith("/b") and stat.S_ISREG(found.st_mode):
            (folder / "b").unlink()
            (folder / "b").symlink_to(secret)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "lstat", lstat)
        with pytest.raises(ConflictError, match="data/b became a symbolic link"):
            ingest(meddler, folder)


@posix
def test_a_file_that_becomes_a_pipe_while_it_is_read_is_no_empty_file(
    workplace: Path, meddler: Meddler
) -> None:
    folder = lay_out(workplace / "data", {"a": b"a"})

    def meddle(_: bytes) -> None:
        (folder / "a").unlink()
        os.mkfifo(folder / "a")

    real_fstat = os.fstat
    meddler.meddle = meddle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            os, "fstat", lambda handle: os.stat(folder / "a") if handle > 2 else real_fstat(handle)
        )
        with pytest.raises(ConflictError, match="data/a became something else"):
            ingest(meddler, folder)


# -- what is remembered --------------------------------------------------------------------------


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember also files that changed just now; segments of three files show their seams."""
    monkeypatch.setattr(worktree, "_RACY_NS", -(10**12))
    monkeypatch.setattr(worktree, "_SEGMENT", 3)


def content(repo: Repo, ref: str = "k") -> dict[str, bytes]:
    version = repo.version(ref)
    return {node.path: version.read(node.path) for node in version.files if node.is_file}


@pytest.mark.usefixtures("trusting")
def test_files_that_did_not_change_are_not_read_again(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number:02}": f"{number}" for number in range(10)} | {
        "in/x": "x",
        "big": "z" * 200_000,
    }
    folder = lay_out(workplace / "data", files)
    assert repo.create("k", folder).reused == 0
    opened: list[str] = []
    real_open = os.open

    def noting(path: str, *arguments: int) -> int:
        opened.append(os.fspath(path))
        return real_open(path, *arguments)

    monkeypatch.setattr(os, "open", noting)
    again = repo.create("k", folder)
    assert (again.created, again.reused, again.files) == (False, 12, 12)
    (folder / "07").write_text("new")
    third = repo.create("k", folder)
    assert (third.created, third.reused) == (True, 11)
    assert [path for path in opened if path.startswith(str(folder))] == [str(folder / "07")]
    assert content(repo) == {name: text.encode() for name, text in (files | {"07": "new"}).items()}


@posix
@pytest.mark.usefixtures("trusting")
def test_a_change_that_keeps_size_and_time_is_noticed(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "old", "b": "b"})
    repo.create("k", folder)
    before = (folder / "a").stat()
    for text in ("new", "odd"):
        while (folder / "a").stat().st_ctime_ns == before.st_ctime_ns:  # clocks tick slowly
            (folder / "a").write_text(text)
            os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
        before = (folder / "a").stat()
        assert repo.create("k", folder).reused == 1
        assert content(repo)["a"] == text.encode()


@posix
@pytest.mark.usefixtures("trusting")
def test_another_file_of_the_same_size_and_time_is_noticed(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "old"})
    repo.create("k", folder)
    found = (folder / "a").stat()
    (workplace / "other").write_text("new")
    (workplace / "other").replace(folder / "a")
    os.utime(folder / "a", ns=(found.st_atime_ns, found.st_mtime_ns))
    repo.create("k", folder)
    assert content(repo) == {"a": b"new"}


@pytest.mark.parametrize("racy_ns", [2_000_000_000, -(10**12)])
def test_a_file_changed_right_before_is_read_again_where_clocks_tick_slowly(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch, racy_ns: int
) -> None:
    """On a file system that tells only size and a coarse time, a change may not show at all."""

    def coarse(found: os.stat_result) -> bytes:
        return worktree._STAT.pack(1, 1, found.st_size, found.st_mtime_ns // 10**9, 0)

    monkeypatch.setattr(worktree, "_stat_key", coarse)
    monkeypatch.setattr(worktree, "_RACY_NS", racy_ns)
    folder = lay_out(workplace / "data", {"a": "old"})
    found = (folder / "a").stat()
    repo.create("k", folder)
    (folder / "a").write_text("new")
    os.utime(folder / "a", ns=(found.st_atime_ns, found.st_mtime_ns))
    repo.create("k", folder)
    is_careful = racy_ns > 0
    assert content(repo) == {"a": b"new" if is_careful else b"old"}


@pytest.mark.usefixtures("trusting")
def test_a_changed_mode_is_a_change_of_the_version_only(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "a"})
    (folder / "a").chmod(0o644)
    repo.create("k", folder)
    (folder / "a").chmod(0o755)
    made = repo.create("k", folder)
    assert made.created
    assert made.version.files[0].mode == 0o755


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "remove", "touch", "rename", "mkdir", "create"]),
        st.sampled_from(
            [f"{letter}{digit}" for letter in "ab" for digit in range(5)] + ["d/x", "d/y"]
        ),
        st.integers(0, 3),
    ),
    max_size=14,
)


def change(folder: Path, what: str, name: str, number: int) -> None:
    path = folder / name
    if what == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % number * (50_000 if number == 3 else number))
    elif what == "remove":
        path.unlink(missing_ok=True)
    elif what == "touch" and path.exists():
        os.utime(path)
    elif what == "rename" and path.exists():
        path.replace(folder / f"a{number}")
    elif what == "mkdir":
        (folder / f"e{number}").mkdir(exist_ok=True)


@settings(max_examples=30)
@given(steps)
def test_what_is_remembered_never_makes_another_version_than_reading_all(
    sequence: list[tuple[str, str, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr(worktree, "_RACY_NS", -(10**12))
        patch.setattr(worktree, "_SEGMENT", 3)
        with art.init(place) as repo:
            folder = lay_out(
                Path(place, "data"), {f"a{number}": f"{number}" for number in range(5)}
            )
            for what, name, number in [*sequence, ("create", "", 0)]:
                change(folder, what, name, number)
                if what == "create":
                    version = repo.create(f"k{number}", folder).version
                    with PayloadWriter(repo._store.objects, None, NoHints()) as writer:
                        read = ingest(writer, folder)
                    assert version.payload
                    assert version.payload.tree == read
                    assert content(repo, version.ref) == {
                        path: content
                        for path, (kind, _, content) in disk(folder).items()
                        if kind == "file"
                    }


@pytest.mark.usefixtures("trusting")
def test_two_walks_over_one_folder_at_once_do_not_mix_up_what_is_stored(
    repo: Repo, workplace: Path
) -> None:
    """The first walk saw all files unchanged; before it says so, a second one saw another content."""
    folder = lay_out(workplace / "data", {"f": "old", "g": "g"})
    beside = lay_out(workplace / "beside", {"h": "h"})
    repo.create("k", folder)
    draft, publisher = repo._draft("both", {})
    first = publisher.files(find_sources((folder, beside)), "both")
    (folder / "f").write_text("new")
    repo.create("k", folder)
    repo._publish(draft, publisher, first)
    repo.create("both", folder, beside)
    assert content(repo, "both") == {"beside/h": b"h", "data/f": b"new", "data/g": b"g"}


@pytest.mark.usefixtures("trusting")
def test_a_walk_that_was_not_published_is_not_believed(repo: Repo, workplace: Path) -> None:
    folder = lay_out(workplace / "data", {"a": "a", "b": "b" * 100_000})
    repo.create("k", folder)
    (folder / "a").write_text("new")
    repo._publisher().files(find_sources((folder,)), "k")
    for pack in list(repo._backend.walk("packs")):
        if pack.size < 1000:
            repo._backend.delete(pack.name)  # what an unfinished writer left may go
    repo.create("k", folder)
    assert content(repo) == {"a": b"new", "b": b"b" * 100_000}


def test_a_stream_is_one_file(repo: Repo) -> None:
    made = repo.create_stream("k", io.BytesIO(b"x" * 300_000), name="out.bin").version
    assert made.files == [Node("out.bin", 0o644, 300_000, made.files[0].b3, made.files[0].chunks)]
    assert made.read() == b"x" * 300_000


# -- the repository's own folder -------------------------------------------------------------------


def test_the_repositorys_own_folder_is_never_stored(repo):
    Path("link").symlink_to(".art", target_is_directory=True)
    Path("x").mkdir()
    inside = next(path for path in Path(".art").iterdir() if path.is_file())
    for path in (Path(".art"), inside, Path(".art").absolute(), Path("x/../.art"), Path("link")):
        with pytest.raises(UsageError, match="a folder called .art is never part of a version"):
            repo.create("k", path)
        with pytest.raises(UsageError, match="a folder called .art is never part of a version"):
            repo.save(path, "k")
    repo.create("base", "x")
    for added in (f"name={inside}", "name=.art"):
        with pytest.raises(UsageError, match="a folder called .art is never part of a version"):
            repo.create("base", base="base", add=[added])


def test_globs_pass_over_the_repositorys_own_folder(repo):
    Path(".a").write_text("a")
    repo.create("k", ".a*")
    assert paths_of(repo) == [".a"]
    with pytest.raises(NotFoundError, match="matches nothing"):
        repo.create("k", ".ar*")
    with pytest.raises(NotFoundError, match="matches nothing"):
        repo.create("k", ".art/*")
