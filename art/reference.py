"""Bytes elsewhere: reading what a URL names, for payloads that are recorded by reference."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from blake3 import blake3

from art.disk import explain
from art.errors import CorruptError, NotFoundError, UnavailableError, UsageError

_TIMEOUT_SECONDS = 15
_BLOCK = 1 << 20


def is_url(text: str) -> bool:
    """Whether `text` is a URL rather than a path; `C:` is a drive."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and len(scheme) > 1 and scheme.replace("+", "").isalnum()


def check_url(url: str) -> str:
    """Return `url`; raise UsageError where it is not one or carries a password."""
    if any(ord(character) <= 32 for character in url) or not is_url(url):
        raise UsageError(f"{url!r} is not a URL", hint="URLs look like https://host/path")
    try:
        has_password = bool(urlsplit(url).password)
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if has_password:
        raise UsageError(
            "the URL holds a password, which would be stored readably",
            hint="leave it out of the URL",
        )
    return url


def check_link(text: str) -> str:
    """Return what a link leads to, a URL or not; raise UsageError where it is nothing, holds control
    characters or carries a password."""
    if not text.strip() or not text.isprintable():
        raise UsageError(f"{text!r} is not a link", hint="links look like https://host/path")
    if is_url(text):
        check_url("".join(text.split()))
    return text


def local_path(url: str) -> Path | None:
    """Return the path of a `file://` URL, None for any other."""
    from urllib.request import url2pathname

    if not url.startswith("file:"):
        return None
    quoted = urlsplit(url).path
    path = url2pathname(quoted) if os.name == "nt" else os.fsdecode(unquote_to_bytes(quoted))
    if "\0" in path:
        raise UsageError(f"{url!r} is not a URL", hint="URLs look like https://host/path")
    return Path(path)


@contextlib.contextmanager
def open_url(url: str) -> Iterator[BinaryIO]:
    """Open what a URL names, for reading. Raise NotFoundError, DeniedError or UnavailableError."""
    path = local_path(check_url(url))
    if path is not None:
        with _open_file(path) as file:
            yield file
    elif urlsplit(url).scheme in ("http", "https"):
        with _open_http(url) as file:
            yield file
    else:
        with _open_fsspec(url) as file:
            yield file


@contextlib.contextmanager
def _open_file(path: Path) -> Iterator[BinaryIO]:
    try:
        if not path.is_file() and path.exists():
            raise UsageError(f"{path} is no file but a folder, a pipe or a device")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(path)!r}") from None
    except OSError as error:
        explain(error, str(path))


@contextlib.contextmanager
def _open_http(url: str) -> Iterator[BinaryIO]:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            yield cast(BinaryIO, response)
            if missing := response.length:
                raise UnavailableError(
                    f"{url} cannot be read: the answer broke off, {missing} bytes are missing",
                    hint="try again later",
                )
    except HTTPError as error:
        if error.code in (404, 410):
            raise NotFoundError(f"{url} answers {error.code} {error.reason}") from None
        raise UnavailableError(f"{url} answers {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise UnavailableError(f"{url} cannot be read: {error}", hint="try again later") from None


@contextlib.contextmanager
def _open_fsspec(url: str) -> Iterator[BinaryIO]:
    import fsspec

    scheme = urlsplit(url).scheme
    try:
        opened = fsspec.open(url, "rb")
    except (ImportError, ValueError) as error:
        extra = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "az": "azure"}.get(scheme)
        hint = f"pip install 'art-vcs[{extra}]'" if extra else None
        raise UsageError(f"{scheme}:// cannot be read here: {error}", hint=hint) from None
    except OSError as error:  # some connect already
        raise UnavailableError(f"{url} cannot be read: {error}", hint="try again later") from None
    try:
        with opened as file:
            yield cast(BinaryIO, file)
    except FileNotFoundError:
        raise NotFoundError(f"there is no {url}") from None
    except OSError as error:
        raise UnavailableError(f"{url} cannot be read: {error}", hint="try again later") from None


def blocks(url: str, limit: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of what a URL names. Raise CorruptError where there are more than `limit`."""
    size = 0
    with open_url(url) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if limit is not None and size > limit:
                raise CorruptError(
                    f"{url} has changed: it has more than the {limit} bytes that were recorded"
                )
            yield block


def measure(url: str) -> tuple[int, str]:
    """Return size in bytes and hex digest of what a URL names."""
    hasher = blake3()
    size = 0
    for block in blocks(url):
        hasher.update(block)
        size += len(block)
    return size, hasher.hexdigest()


def fetch(url: str, target: str, limit: int | None) -> tuple[int, str]:
    """Write what a URL names, at most `limit` bytes, into the new file `target`; return size and
    hex digest."""
    hasher = blake3()
    size = 0
    with open(target, "xb") as output:
        for block in blocks(url, limit):
            hasher.update(block)
            size += len(block)
            output.write(block)
    return size, hasher.hexdigest()


def base_name(url: str) -> str:
    """Return a file name for what a URL names."""
    name = os.path.basename(unquote(urlsplit(check_url(url)).path).rstrip("/"))
    return name if name not in ("", ".", "..") and name.isprintable() else "content"
