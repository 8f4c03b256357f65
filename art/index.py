"""The index: a SQLite mirror of the catalog, and memories that save work. Never the truth.

It is rebuilt where it is missing or damaged, and brought up to date with the files before each
answer: a directory is read again unless its time is the one noted, and was two seconds old then.
Every row carries a checksum, because SQLite does not notice a flipped bit in a cell.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

from blake3 import blake3

from art import catalog as catalogs
from art.catalog import NOTES, SETTINGS, STATE, Catalog
from art.errors import ArtError, CorruptError, NewerFormatError, NotFoundError
from art.model import ANONYMOUS, Document, Entry, Manifest, apply_notes, heads, unescape

if TYPE_CHECKING:
    from art.objects import ObjectStore

_SCHEMA_VERSION = 1
_SETTLED_NS = 2_000_000_000
_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT UNIQUE);
CREATE TABLE directories (name TEXT PRIMARY KEY, modified INTEGER) WITHOUT ROWID;
CREATE TABLE versions (
    key_id INTEGER, number INTEGER, id TEXT, uid TEXT, type TEXT, created TEXT, author TEXT, size INTEGER,
    files INTEGER, payload TEXT, title TEXT, about TEXT, tags TEXT, state TEXT, base TEXT, crc INTEGER,
    PRIMARY KEY (key_id, number, uid)) WITHOUT ROWID;
CREATE INDEX versions_by_id ON versions (id);
CREATE INDEX damaged_versions ON versions (key_id) WHERE state = 'damaged';
CREATE TABLE inputs (input TEXT, key_id INTEGER, number INTEGER, uid TEXT, crc INTEGER);
CREATE INDEX inputs_by_input ON inputs (input);
CREATE TABLE entries (
    key_id INTEGER, log TEXT, number INTEGER, document TEXT, crc INTEGER,
    PRIMARY KEY (key_id, log, number)) WITHOUT ROWID;
CREATE TABLE packs (number INTEGER PRIMARY KEY, id TEXT UNIQUE);
CREATE TABLE chunks (prefix INTEGER PRIMARY KEY, pack INTEGER);
CREATE TABLE files (directory BLOB, segment INTEGER, payload TEXT, data BLOB, UNIQUE (directory, segment));
CREATE INDEX files_by_payload ON files (payload);
"""
_KEYLESS = 0
_COLUMNS = (
    "number, id, uid, type, created, author, size, files, payload, title, about, tags, state, base"
)
LIVE = "live"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Record:
    """What the index knows of one version, later notes applied.

    `key` and `number` are None for a keyless version. `state` is `live`, `deleted`, `restored`,
    `swept`, `purged`, `moved`, or `damaged`, where `title` says what is wrong.
    """

    key: str | None
    number: int | None
    id: str
    uid: str
    type: str
    created: str
    author: str
    size: int | None
    files: int | None
    payload: str | None
    title: str | None
    about: Document = field(repr=False)
    tags: list[str]
    state: str

    @property
    def is_live(self) -> bool:
        return self.state == LIVE

    @property
    def ref(self) -> str:
        """A reference that names it for ever."""
        return self.id if self.key is None else f"{self.key}@v{self.number}"

    @property
    def description(self) -> str | None:
        return self.about.get("description")

    @property
    def metadata(self) -> Document:
        return self.about.get("metadata") or {}

    @property
    def labels(self) -> list[str]:
        return self.about.get("labels") or []

    @property
    def partitions(self) -> dict[str, str]:
        return self.about.get("partitions") or {}


class IndexDamagedError(Exception):
    """The index cannot be believed; it is to be built anew."""


class Index:
    """Answers about one catalog. Cheap to open; not shared between threads.

    `path` None keeps everything in memory: for repositories that cannot be written.
    """

    def __init__(
        self,
        path: str | None,
        catalog: Catalog,
        objects: Callable[[], ObjectStore],
        repository: str,
    ) -> None:
        self._path = path
        self._catalog = catalog
        self._objects = objects
        self._repository = repository
        self._database: sqlite3.Connection | None = None
        self.was_rebuilt = False
        self.problems: list[ArtError] = []

    def ask(self, question: Callable[[Index], Answer]) -> Answer:
        """Return `question(self)`, asked again of a new index where this one is damaged, and of one
        in memory where this one cannot be used: locked, on a full or read-only disk."""
        try:
            return question(self)
        except sqlite3.OperationalError:
            self.close()
            self._path = None
        except (sqlite3.DatabaseError, IndexDamagedError):
            self.rebuild()
        return question(self)

    # -- opening ---------------------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._open()
        return self._database

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            try:
                return self._connect(self._path)
            except (sqlite3.Error, IndexDamagedError):
                with contextlib.suppress(OSError, sqlite3.Error):
                    self._remove()
                    self.was_rebuilt = True
                    return self._connect(self._path)
        self._path = None
        return self._connect(":memory:")

    def _connect(self, path: str) -> sqlite3.Connection:
        database = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # Durability is not needed, the files are the truth; a killed process is harmless.
            database.execute("PRAGMA synchronous=OFF")
            database.execute(
                "PRAGMA journal_mode=" + ("MEMORY" if path == ":memory:" else "TRUNCATE")
            )
            database.execute("PRAGMA mmap_size=0")
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._create_tables(database)
            self._check_identity(database)
        except BaseException:
            database.close()
            raise
        return database

    def _create_tables(self, database: sqlite3.Connection) -> None:
        with _transaction(database):
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute("INSERT INTO keys VALUES (0, NULL)")
                database.execute("INSERT INTO packs VALUES (0, ?)", (self._repository,))
                database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def _check_identity(self, database: sqlite3.Connection) -> None:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        row = database.execute("SELECT id FROM packs WHERE number = 0").fetchone()
        if version != _SCHEMA_VERSION or row is None or row[0] != self._repository:
            raise IndexDamagedError

    def _remove(self) -> None:
        assert self._path is not None
        for suffix in ("", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path + suffix)

    def rebuild(self) -> None:
        """Forget everything; what is asked next is read from the files."""
        self.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._remove()
        self.was_rebuilt = True

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    # -- staying up to date ----------------------------------------------------------------------

    def refresh(self, key: str) -> None:
        """Take in what the files say of one key, by asking for the numbers that come next.

        Raise CorruptError where an entry of one of its logs is damaged.
        """
        latest = self.latest_number(key)
        numbers = self._damaged_numbers(key)
        if latest:
            numbers += range(latest + 1, self._catalog.next_number(key, latest))
        else:
            numbers += self._catalog.numbers(key)
        logs = {
            log: self._catalog.entries_after(key, log, last) for log, last in self._log_ends(key)
        }
        if not numbers and not any(logs.values()):
            return
        with _transaction(self._db):
            for number in numbers:
                self._insert(key, number)
            for log, entries in logs.items():
                for entry in entries:
                    self._put_entry(self._key_id(key), log, entry)
            self._apply_logs(key)

    def _log_ends(self, key: str) -> list[tuple[str, int]]:
        """Return the logs that a key has or may have, and the last number known of each."""
        rows = self._db.execute(
            "SELECT log, max(number) FROM entries WHERE key_id = ? GROUP BY log",
            (self._known_key_id(key),),
        )
        known = dict(rows.fetchall())
        logs = {STATE, NOTES, SETTINGS, *self._catalog.tag_logs(key), *known}
        return [(log, known.get(log, 0)) for log in sorted(logs)]

    def _damaged_numbers(self, key: str) -> list[int]:
        rows = self._db.execute(
            "SELECT number FROM versions WHERE state = 'damaged' AND key_id = ?",
            (self._known_key_id(key),),
        )
        return [number for (number,) in rows]

    def refresh_all(self) -> None:
        """Take in what the files say of every key.

        A damaged entry of a log goes to `problems`, and the log stays as it was known before.
        """
        self.problems = []
        known = dict(self._db.execute("SELECT name, modified FROM directories"))
        changed = [name for name in ("manifests", "refs", "anonymous") if name not in known]
        root = self._catalog.backend.path("")
        stat = os.stat
        for name, modified in known.items():
            try:
                if stat(f"{root}/{name}").st_mtime_ns != modified:
                    changed.append(name)
            except OSError:
                changed.append(name)
        damaged = self._db.execute(
            "SELECT key, number FROM versions JOIN keys ON keys.id = key_id "
            "WHERE state = 'damaged' AND key_id != 0"
        ).fetchall()
        if changed or damaged:
            with _transaction(self._db):
                for key, number in damaged:
                    self._insert(key, number)
                self._scan_all(changed)

    def _scan_all(self, pending: list[str]) -> None:
        """Take in these directories, and those in them that are not known yet."""
        keys: set[str | None] = set()
        while pending:
            name = pending.pop()
            children = self._scan(name, keys)
            known = set(self._known_below(name + "/")) if children else set()
            pending += [child for child in children if child not in known]
        for key in keys:
            self._apply_logs(key)

    def _known_below(self, prefix: str) -> list[str]:
        rows = self._db.execute(
            "SELECT name FROM directories WHERE name > ? AND name < ?", (prefix, prefix[:-1] + "0")
        )
        return [name for (name,) in rows]

    def _scan(self, name: str, keys: set[str | None]) -> list[str]:
        """Take in one directory; return the directories in it. Adds to `keys` whose logs grew."""
        now = time.time_ns()
        modified = _modified(str(self._catalog.backend.path(name)))
        if modified is None:
            self._db.execute("DELETE FROM directories WHERE name = ?", (name,))
            return []
        names = self._catalog.backend.names(name)
        is_settled = now - modified > _SETTLED_NS
        try:
            self._take(name, names, keys)
        except (CorruptError, NewerFormatError) as error:
            self.problems.append(error)
            is_settled = False
        self._db.execute(
            "INSERT OR REPLACE INTO directories VALUES (?, ?)",
            (name, modified if is_settled else -1),
        )
        return [f"{name}/{child[:-1]}" for child in names if child.endswith("/")]

    def _take(self, name: str, names: list[str], keys: set[str | None]) -> None:
        if name == "anonymous":
            self._take_anonymous(names)
            keys.add(None)
        elif name.startswith("manifests/"):
            self._take_manifests(name, names, keys)
        elif name.startswith("refs/"):
            self._take_entries(name, names, keys)

    def _take_manifests(self, name: str, names: list[str], keys: set[str | None]) -> None:
        key = unescape(name.removeprefix("manifests/"))
        numbers = {number for child in names if (number := catalogs.parse_number(child))}
        if key is None or not numbers:
            return
        known = self._db.execute(
            "SELECT number FROM versions WHERE key_id = ?", (self._key_id(key),)
        )
        new = sorted(numbers.difference(number for (number,) in known))
        for number in new:
            self._insert(key, number)
        if new:
            keys.add(key)

    def _take_anonymous(self, names: list[str]) -> None:
        known = self._db.execute("SELECT uid FROM versions WHERE key_id = 0 AND state != 'damaged'")
        uids = {name[:-5] for name in names if name.endswith(".yaml")}
        for uid in uids.difference(uid for (uid,) in known):
            self._db.execute("DELETE FROM versions WHERE key_id = 0 AND uid = ?", (uid,))
            try:
                self._put(self._catalog.anonymous(uid), None)
            except (CorruptError, NewerFormatError) as error:
                self._put_damaged(_KEYLESS, -1, uid, error)

    def _insert(self, key: str, number: int) -> None:
        """Take in one manifest, also in place of what was damaged before."""
        self._db.execute(
            "DELETE FROM versions WHERE key_id = ? AND number = ?",
            (self._known_key_id(key), number),
        )
        try:
            self._put(self._catalog.manifest(key, number), number)
        except NotFoundError:
            pass  # gone since it was seen
        except (CorruptError, NewerFormatError) as error:
            self._put_damaged(self._key_id(key), number, "", error)

    def _take_entries(self, name: str, names: list[str], keys: set[str | None]) -> None:
        owner, log = _split_log(name)
        key = None if owner == ANONYMOUS else unescape(owner)
        if log is None or not any(catalogs.parse_number(child) for child in names):
            return
        key_id = _KEYLESS if key is None else self._key_id(key)
        (last,) = self._db.execute(
            "SELECT coalesce(max(number), 0) FROM entries WHERE key_id = ? AND log = ?",
            (key_id, log),
        ).fetchone()
        for entry in self._catalog.entries(key, log, after=last):
            self._put_entry(key_id, log, entry)
            keys.add(key)

    def _key_id(self, key: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO keys (key) VALUES (?)", (key,))
        row = self._db.execute("SELECT id FROM keys WHERE key = ?", (key,)).fetchone()
        return int(row[0])

    def _put(self, manifest: Manifest, number: int | None) -> None:
        key_id = _KEYLESS if manifest.key is None else self._key_id(manifest.key)
        payload = manifest.payload
        about = json.dumps(_about(manifest.document), separators=(",", ":"))
        values = (
            -1 if number is None else number,
            manifest.id,
            manifest.uid,
            manifest.type,
            manifest.created,
            manifest.author,
            payload.size if payload else None,
            payload.files if payload else None,
            payload.tree if payload else None,
            manifest.title,
            about,
            "",
            "purged" if manifest.is_stub else LIVE,
            about,
        )
        self._put_row(key_id, values)
        for entry in manifest.inputs:
            row = (entry["id"], key_id, values[0], manifest.uid)
            self._db.execute("INSERT INTO inputs VALUES (?, ?, ?, ?, ?)", (*row, _crc(row)))

    def _put_damaged(self, key_id: int, number: int, uid: str, error: ArtError) -> None:
        values = (
            number,
            "",
            uid,
            "damaged",
            "",
            "",
            None,
            None,
            None,
            error.message,
            "{}",
            "",
            "damaged",
            "{}",
        )
        self._put_row(key_id, values)

    def _put_row(self, key_id: int, values: tuple[Any, ...]) -> None:
        self._db.execute(
            f"INSERT OR REPLACE INTO versions (key_id, {_COLUMNS}, crc) VALUES ({','.join('?' * 16)})",
            (key_id, *values, _crc((key_id, *values))),
        )

    def _put_entry(self, key_id: int, log: str, entry: Entry) -> None:
        row = (key_id, log, entry.number, json.dumps(entry.document))
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", (*row, _crc(row)))

    def _apply_logs(self, key: str | None) -> None:
        """Work out tags, states and notes of a key's versions from its logs."""
        key_id = _KEYLESS if key is None else self._key_id(key)
        logs = self._logs(key_id)
        tags, states, notes = _effects(logs)
        touched = set(tags) | set(states) | set(notes)
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, crc FROM versions WHERE key_id = ? "
            "AND (tags != '' OR state != 'live' OR about != base OR id IN (SELECT value FROM json_each(?)))",
            (key_id, json.dumps(sorted(touched))),
        ).fetchall()
        for *values, crc in rows:
            if _crc((key_id, *values)) != crc:
                raise IndexDamagedError
            if values[12] == "damaged":
                continue
            id, base = values[1], json.loads(values[13])
            about = apply_notes(base, notes.get(id, []))
            values[9] = about.get("title")
            values[10] = json.dumps(about, separators=(",", ":")) if id in notes else values[13]
            values[11] = "\n".join(sorted(tags.get(id, [])))
            if values[12] != "purged":
                values[12] = states.get(id, LIVE)
            self._put_row(key_id, tuple(values))

    def _logs(self, key_id: int) -> dict[str, list[Entry]]:
        logs: dict[str, list[Entry]] = {}
        rows = self._db.execute(
            "SELECT key_id, log, number, document, crc FROM entries WHERE key_id = ? ORDER BY log, number",
            (key_id,),
        )
        for *row, crc in rows:
            if _crc(tuple(row)) != crc:
                raise IndexDamagedError
            logs.setdefault(row[1], []).append(Entry(row[2], json.loads(row[3])))
        return logs

    # -- taking note of what this process did ----------------------------------------------------

    def note_version(self, manifest: Manifest, number: int | None) -> None:
        """Take in a version that was just published."""
        self.ask(lambda index: index._put_alone(manifest, number))

    def _put_alone(self, manifest: Manifest, number: int | None) -> None:
        with _transaction(self._db):
            self._put(manifest, number)

    # -- answers ---------------------------------------------------------------------------------

    def latest_number(self, key: str) -> int:
        """Return the highest number of a key, 0 where there is none."""
        row = self._db.execute(
            "SELECT max(number) FROM versions WHERE key_id = (SELECT id FROM keys WHERE key = ?)",
            (key,),
        ).fetchone()
        return row[0] or 0

    def keys(self) -> list[str]:
        """Return all keys that have a version in any state, sorted."""
        rows = self._db.execute(
            "SELECT key FROM keys WHERE id != 0 AND EXISTS "
            "(SELECT 1 FROM versions WHERE key_id = keys.id) ORDER BY key"
        )
        return [key for (key,) in rows]

    def versions(
        self, key: str | None, *, live: bool = False, limit: int | None = None
    ) -> list[Record]:
        """Return a key's versions, newest first; None stands for the keyless ones."""
        where = "key_id = 0" if key is None else "key_id = (SELECT id FROM keys WHERE key = :key)"
        order = "created DESC" if key is None else "number DESC"
        return self._records(
            f"{where} AND (state = 'live' OR NOT :live) ORDER BY {order} LIMIT :limit",
            {"key": key, "live": live, "limit": -1 if limit is None else limit},
        )

    def latest(self) -> list[Record]:
        """Return the highest live version of every key, and what is damaged, by key."""
        return self._records(
            "key_id != 0 AND (state = 'damaged' OR number = (SELECT number FROM versions v WHERE "
            "v.key_id = versions.key_id AND v.state = 'live' ORDER BY number DESC LIMIT 1))",
            {},
        )

    def everything(self) -> list[Record]:
        """Return every version of every key, not the keyless ones."""
        return self._records("key_id != 0", {})

    def by_number(self, key: str, number: int) -> Record | None:
        """Return one version of a key."""
        found = self._records(
            "key_id = (SELECT id FROM keys WHERE key = :key) AND number = :number",
            {"key": key, "number": number},
        )
        return found[0] if found else None

    def by_id(self, prefix: str, key: str | None = None) -> list[Record]:
        """Return the versions whose id begins so, of one key or of all."""
        where = "id >= :low AND id < :high"
        if key is not None:
            where += " AND key_id = (SELECT id FROM keys WHERE key = :key)"
        return self._records(where, {"low": prefix, "high": prefix + "g", "key": key})

    def tag(self, key: str, tag: str) -> str | None:
        """Return the id of the version a tag names."""
        entries = self.log(key, catalogs.tag_log(tag))
        head, _ = heads(entries)
        return head.version_id if head else None

    def tags(self, key: str) -> dict[str, str]:
        """Return the ids that a key's tags name."""
        found = {}
        for log, entries in self._logs(self._known_key_id(key)).items():
            head, _ = heads(entries) if log.startswith("_tags/") else (None, set())
            if head and head.version_id:
                found[str(head.document.get("tag"))] = head.version_id
        return dict(sorted(found.items()))

    def log(self, key: str | None, log: str) -> list[Entry]:
        """Return the entries of one log."""
        key_id = _KEYLESS if key is None else self._known_key_id(key)
        return self._logs(key_id).get(log, [])

    def users(self, id: str) -> list[Record]:
        """Return the live versions that list `id` as an input."""
        rows = self._db.execute(
            "SELECT input, key_id, number, uid, crc FROM inputs WHERE input = ?", (id,)
        ).fetchall()
        found = []
        for *row, crc in rows:
            if _crc(tuple(row)) != crc:
                raise IndexDamagedError
            found += self._records(
                "key_id = :key_id AND number = :number AND uid = :uid AND state = 'live'",
                {"key_id": row[1], "number": row[2], "uid": row[3]},
            )
        return found

    def payload_users(self, payload: str) -> list[Record]:
        """Return all versions that carry a payload."""
        return self._records("payload = :payload", {"payload": payload})

    def _known_key_id(self, key: str) -> int:
        row = self._db.execute("SELECT id FROM keys WHERE key = ?", (key,)).fetchone()
        return row[0] if row else -1

    def _records(self, where: str, values: dict[str, Any]) -> list[Record]:
        keys = dict(self._db.execute("SELECT id, key FROM keys")) if "key" not in values else None
        rows = self._db.execute(
            f"SELECT key_id, {_COLUMNS}, crc FROM versions WHERE {where}", values
        )
        result = []
        for row in rows:
            if _crc(row[:-1]) != row[-1]:
                raise IndexDamagedError
            key = keys[row[0]] if keys is not None else values["key"]
            result.append(_record(key, row))
        return result

    # -- memories --------------------------------------------------------------------------------

    # Those who ask for memories go on without them, so these heal the index by themselves.

    def find(self, digest: bytes) -> str | None:
        """Return the id of a pack that may hold the chunk (`ChunkHints`)."""
        query = (
            "SELECT packs.id FROM chunks JOIN packs ON packs.number = chunks.pack WHERE prefix = ?"
        )
        row = self.ask(lambda index: index._db.execute(query, (_prefix(digest),)).fetchone())
        return row[0] if row else None

    def has_chunks(self) -> bool:
        """Whether it remembers any chunk at all."""
        query = "SELECT 1 FROM chunks LIMIT 1"
        return self.ask(lambda index: index._db.execute(query).fetchone()) is not None

    def learn_packs(self) -> None:
        """Take in packs that the index does not know, as after a rebuild."""
        known = {pack for (pack,) in self._db.execute("SELECT id FROM packs")}
        unknown = [pack for pack in self._objects().pack_ids() if pack not in known]
        if not unknown:
            return
        for pack in unknown:
            try:
                digests = self._objects().directory(pack).digests()
            except (CorruptError, FileNotFoundError):
                continue  # a hint less; reading it will say what is wrong
            self.note_chunks(partial(zip, digests, repeat(pack)))

    def note_chunks(self, chunks: Callable[[], Iterable[tuple[bytes, str]]]) -> None:
        """Remember where chunks were stored."""
        self.ask(lambda index: index._put_chunks(chunks()))

    def _put_chunks(self, chunks: Iterable[tuple[bytes, str]]) -> None:
        numbers: dict[str, int] = {}

        def rows() -> Iterator[tuple[int, int]]:
            for digest, pack in chunks:
                number = numbers.get(pack)
                if number is None:
                    self._db.execute("INSERT OR IGNORE INTO packs (id) VALUES (?)", (pack,))
                    found = self._db.execute(
                        "SELECT number FROM packs WHERE id = ?", (pack,)
                    ).fetchone()
                    number = numbers[pack] = found[0]
                yield _prefix(digest), number

        with _transaction(self._db):
            self._db.executemany("INSERT OR REPLACE INTO chunks VALUES (?, ?)", rows())

    def file_segments(self, directory: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield payload and data of what is remembered of a folder's files, in order.

        The payload is one that is known to hold all these files, or empty.
        """
        segment = 0
        while found := self.ask(partial(Index._segment, directory=directory, segment=segment)):
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
        if _seal(directory, segment, data[:-16]) != data[-16:]:
            raise IndexDamagedError
        return payload, data[:-16]

    def note_files(self, segments: Iterable[tuple[bytes, int, bytes]], token: str) -> None:
        """Remember files: folder, number of the segment, data. `token` stands where the payload
        will stand once `settle_files` names it."""
        rows = [
            (where, number, token, data + _seal(where, number, data))
            for where, number, data in segments
        ]
        statement = (
            "INSERT OR REPLACE INTO files (directory, segment, payload, data) VALUES (?, ?, ?, ?)"
        )
        self.ask(lambda index: index._many(statement, rows))

    def _many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        with _transaction(self._db):
            self._db.executemany(statement, rows)

    def settle_files(self, token: str, kept: list[tuple[bytes, int]], payload: str) -> None:
        """Note that a payload holds the files of these segments and of those noted with `token`."""
        rows = [(payload, directory, segment) for directory, segment in kept]
        self.ask(
            lambda index: index._many(
                "UPDATE files SET payload = ? WHERE payload = ?", [(payload, token)]
            )
        )
        statement = "UPDATE files SET payload = ? WHERE directory = ? AND segment = ?"
        self.ask(lambda index: index._many(statement, rows))


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _modified(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _split_log(name: str) -> tuple[str, str | None]:
    """Split `refs/<key>/_tags/prod` into the key's name and the log; the log is None elsewhere."""
    parts = name.split("/")[1:]
    for position, part in enumerate(parts):
        if part.startswith("_") and part != ANONYMOUS:
            log = "/".join(parts[position:])
            is_log = part != "_tags" or len(parts) == position + 2
            return "/".join(parts[:position]), log if is_log else None
    return "", None


def _effects(
    logs: dict[str, list[Entry]],
) -> tuple[dict[str, list[str]], dict[str, str], dict[str, list[Document]]]:
    """Return tags, state and notes by version id."""
    tags: dict[str, list[str]] = {}
    for log, entries in logs.items():
        head, _ = heads(entries) if log.startswith("_tags/") else (None, set())
        if head and head.version_id:
            tags.setdefault(head.version_id, []).append(str(head.document.get("tag")))
    states: dict[str, str] = {}
    for entry in logs.get(STATE, []):
        for version in entry.document.get("versions") or []:
            state = str(entry.document["state"])
            states[version["id"]] = LIVE if state == "restored" else state
    notes: dict[str, list[Document]] = {}
    for entry in logs.get(NOTES, []):
        if entry.version_id and entry.document.get("set"):
            notes.setdefault(entry.version_id, []).append(entry.document["set"])
    return tags, states, notes


def _about(document: Document) -> Document:
    names = ("title", "description", "metadata", "labels", "partitions", "format")
    return {name: document[name] for name in names if document.get(name)}


def _record(key: str | None, row: tuple[Any, ...]) -> Record:
    (
        _,
        number,
        id,
        uid,
        kind,
        created,
        author,
        size,
        files,
        payload,
        title,
        about,
        tags,
        state,
        _,
        _,
    ) = row
    return Record(
        key,
        None if key is None else number,
        id,
        uid,
        kind,
        created,
        author,
        size,
        files,
        payload,
        title,
        json.loads(about) if about != "{}" else {},
        tags.split("\n") if tags else [],
        state,
    )


def _crc(row: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(row).encode("utf-8", "surrogatepass"))


def _prefix(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little", signed=True)


def _seal(directory: bytes, segment: int, body: bytes) -> bytes:
    return blake3(b"%b\0%d\0" % (directory, segment) + body).digest(length=16)
