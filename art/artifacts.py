"""Artifacts with partitions, as things to name in a program.

RIDES = art.Artifact("rides", partitions=["region"], time_partition="day")

RIDES.create_from(frame, region="eu", day=date(2026, 11, 21))
RIDES.query(region="eu").load()                                    # the newest of this region
RIDES.query(region="eu", day=RIDES.period(date.today()) - 1).get()

@art.step
def summarize(region: str) -> Annotated[DataFrame, RIDES(region="{region}", day="{date}")]: ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from art.about import About
from art.errors import UsageError
from art.keys import check_key
from art.periods import Granularity, Period
from art.ref import PARTITION, Ref
from art.repo import Repo
from art.repo import open as open_repo
from art.rows import Record
from art.settings import time_partitions
from art.version import Version


@dataclass(frozen=True, init=False)
class Artifact:
    """A key, and the partitions that its versions are of. Nothing is read or written for it before the first
    version is made: then the key is declared to be so, unless it is declared already.

    `time_partition` is a granularity, `day`, or a name with it, `due:month`, or a mapping of several.
    `values` are those of partitions that are settled; `repo` is what `art.open()` finds where it is None.
    """

    key: str
    partitions: tuple[str, ...]
    times: Mapping[str, Granularity]
    values: Mapping[str, object]
    repo: Repo | None = field(compare=False, repr=False)

    def __init__(
        self,
        key: str,
        *,
        partitions: Sequence[str] = (),
        time_partition: str | Mapping[str, str] | None = None,
        values: Mapping[str, object] | None = None,
        repo: Repo | None = None,
    ) -> None:
        """Raise UsageError where it could not be declared so."""
        if isinstance(partitions, str):
            raise UsageError(f"partitions is the text {partitions!r}, expected a list of names")
        if "{" not in key:
            check_key(key)
        times = time_partitions(time_partition) if time_partition else {}
        for name in partitions:
            if not PARTITION.fullmatch(name):
                raise UsageError(f"partitions has {name!r}, expected names such as region")
        names = tuple(sorted({*partitions, *times}))
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "partitions", names)
        lengths = {name: Granularity(word) for name, word in times.items()}
        object.__setattr__(self, "times", lengths)
        object.__setattr__(self, "values", {})
        object.__setattr__(self, "repo", repo)
        object.__setattr__(self, "values", self._known(values or {}))

    def __hash__(self) -> int:
        return hash((self.key, self.partitions))

    def __call__(self, **values: object) -> Artifact:
        """Return it with the values of partitions; texts may have placeholders. Raise UsageError for a
        partition that it has not."""
        return self._with({**self.values, **self._known(values)})

    @property
    def is_bound(self) -> bool:
        """Whether every partition has a value."""
        return all(name in self.values for name in self.partitions)

    def period(self, when: date | datetime | str, name: str | None = None) -> Period:
        """Return the period of its partition in time, of that name where it has several, that a time is in:
        periods can be added to and subtracted from. Raise UsageError."""
        if name is None and len(self.times) != 1:
            raise UsageError(f"{self.key} has {len(self.times)} partitions in time, which one?")
        if name is not None and name not in self.times:
            raise UsageError(f"{self.key} has no partition {name} in time")
        granularity = self.times[name or next(iter(self.times))]
        return (Period.parse if isinstance(when, str) else Period.of)(when, granularity)  # type: ignore[arg-type]

    def query(self, *, by: str | None = None, **values: object) -> Query:
        """Return what asks for the newest version of these partitions or, with `by`, for that of the greatest
        value of one of them: texts as in `-p`, dates, periods, lists. What is not asked is free."""
        asked = {**self.values, **self._known(values)}
        return Query(self, Ref(self.key).within(asked, by))

    def create_from(
        self, value: Any, /, *, about: About | None = None, **values: object
    ) -> Version:
        """Save an object as a version of these partitions, and return it. `about` is what else
        `Repo.save` is told. Raise UsageError where a partition has no value."""
        bound = self(**values)
        repo = self._repo()
        self.declare(repo)
        said: About = {**(about or {}), "partitions": bound.values}
        return repo.save(value, self.key, **said).version

    def declare(self, repo: Repo | None = None) -> None:
        """Declare the key to have these partitions, where it is not declared to have any. Raise UsageError
        where it has others."""
        if not self.partitions:
            return
        there = repo or self._repo()
        known = there.declared(self.key)
        if not known.names:
            there.declare(self.key, partitions=self.partitions, time_partition=self.times)
        elif (known.names, known.times) != (self.partitions, self.times):
            raise UsageError(
                f"{self.key} is declared to have other partitions: {known}",
                hint=f"art declare {self.key} changes that",
            )

    def _repo(self) -> Repo:
        from art import runs

        if self.repo is not None:
            return self.repo
        current = runs.current()
        if current and isinstance(current.repo, Repo):
            return current.repo
        return open_repo()

    def _known(self, values: Mapping[str, object]) -> dict[str, object]:
        for name in values:
            if self.partitions and name not in self.partitions:
                has = ", ".join(self.partitions)
                raise UsageError(f"{self.key} has no partition {name}", hint=f"it has {has}")
        return dict(values)

    def _with(self, values: Mapping[str, object]) -> Artifact:
        made = object.__new__(Artifact)
        for name in ("key", "partitions", "times", "repo"):
            object.__setattr__(made, name, getattr(self, name))
        object.__setattr__(made, "values", dict(values))
        return made


@dataclass(frozen=True)
class Query:
    """What is asked of an artifact. What it means is looked up when it is asked for, each time."""

    artifact: Artifact
    wanted: Ref

    @property
    def ref(self) -> str:
        """The reference that means the same, everywhere."""
        return str(self.wanted)

    def __str__(self) -> str:
        return self.ref

    def by(self, name: str) -> Query:
        """Return it asking for the greatest value of a partition, or of all: `partition`."""
        return replace(self, wanted=self.wanted.within({}, name))

    def get(self) -> Version:
        """Return the version that is meant now. Raise NotFoundError."""
        return self.artifact._repo().version(self.wanted)

    def load(self) -> Any:
        """Return the object that was saved."""
        return self.get().load()

    def all(self) -> list[Record]:
        """Return every live version that matches, newest first."""
        wanted = dict(self.wanted.partitions)
        by = self.wanted.by or None
        return self.artifact._repo().query(self.artifact.key, partitions=wanted, by=by)
