"""The rows of the index: what they hold of versions and of entries. Each carries a checksum."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from art import model
from art.catalog import NOTES, STATE, VERSIONS, Catalog
from art.database import APART, NUL, DamagedError, Database, row_checksum
from art.errors import ArtError, CorruptError, NewerFormatError, NotFoundError
from art.model import Document, Entry, Manifest, apply_notes, heads, preview_of
from art.said import Said, names_in

LIVE = "live"
KEYLESS = 0
_NAMES = (  # `base` and `exact` are empty where they are what `about` and what is apart from it say
    *("number", "id", "uid", "type", "created", "author", "size", "files", "payload", "title"),
    *("about", *APART, "tags", "state", "base", "exact"),
)
_COLUMNS = ", ".join(_NAMES)
_MARKS = ", ".join("?" * (len(_NAMES) + 2))
_PUT = f"INSERT OR REPLACE INTO versions (key_id, {_COLUMNS}, crc) VALUES ({_MARKS})"
_ABOUT, _TAGS = (
    _NAMES.index(name) + 1 for name in ("about", "tags")
)  # in rows that begin with keys
_NO_TAGS = "[]"
_NOTHING = "{}"
_NAMED = tuple(f'"{name}":' for name in APART)
_NOT_TOLD = ("inline", "size", "files")  # of a payload: what is large, or has a column
_LARGEST = sys.float_info.max


class _Facts(NamedTuple):
    """What a record holds: a tuple, as it is made in a third of the time of another object."""

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
    said: tuple[str | None, ...]
    tags: list[str]
    state: str


class Record(_Facts):
    """What the index knows of one version, later notes applied.

    `key` and `number` are None for a keyless version. `state` is `live`, `deleted`, `restored`,
    `swept`, `purged`, `moved`, or `damaged`, where `title` says what is wrong. `said` is `about` as
    JSON, in parts: most of those who ask for many versions never look at what is in it.
    """

    @cached_property
    def about(self) -> Document:
        """What is said of it beside the facts above: `description`, `metadata`, `run` …"""
        return json.loads(_whole(self.said))  # type: ignore[no-any-return]

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


Row = tuple[Any, ...]
Wanted = tuple[str, int, int]  # key and number of a version, and the id that its key has here
# The row of a version, those of what it was made from, and the names in what is said of it.
Taken = tuple[Row, list[Row], str]


def rows_of(manifest: Manifest, number: int | None, key_id: int) -> Taken:
    """Return the rows of a version whose key has this id."""
    payload = manifest.payload
    said = _about(manifest.document)
    about, exact = _json(said)
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
        *about,
        _NO_TAGS,
        "purged" if manifest.is_stub else LIVE,
        "",
        exact,
    )
    inputs = []
    for entry in manifest.inputs:
        row = (entry["id"], key_id, values[0], manifest.uid, _named(entry))
        inputs.append((*row, row_checksum(row)))
    return _version_row(manifest.key, values, key_id), inputs, names_in(said)


def damaged_rows(key: str | None, number: int, uid: str, error: ArtError, key_id: int) -> Taken:
    """Return the rows of a version whose manifest is damaged, with what is wrong as its title."""
    nothing = dict.fromkeys(("size", "files", "payload", *APART))
    known = {"number": number, "uid": uid, "type": "damaged", "title": error.message}
    row = dict.fromkeys(_NAMES, "") | nothing | known
    row |= {"about": _NOTHING, "tags": _NO_TAGS, "state": "damaged"}
    return _version_row(key, tuple(row.values()), key_id), [], names_in({})


def read_rows(catalog: Catalog, wanted: Wanted) -> Taken | None:
    """Return the rows of a version from its manifest, None where that is gone. One that is damaged has
    rows, too."""
    key, number, key_id = wanted
    try:
        return rows_of(catalog.manifest(key, number), number, key_id)
    except NotFoundError:
        return None
    except (CorruptError, NewerFormatError) as error:
        return damaged_rows(key, number, "", error, key_id)


def read_all(catalog: Catalog, wanted: Iterable[Wanted]) -> Iterator[Taken]:
    """Yield the rows of versions, in their order, without those whose manifest is gone."""
    for each in wanted:
        if rows := read_rows(catalog, each):
            yield rows


def _version_row(key: str | None, values: Row, key_id: int) -> Row:
    """Return the row of a version; its checksum covers the key too."""
    return (key_id, *values, row_checksum((key, *values)))


class Tables:
    """The tables of the index, row by row."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._said = Said(database)

    def key_id(self, key: str) -> int:
        """Return a key's number, a new one where the key is new."""
        self._db.execute("INSERT OR IGNORE INTO keys (key) VALUES (?)", (key,))
        row = self._db.execute("SELECT id FROM keys WHERE key = ?", (key,)).fetchone()
        return int(row[0])

    def known_key_id(self, key: str) -> int:
        """Return a key's number, -1 where nothing is known of the key."""
        row = self._db.execute("SELECT id FROM keys WHERE key = ?", (key,)).fetchone()
        return row[0] if row else -1

    def latest_number(self, key: str) -> int:
        """Return the highest number of a key, 0 where there is none."""
        row = self._db.execute(
            "SELECT max(number) FROM versions WHERE key_id = (SELECT id FROM keys WHERE key = ?)",
            (key,),
        ).fetchone()
        return row[0] or 0

    def last_number(self, key_id: int, log: str) -> int:
        """Return the number of the last entry of a log, 0 where there is none."""
        (last,) = self._db.execute(
            "SELECT coalesce(max(number), 0) FROM entries WHERE key_id = ? AND log = ?",
            (key_id, log),
        ).fetchone()
        return int(last)

    def numbers(self, key_id: int) -> set[int]:
        """Return the numbers of a key's versions."""
        rows = self._db.execute("SELECT number FROM versions WHERE key_id = ?", (key_id,))
        return {number for (number,) in rows}

    def drop_versions(self, key_id: int, numbers: set[int]) -> None:
        """Forget a key's versions but these."""
        for number in self.numbers(key_id) - numbers:
            self.drop_version(key_id, number)

    def drop_version(self, key_id: int, number: int) -> None:
        """Forget one version of a key."""
        for table in ("versions", "inputs"):
            self._db.execute(
                f"DELETE FROM {table} WHERE key_id = ? AND number = ?", (key_id, number)
            )

    def drop_keyless(self, uid: str) -> None:
        """Forget one keyless version."""
        for table in ("versions", "inputs"):
            self._db.execute(f"DELETE FROM {table} WHERE key_id = 0 AND uid = ?", (uid,))

    def drop_log(self, key_id: int, log: str) -> None:
        """Forget the entries of one log."""
        for table in ("entries", "named"):
            self._db.execute(f"DELETE FROM {table} WHERE key_id = ? AND log = ?", (key_id, log))
        if log == STATE:
            self._db.execute("DELETE FROM moves WHERE key_id = ?", (key_id,))

    def drop_after(self, key_id: int, log: str, number: int) -> None:
        """Forget what follows a number in a log, that of the versions too."""
        tables = ("versions", "inputs") if log == VERSIONS else ("entries",)
        of_log = "" if log == VERSIONS else " AND log = :log"
        values = {"key_id": key_id, "number": number, "log": log}
        for table in tables:
            self._db.execute(
                f"DELETE FROM {table} WHERE key_id = :key_id AND number > :number{of_log}", values
            )

    def put(self, manifest: Manifest, number: int | None) -> None:
        """Put a version, and what it was made from."""
        key_id = KEYLESS if manifest.key is None else self.key_id(manifest.key)
        self.put_all([rows_of(manifest, number, key_id)])

    def put_damaged_keyless(self, uid: str, error: ArtError) -> None:
        """Put a keyless version whose manifest is damaged."""
        self.put_all([damaged_rows(None, -1, uid, error, KEYLESS)])

    def put_all(self, taken: Iterable[Taken]) -> None:
        """Put versions, each with what it was made from. To be called in a transaction."""
        shapes = set()
        for version, inputs, names in taken:
            self._db.execute(_PUT, version)
            for row in inputs:
                self._db.execute("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?)", row)
            shapes.add(names)
        self._said.note(shapes)

    def put_entries(self, key_id: int, log: str, entries: list[Entry]) -> None:
        """Put the entries that follow the last one known; another process may have put some."""
        last = self.last_number(key_id, log)
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

    def apply_logs(self, key: str | None) -> None:
        """Work out tags, states and notes of a key's versions from its logs."""
        key_id = KEYLESS if key is None else self.key_id(key)
        logs = self.logs(key_id)
        tags, states, notes = _effects(logs)
        touched = set(tags) | set(states) | set(notes)
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, crc FROM versions WHERE key_id = ? "
            f"AND (tags != '{_NO_TAGS}' OR state != 'live' OR base != '' "
            "OR id IN (SELECT value FROM json_each(?)))",
            (key_id, json.dumps(sorted(touched))),
        )
        shapes: set[str] = set()
        for *values, crc in rows:
            if row_checksum((key, *values)) != crc:
                raise DamagedError
            row = dict(zip(_NAMES, values, strict=True))
            if row["state"] == "damaged":
                continue
            apart = [row[name] for name in APART]
            id, base = row["id"], row["base"] or row["exact"] or _whole((row["about"], *apart))
            about = json.loads(base)
            about = apply_notes(about, notes[id]) if id in notes else about
            row["title"] = about.get("title")
            texts, row["exact"] = _json(about)
            row.update(zip(("about", *APART), texts, strict=True))
            row["base"] = base if id in notes else ""
            row["tags"] = json.dumps(sorted(tags.get(id, [])))
            if row["state"] != "purged":
                row["state"] = states.get(id, LIVE)
            self._db.execute(_PUT, _version_row(key, tuple(row.values()), key_id))
            if id in notes:
                shapes.add(names_in(about))
        self._said.note(shapes)

    def logs(self, key_id: int, log: str | None = None) -> dict[str, list[Entry]]:
        """Return a key's entries by log, or those of one log."""
        logs: dict[str, list[Entry]] = {}
        which, values = ("", (key_id,)) if log is None else (" AND log = ?", (key_id, log))
        rows = self._db.execute(
            "SELECT key_id, log, number, document, crc FROM entries "
            f"WHERE key_id = ?{which} ORDER BY log, number",
            values,
        )
        for _, name, number, document in checked(rows):
            logs.setdefault(name, []).append(Entry(number, json.loads(document)))
        return logs

    def latest_live(self, key: str, partitions: Document) -> Record | None:
        """Return the latest live version of a key that is of just these partitions, which are sorted."""
        texts, _ = _json({"partitions": partitions} if partitions else {})
        text = texts[1 + APART.index("partitions")]
        found = self.records(
            "key_id = (SELECT id FROM keys WHERE key = ?) AND state = 'live' "
            f"AND partitions {'IS' if text is None else '='} ? ORDER BY number DESC LIMIT 1",
            (key, text),
        )
        return found[0] if found else None

    def records(self, where: str, values: dict[str, Any] | tuple[Any, ...]) -> list[Record]:
        """Return the versions for which an SQL condition holds, in the order that may follow it."""
        return self.rows(f"versions WHERE {where}", values)

    def rows(self, source: str, values: dict[str, Any] | tuple[Any, ...]) -> list[Record]:
        """Return the versions that are found by what follows FROM."""
        rows = self._db.execute(
            f"SELECT (SELECT key FROM keys WHERE keys.id = key_id), {_COLUMNS}, crc FROM {source}",
            values,
        )
        return [_record(row) for row in checked(rows)]


def checked(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows without the checksum they end with. Raise DamagedError where it is another."""
    for row in rows:
        values = row[:-1]
        if row_checksum(values) != row[-1]:
            raise DamagedError
        yield values


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


def _json(about: Document) -> tuple[list[str | None], str]:
    """Return a document as JSON that SQLite reads, what is `APART` by itself, and, where there is in it
    what SQLite does not read, as it is, else nothing: in the first NaN is null, infinity the largest
    number, and NUL, where texts would end, is `NUL`."""
    with suppress(ValueError):
        texts = _texts(about)
        if not any(text and r"\u0000" in text for text in texts):
            return texts, ""
    exact = json.dumps(about, separators=(",", ":"))
    return _texts(_readable(about)), exact


def _texts(about: Document) -> list[str | None]:
    rest = {name: value for name, value in about.items() if name not in APART}
    apart = [_compact(about[name]) if name in about else None for name in APART]
    return [_compact(rest), *apart]


_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _whole(said: Sequence[str | None]) -> str:
    """Return the JSON that was taken apart, or was not: then it is alone."""
    about, *apart = said
    assert about, "it is an object, empty or not"
    if not apart:
        return about
    parts = [about[1:-1]] if about != _NOTHING else []
    for name, text in zip(_NAMED, apart, strict=True):
        if text:
            parts.append(name + text)
    return "{" + ",".join(parts) + "}"


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_readable(name): _readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", NUL)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else math.copysign(_LARGEST, value)
    return value


def _record(row: tuple[Any, ...]) -> Record:
    facts = row[:_ABOUT]  # key … title, as in Record
    tags, state, _, exact = row[_TAGS:]
    said = (exact,) if exact else row[_ABOUT:_TAGS]
    if facts[0] is None:
        facts = (None, None, *facts[2:])
    return Record._make((*facts, said, json.loads(tags) if tags != _NO_TAGS else [], state))
