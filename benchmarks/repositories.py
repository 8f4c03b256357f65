"""Make large repositories fast: one version made by `art`, the others written from its manifest.

A manifest is all that makes a version exist, so only what FORMAT.md says is used here: where
manifests lie, that `uid` differs, and how `check` is computed. Runs in the interpreter in which
`art` is installed, as it needs `blake3`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from blake3 import blake3

FIRST_KEY = "group-0/key-00000"
HISTORY = "history"
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def make_keys(art: str, repository: Path, count: int) -> None:
    """Make a repository with `count` keys of one version each, 100 in a group."""
    template = _first_version(art, repository, FIRST_KEY)
    for number in range(1, count):
        key = f"group-{number // 100}/key-{number:05d}"
        _write_manifest(repository, key, 1, _manifest(template, key, number))


def make_versions(art: str, repository: Path, count: int, keys: int = 1, every: int = 1) -> None:
    """Make a repository that has `count` versions in all, made one `every` so many seconds; with one
    key it is `history`, with more they take turns."""
    names = [HISTORY] if keys == 1 else [f"{HISTORY}/{at:05d}" for at in range(keys)]
    template = _first_version(art, repository, names[0])
    for at in range(1, count):
        key = names[at % keys]
        manifest = _manifest(template, key, at + 1, every)
        _write_manifest(repository, key, at // keys + 1, manifest)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a large repository.")
    parser.add_argument("kind", choices=("keys", "versions"))
    parser.add_argument("repository", type=Path, help="a folder that does not exist yet")
    parser.add_argument("count", type=int)
    parser.add_argument("--keys", type=int, default=1, help="that share the versions")
    parser.add_argument("--every", type=int, default=1, help="seconds between two versions")
    parser.add_argument("--art", default="art", help="the program that makes the first version")
    options = parser.parse_args(words)
    if options.kind == "keys":
        make_keys(options.art, options.repository, options.count)
    else:
        counts = (options.count, options.keys, options.every)
        make_versions(options.art, options.repository, *counts)
    os.sync()
    return 0


def _first_version(art: str, repository: Path, key: str) -> bytes:
    """Make the repository with one version of `key`, and return its manifest."""
    repository.mkdir()
    payload = repository / "payload.txt"
    payload.write_text("one line\n", encoding="utf-8")
    subprocess.run([art, "init", str(repository)], check=True, stdout=subprocess.DEVNULL)
    create = [art, "-C", str(repository), "create", key, str(payload.absolute())]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
    return _manifest_path(repository, key, 1).read_bytes()


def _manifest(template: bytes, key: str, number: int, every: int = 1) -> bytes:
    """Return the template with another key, uid and time."""
    created = _START + timedelta(seconds=every * number)
    changed = {
        "uid": f"019aa5a8-1f2e-7000-8000-{number:012x}",
        "key": key,
        "created": f"'{created:%Y-%m-%dT%H:%M:%S}.000000Z'",
    }
    lines = template.decode().splitlines()[:-1]  # the last one is `check`
    names = [line.partition(":")[0] for line in lines]
    lines = [
        f"{name}: {changed[name]}" if name in changed else line
        for name, line in zip(names, lines, strict=True)
    ]
    body = "".join(f"{line}\n" for line in lines).encode()
    return body + b"check: " + blake3(body).hexdigest()[:32].encode() + b"\n"


def _write_manifest(repository: Path, key: str, number: int, manifest: bytes) -> None:
    path = _manifest_path(repository, key, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest)


def _manifest_path(repository: Path, key: str, number: int) -> Path:
    return repository / ".art" / "manifests" / key / f"v{number:08d}.yaml"


if __name__ == "__main__":
    sys.exit(main())
