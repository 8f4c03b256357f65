"""Runs that have ended, as their records tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from art.document import RUN_LIMIT, encode
from art.errors import UsageError
from art.model import Document, holdable

if TYPE_CHECKING:
    from art.version import Version

_TEXT = 4000  # characters of a text that are kept where a record is too large
_FIELD = RUN_LIMIT // 16  # bytes of a field, then


def encoded(document: Document) -> bytes:
    """Return the bytes of a record, whatever is in it: what documents do not hold is escaped, or left out;
    of what is too much only the beginning is kept, and `omitted` says how much is not."""
    try:
        return encode(document, RUN_LIMIT)
    except UsageError:
        return encode(_bounded(document), RUN_LIMIT)


def _bounded(document: Document) -> Document:
    omitted = {}
    kept: Document = {}
    for name, value in document.items():
        beginning, left = _beginning(_escaped(value))
        if beginning is not None:
            kept[name] = beginning
        if left:
            omitted[name] = left
    return {**kept, "omitted": omitted} if omitted else kept


def _beginning(value: Any) -> tuple[Any, int]:
    """Return as much of the value of a field as a record holds, and how many items or characters are left
    out."""
    count, kept = len(value) if isinstance(value, (str, list, dict)) else 1, value
    while not _is_holdable(kept):
        if isinstance(kept, str):
            kept = kept[: min(len(kept) // 2, _TEXT)]
        elif isinstance(kept, (list, dict)):
            items = kept.items() if isinstance(kept, dict) else kept
            kept = type(kept)(islice(items, len(kept) // 2))
        else:
            return None, 1
    return kept, count - (len(kept) if isinstance(kept, (str, list, dict)) else 1)


def _is_holdable(value: Any) -> bool:
    try:
        encode({"value": value}, _FIELD)
    except UsageError:
        return False
    return True


def _escaped(value: Any) -> Any:
    """Return a value with all texts in it as documents hold them."""
    if isinstance(value, dict):
        return {_escaped(name): _escaped(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    return holdable(value, _FIELD) if isinstance(value, str) else value


class PastRun:
    """A run that has ended. Its versions and steps are looked up when they are asked for. `document` names
    those of other repositories, too, with their `url`."""

    def __init__(
        self,
        document: Document,
        find: Callable[[Document], Version],
        get: Callable[[str], PastRun],
    ) -> None:
        """`find` gives a version by its `key` and `id`, `get` another run by its id."""
        self.document = document
        self._find = find
        self._get = get

    def __repr__(self) -> str:
        return f"<PastRun {self.name} {self.id} {self.status}>"

    @property
    def id(self) -> str:
        return str(self.document["uid"])

    @property
    def name(self) -> str:
        return str(self.document.get("name", ""))

    @property
    def step(self) -> str | None:
        return self.document.get("step")

    @property
    def status(self) -> str:
        """`completed` or `failed`."""
        return str(self.document["status"])

    @property
    def error(self) -> str | None:
        """What a failed run failed with."""
        return self.document.get("error")

    @property
    def cached(self) -> str | None:
        """The id of the run whose outputs it gave, as nothing was different; None where it did work."""
        return self.document.get("cached")

    @property
    def params(self) -> Document:
        return self.document.get("params") or {}

    @property
    def started(self) -> str:
        """UTC, as `2026-11-21T08:30:00.000000Z`."""
        return str(self.document.get("started", self.ended))

    @property
    def ended(self) -> str:
        return str(self.document["created"])

    @property
    def inputs(self) -> list[Version]:
        """What it read, in order. Raise NotFoundError where a version is not there any more."""
        return [self._find(version) for version in self._here("inputs")]

    @property
    def outputs(self) -> dict[str, Version]:
        """What it made: by the names of its results, then what it made besides, by key, the last of
        each. Raise NotFoundError where a version is not there any more."""
        named: dict[str, Document] = dict(self.document.get("results") or {})
        ids = {version["id"] for version in named.values()}
        results = set(named)
        for version in self._here("outputs"):
            name = version.get("key") or version["id"]
            if version["id"] not in ids and name not in results:
                named[name] = version
        return {name: self._find(version) for name, version in named.items()}

    @property
    def made(self) -> list[Version]:
        """All that it made, in order; what it only found again is not among them."""
        return [self._find(version) for version in self._here("outputs")]

    def _here(self, field: str) -> list[Document]:
        return [version for version in self.document.get(field) or () if "url" not in version]

    @property
    def steps(self) -> dict[str, PastRun]:
        """The runs that were part of it, by step, in order; the second of a name is `NAME_2`. A run that
        is one step alone has itself."""
        return dict(self._steps())

    def _steps(self) -> Iterator[tuple[str, PastRun]]:
        known: dict[str, int] = {}
        parts = self.document.get("steps") or ()
        for part in parts:
            name = str(part["step"])
            known[name] = known.get(name, 0) + 1
            yield f"{name}_{known[name]}" if known[name] > 1 else name, self._get(part["id"])
        if self.step and not parts:
            yield self.step, self
