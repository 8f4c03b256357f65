"""What lies beside the versions of a store: previews, and records of runs (FORMAT §8.1, §10.1)."""

from __future__ import annotations

from blake3 import blake3

from art import document as documents
from art import previews
from art.backend import Backend
from art.errors import CorruptError
from art.model import Document, is_uid, preview_of


def names_beside(manifest: Document) -> list[str]:
    """Return the names of what a manifest says is beside it. Any of these may be missing."""
    names = []
    if preview := preview_of(manifest):
        names.append(previews.preview_name(preview))
    run = manifest.get("run")
    if isinstance(run, dict) and is_uid(run.get("id")):
        names.append(run_name(run["id"]))
    return names


def is_beside(name: str) -> bool:
    """Whether this is the name of a preview, or of the record of a run."""
    return previews.parse_name(name) is not None or (
        is_uid(_uid(name)) and name == run_name(_uid(name))
    )


def read_beside(backend: Backend, name: str) -> bytes:
    """Return what lies there, verified. Raise FileNotFoundError, CorruptError."""
    if digest := previews.parse_name(name):
        return previews.read(backend, digest)
    if not is_beside(name):
        raise FileNotFoundError(name)
    data = backend.read(name, 0, documents.READ_LIMIT)
    check_run_of(_uid(name), data, name)
    return data


def check_beside(name: str, data: bytes) -> None:
    """Raise CorruptError where these bytes are not what the name says."""
    digest = previews.parse_name(name)
    if digest is None:
        check_run_of(_uid(name), data, name)
    elif len(data) > previews.LIMIT or blake3(data).hexdigest() != digest:
        raise CorruptError(f"{name} is damaged: it is not what its name says")


def check_run_of(uid: str, data: bytes, name: str) -> None:
    """Raise CorruptError where this is not the record of the run with this uid."""
    document: Document = documents.decode(data, name)
    if document.get("uid") != uid or not is_uid(uid):
        raise CorruptError(f"{name} is damaged: it is about something else")
    if document.get("status") not in ("completed", "failed"):
        raise CorruptError(f"{name} is damaged: it does not say how the run ended")


def run_name(uid: str) -> str:
    """Return the name of the record of a run."""
    return f"runs/{uid}.yaml"


def _uid(name: str) -> str:
    return name.removeprefix("runs/").removesuffix(".yaml")
