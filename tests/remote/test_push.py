"""Many processes push versions of one key to one remote at once, while answers are lost.

`ART_TEST_FULL=1` does it in full size everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

import art
from art.errors import UnavailableError
from art.remote import failures
from art.repo import Repo
from tests.remote.conftest import Proxied, Services
from tests.remote.servers import Service

_IS_FULL = "ART_TEST_FULL" in os.environ
_FULL, _SMALL = (8, 25), (4, 3)
_LOSS = 0.3
_ROOT = Path(__file__).parent.parent.parent
_PUSHER = """
import json, sys
from pathlib import Path
import art
from art.remote import failures
from tests.remote.test_push import hurried, persistently
failures.time = hurried()
url, options, folder, number, count = json.loads(sys.argv[1])
repo = persistently(lambda: art.clone(url, folder, options=options))
numbers = {}
for at in range(count):
    content = Path(folder, "content")
    content.write_bytes(f"{number} {at}\\n".encode() * 200)
    made = repo.create("k/x", content, title=f"{number} {at}", tags=["newest"])
    pushed = persistently(repo.push)
    assert not pushed.left, pushed
    numbers[made.version.id] = [repo.version(made.version.id).number, f"{number} {at}"]
print(json.dumps(numbers))
"""
_ATTEMPTS = 50
T = TypeVar("T")


def persistently(work: Callable[[], T]) -> T:
    """Do something again where the remote could not be reached: of so many requests some get no
    answer for longer than a remote is asked again."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(UnavailableError):
            return work()
    return work()


def hurried() -> SimpleNamespace:
    """Return a clock for what repeats requests, whose pauses are short: what is tried here is that
    answers are lost, not how long one waits then."""
    return SimpleNamespace(monotonic=time.monotonic, sleep=lambda pause: time.sleep(pause / 10))


@dataclass(frozen=True)
class Place:
    """Where a remote is, and how it is reached through what loses answers."""

    url: str
    lossy_options: dict[str, str]


@contextlib.contextmanager
def placed(service: Service, proxied: Proxied, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Make a remote at a service. What connects from other processes goes through a lossy proxy."""
    url = f"{service.filled(service.url)}/{uuid.uuid4().hex}"
    if service.kind == "folder":
        Path(url).mkdir(parents=True)
    lossy = service
    if service.speaks_http:
        proxy = proxied(service)
        proxy.loss = _LOSS
        patch.setattr(failures, "time", hurried())
        lossy = service.at(proxy.port)
    for name, value in lossy.environment.items():
        patch.setenv(name, lossy.filled(value))
    lossy_options = {name: lossy.filled(value) for name, value in lossy.options.items()}
    yield Place(url, lossy_options)
    if service.speaks_http:
        assert proxy.lost > 10


def push_at_once(
    place: Place, folder: Path, writers: int, count: int
) -> dict[str, tuple[int, str]]:
    """Let so many processes push so many versions each; return number and title by id."""
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                _PUSHER,
                json.dumps(
                    [place.url, place.lossy_options, str(folder / str(number)), number, count]
                ),
            ],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(writers)
    ]
    ended = [(*child.communicate(), child.returncode) for child in children]
    said: dict[str, tuple[int, str]] = {}
    for out, err, code in ended:
        assert code == 0, err
        said |= {id: (number, title) for id, (number, title) in json.loads(out).items()}
    return said


# Not moto: under load it lets two writers at once both create a name, as the probe notices.
@pytest.mark.parametrize("kind", ["folder", "ministack", "gcs", "azure", "sftp", "radosgw"])
def test_many_writers_of_one_key_lose_nothing(
    kind: str,
    services: Services,
    proxied: Proxied,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writers, count = _FULL if _IS_FULL else _SMALL
    with placed(services(kind), proxied, monkeypatch) as place:
        with art.init(tmp_path / "first") as first:
            persistently(lambda: first.remotes.add("origin", place.url, place.lossy_options))
        said = push_at_once(place, tmp_path, writers, count)
        total = writers * count
        assert len(said) == total
        assert sorted(number for number, _ in said.values()) == list(range(1, total + 1))
        options = place.lossy_options
        with persistently(
            lambda: art.clone(place.url, tmp_path / "fresh", options=options)
        ) as fresh:
            check(fresh, said)


def check(fresh: Repo, said: dict[str, tuple[int, str]]) -> None:
    """Check that a fresh clone has exactly what was told, and that every byte can be read."""
    history = fresh.history("k/x")
    assert {record.id: (record.number, record.title) for record in history} == said
    assert fresh.tag_names("k/x") == ["newest"]
    assert len(fresh.tag_history("k/x", "newest")) == len(said)
    assert persistently(lambda: fresh.pull(all=True)).left == []
    for record in history:
        assert fresh.version(record.ref).read("content") == f"{record.title}\n".encode() * 200
