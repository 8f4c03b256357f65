"""The SQLite file behind the index and the memory: opened lazily, healed by itself.

Nothing in it is needed to read a version. Where it is damaged, foreign or of another release it is
built anew; where it cannot be used (locked for long, on a full or read-only disk) one in memory
takes its place for this process.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import re
import sqlite3
import threading
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from art.errors import ArtError
from art.keys import glob_pattern

APART = ("metadata", "labels", "partitions", "format", "run")  # JSON that is parsed by itself
NUL = "\x01"  # what stands for it in JSON, and sorts as it does: texts end there in SQLite
_SCHEMA_VERSION = 14
_PAGE_SIZE = 8192  # what is said of a version fits into one
_BUSY_SECONDS = 10.0
_IN_MEMORY = ":memory:"
_UNUSABLE = ("locked", "readonly", "unable to open", "disk I/O", "full", "denied")
# What is asked for most stands first in a version: what is before it is passed over each time.
_SCHEMA = """
CREATE TABLE identity (repository TEXT);
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT UNIQUE);
INSERT INTO keys VALUES (0, NULL);
CREATE TABLE directories (name TEXT PRIMARY KEY, modified INTEGER) WITHOUT ROWID;
CREATE TABLE versions (
    key_id INTEGER, number INTEGER, uid TEXT, state TEXT, created TEXT, type TEXT, size INTEGER,
    files INTEGER, metadata TEXT, labels TEXT, partitions TEXT, tags TEXT, title TEXT, id TEXT,
    author TEXT, payload TEXT, format TEXT, run TEXT, about TEXT, base TEXT, exact TEXT, crc INTEGER,
    PRIMARY KEY (key_id, number, uid)) WITHOUT ROWID;
CREATE INDEX versions_by_id ON versions (id);
CREATE INDEX versions_by_time ON versions (created);
CREATE INDEX damaged_versions ON versions (key_id) WHERE state = 'damaged';
CREATE INDEX versions_by_partitions ON versions (key_id, partitions, number)
    WHERE partitions IS NOT NULL;
CREATE INDEX copies ON versions (json_extract(about, '$.origin.id'))
    WHERE instr(about, '"origin":{') > 0;
CREATE TABLE said (paths TEXT, crc INTEGER);
CREATE TABLE inputs (
    input TEXT, key_id INTEGER, number INTEGER, uid TEXT, named TEXT, crc INTEGER);
CREATE INDEX inputs_by_input ON inputs (input);
CREATE INDEX inputs_by_version ON inputs (key_id, number, uid);
CREATE TABLE entries (
    key_id INTEGER, log TEXT, number INTEGER, document TEXT, crc INTEGER,
    PRIMARY KEY (key_id, log, number)) WITHOUT ROWID;
CREATE TABLE moves (target TEXT, id TEXT, key_id INTEGER, entry INTEGER, crc INTEGER);
CREATE INDEX moves_by_target ON moves (target);
CREATE INDEX moves_by_id ON moves (id);
CREATE TABLE named (
    key_id INTEGER, number INTEGER, id TEXT, log TEXT, entry INTEGER, crc INTEGER);
CREATE INDEX named_by_number ON named (key_id, number);
CREATE TABLE packs (number INTEGER PRIMARY KEY, id TEXT UNIQUE, is_whole INTEGER DEFAULT 0);
CREATE TABLE chunks (prefix INTEGER PRIMARY KEY, pack INTEGER);
CREATE TABLE files (
    directory BLOB, segment INTEGER, payload TEXT, data BLOB, UNIQUE (directory, segment));
CREATE INDEX files_by_payload ON files (payload);
"""
Answer = TypeVar("Answer")


class DamagedError(Exception):
    """What the database says cannot be believed; `ask` builds it anew."""


# What comes of a damaged database: also values of other types than were put in.
_DAMAGE = (sqlite3.Error, DamagedError, TypeError, ValueError, LookupError, ArithmeticError)


_open: weakref.WeakSet[Database] = weakref.WeakSet()
_of_parents: list[sqlite3.Connection] = []


_forking = threading.local()


def _before_fork() -> None:
    """Wait until no thread is in the middle of something: the child would have its locks of the file for
    ever, as SQLite counts them in the process, and could not write."""
    _forking.held = [database for database in list(_open) if database.take_turn()]


def _after_in_parent() -> None:
    for database in _forking.held:
        database.end_turn()
    _forking.held = []


def _after_in_child() -> None:
    for database in list(_open):
        database.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )


class Rows(list[tuple[Any, ...]]):
    """What a statement found."""

    def fetchone(self) -> Any:
        """Return the first row, None where there is none."""
        return self[0] if self else None


class Database:
    """One SQLite file for one repository. Threads take turns: for one statement, a transaction, or all
    that is asked by one `ask`.

    `path` None keeps everything in memory.
    """

    def __init__(self, path: str | None, repository: str) -> None:
        self._path = path
        self._is_file = path is not None
        self._repository = repository
        self._connection: sqlite3.Connection | None = None
        self._turn = threading.RLock()
        self.was_rebuilt = False
        _open.add(self)

    def take_turn(self) -> bool:
        """Keep other threads out, until `end_turn`. Return whether that came to be in time: who holds it may
        wait for this very thread."""
        return self._turn.acquire(timeout=_BUSY_SECONDS)

    def end_turn(self) -> None:
        """Let other threads go on."""
        self._turn.release()

    def leave_to_parent(self) -> None:
        """In a forked process: begin anew, as the connection and its lock are the parent's."""
        if self._connection is not None:
            _of_parents.append(self._connection)  # which closing would disturb
        self._connection = None
        self._turn = threading.RLock()

    @property
    def is_in_memory(self) -> bool:
        """Whether it ends with this process."""
        return self._path is None

    @property
    def is_substitute(self) -> bool:
        """Whether it is in memory only because its file cannot be used now."""
        return self._is_file and self._path is None

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Return `question()`, asked again of a new database where this one is damaged, and of one
        in memory where this one cannot be used."""
        with self._turn:
            try:
                return question()
            except ArtError:
                raise
            except _DAMAGE as error:
                if _is_unusable(error):
                    self.close()
                    self._path = None
                else:
                    self.rebuild()
            return question()

    def execute(self, statement: str, values: Any = ()) -> Rows:
        """Run one statement; values are always bound, never pasted."""
        with self._turn:
            return Rows(self._open().execute(statement, values).fetchall())

    def execute_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement for many rows, all or none."""
        with self.transaction():
            self._open().executemany(statement, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is inside happen whole or not at all."""
        with self._turn:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def rebuild(self) -> None:
        """Forget everything; what is asked next begins with an empty database."""
        self.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._remove(self._path)
        self.was_rebuilt = True

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect_or_rebuild()
        return self._connection

    def _connect_or_rebuild(self) -> sqlite3.Connection:
        if self._path is not None:
            self._remove_links(self._path)
        if self._path is not None:
            try:
                return self._connect(self._path)
            except _DAMAGE as error:
                if _is_unusable(error):
                    self._path = None
                    return self._connect(_IN_MEMORY)
                with contextlib.suppress(OSError, sqlite3.Error):
                    self._remove(self._path)
                    self.was_rebuilt = True
                    return self._connect(self._path)
        self._path = None
        return self._connect(_IN_MEMORY)

    def _connect(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # Durability is not needed, the files are the truth; a killed process is harmless.
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(f"PRAGMA page_size={_PAGE_SIZE}")  # of a file that is new
            connection.execute("PRAGMA secure_delete=ON")  # what was purged is nowhere
            connection.create_function("matches_key", 2, _matches_key, deterministic=True)
            connection.execute(
                f"PRAGMA journal_mode={'MEMORY' if path == _IN_MEMORY else 'TRUNCATE'}"
            )
            if _schema_version(connection) == 0:
                self._create_tables(connection)
            self._check_identity(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if _schema_version(connection) == 0:  # another process may have been first
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO identity VALUES (?)", (self._repository,))
            connection.execute("INSERT INTO said VALUES ('[]', ?)", (row_checksum(("[]",)),))
            connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        connection.execute("COMMIT")

    def _check_identity(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT repository FROM identity").fetchone()
        if _schema_version(connection) != _SCHEMA_VERSION or row != (self._repository,):
            raise DamagedError

    def _remove_links(self, path: str) -> None:
        """Remove links in place of our files: what they lead to is not ours to write."""
        for name in (path, path + "-journal"):
            with contextlib.suppress(OSError):
                if os.path.islink(name):
                    os.unlink(name)
                    self.was_rebuilt = True
        if os.path.islink(path):
            self._path = None

    def _remove(self, path: str) -> None:
        for name in (path, path + "-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _is_unusable(error: Exception) -> bool:
    """Whether the file cannot be used now, rather than being damaged: others may be using it."""
    return isinstance(error, sqlite3.OperationalError) and any(
        word in str(error) for word in _UNUSABLE
    )


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _matches_key(glob: str, key: str | None) -> bool:
    """Whether a key matches a glob, for SQL, whose own globs know no segments."""
    return key is not None and _compiled(glob).fullmatch(key) is not None


@lru_cache(maxsize=64)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(glob_pattern(glob))


def row_checksum(row: tuple[Any, ...]) -> int:
    """Return a checksum over a row: SQLite does not notice a flipped bit in a cell."""
    # Of the formats that never change, version 2 of marshal is written fastest; it is never read.
    return zlib.crc32(marshal.dumps(row, 2))
