"""A folder on disk that others may change meanwhile, looked into and filled by handles.

Below the folder itself no symbolic link is ever followed: each folder on the way is opened from the
one above it. Where the system cannot do that (Windows), each is looked at right before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from blake3 import blake3

from art.disk import create_exclusively, explain
from art.errors import ConflictError

if TYPE_CHECKING:
    from typing_extensions import Self

_HAS_HANDLES = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
# Where a pipe lies in place of a file, opening it must not wait for a writer.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_STAMP = struct.Struct("<QIqqq")  # inode, mode, size, mtime, ctime
_BLOCK = 1 << 20
_AGAIN = "run the command again: what is there by now is whole"


def stamp(found: os.stat_result) -> bytes:
    """Return what changes when a file does."""
    return _STAMP.pack(
        found.st_ino & (2**64 - 1),
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


class Folder:
    """The folder at `root`; paths are relative to it, with `/`. Use as a context manager.

    Every call raises ConflictError where a link or a file lies in place of a folder on the way.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._handle = _open_root(root) if _HAS_HANDLES else None
        self._near: tuple[str, int] | None = None  # the folder that was used last, and its handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        if self._handle is not None:
            os.close(self._handle)

    def stat(self, path: str) -> os.stat_result | None:
        """Return what lies at a path, None where nothing does."""
        try:
            name, handle = self._at(path)
            return os.stat(name, dir_fd=handle, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            explain(error, self._full(path))

    def read_link(self, path: str) -> str:
        """Return where a link leads, nothing where it is no link any more."""
        try:
            name, handle = self._at(path)
            return os.readlink(name, dir_fd=handle)
        except OSError:
            return ""

    def open(self, path: str) -> int | None:
        """Return a handle to read a file from, None where there is no file."""
        try:
            name, near = self._at(path)
            handle = os.open(name, _READ_FLAGS, dir_fd=near)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR):
                return None
            explain(error, self._full(path))
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        return None

    def digest(self, path: str) -> str:
        """Return the hex digest of a file's content, nothing where there is no file."""
        handle = self.open(path)
        return "" if handle is None else _digest(handle, self._full(path))

    def put(self, source: str, path: str, seen: bytes | None, *, force: bool) -> None:
        """Move the file or link at `source` to a path, where `seen` is the stamp of what was there,
        None for nothing. Raise ConflictError where that is so no more; `force` overwrites even so,
        but nothing where nothing was, and never a folder."""
        full = self._full(path)
        try:
            name, handle = self._at(path, is_made=True)
            if seen is None:
                _create(source, name, handle, full)
            else:
                if not force and self._stamp(name, handle) != seen:
                    raise ConflictError(f"{full} has changed meanwhile", hint=_AGAIN)
                os.replace(source, name, dst_dir_fd=handle)
        except FileExistsError:
            raise ConflictError(f"{full} has come into being meanwhile", hint=_AGAIN) from None
        except IsADirectoryError:
            raise ConflictError(f"{full} is a folder, the version has a file there") from None
        except OSError as error:
            explain(error, full)

    def make(self, path: str) -> None:
        """Make a folder, and those above it."""
        try:
            self._at(f"{path}/.", is_made=True)
        except OSError as error:
            explain(error, self._full(path))

    def remove(self, path: str, seen: bytes) -> None:
        """Remove a file or link, where `seen` is the stamp of what is there. Raise ConflictError where
        that is so no more."""
        full = self._full(path)
        try:
            name, handle = self._at(path)
            if self._stamp(name, handle) != seen:
                raise ConflictError(f"{full} has changed meanwhile and stays")
            os.unlink(name, dir_fd=handle)
        except OSError as error:
            explain(error, full)

    def remove_empty(self, path: str) -> bool:
        """Remove a folder if nothing is in it; return whether that was so."""
        try:
            name, handle = self._at(path)
            os.rmdir(name, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                return False
            explain(error, self._full(path))
        return True

    def set_mode(self, path: str, mode: int) -> None:
        """Set the mode of a file or folder, never that of what a link leads to."""
        try:
            name, near = self._at(path)
            handle = _open_for_mode(name, near)
            if handle is None:
                _chmod(name, near, mode)
                return
            try:
                os.fchmod(handle, mode)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ConflictError(f"{self._full(path)} has changed meanwhile") from None
            explain(error, self._full(path))

    def _full(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _stamp(self, name: str, handle: int | None) -> bytes | None:
        try:
            return stamp(os.stat(name, dir_fd=handle, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def _at(self, path: str, *, is_made: bool = False) -> tuple[str, int | None]:
        """Return how to name a path for the system: a name, and the handle of the folder it is in.

        Raise FileNotFoundError where that folder is not there, unless it is to be made."""
        parent, _, name = path.rpartition("/")
        if self._handle is None:
            self._check_way(parent, is_made=is_made)
            return self._full(path), None
        if not parent:
            return name, self._handle
        if self._near and self._near[0] == parent:
            return name, self._near[1]
        return name, self._walk(parent, is_made=is_made)

    def _walk(self, path: str, *, is_made: bool) -> int:
        """Return the handle of a folder; it is good until the next one is asked for."""
        assert self._handle is not None
        at, handle = "", self._handle
        if self._near and path.startswith(self._near[0] + "/"):
            at, handle = self._near
        else:
            self._leave()
        for part in path[len(at) :].removeprefix("/").split("/"):
            at = f"{at}/{part}" if at else part
            handle = self._step(part, handle, at, is_made=is_made)
            self._leave()
            self._near = at, handle
        return handle

    def _step(self, name: str, handle: int, path: str, *, is_made: bool) -> int:
        flags = _FOLDER_FLAGS | os.O_NOFOLLOW
        try:
            try:
                return os.open(name, flags, dir_fd=handle)
            except FileNotFoundError:
                if not is_made:
                    raise
            _make_one(name, handle)
            return os.open(name, flags, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                raise _in_the_way(self._full(path), found) from None
            raise

    def _check_way(self, path: str, *, is_made: bool) -> None:
        at = ""
        for part in path.split("/") if path else ():
            at = f"{at}/{part}" if at else part
            full = self._full(at)
            try:
                found = os.lstat(full)
            except FileNotFoundError:
                if not is_made:
                    raise
                _make_one(full, None)
                found = os.lstat(full)
            if not stat.S_ISDIR(found.st_mode):
                raise _in_the_way(full, found)

    def _leave(self) -> None:
        if self._near:
            os.close(self._near[1])
            self._near = None


def _open_root(root: str) -> int:
    try:
        return os.open(root, _FOLDER_FLAGS)
    except OSError as error:
        explain(error, root)


def _open_for_mode(name: str, near: int | None) -> int | None:
    """Return a handle, None where there is none: not even its owner may read it, or on Windows."""
    if near is None:
        return None
    try:
        return os.open(name, _READ_FLAGS, dir_fd=near)
    except PermissionError:
        return None


def _chmod(name: str, near: int | None, mode: int) -> None:
    found = os.stat(name, dir_fd=near, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    os.chmod(name, mode, dir_fd=near)


def _make_one(name: str, handle: int | None) -> None:
    with contextlib.suppress(FileExistsError):  # if it is no folder, the next look refuses it
        os.mkdir(name, dir_fd=handle)


def _create(source: str, name: str, handle: int | None, full: str) -> None:
    """Give what is at `source` a name that nothing has. Raise FileExistsError where it is taken."""
    if os.path.islink(source):  # not every system can give a link a second name
        os.symlink(os.readlink(source), name, dir_fd=handle)
    elif handle is None:
        create_exclusively(source, full)
    else:
        try:
            os.link(source, name, dst_dir_fd=handle)
        except FileExistsError:
            raise
        except OSError:  # maybe a file system without links
            create_exclusively(source, full)
            return
        os.unlink(source)  # what is placed has one name, as any other file


def _in_the_way(full: str, found: os.stat_result) -> ConflictError:
    if stat.S_ISLNK(found.st_mode):
        return ConflictError(f"{full} is a symbolic link: nothing is written through it")
    return ConflictError(f"{full} is a file, the version has a folder there")


def _digest(handle: int, full: str) -> str:
    hasher = blake3()
    try:
        while block := os.read(handle, _BLOCK):
            hasher.update(block)
    except OSError as error:
        explain(error, full)
    finally:
        os.close(handle)
    return hasher.hexdigest()
