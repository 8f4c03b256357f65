"""What is known to have been in a store, though it may not be there any more.

A log whose last documents vanished looks whole, as it has no gap. What it is known to have had in
common with remotes (`sync/`), and what entries say of its versions, tell that there was more.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from art.backend import Backend, LocalBackend
from art.catalog import Log, manifest_directory
from art.errors import CorruptError
from art.place import PUBLISHED

if TYPE_CHECKING:
    from art.merge import Ledger  # which only some need

_DIGITS = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True)
class Evidence:
    """Up to which number logs went, and which keyless versions there were."""

    ends: Mapping[Log, int] = field(default_factory=dict)
    keyless: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ledgers: Iterable[Ledger]) -> Evidence:
        """Return what these say together."""
        ends: dict[Log, int] = {}
        keyless: set[str] = set()
        for ledger in ledgers:
            keyless |= ledger.keyless()
            for log, end in ledger.ends().items():
                ends[log] = max(end, ends.get(log, 0))
        return cls(ends, frozenset(keyless))


def ledgers(backend: LocalBackend) -> list[Ledger]:
    """Return what is known of all places that this repository ever met, also of those that are no
    remotes any more: what both had was here."""
    from art.merge import Ledger

    return [Ledger(backend, uid) for uid in _met(backend)]


def published_number(backend: Backend, key: str) -> int:
    """Return the highest number that a version of a key is known to have had elsewhere, too, 0 where
    there is none. Ledgers, which may tell of 100,000 keys, are searched, not parsed."""
    name = f'"{manifest_directory(key)}": '.encode()
    return max((_number_after(name, _content(backend, uid)) for uid in _met(backend)), default=0)


def _number_after(name: bytes, ledger: bytes) -> int:
    """Return the number of a log in what `Ledger.save` wrote."""
    begin = ledger.find(b'"logs": {')
    end = ledger.find(b"}", begin)
    at = ledger.find(name, begin, end) if 0 <= begin < end else -1
    match = _DIGITS.match(ledger, at + len(name)) if at >= 0 else None
    return int(match[0]) if match else 0


class Awaited:
    """Which versions may be without their bytes here, though no remote is known to have them: what a
    fetch is just bringing, or brought when it was killed, and deleted ones that came in an archive
    without. Nothing may be removed on the strength of it."""

    def __init__(self, backend: LocalBackend) -> None:
        # What is coming is read first: when it is, it is in the ledger before it is forgotten here.
        found = [read_coming(backend, uid) for uid in _met(backend)]
        self._ends: dict[str, int] = {}
        for coming in found:
            for name, end in coming.items():
                self._ends[name] = max(end, self._ends.get(name, 0))
        self._ledgers = ledgers(backend)

    def has(self, key: str | None, number: int | None, uid: str, *, is_live: bool) -> bool:
        """Whether a version is one of them."""
        name = f"anonymous/{uid}" if key is None else manifest_directory(key)
        if (number or 1) <= self._ends.get(name, 0):
            return True
        known = (ledger for ledger in self._ledgers)
        return not is_live and any(ledger.came_without_bytes(uid) for ledger in known)


def read_coming(backend: Backend, remote: str) -> dict[str, int]:
    """Return up to which numbers logs of versions are being brought from a remote, by name; keyless
    versions have the number 1."""
    try:
        found = json.loads(backend.read(coming_name(remote)))
    except (FileNotFoundError, CorruptError, ValueError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(name): end for name, end in pairs if isinstance(end, int)}


def coming_name(remote: str) -> str:
    """Return the file that says what is being brought from a remote."""
    return f"sync/{remote}/coming.json"


def _met(backend: Backend) -> list[str]:
    return [name[:-1] for name in backend.names("sync") if name.endswith("/")]


def _content(backend: Backend, uid: str) -> bytes:
    with contextlib.suppress(FileNotFoundError, CorruptError):
        return backend.read(f"sync/{uid}/{PUBLISHED}")
    return b""
