"""What happens to versions after they are made: notes, signatures, deletion, restoration.

Everything is an entry in a log; no version is touched. What takes away plans first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from art import model
from art.about import check_labels, check_text
from art.catalog import NOTES, STATE, new_entry
from art.errors import ConflictError
from art.index import Index
from art.model import Document, Entry, apply_notes
from art.resolve import Resolver
from art.rows import LIVE, Record
from art.settings import KeySettings
from art.store import Store

if TYPE_CHECKING:
    from art.signing import Signer


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
        entry = new_entry(record.key, self._author, message, {}) | fields
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
                entry.update(new_entry(record.key, self._author, None, {}) | fields)
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
            len(self.set_state(key, "deleted", message, group))
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
            for record in self.set_state(key, "restored", message, group)
        ]

    def sweep(self, records: Iterable[Record]) -> list[Record]:
        """Note of deleted versions that their bytes may be gone from now on; return those that nobody
        restored before."""
        return [
            record
            for key, group in _by_key(list(records))
            for record in self.set_state(key, "swept", None, group)
        ]

    def purge(self, record: Record, message: str | None = None) -> bool:
        """Note that a version must not exist; return whether nobody did before."""
        return bool(self.set_state(record.key, "purged", message, [record]))

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

    def set_state(
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
            entry = new_entry(key, self._author, message, {"state": state, "versions": versions})
            return entry if versions else None

        self._store.catalog.append(key, STATE, make, known)
        return changed


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
