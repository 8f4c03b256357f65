"""`art get`: take content out to the disk."""

from dataclasses import replace
from typing import Annotated

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
from art.render.plain import count_text


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
    version = open_repo(output).version(replace(where, path=""))
    archive = "zip" if as_zip else "tar" if as_tar else None
    got = version.get(destination, path=where.path, force=force, archive=archive)
    output.say(
        f"{version.ref}: {count_text(got.written, 'file')} written, {got.unchanged} unchanged"
    )
    output.show(
        str(got.path),
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
