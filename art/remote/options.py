"""The options of a remote: words from a configuration, checked."""

from __future__ import annotations

from collections.abc import Mapping

from art.errors import UsageError
from art.remote.url import parse, redact

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0", "")


class Options:
    """The options given for one kind of remote. Raise UsageError for one that it does not know."""

    def __init__(self, given: Mapping[str, str], known: tuple[str, ...], kind: str) -> None:
        for name in given:
            if name not in known:
                raise UsageError(
                    f"a remote at {kind} has no option {name!r}",
                    hint=f"it has {', '.join(known)}" if known else "it has none",
                )
        self._given = given

    def text(self, name: str) -> str | None:
        return self._given.get(name) or None

    def flag(self, name: str) -> bool:
        word = self._given.get(name, "").lower()
        if word not in _TRUE + _FALSE:
            raise UsageError(f"option {name} is {word!r}, it can be true or false")
        return word in _TRUE

    def seconds(self, name: str, default: float) -> float:
        word = self._given.get(name)
        if not word:
            return default
        try:
            seconds = float(word)
        except ValueError:
            seconds = 0
        if not 0 < seconds < float("inf"):
            raise UsageError(f"option {name} is {word!r}, it must be a number of seconds")
        return seconds

    def endpoint(self, name: str = "endpoint_url") -> str | None:
        """Return the URL of a server, without a slash at its end."""
        url = self.text(name)
        if url is None:
            return None
        if parse(url).scheme not in ("http", "https") or "@" in url:
            raise UsageError(f"option {name} is {redact(url)!r}", hint="https://host:port")
        return url.rstrip("/")
