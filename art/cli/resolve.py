"""`art resolve`: say which version a reference means."""

from typing import Annotated

import typer

from art.cli.common import (
    Output,
    Partition,
    complete_ref,
    name_text,
    open_repo,
    parse_ref,
    shared,
)


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str],
        typer.Argument(help="References", metavar="REF...", autocompletion=complete_ref),
    ],
    partition: Partition = None,
) -> None:
    """Print the version and the id that a reference means now

    \b
    Examples:
      art resolve sales/report@prod
      art resolve sales/data -p region=eu
      art resolve b3:6f1ed002
    """
    repo = open_repo(output)
    versions = [repo.version(parse_ref(ref, partition)) for ref in refs]
    output.show(
        "\n".join(name_text(version) for version in versions),
        [
            {"ref": version.ref, "key": version.key, "number": version.number, "id": version.id}
            for version in versions
        ],
    )
