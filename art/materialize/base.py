"""What a materializer is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from art.errors import UsageError
from art.model import Document


class Materializer:
    """Turns objects of some types into files, and back. Subclass `Stream` or `Folder`.

    `name` stands in the manifest (`format: {materializer: …}`) for good. `types` are the types it is for,
    as classes or as texts like `pandas.DataFrame`, the package that a class lies in and its name, so that
    nothing is imported before such an object is there. Objects of a subclass are refused, because they
    would come back as something else, unless `takes_subclasses`.
    """

    name: ClassVar[str]
    types: ClassVar[tuple[type | str, ...]] = ()
    takes_subclasses: ClassVar[bool] = False
    # The type of the artifact (FORMAT §4): `table`, `image`, `json` …
    kind: ClassVar[str] = "object"

    def matches(self, cls: type) -> bool:
        """Return whether this is for objects of exactly this class, beyond what `types` says."""
        return False

    def kind_of(self, value: Any) -> str:
        """Return the type of the artifact for an object."""
        return self.kind

    def preview(self, value: Any) -> Document | None:
        """Return what to show of an object without its payload, in the form of `art.preview`."""
        return None


class Stream(Materializer):
    """Writes an object as one file, from its beginning to its end.

    `file` is the name of that, whose ending says what it holds; where it depends on the object, `filename`
    says it.
    """

    file: ClassVar[str] = ""

    def filename(self, value: Any) -> str:
        """Return the name of the file for an object."""
        return self.file

    def write(self, value: Any, stream: BinaryIO) -> Document:
        """Write the object, and return what `read` and people want to know of it, for the manifest:
        small, and the same for equal objects. Raise UsageError, with the reason, where the object
        would not come back equal."""
        raise NotImplementedError

    def read(self, stream: BinaryIO, format: Document) -> Any:
        """Return the object. `stream` cannot seek. `format` is what `write` returned. Raise CorruptError
        where the file is not what `write` writes."""
        raise NotImplementedError


class Folder(Materializer):
    """Writes an object as files in a folder.

    `inline_name` is the name of a text file: where it is all that was written, and small, it need not be
    stored as a file.
    """

    inline_name: ClassVar[str | None] = None

    def save(self, value: Any, folder: Path) -> Document:
        """Write the object into an empty folder; otherwise as `Stream.write`."""
        raise NotImplementedError

    def source(self, value: Any) -> tuple[Path, Document] | None:
        """Return the file or folder that holds already what `save` would write, and the format; a
        folder's name stands there as `folder`. None where it must be written."""
        return None

    def load(self, folder: Path, format: Document) -> Any:
        """Return the object. The folder goes away afterwards, unless `keeps`. Links may lie in it."""
        raise NotImplementedError

    def keeps(self, format: Document) -> bool:
        """Return whether what `load` returns lies in the folder, which therefore must stay."""
        return False


def unequal(value: object, what: str, hint: str | None = None) -> UsageError:
    """Return the error for an object that would not come back as it is."""
    return UsageError(f"this {type(value).__name__} cannot be saved: {what}", hint=hint)
