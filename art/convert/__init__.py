"""What a version holds, in another form: tables as csv, json, parquet, md, html or xlsx; arrays of one or
two dimensions as those; markdown as html; values as json.

    sources     what there is in a version: rows, a value, a text
    rows        rows one can go through as often as one likes, and of what kind their columns are
    cells       a cell as a text, and as JSON has it
    writers     rows into a file of a form

Rows are read and written one after another; a frame of pandas and an array are held in memory, as is JSON.

Nothing in them runs: a page has neither scripts nor anything from elsewhere, and in xlsx cells that begin
with `=` are texts. In csv they stay as they are, because csv has no way to say so.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from art import checkout
from art.checkout import Got
from art.convert import documents, sources, writers
from art.convert.sources import FORMS
from art.errors import ConflictError, UsageError
from art.paths import file_target
from art.staging import beside

if TYPE_CHECKING:
    from art.version import Version

__all__ = ["FORMS", "get", "write"]


def write(version: Version, form: str, stream: BinaryIO, *, path: str = "") -> None:
    """Write a version, or one file of it, in another form: csv, json, parquet, md, html or xlsx.

    Raise UsageError where that form does not hold what is there, and where a library is missing.
    """
    if form not in FORMS:
        raise UsageError(f"{form!r} is no form, expected one of {', '.join(FORMS)}")
    source = sources.source(version, path)
    if sources.is_that(source, form):
        source.copy(stream)
    elif source.kind == "markdown" and form == "html":
        documents.write_markdown(source.text(), source.title, stream)
    elif form == "json" and source.kind in ("json", "object"):
        documents.write_json(source, stream)
    elif form == "parquet" and source.kind == "frame":
        writers.write_frame(source, stream)
    elif form == "json" and source.kind == "array":
        documents.write_array(source.array(), stream)
    else:
        rows = sources.rows(source, form)
        writers.WRITERS[form](rows, source.title, stream)


def get(
    version: Version,
    form: str,
    to: str | os.PathLike[str] | None = None,
    *,
    path: str = "",
    force: bool = False,
) -> Got:
    """Take a version out in another form: into the file `to`, or into it where it is a folder. Otherwise
    as `Version.get`: the file is there whole or not at all, and another one stays unless `force`."""
    target = file_target(to, f"{_stem(version, path)}.{form}")
    with beside(target) as temporary:
        made = Path(temporary) / "file"
        with made.open("xb") as stream:
            write(version, form, stream, path=path)
        size = made.stat().st_size
        if os.path.lexists(target):
            if target.is_file() and checkout.file_digest(target) == checkout.file_digest(made):
                return Got(target, 0, 1, size)
            if not force:
                raise ConflictError(f"{target} is there and differs", hint="--force overwrites it")
        checkout.place(str(made), str(target), replace=force)
    return Got(target, 1, 0, size)


def _stem(version: Version, path: str) -> str:
    """Return the name of the file, without its ending; that of what an object was saved as says nothing."""
    file = version.payload.file if version.payload else None
    if path or (file and "materializer" not in version.format):
        return PurePosixPath(path or str(file)).stem
    return version.default_name
