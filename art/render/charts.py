"""Numbers as plots of characters: blocks and braille, or ASCII where nothing else can be shown."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import TextIO

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.:-=+*#"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_BRAILLE = 0x2800
# The bit of each of the eight dots of a braille character, by column and row.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def is_ascii(stream: TextIO) -> bool:
    """Whether blocks and braille cannot be shown there."""
    if stream.isatty() and os.environ.get("TERM") in ("dumb", "linux"):
        return True
    try:
        (_BLOCKS + _EIGHTHS + chr(_BRAILLE + 0xFF) + "…").encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def sparkline(values: Sequence[float], *, ascii: bool = False) -> str:
    """Return one character for each value, between the least and the greatest."""
    return _levels(values, min(values, default=0), max(values, default=0), ascii)


def bars(counts: Sequence[float], *, ascii: bool = False) -> str:
    """Return one character for each count, from nothing to the greatest."""
    return _levels(counts, 0, max(counts, default=0), ascii)


def _levels(values: Sequence[float], low: float, high: float, ascii: bool) -> str:
    levels = _ASCII_BLOCKS if ascii else _BLOCKS
    return "".join(levels[round(_share(value, low, high) * (len(levels) - 1))] for value in values)


def _share(value: float, low: float, high: float) -> float:
    """Return where a value lies between two others, 0 to 1, whatever their size."""
    if not high > low:
        return 0.5 if low else 0.0
    scale = max(abs(low), abs(high))  # the difference of large ones may be more than a float holds
    distance = high / scale - low / scale
    return (value / scale - low / scale) / distance if distance > 0 else 0.5


def bar(count: float, most: float, width: int, *, ascii: bool = False) -> str:
    """Return a bar whose length is the count's share of `width` columns."""
    length = min(1.0, count / most) * width if most > 0 else 0
    if ascii:
        return "#" * (round(length) or int(count > 0))
    full, eighth = divmod(round(length * 8), 8)
    text = "█" * full + _EIGHTHS[eighth].strip()
    return text or ("▏" if count > 0 else "")


def plot(
    values: Sequence[float | None], *, width: int, height: int, ascii: bool = False
) -> Iterator[str]:
    """Yield the lines of a plot of values one after another, None for a gap; the highest comes first."""
    there = [value for value in values if value is not None and math.isfinite(value)]
    if not there:
        return
    columns, rows = (1, 1) if ascii else (2, 4)
    dots = _dots(values, min(there), max(there), width * columns, height * rows)
    for line in range(height):
        if ascii:
            yield "".join("*" if (x, line) in dots else " " for x in range(width)).rstrip()
        else:
            yield "".join(_braille(dots, x * 2, line * 4) for x in range(width)).rstrip(
                chr(_BRAILLE)
            )


def _dots(
    values: Sequence[float | None], low: float, high: float, width: int, height: int
) -> set[tuple[int, int]]:
    """Return the dots of a line through the values, from the upper left."""
    dots: set[tuple[int, int]] = set()
    before: tuple[int, int] | None = None
    for place, value in enumerate(values):
        if value is None or not math.isfinite(value):
            before = None
            continue
        x = round(place * (width - 1) / max(1, len(values) - 1))
        y = round((1 - _share(value, low, high)) * (height - 1))
        dots.update(_line(before or (x, y), (x, y)))
        before = (x, y)
    return dots


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for step in range(steps + 1):
        yield (
            round(start[0] + (end[0] - start[0]) * step / steps),
            round(start[1] + (end[1] - start[1]) * step / steps),
        )


def _braille(dots: set[tuple[int, int]], x: int, y: int) -> str:
    bits = (_DOTS[i][j] for i in (0, 1) for j in range(4) if (x + i, y + j) in dots)
    return chr(_BRAILLE + sum(bits))
