"""`art ls`: the artifacts of a repository."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import (
    By,
    Output,
    Place,
    PlaceOptions,
    complete_key,
    open_place,
    option,
    parse_pairs,
    shared,
)
from art.cli.rows import (
    Columns,
    Form,
    Number,
    Where,
    parse_columns,
    show_count,
    show_groups,
    show_rows,
)
from art.errors import UsageError
from art.listing import Filter
from art.nearest import did_you_mean
from art.render.plain import escape

if TYPE_CHECKING:
    from art.repo import Repo

Texts = list[str] | None
_DEFAULT = ["key", "version", "type", "size", "created", "tags", "about"]
_ANONYMOUS = ["id", "type", "size", "created", "about"]


Patterns = Annotated[
    Texts,
    typer.Argument(
        help="Keys or globs over keys: * stays within a part, ** does not",
        metavar="[PATTERN...]",
        autocompletion=complete_key,
    ),
]
All = Annotated[bool, option("-a", "--all", help="Every version, not only the latest")]
Anonymous = Annotated[bool, option("--anonymous", help="Versions without a key")]
Deleted = Annotated[bool, option("--deleted", help="Deleted versions")]
Sort = Annotated[
    str,
    option(
        "--sort",
        metavar="ORDER",
        help="Order: key, created, size, files, type, author, number, title, metadata.NAME …, with :asc "
        "or :desc",
    ),
]
Reverse = Annotated[bool, option("-r", "--reverse", help="Reverse order")]
Type = Annotated[Texts, option("--type", metavar="TYPE", help="Only this type")]
Tag = Annotated[Texts, option("-t", "--tag", metavar="TAG", help="Only with this tag")]
Label = Annotated[Texts, option("-l", "--label", metavar="LABEL", help="Only with this label")]
Partition = Annotated[
    Texts,
    option(
        "-p",
        "--partition",
        metavar="K=V",
        help="Only of this partition: eu, eu,us, 2026-11-01..2026-11-07, -1d, latest",
    ),
]
LatestPer = Annotated[
    Texts,
    option(
        "--latest-per",
        metavar="NAME",
        help="Latest version, or with --by the greatest, of each value of this partition, or of all: "
        "partition",
    ),
]
Since = Annotated[
    str | None, option("--since", metavar="TIME", help="Made then or later: 2026-11-21 or 7d")
]
Until = Annotated[str | None, option("--until", metavar="TIME", help="Made then or before")]
Offset = Annotated[int, option("--offset", metavar="N", min=0, help="Leave out so many first")]
Count = Annotated[bool, option("--count", help="Only how many there are")]
GroupBy = Annotated[
    str | None,
    option(
        "--group-by",
        metavar="FIELD",
        help="Count, size and newest of all versions by key, type, author, label, tag, "
        "partition:NAME or metadata.NAME",
    ),
]


@shared
def command(
    output: Output,
    patterns: Patterns = None,
    all: All = False,
    anonymous: Anonymous = False,
    deleted: Deleted = False,
    number: Number = None,
    sort: Sort = "key",
    reverse: Reverse = False,
    type: Type = None,
    tag: Tag = None,
    label: Label = None,
    partition: Partition = None,
    by: By = None,
    latest_per: LatestPer = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    offset: Offset = 0,
    count: Count = False,
    group_by: GroupBy = None,
    columns: Columns = None,
    format: Form = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """List artifacts, the latest version of each

    With --label, --partition or --where, the latest version of each that has or is that. The columns
    rows, columns, width, height, shape and dtype say of tables, pictures and arrays what their manifests
    do.

    \b
    Examples:
      art ls
      art ls 'sales/*' --tag prod
      art ls -a --since 7d -o csv --columns ref,size,metadata.rows
      art ls --type table --columns key,version,rows,columns
      art ls --where 'type = model and metadata.acc >= 0.9' --sort metadata.acc:desc --limit 5
      art ls --where 'ancestor = raw@v3 and created > now-7d' --count
      art ls --group-by label
      art ls rides --latest-per region -p day=-7d..today
      art ls -o ids | xargs -n1 art inspect
      art ls 'sales/*' --remote s3://bucket/repo
    """
    if count and group_by:
        raise UsageError("cannot use both --count and --group-by")
    if count:
        output.refuse("with --count", "columns", "format", "sort", "reverse")
    if group_by:
        output.refuse("with --group-by", "columns")
    chosen = parse_columns(columns, _ANONYMOUS if anonymous else _DEFAULT)
    wanted = Filter(
        all=all,
        anonymous=anonymous,
        deleted=deleted,
        types=tuple(type or ()),
        tags=tuple(tag or ()),
        labels=tuple(label or ()),
        partitions=parse_pairs(partition, "-p"),
        by=by,
        latest_per=tuple(latest_per or ()),
        since=since,
        until=until,
        where=where,
        sort=sort,
        reverse=reverse,
        limit=number,
        offset=offset,
    )
    repo = open_place(output, remote, remote_option, *(patterns or ()))
    if count:
        show_count(output, repo.count(None, *(patterns or ()), filter=wanted))
    elif group_by:
        groups = repo.groups(group_by, *(patterns or ()), filter=wanted)
        show_groups(output, groups, group_by, format)
    else:
        rows = repo.listing(*(patterns or ()), filter=wanted)
        show_rows(output, repo, rows, format, chosen)
        if not rows:
            _say_what_is_near(output, repo, {"type": type, "tag": tag, "label": label})


def _say_what_is_near(
    output: Output, repo: "Repo", asked: Mapping[str, Iterable[str] | None]
) -> None:
    """Tell of words that no version has, and that are spelled nearly like some that there are."""
    for field, words in asked.items():
        known = {str(group.value) for group in repo.groups(field)} if words else set()
        for word in set(words or ()) - known:
            if hint := did_you_mean(word, known):
                output.say(f"no version has the {field} {escape(word)}; {escape(hint)}")
