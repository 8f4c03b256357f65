"""`art clone`: a repository out of a remote."""

from typing import Annotated

import typer

from art.cli import transfers
from art.cli.common import Jobs, Output, make_reporter, shared
from art.cli.pull import All, Depth, check_depth
from art.cli.remote import Anonymous, Endpoint, Options, Profile, parse_options
from art.render.plain import count_text, escape


@shared
def command(
    output: Output,
    url: Annotated[
        str, typer.Argument(help="URL or folder of a repository", metavar="URL", show_default=False)
    ],
    path: Annotated[
        str | None,
        typer.Argument(help="Folder, else named as the URL ends", metavar="[DIR]"),
    ] = None,
    depth: Depth = None,
    all: All = False,
    no_payload: transfers.NoPayload = False,
    options: Options = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    anonymous: Anonymous = False,
    jobs: Jobs = None,
) -> None:
    """Make a repository with the history of a remote

    The remote is its `origin` from then on. Payloads come when they are needed, unless --depth or
    --all asks for some at once.

    \b
    Examples:
      art clone s3://bucket/repo
      art clone /mnt/shared/repo here --depth 1
      art clone s3://bucket/repo --endpoint-url http://127.0.0.1:9000
    """
    check_depth(depth, all=all, no_payload=no_payload)
    from art.cloning import clone

    given = parse_options(options, endpoint_url, profile, anonymous=anonymous)
    output.reporter = make_reporter(output)
    is_bringing = all or depth is not None
    repo = clone(
        url,
        path,
        options=given,
        depth=depth,
        all=all,
        payload=is_bringing,
        reporter=output.reporter,
    )
    output.finish()
    status = repo.status()
    setting = repo.remotes.get()
    versions, keys = count_text(status.versions, "version"), count_text(status.keys, "artifact")
    later = "" if is_bringing else "; payloads come when they are needed, or with `art pull`"
    output.say(f"{versions} of {keys} from {escape(setting.where)}{later}")
    output.show(
        escape(f"repository cloned: {repo.root}"),
        {
            "root": str(repo.root),
            "remote": setting.name,
            "url": setting.where,
            "keys": status.keys,
            "versions": status.versions,
        },
    )
