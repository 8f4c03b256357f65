"""Functions as steps: what they return becomes versions, once."""

from __future__ import annotations

import importlib
import linecache
import logging
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import pytest

import art
from art.errors import NotFoundError, UsageError
from art.repo import Repo
from art.version import Version
from tests.support_processes import lines_of

# `ART_TEST_STEP=1` tries every single call, by default only some of them are tried.
_STEP = os.environ.get("ART_TEST_STEP")
calls: deque[str] = deque()  # what has no value of its own is no part of the code
FACTOR = 2


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def helper(value: int) -> int:
    return value * FACTOR


@art.step
def load(count: int = 3) -> Annotated[list[int], "numbers"]:
    calls.append("load")
    return list(range(count))


@art.step
def total(
    numbers: list[int], *, factor: float = 1
) -> tuple[Annotated[float, "totals/{factor}"], Annotated[str, "note"]]:
    calls.append("total")
    return sum(numbers) * factor, f"of {len(numbers)}"


@art.step
def plain(value: int):  # type: ignore[no-untyped-def]
    calls.append("plain")
    return helper(value)


@art.step
def nothing(value: int) -> None:
    calls.append("nothing")


@art.step
def wrong(value: int) -> Annotated[str, "wrong"]:
    return value  # type: ignore[return-value]


@art.step
def failing() -> Annotated[str, "never"]:
    raise ValueError("no luck")


@art.step
def anything(value):  # type: ignore[no-untyped-def]
    return value


@art.step
def as_version(numbers: Version) -> Annotated[str, "ref"]:
    return numbers.ref


def test_what_steps_return_becomes_versions_that_know_what_they_came_of(repo: Repo) -> None:
    with art.run("etl", params={"day": 1}) as run:
        numbers = load(4)
        amount, note = total(numbers, factor=2)
    assert numbers == repo.version("numbers@v1")
    assert numbers.load() == [0, 1, 2, 3]
    assert (amount.ref, amount.load(), note.load()) == ("totals/2@v1", 12, "of 4")
    assert [each["key"] for each in amount.inputs] == ["numbers"]
    assert amount.run is not None
    assert (amount.run["name"], amount.run["step"]) == ("etl", "total")
    assert (amount.run["parent"], amount.run["params"]) == (run.id, {"factor": 2})
    past = repo.get_run(run.id)
    assert list(past.steps) == ["load", "total"]
    assert past.params == {"day": 1}
    assert past.steps["total"].outputs["note"].load() == "of 4"
    assert past.steps["total"].inputs == [numbers]


def test_a_step_is_done_once(repo: Repo, caplog: pytest.LogCaptureFixture) -> None:
    first = total(load(), factor=2)
    with caplog.at_level(logging.INFO, "art"):
        again = total(numbers=load(3), factor=2)
    assert again == first
    assert list(calls) == ["load", "total"]
    assert "nothing has changed since run" in caplog.text
    newest, _, total_run, _ = repo.runs()
    assert newest.cached == total_run.id
    assert newest.outputs == total_run.outputs
    total(load(), factor=3)
    assert list(calls) == ["load", "total", "total"]
    load(4)
    assert calls[-1] == "load"


def test_a_step_without_names_and_one_without_outputs(repo: Repo) -> None:
    assert plain(4).ref == "plain/output@v1"
    assert plain(4).load() == 8
    assert list(calls) == ["plain"]
    assert repo.runs()[0].steps["plain"].outputs["output"].load() == 8
    assert nothing(1) is None
    assert nothing(1) is None
    assert list(calls) == ["plain", "nothing", "nothing"]


def test_what_the_code_uses_counts(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    plain(4)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3)
    assert plain(4).load() == 12
    assert list(calls) == ["plain", "plain"]
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 2)
    assert plain(4).ref == "plain/output@v1"


_MODULE = """
import functools, logging, re, threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated
import art

CUTOFF = date(2025, 1, 1)
WORDS = {"a", "b"}
SHAPE = re.compile("a+")
PLACE, RATE = Path("here"), Decimal("0.1")
BEGIN = 4
LOCKS = [threading.Lock() for _ in range(BEGIN)]
log = logging.getLogger("mine")

class Tools:
    limit = CUTOFF
    @staticmethod
    def words(): return sorted(WORDS)
    @property
    def shape(self): return SHAPE.pattern
    @functools.cached_property
    def place(self): return str(PLACE)

@art.step
def work() -> Annotated[str, "made"]:
    log.info("at work")
    tools = Tools()
    return f"{Tools.limit} {Tools.words()} {tools.shape} {tools.place} {RATE} {len(LOCKS)}"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2025, 1", "2026, 1"),
        ('"b"}', '"c"}'),
        ("a+", "a*"),
        ('"here"', '"there"'),
        ('"0.1"', '"0.2"'),
        ("BEGIN = 4", "BEGIN = 5"),
        ("range(BEGIN)", "range(BEGIN + 2)"),
        ("str(PLACE)", "str(PLACE.name * 2)"),
    ],
)
def test_whatever_a_module_has_that_is_used_counts(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    def made(text: str) -> tuple[str, str]:
        (workplace / "stepsmade.py").write_text(text)
        linecache.checkcache()
        monkeypatch.delitem(sys.modules, "stepsmade", raising=False)
        importlib.invalidate_caches()
        version = importlib.import_module("stepsmade").work()
        return version.ref, version.load()

    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    first = made(_MODULE)
    assert made("# a word more\n" + _MODULE) == first
    assert len(repo.runs()) == 2
    assert repo.runs()[0].cached
    assert _MODULE.count(old) == 1
    ref, content = made(_MODULE.replace(old, new))
    assert (ref, content != first[1]) == ("made@v2", True)


def test_steps_in_functions_count_what_they_hold_and_are_done_again_where_nobody_knows(
    repo: Repo,
) -> None:
    def make(held: Any) -> art.steps.Step:  # type: ignore[name-defined]
        @art.step(name="inner")
        def inner() -> Annotated[str, "inner"]:
            calls.append("inner")
            return str(held)

        return inner

    make(1)()
    make(1)()
    make(2)()
    assert len(calls) == 2
    make(object)()
    unknown = [object()]
    make(unknown)()
    make(unknown)()
    assert len(calls) == 5


def test_choices_of_what_is_given_again(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    load.options(cache=False)()
    load.options(expires="1d")()
    assert list(calls) == ["load"] * 2
    load.options(expires=-1)()
    assert list(calls) == ["load"] * 3

    (workplace / "conf").write_text("a")
    extra = [1]

    @art.step(name="choosy", depends=["conf"], env=["MODE"], key=lambda given: len(given["names"]))
    def choosy(names: list[str]) -> Annotated[int, "choosy"]:
        return len(extra)

    def is_cached() -> bool:
        choosy(["a"])
        return repo.runs(limit=1)[0].cached is not None

    assert [is_cached(), is_cached()] == [False, True]
    (workplace / "conf").write_text("b")
    assert [is_cached(), is_cached()] == [False, True]
    monkeypatch.setenv("MODE", "x")
    assert [is_cached(), is_cached()] == [False, True]
    extra.append(2)
    assert [is_cached(), is_cached()] == [False, True]


def test_what_is_not_of_the_annotated_type_is_refused(repo: Repo) -> None:
    with pytest.raises(
        UsageError, match="step wrong returns for wrong a value of type int, expected str"
    ):
        wrong(1)
    with pytest.raises(
        UsageError, match="argument value of step wrong is a value of type str, expected int"
    ):
        wrong("x")
    text = repo.save("text", "text").version
    with pytest.raises(UsageError, match="argument numbers of step total is a value of type str"):
        total(text)
    with pytest.raises(UsageError, match="neither a parameter nor a version") as caught:
        anything(object())
    assert "repo.save" in str(caught.value.hint)
    assert [past.status for past in repo.runs()] == ["failed", "failed"]


def test_versions_may_be_given_as_they_are_in_lists_and_as_what_save_returns(repo: Repo) -> None:
    saved = repo.save([1], "a")
    assert as_version(saved).load() == "a@v1"

    @art.step
    def joined(parts: list[list[int]]) -> Annotated[list[int], "joined"]:
        return [number for part in parts for number in part]

    made = joined([saved.version, repo.save([2], "b").version])
    assert made.load() == [1, 2]
    assert [each["key"] for each in made.inputs] == ["a", "b"]


def test_a_step_that_fails_leaves_a_record_and_no_version(repo: Repo) -> None:
    with pytest.raises(ValueError, match="no luck"), art.run("etl") as run:
        failing()
    past = repo.get_run(run.id)
    assert (past.status, past.error) == ("failed", "ValueError: no luck")
    assert past.steps["failing"].status == "failed"
    with pytest.raises(NotFoundError):
        repo.version("never")


def test_a_step_that_reads_by_itself_is_done_again(repo: Repo) -> None:
    repo.save(1, "raw")

    @art.step
    def reads() -> Annotated[int, "read"]:
        calls.append("reads")
        found: int = art.open().version("raw").load()
        return found

    reads()
    repo.save(2, "raw")
    assert reads().load() == 2


def test_a_step_of_a_run_that_reads_in_a_process_of_its_own_is_done_again(repo: Repo) -> None:
    @art.step
    def reads() -> Annotated[str, "read"]:
        words = [sys.executable, "-m", "art", "cat", "raw"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    found = []
    for value in (1, 2):
        repo.value("raw", value)
        with art.run("it"):
            found.append(reads().load())
    assert found == ["1", "2"]


def test_a_wrong_step_is_refused(repo: Repo) -> None:
    @art.step
    def twice() -> tuple[Annotated[int, "k"], Annotated[int, "k"]]:
        return 1, 2

    @art.step
    def short() -> tuple[Annotated[int, "k"], Annotated[int, "l"]]:
        return (1,)  # type: ignore[return-value]

    with pytest.raises(UsageError, match="two outputs of the same name"):
        twice()
    with pytest.raises(UsageError, match="returns 1 values, expected a tuple of 2"):
        short()
    with pytest.raises(UsageError, match="expires 'soon'"):
        art.step(expires="soon")


def test_what_is_given_beside_a_version_is_a_parameter_too(repo: Repo) -> None:
    one = load(1)
    assert anything([one, {"rate": 2}]).load() == [[0], {"rate": 2}]
    with pytest.raises(UsageError, match=r"argument value of step anything is neither"):
        anything([one, object()])


def test_what_a_step_returns_is_not_mixed_up_with_what_it_saved_under_that_key(repo: Repo) -> None:
    @art.step
    def both() -> Annotated[str, "both"]:
        repo.save("saved", "both")
        return "returned"

    with art.run("it") as run:
        both()
    part = repo.get_run(run.id).steps["both"]
    assert part.outputs["both"].load() == "returned"
    assert [each.load() for each in part.made] == ["saved", "returned"]


def test_a_step_is_still_a_function(repo: Repo) -> None:
    assert total.function([1, 2], factor=3) == (9, "of 2")
    assert total.__name__ == "total"  # type: ignore[attr-defined]


JOB = """
import os, time
from typing import Annotated
import art

@art.step
def first() -> Annotated[float, "first"]:
    return time.time()

@art.step
def second(value: float) -> tuple[Annotated[int, "pid"], Annotated[float, "doubled"]]:
    return os.getpid(), value * 2

for made in second(first()):
    print(made.id)
"""


def test_forty_processes_make_one_version_of_each_step(repo: Repo, workplace: Path) -> None:
    (workplace / "job.py").write_text(JOB)
    found = set()
    for _ in range(5):  # eight at a time
        begun = [
            subprocess.Popen([sys.executable, "job.py"], stdout=subprocess.PIPE) for _ in range(8)
        ]
        for process in begun:
            out, _ = process.communicate()
            assert process.returncode == 0
            found.add(out)
    assert len(found) == 1
    assert [len(repo.history(key)) for key in ("first", "pid", "doubled")] == [1, 1, 1]
    assert len(repo.runs()) == 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("what", ["step", "command"])
def test_what_is_killed_at_any_point_makes_its_versions_once(
    when: str, is_shared: bool, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, folder = tmp_path / "template", tmp_path / "copies"
    folder.mkdir()
    for name in ("one", "other") if is_shared else ("one",):
        with art.init(template / name) as repo:
            if is_shared:
                monkeypatch.setenv("ART_SHARED_CACHE", "true")
                repo.remotes.add("origin", str(template / "shared"))
                repo.fetch()
            if name == "one":
                repo.value("raw", 12)
                repo.declare("one", default_tags=["prod"])
            if is_shared:
                repo.push()
    step = _STEP or ("23" if is_shared else "4")
    said = lines_of("support_run_killer", template, folder, when, step, what)
    lines = [line.split() for line in said]
    assert len(lines) > 5
    assert lines[-1][0] == "done"
    for killed_at, found, worked, *counts, is_well in lines:
        assert (counts, is_well) == (["1", "1"], "True"), said
        assert int(worked) <= 1
        assert not (int(found) and int(worked)), f"{killed_at}: made again\n{said}"


def test_the_samples_of_the_page_print_what_they_show(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "runs.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (workplace / "sample.py").write_text(sample)
    done = subprocess.run(
        [sys.executable, "sample.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^print\(.*\)  # (.+)$", sample, re.MULTILINE)
    assert done.stdout.splitlines() == shown


def test_steps_in_threads_of_a_run_go_into_its_repository(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace.parent / "elsewhere").mkdir()
    monkeypatch.chdir(workplace.parent / "elsewhere")
    with art.run("etl", repo=repo) as run, ThreadPoolExecutor(2) as threads:
        made = list(threads.map(load, [3, 4]))
    assert [version.load() for version in made] == [[0, 1, 2], [0, 1, 2, 3]]
    assert set(repo.get_run(run.id).steps) == {"load", "load_2"}


def squared(version: Version) -> Version:
    """Return a version that another process makes of one that it was given."""
    return art.open().save([each * each for each in version.load()], "squares").version


def test_other_processes_are_given_steps_and_versions_and_give_versions_back(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ART_DIR", str(workplace))
    numbers = load(4)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        amounts = list(processes.map(load.options(cache=False), [2, 3]))
        squares = processes.submit(squared, numbers).result()
        same = processes.submit(load, 4).result()
    assert {version.ref: version.load() for version in amounts} in (
        {"numbers@v2": [0, 1], "numbers@v3": [0, 1, 2]},
        {"numbers@v3": [0, 1], "numbers@v2": [0, 1, 2]},
    )
    assert squares == repo.version("squares")
    assert squares.load() == [0, 1, 4, 9]
    assert same == numbers
    assert pickle.loads(pickle.dumps(load)) is load
    assert pickle.loads(pickle.dumps(repo)).root == repo.root


def test_a_step_that_its_module_does_not_have_cannot_be_pickled(repo: Repo) -> None:
    @art.step
    def inner() -> Annotated[int, "inner"]:
        return 1

    with pytest.raises(UsageError, match="there is no step"):
        pickle.loads(pickle.dumps(inner))
