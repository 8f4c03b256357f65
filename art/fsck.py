"""Checking a store, this repository's or a remote: its documents, its packs, every byte.

The structure is always checked whole. The bytes can be checked in parts: what was read until now is
remembered, and the next check goes on behind it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from art import previews
from art.backend import LocalBackend
from art.errors import CorruptError, DeniedError, NotFoundError
from art.findings import LIVE, RESTORABLE, Held, Inventory, Known, Problem
from art.inventory import take_inventory
from art.layout import Layout
from art.marks import damaged_packs, note_packs
from art.model import now
from art.objects import layout_directory
from art.pack import TRAILER_SIZE, pack_name, parse_trailer
from art.repack import ahead
from art.reporter import Reporter
from art.scrub import Scrubbed, TreeChecker, load_chain, scrub_pack, unreadable
from art.store import Store
from art.stored import StoredPayload
from art.sync import Selection

_STATE = "sync/fsck.json"
_LOCK = "fsck"
_THREADS = 16
_ROOTS = 4
_HAVE_BYTES = ("live", "deleted", "moved")  # states of versions whose bytes are where they are
_MARK = 32  # digits of a digest that are enough to tell it from others
_REPAIR = "art fsck --repair"


@dataclass(frozen=True)
class Extent:
    """How much of the bytes is read: none, all, or (`share` from 0 to 1, `seconds`) a part."""

    data: bool = False
    share: float | None = None
    seconds: float | None = None

    @property
    def reads(self) -> bool:
        return self.data or self.is_part

    @property
    def is_part(self) -> bool:
        return self.share is not None or self.seconds is not None


@dataclass(frozen=True)
class Coverage:
    """How much of all packs has been read since `since`, by this check and those before it."""

    verified_bytes: int
    total_bytes: int
    since: str

    @property
    def is_complete(self) -> bool:
        return self.verified_bytes >= self.total_bytes


@dataclass(frozen=True)
class Report:
    """What a check found. `problems` are damage, `notices` are not. `counts` says what was checked."""

    where: str
    repository: str
    problems: list[Problem]
    notices: list[Problem]
    counts: dict[str, int]
    coverage: Coverage | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged, as far as was looked."""
        return not self.problems


class Memory:
    """What earlier checks of the stores that this repository knows have read. A help only: where it
    is lost, checking begins anew.

    A layout and a tree are named by their content. That a tree's chunks make its files, and that a
    layout has a place for each, stays true for ever, so it is looked at once; chunks themselves are
    read each time.
    """

    def __init__(self, backend: LocalBackend, store: str, remote: str | None = None) -> None:
        """`store` names what is checked: a store by its id, and which keys of it. `remote` is that id,
        unless it is the store of `backend` itself."""
        self._backend = backend
        self._store = store
        self._remote = remote
        state = self._read()
        own = state.get("stores", {}).get(store, {})
        self.cursor = str(own.get("cursor", ""))
        self.since = str(own.get("since", ""))
        self.damaged = damaged_packs(backend, remote)
        self.layouts = set(state.get("layouts", []))
        self.trees = set(state.get("trees", []))

    def save(self) -> None:
        """Keep it, beside what is known of other stores."""
        own = {"cursor": self.cursor, "since": self.since}
        with contextlib.suppress(DeniedError), self._backend.alone(_LOCK):
            state = self._read()
            document = {
                "stores": {**state.get("stores", {}), self._store: own},
                "trees": sorted(self.trees.union(state.get("trees", []))),
                "layouts": sorted(self.layouts.union(state.get("layouts", []))),
            }
            self._backend.replace(_STATE, json.dumps(document).encode())

    def note_packs(self, damaged: Iterable[str], others: Iterable[str]) -> None:
        """Keep which packs were found damaged, and which are not, or are gone."""
        with contextlib.suppress(DeniedError):
            note_packs(self._backend, self._remote, damaged, others)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._backend.read(_STATE))
        except (FileNotFoundError, CorruptError, ValueError):
            return {}
        parts = {"stores": dict, "trees": list, "layouts": list}
        is_right = isinstance(found, dict) and all(
            isinstance(found.get(part), kind) for part, kind in parts.items()
        )
        return found if is_right else {}


@dataclass
class Payloads:
    """The payloads that versions need, and what they rest on.

    `layouts` has, by payload, the layouts that are whole, `users` the payloads by the packs that their
    layouts name, `roots` the layouts that others extend.
    """

    versions: dict[str, list[Held]] = field(default_factory=dict)
    layouts: dict[str, list[str]] = field(default_factory=dict)
    users: dict[str, set[str]] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)

    def refs(self, payloads: Iterable[str]) -> tuple[str, ...]:
        """Return the references of the versions with these payloads, in order."""
        found = {held for payload in payloads for held in self.versions.get(payload, ())}
        found_sorted = sorted(found, key=lambda held: (held.key or "", held.number or 0, held.id))
        return tuple(held.ref for held in found_sorted)


class Checker:
    """Checks one store. What it found stays, for whoever repairs it."""

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        memory: Memory,
        patterns: Iterable[str] = (),
        known: Known | None = None,
        is_elsewhere: Callable[[Held], bool] = lambda held: False,
        jobs: int = 4,
    ) -> None:
        """`is_elsewhere` tells versions whose payload need not be here."""
        self.store = store
        self.inventory = Inventory()
        self.payloads = Payloads()
        self.damaged: dict[str, str] = {}
        """What is wrong with packs, by id."""
        self._reporter = reporter
        self._memory = memory
        self._selection = Selection(patterns)
        self._known = known
        self._is_elsewhere = is_elsewhere
        self._elsewhere: set[str] = set()  # payloads that need not be here
        self._jobs = jobs
        self._roots: OrderedDict[str, Layout] = OrderedDict()
        self._hurt: set[str] = set()
        self._bad: set[str] = set()  # packs that were read, and are damaged
        self._sound: set[str] = set()

    @property
    def _is_whole(self) -> bool:
        return not self._selection.patterns

    def run(self, extent: Extent | None = None) -> Report:
        """Check the structure and, as `extent` says, bytes."""
        extent = extent or Extent()
        self.inventory = take_inventory(
            self.store.backend,
            self._reporter,
            self._selection.has,
            self._known,
            is_whole=self._is_whole,
        )
        self._refuse_unknown()
        self._check_payloads()
        self._check_trailers()
        shown = self._check_previews()
        coverage = None
        try:
            if extent.is_part or not extent.reads:
                self._read_suspects()
            if extent.reads:
                before = self._memory.cursor
                coverage = self._read_packs(extent)
                self._read_previews(shown, extent, before)
            self._tell_packs()
            if extent.reads:
                self._check_trees(extent)
        finally:
            self._reporter.finish()
            gone = self._memory.damaged - self.inventory.sizes.keys()
            self._memory.note_packs(self._bad, self._sound | gone)
            if extent.reads:
                self._memory.save()
        self._count_unreferenced()
        found = self.inventory
        problems = [replace(each, hint=each.hint or _REPAIR) for each in found.problems]
        return Report(
            self.store.backend.where, self.store.id, problems, found.notices, found.counts, coverage
        )

    def _refuse_unknown(self) -> None:
        known = {held.key for held in self.inventory.versions}
        named = {name for problem in self.inventory.problems for name in problem.refs}
        for key in self._selection.exact or ():
            if key not in known and not any(ref.partition("@")[0] == key for ref in named):
                raise NotFoundError(
                    f"there is no key {key!r} at {self.store.backend.where}", hint="art ls"
                )

    # -- structure -------------------------------------------------------------------------------

    def _check_payloads(self) -> None:
        """Read the layouts of all payloads that are needed."""
        for held in (*self.inventory.versions, *self.inventory.drafts):
            if held.needs_payload:
                self.payloads.versions.setdefault(str(held.tree), []).append(held)
            if held.tree and held.state in _HAVE_BYTES and self._is_elsewhere(held):
                self._elsewhere.add(held.tree)
        self._reporter.start("reading layouts")
        for payload in self.payloads.versions:
            self._check_layouts(payload)

    def _check_layouts(self, payload: str) -> None:
        digests = sorted(self.inventory.layouts.get(payload, []))
        refs = self.payloads.refs([payload])
        if not digests:
            self._tell_absent(payload, refs)
            return
        self.inventory.count("payloads")
        for digest in digests:
            self.inventory.count("layouts")
            try:
                stored = self.stored(payload, digest)
            except CorruptError as error:
                name = f"{layout_directory(payload)}/{digest}"
                self._problem(Problem("layout", name, error.message, refs))
                continue
            self.payloads.layouts.setdefault(payload, []).append(digest)
            for pack in stored.packs():
                self.payloads.users.setdefault(pack, set()).add(payload)

    def _tell_absent(self, payload: str, refs: tuple[str, ...]) -> None:
        if payload in self._elsewhere:
            self.inventory.count("elsewhere")
            return
        if self.store.backend.names(layout_directory(payload)):
            return  # it has come meanwhile
        name = layout_directory(payload)
        self._problem(Problem("payload", name, f"{name} is missing: no layout, no bytes", refs))

    def stored(self, payload: str, digest: str) -> StoredPayload:
        """Open a payload by one of its layouts. Raise CorruptError."""
        chain = self._chain(payload, digest)
        return StoredPayload(self.store.backend, chain)

    def _chain(self, payload: str, digest: str) -> list[Layout]:
        """Return a layout and the one that it extends, which many share."""
        chain = load_chain(self.store.backend, payload, digest, self._roots)
        if len(chain) > 1:
            root = chain[1]
            self.payloads.roots.add(root.digest)
            self._roots[root.digest] = root
            self._roots.move_to_end(root.digest)
            if len(self._roots) > _ROOTS:
                self._roots.popitem(last=False)
        return chain

    def _check_trailers(self) -> None:
        """Look whether all packs that are needed are there, with their ends."""
        needed = sorted(self.payloads.users)
        self._reporter.start("looking at packs")
        with ThreadPoolExecutor(_THREADS, "packs") as threads:
            for pack, error in ahead(threads, self._trailer, needed, 4 * _THREADS):
                self.inventory.count("packs")
                self.inventory.count("pack_bytes", self.inventory.sizes.get(pack, 0))
                if error:
                    self.damaged[pack] = error

    def _trailer(self, pack: str) -> tuple[str, str | None]:
        backend, name = self.store.backend, pack_name(pack)
        error: str | None = None
        for _ in range(2):
            try:
                size = backend.size(name)
                if size is None:
                    return pack, f"{name} is missing"
                trailer = backend.read(name, max(0, size - TRAILER_SIZE), TRAILER_SIZE)
                parse_trailer(trailer, size, name)
            except (CorruptError, FileNotFoundError) as problem:
                error = getattr(problem, "message", f"{name} is missing")
            else:
                return pack, None
        return pack, error

    def _check_previews(self) -> dict[str, tuple[str, ...]]:
        """Return the previews that are there and can be read, with the versions that show them."""
        held_by: dict[str, list[Held]] = {}
        for held in self.inventory.versions:
            if held.preview and held.state in (LIVE, RESTORABLE):
                held_by.setdefault(held.preview, []).append(held)
        shown = {}
        for digest, versions in sorted(held_by.items()):
            size, refs = self.inventory.previews.get(digest), tuple(each.ref for each in versions)
            self.inventory.count("previews", size is not None)
            if size is None:
                self.inventory.count("missing_previews")  # which is no damage
            elif size > previews.LIMIT:
                name = previews.preview_name(digest)
                message = f"{name} is damaged: no preview has {size} bytes"
                self._problem(Problem("preview", name, message, refs))
            else:
                shown[digest] = refs
        return shown

    def _count_unreferenced(self) -> None:
        """Count what no version needs. It is no damage: a crash leaves it, or it awaits gc."""
        if not self._is_whole:
            return
        found = self.inventory
        idle = found.sizes.keys() - self.payloads.users.keys()
        found.count("unreferenced_packs", len(idle))
        found.count("unreferenced_bytes", sum(found.sizes[pack] for pack in idle))
        layouts = [
            digest
            for payload, digests in found.layouts.items()
            for digest in digests
            if payload not in self.payloads.versions and digest not in self.payloads.roots
        ]
        found.count("unreferenced_layouts", len(layouts))

    # -- bytes -----------------------------------------------------------------------------------

    def _read_suspects(self) -> None:
        """Look again at the packs that earlier checks found damaged."""
        for pack in sorted(self._memory.damaged & self._sizes().keys()):
            self._take(self._scrub(pack))

    def _read_packs(self, extent: Extent) -> Coverage:
        """Read packs from their first byte to their last: all, or those that come next."""
        memory, sizes = self._memory, self._sizes()
        total = sum(sizes.values())
        deadline = None if extent.seconds is None else time.monotonic() + extent.seconds
        limit = total if extent.share is None else extent.share * total
        if not extent.is_part or not memory.since:
            memory.cursor, memory.since = "", now()
        self._reporter.start("reading packs", total_bytes=int(min(limit, total)))
        with ThreadPoolExecutor(self._jobs, "packs") as threads:
            chosen = self._next(sizes, limit, deadline)
            work = ahead(threads, self._scrub, chosen, self._jobs)
            with contextlib.closing(work):
                for found in work:
                    self._take(found)
                    memory.cursor = found.pack
        verified = sum(size for pack, size in sizes.items() if pack <= memory.cursor)
        return Coverage(verified, total, memory.since)

    def _read_previews(
        self, shown: dict[str, tuple[str, ...]], extent: Extent, before: str
    ) -> None:
        """Read previews: all, or those whose digests lie among those of the packs that were read."""
        after = self._memory.cursor
        if not extent.is_part or not after:
            digests = list(shown)
        else:
            is_last = after >= max(self._sizes(), default="")
            begin = before if before < after else ""
            digests = [d for d in shown if begin < d and (d <= after or is_last)]
        with ThreadPoolExecutor(_THREADS, "previews") as threads:
            for digest, error in ahead(threads, self._preview, digests, 4 * _THREADS):
                self.inventory.count("read_previews")
                if error:
                    name = previews.preview_name(digest)
                    self._problem(Problem("preview", name, error, shown[digest]))

    def _preview(self, digest: str) -> tuple[str, str | None]:
        error: str | None = None
        for _ in range(2):  # it may have been damaged on its way
            try:
                previews.read(self.store.backend, digest)
            except FileNotFoundError:
                return digest, None
            except CorruptError as problem:
                error = problem.message
            else:
                return digest, None
        return digest, error

    def _scrub(self, pack: str) -> Scrubbed:
        return scrub_pack(self.store.backend, pack)

    def _sizes(self) -> dict[str, int]:
        """Return the sizes of the packs that are to be read."""
        sizes = self.inventory.sizes
        if self._is_whole:
            return sizes
        return {pack: size for pack, size in sizes.items() if pack in self.payloads.users}

    def _next(self, sizes: dict[str, int], limit: float, deadline: float | None) -> Iterator[str]:
        """Yield the packs behind the last one that was read, and begin again after the last of all."""
        order = sorted(sizes)
        later = [pack for pack in order if pack > self._memory.cursor]
        if not later:
            self._memory.cursor, self._memory.since = "", now()
            later = order
        size = 0
        for pack in later:
            if size and (size >= limit or (deadline and time.monotonic() >= deadline)):
                return
            size += sizes[pack]
            yield pack

    def _take(self, found: Scrubbed) -> None:
        self._reporter.advance(size_bytes=found.size)
        self.inventory.count("read_packs")
        self.inventory.count("read_bytes", found.size)
        (self._bad if found.error else self._sound).add(found.pack)
        if found.error:
            self.damaged.setdefault(found.pack, found.error)

    def _tell_packs(self) -> None:
        """Tell what is wrong with packs, and which versions miss something by that."""
        hurt = self._hurt_by_pack()
        for pack, error in sorted(self.damaged.items()):
            name, users = pack_name(pack), self.payloads.users.get(pack)
            if not users:
                message = f"{error}; no version needs it"
                self.inventory.notices.append(Problem("pack", name, message))
            elif pack in hurt:
                refs = self.payloads.refs(hurt[pack])
                self._problem(Problem("pack", name, error, refs))
            else:
                message = f"{error}; what versions need of it is whole"
                self._problem(Problem("pack", name, message, self.payloads.refs(users)))

    def _hurt_by_pack(self) -> dict[str, set[str]]:
        """Return the payloads that lack something, by the damaged packs that it was in."""
        hurt: dict[str, set[str]] = {}
        payloads = {each for pack in self.damaged for each in self.payloads.users.get(pack, ())}
        for payload in sorted(payloads):
            for pack in self._lacking(payload):
                hurt.setdefault(pack, set()).add(payload)
                self._hurt.add(payload)
        return hurt

    def _lacking(self, payload: str) -> set[str]:
        """Return out of which damaged packs something of a payload cannot be had; nothing where one
        of its layouts does without."""
        lacking: set[str] = set()
        for digest in self.payloads.layouts[payload]:
            stored = self.stored(payload, digest)
            try:
                bad = unreadable(self.store.backend, stored, self.damaged)
                found = {place.pack for place in bad.values()}
            except CorruptError:
                found = stored.packs() & self.damaged.keys()
            if not found:
                return set()
            lacking |= found
        return lacking

    def _check_trees(self, extent: Extent) -> None:
        """Check that trees are whole and that the chunks of each file are its content, unless it is
        known: that never changes."""
        pending = [
            (payload, digest)
            for payload, digests in self.payloads.layouts.items()
            for digest in digests
            if payload not in self._hurt and digest[:_MARK] not in self._memory.layouts
        ]
        deadline = None if extent.seconds is None else time.monotonic() + extent.seconds
        count = len(pending) if extent.share is None else -(-len(pending) * extent.share // 1)
        sizes = {payload: self.payloads.versions[payload][0].size for payload, _ in pending}
        self._reporter.start("checking files of versions", total_bytes=sum(sizes.values()))
        checker = TreeChecker(self.store.backend)
        for number, (payload, digest) in enumerate(pending):
            if number and (number >= count or (deadline and time.monotonic() >= deadline)):
                return
            self._check_tree(checker, payload, digest)

    def _check_tree(self, checker: TreeChecker, payload: str, digest: str) -> None:
        is_known = payload[:_MARK] in self._memory.trees
        try:
            for size in checker.check(self.stored(payload, digest), with_contents=not is_known):
                self._reporter.advance(size_bytes=size)
        except CorruptError as error:
            name = f"{layout_directory(payload)}/{digest}"
            self._problem(Problem("tree", name, error.message, self.payloads.refs([payload])))
            return
        self.inventory.count("read_trees")
        self._memory.layouts.add(digest[:_MARK])
        self._memory.trees.add(payload[:_MARK])

    def _problem(self, problem: Problem) -> None:
        self.inventory.problems.append(problem)


def unhealthy_ids(inventory: Inventory, problems: Iterable[Problem]) -> dict[str, str]:
    """Return the ids of the versions that problems touch, with the first thing that is wrong."""
    by_ref = {held.ref: held.id for held in inventory.versions}
    found: dict[str, str] = {}
    for problem in problems:
        for ref in problem.refs:
            if ref in by_ref:
                found.setdefault(by_ref[ref], problem.message)
    return found
