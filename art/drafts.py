"""Drafts: parts of a version that several programs make together (FORMAT §10.3).

All that happens to a draft is in one log, and each number of it is created once: what stands before
`sealed` came in time, and nothing comes after it. So there is one list of parts, whoever writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeVar

from art import document as documents
from art.backend import Backend
from art.catalog import first_missing, is_manifest_of, listed_numbers, parse_number
from art.errors import REPAIR, CorruptError, NewerFormatError, NotFoundError, UsageError
from art.keys import check_key, escape, unescape
from art.model import FORMAT, Document, Manifest, Payload, is_uid, new_uid, now
from art.nearest import nearest

_LIMIT = 200
_REQUESTS_AT_ONCE = 16
_MANIFEST = ("art", "uid", "created", "author", "key", "payload", "inputs")  # as in manifests

S = TypeVar("S")
T = TypeVar("T")


def check_name(name: str, what: str) -> str:
    """Return the name of a draft or part; raise UsageError where it is not one."""
    if not _is_name(name):
        raise UsageError(
            f"{what} {name!r} is not possible: at most {_LIMIT} letters, digits, '.', '_' and '-', "
            "the first a letter or digit"
        )
    return name


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or "/" in name or not 0 < len(name) <= _LIMIT:
        return False
    try:
        return check_key(name) == name
    except UsageError:
        return False


@dataclass(frozen=True)
class Part:
    """A part of a draft as its entry says it: what it carries, and what that was made from."""

    name: str
    uid: str
    created: str
    author: str
    payload: Payload
    inputs: list[Document] = field(default_factory=list)

    @classmethod
    def of(cls, entry: Document) -> Part:
        """Return the part that a checked entry adds."""
        fields = {name: entry[name] for name in _MANIFEST if name in entry}
        payload = Manifest.from_document({**fields, "type": "folder"}, "", "").payload
        assert payload
        names = entry["part"], entry["uid"], entry["created"], entry["author"]
        return cls(*names, payload, list(entry.get("inputs") or ()))

    @property
    def tree(self) -> str:
        """The digest of its tree."""
        return str(self.payload.tree)

    def has(self, payload: Payload | None) -> bool:
        """Whether this is its content."""
        return self.payload == payload


@dataclass(frozen=True)
class Seal:
    """What ended a draft: its parts, names to uids, and the version that they are."""

    document: Document

    @property
    def parts(self) -> dict[str, str]:
        """The uids of the entries of all parts, by their names."""
        return self.document["sealed"]  # type: ignore[no-any-return]

    @property
    def id(self) -> str:
        """The id of the version."""
        return str(self.document["version"]["id"])

    @property
    def manifest(self) -> Document | None:
        """The manifest of the version, None where that was there before, or was purged."""
        return self.document.get("manifest")

    @property
    def tree(self) -> str | None:
        """The payload of the version, as far as the seal knows it."""
        payload = (self.manifest or {}).get("payload")
        return str(payload["tree"]) if isinstance(payload, dict) and "tree" in payload else None

    @property
    def is_flat(self) -> bool:
        """Whether the files of all parts lie side by side."""
        return bool(self.document.get("flat"))


@dataclass(frozen=True)
class Round:
    """What a draft has come to: all since it was dropped last. `number` is that of the last entry."""

    key: str
    draft: str
    number: int
    parts: Mapping[str, Part]
    seal: Seal | None = None

    @property
    def exists(self) -> bool:
        """Whether there is anything of it."""
        return bool(self.parts or self.seal)

    @property
    def sealed_parts(self) -> dict[str, Part]:
        """The parts that the seal names."""
        assert self.seal
        by_uid = {part.uid: part for part in self.parts.values()}
        return {name: by_uid[uid] for name, uid in self.seal.parts.items() if uid in by_uid}


class DraftLog:
    """The log of one draft, at one place."""

    def __init__(self, backend: Backend, key: str, draft: str, numbers: Iterable[int] = ()) -> None:
        """`numbers` are those that are known to be there, where it was listed already."""
        self._backend = backend
        self._listed = sorted(numbers)
        self.key = check_key(key)
        self.draft = check_name(draft, "draft")
        self._known: dict[int, Document] = {}

    @property
    def what(self) -> str:
        """What people call it."""
        return f"draft {self.draft} of {self.key}"

    def read(self) -> Round:
        """Return what there is. Raise CorruptError where something of the last round is damaged or
        missing."""
        numbers = self._numbers()
        new = [number for number in numbers if number not in self._known]
        damaged: dict[int, CorruptError] = {}
        for number, found in zip(new, _each(self._backend, self._entry, new), strict=True):
            if isinstance(found, CorruptError):
                damaged[number] = found
            else:
                self._known[number] = found
        return self._round(numbers, damaged)

    def _numbers(self) -> list[int]:
        """Return the numbers of all entries, in order; those that are listed, the first time."""
        listed, self._listed = self._listed, []
        if listed and not first_missing(listed):
            return listed
        return listed_numbers(self._backend, _directory(self.key, self.draft))

    def _entry(self, number: int) -> Document | CorruptError:
        name = _name(self.key, self.draft, number)
        try:
            data = self._backend.read(name, 0, documents.READ_LIMIT)
            return parse(data, name, self.key, self.draft)
        except FileNotFoundError:
            return CorruptError(f"{name} is missing", hint=REPAIR)
        except CorruptError as error:
            return error

    def _round(self, numbers: list[int], damaged: Mapping[int, CorruptError]) -> Round:
        last = max(numbers, default=0)
        drops = [number for number in numbers if "dropped" in self._known.get(number, {})]
        start = max(drops, default=0)
        present = [number - start for number in numbers if number > start]
        for number in sorted(number for number in damaged if number > start):
            raise self._hinted(damaged[number])
        if missing := first_missing(present):
            name = _name(self.key, self.draft, start + missing)
            raise self._hinted(CorruptError(f"{name} is missing, later ones are there"))
        entries = [self._known[start + number] for number in present]
        seal = next((Seal(entry) for entry in entries if "sealed" in entry), None)
        before = takewhile(lambda entry: "sealed" not in entry, entries)  # nothing counts behind it
        parts = {entry["part"]: Part.of(entry) for entry in before}
        return Round(self.key, self.draft, last, parts, seal)

    def _hinted(self, error: CorruptError) -> CorruptError:
        return CorruptError(error.message, hint=f"art draft drop {self.key} {self.draft}")

    def settle(self) -> None:
        """Make durable what others have just said: they may not have come to that."""
        self._backend.sync(_directory(self.key, self.draft))

    def append(self, after: int, author: str, fields: Mapping[str, Any]) -> Document | None:
        """Create the entry that follows number `after`, and return it; None where another one is there."""
        document: Document = {
            "art": FORMAT,
            "uid": new_uid(),
            "created": now(),
            "author": author,
            "key": self.key,
            "draft": self.draft,
            **{name: value for name, value in fields.items() if value not in (None, [], False)},
        }
        name, data = _name(self.key, self.draft, after + 1), documents.encode(document)
        # That it is taken may be the answer to our own request: no two entries have the same bytes.
        is_ours = self._backend.create(name, data) or self._backend.read(name) == data
        return document if is_ours else None

    def end(self) -> int:
        """Return the highest number, whatever is in the entries."""
        return max(self._numbers(), default=0)

    def needed(self, has_version: Callable[[str], bool]) -> list[tuple[str, str, int]]:
        """Return what the draft needs (FORMAT §13): names for people, trees, and their sizes in bytes.

        `has_version` tells whether a version with an id is there: of a draft that was sealed as this,
        nothing is needed. Raise CorruptError where the draft cannot be read.
        """
        if last := self._ended(self._listed[-1] if self._listed else self.end()):
            return self._of_seal(Seal(last), has_version) if "sealed" in last else []
        found = self.read()
        if found.seal:  # and something behind it, which does not count
            return self._of_seal(found.seal, has_version)
        parts = found.parts.values()
        return [(f"{self.what}, part {p.name}", p.tree, p.payload.size or 0) for p in parts]

    def _of_seal(
        self, seal: Seal, has_version: Callable[[str], bool]
    ) -> list[tuple[str, str, int]]:
        if seal.tree is None or has_version(seal.id):
            return []
        return [(self.what, seal.tree, (seal.manifest or {})["payload"]["size"])]

    def _ended(self, end: int) -> Document | None:
        """Return the last entry if it ended the draft: no other need be read."""
        last = self._entry(end)
        is_over = isinstance(last, dict) and not {"sealed", "dropped"}.isdisjoint(last)
        return last if is_over and isinstance(last, dict) else None


def parse(data: bytes, name: str, key: str, draft: str) -> Document:
    """Return an entry of a draft from its bytes. Raise CorruptError where it is none."""
    document = documents.decode(data, name)
    kinds = [kind for kind in ("part", "sealed", "dropped") if kind in document]
    is_whole = (document.get("key"), document.get("draft")) == (key, draft) and len(kinds) == 1
    if not is_whole or not _CHECKS[kinds[0]](document, name):
        raise CorruptError(f"{name} is damaged: it is no entry of this draft", hint=REPAIR)
    return document


def _is_part(document: Document, name: str) -> bool:
    fields = {field: document[field] for field in _MANIFEST if field in document}
    manifest = Manifest.from_document({**fields, "type": "folder"}, "", name)
    is_tree = manifest.payload is not None and manifest.payload.tree is not None
    return _is_name(document["part"]) and is_tree


def _is_seal(document: Document, name: str) -> bool:
    parts, version = document["sealed"], document.get("version")
    is_named = isinstance(version, dict) and isinstance(version.get("id"), str)
    is_list = isinstance(parts, dict) and all(map(is_uid, parts.values()))
    if not (is_named and is_list) or "manifest" not in document:
        return is_named and is_list
    return is_manifest_of(document["manifest"], document["key"], document["version"]["id"], name)


def _is_drop(document: Document, name: str) -> bool:
    return document["dropped"] is True


_CHECKS: dict[str, Callable[[Document, str], bool]] = {
    "part": _is_part,
    "sealed": _is_seal,
    "dropped": _is_drop,
}


def located(name: str) -> tuple[str, str, int] | None:
    """Return key, draft and number of an entry by its name in a store, None where it is no such name."""
    directory, _, file = name.removeprefix("drafts/").rpartition("/")
    head, mark, tail = directory.partition("/_/")
    key, draft, number = unescape(head), unescape(tail), parse_number(file)
    if not mark or key is None or draft is None or number is None or "/" in draft:
        return None
    return (key, draft, number) if _name(key, draft, number) == name else None


def all_drafts(backend: Backend) -> list[DraftLog]:
    """Return the logs of all drafts of a store, ended or not, by keys and names."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for item in backend.walk("drafts"):
        if at := located(item.name):
            numbers.setdefault(at[:2], []).append(at[2])
    return [DraftLog(backend, *named, found) for named, found in sorted(numbers.items())]


def unknown(backend: Backend, key: str, draft: str) -> NotFoundError:
    """Return the error for a draft that there is not, with those that are called nearly so."""
    logs = {f"{log.key} {log.draft}": log for log in all_drafts(backend)}
    near = [name for name in nearest(f"{key} {draft}", logs) if _exists(logs[name])]
    hint = f"did you mean {', '.join(near)}?" if near else "art draft ls"
    return NotFoundError(f"{key} has no draft {draft}", hint=hint)


def _exists(log: DraftLog) -> bool:
    try:
        return log.read().exists
    except CorruptError:
        return True


def needed(backend: Backend, has_version: Callable[[str], bool]) -> dict[str, str]:
    """Return the payloads that the drafts of a store need, and what needs each; see `DraftLog.needed`.

    Raise NewerFormatError where there is what may need others."""
    for item in backend.walk("drafts"):
        if located(item.name) is None:
            raise NewerFormatError(
                f"{item.name} is in a place for drafts, and this art does not know it; nothing was removed",
                hint="pip install --upgrade art-vcs",
            )
    payloads: dict[str, str] = {}
    for found in _each(backend, lambda log: log.needed(has_version), all_drafts(backend)):
        payloads |= {tree: what for what, tree, _ in found}
    return payloads


def _each(backend: Backend, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield what `work` returns for each; where each is a request, many at a time."""
    if backend.path("drafts") is not None:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE, "drafts") as threads:
        yield from threads.map(work, items)


def forget(backend: Backend, ids: set[str]) -> None:
    """Take away what seals say of versions that were purged."""
    for item in list(backend.walk("drafts")):
        at = located(item.name)
        if at is None:
            continue
        document = documents.decode(backend.read(item.name, 0, documents.READ_LIMIT), item.name)
        if "manifest" in document and (document.get("version") or {}).get("id") in ids:
            kept = {field: value for field, value in document.items() if field != "manifest"}
            backend.replace(item.name, documents.encode({**kept, "purged": True}))


def _directory(key: str, draft: str) -> str:
    return f"drafts/{escape(key)}/_/{escape(draft)}"


def _name(key: str, draft: str, number: int) -> str:
    return f"{_directory(key, draft)}/{number:08}.yaml"
