"""Drafts put together at the place where they lie: parts come in, and one version is made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from art import drafts
from art.backend import Backend
from art.beside import names_beside
from art.delivery import bring_beside
from art.drafts import DraftLog, Part, Round, Seal
from art.errors import ConflictError, NotFoundError
from art.joining import Joined, Joiner
from art.model import Document, Payload
from art.nearest import did_you_mean
from art.objects import ObjectStore
from art.reliance import Reliance, clocks
from art.sync import Pairing

_SAFE_SECONDS = 12 * 3600  # half of what a pack stays at least after it was marked


@dataclass(frozen=True)
class Site:
    """Where drafts lie: in this repository or, with a `pair`, at a remote."""

    backend: Backend
    objects: ObjectStore
    pair: Pairing | None = None

    @contextlib.contextmanager
    def keeping(self, tree: str) -> Iterator[None]:
        """Bring a payload there, durably, before what is said inside names it; see to it once more when
        that was said (FORMAT §13). Raise what keeps it here."""
        if self.pair is None:
            yield
            return
        reliance = Reliance(self.pair, payload=True)
        try:
            if shipment := reliance.needed(tree, []):
                reliance.ship(shipment)
            _raise_first(reliance)
            yield
            _raise_first(reliance)
        finally:
            self.pair.reporter.finish()

    def bring_beside(self, document: Document) -> None:
        """Bring what a part or a version names beside it before it comes there."""
        if self.pair:
            bring_beside(self.pair, names_beside(document))

    def joiner(self) -> Joiner:
        """Return what joins payloads there."""
        cache = self.pair.scratch if self.pair and self.objects.is_remote else None
        return Joiner(self.objects, cache, self.objects.marked_packs)


def _raise_first(reliance: Reliance) -> None:
    for error in reliance.secure().values():
        raise error


@dataclass(frozen=True)
class Expected:
    """The parts that a version is to have: so many, or those with these names."""

    count: int | None = None
    names: frozenset[str] = frozenset()

    def __str__(self) -> str:
        what = str(self.count) if self.count is not None else ", ".join(sorted(self.names))
        return f"{what} were expected"

    def check(self, found: Round) -> None:
        """Raise NotFoundError where a part is missing, ConflictError where there is one too many."""
        parts = set(found.seal.parts if found.seal else found.parts)
        what = f"draft {found.draft} of {found.key}"
        if found.seal:
            what += f", which is sealed as {found.seal.id},"
        has = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
        if self.count is not None and len(parts) != self.count:
            listed = f": {', '.join(sorted(parts))}" if parts else ""
            message = f"{what} has {has}{listed}; {self}"
            raise self._error(found, is_less=len(parts) < self.count)(message, hint=_hint(found))
        if self.count is None and (missing := sorted(self.names - parts)):
            message = f"{what} lacks {', '.join(missing)}; it has {has}"
            hint = did_you_mean(missing[0], parts - self.names) or _hint(found)
            raise self._error(found, is_less=True)(message, hint=hint)
        if self.count is None and (surplus := sorted(parts - self.names)):
            message = f"{what} has {', '.join(surplus)}, not expected"
            raise ConflictError(message, hint=_hint(found))

    def _error(self, found: Round, *, is_less: bool) -> type[NotFoundError] | type[ConflictError]:
        return NotFoundError if is_less and not found.seal else ConflictError


def _hint(found: Round) -> str:
    return f"art draft ls {found.key}"


class Added(NamedTuple):
    """A part of a draft: whether it was not there before, and whether the draft begins with it."""

    part: Part
    is_new: bool
    begins: bool


class Assembly:
    """One draft."""

    def __init__(self, site: Site, log: DraftLog, author: str) -> None:
        self._site = site
        self._log = log
        self._author = author

    def refuse_late(self, part: str) -> None:
        """Raise ConflictError where a part with this name cannot come any more: nothing need be stored."""
        found = self._log.read()
        if found.seal and part not in found.seal.parts:
            raise self._late(found, part)

    def likely_key(self) -> str | None:
        """Return a hint where keys that are spelled nearly so have a draft of this name."""
        logs = drafts.all_drafts(self._site.backend)
        keys = {log.key for log in logs if log.draft == self._log.draft} - {self._log.key}
        return did_you_mean(self._log.key, keys)

    def put(
        self,
        part: str,
        payload: Payload,
        inputs: Sequence[Document],
        run: Document | None,
        *,
        replace: bool,
    ) -> Added:
        """Add a part, whose payload is stored here.

        Raise ConflictError where there is one with this name and other content, unless `replace`, or
        where the draft is sealed without it.
        """
        fields = {
            "part": part,
            "payload": payload.to_document(),
            "inputs": list(inputs),
            "run": run,
        }
        self._site.bring_beside({"run": run})
        with self._site.keeping(str(payload.tree)):
            while True:
                found = self._log.read()
                if same := self._same(found, part, payload, replace=replace):
                    self._log.settle()
                    return Added(same, is_new=False, begins=False)
                if added := self._log.append(found.number, self._author, fields):
                    break
        return Added(Part.of(added), is_new=True, begins=not found.exists)

    def _same(self, found: Round, part: str, payload: Payload, *, replace: bool) -> Part | None:
        """Return the part that is there already with this content."""
        known = (found.sealed_parts if found.seal else found.parts).get(part)
        if known and known.has(payload):
            return known
        if found.seal:
            raise self._late(found, part)
        if known and not replace:
            raise ConflictError(
                f"part {part} of draft {found.draft} of {found.key} is there with other content, "
                f"from {known.author}, {known.created[:19]}",
                hint="--replace puts this one in its place, until the draft is sealed",
            )
        return None

    def _late(self, found: Round, part: str) -> ConflictError:
        assert found.seal
        what = "has other content" if part in found.seal.parts else "is not in it"
        return ConflictError(
            f"draft {found.draft} of {found.key} is sealed as {found.seal.id}: part {part} {what}",
            hint="another --draft begins another version",
        )

    def seal(
        self,
        expected: Expected,
        *,
        is_flat: bool,
        prepare: Callable[[Joined, list[Part]], tuple[str, Document | None]],
    ) -> tuple[Seal, bool]:
        """End the draft, and return how, and whether this did it. `prepare` gives the id of the version
        that the joined payload becomes and its manifest, None where there is that version.

        Raise what `Expected.check` and `Joiner.join` do.
        """
        joiner = self._site.joiner()
        while True:
            found = self._log.read()
            if not found.exists:
                unknown = drafts.unknown(self._site.backend, found.key, found.draft)
                raise NotFoundError(f"{unknown.message}; {expected}", hint=unknown.hint)
            expected.check(found)
            if found.seal:
                self._log.settle()
                return found.seal, False
            joined = self._joined(joiner, found, is_flat=is_flat)
            parts = [found.parts[name] for name in sorted(found.parts)]
            id, manifest = prepare(joined, parts)
            fields = {
                "sealed": {part.name: part.uid for part in parts},
                "flat": is_flat,
                "version": {"key": found.key, "id": id},
                "manifest": manifest,
            }
            if sealed := self._log.append(found.number, self._author, fields):
                return Seal(sealed), True

    def secure(self) -> None:
        """See to it that the payload of the sealed version is there to stay: before the version is made,
        and again when it is (FORMAT §13)."""
        joiner, found = self._site.joiner(), self._log.read()
        assert found.seal
        tree = found.seal.tree
        if self._site.pair and tree and not joiner.is_safe(tree):
            self._joined(joiner, found, is_flat=found.seal.is_flat)

    def _joined(self, joiner: Joiner, found: Round, *, is_flat: bool) -> Joined:
        """Join the parts, of chunks that gc leaves."""
        parts = found.sealed_parts if found.seal else found.parts
        trees = {name: part.tree for name, part in parts.items()}
        while True:
            began = clocks()
            joined = joiner.join(trees, is_flat=is_flat)
            took = max(now - then for now, then in zip(clocks(), began, strict=True))
            is_marked = not joined.packs.isdisjoint(self._site.objects.marked_packs())
            if not is_marked and took < _SAFE_SECONDS:
                return joined
