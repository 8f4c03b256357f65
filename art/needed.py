"""What of a store is needed: the payloads that must stay, and where their bytes lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from art import drafts
from art.backend import Item, LocalBackend
from art.catalog import STATE, Log
from art.errors import CorruptError
from art.index import Index
from art.objects import MARKS, layout_directory
from art.pack import RECORD, Location
from art.repack import Places
from art.reporter import Reporter
from art.rows import Record
from art.store import Store
from art.stored import StoredPayload
from art.tree import Seen

GONE = b"deleted\n"  # what is in the mark of a pack that is; before, it is the pack's id


@dataclass(frozen=True)
class Mark:
    """A mark of a pack: when it was written, and whether it says that the pack is gone."""

    modified: float
    is_gone: bool


@dataclass(frozen=True)
class Sight:
    """What lies in a store, and what time it is there. Layouts were listed before packs, so the packs
    of each that is whole are known."""

    now: float
    layouts: dict[str, int]
    packs: dict[str, Item]
    marks: dict[str, Mark]
    whole: dict[str, bool] = field(default_factory=dict)


@dataclass
class Usage:
    """What the payloads that stay need: one place of each chunk, how much of each pack that is, and
    for each payload the packs and layouts through which it is read. A `ChunkHints`."""

    places: Places = field(default_factory=Places)
    weights: dict[str, int] = field(default_factory=dict)
    packs: dict[str, set[str]] = field(default_factory=dict)
    layouts: dict[str, set[str]] = field(default_factory=dict)

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        return {each: place.pack for each in digests if (place := self.places.find(each))}

    def note(self, digest: bytes, place: Location) -> None:
        if self.places.add(digest, place):
            weight = place.length + RECORD.size
            self.weights[place.pack] = self.weights.get(place.pack, 0) + weight

    def note_chain(self, payload: str, stored: StoredPayload) -> None:
        self.packs[payload] = stored.packs()
        self.layouts[payload] = {stored.layout.name, stored.root.name}

    def needed(self, packs: Iterable[str]) -> int:
        """Return how many bytes of these packs are needed."""
        return sum(self.weights.get(pack, 0) for pack in packs)

    @property
    def kept_layouts(self) -> set[str]:
        return set().union(*self.layouts.values())

    @property
    def kept_packs(self) -> set[str]:
        return set().union(*self.packs.values())


@dataclass
class _Seen:
    """What of trees was noted: pieces by their digests, and lines in them."""

    pieces: set[bytes] = field(default_factory=set)
    lines: Seen = field(default_factory=Seen)


@dataclass
class Roots:
    """The payloads that must stay, with the versions that need each; of the deleted versions, those
    whose time is over, and how many others keep a payload. `maybe` are ids of versions that were swept
    before, so that their bytes may have gone. `drafts` says which draft needs a payload."""

    payloads: dict[str, list[Record]] = field(default_factory=dict)
    expired: list[Record] = field(default_factory=list)
    restorable: int = 0
    previews: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    drafts: dict[str, str] = field(default_factory=dict)


class Needs:
    """Finds what versions need in one store. `is_elsewhere` and `is_awaited` tell which may lack it."""

    def __init__(
        self,
        store: Store,
        index: Index,
        scratch: LocalBackend,
        reporter: Reporter,
        *,
        is_elsewhere: Callable[[Record], bool],
        is_awaited: Callable[[Record], bool],
    ) -> None:
        self._objects = store.objects
        self._backend = store.backend
        self._cache = scratch if store.objects.is_remote else None
        self._index = index
        self._reporter = reporter
        self._is_elsewhere = is_elsewhere
        self._is_awaited = is_awaited

    def look(self) -> Sight:
        """Return what lies in the store now."""
        now = self._backend.clock() / 1e9
        layouts = {item.name: item.size for item in self._backend.walk("layouts")}
        packs = {
            item.name.rpartition("/")[2].removesuffix(".pack"): item
            for item in self._backend.walk("packs")
            if item.name.endswith(".pack")
        }
        marks = {
            item.name.rpartition("/")[2]: Mark(item.modified, item.size == len(GONE))
            for item in self._backend.walk(MARKS)
        }
        return Sight(now, layouts, packs, marks)

    def roots(self, sight: Sight, span: float) -> Roots:
        """Return which payloads must stay, where deleted versions can be restored for `span` seconds."""
        pinned = self._index.ask(lambda index: index.pinned())
        deleted_at, swept = self._deletions()
        roots = Roots(maybe=swept)
        records = self._index.ask(lambda index: index.all())
        for record in records:
            is_old = sight.now - deleted_at.get(record.id, sight.now) > span
            is_deleted = record.state == "deleted"
            if record.is_live or (is_deleted and (not is_old or record.id in pinned)):
                roots.previews |= {record.preview} if record.preview else set()
                if record.payload:
                    roots.payloads.setdefault(record.payload, []).append(record)
                    roots.restorable += is_deleted
            elif is_deleted:
                roots.expired.append(record)
        # After the versions: what a draft needs that became one since, is needed all the same.
        ids = {record.id for record in records}
        roots.drafts = drafts.needed(self._backend, ids.__contains__)
        for payload in roots.drafts:
            roots.payloads.setdefault(payload, [])
        return roots

    def _deletions(self) -> tuple[dict[str, float], set[str]]:
        """Return when the last was said of each version's state, in seconds: by the entry or by the
        store's own time of its file, whichever is later, and never where the store does not say; and
        the ids of those that were ever swept."""
        times = {item.name: item.modified for item in self._backend.walk("refs")}
        found: dict[str, float] = {}
        swept = set()
        keys: list[str | None] = [*self._index.ask(lambda index: index.keys()), None]
        for key in keys:
            log = Log(key, STATE)
            for entry in self._index.ask(lambda index, key=key: index.log(key, STATE)):  # type: ignore[misc]
                written = times.get(log.file(entry.number), float("inf"))
                said = datetime.fromisoformat(entry.created.replace("Z", "+00:00")).timestamp()
                for version in entry.document.get("versions") or []:
                    found[str(version["id"])] = max(written, said)
                    if entry.document.get("state") == "swept":
                        swept.add(str(version["id"]))
        return found, swept

    def use(self, roots: Roots, sight: Sight) -> Usage:
        """Return what these payloads need. Raise CorruptError where something of it is not there."""
        usage = Usage()
        seen = _Seen()
        self._reporter.start("looking at what is needed")
        for payload, records in roots.payloads.items():
            stored = self.stored(payload, set(sight.marks), sight)
            if stored is None:
                self.check_missing(payload, records, roots)
                continue
            usage.note_chain(payload, stored)
            self._add(usage, stored, seen)
            self._reporter.advance(files=1)
        self._reporter.finish()
        return usage

    def stored(self, payload: str, avoid: set[str], sight: Sight) -> StoredPayload | None:
        """Return a payload through a layout whose packs are there, and if possible none to `avoid`."""
        found = None
        for stored in self._objects.readings(payload, self._cache):
            if not all(self._has_pack(pack, sight) for pack in stored.packs()):
                continue
            if stored.packs().isdisjoint(avoid):
                return stored
            found = found or stored
        return found

    def _has_pack(self, pack: str, sight: Sight) -> bool:
        if pack not in sight.whole:
            is_there = pack in sight.packs
            is_whole = is_there and (self._objects.is_remote or self._objects.has_pack(pack))
            sight.whole[pack] = is_whole
        return sight.whole[pack]

    def check_missing(self, payload: str, records: list[Record], roots: Roots) -> None:
        """Raise CorruptError unless these versions may be without the bytes they need: those that are
        at a remote, where none are here, and those that were swept and never came back."""
        is_begun = bool(self._backend.names(layout_directory(payload)))
        for record in records:
            was_swept = record.id in roots.maybe and not record.is_live
            may_lack = self._is_elsewhere(record) or self._is_awaited(record)
            if not was_swept and (is_begun or not may_lack):
                raise _missing(record.ref, payload)
        if payload in roots.drafts:
            raise _missing(roots.drafts[payload], payload)

    def use_alone(self, payload: str) -> Usage:
        """Return what one payload needs, as far as it can be read."""
        usage = Usage()
        with suppress(CorruptError):
            for stored in itertools.islice(self._objects.readings(payload, self._cache), 1):
                self._add(usage, stored, _Seen())
        return usage

    def _add(self, usage: Usage, stored: StoredPayload, seen: _Seen) -> None:
        """Note what a payload needs; parts of its tree that others have were noted with them."""
        new = [at for at, piece in enumerate(stored.pieces) if piece.digest not in seen.pieces]
        for at in new:
            piece = stored.pieces[at]
            seen.pieces.add(piece.digest)
            usage.note(piece.digest, piece.location)
        for node in stored.nodes_of(new, seen.lines):
            for digest in stored.digests(node):
                if digest not in usage.places:
                    usage.note(digest, stored.place(digest))


def _missing(what: str, payload: str) -> CorruptError:
    return CorruptError(
        f"{what} needs what is not there: payload {payload[:16]} is missing, or a pack of it; "
        "nothing was removed",
        hint="art fsck --repair",
    )
