"""Placeholders in keys and values of partitions, such as `report-{date}`."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from art.config import user_name
from art.errors import UsageError

_RUN_VARIABLES = (
    "ART_RUN",
    "GITHUB_RUN_ID",
    "CI_PIPELINE_ID",
    "BUILDKITE_BUILD_NUMBER",
    "BUILD_BUILDID",
    "BUILD_NUMBER",
)


def expand(template: str, values: Mapping[str, str], what: str = "key") -> str:
    """Return `template` with each `{name}` replaced; `values` go before the built-in names. `{{` and `}}`
    are braces. `what` says in errors what it is.

    Raise UsageError for an unknown name, listing the known ones, and where a value is not to be had.
    """
    now = datetime.now(timezone.utc)
    known: dict[str, Callable[[], str]] = {
        "date": lambda: now.strftime("%Y-%m-%d"),
        "time": lambda: now.strftime("%H-%M-%S"),
        "git_sha": lambda: _git("rev-parse", "--short=12", "HEAD"),
        "branch": lambda: _git("rev-parse", "--abbrev-ref", "HEAD"),
        "user": user_name,
        "host": socket.gethostname,
        "run": _run,
    }

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group()[0]
        if name in values:
            return values[name]
        if name not in known:
            names = ", ".join(sorted({*known, *values}))
            raise UsageError(
                f"{what} {template!r} has the unknown placeholder {{{name}}}",
                hint=f"known: {names}; --set {name or 'name'}=VALUE adds one",
            )
        return re.sub(r"[^A-Za-z0-9._/-]", "-", known[name]())

    return re.sub(r"\{\{|\}\}|\{([^{}]*)\}", value, template)


def _git(*arguments: str) -> str:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            "a placeholder of the key asks git, and this is no git repository"
        ) from None
    return result.stdout.strip()


def _run() -> str:
    for variable in _RUN_VARIABLES:
        if found := os.environ.get(variable):
            return found
    raise UsageError(
        "the key has {run}, and no run is known", hint="set ART_RUN, or use --set run=NAME"
    )
