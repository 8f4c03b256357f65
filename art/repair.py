"""Repairing a store from what is healthy: its own other files, another store, files on disk.

Nothing is made worse, whenever it ends: what takes the place of something damaged is written and
durable first, and what is damaged is kept in `quarantine/`, never deleted. A plan says what would be
done; executing it does just that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from blake3 import blake3

from art import checkpoint, previews
from art.backend import Backend, LocalBackend
from art.catalog import Log
from art.errors import ArtError, CorruptError, NotFoundError
from art.findings import Problem
from art.fsck import Checker, Report
from art.healthy import FROM_ITSELF, Documents, is_whole
from art.objects import ObjectStore, layout_directory
from art.pack import pack_name
from art.rebuild import Rebuild, Rebuilder
from art.repack import SamePack
from art.reporter import Reporter
from art.salvage import FolderSource, Peer
from art.scrub import broken_layout, scrub_pack
from art.transfer import Courier

_BLOCK_SIZE = 8 << 20


@dataclass(frozen=True)
class Step:
    """One thing that is done: `kind` is `create` or `replace` (a document), `checkpoint`, `pack` and
    `same` (the same pack, layout or preview again), `payload` (brought again), `layout` (a new one, with
    what is missing in new packs) or `quarantine`. `source` says where what is whole comes from."""

    kind: str
    name: str
    source: str = ""
    refs: tuple[str, ...] = ()
    size_bytes: int = 0


@dataclass
class _Work:
    """What executing needs to know beside the steps."""

    contents: dict[str, bytes] = field(default_factory=dict)
    packs: dict[str, Peer] = field(default_factory=dict)
    layouts: dict[str, bytes] = field(default_factory=dict)  # and previews
    payloads: dict[str, ObjectStore] = field(default_factory=dict)
    unhealed: set[str] = field(default_factory=set)
    rebuilds: list[Rebuild] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    run: Callable[[], Repaired] | None = None


@dataclass(frozen=True)
class RepairPlan:
    """What a repair would do; `left` is what it cannot heal."""

    report: Report
    steps: list[Step]
    left: list[Problem]
    work: _Work = field(default_factory=_Work, repr=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """Bytes that are written anew."""
        return sum(step.size_bytes for step in self.steps)


@dataclass(frozen=True)
class Repaired:
    """What a repair came to. `quarantined` are the names under which damaged files are kept here."""

    report: Report
    steps: list[Step]
    left: list[Problem]
    quarantined: list[str]


class Repairer:
    """Plans the repair of one store that was checked, and carries it out."""

    def __init__(
        self,
        checker: Checker,
        peers: Sequence[Peer],
        local: LocalBackend,
        reporter: Reporter,
        folder: FolderSource | None = None,
        replacing: Callable[[str | None], AbstractContextManager[list[str]]] | None = None,
    ) -> None:
        """`local` is where damaged files are kept and transfers are prepared. `replacing` keeps other
        processes from taking in the documents of a key while they get other content."""
        self._checker = checker
        self._store = checker.store
        self._backend: Backend = checker.store.backend
        self._peers = peers
        self._local = local
        self._reporter = reporter
        self._documents = Documents(checker, peers)
        self._rebuilder = Rebuilder(checker, peers, reporter, folder)
        self._replacing = replacing or (lambda key: contextlib.nullcontext([]))
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dt%H%M%S.%fz")
        is_here = self._backend.where == local.where
        self._quarantine = f"quarantine/{stamp}/" + ("" if is_here else f"{self._store.id}/")
        self._kept: list[str] = []
        self._put: set[str] = set()  # layouts under names that they had before, perhaps damaged
        self._folder = folder

    def close(self) -> None:
        """Remove what was put aside of the folder; nothing is carried out after that."""
        if self._folder is not None:
            self._folder.close()

    # -- plan ------------------------------------------------------------------------------------

    def plan(self, report: Report) -> RepairPlan:
        """Return what can be done about what the checker reported."""
        plan = RepairPlan(report, [], [])
        for problem in report.problems:
            if problem.kind == "document":
                self._plan_document(plan, problem)
        for problem in report.problems:
            if problem.kind == "checkpoint":
                self._plan_checkpoint(plan, problem)
            elif problem.kind in ("entry", "log", "tree", "duplicate", "twin", "draft"):
                plan.left.append(problem)
            elif problem.kind == "preview":
                self._plan_preview(plan, problem)
        self._plan_packs(plan)
        self._plan_same_layouts(plan)
        self._plan_payloads(plan)
        self._note_left(plan)
        return plan

    def _plan_document(self, plan: RepairPlan, problem: Problem) -> None:
        found = self._documents.whole(problem.name)
        if found is None:
            plan.left.append(problem)
            return
        data, source = found
        plan.work.contents[problem.name] = data
        is_there = self._backend.size(problem.name) is not None
        kind = "replace" if is_there else "create"
        plan.steps.append(Step(kind, problem.name, source, problem.refs, len(data)))

    def _plan_checkpoint(self, plan: RepairPlan, problem: Problem) -> None:
        """A checkpoint is made anew of its documents; one that cannot be is of no use to anybody."""
        contents = self._documents.bundled_in(problem.name, plan.work.contents)
        if contents is None:
            plan.steps.append(Step("quarantine", problem.name, "", problem.refs))
            plan.work.quarantined.append(problem.name)
            return
        data = checkpoint.encode(contents)
        plan.work.contents[problem.name] = data
        step = Step("checkpoint", problem.name, FROM_ITSELF, problem.refs, len(data))
        plan.steps.append(step)

    def _plan_preview(self, plan: RepairPlan, problem: Problem) -> None:
        """Take a preview from where it lies whole; one that is nowhere is not shown any more."""
        name = problem.name
        for peer in self._peers:
            with contextlib.suppress(FileNotFoundError, ArtError):
                data = previews.read(peer.store.backend, name.rpartition("/")[2])
                plan.work.layouts[name] = data
                plan.steps.append(Step("same", name, peer.name, problem.refs, len(data)))
                return
        plan.steps.append(Step("quarantine", name, "", problem.refs))
        plan.work.quarantined.append(name)

    def _plan_packs(self, plan: RepairPlan) -> None:
        """Take packs from where the same lie whole."""
        for pack in sorted(self._checker.damaged):
            name, users = pack_name(pack), self._checker.payloads.users.get(pack)
            if users and (peer := self._peer_with(pack)):
                plan.work.packs[pack] = peer
                size = peer.store.backend.size(name) or 0
                refs = self._checker.payloads.refs(users)
                plan.steps.append(Step("pack", name, peer.name, refs, size))

    def _peer_with(self, pack: str) -> Peer | None:
        for peer in self._peers:
            with contextlib.suppress(ArtError):
                if peer.store.backend.size(pack_name(pack)) is None:
                    continue
                if scrub_pack(peer.store.backend, pack).error is None:
                    return peer
        return None

    def _plan_same_layouts(self, plan: RepairPlan) -> None:
        """Take layouts from where the same lie whole: their names say what they must be."""
        for problem in plan.report.problems:
            if problem.kind != "layout":
                continue
            _, _, payload, digest = problem.name.split("/")
            name = broken_layout(self._backend, payload, digest)
            if name is None or name in plan.work.layouts:
                continue
            for peer in self._peers:
                data = _same(peer.store.backend, name)
                if data is not None:
                    plan.work.layouts[name] = data
                    plan.steps.append(Step("same", name, peer.name, problem.refs, len(data)))
                    break

    def _plan_payloads(self, plan: RepairPlan) -> None:
        lost = self._checker.damaged.keys() - plan.work.packs.keys()
        lost = {pack for pack in lost if pack in self._checker.payloads.users}
        stale: list[str] = []
        wanted = self._rebuilder.wanted = self._touched(plan, lost)
        for payload in wanted:
            if not self._checker.inventory.layouts.get(payload):
                self._plan_absent(plan, payload, lost)
            else:
                stale += self._plan_layouts(plan, payload, lost)
        self._plan_quarantine(plan, stale, lost)

    def _touched(self, plan: RepairPlan, lost: set[str]) -> list[str]:
        """Return the payloads that something must be done for, those whose layouts others extend
        first. What another layout heals, or one that comes back as it was, need not be looked at."""
        named = [each.name for each in plan.report.problems if each.kind in ("layout", "payload")]
        payloads = {name.split("/")[2] for name in named if not self._comes_back(plan, name)}
        payloads |= {each for pack in lost for each in self._checker.payloads.users[pack]}
        roots = self._checker.payloads.roots

        def order(payload: str) -> tuple[bool, str]:
            return roots.isdisjoint(self._checker.inventory.layouts.get(payload, ())), payload

        return sorted(payloads, key=order)

    def _comes_back(self, plan: RepairPlan, name: str) -> bool:
        parts = name.split("/")
        return len(parts) == 4 and (
            broken_layout(self._backend, parts[2], parts[3]) in plan.work.layouts
        )

    def _plan_absent(self, plan: RepairPlan, payload: str, lost: set[str]) -> None:
        """A payload of which nothing is there comes from where it is whole."""
        refs = self._checker.payloads.refs([payload])
        for name, objects, stored in self._rebuilder.whole_payloads(payload):
            plan.work.payloads[payload] = objects
            directory = layout_directory(payload)
            plan.steps.append(Step("payload", directory, name, refs, stored.size))
            return
        self._plan_rebuild(plan, payload, self._rebuilder.find(payload, [], lost))

    def _plan_rebuild(self, plan: RepairPlan, payload: str, rebuild: Rebuild | None) -> None:
        if rebuild is None:
            plan.work.unhealed.add(payload)
            return
        plan.work.rebuilds.append(rebuild)
        size = sum(found.place.length for found in rebuild.copied.values())
        refs = self._checker.payloads.refs([payload])
        source = self._rebuilder.names(rebuild) or FROM_ITSELF
        plan.steps.append(Step("layout", layout_directory(payload), source, refs, size))

    def _plan_layouts(self, plan: RepairPlan, payload: str, lost: set[str]) -> list[str]:
        """Plan a new layout unless one is sound; return the names of the layouts that are not."""
        every = self._checker.inventory.layouts[payload]
        whole = self._checker.payloads.layouts.get(payload, [])
        opened = {digest: self._checker.stored(payload, digest) for digest in whole}
        sound = [digest for digest, stored in opened.items() if stored.packs().isdisjoint(lost)]
        if not sound:
            rebuild = self._rebuilder.find(payload, list(opened.values()), lost)
            self._plan_rebuild(plan, payload, rebuild)
            if rebuild is None:
                return []
        names = [f"{layout_directory(payload)}/{digest}" for digest in every if digest not in sound]
        return [name for name in names if not self._comes_back(plan, name)]

    def _plan_quarantine(self, plan: RepairPlan, stale: list[str], lost: set[str]) -> None:
        """Take out of the way what nothing rests on any more once the new layouts are there. The layouts
        of versions that are not known, as their manifests are damaged, or of other keys, count too."""
        gone = {name.rpartition("/")[2] for name in stale}
        kept_packs: set[str] = set()
        kept_roots: set[str] = set()
        for payload, digests in self._checker.inventory.layouts.items() if gone or lost else ():
            for digest in digests:
                if digest not in gone:
                    with contextlib.suppress(CorruptError):
                        stored = self._checker.stored(payload, digest)
                        kept_packs |= stored.packs()
                        kept_roots.add(stored.root.digest)
        names = [name for name in stale if name.rpartition("/")[2] not in kept_roots]
        names += [pack_name(pack) for pack in sorted(lost - kept_packs)]
        for name in names:
            if self._backend.size(name) is not None:
                plan.work.quarantined.append(name)
                plan.steps.append(Step("quarantine", name))

    def _note_left(self, plan: RepairPlan) -> None:
        """Note the problems of versions that cannot be healed."""
        refs = set(self._checker.payloads.refs(plan.work.unhealed))
        for problem in plan.report.problems:
            hit = tuple(ref for ref in problem.refs if ref in refs)
            if hit and problem.kind in ("layout", "payload", "pack"):
                plan.left.append(replace(problem, refs=hit))

    # -- execute ---------------------------------------------------------------------------------

    def execute(self, plan: RepairPlan) -> Repaired:
        """Carry out a plan. What was done when it is interrupted stays, and is right."""
        work = plan.work
        self._reporter.start("repairing", total_bytes=plan.size_bytes)
        try:
            for name, data in work.contents.items():
                self._put_document(name, data)
            for pack, peer in work.packs.items():
                self._put_pack(pack, peer)
            for name, data in work.layouts.items():
                self._put_layout(name, data)
            for payload, objects in work.payloads.items():
                self._bring(payload, objects)
            self._rebuilder.write(work.rebuilds, self._put_layout)
            for name in work.quarantined:
                if name not in self._put:  # that was kept, and is whole now
                    self._move(name)
        finally:
            self._reporter.finish()
        return Repaired(plan.report, plan.steps, plan.left, list(self._kept))

    def _put_document(self, name: str, data: bytes) -> None:
        """Create a document, or put it in the place of a damaged one, in one step: a name that were
        free for a moment could be taken by another writer."""
        located = Log.of(name)
        with self._replacing(located[0].key if located else None) as names:
            names.append(name)
            try:
                present = self._backend.read(name)
            except FileNotFoundError:
                present = b""
                if self._backend.create(name, data):
                    return
            if not name.startswith("checkpoints/") and is_whole(name, present):
                return  # somebody mended it meanwhile
            self._keep(name)
            self._backend.replace(name, data)

    def _put_pack(self, pack: str, peer: Peer) -> None:
        """Put the same pack in the place of a damaged or missing one."""
        name = pack_name(pack)
        size = peer.store.backend.size(name) or 0
        new = SamePack(self._backend, pack, size)
        try:
            for start in range(0, size, _BLOCK_SIZE):
                new.write(peer.store.backend.read(name, start, _BLOCK_SIZE))
                self._reporter.advance(size_bytes=min(_BLOCK_SIZE, size - start))
            if new.is_right and self._backend.size(name) is not None:
                self._keep(name)
            new.commit()
        finally:
            new.discard()

    def _put_layout(self, name: str, data: bytes) -> None:
        """Put the same layout in the place of a damaged or missing one."""
        if not self._backend.create(name, data) and self._backend.read(name) != data:
            self._keep(name)
            self._backend.replace(name, data)
        self._put.add(name)

    def _bring(self, payload: str, objects: ObjectStore) -> None:
        directory = f"sync/{self._store.id}"
        self._local.make_directory(directory)
        scratch = LocalBackend(self._local.root / directory)
        courier = Courier(objects, self._store.objects, scratch, self._reporter)
        with contextlib.suppress(NotFoundError):  # gone since it was planned: it is told again
            if shipment := courier.plan(payload):
                courier.ship(shipment)

    # -- quarantine ------------------------------------------------------------------------------

    def _move(self, name: str) -> None:
        self._keep(name)
        self._backend.delete(name)

    def _keep(self, name: str) -> None:
        """Keep a copy of a damaged file here, durably."""
        kept = self._quarantine + name
        staged = self._local.stage()
        offset = 0
        try:
            while block := self._backend.read(name, offset, _BLOCK_SIZE):
                staged.write(block)
                offset += len(block)
            staged.commit(kept)
            self._kept.append(kept)
        except FileNotFoundError:
            return
        finally:
            staged.discard()


def _same(backend: Backend, name: str) -> bytes | None:
    """Return a file that is named by its digest, None where the store does not have it whole."""
    try:
        data = backend.read(name)
    except (FileNotFoundError, ArtError):
        return None
    return data if blake3(data).hexdigest() == name.rpartition("/")[2] else None
