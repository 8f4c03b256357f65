"""What every backend promises, kept by every kind of remote, each with a real server."""

from __future__ import annotations

import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from art.backend import Backend
from art.remote.probe import probe
from tests.remote.conftest import Opener, Services
from tests.remote.servers import KINDS

NAMES = [
    "a",
    "packs/ab/cd.pack",
    "manifests/!x_train/v00000001.yaml",
    "refs/a.!/_tags/b/1",
    "a-b_c.d!",
]


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, services: Services, connect: Opener) -> Backend:
    return connect(services(request.param))


def test_what_was_created_is_there(backend: Backend) -> None:
    for name in NAMES:
        assert backend.create(name, b"content of " + name.encode())
    for name in NAMES:
        assert backend.read(name) == b"content of " + name.encode()
        assert backend.size(name) == 11 + len(name)


def test_nothing_is_a_content_too(backend: Backend) -> None:
    backend.replace("a", b"")

    assert backend.read("a") == b""
    assert backend.read("a", 0, 10) == b""
    assert backend.size("a") == 0


def test_a_name_is_given_once(backend: Backend) -> None:
    assert backend.create("a/b", b"first")
    assert not backend.create("a/b", b"second")
    assert backend.read("a/b") == b"first"


def test_of_eight_threads_one_creates_each_name(backend: Backend) -> None:
    start = threading.Barrier(8)

    def create(writer: int) -> list[int]:
        won = []
        for number in range(5):
            start.wait()
            if backend.create(f"race/{number}", f"{writer} {number} {uuid.uuid4()}".encode()):
                won.append(number)
        return won

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(create, range(8)))

    assert sorted(number for numbers in won for number in numbers) == list(range(5))
    for writer, numbers in enumerate(won):
        for number in numbers:
            assert backend.read(f"race/{number}").startswith(f"{writer} {number} ".encode())


def test_a_part_of_the_bytes_can_be_read(backend: Backend) -> None:
    content = bytes(range(256))
    backend.create("a", content)

    for start, length in (
        (0, 1),
        (0, 256),
        (10, 20),
        (255, 1),
        (250, 100),
        (256, 1),
        (300, 5),
        (5, 0),
    ):
        assert backend.read("a", start, length) == content[start : start + length]
    assert backend.read("a", 100) == content[100:]
    assert backend.read("a", 256) == b""


def test_a_missing_name_is_told_apart_from_trouble(backend: Backend) -> None:
    for name in ("missing", "no/such/name"):
        assert backend.size(name) is None
        for arguments in ((), (5, 10), (0, 0)):
            with pytest.raises(FileNotFoundError):
                backend.read(name, *arguments)
        backend.delete(name)
    assert backend.names("no") == []
    assert list(backend.walk("no")) == []


def test_replacing_takes_a_new_or_an_old_name(backend: Backend) -> None:
    backend.replace("progress/a.yaml", b"one")
    assert backend.read("progress/a.yaml") == b"one"
    backend.replace("progress/a.yaml", b"number two")
    assert backend.read("progress/a.yaml") == b"number two"
    assert backend.size("progress/a.yaml") == 10


def test_a_deleted_name_is_gone_and_may_be_deleted_again(backend: Backend) -> None:
    backend.create("a/b", b"content")
    backend.delete("a/b")
    backend.delete("a/b")

    assert backend.size("a/b") is None
    assert list(backend.walk("a")) == []


def test_a_staged_file_is_nowhere_before_it_is_committed(backend: Backend) -> None:
    staged = backend.stage()
    staged.write(b"one ")
    staged.write(b"two")
    assert list(backend.walk("packs")) == []
    staged.commit("packs/ab/cd.pack")
    staged.discard()
    dropped = backend.stage()
    dropped.write(b"dropped")
    dropped.discard()
    dropped.discard()

    assert backend.read("packs/ab/cd.pack") == b"one two"
    assert [item.name for item in backend.walk("")] == ["packs/ab/cd.pack"]


def test_a_file_of_20_mb_is_uploaded(backend: Backend, tmp_path: Path) -> None:
    content = os.urandom(20_000_000)
    (tmp_path / "large").write_bytes(content)

    backend.upload("packs/ab/large.pack", tmp_path / "large")

    assert backend.size("packs/ab/large.pack") == len(content)
    assert backend.read("packs/ab/large.pack", 8_388_600, 1000) == content[8_388_600:8_389_600]
    assert backend.read("packs/ab/large.pack") == content


def test_parts_of_a_large_file_are_read_by_32_threads(backend: Backend) -> None:
    content = os.urandom(8 << 20)
    backend.replace("packs/ab/large.pack", content)
    start = threading.Barrier(32)

    def read(number: int) -> bytes:
        start.wait()
        return backend.read("packs/ab/large.pack", number << 18, 1 << 18)

    with ThreadPoolExecutor(32) as threads:
        assert b"".join(threads.map(read, range(32))) == content


def test_32_threads_do_everything_at_once_from_the_first_request_on(backend: Backend) -> None:
    start = threading.Barrier(32)

    def work(number: int) -> list[str]:
        start.wait()
        name = f"folder-{number % 3}/{number}"
        assert backend.create(name, name.encode())
        assert not backend.create(name, b"another's")
        assert backend.size(name) == len(name)
        assert backend.read(name) == name.encode()
        backend.replace(f"{name}-replaced", b"content")
        return [name, f"{name}-replaced"]

    with ThreadPoolExecutor(32) as threads:
        made = {name for names in threads.map(work, range(32)) for name in names}

    assert {item.name for item in backend.walk("")} == made


def test_names_of_a_directory_tell_directories_apart(backend: Backend) -> None:
    for name in ("a/one", "a/two", "a/b/three", "a/b/four", "ab/five", "top"):
        backend.replace(name, b"content")

    assert sorted(backend.names("a")) == ["b/", "one", "two"]
    assert sorted(backend.names("a/b")) == ["four", "three"]
    assert sorted(set(backend.names("")) - {"tmp/"}) == ["a/", "ab/", "top"]


def test_walking_gives_every_name_below_with_its_size_and_time(backend: Backend) -> None:
    before = time.time()
    for size, name in enumerate(("a/one", "a/b/two", "ab/three"), 1):
        backend.replace(name, b"x" * size)

    found = {item.name: item for item in backend.walk("a")}

    assert {name: item.size for name, item in found.items()} == {"a/one": 1, "a/b/two": 2}
    assert all(before - 2 < item.modified < time.time() + 2 for item in found.values())


def test_more_than_a_thousand_names_are_all_listed(backend: Backend) -> None:
    names = {f"many/{number:04}" for number in range(1003)}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: backend.replace(name, name.encode()), names))
    backend.replace("many/below/1", b"")

    assert {item.name for item in backend.walk("many")} == names | {"many/below/1"}
    assert {f"many/{name}" for name in backend.names("many")} == names | {"many/below/"}


def test_the_clock_is_that_of_the_files(backend: Backend) -> None:
    assert abs(backend.clock() - time.time_ns()) < 5e9
    assert list(backend.walk("")) == []


def test_the_lock_and_the_sync_are_harmless(backend: Backend) -> None:
    backend.create("a/b", b"content")
    backend.sync("a")
    with backend.alone("name"):
        assert backend.read("a/b") == b"content"


def test_the_probe_finds_no_problem_and_leaves_nothing(backend: Backend) -> None:
    found = probe(backend)

    assert found.problems == []
    assert found.is_safe
    assert list(backend.walk("")) == []


def test_the_probe_refuses_a_store_that_ignores_conditions(
    services: Services, connect: Opener
) -> None:
    found = probe(connect(services("rclone")))

    assert not found.is_safe
    assert not found.creates_once
    assert "lets a name be written again that must be given once" in found.problems


def test_a_single_writer_looks_before_it_creates(services: Services, connect: Opener) -> None:
    backend = connect(services("rclone"), single_writer=True)

    assert backend.create("a", b"first")
    assert not backend.create("a", b"second")
    assert backend.read("a") == b"first"
