"""`art status`: what the repository holds."""

from dataclasses import asdict

from art.cli.common import Output, open_repo, shared
from art.render.plain import count_text, escape, size_text


@shared
def command(output: Output) -> None:
    """Show what the repository holds and what is not as it should be

    \b
    Examples:
      art status
    """
    status = open_repo(output).status()
    states = ", ".join(f"{number} {state}" for state, number in sorted(status.states.items()))
    lines = [
        f"repository  {escape(status.root)}",
        f"holds       {count_text(status.keys, 'artifact')}, {count_text(status.versions, 'version')}"
        f"{f', {status.anonymous} without a key' if status.anonymous else ''}",
        f"versions    {states or 'none'}",
        f"packs       {status.packs}, {size_text(status.pack_bytes)}",
        *(f"missing     payload of {escape(ref)}" for ref in status.missing_payloads),
        *(f"damaged     {escape(what)}" for what in status.damaged),
    ]
    output.show("\n".join(lines), asdict(status))
