"""What push, fetch, pull and create --push say of what was transferred."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.common import Output, complete_key, complete_remote, option
from art.errors import ConflictError, PartialError
from art.render.plain import count_text, escape, size_text

if TYPE_CHECKING:
    from art.merge import Superseded
    from art.repo import Repo
    from art.sync import Fetched, Left, Pushed, Renumbered, Sent

_SHOWN = 20  # notices of one kind; --json has all of them

Keys = Annotated[
    list[str] | None,
    typer.Argument(
        help="Keys or globs over keys, else everything",
        metavar="[KEY|GLOB...]",
        autocompletion=complete_key,
    ),
]
Remote = Annotated[
    str | None,
    option(
        "--remote",
        metavar="NAME",
        help="Remote, else the authority",
        autocompletion=complete_remote,
    ),
]
NoPayload = Annotated[bool, option("--no-payload", help="History only, no payloads")]


def place_text(repo: "Repo", name: str) -> str:
    """Return a remote's name and where it is, as it may be shown."""
    url = url_of(repo, name)
    return f"{name} ({url})" if any(each.name == name for each in repo.remotes.all()) else url


def url_of(repo: "Repo", name: str) -> str:
    """Return the URL of a remote, or of a place that was given without a name, without secrets."""
    from art.remote import redact

    urls = {setting.name: setting.where for setting in repo.remotes.all()}
    return escape(urls.get(name) or redact(name))


def sent_lines(versions: Iterable["Sent"], verb: str = "") -> str:
    """Return a line for each version: its reference and its id, which keyless ones share."""
    lines = []
    for sent in versions:
        name = sent.id if sent.key is None else f"{sent.ref}  {sent.id}"
        lines.append(escape(f"{verb} {name}" if verb else name))
    return "\n".join(lines)


def sent_documents(versions: Iterable["Sent"]) -> list[dict[str, object]]:
    """Return what `--json` says of versions that are transferred."""
    return [{"ref": sent.ref, **asdict(sent)} for sent in versions]


def fetched_document(repo: "Repo", fetched: "Fetched") -> dict[str, Any]:
    """Return what `--json` says of a fetch."""
    document = asdict(fetched)
    document["url"] = url_of(repo, fetched.remote)
    document["versions"] = sent_documents(fetched.versions)
    return document


def pushed_document(repo: "Repo", pushed: "Pushed") -> dict[str, Any]:
    """Return what `--json` says of a push."""
    document = asdict(pushed)
    document["url"] = url_of(repo, pushed.remote)
    document["versions"] = sent_documents(pushed.versions)
    return document


def what_text(versions: int, entries: int) -> str:
    """Return such as "2 versions and 1 change of tags, notes, states or progress"."""
    parts = [count_text(versions, "version")] if versions or not entries else []
    if entries:
        parts.append(f"{count_text(entries, 'change')} of tags, notes, states or progress")
    return " and ".join(parts)


def load_text(packs: int, size_bytes: int) -> str:
    """Return such as ", 1.2 MiB in 2 packs", nothing where no bytes are."""
    if not packs and not size_bytes:
        return ""
    in_packs = f" in {count_text(packs, 'pack')}" if packs else ""
    return f", {size_text(size_bytes)}{in_packs}"


def say_pushed(output: Output, repo: "Repo", pushed: "Pushed") -> None:
    """Tell what a push came to, beside its versions."""
    say_renumbered(output, pushed.renumbered)
    what = what_text(len(pushed.versions), pushed.entries)
    load = load_text(pushed.packs, pushed.size_bytes)
    output.say(f"pushed {what}{load} to {place_text(repo, pushed.remote)}")


def say_renumbered(output: Output, renumbered: Sequence["Renumbered"]) -> None:
    """Tell which versions got another number."""
    for item in renumbered[:_SHOWN]:
        old, new = f"{item.key}@v{item.old}", f"v{item.new}"
        output.say(f"{old} is {new} now: another writer published v{item.old} first")
    _say_more(output, len(renumbered), "version was renumbered", "versions were renumbered")


def _say_more(output: Output, count: int, one: str, many: str) -> None:
    more = count - _SHOWN
    if more > 0:
        output.say(f"{more:,} more {one if more == 1 else many}; --json names them")


def check_complete(
    output: Output, left: Sequence["Left"], superseded: Sequence["Superseded"], verb: str
) -> None:
    """Raise ConflictError where something has no effect or stands against another's change, and
    PartialError where something was left out; all of it is told."""
    conflicts = [item for item in left if item.is_conflict]
    messages: list[tuple[str, str | None]] = [
        (_superseded_text(item), item.command) for item in superseded
    ]
    messages += [(_left_text(item, verb), item.hint) for item in conflicts]
    kind = ConflictError if messages else PartialError
    messages += [(_left_text(item, verb), item.hint) for item in left if not item.is_conflict]
    if not messages:
        return
    first, *others = messages  # what follows may come of it
    for message, hint in others[:_SHOWN]:
        output.say(escape(message))
        if hint:
            output.say(f"  hint: {escape(hint)}")
    _say_more(output, len(others), "is like that", "are like that")
    raise kind(first[0], hint=first[1])


def _superseded_text(item: "Superseded") -> str:
    return f"{item.what} has no effect, as somebody else changed it first; it is in the history"


def _left_text(item: "Left", verb: str) -> str:
    return f"{item.ref} was not {verb}: {item.reason}"
