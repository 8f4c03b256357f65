"""Removing bytes that no version needs, and joining what is left of packs (FORMAT §13).

A working repository is locked meanwhile, and what goes, goes at once. On a shared store others write
at the same time: there a pack is marked first, and deleted by a later run, when its mark is old
enough and all manifests and logs, read again, still do not need it. Its mark stays as long again, for
those who relied on the pack without having seen it. Nothing else may go: a layout is deleted only
with packs that it points into. What a purge left behind goes at once, everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from art.backend import Item, LocalBackend
from art.changes import Changes
from art.cleaned import NAME, Finder, Foul
from art.errors import CorruptError
from art.evidence import Evidence
from art.index import Index
from art.layout import Layout
from art.needed import GONE, Needs, Roots, Sight, Usage
from art.objects import MARKS
from art.pack import OVERHEAD, pack_name
from art.previews import parse_name, unnamed
from art.reporter import Reporter
from art.rows import Record
from art.store import Store
from art.stubs import Unwanted
from art.transfer import Courier
from art.whole import check_whole

_MARK_SECONDS = 86400  # at least so old is a mark when its pack is deleted (FORMAT §13)
_SMALL = 8 << 20
_MANY = 8  # so many small packs are joined
_BASES = 4
_ROUNDS = 3


@dataclass(frozen=True)
class Idle:
    """What no live version needs and stays all the same: bytes of deleted versions that can be restored,
    `restorable` of them; `young` packs at a remote, with `young_bytes`, whose versions may be yet to
    come, until `young_until`, in seconds; `spread_bytes` in packs of which most is needed; and payloads of
    `drafts` that are no versions yet."""

    restorable: int = 0
    young: int = 0
    young_bytes: int = 0
    young_until: float | None = None
    spread_bytes: int = 0
    drafts: int = 0


@dataclass
class GcPlan:
    """What a collection would do; sizes are in bytes.

    `expired` are deleted versions that can no longer be restored then. Of the packs in `going`,
    `needed_bytes` are copied into new ones first; those in `ripe` are deleted now, the others are
    marked for a later run. Marks in `spared` are taken away: their packs are needed again, or gone for
    long. What is `foul`, with purged bytes in it, goes at once. `unfinished` are versions whose purge was
    interrupted, so that their manifests are still there.
    """

    where: str
    expired: list[Record] = field(default_factory=list)
    going: dict[str, int] = field(default_factory=dict)
    needed_bytes: int = 0
    ripe: set[str] = field(default_factory=set)
    spared: list[str] = field(default_factory=list)
    layouts: dict[str, int] = field(default_factory=dict)
    foul: Foul = field(default_factory=Foul)
    previews: dict[str, int] = field(default_factory=dict)
    unfinished: list[Record] = field(default_factory=list)
    idle: Idle = field(default_factory=lambda: Idle())

    @property
    def freed_bytes(self) -> int:
        """How much less there is afterwards, as far as that can be known before."""
        ripe = sum(size for pack, size in self.going.items() if pack in self.ripe)
        others = sum(self.layouts.values()) + sum(self.previews.values())
        return ripe + others - self.needed_bytes

    @property
    def waiting_bytes(self) -> int:
        """How much a later run can delete."""
        return sum(size for pack, size in self.going.items() if pack not in self.ripe)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do now."""
        files = self.going or self.spared or self.layouts or self.previews
        return not (self.expired or files or self.unfinished)


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
        purged: Callable[[], Unwanted],
        is_elsewhere: Callable[[Record], bool] = lambda record: False,
        reread: Callable[[], None] = lambda: None,
        evidence: Callable[[], Evidence] = Evidence,
        is_awaited: Callable[[Record], bool] = lambda record: False,
        sweeps: bool = True,
    ) -> None:
        """`grace` is how many seconds a deleted version can be restored, `purged` gives what of
        purged versions is to be nowhere. `is_elsewhere` tells which versions a remote has, too: their
        bytes may go from here, and come again from there. `evidence` says what is known to have been
        there, `is_awaited` which versions may lack their bytes without a remote that is known to have
        them. One that does not sweep leaves to others to say which deleted versions cannot be
        restored any more: the numbers of a mirror's logs are the authority's."""
        self._objects = store.objects
        self._backend = store.backend
        self._is_shared = store.is_bare
        self._index = index
        self._changes = changes
        self._scratch = scratch
        self._cache = scratch if store.objects.is_remote else None
        self._reporter = reporter
        self._grace = grace
        self._span = self._longest = grace if sweeps else float("inf")
        self._purged = purged
        self._is_elsewhere = is_elsewhere
        self._reread = reread
        self._evidence = evidence
        self._needs = Needs(
            store, index, scratch, reporter, is_elsewhere=is_elsewhere, is_awaited=is_awaited
        )
        self._usage = Usage()
        self._previews: set[str] = set()  # that versions which stay name

    # -- plans -----------------------------------------------------------------------------------

    def plan(self) -> GcPlan:
        """Return what can go. Raise CorruptError where something that is needed is missing or damaged,
        or a log has a gap: nothing makes a collection go on then."""
        self._span = self._longest
        sight, roots = self._begin()
        expired = [record for record in roots.expired if not self._is_elsewhere(record)]
        plan = GcPlan(self._backend.where, expired, self._going(sight))
        plan.ripe = {pack for pack in plan.going if self._is_ripe(sight, pack)}
        plan.spared = [
            pack
            for pack, mark in sight.marks.items()
            if (pack in sight.packs and pack not in plan.going)
            or (pack not in sight.packs and (not mark.is_gone or self._is_ripe(sight, pack)))
        ]
        plan.idle = self._idle(sight, plan, roots)
        purged = self._purged()
        self._add_purged(plan, sight, purged.payloads)
        plan.previews = unnamed(
            self._backend,
            roots.previews,
            lambda digest, item: digest in purged.previews or self._is_over(sight, item.modified),
        )
        return self._completed(plan, sight)

    def plan_removal(self, payload: str | None, preview: str | None = None) -> GcPlan:
        """Return what removing the bytes of one purged payload and its preview would do, and nothing
        else."""
        self._span = float("inf")  # what could be restored is for gc to sweep
        sight, _ = self._begin()
        plan = GcPlan(self._backend.where)
        self._add_purged(plan, sight, {payload} if payload else set())
        plan.previews = unnamed(self._backend, self._previews, lambda digest, _: digest == preview)
        return self._completed(plan, sight)

    def shared_bytes(self, payload: str) -> int:
        """Return how much of a payload other versions need, as the last plan saw it."""
        own = self._needs.use_alone(payload)
        return sum(place.size for digest, place in own.places if digest in self._usage.places)

    def _begin(self) -> tuple[Sight, Roots]:
        """Look at the store, and work out what of it is needed."""
        self._check_whole()
        sight = self._needs.look()
        roots = self._needs.roots(sight, self._span)
        self._previews = roots.previews
        self._usage = self._needs.use(roots, sight)
        return sight, roots

    def _check_whole(self) -> None:
        evidence = self._evidence()  # first: what comes meanwhile is in the store before it is here
        check_whole(self._backend, self._index, evidence, is_own=not self._is_shared)

    def _completed(self, plan: GcPlan, sight: Sight) -> GcPlan:
        plan.needed_bytes = self._usage.needed(plan.going)
        doomed = self._doomed(sight, plan, plan.ripe)
        plan.layouts = {name: sight.layouts[name] for name in doomed}
        return plan

    # -- what goes -------------------------------------------------------------------------------

    def _going(self, sight: Sight) -> dict[str, int]:
        """Return the packs of which nothing or less than half is needed, and small ones where many are.
        On a shared store young ones stay: whoever brings them may not have published their versions."""
        weights = self._usage.weights
        sizes = {pack: item.size for pack, item in sight.packs.items() if self._is_old(sight, item)}
        going = {p: size for p, size in sizes.items() if 2 * weights.get(p, 0) < size - OVERHEAD}
        small = {p: size for p, size in sizes.items() if size < _SMALL and p not in going}
        return {**going, **small} if len(small) >= _MANY else going

    def _idle(self, sight: Sight, plan: GcPlan, roots: Roots) -> Idle:
        """Return what stays though no live version needs it."""
        young: list[Item] = []
        spread = 0
        for pack, item in sight.packs.items():
            unneeded = item.size - OVERHEAD - self._usage.weights.get(pack, 0)
            is_young = self._is_shared and sight.now - item.modified <= _MARK_SECONDS
            if is_young and 2 * unneeded > item.size - OVERHEAD:
                young.append(item)
            elif pack not in plan.going:
                spread += max(0, unneeded)
        until = max((item.modified for item in young), default=None)
        return Idle(
            roots.restorable,
            len(young),
            sum(item.size for item in young),
            until and until + _MARK_SECONDS,
            spread,
            len(roots.drafts),
        )

    def _is_ripe(self, sight: Sight, pack: str) -> bool:
        if not self._is_shared:
            return True
        mark = sight.marks.get(pack)
        return mark is not None and self._is_over(sight, mark.modified)

    def _is_over(self, sight: Sight, written: float) -> bool:
        """Whether who relied on something, without a word of it, told the others until now."""
        return not self._is_shared or sight.now - written > max(self._grace, _MARK_SECONDS)

    def _add_purged(self, plan: GcPlan, sight: Sight, payloads: set[str]) -> None:
        """Add what still holds anything of purged payloads that no other needs."""
        sizes = {pack: item.size for pack, item in sight.packs.items()}
        old = {pack for pack, item in sight.packs.items() if self._is_old(sight, item)}
        here = {name.split("/")[2] for name in sight.layouts}
        usage = self._usage
        finder = Finder(self._objects, self._cache, usage.places, usage.weights, self._reporter)
        plan.foul = finder.find(payloads - usage.packs.keys(), here, sizes, old)
        plan.going |= {pack: sizes[pack] for pack in plan.foul.packs}
        plan.ripe |= plan.foul.packs

    def _is_old(self, sight: Sight, pack: Item) -> bool:
        """Whether who brought a pack has published its versions. Nobody brings any to a repository of
        one's own while it is collected."""
        return not self._is_shared or sight.now - pack.modified > _MARK_SECONDS

    def _doomed(self, sight: Sight, plan: GcPlan, gone: set[str]) -> list[str]:
        """Return the layouts that go when these packs do: of purged payloads, and all that nobody
        needs; on a shared store, where somebody may be building on the others, only those that could
        not be read any more."""
        kept = self._usage.kept_layouts
        lost = gone | {pack for pack in sight.marks if pack not in sight.packs}
        unneeded = [name for name in sight.layouts if name not in kept]
        return [
            name
            for name in unneeded
            if not self._is_shared
            or name.split("/")[2] in plan.foul.payloads
            or (lost and self._objects.is_lost(name, lost, self._cache))
        ]

    def _is_root(self, name: str) -> bool:
        """Whether a layout extends no other one, as far as it can be read."""
        try:
            return self._layout(name).extends is None
        except CorruptError:
            return True

    def _layout(self, name: str) -> Layout:
        _, _, payload, digest = name.split("/")
        return self._objects.layout(payload, digest, self._cache)

    # -- doing it --------------------------------------------------------------------------------

    def execute(self, plan: GcPlan) -> Collected:
        """Do it: move what is needed out of the packs that go, sweep, look again, then delete."""
        made = self._move_out(plan)
        swept = len(self._changes.sweep(plan.expired))
        if self._is_shared:
            for pack in plan.going:
                self._backend.create(f"{MARKS}/{pack}", pack.encode())
        gone = self._gone(plan)
        freed = self._delete(gone, plan) + self._delete_previews(plan)
        self._take_marks_away(plan)
        if plan.foul.after != plan.foul.before:
            self._backend.replace(NAME, plan.foul.after.encode())
        waiting = {pack: size for pack, size in plan.going.items() if pack not in gone}
        return Collected(
            plan.where, freed - made, len(gone), swept, len(waiting), sum(waiting.values())
        )

    def sweep_temporary(self) -> None:
        """Delete what killed transfers left in `tmp/` of a shared store, when it is a day old."""
        if not self._is_shared:
            return
        if isinstance(self._backend, LocalBackend):
            self._backend.sweep_temporary()
            return
        now = self._backend.clock() / 1e9
        for item in list(self._backend.walk("tmp")):
            if now - item.modified > _MARK_SECONDS:
                self._backend.delete(item.name)

    def remove(self, payload: str | None, preview: str | None = None) -> tuple[Collected, int]:
        """Remove now all that only a purged payload has, and its preview; return what that came to, and
        how many of its bytes others need."""
        done: list[Collected] = []
        shared = 0
        for _ in range(_ROUNDS):  # somebody may be using them in between
            self._reread()
            plan = self.plan_removal(payload, preview)
            shared = shared if done or not payload else self.shared_bytes(payload)
            done.append(self.execute(plan))
            if done[-1].packs == len(plan.going):
                break
        freed = sum(each.freed_bytes for each in done)
        packs = sum(each.packs for each in done)
        last = done[-1]
        return Collected(last.where, freed, packs, 0, last.waiting, last.waiting_bytes), shared

    def needs_preview(self, digest: str) -> bool:
        """Whether a version that stays has this preview, as was seen last."""
        return digest in self._previews

    def _move_out(self, plan: GcPlan) -> int:
        """Copy what is needed of the packs that go, and write layouts without them; return the bytes
        that this took."""
        going = set(plan.going)
        affected = [p for p, packs in self._usage.packs.items() if not packs.isdisjoint(going)]
        if not affected:
            return 0
        before = self._sizes()
        self._send(affected, going)
        after = self._sizes()
        made: set[str] = set()
        for payload in affected:
            made |= self._usage.layouts[payload]
            made |= {pack_name(pack) for pack in self._usage.packs[payload]}
        return sum(after[name] for name in made if name not in before)

    def _send(self, payloads: list[str], going: set[str]) -> None:
        objects, cache = self._objects, self._cache
        courier = Courier(
            objects, objects, self._scratch, self._reporter, hints=self._usage, avoid=going
        )
        courier.gather((d, place) for d, place in self._usage.places if place.pack in going)
        bases: list[str] = []
        for payload in payloads:
            if shipment := courier.plan(payload, bases):
                courier.ship(shipment)
            stored = objects.stored(payload, cache, avoid=going)
            if stored is None:
                raise CorruptError(f"payload {payload[:16]} was written and is not there")
            self._usage.note_chain(payload, stored)
            bases = [payload, *bases[: _BASES - 1]]

    def _sizes(self) -> dict[str, int]:
        both = itertools.chain(self._backend.walk("packs"), self._backend.walk("layouts"))
        return {item.name: item.size for item in both}

    def _gone(self, plan: GcPlan) -> set[str]:
        """Return which packs can be deleted, after everything was read again."""
        if not (plan.ripe or plan.layouts or plan.previews):
            return set()
        self._reread()
        self._check_whole()
        sight = self._needs.look()
        roots = self._needs.roots(sight, self._span)
        for payload in roots.payloads.keys() - self._usage.packs.keys():  # made or restored since
            if stored := self._needs.stored(payload, set(plan.going), sight):
                self._usage.note_chain(payload, stored)
            else:
                self._needs.check_missing(payload, roots.payloads[payload], roots)
        self._previews = roots.previews
        return plan.ripe - self._usage.kept_packs

    def _delete(self, gone: set[str], plan: GcPlan) -> int:
        """Delete layouts, then packs, then the layouts of purged payloads, which say until the end what
        is to go; return how many bytes that were. A layout goes before the one that it extends: what an
        interruption leaves is whole."""
        if not gone and not plan.layouts:
            return 0
        sight = self._needs.look()
        doomed = sorted(self._doomed(sight, plan, gone), key=self._is_root)
        last = [name for name in doomed if name.split("/")[2] in plan.foul.payloads]
        is_done = gone >= plan.foul.packs
        for name in doomed:
            if name not in last:
                self._backend.delete(name)
        for pack in sorted(gone):
            self._backend.delete(pack_name(pack))
            if self._is_shared:
                self._backend.replace(f"{MARKS}/{pack}", GONE)
        if is_done:
            for name in last:
                self._backend.delete(name)
        names = doomed if is_done else set(doomed) - set(last)
        return sum(sight.layouts[name] for name in names) + sum(plan.going[pack] for pack in gone)

    def _delete_previews(self, plan: GcPlan) -> int:
        """Delete previews that are still named by nothing; return how many bytes that were."""
        names = [name for name in plan.previews if parse_name(name) not in self._previews]
        for name in names:
            self._backend.delete(name)
        return sum(plan.previews[name] for name in names)

    def _take_marks_away(self, plan: GcPlan) -> None:
        """Take marks away of packs that are needed again or gone for long; renew those of packs of
        which nobody noted that they are gone."""
        if not plan.spared:
            return
        sight = self._needs.look()
        for pack in plan.spared:
            mark = sight.marks.get(pack)
            if mark is None:
                continue
            if pack in sight.packs or (mark.is_gone and self._is_ripe(sight, pack)):
                self._backend.delete(f"{MARKS}/{pack}")
            elif not mark.is_gone:
                self._backend.replace(f"{MARKS}/{pack}", GONE)
