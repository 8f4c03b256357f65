"""Removing a version that must not exist, now: its bytes, its manifest, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from art.backend import Backend
from art.changes import Changes
from art.errors import ConflictError, UsageError
from art.gc import Collected, Collector
from art.index import Index, Record
from art.stubs import put_stub


@dataclass(frozen=True)
class Purged:
    """What a purge came to. `shared_bytes` of its payload are part of other versions, too, and stay;
    `same` have the whole payload, and keep it."""

    record: Record
    collected: Collected
    shared_bytes: int
    same: list[Record]


class Purger:
    """Purges versions in one store, whose collector removes the bytes."""

    def __init__(
        self, backend: Backend, index: Index, changes: Changes, collector: Collector
    ) -> None:
        self._backend = backend
        self._index = index
        self._changes = changes
        self._collector = collector

    def purge(self, record: Record, message: str | None, *, force: bool) -> Purged:
        """Take a version away for ever; its number stays taken. Interrupted, it can be done again.

        Raise ConflictError where a tag names it or its key is protected, unless `force`.
        """
        if record.state == "moved":
            raise UsageError(
                f"{record.ref} was moved: what must not exist is under the new key, too",
                hint=f"art resolve {record.ref}",
            )
        if record.tags and not force:
            raise ConflictError(
                f"{record.ref} is not purged: tag {record.tags[0]!r} names it", hint="--force"
            )
        if not force and self._changes.is_protected(record):
            raise ConflictError(
                f"{record.ref} is not purged: {record.key} is protected", hint="--force"
            )
        self._changes.purge(record, message)
        others = self._index.ask(lambda i: i.payload_users(record.payload or ""))
        same = [
            other
            for other in others
            if other.id != record.id and other.state in ("live", "deleted")
        ]
        collected, shared = self._collector.remove([record.payload] if record.payload else [])
        self.put_stub(record)
        return Purged(record, collected, shared, same)

    def put_stub(self, record: Record) -> None:
        """Replace the manifest by a stub."""
        with self._index.replacing(record.key):
            put_stub(self._backend, record)
