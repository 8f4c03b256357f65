"""`art init`, `config`, `status`, `du` and `doctor`."""

from __future__ import annotations

from pathlib import Path

import art
from art.repo import Repo
from tests.conftest import Runner


def test_init_makes_a_repository_once(workplace: Path, run: Runner) -> None:
    assert run("init", "place", "--json").json == {
        "root": str(workplace / "place"),
        "created": True,
    }
    assert run("init", "place", "--json").json["created"] is False
    assert (workplace / "place" / ".art" / "format.yaml").is_file()


def test_init_refuses_to_nest_silently(repo: Repo, run: Runner) -> None:
    assert "--nested" in run("init", "inside", code=5).err
    run("init", "inside", "--nested")


def test_commands_need_a_repository(run: Runner) -> None:
    result = run("ls", code=10)

    assert result.err.splitlines()[-1] == "hint: art init"


def test_config_sets_gets_lists_and_unsets(repo: Repo, run: Runner) -> None:
    run("config", "set", "author", "ana@example.org")

    assert run("config", "get", "author").out == "ana@example.org\n"
    assert run("config", "get", "author", "--json").json["origin"] == "repository"
    assert "ana@example.org" in run("config", "list").out
    assert repo.value("k", 1).version.author == "ana@example.org"
    run("config", "unset", "author")
    assert run("config", "get", "author", "--json").json["origin"] == "default"
    run("config", "get", "nope", code=2)
    run("config", "set", "jobs", "many", code=2)


def test_status_counts(repo: Repo, files: Path, run: Runner) -> None:
    repo.create("data", files)
    repo.value("k", 1)
    repo.value("k", 2)
    repo.delete("k@v1")
    document = run("status", "--json").json

    assert (document["keys"], document["versions"]) == (2, 3)
    assert document["states"] == {"live": 2, "deleted": 1}
    assert "2 artifacts, 3 versions" in run("status").out


def test_du_weighs(repo: Repo, files: Path, run: Runner) -> None:
    repo.create("data", files)
    document = run("du", "--json").json

    assert document["keys"][0]["key"] == "data"
    assert document["keys"][0]["size"] == sum(
        path.stat().st_size for path in files.rglob("*") if path.is_file()
    )
    assert run("du", "nope*", "--json").json["keys"] == []
    assert run("du").out.splitlines()[1].startswith("data ")


def test_doctor_is_content_with_a_good_repository(repo: Repo, files: Path, run: Runner) -> None:
    repo.create("data", files)

    assert {finding["level"] for finding in run("doctor", "--json").json} == {"ok"}


def test_doctor_finds_damage(repo: Repo, files: Path, run: Runner) -> None:
    repo.create("data", files)
    manifest = next(Path(".art/manifests").rglob("*.yaml"))
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b"folder", b"felder"))
    repo.close()

    result = run("doctor", code=8)
    assert "error" in result.out
    assert "v00000001.yaml" in result.out


def test_directory_option_works_before_and_after_the_command(workplace: Path, run: Runner) -> None:
    with art.init("place") as repository:
        repository.value("k", 1)

    assert run("-C", "place", "cat", "k").out == "1"
    assert run("cat", "-C", "place", "k").out == "1"
    (workplace / "place" / "inner").mkdir()
    assert run("-C", "place", "cat", "k", "-C", "inner").out == "1"
    assert "nope" in run("-C", "nope", "ls", code=4).error
