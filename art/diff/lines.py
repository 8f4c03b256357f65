"""Texts compared by lines: the hunks of a unified diff."""

from __future__ import annotations

from collections.abc import Iterator

from art.diff.sequences import Gap, find_gaps

_CONTEXT = 3


def compare_lines(left: str, right: str) -> list[str]:
    """Return the hunks of a unified diff, without the two lines that name the files."""
    a, b = _split_lines(left), _split_lines(right)
    lines: list[str] = []
    for hunk in _hunks(find_gaps(a, b)):
        start, stop = max(0, hunk[0][0] - _CONTEXT), min(len(a), hunk[-1][1] + _CONTEXT)
        other, other_stop = hunk[0][2] - (hunk[0][0] - start), hunk[-1][3] + (stop - hunk[-1][1])
        lines.append(f"@@ -{_range(start, stop)} +{_range(other, other_stop)} @@")
        for gap in hunk:
            _append_lines(lines, " ", a[start : gap[0]])
            _append_lines(lines, "-", a[gap[0] : gap[1]])
            _append_lines(lines, "+", b[gap[2] : gap[3]])
            start = gap[1]
        _append_lines(lines, " ", a[start:stop])
    return lines


def _split_lines(text: str) -> list[str]:
    """Only a newline ends a line: str.splitlines would cut at a dozen other characters too."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _hunks(gaps: list[Gap]) -> Iterator[list[Gap]]:
    hunk: list[Gap] = []
    for gap in gaps:
        if hunk and gap[0] - hunk[-1][1] > 2 * _CONTEXT:
            yield hunk
            hunk = []
        hunk.append(gap)
    if hunk:
        yield hunk


def _range(start: int, stop: int) -> str:
    """An empty range is named by the line before it, as patch expects."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _append_lines(lines: list[str], sign: str, part: list[str]) -> None:
    for line in part:
        if line.endswith("\n"):
            lines.append(sign + line[:-1])
        else:
            lines.extend((sign + line, "\\ No newline at end of file"))
