"""A payload onto the disk: safely inside the target, verified, in place only when whole.

Everything is written into a new folder beside the target first, then renamed. Into a folder that is
there, it is moved file by file, each looked at again before: others may change the folder meanwhile.
What is found there is noted on disk, so that memory stays small however many files there are.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from art.disk import create_exclusively, explain
from art.errors import ConflictError, CorruptError
from art.folder import Folder, stamp
from art.reporter import Reporter
from art.staging import beside
from art.stored import StoredPayload
from art.tree import Node, check_path, parse_line

if TYPE_CHECKING:
    from typing_extensions import Self

_BATCH = 128
_QUEUE_LENGTH = 16
_LARGE = 1 << 20
_BLOCK = 1 << 20
_CHANGED_BATCH = 100_000
_MODE_ONLY = b"mode"  # in place of a stamp
_WINDOWS_NAMES = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_WINDOWS_CHARACTERS = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .]$')
_CREATE_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True)
class Got:
    """What taking out came to: where, as an absolute path, how many files were written, how many were
    right already, and the `size` of all of them in bytes."""

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
        is_there = self._target.is_dir()
        with beside(self._target) as temporary:
            new = os.path.join(temporary, "new")
            os.mkdir(new)
            if is_there:
                return self._fill(checked(nodes), temporary, new, force=force)
            written, size, folders = self._write(checked(nodes), new)
            _set_modes(new, folders)
            _rename(new, self._target)
        return Got(self._target, written, 0, size)

    def file(self, node: Node, *, force: bool) -> Got:
        """Take one file out to `target` itself."""
        if os.path.isdir(self._target):
            raise ConflictError(f"{self._target} is a folder", hint="name a file in it")
        place, name = str(self._target.parent), self._target.name
        seen = None
        if os.path.lexists(self._target):
            with Folder(place) as folder:
                found = folder.stat(name)
                if found and _is_right(folder, name, found, node):
                    if _has_other_mode(found, node):
                        folder.set_mode(name, node.mode)
                    return Got(self._target, 0, 1, node.size)
                if found and not force:
                    self._refuse_lost([(str(self._target), folder.digest(name))])
                seen = stamp(found) if found else None
        with beside(self._target) as temporary:
            path = os.path.join(temporary, "file")
            self._write_node(node, path)
            with Folder(place) as folder:
                folder.put(path, name, seen, force=force)
        return Got(self._target, 1, 0, node.size)

    def _fill(self, nodes: Iterator[Node], temporary: str, new: str, *, force: bool) -> Got:
        """Take out into a folder that is there: look at everything, write what is missing, place it."""
        with _Findings(os.path.join(temporary, "found")) as findings:
            right, kept = self._look(nodes, findings, force=force)
            missing = (node for seen, node in findings if seen != _MODE_ONLY)
            written, size, _ = self._write(missing, new)
            self._place(findings, new, force=force)
        return Got(self._target, written, right, kept + size)

    def _look(self, nodes: Iterator[Node], findings: _Findings, *, force: bool) -> tuple[int, int]:
        """Note what is not right on disk already; return how many files are, and their bytes.

        Raise ConflictError before anything changes."""
        right = size = 0
        changed = _Changed(self._refuse_lost)
        with Folder(str(self._target)) as folder:
            for node in nodes:
                found = folder.stat(node.path)
                if found is None:
                    findings.add(None, node)
                elif _is_right(folder, node.path, found, node):
                    right += node.is_file
                    size += node.size
                    if _has_other_mode(found, node):
                        findings.add(_MODE_ONLY, node)
                else:
                    _refuse_folders(os.path.join(self._target, node.path), found, node)
                    findings.add(stamp(found), node)
                    if not force:
                        path = os.path.join(self._target, node.path)
                        changed.add(path, folder.digest(node.path))
        changed.finish()
        return right, size

    def _place(self, findings: _Findings, new: str, *, force: bool) -> None:
        """Move what was written into the target, one name after the other."""
        folders = []
        with Folder(str(self._target)) as folder:
            for seen, node in findings:
                if node.is_dir:
                    folders.append((node.path, node.mode))
                    folder.make(node.path)
                elif seen == _MODE_ONLY:
                    folder.set_mode(node.path, node.mode)
                else:
                    folder.put(f"{new}/{node.path}", node.path, seen, force=force)
            for path, mode in sorted(folders, reverse=True):  # last: it may forbid writing into it
                folder.set_mode(path, mode)

    def _refuse_lost(self, changed: list[tuple[str, str]]) -> None:
        """Raise ConflictError where of these paths and digests some are in no version."""
        stored = self._find_stored({digest for _, digest in changed if digest})
        lost = [path for path, digest in changed if digest not in stored]
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            raise ConflictError(
                f"{lost[0]}{more} changed on disk and would be overwritten",
                hint="--force overwrites, `art create` keeps the change as a version first",
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


class _Findings:
    """What is not right in a folder that is there: nodes, each with the stamp of what lies in its
    place, None for nothing. Kept in a file; may be gone through several times."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "w+b")  # noqa: SIM115 - closed at the end of the `with`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, seen: bytes | None, node: Node) -> None:
        self._file.write(f"{seen.hex() if seen else ''} ".encode() + node.line())

    def __iter__(self) -> Iterator[tuple[bytes | None, Node]]:
        self._file.seek(0)
        for line in self._file:
            seen, _, text = line.partition(b" ")
            yield bytes.fromhex(seen.decode()) or None, parse_line(text[:-1], "what was found")


class _Changed:
    """Changed files, checked in portions: there may be as many as the payload has."""

    def __init__(self, check: Callable[[list[tuple[str, str]]], None]) -> None:
        self._check = check
        self._files: list[tuple[str, str]] = []

    def add(self, path: str, digest: str) -> None:
        self._files.append((path, digest))
        if len(self._files) >= _CHANGED_BATCH:
            self.finish()

    def finish(self) -> None:
        if self._files:
            self._check(self._files)
            self._files = []


def _is_right(folder: Folder, path: str, found: os.stat_result, node: Node) -> bool:
    """Whether the disk has this node already, but for its mode."""
    if node.link is not None:
        return stat.S_ISLNK(found.st_mode) and folder.read_link(path) == node.link
    if node.is_dir:
        return stat.S_ISDIR(found.st_mode)
    if not stat.S_ISREG(found.st_mode) or found.st_size != node.size:
        return False
    return folder.digest(path) == node.b3


def _has_other_mode(found: os.stat_result, node: Node) -> bool:
    if node.link is not None or sys.platform == "win32":
        return False
    return found.st_mode & 0o777 != node.mode


def _refuse_folders(path: str, found: os.stat_result, node: Node) -> None:
    """Raise ConflictError where a folder is in the way of a file, or the other way round."""
    if node.is_dir:
        raise ConflictError(f"{path} is a file, the version has a folder there")
    if stat.S_ISDIR(found.st_mode):
        raise ConflictError(f"{path} is a folder, the version has a file there")


def checked(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield the nodes; raise where a path cannot be a name on this system or on any."""
    for node in nodes:
        try:
            check_path(node.path)
        except ValueError as error:
            raise CorruptError(
                f"the tree is damaged: {error}", hint="art fsck --data --repair"
            ) from None
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
    missing = []
    while path not in made:
        missing.append(path)
        path = path.rpartition("/")[0]
    for folder in reversed(missing):
        try:
            os.mkdir(f"{root}/{folder}")
        except FileExistsError:
            raise CorruptError(
                f"the tree has {folder!r} as a file and as a folder",
                hint="art fsck --data --repair",
            ) from None
        except OSError as error:
            explain(error, f"{root}/{folder}")
        made.add(folder)


def copy_nodes(nodes: Iterable[Node], source: str, target: str) -> None:
    """Copy these files, links and folders from one folder into another, new one. Raise ConflictError
    where a file is none any more, or larger: the source may be anything by now."""
    os.mkdir(target)
    folders = {}
    made = {""}
    with Folder(source) as place:
        for node in checked(nodes):
            path = f"{target}/{node.path}"
            above = node.path if node.is_dir else node.path.rpartition("/")[0]
            _make_folders(target, above, made)
            try:
                if node.is_dir:
                    folders[node.path] = node.mode
                elif node.link is not None:
                    os.symlink(node.link, path)
                else:
                    _copy_file(place, node, path)
            except OSError as error:
                explain(error, path)
    for path in sorted(made - {""}, reverse=True):  # last: one may forbid writing into it
        os.chmod(f"{target}/{path}", folders.get(path, 0o755))


def _copy_file(place: Folder, node: Node, path: str) -> None:
    handle = place.open(node.path)
    if handle is None:
        raise ConflictError(f"{place.root}/{node.path} is no file any more")
    with open(handle, "rb") as source, open(path, "xb") as copy:
        left = node.size
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ConflictError(f"{place.root}/{node.path} grows while it is copied")
            copy.write(block)
    os.chmod(path, node.mode)


def _set_modes(root: str, folders: list[Node]) -> None:
    """Set the modes of folders last, deepest first: a folder may forbid writing into it."""
    for node in sorted(folders, key=lambda node: node.path, reverse=True):
        os.chmod(f"{root}/{node.path}", node.mode)


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


def write_file(target: Path, data: bytes, *, force: bool) -> Got:
    """Write a file that is no part of a tree to an absolute path. Raise ConflictError where another is
    there, unless `force`."""
    if os.path.lexists(target):
        if target.is_file() and target.read_bytes() == data:
            return Got(target, 0, 1, len(data))
        if not force:
            raise ConflictError(f"{target} is there and differs", hint="--force overwrites it")
    with beside(target) as temporary:
        path = Path(temporary) / "file"
        path.write_bytes(data)
        place(str(path), str(target), replace=force)
    return Got(target, 1, 0, len(data))


def file_digest(path: str | Path) -> str:
    """Return the hex digest of a file's content, or of nothing where it is no file."""
    place, name = os.path.split(path)
    with Folder(place or ".") as folder:
        return folder.digest(name)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
