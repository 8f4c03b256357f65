"""Memories that save work: which pack holds a chunk, what files looked like when they were read.

Whoever asks goes on without an answer, so these heal their database by themselves.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, repeat
from typing import Protocol

from blake3 import blake3

from art.database import DamagedError, Database
from art.errors import CorruptError
from art.objects import ObjectStore

_SEAL = 16
_BATCH = 50_000  # chunks in one transaction, which others wait for
_CHUNKS_IN_MEMORY = 1_000_000


class FileMemory(Protocol):
    """What is remembered of the files in folders, in segments of many files each."""

    def file_segments(self, directory: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield payload and data of what is remembered of a folder's files, in order.

        The payload is one that is known to hold all these files, or empty.
        """

    def note_files(self, segments: Iterable[tuple[bytes, int, bytes]], token: str) -> None:
        """Remember files: folder, number of the segment, data. `token` stands where the payload
        will stand once `settle_files` names it."""

    def settle_files(self, token: str, kept: list[tuple[bytes, int, str]], payload: str) -> None:
        """Note that a payload holds the files of these segments and of those noted with `token`.

        With each kept segment comes the payload it had: another process may have noted other files
        there since.
        """


class NoMemory:
    """Remembers nothing."""

    def file_segments(self, directory: bytes) -> Iterator[tuple[str, bytes]]:
        return iter(())

    def note_files(self, segments: Iterable[tuple[bytes, int, bytes]], token: str) -> None:
        pass

    def settle_files(self, token: str, kept: list[tuple[bytes, int, str]], payload: str) -> None:
        pass


class Memory:
    """The memories of one repository; a `FileMemory` and `ChunkHints`."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._db = database
        self._objects = objects

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Return the id of a pack that may hold the chunk, for each of which one is known."""
        query = (
            "SELECT prefix, packs.id FROM chunks JOIN packs ON packs.number = chunks.pack "
            "WHERE prefix IN (SELECT value FROM json_each(?))"
        )
        prefixes = {_prefix(digest): digest for digest in digests}
        asked = json.dumps(list(prefixes))
        rows = self._db.ask(lambda: self._db.execute(query, (asked,)))
        return {prefixes[prefix]: pack for prefix, pack in rows}

    def has_chunks(self) -> bool:
        """Whether it remembers any chunk at all."""
        query = "SELECT 1 FROM chunks LIMIT 1"
        return self._db.ask(lambda: self._db.execute(query).fetchone()) is not None

    def learn_packs(self) -> None:
        """Take in the packs that are not known: of a killed process, of another program, or all of
        them where the database was built anew."""
        query = "SELECT id FROM packs WHERE is_whole"
        known = {pack for (pack,) in self._db.ask(lambda: self._db.execute(query))}
        room = _CHUNKS_IN_MEMORY if self._db.is_in_memory else sys.maxsize
        for pack in self._objects.pack_ids():
            if pack in known:
                continue
            if room <= 0:
                return  # hints less: what is stored twice is still right
            try:
                digests = self._objects.directory(pack).digests()
            except (CorruptError, FileNotFoundError):
                continue  # a hint less; reading it will say what is wrong
            room -= len(digests)
            self.note_chunks(partial(zip, digests, repeat(pack)))

    def note_chunks(self, chunks: Callable[[], Iterable[tuple[bytes, str]]]) -> None:
        """Remember in which packs chunks lie.

        Others may write in between; a pack of which a part was noted when the process was killed
        is learned again.
        """
        self._db.ask(lambda: self._put_chunks(chunks()))

    def _put_chunks(self, chunks: Iterable[tuple[bytes, str]]) -> None:
        statement = "INSERT OR REPLACE INTO chunks VALUES (?, ?)"
        numbers: dict[str, int] = {}
        rows = iter(chunks)
        while batch := list(islice(rows, _BATCH)):
            self._db.execute_many(statement, self._chunk_rows(batch, numbers))
        whole = "UPDATE packs SET is_whole = 1 WHERE number = ?"
        self._db.execute_many(whole, [(number,) for number in numbers.values()])

    def _chunk_rows(
        self, chunks: Iterable[tuple[bytes, str]], numbers: dict[str, int]
    ) -> Iterator[tuple[int, int]]:
        for digest, pack in chunks:
            if pack not in numbers:
                self._db.execute("INSERT OR IGNORE INTO packs (id) VALUES (?)", (pack,))
                query = "SELECT number FROM packs WHERE id = ?"
                numbers[pack] = self._db.execute(query, (pack,)).fetchone()[0]
            yield _prefix(digest), numbers[pack]

    def file_segments(self, directory: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield payload and data of what is remembered of a folder's files, in order."""
        segment = 0
        while found := self._db.ask(partial(self._segment, directory, segment)):
            yield found
            segment += 1

    def _segment(self, directory: bytes, segment: int) -> tuple[str, bytes] | None:
        row = self._db.execute(
            "SELECT payload, data FROM files WHERE directory = ? AND segment = ?",
            (directory, segment),
        ).fetchone()
        if row is None:
            return None
        payload, data = row
        if _seal(directory, segment, data[:-_SEAL]) != data[-_SEAL:]:
            raise DamagedError
        return payload, data[:-_SEAL]

    def note_files(self, segments: Iterable[tuple[bytes, int, bytes]], token: str) -> None:
        """Remember files: folder, number of the segment, data; `token` until it is settled."""
        rows = [(where, n, token, data + _seal(where, n, data)) for where, n, data in segments]
        statement = (
            "INSERT OR REPLACE INTO files (directory, segment, payload, data) VALUES (?, ?, ?, ?)"
        )
        self._db.ask(lambda: self._db.execute_many(statement, rows))

    def settle_files(self, token: str, kept: list[tuple[bytes, int, str]], payload: str) -> None:
        """Note that a payload holds the files of these segments and of those noted with `token`."""
        by_token = "UPDATE files SET payload = ? WHERE payload = ?"
        self._db.ask(lambda: self._db.execute_many(by_token, [(payload, token)]))
        one_by_one = (
            "UPDATE files SET payload = ? WHERE directory = ? AND segment = ? AND payload = ?"
        )
        rows = [(payload, *segment) for segment in kept]
        self._db.ask(lambda: self._db.execute_many(one_by_one, rows))


def _prefix(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little", signed=True)


def _seal(directory: bytes, segment: int, body: bytes) -> bytes:
    return blake3(b"%b\0%d\0" % (directory, segment) + body).digest(length=_SEAL)
