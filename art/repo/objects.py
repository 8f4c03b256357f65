"""Making versions of Python objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from art.errors import ArtError, ConflictError, NotFoundError, UsageError
from art.keys import check_key
from art.model import Payload
from art.place import DIRECTORY
from art.repo.base import Published
from art.repo.publishing import Publishing

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from threading import Event

    from typing_extensions import Unpack

    from art.about import About
    from art.materialize import Materializer
    from art.progress import Progress
    from art.saving import Saving
    from art.tracking import Background, Tracker
    from art.version import Version

    class _ToSave(About, total=False):
        """What else `Objects.save` is given."""

        materializer: Materializer | str | None
        pickle: bool
        preview: bool


class Objects(Publishing):
    """Saves objects: at once, in the background, or whenever they changed."""

    @overload
    def save(
        self,
        value: Any,
        key: str | None = None,
        *,
        wait: Literal[True] = True,
        **given: Unpack[_ToSave],
    ) -> Published: ...
    @overload
    def save(
        self, value: Any, key: str | None = None, *, wait: Literal[False], **given: Unpack[_ToSave]
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
        return self._save(saving, key, about) if wait else self._save_later(saving, key, about)

    def _save(self, saving: Saving, key: str | None, about: About) -> Published:
        draft, publisher = self._draft(key, about, saving.kind)
        return self._publish(draft, publisher, saving.content(publisher, self._scratch, key))

    def _save_later(self, saving: Saving, key: str | None, about: About) -> Future[Published]:
        draft, publisher = self._draft(key, about, saving.kind)
        with ExitStack() as stack:
            written = stack.enter_context(saving.written(self._scratch))
            kept = stack.pop_all()

        def job() -> Published:
            with kept:
                return self._publish(draft, publisher, written.content(publisher, key))

        try:
            return self._background.submit(job)
        except BaseException:  # no thread could be made, or somebody waits no longer
            kept.close()
            raise

    def table(
        self,
        key: str | None,
        data: Any,
        *,
        columns: Sequence[str] | None = None,
        ragged: bool = False,
        preview: bool = True,
        **about: Unpack[About],
    ) -> Published:
        """Make a version of a table: a csv, tsv, json, jsonl or parquet file, a frame of pandas, polars
        or Arrow, or Python's own data, which `load` gives back as it was: a list of mappings, a mapping
        of lists, a list of lists; anything else that gives rows becomes a list, with `columns` of
        mappings.

        Raise UsageError where rows or columns are of different lengths, unless `ragged`, and where
        `columns` are given for a file or a frame.
        """
        from art import typed

        if isinstance(data, (str, os.PathLike)):
            if columns is not None:
                raise UsageError(f"columns= names those of rows, and {os.fspath(data)} is a file")
            return self._typed(key, data, "table", typed.table_format, about, preview=preview)
        from art.saving import Saving

        saving = Saving.of_table(data, columns, ragged=ragged, preview=preview)
        return self._save(saving, key, about)

    def image(
        self,
        key: str | None,
        data: Any,
        *,
        preview: bool = True,
        **about: Unpack[About],
    ) -> Published:
        """Make a version of an image: a file, which is stored, a URL, which is recorded, or an image or
        figure of PIL, Matplotlib or Plotly. Raise UsageError for anything else."""
        from art import reference, typed
        from art.publish import Content

        if not isinstance(data, (str, os.PathLike)):
            from art.saving import Saving

            return self._save(Saving.of_image(data, preview=preview), key, about)
        if reference.is_url(os.fspath(data)):
            payload = Payload(url=reference.check_url(os.fspath(data)))
            content = Content("image", payload, {"name": "url"})
            return self._publish(*self._draft(key, about), content)
        return self._typed(key, data, "image", typed.image_format, about, preview=preview)

    def json(self, key: str | None, value: object, **about: Unpack[About]) -> Published:
        """Make a version of what JSON has. Raise UsageError for anything else, which `save` takes."""
        from art import typed

        return self._text(
            key, typed.json_text(value), "content.json", "json", {"name": "json"}, about
        )

    def file(
        self, key: str | None, path: str | os.PathLike[str], **about: Unpack[About]
    ) -> Published:
        """Make a version of one file. Raise NotFoundError or UsageError where there is none."""
        from art import typed

        typed.must_be_file(path)
        return self.create(key, path, **about)

    def folder(
        self, key: str | None, path: str | os.PathLike[str], **about: Unpack[About]
    ) -> Published:
        """Make a version of all that is in a folder."""
        from art import typed

        typed.must_be_folder(path)
        return self.create(key, path, **about)

    def get_or_create(
        self, key: str, make: Callable[[], Any], **about: Unpack[About]
    ) -> tuple[Version, bool]:
        """Return the latest version of a key, or save what `make` gives where there is none, and
        whether that was done. Of several that do so at once, one makes the version, and all get it."""
        from art.saving import Saving

        try:
            return self.version(key), False
        except NotFoundError:
            saving = Saving.of(make(), None, pickle=False, preview=True)
            draft, publisher = self._draft(key, about)
            content = saving.content(publisher, self._scratch, key)
            made = self._publish(replace(draft, first=True), publisher, content)
            return made.version, made.created

    @overload
    def progress(
        self,
        key: str | None,
        value: float | str,
        *,
        clamp: bool = False,
        new: bool = False,
        **about: Unpack[About],
    ) -> Published: ...
    @overload
    def progress(
        self, key: str, *, new: bool = False, **about: Unpack[About]
    ) -> Progress[Published]: ...
    def progress(
        self,
        key: str | None,
        value: float | str | None = None,
        *,
        clamp: bool = False,
        new: bool = False,
        **about: Unpack[About],
    ) -> Published | Progress[Published]:
        """Set a progress in percent: of the key's latest version in place, or (`new`, or where that is
        no progress) of a version made for it. Without a value return what sets it again and again:

            with repo.progress("train") as progress:
                progress.update(40)
            for batch in repo.progress("train").track(batches):
                ...

        Key None makes a keyless one, which `update_progress` sets again. Raise UsageError for NaN and,
        unless `clamp`, outside 0 to 100.
        """
        if value is not None:
            return self._set_progress(key, value, clamp=clamp, new=new, about=about)
        from art.progress import Progress

        check_key(key or "")
        is_first = True

        def put(number: float, message: str | None) -> Published:
            nonlocal is_first
            said: About = {**about, "message": message} if message else {**about}
            is_new, is_first = new and is_first, False
            return self._set_progress(key, number, clamp=False, new=is_new, about=said)

        return Progress(put)

    def flush(self) -> None:
        """Wait for what is saved in the background, and save what is tracked and has changed. Raise
        what went wrong, when all of it was tried."""
        with ExitStack() as stack:
            if background := self.__dict__.get("_background"):
                stack.callback(background.flush)
            for tracker in self.tracked().values():
                stack.callback(tracker.flush)

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

    def watch(
        self,
        path: str | os.PathLike[str],
        key: str,
        *,
        debounce: float = 1.0,
        stop: Event | None = None,
        **about: Unpack[About],
    ) -> Iterator[Published | ArtError]:
        """Make a version of a file or folder, and a further one whenever it changed, until `stop` is
        set. Yield what came of each look: `created` tells a new version; an error is yielded, too, and
        the next change looked at all the same. Changes within `debounce` seconds are one."""
        from art.watch import watch

        check_key(key)
        return watch(path, lambda: self.create(key, path, **about), debounce=debounce, stop=stop)

    def close(self) -> None:
        """Finish what is saved in the background, stop tracking, and let go of open files. Raise what
        went wrong."""
        try:
            with ExitStack() as stack:
                if background := self.__dict__.get("_background"):
                    stack.callback(background.stop)
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
