"""Removing bytes that no version needs, and joining what is left of packs (FORMAT §13).

A working repository is locked meanwhile, and what goes, goes at once. On a shared store others write
at the same time: there a pack is marked first, and deleted by a later run, when its mark is old
enough and all manifests and logs, read again, still do not need it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from art.backend import Backend, LocalBackend
from art.catalog import STATE, Log
from art.changes import Changes
from art.errors import CorruptError
from art.index import Index, Record
from art.model import Entry
from art.objects import StoredPayload, layout_directory
from art.pack import RECORD, Location, pack_name
from art.repack import Places
from art.reporter import Reporter
from art.store import Store
from art.transfer import Courier

MARKS = "gc/marks"
_MARK_SECONDS = 86400  # at least so old is a mark when its pack is deleted (FORMAT §13)
_SMALL = 8 << 20
_MANY = 8  # so many small packs are joined
_BASES = 4


@dataclass
class GcPlan:
    """What a collection would do; sizes are in bytes.

    `expired` are deleted versions that can no longer be restored then. Of the packs in `going`,
    `needed_bytes` are copied into new ones first; those in `ripe` are deleted now, the others are
    marked for a later run. Packs in `spared` were marked and are needed again.
    """

    where: str
    expired: list[Record] = field(default_factory=list)
    going: dict[str, int] = field(default_factory=dict)
    needed_bytes: int = 0
    ripe: set[str] = field(default_factory=set)
    spared: list[str] = field(default_factory=list)
    layouts: dict[str, int] = field(default_factory=dict)
    is_removal: bool = False

    @property
    def freed_bytes(self) -> int:
        """How much less there is afterwards, as far as that can be known before."""
        ripe = sum(size for pack, size in self.going.items() if pack in self.ripe)
        return ripe + sum(self.layouts.values()) - self.needed_bytes

    @property
    def waiting_bytes(self) -> int:
        """How much a later run can delete."""
        return sum(size for pack, size in self.going.items() if pack not in self.ripe)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do now."""
        return not (self.expired or self.going or self.spared or self.layouts)


@dataclass(frozen=True)
class Collected:
    """What a collection came to. `packs` are gone, `waiting` are marked for a later run, `swept` counts
    versions that cannot be restored any more."""

    where: str
    freed_bytes: int
    packs: int
    swept: int
    waiting: int
    waiting_bytes: int


@dataclass
class _Usage:
    """What the payloads that stay need: one place of each chunk, how much of each pack that is, and
    for each payload the packs and layouts through which it is read. A `ChunkHints`."""

    places: Places = field(default_factory=Places)
    weights: dict[str, int] = field(default_factory=dict)
    packs: dict[str, set[str]] = field(default_factory=dict)
    layouts: dict[str, set[str]] = field(default_factory=dict)

    def find(self, digest: bytes) -> str | None:
        place = self.places.find(digest)
        return place.pack if place else None

    def note(self, digest: bytes, place: Location) -> None:
        if self.places.add(digest, place):
            weight = place.length + RECORD.size
            self.weights[place.pack] = self.weights.get(place.pack, 0) + weight


class Collector:
    """Collects one store. `index` knows all its manifests and logs, and `reread` brings that up to date
    with the store once more."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        store: Store,
        index: Index,
        changes: Changes,
        scratch: LocalBackend,
        reporter: Reporter,
        *,
        grace: float,
        is_elsewhere: Callable[[Record], bool] = lambda record: False,
        reread: Callable[[], None] = lambda: None,
    ) -> None:
        """`grace` is how many seconds a deleted version can be restored. `is_elsewhere` tells which
        versions a remote has, too: their bytes may go from here, and come again from there."""
        self._objects = store.objects
        self._backend = store.backend
        self._is_shared = store.is_bare
        self._index = index
        self._changes = changes
        self._scratch = scratch
        self._reporter = reporter
        self._grace = grace
        self._is_elsewhere = is_elsewhere
        self._reread = reread
        self._usage = _Usage()

    def plan(self) -> GcPlan:
        """Return what can go. Raise CorruptError where something that is needed is missing or damaged,
        or a log has a gap: nothing makes a collection go on then."""
        check_whole(self._backend, self._index)
        roots, expired = self._roots()
        sizes = self._sizes("packs")
        marks = self._marks()
        self._usage = self._use(roots, set(marks), sizes)
        plan = GcPlan(self._backend.where, expired, self._going(sizes))
        plan.needed_bytes = sum(self._usage.weights.get(pack, 0) for pack in plan.going)
        # The mark of a pack that is gone stays a while: who relied on that pack is yet to see it.
        plan.spared = [
            pack
            for pack, marked in marks.items()
            if pack not in plan.going and (pack in sizes or self._is_ripe(marked))
        ]
        plan.ripe = {pack for pack in plan.going if self._is_ripe(marks.get(pack))}
        plan.layouts = self._unneeded_layouts(plan)
        return plan

    def execute(self, plan: GcPlan) -> Collected:
        """Do it: sweep, move what is needed out of the packs that go, look again, then delete."""
        swept = len(self._changes.sweep([r for r in plan.expired if not self._is_elsewhere(r)]))
        made = self._move_out(plan)
        for pack in plan.going:
            if self._is_shared and (plan.is_removal or pack not in plan.ripe):
                self._backend.create(f"{MARKS}/{pack}", pack.encode())
        for pack in plan.spared:
            self._backend.delete(f"{MARKS}/{pack}")
        gone = self._gone(plan)
        freed = self._delete(gone, plan)
        waiting = {pack: size for pack, size in plan.going.items() if pack not in plan.ripe}
        return Collected(
            plan.where, freed - made, len(gone), swept, len(waiting), sum(waiting.values())
        )

    def remove(self, payloads: list[str]) -> tuple[Collected, int]:
        """Remove now, whatever was marked, all packs that hold anything of these payloads which no other
        needs; return what that came to, and how many of their bytes others need."""
        self._reread()
        plan, shared = self.plan_removal(payloads)
        return self.execute(plan), shared

    def plan_removal(self, payloads: list[str]) -> tuple[GcPlan, int]:
        """Return what `remove` would do, and how many of the payloads' bytes others need."""
        chunks = self._chunks_of(payloads)
        plan = self.plan()
        used = self._usage.places
        sizes = self._sizes("packs")
        holding = {pack for pack in sizes if self._holds(pack, chunks)}
        plan.going |= {pack: sizes[pack] for pack in holding}
        plan.needed_bytes = sum(self._usage.weights.get(pack, 0) for pack in plan.going)
        plan.ripe |= holding
        plan.is_removal = True
        doomed = {layout_directory(each) for each in payloads if each not in self._usage.packs}
        layouts = self._sizes("layouts", whole_names=True)
        plan.layouts |= {n: size for n, size in layouts.items() if n.rpartition("/")[0] in doomed}
        plan.layouts |= self._unneeded_layouts(plan)
        return plan, sum(place.size for digest, place in chunks if digest in used)

    def _chunks_of(self, payloads: list[str]) -> Places:
        """Return all chunks of payloads, as far as they are here."""
        own = _Usage()
        for payload in payloads:
            if stored := self._stored(payload, set()):
                self._add(own, stored, set())
        return own.places

    def _holds(self, pack: str, secret: Places) -> bool:
        """Whether a pack has a chunk that only purged payloads have."""
        try:
            digests = self._objects.directory(pack).digests()
        except (FileNotFoundError, CorruptError):
            return False
        return any(digest in secret and digest not in self._usage.places for digest in digests)

    # -- what stays ------------------------------------------------------------------------------

    def _roots(self) -> tuple[dict[str, list[Record]], list[Record]]:
        """Return the payloads that must stay, with the versions that need each, and the deleted
        versions whose time is over."""
        needed = self._index.ask(lambda index: index.pinned())
        deleted_at = self._deletions()
        now = self._backend.clock() / 1e9
        roots: dict[str, list[Record]] = {}
        expired = []
        for record in self._index.ask(lambda i: [*i.everything(), *i.versions(None)]):
            is_old = now - deleted_at.get(record.id, now) > self._grace
            is_kept = record.is_live or (record.state == "deleted" and not is_old)
            is_pinned = record.id in needed and record.state == "deleted"
            if record.payload and (is_kept or is_pinned):
                roots.setdefault(record.payload, []).append(record)
            elif record.state == "deleted" and not is_pinned and is_old:
                expired.append(record)
        return roots, expired

    def _deletions(self) -> dict[str, float]:
        """Return when each version was deleted, in seconds: by the entry that says so or by the store's
        own time of that entry's file, whichever is later."""
        times = {item.name: item.modified for item in self._backend.walk("refs")}
        found: dict[str, float] = {}
        keys: list[str | None] = [*self._index.ask(lambda index: index.keys()), None]
        for key in keys:
            for entry in self._states(key):
                written = times.get(Log(key, STATE).file(entry.number), 0.0)
                said = datetime.fromisoformat(entry.created.replace("Z", "+00:00")).timestamp()
                for version in entry.document.get("versions") or []:
                    found[str(version["id"])] = max(written, said)
        return found

    def _states(self, key: str | None) -> list[Entry]:
        return self._index.ask(lambda index: index.log(key, STATE))

    def _use(
        self, roots: dict[str, list[Record]], marks: set[str], sizes: dict[str, int]
    ) -> _Usage:
        usage = _Usage()
        seen: set[bytes] = set()
        self._reporter.start("looking at what is needed")
        for payload, records in roots.items():
            stored = self._stored(payload, marks)
            if stored is None:
                if all(map(self._is_elsewhere, records)):
                    continue
                raise _missing(records[0], f"payload {payload[:16]} is missing")
            if lost := stored.packs() - sizes.keys():
                raise _missing(records[0], f"{pack_name(min(lost))} is missing")
            usage.packs[payload] = stored.packs()
            usage.layouts[payload] = {stored.layout.name, stored.root.name}
            self._add(usage, stored, seen)
            self._reporter.advance(files=1)
        self._reporter.finish()
        return usage

    def _stored(self, payload: str, marks: set[str]) -> StoredPayload | None:
        """Return a payload, through a layout that needs no marked pack where there is one."""
        cache = self._scratch if self._objects.is_remote else None
        found = self._objects.stored(payload, cache, avoid=marks) if marks else None
        return found or self._objects.stored(payload, cache)

    def _add(self, usage: _Usage, stored: StoredPayload, seen: set[bytes]) -> None:
        """Note what a payload needs; parts of its tree that others have were noted with them."""
        new = [at for at, piece in enumerate(stored.pieces) if piece.digest not in seen]
        for at in new:
            piece = stored.pieces[at]
            seen.add(piece.digest)
            usage.note(piece.digest, piece.location)
        for node in stored.nodes_of(new):
            for digest in stored.digests(node):
                if digest not in usage.places:
                    usage.note(digest, stored.place(digest))

    # -- what goes -------------------------------------------------------------------------------

    def _going(self, sizes: dict[str, int]) -> dict[str, int]:
        """Return the packs of which nothing or less than half is needed, and small ones where many are."""
        weights = self._usage.weights
        going = {pack: size for pack, size in sizes.items() if 2 * weights.get(pack, 0) < size}
        small = {p: size for p, size in sizes.items() if size < _SMALL and p not in going}
        return {**going, **small} if len(small) >= _MANY else going

    def _marks(self) -> dict[str, float]:
        """Return the marked packs and when they were, by the store's clock."""
        return {item.name.rpartition("/")[2]: item.modified for item in self._backend.walk(MARKS)}

    def _is_ripe(self, marked: float | None) -> bool:
        if not self._is_shared:
            return True
        limit = max(self._grace, _MARK_SECONDS)
        return marked is not None and self._backend.clock() / 1e9 - marked > limit

    def _unneeded_layouts(self, plan: GcPlan) -> dict[str, int]:
        """Return the layouts that go now: on a shared store only those that point into packs which go,
        as somebody may have just written the others."""
        kept = set().union(*self._usage.layouts.values()) if self._usage.layouts else set()
        sizes = self._sizes("layouts", whole_names=True)
        unneeded = {name: size for name, size in sizes.items() if name not in kept}
        if not self._is_shared:
            return unneeded
        return {n: size for n, size in unneeded.items() if not plan.ripe.isdisjoint(self._packs(n))}

    def _packs(self, layout: str) -> set[str]:
        """Return the packs that a layout points into, none where it cannot be read."""
        _, _, payload, digest = layout.split("/")
        try:
            return set(self._objects.layout(payload, digest, self._scratch).packs)
        except CorruptError:
            return set()

    def _sizes(self, prefix: str, *, whole_names: bool = False) -> dict[str, int]:
        found = {}
        for item in self._backend.walk(prefix):
            name = item.name if whole_names else item.name.rpartition("/")[2].removesuffix(".pack")
            found[name] = item.size
        return found

    # -- doing it --------------------------------------------------------------------------------

    def _move_out(self, plan: GcPlan) -> int:
        """Copy what is needed of the packs that go, and write layouts without them; return the bytes
        that this took."""
        going = set(plan.going)
        affected = [p for p, packs in self._usage.packs.items() if not packs.isdisjoint(going)]
        if not affected:
            return 0
        courier = Courier(
            self._objects,
            self._objects,
            self._scratch,
            self._reporter,
            hints=self._usage,
            avoid=going,
        )
        before = {**self._sizes("packs"), **self._sizes("layouts", whole_names=True)}
        courier.gather((d, place) for d, place in self._usage.places if place.pack in going)
        bases: list[str] = []
        for payload in affected:
            if shipment := courier.plan(payload, bases):
                courier.ship(shipment)
            stored = self._stored(payload, going)
            assert stored, "it was just written"
            plan.layouts.update(dict.fromkeys(self._usage.layouts[payload], 0))
            self._note_chain(payload, stored)
            bases = [payload, *bases[: _BASES - 1]]
        after = {**self._sizes("packs"), **self._sizes("layouts", whole_names=True)}
        return sum(size for name, size in after.items() if name not in before)

    def _note_chain(self, payload: str, stored: StoredPayload) -> None:
        self._usage.packs[payload] = stored.packs()
        self._usage.layouts[payload] = {stored.layout.name, stored.root.name}

    def _gone(self, plan: GcPlan) -> set[str]:
        """Return which packs can be deleted, after everything was read again."""
        if not plan.ripe and not plan.layouts:
            return set()
        self._reread()
        check_whole(self._backend, self._index)
        roots, _ = self._roots()
        gone = set(plan.ripe)
        marks = set(plan.going)
        for payload in roots.keys() - self._usage.packs.keys():  # restored, or made meanwhile
            if stored := self._stored(payload, marks):
                gone -= stored.packs()
                self._note_chain(payload, stored)
        return gone

    def _delete(self, gone: set[str], plan: GcPlan) -> int:
        """Delete layouts, then packs, then marks; return how many bytes that were."""
        kept = set().union(*self._usage.layouts.values()) if self._usage.layouts else set()
        sizes = self._sizes("layouts", whole_names=True)
        doomed = [name for name in sizes if name in plan.layouts and name not in kept]
        for name in doomed:
            self._backend.delete(name)
        for pack in sorted(gone):
            self._backend.delete(pack_name(pack))
        for pack in sorted(gone):
            if self._is_shared and not plan.is_removal:
                self._backend.delete(f"{MARKS}/{pack}")
        return sum(sizes[name] for name in doomed) + sum(plan.going[pack] for pack in gone)


def check_whole(backend: Backend, index: Index) -> None:
    """Raise CorruptError where a log has a gap, or anything in the catalog is damaged."""

    def ask(index: Index) -> None:
        index.refresh_all()
        for problem in index.problems:
            raise problem
        for record in [*index.everything(), *index.versions(None)]:
            if record.state == "damaged":
                raise CorruptError(f"{record.title}; nothing was removed", hint="art fsck")

    index.ask(ask)
    numbers: dict[Log, set[int]] = {}
    for prefix in ("manifests", "refs"):
        for item in backend.walk(prefix):
            if located := Log.of(item.name):
                numbers.setdefault(located[0], set()).add(located[1])
    for log, found in numbers.items():
        if len(found) != max(found):
            missing = min(set(range(1, max(found))) - found)
            raise CorruptError(
                f"{log.file(missing)} is missing, later ones are there; nothing was removed",
                hint="art fsck --repair",
            )


def _missing(record: Record, what: str) -> CorruptError:
    return CorruptError(
        f"{record.ref} needs what is not there: {what}; nothing was removed",
        hint="art fsck --repair",
    )
