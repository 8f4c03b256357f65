"""`art tag`: movable names for versions."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import (
    ErrorOnNoop,
    Message,
    Output,
    Partition,
    Ref,
    check_noop,
    complete_key,
    complete_tag,
    group,
    open_repo,
    option,
    parse_ref,
    record_document,
    shared,
)
from art.errors import UsageError
from art.render import plain

if TYPE_CHECKING:
    from art.tagging import TagMove

app = group("Give versions movable names")

Name = Annotated[
    str, typer.Argument(help="Name of the tag", metavar="TAG", autocompletion=complete_tag)
]
TaggedKey = Annotated[
    str, typer.Argument(help="Key, or KEY@TAG", metavar="KEY", autocompletion=complete_key)
]
TagOfKey = Annotated[
    str | None, typer.Argument(help="Name of the tag", metavar="[TAG]", autocompletion=complete_tag)
]
Sign = Annotated[bool, option("--sign", help="Signed with an SSH key: art config get signing_key")]
Force = Annotated[bool, option("-f", "--force", help="Also where the tag is protected")]


@app.command("set")
@shared
def set_tag(
    output: Output,
    ref: Ref,
    tag: Name,
    message: Message = None,
    partition: Partition = None,
    force: Force = False,
    sign: Sign = False,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Make a tag name a version, also when it named another one before

    \b
    Examples:
      art tag set sales/report@v3 prod -m "passed the checks"
      art tag set sales/report@v3 prod --sign
    """
    repo = open_repo(output)
    move = repo.tag(parse_ref(ref, partition), tag, message=message, force=force, sign=sign)
    _show(output, move)
    message = f"{move.key}@{move.tag} is v{move.number} already"
    check_noop(not move.changed, message, is_error=error_on_noop)


@app.command("list")
@shared
def list_tags(
    output: Output,
    key: Annotated[
        str | None,
        typer.Argument(help="Key, else all keys", metavar="[KEY]", autocompletion=complete_key),
    ] = None,
) -> None:
    """List tags and the versions they name

    \b
    Examples:
      art tag list sales/report
    """
    repo = open_repo(output)
    keys = repo.tagged_keys() if key is None else [key]
    tags = [(each, tag, version) for each in keys for tag, version in repo.tags(each).items()]
    cells = [[each, tag, version.ref, version.id] for each, tag, version in tags]
    output.show(
        plain.listing_text(["KEY", "TAG", "VERSION", "ID"], cells).rstrip("\n"),
        [{"tag": tag, **record_document(version.record)} for _, tag, version in tags],
    )


@app.command("delete")
@shared
def delete_tag(
    output: Output,
    key: TaggedKey,
    tag: TagOfKey = None,
    message: Message = None,
    force: Force = False,
    sign: Sign = False,
) -> None:
    """Take a tag away; its history stays

    \b
    Examples:
      art tag delete sales/report staging
      art tag delete sales/report@staging
    """
    key, tag = _split(key, tag)
    _show(output, open_repo(output).untag(key, tag, message=message, force=force, sign=sign))


@app.command("history")
@shared
def show_history(output: Output, key: TaggedKey, tag: TagOfKey = None) -> None:
    """Show every move of a tag, newest first

    \b
    Examples:
      art tag history sales/report prod
    """
    key, tag = _split(key, tag)
    moves = open_repo(output).tag_history(key, tag)
    cells = [
        [
            f"v{move.number}" if move.id else "(none)",
            move.id or "",
            plain.age_text(move.created),
            move.author,
            "no effect" if move.superseded else "",
            move.message or "",
        ]
        for move in moves
    ]
    header = ["VERSION", "ID", "MOVED", "AUTHOR", "STATE", "MESSAGE"]
    output.show(
        plain.listing_text(header, cells).rstrip("\n"),
        [_document(move) for move in moves],
    )


@app.command("back")
@shared
def move_back(
    output: Output,
    key: TaggedKey,
    tag: TagOfKey = None,
    message: Message = None,
    force: Force = False,
    sign: Sign = False,
) -> None:
    """Move a tag to where it was before

    \b
    Examples:
      art tag back sales/report prod -m "v4 is broken"
    """
    key, tag = _split(key, tag)
    _show(output, open_repo(output).tag_back(key, tag, message=message, force=force, sign=sign))


def _split(key: str, tag: str | None) -> tuple[str, str]:
    """Return key and tag, which may be given as one reference."""
    head, _, named = key.partition("@")
    if not (tag or named) or (tag and named):
        raise UsageError(
            f"{key!r} and {tag!r} are two tags" if tag else f"which tag of {key} is not said",
            hint=f"art tag list {head}",
        )
    return head, tag or named


def _show(output: Output, move: "TagMove") -> None:
    is_same = "" if move.changed else "  unchanged"
    output.show(f"{move.key}@{move.tag} → {_target(move)}{is_same}", _document(move))


def _target(move: "TagMove") -> str:
    if move.id is None:
        return "(none)"
    return f"v{move.number}  {move.id}"


def _document(move: "TagMove") -> dict[str, object]:
    document = asdict(move)
    document["created_at"] = document.pop("created")
    return document
