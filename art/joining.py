"""Payloads joined into one, within a store: a new tree, of chunks that lie there already."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass

from art.backend import Backend
from art.errors import ConflictError, CorruptError
from art.objects import ObjectStore
from art.pack import Location
from art.stored import StoredPayload
from art.tree import Node, check_path
from art.writer import NoHints, PayloadWriter


@dataclass(frozen=True)
class Joined:
    """A payload that was made of others; `size` in bytes, of `files`. `packs` are those that it needs."""

    tree: str
    size: int
    files: int
    packs: frozenset[str]


class Joiner:
    """Joins payloads that a store has. `cache` keeps the layouts of one that is far away."""

    def __init__(
        self, objects: ObjectStore, cache: Backend | None, marked: Callable[[], Set[str]]
    ) -> None:
        """`marked` gives the packs that gc is to delete: nothing new may rely on them."""
        self._objects = objects
        self._cache = cache
        self._marked = marked

    def join(self, trees: Mapping[str, str], *, is_flat: bool) -> Joined:
        """Store the payload that has all files of these: those of each in a folder called by its name or,
        where it `is_flat`, side by side.

        It is durable when this returns. Raise ConflictError where side by side a path is in two of them
        with different content, CorruptError where one is missing or damaged.
        """
        avoid = self._marked()
        parts = {name: self._stored(name, tree) for name, tree in sorted(trees.items())}
        with _JoinedWriter(self._objects, avoid) as writer:
            nodes = _side_by_side(parts) if is_flat else _by_name(parts)
            count = _Count()
            written = writer.finish(count.lines(writer, nodes))
        found = self._objects.stored(written.payload, self._cache, avoid)
        if found is None:
            raise CorruptError(f"payload {written.payload[:16]} was written and is not there")
        return Joined(written.payload, count.size, count.files, frozenset(found.packs()))

    def is_safe(self, tree: str) -> bool:
        """Whether the store has a payload, and not only in packs that gc is to delete."""
        try:
            return self._objects.stored(tree, self._cache, self._marked()) is not None
        except CorruptError:
            return False

    def _stored(self, name: str, tree: str) -> StoredPayload:
        found = self._objects.stored(tree, self._cache)
        if found is None:
            raise CorruptError(
                f"the payload of part {name} is not at {self._objects.backend.where}",
                hint=f"the same `art part … --name {name}` again brings it",
            )
        return found


_Found = tuple[Node, StoredPayload, str]


class _JoinedWriter(PayloadWriter):
    """Takes chunks over from where they lie, but for those in packs that gc is to delete."""

    def __init__(self, store: ObjectStore, avoid: Set[str]) -> None:
        super().__init__(store, None, NoHints())
        self._objects = store
        self._avoid = avoid

    def take(self, digest: bytes, place: Location, source: StoredPayload) -> None:
        """Let a chunk of another payload be part of this one."""
        if self.has(digest):
            return
        if place.pack in self._avoid:
            self.add(source.chunk(digest), digest)
        else:
            self._adopt(digest, place)

    def _is_stored(self, tree: str) -> bool:
        try:
            return self._objects.stored(tree, avoid=self._avoid) is not None
        except CorruptError:
            return False


class _Count:
    """Counts files while they pass."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0

    def lines(self, writer: _JoinedWriter, found: Iterator[_Found]) -> Iterator[bytes]:
        """Yield the lines of the tree, and give the writer the chunks that they name."""
        for node, source, path in found:
            for digest in source.digests(node):
                writer.take(digest, source.place(digest), source)
            if node.is_file:
                self.files += 1
                self.size += node.size
            yield node._replace(path=path).line()


def _by_name(parts: Mapping[str, StoredPayload]) -> Iterator[_Found]:
    """Yield the nodes of each in a folder of its own, which is there where nothing is in it, too."""
    for name in sorted(parts, key=lambda name: name + "/"):
        is_empty = True
        for node in parts[name].tree():
            is_empty = False
            path = f"{name}/{node.path}"
            _check_length(path, name)
            yield node, parts[name], path
        if is_empty:
            yield Node(name, 0o755, is_dir=True), parts[name], name


def _check_length(path: str, name: str) -> None:
    try:
        check_path(path)
    except ValueError as error:
        raise ConflictError(f"part {name}: {error}", hint="a shorter name of the part") from None


def _side_by_side(parts: Mapping[str, StoredPayload]) -> Iterator[_Found]:
    """Yield the nodes of all in one order. Raise ConflictError where two of them do not go together."""
    last: tuple[Node, str] | None = None
    beside = _Beside()
    empty: _Found | None = None  # a folder that has nothing in it so far
    for node, source, name in heapq.merge(*(_named(parts, name) for name in parts), key=_order):
        if last and node.order == last[0].order:
            _check_same(last, node, name)
            continue
        last = node, name
        beside.take(node, name)
        if empty and not node.path.startswith(empty[2] + "/"):
            yield empty
        is_plain = node.is_dir and node.mode == 0o755  # listed only where it is empty
        empty = (node, source, node.path) if is_plain else None
        if not is_plain:
            yield node, source, node.path
    if empty:
        yield empty


class _Beside:
    """Sees that nothing lies below a file or link, given nodes in order."""

    def __init__(self) -> None:
        # Files and links that begin the last path, each beginning the next, and whose they are.
        self._above: list[tuple[str, str]] = []

    def take(self, node: Node, name: str) -> None:
        """Raise ConflictError where a node of part `name` does."""
        above = self._above
        while above and not node.order.startswith(above[-1][0]):
            above.pop()
        if above and node.order[len(above[-1][0])] == "/":
            path, other = above[-1]
            raise _conflict(f"{path!r} of part {other} and {node.path!r} of part {name}")
        if not node.is_dir:
            above.append((node.path, name))


def _named(
    parts: Mapping[str, StoredPayload], name: str
) -> Iterator[tuple[Node, StoredPayload, str]]:
    for node in parts[name].tree():
        yield node, parts[name], name


def _order(found: tuple[Node, StoredPayload, str]) -> str:
    return found[0].order


def _check_same(last: tuple[Node, str], node: Node, name: str) -> None:
    """Raise ConflictError where one path has different content, modes or targets in two parts."""
    first, other = last
    if first._replace(chunks=(), chunks_are_list=False) != node._replace(
        chunks=(), chunks_are_list=False
    ):
        raise _conflict(f"{node.path!r} of part {other} and of part {name}, which differ,")


def _conflict(what: str) -> ConflictError:
    return ConflictError(
        f"{what} cannot lie side by side",
        hint="without --flat, the files of each part are in a folder of its own",
    )
