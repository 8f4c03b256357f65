"""Waiting for new versions and moves of tags, and commands that are run for them."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from art import listing
from art.errors import ArtError, NotFoundError, UsageError
from art.listing import Filter
from art.repo.drafting import Drafting

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from art.cursor import Cursor
    from art.events import Finder, Reaction
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
        from art.events import reactions

        try:
            while not ended.is_set():
                yield from self._fetched(finder, wanted)
                for reaction in reactions(finder.look(), cursor.seen, all_of=wanted.all_of):
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
        runner = Runner(cursor, jobs)
        return self._reacted(command, runner, cursor, finder, wanted, stop or threading.Event())

    def _reacted(
        self,
        command: str,
        runner: Runner,
        cursor: Cursor,
        finder: Finder,
        wanted: Waiting,
        ended: threading.Event,
    ) -> Iterator[Done | ArtError]:
        from art.events import reactions
        from art.reacting import Task

        try:
            runner.resume()
            pending: deque[Reaction] = deque()
            look = 0.0
            while not ended.is_set():
                if time.monotonic() >= look:
                    yield from self._fetched(finder, wanted)
                    found = reactions(
                        finder.look(), cursor.seen | runner.uids, all_of=wanted.all_of
                    )
                    pending = deque(found)
                    look = time.monotonic() + wanted.interval
                while pending and runner.is_free:
                    runner.start(Task.of(pending.popleft(), command))
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
        finder = Finder(
            self._index,
            dict.fromkeys(map(Watched.parse, watched)),
            replace(wanted.filter, since=None),
            self._resolver.ids,
        )
        cursor = Cursor(wanted.cursor)
        try:
            for each, events in finder.look().items():
                if each.name not in cursor.watched:
                    old = [e.uid for e in events if since is None or e.created < since]
                    cursor.begin(each.name, old)
        except BaseException:
            cursor.close()
            raise
        return cursor, finder

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
