"""`art runs`: what was run, with what, and what came of it."""

import shutil
from typing import Annotated

import typer

from art.cli.common import Output, open_repo, option, shared
from art.render import runs
from art.render.plain import listing_text


@shared
def command(
    output: Output,
    id: Annotated[
        str | None,
        typer.Argument(
            help="Id of a run, or its beginning or end", metavar="[ID]", show_default=False
        ),
    ] = None,
    name: Annotated[str | None, option("--name", metavar="NAME", help="Runs of this name")] = None,
    number: Annotated[
        int, option("-n", "--number", metavar="N", min=1, help="How many at most")
    ] = 50,
) -> None:
    """List the runs that have ended, newest first, or show one

    Of a run that others were part of, STEP tells how many and which.

    \b
    Examples:
      art runs
      art runs --name nightly -n 5
      art runs 53f0c1d2e3f4
      art runs 019aa5a8-2b41-7d0c-8a6e-53f0c1d2e3f4 --json
    """
    repo = open_repo(output)
    if id is not None:
        output.refuse("where one run is shown", "name", "number")
        past = repo.get_run(id)
        output.show("\n".join(runs.lines(past.document)), past.document)
        return
    found = repo.runs(name, limit=number)
    width = shutil.get_terminal_size().columns
    text = listing_text(
        runs.HEADER, [runs.row(past.document) for past in found], width=width, keep={0}
    )
    output.show(text.rstrip("\n") if found else "", [past.document for past in found])
