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


def test_du_says_of_no_byte_that_nobody_needs_it_where_every_one_is_needed(
    repo: Repo, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03}").write_text(str(number))
    repo.create("k", folder)
    repo.create(None, folder / "007", title="keyless")
    (folder / "own").write_bytes(random.Random(1).randbytes(100_000))
    repo.create(None, folder / "own")

    usage = repo.du()
    assert usage.unreferenced == 0
    assert [(key.key, key.versions) for key in usage.keys] == [("k", 1), (None, 2)]
    assert usage.keys[1].unique > 100_000
    assert [key.key for key in repo.du("*").keys] == ["k"]
