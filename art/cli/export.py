"""`art export`: versions with their history in one plain file."""

from typing import Annotated

import typer

from art.cli.common import DryRun, Jobs, Output, complete_ref, open_repo, option, shared
from art.errors import UsageError
from art.render.plain import count_text, escape, size_text

_ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")


@shared
def command(
    output: Output,
    words: Annotated[
        list[str],
        typer.Argument(
            help="KEY with its whole history, KEY@SELECTOR for one version; then the file, which "
            "ends in .tar, .tar.gz or .zip",
            metavar="[REF...] FILE",
            autocompletion=complete_ref,
        ),
    ],
    all: Annotated[bool, option("-a", "--all", help="All keys, and keyless versions")] = False,
    dry_run: DryRun = False,
    jobs: Jobs = None,
) -> None:
    """Write versions with their history into one tar or zip file

    Anybody can read the files in it: they lie in KEY/vN/files/. art import brings all back. Every version
    has all of its files there, so that many alike take far more than in a repository: --dry-run tells
    how much, unpacked. What is damaged is left out and named: exit code 3.

    \b
    Examples:
      art export sales/report sales/data reports.tar.gz
      art export models/churn@prod churn.zip
      art export --all backup.tar
    """
    *refs, target = words
    if not refs and not all and not target.lower().endswith(_ENDINGS):
        raise UsageError("the file to write is missing", hint=f"art export {target} FILE.tar")
    if all == bool(refs):
        raise UsageError(
            "either REFs or --all says what is exported", hint="art export --all backup.tar"
        )
    repo = open_repo(output)
    files, size = repo.weigh_export(*refs, all=all)
    weight = f"{count_text(files, 'file')}, {size_text(size)} unpacked"
    if dry_run:
        output.show(f"would write {weight}", {"path": target, "files": files, "size": size})
        return
    output.say(f"writing {weight}")
    done = repo.export(target, *refs, all=all)
    output.finish()
    output.say(f"{count_text(done.files, 'file')}, {size_text(done.size)}")
    path = output.path_text(done.path)
    output.show(escape(path), {"path": path, "files": done.files, "size": done.size})
