"""Where healthy documents and chunks can be had: other packs, other stores, files by their digests."""

from __future__ import annotations

import contextlib
import os
import shutil
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from art.backend import LocalBackend
from art.catalog import Log
from art.errors import ArtError, CorruptError
from art.memory import NoMemory
from art.model import Chunking
from art.objects import ObjectStore
from art.pack import Location
from art.place import DIRECTORY
from art.reporter import Reporter
from art.scrub import ObjectDirectory, read_chunk
from art.store import Store
from art.stored import StoredPayload
from art.tree import Node
from art.worktree import Ingest, Source, find_sources
from art.writer import NoHints, PayloadWriter

_BLOCK_SIZE = 4 << 20


@dataclass(frozen=True)
class Found:
    """A chunk that was found whole: in which store, and where."""

    objects: ObjectStore
    place: Location


@dataclass(frozen=True)
class Peer:
    """Another store with the same history: `ends` says up to which number each log is known to be the
    same on both sides."""

    name: str
    store: Store
    ends: Mapping[Log, int] = field(default_factory=dict)

    @property
    def objects(self) -> ObjectStore:
        return self.store.objects

    def payload(self, payload: str) -> StoredPayload | None:
        """Return a payload that this store has, None where it has none or a damaged one."""
        return open_payload(self.store.objects, payload)


def open_payload(objects: ObjectStore, payload: str) -> StoredPayload | None:
    """Return a payload, None where the store has none that is whole as far as its layouts say."""
    try:
        stored = objects.stored(payload)
        if stored and all(objects.has_pack(pack) for pack in stored.packs()):
            return stored
    except ArtError:
        return None
    return None


def find_in_packs(
    objects: ObjectStore, wanted: Collection[bytes], skipped: Collection[str] = ()
) -> dict[bytes, Location]:
    """Return where these chunks lie in a store, whatever its layouts say; each was read."""
    found: dict[bytes, Location] = {}
    for pack in objects.pack_ids() if wanted else ():
        if pack in skipped:
            continue
        try:
            directory = ObjectDirectory(objects.backend, pack)
        except (FileNotFoundError, CorruptError):
            continue
        for offset, length, size, digest in directory.frames():
            if digest in wanted and digest not in found:
                place = Location(pack, offset, length, size)
                if is_readable(objects, digest, place):
                    found[digest] = place
    return found


def is_readable(objects: ObjectStore, digest: bytes, place: Location) -> bool:
    """Whether a chunk is whole at this place."""
    try:
        read_chunk(objects.backend, digest, place)
    except CorruptError:
        return False
    return True


class FolderSource:
    """Files on disk, whose content is what a version has where their digests are the same.

    What is of use is put into packs of a folder of its own, which is gone with this object.
    """

    def __init__(
        self,
        folder: Path,
        scratch: LocalBackend,
        chunking: Chunking,
        reporter: Reporter,
        *,
        is_named: bool = True,
    ) -> None:
        """Where nobody named the folder, it is not taken for a payload: files are looked at by size."""
        self.name = str(folder)
        self._is_named = is_named
        self._folder = folder
        self._reporter = reporter
        name = f"tmp/repair-{os.urandom(8).hex()}"
        scratch.make_directory(name)
        place = scratch.path(name)
        self.objects = ObjectStore(LocalBackend(place), chunking)
        self._end = weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
        self._tried: set[str] = set()
        self._taken: set[str] = set()

    def close(self) -> None:
        """Remove what was put aside."""
        self._end()

    def take_files(self, wanted: Mapping[str, int]) -> None:
        """Put aside the content of the files with these digests, given with their sizes."""
        missing = {b3: size for b3, size in wanted.items() if b3 not in self._taken}
        if not missing:
            return
        self._taken |= missing.keys()

        def lines(writer: PayloadWriter) -> Iterator[bytes]:
            for number, path in enumerate(self._matching(missing)):
                with path.open("rb") as file:
                    b3, size, chunks, is_list = writer.add_file(file.read)
                yield Node(f"{number:08}", 0o644, size, b3, chunks, is_list).line()

        self._store(lines)

    def payload(self, payload: str, size: int) -> StoredPayload | None:
        """Return a payload if the folder, or a file right in it, is what it was made of."""
        for path in self._candidates(size):
            if str(path) not in self._tried:
                self._tried.add(str(path))
                with contextlib.suppress(ArtError):
                    self._store(self._ingest(path))
        return open_payload(self.objects, payload)

    def _ingest(self, path: Path) -> Callable[[PayloadWriter], Iterator[bytes]]:
        sources: list[Source] = find_sources((path,))
        return lambda writer: Ingest(writer, NoMemory(), self._reporter).lines(sources)

    def _store(self, lines: Callable[[PayloadWriter], Iterator[bytes]]) -> None:
        with PayloadWriter(self.objects, None, NoHints()) as writer:
            writer.finish(lines(writer))

    def _candidates(self, size: int) -> list[Path]:
        if not self._folder.is_dir():
            return [self._folder]
        files = [path for path in self._folder.iterdir() if path.is_file()]
        fitting = [path for path in files if path.stat().st_size == size]
        return [self._folder, *fitting] if self._is_named else fitting

    def _matching(self, wanted: Mapping[str, int]) -> Iterator[Path]:
        """Yield one file for each digest."""
        sizes = set(wanted.values())
        left = set(wanted)
        for path in self._files():
            with contextlib.suppress(OSError):
                if path.stat().st_size in sizes and (b3 := _digest(path)) in left:
                    left.discard(b3)
                    yield path

    def _files(self) -> Iterator[Path]:
        if self._folder.is_file():
            yield self._folder
        for above, folders, names in os.walk(self._folder):
            folders[:] = [name for name in folders if name.lower() != DIRECTORY]
            for name in names:
                path = Path(above, name)
                if path.is_file() and not path.is_symlink():
                    yield path


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_SIZE):
            hasher.update(block)
    return hasher.hexdigest()
