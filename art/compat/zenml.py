"""ZenML's calls for artifacts: `from art.compat.zenml import Client, save_artifact, load_artifact`.

An artifact is a key, its versions have ZenML's numbers. A version with a name of its own has that as a
label, `version:NAME`, and, where it can be one, as a tag. ZenML's tags are labels, its id is the version's
uid. There is no stack: `Client().active_stack.artifact_store.path` is the folder of the repository.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from art import ConflictError, Filter, NotFoundError, Repo, UsageError, Version
from art.compat import (
    check_same_name,
    key_of,
    label_of,
    name_of,
    repository,
    title_of,
    version_by_uid,
)

if TYPE_CHECKING:
    from art.repo import Published

__all__ = [
    "ArtifactType",
    "ArtifactVersion",
    "Client",
    "Page",
    "PreexistingArtifactPath",
    "load_artifact",
    "log_artifact_metadata",
    "log_metadata",
    "register_artifact",
    "save_artifact",
]

PreexistingArtifactPath = Path

_VERSION = "version:"
_TYPE = "type:"


class ArtifactType(str, Enum):
    """What an artifact is for. It labels the version."""

    DATA_ANALYSIS = "DataAnalysisArtifact"
    DATA = "DataArtifact"
    MODEL = "ModelArtifact"
    SCHEMA = "SchemaArtifact"
    SERVICE = "ServiceArtifact"
    STATISTICS = "StatisticsArtifact"
    BASE = "BaseArtifact"


class ArtifactVersion:
    """One version of an artifact. `stored` is what art knows of it."""

    def __init__(self, stored: Version) -> None:
        self.stored = stored

    def __repr__(self) -> str:
        return f"<ArtifactVersion {self.name!r} {self.version!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArtifactVersion) and self.stored == other.stored

    def __hash__(self) -> int:
        return hash(self.stored)

    @property
    def id(self) -> UUID:
        """The uid of the version."""
        return UUID(self.stored.manifest.uid)

    @property
    def name(self) -> str:
        """The name of the artifact."""
        return name_of(self.stored)

    @property
    def version(self) -> str:
        """The name that the version was given, else its number."""
        return self._labelled(_VERSION) or str(self.stored.number)

    @property
    def type(self) -> ArtifactType:
        """What it was said to be for; data, where nothing was said."""
        return ArtifactType(self._labelled(_TYPE) or ArtifactType.DATA)

    @property
    def tags(self) -> list[str]:
        """Its labels, but for those that say version and type."""
        return [each for each in self.stored.labels if not each.startswith((_VERSION, _TYPE))]

    @property
    def metadata(self) -> dict[str, Any]:
        """What was said of it; of each key the latest entry."""
        return self.stored.metadata

    run_metadata = metadata

    @property
    def uri(self) -> str:
        """Where its bytes lie, if it was registered; else the reference to it."""
        payload = self.stored.payload
        return payload.url if payload and payload.url else f"art://{self.stored.ref}"

    @property
    def created(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.stored.created.replace("Z", "+00:00"))

    @property
    def data(self) -> Any:
        """The object, as `load` returns it."""
        return self.load()

    def load(self) -> Any:
        """Return the object, equal to what was saved; of files that were registered the path of a copy."""
        return self.stored.load()

    def visualize(self, title: str | None = None) -> dict[str, Any] | None:
        """Return what art shows of it: head and statistics of a table, say."""
        return self.stored.preview

    def download_files(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write its files into a zip. Raise UsageError for another name, ConflictError where a file is
        there, unless `overwrite`."""
        target = Path(path)
        if target.suffix != ".zip":
            raise UsageError(f"{target} must end in .zip: the files are written into one")
        if os.path.lexists(target) and not overwrite:
            raise ConflictError(f"{target} is there", hint="overwrite=True replaces it")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".art-") as folder:
            self._zip(Path(folder)).replace(target)

    def _zip(self, folder: Path) -> Path:
        payload, made = self.stored.payload, folder / "made.zip"
        if payload and payload.tree:
            return self.stored.get(made, archive="zip").path
        content = folder / "content"
        content.mkdir()
        if not payload or not payload.url:
            taken = self.stored.get(f"{content}/").path
        else:
            taken = self.stored.get(content / (Path(payload.url).name or "content")).path
        root = taken if taken.is_dir() else content
        return Path(shutil.make_archive(str(folder / "made"), "zip", root))

    def _labelled(self, prefix: str) -> str | None:
        found = [each for each in self.stored.labels if each.startswith(prefix)]
        return found[0].removeprefix(prefix) if found else None


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
        repo, name = repository(), str(name_id_or_prefix)
        if _is_uuid(name):
            return ArtifactVersion(version_by_uid(repo, name))
        latest = _latest(repo, name)
        if version is None:
            return ArtifactVersion(latest)
        found = _of_version(repo, key_of(name), str(version))
        if found is None:
            raise NotFoundError(
                f"{name!r} has no version {str(version)!r}", hint=f"art log {key_of(name)}"
            )
        return ArtifactVersion(found)

    def get_artifact(self, name_id_or_prefix: str | UUID) -> ArtifactVersion:
        """Return the latest version of an artifact."""
        return self.get_artifact_version(name_id_or_prefix)

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
        wanted += _kind(type)
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


def save_artifact(
    data: Any,
    name: str,
    version: str | int | None = None,
    artifact_type: ArtifactType | str | None = None,
    tags: Iterable[str] | None = None,
    extract_metadata: bool = True,
    include_visualizations: bool = True,
    user_metadata: Mapping[str, Any] | None = None,
    materializer: Any = None,
    uri: None = None,
    *,
    is_model_artifact: bool = False,
) -> ArtifactVersion:
    """Make a version of an object. Raise ConflictError where the artifact has a version of that name.

    `materializer` is one of art; statistics are part of what `include_visualizations` stores.
    """
    if uri is not None:
        raise UsageError("art gives its versions their place: uri is not possible")
    if isinstance(materializer, type):
        raise UsageError(
            f"{materializer.__name__} is a class: a materializer of art is wanted, or its name",
            hint="art.register_materializer(…)",
        )
    repo = repository()

    def make(key: str, about: dict[str, Any]) -> Published:
        made: Published = repo.save(
            data,
            key,
            materializer=materializer,
            preview=include_visualizations,
            always=True,
            **about,
        )
        return made

    kind = ArtifactType.MODEL if is_model_artifact else artifact_type
    return _published(repo, make, name, version, kind, tags, user_metadata)


def load_artifact(name_or_id: str | UUID, version: str | int | None = None) -> Any:
    """Return the object of a version: the latest, or of that name or number, or with an id."""
    return Client().get_artifact_version(name_or_id, version).load()


def register_artifact(
    folder_or_file_uri: str | os.PathLike[str],
    name: str,
    version: str | int | None = None,
    artifact_type: ArtifactType | str | None = None,
    tags: Iterable[str] | None = None,
    has_custom_name: bool = True,
    artifact_metadata: Mapping[str, Any] | None = None,
    *,
    is_model_artifact: bool = False,
) -> ArtifactVersion:
    """Make a version of a file or folder that stays where it is, wherever that is. What it holds is
    recorded, and compared when it is loaded. Return the latest version where nothing has changed."""
    repo = repository()

    def make(key: str, about: dict[str, Any]) -> Published:
        return repo.reference(key, folder_or_file_uri, **about)

    kind = ArtifactType.MODEL if is_model_artifact else artifact_type
    return _published(repo, make, name, version, kind, tags, artifact_metadata)


def log_metadata(
    metadata: Mapping[str, Any],
    *,
    artifact_version_id: UUID | str | None = None,
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
) -> None:
    """Say more of a version: that with an id, or of a name the latest or the one named. What was said
    before stays in the history."""
    wanted = artifact_version_id or artifact_name
    if wanted is None:
        raise UsageError("art.compat logs metadata of artifacts only", hint="artifact_name=NAME")
    found = Client().get_artifact_version(wanted, artifact_version)
    repository().note(found.stored.ref, metadata=_plain(metadata))


def log_artifact_metadata(
    metadata: Mapping[str, Any],
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
) -> None:
    """Say more of a version, the latest or the one named."""
    log_metadata(metadata, artifact_name=artifact_name, artifact_version=artifact_version)


def _published(
    repo: Repo,
    make: Callable[[str, dict[str, Any]], Published],
    name: str,
    version: str | int | None,
    kind: ArtifactType | str | None,
    tags: Iterable[str] | None,
    metadata: Mapping[str, Any] | None,
) -> ArtifactVersion:
    key, wanted = key_of(name), None if version is None else str(version)
    check_same_name(repo, name)
    labels = [label_of(tag) for tag in tags or ()]
    labels += _kind(kind)
    about: dict[str, Any] = {"title": title_of(name), "metadata": _plain(metadata or {})}
    if wanted is None:
        return ArtifactVersion(make(key, {**about, "labels": labels}).version)
    taken = ConflictError(
        f"{name!r} has a version {wanted!r} already", hint="leave version out for the next number"
    )
    if _of_version(repo, key, wanted):
        raise taken
    made = make(key, {**about, "labels": [*labels, _VERSION + wanted]}).version
    if (first := _of_version(repo, key, wanted)) and first != made:
        repo.delete(made.ref)  # somebody else took the name at the same time, and first
        raise taken
    if not wanted.isdecimal():
        with contextlib.suppress(UsageError):  # `v2`, say, is no tag
            repo.tag(made.ref, wanted)
    return ArtifactVersion(repo.version(made.id))


def _kind(type: ArtifactType | str | None) -> list[str]:
    """Return the label for a type, where there is one."""
    try:
        return [_TYPE + ArtifactType(type).value] if type else []
    except ValueError:
        known = ", ".join(each.value for each in ArtifactType)
        raise UsageError(f"{type!r} is no type of ZenML's", hint=f"known: {known}") from None


def _of_version(repo: Repo, key: str, name: str) -> Version | None:
    """Return the version of a key with a name of its own, or, as it has none, with this number."""
    try:
        found = repo.listing(key, filter=Filter(all=True, labels=(_VERSION + name,)))
        if numbers := [each.number for each in found if each.is_live and each.number]:
            return repo.version(f"{key}@v{min(numbers)}")
        if not name.isdecimal() or int(name) < 1:
            return None
        numbered = repo.version(f"{key}@v{int(name)}")
    except NotFoundError:
        return None
    return numbered if ArtifactVersion(numbered).version == name else None


def _latest(repo: Repo, name: str) -> Version:
    """Return the latest version of an artifact. Raise NotFoundError, also where its key is another's."""
    found = repo.version(key_of(name))
    if name not in (found.key, name_of(found)):
        raise NotFoundError(f"there is no artifact {name!r}", hint=f"there is {name_of(found)!r}")
    return found


def _plain(value: Any) -> Any:
    """Return metadata with sets as lists, and paths as texts."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
