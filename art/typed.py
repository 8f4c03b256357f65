"""Typed contents: values, tables, images, progress, references."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import stat
from pathlib import Path

from art import reference
from art.backend import LocalBackend
from art.catalog import Catalog
from art.disk import explain
from art.errors import ConflictError, NotFoundError, UsageError
from art.model import Document, Payload, now

_LAST_SEQUENCE = 2**63 - 1
_SAVE = "Repo.save keeps it as it is"
_COUNTED = 16 << 20  # bytes of a file whose rows are counted though nobody says that it is a table


def json_text(value: object) -> str:
    """Return a value as JSON text. Raise UsageError where JSON cannot hold it, or would change it."""
    from art.materialize import values

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the value cannot be JSON: {error}", hint=_SAVE) from None
    if not values.is_json(value):
        raise UsageError(
            "the value cannot be JSON, which has lists, texts as keys, and no subclasses",
            hint=_SAVE,
        )
    return text


def value_text(value: object) -> tuple[str, str]:
    """Return kind and JSON text of a number, text, truth value or null."""
    from art.materialize import values

    kind = values.KINDS.get(type(value))
    if kind is None:
        raise UsageError(
            f"a value is a number, a text, true, false or null, not a {type(value).__name__}"
        )
    return kind, values.scalar_text(value)


def file_name(name: str) -> str:
    """Return a name for one file; raise UsageError where it holds folders."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise UsageError(f"{name!r} is no name of a file")
    return name


def table_format(path: str | os.PathLike[str]) -> Document:
    """Return format, columns and number of rows of a table's file."""
    from art import tables

    must_be_file(path)
    return tables.describe_table(Path(path))


def image_format(path: str | os.PathLike[str]) -> Document:
    """Return format and, where Pillow is there, width and height in pixels of an image's file."""
    must_be_file(path)
    kind = mimetypes.guess_type(os.fspath(path))[0] or ""
    if not kind.startswith("image/"):
        raise UsageError(
            f"{os.fspath(path)!r} is no image by its name",
            hint="names end in .png, .jpg, .gif, .webp, .svg …",
        )
    return {"name": kind.removeprefix("image/")} | _image_size(path, kind)


def _image_size(path: str | os.PathLike[str], kind: str) -> Document:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return {}
    if kind == "image/svg+xml":
        return {}
    try:
        with Image.open(path) as image:
            return {"width": image.width, "height": image.height}
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        raise UsageError(f"{os.fspath(path)!r} is not the image that its name says") from None


def must_be_file(path: str | os.PathLike[str]) -> None:
    """Raise NotFoundError or UsageError where there is no file."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFoundError(f"there is no file {os.fspath(path)!r} in {os.getcwd()}") from None
    except OSError as error:
        explain(error, os.fspath(path))
    if not stat.S_ISREG(mode):
        raise UsageError(f"{os.fspath(path)!r} is not a file in {os.getcwd()}")


def must_be_folder(path: str | os.PathLike[str]) -> None:
    """Raise NotFoundError or UsageError where there is no folder."""
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise NotFoundError(f"there is no folder {os.fspath(path)!r} in {os.getcwd()}")
        raise UsageError(f"{os.fspath(path)!r} is not a folder in {os.getcwd()}")


def typed_preview(path: str | os.PathLike[str], kind: str, format: Document) -> bytes | None:
    """Return what to show of a table's or an image's file, None where that cannot be told."""
    from art import preview

    with contextlib.suppress(UsageError):  # of what Pillow does not know, say
        if kind == "table":
            return preview.encode(preview.of_table_file(path, format.get("rows")))
        return preview.encode(preview.of_image(path))
    return None


def file_preview(path: str) -> bytes | None:
    """Return what to show of any file, None where there is nothing. It takes no long time."""
    from art import preview, tables

    if os.path.splitext(path)[1] in tables.FORMATS and os.path.getsize(path) > _COUNTED:
        return None
    found = preview.of_file(path)
    return preview.encode(found) if found else None


def measured(url: str) -> Payload:
    """Return the payload of a reference to one file, having read it once."""
    size, b3 = reference.measure(url)
    return Payload(url=url, size=size, checksum=f"b3:{b3}")


def set_progress(
    catalog: Catalog,
    backend: LocalBackend,
    uid: str,
    key: str | None,
    value: float,
    message: str | None,
) -> None:
    """Replace the value of a progress artifact, keyless where `key` is None, with the next sequence
    number. Without a message the old one stays, an empty one takes it away."""
    with backend.alone(f"progress-{uid}"):
        old = catalog.progress(uid)
        document: Document = {
            "art": 1,
            "uid": uid,
            "key": key,
            "created": now(),
            "value": value,
            "sequence": _next(old["sequence"], key or uid) if old else 1,
        }
        if key is None:
            del document["key"]
        if message is None and old:
            message = old.get("message")
        if message:
            document["message"] = message
        catalog.write_progress(document)


def _next(sequence: int, key: str) -> int:
    """Return the next sequence number. The last one cannot be counted to, only be forged."""
    if sequence >= _LAST_SEQUENCE:
        raise ConflictError(
            f"the progress {key} has the last sequence number, {sequence}: nothing goes beyond it",
            hint="create it anew",
        )
    return sequence + 1
