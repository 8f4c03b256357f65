"""`art watch KEY`: what is new, told or reacted to."""

import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from art.cli.common import EndedError, Output, open_repo, parse_pairs
from art.errors import ArtError
from art.keys import is_glob
from art.listing import Filter
from art.processes import CommandError
from art.render.plain import escape, json_text

if TYPE_CHECKING:
    from art.events import Reaction
    from art.reacting import Done
    from art.repo import Repo
    from art.repo.reacting import Waiting


@dataclass(frozen=True)
class Wish:
    """What is waited for, as it was given."""

    exec: str | None
    where: str | None
    partition: list[str] | None
    remote: str | None
    cursor: str | None
    since: str | None
    interval: float | None
    jobs: int
    all_of: bool

    @property
    def is_said(self) -> bool:
        """Whether anything was given that only keys can be waited for with."""
        given = (self.exec, self.where, self.remote, self.cursor, self.since, self.interval)
        return self.all_of or any(each is not None for each in given)

    def waiting(self) -> "Waiting":
        from art.repo.reacting import Waiting

        pairs = parse_pairs(self.partition, "-p")
        filter = Filter(where=self.where, partitions=pairs, since=self.since)
        return Waiting(filter, self.cursor, self.interval or 5.0, self.remote, self.all_of)


def wait(output: Output, keys: list[str], wish: Wish, *, once: bool) -> None:
    """Tell what is new of these keys, or run a command for it, until a signal comes; with `once`, until
    one of them was told, or its command has ended, whose exit code is the result."""
    repo = open_repo(output)
    waiting = wish.waiting()
    with ending(interrupts=False) as stop:
        if wish.exec is None:
            events = repo.events(*keys, waiting=waiting, stop=stop)
            _say_begun(output, repo, keys)
            _tell_all(output, events, stop, once=once)
        else:
            jobs = 1 if once else wish.jobs
            done = repo.react(wish.exec, *keys, waiting=waiting, jobs=jobs, stop=stop)
            _say_begun(output, repo, keys)
            _warn_of_words(output, wish.exec)
            _run_all(output, done, once=once)


def _warn_of_words(output: Output, command: str) -> None:
    """Tell of what looks like a word that stands for what is new, and is none."""
    from difflib import get_close_matches

    from art.reacting import NAMES

    for word in re.findall(r"(?<!\$)\{([a-z]+)\}", command):
        near = [] if word in NAMES else get_close_matches(word, NAMES, 1, 0.6)
        if near:
            output.say(f"warning: {{{word}}} stands for nothing; did you mean {{{near[0]}}}?")


def _say_begun(output: Output, repo: "Repo", keys: list[str]) -> None:
    output.say(f"waiting for what is new of {', '.join(_known(repo, key) for key in keys)}")
    output.finish()


def _known(repo: "Repo", key: str) -> str:
    """Return a key with what there is of it, so that nobody waits for a word that was mistyped."""
    name, at, _ = key.partition("@")
    if is_glob(name):
        return key
    with contextlib.suppress(ArtError):
        return f"{key} (now {repo.version(key if at else name).record.ref.rpartition('@')[2]})"
    return f"{key} (nothing yet)"


def _tell_all(
    output: Output, found: "Iterator[Reaction | ArtError]", stop: Event, *, once: bool
) -> None:
    for each in found:
        output.finish()
        if isinstance(each, ArtError):
            tell(output, each)
            continue
        documents = [event.to_document() for event in each.events]
        # Whatever --json says: who waits without a command is a program.
        print(json_text({"events": documents} if len(documents) > 1 else documents[0]), flush=True)
        if once:
            stop.set()  # and the next one is asked for, so that this one counts as told


def _run_all(output: Output, found: "Iterator[Done | ArtError]", *, once: bool) -> None:
    for each in found:
        output.finish()
        if isinstance(each, ArtError):
            tell(output, each)
            continue
        again = "" if each.is_kept else "; it will be run again"
        error = CommandError(
            f"the command for {each.refs} ended with {each.code}{again}", each.code
        )
        if once and each.is_kept:
            if each.code:
                raise error
            return
        if each.code:
            tell(output, error)


def tell(output: Output, error: ArtError) -> None:
    """Tell an error, which ends nothing."""
    if output.is_json:
        fields = {"kind": error.kind, "message": error.message, "hint": error.hint}
        print(json_text({"error": fields}), file=sys.stderr, flush=True)
        return
    print(f"error: {escape(error.message)}", file=sys.stderr, flush=True)
    if error.hint:
        print(f"hint: {escape(error.hint)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def ending(*, interrupts: bool) -> Iterator[Event]:
    """Give what SIGTERM sets, and end quietly by it and by Ctrl-C; what is being made then is finished,
    or never was. Where Ctrl-C does not interrupt, it sets it, too; a second one interrupts."""
    stop = Event()
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, end)
    if not interrupts:
        signal.signal(signal.SIGINT, end)
    try:
        yield stop
    except KeyboardInterrupt:
        raise EndedError(128 + signal.SIGINT) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise EndedError(128 + came[0])
