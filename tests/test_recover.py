"""`docs/recover.py`, which knows FORMAT.md and not art, takes out what art has put in."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from art.layout import Layout
from art.repo import Repo
from tests.support_hostile import Forge, line

SCRIPT = Path(__file__).parent.parent / "docs" / "recover.py"
EVIL = b"evil"


def recover(store: Path, target: Path, *, code: int = 0) -> str:
    """Run the script; return what it said on stderr."""
    # A module called art that fails shows that the script does without.
    blocker = target.parent / "blocker"
    blocker.mkdir(exist_ok=True)
    (blocker / "art.py").write_text("raise ImportError('recover.py must not import art')\n")
    words = [sys.executable, "-W", "error", str(SCRIPT), str(store), str(target)]
    environment = {**os.environ, "PYTHONPATH": str(blocker)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stderr


def tree_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what lies in a folder: kind, mode and content by path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*"):
        name = os.fsencode(path.relative_to(folder)).decode("latin-1")
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", path.stat().st_mode & 0o777)
        else:
            found[name] = ("file", path.stat().st_mode & 0o777, path.read_bytes())
    return found


@pytest.fixture
def target(workplace: Path) -> Path:
    return workplace / "out"


def test_folders_with_odd_names_links_and_modes_come_back_as_they_were(
    repo: Repo, workplace: Path, target: Path
) -> None:
    data = workplace / "data"
    (data / "in" / "empty").mkdir(parents=True)
    (data / "in" / "empty").chmod(0o500)
    (data / "nothing").write_bytes(b"")
    (data / 'say "hi" \\ \n ü 🎨').write_text("odd")
    Path(os.fsdecode(os.fsencode(data) + b"/\xff\xfe")).write_text("not UTF-8")
    (data / "run").write_text("#!/bin/sh\n")
    (data / "run").chmod(0o751)
    (data / "link").symlink_to("../../outside")
    repo.create("Sales/Data", "data")
    assert recover(workplace, target) == ""
    assert tree_of(target / "Sales" / "Data" / "v1") == tree_of(data)


def test_large_files_with_lists_of_chunks_and_extended_layouts(
    repo: Repo, workplace: Path, target: Path
) -> None:
    data = workplace / "data"
    data.mkdir()
    content = bytearray(random.Random(1).randbytes(9 << 20))
    (data / "text").write_text("".join(f"{n}\n" for n in range(30_000)))
    for number in range(300):
        (data / f"small-{number}").write_text(f"{number}\n")
    versions = []
    for number in range(3):
        content[number * 1000 : number * 1000] = b"new"
        (data / "large").write_bytes(content)
        repo.create("k", "data")
        versions.append(tree_of(data))
    layouts = (repo.root / ".art" / "layouts").rglob("*/*/*")
    assert {Layout(p.read_bytes(), p.name, p.name).depth for p in layouts if p.is_file()} == {0, 1}
    assert recover(workplace / ".art", target) == ""
    assert [tree_of(target / "k" / f"v{n}") for n in (1, 2, 3)] == versions


def test_texts_references_keyless_versions_and_keys_like_versions(
    repo: Repo, workplace: Path, target: Path
) -> None:
    (workplace / "f").write_text("f")
    repo.value("number", 3)
    repo.link("a", "https://example.org/")
    repo.create("a/v1", "f")
    repo.create("nul.x/a.", "f")
    repo.reference("far", "f")
    repo.create("bare", title="nothing in it")
    uid = repo.create(None, "f").version.record.uid
    assert recover(workplace, target) == ""
    assert (target / "number/v1/inline").read_text() == "3"
    assert (target / "a/v1/inline").read_text() == "https://example.org/"
    assert (target / "a/!v1/v1/f").read_text() == "f"
    assert (target / "nul.x/a./v1/f").read_text() == "f"
    assert (target / "far/v1/reference").read_text() == (workplace / "f").as_uri()
    assert not any((target / "bare/v1").iterdir())
    assert (target / "_anonymous" / uid / "f").read_text() == "f"


def test_one_damaged_chunk_costs_its_files_only(repo: Repo, workplace: Path, target: Path) -> None:
    data = workplace / "data"
    data.mkdir()
    for name in ("a", "b", "c"):
        (data / name).write_bytes(random.Random(name).randbytes(5000))
    repo.create("k", "data")
    repo.value("n", 1)
    (pack,) = (workplace / ".art" / "packs").rglob("*.pack")
    whole = pack.read_bytes()
    at = whole.index((data / "b").read_bytes()) + 100
    pack.chmod(0o644)
    pack.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    said = recover(workplace, target, code=1)
    assert "manifests/k/v00000001.yaml: 'b': pack " in said
    assert "is damaged" in said
    assert sorted(path.name for path in (target / "k/v1").iterdir()) == ["a", "c"]
    assert (target / "n/v1/inline").read_text() == "1"


def test_damaged_manifests_and_missing_payloads_are_named(
    repo: Repo, workplace: Path, target: Path
) -> None:
    for key in ("a", "b", "c"):
        (workplace / "f").write_text(key)
        repo.create(key, "f")
    manifests = workplace / ".art" / "manifests"
    text = (manifests / "a/v00000001.yaml").read_bytes()
    (manifests / "a/v00000001.yaml").write_bytes(text.replace(b"type", b"tipe"))
    (manifests / "d").mkdir()
    shutil.copy(manifests / "c/v00000001.yaml", manifests / "d/v00000001.yaml")
    tree = repo.version("b").payload
    assert tree
    shutil.rmtree(workplace / ".art/layouts" / str(tree.tree)[:2])
    said = recover(workplace, target, code=1)
    assert "a/v00000001.yaml: it is damaged" in said
    assert "b/v00000001.yaml: its payload is not here" in said
    assert "d/v00000001.yaml: it is about something else" in said
    assert (target / "c/v1/f").read_text() == "c"


def test_a_second_layout_serves_where_the_first_is_damaged(
    repo: Repo, workplace: Path, target: Path
) -> None:
    (workplace / "f").write_text("f")
    repo.create("k", "f")
    (layout,) = (path for path in (workplace / ".art/layouts").rglob("*") if path.is_file())
    (layout.parent / ("0" * 64)).write_bytes(layout.read_bytes()[:-1])
    assert "layout 0000" in recover(workplace, target)
    assert (target / "k/v1/f").read_text() == "f"


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../x", ".ART/config", "a//b", "."])
def test_nothing_is_written_outside_the_target(
    path: str, repo: Repo, workplace: Path, target: Path
) -> None:
    Forge(repo.root).folder("k", [line("good", EVIL), line(path, EVIL)], [EVIL])
    before = sorted(os.listdir(workplace))
    assert "a path out of it" in recover(workplace, target, code=1)
    assert sorted(os.listdir(workplace)) == sorted([*before, "blocker", "out"])
    assert list(tree_of(target / "k/v1")) == ["good"]


def test_nothing_is_written_through_links(repo: Repo, workplace: Path, target: Path) -> None:
    outside = workplace / "outside"
    outside.mkdir(mode=0o755)
    link = f'{{"path":"l","link":"{outside}"}}\n'.encode()
    folder = b'{"path":"l","mode":"700","dir":true}\n'
    Forge(repo.root).folder("k", [link, folder, line("l", EVIL), line("l/x", EVIL)], [EVIL])
    assert recover(workplace, target, code=1).count("a path out of it") == 3
    assert list(outside.iterdir()) == []
    assert outside.stat().st_mode & 0o777 == 0o755


def test_a_repository_with_an_unknown_feature_is_not_read(
    repo: Repo, workplace: Path, target: Path
) -> None:
    (workplace / ".art/features").mkdir()
    (workplace / ".art/features/read-magic").touch()
    assert "it is newer" in recover(workplace, target, code=1)
    assert not target.exists()


def test_a_target_that_is_there_is_left_alone(repo: Repo, target: Path) -> None:
    target.mkdir()
    said = recover(repo.root, target, code=1)
    assert "is there" in said
    assert "Traceback" not in said


def test_the_script_is_small() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 150
    assert "import art" not in text
