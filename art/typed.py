"""Typed contents: values, tables, images, progress, references."""

from __future__ import annotations

import contextlib
import json
import math
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from art import reference
from art.backend import LocalBackend
from art.catalog import Catalog
from art.errors import NotFoundError, UsageError
from art.model import Document, Payload, now
from art.publish import Content

_KINDS = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}


def json_text(value: object) -> str:
    """Return a value as JSON text. Raise UsageError where JSON cannot hold it."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the value cannot be JSON: {error}") from None


def value_text(value: object) -> tuple[str, str]:
    """Return kind and JSON text of a number, text, truth value or null."""
    kind = _KINDS.get(type(value))
    if kind is None:
        raise UsageError(
            f"a value is a number, a text, true, false or null, not a {type(value).__name__}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        return kind, json.dumps(str(value))
    return kind, json.dumps(value, ensure_ascii=False)


def file_name(name: str) -> str:
    """Return a name for one file; raise UsageError where it holds folders."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise UsageError(f"{name!r} is no name of a file")
    return name


def table_format(path: str | os.PathLike[str]) -> Document:
    """Return format, columns and number of rows of a table's file."""
    from art import tables

    _must_be_file(path)
    return tables.describe_table(Path(path))


def image_format(path: str | os.PathLike[str]) -> Document:
    """Return format and, where Pillow is there, width and height in pixels of an image's file."""
    _must_be_file(path)
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


def _must_be_file(path: str | os.PathLike[str]) -> None:
    if not os.path.lexists(path):
        raise NotFoundError(f"there is no file {os.fspath(path)!r} in {os.getcwd()}")
    if not os.path.isfile(path):
        raise UsageError(f"{os.fspath(path)!r} is not a file in {os.getcwd()}")


def retyped(content: Content, kind: str, format: Document) -> Content:
    """Return stored files as content of another type."""
    return replace(content, type=kind, format=format)


def measured(url: str) -> Payload:
    """Return the payload of a reference to one file, having read it once."""
    size, b3 = reference.measure(url)
    return Payload(url=url, size=size, checksum=f"b3:{b3}")


def set_progress(
    catalog: Catalog, backend: LocalBackend, uid: str, key: str, value: float, message: str | None
) -> None:
    """Replace the value of a progress artifact, with the next sequence number."""
    with _alone(backend, f"progress-{uid}"):
        old = catalog.progress(uid)
        document: Document = {
            "art": 1,
            "uid": uid,
            "key": key,
            "created": now(),
            "value": value,
            "sequence": old["sequence"] + 1 if old else 1,
        }
        if message or (old and old.get("message")):
            document["message"] = message or (old or {}).get("message")
        catalog.write_progress(document)


@contextlib.contextmanager
def _alone(backend: LocalBackend, name: str) -> Iterator[None]:
    """Hold a lock of this machine, so that no update of a progress is lost."""
    try:
        import fcntl
    except ImportError:  # Windows: the last writer wins
        yield
        return
    backend.make_directory("locks")
    with open(backend.path(f"locks/{name}"), "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
