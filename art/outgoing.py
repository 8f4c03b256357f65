"""What is to be pushed: all that is new here, beyond what a remote is known to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from art.catalog import STATE, VERSIONS, Log
from art.errors import CorruptError, NotFoundError
from art.merge import Ledger
from art.model import Entry, Manifest, states
from art.sync import Left, Pairing, Selection

GONE = ("swept", "purged")  # states of versions whose payload nobody has any more
_SHOWN = 3  # losses that are told one by one


@dataclass(frozen=True)
class Authority:
    """The remote that gives the numbers: its name, and what is known to be there."""

    name: str
    ledger: Ledger


@dataclass
class Work:
    """What is to be pushed. `ready` are the uids of documents that may be published, of which those
    that are `waiting` come later; `starts` says up to which number both sides were the same before."""

    logs: list[Log] = field(default_factory=list)
    versions: dict[Log, list[tuple[int, Manifest]]] = field(default_factory=dict)
    keyless: list[Manifest] = field(default_factory=list)
    progress: list[tuple[str, int]] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    starts: dict[Log, int] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    @property
    def manifests(self) -> list[Manifest]:
        """All versions, with a key and without."""
        return [m for found in self.versions.values() for _, m in found] + self.keyless

    @property
    def entry_logs(self) -> list[Log]:
        """The logs that say something of versions, or of a key."""
        return [log for log in self.logs if log.name != VERSIONS]


class Outgoing:
    """Finds what is here and not at a remote."""

    def __init__(self, pair: Pairing, authority: Authority | None) -> None:
        """`authority` is the remote that gives the numbers, where that is another one: what has no
        number from there yet is left out."""
        self._pair = pair
        self._authority = authority

    def work(self, selection: Selection, starts: Mapping[Log, int] | None = None) -> Work:
        """Return what is new here: beyond `starts`, or what is known to be at the remote.

        Raise NotFoundError where a key is nowhere.
        """
        pair = self._pair
        pair.index.ask(lambda index: index.refresh_all())
        tails = pair.index.ask(lambda index: index.tails())
        ends = {log: number for log, (number, _) in tails.items()}
        self._check_ledger(tails, selection)
        work = Work()
        for log, end in sorted(ends.items(), key=lambda item: item[0].directory):
            start = (starts or {}).get(log, pair.ledger.start(log))
            if selection.has(log.key) and end > start:
                self.add_log(work, log, start)
        if selection.has(None):
            self._add_keyless(work)
        self._add_progress(work, selection)
        for pattern in selection.unmatched(log.key for log in ends):
            self._refuse_unknown(pattern)
        return work

    def add_log(self, work: Work, log: Log, start: int) -> None:
        """Add the documents of a log that come after number `start`."""
        try:
            parsed = [
                (number, log.parse(number, data))
                for number, data in enumerate(self._pair.merger.local(log, start), start + 1)
            ]
        except CorruptError as error:  # the other logs are as good as before
            work.left.append(Left.because(log.called(start + 1), error))
            return
        if self._authority and (beyond := _beyond(self._authority, log, parsed)):
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

    def unpublished(self, log: Log) -> list[Entry]:
        """Return the entries of a log that the remote does not have, in their order."""
        start = self._pair.ledger.end(log)
        parsed = (
            log.parse(number, data)
            for number, data in enumerate(self._pair.merger.local(log, start), start + 1)
        )
        return [entry for entry in parsed if isinstance(entry, Entry)]

    def untold(self, key: str | None) -> set[str]:
        """Return the ids of a key's versions whose payload nobody has any more, as entries say that the
        remote is not known to have."""
        end = self._pair.ledger.end(Log(key, STATE))
        entries = self._state_entries(key)
        there = states(entry for entry in entries if entry.number <= end)
        known = states(entries).items()
        return {id for id, state in known if state in GONE and there.get(id) != state}

    def is_unsaid(self, manifest: Manifest) -> bool:
        """Whether a mirror would get a stub of which nothing here says that it was purged, as the entry
        came to the authority after what was fetched from there."""
        if not (self._authority and manifest.is_stub):
            return False
        return states(self._state_entries(manifest.key)).get(manifest.id) != "purged"

    def _state_entries(self, key: str | None) -> list[Entry]:
        return self._pair.index.ask(lambda index: index.fresh_log(key, STATE))

    def is_published(self, key: str | None, id: str) -> bool:
        """Whether the remote has a version with this id, by what is known."""
        records = self._pair.index.ask(lambda index: index.by_id(id, key))
        if key is None:
            return any(self._pair.ledger.has_keyless(record.uid) for record in records)
        end = self._pair.ledger.end(Log(key, VERSIONS))
        return any(record.number is not None and record.number <= end for record in records)

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
        if pattern == self._pair.name:
            hint = f"{pattern} is a remote: --remote {pattern}"
        alone = Selection([pattern])
        if alone.exact:
            raise NotFoundError(f"there is no key {pattern!r}", hint=hint)
        found = (Log.of(item.name) for item in self._pair.remote.backend.walk("manifests"))
        if not any(located and alone.has(located[0].key) for located in found):
            where = f"neither here nor at {self._pair.name}"
            raise NotFoundError(f"no key matches {pattern!r}, {where}", hint=hint)

    def _add_keyless(self, work: Work) -> None:
        for uid in self._pair.local.catalog.anonymous_uids():
            if not self._pair.ledger.is_settled(uid):
                try:
                    work.keyless.append(self._pair.local.catalog.anonymous(uid))
                    work.ready.add(uid)
                except CorruptError as error:
                    work.left.append(Left.because(f"anonymous/{uid}.yaml", error))

    def _add_progress(self, work: Work, selection: Selection) -> None:
        for record in self._pair.index.ask(lambda index: index.of_type("progress")):
            if not selection.has(record.key) or not record.is_live:
                continue
            try:
                document = self._pair.local.catalog.progress(record.uid)
            except CorruptError as error:
                work.left.append(Left.because(record.ref, error))
                continue
            if document and document["sequence"] > self._pair.ledger.progress(record.uid):
                work.progress.append((record.uid, document["sequence"]))


def _beyond(
    authority: Authority, log: Log, parsed: list[tuple[int, Manifest | Entry]]
) -> Left | None:
    """Return what a mirror must not get: numbers that the authority has not given."""
    final = authority.ledger.end(log)
    numbers = [number for number, _ in parsed if number > final]
    if not numbers:
        return None
    return Left(
        log.called(numbers[0]),
        f"{authority.name} gives the numbers, and does not have it yet",
        f"art push --remote {authority.name}",
        is_conflict=True,
    )
