"""Work in the background: objects saved later, and objects saved again whenever they changed.

Nothing is lost at a normal end of the process: what waits is finished first. What goes wrong is raised
where somebody asks: by the future, by `flush`, by `stop`.
"""

from __future__ import annotations

import atexit
import contextvars
import importlib
import os
import queue
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from art.errors import UsageError

T = TypeVar("T")
_Job = tuple[Callable[[], Any], Future[Any]]
_WAITING = 16  # so many jobs wait at most, before who brings another one has to


class Background:
    """Does one job after the other in a thread of its own."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self._failed: list[BaseException] = []
        self._lock = threading.Lock()
        self._entry = threading.Lock()  # held while a job is brought
        self._is_finished = False
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Do it later, in the run that is current now; wait where too much is waiting. The future cannot
        be cancelled: nothing is lost. What comes when the process ends, from a thread that goes on or a
        function that `atexit` calls, is done at once: nobody waits for it any more."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        context = contextvars.copy_context()
        found: _Job = (lambda: context.run(job), future)
        with self._entry:
            if not (self._is_finished or _is_over):
                self._put(found)
                return future
        if error := self._done(found):
            _say(error)
        return future

    def _put(self, job: _Job) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="art-background", daemon=True
                )
                self._thread.start()
                at_exit(self)
        self._jobs.put(job)

    def wait(self) -> None:
        """Wait until all of it is done, well or not."""
        self._jobs.join()

    def flush(self) -> None:
        """Wait until all of it is done. Raise what went wrong first since this was last asked."""
        self.wait()
        with self._lock:
            failed, self._failed = self._failed, []
        if failed:
            raise failed[0]

    def stop(self) -> None:
        """Flush, and let go of the thread."""
        try:
            self.flush()
        finally:
            with self._lock:
                thread, self._thread = self._thread, None
            if thread:
                self._jobs.put(None)

    def finish(self) -> None:
        """Flush, at the end of the process."""
        with self._entry:
            self._is_finished = True
        self.flush()

    def forget(self) -> None:
        """Begin anew, in a process that was forked: what waits is done by the one that it came from."""
        _others.append(self._jobs)
        self._begin()

    def _run(self) -> None:
        while found := self._jobs.get():
            try:
                if error := self._done(found):
                    with self._lock:
                        self._failed = self._failed or [error]  # more would only take memory
            finally:
                self._jobs.task_done()
        self._jobs.task_done()

    def _done(self, found: _Job) -> BaseException | None:
        """Do it; return what went wrong."""
        job, future = found
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - raised again by flush and the future
            future.set_exception(error)
            return error
        return None


class Tracker(Generic[T]):
    """An object that is saved under its key whenever it has changed: every `interval` seconds, when
    asked, and at the end. Hold `lock` while it is changed in several steps. Its versions are of the run
    that is current when tracking begins.

    `save` saves an object and returns what came of it, which is the version before where nothing has
    changed.
    """

    def __init__(self, key: str, value: Any, save: Callable[[Any], T], interval: float) -> None:
        if not interval > 0:
            raise UsageError(f"interval {interval!r} is not a number of seconds above 0")
        self.key = key
        self.value = value
        self.interval = interval
        self.lock = threading.RLock()
        context = contextvars.copy_context()
        self._save: Callable[[Any], T] = lambda current: context.run(save, current)
        self._failed: BaseException | None = None
        self._ended = threading.Event()  # it is not looked at in the background any more
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=f"art-track-{key}", daemon=True)
        self._thread.start()
        at_exit(self)

    @property
    def is_running(self) -> bool:
        """Whether it has not been stopped: what cannot be saved for the last time is not let go of."""
        return not self._is_stopped

    def set(self, value: Any) -> None:
        """Track another object from now on."""
        with self.lock:
            self.value = value

    def flush(self) -> T:
        """Save it now if it has changed. Raise what went wrong, also what did so in the background
        since this was last asked."""
        with self.lock:
            failed, self._failed = self._failed, None
            saved = self._save(self.value)
        if failed:
            raise failed
        return saved

    def stop(self) -> T | None:
        """Save it once more if it has changed, and let go of it. Raise what went wrong; it is tracked
        still where that was this last save, to be stopped again, by the end of the process at the latest."""
        if self._is_stopped:
            return None
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with self.lock:
            failed, self._failed = self._failed, None
            saved = self._save(self.value)
            self._is_stopped = True
        if failed:
            raise failed
        return saved

    def finish(self) -> None:
        """Stop, at the end of the process."""
        self.stop()

    def forget(self) -> None:
        """Let go of it, in a process that was forked: it is tracked by the one that it came from."""
        self.lock = threading.RLock()  # a thread that is not here may have held it
        self._is_stopped = True
        self._ended = threading.Event()
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self.interval):
            with self.lock:
                try:
                    self._save(self.value)
                except BaseException as error:  # noqa: BLE001 - raised again by flush and stop
                    self._failed = error


_open: weakref.WeakSet[Any] = weakref.WeakSet()
_is_registered = False
_is_over = False  # the process ends
# Of the process that this one was forked from. If they went away, so would the files of what waits there.
_others: list[queue.Queue[_Job | None]] = []


def at_exit(thing: Background | Tracker[Any]) -> None:
    """Let it finish before the process ends, while threads can still be made."""
    global _is_registered
    _open.add(thing)
    if not _is_registered:
        _is_registered = True
        # What is registered with atexit comes too late: executors take no more work then.
        register = getattr(threading, "_register_atexit", atexit.register)
        importlib.import_module("concurrent.futures.thread")  # registered later is called earlier
        register(_finish_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_all)


def _finish_all() -> None:
    global _is_over
    _is_over = True
    for thing in list(_open):
        try:
            thing.finish()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - nobody is left who could catch it
            _say(error)


def _say(error: BaseException) -> None:
    warnings.warn(f"art: at the end of the process: {error}", stacklevel=2)


def _forget_all() -> None:
    global _is_over
    _is_over = False
    for thing in list(_open):
        thing.forget()
    _open.clear()
