"""Thinning out versions by policy: which go and why, then letting them go.

A plan is made twice: to be shown, and again right before it is executed, so that what was tagged,
used or protected in between stays.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from art import document as documents
from art.catalog import SETTINGS
from art.changes import Changes
from art.errors import REPAIR, ArtError, CorruptError, PartialError, UsageError
from art.index import Index
from art.keys import glob_pattern
from art.query.tree import EQUAL, And, Field, Kind, Query, Test
from art.retention import Decision, Policy, decide
from art.rows import Record
from art.settings import Settings, parse
from art.sql import Selection
from art.store import Store
from art.stubs import place_of, put_stub

_ID = re.compile(r"b3:[0-9a-f]{64}")
DELETED, SWEPT, PURGED = "deleted", "swept", "purged"
Uses = list[tuple[str, Record]]  # ids, each with a live version that was made from it
STATES = {None: DELETED, "artifact": SWEPT, "metadata": PURGED}  # by what goes only


@dataclass(frozen=True)
class Request:
    """What is asked for. `policy` None takes that of each key's settings, `state` is what the versions
    come to: deleted, swept (only their bytes may go) or purged (only their manifests go). Of `where` the
    references are resolved."""

    now: datetime
    patterns: tuple[str, ...] = ()
    policy: Policy | None = None
    anonymous: bool = False
    force: bool = False
    state: str = DELETED
    where: Query | None = None


@dataclass(frozen=True)
class PrunePlan:
    """What pruning would do with each version that a rule was applied to."""

    request: Request
    decisions: list[Decision]

    @property
    def dropped(self) -> list[Decision]:
        """What goes."""
        return [decision for decision in self.decisions if not decision.is_kept]

    @property
    def kept(self) -> list[Decision]:
        """What stays."""
        return [decision for decision in self.decisions if decision.is_kept]


@dataclass(frozen=True)
class Failure:
    """A version that did not go, and what went wrong."""

    record: Record
    message: str


@dataclass(frozen=True)
class Pruned:
    """What pruning came to: the versions that went by this call, those that stay because of what was
    done since the plan was made, and those that something went wrong with."""

    versions: list[Record]
    spared: list[Decision] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class _Group:
    """The live versions of a key, or all keyless ones, and what is said of them."""

    records: list[Record]
    policy: Policy
    settings: Settings


class Pruner:
    """Prunes one store."""

    def __init__(self, store: Store, index: Index, changes: Changes) -> None:
        self._store = store
        self._index = index
        self._changes = changes
        self._lock = threading.Lock()  # an index is not for several threads at once

    # -- planning --------------------------------------------------------------------------------

    def plan(self, request: Request) -> PrunePlan:
        """Decide about every live version that matches, by key, newest first.

        Raise UsageError where no rule is given, CorruptError where damage hides what is needed.
        """
        _check(request)
        return self._index.ask(lambda index: self._plan(index, request))

    def _plan(self, index: Index, request: Request) -> PrunePlan:
        index.refresh_all()
        groups = list(self._groups(index, request))
        if not groups and request.policy is None:
            raise UsageError(
                "no rule says what may go: none is given, and no key that is meant has one in its "
                "settings",
                hint="art prune --keep-last 10, or art settings KEY retention.keep_last=10",
            )
        uses = index.uses(record for group in groups for record in group.records)
        referrer = self._referrer(uses, groups)
        decisions: list[Decision] = []
        for group in groups:
            decided = decide(group.records, group.policy, request.now, referrer)
            decisions += [d if request.force else _protected(d, group.settings) for d in decided]
        if not request.force:
            self._refuse_damage(index, request, decisions)
            decisions = _with_inputs(uses, decisions)
        return PrunePlan(request, decisions)

    def _groups(self, index: Index, request: Request) -> Iterator[_Group]:
        if request.anonymous:
            assert request.policy
            yield _Group(_keyless(index, request.where), request.policy, Settings(None))
            return
        globs = [re.compile(glob_pattern(text.rstrip("/"))) for text in request.patterns]
        declared, is_damaged = index.declared_keys(), bool(index.problems)
        found: list[tuple[str, Policy, Settings]] = []
        for key in index.keys():  # noqa: SIM118 - it is no mapping
            if globs and not any(glob.fullmatch(key) for glob in globs):
                continue
            if is_damaged:  # what cannot be read may protect one of them
                index.refresh(key, SETTINGS, *index.tag_logs(key))
            settings = parse(key, index.log(key, SETTINGS) if key in declared else [])
            policy = request.policy or settings.retention
            if policy and policy.has_rules:
                found.append((key, policy, settings))
        live = _live(index, [key for key, *_ in found], request.where)
        for key, policy, settings in found:
            yield _Group(live.get(key, []), policy, settings)

    def _referrer(self, uses: Uses, groups: list[_Group]) -> Callable[[Record], str | None]:
        """Return what tells whether a version is the input of another one, or known to a run."""
        is_needed = any(group.policy.unreferenced for group in groups)
        runs = self._ids_in_runs() if is_needed else {}
        users = dict(reversed(uses)) if is_needed else {}

        def referrer(record: Record) -> str | None:
            if user := users.get(record.id):
                return _input_of(user.ref)
            if record.id in runs:
                return f"run {runs[record.id]} names it"
            return "made by a run" if record.was_made_by_run else None

        return referrer

    def _ids_in_runs(self) -> dict[str, str]:
        """Return all ids that records of runs name, as input or output or otherwise, with the run."""
        found: dict[str, str] = {}
        for child in self._store.backend.names("runs"):
            name = f"runs/{child}"
            if child.endswith(".yaml"):
                data = self._store.backend.read(name, 0, documents.limit_of(name) + 1)
                for id in _ids_in(documents.decode(data, name)):
                    found[id] = child.removesuffix(".yaml")
        return found

    def _refuse_damage(self, index: Index, request: Request, decisions: list[Decision]) -> None:
        """Raise CorruptError where something damaged may refer to what would go for good, or to what
        goes because nothing refers to it."""
        is_certain = any(d.rule == "unreferenced" for d in decisions) or (
            request.state != DELETED and not all(d.is_kept for d in decisions)
        )
        if not is_certain:
            return
        damaged = [record.title for record in index.of_state("damaged")]
        problems = [error.message for error in index.problems] + [str(title) for title in damaged]
        if problems:
            raise CorruptError(
                f"what refers to the versions cannot be told: {problems[0]}",
                hint=f"{REPAIR}; --force prunes all the same",
            )

    # -- executing -------------------------------------------------------------------------------

    def execute(
        self,
        plan: PrunePlan,
        message: str | None = None,
        *,
        jobs: int = 1,
        ignore_errors: bool = False,
    ) -> Pruned:
        """Let go what the plan drops and a new plan would drop, too.

        At the first error nothing more is begun, and it is raised, unless `ignore_errors`.
        """
        going, spared = _compared(plan, self.plan(plan.request))
        state = plan.request.state
        failed: list[Failure] = []
        gone: list[Record] = []
        works = self._changes.prepare_state(going, state, message)
        if state == PURGED:
            works = [(part, partial(self._purge, append)) for part, append in works]
        for part, outcome in _run(works, jobs, goes_on=ignore_errors):
            if not isinstance(outcome, Exception):
                gone += outcome
                continue
            failed += [Failure(record, _text_of(outcome)) for record in part]
            first = outcome
        if failed and not ignore_errors:
            raise _stopped(first, failed[0], len(gone))
        return Pruned(gone, spared, failed)

    def _purge(self, append: Callable[[], list[Record]]) -> list[Record]:
        """Put stubs in the place of the manifests, after a state says so."""
        records = append()
        if records:
            with self._lock:
                self._index.ask(lambda index: self._put_stubs(index, records))
        return records

    def _put_stubs(self, index: Index, records: list[Record]) -> None:
        with index.replacing(records[0].key) as names:
            names += map(place_of, records)
            for record in records:
                put_stub(self._store.backend, record)


def _check(request: Request) -> None:
    """Raise UsageError where what is asked for makes no sense."""
    if request.policy and not request.policy.has_rules:
        raise UsageError("no rule says what may go", hint="art prune --keep-last 10")
    if request.anonymous and request.patterns:
        raise UsageError("keyless versions have no key to name them by")
    if request.anonymous and request.policy is None:
        raise UsageError(
            "no rule says what may go: keyless versions have no settings",
            hint="art prune --anonymous --keep-within 30d",
        )


def _live(index: Index, keys: list[str], where: Query | None) -> dict[str, list[Record]]:
    """Return the live versions of keys that a query matches, by key."""
    if where is None:
        return index.live(keys)
    found: dict[str, list[Record]] = {key: [] for key in keys}
    for record in index.selected(Selection(_of_live(where))):
        if record.key in found:
            found[record.key].append(record)
    return found


def _keyless(index: Index, where: Query | None) -> list[Record]:
    """Return the live keyless versions that a query matches."""
    if where is None:
        return index.versions(None, live=True)
    return index.selected(Selection(_of_live(where), keyless=True))


def _of_live(where: Query) -> And:
    return And((where.node, Test(Field("state", Kind.STATE), EQUAL, ("live",))))


def _ids_in(value: Any) -> Iterator[str]:
    """Yield every id of a version in a document, wherever it stands."""
    if isinstance(value, str):
        if _ID.fullmatch(value):
            yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _ids_in(item)


def _protected(decision: Decision, settings: Settings) -> Decision:
    """Return the decision, to keep what the key's settings protect."""
    if decision.is_kept:
        return decision
    tags = [tag for tag in decision.record.tags if settings.names(tag)]
    if not (settings.protected or tags):
        return decision
    why = "its key is protected" if settings.protected else f"its tag {tags[0]} is protected"
    return Decision(decision.record, True, "protected", why)


def _with_inputs(uses: Uses, decisions: list[Decision]) -> list[Decision]:
    """Return the decisions, to keep also what live versions that stay were made from."""
    going = {d.record.id: d.record for d in decisions if not d.is_kept}
    made_from: dict[str, list[str]] = {}  # ids by that of who was made from them
    staying: dict[str, Record] = {}
    for id, user in uses:
        if id in going:
            made_from.setdefault(user.id, []).append(id)
            if user.id not in going:
                staying[user.id] = user
    kept: dict[str, str] = {}
    pending = sorted(staying.values(), key=lambda record: record.ref)
    for user in pending:  # which grows: what stays may need more of the others
        why = _input_of(user.ref)
        for id in made_from.get(user.id, ()):
            if id not in kept:
                kept[id] = why
                pending.append(going[id])
    if not kept:
        return decisions
    return [
        Decision(d.record, True, "input", kept[d.record.id]) if d.record.id in kept else d
        for d in decisions
    ]


def _input_of(ref: str) -> str:
    return f"an input of {ref}"


def _compared(plan: PrunePlan, again: PrunePlan) -> tuple[list[Record], list[Decision]]:
    """Return what both plans let go, and what stays now though the first one let it go."""
    now = {decision.record.id: decision for decision in again.decisions}
    going: list[Record] = []
    spared: list[Decision] = []
    for old in plan.dropped:
        new = now.get(old.record.id)
        if new is None:  # another process let it go, or took away the rule
            continue
        if new_tags := sorted(set(new.record.tags) - set(old.record.tags)):
            new = Decision(new.record, True, "tagged", f"tagged {', '.join(new_tags)} meanwhile")
        if new.is_kept:
            spared.append(new)
        else:
            going.append(new.record)
    return going, spared


def _stopped(error: Exception, failure: Failure, gone: int) -> Exception:
    """Return the error to raise, which says what was done before it."""
    if not gone:
        return error
    versions = "1 version is" if gone == 1 else f"{gone:,} versions are"
    return PartialError(
        f"{failure.record.ref} is not pruned: {failure.message}; {versions} pruned",
        hint="art prune again, or with --ignore-errors",
    )


def _text_of(error: Exception) -> str:
    return error.message if isinstance(error, ArtError) else str(error)


Work = tuple[list[Record], Callable[[], list[Record]]]


def _run(
    works: list[Work], jobs: int, *, goes_on: bool
) -> Iterator[tuple[list[Record], list[Record] | Exception]]:
    """Yield what each work came to, or its error; what was not begun after an error came to nothing."""
    stopped = threading.Event()

    def one(work: Work) -> list[Record] | Exception:
        if stopped.is_set():
            return []
        try:
            return work[1]()
        except (ArtError, OSError) as error:
            if not goes_on:
                stopped.set()
            return error

    with ThreadPoolExecutor(jobs, "prune") as threads:
        for work, outcome in zip(works, threads.map(one, works), strict=True):
            yield work[0], outcome
