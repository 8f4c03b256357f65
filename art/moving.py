"""Moving and copying versions to other keys. Nothing is transferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from art import model
from art.catalog import STATE
from art.changes import Changes
from art.errors import ConflictError, NotFoundError
from art.index import Index
from art.model import Document, Entry, apply_notes, new_uid
from art.publish import Publication, Publisher
from art.ref import Ref
from art.resolve import Resolver
from art.rows import Record
from art.settings import KeySettings
from art.store import Store
from art.tagging import Tags

_LOCK = "mv"  # two at once would both copy what neither finds as copied or moved yet


@dataclass(frozen=True)
class Moved:
    """What moving or copying a key came to: old and new reference of each version, the tags, and how
    many copies were made: what was copied before is not copied again."""

    key: str
    new_key: str
    versions: list[tuple[str, str]]
    tags: list[str] = field(default_factory=list)
    made: int = 0


class Mover:
    """Makes versions under other keys out of those of one store."""

    def __init__(
        self,
        store: Store,
        index: Index,
        resolver: Resolver,
        author: str,
        publisher: Publisher,
        *,
        allow_undeclared: bool = False,
    ) -> None:
        """With `allow_undeclared` they may be of other partitions than those that were declared."""
        self._store = store
        self._index = index
        self._resolver = resolver
        self._changes = Changes(store, index, resolver, author)
        self._tags = Tags(store, index, resolver, author)
        self._publisher = publisher
        self._allows = allow_undeclared
        self._settings = KeySettings(store, index, author)
        self._noted: dict[str, int] = {}  # how many notes copies have, by the ids of the versions

    def move(self, key: str, new_key: str, *, force: bool = False) -> Moved:
        """Copy a key's live versions and tags to another key and leave pointers behind.

        Done again after a crash, it goes on. Raise NotFoundError where there is nothing to move,
        ConflictError where the key or a tag of it is protected, unless `force`.
        """
        with self._store.backend.alone(_LOCK):
            records = self._live(key)[::-1]
            if not records:
                raise NotFoundError(f"{key} has no live version", hint=f"art log {key}")
            if not force:
                self._refuse_protected(key, records)
            return self._move(key, new_key, records)

    def _refuse_protected(self, key: str, records: list[Record]) -> None:
        settings = self._settings.of(key)
        tags = sorted(tag for record in records for tag in record.tags if settings.names(tag))
        if settings.protected or tags:
            why = "it is protected" if settings.protected else f"its tag {tags[0]!r} is protected"
            raise ConflictError(f"{key} is not moved: {why}", hint="--force moves it all the same")

    def _move(self, key: str, new_key: str, records: list[Record]) -> Moved:
        self._refuse_others(new_key, key)
        moved = self._copy_all(records, new_key, self._copies_in(new_key))
        self._settings.carry(key, new_key)  # which may not fit versions that were made before them
        targets = {
            record.id: self._target(ref)
            for record, (_, ref) in zip(records, moved.versions, strict=True)
        }
        for tag in moved.tags:
            id = next(record.id for record in records if tag in record.tags)
            to = (targets[id]["id"], targets[id]["number"])
            self._tags.move(new_key, tag, *to, f"moved from {key}", force=True)
        tags = {tag: record.id for record in records for tag in record.tags}
        gone = {
            r.id for r in self._changes.set_state(key, "moved", f"to {new_key}", records, targets)
        }
        if stayed := [record for record in records if record.id not in gone]:
            self._delete_copies(key, new_key, [(r.id, targets[r.id]["id"]) for r in stayed])
        # Who says something of them from now on sees that they are moved.
        for record in records:
            self._note_late(record, Ref(new_key, targets[record.id]["id"]))
        self._tag_late(key, new_key, tags, targets)
        return moved

    def _note_late(self, record: Record, target: Ref) -> None:
        """Note of a copy what was noted of the version while it was being moved."""
        known = self._noted.get(record.id)
        for entry in self._notes(record)[known:] if known is not None else ():
            copy = self._resolver.record(target, deleted=True)
            self._changes.note(copy, entry.document["set"], entry.message)

    def _tag_late(
        self, key: str, new_key: str, tags: Mapping[str, str], targets: Mapping[str, Document]
    ) -> None:
        """Do with the tags of copies what was done with those of the versions, which had these `tags`."""
        now = {tag: id for tag, id in self._tags_of(key).items() if id in targets}
        for tag in sorted(tag for tag in tags.keys() | now.keys() if tags.get(tag) != now.get(tag)):
            to = targets.get(now.get(tag, ""), {})
            said = (to.get("id"), to.get("number"), f"moved from {key}")
            self._tags.move(new_key, tag, *said, force=True)

    def _tags_of(self, key: str) -> dict[str, str]:
        def ask(index: Index) -> dict[str, str]:
            index.refresh(key, *index.tag_logs(key))
            return index.tags(key)

        return self._index.ask(ask)

    def _delete_copies(self, key: str, new_key: str, copies: list[tuple[str, str]]) -> None:
        """Delete the copies of versions that were deleted while they were being moved."""
        states = model.states(self._index.fresh_log(key, STATE))
        gone = [copy for id, copy in copies if states.get(id) == "deleted"]
        records = [self._resolver.record(Ref(new_key, id)) for id in gone]
        self._changes.set_state(new_key, "deleted", f"{key} was deleted meanwhile", records)

    def copy(self, records: list[Record], new_key: str) -> Moved:
        """Publish the same payloads under another key, unless its latest version is that copy.
        Nothing is transferred."""
        limit = 1 if len(records) == 1 else None  # an older copy may be what is wanted back
        with self._store.backend.alone(_LOCK):
            existing = self._copies_in(new_key, limit)
            copied = self._copy_all(records, new_key, existing)
        return replace(copied, tags=[])

    def _copy_all(self, records: list[Record], new_key: str, existing: dict[str, int]) -> Moved:
        pairs = []
        made = 0
        for record in records:
            number = existing.get(record.id)
            if number is None:
                made += 1
                number = self._copy_one(record, new_key).number
            pairs.append((record.ref, f"{new_key}@v{number}"))
        tags = sorted({tag for record in records for tag in record.tags})
        return Moved(records[0].key or "", new_key, pairs, tags, made)

    def _copy_one(self, record: Record, new_key: str) -> Publication:
        manifest = self._resolver.manifest(record)
        notes = self._notes(record)
        self._noted[record.id] = len(notes)
        document = apply_notes(manifest.document, [entry.document["set"] for entry in notes])
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
        return self._publisher.copy(new_key, ordered | document, allows=self._allows)

    def _notes(self, record: Record) -> list[Entry]:
        """Return what was said of a version later, and holds for its copies, too: signatures do not."""
        return [entry for entry in self._resolver.notes(record) if entry.document.get("set")]

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
