"""`art inspect`, `art diff` and `art resolve`."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner


@pytest.fixture(autouse=True)
def _made(repo: Repo, files: Path) -> None:
    repo.create("data", files, description="first")
    (files / "README.txt").write_text("New prices\n")
    repo.create("data", files, description="second")
    repo.markdown("report", "# Title\n\nBody\n", inputs=["data@v1"])
    repo.json("config", {"a": 1, "b": [1, 2]})
    repo.json("config", {"a": 2, "b": [1, 2]})
    repo.table("prices", files / "eu" / "part-0.csv")
    repo.link("page", "https://example.org/x", text="X")
    repo.progress("job", 25, message="loading")


def test_inspect_shows_content_and_manifest(run: Runner) -> None:
    out = run("inspect", "report").out

    assert "Title" in out
    assert "data@v1" in out
    assert "report@v1" in out


@pytest.mark.parametrize(
    ("ref", "shown"),
    [
        ("data", "part-0.csv"),
        ("prices", "2.50"),
        ("page", "https://example.org/x"),
        ("job", "25 %"),
        ("config", '"a": 2'),
    ],
)
def test_inspect_shows_each_type(run: Runner, ref: str, shown: str) -> None:
    assert shown in run("inspect", ref).out


def test_inspect_pages_through_tables(run: Runner) -> None:
    out = run("inspect", "prices", "--rows", "1", "--first-row", "2").out

    assert "3.00" in out
    assert "2.50" not in out


def test_inspect_raw_is_the_manifest(run: Runner) -> None:
    out = run("inspect", "report@v1", "--raw").out

    assert out.startswith("art: 1\n")
    assert "key: report\n" in out


def test_inspect_as_json(repo: Repo, run: Runner) -> None:
    repo.note("report", title="Noted")
    document = run("inspect", "report", "--json").json

    assert document["title"] == "Noted"
    assert "title" not in document["manifest"]
    assert document["manifest"]["inputs"][0]["key"] == "data"
    assert document["notes"][0]["set"] == {"title": "Noted"}
    assert run("inspect", "job", "--json").json["progress"]["value"] == 25


def test_diff_of_a_key_is_with_the_version_before(run: Runner) -> None:
    out = run("diff", "data").out

    assert out.startswith("--- data@v1\n+++ data@v2\n")
    assert "description: first → second" in out
    assert "README.txt" in out


def test_diff_takes_selectors_of_the_same_key(run: Runner) -> None:
    assert run("diff", "data@v1", "@v2").out == run("diff", "data@v1", "data@v2").out
    assert run("diff", "data@v1").out == run("diff", "data").out


def test_diff_shows_lines_of_files_in_folders(run: Runner) -> None:
    assert "+New prices" in run("diff", "data", "--contents").out
    assert "+New prices" not in run("diff", "data", "--stat").out


def test_diff_as_json(run: Runner) -> None:
    document = run("diff", "config", "--json").json

    assert document["json"] == [{"path": "$.a", "kind": "changed", "old": 1, "new": 2}]


def test_diff_of_equal_versions(run: Runner) -> None:
    assert run("diff", "data@v2", "data@v2").out == "data@v2 and data@v2 are the same\n"
    run("diff", "data@v2", "data@v2", "--exit-code")
    run("diff", "data", "--exit-code", code=1)


def test_diff_of_a_lone_id_asks_for_the_other(repo: Repo, run: Runner) -> None:
    assert "other one" in run("diff", repo.version("data").id, code=2).error


def test_resolve_prints_version_and_id(repo: Repo, run: Runner) -> None:
    repo.tag("data@v1", "prod")
    id = repo.version("data@v1").id

    assert run("resolve", "data@prod").out == f"data@v1  {id}\n"
    assert run("resolve", "data@latest-1", id[:12], "--json").json == [
        {
            "asked": asked,
            "is_exact": is_exact,
            "ref": "data@v1",
            "key": "data",
            "number": 1,
            "id": id,
        }
        for asked, is_exact in (("data@latest-1", False), (id[:12], True))
    ]
    run("resolve", "data@nope", code=4)
    run("resolve", "data@v9", code=4)
    run("resolve", "data@latest-x", code=2)


def test_inspect_shows_the_statistics_of_the_preview(run: Runner) -> None:
    out = run("inspect", "prices", "--stats").out

    assert out.startswith("prices@v1  table\n2 rows, 2 columns\n")
    assert "count 2  nulls 0  uniques 2  min 2.5  max 3  mean 2.75" in out
    assert "payload" not in out
    assert "no preview" in run("inspect", "job", "--stats", code=4).error


def test_values_in_manifests_have_statistics_too(repo: Repo, run: Runner) -> None:
    repo.save([1.0, 3.0, 2.0], "series")

    assert "3 items" in run("inspect", "series", "--stats").out
    assert "# Title" in run("inspect", "report", "--stats").out
    assert run("inspect", "config", "--json").json["preview"]["value"] == {"a": 2, "b": [1, 2]}


def test_inspect_as_json_has_the_preview(repo: Repo, run: Runner) -> None:
    document = run("inspect", "prices", "--json").json

    assert document["preview"]["columns"][1]["mean"] == 2.75
    assert document["manifest"]["preview"]
    assert "preview: " in run("inspect", "prices", "--raw").out
    assert run("inspect", "data", "--json").json["preview"] is None


def test_a_damaged_preview_is_not_shown(repo: Repo, run: Runner) -> None:
    digest = str(repo.version("prices").document["preview"])
    path = repo.root / ".art" / "previews" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b'{"art":1,"kind":"text","cut":false,"text":"forged"}')

    assert "damaged" in run("inspect", "prices", "--stats", code=8).error
    result = run("inspect", "prices", "--json")
    assert result.json["preview"] is None
    assert "damaged" in result.err
    assert "2.50" in run("inspect", "prices").out


def test_inspect_in_a_clone_shows_the_preview_and_fetches_nothing(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    repo.remotes.add("origin", str(workplace / "shared"))
    repo.push()
    assert "2.50" in run("inspect", "prices", "--remote", "origin").out
    run("clone", str(workplace / "shared"), "copy")

    out = run("-C", "copy", "inspect", "prices").out

    assert "the content is not here, --fetch brings it" in out
    assert "2.75" in out
    copy = workplace / "copy" / ".art"
    assert not list((copy / "packs").rglob("*.pack"))
    assert "2.50" in run("-C", "copy", "inspect", "prices", "--fetch").out
    assert list((copy / "packs").rglob("*.pack"))
    assert "2.50" in run("-C", "copy", "inspect", "prices").out


def test_inspect_in_a_clone_whose_remote_is_away_shows_what_is_known(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    repo.remotes.add("origin", str(workplace / "shared"))
    repo.push()
    run("clone", str(workplace / "shared"), "copy")
    run("clone", str(workplace / "shared"), "looked")
    run("-C", "looked", "inspect", "prices")
    (workplace / "shared").rename(workplace / "away")

    result = run("-C", "copy", "inspect", "prices", code=11)
    assert "rows: 2" in result.out
    assert result.error.startswith("remote origin: there is no folder")
    result = run("-C", "copy", "inspect", "prices", "--stats", code=4)
    assert "is neither here nor at a remote that can be reached" in result.error
    assert run("-C", "copy", "inspect", "prices", "--json").json["preview"] is None
    assert "table" in run("-C", "copy", "ls", "prices").out

    # what was looked at once is here
    assert "2.75" in run("-C", "looked", "inspect", "prices").out
    assert "mean" in run("-C", "looked", "inspect", "prices", "--stats").out
    assert run("-C", "looked", "inspect", "prices", "--json").json["preview"]["kind"] == "table"


def test_inspect_of_what_is_lost_shows_the_preview_and_says_so(repo: Repo, run: Runner) -> None:
    shutil.rmtree(repo.root / ".art" / "packs")
    shutil.rmtree(repo.root / ".art" / "layouts")

    result = run("inspect", "prices@v1", code=8)

    assert "2.75" in result.out
    assert "--fetch" not in result.out
    assert "payload" in result.out
    assert "is not in this repository" in result.error


def test_what_is_no_text_is_read_where_its_preview_is_damaged(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    with zipfile.ZipFile(workplace / "x.zip", "w") as archive:
        archive.writestr("inside.txt", "text")
    repo.create("zip", "x.zip")
    digest = str(repo.version("zip").document["preview"])
    path = repo.root / ".art" / "previews" / digest[:2] / digest
    assert "inside.txt" in run("inspect", "zip").out
    path.chmod(0o600)
    path.write_bytes(b"forged")

    assert "damaged" in run("inspect", "zip").out


def test_a_folder_that_changed_twice_is_told_by_counts(run: Runner, workplace: Path) -> None:
    """Three files at first; then, twice, one is removed, one added and one modified."""
    folder = workplace / "set"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / name).write_text(name)
    run("create", "set", "set")
    for gone, new in (("one", "four"), ("three", "five")):
        (folder / gone).unlink()
        (folder / new).write_text(new)
        (folder / "two").write_text(f"two and {new}")
        run("create", "set", "set")
        *_, counts = run("diff", "set", "--stat").out.splitlines()
        assert counts.startswith("1 file added, 1 removed, 1 modified; 3 → 3 files")

    *_, counts = run("diff", "set@v1", "@v3", "--stat").out.splitlines()
    assert counts.startswith("2 files added, 2 removed, 1 modified; 3 → 3 files")
    for ref, names in (("set@v1/t*", ["three", "two"]), ("set@v3/t*", ["two"])):
        run("get", ref, f"part-{len(names)}")
        assert sorted(each.name for each in Path(f"part-{len(names)}").iterdir()) == names
