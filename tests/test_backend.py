"""What every backend promises, and how the local one keeps it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from art import backend as backends
from art.backend import Backend, LocalBackend
from art.errors import DeniedError, StorageError
from tests.support import run_together

BACKENDS: dict[str, Callable[[Path], Backend]] = {"local": LocalBackend}

NAMES = [
    "a",
    "packs/ab/cd.pack",
    "manifests/!x_train/v00000001.yaml",
    "refs/a.!/_tags/b/1",
    "a-b_c.d!",
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path / "store")


@pytest.fixture
def local(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store")


# -- every backend -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_was_created_is_there(backend: Backend, name: str) -> None:
    assert backend.create(name, b"content")
    assert backend.read(name) == b"content"
    assert backend.size(name) == 7


def test_nothing_is_a_content_too(backend: Backend) -> None:
    assert backend.create("a", b"")
    assert backend.read("a") == b""
    assert backend.size("a") == 0


def test_a_name_is_given_once(backend: Backend) -> None:
    assert backend.create("a/b", b"first")
    assert not backend.create("a/b", b"second")
    assert not backend.create("a/b", b"first")
    assert backend.read("a/b") == b"first"


def test_names_that_differ_in_a_part_do_not_meet(backend: Backend) -> None:
    for name in NAMES:
        assert backend.create(name, name.encode())
    assert [backend.read(name) for name in NAMES] == [name.encode() for name in NAMES]


def test_a_part_of_the_bytes_can_be_read(backend: Backend) -> None:
    backend.create("a", bytes(range(100)))
    assert backend.read("a", 10, 5) == bytes(range(10, 15))
    assert backend.read("a", 90) == bytes(range(90, 100))
    assert backend.read("a", 90, 50) == bytes(range(90, 100)), "fewer where the end comes first"
    assert backend.read("a", 100, 5) == b""
    assert backend.read("a", 200, 5) == b""
    assert backend.read("a", 5, 0) == b""


@pytest.mark.parametrize("name", ["a", "a/b/c", "file/below"])
def test_a_missing_name_is_told_apart_from_trouble(backend: Backend, name: str) -> None:
    backend.create("file", b"")
    with pytest.raises(FileNotFoundError):
        backend.read(name)
    with pytest.raises(FileNotFoundError):
        backend.read(name, 3, 4)
    assert backend.size(name) is None


def test_replacing_takes_a_new_or_an_old_name(backend: Backend) -> None:
    backend.replace("a/b", b"first")
    assert backend.read("a/b") == b"first"
    backend.replace("a/b", b"second, and longer")
    assert backend.read("a/b") == b"second, and longer"


def test_a_staged_file_is_nowhere_before_it_is_committed(backend: Backend) -> None:
    staged = backend.stage()
    staged.write(b"one ")
    staged.write(b"")
    staged.write(b"two")
    assert backend.size("packs/x") is None
    staged.commit("packs/x")
    assert backend.read("packs/x") == b"one two"
    staged.discard()
    assert backend.read("packs/x") == b"one two", "discard after commit does nothing"


def test_a_discarded_file_leaves_nothing(backend: Backend) -> None:
    staged = backend.stage()
    staged.write(b"x" * 100_000)
    staged.discard()
    staged.discard()
    assert list(backend.walk("")) == []


def test_several_files_can_be_staged_at_once(backend: Backend) -> None:
    staged = [backend.stage() for _ in range(5)]
    for _ in range(3):
        for number, file in enumerate(staged):
            file.write(b"%d" % number)
    for number, file in enumerate(staged):
        file.commit(f"packs/{number}")
    assert [backend.read(f"packs/{number}") for number in range(5)] == [
        b"000",
        b"111",
        b"222",
        b"333",
        b"444",
    ]


def test_walking_gives_every_name_below_with_its_size_and_time(backend: Backend) -> None:
    before = time.time()
    for name in ("packs/ab/1", "packs/ab/2", "packs/c/d/3", "packs-not", "other/4"):
        backend.create(name, name.encode())
    found = {item.name: item for item in backend.walk("packs")}
    assert set(found) == {"packs/ab/1", "packs/ab/2", "packs/c/d/3"}
    assert found["packs/ab/1"].size == len("packs/ab/1")
    assert abs(found["packs/ab/1"].modified - before) < 3600
    assert len(list(backend.walk(""))) == 5
    assert list(backend.walk("missing")) == []
    assert list(backend.walk("packs/ab/1")) == []


def test_names_of_a_directory_tell_directories_apart(backend: Backend) -> None:
    for name in ("k/v1", "k/sub/v1", "k/sub/v2", "other"):
        backend.create(name, b"")
    assert sorted(backend.names("k")) == ["sub/", "v1"]
    assert sorted(backend.names("k/sub")) == ["v1", "v2"]
    assert backend.names("missing") == []
    assert backend.names("other") == []
    assert {"k/", "other"} <= set(backend.names(""))


def test_a_deleted_name_is_gone_and_may_be_deleted_again(backend: Backend) -> None:
    backend.create("a/b", b"")
    backend.delete("a/b")
    backend.delete("a/b")
    backend.delete("never/there")
    assert backend.size("a/b") is None


def test_no_temporary_file_stays(backend: Backend) -> None:
    backend.create("a", b"1")
    backend.create("a", b"2")
    backend.replace("a", b"3")
    staged = backend.stage()
    staged.commit("b")
    assert sorted(item.name for item in backend.walk("")) == ["a", "b"]


def test_of_eight_threads_one_creates_each_name(backend: Backend) -> None:
    names = [f"log/{number:08}.yaml" for number in range(40)]
    winners: dict[str, list[int]] = {name: [] for name in names}
    gate = threading.Barrier(8)

    def race(writer: int) -> None:
        gate.wait()
        for name in names:
            if backend.create(name, b"%d" % writer * 1000):
                winners[name].append(writer)

    run_together([lambda writer=writer: race(writer) for writer in range(8)])
    for name in names:
        (winner,) = winners[name]
        assert backend.read(name) == b"%d" % winner * 1000


def test_a_reader_sees_old_or_new_and_never_a_part(backend: Backend) -> None:
    contents = [bytes([number]) * 50_000 for number in range(1, 9)]
    backend.replace("progress", contents[0])
    seen: set[bytes] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.add(backend.read("progress"))

    def write() -> None:
        try:
            for content in contents * 3:
                backend.replace("progress", content)
        finally:
            is_over.set()

    run_together([read, write])
    assert seen
    assert seen <= set(contents)


# -- the local one -------------------------------------------------------------------------------

RACER = """
import sys
from pathlib import Path
from art.backend import LocalBackend

backend = LocalBackend(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, 41):
    if backend.create(f"log/{number:08}.yaml", sys.argv[2].encode() * 1000):
        print(number)
"""


def test_of_eight_processes_one_creates_each_name(local: LocalBackend) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(local.root), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    local.make_directory("")
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    won = [sorted(map(int, racer.communicate("go\n")[0].split())) for racer in racers]
    assert sorted(number for numbers in won for number in numbers) == list(range(1, 41))
    for racer, numbers in enumerate(won):
        for number in numbers:
            assert local.read(f"log/{number:08}.yaml") == b"%d" % racer * 1000


class Recorder:
    """Notes in which order files and directories become durable and names appear."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.steps: list[tuple[str, str]] = []
        for name in ("link", "replace", "mkdir"):
            monkeypatch.setattr(os, name, self._naming(name, getattr(os, name)))
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def _naming(self, word: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: str) -> None:
            real(*arguments)
            self.steps.append((word, self._relative(arguments[1 if len(arguments) > 1 else 0])))

        return call

    def fsync(self, handle: int) -> None:
        self._fsync(handle)
        found = os.fstat(handle)
        paths = [self.root, *self.root.rglob("*")]
        path = next(path for path in paths if os.path.samestat(path.lstat(), found))
        self.steps.append(("sync", self._relative(path)))

    def _relative(self, path: str | Path) -> str:
        relative = Path(path).relative_to(self.root).as_posix()
        return "tmp/*" if relative.startswith("tmp/") else relative


@pytest.fixture
def recorder(local: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    local.root.mkdir()
    return Recorder(local.root, monkeypatch)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no directories to sync")
def test_content_is_durable_before_its_name_and_the_name_before_create_returns(
    local: LocalBackend, recorder: Recorder
) -> None:
    local.create("log/a/1", b"x")
    assert recorder.steps == [
        ("mkdir", "tmp"),
        ("sync", "."),
        ("sync", "tmp/*"),
        ("mkdir", "log"),
        ("sync", "."),
        ("mkdir", "log/a"),
        ("sync", "log"),
        ("link", "log/a/1"),
        ("sync", "log/a"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no directories to sync")
def test_a_staged_file_is_durable_before_and_after_it_gets_its_name(
    local: LocalBackend, recorder: Recorder
) -> None:
    local.create("packs/ab/1", b"")
    recorder.steps.clear()
    staged = local.stage()
    staged.write(b"x")
    staged.commit("packs/ab/2")
    local.replace("packs/ab/1", b"y")
    assert recorder.steps == [
        ("sync", "tmp/*"),
        ("replace", "packs/ab/2"),
        ("sync", "packs/ab"),
        ("sync", "tmp/*"),
        ("replace", "packs/ab/1"),
        ("sync", "packs/ab"),
    ]


def no_links(source: str, target: str) -> None:
    raise OSError(errno.EPERM, "no links here", source)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames")
def test_without_links_a_name_is_still_given_once(
    local: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    assert local.create("a", b"first")
    assert not local.create("a", b"second")
    assert local.read("a") == b"first"
    assert [item.name for item in local.walk("")] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames")
def test_where_nothing_is_exclusive_writing_is_refused(
    local: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        def __getattr__(self, name: str) -> Callable[..., int]:
            return lambda *_: -1

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Library())
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EINVAL)
    with pytest.raises(StorageError, match="neither link nor rename exclusively"):
        local.create("a", b"first")
    assert list(local.walk("")) == []


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (errno.ENOSPC, StorageError, "no space left"),
        (errno.EDQUOT, StorageError, "no space left"),
        (errno.EROFS, DeniedError, "the file system is read-only"),
        (errno.EACCES, DeniedError, "permission denied"),
        (errno.EIO, StorageError, "Input/output error"),
    ],
)
def test_a_failing_disk_is_explained_and_leaves_nothing(
    local: LocalBackend,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[Exception],
    words: str,
) -> None:
    def failing(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    monkeypatch.setattr(backends, "sync_file", failing)
    with pytest.raises(error, match=words):
        local.create("a", b"x")
    assert list(local.walk("")) == []


def test_a_file_where_a_directory_must_be_is_explained(local: LocalBackend) -> None:
    local.create("manifests", b"")
    with pytest.raises(StorageError, match="Not a directory"):
        local.create("manifests/a/v1", b"")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may do everything")
def test_a_directory_that_may_not_be_written_is_explained(local: LocalBackend) -> None:
    local.create("a", b"x")
    local.root.chmod(0o555)
    try:
        with pytest.raises(DeniedError, match="permission denied"):
            LocalBackend(local.root).create("b/c", b"x")
    finally:
        local.root.chmod(0o755)
    assert local.read("a") == b"x"


def test_only_temporary_files_that_are_a_day_old_are_swept(local: LocalBackend) -> None:
    local.create("packs/a", b"")
    for name in ("old", "young"):  # their writers were killed
        local.path(f"tmp/{name}").write_bytes(b"x")
    os.utime(local.path("tmp/old"), (0, 0))
    assert local.sweep_temporary() == 1
    assert [item.name for item in local.walk("tmp")] == ["tmp/young"]


def test_a_clock_that_jumped_takes_no_file_from_a_running_writer(local: LocalBackend) -> None:
    staged = local.stage()
    staged.write(b"slow")
    for item in local.walk("tmp"):
        os.utime(local.path(item.name), (0, 0))
    assert LocalBackend(local.root).sweep_temporary() == 0
    assert staged.publish("packs/a")
    staged.discard()
    assert local.read("packs/a") == b"slow"


def test_a_folder_of_temporary_files_that_was_removed_is_made_again(local: LocalBackend) -> None:
    local.create("packs/a", b"")
    shutil.rmtree(local.root / "tmp")
    assert local.create("packs/b", b"b")
    assert local.read("packs/b") == b"b"


def test_the_clock_is_that_of_the_files(
    local: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0)
    before = local.clock()
    local.create("a", b"")
    assert 0 < before <= (local.root / "a").stat().st_mtime_ns
    assert list(local.walk("tmp")) == []


def test_a_symbolic_link_to_a_directory_is_not_walked(local: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    local.create("packs/a", b"")
    (local.root / "packs" / "link").symlink_to(tmp_path / "outside")
    assert sorted(item.name for item in local.walk("")) == ["packs/a", "packs/link"]


def test_what_soon_goes_as_a_whole_is_not_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append("file"))
    monkeypatch.setattr("os.sync", lambda: synced.append("all"))
    passing = LocalBackend(tmp_path / "passing", is_durable=False)
    passing.create("a/b", b"1")
    passing.replace("a/b", b"2")
    passing.create_many([(f"c/{number}", b"") for number in range(500)])
    passing.delete("c/7")
    assert passing.read("a/b") == b"2"
    assert len(passing.names("c")) == 499
    assert synced == []
