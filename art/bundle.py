"""Nodes as a tar or zip file, which is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from art.checkout import Got, checked, place
from art.errors import ConflictError, UsageError
from art.staging import beside
from art.tree import Node

if TYPE_CHECKING:
    pass


class Contents(Protocol):
    """Where the content of the files that go into an archive comes from."""

    def content(self, node: Node) -> Iterator[bytes]: ...


def archive(payload: Contents, nodes: Iterable[Node], target: Path, kind: str, created: str) -> Got:
    """Write the nodes into a new tar or zip file; names are those of the tree, times that of the
    version, in a zip file no earlier than 1980 and no later than 2107, which it cannot tell."""
    return write_archive(((node, payload, created) for node in checked(nodes)), target, kind)


def write_archive(items: Iterable[tuple[Node, Contents, str]], target: Path, kind: str) -> Got:
    """Write nodes, each with what has its content and a time, into a new tar, tar.gz or zip file,
    which is there whole or not at all. Nodes are not checked; nothing is held in memory."""
    target = Path(os.path.abspath(target))
    if os.path.lexists(target):
        raise ConflictError(f"{target} exists", hint="name another file, or remove it")
    count = size = 0
    with beside(target) as temporary:
        path = os.path.join(temporary, "archive")
        with _open_archive(path, kind) as add:
            for node, payload, created in items:
                add(node, payload, datetime.fromisoformat(created.replace("Z", "+00:00")))
                count += node.is_file
                size += node.size
        place(path, str(target), replace=False)
    return Got(target, count, 0, size)


@contextlib.contextmanager
def _open_archive(path: str, kind: str) -> Iterator[Callable[[Node, Contents, datetime], None]]:
    if kind in ("tar", "tar.gz"):
        with _open_tar(path, is_packed=kind == "tar.gz") as tar:
            yield lambda node, payload, when: _add_to_tar(tar, node, payload, when)
    elif kind == "zip":
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as bundle:
            yield lambda node, payload, when: _add_to_zip(bundle, node, payload, when)
    else:
        raise UsageError(f"archive {kind!r} is not known, only tar and zip")


def _open_tar(path: str, *, is_packed: bool) -> tarfile.TarFile:
    if is_packed:
        return tarfile.open(path, "x:gz", format=tarfile.PAX_FORMAT, compresslevel=6)
    return tarfile.open(path, "x", format=tarfile.PAX_FORMAT)


def _add_to_tar(tar: tarfile.TarFile, node: Node, payload: Contents, when: datetime) -> None:
    tar.members.clear()  # type: ignore[attr-defined]  # they are not needed, and may be millions
    member = tarfile.TarInfo(node.path)
    member.mtime = int(when.replace(microsecond=0).timestamp())
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


def _add_to_zip(bundle: zipfile.ZipFile, node: Node, payload: Contents, when: datetime) -> None:
    name = node.path + "/" if node.is_dir else node.path
    member = zipfile.ZipInfo(name, _zip_time(when))
    member.compress_type = zipfile.ZIP_DEFLATED
    kind = stat.S_IFLNK if node.link is not None else stat.S_IFDIR if node.is_dir else stat.S_IFREG
    member.external_attr = (kind | (0o777 if node.link is not None else node.mode)) << 16
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConflictError(
            f"{node.path!r} is no possible name in a zip file", hint="a .tar can hold it"
        ) from None
    with bundle.open(member, "w", force_zip64=node.size > 1 << 31) as file:
        if node.link is not None:
            file.write(node.link.encode("utf-8", "surrogateescape"))
        elif node.is_file:
            for part in payload.content(node):
                file.write(part)


def _zip_time(when: datetime) -> tuple[int, int, int, int, int, int]:
    if when.year < 1980:
        return 1980, 1, 1, 0, 0, 0
    if when.year > 2107:
        return 2107, 12, 31, 23, 59, 58
    return when.year, when.month, when.day, when.hour, when.minute, when.second


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
