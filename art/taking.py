"""Manifests become rows of the index, by several processes where there are many.

The processes read files and know nothing of the database, which whoever asked them writes alone. They are
started anew, not forked: nobody knows which threads and locks there are in the program that uses art.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from art.backend import LocalBackend
from art.catalog import Catalog
from art.errors import ArtError
from art.rows import Taken, Wanted, read_all

_SHARE = 200  # manifests that a process is given at once
_HEADER, _LIMIT = 8, 1 << 30  # bytes that say how many follow, and so many at most
_COMMAND = "import sys; sys.path[:] = {path!r}; from art.taking import work; work({root!r})"


def take_all(catalog: Catalog, wanted: Sequence[Wanted]) -> Iterator[Taken]:
    """Yield the rows of versions, in their order, without those whose manifest is gone."""
    jobs = _cores()
    if jobs < 2 or not _can_be_shared(catalog):
        yield from read_all(catalog, wanted)
        return
    shares = [wanted[at : at + _SHARE] for at in range(0, len(wanted), _SHARE)]
    with _Readers(catalog, jobs) as readers, ThreadPoolExecutor(jobs) as pool:
        try:
            for found in pool.map(readers.take, shares):
                yield from found
        finally:
            pool.shutdown(cancel_futures=True)


def _cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return min(8, len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1)


def _can_be_shared(catalog: Catalog) -> bool:
    """Whether another process sees the same files, and there is an interpreter to run it."""
    program = Path(sys.executable or "").name.lower()
    is_python = program.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)
    return is_python and type(catalog.backend) is LocalBackend


class _Readers:
    """Processes that read manifests. What one of them cannot do is done here."""

    def __init__(self, catalog: Catalog, jobs: int) -> None:
        self._catalog = catalog
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._all: list[subprocess.Popen[bytes]] = []
        command = _COMMAND.format(path=sys.path, root=str(catalog.backend.path("")))
        for _ in range(jobs):
            process = None
            with contextlib.suppress(OSError):
                process = subprocess.Popen(
                    [sys.executable, "-I", "-c", command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                self._all.append(process)
            self._idle.put(process)

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()  # it holds nothing
            process.communicate()

    def take(self, share: Sequence[Wanted]) -> list[Taken]:
        """Return the rows of a share, in its order. Safe to share between as many threads as processes."""
        process = self._idle.get()
        found: list[Taken] | None = None
        if process is not None:
            with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
                assert process.stdin is not None
                assert process.stdout is not None
                _send(process.stdin, list(share))
                found = _received(process.stdout)
        self._idle.put(process if found is not None else None)
        return list(read_all(self._catalog, share)) if found is None else found


def work(root: str) -> None:
    """Read the manifests of a repository that are asked for on standard input, until it ends. Whatever
    goes wrong ends it: who asks reads them then, and says what it is."""
    catalog = Catalog(LocalBackend(Path(root)))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(ArtError, OSError, EOFError):
        while True:
            _send(target, list(read_all(catalog, _received(source))))


def _send(stream: IO[bytes], values: list[Any]) -> None:
    data = marshal.dumps(values)
    stream.write(len(data).to_bytes(_HEADER, "little") + data)
    stream.flush()


def _received(stream: IO[bytes]) -> Any:
    size = int.from_bytes(stream.read(_HEADER), "little")
    if size > _LIMIT:
        raise ValueError(f"{size} bytes are no answer")
    return marshal.loads(stream.read(size))  # EOFError where the other one ended
