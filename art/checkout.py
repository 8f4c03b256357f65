"""A payload onto the disk: safely inside the target, verified, in place only when whole.

Everything is written into a new folder beside the target first, then renamed. Symbolic links are
made after all files, so nothing is ever written through one of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import sys
import tarfile
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from blake3 import blake3

from art.backend import create_exclusively, explain
from art.errors import ConflictError, CorruptError, UsageError
from art.objects import StoredPayload
from art.reporter import Reporter
from art.tree import Node, check_path

_BATCH = 128
_QUEUE_LENGTH = 16
_LARGE = 1 << 20
_WINDOWS_NAMES = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_WINDOWS_CHARACTERS = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .]$')
_CREATE_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True)
class Got:
    """What taking out came to: where, how many files were written, how many were right already."""

    path: Path
    written: int
    unchanged: int
    size: int

    @property
    def files(self) -> int:
        return self.written + self.unchanged


class Checkout:
    """Takes nodes of one payload out to `target`.

    `find_stored` returns which of some digests of files are stored as other versions: files on disk
    with such content may be replaced without being asked.
    """

    def __init__(
        self,
        payload: StoredPayload,
        target: Path,
        reporter: Reporter,
        find_stored: Callable[[set[str]], set[str]],
        jobs: int,
    ) -> None:
        self._payload = payload
        self._target = Path(os.path.abspath(target))
        self._reporter = reporter
        self._find_stored = find_stored
        self._jobs = jobs
        self._umask = _umask()

    def folder(self, nodes: Iterable[Node], *, force: bool) -> Got:
        """Take out into the folder `target`, which may exist. Raise ConflictError where that would
        overwrite changed files, CorruptError where the payload is damaged; then nothing changed."""
        if os.path.lexists(self._target) and not self._target.is_dir():
            raise ConflictError(
                f"{self._target} is there and is not a folder", hint="name another target"
            )
        wanted = _checked(nodes)
        if not self._target.is_dir():
            with beside(self._target) as temporary:
                written, size, folders = self._write(wanted, temporary)
                _rename(temporary, self._target)
                _set_modes(self._target, folders)
            return Got(self._target, written, 0, size)
        everything = list(wanted)
        missing = self._sort_out(everything, force=force)
        with beside(self._target) as temporary:
            written, size, _ = self._write(iter(missing), temporary)
            self._merge(temporary)
        right = set(everything).difference(missing)
        for node in right:
            _mend_mode(os.path.join(self._target, node.path), node)
        _set_modes(self._target, [node for node in everything if node.is_dir])
        return Got(self._target, written, sum(node.is_file for node in right), size)

    def file(self, node: Node, *, force: bool) -> Got:
        """Take one file out to `target` itself."""
        if os.path.isdir(self._target):
            raise ConflictError(f"{self._target} is a folder", hint="name a file in it")
        is_there = os.path.lexists(self._target)
        if is_there:
            if self._is_right(self._target, node):
                _mend_mode(str(self._target), node)
                return Got(self._target, 0, 1, 0)
            self._refuse_changed([str(self._target)], force=force)
        with beside(self._target) as temporary:
            path = os.path.join(temporary, "file")
            self._write_node(node, path)
            place(path, str(self._target), replace=is_there)
        return Got(self._target, 1, 0, node.size)

    def _sort_out(self, nodes: list[Node], *, force: bool) -> list[Node]:
        """Return what is not right on disk already. Raise ConflictError before anything changes."""
        missing = []
        changed = []
        for node in nodes:
            path = os.path.join(self._target, node.path)
            self._refuse_link_parents(node.path)
            if not os.path.lexists(path):
                missing.append(node)
            elif not self._is_right(path, node):
                missing.append(node)
                if os.path.isdir(path) and not os.path.islink(path) and not node.is_dir:
                    raise ConflictError(f"{path} is a folder, the version has a file there")
                if not node.is_dir:
                    changed.append(path)
                elif not os.path.isdir(path) or os.path.islink(path):
                    raise ConflictError(f"{path} is a file, the version has a folder there")
        self._refuse_changed(changed, force=force)
        return missing

    def _refuse_changed(self, changed: list[str], *, force: bool) -> None:
        if force or not changed:
            return
        digests = {path: file_digest(path) for path in changed}
        stored = self._find_stored(set(digests.values()))
        lost = [path for path in changed if not digests[path] or digests[path] not in stored]
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            raise ConflictError(
                f"{lost[0]}{more} changed on disk and would be overwritten",
                hint="--force overwrites, `art create` keeps the change as a version first",
            )

    def _refuse_link_parents(self, path: str) -> None:
        parent = os.path.dirname(path)
        while parent:
            full = os.path.join(self._target, parent)
            if os.path.islink(full):
                raise ConflictError(f"{full} is a symbolic link: nothing is written through it")
            if os.path.lexists(full) and not os.path.isdir(full):
                raise ConflictError(f"{full} is a file, the version has a folder there")
            parent = os.path.dirname(parent)

    def _is_right(self, path: str | Path, node: Node) -> bool:
        """Whether the disk has this node already, but for its mode."""
        found = os.lstat(path)
        if node.link is not None:
            return stat.S_ISLNK(found.st_mode) and os.readlink(path) == node.link
        if node.is_dir:
            return stat.S_ISDIR(found.st_mode)
        return (
            stat.S_ISREG(found.st_mode)
            and found.st_size == node.size
            and file_digest(path) == node.b3
        )

    def _write(self, nodes: Iterator[Node], root: str) -> tuple[int, int, list[Node]]:
        """Write everything below `root`; return how many files, bytes, and the folders' modes."""
        folders: list[Node] = []
        links: list[Node] = []
        count = size = 0
        made = {""}
        self._reporter.start("writing")
        with ThreadPoolExecutor(self._jobs) as pool:
            waiting: deque[Future[None]] = deque()
            for batch in _batches(nodes):
                files = _make_room(batch, root, made, folders, links)
                self._write_files(files, root, pool, waiting)
                count += len(files)
                batch_size = sum(node.size for node in files)
                size += batch_size
                self._reporter.advance(files=len(files), size_bytes=batch_size)
            for future in waiting:
                future.result()
        for node in links:
            self._write_node(node, os.path.join(root, node.path))
        self._reporter.finish()
        return count, size, folders

    def _write_files(
        self, nodes: list[Node], root: str, pool: ThreadPoolExecutor, waiting: deque[Future[None]]
    ) -> None:
        """Write small files at once, which costs less than handing them to a thread."""
        for node in nodes:
            if node.size < _LARGE:
                self._write_node(node, f"{root}/{node.path}")
                continue
            waiting.append(pool.submit(self._write_node, node, f"{root}/{node.path}"))
            if len(waiting) > _QUEUE_LENGTH:
                waiting.popleft().result()

    def _write_node(self, node: Node, path: str) -> None:
        try:
            if node.link is not None:
                os.symlink(node.link, path)
                return
            handle = os.open(path, _CREATE_FLAGS, node.mode | stat.S_IWUSR)
            try:
                self._write_content(node, handle)
                if (node.mode & self._umask or not node.mode & stat.S_IWUSR) and hasattr(
                    os, "fchmod"
                ):
                    os.fchmod(handle, node.mode)
            finally:
                os.close(handle)
        except FileExistsError:
            raise CorruptError(
                f"tree {self._payload.digest[:16]}: {node.path!r} stands twice, or is a name that this file "
                "system takes for another one",
                hint="take it out with --tar, or on a file system that tells capitals apart",
            ) from None
        except NotADirectoryError:
            raise CorruptError(
                f"tree {self._payload.digest[:16]}: {node.path!r} lies below a file"
            ) from None
        except OSError as error:
            explain(error, path)

    def _write_content(self, node: Node, handle: int) -> None:
        if not node.chunks:
            parts: Iterable[bytes] = (self._payload.small_content(node),)
        else:
            parts = self._payload.content(node)
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(handle, view) :]

    def _merge(self, temporary: str) -> None:
        """Move what was written into the target, one name after the other."""
        for directory, folders, files in os.walk(temporary):
            relative = os.path.relpath(directory, temporary)
            target = os.path.normpath(os.path.join(self._target, relative))
            for name in [
                *files,
                *(f for f in folders if os.path.islink(os.path.join(directory, f))),
            ]:
                place(os.path.join(directory, name), os.path.join(target, name), replace=True)
            for name in folders:
                if not os.path.islink(os.path.join(directory, name)):
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(os.path.join(target, name))


def archive(
    payload: StoredPayload, nodes: Iterable[Node], target: Path, kind: str, created: str
) -> Got:
    """Write the nodes into a new tar or zip file; names are those of the tree."""
    target = Path(os.path.abspath(target))
    if os.path.lexists(target):
        raise ConflictError(f"{target} exists", hint="name another file, or remove it")
    when = datetime.fromisoformat(created.replace("Z", "+00:00"))
    count = size = 0
    with beside(target) as temporary:
        path = os.path.join(temporary, "archive")
        with _open_archive(path, kind) as add:
            for node in _checked(nodes):
                add(node, payload, when)
                count += node.is_file
                size += node.size
        place(path, str(target), replace=False)
    return Got(target, count, 0, size)


@contextlib.contextmanager
def _open_archive(
    path: str, kind: str
) -> Iterator[Callable[[Node, StoredPayload, datetime], None]]:
    if kind == "tar":
        with tarfile.open(path, "x", format=tarfile.PAX_FORMAT) as tar:
            yield lambda node, payload, when: _add_to_tar(tar, node, payload, when)
    elif kind == "zip":
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as bundle:
            yield lambda node, payload, when: _add_to_zip(bundle, node, payload, when)
    else:
        raise UsageError(f"archive {kind!r} is not known, only tar and zip")


def _add_to_tar(tar: tarfile.TarFile, node: Node, payload: StoredPayload, when: datetime) -> None:
    member = tarfile.TarInfo(node.path)
    member.mtime = int(when.timestamp())
    member.mode = node.mode
    if node.link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, node.link
        tar.addfile(member)
    elif node.is_dir:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    else:
        member.size = node.size
        parts = payload.content(node)
        tar.addfile(member, _Parts(parts))  # type: ignore[arg-type]
        for _ in parts:  # at its end the content is verified as a whole
            pass


def _add_to_zip(
    bundle: zipfile.ZipFile, node: Node, payload: StoredPayload, when: datetime
) -> None:
    name = node.path + "/" if node.is_dir else node.path
    member = zipfile.ZipInfo(name, (max(1980, when.year), *when.timetuple()[1:6]))
    member.compress_type = zipfile.ZIP_DEFLATED
    kind = stat.S_IFLNK if node.link is not None else stat.S_IFDIR if node.is_dir else stat.S_IFREG
    member.external_attr = (kind | (0o777 if node.link is not None else node.mode)) << 16
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConflictError(
            f"{node.path!r} is no possible name in a zip file", hint="use --tar"
        ) from None
    with bundle.open(member, "w", force_zip64=node.size > 1 << 31) as file:
        if node.link is not None:
            file.write(node.link.encode("utf-8", "surrogateescape"))
        elif node.is_file:
            for part in payload.content(node):
                file.write(part)


class _Parts:
    """Makes parts readable by size, as tarfile wants it."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (part := next(self._parts, None)) is not None:
            self._rest += part
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _checked(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield the nodes; raise where a path cannot be a name on this system or on any."""
    for node in nodes:
        try:
            check_path(node.path)
        except ValueError as error:
            raise CorruptError(f"the tree is damaged: {error}", hint="art doctor") from None
        if sys.platform == "win32" and any(map(_is_refused_by_windows, node.path.split("/"))):
            raise ConflictError(
                f"{node.path!r} is no possible name on this system", hint="use --tar"
            )
        yield node


def _is_refused_by_windows(part: str) -> bool:
    return bool(_WINDOWS_NAMES.fullmatch(part) or _WINDOWS_CHARACTERS.search(part))


def _batches(nodes: Iterator[Node]) -> Iterator[list[Node]]:
    batch: list[Node] = []
    for node in nodes:
        batch.append(node)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _make_room(
    batch: list[Node], root: str, made: set[str], folders: list[Node], links: list[Node]
) -> list[Node]:
    """Make the folders that a batch needs; return its files, note its folders and links."""
    files = []
    for node in batch:
        parent = node.path if node.is_dir else node.path.rpartition("/")[0]
        if parent not in made:
            _make_folders(root, parent, made)
        if node.is_dir:
            folders.append(node)
        elif node.link is not None:
            links.append(node)
        else:
            files.append(node)
    return files


def _make_folders(root: str, path: str, made: set[str]) -> None:
    if path in made:
        return
    _make_folders(root, os.path.dirname(path), made)
    try:
        os.mkdir(f"{root}/{path}")
    except FileExistsError:
        raise CorruptError(
            f"the tree has {path!r} as a file and as a folder", hint="art doctor"
        ) from None
    except OSError as error:
        explain(error, f"{root}/{path}")
    made.add(path)


def copy_nodes(nodes: Iterable[Node], source: str, target: str) -> None:
    """Copy these files, links and folders from one folder into another, new one."""
    os.mkdir(target)
    folders = []
    made = {""}
    for node in _checked(nodes):
        path = f"{target}/{node.path}"
        _make_folders(target, node.path if node.is_dir else os.path.dirname(node.path), made)
        try:
            if node.is_dir:
                folders.append(node)
            elif node.link is not None:
                os.symlink(node.link, path)
            else:
                shutil.copyfile(f"{source}/{node.path}", path, follow_symlinks=False)
                if not os.path.islink(path):
                    os.chmod(path, node.mode)
        except OSError as error:
            explain(error, path)
    _set_modes(Path(target), folders)


def _mend_mode(path: str, node: Node) -> None:
    if node.is_file and sys.platform != "win32" and os.lstat(path).st_mode & 0o777 != node.mode:
        os.chmod(path, node.mode)


def _set_modes(root: Path, folders: list[Node]) -> None:
    """Set the modes of folders last, deepest first: a folder may forbid writing into it."""
    for node in sorted(folders, key=lambda node: node.path, reverse=True):
        os.chmod(root / node.path, node.mode)


@contextlib.contextmanager
def beside(target: Path) -> Iterator[str]:
    """Give a new folder on the file system of `target`, in it where it is a folder, else beside it; it
    is gone at the end."""
    place = target if target.is_dir() else target.parent
    path = str(place / f".{secrets.token_hex(6)}.art-get")
    try:
        place.mkdir(parents=True, exist_ok=True)
        os.mkdir(path)
    except OSError as error:
        explain(error, str(place))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _rename(source: str, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        explain(error, str(target))


def place(source: str, target: str, *, replace: bool) -> None:
    try:
        if replace:
            os.replace(source, target)
        else:
            create_exclusively(source, target)
    except FileExistsError:
        raise ConflictError(
            f"{target} has come into being meanwhile", hint="run the command again"
        ) from None
    except OSError as error:
        explain(error, target)


def file_digest(path: str | Path) -> str:
    """Return the hex digest of a file's content, or of nothing where it is no file."""
    hasher = blake3()
    if os.path.islink(path) or not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb", buffering=0) as file:
            _update(hasher, file)
    except OSError as error:
        explain(error, str(path))
    return hasher.hexdigest()


def _update(hasher: blake3, file: IO[bytes]) -> None:
    while block := file.read(1 << 20):
        hasher.update(block)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
