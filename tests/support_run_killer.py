"""Does a step, or a command, of two outputs again and again, each time killed at the next call that changes
something.

    python -m tests.support_run_killer TEMPLATE FOLDER before|after STEP step|command

As `support_killer`, which see. TEMPLATE has the repository `one`, which is killed, and may have `other`,
with which it shares a remote. Of a command art is killed, while what it had started goes on to its end. What
it gives differs each time. Then it is done again in each of them, to the end; printed is for each copy what
it was killed at, how many outputs there were then, how often work was done after that, how many versions of
each output there are in the end, and whether all is well.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import art
from art.repo import Repo
from tests.support_killer import killed, wait_for_orphans
from tests.support_sync_killer import copy_template

_turns: list[object] = [object()]  # no value that counts as code
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_COMMAND = """
import os, pathlib
def write(name, data):
    pathlib.Path(name + ".new").write_bytes(data)
    os.replace(name + ".new", name)
write("one.bin", os.urandom(100_000))
write("two.txt", os.urandom(20).hex().encode())
with open("count", "a") as count:
    count.write("x")
"""


@art.step
def work() -> tuple[Annotated[bytes, "one"], Annotated[str, "two"]]:
    """Return what never was before."""
    _turns.append(object())
    return os.urandom(100_000), os.urandom(20).hex()


def _step() -> dict[str, str]:
    """Do the step; return the ids of its outputs by key."""
    return {str(version.key): version.id for version in work()}


def _command() -> dict[str, str]:
    """Do the command."""
    with art.open() as repo:
        words = [sys.executable, "-c", _COMMAND]
        outputs = {"one": "one.bin", "two": "two.txt"}
        ran = repo.run_command(words, inputs={"raw": "raw"}, outputs=outputs, params={"rate": 1})
    return {str(version.key): version.id for version in ran.outputs.values()}


def _worked(root: Path) -> int:
    """Return how often work was done."""
    counts = [path.stat().st_size for path in root.glob("*/count")]
    return len(_turns) + sum(counts)


def main(template: str, folder: str, when: str, step: int, what: str) -> None:
    do = {"step": _step, "command": _command}[what]
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # what a killed one started becomes ours
    for at in range(1, 2000, step):
        root = Path(folder) / str(at)
        copy_template(Path(template), root)
        killed_at = killed(partial(_done_in, root / "one", do), at, is_late=when == "after")
        wait_for_orphans()
        words = (killed_at, *_recovered(root, do))
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        os.chdir(folder)
        shutil.rmtree(root)
        if killed_at == "done":
            return


def _recovered(root: Path, do: Callable[[], dict[str, str]]) -> tuple[object, ...]:
    """Do it in each repository; return what there was before, what was done, and what there is."""
    with Repo(root / "one") as one:
        before = {key: one.version(key).id for key in sorted({"one", "two"} & set(one.keys()))}
    turns = _worked(root)
    places = [root / name for name in ("other", "one") if (root / name).is_dir()]
    made = [_done_in(place, do) for place in places]
    counts, is_well = set(), all(ids == made[0] for ids in made)
    for place in places:
        with Repo(place) as repo:
            if len(places) > 1:
                repo.fetch()
            counts.add(tuple(len(repo.history(key)) for key in ("one", "two")))
            is_well = is_well and {key: repo.version(key).id for key in made[0]} == made[0]
            is_well = is_well and repo.version("one@prod").id == made[0]["one"]
            is_well = is_well and bool(repo.version("one").load())
            is_well = is_well and not repo.fsck(data=True).problems
    is_kept = all(made[0][key] == id for key, id in before.items())
    return len(before), _worked(root) - turns, *sorted(counts)[-1], is_well and is_kept


def _done_in(place: Path, do: Callable[[], dict[str, str]]) -> dict[str, str]:
    os.chdir(place)
    return do()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
