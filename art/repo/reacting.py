"""Waiting for new versions and moves of tags, and commands that are run for them."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from art import listing
from art.catalog import Log, tag_log
from art.errors import ArtError, NotFoundError, UsageError
from art.listing import Filter
from art.repo.drafting import Drafting

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from art.cursor import Cursor
    from art.events import Event, Finder, Reaction
    from art.reacting import Done, Runner

_STEP_SECONDS = 0.05  # after which it is looked whether a command has ended


@dataclass(frozen=True)
class Waiting:
    """What is waited for, and how. `filter` says which versions count: its `where`, `partitions`, `types`
    and `labels`; what was there before its `since`, else before now, is not new.

    `cursor` is a file that says what was reacted to, for the next process. Each key is looked at again
    after `interval` seconds, at `remote` where that is given. With `all_of`, something new of each that
    is watched is waited for.
    """

    filter: Filter = field(default_factory=Filter)
    cursor: str | os.PathLike[str] | None = None
    interval: float = 5.0
    remote: str | None = None
    all_of: bool = False


class Reacting(Drafting):
    """A repository whose changes somebody waits for."""

    def events(
        self, *watched: str, waiting: Waiting | None = None, stop: threading.Event | None = None
    ) -> Iterator[Reaction | ArtError]:
        """Wait for what is new of `KEY`, `GLOB` or, for moves of a tag, `KEY@TAG`, and give it as it
        comes, until `stop` is set; or what went wrong, which ends nothing.

        When the next one is asked for, the last one counts as reacted to, also for a process that has
        the same cursor later. Raise UsageError, BusyError where another process has the cursor.
        """
        wanted = waiting or Waiting()
        return self._events(*self._begin(watched, wanted), wanted, stop or threading.Event())

    def _events(
        self, cursor: Cursor, finder: Finder, wanted: Waiting, ended: threading.Event
    ) -> Iterator[Reaction | ArtError]:
        try:
            while not ended.is_set():
                yield from self._fetched(finder, wanted)
                for reaction in self._new(finder, cursor.seen, wanted):
                    yield reaction
                    cursor.note_done(reaction.uids)
                    if ended.is_set():
                        return
                ended.wait(wanted.interval)
        finally:
            cursor.close()

    def react(
        self,
        command: str,
        *watched: str,
        waiting: Waiting | None = None,
        jobs: int = 1,
        stop: threading.Event | None = None,
    ) -> Iterator[Done | ArtError]:
        """Run a command of the shell for all that is new, `jobs` of them at a time; give how each ended.

        `{ref}`, `{key}`, `{id}`, `{number}`, `{tag}`, `{uri}` and `{refs}` in it stand for what is new,
        and so do the variables `ART_REF` and so on. A command that was begun when this process was
        killed is waited for by the next one that has the cursor, or run again where it was killed, too.
        """
        from art.reacting import Runner

        wanted = waiting or Waiting()
        cursor, finder = self._begin(watched, wanted)
        runner = Runner(command, cursor, jobs)
        return self._reacted(runner, cursor, finder, wanted, stop or threading.Event())

    def _reacted(
        self,
        runner: Runner,
        cursor: Cursor,
        finder: Finder,
        wanted: Waiting,
        ended: threading.Event,
    ) -> Iterator[Done | ArtError]:
        from art.reacting import Task

        try:
            runner.resume()
            pending: deque[Reaction] = deque()
            look = 0.0
            while not ended.is_set():
                if time.monotonic() >= look:
                    yield from self._fetched(finder, wanted)
                    pending = deque(self._new(finder, cursor.seen | runner.uids, wanted))
                    look = time.monotonic() + wanted.interval
                while pending and runner.is_free:
                    runner.start(Task.of(pending.popleft()))
                yield from runner.ended()
                rest = max(0.0, look - time.monotonic())
                ended.wait(min(rest, _STEP_SECONDS) if runner.uids or pending else rest)
            runner.stop()
            yield from runner.ended(wait=True)
        finally:
            runner.close()
            cursor.close()

    def _begin(self, watched: tuple[str, ...], wanted: Waiting) -> tuple[Cursor, Finder]:
        """Return the cursor, which knows what was there before, and what finds the rest."""
        from art.cursor import Cursor
        from art.events import Finder, Watched

        if not watched:
            raise UsageError("there is no key to wait for", hint="art ls shows the keys there are")
        if not 0 < wanted.interval < 86400:
            raise UsageError(f"interval {wanted.interval!r} is not a number of seconds above 0")
        since = listing.moment(wanted.filter.since)
        if wanted.remote is not None:
            self.remotes.get(wanted.remote)
        finder = Finder(
            self._index,
            dict.fromkeys(map(Watched.parse, watched)),
            replace(wanted.filter, since=None),
            self._resolver.ids,
        )
        cursor = Cursor(wanted.cursor)
        try:
            unknown = [each for each in finder.watched if each.name not in cursor.watched]
            if unknown and wanted.remote is not None:
                self.fetch(*(each.key for each in unknown), remote=wanted.remote)
            is_meant = self._is_meant(wanted)
            for each, events in finder.look().items() if unknown else ():
                if each in unknown:
                    there = [event for event in events if is_meant(event)]
                    old = [e.uid for e in there if since is None or e.created < since]
                    cursor.begin(each.name, old)
            for error in finder.mistakes():
                self._warn(f"{error.message}; {error.hint}" if error.hint else error.message)
        except BaseException:
            cursor.close()
            raise
        return cursor, finder

    def _new(self, finder: Finder, seen: Container[str], wanted: Waiting) -> list[Reaction]:
        from art.events import reactions

        is_meant = self._is_meant(wanted)
        return reactions(finder.look(), seen, is_meant, all_of=wanted.all_of)

    def _is_meant(self, wanted: Waiting) -> Callable[[Event], bool]:
        """Return what tells whether an event counts: of a remote, one that the remote knows."""
        if wanted.remote is None:
            return lambda event: True
        ledger = self._exchange.known_at(wanted.remote)

        def knows(event: Event) -> bool:
            record, tag = event.record, event.tag
            if ledger is None or not ledger.has_version(record.key, record.number, record.uid):
                return False
            return tag is None or event.entry <= ledger.end(Log(record.key, tag_log(tag)))

        return knows

    def _fetched(self, finder: Finder, wanted: Waiting) -> Iterator[ArtError]:
        """Take in what is new at the remote, if one is watched; yield what went wrong."""
        if wanted.remote is None:
            return
        for each in finder.watched:
            try:
                self.fetch(each.key, remote=wanted.remote)
            except NotFoundError:
                continue  # it may come
            except ArtError as error:
                yield error
                return
