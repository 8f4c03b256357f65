"""`art inspect`: one version, shown as what it is."""

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

from art.cli.common import (
    By,
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
from art.errors import ArtError, CorruptError, NewerFormatError, NotFoundError
from art.render.plain import escape

if TYPE_CHECKING:
    from art.repo import Repo
    from art.version import Version

_USERS = 5  # versions made from it that are named

Raw = Annotated[bool, option("--raw", help="Only the manifest, as it is stored")]
Rows = Annotated[
    int, option("--rows", metavar="N", min=1, help="Number of rows of a table to show")
]
FirstRow = Annotated[
    int, option("--first-row", metavar="N", min=1, help="Row of a table to begin with")
]
Entries = Annotated[
    int, option("--entries", metavar="N", min=1, help="Number of files of a folder to show")
]
Stats = Annotated[
    bool, option("--stats", help="Only the statistics of the preview, in full, with plots")
]
Fetch = Annotated[
    bool, option("--fetch", help="Content brought here first, where it is only at a remote")
]


@shared
def command(
    output: Output,
    ref: Ref,
    partition: Partition = None,
    by: By = None,
    raw: Raw = False,
    rows: Rows = 20,
    first_row: FirstRow = 1,
    entries: Entries = 200,
    stats: Stats = False,
    fetch: Fetch = False,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """Show a version as what it is, then its manifest; or a run

    Markdown as text, tables as tables, pictures in terminals that can, folders as trees. Where the
    content is not here, as in a clone, the preview is shown that was made with the version: head and
    columns of a table, shape and range of an array, thumbnail of a picture, what an archive holds.

    \b
    Examples:
      art inspect sales/report
      art inspect sales/prices@v3 --rows 50 --first-row 1001
      art inspect sales/prices --stats
      art inspect sales/data@prod --raw
      art inspect sales/data@prod --remote origin
    """
    where = parse_ref(ref, partition, by)
    repo = open_place(output, remote, remote_option, where.key or None)
    try:
        version = repo.version(where)
    except NotFoundError:
        if _show_run(output, repo, ref):
            return
        raise
    damage = repo.damaged_versions().get(version.id)
    if damage is not None:
        output.say(f"{version.ref} is damaged, and could not be healed: {damage}")
    if output.is_json:
        users = _users(repo, version)
        output.show("", {**_document(output, version), "used_by": users, "damage": damage})
    elif raw:
        from art.document import dump_plain
        from art.render.plain import escape_lines

        sys.stdout.write(escape_lines(dump_plain(version.document).decode()))
    elif stats:
        _show_statistics(version)
    else:
        from art.render.terminal import render_version

        if fetch:
            version.bring()
        render_version(version, sys.stdout, rows=rows, first_row=first_row, entries=entries)
        if users := _users(repo, version):
            more = f" and {len(users) - _USERS} more: art usage {ref}" if users[_USERS:] else ""
            print(escape(f"used by  {', '.join(users[:_USERS])}{more}"))


def _show_run(output: Output, repo: "Repo", id: str) -> bool:
    """Show the run of this id, if it is one of a run rather than a reference; return whether it is."""
    from art.render import runs

    try:
        past = repo.get_run(id)
    except NotFoundError:
        return False
    output.show("\n".join(runs.lines(past.document)), past.document)
    return True


def _users(repo: "Repo", version: "Version") -> list[str]:
    """Return the live versions that were made from one directly, the newest first; none where damage
    elsewhere hides them."""
    try:
        found = [each.record for each in repo.usage(version.id)]
    except ArtError:
        return []
    return [record.ref for record in found if record.is_live]


def _show_statistics(version: "Version") -> None:
    """Print what the preview says. Raise NotFoundError where there is none."""
    from art.loading import preview_or_derived
    from art.render import charts, previews

    preview = preview_or_derived(version)
    if preview is None:
        if "preview" in version.manifest.document:
            raise NotFoundError(
                f"the preview of {version.ref} is neither here nor at a remote that can be reached",
                hint="art remote check",
            )
        raise NotFoundError(
            f"{version.ref} has no preview: none was made of it", hint=f"art inspect {version.ref}"
        )
    width = shutil.get_terminal_size().columns
    print(escape(f"{version.ref}  {version.type}"))
    for line in previews.full_lines(preview, width=width, ascii=charts.is_ascii(sys.stdout)):
        print(line)
    if note := previews.note(preview):
        print(note)


def _document(output: Output, version: "Version") -> dict[str, object]:
    from dataclasses import asdict

    from art.loading import preview_or_derived

    document = record_document(version.record)
    document["manifest"] = version.document
    document["notes"] = [entry.document for entry in version.notes]
    try:
        document["preview"] = preview_or_derived(version)
    except (CorruptError, NewerFormatError) as error:  # it is no part of what the version says
        document["preview"] = None
        output.say(f"warning: {escape(error.message)}")
    if version.progress is not None:
        document["progress"] = asdict(version.progress)
    return document
