"""The cases that are repositories. A case is a function that makes files in an empty folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from tests.support_corpus import Spec, describe
from tests.support_hostile import NOW, Forge, document, line, rle_frame

EVIL, GOOD = b"evil", b"good"
EMPTY = blake3(b"").hexdigest()
CHUNKING = {
    "algorithm": "fastcdc-2020",
    "min": 8192,
    "average": 32768,
    "max": 131072,
    "whole": 65536,
}
REPOSITORY = "019aa5a8-1111-7000-8000-000000000000"
TIB = 1 << 40

# What a case makes beside what `Forge` writes: files by name.
Extra = dict[str, Spec]
CASES: dict[str, tuple[str, Callable[[Forge], Extra | None]]] = {}


def case(name: str, about: str) -> Callable[[Callable[[Forge], Extra | None]], None]:
    """Register a case."""

    def register(make: Callable[[Forge], Extra | None]) -> None:
        assert name not in CASES
        CASES[name] = about, make

    return register


def files_of(name: str) -> dict[str, Spec]:
    """Return the files of a case, by name."""
    with tempfile.TemporaryDirectory() as folder:
        forge = Forge(Path(folder), fixed=True)
        fields = {"art": 1, "uid": REPOSITORY, "created": NOW, "bare": False, "chunking": CHUNKING}
        forge.put("format.yaml", document(fields))
        extra = CASES[name][1](forge) or {}
        if not extra.get("alone"):
            return {**describe(Path(folder)), **extra}
        return {key: spec for key, spec in extra.items() if key != "alone"}


def neighbour(forge: Forge) -> None:
    """Make a version that is right: what is wrong beside it must not spoil it."""
    forge.folder("good", [line("a", GOOD)], [GOOD])


# -- trees -----------------------------------------------------------------------------------------


def link(path: str, target: str) -> bytes:
    return json.dumps({"path": path, "link": target}, separators=(",", ":")).encode() + b"\n"


def directory(path: str) -> bytes:
    return b'{"path":%b,"mode":"755","dir":true}\n' % json.dumps(path).encode()


def tree(name: str, about: str, *lines: bytes) -> None:
    """A version whose tree has these lines."""

    def make(forge: Forge) -> None:
        neighbour(forge)
        forge.folder("k", list(lines), [EVIL])

    case(name, about)(make)


tree("path-absolute", "a file with an absolute path", line("/tmp/evil-of-art", EVIL))
tree("path-network", "a file with a path of two slashes", line("//host/evil", EVIL))
tree("path-up", "a file above the target", line("../evil", EVIL))
tree("path-up-inside", "a path that goes up behind a folder", line("a/../../evil", EVIL))
tree("path-dot", "a file called '.'", line(".", EVIL))
tree("path-empty", "a file without a name", line("", EVIL))
tree("path-empty-part", "a path with an empty part", line("a//b", EVIL))
tree("path-nul", "a path with NUL in it", line("a\0b", EVIL))
tree("path-art", "a file that would be in a repository", line(".art/config.yaml", EVIL))
tree("path-art-deep", "a file in a repository further down", line("sub/.ArT/hooks/post-get", EVIL))
tree("path-surrogate", "a path with half a character", line("a\ud800", EVIL))
tree("path-long", "a path longer than any system takes", line("d/" * 1_000 + "x" * 3_000, EVIL))
tree("path-long-part", "a file name longer than disks take", line("x" * 300, EVIL))
tree("path-backslash", "names with backslashes, possible on POSIX", line("..\\..\\a", EVIL))
tree(
    "path-drive",
    "names with drive letters, possible on POSIX",
    line("C:\\a", EVIL),
    line("C:a", EVIL),
)
tree("path-device", "names that are devices elsewhere", line("con", EVIL), line("nul.txt", EVIL))
tree("path-terminal", "names that a terminal would obey", line("\x1b[2J\x07\n\u202e", EVIL))
tree("path-option", "names that look like options", line("--help", EVIL), line("-rf", EVIL))
tree("path-case", "names that some disks merge", line("A", EVIL), line("a", EVIL))
tree("path-normal-form", "names that some disks merge", line("e\u0301", EVIL), line("\u00e9", EVIL))
tree("path-file-and-folder", "a file and a folder of one name", line("a", EVIL), line("a/b", EVIL))
tree("path-twice", "one path twice", line("a", EVIL), line("a", EVIL))
tree("path-order", "paths out of order", line("b", EVIL), line("a", EVIL))
tree("link-then-file", "a link, then a file through it", link("a", ".."), line("a/evil", EVIL))
tree("link-then-link", "a link, then a link through it", link("a", ".."), link("a/evil", "x"))
tree("link-then-folder", "a link, then a folder through it", link("a", ".."), directory("a/evil"))
tree("link-and-folder", "a link and a folder of one name", link("a", ".."), directory("a"))
tree(
    "link-chain",
    "links to links, then a file",
    link("a", "b"),
    line("a/evil", EVIL),
    link("b", ".."),
)
tree("link-out", "links that lead out: made, never followed", link("a", "../../outside/secret"))
tree("link-device", "a link to a device without end", link("a", "/dev/zero"))
tree("link-loop", "links in a circle", link("a", "b"), link("b", "a"))
tree("link-nul", "a link with NUL in it", link("a", "x\0y"))
tree("link-root", "a link in place of the whole folder", link("", "/tmp"))
tree("tree-nested", "a line of 100,000 brackets", b"[" * 100_000 + b"\n")
tree("tree-no-json", "a line that is no JSON", b"{path:a}\n")
tree(
    "tree-digits",
    "a size of 10,000 digits",
    line("a", EVIL).replace(b":4,", b":" + b"9" * 10_000 + b","),
)
tree("tree-negative", "a negative size", line("a", EVIL).replace(b":4,", b":-4,"))
tree("tree-set-uid", "a file that would run as another user", line("a", EVIL, mode="4755"))
tree(
    "tree-other-size", "another size than the content has", line("a", EVIL).replace(b":4,", b":3,")
)
tree("tree-nothing", "a digest of nothing that is stored", line("a", b"never stored"))
tree(
    "tree-huge-chunk",
    "a chunk of 2^60 bytes",
    line("a", EVIL, extra=f',"chunks":[["{EMPTY}",{1 << 60}]]').replace(
        b":4,", b":%d," % (1 << 60)
    ),
)
tree("tree-no-end", "a tree that ends within a line", line("a", EVIL)[:-1])


@case("tree-file-name", "a single file whose manifest gives it a path out")
def _(forge: Forge) -> None:
    neighbour(forge)
    digest = forge.tree([line("a", EVIL)], [EVIL])
    forge.manifest("k", 1, type="file", payload=payload(digest, file="../../outside/evil"))


def payload(digest: str, size: int = 4, files: int = 1, **more: Any) -> dict[str, Any]:
    return {"tree": digest, "size": size, "files": files, **more}


# -- packs and layouts -----------------------------------------------------------------------------


def framed(name: str, about: str, frame: bytes, size: int, said: int | None = None) -> None:
    """A version of one file, whose chunk lies in this frame. `said` is what pack and layout say."""

    def make(forge: Forge) -> None:
        neighbour(forge)
        content = b"never seen"
        text = line("a", content).replace(b'"size":10', b'"size":%d' % size)
        pack = forge.new_pack()
        chunk, piece = blake3(content).digest(), blake3(text).digest()
        place = pack.add(chunk, frame, size if said is None else said)
        tree_place = pack.add(piece, packs.raw_frame(text), len(text))
        ids = [forge.pack(pack.finished())]
        records = [layouts.RECORD.pack(chunk, 0, *place)]
        pieces = [(layouts.RECORD.pack(piece, 0, *tree_place), "a")]
        digest = blake3(piece + len(text).to_bytes(4, "little")).hexdigest()
        forge.layout(digest, ids, records, pieces)
        forge.manifest("k", 1, payload=payload(digest, size))

    case(name, about)(make)


MIB = 1 << 20
framed(
    "bomb-claims-tebibyte", "a frame that claims a TiB", rle_frame(1 << 17, claimed=TIB), 8 * MIB
)
framed("bomb-claims-all", "a frame that claims 2^64-2", rle_frame(9, claimed=2**64 - 2), 8 * MIB)
framed("bomb-window", "a frame with a window of 2 TiB", rle_frame(8 * MIB, window=0xF8), 8 * MIB)
framed("bomb-more", "1 KiB that unfold to 32 MiB", rle_frame(32 * MIB, claimed=8 * MIB), 8 * MIB)
framed(
    "bomb-no-size", "1 KiB that unfold and do not say so", rle_frame(32 * MIB, claimed=-1), 8 * MIB
)
framed(
    "bomb-chunk", "a chunk of which pack and layout say 4 GiB", rle_frame(MIB), 8 * MIB, 2**32 - 1
)
framed("frame-unknown", "a frame of an unknown kind", b"\x07evil", 4)
framed("frame-empty", "a frame without a byte", b"", 0)
framed("frame-other", "a frame with other bytes than its digest says", b"\0evil bytes", 10)


def repeated(name: str, about: str, piece: bytes, count: int) -> None:
    """A version whose tree is one piece, again and again."""

    def make(forge: Forge) -> None:
        neighbour(forge)
        pack = forge.new_pack()
        digest = blake3(piece).digest()
        is_zero = not any(piece[:1024])
        frame = rle_frame(len(piece)) if is_zero else packs.raw_frame(piece)
        place = pack.add(digest, frame, len(piece))
        ids = [forge.pack(pack.finished())]
        listed = (digest + len(piece).to_bytes(4, "little")) * count
        payload_digest = blake3(listed).hexdigest()
        record = layouts.RECORD.pack(digest, 0, *place)
        forge.layout(payload_digest, ids, [], [(record, "")] * count)
        forge.manifest("k", 1, payload=payload(payload_digest))

    case(name, about)(make)


repeated("bomb-tree", "a tree of 16 GiB of zeros", bytes(8 * MIB), 2_000)
repeated("bomb-tree-lines", "a tree of the same lines without end", line("a", EVIL) * 20, 2_000)


@case("bomb-list", "a list of chunks that unfolds to 4 TB of one chunk")
def _(forge: Forge) -> None:
    neighbour(forge)
    chunks = bytes(36) * (MIB // 36)
    pack = forge.new_pack()
    listed = blake3(chunks)
    place = pack.add(listed.digest(), rle_frame(len(chunks)), len(chunks))
    reference = f'["{listed.hexdigest()}",{len(chunks)}]'
    text = line("a", EVIL, extra=f',"list":[{",".join([reference] * 100)}]')
    text = text.replace(b'"size":4,', b'"size":%d,' % (1 << 62))
    piece = blake3(text).digest()
    tree_place = pack.add(piece, packs.raw_frame(text), len(text))
    ids = [forge.pack(pack.finished())]
    root = blake3(piece + len(text).to_bytes(4, "little")).hexdigest()
    record = layouts.RECORD.pack(listed.digest(), 0, *place)
    forge.layout(root, ids, [record], [(layouts.RECORD.pack(piece, 0, *tree_place), "a")])
    forge.manifest("k", 1, payload=payload(root, 1 << 62))


def layout_field(name: str, about: str, at: int, value: int) -> None:
    """A layout with one of its counts replaced, of right name and with a right pack beside it."""

    def make(forge: Forge) -> None:
        neighbour(forge)
        digest = forge.tree([line("a", EVIL)], [EVIL])
        [path] = forge.place.glob(f"layouts/{digest[:2]}/{digest}/*")
        data = bytearray(path.read_bytes())
        path.unlink()
        data[at : at + 4] = value.to_bytes(4, "little")
        forge.raw_layout(digest, bytes(data))
        forge.manifest("k", 1, payload=payload(digest))

    case(name, about)(make)


layout_field("layout-packs", "a layout of 2^32-1 packs", 108, 2**32 - 1)
layout_field("layout-chunks", "a layout of 2^32-1 chunks", 112, 2**32 - 1)
layout_field("layout-fan", "a layout with a fan-out of 2^32-1 bits", 116, 2**32 - 1)
layout_field("layout-pieces", "a layout of 2^32-1 pieces", 120, 2**32 - 1)
layout_field("layout-paths", "a layout with 4 GiB of paths", 124, 2**32 - 1)
layout_field("layout-depth", "a layout that says it extends another and names none", 104, 1)
layout_field("layout-deep", "a layout of depth 2^32-1", 104, 2**32 - 1)


@case("layout-circle", "two layouts that extend each other")
def _(forge: Forge) -> None:
    neighbour(forge)
    ids = ["c1" * 32, "c2" * 32]
    for own, other in (ids, ids[::-1]):
        data = bytearray(layouts.encode(own, [], b"", []))
        data[40:104] = bytes.fromhex(other) + b"\x11" * 32
        data[104] = 1
        forge.put(f"layouts/{own[:2]}/{own}/{'11' * 32}", bytes(data))
        forge.raw_layout(own, bytes(data))
    for number, own in enumerate(ids, 1):
        forge.manifest("k", number, payload=payload(own))


@case("layout-duplicates", "a layout with two places for one chunk, both wrong")
def _(forge: Forge) -> None:
    neighbour(forge)
    digest = forge.tree([line("a", EVIL)], [EVIL])
    [path] = forge.place.glob(f"layouts/{digest[:2]}/{digest}/*")
    layout = layouts.Layout(path.read_bytes(), "x", "x")
    [piece] = layout.pieces()
    record = layouts.RECORD.pack(
        piece.digest, 0, piece.location.offset, piece.location.length, piece.location.size
    )
    wrong = [layouts.RECORD.pack(blake3(EVIL).digest(), 0, at, 5, 4) for at in (0, 2**32 - 1)]
    path.unlink()
    forge.raw_layout(digest, layouts.encode(digest, layout.packs, b"".join(wrong), [(record, "a")]))
    forge.manifest("k", 1, payload=payload(digest))


@case("pack-count", "a pack whose directory claims 2^32-1 frames")
def _(forge: Forge) -> None:
    neighbour(forge)
    pack_trailer(forge, count=2**32 - 1)


@case("pack-offset", "a pack whose directory begins behind its end")
def _(forge: Forge) -> None:
    neighbour(forge)
    pack_trailer(forge, offset=2**32 - 1)


def pack_trailer(forge: Forge, *, count: int | None = None, offset: int | None = None) -> None:
    digest = forge.tree([line("a", EVIL)], [EVIL])
    forge.manifest("k", 1, payload=payload(digest))
    [layout] = forge.place.glob(f"layouts/{digest[:2]}/{digest}/*")
    [pack_id] = layouts.Layout(layout.read_bytes(), "x", "x").packs
    path = forge.place / packs.pack_name(pack_id)
    data = bytearray(path.read_bytes())
    for at, value in ((-64, count), (-60, offset)):
        if value is not None:
            data[at : at + 4] = value.to_bytes(4, "little")
    path.write_bytes(data)


# -- links and pipes in place of a repository's files ----------------------------------------------


def replaced(name: str, about: str, pattern: str, target: str | None) -> None:
    """A link in place of a file or folder of the repository; a pipe where there is no target."""

    def make(forge: Forge) -> None:
        forge.folder("k", [line("a", EVIL)], [EVIL])
        forge.entry("refs/k/_notes/00000001.yaml", {"key": "k", "id": "b3:" + "0" * 64, "set": {}})
        [path] = forge.place.glob(pattern)
        if path.is_dir():
            for found in sorted(path.rglob("*"), reverse=True):
                found.rmdir() if found.is_dir() else found.unlink()
            path.rmdir()
        else:
            path.unlink()
        os.mkfifo(path) if target is None else path.symlink_to(target)

    case(name, about)(make)


SECRET = "../../outside/secret"
replaced(
    "stead-manifest-link",
    "a link out in place of a manifest",
    "manifests/k/*.yaml",
    f"../../{SECRET}",
)
replaced(
    "stead-manifest-endless",
    "a device without end as a manifest",
    "manifests/k/*.yaml",
    "/dev/zero",
)
replaced("stead-manifest-pipe", "a pipe in place of a manifest", "manifests/k/*.yaml", None)
replaced("stead-manifests-loop", "a folder of manifests that is in itself", "manifests/k", ".")
replaced(
    "stead-note-link", "a link out in place of a note", "refs/k/_notes/*.yaml", f"../../../{SECRET}"
)
replaced(
    "stead-log-link",
    "a link out in place of a log's folder",
    "refs/k/_notes",
    "../../../../outside",
)
replaced("stead-pack-link", "a link out in place of a pack", "packs/*/*.pack", f"../../{SECRET}")
replaced(
    "stead-pack-endless", "a device without end in place of a pack", "packs/*/*.pack", "/dev/zero"
)
replaced("stead-pack-pipe", "a pipe in place of a pack", "packs/*/*.pack", None)
replaced("stead-packs-link", "a link out in place of all packs", "packs", "../../outside")
replaced("stead-layout-endless", "a device without end as a layout", "layouts/*/*/*", "/dev/zero")
replaced("stead-layout-pipe", "a pipe in place of a layout", "layouts/*/*/*", None)
replaced("stead-layouts-loop", "a folder of layouts that is in itself", "layouts/*/*", ".")
replaced("stead-format-pipe", "a pipe in place of format.yaml", "format.yaml", None)


def sparse(name: str, about: str, pattern: str) -> None:
    """A file that is a TiB large and takes no room."""

    def make(forge: Forge) -> Extra:
        forge.folder("k", [line("a", EVIL)], [EVIL])
        forge.entry("refs/k/_notes/00000001.yaml", {"key": "k", "id": "b3:" + "0" * 64, "set": {}})
        [path] = forge.place.glob(pattern)
        [spec] = describe_one(path)
        return {path.relative_to(forge.place.parent).as_posix(): {**spec, "size": TIB}}

    case(name, about)(make)


def describe_one(path: Path) -> list[dict[str, Any]]:
    found = describe(path.parent)[path.name]
    return [{"text": found} if isinstance(found, str) else found]


sparse("huge-manifest", "a manifest of a TiB", "manifests/k/*.yaml")
sparse("huge-note", "a note of a TiB", "refs/k/_notes/*.yaml")
sparse("huge-layout", "a layout of a TiB", "layouts/*/*/*")
sparse("huge-pack", "a pack of a TiB", "packs/*/*.pack")
sparse("huge-format", "a format.yaml of a TiB", "format.yaml")
