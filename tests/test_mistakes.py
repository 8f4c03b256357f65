"""Paths in references, globs, keywords: what a user may get wrong must not be done silently."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import art
from art.errors import ConflictError, NotFoundError, UsageError
from art.repo import Repo


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    monkeypatch.chdir(tmp_path)
    repo = art.init(tmp_path)
    for name, mode in (("odd", 0o700), ("plain", 0o755)):
        folder = tmp_path / "d" / name
        folder.mkdir(parents=True)
        (folder / "f").write_text("1\n")
        folder.chmod(mode)
    repo.create("d", "d")
    return repo


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_path_is_refused_where_a_whole_version_is_meant(repo: Repo) -> None:
    for change in (
        lambda: repo.delete("d@v1/odd"),
        lambda: repo.version("d@v1/odd"),
        lambda: repo.tag("d@v1/odd", "prod"),
        lambda: repo.copy("d@v1/odd", "e"),
        lambda: repo.create("e", "d", inputs=["d@v1/odd"]),
    ):
        with pytest.raises(UsageError, match="names a path"):
            change()
    assert [record.ref for record in repo.listing()] == ["d@v1"]


def test_a_folder_gives_its_content_whether_it_has_a_line_of_its_own_or_not(
    repo: Repo, tmp_path: Path
) -> None:
    for name in ("odd", "plain"):
        repo.version("d").get(tmp_path / f"out-{name}", path=name)

        assert names(tmp_path / f"out-{name}") == ["f"]


def test_a_glob_takes_whole_folders(repo: Repo, tmp_path: Path) -> None:
    repo.version("d").get(tmp_path / "out", path="*")
    repo.version("d").get(tmp_path / "one", path="pl*")

    assert names(tmp_path / "out") == ["odd/f", "plain/f"]
    assert names(tmp_path / "one") == ["plain/f"]


def test_a_glob_does_not_follow_links_to_folders(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a.txt").write_text("1\n")
    (tmp_path / "g" / "up").symlink_to("..")

    made = repo.create("g", "g/**/*.txt")

    assert [node.path for node in made.version.files] == ["a.txt"]


def test_an_unknown_keyword_or_a_text_for_a_list_is_refused(repo: Repo) -> None:
    with pytest.raises(UsageError, match="lables"):
        repo.markdown("m", "x", lables=["a"])  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="expected a list"):
        repo.markdown("m", "x", labels="abc")
    with pytest.raises(UsageError, match="expected a text"):
        repo.markdown("m", "x", title=5)  # type: ignore[typeddict-item]
    with pytest.raises(UsageError, match="the key is of type int, expected a text"):
        repo.create(5, "d")  # type: ignore[arg-type]


def test_an_artifact_is_not_moved_into_another_one(repo: Repo) -> None:
    repo.markdown("m", "x")

    with pytest.raises(ConflictError, match="versions of its own"):
        repo.move("d", "m")
    assert [record.ref for record in repo.listing()] == ["d@v1", "m@v1"]


def test_a_name_that_no_key_has_is_not_an_empty_listing(repo: Repo) -> None:
    with pytest.raises(NotFoundError):
        repo.listing("nosuch")
    assert repo.listing("nosuch*") == []


def test_a_path_without_selector_is_explained(repo: Repo) -> None:
    with pytest.raises(NotFoundError) as caught:
        repo.version("d/odd")
    assert caught.value.hint == "a path in a version: d@latest/odd"


def test_a_reference_that_is_there_already_is_left_alone(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("1\n2\n")
    version = repo.reference("r", "r.txt").version

    assert version.get().unchanged == 1


def test_packs_of_killed_processes_are_used_again(repo: Repo, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "big").write_bytes(data)
    made = repo.create("big", "big")
    assert made.stored_bytes > 300_000
    for name in ("manifests/big", "layouts", "index.sqlite"):
        path = tmp_path / ".art" / name
        path.rename(tmp_path / name.replace("/", "-"))

    again = Repo(tmp_path).create("other", "big")

    assert again.stored_bytes < 10_000


def test_a_damaged_pack_is_found_with_its_versions_and_can_be_mended(
    repo: Repo, tmp_path: Path
) -> None:
    data = os.urandom(100_000)
    (tmp_path / "big").write_bytes(data)
    for key in ("a", "b"):
        repo.create(key, "big")
    (pack,) = [p for p in (tmp_path / ".art/packs").rglob("*.pack") if p.stat().st_size > 90_000]
    damaged = bytearray(pack.read_bytes())
    damaged[50_000] ^= 1
    pack.write_bytes(damaged)

    assert not [f for f in repo.doctor() if f.level == "error"]
    (finding,) = [f for f in repo.doctor(data=True) if f.level == "error"]

    assert "a@v1, b@v1" in finding.message
    assert pack.name in finding.message
    assert "move it out" in str(finding.hint)
    pack.rename(tmp_path / "away.pack")
    repo.create("c", "big")
    for key in ("a", "b", "c"):
        assert Repo(tmp_path).version(key).read() == data


@pytest.mark.parametrize(
    "about",
    [
        {"labels": ["a b"]},
        {"tags": ["latest"]},
        {"inputs": ["nothing"]},
        {"inputs": ["k@@"]},
        {"metadata": {"a": object()}},
        {"metadata": {"a": "x" * (1 << 20)}},
        {"partitions": {"a b": "c"}},
        {"title": "\ud800"},
        {"type": "No Type"},
        {"message": 1},
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_stored(
    repo: Repo, tmp_path: Path, about: dict[str, Any]
) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n" * 1000)
    data = tmp_path / "data.csv"
    works: list[Callable[[], object]] = [
        lambda: repo.create("k", data, **about),
        lambda: repo.create_stream("k", io.BytesIO(b"x" * 100_000), **about),
        lambda: repo.markdown("k", "x" * 100_000, **about),
        lambda: repo.table("k", data, **about),
        lambda: repo.reference("k", data, **about),
        lambda: repo.progress("k", 1, **about),
    ]

    packs = list((repo.root / ".art").rglob("*.pack"))
    for work in works:
        with pytest.raises(art.ArtError):
            work()

    assert list((repo.root / ".art").rglob("*.pack")) == packs
    assert repo.keys() == ["d"]
