"""`art mv`: rename an artifact."""

from typing import Annotated

import typer

from art.cli.about import AllowUndeclared
from art.cli.common import Key, NoHooks, Output, open_repo, option, shared, show_moved


@shared
def command(
    output: Output,
    key: Key,
    new: Annotated[str, typer.Argument(help="New key", metavar="NEW")],
    force: Annotated[
        bool, option("-f", "--force", help="Also where the artifact or a tag of it is protected")
    ] = False,
    allow_undeclared: AllowUndeclared = False,
    no_hooks: NoHooks = False,
) -> None:
    """Rename an artifact; the old references go on working

    Its live versions and tags go on under the new key. No bytes are copied.

    \b
    Examples:
      art mv sales/report reports/sales
    """
    moved = open_repo(output).move(key, new, force=force, allow_undeclared=allow_undeclared)
    show_moved(output, moved)
