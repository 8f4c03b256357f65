"""Two stores brought together: what push, fetch and pull have in common.

Catalogs are merged by `art.merge`, payloads are moved by `art.transfer`; `art.fetch`, `art.push` and
`art.pull` say what of both is to be done, and in which order.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from art.backend import LocalBackend
from art.catalog import Log
from art.checkpoint import LogReader
from art.errors import ArtError
from art.evidence import coming_name, read_coming
from art.index import Index
from art.keys import check_key, glob_pattern, is_glob
from art.merge import Ledger, Merger, Superseded, superseded
from art.reporter import Reporter
from art.rows import Record
from art.store import Store

_LOCK = "sync"
_JOBS = 8  # threads that move payloads
REQUESTS_AT_ONCE = 32  # threads that ask for small things


@dataclass(frozen=True)
class Sent:
    """A version that is or was transferred. `key` and `number` are None for a keyless one."""

    key: str | None
    number: int | None
    id: str

    @classmethod
    def of(cls, record: Record) -> Sent:
        """Return a version that the index knows."""
        return cls(record.key, record.number, record.id)

    @property
    def ref(self) -> str:
        """A reference that names it for ever."""
        return self.id if self.key is None else f"{self.key}@v{self.number}"


@dataclass(frozen=True)
class Renumbered:
    """A version that had a number here which another one has at the authority."""

    key: str
    old: int
    new: int
    id: str


@dataclass(frozen=True)
class Left:
    """Something that was not transferred, and why."""

    ref: str
    reason: str
    hint: str | None = None
    is_conflict: bool = False

    @classmethod
    def because(cls, ref: str, error: ArtError) -> Left:
        """Return what was not transferred because of an error."""
        return cls(ref, error.message, error.hint)


@dataclass(frozen=True)
class PushPlan:
    """What a push would do. `requests` is an estimate."""

    remote: str
    versions: list[Sent]
    entries: int
    packs: int
    size_bytes: int
    requests: int
    left: list[Left] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether the remote has everything already."""
        return not (self.versions or self.entries)


@dataclass(frozen=True)
class Pushed:
    """What a push came to. `entries` counts tag moves, states, notes, settings and values of progress."""

    remote: str
    versions: list[Sent]
    entries: int
    packs: int
    size_bytes: int
    renumbered: list[Renumbered]
    superseded: list[Superseded]
    left: list[Left]


@dataclass(frozen=True)
class Fetched:
    """What a fetch, or a plan for one, came to."""

    remote: str
    versions: list[Sent]
    entries: int
    renumbered: list[Renumbered]
    superseded: list[Superseded]


@dataclass(frozen=True)
class PullPlan:
    """Which payloads a pull would bring after its fetch. `requests` is an estimate."""

    remote: str
    versions: list[Sent]
    packs: int
    size_bytes: int
    requests: int
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True)
class Pulled:
    """What a pull came to: its fetch, and the payloads that are here now and were not before."""

    fetched: Fetched
    versions: list[Sent]
    packs: int
    size_bytes: int
    left: list[Left]


@dataclass(frozen=True)
class RemoteStatus:
    """What is here and not at a remote, and the other way round, as far as is known.

    `remote_only` is None where the remote was not asked.
    """

    remote: str
    url: str
    local_only: list[Sent]
    entries: int
    remote_only: int | None
    renumbered: list[Renumbered]
    missing_payload: int


class Selection:
    """Which keys a transfer is about: globs, as listings take them, or everything."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(pattern.rstrip("/") for pattern in patterns)
        self._globs = [re.compile(glob_pattern(pattern)) for pattern in self.patterns]

    def has(self, key: str | None) -> bool:
        """Whether a key is meant; None stands for the keyless versions, which only everything means."""
        if not self._globs:
            return True
        return key is not None and any(glob.fullmatch(key) for glob in self._globs)

    def unmatched(self, keys: Iterable[str | None]) -> list[str]:
        """Return the patterns that none of these keys matches."""
        left = dict(zip(self.patterns, self._globs, strict=True))
        for key in keys:
            if not left:
                break
            for pattern in [p for p, glob in left.items() if key and glob.fullmatch(key)]:
                del left[pattern]
        return list(left)

    @property
    def exact(self) -> list[str] | None:
        """The keys, where each is named as it is, else None."""
        is_exact = self.patterns and not any(map(is_glob, self.patterns))
        return [check_key(pattern) for pattern in self.patterns] if is_exact else None


class Pairing:
    """One repository here and one remote, with what is known of both."""

    def __init__(
        self,
        local: Store,
        index: Index,
        remote: Store,
        name: str,
        reporter: Reporter,
        jobs: int | None = None,
    ) -> None:
        """`local` is a repository on this machine's disk, `name` what people call the remote, `jobs` how
        many threads may work at a time, where somebody said that."""
        self.jobs = jobs or _JOBS
        threads = jobs or REQUESTS_AT_ONCE
        backend = local.backend
        assert isinstance(backend, LocalBackend), "only what lies on a disk is synced"
        self.backend = backend
        self.local = local
        self.index = index
        self.remote = remote
        self.name = name
        self.reporter = reporter
        self.ledger = Ledger(backend, remote.id)
        self.merger = Merger(backend, index, self.ledger, self._other_ledgers())
        self.reader = LogReader(remote.backend, threads)
        self._coming: bytes | None = None

    @property
    def scratch(self) -> LocalBackend:
        """Where layouts of the remote are kept, and packs on their way to it."""
        self.backend.make_directory(self.ledger.directory)
        root = self.backend.root / self.ledger.directory
        return LocalBackend(root, is_durable=self.backend.is_durable)

    @property
    def has_others(self) -> bool:
        """Whether there are other remotes that something is known of."""
        return bool(self._other_ledgers())

    def note_coming(self, ends: dict[str, int]) -> None:
        """Note, before versions are put here, that their payloads are at the remote: up to which number
        of each log. Until the ledger says so, nothing else tells that none of them is lost."""
        if not ends or not self.backend.is_durable:  # nobody collects what soon goes as a whole
            return
        with self.backend.alone(_LOCK):
            known = read_coming(self.backend, self.remote.id)
            for name, end in ends.items():
                known[name] = max(end, known.get(name, 0))
            self._coming = json.dumps(known).encode()
            self.backend.replace(coming_name(self.remote.id), self._coming)

    def forget_coming(self) -> None:
        """Note that all of it is in the ledger, also what a fetch that was killed had noted."""
        if not self.backend.is_durable:
            return
        name = coming_name(self.remote.id)
        with self.backend.alone(_LOCK), contextlib.suppress(FileNotFoundError):
            if self._coming in (None, self.backend.read(name)):  # else another fetch goes on
                self.backend.delete(name)

    def close(self) -> None:
        """End what works in the background."""
        self.reader.close()

    def _other_ledgers(self) -> list[Ledger]:
        names = self.backend.names("sync")
        uids = [name[:-1] for name in names if name.endswith("/")]
        return [Ledger(self.backend, uid) for uid in uids if uid != self.remote.id]

    def superseded(self, log: Log, uids: set[str]) -> list[Superseded]:
        """Return which of these entries of ours have no effect in the log as it is now."""
        return superseded(self.local.catalog, log, uids)
