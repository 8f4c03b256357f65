"""Watches a key, again and again, each time killed at the next call that changes something.

    python -m tests.support_watch_killer TEMPLATE FOLDER before|after STEP run|tell|stop

With `stop`, it is asked to end while commands run, so that these are to be run again. As `support_killer`, which see; starting a command and writing the cursor are points, too. TEMPLATE has the
repository `one` with versions of `k`, which may be a clone that has not fetched them. Of a watcher only
itself is killed, while the command that it had begun goes on. Then it watches again in the same copy, to the
end, and once more, when nothing is left to do; printed is for each copy what it was killed at, the numbers of
the versions that were reacted to before, and those in the end.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from art.events import Reaction
from art.listing import Filter
from art.repo import Repo
from art.repo.reacting import Waiting
from tests.support_killer import Killer, import_for, killed, wait_for_orphans
from tests.support_sync_killer import copy_template

COUNT = 3
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_COMMAND = 'touch begun; while [ ! -e go ]; do sleep 0.01; done; echo "$ART_NUMBER" >> log'


class WatchKiller(Killer):
    """Kills at what a cursor and commands are made of, too."""

    def install(self) -> None:
        super().install()
        os.write = self._wrapped("write", os.write)
        os.ftruncate = self._wrapped("ftruncate", os.ftruncate)
        subprocess.Popen = self._wrapped("Popen", subprocess.Popen)  # type: ignore[assignment,misc]


class _Until(threading.Event):
    """Is set as soon as all versions were reacted to, and nothing is left of a command; or, for one that is
    stopped, when a command has begun."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def wait(self, timeout: float | None = None) -> bool:
        is_through = len(reacted(self._root)) >= COUNT
        has_begun = not (self._root / "go").exists() and (self._root / "begun").exists()
        if has_begun or (is_through and not list(self._root.glob("cursor.d/*.task"))):
            self.set()
        return super().wait(timeout)


def watch(root: Path, what: str) -> None:
    """React to all versions of the key, until nothing is left to do."""
    os.chdir(root)
    with Repo(root) as repo:
        remote = "origin" if repo.remotes.all() else None
        waiting = Waiting(Filter(since="1d"), root / "cursor", interval=0.02, remote=remote)
        until = _Until(root)
        if what != "tell":
            for _ in repo.react(_COMMAND, "k", waiting=waiting, jobs=2, stop=until):
                pass
            return
        for found in repo.events("k", waiting=waiting, stop=until):
            assert isinstance(found, Reaction), found
            with open("log", "a") as log:
                log.writelines(f"{event.record.number}\n" for event in found.events)


def reacted(root: Path) -> list[int]:
    """Return the numbers of the versions that were reacted to."""
    log = root / "log"
    return sorted(map(int, log.read_text().split())) if log.exists() else []


def main(template: str, folder: str, when: str, step: int, what: str) -> None:
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # what a killed one started becomes ours
    copy_template(Path(template), Path(folder) / "0")
    (Path(folder) / "0" / "one" / "go").touch()
    import_for(partial(watch, Path(folder) / "0" / "one", what))
    for at in range(1, 2000, step):
        root = Path(folder) / str(at)
        copy_template(Path(template), root)
        if what != "stop":
            (root / "one" / "go").touch()
        work = partial(watch, root / "one", what)
        killed_at = killed(work, at, is_late=when == "after", kind=WatchKiller)
        before = reacted(root / "one")
        (root / "one" / "go").touch()
        for _ in range(2):
            killed(work, 0, is_late=False)
        wait_for_orphans()
        words = killed_at, before, reacted(root / "one")
        sys.stdout.write(f"{words}\n")
        shutil.rmtree(root)
        if killed_at == "done":
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
