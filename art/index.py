"""The index: a mirror of the catalog that answers fast. Never the truth.

It is brought up to date with the files before each answer: a directory is read again unless its
time is the one noted, and was two seconds old then. Every row carries a checksum.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from art import catalog as catalogs
from art import model
from art.catalog import NOTES, SETTINGS, STATE, VERSIONS, Catalog, Log
from art.database import Answer, DamagedError, Database, row_checksum
from art.errors import REPAIR, ArtError, BusyError, CorruptError, NewerFormatError, NotFoundError
from art.model import (
    ANONYMOUS,
    Document,
    Entry,
    Manifest,
    apply_notes,
    heads,
    preview_of,
    unescape,
)

if TYPE_CHECKING:
    from art.query.tree import Field
    from art.sql import Selection

LIVE = "live"
_SETTLED_NS = 2_000_000_000
_KEYLESS = 0
_LOST_LIMIT = 1000
_LOST = "NOT EXISTS (SELECT 1 FROM versions v WHERE v.id = named.id AND v.key_id = named.key_id)"
_COLUMNS = (  # `base` and `exact` are empty where they are what `about` is
    "number, id, uid, type, created, author, size, files, payload, title, about, tags, state, base, "
    "exact"
)
_NO_TAGS = "[]"
_HAS_ORIGIN = "instr(v.about, '\"origin\":{') > 0"  # as the index of copies has it
_NOT_TOLD = ("inline", "size", "files")  # of a payload: what is large, or has a column
_LARGEST = sys.float_info.max


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

    @property
    def preview(self) -> str | None:
        """The digest of its preview; of a purged version, that of the one it had."""
        return self.about.get("preview")

    @property
    def was_made_by_run(self) -> bool:
        """Whether its manifest says of which run it came."""
        return "run" in self.about


@dataclass(frozen=True)
class Group:
    """The versions that have a value in common. `size` is the sum of their sizes, in bytes, also where
    they share content; `newest` is the time of the newest."""

    value: Any
    count: int
    size: int
    newest: str


@dataclass(frozen=True)
class Link:
    """That the version `target` was made from `source`, an `input`, or is a `copy` of it. `named` is what
    its manifest says of the source beside the id, as JSON: `key`, `number`, `url`."""

    source: str
    target: str
    kind: str
    named: str


@dataclass(frozen=True)
class Lost:
    """A version that an entry names, and that is not there."""

    log: Log
    entry: int
    number: int | None
    id: str


class Index:
    """Answers about one catalog.

    Questions raise DamagedError or errors of SQLite where the database is not as it should be, so
    they are put through `ask`, which mends it.
    """

    def __init__(
        self, database: Database, catalog: Catalog, warn: Callable[[str], None] | None = None
    ) -> None:
        self._db = database
        self._catalog = catalog
        self._warn = warn
        self._warned: set[str] = set()
        self.problems: list[ArtError] = []

    @property
    def was_rebuilt(self) -> bool:
        """Whether this process found it damaged."""
        return self._db.was_rebuilt

    def ask(self, question: Callable[[Index], Answer]) -> Answer:
        """Return `question(self)`, asked again where the database had to be mended."""
        return self._db.ask(lambda: question(self))

    # -- staying up to date ----------------------------------------------------------------------

    def refresh(self, key: str, *logs: str) -> None:
        """Take in what the files say of one key, by asking for the numbers that come next.

        Raise CorruptError where an entry of its states, or of one of these `logs`, is damaged; what
        is wrong with another log is warned of.
        """
        self._forget_what_is_gone(key)
        needed = {STATE, *logs}
        if not any(self._news(key, needed)):
            return
        with self._db.transaction():
            # Read within it: what a sync puts in the place of other files, it puts there alone.
            numbers, found = self._news(key, needed)
            for number in numbers:
                self._insert(key, number)
            for log, entries in found.items():
                self._put_entries(self._key_id(key), log, entries)
            self._apply_logs(key)

    def _news(self, key: str, needed: set[str]) -> tuple[list[int], dict[str, list[Entry]]]:
        """Return the numbers of versions, and the entries of each log, that are not known yet."""
        latest = self.latest_number(key)
        numbers = self._damaged_numbers(key)
        if latest:
            numbers += range(latest + 1, self._catalog.next_number(key, latest))
        else:
            numbers += self._catalog.numbers(key)
        found = {log: self._new(key, log, at, needed) for log, at in self._log_ends(key)}
        return numbers, {log: entries for log, entries in found.items() if entries}

    def _new(self, key: str | None, log: str, last: int, needed: set[str]) -> list[Entry]:
        """Return the entries after the last one known, up to one that is damaged."""
        found: list[Entry] = []
        try:
            found.extend(self._catalog.following(key, log, last))
        except (CorruptError, NewerFormatError) as error:
            if log in needed:
                raise
            self._note_problem(error)
        return found

    def _note_problem(self, error: ArtError) -> None:
        if all(error.message != known.message for known in self.problems):
            self.problems.append(error)
        if self._warn and error.message not in self._warned:
            self._warned.add(error.message)
            self._warn(f"{error.message}; `{error.hint or REPAIR}` says more")

    def _forget_what_is_gone(self, key: str) -> None:
        """Forget versions and logs whose last file was removed: a backup was restored, say."""
        latest = self.latest_number(key)
        gone = [
            log
            for log, at in self._log_ends(key)
            if at and not self._catalog.has_entry(key, log, at)
        ]
        is_there = not latest or self._catalog.has(key, latest)
        if is_there and not gone:
            return
        with self._db.transaction():
            key_id = self._key_id(key)
            if not is_there:
                self._drop_versions(key_id, set(self._catalog.numbers(key)))
            for log in gone:
                self._drop_log(key_id, log)
            self._apply_logs(key)

    def tag_logs(self, key: str) -> list[str]:
        """Return the logs of a key's tags."""
        return self._catalog.tag_logs(key)

    def _log_ends(self, key: str) -> list[tuple[str, int]]:
        """Return the logs that a key has or may have, and the last number known of each."""
        rows = self._db.execute(
            "SELECT log, max(number) FROM entries WHERE key_id = ? GROUP BY log",
            (self._known_key_id(key),),
        )
        known: dict[str, int] = dict(rows)
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

        A damaged entry of a log goes to `problems`, and the log counts up to there.
        """
        self.problems = []
        known: dict[str, int] = dict(self._db.execute("SELECT name, modified FROM directories"))
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
        )
        if changed or damaged:
            with self._db.transaction():
                for key, number in damaged:
                    self._insert(key, number)
                self._scan_all(changed)

    def _scan_all(self, pending: list[str]) -> None:
        """Take in these directories, and those in them that are not known yet."""
        keys: set[str | None] = set()
        now = self._catalog.backend.clock()  # that of the files: this machine's may differ or jump
        while pending:
            name = pending.pop()
            children = self._scan(name, now, keys)
            known = set(self._known_below(name + "/")) if children else set()
            pending += [child for child in children if child not in known]
        for key in keys:
            self._apply_logs(key)

    def _known_below(self, prefix: str) -> list[str]:
        rows = self._db.execute(
            "SELECT name FROM directories WHERE name > ? AND name < ?", (prefix, prefix[:-1] + "0")
        )
        return [name for (name,) in rows]

    def _scan(self, name: str, now: int, keys: set[str | None]) -> list[str]:
        """Take in one directory; return the directories in it. Adds to `keys` whose logs changed."""
        modified = _modified(str(self._catalog.backend.path(name)))
        if modified is None:
            self._take(name, [], keys)
            self._db.execute("DELETE FROM directories WHERE name = ?", (name,))
            return []
        names = self._catalog.backend.names(name)
        problems = len(self.problems)
        self._take(name, names, keys)
        is_settled = now - modified > _SETTLED_NS and len(self.problems) == problems
        self._db.execute(
            "INSERT OR REPLACE INTO directories VALUES (?, ?)",
            (name, modified if is_settled else -1),
        )
        return [f"{name}/{child[:-1]}" for child in names if child[-1] == "/" and child.isascii()]

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
        if key is None or (not numbers and self._known_key_id(key) < 0):
            return
        known = self._known_numbers(self._key_id(key))
        for number in sorted(numbers - known):
            self._insert(key, number)
        self._drop_versions(self._key_id(key), numbers)
        if numbers != known:
            keys.add(key)

    def _known_numbers(self, key_id: int) -> set[int]:
        rows = self._db.execute("SELECT number FROM versions WHERE key_id = ?", (key_id,))
        return {number for (number,) in rows}

    def _drop_versions(self, key_id: int, numbers: set[int]) -> None:
        """Forget a key's versions but these."""
        for number in self._known_numbers(key_id) - numbers:
            for table in ("versions", "inputs"):
                self._db.execute(
                    f"DELETE FROM {table} WHERE key_id = ? AND number = ?", (key_id, number)
                )

    def _drop_log(self, key_id: int, log: str) -> None:
        for table in ("entries", "named"):
            self._db.execute(f"DELETE FROM {table} WHERE key_id = ? AND log = ?", (key_id, log))
        if log == STATE:
            self._db.execute("DELETE FROM moves WHERE key_id = ?", (key_id,))

    def _take_anonymous(self, names: list[str]) -> None:
        rows = self._db.execute("SELECT uid, state FROM versions WHERE key_id = 0")
        uids = {name[:-5] for name in names if name.endswith(".yaml") and name.isascii()}
        for uid, _ in rows:
            if uid not in uids:
                for table in ("versions", "inputs"):
                    self._db.execute(f"DELETE FROM {table} WHERE key_id = 0 AND uid = ?", (uid,))
        for uid in uids.difference(uid for uid, state in rows if state != "damaged"):
            self._db.execute("DELETE FROM versions WHERE key_id = 0 AND uid = ?", (uid,))
            try:
                self._put(self._catalog.anonymous(uid), None)
            except (CorruptError, NewerFormatError) as error:
                self._put_damaged(None, -1, uid, error)

    def _insert(self, key: str, number: int) -> None:
        """Take in one manifest, also in place of what was damaged before."""
        for table in ("versions", "inputs"):
            self._db.execute(
                f"DELETE FROM {table} WHERE key_id = ? AND number = ?",
                (self._known_key_id(key), number),
            )
        try:
            self._put(self._catalog.manifest(key, number), number)
        except NotFoundError:
            pass  # gone since it was seen
        except (CorruptError, NewerFormatError) as error:
            self._put_damaged(key, number, "", error)

    def _take_entries(self, name: str, names: list[str], keys: set[str | None]) -> None:
        owner, log = _split_log(name)
        key = None if owner == ANONYMOUS else unescape(owner)
        if log is None or (key is None and owner != ANONYMOUS):
            return
        numbers = {number for child in names if (number := catalogs.parse_number(child))}
        key_id = _KEYLESS if key is None else self._key_id(key)
        last = self._last_number(key_id, log)
        if last and last not in numbers:
            self._drop_log(key_id, log)
            keys.add(key)
            last = 0
        if numbers and (entries := self._new(key, log, last, set())):
            self._put_entries(key_id, log, entries)
            keys.add(key)

    def _last_number(self, key_id: int, log: str) -> int:
        (last,) = self._db.execute(
            "SELECT coalesce(max(number), 0) FROM entries WHERE key_id = ? AND log = ?",
            (key_id, log),
        ).fetchone()
        return int(last)

    def _key_id(self, key: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO keys (key) VALUES (?)", (key,))
        row = self._db.execute("SELECT id FROM keys WHERE key = ?", (key,)).fetchone()
        return int(row[0])

    def _put(self, manifest: Manifest, number: int | None) -> None:
        payload = manifest.payload
        about, exact = _json(_about(manifest.document))
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
            _NO_TAGS,
            "purged" if manifest.is_stub else LIVE,
            "",
            exact,
        )
        key_id = self._put_row(manifest.key, values)
        for entry in manifest.inputs:
            row = (entry["id"], key_id, values[0], manifest.uid, _named(entry))
            self._db.execute(
                "INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?)", (*row, row_checksum(row))
            )

    def _put_damaged(self, key: str | None, number: int, uid: str, error: ArtError) -> None:
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
            _NO_TAGS,
            "damaged",
            "",
            "",
        )
        self._put_row(key, values)

    def _put_row(self, key: str | None, values: tuple[Any, ...]) -> int:
        """Put a version; its checksum covers the key too. Return the key's id."""
        key_id = _KEYLESS if key is None else self._key_id(key)
        self._db.execute(
            f"INSERT OR REPLACE INTO versions (key_id, {_COLUMNS}, crc) VALUES ({','.join('?' * 17)})",
            (key_id, *values, row_checksum((key, *values))),
        )
        return key_id

    def _put_entries(self, key_id: int, log: str, entries: list[Entry]) -> None:
        """Put the entries that follow the last one known; another process may have put some."""
        last = self._last_number(key_id, log)
        for entry in entries:
            if entry.number == last + 1:
                self._put_entry(key_id, log, entry)
                last = entry.number

    def _put_entry(self, key_id: int, log: str, entry: Entry) -> None:
        row = (key_id, log, entry.number, json.dumps(entry.document))
        self._db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(row)))
        for number, id in entry.named():
            name = (key_id, number, id, log, entry.number)
            self._db.execute(
                "INSERT INTO named VALUES (?, ?, ?, ?, ?, ?)", (*name, row_checksum(name))
            )
        for version in entry.document.get("versions") or []:
            if log == STATE and "to" in version:
                move = (version["to"]["id"], version["id"], key_id, entry.number)
                self._db.execute(
                    "INSERT INTO moves VALUES (?, ?, ?, ?, ?)", (*move, row_checksum(move))
                )

    def _apply_logs(self, key: str | None) -> None:
        """Work out tags, states and notes of a key's versions from its logs."""
        key_id = _KEYLESS if key is None else self._key_id(key)
        logs = self._logs(key_id)
        tags, states, notes = _effects(logs)
        touched = set(tags) | set(states) | set(notes)
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, crc FROM versions WHERE key_id = ? "
            f"AND (tags != '{_NO_TAGS}' OR state != 'live' OR base != '' "
            "OR id IN (SELECT value FROM json_each(?)))",
            (key_id, json.dumps(sorted(touched))),
        )
        for *values, crc in rows:
            if row_checksum((key, *values)) != crc:
                raise DamagedError
            if values[12] == "damaged":
                continue
            id, base = values[1], values[13] or values[14] or values[10]
            about = json.loads(base)
            about = apply_notes(about, notes[id]) if id in notes else about
            values[9] = about.get("title")
            values[10], values[14] = _json(about)
            values[13] = base if id in notes else ""
            values[11] = json.dumps(sorted(tags.get(id, [])))
            if values[12] != "purged":
                values[12] = states.get(id, LIVE)
            self._put_row(key, tuple(values))

    def _logs(self, key_id: int, log: str | None = None) -> dict[str, list[Entry]]:
        """Return a key's entries by log, or those of one log."""
        logs: dict[str, list[Entry]] = {}
        which, values = ("", (key_id,)) if log is None else (" AND log = ?", (key_id, log))
        rows = self._db.execute(
            "SELECT key_id, log, number, document, crc FROM entries "
            f"WHERE key_id = ?{which} ORDER BY log, number",
            values,
        )
        for *row, crc in rows:
            if row_checksum(tuple(row)) != crc:
                raise DamagedError
            logs.setdefault(row[1], []).append(Entry(row[2], json.loads(row[3])))
        return logs

    # -- taking note of what this process did ----------------------------------------------------

    @contextlib.contextmanager
    def replacing(self, key: str | None) -> Iterator[None]:
        """While the files of a key get other content, let no process take them in; afterwards, know
        nothing of the key, so that all is read again. Raise BusyError where the index, which keeps the
        others out, cannot be used."""
        with self._db.transaction():
            if self._db.is_substitute:
                raise BusyError(
                    "the index of the repository is in use, or cannot be written",
                    hint="run the command again",
                )
            yield
            key_id = _KEYLESS if key is None else self._known_key_id(key)
            for table in ("versions", "inputs", "entries", "moves", "named"):
                self._db.execute(f"DELETE FROM {table} WHERE key_id = ?", (key_id,))
            refs = catalogs.refs_directory(key)
            manifests = "anonymous" if key is None else catalogs.manifest_directory(key)
            self._db.execute(
                "UPDATE directories SET modified = -1 "
                "WHERE name IN (?, ?) OR (name > ? AND name < ?)",
                (manifests, refs, f"{refs}/_", f"{refs}/`"),  # what begins with _ are its logs
            )

    def note_version(self, manifest: Manifest, number: int | None) -> None:
        """Take in a version that was just published, unless another process did: it may know more."""
        self.ask(lambda _: self._put_alone(manifest, number))

    def _put_alone(self, manifest: Manifest, number: int | None) -> None:
        with self._db.transaction():
            if not self.by_id(manifest.id, manifest.key):
                self._put(manifest, number)

    def look_again(self, key: str, number: int) -> Record | None:
        """Take in a manifest once more, which is not what is known of it; return what it is now."""
        with self._db.transaction():
            self._insert(key, number)
            self._apply_logs(key)
        return self.by_number(key, number)

    # -- answers ---------------------------------------------------------------------------------

    def latest_number(self, key: str) -> int:
        """Return the highest number of a key, 0 where there is none."""
        row = self._db.execute(
            "SELECT max(number) FROM versions WHERE key_id = (SELECT id FROM keys WHERE key = ?)",
            (key,),
        ).fetchone()
        return row[0] or 0

    def ends(self) -> dict[Log, int]:
        """Return every log, those of versions too, with the number of its last document."""
        rows = self._db.execute(
            "SELECT key_id, key, ?, max(number) FROM versions JOIN keys ON keys.id = key_id "
            "WHERE key_id != 0 GROUP BY key_id UNION ALL "
            "SELECT key_id, key, log, max(number) FROM entries JOIN keys ON keys.id = key_id "
            "GROUP BY key_id, log",
            (VERSIONS,),
        )
        return {Log(key, log): number for _, key, log, number in rows}

    def tails(self) -> dict[Log, tuple[int, str]]:
        """Return every log, those of versions too, with number and uid of its last document."""
        rows = self._db.execute(  # of a row with the maximum SQLite gives the other columns, too
            "SELECT key_id, key, ?, max(number), uid FROM versions JOIN keys ON keys.id = key_id "
            "WHERE key_id != 0 GROUP BY key_id UNION ALL "
            "SELECT key_id, key, log, max(number), json_extract(document, '$.uid') FROM entries "
            "JOIN keys ON keys.id = key_id GROUP BY key_id, log",
            (VERSIONS,),
        )
        return {Log(key, log): (number, uid) for _, key, log, number, uid in rows}

    def lost_number(self, key: str, latest: int) -> int:
        """Return the highest number after a key's `latest` under which an entry names a version that
        the key does not have, 0 where there is none. Numbers far beyond are nothing to go by."""
        row = self._db.execute(
            f"SELECT max(number) FROM named WHERE key_id = ? AND number > ? AND number <= ? AND {_LOST}",
            (self._known_key_id(key), latest, latest + _LOST_LIMIT),
        ).fetchone()
        return row[0] or 0

    def lost_versions(self) -> list[Lost]:
        """Return the entries that name versions which their keys do not have."""
        rows = self._db.execute(
            "SELECT key, key_id, number, id, log, entry, crc FROM named "
            f"JOIN (SELECT id AS owner, key FROM keys) ON owner = key_id WHERE {_LOST}"
        )
        found = []
        for key, *row, crc in rows:
            if row_checksum(tuple(row)) != crc:
                raise DamagedError
            _, number, id, log, entry = row
            found.append(Lost(Log(key, log), entry, number, id))
        return found

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

    def selected(self, selection: Selection) -> list[Record]:
        """Return the versions that a query asks for, in its order."""
        from art.sql import ordered

        found = ordered(selection)
        return self._records(found.text, found.values)

    def count(self, selection: Selection) -> int:
        """Return how many versions a query asks for; order and limit do not count."""
        from art.sql import where

        found = where(selection)
        rows = self._db.execute(f"SELECT count(*) FROM versions WHERE {found.text}", found.values)
        return int(rows[0][0])

    def groups(self, selection: Selection, field: Field) -> list[Group]:
        """Return the versions that a query asks for, by a field; with lists, by each of their members."""
        from art.sql import groups

        found = groups(selection, field)
        rows = self._db.execute(found.text, found.values)
        return [
            Group(_json_value(kind, value), count, ((large or 0) << 20) + (small or 0), newest)
            for kind, value, count, large, small, newest in rows
        ]

    def is_used(self, field: Field) -> bool:
        """Whether any version says something of a field in a path."""
        from art.sql import value_of

        value = value_of(field)
        rows = self._db.execute(
            f"SELECT 1 FROM versions WHERE {value.text} IS NOT NULL LIMIT 1", value.values
        )
        return bool(rows)

    def partition_names(self) -> set[str]:
        """Return the names of all partitions that versions are of."""
        rows = self._db.execute(
            "SELECT DISTINCT j.key FROM versions, json_each(versions.about, '$.partitions') j"
        )
        return {name for (name,) in rows}

    def latest(self) -> list[Record]:
        """Return the highest live version of every key, and what is damaged, by key."""
        return self._records(
            "key_id != 0 AND (state = 'damaged' OR number = (SELECT number FROM versions v WHERE "
            "v.key_id = versions.key_id AND v.state = 'live' ORDER BY number DESC LIMIT 1))",
            {},
        )

    def of_type(self, word: str) -> list[Record]:
        """Return every version of one type, the keyless ones too."""
        return self._records("type = :type", {"type": word})

    def of_state(self, word: str) -> list[Record]:
        """Return every version in one state, the keyless ones too."""
        return self._records("state = :state", {"state": word})

    def everything(self) -> list[Record]:
        """Return every version of every key, not the keyless ones."""
        return self._records("key_id != 0", {})

    def all(self) -> list[Record]:
        """Return every version, the keyless ones too."""
        return [*self.everything(), *self.versions(None)]

    def damaged(self, key: str) -> Record | None:
        """Return the highest version of a key whose manifest is damaged, unless it was deleted."""
        found = self._records(
            "key_id = (SELECT id FROM keys WHERE key = :key) AND state = 'damaged' "
            "ORDER BY number DESC LIMIT 1",
            {"key": key},
        )
        for entry in self.log(key, STATE) if found else []:
            named = [version.get("number") for version in entry.document.get("versions") or []]
            if found[0].number in named and entry.document.get("state") != "restored":
                return None
        return found[0] if found else None

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
        return self._records(where, {**_span(prefix), "key": key})

    def has_hidden(self, prefix: str) -> bool:
        """Whether a version with such an id is found only by looking at all: what finds it is broken."""
        return bool(self._records("+id >= :low AND +id < :high", _span(prefix)))

    def tag(self, key: str, tag: str) -> str | None:
        """Return the id of the version a tag names."""
        head, _ = heads(self.log(key, catalogs.tag_log(tag)))
        return head.version_id if head else None

    def tags(self, key: str) -> dict[str, str]:
        """Return the ids that a key's tags name."""
        found = {}
        for log, entries in self._logs(self._known_key_id(key)).items():
            head, _ = heads(entries) if log.startswith("_tags/") else (None, set())
            if head and head.version_id:
                found[str(head.document.get("tag"))] = head.version_id
        return dict(sorted(found.items()))

    def pinned(self) -> set[str]:
        """Return the ids of versions that a tag names, or a live version lists as an input, also under
        the key that they were moved to."""
        rows = self._db.execute(
            "SELECT input FROM inputs i JOIN versions v USING (key_id, number, uid) "
            "WHERE v.state = 'live'"
        )
        found = {id for (id,) in rows}
        for key in self.tagged_keys():
            found |= set(self.tags(key).values())
        moves: dict[str, str] = dict(self._db.execute("SELECT id, target FROM moves"))
        for id in list(found):
            while id in moves and moves[id] not in found:
                id = moves[id]
                found.add(id)
        return found

    def tagged_keys(self) -> set[str]:
        """Return the keys that have or had a tag."""
        rows = self._db.execute(
            "SELECT DISTINCT key FROM entries JOIN keys ON keys.id = key_id "
            "WHERE key_id != 0 AND log LIKE '!_tags/%' ESCAPE '!'"
        )
        return {key for (key,) in rows}

    def fresh_log(self, key: str | None, log: str) -> list[Entry]:
        """Return the entries of one log as the files have it now."""

        def question(index: Index) -> list[Entry]:
            if key is None:
                index.refresh_all()
            else:
                index.refresh(key, log)
            return index.log(key, log)

        return self.ask(question)

    def log(self, key: str | None, log: str) -> list[Entry]:
        """Return the entries of one log."""
        key_id = _KEYLESS if key is None else self._known_key_id(key)
        return self._logs(key_id, log).get(log, [])

    def users(self, id: str) -> list[Record]:
        """Return the live versions that list `id`, or what was moved to become it, as an input."""
        names = [id]
        for name in names:  # which grows meanwhile
            names += [former for former in self._moved_from(name) if former not in names]
        return [user for name in names for user in self._direct_users(name)]

    def _moved_from(self, id: str) -> list[str]:
        rows = self._db.execute(
            "SELECT target, id, key_id, entry, crc FROM moves WHERE target = ?", (id,)
        )
        if any(row_checksum(tuple(row)) != crc for *row, crc in rows):
            raise DamagedError
        return [former for _, former, *_ in rows]

    def _direct_users(self, id: str) -> list[Record]:
        rows = self._db.execute(
            "SELECT input, key_id, number, uid, named, crc FROM inputs WHERE input = ?", (id,)
        )
        found = []
        for *row, crc in rows:
            if row_checksum(tuple(row)) != crc:
                raise DamagedError
            found += self._records(
                "key_id = :key_id AND number = :number AND uid = :uid AND state = 'live'",
                {"key_id": row[1], "number": row[2], "uid": row[3]},
            )
        return found

    def all_users(self) -> Callable[[str], list[Record]]:
        """Return what answers like `users`, for whoever asks about many: it looks once."""
        rows = self._db.execute(
            "SELECT key, input, key_id, number, uid, named, inputs.crc FROM inputs "
            "JOIN keys ON keys.id = key_id"
        )
        found = self._records(
            "state = 'live' AND (key_id, number, uid) IN (SELECT key_id, number, uid FROM inputs)",
            {},
        )
        live = {(record.key, record.number or -1, record.uid): record for record in found}
        direct: dict[str, list[Record]] = {}
        for key, *row, crc in rows:
            if row_checksum(tuple(row)) != crc:
                raise DamagedError
            if user := live.get((key, *row[2:4])):
                direct.setdefault(row[0], []).append(user)
        moved = {target for (target,) in self._db.execute("SELECT DISTINCT target FROM moves")}
        return lambda user: self.users(user) if user in moved else direct.get(user, [])

    def made_of(self, ids: Iterable[str]) -> list[Link]:
        """Return what these versions were made from, in every state."""
        return self._links(
            "versions v ON v.id = j.value CROSS JOIN inputs i "
            "ON i.key_id = v.key_id AND i.number = v.number AND i.uid = v.uid",
            "v.id = j.value",
            ids,
        )

    def made_from(self, ids: Iterable[str]) -> list[Link]:
        """Return what was made from these versions, in every state; they need not be here."""
        return self._links(
            "inputs i ON i.input = j.value CROSS JOIN versions v "
            "ON v.key_id = i.key_id AND v.number = i.number AND v.uid = i.uid",
            "json_extract(v.about, '$.origin.id') = j.value",
            ids,
        )

    def _links(self, inputs: str, copies: str, ids: Iterable[str]) -> list[Link]:
        given = json.dumps(list(ids))
        rows = self._db.execute(  # CROSS: in this order, which is always the one with fewer rows
            "SELECT i.input, i.key_id, i.number, i.uid, i.named, i.crc, v.id, 'input' "
            f"FROM json_each(?) j CROSS JOIN {inputs} UNION ALL "
            "SELECT json_extract(v.about, '$.origin.id'), NULL, NULL, NULL, "
            "json_extract(v.about, '$.origin'), NULL, v.id, 'copy' "
            f"FROM json_each(?) j CROSS JOIN versions v ON {copies} AND {_HAS_ORIGIN}",
            (given, given),
        )
        found = []
        for *row, crc, id, kind in rows:
            if crc is not None and row_checksum(tuple(row)) != crc:
                raise DamagedError
            if isinstance(row[0], str):  # else an `origin` somewhere in metadata
                found.append(Link(row[0], id, kind, row[4]))
        return found

    def moves(self) -> dict[str, str]:
        """Return the ids of all versions that were moved, and what each became."""
        rows = self._db.execute("SELECT target, id, key_id, entry, crc FROM moves")
        if any(row_checksum(tuple(row)) != crc for *row, crc in rows):
            raise DamagedError
        return {id: target for target, id, *_ in rows}

    def by_ids(self, ids: Iterable[str]) -> list[Record]:
        """Return the versions with these ids."""
        return self._records(
            "id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(list(ids))}
        )

    def payload_users(self, payload: str) -> list[Record]:
        """Return all versions that carry a payload."""
        return self._records("payload = :payload", {"payload": payload})

    def _known_key_id(self, key: str) -> int:
        row = self._db.execute("SELECT id FROM keys WHERE key = ?", (key,)).fetchone()
        return row[0] if row else -1

    def _records(self, where: str, values: dict[str, Any] | tuple[Any, ...]) -> list[Record]:
        rows = self._db.execute(
            f"SELECT (SELECT key FROM keys WHERE keys.id = key_id), {_COLUMNS}, crc "
            f"FROM versions WHERE {where}",
            values,
        )
        result = []
        for *row, crc in rows:
            if row_checksum(tuple(row)) != crc:
                raise DamagedError
            result.append(_record(row))
        return result


def _span(prefix: str) -> dict[str, str]:
    """Return the bounds of what begins so, in hex."""
    return {"low": prefix, "high": prefix + "g"}


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
    states = model.states(logs.get(STATE, []))
    notes: dict[str, list[Document]] = {}
    for entry in logs.get(NOTES, []):
        if entry.version_id and entry.document.get("set"):
            notes.setdefault(entry.version_id, []).append(entry.document["set"])
    return tags, states, notes


def _named(entry: Document) -> str:
    """Return what a manifest says of an input beside its id."""
    named = {name: entry[name] for name in ("key", "number", "url") if entry.get(name)}
    return json.dumps(named, separators=(",", ":"))


def _about(document: Document) -> Document:
    names = ("title", "description", "metadata", "labels", "partitions", "format", "origin")
    about = {name: document[name] for name in names if document.get(name)}
    if preview := preview_of(document):
        about["preview"] = preview
    payload = document.get("payload") or {}
    if told := {name: payload[name] for name in payload if name not in _NOT_TOLD}:
        about["payload"] = told
    return {**about, "run": document["run"] or True} if "run" in document else about


def _json(about: Document) -> tuple[str, str]:
    """Return a document as JSON that SQLite reads, and, where it has numbers which JSON cannot have, as
    it is, else nothing: in the first NaN is null, and infinity the largest number."""
    try:
        return json.dumps(about, separators=(",", ":"), allow_nan=False), ""
    except ValueError:
        exact = json.dumps(about, separators=(",", ":"))
        return json.dumps(_finite(about), separators=(",", ":")), exact


def _json_value(kind: str | None, value: Any) -> Any:
    """Return what SQLite gives of a value in JSON, as it was there."""
    if kind in ("array", "object"):
        return json.loads(value)
    return kind == "true" if kind in ("true", "false") else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else math.copysign(_LARGEST, value)
    return value


def _record(row: list[Any]) -> Record:
    key, number, *facts, about, tags, state, _, exact = row  # facts: id … title, as in Record
    values = [key, None if key is None else number, *facts]
    values += [json.loads(exact or about) if about != "{}" else {}]
    values += [json.loads(tags) if tags != _NO_TAGS else [], state]
    return Record(*values)
