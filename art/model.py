"""What manifests and entries are: pure values, parsed and checked."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from art.errors import REPAIR, CorruptError, UsageError
from art.keys import check_key, check_type

FORMAT = 1
INLINE_LIMIT = 4096
_SHOWN = 100  # characters of a value, or of its place, that an error shows
_DEPTH_LIMIT = 48  # of metadata; documents as a whole may be 64 deep

_ID = re.compile(r"b3:[0-9a-f]{64}")
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

Document = dict[str, Any]


@dataclass(frozen=True)
class Chunking:
    """Sizes in bytes for cutting (FORMAT §6). Content of at most `whole` bytes is not cut."""

    min: int = 8 << 10
    average: int = 32 << 10
    max: int = 128 << 10
    whole: int = 64 << 10


@dataclass(frozen=True)
class Payload:
    """What a version carries. Exactly one of `inline`, `tree` and `url` is set.

    `size` is in bytes; None only for a reference whose size is not known. `tree` and `b3` are hex
    digests; `checksum` is `b3:HEX` or `tree:HEX`.
    """

    inline: str | None = None
    b3: str | None = None
    tree: str | None = None
    files: int | None = None
    file: str | None = None
    url: str | None = None
    checksum: str | None = None
    size: int | None = None

    def to_document(self) -> Document:
        """Return it as it stands in a manifest."""
        if self.inline is not None:
            return {"inline": self.inline, "size": self.size, "b3": self.b3}
        if self.tree is not None:
            fields = {"tree": self.tree, "size": self.size, "files": self.files, "file": self.file}
        else:
            fields = {
                "reference": self.url,
                "size": self.size,
                "files": self.files,
                "checksum": self.checksum,
            }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Manifest:
    """One version's manifest. `document` holds every field, unknown ones too, without `check`."""

    id: str
    key: str | None
    uid: str
    type: str
    created: str
    author: str
    payload: Payload | None
    document: Document = field(repr=False)

    @property
    def title(self) -> str | None:
        return self.document.get("title")

    @property
    def inputs(self) -> list[Document]:
        """References to versions this one was made from: `key`, `id`, `number`."""
        return self.document.get("inputs") or []

    @property
    def format(self) -> Document:
        """How to read the payload; empty where nothing is said."""
        return self.document.get("format") or {}

    @property
    def is_stub(self) -> bool:
        """Whether a purge took the content away."""
        return "purged" in self.document

    def says(self, document: Document) -> bool:
        """Whether the other manifest's document has the same description (FORMAT §4.2)."""
        return describe(self.document) == describe(document)

    @classmethod
    def from_document(cls, document: Document, id: str, name: str) -> Manifest:
        """Raise CorruptError that names the file and the field."""
        check = _Fields(document, name)
        uid, created = check.uid(), check.created()
        key = check.optional("key", str)
        if key is not None:
            check.passes("key", check_key, key)
        if "purged" in document:
            purged = check.needed("purged", dict)
            stub_id = _Fields(purged, name).id("id")
            return cls(stub_id, key, uid, "purged", created, "", None, document)
        kind = check.needed("type", str)
        check.passes("type", check_type, kind)
        check.description()
        payload = check.payload()
        return cls(id, key, uid, kind, created, check.needed("author", str), payload, document)


def preview_of(document: Mapping[str, Any]) -> str | None:
    """Return the digest of the preview that a manifest names, or that a stub's manifest named; None
    where that can be none."""
    purged = document.get("purged")
    named = (purged if isinstance(purged, dict) else document).get("preview")
    return named if isinstance(named, str) and re.fullmatch("[0-9a-f]{64}", named) else None


_NOT_DESCRIBING = frozenset({"art", "uid", "created", "author", "run", "origin", "preview"})


def describe(document: Mapping[str, Any]) -> str:
    """Return the part of a manifest that makes two versions equal, as a text: 1, 1.0 and true differ
    in it, while NaN is NaN and the order of keys does not count."""
    fields = {name: value for name, value in document.items() if name not in _NOT_DESCRIBING}
    return json.dumps(fields, sort_keys=True)


class _Fields:
    """Typed access to a document; what is wrong becomes a CorruptError that names file and field."""

    def __init__(self, document: Document, name: str) -> None:
        self.document = document
        self.name = name

    def wrong(self, field: str, expected: str) -> CorruptError:
        found = repr(self.document.get(field))
        found = found if len(found) <= 60 else found[:57] + "..."
        return CorruptError(
            f"{self.name} is damaged: field {field!r} is {found}, expected {expected}",
            hint=REPAIR,
        )

    def needed(self, field: str, kind: type) -> Any:
        value = self.document.get(field)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(field, _KINDS[kind])
        return value

    def optional(self, field: str, kind: type) -> Any:
        return self.needed(field, kind) if self.document.get(field) is not None else None

    def passes(self, field: str, check: Any, value: str) -> None:
        try:
            check(value)
        except UsageError as error:
            raise self.wrong(field, f"a {field}") from error

    def match(self, field: str, pattern: re.Pattern[str], expected: str) -> str:
        value = self.needed(field, str)
        if not pattern.fullmatch(value):
            raise self.wrong(field, expected)
        return str(value)

    def uid(self) -> str:
        return self.match("uid", _UID, "a UUID")

    def created(self) -> str:
        expected = "a time like 2026-11-21T08:30:00.000000Z"
        text = self.match("created", _CREATED, expected)
        try:
            datetime.fromisoformat(text.removesuffix("Z"))
        except ValueError:
            raise self.wrong("created", expected) from None
        return text

    def id(self, field: str) -> str:
        return self.match(field, _ID, "'b3:' and 64 hex digits")

    def count(self, field: str) -> int:
        value = self.needed(field, int)
        if not 0 <= value < 2**63:
            raise self.wrong(field, "a number of at least 0")
        return int(value)

    def items(self, field: str, kind: type) -> list[Any]:
        values = self.optional(field, list) or []
        if not all(isinstance(value, kind) for value in values):
            raise self.wrong(field, f"a list of {_KINDS[kind]}")
        return list(values)

    def description(self) -> None:
        for name in ("title", "description", "preview"):
            self.optional(name, str)
        for name in ("metadata", "format", "run", "origin"):
            self.optional(name, dict)
        self.items("labels", str)
        partitions = self.optional("partitions", dict) or {}
        if not all(isinstance(value, str) for value in partitions.values()):
            raise self.wrong("partitions", "texts")
        for entry in self.items("inputs", dict):
            _Fields(entry, self.name).reference()

    def reference(self) -> None:
        """Check what refers to a version: `id`, and perhaps `key` and `number`."""
        self.id("id")
        key = self.optional("key", str)
        if key is not None:
            self.passes("key", check_key, key)
        if self.document.get("number") is not None:
            self.count("number")

    def payload(self) -> Payload | None:
        document = self.optional("payload", dict)
        if document is None:
            return None
        fields = _Fields(document, self.name)
        kinds = [kind for kind in ("inline", "tree", "reference") if kind in document]
        if len(kinds) != 1:
            raise self.wrong("payload", "one of inline, tree, reference")
        return getattr(fields, "_" + kinds[0])()  # type: ignore[no-any-return]

    def _inline(self) -> Payload:
        text, size = self.needed("inline", str), self.count("size")
        if len(text.encode("utf-8", "surrogatepass")) != size or size > INLINE_LIMIT:
            raise self.wrong("size", f"the size of the text, at most {INLINE_LIMIT}")
        return Payload(inline=text, size=size, b3=self.match("b3", _HEX, "64 hex digits"))

    def _tree(self) -> Payload:
        tree = self.match("tree", _HEX, "64 hex digits")
        file = self.optional("file", str)
        return Payload(tree=tree, size=self.count("size"), files=self.count("files"), file=file)

    def _reference(self) -> Payload:
        size = self.count("size") if "size" in self.document else None
        files = self.count("files") if "files" in self.document else None
        checksum = None
        if "checksum" in self.document:
            checksum = self.match("checksum", _CHECKSUM, "'b3:' or 'tree:' and 64 hex digits")
        return Payload(url=self.needed("reference", str), size=size, files=files, checksum=checksum)


_STATES = ("deleted", "restored", "swept", "purged", "moved")
_NOTED = {"title": str, "description": str, "metadata": dict, "labels": dict}
_KINDS = {str: "a text", int: "a whole number", dict: "a mapping", list: "a list"}
_HEX = re.compile(r"[0-9a-f]{64}")
_CHECKSUM = re.compile(r"(?:b3|tree):[0-9a-f]{64}")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Entry:
    """One entry of a log: a tag move, a state, a note, a setting."""

    number: int
    document: Document = field(repr=False)

    @property
    def uid(self) -> str:
        return str(self.document["uid"])

    @property
    def created(self) -> str:
        return str(self.document["created"])

    @property
    def author(self) -> str:
        return str(self.document.get("author", ""))

    @property
    def message(self) -> str | None:
        return self.document.get("message")

    @property
    def key(self) -> str | None:
        """None in the logs of keyless versions."""
        return self.document.get("key")

    @property
    def tag(self) -> str | None:
        """The tag that moves, None where it is another log's entry."""
        return self.document.get("tag")

    @property
    def version_id(self) -> str | None:
        """The version a tag or note is about; None where a tag was taken away."""
        return self.document.get("id")

    def named(self) -> list[tuple[int | None, str]]:
        """Return number at that time, where it says one, and id of the versions that it is about."""
        versions = self.document.get("versions") or []
        if self.version_id:
            versions = [*versions, self.document]
        return [(version.get("number"), str(version["id"])) for version in versions]

    @classmethod
    def from_document(cls, document: Document, number: int, name: str) -> Entry:
        """Raise CorruptError that names the file and the field."""
        check = _Fields(document, name)
        check.uid()
        check.created()
        check.optional("message", str)
        if document.get("id") is not None:
            check.reference()
        if "state" in document or "versions" in document:
            if check.needed("state", str) not in _STATES:
                raise check.wrong("state", "one of " + ", ".join(_STATES))
            for version in check.items("versions", dict):
                fields = _Fields(version, name)
                fields.reference()
                if "to" in version:
                    target = _Fields(fields.needed("to", dict), name)
                    target.reference()
                    target.needed("key", str)
        if "settings" in document:
            check.needed("settings", dict)
        if "set" in document:
            change = _Fields(check.needed("set", dict), name)
            for field, kind in _NOTED.items():
                change.optional(field, kind)
        return cls(number, document)


def check_progress(document: Document, name: str) -> None:
    """Raise CorruptError where this is not the value of a progress artifact."""
    check = _Fields(document, name)
    check.uid()
    check.created()
    check.count("sequence")
    check.optional("message", str)
    value = document.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise check.wrong("value", "a number from 0 to 100")


def heads(entries: list[Entry]) -> tuple[Entry | None, set[str]]:
    """Return the head of a log of tag or settings entries, and the uids that are superseded."""
    head: Entry | None = None
    superseded: set[str] = set()
    for entry in entries:
        if entry.document.get("after") == (head.uid if head else None):
            head = entry
        else:
            superseded.add(entry.uid)
    return head, superseded


def states(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the states that a log gives versions, by id: what its last entry says, `live` where that
    is `restored`; but nothing undoes `purged`, and who deletes what was swept came late (FORMAT §9.2)."""
    found: dict[str, str] = {}
    for entry in entries:
        state = str(entry.document.get("state"))
        for version in entry.document.get("versions") or []:
            before = found.get(version["id"])
            if before != "purged" and (before, state) != ("swept", "deleted"):
                found[version["id"]] = "live" if state == "restored" else state
    return found


def apply_notes(document: Document, notes: list[Document]) -> Document:
    """Return a manifest's description with later `set` documents merged over it (FORMAT §9.3)."""
    result = dict(document)
    for note in notes:
        for name, value in note.items():
            if name == "labels":
                result["labels"] = _merge_labels(result.get("labels") or [], value or {})
            elif name in _NOTED:
                result = _merge(result, {name: value})
    return {name: value for name, value in result.items() if value not in (None, [], {})}


def _merge(base: Document, change: Document) -> Document:
    result = dict(base)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = _merge(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def _merge_labels(labels: list[str], change: Document) -> list[str]:
    kept = {label for label in labels if change.get(label, True)}
    return sorted(kept | {label for label, wanted in change.items() if wanted})


def now() -> str:
    """Return the present time as documents write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_uid(value: object) -> bool:
    """Whether `value` is a UUID in text form."""
    return isinstance(value, str) and _UID.fullmatch(value) is not None


def is_id(value: object) -> bool:
    """Whether `value` is the id of a version."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def new_uid() -> str:
    """Return a new UUID version 7 (RFC 9562 §5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def check_metadata(value: object, where: str = "metadata", depth: int = 0) -> Any:
    """Return `value` as documents hold it, made of texts, numbers, truth values, null, lists and
    mappings with text keys. Raise UsageError where it is not made so, is too deep, or holds an
    integer of more than 64 bits."""
    if depth > _DEPTH_LIMIT:
        raise UsageError(f"{where[:60]}… is nested too deep, at most {_DEPTH_LIMIT} are possible")
    if isinstance(value, Mapping):
        return {
            _name(name, where): check_metadata(item, f"{where}.{name}", depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            check_metadata(item, f"{where}[{position}]", depth + 1)
            for position, item in enumerate(value)
        ]
    return _scalar(value, where)


def _name(name: object, where: str) -> Any:
    if not isinstance(name, str):
        raise UsageError(f"{_shown(where)}: key {_shown(repr(name))} must be a text")
    return _scalar(name, where)


def _scalar(value: object, where: str) -> Any:
    """Return a scalar as one of YAML's own types: numpy's numbers and enumerations derive from them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise UsageError(f"{_shown(where)}: {_shown(repr(value))} is not valid Unicode")
        return str.__str__(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise UsageError(f"{_shown(where)}: {_shown(hex(value))} does not fit into 64 bits")
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    kind = type(value).__name__
    raise UsageError(
        f"{_shown(where)}: {_shown(repr(value))} is of type {kind}, expected text, number, boolean, "
        "null, list or mapping"
    )


def holdable(text: str, limit: int) -> str:
    """Return a text as documents can hold it: what is no Unicode is escaped, what is beyond `limit`
    characters is cut, with a mark."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def _shown(text: str) -> str:
    """Return as much of a text as an error shows."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def parse_progress(value: object, *, clamp: bool = False) -> float:
    """Return a progress in percent; raise UsageError outside 0 to 100 unless `clamp`."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"progress {value!r} is not a number from 0 to 100") from None
    if math.isnan(number):
        raise UsageError("progress NaN is not a number from 0 to 100")
    if not 0 <= number <= 100 and not clamp:
        raise UsageError(f"progress {value} is outside 0 to 100", hint="--clamp clamps it")
    return min(100.0, max(0.0, number))
