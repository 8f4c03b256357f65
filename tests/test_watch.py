"""Files and folders that are saved whenever they change."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from art.errors import ArtError, NotFoundError, UsageError
from art.repo import Repo
from art.repo.base import Published

pytest.importorskip("watchfiles")


class Watching:
    """Watches in a thread until it is left."""

    def __init__(self, repo: Repo, path: Path, key: str = "k") -> None:
        self.found: list[Published | ArtError] = []
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._watch = repo.watch(path, key, debounce=0.1, stop=self._stop)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for each in self._watch:
            with self._news:
                self.found.append(each)
                self._news.notify_all()

    @property
    def versions(self) -> list[str]:
        made = [each for each in self.found if isinstance(each, Published) and each.created]
        return [each.version.ref for each in made]

    def wait_for(self, *versions: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.versions == list(versions), 60), self.found

    def wait_for_error(self) -> ArtError:
        def errors() -> list[ArtError]:
            return [each for each in self.found if isinstance(each, ArtError)]

        with self._news:
            assert self._news.wait_for(errors, 60), self.found
        return errors()[0]

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def watch(repo: Repo) -> Iterator[list[Watching]]:
    begun: list[Watching] = []
    yield begun
    for each in begun:
        each.close()


def test_a_file_makes_a_version_now_and_whenever_its_content_changes(
    repo: Repo, workplace: Path, watch: list[Watching]
) -> None:
    file = workplace / "report.txt"
    file.write_text("one")
    watching = Watching(repo, file)
    watch.append(watching)
    watching.wait_for("k@v1")
    file.write_text("two")
    watching.wait_for("k@v1", "k@v2")
    os.utime(file)  # no other content
    (workplace / "beside").write_text("x")
    new = workplace / "new"
    new.write_text("three")
    new.replace(file)  # as editors save
    watching.wait_for("k@v1", "k@v2", "k@v3")
    assert [repo.version(f"k@v{n}").text() for n in (1, 2, 3)] == ["one", "two", "three"]


def test_a_folder_is_watched_with_all_below_it_but_not_its_repository(
    repo: Repo, watch: list[Watching]
) -> None:
    deep = repo.root / "deep" / "er"
    deep.mkdir(parents=True)
    (deep / "a").write_text("a")
    watching = Watching(repo, repo.root)
    watch.append(watching)
    watching.wait_for("k@v1")
    (deep / "b").write_text("b")
    watching.wait_for("k@v1", "k@v2")
    assert [node.path for node in repo.version("k").files] == ["deep/er/a", "deep/er/b"]
    assert len(watching.found) < 6  # its own writing is no change


def test_a_file_that_a_link_leads_to_is_watched(
    repo: Repo, workplace: Path, watch: list[Watching]
) -> None:
    (workplace / "elsewhere").mkdir()
    (workplace / "elsewhere" / "file").write_text("1")
    (workplace / "link").symlink_to("elsewhere/file")
    watching = Watching(repo, workplace / "link")
    watch.append(watching)
    watching.wait_for("k@v1")
    (workplace / "elsewhere" / "file").write_text("22")
    watching.wait_for("k@v1", "k@v2")
    (workplace / "new").write_text("333")
    (workplace / "link").unlink()
    (workplace / "link").symlink_to("new")
    watching.wait_for("k@v1", "k@v2", "k@v3")
    assert repo.version("k").read() == b"333"


def test_an_error_is_survived(repo: Repo, workplace: Path, watch: list[Watching]) -> None:
    file = workplace / "report.txt"
    file.write_text("one")
    watching = Watching(repo, file)
    watch.append(watching)
    watching.wait_for("k@v1")
    file.unlink()
    assert isinstance(watching.wait_for_error(), NotFoundError)
    file.write_text("two")
    watching.wait_for("k@v1", "k@v2")


def test_a_folder_that_is_made_anew_is_watched_on(
    repo: Repo, workplace: Path, watch: list[Watching]
) -> None:
    folder = workplace / "data"
    folder.mkdir()
    (folder / "a").write_text("1")
    watching = Watching(repo, folder)
    watch.append(watching)
    watching.wait_for("k@v1")
    for number, versions in ((2, ["k@v2", "k@v3"]), (4, ["k@v4", "k@v5"])):
        (folder / "a").unlink()
        folder.rmdir()
        if number == 2:
            assert isinstance(watching.wait_for_error(), ArtError)
        folder.mkdir()
        (folder / "a").write_text(f"{number}")
        known = [f"k@v{each}" for each in range(1, number)]
        watching.wait_for(*known, versions[0])
        (folder / "a").write_text(f"{number + 1}")
        watching.wait_for(*known, *versions)


def test_what_cannot_be_watched_is_told(repo: Repo, workplace: Path) -> None:
    with pytest.raises(UsageError, match="nothing to watch"):
        next(repo.watch(workplace / "nothing", "k"))
    with pytest.raises(UsageError, match="key"):
        repo.watch(workplace, "k//")
    with pytest.raises(UsageError, match="debounce"):
        next(repo.watch(workplace, "k", debounce=0))
