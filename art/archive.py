"""Versions with their history in one plain tar or zip file, and back (docs/archives.md).

Names in an archive: what a person wants is `KEY/vN/files/…`; below `.art/` lie, under the names they
have in a store, the manifests and logs of a key before its files, or, below `.art/parts/`, those of
single versions. Both ways go through it once and hold the documents of one key at a time.
"""

from __future__ import annotations

import errno
import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from art import document as documents
from art.backend import LocalBackend
from art.beside import check_beside, is_beside, names_beside, read_beside
from art.catalog import NOTES, VERSIONS, Log, manifest_name, parse_anonymous
from art.checkout import Got, write_archive
from art.errors import ArtError, ConflictError, CorruptError, NotFoundError, UsageError
from art.index import Index, Record
from art.merge import Ledger, Merger, read_tail
from art.model import FORMAT, Document, Manifest, Payload, check_progress, is_uid, new_uid, now
from art.objects import StoredPayload, layout_directory
from art.reporter import Reporter
from art.store import Store
from art.tree import Node, check_path
from art.writer import ChunkHints, PayloadWriter

HEAD, END, PART = ".art/archive.yaml", ".art/end", ".art/parts/"
_KINDS = {".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".zip": "zip"}
_LINK_LIMIT = 1 << 16
_LIKE_VERSION = re.compile(r"(?<![^/])(?=v[0-9]+(/|$))")
_IN_FOLDER = re.compile(r"(_anonymous/[^/]+|(?:[^/]+/)+?v[0-9]+)/(.+)", re.DOTALL)
_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_SHOWN = 200  # letters of what an archive says, in messages
_HEADER_LIMIT = 1 << 20  # of what a tar file says about one member
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others take memory as they please
_UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError,
)  # fmt: skip
# What libraries raise for headers that cannot be.
_IMPOSSIBLE = (ValueError, LookupError, OverflowError, RecursionError, struct.error)

_NO_FILES = ("swept", "purged", "damaged")

Item = tuple[Node, "_Bytes | StoredPayload", str]


@dataclass
class Imported:
    """What importing came to so far. `history` is the id of the archive's history, `renumbered` are own
    versions that gave their numbers to others: old and new reference; `without_payload` those that
    the archive has no files of."""

    history: str = ""
    versions: list[str] = field(default_factory=list)
    entries: int = 0
    renumbered: list[tuple[str, str]] = field(default_factory=list)
    without_payload: list[str] = field(default_factory=list)


def kind_of(path: Path) -> str:
    """Return which kind of archive a name means. Raise UsageError."""
    for ending, kind in _KINDS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise UsageError(f"{path.name!r} is no name of an archive: {', '.join(_KINDS)} are")


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
        records = [r for key in keys for r in self._index.ask(partial(_known, key=key))] + single
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
        yield _document(HEAD, documents.encode(_head(self._store)))
        for key in keys:
            yield from self._key(key)
        for record in single:
            yield from self._checked(record.ref, partial(self._single, record))
        yield _document(END, b"")

    def _key(self, key: str | None) -> Iterator[Item]:
        records = self._index.ask(lambda index: _known(index, key))[::-1]
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


def _known(index: Index, key: str | None) -> list[Record]:
    index.refresh_all() if key is None else index.refresh(key)
    return index.versions(key)


def _document(name: str, data: bytes) -> Item:
    return Node(name, 0o644, len(data)), _Bytes(data), now()


def _head(store: Store) -> Document:
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


# -- reading ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Member:
    name: str
    node: Node
    stream: BinaryIO | None


@contextmanager
def _members(path: Path) -> Iterator[Iterator[_Member]]:
    """Yield the members of an archive one by one; each is read before the next is asked for."""
    try:
        with path.open("rb") as file:
            beginning = file.read(2)  # a tar file may well end as a zip file does
        if beginning == _ZIP:
            with _parsing():
                bundle = zipfile.ZipFile(path)
            with bundle:
                yield (_from_zip(bundle, info) for info in bundle.infolist())
        else:
            with (gzip.open if beginning == _GZIP else open)(path, "rb") as file:
                yield _from_tar(_Bounded(file))
    except FileNotFoundError:
        raise NotFoundError(f"there is no {str(path)!r}") from None
    except _UNREADABLE as error:
        raise CorruptError(f"{path} cannot be read as an archive: {str(error)[:_SHOWN]}") from error


@contextmanager
def _parsing() -> Iterator[None]:
    """Give what libraries raise for impossible headers one name."""
    try:
        yield
    except ArtError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset that cannot be
            raise
        raise tarfile.ReadError("an offset in it is damaged") from error
    except _IMPOSSIBLE as error:
        raise tarfile.ReadError(f"a header in it is damaged ({error})") from error


class _Bounded:
    """The bytes of a tar file. A header that goes on and on, perhaps packed into little, is refused:
    its library would hold it in memory."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = file
        self.is_in_header = True
        self.header_size = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.header_size += len(data)
        if self.is_in_header and self.header_size > _HEADER_LIMIT:
            raise CorruptError(f"a header in the archive has more than {_HEADER_LIMIT} bytes")
        return data

    @contextmanager
    def header(self) -> Iterator[None]:
        """What is read meanwhile is a header."""
        self.is_in_header, self.header_size = True, 0
        with _parsing():
            yield
        self.is_in_header = False


def _from_tar(source: _Bounded) -> Iterator[_Member]:
    with source.header():
        tar = tarfile.open(  # noqa: SIM115
            fileobj=source,  # type: ignore[call-overload]
            mode="r|",
            errors="surrogateescape",
        )
    with tar:
        while True:
            with source.header():
                info = tar.next()
            if info is None:
                return
            tar.members.clear()  # they may be millions
            yield _tar_member(tar, info)


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    node = Node(info.name, info.mode & 0o777, info.size)
    if info.issym():
        return _Member(info.name, Node(info.name, link=info.linkname), None)
    if info.isdir():
        return _Member(info.name, node._replace(size=0, is_dir=True), None)
    if info.isreg():
        return _Member(info.name, node, tar.extractfile(info))  # type: ignore[arg-type]
    raise CorruptError(f"{info.name[:_SHOWN]!r} in the archive is no file, folder or link")


def _from_zip(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    if info.flag_bits & 1:
        raise CorruptError(f"{info.filename[:_SHOWN]!r} in the archive is encrypted")
    if info.compress_type not in _METHODS:
        raise CorruptError(f"{info.filename[:_SHOWN]!r} in the archive is not packed with deflate")
    mode = info.external_attr >> 16
    name = info.filename.rstrip("/")
    node = Node(name, stat.S_IMODE(mode) & 0o777, info.file_size)
    if info.filename.endswith("/"):
        return _Member(name, node._replace(size=0, is_dir=True), None)
    with _parsing():
        stream = bundle.open(info)
    if stat.S_ISLNK(mode):
        link = stream.read(_LINK_LIMIT).decode("utf-8", "surrogateescape")
        return _Member(name, Node(name, link=link), None)
    return _Member(name, node, stream)  # type: ignore[arg-type]


class _Members:
    """The members, with a look at the next one."""

    def __init__(self, members: Iterator[_Member]) -> None:
        self._members = members
        self.next = next(members, None)

    def take(self) -> _Member:
        """Return the next member, whose content is read before `advance`."""
        if self.next is None:
            raise CorruptError("the archive ends too early; what came before it is imported")
        return self.next

    def advance(self) -> None:
        self.next = next(self._members, None)

    def document(self) -> bytes:
        """Return the content of the next member, a document, and go on."""
        member = self.take()
        if member.stream is None:
            raise CorruptError(f"{member.name[:_SHOWN]!r} in the archive is no file")
        data = member.stream.read(documents.READ_LIMIT)
        self.advance()
        return data


@dataclass
class _Group:
    """The documents of one key, or of what is keyless, by log and number."""

    key: str | None
    logs: dict[Log, dict[int, bytes]] = field(default_factory=dict)
    keyless: dict[str, bytes] = field(default_factory=dict)
    progress: dict[str, bytes] = field(default_factory=dict)

    def manifests(self) -> dict[str, Manifest]:
        """Return the manifests by the folder of their files. Raise CorruptError."""
        found: dict[str, Manifest] = {}
        for log, items in self.logs.items():
            for number, data in items.items() if log.name == VERSIONS else ():
                manifest = log.parse(number, data)
                assert isinstance(manifest, Manifest)
                found[folder_of(self.key, number, manifest.uid)] = manifest
        for uid, data in self.keyless.items():
            found[folder_of(None, None, uid)] = parse_anonymous(uid, data)
        return found


class Importer:
    """Takes an archive into one repository."""

    def __init__(
        self,
        store: Store,
        index: Index,
        backend: LocalBackend,
        hints: ChunkHints,
        reporter: Reporter,
        published: Iterable[Ledger] = (),
    ) -> None:
        """`published` says what remotes have: their numbers are final."""
        self._store = store
        self._index = index
        self._backend = backend
        self._hints = hints
        self._reporter = reporter
        self._published = list(published)

    def read(self, path: Path) -> Imported:
        """Take in an archive, key by key: payloads first, each verified, then versions, then what was
        said of them. Raise CorruptError or ConflictError at the first key that cannot be taken in,
        when all before it are."""
        done = Imported()
        with _members(path) as found:
            members = _Members(found)
            repository, done.history = self._check_head(members)
            ledger = Ledger(self._backend, repository)
            merger = Merger(self._backend, self._index, ledger, self._published)
            try:
                while members.take().name != END:
                    self._note_lacking(ledger, *self._group(members, merger, done))
            finally:
                ledger.save()
        return done

    def _check_head(self, members: _Members) -> tuple[str, str]:
        """Return the ids of the repository that the archive is of, and of its history."""
        if members.next is None or members.next.name != HEAD:
            raise CorruptError("this is no archive of art export", hint="art create KEY FILE")
        head = documents.decode(members.document(), HEAD)
        ours = _head(self._store)["chunking"]
        if head.get("chunking") != ours:
            raise ConflictError(
                "the archive is of a repository that cuts files otherwise, so its payloads would get "
                f"other digests here: {head.get('chunking')}, here {ours}",
                hint="art clone makes a repository that cuts files as another one does",
            )
        repository, history = head.get("repository"), head.get("history")
        if not is_uid(repository) or not is_uid(history):
            raise CorruptError(
                f"{HEAD} in the archive is damaged: it does not say of which repository"
            )
        return str(repository), str(history)

    def _note_lacking(self, ledger: Ledger, key: str | None, manifests: Iterable[Manifest]) -> None:
        """Note which deleted versions came without files, so that nobody takes that for damage. It is not
        said in their log: whoever has the bytes may well restore them."""
        for manifest in manifests:
            if manifest.payload and self._is_missing(manifest.payload):
                found = self._index.ask(partial(Index.by_id, prefix=manifest.id, key=key))
                if any(record.state == "deleted" for record in found):
                    ledger.note_without_bytes(manifest.uid)

    def _group(
        self, members: _Members, merger: Merger, done: Imported
    ) -> tuple[str | None, Iterable[Manifest]]:
        """Take in a key: its documents, which come first, and its files. Return key and manifests."""
        is_part = members.take().name.startswith(PART)
        group = _read_documents(members, self._take_beside, is_part=is_part)
        manifests = group.manifests()
        self._payloads(members, manifests)
        self._empty(manifests)
        self._reporter.start(f"taking in {group.key or 'keyless versions'}")
        for uid, data in group.keyless.items():
            if self._backend.create(f"anonymous/{uid}.yaml", data):
                done.versions.append(parse_anonymous(uid, data).id)
        for log in sorted(group.logs, key=lambda log: log.name != VERSIONS):
            if is_part:
                self._append(log, list(group.logs[log].values()), done)
            else:
                self._merge(merger, log, group.logs[log], done)
        self._take_progress(group)
        self._index.ask(lambda index: _known(index, group.key))
        done.without_payload.extend(self._without_payload(group.key, manifests))
        return group.key, manifests.values()

    # -- payloads --------------------------------------------------------------------------------

    def _payloads(self, members: _Members, manifests: dict[str, Manifest]) -> None:
        base: StoredPayload | None = None
        while members.next and not members.next.name.startswith(".art/"):
            located = _IN_FOLDER.match(members.next.name)
            folder, rest = located.groups() if located else ("", "")
            payload = manifests[folder].payload if folder in manifests else None
            if payload and payload.tree is None and rest in ("text", "reference"):
                members.advance()  # the manifest has it, too
            elif payload and payload.tree and rest.startswith("files/"):
                base = self._payload(members, folder, payload.tree, base)
            else:
                raise CorruptError(
                    f"{members.next.name[:_SHOWN]!r} in the archive belongs to no version"
                )

    def _payload(
        self, members: _Members, folder: str, tree: str, base: StoredPayload | None
    ) -> StoredPayload | None:
        self._reporter.start(f"reading {folder}")
        base = self._store.objects.stored(tree) or base  # then nothing is stored again
        with PayloadWriter(self._store.objects, base, self._hints) as writer:
            written = writer.finish(self._lines(members, f"{folder}/files/", writer))
        if written.payload != tree:
            raise CorruptError(
                f"the files in {folder} are not those of the version: their tree has the digest "
                f"{written.payload[:16]}…, expected {tree[:16]}…"
            )
        return self._store.objects.stored(tree)

    def _lines(self, members: _Members, prefix: str, writer: PayloadWriter) -> Iterator[bytes]:
        while members.next and members.next.name.startswith(prefix):
            member = members.next
            path = member.name.removeprefix(prefix)
            try:
                check_path(path)
            except ValueError as error:
                raise CorruptError(f"the archive is damaged: {error}") from None
            yield self._node(path, member, writer).line()
            members.advance()

    def _node(self, path: str, member: _Member, writer: PayloadWriter) -> Node:
        if member.stream is None:
            return member.node._replace(path=path)
        b3, size, chunks, is_list = writer.add_file(member.stream.read)
        self._reporter.advance(files=1, size_bytes=size)
        return Node(path, member.node.mode, size, b3, chunks, is_list)

    def _empty(self, manifests: dict[str, Manifest]) -> None:
        """Store the trees without any node, of which an archive shows nothing."""
        for payload in filter(None, (manifest.payload for manifest in manifests.values())):
            if payload.tree and not payload.files and self._is_missing(payload):
                with PayloadWriter(self._store.objects, None, self._hints) as writer:
                    writer.finish(iter(()))

    def _is_missing(self, payload: Payload) -> bool:
        return payload.tree is not None and self._store.objects.stored(payload.tree) is None

    def _without_payload(self, key: str | None, manifests: dict[str, Manifest]) -> Iterator[str]:
        for manifest in manifests.values():
            if manifest.payload and self._is_missing(manifest.payload):
                found = self._index.ask(partial(Index.by_id, prefix=manifest.id, key=key))
                yield from (record.ref for record in found if record.is_live)

    # -- documents -------------------------------------------------------------------------------

    def _merge(self, merger: Merger, log: Log, items: dict[int, bytes], done: Imported) -> None:
        if sorted(items) != list(range(1, len(items) + 1)):
            raise CorruptError(f"{log.directory} in the archive has gaps")
        merged = merger.merge(log, 1, [items[number] for number in sorted(items)])
        if log.name == VERSIONS:
            done.versions.extend(f"{log.key}@v{number}" for number, _ in merged.added)
            done.renumbered.extend(
                (f"{log.key}@v{each.old}", f"{log.key}@v{each.new}") for each in merged.renumbered
            )
        else:
            done.entries += len(merged.added)

    def _append(self, log: Log, contents: list[bytes], done: Imported) -> None:
        """Append documents of single versions that are not in a log yet, as they are."""
        for data in contents:
            while True:
                present = read_tail(self._backend, log, 0)
                number = len(present) + 1
                if log.parse(number, data).uid in {item.uid for item in present}:
                    break
                if self._backend.create(log.file(number), data):
                    if log.name == VERSIONS:
                        done.versions.append(f"{log.key}@v{number}")
                    else:
                        done.entries += 1
                    break

    def _take_progress(self, group: _Group) -> None:
        for uid, data in group.progress.items():
            name = f"progress/{uid}.yaml"
            theirs = documents.decode(data, name)
            check_progress(theirs, name)
            if theirs["uid"] != uid:
                raise CorruptError(f"{name} in the archive is about something else")
            ours = self._store.catalog.progress(uid)
            if not ours or theirs["sequence"] > ours["sequence"]:
                self._store.catalog.write_progress(theirs)

    def _take_beside(self, name: str, data: bytes) -> None:
        """Take in a preview, or the record of a run, at once: there may be many."""
        check_beside(name, data)
        self._backend.create(name, data)


def _read_documents(
    members: _Members, take_beside: Callable[[str, bytes], None], *, is_part: bool
) -> _Group:
    """Read the documents of the next key. Single versions are a group each."""
    place = PART if is_part else ".art/"
    group: _Group | None = None
    while members.next and members.next.name.startswith(".art/") and members.next.name != END:
        name = members.next.name
        if name.startswith(".art/progress/") and group is not None:
            uid = name.removeprefix(".art/progress/").removesuffix(".yaml")
            group.progress[uid] = members.document()
            continue
        if group is not None and is_beside(name.removeprefix(".art/")):
            take_beside(name.removeprefix(".art/"), members.document())
            continue
        if name.startswith(PART) != is_part:
            break
        found = _located(name.removeprefix(place))
        if group is not None and (found[0] != group.key or (is_part and _is_version(found))):
            break
        group = group or _Group(found[0])
        _, log, number = found
        data = members.document()
        if isinstance(log, Log):
            group.logs.setdefault(log, {})[number] = data
        else:
            group.keyless[log] = data
    if group is None:
        raise CorruptError(f"{members.take().name[:_SHOWN]!r} in the archive is out of place")
    return group


def _is_version(found: tuple[str | None, Log | str, int]) -> bool:
    return isinstance(found[1], str) or found[1].name == VERSIONS


def _located(name: str) -> tuple[str | None, Log | str, int]:
    """Return the key of a document, its log or, of a keyless version, its uid, and its number."""
    if name.startswith("anonymous/"):
        return None, name.removeprefix("anonymous/").removesuffix(".yaml"), 0
    located = Log.of(name)
    if located is None:
        raise CorruptError(f"{name[:_SHOWN]!r} in the archive is the name of no document")
    return located[0].key, *located
