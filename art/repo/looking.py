"""What a repository tells of its versions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from art import listing
from art.catalog import STATE
from art.errors import NotFoundError, UsageError
from art.index import Group, Index
from art.keys import check_key, is_glob
from art.listing import Filter
from art.model import Document
from art.place import without_gc
from art.ref import Ref, asked, names_key
from art.repo.base import Base, as_ref, exact
from art.rows import Record

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from art.diff import Comparison
    from art.fsck import Report
    from art.lineage import Consumer, Graph
    from art.lock import Locked
    from art.repair import Repaired, RepairPlan
    from art.survey import Finding, Status, Usage
    from art.version import Progress, Version


class Looking(Base):
    """Finds, lists and compares versions, and looks for what is wrong."""

    def version(self, ref: str | Ref, /, **partitions: object) -> Version:
        """Return the version that a reference names; with partitions, as `region="eu"`, the latest
        that has them: texts as in `-p`, dates, datetimes, periods or lists, for any of several. Raise
        NotFoundError, also for a deleted one."""
        wanted = as_ref(ref).within(partitions)
        record = self._resolver.record(wanted)
        tag = wanted.selector if wanted.selector in record.tags else None
        return self._version(record, tag)

    def listing(self, *patterns: str, filter: Filter | None = None) -> list[Record]:
        """Return the latest live version of each key, or what `filter` asks for.

        `patterns` are globs over keys; `*` stays within a segment, `**` does not. A version whose
        manifest is damaged is in the list with the state `damaged`.
        """
        wanted = listing.understand(patterns, filter or Filter(), self._resolver.ids)
        found = self._index.ask(lambda index: listing.show(index, wanted))
        if not found:
            self._refuse_unknown(patterns)
        return found

    def query(  # noqa: PLR0913 - each is one thing that can be asked for
        self,
        what: str | None = None,
        /,
        *,
        where: str | None = None,
        partitions: Mapping[str, object] | None = None,
        by: str | None = None,
        latest_per: Iterable[str] = (),
        sort: str = "key",
        limit: int | None = None,
        offset: int = 0,
        **more: object,
    ) -> list[Record]:
        """Return every version of a key that matches a query, as `type = table and size > 1M`, or all:
        live ones, unless it asks for a `state`. docs/where.md says what can be asked for.

        `what` is the query, or a key, whose versions come newest first: `query("rides", region="eu",
        day=date(2026, 11, 21))`. Partitions are asked for as in `version`; `by` leaves those of the greatest
        value of one, or of all (`partition`), `latest_per` the newest of each value of these.
        `sort` is a field, with `:asc` or `:desc` behind it. Raise QueryError, NotFoundError for a key that
        there is not: a word alone is no query.
        """
        asked_for = {**(partitions or {}), **more}
        patterns = (what,) if what is not None and _is_key(what) else ()
        if what is not None and not patterns:
            if where is not None:
                raise UsageError(f"{what!r} is no key, and there is a query already: {where!r}")
            where = what
        wanted = Filter(all=True, where=where, sort=sort, limit=limit, offset=offset, by=by)
        texts = {name: asked(value) for name, value in asked_for.items()}
        wanted = replace(wanted, partitions=texts, latest_per=_names(latest_per))
        return self.listing(*patterns, filter=wanted)

    def count(self, where: str | None = None, *patterns: str, filter: Filter | None = None) -> int:
        """Return how many versions `query` would find, or `listing` with a filter. Raise QueryError."""
        chosen = filter or Filter(all=True)
        if where is not None:
            chosen = replace(chosen, where=where)
        wanted = listing.understand(patterns, chosen, self._resolver.ids)
        found = self._index.ask(lambda index: listing.count(index, wanted))
        if not found:
            self._refuse_unknown(patterns)
        return found

    def groups(
        self, by: str, *patterns: str, where: str | None = None, filter: Filter | None = None
    ) -> list[Group]:
        """Return count, size and newest of the versions that have a value of a field in common: `key`,
        `type`, `label`, `partition.region`, `metadata.model` …; not only of the latest of each key.

        A version is counted for each of its labels or tags. Raise QueryError.
        """
        chosen = filter or Filter()
        if where is not None:
            chosen = replace(chosen, where=where)

        def ask(index: Index) -> list[Group]:
            return listing.group(index, by, patterns, chosen, self._resolver.ids)

        found = self._index.ask(ask)
        if not found:
            self._refuse_unknown(patterns)
        return found

    def history(self, key: str, *, limit: int | None = None) -> list[Record]:
        """Return a key's versions in every state, newest first. Raise NotFoundError.

        One whose manifest is damaged or missing has the state `damaged`. The manifests of the newest
        1,000 are read for that, the others are only looked for: `fsck` reads all.
        """
        check_key(key)

        def ask(index: Index) -> list[Record]:
            index.refresh(key)
            return index.versions(key, limit=limit)

        found = self._index.ask(ask)
        if not found:
            raise self._index.ask(lambda _: self._resolver.no_key(key))
        return self._resolver.checked(found, limit)

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

        refs = as_ref(left), as_ref(right)
        return compare_versions(
            *(self.version(replace(ref, path="")) for ref in refs),
            key_columns=key_columns,
            contents=contents,
            paths=(refs[0].path, refs[1].path),
        )

    def lineage(
        self,
        ref: str | Ref,
        /,
        *,
        up: bool = True,
        down: bool = True,
        depth: int | None = None,
    ) -> Graph:
        """Return what a version, which may be deleted, was made from (`up`) and what was made from it
        (`down`), at most `depth` steps away. Raise NotFoundError."""
        from art import lineage

        if depth is not None and depth < 0:
            raise UsageError(f"depth {depth} is less than 0")

        def ask(index: Index, record: Record) -> Graph:
            index.refresh_all()
            return lineage.trace(index, record, up=up, down=down, depth=depth)

        record = self._resolver.record(as_ref(ref), deleted=True)
        return self._index.ask(lambda index: ask(index, record))

    def usage(self, ref: str | Ref, /) -> list[Consumer]:
        """Return the versions that were made from one directly, in every state: live ones first, then
        the newest first. Raise NotFoundError."""
        from art import lineage

        def ask(index: Index, record: Record) -> list[Consumer]:
            index.refresh_all()
            return lineage.consumers(index, record)

        record = self._resolver.record(as_ref(ref), deleted=True)
        return self._index.ask(lambda index: ask(index, record))

    def lock(
        self, *refs: str | Ref, file: str | os.PathLike[str] = "art.lock", update: bool = False
    ) -> list[Locked]:
        """Add to a lock file which versions references mean now, or look at those in it where none are
        given. What is in it already stays, unless `update`. Raise NotFoundError; nothing is written then.
        """
        from art import lock

        return lock.lock(self._resolver.record, map(as_ref, refs), file, update=update)

    def locked(self, ref: str | Ref, /, *, file: str | os.PathLike[str] = "art.lock") -> Version:
        """Return the version that a reference means by a lock file. Raise NotFoundError where it is not
        in the file, or the version not here; CorruptError, ConflictError or UsageError for the file."""
        from art import lock

        wanted = as_ref(ref)
        pinned = lock.locked_ref(wanted, file)
        try:
            return self.version(pinned)
        except NotFoundError as error:
            raise NotFoundError(
                f"{lock.normal(wanted)} is locked to a version that cannot be had: {error.message}",
                hint=error.hint if "restore" in (error.hint or "") else "art fetch",
            ) from error

    def run_records(self, ids: Iterable[str]) -> dict[str, Document]:
        """Return the records of these runs by id (FORMAT §10.1), of those that have one here."""
        from art import lineage

        return lineage.run_records(self._backend, ids)

    def status(self) -> Status:
        """Return how many keys, versions and bytes there are, and what is not as it should be."""
        from art import survey

        return survey.status(self._store, self._index, str(self.root), self.damaged_versions())

    def du(self, *patterns: str) -> Usage:
        """Return what each key's live versions weigh, and what only they keep in the packs."""
        from art import survey

        if unknown := [pattern for pattern in patterns if not is_glob(pattern)]:
            self._index.ask(lambda index: index.refresh_all())
            self._refuse_unknown(tuple(unknown))
        return survey.usage(self._store, self._index, patterns)

    def doctor(self, *, data: bool = False) -> list[Finding]:
        """Look for what is wrong or unusual with the repository and its surroundings; with `data`,
        read every byte that live versions need."""
        from art import survey

        def unpublished() -> dict[str, set[str]]:
            found = self._exchange.status(None, ask=False) if self.remotes.all() else []
            return {each.remote: {sent.ref for sent in each.local_only} for each in found}

        with without_gc(self._backend):
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

    def _tag_ids(self, key: str) -> dict[str, str]:
        self.history(key, limit=1)

        def ask(index: Index) -> dict[str, str]:
            index.refresh(key)
            return index.tags(key)

        return self._index.ask(ask)

    def _refuse_unknown(self, patterns: tuple[str, ...]) -> None:
        """Raise NotFoundError where a pattern without wildcards is the name of no key."""
        named = [pattern for pattern in patterns if not is_glob(pattern)]
        keys = self._index.ask(lambda index: index.keys()) if named else []
        for pattern in named:
            if pattern not in keys:
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
            return [self._resolver.record(exact(ref))]
        history = self.history(Ref.parse(ref).key)
        records = [record for record in history if record.is_live]
        if not records and history[0].state == "damaged":
            raise self._resolver.damage(history[0])
        if not records:
            raise NotFoundError(f"{ref} has no live version", hint=f"art log {ref}")
        return records

    def _deleted(self, ref: str) -> list[Record]:
        if not names_key(ref):
            record = self._resolver.record(exact(ref), deleted=True)
            if record.state not in ("deleted", "live"):
                more = ": nothing brings its bytes back, which gc or prune freed"
                raise UsageError(
                    f"{record.ref} is not deleted, it is {record.state}"
                    + (more if record.state == "swept" else "")
                )
            return [record] if record.state == "deleted" else []
        records = [
            record for record in self.history(Ref.parse(ref).key) if record.state == "deleted"
        ]
        if not records:
            raise NotFoundError(f"{ref} has no deleted version", hint=f"art log {ref}")
        return records[::-1]


def _is_key(text: str) -> bool:
    """Whether a text can be a key: no query can, as each compares something."""
    with suppress(UsageError):
        check_key(text)
        return True
    return False


def _names(words: Iterable[str]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)
