"""Adds two parts and seals them, again and again, each time killed at the next call that changes something.

    python -m tests.support_draft_killer TEMPLATE FOLDER before|after STEP

As `support_killer`, which see. TEMPLATE has the repository `one`, which is killed, and may have `other`,
with which it shares a remote. Then the jobs run again in each of them, to the end; printed is for each copy
what it was killed at, how many versions there were then, how many there are in the end, and whether all is
well.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from art.repo import Repo
from tests.support_killer import import_for, killed
from tests.support_sync_killer import copy_template

_CONTENT = {name: name.encode() * 100_000 for name in ("a", "b")}


def work(root: Path) -> str:
    """Run the jobs; return the id of the version."""
    with Repo(root) as repo:
        for name, data in _CONTENT.items():
            folder = root.parent / f"made-{name}"
            folder.mkdir(exist_ok=True)
            (folder / "data").write_bytes(data)
            repo.part("k", folder, draft="run", name=name)
        return repo.seal("k", draft="run", expect=["a", "b"], tags=["prod"]).version.id


def main(template: str, folder: str, when: str, step: int) -> None:
    copy_template(Path(template), Path(folder) / "0")
    import_for(partial(work, Path(folder) / "0" / "one"))
    for at in range(1, 2000, step):
        root = Path(folder) / str(at)
        copy_template(Path(template), root)
        killed_at = killed(partial(work, root / "one"), at, is_late=when == "after")
        words = (killed_at, *_recovered(root))
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        shutil.rmtree(root)
        if killed_at == "done":
            return


def _recovered(root: Path) -> tuple[object, ...]:
    """Run the jobs in each repository; return what there was before, what there is, and how."""
    with Repo(root / "one") as one:
        before = {record.id for record in one.listing()}
        is_well = one.fsck(data=True).is_whole
        one.gc(grace="0s")
    places = [root / name for name in ("other", "one") if (root / name).is_dir()]
    ids = {work(place) for place in places}
    counts = set()
    for place in places:
        with Repo(place) as repo:
            if len(places) > 1:
                repo.fetch()
                is_well = is_well and repo.fsck(remote="origin", data=True).is_whole
            counts.add(len(repo.history("k")))
            version = repo.version("k@prod")
            found = {node.path: version.read(node.path) for node in version.files}
            content = {f"{name}/data": data for name, data in _CONTENT.items()}
            is_well = is_well and found == content and {version.id} == ids
            is_well = is_well and repo.fsck(data=True).is_whole
    return len(before), *counts, is_well and before <= ids


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
