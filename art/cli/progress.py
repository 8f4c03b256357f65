"""`art progress`: how far something is."""

from typing import Annotated

import typer

from art.cli.about import AllowUndeclared
from art.cli.common import Key, NoHooks, Output, open_repo, option, shared, show_published


@shared
def command(
    output: Output,
    key: Key,
    value: Annotated[str, typer.Argument(help="Percent, 0 to 100", metavar="VALUE")],
    clamp: Annotated[bool, option("--clamp", help="Progress forced into 0 to 100")] = False,
    new: Annotated[bool, option("--new", help="New version instead of the present one")] = False,
    message: Annotated[
        str | None,
        option(
            "-m",
            "--message",
            metavar="TEXT",
            help="What is being done, else as before; '' for nothing",
        ),
    ] = None,
    allow_undeclared: AllowUndeclared = False,
    no_hooks: NoHooks = False,
) -> None:
    """Make a progress artifact, or update it in place

    \b
    Examples:
      art progress train/epochs 42.5 -m "epoch 17 of 40"
      art progress train/epochs 0 --new
    """
    repo = open_repo(output)
    made = repo.progress(
        key, value, clamp=clamp, new=new, message=message, allow_undeclared=allow_undeclared
    )
    show_published(output, made)
