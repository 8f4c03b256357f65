"""Bringing to a remote what only this repository has: payloads first, then versions, then the rest."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from art import checkpoint
from art import document as documents
from art.beside import names_beside, read_beside
from art.catalog import STATE, VERSIONS, Log, parse_anonymous
from art.errors import ArtError, ConflictError, CorruptError, NotFoundError, UnavailableError
from art.fetch import Fetcher, ProgressRank, progress_rank, take_progress
from art.index import Index, Record
from art.merge import Ledger, finish
from art.model import Entry, Manifest
from art.objects import layout_directory
from art.pack import pack_name
from art.place import GC_LOCK
from art.stubs import purged_records, put_stub
from art.sync import Left, Pairing, Pushed, PushPlan, Renumbered, Selection, Sent, Superseded
from art.transfer import Courier, Shipment

_LOGS_AT_ONCE = 32
_BASES = 3  # versions whose chunks are looked for at the remote before a payload is sent
_GONE = ("swept", "purged")
_SIZES_LIMIT = 256  # packs that are asked for one by one
_LOOK_BACK = 64  # versions of a key that are looked at for the payloads of four
_SAFE_SECONDS = 12 * 3600  # half of what a pack stays at least after it was marked
_SHOWN = 3  # losses that are told one by one
_ROUNDS = 20  # in which a number was taken, and nothing could be read at it


@dataclass(frozen=True)
class Authority:
    """The remote that gives the numbers: its name, and what is known to be there."""

    name: str
    ledger: Ledger


class _TakenError(Exception):
    """Another writer has the next number of a log at the remote."""


class _LostError(_TakenError):
    """The remote does not have what it had."""


@dataclass
class _Work:
    """What is to be pushed. `ready` are the uids of documents that may be published, `starts` says up to
    which number both sides were the same before."""

    logs: list[Log] = field(default_factory=list)
    versions: dict[Log, list[tuple[int, Manifest]]] = field(default_factory=dict)
    keyless: list[Manifest] = field(default_factory=list)
    progress: list[tuple[str, int]] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    starts: dict[Log, int] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.logs or self.keyless or self.progress)


class Pusher:
    """Publishes what is new here at one remote."""

    def __init__(self, pair: Pairing, authority: Authority | None = None) -> None:
        """`authority` is the remote that gives the numbers, where this is another one: what has no
        number from there yet is not pushed."""
        self._pair = pair
        self._authority = authority
        self._remote = pair.remote.backend
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sent: dict[str, Sent] = {}  # by uid: a number may change until the end
        self._entries: dict[Log, set[str]] = {}
        self._renumbered: dict[str, Renumbered] = {}
        self._rounds: dict[Log, tuple[int, int]] = {}
        self._avoid: set[str] | None = None  # packs that gc is to delete, once that was asked
        self._since = _clocks()
        self._lost: set[str] = set()  # packs that are relied on and are not there
        self._seen: set[str] = set()  # packs that are relied on and are there
        self._is_published_safely = False
        self._relied: dict[str, list[str]] = {}  # payloads that must be there, and their bases
        self._shipped: set[str] = set()  # of these, what was sent, or looked at
        self._courier = self._new_courier()
        self._packs = self._bytes = self._progress = 0
        self._known_keyless: set[str] = set()  # that were at the remote before
        self._gone: set[str | None] = set()  # keys of versions whose payload nobody has any more
        self._finals: dict[Log, int] = {}  # ends that the remote had
        self._set_back: list[Left] = []
        self._payload = True
        self._restored = False
        self._unfinished: set[str | None] = set()  # keys where a purged version has no stub yet

    def plan(self, selection: Selection, *, payload: bool = True) -> PushPlan:
        """Return what `push` would do now."""
        work = self._work(selection)
        shipments: list[Shipment] = []
        self._prepare(work, shipments.append, payload=payload)
        versions = [
            Sent(log.key, number, manifest.id)
            for log, found in work.versions.items()
            for number, manifest in found
            if manifest.uid in work.ready and number > self._pair.ledger.end(log)
        ]
        versions += [Sent(None, None, m.id) for m in work.keyless if m.uid in work.ready]
        others = [log for log in work.logs if log.name != VERSIONS]
        entries = sum(entry.uid in work.ready for log in others for entry in self._unpublished(log))
        entries += len(work.progress)
        size = sum(shipment.size_bytes for shipment in shipments)
        requests = 2 + len(work.logs) + len(versions) + entries
        requests += sum(shipment.requests for shipment in shipments)
        packs = sum(shipment.packs for shipment in shipments)
        return PushPlan(self._pair.name, versions, entries, packs, size, requests, work.left)

    def push(self, selection: Selection, *, payload: bool = True) -> Pushed:
        """Publish what the remote does not have of the selected keys.

        Raise NotFoundError where a key is nowhere, or what the remote raises; what was published
        until then stays so, and the next push goes on behind it.
        """
        held = self._pair.backend.together(GC_LOCK)
        try:
            return self._push(selection, payload=payload)
        finally:
            held.release()

    def _push(self, selection: Selection, *, payload: bool) -> Pushed:
        finish(self._pair.backend, self._pair.index)
        self._payload = payload
        work = self._work(selection)
        superseded: list[Superseded] = []
        try:
            work = self._met(work, selection)
            self._unfinished = {record.key for record in purged_records(self._pair.index)}
            self._prepare(work, self._ship, payload=payload)
            self._secure(work)
            self._note_begun(work)
            self._put_beside(work)
            self._publish_gone(work)
            self._publish_keyless(work)
            self._publish_all([*work.versions, *self._named_logs(work)], work)
            self._purge_all(selection)
            others = [log for log in work.logs if log.name != VERSIONS]
            self._hold_back(work, others)
            self._secure_published(work)
            self._publish_all(others, work)
            if self._restored:
                self._secure_published(work)
            self._publish_progress(work)
        except BaseException as error:
            if not self._is_published_safely:
                self._look_again(work)
            self._tell(error)
            raise
        finally:
            self._pair.ledger.save()
            self._pair.reporter.finish()
        for log, uids in self._entries.items():
            superseded += self._pair.superseded(log, uids)
        return Pushed(
            self._pair.name,
            sorted(self._sent.values(), key=lambda sent: (sent.key or "", sent.number or 0)),
            self._entry_count,
            self._packs,
            self._bytes,
            list(self._renumbered.values()),
            superseded,
            work.left + self._set_back,
        )

    @property
    def _entry_count(self) -> int:
        return sum(map(len, self._entries.values())) + self._progress

    def _tell(self, error: BaseException) -> None:
        """Say what was published before it came to an end."""
        count = len(self._sent)
        refs = ", ".join(sent.ref for sent in list(self._sent.values())[-3:])
        parts = (
            [f"{count} versions, the last of them {refs}" if count > 3 else refs] if count else []
        )
        if entries := self._entry_count:
            parts.append("1 entry" if entries == 1 else f"{entries} entries")
        if parts:
            told = " and ".join(parts)
            self._pair.reporter.warn(f"published at {self._pair.name} before that: {told}")
        elif isinstance(error, KeyboardInterrupt):
            self._pair.reporter.warn(f"nothing was published at {self._pair.name}")

    # -- what is to be done ----------------------------------------------------------------------

    def _met(self, work: _Work, selection: Selection) -> _Work:
        """Take in what the remote has of keys of which that was not known, so that nothing is sent of
        what was purged there; return what is to be pushed then. Payloads are looked at all the same."""
        self._meet_keyless(work)
        unknown = [log for log in work.versions if not self._pair.ledger.end(log)]
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "look") as threads:
            sizes = threads.map(self._remote.size, [log.file(1) for log in unknown])
            keys = {log.key for log, size in zip(unknown, sizes, strict=True) if size is not None}
        if not keys:
            return work
        logs = [log for log in work.logs if log.key in keys and log.name != VERSIONS]
        if not self._authority:
            logs += [state for key in keys if (state := Log(key, STATE)) not in logs]
        known = [log for log in unknown if log.key in keys]
        lost = [log.key for log in [*known, *logs] if not self._took_in(log, work)]
        again = self._work(selection, dict.fromkeys(known, 0))
        again.logs = [log for log in again.logs if log.key not in lost]
        again.versions = {log: found for log, found in again.versions.items() if log in again.logs}
        again.keyless = work.keyless
        again.left += [left for left in work.left if left not in again.left]
        return again

    def _meet_keyless(self, work: _Work) -> None:
        there = set(self._remote.names("anonymous")) if work.keyless else set()
        for manifest in [m for m in work.keyless if f"{m.uid}.yaml" in there]:
            if self._agrees(manifest, work):
                self._known_keyless.add(manifest.uid)
            else:
                work.keyless.remove(manifest)

    def _agrees(self, manifest: Manifest, work: _Work) -> bool:
        """Whether the remote has the same as we for a keyless version; of a stub on one side both get
        one."""
        name = f"anonymous/{manifest.uid}.yaml"
        ours, theirs = self._pair.backend.read(name), self._present(name)
        if ours == theirs:
            return True
        found: Manifest | None = None
        with contextlib.suppress(CorruptError):
            found = parse_anonymous(manifest.uid, theirs or b"")
        if found and found.is_stub and theirs is not None:
            with self._lock, self._pair.index.replacing(None):
                self._pair.backend.replace(name, theirs)
            self._pair.ledger.note_keyless(manifest.uid)
        elif found and manifest.is_stub:
            for record in self._records(None):
                if record.uid == manifest.uid:
                    put_stub(self._remote, record)
            return True
        else:
            reason = f"{self._pair.name} has something else at {name}"
            hint = f"art remote check {self._pair.name}"
            work.left.append(Left(name, reason, hint, is_conflict=True))
        return False

    def _work(self, selection: Selection, starts: Mapping[Log, int] | None = None) -> _Work:
        """Return what is new here: beyond `starts`, or what is known to be at the remote."""
        pair = self._pair
        pair.index.ask(lambda index: index.refresh_all())
        tails = pair.index.ask(lambda index: index.tails())
        ends = {log: number for log, (number, _) in tails.items()}
        self._check_ledger(tails, selection)
        work = _Work()
        for log, end in sorted(ends.items(), key=lambda item: item[0].directory):
            start = (starts or {}).get(log, pair.ledger.start(log))
            if selection.has(log.key) and end > start:
                self._add_log(work, log, start)
        if selection.has(None):
            self._add_keyless(work)
        self._add_progress(work, selection)
        for pattern in selection.unmatched(log.key for log in ends):
            self._refuse_unknown(pattern)
        return work

    def _check_ledger(self, tails: Mapping[Log, tuple[int, str]], selection: Selection) -> None:
        """See to it that nothing counts as published because something else was, under its number; warn
        of what is published and missing here."""
        ledger, name = self._pair.ledger, self._pair.name
        for log, (number, uid) in tails.items():
            if ledger.is_replaced(log, number, uid):
                ledger.note_end(log, number - 1)
        lost = ledger.beyond({log: number for log, (number, _) in tails.items()})
        for log, number in [each for each in lost if selection.has(each[0].key)][:_SHOWN]:
            self._pair.reporter.warn(
                f"{log.called(number)} is missing here and published at {name}: "
                f"`art fetch --remote {name}` brings it back"
            )

    def _refuse_unknown(self, pattern: str) -> None:
        """Raise NotFoundError where a pattern matches nothing, unless it means keys of the remote."""
        hint = "`art ls` shows the keys there are"
        alone = Selection([pattern])
        if alone.exact:
            raise NotFoundError(f"there is no key {pattern!r}", hint=hint)
        found = (Log.of(item.name) for item in self._remote.walk("manifests"))
        if not any(located and alone.has(located[0].key) for located in found):
            where = f"neither here nor at {self._pair.name}"
            raise NotFoundError(f"no key matches {pattern!r}, {where}", hint=hint)

    def _add_log(self, work: _Work, log: Log, start: int) -> None:
        try:
            parsed = [
                (number, log.parse(number, data))
                for number, data in enumerate(self._pair.merger.local(log, start), start + 1)
            ]
        except CorruptError as error:  # the other logs are as good as before
            work.left.append(Left(log.called(start + 1), *_why(error)))
            return
        if self._authority and (beyond := self._beyond(log, parsed)):
            work.left.append(beyond)
            final = self._authority.ledger.end(log)
            parsed = [(number, document) for number, document in parsed if number <= final]
        if not parsed:
            return
        work.logs.append(log)
        work.starts[log] = start
        work.ready |= {document.uid for _, document in parsed}
        if log.name == VERSIONS:
            work.versions[log] = [(n, m) for n, m in parsed if isinstance(m, Manifest)]

    def _beyond(self, log: Log, parsed: list[tuple[int, Manifest | Entry]]) -> Left | None:
        """Return what a mirror must not get: numbers that the authority has not given."""
        assert self._authority
        final = self._authority.ledger.end(log)
        numbers = [number for number, _ in parsed if number > final]
        if not numbers:
            return None
        return Left(
            log.called(numbers[0]),
            f"{self._authority.name} gives the numbers, and does not have it yet",
            f"art push --remote {self._authority.name}",
            is_conflict=True,
        )

    def _add_keyless(self, work: _Work) -> None:
        for uid in self._pair.local.catalog.anonymous_uids():
            if not self._pair.ledger.has_keyless(uid):
                try:
                    work.keyless.append(self._pair.local.catalog.anonymous(uid))
                    work.ready.add(uid)
                except CorruptError as error:
                    work.left.append(Left(f"anonymous/{uid}.yaml", *_why(error)))

    def _add_progress(self, work: _Work, selection: Selection) -> None:
        for record in self._pair.index.ask(lambda index: index.of_type("progress")):
            if not selection.has(record.key) or not record.is_live:
                continue
            try:
                document = self._pair.local.catalog.progress(record.uid)
            except CorruptError as error:
                work.left.append(Left(record.ref, *_why(error)))
                continue
            if document and document["sequence"] > self._pair.ledger.progress(record.uid):
                work.progress.append((record.uid, document["sequence"]))

    # -- payloads --------------------------------------------------------------------------------

    def _prepare(self, work: _Work, use: Callable[[Shipment], object], *, payload: bool) -> None:
        """Give what the remote needs of each new version's payload to `use`, which plans or ships.
        Versions whose payload cannot come, and all that build on them, are taken out of `work`."""
        for log, versions in work.versions.items():
            bases = self._bases(log)
            for at, (_, manifest) in enumerate(versions):
                if not self._prepare_one(work, manifest, bases, use, payload=payload):
                    work.ready -= {held.uid for _, held in versions[at:]}
                    break
                if manifest.payload and manifest.payload.tree:
                    bases = [manifest.payload.tree, *bases[: _BASES - 1]]
        for manifest in work.keyless:
            if not self._prepare_one(work, manifest, [], use, payload=payload):
                work.ready.discard(manifest.uid)

    def _prepare_one(
        self,
        work: _Work,
        manifest: Manifest,
        bases: list[str],
        use: Callable[[Shipment], object],
        *,
        payload: bool,
    ) -> bool:
        """Return whether the payload is, or will be, at the remote."""
        try:
            shipment = self._shipment(manifest, bases, payload=payload)
            if shipment:
                use(shipment)
        except (NotFoundError, CorruptError) as error:
            reason, hint = _why(error)
            if payload and isinstance(error, NotFoundError) and self._pair.has_others:
                hint = f"art pull --all {manifest.key or ''}".rstrip()
            work.left.append(Left(self._ref_of(manifest), reason, hint))
            return False
        return True

    def _ship(self, shipment: Shipment) -> None:
        shipped = self._courier.ship(shipment)
        self._shipped.add(shipment.payload)
        self._packs += shipped.packs
        self._bytes += shipped.size_bytes

    def _shipment(self, manifest: Manifest, bases: list[str], *, payload: bool) -> Shipment | None:
        tree = manifest.payload.tree if manifest.payload else None
        if not tree or manifest.is_stub:
            return None
        if self._is_gone(manifest):
            self._gone.add(manifest.key)
            return None
        return self._needed(tree, [*bases, *self._inputs(manifest)], payload=payload)

    def _needed(self, tree: str, bases: list[str], *, payload: bool) -> Shipment | None:
        """Return what is to be sent of a payload on which the remote will rely."""
        if self._avoid is None:
            self._since = _clocks()
            self._avoid = self._pair.remote.objects.marked_packs()
            self._courier = self._new_courier()
        self._relied[tree] = bases
        if payload:
            return self._courier.plan(tree, bases)
        if not self._is_safe(tree):
            raise NotFoundError(
                f"its payload is not at {self._pair.name}", hint="push without --no-payload"
            )
        return None

    def _is_safe(self, tree: str) -> bool:
        """Whether the remote has a payload, and not only in packs that are to go."""
        if not self._avoid:
            return bool(self._remote.names(layout_directory(tree)))
        remote = self._pair.remote.objects
        return remote.stored(tree, self._pair.scratch, self._avoid) is not None

    def _new_courier(self) -> Courier:
        pair = self._pair
        return Courier(
            pair.local.objects,
            pair.remote.objects,
            pair.scratch,
            pair.reporter,
            pair.jobs,
            avoid=self._avoid or frozenset(),
        )

    # -- what gc may take away meanwhile (FORMAT §13) --------------------------------------------

    def _secure(self, work: _Work) -> None:
        """Send anew what lies in packs that were marked since they were relied on. What cannot come is
        taken out of `work`."""
        while self._relied:
            new, is_missing = self._endangered()
            new |= self._missing_packs()
            if not new and not is_missing:
                return
            self._avoid = (self._avoid or set()) | new
            self._drop_lost_layouts()
            self._courier = self._new_courier()
            for tree, bases in list(self._relied.items()):
                self._shipped.discard(tree)
                try:
                    if shipment := self._needed(tree, bases, payload=self._payload):
                        self._ship(shipment)
                except (NotFoundError, CorruptError) as error:
                    del self._relied[tree]
                    self._give_up(work, tree, error)

    def _secure_published(self, work: _Work) -> None:
        """The same after versions are there. Where it fails they count as not published, so that the
        next push looks again."""
        self._is_published_safely = False
        left = len(work.left)
        self._secure(work)
        self._is_published_safely = True
        if len(work.left) > left:
            self._look_again(work)
            return
        for log in work.versions:
            self._pair.ledger.note_again(log, None)

    def _note_begun(self, work: _Work) -> None:
        """Let the next push look at payloads again where this one is killed before it does."""
        if self._avoid is not None:
            for log in work.versions:
                self._pair.ledger.note_again(log, work.starts[log])
            self._pair.ledger.save()

    def _look_again(self, work: _Work) -> None:
        """Let the next push look whether the payloads are there."""
        if self._avoid is not None:
            for log in work.versions:
                self._pair.ledger.note_again(log, work.starts[log])
            for manifest in work.keyless:
                self._pair.ledger.forget_keyless(manifest.uid)

    def _endangered(self) -> tuple[set[str], bool]:
        """Return the packs that were marked since this was asked, or, where gc may have been through in
        the meantime, are gone; and whether a payload may be missing."""
        began = _clocks()
        new = self._pair.remote.objects.marked_packs()
        is_late = max(now - then for now, then in zip(began, self._since, strict=True))
        is_missing = False
        if is_late > _SAFE_SECONDS:
            packs, is_missing = self._relied_packs()
            self._lost |= packs - set(self._pair.remote.objects.pack_ids())
            new |= self._lost
            self._since = began
        return new - (self._avoid or set()), is_missing

    def _relied_packs(self) -> tuple[set[str], bool]:
        """Return the packs through which everything is read that must be there, and whether some of it
        cannot be read at all."""
        packs: set[str] = set()
        is_missing = False
        for tree in self._relied:
            try:
                found = self._pair.remote.objects.stored(
                    tree, self._pair.scratch, self._avoid or frozenset()
                )
            except CorruptError:
                found = None
            packs |= found.packs() if found else set()
            is_missing |= found is None
        return packs, is_missing

    def _missing_packs(self) -> set[str]:
        """Return packs that were at the remote, as its layouts say, and are not."""
        remote = self._pair.remote.objects
        if not remote.is_remote:  # there nothing but packs that are there is relied on
            return set()
        avoid = self._avoid or set()
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "packs") as threads:
            found = threads.map(self._packs_of, self._relied.keys() - self._shipped)
            packs = self._courier.relied_packs.union(*found) - self._seen - avoid
            if len(packs) > _SIZES_LIMIT:
                there = packs.intersection(remote.pack_ids())
            else:
                sizes = threads.map(self._remote.size, map(pack_name, packs))
                there = {p for p, size in zip(packs, sizes, strict=True) if size is not None}
        self._shipped |= self._relied.keys() if there == packs else set()
        self._seen |= there
        self._lost |= packs - there
        return packs - there

    def _packs_of(self, tree: str) -> set[str]:
        remote = self._pair.remote.objects
        with contextlib.suppress(CorruptError):  # then it is sent again
            found = remote.stored(tree, self._pair.scratch, self._avoid or frozenset())
            return found.packs() if found else set()
        return set()

    def _drop_lost_layouts(self) -> None:
        """Delete the layouts, of what is pushed here, through which nothing can be read any more."""
        for tree in self._relied if self._lost else ():
            with contextlib.suppress(CorruptError):
                for found in self._pair.remote.objects.readings(tree, self._pair.scratch):
                    if not found.packs().isdisjoint(self._lost):
                        self._remote.delete(found.layout.name)

    def _give_up(self, work: _Work, tree: str, error: ArtError) -> None:
        """Take out the versions with a payload, and all that build on them."""
        for versions in [*work.versions.values(), [(0, m) for m in work.keyless]]:
            for at, (_, manifest) in enumerate(versions):
                if manifest.payload and manifest.payload.tree == tree:
                    work.left.append(Left(self._ref_of(manifest), *_why(error)))
                    rest = versions[at:] if manifest.key else versions[at : at + 1]
                    work.ready -= {held.uid for _, held in rest}
                    if manifest.key:
                        break

    def _ref_of(self, manifest: Manifest) -> str:
        known = self._pair.index.ask(lambda index: index.by_id(manifest.id, manifest.key))
        return known[0].ref if known else manifest.id

    def _inputs(self, manifest: Manifest) -> list[str]:
        """Return the payloads of what a version was made from."""
        ids = [str(entry["id"]) for entry in manifest.inputs[:_BASES]]
        found = [record for id in ids for record in self._pair.index.ask(partial(_by_id, id))]
        return [record.payload for record in found if record.payload]

    def _is_gone(self, manifest: Manifest) -> bool:
        """Whether it is known that nobody has the payload any more."""
        found = self._pair.index.ask(lambda index: index.by_id(manifest.id, manifest.key))
        return bool(found) and all(record.state in _GONE for record in found)

    def _bases(self, log: Log) -> list[str]:
        """Return the payloads of the newest versions of a key that the remote has."""
        end = self._pair.ledger.end(log)
        bases: list[str] = []
        for number in range(end, max(0, end - _LOOK_BACK), -1):  # purged ones give none
            if len(bases) == _BASES:
                break
            with contextlib.suppress(CorruptError, NotFoundError):
                manifest = self._pair.local.catalog.manifest(str(log.key), number)
                if manifest.payload and manifest.payload.tree:
                    bases.append(manifest.payload.tree)
        return bases

    # -- documents -------------------------------------------------------------------------------

    def _hold_back(self, work: _Work, logs: Iterable[Log]) -> None:
        """Keep back entries that name a version which is not published, and all that follow them."""
        self._pair.index.ask(lambda index: index.refresh_all())  # numbers may have changed
        for log in logs:
            entries = self._unpublished(log)
            for at, entry in enumerate(entries):
                if reason := self._reason_to_hold(entry):
                    work.ready -= {held.uid for held in entries[at:]}
                    work.left.append(Left(log.file(entry.number), *reason))
                    break

    def _reason_to_hold(self, entry: Entry) -> tuple[str, str | None] | None:
        """Return why an entry cannot be published: a version that it names is not there, or the payload
        of one that it restores cannot be."""
        missing = [id for key, id in _named(entry) if not self._is_published(key, id)]
        if missing:
            return f"it is about {missing[0][:15]}, which is not at {self._pair.name}", "art push"
        if entry.document.get("state") == "restored":
            for record in self._restored_by(entry):
                try:
                    if shipment := self._needed(str(record.payload), [], payload=self._payload):
                        self._ship(shipment)
                except (NotFoundError, CorruptError) as error:
                    return _why(error)
                self._restored = True
        return None

    def _restored_by(self, entry: Entry) -> list[Record]:
        ids = [id for _, id in _named(entry)]
        found = [r for id in ids for r in self._pair.index.ask(partial(_by_id, id))]
        return [r for r in found if r.key == entry.key and r.payload and r.is_live]

    def _is_published(self, key: str | None, id: str) -> bool:
        records = self._pair.index.ask(lambda index: index.by_id(id, key))
        if key is None:
            return any(self._pair.ledger.has_keyless(record.uid) for record in records)
        end = self._pair.ledger.end(Log(key, VERSIONS))
        return any(record.number is not None and record.number <= end for record in records)

    def _unpublished(self, log: Log) -> list[Entry]:
        start = self._pair.ledger.end(log)
        parsed = (
            log.parse(number, data)
            for number, data in enumerate(self._pair.merger.local(log, start), start + 1)
        )
        return [entry for entry in parsed if isinstance(entry, Entry)]

    def _publish_gone(self, work: _Work) -> None:
        """Publish what is said of versions whose payload nobody has any more before they come, so that
        they are not live without one at any moment."""
        versions = [m for found in work.versions.values() for _, m in found] + work.keyless
        coming = {manifest.id for manifest in versions if manifest.uid in work.ready}
        early = _Work()
        for log in [log for log in work.logs if log.name == STATE and log.key in self._gone]:
            for entry in self._unpublished(log):
                is_end = entry.document.get("state") in ("deleted", *_GONE)
                named = [id for key, id in _named(entry) if not self._is_published(key, id)]
                if not is_end or not coming.issuperset(named) or entry.uid not in work.ready:
                    break
                early.ready.add(entry.uid)
            early.logs.append(log)
        self._publish_all(early.logs, early)
        work.left += early.left

    def _named_logs(self, work: _Work) -> list[Log]:
        """Return the logs of versions of which something is to be published and no version is new: the
        remote may have lost them."""
        logs = {Log(log.key, VERSIONS) for log in work.logs if log.key is not None}
        return [log for log in logs - work.versions.keys() if self._pair.ledger.end(log)]

    def _publish_all(self, logs: list[Log], work: _Work) -> None:
        """Publish what is ready of these logs, many at once. Where another writer was first, take in
        what is there and go on behind it."""
        while logs:
            again: list[Log] = []
            lost: list[Log] = []
            with ThreadPoolExecutor(_LOGS_AT_ONCE, "publish") as threads:
                futures = [(log, threads.submit(self._publish, log, work)) for log in logs]
                try:
                    for log, future in futures:
                        try:
                            future.result()
                        except _TakenError as error:
                            again.append(log)
                            lost += [log] if isinstance(error, _LostError) else []
                except BaseException:
                    self._stop.set()
                    threads.shutdown(cancel_futures=True)  # and wait for what was begun
                    raise
            logs = [log for log in again if self._took_in(log, work)]
            for log in lost:
                if log in logs:
                    self._bring_again(log, work)

    def _bring_again(self, log: Log, work: _Work) -> None:
        """Make ready what the remote has lost of a log, payloads too."""
        again = _Work()
        self._add_log(again, log, self._pair.ledger.end(log))
        self._prepare(again, self._ship, payload=self._payload)
        self._put_beside(again)
        if log.name != VERSIONS:
            self._hold_back(again, [log])
        work.ready |= again.ready
        work.left += [left for left in again.left if left not in work.left]

    def _took_in(self, log: Log, work: _Work) -> bool:
        """Take in what the remote has of a log; where that is damaged, only this log is left."""
        try:
            self._take_in(log)
        except CorruptError as error:
            name = log.file(self._pair.ledger.end(log) + 1)
            work.left.append(Left(name, *_why(error)))
            return False
        return True

    def _take_in(self, log: Log) -> None:
        before = self._pair.ledger.end(log)
        if self._authority:
            self._compare_with_mirror(log, self._authority)
        else:
            finals = max(self._finals.get(log, 0), before)
            for item in Fetcher(self._pair).fetch_log(log):
                first = self._renumbered.get(item.id)
                if item.key == log.key and log.name == VERSIONS and item.old <= finals:
                    self._set_back.append(_set_back(self._pair.name, item))
                old = first.old if first else item.old
                self._renumbered[item.id] = Renumbered(item.key, old, item.new, item.id)
        rounds, end = self._rounds.get(log, (0, before))
        is_new = self._pair.ledger.end(log) > end
        self._rounds[log] = (0 if is_new else rounds + 1, self._pair.ledger.end(log))
        if rounds > _ROUNDS:
            name = log.file(self._pair.ledger.end(log) + 1)
            raise UnavailableError(f"{name} is taken at {self._pair.name} and cannot be read")

    def _compare_with_mirror(self, log: Log, authority: Authority) -> None:
        """Go on behind what a mirror has and we have, too: it may have lost what came after that, or
        another writer brought some of it. Raise ConflictError where it has something else."""
        ours = self._pair.merger.local(log, 0)
        contents = self._pair.reader.following(log, 0)
        for number, (mine, theirs) in enumerate(zip(ours, contents, strict=False), 1):
            if _uid(log, number, mine) != _uid(log, number, theirs):
                raise ConflictError(
                    f"{log.called(number)} is another one at {self._pair.name} "
                    f"than at {authority.name}",
                    hint=f"art remote check {self._pair.name}",
                )
        both = min(len(ours), len(contents))
        uid = _uid(log, both, ours[both - 1]) if both else None
        self._pair.ledger.note_end(log, both, uid)

    def _publish(self, log: Log, work: _Work) -> None:
        """Publish the documents of a log that follow what the remote has, as far as they are ready."""
        end = self._pair.ledger.end(log)
        contents = self._pair.merger.local(log, max(end, 1) - 1)
        if end and not self._is_there(log, end, contents.pop(0)):
            self._finals[log] = end
            self._pair.ledger.note_end(log, 0)
            raise _LostError
        following = list(enumerate(contents, end + 1))
        for number, data in following:
            document = log.parse(number, data)
            if self._stop.is_set():
                return
            if document.uid not in work.ready:
                if any(_uid(log, n, d) in work.ready for n, d in following[number - end :]):
                    raise _TakenError  # a fetch took in what is at the remote, and ours has moved
                return
            name = log.file(number)
            if not self._remote.create(name, data) and self._present(name) != data:
                raise _TakenError
            with self._lock:
                self._pair.ledger.note_end(log, number, document.uid)
                self._count(log, number, document)
            self._bundle(log, number)

    def _is_there(self, log: Log, number: int, data: bytes) -> bool:
        """Whether the remote still has what it had. Where it lost something, both sides are compared.
        What was purged here is purged there, too."""
        theirs = self._present(log.file(number))
        if theirs is None or theirs == data:
            return theirs is not None
        with contextlib.suppress(CorruptError):
            present, ours = log.parse(number, theirs), log.parse(number, data)
            if present.uid == ours.uid and _is_stub(ours):
                self._purge(log, number)
                return True
        return False

    def _records(self, key: str | None) -> list[Record]:
        with self._lock:
            return self._pair.index.ask(lambda index: index.versions(key))

    def _put_beside(self, work: _Work) -> None:
        """Bring previews, and records of runs, before the manifests that name them. What is not here may
        be missing there, too (FORMAT §8.1)."""

        def put(name: str) -> None:
            with contextlib.suppress(FileNotFoundError, CorruptError):
                self._remote.create(name, read_beside(self._pair.backend, name))

        manifests = [m for found in work.versions.values() for _, m in found] + work.keyless
        ready = [m for m in manifests if m.uid in work.ready and not m.is_stub]
        named = {name for manifest in ready for name in names_beside(manifest.document)}
        self._all([partial(put, name) for name in sorted(named)])

    def _purge_all(self, selection: Selection) -> None:
        """Replace manifests that are stubs here and were met at the remote as they were before."""
        for name in self._pair.ledger.unpurged():
            located = Log.of(name)
            if located and selection.has(located[0].key):
                self._purge(*located)
                self._pair.ledger.note_unpurged(name, is_so=False)

    def _purge(self, log: Log, number: int) -> None:
        """Replace a manifest at the remote by the stub that is here."""
        for record in self._records(log.key):
            if record.number == number and record.state == "purged":
                put_stub(self._remote, record)

    def _present(self, name: str) -> bytes | None:
        try:
            return self._remote.read(name, 0, documents.READ_LIMIT)
        except FileNotFoundError:
            return None

    def _bundle(self, log: Log, number: int) -> None:
        """Write the checkpoints that are due, unless one might bring back what was purged."""
        if not checkpoint.due(number) or not self._knows_of_purges(log):
            return
        for first, last in checkpoint.due(number):
            read = self._pair.backend.read
            contents = [read(log.file(each)) for each in range(first, last + 1)]
            name, data = checkpoint.name(log, first, last), checkpoint.encode(contents)
            if not self._remote.create(name, data):  # of documents that the remote lost since
                self._remote.replace(name, data)

    def _knows_of_purges(self, log: Log) -> bool:
        """Whether all that is said at the remote of a key's versions is known here, and was done."""
        if log.name != VERSIONS:
            return True
        states = Log(log.key, STATE)
        following = states.file(self._pair.ledger.end(states) + 1)
        return log.key not in self._unfinished and self._remote.size(following) is None

    def _count(self, log: Log, number: int, document: Manifest | Entry) -> None:
        self._pair.reporter.advance(files=1)
        if isinstance(document, Manifest):
            self._sent[document.uid] = Sent(log.key, number, document.id)
        else:
            self._entries.setdefault(log, set()).add(document.uid)

    def _publish_keyless(self, work: _Work) -> None:
        def publish(manifest: Manifest) -> None:
            name = f"anonymous/{manifest.uid}.yaml"
            data = self._pair.backend.read(name)
            is_known = manifest.uid in self._known_keyless
            is_there = is_known or not self._remote.create(name, data)
            if is_there and not is_known and not self._agrees(manifest, work):
                return
            with self._lock:
                self._pair.ledger.note_keyless(manifest.uid)
                if not is_known:
                    self._sent[manifest.uid] = Sent(None, None, manifest.id)

        self._all([partial(publish, m) for m in work.keyless if m.uid in work.ready])

    def _publish_progress(self, work: _Work) -> None:
        def publish(uid: str) -> None:
            name = f"progress/{uid}.yaml"
            ours = self._pair.backend.read(name)
            theirs = self._present(name)
            there: ProgressRank | None = None
            if theirs is not None:
                with contextlib.suppress(CorruptError):  # then this mends it
                    there = progress_rank(name, theirs)
            rank = progress_rank(name, ours)
            is_new = there is None or there < rank
            if is_new:
                self._remote.replace(name, ours)
            elif theirs is not None and there is not None and rank < there:
                take_progress(self._pair, uid, theirs)
            with self._lock:
                self._progress += is_new
                self._pair.ledger.note_progress(uid, max(rank, there or rank)[0])

        self._all([partial(publish, uid) for uid, _ in work.progress])

    def _all(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Do all of it, many at once, up to the first that fails."""
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "publish") as threads:
            try:
                for future in [threads.submit(job) for job in jobs]:
                    future.result()
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise


def _clocks() -> tuple[float, float]:
    """Return two clocks, in seconds: one may be set back, the other one stops while a machine sleeps."""
    return time.time(), time.monotonic()


def _uid(log: Log, number: int, data: bytes) -> str:
    return log.parse(number, data).uid


def _is_stub(document: Manifest | Entry) -> bool:
    return isinstance(document, Manifest) and document.is_stub


def _set_back(remote: str, item: Renumbered) -> Left:
    return Left(
        f"{item.key}@v{item.old}",
        f"{remote} had published it, and has another version there now: it is v{item.new} now",
        f"art remote check {remote}",
        is_conflict=True,
    )


def _why(error: ArtError) -> tuple[str, str | None]:
    return error.message, error.hint


def _by_id(id: str, index: Index) -> list[Record]:
    return index.by_id(id)


def _named(entry: Entry) -> list[tuple[str | None, str]]:
    """Return key and id of the versions that an entry is about, and of what they became."""
    versions = entry.document.get("versions") or []
    named: list[tuple[str | None, str]] = [(entry.key, str(each["id"])) for each in versions]
    named += [(each["to"]["key"], str(each["to"]["id"])) for each in versions if "to" in each]
    return named + ([(entry.key, entry.version_id)] if entry.version_id else [])
