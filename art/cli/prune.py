"""`art prune`: thin out versions by policy."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
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
    complete_key,
    open_repo,
    option,
    set_jobs,
    shared,
)
from art.cli.rows import Where
from art.errors import PartialError, UsageError
from art.keys import is_glob
from art.render import plain
from art.render.plain import count_text

if TYPE_CHECKING:
    from art.prune import Pruned, PrunePlan
    from art.repo import Repo
    from art.retention import Decision, Policy


def _count(name: str, help: str) -> Any:
    return option(name, metavar="N", min=0, help=help)


def _span(name: str, help: str) -> Any:
    return option(name, metavar="SPAN", help=help)


Keys = Annotated[
    list[str] | None,
    typer.Argument(
        help="Keys or globs, else all keys", metavar="[KEY|GLOB...]", autocompletion=complete_key
    ),
]
IgnoreErrors = Annotated[
    bool, option("-i", "--ignore-errors", help="Go on with the others after an error")
]
Threads = Annotated[
    int | None,
    option(
        "-j",
        "--jobs",
        "-t",
        "--threads",
        metavar="N",
        min=1,
        help="Number of threads",
        envvar="ART_JOBS",
        callback=set_jobs,
    ),
]


@dataclass(frozen=True)
class Choice:
    """What may go, and what stays of it."""

    keep_last: Annotated[int | None, _count("--keep-last", "Keep the N newest of each key")] = None
    keep_within: Annotated[
        str | None, _span("--keep-within", "Keep what is not older, such as 30d")
    ] = None
    keep_daily: Annotated[
        int | None, _count("--keep-daily", "Keep the newest of each of the last N days")
    ] = None
    keep_weekly: Annotated[
        int | None, _count("--keep-weekly", "Keep the newest of each of the last N ISO weeks")
    ] = None
    keep_monthly: Annotated[
        int | None, _count("--keep-monthly", "Keep the newest of each of the last N months")
    ] = None
    keep_tagged: Annotated[
        bool, option("--keep-tagged/--no-keep-tagged", help="Keep what a tag names")
    ] = True
    keep_label: Annotated[
        list[str] | None, option("--keep-label", metavar="LABEL", help="Keep what has this label")
    ] = None
    older_than: Annotated[
        str | None, _span("--older-than", "Only what is older may go, such as 30d")
    ] = None
    where: Where = None
    anonymous: Annotated[
        bool, option("--anonymous", help="Keyless versions in place of those of keys")
    ] = False
    unreferenced: Annotated[
        bool,
        option("--unreferenced", help="Only what no tag, run or version refers to may go"),
    ] = False
    force: Annotated[
        bool, option("-f", "--force", help="Inputs of versions that stay and protected keys too")
    ] = False
    only_artifact: Annotated[
        bool,
        option("--only-artifact", help="Only the bytes go, by the next gc; no undo"),
    ] = False
    only_metadata: Annotated[
        bool,
        option("--only-metadata", help="Only what is said of the versions goes; no undo"),
    ] = False

    @property
    def only(self) -> str | None:
        """Which half of the versions goes, None where both do. Raise UsageError where both are named."""
        if self.only_artifact and self.only_metadata:
            raise UsageError(
                "cannot use both --only-artifact and --only-metadata",
                hint="without them both go, so that restore can bring them back",
            )
        return "artifact" if self.only_artifact else "metadata" if self.only_metadata else None

    @property
    def policy(self) -> "Policy | None":
        """The policy of the command line, None where no rule is given there."""
        from art.retention import Policy

        policy = Policy(
            keep_last=self.keep_last,
            keep_within=self.keep_within,
            keep_daily=self.keep_daily,
            keep_weekly=self.keep_weekly,
            keep_monthly=self.keep_monthly,
            keep_tagged=self.keep_tagged,
            keep_labels=tuple(self.keep_label or ()),
            older_than=self.older_than,
            unreferenced=self.unreferenced,
        )
        if policy.has_rules:
            return policy
        if not self.keep_tagged:
            raise UsageError(
                "--no-keep-tagged goes with a rule that says what stays",
                hint="art prune --keep-last 10 --no-keep-tagged",
            )
        return None


@shared
def command(
    output: Output,
    keys: Keys = None,
    *,
    choice: Choice,
    ignore_errors: IgnoreErrors = False,
    jobs: Threads = None,
    message: Message = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    error_on_noop: ErrorOnNoop = False,
    no_hooks: NoHooks = False,
) -> None:
    """Delete the versions that no rule keeps

    Without a rule here, the rules in each key's settings hold. A version stays where any rule keeps
    it; days, weeks and months are those of UTC. The newest of a key stays unless --keep-last is 0,
    and so does what a version that stays was made from. With --where the rules are applied to the
    versions that match, as if there were no others. First all of them are shown, with the rule that
    decides. restore brings them back until gc frees their bytes.

    \b
    Examples:
      art prune sales/report --keep-last 10 --keep-within 30d --dry-run
      art prune 'tmp/**' --keep-last 0 --older-than 7d --yes
      art prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12
      art prune --where 'metadata.acc < 0.5 and age > 7d' --keep-last 0
      art prune --anonymous --unreferenced --yes
    """
    only = choice.only
    repo = open_repo(output)
    plan = repo.plan_prune(
        *(keys or ()),
        policy=choice.policy,
        where=choice.where,
        anonymous=choice.anonymous,
        only=only,
        force=choice.force,
    )
    if choice.policy is None:
        _tell_undecided(output, repo, plan, keys or ())
    if dry_run or not plan.dropped:
        _show_plan(output, plan, only, dry_run=dry_run)
        check_noop(not plan.dropped, "nothing to prune", is_error=error_on_noop)
        return
    _confirm(output, plan, only, yes=yes)
    done = repo.execute_prune(plan, message=message, ignore_errors=ignore_errors)
    output.show("", _document(plan, done))
    _tell(output, done, only)


def _tell_undecided(output: Output, repo: "Repo", plan: "PrunePlan", keys: "Sequence[str]") -> None:
    """Say which of the keys that were named have no rule."""
    decided = {decision.record.key for decision in plan.decisions}
    named = [key.rstrip("/") for key in keys if not is_glob(key)]
    for key in [key for key in named if key not in decided]:
        policy = repo.settings(key).retention
        if policy is None or not policy.has_rules:
            output.say(f"{key} is left as it is: no rule is given, and its settings have none")


def _show_plan(output: Output, plan: "PrunePlan", only: str | None, *, dry_run: bool) -> None:
    if output.is_json:
        output.show("", _document(plan, dry_run=dry_run))
    else:
        output.show(_text(plan), None)
    count = count_text(len(plan.decisions), "version")
    if plan.dropped:
        undo = "; nothing would bring them back" if only else ""
        output.say(f"would prune {len(plan.dropped):,} of {count}{undo}")
    elif not plan.decisions:
        output.say("nothing to prune: there is no version of what is named")
    else:
        stay = "1 version stays" if len(plan.decisions) == 1 else f"all of {count} stay"
        output.say(f"nothing to prune: {stay}")


def _confirm(output: Output, plan: "PrunePlan", only: str | None, *, yes: bool) -> None:
    """Show the plan, and return when the user agrees."""
    if not output.is_json:
        print(_text(plan), flush=True)
    elif not yes:
        print(_text(plan), file=sys.stderr)
    what = {"artifact": "give up the bytes of", "metadata": "purge what is said of"}
    count = count_text(len(plan.dropped), "version")
    output.confirm(f"{what.get(only or '', 'delete')} {count}?", yes=yes)


def _tell(output: Output, done: "Pruned", only: str | None) -> None:
    """Say what happened. Raise PartialError where something went wrong with some of it."""
    for decision in done.spared:
        output.say(f"{decision.record.ref} is kept now: {decision.reason}")
    after = f"; {_after(len(done.versions), only)}" if done.versions else ""
    output.say(f"{count_text(len(done.versions), 'version')} pruned{after}")
    if done.failed:
        first, *more = done.failed
        for failure in more:
            output.say(f"{failure.record.ref} is not pruned: {failure.message}")
        raise PartialError(
            f"{first.record.ref} is not pruned: {first.message}; "
            f"{count_text(len(done.failed), 'version')} not pruned",
            hint="art prune again, once that is mended",
        )


def _after(count: int, only: str | None) -> str:
    """Return what can be done now, or is to be."""
    their = "its" if count == 1 else "their"
    if only is None:
        return f"`art restore REF` brings {'it' if count == 1 else 'them'} back"
    return f"`art gc` frees {their} bytes, but those that others need"


def _text(plan: "PrunePlan") -> str:
    now = datetime.now(timezone.utc)
    cells = [
        [
            decision.record.ref,
            "keep" if decision.is_kept else "drop",
            plain.age_text(decision.record.created, now),
            plain.size_text(decision.record.size),
            decision.reason,
        ]
        for decision in plan.decisions
    ]
    header = ["VERSION", "", "CREATED", "SIZE", "WHY"]
    return plain.listing_text(header, cells, right=(3,)).rstrip("\n") if cells else ""


def _document(
    plan: "PrunePlan", done: "Pruned | None" = None, *, dry_run: bool = False
) -> dict[str, object]:
    """Return what `--json` says: each version with what was decided, and counts of what happened."""
    return {
        "pruned": len(done.versions) if done else 0,
        "state": plan.request.state,
        "dry_run": dry_run,
        "versions": _decided(plan.decisions),
        "spared": _decided(done.spared if done else ()),
        "failed": [
            {"ref": failure.record.ref, "id": failure.record.id, "message": failure.message}
            for failure in (done.failed if done else ())
        ],
    }


def _decided(decisions: "Sequence[Decision]") -> list[dict[str, object]]:
    return [
        {
            "ref": decision.record.ref,
            "id": decision.record.id,
            "created_at": decision.record.created,
            "keep": decision.is_kept,
            "rule": decision.rule,
            "reason": decision.reason,
        }
        for decision in decisions
    ]
