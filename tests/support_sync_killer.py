"""Runs a push or fetch again and again, each time killed at one of the system calls that change something.

    python -m tests.support_sync_killer TEMPLATE FOLDER push|fetch before|after STEP

Each attempt works on a copy of TEMPLATE in FOLDER, where `b` is the repository, in a process of its own,
which SIGKILL ends at every STEP-th call. Prints for each copy what it was killed at; for the last, which
was not, `done`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from art.repo import Repo
from tests.support_killer import kill_all


def copy_template(template: Path, root: Path) -> None:
    """Copy repositories and remote; the copies know each other, not those of the template."""
    shutil.copytree(template, root, symlinks=True)
    for config in root.glob("*/.art/config.yaml"):
        data = config.read_bytes().replace(os.fsencode(template), os.fsencode(root))
        config.unlink()
        config.write_bytes(data)


def main(template: str, folder: str, command: str, when: str, step: str) -> None:
    def attempt(name: str) -> Callable[[], None]:
        root = Path(folder, name)
        copy_template(Path(template), root)
        return partial(_run, root, command)

    kill_all(attempt, int(step), is_late=when == "after")


def _run(root: Path, command: str) -> None:
    with Repo(root / "b") as repo:
        repo.push() if command == "push" else repo.fetch()


if __name__ == "__main__":
    main(*sys.argv[1:])
