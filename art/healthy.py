"""Documents that are damaged or missing in a store, from where they are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from art import checkpoint
from art import document as documents
from art.beside import check_run_of
from art.catalog import Log, parse_anonymous
from art.errors import ArtError
from art.fsck import Checker
from art.inventory import check_progress_of
from art.model import Manifest
from art.salvage import Peer
from art.stubs import stub

_COMPARED = 64  # documents after one that is lost, which may show that two logs are the same
FROM_ITSELF = "what is whole here"


class Documents:
    """The documents of a store that was checked, as they are in it and in others."""

    def __init__(self, checker: Checker, peers: Sequence[Peer]) -> None:
        self._backend = checker.store.backend
        self._checker = checker
        self._peers = peers

    def whole(self, name: str) -> tuple[bytes, str] | None:
        """Return the bytes of a document and where they are from. It must be known that it is this one:
        by its uid, which is its name, or as two logs are known to be the same so far."""
        located = Log.of(name)
        if located and (data := self._bundled(*located)) is not None:
            return data, FROM_ITSELF
        for peer in self._peers:
            if located and not self._is_agreed(peer, *located):
                continue
            try:
                data = peer.store.backend.read(name, 0, documents.limit_of(name) + 1)
                parse(name, data)
            except (FileNotFoundError, ArtError):
                continue
            return self._unless_purged(name, data), peer.name
        return None

    def _unless_purged(self, name: str, data: bytes) -> bytes:
        """Return a manifest, or its stub where the version was purged here: that must stay so."""
        located = Log.of(name)
        manifest = located[0].parse(located[1], data) if located else None
        if name.startswith("anonymous/"):
            manifest = parse_anonymous(name[len("anonymous/") : -len(".yaml")], data)
        if isinstance(manifest, Manifest) and manifest.id in self._checker.inventory.purged:
            return data if manifest.is_stub else stub(manifest)
        return data

    def _bundled(self, log: Log, number: int) -> bytes | None:
        """Return a document out of a checkpoint of the same store."""
        for size in checkpoint.SIZES:
            first = (number - 1) // size * size + 1
            name = checkpoint.name(log, first, first + size - 1)
            try:
                data = checkpoint.decode(self._backend.read(name), size, name)[number - first]
                log.parse(number, data)
            except (FileNotFoundError, ArtError):
                continue
            return self._unless_purged(log.file(number), data)
        return None

    def _is_agreed(self, peer: Peer, log: Log, number: int) -> bool:
        """Whether a log is known to be the same at a peer up to this number: by what was noted, or as
        a later document is the same on both sides."""
        if number <= peer.ends.get(log, 0):
            return True
        for later in range(number + 1, number + _COMPARED):
            name = log.file(later)
            try:
                ours = self._backend.read(name, 0, documents.READ_LIMIT)
                theirs = peer.store.backend.read(name, 0, documents.READ_LIMIT)
                log.parse(later, ours)
            except FileNotFoundError:
                return False
            except ArtError:
                continue
            return ours == theirs
        return False

    def bundled_in(self, name: str, mended: Mapping[str, bytes]) -> list[bytes] | None:
        """Return the documents that a checkpoint of this name holds, with those that are to be `mended`,
        None where there can be no such one."""
        directory, _, numbers = name.removeprefix("checkpoints/").rpartition("/_")
        first, _, last = numbers.partition("-")
        prefix = "v" if directory.startswith("manifests/") else ""
        located = Log.of(f"{directory}/{prefix}{int(first):08}.yaml")
        count = int(last) - int(first) + 1
        if located is None or count not in checkpoint.SIZES or located[1] % count != 1:
            return None
        contents = []
        for number in range(int(first), int(last) + 1):
            file = located[0].file(number)
            try:
                data = mended.get(file) or self._backend.read(file)
                located[0].parse(number, data)
            except (FileNotFoundError, ArtError):
                return None
            contents.append(data)
        return contents


def parse(name: str, data: bytes) -> None:
    """Raise CorruptError where these bytes are not the document of this name."""
    located = Log.of(name)
    file = name.rpartition("/")[2].removesuffix(".yaml")
    if located:
        located[0].parse(located[1], data)
    elif name.startswith("anonymous/"):
        parse_anonymous(file, data)
    else:
        check = check_run_of if name.startswith("runs/") else check_progress_of
        check(file, data, name)


def is_whole(name: str, data: bytes) -> bool:
    """Whether these bytes are the document of this name."""
    try:
        parse(name, data)
    except ArtError:
        return False
    return True
