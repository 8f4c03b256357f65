"""What finds artifacts, runs and pipelines: `Client`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from art import Filter, NotFoundError, UsageError
from art.compat import label_of, repository
from art.compat.errors import both
from art.compat.zenml.artifacts import ArtifactType, ArtifactVersion, find_version, kind_labels
from art.compat.zenml.past import (
    PipelineRecord,
    PipelineRun,
    StepRun,
    find_run,
    find_step_run,
    runs,
)


@dataclass(frozen=True)
class Page:
    """A part of a listing. `total` counts what there is in all."""

    items: list[ArtifactVersion]
    total: int
    index: int
    max_size: int

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ArtifactVersion]:
        return iter(self.items)

    def __getitem__(self, position: int) -> ArtifactVersion:
        return self.items[position]

    @property
    def total_pages(self) -> int:
        """How many pages of this size there are."""
        return -(-self.total // self.max_size)


@dataclass(frozen=True)
class ArtifactStore:
    """The place that files may lie in which are registered; art takes them anywhere."""

    path: str


@dataclass(frozen=True)
class Stack:
    """What a client works with: nothing but the repository."""

    artifact_store: ArtifactStore = field(
        default_factory=lambda: ArtifactStore(str(repository().root))
    )


class Client:
    """Finds versions of artifacts."""

    @property
    def active_stack(self) -> Stack:
        """The repository, seen as a stack."""
        return Stack()

    def get_artifact_version(
        self,
        name_id_or_prefix: str | UUID,
        version: str | int | None = None,
        project: object = None,
        hydrate: object = True,
    ) -> ArtifactVersion:
        """Return the version of a name, by its name or number, or the latest; or that with an id. Raise
        NotFoundError."""
        return find_version(name_id_or_prefix, version)

    def get_artifact(self, name_id_or_prefix: str | UUID) -> ArtifactVersion:
        """Return the latest version of an artifact."""
        return self.get_artifact_version(name_id_or_prefix)

    def get_pipeline_run(self, name_id_or_prefix: str | UUID) -> PipelineRun:
        """Return a run by its id, its name, or what that begins with: the one that goes on, too, while it
        does. Raise NotFoundError."""
        return find_run(name_id_or_prefix)

    def get_run_step(self, step_run_id: str | UUID) -> StepRun:
        """Return the run of a step by its id. Raise NotFoundError."""
        return find_step_run(step_run_id)

    def get_pipeline(self, name_id_or_prefix: str) -> PipelineRecord:
        """Return a pipeline that was run, by its name. Raise NotFoundError."""
        found = PipelineRecord(name_id_or_prefix)
        if not found.runs:
            raise both(NotFoundError, KeyError)(
                f"no pipeline {name_id_or_prefix!r} was run", hint="art runs"
            )
        return found

    def list_pipelines(self) -> list[PipelineRecord]:
        """Return the pipelines that were run, the one that was run last first."""
        return [PipelineRecord(name) for name in dict.fromkeys(run.pipeline.name for run in runs())]

    def list_pipeline_runs(self, *, pipeline: str | None = None) -> list[PipelineRun]:
        """Return the runs of pipelines that have ended, or of one pipeline, newest first."""
        return list(runs(pipeline))

    def list_artifact_versions(
        self,
        sort_by: str = "created",
        page: int = 1,
        size: int = 20,
        *,
        name: str | None = None,
        artifact: str | None = None,
        version: str | int | None = None,
        tag: str | None = None,
        tags: Iterable[str] | None = None,
        type: ArtifactType | str | None = None,
    ) -> Page:
        """Return the versions of a name, of a version's name, with all of these tags, of a type.

        They are sorted by `created`, `version_number` or `name`; `desc:` in front turns that round.
        """
        repo = repository()
        wanted = [label_of(each) for each in [*(tags or ()), *([tag] if tag else [])]]
        wanted += kind_labels(type)
        filter = Filter(all=True, labels=tuple(wanted))
        versions = [repo.version(each.ref) for each in repo.listing(filter=filter) if each.is_live]
        found = [ArtifactVersion(each) for each in versions]
        for attribute, value in (("name", name or artifact), ("version", version)):
            found = [each for each in found if value in (None, getattr(each, attribute))]
        direction, _, order = sort_by.rpartition(":")
        if order not in _ORDERS or direction not in ("", "asc", "desc"):
            raise UsageError(f"{sort_by!r} is no order", hint=f"known: {', '.join(_ORDERS)}")
        found.sort(key=_ORDERS[order], reverse=direction == "desc")
        if page < 1 or size < 1:
            raise UsageError(f"page {page} of {size} is none: both begin at 1")
        return Page(found[(page - 1) * size : page * size], len(found), page, size)


_ORDERS: dict[str, Callable[[ArtifactVersion], Any]] = {
    "created": lambda each: each.created,
    "version_number": lambda each: (each.name, each.stored.number),
    "name": lambda each: (each.name, each.stored.number),
}
