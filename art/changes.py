"""What happens to versions after they are made: tags, notes, deletion, restoration, moves, copies.

Everything is an entry in a log; no version is touched. What takes away plans first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from art import model
from art.about import check_labels, check_text
from art.catalog import NOTES, STATE, tag_log
from art.errors import ConflictError, NotFoundError, UsageError
from art.index import Index
from art.model import Document, Entry, apply_notes, check_key, check_tag, heads, new_uid, now
from art.publish import Publication, Publisher
from art.ref import Ref
from art.resolve import Resolver
from art.rows import LIVE, Record
from art.settings import KeySettings
from art.store import Store

if TYPE_CHECKING:
    from art.signing import EntrySigner, Signer


@dataclass(frozen=True)
class TagMove:
    """One move of a tag. `id` None: taken away. `changed` is False where it was there already.

    `superseded` moves did not see the head that was there, and have no effect.
    """

    key: str
    tag: str
    id: str | None
    number: int | None
    previous: str | None
    created: str
    author: str
    message: str | None
    changed: bool = True
    superseded: bool = False


@dataclass(frozen=True)
class Refusal:
    """A version that is not deleted, and why."""

    record: Record
    reason: str


@dataclass(frozen=True)
class DeletePlan:
    """What deleting would do: the versions that go, those that stay with the reason, and those that were
    deleted before."""

    versions: list[Record]
    refused: list[Refusal]
    done: list[Record] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The keys it touches."""
        return sorted({record.key for record in self.versions if record.key})


@dataclass(frozen=True)
class Moved:
    """What moving or copying a key came to: old and new reference of each version, the tags, and how
    many copies were made: what was copied before is not copied again."""

    key: str
    new_key: str
    versions: list[tuple[str, str]]
    tags: list[str] = field(default_factory=list)
    made: int = 0


class Changes:
    """Appends to the logs of one store."""

    def __init__(
        self,
        store: Store,
        index: Index,
        resolver: Resolver,
        author: str,
        is_elsewhere: Callable[[Record], bool] = lambda record: False,
    ) -> None:
        """`is_elsewhere` tells whether a remote has a version, so that its payload can come from there."""
        self._store = store
        self._is_elsewhere = is_elsewhere
        self._index = index
        self._resolver = resolver
        self._author = author
        self._settings = KeySettings(store, index, author)
        self.signer: EntrySigner | None = None  # signs moves of tags

    # -- tags ------------------------------------------------------------------------------------

    # Of a protected tag (FORMAT §9.4) only `force` makes something else: ConflictError without it.

    def tag(
        self, record: Record, tag: str, message: str | None = None, *, force: bool = False
    ) -> TagMove:
        """Make the tag name this version. Raise UsageError for a keyless one."""
        if record.key is None:
            raise UsageError(
                "a keyless version cannot be tagged", hint="give it a key: art cp ID KEY"
            )
        to = (record.id, record.number)
        return self._move_tag(record.key, tag, *to, message, force=force)

    def check_tags(self, key: str | None, tags: Iterable[str]) -> None:
        """Raise what setting these tags on a version that is yet to be made would raise."""
        wanted = [check_tag(tag) for tag in tags]
        if key is None and wanted:
            raise UsageError("a keyless version cannot be tagged")
        placed = self._index.ask(lambda index: index.tags(str(key))) if wanted else {}
        for tag in wanted:
            if tag in placed:
                hint = f"art tag set {key}@VERSION {tag} --force, afterwards"
                self._settings.of(str(key)).check_tag(tag, hint)

    def untag(
        self, key: str, tag: str, message: str | None = None, *, force: bool = False
    ) -> TagMove:
        """Take the tag away. Raise NotFoundError where there is none."""
        self._tag_head(key, tag)
        return self._move_tag(key, tag, None, None, message, force=force)

    def tag_back(
        self, key: str, tag: str, message: str | None = None, *, force: bool = False
    ) -> TagMove:
        """Move the tag to where it was before it came to its version, and done again, further back.

        Versions that are not there any more are passed over.
        """
        self.tag_history(key, tag)  # raises where there is none

        def make(entries: list[Entry]) -> Document:
            head, _ = heads(entries)
            to = self._before(key, tag, entries)
            return {"id": to.id, "number": to.number, "back": True} | _after(head)

        return self._append_move(key, tag, message or "back", make, force=force)

    def _before(self, key: str, tag: str, entries: list[Entry]) -> Record:
        """Return the nearest version on the way back from the head that is still there."""
        trail = _trail(entries)
        for id in trail:
            for found in self._index.ask(partial(Index.by_id, prefix=id, key=key)):
                if found.is_live:
                    return found
        if trail:
            raise NotFoundError(
                f"tag {tag!r} of {key} was at {len(trail)} other version(s) before, and none of "
                "them is there any more",
                hint=f"art tag history {key} {tag}",
            )
        raise NotFoundError(
            f"tag {tag!r} of {key} was never anywhere else before",
            hint=f"art tag history {key} {tag}",
        )

    def tag_history(self, key: str, tag: str) -> list[TagMove]:
        """Return all moves of a tag, newest first."""
        entries = self._store.catalog.entries(key, tag_log(tag))
        if not entries:
            self._tag_head(key, tag)
        _, superseded = heads(entries)
        moves: list[TagMove] = []
        previous: str | None = None
        for entry in entries:
            is_superseded = entry.uid in superseded
            moves.append(_move(key, tag, entry, previous, superseded=is_superseded))
            previous = previous if is_superseded else entry.version_id
        return moves[::-1]

    def _tag_head(self, key: str, tag: str) -> Entry:
        head, _ = heads(self._index.fresh_log(key, tag_log(tag)))
        if head is None or head.version_id is None:
            self._resolver.record(Ref(check_key(key), check_tag(tag)))
            raise NotFoundError(f"{key} has no tag {tag!r}", hint=f"art tag list {key}")
        return head

    def _move_tag(
        self,
        key: str,
        tag: str,
        id: str | None,
        number: int | None,
        message: str | None,
        *,
        force: bool,
    ) -> TagMove:
        def make(entries: list[Entry]) -> Document | None:
            head, _ = heads(entries)
            is_there = (head.version_id if head else None) == id
            if is_there and (self.signer is None or self._is_mine(head)):
                return None
            return {"id": id, "number": number} | _after(head)

        return self._append_move(key, tag, message, make, force=force)

    def _append_move(
        self,
        key: str,
        tag: str,
        message: str | None,
        make: Callable[[list[Entry]], Document | None],
        *,
        force: bool,
    ) -> TagMove:
        settings = None if force else self._settings.of(key)
        head: Entry | None = None

        def entry_of(entries: list[Entry]) -> Document | None:
            nonlocal head
            head, _ = heads(entries)
            fields = make(entries)
            if fields is None:
                return None
            if settings and head and head.version_id and fields["id"] != head.version_id:
                settings.check_tag(tag)
            document = self._entry(key, message, {"tag": tag}) | fields
            return document | ({"signature": self.signer.sign(document)} if self.signer else {})

        log = tag_log(tag)
        known = self._index.fresh_log(key, log)
        entry = self._store.catalog.append(key, log, entry_of, known)
        before = head.version_id if head else None
        if entry is None:
            assert head is not None
            return _move(key, tag, head, before, changed=False)
        return _move(key, tag, entry, before)

    def _is_mine(self, head: Entry | None) -> bool:
        return bool(self.signer and head and self.signer.has_signed(head.document))

    # -- notes -----------------------------------------------------------------------------------

    def note(self, record: Record, change: Document, message: str | None = None) -> bool:
        """Merge `change` over a version's description (FORMAT §9.3). Return False, having done nothing,
        where it says so already."""
        change = model.check_metadata(change, "note")
        for name in ("title", "description"):
            check_text(change.get(name), name)
        if labels := change.get("labels"):
            check_labels(labels)
        fields = {"id": record.id, "number": record.number, "set": change}
        entry = self._entry(record.key, message, {}) | fields
        described = self._resolver.manifest(record).document

        def make(entries: list[Entry]) -> Document | None:
            said = [e.document.get("set") or {} for e in entries if e.version_id == record.id]
            before = apply_notes(described, said)
            is_same = model.describe(apply_notes(before, [change])) == model.describe(before)
            return None if is_same else entry

        known = self._index.fresh_log(record.key, NOTES)
        return self._store.catalog.append(record.key, NOTES, make, known) is not None

    def add_signature(self, record: Record, signer: Signer) -> bool:
        """Sign a version, and note the signature. Return False, having done nothing, where there is a
        right one that was made with the same key."""
        from art.signing import version_text

        text = version_text(record.id)
        entry: Document = {}

        def make(entries: list[Entry]) -> Document | None:
            found = [e.document.get("signature") for e in entries if e.version_id == record.id]
            if any(signer.has_signed(text, signature) for signature in found):
                return None
            if not entry:
                fields = {"id": record.id, "number": record.number, "signature": signer.sign(text)}
                entry.update(self._entry(record.key, None, {}) | fields)
            return entry

        known = self._index.fresh_log(record.key, NOTES)
        return self._store.catalog.append(record.key, NOTES, make, known) is not None

    # -- deleting and restoring ------------------------------------------------------------------

    def plan_delete(self, records: Iterable[Record], *, force: bool = False) -> DeletePlan:
        """Decide what deleting these versions does. Without `force`, tagged versions, inputs of other
        live versions, and all of protected keys stay."""
        going = {record.ref: record for record in records}
        if force:
            return DeletePlan(list(going.values()), [])
        users = self._index.ask(lambda index: _users(index, going.values()))
        refused = [Refusal(r, f"{r.key} is protected") for r in self._protected(going.values())]
        for refusal in refused:
            del going[refusal.record.ref]
        while keep := [
            Refusal(record, reason)
            for ref, record in going.items()
            if (
                reason := _reason_to_keep(
                    record, [user for user in users[ref] if user not in going]
                )
            )
        ]:  # what stays may need more of the others
            refused += keep
            for refusal in keep:
                del going[refusal.record.ref]
        return DeletePlan(list(going.values()), refused)

    def is_protected(self, record: Record) -> bool:
        """Whether a version's key is protected, so that only force takes it away."""
        return bool(self._protected([record]))

    def _protected(self, records: Iterable[Record]) -> list[Record]:
        """Return those of these versions whose key is protected."""
        groups = _by_key(list(records))
        keys = {key for key, _ in groups if key and self._settings.of(key).protected}
        return [record for key, group in groups if key in keys for record in group]

    def delete(self, plan: DeletePlan, message: str | None = None) -> int:
        """Delete what the plan says; return how many versions this call deleted: not those that
        another process deleted first."""
        return sum(
            len(self._set_state(key, "deleted", message, group))
            for key, group in _by_key(plan.versions)
        )

    def restore(self, records: Iterable[Record], message: str | None = None) -> list[Record]:
        """Make deleted versions live again, under their numbers; return those that this call
        restored."""
        records = list(records)
        for record in records:
            is_missing = record.payload and self._store.objects.stored(record.payload) is None
            if is_missing and not self._is_elsewhere(record):
                raise ConflictError(
                    f"{record.ref} cannot be restored: its payload is not here any more",
                    hint=f"art log {record.key}",
                )
        return [
            record
            for key, group in _by_key(records)
            for record in self._set_state(key, "restored", message, group)
        ]

    def sweep(self, records: Iterable[Record]) -> list[Record]:
        """Note of deleted versions that their bytes may be gone from now on; return those that nobody
        restored before."""
        return [
            record
            for key, group in _by_key(list(records))
            for record in self._set_state(key, "swept", None, group)
        ]

    def purge(self, record: Record, message: str | None = None) -> bool:
        """Note that a version must not exist; return whether nobody did before."""
        return bool(self._set_state(record.key, "purged", message, [record]))

    def prepare_state(
        self, records: Iterable[Record], state: str, message: str | None
    ) -> list[tuple[list[Record], Callable[[], list[Record]]]]:
        """Return parts of these live versions, each with what brings them to a state and returns those
        that are still live then. Each can be called in a thread of its own."""
        works: list[tuple[list[Record], Callable[[], list[Record]]]] = []
        for key, group in _by_key(list(records)):
            known = self._index.fresh_log(key, STATE)
            for part in _parts(group):
                append = partial(
                    self._append_state, key, state, message, part, {}, {LIVE}, known=known
                )
                works.append((part, append))
        return works

    def _set_state(
        self,
        key: str | None,
        state: str,
        message: str | None,
        records: list[Record],
        targets: Mapping[str, Document] | None = None,
    ) -> list[Record]:
        """Append a state for those of these versions of one key that can come to it; return them."""
        changed: list[Record] = []
        for part in _parts(records):
            before = _STATES_BEFORE[state]
            known = self._index.fresh_log(key, STATE)
            changed += self._append_state(
                key, state, message, part, targets or {}, before, known=known
            )
        return changed

    def _append_state(
        self,
        key: str | None,
        state: str,
        message: str | None,
        records: list[Record],
        targets: Mapping[str, Document],
        before: set[str],
        *,
        known: list[Entry],
    ) -> list[Record]:
        """Append a state for those of these versions that are in a state `before` it. Asks no index."""
        changed: list[Record] = []

        def make(entries: list[Entry]) -> Document | None:
            nonlocal changed
            states = model.states(entries)
            changed = [r for r in records if states.get(r.id, LIVE) in before]
            versions = [_named(record, targets.get(record.id)) for record in changed]
            entry = self._entry(key, message, {"state": state, "versions": versions})
            return entry if versions else None

        self._store.catalog.append(key, STATE, make, known)
        return changed

    # -- moving and copying ----------------------------------------------------------------------

    def move(self, key: str, new_key: str, publisher: Publisher, *, force: bool = False) -> Moved:
        """Copy a key's live versions and tags to another key and leave pointers behind.

        Done again after a crash, it goes on. Raise NotFoundError where there is nothing to move,
        ConflictError where the key or a tag of it is protected, unless `force`.
        """
        # Two at once would both copy what neither has marked as moved yet.
        with self._store.backend.alone("mv"):
            records = self._live(key)[::-1]
            if not records:
                raise NotFoundError(f"{key} has no live version", hint=f"art log {key}")
            if not force:
                self._refuse_protected(key, records)
            return self._move(key, new_key, records, publisher)

    def _refuse_protected(self, key: str, records: list[Record]) -> None:
        settings = self._settings.of(key)
        tags = sorted(tag for record in records for tag in record.tags if settings.names(tag))
        if settings.protected or tags:
            why = "it is protected" if settings.protected else f"its tag {tags[0]!r} is protected"
            raise ConflictError(f"{key} is not moved: {why}", hint="--force moves it all the same")

    def _move(self, key: str, new_key: str, records: list[Record], publisher: Publisher) -> Moved:
        self._refuse_others(new_key, key)
        self._settings.carry(key, new_key)
        moved = self._copy_all(records, new_key, publisher, self._copies_in(new_key))
        targets = {
            record.id: self._target(ref)
            for record, (_, ref) in zip(records, moved.versions, strict=True)
        }
        for tag in moved.tags:
            id = next(record.id for record in records if tag in record.tags)
            to = (targets[id]["id"], targets[id]["number"])
            self._move_tag(new_key, tag, *to, f"moved from {key}", force=True)
        gone = {r.id for r in self._set_state(key, "moved", f"to {new_key}", records, targets)}
        if stayed := [record for record in records if record.id not in gone]:
            self._delete_copies(key, new_key, [(r.id, targets[r.id]["id"]) for r in stayed])
        return moved

    def _delete_copies(self, key: str, new_key: str, copies: list[tuple[str, str]]) -> None:
        """Delete the copies of versions that were deleted while they were being moved."""
        states = model.states(self._index.fresh_log(key, STATE))
        gone = [copy for id, copy in copies if states.get(id) == "deleted"]
        records = [self._resolver.record(Ref(new_key, id)) for id in gone]
        self._set_state(new_key, "deleted", f"{key} was deleted meanwhile", records)

    def copy(self, records: list[Record], new_key: str, publisher: Publisher) -> Moved:
        """Publish the same payloads under another key, unless its latest version is that copy.
        Nothing is transferred."""
        limit = 1 if len(records) == 1 else None  # an older copy may be what is wanted back
        existing = self._copies_in(new_key, limit)
        copied = self._copy_all(records, new_key, publisher, existing)
        return replace(copied, tags=[])

    def _copy_all(
        self, records: list[Record], new_key: str, publisher: Publisher, existing: dict[str, int]
    ) -> Moved:
        pairs = []
        made = 0
        for record in records:
            number = existing.get(record.id)
            if number is None:
                made += 1
                number = self._copy_one(record, new_key, publisher).number
            pairs.append((record.ref, f"{new_key}@v{number}"))
        tags = sorted({tag for record in records for tag in record.tags})
        return Moved(records[0].key or "", new_key, pairs, tags, made)

    def _copy_one(self, record: Record, new_key: str, publisher: Publisher) -> Publication:
        manifest = self._resolver.manifest(record)
        notes = [
            entry.document["set"]
            for entry in self._resolver.notes(record)
            if entry.document.get("set")
        ]
        document = apply_notes(manifest.document, notes)
        origin = {"key": record.key, "id": record.id, "number": record.number}
        document |= {
            "uid": new_uid(),
            "key": new_key,
            "origin": {name: value for name, value in origin.items() if value is not None},
        }
        if manifest.type == "progress" and (value := self._store.catalog.progress(manifest.uid)):
            self._store.catalog.write_progress({**value, "uid": document["uid"], "key": new_key})
        first = ("art", "uid", "key", "type", "created", "author", "title", "description")
        ordered = {name: document[name] for name in first if name in document}
        return publisher.copy(new_key, ordered | document)

    def _live(self, key: str) -> list[Record]:
        def ask(index: Index) -> list[Record]:
            index.refresh(key)
            return index.versions(key, live=True)

        return self._index.ask(ask)

    def _refuse_others(self, key: str, source: str) -> None:
        """Raise ConflictError where a key has live versions that are no copies of another's."""
        sources = {record.id for record in self._index.ask(lambda index: index.versions(source))}
        for record in self._live(key):
            origin = self._resolver.manifest(record).document.get("origin") or {}
            if origin.get("id") not in sources:
                raise ConflictError(
                    f"{key} has versions of its own, such as {record.ref}: nothing is moved there",
                    hint="`art cp` appends copies to what is there",
                )

    def _copies_in(self, key: str, limit: int | None = None) -> dict[str, int]:
        """Return the numbers of a key's live versions by the id they are a copy of; of the newest
        `limit` ones only."""

        def ask(index: Index) -> list[Record]:
            index.refresh(key)
            return index.versions(key, live=True, limit=limit)

        found = {}
        for record in self._index.ask(ask):
            origin = self._resolver.manifest(record).document.get("origin") or {}
            if "id" in origin and record.number is not None:
                found[str(origin["id"])] = record.number
        return found

    def _target(self, ref: str) -> Document:
        record = self._resolver.record(Ref.parse(ref))
        return {"key": record.key, "id": record.id, "number": record.number}

    def _entry(self, key: str | None, message: str | None, fields: Document) -> Document:
        entry: dict[str, Any] = {"art": model.FORMAT, "uid": new_uid()}
        if key is not None:
            entry["key"] = key
        entry |= fields | {"created": now(), "author": self._author}
        if message:
            entry["message"] = message
        return entry


# From which states a version comes to a state.
_STATES_BEFORE = {
    "deleted": {LIVE, "swept"},
    "restored": {"deleted"},
    "moved": {LIVE, "swept"},
    "swept": {"deleted"},
    "purged": {LIVE, "deleted", "swept"},
}
_VERSIONS_PER_ENTRY = (
    1000  # keeps a document below its limit of size, also where each names a long key
)


def _parts(records: list[Record]) -> list[list[Record]]:
    """Return as many versions at a time as one entry names."""
    step = _VERSIONS_PER_ENTRY
    return [records[at : at + step] for at in range(0, len(records), step)]


def _users(index: Index, records: Iterable[Record]) -> dict[str, list[str]]:
    """Return for each reference those of the live versions that have it as an input."""
    index.refresh_all()
    for key, _ in _by_key(list(records)):
        if key is not None:  # a tag that cannot be read may protect one of them
            index.refresh(key, *index.tag_logs(key))
    return {record.ref: [user.ref for user in index.users(record.id)] for record in records}


def _named(record: Record, target: Document | None) -> Document:
    """Return how a state entry names a version."""
    number = {} if record.number is None else {"number": record.number}
    return {"id": record.id} | number | ({"to": target} if target else {})


def _after(head: Entry | None) -> Document:
    return {"after": head.uid if head else None}


def _trail(entries: list[Entry]) -> list[str]:
    """Return the versions on a tag's way back, the nearest first.

    A move adds where the tag was; a move `back` takes away all down to where it went (FORMAT §9.1).
    """
    _, superseded = heads(entries)
    trail: list[str] = []  # ends with where the tag is
    here: str | None = None
    for entry in entries:
        if entry.uid in superseded:
            continue
        here = entry.version_id
        if entry.document.get("back") and here in trail:
            del trail[len(trail) - trail[::-1].index(here) :]
        elif here and trail[-1:] != [here]:
            trail.append(here)
    return [id for id in reversed(trail) if id != here]


def _reason_to_keep(record: Record, users: list[str]) -> str | None:
    if record.tags:
        return f"it is tagged {', '.join(record.tags)}"
    if users:
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        return f"it is an input of {users[0]}{more}"
    return None


def _by_key(records: list[Record]) -> list[tuple[str | None, list[Record]]]:
    groups: dict[str | None, list[Record]] = {}
    for record in records:
        groups.setdefault(record.key, []).append(record)
    return list(groups.items())


def _move(
    key: str,
    tag: str,
    entry: Entry,
    previous: str | None,
    *,
    changed: bool = True,
    superseded: bool = False,
) -> TagMove:
    return TagMove(
        key,
        tag,
        entry.version_id,
        entry.document.get("number"),
        previous,
        entry.created,
        entry.author,
        entry.message,
        changed,
        superseded,
    )
