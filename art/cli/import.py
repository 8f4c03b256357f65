# ruff: noqa: N999 - commands are files of their names
"""`art import`: take in what `art export` wrote."""

from dataclasses import asdict
from typing import Annotated

import typer

from art.cli import transfers
from art.cli.common import ErrorOnNoop, Jobs, Output, check_noop, open_repo, shared
from art.render.plain import count_text


@shared
def command(
    output: Output,
    file: Annotated[str, typer.Argument(help="File that art export wrote", metavar="FILE")],
    jobs: Jobs = None,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Take in versions with their history from a file of art export

    Ids stay as they are, and numbers, too. Where a key has other versions here that are not published,
    they get the numbers that follow; own moves of tags that thereby lose their effect are named: exit
    code 5. Every file is verified.

    \b
    Examples:
      art import backup.tar
    """
    done = open_repo(output).import_archive(file)
    output.finish()
    lines = [f"imported {ref}" for ref in done.versions]
    lines += [f"{old} is {new} now" for old, new in done.renumbered]
    output.show("\n".join(lines), asdict(done))
    if done.without_payload:
        left = count_text(len(done.without_payload), "version")
        output.say(f"{left} came without files, such as {done.without_payload[0]}")
    is_noop = not done.versions and not done.entries
    nothing = f"nothing to import: all of {file} is here"
    if is_noop:
        output.say(nothing)
    transfers.check_complete(output, [], done.superseded, "imported")
    check_noop(is_noop, nothing, is_error=error_on_noop)
