"""Damage of any kind is reported with the name of the file, and never becomes wrong data."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml
from blake3 import blake3

from art import document as documents
from art.cli import main
from art.errors import ArtError, CorruptError, NewerFormatError
from art.layout import Layout
from art.repo import Repo
from art.reporter import Silent
from tests.support_damage import CONTENTS, files_of, look_at_all, make_damage_template
from tests.support_hostile import Forge, document, seal
from tests.support_state import content

HANG_SECONDS = 100
# One file of each kind, by what its name holds.
KINDS = {
    "manifest": ("manifests/data/v00000001.yaml",),
    "inline manifest": ("manifests/text/v00000001.yaml",),
    "keyless manifest": ("anonymous/",),
    "tag": ("refs/data/_tags/prod/00000001.yaml",),
    "note": ("refs/data/_notes/00000001.yaml",),
    "state": ("refs/gone/_state/00000001.yaml",),
    "progress": ("progress/",),
    "format": ("format.yaml",),
    "config": ("config.yaml",),
    "layout": ("layouts/",),
    "pack": (".pack",),
}


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Turn a hang into a failure."""

    def stop(signal: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a bit of everything."""
    return make_damage_template(tmp_path_factory.mktemp("template") / "repo")


def fresh(template: Path, root: Path, *, with_index: bool = False) -> Path:
    """Return a copy of the repository at `root`."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    if not with_index:
        (root / ".art/index.sqlite").unlink()
    return root


def names(path: Path, root: Path) -> tuple[str, ...]:
    """Return what an error about a file must name: the file, or what is in it as users know it."""
    name = path.relative_to(root / ".art").as_posix()
    known = {"manifests/data/v00000001": "data@v1", "manifests/text/v00000001": "text@v1"}
    return (name, known.get(name.removesuffix(".yaml"), name))


def doctor_errors(root: Path) -> list[str]:
    """Return what doctor finds wrong, also where the index still knows what the file said."""
    try:
        with Repo(root) as repo:
            return [found.message for found in repo.doctor() if found.level == "error"]
    except ArtError as error:
        return [error.message]


class Listener(Silent):
    """Keeps what was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_index", [False, True], ids=["no index", "index"])
def test_flipped_bits_are_reported_or_harmless(
    kind: str, with_index: bool, template: Path, tmp_path: Path
) -> None:
    root = tmp_path / "repo"
    noticed = 0
    for path in files_of(template, *KINDS[kind])[:2]:
        size = path.stat().st_size
        places = {0, 7, size // 2, max(0, size - 33), size - 1}
        for at in sorted(places | set(random.Random(kind).choices(range(size), k=5))):
            fresh(template, root, with_index=with_index)
            copy = root / path.relative_to(template)
            data = bytearray(copy.read_bytes())
            data[at] ^= 1 << at % 8
            copy.write_bytes(data)
            noticed += bool(look_at_all(root, *names(copy, root)) or doctor_errors(root))
    assert noticed or kind == "config", "nothing was ever noticed"


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_and_extended_files_are_reported_or_harmless(
    kind: str, template: Path, tmp_path: Path
) -> None:
    root = tmp_path / "repo"
    noticed = 0
    for path in files_of(template, *KINDS[kind])[:2]:
        data = path.read_bytes()
        for changed in (
            b"", data[:1], data[: len(data) // 2], data[:-1], data[:-40], data + b"\n", data * 2,
            b"\0" * len(data), data[::-1],
        ):  # fmt: skip
            fresh(template, root)
            copy = root / path.relative_to(template)
            copy.write_bytes(changed)
            noticed += bool(look_at_all(root, *names(copy, root)))
    assert noticed > 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("config", "pack")])
def test_no_flipped_bit_and_no_truncation_of_a_checked_file_passes(
    kind: str, template: Path
) -> None:
    for path in files_of(template, *KINDS[kind]):
        data = path.read_bytes()
        if kind == "layout":
            # What a layout is checked by is its name.
            original = blake3(data).hexdigest()
            for changed in _every_change(data[:400]):
                assert Path(path).name == original
                with pytest.raises(CorruptError):
                    _checked_layout(changed + data[400:], original)
            continue
        for changed in _every_change(data):
            with pytest.raises((CorruptError, NewerFormatError)):
                documents.decode(changed, "x")


def _checked_layout(data: bytes, digest: str) -> None:
    found = blake3(data).hexdigest()
    Layout(data, "x", found)
    if found != digest:
        raise CorruptError("another digest")


def _every_change(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)
    for length in range(len(data)):
        yield data[:length]


def test_no_flipped_bit_of_a_pack_gives_other_bytes(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    path = max(files_of(root, ".pack"), key=lambda path: path.stat().st_size)
    data = path.read_bytes()
    wrong = right = 0
    for at in random.Random(1).sample(range(len(data)), 300):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        with Repo(root) as repo:
            try:
                found = content(repo, "data@v1")
            except CorruptError as error:
                wrong += path.name in error.message
                continue
            assert found == CONTENTS["data@v1"]
            right += 1
    assert wrong + right == 300
    assert wrong > 100 > right > 0


ODD: list[Any] = [
    None, True, False, -1, 0, 3, 2**63, 2**64, 10**30, 1.5, float("nan"), float("inf"), "", "x", "0",
    "x" * 70_000, "\x1b[31m\x07\n", "../../etc/passwd", "b3:" + "0" * 64, "b3:zz", "0" * 64,
    "2026-13-45T99:99:99.000000Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z",
    [], [None], ["x"], [["x"]], {}, {"a": 1}, {"id": 1}, [{"id": 1}], [{}],
    {"a": {"b": {"c": {"d": [1, [2, [3]]]}}}}, "\u202e\u0000\ufffe"[:1] + "bidi",
]  # fmt: skip


_VALUES = 5 if "ART_TEST_FULL" in os.environ else 2  # that each field gets


def _paths(fields: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every field, however deep."""
    items = fields.items() if isinstance(fields, dict) else enumerate(fields)
    for name, value in items:
        yield (*path, name)
        if isinstance(value, (dict, list)):
            yield from _paths(value, (*path, name))


def _replaced(fields: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = dict(fields) if isinstance(fields, dict) else list(fields)
    name = path[0]
    copy[name] = value if len(path) == 1 else _replaced(copy[name], path[1:], value)
    return copy


def _removed(fields: Any, path: tuple[Any, ...]) -> Any:
    copy = dict(fields) if isinstance(fields, dict) else list(fields)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _removed(copy[path[0]], path[1:])
    return copy


def _changed_documents(data: bytes, seed: str) -> Iterator[tuple[str, bytes]]:
    """Yield each field in turn replaced by a few odd values, taken away, added to."""
    fields = yaml.safe_load(data)
    fields.pop("check")
    chance = random.Random(seed)
    for path in _paths(fields):
        yield f"no {path}", document(_removed(fields, path))
        for value in chance.sample(ODD, _VALUES):
            yield f"{path} = {str(value)[:60]!r}", document(_replaced(fields, path, value))
    for name in ("purged", "payload", "to", "state", "set", "versions", "after", "check"):
        for value in chance.sample(ODD, _VALUES):
            yield f"{name} = {str(value)[:60]!r} added", document({**fields, name: value})


DOCUMENTS = [kind for kind in KINDS if kind not in ("config", "layout", "pack")]
COMMANDS = ["ls -a", "log data", "inspect data@v1", "cat text", "inspect bar", "tag list data"]
COMMANDS += ["ls --anonymous --json", "status", "doctor", "inspect text --json", "log gone --json"]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_odd_values_under_a_right_checksum_are_refused_or_shown(
    kind: str, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "repo"
    [path, *_] = files_of(template, *KINDS[kind])
    failures = []
    for what, data in _changed_documents(path.read_bytes(), kind):
        fresh(template, root)
        (root / path.relative_to(template)).write_bytes(data)
        try:
            look_at_all(root, is_free=True)
        except Exception as error:  # noqa: BLE001 - all of them are to be seen at once
            failures.append(f"{what}: {type(error).__name__}: {error}")
        command = COMMANDS[len(what) % len(COMMANDS)]
        code = main(["-C", str(root), *command.split()])
        said = capsys.readouterr()
        if "unexpected" in said.err or code not in (0, 2, 3, 4, 8, 12):
            failures.append(f"{what}: art {command}: {code} {said.err}")
    assert not failures, "\n".join(failures)


YAML_TRICKS = {
    "a bomb of aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (98 + n, 98 + n, *[97 + n] * 7)
        for n in range(20)
    ),
    "an alias to itself": b"a: &a [*a]\n",
    "an anchor": b"a: &x y\n",
    "a tag": b"a: !!python/object/apply:os.system [touch proof]\n",
    "a tag of one's own": b"a: !x y\n",
    "a tag by a directive": b"%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system []\n",
    "a binary": b"a: !!binary aGVsbG8=\n",
    "a set": b"a: !!set {x}\n",
    "deep brackets": b"a: " + b"[" * 400_000 + b"]" * 400_000 + b"\n",
    "deep braces": b"a: " + b"{a: " * 150_000 + b"\n",
    "deep dashes": b"a:\n " + b"- " * 400_000 + b"x\n",
    "deep dashes far apart": b"a:\n " + b"-  " * 300_000 + b"x\n",
    "deep question marks": b"a:\n " + b"? " * 400_000 + b"x\n",
    "dashes and question marks": b"a:\n " + b"- ? " * 200_000 + b"x\n",
    "deep by indentation": b"".join(b" " * n + b"a:\n" for n in range(1000)),
    "a key twice": b"key: data\nkey: data\n",
    "a key twice below": b"metadata: {a: 1, a: 2}\n",
    "a merge": b"metadata:\n  <<: {a: 1}\n",
    "a key that is a list": b"[a, b]: 1\n",
    "a key that is a number": b"1: 2\n",
    "a key that is null": b"~: 2\n",
    "a date": b"a: 2026-11-21\n",
    "a huge number": b"a: " + b"9" * 900_000 + b"\n",
    "a huge number in hexadecimal": b"a: 0x" + b"f" * 900_000 + b"\n",
    "a number of sixties": b"a: 1" + b":59" * 200_000 + b"\n",
    "two documents": b"a: 1\n---\na: 2\n",
    "a list": b"",
    "nothing": b"",
    "control characters": b"a: \x07\n",
    "not UTF-8": b"a: \xff\xfe\n",
    "UTF-16": "a: 1\n".encode("utf-16"),
    "a NUL": b"a: x\0y\n",
    "too large": b"a: " + b"x" * (1 << 20) + b"\n",
    "much too large": b"a: " + b"x" * (20 << 20) + b"\n",
    "many empty lists": b"a: [" + b"[]," * 30_000 + b"]\n",
    "many keys": b"".join(b"k%d:\n" % n for n in range(20_000)),
    "a long line without end": b"a: '" + b"x" * 900_000,
    "a newer format": b"",
}


@pytest.mark.parametrize("trick", YAML_TRICKS)
@pytest.mark.parametrize("kind", ["manifest", "tag", "progress", "format"])
def test_no_trick_of_yaml_works(trick: str, kind: str, template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    [path, *_] = files_of(root, *KINDS[kind])
    body = path.read_bytes()[:-40]
    if trick == "a newer format":
        body = body.replace(b"art: 1\n", b"art: 2\n")
    elif trick in ("a list", "nothing"):
        body = b"- a\n" if trick == "a list" else b""
    else:
        extra = YAML_TRICKS[trick]
        body = extra + body if extra.startswith(b"%") else body + extra
    path.write_bytes(seal(body))

    errors = look_at_all(
        root, *names(path, root), is_free=trick in ("many keys", "many empty lists")
    )
    codes = {error.exit_code for error in errors}
    assert codes <= {2, 4, 5, 8, 12}, errors
    assert trick != "a newer format" or 12 in codes
    harmless = ("many keys", "many empty lists", "a merge")
    assert errors or trick in harmless, "nothing was noticed"
    assert not Path("proof").exists()


@pytest.mark.parametrize("trick", [name for name in YAML_TRICKS if YAML_TRICKS[name]])
def test_no_trick_of_yaml_works_in_the_settings(trick: str, template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    (root / ".art/config.yaml").write_bytes(b"author: ana\n" + YAML_TRICKS[trick])
    for error in look_at_all(root, "config.yaml"):
        assert error.exit_code in (2, 8)


@pytest.mark.parametrize("level", ["read", "write", "gc", "other"])
def test_an_unknown_feature_is_refused_as_a_newer_format(
    level: str, template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "repo")
    Forge(root).put(f"features/{level}-encryption", b"")
    with pytest.raises(NewerFormatError, match="encryption"), Repo(root) as repo:
        repo.value("k", 1)


@pytest.mark.parametrize(
    "chunking",
    [
        {}, None, "x", [], {"algorithm": "rabin"}, {"min": 0}, {"min": -1}, {"max": 2**40},
        {"whole": 2**40}, {"whole": 0}, {"average": 1}, {"average": 255}, {"min": 1000, "max": 1},
        {"min": 1.5}, {"min": True}, {"max": 2**23}, {"average": 300}, {"average": 257, "max": 257},
        {"min": 64, "average": 256, "max": 256}, {"min": 64, "average": 8 << 20, "max": 8 << 20},
        {"min": 8 << 20, "average": 8 << 20, "max": 8 << 20, "whole": 8 << 20}, {"min": 65},
    ],
    ids=repr,
)  # fmt: skip
def test_odd_chunk_sizes_are_refused_or_work(chunking: Any, template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    path = root / ".art/format.yaml"
    fields = yaml.safe_load(path.read_bytes())
    del fields["check"]
    is_change = isinstance(chunking, dict) and chunking
    fields["chunking"] = {**fields["chunking"], **chunking} if is_change else chunking
    path.write_bytes(document(fields))
    for error in look_at_all(root, "format.yaml"):
        assert error.exit_code in (8, 12)


def test_a_damaged_manifest_does_not_hide_other_versions_and_heals(
    template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "repo")
    path = root / ".art/manifests/data/v00000001.yaml"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with Repo(root) as repo:
        states = {row.ref: row.state for row in repo.listing()}
        assert states["data@v1"] == "damaged"
        assert states["data@v2"] == states["text@v1"] == "live"
        assert repo.version("data").ref == "data@v2"
        assert [row.state for row in repo.history("data")] == ["live", "damaged"]
    path.write_bytes(whole)
    with Repo(root) as repo:
        assert [row.state for row in repo.history("data")] == ["live", "live"]
        assert [row.ref for row in repo.listing("data")] == ["data@v2"]
        assert content(repo, "data@v1") == CONTENTS["data@v1"]
        assert repo.version("data@v1").title == "noted"
        assert repo.version("data@prod").ref == "data@v1"
        assert not any(finding.level == "error" for finding in repo.doctor())


def test_a_damaged_log_of_one_key_does_not_stop_others(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    path = root / ".art/refs/data/_notes/00000001.yaml"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    listener = Listener()
    with Repo(root, listener) as repo:
        assert repo.version("data@v1").title is None
        assert repo.version("data").title == "T"
        assert repo.version("data@prod").number == 1
        repo.listing()
        repo.status()
        (warning,) = listener.warnings
        assert "refs/data/_notes/00000001" in warning
        assert "art fsck --repair" in warning
        with pytest.raises(CorruptError, match="refs/data/_notes/00000001"):
            repo.note("data@v1", title="on what is there")
        assert repo.create("data", root / "data").version.ref == "data@v3"
        assert repo.version("text").read() == b"# A text"
        assert {"text", "one", "bar"} <= {row.key for row in repo.listing()}
        assert repo.value("text", 1).version.ref == "text@v2"
        assert any("_notes/00000001" in finding.message for finding in repo.doctor())
    path.write_bytes(whole)
    with Repo(root) as repo:
        assert repo.version("data@v1").title == "noted"


def test_a_damaged_tag_stops_only_what_asks_for_it(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    path = root / ".art/refs/data/_tags/prod/00000001.yaml"
    path.write_bytes(path.read_bytes()[:-1])
    with Repo(root) as repo:
        assert repo.version("data@v1").title == "noted"
        assert repo.version("data").number == 2
        repo.tag("data@v2", "other")
        assert repo.version("data@other").number == 2
        for work in (
            lambda: repo.version("data@prod"),
            lambda: repo.tag("data@v2", "prod"),
            lambda: repo.plan_delete("data@v1"),
        ):
            with pytest.raises(CorruptError, match="refs/data/_tags/prod/00000001"):
                work()
        assert repo.delete("data@v2", force=True).versions


@pytest.mark.parametrize("log", ["_tags/prod", "_notes", "_state"])
def test_a_missing_entry_of_a_log_is_reported(log: str, template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "repo")
    with Repo(root) as repo:
        for value in range(3):
            repo.tag(f"data@v{value % 2 + 1}", "prod")
            repo.note("data@v1", title=str(value))
            repo.delete("data@v1", force=True)
            repo.restore("data@v1")
    (root / f".art/refs/data/{log}/00000002.yaml").unlink()
    (root / ".art/index.sqlite").unlink()
    listener = Listener()
    with Repo(root, listener) as repo:
        if log == "_notes":  # which version it is, and what is in it, does not hang on these
            repo.version("data@prod")
            assert f"refs/data/{log}/00000002" in listener.warnings[0]
        else:
            with pytest.raises(CorruptError, match=f"refs/data/{log}/00000002"):
                repo.version("data@prod")
        assert any(f"{log}/00000002" in finding.message for finding in repo.doctor())


def test_creating_again_heals_a_payload_whose_bytes_were_lost(
    template: Path, tmp_path: Path
) -> None:
    for lost in ("layouts/", ".pack"):
        for how in ("removed", "cut"):
            root = fresh(template, tmp_path / "repo", with_index=how == "cut")
            for path in files_of(root, lost):
                if how == "removed":
                    path.unlink()
                else:
                    path.write_bytes(path.read_bytes()[:-1])
            with Repo(root) as repo:
                made = repo.create("data", root / "data")
                assert content(repo, made.version.ref)["added"] == b"added", (lost, how)
                again = repo.create("one", root / "file", always=True)
                assert content(repo, again.version.ref) == CONTENTS["one@v1"], (lost, how)


def test_a_pack_that_claims_impossible_chunks_does_not_spoil_new_versions(
    template: Path, tmp_path: Path
) -> None:
    """Its directory is right by its digest, so it is believed that the chunk is there."""
    from blake3 import blake3

    from tests.support_hostile import PackBuilder

    for place in ((32, 2**31, 9), (2**31, 10, 9), (32, 10, 2**31), (0, 0, 0), (32, 2, 9 << 20)):
        root = fresh(template, tmp_path / "repo")
        pack = PackBuilder()
        data = b"new bytes"
        pack.add(blake3(data).digest(), b"\0" + data, len(data))
        record = pack.records.pop()
        pack.records.append(record[:32] + b"".join(n.to_bytes(4, "little") for n in place))
        Forge(root).pack(pack.finished())
        (root / "file").write_bytes(data)
        with Repo(root) as repo:
            made = repo.create("k", root / "file")
            assert repo.version(made.version.ref).read() == data, place


def test_an_error_of_the_command_line_names_the_file_and_has_its_exit_code(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fresh(template, tmp_path / "repo")
    path = root / ".art/manifests/data/v00000002.yaml"
    path.write_bytes(path.read_bytes().replace(b"rows", b"cows")[:-1] + b"?")
    for command in ("inspect data", "get data out", "cat data@v2/small", "inspect data@v2 --json"):
        assert main(["-C", str(root), *command.split()]) in (0, 8)
        code = main(["-C", str(root), *command.replace("data ", "data@v2 ").split()])
        said = capsys.readouterr()
        assert code == 8 or "data@" not in command, said
        assert "manifests/data/v00000002.yaml" in said.err or code == 0
    os.chdir(tmp_path)
    assert isinstance(CorruptError("x"), ArtError)
