"""`art seal`: one version of the parts that several jobs made."""

from typing import Annotated

from art.cli.about import About
from art.cli.common import (
    ErrorOnNoop,
    Jobs,
    Key,
    NoHooks,
    Output,
    Sign,
    open_repo,
    option,
    shared,
    show_published,
)
from art.cli.part import Draft, Local
from art.errors import UsageError

_DIGITS = 20


@shared
def command(
    output: Output,
    key: Key,
    draft: Draft = ...,  # type: ignore[assignment]
    expect: Annotated[
        str,
        option("--expect", metavar="N|NAMES", help="How many parts, or which: linux,mac,windows"),
    ] = ...,  # type: ignore[assignment]
    flat: Annotated[
        bool, option("--flat", help="Files side by side, not in a folder for each part")
    ] = False,
    *,
    about: About,
    local: Local = False,
    sign: Sign = False,
    error_on_noop: ErrorOnNoop = False,
    jobs: Jobs = None,
    no_hooks: NoHooks = False,
) -> None:
    """Make one version of the parts that several jobs made with `art part`

    All parts that are expected must be there, and no other: else nothing is made. The files of each part
    lie in a folder called like it. A draft is sealed once: whoever does it again, or at the same time,
    gets that same version, also where the first one was ended halfway. The version is at the remote, with
    the parts, when the command returns.

    \b
    Examples:
      art seal tests/reports --draft run-4711 --expect 6
      art seal tests/reports --draft run-4711 --expect linux,mac,windows -t green
      art seal sales/data --draft $CI_PIPELINE_ID --expect $CI_NODE_TOTAL --flat
      art seal models/churn --draft run-4711 --expect 3 --sign
    """
    repo = open_repo(output)
    told = about.words(output)
    expected = parse_expected(expect)
    made = repo.seal(key, draft=draft, expect=expected, flat=flat, local=local, sign=sign, **told)
    output.finish()
    show_published(output, made, error_on_noop=error_on_noop, draft=draft)


def parse_expected(text: str) -> int | list[str]:
    """Return a number, or the names of a list with commas. Raise UsageError where it is neither."""
    if text.isascii() and text.isdigit() and len(text) < _DIGITS:  # a name may have more of them
        return int(text)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--expect {text!r} is neither a number nor a list of names")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"--expect names {twice} twice")
    return names
