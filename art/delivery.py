"""Documents on their way to a remote: logs go on behind what is there, whoever put it there.

Their payloads were brought before (`art.push`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from art import checkpoint
from art import document as documents
from art.beside import may_come, names_beside, names_of_steps, read_beside
from art.catalog import STATE, VERSIONS, Log, parse_anonymous
from art.errors import ConflictError, CorruptError, UnavailableError
from art.fetch import Fetcher, ProgressRank, progress_rank, take_progress
from art.merge import Superseded
from art.model import Entry, Manifest
from art.outgoing import Authority, Outgoing, Work
from art.stubs import place_of, purged_records, put_stub
from art.sync import REQUESTS_AT_ONCE, Left, Pairing, Renumbered, Selection, Sent

_ROUNDS = 20  # in which a number was taken, and nothing could be read at it


class _TakenError(Exception):
    """Another writer has the next number of a log at the remote."""


class _LostError(_TakenError):
    """The remote does not have what it had."""


class Delivery:
    """Publishes documents at one remote, and keeps count of them."""

    def __init__(
        self,
        pair: Pairing,
        outgoing: Outgoing,
        authority: Authority | None,
        bring_again: Callable[[Log, Work], None],
        freshen: Callable[[Work], None],
    ) -> None:
        """`bring_again` makes ready what the remote has lost of a log, with the payloads. `freshen` is
        called before each version comes: what it relies on may have gone while this stood still."""
        self._pair = pair
        self._outgoing = outgoing
        self._authority = authority
        self._bring_again = bring_again
        self._freshen = freshen
        self._remote = pair.remote.backend
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sent: dict[str, Sent] = {}  # by uid: a number may change until the end
        self._entries: dict[Log, set[str]] = {}
        self._progress = 0
        self._renumbered: dict[str, Renumbered] = {}
        self._set_back: list[Left] = []
        self._rounds: dict[Log, tuple[int, int]] = {}
        self._finals: dict[Log, int] = {}  # ends that the remote had
        self._known_keyless: set[str] = set()  # that were at the remote before
        self._unfinished: set[str | None] = set()  # keys where a purged version has no stub yet

    # -- what it came to -------------------------------------------------------------------------

    @property
    def sent(self) -> list[Sent]:
        """The versions that were published, in the order in which they were."""
        return list(self._sent.values())

    @property
    def entry_count(self) -> int:
        """How many entries and values of progress were published."""
        return sum(map(len, self._entries.values())) + self._progress

    @property
    def renumbered(self) -> list[Renumbered]:
        """The versions that have other numbers now, as others had theirs first."""
        return list(self._renumbered.values())

    @property
    def set_back(self) -> list[Left]:
        """What the remote had published and has something else for now."""
        return list(self._set_back)

    def superseded(self) -> list[Superseded]:
        """Return the entries that were published and have no effect."""
        return [
            each for log, uids in self._entries.items() for each in self._pair.superseded(log, uids)
        ]

    # -- what is there already -------------------------------------------------------------------

    def begun(self, logs: list[Log]) -> list[Log]:
        """Return those of these logs that the remote has."""
        with ThreadPoolExecutor(REQUESTS_AT_ONCE, "look") as threads:
            sizes = threads.map(self._remote.size, [log.file(1) for log in logs])
            return [log for log, size in zip(logs, sizes, strict=True) if size is not None]

    def meet_keyless(self, work: Work) -> None:
        """Compare the keyless versions with what the remote has under their names; take out of `work`
        what it has otherwise."""
        there = set(self._remote.names("anonymous")) if work.keyless else set()
        for manifest in [m for m in work.keyless if f"{m.uid}.yaml" in there]:
            if self._agrees(manifest, work):
                self._known_keyless.add(manifest.uid)
            else:
                work.keyless.remove(manifest)

    def took_in(self, log: Log, work: Work) -> bool:
        """Take in what the remote has of a log; where that is damaged, only this log is left."""
        try:
            self._take_in(log)
        except CorruptError as error:
            name = log.file(self._pair.ledger.end(log) + 1)
            work.left.append(Left.because(name, error))
            return False
        return True

    def note_unfinished(self) -> None:
        """Note which purges have not put their stubs yet: of these keys no checkpoints are written."""
        self._unfinished = {record.key for record in purged_records(self._pair.index)}

    def _agrees(self, manifest: Manifest, work: Work) -> bool:
        """Whether the remote has the same as we for a keyless version; of a stub on one side both get
        one."""
        name = f"anonymous/{manifest.uid}.yaml"
        ours, theirs = self._pair.backend.read(name), self._present(name)
        if ours == theirs:
            return True
        found: Manifest | None = None
        with contextlib.suppress(CorruptError):
            found = parse_anonymous(manifest.uid, theirs or b"")
        if found and found.is_stub and theirs is not None:
            with self._lock, self._pair.index.replacing(None) as names:
                names.append(name)
                self._pair.backend.replace(name, theirs)
            self._pair.ledger.note_keyless(manifest.uid)
        elif found and manifest.is_stub:
            self._pair.ledger.note_unpurged(name)
            return True
        else:
            reason = f"{self._pair.name} has something else at {name}"
            hint = f"art remote check {self._pair.name}"
            work.left.append(Left(name, reason, hint, is_conflict=True))
        return False

    def _take_in(self, log: Log) -> None:
        before = self._pair.ledger.end(log)
        if self._authority:
            self._compare_with_mirror(log, self._authority)
        else:
            finals = max(self._finals.get(log, 0), before)
            for item in Fetcher(self._pair).fetch_log(log):
                first = self._renumbered.get(item.id)
                if item.key == log.key and log.name == VERSIONS and item.old <= finals:
                    self._set_back.append(_set_back(self._pair.name, item))
                old = first.old if first else item.old
                self._renumbered[item.id] = Renumbered(item.key, old, item.new, item.id)
        rounds, end = self._rounds.get(log, (0, before))
        is_new = self._pair.ledger.end(log) > end
        self._rounds[log] = (0 if is_new else rounds + 1, self._pair.ledger.end(log))
        if rounds > _ROUNDS:
            name = log.file(self._pair.ledger.end(log) + 1)
            raise UnavailableError(f"{name} is taken at {self._pair.name} and cannot be read")

    def _compare_with_mirror(self, log: Log, authority: Authority) -> None:
        """Go on behind what a mirror has and we have, too: it may have lost what came after that, or
        another writer brought some of it. Raise ConflictError where it has something else."""
        ours = self._pair.merger.local(log, 0)
        contents = self._pair.reader.following(log, 0)
        for number, (mine, theirs) in enumerate(zip(ours, contents, strict=False), 1):
            if _uid(log, number, mine) != _uid(log, number, theirs):
                raise ConflictError(
                    f"{log.called(number)} is another one at {self._pair.name} "
                    f"than at {authority.name}",
                    hint=f"art remote check {self._pair.name}",
                )
        both = min(len(ours), len(contents))
        uid = _uid(log, both, ours[both - 1]) if both else None
        self._pair.ledger.note_end(log, both, uid)

    # -- logs ------------------------------------------------------------------------------------

    def publish(self, logs: list[Log], work: Work) -> None:
        """Publish what is ready of these logs, many at once. Where another writer was first, take in
        what is there and go on behind it."""
        while logs:
            again: list[Log] = []
            lost: list[Log] = []
            with ThreadPoolExecutor(REQUESTS_AT_ONCE, "publish") as threads:
                futures = [(log, threads.submit(self._publish, log, work)) for log in logs]
                try:
                    for log, future in futures:
                        try:
                            future.result()
                        except _TakenError as error:
                            again.append(log)
                            lost += [log] if isinstance(error, _LostError) else []
                except BaseException:
                    self._stop.set()
                    threads.shutdown(cancel_futures=True)  # and wait for what was begun
                    raise
            logs = [log for log in again if self.took_in(log, work)]
            for log in lost:
                if log in logs:
                    self._bring_again(log, work)

    def _publish(self, log: Log, work: Work) -> None:
        """Publish the documents of a log that follow what the remote has, as far as they are ready."""
        end = self._pair.ledger.end(log)
        contents = self._pair.merger.local(log, max(end, 1) - 1)
        if end and not self._is_there(log, end, contents.pop(0)):
            self._finals[log] = end
            self._pair.ledger.note_end(log, 0)
            raise _LostError
        following = list(enumerate(contents, end + 1))
        for number, data in following:
            document = log.parse(number, data)
            if self._stop.is_set() or document.uid in work.waiting:
                return
            if log.name == VERSIONS:
                self._freshen(work)
            if document.uid not in work.ready:
                if any(_uid(log, n, d) in work.ready for n, d in following[number - end :]):
                    raise _TakenError  # a fetch took in what is at the remote, and ours has moved
                return
            name = log.file(number)
            if not self._remote.create(name, data) and self._present(name) != data:
                raise _TakenError
            with self._lock:
                self._pair.ledger.note_end(log, number, document.uid)
                self._count(log, number, document)
            self._bundle(log, number)

    def _is_there(self, log: Log, number: int, data: bytes) -> bool:
        """Whether the remote still has what it had. Where it lost something, both sides are compared.
        What was purged here is purged there, too."""
        theirs = self._present(log.file(number))
        if theirs is None or theirs == data:
            return theirs is not None
        with contextlib.suppress(CorruptError):
            present, ours = log.parse(number, theirs), log.parse(number, data)
            if present.uid == ours.uid and _is_stub(ours):
                self._pair.ledger.note_unpurged(log.file(number))
                return True
        return False

    def _bundle(self, log: Log, number: int) -> None:
        """Write the checkpoints that are due, unless one might bring back what was purged."""
        if not checkpoint.due(number) or not self._knows_of_purges(log):
            return
        for first, last in checkpoint.due(number):
            read = self._pair.backend.read
            contents = [read(log.file(each)) for each in range(first, last + 1)]
            name, data = checkpoint.name(log, first, last), checkpoint.encode(contents)
            if not self._remote.create(name, data):  # of documents that the remote lost since
                self._remote.replace(name, data)

    def _knows_of_purges(self, log: Log) -> bool:
        """Whether all that is said at the remote of a key's versions is known here, and was done."""
        if log.name != VERSIONS:
            return True
        states = Log(log.key, STATE)
        following = states.file(self._pair.ledger.end(states) + 1)
        return log.key not in self._unfinished and self._remote.size(following) is None

    def _count(self, log: Log, number: int, document: Manifest | Entry) -> None:
        self._pair.reporter.advance(files=1)
        if isinstance(document, Manifest):
            self._sent[document.uid] = Sent(log.key, number, document.id)
        else:
            self._entries.setdefault(log, set()).add(document.uid)

    # -- the rest --------------------------------------------------------------------------------

    def put_beside(self, work: Work) -> None:
        """Bring previews, and records of runs, before the manifests that name them."""
        ready = [m for m in work.manifests if m.uid in work.ready and not m.is_stub]
        named = {name for manifest in ready for name in names_beside(manifest.document)}
        bring_beside(self._pair, named)

    def publish_keyless(self, work: Work) -> None:
        """Publish the keyless versions that are ready."""

        def publish(manifest: Manifest) -> None:
            name = f"anonymous/{manifest.uid}.yaml"
            data = self._pair.backend.read(name)
            is_known = manifest.uid in self._known_keyless
            self._freshen(work)
            if manifest.uid not in work.ready:
                return
            is_there = is_known or not self._remote.create(name, data)
            if is_there and not is_known and not self._agrees(manifest, work):
                return
            with self._lock:
                self._pair.ledger.note_keyless(manifest.uid)
                if not is_known:
                    self._sent[manifest.uid] = Sent(None, None, manifest.id)

        coming = work.ready - work.waiting - self._sent.keys()
        _all([partial(publish, m) for m in work.keyless if m.uid in coming])

    def publish_progress(self, work: Work) -> None:
        """Publish values of progress that are newer than the remote's; take in those that are older. They
        come before the versions that they are of, and not of those that do not come."""

        def publish(uid: str) -> None:
            name = f"progress/{uid}.yaml"
            ours = self._pair.backend.read(name)
            theirs = self._present(name)
            there: ProgressRank | None = None
            if theirs is not None:
                with contextlib.suppress(CorruptError):  # then this mends it
                    there = progress_rank(name, theirs)
            rank = progress_rank(name, ours)
            is_new = there is None or there < rank
            if is_new:
                self._remote.replace(name, ours)
            elif theirs is not None and there is not None and rank < there:
                take_progress(self._pair, uid, theirs)
            with self._lock:
                self._progress += is_new
                self._pair.ledger.note_progress(uid, max(rank, there or rank)[0])

        left = {manifest.uid for manifest in work.manifests} - work.ready
        _all([partial(publish, uid) for uid, _ in work.progress if uid not in left])

    def purge(self, selection: Selection) -> None:
        """Replace manifests at the remote by the stubs that are here, where the remote has what is said
        of them: after a push of entries all of them, else those that were met as they were before."""
        ledger = self._pair.ledger
        met = set(ledger.unpurged())
        records = self._pair.index.ask(lambda index: index.of_state("purged"))
        chosen = [record for record in records if selection.has(record.key)]
        untold = {key: self._outgoing.untold(key) for key in {record.key for record in chosen}}
        ready = {
            place_of(record): record
            for record in chosen
            if (self._entries or place_of(record) in met) and record.id not in untold[record.key]
        }
        for name in ready:  # for the next push, should this one not come to its end
            ledger.note_unpurged(name)
        for name, record in ready.items():
            put_stub(self._remote, record)
            ledger.note_unpurged(name, is_so=False)

    def _present(self, name: str) -> bytes | None:
        try:
            return self._remote.read(name, 0, documents.READ_LIMIT)
        except FileNotFoundError:
            return None


def bring_beside(pair: Pairing, names: Collection[str]) -> None:
    """Bring previews, and records of runs, to a remote before what names them is there. What is not here
    may be missing there, too (FORMAT §8.1); the record of a run that goes on comes when it is written."""
    for name in _missing(pair, sorted(names)):
        if may_come(name):
            pair.ledger.note_owed(name)
    pair.ledger.save()  # who writes it after this sees to it, what was written until now is brought here
    bring_owed(pair)


def bring_owed(pair: Pairing) -> None:
    """Bring the records of runs that were not written yet when what names them came to a remote."""
    owed = pair.ledger.owed()
    if owed:
        missing = _missing(pair, owed)
        for name in owed:
            pair.ledger.note_owed(name, is_so=name in missing and may_come(name))
        pair.ledger.save()


def _missing(pair: Pairing, names: Collection[str]) -> set[str]:
    """Bring what is here of these to a remote, before the record of a run those of its steps; return the
    names of the others."""
    missing = set()
    steps = {step for name in names for step in _new_steps(pair, name)}
    if steps:
        _missing(pair, sorted(steps))

    def put(name: str) -> None:
        try:
            data = read_beside(pair.backend, name)
        except (FileNotFoundError, CorruptError):
            missing.add(name)
        else:
            pair.remote.backend.create(name, data)

    _all([partial(put, name) for name in names])
    return missing


def _new_steps(pair: Pairing, name: str) -> list[str]:
    """Return the names of the records of a run's steps, nothing where a remote has that of the run."""
    steps = names_of_steps(pair.backend, name)
    return steps if steps and pair.remote.backend.size(name) is None else []


def _all(jobs: Sequence[Callable[[], None]]) -> None:
    """Do all of it, many at once, up to the first that fails."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, "publish") as threads:
        try:
            for future in [threads.submit(job) for job in jobs]:
                future.result()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _uid(log: Log, number: int, data: bytes) -> str:
    return log.parse(number, data).uid


def _is_stub(document: Manifest | Entry) -> bool:
    return isinstance(document, Manifest) and document.is_stub


def _set_back(remote: str, item: Renumbered) -> Left:
    return Left(
        f"{item.key}@v{item.old}",
        f"{remote} had published it, and has another version there now: it is v{item.new} now",
        f"art remote check {remote}",
        is_conflict=True,
    )
