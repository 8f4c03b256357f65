"""Bringing a remote's history here: manifests and logs, no payloads."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeAlias

from art import document as documents
from art.catalog import (
    VERSIONS,
    Log,
    manifest_directory,
    parse_anonymous,
    parse_number,
    refs_directory,
)
from art.errors import ConflictError, CorruptError, NotFoundError, repair_at
from art.merge import DivergedError, Merged, Superseded, finish
from art.model import Manifest, check_progress
from art.sync import Fetched, Pairing, Renumbered, Selection, Sent

_IS_PROGRESS = b"\ntype: progress\n"
_LOGS_AT_ONCE = 16
_SAVE_SECONDS = 0.5
_BATCH = 4096  # documents that are held in memory before they are written
_SHOWN = 3  # losses that are told one by one

ProgressRank: TypeAlias = tuple[int, str, bytes]


@dataclass
class _Tally:
    versions: list[Sent] = field(default_factory=list)
    entries: int = 0
    renumbered: dict[str, Renumbered] = field(default_factory=dict)  # by id
    superseded: list[Superseded] = field(default_factory=list)
    problems: dict[Log, ConflictError | CorruptError] = field(default_factory=dict)
    others: list[CorruptError] = field(default_factory=list)  # of what is in no log
    progress: list[str] = field(default_factory=list)  # uids of new progress artifacts

    def is_blocked(self, log: Log) -> bool:
        """Whether a log must wait: what comes before it cannot be taken in."""
        return log in self.problems or Log(log.key, VERSIONS) in self.problems


@dataclass(frozen=True)
class _News:
    """The documents of a log that the remote has from number `first` on, or why they cannot be had."""

    log: Log
    first: int
    contents: list[bytes]
    problem: CorruptError | None = None


class Fetcher:
    """Merges a remote's logs into ours."""

    def __init__(self, pair: Pairing) -> None:
        self._pair = pair
        self._catalog = pair.local.catalog
        self._remote = pair.remote.backend
        self._times: dict[
            Log, int
        ] = {}  # of the last document of each log there, where it is listed
        self._saved = 0.0
        self._finals: dict[Log, int] = {}  # up to which number documents were final there
        self._brought: set[str] = set()  # progress artifacts whose first values came with them

    def plan(self, selection: Selection) -> Fetched:
        """Return what `fetch` would do now."""
        return self._run(selection, self._pair.merger.plan, is_plan=True)

    def fetch(self, selection: Selection) -> Fetched:
        """Take in what the remote has of the selected keys. Raise NotFoundError where a key is
        nowhere, or what the remote raises; ConflictError or CorruptError where something cannot be
        taken in, when all the rest has been."""
        finish(self._pair.backend, self._pair.index)
        if not self._pair.remote.is_bare:
            self._pair.ledger.note_working()
        try:
            return self._run(selection, self._take_in, is_plan=False)
        finally:
            self._pair.ledger.save()
            self._pair.forget_coming()

    def fetch_log(self, log: Log) -> list[Renumbered]:
        """Take in what follows in one log of the remote: another writer was faster there. Versions
        come before what is said of them. Return which of ours have other numbers now."""
        known = self._known_end(log)
        contents = self._pair.reader.following(log, max(known - 1, 0))
        is_about_versions = log.name != VERSIONS and log.key is not None
        moved = self.fetch_log(Log(log.key, VERSIONS)) if is_about_versions else []
        first = max(known, 1)
        is_new = log.name == VERSIONS and first + len(contents) - 1 > known
        if is_new:
            self._pair.note_coming({log.directory: first + len(contents) - 1})
        merged = self._merge(_News(log, first, contents), self._take_in)
        if is_new:
            self._pair.ledger.save()
            self._pair.forget_coming()
        return moved + (renumbered(log, merged) if log.name == VERSIONS else [])

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
        if self._pair.ledger.is_final:
            self._finals = {log: self._pair.ledger.end(log) for log in ends}
        self._note_lost(selection, ends)
        if not is_plan:
            self._pair.note_coming(self._coming(ends))
        tally = _Tally()
        for is_versions in (True, False):
            logs = [log for log in ends if (log.name == VERSIONS) == is_versions]
            for news in self._news(logs, ends):
                self._take(tally, news, take)
                if not is_plan:
                    self._save_now_and_then()
        for log, modified in () if is_plan else self._times.items():
            if not tally.is_blocked(log):
                self._pair.ledger.note_seen(log, modified)
        if selection.has(None):
            tally.versions += self._keyless(tally, is_plan=is_plan)
        self._pair.index.ask(lambda index: index.refresh_all())
        self._fetch_progress(tally, selection, is_plan=is_plan)
        self._refuse_unknown(selection, ends)
        self._pair.reporter.finish()
        if problems := [*tally.problems.values(), *tally.others]:
            self._raise(problems)
        moved = list(tally.renumbered.values())
        return Fetched(self._pair.name, tally.versions, tally.entries, moved, tally.superseded)

    def _coming(self, ends: dict[Log, int]) -> dict[str, int]:
        """Return which versions may be put here from now on, before it is noted that they are there."""
        versions = {log: end for log, end in ends.items() if log.name == VERSIONS}
        known = self._pair.ledger
        return {log.directory: end for log, end in versions.items() if end > known.end(log)}

    def _save_now_and_then(self) -> None:
        """Keep what is known to be on both sides now and then: it need not be compared again."""
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._pair.ledger.save()
            self._saved = time.monotonic()

    def _take(
        self, tally: _Tally, news: _News, take: Callable[[Log, int, list[bytes]], Merged]
    ) -> None:
        """Take in a piece of a log, unless something before it could not be."""
        if tally.is_blocked(news.log):
            return
        try:
            if news.problem:
                raise news.problem
            self._count(tally, news.log, self._merge(news, take))
        except (ConflictError, CorruptError) as error:
            tally.problems[news.log] = error

    def _raise(self, problems: list[ConflictError | CorruptError]) -> NoReturn:
        """Raise the first of these, and say how many there are."""
        first, *more = problems
        for problem in more[:_SHOWN]:
            self._pair.reporter.warn(problem.message)
        message = first.message + (f", and {len(more)} more such problems" if more else "")
        if isinstance(first, CorruptError):
            raise CorruptError(message, hint=first.hint) from first
        raise type(first)(message, hint=first.hint) from first

    # -- what is there ---------------------------------------------------------------------------

    def _ends(self, selection: Selection) -> dict[Log, int]:
        """Return the remote's logs with the number of the last document of each."""
        ends: dict[Log, int] = {}
        counts: Counter[Log] = Counter()
        keys = selection.exact
        for name, modified in self._names(keys):
            located = Log.of(name)
            if located and selection.has(located[0].key):
                log, number = located
                counts[log] += 1
                if number >= ends.get(log, 0):
                    ends[log] = number
                    self._times[log] = modified
        if keys is not None:  # few: they are compared each time
            self._times = {}
        # Of a log with a gap, as far as it shows: one file may say that it is the 10^17th.
        return {log: min(end, counts[log] + 1) for log, end in ends.items()}

    def _names(self, keys: list[str] | None) -> Iterator[tuple[str, int]]:
        """Yield the names of documents, and when they were made, in milliseconds."""
        if keys is None:
            for prefix in ("refs", "manifests"):
                for item in self._remote.walk(prefix):
                    yield item.name, int(item.modified * 1000)
            return
        for key in keys:
            for item in self._remote.walk(refs_directory(key)):
                yield item.name, 0
            directory = manifest_directory(key)
            for name in self._remote.names(directory):
                if parse_number(name) is not None:
                    yield f"{directory}/{name}", 0

    def _is_other(self, log: Log) -> bool:
        """Whether the last document of a log may be another one than both sides had: a remote that was
        set back to an older state has a new time there."""
        return log not in self._times or not self._pair.ledger.is_seen(log, self._times[log])

    def _refuse_unknown(self, selection: Selection, ends: dict[Log, int]) -> None:
        if not selection.unmatched(log.key for log in ends):
            return
        here = self._pair.index.ask(lambda index: index.ends())
        for pattern in selection.unmatched(log.key for log in {*ends, *here}):
            is_exact = Selection([pattern]).exact is not None
            what = f"there is no key {pattern!r}" if is_exact else f"no key matches {pattern!r}"
            raise NotFoundError(
                f"{what}, neither here nor at {self._pair.name}",
                hint=f"{pattern} is a remote: --remote {pattern}"
                if pattern == self._pair.name
                else f"art ls --remote {self._pair.name}",
            )

    def _note_lost(self, selection: Selection, ends: dict[Log, int]) -> None:
        """Note where the remote has less than it had, so that both sides are compared from the start
        and the next push brings back what is lost."""
        logs = self._pair.index.ask(lambda index: index.ends())
        lost = [
            log
            for log in {*logs, *ends}
            if selection.has(log.key) and ends.get(log, 0) < self._known_end(log)
        ]
        for log in lost:
            self._pair.ledger.note_end(log, 0)
        self._warn_of_loss([log.file(ends.get(log, 0) + 1) for log in lost])

    def _warn_of_loss(self, names: list[str]) -> None:
        if not names:
            return
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(sorted(names)[:_SHOWN])
        self._pair.reporter.warn(
            f"{self._pair.name} has lost {shown}{more}; the next push brings back what is here"
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
            for first in range(known, ends[log], _BATCH) if ends[log] > known else ():
                # The last one known comes too: it shows that both sides are still the same.
                pieces.append((log, max(first, 1), min(first + _BATCH, ends[log])))
            if 0 < known == ends[log] and self._is_other(log):
                pieces.append((log, known, known))
        threads = ThreadPoolExecutor(_LOGS_AT_ONCE, "logs")
        try:
            yield from _windowed(threads, self._read, pieces)
        finally:
            threads.shutdown(cancel_futures=True)

    def _read(self, piece: tuple[Log, int, int]) -> _News:
        log, first, last = piece
        try:
            return _News(log, first, self._pair.reader.read(log, first, last))
        except CorruptError as error:
            return _News(log, first, [], self._damaged_there(error))

    def _damaged_there(self, error: CorruptError) -> CorruptError:
        return CorruptError(error.message, hint=repair_at(self._pair.name))

    def _merge(self, news: _News, take: Callable[[Log, int, list[bytes]], Merged]) -> Merged:
        try:
            return take(news.log, news.first, news.contents)
        except DivergedError:
            last = news.first + len(news.contents) - 1
            return take(news.log, 1, self._pair.reader.read(news.log, 1, last))

    def _take_in(self, log: Log, first: int, contents: list[bytes]) -> Merged:
        """Merge. The values of progress artifacts are here before their versions are."""
        for number, data in enumerate(contents, first) if log.name == VERSIONS else ():
            if _IS_PROGRESS in data:
                self._bring_value(log.parse(number, data).uid)
        return self._pair.merger.merge(log, first, contents)

    def _bring_value(self, uid: str) -> None:
        if self._pair.backend.size(f"progress/{uid}.yaml") is None:
            with contextlib.suppress(CorruptError):  # which is told when all values are looked at
                if (data := self._progress(uid)) is not None and take_progress(
                    self._pair, uid, data
                ):
                    self._brought.add(uid)

    def _count(self, tally: _Tally, log: Log, merged: Merged) -> None:
        self._pair.reporter.advance(files=len(merged.added))
        if log.name != VERSIONS:
            tally.entries += len(merged.added)
            tally.superseded += self._superseded(log, merged)
            return
        for number, data in merged.added:
            manifest = log.parse(number, data)
            assert isinstance(manifest, Manifest)
            tally.versions.append(Sent(log.key, number, manifest.id))
            tally.progress += [manifest.uid] if manifest.type == "progress" else []
        for item in renumbered(log, merged):
            if item.old <= self._finals.get(log, 0):
                self._pair.reporter.warn(
                    f"{self._pair.name} had published {item.key}@v{item.old}, and has another version "
                    f"there now: it is v{item.new} now; others may know it by its old number"
                )
            first = tally.renumbered.get(item.id)  # it moved with an earlier piece already
            tally.renumbered[item.id] = replace(item, old=first.old) if first else item

    def _superseded(self, log: Log, merged: Merged) -> list[Superseded]:
        moved = {log.parse(item.new, item.data).uid for item in merged.renumbered}
        return self._pair.superseded(log, moved)

    # -- what is no log --------------------------------------------------------------------------

    def _keyless(self, tally: _Tally, *, is_plan: bool) -> list[Sent]:
        """Take in the versions without a key that are not here yet."""
        here = set(self._catalog.anonymous_uids())
        names = self._remote.names("anonymous")
        there = [name[:-5] for name in names if name.endswith(".yaml")]
        new = [uid for uid in there if uid not in here]
        found = []
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "keyless") as threads:
            futures = [(uid, threads.submit(self._keyless_document, uid)) for uid in new]
        for uid, future in futures:
            try:
                found.append((f"anonymous/{uid}.yaml", future.result()))
            except CorruptError as error:
                tally.others.append(self._damaged_there(error))
        if not is_plan:
            self._pair.note_coming({name.removesuffix(".yaml"): 1 for name, _ in found})
            for name, data in found:
                if _IS_PROGRESS in data:
                    self._bring_value(name[10:-5])
                self._pair.backend.create(name, data)
            for uid in {name[10:-5] for name, _ in found} | (here & set(there)):
                self._pair.ledger.note_keyless(uid)
            lost = sorted(self._pair.ledger.keyless() & here - set(there))
            for uid in lost:
                self._pair.ledger.forget_keyless(uid)
            self._warn_of_loss([f"anonymous/{uid}.yaml" for uid in lost])
        return [Sent(None, None, parse_anonymous(n[10:-5], data).id) for n, data in found]

    def _keyless_document(self, uid: str) -> bytes:
        def fetch() -> bytes:
            data = self._remote.read(f"anonymous/{uid}.yaml", 0, documents.READ_LIMIT)
            parse_anonymous(uid, data)
            return data

        return self._pair.reader.again(fetch)

    def _fetch_progress(self, tally: _Tally, selection: Selection, *, is_plan: bool) -> None:
        """Bring the values of progress artifacts up to date: the larger one counts."""
        planned = tally.progress if is_plan else []
        records = self._pair.index.ask(lambda index: index.of_type("progress"))
        uids = [record.uid for record in records if selection.has(record.key) and record.is_live]
        uids += [uid for uid in planned if uid not in uids]
        with ThreadPoolExecutor(_LOGS_AT_ONCE, "progress") as threads:
            futures = [(uid, threads.submit(self._progress, uid)) for uid in uids]
        for uid, future in futures:
            try:
                data = future.result()
            except CorruptError as error:
                tally.others.append(self._damaged_there(error))
                continue
            if data is not None:
                is_new = take_progress(self._pair, uid, data, is_plan=is_plan)
                tally.entries += is_new or uid in self._brought
            elif not is_plan:
                self._pair.ledger.note_progress(uid, 0)

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


def progress_rank(name: str, data: bytes) -> ProgressRank:
    """Return by what the values of a progress are ordered: of two the larger one counts everywhere."""
    document = documents.decode(data, name)
    check_progress(document, name)
    return int(document["sequence"]), str(document["created"]), data


def take_progress(pair: Pairing, uid: str, data: bytes, *, is_plan: bool = False) -> bool:
    """Take the value of a progress that the remote has, unless ours is the larger one; return whether
    it is taken."""
    name = f"progress/{uid}.yaml"
    theirs = progress_rank(name, data)
    with contextlib.nullcontext() if is_plan else pair.backend.alone(f"progress-{uid}"):
        ours: ProgressRank | None = None
        with contextlib.suppress(FileNotFoundError, CorruptError):  # it is mended by theirs
            ours = progress_rank(name, pair.backend.read(name))
        is_new = ours is None or ours < theirs
        if is_new and not is_plan:
            pair.backend.replace(name, data)
    if not is_plan:
        known = theirs[0]
        if ours is not None and theirs < ours:  # which is yet to be pushed
            known = min(known, ours[0] - 1)
        pair.ledger.note_progress(uid, known)
    return is_new


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
