"""`art du`: what artifacts weigh."""

from dataclasses import asdict
from typing import Annotated

import typer

from art.cli.common import Output, complete_key, open_repo, shared
from art.render.plain import listing_text, size_text


@shared
def command(
    output: Output,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            help="Keys or globs over keys", metavar="[PATTERN...]", autocompletion=complete_key
        ),
    ] = None,
) -> None:
    """Show what artifacts weigh, as files and as stored

    SIZE is what the files of all live versions add up to, STORED what they take in the packs, and
    UNIQUE what no other artifact needs. All keyless versions are one line, with --json of key null.

    \b
    Examples:
      art du
      art du 'models/**'
    """
    usage = open_repo(output).du(*(patterns or ()))
    cells = [
        [
            key.key or "(keyless)",
            str(key.versions),
            size_text(key.size),
            size_text(key.stored),
            size_text(key.unique),
        ]
        for key in usage.keys
    ]
    table = listing_text(["KEY", "VERSIONS", "SIZE", "STORED", "UNIQUE"], cells, right=(1, 2, 3, 4))
    totals = (
        f"{size_text(usage.size)} in versions, {size_text(usage.pack_bytes)} in packs "
        f"({size_text(usage.unreferenced)} needed by no live version), "
        f"{size_text(usage.other_bytes)} in other files"
    )
    output.show(table + totals, asdict(usage))
