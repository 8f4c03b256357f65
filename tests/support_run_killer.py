"""Does a step of two outputs again and again, each time killed at the next call that changes something.

    python -m tests.support_run_killer TEMPLATE FOLDER before|after STEP

As `support_killer`, which see. TEMPLATE has the repository `one`, which is killed, and may have `other`,
with which it shares a remote. What the step gives differs each time. Then it is done again in each of them,
to the end; printed is for each copy what it was killed at, how many outputs there were then, how often work
was done after that, how many versions of each output there are in the end, and whether all is well.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import art
from art.repo import Repo
from tests.support_killer import killed

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
        killed_at = killed(partial(_work_at, root / "one"), at, is_late=when == "after")
        words = (killed_at, *_recovered(root))
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        os.chdir(folder)
        shutil.rmtree(root)
        if killed_at == "done":
            return


def _recovered(root: Path) -> tuple[object, ...]:
    """Do it in each repository; return what there was before, what was done, and what there is."""
    with Repo(root / "one") as one:
        before = {key: one.version(key).id for key in list(one.keys())}
    turns = len(_turns)
    places = [root / name for name in ("other", "one") if (root / name).is_dir()]
    made = [_made(place) for place in places]
    counts, is_well = set(), all(ids == made[0] for ids in made)
    for place in places:
        with Repo(place) as repo:
            if len(places) > 1:
                repo.fetch()
            counts.add(tuple(len(repo.history(key)) for key in ("one", "two")))
            is_well = is_well and {key: repo.version(key).id for key in made[0]} == made[0]
            is_well = is_well and bool(repo.version("one").load())
            is_well = is_well and not repo.fsck(data=True).problems
    is_kept = all(made[0][key] == id for key, id in before.items())
    return len(before), len(_turns) - turns, *sorted(counts)[-1], is_well and is_kept


def _made(place: Path) -> dict[str, str]:
    os.chdir(place)
    return {str(version.key): version.id for version in work()}


def _work_at(root: Path) -> None:
    os.chdir(root)
    work()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
