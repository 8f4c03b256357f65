"""Values and helpers that several test modules share."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from art.catalog import Catalog
from art.database import Database
from art.index import Index
from art.model import Chunking
from art.objects import ObjectStore
from art.repo import Repo
from art.stored import StoredPayload
from art.tree import Node
from art.writer import ChunkHints, NoHints, PayloadWriter, Written

UID = "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10"
ID = "b3:" + "6f1ed002" * 8


def manifest_document(**fields: Any) -> dict[str, Any]:
    """Return the document of a small manifest."""
    return {
        "art": 1,
        "uid": UID,
        "key": "sales/report",
        "type": "note",
        "created": "2026-11-21T08:30:00.000000Z",
        "author": "ana@build-7",
    } | fields


def digest_of(data: bytes) -> bytes:
    return blake3(data).digest()


SMALL = Chunking(min=64, average=256, max=1024, whole=512)  # many chunks of few bytes


def file_lines(writer: PayloadWriter, files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the lines of these files, storing their contents, in the order of their paths."""
    for path in sorted(files):
        b3, size, chunks, is_list = writer.add_file(io.BytesIO(files[path]).read)
        yield Node(path, 0o644, size, b3, chunks, is_list).line()


def put_files(
    objects: ObjectStore,
    files: Mapping[str, bytes],
    base: StoredPayload | None = None,
    hints: ChunkHints | None = None,
) -> Written:
    """Store a payload of these files."""
    with PayloadWriter(objects, base, hints or NoHints()) as writer:
        return writer.finish(file_lines(writer, files))


def put_nodes(objects: ObjectStore, nodes: Iterable[Node], contents: Iterable[bytes] = ()) -> str:
    """Store a payload whose tree has exactly these nodes, however hostile; return its digest."""
    with PayloadWriter(objects, None, NoHints()) as writer:
        for content in contents:
            writer.add(content)
        return writer.finish(node.line() for node in nodes).payload


def stored(objects: ObjectStore, payload: str) -> StoredPayload:
    found = objects.stored(payload)
    assert found, f"payload {payload[:8]} is not stored"
    return found


def get_files(objects: ObjectStore, payload: str) -> dict[str, bytes]:
    """Return path and content of every file of a payload."""
    found = stored(objects, payload)
    return {node.path: b"".join(found.content(node)) for node in found.tree() if node.is_file}


def run_together(works: list[Callable[[], None]]) -> None:
    """Run these in threads; raise what one of them raises."""
    problems: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - it is raised below
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def view(repo: Repo) -> list[str]:
    """Return all that the repository's index says of every version, in the order of references."""
    return repo._index.ask(_view)


def fresh_view(repo: Repo) -> list[str]:
    """Return the same as the files say, read by an index that knows nothing yet."""
    return _view(Index(Database(None, repo.id), Catalog(repo._backend)))


def _view(index: Index) -> list[str]:
    index.refresh_all()
    assert not index.problems, index.problems
    return sorted(f"{record.ref} {record}" for record in index.everything() + index.versions(None))


Disk = dict[str, tuple[str, int, bytes | str]]


def disk(folder: Path) -> Disk:
    """Return kind, mode, and content or target of everything in a folder, by path."""
    found: Disk = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(mode):
            found[name] = ("link", 0, os.readlink(path))
        elif stat.S_ISDIR(mode):
            found[name] = ("folder", mode & 0o777, "")
        else:
            found[name] = ("file", mode & 0o777, path.read_bytes())
    return found


def lay_out(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files, by path, into a folder that is made; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
