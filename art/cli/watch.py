"""`art watch`: a version whenever something changed."""

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.about import About
from art.cli.common import (
    NoHooks,
    Output,
    complete_key,
    complete_remote,
    name_text,
    open_repo,
    option,
    record_document,
    shared,
)
from art.cli.rows import Where
from art.cli.waiting import Wish, ending, tell, wait
from art.errors import ArtError, UsageError
from art.keys import is_glob
from art.render.plain import json_text

if TYPE_CHECKING:
    from art.repo import Published


_OF_VERSIONS = [each.name for each in fields(About) if each.name != "partition"]


@shared
def command(
    output: Output,
    words: Annotated[
        list[str],
        typer.Argument(
            help="File or folder, and the key that gets its versions; or keys to wait for, globs over "
            "keys, or KEY@TAG for moves of a tag",
            metavar="PATH KEY | KEY…",
            autocompletion=complete_key,
        ),
    ],
    exec: Annotated[
        str | None,
        option("--exec", metavar="CMD", help="Run for all that is new of the keys, with {ref}"),
    ] = None,
    where: Where = None,
    remote: Annotated[
        str | None,
        option(
            "--remote",
            metavar="NAME",
            help="Remote at which something new of the keys is looked for",
            autocompletion=complete_remote,
        ),
    ] = None,
    cursor: Annotated[
        str | None,
        option("--cursor", metavar="FILE", help="Keeps what was reacted to, for the next start"),
    ] = None,
    since: Annotated[
        str | None,
        option("--since", metavar="TIME", help="What was made since counts as new; else since now"),
    ] = None,
    interval: Annotated[
        float | None,
        option("--interval", metavar="SECONDS", help="Between two looks at the keys, else 5"),
    ] = None,
    jobs: Annotated[
        int, option("-j", "--jobs", metavar="N", min=1, help="Commands that run at a time")
    ] = 1,
    all_of: Annotated[
        bool, option("--all-of", help="Wait for something new of each of the keys")
    ] = False,
    debounce: Annotated[
        float,
        option(
            "--debounce",
            metavar="SECONDS",
            help="Changes are waited for to end, for so long at most",
        ),
    ] = 1.0,
    once: Annotated[bool, option("--once", help="End after the first one that is new")] = False,
    *,
    about: About,
    no_hooks: NoHooks = False,
) -> None:
    """Make a version whenever a file or folder changed, or react to new versions

    With a file or folder and a key: prints each new version and its id, with --json one object a line. An
    error is told, and the next change looked at all the same. The look at the start makes a version, too,
    if there is something new; --once waits for a change after it.

    With keys: runs --exec in a shell for each new version that --where and -p match, or tells it as a
    line of JSON. {ref}, {key}, {id}, {number}, {tag}, {uri} and {refs} stand for what is new, also as
    ART_REF and so on in the environment. With --cursor each is reacted to once, however often art is
    stopped, or killed, in between. A command that fails is told, and not run again.

    Ends on Ctrl-C (exit code 130) and SIGTERM (143).

    \b
    Examples:
      art watch data/ sales/data
      art watch model.bin models/churn --debounce 5 -t nightly -M rows:=1200
      art watch sales/data --exec 'python train.py {ref}' --cursor train.cursor
      art watch models/churn@prod --remote origin --exec './deploy.sh {id}'
      art watch raw/a raw/b --all-of --exec 'make both A_AND_B="{refs}"'
      art watch 'sales/**' --where 'type = table' --since 7d | jq .ref
    """
    wish = Wish(exec, where, about.partition, remote, cursor, since, interval, jobs, all_of)
    if wish.is_said or not _is_path(output, words):
        output.refuse("where keys are waited for", "debounce", *_OF_VERSIONS)
        if exec is None:
            output.refuse("without --exec", "jobs")
        if once:
            output.refuse("with --once", "jobs")
        wait(output, words, wish, once=once)
        return
    output.refuse("where a file or folder is watched", "jobs")
    path, key = words
    told = about.words(output)
    repo = open_repo(output)
    with ending(interrupts=True) as stop:
        looks = repo.watch(path, key, debounce=debounce, stop=stop, **told)
        for turn, found in enumerate(looks):
            output.finish()
            is_new = _show(output, found)
            if once and is_new and turn:
                return


def _is_path(output: Output, words: list[str]) -> bool:
    """Whether the first word is a file or folder whose versions the key gets, rather than all of them keys.
    Raise UsageError where they are neither."""
    if not os.path.lexists(words[0]):
        keys = set(open_repo(output).keys())
        unknown = [word for word in words if word.partition("@")[0] not in keys]
        if not unknown or is_glob(unknown[0]):
            return False
        is_swapped = len(words) == 2 and os.path.lexists(words[1])
        raise UsageError(
            f"there is nothing to watch at {words[0]}, and no key {unknown[0]!r}",
            hint=f"art watch {words[1]} {words[0]}"
            if is_swapped
            else "with --interval 5 it is waited for a key that is to come",
        )
    if len(words) != 2:
        raise UsageError(
            f"{words[0]} is a file or folder: one key is expected after it",
            hint=f"art watch {words[0]} KEY; with --exec or --interval, words are keys",
        )
    return True


def _show(output: Output, found: "Published | ArtError") -> bool:
    """Tell what came of one look, and return whether that is a new version."""
    if isinstance(found, ArtError):
        tell(output, found)
        return False
    if found.created:
        document = {**record_document(found.version.record), "stored_bytes": found.stored_bytes}
        print(json_text(document) if output.is_json else name_text(found.version), flush=True)
    return found.created
