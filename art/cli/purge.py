"""`art purge`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.common import (
    DryRun,
    ErrorOnNoop,
    Message,
    NoHooks,
    Output,
    Yes,
    check_noop,
    complete_ref,
    open_repo,
    option,
    record_document,
    shared,
)
from art.errors import PartialError
from art.render.plain import count_text, escape, size_text

if TYPE_CHECKING:
    from art.holders import Holder
    from art.purge import Purged, PurgePlan
    from art.repo import Repo

_SHOWN = 20


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str],
        typer.Argument(
            help="One version: KEY@v3, KEY@TAG, KEY@latest-1 or b3:…",
            metavar="REF...",
            autocompletion=complete_ref,
        ),
    ],
    same: Annotated[bool, option("--same", help="All with the same payload, too")] = False,
    remote: Annotated[
        str | None, option("--remote", metavar="NAME", help="There first, then here")
    ] = None,
    message: Message = None,
    force: Annotated[
        bool,
        option(
            "--force",
            help="Also where a tag names it, a version was made from it, or its key is protected",
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    error_on_noop: ErrorOnNoop = False,
    no_hooks: NoHooks = False,
) -> None:
    """Remove versions for ever, and now: a leaked secret, say

    Their bytes go, but those that other versions have too, which are listed: name them as well. Their
    manifests are replaced by stubs, their numbers stay taken. Nothing brings them back. Other clones
    lose theirs with their next fetch and gc. Where damage hides who else needs the bytes, only they
    stay, until gc: exit code 3.

    \b
    Examples:
      art purge reports/q3@v4 --dry-run
      art purge reports/q3@v4 reports/q3@v5 --remote origin
      art purge b3:1f2e3d4c -m "holds a password"
    """
    repo = open_repo(output)
    plan = repo.plan_purge(*refs, same=same, force=force)
    _show_holders(output, plan)
    if dry_run:
        going = [record for record in plan.versions if record.state != "purged"]
        lines = [f"would purge {r.ref}  {r.id}  {size_text(r.size or 0)}" for r in going]
        output.show("\n".join(lines), _document(plan, [], purged=0))
        return
    names = [record.ref for record in plan.versions]
    what = (
        names[0] if len(names) == 1 else f"{count_text(len(names), 'version')}, {', '.join(names)},"
    )
    output.confirm(f"remove {what} for ever?", yes=yes)
    done = _purge(output, repo, plan, remote=remote, message=message, force=force)
    new = sum(record.state != "purged" for record in plan.versions)
    _show(output, plan, done, purged=new)
    freed = sum(each.collected.freed_bytes for stores in done for each in stores)
    is_noop = not new and freed <= 0
    check_noop(is_noop, f"{', '.join(names)}: purged already", is_error=error_on_noop)


def _purge(
    output: Output,
    repo: "Repo",
    plan: "PurgePlan",
    *,
    remote: str | None,
    message: str | None,
    force: bool,
) -> list[list["Purged"]]:
    """Purge one after the other, all of them: what is left of one is told at the end."""
    done = []
    problem: PartialError | None = None
    for record in plan.versions:
        try:
            done.append(repo.purge(record.ref, remote=remote, message=message, force=force))
        except PartialError as error:
            if problem is not None:
                output.say(problem.message)
            problem = error
    output.finish()
    if problem is not None:
        raise problem
    return done


def _show_holders(output: Output, plan: "PurgePlan") -> None:
    found, unseen = plan.holders.found, plan.holders.unseen
    if found:
        output.say(f"{count_text(len(found), 'other version')} hold some of the same, and keep it:")
    for holder in found[:_SHOWN]:
        output.say(f"  {holder.record.ref}  {_held(holder)}")
    if len(found) > _SHOWN:
        output.say(f"  … and {len(found) - _SHOWN} more: --json has them all")
    if any(holder.is_same for holder in found):
        output.say("--same purges those that are all the same, too")
    if unseen:
        output.say(
            f"{count_text(len(unseen), 'version')} could not be looked at, their files are not here "
            f"or damaged: {', '.join(record.ref for record in unseen[:3])}"
            + (" …" if len(unseen) > 3 else "")
        )


def _held(holder: "Holder") -> str:
    if holder.is_same:
        return "all of it"
    more = f" and {count_text(len(holder.files) - 1, 'more file')}" if len(holder.files) > 1 else ""
    return escape(holder.files[0]) + more


def _show(output: Output, plan: "PurgePlan", done: list[list["Purged"]], *, purged: int) -> None:
    lines = []
    for stores in done:
        here = stores[-1]
        if here.shared_bytes:
            size = size_text(here.shared_bytes)
            output.say(f"{size} of {here.record.ref} are part of other versions, too, and stay")
        if here.keeps_preview:
            output.say(f"the preview of {here.record.ref} is another version's, too, and stays")
        for name in here.notes:
            output.say(f"{name} stays, and shows what was noted: entries are never changed")
        freed = max(0, sum(each.collected.freed_bytes for each in stores))
        lines.append(f"{here.record.ref} is gone for ever; {size_text(freed)} freed")
    output.show("\n".join(lines), _document(plan, done, purged=purged))


def _document(plan: "PurgePlan", done: list[list["Purged"]], *, purged: int) -> dict[str, Any]:
    came = {stores[-1].record.ref: stores for stores in done}
    versions = []
    for record in plan.versions:
        stores = came.get(record.ref, [])
        document = record_document(record)
        if stores:
            document["state"] = "purged"
            document["freed_bytes"] = sum(each.collected.freed_bytes for each in stores)
            document["shared_bytes"] = stores[-1].shared_bytes
            document["notes"] = stores[-1].notes
        versions.append(document)
    return {
        "purged": purged,
        "freed_bytes": sum(version.get("freed_bytes", 0) for version in versions),
        "versions": versions,
        "held_by": [
            {"ref": each.record.ref, "files": each.files, "same_payload": each.is_same}
            for each in plan.holders.found
        ],
        "not_looked_at": [record.ref for record in plan.holders.unseen],
    }
