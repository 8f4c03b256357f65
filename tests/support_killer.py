"""Runs a command again and again, each time killed at the next system call that changes something.

    python -m tests.support_killer TEMPLATE FOLDER COMMAND before|after

Each attempt works on a copy of TEMPLATE in FOLDER, in a process of its own, which SIGKILL ends right
before (having written half of what it was to write) or right after the call. Prints for each copy
what it was killed at; for the last, which was not, `done`.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from art import packer
from art.backend import LocalStaged
from art.repo import Repo
from tests.support_state import COMMANDS

_CALLS = ("mkdir", "link", "replace", "rename", "unlink", "fsync")
_CHANGING = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE")


class Killer:
    """Counts the calls that change something and kills this process at one of them."""

    def __init__(self, at: int, *, is_late: bool, report: int) -> None:
        self._at = at
        self._is_late = is_late
        self._report = report
        self._count = 0
        self._lock = threading.Lock()

    def call(self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call `function`, unless this process dies before that."""
        with self._lock:
            self._count += 1
            is_hit = self._count == self._at
        if is_hit and not self._is_late:
            if name == "write":
                function(arguments[0], arguments[1][: len(arguments[1]) // 2])
            self._die(name)
        try:
            return function(*arguments, **named)
        finally:  # a call that fails, as there is something already, is a point like others
            if is_hit:
                self._die(name)

    def _die(self, name: str) -> None:
        os.write(self._report, name.encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Stand between art and the system."""
        for name in _CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        LocalStaged.write = self._wrapped("write", LocalStaged.write)  # type: ignore[method-assign]
        killer, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if not statement.lstrip().startswith(_CHANGING):
                    return super().execute(statement, *values)
                result: sqlite3.Cursor = killer.call("sql", super().execute, statement, *values)
                return result

        sqlite3.connect = lambda *a, **k: connect(*a, factory=Connection, **k)  # type: ignore[assignment]

    def _wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: self.call(name, function, *arguments, **named)


def killed(
    work: Callable[[], object], at: int, *, is_late: bool, kind: type[Killer] = Killer
) -> str:
    """Do `work` in a process of its own that dies at one of the calls; return at which, or `done`."""

    def run(report: int) -> None:
        kind(at, is_late=is_late, report=report).install()
        work()

    return _apart(run) or "done"


def import_for(work: Callable[[], object]) -> None:
    """Import all that `work` imports, which is done in a process of its own, so that no attempt has to."""

    def run(report: int) -> None:
        work()
        os.write(report, " ".join(sys.modules).encode())

    for name in _apart(run).split():
        importlib.import_module(name)


def _apart(work: Callable[[int], object]) -> str:
    """Do `work` in a process of its own, to its end or death; return what it wrote to the pipe it got."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            work(writer)
        except BaseException:  # noqa: BLE001 - a forked child must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "it failed"
    return said


def kill_all(attempt: Callable[[str], Callable[[], object]], step: int, *, is_late: bool) -> None:
    """Do what `attempt` gives for the name of a copy, killed at each `step`-th call, up to one that is not
    reached; print name and call."""
    packer.PACK_SIZE = 64 << 10
    import_for(attempt("0"))
    for at in range(1, 100_000, step):
        name = killed(attempt(str(at)), at, is_late=is_late)
        sys.stdout.write(f"{at} {name}\n")
        sys.stdout.flush()
        if name == "done":
            return


def main(template: str, folder: str, command: str, when: str) -> None:
    def attempt(name: str) -> Callable[[], None]:
        root = Path(folder, name)
        shutil.copytree(template, root, symlinks=True)
        return partial(_run, root, command)

    kill_all(attempt, 1, is_late=when == "after")


def _run(root: Path, command: str) -> None:
    with Repo(root) as repo:
        COMMANDS[command](repo, root / "data")


def wait_for_orphans() -> None:
    """Wait for all that a killed process has left to this one."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
