"""Trees compared by paths: what was added, removed, modified, renamed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from art.tree import Node


@dataclass(frozen=True)
class NodeChange:
    old: Node
    new: Node


@dataclass(frozen=True)
class TreeDiff:
    """How the right tree differs from the left one. Each path stands in one list only.

    `renamed` files have the same bytes under another path; their mode may differ too.
    """

    added: list[Node]
    removed: list[Node]
    modified: list[NodeChange]
    mode_changed: list[NodeChange]
    renamed: list[NodeChange]
    same: int
    left_files: int
    right_files: int
    left_size: int
    right_size: int

    @property
    def is_same(self) -> bool:
        return not any(self.counts().values())

    def counts(self) -> dict[str, int]:
        names = ("added", "removed", "modified", "mode_changed", "renamed")
        return {name: len(getattr(self, name)) for name in names}


def compare_trees(left: Iterable[Node], right: Iterable[Node]) -> TreeDiff:
    """Return what differs between two trees, each in the order of trees.

    Only what differs is held in memory. Where several files with the same bytes were removed and
    added, those with the same name are taken for renamed first. Empty files are never renamed.
    """
    added: list[Node] = []
    removed: list[Node] = []
    changed: list[NodeChange] = []
    total = _Total()
    for old, new in _merge(left, right):
        total.add(old, new)
        if old is None and new is not None:
            added.append(new)
        elif new is None and old is not None:
            removed.append(old)
        elif old and new:
            if _content(old) == _content(new) and old.mode == new.mode:
                total.same += 1
            else:
                changed.append(NodeChange(old, new))
    changed += _of_other_kind(removed, added)
    renamed = _renamed(removed, added)
    gone = {change.old.path for change in renamed}
    arrived = {change.new.path for change in renamed}
    return TreeDiff(
        added=[node for node in added if node.path not in arrived],
        removed=[node for node in removed if node.path not in gone],
        modified=[change for change in changed if _content(change.old) != _content(change.new)],
        mode_changed=[change for change in changed if _content(change.old) == _content(change.new)],
        renamed=renamed,
        same=total.same,
        left_files=total.left_files,
        right_files=total.right_files,
        left_size=total.left_size,
        right_size=total.right_size,
    )


def _merge(
    left: Iterable[Node], right: Iterable[Node]
) -> Iterator[tuple[Node | None, Node | None]]:
    lefts, rights = iter(left), iter(right)
    old, new = next(lefts, None), next(rights, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.order < new.order):
            yield old, None
            old = next(lefts, None)
        elif old is None or new.order < old.order:
            yield None, new
            new = next(rights, None)
        else:
            yield old, new
            old, new = next(lefts, None), next(rights, None)


@dataclass
class _Total:
    same: int = 0
    left_files: int = 0
    right_files: int = 0
    left_size: int = 0
    right_size: int = 0

    def add(self, old: Node | None, new: Node | None) -> None:
        if old is not None and old.is_file:
            self.left_files += 1
            self.left_size += old.size
        if new is not None and new.is_file:
            self.right_files += 1
            self.right_size += new.size


def _content(node: Node) -> tuple[bool, str | None, str]:
    """The chunks are left out: they depend on the repository, not on the file."""
    return node.is_dir, node.link, node.b3


def _of_other_kind(removed: list[Node], added: list[Node]) -> list[NodeChange]:
    """Take out the paths that are a folder on one side only: they stand at different places."""
    paths = {node.path for node in removed if node.is_dir} & {node.path for node in added}
    paths |= {node.path for node in added if node.is_dir} & {node.path for node in removed}
    if not paths:
        return []
    new = {node.path: node for node in added}
    changes = [NodeChange(node, new[node.path]) for node in removed if node.path in paths]
    removed[:] = [node for node in removed if node.path not in paths]
    added[:] = [node for node in added if node.path not in paths]
    return changes


def _renamed(removed: list[Node], added: list[Node]) -> list[NodeChange]:
    same_name = _same_bytes(removed, added, _base_name)
    gone = {change.old.path for change in same_name}
    arrived = {change.new.path for change in same_name}
    other_name = _same_bytes(
        [node for node in removed if node.path not in gone],
        [node for node in added if node.path not in arrived],
        lambda node: "",
    )
    return sorted(same_name + other_name, key=lambda change: change.new.path)


def _same_bytes(
    removed: list[Node], added: list[Node], more: Callable[[Node], str]
) -> list[NodeChange]:
    waiting: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for node in reversed(removed):
        if node.is_file and node.size:
            waiting[node.b3, more(node)].append(node)
    changes = []
    for node in added:
        queue = waiting.get((node.b3, more(node))) if node.is_file else None
        if queue:
            changes.append(NodeChange(queue.pop(), node))
    return changes


def _base_name(node: Node) -> str:
    return node.path.rpartition("/")[2]


def tree_json(tree: TreeDiff) -> dict[str, Any]:
    """Return it as JSON can carry it; nodes become path, mode, size and b3, or link."""
    document: dict[str, Any] = {
        "added": [_node_json(node) for node in tree.added],
        "removed": [_node_json(node) for node in tree.removed],
    }
    for name in ("modified", "mode_changed", "renamed"):
        document[name] = [
            {"old": _node_json(change.old), "new": _node_json(change.new)}
            for change in getattr(tree, name)
        ]
    for name in ("same", "left_files", "right_files", "left_size", "right_size"):
        document[name] = getattr(tree, name)
    return document


def _node_json(node: Node) -> dict[str, Any]:
    if node.link is not None:
        return {"path": node.path, "link": node.link}
    if node.is_dir:
        return {"path": node.path, "mode": f"{node.mode:o}", "dir": True}
    return {"path": node.path, "mode": f"{node.mode:o}", "size": node.size, "b3": node.b3}
