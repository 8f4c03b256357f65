"""Remotes by name: which there are, what is known of them, and how they are opened.

They are settings, in the repository's `config.yaml`, which people edit and which holds no secret.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from art import document as documents
from art.config import Config
from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    DeniedError,
    NoRepositoryError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from art.model import FORMAT, Document, check_tag, is_uid, new_uid, now
from art.place import DIRECTORY, is_complete
from art.remote import check_url, is_remote, open_backend, redact
from art.remote.url import local_path
from art.store import Store

if TYPE_CHECKING:
    from art.backend import Backend

_OWN_FIELDS = ("url", "single_writer", "probed", "repository", "mirror_of")
_MIRROR = "mirror.yaml"
_SECRET_OPTION = re.compile(
    r"(?i)pass(?:word|wd|phrase)?$|pwd|secret|token|credential|(?:api|access|account)_?key$|^key$"
)
# What is in a folder while somebody else begins a repository there, or tries what it keeps.
_BEGUN = {"format.yaml", "locks/", "tmp/"}
_SUGGESTIONS = 3


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


@dataclass(frozen=True)
class Checked:
    """What a look at a remote found. `repository` is None where there is none yet; `problems` says
    what the store does not keep or, where that was not tried, why."""

    name: str | None
    url: str
    repository: str | None
    format: int | None
    is_bare: bool
    is_writable: bool
    is_probed: bool
    single_writer: bool
    problems: list[str]

    @property
    def is_shareable(self) -> bool:
        """Whether several people may push there."""
        return self.is_probed and not self.problems


class Remotes:
    """The remotes of one repository. `warn` is told what a user should know."""

    def __init__(self, config: Config, warn: Callable[[str], None] = lambda message: None) -> None:
        self._config = config
        self._warn = warn
        self._backends: dict[str, Backend] = {}  # with their connections, by where they are

    def all(self) -> list[RemoteSetting]:
        """Return all remotes in the order of the file. Raise UsageError where it is wrong."""
        document, path = self._config.document(), self._config.path
        fields = _mapping(document.get("remotes"), "remotes", path)
        authority = document.get("authority", next(iter(fields), None))
        if authority is not None and authority not in fields:
            raise _wrong(path, "authority", authority, "the name of a remote")
        return [_setting(name, given, authority, path) for name, given in fields.items()]

    def get(self, name: str | None = None) -> RemoteSetting:
        """Return a remote, by default the authority. Raise NotFoundError."""
        settings = self.all()
        for setting in settings:
            if setting.name == name or (name is None and setting.is_authority):
                return setting
        raise _unknown(name, settings)

    def add(
        self,
        name: str,
        url: str,
        options: Mapping[str, str] | None = None,
        *,
        single_writer: bool = False,
        probe: bool = True,
    ) -> RemoteSetting:
        """Add a remote; the first one becomes the authority. Where the URL holds no repository one is
        made there, and what art relies on is tried before, unless `probe` is False.

        A repository that can only be read is added, with a warning. The same again changes nothing.
        Raise ConflictError where the name is taken, or the store is not safe for several writers.
        """
        wanted = _asked_for(url, options, _check_name(name), single_writer=single_writer)
        if self._is_there(wanted):
            return self.get(name)
        store, is_probed = self._prepare(wanted, probe=probe)
        self._refuse_copy(store, wanted)
        found = replace(
            wanted, probed=is_probed, repository=store.id, mirror_of=mirrored(store.backend)
        )
        fields = _fields(found)
        own = self._history()

        def edit(document: Document) -> Document:
            remotes = document.get("remotes") or {}
            if name in remotes:
                raise ConflictError(f"there is a remote {name!r} already", hint="art remote ls")
            first = {} if remotes else {"authority": name}
            if first and "history" not in document and store.history != own:
                first["history"] = store.history
            return {**document, "remotes": {**remotes, name: fields}, **first}

        self._config.change(edit)
        return self.get(name)

    def remove(self, name: str) -> RemoteSetting:
        """Forget a remote; nothing there is touched. Where it was the authority, the next one is."""
        removed = self.get(name)

        def edit(document: Document) -> Document:
            rest = {other: fields for other, fields in document["remotes"].items() if other != name}
            kept = {key: document[key] for key in document if key not in ("remotes", "authority")}
            if not rest:
                return kept
            authority = next(iter(rest)) if removed.is_authority else document.get("authority")
            return {**kept, "remotes": rest, "authority": authority or next(iter(rest))}

        self._config.change(edit)
        if removed.is_authority and self.all():
            self._warn(f"{self.get().name} gives versions their numbers now")
        return removed

    def set_url(
        self, name: str, url: str, options: Mapping[str, str] | None = None
    ) -> RemoteSetting:
        """Change where a remote is, and with `options` how it is asked. Raise ConflictError where what
        was fetched from it or pushed to it came from another repository than is there."""
        before = self.get(name)
        wanted = _asked_for(url, before.options if options is None else options)
        after = replace(
            before, url=wanted.url, options=wanted.options, probed=False, repository=None
        )
        if known := self._known_repository(before):
            _check_same(after, known)
        store, is_probed = self._prepare(after, probe=True)
        gone = {option: None for option in before.options if option not in after.options}
        self._record(
            before,
            **gone,
            **after.options,
            url=after.url,
            probed=is_probed,
            repository=store.id,
        )
        return self.get(name)

    def check(self, name_or_url: str, options: Mapping[str, str] | None = None) -> Checked:
        """Look at a remote, and try what art relies on. What is found of a named one is recorded.

        Raise UnavailableError or DeniedError where it cannot even be read.
        """
        setting = self._meant(name_or_url, options)
        with _explaining(setting):
            backend = open_setting(setting)
            store = _store(backend, setting)
            checked = _tried(setting, backend, store)
        if setting.name and store:
            is_probed = setting.single_writer or checked.is_shareable
            self._record(setting, probed=is_probed, repository=store.id)
        return checked

    def open(self, name_or_url: str, options: Mapping[str, str] | None = None) -> Store:
        """Open a remote, or the one at a URL or folder, for reading.

        Raise as `Store.open`, and ConflictError where another repository has taken its place.
        """
        setting = self._meant(name_or_url, options)
        store = self._opened(setting)
        if setting.name and setting.repository is None:
            with contextlib.suppress(DeniedError):  # this repository can only be read
                self._record(setting, repository=store.id)
        return store

    def open_shared(self, setting: RemoteSetting) -> Store:
        """Open a remote for pushing. Where it is not recorded that the store keeps what art relies on,
        that is tried first. Raise ConflictError where it does not, or where it is not bare."""
        store = self._opened(setting)
        if not store.is_bare:
            raise ConflictError(
                f"remote {setting.name}: {setting.where} is a working repository, "
                "which nobody pushes into",
                hint="pull from there, or push to a folder of its own: art remote add NAME FOLDER",
            )
        if not setting.probed and not setting.single_writer:
            with _explaining(setting):
                _require_safe(store.backend, setting)
        self._record(setting, probed=True, repository=store.id)
        return store

    # -- inside ----------------------------------------------------------------------------------

    def _history(self) -> str:
        found = self._config.document().get("history")
        if isinstance(found, str):
            return found
        return Store.open(self._config.backend, self._config.backend.where).history

    def adopt(self, store: Store, url: str, options: Mapping[str, str] | None = None) -> None:
        """Use the connection of a store that was opened already."""
        self._backends[_place(_asked_for(url, options))] = store.backend

    def _opened(self, setting: RemoteSetting) -> Store:
        """Return the repository at a remote, which is looked at anew, through the same connection."""
        store = _opened(setting, self._backends.get(_place(setting)))
        self._backends[_place(setting)] = store.backend
        return store

    def _is_there(self, wanted: RemoteSetting) -> bool:
        """Whether this remote is there already; that it has a single writer may be said later. Raise
        ConflictError where its name is taken."""
        same = next((each for each in self.all() if each.name == wanted.name), None)
        if same is None:
            return False
        if (same.url, same.options) == (wanted.url, wanted.options):
            if wanted.single_writer and not same.single_writer:
                self._record(same, single_writer=True, probed=True)
            return True
        raise ConflictError(
            f"there is a remote {same.name!r} already, at {same.where}",
            hint=f"art remote set-url {same.name} URL, or art remote rm {same.name}",
        )

    def _meant(self, name_or_url: str, options: Mapping[str, str] | None) -> RemoteSetting:
        settings = self.all()
        for setting in settings:
            if setting.name == name_or_url:
                if options:
                    raise UsageError(
                        f"remote {setting.name} has options of its own",
                        hint=f"leave them out, or change them in {self._config.path}",
                    )
                return setting
        if not is_place(name_or_url):
            raise _unknown(name_or_url, settings)
        return _asked_for(name_or_url, options)

    def _prepare(self, wanted: RemoteSetting, *, probe: bool) -> tuple[Store, bool]:
        """Return the repository at a remote, made where there is none, and whether several people may
        push there as far as that is known."""
        with _explaining(wanted):
            backend = self._backends.get(_place(wanted)) or open_setting(wanted)
            store = _store(backend, wanted)
            if store is None:
                _refuse_other_files(backend, wanted)
                is_safe = wanted.single_writer or (probe and _require_safe(backend, wanted))
                with contextlib.suppress(ConflictError):  # another process makes it
                    return Store.init(backend, bare=True, history=self._history()), is_safe
                return Store.open(backend, wanted.where), is_safe
            self._refuse_own(store, wanted)
            if not store.is_bare:
                if probe:
                    self._warn(f"{wanted.where} is a working repository: nobody pushes into it")
                return store, False
            return store, wanted.single_writer or (probe and self._is_safe(backend, wanted))

    def _is_safe(self, backend: Backend, wanted: RemoteSetting) -> bool:
        try:
            return _require_safe(backend, wanted)
        except DeniedError as error:
            self._warn(f"{wanted.where} can only be read: {error.message}")
            return False

    def _refuse_own(self, store: Store, wanted: RemoteSetting) -> None:
        own = self._config.backend
        if store.id == Store.open(own, own.where).id:
            raise UsageError(
                f"{wanted.where} is this repository itself, or a copy of its folder",
                hint="name an empty folder, or another repository",
            )

    def _refuse_copy(self, store: Store, wanted: RemoteSetting) -> None:
        """Raise ConflictError for a copy of a remote's folder: the two could not be told apart."""
        for other in self.all():
            if other.repository == store.id:
                raise ConflictError(
                    f"{wanted.where} is the same repository as remote {other.name}, or a copy of it",
                    hint="a mirror begins as an empty folder, and is filled by: art push --remote NAME",
                )

    def _known_repository(self, setting: RemoteSetting) -> str | None:
        """Return the id of a remote's repository where something was fetched from it or pushed."""
        known = setting.repository
        if known is None:
            with contextlib.suppress(ArtError):
                known = self._opened(setting).id
        return known if f"{known}/" in self._config.backend.names("sync") else None

    def _record(self, setting: RemoteSetting, **found: Any) -> None:
        """Write what was found of a remote, unless it was changed or removed meanwhile."""

        def edit(document: Document) -> Document:
            remotes = document.get("remotes") or {}
            fields = remotes.get(setting.name)
            if fields is None or check_url(str(fields.get("url"))) != setting.url:
                return document
            return {**document, "remotes": {**remotes, setting.name: _present({**fields, **found})}}

        self._config.change(edit)


def open_url(url: str, options: Mapping[str, str] | None = None) -> Store:
    """Open the repository at a URL or in a folder for reading; raise as `Store.open`."""
    return _opened(_asked_for(url, options))


def open_setting(setting: RemoteSetting) -> Backend:
    """Return the backend of a remote; of a folder with a working repository, that of its `.art`."""
    url = setting.url
    if not is_remote(url):
        folder = Path(url)
        url = str(folder / DIRECTORY) if _is_working(folder) else url
    return open_backend(url, setting.options, single_writer=setting.single_writer)


def _place(setting: RemoteSetting) -> str:
    """Return what two settings have in common where one connection does for both. A connection does
    not survive a fork."""
    return repr((os.getpid(), setting.url, sorted(setting.options.items()), setting.single_writer))


def mirrored(backend: Backend) -> str | None:
    """Return the id of the repository whose numbers a remote holds, None where it gives its own."""
    try:
        found = documents.decode(backend.read(_MIRROR, 0, documents.READ_LIMIT), _MIRROR)
    except (FileNotFoundError, CorruptError):
        return None
    return str(found["of"]) if is_uid(found.get("of")) else None


def note_mirror(backend: Backend, authority: str) -> None:
    """Let a remote say that another repository gives its numbers, unless it says so already."""
    document = {"art": FORMAT, "uid": new_uid(), "created": now(), "of": authority}
    backend.create(_MIRROR, documents.encode(document))


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
    folder = local_path(text)
    try:
        return str(folder.resolve() if ".." in folder.parts else folder.expanduser().absolute())
    except (ValueError, RuntimeError) as error:  # NUL in it, or the folder of a user there is not
        raise UsageError(f"{text!r} is no folder: {error}") from None


def _asked_for(
    url: str,
    options: Mapping[str, str] | None,
    name: str = "",
    *,
    single_writer: bool = False,
) -> RemoteSetting:
    options = dict(options or {})
    for option, value in options.items():
        _refuse_secret(option, value)
    return RemoteSetting(name, normal_url(url), options, single_writer, False, False)


# --- the file -------------------------------------------------------------------------------------


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
        _check_name(name)
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


def _check_name(name: str) -> str:
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


def _fields(setting: RemoteSetting) -> Document:
    flags = {"single_writer": True} if setting.single_writer else {}
    found = {"probed": setting.probed, "repository": setting.repository}
    fields = {"url": setting.url, **setting.options, **flags, **found}
    return _present({**fields, "mirror_of": setting.mirror_of})


def _present(fields: Document) -> Document:
    return {name: value for name, value in fields.items() if value is not None}


def _unknown(name: str | None, settings: list[RemoteSetting]) -> NotFoundError:
    named = "" if name is None else f" {name!r}"
    if not settings:
        return NotFoundError(f"there is no remote{named}", hint="art remote add origin URL")
    from difflib import get_close_matches

    names = [setting.name for setting in settings]
    near = get_close_matches(str(name), names, _SUGGESTIONS)
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(names)}"
    return NotFoundError(f"there is no remote{named}", hint=hint)


# --- the place ------------------------------------------------------------------------------------


def _opened(setting: RemoteSetting, backend: Backend | None = None) -> Store:
    """Return the repository at a remote. Raise UnavailableError where its folder is not there."""
    hint = f"art remote set-url {setting.name} URL" if setting.name else "look at the URL"
    with _explaining(setting):
        if not is_remote(setting.url) and not Path(setting.url).is_dir():
            raise UnavailableError(
                f"there is no folder {setting.where}", hint=f"mount it, or {hint}"
            )
        store = _store(backend or open_setting(setting), setting)
        if store is None:
            raise NoRepositoryError(f"no repository at {setting.where}", hint=hint)
        if setting.repository not in (None, store.id):
            raise _other_repository(setting, str(setting.repository), store.id)
    return store


def _store(backend: Backend, setting: RemoteSetting) -> Store | None:
    try:
        return Store.open(backend, setting.where)
    except NoRepositoryError:
        return None


def _check_same(setting: RemoteSetting, known: str) -> None:
    """Raise ConflictError where this is not the repository with the id `known`."""
    with _explaining(setting):
        store = _store(open_setting(setting), setting)
        if store is None or store.id != known:
            raise _other_repository(setting, known, store.id if store else None)


def _other_repository(setting: RemoteSetting, known: str, found: str | None) -> ConflictError:
    there = f"repository {found}" if found else "no repository"
    return ConflictError(
        f"{setting.where} holds {there}; what is known of this remote is of {known}",
        hint=f"art remote rm {setting.name}, then art remote add {setting.name} URL",
    )


def _is_working(folder: Path) -> bool:
    return not is_complete(folder) and is_complete(folder / DIRECTORY)


def _refuse_other_files(backend: Backend, setting: RemoteSetting) -> None:
    """Raise where no repository is to be made: beside other files, or in a folder that is nowhere."""
    if not is_remote(setting.url) and not Path(setting.url).parent.is_dir():
        parent = Path(setting.url).parent
        raise NotFoundError(f"there is no folder {parent}", hint=f"mkdir -p {parent}")
    names = sorted(set(backend.names("")) - _BEGUN)
    if "manifests/" in names or "packs/" in names:
        raise CorruptError(
            f"{setting.where} has no format.yaml, though it holds other files of a repository",
            hint="bring format.yaml back from a backup, or name an empty folder",
        )
    if names:
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        raise ConflictError(
            f"{setting.where} holds no repository but other files: {names[0]}{more}",
            hint="name a new or empty folder",
        )


def _require_safe(backend: Backend, setting: RemoteSetting) -> bool:
    """Return True where several people may write; raise ConflictError where they must not."""
    from art.remote.probe import probe

    problems = probe(backend).problems
    if problems:
        raise not_safe(setting.name, setting.where, problems)
    return True


def not_safe(name: str | None, where: str, problems: list[str]) -> ConflictError:
    """Return the error for a store that does not keep what art relies on."""
    return ConflictError(
        f"several people cannot write to {where}: the store {', and '.join(problems)}",
        hint="where nobody else ever writes there: "
        f"art remote add {name or 'NAME'} {where} --single-writer",
    )


def _tried(setting: RemoteSetting, backend: Backend, store: Store | None) -> Checked:
    from art.remote.probe import probe

    is_writable = is_probed = False
    if store is not None and not store.is_bare:
        problems = ["is a working repository, which nobody pushes into"]
    elif not is_remote(setting.url) and not Path(setting.url).is_dir():
        problems = ["is a folder that is not there"]
    else:
        try:
            problems = probe(backend).problems
            is_writable = is_probed = True
        except DeniedError as error:
            problems = [f"can only be read: {error.message}"]
    return Checked(
        setting.name or None,
        setting.where,
        store.id if store else None,
        FORMAT if store else None,
        store.is_bare if store else True,
        is_writable,
        is_probed,
        setting.single_writer,
        problems,
    )


@contextlib.contextmanager
def _explaining(setting: RemoteSetting) -> Iterator[None]:
    """Say in every error which remote it is about."""
    try:
        yield
    except ArtError as error:
        at = "" if setting.where in error.message else f" ({setting.where})"
        about = f"remote {setting.name}{at}: " if setting.name else at and f"{setting.where}: "
        if not about or error.message.startswith(f"remote {setting.name}"):
            raise
        raise type(error)(about + error.message, hint=error.hint) from error
