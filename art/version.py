"""One version, with its payload at hand."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from art import bundle, checkout
from art.catalog import NOTES
from art.checkout import Checkout, Got
from art.errors import (
    REPAIR,
    CorruptError,
    NotFoundError,
    UsageError,
)
from art.index import Index
from art.keys import is_glob
from art.model import Document, Entry, Manifest, Payload, is_uid, preview_of
from art.paths import at_or_below, file_target, named_nodes, relative
from art.place import without_gc
from art.referred import Referred
from art.reporter import Reporter
from art.rows import Record
from art.store import Store
from art.stored import StoredPayload
from art.tree import Node

if TYPE_CHECKING:
    from art.surplus import Surplus
    from art.tables import Table

_LOOK_BACK = 1000


@dataclass(frozen=True)
class Progress:
    """The value of a progress artifact: percent, how often it was set, when last."""

    value: float
    sequence: int
    updated: str
    message: str | None


def read_progress(store: Store, uid: str) -> Progress:
    """Return the value of the progress artifact with this uid. Raise CorruptError."""
    found = store.catalog.progress(uid)
    if found is None:
        raise CorruptError(f"progress/{uid}.yaml is missing", hint=REPAIR)
    return Progress(found["value"], found["sequence"], str(found["created"]), found.get("message"))


class Elsewhere(Protocol):
    """Where payloads are that are not here."""

    def bring(self, record: Record) -> None:
        """Bring the payload of a version here. Raise NotFoundError where it is nowhere."""

    def peek(self, record: Record) -> StoredPayload:
        """Return it to read parts of it where it is. Raise NotFoundError where it is nowhere."""

    def beside(self, name: str) -> bytes | None:
        """Return a preview, or the record of a run, verified; None where no remote has it."""


class Version:
    """An immutable version. Its description has later notes applied; `manifest` is as published.

    Everything read from the payload is verified before it is handed out; CorruptError says that it
    is not what was stored.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        reporter: Reporter,
        record: Record,
        manifest: Manifest,
        elsewhere: Callable[[], Elsewhere | None] = lambda: None,
    ) -> None:
        self._store = store
        self._elsewhere = elsewhere
        self._index = index
        self._reporter = reporter
        self._stored: StoredPayload | None = None
        self._peeked: StoredPayload | None = None
        self.record = record
        self.manifest = manifest
        # Called before content is handed out; raises where it must not be.
        self.guard: Callable[[], object] = lambda: None
        # The folder or URL of its repository, where that is known.
        self.place: str | None = None
        # How another process gets it, where that can be told.
        self.again: Callable[[], Version] | None = None

    def __repr__(self) -> str:
        return f"<Version {self.ref} {self.id[:15]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and (self.id, self.ref) == (other.id, other.ref)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Callable[[], Version], tuple[()]]:
        """A version that is pickled is looked up where it is read, in the same repository."""
        if self.again is None:
            raise TypeError(f"{self!r} cannot be pickled: pass its reference")
        return self.again, ()

    # -- what it is ------------------------------------------------------------------------------

    @property
    def key(self) -> str | None:
        """None for a keyless version."""
        return self.record.key

    @property
    def number(self) -> int | None:
        return self.record.number

    @property
    def id(self) -> str:
        """`b3:` and 64 hex digits: the digest of the manifest."""
        return self.manifest.id

    @property
    def ref(self) -> str:
        """`key@vN`, or the id of a keyless version."""
        return self.record.ref

    @property
    def type(self) -> str:
        return self.manifest.type

    @property
    def created(self) -> str:
        """UTC, as `2026-11-21T08:30:00.000000Z`."""
        return self.manifest.created

    @property
    def author(self) -> str:
        return self.manifest.author

    @property
    def title(self) -> str | None:
        return self.record.title

    @property
    def description(self) -> str | None:
        return self.record.description

    @property
    def labels(self) -> list[str]:
        return self.record.labels

    @property
    def metadata(self) -> Document:
        return self.record.metadata

    @property
    def partitions(self) -> dict[str, str]:
        return self.record.partitions

    @property
    def tags(self) -> list[str]:
        return self.record.tags

    @property
    def state(self) -> str:
        return self.record.state

    @property
    def inputs(self) -> list[Document]:
        return self.manifest.inputs

    @property
    def run(self) -> Document | None:
        return self.manifest.document.get("run")

    @property
    def run_record(self) -> Document | None:
        """How the run that made it ended, and all that it read and made; None as long as it goes on, or
        where that is neither here nor at a remote."""
        id = (self.run or {}).get("id")
        if not is_uid(id):
            return None
        from art.loading import run_record

        elsewhere = self._elsewhere()
        return run_record(
            self._store.backend, str(id), elsewhere.beside if elsewhere else lambda _: None
        )

    @property
    def format(self) -> Document:
        return self.manifest.format

    @property
    def payload(self) -> Payload | None:
        return self.manifest.payload

    @property
    def size(self) -> int | None:
        """Bytes of the payload; None where there is none or it is not known."""
        return self.record.size

    @property
    def document(self) -> Document:
        """The manifest as it stands in the file, without its checksum."""
        return self.manifest.document

    @property
    def notes(self) -> list[Entry]:
        """What was said of it later, oldest first."""
        entries = self._index.fresh_log(self.key, NOTES)
        return [entry for entry in entries if entry.version_id == self.id]

    @property
    def progress(self) -> Progress | None:
        """The value of a progress artifact, None for anything else."""
        if self.type != "progress":
            return None
        return read_progress(self._store, self.manifest.uid)

    @property
    def link(self) -> tuple[str, str] | None:
        """URL and text of a link, None for anything else."""
        if self.type != "link" or not self.payload or self.payload.inline is None:
            return None
        self.guard()
        return self.payload.inline, str(self.format.get("text") or self.payload.inline)

    # -- reading ---------------------------------------------------------------------------------

    @property
    def files(self) -> list[Node]:
        """The nodes of the payload's tree in the order of their paths; empty without a tree."""
        return list(self.iter_files())

    def iter_files(self, path: str = "") -> Iterator[Node]:
        """Yield the nodes at a path, below it, or matching a glob; of everything by default.

        A name that looks like a glob and is there is that name.
        """
        if not self.payload or self.payload.tree is None:
            return
        yield from named_nodes(self._part(), path)

    def node(self, path: str | None = None) -> Node:
        """Return one file's node; without a path, that of the only file."""
        return self._node_of(self._part, path)

    def _node_of(self, payload: Callable[[], StoredPayload], path: str | None) -> Node:
        if not self.payload or self.payload.tree is None:
            raise self._no_path(path or "")
        if path is None:
            files = [node for node in payload().tree() if node.is_file]
            if len(files) == 1:
                return files[0]
            raise UsageError(
                f"{self.ref} has {len(files)} files, one must be named",
                hint=f"art cat {self.ref}/PATH",
            )
        if node := payload().node(path):
            return node
        is_inside = at_or_below(path)
        if any(is_inside(node.path) for node in payload().tree()):
            raise UsageError(f"{self.ref}/{path} is a folder", hint=f"art get {self.ref}/{path}")
        raise self._no_path(path)

    def chunks(self, path: str | None = None) -> Iterator[bytes]:
        """Yield the content in verified parts; without a path, of the only file or the text."""
        payload = self.payload
        if payload is None:
            raise UsageError(
                f"{self.ref} is a {self.type} without content", hint=f"art inspect {self.ref}"
            )
        self.guard()
        if payload.tree is None and path:
            raise self._no_path(path)
        if payload.inline is not None:
            yield self._inline()
        elif payload.url is not None:
            yield from self._referred(payload, payload.url).content()
        else:
            part = self._part()
            node = self._node_of(lambda: part, path)
            if not node.is_file:
                raise UsageError(f"{self.ref}/{node.path} is no file", hint=f"art get {self.ref}")
            yield from part.content(node)

    def read(self, path: str | None = None) -> bytes:
        """Return the content of one file, or the text."""
        return b"".join(self.chunks(path))

    def text(self, path: str | None = None) -> str:
        """Return the content as UTF-8 text. Raise UsageError where it is none."""
        try:
            return self.read(path).decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.ref} is not text in UTF-8 ({error.reason})") from None

    def open(self, path: str | None = None) -> BinaryIO:
        """Return the content as a file to read from; each part is verified before it is given."""
        return cast(BinaryIO, io.BufferedReader(_Reader(self.chunks(path)), 1 << 17))

    def rows(self, limit: int | None = None) -> Table:
        """Return the rows of a table artifact; of a frame of pandas, the index comes first."""
        from art import tabledata, tables

        if self.type != "table":
            raise UsageError(f"{self.ref} is a {self.type}, not a table")
        name = tabledata.declared(self.format) or tables.table_format(self.node().path)
        known_rows = self.format.get("rows")
        return tabledata.read(self.open(), name, limit=limit, known_rows=known_rows)

    def load(self, *, pickle: bool = False) -> Any:
        """Return the object that was saved, equal to what it was; of a version that was made otherwise
        what it holds: a text, a value, a table's rows, a path to a copy of its files.

        Nothing in the payload is run, but of a pickle, which needs `pickle`. Raise UsageError where
        there is nothing to load, NotFoundError where the materializer is not installed, CorruptError.
        """
        from art.loading import load

        if self.progress is not None:
            return self.progress.value
        return load(self, pickle=pickle)

    @property
    def preview(self) -> Document | None:
        """What was noted of the content when it was saved: head and statistics of a table, shape and
        range of an array … None where nothing was, or it cannot be had. The payload is not read."""
        digest = preview_of(self.manifest.document)
        if not digest or self.manifest.is_stub:
            return None
        from art.loading import preview

        self.guard()
        elsewhere = self._elsewhere()
        return preview(
            self._store.backend, digest, elsewhere.beside if elsewhere else lambda _: None
        )

    # -- taking out ------------------------------------------------------------------------------

    def get(
        self,
        to: str | os.PathLike[str] | None = None,
        *,
        path: str = "",
        force: bool = False,
        archive: str | None = None,
    ) -> Got:
        """Take the payload, or what `path` names in it (a file, a folder, a glob), out to the disk.

        A single file goes to `to`, or into it where that is a folder; a folder's content goes into
        the folder `to`. Files that are right are left alone; changed ones are overwritten only with
        `force`. With `archive`, "tar" or "zip", everything goes into a new file. Nothing is ever
        written outside the target. Raise ConflictError, NotFoundError or CorruptError.
        """
        payload = self.payload
        if payload is None:
            raise UsageError(
                f"{self.ref} is a {self.type} without content", hint=f"art inspect {self.ref}"
            )
        self.guard()
        if payload.tree is None:
            if archive:
                raise UsageError(f"{self.ref} is a {self.type}: only files go into archives")
            return self._get_plain(payload, to, path, force=force)
        if path and not archive and not self.is_here and not is_glob(path):
            part = self._part()  # one file need not bring all others here
            found = part.node(path)
            if found and found.is_file:
                found = found._replace(path=os.path.basename(path))
                target = file_target(to, found.path)
                return self._checkout(target, part).file(found, force=force)
        with without_gc(self._store.backend):
            return self._get_files(to, path, force=force, archive=archive)

    def _get_files(
        self, to: str | os.PathLike[str] | None, path: str, *, force: bool, archive: str | None
    ) -> Got:
        self.bring()
        named = (
            list(islice(relative(self.iter_files(path), path), 2)) if path else None
        )  # they may be a million
        if named == [] and next(self.iter_files(path), None) is None:
            raise self._no_path(path)
        nodes = relative(self.iter_files(path), path) if path else self.iter_files()
        if archive:
            target = Path(to) if to is not None else Path(f"{self._name()}.{archive}")
            return bundle.archive(self._payload(), nodes, target, archive, self.created)
        single = self._single(path, named)
        if single:
            return self._checkout(file_target(to, single.path)).file(single, force=force)
        target = Path(to) if to is not None else Path(self._folder_name(path))
        return self._checkout(target).folder(nodes, force=force)

    def surplus(self, to: str | os.PathLike[str] | None = None, *, path: str = "") -> Surplus:
        """Return what lies in the folder that `get` takes this out to and is not part of it, to be
        removed, or not. Raise UsageError where that is no folder, ConflictError where the folder
        holds a repository."""
        from art.surplus import find_surplus

        tree = self.payload and self.payload.tree
        named = list(relative(self.iter_files(path), path)) if path and tree else None
        if not tree or self._single(path, named):
            raise UsageError(f"{self.ref} is not taken out to a folder, which could be made exact")
        target = Path(to) if to is not None else Path(self._folder_name(path))
        return find_surplus(target, self.iter_files() if named is None else named)

    def _single(self, path: str, nodes: list[Node] | None) -> Node | None:
        """Return the node that is to be taken out as a file of its own."""
        if nodes is None and self.payload and self.payload.file is not None:
            return self.node()
        if nodes and len(nodes) == 1 and not nodes[0].is_dir:
            return nodes[0] if nodes[0].path == os.path.basename(path) else None
        return None

    def _folder_name(self, path: str) -> str:
        if is_glob(path):
            return "."
        return os.path.basename(path) if path else self._name()

    @property
    def default_name(self) -> str:
        """What it is called where it is taken out and nobody says how."""
        return self._name()

    def _name(self) -> str:
        return self.key.rpartition("/")[2] if self.key else self.id[3:15]

    def _checkout(self, target: Path, payload: StoredPayload | None = None) -> Checkout:
        jobs = self._store.objects.jobs
        stored = payload or self._payload()
        return Checkout(stored, target, self._reporter, self._find_stored, jobs)

    def _get_plain(
        self, payload: Payload, to: str | os.PathLike[str] | None, path: str, *, force: bool
    ) -> Got:
        """Take out a text or what a reference names."""
        if path:
            raise self._no_path(path)
        if payload.url is not None:
            return self._referred(payload, payload.url).get(to, self._name(), force=force)
        suffix = {"markdown": ".md", "json": ".json", "link": ".url"}.get(self.type, ".txt")
        target = file_target(to, self._name() + suffix)
        return checkout.write_file(target, self._inline(), force=force)

    def _referred(self, payload: Payload, url: str) -> Referred:
        return Referred(self._store, self._reporter, self.record, payload, url)

    def _inline(self) -> bytes:
        from blake3 import blake3

        payload = cast(Payload, self.payload)
        data = str(payload.inline).encode()
        if blake3(data).hexdigest() != payload.b3:
            raise CorruptError(f"{self.ref} is damaged: its text does not match", hint=REPAIR)
        return data

    @property
    def is_here(self) -> bool:
        """Whether the payload is in this repository, or there is none that would have to be."""
        tree = self.payload.tree if self.payload else None
        if self._stored is None and tree is not None:
            self._stored = self._store.objects.stored(tree)
        return tree is None or self._stored is not None

    @property
    def may_be_fetched(self) -> bool:
        """Whether the payload is not here, and there is a remote that may have it."""
        return not self.is_here and self._elsewhere() is not None

    def _payload(self) -> StoredPayload:
        """Return the payload, brought here first where it is at a remote only."""
        if not self.is_here and (elsewhere := self._elsewhere()):
            elsewhere.bring(self.record)
        if not self.is_here:
            if self.record.state == "swept":
                raise NotFoundError(
                    f"the bytes of {self.ref} were freed by gc, after it was deleted or pruned",
                    hint=f"art log {self.key}" if self.key else None,
                )
            raise CorruptError(
                f"the payload of {self.ref} is not in this repository", hint="art fsck --repair"
            )
        assert self._stored is not None
        return self._stored

    def bring(self) -> None:
        """Bring the payload here from a remote, where it is not. Raise NotFoundError where none has it,
        or what the remote raises."""
        if self.payload and self.payload.tree:
            self._payload()

    def _part(self) -> StoredPayload:
        """Return the payload to look at its tree or read one file: that need not bring the rest here."""
        if self._peeked is None and not self.is_here and (elsewhere := self._elsewhere()):
            self._peeked = elsewhere.peek(self.record)
        return self._peeked or self._payload()

    def _find_stored(self, digests: set[str]) -> set[str]:
        """Return which of these digests of files some version of this key holds."""
        found: set[str] = set()
        records = self._index.ask(lambda index: index.versions(self.key, limit=_LOOK_BACK))
        for record in records:
            if not digests - found:
                break
            with contextlib.suppress(CorruptError):  # what is damaged counts as not stored
                stored = self._store.objects.stored(record.payload) if record.payload else None
                if stored:
                    found |= digests.intersection(node.b3 for node in stored.tree())
        return found

    def _no_path(self, path: str) -> NotFoundError:
        return NotFoundError(f"{self.ref} has no file {path!r}", hint=f"art inspect {self.ref}")


class _Reader(io.RawIOBase):
    """Verified parts as a raw stream."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = part
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
