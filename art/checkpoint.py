"""Checkpoints: many documents of one log in one file, so that a clone asks for few (FORMAT §3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import zstandard
from blake3 import blake3

from art import document as documents
from art.backend import Backend
from art.catalog import Log, parse_number
from art.errors import REPAIR, CorruptError

SIZES = (1024, 64)  # documents in one checkpoint, the largest first
_MAGIC = b"ARTCHKP\x01"
_HEAD = len(_MAGIC) + 32
_NAME = re.compile(r"_([1-9][0-9]{0,17})-([1-9][0-9]{0,17})")
_LIMIT = 64 << 20  # of the documents of one; there are a few hundred bytes in each
_PROBES = 16
_PATIENCE = 2  # a document that arrives damaged is asked for once more


def name(log: Log, first: int, last: int) -> str:
    """Return the name of the checkpoint with these documents."""
    return f"checkpoints/{log.directory}/_{first}-{last}"


def parse_name(file_name: str) -> tuple[int, int] | None:
    """Return the first and last number in the last part of a name, None where it is no checkpoint's."""
    found = _NAME.fullmatch(file_name)
    return (int(found[1]), int(found[2])) if found else None


def due(number: int) -> list[tuple[int, int]]:
    """Return the checkpoints that can be written once a log has this number: first and last."""
    return [(number - size + 1, number) for size in SIZES if number % size == 0]


def encode(contents: Iterable[bytes]) -> bytes:
    """Return a checkpoint of these documents, in order."""
    body = b"".join(len(data).to_bytes(4, "little") + data for data in contents)
    return _MAGIC + blake3(body).digest() + zstandard.ZstdCompressor().compress(body)


def decode(data: bytes, count: int, where: str) -> list[bytes]:
    """Return the documents. Raise CorruptError where they are not `count` whole ones."""
    try:
        if data[: len(_MAGIC)] != _MAGIC:
            raise ValueError("it is no checkpoint")
        limit = min(_LIMIT, count * (documents.SIZE_LIMIT + 4))
        if zstandard.frame_content_size(data[_HEAD:]) > limit:
            raise ValueError(f"it claims more than {limit} bytes")
        body = zstandard.ZstdDecompressor().decompress(data[_HEAD:], max_output_size=limit)
        if len(body) > limit or blake3(body).digest() != data[len(_MAGIC) : _HEAD]:
            raise ValueError("its content does not match")
        found = list(islice(_parts(body), count + 1))
        if len(found) != count:
            has = f"more than {count}" if len(found) > count else len(found)
            raise ValueError(f"it has {has} documents, expected {count}")
    except (ValueError, zstandard.ZstdError) as error:
        raise CorruptError(f"{where} is damaged: {error}", hint=REPAIR) from error
    return found


def _parts(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "little")
        if end > len(body):
            raise ValueError("it ends too early")
        yield body[at + 4 : end]
        at = end


class LogReader:
    """Reads the documents of a store's logs, many at once, each verified before it is returned."""

    def __init__(self, backend: Backend, threads: int) -> None:
        self._backend = backend
        self._threads = ThreadPoolExecutor(threads, "documents")

    def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(cancel_futures=True)

    def read(self, log: Log, first: int, last: int) -> list[bytes]:
        """Return the documents from number `first` to `last`.

        Raise CorruptError where one is damaged or missing.
        """
        wanted = range(first, last + 1)
        found = self._bundled(log, wanted) if len(wanted) > SIZES[-1] else {}
        single = [number for number in wanted if number not in found]
        contents = self._threads.map(lambda number: self.one(log, number), single)
        found.update(zip(single, contents, strict=True))
        return [found[number] for number in wanted]

    def following(self, log: Log, number: int) -> list[bytes]:
        """Return the documents that follow `number`: few are found by asking for one after the other,
        many by a listing, which may be older than they are."""
        found: list[bytes] = []
        is_long = not number
        while True:
            if is_long:
                numbers = map(parse_number, self._backend.names(log.directory))
                listed = {each for each in numbers if each is not None}
                # Of a log with a gap, as far as it shows, however high a name says that it goes.
                last = min(max(listed, default=0), len(listed) + 1)
                found += self.read(log, number + len(found) + 1, last)
            for _ in range(_PROBES):
                try:
                    found.append(self._whole(log, number + len(found) + 1))
                except FileNotFoundError:
                    return found
            is_long = True

    def one(self, log: Log, number: int) -> bytes:
        """Return one document. Raise CorruptError where it is damaged or missing."""
        try:
            return self._whole(log, number)
        except FileNotFoundError:
            raise CorruptError(
                f"{self._backend.where}/{log.file(number)} is missing", hint="art remote check"
            ) from None

    def _whole(self, log: Log, number: int) -> bytes:
        def fetch() -> bytes:
            data = self._backend.read(log.file(number), 0, documents.READ_LIMIT)
            log.parse(number, data)
            return data

        return self.again(fetch)

    def again(self, fetch: Callable[[], bytes]) -> bytes:
        """Return what `fetch` returns, asked once more where that was damaged: on the way, perhaps."""
        for left in reversed(range(_PATIENCE)):
            try:
                return fetch()
            except CorruptError as error:
                if not left:
                    message = f"{self._backend.where}: {error.message}"
                    raise CorruptError(message, hint="art remote check") from error
        raise AssertionError

    def _bundled(self, log: Log, wanted: range) -> dict[int, bytes]:
        """Return what checkpoints have of the wanted documents."""
        blocks = _cover(wanted, self._backend.names(f"checkpoints/{log.directory}"))
        found: dict[int, bytes] = {}
        bundles = self._threads.map(lambda block: self._checkpoint(log, *block), blocks)
        for (first, _), contents in zip(blocks, bundles, strict=True):
            found.update(enumerate(contents, first))
        return {number: data for number, data in found.items() if number in wanted}

    def _checkpoint(self, log: Log, first: int, last: int) -> list[bytes]:
        """Return the documents of a checkpoint, none where it is not usable: each is there alone."""
        where = name(log, first, last)
        for _ in range(_PATIENCE):
            try:
                data = self._backend.read(where, 0, _LIMIT)
                contents = decode(data, last - first + 1, where)
                for number, data in enumerate(contents, first):
                    log.parse(number, data)
                # A remote that lost its newest documents may have others there now.
                if self._backend.read(log.file(last), 0, documents.READ_LIMIT) != contents[-1]:
                    continue
            except FileNotFoundError:
                return []
            except CorruptError:
                continue
            return contents
        return []


def _cover(wanted: range, names: Iterable[str]) -> list[tuple[int, int]]:
    """Return the checkpoints that are worth reading for these numbers: none overlaps another."""
    known = [span for name in names if (span := parse_name(name))]
    chosen: list[tuple[int, int]] = []
    for size in SIZES:
        for first, last in sorted(known):
            is_wanted = len(range(max(first, wanted.start), min(last, wanted[-1]) + 1)) * 2 > size
            is_free = all(last < low or first > high for low, high in chosen)
            if last - first + 1 == size and is_wanted and is_free:
                chosen.append((first, last))
    return chosen
