"""`art cp`: copy versions to another key."""

from typing import Annotated

import typer

from art.cli.about import AllowUndeclared
from art.cli.common import (
    ErrorOnNoop,
    NoHooks,
    Output,
    check_noop,
    complete_ref,
    open_repo,
    shared,
    show_moved,
)


@shared
def command(
    output: Output,
    ref: Annotated[
        str,
        typer.Argument(
            help="KEY@SELECTOR for one version, KEY for all",
            metavar="REF",
            autocompletion=complete_ref,
        ),
    ],
    new: Annotated[str, typer.Argument(help="Key of the copy", metavar="NEW")],
    allow_undeclared: AllowUndeclared = False,
    error_on_noop: ErrorOnNoop = False,
    no_hooks: NoHooks = False,
) -> None:
    """Copy a version, or all of an artifact, to another key

    No bytes are copied.

    \b
    Examples:
      art cp sales/report@prod archive/report
      art cp b3:6f1ed002 found/again
    """
    moved = open_repo(output).copy(ref, new, allow_undeclared=allow_undeclared)
    show_moved(output, moved)
    check_noop(not moved.made, f"{ref} was copied to {new} before", is_error=error_on_noop)
