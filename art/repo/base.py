"""What all operations of a repository have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from art import runs
from art.backend import LocalBackend
from art.config import Config, span_seconds
from art.database import Database
from art.errors import UsageError
from art.index import Index
from art.model import Document
from art.place import DIRECTORY, GC_LOCK, UNFINISHED
from art.ref import Ref
from art.reporter import Reporter, Silent
from art.resolve import Resolver
from art.rows import Record
from art.store import Store

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from typing_extensions import Self

    from art.about import About
    from art.changes import Changes
    from art.exchange import Exchange
    from art.hooks import Hooks
    from art.keeping import Keeping
    from art.model import Manifest
    from art.prune import Pruner
    from art.publish import Content, Draft, Publisher
    from art.pull import Supply
    from art.remotes import Remotes
    from art.settings import KeySettings
    from art.signing import EntrySigner, Signer
    from art.sync import Sent
    from art.tagging import Tags
    from art.upkeep import Upkeep
    from art.verify import Signed, Verifier
    from art.version import Version
    from art.writer import ChunkHints


class Published(NamedTuple):
    """What making a version came to.

    `created` is False where the latest version had the same content and description already.
    `reused` counts the files that did not have to be read, `stored_bytes` what was written for them.
    `lost` counts the numbers that other writers took while this one was being made.
    """

    version: Version
    created: bool
    files: int = 0
    reused: int = 0
    stored_bytes: int = 0
    lost: int = 0


class Base:
    """A repository: its store, its index, its settings, and what all operations need."""

    def __init__(self, root: Path, reporter: Reporter | None = None) -> None:
        self.root = root
        self.place = os.path.realpath(root)  # where others find what is here
        self.reporter: Reporter = reporter or Silent()
        self._backend = LocalBackend(root / DIRECTORY)
        self._store = Store.open(self._backend, str(root))
        path = str(root / DIRECTORY / "index.sqlite")
        self._database = Database(path, self._store.id)
        self._index = Index(self._database, self._store.catalog, self._warn)
        self._resolver = Resolver(self._store, self._index, self._warn)
        self.config = Config(self._backend)
        if self._backend.size(UNFINISHED) is not None:
            from art.merge import finish_interrupted

            self._index.ask(lambda index: finish_interrupted(self._backend, index))

    def __repr__(self) -> str:
        return f"<Repo {self.root}>"

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        """A repository that is pickled is opened where it is read, at the same place."""
        return type(self), (self.root,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of open files. The repository needs no closing to be safe."""
        self._database.close()

    @property
    def id(self) -> str:
        """The repository's own id, a UUID."""
        return self._store.id

    @property
    def history_id(self) -> str:
        """The id of the history, which clones share and signatures of tags name."""
        found = self.config.document().get("history")
        return found if isinstance(found, str) else self._store.history

    @cached_property
    def remotes(self) -> Remotes:
        """The other places that versions are pushed to and fetched from, by name."""
        from art.remotes import Remotes

        return Remotes(self.config, self._warn)

    # -- inside, for what is built on this -----------------------------------------------------------

    def _warn(self, message: str) -> None:
        self.reporter.warn(message)

    def _author(self) -> str:
        return str(self.config.get("author").value)

    def _publisher(self) -> Publisher:
        from art.memory import Memory
        from art.publish import Publisher

        self._store.objects.jobs = self.config.get("jobs").value
        self._backend.sweep_temporary()
        lock = self._backend.together(GC_LOCK)  # no pack goes as long as the publisher is there
        memory = Memory(self._database, self._store.objects)
        publisher = Publisher(self._store, self._index, memory, self.reporter, self._author(), lock)
        publisher.place = self.place
        publisher.before, publisher.after = self._before_create, self._after_create
        return publisher

    def _before_create(self, document: Document) -> None:
        new = {"key": document.get("key"), "number": None, "id": None, "ref": None}
        self._hooks.before("pre-create", lambda: {"versions": [{**new, "manifest": document}]})

    def _after_create(self, manifest: Manifest, number: int | None) -> None:
        made = hooked(manifest.key, number, manifest.id)
        self._hooks.after(
            "post-create", lambda: {"versions": [{**made, "manifest": manifest.document}]}
        )

    def _before_delete(self, records: Iterable[Record]) -> None:
        versions = [hooked(record.key, record.number, record.id) for record in records]
        if versions:
            self._hooks.before("pre-delete", lambda: {"versions": versions})

    def _exchanged(self, name: str, versions: Iterable[Sent], entries: int) -> dict[str, Any]:
        setting = self.remotes.get(name)
        return {
            "versions": [hooked(sent.key, sent.number, sent.id) for sent in versions],
            "remote": {"name": setting.name, "url": setting.where},
            "entries": entries,
        }

    @cached_property
    def _hooks(self) -> Hooks:
        from art.hooks import Hooks

        return Hooks(self.root, self.id, self._warn)

    def _changes(self) -> Changes:
        from art.changes import Changes

        return Changes(self._store, self._index, self._resolver, self._author(), self._is_elsewhere)

    def _tags(self, *, sign: bool = False) -> Tags:
        from art.tagging import Tags

        signer = self._entry_signer("tag") if sign else None
        return Tags(self._store, self._index, self._resolver, self._author(), signer)

    @cached_property
    def _keeping(self) -> Keeping:
        from art.keeping import Keeping

        return Keeping(
            self._store,
            self._index,
            self._exchange,
            self._changes(),
            lambda: self.reporter,
            self._author(),
            self._is_elsewhere,
        )

    def _grace(self, text: str | None) -> float:
        try:
            return span_seconds(text or str(self.config.get("grace").value))
        except ValueError as error:
            raise UsageError(f"grace {text!r} is not {error}") from None

    def _pruner(self) -> Pruner:
        from art.prune import Pruner

        return Pruner(self._store, self._index, self._changes())

    def _settings(self) -> KeySettings:
        from art.settings import KeySettings

        return KeySettings(self._store, self._index, self._author())

    def _is_elsewhere(self, record: Record) -> bool:
        """Whether a remote is known to have the bytes of a version: it has that one, or another with the
        same payload, such as the one that this was moved from."""
        if not self.remotes.all():
            return False
        if self._exchange.is_published(record):
            return True
        users = self._index.ask(lambda index: index.payload_users(record.payload or ""))
        there = [user for user in users if user.state in ("live", "deleted", "moved")]
        return any(self._exchange.is_published(user) for user in there)

    def _draft(
        self, key: str | None, about: About, kind: str | None = None
    ) -> tuple[Draft, Publisher]:
        """Check what is said of a new version first: nothing is stored for one that cannot be. `kind` is
        the type of its content, where that is known already."""
        if key is not None and not isinstance(key, str):
            raise UsageError(f"the key is of type {type(key).__name__}, expected a text")
        publisher = self._publisher()
        return publisher.draft(key, about, kind), publisher

    def _text(
        self, key: str | None, text: str, name: str, kind: str, format: Document, about: About
    ) -> Published:
        draft, publisher = self._draft(key, about, kind)
        return self._publish(draft, publisher, publisher.text(text, name, kind, format))

    def _typed(
        self,
        key: str | None,
        path: str | os.PathLike[str],
        kind: str,
        describe: Callable[[str | os.PathLike[str]], Document],
        about: About,
        *,
        preview: bool,
    ) -> Published:
        """Make a version of a file that is more than a file."""
        from art import typed
        from art.worktree import find_sources

        draft, publisher = self._draft(key, about, kind)
        format = describe(path)
        content = publisher.files(find_sources((path,)), key)
        shows = partial(typed.typed_preview, path, kind, format) if preview else None
        return self._publish(
            draft, publisher, replace(content, type=kind, format=format, preview=shows)
        )

    def _publish(self, draft: Draft, publisher: Publisher, content: Content) -> Published:
        made = publisher.publish(draft, content)
        id, key = made.manifest.id, draft.key
        ref = Ref(key or "", id)
        known = self._index.ask(lambda index: index.by_id(id, key))
        record = known[0] if known else self._resolver.record(ref)
        if made.created or not draft.first:
            record = self._tagged(record, draft, is_new=made.created)
        stored = content.written.stored_bytes if content.written else 0
        version = self._version(record)
        return Published(version, made.created, content.files, content.reused, stored, made.lost)

    def _tagged(self, record: Record, draft: Draft, *, is_new: bool) -> Record:
        """Move its tags to a version; return what is known of it then."""
        if not (draft.tags or draft.default_tags):
            return record
        self._tag_as_declared(record, draft.default_tags, draft.message, is_new=is_new)
        for tag in draft.tags:
            self._tags().tag(record, tag, draft.message)
        return self._resolver.record(Ref(record.key or "", record.id))

    def _tag_as_declared(
        self, record: Record, tags: Iterable[str], message: str | None = None, *, is_new: bool
    ) -> None:
        """Move the tags that a key is declared to have to a version that was made now, or was there: then
        only those that it was to have and has not yet."""
        move = self._tags().tag if is_new else self._tags().tag_late
        for tag in tags:
            move(record, tag, message)

    def _version(self, record: Record, tag: str | None = None) -> Version:
        from art.version import Version

        self._store.objects.jobs = self.config.get("jobs").value
        manifest = self._resolver.manifest(record)
        version = Version(
            self._store, self._index, self.reporter, record, manifest, self._elsewhere
        )
        version.guard = lambda: self._handed_out(record, tag)
        version.place = self.place
        version.again = partial(self._version, record, tag)
        return version

    def _handed_out(self, record: Record, tag: str | None) -> None:
        """See that content may be given out, and note it as read by the run that asks."""
        self._check_required(record, tag)
        if run := runs.current():
            run.note_input(runs.named(record.key, record.id, record.number), self.place)

    def _check_required(self, record: Record, tag: str | None) -> None:
        """Raise DeniedError where a signature is required, and there is no right one."""
        verifier = self._verifier()
        if verifier.is_required(record.key):
            check_signed(verifier, record, tag)

    def _verifier(self) -> Verifier:
        from art.verify import Verifier

        return Verifier(self._index, self.config, self.history_id)

    def _signer(self) -> Signer:
        from art.signing import Signer

        return Signer.find(self.config.get("signing_key").value)

    def _entry_signer(self, purpose: str) -> EntrySigner:
        from art.signing import EntrySigner

        return EntrySigner(self._signer(), purpose, self.history_id)

    def _elsewhere(self) -> Supply | None:
        """Return what brings payloads that are not here, None where there is no remote."""
        return self._exchange.supply() if self.remotes.all() else None

    @cached_property
    def _exchange(self) -> Exchange:
        from art.exchange import Exchange

        return Exchange(
            self._store,
            self._index,
            self.remotes,
            lambda: self.reporter,
            self._hints,
            self._wanted_jobs,
            self._changes,
        )

    def _wanted_jobs(self) -> int | None:
        """Return how many threads somebody asked for, None where nobody did."""
        jobs = self.config.get("jobs")
        return None if jobs.origin == "default" else int(jobs.value)

    @cached_property
    def _upkeep(self) -> Upkeep:
        from art.upkeep import Upkeep

        return Upkeep(
            self._store,
            self._index,
            self.remotes,
            lambda: self.reporter,
            lambda: int(self.config.get("jobs").value),
        )

    def _hints(self) -> ChunkHints:
        from art.memory import Memory
        from art.writer import NoHints

        memory = Memory(self._database, self._store.objects)
        memory.learn_packs()
        return memory if memory.has_chunks() else NoHints()


def check_signed(verifier: Verifier, record: Record, tag: str | None) -> Signed:
    """A tag's signature says which version it is; else the version needs one."""
    if tag is not None and record.key is not None:
        return verifier.check_tag(record.key, tag)
    return verifier.check_version(record)


def hooked(key: str | None, number: int | None, id: str) -> dict[str, Any]:
    """Return what hooks are told of a version."""
    ref = id if key is None else f"{key}@v{number}"
    return {"key": key, "number": number, "id": id, "ref": ref}


def as_ref(ref: str | Ref) -> Ref:
    return Ref.parse(ref) if isinstance(ref, str) else ref


def exact(text: str) -> Ref:
    """Return a reference to one version. Where KEY alone would mean all, one must be named."""
    ref = Ref.parse(text)
    head = text.partition("?")[0]
    if ref.key and "@" not in head:
        raise UsageError(
            f"{text} could mean one version or all of that partition",
            hint=f"{head}@latest{text.removeprefix(head)} is the latest of them",
        )
    return ref
