"""`art fsck`: what it prints, its exit codes, its JSON."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from art.cli.fsck import parse_duration, parse_share
from art.errors import UsageError
from art.repo import Repo
from tests.conftest import Runner
from tests.support_damage import files_of
from tests.support_state import random_bytes


@pytest.fixture
def stored(repo: Repo, workplace: Path) -> Path:
    """Return the folder of a repository with three artifacts and a remote that has them."""
    (workplace / "data").write_bytes(random_bytes(200_000, 1))
    repo.create("sales/report", "data")
    (workplace / "more").write_bytes(random_bytes(50_000, 2))
    repo.create("more", "more")
    repo.value("rate", 1)
    repo.remotes.add("origin", str(workplace / "remote"))
    repo.push()
    return workplace


def spoil(place: Path) -> Path:
    (path,) = (path for path in place.rglob("*.pack") if path.stat().st_size > 100_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


def test_what_is_whole_is_said_with_counts(stored: Path, run: Runner) -> None:
    said = run("fsck", "--data").out
    assert "3 versions of 3 artifacts: 3 manifests" in said
    assert "every byte of all packs was read" in said
    assert said.splitlines()[-1] == "result   nothing is damaged"
    assert "nothing is damaged" in run("fsck", "--remote", "origin", "--data").out


def test_damage_is_one_line_with_versions_and_exit_code_8(stored: Path, run: Runner) -> None:
    path = spoil(stored / ".art")
    run("fsck")
    found = run("fsck", "--data", code=8)
    (line,) = (line for line in found.out.splitlines() if line.startswith("damaged"))
    assert line.startswith(f"damaged  sales/report@v1: packs/{path.stem[:2]}/{path.name}")
    assert "--repair" in found.err
    assert "rate" not in found.out


def test_json_names_everything(stored: Path, run: Runner) -> None:
    path = spoil(stored / ".art")
    found = run("fsck", "--data", "--json", code=8).json
    assert found["whole"] is False
    (problem,) = found["problems"]
    assert problem["kind"] == "pack"
    assert problem["name"].endswith(path.name)
    assert problem["refs"] == ["sales/report@v1"]
    assert problem["hint"] == "art fsck --repair"
    assert found["counts"]["read_bytes"] == found["coverage"]["total_bytes"]
    again = run("fsck", "--json", code=8).json
    assert again["coverage"] is None
    assert again["problems"] == found["problems"], "what is known is not forgotten"


def test_repair_shows_what_it_would_do_then_does_it(stored: Path, run: Runner) -> None:
    path = spoil(stored / ".art")
    broken = path.read_bytes()
    plan = run("fsck", "--data", "--repair", "--dry-run", code=8)
    assert f"would restore packs/{path.stem[:2]}/{path.name} from origin" in plan.out
    assert "1 problem, which can be healed" in plan.out
    assert path.read_bytes() == broken
    done = run("fsck", "--data", "--repair")
    assert done.out.splitlines()[-1] == "all is healed"
    assert path.read_bytes() != broken
    run("fsck", "--data")
    assert "nothing is damaged" in run("fsck", "--data", "--repair").out
    assert files_of(stored, "quarantine", path.name)[0].read_bytes() == broken


def test_repair_says_in_json_what_it_did(stored: Path, run: Runner) -> None:
    spoil(stored / "remote")
    plan = run(
        "fsck", "--data", "--repair", "--remote", "origin", "--dry-run", "--json", code=8
    ).json
    assert plan["dry_run"] is True
    assert [step["kind"] for step in plan["steps"]] == ["pack"]
    done = run("fsck", "--data", "--repair", "--remote", "origin", "--json").json
    assert done["dry_run"] is False
    assert [step["source"] for step in done["steps"]] == ["this repository"]
    assert done["left"] == []
    assert len(done["quarantined"]) == 1


def test_what_is_lost_is_shown_as_damaged_until_it_is_back(stored: Path, run: Runner) -> None:
    path = spoil(stored / ".art")
    shutil.rmtree(stored / "remote/packs")
    kept = (stored / "data").rename(stored.parent / "kept")  # where it was it would be found
    left = run("fsck", "--data", "--repair", code=8)
    assert "damaged  sales/report@v1" in left.out
    assert "1 problem left" in left.out
    assert "file, damaged" in run("ls").out
    assert "live, damaged" in run("log", "sales/report").out
    assert f"damaged     sales/report@v1: packs/{path.stem[:2]}/" in run("status").out
    assert "damaged" in run("log", "sales/report", "--json").json[0]
    assert "damaged" not in run("log", "rate").out
    run("fsck", "--data", "--repair", "--from", str(kept))
    run("fsck", "--data")
    assert "damaged" not in run("ls").out + run("status").out


def test_samples_say_how_much_was_read_since_when(stored: Path, run: Runner) -> None:
    said = run("fsck", "--sample", "1%").out
    assert "% (" in said
    assert "of all packs were read since" in said
    run("fsck", "--max-duration", "10m", "--sample", "100%", "--remote", "origin")


@pytest.mark.parametrize(
    "words",
    [
        ["--from", "data"], ["--dry-run"], ["--repair", "--sample", "5%"], ["--sample", "5"],
        ["--sample", "0%"], ["--sample", "101%"], ["--max-duration", "soon"],
        ["--max-duration", "10m x"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_refused(words: list[str], stored: Path, run: Runner) -> None:
    run("fsck", *words, code=2)


def test_what_is_not_there_is_refused(stored: Path, run: Runner) -> None:
    run("fsck", "no/such", code=4)
    run("fsck", "--remote", "elsewhere", code=4)
    run("fsck", "--repair", "--from", "nowhere", code=4)


def test_shares_and_times_are_read() -> None:
    assert parse_share("5%") == 0.05
    assert parse_share("12.5%") == 0.125
    assert parse_duration("90s") == 90
    assert parse_duration("1h30m") == 5400
    with pytest.raises(UsageError):
        parse_duration("")


def test_odd_names_do_not_reach_the_terminal(stored: Path, run: Runner) -> None:
    (stored / ".art/\x1b[31mred").write_text("x")
    said = run("fsck").out
    assert "\x1b" not in said
    assert "\\x1b[31mred" in said
