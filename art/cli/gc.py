"""`art gc`."""

from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from art.gc import Collected, GcPlan

_NOTHING = "nothing to free: every pack is needed"


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
    are marked first, and deleted by a later run: others may be pushing. What pushes that were killed
    left there goes when it is a day old.

    \b
    Examples:
      art gc --dry-run
      art gc --yes
      art gc --remote origin
    """
    repo = open_repo(output)
    plan = repo.plan_gc(remote=remote, grace=grace)
    output.finish()
    idle = _idle(plan)
    for record in plan.expired:
        output.say(f"{record.ref} is deleted; after this nothing brings it back")
    if plan.is_empty:
        output.show("", _planned(plan))
        for line in ["nothing to free now", *idle] if idle else [_NOTHING]:
            output.say(line)
        check_noop(True, "nothing to free", is_error=error_on_noop)
        return
    what = _what(plan)
    for line in idle:
        output.say(line)
    if dry_run:
        output.show(f"would free {what}{_rest(plan, _planned(plan))}", _planned(plan))
        return
    if plan.expired:
        count = count_text(len(plan.expired), "deleted version")
        output.confirm(f"free {what}, so that {count} cannot be restored?", yes=yes)
    done = repo.gc(remote=remote, grace=grace)
    output.finish()
    _show(output, plan, done)


def _what(plan: "GcPlan") -> str:
    """Return such as "1.2 MiB in 3 packs". Where something is written anew that is not exact before."""
    about = "about " if plan.needed_bytes and plan.ripe else ""
    what = about + size_text(max(0, plan.freed_bytes))
    return what + (f" in {count_text(len(plan.ripe), 'pack')}" if plan.ripe else "")


def _show(output: Output, plan: "GcPlan", done: "Collected") -> None:
    """Print what was freed."""
    document = asdict(done)
    del document["where"]
    text = f"freed {size_text(max(0, done.freed_bytes))}: {count_text(done.packs, 'pack')} deleted"
    text += f", {size_text(-done.freed_bytes)} more taken" if done.freed_bytes < 0 else ""
    text += f", {count_text(done.swept, 'version')} swept" if done.swept else ""
    output.show(text + _rest(plan, document), document | _idle_document(plan))


def _planned(plan: "GcPlan") -> dict[str, Any]:
    """Return what `--json` says of a plan: the fields of what was done."""
    return {
        "freed_bytes": plan.freed_bytes,
        "packs": len(plan.ripe),
        "swept": len(plan.expired),
        "waiting": len(plan.going) - len(plan.ripe),
        "waiting_bytes": plan.waiting_bytes,
        **_idle_document(plan),
    }


def _idle_document(plan: "GcPlan") -> dict[str, object]:
    document: dict[str, object] = asdict(plan.idle)
    until = plan.idle.young_until
    document["young_until"] = None if until is None else _moment(until)
    return document


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _idle(plan: "GcPlan") -> list[str]:
    """Return what to say of what stays though no live version needs it."""
    idle, lines = plan.idle, []
    if idle.young and idle.young_until is not None:
        packs = f"{count_text(idle.young, 'pack')} with {size_text(idle.young_bytes)}"
        until = _moment(idle.young_until)
        lines.append(f"{packs}, needed by no version, wait until {until}: others may be pushing")
    if idle.restorable:
        versions = count_text(idle.restorable, "deleted version")
        lines.append(f"{versions} can be restored: their bytes stay until the grace is over")
    if idle.drafts:
        payloads = count_text(idle.drafts, "payload")
        lines.append(f"{payloads} kept for drafts until these are sealed or dropped: art draft ls")
    if idle.spread_bytes:
        size = size_text(idle.spread_bytes)
        lines.append(f"{size} that no version needs lie in packs of which most is needed")
    return lines


def _rest(plan: "GcPlan", counts: dict[str, Any]) -> str:
    """Return what there is to say beside what is freed."""
    text = ""
    if plan.needed_bytes:
        text += f"; {size_text(plan.needed_bytes)} that versions need go into new packs"
    if counts["waiting"]:
        waiting = (
            f"{count_text(counts['waiting'], 'pack')} with {size_text(counts['waiting_bytes'])}"
        )
        text += f"; {waiting} marked for a later run"
    if plan.unfinished:
        text += f"; {count_text(len(plan.unfinished), 'purge')} that stopped halfway finished"
    return text
