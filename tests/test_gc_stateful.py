"""Clients that push, delete, restore, purge and collect at any time, at a remote whose clock jumps by days.

`ART_TEST_EXAMPLES` is how often each machine runs.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from art.errors import ArtError, CorruptError, StorageError, UnavailableError
from art.repo import Repo
from tests.support import lay_out
from tests.support_gc import Place, contents_of

_EXAMPLES = int(os.environ.get("ART_TEST_EXAMPLES", "10"))
_COMMON = {f"f{n}": random.Random(n).randbytes(3000) for n in range(12)}
_BLOBS = {"small": b"1" * 40, "other": random.Random(50).randbytes(5000)}
_BLOBS |= {"large": random.Random(51).randbytes(90_000), "alike": b"z" * 70_000}

clients = st.sampled_from(["a", "b"])
keys = st.sampled_from(["k", "k/sub"])
blobs = st.dictionaries(st.sampled_from("xyz"), st.sampled_from(sorted(_BLOBS)), max_size=2)
picks = st.integers(0, 10**6)
days = st.sampled_from([0.0, 0.6, 1.1, 3.0])
moments = st.one_of(st.none(), st.integers(1, 14), st.integers(1, 40))
spans = st.lists(st.sampled_from([0.7, 1.1, 2.0]), min_size=1, max_size=4)


class Machine(RuleBasedStateMachine):
    """`a` and `b` are people, `keeper` is a third one, who collects the remote."""

    has_path = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(Path(self.folder.name), has_path=self.has_path)
        self.contents: dict[str, dict[str, bytes]] = {}
        self.folders = 0

    @initialize()
    def begin(self) -> None:
        for name in ("a", "b", "keeper"):
            self.place.add(name)

    def teardown(self) -> None:
        try:
            if self.place.repos:
                self.in_the_end_it_is_clean()
        finally:
            self.place.close()
            self.folder.cleanup()

    def in_the_end_it_is_clean(self) -> None:
        """All is pushed, and what is not needed is gone after a few runs."""
        for name in ("a", "b", "a", "b"):
            self.place.repos[name].fetch()
            self.place.repos[name].push()
        keeper = self.place.repos["keeper"]
        for _ in range(5):
            self.place.pass_days(3)
            self.collect()
        self.all_that_is_published_can_be_read()
        assert keeper.plan_gc(remote="origin", grace="0s").is_empty
        needed = sum(len(b"".join(self.contents[id].values())) for id in self.place.live())
        stored = sum(item.size for item in self.place.inner.walk("packs"))
        assert stored <= 2 * needed + 200_000

    def repo(self, client: str) -> Repo:
        return self.place.repos[client]

    @rule(client=clients, key=keys, chosen=blobs, has_common=st.booleans())
    def create(self, client: str, key: str, chosen: dict[str, str], has_common: bool) -> None:
        self.folders += 1
        content = {name: _BLOBS[blob] for name, blob in chosen.items()}
        content |= _COMMON if has_common else {}
        folder = lay_out(self.place.root / f"data-{self.folders}", content)
        made = self.repo(client).create(key, folder)
        self.contents[made.version.id] = content

    def change(self, client: str, key: str, pick: int, what: str) -> None:
        """Do something with a version; it may well not be possible."""
        try:
            numbers = [record.number for record in self.repo(client).history(key)]
            ref = f"{key}@v{numbers[pick % len(numbers)]}"
            getattr(self.repo(client), what)(ref)
        except (CorruptError, StorageError, UnavailableError):
            raise
        except ArtError:
            pass

    @rule(client=clients, key=keys, pick=picks)
    def delete(self, client: str, key: str, pick: int) -> None:
        self.change(client, key, pick, "delete")

    @rule(client=clients, key=keys, pick=picks)
    def restore(self, client: str, key: str, pick: int) -> None:
        self.change(client, key, pick, "restore")

    @rule(client=clients, key=keys, pick=picks)
    def purge(self, client: str, key: str, pick: int) -> None:
        self.change(client, key, pick, "purge")

    @rule(client=clients, at=moments, spans=spans)
    def push(self, client: str, at: int | None, spans: list[float]) -> None:
        """In the middle of it, the keeper may collect, on several days."""
        if at is not None and not self.has_path:
            self.place.watched.arm(at, lambda: self.collect_on(spans))
        try:
            self.repo(client).push()
        finally:
            if not self.has_path:
                self.place.watched.act = None

    @rule(client=clients)
    def fetch(self, client: str) -> None:
        self.repo(client).fetch()

    @rule(client=clients, all=st.booleans())
    def pull(self, client: str, all: bool) -> None:
        self.repo(client).pull(all=all)

    @rule(client=clients, grace=st.sampled_from(["0s", "7d"]))
    def collect_here(self, client: str, grace: str) -> None:
        self.repo(client).gc(grace=grace)

    @rule(passed=days)
    def collect(self, passed: float = 0.0) -> None:
        self.place.pass_days(passed)
        self.place.repos["keeper"].gc(remote="origin", grace="0s")

    def collect_on(self, spans: list[float]) -> None:
        for passed in spans:
            self.collect(passed)

    @rule(passed=days)
    def wait(self, passed: float) -> None:
        self.place.pass_days(passed)

    @invariant()
    def all_that_is_published_can_be_read(self) -> None:
        self.place.check(self.contents)

    @invariant()
    def what_is_here_is_whole(self) -> None:
        for name in ("a", "b"):
            if name in self.place.repos:
                check_here(self.place.repos[name], self.contents)


def check_here(repo: Repo, contents: dict[str, dict[str, bytes]]) -> None:
    """Check what has a layout here; what has none must come from the remote."""
    for id, files in contents_of(repo, is_partial=True).items():
        assert files == contents[id]


class FolderMachine(Machine):
    """The same with a remote that is a folder."""

    has_path = True


_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestMachine(Machine.TestCase):  # type: ignore[name-defined,misc]
    settings = _SETTINGS


class TestFolderMachine(FolderMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = _SETTINGS
