"""Jobs: what is done once, what it is to give, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from art.caching import Entry, Reuse

if TYPE_CHECKING:
    from art.about import About
    from art.publish import Content, Publisher
    from art.version import Version


@dataclass(frozen=True)
class Job:
    """Something that is done once and, where nothing that it depends on is different, not again.

    `fingerprint` stands for all that it depends on, None where it is always done: `unknown` says why, where
    nobody asked for that. `outputs` are the keys of what it gives, by its names, where they are known
    before; so is what is said of them, `about`, and the `types` of which one is theirs.
    """

    name: str
    step: str | None = None
    command: list[str] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Version] = ()
    fingerprint: str | None = None
    unknown: str | None = None
    reuse: Reuse = field(default_factory=Reuse)
    outputs: Mapping[str, str] | None = None
    about: Mapping[str, About] = field(default_factory=dict)
    types: Sequence[str] = ()

    def has_given(self, entry: Entry) -> bool:
        """Whether an entry names what this gives, as far as that is known."""
        keys = {name: output["key"] for name, output in entry.outputs.items()}
        return self.outputs is None or keys == self.outputs


@dataclass(frozen=True)
class Offer:
    """What a job gave, to become a version of `key`."""

    key: str
    content: Callable[[Publisher], Content]
    about: About | None = None


@dataclass(frozen=True)
class Ran:
    """What a job came to. `cached` is the run whose outputs these are where nothing was done; `created`
    are the names of those that are new versions; `uncached` says why nobody will find them again."""

    id: str
    outputs: dict[str, Version]
    created: frozenset[str] = frozenset()
    cached: str | None = None
    uncached: str | None = None
