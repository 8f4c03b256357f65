"""A proxy before an HTTP server that counts the requests and lets each wait, as a network would.

`python proxy.py HOST:PORT` prints the port it listens at. Each line it reads says for how many seconds
requests wait from then on; it answers, as JSON, how many of each method there were since the last
line. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

_HIGH_WATER = 4 << 20


class _Requests:
    """Finds where the requests of a connection begin. It takes no body for a head."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body = 0  # bytes until the next head
        self._is_chunked = False

    def split(self, data: bytes) -> tuple[bytes, str | None, bytes]:
        """Return what goes on with a request, then the method of one that begins, and what is left,
        whose first part is its head."""
        if self._is_chunked:
            self._head += data
            if self._head.endswith(b"0\r\n\r\n"):
                self._head.clear()
                self._is_chunked = False
            del self._head[:-5]
            return data, None, b""
        if self._body:
            known = data[: self._body]
            self._body -= len(known)
            return known, None, data[len(known) :]
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b"", None, b""
        head, rest = bytes(self._head[: end + 4]), bytes(self._head[end + 4 :])
        self._head.clear()
        self._body = _length(head)
        self._is_chunked = b"transfer-encoding: chunked" in head.lower()
        return head, head.split(b" ", 1)[0].decode(), rest


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@dataclass
class _State:
    delay: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


class _Pipe(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other end."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        self.forward(data)

    def forward(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.resume_reading()


class _Client(_Pipe):
    """The end of the client: here requests are counted and wait."""

    def __init__(self, target: tuple[str, int], state: _State) -> None:
        super().__init__()
        self._target = target
        self._state = state
        self._requests = _Requests()
        self._waiting = bytearray()
        self._is_held = True  # until the server is reached

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        assert self.transport
        server = _Pipe()
        server.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, *self._target)
        except OSError:
            self.transport.abort()
            return
        self.other = server
        if self.transport.is_closing():
            self.connection_lost(None)
        self._release()

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        if not self._is_held:
            self._release()

    def _release(self) -> None:
        """Forward what waits until a request begins that has to wait itself."""
        self._is_held = False
        while self._waiting:
            data = bytes(self._waiting)
            self._waiting.clear()
            known, method, rest = self._requests.split(data)
            self._waiting += rest
            if method:
                self._state.counts[method] += 1
                if self._state.delay:
                    self._is_held = True
                    loop = asyncio.get_running_loop()
                    loop.call_later(self._state.delay, self._let_go, known)
                    return
            if known:
                self.forward(known)

    def _let_go(self, head: bytes) -> None:
        self.forward(head)
        self._release()


async def _serve(target: tuple[str, int]) -> None:
    state = _State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(target, state), "127.0.0.1", 0, backlog=1024)
    _say(server.sockets[0].getsockname()[1])
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _say(state.counts)
        state.counts.clear()
        state.delay = float(line)


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    where, _, port = sys.argv[1].rpartition(":")
    asyncio.run(_serve((where, int(port))))
