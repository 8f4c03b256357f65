"""Ignore files: lines with the meaning that git gives them, as expressions over single paths.

A rule speaks of the path itself, never of what lies below it: a walk that does not enter an ignored
folder saw to that.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

from art.disk import explain

_SPECIAL = re.compile(r"[*?\[\\]")
_FOLDERS = "(?:.*/)?"
_CLASS = re.compile(r"\[:([^\]]*):\]")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


class _Rule(NamedTuple):
    """One line of an ignore file. One that is not anchored is asked about the last name only."""

    regex: re.Pattern[str]
    ignores: bool
    for_folders: bool
    is_anchored: bool


class Ignore:
    """The rules of all ignore files from the root of a walk down to a folder."""

    def __init__(self, rules: tuple[tuple[str, list[_Rule]], ...] = ()) -> None:
        self.rules = rules

    def with_file(self, path: str, prefix: str) -> Ignore:
        """Return these rules and those of the file at `path`, for what is below `prefix`."""
        try:
            with open(path, "rb") as file:
                text = file.read().decode("utf-8", "surrogateescape")
        except OSError as error:
            explain(error, path)
        return Ignore(((prefix, _rules(text)), *self.rules))

    def matches(self, path: str) -> bool:
        """Whether the deepest rule that speaks of `path` ignores it, as in git. A folder ends in `/`."""
        is_folder = path.endswith("/")
        whole = path.rstrip("/")
        last = whole.rpartition("/")[2]
        for prefix, rules in self.rules:
            below = whole[len(prefix) :]
            for regex, ignores, for_folders, is_anchored in rules:
                if for_folders and not is_folder:
                    continue
                if regex.fullmatch(below if is_anchored else last):
                    return ignores
        return False


def _rules(text: str) -> list[_Rule]:
    """Return the rules of an ignore file, the last first, which decides."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return [rule for line in reversed(lines) if (rule := _rule(line))]


def _rule(line: str) -> _Rule | None:
    """Return what a line says, None for one that is empty, a comment, or can match nothing."""
    line = _without_trailing_spaces(line)
    if line.startswith("#"):
        return None
    ignores = not line.startswith("!")
    glob = line if ignores else line[1:]
    for_folders = glob.endswith("/")
    glob = glob[:-1] if for_folders else glob
    is_anchored = "/" in glob
    glob = glob.removeprefix("/")
    with contextlib.suppress(ValueError):
        if glob:
            regex = re.compile(_expression(glob), re.DOTALL)
            return _Rule(regex, ignores, for_folders, is_anchored)
    return None


def _without_trailing_spaces(line: str) -> str:
    """Spaces at the end do not count, but for one that a backslash protects."""
    bare = line.rstrip(" ")
    is_protected = bare != line and (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
    return bare + " " if is_protected else bare


def _expression(glob: str) -> str:
    """Return the regular expression of a glob. Raise ValueError where git takes it for none."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        letter = glob[at]
        if letter == "*":
            part, at = _stars(glob, at)
        elif letter == "?":
            part, at = "[^/]", at + 1
        elif letter == "[":
            part, at = _bracket(glob, at + 1)
        else:
            literal, at = _literal(glob, at)
            part = re.escape(literal)
        if parts[-1:] != [part] or part != _FOLDERS:  # twice is no more than once, and slow
            parts.append(part)
    return "".join(parts)


def _stars(glob: str, at: int) -> tuple[str, int]:
    """Two stars that stand alone between slashes cross them, any others do not.

    To git, what comes before the first special letter is no part of the pattern, so stars right
    behind it stand alone, too."""
    end = at
    while end < len(glob) and glob[end] == "*":
        end += 1
    is_alone = end - at > 1 and (glob[at - 1] == "/" or not _SPECIAL.search(glob, 0, at))
    if is_alone and end == len(glob):
        return ".*", end
    if is_alone and glob[end] == "/":
        return _FOLDERS, end + 1
    return "[^/]*", end


def _literal(text: str, at: int) -> tuple[str, int]:
    """Return the letter that stands at a place, maybe behind a backslash, and where it ends."""
    at += text[at] == "\\"
    if at >= len(text):
        raise ValueError("the pattern ends within")
    return text[at], at + 1


def _bracket(glob: str, at: int) -> tuple[str, int]:
    """Return the expression of a set of letters; `/` is in none."""
    is_negated = glob[at : at + 1] in ("!", "^")
    at += is_negated
    first = at
    members = []
    while at == first or glob[at : at + 1] != "]":
        member, at = _member(glob, at)
        members.append(member)
    inside = "".join(members)
    return f"[^/{inside}]" if is_negated else f"(?!/)[{inside}]", at + 1


def _member(glob: str, at: int) -> tuple[str, int]:
    """Return one class, range or letter of a set."""
    if at >= len(glob):
        raise ValueError("a bracket is not closed")
    if found := _CLASS.match(glob, at):
        if found[1] not in _CLASSES:
            raise ValueError(f"there is no class {found[1]!r}")
        return _CLASSES[found[1]], found.end()
    first, at = _literal(glob, at)
    if glob[at : at + 1] == "-" and glob[at + 1 : at + 2] not in ("", "]"):
        last, at = _literal(glob, at + 1)
        if first <= last:
            return f"{re.escape(first)}-{re.escape(last)}", at
    return re.escape(first), at
