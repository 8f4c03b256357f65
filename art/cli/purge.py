"""`art purge`."""

from typing import Annotated

from art.cli.common import NoHooks, Output, Ref, Yes, open_repo, option, record_document, shared
from art.render.plain import size_text


@shared
def command(
    output: Output,
    ref: Ref,
    remote: Annotated[
        str | None, option("--remote", metavar="NAME", help="There first, then here")
    ] = None,
    message: Annotated[str | None, option("-m", "--message", help="Why")] = None,
    force: Annotated[
        bool,
        option(
            "--force",
            help="Also where a tag names it, a version was made from it, or its key is protected",
        ),
    ] = False,
    yes: Yes = False,
    no_hooks: NoHooks = False,
) -> None:
    """Remove a version for ever, and now: a leaked secret, say

    Its bytes go, but those that other versions have too; its manifest is replaced by a stub, and its
    number stays taken. Nothing brings it back. Other clones lose theirs with their next fetch and gc.
    Where damage hides who else needs its bytes, only they stay, until gc: exit code 3.

    \b
    Examples:
      art purge reports/q3@v4 --remote origin
      art purge b3:1f2e3d4c -m "holds a password"
    """
    repo = open_repo(output)
    output.confirm(f"remove {ref} for ever?", yes=yes)
    done = repo.purge(ref, remote=remote, message=message, force=force)
    output.finish()
    here = done[-1]
    record = here.record
    if here.shared_bytes:
        output.say(
            f"{size_text(here.shared_bytes)} of it are part of other versions, too, and stay"
        )
    for other in here.same:
        output.say(
            f"{other.ref} has the same payload and keeps it; purge it as well: art purge {other.ref}"
        )
    for name in here.notes:
        output.say(f"{name} stays, and shows what was noted about it: entries are never changed")
    freed = sum(purged.collected.freed_bytes for purged in done)
    output.show(
        f"{record.ref} is gone for ever; {size_text(max(0, freed))} freed",
        {
            **record_document(record),
            "state": "purged",
            "freed_bytes": freed,
            "shared_bytes": here.shared_bytes,
            "same_payload": [other.ref for other in here.same],
            "notes": here.notes,
        },
    )
