"""The S3 server that the tools of `remote.py` talk to, and the proxy that may lie before it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools import ToolError

BUCKET = "art-benchmark"
SERVERS = ("ministack", "moto_server")
_START_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """An S3 endpoint and a bucket there, in which everything is put below a prefix of its own."""

    endpoint: str
    bucket: str

    @property
    def address(self) -> str:
        parts = urlsplit(self.endpoint)
        return f"{parts.hostname}:{parts.port or 80}"


class Proxy:
    """A proxy that runs, and where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.endpoint = f"http://127.0.0.1:{self._line().strip()}"

    def let_wait(self, seconds: float) -> int:
        """Let each request wait from now on; return how many there were since the last call."""
        assert self._process.stdin
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return sum(json.loads(self._line()).values())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def find(chosen: str | None = None) -> str | None:
    """Return a server program: `chosen`, or one beside this interpreter or on the PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    names = [chosen] if chosen else SERVERS
    return next((path for name in names if (path := shutil.which(name, path=places))), None)


@contextlib.contextmanager
def serving(program: str, folder: Path) -> Iterator[Server]:
    """Run a server with an empty bucket on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = Path(program).name
    words = [program, "-H", "127.0.0.1", "-p", str(port)] if name == "moto_server" else [program]
    settings = {"BIND_HOST": "127.0.0.1", "SERVICES": "s3", "GATEWAY_PORT": str(port)}
    settings |= {"HOME": str(folder), "LOG_LEVEL": "ERROR"}
    server = Server(f"http://127.0.0.1:{port}", BUCKET)
    with _running(words, folder, settings) as process:
        _make_bucket(server, process)
        yield server


@contextlib.contextmanager
def proxied(server: Server) -> Iterator[Proxy]:
    """Run a proxy before a server."""
    words = [sys.executable, str(Path(__file__).with_name("proxy.py")), server.address]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Proxy(process)
    finally:
        _end(process)


@contextlib.contextmanager
def _running(
    words: Sequence[str], folder: Path, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        _end(process)


def _make_bucket(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Make the bucket as soon as the server answers. Test servers do not ask for a signature."""
    request = urllib.request.Request(f"{server.endpoint}/{server.bucket}", method="PUT")
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
            return
        time.sleep(0.05)
    raise ToolError(f"{process.args!r} does not answer")


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
