"""Previews of files by what they hold: texts, values in JSON, archives, pictures, tables."""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from art import pages, tables
from art.errors import UsageError
from art.model import Document
from art.preview.columns import of_rows, short
from art.preview.form import FORMAT, number

TEXT = 8192  # characters of a text
HEAD = 64 << 10  # bytes of a file that are looked at to tell what it is
JSON = 4 << 20  # bytes of a file that is parsed
ITEMS = 100
STRING = 1000
DEPTH = 10
NODES = 5000
ENTRIES = 200
COUNTED = 100_000
ARCHIVE = 64 << 20  # bytes of a directory, or of what an archive unpacks to, that are looked at
PIXELS = 50_000_000
SIDE = 96
THUMBNAIL = 12 << 10
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "PPM")


def of_text(text: str | bytes, size: int | None = None) -> Document:
    """Return the preview of a text, of which this may be the head only: `size` is how many bytes all has."""
    if isinstance(text, bytes):
        whole = len(text) if size is None else size
        is_cut = whole > len(text)
        text = text[: 4 * TEXT].decode("utf-8", "replace")
        if is_cut:  # what is left of a character that was cut through
            text = text.removesuffix("\ufffd")
    else:
        whole = len(text.encode("utf-8", "surrogatepass")) if size is None else size
        is_cut = whole > len(text.encode("utf-8", "surrogatepass"))
    return {
        "art": FORMAT,
        "kind": "text",
        "cut": is_cut or len(text) > TEXT,
        "text": text[:TEXT],
        "size": whole,
    }


def of_json(value: Any) -> Document:
    """Return the preview of a value: what JSON has no form for is shown as a text."""
    pruning = _Pruning()
    pruned = pruning.value(value, 0)
    document = {"art": FORMAT, "kind": "json", "cut": pruning.is_cut, "value": pruned}
    if isinstance(value, (dict, list, tuple)):
        document["length"] = len(value)
    return document


class _Pruning:
    """Copies a value with fewer items, so that nothing grows beyond bounds."""

    def __init__(self) -> None:
        self.is_cut = False
        self.left = NODES

    def value(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return number(value)
        if not isinstance(value, (dict, list, tuple)):
            return self.text(value if isinstance(value, str) else _said(tables.cell_text, value))
        if depth >= DEPTH or self.left < 0:
            self.is_cut = True
            return {} if isinstance(value, dict) else []
        self.is_cut |= len(value) > ITEMS
        if isinstance(value, dict):
            pairs = zip(range(ITEMS), value.items(), strict=False)
            return {self.text(_said(str, k)): self.value(v, depth + 1) for _, (k, v) in pairs}
        return [self.value(item, depth + 1) for item in value[:ITEMS]]

    def text(self, text: str) -> str:
        self.is_cut |= len(text) > STRING
        return short(text, STRING)


def _said(text: Callable[[Any], str], value: Any) -> str:
    """Return what an object's class says of it; where it cannot, as of a field without a value, its name."""
    try:
        return text(value)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError):
        return f"<{type(value).__name__}>"


def of_table_file(path: str | os.PathLike[str], rows: int | None = None) -> Document:
    """Return the preview of a table's file: csv, tsv, json, jsonl or parquet, by its name.

    Its first rows are looked at. `rows` is how many there are, where that is known; otherwise they are
    counted. Raise UsageError where it is no table.
    """
    path = Path(path)
    format = tables.table_format(path.name)
    with path.open("rb") as stream:
        columns, values, total = tables.open_table(stream, format, path.name)
        known = total if total is not None else rows
        return of_rows(columns, values, known, texts=format in ("csv", "tsv"))


def of_file(path: str | os.PathLike[str]) -> Document | None:
    """Return the preview of a file by its name and by what it holds; None where there is nothing to show.

    Where the name promises what the file does not hold, what it does hold is shown.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if path.suffix.lower() in tables.FORMATS:
        found = _table_or_value(path, size)
        if found is not None:
            return found
    for look in (of_image, of_archive):
        if _looks(look, head):
            with contextlib.suppress(UsageError):
                return look(path)
    if not _is_text(head, size):
        return None
    is_page = path.suffix.lower() in pages.SUFFIXES
    return (of_page(path) if is_page else None) or of_text(head, size)


def of_page(path: Path) -> Document | None:
    """Return the preview of a page of HTML: the words that are to be read on it; None where it has none."""
    with path.open("rb") as stream:
        data = stream.read(pages.LIMIT)
    lines: list[str] = []
    left = TEXT
    for line in pages.words(data.decode("utf-8", "replace")):
        lines.append(line)
        left -= len(line) + 1
        if left < 0:
            break
    size = path.stat().st_size
    shown = of_text("\n".join(lines))
    is_cut = shown["cut"] or left < 0 or size > len(data)
    return {**shown, "cut": is_cut, "size": size, "format": "html"} if lines else None


def _table_or_value(path: Path, size: int) -> Document | None:
    if path.suffix.lower() == ".json":
        return _json_file(path) if size <= JSON else None
    try:
        return of_table_file(path)
    except UsageError:
        return None


def _json_file(path: Path) -> Document | None:
    try:
        return of_json(tables.load_json(path.read_bytes()))
    except ValueError:
        return None


def _looks(look: object, head: bytes) -> bool:
    if look is of_image:
        return head.startswith(_IMAGES) or head[8:12] == b"WEBP"
    return head.startswith(_ARCHIVES) or head[257:262] == b"ustar"


_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0")
_ARCHIVES = (b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


def _is_text(head: bytes, size: int) -> bool:
    """Return whether it is UTF-8 without what texts do not have; an empty file is a text too."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or size == len(head):
            return False
        text = head[: error.start].decode()
    return not any(char < " " and char not in "\t\n\r\f\b\x1b" for char in text)


# --- archives -----------------------------------------------------------------------------------


def of_archive(path: str | os.PathLike[str]) -> Document:
    """Return the preview of a zip or tar file, also a compressed one: the names in it and their sizes.

    Nothing is extracted, and of what unpacks to more than 64 MiB only the beginning is looked at. Raise
    UsageError where it is no archive.
    """
    path = Path(path)
    with path.open("rb") as stream:
        magic = stream.read(6)
        stream.seek(0)
        listing = _Listing()
        try:
            if magic.startswith(b"PK"):
                name = "zip"
                listing.take(_zip(stream))
            else:
                name = "tar" + _compression(magic)
                listing.take(_tar(stream, magic))
        except _TooLargeError:
            listing.is_cut = True
        except _DAMAGED as error:
            if not listing.count:
                raise UsageError(f"{path.name} is no archive: {error}") from None
            listing.is_cut = True
        return listing.document(name)


class _TooLargeError(Exception):
    """As much of an archive was read as is looked at."""


class _Listing:
    def __init__(self) -> None:
        self.entries: list[Document] = []
        self.count = 0
        self.size = 0
        self.is_cut = False

    def take(self, entries: Iterator[Document]) -> None:
        for entry in entries:
            if self.count >= COUNTED:
                self.is_cut = True
                return
            self.count += 1
            self.size = min(self.size + entry["size"], 2**63 - 1)
            if len(self.entries) < ENTRIES:
                self.entries.append(entry)

    def document(self, name: str) -> Document:
        return {
            "art": FORMAT,
            "kind": "archive",
            "cut": self.is_cut or self.count > len(self.entries),
            "format": name,
            "entries": self.entries,
            "count": self.count,
            "size": self.size,
        }


def _entry(name: str, size: int, *, is_dir: bool) -> Document:
    entry: Document = {"name": short(name, STRING), "size": max(0, min(size, 2**62))}
    return entry | {"dir": True} if is_dir else entry


def _zip(stream: BinaryIO) -> Iterator[Document]:
    bounded = _Bounded(stream)
    with zipfile.ZipFile(bounded) as archive:
        for each in archive.infolist():
            yield _entry(each.filename, each.file_size, is_dir=each.is_dir())


def _tar(stream: BinaryIO, magic: bytes) -> Iterator[Document]:
    unpacked = _Bounded(_unpacked(stream, magic))
    with tarfile.open(fileobj=unpacked, mode="r|") as archive:
        for each in archive:
            yield _entry(each.name, each.size, is_dir=each.isdir())
            archive.members = []  # type: ignore[attr-defined]  # it would keep them all


def _compression(magic: bytes) -> str:
    found = [name for name, start in _COMPRESSIONS.items() if magic.startswith(start)]
    return f".{found[0]}" if found else ""


_COMPRESSIONS = {
    "gz": b"\x1f\x8b",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "zst": b"\x28\xb5\x2f\xfd",
}


def _unpacked(stream: BinaryIO, magic: bytes) -> Any:
    name = _compression(magic)
    if name == ".gz":
        return gzip.GzipFile(fileobj=stream)
    if name == ".bz2":
        return bz2.BZ2File(stream)
    if name == ".xz":
        return _Xz(stream)
    if name == ".zst":
        import zstandard

        limited = zstandard.ZstdDecompressor(max_window_size=ARCHIVE)
        return limited.stream_reader(stream, read_across_frames=True)
    return stream


class _Xz:
    """Unpacks xz with bounded memory, which the standard library's file does not."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.unpacker = lzma.LZMADecompressor(memlimit=ARCHIVE)

    def read(self, size: int) -> bytes:
        data = b""
        while not data and not self.unpacker.eof:
            more = self.stream.read(1 << 16) if self.unpacker.needs_input else b""
            if self.unpacker.needs_input and not more:
                raise EOFError("ends too early")
            data = self.unpacker.decompress(more, size)
        return data


class _Bounded(io.RawIOBase):
    """Reads no more than 64 MiB altogether."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.left = ARCHIVE

    def read(self, size: int = -1) -> bytes:
        if size > self.left:
            raise _TooLargeError
        data: bytes = self.stream.read(size if size >= 0 else self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            raise _TooLargeError
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self.stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self.stream.tell())

    def seekable(self) -> bool:
        return True


def _damaged() -> tuple[type[BaseException], ...]:
    import zstandard

    return (
        zipfile.BadZipFile,
        tarfile.TarError,
        lzma.LZMAError,
        zlib.error,
        zstandard.ZstdError,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
    )


_DAMAGED = _damaged()


# --- pictures -----------------------------------------------------------------------------------


def of_image(image: Any) -> Document:
    """Return the preview of a PIL image, or of the file of one: its size, and a thumbnail of at most
    12 KiB. Raise UsageError where it is no picture, and where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise UsageError("pictures need Pillow", hint="pip install 'art-vcs[images]'") from None
    if isinstance(image, Image.Image):
        return _pictured(image, is_ours=False)
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(image, formats=FORMATS) as opened:
                return _pictured(opened, is_ours=True)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, *bombs) as error:
        raise UsageError(f"{os.fspath(image)} is not a picture: {error}") from None


def _pictured(image: Any, *, is_ours: bool) -> Document:
    document: Document = {
        "art": FORMAT,
        "kind": "image",
        "cut": False,
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
    }
    if image.format:
        document["format"] = image.format.lower()
    if getattr(image, "n_frames", 1) > 1:
        document["frames"] = image.n_frames
    if 0 < image.width * image.height <= PIXELS:
        if is_ours:  # a JPEG is decoded at about that size, and is of that size from then on
            image.draft("RGB", (SIDE * 2, SIDE * 2))
        document["thumbnail"] = _thumbnail(image)
    return document


def _thumbnail(image: Any) -> Document:
    from PIL import Image

    scale = min(1.0, SIDE / image.width, SIDE / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        image = _gray(image.resize(size))
    has_alpha = image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
    small = image.convert("RGBA" if has_alpha else "RGB").resize(size, Image.Resampling.LANCZOS)
    data = io.BytesIO()
    small.save(data, "PNG", optimize=True)
    media = "image/png"
    if data.tell() > THUMBNAIL:
        media, data = "image/jpeg", io.BytesIO()
        small.convert("RGB").save(data, "JPEG", quality=75)
    encoded = base64.b64encode(data.getvalue()).decode()
    return {"media": media, "width": small.width, "height": small.height, "data": encoded}


def _gray(image: Any) -> Any:
    """Return a picture of numbers as shades from the least to the greatest."""
    low, high = image.getextrema()
    scale = 255 / (high - low) if high > low else 0
    if image.mode.startswith("I;16"):
        image = image.convert("I")
    return image.point(lambda value: value * scale - low * scale).convert("L")
