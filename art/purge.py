"""Removing a version that must not exist, now: its bytes, its manifest, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from art.catalog import NOTES, Catalog, Log
from art.changes import Changes
from art.errors import ConflictError, UsageError
from art.gc import Collected, Collector
from art.index import Index, Record
from art.store import Store
from art.stubs import payload_of, replace_by_stub


@dataclass(frozen=True)
class Purged:
    """What a purge came to. `shared_bytes` of its payload are part of other versions, too, and stay;
    `same` have the whole payload, and keep it. `notes` are the files of what was noted about it, which
    stay as well: entries are never changed."""

    record: Record
    collected: Collected
    shared_bytes: int
    same: list[Record]
    notes: list[str]


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

    def purge(self, record: Record, message: str | None, *, force: bool) -> Purged:
        """Take a version away for ever; its number stays taken. Interrupted, it can be done again, or
        gc goes on.

        Raise ConflictError where a tag names it, a live version was made from it or its key is
        protected, unless `force`.
        """
        self._check(record, force=force)
        payload = payload_of(self._catalog, record)
        users = self._index.ask(lambda index: index.payload_users(payload or ""))
        same = [r for r in users if r.id != record.id and r.state in ("live", "deleted")]
        notes = self._notes(record)
        self._changes.purge(record, message)
        replace_by_stub(self._backend, self._index, record)
        if payload is None:
            nothing = Collected(self._backend.where, 0, 0, 0, 0, 0)
            return Purged(record, nothing, 0, same, notes)
        collected, shared = self._collector.remove(payload)
        return Purged(record, collected, shared, same, notes)

    def _check(self, record: Record, *, force: bool) -> None:
        if record.state == "moved":
            raise UsageError(
                f"{record.ref} was moved: what must not exist is under the new key, too",
                hint=f"art resolve {record.ref}",
            )
        if force or record.state == "purged":
            return
        users = self._index.ask(lambda index: index.users(record.id))
        reasons = [f"tag {tag!r} names it" for tag in record.tags]
        reasons += [f"{user.ref} was made from it" for user in users]
        reasons += [f"{record.key} is protected"] if self._changes.is_protected(record) else []
        if reasons:
            raise ConflictError(f"{record.ref} is not purged: {reasons[0]}", hint="--force")

    def _notes(self, record: Record) -> list[str]:
        log = Log(record.key, NOTES)
        entries = self._index.fresh_log(record.key, NOTES)
        return [log.file(entry.number) for entry in entries if entry.version_id == record.id]
