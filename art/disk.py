"""Files on disk: created exclusively, durable, locked, and what the system says against it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import NoReturn

from art.errors import ArtError, DeniedError, StorageError

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}
# where nothing can be made durable
NO_SYNC = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF, errno.EACCES}
_NAME_BYTES = 255  # of a name, on most file systems


def lock(handle: int, *, is_shared: bool, waits: bool) -> bool:
    """Lock an open file; return False where another process has it locked. Where the system or the
    file system has no locks, nobody has."""
    if sys.platform == "win32":
        return True
    import fcntl

    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind if waits else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def create_exclusively(source: str, target: str) -> None:
    """Give the file at `source` the name `target`; raise FileExistsError where it is taken.

    `source` may be gone afterwards.
    """
    if sys.platform == "win32":
        os.rename(source, target)  # refuses to replace, there
        return
    try:
        os.link(source, target)
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno not in _NO_LINKS:
            raise
        _rename_without_replacing(source, target)


def _rename_without_replacing(source: str, target: str) -> None:
    """For file systems without hard links (vfat, exfat, some network shares)."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    arguments = (os.fsencode(source), os.fsencode(target))
    if sys.platform == "darwin":
        result = library.renamex_np(*arguments, 0x4)  # RENAME_EXCL
    else:
        result = library.renameat2(-100, arguments[0], -100, arguments[1], 0x1)  # RENAME_NOREPLACE
    if result != 0:
        code = ctypes.get_errno()
        if code == errno.EEXIST:
            raise FileExistsError(code, os.strerror(code), target)
        raise StorageError(
            f"{os.path.dirname(target)}: this file system can neither link nor rename exclusively "
            f"({os.strerror(code)}), so writers could overwrite each other",
            hint="keep the repository on another file system",
        )


def sync_file(handle: int) -> None:
    """Make a file's bytes durable, past the drive's own cache where the system offers that."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise
    os.fsync(handle)


def explain(error: OSError, path: str) -> NoReturn:
    """Raise the error of the system in words that help."""
    if isinstance(error, ArtError):
        raise error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = _free_space(path)
        raise StorageError(
            f"{path}: no space left{free}",
            hint="free some space, then run the command again: nothing was lost",
        ) from error
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = "the file system is read-only" if error.errno == errno.EROFS else "permission denied"
        raise DeniedError(
            f"{path}: {why}", hint="look at the owner and mode of this path"
        ) from error
    if error.errno == errno.ENAMETOOLONG:
        name, size = os.path.basename(path), len(os.fsencode(path))
        shown = name if len(name) <= 40 else f"{name[:40]}…"
        longest = max(len(os.fsencode(part)) for part in path.split(os.sep))
        what = f"a name of {longest}" if longest > _NAME_BYTES else f"a path of {size}"
        raise StorageError(
            f"{shown!r} has {what} bytes, too long for this file system",
            hint="take it out with --tar, or to another file system",
        ) from error
    raise StorageError(f"{path}: {error.strerror or error}", hint="art doctor") from error


def _free_space(path: str) -> str:
    import shutil

    with contextlib.suppress(OSError):
        return f" ({shutil.disk_usage(os.path.dirname(path)).free:,} bytes free)"
    return ""
