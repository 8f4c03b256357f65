"""`art log`: the history of one artifact."""

from art.cli.common import Key, Output, Place, PlaceOptions, open_place, shared
from art.cli.rows import Columns, Form, Number, parse_columns, show_rows

_DEFAULT = ["version", "id", "type", "size", "created", "author", "tags", "state", "about"]


@shared
def command(
    output: Output,
    key: Key,
    number: Number = None,
    columns: Columns = None,
    format: Form = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """Show the versions of an artifact, newest first

    Versions in every state are shown: live; deleted, which art restore undoes; swept, whose bytes gc or
    prune freed; moved, to another key; purged, for ever; damaged.

    \b
    Examples:
      art log sales/report
      art log sales/report -n 10 -o jsonl
      art log sales/report --remote origin
    """
    chosen = parse_columns(columns, _DEFAULT)
    repo = open_place(output, remote, remote_option, key)
    show_rows(output, repo, repo.history(key, limit=number), format, chosen)
