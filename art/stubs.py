"""Stubs: what stands in the place of a manifest that was purged (FORMAT §4.3)."""

from __future__ import annotations

import contextlib
import json
import re

from art import document as documents
from art.backend import Backend, LocalBackend
from art.catalog import VERSIONS, Log, parse_anonymous
from art.index import Record
from art.model import FORMAT, Document, Manifest

_PURGED = "sync/purged.json"
_NAME = re.compile(r"_([1-9][0-9]{0,17})-([1-9][0-9]{0,17})")


def stub(manifest: Manifest) -> bytes:
    """Return the stub of a manifest: the same, whoever makes it."""
    document: Document = {
        "art": FORMAT,
        "uid": manifest.uid,
        **({"key": manifest.key} if manifest.key else {}),
        "created": manifest.created,
        "purged": {"id": manifest.id},
    }
    return documents.encode(document)


def put_stub(backend: Backend, record: Record) -> bool:
    """Replace the manifest of a purged version by its stub, and remove the checkpoints that hold it;
    return whether it was not replaced before.

    The number is that of the store that `backend` is. What is there and is not that version stays.
    """
    manifest = _manifest(backend, record)
    if manifest is None or manifest.uid != record.uid or manifest.is_stub:
        return False
    if record.key is not None:
        log = Log(record.key, VERSIONS)
        for name in backend.names(f"checkpoints/{log.directory}"):
            found = _NAME.fullmatch(name)
            if found and int(found[1]) <= (record.number or 0) <= int(found[2]):
                backend.delete(f"checkpoints/{log.directory}/{name}")
    backend.replace(_name(record), stub(manifest))
    return True


def note_purged(backend: LocalBackend, payload: str) -> None:
    """Remember that the bytes of a payload, purged elsewhere, are to go from here."""
    known = purged_payloads(backend)
    backend.replace(_PURGED, json.dumps(sorted({*known, payload})).encode())


def purged_payloads(backend: LocalBackend) -> list[str]:
    """Return the payloads whose bytes are to go, all of them."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        found = json.loads(backend.read(_PURGED))
        return [str(payload) for payload in found] if isinstance(found, list) else []
    return []


def forget_purged(backend: LocalBackend) -> None:
    """Note that they are gone."""
    backend.delete(_PURGED)


def _manifest(backend: Backend, record: Record) -> Manifest | None:
    with contextlib.suppress(FileNotFoundError):
        data = backend.read(_name(record), 0, documents.READ_LIMIT)
        if record.key is None:
            return parse_anonymous(record.uid, data)
        found = Log(record.key, VERSIONS).parse(record.number or 0, data)
        return found if isinstance(found, Manifest) else None
    return None


def _name(record: Record) -> str:
    if record.key is None:
        return f"anonymous/{record.uid}.yaml"
    return Log(record.key, VERSIONS).file(record.number or 0)
