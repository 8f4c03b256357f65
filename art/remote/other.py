"""Any other protocol of fsspec: to be read; to be written by one writer who says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from art.backend import Item
from art.errors import DeniedError, UsageError
from art.remote.base import Page, Remote
from art.remote.failures import Advice, BrokenAnswerError, TakenError
from art.remote.url import Address


class Other(Remote):
    """A folder that fsspec opens. None of its protocols but those with a module here creates a file
    exclusively, so it is read-only unless there is a single writer. Options go to fsspec."""

    def __init__(self, address: Address, given: Mapping[str, str], *, single_writer: bool) -> None:
        advice = Advice(
            "the folder", "look at the documentation of fsspec", "look at its permissions"
        )
        super().__init__(str(address), "", advice, single_writer=single_writer)
        import fsspec

        try:
            self._files: Any = fsspec.filesystem(
                address.scheme, use_listings_cache=False, skip_instance_cache=True, **given
            )
        except (ImportError, ValueError, TypeError) as error:
            raise UsageError(f"{address.scheme}:// cannot be opened here: {error}") from None
        root = self._files._strip_protocol(str(address))
        self._prefix = f"{str(root).rstrip('/')}/"

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        end = None if length is None else start + length
        size = int(self._files.info(key)["size"])
        if start >= size:
            return b""
        content: bytes = self._files.cat_file(key, start, min(size, end or size))
        if len(content) != min(size, end or size) - start:
            raise BrokenAnswerError(f"{len(content)} bytes of {key}")
        return content

    def _head(self, key: str) -> tuple[int, float]:
        found = self._files.info(key)
        if found["type"] == "directory":
            raise FileNotFoundError(2, "no such name", key)
        return int(found["size"]), _modified(found)

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        self._check_writable()
        if only_new and self._files.exists(key):
            raise TakenError(key)
        self._files.makedirs(key.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(key, content)

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        self._check_writable()
        self._try("", lambda: self._files.makedirs(key.rpartition("/")[0], exist_ok=True))
        began = file.tell()

        def send() -> None:
            file.seek(began)
            with self._files.open(key, "wb") as output:
                while block := file.read(1 << 20):
                    output.write(block)

        self._try("", send)

    def _check_writable(self) -> None:
        if not self._single_writer:
            raise DeniedError(
                f"{self.where} cannot tell which of two writers was first, so it can only be read",
                hint="where nobody else writes to it: art remote add --single-writer",
            )

    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        try:
            found = self._files.find(prefix, detail=True).values() if deep else self._look(prefix)
        except FileNotFoundError:
            found = []
        items, directories = [], []
        for entry in found:
            if entry["type"] == "directory":
                directories.append(entry["name"])
            else:
                items.append(Item(entry["name"], int(entry["size"] or 0), _modified(entry)))
        return Page(items, directories)

    def _look(self, prefix: str) -> list[dict[str, Any]]:
        return list(self._files.ls(prefix.rstrip("/"), detail=True))

    def _delete(self, key: str) -> None:
        self._check_writable()
        self._files.rm_file(key)


def _modified(entry: Mapping[str, Any]) -> float:
    """Return the time of change, 0 where the protocol does not tell."""
    for field in ("mtime", "modified", "last_modified", "LastModified", "created"):
        found: Any = entry.get(field)
        if isinstance(found, (int, float)):
            return float(found)
        if hasattr(found, "timestamp"):
            return float(found.timestamp())
    return 0.0
