"""Small files that claim or unfold to huge things: refused with little memory, in little time."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art.errors import ArtError
from art.repo import Repo
from tests.support_hostile import Forge, PackBuilder, line

ROOT = Path(__file__).parent.parent
HANG_SECONDS = 300
ROOM = 200 << 20  # of address space, beyond what Python and the libraries take
TIB = 1 << 40
LARGE = bytes(8 << 20)


def _frame(content: bytes, **parameters: Any) -> bytes:
    return packs.zstd_frame(zstandard.ZstdCompressor(level=19, **parameters).compress(content))


def _claiming(size: int, window: int = 0) -> bytes:
    """Return a frame whose header claims a size (FORMAT of zstd: descriptor, window, 8 bytes)."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0b11000000, window]) + size.to_bytes(8, "little")
    return b"\x01" + header + b"\x03\x00\x00" + b"x"


def _one_chunk(forge: Forge, frame: bytes, size: int, said: int | None = None) -> None:
    """Make a version of one file whose chunk lies in the frame that is given."""
    content = b"never seen"
    lines = [line("a", content).replace(b'"size":10', b'"size":%d' % size)]
    tree = b"".join(lines)
    pack = PackBuilder()
    digests = (blake3(content).digest(), blake3(tree).digest())
    said = size if said is None else said
    places = [pack.add(digests[0], frame, said), pack.add(digests[1], b"\0" + tree, len(tree))]
    pack_id = forge.pack(pack.finished())
    records = [layouts.RECORD.pack(d, 0, *p) for d, p in zip(digests, places, strict=True)]
    payload = forge.layout(digests[1].hex(), [pack_id], records[:1], [(records[1], "a")])
    forge.manifest("k", 1, payload={"tree": payload, "size": size, "files": 1})


def _tree_of(forge: Forge, piece: bytes, count: int) -> None:
    """Make a version whose tree is one piece, again and again."""
    pack = PackBuilder()
    digest = blake3(piece).digest()
    place = pack.add(digest, _frame(piece), len(piece))
    pack_id = forge.pack(pack.finished())
    record = layouts.RECORD.pack(digest, 0, *place)
    payload = forge.layout("ab" * 32, [pack_id], [], [(record, "")] * count)
    forge.manifest("k", 1, payload={"tree": payload, "size": 0, "files": 1})


def _listed(forge: Forge, record: bytes, size: int, repeats: int) -> None:
    """Make a version of one file whose chunk list repeats one record without end, nearly."""
    whole = len(LARGE) // 36
    chunks = record * whole
    digest = blake3(chunks).hexdigest()
    references = ",".join([f'["{digest}",{len(chunks)}]'] * repeats)
    text = line("a", b"x", extra=f',"list":[{references}]').replace(
        b'"size":1,', b'"size":%d,' % size
    )
    tree = forge.tree([text], [b"x", b"", chunks])
    forge.manifest("k", 1, payload={"tree": tree, "size": size, "files": 1})


def _wide_layout(forge: Forge) -> None:
    tree = "cd" * 32
    for at in range(104, 128, 4):
        for value in (2**31, 2**32 - 1, 17):
            data = bytearray(layouts.encode(tree, [], b"", []))
            data[at : at + 4] = value.to_bytes(4, "little")
            forge.raw_layout(tree, bytes(data))
    forge.manifest("k", 1, payload={"tree": tree, "size": 1, "files": 1})


def _wide_pack(forge: Forge) -> None:
    tree = forge.tree([line("a", b"x")], [b"x"])
    forge.manifest("k", 1, payload={"tree": tree, "size": 1, "files": 1})
    [path] = forge.place.glob("packs/*/*.pack")
    data = bytearray(path.read_bytes())
    data[-64:-60] = (2**32 - 1).to_bytes(4, "little")
    path.write_bytes(data)


def _sparse(pattern: str, size: int = TIB) -> Callable[[Forge], None]:
    def make(forge: Forge) -> None:
        tree = forge.tree([line("a", b"x")], [b"x"])
        forge.manifest("k", 1, payload={"tree": tree, "size": 1, "files": 1})
        with Repo(forge.place.parent) as repo:
            repo.listing()
        fields = {"key": "k", "set": {"title": "t"}, "id": "b3:" + "0" * 64}
        forge.entry("refs/k/_notes/00000001.yaml", fields)
        [path] = forge.place.glob(pattern)
        os.truncate(path, size)

    return make


def _sparse_directory(forge: Forge) -> None:
    """A pack of many gigabytes, nearly all of it its directory, where it says."""
    _sparse("packs/*/*.pack")(forge)
    [path] = forge.place.glob("packs/*/*.pack")
    count = 2**31
    os.truncate(path, 32)
    trailer = count.to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(48) + packs.END_MAGIC
    with path.open("r+b") as file:
        file.seek(32 + 44 * count)
        file.write(trailer)


BOMBS: dict[str, Callable[[Forge], None]] = {
    "a frame that claims a tebibyte": lambda f: _one_chunk(f, _claiming(TIB), 8 << 20),
    "a frame that claims all there is": lambda f: _one_chunk(f, _claiming(2**64 - 2), 8 << 20),
    "a frame with a huge window": lambda f: _one_chunk(f, _claiming(8 << 20, 0xFF), 8 << 20),
    "a frame that unfolds to more": lambda f: _one_chunk(f, _frame(LARGE * 20), 8 << 20),
    "a frame without size that unfolds": lambda f: _one_chunk(
        f, _frame(LARGE * 20, write_content_size=False), 8 << 20
    ),
    "a chunk that is said to be huge": lambda f: _one_chunk(f, _frame(LARGE), 2**32 - 1),
    "a chunk that is said to be a tebibyte": lambda f: _one_chunk(f, _frame(LARGE), TIB, 1),
    "a line without end": lambda f: _tree_of(f, b"x" * (8 << 20), 100_000),
    "lines without end": lambda f: _tree_of(f, line("a", b"") * 50_000, 100_000),
    "empty lines": lambda f: _tree_of(f, b"\n" * (8 << 20), 1000),
    "a list of empty chunks": lambda f: _listed(
        f, blake3(b"").digest() + bytes(4), 1 << 62, 100_000
    ),
    "a list of one chunk again and again": lambda f: _listed(
        f, blake3(b"x").digest() + (1).to_bytes(4, "little"), 10, 100_000
    ),
    "a list that claims large chunks": lambda f: _listed(
        f, blake3(b"x").digest() + (2**32 - 1).to_bytes(4, "little"), 1 << 62, 100_000
    ),
    "layouts with huge counts": _wide_layout,
    "a pack with a huge count": _wide_pack,
    "a sparse manifest": _sparse("manifests/k/*.yaml"),
    "a sparse note": _sparse("refs/k/_notes/*.yaml"),
    "a sparse layout": _sparse("layouts/*/*/*"),
    "a sparse pack": _sparse("packs/*/*.pack"),
    "a pack that is all directory": _sparse_directory,
    "a sparse config": _sparse("config.yaml"),
    "a sparse format": _sparse("format.yaml"),
    "a sparse index": _sparse("index.sqlite"),
}


# What is read does not need what is wrong with them; `doctor` reports it.
HARMLESS = ("a sparse index", "a sparse pack", "a pack with a huge count")
HARMLESS += ("a pack that is all directory", "a sparse note")


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_little_memory(name: str, repo: Repo, workplace: Path) -> None:
    repo.config.set("author", "ana")
    repo.close()
    BOMBS[name](Forge(repo.root))

    words = [sys.executable, "-m", "tests.test_bombs", str(workplace)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS)

    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout)
    assert set(codes) <= {0, 2, 8, 12}, codes
    assert 8 in codes or name in HARMLESS, codes
    size = sum(path.stat().st_size for path in workplace.glob("out/**/*"))
    assert size < 64 << 20


def attempt_everything(root: Path) -> list[int]:
    """Return the exit code of each question, asked in a process with little memory."""
    codes = []

    def ask(question: Callable[[], object]) -> None:
        try:
            question()
            codes.append(0)
        except ArtError as error:
            codes.append(error.exit_code)

    repos: list[Repo] = []
    ask(lambda: repos.append(Repo(root)))
    if repos:
        repo = repos[0]
        ask(repo.listing)
        ask(lambda: repo.history("k"))
        ask(lambda: repo.version("k").files)
        ask(lambda: repo.version("k").read("a"))
        ask(lambda: repo.version("k").get(root / "out"))
        ask(repo.doctor)
        ask(repo.du)
        ask(lambda: repo.value("k", 1))
    return codes


if __name__ == "__main__":
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    sys.stdout.write(json.dumps(attempt_everything(Path(sys.argv[1]))))
