"""The repository: every operation of art, for the command line and for Python.

`Repo` puts the other modules together. Nothing here loops over bytes, writes YAML, asks SQL or
prints.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from art import listing, place
from art.backend import LocalBackend
from art.catalog import STATE
from art.config import Config, span_seconds
from art.database import Database
from art.errors import ConflictError, NoRepositoryError, NotFoundError, NothingToDoError, UsageError
from art.index import Index, Record
from art.listing import Filter
from art.model import Document, Payload, check_key, check_tag, parse_progress
from art.place import DIRECTORY, GC_LOCK, UNFINISHED
from art.ref import Ref, names_key
from art.reporter import Reporter, Silent
from art.resolve import Resolver
from art.store import Store

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from art.archive import Imported
    from art.changes import Changes, DeletePlan, Moved, TagMove
    from art.checkout import Got
    from art.diff import Comparison
    from art.exchange import Exchange
    from art.fsck import Report
    from art.gc import Collected, GcPlan
    from art.hooks import Hooks
    from art.keeping import Keeping
    from art.model import Manifest
    from art.prune import Pruned, PrunePlan, Pruner
    from art.publish import About, Content, Draft, Publisher
    from art.pull import Supply
    from art.purge import Purged
    from art.remotes import Remotes
    from art.repair import Repaired, RepairPlan
    from art.retention import Policy
    from art.settings import KeySettings, Settings, SettingsChange
    from art.signing import Signer
    from art.survey import Finding, Status, Usage
    from art.sync import Fetched, Pulled, PullPlan, Pushed, PushPlan, RemoteStatus, Sent
    from art.upkeep import Upkeep
    from art.verify import Checked, Signed, Verifier
    from art.version import Progress, Version
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


def init(path: str | os.PathLike[str] = ".", *, bare: bool = False, nested: bool = False) -> Repo:
    """Create a repository in the folder `path`, or open the one that is there.

    Raise ConflictError inside another repository unless `nested`, CorruptError where there is what
    is left of one.
    """
    root = Path(path).absolute()
    if not place.is_complete(root / DIRECTORY):
        above = None if nested else place.find(root.parent)
        if above:
            raise ConflictError(
                f"{root} lies in the repository at {above}",
                hint="art init --nested makes one all the same",
            )
        place.make(root / DIRECTORY)
        with contextlib.suppress(ConflictError):  # another process makes it at the same time
            Store.init(LocalBackend(root / DIRECTORY), bare=bare)
    return Repo(root)


def open(path: str | os.PathLike[str] | None = None) -> Repo:
    """Open the repository in `path` or the nearest folder above; by default `ART_DIR` or this folder.

    Raise NoRepositoryError where there is none, CorruptError where the nearest one is damaged.
    """
    start = Path(path or os.environ.get("ART_DIR") or ".").absolute()
    found = place.find(start)
    if found is None:
        raise NoRepositoryError(f"no repository in {start} or above", hint="art init")
    return Repo(found)


class Repo:
    """One repository. Open it with `art.open()`, make it with `art.init()`."""

    def __init__(self, root: Path, reporter: Reporter | None = None) -> None:
        self.root = root
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

    def __enter__(self) -> Repo:
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

    # -- publish ---------------------------------------------------------------------------------

    def create(
        self,
        key: str | None,
        *paths: str | os.PathLike[str],
        base: str | None = None,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        **about: Unpack[About],
    ) -> Published:
        """Make one version of files, folders or globs; of an earlier version (`base`) with files
        added and removed; or of no payload at all. `key` None makes it keyless.

        When it returns the version is durable. Raise NotFoundError where a path matches nothing,
        ConflictError where a file changes while it is read.
        """
        from art.publish import Content, added_sources
        from art.worktree import find_sources

        draft, publisher = self._draft(key, about)
        added, removed = tuple(add), tuple(remove)
        if base is not None:
            if paths:
                raise UsageError("a version from an earlier one takes its files by add and remove")
            record = self._resolver.record(Ref.parse(base))
            self._version(record).bring()
            content = publisher.edited(record, added_sources(added), removed)
        elif added or removed:
            raise UsageError(
                "files are added to and removed from an earlier version", hint="--base KEY@vN"
            )
        elif paths:
            content = publisher.files(find_sources(paths), key)
        else:
            content = Content("note", None)
        return self._publish(draft, publisher, content)

    def create_stream(
        self, key: str | None, stream: BinaryIO, *, name: str = "content", **about: Unpack[About]
    ) -> Published:
        """Make one version of what a stream gives, as a file called `name`."""
        from art import typed

        draft, publisher = self._draft(key, about)
        content = publisher.stream(stream, typed.file_name(name), key)
        return self._publish(draft, publisher, content)

    def markdown(self, key: str | None, text: str, **about: Unpack[About]) -> Published:
        """Make a version of a text in markdown."""
        return self._text(key, text, "content.md", "markdown", {"name": "markdown"}, about)

    def link(
        self, key: str | None, url: str, *, text: str | None = None, **about: Unpack[About]
    ) -> Published:
        """Make a version of a link, with the text to show for it."""
        from art import reference

        format = {"name": "url", "text": text} if text else {"name": "url"}
        return self._text(key, reference.check_url(url), "content.url", "link", format, about)

    def json(self, key: str | None, value: object, **about: Unpack[About]) -> Published:
        """Make a version of a JSON value."""
        from art import typed

        return self._text(
            key, typed.json_text(value), "content.json", "json", {"name": "json"}, about
        )

    def value(self, key: str | None, value: object, **about: Unpack[About]) -> Published:
        """Make a version of one number, text, truth value or null."""
        from art import typed

        kind, text = typed.value_text(value)
        return self._text(key, text, "content.json", "value", {"name": "json", "kind": kind}, about)

    def table(
        self, key: str | None, path: str | os.PathLike[str], **about: Unpack[About]
    ) -> Published:
        """Make a version of a table in a csv, tsv, json, jsonl or parquet file."""
        from art import typed

        return self._typed(key, path, "table", typed.table_format, about)

    def image(
        self, key: str | None, path: str | os.PathLike[str], **about: Unpack[About]
    ) -> Published:
        """Make a version of an image: a file, which is stored, or a URL, which is recorded."""
        from art import reference, typed
        from art.publish import Content

        if reference.is_url(os.fspath(path)):
            payload = Payload(url=reference.check_url(os.fspath(path)))
            content = Content("image", payload, {"name": "url"})
            return self._publish(*self._draft(key, about), content)
        return self._typed(key, path, "image", typed.image_format, about)

    def reference(
        self, key: str | None, path: str | os.PathLike[str], **about: Unpack[About]
    ) -> Published:
        """Make a version that records where bytes lie, with size and checksum, and copies nothing."""
        from art import reference, typed
        from art.publish import Content
        from art.version import hash_folder

        draft, publisher = self._draft(key, about)
        text = os.fspath(path)
        if reference.is_url(text) and reference.local_path(text) is None:
            payload = typed.measured(reference.check_url(text))
        else:
            local = Path(reference.local_path(text) or text).absolute()
            if local.is_dir():
                files, size, digest = hash_folder(self._store, self.reporter, str(local))
                payload = Payload(
                    url=local.as_uri(), size=size, files=files, checksum=f"tree:{digest}"
                )
            else:
                payload = typed.measured(local.as_uri())
        return self._publish(draft, publisher, Content("reference", payload))

    def progress(
        self,
        key: str,
        value: float | str,
        *,
        clamp: bool = False,
        new: bool = False,
        **about: Unpack[About],
    ) -> Published:
        """Set a progress in percent: of the key's latest version in place, or (`new`, or where that is
        no progress) of a version made for it. Raise UsageError for NaN and, unless `clamp`, outside
        0 to 100."""
        from art import typed
        from art.publish import Content

        number = parse_progress(value, clamp=clamp)

        def put(uid: str) -> None:
            message = about.get("message")
            typed.set_progress(self._store.catalog, self._backend, uid, key, number, message)

        about["always"] = new
        draft, publisher = self._draft(check_key(key), about)
        latest = None if new else self._latest(key)
        if latest and latest.type == "progress":
            put(latest.uid)
            return Published(self._version(latest), False)
        content = Content("progress", None, prepare=put)
        published = self._publish(draft, publisher, content)
        if not published.created:  # another process made it meanwhile
            put(published.version.record.uid)
        return published

    def expand_key(self, template: str, values: Mapping[str, str] | None = None) -> str:
        """Return a key with its placeholders replaced; `values` adds names of your own.

        Raise UsageError for an unknown placeholder.
        """
        from art import placeholders

        if "{" not in template:
            return template
        return placeholders.expand(template, values or {})

    # -- look ------------------------------------------------------------------------------------

    def version(self, ref: str | Ref, /, **partitions: str) -> Version:
        """Return the version that a reference names; with partitions, as `region="eu"`, the latest
        that has them. Raise NotFoundError, also for a deleted one."""
        wanted = _ref(ref).within(partitions)
        record = self._resolver.record(wanted)
        tag = wanted.selector if wanted.selector in record.tags else None
        return self._version(record, tag)

    def listing(self, *patterns: str, filter: Filter | None = None) -> list[Record]:
        """Return the latest live version of each key, or what `filter` asks for.

        `patterns` are globs over keys; `*` stays within a segment, `**` does not. A version whose
        manifest is damaged is in the list with the state `damaged`.
        """
        found = self._index.ask(lambda index: listing.select(index, patterns, filter or Filter()))
        if not found:
            self._refuse_unknown(patterns)
        return found

    def history(self, key: str, *, limit: int | None = None) -> list[Record]:
        """Return a key's versions in every state, newest first. Raise NotFoundError."""
        check_key(key)

        def ask(index: Index) -> list[Record]:
            index.refresh(key)
            return index.versions(key, limit=limit)

        found = self._index.ask(ask)
        if not found:
            raise self._index.ask(lambda _: self._resolver.no_key(key))
        return found

    def progress_of(self, record: Record) -> Progress | None:
        """Return the value of a progress artifact in a listing, None for anything else."""
        from art.version import read_progress

        return read_progress(self._store, record.uid) if record.type == "progress" else None

    def states(self, ref: str) -> set[str]:
        """Return the states of the versions that `KEY` (all) or `KEY@SELECTOR` (one) means."""
        if names_key(ref):
            return {record.state for record in self.history(Ref.parse(ref).key)}
        return {self._resolver.record(Ref.parse(ref), deleted=True).state}

    def keys(self) -> list[str]:
        """Return all keys that have a live version, sorted."""
        return [record.key for record in self.listing() if record.key and record.is_live]

    def moved_keys(self, *keys: str) -> list[str]:
        """Return the keys under which versions of these go on."""
        logs = [self._index.fresh_log(key, STATE) for key in keys]
        named = [version for log in logs for e in log for version in e.document["versions"]]
        return sorted({str(version["to"]["key"]) for version in named if "to" in version})

    def tagged_keys(self) -> list[str]:
        """Return the keys with a live version that have or had a tag, sorted."""
        keys = self.keys()
        tagged = self._index.ask(lambda index: index.tagged_keys())
        return [key for key in keys if key in tagged]

    def tags(self, key: str) -> dict[str, Version]:
        """Return the versions that a key's tags name, deleted ones too. Raise NotFoundError."""
        return {
            tag: self._version(self._resolver.record(Ref(key, tag), deleted=True))
            for tag in self._tag_ids(key)
        }

    def tag_names(self, key: str) -> list[str]:
        """Return the names of a key's tags."""
        return list(self._tag_ids(key))

    def compare(
        self,
        left: str | Ref,
        right: str | Ref,
        *,
        key_columns: list[str] | None = None,
        contents: bool = False,
    ) -> Comparison:
        """Return how two versions differ, or what the paths in the references name in them.

        `key_columns` say which rows of tables belong together; `contents` asks for the changed lines
        of small text files in folders.
        """
        from art.diff import compare_versions

        refs = _ref(left), _ref(right)
        return compare_versions(
            *(self.version(replace(ref, path="")) for ref in refs),
            key_columns=key_columns,
            contents=contents,
            paths=(refs[0].path, refs[1].path),
        )

    def status(self) -> Status:
        """Return how many keys, versions and bytes there are, and what is not as it should be."""
        from art import survey

        return survey.status(self._store, self._index, str(self.root), self.damaged_versions())

    def du(self, *patterns: str) -> Usage:
        """Return what each key's live versions weigh, and what only they keep in the packs."""
        from art import survey

        return survey.usage(self._store, self._index, patterns)

    def doctor(self, *, data: bool = False) -> list[Finding]:
        """Look for what is wrong or unusual with the repository and its surroundings; with `data`,
        read every byte that live versions need."""
        from art import survey

        def unpublished() -> dict[str, set[str]]:
            found = self.sync_status() if self.remotes.all() else []
            return {each.remote: {sent.ref for sent in each.local_only} for each in found}

        return survey.examine(
            self._store,
            self._index,
            self._backend,
            self.config,
            is_thorough=data,
            remotes=self.remotes,
            unpublished=unpublished,
        )

    def fsck(
        self,
        *patterns: str,
        remote: str | None = None,
        data: bool = False,
        sample: float | None = None,
        max_duration: float | None = None,
    ) -> Report:
        """Check what is stored of the keys that match, or of everything, here or at a remote: every
        document, and whether packs are there; with `data`, that every byte is what it was.

        `sample` (a share, from 0 to 1) and `max_duration` (seconds) read a part of the bytes, and the
        next time what follows. Damage is in the report, not raised.
        """
        from art.fsck import Extent

        return self._upkeep.check(patterns, remote, Extent(data, sample, max_duration))

    def plan_repair(
        self,
        *patterns: str,
        remote: str | None = None,
        data: bool = False,
        source: str | os.PathLike[str] | None = None,
    ) -> RepairPlan:
        """Check as `fsck`, and decide how to heal what is damaged: from other packs, from the other
        remotes (for a remote, from here), from the files in `source` whose digests are right."""
        from art.fsck import Extent

        folder = None if source is None else Path(source).absolute()
        return self._upkeep.plan(patterns, remote, Extent(data), folder)

    def execute_repair(self, plan: RepairPlan) -> Repaired:
        """Carry out a repair. What is damaged is kept in `quarantine/`; versions that cannot be healed
        are marked as damaged."""
        assert plan.work.run is not None
        return plan.work.run()

    def damaged_versions(self) -> dict[str, str]:
        """Return by id the versions that a repair could not heal, and what is wrong with each."""
        from art.marks import read_marks

        return read_marks(self._backend)

    # -- change ----------------------------------------------------------------------------------

    def tag(
        self,
        ref: str | Ref,
        tag: str,
        *,
        message: str | None = None,
        force: bool = False,
        sign: bool = False,
    ) -> TagMove:
        """Make a tag name a version; moving it from another one is what tags are for. With `sign`, the
        move is signed, also that to where it is already and is not signed. Raise ConflictError where
        it is protected, unless `force`; so do `untag` and `tag_back`."""
        record = self._resolver.record(_ref(ref))
        return self._signed_changes(sign).tag(record, check_tag(tag), message, force=force)

    def untag(
        self, key: str, tag: str, *, message: str | None = None, force: bool = False
    ) -> TagMove:
        """Take a tag away; its history stays."""
        return self._changes().untag(check_key(key), check_tag(tag), message, force=force)

    def tag_history(self, key: str, tag: str) -> list[TagMove]:
        """Return all moves of a tag, newest first."""
        return self._changes().tag_history(check_key(key), check_tag(tag))

    def tag_back(
        self,
        key: str,
        tag: str,
        *,
        message: str | None = None,
        force: bool = False,
        sign: bool = False,
    ) -> TagMove:
        """Move a tag to where it was before."""
        changes = self._signed_changes(sign)
        return changes.tag_back(check_key(key), check_tag(tag), message, force=force)

    def sign(self, ref: str | Ref) -> bool:
        """Sign a version with the key of the setting `signing_key`; return False where it is signed
        with that key. Raise UsageError or DeniedError where that cannot be done."""
        from art.signing import version_text

        record = self._resolver.record(_ref(ref))
        return self._changes().add_signature(record, self._signer().sign(version_text(record.id)))

    def check_can_sign(self) -> None:
        """Raise UsageError where there is no key to sign with."""
        self._signer()

    def trust_as(self, other: Repo) -> None:
        """Let the same signatures count, and be required, as in another repository."""
        for name in ("signers", "revoked_signers"):
            if path := other.config.get(name).value:
                self.config.set(name, str(other.root / Path(path).expanduser()))
        self.config.set("require_signature", str(other.config.get("require_signature").value))
        history = other.history_id
        self.config.change(lambda document: {**document, "history": history})

    def signed_by(self, ref: str | Ref) -> Signed:
        """Return whose signature a version has or, where a tag names it, the move of the tag. Raise
        DeniedError where it is none of those in the file of the setting `signers`."""
        wanted = _ref(ref)
        record = self._resolver.record(wanted)
        tag = wanted.selector if wanted.selector in record.tags else None
        return _check_signed(self._verifier(), record, tag)

    def verify(self, ref: str | Ref, path: str | os.PathLike[str] | None = None) -> Checked:
        """Compare what lies on the disk, by default where `get` puts it, with a version."""
        from art.verify import compare_with_disk

        where = None if path is None else os.fspath(path)
        return compare_with_disk(self.version(ref), self._store, self.reporter, where)

    def settings(self, key: str) -> Settings:
        """Return what is declared of a key: type, partitions, retention, protection. Raise NotFoundError
        where it has neither settings nor a version."""
        found = self._settings().of(check_key(key))
        if not found.document:
            self.history(key, limit=1)
        return found

    def set_settings(
        self, key: str, *, message: str | None = None, sign: bool = False, **changes: object
    ) -> SettingsChange:
        """Change what is declared of a key, which need not have a version yet; None takes a setting
        away, and `**{"retention.keep_last": 5}` sets one rule of `retention`. Raise UsageError."""
        settings = self._settings()
        settings.sign = self._signing("settings") if sign else None
        return settings.change(check_key(key), changes, message)

    def settings_history(self, key: str) -> list[SettingsChange]:
        """Return all changes of a key's settings, newest first. Raise NotFoundError as `settings`."""
        found = self._settings().history(check_key(key))
        if not found:
            self.history(key, limit=1)
        return found

    def note(  # noqa: PLR0913 - each is one thing that can be said
        self,
        ref: str | Ref,
        *,
        title: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        remove_metadata: Iterable[str] = (),
        add_labels: Iterable[str] = (),
        remove_labels: Iterable[str] = (),
        message: str | None = None,
        error_on_noop: bool = False,
    ) -> Version:
        """Say more of a version; an empty text takes title or description away. The payload, the id
        and the manifest stay as they are. Nothing is appended where nothing changes, which is a
        NothingToDoError with `error_on_noop`."""
        change: dict[str, Any] = {}
        for name, text in (("title", title), ("description", description)):
            if text is not None:
                change[name] = text or None
        if metadata or remove_metadata:
            change["metadata"] = {**(metadata or {}), **dict.fromkeys(remove_metadata)}
        if add_labels or remove_labels:
            change["labels"] = {**dict.fromkeys(remove_labels), **dict.fromkeys(add_labels, True)}
        if not change:
            raise UsageError("there is nothing to note", hint="art note --help")
        record = self._resolver.record(_ref(ref))
        if not self._changes().note(record, change, message) and error_on_noop:
            raise NothingToDoError(f"{record.ref} says that already")
        return self.version(Ref(record.key or "", record.id))

    def plan_delete(self, *refs: str, force: bool = False) -> DeletePlan:
        """Decide what deleting does: `KEY` alone means all its live versions, `KEY@SELECTOR` one."""
        records = [record for ref in refs for record in self._live(ref)]
        return self._changes().plan_delete(records, force=force)

    def delete(self, *refs: str, force: bool = False, message: str | None = None) -> DeletePlan:
        """Delete versions, so that `restore` can bring them back. Raise ConflictError, deleting
        nothing, where one is tagged, an input of another or of a protected key, unless `force`."""
        plan = self.plan_delete(*refs, force=force)
        if plan.refused:
            first = plan.refused[0]
            raise ConflictError(
                f"{first.record.ref} is not deleted: {first.reason}",
                hint="--force deletes it all the same",
            )
        self.execute_delete(plan, message=message)
        return plan

    def execute_delete(self, plan: DeletePlan, *, message: str | None = None) -> int:
        """Delete the versions of a plan; return how many that were."""
        self._before_delete(plan.versions)
        return self._changes().delete(plan, message)

    def restore(self, *refs: str, message: str | None = None) -> list[Version]:
        """Make deleted versions live again under their numbers; `KEY` alone means all of them.

        Raise NotFoundError where nothing was deleted, ConflictError where the bytes are gone.
        """
        records = [record for ref in refs for record in self._deleted(ref)]
        restored = [Ref(r.key or "", r.id) for r in self._changes().restore(records, message)]
        # Another process may have deleted them again: they were restored all the same.
        return [self._version(self._resolver.record(ref, deleted=True)) for ref in restored]

    def plan_prune(
        self,
        *patterns: str,
        policy: Policy | None = None,
        anonymous: bool = False,
        only: str | None = None,
        force: bool = False,
    ) -> PrunePlan:
        """Decide which live versions of the keys that match go by a policy, or by those in the keys'
        settings; of keyless versions with `anonymous`. What live versions that stay were made from
        stays, and so do protected keys, unless `force`.

        They are to be deleted; with `only="artifact"` only their bytes go, with `only="metadata"` only
        what is said of them, and neither can be undone.
        """
        from datetime import datetime, timezone

        from art.prune import STATES, Request

        if only not in STATES:
            raise UsageError(f"only is {only!r}, expected 'artifact' or 'metadata'")
        self._index.ask(lambda index: index.refresh_all())
        self._refuse_unknown(patterns)
        now = datetime.now(timezone.utc)
        request = Request(now, patterns, policy, anonymous, force, STATES[only])
        return self._pruner().plan(request)

    def execute_prune(
        self, plan: PrunePlan, *, message: str | None = None, ignore_errors: bool = False
    ) -> Pruned:
        """Let the versions of a plan go, but for those that are tagged, used or protected since it was
        made. Stops at the first error and raises it, unless `ignore_errors`."""
        self._before_delete(decision.record for decision in plan.dropped)
        jobs = self.config.get("jobs").value
        return self._pruner().execute(plan, message, jobs=jobs, ignore_errors=ignore_errors)

    def move(self, key: str, new_key: str) -> Moved:
        """Rename a key: its live versions and tags go on under the new one, and references to the old
        one lead there. Nothing is transferred."""
        self._live(check_key(key))  # raises where there are none
        check_key(new_key)
        if key == new_key:
            raise UsageError(f"{key} has that name already")
        return self._changes().move(key, new_key, self._publisher())

    def copy(self, ref: str, new_key: str) -> Moved:
        """Copy one version (`KEY@SELECTOR`), or all live ones of a key, under another key."""
        return self._changes().copy(self._live(ref)[::-1], check_key(new_key), self._publisher())

    # -- exchange --------------------------------------------------------------------------------

    def plan_push(
        self, *patterns: str, remote: str | None = None, payload: bool = True
    ) -> PushPlan:
        """Return what `push` would send, and how much that is."""
        return self._exchange.plan_push(patterns, remote, payload=payload)

    def push(self, *patterns: str, remote: str | None = None, payload: bool = True) -> Pushed:
        """Publish at a remote, by default the authority, all that it does not have of the keys that
        match, or of everything: payloads before versions, versions before what was said of them.

        A number that another writer took first is replaced by the next free one, as the result says.
        Without `payload`, only versions go whose payload is there already. Raise UnavailableError,
        DeniedError or ConflictError; what was published until then stays published.
        """

        def coming() -> dict[str, Any]:
            plan = self._exchange.plan_push(patterns, remote, payload=payload)
            return self._exchanged(plan.remote, plan.versions, plan.entries)

        self._hooks.before("pre-push", coming)
        pushed = self._exchange.push(patterns, remote, payload=payload)
        self._hooks.after(
            "post-push", lambda: self._exchanged(pushed.remote, pushed.versions, pushed.entries)
        )
        return pushed

    def plan_fetch(self, *patterns: str, remote: str | None = None) -> Fetched:
        """Return what `fetch` would bring."""
        return self._exchange.plan_fetch(patterns, remote)

    def fetch(self, *patterns: str, remote: str | None = None) -> Fetched:
        """Bring a remote's history here, no payloads: those come when they are needed."""
        return self._exchange.fetch(patterns, remote)

    def plan_pull(
        self, *patterns: str, remote: str | None = None, depth: int = 1, all: bool = False
    ) -> PullPlan:
        """Return which payloads `pull` would bring of the versions that are known here."""
        from art.pull import Depth

        return self._exchange.plan_pull(patterns, remote, Depth(depth, all))

    def pull(
        self,
        *patterns: str,
        remote: str | None = None,
        depth: int = 1,
        all: bool = False,
        payload: bool = True,
    ) -> Pulled:
        """Fetch, then bring the payloads of the `depth` newest live versions of each key and of what
        its tags name, or of `all` versions that are live or can be restored."""
        from art.pull import Depth

        pulled = self._exchange.pull(patterns, remote, Depth(depth, all), payload=payload)
        new = pulled.fetched
        self._hooks.after(
            "post-pull", lambda: self._exchanged(new.remote, new.versions, new.entries)
        )
        return pulled

    # -- keeping ---------------------------------------------------------------------------------

    def plan_gc(self, *, remote: str | None = None, grace: str | None = None) -> GcPlan:
        """Return what `gc` would remove."""
        return self._keeping.plan_gc(remote, self._grace(grace))

    def gc(self, *, remote: str | None = None, grace: str | None = None) -> Collected:
        """Remove bytes that no version needs, here or at a remote, and join what is left of packs.

        Deleted versions keep theirs for `grace`, such as "14d". At a remote, packs are marked first and
        deleted by a later run, a day later at the earliest. Raise CorruptError, removing nothing, where
        anything that is needed is missing or damaged.
        """
        return self._keeping.gc(remote, self._grace(grace))

    def purge(
        self,
        ref: str,
        *,
        remote: str | None = None,
        message: str | None = None,
        force: bool = False,
    ) -> list[Purged]:
        """Take a version away for ever and now, whose content must not exist: here, and with `remote`
        there first. Its number stays taken. Raise ConflictError where a tag names it, unless `force`.
        """
        grace = self._grace(None)
        record = self._resolver.record(_exact(ref), deleted=True)
        self._before_delete([record])
        done = []
        if remote is not None:
            done.append(self._keeping.purge_remote(record, remote, message, grace, force=force))
        done.append(self._keeping.purge(record, message, grace, force=force))
        return done

    def export(self, target: str | os.PathLike[str], *refs: str, all: bool = False) -> Got:
        """Write versions (`KEY@SELECTOR`), keys with their whole history, or `all` of it, into a new
        .tar, .tar.gz or .zip file, readable without art. Raise ConflictError where the file is there."""
        from art.archive import Exporter

        keys: list[str | None] = [Ref.parse(ref).key for ref in refs if names_key(ref)]
        single = [
            self._resolver.record(_exact(ref), deleted=True) for ref in refs if not names_key(ref)
        ]
        for key in keys:
            self.history(str(key), limit=1)  # raises where there is none
        if all:
            self._index.ask(lambda index: index.refresh_all())
            keys = [*self._index.ask(lambda index: index.keys()), None]
        exporter = Exporter(self._store, self._index, self._backend, self._bring)
        single = [record for record in single if record.key not in keys]
        return exporter.write(Path(target), keys, single)

    def _bring(self, record: Record) -> None:
        self._version(record).bring()

    def import_archive(self, path: str | os.PathLike[str]) -> Imported:
        """Take in what `export` wrote: ids and numbers stay, also of what was said later. Where a key is
        here, too, its history is merged as `fetch` does it. Raise CorruptError or ConflictError."""
        from art.archive import Importer
        from art.merge import Ledger

        publisher = self._publisher()  # keeps gc away
        known = self._index.ask(lambda index: index.keys())
        ids = [setting.repository for setting in self.remotes.all() if setting.repository]
        ledgers = [Ledger(self._backend, id) for id in ids]
        stores = self._store, self._index, self._backend
        done = Importer(*stores, self._hints(), self.reporter, ledgers).read(Path(path))
        del publisher
        if not known and not ids and done.history != self.history_id:
            self.config.change(lambda document: {**document, "history": done.history})
        return done

    def sync_status(self, remote: str | None = None, *, ask: bool = False) -> list[RemoteStatus]:
        """Return what is on one side only, for one remote or all. They are asked only with `ask`."""
        return self._exchange.status(remote, ask=ask)

    # -- inside ----------------------------------------------------------------------------------

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
        publisher.before, publisher.after = self._before_create, self._after_create
        return publisher

    def _before_create(self, document: Document) -> None:
        new = {"key": document.get("key"), "number": None, "id": None, "ref": None}
        self._hooks.before("pre-create", lambda: {"versions": [{**new, "manifest": document}]})

    def _after_create(self, manifest: Manifest, number: int | None) -> None:
        made = _hooked(manifest.key, number, manifest.id)
        self._hooks.after(
            "post-create", lambda: {"versions": [{**made, "manifest": manifest.document}]}
        )

    def _before_delete(self, records: Iterable[Record]) -> None:
        versions = [_hooked(record.key, record.number, record.id) for record in records]
        if versions:
            self._hooks.before("pre-delete", lambda: {"versions": versions})

    def _exchanged(self, name: str, versions: Iterable[Sent], entries: int) -> dict[str, Any]:
        setting = self.remotes.get(name)
        return {
            "versions": [_hooked(sent.key, sent.number, sent.id) for sent in versions],
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

    def _signed_changes(self, sign: bool) -> Changes:
        changes = self._changes()
        changes.sign = self._signing("tag") if sign else None
        return changes

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
        return bool(self.remotes.all()) and self._exchange.is_published(record)

    def _draft(self, key: str | None, about: About) -> tuple[Draft, Publisher]:
        """Check what is said of a new version first: nothing is stored for one that cannot be."""
        if key is not None and not isinstance(key, str):
            raise UsageError(f"key {key!r} is not a text")
        publisher = self._publisher()
        return publisher.draft(key, about), publisher

    def _text(
        self, key: str | None, text: str, name: str, kind: str, format: Document, about: About
    ) -> Published:
        draft, publisher = self._draft(key, about)
        return self._publish(draft, publisher, publisher.text(text, name, kind, format))

    def _typed(
        self,
        key: str | None,
        path: str | os.PathLike[str],
        kind: str,
        describe: Callable[[str | os.PathLike[str]], Document],
        about: About,
    ) -> Published:
        from art import typed
        from art.worktree import find_sources

        draft, publisher = self._draft(key, about)
        format = describe(path)
        content = publisher.files(find_sources((path,)), key)
        return self._publish(draft, publisher, typed.retyped(content, kind, format))

    def _publish(self, draft: Draft, publisher: Publisher, content: Content) -> Published:
        made = publisher.publish(draft, content)
        id, key = made.manifest.id, draft.key
        ref = Ref(key or "", id)
        known = self._index.ask(lambda index: index.by_id(id, key))
        record = known[0] if known else self._resolver.record(ref)
        for tag in draft.tags:
            self._changes().tag(record, tag, draft.message)
        if draft.tags:
            record = self._resolver.record(ref)
        stored = content.written.stored_bytes if content.written else 0
        version = self._version(record)
        return Published(version, made.created, content.files, content.reused, stored, made.lost)

    def _version(self, record: Record, tag: str | None = None) -> Version:
        from art.version import Version

        self._store.objects.jobs = self.config.get("jobs").value
        manifest = self._resolver.manifest(record)
        version = Version(
            self._store, self._index, self.reporter, record, manifest, self._elsewhere
        )
        version.guard = lambda: self._check_required(record, tag)
        return version

    def _check_required(self, record: Record, tag: str | None) -> None:
        """Raise DeniedError where a signature is required, and there is no right one."""
        verifier = self._verifier()
        if verifier.is_required(record.key):
            _check_signed(verifier, record, tag)

    def _verifier(self) -> Verifier:
        from art.verify import Verifier

        return Verifier(self._index, self.config, self.history_id)

    def _signer(self) -> Signer:
        from art.signing import Signer

        return Signer.find(self.config.get("signing_key").value)

    def _signing(self, purpose: str) -> Callable[[Document], Document]:
        """Return what signs entries for one purpose."""
        from art.signing import entry_text

        signer = self._signer()
        return lambda entry: signer.sign(entry_text(purpose, self.history_id, entry))

    def _elsewhere(self) -> Supply | None:
        """Return what brings payloads that are not here, None where there is no remote."""
        return self._exchange.supply() if self.remotes.all() else None

    @cached_property
    def _exchange(self) -> Exchange:
        from art.exchange import Exchange

        return Exchange(self._store, self._index, self.remotes, lambda: self.reporter, self._hints)

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

        memory = Memory(self._database, self._store.objects)
        memory.learn_packs()
        return memory

    def _tag_ids(self, key: str) -> dict[str, str]:
        self.history(key, limit=1)

        def ask(index: Index) -> dict[str, str]:
            index.refresh(key)
            return index.tags(key)

        return self._index.ask(ask)

    def _refuse_unknown(self, patterns: tuple[str, ...]) -> None:
        """Raise NotFoundError where a pattern without wildcards is the name of no key."""
        keys = self._index.ask(lambda index: index.keys())
        for pattern in patterns:
            if not any(character in pattern for character in "*?[") and pattern not in keys:
                below = [key for key in keys if key.startswith(pattern.rstrip("/") + "/")]
                if below:
                    hint = f"keys below it: art ls '{pattern.rstrip('/')}/**'"
                    raise NotFoundError(f"there is no key {pattern!r}", hint=hint)
                raise self._resolver.no_key(pattern)

    def _latest(self, key: str) -> Record | None:
        return self._resolver.latest(key)

    def _live(self, ref: str) -> list[Record]:
        """Return what `KEY` (all live versions) or `KEY@SELECTOR` (one) means, newest first."""
        if not names_key(ref):
            return [self._resolver.record(_exact(ref))]
        history = self.history(Ref.parse(ref).key)
        records = [record for record in history if record.is_live]
        if not records and history[0].state == "damaged":
            raise self._resolver.damage(history[0])
        if not records:
            raise NotFoundError(f"{ref} has no live version", hint=f"art log {ref}")
        return records

    def _deleted(self, ref: str) -> list[Record]:
        if not names_key(ref):
            record = self._resolver.record(_exact(ref), deleted=True)
            if record.state != "deleted":
                raise UsageError(f"{record.ref} is not deleted, it is {record.state}")
            return [record]
        records = [
            record for record in self.history(Ref.parse(ref).key) if record.state == "deleted"
        ]
        if not records:
            raise NotFoundError(f"{ref} has no deleted version", hint=f"art log {ref}")
        return records[::-1]


def _check_signed(verifier: Verifier, record: Record, tag: str | None) -> Signed:
    """A tag's signature says which version it is; else the version needs one."""
    if tag is not None and record.key is not None:
        return verifier.check_tag(record.key, tag)
    return verifier.check_version(record)


def _hooked(key: str | None, number: int | None, id: str) -> dict[str, Any]:
    """Return what hooks are told of a version."""
    ref = id if key is None else f"{key}@v{number}"
    return {"key": key, "number": number, "id": id, "ref": ref}


def _ref(ref: str | Ref) -> Ref:
    return Ref.parse(ref) if isinstance(ref, str) else ref


def _exact(text: str) -> Ref:
    """Return a reference to one version. Where KEY alone would mean all, one must be named."""
    ref = Ref.parse(text)
    head = text.partition("?")[0]
    if ref.key and "@" not in head:
        raise UsageError(
            f"{text} could mean one version or all of that partition",
            hint=f"{head}@latest{text.removeprefix(head)} is the latest of them",
        )
    return ref
