"""Documents in another form: markdown as a page, values as JSON."""

from __future__ import annotations

import html
import json
from typing import Any, BinaryIO

from art.convert.cells import cell_view, json_bytes, json_view
from art.convert.sources import Source, plain
from art.errors import UsageError
from art.materialize.framerows import SLICE
from art.tables import JSON_LIMIT

# Nothing is fetched, nothing runs: what a repository holds was written by others.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_HEAD = """<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
body.wide {{ max-width: none }}
table {{ border-collapse: collapse }}
th, td {{ border-bottom: 1px solid #ccc; padding: .2rem .6rem; text-align: left; vertical-align: top }}
td {{ white-space: pre-wrap }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }}
pre {{ background: #f4f4f4; overflow: auto; padding: .6rem }}
</style>
</head>
<body{attributes}>
"""
_FOOT = "</body>\n</html>\n"


def page_head(title: str, *, wide: bool = False) -> str:
    """Return the beginning of a page that needs nothing beside it."""
    attributes = ' class="wide"' if wide else ""
    return _HEAD.format(policy=_POLICY, title=html.escape(title), attributes=attributes)


def page_foot() -> str:
    """Return the end of a page."""
    return _FOOT


def write_markdown(text: str, title: str, stream: BinaryIO) -> None:
    """Write markdown as a page; HTML in it is shown as text, and links that run something are none."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    stream.write((page_head(title) + parser.render(text) + page_foot()).encode())


def write_json(source: Source, stream: BinaryIO) -> None:
    """Write a value. What is JSON already stays as it is, unless it has NaN or infinities."""
    if source.kind == "object" or source.version.type == "value":
        stream.write(json_bytes(json_view(source.version.load()), indent=2) + b"\n")
        return
    with source.open() as content:
        data = content.read(JSON_LIMIT + 1)
    if len(data) > JSON_LIMIT:
        raise UsageError(f"{source.title} is larger than {JSON_LIMIT >> 20} MiB")
    try:
        json.loads(data, parse_constant=_refuse)
        stream.write(data)
    except _ConstantError:
        stream.write(json_bytes(json_view(json.loads(data)), indent=2) + b"\n")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source.title} is not JSON: {error}") from None


class _ConstantError(Exception):
    pass


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


def write_array(array: Any, stream: BinaryIO) -> None:
    """Write an array of any number of dimensions as lists in lists, one line for each of the outermost."""
    if array.ndim == 0:
        stream.write(json_bytes(cell_view(plain(array.reshape(1))[0])) + b"\n")
        return
    step = max(1, SLICE * len(array) // max(1, array.size))
    before = b"["
    for start in range(0, len(array), step):
        for item in plain(array[start : start + step]):
            stream.write(before + b"\n" + json_bytes(_nested(item)))
            before = b","
    stream.write(b"[]\n" if before == b"[" else b"\n]\n")


def _nested(value: Any) -> Any:
    return [_nested(item) for item in value] if isinstance(value, list) else cell_view(value)
