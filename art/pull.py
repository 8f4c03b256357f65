"""Bringing payloads here: all that are asked for at once, or one when it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from art.beside import read_beside
from art.errors import (
    REPAIR,
    ArtError,
    CorruptError,
    NotFoundError,
    UnavailableError,
    repair_at,
)
from art.index import Index
from art.place import GC_LOCK
from art.rows import Record
from art.stored import StoredPayload
from art.sync import Fetched, Left, Pairing, Pulled, PullPlan, Selection, Sent
from art.transfer import Courier, Shipment
from art.writer import ChunkHints

T = TypeVar("T")

_BASES = 3  # versions here whose chunks need not come again
_GONE = ("swept", "purged", "moved", "damaged")


@dataclass(frozen=True)
class Depth:
    """Which versions' payloads are wanted: those of the `newest` live versions of each key and of
    what its tags name, or all that are live or can be restored."""

    newest: int = 1
    all: bool = False


class Puller:
    """Brings payloads from one remote."""

    def __init__(self, pair: Pairing, hints: ChunkHints | None = None) -> None:
        self._pair = pair
        self._courier = Courier(
            pair.remote.objects,
            pair.local.objects,
            pair.scratch,
            pair.reporter,
            pair.jobs,
            hints,
        )

    def plan(self, selection: Selection, depth: Depth) -> PullPlan:
        """Return which payloads would come of the versions that are known here."""
        left: list[Left] = []
        found = list(self._shipments(selection, depth, left))
        return PullPlan(
            self._pair.name,
            [Sent.of(record) for record, _ in found],
            sum(shipment.packs for _, shipment in found),
            sum(shipment.size_bytes for _, shipment in found),
            2 + sum(shipment.requests for _, shipment in found),
            left,
        )

    def pull(self, selection: Selection, depth: Depth, fetched: Fetched) -> Pulled:
        """Bring the payloads that are wanted and not here. What cannot come is told in the result."""
        left: list[Left] = []
        versions = []
        packs = size = 0
        held = self._pair.backend.together(GC_LOCK)
        try:
            for record, shipment in self._shipments(selection, depth, left):
                try:
                    shipped = self._courier.ship(shipment)
                except (NotFoundError, CorruptError) as error:  # the others are as good as before
                    left.append(Left(record.ref, error.message, _hint(error, self._pair)))
                    continue
                versions.append(Sent.of(record))
                packs += shipped.packs
                size += shipped.size_bytes
        finally:
            held.release()
            self._pair.reporter.finish()
        return Pulled(fetched, versions, packs, size, left)

    def bring(self, payload: str, bases: list[str]) -> bool:
        """Bring one payload; return whether the remote has it."""
        held = self._pair.backend.together(GC_LOCK)
        try:
            shipment = self._courier.plan(payload, bases)
            if shipment:
                self._courier.ship(shipment)
        except NotFoundError:
            return False
        finally:
            held.release()
            self._pair.reporter.finish()
        return True

    def _shipments(
        self, selection: Selection, depth: Depth, left: list[Left]
    ) -> Iterator[tuple[Record, Shipment]]:
        seen: set[str] = set()
        for record in self._wanted(selection, depth):
            if not record.payload or record.payload in seen:
                continue
            seen.add(record.payload)
            try:
                bases = here(self._pair.index, self._pair, record)
                shipment = self._courier.plan(record.payload, bases)
            except (NotFoundError, CorruptError) as error:
                left.append(Left(record.ref, error.message, _hint(error, self._pair)))
                continue
            if shipment:
                yield record, shipment

    def _wanted(self, selection: Selection, depth: Depth) -> list[Record]:
        def ask(index: Index) -> list[Record]:
            index.refresh_all()
            records = []
            for key in [*index.keys(), None]:
                if selection.has(key):
                    records += _of_key(index.versions(key), depth, is_keyless=key is None)
            return records

        return self._pair.index.ask(ask)


def here(index: Index, pair: Pairing, record: Record) -> list[str]:
    """Return payloads of the same key that may be here, those of the nearest versions first."""
    if record.key is None or record.number is None:
        return []
    near = record.number
    records = index.ask(lambda index: index.versions(record.key))
    records.sort(key=lambda other: abs((other.number or 0) - near))
    found: list[str] = []
    for other in records[: 4 * _BASES]:
        if other.payload and other.payload != record.payload and other.payload not in found:
            with contextlib.suppress(CorruptError):  # then its chunks come again
                if pair.local.objects.stored(other.payload):
                    found.append(other.payload)
        if len(found) == _BASES:
            break
    return found


class Supply:
    """Gives payloads that are not here: `pairs` opens the remotes, the likeliest first."""

    def __init__(self, pairs: Callable[[], Iterator[Pairing]], hints: ChunkHints | None) -> None:
        self._pairs = pairs
        self._hints = hints

    def bring(self, record: Record) -> None:
        """Bring the payload of a version here from the first remote that has it.

        Raise NotFoundError where none has.
        """
        assert record.payload is not None

        def bring(pair: Pairing) -> bool | None:
            bases = here(pair.index, pair, record)
            return Puller(pair, self._hints).bring(str(record.payload), bases) or None

        if self._first(bring) is None:
            raise self._missing(record)

    def peek(self, record: Record) -> StoredPayload:
        """Return the payload of a version as it lies at a remote, to read parts of it."""
        found = self._first(lambda pair: pair.remote.objects.stored_ranged(str(record.payload)))
        if found is None:
            raise self._missing(record)
        return found

    def beside(self, name: str) -> bytes | None:
        """Return a preview, or the record of a run, from the first remote that has it, None where none has
        or can be asked."""

        def ask(pair: Pairing) -> bytes | None:
            with contextlib.suppress(FileNotFoundError):
                return read_beside(pair.remote.backend, name)
            return None

        try:
            return self._first(ask)
        except UnavailableError:
            return None

    def _first(self, ask: Callable[[Pairing], T | None]) -> T | None:
        problem: ArtError | None = None
        for pair in self._pairs():
            try:
                found = ask(pair)
            except ArtError as error:
                error.hint = _hint(error, pair)
                problem = problem or error
                continue
            if found is not None:
                return found
        if problem:
            raise problem
        return None

    def _missing(self, record: Record) -> NotFoundError:
        if record.state == "swept":
            return NotFoundError(
                f"the bytes of {record.ref} were freed by gc, after it was deleted or pruned",
                hint=f"art log {record.key}" if record.key else None,
            )
        return NotFoundError(
            f"the payload of {record.ref} is neither here nor at a remote",
            hint="push it from where it was made: art push",
        )


def _hint(error: ArtError, pair: Pairing) -> str | None:
    """Return what helps: what is damaged at a remote is to be healed there."""
    return repair_at(pair.name) if error.hint == REPAIR else error.hint


def _of_key(records: list[Record], depth: Depth, *, is_keyless: bool) -> list[Record]:
    if depth.all:
        return [record for record in records if record.state not in _GONE]
    live = [record for record in records if record.is_live]
    if is_keyless:
        return live
    return live[: depth.newest] + [record for record in live[depth.newest :] if record.tags]
