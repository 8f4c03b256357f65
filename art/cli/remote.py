"""`art remote`: the places that versions are pushed to and fetched from."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.addresses import is_place
from art.cli.common import (
    ErrorOnNoop,
    Output,
    check_noop,
    complete_remote,
    group,
    open_repo,
    option,
    parse_pairs,
    shared,
)
from art.errors import UsageError
from art.render import plain

if TYPE_CHECKING:
    from art.addresses import RemoteSetting
    from art.opening import Checked

app = group("Name the places to push to and fetch from")

Name = Annotated[
    str,
    typer.Argument(help="Name of a remote", metavar="NAME", autocompletion=complete_remote),
]
NewName = Annotated[str, typer.Argument(help="Name to give it", metavar="NAME")]
Url = Annotated[
    str, typer.Argument(help="URL, such as s3://bucket/folder, or a folder", metavar="URL")
]
NewUrl = Annotated[
    str | None,
    typer.Argument(help="URL, such as s3://bucket/folder, or a folder", metavar="URL"),
]
Options = Annotated[
    list[str] | None,
    option(
        "--option",
        metavar="K=V",
        help="Option of this kind of remote, as region=eu-west-1",
        envvar=["ART_CLONE_OPTION", "ART_REMOTE_ADD_OPTION", "ART_REMOTE_CHECK_OPTION"],
    ),
]
Endpoint = Annotated[
    str | None, option("--endpoint-url", metavar="URL", help="Server that speaks as the cloud does")
]
Profile = Annotated[
    str | None, option("--profile", metavar="NAME", help="Profile that holds the credentials")
]
Anonymous = Annotated[bool, option("--anonymous", help="Asked without credentials")]
SingleWriter = Annotated[
    bool,
    option(
        "--single-writer", help="Nobody else ever writes there, so it need not tell who was first"
    ),
]


def parse_options(
    given: Iterable[str] | None, endpoint: str | None, profile: str | None, *, anonymous: bool
) -> dict[str, str]:
    """Return the options of a remote, whichever way they were given."""
    options = parse_pairs(given, "--option")
    named = {"endpoint_url": endpoint, "profile": profile, "anon": "true" if anonymous else None}
    for name, value in named.items():
        if value is not None:
            if name in options:
                raise UsageError(f"option {name!r} is given twice")
            options[name] = value
    return options


@app.command("add")
@shared
def add_remote(
    output: Output,
    name: NewName,
    url: NewUrl = None,
    options: Options = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    anonymous: Anonymous = False,
    single_writer: SingleWriter = False,
    no_probe: Annotated[
        bool, option("--no-probe", help="Tried at the first push, not now")
    ] = False,
    error_on_noop: ErrorOnNoop = False,
) -> None:
    """Add a remote; where there is no repository, one is made

    What art relies on is tried at the place before: that it tells which of two writers was first. The
    first remote gives versions their numbers. Credentials come from each cloud's own chain.

    \b
    Examples:
      art remote add origin s3://bucket/repo
      art remote add origin /mnt/shared/repo
      art remote add origin s3://bucket/repo --endpoint-url http://127.0.0.1:9000
      art remote add cloud gs://bucket/repo --option project=sales
    """
    if url is None:
        hint = f"art remote add origin {name}" if is_place(name) else f"art remote add {name} URL"
        raise UsageError("a name and a URL or folder are needed", hint=hint)
    given = parse_options(options, endpoint_url, profile, anonymous=anonymous)
    remotes = open_repo(output).remotes
    before = [setting.name for setting in remotes.all()]
    setting = remotes.add(name, url, given, single_writer=single_writer, probe=not no_probe)
    is_new = name not in before
    numbers = ", which gives versions their numbers" if setting.is_authority else ""
    verb = "added" if is_new else "is already there"
    output.show(
        plain.escape(f"remote {name} {verb}: {setting.where}{numbers}"),
        {**_document(setting), "created": is_new},
    )
    check_noop(not is_new, f"remote {name} is there already", is_error=error_on_noop)


@app.command("ls")
@shared
def list_remotes(output: Output) -> None:
    """List the remotes of this repository

    \b
    Examples:
      art remote ls
    """
    settings = open_repo(output).remotes.all()
    cells = [
        [
            setting.name,
            setting.where,
            "authority" if setting.is_authority else "mirror",
            _writers(setting),
            " ".join(f"{name}={value}" for name, value in setting.options.items()),
        ]
        for setting in settings
    ]
    header = ["NAME", "URL", "ROLE", "WRITERS", "OPTIONS"]
    text = plain.listing_text(header, cells).rstrip("\n") if cells else ""
    output.show(text, [_document(setting) for setting in settings])
    if not settings:
        output.say("no remotes; `art remote add origin URL` adds one")


def _writers(setting: "RemoteSetting") -> str:
    if setting.single_writer:
        return "one"
    return "several" if setting.probed else "not tried"


@app.command("rm")
@shared
def remove_remote(output: Output, name: Name) -> None:
    """Forget a remote; nothing there is touched

    \b
    Examples:
      art remote rm mirror
    """
    setting = open_repo(output).remove_remote(name)
    output.show(plain.escape(f"remote {name} removed: {setting.where}"), _document(setting))


@app.command("set-url")
@shared
def change_url(
    output: Output,
    name: Name,
    url: Url,
    options: Options = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    anonymous: Anonymous = False,
) -> None:
    """Say where a remote is now; it must be the same repository

    Its options stay, unless any are given.

    \b
    Examples:
      art remote set-url origin s3://new-bucket/repo
      art remote set-url origin s3://bucket/repo --endpoint-url http://127.0.0.1:9000
    """
    given = parse_options(options, endpoint_url, profile, anonymous=anonymous)
    setting = open_repo(output).remotes.set_url(name, url, given or None)
    output.show(plain.escape(f"remote {name} is at {setting.where}"), _document(setting))


@app.command("check")
@shared
def check_remote(
    output: Output,
    place: Annotated[
        str | None,
        typer.Argument(
            help="Remote, URL or folder, else the authority",
            metavar="[NAME|URL]",
            autocompletion=complete_remote,
        ),
    ] = None,
    options: Options = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    anonymous: Anonymous = False,
) -> None:
    """Look at a remote, and try whether several people may push there

    Ends with exit code 5 if they may not, unless it has a single writer. A remote that can only be
    read is fine.

    \b
    Examples:
      art remote check
      art remote check s3://bucket/new
    """
    given = parse_options(options, endpoint_url, profile, anonymous=anonymous)
    from art.opening import not_safe

    remotes = open_repo(output).remotes
    checked = remotes.check(remotes.get().name if place is None else place, given)
    output.show(_checked_text(checked), _checked_document(checked))
    if checked.is_probed and checked.problems and not checked.single_writer:
        raise not_safe(checked.name, checked.url, checked.problems)


def _checked_text(checked: "Checked") -> str:
    name = f"{checked.name}  {checked.url}" if checked.name else checked.url
    there = "none yet"
    if checked.repository:
        there = f"{checked.repository}, format {checked.format}"
        there += ", bare" if checked.is_bare else ""
    if checked.single_writer:
        writers = "one, as its setting says"
    elif checked.is_shareable:
        writers = "several people may push there"
    elif checked.is_probed:
        writers = "not safe for several people"
    else:
        writers = f"none: it {checked.problems[0]}"
    lines = [f"remote      {name}", f"repository  {there}", f"writers     {writers}"]
    if checked.is_probed:
        lines += [f"problem     the store {problem}" for problem in checked.problems]
    return "\n".join(map(plain.escape, lines))


def _checked_document(checked: "Checked") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(checked), "is_shareable": checked.is_shareable}


def _document(setting: "RemoteSetting") -> dict[str, Any]:
    return {
        "name": setting.name,
        "url": setting.where,
        "options": setting.options,
        "single_writer": setting.single_writer,
        "probed": setting.probed,
        "is_authority": setting.is_authority,
        "repository": setting.repository,
    }
