"""Trees: the list of files of a payload, as JSON Lines sorted by path (FORMAT §5). Pure text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from art.errors import REPAIR, CorruptError
from art.pack import CHUNK_LIMIT

INLINE_CHUNKS = 128
LINE_LIMIT = 16 << 20
PATH_LIMIT = 4096

_SIMPLE = re.compile(
    rb'\{"path":"([ !#-\[\]-~]+)","mode":"([0-7]{1,3})","size":(0|[1-9][0-9]{0,17}),"b3":"([0-9a-f]{64})"\}'
)
# Absolute, empty, `.`, `..`, the folder of a repository, and what no file name holds.
_IMPOSSIBLE = re.compile(
    r"(?:\A|/)(?:\.{0,2}|\.[aA][rR][tT])(?:/|\Z)|[\0\ud800-\udc7f\udd00-\udfff]"
)
_PATH = re.compile(rb'\{"path":"((?:[^"\\]|\\.)*)"')
_NO_TEXT = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
_HEX = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"[0-7]{1,3}")
_SIZE_LIMIT = 2**63
_SEEN_LIMIT = 64 << 20
_SEEN_COST = 100  # bytes of memory for a line beside its own
_EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


class Node(NamedTuple):
    """One line of a tree: a file, a symbolic link (`link` set) or a directory (`is_dir`).

    `chunks` is empty for a file of one chunk, whose digest is then `b3`. `chunks_are_list` says
    that they hold the list of chunks rather than the content.
    """

    path: str
    mode: int = 0o644
    size: int = 0
    b3: str = ""
    chunks: tuple[tuple[str, int], ...] = ()
    chunks_are_list: bool = False
    link: str | None = None
    is_dir: bool = False

    @property
    def is_file(self) -> bool:
        return self.link is None and not self.is_dir

    @property
    def order(self) -> str:
        """What trees are sorted by: a folder comes right before what is in it."""
        return self.path + "/" if self.is_dir else self.path

    def line(self) -> bytes:
        """Return the canonical line, with its newline."""
        path = json.dumps(self.path)
        if self.link is not None:
            return f'{{"path":{path},"link":{json.dumps(self.link)}}}\n'.encode("ascii")
        if self.is_dir:
            return f'{{"path":{path},"mode":"{self.mode:o}","dir":true}}\n'.encode("ascii")
        if not self.chunks:
            return file_line(path, self.mode, self.size, self.b3)
        name = "list" if self.chunks_are_list else "chunks"
        chunks = json.dumps(self.chunks, separators=(",", ":"))
        return (
            f'{{"path":{path},"mode":"{self.mode:o}","size":{self.size},"b3":"{self.b3}",'
            f'"{name}":{chunks}}}\n'
        ).encode("ascii")


def file_line(quoted_path: str, mode: int, size: int, b3: str) -> bytes:
    """Return the line of a file of one chunk or none; the path is already a JSON string."""
    return f'{{"path":{quoted_path},"mode":"{mode:o}","size":{size},"b3":"{b3}"}}\n'.encode("ascii")


def parse_line(line: bytes, name: str) -> Node:
    """Return the node of a line. Raise CorruptError that names `name`."""
    try:
        if simple := _SIMPLE.fullmatch(line):
            path, mode, size, b3 = simple.groups()
            return _simple_file(path.decode("ascii"), int(mode, 8), int(size), b3.decode("ascii"))
        return _node(json.loads(line))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError(
            f"{name} is damaged: line {line[:60]!r} ({error})", hint=REPAIR
        ) from error


def _simple_file(path: str, mode: int, size: int, b3: str) -> Node:
    """Most lines are so, and are read without the cost of JSON."""
    check_path(path)
    _check_one_chunk(size, b3)
    return Node(path, mode, size, b3)


def _check_one_chunk(size: int, b3: str) -> None:
    if size > CHUNK_LIMIT:
        raise ValueError("size is too large for one chunk")
    if not size and b3 != _EMPTY:
        raise ValueError("b3 is not the digest of an empty file")


def _node(fields: dict[str, object]) -> Node:
    path = fields["path"]
    if not isinstance(path, str):
        raise ValueError("path is not a text")
    check_path(path)
    if "link" in fields:
        link = fields["link"]
        if not isinstance(link, str) or not link or _NO_TEXT.search(link):
            raise ValueError("link is not a text")
        return Node(path, link=link)
    mode = fields["mode"]
    if not isinstance(mode, str) or not _MODE.fullmatch(mode):
        raise ValueError("mode is not octal")
    if fields.get("dir"):
        return Node(path, int(mode, 8), is_dir=True)
    return _file(path, int(mode, 8), fields)


def _file(path: str, mode: int, fields: dict[str, object]) -> Node:
    size, b3 = fields["size"], fields["b3"]
    if type(size) is not int or not 0 <= size < _SIZE_LIMIT:
        raise ValueError("size is not a number")
    if not isinstance(b3, str) or not _HEX.fullmatch(b3):
        raise ValueError("b3 is not a digest")
    is_list = "list" in fields
    chunks = _chunks(fields.get("list" if is_list else "chunks") or [])
    if not is_list and chunks and sum(length for _, length in chunks) != size:
        raise ValueError("chunks do not add up to size")
    if not chunks:
        _check_one_chunk(size, b3)
    return Node(path, mode, size, b3, chunks, is_list)


def _chunks(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, list):
        raise ValueError("chunks is not a list")
    result = []
    for digest, length in value:
        if not isinstance(digest, str) or not _HEX.fullmatch(digest):
            raise ValueError("a chunk is not a digest")
        if type(length) is not int or not 0 < length <= CHUNK_LIMIT:
            raise ValueError("a chunk has an impossible length")
        result.append((digest, length))
    return tuple(result)


def quoted_order(line: bytes) -> str:
    """Return what a line is sorted by, escaped as in the line (FORMAT §8)."""
    match = _PATH.match(line)
    assert match, line
    is_dir = line.endswith(b',"dir":true}\n')
    return match.group(1).decode("ascii") + ("/" if is_dir else "")


def unquoted_order(text: str) -> str:
    """Return what `quoted_order` escaped. Raise ValueError."""
    order = json.loads(f'"{text}"')
    return str(order)


def check_path(path: str) -> None:
    """Raise ValueError where a path of a tree is absolute, empty, goes up or into a repository, or
    is longer than any system would take."""
    if _IMPOSSIBLE.search(path):
        raise ValueError(f"path {path[:80]!r} is not possible")
    if len(path) > PATH_LIMIT // 4 and len(path.encode("utf-8", "surrogateescape")) > PATH_LIMIT:
        raise ValueError(f"path {path[:80]!r}… has more than {PATH_LIMIT} bytes")


def folders_above(path: str) -> list[str]:
    """Return the folders that a path lies in: `a` and `a/b` for `a/b/c`."""
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


def parse(parts: Iterable[bytes], name: str) -> Iterator[Node]:
    """Yield the nodes of a tree given in parts, in order.

    Raise CorruptError that names `name` where lines are too long, not sorted, or repeat, or a path
    lies below a file or symbolic link.
    """
    order = Order(name)
    for lines in split(parts, name):
        for line in lines:
            node = parse_line(line, name)
            order.take(node.order)
            yield node


def split(parts: Iterable[bytes], name: str) -> Iterator[list[bytes]]:
    """Yield the lines of a tree given in parts, many at once. Raise CorruptError that names `name`
    where one is too long or the last one has no end."""
    rest = b""
    for part in parts:
        lines = (rest + part).split(b"\n")
        rest = lines.pop()
        if len(rest) > LINE_LIMIT:
            raise CorruptError(f"{name} is damaged: a line is too long", hint=REPAIR)
        yield lines
    if rest:
        raise CorruptError(f"{name} is damaged: it ends within a line", hint=REPAIR)


class Order:
    """Checks that the nodes of a tree come in order, given what they are sorted by."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = ""
        # Files and links that begin the last path, each beginning the next.
        self._above: list[str] = []

    def take(self, order: str) -> None:
        """Raise CorruptError where a node is not behind the last one, or lies below a file or link."""
        above = self._above
        while above and not order.startswith(above[-1]):
            above.pop()
        if order <= self._last or (above and order[len(above[-1])] == "/"):
            is_sorted = order > self._last
            what = f"lies below {above[-1]!r}" if is_sorted else "is out of order"
            path = order.removesuffix("/")
            raise CorruptError(f"{self._name} is damaged: {path!r} {what}", hint=REPAIR)
        if not order.endswith("/"):
            above.append(order)
        self._last = order

    def take_all(self, orders: list[str]) -> None:
        """Take many. Where each is larger than the one before and does not begin with it, it begins
        with none before that, as they are sorted: then nothing lies below anything."""
        pairs = [self._last, *orders]
        is_plain = self._above in ([], [self._last]) and all(map(str.__lt__, pairs, orders))
        if not is_plain or any(map(str.startswith, orders, pairs)):
            for order in orders:
                self.take(order)
        elif orders:
            self._above = [] if orders[-1].endswith("/") else [orders[-1]]
            self._last = orders[-1]


class Seen:
    """Lines that were met before: versions share most of theirs. Forgets where there are too many."""

    def __init__(self) -> None:
        self._lines: set[bytes] = set()
        self._weight = 0

    def unseen(self, lines: list[bytes]) -> list[bytes]:
        """Return those that were not met before, or are forgotten, and remember them."""
        known = self._lines
        found = [line for line in lines if line not in known]
        self._weight += sum(map(len, found)) + _SEEN_COST * len(found)
        if self._weight > _SEEN_LIMIT:
            known.clear()
            self._weight = 0
        known.update(found)
        return found
