"""`art runs`: what was run, with what, and what came of it."""

import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.common import Output, open_repo, option, shared
from art.render.plain import age_text, escape, json_text, listing_text

if TYPE_CHECKING:
    from art.records import PastRun

_HEADER = ("RUN", "NAME", "STATUS", "ENDED", "MADE")
_SHOWN = (
    "name", "step", "status", "error", "cached", "command", "params", "started", "created", "host",
    "user", "python", "platform", "git", "ci", "parent", "exit_status",
)  # fmt: skip


@shared
def command(
    output: Output,
    id: Annotated[
        str | None, typer.Argument(help="Id of a run", metavar="[ID]", show_default=False)
    ] = None,
    name: Annotated[str | None, option("--name", metavar="NAME", help="Runs of this name")] = None,
    number: Annotated[
        int, option("-n", "--number", metavar="N", min=1, help="How many at most")
    ] = 50,
) -> None:
    """List the runs that have ended, newest first, or show one

    \b
    Examples:
      art runs
      art runs --name nightly -n 5
      art runs 019aa5a8-2b41-7d0c-8a6e-53f0c1d2e3f4 --json
    """
    repo = open_repo(output)
    if id is not None:
        past = repo.get_run(id)
        output.show("\n".join(_lines(past.document)), past.document)
        return
    found = repo.runs(name, limit=number)
    width = shutil.get_terminal_size().columns
    text = listing_text(_HEADER, [_row(past) for past in found], width=width, keep={0})
    output.show(text.rstrip("\n") if found else "", [past.document for past in found])


def _row(past: "PastRun") -> tuple[str, ...]:
    made: list[dict[str, Any]] = list((past.document.get("results") or {}).values())
    made += [each for each in past.document.get("outputs") or () if each not in made]
    status = "cached" if past.cached else past.status
    return past.id, past.name, status, age_text(past.ended), " ".join(map(_ref, made))


def _lines(document: dict[str, Any]) -> list[str]:
    lines = [f"run          {document['uid']}"]
    for field in _SHOWN:
        if field in document:
            value = document[field]
            text = value if isinstance(value, str) else json_text(value)
            lines.append(f"{field:<12} {escape(text)}")
    for field in ("inputs", "outputs"):
        lines += [f"{field:<12} {escape(_ref(each))}" for each in document.get(field) or ()]
    for name, each in (document.get("results") or {}).items():
        lines.append(f"{'result':<12} {escape(name)}: {escape(_ref(each))}")
    return lines + [
        f"{'step':<12} {escape(str(each['step']))}  {each['id']}"
        for each in document.get("steps") or ()
    ]


def _ref(version: dict[str, Any]) -> str:
    return f"{version['key']}@v{version['number']}" if "key" in version else str(version["id"])
