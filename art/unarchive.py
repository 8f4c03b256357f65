"""Taking an archive into a repository: what `archive` wrote, read once, with suspicion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from art import document as documents
from art.archive import END, HEAD, PART, folder_of, head_of, known_versions
from art.backend import LocalBackend
from art.beside import check_beside, is_beside
from art.catalog import VERSIONS, Log, parse_anonymous
from art.errors import ConflictError, CorruptError
from art.index import Index
from art.members import SHOWN, Member, Members, open_members
from art.merge import Ledger, Merger, Superseded, read_tail, superseded
from art.model import Manifest, Payload, check_progress, is_uid
from art.reporter import Reporter
from art.store import Store
from art.stored import StoredPayload
from art.tree import Node, check_path
from art.writer import ChunkHints, PayloadWriter

_IN_FOLDER = re.compile(r"(_anonymous/[^/]+|(?:[^/]+/)+?v[0-9]+)/(.+)", re.DOTALL)


@dataclass
class Imported:
    """What importing came to so far. `history` is the id of the archive's history, `renumbered` are own
    versions that gave their numbers to others: old and new reference; `without_payload` those that
    the archive has no files of. `superseded` are own moves of tags and changes of settings that have no
    effect any more."""

    history: str = ""
    versions: list[str] = field(default_factory=list)
    entries: int = 0
    renumbered: list[tuple[str, str]] = field(default_factory=list)
    without_payload: list[str] = field(default_factory=list)
    superseded: list[Superseded] = field(default_factory=list)


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
        with open_members(path) as found:
            members = Members(found)
            repository, done.history = self._check_head(members)
            ledger = Ledger(self._backend, repository)
            merger = Merger(self._backend, self._index, ledger, self._published)
            try:
                while members.take().name != END:
                    self._note_lacking(ledger, *self._group(members, merger, done))
            finally:
                ledger.save()
        return done

    def _check_head(self, members: Members) -> tuple[str, str]:
        """Return the ids of the repository that the archive is of, and of its history."""
        if members.next is None or members.next.name != HEAD:
            raise CorruptError("this is no archive of art export", hint="art create KEY FILE")
        head = documents.decode(members.document(), HEAD)
        ours = head_of(self._store)["chunking"]
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
        self, members: Members, merger: Merger, done: Imported
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
        self._index.ask(lambda index: known_versions(index, group.key))
        done.without_payload.extend(self._without_payload(group.key, manifests))
        return group.key, manifests.values()

    # -- payloads --------------------------------------------------------------------------------

    def _payloads(self, members: Members, manifests: dict[str, Manifest]) -> None:
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
                    f"{members.next.name[:SHOWN]!r} in the archive belongs to no version"
                )

    def _payload(
        self, members: Members, folder: str, tree: str, base: StoredPayload | None
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

    def _lines(self, members: Members, prefix: str, writer: PayloadWriter) -> Iterator[bytes]:
        while members.next and members.next.name.startswith(prefix):
            member = members.next
            path = member.name.removeprefix(prefix)
            try:
                check_path(path)
            except ValueError as error:
                raise CorruptError(f"the archive is damaged: {error}") from None
            yield self._node(path, member, writer).line()
            members.advance()

    def _node(self, path: str, member: Member, writer: PayloadWriter) -> Node:
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
            moved = {log.parse(item.new, item.data).uid for item in merged.renumbered}
            done.superseded += superseded(self._store.catalog, log, moved)

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
    members: Members, take_beside: Callable[[str, bytes], None], *, is_part: bool
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
        raise CorruptError(f"{members.take().name[:SHOWN]!r} in the archive is out of place")
    return group


def _is_version(found: tuple[str | None, Log | str, int]) -> bool:
    return isinstance(found[1], str) or found[1].name == VERSIONS


def _located(name: str) -> tuple[str | None, Log | str, int]:
    """Return the key of a document, its log or, of a keyless version, its uid, and its number."""
    if name.startswith("anonymous/"):
        return None, name.removeprefix("anonymous/").removesuffix(".yaml"), 0
    located = Log.of(name)
    if located is None:
        raise CorruptError(f"{name[:SHOWN]!r} in the archive is the name of no document")
    return located[0].key, *located
