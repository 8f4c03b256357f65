"""References: the words by which people and programs name versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from art.errors import UsageError
from art.model import check_key, check_tag

_ID_PREFIX = re.compile(r"b3:[0-9a-f]{8,64}")
_BUILT_IN = re.compile(r"v[0-9]{1,18}|latest(-[0-9]{1,18})?")
_PARTITION = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Ref:
    """A reference: `KEY[@SELECTOR][/PATH]`, with `art://` in front as a URL.

    `selector` is `latest`, `latest-N`, `vN`, a tag, or `b3:` and 8 to 64 hex digits. `key` is empty
    only for an id given alone, which reaches keyless versions too. `partitions`, `?region=eu` behind
    a URL or the selector, are pairs that the version must have: `latest` counts only those that do.
    """

    key: str
    selector: str = "latest"
    path: str = ""
    partitions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Raise UsageError where `text` is not a reference."""
        bare = text.removeprefix("art://")
        bare, query = _split_query(bare, is_url=bare != text)
        pairs = _parse_query(query, text) if query is not None else ()
        if bare.startswith("b3:"):
            selector, _, path = bare.partition("/")
            return cls("", _check_selector(selector, text), _check_path(path, text), pairs)
        key, at, rest = bare.partition("@")
        if not at:
            return cls(check_key(key), partitions=pairs)
        selector, _, path = rest.partition("/")
        selector = _check_selector(selector, text)
        return cls(check_key(key), selector, _check_path(path, text), pairs)

    @property
    def is_exact(self) -> bool:
        """Whether it names one version for ever: a number or an id."""
        return self.number is not None or self.selector.startswith("b3:")

    @property
    def number(self) -> int | None:
        """The N of `vN`."""
        found = re.fullmatch(r"v([0-9]{1,18})", self.selector)
        return int(found.group(1)) if found else None

    @property
    def back(self) -> int | None:
        """0 for `latest`, N for `latest-N`."""
        found = re.fullmatch(r"latest(?:-([0-9]{1,18}))?", self.selector)
        return int(found.group(1) or 0) if found else None

    def within(self, partitions: Mapping[str, str]) -> Ref:
        """Return it with more partitions. Raise UsageError where one is given twice."""
        added = tuple((name, str(value)) for name, value in partitions.items())
        return replace(self, partitions=_check_partitions((*self.partitions, *added), str(self)))

    def fits(self, partitions: Mapping[str, str]) -> bool:
        """Whether a version with these partitions is one of those that are meant."""
        return all(partitions.get(name) == value for name, value in self.partitions)

    def __str__(self) -> str:
        version = f"{self.key}@{self.selector}" if self.key else self.selector
        text = f"{version}/{self.path}" if self.path else version
        if not self.partitions:
            return text
        from urllib.parse import quote

        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.partitions)
        return f"art://{text}?{query}" if self.path else f"{text}?{query}"


def names_key(text: str) -> bool:
    """Whether a reference is a key alone, which may mean all its versions."""
    bare = text.removeprefix("art://")
    return not bare.startswith("b3:") and "@" not in bare and "?" not in bare


def likely_selector(word: str) -> str | None:
    """Return the selector that was probably meant by one that means nothing."""
    if found := re.fullmatch(r"[vV]?\.?([0-9]{1,18})", word):
        return f"v{int(found.group(1))}"
    if found := re.fullmatch(r"(?i:latest|last|newest|head)?[-~^]?([0-9]{1,3})", word):
        return f"latest-{int(found.group(1))}"
    if re.fullmatch(r"(?i:b3:|blake3:)?[0-9a-fA-F]{8,64}", word):
        return f"b3:{word.rpartition(':')[2].lower()}"
    if re.fullmatch(r"(?i:lates?t?|last|newest|head|current)", word):
        return "latest"
    return None


def _split_query(text: str, *, is_url: bool) -> tuple[str, str | None]:
    """Return what stands before and behind the `?`, which in a path may be a letter of a name."""
    head, mark, query = text.partition("?")
    rest = head if head.startswith("b3:") else head.partition("@")[2]
    if "/" not in rest:
        return head, query if mark else None
    if is_url and mark:
        head, _, query = text.rpartition("?")
        return head, query
    return text, None


def _parse_query(query: str, text: str) -> tuple[tuple[str, str], ...]:
    from urllib.parse import unquote

    pairs = []
    for word in query.split("&"):
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(
                f"reference {text!r}: {word!r} is not of the form name=value",
                hint="partitions are asked for as in KEY?region=eu&day=2026-11-21",
            )
        pairs.append((name, unquote(value)))
    return _check_partitions(tuple(pairs), text)


def _check_partitions(pairs: tuple[tuple[str, str], ...], text: str) -> tuple[tuple[str, str], ...]:
    for name, value in pairs:
        if not _PARTITION.fullmatch(name):
            raise UsageError(f"reference {text!r}: {name!r} is no name of a partition")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise UsageError(f"reference {text!r}: {value!r} is not valid Unicode")
    if len(dict(pairs)) < len(set(pairs)):
        raise UsageError(f"reference {text!r}: a partition is asked for twice")
    return tuple(sorted(set(pairs)))


def _check_selector(selector: str, text: str) -> str:
    if _BUILT_IN.fullmatch(selector) or _ID_PREFIX.fullmatch(selector):
        return selector
    if selector.startswith(("latest", "b3:")) or not selector or re.fullmatch(r"v[0-9]+", selector):
        raise _no_selector(selector, text)
    try:
        return check_tag(selector)
    except UsageError:
        if likely_selector(selector):
            raise _no_selector(selector, text) from None
        raise


def _no_selector(selector: str, text: str) -> UsageError:
    likely = likely_selector(selector)
    return UsageError(
        f"reference {text!r}: {selector!r} is not a selector",
        hint=f"did you mean @{likely}?"
        if likely
        else "use @latest, @latest-1, @v3, @TAG or @b3: and at least 8 hex digits",
    )


def _check_path(path: str, text: str) -> str:
    path = path.rstrip("/")
    if path and any(part in ("", ".", "..") for part in path.split("/")):
        raise UsageError(f"reference {text!r}: path {path!r} must be relative, without '.' or '..'")
    return path
