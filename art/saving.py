"""Python objects as contents of versions: written by a materializer, then stored."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BufferedWriter, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

from art import preview as previews
from art import tabledata, tables, warned
from art.errors import UsageError
from art.materialize import Folder, Materializer, Stream, asked, find, named
from art.model import INLINE_LIMIT, Document
from art.publish import Content, Publisher
from art.staging import beside
from art.worktree import Source, find_sources
from art.writer import BLOCK_SIZE

_BLOCKS = 4  # on their way at once


@dataclass(frozen=True)
class Written:
    """An object as it was at one moment, in files of a folder of its own: `single` where it is that one."""

    folder: Path
    single: str | None
    inline: bool
    describe: Callable[[Content], Content]

    def content(self, publisher: Publisher, key: str | None) -> Content:
        """Store it: as text in the manifest, as one file, or as a folder."""
        if self.single is None:
            return self.describe(publisher.files([Source(str(self.folder), "")], key))
        path = self.folder / self.single
        if self.inline and path.stat().st_size <= INLINE_LIMIT:
            return self.describe(publisher.text(path.read_text("utf-8"), self.single, "", {}))
        with path.open("rb") as stream:
            return self.describe(publisher.stream(stream, self.single, key))


@dataclass(frozen=True)
class Saving:
    """An object that is to be saved, and what is for it. `kind` is the type of the artifact, `details` go
    to its format, where the materializer does not know better."""

    value: Any
    materializer: Materializer
    shows: Callable[[], Document | None]
    kind: str
    details: Document = field(default_factory=dict)

    @classmethod
    def of(
        cls, value: Any, materializer: Materializer | str | None, *, pickle: bool, preview: bool
    ) -> Saving:
        """Raise UsageError where no materializer is for the object."""
        found = _chosen(value, materializer, pickle=pickle)
        shows = (lambda: found.preview(value)) if preview else _nothing
        return cls(value, found, shows, found.kind_of(value))

    @classmethod
    def of_table(
        cls, data: Any, columns: Sequence[str] | None, *, ragged: bool, preview: bool
    ) -> Saving:
        """The same for a table: a frame, or the three shapes of `tabledata`, and whatever gives rows."""
        if frame := cls._of_frame(data, preview=preview):
            if columns is not None:
                raise UsageError(
                    "columns are named for rows that come without",
                    hint="choose those of a frame before",
                )
            return frame
        value = tabledata.shaped(data, columns, ragged=ragged)
        table = tabledata.table_of(value)
        details: Document = {
            "name": tabledata.format_of(value),
            "columns": tables.named_columns(table.columns),
            "rows": table.total_rows,
        }
        rows = partial(previews.of_rows, table.columns, table.rows, table.total_rows)
        return cls(value, find(value), rows if preview else _nothing, "table", details)

    @classmethod
    def _of_frame(cls, data: Any, *, preview: bool) -> Saving | None:
        if isinstance(data, (list, tuple, dict, Iterator)):
            return None
        try:
            saving = cls.of(data, None, pickle=False, preview=preview)
        except UsageError:
            if hasattr(type(data), "__arrow_c_stream__"):
                raise  # what gives it as rows would be its columns
            return None  # it may give rows all the same
        return saving if saving.kind == "table" else None

    @classmethod
    def of_image(cls, data: Any, *, preview: bool) -> Saving:
        """The same for an image or figure. Raise UsageError for anything else."""
        saving = cls.of(data, None, pickle=False, preview=preview)
        if saving.kind not in ("image", "figure"):
            raise UsageError(
                f"a {type(data).__name__} is neither an image nor a figure",
                hint="save it, or make an image of it: PIL.Image.fromarray(array), PIL.Image.open(…)",
            )
        return saving

    def content(self, publisher: Publisher, scratch: Path, key: str | None) -> Content:
        """Write the object and store what that gives; `scratch` is a folder for what comes in between.

        Raise UsageError where it would not come back equal.
        """
        if isinstance(self.materializer, Stream):
            return self._streamed(publisher, self.materializer, key)
        assert isinstance(self.materializer, Folder)
        if source := self.materializer.source(self.value):
            path, format = source
            content = publisher.files(find_sources((path,)), key)
            return self._describing(format, self._shown)(content)
        with self._written(scratch, self._shown) as written:
            return written.content(publisher, key)

    @contextlib.contextmanager
    def written(self, scratch: Path) -> Iterator[Written]:
        """Give the object as it is now; what happens to it later does not matter any more."""
        data = self._shown()
        with self._written(scratch, lambda: data) as written:
            yield written

    @contextlib.contextmanager
    def _written(self, scratch: Path, shown: Callable[[], bytes | None]) -> Iterator[Written]:
        with beside(scratch) as folder:
            path = Path(folder, "object")
            path.mkdir()
            format, single = self._write(path)
            inline = isinstance(self.materializer, Folder) and single is not None
            yield Written(path, single, inline, self._describing(format, shown))

    def _write(self, folder: Path) -> tuple[Document, str | None]:
        """Write into a folder; return the format and the name of the file where it is only one."""
        if isinstance(self.materializer, Stream):
            name = self.materializer.filename(self.value)
            with (folder / name).open("wb") as stream:
                return self.materializer.write(self.value, stream), name
        assert isinstance(self.materializer, Folder)
        format = self.materializer.save(self.value, folder)
        name = self.materializer.inline_name or ""
        is_single = [path.name for path in folder.iterdir()] == [name] and (folder / name).is_file()
        if self.kind == "table" and not is_single:
            raise UsageError("a cell of the table is an object that takes files of its own")
        return format, name if is_single else None

    def _streamed(self, publisher: Publisher, materializer: Stream, key: str | None) -> Content:
        """Store one file while it is being written, so that it need not lie on the disk in between."""
        with _piped(lambda stream: materializer.write(self.value, stream)) as (stream, result):
            content = publisher.stream(stream, materializer.filename(self.value), key)
            format = result()
        return self._describing(format, self._shown)(content)

    def _shown(self) -> bytes | None:
        shown = self.shows()
        return previews.encode(shown) if shown else None

    def _describing(
        self, format: Document, shown: Callable[[], bytes | None]
    ) -> Callable[[Content], Content]:
        named = {"materializer": self.materializer.name, **format, **self.details}

        def describe(content: Content) -> Content:
            is_seen = content.payload is not None and content.payload.inline is not None
            preview = None if is_seen else shown  # what is in the manifest shows itself
            return replace(content, type=self.kind, format=named, preview=preview, remember=None)

        return describe


def _nothing() -> None:
    return None


def _chosen(value: Any, wanted: Materializer | str | None, *, pickle: bool) -> Materializer:
    if wanted is not None:
        found = asked(wanted, value)
        if found.name == "pickle" and not pickle:
            raise UsageError("a pickle runs code when it is loaded", hint="pickle=True says so")
        return found
    try:
        return find(value)
    except UsageError:
        if pickle:
            return named("pickle")
        raise


@contextlib.contextmanager
def _piped(
    write: Callable[[BinaryIO], Document],
) -> Iterator[tuple[BinaryIO, Callable[[], Document]]]:
    """Give what `write` writes in another thread, to be read to its end, and then what it returned.
    What it raised is raised by the latter."""
    passage = _Passage()
    outcome: list[Document | BaseException] = []
    line = warned.caller()

    def run() -> None:
        try:
            with warned.on_behalf(line), BufferedWriter(passage, BLOCK_SIZE) as stream:
                found: Document | BaseException = write(stream)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for the result
            found = error
        outcome.append(found)
        passage.end()

    thread = threading.Thread(target=run, name="materialize", daemon=True)
    thread.start()

    def result() -> Document:
        thread.join()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    try:
        yield cast("BinaryIO", _Reading(passage)), result
    finally:
        passage.leave()
        thread.join()  # without a reader it ends soon


class _Passage(RawIOBase):
    """Bytes on their way from one thread to another, in blocks of which only a few wait. A pipe would copy
    each byte twice more, and stay open in a process that is forked meanwhile."""

    def __init__(self) -> None:
        self._blocks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_ended = False
        self._is_left = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Copy the bytes, which may change later, and wait where too many are on their way. Raise
        BrokenPipeError where nobody reads any more."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), BLOCK_SIZE):
            block = bytes(view[start : start + BLOCK_SIZE])
            with self._changed:
                self._changed.wait_for(lambda: len(self._blocks) < _BLOCKS or self._is_left)
                if self._is_left:
                    raise BrokenPipeError("what is written is not read any more")
                self._blocks.append(block)
                self._changed.notify_all()
        return len(view)

    def end(self) -> None:
        """Say that all was written."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that nothing more will be read."""
        with self._changed:
            self._is_left = True
            self._blocks.clear()
            self._changed.notify_all()

    def take(self) -> bytes:
        """Return the next block, b"" at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._is_ended)
            block = self._blocks.popleft() if self._blocks else b""
            self._changed.notify_all()
            return block


class _Reading(RawIOBase):
    """The other end of a passage."""

    def __init__(self, passage: _Passage) -> None:
        self._passage = passage

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, as many as there are; at most a block, whatever `size` says."""
        return self._passage.take()
