"""`art get`: take content out to the disk."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import (
    ErrorOnNoop,
    Jobs,
    Output,
    Partition,
    Ref,
    check_noop,
    open_repo,
    option,
    parse_ref,
    shared,
)
from art.errors import UsageError
from art.render.plain import count_text, escape

if TYPE_CHECKING:
    from art.version import Version

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")


@shared
def command(
    output: Output,
    ref: Ref,
    destination: Annotated[
        str | None,
        typer.Argument(help="File or folder to write to", metavar="[DEST]", show_default=False),
    ] = None,
    force: Annotated[bool, option("-f", "--force", help="Changed files are overwritten")] = False,
    as_zip: Annotated[bool, option("--zip", help="One zip file")] = False,
    as_tar: Annotated[bool, option("--tar", help="One tar file")] = False,
    partition: Partition = None,
    jobs: Jobs = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Take a version, or a path or glob of one, out to the disk

    Every byte is verified before anything is put in place. Files that are right already are left
    alone; files that were changed are not overwritten without --force.

    \b
    Examples:
      art get sales/report
      art get sales/data@prod data/
      art get 'sales/data@v3/eu/*.csv' out/
      art get sales/data out/ -p region=eu
      art get models/churn@v7 --zip
    """
    if as_zip and as_tar:
        raise UsageError("--zip and --tar exclude each other")
    where = parse_ref(ref, partition)
    if destination == "":
        raise UsageError("DEST is empty", hint="leave it out, or name a file or folder; here is .")
    if destination == "-":
        raise UsageError("DEST - is no file", hint=f"art cat {ref}; a file of that name is ./-")
    version = open_repo(output).version(replace(where, path=""))
    archive = "zip" if as_zip else "tar" if as_tar else None
    if destination and not archive:
        _refuse_unmeant_archive(version, destination, where.path)
    got = version.get(destination, path=where.path, force=force, archive=archive)
    output.say(
        f"{version.ref}: {count_text(got.written, 'file')} written, {got.unchanged:,} unchanged"
    )
    path = str(got.path)
    output.show(
        escape(path) if sys.stdout.isatty() else path,  # elsewhere it is read by programs
        {
            "ref": version.ref,
            "id": version.id,
            "path": str(got.path),
            "files": got.files,
            "written": got.written,
            "unchanged": got.unchanged,
            "size": got.size,
        },
    )

    check_noop(not got.written, f"all of {version.ref} is there already", is_error=error_on_noop)


def _refuse_unmeant_archive(version: "Version", destination: str, path: str) -> None:
    """Raise UsageError where files would come to lie under the name of an archive."""
    suffix = next((s for s in _ARCHIVES if destination.lower().endswith(s)), None)
    name = path or (version.payload.file if version.payload else None) or ""
    if suffix is None or name.lower().endswith(suffix) or Path(destination).is_dir():
        return
    option = "--zip" if suffix == ".zip" else "--tar"
    raise UsageError(
        f"{destination!r} has the name of an archive, and {version.ref} would be put there as it is",
        hint=f"{option} makes an archive; {destination}/ is a folder",
    )
