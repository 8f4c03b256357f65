"""`art lock`: write down which versions are meant."""

from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import ErrorOnNoop, Output, check_noop, complete_ref, open_repo, option, shared
from art.errors import NotFoundError
from art.render.plain import count_text, escape, listing_text

if TYPE_CHECKING:
    from art.lock import Locked


@shared
def command(
    output: Output,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            help="References to add; without, those in the file are looked at",
            metavar="[REF...]",
            autocompletion=complete_ref,
            show_default=False,
        ),
    ] = None,
    file: Annotated[str, option("--file", metavar="FILE", help="Lock file")] = "art.lock",
    update: Annotated[
        bool, option("-u", "--update", help="What is in the file is set to what it means now")
    ] = False,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Write down which versions references mean, for get --locked

    The file is for version control: a block for each reference, with the id that decides. Without
    --update, what is in it stays as it is. Without REF the file is only compared: `behind` is what the
    reference means another version by now, and where a version is lost the exit code is 4.

    \b
    Examples:
      art lock sales/data@prod models/churn
      art lock
      art lock --update
      art get sales/data@prod --locked
    """
    found = open_repo(output).lock(*(refs or ()), file=file, update=update)
    output.show(_text(found), [_document(each) for each in found])
    changed = [each for each in found if each.state in ("added", "updated")]
    if changed:
        output.say(f"{count_text(len(changed), 'version')} written to {escape(file)}")
    lost = [each for each in found if each.state == "lost"]
    if lost:
        raise NotFoundError(
            f"{lost[0].ref} is locked to a version that cannot be had: {lost[0].why}"
            + (f"; so are {len(lost) - 1} more" if len(lost) > 1 else ""),
            hint="art fetch, or art lock --update",
        )
    check_noop(not changed, f"nothing in {file} changed", is_error=error_on_noop)


def _text(found: list["Locked"]) -> str:
    rows = [[each.state, each.ref, each.pin.name, each.pin.id[:15], _note(each)] for each in found]
    return listing_text(["state", "reference", "version", "id", ""], rows).rstrip("\n")


def _note(each: "Locked") -> str:
    if each.why:
        return each.why
    return f"now {each.now}" if each.state == "behind" else ""


def _document(each: "Locked") -> dict[str, object]:
    pin = each.pin
    return {
        "ref": each.ref,
        "state": each.state,
        "key": pin.key,
        "id": pin.id,
        "number": pin.number,
        "created_at": pin.created,
        "now": each.now,
        "why": each.why,
    }
