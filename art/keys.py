"""Keys, tags and types: what they may be called, their names in a store, and globs over them."""

from __future__ import annotations

import re

from art.errors import UsageError

_NAME_LIMIT = 255  # of one part of a name, on every usual file system
ANONYMOUS = "_anonymous"  # stands where a key stands in the names of keyless versions' logs
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_TYPE = re.compile(r"[a-z][a-z0-9._+-]{0,62}")
_GLOB_PART = re.compile(
    r"(?P<any>\*\*/?|\*|\?)|\[!(?P<none_of>[^/][^]/]*)\]|\[(?P<one_of>[^!/][^]/]*)\]|.", re.DOTALL
)
GLOB_START = re.compile(r"[*?\[]")
_GLOB_WORDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def check_key(key: str) -> str:
    """Return `key`; raise UsageError where it is not one."""
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > 255:
        raise UsageError(f"key is {size} bytes long, at most 255 are possible")
    if "@" in key and _SEGMENT.fullmatch(key[0]):
        raise UsageError(
            f"{key!r} names a version, and a key was expected",
            hint=f"{key.partition('@')[0]} alone",
        )
    for segment in key.split("/"):
        if not _SEGMENT.fullmatch(segment) or segment.endswith(".yaml"):
            raise UsageError(
                f"key {key!r} is not possible: its part {segment!r} must start with a letter or digit, "
                "hold only letters, digits, '.', '_' and '-', and not end in '.yaml'",
                hint=_likely_key(key),
            )
        if len(_escape_segment(segment)) > _NAME_LIMIT:
            raise UsageError(
                f"key {key!r} is not possible: its part {segment!r} is too long for a name on the disk, "
                "where a capital takes two characters"
            )
    return key


def _likely_key(key: str) -> str:
    """Return a hint at what was probably meant by what can be no key."""
    if is_glob(key):
        return "patterns go with art ls"
    name, colon, version = key.partition(":")
    if colon and _SEGMENT.fullmatch(version) and "/" in name:
        return f"a version or tag stands behind @: {name}@{version}"
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-._") for part in key.split("/")]
    likely = "/".join(part.removesuffix(".yaml") for part in parts if part)
    is_key = all(map(_SEGMENT.fullmatch, likely.split("/")))
    return f"did you mean {likely}?" if is_key else "keys look like sales/report or models/ResNet50"


def check_tag(tag: str) -> str:
    """Return `tag`; raise UsageError where it is not one."""
    if (
        not _SEGMENT.fullmatch(tag)
        or tag.endswith(".yaml")
        or tag.startswith("latest")
        or re.fullmatch(r"v[0-9]+", tag)
        or len(tag) > 200
        or len(_escape_segment(tag)) > _NAME_LIMIT
    ):
        raise UsageError(
            f"tag {tag!r} is not possible: letters, digits, '.', '_' and '-', "
            "not starting with 'latest', not like 'v12'",
        )
    return tag


TYPES = (
    "file", "folder", "markdown", "link", "table", "image", "json", "value", "progress", "reference",
    "object", "array", "figure", "model",
)  # fmt: skip
"""The types that versions get where nobody says another one."""


def check_type(word: str) -> str:
    """Return `word`; raise UsageError where it cannot be the type of a version."""
    if not _TYPE.fullmatch(word):
        raise UsageError(
            f"type {word!r} is not possible: lower-case letters, digits, '.', '_', '+', '-'"
        )
    return word


def escape(text: str) -> str:
    """Return the name of a key or tag in a store: no file system merges two of them."""
    return "/".join(_escape_segment(segment) for segment in text.split("/"))


def _escape_segment(segment: str) -> str:
    escaped = re.sub("[A-Z]", lambda match: "!" + match.group().lower(), segment)
    if segment.endswith("."):
        escaped += "!"
    if _RESERVED.fullmatch(segment):
        escaped = "!!" + escaped
    return escaped


def unescape(name: str) -> str | None:
    """Return the key or tag whose name this is, None where it is the name of none."""
    key = "/".join(_unescape_segment(segment) for segment in name.split("/"))
    return key if escape(key) == name and all(map(_SEGMENT.fullmatch, key.split("/"))) else None


def _unescape_segment(segment: str) -> str:
    segment = segment.removeprefix("!!")
    if segment.endswith(".!"):
        segment = segment[:-1]
    return re.sub("!([a-z])", lambda match: match.group(1).upper(), segment)


def is_glob(text: str) -> bool:
    """Whether a text looks like a glob."""
    return bool(GLOB_START.search(text))


def glob_pattern(text: str) -> str:
    """Return a shell glob as a regular expression: `*` stays within a segment, `**` does not."""
    return "(?s:" + _GLOB_PART.sub(_glob_part, text) + ")"


def _glob_part(match: re.Match[str]) -> str:
    any, none_of, one_of = match.group("any", "none_of", "one_of")
    if any:
        return _GLOB_WORDS[any]
    if none_of:
        return f"[^/{_glob_members(none_of)}]"
    if one_of:
        return f"[{members}]" if (members := _glob_members(one_of)) else "(?!)"
    return re.escape(match.group())


def _glob_members(text: str) -> str:
    """Return the letters and ranges in a pair of brackets; a range that runs backwards is empty."""

    def escaped(match: re.Match[str]) -> str:
        low, high = match.groups()
        if low is None:
            return re.escape(match.group())
        return f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""

    return re.sub(r"(.)-(.)|.", escaped, text, flags=re.DOTALL)
