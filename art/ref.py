"""References: the words by which people and programs name versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from art.errors import UsageError
from art.keys import check_key, check_tag

LATEST = "latest"
_ID_PREFIX = re.compile(r"b3:[0-9a-f]{8,64}")
_BUILT_IN = re.compile(r"v[0-9]{1,18}|latest(-[0-9]{1,18})?")
PARTITION = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_BY = "by:"  # no name of a partition begins so


@dataclass(frozen=True)
class Ref:
    """A reference: `KEY[@SELECTOR][/PATH]`, with `art://` in front as a URL.

    `selector` is `latest`, `latest-N`, `vN`, a tag, or `b3:` and 8 to 64 hex digits. `key` is empty
    only for an id given alone, which reaches keyless versions too. `partitions`, `?region=eu` behind
    a URL or the selector, are what is asked of the version's partitions, as in `art.partitions`: `latest`
    counts only those that meet it. Of these the newest is meant or, with `by`, the one of the greatest
    value of the partition of that name (`?by:day`) or of all (`?by:partition`).
    """

    key: str
    selector: str = "latest"
    path: str = ""
    partitions: tuple[tuple[str, str], ...] = ()
    by: str = ""

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Raise UsageError where `text` is not a reference."""
        bare = text.removeprefix("art://")
        bare, query = _split_query(bare, is_url=bare != text)
        asked = _parse_query(query, text) if query is not None else ((), "")
        if bare.startswith("b3:"):
            selector, _, path = bare.partition("/")
            return cls("", _check_selector(selector, text), _check_path(path, text), *asked)
        key, at, rest = bare.partition("@")
        if not at:
            return cls(check_key(key), "latest", "", *asked)
        selector, _, path = rest.partition("/")
        selector = _check_selector(selector, text)
        return cls(check_key(key), selector, _check_path(path, text), *asked)

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

    @property
    def is_narrow(self) -> bool:
        """Whether something is asked of partitions."""
        return bool(self.partitions or self.by)

    def within(self, partitions: Mapping[str, object], by: str | None = None) -> Ref:
        """Return it with more asked of partitions: texts, dates, datetimes, periods or, for any of these,
        lists of them. Raise UsageError where one is asked for twice."""
        added = tuple((name, asked(value)) for name, value in partitions.items())
        pairs = _check_partitions((*self.partitions, *added), str(self))
        return replace(self, partitions=pairs, by=_check_by(by, str(self)) if by else self.by)

    def __str__(self) -> str:
        version = f"{self.key}@{self.selector}" if self.key else self.selector
        text = f"{version}/{self.path}" if self.path else version
        if not self.partitions and not self.by:
            return text
        from urllib.parse import quote

        words = [f"{name}={quote(value, safe=',:')}" for name, value in self.partitions]
        query = "&".join([*words, _BY + self.by] if self.by else words)
        return f"art://{text}?{query}" if self.path else f"{text}?{query}"


def asked(value: object) -> str:
    """Return as a text what is asked of a partition in Python: a value, or a list of values. A datetime
    is its minute of UTC. Raise UsageError for None."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(literal(_asked(each)) for each in value)
    return _asked(value)


def literal(text: str) -> str:
    """Return what asks for exactly this text."""
    if text == LATEST or re.search(r'[,"]|\.\.', text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _asked(value: object) -> str:
    if value is None:
        raise UsageError("a partition is asked for without a value")
    if isinstance(value, datetime):
        from art.periods import Period  # starting is most of what `art ls` takes

        return Period.of(value, "minute").text
    return value.isoformat() if isinstance(value, date) else str(value)


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


def _parse_query(query: str, text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return what is asked of partitions, and by which the greatest is meant."""
    from urllib.parse import unquote

    pairs, by = [], ""
    for word in query.split("&"):
        name, equals, value = word.partition("=")
        if not equals and word.startswith(_BY) and not by:
            by = _check_by(word.removeprefix(_BY), text)
            continue
        if not equals:
            raise UsageError(
                f"reference {text!r}: {word!r} is not of the form name=value",
                hint="partitions are asked for as in KEY?region=eu&day=2026-11-21",
            )
        pairs.append((name, unquote(value)))
    return _check_partitions(tuple(pairs), text), by


def _check_by(name: str, text: str) -> str:
    if not PARTITION.fullmatch(name):
        raise UsageError(f"reference {text!r}: {name!r} is no name of a partition")
    return name


def _check_partitions(pairs: tuple[tuple[str, str], ...], text: str) -> tuple[tuple[str, str], ...]:
    for name, value in pairs:
        if not PARTITION.fullmatch(name):
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
