"""Previews as plain text. A preview says whatever its author liked, so nothing in it is relied on:
fields may be missing, numbers of any size, texts anything. Every line is escaped here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from art.render import charts
from art.render.plain import count_text, escape, json_text, listing_text, size_text
from art.tables import cell_text

_CELL = 40
_LINES = 200
_SERIES = 12  # lists of numbers that are plotted
_PLOT_HEIGHT = 6
_BAR = 40
_BINS = 50
_STATISTICS = ("count", "nulls", "uniques", "min", "max", "mean")
_COLUMN_HEADER = ["column", "type", "over", *_STATISTICS, "histogram"]


def head(preview: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return names and rows of what a table's preview shows of it."""
    if preview.get("kind") != "table":
        return [], []
    names = [str(column.get("name", "")) for column in _columns(preview)]
    width = len(names)
    rows = [[*row[:width], *[None] * (width - len(row))] for row in preview.get("head", [])]
    return names, rows


def columns_summary(
    preview: Mapping[str, Any], *, ascii: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Return names and rows of a table about the columns of a table; those that say nothing are left out."""
    rows = [_column_row(column, ascii) for column in _columns(preview)]
    used = [place for place in range(len(_COLUMN_HEADER)) if any(row[place] for row in rows)]
    header = [_COLUMN_HEADER[place] for place in used]
    return header, [[row[place] for place in used] for row in rows]


def _column_row(column: Mapping[str, Any], ascii: bool) -> list[str]:
    name = str(column.get("name", "")) + (" (index)" if column.get("index") else "")
    values = [
        _uniques(column) if key == "uniques" else _text(column.get(key))
        for key in ("over", *_STATISTICS)
    ]
    return [name, str(column.get("dtype", "")), *values, charts.bars(_counts(column), ascii=ascii)]


def short_lines(preview: Mapping[str, Any], *, width: int, ascii: bool = False) -> Iterator[str]:
    """Yield what is to be seen of anything but a table; a table says how large it is."""
    for line in _KINDS.get(str(preview.get("kind")), _other)(preview, width, ascii):
        yield escape(line)


def full_lines(preview: Mapping[str, Any], *, width: int, ascii: bool = False) -> Iterator[str]:
    """Yield everything that a preview says, statistics of each column with their plots."""
    yield from short_lines(preview, width=width, ascii=ascii)
    for column in _columns(preview):
        yield ""
        index = ", index" if column.get("index") else ""
        dtype = f"  {column['dtype']}" if column.get("dtype") else ""
        over = f", statistics over {column['over']:,}" if "over" in column else ""
        yield escape(f"{column.get('name', '')}{dtype}{index}{over}")
        for line in _statistics(column, width - 2, ascii):
            yield "  " + escape(line)


def note(preview: Mapping[str, Any]) -> str | None:
    """Return that there is more than is shown, where there is."""
    return "… the preview is cut: there is more" if preview.get("cut") else None


# --- by kind --------------------------------------------------------------------------------------


def _table(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    rows, columns = preview.get("rows"), preview.get("width")
    parts = [count_text(rows, "row")] if rows is not None else []
    parts += [count_text(columns, "column")] if columns is not None else []
    over = preview.get("over")
    if over is not None and over != rows:
        parts.append(f"statistics over {over:,}")
    yield ", ".join(parts)


def _array(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    shape = " x ".join(f"{side}" for side in preview.get("shape", []))
    parts = [shape or "scalar", str(preview.get("dtype", ""))]
    if (size := preview.get("size")) is not None:
        parts.append(count_text(size, "element"))
        if preview.get("over") not in (None, size):
            parts.append(f"statistics over {preview['over']:,}")
    yield ", ".join(filter(None, parts))
    yield from _statistics(preview, width, ascii)
    yield from _array_head(preview.get("head", []), len(preview.get("shape", [])), width, ascii)


def _array_head(head: Sequence[Any], dimensions: int, width: int, ascii: bool) -> Iterator[str]:
    if not head:
        return
    yield ""
    if isinstance(head[0], list):
        yield f"first rows{' of the first part' if dimensions > 2 else ''}:"
        cells = [[_text(cell) for cell in row] for row in head if isinstance(row, list)]
        widest = max(map(len, cells))
        table = [row + [""] * (widest - len(row)) for row in cells]
        if table and widest:
            text = listing_text([""] * widest, table, right=range(widest), width=width, keep=())
            yield from text.splitlines()[1:]
        return
    yield "first elements: " + ", ".join(map(_text, head))
    numbers = _numbers(head)
    if len(numbers) > 2:
        yield charts.sparkline(numbers, ascii=ascii)


def _image(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    sides = f"{preview.get('width', '?')} x {preview.get('height', '?')} pixels"
    parts = [str(preview.get("format", "image")).upper(), sides, str(preview.get("mode", ""))]
    if (preview.get("frames") or 1) > 1:
        parts.append(count_text(preview["frames"], "frame"))
    yield ", ".join(filter(None, parts))


def _text_kind(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    if preview.get("format") == "html":
        yield f"page of HTML, {size_text(preview.get('size'))}; its words:"
    yield from _limited(preview.get("text", "").removesuffix("\n").split("\n"))
    if (size := preview.get("size")) is not None and preview.get("cut"):
        yield f"… of {size_text(size)}"


def _archive(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    parts = [str(preview.get("format", "archive"))]
    if (count := preview.get("count")) is not None:
        parts.append(count_text(count, "entry"))
    if (size := preview.get("size")) is not None:
        parts.append(f"{size_text(size)} unpacked")
    yield ", ".join(parts)
    entries = preview.get("entries", [])
    if entries:
        cells = [
            ["" if entry.get("dir") else size_text(entry.get("size")), str(entry.get("name", ""))]
            for entry in entries
        ]
        text = listing_text(["size", "name"], cells, right=(0,), width=width, keep=(0,))
        yield from text.splitlines()[1:]
        if count is not None and count > len(entries):
            yield f"… {count - len(entries):,} more"


def _json(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    value = preview.get("value")
    if (length := preview.get("length")) is not None:
        yield count_text(length, "item")
    plotted = dict(_series(value))
    for name, numbers in plotted.items():
        yield ""
        yield from _plotted(name, numbers, width, ascii)
    if isinstance(value, list) and plotted:
        yield ", ".join(map(_text, value[:_CELL])) + (", …" if len(value) > _CELL else "")
        return
    if isinstance(value, dict) and plotted:
        yield ""
        value = {name: item for name, item in value.items() if name not in plotted}
    if value or not plotted:
        yield from _limited(json_text(value, indent=2).split("\n"))


def _other(preview: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    shown = {name: value for name, value in preview.items() if name not in ("art", "cut")}
    yield from _limited(json_text(shown, indent=2).split("\n"))


_KINDS = {
    "table": _table,
    "array": _array,
    "image": _image,
    "text": _text_kind,
    "archive": _archive,
    "json": _json,
}


def _limited(lines: Sequence[str]) -> Iterator[str]:
    yield from (line.expandtabs() for line in lines[:_LINES])
    if len(lines) > _LINES:
        yield f"… {count_text(len(lines) - _LINES, 'more line')}"


# --- statistics -----------------------------------------------------------------------------------


def _statistics(column: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    texts = [(name, _uniques(column) if name == "uniques" else _text(column.get(name)))
             for name in _STATISTICS]  # fmt: skip
    if line := "  ".join(f"{name} {text}" for name, text in texts if text):
        yield line
    yield from _histogram(column, width, ascii)
    top = column.get("top", [])
    if top:
        most = max(float(count) for _, count in top)
        room = max(5, min(_BAR, width - _CELL - 12))
        cells = [[_text(value), f"{count:,}", charts.bar(count, most, room, ascii=ascii)]
                 for value, count in top]  # fmt: skip
        yield from listing_text(["", "", ""], cells, right=(1,)).splitlines()[1:]


def _uniques(column: Mapping[str, Any]) -> str:
    found = column.get("uniques")
    if found is None:
        return ""
    return f"{found:,}" + ("" if column.get("uniques_exact", True) else "+")


def _histogram(column: Mapping[str, Any], width: int, ascii: bool) -> Iterator[str]:
    """Yield a line for each bin: from where on, a bar, how many."""
    counts = _counts(column)
    if not counts:
        return
    found = column["histogram"]
    labels = _edges(found.get("low"), found.get("high"), len(counts))
    room = max(5, min(_BAR, width - max(map(len, labels)) - 14))
    cells = [
        [label, charts.bar(count, max(counts), room, ascii=ascii), f"{count:,}"]
        for label, count in zip(labels, counts, strict=True)
    ]
    yield from listing_text(["", "", ""], cells, right=(0, 2)).splitlines()[1:]


def _edges(low: Any, high: Any, bins: int) -> list[str]:
    """Return where each bin begins; of what is no number, the first and where the last ends."""
    if _is_number(low) and _is_number(high):
        low, high = float(low), float(high)
        return [_text(low * (1 - place / bins) + high * (place / bins)) for place in range(bins)]
    labels = [""] * bins
    labels[0] = _text(low)
    if bins > 1:
        labels[-1] = f"to {_text(high)}"
    return labels


def _counts(column: Mapping[str, Any]) -> list[int]:
    histogram = column.get("histogram")
    return list(histogram.get("counts", []))[:_BINS] if histogram else []


def _columns(preview: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(preview.get("columns", [])) if preview.get("kind") == "table" else []


def _text(value: Any) -> str:
    """Return a cell, short enough to stand beside others."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = cell_text(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


# --- series ---------------------------------------------------------------------------------------


def _series(value: Any) -> Iterator[tuple[str, list[float]]]:
    """Yield name and numbers of each list of numbers: the value itself, or what is in a mapping."""
    if (numbers := _whole_series(value)) is not None:
        yield "", numbers
    elif isinstance(value, dict):
        named = ((name, _whole_series(item)) for name, item in value.items())
        found = [(name, numbers) for name, numbers in named if numbers is not None]
        yield from found[:_SERIES]


def _whole_series(value: Any) -> list[float] | None:
    """Return a list of at least three numbers, None for anything else."""
    if not isinstance(value, list) or len(value) < 3:
        return None
    numbers = _numbers(value)
    return numbers if len(numbers) == len(value) else None


def _numbers(values: Sequence[Any]) -> list[float]:
    return [each for each in values if _is_number(each)]


def _is_number(value: Any) -> bool:
    """Whether this is a number that a float can be."""
    return type(value) is float or (type(value) is int and value.bit_length() <= 64)


def _plotted(name: str, numbers: list[float], width: int, ascii: bool) -> Iterator[str]:
    """Yield the plot of a series, with its highest and its lowest beside it."""
    high, low = _text(max(numbers)), _text(min(numbers))
    if name:
        yield f"{_text(name)}  {count_text(len(numbers), 'number')}"
    margin = max(len(high), len(low))
    room = max(8, min(len(numbers), width - margin - 3, 72))
    lines = list(charts.plot(numbers, width=room, height=_PLOT_HEIGHT, ascii=ascii))
    for place, line in enumerate(lines):
        label = high if place == 0 else low if place == len(lines) - 1 else ""
        yield f"{label:>{margin}} {'|' if ascii else '┤'} {line}".rstrip()
