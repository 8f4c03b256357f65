"""What is new of some keys: versions that match, and moves of their tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from art.catalog import tag_log
from art.errors import NotFoundError, UsageError
from art.index import Index
from art.keys import check_key, check_tag, glob_pattern, is_glob
from art.listing import Filter, Resolve, check_names, select, understand
from art.model import Document, heads
from art.ref import Ref
from art.rows import Record


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
    of the entry that moved the tag, number `entry` of its log; `created` is when that was made, in UTC."""

    uid: str
    record: Record
    created: str
    tag: str | None = None
    entry: int = 0

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
    takes as long as the number of keys that are watched says, however many versions they have."""

    def __init__(
        self,
        index: Index,
        watched: Iterable[Watched],
        filter: Filter,
        resolve: Resolve,
    ) -> None:
        """`filter` says which versions count: its `where`, `partitions`, `types`, `labels`."""
        self._index = index
        self.watched = list(watched)
        self._filter = replace(filter, all=True, sort="created:asc")
        self._resolve = resolve
        self._found: dict[Watched, list[Event]] = {}
        self._ends: dict[Watched, object] = {}

    def look(self) -> dict[Watched, list[Event]]:
        """Return all events that there are of each, the oldest first."""
        for watched in self.watched:
            ends = self._index.ask(partial(_ends, key=watched.key))
            if watched not in self._found or ends != self._ends.get(watched):
                self._found[watched] = self._events(watched)
                self._ends[watched] = ends
        return self._found

    def mistakes(self) -> Iterator[NotFoundError]:
        """Yield what is wrong with partitions that no version has by now; one may have them later."""
        for watched in self.watched:
            wanted = understand((watched.key,), self._filter, self._resolve)
            try:
                self._index.ask(partial(check_names, wanted=wanted))
            except NotFoundError as error:
                yield error

    def _events(self, watched: Watched) -> list[Event]:
        wanted = understand((watched.key,), self._filter, self._resolve)
        records = self._index.ask(partial(select, wanted=wanted))
        if watched.tag is None:
            return [Event(record.id, record, record.created) for record in records]
        return list(
            self._moves(watched.key, watched.tag, {record.id: record for record in records})
        )

    def _moves(self, key: str, tag: str, records: dict[str, Record]) -> Iterator[Event]:
        entries = self._index.ask(lambda index: index.log(key, tag_log(tag)))
        _, superseded = heads(entries)
        for entry in entries:
            record = records.get(entry.version_id or "")
            if record and entry.uid not in superseded:
                yield Event(entry.uid, record, entry.created, tag, entry.number)


def _ends(index: Index, key: str) -> object:
    """Return what is different when anything was added to the logs of a key, or of those that match."""
    if not is_glob(key):
        index.refresh(key)
        return index.key_ends(key)
    index.refresh_all()
    glob = re.compile(glob_pattern(key))
    return {log: end for log, end in index.ends().items() if log.key and glob.fullmatch(log.key)}


def reactions(
    found: Mapping[Watched, list[Event]],
    seen: Container[str],
    is_meant: Callable[[Event], bool],
    *,
    all_of: bool,
) -> list[Reaction]:
    """Return what is to be reacted to of what is not `seen`, the oldest first; with `all_of` at most one,
    when there is something new of each that is watched. Of what is new, only that counts which
    `is_meant`."""
    new = [[e for e in events if e.uid not in seen and is_meant(e)] for events in found.values()]
    if all_of:
        if not all(new):
            return []
        return [
            Reaction(tuple(e[-1] for e in new), frozenset(e.uid for events in new for e in events))
        ]
    events = {event.uid: event for events in new for event in events}
    return [
        Reaction.to(event) for event in sorted(events.values(), key=lambda event: event.created)
    ]
