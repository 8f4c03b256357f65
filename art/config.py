"""Settings: built-in < user's file < repository's file < environment. Holds no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from art import document as documents
from art.backend import LocalBackend
from art.errors import UsageError
from art.model import Document
from art.nearest import did_you_mean

_NAME = "config.yaml"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def _text(value: str) -> str:
    if not value or any(ord(character) < 32 for character in value):
        raise ValueError("a text of one line")
    return value


def _count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) < 1:
        raise ValueError("a number of at least 1")
    return int(value)


def _flag(value: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError("true or false")
    return words[value.lower()]


def _span(value: str) -> str:
    span_seconds(value)
    return value


def span_seconds(text: str) -> float:
    """Return how many seconds a span such as `14d` is. Raise ValueError."""
    found = re.fullmatch(r"([0-9]{1,6})\s*([smhdwy])", text)
    if not found:
        raise ValueError("a span such as 12h or 14d")
    return float(int(found.group(1)) * _UNITS[found.group(2)])


@dataclass(frozen=True)
class Setting:
    """One known setting: how its text is read, and what it means. One that `is_local` is only in the
    repository's own file."""

    name: str
    parse: Callable[[str], Any]
    help: str
    is_local: bool = False


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("author", _text, "who makes versions, instead of user@host"),
        Setting("authority", _text, "the remote that gives versions their numbers", is_local=True),
        Setting("grace", _span, "how long deleted versions can be restored, at least"),
        Setting("jobs", _count, "how many threads read and write files"),
        Setting("require_signature", _flag, "whether only what is signed can be taken out"),
        Setting("revoked_signers", _text, "file of keys whose signatures do not count any more"),
        Setting(
            "shared_cache",
            _flag,
            "whether what steps gave is looked for, and put, at the authority",
        ),
        Setting("signers", _text, "file of those whose signatures count, as ssh-keygen has it"),
        Setting("signing_key", _text, "SSH key to sign with, else ~/.ssh/id_ed25519.pub"),
    )
}


@dataclass(frozen=True)
class Value:
    """A setting's value and where it comes from: `default`, `user`, `repository`, `environment`."""

    name: str
    value: Any
    origin: str


class Config:
    """The settings that hold in one repository."""

    def __init__(self, backend: LocalBackend, environment: Mapping[str, str] | None = None) -> None:
        self.backend = backend
        self._environment = os.environ if environment is None else environment
        self._user_path = _user_path(self._environment)
        self._read: tuple[bytes, Document] | None = None

    def get(self, name: str) -> Value:
        """Return the value that holds. Raise UsageError for an unknown name or a bad value."""
        setting = _known(name)
        variable = "ART_" + name.upper().replace(".", "_").replace("-", "_")
        text = self._environment.get(variable)
        if text and not setting.is_local:
            return Value(name, _parsed(setting, text, variable), "environment")
        for origin, document, where in (
            ("repository", self.document(), _NAME),
            ("user", {} if setting.is_local else self._user(), str(self._user_path)),
        ):
            if name in document:
                return Value(name, _parsed(setting, str(document[name]), where), origin)
        return Value(name, _default(name), "default")

    def all(self) -> list[Value]:
        """Return every known setting with its value."""
        return [self.get(name) for name in SETTINGS]

    def set(self, name: str, text: str) -> Value:
        """Write a setting into the repository's file."""
        value = _parsed(_known(name), text, "command line")
        if name == "authority":
            self._check_remote(text)
        self.change(lambda document: {**document, name: value})
        return self.get(name)

    def unset(self, name: str) -> Value:
        """Take a setting out of the repository's file."""
        _known(name)
        self.change(lambda document: {key: document[key] for key in document if key != name})
        return self.get(name)

    @property
    def path(self) -> str:
        """The repository's file, as messages name it."""
        return str(self.backend.path(_NAME))

    def change(self, edit: Callable[[Document], Document]) -> None:
        """Write what `edit` makes of the repository's file. Others who change it wait meanwhile."""
        with self.backend.alone("config"):
            before = self.document()
            after = edit(before)
            if after != before:
                self.backend.replace(_NAME, documents.dump_plain(after))

    def document(self) -> Document:
        """Return all that the repository's file says, known or not."""
        try:
            data = self.backend.read(_NAME, 0, documents.READ_LIMIT)
            if self._read is None or self._read[0] != data:
                self._read = data, documents.load_plain(data, _NAME)
            return dict(self._read[1])
        except FileNotFoundError:
            return {}

    def _check_remote(self, name: str) -> None:
        remotes = self.document().get("remotes")
        if not isinstance(remotes, dict) or name not in remotes:
            raise UsageError(f"there is no remote {name!r}", hint="art remote ls")

    def _user(self) -> Document:
        try:
            return documents.load_plain(self._user_path.read_bytes(), str(self._user_path))
        except OSError:
            return {}


def _known(name: str) -> Setting:
    setting = SETTINGS.get(name)
    if setting is None:
        hint = did_you_mean(name, SETTINGS) or f"known: {', '.join(SETTINGS)}"
        raise UsageError(f"there is no setting {name!r}", hint=hint)
    return setting


def _parsed(setting: Setting, text: str, where: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        raise UsageError(
            f"{where}: setting {setting.name!r} is {text!r}, expected {error}",
            hint=f"art config set {setting.name} VALUE",
        ) from None


def _default(name: str) -> Any:
    if SETTINGS[name].parse is _flag:
        return False
    if name in ("authority", "revoked_signers", "signers", "signing_key"):
        return None
    if name == "grace":
        return "14d"
    if name == "author":
        import socket

        return f"{user_name()}@{socket.gethostname()}"
    return min(8, os.cpu_count() or 1)


def user_name() -> str:
    """Return who runs this process."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def _user_path(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or environment.get("APPDATA")
    home = environment.get("HOME") or environment.get("USERPROFILE") or "."
    return Path(base) / "art" / _NAME if base else Path(home) / ".config" / "art" / _NAME
