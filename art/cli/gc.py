"""`art gc`."""

from typing import Annotated

from art.cli.common import (
    DryRun,
    ErrorOnNoop,
    Jobs,
    Output,
    Yes,
    check_noop,
    open_repo,
    option,
    shared,
)
from art.render.plain import count_text, size_text


@shared
def command(
    output: Output,
    remote: Annotated[
        str | None, option("--remote", metavar="NAME", help="Remote, instead of here")
    ] = None,
    grace: Annotated[
        str | None,
        option(
            "--grace",
            metavar="SPAN",
            help="How long deleted versions keep their bytes, such as 14d",
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    jobs: Jobs = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Free the bytes that no version needs

    Live versions keep theirs, and so does what a tag names or a live version was made from. Deleted
    versions keep them for a grace period, in which `art restore` brings them back. At a remote, packs
    are marked first, and deleted by a later run: others may be pushing.

    \b
    Examples:
      art gc --dry-run
      art gc --yes
      art gc --remote origin
    """
    repo = open_repo(output)
    plan = repo.plan_gc(remote=remote, grace=grace)
    output.finish()
    for record in plan.expired:
        output.say(f"{record.ref} is deleted; after this nothing brings it back")
    if plan.is_empty:
        output.show(
            "", {"freed_bytes": 0, "packs": 0, "swept": 0, "waiting": 0, "waiting_bytes": 0}
        )
        output.say("nothing to free: every pack is needed")
        check_noop(True, "nothing to free", is_error=error_on_noop)
        return
    what = f"{size_text(max(0, plan.freed_bytes))} in {count_text(len(plan.ripe), 'pack')}"
    if dry_run:
        output.show(
            f"would free {what}",
            {
                "freed_bytes": plan.freed_bytes,
                "packs": len(plan.ripe),
                "swept": len(plan.expired),
                "waiting": len(plan.going) - len(plan.ripe),
                "waiting_bytes": plan.waiting_bytes,
            },
        )
        return
    if plan.expired:
        count = count_text(len(plan.expired), "deleted version")
        output.confirm(f"free {what}, so that {count} cannot be restored?", yes=yes)
    done = repo.gc(remote=remote, grace=grace)
    output.finish()
    text = f"freed {size_text(max(0, done.freed_bytes))}: {count_text(done.packs, 'pack')} deleted"
    if done.swept:
        text += f", {count_text(done.swept, 'version')} swept"
    if done.waiting:
        text += (
            f"; {count_text(done.waiting, 'pack')} with {size_text(done.waiting_bytes)} marked for a "
            "later run"
        )
    output.show(
        text,
        {
            "freed_bytes": done.freed_bytes,
            "packs": done.packs,
            "swept": done.swept,
            "waiting": done.waiting,
            "waiting_bytes": done.waiting_bytes,
        },
    )
