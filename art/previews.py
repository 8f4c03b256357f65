"""Previews of one store: small files, each named by its digest (FORMAT §8.1)."""

from __future__ import annotations

import re

from blake3 import blake3

from art.backend import Backend
from art.errors import CorruptError

LIMIT = 64 << 10  # bytes of one preview
_NAME = re.compile(r"previews/([0-9a-f]{2})/(\1[0-9a-f]{62})")


def preview_name(digest: str) -> str:
    """Return the name of a preview by its digest."""
    return f"previews/{digest[:2]}/{digest}"


def parse_name(name: str) -> str | None:
    """Return the digest in the name of a preview, None where it is no such name."""
    match = _NAME.fullmatch(name)
    return match[2] if match else None


def put(backend: Backend, data: bytes) -> str:
    """Store a preview, durably, and return its digest."""
    digest = blake3(data).hexdigest()
    backend.create(preview_name(digest), data)
    return digest


def read(backend: Backend, digest: str) -> bytes:
    """Return a preview. Raise FileNotFoundError where it is not there, CorruptError where it is not what
    its name says."""
    name = preview_name(digest)
    data = backend.read(name, 0, LIMIT + 1)
    if len(data) > LIMIT or blake3(data).hexdigest() != digest:
        raise CorruptError(
            f"{name} is damaged: it is not what its name says", hint="art fsck --repair"
        )
    return data
