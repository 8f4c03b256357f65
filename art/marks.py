"""What is known to be damaged: versions beyond what could be repaired, by id, and packs. Local notes.

That of versions only tells people: reading goes on as before, as other files of the version may be
whole. Packs that are known to be damaged are looked at by each check, and nothing new relies on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from art.backend import Backend, LocalBackend
from art.errors import CorruptError

_NAME = "sync/damaged.json"
_LOCK = "damaged"


def read_marks(backend: LocalBackend) -> dict[str, str]:
    """Return what is wrong with each version that is marked, by its id."""
    try:
        found = json.loads(backend.read(_NAME))
    except (FileNotFoundError, CorruptError, ValueError):
        return {}
    return {str(id): str(why) for id, why in found.items()} if isinstance(found, dict) else {}


def change_marks(backend: LocalBackend, add: Mapping[str, str], remove: Iterable[str]) -> None:
    """Mark versions as damaged, or no longer."""
    known = read_marks(backend)
    gone = set(remove) & known.keys()
    if not gone and all(known.get(id) == why for id, why in add.items()):
        return
    with backend.alone(_LOCK):
        known = read_marks(backend)
        kept = {id: why for id, why in known.items() if id not in gone}
        backend.replace(_NAME, json.dumps({**kept, **add}).encode())


def damaged_packs(backend: Backend, remote: str | None = None) -> frozenset[str]:
    """Return the packs of this store, or of a remote with this id, that a check found damaged."""
    try:
        found = json.loads(backend.read(_packs_note(remote)))
    except (FileNotFoundError, CorruptError, ValueError):
        return frozenset()
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def note_packs(
    backend: LocalBackend, remote: str | None, add: Iterable[str], remove: Iterable[str]
) -> None:
    """Note which packs a check found damaged, and which are whole again, or gone."""
    add, remove = set(add), set(remove)
    known = damaged_packs(backend, remote)
    if add <= known and known.isdisjoint(remove):
        return
    with backend.alone(_LOCK):
        kept = damaged_packs(backend, remote) - remove
        backend.replace(_packs_note(remote), json.dumps(sorted(kept | add)).encode())


def _packs_note(remote: str | None) -> str:
    return f"sync/{remote}/damaged-packs.json" if remote else "sync/damaged-packs.json"
