"""Remotes by name: which there are, what is known of them, and how they are opened.

They are settings, in the repository's `config.yaml`, which people edit and which holds no secret.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from art.addresses import (
    RemoteSetting,
    asked_for,
    check_name,
    fields_of,
    is_place,
    present,
    settings_in,
    unknown,
)
from art.config import Config
from art.errors import (
    ArtError,
    ConflictError,
    DeniedError,
    UsageError,
)
from art.model import Document
from art.opening import (
    Checked,
    check_same,
    explaining,
    mirrored,
    open_setting,
    opened,
    refuse_other_files,
    repository_at,
    require_safe,
    tried,
)
from art.remote import check_url
from art.store import Store

if TYPE_CHECKING:
    from art.backend import Backend


class Remotes:
    """The remotes of one repository. `warn` is told what a user should know."""

    def __init__(self, config: Config, warn: Callable[[str], None] = lambda message: None) -> None:
        self._config = config
        self._warn = warn
        self._backends: dict[str, Backend] = {}  # with their connections, by where they are

    def all(self) -> list[RemoteSetting]:
        """Return all remotes in the order of the file. Raise UsageError where it is wrong."""
        return settings_in(self._config.document(), self._config.path)

    def get(self, name: str | None = None) -> RemoteSetting:
        """Return a remote, by default the authority. Raise NotFoundError."""
        settings = self.all()
        for setting in settings:
            if setting.name == name or (name is None and setting.is_authority):
                return setting
        raise unknown(name, settings)

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
        wanted = asked_for(url, options, check_name(name), single_writer=single_writer)
        if self._is_there(wanted):
            return self.get(name)
        store, is_probed = self._prepare(wanted, probe=probe)
        self._refuse_copy(store, wanted)
        found = replace(
            wanted, probed=is_probed, repository=store.id, mirror_of=mirrored(store.backend)
        )
        fields = fields_of(found)
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
        wanted = asked_for(url, before.options if options is None else options)
        after = replace(
            before, url=wanted.url, options=wanted.options, probed=False, repository=None
        )
        if known := self._known_repository(before):
            check_same(after, known)
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
        with explaining(setting):
            backend = open_setting(setting)
            store = repository_at(backend, setting)
            checked = tried(setting, backend, store)
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
            with explaining(setting):
                require_safe(store.backend, setting)
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
        self._backends[_place(asked_for(url, options))] = store.backend

    def _opened(self, setting: RemoteSetting) -> Store:
        """Return the repository at a remote, which is looked at anew, through the same connection."""
        store = opened(setting, self._backends.get(_place(setting)))
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
            raise unknown(name_or_url, settings)
        return asked_for(name_or_url, options)

    def _prepare(self, wanted: RemoteSetting, *, probe: bool) -> tuple[Store, bool]:
        """Return the repository at a remote, made where there is none, and whether several people may
        push there as far as that is known."""
        with explaining(wanted):
            backend = self._backends.get(_place(wanted)) or open_setting(wanted)
            store = repository_at(backend, wanted)
            if store is None:
                refuse_other_files(backend, wanted)
                is_safe = wanted.single_writer or (probe and require_safe(backend, wanted))
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
            return require_safe(backend, wanted)
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
            return {**document, "remotes": {**remotes, setting.name: present({**fields, **found})}}

        self._config.change(edit)


def _place(setting: RemoteSetting) -> str:
    """Return what two settings have in common where one connection does for both. A connection does
    not survive a fork."""
    return repr((os.getpid(), setting.url, sorted(setting.options.items()), setting.single_writer))
