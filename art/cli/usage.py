"""`art usage`: who uses a version."""

import shutil
import sys

from art.cli.common import Output, Partition, Ref, json_text, open_repo, parse_ref, shared
from art.render.plain import age_text, listing_text

_COLUMNS = ["version", "type", "created", "author", "tags", "state", "run", "as"]


@shared
def command(output: Output, ref: Ref, partition: Partition = None) -> None:
    """Show the versions that were made from a version

    Live ones come first, then the newest. Only direct use is shown: `art lineage REF --down` shows what
    was made from that, too.

    \b
    Examples:
      art usage sales/raw@v4
      art usage sales/raw --json
    """
    from art.render import graphs

    repo = open_repo(output)
    found = repo.usage(parse_ref(ref, partition))
    if output.is_json:
        print(json_text([graphs.consumer_document(each) for each in found]))
        return
    if not found:
        output.say(f"no version is known to be made from {ref}")
        return
    rows = [
        [
            each.record.ref,
            each.record.type,
            age_text(each.record.created) if each.record.created else "",
            each.record.author,
            ", ".join(each.record.tags),
            each.record.state,
            graphs.run_text(each.run),
            each.kind,
        ]
        for each in found
    ]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    sys.stdout.write(listing_text(_COLUMNS, rows, width=width))
