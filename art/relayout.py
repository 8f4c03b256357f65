"""Layouts made anew from packs alone: they name their chunks, and the pieces of a tree are chunks.

The digest of a payload is that over the list of its pieces. One piece is found by that digest at once.
Of several, those that go on where one ends are tried in the order of their paths, within a limit.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import zstandard
from blake3 import blake3

from art import layout as layouts
from art.errors import CorruptError
from art.layout import Layout
from art.objects import ObjectStore, layout_directory
from art.pack import Location, pack_name, unpack_frame
from art.repack import Places
from art.scrub import ObjectDirectory
from art.stored import StoredPayload, chunk_record
from art.tree import quoted_order

_BEGIN = b'{"path":'
_TRIES = 200_000  # pieces that are put together, for all payloads
_SHORT = 8192  # what ends a tree may be only the rest of a line
_NEXT = 8  # pieces that are tried after one


@dataclass(frozen=True)
class _Part:
    """A piece that may be of a tree: what lies before its first whole line and after its last one, and
    by what those two are sorted; texts that are empty where there is none."""

    digest: bytes
    size: int
    head: bytes
    tail: bytes
    first: str
    last: str


def payloads_from_packs(objects: ObjectStore, wanted: Iterable[str]) -> dict[str, StoredPayload]:
    """Return those of these payloads whose trees were found in the packs of a store, with all that they
    name there. Their layouts are not in the store. Every piece was verified."""
    places = _places(objects)
    left = set(wanted)
    found: dict[str, list[bytes]] = {}
    for digest, place in places:
        payload = blake3(chunk_record(digest, place.size)).hexdigest()
        if payload in left:
            found[payload] = [digest]
    left -= found.keys()
    if left and not objects.is_remote:  # all packs are read
        found |= _Joiner(_parts(objects, places)).join(left)
    made = {payload: _stored(objects, payload, pieces, places) for payload, pieces in found.items()}
    return {payload: stored for payload, stored in made.items() if stored}


def _places(objects: ObjectStore) -> Places:
    places = Places()
    for pack in objects.pack_ids():
        try:
            directory = ObjectDirectory(objects.backend, pack)
        except (FileNotFoundError, CorruptError):
            continue
        for offset, length, size, digest in directory.frames():
            places.add(digest, Location(pack, offset, length, size))
    return places


def _read(objects: ObjectStore, digest: bytes, place: Location) -> bytes | None:
    name = pack_name(place.pack)
    try:
        frame = objects.backend.read(name, place.offset, place.length)
        return unpack_frame(frame, place.size, digest, name, zstandard.ZstdDecompressor())
    except (FileNotFoundError, CorruptError):
        return None


def _stored(
    objects: ObjectStore, payload: str, digests: list[bytes], places: Places
) -> StoredPayload | None:
    """Return a payload whose layout places everything that the packs have."""
    found = [place for digest in digests if (place := places.find(digest))]
    parts = [_read(objects, *each) for each in zip(digests, found, strict=True)]
    if any(part is None for part in parts):
        return None
    tree = b"".join(filter(None, parts))
    pieces, at = [], 0
    for digest, place in zip(digests, found, strict=True):
        pieces.append((places.record(digest, place), _first_path(tree, at, at + place.size)))
        at += place.size
    data = layouts.encode(payload, places.packs, layouts.sort_records(places.records), pieces)
    name = blake3(data).hexdigest()
    made = Layout(data, f"{layout_directory(payload)}/{name}", name)
    return StoredPayload(objects.backend, [made])


def _first_path(tree: bytes, start: int, end: int) -> str:
    """Return by what the first line is sorted that begins in this part of a tree."""
    begin = start and tree.find(b"\n", start - 1) + 1
    if not start <= begin < end:
        return ""
    return quoted_order(tree[begin : tree.find(b"\n", begin) + 1])


def _parts(objects: ObjectStore, places: Places) -> list[_Part]:
    """Return all chunks that look like pieces of trees, by their first paths."""
    parts = []
    for digest, place in places:
        data = _read(objects, digest, place)
        if data is None or b"\n" not in data or not (_BEGIN in data or len(data) < _SHORT):
            continue
        lines = data.split(b"\n")
        whole = [path for line in lines[1:-1] if (path := _path(line)) is not None]
        if len(whole) < len(lines) - 2 or (lines[-1] and not _BEGIN.startswith(lines[-1][:8])):
            continue  # it only looks so
        first, last = (whole[0], whole[-1]) if whole else ("", "")
        parts.append(_Part(digest, place.size, lines[0], lines[-1], first, last))
    return sorted(parts, key=lambda part: part.first)


def _path(line: bytes) -> str | None:
    """Return what a line of a tree is sorted by, None where it is none."""
    try:
        node = json.loads(line)
        return str(node["path"]) + ("/" if node.get("dir") else "")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class _Joiner:
    """Puts pieces together."""

    def __init__(self, parts: list[_Part]) -> None:
        self._short = [part for part in parts if not part.first]  # with no whole line
        self._parts = parts[len(self._short) :]
        self._firsts = [part.first for part in self._parts]
        self._tries = _TRIES

    def join(self, wanted: set[str]) -> dict[str, list[bytes]]:
        """Return the pieces of those of these payloads that were found."""
        found: dict[str, list[bytes]] = {}
        for part in self._parts:
            path = _path(part.head)
            if path is not None and path < part.first:
                for pieces in self._ways(part, wanted - found.keys()):
                    found[pieces[0]] = pieces[1]
            if len(found) == len(wanted) or self._tries <= 0:
                break
        return found

    def _ways(self, begin: _Part, wanted: set[str]) -> Iterator[tuple[str, list[bytes]]]:
        stack = [([begin], blake3(chunk_record(begin.digest, begin.size)))]
        while stack and self._tries > 0:
            self._tries -= 1
            parts, hasher = stack.pop()
            if not parts[-1].tail and (payload := hasher.hexdigest()) in wanted:
                yield payload, [part.digest for part in parts]
            for part in reversed(list(self._after(parts[-1]))):
                further = hasher.copy()
                further.update(chunk_record(part.digest, part.size))
                stack.append(([*parts, part], further))

    def _after(self, part: _Part) -> Iterator[_Part]:
        """Yield the pieces that may go on where one ends, the nearest first."""
        for following in self._short:
            path = _path(part.tail + following.head)
            if path is not None and part.last < path:
                yield replace(following, last=path)
        count = 0
        for at in range(bisect_right(self._firsts, part.last), len(self._parts)):
            following = self._parts[at]
            path = _path(part.tail + following.head)
            if path is not None and part.last < path < following.first:
                yield following
                count += 1
                if count == _NEXT:
                    return
