"""The cases of hostile archives for `art import`; see repositories.py."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from tests.data.hostile.documents import HEAD
from tests.data.hostile.repositories import CHUNKING, EVIL, REPOSITORY, case
from tests.support_corpus import content
from tests.support_hostile import NOW, document, line, seal

Member = dict[str, Any]
MIB = 1 << 20
FILES = "k/v1/files/"
_TREE = line("a", EVIL)
_PIECE = blake3(_TREE).digest() + len(_TREE).to_bytes(4, "little")
TREE = blake3(_PIECE).hexdigest()


def head(**changes: Any) -> Member:
    fields = {"art": 1, "uid": REPOSITORY, "created": NOW, "repository": REPOSITORY}
    fields |= {"history": REPOSITORY, "chunking": CHUNKING, **changes}
    return member(".art/archive.yaml", document(fields))


def member(name: str, data: bytes = b"", **more: Any) -> Member:
    return {"name": name, "content": content(data), **more}


MANIFEST = seal((HEAD + f"payload:\n  tree: {TREE}\n  size: 4\n  files: 1\n").encode())
VERSION = member(".art/manifests/k/v00000001.yaml", MANIFEST)
FILE = member(f"{FILES}a", EVIL)
END = member(".art/end")


def archive(name: str, about: str, *members: Member, kind: str = "tar") -> None:
    """An archive of these members."""
    spec = {"archive": kind, "members": list(members)}
    case(f"archive-{name}", about)(lambda forge: {"alone": True, "archive": spec})


def files(name: str, about: str, *members: Member, kind: str = "tar") -> None:
    """An archive of one version, with these members as its files."""
    archive(name, about, head(), VERSION, *members, END, kind=kind)


def raw(name: str, about: str, data: bytes) -> None:
    case(f"archive-{name}", about)(lambda forge: {"alone": True, "archive": content(data)})


def register() -> None:
    """Register all cases."""
    _members()
    _documents()
    _bombs()
    _zips()


def _members() -> None:
    files("right", "an archive of which nothing is wrong, for comparison", FILE)
    files("path-up", "a file above its version", member(f"{FILES}../../../evil", EVIL))
    files("path-absolute", "a file with an absolute path", member("/tmp/evil-of-art", EVIL))
    files("path-art", "a file in a repository", member(f"{FILES}.art/config.yaml", EVIL))
    files("path-other", "a file of no version", member("l/v1/files/a", EVIL))
    files("device", "a device", member(f"{FILES}a", type="3"))
    files("pipe", "a pipe", member(f"{FILES}a", type="6"))
    files("hard-link", "a hard link out", member(f"{FILES}a", type="1", link="/etc/passwd"))
    files("link-out", "a link out in place of the file", member(f"{FILES}a", type="2", link="/etc"))
    files(
        "link-then-file",
        "a link, then a file through it",
        member(f"{FILES}a", type="2", link="../../../.."),
        member(f"{FILES}a/evil", EVIL),
    )
    files("twice", "one file twice", FILE, FILE)
    files("unknown", "a member of an unknown type", member(f"{FILES}a", type="Z"))
    files("sparse", "a sparse file without a map", member(f"{FILES}a", type="S"))
    files("size-huge", "a file of 2^60 bytes that are not there", member(f"{FILES}a", size=1 << 60))
    archive("no-file", "a version whose file is missing", head(), VERSION, END)


def _documents() -> None:
    archive("empty", "a tar file without a member")
    archive("no-end", "an archive that ends too early", head(), VERSION)
    archive("no-head", "an archive that does not say of which repository", VERSION, FILE, END)
    archive("head-newer", "an archive of a newer format", head(art=2), VERSION, END)
    archive(
        "head-chunking", "an archive that cuts in chunks of 2^60", head(chunking={"max": 1 << 60})
    )
    archive(
        "head-path", "an archive of a repository whose id is a path", head(repository="../../x")
    )
    archive("twice-document", "one manifest twice", head(), VERSION, VERSION, FILE, END)
    archive("config", "a config.yaml", head(), member(".art/config.yaml", b"author: eve\n"), END)
    archive("hook", "a hook", head(), member(".art/hooks/post-get", b"#!/bin/sh\n"), END)
    archive("end-folder", "an end that is a folder", head(), member(".art/end", type="5"))
    for name, path in (
        ("key-path", ".art/manifests/../../x/v00000001.yaml"),
        ("keyless-path", ".art/anonymous/../../x.yaml"),
        ("log-path", ".art/refs/k/_tags/../../../../00000001.yaml"),
        ("number-huge", ".art/manifests/k/v999999999999999999.yaml"),
        ("number-zero", ".art/manifests/k/v00000000.yaml"),
    ):
        archive(name, f"a manifest at {path}", head(), member(path, MANIFEST), FILE, END)
    progress = member(".art/progress/../../x.yaml", MANIFEST)
    archive("progress-path", "a progress that is a path out", head(), VERSION, progress, FILE, END)
    folder = member(".art/manifests/k/v00000001.yaml", type="5")
    archive("document-folder", "a manifest that is a folder", head(), folder, END)


def _bombs() -> None:
    zeros = {"zeros": 256 * MIB}
    for kind in ("tar.gz", "zip"):
        huge = {**VERSION, "content": zeros}
        archive(f"document-{kind[-2:]}", "a manifest of 256 MiB", head(), huge, END, kind=kind)
        file = {**FILE, "content": zeros}
        files(f"file-{kind[-2:]}", "256 MiB in place of 4 bytes", file, kind=kind)
    for name, kind in (("pax", "x"), ("pax-global", "g"), ("long-name", "L"), ("long-link", "K")):
        bomb = {"name": "x", "type": kind, "content": zeros}
        about = f"a header of type {kind} that unfolds to 256 MiB"
        archive(f"header-{name}", about, head(), bomb, FILE, END, kind="tar.gz")
    chain = member("x", b"name", type="L", times=3_000)
    archive("header-chain", "3,000 headers about the header that follows", chain, kind="tar.gz")
    for name, text in (
        ("digits", b"99999999999999999999 path=x\n"),
        ("number", b"21 GNU.sparse.size=x\n22 GNU.sparse.major=x\n"),
        ("map", b"29 GNU.sparse.map=a,b,c,d,ef\n"),
        ("size", b"31 size=999999999999999999999\n"),
        ("bytes", b"30 hdrcharset=\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\n"),
    ):
        files(f"pax-{name}", "a pax header that means nothing", member("x", text, type="x"), FILE)


def _zips() -> None:
    files("zip-right", "a zip file of which nothing is wrong", FILE, kind="zip")
    files("zip-path-up", "a file above its version", member(f"{FILES}../../x", EVIL), kind="zip")
    files("zip-absolute", "a file with an absolute path", member("/tmp/x", EVIL), kind="zip")
    files("zip-backslash", "a path with backslashes", member(f"{FILES}..\\x", EVIL), kind="zip")
    files("zip-device", "a device", member(f"{FILES}a", mode=0o020644), kind="zip")
    link = member(f"{FILES}a", b"../../..", mode=0o120777)
    through = member(f"{FILES}a/evil", EVIL)
    files("zip-link", "a link, then a file through it", link, through, kind="zip")
    huge = {"name": f"{FILES}a", "content": {"zeros": 256 * MIB}, "mode": 0o120777}
    files("zip-link-huge", "a link of 256 MiB", huge, kind="zip")
    for name, method in (("bzip2", 12), ("lzma", 14)):
        files(f"zip-{name}", f"a file packed with {name}", {**FILE, "method": method}, kind="zip")
    raw("text", "a text", b"no archive\n")
    raw("gzip", "the first bytes of a gzip file", b"\x1f\x8b\x08\x00evil")
    raw("zip-end", "the end of a zip file that claims 65,535 members", _END_OF_ZIP)
    raw("zeros", "10 KiB of zeros", bytes(10_240))


_END_OF_ZIP = b"PK\x05\x06" + b"\0" * 4 + b"\xff" * 4 + b"\xff\xff\0\0" + bytes(4) + b"\0\0"
