"""A proxy before a server on this machine: it counts requests, loses answers and flips bytes."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

RUN = b"x" * 64  # where a content holds this, a byte of it is flipped
_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE|PATCH) (\S+) HTTP/1\.[01]\r\n")

_HAS_BODY = re.compile(rb"^HTTP/1\.1 [^3](?s:.*)\r\ncontent-length: *[1-9]", re.IGNORECASE)


@dataclass
class Proxy:
    """What happens to requests is set by its fields, at any time."""

    port: int = 0
    loss: float = 0.0  # of answers, 0 to 1
    losses_left: int = 0  # the next so many answers are lost, whatever `loss` is
    cuts_left: int = 0  # of the next so many answers that have a body, the body is lost
    flips_up: int = 0  # how many uploads are still to be damaged
    flips_down: int = 0
    requests: list[str] = field(default_factory=list)
    lost: int = 0
    flipped: int = 0
    _victim: int | None = None  # the process that is killed
    _kills_at: int = 0
    _is_late: bool = False
    _together: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    _to_gather: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _chance: random.Random = field(default_factory=lambda: random.Random(7))

    def gather(self, count: int) -> None:
        """Hold the next so many requests back until all of them have come."""
        self._together = threading.Barrier(count)
        self._to_gather = count

    def kill(self, process: int | None, at: int = 0, *, is_late: bool = False) -> None:
        """Kill a process at its request of this number, counted from 1: before the server has that, or
        when the server has answered it."""
        with self._lock:
            self._victim, self._kills_at, self._is_late = process, at, is_late
            self.requests.clear()

    def _kill(self) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._victim is not None:
                os.kill(self._victim, signal.SIGKILL)
            self._victim = None

    def _is_last(self, *, is_late: bool) -> bool:
        """Whether the victim is to be killed now."""
        with self._lock:
            is_there = len(self.requests) >= self._kills_at > 0
            return self._victim is not None and is_there and self._is_late == is_late

    def _hold(self, data: bytes) -> None:
        with self._lock:
            is_held = self._to_gather > 0 and _REQUEST.match(data) is not None
            self._to_gather -= is_held
        if is_held:
            self._together.wait(20)

    @contextlib.contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Give the list of requests that come while the block runs."""
        self.requests.clear()
        yield self.requests

    def _note(self, data: bytes) -> bool:
        """Note the request that begins here, if one does; return whether its answer is to be lost."""
        match = _REQUEST.match(data)
        if match is None:
            return False
        with self._lock:
            self.requests.append(f"{match[1].decode()} {match[2].decode()}")
            is_lost = self.losses_left > 0 or self._chance.random() < self.loss
            self.losses_left -= self.losses_left > 0
            return is_lost

    def cut(self, data: bytes) -> bytes | None:
        """Return what is left of an answer that is to lose its body, None where it is to come whole."""
        head, end, _ = data.partition(b"\r\n\r\n")
        with self._lock:
            if self.cuts_left <= 0 or not end or not _HAS_BODY.search(head):
                return None
            self.cuts_left -= 1
        self.lost += 1
        return head + end

    def _flip(self, data: bytes, *, is_up: bool) -> bytes:
        with self._lock:
            at = data.find(RUN)
            left = self.flips_up if is_up else self.flips_down
            if at < 0 or left <= 0:
                return data
            self.flipped += 1
            if is_up:
                self.flips_up -= 1
            else:
                self.flips_down -= 1
        return data[: at + 9] + b"X" + data[at + 10 :]


@contextlib.contextmanager
def proxy_before(port: int) -> Iterator[Proxy]:
    """Run a proxy before the server at this port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    proxy = Proxy(listener.getsockname()[1])
    open_sockets: list[socket.socket] = [listener]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                open_sockets.extend((client, server))
                _Connection(proxy, client, server).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        for found in open_sockets:
            _close(found)


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._is_lost = False

    def start(self) -> None:
        for target in (self._up, self._down):
            threading.Thread(target=target, daemon=True).start()

    def _up(self) -> None:
        with contextlib.suppress(OSError, threading.BrokenBarrierError):
            while data := self._client.recv(1 << 16):
                self._proxy._hold(data)
                self._is_lost = self._proxy._note(data) or self._is_lost
                if self._proxy._is_last(is_late=False):
                    self._proxy._kill()
                    break
                self._server.sendall(self._proxy._flip(data, is_up=True))
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def _down(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 16):
                if self._proxy._is_last(is_late=True) and not data.startswith(b"HTTP/1.1 100"):
                    self._proxy._kill()
                    break
                if self._is_lost and not data.startswith(b"HTTP/1.1 100"):
                    self._proxy.lost += 1
                    break
                left = self._proxy.cut(data)
                if left is not None:
                    self._client.sendall(left)
                    break
                self._client.sendall(self._proxy._flip(data, is_up=False))
        _close(self._client)
        _close(self._server)


def _close(found: socket.socket) -> None:
    with contextlib.suppress(OSError):
        found.shutdown(socket.SHUT_RDWR)
    found.close()
