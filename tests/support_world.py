"""A world of several clients whose clocks are wrong, each by its own, around remotes whose clock is right.

A client can be suspended at any request: its process is stopped, or its machine sleeps, while the others
go on, for weeks where that is wanted.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import art.catalog
import art.fsck
import art.needed
import art.opening
import art.publish
import art.reliance
import art.settings
import art.store
import art.typed
from art.backend import Backend, Item, LocalBackend
from art.catalog import Log
from art.model import Chunking, Entry, Manifest, heads
from art.objects import ObjectStore, layout_directory
from art.remote import open_backend
from art.repo import Repo
from tests.support import get_files
from tests.support_gc import DAY, Place, Watched, read_all

_TELLS_TIME = (art.catalog, art.fsck, art.opening, art.publish, art.settings, art.store, art.typed)
_LAG = 0.012  # seconds that the time in files may be behind: more than the kernel's coarse clock is
_NUMBER = itertools.count()

Files = dict[str, bytes]


class Clock:
    """A clock that is moved by hand, and what it showed when a file was written: at least `_LAG` before
    it is moved."""

    def __init__(self) -> None:
        self._moments = [0.0]
        self._offsets = [0.0]

    def move(self, seconds: float) -> None:
        self._moments.append(time.time() - _LAG)
        self._offsets.append(self._offsets[-1] + seconds)

    def at(self, moment: float) -> float:
        """Return what it showed at a moment of this machine's clock."""
        return moment + self._offsets[bisect.bisect_right(self._moments, moment) - 1]

    def now(self) -> float:
        return time.time() + self._offsets[-1]


class Line(Watched):
    """One client's connection to a remote. While it is suspended, none of its threads gets through."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._gate = threading.Condition()
        self._holder: threading.Thread | None = None

    def suspend(self, at: int, act: Callable[[], None], *, late: bool) -> None:
        """Stop before, or after, a request, while `act` happens."""

        def stopped() -> None:
            with self._gate:
                self._holder = threading.current_thread()
            try:
                act()
            finally:
                with self._gate:
                    self._holder = None
                    self._gate.notify_all()

        self.arm(at, stopped, late=late)

    def _call(self, what: str, *arguments: object) -> object:
        with self._gate:
            self._gate.wait_for(lambda: self._holder in (None, threading.current_thread()))
        return super()._call(what, *arguments)


class World(Place):
    """Remotes `origin` and `mirror`, and clients by name, whose turn it is one after another."""

    def __init__(self, root: Path, *, has_path: bool = False) -> None:
        super().__init__(root, has_path=has_path)
        self.truth = Clock()
        self.clocks: dict[str, Clock] = {}
        self.awake: dict[str, Clock] = {}  # which stop while the machine sleeps
        self.lines: dict[tuple[str, str], Line] = {}
        self.acting = ""
        self.problems: list[BaseException] = []
        self.backends = {self.url: self.inner}
        self.mirror_url = f"{self.url}-mirror"
        if has_path:
            Path(self.mirror_url).mkdir()
        self.mirror = self.backends[self.mirror_url] = open_backend(self.mirror_url)
        self._patch.setattr(os, "fsync", lambda handle: None)  # nothing crashes here
        self._patch.setattr(art.opening, "open_backend", self._open)
        self._patch.setattr(art.reliance, "clocks", self._clocks)
        for module in _TELLS_TIME:
            self._patch.setattr(module, "now", self._written_now)
        self._tell_time_of_files()

    # -- time ------------------------------------------------------------------------------------

    @property  # type: ignore[override]
    def now(self) -> float:
        return self.truth.now() if hasattr(self, "truth") else time.time()

    @now.setter
    def now(self, _: float) -> None:
        """It is `truth` that is moved."""

    def pass_days(self, days: float) -> None:
        time.sleep(_LAG)  # what was written until now must be older
        for clock in (self.truth, *self.clocks.values(), *self.awake.values()):
            clock.move(days * DAY)

    def skew(self, name: str, days: float) -> None:
        """Let a client's clock be wrong by so much."""
        time.sleep(_LAG)
        clock = self.clocks[name]
        clock.move(self.truth.now() + days * DAY - clock.now())

    def _clocks(self) -> tuple[float, float]:
        return self.clocks[self.acting].now(), self.awake[self.acting].now()

    def _written_now(self) -> str:
        clock = self.clocks.get(self.acting, self.truth)
        shown = datetime.fromtimestamp(clock.now(), timezone.utc)
        return shown.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _clock_of(self, folder: Path) -> Clock:
        name = folder.relative_to(self.root).parts[0]
        return self.clocks.get(name, self.truth)

    def _tell_time_of_files(self) -> None:
        """Let a folder's files, and gc, show the time of whose folder it is."""
        walk, look = LocalBackend.walk, art.needed.Needs.look

        def walked(backend: LocalBackend, prefix: str) -> Iterator[Item]:
            clock = self._clock_of(backend.root)
            return (
                replace(item, modified=clock.at(item.modified)) for item in walk(backend, prefix)
            )

        def looked(needs: art.needed.Needs) -> art.needed.Sight:
            sight = look(needs)
            folder = needs._backend.path("")
            return replace(sight, now=self._clock_of(folder).now()) if folder else sight

        self._patch.setattr(LocalBackend, "walk", walked)
        self._patch.setattr(art.needed.Needs, "look", looked)

    # -- clients ---------------------------------------------------------------------------------

    def _open(self, url: str, *_: object, **__: object) -> Line:
        line = self.lines.get((self.acting, url))
        if line is None:
            line = self.lines[self.acting, url] = Line(self.backends[url])
        return line

    @contextlib.contextmanager
    def by(self, name: str) -> Iterator[Repo]:
        """Let it be the turn of a client."""
        before, self.acting = self.acting, name
        try:
            yield self.repos[name]
        finally:
            self.acting = before

    def add(self, name: str) -> Repo:
        self.clocks[name], self.awake[name] = Clock(), Clock()
        self.skew(name, 0.0)
        before, self.acting = self.acting, name
        try:
            repo = super().add(name)
            repo.remotes.add("mirror", self.mirror_url)
        finally:
            self.acting = before
        return repo

    def fresh(self) -> str:
        """Make another client out of the remote; return its name."""
        name = f"clone-{next(_NUMBER)}"
        self.clocks[name], self.awake[name] = Clock(), Clock()
        self.skew(name, 0.0)
        before, self.acting = self.acting, name
        try:
            self.clone(name)
        finally:
            self.acting = before
        return name

    def forget(self, name: str) -> None:
        self.repos.pop(name).close()

    @contextlib.contextmanager
    def suspended(
        self,
        name: str,
        at: int | None,
        act: Callable[[], None],
        *,
        late: bool,
        sleeps: bool,
        url: str | None = None,
    ) -> Iterator[None]:
        """Suspend what a client does in here at its request of this number. Its machine `sleeps`, so
        that one of its clocks stops, or only the process does not go on."""
        line = self.lines[name, url or self.url]
        if at is None:
            yield
            return

        def stopped() -> None:
            stood = self.awake[name].now()
            turn, self.acting = self.acting, ""
            try:
                act()
            except BaseException as error:
                self.problems.append(error)  # a client may take it for an error of its own
                raise
            finally:
                self.acting = turn
                if sleeps:
                    clock = self.awake[name]
                    clock.move(stood - clock.now())

        line.suspend(at, stopped, late=late)
        try:
            yield
        finally:
            line.act = None
            if self.problems:
                raise self.problems[0]

    # -- what is there ---------------------------------------------------------------------------

    def stores(self) -> list[Backend]:
        """Return both remotes."""
        return [self.inner, self.mirror]


def check_live(backend: Backend, contents: dict[str, Files], *, is_remote: bool) -> None:
    """Check that every live version reads back as it was made, and in a repository what has a layout."""
    objects = ObjectStore(backend, Chunking())
    manifests, states = read_all(backend)
    for id, manifest in manifests.items():
        tree = manifest.payload.tree if manifest.payload else None
        if states.get(id, "restored") != "restored":
            continue
        assert not (manifest.is_stub and is_remote), id
        if tree and (is_remote or backend.names(layout_directory(tree))):
            assert get_files(objects, tree) == contents[tree], id


def documents_of(backend: Backend) -> dict[str, bytes]:
    """Return all documents of logs."""
    names = [item.name for part in ("manifests", "refs") for item in backend.walk(part)]
    return {name: backend.read(name) for name in names if Log.of(name)}


def check_final(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Check that what was published is as it was, but for what a purge put in its place."""
    for name, data in before.items():
        if after.get(name) == data:
            continue
        assert name in after, f"{name} is gone"
        located = Log.of(name)
        assert located
        old, new = located[0].parse(located[1], data), located[0].parse(located[1], after[name])
        assert isinstance(old, Manifest), name
        assert isinstance(new, Manifest), name
        assert new.is_stub, name
        assert new.document["purged"]["id"] == old.id, name
        assert new.uid == old.uid, name


def without_effect(documents: dict[str, bytes]) -> dict[tuple[str | None, str], int]:
    """Return of each tag, and settings, how many moves have no effect."""
    logs: dict[Log, dict[int, Entry]] = {}
    for name, data in documents.items():
        located = Log.of(name)
        if located and located[0].has_heads:
            entry = located[0].parse(located[1], data)
            assert isinstance(entry, Entry)
            logs.setdefault(located[0], {})[located[1]] = entry
    return {
        (log.key, log.name): len(heads([entries[number] for number in sorted(entries)])[1])
        for log, entries in logs.items()
    }


def bytes_of(folder: Path) -> int:
    """Return how many bytes the files in a folder have."""
    return sum(
        os.lstat(os.path.join(place, file)).st_size
        for place, _, files in os.walk(folder)
        for file in files
    )


def holds(backend: Backend, needle: bytes) -> list[str]:
    """Return the packs in which these bytes, which cannot be compressed, stand somewhere."""
    return [item.name for item in backend.walk("packs") if needle in backend.read(item.name)]


def payloads_of(backend: Backend) -> tuple[set[str], set[str]]:
    """Return the payloads of versions that are not purged, and of those that are."""
    manifests, _ = read_all(backend)
    kept = {m.payload.tree for m in manifests.values() if m.payload and m.payload.tree}
    purged = [m.document["purged"] for m in manifests.values() if m.is_stub]
    return kept, {str(stub["payload"]) for stub in purged if "payload" in stub}
