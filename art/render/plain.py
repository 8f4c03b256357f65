"""Values as plain text: listings, sizes, ages, differences, csv, jsonl. Fast to import and to run.

Whatever comes from a repository passes `escape` or `escape_lines` before it is shown: no name,
title or content can send a terminal anything but printable text.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from art.diff import Comparison, JsonChange, NodeChange, TableDiff, TreeDiff
    from art.tree import Node

# Controls, line separators, lone surrogates, and what turns the direction of text around.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_RED, _GREEN, _CYAN, _YELLOW, _BOLD = "31", "32", "36", "33", "1"


def escape(text: str) -> str:
    """Return `text` on one line, with everything that is not printable shown as `\\x1b`."""
    if text.isprintable():
        return text
    return _UNSAFE.sub(_escaped, text)


def escape_lines(text: str) -> str:
    """Return `text` like `escape`, but leave newlines and tabs."""
    return _UNSAFE_IN_LINES.sub(_escaped, text.replace("\r\n", "\n"))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def size_text(size_bytes: int | None) -> str:
    """Return a size such as "1.2 MiB"; "-" where it is not known."""
    if size_bytes is None:
        return "-"
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:,.1f} PiB"


_AGES = (
    (60, 60, "min", "min"),
    (3600, 24, "h", "h"),
    (86400, 30, "day", "days"),
    (2592000, 12, "month", "months"),
    (31536000, 10**6, "year", "years"),
)


def age_text(created: str, now: datetime | None = None) -> str:
    """Return an age such as "3 min ago" for a time in ISO form; as it is where it is no time."""
    try:
        then = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        return escape(created)
    then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
    seconds = int(((now or datetime.now(timezone.utc)) - then).total_seconds())
    if seconds < -60:  # the clock of another machine
        return escape(created[:16].replace("T", " "))
    if seconds < 60:
        return "just now"
    length, _, one, many = next(age for age in _AGES if seconds // age[0] < age[1])
    count = max(1, seconds // length)
    return f"{count:,} {one if count == 1 else many} ago"


def count_text(count: int, thing: str) -> str:
    """Return a count such as "1 file" or "1,200 files"."""
    is_changing = thing.endswith("y") and thing[-2:-1] not in "aeiou"
    plural = thing[:-1] + "ies" if is_changing else thing + "s"
    return f"{count:,} {thing if count == 1 else plural}"


# --- listings -------------------------------------------------------------------------------------


def listing_text(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    width: int | None = None,
    keep: Collection[int] = (0,),
) -> str:
    """Return the rows in aligned columns under the header, each line with its newline.

    Columns in `right` are aligned to the right. Where the lines would be wider than `width`, the
    widest columns are cut, but none of those in `keep`. Cells are escaped here.
    """
    columns = [_escaped_cells(column) for column in zip(header, *rows, strict=True)]
    widths = [_cells_width(column) for column in columns]
    if width is not None:
        limit = _column_limit(widths, width - 2 * (len(widths) - 1), keep)
        for place in range(len(columns)):
            if place not in keep and widths[place] > limit:
                columns[place] = [_cut(cell, limit) for cell in columns[place]]
                widths[place] = limit
    template = _template(columns, widths, right)
    return "".join([(template % cells).rstrip() + "\n" for cells in zip(*columns, strict=True)])


def _escaped_cells(cells: Sequence[str]) -> list[str]:
    if "".join(cells).isprintable():
        return list(cells)
    return [escape(cell) for cell in cells]


def _cells_width(cells: list[str]) -> int:
    return max(map(len if _is_narrow("".join(cells)) else text_width, cells))


def _is_narrow(text: str) -> bool:
    """Whether each character takes one column, as far as that can be told fast."""
    return text.isascii() or text.replace("…", "").isascii()


def text_width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if _is_narrow(text):
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(
        0 if category(char) in ("Mn", "Me", "Cf") else 2 if east_asian_width(char) in "WF" else 1
        for char in text
    )


def _column_limit(widths: list[int], available: int, keep: Collection[int]) -> int:
    """Return the largest width to which columns must be cut so that all fit, but at least 8."""
    flexible = sorted(size for place, size in enumerate(widths) if place not in keep)
    rest = available - sum(widths[place] for place in keep if place < len(widths))
    for number, size in enumerate(flexible):
        if size * (len(flexible) - number) > rest:
            return max(8, rest // (len(flexible) - number))
        rest -= size
    return max(widths, default=8)


def _cut(text: str, limit: int) -> str:
    if text.isascii():
        return text if len(text) <= limit else text[: limit - 1] + "…"
    if text_width(text) <= limit:
        return text
    taken = 0
    for place, char in enumerate(text):
        taken += text_width(char)
        if taken > limit - 1:
            return text[:place] + "…"
    return text


def _template(columns: list[list[str]], widths: list[int], right: Collection[int]) -> str:
    """Return a % template; cells that len() does not measure are padded before, in place."""
    parts = []
    for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
        if not _is_narrow("".join(column)):
            column[:] = [_padded(cell, width, place in right) for cell in column]
            parts.append("%s")
        else:
            parts.append(f"%{'' if place in right else '-'}{width}s")
    return "  ".join(parts)


def _padded(cell: str, width: int, is_right: bool) -> str:
    padding = " " * (width - text_width(cell))
    return padding + cell if is_right else cell + padding


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the rows as csv under a line of names.

    Controls other than newlines and tabs are escaped: csv is looked at in terminals too.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([escape_lines(_machine_text(cell)) for cell in row])
    return out.getvalue()


def _machine_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON; what terminals could obey is written as `\\u001b`."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except (TypeError, ValueError):
        from art.tables import json_value

        text = json.dumps(json_value(value), ensure_ascii=False, indent=indent)
    return _UNSAFE_IN_LINES.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def jsonl_text(documents: Iterable[Any]) -> str:
    """Return one line of JSON for each document."""
    return "".join(json_text(document) + "\n" for document in documents)


# --- differences ----------------------------------------------------------------------------------


def comparison_text(comparison: Comparison, *, color: bool = False, stat: bool = False) -> str:
    """Return the difference for people; `stat` gives counts and sizes instead of content."""
    return "".join(line + "\n" for line in comparison_lines(comparison, color=color, stat=stat))


def comparison_lines(
    comparison: Comparison, *, color: bool = False, stat: bool = False
) -> Iterator[str]:
    """Yield the lines of `comparison_text`."""
    paint = _painted if color else _unpainted
    names = escape(comparison.left), escape(comparison.right)
    if comparison.is_same:
        yield f"{names[0]} and {names[1]} are the same"
    else:
        yield paint(f"--- {names[0]}", _BOLD)
        yield paint(f"+++ {names[1]}", _BOLD)
        yield from _change_lines(comparison.metadata, paint)
        yield from _change_lines(comparison.payload_changes, paint, "content ")
        yield from _content_lines(comparison, paint, stat)
    for note in comparison.notes:
        yield paint(f"note: {escape(note)}", _YELLOW)


_Paint = Callable[[str, str], str]


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _unpainted(text: str, code: str) -> str:
    return text


def _content_lines(comparison: Comparison, paint: _Paint, stat: bool) -> Iterator[str]:
    if comparison.payload == "identical":
        yield "content: identical"
    elif comparison.lines is not None:
        yield from _text_lines(comparison.lines, paint, stat)
    elif comparison.table is not None:
        yield from _table_lines(comparison.table, paint, stat)
    elif comparison.json is not None:
        yield from _json_lines(comparison.json, paint, stat)
    elif comparison.tree is not None:
        yield from _tree_lines(comparison.tree, paint, stat)
        for path, lines in comparison.contents.items():
            yield paint(f"--- {escape(path)}", _BOLD)
            yield from _text_lines(lines, paint, stat)
    elif comparison.payload == "binary":
        yield "content: differs (binary)"


def _change_lines(changes: Iterable[JsonChange], paint: _Paint, prefix: str = "") -> Iterator[str]:
    for change in changes:
        path = escape(prefix + change.path)
        if change.kind == "added":
            yield paint(f"+ {path}: {_value_text(change.new)}", _GREEN)
        elif change.kind == "removed":
            yield paint(f"- {path}: {_value_text(change.old)}", _RED)
        elif _is_long(change.old) or _is_long(change.new):
            yield f"~ {path}:"
            yield from _long_lines(change.old, change.new, paint)
        else:
            yield f"~ {path}: {_arrow(change.old, change.new, paint)}"


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value


def _long_lines(old: Any, new: Any, paint: _Paint) -> Iterator[str]:
    from art.diff.lines import compare_lines

    yield from _text_lines(compare_lines(_value_text(old), _value_text(new)), paint, stat=False)


def _arrow(old: Any, new: Any, paint: _Paint) -> str:
    return f"{paint(_value_text(old), _RED)} → {paint(_value_text(new), _GREEN)}"


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return escape_lines(value) if _is_long(value) else escape(value)
    return escape(json_text(value))


def _text_lines(lines: list[str], paint: _Paint, stat: bool) -> Iterator[str]:
    if stat:
        added = sum(line.startswith("+") for line in lines)
        removed = sum(line.startswith("-") for line in lines)
        yield f"{count_text(added, 'line')} added, {removed:,} removed"
        return
    if not lines:
        yield "lines: equal"
    codes = {"+": _GREEN, "-": _RED, "@": _CYAN}
    for line in lines:
        shown = escape_lines(line)
        code = codes.get(line[:1])
        yield paint(shown, code) if code else shown


def _json_lines(changes: list[JsonChange], paint: _Paint, stat: bool) -> Iterator[str]:
    if not stat:
        yield from _change_lines(changes, paint)
    counts = dict.fromkeys(("added", "removed", "changed"), 0)
    for change in changes:
        counts[change.kind] += 1
    yield _summary("value", counts) if changes else "values: equal, written differently"


def _summary(thing: str, counts: Mapping[str, int]) -> str:
    """Return such as "3 files added, 1 removed"; what did not happen is left out."""
    parts = [(kind.replace("_", " "), count) for kind, count in counts.items() if count]
    texts = [f"{count:,} {kind}" for kind, count in parts]
    if parts:
        texts[0] = f"{count_text(parts[0][1], thing)} {parts[0][0]}"
    return ", ".join(texts)


def _table_lines(table: TableDiff, paint: _Paint, stat: bool) -> Iterator[str]:
    for column in table.columns_added:
        yield paint(f"+ column {escape(column)}", _GREEN)
    for column in table.columns_removed:
        yield paint(f"- column {escape(column)}", _RED)
    if table.columns_reordered:
        yield "~ columns in another order"
    if not stat:
        yield from _row_lines(table, paint)
    counts = {
        "added": len(table.rows_added),
        "removed": len(table.rows_removed),
        "changed": len(table.rows_changed),
        "moved": len(table.rows_moved),
    }
    same = f"{count_text(table.rows_same, 'row')} the same"
    yield f"{_summary('row', counts)}; {same}" if any(counts.values()) else same
    if table.is_same:
        yield "tables: equal, written differently"


def _row_lines(table: TableDiff, paint: _Paint) -> Iterator[str]:
    for row in table.rows_removed:
        yield paint(f"- row {row.number}: {_cells_text(row.cells)}", _RED)
    for change in table.rows_changed:
        place = (
            str(change.left) if change.left == change.right else f"{change.left} → {change.right}"
        )
        key = f" ({_cells_text(change.key)})" if change.key else ""
        cells = ", ".join(
            f"{escape(cell.column)}: {_arrow(cell.old, cell.new, paint)}" for cell in change.cells
        )
        yield f"~ row {place}{key}: {cells}"
    for left, right in table.rows_moved:
        yield f"> row {left} → {right}"
    for row in table.rows_added:
        yield paint(f"+ row {row.number}: {_cells_text(row.cells)}", _GREEN)


def _cells_text(cells: Sequence[Any]) -> str:
    return " | ".join("" if cell is None else _value_text(cell) for cell in cells)


def _tree_lines(tree: TreeDiff, paint: _Paint, stat: bool) -> Iterator[str]:
    for node in tree.removed:
        yield paint(f"- {_path_text(node)}", _RED) + _sizes_text(node, None, stat)
    for change in tree.modified:
        yield f"~ {_path_text(change.new)}" + _sizes_text(change.old, change.new, stat)
    for change in tree.mode_changed:
        yield f"~ {_path_text(change.new)}  mode {change.old.mode:o} → {change.new.mode:o}"
    for change in tree.renamed:
        yield _renamed_text(change)
    for node in tree.added:
        yield paint(f"+ {_path_text(node)}", _GREEN) + _sizes_text(None, node, stat)
    sizes = f"{size_text(tree.left_size)} → {size_text(tree.right_size)}"
    files = f"{tree.left_files:,} → {count_text(tree.right_files, 'file')}"
    yield f"{_summary('file', tree.counts()) or 'nothing differs'}; {files}, {sizes}"


def _renamed_text(change: NodeChange) -> str:
    mode = (
        ""
        if change.old.mode == change.new.mode
        else (f"  mode {change.old.mode:o} → {change.new.mode:o}")
    )
    return f"> {_path_text(change.old)} → {_path_text(change.new)}{mode}"


def _path_text(node: Node) -> str:
    if node.link is not None:
        return f"{escape(node.path)} -> {escape(node.link)}"
    return escape(node.path) + ("/" if node.is_dir else "")


def _sizes_text(old: Node | None, new: Node | None, stat: bool) -> str:
    before = old.size if old and old.is_file else None
    after = new.size if new and new.is_file else None
    if stat:
        change = (after or 0) - (before or 0)
        return f"  {'-' if change < 0 else '+'}{size_text(abs(change))}"
    if before is not None and after is not None:
        return f"  {size_text(before)} → {size_text(after)}"
    size = after if before is None else before
    return "" if size is None else f"  {size_text(size)}"


# --- progress -------------------------------------------------------------------------------------


class LineReporter:
    """A Reporter for logs: nothing for short jobs, one line a minute for long ones.

    What shows progress otherwise overrides `_show` and `finish`.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        every_seconds: float = 60.0,
        delay_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._every_seconds = every_seconds
        self._delay_seconds = every_seconds if delay_seconds is None else delay_seconds
        self._clock = clock
        self._begin("", None)

    def _begin(self, what: str, total_bytes: int | None) -> None:
        self._what = what
        self._total_bytes = total_bytes
        self._files = 0
        self._bytes = 0
        self._started = self._clock()
        self._next = self._started + self._delay_seconds

    def start(self, what: str, *, total_bytes: int | None = None) -> None:
        self.finish()
        self._begin(what, total_bytes)

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        self._files += files
        self._bytes += size_bytes
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every_seconds
            seconds = now - self._started
            text = progress_text(self._what, self._files, self._bytes, self._total_bytes, seconds)
            self._show(escape(text))

    def finish(self) -> None:
        self._next = float("inf")

    def warn(self, message: str) -> None:
        self._say(f"warning: {message}")

    def _show(self, text: str) -> None:
        self._say(text)

    def _say(self, line: str) -> None:
        stream = self._stream or sys.stderr
        stream.write(escape(line) + "\n")
        stream.flush()


def progress_text(
    what: str, files: int, size_bytes: int, total_bytes: int | None, seconds: float = 0
) -> str:
    """Return how far a job is after so many seconds, such as "reading data/: 1,200 files, 3.1 MiB of
    8.0 MiB (39 %), 1.2 MiB/s, 4 s left"."""
    size = size_text(size_bytes)
    if total_bytes:
        share = min(100, size_bytes * 100 // total_bytes)
        size = f"{size} of {size_text(total_bytes)} ({share} %)"
    parts = [count_text(files, "file")] if files or not size_bytes else []
    parts.append(size)
    if seconds > 0 and size_bytes:
        parts.append(f"{size_text(int(size_bytes / seconds))}/s")
        if total_bytes and total_bytes > size_bytes:
            rest = seconds * (total_bytes - size_bytes) / size_bytes
            parts.append(f"{duration_text(rest)} left")
    return f"{what}: {', '.join(parts)}"


def duration_text(seconds: float) -> str:
    """Return a duration such as "40 s", "5 min" or "3 h"; nobody knows it better."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600):,} h"
