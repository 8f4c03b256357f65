"""Lineage: what a version was made from, and what was made from it.

All of it is derived from manifests (`inputs`, `origin`, `run`) and from the moves in state logs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from art import document as documents
from art.backend import LocalBackend
from art.beside import parse_run, run_name
from art.errors import CorruptError, NewerFormatError
from art.index import Index, Link
from art.model import Document, is_uid
from art.rows import LIVE, Record

MISSING = "missing"  # the state of a version that is not in this repository
ELSEWHERE = "elsewhere"  # the same, of one whose manifest's reader was told where it lies


@dataclass(frozen=True)
class Node:
    """A version in a graph. `level` is how many steps it is away: below 0 it is what the version was
    made from. `record` is None for one that is not in this repository: `key`, `number` and `url` are
    then what was said of it, where anything was."""

    id: str
    level: int
    record: Record | None = None
    key: str | None = None
    number: int | None = None
    url: str | None = None

    @property
    def ref(self) -> str:
        """How to name it: `KEY@vN`, or the id where no key is known."""
        return f"{self.key}@v{self.number}" if self.key and self.number else self.id

    @property
    def state(self) -> str:
        """That of its record; `missing` without one, or `elsewhere` where a URL is known."""
        if self.record is not None:
            return self.record.state
        return ELSEWHERE if self.url else MISSING

    @property
    def run(self) -> Document:
        """What its manifest says of the run that made it; empty where it says nothing."""
        return run_of(self.record)


@dataclass(frozen=True)
class Edge:
    """That `target` was made from `source`, both ids; `kind` is `input`, or `copy` (`cp`)."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class Graph:
    """The lineage of the version with the id `root`. Nodes are sorted by level and reference, edges by
    those of their ends. `is_cut` says that there is more behind the depth that was asked for."""

    root: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    is_cut: bool = False


@dataclass(frozen=True)
class Consumer:
    """A version that was made from another one; `kind` is `input`, or `copy`."""

    record: Record
    kind: str

    @property
    def run(self) -> Document:
        """What its manifest says of the run that made it."""
        return run_of(self.record)


def run_of(record: Record | None) -> Document:
    """Return what a version's manifest says of the run that made it."""
    run = record.about.get("run") if record is not None else None
    return run if isinstance(run, dict) else {}


def trace(
    index: Index, record: Record, *, up: bool = True, down: bool = True, depth: int | None = None
) -> Graph:
    """Return what a version was made from (`up`) and what was made from it (`down`), at most `depth`
    steps away. A version that was moved is shown where it is now. The index must be up to date."""
    walk = _Walk(index, index.moves(), record)
    if up:
        walk.go(index.made_of, -1, depth)
    if down:
        walk.go(index.made_from, 1, depth)
    return walk.graph()


def consumers(index: Index, record: Record) -> list[Consumer]:
    """Return what was made from a version directly, live ones first, then the newest first."""
    graph = trace(index, record, up=False, depth=1)
    kinds = {edge.target: edge.kind for edge in graph.edges}
    found = [Consumer(each.record, kinds[each.id]) for each in graph.nodes[1:] if each.record]
    found.sort(key=lambda each: each.record.created, reverse=True)
    return sorted(found, key=lambda each: each.record.state != LIVE)


def run_records(backend: LocalBackend, ids: Iterable[str]) -> dict[str, Document]:
    """Return the records of these runs, of those that have one here which is whole."""
    found = {}
    for id in ids:
        name = run_name(id)
        try:
            data = backend.read(name, 0, documents.limit_of(name) + 1) if is_uid(id) else b""
            found[id] = parse_run(id, data, name)
        except (FileNotFoundError, CorruptError, NewerFormatError):
            continue  # a record is derived: what manifests say of the run is enough
    return found


@dataclass
class _Walk:
    """Goes from a version level by level, with one question for each."""

    index: Index
    moves: dict[str, str]
    start: Record
    levels: dict[str, int] = field(default_factory=dict)
    kinds: dict[tuple[str, str], str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False

    def __post_init__(self) -> None:
        self.former: dict[str, list[str]] = {}
        for id, target in self.moves.items():
            self.former.setdefault(target, []).append(id)
        self.root = self._now(self.start.id)
        self.levels[self.root] = 0

    def go(
        self, question: Callable[[Iterable[str]], list[Link]], sign: int, depth: int | None
    ) -> None:
        level, frontier = 0, [self.root]
        while frontier:
            links = question(name for id in frontier for name in self._names(id))
            if depth is not None and level >= depth:
                self.is_cut |= any(self._end(link, sign) not in self.levels for link in links)
                return
            level += 1
            frontier = [each for link in links if (each := self._take(link, sign, level))]

    def _end(self, link: Link, sign: int) -> str:
        return self._now(link.target if sign > 0 else link.source)

    def _take(self, link: Link, sign: int, level: int) -> str | None:
        """Note one step; return the id it leads to where that is new."""
        ends = self._now(link.source), self._now(link.target)
        if ends[0] == ends[1]:
            return None  # a version that was moved has itself as its origin
        if self.kinds.get(ends) != "input":
            self.kinds[ends] = link.kind
        self.named.setdefault(ends[0], link.named)
        end = ends[sign > 0]
        if end in self.levels:
            return None
        self.levels[end] = sign * level
        return end

    def _now(self, id: str) -> str:
        """Return the id that a version has now, after it was moved."""
        seen = {id}
        while (target := self.moves.get(id)) and target not in seen:
            id = target
            seen.add(id)
        return id

    def _names(self, id: str) -> list[str]:
        """Return the ids that a version has and had before it was moved."""
        names = {id: None}
        pending = [id]
        while pending:
            new = [former for former in self.former.get(pending.pop(), ()) if former not in names]
            names.update(dict.fromkeys(new))
            pending += new
        return list(names)

    def graph(self) -> Graph:
        records: dict[str, Record] = {}
        for record in self.index.by_ids(self.levels):
            if record.id not in records or record.is_live:
                records[record.id] = record
        nodes = [self._node(id, level, records.get(id)) for id, level in self.levels.items()]
        nodes.sort(
            key=lambda node: (abs(node.level), node.level, node.key or "~", node.number or 0)
        )
        order = {node.id: place for place, node in enumerate(nodes)}
        edges = [Edge(source, target, kind) for (source, target), kind in self.kinds.items()]
        edges.sort(key=lambda edge: (order[edge.source], order[edge.target]))
        return Graph(self.root, tuple(nodes), tuple(edges), self.is_cut)

    def _node(self, id: str, level: int, record: Record | None) -> Node:
        if record is not None:
            return Node(id, level, record, record.key, record.number)
        named = json.loads(self.named.get(id, "{}"))
        key, number, url = (named.get(name) for name in ("key", "number", "url"))
        return Node(
            id,
            level,
            key=key if isinstance(key, str) else None,
            number=number if isinstance(number, int) else None,
            url=url if isinstance(url, str) else None,
        )
