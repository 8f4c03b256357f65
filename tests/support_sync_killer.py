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
import traceback
from pathlib import Path

from art import packer
from art.repo import Repo
from tests.support_killer import Killer


def copy_template(template: Path, root: Path) -> None:
    """Copy repositories and remote; the copies know each other, not those of the template."""
    shutil.copytree(template, root, symlinks=True)
    for config in root.glob("*/.art/config.yaml"):
        data = config.read_bytes().replace(os.fsencode(template), os.fsencode(root))
        config.unlink()
        config.write_bytes(data)


def main(template: str, folder: str, command: str, when: str, step: str) -> None:
    packer.PACK_SIZE = 64 << 10
    for at in range(1, 100_000, int(step)):
        root = Path(folder, str(at))
        copy_template(Path(template), root)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _run_and_leave(root, command, Killer(at, is_late=when == "after", report=writer))
        os.close(writer)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as pipe:
            name = pipe.read().decode()
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "it failed"
            name = "done"
        sys.stdout.write(f"{at} {name}\n")
        sys.stdout.flush()
        if name == "done":
            return


def _run_and_leave(root: Path, command: str, killer: Killer) -> None:
    try:
        killer.install()
        with Repo(root / "b") as repo:
            repo.push() if command == "push" else repo.fetch()
    except BaseException:  # noqa: BLE001 - a forked child must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
