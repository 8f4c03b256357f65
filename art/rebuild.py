"""New layouts for payloads, of chunks wherever these are whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from blake3 import blake3

from art import layout as layouts
from art.backend import Backend
from art.errors import CorruptError
from art.fsck import Checker
from art.layout import Layout
from art.objects import ObjectStore, layout_directory
from art.pack import Location
from art.relayout import payloads_from_packs
from art.repack import NewPack, Places
from art.reporter import Reporter
from art.salvage import FolderSource, Found, Peer, find_in_packs, is_readable
from art.scrub import needed, read_chunk
from art.stored import StoredPayload


@dataclass
class Rebuild:
    """A payload that gets a new layout. `uses` are its chunks in the order of its tree, `stay` where
    those lie that are whole in this store, `copied` where the others can be had."""

    payload: str
    template: StoredPayload
    uses: Places
    stay: Places = field(default_factory=Places)
    copied: dict[bytes, Found] = field(default_factory=dict)
    source: str = ""  # where it is known from what it consists of, if not from here


class Rebuilder:
    """Finds what payloads of a store that was checked consist of, and writes them new layouts."""

    def __init__(
        self,
        checker: Checker,
        peers: Sequence[Peer],
        reporter: Reporter,
        folder: FolderSource | None,
    ) -> None:
        self._checker = checker
        self._store = checker.store
        self._backend: Backend = checker.store.backend
        self._peers = peers
        self._reporter = reporter
        self._folder = folder
        self._joined: dict[str, StoredPayload] | None = None
        self.wanted: list[str] = []  # payloads that something must be done for

    def whole_payloads(self, payload: str) -> Iterator[tuple[str, ObjectStore, StoredPayload]]:
        """Yield a payload wherever else it is whole, with the name of that place."""
        for peer in self._peers:
            if stored := peer.payload(payload):
                yield peer.name, peer.objects, stored
        if self._folder:
            size = max(held.size for held in self._checker.payloads.versions[payload])
            if stored := self._folder.payload(payload, size):
                yield self._folder.name, self._folder.objects, stored

    def names(self, rebuild: Rebuild) -> str:
        """Return the names of the places that what is copied comes from, "" where it is all here."""
        objects = {id(found.objects) for found in rebuild.copied.values()}
        names = [peer.name for peer in self._peers if id(peer.objects) in objects]
        if self._folder and id(self._folder.objects) in objects:
            names.append(self._folder.name)
        names += [rebuild.source] if rebuild.source and rebuild.source not in names else []
        return ", ".join(names)

    def find(self, payload: str, own: list[StoredPayload], lost: set[str]) -> Rebuild | None:
        """Work out where all chunks of a payload can be had, None where not all can."""
        others = ((stored, name) for name, _, stored in self.whole_payloads(payload))
        joined = ((stored, "") for stored in self._from_packs(payload))
        for stored, source in chain(((stored, "") for stored in own), others, joined):
            is_own = not source
            uses = _uses(stored)
            if uses is None:
                continue
            rebuild = Rebuild(payload, stored, uses, source=source)
            wanted = set()
            for digest, place in uses:
                if is_own and place.pack not in lost:
                    rebuild.stay.add(digest, place)
                elif is_own and is_readable(self._store.objects, digest, place):
                    rebuild.copied[digest] = Found(self._store.objects, place)
                else:
                    wanted.add(digest)
            if not self._search(rebuild, wanted, lost):
                return rebuild
        return None

    def _from_packs(self, payload: str) -> Iterator[StoredPayload]:
        """Yield a payload out of the packs alone, where its tree is found there; asked for last."""
        if self._joined is None:
            self._joined = payloads_from_packs(self._store.objects, self.wanted)
        if stored := self._joined.get(payload):
            yield stored

    def _search(self, rebuild: Rebuild, wanted: set[bytes], lost: set[str]) -> set[bytes]:
        """Find chunks wherever they are whole; return those that are nowhere."""
        damaged = self._checker.damaged.keys() | lost
        for digest, place in find_in_packs(self._store.objects, wanted, damaged).items():
            rebuild.stay.add(digest, place)
            wanted.discard(digest)
        for peer in self._peers:
            self._search_peer(rebuild, wanted, peer)
        if self._folder and wanted:
            self._folder.take_files(_files_with(rebuild.template, wanted))
            for digest, place in find_in_packs(self._folder.objects, wanted).items():
                rebuild.copied[digest] = Found(self._folder.objects, place)
                wanted.discard(digest)
        return wanted

    def _search_peer(self, rebuild: Rebuild, wanted: set[bytes], peer: Peer) -> None:
        stored = peer.payload(rebuild.payload) if wanted else None
        found: dict[bytes, Location] = {}
        if stored:
            places = (
                (digest, stored.find(digest) or stored.find_piece(digest)) for digest in wanted
            )
            found = {digest: place for digest, place in places if place}
        elif wanted and not peer.objects.is_remote:
            found = find_in_packs(peer.objects, wanted)
        for digest, place in found.items():
            if is_readable(peer.objects, digest, place):
                rebuild.copied[digest] = Found(peer.objects, place)
                wanted.discard(digest)

    def write(self, rebuilds: list[Rebuild], put: Callable[[str, bytes], None]) -> None:
        """Write the packs that are needed, then the layouts, of which later ones extend earlier ones
        as they did before. `put` creates a layout."""
        moved = self._copy({d: found for each in rebuilds for d, found in each.copied.items()})
        roots: dict[str, Layout] = {}
        for rebuild in rebuilds:
            old = rebuild.template.root.digest
            made, data = self._new_layout(rebuild, moved, roots.get(old))
            put(made.name, data)
            if made.depth == 0:
                roots.setdefault(old, made)

    def _copy(self, copied: dict[bytes, Found]) -> Places:
        """Copy chunks into new packs; return where they are, durably."""
        moved = Places()
        new: NewPack | None = None
        try:
            for digest, found in sorted(copied.items(), key=_by_place):
                frame = read_chunk(found.objects.backend, digest, found.place)
                new = new or NewPack(self._backend)
                new.add(digest, frame, found.place.size)
                self._reporter.advance(size_bytes=len(frame))
                if new.is_full:
                    _note(moved, new)
                    new = None
            if new:
                _note(moved, new)
                new = None
        finally:
            if new:
                new.discard()
        return moved

    def _new_layout(
        self, rebuild: Rebuild, moved: Places, root: Layout | None
    ) -> tuple[Layout, bytes]:
        template, places = rebuild.template, Places()
        if root and root.payload == rebuild.payload:
            root = None
        for digest, _ in rebuild.uses:
            if root is None or root.find(digest) is None:
                places.add(digest, self._place(rebuild, moved, digest))
        if root and 2 * len(places) >= root.chunk_count:
            return self._new_layout(rebuild, moved, None)
        pieces = []
        for piece in template.pieces:
            place = (root and root.find(piece.digest)) or self._place(rebuild, moved, piece.digest)
            pieces.append((places.record(piece.digest, place), piece.first_path))
        table = layouts.sort_records(places.records)
        data = layouts.encode(rebuild.payload, places.packs, table, pieces, root)
        name = f"{layout_directory(rebuild.payload)}/{blake3(data).hexdigest()}"
        made = Layout(data, name, name.rpartition("/")[2])
        self._verify(StoredPayload(self._backend, [made, root] if root else [made]), rebuild)
        return made, data

    def _place(self, rebuild: Rebuild, moved: Places, digest: bytes) -> Location:
        place = rebuild.stay.find(digest) or moved.find(digest)
        assert place, "all that is used stays or was copied"
        return place

    def _verify(self, made: StoredPayload, rebuild: Rebuild) -> None:
        """Raise CorruptError where the new layout does not place all that the payload needs."""
        for digest, _ in rebuild.uses:
            if made.find(digest) is None and made.find_piece(digest) is None:
                raise CorruptError(f"the new layout of {rebuild.payload[:16]} is not whole")


def _uses(stored: StoredPayload) -> Places | None:
    """Return what a payload needs, None where its tree cannot be read."""
    uses = Places()
    try:
        for digest, place in needed(stored):
            uses.add(digest, place)
    except CorruptError:
        return None
    return uses


def _files_with(stored: StoredPayload, wanted: set[bytes]) -> dict[str, int]:
    """Return digests and sizes of the files that have one of these chunks."""
    return {
        node.b3: node.size
        for node in stored.tree()
        if node.is_file and any(digest in wanted for digest in stored.digests(node))
    }


def _by_place(item: tuple[bytes, Found]) -> tuple[str, str, int]:
    found = item[1]
    return found.objects.backend.where, found.place.pack, found.place.offset


def _note(moved: Places, new: NewPack) -> None:
    pack = new.commit()
    for digest, *place in new.chunks:
        moved.add(digest, Location(pack, *place))
