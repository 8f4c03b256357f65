"""`art delete`: take versions away, so that they can be restored."""

from typing import TYPE_CHECKING, Annotated

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
    shared,
)
from art.errors import ConflictError, UsageError
from art.ref import names_key
from art.render.plain import count_text

if TYPE_CHECKING:
    from art.changes import DeletePlan


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            help="KEY@SELECTOR for one version, KEY for all versions of the key",
            metavar="REF...",
            autocompletion=complete_ref,
        ),
    ] = None,
    id: Annotated[
        list[str] | None, option("--id", metavar="b3:HEX", help="Version with this id")
    ] = None,
    force: Annotated[
        bool, option("-f", "--force", help="Tagged and protected ones and inputs of others too")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    message: Message = None,
    error_on_noop: ErrorOnNoop = False,
    no_hooks: NoHooks = False,
) -> None:
    """Delete versions, so that restore can bring them back

    A version that is tagged, an input of another one, or of a protected key, is deleted with --force
    only. Where one is refused nothing is deleted. Deleting all versions of a key asks first.

    \b
    Examples:
      art delete sales/report@v3
      art delete tmp/scratch --dry-run
      art delete tmp/scratch --yes
    """
    wanted = [*(refs or ()), *(_checked_id(word) for word in id or ())]
    if not wanted:
        raise UsageError("nothing to delete is named", hint="art delete REF, or --id b3:HEX")
    repo = open_repo(output)
    if error_on_noop:
        states = {state for word in wanted for state in repo.states(word)}
        check_noop(states == {"deleted"}, f"{', '.join(wanted)} is deleted already", is_error=True)
    plan = repo.plan_delete(*wanted, force=force)
    for record in plan.done:
        output.say(f"{record.ref} was deleted already")
    if dry_run:
        output.show(_text(plan, "would delete"), _document(plan, deleted=0))
        return
    _refuse(output, plan)
    for word in wanted:
        if names_key(word):
            number = sum(record.key == word.removeprefix("art://") for record in plan.versions)
            output.confirm(f"delete all {count_text(number, 'live version')} of {word}?", yes=yes)
    deleted = repo.execute_delete(plan, message=message)
    output.show(_text(plan, "deleted"), _document(plan, deleted=deleted))
    them = "it" if deleted == 1 else "them"
    if deleted or not plan.done:
        output.say(
            f"{count_text(deleted, 'version')} deleted; `art restore REF` brings {them} back"
        )


def _checked_id(word: str) -> str:
    if not word.startswith("b3:"):
        raise UsageError(f"--id {word!r} does not begin with b3:", hint="art log KEY shows ids")
    return word


def _refuse(output: Output, plan: "DeletePlan") -> None:
    """Raise ConflictError where the plan does not do all that was asked for."""
    if not plan.refused:
        return
    first, *more = plan.refused
    for refusal in more:
        output.say(f"{refusal.record.ref} is not deleted: {refusal.reason}")
    rest = f"; nothing else is, because of {count_text(len(plan.refused), 'such version')}"
    raise ConflictError(
        f"{first.record.ref} is not deleted: {first.reason}{rest if plan.versions else ''}",
        hint="--force deletes it all the same",
    )


def _text(plan: "DeletePlan", verb: str) -> str:
    lines = [f"{verb} {record.ref}  {record.id}" for record in plan.versions]
    lines += [f"would refuse {refusal.record.ref}: {refusal.reason}" for refusal in plan.refused]
    return "\n".join(lines)


def _document(plan: "DeletePlan", *, deleted: int) -> dict[str, object]:
    return {
        "deleted": deleted,
        "versions": [{"ref": record.ref, "id": record.id} for record in plan.versions],
        "refused": [
            {"ref": refusal.record.ref, "id": refusal.record.id, "reason": refusal.reason}
            for refusal in plan.refused
        ],
    }
