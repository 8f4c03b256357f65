"""Paths as objects: the file or folder there, never its text."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from art.errors import ConflictError, CorruptError, NotFoundError, UsageError
from art.materialize import find, named, paths

PATHS: Any = named("path")


def save(path: Path, folder: Path) -> dict[str, Any]:
    materializer: Any = find(path)
    assert materializer is PATHS
    folder.mkdir()
    return materializer.save(path, folder)  # type: ignore[no-any-return]


def back(path: Path, folder: Path) -> Path:
    return PATHS.load(folder, save(path, folder))  # type: ignore[no-any-return]


def everything(root: Path) -> dict[str, tuple[int, object]]:
    """Return mode and content of each file, folder and link below."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_symlink():
            found[path.relative_to(root).as_posix()] = (0, os.readlink(path))
        else:
            content = path.read_bytes() if path.is_file() else None
            found[path.relative_to(root).as_posix()] = (stat.S_IMODE(mode), content)
    return found


def test_a_file_comes_back_with_its_name_and_mode(workplace: Path, tmp_path: Path) -> None:
    path = workplace / "run me.sh"
    path.write_bytes(b"\x00#!/bin/sh\n")
    path.chmod(0o750)

    copy = back(Path("run me.sh"), tmp_path / "saved")
    path.unlink()
    assert (copy.name, copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == (
        "run me.sh",
        b"\x00#!/bin/sh\n",
        0o750,
    )
    assert PATHS.keeps({"name": "file"})


def test_a_folder_comes_back_with_links_modes_and_empty_folders(
    workplace: Path, tmp_path: Path
) -> None:
    data = workplace / "data"
    (data / "inner" / "empty").mkdir(parents=True)
    (data / "a.csv").write_text("a\n1\n")
    (data / "inner" / "run").write_text("x")
    (data / "inner" / "run").chmod(0o700)
    (data / "latest").symlink_to("a.csv")
    (data / "away").symlink_to("/nowhere/at/all")
    (data / "above").symlink_to("inner")
    (data / ".artignore").write_text("a.csv\n")
    (data / "inner").chmod(0o500)
    (data / os.fsdecode(b"caf\xe9")).write_text("latin")
    before = everything(data)

    copy = back(data, tmp_path / "saved")
    assert (copy.name, everything(copy)) == ("data", before)


def test_a_path_that_is_a_link_means_what_it_leads_to(workplace: Path, tmp_path: Path) -> None:
    (workplace / "data").mkdir()
    (workplace / "data" / "a").write_text("x")
    (workplace / "latest").symlink_to("data")

    copy = back(Path("latest"), tmp_path / "saved")
    assert (copy.name, copy.is_symlink(), everything(copy)) == (
        "latest",
        False,
        {"a": (0o644, b"x")},
    )


@pytest.mark.parametrize("path", [".", "../work", "inner/.."])
def test_a_path_without_a_name_has_that_of_its_folder(
    path: str, workplace: Path, tmp_path: Path
) -> None:
    (workplace / "inner").mkdir()
    assert back(Path(path), tmp_path / "saved").name == "work"


def test_the_kind_and_the_format_say_whether_it_is_a_file(workplace: Path, tmp_path: Path) -> None:
    (workplace / "a").write_text("x")
    assert (PATHS.kind_of(Path("a")), PATHS.kind_of(Path())) == ("file", "folder")
    assert (save(Path("a"), tmp_path / "1"), save(Path(), tmp_path / "2")) == (
        {"name": "file"},
        {"name": "folder"},
    )
    assert PATHS.preview(Path("a"))["text"] == "x"
    assert PATHS.preview(Path()) is None


@pytest.mark.parametrize("name", ["nothing", "file/inner", "dangling", "a\0b"])
def test_a_path_where_nothing_is_is_an_error(name: str, workplace: Path, tmp_path: Path) -> None:
    (workplace / "file").write_text("x")
    (workplace / "dangling").symlink_to("nothing")
    with pytest.raises(NotFoundError, match="there is no file or folder"):
        save(Path(name), tmp_path / "saved")


def test_a_text_that_names_a_file_is_a_text(workplace: Path) -> None:
    (workplace / "a.txt").write_text("x")
    assert find("a.txt").name == "value"


def test_a_path_of_a_class_of_its_own_is_refused() -> None:
    class Mine(type(Path())):  # type: ignore[misc]
        pass

    with pytest.raises(UsageError, match="would come back as its base"):
        find(Mine("a"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among its files")
def test_a_pipe_is_refused(workplace: Path, tmp_path: Path) -> None:
    os.mkfifo(workplace / "pipe")
    for number, path in enumerate((Path("pipe"), Path())):
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            save(path, tmp_path / str(number))


def test_a_folder_is_not_copied_into_itself(workplace: Path) -> None:
    with pytest.raises(UsageError, match="lies in it"):
        save(workplace, workplace / "saved")


def test_a_file_that_changes_meanwhile_is_a_conflict(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "a").write_text("x")
    copyfile = paths.shutil.copyfile

    def grow(source: Any, target: Any, **options: Any) -> Any:
        done = copyfile(source, target, **options)
        with open(source, "a") as stream:
            stream.write("more")
        return done

    monkeypatch.setattr(paths.shutil, "copyfile", grow)
    with pytest.raises(ConflictError, match="changed while it was read"):
        save(Path("a"), tmp_path / "saved")


def test_a_folder_that_holds_something_else_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptError):
        PATHS.load(tmp_path / "work", {"name": "file"})
    (tmp_path / "work" / "link").symlink_to("/etc")
    for format in ({"name": "folder"}, {"name": "file"}, {"name": "link"}, {}):
        with pytest.raises(CorruptError):
            PATHS.load(tmp_path / "work", format)
    (tmp_path / "work" / "a").write_text("x")
    with pytest.raises(CorruptError, match="a, link"):
        PATHS.load(tmp_path / "work", {"name": "file"})
