"""Which versions are known to be damaged beyond what could be repaired: a local note, by id.

It only tells people. Reading goes on as before, as other files of the version may be whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from art.backend import LocalBackend
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
