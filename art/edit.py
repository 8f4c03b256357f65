"""The files of an earlier version, with some added, replaced and removed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

from art.errors import NotFoundError, UsageError
from art.keys import glob_pattern
from art.stored import StoredPayload
from art.tree import Node, folders_above
from art.worktree import Source, find_overlap
from art.writer import PayloadWriter


class Edit:
    """An earlier tree with files added, replaced and removed, as a stream of lines."""

    def __init__(
        self, base: StoredPayload, sources: list[Source], removed: tuple[str, ...], ref: str
    ) -> None:
        self._base = base
        self._added = {source.name for source in sources}
        self._above = {folder for name in self._added for folder in folders_above(name)}
        self._removed = {text: _removal(text.rstrip("/")) for text in removed}
        self._used: set[str] = set()
        self._ref = ref
        self._file: str | None = None
        self._others = 0  # links and folders
        self.files = 0
        self.size = 0

    @property
    def single_file(self) -> str | None:
        """The path where the result is one file at the top and nothing else."""
        is_single = self.files == 1 and not self._others and self._file and "/" not in self._file
        return self._file if is_single else None

    def lines(self, writer: PayloadWriter, added: Iterator[bytes]) -> Iterator[bytes]:
        """Yield both sides' lines by path; what is added wins."""
        from art.tree import parse_line

        news = ((parse_line(line, "the added files"), line) for line in added)
        new = next(news, None)
        for node in self._base.tree():
            while new and new[0].order < node.order:
                yield self._count(*new)
                new = next(news, None)
            is_removed = self._is_removed(node)
            if new and new[0].order == node.order:
                yield self._count(*new)
                new = next(news, None)
            elif not is_removed and self._is_kept(node):
                self._keep(writer, node)
                yield self._count(node, node.line())
        while new:
            yield self._count(*new)
            new = next(news, None)

    def check_all_used(self) -> None:
        """Raise NotFoundError where something that was to be removed is not there."""
        for text in self._removed:
            if text not in self._used:
                raise NotFoundError(
                    f"{self._ref} has no {text!r} to remove", hint=f"art inspect {self._ref}"
                )

    def _is_removed(self, node: Node) -> bool:
        matching = {text for text, rule in self._removed.items() if rule.fullmatch(node.path)}
        self._used |= matching
        return bool(matching)

    def _is_kept(self, node: Node) -> bool:
        """Whether a node stays beside what is added. Raise UsageError where it cannot."""
        is_above = node.path in self._above
        if (is_above and not node.is_dir) or not self._added.isdisjoint(folders_above(node.path)):
            names = (name for name in sorted(self._added) if _are_nested(name, node.path))
            raise UsageError(
                f"{next(names)!r} cannot be added: {self._ref} has {node.path!r}",
                hint=f"--rm {node.path} removes it first",
            )
        # Replaced, or an empty folder that is empty no more.
        return not (node.path in self._added or (is_above and node.mode == 0o755))

    def _keep(self, writer: PayloadWriter, node: Node) -> None:
        """See to it that the new layout knows the chunks of a file that stays."""
        if not node.is_file or writer.covered == self._base.digest or writer.has_file(node):
            return
        for digest, _ in self._base.chunks(node):
            if not writer.has(digest):
                writer.add(self._base.chunk(digest), digest)
        for text, _ in node.chunks if node.chunks_are_list else ():
            if not writer.has(bytes.fromhex(text)):
                writer.add(self._base.chunk(bytes.fromhex(text)))

    def _count(self, node: Node, line: bytes) -> bytes:
        if node.is_file:
            self.files += 1
            self.size += node.size
            self._file = node.path
        else:
            self._others += 1
        return line


def _are_nested(one: str, other: str) -> bool:
    return one.startswith(other + "/") or other.startswith(one + "/")


def _removal(text: str) -> re.Pattern[str]:
    """Return what matches the name or glob `text`, and all below it."""
    return re.compile(f"(?:{re.escape(text)}|{glob_pattern(text)})(?:/.*)?", re.DOTALL)


def added_sources(paths: Iterable[str]) -> list[Source]:
    """Return files to add to a tree: `PATH` keeps its path where that is relative, `NAME=PATH` names it."""
    sources = []
    for text in paths:
        name, equals, path = text.partition("=")
        if os.path.lexists(text) or not equals:
            name, path = text, text
            if os.path.isabs(text) or ".." in text.split(os.sep):
                name = os.path.basename(os.path.abspath(text))
        if not os.path.lexists(path):
            raise NotFoundError(f"there is no file or folder {path!r}")
        name = os.path.normpath(name).replace(os.sep, "/")
        with contextlib.suppress(ValueError):
            from art.tree import check_path

            check_path(name)
            sources.append(Source(os.path.abspath(path), name))
            continue
        raise UsageError(f"{name!r} is no possible path in a version")
    sources.sort(key=lambda source: source.name)
    if twice := find_overlap(sources):
        one, other = twice
        raise UsageError(f"{other.name!r} is added twice, as {one.path} and as {other.path}")
    return sources
