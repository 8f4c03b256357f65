"""`art ls`: the artifacts of a repository."""

from typing import Annotated

import typer

from art.cli.common import Output, complete_key, open_repo, option, parse_pairs, shared
from art.cli.rows import COLUMNS, Format, parse_columns, show_rows
from art.listing import Filter

Texts = list[str] | None
_DEFAULT = ["key", "version", "type", "size", "created", "tags", "about"]


@shared
def command(
    output: Output,
    patterns: Annotated[
        Texts,
        typer.Argument(
            help="Keys or globs over keys: * stays within a part, ** does not",
            metavar="[PATTERN...]",
            autocompletion=complete_key,
        ),
    ] = None,
    all: Annotated[bool, option("-a", "--all", help="Every version, not only the latest")] = False,
    anonymous: Annotated[bool, option("--anonymous", help="Versions without a key")] = False,
    deleted: Annotated[bool, option("--deleted", help="Deleted versions")] = False,
    number: Annotated[
        int | None, option("-n", "--number", metavar="N", min=0, help="At most so many")
    ] = None,
    sort: Annotated[
        str,
        option(
            "--sort",
            metavar="ORDER",
            help="Order: key, created, size, files, type, author, number or title",
        ),
    ] = "key",
    reverse: Annotated[bool, option("-r", "--reverse", help="Reverse order")] = False,
    type: Annotated[Texts, option("--type", metavar="TYPE", help="Only this type")] = None,
    tag: Annotated[Texts, option("-t", "--tag", metavar="TAG", help="Only with this tag")] = None,
    label: Annotated[
        Texts, option("-l", "--label", metavar="LABEL", help="Only with this label")
    ] = None,
    partition: Annotated[
        Texts, option("-p", "--partition", metavar="K=V", help="Only of this partition")
    ] = None,
    since: Annotated[
        str | None, option("--since", metavar="TIME", help="Made then or later: 2026-11-21 or 7d")
    ] = None,
    until: Annotated[str | None, option("--until", metavar="TIME", help="Made before")] = None,
    columns: Annotated[
        str | None, option("--columns", metavar="A,B", help="Columns: " + " ".join(COLUMNS))
    ] = None,
    format: Annotated[
        Format | None, option("-o", "--format", help="Form of the output", show_default="table")
    ] = None,
) -> None:
    """List artifacts, the latest version of each

    \b
    Examples:
      art ls
      art ls 'sales/*' --tag prod
      art ls -a --since 7d -o csv --columns ref,size,metadata.rows
      art ls -o ids | xargs -n1 art inspect
    """
    chosen = parse_columns(columns, _DEFAULT)
    wanted = Filter(
        all=all,
        anonymous=anonymous,
        deleted=deleted,
        types=tuple(type or ()),
        tags=tuple(tag or ()),
        labels=tuple(label or ()),
        partitions=parse_pairs(partition, "-p"),
        since=since,
        until=until,
        sort=sort,
        reverse=reverse,
        limit=number,
    )
    rows = open_repo(output).listing(*(patterns or ()), filter=wanted)
    show_rows(output, rows, format, chosen)
