"""Files on disk into a payload: walks folders, remembers what it saw, reads what changed.

The walk is a generator of tree lines in order, so that memory stays small however many files there
are; while it is consumed, it gives contents to the `PayloadWriter`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from blake3 import blake3

from art.disk import explain
from art.errors import ConflictError, NotFoundError, UsageError
from art.globs import expand, refuse_own
from art.ignore import Ignore
from art.memory import FileMemory
from art.reporter import Reporter
from art.staging import is_temporary
from art.tree import Node, check_path, file_line, folders_above
from art.writer import PayloadWriter

IGNORE_FILE = ".artignore"
_SEGMENT = 4096
_MEMORY_BYTES = 4 << 20
_RACY_NS = 2_000_000_000
_ATTEMPTS = 3
_RECORD = struct.Struct("<40s32sI")  # stat, digest, length of the rest of the line in `extras`
_STAT = struct.Struct("<QQqqq")  # device, inode, size, mtime, ctime
_NEVER = b"\xff" * 40
_PLAIN = re.compile(r"[ !#-\[\]-~]*")
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_U64 = 2**64 - 1
_RESERVED = {f".{a}{r}{t}{end}" for a in "aA" for r in "rR" for t in "tT" for end in ("", "/")}


@dataclass(frozen=True)
class Source:
    """A file or folder on disk and its path in the tree; the path of the root folder is empty."""

    path: str
    name: str


def find_sources(paths: tuple[str | os.PathLike[str], ...]) -> list[Source]:
    """Return what `paths` mean: files, folders and globs.

    One folder becomes the root of the tree. Several are named from their deepest common folder on.
    Raise NotFoundError where a path or glob matches nothing.
    """
    found = [match for path in paths for match in expand(os.fspath(path))]
    found = list(dict.fromkeys(os.path.abspath(path) for path in found))
    if len(found) == 1:
        path = found[0]
        return [Source(path, "" if os.path.isdir(path) else os.path.basename(path))]
    common = os.path.commonpath([os.path.dirname(path) for path in found])
    sources = [Source(path, os.path.relpath(path, common).replace(os.sep, "/")) for path in found]
    sources.sort(key=lambda source: source.name)
    if twice := find_overlap(sources):
        raise UsageError(f"{twice[0].path} is given together with something inside it")
    return sources


def find_overlap(sources: list[Source]) -> tuple[Source, Source] | None:
    """Return two sources of the same name, or one of them inside the other; they are in order."""
    taken: dict[str, Source] = {}
    for source in sources:
        for name in (*folders_above(source.name), source.name):
            if name in taken:
                return taken[name], source
        taken[source.name] = source
    return None


class Ingest:
    """One walk over sources. `lines` may be consumed once."""

    def __init__(self, writer: PayloadWriter, memory: FileMemory, reporter: Reporter) -> None:
        self._writer = writer
        self._reporter = reporter
        self._notes = _Notes(memory)
        self.files = 0
        self.size = 0
        self.reused = 0

    def lines(self, sources: list[Source]) -> Iterator[bytes]:
        """Yield the tree's lines in the order of their paths."""
        for source in sources:
            if source.name:
                check_name(source.name)
        self._reporter.start("reading")
        if len(sources) == 1 and not sources[0].name:
            yield from self._folder(sources[0].path, "", 0o755)
        else:
            for source in sorted(sources, key=_order):
                yield from self._source(source)
        self._reporter.finish()

    def stream_line(self, name: str, stream: BinaryIO) -> Iterator[bytes]:
        """Yield the one line of a file that comes as a stream."""
        check_name(name)
        b3, size, chunks, is_list = self._writer.add_file(stream.read)
        self.files, self.size = 1, size
        yield Node(name, 0o644, size, b3, chunks, is_list).line()

    def bytes_line(self, name: str, data: bytes) -> Iterator[bytes]:
        """Yield the one line of a file whose content is at hand."""
        import io

        return self.stream_line(name, io.BytesIO(data))

    def remember(self, payload: str) -> None:
        """Note what was read, now that the version with this payload is published."""
        self._notes.commit(payload)

    def _source(self, source: Source) -> Iterator[bytes]:
        refuse_own(source.path)
        try:
            found = os.stat(source.path)
        except FileNotFoundError:
            is_link = os.path.islink(source.path)
            why = f", to which {source.path!r} is a link" if is_link else ""
            path = os.readlink(source.path) if is_link else source.path
            raise NotFoundError(f"there is no file or folder {path!r}{why}") from None
        except OSError as error:
            explain(error, source.path)
        if stat.S_ISDIR(found.st_mode):
            yield from self._folder(source.path, source.name, found.st_mode)
        else:
            segments = _Segments(self._notes, os.path.dirname(source.path) + "\0" + source.name)
            yield self._file(
                os.path.realpath(source.path), source.path, _quote(source.name), segments
            )
            segments.finish()

    def _folder(self, path: str, name: str, mode: int) -> Iterator[bytes]:
        """Yield the lines of a folder and all below it, with a stack of its own: folders may lie in
        each other as deep as the system's paths go."""
        stack = [self._enter(path, f"{name}/" if name else "", Ignore())]
        yield from _folder_line(name, mode, stack[-1])
        while stack:
            level = stack[-1]
            entry = next(level.names, None)
            if entry is None:
                level.segments.finish()
                stack.pop()
            elif entry[-1] == "/":
                inner = os.path.join(level.path, entry[:-1])
                mode = _folder_mode(inner)
                stack.append(self._enter(inner, level.prefix + entry, level.ignore))
                yield from _folder_line(level.prefix + entry[:-1], mode, stack[-1])
            else:
                is_plain = _PLAIN.fullmatch(entry)
                quoted = f'{level.quoted}{entry}"' if is_plain else _quote(level.prefix + entry)
                yield self._file(f"{level.path}/{entry}", entry, quoted, level.segments)

    def _enter(self, path: str, prefix: str, ignore: Ignore) -> _Level:
        names = _listing(path)
        if IGNORE_FILE in names and os.path.isfile(rules := os.path.join(path, IGNORE_FILE)):
            ignore = ignore.with_file(rules, prefix)
        if not _RESERVED.isdisjoint(names):
            names = [name for name in names if not _is_own(name, path, prefix, ignore)]
        if ignore.rules:
            names = [name for name in names if not ignore.matches(prefix + name)]
        names.sort()
        segments = _Segments(self._notes, path)
        return _Level(path, prefix, _quote(prefix)[:-1], ignore, iter(names), not names, segments)

    def _file(self, path: str, name: str, quoted: str, segments: _Segments) -> bytes:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            raise _changed(path, "vanished") from None
        except OSError as error:
            explain(error, path)
        mode = found.st_mode
        if not stat.S_ISREG(mode):
            return _special(path, quoted, mode)
        self.files += 1
        self.size += found.st_size
        if not self.files & 255:
            self._reporter.advance(files=256)
        key = _stat_key(found)
        known = segments.find(name, key)
        if known is not None:
            line = self._known_line(quoted, found, known)
            if line:
                self.reused += 1
                segments.keep(name, known)
                return line
        return self._read(path, name, quoted, found, segments)

    def _known_line(self, quoted: str, found: os.stat_result, known: _Known) -> bytes | None:
        """Return the line of a file that did not change, None where its chunks are not all stored."""
        is_covered = known.payload and known.payload == self._writer.covered
        if not known.extra:
            if is_covered or not found.st_size or self._writer.has(known.digest):
                return file_line(quoted, found.st_mode & 0o777, found.st_size, known.digest.hex())
            return None
        node = Node("", 0, found.st_size, known.digest.hex(), *_parse_extra(known.extra))
        if is_covered or self._writer.has_file(node):
            return _chunked_line(quoted, found.st_mode & 0o777, node)
        return None

    def _read(
        self, path: str, name: str, quoted: str, found: os.stat_result, segments: _Segments
    ) -> bytes:
        """Read a file until it is the same before and after."""
        for _ in range(_ATTEMPTS):
            started = time.time_ns()
            try:
                handle = os.open(path, _OPEN_FLAGS)
            except FileNotFoundError:
                raise _changed(path, "vanished") from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise _changed(path, "became a symbolic link") from None
                explain(error, path)
            try:
                node = self._store(handle, found.st_size)
                after = os.fstat(handle)
            except OSError as error:
                explain(error, path)
            finally:
                os.close(handle)
            if _stat_key(after) == _stat_key(found) and node.size == found.st_size:
                segments.add(name, found, started, node)
                return _chunked_line(quoted, found.st_mode & 0o777, node)
            if not stat.S_ISREG(after.st_mode):
                raise _changed(path, "became something else")
            self.size += after.st_size - found.st_size
            found = after
        raise _changed(path, "changed again and again")

    def _store(self, handle: int, size: int) -> Node:
        """Return a node without path and mode."""
        if size <= self._writer.whole:
            data = os.read(handle, size + 1)
            if len(data) == size:
                digest = blake3(data).digest()
                if data:
                    self._writer.add(data, digest)
                return Node("", 0, size, digest.hex())
            os.lseek(handle, 0, os.SEEK_SET)
        with open(handle, "rb", buffering=0, closefd=False) as file:
            b3, size, chunks, is_list = self._writer.add_file(self._counted(file))
        return Node("", 0, size, b3, chunks, is_list)

    def _counted(self, file: BinaryIO) -> Any:
        def read(size: int) -> bytes:
            data = file.read(size)
            self._reporter.advance(size_bytes=len(data))
            return data

        return read


def check_name(name: str) -> None:
    """Raise UsageError where a path cannot be in a tree."""
    try:
        check_path(name)
    except ValueError:
        raise UsageError(f"{name!r} is no possible path in a version") from None


def _order(source: Source) -> str:
    return source.name + "/" if os.path.isdir(source.path) else source.name


def _listing(path: str) -> list[str]:
    """Return the names in a folder; those of folders end in `/`, so that sorting is by path."""
    try:
        with os.scandir(path) as entries:
            names = [e.name + "/" if e.is_dir(follow_symlinks=False) else e.name for e in entries]
    except FileNotFoundError:
        raise _changed(path, "vanished") from None
    except OSError as error:
        explain(error, path)
    # what a `get` that was killed left behind
    return [n for n in names if not (n.endswith(".art-get/") and is_temporary(n[:-1]))]


def _is_own(name: str, path: str, prefix: str, ignore: Ignore) -> bool:
    """Whether `name` is a repository's folder; raise UsageError for what only has its name."""
    if name in _RESERVED and name != ".art/" and not ignore.matches(prefix + name):
        raise UsageError(
            f"{os.path.join(path, name)} has the name of a repository's own folder",
            hint=f"rename it, or name it in {IGNORE_FILE}",
        )
    return name == ".art/"


def measured_node(line: bytes) -> Node:
    """Return the node of a line of a folder that was only measured: however large, it has no chunks."""
    fields = json.loads(line)
    if "link" in fields:
        return Node(fields["path"], link=fields["link"])
    mode, size = int(fields["mode"], 8), fields.get("size", 0)
    return Node(fields["path"], mode, size, fields.get("b3", ""), (), False, None, "dir" in fields)


def _folder_mode(path: str) -> int:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        raise _changed(path, "vanished") from None
    except OSError as error:
        explain(error, path)
    if not stat.S_ISDIR(mode):
        raise _changed(path, "became something else")
    return mode


def _folder_line(name: str, mode: int, level: _Level) -> Iterator[bytes]:
    """Yield the line of a folder itself, where it needs one: nothing else tells of it."""
    if name and (level.is_empty or mode & 0o777 != 0o755):
        yield Node(name, mode & 0o777, is_dir=True).line()


def _special(path: str, quoted: str, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        try:
            target = os.readlink(path)
        except OSError as error:
            explain(error, path)
        return f'{{"path":{quoted},"link":{json.dumps(target)}}}\n'.encode("ascii")
    if stat.S_ISDIR(mode):
        raise _changed(path, "became a folder")
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((word for test, word in kinds if test(mode)), "a device")
    raise UsageError(
        f"{path} is {kind}: only files, folders and symbolic links can be stored",
        hint=f"name it in {IGNORE_FILE}",
    )


def _chunked_line(quoted: str, mode: int, node: Node) -> bytes:
    line = file_line(quoted, mode, node.size, node.b3)
    return line[:-2] + _extra(node) + b"}\n" if node.chunks else line


def _extra(node: Node) -> bytes:
    if not node.chunks:
        return b""
    chunks = json.dumps(node.chunks, separators=(",", ":"))
    return f',"{"list" if node.chunks_are_list else "chunks"}":{chunks}'.encode("ascii")


def _parse_extra(extra: bytes) -> tuple[tuple[tuple[str, int], ...], bool]:
    name, _, chunks = extra[2:].partition(b'":')
    return tuple((digest, length) for digest, length in json.loads(chunks)), name == b"list"


def _quote(text: str) -> str:
    return json.dumps(text)


def _changed(path: str, what: str) -> ConflictError:
    return ConflictError(
        f"{path} {what} while it was read: no version was made",
        hint="run the command again when it rests",
    )


def _stat_key(found: os.stat_result) -> bytes:
    return _STAT.pack(
        found.st_dev & _U64,
        found.st_ino & _U64,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


@dataclass(frozen=True)
class _Known:
    digest: bytes
    extra: bytes
    payload: str
    key: bytes


@dataclass(frozen=True)
class _Level:
    """A folder on the way down: `prefix` is its path in the tree, with `/`, `quoted` that as it
    begins a JSON string; `names` are still to come."""

    path: str
    prefix: str
    quoted: str
    ignore: Ignore
    names: Iterator[str]
    is_empty: bool
    segments: _Segments


class _Notes:
    """What this walk saw, handed to the memory in portions."""

    def __init__(self, memory: FileMemory) -> None:
        self.memory = memory
        self._token = os.urandom(16).hex()
        self._changed: list[tuple[bytes, int, bytes]] = []
        self._bytes = 0
        self._kept: list[tuple[bytes, int, str]] = []
        self._has_flushed = False

    def changed(self, directory: bytes, segment: int, data: bytes) -> None:
        self._changed.append((directory, segment, data))
        self._bytes += len(data)
        if self._bytes >= _MEMORY_BYTES:
            self._flush()

    def kept(self, directory: bytes, segment: int, payload: str) -> None:
        self._kept.append((directory, segment, payload))

    def commit(self, payload: str) -> None:
        kept = [segment for segment in self._kept if segment[2] != payload]
        if self._changed:
            self._flush()
        if kept or self._has_flushed:
            self.memory.settle_files(self._token, kept, payload)

    def _flush(self) -> None:
        self._has_flushed = True
        self.memory.note_files(self._changed, self._token)
        self._changed, self._bytes = [], 0


class _Segments:
    """What is remembered of the files of one folder, in step with the walk over their names."""

    def __init__(self, notes: _Notes, directory: str) -> None:
        self._notes = notes
        self._directory = os.fsencode(directory)
        self._old = notes.memory.file_segments(self._directory)
        self._table: dict[str, tuple[bytes, bytes, bytes]] = {}
        self._payload = ""
        self._last = ""
        self._is_exhausted = False
        self._names: list[str] = []
        self._records: list[bytes] = []
        self._extras: list[bytes] = []
        self._number = 0
        self._old_data: list[tuple[str, bytes]] = []

    def find(self, name: str, key: bytes) -> _Known | None:
        """Return what is remembered of a file, None where it is unknown or looks changed."""
        while not self._is_exhausted and name > self._last:
            self._load()
        found = self._table.get(name)
        if found is None or found[0] != key:
            return None
        return _Known(found[1], found[2], self._payload, key)

    def keep(self, name: str, known: _Known) -> None:
        self._put(name, known.key, known.digest, known.extra)

    def add(self, name: str, found: os.stat_result, started: int, node: Node) -> None:
        """Remember a file that was read; not its stat where it may change without showing it."""
        is_racy = max(found.st_mtime_ns, found.st_ctime_ns) > started - _RACY_NS
        key = _NEVER if is_racy else _stat_key(found)
        self._put(name, key, bytes.fromhex(node.b3), _extra(node))

    def _put(self, name: str, key: bytes, digest: bytes, extra: bytes) -> None:
        self._names.append(name)
        self._records.append(_RECORD.pack(key, digest, len(extra)))
        if extra:
            self._extras.append(extra)
        if len(self._names) >= _SEGMENT:
            self._write()

    def finish(self) -> None:
        """Hand over the last segment."""
        while not self._is_exhausted:
            self._load()
        if self._names or self._old_data:
            self._write()

    def _write(self) -> None:
        names = "\0".join(self._names).encode("utf-8", "surrogateescape")
        head = struct.pack("<II", len(self._names), len(names))
        data = b"".join((head, names, *self._records, *self._extras))
        payload, old = self._old_data.pop(0) if self._old_data else ("", b"")
        if old == data:
            self._notes.kept(self._directory, self._number, payload)
        else:
            self._notes.changed(self._directory, self._number, data)
        self._number += 1
        self._names, self._records, self._extras = [], [], []

    def _load(self) -> None:
        found = next(self._old, None)
        if found is None:
            self._is_exhausted = True
            return
        self._payload, data = found
        self._old_data.append(found)
        count, length = struct.unpack_from("<II", data)
        names = data[8 : 8 + length].decode("utf-8", "surrogateescape").split("\0")
        end = 8 + length + count * _RECORD.size
        records = _RECORD.iter_unpack(data[8 + length : end])
        self._table = dict(zip(names, _with_extras(records, data, end), strict=False))
        self._last = names[-1] if count else ""


def _with_extras(
    records: Iterator[tuple[bytes, bytes, int]], data: bytes, at: int
) -> Iterator[tuple[bytes, bytes, bytes]]:
    if at == len(data):
        for key, digest, _ in records:
            yield key, digest, b""
        return
    for key, digest, length in records:
        yield key, digest, data[at : at + length]
        at += length
