"""Versions that several programs make together: parts of a draft, and the seal that makes one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from art import runs
from art.errors import ConflictError, CorruptError, NotFoundError, UsageError
from art.repo.base import Published
from art.repo.running import Running

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from art.about import About, HasRef
    from art.assembly import Assembly, Expected, Site
    from art.drafts import Part, Round, Seal
    from art.index import Index
    from art.joining import Joined
    from art.model import Document
    from art.publish import Draft, Publisher
    from art.rows import Record

_LOCK = "drafts"  # held while a sealed draft becomes a version here


@dataclass(frozen=True)
class PartAdded:
    """A part of a draft: `created` is False where it was there already, with the same content; `size` is
    in bytes. `where` is the remote that has it, None for this repository."""

    key: str
    draft: str
    part: str
    tree: str
    size: int
    files: int
    created: bool
    where: str | None


@dataclass(frozen=True)
class DraftState:
    """What a draft has come to: its parts by name and, where it is sealed, the id of the version.
    `problem` says why it cannot be read."""

    key: str
    draft: str
    parts: Mapping[str, Part]
    sealed: str | None = None
    problem: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.payload.size or 0 for part in self.parts.values())


class Drafting(Running):
    """Makes one version of parts that come from several jobs, machines or repositories.

    A draft lies at the authority, the first remote, where there is one: so no server is needed for
    jobs to meet. With `local`, or without a remote, it lies in this repository.
    """

    def part(
        self,
        key: str,
        *paths: str | os.PathLike[str],
        draft: str,
        name: str,
        inputs: Iterable[str | Mapping[str, Any] | HasRef] = (),
        replace: bool = False,
        local: bool = False,
    ) -> PartAdded:
        """Add files, folders or globs as the part `name` of a draft of `key`, which `seal` makes a
        version of. The same content again changes nothing.

        Raise ConflictError where a part of this name is there with other content, unless `replace`, or
        where the draft is sealed without it; NotFoundError where a path is not there.
        """
        from art.drafts import check_name
        from art.worktree import find_sources

        if not paths:
            raise UsageError("a part has at least one file or folder")
        check_name(name, "part")
        with (
            self._publishing() as publisher,
            self._assembly(key, draft, local=local) as (assembly, where),
        ):
            made_from = publisher.draft(None, {"inputs": inputs}).fields["inputs"]
            run = runs.current()
            if run:
                read = run.inputs_in(self.place)
                made_from = made_from + [each for each in read if each not in made_from]
            assembly.refuse_late(name)
            content = publisher.files(find_sources(paths), None)
            assert content.payload
            about = run.about if run and run.about else None
            added = assembly.put(name, content.payload, made_from, about, replace=replace)
            publisher.remember(content)
            if added.begins and (hint := assembly.likely_key()):
                self._warn(
                    f"draft {draft} of {key} begins with this part, and a key that is spelled nearly so has "
                    f"one of this name: {hint}"
                )
        part, size, files = added.part, added.part.payload.size or 0, added.part.payload.files or 0
        return PartAdded(key, draft, name, part.tree, size, files, added.is_new, where)

    def seal(
        self,
        key: str,
        *,
        draft: str,
        expect: int | Iterable[str],
        flat: bool = False,
        local: bool = False,
        sign: bool = False,
        **about: Unpack[About],
    ) -> Published:
        """Make one version of all parts of a draft: `expect` says how many, or which, there must be.

        The files of each part lie in a folder called like it; with `flat`, side by side. A draft is
        sealed once: whoever does it again, or at the same time, gets that version, and a version whose
        making was interrupted is made. Then tags stay where they were moved to since. With `sign`, the
        version and the moves of its tags are signed.

        Raise NotFoundError where a part is missing; ConflictError where there is one too many, where the
        draft is sealed with others, or as a version that was deleted since, or where files do not go side
        by side.
        """
        expected = _expected(expect)
        with (
            self._publishing() as publisher,
            self._assembly(key, draft, local=local) as (assembly, where),
        ):
            if where:
                self._learn(key)
            said = publisher.draft(key, about)
            if sign:
                self.check_can_sign(key, said.tags)

            def prepare(joined: Joined, parts: list[Part]) -> tuple[str, Document | None]:
                prepared = _prepared(publisher, said, joined, parts)
                is_there = prepared.same and (not where or self._published(key, prepared.id))
                return prepared.id, None if is_there else prepared.document

            seal, is_new = assembly.seal(expected, is_flat=flat, prepare=prepare)
            record = self._made_of(key, seal, publisher, assembly, where)
        if is_new:
            for tag in said.tags:
                self._tags(sign=sign).tag(record, tag, said.message)
        else:
            self._refuse_gone(record, draft)
            self._tag_again(record, said, sign=sign)
        if sign:
            self._changes().add_signature(record, self._signer())
        if (said.tags or sign) and where:
            for left in self.push(key).left:
                self._warn(f"{left.ref} is not published: {left.reason}")
        version = self._version(self._by_id(key, seal.id) or record)
        return Published(version, is_new and seal.manifest is not None)

    def drafts(self, key: str | None = None, *, local: bool = False) -> list[DraftState]:
        """Return the drafts of a key, or all, that were begun and not dropped."""
        from art.drafts import all_drafts

        found = []
        with self._site(local=local) as (site, _):
            for log in all_drafts(site.backend):
                if key is not None and log.key != key:
                    continue
                try:
                    state = log.read()
                except CorruptError as error:
                    found.append(DraftState(log.key, log.draft, {}, problem=error.message))
                    continue
                if state.exists:
                    sealed = state.seal.id if state.seal else None
                    found.append(DraftState(log.key, log.draft, _parts(state), sealed))
        return found

    def drop_draft(self, key: str, draft: str, *, local: bool = False) -> DraftState:
        """Forget the parts of a draft: gc may take their bytes away, and the name begins anew. Return
        what was there. Raise NotFoundError where nothing is, ConflictError where it is sealed."""
        from art.drafts import DraftLog, unknown

        with self._site(local=local) as (site, _):
            log = DraftLog(site.backend, key, draft)
            while True:
                try:
                    state = log.read()
                except CorruptError as error:
                    dropped = DraftState(key, draft, {}, problem=error.message)
                    number = log.end()
                else:
                    if state.seal:
                        raise ConflictError(f"draft {draft} of {key} is sealed as {state.seal.id}")
                    if not state.parts:
                        raise unknown(site.backend, key, draft)
                    dropped, number = DraftState(key, draft, state.parts), state.number
                if log.append(number, self._author(), {"dropped": True}):
                    return dropped

    def _refuse_gone(self, record: Record, draft: str) -> None:
        """Raise ConflictError for the version of a sealed draft that somebody took away since."""
        if record.state in ("deleted", "swept", "purged", "moved"):
            raise ConflictError(
                f"{record.ref}, which draft {draft} is sealed as, is {record.state}",
                hint=f"art restore {record.ref}"
                if record.state == "deleted"
                else "another --draft begins another version",
            )

    def _tag_again(self, record: Record, said: Draft, *, sign: bool) -> None:
        """Set the tags that whoever sealed the draft did not come to; those that were moved since stay."""
        tags = self._tags(sign=sign)
        left = [tag for tag in said.tags if not tags.tag_late(record, tag, said.message)]
        placed = self._tag_ids(str(record.key)) if left else {}
        for tag in left:
            if placed.get(tag) != record.id:
                self._warn(
                    f"tag {tag} of {record.key} was moved since {record.ref} was made, and stays where it "
                    f"is; art tag set {record.ref} {tag} moves it here"
                )

    # -- inside ----------------------------------------------------------------------------------

    @contextmanager
    def _publishing(self) -> Iterator[Publisher]:
        """Give a publisher, which keeps gc away, and no longer, however this ends."""
        publisher = self._publisher()
        try:
            yield publisher
        finally:
            publisher.release()

    @contextmanager
    def _site(self, *, local: bool) -> Iterator[tuple[Site, str | None]]:
        """Give the place where drafts lie, and the name of the remote that it is."""
        from art.assembly import Site

        if local or not self.remotes.all():
            yield Site(self._backend, self._store.objects), None
            return
        setting = self.remotes.get()
        store = self.remotes.open_shared(setting)
        if self._exchange.is_mirror(store):
            raise ConflictError(
                f"remote {setting.name} is a mirror, where no version is made",
                hint="art config set authority NAME, or --local",
            )
        with self._exchange.shared() as there:
            yield Site(there.backend, there.pair.remote.objects, there.pair), setting.name

    @contextmanager
    def _assembly(
        self, key: str, draft: str, *, local: bool
    ) -> Iterator[tuple[Assembly, str | None]]:
        from art.assembly import Assembly
        from art.drafts import DraftLog

        with self._site(local=local) as (site, where):
            log = DraftLog(site.backend, key, draft)
            yield Assembly(site, log, self._author()), where

    def _learn(self, key: str) -> None:
        """Take in what the authority has of a key."""
        with suppress(NotFoundError):  # nothing yet
            self.fetch(key)

    def _by_id(self, key: str, id: str) -> Record | None:
        def ask(index: Index) -> list[Record]:
            index.refresh(key)
            return index.by_id(id, key)

        found = self._index.ask(ask)
        return found[0] if found else None

    def _made_of(
        self, key: str, seal: Seal, publisher: Publisher, assembly: Assembly, where: str | None
    ) -> Record:
        """Return the version of a sealed draft, which is made where it is not there."""
        from art.catalog import manifest_directory

        if where is None:
            with self._backend.alone(_LOCK):
                if record := self._by_id(key, seal.id):
                    self._backend.sync(manifest_directory(key))  # since a moment ago, perhaps
                else:
                    publisher.adopt(key, _manifest(seal, key))
            return record or self._found(key, seal)
        self._learn(key)
        if not self._published(key, seal.id):
            assembly.secure()
            self._claim_there(key, seal, publisher)
            assembly.secure()
        return self._found(key, seal)

    def _published(self, key: str, id: str) -> bool:
        """Whether the authority is known to have a version."""
        record = self._by_id(key, id)
        return record is not None and self._exchange.is_published(record)

    def _found(self, key: str, seal: Seal) -> Record:
        if record := self._by_id(key, seal.id):
            return record
        raise CorruptError(f"{key} has no version {seal.id}, which was made", hint="art fsck")

    def _claim_there(self, key: str, seal: Seal, publisher: Publisher) -> None:
        """Make the version at the authority, under the next number there, and take it in."""
        from art.catalog import VERSIONS, Log
        from art.merge import Ledger

        document = _manifest(seal, key)
        publisher.check_new(key, document)
        with self._exchange.shared() as there:
            there.bring_beside(document)
            catalog, id = there.pair.remote.catalog, there.pair.remote.id
            while not self._published(key, seal.id):
                end = Ledger(self._backend, id).end(Log(key, VERSIONS))
                number = catalog.next_number(key, end)
                # What others made since is looked at before: it may be this very version.
                made = catalog.create_manifest(document, number) if number == end + 1 else None
                self._learn(key)
                if made:
                    publisher.announce(made, number)


def _manifest(seal: Seal, key: str) -> Document:
    if seal.manifest is None:
        raise CorruptError(
            f"{key} has no version {seal.id}, which a draft was sealed as", hint="art fsck --repair"
        )
    return seal.manifest


def _prepared(publisher: Publisher, said: Draft, joined: Joined, parts: list[Part]) -> Any:
    """Return the version that the joined payload becomes; it was made from all that its parts were."""
    from dataclasses import replace

    from art.model import Payload
    from art.publish import Content

    inputs = list(said.fields["inputs"])
    for part in parts:
        inputs += [each for each in part.inputs if each not in inputs]
    fields = {**said.fields, "inputs": inputs}
    payload = Payload(tree=joined.tree, size=joined.size, files=joined.files)
    return publisher.prepare(replace(said, fields=fields), Content("folder", payload))


def _expected(expect: int | Iterable[str]) -> Expected:
    from art.assembly import Expected
    from art.drafts import check_name

    if isinstance(expect, (bool, str)):
        raise UsageError(f"expect is {expect!r}, expected a number or a list of names")
    if isinstance(expect, int):
        if expect < 1:
            raise UsageError(f"expect is {expect}: a version has at least one part")
        return Expected(count=expect)
    names = frozenset(check_name(name, "part") for name in expect)
    if not names:
        raise UsageError("expect has no name: a version has at least one part")
    return Expected(names=names)


def _parts(state: Round) -> Mapping[str, Part]:
    return state.sealed_parts if state.seal else state.parts
