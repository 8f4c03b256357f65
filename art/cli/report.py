"""`art report`: what a job published, for the page that a CI service shows of it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.common import (
    ErrorOnNoop,
    Output,
    check_noop,
    complete_ref,
    open_repo,
    option,
    record_document,
    shared,
)

if TYPE_CHECKING:
    from art.repo.reporting import JobReport


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Versions to tell of, else those of this run or CI job",
            metavar="[REF...]",
            autocompletion=complete_ref,
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        option("--run", metavar="ID", help="Run to tell of, as ART_RUN says or art runs"),
    ] = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Write what a job published, as markdown

    A list of the versions with sizes and tags, what is to be seen of each, and how to get them. Texts of
    the versions cannot change the page. Without a REF it is about the run that this is part of (art run,
    or the variable ART_RUN), or about what runs of this job of a CI service made.

    \b
    Examples:
      art report >> "$GITHUB_STEP_SUMMARY"
      art report sales/report models/churn@prod > report.md
      art report --run 019aa5a8-2b41-7d0c-8a6e-53f0c1d2e3f4
    """
    repo = open_repo(output)
    found = repo.report(*(refs or ()), run=run)
    output.finish()
    if output.is_json:
        output.show("", _document(found))
    else:
        from art.render.markdown import report_markdown

        sys.stdout.write(report_markdown(found))
    if run is not None and not found.versions:
        output.say(f"no version says that it is of run {run}: art runs shows which there are")
    elif not (found.versions or refs):
        output.say("no version says that it is of this job: set ART_RUN before `art create`")
    check_noop(not found.versions, "nothing was published", is_error=error_on_noop)


def _document(found: "JobReport") -> dict[str, Any]:
    versions = [
        {
            **record_document(each.version.record),
            "is_new": each.is_new,
            "published": each.is_published,
            "tagged_before": dict(each.tags),
        }
        for each in found.versions
    ]
    return {"job": dict(found.job), "url": found.url, "versions": versions}
