"""What commands and steps gave before, and what is known before they are run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from art import document
from art.publish import Publisher
from art.repo import Repo

WRITE = "import random; open('out', 'w').write(str(random.random())); open('count', 'a').write('x')"
WORDS = (sys.executable, "-c", WRITE)


@pytest.fixture
def entry(repo: Repo) -> Callable[[int], Path]:
    """Return a function that gives the path of an entry of the only log of results, by its number."""
    return lambda number: next((repo.root / ".art" / "cache").glob(f"*/{number:08}.yaml"))


def worked(repo: Repo) -> int:
    """Return how often the command was run."""
    count = repo.root / "count"
    return len(count.read_text()) if count.exists() else 0


def forget(repo: Repo, key: str) -> None:
    """Let there be no version of a key, as where a writer was killed before it made one."""
    (repo.root / ".art" / "manifests" / key / "v00000001.yaml").unlink()
    (repo.root / ".art" / "index.sqlite").unlink()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "T"),
        ("key", "other"),
        ("uid", "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10"),
        ("payload", {"tree": "../x"}),
        ("purged", {"id": "b3:" + "0" * 64}),
    ],
)
def test_a_result_whose_manifest_is_that_of_another_version_is_damage_and_the_work_is_done_again(
    field: str, value: object, repo: Repo, entry: Callable[[int], Path]
) -> None:
    repo.run_command(WORDS, outputs={"k": "out"})
    found = document.decode(entry(1).read_bytes(), "it")
    found["manifests"]["k"][field] = value
    entry(1).write_bytes(document.encode(found))
    forget(repo, "k")
    with Repo(repo.root) as again:
        ran = again.run_command(WORDS, outputs={"k": "out"})
        assert (ran.cached, worked(again)) == (None, 2)
        assert again.run_command(WORDS, outputs={"k": "out"}).cached == ran.id
        assert [version.id for version in again.history("k")] == [ran.outputs["k"].id]


def test_manifests_of_what_a_result_does_not_name_are_damage(
    repo: Repo, entry: Callable[[int], Path]
) -> None:
    repo.run_command(WORDS, outputs={"k": "out"})
    found = document.decode(entry(1).read_bytes(), "it")
    found["manifests"]["more"] = found["manifests"]["k"]
    entry(1).write_bytes(document.encode(found))
    assert repo.run_command(WORDS, outputs={"k": "out"}).cached is None


def test_a_version_that_is_there_already_is_not_completed_again(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, made = Publisher.complete, []

    def twice(publisher: Publisher, key: str, prepared: dict[str, Any]) -> object:
        made.append(complete(publisher, key, prepared))
        repo.markdown("k", "later")  # as somebody else might
        made.append(complete(publisher, key, prepared))
        return made[0]

    monkeypatch.setattr(Publisher, "complete", twice)
    repo.run_command(WORDS, outputs={"k": "out"})
    assert [(each.number, each.created) for each in made] == [(1, True), (1, False)]
    assert len(repo.history("k")) == 2
