"""Two copies of a log made one (FORMAT §3.3).

The remote's documents keep their numbers, and what only this store has follows them in its order; a
document that both have counts once, by its uid. Where our own documents have numbers that the
remote's take, their files are replaced, so that every document is at some name at any moment: first
the names are created that the log will have more than now, upwards, then the others are replaced,
downwards. What is begun is noted before, and finished by whoever opens the repository next.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from art import document as documents
from art.backend import LocalBackend
from art.catalog import VERSIONS, Catalog, Log, first_missing, listed_numbers
from art.errors import REPAIR, ConflictError, CorruptError
from art.index import Index
from art.model import Document, Entry, Manifest, heads
from art.place import PUBLISHED, RENUMBERED, UNFINISHED

_LOCK = "sync"
_OWED = "owed"


class Ledger:
    """What is known to be at one remote: for each log, up to which number it is the same as here,
    keyless versions by uid, progress by uid and sequence.

    It is no evidence: where it is lost, the two sides are compared again.
    """

    def __init__(self, backend: LocalBackend, remote: str) -> None:
        """`remote` is the uid of the repository there."""
        self._backend = backend
        self.directory = f"sync/{remote}"
        self._known = self._read()
        self._news: dict[str, dict[str, int]] = {}

    def end(self, log: Log) -> int:
        """Return up to which number a log is known to be the same on both sides."""
        return self._number("logs", log.directory)

    def note_end(self, log: Log, number: int, uid: str | None = None) -> None:
        """Note that a log is the same on both sides up to this number, and no further; `uid` is that
        of the document there, which tells later whether it is still the same here."""
        self._note("logs", log.directory, number)
        self._note("tails", log.directory, _tail_of(uid) if uid else 0)

    def is_replaced(self, log: Log, number: int, uid: str) -> bool:
        """Whether a document, the last that both sides had in its log, has another's number here."""
        if not uid or number != self.end(log):
            return False
        return self._number("tails", log.directory) not in (0, _tail_of(uid))

    def has_version(self, key: str | None, number: int | None, uid: str) -> bool:
        """Whether a version is known to be on both sides."""
        if key is None:
            return self.has_keyless(uid)
        log = Log(key, VERSIONS)
        end, own = self.end(log), number or 0
        return own < end or (own == end and not self.is_replaced(log, own, uid))

    def beyond(self, ends: Mapping[Log, int]) -> list[tuple[Log, int]]:
        """Return the logs that went further than these `ends`, with the first number that is lacking."""
        here = {log.directory: end for log, end in ends.items()}
        known = {**self._known.get("logs", {}), **self._news.get("logs", {})}
        names = [name for name in known if here.get(name, 0) < self._number("logs", name)]
        return [(log, here.get(log.directory, 0) + 1) for log in map(_log_in, names) if log]

    def ends(self) -> dict[Log, int]:
        """Return up to which number each log is known to be the same on both sides."""
        names = {*self._known.get("logs", {}), *self._news.get("logs", {})}
        return {log: self.end(log) for log in map(_log_in, names) if log}

    def has_keyless(self, uid: str) -> bool:
        """Whether a keyless version is on both sides."""
        return bool(self._number("keyless", uid))

    def note_keyless(self, uid: str) -> None:
        """Note that a keyless version is on both sides."""
        self._note("keyless", uid, 1)

    def progress(self, uid: str) -> int:
        """Return the sequence number of a progress that both sides had."""
        return self._number("progress", uid)

    def note_progress(self, uid: str, sequence: int) -> None:
        """Note which progress both sides have."""
        self._note("progress", uid, sequence)

    def keyless(self) -> set[str]:
        """Return the uids of the keyless versions that are known to be on both sides."""
        known = {**self._known.get("keyless", {}), **self._news.get("keyless", {})}
        return {uid for uid in known if self.has_keyless(uid)}

    def note_without_bytes(self, uid: str) -> None:
        """Note that a version came from there without its bytes, which nobody had any more."""
        self._note("without_bytes", uid, 1)

    def came_without_bytes(self, uid: str) -> bool:
        """Whether a version came from there without its bytes."""
        return bool(self._number("without_bytes", uid))

    def forget_keyless(self, uid: str) -> None:
        """Note that the remote does not have a keyless version."""
        self._note("keyless", uid, 0)

    def is_seen(self, log: Log, modified: int) -> bool:
        """Whether the last document of a log was compared with one that had this time there."""
        return self._number("times", log.directory) == modified

    def note_seen(self, log: Log, modified: int) -> None:
        """Note when the last document of a log that was compared was made there, in milliseconds."""
        self._note("times", log.directory, modified)

    def start(self, log: Log) -> int:
        """Return from which number on a push looks: versions that were published may be yet to be
        looked at again."""
        again = self._number("again", log.directory)
        return min(self.end(log), again - 1) if again else self.end(log)

    def note_again(self, log: Log, start: int | None) -> None:
        """Note that a push is to look at payloads again from a number on, or need not any more."""
        self._note("again", log.directory, 0 if start is None else start + 1)

    def is_settled(self, uid: str) -> bool:
        """Whether a keyless version is on both sides, and a push need not look at its payload again."""
        return self.has_keyless(uid) and not self._number("again", f"anonymous/{uid}")

    def note_unsettled(self, uid: str, *, is_so: bool = True) -> None:
        """Note that a push is to look at the payload of a keyless version again, or need not any more."""
        self._note("again", f"anonymous/{uid}", int(is_so))

    def unpurged(self) -> list[str]:
        """Return the names of manifests at the remote that are stubs here."""
        known = {**self._known.get("unpurged", {}), **self._news.get("unpurged", {})}
        return [name for name in known if self._number("unpurged", name)]

    def note_unpurged(self, name: str, *, is_so: bool = True) -> None:
        """Note that a manifest at the remote is a stub here, or not any more."""
        self._note("unpurged", name, int(is_so))

    def owed(self) -> list[str]:
        """Return the names of records of runs that versions there name, and that are to come there."""
        known = {**self._known.get(_OWED, {}), **self._news.get(_OWED, {})}
        return [name for name in known if self._number(_OWED, name)]

    def note_owed(self, name: str, *, is_so: bool = True) -> None:
        """Note that the record of a run is to come there as soon as it is here, or need not any more."""
        self._note(_OWED, name, int(is_so))

    @property
    def is_final(self) -> bool:
        """Whether numbers there stay as they are: not in a repository that somebody works in."""
        return not self._number("facts", "working")

    def note_working(self) -> None:
        """Note that somebody works in the repository there, so that its numbers may change."""
        self._note("facts", "working", 1)

    def save(self) -> None:
        """Keep what is new, beside what other processes noted meanwhile."""
        if not self._news:
            return
        with self._backend.alone(_LOCK):
            self._known = self._read()
            for part, numbers in self._news.items():
                self._known.setdefault(part, {}).update(numbers)
            owed = self._known.get(_OWED, {})
            self._known |= {_OWED: {n: is_so for n, is_so in owed.items() if is_so}} if owed else {}
            self._backend.replace(self._name, json.dumps(self._known).encode())
        self._news = {}

    @property
    def _name(self) -> str:
        return f"{self.directory}/{PUBLISHED}"

    def _read(self) -> dict[str, dict[str, int]]:
        found = _read_json(self._backend, self._name)
        return {part: numbers for part, numbers in found.items() if isinstance(numbers, dict)}

    def _number(self, part: str, name: str) -> int:
        found: object = self._news.get(part, {}).get(name, self._known.get(part, {}).get(name))
        return found if isinstance(found, int) else 0

    def _note(self, part: str, name: str, number: int) -> None:
        if self._number(part, name) != number:
            self._news.setdefault(part, {})[name] = number


def _tail_of(uid: str) -> int:
    """Return what is kept of a uid: its last part, which is random."""
    return int(uid.rpartition("-")[2], 16)


def _log_in(directory: str) -> Log | None:
    prefix = "v" if directory.startswith("manifests/") else ""
    located = Log.of(f"{directory}/{prefix}{1:08}.yaml")
    return located[0] if located else None


class DivergedError(Exception):
    """The first document that was compared differs already: compare from number 1 on."""


@dataclass(frozen=True)
class Renumbering:
    """A document that had one number here and has another one now."""

    old: int
    new: int
    data: bytes


@dataclass
class Merged:
    """What merging a log came to: the documents that are new here with their numbers, and which of
    our own have other numbers now."""

    added: list[tuple[int, bytes]] = field(default_factory=list)
    renumbered: list[Renumbering] = field(default_factory=list)


@dataclass(frozen=True)
class Superseded:
    """A move of a tag, or a change of settings, made without having seen the present one: it is kept
    in the history and has no effect. `command` makes it again."""

    key: str
    log: str
    what: str
    command: str


@dataclass(frozen=True)
class _Item:
    uid: str
    data: bytes
    is_stub: bool = False


class Merger:
    """Merges logs of one remote into the local ones."""

    def __init__(
        self, backend: LocalBackend, index: Index, ledger: Ledger, others: Iterable[Ledger] = ()
    ) -> None:
        """`others` are the ledgers of the other remotes: what is published there is final, too, unless
        somebody works there."""
        self._backend = backend
        self._index = index
        self._ledger = ledger
        self._others = [other for other in others if other.is_final]

    def plan(self, log: Log, first: int, contents: list[bytes]) -> Merged:
        """Return what `merge` would do now."""
        if first > 1 and not self._tail(log, first - 1):  # what comes before is planned, too
            return Merged(added=list(enumerate(contents[1:], first + 1)))
        return self._compared(log, first, contents).merged()

    def merge(self, log: Log, first: int, contents: list[bytes]) -> Merged:
        """Take in the remote's documents from number `first` on: the last that both sides are known
        to have, or 1.

        Raise DivergedError where that one differs, ConflictError where numbers that are final do,
        CorruptError where our log has gaps.
        """
        with self._backend.alone(_LOCK):
            _finish(self._backend, self._index)  # another process may have been killed since
            while True:
                found = self._compared(log, first, contents)
                if self._apply(found):
                    break
            self._ledger.note_end(log, first + len(contents) - 1, found.last)
            for number in found.unpurged:
                self._ledger.note_unpurged(log.file(number))
            return found.merged()

    def local(self, log: Log, after: int) -> list[bytes]:
        """Return our own documents after a number. Raise CorruptError where there is a gap."""
        return [item.data for item in self._tail(log, after)]

    def _compared(self, log: Log, first: int, contents: list[bytes]) -> _Comparison:
        theirs = [_item(log, number, data) for number, data in enumerate(contents, first)]
        ours = self._tail(log, first - 1)
        stubs = []
        agreed = 0
        for mine, other in zip(ours, theirs, strict=False):
            if mine.uid != other.uid:
                break
            if mine.data != other.data:
                if mine.is_stub == other.is_stub:
                    number = first + agreed
                    raise CorruptError(
                        f"{log.file(number)} differs between here and there, with the same uid",
                        hint="art fsck",
                    )
                if other.is_stub:
                    stubs.append((first + agreed, other.data))
            agreed += 1
        if not agreed and first > 1:
            raise DivergedError
        purged = {item.uid for item in ours if item.is_stub}
        unpurged = [
            number
            for number, other in enumerate(theirs, first)
            if other.uid in purged and not other.is_stub
        ]
        start = first + agreed
        final = max((ledger.end(log) for ledger in self._others), default=0)
        if start <= final and agreed < min(len(ours), len(theirs)):
            raise ConflictError(
                f"{log.called(start)} is published already, and the remote has another one there",
                hint="it may belong to another repository; art remote ls",
            )
        last = theirs[-1].uid if theirs else None
        return _Comparison(log, start, ours[agreed:], theirs[agreed:], stubs, unpurged, last)

    def _apply(self, found: _Comparison) -> bool:
        """Write what is new; return False where another process wrote in between."""
        if found.stubs:
            with self._index.replacing(found.log.key) as names:
                for number, data in found.stubs:
                    names.append(found.log.file(number))
                    self._backend.replace(found.log.file(number), data)
        if not found.theirs:
            return True
        if not found.ours:
            items = [(found.log.file(n), item.data) for n, item in found.numbered()]
            return self._backend.create_many(items) == len(items)
        renumbered = found.merged().renumbered
        if renumbered and found.log.name == VERSIONS:
            note_renumbered(self._backend, found.log, renumbered)
        target = [item.data.decode() for item in found.target]
        begun = {"log": found.log.directory, "first": found.start, "target": target}
        self._backend.replace(UNFINISHED, json.dumps(begun).encode())
        self._index.ask(
            lambda index: replace_tail(self._backend, index, found.log, found.start, found.target)
        )
        self._backend.delete(UNFINISHED)
        return True

    def _tail(self, log: Log, after: int) -> list[_Item]:
        return read_tail(self._backend, log, after)


@dataclass(frozen=True)
class _Comparison:
    """Both sides of a log from number `start` on, where they begin to differ. `stubs` are theirs that
    take the place of manifests here, `unpurged` the numbers there whose stubs are here, `last` the uid
    of the last document there."""

    log: Log
    start: int
    ours: list[_Item]
    theirs: list[_Item]
    stubs: list[tuple[int, bytes]]
    unpurged: list[int]
    last: str | None

    @property
    def target(self) -> list[_Item]:
        """The documents that the log is to have from `start` on."""
        known = {item.uid for item in self.theirs}
        found = self.theirs + [item for item in _each_once(self.ours) if item.uid not in known]
        stubs = {item.uid: item for item in self.ours + self.theirs if item.is_stub}
        return [stubs.get(item.uid, item) for item in found]

    def numbered(self) -> Iterator[tuple[int, _Item]]:
        return enumerate(self.target, self.start)

    def merged(self) -> Merged:
        """Return what is new here, and what gets another number."""
        if not self.theirs:
            return Merged()
        before = {
            item.uid: number for number, item in reversed(list(enumerate(self.ours, self.start)))
        }
        merged = Merged()
        for number, item in self.numbered():
            old = before.get(item.uid)
            if old is None:
                merged.added.append((number, item.data))
            elif old != number:
                merged.renumbered.append(Renumbering(old, number, item.data))
        return merged


def read_tail(backend: LocalBackend, log: Log, after: int) -> list[_Item]:
    """Return our own documents after a number, each once. Raise CorruptError where there is a gap."""
    numbers = listed_numbers(backend, log.directory)
    if missing := first_missing(numbers):
        raise CorruptError(f"{log.file(missing)} is missing, later ones are there", hint=REPAIR)
    items = []
    for number in numbers[after:]:
        data = backend.read(log.file(number), 0, documents.READ_LIMIT)
        items.append(_item(log, number, data))
    return items


def replace_tail(
    backend: LocalBackend, index: Index, log: Log, start: int, target: list[_Item]
) -> None:
    """Make a log have these documents from number `start` on, and behind them what others appended
    meanwhile."""
    with index.replacing(log.key) as names:
        while True:
            present = read_tail(backend, log, start - 1)
            known = {item.uid for item in target}
            wanted = target + [item for item in _each_once(present) if item.uid not in known]
            wanted += present[len(wanted) :]
            more = [
                (log.file(number), item.data)
                for number, item in enumerate(wanted[len(present) :], start + len(present))
            ]
            if all(backend.create(*item) for item in more):
                break
        for number in reversed(range(start, start + len(present))):
            if present[number - start].data != wanted[number - start].data:
                backend.replace(log.file(number), wanted[number - start].data)
        names += [log.file(number) for number in range(start, start + len(wanted))]


def finish_interrupted(backend: LocalBackend, index: Index) -> None:
    """Finish a replacement that was interrupted, if one was; where the log is damaged, leave that to
    the next push or fetch, which says so."""
    with contextlib.suppress(CorruptError):
        finish(backend, index)


def finish(backend: LocalBackend, index: Index) -> None:
    """Finish a replacement that was interrupted, if one was. Raise CorruptError where the log is
    damaged."""
    if backend.size(UNFINISHED) is not None:
        with backend.alone(_LOCK):
            _finish(backend, index)


def _finish(backend: LocalBackend, index: Index) -> None:
    begun = _begun(backend)
    if begun:
        log, start, target = begun
        index.ask(lambda index: replace_tail(backend, index, log, start, target))
    if backend.size(UNFINISHED) is not None:
        backend.delete(UNFINISHED)


def _begun(backend: LocalBackend) -> tuple[Log, int, list[_Item]] | None:
    """Return what was begun, None where nothing was or what is noted is not whole."""
    note = _read_json(backend, UNFINISHED)
    located = Log.of(f"{note.get('log')}/{_first_file(note)}")
    texts = note.get("target")
    if located is None or not isinstance(texts, list):
        return None
    log, start = located
    try:
        found = [_item(log, number, str(text).encode()) for number, text in enumerate(texts, start)]
    except CorruptError:
        return None
    return log, start, found


def note_renumbered(backend: LocalBackend, log: Log, renumbered: list[Renumbering]) -> None:
    """Remember which numbers went to other versions, for those who have them written down."""
    known = _read_json(backend, RENUMBERED)
    of_key = known.setdefault(str(log.key), [])
    of_key += [[item.old, item.new, log.parse(item.new, item.data).uid] for item in renumbered]
    backend.replace(RENUMBERED, json.dumps(known).encode())


def renumbered(backend: LocalBackend) -> dict[str, list[tuple[int, int, str]]]:
    """Return by key which versions had another number before they were published: old number, new
    number, uid."""
    return {
        key: [(old, new, uid) for old, new, uid in moves]
        for key, moves in _read_json(backend, RENUMBERED).items()
    }


def _item(log: Log, number: int, data: bytes) -> _Item:
    parsed = log.parse(number, data)
    return _Item(parsed.uid, data, isinstance(parsed, Manifest) and parsed.is_stub)


def _each_once(items: list[_Item]) -> list[_Item]:
    return list({item.uid: item for item in reversed(items)}.values())[::-1]


def _first_file(begun: Document) -> str:
    prefix = "v" if str(begun.get("log")).startswith("manifests/") else ""
    number = begun.get("first")
    return f"{prefix}{number if isinstance(number, int) else 0:08}.yaml"


def _read_json(backend: LocalBackend, name: str) -> dict[str, Any]:
    """Return the mapping in a file that is a help only, an empty one where it is not there or not
    whole."""
    try:
        found = json.loads(backend.read(name))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def superseded(catalog: Catalog, log: Log, uids: set[str]) -> list[Superseded]:
    """Return which of these entries of ours have no effect in the log as it is now."""
    if not log.has_heads or not uids:
        return []
    entries = catalog.entries(log.key, log.name)
    _, without_effect = heads(entries)
    return [
        _superseded(log, entry)
        for entry in entries
        if entry.uid in without_effect and entry.uid in uids
    ]


def _superseded(log: Log, entry: Entry) -> Superseded:
    key = str(log.key)
    if entry.tag is None:
        again = f"art settings {key} --history"
        return Superseded(key, log.name, f"a change of the settings of {key}", again)
    if entry.version_id is None:
        what, command = (
            f"taking away tag {entry.tag!r} of {key}",
            f"art tag delete {key} {entry.tag}",
        )
    else:
        ref = f"{key}@{entry.version_id[:15]}"
        what, command = f"tag {entry.tag!r} on {ref}", f"art tag set {ref} {entry.tag}"
    return Superseded(key, log.name, what, command)
