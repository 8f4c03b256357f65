"""`art settings`: what is declared of a key."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.common import (
    ErrorOnNoop,
    Key,
    Message,
    Output,
    check_noop,
    open_repo,
    option,
    parse_metadata,
    shared,
)
from art.errors import UsageError
from art.render import plain

if TYPE_CHECKING:
    from art.repo import Repo
    from art.settings import SettingsChange


@shared
def command(
    output: Output,
    key: Key,
    values: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to change: text, or := typed", metavar="[NAME=VALUE...]"),
    ] = None,
    unset: Annotated[
        list[str] | None, option("--unset", metavar="NAME", help="Setting to take away")
    ] = None,
    history: Annotated[bool, option("--history", help="All changes, newest first")] = False,
    message: Message = None,
    sign: Annotated[bool, option("--sign", help="Change signed with an SSH key")] = False,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Show or change what is declared of an artifact

    \b
    type            type that new versions must have
    description     what the artifact is
    partitions      names of partitions that new versions must be of, see art declare
    time_partitions those of them that are time: day, due:month
    default_tags    tags that move to each new version
    protected       mv, deleting versions and moving or deleting tags need --force
    protected_tags  tags, or globs of them, that are moved or deleted by --force only
    require_signature  what is not signed is not taken out
    retention.RULE  what art prune keeps: keep_last, keep_within, keep_daily,
                    keep_weekly, keep_monthly, keep_tagged, keep_labels

    Settings travel with push and fetch. An artifact can have them before it has a version.

    \b
    Examples:
      art settings sales/report
      art settings sales/report type=table partitions=region,day
      art settings sales/report retention.keep_last=10 retention.keep_within=30d
      art settings models/churn protected_tags='prod,release-*' -m "agreed with ops"
      art settings sales/report --unset type
    """
    changes = _changes(values, unset)
    if history and changes:
        raise UsageError("--history shows changes, it makes none")
    if not changes:
        output.refuse("where nothing is changed", "message", "sign", "error_on_noop")
    repo = open_repo(output)
    if history:
        _show_history(output, repo.settings_history(key))
    elif changes:
        change = repo.set_settings(key, message=message, sign=sign, **changes)
        show_settings(output, repo, key, change.settings, changed=change.changed)
        check_noop(not change.changed, f"{key} has these settings already", is_error=error_on_noop)
    else:
        show_settings(output, repo, key, repo.settings(key).document)


def _changes(values: list[str] | None, unset: list[str] | None) -> dict[str, Any]:
    changes = parse_metadata(values, "setting")
    for name in unset or ():
        if name in changes:
            raise UsageError(f"setting {name!r} is set and taken away at once")
        changes[name] = None
    return changes


def show_settings(
    output: Output, repo: "Repo", key: str, settings: dict[str, Any], **more: object
) -> None:
    """Print what is declared of a key, as it can be given again."""
    if not settings:
        output.say(f"{key} has no settings")
    width = max(map(len, settings), default=0)
    lines = [f"{plain.escape(name):{width}}  {_value(settings[name])}" for name in settings]
    why = repo.signature_required(key)
    if why:
        lines.append(f"signatures are required: {plain.escape(why)}")
    more = {"signature_required": why, **more}
    output.show("\n".join(lines), {"key": key, "settings": settings, **more})


def _value(value: object) -> str:
    """Return a value as it can be given again."""
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, dict):
        return " ".join(f"{plain.escape(name)}={_value(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain.escape(str(value))


def _show_history(output: Output, changes: list["SettingsChange"]) -> None:
    header = ["CHANGED", "AUTHOR", "STATE", "SETTINGS", "MESSAGE"]
    cells = [
        [
            plain.age_text(change.created),
            change.author,
            "no effect" if change.superseded else "",
            "; ".join(f"{name}: {_value(item)}" for name, item in change.settings.items()),
            change.message or "",
        ]
        for change in changes
    ]
    output.show(
        plain.listing_text(header, cells).rstrip("\n"), [_document(change) for change in changes]
    )


def _document(change: "SettingsChange") -> dict[str, object]:
    return {
        "key": change.key,
        "settings": change.settings,
        "created_at": change.created,
        "author": change.author,
        "message": change.message,
        "superseded": change.superseded,
    }
