"""FORMAT.md says what is: its examples verify, and by it alone a version can be read."""

from __future__ import annotations

import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import blake3
import pytest
import yaml
import zstandard

import art
from art import document as documents
from art import drafts
from art.keys import escape, unescape
from art.model import Entry, Manifest, check_progress
from art.repo import Repo
from art.store import Store, _chunking
from art.tree import Node, parse, parse_line
from art.writer import cut
from tests.support import lay_out

DOCUMENT = (Path(art.__file__).parent / "FORMAT.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


# -- the examples --------------------------------------------------------------------------------


def test_there_are_examples_of_every_kind() -> None:
    assert (len(blocks("yaml")), len(blocks("jsonl")), len(blocks("text"))) == (6, 1, 1)


@pytest.mark.parametrize("example", blocks("yaml"), ids=lambda text: text.splitlines()[1])
def test_an_example_of_a_document_is_one_to_the_byte(example: str) -> None:
    document = documents.decode(example.encode(), "the example")
    assert documents.encode(document) == example.encode()


@pytest.mark.parametrize("example", blocks("yaml"), ids=lambda text: text.splitlines()[1])
def test_an_example_of_a_document_has_fields_that_are_understood(example: str) -> None:
    document = documents.decode(example.encode(), "the example")
    if "chunking" in document:
        assert _chunking(document)
    elif "draft" in document:
        name = "drafts/sales/report/_/run-4711/00000001.yaml"
        assert drafts.parse(example.encode(), name, "sales/report", "run-4711") == document
    elif "payload" in document:
        assert Manifest.from_document(document, "b3:" + "0" * 64, "the example").payload
    elif "sequence" in document:
        check_progress(document, "the example")
    else:
        assert Entry.from_document(document, 1, "the example").version_id or document["versions"]


def test_the_example_of_a_format_file_is_what_init_writes(repo: Repo) -> None:
    (example,) = [text for text in blocks("yaml") if "chunking" in text]
    written = (repo.root / ".art/format.yaml").read_text()
    changing = re.compile(r"^(uid|created|check): .*$", re.MULTILINE)
    assert changing.sub(r"\1", written) == changing.sub(r"\1", example)


def test_the_example_of_a_tree_is_one_to_the_byte() -> None:
    (example,) = blocks("jsonl")
    nodes = list(parse([example.encode()], "the example"))
    assert b"".join(node.line() for node in nodes) == example.encode()
    contents = {"data/big.bin": bytes(200_000), "data/small.csv": b"day,price\n1\n"}
    for node in nodes:
        if node.is_file:
            data = contents.pop(node.path)
            assert (node.size, node.b3) == (len(data), blake3.blake3(data).hexdigest())
            chunks = [bytes(chunk) for chunk in cut([data], art.model.Chunking())]
            found = [(blake3.blake3(chunk).hexdigest(), len(chunk)) for chunk in chunks]
            assert list(node.chunks) == (found if len(found) > 1 else [])
    assert contents == {}


def test_the_examples_of_escaping_are_right() -> None:
    pairs = [line.split("->") for line in blocks("text")[0].splitlines()]
    assert len(pairs) >= 5
    for key, name in pairs:
        assert escape(key.strip()) == name.strip()
        assert unescape(name.strip()) == key.strip()


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    from art import layout, model, pack, tree

    assert f"more than {tree.INLINE_CHUNKS} of them" in DOCUMENT
    assert f"at most {tree.LINE_LIMIT >> 20} MiB" in DOCUMENT
    assert f"at most {pack.CHUNK_LIMIT >> 20} MiB" in DOCUMENT
    assert f"depth MUST be at most {layout.DEPTH_LIMIT}" in DOCUMENT
    assert f"at most {model.INLINE_LIMIT} bytes of UTF-8" in DOCUMENT
    assert f"nesting deeper than {documents._DEPTH_LIMIT}" in DOCUMENT
    assert documents.SIZE_LIMIT == 1 << 20
    assert "larger than 1 MiB" in DOCUMENT


# -- a repository that was used ------------------------------------------------------------------


@pytest.fixture
def used(repo: Repo, workplace: Path) -> Repo:
    """Return a repository in which everything was done once."""
    noise = random.Random(7)
    files = {"X/a.txt": b"text " * 3000, "é\n": b"odd", "small": b"s", "empty": b""}
    files |= {"mid": noise.randbytes(200_000), "zeros": bytes(1_000_000)}
    folder = lay_out(workplace / "data", files | {"big": noise.randbytes(6_000_000)})
    (folder / "link").symlink_to("small")
    (folder / "void").mkdir()
    repo.create("Models/X", folder, labels=["a"], metadata={"n": 1})
    for turn in range(3):
        (folder / "small").write_text(f"changed {turn}")
        repo.create("Models/X", folder)
    repo.markdown("con/doc.", "# Hi", inputs=["Models/X"])
    repo.markdown(None, "keyless")
    repo.progress("train", 10)
    repo.progress("train", 20.5, message="half")
    repo.tag("Models/X@v1", "Prod")
    repo.tag("Models/X@v2", "Prod")
    repo.untag("Models/X", "Prod")
    repo.note("Models/X@v1", title="noted")
    repo.note(repo.listing(filter=art.listing.Filter(anonymous=True))[0].id, title="noted")
    repo.copy("Models/X@v1", "copy")
    repo.move("con/doc.", "moved")
    repo.delete("copy")
    repo.restore("copy")
    repo.config.set("author", "ana")
    return repo


def named_patterns() -> list[re.Pattern[str]]:
    """Return a pattern for each name that §2 lists."""
    section = DOCUMENT.split("## 2. Names")[1].split("- `<xx>`")[0]
    entries = [line.split("  ")[2] for line in section.splitlines() if line.startswith("    ")]
    last = section.strip().splitlines()[-1].split("local only")[0].split()
    names = [entry for entry in entries if not entry.startswith(last[0])] + last
    parts = {"key": r"[a-z0-9._!/-]+|_anonymous", "tag": r"[a-z0-9._!-]+", "number": r"\d{8,}"}
    parts |= {
        "uid": r"[0-9a-f-]{36}",
        "xx": "[0-9a-f]{2}",
        "id": "[0-9a-f]{64}",
        "pack": "[0-9a-f]{64}",
    }
    parts |= {
        "payload": "[0-9a-f]{64}",
        "digest": "[0-9a-f]{64}",
        "hash": "[0-9a-f]+",
        "name": ".+",
    }
    parts |= {"level": "read|write|gc", "log": ".+", "first": r"\d{8,}", "last": r"\d{8,}"}
    result = []
    for name in names:
        pattern = re.sub(
            r"<(\w+)>", lambda match: f"(?:{parts[match[1]]})", name.replace(".", r"\.")
        )
        result.append(
            re.compile(pattern.replace(r"\.\.\.", ".*") + (".*" if name.endswith("/") else ""))
        )
    return result


def test_every_file_of_a_used_repository_is_named_in_the_text(used: Repo) -> None:
    patterns = named_patterns()
    seen = set()
    for path in (used.root / ".art").rglob("*"):
        if path.is_file():
            name = path.relative_to(used.root / ".art").as_posix()
            matching = [pattern for pattern in patterns if pattern.fullmatch(name)]
            assert matching, f"{name} is named nowhere in section 2"
            seen.add(matching[0].pattern)
    assert len(seen) >= 11


def test_every_document_of_a_used_repository_is_canonical(used: Repo) -> None:
    found = 0
    for path in (used.root / ".art").rglob("*.yaml"):
        if path.name != "config.yaml":
            data = path.read_bytes()
            assert documents.encode(documents.decode(data, path.name)) == data
            assert data.startswith(b"art: 1\nuid: ")
            found += 1
    assert found >= 15


def test_every_layout_holds_what_the_text_says(used: Repo) -> None:
    for path in (used.root / ".art/layouts").glob("*/*/*"):
        data = path.read_bytes()
        assert blake3.blake3(data).hexdigest() == path.name
        assert path.parent.name[:2] == path.parent.parent.name
        assert data[8:40].hex() == path.parent.name
    assert Store.open(used._backend, "here").id == used.id


# -- a reader that knows FORMAT.md only ----------------------------------------------------------


class Reader:
    """Reads versions by FORMAT.md, with nothing of this project."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def document(self, name: str) -> tuple[str, dict[str, Any]]:
        """§3: a document, and its id (§4)."""
        data = (self.root / name).read_bytes()
        body, check = data[:-40], data[-40:]
        assert check == b"check: " + blake3.blake3(body).hexdigest()[:32].encode() + b"\n"
        return "b3:" + blake3.blake3(data).hexdigest(), yaml.safe_load(body)

    def manifest_name(self, key: str, number: int) -> str:
        """§2: the name of a version."""
        parts = []
        for part in key.split("/"):
            name = "".join("!" + c.lower() if c.isupper() else c for c in part)
            name += "!" if part.endswith(".") else ""
            if re.fullmatch(r"con|prn|aux|nul|com\d|lpt\d", part.split(".")[0].lower()):
                name = "!!" + name
            parts.append(name)
        return f"manifests/{'/'.join(parts)}/v{number:08}.yaml"

    def layout(self, payload: str, digest: str) -> None:
        """§8: learn where chunks lie; `pieces` are those of the first layout."""
        data = (self.root / f"layouts/{payload[:2]}/{payload}/{digest}").read_bytes()
        assert blake3.blake3(data).hexdigest() == digest
        assert data[:8] == b"ARTLAYT\x01"
        base, base_digest = data[40:72].hex(), data[72:104].hex()
        _, p, c, f, t, s = struct.unpack_from("<6I", data, 104)
        packs = [data[128 + 32 * i : 160 + 32 * i].hex() for i in range(p)]
        table = 128 + 32 * p + 4 * 2**f
        chunks = table + 48 * t + 4 * t + s
        pieces = [struct.unpack_from("<32s4I", data, table + 48 * i) for i in range(t)]
        records = [struct.unpack_from("<32s4I", data, chunks + 48 * i) for i in range(c)] + pieces
        assert len(data) == chunks + 48 * c
        for digest_, number, offset, length, size in records:
            self.places.setdefault(digest_, (packs[number], offset, length, size))
        if not self.pieces:
            self.pieces = [record[0] for record in records[c:]]
            listed = b"".join(record[0] + struct.pack("<I", record[4]) for record in records[c:])
            assert blake3.blake3(listed).hexdigest() == payload
        if int(base_digest, 16):
            self.layout(base, base_digest)

    def chunk(self, digest: bytes) -> bytes:
        """§7: one chunk."""
        pack, offset, length, size = self.places[digest]
        data = (self.root / f"packs/{pack[:2]}/{pack}.pack").read_bytes()
        assert blake3.blake3(data).hexdigest() == pack
        assert data[:8] == b"ARTPACK\x01"
        kind, body = data[offset], data[offset + 1 : offset + length]
        chunk = zstandard.ZstdDecompressor().decompress(body) if kind == 1 else body
        assert (len(chunk), blake3.blake3(chunk).digest()) == (size, digest)
        return chunk

    def files(self, manifest: dict[str, Any]) -> dict[str, bytes | str | None]:
        """§5: path and content of files, target of links, None for folders."""
        payload = manifest["payload"]["tree"]
        self.places: dict[bytes, tuple[str, int, int, int]] = {}
        self.pieces: list[bytes] = []
        self.layout(payload, next((self.root / f"layouts/{payload[:2]}/{payload}").iterdir()).name)
        tree = b"".join(map(self.chunk, self.pieces))
        found: dict[str, bytes | str | None] = {}
        for line in tree.splitlines():
            node = json.loads(line)
            if "b3" not in node:
                found[node["path"]] = node.get("link")
                continue
            chunks = [
                bytes.fromhex(digest) for digest, _ in node.get("chunks") or node.get("list") or []
            ]
            if "list" in node:
                listing = b"".join(map(self.chunk, chunks))
                chunks = [listing[at : at + 32] for at in range(0, len(listing), 36)]
            data = b"".join(
                map(self.chunk, chunks or [bytes.fromhex(node["b3"])] * (node["size"] > 0))
            )
            assert (len(data), blake3.blake3(data).hexdigest()) == (node["size"], node["b3"])
            found[node["path"]] = data
        return found


def test_by_the_text_alone_every_version_can_be_read(used: Repo, workplace: Path) -> None:
    reader = Reader(used.root / ".art")
    for number in range(1, 5):
        version = used.version(f"Models/X@v{number}")
        id, manifest = reader.document(reader.manifest_name("Models/X", number))
        assert (id, manifest["key"]) == (version.id, "Models/X")
        found = reader.files(manifest)
        for node in version.files:
            expected = version.read(node.path) if node.is_file else node.link
            assert found.pop(node.path) == expected
        assert found == {}
    id, manifest = reader.document(reader.manifest_name("con/doc.", 1))
    assert manifest["payload"]["inline"] == "# Hi"
    assert id == used.history("con/doc.")[0].id


def test_the_sample_has_what_makes_reading_hard(used: Repo) -> None:
    nodes = {node.path: node for node in used.version("Models/X@v4").files}
    assert nodes["big"].chunks_are_list
    assert nodes["mid"].chunks
    assert nodes["link"].link
    assert nodes["void"].is_dir
    first = used.version("Models/X@v4")._payload().layout
    assert first.depth == 1


@pytest.mark.parametrize(
    "path", ["é\n", "\udcff", "\U0001f600", 'a"b\\c', "\x7f\x1f\t\b\f\r", "a/b"]
)
def test_a_path_is_escaped_as_the_text_says(path: str) -> None:
    short = {
        '"': '\\"',
        "\\": "\\\\",
        "\n": "\\n",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
        "\r": "\\r",
    }
    units = struct.unpack(f"<{len(path.encode('utf-16-le', 'surrogatepass')) // 2}H",
                          path.encode("utf-16-le", "surrogatepass"))  # fmt: skip
    escaped = "".join(
        short.get(chr(unit), chr(unit) if 32 <= unit < 127 else f"\\u{unit:04x}") for unit in units
    )
    line = Node(path, 0o644, 1, "ab" * 32).line().decode()
    assert line == f'{{"path":"{escaped}","mode":"644","size":1,"b3":"{"ab" * 32}"}}\n'
    assert parse_line(line[:-1].encode(), "t").path == path
