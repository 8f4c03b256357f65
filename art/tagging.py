"""Tags: names of versions that can be moved, and where each was before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from art.catalog import new_entry, tag_log
from art.errors import NotFoundError, UsageError
from art.index import Index
from art.keys import check_key, check_tag
from art.model import Document, Entry, heads
from art.ref import Ref
from art.resolve import Resolver
from art.rows import Record
from art.settings import KeySettings
from art.store import Store

if TYPE_CHECKING:
    from art.signing import EntrySigner


@dataclass(frozen=True)
class TagMove:
    """One move of a tag. `id` None: taken away. `changed` is False where it was there already.

    `superseded` moves did not see the head that was there, and have no effect.
    """

    key: str
    tag: str
    id: str | None
    number: int | None
    previous: str | None
    created: str
    author: str
    message: str | None
    changed: bool = True
    superseded: bool = False


class Tags:
    """The tags of the keys of one store. `signer` signs their moves.

    Of a protected tag (FORMAT §9.4) only `force` makes something else: ConflictError without it.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        resolver: Resolver,
        author: str,
        signer: EntrySigner | None = None,
    ) -> None:
        self._store = store
        self._index = index
        self._resolver = resolver
        self._author = author
        self._settings = KeySettings(store, index, author)
        self._signer = signer

    def tag(
        self, record: Record, tag: str, message: str | None = None, *, force: bool = False
    ) -> TagMove:
        """Make the tag name this version. Raise UsageError for a keyless one."""
        if record.key is None:
            raise UsageError(
                "a keyless version cannot be tagged", hint="give it a key: art cp ID KEY"
            )
        to = (record.id, record.number)
        moved = self.move(record.key, tag, *to, message, force=force)
        there = self._resolver.record(Ref(record.key, record.id), deleted=True)
        if there.id == record.id:
            return moved
        return self.tag(there, tag, message, force=force)  # its key was renamed at this moment

    def tag_late(self, record: Record, tag: str, message: str | None = None) -> TagMove | None:
        """Make the tag name a version that it was to name since that was made. Return None where it was
        moved or taken away since, or names a newer version: then it stays where it is."""
        assert record.key is not None, "a keyless version cannot be tagged"
        key, is_late = record.key, False

        def make(entries: list[Entry]) -> Document | None:
            nonlocal is_late
            head, _ = heads(entries)
            if head:
                placed = self._numbers(key, [head]).get(head.version_id or "")
                is_newer = (placed or 0) >= (record.number or 0)
                is_late = is_newer or head.created > record.created
            return None if is_late else {"id": record.id, "number": record.number} | _after(head)

        moved = self._append_move(key, tag, message, make, force=False)
        return None if is_late else moved

    def check(self, key: str | None, tags: Iterable[str]) -> None:
        """Raise what setting these tags on a version that is yet to be made would raise."""
        wanted = [check_tag(tag) for tag in tags]
        if key is None and wanted:
            raise UsageError("a keyless version cannot be tagged")
        placed = self._index.ask(lambda index: index.tags(str(key))) if wanted else {}
        for tag in wanted:
            if tag in placed:
                hint = f"art tag set {key}@VERSION {tag} --force, afterwards"
                self._settings.of(str(key)).check_tag(tag, hint)

    def untag(
        self, key: str, tag: str, message: str | None = None, *, force: bool = False
    ) -> TagMove:
        """Take the tag away. Raise NotFoundError where there is none."""
        self._tag_head(key, tag)
        return self.move(key, tag, None, None, message, force=force)

    def back(
        self, key: str, tag: str, message: str | None = None, *, force: bool = False
    ) -> TagMove:
        """Move the tag to where it was before it came to its version, and done again, further back.

        Versions that are not there any more are passed over.
        """
        self.history(key, tag)  # raises where there is none

        def make(entries: list[Entry]) -> Document:
            head, _ = heads(entries)
            to = self._before(key, tag, entries)
            return {"id": to.id, "number": to.number, "back": True} | _after(head)

        return self._append_move(key, tag, message or "back", make, force=force)

    def _before(self, key: str, tag: str, entries: list[Entry]) -> Record:
        """Return the nearest version on the way back from the head that is still there."""
        trail = _trail(entries)
        for id in trail:
            for found in self._index.ask(partial(Index.by_id, prefix=id, key=key)):
                if found.is_live:
                    return found
        if trail:
            raise NotFoundError(
                f"tag {tag!r} of {key} was at {len(trail)} other version(s) before, and none of "
                "them is there any more",
                hint=f"art tag history {key} {tag}",
            )
        raise NotFoundError(
            f"tag {tag!r} of {key} was never anywhere else before",
            hint=f"art tag history {key} {tag}",
        )

    def _numbers(self, key: str, entries: list[Entry]) -> dict[str, int | None]:
        """Return the numbers that versions have now: when a tag moved, they may have had other ones."""
        ids = [entry.version_id for entry in entries if entry.version_id]

        def ask(index: Index) -> list[Record]:
            index.refresh(key)
            return index.by_ids(ids)

        return {record.id: record.number for record in self._index.ask(ask) if record.key == key}

    def history(self, key: str, tag: str) -> list[TagMove]:
        """Return all moves of a tag, newest first."""
        entries = self._store.catalog.entries(key, tag_log(tag))
        if not entries:
            self._tag_head(key, tag)
        _, superseded = heads(entries)
        numbers = self._numbers(key, entries)
        moves: list[TagMove] = []
        previous: str | None = None
        for entry in entries:
            is_superseded = entry.uid in superseded
            move = _move(key, tag, entry, previous, superseded=is_superseded)
            moves.append(replace(move, number=numbers.get(move.id or "", move.number)))
            previous = previous if is_superseded else entry.version_id
        return moves[::-1]

    def _tag_head(self, key: str, tag: str) -> Entry:
        head, _ = heads(self._index.fresh_log(key, tag_log(tag)))
        if head is None or head.version_id is None:
            self._resolver.record(Ref(check_key(key), check_tag(tag)))
            raise NotFoundError(f"{key} has no tag {tag!r}", hint=f"art tag list {key}")
        return head

    def move(
        self,
        key: str,
        tag: str,
        id: str | None,
        number: int | None,
        message: str | None,
        *,
        force: bool,
    ) -> TagMove:
        """Make the tag name a version, or none where `id` is None."""

        def make(entries: list[Entry]) -> Document | None:
            head, _ = heads(entries)
            is_there = (head.version_id if head else None) == id
            if is_there and (self._signer is None or self._is_mine(head)):
                return None
            return {"id": id, "number": number} | _after(head)

        return self._append_move(key, tag, message, make, force=force)

    def _append_move(
        self,
        key: str,
        tag: str,
        message: str | None,
        make: Callable[[list[Entry]], Document | None],
        *,
        force: bool,
    ) -> TagMove:
        settings = None if force else self._settings.of(key)
        head: Entry | None = None

        def entry_of(entries: list[Entry]) -> Document | None:
            nonlocal head
            head, _ = heads(entries)
            fields = make(entries)
            if fields is None:
                return None
            if settings and head and head.version_id and fields["id"] != head.version_id:
                settings.check_tag(tag)
            document = new_entry(key, self._author, message, {"tag": tag}) | fields
            return document | ({"signature": self._signer.sign(document)} if self._signer else {})

        log = tag_log(tag)
        known = self._index.fresh_log(key, log)
        entry = self._store.catalog.append(key, log, entry_of, known)
        before = head.version_id if head else None
        if entry is None:
            assert head is not None
            return _move(key, tag, head, before, changed=False)
        return _move(key, tag, entry, before)

    def _is_mine(self, head: Entry | None) -> bool:
        return bool(self._signer and head and self._signer.has_signed(head.document))


def _after(head: Entry | None) -> Document:
    return {"after": head.uid if head else None}


def _trail(entries: list[Entry]) -> list[str]:
    """Return the versions on a tag's way back, the nearest first.

    A move adds where the tag was; a move `back` takes away all down to where it went (FORMAT §9.1).
    """
    _, superseded = heads(entries)
    trail: list[str] = []  # ends with where the tag is
    here: str | None = None
    for entry in entries:
        if entry.uid in superseded:
            continue
        here = entry.version_id
        if entry.document.get("back") and here in trail:
            del trail[len(trail) - trail[::-1].index(here) :]
        elif here and trail[-1:] != [here]:
            trail.append(here)
    return [id for id in reversed(trail) if id != here]


def _move(
    key: str,
    tag: str,
    entry: Entry,
    previous: str | None,
    *,
    changed: bool = True,
    superseded: bool = False,
) -> TagMove:
    return TagMove(
        key,
        tag,
        entry.version_id,
        entry.document.get("number"),
        previous,
        entry.created,
        entry.author,
        entry.message,
        changed,
        superseded,
    )
