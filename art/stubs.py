"""Stubs: what stands in the place of a manifest that was purged (FORMAT §4.3)."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field

from art import checkpoint
from art import document as documents
from art.backend import Backend
from art.catalog import VERSIONS, Catalog, Log, parse_anonymous
from art.errors import CorruptError
from art.index import Index
from art.model import FORMAT, Document, Manifest, preview_of
from art.rows import Record


def stub(manifest: Manifest) -> bytes:
    """Return the stub of a manifest: the same, whoever makes it."""
    return _stub(manifest, purged_payload(manifest), preview_of(manifest.document))


def _stub(version: Manifest | Record, payload: str | None, preview: str | None) -> bytes:
    digests = {"payload": payload, "preview": preview}
    purged = {"id": version.id, **{name: digest for name, digest in digests.items() if digest}}
    document: Document = {
        "art": FORMAT,
        "uid": version.uid,
        **({"key": version.key} if version.key else {}),
        "created": version.created,
        "purged": purged,
    }
    return documents.encode(document)


def purged_payload(manifest: Manifest) -> str | None:
    """Return the payload of a manifest, or that which a stub's manifest had: its tree's digest."""
    if not manifest.is_stub:
        return manifest.payload.tree if manifest.payload else None
    payload = manifest.document["purged"].get("payload")
    return payload if isinstance(payload, str) and re.fullmatch("[0-9a-f]{64}", payload) else None


def put_stub(backend: Backend, record: Record) -> bool:
    """Replace the manifest of a purged version by its stub, and remove the checkpoints that hold it;
    return whether it was not replaced before.

    The number is that of the store that `backend` is. What is there and is not that version stays; a
    manifest that cannot be read goes, where `record` says what was in it. Raise CorruptError.
    """
    try:
        manifest = _manifest(backend, record)
    except CorruptError:
        if record.type in ("purged", "damaged") or not record.uid:
            raise
        _delete_checkpoints(backend, record)
        backend.replace(place_of(record), _stub(record, record.payload, record.preview))
        _delete_checkpoints(backend, record)
        return True
    if manifest is None or manifest.uid != record.uid:
        return False
    _delete_checkpoints(backend, record)
    if manifest.is_stub:
        return False
    backend.replace(place_of(record), stub(manifest))
    _delete_checkpoints(backend, record)  # one that somebody wrote in between
    return True


def replace_by_stub(backend: Backend, index: Index, record: Record) -> None:
    """Do the same in a store that an index is of, which reads the key again then. Raise BusyError where
    other processes cannot be kept out meanwhile."""

    def replace(index: Index) -> None:
        with index.replacing(record.key) as names:
            names.append(place_of(record))
            put_stub(backend, record)

    index.ask(replace)


def _delete_checkpoints(backend: Backend, record: Record) -> None:
    if record.key is None:
        return
    log = Log(record.key, VERSIONS)
    for name in backend.names(f"checkpoints/{log.directory}"):
        found = checkpoint.parse_name(name)
        if found and found[0] <= (record.number or 0) <= found[1]:
            backend.delete(f"checkpoints/{log.directory}/{name}")


def purged_records(index: Index) -> list[Record]:
    """Return the purged versions of which a manifest is still there."""
    records = index.ask(lambda index: index.of_state("purged"))
    return [record for record in records if record.type != "purged"]


@dataclass(frozen=True)
class Unwanted:
    """The digests of payloads and previews of purged versions: their bytes are to be nowhere."""

    payloads: set[str] = field(default_factory=set)
    previews: set[str] = field(default_factory=set)


def unwanted(catalog: Catalog, index: Index) -> Unwanted:
    """Return what of all purged versions is to be nowhere."""
    records = index.ask(lambda index: index.of_state("purged"))
    return Unwanted(
        {payload for record in records if (payload := payload_of(catalog, record))},
        {record.preview for record in records if record.preview},
    )


def payload_of(catalog: Catalog, record: Record) -> str | None:
    """Return the payload of a version, or that which it had before it was purged."""
    if record.payload or record.type != "purged":
        return record.payload
    if record.key is None:
        return purged_payload(catalog.anonymous(record.uid))
    return purged_payload(catalog.manifest(record.key, record.number or 0))


def _manifest(backend: Backend, record: Record) -> Manifest | None:
    with contextlib.suppress(FileNotFoundError):
        data = backend.read(place_of(record), 0, documents.READ_LIMIT)
        if record.key is None:
            return parse_anonymous(record.uid, data)
        found = Log(record.key, VERSIONS).parse(record.number or 0, data)
        return found if isinstance(found, Manifest) else None
    return None


def place_of(record: Record) -> str:
    """Return where a version's manifest is in a store with its numbers."""
    if record.key is None:
        return f"anonymous/{record.uid}.yaml"
    return Log(record.key, VERSIONS).file(record.number or 0)
