"""Where remotes are, and how they are asked: what `config.yaml` says of them.

People edit that file, and it holds no secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from art.errors import (
    NotFoundError,
    UsageError,
)
from art.keys import check_tag
from art.model import Document, is_uid
from art.nearest import did_you_mean
from art.remote import check_url, is_remote, redact
from art.remote.url import local_path

if TYPE_CHECKING:
    pass

_OWN_FIELDS = ("url", "single_writer", "probed", "repository", "mirror_of")
_SECRET_OPTION = re.compile(
    r"(?i)pass(?:word|wd|phrase)?$|pwd|secret|token|credential|(?:api|access|account)_?key$|^key$"
)


@dataclass(frozen=True)
class RemoteSetting:
    """What `config.yaml` says of a remote. `repository` is the id of what was found there, `mirror_of`
    that of the repository which gives its numbers; a URL that has no name here has the name ''."""

    name: str
    url: str
    options: dict[str, str]
    single_writer: bool
    probed: bool
    is_authority: bool
    repository: str | None = None
    mirror_of: str | None = None

    @property
    def where(self) -> str:
        """The URL, as messages may show it."""
        return redact(self.url)


def is_place(text: str) -> bool:
    """Whether `text` is a URL or a folder, not the name of a remote."""
    if is_remote(text) or text.startswith("file:") or text in (".", ".."):
        return True
    return "/" in text or os.sep in text or Path(text).is_dir()


def normal_url(text: str) -> str:
    """Return a URL in its normal form, or the absolute path of a folder. Raise UsageError."""
    if not text:
        raise UsageError("the URL of a remote is empty", hint="s3://bucket/folder, or a folder")
    if is_remote(text):
        return check_url(text)
    if found := re.match(r"(s3|gs|gcs|az|abfss?|sftp|ssh|https?|memory):/?(?!/)", text):
        rest = text[found.end() :]
        raise UsageError(
            f"{redact(text)!r} is not a URL", hint=f"{found[1]}://{rest}; a folder is ./{text}"
        )
    if (found := re.match(r"([\w.-]+@[\w.-]+):(?!/?/)(.+)", text)) and not Path(text).exists():
        raise UsageError(f"{redact(text)!r} is not a URL", hint=f"sftp://{found[1]}/~/{found[2]}")
    folder = local_path(text)
    try:
        return str(folder.resolve() if ".." in folder.parts else folder.expanduser().absolute())
    except (ValueError, RuntimeError) as error:  # NUL in it, or the folder of a user there is not
        raise UsageError(f"{text!r} is no folder: {error}") from None


def asked_for(
    url: str,
    options: Mapping[str, str] | None,
    name: str = "",
    *,
    single_writer: bool = False,
) -> RemoteSetting:
    """Return a place as it was asked for. Raise UsageError where it is not possible."""
    options = dict(options or {})
    for option, value in options.items():
        _refuse_secret(option, value)
    return RemoteSetting(name, normal_url(url), options, single_writer, False, False)


def settings_in(document: Document, path: str) -> list[RemoteSetting]:
    """Return the remotes in the file at `path`, in its order. Raise UsageError where it is wrong."""
    fields = _mapping(document.get("remotes"), "remotes", path)
    authority = document.get("authority", next(iter(fields), None))
    if authority is not None and authority not in fields:
        raise _wrong(path, "authority", authority, "the name of a remote")
    return [_setting(name, given, authority, path) for name, given in fields.items()]


def _setting(name: str, given: Any, authority: object, path: str) -> RemoteSetting:
    """Return what the file at `path` says of a remote. Raise UsageError where that is not possible."""
    where = f"remotes.{name}"
    fields = _mapping(given, where, path)
    options = {option: fields[option] for option in fields if option not in _OWN_FIELDS}
    texts = {option: _option(value, f"{where}.{option}", path) for option, value in options.items()}
    ids = {field: fields.get(field) for field in ("repository", "mirror_of")}
    for field, id in ids.items():
        if id is not None and not is_uid(id):
            raise _wrong(path, f"{where}.{field}", id, "the id of a repository")
    flags = {flag: fields.get(flag, False) for flag in ("single_writer", "probed")}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise _wrong(path, f"{where}.{flag}", value, "true or false")
    url = fields.get("url")
    if not isinstance(url, str) or not (is_remote(url) or Path(url).is_absolute()):
        raise _wrong(path, f"{where}.url", url, "a URL, or the absolute path of a folder")
    try:
        check_name(name)
        for option, text in texts.items():
            _refuse_secret(option, text)
        url = check_url(url)
    except UsageError as error:
        raise UsageError(f"{path}: field {where!r}: {error.message}", hint=error.hint) from None
    return RemoteSetting(
        name,
        url,
        texts,
        flags["single_writer"],
        flags["probed"],
        name == authority,
        ids["repository"],
        ids["mirror_of"],
    )


def _mapping(value: Any, field: str, path: str) -> Document:
    if value is None and field == "remotes":
        return {}
    if not isinstance(value, dict):
        raise _wrong(path, field, value, "names with values below it")
    return value


def _option(value: Any, field: str, path: str) -> str:
    """Return an option's text; YAML reads some as numbers or truth values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        raise _wrong(path, field, value, "a text")
    return str(value)


def _wrong(path: str, field: str, found: object, expected: str) -> UsageError:
    shown = redact(f"{field}={found!r}").removeprefix(f"{field}=")
    return UsageError(
        f"{path}: field {field!r} is {shown}, expected {expected}", hint="correct that file"
    )


def check_name(name: str) -> str:
    """Return the name of a remote. Raise UsageError where it is not possible."""
    try:
        return check_tag(name)
    except UsageError as error:
        message = error.message.replace("tag", "a remote of the name", 1)
        raise UsageError(message) from None


def _refuse_secret(option: str, value: str) -> None:
    """Raise UsageError for what must not be stored readably."""
    if _SECRET_OPTION.search(option) or redact(value) != value:
        raise UsageError(
            f"option {option!r} is a secret, which would be stored readably",
            hint="leave it out: credentials come from the cloud's own chain (environment, profile, login)",
        )


def fields_of(setting: RemoteSetting) -> Document:
    """Return what the file is to say of a remote."""
    flags = {"single_writer": True} if setting.single_writer else {}
    found = {"probed": setting.probed, "repository": setting.repository}
    fields = {"url": setting.url, **setting.options, **flags, **found}
    return present({**fields, "mirror_of": setting.mirror_of})


def present(fields: Document) -> Document:
    """Return fields without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def unknown(name: str | None, settings: list[RemoteSetting]) -> NotFoundError:
    """Return the error for a remote that is none of these."""
    named = "" if name is None else f" {name!r}"
    if not settings:
        return NotFoundError(f"there is no remote{named}", hint="art remote add origin URL")
    names = [setting.name for setting in settings]
    hint = did_you_mean(str(name), names) or f"there are {', '.join(names)}"
    return NotFoundError(f"there is no remote{named}", hint=hint)
