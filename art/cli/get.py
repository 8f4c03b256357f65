"""`art get`: take content out to the disk."""

import re
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from art.cli.common import (
    By,
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
from art.cli.locking import Locked, LockFile, find_version
from art.errors import UsageError
from art.render.plain import count_text, escape

if TYPE_CHECKING:
    from art.checkout import Got
    from art.surplus import Surplus
    from art.version import Version

_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tar")


class Form(str, Enum):
    """A form that content can be converted into."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    MD = "md"
    HTML = "html"
    XLSX = "xlsx"


Destination = Annotated[
    str | None,
    typer.Argument(help="File or folder to write to", metavar="[DEST]", show_default=False),
]


@dataclass(frozen=True)
class Way:
    """How content is taken out."""

    force: Annotated[bool, option("-f", "--force", help="Changed files are overwritten")] = False
    exact: Annotated[
        bool, option("--exact", help="Files that the version does not have are removed from DEST")
    ] = False
    yes: Yes = False
    as_zip: Annotated[bool, option("--zip", help="One zip file")] = False
    as_tar: Annotated[bool, option("--tar", help="One tar file")] = False
    as_form: Annotated[
        Form | None,
        option(
            "--as",
            metavar="csv|json|parquet|md|html|xlsx",
            help="Form to convert it into; with DEST -, to standard output",
        ),
    ] = None

    @property
    def archive(self) -> str | None:
        return "zip" if self.as_zip else "tar" if self.as_tar else None

    def check(self, ref: str, destination: str | None) -> None:
        """Raise UsageError for what does not go together."""
        if self.as_zip and self.as_tar:
            raise UsageError("--zip and --tar exclude each other")
        if self.as_form and (self.archive or self.exact):
            raise UsageError("--as makes one file: it excludes --zip, --tar and --exact")
        if self.exact and self.archive:
            raise UsageError("--exact goes with a folder, not with an archive")
        if destination == "":
            hint = "leave it out, or name a file or folder; here is ."
            raise UsageError("DEST is empty", hint=hint)
        if destination == "-" and not self.as_form:
            raise UsageError("DEST - is no file", hint=f"art cat {ref}; a file of that name is ./-")


@shared
def command(
    output: Output,
    ref: Ref,
    destination: Destination = None,
    *,
    way: Way,
    partition: Partition = None,
    by: By = None,
    locked: Locked = False,
    lock_file: LockFile = None,
    jobs: Jobs = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Take a version, or a path or glob of one, out to the disk

    Every byte is verified before anything is put in place. Files that are right already are left
    alone; files that were changed are not overwritten without --force. With --exact, other files in
    DEST are listed, and removed when you agree.

    With --as, tables, frames and arrays of at most two dimensions become csv, json, parquet, md, html
    or xlsx, markdown becomes html, values become json. In json, NaN is null, and times, decimals and
    bytes (base64) are texts. In xlsx, nothing is a formula.

    \b
    Examples:
      art get sales/report
      art get sales/data@prod data/
      art get 'sales/data@v3/eu/*.csv' out/
      art get sales/data out/ -p region=eu
      art get sales/data@prod out/ --exact --yes
      art get models/churn@v7 --zip
      art get sales/prices --as xlsx
      art get sales/prices@v3 - --as json | jq length
      art get sales/data@prod data/ --remote s3://bucket/repo
      art get sales/data@prod data/ --locked
    """
    way.check(ref, destination)
    if way.archive or destination == "-":
        output.refuse("where nothing is overwritten", "force")
    where = parse_ref(ref, partition, by)
    repo = open_place(output, remote, remote_option, where.key or None)
    version = find_version(repo, where, locked, lock_file)
    if way.as_form:
        is_noop = _convert(output, version, way, destination, where.path)
        said = f"{version.ref} is there as {way.as_form.value} already"
    else:
        is_noop = _take_out(output, version, way, destination, where.path)
        said = f"all of {version.ref} is there already"
    check_noop(is_noop, said, is_error=error_on_noop)


def _take_out(
    output: Output, version: "Version", way: Way, destination: str | None, path: str
) -> bool:
    """Take a version out as it is; return whether all of it was there already."""
    if destination and way.archive:
        _refuse_other_archive(destination, way.archive)
    elif destination:
        _refuse_unmeant_archive(version, destination, path)
    surplus = None
    if way.exact:
        surplus = version.surplus(destination, path=path)
        _confirm(output, surplus, yes=way.yes)
    got = version.get(destination, path=path, force=way.force, archive=way.archive)
    _say(output, version, got)
    if re.fullmatch(r"v[0-9]+|latest-[0-9]+", destination or "") and not version.ref.endswith(
        f"@{destination}"
    ):
        output.say(
            f"{destination} is where it lies now; that version is {version.key}@{destination}"
        )
    removed = surplus.remove() if surplus else 0
    if removed:
        output.say(f"{count_text(removed, 'file')} removed")
    _show(output, version, got, surplus.paths if surplus else [])
    return not got.written and not removed


def _say(output: Output, version: "Version", got: "Got") -> None:
    output.say(
        f"{version.ref}: {count_text(got.written, 'file')} written, {got.unchanged:,} unchanged"
    )


def _show(output: Output, version: "Version", got: "Got", removed: list[str]) -> None:
    path = output.path_text(got.path)
    output.show(
        escape(path) if sys.stdout.isatty() else path,  # elsewhere it is read by programs
        {
            "ref": version.ref,
            "id": version.id,
            "path": path,
            "files": got.files,
            "written": got.written,
            "unchanged": got.unchanged,
            "size": got.size,
            "removed": removed,
        },
    )


def _convert(
    output: Output, version: "Version", way: Way, destination: str | None, path: str
) -> bool:
    """Take a version out in another form, into a file or to standard output; return whether it was there
    already."""
    from art import convert

    assert way.as_form
    form = way.as_form.value
    if destination != "-":
        got = convert.get(version, form, destination, path=path, force=way.force)
        _say(output, version, got)
        _show(output, version, got, [])
        return not got.written
    if output.is_json:
        raise UsageError("--json describes a file, and DEST - is none", hint="name a file")
    if form in ("parquet", "xlsx") and sys.stdout.isatty():
        raise UsageError(f"{form} is nothing for a terminal", hint="name a file")
    from art.cli.streams import StandardOutput

    with StandardOutput() as stream:
        convert.write(version, form, cast("BinaryIO", stream), path=path)
    return False


def _confirm(output: Output, surplus: "Surplus", *, yes: bool) -> None:
    """Return when the user agrees that these files go, having seen which."""
    if surplus.paths:
        for path in surplus.paths:
            output.say(f"not in the version: {escape(str(surplus.root / path))}")
        what = count_text(len(surplus.files), "file") + " and folders" * bool(surplus.folders)
        output.confirm(f"remove {what} from {surplus.root}?", yes=yes)


def _refuse_other_archive(destination: str, archive: str) -> None:
    """Raise UsageError where an archive would come to lie under the name of another kind of archive."""
    if destination.lower().endswith(_ARCHIVES) and not destination.lower().endswith(f".{archive}"):
        name = next(destination[: -len(s)] for s in _ARCHIVES if destination.lower().endswith(s))
        raise UsageError(
            f"{destination!r} is no name of a {archive} file", hint=f"--{archive} {name}.{archive}"
        )


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
