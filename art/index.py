"""The index: a mirror of the catalog that answers fast. Never the truth.

It is brought up to date with the files before each answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from art import catalog as catalogs
from art.catalog import SETTINGS, STATE, VERSIONS, Catalog, Log
from art.database import Answer, DamagedError, Database, row_checksum
from art.errors import ArtError
from art.intake import Intake
from art.model import Document, Entry, Manifest, heads
from art.rows import KEYLESS, Record, Tables, checked
from art.said import Said

if TYPE_CHECKING:
    from art.query.tree import Field
    from art.sql import Selection

_LOST_LIMIT = 1000
_NEAR = 5000  # versions that are looked at before all are
_LOST = "NOT EXISTS (SELECT 1 FROM versions v WHERE v.id = named.id AND v.key_id = named.key_id)"
_HAS_ORIGIN = "instr(v.about, '\"origin\":{') > 0"  # as the index of copies has it


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
        self._tables = Tables(database)
        self._said = Said(database)
        self._catalog = catalog
        self._intake = Intake(database, catalog, warn)

    @property
    def was_rebuilt(self) -> bool:
        """Whether this process found it damaged."""
        return self._db.was_rebuilt

    def ask(self, question: Callable[[Index], Answer]) -> Answer:
        """Return `question(self)`, asked again where the database had to be mended."""
        return self._db.ask(lambda: question(self))

    # -- staying up to date ----------------------------------------------------------------------

    @property
    def problems(self) -> list[ArtError]:
        """What was wrong with logs when they were last taken in."""
        return self._intake.problems

    def refresh(self, key: str, *logs: str) -> None:
        """Take in what the files say of one key.

        Raise CorruptError where an entry of its states, or of one of these `logs`, is damaged; what
        is wrong with another log is warned of.
        """
        self._intake.refresh(key, *logs)

    def refresh_all(self) -> None:
        """Take in what the files say of every key.

        A damaged entry of a log goes to `problems`, and the log counts up to there.
        """
        self._intake.refresh_all()

    def replacing(self, key: str | None) -> AbstractContextManager[list[str]]:
        """While files of a key get other content, let no process take them in; afterwards, know what is in
        those whose names were put into the list that this gives. Raise BusyError where the index, which
        keeps the others out, cannot be used."""
        return self._intake.replacing(key)

    @contextlib.contextmanager
    def tentatively(self) -> Iterator[None]:
        """Undo at the end what is changed here meanwhile. Nothing is to be refreshed."""
        with contextlib.suppress(_UndoneError), self._db.transaction():
            yield
            raise _UndoneError

    def cut(self, ends: Mapping[Log, int]) -> None:
        """Answer as if these logs of keys ended at these numbers."""
        for log, number in ends.items():
            self._tables.drop_after(self._tables.known_key_id(str(log.key)), log.name, number)
        for key in {str(log.key) for log in ends}:
            self._tables.apply_logs(key)

    def note_version(self, manifest: Manifest, number: int | None) -> None:
        """Take in a version that was just published, unless another process did: it may know more."""
        self.ask(lambda _: self._put_alone(manifest, number))

    def _put_alone(self, manifest: Manifest, number: int | None) -> None:
        with self._db.transaction():
            if not self.by_id(manifest.id, manifest.key):
                self._tables.put(manifest, number)

    def look_again(self, key: str, number: int) -> Record | None:
        """Take in a manifest once more, which is not what is known of it; return what it is now."""
        self._intake.take_again(key, number)
        return self.by_number(key, number)

    # -- answers ---------------------------------------------------------------------------------

    def latest_number(self, key: str) -> int:
        """Return the highest number of a key, 0 where there is none."""
        return self._tables.latest_number(key)

    def tag_logs(self, key: str) -> list[str]:
        """Return the logs of a key's tags."""
        return self._catalog.tag_logs(key)

    def ends(self) -> dict[Log, int]:
        """Return every log, those of versions too, with the number of its last document."""
        rows = self._db.execute(
            "SELECT key, ?, (SELECT max(number) FROM versions WHERE key_id = keys.id) AS last "
            "FROM keys WHERE id != 0 AND last IS NOT NULL UNION ALL "
            "SELECT key, log, max(number) FROM entries JOIN keys ON keys.id = key_id "
            "GROUP BY key_id, log",
            (VERSIONS,),
        )
        return {Log(key, log): number for key, log, number in rows}

    def key_ends(self, key: str) -> dict[str, int]:
        """Return every log of a key, that of its versions too, with the number of its last document."""
        rows = self._db.execute(
            "SELECT :versions, max(number) FROM versions WHERE key_id = :key GROUP BY key_id UNION ALL "
            "SELECT log, max(number) FROM entries WHERE key_id = :key GROUP BY log",
            {"versions": VERSIONS, "key": self._tables.known_key_id(key)},
        )
        return dict(rows)

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
            (self._tables.known_key_id(key), latest, latest + _LOST_LIMIT),
        ).fetchone()
        return row[0] or 0

    def lost_versions(self) -> list[Lost]:
        """Return the entries that name versions which their keys do not have."""
        rows = self._db.execute(
            "SELECT key, key_id, number, id, log, entry, crc FROM named "
            f"JOIN (SELECT id AS owner, key FROM keys) ON owner = key_id WHERE {_LOST}"
        )
        named = checked(row[1:] for row in rows)
        return [
            Lost(Log(key, log), entry, number, id)
            for (key, *_), (_, number, id, log, entry) in zip(rows, named, strict=True)
        ]

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
        return self._tables.records(
            f"{where} AND (state = 'live' OR NOT :live) ORDER BY {order} LIMIT :limit",
            {"key": key, "live": live, "limit": -1 if limit is None else limit},
        )

    def live(self, keys: Iterable[str]) -> dict[str, list[Record]]:
        """Return the live versions of keys that have one, newest first."""
        found: dict[str, list[Record]] = {}
        for record in self._tables.records(
            "key_id IN (SELECT id FROM keys WHERE key IN (SELECT value FROM json_each(:keys))) "
            "AND state = 'live' ORDER BY key_id, number DESC",
            {"keys": json.dumps(list(keys))},
        ):
            found.setdefault(str(record.key), []).append(record)
        return found

    def latest_live(self, key: str, partitions: Document) -> Record | None:
        """Return the latest live version of a key that is of just these partitions, which are sorted."""
        return self._tables.latest_live(key, partitions)

    def selected(self, selection: Selection) -> list[Record]:
        """Return the versions that a query asks for, in its order."""
        from art.sql import ordered

        selection = self._possible(selection)
        if len(near := self._nearest(selection)) == selection.limit:
            return near
        found = ordered(selection)
        return self._tables.rows(found.text, found.values)

    def _possible(self, selection: Selection) -> Selection:
        """Return the same without what cannot be, because no version says anything under a name."""
        from art.query.tree import settled, tests

        if not any(test.field.path for test in tests(selection.condition)):
            return selection
        paths = self._said.paths()
        if paths is None:
            return selection
        return replace(selection, condition=settled(selection.condition, paths))

    def _nearest(self, selection: Selection) -> list[Record]:
        """Return those among the newest, or oldest, versions where the order is by time: most questions
        are answered by them, and few versions are looked at."""
        from art.sql import edge, nearest

        limit = _NEAR if selection.limit is None else selection.limit + selection.offset
        if limit >= _NEAR or (found := nearest(selection, "")) is None:
            return []
        place = edge(selection, _NEAR)
        if not (rows := self._db.execute(place.text, place.values)):
            return []
        found = nearest(selection, rows[0][0])
        return self._tables.rows(found.text, found.values) if found else []

    def count(self, selection: Selection) -> int:
        """Return how many versions a query asks for; order and limit do not count."""
        from art.sql import source

        found = source(self._possible(selection))
        rows = self._db.execute(f"SELECT count(*) FROM {found.text}", found.values)
        return int(rows[0][0])

    def groups(self, selection: Selection, field: Field) -> list[Group]:
        """Return the versions that a query asks for, by a field; with lists, by each of their members."""
        from art.sql import groups

        found = groups(self._possible(selection), field)
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

    def partition_names(self, key: str | None = None) -> set[str]:
        """Return the names of all partitions that versions, or those of a key, are of."""
        of = "" if key is None else "WHERE versions.key_id = (SELECT id FROM keys WHERE key = ?)"
        rows = self._db.execute(
            f"SELECT DISTINCT j.key FROM versions, json_each(versions.partitions) j {of}",
            () if key is None else (key,),
        )
        return {name for (name,) in rows}

    def settings(self, key: str | None = None) -> dict[str, Document]:
        """Return what is declared of each key, or of one, as it is stored."""
        rows = self._db.execute(
            "SELECT key FROM keys WHERE (?1 IS NULL OR key = ?1) AND EXISTS "
            "(SELECT 1 FROM entries WHERE key_id = keys.id AND log = ?2)",
            (key, SETTINGS),
        )
        found = {}
        for (name,) in rows:
            head, _ = heads(self.log(name, SETTINGS))
            settings = head.document.get("settings") if head else None
            if isinstance(settings, dict):
                found[name] = settings
        return found

    def declared_keys(self) -> set[str]:
        """Return the keys of which something is or was declared."""
        rows = self._db.execute(
            "SELECT DISTINCT key FROM entries JOIN keys ON keys.id = key_id "
            "WHERE key_id != 0 AND log = ?",
            (SETTINGS,),
        )
        return {key for (key,) in rows}

    def latest(self) -> list[Record]:
        """Return the highest live version of every key, and what is damaged, by key."""
        return self._tables.records(
            "key_id != 0 AND (state = 'damaged' OR number = (SELECT number FROM versions v WHERE "
            "v.key_id = versions.key_id AND v.state = 'live' ORDER BY number DESC LIMIT 1))",
            {},
        )

    def of_type(self, word: str) -> list[Record]:
        """Return every version of one type, the keyless ones too."""
        return self._tables.records("type = :type", {"type": word})

    def of_state(self, word: str) -> list[Record]:
        """Return every version in one state, the keyless ones too."""
        return self._tables.records("state = :state", {"state": word})

    def everything(self) -> list[Record]:
        """Return every version of every key, not the keyless ones."""
        return self._tables.records("key_id != 0", {})

    def all(self) -> list[Record]:
        """Return every version, the keyless ones too."""
        return [*self.everything(), *self.versions(None)]

    def damaged(self, key: str) -> Record | None:
        """Return the highest version of a key whose manifest is damaged, unless it was deleted."""
        found = self._tables.records(
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
        found = self._tables.records(
            "key_id = (SELECT id FROM keys WHERE key = :key) AND number = :number",
            {"key": key, "number": number},
        )
        return found[0] if found else None

    def by_id(self, prefix: str, key: str | None = None) -> list[Record]:
        """Return the versions whose id begins so, of one key or of all."""
        where = "id >= :low AND id < :high"
        if key is not None:
            where += " AND key_id = (SELECT id FROM keys WHERE key = :key)"
        return self._tables.records(where, {**_span(prefix), "key": key})

    def has_hidden(self, prefix: str) -> bool:
        """Whether a version with such an id is found only by looking at all: what finds it is broken."""
        return bool(self._tables.records("+id >= :low AND +id < :high", _span(prefix)))

    def tag(self, key: str, tag: str) -> str | None:
        """Return the id of the version a tag names."""
        head, _ = heads(self.log(key, catalogs.tag_log(tag)))
        return head.version_id if head else None

    def tags(self, key: str) -> dict[str, str]:
        """Return the ids that a key's tags name."""
        found = {}
        for log, entries in self._tables.logs(self._tables.known_key_id(key)).items():
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
        key_id = KEYLESS if key is None else self._tables.known_key_id(key)
        return self._tables.logs(key_id, log).get(log, [])

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
        return [former for _, former, *_ in checked(rows)]

    def _direct_users(self, id: str) -> list[Record]:
        rows = self._db.execute(
            "SELECT input, key_id, number, uid, named, crc FROM inputs WHERE input = ?", (id,)
        )
        found = []
        for _, key_id, number, uid, _ in checked(rows):
            found += self._tables.records(
                "key_id = :key_id AND number = :number AND uid = :uid AND state = 'live'",
                {"key_id": key_id, "number": number, "uid": uid},
            )
        return found

    def uses(self, known: Iterable[Record] = ()) -> list[tuple[str, Record]]:
        """Return every id that a live version lists as an input, with that version, as `users` finds it.
        Live versions that are `known` from here are not read again."""
        rows = self._db.execute(
            "SELECT input, key_id, number, uid, named, inputs.crc, key FROM inputs "
            "JOIN keys ON keys.id = key_id"
        )
        live = {(record.key, record.number or -1, record.uid): record for record in known}
        moves = self.moves()
        found: list[tuple[str, Record]] = []
        others: list[tuple[tuple[str | None, int, str], tuple[int, int, str], str]] = []
        for row in rows:
            input, key_id, number, uid, _, crc, key = row
            if row_checksum(row[:5]) != crc:
                raise DamagedError
            user = live.get((key, number, uid))
            for name in _names(input, moves) if input in moves else (input,):
                if user:
                    found.append((name, user))
                else:
                    others.append(((key, number, uid), (key_id, number, uid), name))
        read = self._live({place for _, place, _ in others}) if others else ()
        live = {(record.key, record.number or -1, record.uid): record for record in read}
        return found + [(name, live[user]) for user, _, name in others if user in live]

    def _live(self, places: Collection[tuple[int, int, str]]) -> list[Record]:
        """Return the live ones of versions, each named by the id of its key, its number and uid."""
        return self._tables.records(
            "state = 'live' AND (key_id, number, uid) IN (SELECT json_extract(value, '$[0]'), "
            "json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:places))",
            {"places": json.dumps(list(places))},
        )

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
            if isinstance(row[0], str):  # else an `origin` somewhere in its payload
                found.append(Link(row[0], id, kind, row[4]))
        return found

    def moves(self) -> dict[str, str]:
        """Return the ids of all versions that were moved, and what each became."""
        rows = self._db.execute("SELECT target, id, key_id, entry, crc FROM moves")
        return {id: target for target, id, *_ in checked(rows)}

    def by_ids(self, ids: Iterable[str]) -> list[Record]:
        """Return the versions with these ids."""
        return self._tables.records(
            "id IN (SELECT value FROM json_each(:ids))", {"ids": json.dumps(list(ids))}
        )

    def payload_users(self, payload: str) -> list[Record]:
        """Return all versions that carry a payload."""
        return self._tables.records("payload = :payload", {"payload": payload})


def _names(id: str, moves: Mapping[str, str]) -> list[str]:
    """Return the id of a version and those that it got one after the other by being moved."""
    found = [id]
    while id in moves and (id := moves[id]) not in found:
        found.append(id)
    return found


class _UndoneError(Exception):
    """What ends a transaction of which nothing is to stay."""


def _span(prefix: str) -> dict[str, str]:
    """Return the bounds of what begins so, in hex."""
    return {"low": prefix, "high": prefix + "g"}


def _json_value(kind: str | None, value: Any) -> Any:
    """Return what SQLite gives of a value in JSON, as it was there."""
    if kind in ("array", "object"):
        return json.loads(value)
    return kind == "true" if kind in ("true", "false") else value
