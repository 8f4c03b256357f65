"""Opening remotes: which repository is there, and whether the store keeps what art relies on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from art import document as documents
from art.addresses import RemoteSetting, asked_for
from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    DeniedError,
    NoRepositoryError,
    NotFoundError,
    UnavailableError,
)
from art.model import FORMAT, is_uid, new_uid, now
from art.place import DIRECTORY, is_complete
from art.remote import is_remote, open_backend
from art.store import Store

if TYPE_CHECKING:
    from art.backend import Backend

_MIRROR = "mirror.yaml"
# What is in a folder while somebody else begins a repository there, or tries what it keeps.
_BEGUN = {"format.yaml", "locks/", "tmp/"}


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


def open_url(url: str, options: Mapping[str, str] | None = None) -> Store:
    """Open the repository at a URL or in a folder for reading; raise as `Store.open`."""
    return opened(asked_for(url, options))


def open_setting(setting: RemoteSetting) -> Backend:
    """Return the backend of a remote; of a folder with a working repository, that of its `.art`."""
    url = setting.url
    if not is_remote(url):
        folder = Path(url)
        url = str(folder / DIRECTORY) if _is_working(folder) else url
    return open_backend(url, setting.options, single_writer=setting.single_writer)


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


def opened(setting: RemoteSetting, backend: Backend | None = None) -> Store:
    """Return the repository at a remote. Raise UnavailableError where its folder is not there."""
    hint = f"art remote set-url {setting.name} URL" if setting.name else "look at the URL"
    with explaining(setting):
        if not is_remote(setting.url) and not Path(setting.url).is_dir():
            raise UnavailableError(
                f"there is no folder {setting.where}", hint=f"mount it, or {hint}"
            )
        store = repository_at(backend or open_setting(setting), setting)
        if store is None:
            raise NoRepositoryError(f"no repository at {setting.where}", hint=hint)
        if setting.repository not in (None, store.id):
            raise _other_repository(setting, str(setting.repository), store.id)
    return store


def repository_at(backend: Backend, setting: RemoteSetting) -> Store | None:
    """Return the repository that a remote's backend holds, None where there is none."""
    try:
        return Store.open(backend, setting.where)
    except NoRepositoryError:
        return None


def check_same(setting: RemoteSetting, known: str) -> None:
    """Raise ConflictError where this is not the repository with the id `known`."""
    with explaining(setting):
        store = repository_at(open_setting(setting), setting)
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


def refuse_other_files(backend: Backend, setting: RemoteSetting) -> None:
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


def require_safe(backend: Backend, setting: RemoteSetting) -> bool:
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


def tried(setting: RemoteSetting, backend: Backend, store: Store | None) -> Checked:
    """Try what art relies on, and return what was found."""
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
def explaining(setting: RemoteSetting) -> Iterator[None]:
    """Say in every error which remote it is about."""
    try:
        yield
    except ArtError as error:
        at = "" if setting.where in error.message else f" ({setting.where})"
        about = f"remote {setting.name}{at}: " if setting.name else at and f"{setting.where}: "
        if not about or error.message.startswith(f"remote {setting.name}"):
            raise
        raise type(error)(about + error.message, hint=error.hint) from error
