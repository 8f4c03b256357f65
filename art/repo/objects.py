"""Making versions of Python objects."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from art.errors import ConflictError
from art.model import check_key
from art.place import DIRECTORY
from art.repo.base import Published
from art.repo.publishing import Publishing

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from art.materialize import Materializer
    from art.publish import About
    from art.saving import Saving
    from art.tracking import Background, Tracker


class Objects(Publishing):
    """Saves objects: at once, in the background, or whenever they changed."""

    @overload
    def save(
        self,
        value: Any,
        key: str | None = None,
        *,
        materializer: Materializer | str | None = None,
        pickle: bool = False,
        preview: bool = True,
        wait: Literal[True] = True,
        **about: Unpack[About],
    ) -> Published: ...
    @overload
    def save(
        self,
        value: Any,
        key: str | None = None,
        *,
        materializer: Materializer | str | None = None,
        pickle: bool = False,
        preview: bool = True,
        wait: Literal[False],
        **about: Unpack[About],
    ) -> Future[Published]: ...
    def save(
        self,
        value: Any,
        key: str | None = None,
        *,
        materializer: Materializer | str | None = None,
        pickle: bool = False,
        preview: bool = True,
        wait: bool = True,
        **about: Unpack[About],
    ) -> Published | Future[Published]:
        """Make one version of a Python object, which `Version.load` gives back equal.

        The materializer is that of its exact type, else of its nearest base, or the one that is given
        or named. With `preview`, head and statistics are stored beside it. Without `wait` the object
        is written to the disk as it is now, the version is made in the background, and a future of it
        returned; `flush` raises what goes wrong there.

        Raise UsageError where no materializer is for the object, or it would not come back equal:
        `pickle=True` is the way out, here and on loading.
        """
        from art.saving import Saving

        saving = Saving.of(value, materializer, pickle=pickle, preview=preview)
        if not wait:
            return self._save_later(saving, key, about)
        draft, publisher = self._draft(key, about)
        return self._publish(draft, publisher, saving.content(publisher, self._scratch, key))

    def _save_later(self, saving: Saving, key: str | None, about: About) -> Future[Published]:
        draft, publisher = self._draft(key, about)
        with ExitStack() as stack:
            written = stack.enter_context(saving.written(self._scratch))
            kept = stack.pop_all()

        def job() -> Published:
            with kept:
                return self._publish(draft, publisher, written.content(publisher, key))

        return self._background.submit(job)

    def flush(self) -> None:
        """Wait for what is saved in the background, and save what is tracked and has changed. Raise
        what went wrong first."""
        if background := self.__dict__.get("_background"):
            background.flush()
        for tracker in self.tracked().values():
            tracker.flush()

    def track(
        self,
        value: Any,
        key: str,
        *,
        interval: float = 300.0,
        materializer: Materializer | str | None = None,
        preview: bool = True,
        **about: Unpack[About],
    ) -> Tracker[Published]:
        """Make a version of a frame, a dict, an array or another object, and a further one whenever
        its content has changed: values, index, columns or types. It is looked at every `interval`
        seconds, by `flush` and `stop` of what is returned, and at the end of the process.

        Raise ConflictError where the key is tracked already.
        """
        from art.tracking import Tracker

        if check_key(key) in self.tracked():
            raise ConflictError(
                f"{key} is tracked already", hint="tracked()[key].set(…) takes another object"
            )

        def save(current: Any) -> Published:
            return self.save(current, key, materializer=materializer, preview=preview, **about)

        save(value)
        tracker = self._trackers[key] = Tracker(key, value, save, interval)
        return tracker

    def tracked(self) -> dict[str, Tracker[Published]]:
        """Return what is tracked, by key."""
        return {key: each for key, each in self._trackers.items() if each.is_running}

    def close(self) -> None:
        """Finish what is saved in the background, stop tracking, and let go of open files. Raise what
        went wrong."""
        try:
            with ExitStack() as stack:
                if background := self.__dict__.get("_background"):
                    stack.callback(background.flush)
                for tracker in self.tracked().values():
                    stack.callback(tracker.stop)
        finally:
            super().close()

    @cached_property
    def _trackers(self) -> dict[str, Tracker[Published]]:
        return {}

    @cached_property
    def _background(self) -> Background:
        from art.tracking import Background

        return Background()

    @property
    def _scratch(self) -> Path:
        return self.root / DIRECTORY / "tmp"
