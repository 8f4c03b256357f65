"""`art config`: settings."""

from dataclasses import asdict
from typing import Annotated

import typer

from art.cli.common import Output, group, open_repo, shared
from art.render import plain

app = group("Show and change settings")

Name = Annotated[str, typer.Argument(help="Name of a setting", metavar="NAME")]


@app.command("get")
@shared
def get_setting(output: Output, name: Name) -> None:
    """Print the value of a setting

    \b
    Examples:
      art config get author
    """
    value = open_repo(output).config.get(name)
    output.show(plain.escape(_text(value.value)), asdict(value))


@app.command("set")
@shared
def change_setting(
    output: Output, name: Name, value: Annotated[str, typer.Argument(help="Value")]
) -> None:
    """Change a setting of this repository

    \b
    Examples:
      art config set author ana@example.org
    """
    _show(output, asdict(open_repo(output).config.set(name, value)))


@app.command("unset")
@shared
def remove_setting(output: Output, name: Name) -> None:
    """Take a setting out of this repository

    \b
    Examples:
      art config unset jobs
    """
    _show(output, asdict(open_repo(output).config.unset(name)))


@app.command("list")
@shared
def list_settings(output: Output) -> None:
    """List all settings and where their values come from

    \b
    Examples:
      art config list
    """
    values = open_repo(output).config.all()
    cells = [[value.name, _text(value.value), value.origin] for value in values]
    output.show(
        plain.listing_text(["NAME", "VALUE", "FROM"], cells).rstrip("\n"),
        [asdict(value) for value in values],
    )


def _show(output: Output, value: dict[str, object]) -> None:
    text = f"{value['name']} = {_text(value['value'])} ({value['origin']})"
    output.show(plain.escape(text), value)


def _text(value: object) -> str:
    return "" if value is None else str(value)
