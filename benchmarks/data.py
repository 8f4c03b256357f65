"""Deterministic data for the benchmarks: the same arguments give the same bytes everywhere."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
FILES_PER_FOLDER = 100


def many_files(root: Path, count: int) -> None:
    """Make `count` files of 1 to 16 KiB below `root`, 100 in a folder: half random, half text."""
    for index in range(count):
        path = _path_of(root, index)
        if index % FILES_PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(_content(index, edition=0))


def change_files(root: Path, count: int, *, edition: int, share: float = 0.01) -> None:
    """Rewrite `share` of the files that `many_files(root, count)` made; each edition differs."""
    rng = random.Random(f"change/{edition}")
    for index in rng.sample(range(count), max(1, round(count * share))):
        _path_of(root, index).write_bytes(_content(index, edition))


def random_file(path: Path, size: int, *, seed: str) -> None:
    """Write `size` bytes that no tool can compress."""
    with path.open("wb") as file:
        file.writelines(_random_blocks(size, seed))


def overwrite_blocks(path: Path, *, seed: str, share: float = 0.01, block: int = 4 * KIB) -> None:
    """Replace `share` of the file's aligned blocks in place, scattered, as a database does."""
    rng = random.Random(seed)
    blocks = path.stat().st_size // block
    with path.open("r+b") as file:
        for number in sorted(rng.sample(range(blocks), round(blocks * share))):
            file.seek(number * block)
            file.write(rng.randbytes(block))


def insert_in_front(path: Path, size: int, *, seed: str) -> None:
    """Put `size` random bytes before the first byte of the file."""
    longer = path.with_name(path.name + ".longer")
    random_file(longer, size, seed=seed)
    with path.open("rb") as old, longer.open("ab") as new:
        shutil.copyfileobj(old, new, MIB)
    longer.replace(path)


def append(path: Path, size: int, *, seed: str) -> None:
    """Put `size` random bytes after the last byte of the file."""
    with path.open("ab") as file:
        file.writelines(_random_blocks(size, seed))


def sparse_file(path: Path, size: int) -> None:
    """Make a file of `size` zero bytes that takes no room on disk."""
    with path.open("wb") as file:
        file.truncate(size)


def small_files(root: Path, count: int, *, per_folder: int = 1000) -> None:
    """Make `count` files of a few bytes each, no two alike, `per_folder` in a folder."""
    for first in range(0, count, per_folder):
        folder = root / f"{first // per_folder:05d}"
        folder.mkdir(parents=True)
        for index in range(first, min(first + per_folder, count)):
            (folder / f"{index:08d}.txt").write_bytes(b"record %d of a small file\n" % index)


def files_below(path: Path) -> list[Path]:
    """Return the regular files of a tree, or the file itself, sorted by path."""
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())


def warm(path: Path) -> None:
    """Read every file once, so that it is in the page cache."""
    buffer = bytearray(MIB)
    for name in files_below(path):
        with name.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def digest(path: Path) -> str:
    """Return a digest of the names and contents of a tree, or of the contents of a file."""
    total = hashlib.blake2b(digest_size=16)
    for name in files_below(path):
        one = hashlib.blake2b(name.read_bytes(), digest_size=16)
        total.update(f"{name.relative_to(path)}\0{one.hexdigest()}\n".encode())
    return total.hexdigest()


def stored_bytes(root: Path) -> int:
    """Return the sum of the sizes of all files below `root`, one with several names once."""
    sizes = {}
    for path in files_below(root):
        status = path.stat()
        sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _path_of(root: Path, index: int) -> Path:
    suffix = "txt" if index % 2 else "bin"
    return root / f"{index // FILES_PER_FOLDER:04d}" / f"{index:06d}.{suffix}"


def _content(index: int, edition: int) -> bytes:
    rng = random.Random(f"file/{index}/{edition}")
    size = rng.randint(1 * KIB, 16 * KIB)
    return _text(rng, size) if index % 2 else rng.randbytes(size)


def _text(rng: random.Random, size: int) -> bytes:
    sentences = _sentences()
    text = b"".join(rng.choices(sentences, k=size // 40))
    return text[:size].ljust(size, b"\n")


@lru_cache(maxsize=1)
def _sentences() -> tuple[bytes, ...]:
    """Return sentences of made-up words; each is longer than 40 bytes on average."""
    rng = random.Random("sentences")
    letters = "eeeetttaaaooiinnsshhrrddlluucmwfgypbvk"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(2000)]
    lines = (" ".join(rng.choices(words, k=rng.randint(6, 14))) for _ in range(4096))
    return tuple(f"{line.capitalize()}.\n".encode() for line in lines)


def _random_blocks(size: int, seed: str) -> Iterator[bytes]:
    rng = random.Random(seed)
    for start in range(0, size, MIB):
        yield rng.randbytes(min(MIB, size - start))
