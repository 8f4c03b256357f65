"""Runs: what is made in them, what they gave earlier, and what they leave behind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from art import caching, runs
from art.caching import Results, Reuse
from art.catalog import manifest_directory
from art.document import SIZE_LIMIT
from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from art.model import check_metadata, is_uid
from art.ref import Ref
from art.repo.jobs import Job, Offer, Ran
from art.repo.sharing import Sharing

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from art.model import Document
    from art.publish import Content, Prepared, Publisher
    from art.records import PastRun
    from art.runs import Run
    from art.saving import Saving
    from art.version import Version

_PART = re.compile("[0-9a-f-]{4,36}")  # of the id of a run
_NAMED = 5  # runs that are named where several are meant
_MAY_READ = "it may have read standard input, which is a pipe; with `< /dev/null` it does not"
_NOTED = SIZE_LIMIT // 4 * 3  # bytes of manifests that a result holds
_CLAIMS = "cache"  # the lock under which results become versions


@dataclass(frozen=True)
class _Earlier:
    """What there is of a job from earlier: the number of the last entry, and the outputs if all of them
    are whole; else the payloads that are damaged. Of the keys `tagged` tags were set that were missing."""

    number: int
    outputs: dict[str, Version] | None = None
    run: str = ""
    damaged: frozenset[str] = frozenset()
    tagged: frozenset[str] = frozenset()


class Running(Sharing):
    """Runs jobs, and gives back what they gave earlier."""

    @contextmanager
    def run(
        self,
        name: str,
        *,
        step: str | None = None,
        command: list[str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Iterator[Run]:
        """Let versions made inside say that they came of this run, of what parameters, commit and host,
        and of which versions that were read before. The run leaves a record, also where it fails."""
        root = str(self.root)
        with runs.begin(name, step=step, command=command, params=params, root=root) as run:
            run.repo = self
            try:
                yield run
            except BaseException as error:
                try:
                    self._record(run, error)
                except ArtError as problem:  # what failed is what counts
                    tell = getattr(error, "add_note", self._warn)
                    tell(f"run {run.id} leaves no record: {problem}")
                raise
            self._record(run, None)

    def _record(self, run: Run, error: BaseException | None) -> None:
        from art.records import encoded

        if background := self.__dict__.get("_background"):
            background.wait()  # what it saves is of this run, too
        self._backend.create(f"runs/{run.id}.yaml", encoded(runs.record(run, error)))
        if self.remotes.all():
            self._exchange.bring_record(run.id)

    # -- looking back ----------------------------------------------------------------------------

    def runs(self, name: str | None = None, *, limit: int | None = None) -> list[PastRun]:
        """Return the runs that have ended and left their record here, newest first; with `name`, those
        of it. Records that are damaged are told of and left out."""
        found: list[PastRun] = []
        for uid in self._run_ids():
            if limit is not None and len(found) >= limit:
                break
            try:
                past = self.get_run(uid)
            except CorruptError as error:
                self._warn(error.message)
                continue
            if name is None or past.name == name:
                found.append(past)
        return found

    def get_run(self, id: str) -> PastRun:
        """Return a run that has ended by its id, or by how that of one that is here begins or ends. Raise
        NotFoundError where it has no record, here or at a remote: it goes on, or was killed; UsageError where
        several begin or end so."""
        from art.loading import run_record
        from art.records import PastRun

        elsewhere = self._elsewhere()
        beside = elsewhere.beside if elsewhere else lambda _: None
        uid = id if is_uid(id) else self._run_id(id)
        document = run_record(self._backend, uid, beside) if uid else None
        if document is None:
            raise NotFoundError(f"there is no record of a run {id!r}", hint="art runs")
        return PastRun(document, self._noted, self.get_run)

    def _run_ids(self) -> list[str]:
        """Return the ids of the runs that left a record here, the newest first: they begin with the time."""
        uids = (each.removesuffix(".yaml") for each in self._backend.names("runs"))
        return sorted(filter(is_uid, uids), reverse=True)

    def _run_id(self, part: str) -> str | None:
        """Return the id that begins or ends so, None where there is none."""
        digits = part.lower()
        if not _PART.fullmatch(digits):
            return None
        found = [uid for uid in self._run_ids() if uid.startswith(digits) or uid.endswith(digits)]
        if len(found) > 1:
            ids = ", ".join(found[:_NAMED]) + (" …" if found[_NAMED:] else "")
            raise UsageError(f"run {part} is ambiguous: {ids}", hint="use more digits")
        return found[0] if found else None

    def _noted(self, noted: Document) -> Version:
        """Return the version that a record names, deleted or not."""
        ref = Ref(str(noted.get("key") or ""), str(noted["id"]))
        return self._version(self._resolver.record(ref, deleted=True))

    # -- commands --------------------------------------------------------------------------------

    def run_command(  # noqa: PLR0913 - each is one thing that can be said
        self,
        words: Sequence[str],
        *,
        name: str | None = None,
        inputs: Mapping[str, str | Version] | None = None,
        outputs: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        partitions: Mapping[str, Any] | None = None,
        allow_undeclared: bool = False,
        reuse: Reuse = Reuse(),  # noqa: B008 - it is frozen
    ) -> Ran:
        """Run a command, and make versions of what it wrote: `outputs` maps keys to paths.

        `inputs` maps names to references, or versions of any repository, which are taken out before, or to
        paths (`./x`, `/x`), which are used as they are: the command finds the path in `ART_IN_NAME`, and as
        `{NAME}` in its words. It finds parameters in `ART_PARAM_NAME`, and as `{NAME}` in words, references
        and paths: texts as they are, all else as JSON. Keys of outputs, and the `partitions` that these are
        of, may have those and other placeholders; what was declared is compared before the command runs.
        Where the same words, files that they name, parameters, inputs and paths gave these outputs before,
        as `reuse` has it, they are put in place again and nothing is run.

        Raise CommandError where its status is not 0, NotFoundError where an output is not there.
        """
        from art.repo.commands import FILES, Command

        if not words:
            raise UsageError("there is no command to run")
        checked = check_metadata(params or {}, "params")
        command = Command.of(
            self,
            list(words),
            inputs or {},
            outputs or {},
            checked,
            {"partitions": partitions or {}, "allow_undeclared": allow_undeclared},
        )
        for word, near in command.mistyped().items():
            meant = " or ".join(f"{{{each}}}" for each in near)
            self._warn(f"{{{word}}} is no input or parameter and stays as it is; {meant} is one")
        named = name or os.path.basename(words[0])
        fingerprint = command.fingerprint(reuse) if outputs else None
        job = Job(
            name=named,
            step=named,
            command=list(words),
            params=command.params,
            inputs=list(command.versions.values()),
            fingerprint=fingerprint,
            unknown=_MAY_READ if outputs and fingerprint is None else None,
            reuse=reuse,
            outputs={key: key for key in command.outputs},
            about=dict.fromkeys(command.outputs, command.about),
            types=FILES,
        )
        return self.perform(job, command.work, command.put_in_place)

    # -- doing what was not done before ----------------------------------------------------------

    def perform(
        self,
        job: Job,
        work: Callable[[Run], Mapping[str, Offer]],
        deliver: Callable[[Mapping[str, Version]], object] = lambda outputs: None,
    ) -> Ran:
        """Do a job, and make a version of each thing that it gives, or return what it gave before.

        Of several that do the same at the same time, one makes the versions, and all return these.
        `deliver` gets versions that were made by others. What a killed one had settled is made by the
        next: a version is made once, whenever it is killed.
        """
        earlier = self._earlier(job)
        if job.reuse.is_used and earlier.outputs is not None:
            return self._reused(job, earlier, deliver)
        self._check_before(job)
        with self.run(job.name, step=job.step, command=job.command, params=job.params) as run:
            for version in job.inputs:
                run.note_input(_naming(version), version.place)
            offers = work(run)
            ran = self._settle(run, job, offers, earlier)
            run.results = {name: _naming(version) for name, version in ran.outputs.items()}
            if ran.cached:
                run.ended["cached"] = ran.cached
                with runs.apart():
                    deliver(ran.outputs)
        return ran

    def _check_before(self, job: Job) -> None:
        """Raise what would keep what a job gives from becoming versions, as far as that is known before the
        work is done."""
        publisher = self._publisher()
        try:
            for name, key in (job.outputs or {}).items():
                publisher.check(key, job.about.get(name) or {}, job.types)
        finally:
            publisher.release()

    def content_of(self, saving: Saving, key: str) -> Callable[[Publisher], Content]:
        """Return what stores an object, for an `Offer`."""
        return lambda publisher: saving.content(publisher, self._scratch, key)

    def surroundings_of(self, reuse: Reuse) -> Document:
        """Return what is found now of what a job was said to depend on, for its fingerprint."""
        return {
            "files": {path: self.digest_of(path) for path in reuse.depends},
            "environment": {name: os.environ.get(name) for name in reuse.variables},
        }

    def digest_of(self, path: str) -> str:
        """Return the digest of what is read through a path on the disk. Raise NotFoundError."""
        from art.referred import content_digest

        return content_digest(self._store, self.reporter, path)

    def _reused(
        self,
        job: Job,
        earlier: _Earlier,
        deliver: Callable[[Mapping[str, Version]], object],
    ) -> Ran:
        assert earlier.outputs is not None
        with runs.apart():
            deliver(earlier.outputs)
        with self.run(job.name, step=job.step, command=job.command, params=job.params) as run:
            for version in job.inputs:
                run.note_input(_naming(version), version.place)
            run.results = {name: _naming(version) for name, version in earlier.outputs.items()}
            run.ended["cached"] = earlier.run
        return Ran(run.id, earlier.outputs, cached=earlier.run)

    def _earlier(self, job: Job) -> _Earlier:
        """Return what the job gave before."""
        if job.fingerprint is None:
            return _Earlier(0)
        if is_shared := self._is_shared(job):
            with self._exchange.shared() as there:
                entry = Results(there.backend, job.fingerprint).newest()
        else:
            entry = Results(self._backend, job.fingerprint).newest()
        if entry is None:
            return _Earlier(0)
        expires = job.reuse.expires
        is_late = expires is not None and entry.age > expires
        if entry.is_gone or is_late or not job.has_given(entry):
            return _Earlier(entry.number)
        with runs.apart():
            if not is_shared:
                return self._outputs(entry)
            found = self._learned(entry)
            self._publish_made(found.outputs or {}, found.tagged)
            return found

    def _is_shared(self, job: Job) -> bool:
        """Whether results are looked for and published at the authority. Raise what tells that there is
        none, where that was asked for."""
        if job.reuse.is_shared:
            self.remotes.get()
            return True
        return bool(self.config.get("shared_cache").value and self.remotes.all())

    def _learned(self, entry: caching.Entry, *, is_held: bool = False) -> _Earlier:
        """The same as `_outputs` of an entry at the authority."""
        for key in sorted({str(output["key"]) for output in entry.outputs.values()}):
            with suppress(NotFoundError):  # who claimed it has not published it yet
                self.fetch(key)
        return self._outputs(entry, is_held=is_held)

    def _publish_made(
        self, outputs: Mapping[str, Version], tagged: frozenset[str] = frozenset()
    ) -> None:
        """Publish at the authority what is not there yet, and what is new of the keys `tagged`."""
        keys = tagged | {
            str(version.key)
            for version in outputs.values()
            if not self._exchange.is_published(version.record)
        }
        if keys:
            for left in self.push(*sorted(keys)).left:
                self._warn(f"{left.ref} is not published: {left.reason}")

    def _outputs(self, entry: caching.Entry, *, is_held: bool = False) -> _Earlier:
        """Return the outputs that an entry names, where all are there, not deleted, and whole."""
        found: dict[str, Version] = {}
        damaged: set[str] = set()
        for name in entry.outputs:
            version = self._output(entry, name, is_held=is_held)
            if version is None:
                return _Earlier(entry.number)
            try:
                self._check_whole(version)
            except (CorruptError, NotFoundError) as error:
                self._warn(f"{version.ref} is made again: {error.message}")
                damaged.add(str(version.manifest.payload and version.manifest.payload.tree))
            found[name] = version
        if damaged:
            return _Earlier(entry.number, damaged=frozenset(damaged))
        tagged = {str(version.key) for version in found.values() if self._tag_late(version)}
        return _Earlier(entry.number, found, entry.run, tagged=frozenset(tagged))

    def _output(self, entry: caching.Entry, name: str, *, is_held: bool) -> Version | None:
        """Return one output, which is made where whoever settled it was killed before; None where it
        is deleted or cannot be made."""
        try:
            version = self._noted(entry.outputs[name])
        except NotFoundError:
            return self._completed(entry, name, is_held=is_held)
        except CorruptError as error:
            self._warn(error.message)
            return None
        if version.state != "live":
            return None
        self._backend.sync(manifest_directory(str(version.key)))  # since a moment ago, perhaps
        return version

    def _completed(self, entry: caching.Entry, name: str, *, is_held: bool) -> Version | None:
        document, noted = entry.manifests.get(name), entry.outputs[name]
        if document is None:
            return None
        if not is_held:  # who writes it may be about to make it
            with self._backend.alone(_CLAIMS):
                return self._output(entry, name, is_held=True)
        tree = (document.get("payload") or {}).get("tree")
        publisher = self._publisher()  # keeps gc, which does not ask results what they need, away
        try:
            if tree and self._store.objects.stored(tree) is None and not self._is_there(tree):
                return None
            publisher.adopt(noted["key"], document)
        except CorruptError as error:
            self._warn(error.message)
            return None
        finally:
            publisher.release()
        self._tag_new(noted["key"], noted["id"])
        return self._noted(noted)

    def _is_there(self, tree: str) -> bool:
        """Whether the authority has a payload; not, where it cannot be asked."""
        if not self.remotes.all():
            return False
        with suppress(UnavailableError), self._exchange.shared() as there:
            return there.has(tree)
        return False

    def _check_whole(self, version: Version) -> None:
        """Read all of a version's payload. Raise CorruptError or NotFoundError."""
        payload = version.payload
        if payload is None or payload.url is not None:
            return
        if payload.inline is not None:
            version.read()
            return
        version.bring()
        stored = self._store.objects.stored(str(payload.tree))
        if stored is None:
            raise NotFoundError(f"the payload of {version.ref} is not here")
        for node in stored.tree():
            if node.is_file:
                for _ in stored.content(node):
                    pass

    def _settle(self, run: Run, job: Job, offers: Mapping[str, Offer], earlier: _Earlier) -> Ran:
        """Make versions of what a job gave; where another was first, take its."""
        publisher = self._publisher()
        publisher.is_fresh = bool(earlier.damaged)
        read, made = (
            mine + near for mine, near in zip((run.inputs, run.outputs), run.around, strict=True)
        )
        prepared = {name: self._prepared(publisher, offer) for name, offer in offers.items()}
        if earlier.damaged:
            self._heal(prepared.values(), earlier.damaged)
        why = _undeclared(read, made, _ids(map(_naming, job.inputs))) or _too_large(prepared)
        if job.fingerprint is None or why:
            created = {name: self._made(publisher, each) for name, each in prepared.items()}
            ran = self._ran(
                run, prepared, created, uncached=why if job.fingerprint else job.unknown
            )
            if self._is_shared(job):
                self._publish_made(ran.outputs)
            return ran
        if self._is_shared(job):
            return self._settle_there(run, job.fingerprint, publisher, prepared, earlier.number)
        with self._backend.alone(_CLAIMS):
            results = Results(self._backend, job.fingerprint)
            if winner := self._claim(run, results, prepared, earlier.number, self._outputs):
                return Ran(run.id, winner.outputs or {}, cached=winner.run)
            created = {name: self._made(publisher, each) for name, each in prepared.items()}
        return self._ran(run, prepared, created)

    def _settle_there(
        self,
        run: Run,
        digest: str,
        publisher: Publisher,
        prepared: Mapping[str, Prepared],
        number: int,
    ) -> Ran:
        """The same where results are claimed at the authority: payloads come there first. Where it cannot
        be reached the work is not lost: the versions are made here."""
        trees = [(each.document.get("payload") or {}).get("tree") for each in prepared.values()]
        winner: _Earlier | None = None
        problem: str | None = None
        with self._backend.alone(_CLAIMS):
            try:
                with self._exchange.shared() as there:
                    there.ship(tree for tree in trees if tree)
                    results = Results(there.backend, digest)
                    winner = self._claim(run, results, prepared, number, self._learned)
                    if not winner:
                        there.bring_beside({"run": run.about})
            except UnavailableError as error:
                problem = error.message
            if not winner:
                created = {name: self._made(publisher, each) for name, each in prepared.items()}
        if winner:
            ran = Ran(run.id, winner.outputs or {}, cached=winner.run)
        else:
            ran = self._ran(run, prepared, created, uncached=problem)
        if not problem:
            self._publish_made(ran.outputs, winner.tagged if winner else frozenset())
        return ran

    def _claim(
        self,
        run: Run,
        results: Results,
        prepared: Mapping[str, Prepared],
        number: int,
        look: Callable[..., _Earlier],
    ) -> _Earlier | None:
        """Write down what is about to be made. Return what another gave meanwhile, if that is whole."""
        outputs = {name: {"key": each.key, "id": each.id} for name, each in prepared.items()}
        is_here = results.is_in(self._backend)
        known = {name for name, each in prepared.items() if each.same and is_here}
        manifests = {name: each.document for name, each in prepared.items() if name not in known}
        while True:
            newest = results.newest()
            if newest and newest.number > number:
                number = newest.number
                with runs.apart():
                    found = look(newest, is_held=True)
                if found.outputs is not None and set(found.outputs) == set(prepared):
                    return found
            if results.append(number, run.id, self._author(), outputs, manifests):
                return None

    def _prepared(self, publisher: Publisher, offer: Offer) -> Prepared:
        draft = publisher.draft(offer.key, offer.about or {})
        return publisher.prepare(draft, offer.content(publisher))

    def _made(self, publisher: Publisher, prepared: Prepared) -> bool:
        """Make a version that was prepared; return whether it is new."""
        from art.publish import note_made

        made = prepared.same
        if made:
            note_made(made, self.place)
        else:
            made = publisher.complete(prepared.key, prepared.document)
        self._tag_new(prepared.key, made.manifest.id, is_new=made.created)
        return made.created

    def _tag_new(self, key: str, id: str, *, is_new: bool = True) -> None:
        """Move the tags that a key is declared to have to a version that was made now, or was there."""
        if tags := self._settings().known(key).default_tags:
            self._tag_as_declared(self._resolver.record(Ref(key, id)), tags, is_new=is_new)

    def _tag_late(self, version: Version) -> bool:
        """Do the same where who made a version was killed before; return whether a tag moved."""
        moved = False
        for tag in self._settings().known(str(version.key)).default_tags:
            try:
                moved = bool(self._tags().tag_late(version.record, tag)) or moved
            except ConflictError as error:  # it is protected now
                self._warn(error.message)
        return moved

    def _ran(
        self,
        run: Run,
        prepared: Mapping[str, Prepared],
        created: Mapping[str, bool],
        *,
        uncached: str | None = None,
    ) -> Ran:
        outputs = {
            name: self._noted({"key": each.key, "id": each.id}) for name, each in prepared.items()
        }
        new = frozenset(name for name, is_new in created.items() if is_new)
        return Ran(run.id, outputs, new, uncached=uncached)

    def _heal(self, prepared: Any, damaged: frozenset[str]) -> None:
        """Heal the earlier versions from what was stored anew, where that has the same content."""
        for each in prepared:
            tree = (each.document.get("payload") or {}).get("tree")
            if tree in damaged:
                self.execute_repair(self.plan_repair(each.key, data=True))


def _naming(version: Version) -> Document:
    return runs.named(version.key, version.id, version.number)


def _ids(versions: Any) -> set[str]:
    return {str(version["id"]) for version in versions}


def _too_large(prepared: Mapping[str, Prepared]) -> str | None:
    """Return why what a run gave is not to be found again: its manifests are more than a result holds."""
    size = sum(len(json.dumps(each.document)) for each in prepared.values())
    return "what is said of its outputs is too large to be noted" if size > _NOTED else None


def _undeclared(read: list[Document], made: list[Document], declared: set[str]) -> str | None:
    """Return why what a run gave is not to be found again: it depends on more than is known, or made
    more."""
    known = declared | _ids(made)
    found = [("read", each) for each in read if each["id"] not in known]
    found += [("made", each) for each in made]
    for what, version in found:
        ref = f"{version['key']}@v{version['number']}" if version.get("key") else version["id"]
        return f"it {what} {ref} by itself"
    return None
