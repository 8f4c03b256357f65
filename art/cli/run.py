"""`art run`: a command, and versions of what it wrote."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.caching import Reuse
from art.cli.about import AllowUndeclared, find_elsewhere
from art.cli.common import (
    EndedError,
    Jobs,
    NoHooks,
    Output,
    name_text,
    open_repo,
    option,
    parse_metadata,
    parse_pairs,
    record_document,
    shared,
)
from art.errors import UsageError
from art.processes import CommandError
from art.render.plain import count_text, escape

if TYPE_CHECKING:
    from art.repo.jobs import Ran
    from art.version import Version

Words = Annotated[
    list[str] | None,
    typer.Argument(help="Command and its words, after --", metavar="-- CMD…", show_default=False),
]
Name = Annotated[
    str | None, option("--name", metavar="NAME", help="Name of the run, else of the command")
]
Input = Annotated[
    list[str] | None,
    option(
        "--in",
        metavar="NAME=REF",
        help="Version to read, also PLACE#REF, or ./PATH; may be repeated",
    ),
]
Out = Annotated[
    list[str] | None,
    option("--out", metavar="KEY=PATH", help="File or folder it writes; may be repeated"),
]
Param = Annotated[
    list[str] | None,
    option("--param", metavar="K=V", help="Parameter, {K} in words; K:=JSON for other than texts"),
]
Partition = Annotated[
    list[str] | None,
    option("-p", "--partition", metavar="K=V", help="Partition the outputs are, {PARAM} in it"),
]
Depends = Annotated[
    list[str] | None,
    option("--depends", metavar="PATH", help="File or folder that the outputs depend on"),
]
Env = Annotated[
    list[str] | None,
    option("--env", metavar="NAME", help="Environment variable that they depend on"),
]
Expires = Annotated[
    str | None,
    option("--expires", metavar="SPAN", help="Age at which outputs are made again: 12h, 7d"),
]
Push = Annotated[
    bool,
    option("--push", help="Outputs are looked for at the authority first, and published there"),
]
NoCache = Annotated[
    bool, option("--no-cache", help="The command is run also where nothing has changed")
]


@shared
def command(
    output: Output,
    words: Words = None,
    name: Name = None,
    input: Input = None,
    out: Out = None,
    param: Param = None,
    partition: Partition = None,
    allow_undeclared: AllowUndeclared = False,
    depends: Depends = None,
    env: Env = None,
    expires: Expires = None,
    push: Push = False,
    no_cache: NoCache = False,
    jobs: Jobs = None,
    no_hooks: NoHooks = False,
) -> None:
    """Run a command, and make versions of what it wrote

    Inputs are taken out to a temporary folder; the command finds the path as {NAME} in its words and
    in the variable ART_IN_NAME. Parameters are {K} in words, references, keys and paths, and the
    variable ART_PARAM_K. Where it ends with exit code 0, outputs become versions that say what
    they were made from; else art ends with its exit code, and the record of the run says so. What the
    command and its processes make and read with art is noted, too.

    Where the command, the files that its words name, parameters, inputs, and what --depends and --env
    name are as they were before, the earlier outputs are put in place, and nothing is run. A command
    without --out is always run. With --push, or the setting shared_cache, all who push to a remote give
    each other their results.

    \b
    Examples:
      art run --in raw=sales/raw --out sales/clean=clean.csv -- python clean.py {raw} clean.csv
      art run --in raw=rides?day=-1d -p day={date} --out sums=sums.csv -- ./sum.sh {raw}
      art run --in raw=s3://bucket/repo#sales/raw@prod --out sums=sums.csv -- ./sum.sh {raw}
      art run --param rate:=0.1 --out models/churn=model/ -- ./train.sh --rate {rate}
      art run --name nightly --no-cache --out report=report.md -- make report.md
    """
    if not words:
        raise UsageError("a command is missing", hint="art run --out KEY=PATH -- CMD …")
    repo = open_repo(output)
    params = parse_metadata(param, "--param")
    about: dict[str, Any] = {
        "name": name,
        "inputs": {
            name: _input(output, text, params) for name, text in parse_pairs(input, "--in").items()
        },
        "outputs": parse_pairs(out, "--out"),
        "params": params,
        "partitions": parse_pairs(partition, "-p"),
        "allow_undeclared": allow_undeclared,
        "reuse": Reuse(not no_cache, _seconds(expires), depends or (), env or (), push),
    }
    try:
        ran = repo.run_command(words, **about)
    except CommandError as error:
        output.finish()
        output.say(f"art: {escape(error.message)}; nothing was made of it")
        raise EndedError(error.exit_code) from None
    output.finish()
    _show(output, ran)


def _input(output: Output, text: str, params: dict[str, Any]) -> "str | Version":
    """Return a reference or path as it is, the version itself where it is in another repository."""
    from art.repo.commands import filled, is_path, told

    full = filled(text, told(params)) if "#" in text else text
    if is_path(full) and os.path.lexists(full):
        return text
    found = find_elsewhere(output, full, "--in")
    return found[1] if found else text


def _seconds(text: str | None) -> float | None:
    from art.config import span_seconds

    try:
        return None if text is None else span_seconds(text)
    except ValueError as error:
        raise UsageError(f"--expires {text!r} is not {error}") from None


def _show(output: Output, ran: "Ran") -> None:
    """Tell what came of it, beside what the command printed: on standard error, with --json also as
    JSON on standard output."""
    for version in ran.outputs.values():
        is_new = version.key in ran.created
        note = "" if is_new else "  cached" if ran.cached else "  unchanged"
        output.say(name_text(version) + note)
    if ran.cached:
        output.say(f"nothing was run: {count_text(len(ran.outputs), 'output')} of run {ran.cached}")
    if ran.uncached:
        output.say(f"it will be run again the next time: {escape(ran.uncached)}")
    if output.is_json:
        outputs = {
            name: {**record_document(version.record), "created": name in ran.created}
            for name, version in ran.outputs.items()
        }
        output.show("", {"run": ran.id, "cached": ran.cached, "outputs": outputs})
