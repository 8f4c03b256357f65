"""What is found where a store is looked through: what it holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from art.catalog import Log

LIVE, RESTORABLE = "live", "deleted"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file, what is wrong with it, the versions that it touches."""

    kind: str
    name: str
    message: str
    refs: tuple[str, ...] = ()
    hint: str | None = None


class Held(NamedTuple):
    """A version that a store has. `tree` names its payload where that is in packs."""

    key: str | None
    number: int | None
    id: str
    uid: str
    type: str
    state: str
    tree: str | None
    size: int
    preview: str | None = None

    @property
    def ref(self) -> str:
        """A reference that names it for ever."""
        return self.id if self.key is None else f"{self.key}@v{self.number}"

    @property
    def needs_payload(self) -> bool:
        """Whether its bytes must be there, as it is live or can be restored."""
        return self.tree is not None and self.state in (LIVE, RESTORABLE)


@dataclass(frozen=True)
class Known:
    """What this repository knows of a store from elsewhere: up to which number each log went, which
    keyless versions were there, (`twin`) what a document was that both had, and whether it has another
    one's number (`is_replaced`)."""

    ends: Mapping[Log, int] = field(default_factory=dict)
    keyless: frozenset[str] = frozenset()
    twin: Callable[[Log, int], bytes | None] | None = None
    is_replaced: Callable[[Log, int, str], bool] = lambda log, number, uid: False


@dataclass
class Inventory:
    """What was found. `sizes`, `layouts` and `previews`, with their sizes, are all that lie there."""

    versions: list[Held] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    layouts: dict[str, list[str]] = field(default_factory=dict)
    previews: dict[str, int] = field(default_factory=dict)
    purged: set[str] = field(default_factory=set)
    """The ids of versions that logs say were purged."""
    drafts: list[Held] = field(default_factory=list)
    """The parts of drafts that are no version yet, each in the place of one."""

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number
