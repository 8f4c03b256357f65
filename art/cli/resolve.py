"""`art resolve`: say which version a reference means."""

from typing import Annotated

import typer

from art.cli.common import (
    By,
    Output,
    Partition,
    Place,
    PlaceOptions,
    complete_ref,
    name_text,
    open_place,
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
    by: By = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """Print the version and the id that a reference means now

    \b
    Examples:
      art resolve sales/report@prod
      art resolve sales/data -p region=eu
      art resolve b3:6f1ed002
      art resolve sales/report@prod --remote s3://bucket/repo
    """
    wanted = [parse_ref(ref, partition, by) for ref in refs]
    repo = open_place(output, remote, remote_option, *(ref.key or None for ref in wanted))
    versions = [repo.version(ref) for ref in wanted]
    output.show(
        "\n".join(name_text(version) for version in versions),
        [
            {
                "asked": str(ref),
                "is_exact": ref.is_exact,
                "ref": version.ref,
                "key": version.key,
                "number": version.number,
                "id": version.id,
            }
            for ref, version in zip(wanted, versions, strict=True)
        ],
    )
