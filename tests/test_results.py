"""What commands and steps gave before, and what is known before they are run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import art
from art import document
from art.backend import LocalBackend
from art.caching import Reuse
from art.errors import ConflictError, UsageError
from art.model import holdable
from art.publish import Publisher
from art.repo import Repo
from art.tagging import Tags
from tests.conftest import Runner

WRITE = "import random; open('out', 'w').write(str(random.random())); open('count', 'a').write('x')"
WORDS = (sys.executable, "-c", WRITE)


@pytest.fixture
def entry(repo: Repo) -> Callable[[int], Path]:
    """Return a function that gives the path of an entry of the only log of results, by its number."""
    return lambda number: next((repo.root / ".art" / "cache").glob(f"*/{number:08}.yaml"))


def worked(repo: Repo) -> int:
    """Return how often the command was run."""
    count = repo.root / "count"
    return len(count.read_text()) if count.exists() else 0


def forget(repo: Repo, key: str) -> None:
    """Let there be no version of a key, as where a writer was killed before it made one."""
    (repo.root / ".art" / "manifests" / key / "v00000001.yaml").unlink()
    (repo.root / ".art" / "index.sqlite").unlink()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "T"),
        ("key", "other"),
        ("uid", "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10"),
        ("payload", {"tree": "../x"}),
        ("purged", {"id": "b3:" + "0" * 64}),
    ],
)
def test_a_result_whose_manifest_is_that_of_another_version_is_damage_and_the_work_is_done_again(
    field: str, value: object, repo: Repo, entry: Callable[[int], Path]
) -> None:
    repo.run_command(WORDS, outputs={"k": "out"})
    found = document.decode(entry(1).read_bytes(), "it")
    found["manifests"]["k"][field] = value
    entry(1).write_bytes(document.encode(found))
    forget(repo, "k")
    with Repo(repo.root) as again:
        ran = again.run_command(WORDS, outputs={"k": "out"})
        assert (ran.cached, worked(again)) == (None, 2)
        assert again.run_command(WORDS, outputs={"k": "out"}).cached == ran.id
        assert [version.id for version in again.history("k")] == [ran.outputs["k"].id]


def test_manifests_of_what_a_result_does_not_name_are_damage(
    repo: Repo, entry: Callable[[int], Path]
) -> None:
    repo.run_command(WORDS, outputs={"k": "out"})
    found = document.decode(entry(1).read_bytes(), "it")
    found["manifests"]["more"] = found["manifests"]["k"]
    entry(1).write_bytes(document.encode(found))
    assert repo.run_command(WORDS, outputs={"k": "out"}).cached is None


def test_a_version_that_is_there_already_is_not_completed_again(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, made = Publisher.complete, []

    def twice(publisher: Publisher, key: str, prepared: dict[str, Any]) -> object:
        made.append(complete(publisher, key, prepared))
        repo.markdown("k", "later")  # as somebody else might
        made.append(complete(publisher, key, prepared))
        return made[0]

    monkeypatch.setattr(Publisher, "complete", twice)
    repo.run_command(WORDS, outputs={"k": "out"})
    assert [(each.number, each.created) for each in made] == [(1, True), (1, False)]
    assert len(repo.history("k")) == 2


def test_no_version_is_made_of_a_result_whose_bytes_go_at_this_moment(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.run_command(WORDS, outputs={"k": "out"})
    forget(repo, "k")
    publisher = Repo._publisher

    def late(self: Repo) -> Publisher:
        monkeypatch.setattr(Repo, "_publisher", publisher)
        with Repo(repo.root) as other:
            assert other.gc().packs
        return publisher(self)

    monkeypatch.setattr(Repo, "_publisher", late)
    with Repo(repo.root) as again:
        again.run_command(WORDS, outputs={"k": "out"})
        assert again.version("k@v1").read()
        assert not again.fsck().problems


def tagged(repo: Repo, key: str = "k") -> dict[str, str]:
    """Return where the tags of a key are."""
    return {tag: version.ref for tag, version in repo.tags(key).items()}


@pytest.fixture
def killed(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a result whose writer was killed before it had set the tag that is declared."""
    repo.declare("k", default_tags=["prod"])
    with monkeypatch.context() as patch:
        patch.setattr(Tags, "tag", lambda *_: None)
        repo.run_command(WORDS, outputs={"k": "out"})
    assert tagged(repo) == {}


@pytest.mark.usefixtures("killed")
def test_who_adopts_a_result_sets_the_tag_that_its_writer_did_not(repo: Repo) -> None:
    assert repo.run_command(WORDS, outputs={"k": "out"}).cached
    assert tagged(repo) == {"prod": "k@v1"}
    assert repo.run_command(WORDS, outputs={"k": "out"}).cached
    assert len(repo.tag_history("k", "prod")) == 1


@pytest.mark.usefixtures("killed")
def test_who_makes_what_another_had_settled_sets_its_tag(repo: Repo) -> None:
    forget(repo, "k")
    with Repo(repo.root) as again:
        assert again.run_command(WORDS, outputs={"k": "out"}).cached
        assert tagged(again) == {"prod": "k@v1"}


@pytest.mark.usefixtures("killed")
@pytest.mark.parametrize("what", ["newer", "newer, by a slow clock", "moved", "taken away"])
def test_a_tag_that_was_moved_since_stays_where_it_is(
    what: str, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "clock" in what:
        monkeypatch.setattr("art.catalog.now", lambda: "2020-02-02T00:00:00.000000Z")
    repo.markdown("k", "newer")
    if what == "moved":
        repo.markdown("k", "newest")
        repo.tag("k@v2", "prod")
    if what == "taken away":
        repo.untag("k", "prod")
    before = tagged(repo)
    assert repo.run_command(WORDS, outputs={"k": "out"}).cached
    assert tagged(repo) == before


def test_a_tag_that_is_protected_since_stays_and_that_is_told(repo: Repo, run: Runner) -> None:
    repo.markdown("k", "older", tags=["prod"])
    repo.declare("k", default_tags=["prod"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tags, "tag", lambda *_: None)
        repo.run_command(WORDS, outputs={"k": "out"})
    repo.set_settings("k", protected=True)
    done = run("run", "--out", "k=out", "--", *WORDS)
    assert "tag 'prod' of k stays where it is" in done.err
    assert tagged(repo) == {"prod": "k@v1"}


def test_what_is_the_same_as_the_latest_version_gets_the_tag(repo: Repo) -> None:
    words = (sys.executable, "-c", "open('out', 'w').write('same')")
    repo.run_command(words, outputs={"k": "out"})
    repo.declare("k", default_tags=["prod"])
    repo.run_command(words, outputs={"k": "out"}, reuse=Reuse(is_used=False))
    assert tagged(repo) == {"prod": "k@v1"}


@pytest.mark.usefixtures("killed")
def test_a_tag_that_is_set_late_is_published(repo: Repo, tmp_path: Path) -> None:
    repo.remotes.add("origin", str(tmp_path / "shared"))
    repo.push()
    shared = Reuse(is_shared=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tags, "tag", lambda *_: None)
        repo.run_command(WORDS, outputs={"k": "out"}, reuse=shared)
    with art.clone(str(tmp_path / "shared"), tmp_path / "other") as other:
        assert tagged(other) == {}
        repo.run_command(WORDS, outputs={"k": "out"}, reuse=shared)
        other.fetch()
        assert tagged(other) == {"prod": "k@v2"}


def test_an_entry_is_ones_own_where_the_answer_to_making_it_was_lost(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = LocalBackend.create

    def unanswered(backend: LocalBackend, name: str, data: bytes) -> bool:
        return create(backend, name, data) and not name.startswith("cache/")

    monkeypatch.setattr(LocalBackend, "create", unanswered)
    ran = repo.run_command(WORDS, outputs={"k": "out"})
    assert (ran.cached, ran.created) == (None, {"k"})


# -- what is known before the work is done ---------------------------------------------------------

NOTE = (sys.executable, "-c", "open('count', 'a').write('x'); open('out', 'w').write('o')")


@pytest.mark.parametrize("outputs", [{"r": "out"}, {"other": "out", "r": "out"}])
def test_a_partition_that_is_missing_is_told_before_a_command_runs(
    outputs: dict[str, str], repo: Repo
) -> None:
    repo.declare("r", partitions=["region"])
    with pytest.raises(UsageError, match="partition region, which is missing"):
        repo.run_command(NOTE, outputs=outputs)
    assert (worked(repo), repo.runs()) == (0, [])
    repo.run_command(NOTE, outputs=outputs, allow_undeclared=True)
    assert worked(repo) == 1


def test_a_type_that_no_command_writes_is_told_before_it_runs(repo: Repo) -> None:
    repo.declare("r", type="table")
    with pytest.raises(ConflictError, match="declared to be of type table"):
        repo.run_command(NOTE, outputs={"r": "out"})
    repo.declare("r", type="file")
    repo.run_command(NOTE, outputs={"r": "out"})
    assert worked(repo) == 1


def test_a_tag_that_may_not_move_is_told_before_a_command_runs_and_nothing_is_told_twice(
    repo: Repo, run: Runner
) -> None:
    words = ("run", "--out", "r=out", "-p", "regoin=eu", "--", *NOTE)
    repo.markdown("r", "text", partitions={"region": "eu"})
    assert run(*words).err.count("regoin") == 1
    repo.set_settings("r", default_tags=["prod"], protected=True)
    repo.tag("r@v1", "prod")
    again = run("run", "--no-cache", *words[1:], code=5)
    assert "tag 'prod' of r stays where it is" in again.error
    assert "nothing was run" in run(*words).err  # and nothing is made
    assert worked(repo) == 1


def test_what_a_step_returns_is_compared_with_what_was_declared_before_it_is_called(
    repo: Repo,
) -> None:
    calls: deque[int] = deque()

    @art.step
    def work() -> Annotated[int, "r"]:
        calls.append(1)
        return 1

    repo.declare("r", partitions=["region"])
    with pytest.raises(UsageError, match="partition region, which is missing"):
        work()
    assert not calls
    repo.set_settings("r", partitions=None)
    work()
    assert list(calls) == [1]


@pytest.mark.skipif(os.name == "nt", reason="words are texts there")
def test_words_and_variables_that_are_no_text_are_escaped(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REF", "r\udcff")
    made = repo.run_command(("true", "w\udcff", "\a"), name="n\udcff", outputs={"k": "."}).outputs
    said = made["k"].run
    assert said is not None
    assert (said["name"], said["command"]) == ("n\\udcff", ["true", "w\\udcff", "\a"])
    assert said["ci"]["ref"] == "r\\udcff"
    assert repo.runs()[0].document["command"] == said["command"]


def test_words_that_are_long_or_many_are_cut(repo: Repo) -> None:
    words = [*NOTE, "x" * 100_000, *(["y" * 100] * 12_000)]
    made = repo.run_command(words, outputs={"k": "out"}).outputs["k"]
    assert made.run is not None
    said = made.run["command"]
    assert said[:3] == list(NOTE)
    assert said[3].endswith("x…")
    assert said[-1] == "…"
    assert len("".join(said)) < 70_000
    assert repo.runs()[0].document["command"] == said


def test_parameters_that_no_manifest_holds_are_refused_before_the_work(repo: Repo) -> None:
    with pytest.raises(UsageError, match="at most 524288"):
        repo.run_command(NOTE, params={"a": ["x" * 1000] * 600}, outputs={"k": "out"})
    assert worked(repo) == 0
    with (
        pytest.raises(UsageError, match="at most 524288"),
        repo.run("r", params={"a": "x" * 600_000}),
    ):
        raise AssertionError("it has begun")


@given(st.text() | st.binary().map(os.fsdecode))
def test_any_text_is_held(text: str) -> None:
    document.encode({"text": holdable(text, 100)})
    assert len(holdable(text, 100)) <= 100
    assert holdable(holdable(text, 100), 100) == holdable(text, 100)


# -- standard input --------------------------------------------------------------------------------

READ = "import sys; data = sys.stdin.read(); open('out', 'w').write(data); open('count', 'a').write('x')"
CALL = (sys.executable, "-m", "art", "run", "--out", "k=out", "--", sys.executable, "-c", READ)


def called(**stdin: Any) -> str:
    """Run the command that writes what it reads; return what art tells."""
    return subprocess.run(CALL, stderr=subprocess.PIPE, text=True, check=True, **stdin).stderr


def test_a_command_whose_input_is_a_pipe_is_run_each_time_and_that_is_told(repo: Repo) -> None:
    assert "it may have read standard input" in called(input="a")
    assert "cached" not in called(input="b")
    assert repo.version("k").text() == "b"
    called(input="b")
    assert (worked(repo), len(repo.history("k"))) == (3, 2)


@pytest.mark.skipif(os.name == "nt", reason="what a pipe has cannot be asked there")
def test_no_input_is_the_same_whatever_says_so(repo: Repo, workplace: Path) -> None:
    called(stdin=subprocess.DEVNULL)
    (workplace / "empty").touch()
    assert "cached" in called(input="")
    with (workplace / "empty").open() as empty:
        assert "cached" in called(stdin=empty)
    assert "cached" in called(preexec_fn=partial(os.close, 0))
    left, right = socket.socketpair()
    right.close()
    assert "cached" in called(stdin=left)
    left.close()
    assert worked(repo) == 1


@pytest.mark.skipif(os.name == "nt", reason="what a pipe has cannot be asked there")
def test_a_pipe_that_is_open_may_have_more(repo: Repo) -> None:
    called(stdin=subprocess.DEVNULL)
    words = [*CALL[:-1], READ.replace("sys.stdin.read()", "''")]
    for _ in range(2):
        with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.wait() == 0
            assert process.stderr is not None
            assert b"< /dev/null" in process.stderr.read()
    assert worked(repo) == 3


def test_an_input_that_cannot_be_read_is_not_known(repo: Repo, workplace: Path) -> None:
    words = [*CALL[:-1], READ.replace("sys.stdin.read()", "''")]
    with (workplace / "written").open("w") as written:
        done = subprocess.run(words, stdin=written, capture_output=True, check=True)
    assert b"it may have read standard input" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="what a pipe has cannot be asked there")
def test_a_file_as_input_counts_from_where_it_is_read(repo: Repo, workplace: Path) -> None:
    def read(text: str, offset: int = 0) -> bool:
        (workplace / "given").write_text(text)
        with (workplace / "given").open("rb") as given:
            os.lseek(given.fileno(), offset, os.SEEK_SET)
            is_cached = "cached" in called(stdin=given)
        assert (workplace / "out").read_text() == text[offset:]
        return is_cached

    assert not read("a")
    assert read("a")
    assert not read("b")
    assert read("ab", 1)
    assert not read("ab")
    assert worked(repo) == 3


def test_nothing_is_published_by_a_run_unless_that_is_asked_for(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = workplace.parent / "shared"
    repo.remotes.add("origin", str(shared))
    repo.run_command(NOTE, outputs={"r": "out"})
    assert repo.config.get("shared_cache").value is False
    assert not list((shared / "manifests").glob("*"))
    monkeypatch.setenv("ART_SHARED_CACHE", "yes")
    repo.run_command(NOTE, outputs={"other": "out"})
    assert [path.name for path in (shared / "manifests").glob("*")] == ["other"]
