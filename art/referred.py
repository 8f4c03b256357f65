"""What a reference names, compared with what was recorded when the version was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from art import checkout, reference
from art.caching import fingerprint
from art.checkout import Got
from art.errors import ConflictError, CorruptError, NotFoundError
from art.memory import NoMemory
from art.model import Payload
from art.paths import file_target
from art.reporter import Reporter
from art.rows import Record
from art.staging import beside
from art.store import Store
from art.tree import Node
from art.worktree import Ingest, Source, measured_node
from art.writer import TreeHasher


class Referred:
    """What the reference of one version names. Raise CorruptError where it is another by now."""

    def __init__(
        self, store: Store, reporter: Reporter, record: Record, payload: Payload, url: str
    ) -> None:
        self._store = store
        self._reporter = reporter
        self._record = record
        self._payload = payload
        self._url = url

    def get(self, to: str | os.PathLike[str] | None, name: str, *, force: bool) -> Got:
        """Take it out to `to`, a folder to one of this `name` by default."""
        source = reference.local_path(self._url)
        if source is not None and source.is_dir():
            return self._get_folder(source, Path(os.path.abspath(name if to is None else to)))
        target = file_target(to, reference.base_name(self._url))
        if os.path.lexists(target):
            if self._payload.checksum == f"b3:{checkout.file_digest(target)}":
                return Got(target, 0, 1, target.stat().st_size)
            if not force:
                raise ConflictError(f"{target} is there and differs", hint="--force overwrites it")
        with beside(target) as temporary:
            fetched = f"{temporary}/file"
            size, b3 = reference.fetch(self._url, fetched, self._payload.size)
            self._check(size, f"b3:{b3}")
            checkout.place(fetched, str(target), replace=force)
        return Got(target, 1, 0, size)

    def _get_folder(self, source: Path, target: Path) -> Got:
        if os.path.lexists(target):
            raise ConflictError(f"{target} exists", hint="name another target")
        nodes: list[Node] = []  # it may be anything by now, and any size, so it is looked at first
        self._check_folder(str(source), nodes.append)
        with beside(target) as temporary:
            copy = os.path.join(temporary, "folder")
            checkout.copy_nodes(nodes, str(source), copy)
            files, size = self._check_folder(copy)
            checkout.place(copy, str(target), replace=True)
        return Got(target, files, 0, size)

    def _check_folder(
        self, path: str, found: Callable[[Node], None] | None = None
    ) -> tuple[int, int]:
        """Return number of files and bytes of a folder that is what was recorded."""
        limit = self._payload.size or 0
        files, size, digest = hash_folder(self._store, self._reporter, path, limit, found)
        self._check(size, f"tree:{digest}")
        return files, size

    def _check(self, size: int, checksum: str) -> None:
        payload, record = self._payload, self._record
        if (payload.size is not None and size != payload.size) or payload.checksum not in (
            None,
            checksum,
        ):
            raise CorruptError(
                f"{self._url} has changed since {record.ref} was made: {size} bytes with {checksum[:18]}, "
                f"expected {payload.size} with {str(payload.checksum)[:18]}",
                hint=f"art create {record.key or 'KEY'} --reference {self._url}",
            )

    def content(self) -> Iterator[bytes]:
        """Yield the content of a file, once all of it was compared with what was recorded."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="art-") as folder:
            fetched = f"{folder}/file"
            size, b3 = reference.fetch(self._url, fetched, self._payload.size)
            self._check(size, f"b3:{b3}")
            with open(fetched, "rb") as file:
                while block := file.read(1 << 20):
                    yield block


def hash_folder(
    store: Store,
    reporter: Reporter,
    path: str,
    limit: int | None = None,
    found: Callable[[Node], None] | None = None,
) -> tuple[int, int, str]:
    """Return number of files, bytes and the digest of the tree of a folder, storing nothing; `found`
    is called with each node. Raise CorruptError where there are more than `limit` bytes."""
    with TreeHasher(store.objects) as hasher:
        ingest = Ingest(hasher, NoMemory(), reporter)

        def lines() -> Iterator[bytes]:
            for line in ingest.lines([Source(os.path.abspath(path), "")]):
                if limit is not None and ingest.size > limit:
                    raise CorruptError(f"{path} has changed: it has more than {limit} bytes")
                if found is not None:
                    found(measured_node(line))
                yield line

        digest = hasher.digest(lines())
    return ingest.files, ingest.size, digest


def content_digest(store: Store, reporter: Reporter, path: str) -> str:
    """Return the digest of what is read through a path: of the file or folder that it leads to, and of
    what links in that folder lead to outside. Raise NotFoundError where there is neither."""
    digest = _content_digest(store, reporter, os.path.realpath(path), frozenset())
    if not digest:
        raise NotFoundError(f"there is no file or folder {path!r} to depend on")
    return digest


def _content_digest(store: Store, reporter: Reporter, path: str, above: frozenset[str]) -> str:
    """Return nothing where there is nothing; `above` are the folders whose links led here."""
    if not os.path.isdir(path):
        return f"b3:{checkout.file_digest(path)}" if os.path.isfile(path) else ""
    links: list[str] = []

    def note(node: Node) -> None:
        if node.link is not None:
            links.append(node.path)

    digest = f"tree:{hash_folder(store, reporter, path, found=note)[2]}"
    inside = above | {path}
    beyond = {}
    for link in links:
        target = os.path.realpath(os.path.join(path, link))
        if not any(Path(target).is_relative_to(folder) for folder in inside):
            beyond[link] = _content_digest(store, reporter, target, inside)
    return f"{digest}+{fingerprint(beyond)}" if beyond else digest
