"""What is fuzzed: each parser of bytes or words that others wrote, and examples that are right.

A target takes any bytes. It may raise `ArtError`, which is how a parser refuses; whatever else comes out
of it is a defect. What a parser takes it must give back the same when written and read again.
"""

from __future__ import annotations

import contextlib
import functools
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import zstandard
from blake3 import blake3

from art import addresses, drafts, keys, model, retention, sql
from art import checkpoint as checkpoints
from art import document as documents
from art import layout as layouts
from art import lock as locks
from art import pack as packs
from art import settings as key_settings
from art import tree as trees
from art.catalog import Log, parse_anonymous
from art.cli.common import parse_json, parse_metadata, parse_pairs
from art.cli.fsck import parse_duration, parse_share
from art.config import span_seconds
from art.errors import ArtError
from art.partitions import condition as asked_condition
from art.periods import Granularity
from art.query.literals import parse_span
from art.query.syntax import parse as parse_query
from art.ref import Ref, likely_selector
from art.remote import url as urls
from art.repo import Repo
from tests.support_hostile import NOW, PackBuilder, document, line, seal

DIGEST = bytes(range(32))
HEX = DIGEST.hex()
UID = "019aa5a8-0000-7000-8000-00000000ffff"
COMMON: dict[str, Any] = {"art": 1, "uid": UID, "key": "k", "created": NOW, "author": "eve"}


@dataclass(frozen=True)
class Target:
    """A parser to fuzz. `seeds` are examples that it takes. What a user typed MAY be said back in full."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    is_typed: bool


TARGETS: dict[str, Target] = {}


def target(
    *seeds: bytes | str, is_typed: bool = False
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    """Register a target under the name of its function."""

    def register(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        examples = tuple(seed.encode() if isinstance(seed, str) else seed for seed in seeds)
        TARGETS[run.__name__] = Target(run, examples, is_typed)
        return run

    return register


def attempt(name: str, data: bytes) -> bool:
    """Give bytes to a target; return whether it took them."""
    try:
        TARGETS[name].run(data)
    except ArtError as error:
        assert error.message, "an error says something"
        if not TARGETS[name].is_typed:
            assert "\n" not in error.message, "an error is one line"
            assert len(error.message) < 2_000, "an error is no copy of what was given"
        return False
    return True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# -- what users type: queries ----------------------------------------------------------------------


@target(
    'type = table and size > 1M and metadata.acc >= 0.9 and region in (eu, us) and key like "sales/*"',
    'not (created > now-7d or tag != prod) and metadata."a.b".c is not null and age < 2w',
    'ancestor = raw@v3 and label not in (\'a\', "b\\"c") and latest = true and id = b3:0123abcd',
    is_typed=True,
)
def query(data: bytes) -> None:
    """A query: what it means goes into SQL by binding, and the SQL is ASCII of a few kinds."""
    found = parse_query(_text(data), datetime(2026, 11, 21, tzinfo=timezone.utc))
    condition = sql.condition(found.node)
    assert re.fullmatch(r"[\w\s().,*=<>!?|'$+-]*", condition.text, re.ASCII), condition.text
    assert condition.text.count("?") == len(condition.values)


@target(
    "eu,us",
    "2026-11-01..2026-11-07,2026-W47",
    '-1d..today,"a,b",latest',
    "..2026-11-21T14:05:09.123+05:30",
    is_typed=True,
)
def asked_partition(data: bytes) -> None:
    """What is asked of a partition, as a text and as time: it goes into SQL by binding."""
    text, now = _text(data), datetime(2026, 11, 21, tzinfo=timezone.utc)
    failures = 0
    for granularity in (None, *Granularity):
        try:
            found = sql.condition(asked_condition("day", text, granularity, now))
        except ArtError:
            failures += 1
            continue
        assert re.fullmatch(r"[\w\s().,*=<>!?|'$-]*", found.text, re.ASCII), found.text
        assert found.text.count("?") == len(found.values)
    if failures == 1 + len(Granularity):
        asked_condition("day", text, Granularity.DAY, now)


# -- what lies on disk -----------------------------------------------------------------------------


def _body(fields: dict[str, Any]) -> bytes:
    return document(fields)[:-40]


def _pack() -> bytes:
    pack = PackBuilder(bytearray(packs.MAGIC + bytes(24)))
    for content in (b"a", b"b" * 100):
        pack.add(blake3(content).digest(), packs.raw_frame(content), len(content))
    return pack.finished()


@target(_pack())
def pack(data: bytes) -> None:
    """A pack: its trailer and its directory, whose digest is made right."""
    offset, length, _ = packs.parse_trailer(data[-packs.TRAILER_SIZE :], len(data), "x")
    table = data[offset : offset + length]
    directory = packs.Directory(table, blake3(table).digest(), "x", offset)
    for digest in directory.digests():
        place = directory.find(digest)
        if place:
            begin, size, limit = place
            assert packs.HEADER_SIZE <= begin < begin + size <= offset
            _frame(data[begin : begin + size], limit, digest)


def _frame(frame: bytes, size: int, digest: bytes) -> None:
    with contextlib.suppress(ArtError):
        chunk = packs.unpack_frame(frame, size, digest, "x", zstandard.ZstdDecompressor())
        assert len(chunk) == size
        assert blake3(chunk).digest() == digest


@target(
    bytes(4) + b"\0",
    b"\x04\0\0\0\0good",
    b"\x04\0\0\0" + packs.zstd_frame(zstandard.ZstdCompressor().compress(b"good")),
)
def frame(data: bytes) -> None:
    """A frame of a pack, behind the size that it is said to have."""
    size = int.from_bytes(data[:4], "little")
    _frame(data[4:], size, blake3(b"good").digest())
    packs.unpack_frame(data[4:], size, blake3(b"good").digest(), "x", zstandard.ZstdDecompressor())


def _layouts() -> Iterator[bytes]:
    records = [layouts.RECORD.pack(bytes([n]) * 32, n % 2, 32, 5, 4) for n in range(70)]
    ids = ["ab" * 32, "cd" * 32]
    own = layouts.encode(HEX, ids, b"".join(records), [(records[0], "a"), (records[1], "b/c")])
    yield own
    base = layouts.Layout(own, "x", HEX)
    yield layouts.encode(HEX, ids, records[0], [(records[2], "")], base)


@target(*_layouts())
def layout(data: bytes) -> None:
    """A layout: all that can be asked of it."""
    assert layouts.size_by_head(data) >= 0
    found = layouts.Layout(data, "x", HEX)
    assert found.content() == data
    assert len(found.table()) == found.table_size
    for piece in found.pieces():
        assert found.find(piece.digest) is None or piece.location.size <= packs.CHUNK_LIMIT
    for digest, place in found.records():
        assert place.pack in found.packs
        found.find(digest)


LINES = (
    line("a", b"good")
    + b'{"path":"b","link":"a"}\n{"path":"c","mode":"700","dir":true}\n'
    + line("c/d", b"x" * 9, extra=f',"chunks":[["{HEX}",4],["{HEX}",5]]')
    + line("c/\udce9", b"", extra=f',"list":[["{HEX}",36]]')
)


@target(LINES, line("a/b", b"good"), b"")
def tree(data: bytes) -> None:
    """A tree."""
    nodes = list(trees.parse([data], "x"))
    assert list(trees.parse([node.line() for node in nodes], "x")) == nodes
    cut = [data[at : at + 7] for at in range(0, len(data), 7)]
    assert list(trees.parse(cut, "x")) == nodes
    for node in nodes:
        written = node.line()
        assert trees.unquoted_order(trees.quoted_order(written)) == node.order
        parts = node.path.split("/")
        assert not {"", ".", ".."}.intersection(parts)
        assert ".art" not in node.path.lower().split("/")


@target(
    _body(COMMON | {"metadata": {"a": [1, 2.5, None, "x", {"b": True}], "empty": {}}}),
    "art: 1\na: {b: [c, 'd']}\ne: |\n  text\n  more\nf: \"\\x1b\"\n",
)
def yaml(data: bytes) -> None:
    """The YAML of a document, with a right checksum."""
    found = documents.decode(seal(data), "x")
    again = documents.encode(found)
    assert repr(documents.decode(again, "x")) == repr(found)


@target(document(COMMON))
def sealed(data: bytes) -> None:
    """A document with whatever checksum it has."""
    documents.decode(data, "x")


@target("author: ana\nremotes:\n  origin:\n    url: s3://bucket/x\n", "")
def config(data: bytes) -> None:
    """A YAML file that people edit."""
    found = documents.load_plain(data, "x")
    assert repr(documents.load_plain(documents.dump_plain(found), "x")) == repr(found)


ID = "b3:" + HEX
TREE = {"tree": HEX, "size": 4, "files": 1}
ABOUT = {"type": "file", "title": "T", "labels": ["a", "b"], "partitions": {"region": "eu"}}


@target(
    _body(
        COMMON
        | ABOUT
        | {"payload": TREE | {"file": "a"}, "inputs": [{"key": "k", "id": ID, "number": 1}]}
    ),
    _body(
        COMMON
        | {"type": "link", "payload": {"inline": "x", "size": 1, "b3": blake3(b"x").hexdigest()}}
    ),
    _body(
        COMMON
        | {"type": "reference", "payload": {"reference": "file:///x", "checksum": ID, "size": 3}}
    ),
    _body(COMMON | {"purged": {"id": ID, "payload": HEX}}),
)
def manifest(data: bytes) -> None:
    """A manifest, and all that is asked of one."""
    found = Log("k", "versions").parse(1, seal(data))
    assert isinstance(found, model.Manifest)
    assert found.says(found.document)
    _ = found.title, found.inputs, found.format, found.is_stub
    if found.payload:
        found.payload.to_document()
    model.apply_notes(found.document, [{"title": None, "labels": {"x": True, "a": None}}])


@target(_body({name: value for name, value in COMMON.items() if name != "key"} | {"type": "file"}))
def keyless(data: bytes) -> None:
    """The manifest of a keyless version."""
    parse_anonymous(UID, seal(data))


def _logged(log: str, data: bytes) -> list[model.Entry]:
    found = Log("k", log).parse(1, seal(data))
    assert isinstance(found, model.Entry)
    model.heads([found, found])
    return [found]


@target(
    _body(
        COMMON
        | {
            "state": "moved",
            "versions": [{"id": ID, "number": 1, "to": {"key": "l", "id": ID, "number": 2}}],
        }
    )
)
def state(data: bytes) -> None:
    """An entry of the log of states."""
    model.states(_logged("_state", data))


@target(
    _body(
        COMMON
        | {
            "id": ID,
            "number": 1,
            "set": {"title": "x", "metadata": {"a": None}, "labels": {"b": None}},
        }
    ),
    _body(COMMON | {"id": ID, "signature": {"format": "ssh", "by": "SHA256:x", "data": "eA=="}}),
)
def note(data: bytes) -> None:
    """An entry of the log of notes."""
    [entry] = _logged("_notes", data)
    model.apply_notes(
        {"title": "a", "labels": ["b"], "metadata": {"a": 1}}, [entry.document.get("set") or {}]
    )


@target(_body(COMMON | {"tag": "prod", "id": ID, "number": 1, "after": None, "back": True}))
def tag(data: bytes) -> None:
    """An entry of the log of a tag."""
    [entry] = _logged("_tags/prod", data)
    _ = entry.tag, entry.version_id, entry.message, entry.author


RULES = {"keep_last": 3, "keep_within": "30d", "keep_labels": ["a"], "keep_tagged": True}


@target(
    _body(
        COMMON
        | {
            "after": None,
            "settings": {"retention": RULES, "protected_tags": ["v*"], "type": "file"},
        }
    )
)
def settings(data: bytes) -> None:
    """An entry of the log of settings, with what it means."""
    found = key_settings.parse("k", _logged("_settings", data))
    found.protects("prod")


@target(_body(COMMON | {"value": 40.5, "sequence": 3, "message": "x"}))
def progress(data: bytes) -> None:
    """The value of a progress artifact."""
    model.check_progress(documents.decode(seal(data), "x"), "x")


@target(*(checkpoints.encode([document(COMMON)] * count) for count in (0, 1, 64)))
def checkpoint(data: bytes) -> None:
    """A checkpoint of 64 documents."""
    found = checkpoints.decode(data, 64, "x")
    assert checkpoints.decode(checkpoints.encode(found), 64, "x") == found


@target(b"\x01\0\0\0a" * 64)
def checkpoint_body(data: bytes) -> None:
    """A checkpoint of 64 documents, with a right checksum and frame."""
    checkpoint(b"ARTCHKP\x01" + blake3(data).digest() + zstandard.ZstdCompressor().compress(data))


_SEALED_MANIFEST = COMMON | ABOUT | {"payload": TREE}
_SEALED_ID = "b3:" + blake3(documents.encode(_SEALED_MANIFEST)).hexdigest()
_DRAFT = COMMON | {"draft": "run"}


@target(
    _body(_DRAFT | {"part": "a", "payload": TREE, "inputs": [{"key": "k", "id": ID}]}),
    _body(_DRAFT | {"sealed": {"a": UID}, "flat": True, "version": {"key": "k", "id": _SEALED_ID}}
          | {"manifest": _SEALED_MANIFEST}),
    _body(_DRAFT | {"dropped": True}),
)  # fmt: skip
def draft(data: bytes) -> None:
    """An entry of a draft, and all that is asked of one."""
    found = drafts.parse(seal(data), "x", "k", "run")
    if "part" in found:
        part = drafts.Part.of(found)
        assert re.fullmatch("[0-9a-f]{64}", part.tree)
        assert part.has(part.payload)
    elif "sealed" in found:
        sealing = drafts.Seal(found)
        assert sealing.tree is None or re.fullmatch("[0-9a-f]{64}", sealing.tree)
        _ = sealing.id, sealing.parts, sealing.is_flat


def _names() -> Iterator[str]:
    yield from ("manifests/a/b/v00000001.yaml", "refs/_anonymous/_notes/00000012.yaml")
    yield from ("refs/!k/_tags/!prod/00000001.yaml", "refs/a/_state/123456789.yaml")
    yield "drafts/!k/a/_/run-1/00000001.yaml"


@target(*_names())
def name(data: bytes) -> None:
    """The name of a document in a store."""
    text = _text(data)
    found = Log.of(text)
    if found:
        assert found[0].file(found[1]) == text
        assert ".." not in text.split("/")
    drafts.located(text)
    checkpoints.parse_name(text)
    keys.unescape(text)


# -- archives --------------------------------------------------------------------------------------


_NAMELESS = (  # a zip file with a member without a name
    "504b0304140000000000f0504b01021403140000000000f09b755d8316dc8c01000000010000000100000000"
    "0000000000000080010000006100504b050600000000010001002f000000200000000000"
)


def _archives() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder, _repository(Path(folder)) as repo:
        (Path(folder) / "a").write_bytes(b"good")
        repo.create("k", Path(folder) / "a")
        for ending in (".tar", ".tar.gz", ".zip"):
            yield Path(repo.export(Path(folder) / f"all{ending}", "k").path).read_bytes()
        yield bytes.fromhex(_NAMELESS)
        content = BytesIO(b"")
        with zipfile.ZipFile(content, "w") as bundle:
            bundle.writestr("a", b"x")
        yield content.getvalue()


def _repository(folder: Path) -> Repo:
    import art

    return art.init(folder)


@functools.cache
def _importing() -> tuple[tempfile.TemporaryDirectory[str], Repo]:
    folder = tempfile.TemporaryDirectory()
    return folder, _repository(Path(folder.name))


@target(*_archives())
def archive(data: bytes) -> None:
    """An archive that is imported into a repository, always the same one."""
    folder, repo = _importing()
    path = Path(folder.name) / "archive"
    path.write_bytes(data)
    repo.import_archive(path)


# -- words -----------------------------------------------------------------------------------------


@target(
    "k",
    "art://a/b@latest-3/x/y?region=eu&day=1",
    "b3:" + HEX[:12] + "/a",
    "A.b@v12",
    "k@prod?a=%2F",
    is_typed=True,
)
def reference(data: bytes) -> None:
    """A reference to a version, with its selector, path and partitions."""
    text = _text(data)
    likely = likely_selector(text)
    assert likely is None or Ref.parse(f"k@{likely}").selector == likely
    found = Ref.parse(text)
    assert Ref.parse(str(found)) == found
    assert found.is_narrow == bool(found.partitions or found.by)
    assert found.number is None or found.back is None


@target("k", "sales/Report", "models/x.y-z_1", is_typed=True)
def key(data: bytes) -> None:
    """A key, and a tag."""
    text = _text(data)
    found = keys.check_key(text)
    assert keys.unescape(keys.escape(found)) == found
    assert keys.escape(found) == keys.escape(found).lower()
    keys.check_tag(text)


@target("sales/*", "[a-c]?", "[!a]**/x", "[]-a]", "{a,b}", is_typed=True)
def pattern(data: bytes) -> None:
    """A pattern of keys."""
    re.compile(keys.glob_pattern(_text(data)[:200])).match("sales/report")


@target(
    "s3://bucket/a/b",
    "abfs://container@account.dfs.core.windows.net/x",
    "sftp://ana@host:22/~/x",
    "file:///tmp/x",
    "sftp://[::1]:22/x",
    "gs://b?key=secret",
    "/mnt/shared",
    "0filae:///t%p/f",
    "~a\0/x",
    "~nobody-of-this-name/x",
    "file://[/x",
    is_typed=True,
)
def address(data: bytes) -> None:
    """The URL of a remote."""
    text = _text(data)
    urls.redact(text)
    found = addresses.normal_url(text)
    assert addresses.normal_url(found) == found
    if urls.is_remote(found):
        assert str(urls.parse(found)) == found


@target("12h", "30d", "5%", "0.5%", "1h30m", "90s", "50", "99.9", is_typed=True)
def amount(data: bytes) -> None:
    """A span, a share, a duration, a percentage: one of them refuses it, or all take it."""
    text = _text(data)
    with contextlib.suppress(ValueError):
        assert 0 <= span_seconds(text) < 1 << 40
    parse_span(text)
    failures = []
    for parse in (parse_share, parse_duration, model.parse_progress):
        try:
            assert 0 <= parse(text) < float("inf")
        except ArtError as error:
            failures.append(error)
    if failures:
        raise failures[0]


@target(
    "keep_last: 3\nkeep_within: 12h\n",
    "keep_labels: a,b\nolder_than: 3w\nunreferenced: true\n",
    is_typed=True,
)
def policy(data: bytes) -> None:
    """Rules for pruning."""
    found = retention.policy_of(documents.load_plain(data, "x"))
    _ = found.has_rules
    for name in retention.SETTABLE:
        with contextlib.suppress(ArtError):
            value = retention.check_rule(name, _text(data))
            assert retention.check_rule(name, value) == value


@target("rows=3", "a.b=true", 'x={"y": [1, 2.5, null]}', "region=eu", is_typed=True)
def metadata(data: bytes) -> None:
    """Metadata on the command line."""
    text = _text(data)
    failures = []
    for parse in (parse_metadata, lambda items: parse_pairs(items, "--x")):
        try:
            model.check_metadata(parse([text]))
        except ArtError as error:
            failures.append(error)
    parse_json(text.partition("=")[2], "--x")
    if failures:
        raise failures[0]


@target(
    f"art_lock: 1\nversions:\n  k@prod:\n    key: k\n    id: b3:{HEX}\n    number: 3\n    created: '{NOW}'\n",
    f"art_lock: 1\nversions:\n  k@latest?region=eu:\n    id: b3:{HEX}\n",
    "art_lock: 2\n",
)
def lockfile(data: bytes) -> None:
    """A lock file, which people edit and merge."""
    pins = locks.parse(data, "x")
    assert locks.parse(locks.dump(pins), "x") == pins
