"""Tables compared by columns, rows and cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import eq
from typing import Any

from art.diff.sequences import Pair, find_gaps
from art.diff.values import token
from art.errors import UsageError
from art.tables import Table

_LOOK_AHEAD = 8
_Tokens = list[tuple[Hashable, ...]]


@dataclass(frozen=True)
class TableRow:
    """A row that is in one table only; `number` counts from 1 in that table."""

    number: int
    cells: list[Any]


@dataclass(frozen=True)
class CellChange:
    column: str
    old: Any
    new: Any


@dataclass(frozen=True)
class RowChange:
    """A row in both tables with other cells; `key` are its cells in the key columns, if any."""

    left: int
    right: int
    key: list[Any]
    cells: list[CellChange]


@dataclass(frozen=True)
class TableDiff:
    """How the right table differs from the left one.

    Cells are compared in columns that both have. `rows_moved` are pairs of row numbers of equal
    rows that changed places; with key columns the order of rows does not matter and it is empty.
    `is_partial` says that only the first rows were compared.
    """

    columns_added: list[str]
    columns_removed: list[str]
    columns_reordered: bool
    rows_added: list[TableRow]
    rows_removed: list[TableRow]
    rows_changed: list[RowChange]
    rows_moved: list[tuple[int, int]]
    rows_same: int
    is_partial: bool = False

    @property
    def is_same(self) -> bool:
        columns = self.columns_added or self.columns_removed or self.columns_reordered
        rows = self.rows_added or self.rows_removed or self.rows_changed or self.rows_moved
        return not columns and not rows


def compare_tables(
    left: Table, right: Table, key_columns: Sequence[str] | None = None
) -> TableDiff:
    """Return what differs in columns, rows and cells.

    With key columns, rows with equal keys belong together, equal keys in their order. Without, rows
    are aligned as lines are, and of the rest those belong together that agree in the column that
    tells rows apart best, or in at least half of the cells. Raise UsageError for a key column that
    one of them does not have.
    """
    names, other_names = _unique(left.columns), _unique(right.columns)
    shared = [name for name in names if name in other_names]
    keys = _key_places(shared, key_columns or [])
    a = _row_tokens(left.rows, [names[name] for name in shared])
    b = _row_tokens(right.rows, [other_names[name] for name in shared])
    moved, changed, removed, added = _match_rows(a, b, keys) if keys else _align_rows(a, b)
    columns = [(name, names[name], other_names[name]) for name in shared]
    return TableDiff(
        columns_added=[name for name in other_names if name not in names],
        columns_removed=[name for name in names if name not in other_names],
        columns_reordered=shared != [name for name in other_names if name in names],
        rows_added=[TableRow(j + 1, right.rows[j]) for j in added],
        rows_removed=[TableRow(i + 1, left.rows[i]) for i in removed],
        rows_changed=[
            RowChange(
                left=i + 1,
                right=j + 1,
                key=[left.rows[i][columns[key][1]] for key in keys],
                cells=_cell_changes(left.rows[i], right.rows[j], columns),
            )
            for i, j in changed
        ],
        rows_moved=[(i + 1, j + 1) for i, j in moved],
        rows_same=len(a) - len(removed) - len(changed) - len(moved),
        is_partial=left.is_cut or right.is_cut,
    )


def _unique(columns: list[str]) -> dict[str, int]:
    """Return the place of each column; of several with one name the later ones get a number."""
    places: dict[str, int] = {}
    seen: dict[str, int] = defaultdict(int)
    for place, column in enumerate(columns):
        name = column
        while name in places:
            seen[column] += 1
            name = f"{column} #{seen[column] + 1}"
        places[name] = place
    return places


def _key_places(shared: list[str], key_columns: Sequence[str]) -> list[int]:
    for name in key_columns:
        if name not in shared:
            raise UsageError(
                f"key column {name!r} is not in both tables, "
                f"expected one of {', '.join(map(repr, shared[:20])) or 'none: no column is'}"
            )
    return [shared.index(name) for name in key_columns]


def _row_tokens(rows: list[list[Any]], places: list[int]) -> _Tokens:
    return [tuple(token(row[place]) for place in places) for row in rows]


def _cell_changes(
    left: list[Any], right: list[Any], columns: list[tuple[str, int, int]]
) -> list[CellChange]:
    return [
        CellChange(name, left[i], right[j])
        for name, i, j in columns
        if token(left[i]) != token(right[j])
    ]


def _pair_by(
    a: _Tokens, b: _Tokens, lefts: Iterable[int], rights: Iterable[int], places: list[int]
) -> list[Pair]:
    """Pair the rows that are equal in `places`; several equal ones in their order."""
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for i in lefts:
        waiting[tuple(a[i][place] for place in places)].append(i)
    for queue in waiting.values():
        queue.reverse()
    pairs = []
    for j in rights:
        queue = waiting.get(tuple(b[j][place] for place in places), [])
        if queue:
            pairs.append((queue.pop(), j))
    return pairs


_Matches = tuple[list[Pair], list[Pair], list[int], list[int]]
"""The moved pairs, the changed pairs, and what is only left and only right."""


def _match_rows(a: _Tokens, b: _Tokens, keys: list[int]) -> _Matches:
    pairs = _pair_by(a, b, range(len(a)), range(len(b)), keys)
    changed = [(i, j) for i, j in pairs if a[i] != b[j]]
    removed = set(range(len(a))).difference(i for i, _ in pairs)
    added = set(range(len(b))).difference(j for _, j in pairs)
    return [], changed, sorted(removed), sorted(added)


def _align_rows(a: _Tokens, b: _Tokens) -> _Matches:
    gaps = find_gaps(a, b)
    removed = dict.fromkeys(i for gap in gaps for i in range(gap[0], gap[1]))
    added = dict.fromkeys(j for gap in gaps for j in range(gap[2], gap[3]))

    def take(pairs: list[Pair]) -> list[Pair]:
        for i, j in pairs:
            del removed[i], added[j]
        return pairs

    width = len(a[0]) if a else 0
    moved = take(_pair_by(a, b, removed, added, list(range(width))))
    key = _telling_column(a, b, set(removed), set(added), width)
    changed = [] if key is None else take(_pair_by(a, b, removed, added, [key]))
    for gap in gaps:
        lefts = [i for i in range(gap[0], gap[1]) if i in removed]
        rights = [j for j in range(gap[2], gap[3]) if j in added]
        changed += take(_pair_alike(a, b, lefts, rights))
    return moved, sorted(changed, key=lambda pair: pair[1]), list(removed), list(added)


def _telling_column(
    a: _Tokens, b: _Tokens, removed: set[int], added: set[int], width: int
) -> int | None:
    """Return the column that tells rows apart in both tables and finds most of the rest again."""
    best, most = None, 0
    for column in range(width):
        old = [row[column] for row in a]
        new = [row[column] for row in b]
        if len(set(old)) < len(old) or len(set(new)) < len(new):
            continue
        found = len({old[i] for i in removed} & {new[j] for j in added})
        if found > most:
            best, most = column, found
    return best if most * 2 >= min(len(removed), len(added)) else None


def _pair_alike(a: _Tokens, b: _Tokens, lefts: list[int], rights: list[int]) -> list[Pair]:
    """Pair rows of which at least half of the cells are equal, in order, looking a little ahead."""
    pairs: list[Pair] = []
    start = 0
    for i in lefts:
        window = rights[start : start + _LOOK_AHEAD]
        alike = [sum(map(eq, a[i], b[j])) for j in window]
        most = max(alike, default=0)
        if most and most * 2 >= len(a[i]):
            place = alike.index(most)
            pairs.append((i, window[place]))
            start += place + 1
    return pairs
