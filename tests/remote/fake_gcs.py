"""Google Cloud Storage as far as art uses it: objects, generations, conditions, digests, pages.

It does what the documentation of the JSON API says. No emulator on PyPI honours ifGenerationMatch.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.remote.answering import QuietServer

_PAGE_SIZE = 1000


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Stored:
    """An object: its bytes, and when it was written."""

    content: bytes
    generation: int
    updated: str

    def describe(self, name: str) -> dict[str, str]:
        return {
            "name": name,
            "size": str(len(self.content)),
            "generation": str(self.generation),
            "md5Hash": _md5(self.content),
            "updated": self.updated,
        }


@dataclass
class Session:
    """An upload in parts."""

    bucket: str
    description: dict[str, Any]
    query: dict[str, str]
    content: bytearray = field(default_factory=bytearray)


@dataclass
class Google:
    """All buckets. `is_read_only` refuses writers."""

    buckets: dict[str, dict[str, Stored]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    is_read_only: bool = False
    generation: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def bucket(self, name: str) -> dict[str, Stored]:
        if name not in self.buckets:
            raise RefusedError(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def find(self, bucket: str, name: str) -> Stored:
        found = self.bucket(bucket).get(name)
        if found is None:
            raise RefusedError(404, f"No such object: {bucket}/{name}")
        return found

    def store(
        self, bucket: str, description: dict[str, Any], content: bytes, query: dict[str, str]
    ) -> dict[str, str]:
        self.check_writable()
        name = description.get("name") or query["name"]
        if description.get("md5Hash", _md5(content)) != _md5(content):
            raise RefusedError(400, "Provided MD5 hash does not match calculated MD5 hash.")
        with self.lock:
            objects = self.bucket(bucket)
            present = objects[name].generation if name in objects else 0
            if query.get("ifGenerationMatch", str(present)) != str(present):
                raise RefusedError(
                    412, "At least one of the pre-conditions you specified did not hold."
                )
            self.generation += 1
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            objects[name] = Stored(content, self.generation, now.replace("+00:00", "Z"))
            return objects[name].describe(name)

    def check_writable(self) -> None:
        if self.is_read_only:
            raise RefusedError(403, "reader does not have storage.objects.create access.")

    def list(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        with self.lock:
            found = dict(self.bucket(bucket))
        entries = sorted({_entry(n, prefix, delimiter) for n in found if n.startswith(prefix)})
        entries = [entry for entry in entries if entry > query.get("pageToken", "")]
        page = entries[: min(_PAGE_SIZE, int(query.get("maxResults", _PAGE_SIZE)))]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        answer["items"] = [found[name].describe(name) for name in page if name in found]
        answer["prefixes"] = [name for name in page if name not in found]
        if len(page) < len(entries):
            answer["nextPageToken"] = page[-1]
        return answer


def _entry(name: str, prefix: str, delimiter: str | None) -> str:
    end = name.find(delimiter, len(prefix)) if delimiter else -1
    return name if end < 0 else name[: end + 1]


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    google: Google

    def log_message(self, format: str, *values: object) -> None:
        pass

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            self.route(parts.path, query, body)
        except RefusedError as refusal:
            error = {"code": refusal.status, "message": refusal.message}
            self.answer(refusal.status, json.dumps({"error": error}).encode())

    do_GET = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815

    def route(self, path: str, query: dict[str, str], body: bytes) -> None:
        if match := re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path):
            self.upload(unquote(match[1]), query, body)
        elif match := re.fullmatch(r"/storage/v1/b/([^/]+)/o", path):
            self.answer_json(self.google.list(unquote(match[1]), query))
        elif match := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)", path):
            self.touch(unquote(match[1]), unquote(match[2]), query)
        else:
            raise RefusedError(404, "Not Found")

    def touch(self, bucket: str, name: str, query: dict[str, str]) -> None:
        found = self.google.find(bucket, name)
        if self.command == "DELETE":
            self.google.check_writable()
            with self.google.lock:
                self.google.bucket(bucket).pop(name, None)
            self.answer(204)
        elif query.get("alt") == "media":
            self.media(found.content)
        else:
            self.answer_json(found.describe(name))

    def media(self, content: bytes) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None:
            self.answer(200, content)
            return
        start = int(match[1])
        end = min(len(content), int(match[2]) + 1) if match[2] else len(content)
        if start >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        span = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
        self.answer(206, content[start:end], span)

    def upload(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        self.google.bucket(bucket)
        if "upload_id" in query:
            self.go_on(query["upload_id"], body)
        elif query["uploadType"] == "resumable":
            self.google.check_writable()
            number = uuid.uuid4().hex
            self.google.sessions[number] = Session(bucket, json.loads(body), query)
            url = f"http://{self.headers['Host']}{self.path}&upload_id={number}"
            self.answer(200, b"", {"Location": url})
        else:
            description, content = _split(body, self.headers["Content-Type"])
            self.answer_json(self.google.store(bucket, description, content, query))

    def go_on(self, number: str, body: bytes) -> None:
        session = self.google.sessions[number]
        start, total = re.fullmatch(  # type: ignore[union-attr]
            r"bytes (\d+|\*)(?:-\d+)?/(\d+)", self.headers["Content-Range"]
        ).groups()
        if start != "*" and int(start) == len(session.content):
            session.content += body
        if len(session.content) == int(total):
            content = bytes(session.content)
            self.answer_json(
                self.google.store(session.bucket, session.description, content, session.query)
            )
        else:
            so_far = {"Range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
            self.answer(308, b"", so_far)

    def answer_json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode())

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _split(body: bytes, kind: str) -> tuple[dict[str, Any], bytes]:
    """Return the two parts of a multipart body."""
    boundary = kind.rpartition("boundary=")[2].strip('"').encode()
    _, first, second = body.split(b"--" + boundary + b"\r\n", 2)
    content = second[: second.rindex(b"\r\n--" + boundary + b"--")]
    return json.loads(first.split(b"\r\n\r\n", 1)[1]), content.split(b"\r\n\r\n", 1)[1]


@contextlib.contextmanager
def serve_google() -> Iterator[tuple[Google, int]]:
    """Run the server; give what it holds, and its port."""
    google = Google()
    handler = type("Handler", (_Handler,), {"google": google})
    server = QuietServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield google, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
