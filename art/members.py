"""The members of an archive, one by one, in bounded memory: tar, also compressed with gzip, or zip."""

from __future__ import annotations

import errno
import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from art import document as documents
from art.errors import ArtError, CorruptError, NotFoundError
from art.tree import Node

SHOWN = 200  # letters of what an archive says, in messages
_LINK_LIMIT = 1 << 16
_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_HEADER_LIMIT = 1 << 20  # of what a tar file says about one member
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others take memory as they please
_UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError,
)  # fmt: skip
# What libraries raise for headers that cannot be.
_IMPOSSIBLE = (ValueError, LookupError, OverflowError, RecursionError, struct.error)


@dataclass(frozen=True)
class Member:
    name: str
    node: Node
    stream: BinaryIO | None


@contextmanager
def open_members(path: Path) -> Iterator[Iterator[Member]]:
    """Yield the members of an archive one by one; each is read before the next is asked for."""
    try:
        with path.open("rb") as file:
            beginning = file.read(2)  # a tar file may well end as a zip file does
        if beginning == _ZIP:
            with _parsing():
                bundle = zipfile.ZipFile(path)
            with bundle:
                yield (_from_zip(bundle, info) for info in bundle.infolist())
        else:
            with (gzip.open if beginning == _GZIP else open)(path, "rb") as file:
                yield _from_tar(_Bounded(file))
    except FileNotFoundError:
        raise NotFoundError(f"there is no {str(path)!r}") from None
    except _UNREADABLE as error:
        raise CorruptError(f"{path} cannot be read as an archive: {str(error)[:SHOWN]}") from error


@contextmanager
def _parsing() -> Iterator[None]:
    """Give what libraries raise for impossible headers one name."""
    try:
        yield
    except ArtError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset that cannot be
            raise
        raise tarfile.ReadError("an offset in it is damaged") from error
    except _IMPOSSIBLE as error:
        raise tarfile.ReadError(f"a header in it is damaged ({error})") from error


class _Bounded:
    """The bytes of a tar file. A header that goes on and on, perhaps packed into little, is refused:
    its library would hold it in memory."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = file
        self.is_in_header = True
        self.header_size = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.header_size += len(data)
        if self.is_in_header and self.header_size > _HEADER_LIMIT:
            raise CorruptError(f"a header in the archive has more than {_HEADER_LIMIT} bytes")
        return data

    @contextmanager
    def header(self) -> Iterator[None]:
        """What is read meanwhile is a header."""
        self.is_in_header, self.header_size = True, 0
        with _parsing():
            yield
        self.is_in_header = False


def _from_tar(source: _Bounded) -> Iterator[Member]:
    with source.header():
        tar = tarfile.open(  # noqa: SIM115
            fileobj=source,  # type: ignore[call-overload]
            mode="r|",
            errors="surrogateescape",
        )
    with tar:
        while True:
            with source.header():
                info = tar.next()
            if info is None:
                return
            tar.members.clear()  # they may be millions
            yield _tar_member(tar, info)


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    node = Node(info.name, info.mode & 0o777, info.size)
    if info.issym():
        return Member(info.name, Node(info.name, link=info.linkname), None)
    if info.isdir():
        return Member(info.name, node._replace(size=0, is_dir=True), None)
    if info.isreg():
        return Member(info.name, node, tar.extractfile(info))  # type: ignore[arg-type]
    raise CorruptError(f"{info.name[:SHOWN]!r} in the archive is no file, folder or link")


def _from_zip(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & 1:
        raise CorruptError(f"{info.filename[:SHOWN]!r} in the archive is encrypted")
    if info.compress_type not in _METHODS:
        raise CorruptError(f"{info.filename[:SHOWN]!r} in the archive is not packed with deflate")
    mode = info.external_attr >> 16
    name = info.filename.rstrip("/")
    node = Node(name, stat.S_IMODE(mode) & 0o777, info.file_size)
    if info.filename.endswith("/"):
        return Member(name, node._replace(size=0, is_dir=True), None)
    with _parsing():
        stream = bundle.open(info)
    if stat.S_ISLNK(mode):
        link = stream.read(_LINK_LIMIT).decode("utf-8", "surrogateescape")
        return Member(name, Node(name, link=link), None)
    return Member(name, node, stream)  # type: ignore[arg-type]


class Members:
    """The members, with a look at the next one."""

    def __init__(self, members: Iterator[Member]) -> None:
        self._members = members
        self.next = next(members, None)

    def take(self) -> Member:
        """Return the next member, whose content is read before `advance`."""
        if self.next is None:
            raise CorruptError("the archive ends too early; what came before it is imported")
        return self.next

    def advance(self) -> None:
        self.next = next(self._members, None)

    def document(self) -> bytes:
        """Return the content of the next member, a document, and go on."""
        member = self.take()
        if member.stream is None:
            raise CorruptError(f"{member.name[:SHOWN]!r} in the archive is no file")
        limit = documents.limit_of(member.name.removeprefix(".art/"))
        data = member.stream.read(limit + 1)
        self.advance()
        return data
