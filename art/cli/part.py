"""`art part`: what one of several jobs makes of a version."""

from typing import Annotated

import typer

from art.cli.about import Input, Texts, find_inputs
from art.cli.common import (
    ErrorOnNoop,
    Jobs,
    Key,
    Output,
    check_noop,
    open_repo,
    option,
    shared,
)
from art.render.plain import count_text, size_text

Draft = Annotated[
    str,
    option("--draft", metavar="NAME", help="Draft, the same word in all jobs: the id of a CI run"),
]
Local = Annotated[
    bool, option("--local", help="Draft kept in this repository, not at the authority")
]


@shared
def command(
    output: Output,
    key: Key,
    paths: Annotated[
        Texts, typer.Argument(help="Files, folders or globs", metavar="PATH...")
    ] = None,
    draft: Draft = ...,  # type: ignore[assignment]
    name: Annotated[
        str, option("--name", metavar="JOB", help="Name of the part, another one in each job")
    ] = ...,  # type: ignore[assignment]
    replace: Annotated[
        bool, option("--replace", help="In place of a part of this name with other content")
    ] = False,
    input: Input = None,
    local: Local = False,
    error_on_noop: ErrorOnNoop = False,
    jobs: Jobs = None,
) -> None:
    """Add what one job made to a version that several jobs make together

    When all parts are there, `art seal` makes one version of them. Until then nobody sees any. Jobs meet
    at the remote that gives versions their numbers; without a remote, in this repository. The same
    content again changes nothing, so a job can be run again. What comes after the seal is refused.

    \b
    Examples:
      art part tests/reports --draft run-4711 --name linux-3.12 reports/
      art part sales/data --draft $CI_PIPELINE_ID --name $CI_NODE_INDEX out/*.parquet
    """
    repo = open_repo(output)
    added = repo.part(
        key,
        *(paths or ()),
        draft=draft,
        name=name,
        inputs=find_inputs(output, input),
        replace=replace,
        local=local,
    )
    output.finish()
    where = f" at {added.where}" if added.where else ""
    if not (added.where or local):
        output.say("warning: there is no remote, so the part is seen in this repository alone")
    what = f"{count_text(added.files, 'file')}, {size_text(added.size)}"
    state = "" if added.created else "  unchanged"
    output.show(
        f"part {name} of draft {draft} of {key}{where}: {what}{state}",
        {
            "key": key,
            "draft": draft,
            "part": name,
            "tree": added.tree,
            "size": added.size,
            "files": added.files,
            "created": added.created,
            "remote": added.where,
        },
    )
    check_noop(not added.created, f"part {name} is there already", is_error=error_on_noop)
