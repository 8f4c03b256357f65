"""`art pull`: bring a remote's history and payloads."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from art.cli import transfers
from art.cli.common import (
    DryRun,
    ErrorOnNoop,
    Jobs,
    NoHooks,
    Output,
    check_noop,
    open_repo,
    option,
    shared,
)
from art.errors import UsageError
from art.render.plain import count_text

if TYPE_CHECKING:
    from art.repo import Repo
    from art.sync import Fetched, Pulled, Sent

Depth = Annotated[
    int | None,
    option("--depth", metavar="N", min=1, help="Payloads of the N newest versions of each key"),
]
All = Annotated[
    bool, option("-a", "--all", help="Payloads of all versions that are live or can be restored")
]


@shared
def command(
    output: Output,
    keys: transfers.Keys = None,
    remote: transfers.Remote = None,
    depth: Depth = None,
    all: All = False,
    no_payload: transfers.NoPayload = False,
    dry_run: DryRun = False,
    jobs: Jobs = None,
    error_on_noop: ErrorOnNoop = False,
    no_hooks: NoHooks = False,
) -> None:
    """Bring a remote's history here, and payloads

    Without --depth or --all, the payloads of the newest live version of each key and of what its
    tags name. Prints the versions that are new here, or whose payload is.

    \b
    Examples:
      art pull
      art pull 'sales/*' --depth 3
      art pull --all --remote mirror
      art pull --dry-run
    """
    check_depth(depth, all=all, no_payload=no_payload)
    repo = open_repo(output)
    patterns = tuple(keys or ())
    if dry_run:
        _show_plan(output, repo, patterns, remote, depth, all=all, no_payload=no_payload)
        return
    pulled = repo.pull(*patterns, remote=remote, depth=depth or 1, all=all, payload=not no_payload)
    output.finish()
    shown = _together(pulled.fetched.versions, pulled.versions)
    output.show(transfers.sent_lines(shown), _document(repo, pulled))
    transfers.say_renumbered(output, pulled.fetched.renumbered)
    is_noop = not (pulled.fetched.versions or pulled.fetched.entries or pulled.versions)
    place = transfers.place_text(repo, pulled.fetched.remote)
    nothing = f"nothing new at {place}"
    load = transfers.load_text(pulled.packs, pulled.size_bytes)
    what = _what(pulled.fetched, pulled.versions, load, "fetched", "brought")
    output.say(nothing if is_noop else f"{what} from {place}")
    transfers.check_complete(output, pulled.left, pulled.fetched.superseded, "pulled")
    check_noop(is_noop and not pulled.left, nothing, is_error=error_on_noop)


def check_depth(depth: int | None, *, all: bool, no_payload: bool) -> None:
    """Raise UsageError where options say different things of which payloads come."""
    given = [("--depth", depth is not None), ("--all", all), ("--no-payload", no_payload)]
    names = [name for name, is_given in given if is_given]
    if len(names) > 1:
        raise UsageError(f"{names[0]} and {names[1]} exclude each other")


def _show_plan(
    output: Output,
    repo: "Repo",
    patterns: tuple[str, ...],
    remote: str | None,
    depth: int | None,
    *,
    all: bool,
    no_payload: bool,
) -> None:
    fetched = repo.plan_fetch(*patterns, remote=remote)
    document = {"fetched": transfers.fetched_document(repo, fetched), "dry_run": True}
    lines = [transfers.sent_lines(fetched.versions, "would fetch")]
    place = transfers.place_text(repo, fetched.remote)
    if no_payload:
        what = _what(fetched, [], "", "would fetch", "")
    else:
        plan = repo.plan_pull(*patterns, remote=remote, depth=depth or 1, all=all)
        payloads = asdict(plan) | {"versions": transfers.sent_documents(plan.versions)}
        document = {**payloads, **document, "url": transfers.url_of(repo, fetched.remote)}
        lines.append(transfers.sent_lines(plan.versions, "would bring"))
        load = transfers.load_text(plan.packs, plan.size_bytes)
        what = _what(fetched, plan.versions, load, "would fetch", "would bring")
    output.show("\n".join(filter(None, lines)), document)
    output.say(f"{what} from {place}" if what else f"nothing new at {place}")
    if fetched.versions and not no_payload:
        output.say(
            "payloads of what is to be fetched are not counted: the remote was not asked yet"
        )


def _what(
    fetched: "Fetched", payloads: list["Sent"], load: str, fetch_verb: str, bring_verb: str
) -> str:
    parts = []
    if fetched.versions or fetched.entries:
        what = transfers.what_text(len(fetched.versions), fetched.entries)
        parts.append(f"{fetch_verb} {what}")
    if payloads:
        what = "payload" if len(payloads) == 1 else "payloads"
        parts.append(f"{bring_verb} the {what} of {count_text(len(payloads), 'version')}{load}")
    return "; ".join(parts)


def _together(*groups: list["Sent"]) -> list["Sent"]:
    """Return each version once, by key and number."""
    found = {(sent.ref, sent.id): sent for group in groups for sent in group}
    return sorted(found.values(), key=lambda sent: (sent.key or "", sent.number or 0, sent.id))


def _document(repo: "Repo", pulled: "Pulled") -> dict[str, object]:
    return {
        "remote": pulled.fetched.remote,
        "url": transfers.url_of(repo, pulled.fetched.remote),
        "fetched": transfers.fetched_document(repo, pulled.fetched),
        "versions": transfers.sent_documents(pulled.versions),
        "packs": pulled.packs,
        "size_bytes": pulled.size_bytes,
        "left": [asdict(left) for left in pulled.left],
        "dry_run": False,
    }
