"""Repairing a store from what is healthy: its own other files, another store, files on disk.

Nothing is made worse, whenever it ends: what takes the place of something damaged is written and
durable first, and what is damaged is kept in `quarantine/`, never deleted. A plan says what would be
done; executing it does just that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import chain

from blake3 import blake3

from art import checkpoint, previews
from art import document as documents
from art import layout as layouts
from art.backend import Backend, LocalBackend
from art.beside import check_run_of
from art.catalog import Log, parse_anonymous
from art.errors import ArtError, CorruptError, NotFoundError
from art.fsck import Checker, Report
from art.inventory import Problem, check_progress_of
from art.layout import Layout
from art.model import Manifest
from art.objects import ObjectStore, layout_directory
from art.pack import Location, pack_name
from art.relayout import payloads_from_packs
from art.repack import NewPack, Places, SamePack
from art.reporter import Reporter
from art.salvage import FolderSource, Found, Peer, find_in_packs, is_readable
from art.scrub import broken_layout, needed, read_chunk, scrub_pack
from art.stored import StoredPayload
from art.stubs import stub
from art.transfer import Courier

_BLOCK_SIZE = 8 << 20
_COMPARED = 64  # documents after one that is lost, which may show that two logs are the same
_FROM_ITSELF = "what is whole here"


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
    rebuilds: list[_Rebuild] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    run: Callable[[], Repaired] | None = None


@dataclass
class _Rebuild:
    """A payload that gets a new layout. `uses` are its chunks in the order of its tree, `stay` where
    those lie that are whole in this store, `copied` where the others can be had."""

    payload: str
    template: StoredPayload
    uses: Places
    stay: Places = field(default_factory=Places)
    copied: dict[bytes, Found] = field(default_factory=dict)
    source: str = ""  # where it is known from what it consists of, if not from here


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
        replacing: Callable[[str | None], AbstractContextManager[None]] | None = None,
    ) -> None:
        """`local` is where damaged files are kept and transfers are prepared. `replacing` keeps other
        processes from taking in the documents of a key while they get other content."""
        self._checker = checker
        self._store = checker.store
        self._backend: Backend = checker.store.backend
        self._peers = peers
        self._local = local
        self._reporter = reporter
        self._folder = folder
        self._replacing = replacing or (lambda key: contextlib.nullcontext())
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dt%H%M%S.%fz")
        is_here = self._backend.where == local.where
        self._quarantine = f"quarantine/{stamp}/" + ("" if is_here else f"{self._store.id}/")
        self._kept: list[str] = []
        self._put: set[str] = set()  # layouts under names that they had before, perhaps damaged
        self._wanted: list[str] = []  # payloads that something must be done for
        self._joined: dict[str, StoredPayload] | None = None

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
        found = self._whole_document(problem.name)
        if found is None:
            plan.left.append(problem)
            return
        data, source = found
        plan.work.contents[problem.name] = data
        is_there = self._backend.size(problem.name) is not None
        kind = "replace" if is_there else "create"
        plan.steps.append(Step(kind, problem.name, source, problem.refs, len(data)))

    def _whole_document(self, name: str) -> tuple[bytes, str] | None:
        """Return the bytes of a document and where they are from. It must be known that it is this one:
        by its uid, which is its name, or as two logs are known to be the same so far."""
        located = Log.of(name)
        if located and (data := self._bundled(*located)) is not None:
            return data, _FROM_ITSELF
        for peer in self._peers:
            if located and not self._is_agreed(peer, *located):
                continue
            try:
                data = peer.store.backend.read(name, 0, documents.READ_LIMIT)
                _parse(name, data)
            except (FileNotFoundError, ArtError):
                continue
            return self._unless_purged(name, data), peer.name
        return None

    def _unless_purged(self, name: str, data: bytes) -> bytes:
        """Return a manifest, or its stub where the version was purged here: that must stay so."""
        located = Log.of(name)
        manifest = located[0].parse(located[1], data) if located else None
        if name.startswith("anonymous/"):
            manifest = parse_anonymous(name[len("anonymous/") : -len(".yaml")], data)
        if isinstance(manifest, Manifest) and manifest.id in self._checker.inventory.purged:
            return data if manifest.is_stub else stub(manifest)
        return data

    def _bundled(self, log: Log, number: int) -> bytes | None:
        """Return a document out of a checkpoint of the same store."""
        for size in checkpoint.SIZES:
            first = (number - 1) // size * size + 1
            name = checkpoint.name(log, first, first + size - 1)
            try:
                data = checkpoint.decode(self._backend.read(name), size, name)[number - first]
                log.parse(number, data)
            except (FileNotFoundError, ArtError):
                continue
            return self._unless_purged(log.file(number), data)
        return None

    def _is_agreed(self, peer: Peer, log: Log, number: int) -> bool:
        """Whether a log is known to be the same at a peer up to this number: by what was noted, or as
        a later document is the same on both sides."""
        if number <= peer.ends.get(log, 0):
            return True
        for later in range(number + 1, number + _COMPARED):
            name = log.file(later)
            try:
                ours = self._backend.read(name, 0, documents.READ_LIMIT)
                theirs = peer.store.backend.read(name, 0, documents.READ_LIMIT)
                log.parse(later, ours)
            except FileNotFoundError:
                return False
            except ArtError:
                continue
            return ours == theirs
        return False

    def _plan_checkpoint(self, plan: RepairPlan, problem: Problem) -> None:
        """A checkpoint is made anew of its documents; one that cannot be is of no use to anybody."""
        contents = self._documents_of(plan, problem.name)
        if contents is None:
            plan.steps.append(Step("quarantine", problem.name, "", problem.refs))
            plan.work.quarantined.append(problem.name)
            return
        data = checkpoint.encode(contents)
        plan.work.contents[problem.name] = data
        step = Step("checkpoint", problem.name, _FROM_ITSELF, problem.refs, len(data))
        plan.steps.append(step)

    def _documents_of(self, plan: RepairPlan, name: str) -> list[bytes] | None:
        directory, _, numbers = name.removeprefix("checkpoints/").rpartition("/_")
        first, _, last = numbers.partition("-")
        prefix = "v" if directory.startswith("manifests/") else ""
        located = Log.of(f"{directory}/{prefix}{int(first):08}.yaml")
        count = int(last) - int(first) + 1
        if located is None or count not in checkpoint.SIZES or located[1] % count != 1:
            return None
        contents = []
        for number in range(int(first), int(last) + 1):
            file = located[0].file(number)
            try:
                data = plan.work.contents.get(file) or self._backend.read(file)
                located[0].parse(number, data)
            except (FileNotFoundError, ArtError):
                return None
            contents.append(data)
        return contents

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
        self._wanted = self._touched(plan, lost)
        for payload in self._wanted:
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
        for name, objects, stored in self._whole_payloads(payload):
            plan.work.payloads[payload] = objects
            directory = layout_directory(payload)
            plan.steps.append(Step("payload", directory, name, refs, stored.size))
            return
        self._plan_rebuild(plan, payload, self._rebuild(payload, [], lost))

    def _plan_rebuild(self, plan: RepairPlan, payload: str, rebuild: _Rebuild | None) -> None:
        if rebuild is None:
            plan.work.unhealed.add(payload)
            return
        plan.work.rebuilds.append(rebuild)
        size = sum(found.place.length for found in rebuild.copied.values())
        refs = self._checker.payloads.refs([payload])
        source = self._names(rebuild)
        plan.steps.append(Step("layout", layout_directory(payload), source, refs, size))

    def _whole_payloads(self, payload: str) -> Iterator[tuple[str, ObjectStore, StoredPayload]]:
        for peer in self._peers:
            if stored := peer.payload(payload):
                yield peer.name, peer.objects, stored
        if self._folder:
            size = max(held.size for held in self._checker.payloads.versions[payload])
            if stored := self._folder.payload(payload, size):
                yield self._folder.name, self._folder.objects, stored

    def _plan_layouts(self, plan: RepairPlan, payload: str, lost: set[str]) -> list[str]:
        """Plan a new layout unless one is sound; return the names of the layouts that are not."""
        every = self._checker.inventory.layouts[payload]
        whole = self._checker.payloads.layouts.get(payload, [])
        opened = {digest: self._checker.stored(payload, digest) for digest in whole}
        sound = [digest for digest, stored in opened.items() if stored.packs().isdisjoint(lost)]
        if not sound:
            rebuild = self._rebuild(payload, list(opened.values()), lost)
            self._plan_rebuild(plan, payload, rebuild)
            if rebuild is None:
                return []
        names = [f"{layout_directory(payload)}/{digest}" for digest in every if digest not in sound]
        return [name for name in names if not self._comes_back(plan, name)]

    def _names(self, rebuild: _Rebuild) -> str:
        objects = {id(found.objects) for found in rebuild.copied.values()}
        names = [peer.name for peer in self._peers if id(peer.objects) in objects]
        if self._folder and id(self._folder.objects) in objects:
            names.append(self._folder.name)
        names += [rebuild.source] if rebuild.source and rebuild.source not in names else []
        return ", ".join(names) or _FROM_ITSELF

    def _rebuild(self, payload: str, own: list[StoredPayload], lost: set[str]) -> _Rebuild | None:
        """Work out where all chunks of a payload can be had, None where not all can."""
        others = ((stored, name) for name, _, stored in self._whole_payloads(payload))
        joined = ((stored, "") for stored in self._from_packs(payload))
        for stored, source in chain(((stored, "") for stored in own), others, joined):
            is_own = not source
            uses = _uses(stored)
            if uses is None:
                continue
            rebuild = _Rebuild(payload, stored, uses, source=source)
            wanted = set()
            for digest, place in uses:
                if is_own and place.pack not in lost:
                    rebuild.stay.add(digest, place)
                elif is_own and is_readable(self._store.objects, digest, place):
                    rebuild.copied[digest] = Found(self._store.objects, place)
                else:
                    wanted.add(digest)
            if not self._search(rebuild, wanted, lost):
                return rebuild
        return None

    def _from_packs(self, payload: str) -> Iterator[StoredPayload]:
        """Yield a payload out of the packs alone, where its tree is found there; asked for last."""
        if self._joined is None:
            self._joined = payloads_from_packs(self._store.objects, self._wanted)
        if stored := self._joined.get(payload):
            yield stored

    def _search(self, rebuild: _Rebuild, wanted: set[bytes], lost: set[str]) -> set[bytes]:
        """Find chunks wherever they are whole; return those that are nowhere."""
        damaged = self._checker.damaged.keys() | lost
        for digest, place in find_in_packs(self._store.objects, wanted, damaged).items():
            rebuild.stay.add(digest, place)
            wanted.discard(digest)
        for peer in self._peers:
            self._search_peer(rebuild, wanted, peer)
        if self._folder and wanted:
            self._folder.take_files(_files_with(rebuild.template, wanted))
            for digest, place in find_in_packs(self._folder.objects, wanted).items():
                rebuild.copied[digest] = Found(self._folder.objects, place)
                wanted.discard(digest)
        return wanted

    def _search_peer(self, rebuild: _Rebuild, wanted: set[bytes], peer: Peer) -> None:
        stored = peer.payload(rebuild.payload) if wanted else None
        found: dict[bytes, Location] = {}
        if stored:
            places = (
                (digest, stored.find(digest) or stored.find_piece(digest)) for digest in wanted
            )
            found = {digest: place for digest, place in places if place}
        elif wanted and not peer.objects.is_remote:
            found = find_in_packs(peer.objects, wanted)
        for digest, place in found.items():
            if is_readable(peer.objects, digest, place):
                rebuild.copied[digest] = Found(peer.objects, place)
                wanted.discard(digest)

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
            self._rebuild_all(work.rebuilds)
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
        with self._replacing(located[0].key if located else None):
            try:
                present = self._backend.read(name)
            except FileNotFoundError:
                present = b""
                if self._backend.create(name, data):
                    return
            if not name.startswith("checkpoints/") and _is_whole(name, present):
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

    def _rebuild_all(self, rebuilds: list[_Rebuild]) -> None:
        """Write the packs that are needed, then the layouts, of which later ones extend earlier ones
        as they did before."""
        moved = self._copy({d: found for each in rebuilds for d, found in each.copied.items()})
        roots: dict[str, Layout] = {}
        for rebuild in rebuilds:
            old = rebuild.template.root.digest
            made = self._write_layout(rebuild, moved, roots.get(old))
            if made.depth == 0:
                roots.setdefault(old, made)

    def _copy(self, copied: dict[bytes, Found]) -> Places:
        """Copy chunks into new packs; return where they are, durably."""
        moved = Places()
        new: NewPack | None = None
        try:
            for digest, found in sorted(copied.items(), key=_by_place):
                frame = read_chunk(found.objects.backend, digest, found.place)
                new = new or NewPack(self._backend)
                new.add(digest, frame, found.place.size)
                self._reporter.advance(size_bytes=len(frame))
                if new.is_full:
                    _note(moved, new)
                    new = None
            if new:
                _note(moved, new)
                new = None
        finally:
            if new:
                new.discard()
        return moved

    def _write_layout(self, rebuild: _Rebuild, moved: Places, root: Layout | None) -> Layout:
        template, places = rebuild.template, Places()
        if root and root.payload == rebuild.payload:
            root = None
        for digest, _ in rebuild.uses:
            if root is None or root.find(digest) is None:
                places.add(digest, self._place(rebuild, moved, digest))
        if root and 2 * len(places) >= root.chunk_count:
            return self._write_layout(rebuild, moved, None)
        pieces = []
        for piece in template.pieces:
            place = (root and root.find(piece.digest)) or self._place(rebuild, moved, piece.digest)
            pieces.append((places.record(piece.digest, place), piece.first_path))
        table = layouts.sort_records(places.records)
        data = layouts.encode(rebuild.payload, places.packs, table, pieces, root)
        name = f"{layout_directory(rebuild.payload)}/{blake3(data).hexdigest()}"
        made = Layout(data, name, name.rpartition("/")[2])
        self._verify(StoredPayload(self._backend, [made, root] if root else [made]), rebuild)
        self._put_layout(name, data)
        return made

    def _place(self, rebuild: _Rebuild, moved: Places, digest: bytes) -> Location:
        place = rebuild.stay.find(digest) or moved.find(digest)
        assert place, "all that is used stays or was copied"
        return place

    def _verify(self, made: StoredPayload, rebuild: _Rebuild) -> None:
        """Raise CorruptError where the new layout does not place all that the payload needs."""
        for digest, _ in rebuild.uses:
            if made.find(digest) is None and made.find_piece(digest) is None:
                raise CorruptError(f"the new layout of {rebuild.payload[:16]} is not whole")

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


def _parse(name: str, data: bytes) -> None:
    """Raise CorruptError where these bytes are not the document of this name."""
    located = Log.of(name)
    file = name.rpartition("/")[2].removesuffix(".yaml")
    if located:
        located[0].parse(located[1], data)
    elif name.startswith("anonymous/"):
        parse_anonymous(file, data)
    else:
        check = check_run_of if name.startswith("runs/") else check_progress_of
        check(file, data, name)


def _same(backend: Backend, name: str) -> bytes | None:
    """Return a file that is named by its digest, None where the store does not have it whole."""
    try:
        data = backend.read(name)
    except (FileNotFoundError, ArtError):
        return None
    return data if blake3(data).hexdigest() == name.rpartition("/")[2] else None


def _is_whole(name: str, data: bytes) -> bool:
    try:
        _parse(name, data)
    except ArtError:
        return False
    return True


def _uses(stored: StoredPayload) -> Places | None:
    """Return what a payload needs, None where its tree cannot be read."""
    uses = Places()
    try:
        for digest, place in needed(stored):
            uses.add(digest, place)
    except CorruptError:
        return None
    return uses


def _files_with(stored: StoredPayload, wanted: set[bytes]) -> dict[str, int]:
    """Return digests and sizes of the files that have one of these chunks."""
    return {
        node.b3: node.size
        for node in stored.tree()
        if node.is_file and any(digest in wanted for digest in stored.digests(node))
    }


def _by_place(item: tuple[bytes, Found]) -> tuple[str, str, int]:
    found = item[1]
    return found.objects.backend.where, found.place.pack, found.place.offset


def _note(moved: Places, new: NewPack) -> None:
    pack = new.commit()
    for digest, *place in new.chunks:
        moved.add(digest, Location(pack, *place))
