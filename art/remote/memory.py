"""Stores in the memory of this process, by name: for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import BinaryIO

from art.backend import Item
from art.remote.base import Page, Remote
from art.remote.failures import Advice, TakenError
from art.remote.options import Options
from art.remote.url import Address

_PAGE_SIZE = 1000
_LOCK = threading.Lock()
_STORES: dict[str, dict[str, tuple[bytes, float]]] = {}


class Memory(Remote):
    """All that open `memory://name` share one store, which ends with the process."""

    def __init__(self, address: Address, given: Mapping[str, str], *, single_writer: bool) -> None:
        Options(given, (), "memory://")
        advice = Advice(f"store {address.host!r}", "none is needed", "all may read and write")
        super().__init__(str(address), address.path, advice, single_writer=single_writer)
        with _LOCK:
            self._content = _STORES.setdefault(address.host, {})

    def _find(self, key: str) -> tuple[bytes, float]:
        found = self._content.get(key)
        if found is None:
            raise FileNotFoundError(2, "no such name", key)
        return found

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        content, _ = self._find(key)
        return content[start : None if length is None else start + length]

    def _head(self, key: str) -> tuple[int, float]:
        content, modified = self._find(key)
        return len(content), modified

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        with _LOCK:
            if only_new and key in self._content:
                raise TakenError(key)
            self._content[key] = (bytes(content), time.time())

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        self._put(key, file.read(size), only_new=False)

    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        with _LOCK:
            found = sorted(key for key in self._content if key.startswith(prefix))
            held = [Item(key, len(self._content[key][0]), self._content[key][1]) for key in found]
        if not deep:
            return _shallow(prefix, held)
        start = int(token or 0)
        end = start + _PAGE_SIZE
        return Page(held[start:end], [], str(end) if end < len(held) else None)

    def _delete(self, key: str) -> None:
        with _LOCK:
            self._content.pop(key, None)


def _shallow(prefix: str, items: list[Item]) -> Page:
    here = [item for item in items if "/" not in item.name[len(prefix) :]]
    below = {
        prefix + item.name[len(prefix) :].partition("/")[0]
        for item in items
        if "/" in item.name[len(prefix) :]
    }
    return Page(here, sorted(below))
