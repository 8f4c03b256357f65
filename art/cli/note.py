"""`art note`: say more about a version, later."""

from typing import Annotated

from art.cli.common import (
    ErrorOnNoop,
    Output,
    Ref,
    open_repo,
    option,
    parse_metadata,
    shared,
    show_version,
)

Texts = list[str] | None


@shared
def command(
    output: Output,
    ref: Ref,
    title: Annotated[
        str | None, option("--title", metavar="TEXT", help="Title; '' takes it away")
    ] = None,
    description: Annotated[
        str | None,
        option("-m", "--description", metavar="TEXT", help="Description; '' takes it away"),
    ] = None,
    label: Annotated[Texts, option("-l", "--label", metavar="LABEL", help="Label to add")] = None,
    unlabel: Annotated[
        Texts, option("--unlabel", metavar="LABEL", help="Label to take away")
    ] = None,
    meta: Annotated[
        Texts, option("-M", "--meta", metavar="K=V|K:=JSON", help="Metadata: text, or := typed")
    ] = None,
    unmeta: Annotated[Texts, option("--unmeta", metavar="K", help="Metadata to take away")] = None,
    message: Annotated[str | None, option("--message", metavar="TEXT", help="Why")] = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Add title, description, labels or metadata to a version

    The version itself, its number and its id stay what they are. What is there already is not
    noted again.

    \b
    Examples:
      art note sales/report@v3 --title "Weekly report" -l final
      art note sales/report -M reviewed:=true --unmeta draft
    """
    repo = open_repo(output)
    version = repo.note(
        ref,
        title=title,
        description=description,
        add_labels=label or (),
        remove_labels=unlabel or (),
        metadata=parse_metadata(meta),
        remove_metadata=unmeta or (),
        message=message,
        error_on_noop=error_on_noop,
    )
    show_version(output, version)
