"""What goes between a repository and other places, and what keeps both in order."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from art import caching
from art.errors import PartialError, UsageError
from art.place import GC_LOCK
from art.ref import Ref, names_key
from art.repo.base import exact
from art.repo.changing import Changing
from art.rows import Record

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from art.addresses import RemoteSetting
    from art.archive import Exporter
    from art.backend import Backend
    from art.checkout import Got
    from art.gc import Collected, GcPlan
    from art.purge import Purged, PurgePlan
    from art.sync import Fetched, Pulled, PullPlan, Pushed, PushPlan, RemoteStatus
    from art.unarchive import Imported


class Sharing(Changing):
    """Pushes, fetches and pulls; collects, purges, exports and imports."""

    # -- remotes ---------------------------------------------------------------------------------

    def remove_remote(self, name: str) -> RemoteSetting:
        """Forget a remote; nothing there is touched. It is warned of versions whose payloads then are in
        no place that is known."""
        lacking = self._exchange.only_at(name)
        removed = self.remotes.remove(name)
        if lacking:
            more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
            self._warn(
                f"the files of {lacking[0].ref}{more} are at {removed.where} only: they cannot be "
                f"read any more until it is added again (art remote add {name} {removed.where})"
            )
        return removed

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

    def plan_purge(self, *refs: str, same: bool = False, force: bool = False) -> PurgePlan:
        """Return which versions `purge` would take away one by one, with `same` also those that have the
        same payload, and which others hold some of the same and keep it. Raise what `purge` would."""
        records = {(r := self._one(ref)).ref: r for ref in refs}
        return self._keeping.plan_purge(
            list(records.values()), self._grace(None), same=same, force=force
        )

    def _one(self, ref: str) -> Record:
        """Return the version that is named. Raise UsageError where a key alone is."""
        if names_key(ref):
            key = str(Ref.parse(ref).key)
            self.history(key, limit=1)  # raises where there is none
            raise UsageError(
                f"{ref} is a key: which of its versions is meant must be said",
                hint=f"{ref}@vN; art log {ref} lists them",
            )
        return self._resolver.record(exact(ref), deleted=True)

    def purge(
        self,
        ref: str,
        *,
        remote: str | None = None,
        message: str | None = None,
        force: bool = False,
    ) -> list[Purged]:
        """Take a version away for ever and now, whose content must not exist: here, and with `remote`
        there first. Its number stays taken. Raise ConflictError where a tag names it, unless `force`,
        PartialError where its bytes are still there, because damage hides who else needs them.
        """
        grace = self._grace(None)
        record = self._one(ref)
        self._keeping.check_purge(record, grace, force=force)
        self._before_delete([record])
        done = []
        if remote is not None:
            done.append(self._keeping.purge_remote(record, remote, message, grace, force=force))
            with self._exchange.shared(remote) as there:
                _forget(there.backend, record)
        holding = self._exchange.holding(record) if record.state != "purged" else []
        done.append(self._keeping.purge(record, message, grace, force=force))
        _forget(self._backend, record)
        for name in holding:
            if name != remote:
                self._warn(
                    f"{record.ref} is still at {name}; `art purge {record.ref} --remote {name}` takes "
                    "it away there, too"
                )
        for purged, where in zip(done[::-1], ("", f" --remote {remote}"), strict=False):
            if purged.problem:
                why = purged.problem.message.removesuffix("; nothing was removed")
                raise PartialError(
                    f"{record.ref} is purged, but its bytes are still at {purged.collected.where}: {why}",
                    hint=f"art fsck{where} --repair, then art gc{where}",
                )
        return done

    def export(self, target: str | os.PathLike[str], *refs: str, all: bool = False) -> Got:
        """Write versions (`KEY@SELECTOR`), keys with their whole history, or `all` of it, into a new
        .tar, .tar.gz or .zip file, readable without art. Raise ConflictError where the file is there,
        PartialError where it was written without what is damaged."""
        exporter, keys, single = self._to_export(refs, all=all)
        held = self._backend.together(GC_LOCK)  # no pack is joined to others while it is read
        try:
            written = exporter.write(Path(target), keys, single)
        finally:
            held.release()
        for ref in exporter.left:
            self._warn(
                f"{ref} is deleted, and its files are nowhere any more: the archive has none"
            )
        for ref, problem in exporter.damaged.items():
            self._warn(f"{ref} is not whole in the archive: {problem.message}")
        if exporter.damaged:
            raise PartialError(
                f"{written.path} was written without {', '.join(exporter.damaged)}, damaged",
                hint="art fsck --repair",
            )
        return written

    def weigh_export(self, *refs: str, all: bool = False) -> tuple[int, int]:
        """Return how many files `export` would write, and their bytes, unpacked: each version has all
        of its files."""
        exporter, keys, single = self._to_export(refs, all=all)
        return exporter.weigh(keys, single)

    def _to_export(
        self, refs: Iterable[str], *, all: bool
    ) -> tuple[Exporter, list[str | None], list[Record]]:
        from art.archive import Exporter

        refs = list(refs)
        keys: list[str | None] = [Ref.parse(ref).key for ref in refs if names_key(ref)]
        single = [
            self._resolver.record(exact(ref), deleted=True) for ref in refs if not names_key(ref)
        ]
        for key in keys:
            self.history(str(key), limit=1)  # raises where there is none
        if all:
            self._index.ask(lambda index: index.refresh_all())
            keys = [*self._index.ask(lambda index: index.keys()), None]
        exporter = Exporter(self._store, self._index, self._backend, self._bring)
        return exporter, keys, [record for record in single if record.key not in keys]

    def _bring(self, record: Record) -> None:
        self._version(record).bring()

    def import_archive(self, path: str | os.PathLike[str]) -> Imported:
        """Take in what `export` wrote: ids and numbers stay, also of what was said later. Where a key is
        here, too, its history is merged as `fetch` does it. Raise CorruptError or ConflictError."""
        from art.merge import Ledger
        from art.unarchive import Importer

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


def _forget(backend: Backend, record: Record) -> None:
    """Take away what a place says, beside its history, of a version that was purged."""
    from art import drafts

    caching.forget(backend, {record.id})
    drafts.forget(backend, {record.id})
