"""`art fetch`: bring a remote's history."""

from typing import TYPE_CHECKING, Annotated

from art.cli import transfers
from art.cli.common import DryRun, ErrorOnNoop, Output, check_noop, open_repo, option, shared
from art.errors import ArtError, PartialError, UsageError
from art.render.plain import escape

if TYPE_CHECKING:
    from art.repo import Repo
    from art.sync import Fetched


@shared
def command(
    output: Output,
    keys: transfers.Keys = None,
    remote: transfers.Remote = None,
    all: Annotated[
        bool, option("-a", "--all", help="From all remotes, one after the other")
    ] = False,
    dry_run: DryRun = False,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Bring a remote's history here, without payloads

    Payloads come when they are needed, or with `art pull`. A version of this repository that is not
    published and whose number is taken there gets the next one, and that is said.

    \b
    Examples:
      art fetch
      art fetch 'sales/*' --remote mirror
      art fetch --all
    """
    if all and remote is not None:
        raise UsageError("--all and --remote exclude each other")
    repo = open_repo(output)
    names: list[str | None] = [setting.name for setting in repo.remotes.all()] if all else [remote]
    found, problems = _fetch(repo, names or [None], tuple(keys or ()), dry_run=dry_run)
    output.finish()
    verb = "would fetch" if dry_run else ""
    documents = [
        {**transfers.fetched_document(repo, fetched), "dry_run": dry_run} for fetched in found
    ]
    lines = [transfers.sent_lines(fetched.versions, verb) for fetched in found]
    output.show("\n".join(filter(None, lines)), documents if all else documents[0])
    for fetched in found:
        _say(output, repo, fetched, verb or "fetched")
    _raise_problems(output, problems)
    superseded = [item for fetched in found for item in fetched.superseded]
    transfers.check_complete(output, [], superseded, "fetched")
    is_noop = not any(fetched.versions or fetched.entries for fetched in found)
    check_noop(is_noop, "nothing new to fetch", is_error=error_on_noop)


def _fetch(
    repo: "Repo", names: list[str | None], patterns: tuple[str, ...], *, dry_run: bool
) -> tuple[list["Fetched"], list[ArtError]]:
    """Return what came from each remote, and what went wrong at others. Raise where nothing came."""
    fetch = repo.plan_fetch if dry_run else repo.fetch
    found: list[Fetched] = []
    problems: list[ArtError] = []
    for name in names:
        try:
            found.append(fetch(*patterns, remote=name))
        except ArtError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    return found, problems


def _say(output: Output, repo: "Repo", fetched: "Fetched", verb: str) -> None:
    transfers.say_renumbered(output, fetched.renumbered)
    place = transfers.place_text(repo, fetched.remote)
    if fetched.versions or fetched.entries:
        what = transfers.what_text(len(fetched.versions), fetched.entries)
        output.say(f"{verb} {what} from {place}")
    else:
        output.say(f"nothing new at {place}")


def _raise_problems(output: Output, problems: list[ArtError]) -> None:
    for problem in problems[:-1]:
        output.say(escape(problem.message))
    if problems:
        raise PartialError(problems[-1].message, hint=problems[-1].hint)
