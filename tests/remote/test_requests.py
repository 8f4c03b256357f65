"""How many requests a call costs, counted by a proxy."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from art.backend import Backend
from tests.remote.conftest import Opener, Proxied, Services
from tests.remote.proxy import Proxy
from tests.remote.servers import HTTP_KINDS

PAGE = {"moto": 1000, "ministack": 1000, "gcs": 1000, "azure": 5000}


@pytest.fixture(params=HTTP_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(services: Services, proxied: Proxied, kind: str) -> Proxy:
    return proxied(services(kind))


@pytest.fixture
def backend(services: Services, connect: Opener, proxy: Proxy, kind: str) -> Backend:
    backend = connect(services(kind).at(proxy.port))
    backend.replace("a/b", b"content")  # connected from here on
    return backend


def read_missing(backend: Backend) -> None:
    with pytest.raises(FileNotFoundError):
        backend.read("missing")


def test_each_call_is_one_request(backend: Backend, proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"small")
    calls = {
        "read": lambda: backend.read("a/b"),
        "read a part": lambda: backend.read("a/b", 2, 3),
        "read what is missing": lambda: read_missing(backend),
        "size": lambda: backend.size("a/b"),
        "size of what is missing": lambda: backend.size("missing"),
        "create": lambda: backend.create("a/c", b"new"),
        "replace": lambda: backend.replace("a/b", b"content"),
        "upload": lambda: backend.upload("a/d", tmp_path / "small"),
        "walk": lambda: list(backend.walk("a")),
        "names": lambda: backend.names("a"),
        "names of nothing": lambda: backend.names("missing"),
        "delete": lambda: backend.delete("a/b"),
    }
    for name, call in calls.items():
        with proxy.counted() as requests:
            call()
        assert len(requests) == 1, f"{name}: {requests}"


def test_requests_of_32_threads_are_under_way_at_once(backend: Backend, proxy: Proxy) -> None:
    proxy.gather(32)

    with ThreadPoolExecutor(32) as threads:
        contents = list(threads.map(lambda _: backend.read("a/b"), range(32)))

    assert contents == [b"content"] * 32


def test_a_creation_that_was_too_late_is_read_back(backend: Backend, proxy: Proxy) -> None:
    with proxy.counted() as requests:
        assert not backend.create("a/b", b"another's")

    assert len(requests) == 2


def test_a_pack_is_uploaded_in_parts(backend: Backend, proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(bytes(64 << 20))

    with proxy.counted() as requests:
        backend.upload("packs/ab/cd.pack", tmp_path / "pack")

    assert len(requests) <= 10, requests


_UPLOAD = r"""
import re, sys, threading
from pathlib import Path
from art.remote import open_backend
backend = open_backend(sys.argv[1], dict(word.split("=", 1) for word in sys.argv[3:]))
def upload(number):
    backend.upload(f"packs/{number}", Path(sys.argv[2]))
threads = [threading.Thread(target=upload, args=(n,)) for n in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
assert all(backend.size(f"packs/{n}") == Path(sys.argv[2]).stat().st_size for n in range(2))
for n in range(2):
    backend.delete(f"packs/{n}")
# What getrusage tells would include the process that started this one.
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_memory_does_not_grow_with_what_is_uploaded(
    services: Services, connect: Opener, kind: str, tmp_path: Path
) -> None:
    service = services(kind)
    connect(service)  # sets the environment
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 << 20)
    options = [f"{name}={service.filled(value)}" for name, value in service.options.items()]

    done = subprocess.run(
        [sys.executable, "-c", _UPLOAD, f"{service.url}/memory", str(tmp_path / "large"), *options],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert int(done.stdout) < 400_000
