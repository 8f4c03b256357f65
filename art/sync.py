"""Two stores brought together: push, fetch and pull, as plans that are executed.

Catalogs are merged by `art.merge`, payloads are moved by `art.transfer`; this says what of both is
to be done, in which order, and what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sent:
    """A version that is or was transferred. `key` and `number` are None for a keyless one."""

    key: str | None
    number: int | None
    id: str

    @property
    def ref(self) -> str:
        """A reference that names it for ever."""
        return self.id if self.key is None else f"{self.key}@v{self.number}"


@dataclass(frozen=True)
class Renumbered:
    """A version that had a number here which another one has at the authority."""

    key: str
    old: int
    new: int
    id: str


@dataclass(frozen=True)
class Superseded:
    """A move of a tag, or a change of settings, made without having seen the present one: it is kept
    in the history and has no effect. `command` makes it again."""

    key: str
    log: str
    what: str
    command: str


@dataclass(frozen=True)
class Left:
    """Something that was not transferred, and why."""

    ref: str
    reason: str
    hint: str | None = None


@dataclass(frozen=True)
class PushPlan:
    """What a push would do. `requests` is an estimate."""

    remote: str
    versions: list[Sent]
    entries: int
    packs: int
    size_bytes: int
    requests: int
    left: list[Left] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether the remote has everything already."""
        return not (self.versions or self.entries)


@dataclass(frozen=True)
class Pushed:
    """What a push came to. `entries` counts tag moves, states, notes and settings."""

    remote: str
    versions: list[Sent]
    entries: int
    packs: int
    size_bytes: int
    renumbered: list[Renumbered]
    superseded: list[Superseded]
    left: list[Left]


@dataclass(frozen=True)
class Fetched:
    """What a fetch, or a plan for one, came to."""

    remote: str
    versions: list[Sent]
    entries: int
    renumbered: list[Renumbered]
    superseded: list[Superseded]


@dataclass(frozen=True)
class PullPlan:
    """Which payloads a pull would bring after its fetch. `requests` is an estimate."""

    remote: str
    versions: list[Sent]
    packs: int
    size_bytes: int
    requests: int
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True)
class Pulled:
    """What a pull came to: its fetch, and the payloads that are here now and were not before."""

    fetched: Fetched
    versions: list[Sent]
    packs: int
    size_bytes: int
    left: list[Left]
