"""Commands of the user's as processes: their streams are ours, and signals go on to them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from blake3 import blake3

from art.errors import ArtError

NOT_FOUND, NOT_PERMITTED = 127, 126  # as shells have it
_AT_ONCE = 1 << 20  # bytes
_INT = 4  # bytes
# The terminal sends these to all processes in front; the others go to the one that is named.
_OF_TERMINALS = ("SIGINT", "SIGQUIT")
_OTHERS = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


class CommandError(ArtError):
    """A command ended with another status than 0. `exit_code` is that status; 128 and the number of the
    signal where one ended it."""

    kind = "command"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def call(words: Sequence[str], environment: Mapping[str, str], *, keep: int | None = None) -> None:
    """Run a command to its end. Raise CommandError where its status is not 0, or it cannot be run.

    Signals that come meanwhile are passed on, and what it does then is what counts. The command is given the
    handle `keep`, and so what that locks, even where this process is killed.
    """
    handles = () if keep is None else (keep,)
    with _forwarding() as children:
        try:
            process = subprocess.Popen(words, env={**os.environ, **environment}, pass_fds=handles)
        except FileNotFoundError:
            hint = "; its words stand apart, or behind sh -c" if " " in words[0] else ""
            raise CommandError(f"there is no command {words[0]!r}{hint}", NOT_FOUND) from None
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CommandError(f"{words[0]!r} cannot be run: {why}", NOT_PERMITTED) from None
        children.append(process)
        for number in children.early:
            process.send_signal(number)
        code = process.wait()
    if code < 0:
        raise CommandError(f"{words[0]} was ended by {_signal_name(-code)}", 128 - code)
    if code:
        raise CommandError(f"{words[0]} ended with exit status {code}", code)


def given_input() -> str | None:
    """Return a digest of what commands will read on standard input, which is left as it is: of a file, from
    where it is read next, and empty where there is nothing, or a terminal. None where nobody can know: a
    pipe, in which there is something or may be later."""
    if sys.__stdin__ is None:
        return ""  # it was closed
    with contextlib.suppress(OSError):  # it cannot be read, or not now
        mode = os.fstat(0).st_mode
        if stat.S_ISREG(mode) and hasattr(os, "pread"):
            return _digest_from(os.lseek(0, 0, os.SEEK_CUR))
        is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        if stat.S_ISCHR(mode) or (is_pipe and _is_at_end()):
            return ""
    return None


def _digest_from(start: int) -> str:
    """Return the digest of what follows in the file that is standard input; empty where nothing does."""
    hasher, place = blake3(), start
    while data := os.pread(0, _AT_ONCE, place):
        hasher.update(data)
        place += len(data)
    return hasher.hexdigest() if place > start else ""


def _is_at_end() -> bool:
    """Whether the pipe, or socket, that is standard input has ended and has nothing any more."""
    if not hasattr(select, "poll"):
        return False  # Windows tells nothing of pipes
    import fcntl
    import termios

    poll = select.poll()
    poll.register(0, select.POLLIN)
    if not poll.poll(0):
        return False  # nobody wrote anything yet, and nobody closed it
    count = fcntl.ioctl(0, termios.FIONREAD, bytes(_INT))
    return not any(count)


class _Children(list["subprocess.Popen[bytes]"]):
    """The processes that signals go to, and the signals that came before there was one."""

    def __init__(self) -> None:
        super().__init__()
        self.early: list[int] = []


@contextlib.contextmanager
def _forwarding() -> Iterator[_Children]:
    """Pass signals on to the processes in the list that is given, and let none of them end this one."""
    children = _Children()

    def pass_on(number: int, frame: FrameType | None) -> None:
        if signal.Signals(number).name in _OF_TERMINALS and _is_in_front():
            return  # it has it already
        if not children:
            children.early.append(number)
        for child in children:
            child.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield children
        return
    numbers = [getattr(signal, name) for name in _OF_TERMINALS + _OTHERS if hasattr(signal, name)]
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_front() -> bool:
    """Whether this process is one that its terminal sends signals to."""
    if sys.platform == "win32":
        return True
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
