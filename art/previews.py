"""Previews of one store: small files, each named by its digest (FORMAT §8.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Set

from blake3 import blake3

from art.backend import Backend, Item
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
    if parse_name(name) is None:
        raise FileNotFoundError(name)
    data = backend.read(name, 0, LIMIT + 1)
    if len(data) > LIMIT or blake3(data).hexdigest() != digest:
        raise CorruptError(
            f"{name} is damaged: it is not what its name says", hint="art fsck --repair"
        )
    return data


def unnamed(
    backend: Backend, named: Set[str], is_over: Callable[[str, Item], bool]
) -> dict[str, int]:
    """Return the names and sizes of previews that none of `named` is and that `is_over`, by digest and
    what lies there, says may go."""
    found = {}
    for item in backend.walk("previews"):
        digest = parse_name(item.name)
        if digest and digest not in named and is_over(digest, item):
            found[item.name] = item.size
    return found
