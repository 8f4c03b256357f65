"""`art restore`: bring back what was deleted."""

from typing import Annotated

import typer

from art.cli.common import Output, complete_ref, count, open_repo, shared, version_document


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str],
        typer.Argument(help="Deleted versions", metavar="REF...", autocompletion=complete_ref),
    ],
) -> None:
    """Bring deleted versions back under their numbers

    \b
    Examples:
      art restore sales/report@v3
      art restore b3:6f1ed002
    """
    versions = open_repo(output).restore(*refs)
    output.say(f"restored {count(len(versions), 'version')}")
    output.show(
        "\n".join(version.ref for version in versions),
        [version_document(version) for version in versions],
    )
