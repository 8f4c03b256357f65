"""`art prune`: what is shown, what is asked, what happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from art import document as documents
from art.catalog import Catalog
from art.cli import prune as command
from art.errors import CorruptError, StorageError
from art.listing import Filter
from art.model import Entry
from art.repo import Repo
from art.retention import Policy
from tests.conftest import Runner


@pytest.fixture(autouse=True)
def _made(repo: Repo) -> None:
    for number in range(1, 6):
        repo.value("k", number)


def live(repo: Repo, key: str = "k") -> list[int | None]:
    return [record.number for record in repo.history(key) if record.is_live]


def states(repo: Repo, key: str = "k") -> dict[int | None, str]:
    return {record.number: record.state for record in repo.history(key)}


def decided(document: dict[str, Any]) -> dict[str, str]:
    return {version["ref"]: version["rule"] for version in document["versions"]}


# -- showing and asking --------------------------------------------------------------------------


def test_each_version_is_shown_with_the_rule_that_decides(repo: Repo, run: Runner) -> None:
    repo.tag("k@v1", "prod")
    repo.note("k@v2", add_labels=["gold"])
    words = ("prune", "k", "--keep-last", "2", "--keep-label", "gold", "--dry-run")

    result = run(*words)
    lines = [line.split(maxsplit=2) for line in result.out.splitlines()[1:]]
    assert [(ref, what) for ref, what, _ in lines] == [
        ("k@v5", "keep"),
        ("k@v4", "keep"),
        ("k@v3", "drop"),
        ("k@v2", "keep"),
        ("k@v1", "keep"),
    ]
    assert lines[2][2].endswith("no rule keeps it")
    assert result.err == "would prune 1 of 5 versions\n"
    document = run(*words, "--json").json
    assert decided(document) == {
        "k@v5": "newest",
        "k@v4": "last",
        "k@v3": "none",
        "k@v2": "label",
        "k@v1": "tagged",
    }
    assert (document["pruned"], document["dry_run"], document["state"]) == (0, True, "deleted")
    assert live(repo) == [5, 4, 3, 2, 1]


def test_nothing_happens_without_yes_where_nobody_can_answer(repo: Repo, run: Runner) -> None:
    result = run("prune", "k", "--keep-last", "2", code=2)
    assert result.out.count("drop") == 3
    assert "delete 3 versions?" in result.error
    assert "add --yes" in result.err
    assert live(repo) == [5, 4, 3, 2, 1]
    result = run("prune", "k", "--keep-last", "2", "--json", code=2)
    assert result.out == ""
    assert result.err.count("drop") == 3


def test_yes_prunes_and_says_what_happened(repo: Repo, run: Runner) -> None:
    result = run("prune", "k", "--keep-last", "2", "--yes")
    assert result.out.count("drop") == 3
    assert result.err == "3 versions pruned; `art restore REF` brings them back\n"
    assert live(repo) == [5, 4]
    assert set(states(repo).values()) == {"live", "deleted"}
    run("restore", "k")
    assert live(repo) == [5, 4, 3, 2, 1]
    assert (
        run("prune", "--keep-last", "1", "--yes", "--json", "--message", "thin").json["pruned"] == 4
    )
    entries = repo._store.catalog.entries("k", "_state")
    assert (len(entries), entries[-1].message) == (3, "thin")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, [5, 4, 3, 2, 1]), ("y\n", 0, [5])])
def test_a_terminal_is_asked(repo: Repo, answer: str, code: int, left: list[int]) -> None:
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    done = subprocess.run(
        [sys.executable, "-m", "art", "prune", "k", "--keep-last", "1"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    os.close(ours)

    assert done.stdout.count(b"drop") == 4
    assert (done.returncode, live(repo)) == (code, left)


def test_where_all_stay_there_is_nothing_to_do(repo: Repo, run: Runner) -> None:
    result = run("prune", "--keep-last", "9")
    assert result.err == "nothing to prune: all of 5 versions stay\n"
    result = run("prune", "nowhere/*", "--keep-last", "1")
    assert result.err == "nothing to prune: there is no version of what is named\n"
    run("prune", "--keep-last", "9", "--error-on-noop", code=9)
    assert run("prune", "--keep-last", "9", "--json").json["pruned"] == 0


def test_keys_and_globs(repo: Repo, run: Runner) -> None:
    for key in ("tmp/a", "tmp/b/c", "other"):
        repo.value(key, 1)
        repo.value(key, 2)
    words = ("--keep-last", "1", "--dry-run", "--json")
    assert list(decided(run("prune", "tmp/*", *words).json)) == ["tmp/a@v2", "tmp/a@v1"]
    assert len(decided(run("prune", "tmp/**", "k", *words).json)) == 9
    run("prune", "k", "nope", *words, code=4)
    assert decided(run("prune", "nope*", *words).json) == {}


# -- rules ---------------------------------------------------------------------------------------


def test_without_a_rule_the_settings_of_each_key_hold(repo: Repo, run: Runner) -> None:
    repo.value("free", 1)
    repo.value("free", 2)
    failed = run("prune", "--yes", code=2)
    assert "no rule says what may go" in failed.error
    assert "retention.keep_last=10" in failed.err
    run("settings", "k", "retention.keep_last=3")
    assert list(decided(run("prune", "--dry-run", "--json").json)) == [
        f"k@v{n}" for n in (5, 4, 3, 2, 1)
    ]
    run("prune", "free", code=2)
    run("prune", "--yes")
    assert (live(repo), live(repo, "free")) == ([5, 4, 3], [2, 1])
    run("prune", "--keep-last", "1", "--yes")
    assert (live(repo), live(repo, "free")) == ([5], [2])


def test_settings_without_a_rule_let_nothing_go(repo: Repo, run: Runner) -> None:
    run("settings", "k", "retention.keep_tagged=false")
    run("prune", code=2)


def test_rules_that_make_no_sense(run: Runner) -> None:
    run("prune", "--no-keep-tagged", code=2)
    run("prune", "--keep-last", "-1", code=2)
    run("prune", "--keep-within", "soon", code=2)
    run("prune", "--older-than", "30", code=2)
    run("prune", "--anonymous", code=2)
    run("prune", "k", "--anonymous", "--keep-last", "1", code=2)
    failed = run("prune", "--only-artifact", "--only-metadata", "--keep-last", "1", code=2)
    assert failed.error == "cannot use both --only-artifact and --only-metadata"


def test_the_newest_goes_only_where_that_is_said(repo: Repo, run: Runner) -> None:
    run("prune", "k", "--older-than", "0s", "--yes")
    assert live(repo) == [5]
    run("prune", "k", "--keep-last", "0", "--yes")
    assert live(repo) == []


def test_tags_keep_unless_that_is_switched_off(repo: Repo, run: Runner) -> None:
    repo.tag("k@v1", "prod")
    run("prune", "--keep-last", "1", "--yes")
    assert live(repo) == [5, 1]
    run("prune", "--keep-last", "1", "--no-keep-tagged", "--yes")
    assert live(repo) == [5]


def test_keyless_versions(repo: Repo, run: Runner) -> None:
    for number in range(3):
        repo.value(None, number)
    assert run("prune", "--anonymous", "--keep-last", "1", "--yes", "--json").json["pruned"] == 2
    assert len(repo.listing(filter=Filter(anonymous=True))) == 1
    assert live(repo) == [5, 4, 3, 2, 1]


def test_inputs_of_what_stays_stay(repo: Repo, run: Runner) -> None:
    repo.value("mid", 1, inputs=["k@v1"])
    repo.value("mid", 2)
    repo.value("end", 1, inputs=["mid@v1"])
    repo.value("gone", 1, inputs=["k@v2"])
    repo.delete("gone@v1")
    words = ("prune", "k", "mid", "--keep-last", "1")

    document = run(*words, "--dry-run", "--json").json
    assert decided(document)["k@v1"] == decided(document)["mid@v1"] == "input"
    reasons = {version["ref"]: version["reason"] for version in document["versions"]}
    assert (reasons["mid@v1"], reasons["k@v1"]) == ("an input of end@v1", "an input of mid@v1")
    run(*words, "--yes")
    assert (live(repo), live(repo, "mid")) == ([5, 1], [2, 1])
    run(*words, "--force", "--yes")
    assert (live(repo), live(repo, "mid")) == ([5], [2])


def test_a_chain_that_nobody_needs_goes_as_a_whole(repo: Repo, run: Runner) -> None:
    repo.value("mid", 1, inputs=["k@v1"])
    repo.value("mid", 2)
    run("prune", "--keep-last", "1", "--yes")
    assert (live(repo), live(repo, "mid")) == ([5], [2])


def test_protected_keys_and_tags_stay_unless_forced(repo: Repo, run: Runner) -> None:
    repo.tag("k@v1", "prod")
    run("settings", "k", "protected_tags=prod")
    words = ("prune", "k", "--keep-last", "2", "--no-keep-tagged", "--json")
    document = run(*words, "--dry-run").json
    assert decided(document)["k@v1"] == "protected"
    run("settings", "k", "protected=true")
    assert set(decided(run(*words).json).values()) == {"newest", "last", "protected"}
    assert run(*words, "--force", "--yes").json["pruned"] == 3


def test_only_what_nothing_refers_to(repo: Repo, run: Runner) -> None:
    repo.tag("k@v1", "prod")
    repo.value("user", 1, inputs=["k@v2"])
    record = repo.version("k@v3").record
    run_name = "runs/019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10.yaml"

    repo._backend.create(
        run_name,
        documents.encode({"art": 1, "inputs": [{"key": "k", "id": record.id}], "outputs": []}),
    )
    document = run("prune", "k", "--unreferenced", "--yes", "--json").json
    assert decided(document) == {
        "k@v5": "newest",
        "k@v4": "unreferenced",
        "k@v3": "referenced",
        "k@v2": "referenced",
        "k@v1": "tagged",
    }
    assert live(repo) == [5, 3, 2, 1]


def test_what_a_run_made_is_referred_to(repo: Repo, run: Runner) -> None:

    manifest = repo._store.catalog.manifest("k", 5).document
    made = {**manifest, "uid": "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a11", "run": {"name": "nightly"}}
    repo._backend.create("manifests/k/v00000006.yaml", documents.encode(made))
    repo.value("k", 7)
    assert decided(run("prune", "--unreferenced", "-n", "--json").json)["k@v6"] == "referenced"


# -- what goes -----------------------------------------------------------------------------------


def test_a_key_that_is_named_and_has_no_rule_is_told(repo: Repo, run: Runner) -> None:
    repo.value("ruled", 1)
    repo.set_settings("ruled", **{"retention.keep_last": 1})
    shown = run("prune", "ruled", "k", "--dry-run")
    assert "k is left as it is: no rule is given, and its settings have none\n" in shown.err
    assert "left as it is" not in run("prune", "ruled", "k", "--keep-last", "1", "--dry-run").err
    assert "left as it is" not in run("prune", "*", "--dry-run").err


def test_only_the_bytes(repo: Repo, files: Path, run: Runner) -> None:
    for number in range(3):
        (files / "README.txt").write_text(f"{number}\n")
        repo.create("d", files)
    result = run("prune", "d", "--keep-last", "1", "--only-artifact", "-y", "-t", "4")
    freed = "`art gc` frees their bytes, but those that others need"
    assert result.err == f"2 versions pruned; {freed}\n"
    assert states(repo, "d") == {3: "live", 2: "swept", 1: "swept"}
    assert repo._store.catalog.manifest("d", 1).payload is not None
    assert repo.version("d").get("out")
    run("gc", "--yes")
    assert repo.version("d").read("README.txt") == b"2\n"


def test_only_what_is_said(repo: Repo, run: Runner) -> None:
    before = repo._store.catalog.manifest("k", 1)
    run("prune", "k", "--keep-last", "1", "--only-metadata", "--yes")
    assert states(repo) == {5: "live", 4: "purged", 3: "purged", 2: "purged", 1: "purged"}
    stub = repo._store.catalog.manifest("k", 1)
    assert (stub.is_stub, stub.id, stub.uid) == (True, before.id, before.uid)
    assert repo.version("k").number == 5
    assert repo.value("k", 9).version.number == 6


@pytest.mark.parametrize("flag", ["--only-artifact", "--only-metadata"])
def test_what_a_version_that_stays_has_too_stays(
    repo: Repo, files: Path, run: Runner, flag: str
) -> None:
    repo.create("d", files)
    repo.create("d", files, always=True)
    (files / "README.txt").write_text("changed\n")
    repo.create("d", files)
    run("prune", "d", "--keep-last", "2", flag, "--yes")
    run("gc", "--yes")
    assert repo.version("d@v2").read("README.txt") == b"Prices\n"
    assert repo.version("d@v3").read("README.txt") == b"changed\n"


def test_only_what_is_said_of_keyless_versions(repo: Repo, run: Runner) -> None:
    repo.value(None, 1)
    run("prune", "--anonymous", "--keep-last", "0", "--only-metadata", "-y")
    (uid,) = repo._store.catalog.anonymous_uids()
    assert repo._store.catalog.anonymous(uid).is_stub


def test_what_cannot_be_undone_is_not_done_beside_damage(repo: Repo, run: Runner) -> None:
    repo.value("other", 1, inputs=["k@v1"])
    path = repo._backend.path("manifests/other/v00000001.yaml")
    path.write_bytes(path.read_bytes()[:-5])
    (repo.root / ".art/index.sqlite").unlink()
    for words in (
        ("--unreferenced",),
        ("--keep-last", "1", "--only-artifact"),
        ("--keep-last", "1", "--only-metadata"),
    ):
        failed = run("prune", "k", *words, "--yes", code=8)
        assert "what refers to the versions cannot be told" in failed.error
    assert live(repo) == [5, 4, 3, 2, 1]
    run("prune", "k", "--keep-last", "1", "--yes")
    assert live(repo) == [5]


# -- what happens meanwhile ----------------------------------------------------------------------


def test_what_was_tagged_used_or_protected_meanwhile_stays(repo: Repo) -> None:
    plan = repo.plan_prune(policy=Policy(keep_last=1))
    repo.tag("k@v1", "prod")
    repo.value("new", 1, inputs=["k@v2"])
    done = repo.execute_prune(plan)
    assert [record.ref for record in done.versions] == ["k@v4", "k@v3"]
    assert {d.record.ref: d.rule for d in done.spared} == {"k@v2": "input", "k@v1": "tagged"}

    plan = repo.plan_prune("k", policy=Policy(keep_last=0))
    repo.set_settings("k", protected=True)
    done = repo.execute_prune(plan)
    assert [record.ref for record in done.versions] == []
    assert {d.rule for d in done.spared} == {"protected"}


def test_a_tag_that_came_meanwhile_keeps_even_where_tags_do_not(repo: Repo) -> None:
    repo.tag("k@v1", "old")
    plan = repo.plan_prune(policy=Policy(keep_last=1, keep_tagged=False))
    repo.tag("k@v2", "new")
    done = repo.execute_prune(plan)
    assert [record.number for record in done.versions] == [4, 3, 1]
    assert done.spared[0].reason == "tagged new meanwhile"


def test_only_what_this_call_did_is_counted(repo: Repo) -> None:
    plan = repo.plan_prune(policy=Policy(keep_last=1))
    repo.delete("k@v1")
    repo.value("k", 6)  # of which the plan knew nothing
    done = repo.execute_prune(plan)
    assert [record.number for record in done.versions] == [4, 3, 2]
    assert repo.execute_prune(plan).versions == []
    assert live(repo) == [6, 5]


def test_a_spared_version_is_told(repo: Repo, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def tagged_meanwhile(*_: object, **__: object) -> None:
        repo.tag("k@v2", "prod")

    monkeypatch.setattr(command, "_confirm", tagged_meanwhile)
    result = run("prune", "k", "--keep-last", "1", "--json")
    assert "k@v2 is kept now: tagged prod" in result.err
    assert (result.json["pruned"], result.json["spared"][0]["ref"]) == (3, "k@v2")


# -- errors --------------------------------------------------------------------------------------


@pytest.fixture
def _failing(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every change of the state of `bad` fail."""
    for key in ("a", "bad", "z"):
        repo.value(key, 1)
        repo.value(key, 2)
    append = Catalog.append

    def failing(self: Catalog, key: str | None, *rest: Any) -> Entry | None:
        if key == "bad":
            raise StorageError("the disk is full")
        return append(self, key, *rest)

    monkeypatch.setattr(Catalog, "append", failing)


@pytest.mark.usefixtures("_failing")
def test_the_first_error_stops_it(repo: Repo, run: Runner) -> None:
    failed = run("prune", "a", "bad", "z", "--keep-last", "1", "--yes", "-j", "1", code=3)
    assert "bad@v1 is not pruned: the disk is full; 1 version is pruned" in failed.error
    assert (live(repo, "a"), live(repo, "bad"), live(repo, "z")) == ([2], [2, 1], [2, 1])
    with pytest.raises(StorageError):
        repo.execute_prune(repo.plan_prune("bad", policy=Policy(keep_last=1)))


@pytest.mark.usefixtures("_failing")
@pytest.mark.parametrize("threads", ["1", "8"])
def test_errors_can_be_passed_over(repo: Repo, run: Runner, threads: str) -> None:
    failed = run(
        *("prune", "a", "bad", "z", "--keep-last", "1", "-i", "--yes", "-t", threads, "--json"),
        code=3,
    )
    assert failed.json["pruned"] == 2
    assert [failure["ref"] for failure in failed.json["failed"]] == ["bad@v1"]
    assert (live(repo, "a"), live(repo, "bad"), live(repo, "z")) == ([2], [2, 1], [2])


def test_many_keys_by_many_threads(repo: Repo, run: Runner) -> None:
    for number in range(30):
        repo.value(f"many/{number}", 1)
        repo.value(f"many/{number}", 2)
    words = ("prune", "many/*", "--keep-last", "1", "--yes", "--threads", "8", "--json")
    assert run(*words, "--only-metadata").json["pruned"] == 30
    assert all(len(live(repo, f"many/{number}")) == 1 for number in range(30))
    assert (repo._store.catalog.manifest("many/7", 1)).is_stub


def test_a_damaged_log_of_a_key_stops_it(repo: Repo) -> None:
    repo.tag("k@v1", "prod")
    path = repo._backend.path("refs/k/_tags/prod/00000001.yaml")
    path.write_bytes(path.read_bytes().replace(b"prod", b"beta"))
    (repo.root / ".art/index.sqlite").unlink()
    with Repo(repo.root) as fresh, pytest.raises(CorruptError):
        fresh.plan_prune(policy=Policy(keep_last=1))
