"""Commands that are run for events, each once: also where this process is killed meanwhile.

What is begun is written down beside the cursor before the command starts, in a file that is locked by
the process that runs it. Whoever goes on later waits for that one; a command that nobody runs any more,
and of which nobody noted how it ended, is run again. One whose supervisor was killed is waited for until
nothing of it is left, and then nobody knows how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from art import supervise
from art.backend import LocalBackend
from art.cursor import Cursor
from art.disk import explain, lock
from art.errors import CorruptError, UsageError
from art.events import Reaction
from art.model import now

NAMES = ("event", "key", "ref", "number", "id", "tag", "uri", "refs")
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Done:
    """A command that has ended. `is_kept` says that it will not be run again."""

    refs: str
    code: int
    is_kept: bool = True


@dataclass(frozen=True)
class Task:
    """What a command is told, as variables, and the events that are done with it."""

    environment: dict[str, str]
    uids: tuple[str, ...]

    @classmethod
    def of(cls, reaction: Reaction) -> Task:
        """Return what is told of something new; of several events, `ref` and so on are of the newest."""
        newest = max(reaction.events, key=lambda event: event.at)
        about = {
            name: str(value) for name, value in newest.to_document().items() if value is not None
        }
        about["uri"] = f"art://{newest.record.ref}"
        about["refs"] = " ".join(event.record.ref for event in reaction.events)
        environment = {f"ART_{name.upper()}": about.get(name, "") for name in NAMES}
        return cls(environment, tuple(sorted(reaction.uids)))

    @property
    def name(self) -> str:
        return blake3("\n".join(self.uids).encode()).hexdigest()[:32]

    @property
    def refs(self) -> str:
        return self.environment["ART_REFS"]

    def filled(self, command: str) -> str:
        """Return a command with what is new in the place of `{ref}` and the other names."""
        for name in NAMES:
            text = self.environment.get(f"ART_{name.upper()}", "")
            command = command.replace(f"{{{name}}}", " ".join(map(shlex.quote, text.split())))
        return command


class Runner:
    """Runs a command for each task, at most `jobs` at a time. Used by one thread."""

    def __init__(self, command: str, cursor: Cursor, jobs: int) -> None:
        if jobs < 1:
            raise UsageError(f"jobs is {jobs}, expected at least 1")
        self._command = command
        self._cursor = cursor
        self._jobs = jobs
        self._stack = contextlib.ExitStack()
        if cursor.path is None:
            folder = tempfile.TemporaryDirectory(prefix="art-")
            self._folder = Path(self._stack.enter_context(folder))
        else:
            self._folder = Path(f"{cursor.path}.d")
        self._running: dict[str, tuple[Task, subprocess.Popen[bytes] | None]] = {}

    @property
    def uids(self) -> set[str]:
        """The events whose commands are running."""
        return {uid for task, _ in self._running.values() for uid in task.uids}

    @property
    def is_free(self) -> bool:
        """Whether one more can be begun."""
        return len(self._running) < self._jobs

    def resume(self) -> None:
        """Go on with what an earlier process had begun, and did not note as done. What is run again is
        the command of this one."""
        for path in sorted(self._folder.glob("*.task")):
            task = _parsed(path)
            if not self._cursor.seen.isdisjoint(task.uids):
                self._remove(task.name)  # it was noted, and then the power failed
            else:
                self._begin(task)

    def start(self, task: Task) -> None:
        """Begin one. It counts as begun from now on, also for a process that comes later."""
        fields = {"environment": task.environment, "uids": task.uids}
        LocalBackend(self._folder).replace(f"{task.name}.task", json.dumps(fields).encode())
        self._begin(task)

    def ended(self, *, wait: bool = False) -> Iterator[Done]:
        """Yield what has ended, each noted as done; with `wait`, all of it."""
        while True:
            for name, (task, process) in list(self._running.items()):
                if (process.poll() is None) if process else self._is_run_elsewhere(name):
                    continue
                done = self._finish(task, process)
                if done:
                    yield done
            if not wait or not self._running:
                return
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask what is running to end: a command that does so by a signal is to be run again. What was begun
        by an earlier process is left to a later one."""
        self._running = {name: each for name, each in self._running.items() if each[1]}
        for _, process in self._running.values():
            if process:
                process.terminate()

    def close(self) -> None:
        """Leave no folder of its own behind."""
        self._stack.close()

    def _begin(self, task: Task) -> None:
        """Run a command unless another process still does, or did."""
        name = task.name
        handle = self._locked(name)
        if handle is None:
            self._running[name] = task, None
            return
        try:
            if self._result(name) is not None:
                self._running[name] = task, None
                return
            result = str(self._folder / f"{name}.result")
            words = [
                sys.executable,
                "-I",
                str(supervise.__file__),
                result,
                str(handle),
                task.filled(self._command),
            ]
            environment = {**os.environ, **task.environment}
            handles = [] if sys.platform == "win32" else [handle]
            process = subprocess.Popen(words, env=environment, pass_fds=handles)
            self._running[name] = task, process
        finally:
            os.close(handle)  # the other process has it, as long as it is there

    def _finish(self, task: Task, process: subprocess.Popen[bytes] | None) -> Done | None:
        """Note how a command ended. One that nobody noted the end of is begun again."""
        code = self._result(task.name)
        del self._running[task.name]
        if code is None:
            if process is None:
                self._begin(task)
                return None
            # The task stays: before it is run again, what is left of the command is waited for.
            status = process.returncode
            return Done(task.refs, 128 - status if status < 0 else status, is_kept=False)
        self._cursor.note_done(task.uids, refs=task.refs, code=code, at=now())
        self._remove(task.name)
        return Done(task.refs, code)

    def _locked(self, name: str) -> int | None:
        """Return a handle with the lock of a command, None where another process has it."""
        path = self._folder / f"{name}.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            explain(error, str(path))
        if lock(handle, is_shared=False, waits=False):
            return handle
        os.close(handle)
        return None

    def _is_run_elsewhere(self, name: str) -> bool:
        if self._result(name) is not None:
            return False  # what has the lock is something that the command left running
        handle = self._locked(name)
        if handle is None:
            return True
        os.close(handle)
        return False

    def _result(self, name: str) -> int | None:
        path = self._folder / f"{name}.result"
        try:
            return int(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            raise _foreign(path) from None

    def _remove(self, name: str) -> None:
        """The result goes first: it would be that of a task that is begun once more."""
        for suffix in ("result", "result.new", "task", "lock"):
            (self._folder / f"{name}.{suffix}").unlink(missing_ok=True)


def _parsed(path: Path) -> Task:
    """Return the task that a file is about. Raise CorruptError."""
    try:
        fields = json.loads(path.read_bytes())
        environment, uids = fields["environment"], fields["uids"]
        words = [*environment.items(), uids]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _foreign(path) from None
    is_task = isinstance(uids, list) and "ART_REFS" in environment
    if not is_task or not all(isinstance(word, str) for each in words for word in each):
        raise _foreign(path)
    task = Task(environment, tuple(uids))
    if path.name != f"{task.name}.task":
        raise _foreign(path)
    return task


def _foreign(path: Path) -> CorruptError:
    return CorruptError(
        f"{path} is not what art wrote", hint="remove it: its command is run again then"
    )
