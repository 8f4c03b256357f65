"""`art draft`: versions that wait for their parts."""

import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.common import Key, Output, Yes, complete_key, group, open_repo, shared
from art.cli.part import Local
from art.nearest import did_you_mean
from art.render.plain import age_text, count_text, escape, listing_text, size_text

if TYPE_CHECKING:
    from art.repo import Repo
    from art.repo.drafting import DraftState

_HEADER = ("KEY", "DRAFT", "PARTS", "SIZE", "LAST", "STATE")

app = group("Look at versions that wait for their parts")

Name = Annotated[str, typer.Argument(help="Name of the draft", metavar="NAME")]


@app.command("ls")
@shared
def list_drafts(
    output: Output,
    key: Annotated[
        str | None,
        typer.Argument(
            help="Key of an artifact",
            metavar="[KEY]",
            autocompletion=complete_key,
            show_default=False,
        ),
    ] = None,
    local: Local = False,
) -> None:
    """List drafts with their parts, where they lie

    What is not sealed keeps its bytes from gc until it is sealed or dropped.

    \b
    Examples:
      art draft ls
      art draft ls tests/reports --json
    """
    repo = open_repo(output)
    found = repo.drafts(key, local=local)
    if not found:
        output.say(_nothing(repo, key, local=local))
    output.finish()
    width = shutil.get_terminal_size().columns
    rows = [_row(state) for state in found]
    text = listing_text(_HEADER, rows, width=width, keep={0, 1})
    output.show(text.rstrip("\n") if found else "", [_document(state) for state in found])


@app.command("drop")
@shared
def drop(
    output: Output,
    key: Key,
    name: Name,
    local: Local = False,
    yes: Yes = False,
) -> None:
    """Forget the parts of a draft that nobody is going to seal

    gc may take their bytes away then, and the name begins anew.

    \b
    Examples:
      art draft drop tests/reports run-4711 --yes
    """
    repo = open_repo(output)
    if any(state.draft == name for state in repo.drafts(key, local=local)):
        output.confirm(f"forget the parts of draft {name} of {key}?", yes=yes)
    state = repo.drop_draft(key, name, local=local)
    output.finish()
    what = f"{count_text(len(state.parts), 'part')}, {size_text(state.size)}"
    output.show(f"draft {name} of {key} is dropped: {what}", _document(state))


def _nothing(repo: "Repo", key: str | None, *, local: bool) -> str:
    """Return that there is no draft, with keys that have some and are spelled nearly so."""
    if key is None:
        return "no drafts; `art part` begins one"
    hint = did_you_mean(key, {state.key for state in repo.drafts(local=local)})
    return f"{key} has no drafts" + (f"; {hint}" if hint else "")


def _row(state: "DraftState") -> tuple[str, ...]:
    last = max((part.created for part in state.parts.values()), default="")
    said = "damaged" if state.problem else f"sealed {state.sealed[:15]}" if state.sealed else "open"
    names = f"{len(state.parts)}: {' '.join(state.parts)}" if state.parts else "0"
    age = age_text(last) if last else ""
    return state.key, state.draft, escape(names), size_text(state.size), age, said


def _document(state: "DraftState") -> dict[str, Any]:
    parts = [
        {
            "part": part.name,
            "created_at": part.created,
            "author": part.author,
            "size": part.payload.size,
            "files": part.payload.files,
        }
        for part in state.parts.values()
    ]
    return {
        "key": state.key,
        "draft": state.draft,
        "parts": parts,
        "size": state.size,
        "sealed": state.sealed,
        "problem": state.problem,
    }
