"""Runs that have ended, as their records tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from art.model import Document

if TYPE_CHECKING:
    from art.version import Version


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
