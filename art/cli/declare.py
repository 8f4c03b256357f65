"""`art declare`: what versions of an artifact are."""

from typing import Annotated, Any

from art.cli.common import (
    ErrorOnNoop,
    Key,
    Output,
    check_noop,
    open_repo,
    option,
    parse_metadata,
    shared,
)
from art.cli.settings import show_settings

Texts = list[str] | None


@shared
def command(
    output: Output,
    key: Key,
    partition: Annotated[
        Texts, option("--partition", metavar="NAME", help="Partition that each version is of")
    ] = None,
    time_partition: Annotated[
        Texts,
        option(
            "--time-partition",
            metavar="[NAME:]LENGTH",
            help="Partition that is time: minute, hour, day, week, month, quarter or year of UTC",
        ),
    ] = None,
    type: Annotated[str | None, option("--type", metavar="WORD", help="Type of versions")] = None,
    description: Annotated[
        str | None, option("-m", "--description", metavar="TEXT", help="What the artifact is")
    ] = None,
    tag: Annotated[
        Texts, option("-t", "--tag", metavar="TAG", help="Tag that moves to each new version")
    ] = None,
    retention: Annotated[
        Texts,
        option("--retention", metavar="RULE=VALUE", help="What art prune keeps: keep_last=10 …"),
    ] = None,
    message: Annotated[str | None, option("--message", metavar="TEXT", help="Why")] = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Declare what versions of an artifact are, or show what is declared

    What is given replaces what was declared before, the partitions as a whole; the rest stays. A
    version that lacks a partition, or is of another one, is refused then, unless it is made with
    --allow-undeclared. Values of partitions in time are periods of UTC: 2026-11-21T14:05Z, 2026-11-21T14Z,
    2026-11-21, 2026-W47, 2026-11, 2026-Q4, 2026; a time in any zone is taken, too.

    It is kept in the settings, so it travels, and `art settings` takes it away.

    \b
    Examples:
      art declare rides --partition region --time-partition day
      art declare invoices --time-partition due:month --type table -m "What customers owe"
      art declare rides --retention keep_last=30 --tag newest
      art declare rides
    """
    given: dict[str, Any] = {
        "partitions": partition,
        "time_partition": time_partition,
        "type": type,
        "description": description,
        "default_tags": tag,
        "retention": parse_metadata(retention, "--retention") or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    repo = open_repo(output)
    if not given:
        output.refuse("where nothing is declared", "message", "error_on_noop")
        show_settings(output, repo, key, repo.settings(key).document)
        return
    change = repo.declare(key, message=message, **given)
    show_settings(output, repo, key, change.settings, changed=change.changed)
    check_noop(not change.changed, f"{key} is declared so already", is_error=error_on_noop)
