"""Folders as readable text and back, for the corpus of hostile repositories (tests/data/hostile)."""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

# A text, or a mapping with one of `text`, `base64`, `parts`, `zeros`, `link`, `pipe`, `folder`, `archive`,
# and MAY `mode` and `size`, to which the file is then extended.
Spec = Any
_RUN = re.compile(rb"(.{1,64}?)\1{199,}", re.DOTALL)
CORPUS = Path(__file__).parent / "data" / "hostile"
_PRINTABLE = {*range(32, 127), 10}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def dump(document: dict[str, Any]) -> str:
    """Return YAML for people, the same for the same document."""
    return str(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=1000)
    )


def describe(folder: Path) -> dict[str, Spec]:
    """Return what lies in a folder, by name."""
    found: dict[str, Spec] = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place, name)
            spec = _describe(path)
            if spec is not None:
                found[path.relative_to(folder).as_posix()] = spec
    return dict(sorted(found.items()))


def _describe(path: Path) -> Spec:
    if path.is_symlink():
        return {"link": os.readlink(path)}
    if path.is_fifo():
        return {"pipe": True}
    if path.is_dir():
        return {"folder": True} if not any(path.iterdir()) else None
    return content(path.read_bytes()) if not path.stat().st_mode & 0o100 else _program(path)


def _program(path: Path) -> Spec:
    return {"text": path.read_text(), "mode": 0o755}


def content(data: bytes) -> Spec:
    """Return bytes as a text where they are one that people can read; what repeats is said once."""
    parts: list[Spec] = []
    at = 0
    for run in _RUN.finditer(data):
        parts += [_plain(data[at : run.start()])] if at < run.start() else []
        times, at = len(run[0]) // len(run[1]), run.end()
        parts.append({"times": times, "of": _plain(run[1])})
    parts += [_plain(data[at:])] if at < len(data) or not parts else []
    return parts[0] if len(parts) == 1 and "times" not in parts[0] else {"parts": parts}


def _plain(data: bytes) -> Spec:
    if set(data) <= _PRINTABLE:
        return data.decode("ascii")
    return {"base64": base64.b64encode(data).decode("ascii")}


def build(files: dict[str, Spec], folder: Path) -> None:
    """Make the files, as `describe` gave them, in a folder."""
    for name, spec in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _build(path, {"text": spec} if isinstance(spec, str) else spec)


def _build(path: Path, spec: dict[str, Any]) -> None:
    if "link" in spec:
        path.symlink_to(spec["link"])
    elif "pipe" in spec:
        os.mkfifo(path)
    elif "folder" in spec:
        path.mkdir()
    elif "archive" in spec:
        path.write_bytes(_archive(spec))
    else:
        path.write_bytes(_bytes(spec))
        path.chmod(spec.get("mode", 0o644))
        if "size" in spec:
            os.truncate(path, spec["size"])


def _bytes(spec: Spec) -> bytes:
    if isinstance(spec, str):
        return spec.encode()
    if "zeros" in spec:
        return bytes(spec["zeros"])
    if "parts" in spec:
        return b"".join(map(_bytes, spec["parts"]))
    if "times" in spec:
        return _bytes(spec["of"]) * int(spec["times"])
    return spec["text"].encode() if "text" in spec else base64.b64decode(spec["base64"])


def _archive(spec: dict[str, Any]) -> bytes:
    """Return a tar, tar.gz or zip file of `members`: `name`, `content`; of a zip file `mode`, `method`; of a
    tar file `type`, `link`, `size`, `times`."""
    file = io.BytesIO()
    if spec["archive"] == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for member in spec["members"]:
                _add_to_zip(bundle, member)
    elif spec["archive"] == "tar.gz":
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as packed:
            _write_tar(packed, spec["members"])
    else:
        _write_tar(file, spec["members"])
    return file.getvalue()


def _add_to_zip(bundle: zipfile.ZipFile, member: dict[str, Any]) -> None:
    info = zipfile.ZipInfo(member["name"], (2026, 11, 21, 8, 30, 0))
    info.compress_type = member.get("method", zipfile.ZIP_DEFLATED)
    info.external_attr = member.get("mode", 0o100644) << 16
    bundle.writestr(info, _bytes(member.get("content", "")))


def _write_tar(file: io.BytesIO | gzip.GzipFile, members: list[dict[str, Any]]) -> None:
    """Write headers as they are asked for: tarfile writes only what can be."""
    for member in members:
        data = _bytes(member.get("content", ""))
        info = tarfile.TarInfo(member["name"])
        info.size = member.get("size", len(data))
        info.type = member.get("type", "0").encode()
        info.linkname = member.get("link", "")
        header = info.tobuf(tarfile.GNU_FORMAT)
        for part in (header, data, bytes(-len(data) % 512)) * member.get("times", 1):
            file.write(part)
    file.write(bytes(2 * tarfile.BLOCKSIZE))
