"""Records of runs, results of steps and declarations as somebody who hates us would write them: what others
can put at a remote is refused or passed over, in one line, and nothing is made of it that must not be."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from art import document
from art.errors import ArtError, CorruptError
from art.publish import Publisher
from art.records import PastRun
from art.repo import Repo
from tests.conftest import Runner

ZERO = "b3:" + "0" * 64
WRONG: list[Any] = [
    5, True, 1.5, "x", [], {}, [[]], {"a": [5]}, {"a": {"b": []}}, "\x1b[2J\nroot", ["\x1b[2J"],
    [{"key": "../../x", "id": "b3:zz", "number": "n"}], {"o": {"key": ["a"], "id": 5}}, 10**18,
    [{"id": "../../../etc/passwd", "step": "\n"}], "9" * 5000,
]  # fmt: skip


def change(path: Path, alter: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Put another document in the place of one."""
    found = document.decode(path.read_bytes(), "it")
    path.unlink()
    path.write_bytes(document.encode(alter(found)))


# -- runs ------------------------------------------------------------------------------------------


@pytest.fixture
def record(repo: Repo) -> Path:
    """Return the record of a run that says all that can be said."""
    with repo.run("etl", step="s", params={"a": 1}, command=["x"]) as run:
        made = repo.value("k", 1).version
        repo.value("k2", 2, inputs=["k"])
    path = repo.root / ".art" / "runs" / f"{run.id}.yaml"
    about = {
        "results": {"o": {"key": "k", "id": made.id, "number": 1}},
        "steps": [{"id": run.id, "step": "s"}],  # of itself
        "parent": run.id,
        "arguments": {"x": [made.id]},
    }
    change(path, lambda found: {**found, **about})
    return path


_FIELDS = (
    "created", "name", "step", "error", "cached", "started", "parent", "command", "params", "inputs",
    "outputs", "results", "steps", "arguments", "metadata", "title", "host", "git", "ci",
)  # fmt: skip


@pytest.mark.parametrize("field", _FIELDS)
def test_a_record_of_a_run_that_says_something_impossible_is_shown_or_damage(
    field: str, record: Path, repo: Repo, run: Runner
) -> None:
    whole = record.read_bytes()
    for wrong in [None, *WRONG]:
        record.write_bytes(whole)
        change(record, lambda found, wrong=wrong: {**found, field: wrong})  # type: ignore[misc]
        for words in (["runs"], ["runs", record.stem], ["inspect", "k"], ["fsck"]):
            done = run(*words, code=None)
            assert done.code in (0, 8)
            assert "\x1b" not in done.out + done.err
            assert "unexpected" not in done.err
        run("lineage", "k", "--format", "openlineage")
        for about in (PastRun.inputs, PastRun.outputs, PastRun.steps, PastRun.made):
            try:
                about.fget(repo.get_run(record.stem))  # type: ignore[attr-defined]
            except ArtError as error:
                assert error.message


def test_a_run_that_is_a_step_of_itself_is_shown(record: Path, repo: Repo) -> None:
    assert repo.get_run(record.stem).steps["s"].steps["s"].id == record.stem


def test_a_record_without_its_time_is_damage_and_left_out_of_the_list(
    record: Path, repo: Repo
) -> None:
    change(record, lambda found: {name: found[name] for name in found if name != "created"})
    with pytest.raises(CorruptError, match="created is not as in the record of a run"):
        repo.get_run(record.stem)
    assert repo.runs() == []
    assert [problem.name for problem in repo.fsck().problems] == [f"runs/{record.name}"]


# -- results of steps --------------------------------------------------------------------------------

_COMMAND = [sys.executable, "-c", "import os; open('out', 'w').write(os.urandom(9).hex())"]


@pytest.fixture(params=["here", "at a remote"])
def worker(
    request: pytest.FixtureRequest, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repo:
    """Return a repository in which a command gave a result, whose entry lies here or at a remote."""
    if request.param != "here":
        monkeypatch.setenv("ART_SHARED_CACHE", "true")
        repo.remotes.add("origin", str(tmp_path / "shared"))
    work(repo)
    return repo


def work(repo: Repo) -> tuple[str, bool]:
    """Do it, or not; return the id of what it gave, and whether that was known."""
    with Repo(repo.root) as again:
        ran = again.run_command(_COMMAND, outputs={"k": "out"})
        return ran.outputs["k"].id, ran.cached is not None


def entry_of(repo: Repo) -> Path:
    places = [repo.root / ".art", repo.root.parent / "shared"]
    (found,) = [path for place in places for path in place.glob("cache/*/00000001.yaml")]
    return found


def with_manifest(entry: dict[str, Any], /, **about: Any) -> dict[str, Any]:
    """Return an entry that promises a version that is not there, with a manifest that fits."""
    manifest = {**entry["manifests"]["k"], **about}
    id = "b3:" + blake3(document.encode(manifest)).hexdigest()
    entry["outputs"]["k"] = {"key": manifest["key"], "id": id}
    return {**entry, "manifests": {"k": manifest}}


UID = "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10"
ALTERED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no outputs": lambda found: {**found, "outputs": {}},
    "an output of another name": lambda found: {
        **found,
        "outputs": {"evil": found["outputs"]["k"]},
    },
    "a run that is none": lambda found: {**found, "run": "\x1b[2J"},
    "a time that is none": lambda found: {**found, "created": "tomorrow"},
    "a path for a key": lambda found: {
        **found,
        "outputs": {"k": {"key": "../../../evil", "id": ZERO}},
    },
    "a path for an id": lambda found: {**found, "outputs": {"k": {"key": "k", "id": "../x"}}},
    "another manifest": lambda found: {**found, "outputs": {"k": {"key": "k", "id": ZERO}}},
    "a manifest that is none": lambda found: {**found, "manifests": {"k": [5]}},
    "another key": lambda found: with_manifest(found, key="evil"),
    "a uid that is taken": lambda found: with_manifest(found, title="evil"),
    "a tree outside": lambda found: with_manifest(
        found, uid=UID, payload={"tree": "../../x", "size": 1, "files": 1}
    ),
    "a tree that is nowhere": lambda found: with_manifest(
        found, uid=UID, payload={"tree": "f" * 64, "size": 1, "files": 1}
    ),
    **{
        f"{field} is {type(wrong).__name__} {at}": lambda found, field=field, wrong=wrong: {  # type: ignore[misc]
            **found,
            field: wrong,
        }
        for field in ("run", "created", "outputs", "manifests")
        for at, wrong in enumerate(WRONG[::3])
        if (field, wrong) != ("manifests", {})
    },
}


@pytest.mark.parametrize("name", ALTERED)
def test_a_result_that_says_something_impossible_is_of_no_use_and_does_no_harm(
    name: str, worker: Repo, tmp_path: Path
) -> None:
    before = {record.id for record in worker.history("k")}
    change(entry_of(worker), lambda found: ALTERED[name](copy.deepcopy(found)))
    id, is_known = work(worker)
    assert not is_known
    with Repo(worker.root) as after:
        assert after.keys() == ["k"]
        assert {record.id for record in after.history("k")} == before | {id}
        assert after.fsck(data=True).is_whole
        after.gc(grace="0s")
    assert work(worker) == (id, True)
    assert not list(tmp_path.rglob("*evil*"))


# -- declarations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["partitions", "time_partitions", "type", "default_tags"])
def test_a_declaration_that_says_something_impossible_is_named(
    field: str, repo: Repo, run: Runner
) -> None:
    repo.set_settings("k", partitions=["day"], time_partitions={"day": "day"})
    repo.value("k", 1, partitions={"day": "2026-11-21"})
    path = repo.root / ".art" / "refs" / "k" / "_settings" / "00000001.yaml"
    whole = path.read_bytes()
    hostile = [*WRONG, {"day": ["day"]}, {"day": {"day": 1}}, {"../x": "day"}, ["day"] * 40]
    for wrong in hostile:
        path.write_bytes(whole)

        def alter(found: dict[str, Any], wrong: Any = wrong) -> dict[str, Any]:
            return {**found, "settings": {**found["settings"], field: wrong}}

        change(path, alter)
        (repo.root / ".art" / "index.sqlite").unlink(missing_ok=True)
        repo.close()
        for words in (
            ["ls"],
            ["ls", "k", "-p", "day=2026-11-21"],
            ["ls", "--latest-per", "day"],
            ["resolve", "k", "-p", "day=latest"],
            ["settings", "k"],
            ["fsck"],
            ["create", "k", "--text", "2", "-p", "day=2026-11-22"],
        ):
            done = run(*words, code=None)
            assert done.code in (0, 2, 4, 5, 6, 8), (words, wrong, done)
            assert "unexpected" not in done.err, (words, wrong, done.err)
            assert "\x1b" not in done.out + done.err


# -- drafts ------------------------------------------------------------------------------------------


def test_what_lies_behind_a_seal_does_not_let_its_payload_go(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version was not made yet, as who sealed was killed; another program went on with the draft."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    (workplace / "a").write_bytes(b"a" * 3000)
    repo.part("k", "a", draft="run", name="a")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Publisher, "complete", die)
        repo.seal("k", draft="run", expect=1)
    log = repo.root / ".art" / "drafts" / "k" / "_" / "run"
    part = document.decode((log / "00000001.yaml").read_bytes(), "it")
    (log / "00000003.yaml").write_bytes(document.encode({**part, "part": "b"}))
    repo.gc(grace="0s")
    assert repo.seal("k", draft="run", expect=["a"]).version.read("a/a") == b"a" * 3000
    assert repo.fsck(data=True).is_whole
