"""`art push`: publish at a remote."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from art.cli import transfers
from art.cli.common import DryRun, ErrorOnNoop, Jobs, NoHooks, Output, check_noop, open_repo, shared

if TYPE_CHECKING:
    from art.repo import Repo
    from art.sync import PushPlan


@shared
def command(
    output: Output,
    keys: transfers.Keys = None,
    remote: transfers.Remote = None,
    no_payload: transfers.NoPayload = False,
    dry_run: DryRun = False,
    jobs: Jobs = None,
    error_on_noop: ErrorOnNoop = False,
    no_hooks: NoHooks = False,
) -> None:
    """Publish at a remote what it does not have

    Payloads go first, then versions, then tags, notes and states. Where another writer has
    published a number first, the version gets the next one, and that is said. What was published
    stays so when a push ends early; the next one goes on behind it.

    \b
    Examples:
      art push
      art push 'sales/*' --remote mirror
      art push sales/report --dry-run
    """
    repo = open_repo(output)
    patterns = keys or ()
    if dry_run:
        _show_plan(output, repo, repo.plan_push(*patterns, remote=remote, payload=not no_payload))
        return
    pushed = repo.push(*patterns, remote=remote, payload=not no_payload)
    output.finish()
    output.show(
        transfers.sent_lines(pushed.versions),
        {**transfers.pushed_document(repo, pushed), "dry_run": False},
    )
    is_noop = not (pushed.versions or pushed.entries or pushed.packs)
    nothing = f"nothing to push: {pushed.remote} has everything"
    if not is_noop:
        transfers.say_pushed(output, repo, pushed)
    elif not pushed.left:
        output.say(nothing)
    transfers.check_complete(output, pushed.left, pushed.superseded, "pushed")
    check_noop(is_noop, nothing, is_error=error_on_noop)


def _show_plan(output: Output, repo: "Repo", plan: "PushPlan") -> None:
    document = {**asdict(plan), "url": transfers.url_of(repo, plan.remote), "dry_run": True}
    document["versions"] = transfers.sent_documents(plan.versions)
    output.show(transfers.sent_lines(plan.versions, "would push"), document)
    for left in plan.left:
        output.say(f"would leave {left.ref}: {left.reason}")
    if plan.is_empty:
        output.say(f"nothing to push: {plan.remote} has everything" * (not plan.left))
        return
    what = transfers.what_text(len(plan.versions), plan.entries)
    load = transfers.load_text(plan.packs, plan.size_bytes)
    output.say(
        f"would push {what}{load}, by about {plan.requests:,} requests, "
        f"to {transfers.place_text(repo, plan.remote)}"
    )
