"""`art log`: the history of one artifact."""

from typing import Annotated

from art.cli.common import Key, Output, open_repo, option, shared
from art.cli.rows import COLUMNS, Format, parse_columns, show_rows

_DEFAULT = ["version", "id", "type", "size", "created", "author", "tags", "state", "about"]


@shared
def command(
    output: Output,
    key: Key,
    number: Annotated[
        int | None, option("-n", "--number", metavar="N", min=0, help="At most so many")
    ] = None,
    columns: Annotated[
        str | None, option("--columns", metavar="A,B", help="Columns: " + " ".join(COLUMNS))
    ] = None,
    format: Annotated[
        Format | None, option("-o", "--format", help="Form of the output", show_default="table")
    ] = None,
) -> None:
    """Show the versions of an artifact, newest first

    Deleted and moved versions are shown too, with their state.

    \b
    Examples:
      art log sales/report
      art log sales/report -n 10 -o jsonl
    """
    chosen = parse_columns(columns, _DEFAULT)
    show_rows(output, open_repo(output).history(key, limit=number), format, chosen)
