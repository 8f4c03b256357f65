"""Where two sequences differ, in close to linear time also for large or hostile input."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence

Gap = tuple[int, int, int, int]
"""A stretch in which two sequences differ: from, to in the left; from, to in the right."""

Pair = tuple[int, int]
"""A place in the left and one in the right where they are equal."""

_EDIT_LIMIT = 200


def find_gaps(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[Gap]:
    """Return where two sequences differ, in order; between the gaps they are equal."""
    numbers: dict[Hashable, int] = {}
    a = [numbers.setdefault(item, len(numbers)) for item in left]
    b = [numbers.setdefault(item, len(numbers)) for item in right]
    gaps: list[Gap] = []
    open_gaps = [(0, len(a), 0, len(b))]
    while open_gaps:
        gap = _trim(a, b, open_gaps.pop())
        parts = _split(a, b, gap) if gap[0] < gap[1] and gap[2] < gap[3] else []
        if parts:
            open_gaps.extend(reversed(parts))
        elif gap[0] < gap[1] or gap[2] < gap[3]:
            _append_gap(gaps, gap)
    return gaps


def _append_gap(gaps: list[Gap], gap: Gap) -> None:
    if gaps and gaps[-1][1] == gap[0] and gaps[-1][3] == gap[2]:
        gap = (gaps[-1][0], gap[1], gaps.pop()[2], gap[3])
    gaps.append(gap)


def _trim(a: list[int], b: list[int], gap: Gap) -> Gap:
    a_from, a_to, b_from, b_to = gap
    while a_from < a_to and b_from < b_to and a[a_from] == b[b_from]:
        a_from, b_from = a_from + 1, b_from + 1
    while a_from < a_to and b_from < b_to and a[a_to - 1] == b[b_to - 1]:
        a_to, b_to = a_to - 1, b_to - 1
    return a_from, a_to, b_from, b_to


def _split(a: list[int], b: list[int], gap: Gap) -> list[Gap]:
    """Return smaller gaps that make up this one, or nothing where it is better left whole.

    Patience first: what stands once on either side is a landmark, and landmarks make differences
    that people understand. Only what has none is searched for the shortest difference.
    """
    a_from, a_to, b_from, b_to = gap
    pairs = _landmarks(a, b, gap) or _shortest(a, b, gap)
    parts: list[Gap] = []
    for i, j in pairs:
        parts.append((a_from, i, b_from, j))
        a_from, b_from = i + 1, j + 1
    return [*parts, (a_from, a_to, b_from, b_to)] if pairs else []


def _landmarks(a: list[int], b: list[int], gap: Gap) -> list[Pair]:
    once_in_b = _once(b, gap[2], gap[3])
    once_in_a = _once(a, gap[0], gap[1])
    pairs = [(i, once_in_b[item]) for item, i in once_in_a.items() if item in once_in_b]
    return _longest_rising(pairs) if pairs else []


def _once(items: list[int], start: int, stop: int) -> dict[int, int]:
    """Return what stands once in this range, with its place, in the order of places."""
    places: dict[int, int] = {}
    for place in range(start, stop):
        places[items[place]] = -1 if items[place] in places else place
    return {item: place for item, place in places.items() if place >= 0}


def _longest_rising(pairs: list[Pair]) -> list[Pair]:
    """Return the longest part of `pairs`, which rise on the left, that rises on the right too."""
    ends: list[int] = []
    ends_at: list[int] = []
    before: list[int] = []
    for number, (_, right) in enumerate(pairs):
        length = bisect_left(ends, right)
        before.append(ends_at[length - 1] if length else -1)
        ends[length : length + 1] = [right]
        ends_at[length : length + 1] = [number]
    rising = []
    number = ends_at[-1]
    while number >= 0:
        rising.append(pairs[number])
        number = before[number]
    return rising[::-1]


def _shortest(a: list[int], b: list[int], gap: Gap) -> list[Pair]:
    """Return what is equal by the shortest difference, or nothing where that is too long.

    What stands on one side only is left out first: it cannot be equal to anything.
    """
    common = set(a[gap[0] : gap[1]]).intersection(b[gap[2] : gap[3]])
    rows = [i for i in range(gap[0], gap[1]) if a[i] in common]
    columns = [j for j in range(gap[2], gap[3]) if b[j] in common]
    trail = _search([a[i] for i in rows], [b[j] for j in columns])
    return [(rows[x], columns[y]) for x, y in _walk_back(trail, len(rows), len(columns))]


def _search(a: list[int], b: list[int]) -> list[dict[int, int]]:
    """Return how far each diagonal reached before each edit (Myers 1986), or nothing."""
    reach = {1: 0}
    trail = []
    for edits in range(min(_EDIT_LIMIT, len(a) + len(b)) + 1):
        trail.append(reach.copy())
        for diagonal in range(-edits, edits + 1, 2):
            x = _furthest(reach, diagonal, edits)
            while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(a) and x - diagonal >= len(b):
                return trail
    return []


def _furthest(reach: dict[int, int], diagonal: int, edits: int) -> int:
    """Return where the best path enters the diagonal: down keeps x, right adds one."""
    if _goes_down(reach, diagonal, edits):
        return reach[diagonal + 1]
    return reach[diagonal - 1] + 1


def _goes_down(reach: dict[int, int], diagonal: int, edits: int) -> bool:
    if diagonal in (-edits, edits):
        return diagonal == -edits
    return reach[diagonal - 1] < reach[diagonal + 1]


def _walk_back(trail: list[dict[int, int]], x: int, y: int) -> list[Pair]:
    pairs: list[Pair] = []
    for edits in range(len(trail) - 1, -1, -1):
        diagonal = x - y
        start = _furthest(trail[edits], diagonal, edits)
        pairs.extend((i, i - diagonal) for i in range(x - 1, start - 1, -1))
        goes_down = _goes_down(trail[edits], diagonal, edits)
        x, y = (start, start - diagonal - 1) if goes_down else (start - 1, start - diagonal)
    return pairs[::-1]
