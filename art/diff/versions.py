"""Two versions compared: metadata always, content by what it is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Protocol

from art.diff.lines import compare_lines
from art.diff.tables import TableDiff, compare_tables
from art.diff.trees import TreeDiff, compare_trees, tree_json
from art.diff.values import JsonChange, compare_json, compare_mappings
from art.errors import NotFoundError, UsageError
from art.materialize.framerows import FRAMES
from art.model import Payload
from art.tabledata import OBJECTS, declared
from art.tabledata import read as read_table
from art.tables import FORMATS, Table, cell_text, json_value, load_json
from art.tree import Node

CONTENT_LIMIT = 16 << 20
FOLDER_FILE_LIMIT = 1 << 20
FOLDER_LIMIT = 16 << 20

_UNTYPED = ("csv", "tsv")


class Comparable(Protocol):
    """The part of a version that a comparison looks at."""

    @property
    def ref(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def description(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def partitions(self) -> Mapping[str, str]: ...
    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def format(self) -> Mapping[str, Any] | None: ...
    @property
    def payload(self) -> Payload | None: ...
    @property
    def files(self) -> Iterable[Node]: ...
    @property
    def progress(self) -> Any: ...
    def read(self, path: str | None = None) -> bytes: ...


@dataclass(frozen=True)
class Comparison:
    """Everything that differs between two versions.

    `payload` says how the content was compared: "identical", "text" (see `lines`), "table", "json",
    "tree", "binary", "reference" (the last two: see `payload_changes`) or "none" where neither
    has content. `contents` holds the lines of files of a folder, where they were asked for.
    `notes` say what was left out.
    """

    left: str
    right: str
    metadata: list[JsonChange]
    payload: str
    payload_changes: list[JsonChange] = field(default_factory=list)
    lines: list[str] | None = None
    table: TableDiff | None = None
    json: list[JsonChange] | None = None
    tree: TreeDiff | None = None
    contents: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether content and metadata are equal. Reading a content as equal is not enough."""
        content = self.payload in ("identical", "none") and not self.payload_changes
        return content and not self.metadata

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it. Nodes become path, size, mode and b3 or link."""
        document = {
            "left": self.left,
            "right": self.right,
            "is_same": self.is_same,
            "metadata": [asdict(change) for change in self.metadata],
            "payload": self.payload,
            "payload_changes": [asdict(change) for change in self.payload_changes],
            "lines": self.lines,
            "table": asdict(self.table) if self.table else None,
            "json": None if self.json is None else [asdict(change) for change in self.json],
            "tree": tree_json(self.tree) if self.tree else None,
            "contents": self.contents,
            "notes": self.notes,
        }
        return {name: json_value(value) for name, value in document.items() if value is not None}


def compare_versions(
    left: Comparable,
    right: Comparable,
    *,
    key_columns: Sequence[str] | None = None,
    contents: bool = False,
    paths: tuple[str, str] = ("", ""),
) -> Comparison:
    """Return what differs from `left` to `right`.

    `paths` compare one file or folder of each version, without the metadata. `contents` asks for
    the lines of modified text files of a folder. Content of more than 16 MiB is compared by digest,
    which is noted. Raise UsageError where key columns are given for what is not a table, and
    NotFoundError for a path that is not there.
    """
    sides = _Side(left, paths[0]), _Side(right, paths[1])
    metadata = [] if any(paths) else compare_mappings(_about(left), _about(right))
    base = Comparison(sides[0].ref, sides[1].ref, metadata, "none")
    comparison = _compare_payloads(base, *sides, key_columns)
    if key_columns and comparison.payload not in ("table", "identical"):
        raise UsageError(
            f"key columns are for tables, but {sides[0].ref} and {sides[1].ref} "
            f"were compared as {comparison.payload}"
        )
    if contents and comparison.tree:
        return _with_contents(comparison, comparison.tree, *sides)
    return comparison


def _about(version: Comparable) -> dict[str, Any]:
    fields = {
        "type": version.type,
        "title": version.title,
        "description": version.description,
        "metadata": version.metadata,
        "labels": version.labels,
        "partitions": version.partitions,
        "inputs": version.inputs,
        "format": version.format,
        "progress": version.progress.value if version.progress is not None else None,
    }
    return {name: value for name, value in fields.items() if value not in (None, {}, [], ())}


@dataclass(frozen=True)
class _Content:
    """One file, or the text in a manifest. `table` is the format to read it as a table."""

    name: str
    size: int
    b3: str
    read: Callable[[], bytes]
    mode: int | None = None
    type: str = ""
    table: str | None = None

    @property
    def is_json(self) -> bool:
        return self.type in ("json", "value") or self.name.lower().endswith(".json")


_NOTHING = _Content("", 0, "", lambda: b"")


@dataclass
class _Side:
    """What of a version is compared: all of it, or what lies under one path."""

    version: Comparable
    path: str

    @property
    def ref(self) -> str:
        return f"{self.version.ref}/{self.path}" if self.path else self.version.ref

    @property
    def payload(self) -> Payload | None:
        return self.version.payload

    @cached_property
    def nodes(self) -> list[Node]:
        """The tree, with paths that begin after `path`."""
        if not self.path:
            return list(self._tree())
        prefix = self.path + "/"
        return [
            node._replace(path=node.path.removeprefix(prefix))
            for node in self._tree()
            if node.path.startswith(prefix)
        ]

    def _tree(self) -> Iterable[Node]:
        return self.version.files if self.payload and self.payload.tree else ()

    @cached_property
    def content(self) -> _Content | None:
        """The one file or text that it is; None where it is a folder or nothing."""
        payload = self.payload
        if payload is not None and payload.inline is not None and not self.path:
            return self._content(payload.file or "", payload.size or 0, payload.b3 or "", None)
        path = self.path or (payload.file if payload else "")
        if not path:
            return None
        node = next((node for node in self._tree() if node.path == path), None)
        if node is not None and node.is_file:
            return self._content(node.path, node.size, node.b3, node.mode)
        if self.path and not self.nodes:
            raise NotFoundError(f"{self.version.ref} has no file {self.path!r}")
        return None

    def _content(self, name: str, size: int, b3: str, mode: int | None) -> _Content:
        kind = "" if self.path else self.version.type
        table = FORMATS.get(PurePosixPath(name).suffix.lower())
        if kind == "table" and self.version.format:
            found = declared(self.version.format)
            table = found if found in (*FORMATS.values(), *FRAMES, OBJECTS, "arrow") else table
        path = None if mode is None else name
        return _Content(name, size, b3, lambda: self.version.read(path), mode, kind, table)

    def full_path(self, node: Node) -> str:
        return f"{self.path}/{node.path}" if self.path else node.path


def _compare_payloads(
    base: Comparison, left: _Side, right: _Side, key_columns: Sequence[str] | None
) -> Comparison:
    a, b = left.payload, right.payload
    if a is None and b is None:
        return base
    if (a and a.url is not None) or (b and b.url is not None):
        return _compare_references(base, a, b)
    if a and b and a.tree and a.tree == b.tree and left.path == right.path:
        return replace(base, payload="identical")
    if (left.content or a is None) and (right.content or b is None):
        if left.content and right.content and not left.path and not right.path:
            base = replace(base, payload_changes=_frame_changes(left.content, right.content))
        return _compare_contents(
            base, left.content or _NOTHING, right.content or _NOTHING, key_columns
        )
    if (a and a.inline is not None) or (b and b.inline is not None):
        base.notes.append("one side is text in the manifest, not files: only files are compared")
    tree = compare_trees(left.nodes, right.nodes)
    if tree.is_same and left.nodes:
        return replace(base, payload="identical")
    return replace(base, payload="tree", tree=tree)


def _compare_references(base: Comparison, a: Payload | None, b: Payload | None) -> Comparison:
    changes = compare_mappings(a.to_document() if a else {}, b.to_document() if b else {})
    if not (a and b and a.checksum and b.checksum):
        base.notes.append("no checksum is recorded on both sides: the bytes were not compared")
    return replace(base, payload="reference" if changes else "identical", payload_changes=changes)


def _frame_changes(left: _Content, right: _Content) -> list[JsonChange]:
    """What differs around the bytes of one file: its name and mode."""
    if left.mode is None or right.mode is None:
        return []
    return compare_mappings(
        {"file": left.name, "mode": f"{left.mode:o}"},
        {"file": right.name, "mode": f"{right.mode:o}"},
    )


def _compare_contents(
    base: Comparison, left: _Content, right: _Content, key_columns: Sequence[str] | None
) -> Comparison:
    if left.b3 == right.b3:
        return replace(base, payload="identical")
    if max(left.size, right.size) > CONTENT_LIMIT:
        base.notes.append(
            f"content of more than {CONTENT_LIMIT >> 20} MiB: only digests were compared"
        )
        return _as_binary(base, left, right)
    data = left.read(), right.read()
    return (
        _as_table(base, (left, right), data, key_columns)
        or _as_json(base, (left, right), data)
        or _as_text(base, data)
        or _as_binary(base, left, right)
    )


def _as_binary(base: Comparison, left: _Content, right: _Content) -> Comparison:
    changes = compare_mappings(
        {"size": left.size, "b3": left.b3}, {"size": right.size, "b3": right.b3}
    )
    return replace(base, payload="binary", payload_changes=base.payload_changes + changes)


def _as_table(
    base: Comparison,
    sides: tuple[_Content, _Content],
    data: tuple[bytes, bytes],
    key_columns: Sequence[str] | None,
) -> Comparison | None:
    formats = sides[0].table, sides[1].table
    if formats[0] is None or formats[1] is None:
        return None
    is_declared = sides[0].type == sides[1].type == "table"
    if "json" in formats and not is_declared and not key_columns:
        return None
    try:
        left = read_table(io.BytesIO(data[0]), formats[0])
        right = read_table(io.BytesIO(data[1]), formats[1])
    except UsageError as error:
        base.notes.append(f"not compared as tables: {error.message}")
        return None
    if (formats[0] in _UNTYPED) != (formats[1] in _UNTYPED):
        left, right = _untyped(left), _untyped(right)
    return replace(base, payload="table", table=compare_tables(left, right, key_columns))


def _untyped(table: Table) -> Table:
    """Cells as csv has them, to compare with csv."""
    return replace(table, rows=[[cell_text(cell) for cell in row] for row in table.rows])


def _as_json(
    base: Comparison, sides: tuple[_Content, _Content], data: tuple[bytes, bytes]
) -> Comparison | None:
    if not (sides[0].is_json and sides[1].is_json):
        return None
    try:
        changes = compare_json(load_json(data[0]), load_json(data[1]))
    except ValueError as error:
        base.notes.append(f"not compared as JSON: {error}")
        return None
    return replace(base, payload="json", json=changes)


def _as_text(base: Comparison, data: tuple[bytes, bytes]) -> Comparison | None:
    left, right = _text(data[0]), _text(data[1])
    if left is None or right is None:
        return None
    return replace(base, payload="text", lines=compare_lines(left, right))


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _with_contents(comparison: Comparison, tree: TreeDiff, left: _Side, right: _Side) -> Comparison:
    contents: dict[str, list[str]] = {}
    left_out, size = 0, 0
    for change in tree.modified:
        larger = max(change.old.size, change.new.size)
        if not (change.old.is_file and change.new.is_file):
            continue
        if larger > FOLDER_FILE_LIMIT or size + larger > FOLDER_LIMIT:
            left_out += 1
            continue
        size += larger
        old = _text(left.version.read(left.full_path(change.old)))
        new = _text(right.version.read(right.full_path(change.new)))
        if old is not None and new is not None:
            contents[change.new.path] = compare_lines(old, new)
    if left_out:
        comparison.notes.append(
            f"the lines of {left_out:,} files are not shown: at most {FOLDER_FILE_LIMIT >> 20} MiB "
            f"a file and {FOLDER_LIMIT >> 20} MiB in all are compared by lines"
        )
    return replace(comparison, contents=contents)
