"""`art verify`: whether a folder is what a version says, and whose signature it has."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import Output, Partition, Ref, open_repo, option, parse_ref, shared
from art.errors import UsageError
from art.render.plain import count_text, escape

if TYPE_CHECKING:
    from art.verify import Checked


@shared
def command(
    output: Output,
    ref: Ref,
    folder: Annotated[
        str | None,
        typer.Argument(help="Folder or file, else where art get puts it", metavar="[DIR]"),
    ] = None,
    signature: Annotated[
        bool, option("--signature", help="Whose signature it has, instead of its files")
    ] = False,
    partition: Partition = None,
) -> None:
    """Compare files with a version, or check its signature

    Every file is read. Lists what was changed, is missing or is there besides; the exit code is then
    1. With --signature, the version, or the move of the tag that is named, must be signed by one of
    those in the file of the setting signers: exit code 7 where it is not.

    \b
    Examples:
      art verify sales/data@prod data/
      art verify --signature sales/data@prod
      art config set signers team/allowed_signers
    """
    where = parse_ref(ref, partition)
    repo = open_repo(output)
    if signature:
        if folder is not None:
            raise UsageError("--signature looks at no files", hint=f"art verify {ref} {folder}")
        signed = repo.signed_by(where)
        output.show(f"{signed.ref}  signed by {escape(signed.by)}  {signed.key}", asdict(signed))
        return
    checked = repo.verify(where, folder)
    output.finish()
    output.show(_text(checked), {**asdict(checked), "is_same": checked.is_same})
    if not checked.is_same:
        raise typer.Exit(1)


def _text(checked: "Checked") -> str:
    lines = [
        f"{what:8} {escape(path)}"
        for what in ("changed", "missing", "extra")
        for path in getattr(checked, what)
    ]
    same = f"{escape(checked.path)}: {count_text(checked.same, 'file')} as in {checked.ref}"
    return "\n".join([*lines, same])
