"""`art doctor`: what is wrong or unusual."""

from dataclasses import asdict
from typing import Annotated

import typer

from art.cli.common import Output, open_repo, option, shared
from art.errors import CorruptError
from art.render.plain import escape


@shared
def command(
    output: Output,
    data: Annotated[bool, option("--data", help="Every byte that live versions need, too")] = False,
) -> None:
    """Look for what is wrong with the repository and its surroundings

    Reads every manifest and log, and with --data every pack. Ends with exit code 8 if there is
    damage; `art fsck` says which files, also at remotes, and repairs it.

    \b
    Examples:
      art doctor
      art doctor --data
    """
    findings = open_repo(output).doctor(data=data)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<7}  {escape(finding.message)}")
        if finding.hint:
            lines.append(f"         hint: {escape(finding.hint)}")
    output.show("\n".join(lines), [asdict(finding) for finding in findings])
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(CorruptError.exit_code)
