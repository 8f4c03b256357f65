"""`art cat`: content to standard output."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from art.cli.common import (
    Output,
    Partition,
    Place,
    PlaceOptions,
    Ref,
    open_place,
    parse_ref,
    shared,
)

if TYPE_CHECKING:
    from art.version import Version


@shared
def command(
    output: Output,
    ref: Ref,
    partition: Partition = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """Print the content of a file or a text

    Bytes go out as they are; on a terminal, what it would obey is shown instead.

    \b
    Examples:
      art cat sales/report
      art cat sales/data@v3/eu/part-0.csv | head
      art cat sales/data@prod/eu/part-0.csv --remote s3://bucket/repo
    """
    where = parse_ref(ref, partition)
    repo = open_place(output, remote, remote_option, where.key or None)
    version = repo.version(replace(where, path=""))
    path = where.path or None
    if output.is_json:
        output.show("", _document(version, path))
        return
    with version.open(path) as stream:
        parts = iter(lambda: stream.read(1 << 20), b"")
        for part in _printable(parts) if sys.stdout.isatty() else parts:
            view = memoryview(part)
            while view:  # with PYTHONUNBUFFERED a part of it may be taken
                view = view[sys.stdout.buffer.write(view) :]
    sys.stdout.buffer.flush()


def _document(version: "Version", path: str | None) -> dict[str, object]:
    import base64

    content = version.read(path)
    document: dict[str, object] = {"ref": version.ref, "id": version.id, "path": path}
    document["size"] = len(content)
    try:
        return {**document, "text": content.decode()}
    except UnicodeDecodeError:
        return {**document, "base64": base64.b64encode(content).decode()}


def _printable(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield text in which control characters other than newline and tab are shown as escapes."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for part in parts:
        text = decoder.decode(part)
        shown = (
            character
            if character.isprintable() or character in "\n\t"
            else character.encode("unicode_escape").decode()
            for character in text
        )
        yield "".join(shown).encode()
