"""What a user can see of a repository, and the commands that change it: for tests that disturb them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import art
from art.errors import ArtError
from art.listing import Filter
from art.repo import Repo

Shape = dict[str, bytes]


def random_bytes(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


# Sizes at which storing takes another way: nothing, inside a chunk, at its limit, cut, a chunk list.
SIZES = (0, 1, 4096, 65536, 65537, 200_000)
FILES: Shape = {
    **{f"size-{size}": random_bytes(size, size) for size in SIZES},
    "text": b"line of text\n" * 9000,
}


def write(folder: Path, files: Shape) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def content(repo: Repo, ref: str) -> Shape:
    """Return everything a version holds, as paths and bytes."""
    version = repo.version(ref)
    if version.payload is None:
        return {}
    if version.payload.inline is not None:
        return {"": version.read()}
    return {node.path: version.read(node.path) for node in version.files if node.is_file}


@dataclass(frozen=True)
class State:
    """Everything a user can see of a repository."""

    versions: dict[str, tuple[str, Shape]]
    tags: dict[str, str]
    progress: dict[str, float]


def look(repo: Repo) -> State:
    versions: dict[str, tuple[str, Shape]] = {}
    progress = {}
    keys = {record.key for record in repo.listing(filter=Filter(all=True))}
    keys |= {record.key for record in repo.listing(filter=Filter(deleted=True))}
    for key in sorted(filter(None, keys)):
        for record in repo.history(key):
            shape = content(repo, record.ref) if record.is_live else {}
            versions[record.ref] = (record.state, shape)
            if record.is_live and record.type == "progress":
                value = repo.version(record.ref).progress
                assert value is not None
                progress[record.ref] = value.value
    tags = {
        f"{key}@{tag}": version.ref
        for key in filter(None, keys)
        for tag, version in repo.tags(key).items()
    }
    return State(versions, tags, progress)


def is_between(state: State, before: State, after: State) -> bool:
    """Whether everything seen is as it was before a command or as it is after it."""
    return all(
        found in (old.get(name), new.get(name))
        for now, old, new in (
            (state.versions, before.versions, after.versions),
            (state.tags, before.tags, after.tags),
            (state.progress, before.progress, after.progress),
        )
        for name in {*now, *old, *new}
        for found in [now.get(name)]
    )


Command = Callable[[Repo, Path], object]

COMMANDS: dict[str, Command] = {
    "create a folder": lambda repo, data: repo.create("new/folder", data),
    "create a file": lambda repo, data: repo.create("new/file", data / "size-200000"),
    "create the next version": lambda repo, data: repo.create("data", data, title="next"),
    "create with a tag": lambda repo, data: repo.create("data", data, tags=["next", "prod"]),
    "create a text": lambda repo, _: repo.markdown("new/text", "# Text"),
    "create a value": lambda repo, _: repo.value("data", 0.5),
    "create from an earlier version": lambda repo, data: repo.create(
        "data", base="data@v1", add=[f"added={data}/size-65537"], remove=["text"]
    ),
    "create without content": lambda repo, _: repo.create("new/note", title="a note"),
    "tag": lambda repo, _: repo.tag("data@v1", "prod"),
    "tag anew": lambda repo, _: repo.tag("data@v1", "fresh"),
    "take a tag away": lambda repo, _: repo.untag("data", "prod"),
    "note": lambda repo, _: repo.note("data@v1", title="later", add_labels=["seen"]),
    "delete": lambda repo, _: repo.delete("data", force=True),
    "delete one": lambda repo, _: repo.delete("data@v1"),
    "restore": lambda repo, _: repo.restore("gone@v1"),
    "move": lambda repo, _: repo.move("data", "moved/here"),
    "copy": lambda repo, _: repo.copy("data", "copied/here"),
    "copy a progress": lambda repo, _: repo.copy("bar", "copied/bar"),
    "make a progress": lambda repo, _: repo.progress("new/bar", 40),
    "set a progress": lambda repo, _: repo.progress("bar", 40),
}


def make_template(root: Path) -> Path:
    """Make a repository in which a bit of everything is, and `data` beside it, to be stored next."""
    data = root / "data"
    write(data, {name: FILES[name] for name in ("size-1", "size-65537", "text")})
    with art.init(root) as repo:
        repo.create("data", data)
        write(data, FILES)
        repo.create("data", data, tags=["prod"])
        repo.create("gone", data / "text")
        repo.delete("gone")
        repo.progress("bar", 10)
        repo.value("value", 1)
    write(data, {"size-1": b"x", "new": random_bytes(300_000, 3), "sub/n": random_bytes(70_000, 4)})
    return root


def states_around(command: Command, template: Path, root: Path) -> tuple[State, State]:
    """Return what there is before and after a command that nothing disturbs."""
    shutil.copytree(template, root, symlinks=True)
    with Repo(root) as repo:
        before = look(repo)
        command(repo, root / "data")
        return before, look(repo)


def check_recovery(command: Command, root: Path, before: State, after: State, where: str) -> None:
    """Check a repository after a command was stopped: everything is as before or as after it, another
    command works, and the same command again completes it."""
    with Repo(root) as repo:
        state = look(repo)
        assert is_between(state, before, after), where
        repo.create("next", root / "data" / "size-200000")
        assert content(repo, "next@v1") == {"size-200000": FILES["size-200000"]}, where
        try:
            command(repo, root / "data")
        except ArtError:
            assert state == after, f"{where}: it was not done, and cannot be repeated"
    (root / ".art" / "index.sqlite").unlink()
    with Repo(root) as repo:  # what the files say, not what the index remembers
        again = look(repo)
        del again.versions["next@v1"]
        assert again == after, where
