"""Payloads between stores: what is new and no more, whole or not at all, whatever happens on the way."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from art.backend import LocalBackend
from art.errors import CorruptError, NotFoundError
from art.objects import ObjectStore
from art.pack import pack_name
from art.remote import open_backend
from art.reporter import Silent
from art.transfer import Courier, Shipment, Shipped
from tests.support import SMALL, get_files, put_files, stored


class Counting:
    """A backend that is at another place: it has no paths. Counts, and fails when told to."""

    def __init__(self, root: Path) -> None:
        self.inner = LocalBackend(root)
        self.calls: list[tuple[str, str]] = []
        self.sent = 0
        self.received = 0
        self.fail_at = 0
        self._lock = threading.Lock()

    where = "elsewhere"

    def path(self, name: str) -> None:
        return None

    def _count(self, what: str, name: str) -> None:
        with self._lock:
            self.calls.append((what, name))
            if len(self.calls) == self.fail_at:
                raise KeyboardInterrupt

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._count("read", name)
        data = self.inner.read(name, start, length)
        self.received += len(data)
        return data

    def size(self, name: str) -> int | None:
        self._count("size", name)
        return self.inner.size(name)

    def create(self, name: str, content: bytes) -> bool:
        self._count("create", name)
        return self.inner.create(name, content)

    def replace(self, name: str, content: bytes) -> None:
        self._count("replace", name)
        self.inner.replace(name, content)

    def upload(self, name: str, source: Path) -> None:
        self._count("upload", name)
        self.sent += source.stat().st_size
        self.inner.upload(name, source)

    def names(self, directory: str) -> list[str]:
        self._count("names", directory)
        return self.inner.names(directory)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class Ends:
    """A local store, a remote one, and what carries payloads between them."""

    def __init__(self, root: Path, far: object) -> None:
        self.root = root
        self.here = ObjectStore(LocalBackend(root / "here"), SMALL)
        self.far = ObjectStore(far, SMALL)  # type: ignore[arg-type]
        self.scratch = LocalBackend(root / "scratch")

    def push(self) -> Courier:
        return Courier(self.here, self.far, self.scratch, Silent())

    def pull(self, to: str = "back") -> tuple[Courier, ObjectStore]:
        target = ObjectStore(LocalBackend(self.root / to), SMALL)
        return Courier(self.far, target, self.scratch, Silent()), target


@pytest.fixture(params=["folder", "remote", "memory"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Ends:
    backends = {
        "folder": lambda: LocalBackend(tmp_path / "far"),
        "remote": lambda: Counting(tmp_path / "far"),
        "memory": lambda: open_backend(f"memory://{tmp_path.name}-{random.random()}"),
    }
    return Ends(tmp_path, backends[request.param]())


@pytest.fixture
def counted(tmp_path: Path) -> Ends:
    return Ends(tmp_path, Counting(tmp_path / "far"))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def send(courier: Courier, payload: str, *bases: str) -> tuple[Shipment, Shipped]:
    shipment = courier.plan(payload, bases)
    assert shipment
    return shipment, courier.ship(shipment)


SAMPLES: dict[str, dict[str, bytes]] = {
    "nothing": {},
    "an empty file": {"a": b""},
    "one file": {"a": b"one"},
    "many files": {f"d{n % 7}/{n:04}": b"%d" % n for n in range(2000)},
    "a large file": {"big": noise(200_000), "small": b"x"},
}


@pytest.mark.parametrize("files", SAMPLES.values(), ids=list(SAMPLES))
def test_what_goes_comes_back(ends: Ends, files: dict[str, bytes]) -> None:
    payload = put_files(ends.here, files).payload
    shipment, shipped = send(ends.push(), payload)
    assert shipped.size_bytes == shipment.size_bytes
    assert get_files(ends.far, payload) == files
    courier, back = ends.pull()
    send(courier, payload)
    assert get_files(back, payload) == files
    assert ends.push().plan(payload) is None
    assert courier.plan(payload) is None
    assert ends.scratch.names("packs") in ([], [name + "/" for name in ()]) or not list(
        ends.scratch.walk("packs")
    )


def test_what_the_source_does_not_have_is_not_found(ends: Ends) -> None:
    with pytest.raises(NotFoundError, match="abab"):
        ends.push().plan("ab" * 32)
