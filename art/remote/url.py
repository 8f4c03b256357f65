"""What the URL of a remote says, and what of it may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from art.errors import UsageError

_CANONICAL = {"gcs": "gs", "az": "abfs", "abfss": "abfs", "s3a": "s3", "ssh": "sftp"}
_BUCKETS = {"s3", "gs", "abfs"}
_SECRET_WORD = (
    r"[\w.-]*(?:sig|signature|token|secret|password|passwd|credential|accesskey|accountkey)[\w.-]*"
)
_SECRET_QUERY = re.compile(rf"(?i)(?:^|[?&;])(?:{_SECRET_WORD}|key|api_?key|code)=")
_USER_INFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/@\s'\"]*)@")
_PLAIN_USERS = {"sftp", "ssh", "abfs", "abfss", "az"}  # elsewhere a user may be a key or token
_QUERY = re.compile(r"(?P<url>[a-z][a-z0-9+.-]*://[^\s'\"<>?#]*)[?#][^\s'\"<>]*")
_ASSIGNMENT = re.compile(
    rf"(?i)\b({_SECRET_WORD}|key)(['\"]?\s*=\s*['\"]?|['\"]\s*:\s*['\"])[^\s'\"&;,)]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w+/=.~-]{8,}")


@dataclass(frozen=True)
class Address:
    """The parts of a remote's URL: `host` is the bucket, the container or the machine."""

    scheme: str
    host: str
    path: str
    user: str | None = None
    port: int | None = None
    account: str | None = None

    def __str__(self) -> str:
        at = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        account = f"@{self.account}" if self.account else ""
        path = self.path if self.path.startswith("/") or not self.path else f"/{self.path}"
        return f"{self.scheme}://{at}{self.host}{account}{port}{path}"


def is_remote(text: str) -> bool:
    """Whether `text` is a URL of something else than a folder; `C:` is a drive."""
    scheme, separator, _ = text.partition("://")
    is_url = bool(separator) and len(scheme) > 1 and re.fullmatch(r"[\w+.:-]+", scheme) is not None
    return is_url and scheme.lower() != "file"


def local_path(text: str) -> Path:
    """Return the folder that a path or a `file://` URL names."""
    if not text.startswith("file:"):
        return Path(text)
    from urllib.request import url2pathname

    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise UsageError(f"{redact(text)!r} is not a URL: {error}") from None
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{redact(text)} names another machine", hint="file:///path/to/folder")
    return Path(url2pathname(parts.path))


def check_url(url: str) -> str:
    """Return the URL of a remote in its one normal form; a path or `file://` URL comes back as it is.

    Raise UsageError where it is no URL of a remote, or carries a password, key or signature.
    """
    return str(parse(url)) if is_remote(url) else url


def parse(url: str) -> Address:
    """Return the parts of a remote's URL; raise UsageError as `check_url` does."""
    if any(ord(character) <= 32 for character in url) or ":" in url.partition("://")[0]:
        raise UsageError(f"{redact(url)!r} is not the URL of a remote", hint="s3://bucket/folder")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{redact(url)!r} is not a URL: {error}") from None
    if not parts.scheme:  # it begins with a digit, perhaps
        raise UsageError(f"{redact(url)!r} is not the URL of a remote", hint="s3://bucket/folder")
    scheme = _CANONICAL.get(parts.scheme, parts.scheme)
    _refuse_secrets(url, scheme)
    if scheme in _BUCKETS and parts.query + parts.fragment:
        raise UsageError(f"{redact(url)} must end with the folder, without '?' and '#'")
    if scheme not in _BUCKETS and scheme not in ("sftp", "memory"):
        return Address(scheme, parts.netloc, url.partition("://")[2][len(parts.netloc) :])
    host = parts.netloc.rpartition("@")[2] if scheme == "sftp" else parts.netloc
    host, account = _container(host) if scheme == "abfs" else (host, None)
    if not host:
        raise UsageError(f"{redact(url)} names no {'machine' if scheme == 'sftp' else 'bucket'}")
    if scheme == "sftp":
        name = (
            (parts.hostname or "") if ":" not in (parts.hostname or "") else f"[{parts.hostname}]"
        )
        return Address(scheme, name, _absolute(parts.path, url), parts.username, port)
    return Address(scheme, host, _folder(parts.path, url), account=account)


def _refuse_secrets(url: str, scheme: str) -> None:
    parts = urlsplit(url)
    has_user = scheme in ("s3", "gs", "http", "https") and "@" in parts.netloc
    if parts.password is not None or has_user or _SECRET_QUERY.search(f"?{parts.query}"):
        raise UsageError(
            f"{redact(url)} was given with a password, key or signature, which would be stored readably",
            hint="leave it out: credentials come from the cloud's own chain (environment, profile, login)",
        )


def _container(netloc: str) -> tuple[str, str | None]:
    """Return container and account of `container@account.dfs.core.windows.net` and its short forms."""
    container, _, account = netloc.partition("@")
    return container, account.partition(".")[0] or None


def _folder(path: str, url: str) -> str:
    segments = path.strip("/").split("/")
    if segments == [""]:
        return ""
    if any(segment in ("", ".", "..") for segment in segments):
        raise UsageError(f"{redact(url)} is not possible: '//', '.' and '..' name no folder")
    return "/".join(segments)


def _absolute(path: str, url: str) -> str:
    """Return the path on an SFTP server: absolute, or `/~/...` below the user's own folder."""
    folder = _folder(unquote(path), url)
    if not folder:
        raise UsageError(
            f"{redact(url)} names no folder", hint="sftp://host/path, or sftp://host/~/path"
        )
    return f"/{folder}"


def redact(text: str) -> str:
    """Return a URL, or a message with URLs in it, without users' passwords, queries and tokens."""
    text = _USER_INFO.sub(_without_user, text)
    text = _QUERY.sub(r"\g<url>", text)
    text = _ASSIGNMENT.sub(r"\1\2***", text)
    return _BEARER.sub(r"\1 ***", text)


def _without_user(match: re.Match[str]) -> str:
    is_plain = match["scheme"] in _PLAIN_USERS and ":" not in match["user"]
    return match.group() if is_plain else f"{match['scheme']}://***@"
