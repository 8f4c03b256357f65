"""Runs: what a job was, what it read and what it made.

A run is current in the thread, or task, that began it, in other threads while it is the only one, and in
the processes that are started meanwhile: they find it by the environment variable `ART_RUN_FILE`, which
names a journal. Its first line says what the run is; each further one is an input, an output or a step,
appended whole, so that processes may write at the same time.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from traceback import TracebackException
from typing import Any

from art import staging
from art.config import user_name
from art.document import SIZE_LIMIT, encode
from art.errors import UsageError
from art.journal import Journal
from art.model import FORMAT, Document, check_metadata, holdable, new_uid, now

FILE = "ART_RUN_FILE"
ID = "ART_RUN"
_PLACE = ("host", "user", "python", "platform", "git", "ci")
_ERROR = 4000  # characters of an error that are kept
_WORD = 4000  # the same of a word of a command, a variable, a name
_WORDS = 1 << 16  # bytes of a command
_LARGEST = SIZE_LIMIT // 2  # bytes of what a manifest says of its run, beside all else
_current: ContextVar[Run | None] = ContextVar("art_run", default=None)

# The variables that tell which job of which service this is: its name, then the fields.
_SERVICES: dict[str, dict[str, str]] = {
    "GITHUB_ACTIONS": {
        "run": "GITHUB_RUN_ID", "attempt": "GITHUB_RUN_ATTEMPT", "job": "GITHUB_JOB",
        "repository": "GITHUB_REPOSITORY", "commit": "GITHUB_SHA", "ref": "GITHUB_REF",
    },
    "GITLAB_CI": {
        "run": "CI_PIPELINE_ID", "job": "CI_JOB_ID", "name": "CI_JOB_NAME", "url": "CI_JOB_URL",
        "repository": "CI_PROJECT_PATH", "commit": "CI_COMMIT_SHA", "ref": "CI_COMMIT_REF_NAME",
    },
    "JENKINS_URL": {
        "run": "BUILD_NUMBER", "job": "JOB_NAME", "url": "BUILD_URL", "commit": "GIT_COMMIT",
        "ref": "GIT_BRANCH",
    },
    "BUILDKITE": {
        "run": "BUILDKITE_BUILD_NUMBER", "job": "BUILDKITE_JOB_ID", "url": "BUILDKITE_BUILD_URL",
        "repository": "BUILDKITE_PIPELINE_SLUG", "commit": "BUILDKITE_COMMIT", "ref": "BUILDKITE_BRANCH",
    },
    "TF_BUILD": {
        "run": "BUILD_BUILDID", "job": "SYSTEM_JOBID", "repository": "BUILD_REPOSITORY_NAME",
        "commit": "BUILD_SOURCEVERSION", "ref": "BUILD_SOURCEBRANCH",
    },
}  # fmt: skip
_NAMES = {
    "GITHUB_ACTIONS": "github",
    "GITLAB_CI": "gitlab",
    "JENKINS_URL": "jenkins",
    "BUILDKITE": "buildkite",
    "TF_BUILD": "azure-pipelines",
}


class Run:
    """A run that goes on. `about` is what manifests say of it: id, name, step, params, git, host …"""

    def __init__(self, about: Document, journal: Journal | None) -> None:
        self.about = about
        self.root: str | None = None  # the folder of the repository that keeps its record
        self.repo: object = None  # that repository, where it is open in this thread
        self.results: dict[str, Document] = {}  # what it was to make, by name
        self.ended: Document = {}  # what else the record is to say
        self.handle: int | None = None  # what keeps its folder: for processes that need it
        self._journal = journal
        self._around: tuple[Run, int, int] | None = None

    @property
    def id(self) -> str:
        """Its uid, or what `ART_RUN` says."""
        return str(self.about["id"])

    @property
    def place(self) -> str | None:
        """The repository that keeps its record, as others name it."""
        return os.path.realpath(self.root) if self.root else None

    def note_input(self, version: Document, place: str | None = None) -> None:
        """Note that a version was read: `key`, `id`, `number`; `place` is the folder or URL of its
        repository, by default that which keeps the record."""
        seen = _seen(version, place, self.place)
        if self._journal and not self._journal.has("input", seen):
            self._journal.note("input", seen)

    def note_output(self, version: Document, place: str | None = None) -> None:
        """Note that a version was made."""
        if self._journal:
            self._journal.note("output", _seen(version, place, self.place))

    def note_step(self, run: Run) -> None:
        """Note that a run that is part of this one has ended."""
        if self._journal:
            step = run.about.get("step") or run.about.get("name")
            self._journal.note("step", {"id": run.id, "step": step})

    @property
    def folder(self) -> Path:
        """A folder of its own, which is gone when it has ended."""
        assert self._journal is not None
        return self._journal.path.parent

    @property
    def steps(self) -> list[Document]:
        """The runs that were part of it and have ended, in this order: `id` and `step`."""
        return self._noted("step")

    @property
    def inputs(self) -> list[Document]:
        """What was read so far, here and in other processes, in order, each once."""
        return self._noted("input")

    def inputs_in(self, place: str | None) -> list[Document]:
        """The same as a manifest in the repository at `place` names them."""
        return [_seen(each, self.place, place) for each in self.inputs]

    @property
    def outputs(self) -> list[Document]:
        """What was made so far."""
        return self._noted("output")

    def begins_in(self, outer: Run) -> None:
        """Note how much the run that this one is part of has read and made before."""
        self._around = outer, len(outer.inputs), len(outer.outputs)

    @property
    def around(self) -> tuple[list[Document], list[Document]]:
        """What the run that this one is part of has read and made since this one began: by processes that
        were started meanwhile, of which nobody knows whose they are."""
        if self._around is None:
            return [], []
        outer, read, made = self._around
        return outer.inputs[read:], outer.outputs[made:]

    def _noted(self, kind: str) -> list[Document]:
        return self._journal.noted(kind) if self._journal else []


def named(key: str | None, id: str, number: int | None) -> Document:
    """Return how manifests and runs name a version."""
    fields = (("key", key), ("id", id), ("number", number))
    return {name: value for name, value in fields if value is not None}


def _seen(version: Document, place: str | None, root: str | None) -> Document:
    """Return how a version that a document at `place` names is named in one at `root`: with its `url`
    where it is in another repository (FORMAT §4). Where one of these is not known they are the same."""
    url = version.get("url", place)
    if None in (url, root):
        return version
    plain = {name: value for name, value in version.items() if name != "url"}
    return plain if url == root else {**plain, "url": url}


def current() -> Run | None:
    """Return the run that this is part of, None where there is none."""
    found = _current.get()
    if found:
        return found
    if journal := _joined(os.environ.get(FILE)):
        run = Run(journal.about["run"], journal)
        run.root = journal.about.get("root")
        return run
    if id := os.environ.get(ID):
        return Run({"id": holdable(id, _WORD), **surroundings()}, None)
    return None


_journals: dict[str, Journal] = {}  # those of runs that go on, of which this process is a part


def _joined(path: str | None) -> Journal | None:
    """Return the journal with this path, which a process or thread reads once; None where it is gone."""
    if not path or not Path(path).exists():
        _journals.pop(path or "", None)
        return None
    with contextlib.suppress(OSError, ValueError):
        if path not in _journals:
            _journals[path] = Journal.open(Path(path))
    return _journals.get(path)


def apart() -> contextlib.AbstractContextManager[None]:
    """Let what is done inside be part of no run: it is read, say, only to see whether it is whole."""
    return within(Run({}, None))


@contextlib.contextmanager
def within(run: Run | None) -> Iterator[None]:
    """Let what is done inside be part of a run, also runs that begin there; None changes nothing."""
    token = _current.set(run or _current.get())
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def begin(
    name: str,
    *,
    step: str | None = None,
    command: list[str] | None = None,
    params: Mapping[str, Any] | None = None,
    root: str | None = None,
) -> Iterator[Run]:
    """Let a run be current inside; `root` is the folder of the repository that keeps its record.

    Raise UsageError for parameters that a manifest cannot hold.
    """
    if not name:
        raise UsageError("a run needs a name")
    outer = _current.get() or (None if _is_ours() else current())
    fields: Document = {
        "id": new_uid(),
        "name": holdable(name, _WORD),
        "step": holdable(step, _WORD) if step else None,
        "parent": outer.id if outer else None,
        "command": _words(command or ()),
        "params": check_metadata(params or {}, "params"),
        "started": now(),
        **(surroundings() if outer is None else _inherited(outer.about)),
    }
    about = {key: value for key, value in fields.items() if value not in (None, {}, [])}
    if (size := len(encode(about))) > _LARGEST:
        raise UsageError(
            f"the parameters of run {about['name']} have {size} bytes, at most {_LARGEST} are possible",
            hint="store what is large as a version, and let it be an input",
        )
    with staging.of_run() as (folder, handle):
        journal = Journal.begin(Path(folder, "journal"), {"run": about, "root": root})
        run = Run(about, journal)
        run.root, run.handle = root, handle
        if outer:
            run.begins_in(outer)
        token = _current.set(run)
        try:
            with _in_environment(run) if outer is None else contextlib.nullcontext():
                yield run
        finally:
            _current.reset(token)
            if outer:
                outer.note_step(run)


def _words(words: Iterable[str]) -> list[str]:
    """Return the words of a command as documents hold them: those that are beyond a limit are left out."""
    kept: list[str] = []
    left = _WORDS
    for word in words:
        if left <= 0:
            return [*kept, "…"]
        kept.append(holdable(word, _WORD))
        left -= len(kept[-1].encode())
    return kept


_ours: list[str] = []  # the journal that this process put into its environment


def _is_ours() -> bool:
    """Whether the environment names a run of this process: threads that begin runs are not part of it."""
    return os.environ.get(FILE) in _ours


@contextlib.contextmanager
def _in_environment(run: Run) -> Iterator[None]:
    """Let threads and processes that are started inside be part of a run, unless there is another one
    already that this process began."""
    if _is_ours():
        yield
        return
    before = {name: os.environ.get(name) for name in (ID, FILE)}
    _ours.append(_path_of(run))
    os.environ.update(environment(run))
    try:
        yield
    finally:
        _ours.remove(_path_of(run))
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def record(run: Run, error: BaseException | None) -> Document:
    """Return the record of a run that has ended (FORMAT §10.1); `error` is what ended it, None where nothing
    did. A program that ends itself with status 0 has not failed."""
    if isinstance(error, SystemExit) and error.code in (None, 0):
        error = None
    about = {name: value for name, value in run.about.items() if name != "id"}
    fields: Document = {
        "art": FORMAT,
        "uid": run.id,
        "created": now(),
        "status": "completed" if error is None else "failed",
        "error": holdable(_told(error), _ERROR) if error is not None else None,
        **about,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "results": run.results,
        "steps": run.steps,
        **run.ended,
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _told(error: BaseException) -> str:
    """Return what an error says, also where it cannot tell."""
    return f"{type(error).__name__}: {TracebackException(type(error), error, None)}"


def _path_of(run: Run) -> str:
    return str(run._journal.path) if run._journal else ""


def environment(run: Run) -> dict[str, str]:
    """Return the variables by which processes know the run that they are part of."""
    return {ID: run.id, FILE: _path_of(run)}


def surroundings() -> Document:
    """Return where this runs: host, user, Python, git commit and whether it is dirty, job of a service."""
    import platform
    import socket

    found: Document = {
        "host": holdable(socket.gethostname(), _WORD),
        "user": holdable(user_name(), _WORD),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}".strip(),
        "git": _git(),
        "ci": job(),
    }
    return {name: value for name, value in found.items() if value}


def _inherited(about: Document) -> Document:
    return {name: about[name] for name in _PLACE if name in about}


def _git() -> Document:
    """Return commit, branch and dirtiness; nothing where there is no git, or no repository of it."""
    import subprocess

    command = ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    found: Document = {}
    for line in done.stdout.splitlines():
        words = line.split(" ", 2)
        if words[0] != "#":
            found["dirty"] = True
        elif words[1] == "branch.oid" and words[2] != "(initial)":
            found["commit"] = words[2]
        elif words[1] == "branch.head" and words[2] != "(detached)":
            found["branch"] = holdable(words[2], _WORD)
    return found


def job() -> Document:
    """Return which job of which CI service this is, by its variables; nothing where it is none."""
    for variable, fields in _SERVICES.items():
        if os.environ.get(variable):
            found = {
                name: holdable(os.environ[each], _WORD)
                for name, each in fields.items()
                if os.environ.get(each)
            }
            return {"service": _NAMES[variable], **found}
    return {}
