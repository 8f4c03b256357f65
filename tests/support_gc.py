"""Stores whose clock a test sets, and a look at what they hold that uses nothing of gc."""

from __future__ import annotations

import fcntl
import io
import itertools
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import art
import art.catalog
import art.opening
import art.reliance
import art.remote.memory
from art import packer
from art.backend import Backend, Item, Staged
from art.catalog import STATE, VERSIONS, Log, parse_anonymous
from art.model import Chunking, Entry, Manifest
from art.objects import ObjectStore, layout_directory
from art.remote import open_backend
from art.repo import Repo
from tests.support import get_files, lay_out
from tests.support_state import random_bytes

DAY = 86400.0
_COUNTER = itertools.count()


def may_collect(root: Path) -> bool:
    """Whether gc could begin now."""
    with (root / ".art/locks/gc").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class WatchedStaged:
    """A file on its way to another place. That it gets its name is an upload, done as `upload` says."""

    def __init__(
        self, inner: Staged, upload: Callable[[str, Callable[[], object]], object]
    ) -> None:
        self._inner = inner
        self._upload = upload

    def write(self, data: bytes) -> None:
        self._inner.write(data)

    def commit(self, name: str) -> None:
        self._upload(name, lambda: self._inner.commit(name))

    def discard(self) -> None:
        self._inner.discard()


class Watched:
    """A backend of another place that does something at a chosen request: `Death`, or what another
    client does in between. It counts what is asked."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.calls: list[tuple[str, str]] = []
        self.at: int | None = None
        self.kinds: tuple[str, ...] | None = None
        self.act: Callable[[], None] | None = None
        self.is_late = False
        self._lock = threading.RLock()

    def arm(
        self,
        at: int,
        act: Callable[[], None],
        *,
        late: bool = False,
        kinds: tuple[str, ...] | None = None,
    ) -> None:
        """Do something at the request of this number from now on, counting these kinds only."""
        self.calls.clear()
        self.at, self.act, self.is_late, self.kinds = at, act, late, kinds

    def _do(self, what: str, name: str, request: Callable[[], object]) -> object:
        with self._lock:
            if self.kinds is None or what in self.kinds:
                self.calls.append((what, name))
            is_hit = self.act is not None and len(self.calls) == self.at
            act = self.act
            if is_hit:
                self.act = None
        if is_hit and act and not self.is_late:
            act()
        found = request()
        if is_hit and act and self.is_late:
            act()
        return found

    def _call(self, what: str, *arguments: object) -> object:
        ask = getattr(self.inner, what)
        return self._do(
            what,
            str(arguments[0]),
            lambda: list(ask(*arguments)) if what == "walk" else ask(*arguments),
        )

    def stage(self) -> Staged:
        return WatchedStaged(
            self.inner.stage(), lambda name, commit: self._do("upload", name, commit)
        )

    def __getattr__(self, name: str) -> object:
        if name in ("read", "size", "create", "replace", "upload", "delete", "names", "walk"):
            return lambda *arguments: self._call(name, *arguments)
        return getattr(self.inner, name)


class Place:
    """A remote and the repositories that use it, in one folder; the remote's clock is set by hand."""

    def __init__(self, root: Path, *, has_path: bool = False) -> None:
        self.root = root
        self.has_path = has_path
        self.now = time.time()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(packer, "PACK_SIZE", 64 << 10)
        clock = SimpleNamespace(time=lambda: self.now)
        self._patch.setattr(art.remote.memory, "time", clock)
        self._patch.setattr(art.reliance, "clocks", lambda: (self.now, self.now))
        if has_path:
            self._patch.setattr(art.catalog, "now", lambda: "2020-01-01T00:00:00.000000Z")
            (root / "remote").mkdir()
            self.url = str(root / "remote")
            self.inner = open_backend(self.url)
        else:
            self.url = f"memory://gc-{next(_COUNTER)}"
            self.inner = open_backend(self.url)
            self.watched = Watched(self.inner)
            self._patch.setattr(art.opening, "open_backend", lambda *_, **__: self.watched)
        self.repos: dict[str, Repo] = {}

    def add(self, name: str) -> Repo:
        """Make another repository that has the remote."""
        repo = art.init(self.root / name)
        repo.remotes.add("origin", self.url)
        self.repos[name] = repo
        return repo

    def clone(self, name: str) -> Repo:
        """Make another repository out of the remote."""
        self.repos[name] = art.clone(self.url, self.root / name)
        return self.repos[name]

    def pass_days(self, days: float) -> None:
        """Let time go by at the remote."""
        self.now += days * DAY
        if self.has_path:
            age(self.root / "remote", days)

    def close(self) -> None:
        self._patch.undo()
        for repo in self.repos.values():
            repo.close()

    # -- what is there ---------------------------------------------------------------------------

    def packs(self) -> set[str]:
        """Return the packs at the remote."""
        return {name_of(item) for item in self.inner.walk("packs")}

    def marks(self) -> set[str]:
        """Return the marked packs."""
        return set(self.inner.names("gc/marks"))

    def live(self) -> dict[str, Manifest]:
        """Return the live versions at the remote by id."""
        manifests, states = read_all(self.inner)
        return {id: m for id, m in manifests.items() if states.get(id, "restored") == "restored"}

    def check(self, contents: dict[str, dict[str, bytes]]) -> None:
        """Check that every live version at the remote reads back as it was made."""
        objects = ObjectStore(self.inner, Chunking())
        for id, manifest in self.live().items():
            if manifest.payload and manifest.payload.tree:
                assert get_files(objects, manifest.payload.tree) == contents[id], id
            assert not manifest.is_stub


def read_all(backend: Backend) -> tuple[dict[str, Manifest], dict[str, str]]:
    """Return all manifests by id, and the last state that is said of each version."""
    manifests: dict[str, Manifest] = {}
    states: dict[str, str] = {}
    for name in sorted(
        item.name for prefix in ("manifests", "refs") for item in backend.walk(prefix)
    ):
        located = Log.of(name)
        if located is None or located[0].name not in (VERSIONS, STATE):
            continue
        document = located[0].parse(located[1], backend.read(name))
        if isinstance(document, Manifest):
            manifests[document.id] = document
        elif isinstance(document, Entry):
            for version in document.document["versions"]:
                if states.get(version["id"]) != "purged":  # which is final
                    states[version["id"]] = str(document.document["state"])
    for file in backend.names("anonymous"):
        manifest = parse_anonymous(file[:-5], backend.read(f"anonymous/{file}"))
        manifests[manifest.id] = manifest
    return manifests, states


def name_of(item: Item) -> str:
    return item.name.rpartition("/")[2].removesuffix(".pack")


def age(folder: Path, days: float) -> None:
    """Make everything in a folder older."""
    for path in folder.rglob("*"):
        if path.is_file():
            found = path.stat()
            os.utime(path, (found.st_atime - days * DAY, found.st_mtime - days * DAY))


def put(repo: Repo, key: str | None, seed: int, size: int = 5000, **files: bytes) -> str:
    """Make a version of one random file and others; return its id."""
    content = {"x": random_bytes(size, seed), **files}
    folder = lay_out(repo.root.parent / f"data-{next(_COUNTER)}", content)
    return repo.create(key, folder).version.id


def zipped(name: str, data: bytes) -> bytes:
    """Return an archive, whose listing names this file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        bundle.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def sizes(repo: Repo) -> dict[str, int]:
    """Return what lies in packs and layouts, with sizes."""
    found = {}
    for part in ("packs", "layouts"):
        for path in (repo.root / ".art" / part).rglob("*"):
            if path.is_file():
                found[path.relative_to(repo.root / ".art").as_posix()] = path.stat().st_size
    return found


def contents_of(repo: Repo, *, is_partial: bool = False) -> dict[str, dict[str, bytes]]:
    """Return the files of every version that is live or can be restored, from the packs as they are;
    where it `is_partial`, of those alone that have a layout here."""
    backend = repo._backend
    objects = ObjectStore(backend, Chunking())
    manifests, states = read_all(backend)
    return {
        id: get_files(objects, manifest.payload.tree)
        for id, manifest in manifests.items()
        if states.get(id, "restored") in ("restored", "deleted")
        and manifest.payload
        and manifest.payload.tree
        and (not is_partial or backend.names(layout_directory(manifest.payload.tree)))
    }
