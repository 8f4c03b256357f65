"""Hooks: programs of the user that run before and after operations, from `.art/hooks` and nowhere else.

What each one gets is in docs/hooks.md. Where there is no such folder, asking costs one look at it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from art.errors import DeniedError
from art.place import DIRECTORY

NAMES = ("pre-create", "post-create", "pre-push", "post-push", "post-pull", "pre-delete")
OFF = "ART_NO_HOOKS"
INSIDE = "ART_HOOK"  # set for a hook: what it runs of art runs no hooks again

_SAID_LIMIT = 4000  # bytes of what a hook says that are shown
_NO = ("", "0", "false", "f", "no", "n", "off")

Describe = Callable[[], Mapping[str, Any]]


class Hooks:
    """The hooks of one repository."""

    def __init__(self, root: Path, repository: str, warn: Callable[[str], None]) -> None:
        self._root = root
        self._repository = repository
        self._warn = warn
        self._warned: set[str] = set()

    def before(self, name: str, describe: Describe) -> None:
        """Ask a hook, if there is one. Raise DeniedError where it says no, or cannot be started."""
        if problem := self._run(name, describe):
            raise DeniedError(
                f"hook {name} refused: {problem}", hint="--no-hooks does it without asking hooks"
            )

    def after(self, name: str, describe: Describe) -> None:
        """Tell a hook, if there is one, what was done. Where it fails that is a warning."""
        if problem := self._run(name, describe):
            self._warn(f"hook {name} failed: {problem}")

    def _run(self, name: str, describe: Describe) -> str | None:
        """Return why it failed, None where it did not or there is none."""
        path = self._find(name)
        if path is None:
            return None
        event = {"event": name, "repository": {"id": self._repository, "path": str(self._root)}}
        code, said = self._call(path, json.dumps({**event, **describe()}).encode())
        if code:
            return said or f"exit code {code}"
        if said:
            self._warn(f"hook {name}: {said}")
        return None

    def _call(self, path: Path, words: bytes) -> tuple[int, str]:
        """Run a hook; return its exit code and what it said, on one line."""
        import subprocess
        import tempfile

        # Files, because what a hook leaves running would keep the other end of a pipe open.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(words)
            given.seek(0)
            environment = {**os.environ, INSIDE: "1", "ART_DIR": str(self._root)}
            try:
                code = subprocess.call(
                    [path],
                    cwd=self._root,
                    env=environment,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                )
            except OSError as error:
                return 1, f"it cannot be started: {str(error.strerror).lower()}"
            said.seek(0)
            return code, " ".join(said.read(_SAID_LIMIT).decode("utf-8", "replace").split())

    def _find(self, name: str) -> Path | None:
        folder = self._root / DIRECTORY / "hooks"
        if is_set(OFF) or is_set(INSIDE):
            return None
        try:
            in_folder = os.lstat(folder)
            found = os.lstat(folder / name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        reason = _reason_not_to_run(folder / name, in_folder, found)
        if reason and name not in self._warned:
            self._warned.add(name)
            self._warn(f"hook {name} is not run: {reason}")
        return None if reason else folder / name


def _reason_not_to_run(path: Path, folder: os.stat_result, found: os.stat_result) -> str | None:
    if not stat.S_ISDIR(folder.st_mode) or not stat.S_ISREG(found.st_mode):
        return "it is a link or no file"
    if not _is_ours(folder) or not _is_ours(found):
        return "somebody else can change it"
    return None if os.access(path, os.X_OK) else "it is not executable"


def is_set(variable: str) -> bool:
    """Whether a variable of the environment says yes."""
    return os.environ.get(variable, "").lower() not in _NO


def _is_ours(found: os.stat_result) -> bool:
    """Whether only this user, or root, can have written it."""
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid in (0, os.getuid()) and not found.st_mode & stat.S_IWOTH
