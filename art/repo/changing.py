"""What is said of versions after they were made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from art import listing
from art.errors import ConflictError, NothingToDoError, UsageError
from art.keys import check_key, check_tag
from art.place import without_gc
from art.ref import Ref, names_key
from art.repo.base import as_ref, check_signed, exact
from art.repo.objects import Objects

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from art.changes import DeletePlan
    from art.index import Index
    from art.moving import Moved, Mover
    from art.partitions import Declared
    from art.prune import Pruned, PrunePlan
    from art.retention import Policy
    from art.rows import Record
    from art.settings import Settings, SettingsChange
    from art.tagging import TagMove
    from art.verify import Checked, Signed
    from art.version import Version


class Changing(Objects):
    """Tags, notes, settings and signatures; deletes, restores, prunes, moves and copies."""

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
        move is signed, also that to where it is already, unless it is signed with the same key. Raise
        ConflictError where it is protected, unless `force`; so do `untag` and `tag_back`."""
        record = self._resolver.record(as_ref(ref))
        return self._tags(sign=sign).tag(record, check_tag(tag), message, force=force)

    def untag(
        self,
        key: str,
        tag: str,
        *,
        message: str | None = None,
        force: bool = False,
        sign: bool = False,
    ) -> TagMove:
        """Take a tag away; its history stays."""
        tags = self._tags(sign=sign)
        return tags.untag(check_key(key), check_tag(tag), message, force=force)

    def tag_history(self, key: str, tag: str) -> list[TagMove]:
        """Return all moves of a tag, newest first."""
        return self._tags().history(check_key(key), check_tag(tag))

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
        tags = self._tags(sign=sign)
        return tags.back(check_key(key), check_tag(tag), message, force=force)

    def sign(self, ref: str | Ref) -> bool:
        """Sign a version with the key of the setting `signing_key`; return False where it is signed
        with that key. Raise UsageError or DeniedError where that cannot be done."""
        record = self._resolver.record(as_ref(ref))
        return self._changes().add_signature(record, self._signer())

    def check_can_sign(self, key: str | None, tags: Iterable[str] = ()) -> None:
        """Raise UsageError where there is no key to sign with, and what setting these tags on a version
        that is yet to be made would raise."""
        self._signer()
        self._tags().check(None if key is None else check_key(key), tags)

    def trust_as(self, other: Objects) -> None:
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
        wanted = as_ref(ref)
        record = self._resolver.record(wanted)
        tag = wanted.selector if wanted.selector in record.tags else None
        return check_signed(self._verifier(), record, tag)

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

    def declared(self, key: str) -> Declared:
        """Return which partitions new versions of a key must be of, and which of them are time."""
        return self._settings().known(check_key(key)).declared

    def declare(  # noqa: PLR0913 - each is one thing that can be declared
        self,
        key: str,
        *,
        partitions: Iterable[str] | None = None,
        time_partition: str | Iterable[str] | Mapping[str, str] | None = None,
        type: str | None = None,
        description: str | None = None,
        retention: Mapping[str, Any] | None = None,
        default_tags: Iterable[str] | None = None,
        message: str | None = None,
    ) -> SettingsChange:
        """Declare what versions of a key are, which need not have one yet; what is not given stays as it is.

        `partitions` and `time_partition` together are all that versions must be of: names, and those that
        are time, as `day`, `due:month` or a mapping, see docs/partitions.md. `default_tags` move to each new
        version. Raise UsageError.
        """
        from art.settings import time_partitions

        changes: dict[str, Any] = {"type": type, "description": description}
        changes |= {"retention": retention, "default_tags": default_tags}
        changes = {name: value for name, value in changes.items() if value is not None}
        if partitions is not None or time_partition is not None:
            times = time_partitions(time_partition or ())
            plain = (partitions,) if isinstance(partitions, str) else partitions or ()
            changes |= {"partitions": [*plain, *times], "time_partitions": times}
        made = self.set_settings(key, message=message, **changes)
        if unfit := self._unfit(key):
            count = "1 live version" if unfit == 1 else f"{unfit:,} live versions"
            self._warn(f"{key} has {count} without a partition that is declared now")
        return made

    def _unfit(self, key: str) -> int:
        from art import matching

        def ask(index: Index) -> int:
            index.refresh(key)
            return matching.count_unfit(index, key)

        return self._index.ask(ask)

    def set_settings(
        self, key: str, *, message: str | None = None, sign: bool = False, **changes: object
    ) -> SettingsChange:
        """Change what is declared of a key, which need not have a version yet; None takes a setting
        away, and `**{"retention.keep_last": 5}` sets one rule of `retention`. Raise UsageError, and
        ConflictError where it would have no effect: that signatures are required, as a signed change
        said, stays until one with `sign` says otherwise, and is repeated by all others."""
        settings = self._settings()
        settings.signer = self._entry_signer("settings") if sign else None
        if self._verifier().is_locked(check_key(key)):
            changes = {"require_signature": True} | changes
            if not sign:
                self._check_required_stays(key, changes["require_signature"])
        before = self._index.ask(lambda index: _declared(index, key))
        made = settings.change(key, changes, message)
        self._warn_of_mistakes(key, changes, before, made)
        return made

    def _warn_of_mistakes(
        self, key: str, changes: Mapping[str, object], before: Declared, made: SettingsChange
    ) -> None:
        """Tell what was probably not meant: a type that is mistyped, partitions that were left out."""
        from art import matching
        from art.partitions import Declared

        if type := changes.get("type"):
            matching.warn_of_type(self._index, str(type), self._warn)
        now = Declared.of(made.settings)
        if changes.get("partitions") and (dropped := before.without(now)):
            self._warn(
                f"{', '.join(dropped)} of {key} is not declared any more as it was, because what is given "
                f"replaces all partitions; to keep it: {now.with_all(before).command(key)}"
            )

    def _check_required_stays(self, key: str, value: object) -> None:
        from art.retention import check_flag

        if value in (None, "") or not check_flag(value, "require_signature"):
            raise ConflictError(
                f"{key} goes on requiring signatures: a signed change says so, and only a signed one "
                "takes that back",
                hint="--sign",
            )

    def signature_required(self, key: str) -> str | None:
        """Return why versions of a key are taken out only where they are signed, None where that is
        not so."""
        return self._verifier().why_required(check_key(key))

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
        record = self._resolver.record(as_ref(ref))
        if not self._changes().note(record, change, message) and error_on_noop:
            raise NothingToDoError(f"{record.ref} says that already")
        there = self.version(Ref(record.key or "", record.id))
        if there.id == record.id:
            return there
        self._changes().note(there.record, change, message)  # its key was renamed at this moment
        return self.version(Ref(there.key or "", there.id))

    def plan_delete(self, *refs: str, force: bool = False) -> DeletePlan:
        """Decide what deleting does: `KEY` alone means all its live versions, `KEY@SELECTOR` one, which
        may be deleted already."""
        named = [record for ref in refs for record in self._named(ref, "deleted")]
        done = [record for record in named if record.state == "deleted"]
        records = [record for record in named if record.state != "deleted"]
        return replace(self._changes().plan_delete(records, force=force), done=done)

    def _named(self, ref: str, done: str) -> list[Record]:
        """Return what `_live` does, and a version that has the state `done` already."""
        if not names_key(ref):
            record = self._resolver.record(exact(ref), deleted=True)
            if record.state == done:
                return [record]
        return self._live(ref)

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
        """Make deleted versions live again under their numbers; `KEY` alone means all of them. Return those
        that were not live before.

        Raise NotFoundError where nothing of a key was deleted, ConflictError where the bytes are gone.
        """
        with without_gc(self._backend):
            records = [record for ref in refs for record in self._deleted(ref)]
            restored = [Ref(r.key or "", r.id) for r in self._changes().restore(records, message)]
        # Another process may have deleted them again: they were restored all the same.
        return [self._version(self._resolver.record(ref, deleted=True)) for ref in restored]

    def plan_prune(
        self,
        *patterns: str,
        policy: Policy | None = None,
        where: str | None = None,
        anonymous: bool = False,
        only: str | None = None,
        force: bool = False,
    ) -> PrunePlan:
        """Decide which live versions of the keys that match go by a policy, or by those in the keys'
        settings; of keyless versions with `anonymous`. What live versions that stay were made from
        stays, and so do protected keys, unless `force`. With a query, as in `Repo.query`, the policy is
        applied to what matches, as if there were no other versions.

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
        query = None
        if where is not None:
            asked = listing.understand_query(where, self._resolver.ids)
            query = self._index.ask(lambda index: listing.checked(index, asked))
        request = Request(now, patterns, policy, anonymous, force, STATES[only], query)
        return self._pruner().plan(request)

    def execute_prune(
        self, plan: PrunePlan, *, message: str | None = None, ignore_errors: bool = False
    ) -> Pruned:
        """Let the versions of a plan go, but for those that are tagged, used or protected since it was
        made. Stops at the first error and raises it, unless `ignore_errors`."""
        self._before_delete(decision.record for decision in plan.dropped)
        jobs = self.config.get("jobs").value
        return self._pruner().execute(plan, message, jobs=jobs, ignore_errors=ignore_errors)

    def move(
        self, key: str, new_key: str, *, force: bool = False, allow_undeclared: bool = False
    ) -> Moved:
        """Rename a key: its live versions and tags go on under the new one, and references to the old
        one lead there. Nothing is transferred. Raise ConflictError where the key or a tag of it is
        protected, unless `force`; UsageError where versions are of other partitions than the new one is
        declared to have, unless `allow_undeclared`."""
        self._live(check_key(key))  # raises where there are none
        check_key(new_key)
        if key == new_key:
            raise UsageError(f"{key} has that name already")
        return self._mover(allow_undeclared).move(key, new_key, force=force)

    def copy(self, ref: str, new_key: str, *, allow_undeclared: bool = False) -> Moved:
        """Copy one version (`KEY@SELECTOR`), or all live ones of a key, under another key. Raise
        UsageError as `move` does."""
        records = self._live(ref)[::-1]
        check_key(new_key)
        return self._mover(allow_undeclared).copy(records, new_key)

    def _mover(self, allow_undeclared: bool) -> Mover:
        from art.moving import Mover

        return Mover(
            self._store,
            self._index,
            self._resolver,
            self._author(),
            self._publisher(),
            allow_undeclared=allow_undeclared,
        )


def _declared(index: Index, key: str) -> Declared:
    """Return what is declared of a key's partitions, as far as it is no damage."""
    from art.partitions import Declared

    index.refresh(key)
    return Declared.of(index.settings(key).get(key, {}))
