"""What commands that take versions out share: `--locked`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from art.cli.common import option

if TYPE_CHECKING:
    from art.ref import Ref
    from art.repo import Repo
    from art.version import Version

Locked = Annotated[bool, option("--locked", help="Version that the lock file says, see art lock")]
LockFile = Annotated[
    str | None,
    option(
        "--lock-file",
        metavar="FILE",
        help="Lock file for --locked, which it implies",
        show_default="art.lock",
    ),
]


def find_version(repo: "Repo", where: "Ref", locked: bool, lock_file: str | None) -> "Version":
    """Return the version that is meant now, or by the lock file."""
    whole = replace(where, path="")
    if not locked and lock_file is None:
        return repo.version(whole)
    return repo.locked(whole, file=lock_file or "art.lock")
