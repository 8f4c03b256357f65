"""`art purge`."""

from __future__ import annotations

from pathlib import Path

from art.repo import Repo
from tests.conftest import Runner


def leak(repo: Repo, files: Path) -> None:
    (files / "secret").write_text("SECRET" * 50)
    repo.create("k", files)
    (files / "secret").unlink()
    repo.create("k", files)


def test_it_asks_first_and_says_what_stays(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    repo.note("k@v1", description="oh no")
    assert "--yes" in run("purge", "k@v1", code=2).err
    assert repo.states("k@v1") == {"live"}
    result = run("purge", "k@v1", "--yes", "-m", "a password")
    assert result.out.startswith("k@v1 is gone for ever; ")
    assert "are part of other versions, too, and stay" in result.err
    assert "refs/k/_notes/00000001.yaml stays" in result.err
    assert repo.states("k@v1") == {"purged"}
    run("inspect", "k@v1", code=4)
    run("restore", "k@v1", code=2)


def test_json_says_what_it_came_to(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    repo.copy("k@v1", "copy")
    shown = run("purge", "k@v1", "--yes", "--json").json
    (version,) = shown["versions"]
    assert version["state"] == "purged"
    assert version["notes"] == []
    assert (version["key"], version["number"]) == ("k", 1)
    held = {each["ref"]: each for each in shown["held_by"]}
    assert held["copy@v1"]["same_payload"]
    assert "secret" not in held["k@v2"]["files"]
    assert shown["purged"] == 1


def test_who_else_holds_a_secret_is_told_before_anything_is_done(
    repo: Repo, files: Path, run: Runner
) -> None:
    repo.create("harmless", files / "README.txt")
    (files / "secret").write_text("SECRET" * 50)
    repo.create("k", files)
    (files / "more").write_text("more")
    repo.create("k", files)
    repo.create("alone", files / "secret")
    repo.delete("alone@v1")  # it can be restored
    shown = run("purge", "alone@v1", "--dry-run", "--json").json
    assert {each["ref"]: each["files"] for each in shown["held_by"]} == {
        "k@v1": ["secret"],
        "k@v2": ["secret"],
    }
    assert "would purge alone@v1" in run("purge", "alone@v1", "--dry-run").out
    assert "  k@v2  secret" in run("purge", "alone@v1", code=2).err
    assert repo.states("alone@v1") == {"deleted"}
    run("purge", "alone@v1", "k@v1", "k@v2", "--yes")
    stored = b"".join(p.read_bytes() for p in (repo.root / ".art").rglob("*.pack"))
    assert b"SECRET" not in stored
    assert repo.states("harmless") == {"live"}


def test_the_same_payload_goes_with_it_where_that_is_wanted(
    repo: Repo, files: Path, run: Runner
) -> None:
    repo.create("k", files)
    repo.copy("k@v1", "copy")
    assert "--same" in run("purge", "k@v1", "--dry-run").err
    shown = run("purge", "k@v1", "--same", "--yes", "--json").json
    assert {version["ref"] for version in shown["versions"]} == {"k@v1", "copy@v1"}
    assert repo.states("copy") == {"purged"}


def test_the_same_text_is_found(repo: Repo, run: Runner) -> None:
    repo.value("k", "hunter2")
    repo.value("other", "hunter2")
    repo.value("third", "hunter3")
    shown = run("purge", "k@v1", "--dry-run", "--json").json
    assert [each["ref"] for each in shown["held_by"]] == ["other@v1"]


def test_versions_and_what_was_made_from_them_go_together(repo: Repo, run: Runner) -> None:
    repo.value("raw", 1)
    repo.value("made", 2, inputs=["raw"])
    assert "made@v1 was made from it" in run("purge", "raw@v1", "--dry-run", code=5).error
    run("purge", "raw@v1", "made@v1", "--yes")
    assert repo.states("raw") == repo.states("made") == {"purged"}


def test_done_again_it_says_so(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    run("purge", "k@v1", "--yes", "--error-on-noop")
    run("purge", "k@v1", "--yes")
    assert "purged already" in run("purge", "k@v1", "--yes", "--error-on-noop", code=9).error


def test_a_tag_needs_force(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    repo.tag("k@v1", "prod")
    assert "tag 'prod' names it" in run("purge", "k@v1", "--yes", code=5).error
    run("purge", "k@v1", "--yes", "--force")


def test_a_key_alone_is_too_much(repo: Repo, files: Path, run: Runner) -> None:
    leak(repo, files)
    assert "which of its versions" in run("purge", "k", "--yes", code=2).error
    run("purge", "nope", "--yes", code=4)
    run("purge", "k@v9", "--yes", code=4)


def test_there_first_then_here(repo: Repo, files: Path, run: Runner, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    run("remote", "add", "origin", str(remote))
    leak(repo, files)
    assert "not at origin" in run("purge", "k@v1", "--remote", "origin", "--yes", code=4).error
    run("push")
    done = run("purge", "k@v1", "--remote", "origin", "--yes")
    assert "gc" not in done.err, "its bytes are gone from here, too"
    assert "still at" not in done.err
    assert b"SECRET" not in b"".join(p.read_bytes() for p in remote.rglob("*") if p.is_file())
    assert repo.states("k@v1") == {"purged"}
    run("purge", "k@v1", "--remote", "origin", "--yes")  # again: nothing is left to do


def test_what_is_purged_only_here_is_said_to_be_still_there(
    repo: Repo, files: Path, run: Runner, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    run("remote", "add", "origin", str(remote))
    leak(repo, files)
    repo.value("other", 1)
    run("push", "k")
    assert "still at" not in run("purge", "other@v1", "--yes").err
    command = "art purge k@v1 --remote origin"
    assert f"k@v1 is still at origin; `{command}` takes it" in run("purge", "k@v1", "--yes").err
    run("push")
    run(*command.split()[1:], "--yes")
    assert b"SECRET" not in b"".join(p.read_bytes() for p in remote.rglob("*") if p.is_file())


def test_a_version_of_which_nothing_is_known_is_not_purged(
    repo: Repo, files: Path, run: Runner
) -> None:
    leak(repo, files)
    manifest = repo.root / ".art/manifests/k/v00000001.yaml"
    manifest.write_bytes(manifest.read_bytes() + b"x")
    (repo.root / ".art/index.sqlite").unlink()
    for extra in ((), ("--dry-run",)):
        error = run("purge", "k@v1", "--yes", *extra, code=8).error
        assert error.startswith("k@v1 is not purged: manifests/k/v00000001.yaml is damaged")
    assert not (repo.root / ".art/refs/k/_state").exists()
