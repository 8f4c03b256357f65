"""A progress that a program sets as it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from art import progress
from art.errors import UsageError
from art.progress import Progress
from art.repo import Repo


def test_a_loop_is_one_artifact_that_ends_at_a_hundred(repo: Repo) -> None:
    assert list(repo.progress("k").track(range(300))) == list(range(300))
    found = repo.version("k").progress
    assert found is not None
    assert found.value == 100
    assert found.sequence < 20  # written now and then, not at every step
    assert len(repo.history("k")) == 1


def test_a_block_writes_its_first_and_its_last_value(repo: Repo) -> None:
    with repo.progress("k") as bar:
        for value in range(0, 60, 2):
            bar.update(value, message=f"at {value}")
        bar.advance(1.5)
    found = repo.version("k").progress
    assert found is not None
    assert (found.value, found.message) == (59.5, "at 58")


def test_what_ends_with_an_error_stays_where_it_was(repo: Repo) -> None:
    with pytest.raises(ZeroDivisionError), repo.progress("k") as bar:
        bar.update(40)
        1 / 0  # noqa: B018
    found = repo.version("k").progress
    assert found is not None
    assert found.value == 40


def test_values_are_written_at_most_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    written: list[float] = []
    bar = Progress(lambda value, message: written.append(value))
    for value in range(10):
        bar.update(value)
        now[0] += progress.INTERVAL / 4
    bar.flush()
    bar.flush()
    assert written == [0, 4, 8, 9]


def test_a_new_one_is_made_where_that_is_wanted(repo: Repo) -> None:
    repo.progress("k", 70)
    with repo.progress("k", new=True) as bar:
        bar.update(10)
    assert [record.number for record in repo.history("k")] == [2, 1]


def test_what_cannot_be_measured_or_is_no_percentage_is_refused(
    repo: Repo, workplace: Path
) -> None:
    with pytest.raises(UsageError, match="nobody knows how many"):
        list(repo.progress("k").track(iter([1])))
    assert list(repo.progress("k").track(iter([1, 2]), total=2)) == [1, 2]
    with pytest.raises(UsageError):
        repo.progress("k").update(float("nan"))
    with pytest.raises(UsageError):
        repo.progress("k").update(101)
