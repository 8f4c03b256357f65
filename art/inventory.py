"""What a store holds, read from its files alone: every document, checked, and what is wrong.

No index is asked, so that it is the same for a repository here and for a remote. Entries are listed
before the versions they are about, versions before their payloads, and what looks wrong is looked
at once more, so that what others write meanwhile does not look like damage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from blake3 import blake3

from art import checkpoint, drafts, model
from art import document as documents
from art.backend import Backend
from art.beside import check_run_of
from art.catalog import STATE, VERSIONS, Log, listed_numbers, parse_anonymous
from art.errors import ArtError, CorruptError, NewerFormatError
from art.findings import LIVE, Held, Inventory, Known, Problem
from art.keys import unescape
from art.model import Document, Entry, Manifest, check_progress, heads, is_uid, preview_of
from art.pack import pack_name
from art.previews import parse_name as parse_preview
from art.repack import ahead
from art.reporter import Reporter

LOCAL_NAMES = frozenset(
    {
        ".gitignore", "index.sqlite", "index.sqlite-journal", "tmp", "locks", "hooks", "sync",
        "quarantine",
    }
)  # fmt: skip
SHARED_NAMES = frozenset(
    {
        "format.yaml", "mirror.yaml", "features", "config.yaml", "manifests", "anonymous", "refs", "progress",
        "packs", "layouts", "previews", "runs", "cache", "drafts", "gc", "checkpoints",
    }
)  # fmt: skip
_PACK = re.compile(r"packs/([0-9a-f]{2})/(\1[0-9a-f]{62})\.pack")
_LAYOUT = re.compile(r"layouts/([0-9a-f]{2})/(\1[0-9a-f]{62})/([0-9a-f]{64})")
_CHECKPOINT = re.compile(r"checkpoints/(.+)/_([1-9][0-9]{0,17})-([1-9][0-9]{0,17})")
_MISSING_LIMIT = 1000  # files missing in one log that are named one by one
_THREADS = 16
_WINDOW = 256
_PATIENCE = 2

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class _Read:
    """A document that was read: what it is, or what is wrong with it."""

    number: int
    digest: bytes
    parsed: Manifest | Entry | None
    error: ArtError | None = None


def take_inventory(
    backend: Backend,
    reporter: Reporter,
    has: Callable[[str | None], bool] = lambda key: True,
    known: Known | None = None,
    *,
    is_whole: bool = True,
) -> Inventory:
    """Read every document of the keys that `has` means; with `is_whole`, look at all else, too."""
    taker = _Taker(backend, reporter, has, known or Known())
    try:
        taker.documents()
        if is_whole:
            taker.surroundings()
        taker.objects()
    finally:
        taker.close()
        reporter.finish()
    return taker.found


class _Taker:
    def __init__(
        self,
        backend: Backend,
        reporter: Reporter,
        has: Callable[[str | None], bool],
        known: Known,
    ) -> None:
        self.found = Inventory()
        self._backend = backend
        self._reporter = reporter
        self._has = has
        self._known = known
        self._threads = ThreadPoolExecutor(_THREADS, "documents")
        self._is_remote = backend.path("packs") is None

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _map(self, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yield what `work` returns for each; where each is a request, many at a time."""
        if self._is_remote:
            return ahead(self._threads, work, items, _WINDOW)
        return map(work, items)

    # -- documents -------------------------------------------------------------------------------

    def documents(self) -> None:
        """Read all versions and what was said of them."""
        self._reporter.start("reading manifests and logs")
        logs = self._logs()
        bundles = self._bundles()
        by_key: dict[str | None, list[Log]] = {}
        for log in logs:
            by_key.setdefault(log.key, []).append(log)
        for key in sorted(by_key, key=lambda key: key or ""):
            if key is not None:
                self._key(key, by_key[key], logs, bundles)
        if self._has(None):
            self._keyless(by_key.get(None, []), logs, bundles)
        for name in sorted(name for names in bundles.values() for name in names):
            self._foreign(name, "is of a log that is not there")
        self._progress()

    def _logs(self) -> dict[Log, set[int]]:
        """Return the numbers of each log, those that are known to have been there as well."""
        logs: dict[Log, set[int]] = {}
        for prefix in ("refs", "manifests"):
            for item in self._backend.walk(prefix):
                located = Log.of(item.name)
                if located is None:
                    self._foreign(item.name)
                elif self._has(located[0].key):
                    logs.setdefault(located[0], set()).add(located[1])
        for log, end in self._known.ends.items():
            if end and self._has(log.key):
                logs.setdefault(log, set())
        return logs

    def _bundles(self) -> dict[str, list[str]]:
        """Return the names of checkpoints by the directory of their log."""
        bundles: dict[str, list[str]] = {}
        for item in self._backend.walk("checkpoints"):
            match = _CHECKPOINT.fullmatch(item.name)
            located = Log.of(f"{match[1]}/{_first_file(match[1])}") if match else None
            if match is None or located is None:
                self._foreign(item.name)
            elif self._has(located[0].key):
                bundles.setdefault(match[1], []).append(item.name)
        return bundles

    def _key(
        self, key: str, logs: list[Log], numbers: dict[Log, set[int]], bundles: dict[str, list[str]]
    ) -> None:
        own = Log(key, VERSIONS)
        read = self._read_log(own, numbers.get(own, set()), bundles.pop(own.directory, []))
        manifests = [each for each in read if isinstance(each.parsed, Manifest)]
        self.found.count("keys", bool(manifests))
        entries = self._entries(logs, numbers, bundles)
        states = self._states(entries)
        for each in manifests:
            assert isinstance(each.parsed, Manifest)
            self._add(_held(each.parsed, each.number, states))
        self._check_named(own, read, entries)

    def _keyless(
        self, logs: list[Log], numbers: dict[Log, set[int]], bundles: dict[str, list[str]]
    ) -> None:
        entries = self._entries(logs, numbers, bundles)
        states = self._states(entries)
        uids = self._known.keyless.union(self._uids("anonymous"))
        ids = set()
        for uid, found in self._map(self._keyless_document, sorted(uids)):
            if isinstance(found, Manifest):
                ids.add(found.id)
                self.found.count("manifests")
                self._add(_held(found, None, states))
            else:
                self._say(f"anonymous/{uid}.yaml", found, (f"anonymous/{uid}",))
        for log, _, id, entry in _named(entries):
            if id not in ids:
                message = f"{log.file(entry.number)} names {id[:15]}, which is no keyless version"
                self._problem("entry", log.file(entry.number), message, (id,))

    def _keyless_document(self, uid: str) -> tuple[str, Manifest | ArtError]:
        name = f"anonymous/{uid}.yaml"
        try:
            return uid, self._twice(lambda: parse_anonymous(uid, self._content(name)))
        except ArtError as error:
            return uid, error

    def _entries(
        self, logs: list[Log], numbers: dict[Log, set[int]], bundles: dict[str, list[str]]
    ) -> dict[Log, list[Entry]]:
        entries: dict[Log, list[Entry]] = {}
        for log in sorted(logs, key=lambda log: log.name):
            if log.name != VERSIONS:
                read = self._read_log(log, numbers[log], bundles.pop(log.directory, []))
                entries[log] = [each.parsed for each in read if isinstance(each.parsed, Entry)]
                self._check_heads(log, entries[log], is_complete=len(entries[log]) == len(read))
        return entries

    def _states(self, entries: dict[Log, list[Entry]]) -> dict[str, str]:
        states = model.states(
            entry for log, found in entries.items() if log.name == STATE for entry in found
        )
        self.found.purged |= {id for id, state in states.items() if state == "purged"}
        return states

    def _add(self, held: Held) -> None:
        self.found.versions.append(held)
        self.found.count("versions")
        self.found.count("stubs", held.state == "purged")
        self._reporter.advance(files=1)

    # -- one log ---------------------------------------------------------------------------------

    def _read_log(self, log: Log, numbers: set[int], bundles: list[str]) -> list[_Read]:
        """Return what a log's documents are, in order, missing ones too; tell what is wrong."""
        end = max(numbers, default=0)
        end = max(end, self._known.ends.get(log, 0))
        if len(numbers) != end:  # others may just be writing
            numbers = set(listed_numbers(self._backend, log.directory))
            end = max(max(numbers, default=0), self._known.ends.get(log, 0))
        read = list(self._map(lambda number: self._one(log, number), sorted(numbers)))
        self._tell_missing(log, numbers, end)
        uids: dict[str, int] = {}
        for each in read:
            self.found.count("manifests" if log.name == VERSIONS else "entries")
            name = log.file(each.number)
            if each.error:
                self._say(name, each.error, self._touched(log, each.number))
            elif each.parsed and uids.setdefault(each.parsed.uid, each.number) != each.number:
                other = log.file(uids[each.parsed.uid])
                message = f"{name} is the same document as {other}"
                self._problem("duplicate", name, message, self._touched(log, each.number))
        self._check_twins(log, read)
        self._check_bundles(log, read, bundles)
        return read

    def _check_twins(self, log: Log, read: list[_Read]) -> None:
        """Check that documents are what they were when both sides had them: one may have been put in
        the place of another. A stub takes the place of its manifest."""
        end = self._known.ends.get(log, 0)
        for each in read:
            if each.parsed and self._known.is_replaced(log, each.number, each.parsed.uid):
                name = log.file(each.number)
                message = f"{name} is another document than the one that was published as this"
                self._problem("twin", name, message, self._touched(log, each.number), "art push")
            if self._known.twin is None or each.number > end or each.parsed is None:
                continue
            data = self._known.twin(log, each.number)
            if data is None or _digest(data) == each.digest:
                continue
            twin = log.parse(each.number, data)
            is_same = twin.uid == each.parsed.uid
            if not (is_same and "purged" in {**twin.document, **each.parsed.document}):
                name = log.file(each.number)
                message = f"{name} is another document there than here"
                self._problem("twin", name, message, self._touched(log, each.number))

    def _tell_missing(self, log: Log, numbers: set[int], end: int) -> None:
        span = range(1, min(end, len(numbers) + _MISSING_LIMIT) + 1)
        missing = [number for number in span if number not in numbers]
        for number in missing:
            message = f"{log.file(number)} is missing"
            self._problem("document", log.file(number), message, self._touched(log, number))
        more = end - len(numbers) - len(missing)
        if more > 0:
            message = f"{log.directory} lacks {more:,} more files below number {end}"
            self._problem("log", log.directory, message)

    def _one(self, log: Log, number: int) -> _Read:
        data = b""

        def parse() -> Manifest | Entry:
            nonlocal data
            data = self._content(log.file(number))
            return log.parse(number, data)

        try:
            parsed = self._twice(parse)
        except ArtError as error:
            return _Read(number, _digest(data), None, error)
        return _Read(number, _digest(data), parsed)

    def _content(self, name: str) -> bytes:
        try:
            return self._backend.read(name, 0, documents.limit_of(name) + 1)
        except FileNotFoundError:
            raise CorruptError(f"{name} is missing") from None

    def _twice(self, read: Callable[[], T]) -> T:
        for left in reversed(range(_PATIENCE)):
            try:
                return read()
            except CorruptError:
                if not left:
                    raise
        raise AssertionError

    def _touched(self, log: Log, number: int) -> tuple[str, ...]:
        if log.name == VERSIONS:
            return (f"{log.key}@v{number}",)
        if log.name.startswith("_tags/"):
            tag = unescape(log.name.removeprefix("_tags/"))
            return (f"{log.key}@{tag}",)
        return (str(log.key),) if log.key else ()

    def _check_heads(self, log: Log, entries: list[Entry], *, is_complete: bool) -> None:
        """Check that what an entry followed is there, and that the log has a head."""
        if not log.has_heads or not entries or not is_complete:
            return
        uids = {entry.uid for entry in entries}
        for entry in entries:
            after = entry.document.get("after")
            if after is not None and after not in uids:
                name = log.file(entry.number)
                message = f"{name} follows an entry {str(after)[:40]}, which is not in its log"
                self._problem("entry", name, message, self._touched(log, entry.number))
        if heads(entries)[0] is None:
            self._problem("log", log.directory, f"{log.directory} has no head", ())

    def _check_named(self, own: Log, read: list[_Read], entries: dict[Log, list[Entry]]) -> None:
        """Check that the versions that entries name exist. One whose manifest is damaged may be the
        one that is meant: that has been told."""
        ids = {each.parsed.id for each in read if isinstance(each.parsed, Manifest)}
        end = max((each.number for each in read), default=0)
        whole = {each.number for each in read if each.parsed}
        lost: dict[int, str] = {}
        for log, number, id, entry in _named(entries):
            if id in ids or (number is not None and 0 < number <= end and number not in whole):
                continue
            if number is not None and end < number <= end + _MISSING_LIMIT:
                lost.setdefault(number, log.file(entry.number))
                continue
            name = log.file(entry.number)
            message = f"{name} names {id[:15]}, which no version of {own.key} has"
            refs = (f"{own.key}@v{number}",) if number else (str(own.key),)
            self._problem("entry", name, message, refs)
        for number in range(end + 1, max(lost, default=0) + 1):
            name = own.file(number)
            why = f", {lost[number]} names it" if number in lost else ""
            self._problem("document", name, f"{name} is missing{why}", self._touched(own, number))

    def _check_bundles(self, log: Log, read: list[_Read], names: list[str]) -> None:
        """Check that checkpoints hold what the documents are."""
        digests = {each.number: each.digest for each in read if each.parsed}
        for name in sorted(names):
            match = _CHECKPOINT.fullmatch(name)
            assert match
            first, last = int(match[2]), int(match[3])
            self.found.count("checkpoints")
            look = partial(self._bundle, name, first, last, digests)
            problem = look() and look()
            if problem:
                refs = (f"{log.key}@v{first}…v{last}",) if log.name == VERSIONS else ()
                self._problem("checkpoint", name, problem, refs or self._touched(log, first))

    def _bundle(self, name: str, first: int, last: int, digests: dict[int, bytes]) -> str | None:
        if last - first + 1 not in checkpoint.SIZES or (first - 1) % (last - first + 1):
            return f"{name} is damaged: it has a size or place that no checkpoint has"
        try:
            contents = checkpoint.decode(self._backend.read(name), last - first + 1, name)
        except FileNotFoundError:
            return None
        except CorruptError as error:
            return error.message
        for number, data in enumerate(contents, first):
            if number in digests and _digest(data) != digests[number]:
                return f"{name} is damaged: its number {number} is not what the document is"
        return None

    # -- the rest --------------------------------------------------------------------------------

    def _progress(self) -> None:
        """Check the values of progress artifacts."""
        versions = {held.uid: held for held in self.found.versions if held.type == "progress"}
        uids = [uid for uid in self._uids("progress") if uid in versions]
        values = self._map(partial(self._checked, "progress", check_progress_of), uids)
        for uid, error in values:
            self.found.count("progress")
            if error:
                self._say(f"progress/{uid}.yaml", error, (versions[uid].ref,))
        for uid in sorted(versions.keys() - set(uids)):
            if versions[uid].state == LIVE:
                name = f"progress/{uid}.yaml"
                self._problem("document", name, f"{name} is missing", (versions[uid].ref,))

    def _uids(self, directory: str) -> list[str]:
        """Return the uids that documents in a directory are named after."""
        uids = []
        for name in self._backend.names(directory):
            uid = name.removesuffix(".yaml")
            if is_uid(uid) and name.endswith(".yaml"):
                uids.append(uid)
            else:
                self._foreign(f"{directory}/{name}")
        return uids

    def _checked(
        self, directory: str, check: Callable[[str, bytes, str], None], uid: str
    ) -> tuple[str, ArtError | None]:
        name = f"{directory}/{uid}.yaml"
        try:
            self._twice(lambda: check(uid, self._content(name), name))
        except ArtError as error:
            return uid, error
        return uid, None

    def surroundings(self) -> None:
        """Look for what is not art's, and for what was left behind."""
        known = LOCAL_NAMES | SHARED_NAMES
        for name in self._backend.names(""):
            if name.rstrip("/") not in known:
                self._foreign(name)
        for item in self._backend.walk("tmp"):
            self.found.count("temporary_files")
            self.found.count("temporary_bytes", item.size)
        self._runs()
        self._drafts()

    def _drafts(self) -> None:
        """Check the drafts that go on, and those whose version was not made yet."""
        for item in self._backend.walk("drafts"):
            if drafts.located(item.name) is None:
                self._foreign(item.name)
        ids = {held.id for held in self.found.versions}
        for log in drafts.all_drafts(self._backend):
            self.found.count("drafts")
            try:
                for what, tree, size in log.needed(ids.__contains__):
                    held = Held(None, None, what, what, "draft", LIVE, tree, size)
                    self.found.drafts.append(held)
            except NewerFormatError as error:
                self._say(log.what, error, (log.what,))
            except CorruptError as error:
                name = error.message.partition(" ")[0]
                self._problem("draft", name, error.message, (log.what,), error.hint)

    def _runs(self) -> None:
        """Check the records of runs."""
        uids = sorted(self._uids("runs"))
        for uid, error in self._map(partial(self._checked, "runs", check_run_of), uids):
            self.found.count("runs")
            if error:
                self._say(f"runs/{uid}.yaml", error, ())

    def objects(self) -> None:
        """List previews, layouts, then packs: whoever writes, writes packs first."""
        for item in self._backend.walk("previews"):
            if digest := parse_preview(item.name):
                self.found.previews[digest] = item.size
            else:
                self._foreign(item.name)
        for item in self._backend.walk("layouts"):
            match = _LAYOUT.fullmatch(item.name)
            if match:
                self.found.layouts.setdefault(match[2], []).append(match[3])
            else:
                self._foreign(item.name)
        for item in self._backend.walk("packs"):
            match = _PACK.fullmatch(item.name)
            if match and item.name == pack_name(match[2]):
                self.found.sizes[match[2]] = item.size
            else:
                self._foreign(item.name)

    def _say(self, name: str, error: ArtError, refs: tuple[str, ...]) -> None:
        if isinstance(error, NewerFormatError):
            self.found.notices.append(Problem("newer", name, error.message, refs, error.hint))
        else:
            self._problem("document", name, error.message, refs)

    def _problem(
        self,
        kind: str,
        name: str,
        message: str,
        refs: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        self.found.problems.append(Problem(kind, name, message, refs, hint))

    def _foreign(self, name: str, what: str = "is not art's; it is left alone") -> None:
        self.found.count("unknown_files")
        self.found.notices.append(Problem("unknown", name, f"{name} {what}"))


def check_progress_of(uid: str, data: bytes, name: str) -> None:
    """Raise CorruptError where this is not the value of the progress artifact with this uid."""
    document: Document = documents.decode(data, name)
    check_progress(document, name)
    if document["uid"] != uid:
        raise CorruptError(f"{name} is damaged: it is about something else")


def _first_file(directory: str) -> str:
    return "v00000001.yaml" if directory.startswith("manifests/") else "00000001.yaml"


def _digest(data: bytes) -> bytes:
    return blake3(data).digest(length=16)


def _named(entries: dict[Log, list[Entry]]) -> Iterator[tuple[Log, int | None, str, Entry]]:
    """Yield log, number and id of each version that an entry is about, and the entry."""
    for log, found in entries.items():
        for entry in found:
            for number, id in entry.named():
                yield log, number, id, entry


def _held(manifest: Manifest, number: int | None, states: dict[str, str]) -> Held:
    payload = manifest.payload
    state = "purged" if manifest.is_stub else states.get(manifest.id, LIVE)
    tree = payload.tree if payload else None
    size = payload.size if payload and payload.size else 0
    preview = preview_of(manifest.document)
    names = manifest.key, number, manifest.id, manifest.uid, manifest.type
    return Held(*names, state, tree, size, preview)
