"""A remote in memory that fails as it is told to and watches what is done to it, and its clients."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import art
import art.opening
from art import packer
from art.backend import Backend, Item, LocalBackend
from art.catalog import Log, parse_anonymous
from art.errors import UnavailableError
from art.index import Index
from art.model import Chunking, Entry, Manifest
from art.objects import ObjectStore
from art.pack import pack_name
from art.remote import open_backend
from art.repo import Repo
from art.reporter import Silent
from art.rows import Record
from tests.support import fresh_view, view
from tests.support_faults import Death

KINDS = ("before", "after", "again", "truncated", "stale", "death before", "death after")
_DOCUMENTS = ("manifests/", "refs/", "anonymous/", "progress/")
_COUNTER = itertools.count()


@dataclass
class Plan:
    """What goes wrong, and at which call from now on. `stale` listings miss the newest names until the
    plan is replaced, the rest happens once; after a death no call has any effect."""

    kind: str = "nothing"
    at: int = 0
    count: int = 0
    has_fired: bool = False

    @property
    def is_dead(self) -> bool:
        return self.has_fired and self.kind.startswith("death")


@dataclass
class FaultyRemote:
    """A backend of another place that fails as its plan says. It counts what it is asked, and refuses
    what nobody may do: to give a published name other content, or to delete it."""

    inner: Backend
    has_path: bool = False
    plan: Plan = field(default_factory=Plan)
    calls: list[tuple[str, str]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def where(self) -> str:
        return self.inner.where

    def path(self, name: str) -> Path | None:
        return self.inner.path(name) if self.has_path else None

    def _begin(self, what: str, name: str) -> str:
        """Count a call; return what is to go wrong with it."""
        with self._lock:
            if self.plan.is_dead:
                raise Death
            self.calls.append((what, name))
            self.plan.count += 1
            if self.plan.count != self.plan.at:
                return "stale" if self.plan.kind == "stale" else ""
            self.plan.has_fired = True
            kind = self.plan.kind
        if kind == "death before":
            raise Death
        if kind == "before":
            raise UnavailableError(f"{name}: no answer")
        return kind

    def _end(self, kind: str, name: str) -> None:
        if kind == "death after":
            raise Death
        if kind == "after":
            raise UnavailableError(f"{name}: the answer was lost")

    def _note(self, name: str, content: bytes) -> None:
        with self._lock:
            if name not in self.order:
                self.order.append(name)
            if name.startswith(_DOCUMENTS):
                self.documents[name] = content

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        kind = self._begin("read", name)
        try:
            data = self.inner.read(name, start, length)
        finally:
            self._end(kind, name)
        return data[: len(data) // 2] if kind == "truncated" else data

    def size(self, name: str) -> int | None:
        kind = self._begin("size", name)
        size = self.inner.size(name)
        self._end(kind, name)
        return size

    def create(self, name: str, content: bytes) -> bool:
        kind = self._begin("create", name)
        is_new = self.inner.create(name, content)
        if is_new:
            self._note(name, content)
        self._end(kind, name)
        return is_new and kind != "again"

    def replace(self, name: str, content: bytes) -> None:
        is_final = name in self.documents and not name.startswith("progress/")
        assert not is_final, f"{name} is published"
        kind = self._begin("replace", name)
        self.inner.replace(name, content)
        self._note(name, content)
        self._end(kind, name)

    def upload(self, name: str, source: Path) -> None:
        kind = self._begin("upload", name)
        self.inner.upload(name, source)
        self._note(name, b"")
        with self._lock:
            self.sent.append(name)
        self._end(kind, name)

    def delete(self, name: str) -> None:
        assert not name.startswith((*_DOCUMENTS, "packs/", "layouts/")), f"{name} is deleted"
        kind = self._begin("delete", name)
        self.inner.delete(name)
        self._end(kind, name)

    def names(self, directory: str) -> list[str]:
        kind = self._begin("names", directory)
        found = self.inner.names(directory)
        self._end(kind, directory)
        if kind == "stale":
            hidden = {name.rpartition("/")[2] for name in self.order[-3:]}
            found = [name for name in found if name not in hidden]
        return found

    def walk(self, prefix: str) -> Iterator[Item]:
        kind = self._begin("walk", prefix)
        found = list(self.inner.walk(prefix))
        self._end(kind, prefix)
        hidden = set(self.order[-3:]) if kind == "stale" else ()
        return iter([item for item in found if item.name not in hidden])

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class World:
    """A remote and the repositories that share it, in one folder."""

    def __init__(self, root: Path, *, has_path: bool = False, is_on_disk: bool = False) -> None:
        """The remote is in memory, or in the folder `remote`, from where it is taken up again."""
        self.root = root
        self.url = str(root / "remote") if has_path else f"memory://sync-{next(_COUNTER)}"
        is_on_disk |= has_path
        (root / "remote").mkdir(exist_ok=True)
        inner = LocalBackend(root / "remote") if is_on_disk else open_backend(self.url)
        self.remote = FaultyRemote(inner, has_path)
        for item in inner.walk(""):
            self.remote._note(item.name, inner.read(item.name))
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(art.opening, "open_backend", lambda *_, **__: self.remote)
        self._patch.setattr(packer, "PACK_SIZE", 64 << 10)
        self.repos: dict[str, Repo] = {}
        self._checked: set[str] = set()
        self._ids: set[str] = set()

    def open(self, name: str) -> Repo:
        """Open a repository that is there already."""
        self.repos[name] = Repo(self.root / name, Telling())
        return self.repos[name]

    def add(self, name: str) -> Repo:
        """Make another repository that has the remote."""
        repo = art.init(self.root / name)
        repo.reporter = Telling()
        repo.remotes.add("origin", self.url)
        self.repos[name] = repo
        return repo

    def clone(self, name: str) -> Repo:
        """Make another repository out of the remote."""
        self.repos[name] = art.clone(self.url, self.root / name)
        return self.repos[name]

    def reopen(self, name: str) -> Repo:
        """Open a repository again, as another process would."""
        self.repos[name].close()
        self.repos[name] = Repo(self.root / name)
        return self.repos[name]

    def close(self) -> None:
        self._patch.undo()
        for repo in self.repos.values():
            repo.close()

    def warnings(self, name: str) -> list[str]:
        """Return what a repository warned of since this was asked last."""
        reporter = self.repos[name].reporter
        assert isinstance(reporter, Telling)
        told, reporter.warnings = reporter.warnings, []
        return told

    def requests(self) -> list[tuple[str, str]]:
        """Return what the remote was asked since this was asked last, without what tries it."""
        found = [call for call in self.remote.calls if not call[1].startswith("tmp/")]
        self.remote.calls.clear()
        return found

    def lose(self, *prefixes: str) -> None:
        """Make the remote lose what begins so."""
        for name in [name for name in self.remote.order if name.startswith(prefixes)]:
            self.remote.inner.delete(name)
            self.remote.documents.pop(name, None)
            self.remote.order.remove(name)

    # -- what must hold --------------------------------------------------------------------------

    def check_remote(self) -> None:
        """Check that what is published is whole: payloads are there, logs are dense, and entries are
        about published versions."""
        self._check_dense()
        for name in sorted(self.remote.documents.keys() - self._checked, key=_entries_last):
            data = self.remote.documents[name]
            if name.startswith("progress/"):
                continue
            self._checked.add(name)
            located = Log.of(name)
            document = (
                located[0].parse(located[1], data)
                if located
                else parse_anonymous(name[len("anonymous/") : -len(".yaml")], data)
            )
            if isinstance(document, Manifest):
                self._ids.add(document.id)
                self._check_payload(name, document)
            else:
                missing = set(named_ids(document)) - self._ids
                assert not missing, f"{name} is about {missing}, which is not published"

    def _check_dense(self) -> None:
        numbers: dict[Log, list[int]] = {}
        for name in self.remote.documents:
            if located := Log.of(name):
                numbers.setdefault(located[0], []).append(located[1])
        for log, found in numbers.items():
            assert sorted(found) == list(range(1, len(found) + 1)), f"{log} has a gap"

    def _check_payload(self, name: str, manifest: Manifest) -> None:
        if not manifest.payload or not manifest.payload.tree:
            return
        found = ObjectStore(self.remote.inner, Chunking()).stored(manifest.payload.tree)
        assert found, f"{name} has no payload"
        for pack in found.packs():
            assert self.remote.inner.size(pack_name(pack)), f"{name} lacks a pack"

    def settle(self) -> None:
        """Let all repositories fetch and push until nothing moves any more, without faults."""
        self.remote.plan = Plan()
        for _ in range(8):
            moved: list[object] = []
            for repo in self.repos.values():
                fetched, pushed = repo.fetch(), repo.push()
                assert pushed.left == []
                moved += [*fetched.versions, *pushed.versions]
                moved += [1] * (fetched.entries + pushed.entries)
            if not moved:
                return
        raise AssertionError(f"it never ends: {moved}")

    def check_equal(self) -> None:
        """Check that all repositories are what the remote is, and so is a fresh clone."""
        fresh = self.clone(f"fresh-{next(_COUNTER)}")
        expected = view(fresh)
        logs = {n: d for n, d in self.remote.documents.items() if not n.startswith("progress/")}
        stored = {n: self.remote.inner.read(n) for n in self.remote.documents}
        assert stored == self.remote.documents
        for repo in self.repos.values():
            assert documents_of(repo) == logs
            assert view(repo) == fresh_view(repo) == expected
            assert progress_of(repo) == progress_of(fresh)


def named_ids(entry: Entry) -> list[str]:
    """Return the ids of the versions that an entry is about, and of what they became."""
    versions = entry.document.get("versions") or []
    ids = [str(version["id"]) for version in versions]
    ids += [str(version["to"]["id"]) for version in versions if "to" in version]
    return ids + ([entry.version_id] if entry.version_id else [])


def _entries_last(name: str) -> tuple[bool, str]:
    return name.startswith("refs/"), name


def documents_of(repo: Repo) -> dict[str, bytes]:
    """Return all manifests and entries of a repository by name."""
    backend = repo._backend
    return {
        item.name: backend.read(item.name)
        for prefix in ("manifests", "refs", "anonymous")
        for item in backend.walk(prefix)
    }


def records_of(repo: Repo) -> list[Record]:
    """Return all versions of a repository, in any state."""

    def ask(index: Index) -> list[Record]:
        index.refresh_all()
        return [*index.everything(), *index.versions(None)]

    return repo._index.ask(ask)


def progress_of(repo: Repo) -> dict[str, float]:
    """Return the values of all live progress artifacts."""
    found = {
        record.ref: repo.progress_of(record)
        for record in records_of(repo)
        if record.type == "progress" and record.is_live
    }
    return {ref: value.value for ref, value in found.items() if value}


def files_of(repo: Repo, record: Record) -> dict[str, bytes]:
    """Return the files of a version, brought from the remote where they are not here."""
    version = repo.version(record.ref)
    return {node.path: version.read(node.path) for node in version.files if node.is_file}


class Telling(Silent):
    """Remembers what it was told to warn of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)
