"""What a repository holds: what is counted is what live versions need."""

from __future__ import annotations

import random
from pathlib import Path

from art.repo import Repo


def test_du_counts_what_the_files_of_a_version_need_and_not_what_those_before_it_had(
    repo: Repo, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}").write_bytes(random.Random(number).randbytes(10_000))
    repo.create("k", folder)
    for number in range(12):
        (folder / f"{number:02}").unlink()
    (folder / "new").write_bytes(random.Random(99).randbytes(10_000))
    repo.create("k", folder)
    record = repo.history("k")[0]
    assert record.payload
    stored = repo._store.objects.stored(record.payload)
    assert stored
    assert stored.layout is not stored.root, "the second layout extends the first"
    repo.delete("k@v1")

    (usage,) = repo.du().keys
    assert usage.size == 290_000
    assert 290_000 < usage.stored < 310_000
    assert repo.du().unreferenced >= 120_000
