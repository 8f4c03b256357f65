"""What of purged payloads is still in packs, and which packs are known to be clean of it (FORMAT §13)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from blake3 import blake3

from art.backend import Backend, LocalBackend
from art.errors import CorruptError
from art.objects import ObjectStore
from art.pack import OVERHEAD
from art.repack import Places
from art.reporter import Reporter

NAME = "gc/clean"
_MAGIC = b"ARTCLEN\x01"
_WIDTH = 32  # bytes of a digest
_LIMIT = 64 << 20
_THREADS = 16


@dataclass(frozen=True)
class Cleaned:
    """In none of these packs is anything that of these payloads was to go.

    Packs never change, so this stays true. Nothing is said of packs that came later.
    """

    payloads: frozenset[str] = frozenset()
    packs: frozenset[str] = frozenset()

    def encode(self) -> bytes:
        body = len(self.payloads).to_bytes(4, "little") + _encode(self.payloads)
        body += _encode(self.packs)
        return _MAGIC + blake3(body).digest() + body


def read_cleaned(backend: Backend) -> Cleaned:
    """Return what is known; where that is missing or damaged, nothing is, and all is looked at again."""
    data = b""
    with suppress(FileNotFoundError, CorruptError):
        data = backend.read(NAME, 0, _LIMIT)
    body = data[40:]
    if data[:40] != _MAGIC + blake3(body).digest() or len(body) % _WIDTH != 4:
        return Cleaned()
    end = 4 + _WIDTH * int.from_bytes(body[:4], "little")
    return Cleaned(_decode(body[4:end]), _decode(body[end:]))


def _encode(digests: Iterable[str]) -> bytes:
    return b"".join(map(bytes.fromhex, sorted(digests)))


def _decode(data: bytes) -> frozenset[str]:
    return frozenset(data[at : at + _WIDTH].hex() for at in range(0, len(data), _WIDTH))


@dataclass(frozen=True)
class Foul:
    """What is left of purged payloads. `payloads` have layouts, `packs` are those that must go; `before`
    and `after` say what is known to be clean now, and when they are gone."""

    payloads: Set[str] = frozenset()
    packs: Set[str] = frozenset()
    before: Cleaned = Cleaned()
    after: Cleaned = Cleaned()

    @property
    def is_new(self) -> bool:
        """Whether there is a payload of which nobody made sure before."""
        return bool(self.payloads) or not self.after.payloads <= self.before.payloads


class Finder:
    """Finds what is left of purged payloads in a store of which it is known what is needed: at which
    `places` lie those chunks, and how much of each pack (`weights`) they are."""

    def __init__(
        self,
        objects: ObjectStore,
        cache: LocalBackend | None,
        places: Places,
        weights: Mapping[str, int],
        reporter: Reporter,
    ) -> None:
        self._objects = objects
        self._cache = cache
        self._places = places
        self._weights = weights
        self._reporter = reporter
        self._unread: set[str] = set()  # packs that are needed and cannot be looked into

    def find(
        self, payloads: Set[str], here: Set[str], sizes: Mapping[str, int], old: Set[str]
    ) -> Foul:
        """Return what is left of payloads that nobody needs. `here` are the payloads with layouts, which
        say what their chunks are. Of others nobody knows that any more: then all goes that nobody needs,
        in packs that were not looked at, if they are `old`: younger ones may be on their way here.
        """
        before = read_cleaned(self._objects.backend) if payloads else Cleaned()
        named = payloads & here
        secret = self._chunks_of(named)
        foul = self._packs_with(secret.__contains__, sizes) if secret else set()
        clean: Set[str] = before.packs if before.payloads else sizes.keys()
        if unnamed := payloads - here:
            clean = before.packs if unnamed <= before.payloads else set()
            looked = (sizes.keys() - clean) & old
            partly = [p for p in looked if self._weights.get(p, 0) < sizes[p] - OVERHEAD]
            left = self._packs_with(lambda digest: digest not in self._places, partly)
            foul |= left
            clean = clean | looked
        after = Cleaned(
            frozenset(before.payloads | payloads),
            frozenset((clean & sizes.keys()) - foul - self._unread),
        )
        return Foul(named, foul, before, after if payloads else before)

    def _chunks_of(self, payloads: Iterable[str]) -> set[bytes]:
        """Return the digests of all chunks that may be of these payloads and are not needed: those in
        their layouts, which are there until the chunks are gone."""
        found = set()
        for payload in payloads:
            for stored in self._objects.readings(payload, self._cache):
                found |= {piece.digest for piece in stored.pieces}
                for layout in (stored.layout, stored.root):
                    found |= {digest for digest, _ in layout.records()}
        return {digest for digest in found if digest not in self._places}

    def _packs_with(self, is_sought: Callable[[bytes], bool], packs: Iterable[str]) -> set[str]:
        """Return the packs that have such a chunk, and those of which nobody knows."""

        def holds(pack: str) -> bool:
            try:
                return any(map(is_sought, self._objects.directory(pack).digests()))
            except FileNotFoundError:
                return False
            except CorruptError as error:
                if pack not in self._weights:
                    return True
                self._unread.add(pack)
                self._reporter.warn(f"{error.message}; purged bytes may be in it")
                return False

        names = list(packs)
        with ThreadPoolExecutor(_THREADS, "packs") as threads:
            found = zip(names, threads.map(holds, names), strict=True)
            return {pack for pack, is_holding in found if is_holding}
