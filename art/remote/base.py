"""What all remotes have in common: names below a folder, repetition, who was first, large files."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from art.backend import Item, Staged
from art.errors import DeniedError, UnavailableError
from art.remote.failures import Advice, Patience, SilentError, TakenError, attempt
from art.remote.url import redact

T = TypeVar("T")

PATIENCE = Patience()
FIRST_ANSWER_SECONDS = 10.0  # an address that is wrong is told soon
SMALL_SIZE = 16 << 20  # what is at most so large is sent by one request
PART_SIZE = 8 << 20
CONNECTIONS = 64  # more than there are threads that share a remote
_QUICK_SIZE = 1 << 20
_PART_COUNT_LIMIT = 10_000
_PARALLEL_PARTS = 4
_CREATE_ROUNDS = 5


@dataclass(frozen=True)
class Page:
    """A part of a listing: names relative to the root, and where the next part begins."""

    items: list[Item]
    directories: list[str]
    next: str | None = None


class Remote(ABC):
    """A backend at another place. Subclasses give single requests, which may fail in any way: here
    they are repeated, judged and explained. Safe to use from several threads.

    With `single_writer`, which a person must ask for, exclusive creation is a look before a write.
    """

    def __init__(
        self, url: str, prefix: str, advice: Advice, *, single_writer: bool = False
    ) -> None:
        self._url = redact(url)
        self._prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
        self._advice = advice
        self._patience = PATIENCE
        self._single_writer = single_writer
        self._has_answered = False
        self._opening = threading.Lock()

    # -- single requests, for subclasses; `key` is a name with the prefix before it ---------------

    @abstractmethod
    def _get(self, key: str, start: int, length: int | None) -> bytes: ...

    @abstractmethod
    def _head(self, key: str) -> tuple[int, float]:
        """Return size and time of change, by the server's clock."""

    @abstractmethod
    def _put(self, key: str, content: bytes, *, only_new: bool) -> None: ...

    @abstractmethod
    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        """Store more than SMALL_SIZE bytes by several requests, each of which is repeated itself."""

    @abstractmethod
    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        """Return a part of what begins with `prefix`, which may be nothing; directories are left
        together unless `deep`."""

    @abstractmethod
    def _delete(self, key: str) -> None: ...

    # -- the protocol --------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """The URL, as messages may show it."""
        return self._url

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if length is not None and length <= 0:
            if self.size(name) is None:
                raise FileNotFoundError(f"{self.where}/{name}")
            return b""
        return self._try(name, lambda: self._get(self._key(name), start, length))

    def size(self, name: str) -> int | None:
        try:
            return self._try(name, lambda: self._head(self._key(name)))[0]
        except FileNotFoundError:
            return None

    def create(self, name: str, content: bytes) -> bool:
        """As the protocol says; but where the name holds exactly `content`, that was this call, whose
        answer was lost: contents are unique."""
        for _ in range(_CREATE_ROUNDS):
            if self._create(name, content):
                return True
            with contextlib.suppress(FileNotFoundError):  # deleted since
                return self.read(name, 0, len(content) + 1) == content
        raise UnavailableError(f"{self.where}/{name} comes and goes", hint="try again later")

    def _create(self, name: str, content: bytes) -> bool:
        if self._single_writer and self.size(name) is not None:
            return False
        try:
            self._in_place(name, lambda: self._put(self._key(name), content, only_new=True))
        except TakenError:
            return False
        return True

    def replace(self, name: str, content: bytes) -> None:
        self._store(name, io.BytesIO(content), len(content))

    def upload(self, name: str, source: Path) -> None:
        with source.open("rb") as file:
            self._store(name, file, os.fstat(file.fileno()).st_size)

    def stage(self) -> Staged:
        return RemoteStaged(self._store)

    def _store(self, name: str, file: BinaryIO, size: int) -> None:
        if size > SMALL_SIZE:
            self._put_large(self._key(name), file, size)
            return
        content = file.read(size)
        self._in_place(name, lambda: self._put(self._key(name), content, only_new=False))

    def walk(self, prefix: str) -> Iterator[Item]:
        for page in self._pages(prefix, deep=True):
            yield from page.items

    def names(self, directory: str) -> list[str]:
        below = f"{directory.strip('/')}/" if directory.strip("/") else ""
        found = []
        for page in self._pages(directory, deep=False):
            found += [item.name[len(below) :] for item in page.items]
            found += [name[len(below) :] + "/" for name in page.directories]
        return found

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._try(name, lambda: self._delete(self._key(name)))

    def sync(self, directory: str) -> None:  # noqa: B027
        """Nothing is to be done: what a remote has answered for is durable."""

    def alone(self, name: str) -> AbstractContextManager[None]:
        """No lock holds other machines: nothing is locked."""
        return contextlib.nullcontext()

    def clock(self) -> int:
        name = f"tmp/clock-{os.urandom(8).hex()}"
        try:
            self.replace(name, name.encode())
        except DeniedError:
            return time.time_ns()  # nothing can be written: this machine's clock must do
        try:
            _, modified = self._try(name, lambda: self._head(self._key(name)))
            return int(modified * 1e9)
        finally:
            self.delete(name)

    def path(self, name: str) -> Path | None:
        return None

    def close(self) -> None:  # noqa: B027
        """End its connections, where it keeps any that are its own."""

    # -- helpers -------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _try(self, name: str, action: Callable[[], T]) -> T:
        where = f"{self.where}/{name}" if name else self.where
        return attempt(action, where, self._advice, self._patience)

    def _in_place(self, name: str, action: Callable[[], T]) -> T:
        """As `_try`, for what needs no name to be there: what is missing is the place."""
        try:
            return self._try(name, action)
        except FileNotFoundError as error:
            raise UnavailableError(
                f"{self.where}: {self._advice.place} does not exist",
                hint="make it, or correct the URL",
            ) from error

    async def _answer(self, asked: Awaitable[T], sent: int = 0) -> T:
        """Wait for a server's answer: not for long before it has ever given one, but where many bytes
        are `sent`, which takes its time."""
        if self._has_answered or sent > _QUICK_SIZE:
            return await asked
        try:
            answered = await asyncio.wait_for(asked, FIRST_ANSWER_SECONDS)
        except asyncio.TimeoutError:
            raise SilentError(f"no answer within {FIRST_ANSWER_SECONDS:g} seconds") from None
        self._has_answered = True
        return answered

    def _pages(self, directory: str, *, deep: bool) -> Iterator[Page]:
        directory = directory.strip("/")
        below = f"{directory}/" if directory else ""
        token = None
        while True:
            page = self._list_page(self._key(below), token, deep=deep)
            yield self._cleaned(page, below)
            if page.next is None:
                return
            token = page.next

    def _list_page(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        return self._in_place("", lambda: self._list(prefix, token, deep=deep))

    def _cleaned(self, page: Page, below: str) -> Page:
        """Return the page with names relative to the root, without what is no name below `below`."""
        items = [
            Item(item.name[len(self._prefix) :], item.size, item.modified)
            for item in page.items
            if self._is_name(item.name, below)
        ]
        directories = [
            name.rstrip("/")[len(self._prefix) :]
            for name in page.directories
            if self._is_name(name.rstrip("/"), below)
        ]
        return Page(items, directories, page.next)

    def _is_name(self, key: str, below: str) -> bool:
        """Whether a listed key is a name: others' consoles leave `folder/` marks and double slashes."""
        rest = key[len(self._prefix) + len(below) :]
        is_inside = key.startswith(self._prefix + below)
        return is_inside and all(part not in ("", ".", "..") for part in rest.split("/"))

    def _send_parts(self, file: BinaryIO, size: int, send: Callable[[int, bytes], T]) -> list[T]:
        """Return what `send` returned for each part of the file, counted from 1, a few at a time."""
        part_size = max(PART_SIZE, -(-size // _PART_COUNT_LIMIT))
        results: list[T] = []
        waiting: deque[Future[T]] = deque()
        with ThreadPoolExecutor(_PARALLEL_PARTS, "upload") as threads:
            try:
                for number, part in enumerate(_parts(file, size, part_size), 1):
                    waiting.append(threads.submit(send, number, part))
                    if len(waiting) == _PARALLEL_PARTS:
                        results.append(waiting.popleft().result())
                results += [future.result() for future in waiting]
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
        return results


def silence(*loggers: str) -> None:
    """Keep what libraries log about failures, which are explained here, off the terminal."""
    for name in loggers:
        logging.getLogger(name).addHandler(logging.NullHandler())


def _parts(file: BinaryIO, size: int, part_size: int) -> Iterator[bytes]:
    while size > 0:
        part = file.read(min(size, part_size))
        if not part:
            raise UnavailableError("a file became shorter while it was uploaded")
        size -= len(part)
        yield part


class RemoteStaged:
    """A temporary file of this machine on its way to a remote. It has no name and ends with the
    process, so that a crash leaves nothing."""

    def __init__(self, store: Callable[[str, BinaryIO, int], None]) -> None:
        self._store = store
        self._file = tempfile.TemporaryFile(prefix="art-")  # noqa: SIM115

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self, name: str) -> None:
        size = self._file.tell()
        self._file.seek(0)
        self._store(name, self._file, size)
        self._file.close()

    def discard(self) -> None:
        self._file.close()
