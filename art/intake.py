"""The intake of the index: what the files say becomes rows.

A directory is read again unless its time is the one noted, and was two seconds old then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from art import catalog as catalogs
from art.catalog import NOTES, SETTINGS, STATE, VERSIONS, Catalog, Log
from art.database import Database
from art.errors import REPAIR, ArtError, BusyError, CorruptError, NewerFormatError
from art.keys import ANONYMOUS, unescape
from art.model import Entry
from art.rows import KEYLESS, Tables, Taken, Wanted, read_all, read_rows

_SETTLED_NS = 2_000_000_000
_MANY = 2000  # where fewer manifests are new, starting processes takes longer than they save


@dataclass
class _News:
    """What a look at the directories found: keys whose logs are to be applied anew, and versions that are
    not known yet."""

    keys: set[str | None] = field(default_factory=set)
    versions: list[Wanted] = field(default_factory=list)


class Intake:
    """What brings the tables of the index up to date with the files."""

    def __init__(
        self, database: Database, catalog: Catalog, warn: Callable[[str], None] | None
    ) -> None:
        self._db = database
        self._tables = Tables(database)
        self._catalog = catalog
        self._warn = warn
        self._warned: set[str] = set()
        self.problems: list[ArtError] = []

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
            self._take_news(key, needed)

    def _take_news(self, key: str, needed: set[str]) -> None:
        """Take in what is not known yet of one key."""
        numbers, found = self._news(key, needed)
        for number in numbers:
            self._take_version(key, number)
        for log, entries in found.items():
            self._tables.put_entries(self._tables.key_id(key), log, entries)
        self._tables.apply_logs(key)

    def _news(self, key: str, needed: set[str]) -> tuple[list[int], dict[str, list[Entry]]]:
        """Return the numbers of versions, and the entries of each log, that are not known yet."""
        latest = self._tables.latest_number(key)
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
        latest = self._tables.latest_number(key)
        gone = [
            log
            for log, at in self._log_ends(key)
            if at and not self._catalog.has_entry(key, log, at)
        ]
        is_there = not latest or self._catalog.has(key, latest)
        if is_there and not gone:
            return
        with self._db.transaction():
            key_id = self._tables.key_id(key)
            if not is_there:
                self._tables.drop_versions(key_id, set(self._catalog.numbers(key)))
            for log in gone:
                self._tables.drop_log(key_id, log)
            self._tables.apply_logs(key)

    def _log_ends(self, key: str) -> list[tuple[str, int]]:
        """Return the logs that a key has or may have, and the last number known of each."""
        rows = self._db.execute(
            "SELECT log, max(number) FROM entries WHERE key_id = ? GROUP BY log",
            (self._tables.known_key_id(key),),
        )
        known: dict[str, int] = dict(rows)
        logs = {STATE, NOTES, SETTINGS, *self._catalog.tag_logs(key), *known}
        return [(log, known.get(log, 0)) for log in sorted(logs)]

    def _damaged_numbers(self, key: str) -> list[int]:
        rows = self._db.execute(
            "SELECT number FROM versions WHERE state = 'damaged' AND key_id = ?",
            (self._tables.known_key_id(key),),
        )
        return [number for (number,) in rows]

    def refresh_all(self) -> None:
        """Take in what the files say of every key.

        A damaged entry of a log goes to `problems`, and the log counts up to there.
        """
        self.problems = []
        known: dict[str, int] = dict(self._db.execute("SELECT name, modified FROM directories"))
        root = self._catalog.backend.path("")
        stat = os.stat
        changed = [
            name
            for name in ("manifests", "refs", "anonymous")
            if name not in known and os.path.lexists(f"{root}/{name}")
        ]
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
                    self._take_version(key, number)
                self._scan_all(changed)

    def _scan_all(self, pending: list[str]) -> None:
        """Take in these directories, and those in them that are not known yet."""
        news = _News()
        now = self._catalog.backend.clock()  # that of the files: this machine's may differ or jump
        while pending:
            name = pending.pop()
            children = self._scan(name, now, news)
            known = set(self._known_below(name + "/")) if children else set()
            pending += [child for child in children if child not in known]
        with contextlib.closing(self._taken(news.versions)) as taken:
            self._tables.put_all(taken)
        for key in news.keys:
            self._tables.apply_logs(key)

    def _taken(self, wanted: list[Wanted]) -> Generator[Taken, None, None]:
        if len(wanted) < _MANY:
            yield from read_all(self._catalog, wanted)
        else:
            from art.taking import take_all

            yield from take_all(self._catalog, wanted)

    def _known_below(self, prefix: str) -> list[str]:
        rows = self._db.execute(
            "SELECT name FROM directories WHERE name > ? AND name < ?", (prefix, prefix[:-1] + "0")
        )
        return [name for (name,) in rows]

    def _scan(self, name: str, now: int, news: _News) -> list[str]:
        """Take in one directory, but for what is added to `news`; return the directories in it."""
        modified = _modified(str(self._catalog.backend.path(name)))
        if modified is None:
            self._take(name, [], news)
            self._db.execute("DELETE FROM directories WHERE name = ?", (name,))
            return []
        names = self._catalog.backend.names(name)
        problems = len(self.problems)
        self._take(name, names, news)
        is_settled = now - modified > _SETTLED_NS and len(self.problems) == problems
        self._db.execute(
            "INSERT OR REPLACE INTO directories VALUES (?, ?)",
            (name, modified if is_settled else -1),
        )
        return [f"{name}/{child[:-1]}" for child in names if child[-1] == "/" and child.isascii()]

    def _take(self, name: str, names: list[str], news: _News) -> None:
        if name == "anonymous":
            self._take_anonymous(names)
            news.keys.add(None)
        elif name.startswith("manifests/"):
            self._take_manifests(name, names, news)
        elif name.startswith("refs/"):
            self._take_entries(name, names, news.keys)

    def _take_manifests(self, name: str, names: list[str], news: _News) -> None:
        key = unescape(name.removeprefix("manifests/"))
        numbers = {number for child in names if (number := catalogs.parse_number(child))}
        if catalogs.first_missing(numbers):  # damage, or what came while it was listed
            numbers = set(catalogs.listed_numbers(self._catalog.backend, name))
        if key is None or (not numbers and self._tables.known_key_id(key) < 0):
            return
        key_id = self._tables.key_id(key)
        known = self._tables.numbers(key_id)
        news.versions += [(key, number, key_id) for number in sorted(numbers - known)]
        self._tables.drop_versions(key_id, numbers)
        if numbers != known:
            news.keys.add(key)

    def _take_anonymous(self, names: list[str]) -> None:
        rows = self._db.execute("SELECT uid, state FROM versions WHERE key_id = 0")
        uids = {name[:-5] for name in names if name.endswith(".yaml") and name.isascii()}
        for uid, _ in rows:
            if uid not in uids:
                self._tables.drop_keyless(uid)
        for uid in uids.difference(uid for uid, state in rows if state != "damaged"):
            self._db.execute("DELETE FROM versions WHERE key_id = 0 AND uid = ?", (uid,))
            try:
                self._tables.put(self._catalog.anonymous(uid), None)
            except (CorruptError, NewerFormatError) as error:
                self._tables.put_damaged_keyless(uid, error)

    def take_again(self, key: str, number: int) -> None:
        """Take in a manifest once more, which is not what is known of it."""
        with self._db.transaction():
            self._take_version(key, number)
            self._tables.apply_logs(key)

    def _take_version(self, key: str, number: int) -> None:
        """Take in one manifest, also in place of what was damaged before."""
        self._tables.drop_version(self._tables.known_key_id(key), number)
        taken = read_rows(self._catalog, (key, number, self._tables.key_id(key)))
        if taken is not None:  # else gone since it was seen
            self._tables.put_all([taken])

    def _take_entries(self, name: str, names: list[str], keys: set[str | None]) -> None:
        owner, log = _split_log(name)
        key = None if owner == ANONYMOUS else unescape(owner)
        if log is None or (key is None and owner != ANONYMOUS):
            return
        numbers = {number for child in names if (number := catalogs.parse_number(child))}
        key_id = KEYLESS if key is None else self._tables.key_id(key)
        last = self._tables.last_number(key_id, log)
        if last and last not in numbers:
            self._tables.drop_log(key_id, log)
            keys.add(key)
            last = 0
        if numbers and (entries := self._new(key, log, last, set())):
            self._tables.put_entries(key_id, log, entries)
            keys.add(key)

    @contextlib.contextmanager
    def replacing(self, key: str | None) -> Iterator[list[str]]:
        """While files of a key get other content, let no process take them in; afterwards, know what is in
        those whose names were put into the list that this gives. Raise BusyError where the index, which
        keeps the others out, cannot be used."""
        names: list[str] = []
        with self._db.transaction():
            if self._db.is_substitute:
                raise BusyError(
                    "the index of the repository is in use, or cannot be written",
                    hint="run the command again",
                )
            yield names
            # At once: whoever looks next is to miss nothing, nor find what had a number before.
            replaced = [located for name in names if (located := Log.of(name))]
            for log in {log for log, _ in replaced if log.name != VERSIONS}:
                key_id = KEYLESS if key is None else self._tables.known_key_id(key)
                self._tables.drop_log(key_id, log.name)
            if key is None:
                self._take_keyless(names, {log for log, _ in replaced})
                return
            latest = self._tables.latest_number(key)
            for number in [n for log, n in replaced if log.name == VERSIONS and n <= latest]:
                self._take_version(key, number)
            self._take_news(key, set())

    def _take_keyless(self, names: list[str], logs: set[Log]) -> None:
        """Take in these keyless versions once more, and these logs of them."""
        for uid in (name[10:-5] for name in names if name.startswith("anonymous/")):
            self._tables.drop_keyless(uid)
        backend = self._catalog.backend
        self._take_anonymous(backend.names("anonymous"))
        for log in logs:
            self._take_entries(log.directory, backend.names(log.directory), set())
        self._tables.apply_logs(None)


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
