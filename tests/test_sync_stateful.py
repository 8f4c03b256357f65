"""Two repositories and a remote that fails in every way: nothing is lost, and both end up the same.

`ART_TEST_EXAMPLES` is how often each machine runs.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from art.errors import ArtError, CorruptError, StorageError, UnavailableError
from art.repo import Repo
from tests.support import lay_out
from tests.support_faults import Death
from tests.support_sync import KINDS, Plan, World, files_of, records_of

_EXAMPLES = int(os.environ.get("ART_TEST_EXAMPLES", "12"))
_BLOBS = {"one": b"1", "alike": b"z" * 70_000, "two": b"22" * 4000}
_BLOBS |= {"large": random.Random(3).randbytes(150_000), "other": random.Random(4).randbytes(9000)}
_NAMES = ("x", "y", "in/z")

clients = st.sampled_from(["a", "b"])
keys = st.sampled_from(["k", "k/sub", "K"])
tags = st.sampled_from(["prod", "dev"])
picks = st.integers(0, 10**6)
blobs = st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(sorted(_BLOBS)), max_size=2)
faults = st.one_of(
    st.just(("nothing", 0)),
    st.tuples(st.sampled_from(KINDS), st.integers(1, 12)),
    st.tuples(st.sampled_from(KINDS), st.integers(1, 60)),
)
# What each fault may lead to. A listing that is old, or an answer that comes twice, to nothing at all.
_EXPECTED: dict[str, tuple[type[BaseException], ...]] = {
    "before": (UnavailableError,),
    "after": (UnavailableError,),
    "truncated": (CorruptError,),
    "death before": (Death,),
    "death after": (Death,),
}


class Machine(RuleBasedStateMachine):
    """Clients do what people do. What they were told is done is remembered by the version's id."""

    has_path = False

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.world = World(Path(self.place.name), has_path=self.has_path)
        self.contents: dict[str, dict[str, bytes]] = {}
        self.known: dict[str, set[str]] = {"a": set(), "b": set()}
        self.folders = 0

    def teardown(self) -> None:
        try:
            self.in_the_end_all_are_the_same()
        finally:
            self.world.close()
            self.place.cleanup()

    @initialize()
    def begin(self) -> None:
        self.world.add("a")
        self.world.add("b")

    def in_the_end_all_are_the_same(self) -> None:
        if not self.world.repos:
            return
        self.world.settle()
        self.world.check_remote()
        self.world.check_equal()
        *_, fresh = self.world.repos.values()
        found = {record.id: record for record in records_of(fresh)}
        assert found.keys() >= self.known["a"] | self.known["b"]
        for id, content in self.contents.items():
            if found[id].is_live:
                assert files_of(fresh, found[id]) == content

    # -- what people do --------------------------------------------------------------------------

    def repo(self, client: str) -> Repo:
        return self.world.repos[client]

    def note(self, client: str, content: dict[str, bytes] | None, id: str) -> None:
        self.known[client].add(id)
        if content is not None:
            assert self.contents.setdefault(id, content) == content

    def files(self, chosen: dict[str, str]) -> tuple[Path, dict[str, bytes]]:
        self.folders += 1
        content = {name: _BLOBS[blob] for name, blob in chosen.items()}
        return lay_out(self.world.root / f"data-{self.folders}", content), content

    @rule(client=clients, key=keys, chosen=blobs, tag=st.none() | tags)
    def create(self, client: str, key: str, chosen: dict[str, str], tag: str | None) -> None:
        folder, content = self.files(chosen)
        more = {"tags": [tag]} if tag else {}
        made = self.repo(client).create(key, folder, **more)  # type: ignore[arg-type]
        self.note(client, content, made.version.id)

    @rule(client=clients, chosen=blobs)
    def create_keyless(self, client: str, chosen: dict[str, str]) -> None:
        folder, content = self.files(chosen)
        self.note(client, content, self.repo(client).create(None, folder).version.id)

    @rule(client=clients, key=keys, number=st.integers(1, 3))
    def create_text(self, client: str, key: str, number: int) -> None:
        made = self.repo(client).markdown(key, f"# {number}")
        self.note(client, None, made.version.id)

    @rule(client=clients, value=st.integers(0, 100))
    def progress(self, client: str, value: int) -> None:
        """Only who made it changes it."""
        made = self.repo(client).progress(f"bar-{client}", value)
        self.known[client].add(made.id if hasattr(made, "id") else made.version.id)

    def change(self, client: str, key: str, pick: int, work: Callable[[Repo, str], object]) -> None:
        """Do something with a version; it may well not be possible, as `work` says."""
        numbers = [r.number for r in records_of(self.repo(client)) if r.key == key]
        if numbers:
            try:
                work(self.repo(client), f"{key}@v{numbers[pick % len(numbers)]}")
            except (CorruptError, StorageError, UnavailableError):
                raise
            except ArtError:
                pass

    @rule(client=clients, key=keys, pick=picks, tag=tags)
    def tag(self, client: str, key: str, pick: int, tag: str) -> None:
        self.change(client, key, pick, lambda repo, ref: repo.tag(ref, tag))

    @rule(client=clients, key=keys, tag=tags)
    def untag(self, client: str, key: str, tag: str) -> None:
        self.change(client, key, 0, lambda repo, _: repo.untag(key, tag))

    @rule(client=clients, key=keys, pick=picks, force=st.booleans())
    def delete(self, client: str, key: str, pick: int, force: bool) -> None:
        self.change(client, key, pick, lambda repo, ref: repo.delete(ref, force=force))

    @rule(client=clients, pick=picks, title=st.sampled_from(["", "one"]))
    def change_keyless(self, client: str, pick: int, title: str) -> None:
        ids = sorted(r.id for r in records_of(self.repo(client)) if r.key is None and r.is_live)
        if ids and title:
            self.repo(client).note(ids[pick % len(ids)], title=title)
        elif ids:
            self.repo(client).delete(ids[pick % len(ids)])

    @rule(client=clients, key=keys, pick=picks)
    def restore(self, client: str, key: str, pick: int) -> None:
        self.change(client, key, pick, lambda repo, ref: repo.restore(ref))

    @rule(client=clients, key=keys, pick=picks, title=st.sampled_from(["", "one", "two"]))
    def describe(self, client: str, key: str, pick: int, title: str) -> None:
        self.change(client, key, pick, lambda repo, ref: repo.note(ref, title=title))

    @rule(client=clients, key=keys, new_key=keys)
    def move(self, client: str, key: str, new_key: str) -> None:
        self.change(client, key, 0, lambda repo, _: repo.move(key, new_key))

    @rule(client=clients, key=keys, new_key=keys, pick=picks)
    def copy(self, client: str, key: str, new_key: str, pick: int) -> None:
        self.change(client, key, pick, lambda repo, ref: repo.copy(ref, new_key))

    # -- what goes over the wire -----------------------------------------------------------------

    def exchange(self, client: str, fault: tuple[str, int], work: Callable[[], object]) -> None:
        plan = self.world.remote.plan = Plan(*fault)
        try:
            work()
        except _EXPECTED.get(plan.kind, ()):
            assert plan.has_fired
        except ArtError as error:
            assert error.exit_code in (4, 5), error  # a key that is nowhere
        finally:
            self.world.remote.plan = Plan()
        if plan.is_dead:
            self.world.reopen(client)

    @rule(client=clients, fault=faults)
    def push(self, client: str, fault: tuple[str, int]) -> None:
        self.exchange(client, fault, self.repo(client).push)

    @rule(client=clients, key=keys, fault=faults)
    def push_one(self, client: str, key: str, fault: tuple[str, int]) -> None:
        self.exchange(client, fault, lambda: self.repo(client).push(key))

    @rule(client=clients, fault=faults)
    def fetch(self, client: str, fault: tuple[str, int]) -> None:
        self.exchange(client, fault, self.repo(client).fetch)

    @rule(client=clients, key=keys, fault=faults)
    def fetch_one(self, client: str, key: str, fault: tuple[str, int]) -> None:
        self.exchange(client, fault, lambda: self.repo(client).fetch(key))

    @rule(client=clients, fault=faults, all=st.booleans())
    def pull(self, client: str, fault: tuple[str, int], all: bool) -> None:
        self.exchange(client, fault, lambda: self.repo(client).pull(all=all))

    @rule(client=clients)
    def reopen(self, client: str) -> None:
        self.world.reopen(client)

    @rule(client=clients)
    def forget(self, client: str) -> None:
        """What is known of the remote is no evidence: it may be lost."""
        for path in (self.world.root / client / ".art/sync").glob("*/published.json"):
            path.unlink()

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_remote_is_whole(self) -> None:
        self.world.check_remote()

    @invariant()
    def nothing_is_lost(self) -> None:
        for client, repo in self.world.repos.items():
            here = {record.id for record in records_of(repo)}
            assert here >= self.known[client]
            self.known[client] = here


class FolderMachine(Machine):
    """The same with a remote that is a folder."""

    has_path = True


_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestMachine(Machine.TestCase):  # type: ignore[name-defined,misc]
    settings = _SETTINGS


class TestFolderMachine(FolderMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = _SETTINGS
