"""What steps gave earlier: found by a digest of all that they depend on (FORMAT §10.2).

An entry is created exclusively and holds the manifests of the versions that it is about: whoever finds it
without one of them, because who wrote it was killed, makes that very version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blake3 import blake3

from art import document as documents
from art.backend import Backend
from art.catalog import is_manifest_of, parse_number
from art.errors import REPAIR, CorruptError, UsageError
from art.keys import check_key
from art.model import FORMAT, Document, is_id, is_uid, new_uid, now


def fingerprint(what: Mapping[str, Any]) -> str:
    """Return the digest that stands for all that a result depends on, given as what JSON has."""
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake3(text.encode()).hexdigest()


@dataclass(frozen=True)
class Reuse:
    """Whether and when what was given earlier is given again: unless `is_used` is False, if it is at most
    `expires` seconds old, and nothing in the files and folders `depends` nor in the environment variables
    `variables` is different. Where it `is_shared`, it is looked for at the authority, and published there."""

    is_used: bool = True
    expires: float | None = None
    depends: Sequence[str] = ()
    variables: Sequence[str] = ()
    is_shared: bool = False


@dataclass(frozen=True)
class Entry:
    """One result: by the name of each output its `key` and `id`, and the manifests of what was new."""

    number: int
    document: Document

    @property
    def outputs(self) -> dict[str, Document]:
        """Key and id of each output, by its name."""
        return self.document["outputs"]  # type: ignore[no-any-return]

    @property
    def manifests(self) -> dict[str, Document]:
        """The manifests of the outputs that were new, by the names of these."""
        return self.document["manifests"]  # type: ignore[no-any-return]

    @property
    def run(self) -> str:
        """The id of the run that made it."""
        return str(self.document["run"])

    @property
    def is_gone(self) -> bool:
        """Whether a purge took away what it was about, or damage did."""
        return "purged" in self.document

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.time() - _instant(self.document["created"]).timestamp()


class Results:
    """The log of one fingerprint."""

    def __init__(self, backend: Backend, digest: str) -> None:
        self._backend = backend
        self._digest = digest

    def newest(self) -> Entry | None:
        """Return the last entry, None where there is none. One that is damaged is of no use to anybody,
        as one that was purged: only its number counts."""
        names = self._backend.names(_directory(self._digest))
        number = max((parse_number(name) or 0 for name in names), default=0)
        if not number:
            return None
        name = _name(self._digest, number)
        try:
            return Entry(number, _parsed(self._backend.read(name, 0, documents.READ_LIMIT), name))
        except CorruptError:
            return Entry(number, {"outputs": {}, "manifests": {}, "purged": True})

    def is_in(self, backend: Backend) -> bool:
        """Whether the log lies there."""
        return self._backend is backend

    def append(
        self,
        after: int,
        run: str,
        author: str,
        outputs: Mapping[str, Document],
        manifests: Mapping[str, Document],
    ) -> Entry | None:
        """Create the entry that follows number `after`; return None where somebody else did."""
        document: Document = {
            "art": FORMAT,
            "uid": new_uid(),
            "created": now(),
            "author": author,
            "run": run,
            "outputs": dict(outputs),
            "manifests": dict(manifests),
        }
        name, data = _name(self._digest, after + 1), documents.encode(document)
        # That it is taken may be the answer to our own request: no two entries have the same bytes.
        is_ours = self._backend.create(name, data) or self._backend.read(name) == data
        return Entry(after + 1, document) if is_ours else None


def forget(backend: Backend, ids: set[str]) -> None:
    """Take away what entries say of versions that were purged."""
    for item in list(backend.walk("cache")):
        if parse_number(item.name.rpartition("/")[2]) is None:
            continue
        document = documents.decode(backend.read(item.name, 0, documents.READ_LIMIT), item.name)
        outputs = document.get("outputs") or {}
        if any(output.get("id") in ids for output in outputs.values()):
            kept = {name: document[name] for name in ("art", "uid", "created", "author", "run")}
            backend.replace(item.name, documents.encode({**kept, "outputs": {}, "purged": True}))


def _directory(digest: str) -> str:
    return f"cache/{digest}"


def _name(digest: str, number: int) -> str:
    return f"{_directory(digest)}/{number:08}.yaml"


def _parsed(data: bytes, name: str) -> Document:
    document = documents.decode(data, name)
    document.setdefault("manifests", {})
    kinds = {"run": str, "created": str, "outputs": dict, "manifests": dict}
    is_entry = all(isinstance(document.get(field), kind) for field, kind in kinds.items())
    is_entry = is_entry and is_uid(document["run"]) and _is_time(document["created"])
    if not is_entry or not _is_result(document["outputs"], document["manifests"], name):
        raise CorruptError(f"{name} is damaged: it is no result of a step", hint=REPAIR)
    return document


def _is_result(outputs: Document, manifests: Document, name: str) -> bool:
    """Whether manifests are those of the versions that are named: what is made of others is never found."""
    return all(map(_is_output, outputs.values())) and all(
        output in outputs
        and is_manifest_of(manifest, outputs[output]["key"], outputs[output]["id"], name)
        for output, manifest in manifests.items()
    )


def _is_time(text: str) -> bool:
    try:
        return _instant(text).tzinfo is not None
    except ValueError:
        return False


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _is_output(output: object) -> bool:
    if not isinstance(output, dict) or not isinstance(output.get("key"), str):
        return False
    try:
        return check_key(output["key"]) == output["key"] and is_id(output.get("id"))
    except UsageError:
        return False
