"""A remote of any kind with a clock that jumps, and clients of it that die or wait at any request."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import art
import art.exchange
import art.keeping
import art.opening
import art.reliance
import art.repo.base
import art.sync
from art import packer
from art.backend import Backend, Item, LocalBackend, LocalStaged, Staged
from art.model import Chunking
from art.objects import ObjectStore
from art.remote import open_backend
from art.repo import Repo
from art.retention import Policy
from tests.support import get_files, lay_out
from tests.support_faults import NEVER, Death, Fault, FaultyBackend, FaultyStaged
from tests.support_gc import DAY, WatchedStaged, read_all, zipped
from tests.support_state import random_bytes

Contents = dict[str, dict[str, bytes]]
WRITES = ("create", "replace", "upload", "delete", "commit", "publish")
# Read before the tests begin: they see no setting of art.
IS_FULL = "ART_TEST_FULL" in os.environ
_COUNTER = itertools.count()
_THREADS = 16
_COPY = "memory://copy"  # where everybody finds what `check` copied last


def no_turn(what: str, name: str, *, is_after: bool) -> None:
    """Let a request pass."""


@dataclass
class Time:
    """The clock of a remote: its own one, `days` ahead. `written` says how far it was ahead when
    something was written."""

    days: float = 0.0
    written: dict[str, float] = field(default_factory=dict)

    def note(self, name: str) -> None:
        self.written[name] = self.days

    def seen(self, item: Item) -> Item:
        """Return an item with the time at which it was written, by this clock."""
        ahead = self.written.get(item.name, 0.0) * DAY
        return Item(item.name, item.size, item.modified + ahead)


class Client:
    """One process's way to a remote that is no folder. `fault` says at which write it dies; from then
    on nothing that it asks has any effect. `turn` is called before and after each request."""

    def __init__(self, inner: Backend, time: Time) -> None:
        self.inner = inner
        self.time = time
        self.fault = Fault(NEVER, "death")
        self.turn: Callable[..., None] = no_turn

    def _ask(self, what: str, name: str, *arguments: object) -> object:
        if self.fault.is_dead:
            raise Death
        self.turn(what, name, is_after=False)
        found = getattr(self.inner, what)(name, *arguments)
        found = list(found) if what == "walk" else found
        self.turn(what, name, is_after=True)
        return found

    def write(self, what: str, name: str, action: Callable[[], object]) -> object:
        """Do what changes something, as one step of the fault."""
        if self.fault.is_dead:
            raise Death
        self.turn(what, name, is_after=False)
        with self.fault.step(f"{what} {name}", name):
            self.time.note(name)
            found = action()
        self.turn(what, name, is_after=True)
        return found

    def walk(self, prefix: str) -> Iterator[Item]:
        found = self._ask("walk", prefix)
        assert isinstance(found, list)
        return iter([self.time.seen(item) for item in found])

    def clock(self) -> int:
        if self.fault.is_dead:
            raise Death
        return self.inner.clock() + int(self.time.days * DAY * 1e9)

    def stage(self) -> Staged:
        return WatchedStaged(
            self.inner.stage(), lambda name, commit: self.write("upload", name, commit)
        )

    def __getattr__(self, name: str) -> object:
        if name in ("read", "size", "names"):
            return lambda *arguments: self._ask(name, *arguments)
        if name in ("create", "replace", "upload", "delete"):
            act = getattr(self.inner, name)
            return lambda *given: self.write(name, given[0], lambda: act(*given))
        return getattr(self.inner, name)


class StepwiseFolder(FaultyBackend):
    """A folder that others share, or a repository's own: each step of the file system counts."""

    def __init__(self, root: Path, fault: Fault, time: Time | None = None) -> None:
        super().__init__(root, fault)
        self.time = time or Time()
        self.turn: Callable[..., None] = no_turn

    @contextlib.contextmanager
    def asked(self, what: str, name: str) -> Iterator[None]:
        if self.fault.is_dead:
            raise Death
        self.turn(what, name, is_after=False)
        yield
        self.turn(what, name, is_after=True)

    def stage(self) -> LocalStaged:
        staged = super().stage()
        assert isinstance(staged, FaultyStaged)
        return _StagedHere(self, staged)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        with self.asked("read", name):
            return super().read(name, start, length)

    def size(self, name: str) -> int | None:
        with self.asked("size", name):
            return super().size(name)

    def names(self, directory: str) -> list[str]:
        with self.asked("names", directory):
            return super().names(directory)

    def walk(self, prefix: str) -> Iterator[Item]:
        with self.asked("walk", prefix):
            found = list(super().walk(prefix))
        return iter([self.time.seen(item) for item in found])

    def delete(self, name: str) -> None:
        with self.asked("delete", name):
            super().delete(name)

    def clock(self) -> int:
        return LocalBackend(self.root).clock() + int(self.time.days * DAY * 1e9)


class _StagedHere(FaultyStaged):
    def __init__(self, backend: StepwiseFolder, staged: FaultyStaged) -> None:
        self.__dict__.update(staged.__dict__)
        self._folder = backend

    def commit(self, name: str) -> None:
        with self._folder.asked("commit", name):
            self._folder.time.note(name)
            super().commit(name)

    def publish(self, name: str) -> bool:
        with self._folder.asked("publish", name):
            if (
                self._folder.time.written.get(name) is None
                or not (self._folder.root / name).exists()
            ):
                self._folder.time.note(name)
            return super().publish(name)

    def link(self, name: str) -> bool:
        with self._fault.step("link", name):
            return super().link(name)


class Follower(Fault):
    """What fails as soon as another fault has killed the process, and counts nothing."""

    def __init__(self, leader: Fault) -> None:
        super().__init__(NEVER, "death")
        self._leader = leader

    @property
    def is_dead(self) -> bool:
        return self._leader.is_dead

    @property
    def has_fired(self) -> bool:
        return self._leader.has_fired

    @contextlib.contextmanager
    def step(self, name: str, path: str) -> Iterator[bool]:
        if self.is_dead:
            raise Death
        yield False


@dataclass(frozen=True)
class Snapshot:
    """Repositories in a folder, and what is at their remote, with how far its clock was ahead."""

    folder: Path
    names: tuple[str, ...]
    content: dict[str, tuple[bytes, float]]
    days: float
    contents: Contents


class World:
    """A remote and the repositories that share it, in one folder; each has a client of its own."""

    def __init__(self, root: Path, inner: Backend) -> None:
        self.root = root
        self.inner = self.copy = inner
        self.time = Time()
        self.contents: Contents = {}
        self.clients: dict[str, Client | StepwiseFolder] = {}
        self.faults: dict[str, Fault] = {}
        self.repos: dict[str, Repo] = {}
        self.acknowledged: set[str] = set()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(packer, "PACK_SIZE", 64 << 10)
        for name in ("fsync", "sync"):  # processes die here, machines do not
            self._patch.setattr(os, name, lambda *_: None)
        self._patch.setattr(art.opening, "open_backend", self._open)
        self._patch.setattr(art.reliance, "clocks", lambda: (self._now(), self._now()))
        own_folder = self._own_folders()
        for module in (art.repo.base, art.exchange, art.keeping, art.sync):
            self._patch.setattr(module, "LocalBackend", own_folder)

    def _now(self) -> float:
        return time.time() + self.time.days * DAY

    def _open(self, url: str, *_: object, **__: object) -> Client | StepwiseFolder:
        if url == _COPY:
            return Client(self.copy, self.time)
        return self.client(url.rpartition("/")[2])

    def _own_folders(self) -> type[StepwiseFolder]:
        """Return a backend for the repositories' own folders, each of which fails as was said."""
        world = self

        class OwnFolder(StepwiseFolder):
            def __init__(self, place: Path, *, is_durable: bool = True) -> None:
                is_ours = place.is_relative_to(world.root)
                name = place.relative_to(world.root).parts[0] if is_ours else ""
                super().__init__(place, world.faults.get(name) or Fault(NEVER, "death"))
                self.is_durable = is_durable

        return OwnFolder

    def client(self, name: str) -> Client | StepwiseFolder:
        """Return the way of a repository to the remote."""
        if name not in self.clients:
            path = self.inner.path("")
            fault = Fault(NEVER, "death")
            self.clients[name] = (
                Client(self.inner, self.time)
                if path is None
                else StepwiseFolder(path, fault, self.time)
            )
        return self.clients[name]

    def add(self, name: str) -> Repo:
        """Make another repository that has the remote."""
        repo = art.init(self.root / name)
        repo.remotes.add("origin", f"memory://{name}")
        self.repos[name] = repo
        return repo

    def open(self, name: str, fault: Fault | None = None, *, is_own: bool = False) -> Repo:
        """Open a repository, again where it was open: as another process would, with a new client.
        It dies by `fault`, which counts what it writes at the remote or, with `is_own`, here."""
        if name in self.repos:
            self.repos[name].close()
        self.clients.pop(name, None)
        self.faults.pop(name, None)
        if fault:
            self.client(name).fault = Follower(fault) if is_own else fault
            self.faults[name] = fault if is_own else Follower(fault)
        self.repos[name] = Repo(self.root / name)
        return self.repos[name]

    def close(self) -> None:
        self._patch.undo()
        for repo in self.repos.values():
            repo.close()

    def make(self, name: str, key: str | None, files: dict[str, bytes]) -> str:
        """Make a version in a repository; return its id."""
        folder = lay_out(self.root / f"data-{next(_COUNTER)}", files)
        made = self.repos[name].create(key, folder).version.id
        shutil.rmtree(folder)
        self.contents[made] = dict(files)
        return made

    def make_shown(self, name: str, key: str, seed: int) -> str:
        """Make a version of one file that has a preview."""
        files = {"x.zip": zipped(f"file-{seed}", random_bytes(5000, seed))}
        folder = lay_out(self.root / f"data-{next(_COUNTER)}", files)
        made = self.repos[name].create(key, folder / "x.zip").version
        assert made.preview
        shutil.rmtree(folder)
        self.contents[made.id] = files
        return made.id

    def push(self, name: str) -> None:
        """Push, and note what was acknowledged."""
        pushed = self.repos[name].push()
        assert pushed.left == []
        self.acknowledged |= {sent.id for sent in pushed.versions}

    def collect(self, *days: float) -> None:
        """Let time go by, and collect the remote, as often as there are days."""
        for each in days:
            self.time.days += each
            self.repos["keeper"].gc(remote="origin", grace="0s")

    def at_write(self, name: str, number: int, act: Callable[[], None]) -> None:
        """Do something right before a repository writes to the remote for the n-th time."""
        left = itertools.count(1)

        def turn(what: str, _: str, *, is_after: bool) -> None:
            if what in WRITES and not is_after and next(left) == number:
                act()

        self.client(name).turn = turn

    # -- what is there ---------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        for repo in self.repos.values():
            repo.close()
        content = {
            name: (data, self.time.written.get(name, 0.0)) for name, data in self._all().items()
        }
        return Snapshot(self.root, tuple(self.repos), content, self.time.days, dict(self.contents))

    def load(self, snapshot: Snapshot) -> None:
        """Take up what was left somewhere else."""
        for name in snapshot.names:
            shutil.copytree(snapshot.folder / name, self.root / name, symlinks=True)
        self.time.days = snapshot.days
        self.time.written.update({name: days for name, (_, days) in snapshot.content.items()})
        self.contents = dict(snapshot.contents)
        with ThreadPoolExecutor(_THREADS) as threads:
            data = {name: data for name, (data, _) in snapshot.content.items()}
            list(threads.map(self.inner.replace, data.keys(), data.values()))
        for name in snapshot.names:
            self.open(name)

    def _all(self) -> dict[str, bytes]:
        """Return everything at the remote, by name."""
        names = [item.name for item in self.inner.walk("") if not item.name.startswith(_PASSING)]
        with ThreadPoolExecutor(_THREADS) as threads:
            return dict(zip(names, threads.map(self.inner.read, names), strict=True))

    def marks(self) -> set[str]:
        """Return the marked packs."""
        return set(self.inner.names("gc/marks"))

    def check(self) -> set[str]:
        """Check that every version that is live at the remote reads back byte for byte; return their
        ids. It is looked at through nothing of gc."""
        self.copy = open_backend(f"memory://copy-{next(_COUNTER)}")
        for name, data in self._all().items():
            self.copy.replace(name, data)
        objects = ObjectStore(self.copy, Chunking())
        manifests, states = read_all(self.copy)
        live = {id for id in manifests if states.get(id, "restored") == "restored"}
        for id in live:
            payload = manifests[id].payload
            assert payload
            assert payload.tree
            assert get_files(objects, payload.tree) == self.contents[id], id
        return live

    def check_whole(self, *names: str, where: str, remote: str = "origin") -> None:
        """Check with fsck that these repositories, and the remote, are whole, to the last byte."""
        for name in names:
            report = self.repos[name].fsck(data=True)
            assert [str(each) for each in report.problems] == [], f"{where}: {name}"
        report = self.repos["keeper"].fsck(remote=remote, data=True)
        found = [each.message for each in report.problems]
        assert found == [], f"{where}: remote: {found}"


_PASSING = ("tmp/", "locks/")


def make_snapshot(root: Path) -> Snapshot:
    """Make a remote at which gc has all kinds of things to do at once, and three clients: `a` knows
    all, `b` has versions that rely on what goes, `c` is to restore a version whose bytes go."""
    world = World(root, open_backend(f"memory://gc-crash-{next(_COUNTER)}"))
    with contextlib.closing(world):
        a, b, c = (world.add(name) for name in "abc")
        world.add("keeper")
        base = {f"f{n:02}": random_bytes(3000, n) for n in range(20)}
        world.make("a", "k", base | {"own": random_bytes(9000, 101)})
        a.push()
        for number in range(2, 4):
            world.make("a", "k", base | {"own": random_bytes(9000, 100 + number)})
            a.push()
        for number in range(8):
            world.make("a", "small", {"x": random_bytes(100, 200 + number)})
            a.push()
        for number, key in enumerate(("gone", "other", "later")):
            world.make("a", key, {"x": random_bytes(7000, 300 + number)})
            a.push()
        b.pull(all=True)
        c.pull(all=True)
        a.delete("gone@v1", "other@v1")
        a.push()
        c.fetch()
        world.collect(2.0)  # sweeps both, marks their packs and the small ones
        for number in range(8):
            world.make("a", "more", {"x": random_bytes(100, 500 + number)})
        world.make("a", "last", {"x": random_bytes(7000, 303)})
        a.push()
        b.pull(all=True)
        for number in range(2):
            world.make_shown("a", "shown", 600 + number)
        a.push()
        a.delete("k@v1", "later@v1", "small@v3", "more@v1", "last@v1", "shown@v1")
        a.push()
        a.fetch()
        world.time.days += 2.0
        _mark_by_mistake(world)
        world.make("b", "k", base | {"own": random_bytes(9000, 101), "new": random_bytes(500, 400)})
        world.make("b", "again", {"x": random_bytes(7000, 300)})
        world.make("b", "mixed", {"x": random_bytes(7000, 301), "y": random_bytes(7000, 302)})
        world.make("b", "fresh", {"x": random_bytes(7000, 303)})
        world.make_shown("b", "seen", 602)
        b.note("k@v2", title="by b")
        return world.snapshot()


def _mark_by_mistake(world: World) -> None:
    """Leave marks of a pack that is needed and of one that is gone for long."""
    manifest = world.repos["a"].version("k@v3").payload
    assert manifest
    stored = ObjectStore(world.inner, Chunking()).stored(str(manifest.tree))
    assert stored
    needed = sorted(stored.packs() - world.marks())[0]
    world.inner.replace(f"gc/marks/{needed}", needed.encode())
    world.inner.replace(f"gc/marks/{'0' * 64}", b"deleted\n")
    for pack in (needed, "0" * 64):
        world.time.written[f"gc/marks/{pack}"] = world.time.days - 1.5


# -- works that are cut off ----------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """Something to do. `dying` is the repository that dies in it; `step` is the number of its write,
    from which follows when another repository comes in between."""

    dying: str
    run: Callable[[World, int], None]


def _restore(world: World, step: int) -> None:
    if world.repos["c"].states("gone@v1") == {"deleted"}:
        world.repos["c"].restore("gone@v1")
    world.push("c")


def _prune(world: World, step: int) -> None:
    a = world.repos["a"]
    a.execute_prune(a.plan_prune("k", "small", policy=Policy(keep_last=1)))
    world.push("a")


def _push_in_between(world: World, step: int) -> None:
    """Gc marks and deletes; before one of its writes, `b` pushes."""
    world.at_write("keeper", 1 + step * 7 % _GC_WRITES, lambda: surviving(lambda: world.push("b")))
    world.collect(0.0)


def _gc_in_between(world: World, step: int) -> None:
    """`b` pushes; before one of its writes, gc runs on several days."""
    days = (0.0, 2.0, 2.0)[: 1 + step % 3]
    at = 1 + step * 5 % _PUSH_WRITES
    world.at_write("b", at, lambda: surviving(lambda: world.collect(*days)))
    world.push("b")


def surviving(act: Callable[[], None]) -> None:
    """Do what may kill the one who does it, and nobody else."""
    with contextlib.suppress(Death):
        act()


_GC_WRITES = 90
_PUSH_WRITES = 11
WORKS = {
    "gc": Work("keeper", lambda world, step: world.collect(0.0)),
    "push": Work("b", lambda world, step: world.push("b")),
    "restore": Work("c", _restore),
    "prune": Work("a", _prune),
    "gc, with a push in between": Work("keeper", _push_in_between),
    "push in between of gc": Work("b", _push_in_between),
    "push, with gc in between": Work("b", _gc_in_between),
    "gc in between of a push": Work("keeper", _gc_in_between),
}


def run_undisturbed(work: Work, snapshot: Snapshot, root: Path) -> set[str]:
    """Return what is live at the remote after the work, and all that follows, without a fault."""
    root.mkdir()
    with contextlib.closing(World(root, open_backend(f"memory://calm-{next(_COUNTER)}"))) as world:
        world.load(snapshot)
        finish(world, work, 1)
        return world.check()


def finish(world: World, work: Work, step: int) -> None:
    """Do the work again, to its end, and all that follows from it."""
    work.run(world, step)
    for client in world.clients.values():
        client.turn = no_turn
    world.push("b")
    world.collect(2.0, 2.0, 2.0, 2.0)


def cut_off_everywhere(
    name: str,
    snapshot: Snapshot,
    root: Path,
    connect: Callable[[Path], Backend],
    stride: int,
    *,
    is_own: bool = False,
) -> None:
    """Let a work die at every step, before and after it, at remotes that `connect` gives; where not
    everything is tried, at every n-th of them. With `is_own`, steps in the repository's own folder."""
    work = WORKS[name]
    after = run_undisturbed(work, snapshot, root / "calm")
    start = 1 if IS_FULL else 1 + list(WORKS).index(name)
    for at in range(start, 1000, 1 if IS_FULL else stride):
        for is_late in (False, True) if IS_FULL else (bool(at % 2),):
            fault = Fault(at, "death", is_late)
            cut_off(work, snapshot, root, connect, fault, after, is_own=is_own)
        if not fault.has_fired:
            return
    raise AssertionError("it never passed")


def cut_off_once(
    name: str, snapshot: Snapshot, root: Path, connect: Callable[[Path], Backend]
) -> None:
    """Let a work die in its midst."""
    work = WORKS[name]
    after = run_undisturbed(work, snapshot, root / "calm")
    fault = Fault(_GC_WRITES // 2 if work.dying == "keeper" else 2, "death")
    cut_off(work, snapshot, root, connect, fault, after)
    assert fault.has_fired


def cut_off(
    work: Work,
    snapshot: Snapshot,
    root: Path,
    connect: Callable[[Path], Backend],
    fault: Fault,
    after: set[str],
    *,
    is_own: bool = False,
) -> None:
    """Let the work die at a step, and check that nothing is lost and that the next run completes it."""
    place = root / f"at-{fault.at}-{fault.is_late}"
    place.mkdir()
    with contextlib.closing(World(place, connect(place))) as world:
        world.load(snapshot)
        before = world.check()
        world.open(work.dying, fault, is_own=is_own)
        surviving(lambda: work.run(world, fault.at))
        where = f"{fault.at}: {fault.steps[-1] if fault.steps else 'nothing'}"
        for name in snapshot.names:
            world.open(name)
        live = world.check()
        stay = (before & after) | world.acknowledged
        assert stay <= live <= before | after, f"{where}: {stay - live} {live - before - after}"
        world.check_whole(work.dying, where=where, remote=_COPY)  # which asks no server
        finish(world, work, fault.at)
        assert world.check() == after, where
        world.check_whole(*snapshot.names, where=where)
        assert world.repos["keeper"].plan_gc(remote="origin", grace="0s").is_empty, where
    shutil.rmtree(place)
