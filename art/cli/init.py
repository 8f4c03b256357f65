"""`art init`: make a repository."""

from pathlib import Path
from typing import Annotated

import typer

from art.cli.common import Output, option, shared


@shared
def command(
    output: Output,
    path: Annotated[
        str, typer.Argument(help="Folder of the repository", metavar="[DIR]", show_default=False)
    ] = ".",
    bare: Annotated[bool, option("--bare", help="No working files beside it")] = False,
    nested: Annotated[bool, option("--nested", help="Allowed inside another repository")] = False,
) -> None:
    """Make a repository here or in DIR

    A repository that is there already is left as it is.

    \b
    Examples:
      art init
      art init experiments
    """
    from art.repo import init

    was_there = (Path(path) / ".art").is_dir()
    repo = init(path, bare=bare, nested=nested)
    verb = "is already there" if was_there else "made"
    output.show(
        f"repository {verb}: {repo.root}", {"root": str(repo.root), "created": not was_there}
    )
