"""Bringing to a remote what only this repository has: payloads first, then versions, then the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from art import checkpoint
from art import document as documents
from art.catalog import VERSIONS, Log, parse_anonymous
from art.errors import ConflictError, CorruptError, NotFoundError
from art.fetch import Fetcher, renumbered
from art.index import Index, Record
from art.merge import Ledger
from art.model import Entry, Manifest
from art.objects import layout_directory
from art.sync import Left, Pairing, Pushed, PushPlan, Renumbered, Selection, Sent, Superseded
from art.transfer import Courier, Shipment

_LOGS_AT_ONCE = 32
_BASES = 3  # versions whose chunks are looked for at the remote before a payload is sent
_GONE = ("swept", "purged")


@dataclass(frozen=True)
class Authority:
    """The remote that gives the numbers: its name, and what is known to be there."""

    name: str
    ledger: Ledger


class _TakenError(Exception):
    """Another writer has the next number of a log at the remote."""


@dataclass
class _Work:
    """What is to be pushed. `ready` are the uids of documents that may be published."""

    logs: list[Log] = field(default_factory=list)
    versions: dict[Log, list[tuple[int, Manifest]]] = field(default_factory=dict)
    keyless: list[Manifest] = field(default_factory=list)
    progress: list[tuple[str, int]] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
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
        self._courier = Courier(
            pair.local.objects, pair.remote.objects, pair.scratch, pair.reporter
        )
        self._packs = self._bytes = 0

    def plan(self, selection: Selection, *, payload: bool = True) -> PushPlan:
        """Return what `push` would do now."""
        work = self._work(selection)
        shipments = [found for _, found in self._shipments(work, payload=payload) if found]
        versions = [
            Sent(log.key, number, manifest.id)
            for log, found in work.versions.items()
            for number, manifest in found
            if manifest.uid in work.ready
        ]
        versions += [Sent(None, None, m.id) for m in work.keyless if m.uid in work.ready]
        entries = sum(len(self._unpublished(log)) for log in work.logs if log.name != VERSIONS)
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
        work = self._work(selection)
        superseded: list[Superseded] = []
        try:
            for _, shipment in self._shipments(work, payload=payload):
                if shipment:
                    shipped = self._courier.ship(shipment)
                    self._packs += shipped.packs
                    self._bytes += shipped.size_bytes
            self._publish_keyless(work)
            for is_versions in (True, False):
                logs = [log for log in work.logs if (log.name == VERSIONS) == is_versions]
                if not is_versions:
                    self._hold_back(work, logs)
                self._publish_all(logs, work)
            self._publish_progress(work)
        except BaseException as error:
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
            sum(map(len, self._entries.values())),
            self._packs,
            self._bytes,
            list(self._renumbered.values()),
            superseded,
            work.left,
        )

    def _tell(self, error: BaseException) -> None:
        """Say what was published before it came to an end."""
        if self._sent:
            refs = ", ".join(sent.ref for sent in list(self._sent.values())[-3:])
            count = len(self._sent)
            more = f"{count} versions, the last of them {refs}" if count > 3 else refs
            self._pair.reporter.warn(f"published at {self._pair.name} before that: {more}")
        elif isinstance(error, KeyboardInterrupt):
            self._pair.reporter.warn(f"nothing was published at {self._pair.name}")

    # -- what is to be done ----------------------------------------------------------------------

    def _work(self, selection: Selection) -> _Work:
        pair = self._pair
        pair.index.ask(lambda index: index.refresh_all())
        ends = pair.index.ask(lambda index: index.ends())
        work = _Work()
        for log, end in sorted(ends.items(), key=lambda item: item[0].directory):
            if selection.has(log.key) and end > pair.ledger.end(log):
                self._add_log(work, log)
        if selection.has(None):
            self._add_keyless(work)
        self._add_progress(work, selection)
        for key in selection.exact or ():
            if Log(key, VERSIONS) not in ends:
                raise NotFoundError(
                    f"there is no key {key!r}", hint="`art ls` shows the keys there are"
                )
        return work

    def _add_log(self, work: _Work, log: Log) -> None:
        start = self._pair.ledger.end(log)
        parsed = [
            (number, log.parse(number, data))
            for number, data in enumerate(self._pair.merger.local(log, start), start + 1)
        ]
        if self._authority and (beyond := self._beyond(log, parsed)):
            work.left.append(beyond)
            final = self._authority.ledger.end(log)
            parsed = [(number, document) for number, document in parsed if number <= final]
        if not parsed:
            return
        work.logs.append(log)
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
        name = f"{log.key}@v{numbers[0]}" if log.name == VERSIONS else log.file(numbers[0])
        return Left(
            name,
            f"{self._authority.name} gives the numbers, and does not have it yet",
            f"art push --remote {self._authority.name}",
            is_conflict=True,
        )

    def _add_keyless(self, work: _Work) -> None:
        for uid in self._pair.local.catalog.anonymous_uids():
            if not self._pair.ledger.has_keyless(uid):
                work.keyless.append(self._pair.local.catalog.anonymous(uid))
                work.ready.add(uid)

    def _add_progress(self, work: _Work, selection: Selection) -> None:
        for record in self._pair.index.ask(lambda index: index.of_type("progress")):
            if not selection.has(record.key) or not record.is_live:
                continue
            document = self._pair.local.catalog.progress(record.uid)
            if document and document["sequence"] > self._pair.ledger.progress(record.uid):
                work.progress.append((record.uid, document["sequence"]))

    # -- payloads --------------------------------------------------------------------------------

    def _shipments(
        self, work: _Work, *, payload: bool
    ) -> Iterator[tuple[Manifest, Shipment | None]]:
        """Yield what of each new version's payload the remote needs. Versions whose payload cannot
        come, and all that build on them, are taken out of `work`."""
        for log, versions in work.versions.items():
            bases = self._bases(log)
            for at, (number, manifest) in enumerate(versions):
                try:
                    yield manifest, self._shipment(manifest, bases, payload=payload)
                except (NotFoundError, CorruptError) as error:
                    work.ready -= {held.uid for _, held in versions[at:]}
                    ref = f"{log.key}@v{number}"
                    work.left.append(Left(ref, error.message, error.hint))
                    break
                if manifest.payload and manifest.payload.tree:
                    bases = [manifest.payload.tree, *bases[: _BASES - 1]]
        for manifest in work.keyless:
            try:
                yield manifest, self._shipment(manifest, [], payload=payload)
            except (NotFoundError, CorruptError) as error:
                work.ready.discard(manifest.uid)
                work.left.append(Left(manifest.id, error.message, error.hint))

    def _shipment(self, manifest: Manifest, bases: list[str], *, payload: bool) -> Shipment | None:
        tree = manifest.payload.tree if manifest.payload else None
        if not tree or manifest.is_stub or self._is_gone(manifest):
            return None
        if not payload:
            if not self._remote.names(layout_directory(tree)):
                raise NotFoundError(
                    f"its payload is not at {self._pair.name}", hint="push without --no-payload"
                )
            return None
        return self._courier.plan(tree, [*bases, *self._inputs(manifest)])

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
        bases = []
        for number in range(end, max(0, end - _BASES), -1):
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
                if not all(self._is_published(log, id) for id in _named(entry)):
                    work.ready -= {held.uid for held in entries[at:]}
                    break

    def _is_published(self, log: Log, id: str) -> bool:
        records = self._pair.index.ask(lambda index: index.by_id(id, log.key))
        if log.key is None:
            return any(self._pair.ledger.has_keyless(record.uid) for record in records)
        end = self._pair.ledger.end(Log(log.key, VERSIONS))
        return any(record.number is not None and record.number <= end for record in records)

    def _unpublished(self, log: Log) -> list[Entry]:
        start = self._pair.ledger.end(log)
        parsed = (
            log.parse(number, data)
            for number, data in enumerate(self._pair.merger.local(log, start), start + 1)
        )
        return [entry for entry in parsed if isinstance(entry, Entry)]

    def _publish_all(self, logs: list[Log], work: _Work) -> None:
        """Publish what is ready of these logs, many at once. Where another writer was first, take in
        what is there and go on behind it."""
        while logs:
            again = []
            with ThreadPoolExecutor(_LOGS_AT_ONCE, "publish") as threads:
                futures = [(log, threads.submit(self._publish, log, work)) for log in logs]
                try:
                    for log, future in futures:
                        try:
                            future.result()
                        except _TakenError:
                            again.append(log)
                except BaseException:
                    self._stop.set()
                    threads.shutdown(cancel_futures=True)  # and wait for what was begun
                    raise
            for log in again:
                self._take_in(log, work)
            logs = again

    def _take_in(self, log: Log, work: _Work) -> None:
        if self._authority:
            number = self._pair.ledger.end(log) + 1
            name = f"{log.key}@v{number}" if log.name == VERSIONS else log.file(number)
            raise ConflictError(
                f"{name} is another one at {self._pair.name} than at {self._authority.name}",
                hint=f"art remote check {self._pair.name}",
            )
        merged, _ = Fetcher(self._pair).fetch_log(log)
        if log.name == VERSIONS:
            for item in renumbered(log, merged):
                first = self._renumbered.get(item.id)
                old = first.old if first else item.old
                self._renumbered[item.id] = Renumbered(item.key, old, item.new, item.id)

    def _publish(self, log: Log, work: _Work) -> None:
        """Publish the documents of a log that follow what the remote has, as far as they are ready."""
        end = self._pair.ledger.end(log)
        contents = self._pair.merger.local(log, max(end, 1) - 1)
        if end and not self._is_there(log, end, contents.pop(0)):
            self._pair.ledger.note_end(log, 0)
            raise _TakenError
        for number, data in enumerate(contents, end + 1):
            document = log.parse(number, data)
            if document.uid not in work.ready or self._stop.is_set():
                return
            name = log.file(number)
            if not self._remote.create(name, data) and self._present(name) != data:
                raise _TakenError
            with self._lock:
                self._pair.ledger.note_end(log, number)
                self._count(log, number, document)
            self._bundle(log, number)

    def _is_there(self, log: Log, number: int, data: bytes) -> bool:
        """Whether the remote still has what it had. Where it lost something, both sides are compared."""
        try:
            return self._remote.read(log.file(number), 0, documents.READ_LIMIT) == data
        except FileNotFoundError:
            return False

    def _present(self, name: str) -> bytes | None:
        try:
            return self._remote.read(name, 0, documents.READ_LIMIT)
        except FileNotFoundError:
            return None

    def _bundle(self, log: Log, number: int) -> None:
        """Write the checkpoints that are due."""
        for first, last in checkpoint.due(number):
            contents = self._pair.merger.local(log, first - 1)[: last - first + 1]
            self._remote.create(checkpoint.name(log, first, last), checkpoint.encode(contents))

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
            if not self._remote.create(name, data) and self._present(name) != data:
                raise CorruptError(f"{self._pair.name} has something else at {name}")
            parse_anonymous(manifest.uid, data)
            with self._lock:
                self._pair.ledger.note_keyless(manifest.uid)
                self._sent[manifest.uid] = Sent(None, None, manifest.id)

        ready = [manifest for manifest in work.keyless if manifest.uid in work.ready]
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "keyless") as threads:
            for _ in threads.map(publish, ready):
                pass

    def _publish_progress(self, work: _Work) -> None:
        for uid, _ in work.progress:
            name = f"progress/{uid}.yaml"
            data = self._pair.backend.read(name)
            sequence = documents.decode(data, name)["sequence"]
            theirs = self._present(name)
            if theirs is not None:
                with_theirs = documents.decode(theirs, name)["sequence"]
                if with_theirs >= sequence:
                    self._pair.ledger.note_progress(uid, with_theirs)
                    continue
            self._remote.replace(name, data)
            self._pair.ledger.note_progress(uid, sequence)


def _by_id(id: str, index: Index) -> list[Record]:
    return index.by_id(id)


def _named(entry: Entry) -> list[str]:
    """Return the ids of the versions that an entry is about."""
    ids = [str(version["id"]) for version in entry.document.get("versions") or []]
    return ids + ([entry.version_id] if entry.version_id else [])
