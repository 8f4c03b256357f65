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
    Place,
    PlaceOptions,
    Ref,
    Yes,
    check_noop,
    open_place,
    option,
    parse_ref,
    shared,
)
from art.errors import UsageError
from art.render.plain import count_text, escape

if TYPE_CHECKING:
    from art.surplus import Surplus
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
    exact: Annotated[
        bool, option("--exact", help="Files that the version does not have are removed from DEST")
    ] = False,
    yes: Yes = False,
    as_zip: Annotated[bool, option("--zip", help="One zip file")] = False,
    as_tar: Annotated[bool, option("--tar", help="One tar file")] = False,
    partition: Partition = None,
    jobs: Jobs = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Take a version, or a path or glob of one, out to the disk

    Every byte is verified before anything is put in place. Files that are right already are left
    alone; files that were changed are not overwritten without --force. With --exact, other files in
    DEST are listed, and removed when you agree.

    \b
    Examples:
      art get sales/report
      art get sales/data@prod data/
      art get 'sales/data@v3/eu/*.csv' out/
      art get sales/data out/ -p region=eu
      art get sales/data@prod out/ --exact --yes
      art get models/churn@v7 --zip
      art get sales/data@prod data/ --remote s3://bucket/repo
    """
    if as_zip and as_tar:
        raise UsageError("--zip and --tar exclude each other")
    where = parse_ref(ref, partition)
    if destination == "":
        raise UsageError("DEST is empty", hint="leave it out, or name a file or folder; here is .")
    if destination == "-":
        raise UsageError("DEST - is no file", hint=f"art cat {ref}; a file of that name is ./-")
    repo = open_place(output, remote, remote_option, where.key or None)
    version = repo.version(replace(where, path=""))
    archive = "zip" if as_zip else "tar" if as_tar else None
    if destination and not archive:
        _refuse_unmeant_archive(version, destination, where.path)
    surplus = None
    if exact:
        if archive:
            raise UsageError("--exact goes with a folder, not with an archive")
        surplus = version.surplus(destination, path=where.path)
        _confirm(output, surplus, yes=yes)
    got = version.get(destination, path=where.path, force=force, archive=archive)
    output.say(
        f"{version.ref}: {count_text(got.written, 'file')} written, {got.unchanged:,} unchanged"
    )
    removed = surplus.remove() if surplus else 0
    if removed:
        output.say(f"{count_text(removed, 'file')} removed")
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
            "removed": surplus.paths if surplus else [],
        },
    )

    check_noop(
        not got.written and not removed,
        f"all of {version.ref} is there already",
        is_error=error_on_noop,
    )


def _confirm(output: Output, surplus: "Surplus", *, yes: bool) -> None:
    """Return when the user agrees that these files go, having seen which."""
    if surplus.paths:
        for path in surplus.paths:
            output.say(f"not in the version: {escape(str(surplus.root / path))}")
        what = count_text(len(surplus.files), "file") + " and folders" * bool(surplus.folders)
        output.confirm(f"remove {what} from {surplus.root}?", yes=yes)


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
