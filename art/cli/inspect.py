"""`art inspect`: one version, shown as what it is."""

import sys
from typing import TYPE_CHECKING, Annotated

from art.cli.common import (
    Output,
    Partition,
    Place,
    PlaceOptions,
    Ref,
    open_place,
    option,
    parse_ref,
    record_document,
    shared,
)

if TYPE_CHECKING:
    from art.version import Version


@shared
def command(
    output: Output,
    ref: Ref,
    partition: Partition = None,
    raw: Annotated[bool, option("--raw", help="Only the manifest, as it is stored")] = False,
    rows: Annotated[
        int, option("--rows", metavar="N", min=1, help="Number of rows of a table to show")
    ] = 20,
    first_row: Annotated[
        int, option("--first-row", metavar="N", min=1, help="Row of a table to begin with")
    ] = 1,
    entries: Annotated[
        int, option("--entries", metavar="N", min=1, help="Number of files of a folder to show")
    ] = 200,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """Show a version as what it is, then its manifest

    Markdown as text, tables as tables, pictures in terminals that can, folders as trees.

    \b
    Examples:
      art inspect sales/report
      art inspect sales/prices@v3 --rows 50 --first-row 1001
      art inspect sales/data@prod --raw
      art inspect sales/data@prod --remote origin
    """
    where = parse_ref(ref, partition)
    repo = open_place(output, remote, remote_option, where.key or None)
    version = repo.version(where)
    damage = repo.damaged_versions().get(version.id)
    if damage is not None:
        output.say(f"{version.ref} is damaged, and could not be healed: {damage}")
    if output.is_json:
        output.show("", {**_document(version), "damage": damage})
    elif raw:
        from art.document import dump_plain
        from art.render.plain import escape_lines

        sys.stdout.write(escape_lines(dump_plain(version.document).decode()))
    else:
        from art.render.terminal import render_version

        render_version(version, sys.stdout, rows=rows, first_row=first_row, entries=entries)


def _document(version: "Version") -> dict[str, object]:
    from dataclasses import asdict

    document = record_document(version.record)
    document["manifest"] = version.document
    document["notes"] = [entry.document for entry in version.notes]
    if version.progress is not None:
        document["progress"] = asdict(version.progress)
    return document
