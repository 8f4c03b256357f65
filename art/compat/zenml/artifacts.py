"""Versions of artifacts, under the names that ZenML has for what is done with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
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
from art.compat.errors import also, both

if TYPE_CHECKING:
    from art.compat.zenml.past import PipelineRun, StepRun
    from art.repo import Published

PreexistingArtifactPath = Path

_VERSION = "version:"
_TYPE = "type:"


class EntityExistsError(ConflictError):
    """There is something of this name already."""


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

    @property
    def versions(self) -> dict[str, ArtifactVersion]:
        """All versions of its artifact, by their names."""
        repo = repository()
        history = repo.history(str(self.stored.key))
        found = [ArtifactVersion(repo.version(each.ref)) for each in history if each.is_live]
        return {each.version: each for each in found}

    @property
    def run(self) -> PipelineRun:
        """The run of a pipeline that made it. Raise NotFoundError where none did."""
        from art.compat.zenml.past import find_run

        if self.producer_pipeline_run_id is None:
            raise both(NotFoundError, RuntimeError)(
                f"no pipeline made {self.name!r} {self.version!r}"
            )
        return find_run(self.producer_pipeline_run_id)

    @property
    def step(self) -> StepRun:
        """The run of a step that made it. Raise NotFoundError where none did."""
        from art.compat.zenml.past import find_step_run

        if self.producer_step_run_id is None:
            raise both(NotFoundError, RuntimeError)(f"no step made {self.name!r} {self.version!r}")
        return find_step_run(self.producer_step_run_id)

    @property
    def producer_step_run_id(self) -> UUID | None:
        """The id of the step's run that made it, if one did."""
        made = self.stored.run or {}
        return UUID(made["id"]) if made.get("step") else None

    @property
    def producer_pipeline_run_id(self) -> UUID | None:
        """The id of the pipeline's run that made it, if one did."""
        made = self.stored.run or {}
        id = made.get("parent") if made.get("step") else made.get("id")
        return UUID(id) if id else None

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
            raise both(ConflictError, FileExistsError)(
                f"{target} is there", hint="overwrite=True replaces it"
            )
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
    """Make a version of an object. Raise EntityExistsError where the artifact has a version of that name.

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
    return find_version(name_or_id, version).load()


@also(KeyError, NotFoundError)
def find_version(name_or_id: str | UUID, version: str | int | None = None) -> ArtifactVersion:
    """Return the version of a name, by its name or number, or the latest; or that with an id. Raise
    NotFoundError, which is a KeyError here, too."""
    repo, name = repository(), str(name_or_id)
    if is_uuid(name):
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


@also(FileNotFoundError, NotFoundError)
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


def _published(
    repo: Repo,
    make: Callable[[str, dict[str, Any]], Published],
    name: str,
    version: str | int | None,
    kind: ArtifactType | str | None,
    tags: Iterable[str] | None,
    metadata: Mapping[str, Any] | None,
) -> ArtifactVersion:
    about = about_of(repo, name, version, kind, tags, metadata)
    return named(repo, name, version, make(key_of(name), about).version)


def about_of(
    repo: Repo,
    name: str,
    version: str | int | None,
    kind: ArtifactType | str | None,
    tags: Iterable[str] | None,
    metadata: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what a new version of an artifact is made with. Raise ConflictError where it has a version
    of that name, or its key is that of another artifact."""
    check_same_name(repo, name)
    labels = [label_of(tag) for tag in tags or ()]
    labels += kind_labels(kind)
    if version is not None:
        if _of_version(repo, key_of(name), str(version)):
            raise _taken(name, version)
        labels.append(_VERSION + str(version))
    return {"title": title_of(name), "metadata": plain(metadata or {}), "labels": labels}


def named(repo: Repo, name: str, version: str | int | None, made: Version) -> ArtifactVersion:
    """Return a version that was made with a name of its own, or without. Raise ConflictError where
    somebody else took the name at the same time, and first: the version is deleted then."""
    if version is None:
        return ArtifactVersion(made)
    wanted = str(version)
    if (first := _of_version(repo, key_of(name), wanted)) and first != made:
        repo.delete(made.ref)
        raise _taken(name, version)
    if not wanted.isdecimal():
        with contextlib.suppress(UsageError):  # `v2`, say, is no tag
            repo.tag(made.ref, wanted)
    return ArtifactVersion(repo.version(made.id))


def _taken(name: str, version: str | int) -> EntityExistsError:
    return EntityExistsError(
        f"{name!r} has a version {str(version)!r} already",
        hint="leave version out for the next number",
    )


def kind_labels(type: ArtifactType | str | None) -> list[str]:
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


def plain(value: Any) -> Any:
    """Return metadata with sets as lists, and paths as texts."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, value), key=repr)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
