"""`art config`: settings."""

from typing import Annotated

import typer

from art.cli.common import Output, group, open_repo, shared

app = group("Show and change settings")

Name = Annotated[str, typer.Argument(help="Name of a setting", metavar="NAME")]
