"""Removing a version that must not exist, now: its bytes, its manifest, and nothing else."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import partial

from art.catalog import NOTES, Catalog, Log
from art.changes import Changes
from art.errors import REPAIR, ArtError, ConflictError, CorruptError, UsageError
from art.gc import Collected, Collector
from art.holders import Holders
from art.index import Index
from art.rows import Record
from art.store import Store
from art.stubs import payload_of, replace_by_stub


@dataclass(frozen=True)
class Purged:
    """What a purge came to. `shared_bytes` of its payload are part of other versions, too, and stay;
    `same` have the whole payload, and keep it. `notes` are the files of what was noted about it, which
    stay as well: entries are never changed. With `keeps_preview`, another version has the same preview,
    which stays. `problem` says why its bytes are still there, None where
    they are not: gc removes them once that is mended."""

    record: Record
    collected: Collected
    shared_bytes: int
    same: list[Record]
    notes: list[str]
    problem: ArtError | None = None
    keeps_preview: bool = False


@dataclass(frozen=True)
class PurgePlan:
    """Which versions are to be taken away, those that were made from others of them first, and which
    other versions hold some of the same and keep it."""

    versions: list[Record]
    holders: Holders


class Purger:
    """Purges versions in one store, whose collector removes the bytes. `catalog` holds its manifests,
    or copies of them."""

    def __init__(
        self,
        store: Store,
        index: Index,
        catalog: Catalog,
        changes: Changes,
        collector: Collector,
    ) -> None:
        self._backend = store.backend
        self._index = index
        self._catalog = catalog
        self._changes = changes
        self._collector = collector

    def purge(
        self,
        record: Record,
        message: str | None,
        *,
        force: bool,
        problem: ArtError | None = None,
    ) -> Purged:
        """Take a version away for ever; its number stays taken. Interrupted, it can be done again, or
        gc goes on. Where damage, such as a `problem` that is known, hides who else needs its bytes,
        they stay.

        Raise ConflictError where a tag names it, a live version was made from it or its key is
        protected, unless `force`.
        """
        self.check(record, force=force)
        payload, preview = payload_of(self._catalog, record), record.preview
        users = self._index.ask(lambda index: index.payload_users(payload or ""))
        same = [r for r in users if r.id != record.id and r.state in ("live", "deleted")]
        notes = self._notes(record)
        self._changes.purge(record, message)
        replace_by_stub(self._backend, self._index, record)
        nothing = Collected(self._backend.where, 0, 0, 0, 0, 0)
        if payload is None and preview is None:
            return Purged(record, nothing, 0, same, notes)
        if problem is None:
            try:
                collected, shared = self._collector.remove(payload, preview)
            except CorruptError as error:
                problem = error
            else:
                stays = preview is not None and self._collector.needs_preview(preview)
                return Purged(record, collected, shared, same, notes, keeps_preview=stays)
        return Purged(record, nothing, 0, same, notes, problem)

    def check(self, record: Record, *, force: bool, going: Container[str] = frozenset()) -> None:
        """Raise ConflictError where it is refused, UsageError where something else is meant,
        CorruptError where nobody knows what it is. `going` are the ids of versions that are purged before."""
        if not record.id:
            raise CorruptError(
                f"{record.ref} is not purged: {record.title}, and its id is not known", hint=REPAIR
            )
        if record.state == "moved":
            raise UsageError(
                f"{record.ref} was moved: what must not exist is under the new key, too",
                hint=f"art resolve {record.ref}",
            )
        if force or record.state == "purged":
            return
        users = self._index.ask(partial(_users, id=record.id))
        reasons = [f"tag {tag!r} names it" for tag in record.tags]
        reasons += [f"{user.ref} was made from it" for user in users if user.id not in going]
        reasons += [f"{record.key} is protected"] if self._changes.is_protected(record) else []
        if reasons:
            raise ConflictError(
                f"{record.ref} is not purged: {reasons[0]}", hint="--force purges it all the same"
            )

    def _notes(self, record: Record) -> list[str]:
        log = Log(record.key, NOTES)
        entries = self._index.fresh_log(record.key, NOTES)
        return [log.file(entry.number) for entry in entries if entry.version_id == record.id]


def _users(index: Index, id: str) -> list[Record]:
    index.refresh_all()
    return index.users(id)
