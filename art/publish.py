"""Making versions: payload first, then the manifest, then the index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from blake3 import blake3

from art import model, previews, runs
from art.about import (
    About,
    HasRef,
    check_about,
    check_distant,
    check_labels,
    check_partitions,
    check_text,
    ref_of,
)
from art.backend import Lock
from art.catalog import manifest_directory
from art.document import SIZE_LIMIT, encode
from art.edit import Edit
from art.errors import REPAIR, CorruptError, UsageError
from art.evidence import published_number
from art.index import Index
from art.keys import check_key, check_tag, check_type
from art.memory import Memory
from art.model import Document, Manifest, Payload, new_uid, now
from art.ref import Ref
from art.reporter import Reporter
from art.resolve import Resolver
from art.rows import Record
from art.settings import KeySettings, Settings
from art.store import Store
from art.stored import StoredPayload
from art.worktree import Ingest, Source
from art.writer import ChunkHints, NoHints, PayloadWriter, Written

_FEW = 100  # inputs that have room in any manifest
_ROOM = SIZE_LIMIT - SIZE_LIMIT // 8  # bytes of a manifest that its inputs may fill


@dataclass(frozen=True)
class Draft:
    """What is said of a version that is to be made: checked, with its inputs found. Its type is that
    of its content where `type` is None. `default_tags` are those that its key is declared to have: they
    move to what is new. With `first` it is made only where its key has none yet."""

    key: str | None
    type: str | None
    fields: Document
    tags: tuple[str, ...]
    default_tags: tuple[str, ...]
    message: str | None
    always: bool
    first: bool = False


@dataclass(frozen=True)
class Content:
    """A payload that is stored, and how to read it. `prepare` gets the uid before the manifest is
    there, for what a reader of the version looks for beside it. `preview` gives the bytes of one,
    which is asked for when there is to be a new version."""

    type: str
    payload: Payload | None
    format: Document | None = None
    files: int = 0
    reused: int = 0
    written: Written | None = None
    remember: Callable[[str], None] | None = None
    prepare: Callable[[str], None] | None = None
    preview: Callable[[], bytes | None] | None = None


@dataclass(frozen=True)
class Prepared:
    """A version that could be made: its payload is stored, its manifest written and published nowhere.

    `same` is the version that there is already with the same description.
    """

    key: str
    document: Document
    id: str
    same: Publication | None


@dataclass(frozen=True)
class Publication:
    """What publishing came to. `number` is None for a keyless version.

    `created` is False where the latest version of the same partitions had the same description already.
    `lost` counts the numbers that other writers took first.
    """

    manifest: Manifest
    number: int | None
    created: bool
    lost: int


class Publisher:
    """Makes versions in one store."""

    def __init__(
        self,
        store: Store,
        index: Index,
        memory: Memory,
        reporter: Reporter,
        author: str,
        held: Lock | None = None,
    ) -> None:
        """`held` is kept as long as the publisher is: a lock, say."""
        self._held = held
        self._store = store
        self._index = index
        self._memory = memory
        self._reporter = reporter
        self._author = author
        self._resolver = Resolver(store, index)
        self._settings = KeySettings(store, index, author)
        # Whether everything is stored again, as what is there already may be damaged.
        self.is_fresh = False
        self.place: str | None = None  # the repository, as runs of another one name it
        # Called with a manifest that is to be published, and with one that was: for hooks.
        self.before: Callable[[Document], None] = lambda document: None
        self.after: Callable[[Manifest, int | None], None] = lambda manifest, number: None

    def release(self) -> None:
        """Let go of what is held, at once: nothing is made with it any more."""
        if self._held:
            self._held.release()

    # -- payloads --------------------------------------------------------------------------------

    def expect(self, key: str | None, sources: list[Source], type: str | None = None) -> None:
        """Raise ConflictError where a version of these files, unless it is said to be of another `type`,
        would not be of that which was declared: before they are read, which may take long."""
        if key is not None:
            kind = "file" if _single(sources) else "folder"
            self._settings.known(key).check_type(type or kind)

    def files(self, sources: list[Source], key: str | None) -> Content:
        """Store files and folders from the disk."""
        with self._writer(self._latest_payload(key)) as writer:
            ingest = Ingest(writer, self._memory, self._reporter)
            written = writer.finish(ingest.lines(sources))
        return self._content(ingest, written, _single(sources))

    def stream(self, stream: BinaryIO, name: str, key: str | None) -> Content:
        """Store one file that comes as a stream."""
        with self._writer(self._latest_payload(key)) as writer:
            ingest = Ingest(writer, self._memory, self._reporter)
            written = writer.finish(ingest.stream_line(name, stream))
        return self._content(ingest, written, name)

    def text(self, text: str, name: str, type: str, format: Document) -> Content:
        """Store a text: in the manifest where it is small, as a file elsewhere."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the text is not valid Unicode ({error.reason})") from None
        if len(data) > model.INLINE_LIMIT:
            import io

            return replace(self.stream(io.BytesIO(data), name, None), type=type, format=format)
        return Content(
            type, Payload(inline=text, size=len(data), b3=blake3(data).hexdigest()), format
        )

    def edited(self, base: Record, sources: list[Source], removed: tuple[str, ...]) -> Content:
        """Store an earlier version's tree with files added, replaced and removed."""
        stored = self._store.objects.stored(base.payload) if base.payload else None
        if stored is None:
            raise UsageError(f"{base.ref} has no files to start from")
        edit = Edit(stored, sources, removed, base.ref)
        with self._writer(stored) as writer:
            ingest = Ingest(writer, self._memory, self._reporter)
            added = ingest.lines(sources) if sources else iter(())
            written = writer.finish(edit.lines(writer, added))
        edit.check_all_used()
        old = self._resolver.manifest(base).payload
        was_file = old is not None and old.file is not None
        file = edit.single_file if was_file else None
        payload = Payload(
            tree=written.payload, size=edit.size, files=edit.files, file=_readable(file)
        )
        kind = "folder" if was_file and file is None else base.type
        content = self._content(ingest, written, None)
        return replace(content, type=kind, payload=payload, files=edit.files)

    def _content(self, ingest: Ingest, written: Written, file: str | None) -> Content:
        payload = Payload(
            tree=written.payload, size=ingest.size, files=ingest.files, file=_readable(file)
        )
        kind = "file" if file is not None else "folder"
        return Content(kind, payload, None, ingest.files, ingest.reused, written, ingest.remember)

    def _writer(self, base: StoredPayload | None) -> PayloadWriter:
        if self.is_fresh:
            return PayloadWriter(self._store.objects, None, NoHints())
        return PayloadWriter(self._store.objects, base, self._hints())

    def _hints(self) -> ChunkHints:
        self._memory.learn_packs()
        return self._memory if self._memory.has_chunks() else NoHints()

    def _latest_payload(self, key: str | None) -> StoredPayload | None:
        """Return the payload of the latest version: what is in it need not be stored again."""
        if key is None:
            return None
        _, latest = self._latest(key)
        if latest is None or latest.payload is None:
            return None
        try:
            return self._store.objects.stored(latest.payload)
        except CorruptError as error:
            self._reporter.warn(f"{error.message}; everything is stored anew")
            return None

    def _latest(self, key: str) -> tuple[int, Record | None]:
        """Return the highest number of a key, and its latest live version, which may be newer."""

        def ask(index: Index) -> tuple[int, list[Record]]:
            index.refresh(key)
            number = index.latest_number(key)  # first: what comes after it is compared with, too
            damaged = index.damaged(key)
            live = index.versions(key, live=True, limit=1)
            if damaged and (not live or (damaged.number or 0) > (live[0].number or 0)):
                self._reporter.warn(f"{damaged.title}; the new version is made all the same")
                live = []
            return number, live

        number, found = self._index.ask(ask)
        return number, found[0] if found else None

    # -- manifests -------------------------------------------------------------------------------

    def draft(self, key: str | None, about: About, kind: str | None = None) -> Draft:
        """Check all that is said of a version, before anything is read or stored for it; tell of what is
        probably a mistake. `kind` is the type of its content, where that is known already."""
        draft = self.check(key, about, (kind,) if kind else ())
        self._warn_of_mistakes(draft)
        return draft

    def check(self, key: str | None, about: About, types: Iterable[str] = ()) -> Draft:
        """Do the same before it is known whether there is to be a version; `types` are those that it may
        be of. Raise UsageError, or ConflictError for what is not as it was declared."""
        check_about(about)
        settings = self._settings.known(check_key(key)) if key is not None else Settings(None)
        tags = tuple(dict.fromkeys(check_tag(tag) for tag in about.get("tags") or ()))
        if key is None and tags:
            raise UsageError("a keyless version cannot be tagged")
        type = about.get("type")
        allows = about.get("allow_undeclared", False)
        fields: Document = {
            "title": check_text(about.get("title"), "title"),
            "description": check_text(about.get("description"), "description"),
            "metadata": model.check_metadata(about.get("metadata") or {}),
            "labels": check_labels(about.get("labels") or ()),
            "partitions": check_partitions(about.get("partitions") or {}, settings, allows=allows),
            "inputs": [self._input(ref) for ref in about.get("inputs") or ()],
        }
        encode(fields)  # says where it is too much for a manifest
        settings.check_type(*((type,) if type else types))
        default_tags = tuple(tag for tag in settings.default_tags if tag not in tags)
        self._check_tags(settings, (*tags, *default_tags))
        return Draft(
            key,
            check_type(type) if type else None,
            fields,
            tags,
            default_tags,
            check_text(about.get("message"), "message"),
            about.get("always", False),
        )

    def _warn_of_mistakes(self, draft: Draft) -> None:
        """Tell of a type, and of names of partitions, that nobody declared and that are probably mistyped."""
        from art import matching

        type, partitions = draft.type, draft.fields["partitions"]
        settings = self._settings.known(draft.key) if draft.key else Settings(None)
        if type and type != settings.type:
            matching.warn_of_type(self._index, type, self._reporter.warn)
        if settings.key and partitions and not settings.partitions:
            matching.warn_of_names(self._index, settings.key, partitions, self._reporter.warn)

    def _check_tags(self, settings: Settings, tags: Iterable[str]) -> None:
        """Raise ConflictError where settings forbid that a tag moves to a new version."""
        key = settings.key
        placed = self._index.ask(lambda index: index.tags(key)) if key and tags else {}
        for tag in tags:
            if tag in placed:
                settings.check_tag(tag, f"art tag set {key}@VERSION {tag} --force, afterwards")

    def publish(self, draft: Draft, content: Content) -> Publication:
        """Make the version, under the next free number. Its payload is stored already."""
        document = self._document(draft, content)
        publication = self._claim(
            draft.key, document, content, always=draft.always, first=draft.first
        )
        if publication.created:
            self._index.note_version(publication.manifest, publication.number)
        self.remember(content)
        if publication.created:
            self.after(publication.manifest, publication.number)
        note_made(publication, self.place)
        return publication

    def prepare(self, draft: Draft, content: Content) -> Prepared:
        """Return the version that `publish` would make, for `complete` to make it."""
        assert draft.key is not None, "only what has a key can be found again"
        document = self._document(draft, content)
        self._settings.known(draft.key).check_type(document["type"])
        _, latest = self._latest(draft.key)
        self.remember(content)
        if latest and not draft.always and (same := self._same(draft.key, document)):
            return Prepared(draft.key, same.manifest.document, same.manifest.id, same)
        self._begin(document, content)
        return Prepared(draft.key, document, _id_of(document), None)

    def complete(self, key: str, document: Document) -> Publication:
        """Make a version that was prepared, by this process or another, unless it is there already."""
        publication = self._claim(key, document, None, always=True, is_begun=True)
        if publication.created:
            self._index.note_version(publication.manifest, publication.number)
            self.after(publication.manifest, publication.number)
        note_made(publication, self.place)
        return publication

    def adopt(self, key: str, document: Document) -> Publication:
        """The same of a version that another document says is to be made. Raise CorruptError where its uid
        is that of another version."""
        self.check_new(key, document)
        return self.complete(key, document)

    def check_new(self, key: str, document: Document) -> None:
        """Raise CorruptError where another version of the key has the uid of what is to be made."""
        id = _id_of(document)

        def versions(index: Index) -> list[Record]:
            index.refresh(key)
            return index.versions(key)

        for record in self._index.ask(versions):
            if record.uid == document["uid"] and record.id != id:
                raise CorruptError(
                    f"{record.ref} has the uid of another version that is to be made"
                )

    def announce(self, manifest: Manifest, number: int) -> None:
        """Tell hooks and the run of a version that was made elsewhere, out of what `prepare` gave."""
        self.after(manifest, number)
        note_made(Publication(manifest, number, True, 0), self.place)

    def remember(self, content: Content) -> None:
        """Keep in mind what is stored, so that it need not be read or stored again."""
        if content.written:
            if content.written.packs:
                self._memory.note_chunks(content.written.chunks)
            if content.remember:
                content.remember(content.written.payload)

    def copy(self, key: str, document: Document, *, allows: bool) -> Publication:
        """Publish a ready document under the next free number of `key`. Raise UsageError where it is not of
        the partitions that were declared, unless it `allows` that."""
        if not allows:
            self._settings.known(key).declared.check(key, document.get("partitions") or ())
        publication = self._claim(key, document, None, always=True)
        self._index.note_version(publication.manifest, publication.number)
        self.after(publication.manifest, publication.number)
        return publication

    def _claim(
        self,
        key: str | None,
        document: Document,
        content: Content | None,
        *,
        always: bool,
        first: bool = False,
        is_begun: bool = False,
    ) -> Publication:
        if key is None:
            self._begin(document, content)
            manifest = self._store.catalog.create_manifest(document, None)
            assert manifest, "a new uid is no one else's"
            return Publication(manifest, None, True, 0)
        self._settings.known(key).check_type(document["type"])
        lost = seen = 0
        while True:
            known, latest = self._latest(key)
            known = max(known, seen)
            if gone := self._lost(key, known):  # one that nobody can see is the latest
                known, seen, always = gone, gone, True
            if latest and first:
                return Publication(self._resolver.manifest(latest), latest.number, False, lost)
            if latest and not always and (same := self._same(key, document)):
                return replace(same, lost=lost)
            if is_begun and (there := self._made_before(key, document)):
                return there
            if not is_begun:
                self._begin(document, content)
                is_begun = True
            number = self._store.catalog.next_number(key, known)
            if number > known + 1:  # others came in between: compare with them first
                seen = number - 1
                continue
            manifest = self._store.catalog.create_manifest(document, number)
            if manifest:
                return Publication(manifest, number, True, lost)
            lost += 1

    def _made_before(self, key: str, document: Document) -> Publication | None:
        """Return the very version of a document, where somebody made it of the same promise."""
        found = self._index.ask(lambda index: index.by_id(_id_of(document), key))
        if not found:
            return None
        self._store.backend.sync(manifest_directory(key))
        return Publication(self._resolver.manifest(found[0]), found[0].number, False, 0)

    def _lost(self, key: str, known: int) -> int:
        """Return the highest number of a key that was used before and is not there any more, 0 where
        that is none: a number once given is never given again (FORMAT §3.2).

        The new version gets a number beyond it, rather than being refused: the work of a job is not
        lost for damage that it has nothing to do with. The gap is damage that everybody sees: it stops
        gc, and a push of the key, until `art fsck --repair` brings back what was there.
        """
        lost = self._used(key, known)
        if lost <= known or lost <= (known := self._latest(key)[0]):  # others made it meanwhile
            return 0
        missing = f"{key}@v{known + 1}" + (f" to v{lost}" if lost > known + 1 else "")
        self._reporter.warn(
            f"{missing} is missing and was there before; the new version gets the number after it. "
            f"`{REPAIR}` brings it back"
        )
        return lost

    def _used(self, key: str, known: int) -> int:
        """Return the highest number that a key is known to have given, as far as it is above `known`."""
        named = self._index.ask(lambda index: index.lost_number(key, known))
        return max(named, published_number(self._store.backend, key))

    def _begin(self, document: Document, content: Content | None) -> None:
        """Put there what belongs to a version that is about to be made."""
        self.before(document)
        if content and content.preview and (data := content.preview()) is not None:
            document["preview"] = previews.put(self._store.backend, data)
        if content and content.prepare:
            content.prepare(document["uid"])

    def _same(self, key: str, document: Document) -> Publication | None:
        """Return the latest version of a key that is of a document's partitions if it says the same of the
        same content, made durable: it may be there since a moment ago."""
        partitions = document.get("partitions", {})
        latest = self._index.ask(lambda index: index.latest_live(key, partitions))
        if latest is None:
            return None
        try:
            manifest = self._resolver.manifest(latest)
        except CorruptError as error:
            self._reporter.warn(f"{error.message}; the new version is made all the same")
            return None
        if not manifest.says(document):
            return None
        self._store.backend.sync(manifest_directory(key))
        return Publication(manifest, latest.number, False, 0)

    def _document(self, draft: Draft, content: Content) -> Document:
        fields: Document = {
            "art": model.FORMAT,
            "uid": new_uid(),
            "key": draft.key,
            "type": draft.type or content.type,
            "created": now(),
            "author": self._author,
            **draft.fields,
            "payload": content.payload.to_document() if content.payload else None,
            "format": content.format,
        }
        if run := runs.current():
            fields["run"] = run.about
            fields["inputs"] = _united(draft.fields["inputs"], _read_by(run, draft.key, self.place))
        document = {n: value for n, value in fields.items() if value not in (None, [], {}, "")}
        if left := _shorten(document, len(draft.fields["inputs"])):
            self._reporter.warn(
                f"{left:,} of the versions that were read are no inputs of {draft.key or 'the version'}, "
                "as its manifest holds no more; the record of the run names all"
            )
        return document

    def _input(self, given: str | Mapping[str, Any] | HasRef) -> Document:
        if isinstance(given, Mapping):
            return check_distant(given)
        record = self._resolver.record(Ref.parse(ref_of(given)))
        return {
            name: v
            for name, v in (("key", record.key), ("id", record.id), ("number", record.number))
            if v
        }


def _id_of(document: Document) -> str:
    return "b3:" + blake3(encode(document)).hexdigest()


def note_made(publication: Publication, place: str | None) -> None:
    """Note a version as an output of the run that this is part of."""
    if run := runs.current():
        manifest = publication.manifest
        run.note_output(runs.named(manifest.key, manifest.id, publication.number), place)


def _read_by(run: runs.Run, key: str | None, place: str | None) -> list[Document]:
    """Return what a run has read before it makes a version of `key`: not what it made of that itself,
    which it looked at again."""
    made = {each["id"] for each in run.outputs}
    read = run.inputs_in(place)
    return [each for each in read if each.get("key") != key or each["id"] not in made]


def _shorten(document: Document, given: int) -> int:
    """Take those inputs out of a manifest that are beyond what it holds and were not `given`; return how
    many, which `omitted` says, too."""
    inputs = document.get("inputs", [])
    if len(inputs) - given <= _FEW:
        return 0
    room = _ROOM - _size({**document, "inputs": inputs[:given]})
    for at, each in enumerate(inputs[given:], given):
        room -= _size(each)
        if room < 0:
            document["inputs"] = inputs[:at]
            document["omitted"] = {"inputs": len(inputs) - at}
            return len(inputs) - at
    return 0


def _size(value: Document) -> int:
    """Return about how many bytes a document takes for this, hardly ever less."""
    return len(json.dumps(value)) + 2


def _united(given: list[Document], read: list[Document]) -> list[Document]:
    """Return the inputs that were given, then what the run has read besides."""
    known = {str(each["id"]) for each in given}
    return given + [each for each in read if each["id"] not in known]


def _single(sources: list[Source]) -> str | None:
    """Return the name of the file that these are, None where they make a folder."""
    return sources[0].name or None if len(sources) == 1 else None


def _readable(name: str | None) -> str | None:
    """Return a file's name as a text, also where some of its bytes are not UTF-8."""
    return name and name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
