"""Lock files: which version each reference means, written down until somebody asks for newer ones.

A lock file is YAML for people and for version control: one block for each reference, sorted, and nothing
in it that changes unless a version does.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from art import disk
from art.disk import explain
from art.document import READ_LIMIT, SIZE_LIMIT, dump_plain, load_plain
from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    NewerFormatError,
    NotFoundError,
    UsageError,
)
from art.keys import check_key
from art.model import Document
from art.ref import Ref
from art.rows import Record

DEFAULT = "art.lock"
_FORMAT = 1
_HEADER = (
    "# Which versions are meant: `art get REF --locked` takes these.\n"
    "# `art lock --update` takes the newest; see `art lock --help`.\n"
)
_ID = re.compile(r"b3:[0-9a-f]{64}")
_TIME = re.compile(r"[0-9TZ:.+-]{1,40}")


@dataclass(frozen=True)
class Pin:
    """The version that a reference means until the file is updated. `key` and `number` are None for a
    keyless version; the id alone decides, the rest is for people."""

    key: str | None
    id: str
    number: int | None
    created: str

    @classmethod
    def of(cls, record: Record) -> Pin:
        """Return what pins a version."""
        return cls(record.key, record.id, record.number, record.created)

    @property
    def name(self) -> str:
        """How people call it."""
        return f"{self.key}@v{self.number}" if self.key and self.number else self.id


@dataclass(frozen=True)
class Locked:
    """One reference of a lock file. `state` is `added`, `updated`, `current`, `behind` (the reference
    means `now` by now, and --update takes that) or `lost`: the version is not here, as `why` says."""

    ref: str
    pin: Pin
    state: str
    now: str | None = None
    why: str | None = None


def read(path: str | os.PathLike[str]) -> dict[str, Pin]:
    """Return what a lock file says, by reference. Raise NotFoundError, CorruptError for what is not such
    a file, NewerFormatError, ConflictError where a merge left its marks in it."""
    name = os.fspath(path)
    return parse(_bytes(name), name)


def parse(data: bytes, name: str) -> dict[str, Pin]:
    """Return what the bytes of a lock file say; raise as `read`, naming `name`."""
    if re.search(rb"^(?:<{7}|>{7}) ", data, re.MULTILINE):
        raise ConflictError(
            f"{name} has the marks of a merge in it", hint="keep one block for each reference"
        )
    try:
        document = load_plain(data, name)
    except CorruptError as error:
        raise CorruptError(error.message, hint=_hint(name)) from error
    return _parsed(document, name)


def dump(pins: Mapping[str, Pin]) -> bytes:
    """Return the bytes of a lock file."""
    versions = {ref: _fields(pin) for ref, pin in sorted(pins.items())}
    return _HEADER.encode() + dump_plain({"art_lock": _FORMAT, "versions": versions})


def locked_ref(wanted: Ref, path: str | os.PathLike[str] = DEFAULT) -> Ref:
    """Return a reference to the version that the lock file says, with the same path in it.

    Raise NotFoundError where the reference is not in the file, and as `read`.
    """
    name = normal(wanted)
    pin = read(path).get(name)
    if pin is None:
        raise NotFoundError(f"{name} is not in {os.fspath(path)}", hint=f"art lock {name}")
    return Ref(pin.key or "", pin.id, wanted.path)


def normal(ref: Ref) -> str:
    """Return how a lock file names a reference: always with a selector, never with a path."""
    return str(replace(ref, path=""))


def lock(
    find: Callable[[Ref], Record],
    refs: Iterable[Ref],
    path: str | os.PathLike[str],
    *,
    update: bool,
) -> list[Locked]:
    """Add references to a lock file, all or none, or look at those in it where there are none; with
    `update` take what they mean now. `find` raises where a version is not there.

    Return what was looked at, sorted. The file is replaced whole, only where it changes; of several that
    change it at once each finds what the one before it wrote.
    """
    wanted = {normal(_whole(ref)): replace(ref, path="") for ref in refs}
    with _alone(Path(path)) if wanted or update else contextlib.nullcontext():
        is_new = bool(wanted) and not os.path.lexists(path)
        pins = {} if is_new else read(path)
        refs_of = wanted or {name: Ref.parse(name) for name in pins}
        found = [
            _added(find, ref, name)
            if name not in pins
            else _looked_at(find, ref, pins[name], update)
            for name, ref in sorted(refs_of.items())
        ]
        changed = {each.ref: each.pin for each in found if each.state in ("added", "updated")}
        if changed:
            _write(os.fspath(path), {**pins, **changed})
    return found


def _added(find: Callable[[Ref], Record], ref: Ref, name: str) -> Locked:
    return Locked(name, Pin.of(find(ref)), "added")


def _looked_at(find: Callable[[Ref], Record], ref: Ref, pin: Pin, update: bool) -> Locked:
    """Compare what a reference is locked to with what it means now."""
    name = normal(ref)
    if update:
        new = Pin.of(find(ref))
        return Locked(name, new, "current" if new == pin else "updated", now=new.name)
    try:
        there = find(Ref(pin.key or "", pin.id))  # another where it was moved
    except (NotFoundError, CorruptError) as error:
        return Locked(name, pin, "lost", why=error.message)
    if not there.is_live:
        return Locked(name, pin, "lost", why=f"{there.ref} is {there.state}")
    try:
        now = Pin.of(find(ref))
    except ArtError as error:  # a tag that was taken away: the version is there all the same
        return Locked(name, pin, "behind", why=error.message)
    return Locked(name, pin, "current" if now.id == there.id else "behind", now=now.name)


def _whole(ref: Ref) -> Ref:
    if ref.path:
        raise UsageError(
            f"{ref} names a path in a version, and a lock file pins whole versions",
            hint=f"leave out /{ref.path}",
        )
    return ref


# --- the file -------------------------------------------------------------------------------------


def _bytes(name: str) -> bytes:
    """Return what is in the file, as far as a lock file may reach: it may be a device, or endless."""
    try:
        with open(name, "rb", opener=_opened) as stream:
            return stream.read(READ_LIMIT)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no lock file {name}", hint="art lock REF... makes one"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{name} is a folder, expected a lock file") from None
    except OSError as error:
        explain(error, name)


def _opened(name: str, flags: int) -> int:
    """Open without waiting for whoever writes into a pipe."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _parsed(document: Document, name: str) -> dict[str, Pin]:
    version = document.get("art_lock")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise CorruptError(f"{name} is no lock file: field 'art_lock' is missing", hint=_hint(name))
    if version > _FORMAT:
        raise NewerFormatError(
            f"{name} has format {version}, this art knows {_FORMAT}",
            hint="pip install --upgrade art-vcs",
        )
    versions = document.get("versions") or {}
    if not isinstance(versions, dict):
        raise CorruptError(f"{name}: 'versions' is not a mapping", hint=_hint(name))
    pins: dict[str, Pin] = {}
    for text, fields in versions.items():
        try:
            ref = normal(_whole(Ref.parse(str(text))))
            pin = _pin(fields)
        except (UsageError, ValueError) as error:
            raise CorruptError(f"{name}: {text!r}: {error}", hint=_hint(name)) from None
        if ref in pins:
            raise CorruptError(f"{name} has {ref} twice", hint="keep one of them")
        pins[ref] = pin
    return pins


def _pin(fields: Any) -> Pin:
    """Raise ValueError or UsageError for what pins no version."""
    if not isinstance(fields, dict):
        raise ValueError("not a mapping of key, id, number and created")
    key, id, number = fields.get("key"), fields.get("id"), fields.get("number")
    created = fields.get("created", "")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ValueError(f"id is {str(id)[:80]!r}, expected 'b3:' and 64 hex digits")
    if key is not None:
        check_key(key if isinstance(key, str) else "")
    if number is not None and (type(number) is not int or number < 1):
        raise ValueError(f"number is {str(number)[:80]!r}, expected one above 0")
    if not isinstance(created, str) or not (_TIME.fullmatch(created) or not created):
        raise ValueError(f"created is {str(created)[:80]!r}, expected a time")
    return Pin(key, id, number, created)


def _hint(name: str) -> str:
    return f"remove {name} and lock again, or take it from version control"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let others who change the file wait. As it is replaced, and may not be there yet, what is locked is
    another one beside it, which goes at the end."""
    beside = path.parent / f".{path.name}.lock"
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        try:
            handle = os.open(beside, flags, 0o666)
        except OSError:  # nothing can be written there, which whoever writes tells
            yield
            return
        disk.lock(handle, is_shared=False, waits=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.lstat(beside)):
                break
        os.close(handle)  # whoever had it took it away
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
        os.close(handle)


def _write(name: str, pins: Mapping[str, Pin]) -> None:
    """Replace the file whole. A link in its place is replaced, not followed."""
    data = dump(pins)
    if len(data) > SIZE_LIMIT:
        raise UsageError(
            f"{name} would have {len(data):,} bytes, at most {SIZE_LIMIT:,} are possible",
            hint="--file makes several of them",
        )
    try:
        _replace(Path(name), data)
    except OSError as error:
        explain(error, name)


def _fields(pin: Pin) -> Document:
    fields = (("key", pin.key), ("id", pin.id), ("number", pin.number), ("created", pin.created))
    return {name: value for name, value in fields if value}


def _replace(path: Path, data: bytes) -> None:
    import tempfile

    mode = 0o644
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode & 0o777 if path.is_file() and not path.is_symlink() else mode
    handle, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
