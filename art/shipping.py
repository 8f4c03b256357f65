"""Packs on their way: copied as they are, made of frames, uploaded; verified before they get a name."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from art import pack as packs
from art.backend import Backend, LocalBackend
from art.errors import BusyError, CorruptError
from art.objects import ObjectStore
from art.pack import Location, pack_name
from art.repack import (
    NewPack,
    Places,
    SamePack,
    ahead,
    check_file,
    each_record,
    read_frames,
    weight,
)
from art.reporter import Reporter

PART_SIZE = 8 << 20
_LOCAL_PART_SIZE = 4 << 20
_UPLOADS = 2


@dataclass
class Cargo:
    """What is to be sent: chunks by pack, of which each is repacked; packs that go whole, with their
    sizes; packs of such chunks that lie in scratch already, and where the chunks are in these. `made`
    are packs in scratch that can go once the layout is written."""

    needed: dict[str, bytearray] = field(default_factory=dict)
    whole: dict[str, int] = field(default_factory=dict)
    staged: dict[str, int] = field(default_factory=dict)
    staged_chunks: Places = field(default_factory=Places)
    made: list[str] = field(default_factory=list)

    @property
    def repacked_size(self) -> int:
        return sum(weight(records) for records in self.needed.values())


class Sender:
    """Sends packs from one store to another, and knows what it sent.

    `packs` are ids of packs at the target, of which it `sent` some; `chunks` are those in packs that
    were made for it.
    """

    def __init__(
        self,
        source: ObjectStore,
        target: ObjectStore,
        scratch: LocalBackend,
        reporter: Reporter,
        jobs: int,
    ) -> None:
        self._source = source
        self._target = target
        self._scratch = scratch
        self._reporter = reporter
        self._jobs = jobs
        self._open: list[SamePack | NewPack] = []  # being written, to be dropped where that fails
        self._count = self._size = 0
        self.packs: set[str] = set()
        self.sent: set[str] = set()
        self.chunks = Places()

    def find_staged(self, cargo: Cargo) -> None:
        """Find again what an interrupted transfer has repacked already."""
        if not self._is_upload or not cargo.needed:
            return
        store = ObjectStore(self._scratch, self._source.chunking)
        for pack in store.pack_ids():
            size = self._scratch.size(pack_name(pack))
            try:
                directory = store.directory(pack)
                check_file(self._scratch.path(pack_name(pack)), pack)
            except CorruptError:
                self._scratch.delete(pack_name(pack))
                continue
            except FileNotFoundError:
                continue
            found = {
                digest: place
                for records in cargo.needed.values()
                for digest, *_ in each_record(records)
                if (place := directory.find(digest))
            }
            weight_found = sum(packs.RECORD.size + length for _, length, _ in found.values())
            if size and 2 * weight_found >= size:
                cargo.staged[pack] = size
                for digest, place in found.items():
                    cargo.staged_chunks.add(digest, Location(pack, *place))
                _take_away(cargo.needed, found)

    def send(self, cargo: Cargo) -> tuple[int, int]:
        """Send it, durably; return how many packs and bytes went now, not in an earlier attempt."""
        self._count = self._size = 0
        try:
            with ThreadPoolExecutor(self._jobs, "read") as readers:
                if self._is_upload:
                    self._upload_all(cargo, readers)
                else:
                    self._write_all(cargo, readers)
        finally:
            while self._open:
                self._open.pop().discard()
        return self._count, self._size

    @property
    def _is_upload(self) -> bool:
        """Whether files of this machine go to a remote."""
        return self._target.is_remote and not self._source.is_remote

    def _upload_all(self, cargo: Cargo, readers: ThreadPoolExecutor) -> None:
        def upload(job: tuple[str, LocalBackend, bool]) -> tuple[str, int, bool]:
            return self._upload(*job)

        with ThreadPoolExecutor(min(_UPLOADS, self._jobs), "upload") as threads:
            jobs = self._uploads(cargo, readers)
            with contextlib.closing(ahead(threads, upload, jobs, _UPLOADS + 1)) as uploads:
                for pack, size, is_new in uploads:
                    self._note_sent(pack, size, is_new=is_new)
                    self._reporter.advance(size_bytes=size)
        for digest, location in cargo.staged_chunks:
            self.chunks.add(digest, location)

    def _uploads(
        self, cargo: Cargo, readers: ThreadPoolExecutor
    ) -> Iterator[tuple[str, LocalBackend, bool]]:
        """Yield packs, where they lie, and whether they are yet to be checked."""
        local = self._source.backend
        assert isinstance(local, LocalBackend)
        yield from ((pack, local, True) for pack in cargo.whole)
        cargo.made += cargo.staged
        yield from ((pack, self._scratch, False) for pack in cargo.staged)
        for new in self._repacked(cargo, self._scratch, readers):
            pack = new.commit()
            self._open.remove(new)
            cargo.made.append(pack)
            for digest, *place in new.chunks:
                cargo.staged_chunks.add(digest, Location(pack, *place))
            yield pack, self._scratch, False

    def _upload(self, pack: str, place: LocalBackend, is_unchecked: bool) -> tuple[str, int, bool]:
        name = pack_name(pack)
        path = place.path(name)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise self._vanished(name, place) from None
        if self._target.backend.size(name) == size:
            return pack, size, False
        if is_unchecked:
            check_file(path, pack)
        self._target.backend.upload(name, path)
        return pack, size, True

    def _vanished(self, name: str, place: LocalBackend) -> CorruptError | BusyError:
        if place is self._scratch:
            return BusyError(
                f"another process is transferring the same to {self._target.backend.where}",
                hint="run the command again",
            )
        return CorruptError(f"{name} is missing", hint="art fsck --data --repair")

    def _write_all(self, cargo: Cargo, readers: ThreadPoolExecutor) -> None:
        def commit(new: SamePack | NewPack) -> tuple[str, SamePack | NewPack]:
            return new.commit(), new

        with (
            ThreadPoolExecutor(1, "sync") as threads,
            contextlib.closing(ahead(threads, commit, self._all(cargo, readers), 2)) as committed,
        ):
            for pack, new in committed:
                self._open.remove(new)
                self._note_sent(pack, new.size, is_new=True)
                for digest, *place in new.chunks:
                    self.chunks.add(digest, Location(pack, *place))

    def _all(self, cargo: Cargo, readers: ThreadPoolExecutor) -> Iterator[SamePack | NewPack]:
        """Yield packs that are written and not yet durable."""
        yield from self._same(cargo, readers)
        yield from self._repacked(cargo, self._target.backend, readers)

    def _note_sent(self, pack: str, size: int, *, is_new: bool) -> None:
        self.packs.add(pack)
        self.sent.add(pack)
        if is_new:
            self._size += size
            self._count += 1

    def _same(self, cargo: Cargo, readers: ThreadPoolExecutor) -> Iterator[SamePack]:
        """Yield copies of the packs that go whole."""
        part = PART_SIZE if self._source.is_remote else _LOCAL_PART_SIZE
        ranges = [
            (pack, start, min(part, size - start))
            for pack, size in cargo.whole.items()
            for start in range(0, size, part)
        ]
        with contextlib.closing(ahead(readers, self._part, ranges, self._jobs)) as parts:
            for pack, size in cargo.whole.items():
                new = self._same_pack(pack, size)
                for _ in range(0, size, part):
                    new.write(data := next(parts))
                    self._reporter.advance(size_bytes=len(data))
                yield new if new.is_right else self._again(pack, size, new)

    def _again(self, pack: str, size: int, wrong: SamePack) -> SamePack:
        """Read a pack once more: it may have been damaged on its way."""
        self._open.remove(wrong)
        wrong.discard()
        new = self._same_pack(pack, size)
        for start in range(0, size, PART_SIZE):
            new.write(self._part((pack, start, min(PART_SIZE, size - start))))
        return new

    def _same_pack(self, pack: str, size: int) -> SamePack:
        new = SamePack(self._target.backend, pack, size)
        self._open.append(new)
        return new

    def _part(self, place: tuple[str, int, int]) -> bytes:
        pack, start, length = place
        try:
            return self._source.backend.read(pack_name(pack), start, length)
        except FileNotFoundError:
            raise CorruptError(
                f"{pack_name(pack)} is missing", hint="art fsck --data --repair"
            ) from None

    def _repacked(
        self, cargo: Cargo, place: Backend, readers: ThreadPoolExecutor
    ) -> Iterator[NewPack]:
        """Yield new packs of the frames that are needed out of packs that stay."""
        new: NewPack | None = None
        for pack, records in cargo.needed.items():
            wanted = ((digest, Location(pack, *at)) for digest, *at in each_record(records))
            groups = read_frames(self._source.backend, wanted, readers, self._jobs)
            with contextlib.closing(groups):
                for digest, location, frame in (found for group in groups for found in group):
                    if new is None:
                        new = NewPack(place)
                        self._open.append(new)
                    new.add(digest, frame, location.size)
                    if not self._is_upload:
                        self._reporter.advance(size_bytes=len(frame))
                    if new.is_full:
                        yield new
                        new = None
        if new is not None:
            yield new


def _take_away(needed: dict[str, bytearray], found: Container[bytes]) -> None:
    for pack, records in list(needed.items()):
        kept = [
            packs.RECORD.pack(*record) for record in each_record(records) if record[0] not in found
        ]
        needed[pack] = bytearray().join(kept)
        if not kept:
            del needed[pack]
