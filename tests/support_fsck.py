"""A repository with everything in it and a remote that has it all, to be damaged in every way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from art.errors import ArtError
from art.repo import Repo
from tests.support_damage import CONTENTS, files_of, make_damage_template
from tests.support_state import content

# One or more files of each kind, by what their names hold.
KINDS = {
    "manifest": ("manifests/data/",),
    "inline manifest": ("manifests/text/",),
    "keyless manifest": ("anonymous/",),
    "tag": ("refs/data/_tags/",),
    "note": ("refs/data/_notes/",),
    "state": ("refs/gone/_state/",),
    "progress": ("progress/",),
    "layout": ("layouts/",),
    "pack": (".pack",),
    "checkpoint": ("checkpoints/",),
}


def _flip(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(data) // 2] ^= 4
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flip": _flip,
    "flip at the end": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncate": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "zero": lambda data: bytes(len(data)),
    "extend": lambda data: data + b"x",
    "delete": lambda data: None,
}
LOCAL = (
    "sync",
    "tmp",
    "locks",
    "quarantine",
    "index.sqlite",
    "index.sqlite-journal",
    "config.yaml",
)


def make_fsck_template(root: Path) -> Path:
    """Make `repo`, `remote` beside it with all that is in it, and in both a log with a checkpoint."""
    make_damage_template(root / "repo")
    with Repo(root / "repo") as repo:
        for number in range(65):
            repo.value("many", number)
        repo.remotes.add("origin", str(root / "remote"))
        repo.push()
        assert not repo.fsck(data=True).problems
        assert not repo.fsck(data=True, remote="origin").problems
    shutil.rmtree(root / "repo/.art/sync/fsck.json", ignore_errors=True)
    return root


def fresh(template: Path, root: Path) -> Path:
    """Return a copy of both at `root`."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    config = root / "repo/.art/config.yaml"
    config.write_text(config.read_text().replace(str(template / "remote"), str(root / "remote")))
    for path in (root / "repo/.art").glob("index.sqlite*"):
        path.unlink()
    return root


def damage(path: Path, how: str) -> None:
    changed = DAMAGES[how](path.read_bytes())
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(changed)


def stored_files(place: Path) -> dict[str, bytes]:
    """Return all files of a store but what is local only."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.relative_to(place).parts[0] not in LOCAL
    }


def unreadable(repo: Repo) -> Iterator[str]:
    """Yield the references whose content cannot be had as it was."""
    for ref, expected in CONTENTS.items():
        try:
            if content(repo, ref) != expected:
                raise AssertionError(f"{ref} has other content")
        except ArtError:
            yield ref


def of_kind(place: Path, kind: str) -> list[Path]:
    """Return the files of a kind, below the folder that `files_of` takes."""
    if (place / ".art").is_dir():
        return files_of(place, *KINDS[kind])
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return [path for path in found if all(part in path.as_posix() for part in KINDS[kind])]
