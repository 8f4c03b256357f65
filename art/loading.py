"""What a version holds, as a Python object."""

from __future__ import annotations

import atexit
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from art import beside, previews, reference
from art import preview as shown
from art.backend import Backend
from art.errors import ArtError, DeniedError, StorageError, UsageError
from art.materialize import Folder, Stream, named
from art.model import Document, Payload

if TYPE_CHECKING:
    from art.tables import Table


class Holder(Protocol):
    """What there must be of a version, to load it."""

    @property
    def ref(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def format(self) -> Document: ...
    @property
    def payload(self) -> Payload | None: ...
    @property
    def preview(self) -> Document | None: ...
    def read(self) -> bytes: ...
    def text(self) -> str: ...
    def rows(self) -> Table: ...
    def open(self) -> BinaryIO: ...
    def get(self, to: Path) -> object: ...


def load(version: Holder, *, pickle: bool) -> Any:
    """Return what `Version.load` promises."""
    name = version.format.get("materializer")
    if name is None:
        return _plain(version)
    if name == "pickle" and not pickle:
        raise DeniedError(
            f"{version.ref} is a pickle, which runs code when it is loaded",
            hint="load(pickle=True), if you trust who made it",
        )
    materializer = named(str(name))
    if isinstance(materializer, Stream):
        with version.open() as stream:
            return materializer.read(stream, version.format)
    assert isinstance(materializer, Folder)
    with _laid_out(version, materializer.inline_name) as folder:
        value = materializer.load(folder.path, version.format)
        if materializer.keeps(version.format):
            folder.keep()
        return value


class _Scratch:
    """A temporary folder, which stays until the end of the process if somebody wants to keep it."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="art-")
        self._is_kept = False
        self.path = Path(self._temporary.name, "object")
        self.path.mkdir()

    def keep(self) -> None:
        self._is_kept = True
        atexit.register(self._temporary.cleanup)

    def close(self) -> None:
        if not self._is_kept:
            self._temporary.cleanup()


@contextlib.contextmanager
def _laid_out(version: Holder, inline_name: str | None) -> Iterator[_Scratch]:
    """Give a folder with the payload in it."""
    scratch = _Scratch()
    try:
        payload = version.payload
        if payload and payload.inline is not None:
            (scratch.path / (inline_name or "content")).write_bytes(version.read())
        elif payload and payload.url is not None:
            version.get(scratch.path / reference.base_name(payload.url))
        else:
            version.get(scratch.path / _folder_name(version.format))
        yield scratch
    finally:
        scratch.close()


def _folder_name(format: Document) -> str:
    """Return the name of the folder that was saved; "" where its name does not matter."""
    name = format.get("folder", "")
    is_name = isinstance(name, str) and name not in (".", "..") and not set(name) & set("/\\\0")
    return name if is_name else ""


def _plain(version: Holder) -> Any:
    """Return what a version holds that was not made from an object."""
    if version.payload is None:
        raise UsageError(
            f"{version.ref} is a {version.type} without content", hint=f"art inspect {version.ref}"
        )
    if version.type in ("markdown", "link"):
        return version.text()
    if version.type == "table":
        return version.rows()
    values = named("value")
    assert isinstance(values, Folder)
    if version.type in ("json", "value"):
        with _laid_out(version, values.inline_name) as folder:
            return values.load(folder.path, version.format)
    return _copy(version)


def _copy(version: Holder) -> Path:
    """Return the path of a copy of the file, or of the folder that the files are in."""
    with _laid_out(version, "content.txt") as folder:
        folder.keep()
        payload = version.payload
        if payload and payload.tree is not None and payload.file is None:
            return folder.path
        (file,) = folder.path.iterdir()
        return file


def preview_or_derived(version: Holder) -> Document | None:
    """Return the preview of a version; of a text, table or value that stands in the manifest itself, and
    therefore has none, the one that it would have. None where there is none."""
    payload = version.payload
    if version.preview is not None or payload is None or payload.inline is None:
        return version.preview
    if version.type == "table":
        table = version.rows()
        return shown.of_rows(table.columns, table.rows, table.total_rows)
    if version.type in ("json", "value"):
        return shown.of_json(load(version, pickle=False))
    if version.format.get("materializer") == "value":
        with contextlib.suppress(
            ArtError
        ):  # a class that is not imported here: it is shown as it is stored
            return shown.of_json(load(version, pickle=False))
    return shown.of_text(version.text())


def preview(
    backend: Backend, digest: str, elsewhere: Callable[[str], bytes | None]
) -> Document | None:
    """Return a preview that is here, or elsewhere: it is kept here then."""
    try:
        data: bytes | None = previews.read(backend, digest)
    except FileNotFoundError:
        data = elsewhere(previews.preview_name(digest))
        if data is not None:
            with contextlib.suppress(DeniedError, StorageError):  # a disk that is only read, say
                previews.put(backend, data)
    return shown.parse(data) if data is not None else None


def run_record(
    backend: Backend, uid: str, elsewhere: Callable[[str], bytes | None]
) -> Document | None:
    """Return the record of a run that is here, or elsewhere: it is kept here then."""
    name = beside.run_name(uid)
    try:
        data: bytes | None = beside.read_beside(backend, name)
    except FileNotFoundError:
        data = elsewhere(name)
        if data is not None:
            with contextlib.suppress(DeniedError, StorageError):
                backend.create(name, data)
    return beside.parse_run(uid, data, name) if data is not None else None
