"""A repository by a hostile author, all its checksums right: nothing of it leaves its target."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from blake3 import blake3

import art
from art import staging
from art.errors import ArtError, ConflictError, CorruptError, StorageError, UsageError
from art.model import new_uid
from art.repo import Repo
from tests.support_hostile import NOW, Forge, document, line

EVIL = b"evil"
GOOD = b"good"


@pytest.fixture
def forge(repo: Repo) -> Forge:
    """Return what writes into the repository behind art's back."""
    return Forge(repo.root)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a folder that may be written to; what lies beside it may not."""
    place = tmp_path / "outside" / "target"
    place.parent.mkdir()
    (place.parent / "secret").write_bytes(b"untouched")
    return place


def everything(folder: Path) -> dict[str, bytes | str]:
    """Return all files and links below a folder; links are not followed."""
    found: dict[str, bytes | str] = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place, name)
            if path.is_symlink():
                found[str(path.relative_to(folder))] = str(path.readlink())
            elif path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


PATHS = [
    "../evil",
    "a/../../evil",
    "a/..",
    "..",
    ".",
    "",
    "/evil",
    "//evil",
    "/tmp/evil-of-art",
    "a//b",
    "a/./b",
    "a/",
    "./a",
    "nul\0byte",
    "../secret",
    "lone-\ud800-surrogate",
    "lone-\udc41-surrogate",
    ".art/hooks/post-create",
    "sub/.art/config.yaml",
    ".ART/format.yaml",
]


@pytest.mark.parametrize("path", PATHS, ids=ascii)
@pytest.mark.parametrize("kind", ["file", "link", "dir"])
def test_a_path_that_leads_out_of_the_target_is_refused(
    path: str, kind: str, repo: Repo, forge: Forge, target: Path
) -> None:
    if kind == "file":
        lines = [line(path, EVIL)]
    elif kind == "link":
        lines = [json.dumps({"path": path, "link": "x"}).encode() + b"\n"]
    else:
        lines = [json.dumps({"path": path, "mode": "755", "dir": True}).encode() + b"\n"]
    forge.folder("k", lines, [EVIL])

    for archive in (None, "tar", "zip"):
        with pytest.raises(CorruptError):
            repo.version("k").get(target, archive=archive)
        assert everything(target.parent) == {"secret": b"untouched"}
    target.mkdir()
    with pytest.raises(CorruptError):
        repo.version("k").get(target, force=True)
    assert everything(target.parent) == {"secret": b"untouched"}
    assert not Path("/tmp/evil-of-art").exists()


TREES = {
    "a link, then a file through it": [
        b'{"path":"a","link":".."}\n',
        line("a/secret", EVIL),
    ],
    "a link, then a link through it": [
        b'{"path":"a","link":".."}\n',
        b'{"path":"a/evil","link":"x"}\n',
    ],
    "a link, then a folder through it": [
        b'{"path":"a","link":".."}\n',
        b'{"path":"a/evil","mode":"755","dir":true}\n',
    ],
    "a link and a folder of one name": [
        b'{"path":"a","link":".."}\n',
        b'{"path":"a","mode":"700","dir":true}\n',
    ],
    "a file and a folder of one name": [line("a", EVIL), line("a/b", EVIL)],
    "a file and an empty folder of one name": [
        line("a", EVIL),
        b'{"path":"a","mode":"755","dir":true}\n',
    ],
    "a path twice": [line("a", EVIL), line("a", EVIL)],
    "paths out of order": [line("b", EVIL), line("a", EVIL)],
    "links to links, then a file": [
        b'{"path":"a","link":"b"}\n',
        line("a/secret", EVIL),
        b'{"path":"b","link":".."}\n',
    ],
    "no newline at the end": [line("a", EVIL)[:-1]],
    "an empty line": [line("a", EVIL), b"\n"],
    "not JSON": [b"{path:a}\n"],
    "a list": [b"[]\n"],
    "a text": [b'"a"\n'],
    "deep nesting": [b"[" * 100_000 + b"\n"],
    "a path that is a number": [b'{"path":1,"mode":"644","size":0,"b3":"' + b"0" * 64 + b'"}\n'],
    "a link that is a list": [b'{"path":"a","link":["x"]}\n'],
    "a link with NUL": [b'{"path":"a","link":"x\\u0000y"}\n'],
    "an empty link": [b'{"path":"a","link":""}\n'],
    "a link with a lone surrogate": [b'{"path":"a","link":"\\ud800"}\n'],
    "no mode": [b'{"path":"a","size":0,"b3":"' + b"0" * 64 + b'"}\n'],
    "a mode with set-user-id": [line("a", EVIL, mode="4755")],
    "a mode that is no number": [line("a", EVIL, mode="rwx")],
    "a negative size": [b'{"path":"a","mode":"644","size":-1,"b3":"' + b"0" * 64 + b'"}\n'],
    "a size of true": [b'{"path":"a","mode":"644","size":true,"b3":"' + b"0" * 64 + b'"}\n'],
    "a huge size": [b'{"path":"a","mode":"644","size":' + b"9" * 5000 + b',"b3":""}\n'],
    "a size as a fraction": [b'{"path":"a","mode":"644","size":4.0,"b3":"' + b"0" * 64 + b'"}\n'],
    "another size than the content": [line("a", EVIL).replace(b'"size":4', b'"size":3')],
    "a digest of nothing stored": [line("a", b"never stored")],
    "a digest in capitals": [line("a", EVIL).replace(b'"b3":"', b'"b3":"A')],
    "chunks that do not add up": [line("a", EVIL, extra=',"chunks":[["' + "0" * 64 + '",3]]')],
    "a chunk of no length": [line("a", EVIL, extra=',"chunks":[["' + "0" * 64 + '",0]]')],
    "a chunk with a huge length": [line("a", EVIL, extra=f',"chunks":[["{"0" * 64}",{2**70}]]')],
    "chunks that are a mapping": [line("a", EVIL, extra=',"chunks":{"a":1}')],
    "chunks of three": [line("a", EVIL, extra=',"chunks":[["a",1,2]]')],
    "chunks that are nowhere": [line("a", EVIL, extra=',"chunks":[["' + "0" * 64 + '",4]]')],
    "chunks of another content": [
        line("a", GOOD, extra=f',"chunks":[["{blake3(EVIL).hexdigest()}",4]]')
    ],
    "a list that is no list": [
        line("a", EVIL, extra=f',"list":[["{blake3(EVIL).hexdigest()}",4]]')
    ],
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_that_cannot_be_is_refused(
    name: str, repo: Repo, forge: Forge, target: Path
) -> None:
    forge.folder("k", TREES[name], [EVIL])

    for archive in (None, "tar", "zip"):
        with pytest.raises(CorruptError) as failure:
            repo.version("k").get(target, archive=archive)
        assert any(word in failure.value.message for word in ("tree ", "layouts/", "packs/"))
        assert everything(target.parent) == {"secret": b"untouched"}
    target.mkdir()
    with pytest.raises(CorruptError):
        repo.version("k").get(target, force=True)
    assert everything(target.parent) == {"secret": b"untouched"}


def test_names_that_are_odd_and_possible_are_written_as_they_are(
    repo: Repo, forge: Forge, target: Path
) -> None:
    names = ["\x1b[31mred", "-rf", "C:evil", "C:\\evil", "a\\..\\b", "con", "new\nline", "~", "$x"]
    names += ["..a", "...", ".artx", "x.art", "caf\u00e9", "\udcff\udc80", " ", "*", "a" * 255]
    forge.folder("k", [line(name, GOOD) for name in sorted(names)], [GOOD])

    repo.version("k").get(target)

    assert everything(target) == dict.fromkeys(names, GOOD)
    assert everything(target.parent).keys() == {"secret", *(f"target/{name}" for name in names)}


def test_a_name_too_long_for_the_disk_is_refused_and_leaves_nothing(
    repo: Repo, forge: Forge, target: Path
) -> None:
    forge.folder("k", [line("a" * 256, EVIL)], [EVIL])
    with pytest.raises(ArtError, match="too long"):
        repo.version("k").get(target)
    assert everything(target.parent) == {"secret": b"untouched"}


def test_a_link_in_a_tree_is_made_and_never_followed(
    repo: Repo, forge: Forge, target: Path
) -> None:
    outside = target.parent / "secret"
    lines = [json.dumps({"path": "link", "link": str(outside)}).encode() + b"\n"]
    forge.folder("k", lines)
    target.mkdir()
    (target / "link").write_bytes(b"a file is there")

    repo.version("k").get(target, force=True)
    assert str((target / "link").readlink()) == str(outside)
    repo.version("k").get(target)
    assert outside.read_bytes() == b"untouched"

    forge.manifest("k2", 1, payload={"tree": forge.tree([line("link", EVIL)], [EVIL]), **SIZES})
    with pytest.raises(ArtError):
        repo.version("k2").get(target)
    repo.version("k2").get(target, force=True)
    assert outside.read_bytes() == b"untouched"
    assert everything(target) == {"link": EVIL}


SIZES = {"size": 4, "files": 1}


@pytest.mark.parametrize("inner", ["", "/deeper"])
def test_nothing_is_written_through_a_link_that_lies_in_the_target(
    inner: str, repo: Repo, forge: Forge, target: Path
) -> None:
    forge.folder("k", [line(f"sub{inner}/secret", EVIL)], [EVIL])
    target.mkdir()
    (target.parent / "deeper").mkdir()
    (target / "sub").symlink_to("..")

    for force in (False, True):
        with pytest.raises(ArtError):
            repo.version("k").get(target, force=force)
    assert (target.parent / "secret").read_bytes() == b"untouched"
    assert list((target.parent / "deeper").iterdir()) == []


FILE_NAMES = ["../evil", "/evil", "..", "a/b", "", "evil\0", "\x1b[2J", "C:\\evil", "other"]


@pytest.mark.parametrize("name", FILE_NAMES, ids=ascii)
def test_the_name_of_a_single_file_comes_from_its_tree_and_stays_in_the_target(
    name: str, repo: Repo, forge: Forge, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = forge.tree([line("real", GOOD)], [GOOD])
    forge.manifest("k", 1, type="file", payload={"tree": tree, **SIZES, "file": name})
    target.mkdir()
    monkeypatch.chdir(target)

    with_place = _attempt(repo, target)
    assert everything(target.parent) in (
        {"secret": b"untouched"},
        {"secret": b"untouched", "target/real": GOOD},
    ), with_place
    version = repo.version("k") if with_place is None else None
    if version:
        version.get()
        assert everything(target.parent) == {"secret": b"untouched", "target/real": GOOD}


def _attempt(repo: Repo, target: Path) -> ArtError | None:
    try:
        repo.version("k").get(target)
    except (CorruptError, UsageError) as error:
        return error
    return None


URLS = [
    "file:///dev/zero",
    "file:///proc/self/mem",
    "file:///%2e%2e",
    "file:///a/..",
    "file://",
    "file:///x%00y",
    "file:relative",
    "http://[broken",
    "python:///os.system",
    "not a url",
    "",
    "\x00",
    "simplecache::file:///etc/hostname",
    "http://127.0.0.1:9/x",
]


@pytest.mark.parametrize("url", URLS, ids=ascii)
@pytest.mark.parametrize("size", [4, None])
def test_a_reference_to_nowhere_or_without_end_is_refused(
    url: str, size: int | None, repo: Repo, forge: Forge, target: Path
) -> None:
    payload = {"reference": url, "checksum": "b3:" + "0" * 64}
    payload |= {"size": size} if size is not None else {}  # type: ignore[dict-item]
    forge.manifest("k", 1, type="reference", payload=payload)

    with pytest.raises(ArtError):
        repo.version("k").get(target)
    with pytest.raises(ArtError):
        repo.version("k").read()
    assert everything(target.parent) == {"secret": b"untouched"}


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """Return a pipe that nobody writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    path.unlink()


def test_a_reference_to_a_pipe_does_not_wait_for_it(
    repo: Repo, forge: Forge, target: Path, pipe: Path
) -> None:
    forge.manifest("k", 1, type="reference", payload={"reference": pipe.as_uri()})
    with pytest.raises(ArtError, match="pipe"):
        repo.version("k").get(target)


@pytest.mark.parametrize("name", ["manifests/k/v00000001.yaml", "refs/k/_notes/00000001.yaml"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "loop", "nowhere"])
def test_what_is_no_file_where_a_document_must_be_is_damage(
    name: str, kind: str, repo: Repo, forge: Forge
) -> None:
    forge.manifest("k", 2)
    path = forge.place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        targets = {"endless": "/dev/zero", "loop": path.name, "nowhere": "nothing/there"}
        path.symlink_to(targets[kind])
    with pytest.raises(CorruptError):
        repo.version("k@v1")
    repo.doctor()
    repo.listing()


def test_a_manifest_under_another_key_is_damaged(repo: Repo, forge: Forge) -> None:
    forge.manifest("real", 1, key="other")
    with pytest.raises(CorruptError, match=r"manifests/real/v00000001\.yaml.*'other'"):
        repo.version("real")
    assert [(row.key, row.state) for row in repo.listing()] == [("real", "damaged")]


@pytest.mark.parametrize("fields", [{"key": "other"}, {"key": None}, {"key": 7}])
@pytest.mark.parametrize("log", ["_tags/prod", "_state", "_notes"], ids=["tag", "state", "note"])
def test_an_entry_under_another_key_has_no_effect_and_is_named(
    log: str, fields: dict[str, object], repo: Repo, forge: Forge
) -> None:
    id = forge.manifest("real", 1)
    forge.entry(
        f"refs/real/{log}/00000001.yaml",
        {
            "key": "real",
            "tag": "prod",
            "id": id,
            "after": None,
            "state": "deleted",
            "versions": [{"id": id}],
            "set": {"title": "evil"},
            **fields,
        },
    )
    needed = "real@prod" if log == "_tags/prod" else "real"
    if log == "_notes":  # it says nothing of which version is meant
        assert repo.version("real").title is None
    else:
        with pytest.raises(CorruptError, match=rf"refs/real/{log}/00000001\.yaml"):
            repo.version(needed)
    assert any(f"{log}/00000001.yaml" in finding.message for finding in repo.doctor())


def test_an_entry_of_another_tag_is_damaged(repo: Repo, forge: Forge) -> None:
    id = forge.manifest("k", 1)
    fields = {"key": "k", "tag": "evil", "id": id, "after": None}
    forge.entry("refs/k/_tags/prod/00000001.yaml", fields)
    with pytest.raises(CorruptError, match=r"refs/k/_tags/prod/00000001\.yaml"):
        repo.version("k@prod")


def test_a_tag_that_names_nothing_is_reported(repo: Repo, forge: Forge) -> None:
    forge.manifest("k", 1)
    fields = {"key": "k", "tag": "prod", "id": "b3:" + "0" * 64, "after": None}
    forge.entry("refs/k/_tags/prod/00000001.yaml", fields)
    with pytest.raises(CorruptError, match="'prod' of k names b3:000"):
        repo.version("k@prod")
    assert repo.version("k").ref == "k@v1"


def _moved(forge: Forge, key: str, id: str, to: str, to_id: str) -> None:
    target = {"key": to, "id": to_id, "number": 1}
    fields = {"key": key, "state": "moved", "versions": [{"id": id, "number": 1, "to": target}]}
    forge.entry(f"refs/{key}/_state/00000001.yaml", fields)


def test_moves_in_a_circle_end(repo: Repo, forge: Forge) -> None:
    ids = {key: forge.manifest(key, 1) for key in "abc"}
    for one, next in ("ab", "bc", "ca"):
        _moved(forge, one, ids[one], next, ids[next])
    for ref in ("a", "a@v1", "b", ids["c"]):
        with pytest.raises(CorruptError, match="circle"):
            repo.version(ref)
    assert repo.listing() == []
    assert len(repo.history("a")) == 1
    repo.doctor()
    assert repo.value("a", 1).version.ref == "a@v2"


def test_a_move_to_itself_or_to_nowhere_is_reported(repo: Repo, forge: Forge) -> None:
    id = forge.manifest("a", 1)
    _moved(forge, "a", id, "a", id)
    with pytest.raises(CorruptError, match="circle"):
        repo.version("a")
    other = forge.manifest("b", 1)
    _moved(forge, "b", other, "nowhere", "b3:" + "1" * 64)
    with pytest.raises(ArtError, match=r"nowhere|111"):
        repo.version("b")


def test_inputs_and_origins_that_lead_nowhere_are_shown_and_do_no_harm(
    repo: Repo, forge: Forge, target: Path
) -> None:
    gone = {"key": "no/where", "id": "b3:" + "2" * 64, "number": 10**18}
    tree = forge.tree([line("a", GOOD)], [GOOD])
    payload = {"tree": tree, **SIZES}
    forge.manifest("k", 1, inputs=[gone] * 3, origin=gone, payload=payload)

    version = repo.version("k")
    assert version.inputs == [gone] * 3
    assert version.read("a") == GOOD
    repo.copy("k", "copied")
    assert repo.version("copied").read("a") == GOOD
    repo.delete("k")
    repo.doctor()


def test_layouts_that_extend_each_other_are_refused(repo: Repo, forge: Forge) -> None:
    """Names are digests, so a true circle cannot be made; a chain can lie of its depth."""
    from art import layout as layouts

    tree = forge.tree([line("a", GOOD)], [GOOD])
    [path] = (forge.place / "layouts" / tree[:2] / tree).iterdir()
    data = path.read_bytes()
    path.unlink()
    for depth in (1, 2, 2**32 - 1):
        changed = bytearray(data)
        changed[40:72] = bytes.fromhex(tree)
        changed[72:104] = bytes.fromhex(path.name)
        changed[104:108] = depth.to_bytes(4, "little")
        forge.raw_layout(tree, bytes(changed))
    forge.manifest("k", 1, payload={"tree": tree, **SIZES})
    assert layouts.DEPTH_LIMIT == 1
    with pytest.raises(CorruptError, match="layouts/"):
        repo.version("k").read("a")
    assert any("layouts/" in finding.message for finding in repo.doctor())


def test_a_layout_that_extends_an_extending_one_is_refused(repo: Repo, forge: Forge) -> None:
    trees = [forge.tree([line(name, GOOD)], [GOOD]) for name in "abc"]
    paths = [next((forge.place / "layouts" / tree[:2] / tree).iterdir()) for tree in trees]
    base = paths[0].name
    for number in (1, 2):
        changed = bytearray(paths[number].read_bytes())
        changed[40:72] = bytes.fromhex(trees[number - 1])
        changed[72:104] = bytes.fromhex(base)
        changed[104:108] = (1).to_bytes(4, "little")
        paths[number].unlink()
        base = forge.raw_layout(trees[number], bytes(changed)).name
        forge.manifest("k", number, payload={"tree": trees[number], **SIZES})
    assert repo.version("k@v1").read("b") == GOOD
    with pytest.raises(CorruptError, match="extends one that extends another"):
        repo.version("k@v2").read("c")


def test_what_does_not_belong_into_a_repository_is_left_alone_and_reported(
    repo: Repo, forge: Forge
) -> None:
    made = repo.create("k", _file("a", b"x" * 100_000))
    tree = made.version.payload.tree if made.version.payload else ""
    strange = ["manifests/k/\udcff\udcfe/x", "manifests/nested/deep/readme", "refs/k/_odd/1.yaml"]
    strange += ["refs/k/_tags/prod/x.yaml", "refs/k/_tags/stray", "manifests/k/v1.yaml"]
    strange += ["manifests/k/v000000000001.yaml", "manifests/k/v00000000.yaml", "odd", "packs/xx/y"]
    strange += [
        f"layouts/{tree[:2]}/{tree}/not-a-digest/x",
        "anonymous/x",
        "anonymous/\udcff.yaml",
        "progress/x",
    ]
    strange += [
        f"layouts/{tree[:2]}/{tree}/zz",
        "refs/\udcff/x",
        "manifests/.hidden/v00000001.yaml",
    ]
    for name in strange:
        forge.put(name, b"?")

    for fresh in (False, True):
        if fresh:
            repo.close()
            (forge.place / "index.sqlite").unlink()
        assert repo.version("k").read() == b"x" * 100_000
        assert [row.ref for row in repo.listing()] == ["k@v1"]
        assert [row.ref for row in repo.history("k")] == ["k@v1"]
        assert any("odd is not art's" in finding.message for finding in repo.doctor())
    assert repo.value("k", 1).version.ref == "k@v2"
    for name in strange:
        assert (forge.place / name).read_bytes() == b"?"


def _file(name: str, content: bytes) -> Path:
    path = Path(name)
    path.write_bytes(content)
    return path


def test_numbers_at_the_far_end_neither_hang_nor_hide_versions(repo: Repo, forge: Forge) -> None:
    forge.manifest("k", 1)
    forge.manifest("k", 10**9)
    forge.manifest("far", 10**18 - 1)

    errors = [finding for finding in repo.doctor() if finding.level == "error"]
    assert any("manifests/k/v00000002.yaml" in finding.message for finding in errors)
    assert len(errors) < 20
    for key in ("k", "far"):
        try:
            made = repo.value(key, 1).version
        except ArtError:
            continue
        assert repo.version(made.ref).id == made.id
        assert repo.version(key).id == made.id


def test_a_name_in_a_log_that_is_taken_by_a_folder_ends_with_an_error(
    repo: Repo, forge: Forge
) -> None:
    repo.value("k", 1)
    (forge.place / "refs/k/_tags/prod/00000001.yaml").mkdir(parents=True)
    with pytest.raises(CorruptError, match=r"refs/k/_tags/prod/00000001\.yaml"):
        repo.tag("k@v1", "prod")


def test_nothing_in_a_repository_is_ever_run(
    repo: Repo, forge: Forge, target: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    for name in ("pre-create", "post-create", "post-get", "pre-push", "create", "get"):
        path = forge.put(f"hooks/{name}", f"#!/bin/sh\ntouch {proof}\n".encode())
        path.chmod(0o755)
    forge.put("sitecustomize.py", f"open({str(proof)!r}, 'w')".encode())
    tree = forge.tree([line("a", GOOD)], [GOOD])
    forge.manifest("k", 1, payload={"tree": tree, **SIZES}, run={"command": f"touch {proof}"})

    repo.version("k").get(target)
    repo.create("k", target)
    repo.doctor()
    assert not proof.exists()


def test_a_hostile_archive_holds_the_links_as_links(repo: Repo, forge: Forge, target: Path) -> None:
    forge.folder("k", [b'{"path":"a","link":"../secret"}\n', line("b", GOOD)], [GOOD])
    repo.version("k").get(target.with_suffix(".tar"), archive="tar")
    repo.version("k").get(target.with_suffix(".zip"), archive="zip")

    with tarfile.open(target.with_suffix(".tar")) as tar:
        assert [(m.name, m.issym(), m.linkname) for m in tar] == [
            ("a", True, "../secret"),
            ("b", False, ""),
        ]
    with zipfile.ZipFile(target.with_suffix(".zip")) as bundle:
        assert bundle.read("a") == b"../secret"


def test_a_stub_without_key_or_with_another_id_is_no_version(repo: Repo, forge: Forge) -> None:
    fields = {"art": 1, "uid": new_uid(), "key": "k", "created": NOW, "purged": {"id": "b3:zz"}}
    forge.put("manifests/k/v00000001.yaml", document(fields))
    with pytest.raises(CorruptError, match="v00000001"):
        repo.version("k")


def test_two_repositories_never_mix_their_indexes(repo: Repo, tmp_path: Path) -> None:
    repo.value("here", 1)
    other = art.init(tmp_path / "other")
    other.value("there", 2)
    other.close()
    index = (tmp_path / "other/.art/index.sqlite").read_bytes()
    repo.close()
    (repo.root / ".art/index.sqlite").write_bytes(index)
    with art.open() as again:
        assert again.keys() == ["here"]


# -- far ends ------------------------------------------------------------------------------------


def test_a_tree_of_folders_in_folders_is_taken_out_or_refused_and_leaves_nothing(
    repo: Repo, forge: Forge, target: Path
) -> None:
    room = 4000 - len(os.fsencode(target))
    deep = "/".join(["d"] * (room // 2))
    forge.folder("k", [line(f"{deep}/x", GOOD)], [GOOD])
    for archive, name in ((None, ""), ("tar", ".tar"), ("zip", ".zip")):
        place = target.with_name(f"target{name}")
        try:
            repo.version("k").get(place, archive=archive)
            assert place.exists()
        except StorageError as error:  # its temporary folder goes beyond what the system takes
            assert "too long" in error.message
            assert not place.exists()
        finally:
            if place.is_dir():
                staging.remove(str(place))  # pytest cannot
    assert [path.name for path in target.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("archive", [None, "tar", "zip"])
@pytest.mark.parametrize(
    "path", ["d/" * 2_050 + "x", "é" * 2_049, "x" * 4_097, "d/" * 1_000_000 + "x"], ids=len
)
def test_a_path_longer_than_any_system_takes_is_damage(
    repo: Repo, forge: Forge, target: Path, path: str, archive: str | None
) -> None:
    forge.folder("k", [line(path, EVIL)], [EVIL])
    with pytest.raises(CorruptError, match="more than 4096 bytes"):
        repo.version("k").get(target, archive=archive)
    assert everything(target.parent) == {"secret": b"untouched"}


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("0001-01-01T00:00:00.000000Z", (1980, 1, 1, 0, 0, 0)),
        ("1979-12-31T23:59:59.000000Z", (1980, 1, 1, 0, 0, 0)),
        ("1980-02-03T04:05:06.000000Z", (1980, 2, 3, 4, 5, 6)),
        ("2107-12-31T23:59:59.000000Z", (2107, 12, 31, 23, 59, 58)),
        ("2108-01-01T00:00:00.000000Z", (2107, 12, 31, 23, 59, 58)),
        ("9999-12-31T23:59:59.999999Z", (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_that_a_zip_file_cannot_tell_are_the_nearest_ones(
    repo: Repo, forge: Forge, target: Path, created: str, expected: tuple[int, ...]
) -> None:
    tree = forge.tree([line("a", GOOD)], [GOOD])
    forge.manifest("k", 1, payload={"tree": tree, **SIZES}, created=created)
    repo.version("k").get(target, archive="zip")
    with zipfile.ZipFile(target) as bundle:
        assert bundle.getinfo("a").date_time == expected
        assert bundle.read("a") == GOOD
    repo.version("k").get(f"{target}.tar", archive="tar")
    with tarfile.open(f"{target}.tar") as tar:
        assert (
            tar.getmember("a").mtime == datetime.fromisoformat(created[:19] + "+00:00").timestamp()
        )


@pytest.mark.parametrize("sequence", [2**63 - 1, 2**63 - 2])
def test_the_sequence_of_a_progress_ends_with_an_error(
    repo: Repo, forge: Forge, sequence: int
) -> None:
    uid = repo.progress("k", 10).version.manifest.uid
    fields = {"art": 1, "uid": uid, "key": "k", "created": NOW, "value": 20.0}
    forge.put(f"progress/{uid}.yaml", document(fields | {"sequence": sequence}))
    if sequence < 2**63 - 1:
        repo.progress("k", 30)
    with pytest.raises(ConflictError, match="nothing goes beyond it"):
        repo.progress("k", 40)
    repo.progress("k", 40, new=True)
    repo.progress("k", 50)
    found = repo.version("k").progress
    assert found
    assert (found.value, found.sequence) == (50, 2)


def test_a_sequence_beyond_64_bits_is_damage(repo: Repo, forge: Forge) -> None:
    uid = repo.progress("k", 10).version.manifest.uid
    fields = {"art": 1, "uid": uid, "key": "k", "created": NOW, "value": 20.0}
    forge.put(f"progress/{uid}.yaml", document(fields | {"sequence": 2**63}))
    with pytest.raises(CorruptError):
        repo.progress("k", 40)
