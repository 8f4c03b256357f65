"""Whether a store is whole, so that bytes may be removed from it: otherwise none are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from art.backend import Backend
from art.catalog import VERSIONS, Catalog, Log, first_missing, listed_numbers
from art.errors import REPAIR, CorruptError
from art.evidence import Evidence
from art.index import Index
from art.resolve import damage
from art.rows import Record

_ROUNDS = 3


def check_whole(backend: Backend, index: Index, evidence: Evidence, *, is_own: bool) -> None:
    """Raise CorruptError where a log has a gap or has lost its end, or anything in the catalog is
    damaged. `is_own` says that the index is that of this very store: it must know all that is there."""
    numbers = _known_numbers(backend, index) if is_own else _checked_numbers(backend, index)
    for log, found in numbers.items():
        if missing := first_missing(found):
            raise CorruptError(
                f"{log.file(missing)} is missing, later ones are there; nothing was removed",
                hint="art fsck --repair",
            )
    _check_nothing_lost(backend, index, numbers, evidence)


def _numbers(backend: Backend) -> dict[Log, set[int]]:
    numbers: dict[Log, set[int]] = {}
    for prefix in ("manifests", "refs"):
        for item in backend.walk(prefix):
            if located := Log.of(item.name):
                numbers.setdefault(located[0], set()).add(located[1])
    torn = [log for log, found in numbers.items() if first_missing(found)]
    return numbers | {log: set(listed_numbers(backend, log.directory)) for log in torn}


def _checked_numbers(backend: Backend, index: Index) -> dict[Log, set[int]]:
    """Return the numbers of all logs. Raise what is wrong with any document."""
    numbers = _numbers(backend)
    for record in index.ask(_refreshed):
        error = damage(Catalog(backend), record)
        raise type(error)(f"{error.message}; nothing was removed", hint=error.hint)
    return numbers


def _refreshed(index: Index) -> list[Record]:
    """Return the versions whose manifest is damaged, or of a newer format."""
    index.refresh_all()
    for problem in index.problems:
        raise problem
    return index.of_state("damaged")


def _known_numbers(backend: Backend, index: Index) -> dict[Log, set[int]]:
    """Return the same, having seen that the index knows all of it: what it lacks is looked for again,
    as another process may be putting other documents in the place of a key's."""
    for _ in range(_ROUNDS):
        numbers = _checked_numbers(backend, index)
        try:
            index.ask(partial(_check_known, numbers))
        except CorruptError as error:
            problem = error
        else:
            return numbers
    raise problem


def _check_known(numbers: dict[Log, set[int]], index: Index) -> None:
    """Raise CorruptError where the index lacks a document: it is no evidence."""
    ends = index.ends()
    known = {(record.key, record.number) for record in index.all()}
    for log, found in numbers.items():
        for number in [n for n in found if log.name == VERSIONS and (log.key, n) not in known]:
            raise _unknown(log, number)
        if ends.get(log, 0) < max(found):
            raise _unknown(log, max(found))


def _unknown(log: Log, number: int) -> CorruptError:
    return CorruptError(
        f"the index does not know {log.file(number)}; nothing was removed",
        hint="remove .art/index.sqlite: it is built anew",
    )


def _check_nothing_lost(
    backend: Backend, index: Index, numbers: Mapping[Log, set[int]], evidence: Evidence
) -> None:
    """Raise CorruptError where a store lacks the end of a log, or a version that something names.

    `numbers` are those of all its documents; `index` has what entries say of versions."""
    for log, end in evidence.ends.items():
        highest = max(numbers.get(log, ()), default=0)
        if highest < end:
            raise _lost(log.file(highest + 1), "it was known to be there")
    there = set(backend.names("anonymous")) if evidence.keyless else set()
    for uid in sorted(evidence.keyless):
        if f"{uid}.yaml" not in there:
            raise _lost(f"anonymous/{uid}.yaml", "it was known to be there")
    for lost in index.ask(lambda index: index.lost_versions()):
        name = lost.log.file(lost.entry)
        if lost.number and lost.log.key:
            versions = Log(lost.log.key, VERSIONS)
            if lost.number > max(numbers.get(versions, ()), default=0):
                raise _lost(versions.file(lost.number), f"{name} names it")
        raise _lost(f"version {lost.id[:15]}", f"{name} names it")


def _lost(what: str, why: str) -> CorruptError:
    return CorruptError(f"{what} is missing, {why}; nothing was removed", hint=REPAIR)
