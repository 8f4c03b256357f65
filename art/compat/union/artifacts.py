"""Artifacts, their partitions, and queries of them, as Union and flytekit 1 have them."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import unquote

import art
from art import NotFoundError, Period, UsageError, Version
from art.compat import key_of, repository, title_of

T = TypeVar("T")
TIME = "time_partition"
_LIMIT = 32  # of partitions, that in time among them
_RESERVED = {"project", "domain", TIME, "partitions", "tag"}
_URI = re.compile(
    r"flyte://av0\.(?P<form>[12])/(?P<path>[\w./-]+?)(?:@(?P<version>[^?]+))?(?:\?(?P<query>.*))?"
)


class Granularity(Enum):
    """How long a time partition lasts."""

    UNSET = "unset"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    @property
    def length(self) -> str:
        """The word of art for it; a day, where it is not set."""
        return "day" if self is Granularity.UNSET else self.value


@dataclass(frozen=True)
class InputBinding:
    """An input of a task or workflow, in the place of its value."""

    var: str


class _Inputs:
    """`Inputs.region` is the input `region` of the task that it stands in."""

    def __getattr__(self, name: str) -> InputBinding:
        if name.startswith("__"):
            raise AttributeError(name)
        return InputBinding(name)


Inputs = _Inputs()


@dataclass(frozen=True)
class Card:
    """What people are to read of a version, in markdown. It becomes the description."""

    text: str


class ModelCard(Card):
    """What people are to read of a model."""


class DataCard(Card):
    """What people are to read of data."""


@dataclass(frozen=True)
class TimePartition:
    """A time, an input that is one, or None, and what is added to it. Arithmetic gives a new one."""

    value: datetime | InputBinding | None = None
    other: timedelta = timedelta()
    granularity: Granularity = Granularity.DAY
    reference_artifact: Artifact | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.value, (datetime, InputBinding, type(None))):
            raise UsageError(f"a time partition is a datetime or an input, not {self.value!r}")

    def __add__(self, other: timedelta) -> TimePartition:
        moved = self.other + other
        return TimePartition(self.value, moved, self.granularity, self.reference_artifact)

    def __sub__(self, other: timedelta) -> TimePartition:
        return self + -other

    def bound_to(self, trigger: Artifact, version: Version) -> TimePartition:
        """Return it with the time of a version, where it is that of the artifact `trigger`."""
        if self.reference_artifact is not trigger or self.value is not None:
            return self
        start = Period.parse(_value_in(version, TIME)).start
        return replace(self, value=start, reference_artifact=None)

    def period(self, inputs: Mapping[str, Any]) -> Period:
        """Return the period that is meant. Raise UsageError where it has no value."""
        value = settled(self.value, inputs)
        if not isinstance(value, datetime):
            raise UsageError(f"the time partition is {value!r}, expected a datetime")
        return Period.of(value, self.granularity.length) + self.other


@dataclass(frozen=True)
class Partition:
    """A partition: its value, an input, or, of an artifact, whatever that has."""

    value: str | InputBinding | None
    name: str
    reference_artifact: Artifact | None = field(default=None, repr=False, compare=False)

    def bound_to(self, trigger: Artifact, version: Version) -> Partition:
        """Return it with the value that a version has, where it is one of the artifact `trigger`."""
        if self.reference_artifact is not trigger or self.value is not None:
            return self
        return replace(self, value=_value_in(version, self.name), reference_artifact=None)


class Partitions:
    """The partitions of an artifact or a query, also as attributes."""

    def __init__(self, partitions: Mapping[str, Any] | None, of: Artifact | None = None) -> None:
        given = (partitions or {}).items()
        self.partitions = {
            name: each if isinstance(each, Partition) else Partition(each, name, of)
            for name, each in given
        }

    def __getattr__(self, name: str) -> Partition:
        try:
            return self.__dict__["partitions"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"there is no partition {name}") from None

    def __repr__(self) -> str:
        return f"Partitions({self.partitions})"


class Artifact:
    """An artifact that tasks make: its name, and the partitions that its versions are of."""

    def __init__(
        self,
        project: str | None = None,
        domain: str | None = None,
        name: str | None = None,
        version: str | None = None,
        time_partitioned: bool = False,
        time_partition: TimePartition | None = None,
        time_partition_granularity: Granularity | None = None,
        partition_keys: list[str] | None = None,
        partitions: Partitions | Mapping[str, str] | None = None,
        short_description: str | None = None,
    ) -> None:
        """Raise UsageError, which is a ValueError, where it could not be."""
        if not name:
            raise UsageError("an artifact needs a name")
        self.project, self.domain, self.name, self.version = project, domain, name, version
        self.time_partitioned = time_partitioned or time_partition is not None
        self.time_partition_granularity = time_partition_granularity
        self.short_description = short_description
        if partitions is not None and not isinstance(partitions, Partitions):
            partitions = Partitions(partitions, self)
        keys = list(partitions.partitions) if partitions else list(partition_keys or ())
        self.partition_keys = keys
        self.partitions = partitions or Partitions(dict.fromkeys(keys), self)
        if len(keys) + self.time_partitioned > _LIMIT:
            raise UsageError(
                f"{name} has {len(keys)} partition keys, at most {_LIMIT} are possible"
            )
        if conflicts := sorted(_RESERVED & set(keys)):
            raise UsageError(f"{name} cannot have a partition key {conflicts[0]!r}")
        self._time_partition = time_partition

    def __repr__(self) -> str:
        time = ", time partitioned" if self.time_partitioned else ""
        return f"<Artifact {self.name!r} {self.partition_keys}{time}>"

    def __call__(self, *args: Any, **values: Any) -> ArtifactIDSpecification:
        """Return what an output of a task is annotated with: partitions with values, or inputs."""
        return ArtifactIDSpecification(self).bind_partitions(*args, **values)

    @property
    def key(self) -> str:
        """The key of its versions."""
        return "/".join(key_of(each) for each in (self.project, self.domain, self.name) if each)

    @property
    def time_partition(self) -> TimePartition:
        """Its time partition. Raise UsageError where it has none."""
        if not self.time_partitioned:
            raise UsageError(f"artifact {self.name} is not time partitioned")
        found = self._time_partition
        if found is not None:
            return TimePartition(found.value, found.other, found.granularity, self)
        return TimePartition(granularity=self._granularity, reference_artifact=self)

    @property
    def _granularity(self) -> Granularity:
        return self.time_partition_granularity or Granularity.DAY

    def create_from(self, o: T, card: Card | None = None, *args: Card, **values: Any) -> T:
        """Make a version of an object, and return the object: in a task that returns it annotated when the
        task ends, elsewhere at once. Raise UsageError where a partition has no value then."""
        cards = [each for each in (card, *args) if each is not None]
        self._check(values)
        call = going.get()
        if call is not None:
            call.noted.append(Noted(o, self, values, cards))
        else:
            self.save(o, values, cards)
        return o

    def save(self, value: Any, values: Mapping[str, Any], cards: list[Card]) -> Version:
        """Make a version. Raise UsageError where partitions are missing, or others than it has."""
        times = {TIME: self._granularity.length} if self.time_partitioned else None
        of = art.Artifact(
            self.key, partitions=self.partition_keys, time_partition=times, repo=repository()
        )
        text = "\n\n".join(each.text for each in cards) or self.short_description
        about: dict[str, Any] = {"always": True, "title": title_of(self.name), "description": text}
        settled: dict[str, Any] = {name: str(one) for name, one in values.items() if name != TIME}
        if TIME in values:
            given = values[TIME]
            settled[TIME] = given.period({}) if isinstance(given, TimePartition) else given
        return of.create_from(value, about=about, **settled)  # type: ignore[arg-type]

    def query(
        self,
        project: str | None = None,
        domain: str | None = None,
        time_partition: datetime | TimePartition | InputBinding | None = None,
        partitions: Partitions | Mapping[str, str] | None = None,
        **values: Any,
    ) -> ArtifactQuery:
        """Return what asks for the latest version with these partitions; what is not asked is free."""
        if partitions and values:
            raise UsageError("partitions are given twice: by name, and as partitions=")
        if self.partition_keys:
            self._check(values)
        if not isinstance(partitions, Partitions):
            partitions = Partitions(partitions or values, self)
        if time_partition is not None and not isinstance(time_partition, TimePartition):
            # Where only the repository knows how long it is, that finds the one that the minute is in.
            length = self._granularity if self.time_partitioned else Granularity.MINUTE
            time_partition = TimePartition(time_partition, timedelta(), length, self)
        return ArtifactQuery(self, time_partition, partitions, project, domain)

    def _check(self, values: Mapping[str, Any]) -> None:
        for name in values:
            if name == TIME and not self.time_partitioned:
                raise UsageError(f"artifact {self.name} is not time partitioned")
            if name != TIME and name not in self.partition_keys:
                raise UsageError(
                    f"artifact {self.name} has no partition key {name}",
                    hint=f"it has {', '.join(self.partition_keys) or 'none'}",
                )

    @classmethod
    def get(cls, uri: str) -> Version:
        """Return the version that a URI as `flyte://av0.2/org/project/domain/name@v3?region=eu`, or a name,
        means: without a version the latest with these partitions. Raise NotFoundError."""
        keys, version, partitions = parse_uri(uri)
        selector = f"@{version}" if version else ""
        if version and re.fullmatch(r"[0-9]+", version):
            selector = f"@v{version}"
        if "/" in selector:
            raise NotFoundError(f"there is no version {version!r}: art gives versions numbers")
        repo = repository()
        for key in keys[:-1]:
            try:
                repo.history(key, limit=1)
            except NotFoundError:
                continue
            return repo.version(key + selector, **partitions)
        return repo.version(keys[-1] + selector, **partitions)


def parse_uri(uri: str) -> tuple[list[str], str | None, dict[str, str]]:
    """Return what a URI of an artifact, or a name, means: the keys that it may be, the likeliest first, its
    version and its partitions. Raise UsageError."""
    if "://" not in uri:
        name, _, version = uri.partition("@")
        return [key_of(name)], version or None, {}
    found = _URI.fullmatch(uri)
    parts = found["path"].split("/") if found else []
    if found and found["form"] == "2" and len(parts) > 3:
        del parts[0]  # the organization
    if found is None or len(parts) < 3:
        raise UsageError(
            f"{uri!r} is no URI of an artifact",
            hint="flyte://av0.2/org/project/domain/name, with @version or ?key=value behind it",
        )
    pairs = [word.partition("=") for word in (found["query"] or "").split("&") if word]
    partitions = {unquote(name): unquote(value) for name, _, value in pairs}
    return [key_of("/".join(parts)), key_of("/".join(parts[2:]))], found["version"], partitions


class ArtifactIDSpecification:
    """An artifact with the values of some partitions, which may be inputs of the task."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.values: dict[str, Any] = {}

    def __call__(self, *args: Any, **values: Any) -> ArtifactIDSpecification:
        return self.bind_partitions(*args, **values)

    def __repr__(self) -> str:
        return f"<{self.artifact.name} {self.values}>"

    def bind_partitions(self, *args: Any, **values: Any) -> ArtifactIDSpecification:
        """Return it with more values: texts, inputs, for the time a datetime. Raise UsageError."""
        if args:
            raise UsageError("values of partitions are given by name")
        self.artifact._check(values)
        for name, value in values.items():
            kinds = (datetime, InputBinding) if name == TIME else (str, InputBinding)
            if not isinstance(value, kinds):
                raise UsageError(
                    f"partition {name} of {self.artifact.name} is {value!r}, expected "
                    f"{'a datetime' if name == TIME else 'a text'} or an input"
                )
        made = ArtifactIDSpecification(self.artifact)
        made.values = {**self.values, **values}
        return made


@dataclass(frozen=True)
class ArtifactQuery:
    """What asks for the latest version of an artifact with some partitions, when a workflow begins."""

    artifact: Artifact
    time_partition: TimePartition | None
    partitions: Partitions
    project: str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError where it depends on several other artifacts."""
        if len({id(each) for each in self._others()}) > 1:
            raise UsageError(f"a query of {self.name} depends on several other artifacts")

    @property
    def name(self) -> str:
        """The name of the artifact."""
        return str(self.artifact.name)

    @property
    def binding(self) -> Artifact | None:
        """The other artifact whose partitions it asks for."""
        return next(self._others(), None)

    @property
    def bound(self) -> bool:
        """Whether all partitions that the artifact has are asked for."""
        time = self.time_partition
        if self.artifact.time_partitioned and (time is None or time.value is None):
            return False
        asked = {name for name, each in self.partitions.partitions.items() if each.value}
        return asked >= set(self.artifact.partition_keys)

    def get(self, **inputs: Any) -> Version:
        """Return the version that is meant now, with these inputs in their places. Raise NotFoundError, or
        UsageError where an input is missing or it depends on another artifact."""
        return repository().version(self.key, **self.wanted(inputs))

    def load(self, **inputs: Any) -> Any:
        """Return the object of that version."""
        return self.get(**inputs).load()

    @property
    def key(self) -> str:
        """The key of the versions that are asked for."""
        of = Artifact(self.project, self.domain, self.name) if self.project else self.artifact
        return of.key

    def wanted(self, inputs: Mapping[str, Any]) -> dict[str, object]:
        """Return what is asked of partitions, as `Repo.version` takes it. Raise UsageError where an input is
        missing or it depends on another artifact."""
        if self.binding is not None:
            raise UsageError(f"a query of {self.name} depends on what triggers it: {self.binding}")
        named = self.partitions.partitions.items()
        asked = {name: settled(each.value, inputs) for name, each in named if each.value}
        wanted: dict[str, object] = {name: [value] for name, value in asked.items()}
        if self.time_partition is not None:
            wanted[TIME] = self.time_partition.period(inputs).start
        return wanted

    def after(self, trigger: Artifact, version: Version) -> ArtifactQuery:
        """Return it with the partitions of a version in the places of those of an artifact."""
        named = self.partitions.partitions
        bound = {name: each.bound_to(trigger, version) for name, each in named.items()}
        time = self.time_partition and self.time_partition.bound_to(trigger, version)
        partitions = Partitions(bound, self.artifact)
        return replace(self, time_partition=time, partitions=partitions)

    def _others(self) -> Iterator[Artifact]:
        every = [*self.partitions.partitions.values(), self.time_partition]
        for each in every:
            if each and each.reference_artifact not in (None, self.artifact):
                assert each.reference_artifact is not None
                yield each.reference_artifact


def _value_in(version: Version, name: str) -> str:
    """Return the value of a partition. Raise UsageError where a version has none."""
    if name not in version.partitions:
        raise UsageError(f"{version.ref} has no partition {name}")
    return version.partitions[name]


def settled(value: Any, inputs: Mapping[str, Any]) -> Any:
    """Return a value, that of the input where it is one. Raise UsageError where that is not given."""
    if not isinstance(value, InputBinding):
        return value
    if value.var not in inputs:
        raise UsageError(f"there is no input {value.var!r}", hint=f"inputs: {', '.join(inputs)}")
    return inputs[value.var]


# -- what is made in a task ------------------------------------------------------------


@dataclass(frozen=True)
class Noted:
    """What `create_from` said of an object in a task."""

    value: Any
    artifact: Artifact
    values: Mapping[str, Any]
    cards: list[Card]


@dataclass
class Going:
    """A task or workflow that goes on: what `create_from` said in it, and which objects are versions."""

    name: str
    noted: list[Noted] = field(default_factory=list)
    known: list[tuple[Any, Version]] = field(default_factory=list)


going: contextvars.ContextVar[Going | None] = contextvars.ContextVar("call", default=None)
