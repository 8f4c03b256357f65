"""Values and helpers that several test modules share."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

UID = "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10"
ID = "b3:" + "6f1ed002" * 8


def manifest_document(**fields: Any) -> dict[str, Any]:
    """Return the document of a small manifest."""
    return {
        "art": 1,
        "uid": UID,
        "key": "sales/report",
        "type": "note",
        "created": "2026-11-21T08:30:00.000000Z",
        "author": "ana@build-7",
    } | fields


def digest_of(data: bytes) -> bytes:
    return blake3(data).digest()
