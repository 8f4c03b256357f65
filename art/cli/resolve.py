"""`art resolve`: say which version a reference means."""

from typing import Annotated

import typer

from art.cli.common import Output, complete_ref, name_text, open_repo, shared


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str],
        typer.Argument(help="References", metavar="REF...", autocompletion=complete_ref),
    ],
) -> None:
    """Print the version and the id that a reference means now

    \b
    Examples:
      art resolve sales/report@prod
      art resolve b3:6f1ed002
    """
    repo = open_repo(output)
    versions = [repo.version(ref) for ref in refs]
    output.show(
        "\n".join(name_text(version) for version in versions),
        [
            {"ref": version.ref, "key": version.key, "number": version.number, "id": version.id}
            for version in versions
        ],
    )
