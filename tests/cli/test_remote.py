"""`art remote`, `push`, `fetch`, `pull`, `clone`, and `--remote` of what looks and takes out."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import art
from art.errors import UnavailableError
from art.remote.memory import Memory
from art.repo import Repo
from tests.conftest import Runner


@pytest.fixture
def shared(workplace: Path) -> Path:
    """Return a folder beside the working folder, where nothing is yet."""
    return workplace.parent / "shared"


@pytest.fixture
def origin(repo: Repo, shared: Path, files: Path) -> Repo:
    """Return a repository with two artifacts and a remote that has nothing yet."""
    repo.create("sales/data", files, tags=["prod"])
    repo.value("sales/rate", 0.5)
    repo.remotes.add("origin", str(shared))
    return repo


@pytest.fixture
def second(origin: Repo, shared: Path, run: Runner, workplace: Path) -> Path:
    """Return a clone of what `origin` has pushed."""
    run("push")
    run("clone", str(shared), str(workplace.parent / "second"))
    return workplace.parent / "second"


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


# --- remote ---------------------------------------------------------------------------------------


def test_a_remote_is_added_listed_changed_and_removed(
    repo: Repo, shared: Path, run: Runner, workplace: Path
) -> None:
    added = run("remote", "add", "origin", "../shared")
    assert added.out == f"remote origin added: {shared}, which gives versions their numbers\n"
    document = run("remote", "add", "mirror", "../mirror", "--json").json
    assert (document["name"], document["url"]) == ("mirror", str(shared.parent / "mirror"))
    assert (document["is_authority"], document["probed"], document["created"]) == (
        False,
        True,
        True,
    )
    listed = run("remote", "ls").out
    assert lines(listed)[0].split() == ["NAME", "URL", "ROLE", "WRITERS", "OPTIONS"]
    assert lines(listed)[1].split() == ["origin", str(shared), "authority", "several"]
    assert [each["name"] for each in run("remote", "ls", "--json").json] == ["origin", "mirror"]
    shared.rename(shared.parent / "moved")
    moved = run("remote", "set-url", "origin", str(shared.parent / "moved"))
    assert moved.out == f"remote origin is at {shared.parent / 'moved'}\n"
    assert run("remote", "rm", "mirror").out.startswith("remote mirror removed: ")
    assert (shared.parent / "mirror" / "format.yaml").is_file()
    run("remote", "rm", "mirror", code=4)


def test_adding_a_remote_again_is_no_error(repo: Repo, run: Runner) -> None:
    run("remote", "add", "origin", "../shared")

    assert "already there" in run("remote", "add", "origin", "../shared").out
    run("remote", "add", "origin", "../shared", "--error-on-noop", code=9)
    assert "set-url" in run("remote", "add", "origin", "../other", code=5).err


def test_without_remotes_the_command_that_adds_one_is_named(repo: Repo, run: Runner) -> None:
    listed = run("remote", "ls")
    assert (listed.out, "art remote add origin URL" in listed.err) == ("", True)
    for words in (["push"], ["fetch"], ["pull"], ["fetch", "--all"], ["remote", "check"]):
        assert lines(run(*words, code=4).err)[-1] == "hint: art remote add origin URL"


def test_options_of_a_remote_are_kept(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}

    def add(self: object, name: str, url: str, options: dict[str, str], **flags: bool) -> None:
        given.update(options | {"url": url} | {flag: str(value) for flag, value in flags.items()})
        raise UnavailableError("nobody answers")

    monkeypatch.setattr("art.remotes.Remotes.add", add)
    words = ["--endpoint-url", "http://127.0.0.1:9", "--profile", "ana", "--anonymous"]
    words += ["--option", "region=eu", "--single-writer", "--no-probe"]
    run("remote", "add", "origin", "s3://bucket/x", *words, code=11)

    assert given == {
        "url": "s3://bucket/x",
        "endpoint_url": "http://127.0.0.1:9",
        "profile": "ana",
        "anon": "true",
        "region": "eu",
        "single_writer": "True",
        "probe": "False",
    }
    run("remote", "add", "o", "s3://b/x", "--profile", "a", "--option", "profile=b", code=2)


def test_secrets_are_not_printed(repo: Repo, run: Runner) -> None:
    result = run("remote", "add", "origin", "s3://me:hunter2@bucket/x", code=2)

    assert "hunter2" not in result.err
    assert "***@bucket" in result.err


def test_check_tells_whether_several_may_push(
    repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    run("remote", "add", "origin", url)
    checked = run("remote", "check").out
    assert "several people may push there" in checked
    assert f"origin  {url}" in checked
    assert run("remote", "check", "origin", "--json").json["is_shareable"] is True

    def create(self: Memory, name: str, content: bytes) -> bool:
        self.replace(name, content)
        return True

    monkeypatch.setattr(Memory, "create", create)
    result = run("remote", "check", code=5)
    assert "problem     the store lets a name be written again" in result.out
    assert "--single-writer" in result.err
    assert run("remote", "ls").out.split()[-1] == "tried"
    hint = lines(result.err)[-1].partition("art ")[2]
    assert hint == f"remote add origin {url} --single-writer"
    run(*hint.split())
    assert run("remote", "ls", "--json").json[0]["single_writer"] is True
    run("remote", "add", "mine", f"{url}2", "--single-writer")
    assert "one, as its setting says" in run("remote", "check", "mine").out


def test_check_of_a_working_repository_says_that_nobody_pushes_there(
    repo: Repo, run: Runner, workplace: Path
) -> None:
    with art.init(workplace.parent / "other"):
        result = run("remote", "check", "../other")
    assert "none: it is a working repository" in result.out
    assert "none yet" in run("remote", "check", "../nothing").out


# --- push -----------------------------------------------------------------------------------------


def test_push_prints_versions_and_what_that_came_to(
    origin: Repo, run: Runner, shared: Path
) -> None:
    ids = {record.ref: record.id for record in origin.listing()}
    expected = [f"{ref}  {id}" for ref, id in sorted(ids.items())]

    planned = run("push", "--dry-run")
    assert lines(planned.out) == [f"would push {line}" for line in expected]
    assert f"to origin ({shared})" in planned.err
    assert not (shared / "manifests").exists()
    pushed = run("push")
    assert lines(pushed.out) == expected
    assert "pushed 2 versions and 1 change of tags, notes, states or progress" in pushed.err
    assert "in 1 pack to origin" in pushed.err
    again = run("push")
    assert (again.out, again.err) == ("", "nothing to push: origin has everything\n")
    run("push", "--error-on-noop", code=9)
    assert "nothing to push" in run("push", "--dry-run").err


def test_push_tells_the_same_as_json(origin: Repo, run: Runner, shared: Path) -> None:
    planned = run("push", "--dry-run", "--json").json
    pushed = run("push", "--json").json

    assert planned["dry_run"] is True
    assert planned["requests"] > 0
    assert pushed["url"] == planned["url"] == str(shared)
    assert pushed["versions"] == planned["versions"]
    assert pushed["versions"][0] == {
        "ref": "sales/data@v1",
        "key": "sales/data",
        "number": 1,
        "id": origin.version("sales/data").id,
    }
    assert (pushed["entries"], pushed["packs"], pushed["left"]) == (1, 1, [])


def test_only_the_keys_that_match_are_pushed(origin: Repo, run: Runner) -> None:
    assert [each["ref"] for each in run("push", "*/rate", "--json").json["versions"]] == [
        "sales/rate@v1"
    ]
    run("push", "nope", code=4)
    run("push", "--remote", "orign", code=4)


def test_a_number_that_another_took_is_told(
    origin: Repo, second: Path, run: Runner, workplace: Path
) -> None:
    (workplace / "x").write_text("mine")
    (second / "x").write_text("theirs")
    run("-C", str(second), "create", "sales/data", "x")
    run("-C", str(second), "tag", "set", "sales/data", "prod")
    run("-C", str(second), "push")
    run("create", "sales/data", "x")
    id = run("tag", "set", "sales/data", "prod", "--json").json["id"]

    pushed = run("push", code=5)
    assert lines(pushed.out) == [f"sales/data@v3  {id}"]
    assert "sales/data@v2 is v3 now: another writer published v2 first" in pushed.err
    assert "tag 'prod'" in pushed.error
    assert lines(pushed.err)[-1].startswith(f"hint: art tag set sales/data@{id[:15]} prod")
    assert "renumbered  sales/data@v2 is v3 now" in run("status").out
    command = lines(pushed.err)[-1].removeprefix("hint: art ").split()
    run(*command)
    run("push")
    assert run("resolve", "sales/data@prod", "--json").json[0]["number"] == 3
    run("-C", str(second), "fetch")
    assert run("-C", str(second), "resolve", "sales/data@prod", "--json").json[0]["id"] == id


def test_what_a_mirror_must_not_get_yet_is_a_conflict(
    origin: Repo, run: Runner, workplace: Path
) -> None:
    run("remote", "add", "mirror", "../mirror")

    result = run("push", "--remote", "mirror", code=5)
    assert "origin gives the numbers" in result.error
    assert lines(result.err)[-1] == "hint: art push --remote origin"
    run("push")
    assert len(run("push", "--remote", "mirror", "--json").json["versions"]) == 2


def test_what_cannot_be_pushed_is_left_and_told(origin: Repo, run: Runner) -> None:
    shutil.rmtree(".art/layouts")

    planned = run("push", "--dry-run")
    assert "would leave sales/data@v1: " in planned.err
    pushed = run("push", code=3)
    assert [line.partition(" ")[0] for line in lines(pushed.out)] == ["sales/rate@v1"]
    assert "sales/data@v1 was not pushed: " in pushed.error
    assert "missing     payload of sales/data@v1" in run("status").out
    assert run("push", "--json", code=3).json["left"][0]["ref"] == "sales/data@v1"


def test_what_cannot_be_pulled_is_left_and_told(
    origin: Repo, second: Path, shared: Path, run: Runner
) -> None:
    shutil.rmtree(shared / "layouts")

    pulled = run("-C", str(second), "pull", code=3)
    assert "sales/data@v1 was not pulled: " in pulled.error


def test_what_was_published_before_an_interruption_is_told(
    origin: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    run("remote", "rm", "origin")
    run("remote", "add", "cloud", url)
    create = Memory.create

    def interrupted(self: Memory, name: str, content: bytes) -> bool:
        if name.startswith("refs/"):
            raise KeyboardInterrupt
        return create(self, name, content)

    monkeypatch.setattr(Memory, "create", interrupted)
    result = run("push", code=130)
    assert "published at cloud before that: sales/" in result.err
    assert "only what was reported above is certain" in result.error
    monkeypatch.undo()


def test_nobody_pushes_into_a_working_repository(repo: Repo, run: Runner, workplace: Path) -> None:
    repo.value("k", 1)
    with art.init(workplace.parent / "other"):
        added = run("remote", "add", "ana", "../other")
    assert "nobody pushes into it" in added.err
    assert "nobody pushes into" in run("push", code=5).error


# --- create --push --------------------------------------------------------------------------------


def test_create_publishes_and_shows_the_number_that_it_got(
    origin: Repo, second: Path, run: Runner
) -> None:
    Path("x").write_text("mine")
    Path(second / "x").write_text("theirs")
    run("-C", str(second), "create", "sales/data", "x", "--push")

    made = run("create", "sales/data", "x", "--push")
    assert made.out.startswith("sales/data@v3  b3:")
    assert "v2 is v3 now" in made.err
    assert "pushed 1 version" in made.err
    again = run("create", "sales/data", "x", "--push", "--json").json
    assert (again["number"], again["created"], again["pushed"]["versions"]) == (3, False, [])
    run("create", "sales/data", "x", "--push", "--error-on-noop", code=9)


def test_create_says_what_stays_here_when_publishing_fails(
    origin: Repo, shared: Path, run: Runner
) -> None:
    shared.rename(shared.parent / "away")

    made = run("create", "k", "--value", "1", "--push", code=11)
    assert made.out.startswith("k@v1  b3:")
    assert "`art push k` publishes it" in made.err
    assert "no folder" in made.error


def test_create_refuses_before_anything_is_stored(repo: Repo, run: Runner) -> None:
    assert "remote add" in run("create", "k", "--value", "1", "--push", code=4).err
    run("create", "--anonymous", "--value", "1", "--push", code=2)
    run("create", "k", "--value", "1", "--remote", "origin", code=2)
    assert repo.keys() == []


# --- fetch, pull, clone ---------------------------------------------------------------------------


def test_a_clone_has_the_history_and_gets_payloads_when_needed(
    origin: Repo, shared: Path, run: Runner, workplace: Path, files: Path
) -> None:
    run("push")
    os.chdir(workplace.parent)
    cloned = run("clone", "shared", "copy")
    assert cloned.out == f"repository cloned: {workplace.parent / 'copy'}\n"
    assert "2 versions of 2 artifacts" in cloned.err
    assert "payloads come when they are needed" in cloned.err
    os.chdir("copy")
    assert "elsewhere   payload of 1 version" in run("status").out
    assert {finding["level"] for finding in run("doctor", "--json").json} == {"ok"}
    assert run("cat", "sales/data@prod/README.txt", "--json").json["text"] == "Prices\n"
    run("get", "sales/data@prod", "out")
    assert (Path("out") / "eu" / "part-0.csv").read_bytes() == (
        files / "eu/part-0.csv"
    ).read_bytes()
    assert "elsewhere" not in run("status").out
    run("clone", str(shared), ".", code=5)


def test_a_clone_can_bring_payloads_at_once(origin: Repo, shared: Path, run: Runner) -> None:
    run("push")

    document = run("clone", str(shared), "../copy", "--depth", "1", "--json").json
    assert (document["keys"], document["versions"], document["remote"]) == (2, 2, "origin")
    assert "elsewhere" not in run("-C", "../copy", "status").out
    run("clone", str(shared), "../other", "--all", "--depth", "1", code=2)
    run("clone", str(shared), "../other", "--no-payload", "--all", code=2)
    run("clone", "../nothing", "../other", code=11)
    assert not Path("../other").exists()


def test_fetch_brings_history_and_pull_payloads(
    origin: Repo, second: Path, run: Runner, shared: Path
) -> None:
    Path("x").write_text("new")
    id = run("create", "sales/new", "x", "--push", "--json").json["id"]
    os.chdir(second)

    assert lines(run("fetch", "--dry-run").out) == [f"would fetch sales/new@v1  {id}"]
    fetched = run("fetch")
    assert lines(fetched.out) == [f"sales/new@v1  {id}"]
    assert fetched.err == f"fetched 1 version from origin ({shared})\n"
    assert run("fetch").err == f"nothing new at origin ({shared})\n"
    run("fetch", "--error-on-noop", code=9)
    run("pull", "--no-payload", "--error-on-noop", code=9)
    planned = run("pull", "sales/new", "--dry-run")
    assert lines(planned.out) == [f"would bring sales/new@v1  {id}"]
    assert run("pull", "sales/new", "--dry-run", "--json").json["versions"][0]["id"] == id
    pulled = run("pull", "sales/new")
    assert lines(pulled.out) == [f"sales/new@v1  {id}"]
    assert pulled.err.startswith("brought the payload of 1 version, ")
    document = run("pull", "--json").json
    assert [each["ref"] for each in document["versions"]] == ["sales/data@v1"]
    assert document["fetched"]["versions"] == []
    run("pull", "--error-on-noop", code=9)
    run("pull", "--all", "--depth", "2", code=2)


def test_pull_brings_history_and_payload_at_once(origin: Repo, second: Path, run: Runner) -> None:
    Path("x").write_text("new")
    run("create", "sales/new", "x", "--push")

    pulled = run("-C", str(second), "pull", "sales/new")
    assert len(lines(pulled.out)) == 1
    assert "fetched 1 version; brought the payload of 1 version" in pulled.err


def test_history_comes_from_a_place_without_a_name_too(
    origin: Repo, run: Runner, shared: Path
) -> None:
    run("push")
    os.chdir(shared.parent)
    run("init", "third")
    os.chdir("third")

    fetched = run("fetch", "--remote", "../shared")
    assert (
        fetched.err
        == "fetched 2 versions and 1 change of tags, notes, states or progress from ../shared\n"
    )
    assert run("pull", "--remote", "../shared", "--json").json["url"] == "../shared"
    run("push", "--remote", "../shared", code=4)


def test_fetch_from_all_goes_on_where_one_is_away(
    origin: Repo, run: Runner, workplace: Path
) -> None:
    run("push")
    run("remote", "add", "mirror", "../mirror")
    assert len(run("fetch", "--all", "--json").json) == 2
    (workplace.parent / "mirror").rename(workplace.parent / "away")

    result = run("fetch", "--all", code=3)
    assert "nothing new at origin" in result.err
    assert "mirror" in result.error
    run("fetch", "--all", "--remote", "origin", code=2)
    run("fetch", "--remote", "mirror", code=11)


# --- looking at a remote --------------------------------------------------------------------------


def test_a_remote_is_looked_at_without_a_repository_here(
    origin: Repo, shared: Path, run: Runner, workplace: Path
) -> None:
    run("push")
    os.chdir(workplace.parent)
    where = ["--remote", str(shared)]

    assert [row["ref"] for row in run("ls", "--json", *where).json] == [
        "sales/data@v1",
        "sales/rate@v1",
    ]
    assert [row["number"] for row in run("log", "sales/data", "--json", *where).json] == [1]
    assert run("resolve", "sales/data@prod", "--json", *where).json[0]["number"] == 1
    assert run("inspect", "sales/data@prod", "--json", *where).json["key"] == "sales/data"
    assert run("cat", "sales/data@prod/README.txt", "--json", *where).json["text"] == "Prices\n"
    run("get", "sales/data@prod", "out", *where)
    assert (workplace.parent / "out" / "README.txt").read_text() == "Prices\n"
    run("ls", code=10)


def test_a_remote_is_looked_at_by_its_name(origin: Repo, run: Runner) -> None:
    run("push")
    run("delete", "sales/rate", "--yes")

    assert len(run("ls", "--json", "--remote", "origin").json) == 2
    run("ls", "--remote", "orign", code=4)
    run("ls", "nope", "--remote", "origin", code=4)
    run("ls", "--option", "timeout=3", code=2)
    run("ls", "--remote", "origin", "--option", "timeout=3", code=2)
    run("ls", "--remote", "../nothing", code=11)


def test_looking_at_a_remote_leaves_nothing(
    origin: Repo, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("push")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    run("cat", "sales/data@prod/README.txt", "--json", "--remote", "origin")
    run("ls", "nope", "--remote", "origin", code=4)
    assert list((tmp_path / "temporary").iterdir()) == []


# --- status, doctor -------------------------------------------------------------------------------


def test_status_tells_what_is_not_published(origin: Repo, run: Runner, shared: Path) -> None:
    before = run("status")
    assert f"remote      origin, {shared}, gives the numbers" in before.out
    assert (
        "unpublished 2 versions and 1 change of tags, notes, states or progress: sales/"
        in before.out
    )
    run("push")
    assert "has everything" in run("status").out
    document = run("status", "--json").json["remotes"][0]
    assert (document["remote"], document["local_only"], document["remote_only"]) == (
        "origin",
        [],
        None,
    )


def test_status_asks_the_remote_that_is_named(origin: Repo, second: Path, run: Runner) -> None:
    run("-C", str(second), "create", "sales/rate", "--value", "0.7", "--push")

    assert "has everything" in run("status").out
    assert (
        "only there  1 version; `art fetch` brings them" in run("status", "--remote", "origin").out
    )
    run("fetch")
    assert "nothing is only there" in run("status", "--remote", "origin").out
    run("status", "--remote", "nope", code=4)


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "level", "message"),
    [
        (lambda shared: None, "ok", "remote origin answers"),
        (lambda shared: None, "ok", "2 versions are not published at origin"),
        (lambda shared: shared.rename(shared.parent / "away"), "warning", "there is no folder"),
        (lambda shared: (shared / "format.yaml").unlink(), "error", "no repository at"),
    ],
)
def test_doctor_looks_at_remotes(
    origin: Repo, run: Runner, shared: Path, change: Change, level: str, message: str
) -> None:
    change(shared)

    findings = run("doctor", "--json", code=8 if level == "error" else 0).json
    assert [each["level"] for each in findings if message in each["message"]] == [level]


@pytest.mark.parametrize(
    ("old", "new", "level", "message"),
    [
        ("probed: true", "probed: false", "ok", "the first push tries"),
        ("probed: true", "single_writer: true", "warning", "must have a single writer"),
        ("authority: origin\n", "", "warning", "no authority is named"),
    ],
)
def test_doctor_looks_at_settings(
    origin: Repo, run: Runner, old: str, new: str, level: str, message: str
) -> None:
    run("remote", "add", "mirror", "../mirror")
    config = Path(".art/config.yaml")
    config.write_text(config.read_text().replace(old, new))

    findings = run("doctor", "--json").json
    assert {each["level"] for each in findings if message in each["message"]} == {level}


def test_doctor_tells_what_is_wrong_in_the_file(origin: Repo, run: Runner) -> None:
    config = Path(".art/config.yaml")
    config.write_text(config.read_text().replace("probed: true", "probed: maybe"))

    findings = run("doctor", "--json", code=8).json
    assert any("remotes.origin.probed" in each["message"] for each in findings)
    assert "remotes.origin.probed" in run("push", code=2).error


def test_doctor_misses_payloads_that_no_remote_has(origin: Repo, second: Path, run: Runner) -> None:
    os.chdir(second)
    assert "1 at remotes only" in run("doctor").out
    run("remote", "rm", "origin")
    run("doctor", code=8)
