"""`art restore`: bring back what was deleted."""

from typing import Annotated

import typer

from art.cli.common import (
    ErrorOnNoop,
    Output,
    check_noop,
    complete_ref,
    open_repo,
    record_document,
    shared,
)
from art.render.plain import count_text


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str],
        typer.Argument(help="Deleted versions", metavar="REF...", autocompletion=complete_ref),
    ],
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Bring deleted versions back under their numbers

    KEY alone means all deleted versions of the key. One that gc took the bytes of has the state swept,
    and does not come back.

    \b
    Examples:
      art restore sales/report@v3
      art restore b3:6f1ed002
    """
    repo = open_repo(output)
    if error_on_noop:
        states = {state for ref in refs for state in repo.states(ref)}
        check_noop("deleted" not in states, f"{', '.join(refs)} is not deleted", is_error=True)
    versions = repo.restore(*refs)
    restored = {version.ref for version in versions}
    output.say(
        f"restored {count_text(len(restored), 'version')}" if restored else "it was live already"
    )
    output.show(
        "\n".join(version.ref for version in versions),
        [record_document(version.record) for version in versions],
    )
