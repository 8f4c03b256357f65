"""ClearML's calls for artifacts: `from art.compat.clearml import Task`.

A task is a run, and its artifacts are versions of keys below `project/task`, in lower case; names that are no
keys are kept as titles. What ClearML overwrites makes a further version here. An upload is done when the call
returns. docs/porting.md says what else differs.
"""

from __future__ import annotations

import atexit
import contextvars
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import ParamSpec

from art import (
    BusyError,
    ConflictError,
    CorruptError,
    DeniedError,
    Filter,
    NotFoundError,
    Repo,
    UnavailableError,
    UsageError,
    Version,
)
from art.compat import (
    check_same_name,
    extensions,
    key_of,
    label_of,
    name_of,
    repository,
    title_of,
)
from art.compat.errors import also, both
from art.compat.uploads import Upload, check_deletable, delete

if TYPE_CHECKING:
    from art.repo import Published

__all__ = ["Artifact", "Task"]

P = ParamSpec("P")
R = TypeVar("R")

_LABEL = "task:"  # and the id: which versions are of a task
_copies: dict[tuple[str, bool], Path] = {}
_copies_lock = threading.Lock()
_PAUSE = 0.5  # seconds before an upload is tried again


class Artifact:
    """An artifact of a task: the latest version that the task made of it."""

    def __init__(self, version: Version, name: str) -> None:
        self.version = version
        self.name = name

    def __repr__(self) -> str:
        return f"<Artifact {self.name!r} {self.version.ref}>"

    @property
    def type(self) -> str:
        """The type that art gives it: `table`, `image`, `json`, `file`, `folder`, `archive` …"""
        return self.version.type

    @property
    def mode(self) -> str:
        """`output`, which all are."""
        return "output"

    @property
    def url(self) -> str:
        """Where its bytes lie, for a URL that was registered; else the reference to the version."""
        payload = self.version.payload
        return payload.url if payload and payload.url else f"art://{self.version.ref}"

    @property
    def size(self) -> int | None:
        """Bytes; None where that is not known."""
        return self.version.size

    @property
    def hash(self) -> str | None:
        """BLAKE3 of its content, in hex; None where that is not known."""
        payload = self.version.payload
        return (payload.b3 or payload.tree or payload.checksum) if payload else None

    @property
    def timestamp(self) -> datetime:
        """When it was uploaded."""
        return datetime.fromisoformat(self.version.created.replace("Z", "+00:00"))

    @property
    def metadata(self) -> dict[str, Any]:
        """What was said of it, with the types that it had."""
        return self.version.metadata

    @property
    def preview(self) -> str:
        """The text that was given for it, else what art shows of it, with a last line where that is cut."""
        if self.version.description:
            return self.version.description
        payload, shown = self.version.payload, self.version.preview
        if shown is None:
            return self.version.text() if payload and payload.inline is not None else ""
        head = shown.get("text")
        text = head if isinstance(head, str) else json.dumps(shown, indent=2, ensure_ascii=False)
        return f"{text}\n# cut: the artifact has more" if shown.get("cut") else text

    def get(
        self,
        force_download: bool = False,
        deserialization_function: Callable[[bytes], Any] | None = None,
        block_unsafe_artifacts: bool | None = None,
    ) -> Any:
        """Return the object, equal to what was uploaded; the path of a copy of files and folders.

        Raise DeniedError for a pickle, which runs code, unless `block_unsafe_artifacts` is False.
        """
        version = self.version
        if deserialization_function is not None:
            return deserialization_function(_reading(version, version.read))
        if extensions.is_read(version.type):
            return extensions.read(version.type, _reading(version, version.read))
        if "materializer" not in version.format and version.type not in ("json", "value"):
            return Path(
                str(self.get_local_copy(raise_on_error=True, force_download=force_download))
            )
        trusts = block_unsafe_artifacts is False
        try:
            return _reading(version, lambda: version.load(pickle=trusts))
        except DeniedError as error:
            if trusts or version.format.get("materializer") != "pickle":
                raise
            hint = "get(block_unsafe_artifacts=False), if you trust who made it"
            raise both(DeniedError, ValueError)(error.message, hint=hint) from None

    def get_local_copy(
        self,
        extract_archive: bool = True,
        raise_on_error: bool = False,
        force_download: bool = False,
    ) -> str | None:
        """Return the path of a copy, which stays until the process ends: of the file, of the folder with
        the files, or, without `extract_archive`, of a zip of that. Unless `raise_on_error`, warn and
        return None of what cannot be had."""
        try:
            with _copies_lock:
                return str(self._copy(extract_archive, anew=force_download))
        except (NotFoundError, UnavailableError) as error:
            if raise_on_error:
                raise
            warnings.warn(f"there is no copy of {self.name!r}: {error}", stacklevel=2)
            return None

    def _copy(self, extract: bool, *, anew: bool) -> Path:
        place = (self.version.id, extract)
        if place not in _copies or anew or not _copies[place].exists():
            folder = Path(tempfile.mkdtemp(prefix="art-clearml-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            _copies[place] = _reading(self.version, lambda: self._taken_out(folder, extract))
        return _copies[place]

    def _taken_out(self, folder: Path, extract: bool) -> Path:
        version = self.version
        target = folder / Path(version.key or version.id).name
        is_folder = _holds_files(version)
        if is_folder and not extract:
            return version.get(target.with_name(target.name + ".zip"), archive="zip").path
        if version.format.get("kind") == "str":
            target = target.with_suffix(".txt")
            target.write_text(version.load(), "utf-8")
            return target
        if is_folder:
            target.mkdir()
            version.get(target)
            return target
        return version.get(f"{folder}/").path


def _holds_files(version: Version) -> bool:
    """Whether a version is a folder, or files that were put together, even if it is only one."""
    if version.type in ("folder", "archive"):
        return True
    return bool(version.payload and version.payload.tree and version.payload.file is None)


class Task:
    """A task: a run that goes on, or one that ended, with its artifacts."""

    _current: Task | None = None
    _lock = threading.RLock()

    def __init__(self, root: str, project: str, name: str, id: str) -> None:
        """Tasks come from `init`, `current_task` and `get_task`."""
        self._root = root
        self._project = project
        self.name = name
        self.id = id
        self._prefix = f"{key_of(project)}/{key_of(name)}/".lower()
        self._labels: list[str] = []
        self._context: contextvars.Context | None = None
        self._stack = ExitStack()
        self._process = os.getpid()
        self._tracked: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Task {self._project}/{self.name} {self.id}>"

    # -- tasks ---------------------------------------------------------------------------------------

    @classmethod
    def init(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: object = None,
        tags: Iterable[str] | None = None,
        reuse_last_task_id: object = True,
        continue_last_task: object = False,
        output_uri: object = None,
        auto_connect_arg_parser: object = True,
        auto_connect_frameworks: object = True,
        auto_resource_monitoring: object = True,
        auto_connect_streams: object = True,
        deferred_init: object = False,
    ) -> Task:
        """Begin a run, which ends with `close` or the process, or return the one that goes on.

        `tags` become labels; of the others nothing is done. Raise ConflictError while another task goes
        on, UsageError where a task is to be continued.
        """
        repo = repository()
        name = task_name or Path(sys.argv[0]).stem or "task"
        project = project_name or repo.root.name
        if continue_last_task:
            raise UsageError(
                "a task that ended cannot be continued", hint="Task.init(…) begins one"
            )
        if isinstance(output_uri, (str, os.PathLike)):
            said = f"art stores in its repository, not at output_uri={output_uri!r}; art push publishes"
            warnings.warn(said, stacklevel=2)
        with cls._lock:
            if current := cls.current_task():
                if (current.name, current._project) == (name, project):
                    return current
                raise both(ConflictError, RuntimeError)(
                    f"{current!r} goes on", hint="Task.current_task().close()"
                )
            task = cls(str(repo.root), project, name, "")
            task._begin(tags or ())
            cls._current = task
            return task

    @classmethod
    def current_task(cls) -> Task | None:
        """Return the task that goes on, None where there is none."""
        return cls._current

    @classmethod
    def get_task(
        cls,
        task_id: str | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: Iterable[str] | None = None,
        allow_archived: bool = True,
        task_filter: None = None,
    ) -> Task | None:
        """Return a task that has an artifact, or goes on: by its id, else the latest of these names, in
        any case; None where there is none. Raise NotFoundError where there is none with that id."""
        if task_filter:
            raise UsageError("task_filter is a query of ClearML's server, which art has not")
        current = cls.current_task()
        if task_id is not None:
            if current and current.id == task_id:
                return current
            return cls._found(repository(), lambda task: task.id == task_id, task_id)
        if task_name is None:
            raise UsageError("task_id or task_name says which task is meant")

        def matches(task: Task) -> bool:
            is_there = project_name is None or _same(task._project, project_name)
            return is_there and _same(task.name, task_name) and set(tags or ()) <= set(task._labels)

        if current and matches(current):
            return current
        try:
            return cls._found(repository(), matches, None)
        except NotFoundError:
            return None

    @classmethod
    def _found(cls, repo: Repo, matches: Callable[[Task], bool], id: str | None) -> Task:
        """Return the task that made the latest version, of those that match. Raise NotFoundError."""
        labels = (_LABEL + id,) if id is not None else ()
        seen: set[str] = set()
        for record in repo.listing(filter=Filter(all=True, labels=labels, sort="created")):
            ids = {each for each in record.labels if each.startswith(_LABEL)} - seen
            if ids and record.is_live and (task := cls._of(repo, repo.version(record.ref))):
                if matches(task):
                    return task
                seen |= ids
        raise NotFoundError(f"there is no task {id or 'of these names'} with artifacts")

    @classmethod
    def _of(cls, repo: Repo, version: Version) -> Task | None:
        """Return the task that made a version in its run, None where that was otherwise."""
        run = version.run or {}
        params = run.get("params") or {}
        if _LABEL + str(run.get("id")) not in version.labels or "task" not in params:
            return None
        task = cls(str(repo.root), str(params["project"]), str(params["task"]), str(run["id"]))
        task._labels = [each for each in version.labels if each in params.get("tags", ())]
        return task

    def _begin(self, tags: Iterable[str]) -> None:
        self._labels = sorted({label_of(tag) for tag in tags})
        params = {"project": self._project, "task": self.name, "tags": self._labels}
        self._context = contextvars.copy_context()
        run = self._repo.run(self.name, params=params)
        self.id = self._context.run(self._stack.enter_context, run).id
        atexit.register(self._end)

    @property
    def task_id(self) -> str:
        """The id of its run."""
        return self.id

    def get_tags(self) -> list[str]:
        """Return its tags, which label its versions."""
        return list(self._labels)

    def get_project_name(self) -> str:
        """Return the project that it was begun in."""
        return self._project

    def flush(self, wait_for_uploads: bool = False) -> bool:
        """Save what is registered and has changed. Raise what went wrong with it before."""
        for tracker in self._tracked.values():
            tracker.flush()
        return True

    def close(self) -> None:
        """Save what is registered and has changed, and end the run."""
        self._finish(None)

    def _end(self) -> None:
        """Close it at the end of the process, as failed where an error ended that."""
        if os.getpid() == self._process:
            self._finish(getattr(sys, "last_value", None))

    def _finish(self, error: BaseException | None) -> None:
        with Task._lock:
            if self._context is None:
                return
            context, self._context = self._context, None
            if Task._current is self:
                Task._current = None
        atexit.unregister(self._end)
        with ExitStack() as stack:
            kind = None if error is None else type(error)
            stack.callback(lambda: context.run(self._stack.__exit__, kind, error, None))
            for tracker in self._tracked.values():
                stack.callback(tracker.stop)
            self._tracked = {}

    # -- artifacts -----------------------------------------------------------------------------------

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The latest versions that it made, by name."""
        repo = self._repo
        records = repo.listing(filter=Filter(labels=(_LABEL + self.id,)))
        versions = [repo.version(record.ref) for record in records if record.is_live]
        named = ((name_of(version, self._prefix), version) for version in versions)
        return {name: Artifact(version, name) for name, version in named}

    def upload_artifact(
        self,
        name: str,
        artifact_object: Any,
        metadata: Mapping[str, Any] | None = None,
        delete_after_upload: bool = False,
        auto_pickle: bool | None = None,
        preview: Any = None,
        wait_on_upload: bool = False,
        extension_name: str | None = None,
        serialization_function: Callable[[Any], bytes | bytearray] | None = None,
        retries: int = 0,
        sort_keys: bool = True,
    ) -> bool:
        """Make a version of an object, file, folder, wildcard, list of paths, text or URL.

        What is read back equals what was given. Nothing is pickled unless `auto_pickle` is True. A text
        that looks like a path, and leads nowhere, is refused, unless `extension_name` is `.txt`. `preview`
        is a text to show, or False; `retries` are for what is busy or cannot be reached.
        """
        if name in self._tracked:
            raise UsageError(f"{name!r} is registered already", hint="task.unregister_artifact(…)")
        key, about = self._about(name, metadata)
        if isinstance(preview, str):
            about["description"] = preview
        upload = Upload(
            repo=self._repo,
            key=key,
            name=name,
            about=about,
            shows=preview is not False,
            extension=extensions.normal(extension_name) if extension_name else None,
            pickles=auto_pickle is True,
            sorts=sort_keys,
        )
        if serialization_function is not None:
            data = serialization_function(artifact_object)
            self._repeated(retries, upload.data, data)
            return True
        is_left = delete_after_upload and check_deletable(artifact_object)
        made = self._repeated(retries, upload.object, artifact_object)
        if is_left and made.version.type == "file":
            delete(self._repo, os.fspath(artifact_object), made)
        return True

    def register_artifact(
        self,
        name: str,
        artifact: Any,
        metadata: Mapping[str, Any] | None = None,
        uniqueness_columns: object = True,
    ) -> None:
        """Make a version of a frame now, and further ones whenever it has changed: values, index,
        columns or types. It is looked at every five minutes, by `flush`, and at the end."""
        key, about = self._about(name, metadata)
        if name in self._tracked:
            self._tracked.pop(name).stop()
        self._tracked[name] = self._within(self._repo.track, artifact, key, **about)

    def unregister_artifact(self, name: str) -> None:
        """Save what is registered once more, if it has changed, and let go of it, if it is there."""
        if tracker := self._tracked.pop(name, None):
            tracker.stop()

    def get_registered_artifacts(self) -> Mapping[str, Any]:
        """Return the objects that are registered, by name, to be changed in place. Another object takes
        the place of one by `register_artifact`."""
        return MappingProxyType({name: each.value for name, each in self._tracked.items()})

    @property
    def _repo(self) -> Repo:
        return repository(self._root)

    def _about(self, name: str, metadata: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
        """Return the key for a name, and what is said of a version of it."""
        check_same_name(self._repo, name, self._prefix)
        labels = [_LABEL + self.id, *self._labels]
        about = {"title": title_of(name), "metadata": metadata, "labels": labels}
        return self._prefix + key_of(name), about

    def _within(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in the run of the task, from whatever thread."""
        if self._context is None:
            return function(*args, **kwargs)
        return self._context.copy().run(function, *args, **kwargs)

    def _repeated(
        self, retries: int, function: Callable[[Any], Published], value: Any
    ) -> Published:
        for _ in range(retries):
            try:
                return self._within(function, value)
            except (BusyError, UnavailableError):
                time.sleep(_PAUSE)
        return self._within(function, value)


@also(ValueError, NotFoundError, CorruptError, UnavailableError)
def _reading(version: Version, function: Callable[[], R]) -> R:
    """Read a version as part of the task that goes on, whose input it becomes unless it made it itself."""
    task = Task.current_task()
    if task is None or _LABEL + task.id in version.labels:
        return function()
    return task._within(function)


def _same(one: str, other: str) -> bool:
    return key_of(one).lower() == key_of(other).lower()
