"""Bringing to a remote what only this repository has: payloads first, then versions, then the rest."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Container, Iterable
from functools import partial
from itertools import takewhile

from art.catalog import STATE, VERSIONS, Log
from art.delivery import Delivery
from art.errors import ArtError, CorruptError, NotFoundError
from art.index import Index
from art.merge import finish
from art.model import Entry, Manifest
from art.outgoing import GONE, Authority, Outgoing, Work
from art.place import GC_LOCK
from art.reliance import Reliance
from art.rows import Record
from art.sync import Left, Pairing, Pushed, PushPlan, Selection, Sent
from art.transfer import Shipment

_BASES = 3  # versions whose chunks are looked for at the remote before a payload is sent
_LOOK_BACK = 64  # versions of a key that are looked at for the payloads of four


class Pusher:
    """Publishes what is new here at one remote."""

    def __init__(
        self, pair: Pairing, authority: Authority | None = None, *, payload: bool = True
    ) -> None:
        """`authority` is the remote that gives the numbers, where this is another one: what has no
        number from there yet is not pushed. Without `payload` only documents are, where the remote
        has their payloads."""
        self._pair = pair
        self._authority = authority
        self._payload = payload
        self._outgoing = Outgoing(pair, authority)
        self._reliance = Reliance(pair, payload=payload)
        self._turn = threading.Lock()
        self._delivery = Delivery(pair, self._outgoing, authority, self._bring_again, self._freshen)
        self._gone: dict[str, Manifest] = {}  # by uid: versions whose payload nobody has any more
        self._is_published_safely = False
        self._restored = False

    def plan(self, selection: Selection) -> PushPlan:
        """Return what `push` would do now."""
        work = self._outgoing.work(selection)
        shipments: list[Shipment] = []
        self._prepare(work, shipments.append)
        versions = [
            Sent(log.key, number, manifest.id)
            for log, found in work.versions.items()
            for number, manifest in found
            if manifest.uid in work.ready and number > self._pair.ledger.end(log)
        ]
        versions += [Sent(None, None, m.id) for m in work.keyless if m.uid in work.ready]
        entries = sum(
            entry.uid in work.ready
            for log in work.entry_logs
            for entry in self._outgoing.unpublished(log)
        )
        entries += len(work.progress)
        size = sum(shipment.size_bytes for shipment in shipments)
        requests = 2 + len(work.logs) + len(versions) + entries
        requests += sum(shipment.requests for shipment in shipments)
        packs = sum(shipment.packs for shipment in shipments)
        return PushPlan(self._pair.name, versions, entries, packs, size, requests, work.left)

    def push(self, selection: Selection) -> Pushed:
        """Publish what the remote does not have of the selected keys.

        Raise NotFoundError where a key is nowhere, or what the remote raises; what was published
        until then stays so, and the next push goes on behind it.
        """
        held = self._pair.backend.together(GC_LOCK)
        try:
            return self._push(selection)
        finally:
            held.release()

    def _push(self, selection: Selection) -> Pushed:
        finish(self._pair.backend, self._pair.index)
        delivery = self._delivery
        work = self._outgoing.work(selection)
        try:
            work = self._met(work, selection)
            delivery.note_unfinished()
            self._prepare(work, self._reliance.ship)
            self._secure(work)
            self._note_begun(work)
            delivery.put_beside(work)
            delivery.publish_progress(work)
            self._publish_versions(work)
            others = work.entry_logs
            self._hold_back(work, others)
            self._secure_published(work)
            delivery.publish(others, work)
            delivery.purge(selection)
            if self._restored:
                self._secure_published(work)
        except BaseException as error:
            if not self._is_published_safely:
                self._look_again(work)
            self._tell(error)
            raise
        finally:
            self._pair.ledger.save()
            self._pair.reporter.finish()
        return Pushed(
            self._pair.name,
            sorted(delivery.sent, key=lambda sent: (sent.key or "", sent.number or 0)),
            delivery.entry_count,
            self._reliance.packs,
            self._reliance.size_bytes,
            delivery.renumbered,
            delivery.superseded(),
            work.left + delivery.set_back,
        )

    def _tell(self, error: BaseException) -> None:
        """Say what was published before it came to an end."""
        count = len(self._delivery.sent)
        refs = ", ".join(sent.ref for sent in self._delivery.sent[-3:])
        parts = (
            [f"{count} versions, the last of them {refs}" if count > 3 else refs] if count else []
        )
        if entries := self._delivery.entry_count:
            parts.append("1 entry" if entries == 1 else f"{entries} entries")
        if parts:
            told = " and ".join(parts)
            self._pair.reporter.warn(f"published at {self._pair.name} before that: {told}")
        elif isinstance(error, KeyboardInterrupt):
            self._pair.reporter.warn(f"nothing was published at {self._pair.name}")

    # -- what is to be done ----------------------------------------------------------------------

    def _met(self, work: Work, selection: Selection) -> Work:
        """Take in what the remote has of keys of which that was not known, so that nothing is sent of
        what was purged there; return what is to be pushed then. Payloads are looked at all the same."""
        delivery = self._delivery
        delivery.meet_keyless(work)
        unknown = [log for log in work.versions if not self._pair.ledger.end(log)]
        known = delivery.begun(unknown)
        keys = {log.key for log in known}
        if not keys:
            return work
        logs = [log for log in work.entry_logs if log.key in keys]
        if not self._authority:
            logs += [state for key in keys if (state := Log(key, STATE)) not in logs]
        lost = [log.key for log in [*known, *logs] if not delivery.took_in(log, work)]
        again = self._outgoing.work(selection, dict.fromkeys(known, 0))
        again.logs = [log for log in again.logs if log.key not in lost]
        again.versions = {log: found for log, found in again.versions.items() if log in again.logs}
        again.keyless = work.keyless
        again.left += [left for left in work.left if left not in again.left]
        return again

    # -- payloads --------------------------------------------------------------------------------

    def _prepare(self, work: Work, use: Callable[[Shipment], object]) -> None:
        """Give what the remote needs of each new version's payload to `use`, which plans or ships.
        Versions whose payload cannot come, and all that build on them, are taken out of `work`."""
        for log, versions in work.versions.items():
            bases = self._bases(log)
            for at, (_, manifest) in enumerate(versions):
                if not self._prepare_one(work, manifest, bases, use):
                    work.ready -= {held.uid for _, held in versions[at:]}
                    break
                if manifest.payload and manifest.payload.tree:
                    bases = [manifest.payload.tree, *bases[: _BASES - 1]]
        for manifest in work.keyless:
            if not self._prepare_one(work, manifest, [], use):
                work.ready.discard(manifest.uid)

    def _prepare_one(
        self, work: Work, manifest: Manifest, bases: list[str], use: Callable[[Shipment], object]
    ) -> bool:
        """Return whether the payload is, or will be, at the remote."""
        try:
            if shipment := self._shipment(manifest, bases):
                use(shipment)
        except (NotFoundError, CorruptError) as error:
            hint = error.hint
            if self._payload and isinstance(error, NotFoundError) and self._pair.has_others:
                hint = f"art pull --all {manifest.key or ''}".rstrip()
            work.left.append(Left(self._ref_of(manifest), error.message, hint))
            return False
        return True

    def _shipment(self, manifest: Manifest, bases: list[str]) -> Shipment | None:
        tree = manifest.payload.tree if manifest.payload else None
        if manifest.is_stub or (tree and self._is_gone(manifest)):
            self._gone[manifest.uid] = manifest
            return None
        if not tree:
            return None
        return self._reliance.needed(tree, [*bases, *self._inputs(manifest)])

    # -- what gc may take away meanwhile (FORMAT §13) --------------------------------------------

    def _secure(self, work: Work) -> None:
        """Send anew what gc is to take away at the remote. What cannot come is taken out of `work`."""
        for tree, error in self._reliance.secure().items():
            self._give_up(work, tree, error)

    def _freshen(self, work: Work) -> None:
        """Secure again where this stood still for long: a machine that slept, say."""
        with self._turn:
            if self._reliance.is_stale:
                self._secure(work)

    def _secure_published(self, work: Work) -> None:
        """The same after versions are there. Where it fails they count as not published, so that the
        next push looks again."""
        self._is_published_safely = False
        left = len(work.left)
        self._secure(work)
        self._is_published_safely = True
        if len(work.left) > left:
            self._look_again(work)
            return
        for log in work.versions:
            self._pair.ledger.note_again(log, None)
        for manifest in work.keyless:
            self._pair.ledger.note_unsettled(manifest.uid, is_so=False)

    def _note_begun(self, work: Work) -> None:
        """Let the next push look at payloads again where this one is killed before it does."""
        self._look_again(work)
        self._pair.ledger.save()

    def _look_again(self, work: Work) -> None:
        """Let the next push look whether the payloads are there, also of what a fetch takes in before."""
        if self._reliance.has_begun:
            for log in work.versions:
                self._pair.ledger.note_again(log, work.starts[log])
            for manifest in work.keyless:
                self._pair.ledger.note_unsettled(manifest.uid)

    def _give_up(self, work: Work, tree: str, error: ArtError) -> None:
        """Take out the versions with a payload, and all that build on them."""
        self._take_out(
            work,
            lambda manifest: manifest.payload is not None and manifest.payload.tree == tree,
            lambda manifest: Left.because(self._ref_of(manifest), error),
        )

    def _take_out(
        self,
        work: Work,
        is_meant: Callable[[Manifest], bool],
        left: Callable[[Manifest], Left],
    ) -> None:
        """Take versions out of what comes, with all that follow them under their keys."""
        keyless = [[manifest] for manifest in work.keyless]
        for versions in [*([m for _, m in found] for found in work.versions.values()), *keyless]:
            for at, manifest in enumerate(versions):
                if is_meant(manifest):
                    work.left.append(left(manifest))
                    work.ready -= {held.uid for held in versions[at:]}
                    break

    def _ref_of(self, manifest: Manifest) -> str:
        known = self._pair.index.ask(lambda index: index.by_id(manifest.id, manifest.key))
        return known[0].ref if known else manifest.id

    def _inputs(self, manifest: Manifest) -> list[str]:
        """Return the payloads of what a version was made from."""
        ids = [str(entry["id"]) for entry in manifest.inputs[:_BASES]]
        found = [record for id in ids for record in self._pair.index.ask(partial(_by_id, id))]
        return [record.payload for record in found if record.payload]

    def _is_gone(self, manifest: Manifest) -> bool:
        """Whether it is known that nobody has the payload any more."""
        found = self._pair.index.ask(lambda index: index.by_id(manifest.id, manifest.key))
        return bool(found) and all(record.state in GONE for record in found)

    def _bases(self, log: Log) -> list[str]:
        """Return the payloads of the newest versions of a key that the remote has."""
        end = self._pair.ledger.end(log)
        bases: list[str] = []
        for number in range(end, max(0, end - _LOOK_BACK), -1):  # purged ones give none
            if len(bases) == _BASES:
                break
            with contextlib.suppress(CorruptError, NotFoundError):
                manifest = self._pair.local.catalog.manifest(str(log.key), number)
                if manifest.payload and manifest.payload.tree:
                    bases.append(manifest.payload.tree)
        return bases

    # -- documents -------------------------------------------------------------------------------

    def _hold_back(self, work: Work, logs: Iterable[Log]) -> None:
        """Keep back entries that name a version which is not published, and all that follow them."""
        self._pair.index.ask(lambda index: index.refresh_all())  # numbers may have changed
        for log in logs:
            entries = self._outgoing.unpublished(log)
            for at, entry in enumerate(entries):
                if reason := self._reason_to_hold(entry):
                    work.ready -= {held.uid for held in entries[at:]}
                    work.left.append(Left(log.file(entry.number), *reason))
                    break

    def _reason_to_hold(self, entry: Entry) -> tuple[str, str | None] | None:
        """Return why an entry cannot be published: a version that it names is not there, or the payload
        of one that it restores cannot be."""
        is_published = self._outgoing.is_published
        missing = [id for key, id in _named(entry) if not is_published(key, id)]
        if missing:
            return f"it is about {missing[0][:15]}, which is not at {self._pair.name}", "art push"
        if entry.document.get("state") == "restored":
            for record in self._restored_by(entry):
                try:
                    if shipment := self._reliance.needed(str(record.payload), []):
                        self._reliance.ship(shipment)
                except (NotFoundError, CorruptError) as error:
                    return error.message, error.hint
                self._restored = True
        return None

    def _restored_by(self, entry: Entry) -> list[Record]:
        ids = [id for _, id in _named(entry)]
        found = [r for id in ids for r in self._pair.index.ask(partial(_by_id, id))]
        return [r for r in found if r.key == entry.key and r.payload and r.is_live]

    def _publish_versions(self, work: Work) -> None:
        """Publish versions, and before those whose payload nobody has any more what is said of them, so
        that they are not live without one at any moment.

        An entry may wait for other versions, which come first then. Where entries and versions wait for
        each other, all of them come.
        """
        delivery = self._delivery
        logs = [*work.versions, *self._named_logs(work)]
        while True:
            self._publish_early(work)
            work.waiting = self._untold(work)
            before = len(delivery.sent)
            delivery.publish_keyless(work)
            delivery.publish(logs, work)
            if not work.waiting:
                return
            if len(delivery.sent) == before:
                break
        self._leave_untold(work)
        work.waiting = set()
        delivery.publish_keyless(work)
        delivery.publish(logs, work)

    def _leave_untold(self, work: Work) -> None:
        """Take out the versions of which it is not for this push to say that they are gone: at a mirror the
        authority says so first."""
        where = self._authority.name if self._authority else self._pair.name

        def left(manifest: Manifest) -> Left:
            if self._outgoing.is_unsaid(manifest):
                return Left(
                    self._ref_of(manifest), "it is gone, and what says so is not here", "art fetch"
                )
            reason = f"it is gone, and {where} does not know that yet"
            return Left(self._ref_of(manifest), reason, f"art push --remote {where}")

        self._take_out(
            work, lambda m: m.uid in work.waiting and not self._is_to_be_told(m, work), left
        )

    def _is_to_be_told(self, manifest: Manifest, work: Work) -> bool:
        """Whether an entry that comes with this push says that a version is gone: it, and all before it,
        are about versions that are there or come, too."""
        coming = {(m.key, m.id) for m in work.manifests if m.uid in work.ready}
        for entry in self._outgoing.unpublished(Log(manifest.key, STATE)):
            named = _named(entry)
            missing = [each for each in named if each not in coming]
            is_known = all(self._outgoing.is_published(*each) for each in missing)
            if entry.uid not in work.ready or not is_known:
                return False
            if (manifest.key, manifest.id) in named and entry.document.get("state") in GONE:
                return True
        return False

    def _untold(self, work: Work) -> set[str]:
        """Return the uids of versions to come whose payload nobody has any more, where the remote has no
        word of that yet."""
        untold = {key: self._outgoing.untold(key) for key in {m.key for m in self._gone.values()}}
        sent = {each.id for each in self._delivery.sent}
        return {
            uid
            for uid, manifest in self._gone.items()
            if uid in work.ready
            and manifest.id not in sent
            and (manifest.id in untold[manifest.key] or self._outgoing.is_unsaid(manifest))
        }

    def _publish_early(self, work: Work) -> None:
        """Publish of these keys' states what can be before their versions come, up to the last entry
        that is about one whose payload nobody has any more."""
        if not self._gone:
            return
        keys = {manifest.key for manifest in self._gone.values()}
        self._pair.index.ask(lambda index: index.refresh_all())  # numbers may have changed
        coming = {(m.key, m.id) for m in work.manifests if m.uid in work.ready}
        gone = {(m.key, m.id) for m in self._gone.values()}
        early = Work()
        for log in [log for log in work.logs if log.name == STATE and log.key in keys]:
            entries = self._outgoing.unpublished(log)
            possible = list(takewhile(lambda e: self._can_be_early(e, work, coming), entries))
            while possible and gone.isdisjoint(_named(possible[-1])):
                possible.pop()
            early.ready |= {entry.uid for entry in possible}
            early.logs += [log] if possible else []
        self._delivery.publish(early.logs, early)
        work.left += early.left

    def _can_be_early(
        self, entry: Entry, work: Work, coming: Container[tuple[str | None, str]]
    ) -> bool:
        """Whether an entry can be published before the versions that are `coming`: it takes nothing away
        of what is there, and brings nothing back without its payload."""
        if entry.uid not in work.ready:
            return False
        for version in entry.document.get("versions") or []:
            here = entry.key, str(version["id"])
            if not self._outgoing.is_published(*here):
                if here not in coming:
                    return False
            elif entry.document.get("state") == "restored" or (
                "to" in version
                and not self._outgoing.is_published(version["to"]["key"], str(version["to"]["id"]))
            ):
                return False
        return True

    def _named_logs(self, work: Work) -> list[Log]:
        """Return the logs of versions of which something is to be published and no version is new: the
        remote may have lost them."""
        logs = {Log(log.key, VERSIONS) for log in work.logs if log.key is not None}
        return [log for log in logs - work.versions.keys() if self._pair.ledger.end(log)]

    def _bring_again(self, log: Log, work: Work) -> None:
        """Make ready what the remote has lost of a log, payloads too."""
        again = Work()
        self._outgoing.add_log(again, log, self._pair.ledger.end(log))
        self._prepare(again, self._reliance.ship)
        self._delivery.put_beside(again)
        if log.name != VERSIONS:
            self._hold_back(again, [log])
        work.ready |= again.ready
        work.left += [left for left in again.left if left not in work.left]


def _by_id(id: str, index: Index) -> list[Record]:
    return index.by_id(id)


def _named(entry: Entry) -> list[tuple[str | None, str]]:
    """Return key and id of the versions that an entry is about, and of what they became."""
    versions = entry.document.get("versions") or []
    named: list[tuple[str | None, str]] = [(entry.key, str(each["id"])) for each in versions]
    named += [(each["to"]["key"], str(each["to"]["id"])) for each in versions if "to" in each]
    return named + ([(entry.key, entry.version_id)] if entry.version_id else [])
