"""Prefect's calls for artifacts: `from art.compat.prefect import flow, task, create_link_artifact`.

Arguments and results are Prefect's. An artifact is a version, the UUID is its uid, `data` is the view that
Prefect gives of it. There is no server, and no warning outside a run. In asynchronous code the functions give
something to await, as Prefect's do, and `_sync=True` the value itself.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from typing_extensions import ParamSpec, Self

from art import NotFoundError, UsageError, Version
from art.compat import repository, version_by_uid
from art.compat.flows import (
    Flow,
    MappingLengthMismatch,
    MappingMissingIterable,
    PrefectFuture,
    PrefectFutureList,
    Task,
    flow,
    get_run_logger,
    is_asynchronous,
    task,
    unmapped,
)

__all__ = [
    "Artifact",
    "ArtifactResponse",
    "Flow",
    "ImageArtifact",
    "LinkArtifact",
    "MappingLengthMismatch",
    "MappingMissingIterable",
    "MarkdownArtifact",
    "ObjectNotFound",
    "PrefectFuture",
    "PrefectFutureList",
    "ProgressArtifact",
    "TableArtifact",
    "Task",
    "acreate_image_artifact",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_image_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "flow",
    "get_run_logger",
    "task",
    "unmapped",
    "update_progress_artifact",
]

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)

# The versions of progress artifacts made here by uid: they are set again and again.
_progress: dict[UUID, str] = {}


class ObjectNotFound(NotFoundError):  # noqa: N818 - Prefect's name
    """There is no artifact with this id."""


def _later(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return the asynchronous twin of a function, which does its work in a thread."""

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from asyncio import to_thread

        return await to_thread(function, *args, **kwargs)

    call.__name__ = call.__qualname__ = "a" + function.__name__
    return call


def _either(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function give an awaitable in asynchronous code, unless `_sync`, which all of them take
    beyond their arguments, says whether it is to."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        wanted: Any = kwargs.pop("_sync", None)
        if wanted is False or (wanted is None and is_asynchronous()):
            awaited: Any = _later(function)(*args, **kwargs)
            return awaited  # type: ignore[no-any-return]
        return function(*args, **kwargs)

    return call


@dataclass(frozen=True)
class ArtifactResponse:
    """An artifact as Prefect shows it. `data` is text in markdown for a link, JSON for a table."""

    id: UUID
    created: datetime
    updated: datetime
    key: str | None
    type: str
    description: str | None
    data: Any
    metadata_: dict[str, Any] | None
    flow_run_id: UUID | None
    task_run_id: UUID | None

    @classmethod
    def of(cls, version: Version, data: Any) -> Self:
        """Return the view of a version, and of its content as it is shown."""
        created = datetime.fromisoformat(version.created.replace("Z", "+00:00"))
        updated = version.progress.updated if version.progress else version.created
        flow_run, task_run = _runs(version)
        return cls(
            UUID(version.manifest.uid),
            created,
            datetime.fromisoformat(updated.replace("Z", "+00:00")),
            version.key,
            version.type,
            version.description,
            data,
            version.metadata or None,
            flow_run,
            task_run,
        )


def _runs(version: Version) -> tuple[UUID | None, UUID | None]:
    """Return the ids of flow and task that made a version. A run by `ART_RUN` need not have a UUID."""
    run = version.run or {}
    ids = [run.get("parent"), run.get("id")] if run.get("step") else [run.get("id"), None]
    return _uuid(ids[0]), _uuid(ids[1])


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _data(version: Version) -> Any:
    """Return what Prefect keeps as `data`; the URL of the version where that is nothing it knows."""
    if version.progress:
        return version.progress.value
    if version.link:
        return _markdown_link(*version.link)
    if version.type == "markdown":
        return version.text()
    if version.type == "image" and version.payload and version.payload.url:
        return version.payload.url
    materializer = version.format.get("materializer", "")
    if materializer == "value" or (not materializer and version.type in ("json", "value")):
        return _json(version.load())
    if version.type == "table":
        table = version.rows()
        return _json([dict(zip(table.columns, row, strict=False)) for row in table.rows])
    return f"art://{version.ref}"


def _markdown_link(url: str, text: str) -> str:
    for character in "\\[]":
        text = text.replace(character, f"\\{character}")
    for character in ' "()<>\\':
        url = url.replace(character, f"%{ord(character):02X}")
    return f"[{text}]({url})"


def _json(value: Any) -> str:
    return json.dumps(_viewed(value), default=str, ensure_ascii=False)


def _viewed(value: Any) -> Any:
    """Return a value as JSON can show it: NaN as null, infinity as text."""
    if isinstance(value, dict):
        return {str(name): _viewed(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_viewed(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


@dataclass(kw_only=True)
class Artifact:
    """An artifact that is to be made, of any data that `Repo.save` takes."""

    type: str | None = None
    key: str | None = None
    description: str | None = None
    data: Any = None
    metadata_: dict[str, Any] | None = None

    def _save(self, **about: Any) -> Version:
        made: Version = repository().save(self.data, self.key, **about).version
        return made

    def _saved(self) -> Version:
        about = {"description": self.description, "metadata": self.metadata_, "always": True}
        if self.type is not None:
            about["type"] = self.type
        return self._save(**about)

    def _uid(self) -> UUID:
        return UUID(self._saved().manifest.uid)

    def _create(self) -> ArtifactResponse:
        # What was just made is not read: it would be an input of the run.
        return ArtifactResponse.of(self._saved(), self._formatted())

    def _formatted(self) -> Any:
        return _json(self.data)

    @_either
    def create(self, client: object = None) -> ArtifactResponse:
        """Make a version. `client` is not needed."""
        return self._create()

    async def acreate(self, client: object = None) -> ArtifactResponse:
        """Make a version."""
        return await _later(self._create)()

    @_either
    def format(self) -> Any:
        """Return what `data` of the artifact will be."""
        return self._formatted()

    async def aformat(self) -> Any:
        """Return what `data` of the artifact will be."""
        return self._formatted()

    @classmethod
    def _get(cls, key: str | None) -> ArtifactResponse | None:
        if key is None:
            raise UsageError("a key is needed to get an artifact", hint='Artifact.get("KEY")')
        repo = repository()
        try:
            version = repo.version(key)
        except NotFoundError:
            return None
        return ArtifactResponse.of(version, _data(version))

    @classmethod
    @_either
    def get(cls, key: str | None = None, client: object = None) -> ArtifactResponse | None:
        """Return the latest version of a key, None where there is none."""
        return cls._get(key)

    @classmethod
    async def aget(cls, key: str | None = None, client: object = None) -> ArtifactResponse | None:
        """Return the latest version of a key, None where there is none."""
        return await _later(cls._get)(key)

    @classmethod
    def _get_or_create(cls, key: str | None, **fields: Any) -> tuple[ArtifactResponse, bool]:
        found = cls._get(key)
        return (found, False) if found else (cls(key=key, **fields)._create(), True)

    @classmethod
    @_either
    def get_or_create(
        cls,
        key: str | None = None,
        description: str | None = None,
        data: Any = None,
        client: object = None,
        **fields: Any,
    ) -> tuple[ArtifactResponse, bool]:
        """Return the latest version of a key, or a new one, and whether it is new."""
        return cls._get_or_create(key, description=description, data=data, **fields)

    @classmethod
    async def aget_or_create(
        cls,
        key: str | None = None,
        description: str | None = None,
        data: Any = None,
        client: object = None,
        **fields: Any,
    ) -> tuple[ArtifactResponse, bool]:
        """Return the latest version of a key, or a new one, and whether it is new."""
        later = _later(cls._get_or_create)
        return await later(key, description=description, data=data, **fields)


@dataclass(kw_only=True)
class LinkArtifact(Artifact):
    """A link. Prefect stores its markdown; here it stays a link."""

    link: str
    link_text: str | None = None

    def _save(self, **about: Any) -> Version:
        link, text = self.link, self.link_text
        return repository().link(self.key, link, text=text, relative=True, **about).version

    def _formatted(self) -> str:
        return _markdown_link(self.link, self.link_text or self.link)


@dataclass(kw_only=True)
class MarkdownArtifact(Artifact):
    """A text in markdown, as it is."""

    markdown: str

    def _save(self, **about: Any) -> Version:
        return repository().markdown(self.key, self.markdown, dedent=False, **about).version

    def _formatted(self) -> str:
        return self.markdown


@dataclass(kw_only=True)
class TableArtifact(Artifact):
    """A table: a mapping of lists, a list of mappings or a list of lists, of any length."""

    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]]

    def _save(self, **about: Any) -> Version:
        if not isinstance(self.table, (dict, list, tuple)):
            raise UsageError(
                f"a table is a mapping or a list, not a {type(self.table).__name__}",
                hint="Repo.table takes files and frames",
            )
        return repository().table(self.key, self.table, ragged=True, **about).version

    def _formatted(self) -> str:
        return _json(self.table)


@dataclass(kw_only=True)
class ProgressArtifact(Artifact):
    """A progress in percent. What is outside 0 to 100 is warned of and clamped."""

    progress: float

    def _save(self, **about: Any) -> Version:
        del about["always"]
        made = repository().progress(self.key, self._formatted(), new=True, **about).version
        _progress[UUID(made.manifest.uid)] = made.id
        return made

    def _formatted(self) -> float:
        if not 0 <= self.progress <= 100 and not math.isnan(self.progress):
            clamped = max(0.0, min(100.0, self.progress))
            logger.warning(
                "ProgressArtifact received an invalid value, Progress: %s%%", self.progress
            )
            logger.warning("Interpreting as %s%% progress", clamped)
            self.progress = clamped
        return self.progress


@dataclass(kw_only=True)
class ImageArtifact(Artifact):
    """An image at a URL, which is recorded, or a file, which is stored."""

    image_url: str

    def _save(self, **about: Any) -> Version:
        return repository().image(self.key, self.image_url, **about).version

    def _formatted(self) -> str:
        return self.image_url


@_either
def create_link_artifact(
    link: str,
    link_text: str | None = None,
    key: str | None = None,
    description: str | None = None,
    client: object = None,
) -> UUID:
    """Make a version of a link and return its uid."""
    return LinkArtifact(link=link, link_text=link_text, key=key, description=description)._uid()


@_either
def create_markdown_artifact(
    markdown: str, key: str | None = None, description: str | None = None
) -> UUID:
    """Make a version of a text in markdown, kept as it is, and return its uid."""
    return MarkdownArtifact(markdown=markdown, key=key, description=description)._uid()


@_either
def create_table_artifact(
    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]],
    key: str | None = None,
    description: str | None = None,
) -> UUID:
    """Make a version of a table and return its uid. NaN, times and Decimals are kept."""
    return TableArtifact(table=table, key=key, description=description)._uid()


@_either
def create_progress_artifact(
    progress: float, key: str | None = None, description: str | None = None
) -> UUID:
    """Make a progress in percent and return its uid. Raise UsageError for NaN."""
    return ProgressArtifact(progress=progress, key=key, description=description)._uid()


@_either
def create_image_artifact(
    image_url: str, key: str | None = None, description: str | None = None
) -> UUID:
    """Make a version of an image at a URL and return its uid."""
    return ImageArtifact(image_url=image_url, key=key, description=description)._uid()


@_either
def update_progress_artifact(
    artifact_id: UUID,
    progress: float,
    description: str | None = None,
    client: object = None,
) -> UUID:
    """Set a progress in place and return its uid. Raise ObjectNotFound where there is none."""
    repo, uid = repository(), UUID(str(artifact_id))
    try:
        ref = _progress.get(uid) or version_by_uid(repo, uid).id
    except NotFoundError as error:
        raise ObjectNotFound(error.message, hint=error.hint) from None
    value = ProgressArtifact(progress=progress)._formatted()
    version = repo.update_progress(ref, value)
    if description:
        repo.note(version.ref, description=description)
    return uid


acreate_link_artifact = _later(create_link_artifact)
acreate_markdown_artifact = _later(create_markdown_artifact)
acreate_table_artifact = _later(create_table_artifact)
acreate_progress_artifact = _later(create_progress_artifact)
acreate_image_artifact = _later(create_image_artifact)
aupdate_progress_artifact = _later(update_progress_artifact)
