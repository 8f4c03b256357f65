"""Does a step of two outputs again and again, each time killed at the next call that changes something.

    python -m tests.support_run_killer TEMPLATE FOLDER before|after STEP

As `support_killer`, which see. What the step gives differs each time. Then it is done again, to the end;
printed is for each copy what it was killed at, what there was then of both outputs, how often work was done
after that, and how many versions there are in the end.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Annotated

import art
from art.repo import Repo
from tests.support_killer import Killer

_turns: list[object] = [object()]  # no value that counts as code


@art.step
def work() -> tuple[Annotated[bytes, "one"], Annotated[str, "two"]]:
    """Return what never was before."""
    _turns.append(object())
    return os.urandom(100_000), os.urandom(20).hex()


def main(template: str, folder: str, when: str, step: int) -> None:
    for at in range(1, 2000, step):
        root = Path(folder) / str(at)
        shutil.copytree(template, root)
        killed_at = _killed(root, at, is_late=when == "after")
        os.chdir(root)
        with Repo(root) as repo:
            before = {key: repo.version(key).id for key in list(repo.keys())}
            turns = len(_turns)
            made = {str(version.key): version.id for version in work()}
            counts = [len(repo.history(key)) for key in ("one", "two")]
            is_kept = all(made.get(key, id) == id for key, id in before.items())
            assert repo.version("one").load()
            assert not repo.fsck(data=True).problems
            words = (killed_at, len(before), len(_turns) - turns, *counts, is_kept)
            sys.stdout.write(" ".join(map(str, words)) + "\n")
        os.chdir(folder)
        shutil.rmtree(root)
        if killed_at == "done":
            return


def _killed(root: Path, at: int, *, is_late: bool) -> str:
    """Do it in a process of its own; return what ended that."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            os.chdir(root)
            Killer(at, is_late=is_late, report=writing).install()
            work()
        except BaseException:  # noqa: BLE001 - a forked child must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the step failed"
    with os.fdopen(reading) as report:
        return report.read() or "done"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
