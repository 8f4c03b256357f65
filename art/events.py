"""What is new of some keys: versions that match, and moves of their tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from art.catalog import Log, tag_log
from art.errors import ArtError, NotFoundError, QueryError, UsageError
from art.index import Index
from art.keys import check_key, check_tag, glob_pattern, is_glob
from art.listing import Filter, Resolve, Wanted, check, check_names, prepared, understand
from art.merge import Ledger
from art.model import Document, heads, now
from art.partitions import looks_relative
from art.query.tree import Kind
from art.ref import Ref
from art.rows import Record
from art.sql import Selection


@dataclass(frozen=True)
class Watched:
    """A key, or a glob over keys, of which versions are waited for; with `tag`, moves of that tag."""

    key: str
    tag: str | None = None

    @classmethod
    def parse(cls, text: str) -> Watched:
        """Return what `KEY`, `GLOB` or `KEY@TAG` means. Raise UsageError."""
        if "@" not in text:
            return cls(text.rstrip("/") if is_glob(text) else check_key(text))
        ref = Ref.parse(text)
        if (
            not ref.key
            or ref.path
            or ref.partitions
            or re.fullmatch(r"b3:.*|v[0-9]+", ref.selector)
        ):
            raise UsageError(
                f"{text!r} is nothing to wait for",
                hint="a key, a glob such as 'sales/*', or KEY@TAG",
            )
        return cls(ref.key, check_tag(ref.selector))

    @property
    def name(self) -> str:
        return self.key if self.tag is None else f"{self.key}@{self.tag}"


@dataclass(frozen=True)
class Event:
    """A new version, or the move of a tag to one. `uid` names it for ever: the version's id, or the uid
    of the entry that moved the tag, number `entry` of its log; `created` is when that was made, in UTC, by
    the clock of whoever made it. `at` is no earlier than that of what came before of its key."""

    uid: str
    record: Record
    created: str
    tag: str | None = None
    entry: int = 0
    at: str = ""

    def to_document(self) -> Document:
        """Return what is told of it."""
        record = self.record
        document: Document = {
            "event": "version" if self.tag is None else "tag",
            "uid": self.uid,
            "key": record.key,
            "ref": record.ref,
            "number": record.number,
            "id": record.id,
            "type": record.type,
            "created": self.created,
        }
        return document if self.tag is None else document | {"tag": self.tag}


@dataclass(frozen=True)
class Reaction:
    """What is reacted to at once: one event, or the newest of each that is watched. `uids` are all that
    are done with it: of several new ones of a key, the newest stands for the others."""

    events: tuple[Event, ...]
    uids: frozenset[str]

    @classmethod
    def to(cls, event: Event) -> Reaction:
        return cls((event,), frozenset([event.uid]))


class Finder:
    """Finds what is new. What did not change since the last look is not looked at again, so that a look
    takes as long as the number of keys that are watched says, however many versions they have; unless what
    is asked depends on other keys, or on the time."""

    def __init__(
        self,
        index: Index,
        watched: Iterable[Watched],
        filter: Filter,
        resolve: Resolve,
        known: Callable[[], Ledger | None] | None = None,
    ) -> None:
        """`filter` says which versions count: its `where`, `partitions`, `types`, `labels`. `known` gives
        what a remote is known to have: nothing else counts then, as if it were not here."""
        self._index = index
        self.watched = list(watched)
        self._filter = replace(filter, all=True, sort="created:asc")
        self._resolve = resolve
        self._known = known
        self._found: dict[Watched, list[Event]] = {}
        self._grounds: dict[Watched, object] = {}

    def look(self) -> dict[Watched, list[Event]]:
        """Return all events that there are of each, the oldest first. Raise QueryError."""
        ledger = self._known() if self._known else None
        if self._known and ledger is None:
            return {watched: [] for watched in self.watched}
        for watched in self.watched:
            wanted = understand((watched.key,), self._filter, self._resolve)
            grounds = self._index.ask(partial(_grounds, watched.key, wanted, ledger))
            if watched not in self._found or grounds != self._grounds.get(watched):
                ask = partial(_events, watched, wanted, ledger)
                self._found[watched] = _in_order(self._index.ask(ask))
                self._grounds[watched] = grounds
        return self._found

    def mistakes(self) -> Iterator[ArtError]:
        """Yield what is wrong with names that no version has by now; one may have them later."""
        for watched in self.watched:
            wanted = understand((watched.key,), self._filter, self._resolve)
            try:
                self._index.ask(partial(_check, wanted))
            except (NotFoundError, QueryError) as error:
                yield error


def _check(wanted: Wanted, index: Index) -> None:
    check_names(index, wanted)
    if wanted.query is not None:
        check(index, wanted.query)


def _grounds(key: str, wanted: Wanted, ledger: Ledger | None, index: Index) -> object:
    """Return what is different when other versions may match than before."""
    if is_glob(key):
        index.refresh_all()
    else:
        index.refresh(key)
    query = wanted.query
    if query and any(field.kind is Kind.REFERENCES for field in query.fields):
        return object()  # it depends on what all keys are made from
    # The time is in the query already, as it is understood now; in partitions it counts in minutes.
    is_timed = any(map(looks_relative, wanted.partitions.values()))
    minute = now()[: len("2026-11-21T08:36")] if is_timed else None
    ends = {log: _known_end(log, end, ledger) for log, end in _ends(index, key).items()}
    return wanted.selection.condition, minute, ends


def _ends(index: Index, key: str) -> dict[Log, int]:
    """Return the logs of a key, or of those that match, with the number of the last document of each."""
    if not is_glob(key):
        return {Log(key, name): end for name, end in index.key_ends(key).items()}
    glob = re.compile(glob_pattern(key))
    return {log: end for log, end in index.ends().items() if log.key and glob.fullmatch(log.key)}


def _known_end(log: Log, end: int, ledger: Ledger | None) -> int:
    return end if ledger is None else min(end, ledger.end(log))


def _events(watched: Watched, wanted: Wanted, ledger: Ledger | None, index: Index) -> list[Event]:
    """Return all events of a key, judged by what the ledger knows where there is one."""
    selection = prepared(index, wanted, is_checked=False)
    if ledger is None:
        return list(_selected(watched, selection, index))
    with index.tentatively():
        ends = _ends(index, watched.key)
        known = {log: _known_end(log, end, ledger) for log, end in ends.items()}
        index.cut({log: end for log, end in known.items() if end < ends[log]})
        found = list(_selected(watched, selection, index))
    return [event for event in found if _is_known(ledger, event.record)]


def _is_known(ledger: Ledger, record: Record) -> bool:
    return ledger.has_version(record.key, record.number, record.uid)


def _selected(watched: Watched, selection: Selection, index: Index) -> Iterator[Event]:
    records = index.selected(selection)
    if watched.tag is None:
        for record in records:
            yield Event(record.id, record, record.created)
        return
    by_id = {record.id: record for record in records}
    entries = index.log(watched.key, tag_log(watched.tag))
    _, superseded = heads(entries)
    for entry in entries:
        moved_to = by_id.get(entry.version_id or "")
        if moved_to and entry.uid not in superseded:
            yield Event(entry.uid, moved_to, entry.created, watched.tag, entry.number)


def _in_order(events: Iterable[Event]) -> list[Event]:
    """Return events of a key by their numbers, as clocks differ, and those of several by time."""
    latest: dict[str | None, str] = {}
    found = []
    for event in sorted(events, key=lambda event: event.entry or event.record.number or 0):
        key = event.record.key
        latest[key] = max(event.created, latest.get(key, ""))
        found.append(replace(event, at=latest[key]))
    return sorted(found, key=lambda event: event.at)


def reactions(
    found: Mapping[Watched, list[Event]], seen: Container[str], *, all_of: bool
) -> list[Reaction]:
    """Return what is to be reacted to of what is not `seen`, the oldest first; with `all_of` at most one,
    when there is something new of each that is watched."""
    new = [[event for event in events if event.uid not in seen] for events in found.values()]
    if all_of:
        if not all(new):
            return []
        return [
            Reaction(tuple(e[-1] for e in new), frozenset(e.uid for events in new for e in events))
        ]
    events = {event.uid: event for events in new for event in events}
    return [Reaction.to(event) for event in sorted(events.values(), key=lambda event: event.at)]
