"""Servers as processes: their ports, how they start and how they end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

_START_SECONDS = 60


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that nobody listens at, nor can until the block ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str],
    port: int | None,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it is no longer needed; wait until it listens at `port`, if that is given.

    What it says is in the file `log` of its folder.
    """
    surroundings = {**os.environ, "HOME": str(folder), **(environment or {})}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=surroundings, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        if port is not None:
            _wait(process, port, folder / "log")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise AssertionError(f"{process.args!r} ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not listen: {log.read_text()[-2000:]}")


def program(name: str, package: str) -> str:
    """Return the path of a program that comes with a package; skip the test where it is missing."""
    nearby = os.pathsep.join((str(Path(sys.executable).parent), f"{sys.prefix}/node_modules/.bin"))
    found = shutil.which(name, path=nearby) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {package}")
    return found
