"""Versions with their history in one plain tar or zip file, and back (docs/archives.md).

Names in an archive: what a person wants is `KEY/vN/files/…`; below `.art/` lie, under the names they
have in a store, the manifests and logs of a key before its files, or, below `.art/parts/`, those of
single versions. Both ways go through it once and hold the documents of one key at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from art import document as documents
from art.backend import LocalBackend
from art.beside import names_beside, read_beside
from art.bundle import write_archive
from art.catalog import NOTES, VERSIONS, Log, manifest_name
from art.checkout import Got
from art.errors import ArtError, CorruptError, NotFoundError, UsageError
from art.index import Index
from art.merge import read_tail
from art.model import FORMAT, Document, Manifest, new_uid, now
from art.objects import layout_directory
from art.rows import Record
from art.store import Store
from art.stored import StoredPayload
from art.tree import Node

HEAD, END, PART = ".art/archive.yaml", ".art/end", ".art/parts/"
_KINDS = {".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".zip": "zip"}
_LIKE_VERSION = re.compile(r"(?<![^/])(?=v[0-9]+(/|$))")
_NO_FILES = ("swept", "purged", "damaged")

Item = tuple[Node, "_Bytes | StoredPayload", str]


def kind_of(path: Path) -> str:
    """Return which kind of archive a name means. Raise UsageError."""
    for ending, kind in _KINDS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise UsageError(
        f"{path.name!r} is no name of an archive: {', '.join(_KINDS)} are", hint=f"{path}.tar"
    )


def folder_of(record_key: str | None, number: int | None, uid: str) -> str:
    """Return where the files of a version lie in an archive. A part of a key that looks like a version
    gets a `!`, so that no two versions have the same place."""
    if record_key is None:
        return f"_anonymous/{uid}"
    return f"{_LIKE_VERSION.sub('!', record_key)}/v{number}"


# -- writing ---------------------------------------------------------------------------------------


class _Bytes:
    """The content of a document."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def content(self, node: Node) -> Iterator[bytes]:
        yield self._data


class Exporter:
    """Writes versions of one repository into an archive."""

    def __init__(
        self,
        store: Store,
        index: Index,
        backend: LocalBackend,
        bring: Callable[[Record], None],
    ) -> None:
        """`bring` makes a payload be here that is at a remote; NotFoundError where it is nowhere."""
        self._store = store
        self._index = index
        self._backend = backend
        self._bring = bring
        self._keys: set[str | None] = set()
        self._given: set[str] = set()  # previews and records of runs that were written
        self.left: list[str] = []
        """Deleted versions of which the archive has no files, as they are nowhere any more."""
        self.damaged: dict[str, ArtError] = {}
        """Versions and keys that the archive has nothing of, or no files, and why."""
        self._is_careful = False
        self._is_trying = False

    def weigh(self, keys: list[str | None], single: list[Record]) -> tuple[int, int]:
        """Return how many files `write` would write, and how many bytes those are, unpacked: every
        version has all of its own."""
        records = [
            r for key in keys for r in self._index.ask(partial(known_versions, key=key))
        ] + single
        self._keys = set(keys)
        weighed = [
            r
            for r in records
            if r.payload and r.state not in _NO_FILES and not self._is_moved_within(r)
        ]
        return sum(r.files or 0 for r in weighed), sum(r.size or 0 for r in weighed)

    def write(self, target: Path, keys: list[str | None], single: list[Record]) -> Got:
        """Write keys with all their history, None for all that is keyless, and single versions. What is
        damaged is left out, unless it is all there is."""
        kind = kind_of(target)
        self._keys = set(keys)
        try:
            return write_archive(self._items(keys, single), target, kind)
        except (CorruptError, NotFoundError):
            if len(single) == 1 and not keys:
                raise
        self._is_careful = True  # looks at all of a version before it begins to write it
        self.left.clear()
        self._given.clear()
        return write_archive(self._items(keys, single), target, kind)

    def _checked(self, name: str, make: Callable[[], Iterator[Item]]) -> Iterator[Item]:
        """Yield some items, none of them where one is damaged and that was met before."""
        if self._is_careful:
            self._is_trying = True
            try:
                for node, content, _ in make():
                    for _part in content.content(node) if node.is_file else ():
                        pass
            except (CorruptError, NotFoundError) as error:
                self.damaged[name] = error
                return
            finally:
                self._is_trying = False
        yield from make()

    def _items(self, keys: list[str | None], single: list[Record]) -> Iterator[Item]:
        yield _document(HEAD, documents.encode(head_of(self._store)))
        for key in keys:
            yield from self._key(key)
        for record in single:
            yield from self._checked(record.ref, partial(self._single, record))
        yield _document(END, b"")

    def _key(self, key: str | None) -> Iterator[Item]:
        records = self._index.ask(lambda index: known_versions(index, key))[::-1]
        name = "what is keyless" if key is None else key
        yield from self._checked(name, partial(self._documents, key, records))
        if name in self.damaged:
            return
        for record in records:
            yield from self._checked(record.ref, partial(self._files, record))

    def _documents(self, key: str | None, records: list[Record]) -> Iterator[Item]:
        logs = [Log(key, name) for name in self._store.catalog.logs(key)]
        if key is None:
            for record in records:
                name = f"anonymous/{record.uid}.yaml"
                yield self._copied(name)
        else:
            logs.insert(0, Log(key, VERSIONS))
        for log in logs:
            for number, item in enumerate(read_tail(self._backend, log, 0), 1):
                yield _document(f".art/{log.file(number)}", item.data)
        for record in records:
            yield from self._beside(record)

    def _single(self, record: Record) -> Iterator[Item]:
        log = Log(record.key, NOTES)
        name = (
            f"anonymous/{record.uid}.yaml"
            if record.key is None
            else manifest_name(record.key, record.number or 0)
        )
        yield self._copied(name, PART)
        for number, item in enumerate(read_tail(self._backend, log, 0), 1):
            if documents.decode(item.data, log.file(number)).get("id") == record.id:
                yield _document(f"{PART}{log.file(number)}", item.data)
        yield from self._beside(record)
        yield from self._files(record)

    def _copied(self, name: str, place: str = ".art/") -> Item:
        return _document(f"{place}{name}", self._backend.read(name, 0, documents.READ_LIMIT))

    def _beside(self, record: Record) -> Iterator[Item]:
        """Yield what is not in the manifest of a version, and not in its payload."""
        names = [] if record.state in _NO_FILES else names_beside(self._manifest(record).document)
        for name in [each for each in names if each not in self._given]:
            try:
                data = read_beside(self._backend, name)
            except (FileNotFoundError, CorruptError):
                continue  # it may be missing
            if not self._is_trying:
                self._given.add(name)
            yield _document(f".art/{name}", data)
        if record.type == "progress" and self._store.catalog.progress(record.uid):
            yield self._copied(f"progress/{record.uid}.yaml")

    def _files(self, record: Record) -> Iterator[Item]:
        folder = folder_of(record.key, record.number, record.uid)
        if record.payload is None:
            payload = self._manifest(record).payload
            if payload and payload.inline is not None:
                yield _document(f"{folder}/text", payload.inline.encode())
            elif payload and payload.url is not None:
                yield _document(f"{folder}/reference", payload.url.encode())
            return
        if not self._has_files(record):
            return
        stored = self._store.objects.stored(record.payload)
        assert stored, "it was brought"
        for node in stored.tree():
            yield node._replace(path=f"{folder}/files/{node.path}"), stored, record.created

    def _has_files(self, record: Record) -> bool:
        """Whether the files of a version are here, or come from a remote. What can be restored may be
        nowhere, without its being damage; what was moved has them under its new key."""
        if self._is_moved_within(record):
            return False
        if record.is_live:
            self._bring(record)
        elif record.state == "deleted":
            try:
                self._bring(record)
            except (NotFoundError, CorruptError):
                if self._backend.names(layout_directory(record.payload or "")):
                    raise  # it is damaged
                if record.ref not in self.left:
                    self.left.append(record.ref)
                return False
        return self._store.objects.stored(record.payload or "") is not None

    def _is_moved_within(self, record: Record) -> bool:
        """Whether a version was moved, and the archive has its files under its new key."""
        if record.state != "moved":
            return False
        users = self._index.ask(lambda index: index.payload_users(record.payload or ""))
        return any(user.is_live and user.key in self._keys for user in users)

    def _manifest(self, record: Record) -> Manifest:
        if record.key is None:
            return self._store.catalog.anonymous(record.uid)
        if record.state == "damaged":
            raise CorruptError(f"{record.ref} is damaged", hint="art doctor")
        return self._store.catalog.manifest(record.key, record.number or 0)


def known_versions(index: Index, key: str | None) -> list[Record]:
    index.refresh_all() if key is None else index.refresh(key)
    return index.versions(key)


def _document(name: str, data: bytes) -> Item:
    return Node(name, 0o644, len(data)), _Bytes(data), now()


def head_of(store: Store) -> Document:
    chunking = store.chunking
    sizes = {"min": chunking.min, "average": chunking.average}
    sizes |= {"max": chunking.max, "whole": chunking.whole}
    return {
        "art": FORMAT,
        "uid": new_uid(),
        "created": now(),
        "repository": store.id,
        "history": store.history,
        "chunking": {"algorithm": "fastcdc-2020", **sizes},
    }
