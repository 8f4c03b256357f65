"""Repositories made by hand, with checksums that are right: what a hostile author would make."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.document import encode
from art.model import new_uid

Fields = dict[str, Any]
NOW = "2026-11-21T08:30:00.000000Z"
_BLOCK = 1 << 17  # the largest a zstd frame has


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def seal(body: bytes) -> bytes:
    """Return a document of any body with the checksum it must have."""
    return body + b"check: " + blake3(body).hexdigest()[:32].encode() + b"\n"


def document(fields: Fields) -> bytes:
    """Return a document with a right checksum, of fields that art itself would never write."""
    return seal(yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True).encode())


def line(path: str, content: bytes, *, mode: str = "644", extra: str = "") -> bytes:
    """Return the line of a file in a tree; nothing is checked."""
    import json

    digest = blake3(content).hexdigest()
    quoted = json.dumps(path)
    return (
        f'{{"path":{quoted},"mode":"{mode}","size":{len(content)},"b3":"{digest}"{extra}}}\n'
    ).encode()


def rle_frame(size: int, *, claimed: int | None = None, window: int = 0x98) -> bytes:
    """Return a frame of zeros as a person would write it, 4 bytes for each 128 KiB: no compressor, so
    the same bytes for ever. It claims the size it has, or another; -1 claims none."""
    claimed = size if claimed is None else claimed
    has_size = claimed >= 0
    header = b"\x28\xb5\x2f\xfd" + bytes([0xC0 if has_size else 0, window])
    blocks = [min(_BLOCK, size - at) for at in range(0, size, _BLOCK)] or [0]
    body = b"".join(
        ((length << 3) | 2 | (at == len(blocks) - 1)).to_bytes(3, "little") + b"\0"
        for at, length in enumerate(blocks)
    )
    said = claimed.to_bytes(8, "little") if has_size else b""
    return packs.zstd_frame(header + said + body)


@dataclass
class PackBuilder:
    """A pack made frame by frame."""

    data: bytearray = field(default_factory=lambda: bytearray(packs.new_header()))
    records: list[bytes] = field(default_factory=list)

    def add(self, digest: bytes, frame: bytes, size: int) -> tuple[int, int, int]:
        """Append a frame; return what a layout says of it: offset, length, size."""
        place = (len(self.data), len(frame), size)
        self.records.append(packs.RECORD.pack(digest, *place))
        self.data += frame
        return place

    def finished(self) -> bytes:
        return bytes(self.data) + packs.footer(self.records, len(self.data))


class Forge:
    """Writes into a repository's folder what is asked, in the form that it must have.

    With `fixed` it writes the same bytes each time: nothing in them is random or of a library's version.
    """

    def __init__(self, root: Path, *, fixed: bool = False) -> None:
        self.place = root / ".art"
        self._fixed = fixed
        self._made = 0

    def uid(self) -> str:
        """Return a new uid."""
        if not self._fixed:
            return new_uid()
        self._made += 1
        return f"019aa5a8-0000-7000-8000-{self._made:012x}"

    def new_pack(self) -> PackBuilder:
        """Return an empty pack."""
        if not self._fixed:
            return PackBuilder()
        self._made += 1
        return PackBuilder(bytearray(packs.MAGIC + self._made.to_bytes(24, "little")))

    def put(self, name: str, data: bytes) -> Path:
        """Write a file of the repository."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def entry(self, name: str, fields: Fields) -> Path:
        """Write an entry of a log."""
        common = {"art": 1, "uid": self.uid(), "created": NOW, "author": "eve"}
        return self.put(name, document({**common, **fields}))

    def manifest(self, where: str, number: int, **fields: Any) -> str:
        """Write a manifest of the key `where`; return its id. A field that is None is left out."""
        common: Fields = {"art": 1, "uid": self.uid(), "key": where, "type": "folder"}
        common |= {"created": NOW, "author": "eve"}
        whole = {name: v for name, v in {**common, **fields}.items() if v is not None}
        data = document(whole)
        self.put(f"manifests/{where}/v{number:08}.yaml", data)
        return "b3:" + blake3(data).hexdigest()

    def tree(self, lines: list[bytes], contents: list[bytes] | None = None) -> str:
        """Store a tree of these lines as they are, and contents as chunks; return its digest."""
        pack = self.new_pack()
        chunks = {blake3(data).digest(): data for data in contents or ()}
        places = {d: pack.add(d, packs.raw_frame(data), len(data)) for d, data in chunks.items()}
        tree = b"".join(lines)
        pieces = []
        for at in range(0, max(1, len(tree)), packs.CHUNK_LIMIT):
            piece = tree[at : at + packs.CHUNK_LIMIT]
            digest = blake3(piece).digest()
            frame = self._frame(piece)
            place = pack.add(digest, frame, len(piece))
            pieces.append((layouts.RECORD.pack(digest, 0, *place), ""))
        pack_id = self.pack(pack.finished())
        records = [layouts.RECORD.pack(digest, 0, *place) for digest, place in places.items()]
        listed = (record[:32] + record[-4:] for record, _ in pieces)
        return self.layout(blake3(b"".join(listed)).hexdigest(), [pack_id], records, pieces)

    def _frame(self, piece: bytes) -> bytes:
        if self._fixed:
            return packs.raw_frame(piece)
        return packs.zstd_frame(zstandard.ZstdCompressor().compress(piece))

    def pack(self, data: bytes) -> str:
        """Write a pack under its digest; return its id."""
        pack_id = blake3(data).hexdigest()
        self.put(packs.pack_name(pack_id), data)
        return pack_id

    def layout(
        self, tree: str, pack_ids: list[str], records: list[bytes], pieces: list[tuple[bytes, str]]
    ) -> str:
        """Write a layout under its digest; return the payload."""
        self.raw_layout(
            tree, layouts.encode(tree, pack_ids, layouts.sort_records(b"".join(records)), pieces)
        )
        return tree

    def raw_layout(self, tree: str, data: bytes) -> Path:
        """Write any bytes as a layout of a payload, under their digest."""
        return self.put(f"layouts/{tree[:2]}/{tree}/{blake3(data).hexdigest()}", data)

    def folder(self, key: str, lines: list[bytes], contents: list[bytes] | None = None) -> str:
        """Write a version of a folder with a tree of these lines; return its id."""
        tree = self.tree(lines, contents)
        size = sum(map(len, contents or ()))
        return self.manifest(key, 1, payload={"tree": tree, "size": size, "files": len(lines)})


def sealed(fields: Fields) -> bytes:
    """Return a document as art writes it."""
    return encode(fields)
