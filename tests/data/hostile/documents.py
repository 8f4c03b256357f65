"""The cases whose documents, logs, settings or contents are hostile; see repositories.py."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from art import checkpoint as checkpoints
from art.catalog import Log
from tests.data.hostile.repositories import EVIL, MIB, TIB, case, neighbour, payload
from tests.support_hostile import NOW, Forge, line, rle_frame, seal

# -- documents -------------------------------------------------------------------------------------

HEAD = "art: 1\nuid: 019aa5a8-0000-7000-8000-00000000ffff\nkey: k\ntype: folder\n"
HEAD += f"created: '{NOW}'\nauthor: eve\n"


def manifest(name: str, about: str, more: str, head: str = HEAD) -> None:
    """A manifest that says more than it may."""

    def make(forge: Forge) -> None:
        neighbour(forge)
        forge.put("manifests/k/v00000001.yaml", seal((head + more).encode()))

    case(name, about)(make)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
manifest("yaml-laughs", "a billion laughs", LAUGHS)
manifest("yaml-anchor", "an anchor and an alias", "metadata: &a\n  b: *a\n")
manifest(
    "yaml-object", "a tag that makes an object", "metadata: !!python/object/apply:os.system [id]\n"
)
manifest("yaml-binary", "a tag that makes bytes", "metadata: !!binary aGk=\n")
manifest("yaml-deep", "100,000 brackets", f"metadata: {'[' * 100_000}\n")
manifest("yaml-deep-block", "a thousand lists in lists", f"metadata:\n- {'- ' * 1000}x\n")
manifest("yaml-twice", "a field twice", "title: one\ntitle: two\n")
manifest("yaml-digits", "a number of 100,000 digits", f"metadata:\n  n: {'9' * 100_000}\n")
manifest("yaml-sixty", "a number of base 60 without end", f"metadata:\n  n: 1{':59' * 30_000}\n")
manifest("yaml-merge", "a merge key", "metadata:\n  <<: {a: 1}\n")
manifest("yaml-two", "two documents in one", "---\nart: 1\n")
manifest("yaml-date", "a value that is a date", "metadata:\n  day: 2026-11-21\n")
manifest("yaml-nul", "a control character", 'title: "a\x00b"\n')
manifest(
    "field-sizes",
    "sizes of 2^60 bytes and files",
    f"payload:\n  tree: {'ab' * 32}\n  size: {1 << 60}\n  files: {1 << 60}\n",
)
manifest(
    "field-size-long",
    "a size of 2^63",
    f"payload:\n  tree: {'ab' * 32}\n  size: {1 << 63}\n  files: 1\n",
)
manifest(
    "field-tree-path",
    "a payload that is a path out",
    "payload:\n  tree: ../../outside/secret\n  size: 1\n  files: 1\n",
)
manifest("field-preview-path", "a preview that is a path out", "preview: ../../../outside/secret\n")
manifest("field-labels", "a quarter of a million labels", "labels:\n" + "- a\n" * 250_000)
manifest(
    "field-labels-many",
    "ten thousand labels",
    "labels:\n" + "".join(f"- l{n:04}\n" for n in range(10_000)),
)
manifest("field-labels-twice", "labels that repeat", "labels:\n- a\n- a\n")
manifest(
    "field-two-payloads",
    "two payloads at once",
    f"payload:\n  inline: x\n  tree: {'ab' * 32}\n  size: 1\n  files: 1\n",
)
manifest(
    "field-inline-other",
    "an inline text of another digest",
    f"payload:\n  inline: evil\n  size: 4\n  b3: {'0' * 64}\n",
)
manifest(
    "field-terminal",
    "texts that a terminal would obey",
    'title: "\\e[2J\\e]0;evil\\a"\ndescription: "\\u202e\\r"\n',
)
manifest(
    "field-inputs",
    "an input that is the version itself",
    f"inputs:\n- key: k\n  id: b3:{'ab' * 32}\n  number: 1\n",
)
manifest("field-newer", "a newer format", "", HEAD.replace("art: 1", "art: 2"))
manifest("field-format-huge", "a format of 10^30", "", HEAD.replace("art: 1", f"art: {10**30}"))
manifest("field-created", "a day that no calendar has", "", HEAD.replace("11-21", "13-45"))
manifest("field-other-key", "a manifest of another key", "", HEAD.replace("key: k", "key: other"))
manifest("field-key-path", "a key that is a path out", "", HEAD.replace("key: k", "key: ../k"))
manifest("field-no-uid", "an uid that is a path out", "", HEAD.replace("019aa5a8", "../../../"))


def refers(name: str, about: str, url: str) -> None:
    def make(forge: Forge) -> None:
        neighbour(forge)
        fields = {"reference": url, "checksum": "b3:" + "0" * 64}
        forge.manifest("k", 1, type="reference", payload=fields)

    case(name, about)(make)


refers("reference-endless", "a reference to a device without end", "file:///dev/zero")
refers("reference-process", "a reference to a process's memory", "file:///proc/self/mem")
refers("reference-code", "a reference that names code", "python:///os.system")
refers("reference-nobody", "a reference to where nobody listens", "http://127.0.0.1:9/x")


# -- logs ------------------------------------------------------------------------------------------


@case("log-number-huge", "a version of number 10^18-1")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.manifest("k", 10**18 - 1)


@case("log-number-beyond", "versions and entries of numbers 2^63, 10^30 and 0")
def _(forge: Forge) -> None:
    neighbour(forge)
    for number in (2**63, 10**30, 0):
        forge.manifest("k", number)
        forge.entry(
            f"refs/k/_notes/{number:08}.yaml", {"key": "k", "id": "b3:" + "0" * 64, "set": {}}
        )


@case("log-gap", "a log with a gap of a billion numbers")
def _(forge: Forge) -> None:
    neighbour(forge)
    id = forge.manifest("k", 1)
    for number in (1, 10**9):
        fields = {"key": "k", "state": "deleted", "versions": [{"id": id, "number": 1}]}
        forge.entry(f"refs/k/_state/{number:08}.yaml", fields)


@case("log-uid-twice", "two versions with one uid")
def _(forge: Forge) -> None:
    neighbour(forge)
    for number in (1, 2):
        forge.manifest("k", number, uid="019aa5a8-0000-7000-8000-0000000000aa", title=str(number))


@case("log-moves-circle", "versions that were moved in a circle")
def _(forge: Forge) -> None:
    neighbour(forge)
    ids = {key: forge.manifest(key, 1) for key in ("k", "l")}
    for key, other in (("k", "l"), ("l", "k")):
        to = {"key": other, "id": ids[other], "number": 1}
        fields = {
            "key": key,
            "state": "moved",
            "versions": [{"id": ids[key], "number": 1, "to": to}],
        }
        forge.entry(f"refs/{key}/_state/00000001.yaml", fields)


@case("log-tag-circle", "moves of a tag, each of which follows the other")
def _(forge: Forge) -> None:
    neighbour(forge)
    id = forge.manifest("k", 1)
    uids = [f"019aa5a8-0000-7000-8000-0000000000b{n}" for n in (1, 2)]
    for number, (uid, after) in enumerate(zip(uids, uids[::-1], strict=True), 1):
        fields = {"key": "k", "tag": "prod", "id": id, "after": after, "uid": uid}
        forge.entry(f"refs/k/_tags/prod/{number:08}.yaml", fields)


@case("log-tag-nowhere", "a tag of a version that is nowhere")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.manifest("k", 1)
    fields = {"key": "k", "tag": "prod", "id": "b3:" + "0" * 64, "after": None}
    forge.entry("refs/k/_tags/prod/00000001.yaml", fields)


@case("log-retention", "settings that keep nothing, with counts of 10^18")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.manifest("k", 1)
    rules = {"keep_last": 10**18, "keep_within": "9" * 1000 + "w"}
    fields = {"key": "k", "after": None, "settings": {"retention": rules}}
    forge.entry("refs/k/_settings/00000001.yaml", fields)


def checkpoint(name: str, about: str, make_bundle: Callable[[list[bytes]], bytes]) -> None:
    """65 versions, and a checkpoint of the first 64 that says something else."""

    def make(forge: Forge) -> None:
        log = Log("k", "versions")
        for number in range(1, 66):
            forge.manifest("k", number)
        contents = [(forge.place / log.file(number)).read_bytes() for number in range(1, 65)]
        forge.put(checkpoints.name(log, 1, 64), make_bundle(contents))

    case(name, about)(make)


def bundle(body: bytes, frame: bytes) -> bytes:
    return b"ARTCHKP\x01" + blake3(body).digest() + frame[1:]


def stored_frame(body: bytes) -> bytes:
    """Return a frame of one raw block."""
    header = b"\x28\xb5\x2f\xfd\xc0\x98" + len(body).to_bytes(8, "little")
    return b"\x01" + header + ((len(body) << 3) | 1).to_bytes(3, "little") + body


def other_documents(contents: list[bytes]) -> bytes:
    evil = contents[0].replace(b"author: eve", b"author: mal")
    body = b"".join(
        len(data).to_bytes(4, "little") + data for data in [seal(evil[:-40]), *contents[1:]]
    )
    return bundle(body, stored_frame(body))


checkpoint(
    "checkpoint-bomb",
    "a checkpoint that unfolds to zeros",
    lambda _: bundle(bytes(32 * MIB), rle_frame(32 * MIB)),
)
checkpoint(
    "checkpoint-claims",
    "a checkpoint that claims a TiB",
    lambda _: bundle(b"", rle_frame(9, claimed=TIB)),
)
checkpoint(
    "checkpoint-no-size",
    "a checkpoint that unfolds and does not say so",
    lambda _: bundle(b"", rle_frame(80 * MIB, claimed=-1)),
)
checkpoint("checkpoint-other", "a checkpoint of other documents than are there", other_documents)
checkpoint(
    "checkpoint-length",
    "a checkpoint whose documents are 4 GiB long",
    lambda _: bundle(b"\xff" * 8, stored_frame(b"\xff" * 8)),
)


# -- settings, hooks, features ---------------------------------------------------------------------


def configured(name: str, about: str, text: str) -> None:
    def make(forge: Forge) -> None:
        neighbour(forge)
        forge.folder("k", [line("a", EVIL)], [EVIL])
        forge.put("config.yaml", text.encode())

    case(name, about)(make)


configured("config-laughs", "a config.yaml with a billion laughs", LAUGHS)
configured("config-deep", "a config.yaml of 100,000 brackets", "[" * 100_000)
configured("config-code", "a config.yaml that makes an object", "author: !!python/name:os.system\n")
configured("config-list", "a config.yaml that is a list", "- author\n")
configured("config-remotes", "remotes that are a number", "remotes: 7\n")
configured(
    "config-remote-url",
    "a remote that names code",
    "remotes:\n  origin:\n    url: python://os.system\nauthority: origin\n",
)
configured(
    "config-remote-pipe",
    "a remote that is a device",
    "remotes:\n  origin:\n    url: /dev/zero\nauthority: origin\n",
)
configured(
    "config-remote-secret",
    "a remote with a password",
    "remotes:\n  origin:\n    url: s3://a:b@c/d\n",
)
configured("config-jobs", "a million threads", "jobs: 10000000\n")
configured(
    "config-signers", "signers that are a device", "signers: /dev/zero\nrequire_signature: true\n"
)
configured(
    "config-option",
    "a signing key that looks like an option",
    "signing_key: -oProxyCommand=touch proof\n",
)


@case("hooks", "programs wherever one might be run")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.folder("k", [line("a", EVIL)], [EVIL])
    for name in (
        "hooks/pre-create",
        "hooks/post-create",
        "hooks/post-get",
        "hooks/pre-push",
        "create",
    ):
        forge.put(name, b"#!/bin/sh\ntouch ../outside/proof proof\n").chmod(0o755)
    forge.put("sitecustomize.py", b"open('proof', 'w')\n")


@case("feature-read", "a feature without which nobody may read")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.put("features/read-evil", b"")


@case("feature-gc", "a feature without which nobody may delete")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.put("features/gc-evil", b"")


@case("feature-level", "a feature of an unknown level")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.put("features/eval-evil", b"")


@case("names-foreign", "names that no repository has")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.folder("k", [line("a", EVIL)], [EVIL])
    for name in ("manifests/K/v00000001.yaml", "manifests/v00000001.yaml", "manifests/a b/v1.yaml",
                 "refs/!/_tags/v1/00000001.yaml", "packs/zz/x.pack", "layouts/zz/x/y", "-rf",
                 "gc/marks/../x", "sync/x/y", "quarantine/x", "anonymous/x.yaml", "progress/-.yaml"):  # fmt: skip
        forge.put(name, b"evil\n")


@case("gc-marks", "marks that let gc delete all that is there")
def _(forge: Forge) -> None:
    neighbour(forge)
    forge.folder("k", [line("a", EVIL)], [EVIL])
    for path in sorted(forge.place.glob("packs/*/*.pack")):
        forge.put(f"gc/marks/{path.stem}", path.stem.encode() + b"\n")
    forge.put("gc/marks/" + "0" * 64, b"deleted\n")


# -- what is inside a payload ----------------------------------------------------------------------


def typed(name: str, about: str, kind: str, file: str, content: bytes) -> None:
    """A version of one file that says it is of a type."""

    def make(forge: Forge) -> None:
        neighbour(forge)
        digest = forge.tree([line(file, content)], [content])
        forge.manifest("k", 1, type=kind, payload=payload(digest, len(content), file=file))

    case(name, about)(make)


PIXELS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06\0\0\0\0\0\0\0"
typed("type-picture", "a picture of 2^62 pixels", "image", "a.png", PIXELS)
typed("type-json", "JSON of 100,000 brackets", "json", "a.json", b"[" * 60_000)
typed("type-json-digits", "a JSON number of 60,000 digits", "json", "a.json", b"9" * 60_000)
typed("type-table", "a table of 30,000 columns", "table", "a.csv", b"," * 30_000 + b"\n1\n")
typed(
    "type-table-cell",
    "a table with one cell that never ends",
    "table",
    "a.csv",
    b'a\n"' + b"x" * 60_000,
)
typed(
    "type-parquet",
    "a Parquet file of which all is wrong",
    "table",
    "a.parquet",
    b"PAR1" + b"\xff" * 64 + b"PAR1",
)
typed(
    "type-markdown",
    "a text of what a terminal obeys",
    "markdown",
    "a.md",
    b"\x1b[2J\x1b]0;x\x07\r" * 20,
)
