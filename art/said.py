"""The names under which any version says something: what is asked of another name is found nowhere, and
nowhere is looked for it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from art.database import DamagedError, Database, row_checksum
from art.model import Document

Path = tuple[str, ...]
_OF_ONE, _OF_ALL = 200, 2000  # names that are kept: beyond that it takes longer than looking


def names_in(about: Document) -> str:
    """Return all names in what is said of a version, as JSON of paths; empty where they are too many."""
    found: list[Path] = []
    pending: list[tuple[Path, Document]] = [((), about)]
    for path, said in pending:  # which grows
        for name, value in said.items():
            found.append((*path, name))
            if isinstance(value, dict):
                pending.append((found[-1], value))
        if len(found) > _OF_ONE:
            return ""
    return json.dumps(found)


class Said:
    """The names of all versions of an index, and of some that it had. One row holds them, so that a
    checksum covers what is missing, too."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._text = ""  # what the row was when it was last added to,
        self._inside: set[str] = set()  # and some of what was put by then

    def paths(self) -> frozenset[Path] | None:
        """Return all paths that lead to something, None where they were too many to keep."""
        found = json.loads(self._stored())
        return None if found is None else frozenset(map(tuple, found))

    def note(self, shapes: Iterable[str]) -> None:
        """Add what `names_in` returned of versions that are put. To be called in the same transaction."""
        text = self._stored()
        if text != self._text:
            self._text, self._inside = text, set()
        wanted = set(shapes) - self._inside
        if not wanted or (known := self.paths()) is None:
            return
        found = known.union(*(map(tuple, json.loads(shape)) for shape in wanted if shape))
        is_all = "" not in wanted and len(found) <= _OF_ALL
        if not is_all or found != known:
            self._text = json.dumps(sorted(found) if is_all else None)
            values = (self._text, row_checksum((self._text,)))
            self._db.execute("UPDATE said SET paths = ?, crc = ?", values)
        self._inside |= wanted

    def _stored(self) -> str:
        [row] = self._db.execute("SELECT paths, crc FROM said") or [(None, None)]
        if row_checksum(row[:1]) != row[1]:
            raise DamagedError
        return str(row[0])
