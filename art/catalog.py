"""Which versions exist and what was said of them: manifests and logs as files.

A manifest file is the commit of a version. Every name here is taken by exclusive creation, so no
lock is needed and no two writers share a number.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from blake3 import blake3

from art import document as documents
from art.backend import Backend
from art.errors import REPAIR, CorruptError, NotFoundError, UsageError
from art.keys import ANONYMOUS, check_tag, escape, unescape
from art.model import FORMAT, Document, Entry, Manifest, check_progress, new_uid, now

_NUMBER = re.compile(r"v?((?!0{8})[0-9]{8}|[1-9][0-9]{8,17})\.yaml")
_NUMBER_LIMIT = 10**18
VERSIONS, STATE, NOTES, SETTINGS = "versions", "_state", "_notes", "_settings"
_TAGS = "_tags/"


def manifest_name(key: str, number: int) -> str:
    """Return the name of a version's manifest."""
    return f"{manifest_directory(key)}/v{number:08}.yaml"


def manifest_directory(key: str) -> str:
    """Return the directory of a key's manifests."""
    return f"manifests/{escape(key)}"


def refs_directory(key: str | None) -> str:
    """Return the directory of a key's logs; None stands for all keyless versions."""
    return f"refs/{ANONYMOUS if key is None else escape(key)}"


def tag_log(tag: str) -> str:
    """Return the log of a tag, as `entries` and `append` want it."""
    return f"_tags/{escape(check_tag(tag))}"


def first_missing(numbers: Collection[int]) -> int | None:
    """Return the lowest number that lacks below the highest, None where all are there. What it takes
    follows from how many there are, not from how high one says to be."""
    if len(numbers) == max(numbers, default=0):
        return None
    known = set(numbers)
    return next(number for number in itertools.count(1) if number not in known)


def parse_number(file_name: str) -> int | None:
    """Return the number in the last part of a name, None where it is not a numbered document."""
    match = _NUMBER.fullmatch(file_name)
    return int(match.group(1)) if match else None


def listed_numbers(backend: Backend, directory: str) -> list[int]:
    """Return the numbers of the documents in a directory, ascending.

    A listing is no snapshot: it may have what came while it went on, and lack what came before that.
    All of this is in the next one.
    """
    numbers = _numbers_in(backend.names(directory))
    if first_missing(numbers):
        numbers = [n for n in _numbers_in(backend.names(directory)) if n <= numbers[-1]]
    return numbers


def _numbers_in(names: Iterable[str]) -> list[int]:
    return sorted(number for name in names if (number := parse_number(name)) is not None)


@dataclass(frozen=True)
class Log:
    """A log of a store: a key's versions, or what was said of them later.

    `key` None stands for all keyless versions, `name` is VERSIONS, STATE, NOTES, SETTINGS or that of
    a tag's log.
    """

    key: str | None
    name: str

    @property
    def directory(self) -> str:
        """Where its documents lie."""
        if self.name == VERSIONS:
            return manifest_directory(self.key or "")
        return f"{refs_directory(self.key)}/{self.name}"

    @property
    def has_heads(self) -> bool:
        """Whether an entry counts only if its writer saw the one before (FORMAT §9.1)."""
        return self.name == SETTINGS or self.name.startswith(_TAGS)

    def file(self, number: int) -> str:
        """Return the name of a document."""
        return f"{self.directory}/{'v' if self.name == VERSIONS else ''}{number:08}.yaml"

    def called(self, number: int) -> str:
        """Return what people call a document: a version's reference, else the name of the file."""
        return f"{self.key}@v{number}" if self.name == VERSIONS else self.file(number)

    def parse(self, number: int, data: bytes) -> Manifest | Entry:
        """Return a document of this log from its bytes. Raise CorruptError where it is none."""
        name = self.file(number)
        if self.name == VERSIONS:
            return _manifest(data, name, self.key)
        return _entry(data, name, self.key, self.name, number)

    @classmethod
    def of(cls, name: str) -> tuple[Log, int] | None:
        """Return log and number of a document by its name in a store, None where it is no such name."""
        directory, _, file = name.rpartition("/")
        number = parse_number(file)
        if number is None:
            return None
        if directory.startswith("manifests/"):
            log = cls(unescape(directory.removeprefix("manifests/")), VERSIONS)
            return (log, number) if log.key and log.file(number) == name else None
        head, mark, rest = directory.removeprefix("refs/").partition("/_")
        key = None if head == ANONYMOUS else unescape(head)
        log = cls(key, f"_{rest}")
        is_log = bool(mark) and (key is not None or head == ANONYMOUS) and _is_log(log.name)
        return (log, number) if is_log and log.file(number) == name else None


def _is_log(name: str) -> bool:
    return name in (STATE, NOTES, SETTINGS) or (
        name.startswith(_TAGS) and unescape(name.removeprefix(_TAGS)) is not None
    )


def _manifest(data: bytes, name: str, key: str | None) -> Manifest:
    document = documents.decode(data, name)
    manifest = Manifest.from_document(document, "b3:" + blake3(data).hexdigest(), name)
    if manifest.key != key:
        about = repr(manifest.key) if key and manifest.key else "something else"
        raise CorruptError(f"{name} is damaged: it is about {about}", hint=REPAIR)
    return manifest


def is_manifest_of(document: object, key: str, id: str, name: str) -> bool:
    """Whether what another document keeps is the manifest, to the byte, of the version of `key` with this id.

    Raise CorruptError, naming `name`, where it is none of any version."""
    if not isinstance(document, dict) or "purged" in document:
        return False
    found = Manifest.from_document(document, id, name)
    try:
        data = documents.encode(document)
    except UsageError:
        return False
    return (found.key, found.id) == (key, "b3:" + blake3(data).hexdigest())


def _entry(data: bytes, name: str, key: str | None, log: str, number: int) -> Entry:
    entry = Entry.from_document(documents.decode(data, name), number, name)
    is_tag = log.startswith(_TAGS)
    if entry.key != key or (is_tag and log != f"{_TAGS}{escape(str(entry.tag))}"):
        raise CorruptError(f"{name} is damaged: it is about something else", hint=REPAIR)
    return entry


def parse_anonymous(uid: str, data: bytes) -> Manifest:
    """Return the manifest of a keyless version from its bytes. Raise CorruptError where it is none."""
    name = f"anonymous/{uid}.yaml"
    manifest = _manifest(data, name, None)
    if manifest.uid != uid:
        raise CorruptError(f"{name} is damaged: it is about something else", hint=REPAIR)
    return manifest


class Catalog:
    """The manifests and logs of one store."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def keys(self) -> Iterator[str]:
        """Yield every key that has a version, whatever its state, in no order."""
        pending = [""]
        while pending:
            directory = pending.pop()
            names = self.backend.names(f"manifests/{directory}".rstrip("/"))
            pending += [
                f"{directory}/{name[:-1]}".lstrip("/") for name in names if name.endswith("/")
            ]
            key = unescape(directory) if directory else None
            if key and any(parse_number(name) is not None for name in names):
                yield key

    def numbers(self, key: str) -> list[int]:
        """Return the numbers of a key's versions, ascending."""
        return listed_numbers(self.backend, manifest_directory(key))

    def has(self, key: str, number: int) -> bool:
        """Whether there is a manifest of this number, whatever is in it."""
        return self.backend.size(manifest_name(key, number)) is not None

    def next_number(self, key: str, known: int = 0) -> int:
        """Return the first free number after `known`, by asking for one name after the other."""
        number = known + 1
        while self.has(key, number):
            number += 1
        if number >= _NUMBER_LIMIT:
            raise CorruptError(f"{manifest_directory(key)} has no free number", hint=REPAIR)
        return number

    def manifest(self, key: str, number: int) -> Manifest:
        """Return a verified manifest. Raise NotFoundError or CorruptError."""
        name = manifest_name(key, number)
        try:
            return _manifest(self._read(name), name, key)
        except FileNotFoundError:
            raise NotFoundError(f"{key} has no version v{number}", hint=f"art log {key}") from None

    def anonymous(self, uid: str) -> Manifest:
        """Return the verified manifest of a keyless version."""
        name = f"anonymous/{uid}.yaml"
        try:
            return parse_anonymous(uid, self._read(name))
        except FileNotFoundError:
            raise NotFoundError(f"there is no {name}", hint="art ls --anonymous") from None

    def anonymous_uids(self) -> list[str]:
        """Return the uids of all keyless versions."""
        return [name[:-5] for name in self.backend.names("anonymous") if name.endswith(".yaml")]

    def _read(self, name: str) -> bytes:
        return self.backend.read(name, 0, documents.READ_LIMIT)

    def create_manifest(self, document: Document, number: int | None) -> Manifest | None:
        """Publish a version under `number`, or keyless; return None where the number is taken.

        When it returns the version is durable. Its payload must be so before.
        """
        data = documents.encode(document)
        if number is None:
            name = f"anonymous/{document['uid']}.yaml"
        else:
            name = manifest_name(document["key"], number)
        manifest = Manifest.from_document(document, "b3:" + blake3(data).hexdigest(), name)
        return manifest if self._create(name, data) else None

    def _create(self, name: str, data: bytes) -> bool:
        """Create a document; return whether `name` is this one's. That it was taken may be the answer
        to our own request, after the first answer was lost: no two documents have the same bytes."""
        return self.backend.create(name, data) or self.backend.read(name) == data

    def logs(self, key: str | None) -> list[str]:
        """Return the logs a key has, such as `_state` and `_tags/prod`."""
        directory = refs_directory(key)
        found = [
            log for log in (STATE, NOTES, SETTINGS) if self.backend.names(f"{directory}/{log}")
        ]
        return found + self.tag_logs(key)

    def tag_logs(self, key: str | None) -> list[str]:
        """Return the logs of a key's tags, taken away or not."""
        names = self.backend.names(f"{refs_directory(key)}/_tags")
        return sorted(f"_tags/{name[:-1]}" for name in names if name.endswith("/"))

    def entries(self, key: str | None, log: str, after: int = 0) -> list[Entry]:
        """Return the entries of a log with numbers above `after`, in order.

        Raise CorruptError where one is damaged or missing.
        """
        return list(self._listed(key, log, after))

    def _listed(self, key: str | None, log: str, after: int) -> Iterator[Entry]:
        directory = f"{refs_directory(key)}/{log}"
        expected = after + 1
        for number in listed_numbers(self.backend, directory):
            if number <= after:
                continue
            if number != expected:
                raise CorruptError(
                    f"{directory}/{expected:08}.yaml is missing, {number:08}.yaml is there",
                    hint=REPAIR,
                )
            yield self._entry(key, log, number)
            expected += 1

    def has_entry(self, key: str | None, log: str, number: int) -> bool:
        """Whether a log has this number, whatever is in it."""
        return self.backend.size(f"{refs_directory(key)}/{log}/{number:08}.yaml") is not None

    def following(self, key: str | None, log: str, number: int) -> Iterator[Entry]:
        """Yield the entries that follow `number`, by asking for one name after the other; all of
        them, none missing, where `number` is 0."""
        if not number:
            yield from self._listed(key, log, 0)
            return
        while self.has_entry(key, log, number + 1):
            number += 1
            yield self._entry(key, log, number)

    def _entry(self, key: str | None, log: str, number: int) -> Entry:
        name = f"{refs_directory(key)}/{log}/{number:08}.yaml"
        try:
            return _entry(self._read(name), name, key, log, number)
        except FileNotFoundError:
            raise CorruptError(f"{name} is missing", hint=REPAIR) from None

    def append(
        self,
        key: str | None,
        log: str,
        make: Callable[[list[Entry]], Document | None],
        known: Iterable[Entry] = (),
    ) -> Entry | None:
        """Append what `make` returns for the entries that are there; None appends nothing. They are durable
        then, too. What is `known` of them, from the first on, is not read again.

        Where another writer takes the number first, `make` is called again with that entry too.
        """
        entries = list(known)
        entries += self.following(key, log, len(entries))
        while True:
            document = make(entries)
            if document is None:
                if entries:  # the last may be there since a moment ago, and not yet durable
                    self.backend.sync(f"{refs_directory(key)}/{log}")
                return None
            number = len(entries) + 1
            name = f"{refs_directory(key)}/{log}/{number:08}.yaml"
            entry = Entry.from_document(document, number, name)
            if self._create(name, documents.encode(document)):
                return entry
            entries += self.following(key, log, len(entries))
            if len(entries) < number:
                raise CorruptError(f"{name} is there and is no entry", hint=REPAIR)

    def progress(self, uid: str) -> Document | None:
        """Return the value of a progress artifact, None where there is none."""
        name = f"progress/{uid}.yaml"
        try:
            document = documents.decode(self._read(name), name)
        except FileNotFoundError:
            return None
        check_progress(document, name)
        return document

    def write_progress(self, document: Document) -> None:
        """Replace the value of a progress artifact."""
        self.backend.replace(f"progress/{document['uid']}.yaml", documents.encode(document))


def new_entry(key: str | None, author: str, message: str | None, fields: Document) -> Document:
    """Return a new entry of a key's log, or of one of the keyless versions, that says `fields`."""
    begin: Document = {"art": FORMAT, "uid": new_uid()}
    if key is not None:
        begin["key"] = key
    entry = begin | fields | {"created": now(), "author": author}
    return entry | {"message": message} if message else entry
