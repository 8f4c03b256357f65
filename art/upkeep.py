"""What checks and repairs ask of a repository and its remotes: the facade's part for fsck."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from art import document as documents
from art.backend import LocalBackend
from art.catalog import Log
from art.errors import ArtError
from art.evidence import Awaited, Evidence, ledgers
from art.findings import LIVE, Held, Known, Problem
from art.fsck import Checker, Extent, Memory, Report, unhealthy_ids
from art.index import Index
from art.marks import change_marks, read_marks
from art.merge import Ledger
from art.place import GC_LOCK, without_gc
from art.remotes import Remotes
from art.repair import Repaired, Repairer, RepairPlan
from art.reporter import Reporter
from art.salvage import FolderSource, Peer, open_payload
from art.store import Store

_ROUNDS = 3  # what is healed may show what else is wrong
_AGAIN = "art fsck --data looks again"
_LOCK = "sync"  # while documents get other content, nobody merges


class Upkeep:
    """Checks and repairs one repository and its remotes."""

    def __init__(
        self,
        store: Store,
        index: Index,
        remotes: Remotes,
        reporter: Callable[[], Reporter],
        jobs: Callable[[], int],
    ) -> None:
        self._store = store
        self._index = index
        self._remotes = remotes
        self._reporter = reporter
        self._jobs = jobs
        self._backend = LocalBackend(Path(store.backend.where))

    def check(self, patterns: Sequence[str], remote: str | None, extent: Extent) -> Report:
        """Check this repository, or a remote of it. Versions that were marked as damaged and are whole
        are marked no longer."""
        checker = self._checker(patterns, remote)
        with without_gc(self._backend) if remote is None else contextlib.nullcontext():
            report = checker.run(extent)
        if remote is not None:
            return report
        bad = unhealthy_ids(checker.inventory, report.problems)
        if extent.data and not extent.is_part:
            whole = {held.id for held in checker.inventory.versions} - bad.keys()
            self._mark({}, whole)
        marks = read_marks(self._backend)
        known = [
            Problem("marked", held.ref, f"{marks[held.id]} (found before; {_AGAIN})", (held.ref,))
            for held in checker.inventory.versions
            if held.id in marks and held.id not in bad
        ]
        return replace(report, notices=[*report.notices, *known])

    def plan(
        self, patterns: Sequence[str], remote: str | None, extent: Extent, folder: Path | None
    ) -> RepairPlan:
        """Check, and return what can be done about what is wrong."""
        task = _Task(tuple(patterns), remote, folder)
        with without_gc(self._backend):
            plan, repairer, _ = self._planned(task, extent)
        plan.work.run = lambda: self._execute(plan, repairer, task, extent)
        return plan

    def _planned(self, task: _Task, extent: Extent) -> tuple[RepairPlan, Repairer, Checker]:
        checker = self._checker(task.patterns, task.remote)
        report = checker.run(extent)
        is_wrong = bool(report.problems)
        repairer = Repairer(
            checker,
            list(self._peers(task.remote)) if is_wrong else [],
            self._backend,
            self._reporter(),
            self._folder(checker.store, task) if is_wrong else None,
            self._replacing if task.remote is None else None,
        )
        return repairer.plan(report), repairer, checker

    def _execute(
        self, plan: RepairPlan, repairer: Repairer, task: _Task, extent: Extent
    ) -> Repaired:
        """Carry out a plan, and plans for what it brought to light. Raise ConflictError where a remote
        is not to be written to."""
        if task.remote is not None:
            self._remotes.open_shared(self._remotes.get(task.remote))
        with self._backend.alone("repair"), contextlib.ExitStack() as stack:
            stack.callback(repairer.close)
            held = self._backend.together(GC_LOCK)  # no pack goes between it and its layout
            stack.callback(held.release)
            return self._rounds(plan, repairer, task, extent, stack)

    def _rounds(
        self,
        plan: RepairPlan,
        repairer: Repairer,
        task: _Task,
        extent: Extent,
        stack: contextlib.ExitStack,
    ) -> Repaired:
        """Go on until nothing more comes to light; `stack` closes what that takes."""
        done = repairer.execute(plan)
        found = plan.report.problems
        for _ in range(_ROUNDS):
            brings_more = any(step.kind in ("create", "replace", "same") for step in plan.steps)
            again = extent if brings_more else Extent()
            plan, repairer, checker = self._planned(task, again)
            stack.callback(repairer.close)
            done = replace(done, left=_left(done.left, plan.left, is_all=again.reads))
            self._mark_left(done.left, checker, task.remote)
            if not plan.steps:
                break
            more = repairer.execute(plan)
            done = replace(
                done,
                steps=[*done.steps, *more.steps],
                quarantined=[*done.quarantined, *more.quarantined],
            )
        if extent.data and task.remote is None:
            left = unhealthy_ids(checker.inventory, done.left)
            self._mark({}, unhealthy_ids(checker.inventory, found).keys() - left.keys())
        return done

    # -- what is checked -------------------------------------------------------------------------

    def _checker(self, patterns: Sequence[str], remote: str | None) -> Checker:
        store = self._store if remote is None else self._remotes.open(remote)
        of = " ".join([store.id, *sorted(patterns)])
        return Checker(
            store,
            self._reporter(),
            Memory(self._backend, of, None if store is self._store else store.id),
            patterns,
            self._known(store),
            self._is_elsewhere(store),
            self._jobs(),
        )

    def _known(self, store: Store) -> Known:
        """Return what is known to have been in a store: what was seen to be both here and there."""
        is_own = store is self._store
        known = ledgers(self._backend) if is_own else [self._ledger(store.id)]
        found = Evidence.of(known)
        is_comparable = not is_own and store.is_bare
        final = [ledger for ledger in known if ledger.is_final] if is_own else []

        def is_replaced(log: Log, number: int, uid: str) -> bool:
            return any(ledger.is_replaced(log, number, uid) for ledger in final)

        twin = self._twin if is_comparable else None
        return Known(found.ends, found.keyless, twin, is_replaced)

    def _twin(self, log: Log, number: int) -> bytes | None:
        """Return a document as it is here, None where it is not, or not whole."""
        try:
            data = self._backend.read(log.file(number), 0, documents.READ_LIMIT)
            log.parse(number, data)
        except (FileNotFoundError, ArtError):
            return None
        return data

    def _ledger(self, remote: str) -> Ledger:
        return Ledger(self._backend, remote)

    def _ledgers(self) -> list[Ledger]:
        with contextlib.suppress(ArtError):
            settings = self._remotes.all()
            return [self._ledger(each.repository) for each in settings if each.repository]
        return []

    def _is_elsewhere(self, store: Store) -> Callable[[Held], bool]:
        """Return what tells the versions whose payload need not be in a store: here, what a remote has;
        in somebody else's working repository, all."""
        if store is not self._store:
            return lambda held: not store.is_bare
        known: list[tuple[Awaited, list[Ledger]]] = []

        def is_published(held: Held) -> bool:
            if not known:  # only now: a fetch may have brought versions since
                known.append((Awaited(self._backend), self._ledgers()))
            awaited, published = known[0]
            version = held.key, held.number, held.uid
            if any(ledger.has_version(*version) for ledger in published):
                return True
            return awaited.has(*version, is_live=held.state == LIVE)

        return is_published

    # -- what helps ------------------------------------------------------------------------------

    def _peers(self, remote: str | None) -> Iterator[Peer]:
        """Yield the other stores with this history, those that cannot be opened left out."""
        target = None if remote is None else self._remotes.open(remote).id
        if remote is not None:
            yield Peer("this repository", self._store, self._ledger(str(target)).ends())
        for setting in sorted(self._remotes.all(), key=lambda each: not each.is_authority):
            try:
                store = self._remotes.open(setting.name)
            except ArtError as error:
                self._reporter().warn(f"{setting.name} cannot help: {error.message}")
                continue
            if store.id != target:
                ends = self._ledger(store.id).ends()
                if target is not None:
                    theirs = self._ledger(target).ends()
                    ends = {log: min(end, theirs.get(log, 0)) for log, end in ends.items()}
                yield Peer(setting.name, store, ends)

    def _folder(self, store: Store, task: _Task) -> FolderSource | None:
        """Return the folder that was named, else the one that the repository is in, for itself."""
        if task.folder is None and (task.remote is not None or store.is_bare):
            return None
        folder = task.folder or Path(self._backend.root).parent
        named = task.folder is not None
        return FolderSource(folder, self._backend, store.chunking, self._reporter(), is_named=named)

    @contextlib.contextmanager
    def _replacing(self, key: str | None) -> Iterator[list[str]]:
        with self._backend.alone(_LOCK), self._index.replacing(key) as names:
            yield names

    def _mark_left(self, left: Sequence[Problem], checker: Checker, remote: str | None) -> None:
        """Mark the versions that are damaged for good, those of a remote only where they are not whole
        here either."""
        bad = unhealthy_ids(checker.inventory, left)
        versions = {held.id: held for held in checker.inventory.versions}
        is_ours = remote is None
        self._mark(
            {id: why for id, why in bad.items() if is_ours or not self._is_here(versions[id])},
            set(),
        )

    def _is_here(self, held: Held) -> bool:
        return held.tree is None or open_payload(self._store.objects, held.tree) is not None

    def _mark(self, add: dict[str, str], remove: set[str]) -> None:
        change_marks(self._backend, add, remove)


@dataclass(frozen=True)
class _Task:
    """What is to be repaired, and with the help of which folder."""

    patterns: tuple[str, ...]
    remote: str | None
    folder: Path | None


def _left(before: Sequence[Problem], now: Sequence[Problem], *, is_all: bool) -> list[Problem]:
    """Return what is left: what was found now and, unless all was read again, what only reading all
    could find."""
    known = {problem.name for problem in now}
    deep = [each for each in before if each.kind in ("pack", "tree") and each.name not in known]
    return [*now, *([] if is_all else deep)]
