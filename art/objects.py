"""Payload bytes by digest: chunks in packs, found through layouts.

A `StoredPayload` reads what an `ObjectStore` finds, and `art.writer` makes payloads.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Set
from functools import cached_property

from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.backend import Backend
from art.errors import REPAIR, CorruptError
from art.layout import Layout, Ranges, Source, size_by_head
from art.marks import damaged_packs
from art.model import Chunking
from art.pack import pack_name
from art.reading import read_directory
from art.stored import StoredPayload, packs_of

_BLOCK_SIZE = 4 << 20
MARKS = "gc/marks"


def layout_directory(payload: str) -> str:
    return f"layouts/{payload[:2]}/{payload}"


class ObjectStore:
    """The packs and layouts of one store. `jobs` is how many threads may work for it."""

    def __init__(self, backend: Backend, chunking: Chunking) -> None:
        self.backend = backend
        self.jobs = min(8, os.cpu_count() or 1)
        self.chunking = chunking

    def stored(
        self,
        payload: str,
        cache: Backend | None = None,
        avoid: Set[str] = frozenset(),
    ) -> StoredPayload | None:
        """Return a payload by the digest of its tree, None where this store does not have it, or only
        with packs that one should `avoid`.

        A layout whose packs are gone is passed over; on a remote, where each would be a request, a
        layout is believed, one without marked packs first. Raise CorruptError where every layout that
        there is is damaged. `cache` keeps layouts under their names, and is no more believed than the
        store.
        """
        return self._open(payload, lambda digest: self._chain(payload, digest, cache), avoid)

    def stored_ranged(self, payload: str) -> StoredPayload | None:
        """Return the same for reading a few files of many: of a large layout on a remote only the
        beginning is read, and ranges of the rest when they are needed."""
        if not self.is_remote:
            return self.stored(payload)
        return self._open(payload, lambda digest: self._partial_chain(payload, digest))

    @cached_property
    def is_remote(self) -> bool:
        """Whether reading from it means requests."""
        return self.backend.path("packs") is None

    @property
    def distrusted(self) -> frozenset[str]:
        """The packs that a check found damaged: nothing new may rely on them."""
        return frozenset() if self.is_remote else damaged_packs(self.backend)

    def _open(
        self,
        payload: str,
        open_chain: Callable[[str], list[Layout]],
        avoid: Set[str] = frozenset(),
    ) -> StoredPayload | None:
        digests: list[str] | None = None
        while True:
            before, digests = digests, sorted(self.backend.names(layout_directory(payload)))
            try:
                found = self._looked(digests, open_chain, avoid)
            except CorruptError:
                if self.is_remote or digests == before:
                    raise
            else:
                if found or self.is_remote or digests == before:
                    return found
            # Gc may have put it into other packs since it was listed.

    def _looked(
        self, digests: list[str], open_chain: Callable[[str], list[Layout]], avoid: Set[str]
    ) -> StoredPayload | None:
        if len(digests) > 1 and not avoid:
            # The packs of some may be gone, or go soon, or be damaged.
            suspects = self.marked_packs() if self.is_remote else self.distrusted
            with contextlib.suppress(CorruptError):
                if found := self._first(digests, open_chain, suspects):
                    return found
        return self._first(digests, open_chain, avoid)

    def _first(
        self, digests: list[str], open_chain: Callable[[str], list[Layout]], avoid: Set[str]
    ) -> StoredPayload | None:
        problem: CorruptError | None = None
        for digest in digests:
            try:
                chain = open_chain(digest)
                if not packs_of(chain).isdisjoint(avoid):
                    continue
                if self.is_remote or all(self.has_pack(pack) for pack in packs_of(chain)):
                    return StoredPayload(self.backend, chain)
            except CorruptError as error:
                problem = error
        if problem:
            raise problem
        return None

    def has_pack(self, pack: str) -> bool:
        """Whether a pack is there, as long as its trailer says. Raise CorruptError where it is not
        whole: no new version may rely on it."""
        name = pack_name(pack)
        size = self.backend.size(name)
        if size is None:
            return False
        try:
            trailer = self.backend.read(name, max(0, size - packs.TRAILER_SIZE), packs.TRAILER_SIZE)
        except FileNotFoundError:  # gc took it in between
            return False
        packs.parse_trailer(trailer, size, name)
        return True

    def _chain(self, payload: str, digest: str, cache: Backend | None) -> list[Layout]:
        """Return a layout, and the one that it extends."""
        layout = self.layout(payload, digest, cache)
        if not (base := layout.extends):
            return [layout]
        return _checked_chain(layout, self.layout(base.payload, base.digest, cache))

    def _partial_chain(self, payload: str, digest: str) -> list[Layout]:
        layout = self._partial_layout(payload, digest)
        if not (base := layout.extends):
            return [layout]
        return _checked_chain(layout, self._partial_layout(base.payload, base.digest))

    def layout(self, payload: str, digest: str, cache: Backend | None = None) -> Layout:
        """Return one verified layout. Raise CorruptError."""
        name = f"{layout_directory(payload)}/{digest}"
        if cache and (data := _cached(cache, name, digest)) is not None:
            return _parsed(data, name, digest, payload)
        data = self._beginning(name)
        if len(data) == layouts.BEGINNING and self.backend.size(name) == size_by_head(data):
            data += self.backend.read(name, layouts.BEGINNING)
        _check_digest(data, name, digest)
        if cache:
            cache.replace(name, data)
        return _parsed(data, name, digest, payload)

    def _partial_layout(self, payload: str, digest: str) -> Layout:
        name = f"{layout_directory(payload)}/{digest}"
        data = self._beginning(name)
        source: Source = data
        if len(data) < layouts.BEGINNING:
            _check_digest(data, name, digest)
        else:

            def fetch(start: int, length: int) -> bytes:
                return self.backend.read(name, start, length)

            source = Ranges(data, size_by_head(data), fetch)
        return _parsed(source, name, digest, payload)

    def _beginning(self, name: str) -> bytes:
        try:
            return self.backend.read(name, 0, layouts.BEGINNING)
        except FileNotFoundError:
            raise CorruptError(f"{name} is missing", hint=REPAIR) from None

    def directory(self, pack: str) -> packs.Directory:
        """Return the verified directory of a pack. Raise FileNotFoundError or CorruptError."""
        return read_directory(self.backend, pack)

    def check_pack(self, pack: str) -> None:
        """Read a whole pack. Raise CorruptError where it is not what its name says."""
        name = pack_name(pack)
        hasher = blake3()
        offset = 0
        while block := self.backend.read(name, offset, _BLOCK_SIZE):
            hasher.update(block)
            offset += len(block)
        if hasher.hexdigest() != pack:
            raise CorruptError(
                f"{name} is damaged: its content is not what its name says",
                hint="move it out of .art, then `art create` from the same files stores its content again",
            )

    def readings(self, payload: str, cache: Backend | None = None) -> Iterator[StoredPayload]:
        """Yield a payload once for each layout of it that is whole, whether its packs are there or not.
        Raise CorruptError at the end where there are layouts and none is whole."""
        problem: CorruptError | None = None
        is_found = False
        for digest in sorted(self.backend.names(layout_directory(payload))):
            try:
                found = StoredPayload(self.backend, self._chain(payload, digest, cache))
            except CorruptError as error:
                problem = problem or error
                continue
            is_found = True
            yield found
        if problem and not is_found:
            raise problem

    def is_lost(self, layout: str, packs: Set[str], cache: Backend | None = None) -> bool:
        """Whether the layout with this name, or the one that it extends, points into these packs, or the
        latter is gone. One that is damaged is not lost."""
        try:
            found = self._named_layout(layout, cache)
            root = found.extends
        except CorruptError:
            return False
        if not packs.isdisjoint(found.packs):
            return True
        if root is None:
            return False
        name = f"{layout_directory(root.payload)}/{root.digest}"
        if self.backend.size(name) is None:
            return True
        with contextlib.suppress(CorruptError):
            return not packs.isdisjoint(self._named_layout(name, cache).packs)
        return False

    def _named_layout(self, name: str, cache: Backend | None) -> Layout:
        _, _, payload, digest = name.split("/")
        return self.layout(payload, digest, cache)

    def marked_packs(self) -> set[str]:
        """Return the packs that gc is to delete, or deleted lately (FORMAT §13): what is new must not
        rely on them."""
        return set(self.backend.names(MARKS))

    def pack_ids(self) -> list[str]:
        """Return the ids of all packs."""
        suffix = ".pack"
        names = (item.name.rpartition("/")[2] for item in self.backend.walk("packs"))
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]


def _cached(cache: Backend, name: str, digest: str) -> bytes | None:
    try:
        data = cache.read(name)
    except (FileNotFoundError, CorruptError):
        return None
    return data if blake3(data).hexdigest() == digest else None


def _check_digest(data: bytes, name: str, digest: str) -> None:
    if blake3(data).hexdigest() != digest:
        raise CorruptError(f"{name} is damaged: its content is not what its name says", hint=REPAIR)


def _parsed(data: Source, name: str, digest: str, payload: str) -> Layout:
    layout = Layout(data, name, digest)
    if layout.payload != payload:
        raise CorruptError(f"{name} is damaged: it is about another payload", hint=REPAIR)
    return layout


def _checked_chain(layout: Layout, extended: Layout) -> list[Layout]:
    if extended.depth:
        raise CorruptError(
            f"{layout.name} is damaged: it extends one that extends another", hint=REPAIR
        )
    return [layout, extended]
