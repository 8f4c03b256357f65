"""What is new is found and reacted to, each once, whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest

import art
from art.errors import ArtError, BusyError, NotFoundError, UsageError
from art.events import Reaction
from art.index import Index
from art.listing import Filter
from art.periods import Period
from art.reacting import Done
from art.repo import Repo
from art.repo.reacting import Waiting
from art.rows import Record
from art.sql import Selection

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands are of sh")


def make(repo: Repo, key: str, text: str, **about: Any) -> str:
    return repo.markdown(key, text, **about).version.ref


def take(
    repo: Repo, *keys: str, count: int, act: Callable[[], object] = lambda: None, **waiting: Any
) -> list[list[str]]:
    """Return the references of so many reactions, after something was done meanwhile."""
    stop = threading.Event()
    found = repo.events(*keys, waiting=Waiting(interval=0.01, **waiting), stop=stop)
    began = threading.Timer(0.1, act)
    began.start()
    taken: list[list[str]] = []
    for each in found:
        assert isinstance(each, Reaction), each
        taken.append([event.record.ref for event in each.events])
        if len(taken) == count:
            stop.set()
    began.join()
    return taken


def test_a_version_that_comes_is_told_and_those_that_were_there_are_not(repo: Repo) -> None:
    make(repo, "k", "1")
    assert take(repo, "k", count=2, act=lambda: [make(repo, "k", "2"), make(repo, "k", "3")]) == [
        ["k@v2"],
        ["k@v3"],
    ]


def test_with_since_those_that_were_there_count(repo: Repo) -> None:
    make(repo, "k", "1")
    make(repo, "k", "2")
    filter = Filter(since="1d")
    assert take(repo, "k", count=2, filter=filter) == [["k@v1"], ["k@v2"]]


def test_a_key_may_come_later_and_a_glob_may_mean_more_keys(repo: Repo) -> None:
    def act() -> None:
        make(repo, "other", "1")
        make(repo, "a/new", "1")

    assert take(repo, "later", "a/*", count=1, act=act) == [["a/new@v1"]]


def test_only_what_matches_counts_whenever_it_begins_to(repo: Repo) -> None:
    make(repo, "k", "1")

    def act() -> None:
        make(repo, "k", "2", partitions={"region": "us"})
        make(repo, "k", "3", partitions={"region": "eu"})

    filter = Filter(partitions={"region": "eu"})
    assert take(repo, "k", count=1, act=act, filter=filter) == [["k@v3"]]
    filter = Filter(where="tag = prod")
    found = take(repo, "k", count=1, act=lambda: repo.tag("k@v1", tag="prod"), filter=filter)
    assert found == [["k@v1"]]


def test_a_version_counts_when_it_is_old_enough(repo: Repo) -> None:
    make(repo, "k", "1")
    found = take(repo, "k", count=1, filter=Filter(where="age > 1s", since="1h"))
    assert found == [["k@v1"]]


def test_a_version_counts_when_another_one_is_made_from_it(repo: Repo) -> None:
    make(repo, "k", "1")
    make(repo, "k", "2")
    make(repo, "e", "1")
    filter = Filter(where="descendant = e")
    act = lambda: make(repo, "e", "2", inputs=["k@v1"])  # noqa: E731
    assert take(repo, "k", count=1, act=act, filter=filter) == [["k@v1"]]


def test_a_version_counts_when_a_tag_comes_to_what_it_was_made_from(repo: Repo) -> None:
    make(repo, "raw", "1", tags=["prod"])
    make(repo, "raw", "2")
    make(repo, "k", "1", inputs=["raw@v2"])
    filter = Filter(where="input = raw@prod")
    found = take(repo, "k", count=1, act=lambda: repo.tag("raw@v2", tag="prod"), filter=filter)
    assert found == [["k@v1"]]


def test_a_version_counts_when_its_day_comes(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=2)

    repo.declare("k", time_partition="day")
    make(repo, "k", "1", partitions={"day": Period.of(Later.now(timezone.utc), "day")})

    def act() -> None:
        monkeypatch.setattr("art.matching.datetime", Later)
        monkeypatch.setattr("art.events.now", lambda: Later.now(timezone.utc).isoformat())

    found = take(repo, "k", count=1, act=act, filter=Filter(partitions={"day": "today"}))
    assert found == [["k@v1"]]


def test_a_reference_that_means_nothing_any_more_is_told_and_looked_for_again(repo: Repo) -> None:
    make(repo, "raw", "1", tags=["prod"])
    make(repo, "k", "1", inputs=["raw@v1"])
    waiting = Waiting(Filter(where="input = raw@prod", since="1h"), interval=0.01)
    found = repo.events("k", waiting=waiting)
    assert isinstance(next(found), Reaction)
    repo.untag("raw", "prod")
    assert "no tag 'prod'" in str(next(found))
    repo.tag("raw@v1", tag="prod")
    make(repo, "k", "2", inputs=["raw@v1"])
    reaction = next(each for each in found if isinstance(each, Reaction))
    assert [event.record.ref for event in reaction.events] == ["k@v2"]


def test_what_did_not_change_is_not_looked_at_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    selected = Index.selected

    def noted(index: Index, selection: Selection) -> list[Record]:
        looked.append(selection)
        return selected(index, selection)

    monkeypatch.setattr(Index, "selected", noted)
    make(repo, "k", "1")

    def act() -> None:
        time.sleep(0.3)
        make(repo, "other", "1", tags=["prod"])
        time.sleep(0.3)
        make(repo, "k", "2", tags=["prod"])

    filter = Filter(where="created > 2026-01-01 and tag = prod and not state = deleted")
    assert take(repo, "k", count=1, act=act, filter=filter) == [["k@v2"]]
    assert len(looked) <= 4  # at first, and when there was k@v2, and its tag


def test_partitions_may_come_with_the_first_version(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    filter = Filter(where="region = eu")
    act = lambda: make(repo, "k", "1", partitions={"region": "eu"})  # noqa: E731
    assert take(repo, "k", count=1, act=act, filter=filter) == [["k@v1"]]


def test_each_move_of_a_tag_is_told(repo: Repo) -> None:
    make(repo, "k", "1", tags=["prod"])
    make(repo, "k", "2")

    def act() -> None:
        repo.tag("k@v2", tag="prod")
        repo.untag("k", "prod")
        repo.tag("k@v2", tag="prod")
        repo.tag("k@v1", tag="other")

    assert take(repo, "k@prod", count=2, act=act) == [["k@v2"], ["k@v2"]]


def test_with_all_of_there_is_something_new_of_each(repo: Repo) -> None:
    def act() -> None:
        make(repo, "a", "1")
        make(repo, "a", "2")
        time.sleep(0.1)
        make(repo, "b", "1")

    assert take(repo, "a", "b", count=1, act=act, all_of=True) == [["a@v2", "b@v1"]]


def test_of_a_key_the_highest_number_is_the_newest_whatever_the_clocks_say(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make(repo, "b", "1")
    for number in (3, 1, 2):  # the clocks of three machines
        monkeypatch.setattr("art.publish.now", lambda at=number: f"2099-01-0{at}T00:00:00.000000Z")
        make(repo, "a", f"{number}")
    filter = Filter(since="1h")
    assert take(repo, "a", "b", count=1, filter=filter, all_of=True) == [["a@v3", "b@v1"]]
    assert take(repo, "a", count=3, filter=filter) == [["a@v1"], ["a@v2"], ["a@v3"]]
    log = tmp_path / "log"
    run(repo, f"echo $ART_REF {{refs}} > {log}", "b", "a", count=1, all_of=True)
    assert log.read_text() == "a@v3 b@v1 a@v3\n"


def test_a_cursor_goes_on_where_it_was(repo: Repo, tmp_path: Path) -> None:
    make(repo, "k", "1")
    cursor = tmp_path / "cursor"
    assert take(repo, "k", count=1, act=lambda: make(repo, "k", "2"), cursor=cursor) == [["k@v2"]]
    make(repo, "k", "3")
    make(repo, "new", "1")
    assert take(repo, "k", count=1, cursor=cursor) == [["k@v3"]]
    make(repo, "k", "4")
    found = take(repo, "k", "new", count=2, act=lambda: make(repo, "new", "2"), cursor=cursor)
    assert found == [["k@v4"], ["new@v2"]]


def test_what_was_not_taken_to_its_end_is_told_again(repo: Repo, tmp_path: Path) -> None:
    waiting = Waiting(Filter(since="1d"), cursor=tmp_path / "cursor", interval=0.01)
    make(repo, "k", "1")
    found = repo.events("k", waiting=waiting)
    next(found)
    with pytest.raises(BusyError):
        next(repo.events("k", waiting=waiting))
    found.close()  # type: ignore[attr-defined]
    assert isinstance(next(repo.events("k", waiting=waiting)), Reaction)


def test_a_remote_is_asked_and_may_be_away(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    repo.remotes.add("origin", str(tmp_path / "shared"))
    make(repo, "k", "1")
    repo.push()
    stop = threading.Event()
    with art.clone(str(tmp_path / "shared"), tmp_path / "other") as other:
        found = other.events("k", waiting=Waiting(interval=0.01, remote="origin"), stop=stop)
        timer = threading.Timer(0.2, lambda: [make(repo, "k", "2"), repo.push()])
        timer.start()
        (tmp_path / "shared").rename(tmp_path / "away")
        assert isinstance(next(found), ArtError)
        (tmp_path / "away").rename(tmp_path / "shared")
        taken = next(each for each in found if isinstance(each, Reaction))
        assert taken.events[0].record.ref == "k@v2"
        timer.join()


def test_at_a_remote_only_what_is_there_counts(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    repo.remotes.add("origin", str(tmp_path / "shared"))
    make(repo, "k", "1")
    repo.push()
    make(repo, "k", "2")

    def act() -> None:
        repo.tag("k@v1", tag="prod")
        time.sleep(0.2)
        repo.push()

    found = take(repo, "k", "k@prod", count=2, act=act, remote="origin")
    assert sorted(found) == [["k@v1"], ["k@v2"]]
    with pytest.raises(NotFoundError, match="no remote 'orign'"):
        repo.events("k", waiting=Waiting(remote="orign"))


def test_at_a_remote_its_tags_count_and_those_that_moved_only_here_do_not(
    repo: Repo, tmp_path: Path
) -> None:
    repo.remotes.add("origin", str(tmp_path / "shared"))
    make(repo, "k", "1", tags=["prod"])
    make(repo, "k", "2")
    repo.push()

    def act() -> None:
        repo.tag("k@v2", tag="prod")
        make(repo, "k", "3", tags=["prod"])
        repo.note("k@v1", add_labels=["good"])
        time.sleep(0.2)
        with art.clone(str(tmp_path / "shared"), tmp_path / "other") as other:
            make(other, "end", "1", tags=["prod"])
            other.push()

    filter = Filter(where="tag = prod or label = good")
    assert take(repo, "k", "end", count=1, act=act, remote="origin", filter=filter) == [["end@v1"]]
    assert take(repo, "*", count=1, act=repo.push, remote="origin", filter=filter) == [["k@v3"]]
    assert repo.version("k@prod").ref == "k@v3"


def test_a_version_that_is_the_latest_at_the_remote_counts_there(
    repo: Repo, tmp_path: Path
) -> None:
    repo.remotes.add("origin", str(tmp_path / "shared"))
    make(repo, "k", "1")
    repo.push()
    make(repo, "k", "2")
    filter = Filter(where="latest = true", since="1h")
    assert take(repo, "k", count=1, remote="origin", filter=filter) == [["k@v1"]]
    assert take(repo, "k", count=1, filter=filter) == [["k@v2"]]


@pytest.mark.parametrize(
    ("keys", "waiting", "said"),
    [
        ((), Waiting(), "no key to wait for"),
        (("k@v3",), Waiting(), "nothing to wait for"),
        (("k",), Waiting(interval=0), "is not a number of seconds"),
        (("k",), Waiting(Filter(since="soon")), "is no time"),
        (("k",), Waiting(Filter(where="size >")), "expected"),
        (("k",), Waiting(Filter(where="age > blue")), "no value of age"),
        (("k",), Waiting(Filter(where="input = raw@prod")), "raw"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(
    repo: Repo, keys: tuple[str, ...], waiting: Waiting, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        next(repo.events(*keys, waiting=waiting))


# -- commands --------------------------------------------------------------------------------------


def run(
    repo: Repo, command: str, *keys: str, count: int, jobs: int = 1, **waiting: Any
) -> list[Done]:
    stop = threading.Event()
    wanted = Waiting(Filter(since="1d"), interval=0.01, **waiting)
    found: list[Done] = []
    for each in repo.react(command, *keys, waiting=wanted, jobs=jobs, stop=stop):
        assert isinstance(each, Done), each
        found.append(each)
        if len(found) == count:
            stop.set()
    return found


def test_a_command_is_told_what_is_new(repo: Repo, tmp_path: Path) -> None:
    log = tmp_path / "log"
    make(repo, "k", "1")
    make(repo, "k", "2", tags=["prod"])
    command = f'echo {{ref}} {{key}} {{number}} {{uri}} "{{tag}}" $ART_EVENT $ART_ID >> {log}'
    run(repo, command, "k", "k@prod", count=3)
    ids = [repo.version(f"k@v{number}").id for number in (1, 2)]
    assert log.read_text().splitlines() == [
        f"k@v1 k 1 art://k@v1  version {ids[0]}",
        f"k@v2 k 2 art://k@v2  version {ids[1]}",
        f"k@v2 k 2 art://k@v2 prod tag {ids[1]}",
    ]


def test_a_command_that_fails_is_told_and_not_run_again(repo: Repo, tmp_path: Path) -> None:
    make(repo, "k", "1")
    found = run(repo, "exit 3", "k", count=1, cursor=tmp_path / "c")
    assert found == [Done("k@v1", 3)]
    make(repo, "k", "2")
    assert run(repo, "true", "k", count=1, cursor=tmp_path / "c") == [Done("k@v2", 0)]


def test_as_many_run_at_a_time_as_there_are_jobs(repo: Repo, tmp_path: Path) -> None:
    for number in range(4):
        make(repo, "k", f"{number}")
    gate = tmp_path / "gate"
    gate.mkdir()
    # Each ends when all four have begun.
    command = (
        f'touch {gate}/$ART_NUMBER; while [ "$(ls {gate} | wc -l)" -lt 4 ]; do sleep 0.01; done'
    )
    assert len(run(repo, command, "k", count=4, jobs=4)) == 4


def test_one_that_is_stopped_is_run_again(repo: Repo, tmp_path: Path) -> None:
    make(repo, "k", "1")
    log = tmp_path / "log"
    stop = threading.Event()
    waiting = Waiting(Filter(since="1d"), interval=0.01, cursor=tmp_path / "c")

    def stop_when_it_runs() -> None:
        while not log.exists():
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=stop_when_it_runs).start()
    command = f"echo begun >> {log}; exec sleep 100"
    assert list(repo.react(command, "k", waiting=waiting, stop=stop)) == [
        Done("k@v1", 128 + signal.SIGTERM, is_kept=False)
    ]
    assert run(repo, f"echo again >> {log}", "k", count=1, cursor=tmp_path / "c")
    assert log.read_text().split() == ["begun", "again"]


def test_what_is_run_again_is_the_command_of_now(repo: Repo, workplace: Path) -> None:
    make(repo, "k", "1")
    words = [*_WATCH, "--cursor", "cursor", "--exec"]
    old = "echo old >> log; echo $$ > pid; exec sleep 100"
    first = subprocess.Popen([*words, old], cwd=workplace)
    while not (workplace / "pid").exists() or not (workplace / "pid").read_text().strip():
        time.sleep(0.02)
    first.kill()
    first.wait()
    supervisor = int(
        Path(f"/proc/{int((workplace / 'pid').read_text())}/stat").read_text().split()[3]
    )
    os.kill(supervisor, signal.SIGKILL)  # the machine went down, say
    os.kill(int((workplace / "pid").read_text()), signal.SIGKILL)
    second = subprocess.Popen([*words, "echo new $ART_REF {ref} >> log", "--once"], cwd=workplace)
    assert second.wait() == 0
    assert (workplace / "log").read_text().splitlines() == ["old", "new k@v1 k@v1"]


_WATCH = [sys.executable, "-m", "art", "watch", "k", "--since", "1d", "--interval", "0.02"]


def test_killed_again_and_again_each_is_run_once(repo: Repo, workplace: Path) -> None:
    total = 24
    for number in range(total):
        make(repo, "k", f"{number}")
    log = workplace / "log"
    words = [
        *_WATCH,
        "-j",
        "3",
        "--cursor",
        "cursor",
        "--exec",
        "sleep 0.05; echo $ART_NUMBER >> log",
    ]
    chance = random.Random(5)
    deadline = 200
    for _ in range(deadline):
        process = subprocess.Popen(words, cwd=workplace, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 0.9))
        process.kill()
        process.wait()
        if log.exists() and len(log.read_text().split()) >= total:
            break
    time.sleep(0.5)  # for what still runs
    assert sorted(map(int, log.read_text().split())) == list(range(1, total + 1))


def test_who_comes_later_waits_for_what_still_runs(repo: Repo, workplace: Path) -> None:
    make(repo, "k", "1")
    words = [*_WATCH, "--cursor", "cursor"]
    command = "echo begun >> log; while [ ! -e go ]; do sleep 0.02; done; echo ended >> log"
    first = subprocess.Popen([*words, "--exec", command], cwd=workplace)
    while not (workplace / "log").exists():
        time.sleep(0.02)
    first.kill()
    first.wait()
    second = subprocess.Popen([*words, "--once", "--exec", "echo wrong >> log"], cwd=workplace)
    time.sleep(0.5)
    assert second.poll() is None
    (workplace / "go").touch()
    assert second.wait() == 0
    assert (workplace / "log").read_text().split() == ["begun", "ended"]


_SLOW = (
    "echo $$ > pid; echo begun >> log; while [ ! -e go ]; do sleep 0.02; done; echo ended >> log"
)


def _supervisor_of(command: Path) -> int:
    """Return the process that runs a command, which wrote its own number into a file."""
    while not command.exists() or not command.read_text().strip():
        time.sleep(0.02)
    return int(Path(f"/proc/{int(command.read_text())}/stat").read_text().split()[3])


def test_a_command_whose_supervisor_was_killed_too_is_waited_for_and_then_run_again(
    repo: Repo, workplace: Path
) -> None:
    make(repo, "k", "1")
    words = [*_WATCH, "--cursor", "cursor", "--once", "--exec", _SLOW]
    first = subprocess.Popen(words, cwd=workplace)
    supervisor = _supervisor_of(workplace / "pid")
    first.kill()
    first.wait()
    os.kill(supervisor, signal.SIGKILL)
    second = subprocess.Popen(words, cwd=workplace)
    time.sleep(0.7)
    assert (workplace / "log").read_text().split() == ["begun"]
    (workplace / "go").touch()
    assert second.wait() == 0
    assert (workplace / "log").read_text().split() == ["begun", "ended"] * 2


def test_a_command_whose_supervisor_alone_was_killed_is_not_run_twice_at_a_time(
    repo: Repo, workplace: Path
) -> None:
    make(repo, "k", "1")
    words = [*_WATCH, "--cursor", "cursor", "--once", "--exec", _SLOW]
    watching = subprocess.Popen(words, cwd=workplace, stderr=subprocess.PIPE, text=True)
    os.kill(_supervisor_of(workplace / "pid"), signal.SIGKILL)
    time.sleep(0.7)
    assert (workplace / "log").read_text().split() == ["begun"]
    (workplace / "go").touch()
    _, said = watching.communicate()
    assert watching.returncode == 0
    assert "ended with 137; it will be run again" in said
    assert (workplace / "log").read_text().split() == ["begun", "ended"] * 2


def test_what_a_command_left_running_keeps_nobody_waiting(repo: Repo, workplace: Path) -> None:
    make(repo, "k", "1")
    words = [*_WATCH, "--cursor", "cursor", "--exec"]
    command = "sleep 100 > log.left 2>&1 & echo $! > left; " + _SLOW
    first = subprocess.Popen([*words, command], cwd=workplace)
    _supervisor_of(workplace / "pid")
    first.kill()
    first.wait()
    (workplace / "go").touch()
    while "ended" not in (workplace / "log").read_text():
        time.sleep(0.02)
    second = subprocess.Popen([*words, "echo wrong >> log", "--once"], cwd=workplace)
    try:
        assert second.wait() == 0
    finally:
        os.kill(int((workplace / "left").read_text()), signal.SIGKILL)
    assert (workplace / "log").read_text().split() == ["begun", "ended"]
