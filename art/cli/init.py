"""`art init`: make a repository."""

from pathlib import Path
from typing import Annotated

import typer

from art.cli.common import ErrorOnNoop, Output, check_noop, option, shared
from art.render.plain import escape


@shared
def command(
    output: Output,
    path: Annotated[
        str, typer.Argument(help="Folder of the repository", metavar="[DIR]", show_default=False)
    ] = ".",
    bare: Annotated[bool, option("--bare", help="No working files beside it")] = False,
    nested: Annotated[bool, option("--nested", help="Allowed inside another repository")] = False,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Make a repository here or in DIR

    A repository that is there already is left as it is.

    \b
    Examples:
      art init
      art init experiments
    """
    from art.place import DIRECTORY, is_complete
    from art.repo import init

    was_there = is_complete(Path(path) / DIRECTORY)
    repo = init(path, bare=bare, nested=nested)
    verb = "is already there" if was_there else "made"
    output.show(
        escape(f"repository {verb}: {repo.root}"),
        {"root": str(repo.root), "created": not was_there},
    )
    check_noop(was_there, f"{repo.root} is a repository already", is_error=error_on_noop)
