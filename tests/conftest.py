"""What all tests share: a repository in a folder of its own, `art` run in this process, a guard."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import art
from art.cli import main
from art.repo import Repo
from tests.support_gc import Place
from tests.support_sync import World

settings.register_profile("art", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("art")

_ALLOWED = (tempfile.gettempdir(), "/dev/")
_CACHES = ("__pycache__", ".pytest_cache", ".hypothesis", ".coverage")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TARGET = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.rename": 1}
_TARGET |= {"os.link": 1, "os.symlink": 1, "os.chmod": 0}


def _refuse_writes_elsewhere(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & _WRITING:
            return
    elif event in _TARGET:
        path = arguments[_TARGET[event]]
        if event != "os.truncate" and arguments[-1] != -1:
            return  # relative to an open folder
    else:
        return
    if isinstance(path, int) or path is None:
        return
    name = str(Path(os.fsdecode(path)).absolute())
    if not name.startswith(_ALLOWED) and not any(cache in name for cache in _CACHES):
        raise AssertionError(f"a test writes outside its folder: {event} {name}")


@pytest.fixture(scope="session", autouse=True)
def _guard() -> None:
    """Make every write outside the temporary folder fail, from the first test on."""
    sys.addaudithook(_refuse_writes_elsewhere)


@pytest.fixture(scope="session", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile art once for all processes that tests start, also where nothing may be written beside it."""
    with pytest.MonkeyPatch.context() as patch:
        if "PYTHONDONTWRITEBYTECODE" in os.environ:
            patch.delenv("PYTHONDONTWRITEBYTECODE")
            patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty folder that a test runs in. HOME is another one, no setting comes in."""
    for name in [name for name in os.environ if name.startswith(("ART_", "_ART_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    place = tmp_path / "work"
    home.mkdir()
    place.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def repo(workplace: Path) -> Iterator[Repo]:
    """Return an empty repository in the working folder."""
    with art.init() as repository:
        yield repository


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a remote in memory that two repositories share."""
    world = World(tmp_path)
    world.add("a")
    world.add("b")
    yield world
    world.close()


@pytest.fixture
def a(world: World) -> Repo:
    """Return the first of the two repositories that share a remote."""
    return world.repos["a"]


@pytest.fixture
def b(world: World) -> Repo:
    """Return the second of them."""
    return world.repos["b"]


@pytest.fixture(params=["memory", "folder"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Return a remote, in memory and in a folder, whose clock is set by hand, and `a`, which uses it."""
    found = Place(tmp_path, has_path=request.param == "folder")
    found.add("a")
    yield found
    found.close()


@dataclass(frozen=True)
class Result:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The first line of the error."""
        first = next(line for line in self.err.splitlines() if line.startswith("error: "))
        return first.removeprefix("error: ")


Runner = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Return a function that runs a command line in this process."""

    def run(*words: str, stdin: bytes = b"", code: int | None = 0) -> Result:
        capsys.readouterr()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        before, environment = Path.cwd(), dict(os.environ)
        try:
            found = main(list(words))
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environment)
        captured = capsys.readouterr()
        assert code in (None, found), f"art {' '.join(words)}: {captured.err or captured.out}"
        return Result(found, captured.out, captured.err)

    return run


@pytest.fixture
def files(workplace: Path) -> Path:
    """Return the folder `data` with a few files, in the working folder."""
    (workplace / "data" / "eu").mkdir(parents=True)
    (workplace / "data" / "eu" / "part-0.csv").write_text("day,price\n1,2.50\n2,3.00\n")
    (workplace / "data" / "eu" / "part-1.csv").write_text("day,price\n3,1.00\n")
    (workplace / "data" / "README.txt").write_text("Prices\n")
    return workplace / "data"
