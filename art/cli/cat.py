"""`art cat`: content to standard output."""

from typing import TYPE_CHECKING

from art.cli.common import (
    By,
    Output,
    Partition,
    Place,
    PlaceOptions,
    Ref,
    open_place,
    parse_ref,
    shared,
)
from art.cli.locking import Locked, LockFile, find_version
from art.cli.streams import StandardOutput

if TYPE_CHECKING:
    from art.version import Version


@shared
def command(
    output: Output,
    ref: Ref,
    partition: Partition = None,
    by: By = None,
    locked: Locked = False,
    lock_file: LockFile = None,
    remote: Place = None,
    remote_option: PlaceOptions = None,
) -> None:
    """Print the content of a file or a text

    Bytes go out as they are; on a terminal, what it would obey is shown instead.

    \b
    Examples:
      art cat sales/report
      art cat sales/data@v3/eu/part-0.csv | head
      art cat sales/data@prod/eu/part-0.csv --remote s3://bucket/repo
      art cat sales/report@prod --locked
    """
    where = parse_ref(ref, partition, by)
    repo = open_place(output, remote, remote_option, where.key or None)
    version = find_version(repo, where, locked, lock_file)
    path = where.path or None
    if output.is_json:
        output.show("", _document(version, path))
        return
    with version.open(path) as stream:
        out = StandardOutput()
        while part := stream.read(1 << 20):
            out.write(part)
        out.flush()


def _document(version: "Version", path: str | None) -> dict[str, object]:
    import base64

    content = version.read(path)
    document: dict[str, object] = {"ref": version.ref, "id": version.id, "path": path}
    document["size"] = len(content)
    try:
        return {**document, "text": content.decode()}
    except UnicodeDecodeError:
        return {**document, "base64": base64.b64encode(content).decode()}
