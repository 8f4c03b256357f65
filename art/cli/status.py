"""`art status`: what the repository holds."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from art.cli import transfers
from art.cli.common import Output, open_repo, shared
from art.render.plain import count_text, escape, size_text

if TYPE_CHECKING:
    from art.survey import Status
    from art.sync import RemoteStatus, Sent

_SHOWN = 5


@shared
def command(output: Output, remote: transfers.Remote = None) -> None:
    """Show what the repository holds and what is not as it should be

    Of each remote it shows what is not published there, as far as is known here. With --remote that
    one is asked, and what is only there is shown, too.

    \b
    Examples:
      art status
      art status --remote origin
    """
    repo = open_repo(output)
    settings = repo.remotes.all()
    if remote is not None:
        repo.remotes.get(remote)
    status = repo.status()
    remotes = repo.sync_status(remote, ask=remote is not None) if settings else []
    output.finish()
    authority = next((setting.name for setting in settings if setting.is_authority), None)
    lines = [*_own_lines(status, remotes), *_remote_lines(remotes, authority)]
    output.show("\n".join(lines), {**asdict(status), "remotes": [*map(_document, remotes)]})


def _own_lines(status: "Status", remotes: Sequence["RemoteStatus"]) -> Iterator[str]:
    states = ", ".join(f"{number} {state}" for state, number in sorted(status.states.items()))
    keyless = f", {status.anonymous} without a key" if status.anonymous else ""
    versions = count_text(status.versions, "version")
    yield f"repository  {escape(status.root)}"
    yield f"holds       {count_text(status.keys, 'artifact')}, {versions}{keyless}"
    yield f"versions    {states or 'none'}"
    yield f"packs       {status.packs}, {size_text(status.pack_bytes)}"
    missing, elsewhere = _missing(status, remotes)
    if elsewhere:
        count = count_text(elsewhere, "version")
        yield f"elsewhere   payload of {count}, which comes when it is needed, or with `art pull`"
    yield from (f"missing     payload of {escape(ref)}" for ref in missing)
    yield from (f"damaged     {escape(what)}" for what in status.damaged)


def _missing(status: "Status", remotes: Sequence["RemoteStatus"]) -> tuple[list[str], int]:
    """Return the versions whose payload is nowhere, and how many others a remote has."""
    known = [{sent.ref for sent in remote.local_only} for remote in remotes]
    nowhere = [ref for ref in status.missing_payloads if all(ref in only for only in known)]
    return nowhere, len(status.missing_payloads) - len(nowhere)


def _remote_lines(remotes: Sequence["RemoteStatus"], authority: str | None) -> Iterator[str]:
    for remote in remotes:
        role = ", gives the numbers" if remote.remote == authority else ""
        yield escape(f"remote      {remote.remote}, {remote.url}{role}")
        if remote.local_only or remote.entries:
            what = transfers.what_text(len(remote.local_only), remote.entries)
            yield escape(f"unpublished {what}{_names(remote.local_only)}")
        if remote.remote_only:
            yield f"only there  {count_text(remote.remote_only, 'version')}; `art fetch` brings them"
        elif not (remote.local_only or remote.entries):
            asked = "" if remote.remote_only is None else ", nothing is only there"
            yield f"            has everything{asked}"
    moved = remotes[0].renumbered if remotes else []
    for item in moved[-_SHOWN:]:
        yield escape(f"renumbered  {item.key}@v{item.old} is v{item.new} now")
    if len(moved) > _SHOWN:
        yield f"            and {len(moved) - _SHOWN:,} before"


def _names(versions: Sequence["Sent"]) -> str:
    if not versions:
        return ""
    more = f" and {len(versions) - _SHOWN:,} more" if len(versions) > _SHOWN else ""
    return f": {', '.join(sent.ref for sent in versions[:_SHOWN])}{more}"


def _document(remote: "RemoteStatus") -> dict[str, object]:
    return {**asdict(remote), "local_only": transfers.sent_documents(remote.local_only)}
