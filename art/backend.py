"""Bytes at names: durable, visible whole or not at all, and it tells who was first."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from art.disk import NO_SYNC, create_exclusively, explain, lock, sync_file
from art.errors import REPAIR, ArtError, CorruptError

_READ_SIZE = 64 << 20
_COPY_SIZE = 4 << 20
# What one call writes, the kernel keeps in blocks of memory as large as that. Small ones are there; large
# ones it may have to ask its host for, which gets back what is free, and gives it at 1 GB in 2 s.
_WRITE_SIZE = 64 << 10
# Where a pipe lies in place of a file, opening it must not wait for a writer.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_STALE_SECONDS = 24 * 3600
_BATCH = 1000  # files that are made durable together
_MANY = 32 if sys.platform == "linux" else sys.maxsize  # elsewhere `os.sync` does not wait


@dataclass(frozen=True)
class Item:
    """One stored name with its size in bytes and its time by the store's own clock (seconds)."""

    name: str
    size: int
    modified: float


class Staged(Protocol):
    """A file that is being written and has no name yet. Ends with `commit` or `discard`."""

    def write(self, data: bytes) -> None: ...

    def commit(self, name: str) -> None:
        """Make it durable under `name`. The name must belong to these bytes alone."""

    def discard(self) -> None:
        """Forget it. May be called twice, and after `commit`, where it does nothing."""


class Backend(Protocol):
    """Bytes at names. Names are relative, lower-case ASCII, `/`-separated (FORMAT §2).

    What a call wrote is durable when the call returns. Nothing is ever seen half-written.
    """

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes, or fewer than `length` where the end comes first.

        Raise FileNotFoundError where there is no such name.
        """

    def size(self, name: str) -> int | None:
        """Return the size in bytes, None where there is no such name."""

    def create(self, name: str, content: bytes) -> bool:
        """Store `content` unless `name` exists; return whether this call created it."""

    def replace(self, name: str, content: bytes) -> None:
        """Store `content`, whether `name` exists or not. For files that are no evidence."""

    def stage(self) -> Staged:
        """Begin a large file."""

    def upload(self, name: str, source: Path) -> None:
        """Store a copy of a local file. The name must belong to these bytes alone."""

    def walk(self, prefix: str) -> Iterator[Item]:
        """Yield all names below the directory `prefix`, in no order; nothing where it is missing."""

    def names(self, directory: str) -> list[str]:
        """Return the names of files and directories right in `directory`, the latter with `/`."""

    def delete(self, name: str) -> None:
        """Remove it. A missing name is no error."""

    def sync(self, directory: str) -> None:
        """Make durable what another writer has just put into the directory, before it is relied on."""

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that other processes of this machine wait for. It ends with the process."""

    def clock(self) -> int:
        """Return the time by the clock that its files are stamped with, in nanoseconds."""

    def path(self, name: str) -> Path | None:
        """Return where it lies on this machine's disk, None where it does not."""

    @property
    def where(self) -> str:
        """The place it is at, as messages may show it."""


class LocalBackend:
    """A directory on a disk or shared folder.

    Exclusive creation is a hard link from a finished, synced temporary file: it fails where the
    name exists, on every POSIX file system and NFS. Where links do not exist, a rename that refuses
    to replace does the same; where that does not exist either, writing is refused.
    """

    def __init__(self, root: Path, *, is_durable: bool = True) -> None:
        """Without `is_durable` nothing needs to stay when the machine crashes."""
        self.root = root
        self.is_durable = is_durable
        self._made: set[str] = set()

    def path(self, name: str) -> Path:
        return self.root / name

    @property
    def where(self) -> str:
        return str(self.root)

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        path = self._at(name)
        try:
            handle = os.open(path, _READ_FLAGS)
            try:
                found = os.fstat(handle)
                if not stat.S_ISREG(found.st_mode):
                    raise CorruptError(f"{name} is damaged: it is no file", hint=REPAIR)
                end = found.st_size if length is None else min(found.st_size, start + length)
                return _read_all(handle, start, end - start)
            finally:
                os.close(handle)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(errno.ENOENT, "no such name", path) from None
        except OSError as error:
            _explain_reading(error, name, path)

    def size(self, name: str) -> int | None:
        path = self._at(name)
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(path):  # the name is taken all the same
                raise CorruptError(f"{name} is damaged: it is a link to nothing") from None
            return None
        except OSError as error:
            _explain_reading(error, name, path)

    def create(self, name: str, content: bytes) -> bool:
        staged = self.stage()
        try:
            staged.write(content)
            return staged.publish(name)
        finally:
            staged.discard()

    def create_many(self, items: Sequence[tuple[str, bytes]]) -> int:
        """Create one name after the other up to the first that is taken; return how many that were.

        All are durable when it returns, for much less than each alone would take.
        """
        count = 0
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            created = self._create_batch(batch)
            count += created
            if created < len(batch):
                break
        return count

    def _create_batch(self, items: Sequence[tuple[str, bytes]]) -> int:
        staged: list[LocalStaged] = []
        directories: set[str] = set()
        try:
            for _, content in items:
                staged.append(self.stage())
                staged[-1].write(content)
                staged[-1].settle(is_alone=len(items) < _MANY)
            if len(items) >= _MANY and self.is_durable:
                os.sync()
            for count, (name, _) in enumerate(items):
                directories.add(os.path.dirname(name))
                if not staged[count].link(name):
                    return count
            return len(items)
        finally:
            for file in staged:
                file.discard()
            for directory in directories:
                self.sync(directory)

    def replace(self, name: str, content: bytes) -> None:
        staged = self.stage()
        try:
            staged.write(content)
            staged.commit(name)
        finally:
            staged.discard()

    def stage(self) -> LocalStaged:
        path = f"{self.root}/tmp/{os.getpid()}-{os.urandom(8).hex()}"
        self.make_directory("tmp")
        try:
            return LocalStaged(self, path)
        except FileNotFoundError:  # somebody removed the folder since, which FORMAT §2 allows
            self._made.clear()
            self.make_directory("tmp")
            return LocalStaged(self, path)

    def upload(self, name: str, source: Path) -> None:
        staged = self.stage()
        try:
            for block in _blocks(source):
                staged.write(block)
            staged.commit(name)
        finally:
            staged.discard()

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        lock = Lock(self, name, is_shared=False)
        try:
            yield
        finally:
            lock.release()

    def together(self, name: str) -> Lock:
        """Return a lock that excludes who wants to be `alone`, and nobody else."""
        return Lock(self, name, is_shared=True)

    def walk(self, prefix: str) -> Iterator[Item]:
        pending = [prefix.rstrip("/")]
        while pending:
            directory = pending.pop()
            try:
                entries = os.scandir(self._at(directory))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                explain(error, self._at(directory))
            with entries:
                for entry in entries:
                    name = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(name)
                    else:
                        yield from _item(name, entry)

    def names(self, directory: str) -> list[str]:
        try:
            with os.scandir(self._at(directory)) as entries:
                return [
                    e.name + "/" if e.is_dir(follow_symlinks=False) else e.name for e in entries
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            explain(error, self._at(directory))

    def delete(self, name: str) -> None:
        try:
            os.unlink(self._at(name))
        except FileNotFoundError:
            return
        except OSError as error:
            explain(error, self._at(name))
        self.sync_directory(os.path.dirname(self._at(name)))

    def make_directory(self, name: str) -> None:
        """Create the directory and its parents, durably."""
        if name in self._made:
            return
        path = self._at(name)
        is_there = os.path.isdir(path)
        if name:
            self.make_directory(os.path.dirname(name))
        if not is_there:
            try:
                os.mkdir(path)
            except FileExistsError:
                pass
            except OSError as error:
                explain(error, path)
        if name or not is_there:  # another process may have made it a moment ago
            self.sync_directory(os.path.dirname(path))
        self._made.add(name)

    def sync(self, directory: str) -> None:
        self.sync_directory(self._at(directory))

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable, where the system can."""
        if sys.platform == "win32" or not self.is_durable:
            return
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            explain(error, path)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in NO_SYNC:
                explain(error, path)
        finally:
            os.close(handle)

    def clock(self) -> int:
        try:
            staged = self.stage()
        except ArtError:
            return time.time_ns()  # nothing can be written: this machine's clock must do
        try:
            return staged.modified()
        finally:
            staged.discard()

    def sweep_temporary(self) -> int:
        """Remove temporary files that are a day old, left by killed processes; return how many.

        Clocks jump: where there are locks, a file whose writer lives stays, however old it looks.
        """
        count = 0
        found = list(self.walk("tmp"))
        limit = self.clock() / 1e9 - _STALE_SECONDS if found else 0.0
        for item in found:
            path = self._at(item.name)
            if item.modified < limit and not _is_being_written(path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                    count += 1
        return count


class Lock:
    """A lock of this machine's processes, waited for. Others may hold a shared one at the same time.
    It ends when it is released or forgotten, and with the process."""

    def __init__(self, backend: LocalBackend, name: str, *, is_shared: bool) -> None:
        self._handle = -1
        backend.make_directory("locks")
        path = str(backend.path(f"locks/{name}"))
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._handle = os.open(path, flags, 0o666)
        except OSError as error:
            explain(error, path)
        lock(self._handle, is_shared=is_shared, waits=True)

    def release(self) -> None:
        """Let others have it. May be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        self.release()


class LocalStaged:
    """A temporary file in `tmp/` on its way to a name. Locked as long as it is being written."""

    def __init__(self, backend: LocalBackend, path: str) -> None:
        self._backend = backend
        self._path = path
        self._is_here = True
        try:
            self._file: BinaryIO | None = open(path, "xb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            raise
        except OSError as error:
            explain(error, path)
        lock(self._file.fileno(), is_shared=True, waits=False)

    def write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view[:_WRITE_SIZE]) :]
        except OSError as error:
            explain(error, self._path)

    def modified(self) -> int:
        """Return the time of its last change in nanoseconds."""
        assert self._file is not None
        return os.fstat(self._file.fileno()).st_mtime_ns

    def commit(self, name: str) -> None:
        target = self._prepare(name)
        try:
            os.replace(self._path, target)
        except OSError as error:
            explain(error, target)
        self._is_here = False
        self._close()
        self._backend.sync_directory(os.path.dirname(target))

    def publish(self, name: str) -> bool:
        """Make it durable under `name` unless that exists; return whether this call created it."""
        self.settle(is_alone=True)
        is_new = self.link(name)
        # Where the name is taken, too: what others build on must not vanish in a crash.
        self._backend.sync(os.path.dirname(name))
        return is_new

    def settle(self, *, is_alone: bool) -> None:
        """Make what was written durable, or, as one of many, leave that to one `os.sync` for all."""
        assert self._file is not None
        if is_alone and self._backend.is_durable:
            try:
                sync_file(self._file.fileno())
            except OSError as error:
                explain(error, self._path)
        if sys.platform == "win32" or not is_alone:  # else it stays locked until it has its name
            self._close()

    def link(self, name: str) -> bool:
        """Give it its name unless that is taken; return whether it has it now."""
        self._backend.make_directory(os.path.dirname(name))
        target = f"{self._backend.root}/{name}"
        try:
            create_exclusively(self._path, target)
        except FileExistsError:
            return False
        except OSError as error:
            explain(error, target)
        return True

    def discard(self) -> None:
        self._close()
        if self._is_here:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            self._is_here = False

    def _prepare(self, name: str) -> str:
        self.settle(is_alone=True)
        self._backend.make_directory(os.path.dirname(name))
        return f"{self._backend.root}/{name}"

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def _is_being_written(path: str) -> bool:
    try:
        handle = os.open(path, _READ_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return not lock(handle, is_shared=False, waits=False)
    finally:
        os.close(handle)


def _explain_reading(error: OSError, name: str, path: str) -> NoReturn:
    if error.errno == errno.ELOOP:
        raise CorruptError(f"{name} is damaged: it is a circle of links") from None
    explain(error, path)


def _read_all(handle: int, start: int, size: int) -> bytes:
    if start:
        os.lseek(handle, start, os.SEEK_SET)
    parts = []
    while size > 0 and (part := os.read(handle, min(size, _READ_SIZE))):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _blocks(source: Path) -> Iterator[bytes]:
    try:
        with open(source, "rb", buffering=0) as file:
            while block := file.read(_COPY_SIZE):
                yield block
    except OSError as error:
        explain(error, str(source))


def _item(name: str, entry: os.DirEntry[str]) -> Iterator[Item]:
    with contextlib.suppress(FileNotFoundError):
        found = entry.stat(follow_symlinks=False)
        yield Item(name, found.st_size, found.st_mtime)
