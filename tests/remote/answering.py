"""A server that gives the same answers to whatever it is asked."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """A status with a body."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def s3_error(status: int, code: str) -> Answer:
    """Return the answer of S3 with this code."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Because.</Message></Error>"
    return Answer(status, body.encode())


def azure_error(status: int, code: str) -> Answer:
    """Return the answer of Azure with this code."""
    return Answer(status, b"", (("x-ms-error-code", code),))


@dataclass
class Script:
    """The answers to come; the last one is given again and again."""

    answers: list[Answer]
    asked: list[str] = field(default_factory=list)

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class QuietServer(ThreadingHTTPServer):
    """A server that does not print that a client went away."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, format: str, *values: object) -> None:
        pass

    def handle_request(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.script.asked.append(f"{self.command} {self.path}")
        answer = self.script.next()
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815


@contextlib.contextmanager
def serve_answers(*answers: Answer) -> Iterator[tuple[Script, int]]:
    """Run the server; give its script and its port."""
    script = Script(list(answers))
    handler = type("Handler", (_Handler,), {"script": script})
    server = QuietServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield script, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
