"""Waiting for new versions and moves of tags, and commands that are run for them."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from art import listing
from art.errors import ArtError, NotFoundError, QueryError, UsageError
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


@dataclass
class _Trouble:
    """What was wrong at the last look: at a remote the kind of error, as words and times in it may differ,
    and what is asked for."""

    kind: str | None = None
    of_query: str | None = None


class Reacting(Drafting):
    """A repository whose changes somebody waits for."""

    def events(
        self, *watched: str, waiting: Waiting | None = None, stop: threading.Event | None = None
    ) -> Iterator[Reaction | ArtError]:
        """Wait for what is new of `KEY`, `GLOB` or, for moves of a tag, `KEY@TAG`, and give it as it
        comes, until `stop` is set; or what went wrong, which ends nothing, once for as long as it lasts.

        When the next one is asked for, the last one counts as reacted to, also for a process that has
        the same cursor later. Raise UsageError, BusyError where another process has the cursor.
        """
        wanted = waiting or Waiting()
        return self._events(*self._begin(watched, wanted), wanted, stop or threading.Event())

    def _events(
        self, cursor: Cursor, finder: Finder, wanted: Waiting, ended: threading.Event
    ) -> Iterator[Reaction | ArtError]:
        trouble = _Trouble()
        try:
            while not ended.is_set():
                for found in self._looked(finder, cursor.seen, wanted, trouble):
                    yield found
                    if isinstance(found, ArtError):
                        continue
                    cursor.note_done(found.uids)
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

        trouble = _Trouble()
        try:
            runner.resume()
            pending: deque[Reaction] = deque()
            look = 0.0
            while not ended.is_set():
                if time.monotonic() >= look:
                    pending.clear()
                    for found in self._looked(finder, cursor.seen | runner.uids, wanted, trouble):
                        if isinstance(found, ArtError):
                            yield found
                        else:
                            pending.append(found)
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
            partial(self._exchange.known_at, wanted.remote) if wanted.remote is not None else None,
        )
        cursor = Cursor(wanted.cursor)
        try:
            unknown = [each for each in finder.watched if each.name not in cursor.watched]
            for each in unknown if wanted.remote is not None else ():
                with suppress(NotFoundError):  # it may come
                    self.fetch(each.key, remote=wanted.remote)
            for each, events in finder.look().items() if unknown else ():
                if each in unknown:
                    old = [e.uid for e in events if since is None or e.created < since]
                    cursor.begin(each.name, old)
            for error in finder.mistakes():
                self._warn(f"{error.message}; {error.hint}" if error.hint else error.message)
        except BaseException:
            cursor.close()
            raise
        return cursor, finder

    def _looked(
        self, finder: Finder, seen: Container[str], wanted: Waiting, trouble: _Trouble
    ) -> Iterator[Reaction | ArtError]:
        """Look once: yield what is new, or what is wrong since now."""
        from art.events import reactions

        yield from self._fetched(finder, wanted, trouble)
        try:
            found = finder.look()
        except QueryError as error:  # a reference in it means nothing now, and may again later
            if error.message != trouble.of_query:
                trouble.of_query = error.message
                yield error
            return
        trouble.of_query = None
        yield from reactions(found, seen, all_of=wanted.all_of)

    def _fetched(self, finder: Finder, wanted: Waiting, trouble: _Trouble) -> Iterator[ArtError]:
        """Take in what is new at the remote, if one is watched; yield what went wrong, at the first of
        several looks at which it does, and tell when it is over."""
        if wanted.remote is None:
            return
        for each in finder.watched:
            try:
                self.fetch(each.key, remote=wanted.remote)
            except NotFoundError:
                continue  # it may come
            except ArtError as error:
                if error.kind != trouble.kind:
                    trouble.kind = error.kind
                    yield error
                return
        if trouble.kind is not None:
            trouble.kind = None
            self._warn(f"{wanted.remote} is reachable again")
