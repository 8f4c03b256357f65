"""Bringing a remote's history here: manifests and logs, no payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from art import document as documents
from art.catalog import (
    VERSIONS,
    Log,
    manifest_directory,
    parse_anonymous,
    parse_number,
    refs_directory,
)
from art.errors import NotFoundError
from art.merge import DivergedError, Merged
from art.model import Manifest, check_progress
from art.sync import Fetched, Pairing, Renumbered, Selection, Sent, Superseded

_LOGS_AT_ONCE = 16
_BATCH = 4096  # documents that are held in memory before they are written
_FEW = 1000  # versions that one request lists


@dataclass
class _Tally:
    versions: list[Sent] = field(default_factory=list)
    entries: int = 0
    renumbered: list[Renumbered] = field(default_factory=list)
    superseded: list[Superseded] = field(default_factory=list)


@dataclass(frozen=True)
class _News:
    """The documents of a log that the remote has from number `first` on."""

    log: Log
    first: int
    contents: list[bytes]


class Fetcher:
    """Merges a remote's logs into ours."""

    def __init__(self, pair: Pairing) -> None:
        self._pair = pair
        self._catalog = pair.local.catalog
        self._remote = pair.remote.backend

    def plan(self, selection: Selection) -> Fetched:
        """Return what `fetch` would do now."""
        return self._run(selection, self._pair.merger.plan, is_plan=True)

    def fetch(self, selection: Selection) -> Fetched:
        """Take in what the remote has of the selected keys. Raise NotFoundError where a key is
        nowhere, ConflictError, CorruptError, or what the remote raises."""
        try:
            return self._run(selection, self._pair.merger.merge, is_plan=False)
        finally:
            self._pair.ledger.save()

    def fetch_log(self, log: Log) -> tuple[Merged, list[Superseded]]:
        """Take in what follows in one log of the remote, found by asking for one number after the
        other: another writer was faster there."""
        known = self._known_end(log)
        contents = self._pair.reader.following(log, max(known - 1, 0))
        merged = self._merge(_News(log, max(known, 1), contents), self._pair.merger.merge)
        return merged, self._superseded(log, merged)

    def _run(
        self,
        selection: Selection,
        take: Callable[[Log, int, list[bytes]], Merged],
        *,
        is_plan: bool,
    ) -> Fetched:
        self._pair.index.ask(lambda index: index.refresh_all())
        self._pair.reporter.start(f"looking at {self._pair.name}")
        # Entries name versions: so they are listed before the versions, and taken in after them.
        ends = self._ends(selection)
        tally = _Tally()
        for is_versions in (True, False):
            logs = [log for log in ends if (log.name == VERSIONS) == is_versions]
            for news in self._news(logs, ends):
                self._count(tally, news.log, self._merge(news, take))
        if selection.has(None):
            tally.versions += self._keyless(is_plan=is_plan)
        if not is_plan:
            self._pair.index.ask(lambda index: index.refresh_all())
            self._fetch_progress(selection)
        self._refuse_unknown(selection, ends)
        self._pair.reporter.finish()
        return Fetched(
            self._pair.name, tally.versions, tally.entries, tally.renumbered, tally.superseded
        )

    # -- what is there ---------------------------------------------------------------------------

    def _ends(self, selection: Selection) -> dict[Log, int]:
        """Return the remote's logs with the number of the last document of each."""
        ends: dict[Log, int] = {}
        keys = selection.exact
        for name in self._names(keys):
            located = Log.of(name)
            if located and selection.has(located[0].key):
                log, number = located
                ends[log] = max(number, ends.get(log, 0))
        return ends

    def _names(self, keys: list[str] | None) -> Iterator[str]:
        if keys is None:
            for prefix in ("refs", "manifests"):
                for item in self._remote.walk(prefix):
                    yield item.name
            return
        for key in keys:
            for item in self._remote.walk(refs_directory(key)):
                yield item.name
            directory = manifest_directory(key)
            for name in self._remote.names(directory):
                if parse_number(name) is not None:
                    yield f"{directory}/{name}"

    def _refuse_unknown(self, selection: Selection, ends: dict[Log, int]) -> None:
        known = {log.key for log in ends}
        for key in selection.exact or ():
            if key not in known and not self._numbers(Log(key, VERSIONS)):
                raise NotFoundError(
                    f"there is no key {key!r}, neither here nor at {self._pair.name}",
                    hint=f"art ls --remote {self._pair.name}",
                )

    # -- logs ------------------------------------------------------------------------------------

    def _known_end(self, log: Log) -> int:
        """Return up to which number both sides are the same, as far as is known."""
        return min(self._pair.ledger.end(log), len(self._numbers(log)))

    def _numbers(self, log: Log) -> list[int]:
        found = map(parse_number, self._pair.backend.names(log.directory))
        return [number for number in found if number is not None]

    def _news(self, logs: list[Log], ends: dict[Log, int]) -> Iterator[_News]:
        """Yield what is new in these logs, read many at once, in pieces that fit into memory."""
        pieces = []
        for log in logs:
            known = self._known_end(log)
            if ends[log] < known:
                self._pair.reporter.warn(
                    f"{self._pair.name} has lost {log.file(ends[log] + 1)}; the next push brings it back"
                )
                self._pair.ledger.note_end(log, ends[log])
            for first in range(known, ends[log], _BATCH) if ends[log] > known else ():
                # The last one known comes too: it shows that both sides are still the same.
                pieces.append((log, max(first, 1), min(first + _BATCH, ends[log])))
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "logs") as threads:
            yield from _windowed(threads, self._read, pieces)

    def _read(self, piece: tuple[Log, int, int]) -> _News:
        log, first, last = piece
        return _News(log, first, self._pair.reader.read(log, first, last))

    def _merge(self, news: _News, take: Callable[[Log, int, list[bytes]], Merged]) -> Merged:
        try:
            return take(news.log, news.first, news.contents)
        except DivergedError:
            last = news.first + len(news.contents) - 1
            return take(news.log, 1, self._pair.reader.read(news.log, 1, last))

    def _count(self, tally: _Tally, log: Log, merged: Merged) -> None:
        self._pair.reporter.advance(files=len(merged.added))
        if log.name != VERSIONS:
            tally.entries += len(merged.added)
            tally.superseded += self._superseded(log, merged)
            return
        for number, data in merged.added:
            tally.versions.append(Sent(log.key, number, _id(log, number, data)))
        tally.renumbered += renumbered(log, merged)

    def _superseded(self, log: Log, merged: Merged) -> list[Superseded]:
        moved = {log.parse(item.new, item.data).uid for item in merged.renumbered}
        return self._pair.superseded(log, moved)

    # -- what is no log --------------------------------------------------------------------------

    def _keyless(self, *, is_plan: bool) -> list[Sent]:
        """Take in the versions without a key that are not here yet."""
        here = set(self._catalog.anonymous_uids())
        names = self._remote.names("anonymous")
        there = [name[:-5] for name in names if name.endswith(".yaml")]
        new = [uid for uid in there if uid not in here]
        found = []
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "keyless") as threads:
            for uid, data in zip(new, threads.map(self._keyless_document, new), strict=True):
                found.append((f"anonymous/{uid}.yaml", data))
        if not is_plan:
            for name, data in found:
                self._pair.backend.create(name, data)
            for uid in there:
                self._pair.ledger.note_keyless(uid)
        return [Sent(None, None, parse_anonymous(n[10:-5], data).id) for n, data in found]

    def _keyless_document(self, uid: str) -> bytes:
        def fetch() -> bytes:
            data = self._remote.read(f"anonymous/{uid}.yaml", 0, documents.READ_LIMIT)
            parse_anonymous(uid, data)
            return data

        return self._pair.reader.again(fetch)

    def _fetch_progress(self, selection: Selection) -> None:
        """Bring the values of progress artifacts up to date: the larger sequence number wins."""
        records = self._pair.index.ask(lambda index: index.of_type("progress"))
        uids = [record.uid for record in records if selection.has(record.key) and record.is_live]
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "progress") as threads:
            for uid, data in zip(uids, threads.map(self._progress, uids), strict=True):
                if data is not None:
                    self._take_progress(uid, data)

    def _progress(self, uid: str) -> bytes | None:
        name = f"progress/{uid}.yaml"

        def fetch() -> bytes:
            data = self._remote.read(name, 0, documents.READ_LIMIT)
            check_progress(documents.decode(data, name), name)
            return data

        try:
            return self._pair.reader.again(fetch)
        except FileNotFoundError:
            return None

    def _take_progress(self, uid: str, data: bytes) -> None:
        name = f"progress/{uid}.yaml"
        theirs = documents.decode(data, name)["sequence"]
        with self._pair.backend.alone(f"progress-{uid}"):
            ours = self._catalog.progress(uid)
            if ours is None or ours["sequence"] < theirs:
                self._pair.backend.replace(name, data)
        self._pair.ledger.note_progress(uid, theirs)


def renumbered(log: Log, merged: Merged) -> list[Renumbered]:
    """Return the versions that have other numbers now."""
    return [
        Renumbered(str(log.key), item.old, item.new, _id(log, item.new, item.data))
        for item in merged.renumbered
    ]


def _id(log: Log, number: int, data: bytes) -> str:
    parsed = log.parse(number, data)
    assert isinstance(parsed, Manifest)
    return parsed.id


def _windowed(
    threads: ThreadPoolExecutor,
    read: Callable[[tuple[Log, int, int]], _News],
    pieces: list[tuple[Log, int, int]],
) -> Iterator[_News]:
    """Yield what is read, in order, a bounded number of documents ahead."""
    from collections import deque
    from concurrent.futures import Future

    waiting: deque[tuple[int, Future[_News]]] = deque()
    ahead = 0
    for piece in pieces:
        size = piece[2] - piece[1] + 1
        while waiting and ahead + size > 2 * _BATCH:
            done, future = waiting.popleft()
            ahead -= done
            yield future.result()
        waiting.append((size, threads.submit(read, piece)))
        ahead += size
    while waiting:
        yield waiting.popleft()[1].result()
