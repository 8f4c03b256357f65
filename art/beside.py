"""What lies beside the versions of a store: previews, and records of runs (FORMAT §8.1, §10.1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from blake3 import blake3

from art import document as documents
from art import previews
from art.backend import Backend
from art.errors import CorruptError
from art.model import Document, is_uid, preview_of

_LONGEST = 90 * 24 * 3600  # seconds that a run goes on, at most


def names_beside(manifest: Document) -> list[str]:
    """Return the names of what a manifest says is beside it. Any of these may be missing."""
    names = []
    if preview := preview_of(manifest):
        names.append(previews.preview_name(preview))
    run = manifest.get("run")
    uids = [run.get(field) for field in ("id", "parent")] if isinstance(run, dict) else []
    return names + [run_name(str(uid)) for uid in uids if is_uid(uid)]


def names_of_steps(backend: Backend, name: str) -> list[str]:
    """Return the names of the records of a run's steps; nothing where its own, of this name, is not there."""
    uid = _uid(name)
    if name != run_name(uid):
        return []
    try:
        steps = parse_run(uid, read_beside(backend, name), name).get("steps", [])
    except (FileNotFoundError, CorruptError):
        return []
    return [run_name(step["id"]) for step in steps]


def may_come(name: str) -> bool:
    """Whether this is the record of a run that may still go on: it began, as its uid tells, not long ago."""
    uid = _uid(name)
    if not is_uid(uid) or name != run_name(uid):
        return False
    return time.time() - int(uid.replace("-", "")[:12], 16) / 1000 < _LONGEST


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
    data = backend.read(name, 0, documents.limit_of(name) + 1)
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
    parse_run(uid, data, name)


def parse_run(uid: str, data: bytes, name: str) -> Document:
    """Return the record of the run with this uid. Raise CorruptError where this is not it."""
    document = documents.decode(data, name)
    if document.get("uid") != uid or not is_uid(uid):
        raise CorruptError(f"{name} is damaged: it is about something else")
    if document.get("status") not in ("completed", "failed"):
        raise CorruptError(f"{name} is damaged: it does not say how the run ended")
    if wrong := next(
        (field for field, is_right in _FIELDS.items() if not is_right(document)), None
    ):
        raise CorruptError(f"{name} is damaged: {wrong} is not as in the record of a run")
    return document


def _is_text(field: str) -> Callable[[Document], bool]:
    return lambda document: isinstance(document.get(field, ""), str)


def _is_mapping(field: str) -> Callable[[Document], bool]:
    return lambda document: isinstance(document.get(field, {}), dict)


def _are_versions(field: str) -> Callable[[Document], bool]:
    return lambda document: _is_list_of(_is_version, document.get(field, []))


def _is_list_of(is_right: Callable[[Any], bool], value: object) -> bool:
    return isinstance(value, list) and all(map(is_right, value))


def _is_version(value: Any) -> bool:
    """Whether this names a version as manifests and runs do."""
    kinds = {"key": str, "id": str, "number": int}
    return (
        isinstance(value, dict)
        and "id" in value
        and all(isinstance(value[name], kind) for name, kind in kinds.items() if name in value)
    )


def _is_part(value: Any) -> bool:
    return (
        isinstance(value, dict) and is_uid(value.get("id")) and isinstance(value.get("step"), str)
    )


def _are_results(document: Document) -> bool:
    results = document.get("results", {})
    return isinstance(results, dict) and all(map(_is_version, results.values()))


def _are_arguments(document: Document) -> bool:
    given = document.get("arguments", {})
    are_texts = partial(_is_list_of, lambda each: isinstance(each, str))
    return isinstance(given, dict) and all(map(are_texts, given.values()))


# Whether what those who look at runs rely on is as FORMAT §10.1 says.
_FIELDS: dict[str, Callable[[Document], bool]] = {
    **{field: _is_text(field) for field in ("name", "step", "error", "cached", "started", "title")},
    **{field: _is_mapping(field) for field in ("params", "metadata")},
    **{field: _are_versions(field) for field in ("inputs", "outputs")},
    "created": lambda document: isinstance(document.get("created"), str),
    "results": _are_results,
    "arguments": _are_arguments,
    "steps": lambda document: _is_list_of(_is_part, document.get("steps", [])),
}


def run_name(uid: str) -> str:
    """Return the name of the record of a run."""
    return f"runs/{uid}.yaml"


def _uid(name: str) -> str:
    return name.removeprefix("runs/").removesuffix(".yaml")
