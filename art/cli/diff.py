"""`art diff`: how two versions differ."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import (
    Output,
    Partition,
    Ref,
    complete_ref,
    open_repo,
    option,
    parse_ref,
    shared,
)
from art.errors import UsageError
from art.ref import Ref as Reference

if TYPE_CHECKING:
    from art.diff import Comparison


@shared
def command(
    output: Output,
    left: Ref,
    right: Annotated[
        str | None,
        typer.Argument(
            help="Other version, or @SELECTOR of the same key; else the latest",
            metavar="[REF]",
            autocompletion=complete_ref,
            show_default=False,
        ),
    ] = None,
    stat: Annotated[bool, option("--stat", help="Counts instead of content")] = False,
    contents: Annotated[
        bool, option("--contents", help="Lines of changed text files in folders too")
    ] = False,
    key_columns: Annotated[
        str | None,
        option("--key", metavar="A,B", help="Columns that say which rows of a table are the same"),
    ] = None,
    partition: Partition = None,
    exit_code: Annotated[bool, option("--exit-code", help="Exit code 1 where they differ")] = False,
) -> None:
    """Show how two versions differ

    Text by lines, tables by rows and cells, JSON by paths, folders by files, metadata always.
    KEY alone compares the latest version with the one before it.

    \b
    Examples:
      art diff sales/report
      art diff sales/report@v3 @prod
      art diff sales/data@v1 sales/data@v2 --stat
      art diff sales/prices@v1 @v2 --key country,product
    """
    columns = key_columns.split(",") if key_columns else None
    sides = _sides(left, right, partition)
    comparison = open_repo(output).compare(*sides, key_columns=columns, contents=contents)
    if output.is_json:
        output.show("", comparison.to_json())
    else:
        _show(comparison, stat=stat)
    if exit_code and not comparison.is_same:
        raise typer.Exit(1)


def _sides(
    left: str, right: str | None, partition: list[str] | None
) -> tuple[Reference, Reference]:
    first = parse_ref(left, partition)
    if right is not None:
        return first, parse_ref(f"{first.key}{right}" if right[:1] == "@" else right, partition)
    if not first.key:
        raise UsageError(f"{left} is one version: name the other one", hint="art diff REF REF")
    latest = replace(first, selector="latest")
    if "@" in left.partition("?")[0]:
        return first, latest
    return replace(latest, selector="latest-1"), latest


def _show(comparison: "Comparison", *, stat: bool) -> None:
    from art.render.plain import comparison_lines

    for line in comparison_lines(comparison, color=sys.stdout.isatty(), stat=stat):
        print(line)
