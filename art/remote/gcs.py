"""Google Cloud Storage, by the session and credentials that gcsfs holds.

Its JSON API is spoken here: gcsfs cannot send a digest with an upload, and turns answers into errors
that no longer say what the answer was.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import quote

from art.backend import Item
from art.errors import UnavailableError
from art.remote.base import PART_SIZE, Page, Remote, silence
from art.remote.failures import Advice, AnswerError, BrokenAnswerError, StrangerError
from art.remote.options import Options
from art.remote.url import Address

OPTIONS = ("endpoint_url", "project", "anon", "timeout")
_CONNECT_SECONDS = 5
_UPLOAD_ROUNDS = 3
_SPOILT = (400, 404, 410)  # of an upload in parts that was damaged or forgotten: begin a new one


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except ValueError:
            raise StrangerError("what answers there is no Google Cloud Storage") from None
        return found if isinstance(found, dict) else {}


class _SpoiltError(UnavailableError):
    """An upload in parts that cannot end well."""


class GCS(Remote):
    """A folder of a bucket. An upload names its MD5, which the server compares before it stores."""

    def __init__(self, address: Address, given: Mapping[str, str], *, single_writer: bool) -> None:
        options = Options(given, OPTIONS, "gs://")
        advice = Advice(
            f"bucket {address.host!r}",
            "gcloud auth application-default login",
            "look at the permissions of the bucket and whom you are: gcloud auth list",
        )
        super().__init__(str(address), address.path, advice, single_writer=single_writer)
        self._bucket = quote(address.host, safe="")
        self._timeout = options.seconds("timeout", 60)
        self._arguments = {
            "project": options.text("project") or "",  # only a bucket that is made needs one
            "token": "anon" if options.flag("anon") else "google_default",
            "endpoint_url": options.endpoint(),
            "use_listings_cache": False,
            "skip_instance_cache": True,
        }
        self._opened: Any = None

    def _call(self, method: str, url: str, ok: tuple[int, ...] = (200,), **more: Any) -> _Answer:
        from fsspec.asyn import sync

        files = self._files()
        answer: _Answer = sync(files.loop, self._send, files, method, url, more)
        if answer.status not in ok:
            raise _refusal(answer)
        return answer

    async def _send(self, files: Any, method: str, url: str, more: dict[str, Any]) -> _Answer:
        from aiohttp import ClientTimeout

        sent = len(more.get("data", b""))
        if "data" in more:  # aiohttp sends a file in parts, bytes at once
            more["data"] = io.BytesIO(more["data"])
        session = await files._set_session()
        headers = files._get_headers(more.pop("headers", {}))
        timeout = ClientTimeout(
            sock_connect=min(_CONNECT_SECONDS, self._timeout), sock_read=self._timeout
        )
        url = url if url.startswith("http") else files._location + url
        asked = session.request(method, url, headers=headers, timeout=timeout, **more)
        async with await self._answer(asked, sent) as found:
            return _Answer(found.status, found.headers, await found.read())

    def _files(self) -> Any:
        from fsspec.asyn import sync

        with self._opening:
            if self._opened is None:
                # Else each bucket is asked for its kind, over another protocol, for up to a minute.
                os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
                from gcsfs import GCSFileSystem

                silence("gcsfs", "google", "asyncio")
                files = GCSFileSystem(**self._arguments)
                sync(files.loop, files._set_session)  # by one thread: each would make its own
                self._opened = files
        return self._opened

    def _object(self, key: str) -> str:
        return f"/storage/v1/b/{self._bucket}/o/{quote(key, safe='')}"

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        headers = {"Accept-Encoding": "identity"}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        found = self._call(
            "GET", f"/download{self._object(key)}?alt=media", (200, 206, 416), headers=headers
        )
        if found.status == 416:  # it begins at the end or behind
            return b""
        promised = found.headers.get("Content-Length")
        if promised is not None and len(found.body) != int(promised):
            raise BrokenAnswerError(f"{len(found.body)} of {promised} bytes")
        return found.body

    def _head(self, key: str) -> tuple[int, float]:
        found = self._call("GET", f"{self._object(key)}?fields=size,updated").json()
        return int(found["size"]), _seconds(found["updated"])

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        boundary = uuid.uuid4().hex
        description = json.dumps({"name": key, "md5Hash": _md5(hashlib.md5(content))})
        parts = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{description}\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        self._call(
            "POST",
            self._upload_url("multipart", only_new=only_new),
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            data=parts.encode() + content + f"\r\n--{boundary}--\r\n".encode(),
        ).json()

    def _upload_url(self, kind: str, *, only_new: bool) -> str:
        condition = "&ifGenerationMatch=0" if only_new else ""
        return f"/upload/storage/v1/b/{self._bucket}/o?uploadType={kind}{condition}"

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        began = file.tell()
        description = {"name": key, "md5Hash": _md5(_hash_of(file, size))}
        for rounds_left in reversed(range(_UPLOAD_ROUNDS)):
            file.seek(began)
            try:
                self._upload(description, file, size)
                return
            except _SpoiltError:
                if not rounds_left:
                    raise

    def _upload(self, description: dict[str, str], file: BinaryIO, size: int) -> None:
        begun = self._try("", lambda: self._begin(description, size))
        began, offset = file.tell(), 0
        while offset < size:
            file.seek(began + offset)
            part = file.read(min(PART_SIZE, size - offset))
            if not part:
                raise UnavailableError(f"{self.where}: a file became shorter while uploaded")
            offset = self._send_part(begun.headers["Location"], part, offset, size)

    def _begin(self, description: dict[str, str], size: int) -> _Answer:
        url = self._upload_url("resumable", only_new=False)
        headers = {"X-Upload-Content-Length": str(size)}
        return self._call("POST", url, headers=headers, json=description)

    def _send_part(self, session: str, part: bytes, offset: int, size: int) -> int:
        """Return how many bytes have arrived. Where an answer was lost, the server is asked that."""
        is_first = True

        def send() -> int:
            nonlocal is_first
            span, body = (f"{offset}-{offset + len(part) - 1}", part) if is_first else ("*", b"")
            is_first = False
            headers = {"Content-Range": f"bytes {span}/{size}"}
            found = self._call(
                "PUT", session, (*_SPOILT, 200, 201, 308), headers=headers, data=body
            )
            if found.status in _SPOILT:
                raise _SpoiltError(f"{self.where} keeps refusing an upload ({_refusal(found)})")
            if found.status != 308:
                return size
            return int(found.headers.get("Range", "bytes=0--1").partition("-")[2]) + 1

        return self._try("", send)

    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        query = f"?prefix={quote(prefix, safe='')}&maxResults=1000"
        query += "&fields=nextPageToken,prefixes,items(name,size,updated)"
        query += "" if deep else "&delimiter=%2F"
        query += f"&pageToken={quote(token, safe='')}" if token else ""
        try:
            found = self._call("GET", f"/storage/v1/b/{self._bucket}/o{query}").json()
        except AnswerError as error:
            if error.status_code == 404:
                error.error_code = "NoSuchBucket"
            raise
        items = [
            Item(entry["name"], int(entry["size"]), _seconds(entry["updated"]))
            for entry in found.get("items", ())
        ]
        return Page(items, list(found.get("prefixes", ())), found.get("nextPageToken"))

    def _delete(self, key: str) -> None:
        self._call("DELETE", self._object(key), (200, 204))


def _refusal(answer: _Answer) -> AnswerError:
    """Return the error that an answer is, with a code where the status alone says too little."""
    try:
        error = answer.json().get("error", {})
    except StrangerError:
        error = {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    message = str(error.get("message", "")) or answer.body[:200].decode("utf-8", "replace")
    code = ""
    if answer.status == 404 and "bucket" in message.lower() and "object" not in message.lower():
        code = "NoSuchBucket"
    return AnswerError(answer.status, code, message)


def _hash_of(file: BinaryIO, size: int) -> Any:
    began = file.tell()
    hasher = hashlib.md5(usedforsecurity=False)
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        hasher.update(block)
        size -= len(block)
    file.seek(began)
    return hasher


def _md5(hasher: Any) -> str:
    return base64.b64encode(hasher.digest()).decode()


def _seconds(text: str) -> float:
    """Return a time such as `2026-11-21T08:31:02.123Z` as seconds; Python 3.10 knows no Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
