"""Clients with wrong clocks that do everything at any time, and are suspended for weeks in the middle of
it, around two remotes that are collected meanwhile.

`ART_TEST_EXAMPLES` is how often each machine runs.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import art
from art.backend import Backend
from art.errors import ArtError, CorruptError, StorageError, UnavailableError
from art.merge import Superseded
from art.model import preview_of
from art.repo import Repo
from art.sync import Fetched, Pushed
from tests.support import lay_out
from tests.support_gc import read_all, zipped
from tests.support_world import (
    Files,
    World,
    bytes_of,
    check_final,
    check_live,
    documents_of,
    holds,
    payloads_of,
    without_effect,
)

_EXAMPLES = int(os.environ.get("ART_TEST_EXAMPLES", "6"))
_STEPS = int(os.environ.get("ART_TEST_STEPS", "25"))
_COMMON = {f"f{n}": random.Random(n).randbytes(3000) for n in range(12)}
_BLOBS = {"small": b"1" * 40, "other": random.Random(50).randbytes(5000)}
_BLOBS |= {"large": random.Random(51).randbytes(90_000), "alike": b"z" * 70_000}
_KEYS = ["k", "k/sub", "moved"]
_TAGS = ["prod", "next"]
_REMOTES = ["origin", "mirror"]
_NEEDLE = 700  # bytes that only one version has

clients = st.sampled_from(["a", "b"])
keys = st.sampled_from(_KEYS)
tags = st.sampled_from(_TAGS)
remotes = st.sampled_from(_REMOTES)
blobs = st.dictionaries(st.sampled_from("xyz"), st.sampled_from(sorted(_BLOBS)), max_size=2)
picks = st.integers(0, 10**6)
days = st.sampled_from([0.0, 0.6, 1.1, 3.0, 20.0])
moments = st.one_of(st.none(), st.integers(1, 14), st.integers(1, 40))
spans = st.lists(st.sampled_from([0.4, 0.7, 1.1, 2.0, 9.0]), min_size=1, max_size=4)
skews = st.sampled_from([-5.0, -1.2, -0.3, 0.0, 0.3, 1.2, 5.0])
meanwhile = st.lists(
    st.sampled_from(["create", "delete", "restore", "purge", "tag", "untag", "note", "move", "gc"]),
    max_size=3,
)


def previews_of(backend: Backend) -> list[str]:
    return [item.name for item in backend.walk("previews")]


def holds_preview(backend: Backend, digest: str | None) -> bool:
    return any(name.rpartition("/")[2] == digest for name in previews_of(backend))


class Machine(RuleBasedStateMachine):
    """`a` and `b` are people, `keeper` is a third one, who collects the remotes."""

    has_path = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name), has_path=self.has_path)
        self.contents: dict[str, Files] = {}  # by payload
        self.needles: dict[str, bytes] = {}  # by payload
        self.made: set[str] = set()  # ids of acknowledged versions
        self.told: Counter[tuple[str | None, str]] = Counter()  # moves of which somebody was told
        self.published: list[dict[str, bytes]] = [{}, {}]
        self.count = 0

    @initialize()
    def begin(self) -> None:
        for name in ("a", "b", "keeper"):
            self.world.add(name)
        self.create_some("a", "k", 2, has_common=True)
        self.push("a")
        self.fetch("b")
        self.create("b", "k/sub", {"x": "other"})
        self.create("a", "k/sub", {})

    def teardown(self) -> None:
        try:
            if self.world.repos:
                self.in_the_end_it_is_clean()
                self.in_the_end_all_that_is_deleted_is_gone()
        finally:
            self.world.close()
            self.folder.cleanup()

    # -- in the end ------------------------------------------------------------------------------

    def in_the_end_it_is_clean(self) -> None:
        """All is pushed, and what is not needed is gone after a few runs."""
        for name in ("a", "b", "a", "b"):
            self.fetch(name)
            self.push(name)
        for _ in range(5):
            self.world.pass_days(3)
            self.collect()
        self.check_everything()
        manifests, _ = read_all(self.world.inner)
        gone = {m.document["purged"]["id"] for m in manifests.values() if m.is_stub}
        assert self.made <= manifests.keys() | gone, "an acknowledged version is nowhere"
        with self.world.by("keeper") as repo:
            assert repo.plan_gc(remote="origin", grace="0s").is_empty
            assert repo.fsck(remote="origin", data=True).is_whole
        live = {m.payload.tree: m for m in self.world.live().values() if m.payload}
        needed = sum(len(b"".join(self.contents[tree].values())) for tree in live if tree)
        stored = sum(item.size for item in self.world.inner.walk("packs"))
        assert stored <= 2 * needed + 200_000
        self.what_is_purged_is_nowhere()
        for backend in self.world.stores():
            named = {m.document.get("preview") for m in read_all(backend)[0].values()}
            assert {name.rpartition("/")[2] for name in previews_of(backend)} <= named

    def what_is_purged_is_nowhere(self) -> None:
        """Every byte that only purged versions had is gone from wherever it is known that they are."""
        for backend in [*self.world.stores(), *map(self.collected, ("a", "b"))]:
            kept, purged = payloads_of(backend)
            needed = {self.needles[tree] for tree in kept}
            for tree in purged - kept:
                needle = self.needles[tree]
                assert needle in needed or not holds(backend, needle), (backend.where, tree)
            manifests = read_all(backend)[0].values()
            shown = {preview_of(m.document) for m in manifests if not m.is_stub}
            for stub in [m for m in manifests if m.is_stub]:
                preview = preview_of(stub.document)
                assert preview in shown or not holds_preview(backend, preview), backend.where

    def collected(self, client: str) -> Backend:
        self.fetch(client)
        self.collect_here(client, "0s")
        return self.world.repos[client]._backend

    def in_the_end_all_that_is_deleted_is_gone(self) -> None:
        """When nothing is live, not a byte is left after the grace."""
        self.fetch("a")
        with self.world.by("a") as repo:
            for ref in self.refs("a", ["live", "deleted", "moved"]):
                key = ref.partition("@")[0]
                for tag in repo.tag_names(key):
                    repo.untag(key, tag, force=True)
            for ref in self.refs("a"):
                repo.delete(ref, force=True)
        self.push("a")
        self.world.pass_days(11)  # and clocks may be five days ahead, and were
        for _ in range(5):
            self.world.pass_days(3)
            self.collect()
        assert not list(self.world.inner.walk("packs"))
        assert not list(self.world.inner.walk("layouts"))
        assert not previews_of(self.world.inner)
        for name in ("a", "b"):
            self.fetch(name)
            with self.world.by(name) as repo:
                repo.gc(grace="0s")
                assert not list(repo._backend.walk("packs"))
                assert not list(repo._backend.walk("layouts"))

    # -- versions --------------------------------------------------------------------------------

    @rule(client=clients, key=keys, chosen=blobs, has_common=st.booleans(), is_new=st.booleans())
    def create(
        self,
        client: str,
        key: str,
        chosen: dict[str, str],
        has_common: bool = False,
        is_new: bool = True,
    ) -> None:
        self.count += 1
        content = {name: _BLOBS[blob] for name, blob in chosen.items()}
        content |= _COMMON if has_common else {}
        own = random.Random(1000 + self.count * is_new).randbytes(_NEEDLE)
        content["own"] = own
        if len(content) == 1 and is_new:  # a file, which has a preview
            content = {"own.zip": zipped(f"own-{self.count}", own)}
        folder = lay_out(self.world.root / f"data-{self.count}", content)
        with self.world.by(client) as repo:
            made = repo.create(key, folder / "own.zip" if "own.zip" in content else folder).version
        assert ("preview" in made.document) == ("own.zip" in content)
        assert made.payload
        assert made.payload.tree
        self.contents[made.payload.tree] = content
        self.needles[made.payload.tree] = own
        self.made.add(made.id)

    @rule(client=clients, key=keys, count=st.integers(2, 4), has_common=st.booleans())
    def create_some(self, client: str, key: str, count: int, has_common: bool) -> None:
        """Without a transfer in between, so that numbers and chunks meet."""
        for _ in range(count):
            self.create(client, key, {"x": "large"}, has_common)

    def attempt(self, client: str, action: Callable[[Repo], object]) -> None:
        """Do something that may well not be possible."""
        with self.world.by(client) as repo:
            try:
                action(repo)
            except (CorruptError, StorageError, UnavailableError):
                raise
            except ArtError:
                pass

    def refs(self, client: str, states: Iterable[str] = ("live",)) -> list[str]:
        """Return what is known somewhere of versions in these states."""
        repo = self.world.repos[client]
        repo._index.ask(lambda index: index.refresh_all())
        records = repo._index.ask(lambda index: index.all())
        return [r.ref for r in records if r.key in _KEYS and r.state in states]

    def change(
        self,
        client: str,
        pick: int,
        what: str,
        states: Iterable[str] = ("live",),
        **options: object,
    ) -> None:
        """Do something with a version in one of these states, where there is one."""
        if refs := self.refs(client, states):
            ref = refs[pick % len(refs)]
            self.attempt(client, lambda repo: getattr(repo, what)(ref, **options))

    @rule(client=clients, pick=picks, force=st.booleans())
    def delete(self, client: str, pick: int, force: bool = True) -> None:
        self.change(client, pick, "delete", force=force)

    @rule(client=clients, pick=picks)
    def restore(self, client: str, pick: int) -> None:
        self.change(client, pick, "restore", ["deleted", "swept"])

    @rule(client=clients, pick=picks, remote=st.sampled_from([None, *_REMOTES]))
    def purge(self, client: str, pick: int, remote: str | None = None) -> None:
        states = ["live", "deleted", "swept"]
        self.change(client, pick, "purge", states, force=True, remote=remote)

    @rule(client=clients, key=keys, to=keys)
    def move(self, client: str, key: str, to: str) -> None:
        self.attempt(client, lambda repo: repo.move(key, to))

    @rule(
        client=clients,
        key=keys,
        policy=st.sampled_from([None, 0, 1, 2]),
        only=st.sampled_from([None, "artifact", "metadata"]),
    )
    def prune(self, client: str, key: str, policy: int | None, only: str | None) -> None:
        """By settings, or by a policy that is given."""
        given = None if policy is None else art.Policy(keep_last=policy)
        self.attempt(
            client,
            lambda repo: repo.execute_prune(repo.plan_prune(key, policy=given, only=only)),
        )

    def take_out(self, client: str, pick: int) -> None:
        """Take a version out, whose bytes may be at the remote only. Raise where that is not possible
        though it is live at the remote."""
        self.count += 1
        target = self.world.root / f"out-{self.count}"
        refs = self.refs(client)
        if not refs:
            return
        with self.world.by(client) as repo:
            version = repo.version(refs[pick % len(refs)])
            assert version.payload
            assert version.payload.tree
            try:
                version.get(target)
            except ArtError:
                if version.id in self.world.live():
                    raise
                return
        files = [target] if target.is_file() else list(target.rglob("*"))
        found = {(path.name if path != target else "own.zip"): path.read_bytes() for path in files}
        assert found == self.contents[version.payload.tree]

    # -- what is said of them --------------------------------------------------------------------

    @rule(client=clients, pick=picks, tag=tags, force=st.booleans())
    def tag(self, client: str, pick: int, tag: str, force: bool = False) -> None:
        self.change(client, pick, "tag", tag=tag, force=force)

    @rule(client=clients, key=keys, tag=tags, is_back=st.booleans())
    def untag(self, client: str, key: str, tag: str, is_back: bool = False) -> None:
        what = "tag_back" if is_back else "untag"
        self.attempt(client, lambda repo: getattr(repo, what)(key, tag))

    @rule(client=clients, pick=picks, title=st.sampled_from(["", "one", "two"]))
    def note(self, client: str, pick: int, title: str = "one") -> None:
        self.change(client, pick, "note", title=title, add_labels=["seen"])

    @rule(
        client=clients,
        key=keys,
        changes=st.one_of(
            st.integers(0, 100),
            st.sampled_from(
                [
                    {"protected": True},
                    {"protected": None},
                    {"protected_tags": ["prod"]},
                    {"retention.keep_last": 1},
                ]
            ),
        ),
    )
    def declare(self, client: str, key: str, changes: int | dict[str, object]) -> None:
        """Say how far something is, or what holds for a key."""
        if isinstance(changes, int):
            value = changes
            self.attempt(client, lambda repo: repo.progress("bar", value))
        else:
            settings = changes
            self.attempt(client, lambda repo: repo.set_settings(key, **settings))

    # -- transfers -------------------------------------------------------------------------------

    @rule(
        client=clients,
        remote=remotes,
        at=moments,
        late=st.booleans(),
        sleeps=st.booleans(),
        skew=skews,
        spans=spans,
        done=meanwhile,
    )
    def push(  # noqa: PLR0913 - each is something else about it
        self,
        client: str,
        remote: str = "origin",
        at: int | None = None,
        late: bool = False,
        sleeps: bool = False,
        skew: float = 0.0,
        spans: Iterable[float] = (),
        done: Iterable[str] = (),
    ) -> None:
        """In the middle of it, the client may be suspended while others go on."""
        self.transfer(
            client,
            lambda repo: repo.push(remote=remote),
            remote,
            at,
            late,
            sleeps,
            skew,
            spans,
            done,
        )

    @rule(
        client=clients,
        what=st.sampled_from(["fetch", "pull", "pull all", "get"]),
        at=moments,
        late=st.booleans(),
        spans=spans,
        done=meanwhile,
        pick=picks,
    )
    def bring(
        self,
        client: str,
        what: str,
        at: int | None,
        late: bool,
        spans: Iterable[float],
        done: Iterable[str],
        pick: int,
    ) -> None:
        """The same while something comes from the remote."""
        actions: dict[str, Callable[[Repo], object]] = {
            "fetch": lambda repo: repo.fetch(),
            "pull": lambda repo: repo.pull().fetched,
            "pull all": lambda repo: repo.pull(all=True).fetched,
            "get": lambda repo: self.take_out(client, pick),
        }
        self.transfer(client, actions[what], "origin", at, late, False, 0.0, spans, done)

    def fetch(self, client: str) -> None:
        self.transfer(client, lambda repo: repo.fetch(), "origin")

    def transfer(  # noqa: PLR0913 - each is something else about it
        self,
        client: str,
        action: Callable[[Repo], object],
        remote: str,
        at: int | None = None,
        late: bool = False,
        sleeps: bool = False,
        skew: float = 0.0,
        spans: Iterable[float] = (),
        done: Iterable[str] = (),
    ) -> None:
        def act() -> None:
            self.others_go_on(client, spans, done)
            self.world.skew(client, skew)

        url = self.world.url if remote == "origin" else self.world.mirror_url
        suspended = self.world.suspended(client, at, act, late=late, sleeps=sleeps, url=url)
        with self.world.by(client) as repo, suspended:
            result = action(repo)
        if isinstance(result, (Pushed, Fetched)):
            self.note_told(result.superseded)

    def note_told(self, superseded: list[Superseded]) -> None:
        self.told.update((each.key, each.log) for each in superseded)

    def others_go_on(self, client: str, spans: Iterable[float], done: Iterable[str]) -> None:
        other = "b" if client == "a" else "a"
        for what in done:
            self.fetch(other)
            key, pick, tag = _KEYS[self.count % 2], self.count, _TAGS[self.count % 2]
            if what == "create":
                self.create(other, key, {"x": "other"})
            elif what == "gc":
                self.collect_here(other, "0s")
            elif what == "move":
                self.move(other, key, "moved")
            elif what == "untag":
                self.untag(other, key, tag)
            elif what == "tag":
                self.tag(other, pick, tag)
            else:
                getattr(self, what)(other, pick)
            self.push(other)
        for passed in spans:
            self.collect(passed)
        self.what_is_published_stays_and_can_be_read()

    @rule()
    def clone(self) -> None:
        """Begin anew from the remote, and read all there is."""
        name = self.world.fresh()
        with self.world.by(name) as repo:
            assert not repo.pull(all=True).left
            assert repo.fsck(data=True).is_whole
            check_live(repo._backend, self.contents, is_remote=False)
        self.world.forget(name)

    # -- upkeep ----------------------------------------------------------------------------------

    @rule(client=clients, grace=st.sampled_from(["0s", "7d"]))
    def collect_here(self, client: str, grace: str) -> None:
        with self.world.by(client) as repo:
            repo.gc(grace=grace)

    @rule(passed=days)
    def collect(self, passed: float = 0.0) -> None:
        self.world.pass_days(passed)
        with self.world.by("keeper") as repo:
            for remote in _REMOTES:
                repo.gc(remote=remote, grace="0s")

    @rule(client=clients, passed=days, skew=skews)
    def wait(self, client: str, passed: float, skew: float) -> None:
        """Time goes by, and somebody sets a clock."""
        self.world.pass_days(passed)
        self.world.skew(client, skew)

    @rule(client=clients, remote=st.sampled_from([None, *_REMOTES]))
    def repair(self, client: str, remote: str | None) -> None:
        """There is nothing to repair, so nothing is."""
        with self.world.by(client) as repo:
            plan = repo.plan_repair(remote=remote)
            assert not plan.steps, plan.steps
            repo.execute_repair(plan)

    # -- what holds at any time ------------------------------------------------------------------

    def check_everything(self) -> None:
        self.what_is_published_stays_and_can_be_read()
        self.what_is_here_is_whole()
        self.what_has_no_effect_was_told()

    @invariant()
    def what_is_published_stays_and_can_be_read(self) -> None:
        for at, backend in enumerate(self.world.stores()):
            documents = documents_of(backend)
            check_final(self.published[at], documents)
            self.published[at] = documents
            check_live(backend, self.contents, is_remote=True)

    @invariant()
    def what_is_here_is_whole(self) -> None:
        for name in ("a", "b"):
            if name not in self.world.repos:
                continue
            with self.world.by(name) as repo:
                check_live(repo._backend, self.contents, is_remote=False)
                report = repo.fsck()
                assert report.is_whole, report.problems
                usage = repo.du()
                assert usage.pack_bytes == bytes_of(repo.root / ".art" / "packs")
                total = bytes_of(repo.root / ".art")
                assert usage.pack_bytes + usage.other_bytes == total
        if "keeper" in self.world.repos:
            with self.world.by("keeper") as repo:
                for remote in _REMOTES:
                    report = repo.fsck(remote=remote)
                    assert report.is_whole, report.problems

    @invariant()
    def what_has_no_effect_was_told(self) -> None:
        """No move of a tag, and no change of settings, is lost without a word."""
        for log, count in without_effect(documents_of(self.world.inner)).items():
            assert count <= self.told[log], log


class FolderMachine(Machine):
    """The same with remotes that are folders."""

    has_path = True


_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=_STEPS,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestMachine(Machine.TestCase):  # type: ignore[name-defined,misc]
    settings = _SETTINGS


class TestFolderMachine(FolderMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = _SETTINGS
