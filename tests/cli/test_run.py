"""`art run` and `art runs`."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import art
from art import document
from art.checkout import Checkout
from art.errors import NotFoundError, UnavailableError, UsageError
from art.exchange import Shared
from art.listing import Filter
from art.repo import Repo
from art.repo.running import Running
from tests.conftest import Runner

SCRIPT = """
import sys
source, target = sys.argv[1:]
open(target, "w").write(open(source).read() * 2)
open("count", "a").write("x")
"""


@pytest.fixture
def raw(repo: Repo, workplace: Path) -> Path:
    """Return a folder with an input in the repository, and a script that writes twice what it reads."""
    repo.create_stream("raw", __import__("io").BytesIO(b"12"), name="raw.txt")
    (workplace / "double.py").write_text(SCRIPT)
    return workplace


WORDS = ("--in", "raw=raw", "--out", "double=out.txt", "--", sys.executable, "double.py", "{raw}", "out.txt")  # fmt: skip


def worked(place: Path) -> int:
    """Return how often the script was run."""
    count = place / "count"
    return len(count.read_text()) if count.exists() else 0


def record(repo: Repo, turn: int = 0) -> dict[str, Any]:
    """Return the record of a run, the newest first."""
    return repo.runs()[turn].document


def test_a_command_reads_versions_and_what_it_writes_becomes_versions(
    repo: Repo, raw: Path, run: Runner
) -> None:
    done = run("run", "--name", "twice", "--param", "rate:=0.5", *WORDS)
    made = repo.version("double")
    assert made.text() == "1212"
    assert [(each["key"], each["number"]) for each in made.inputs] == [("raw", 1)]
    assert made.run is not None
    assert (made.run["name"], made.run["params"]) == ("twice", {"rate": 0.5})
    assert made.run["command"][-2:] == ["{raw}", "out.txt"]
    assert f"double@v1  {made.id}" in done.err
    (past,) = repo.runs()
    assert (past.status, past.id, past.document["exit_status"]) == ("completed", made.run["id"], 0)
    assert past.outputs == {"double": made}
    assert repo.get_run(past.id).steps["twice"].outputs["double"].text() == "1212"
    assert past.inputs == [repo.version("raw")]


def test_nothing_is_run_where_nothing_has_changed(repo: Repo, raw: Path, run: Runner) -> None:
    first = run("run", *WORDS, code=0)
    (raw / "out.txt").unlink()
    again = run("run", "--json", *WORDS)
    assert worked(raw) == 1
    assert (raw / "out.txt").read_text() == "1212"
    assert "cached" not in first.err
    assert "cached" in again.err
    assert again.json["cached"] == repo.runs()[1].id == record(repo)["cached"]
    assert again.json["outputs"]["double"]["created"] is False
    assert len(repo.history("double")) == 1


def test_a_change_of_the_input_the_script_a_parameter_a_file_or_a_variable_counts(
    repo: Repo, raw: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (raw / "conf").write_text("a")
    more = ("--depends", "conf", "--env", "MODE")
    run("run", *more, *WORDS)
    run("run", *more, "--param", "a=1", *WORDS)
    assert worked(raw) == 2
    (raw / "double.py").write_text(SCRIPT + "# changed")
    run("run", *more, *WORDS)
    assert worked(raw) == 3
    repo.create_stream("raw", __import__("io").BytesIO(b"34"), name="raw.txt")
    run("run", *more, *WORDS)
    assert worked(raw) == 4
    (raw / "conf").write_text("b")
    run("run", *more, *WORDS)
    assert worked(raw) == 5
    monkeypatch.setenv("MODE", "fast")
    run("run", *more, *WORDS)
    run("run", *more, *WORDS)
    assert worked(raw) == 6


def test_what_links_lead_to_counts(repo: Repo, raw: Path, run: Runner) -> None:
    beyond = raw / "beyond"
    beyond.mkdir()
    (raw / "real.py").write_text(SCRIPT)
    (raw / "double.py").unlink()
    (raw / "double.py").symlink_to("real.py")
    (beyond / "deep").write_text("deep")
    (beyond / "round").symlink_to(raw / "folder")
    (beyond / "nowhere").symlink_to("nothing")
    (raw / "folder").mkdir()
    (raw / "folder/link").symlink_to(beyond)
    (raw / "conf").symlink_to("real.conf")
    (raw / "real.conf").write_text("a")
    words = ("run", "--depends", "conf", "--in", "more=./folder", *WORDS)
    run(*words)
    run(*words)
    assert worked(raw) == 1
    (raw / "real.py").write_text(SCRIPT + "# changed")
    run(*words)
    (raw / "real.conf").write_text("b")
    run(*words)
    (beyond / "deep").write_text("deeper")
    run(*words)
    assert worked(raw) == 4
    run(*words)
    assert worked(raw) == 4


def test_no_cache_and_expires_run_it_again(repo: Repo, raw: Path, run: Runner) -> None:
    run("run", *WORDS)
    run("run", "--no-cache", *WORDS)
    run("run", "--expires", "1d", *WORDS)
    assert worked(raw) == 2
    time.sleep(1.1)
    done = run("run", "--expires", "1s", *WORDS)
    assert worked(raw) == 3
    assert "unchanged" in done.err
    assert len(repo.history("double")) == 1


def test_an_output_that_was_deleted_is_made_again(repo: Repo, raw: Path, run: Runner) -> None:
    run("run", *WORDS)
    repo.delete("double@v1", force=True)
    run("run", *WORDS)
    assert worked(raw) == 2
    assert repo.version("double").ref == "double@v2"
    run("run", *WORDS)
    assert worked(raw) == 2


def test_an_output_that_is_damaged_is_made_again_and_healed(
    repo: Repo, raw: Path, run: Runner
) -> None:
    run("run", *WORDS)
    tree = repo.version("double").manifest.document["payload"]["tree"]
    stored = repo._store.objects.stored(tree)
    assert stored is not None
    for place in stored.places():
        path = repo.root / ".art" / "packs" / place.pack[:2] / f"{place.pack}.pack"
        data = bytearray(path.read_bytes())
        data[place.offset + place.length // 2] ^= 255
        path.chmod(0o644)
        path.write_bytes(data)
    run("run", *WORDS)
    assert worked(raw) == 2
    assert repo.version("double@v1").text() == "1212"
    run("run", *WORDS)
    assert worked(raw) == 2


def test_the_exit_status_of_the_command_is_that_of_art(repo: Repo, raw: Path, run: Runner) -> None:
    done = run("run", "--out", "x=x.txt", "--", sys.executable, "-c", "raise SystemExit(7)", code=7)
    assert "exit status 7" in done.err
    found = record(repo)
    assert (found["status"], found["exit_status"]) == ("failed", 7)
    assert "exit status 7" in found["error"]
    run("run", "--", "no-such-command", code=127)
    assert record(repo)["exit_status"] == 127


def test_an_output_that_the_command_did_not_write_is_told(
    repo: Repo, workplace: Path, run: Runner
) -> None:
    (workplace / "old.csv").write_text("stale")
    (workplace / "out").mkdir()
    (workplace / "out/old").write_text("stale")
    outputs = ("--out", "s/old=old.csv", "--out", "s/folder=out")
    told = run("run", *outputs, "--", "true").err
    assert "'old.csv', which is to be s/old, was there before" in told
    assert "'out', which is to be s/folder, was there before" in told
    again = run(
        "run", "--no-cache", *outputs, "--", "sh", "-c", "echo 1 > old.csv; echo 2 > out/old"
    )
    assert "was there before" not in again.err


def test_an_output_that_is_not_there_is_an_error_that_names_it(
    repo: Repo, raw: Path, run: Runner
) -> None:
    done = run("run", "--out", "x=no.txt", "--", sys.executable, "-c", "", code=4)
    assert "'no.txt'" in done.error
    assert "no.txt" in record(repo)["error"]
    assert record(repo)["status"] == "failed"


def test_inputs_are_paths_too(repo: Repo, raw: Path, run: Runner) -> None:
    (raw / "local.txt").write_text("ab")
    words = ("--in", "source=./local.txt", "--out", "double=out.txt", "--", sys.executable, "double.py", "{source}", "out.txt")  # fmt: skip
    run("run", *words)
    run("run", *words)
    assert (worked(raw), repo.version("double").text()) == (1, "abab")
    (raw / "local.txt").write_text("cd")
    run("run", *words)
    assert (worked(raw), repo.version("double").text()) == (2, "cdcd")


def test_other_braces_are_left_alone_and_variables_name_inputs(
    repo: Repo, raw: Path, run: Runner
) -> None:
    code = "import os,sys; open('o','w').write(sys.argv[1] + open(os.environ['ART_IN_raw']).read())"
    run("run", "--in", "raw=raw", "--out", "k=o", "--", sys.executable, "-c", code, "{print}")
    assert repo.version("k").text() == "{print}12"


def test_a_name_in_braces_that_is_probably_mistyped_is_told(
    repo: Repo, raw: Path, run: Runner
) -> None:
    code = "import sys; open('o','w').write(' '.join(sys.argv[1:]))"
    words = ["run", "--in", "source=raw", "--param", "rate=1", "--out", "k=o", "--"]
    command = [sys.executable, "-c", code, "{suorce}", "{ratte} {sauce}.txt", "${rates}", "{print}"]
    said = run(*words, *command).err
    assert "{suorce} is no input or parameter and stays as it is; {source} is one" in said
    assert "{ratte} is no input or parameter and stays as it is; {rate} is one" in said
    assert "{sauce}" in said
    assert "{rates}" not in said
    assert "{print}" not in said
    assert repo.version("k").text() == "{suorce} {ratte} {sauce}.txt ${rates} {print}"
    assert "warning" not in run(*words, *command[:3], "{source}").err


def test_parameters_reach_the_command_in_its_words_its_paths_and_variables(
    repo: Repo, raw: Path, run: Runner
) -> None:
    code = "import os, sys; open(sys.argv[1], 'w').write(' '.join([*sys.argv[2:], os.environ['ART_PARAM_rate'], os.environ['ART_PARAM_on']]))"
    words = ["--param", "rate:=0.5", "--param", "on:=true", "--param", "of=raw", "--in", "raw={of}"]
    outputs = ["--param", "a-b={raw} {rate}", "--out", "sums/{rate}={of}-{rate}.txt"]
    told = ["{of}-{rate}.txt", "--rate={rate}", "{on}", "{a-b}", "{other} {}"]
    command = [sys.executable, "-c", code, *told]
    run("run", *words, *outputs, "--", *command)
    assert (raw / "raw-0.5.txt").read_text() == "--rate=0.5 true {raw} {rate} {other} {} 0.5 true"
    made = repo.version("sums/0.5")
    assert made.run is not None
    assert made.run["params"] == {"rate": 0.5, "on": True, "a-b": "{raw} {rate}", "of": "raw"}
    assert "cached" in run("run", *words, *outputs, "--", *command).err
    said = run("run", "--in", "raw=raw", "--param", "raw=x", "--", "true", code=2)
    assert "raw is an input and a parameter" in said.err
    with pytest.raises(UsageError, match="parameter x has a NUL"):
        repo.run_command(["true"], params={"x": "a\0b"})


def test_a_script_that_a_parameter_names_counts(repo: Repo, raw: Path, run: Runner) -> None:
    words = ["--param", "script=double", "--in", "raw=raw", "--out", "double=out.txt"]
    command = [sys.executable, "{script}.py", "{raw}", "out.txt"]
    run("run", *words, "--", *command)
    (raw / "double.py").write_text(SCRIPT.replace("* 2", "* 3"))
    run("run", *words, "--", *command)
    assert (raw / "out.txt").read_text() == "121212"


def test_what_the_command_makes_and_reads_by_itself_is_noted_and_it_runs_again(
    repo: Repo, raw: Path, run: Runner
) -> None:
    code = "import art; r = art.open(); r.save(r.version('raw').text(), 'own'); open('o','w').write('x')"
    words = ("run", "--out", "k=o", "--", sys.executable, "-c", code)
    done = run(*words)
    assert "raw@v1 by itself" in done.err
    found = record(repo)
    assert [each["key"] for each in found["inputs"]] == ["raw"]
    assert [each["key"] for each in found["outputs"]] == ["own", "k"]
    assert [each["key"] for each in repo.version("k").inputs] == ["raw"]
    assert set(repo.get_run(found["uid"]).outputs) == {"k", "own"}
    run(*words)
    assert "cached" not in record(repo)


def test_a_run_in_a_run_is_a_step_of_it(repo: Repo, raw: Path, run: Runner) -> None:
    art = (sys.executable, "-m", "art", "run")
    run("run", "--name", "outer", "--", *art, "--name", "inner", *WORDS)
    (outer,) = repo.runs("outer")
    assert outer.steps["inner"].outputs["double"].text() == "1212"
    assert outer.steps["inner"].document["parent"] == outer.id


def test_runs_are_listed_and_shown(repo: Repo, raw: Path, run: Runner) -> None:
    assert run("runs").out == ""
    run("run", "--name", "one", *WORDS)
    run("run", "--name", "two", "--", sys.executable, "-c", "raise SystemExit(3)", code=3)
    lines = run("runs").out.splitlines()
    assert [line.split()[1:4] for line in lines] == [["NAME", "STEP", "STATUS"], ["two", "two", "failed"], ["one", "one", "completed"]]  # fmt: skip
    (found,) = run("runs", "--name", "one", "--json").json
    shown = run("runs", found["uid"]).out
    assert "result       double: double@v1" in shown
    assert run("runs", found["uid"], "--json").json == found
    run("runs", "nothing", code=4)


def test_a_run_is_shown_with_its_steps_and_found_by_a_part_of_its_id(
    repo: Repo, raw: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with repo.run("outer") as outer:
        for step in ("load", "fit", "fit"):
            with repo.run("outer", step=step):
                repo.value(step, 1)
    monkeypatch.setenv("COLUMNS", "200")
    lines = [re.split("  +", line) for line in run("runs").out.splitlines()]
    assert lines[0] == ["RUN", "NAME", "STEP", "STATUS", "ENDED", "MADE"]
    assert [line[2] for line in lines[1:]] == ["fit", "fit", "load", "3 steps: load, fit"]
    short = lines[4][0]
    assert outer.id.endswith(short)
    shown = run("runs", short).out
    first = repo.runs("outer")[-1]
    assert [line for line in shown.splitlines() if line.startswith("step")] == [
        f"step         {part['step']}  {part['id']}" for part in first.document["steps"]
    ]
    for part in (short, short[-6:].upper(), outer.id, outer.id[:-3]):
        assert repo.get_run(part).id == first.id
        assert run("inspect", part).out == shown
    assert run("inspect", short, "--json").json == first.document
    said = run("runs", outer.id[:6], code=2)
    assert "is ambiguous" in said.err
    assert outer.id in said.err
    for wrong in ("ffff0000ffff", "abc", "no-run", "x" * 36):
        with pytest.raises(NotFoundError):
            repo.get_run(wrong)
        run("inspect", wrong, code=4)


def test_words_that_make_no_sense_are_refused(repo: Repo, raw: Path, run: Runner) -> None:
    run("run", code=2)
    run("run", "--in", "a-b=raw", "--", "true", code=2)
    run("run", "--in", "a=nothing", "--", "true", code=4)
    run("run", "--in", "a=./nothing", "--", "true", code=4)
    run("run", "--expires", "soon", "--", "true", code=2)
    assert repo.runs() == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
def test_streams_pass_through_and_signals_go_on(repo: Repo, raw: Path) -> None:
    art = [sys.executable, "-m", "art", "run", "--"]
    code = "import sys; print(sys.stdin.read()); print('e', file=sys.stderr)"
    done = subprocess.run(
        [*art, sys.executable, "-c", code], input="in", capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("in\n", "e\n")
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([*art, sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 9
    process.stdout.close()
    assert record(repo)["exit_status"] == 9
    process = subprocess.Popen([*art, sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert process.wait() == 128 + signal.SIGKILL


def test_many_at_once_make_one_version(repo: Repo, raw: Path) -> None:
    code = "import os; open('shared', 'a').write(str(os.getpid()))"
    command = ["run", "--out", "k=shared", "--", sys.executable, "-c", code]
    begun = [
        subprocess.Popen([sys.executable, "-m", "art", *command], stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    for process in begun:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert len(repo.history("k")) == 1


def test_outputs_are_put_in_place_while_another_does_the_same(
    repo: Repo, raw: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("run", *WORDS)
    (raw / "out.txt").unlink()
    write = Checkout._write_node

    def meanwhile(*words: Any) -> None:
        write(*words)
        (raw / "out.txt").write_text("of another")

    monkeypatch.setattr(Checkout, "_write_node", meanwhile)
    assert "cached" in run("run", *WORDS).err
    assert (raw / "out.txt").read_text() == "1212"


def test_a_purge_takes_what_the_cache_says_of_a_version_too(
    repo: Repo, raw: Path, run: Runner
) -> None:
    run("run", *WORDS)
    repo.purge("double@v1", force=True)
    (path,) = (repo.root / ".art" / "cache").rglob("*.yaml")
    found = document.decode(path.read_bytes(), "entry")
    assert found["outputs"] == {}
    assert found["purged"] is True
    run("run", *WORDS)
    assert worked(raw) == 2
    assert repo.version("double").ref == "double@v2"


def test_who_is_killed_after_settling_leaves_it_to_the_next(
    repo: Repo, raw: Path, run: Runner
) -> None:
    run("run", *WORDS)
    id = repo.version("double").id
    (repo.root / ".art" / "manifests" / "double" / "v00000001.yaml").unlink()
    (repo.root / ".art" / "index.sqlite").unlink()
    repo.close()
    run("run", *WORDS)
    assert worked(raw) == 1
    assert Repo(repo.root).version("double@v1").id == id
    assert os.listdir(repo.root / ".art" / "manifests" / "double") == ["v00000001.yaml"]


def test_runs_that_are_killed_at_any_time_make_each_version_once_and_lose_none(
    repo: Repo, workplace: Path
) -> None:
    def begun(turn: int) -> subprocess.Popen[bytes]:
        code = f"import os; open('out{turn}', 'w').write('{turn} ' + os.urandom(9).hex())"
        words = ["--out", f"k=out{turn}", "--out", f"other/{turn}=out{turn}"]
        command = ["run", *words, "--", sys.executable, "-c", code]
        return subprocess.Popen([sys.executable, "-m", "art", *command], stderr=subprocess.PIPE)

    before = {}
    for turn in range(12):
        started = time.monotonic()
        begun(100 + turn).communicate()
        process = begun(turn)
        time.sleep(random.uniform(0, time.monotonic() - started))
        process.kill()
        process.communicate()
        before |= {record.ref: record.id for record in repo.listing(filter=Filter(all=True))}
    for turn in range(12):
        process = begun(turn)
        _, err = process.communicate()
        assert process.returncode == 0, err
    found = {record.ref: record.id for record in repo.listing(filter=Filter(all=True))}
    assert found.items() >= before.items()
    texts = [repo.version(f"k@v{number}").text() for number in range(1, 25)]
    turns = sorted(int(text.split()[0]) for text in texts)
    assert turns == [*range(12), *range(100, 112)]
    for text in texts:
        other = f"other/{text.split()[0]}"
        assert len(repo.history(other)) == 1
        assert repo.version(other).text() == text
    assert len(found) == 48
    assert not repo.fsck(data=True).problems


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of folders")
def test_the_next_run_removes_what_a_killed_one_left_unless_its_command_goes_on(
    repo: Repo, raw: Path, tmp_path: Path
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    environment = {**os.environ, "TMPDIR": str(place)}
    words = [sys.executable, "-m", "art", "run", "--in", "raw=raw", "--", sys.executable, "-c"]
    reads = (
        "import sys; print('begun', flush=True); sys.stdin.read(); print(open(sys.argv[1]).read())"
    )

    def run(code: str) -> None:
        subprocess.run([*words, code], env=environment, check=True)

    killed = subprocess.Popen(
        [*words, reads, "{raw}"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert killed.stdin is not None
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"begun\n"
    killed.kill()
    killed.wait()
    (left,) = place.iterdir()
    run("pass")
    assert list(place.iterdir()) == [left]
    killed.stdin.close()
    assert killed.stdout.read() == b"12\n"
    killed.stdout.close()
    run("pass")
    assert list(place.iterdir()) == []


@pytest.fixture
def two(repo: Repo, raw: Path, tmp_path: Path) -> tuple[Repo, Repo]:
    """Return two repositories with one remote; both have the input."""
    repo.remotes.add("origin", str(tmp_path / "shared"))
    repo.push()
    art.clone(str(tmp_path / "shared"), tmp_path / "other")
    shutil.copy(raw / "double.py", tmp_path / "other" / "double.py")
    return repo, Repo(tmp_path / "other")


def test_two_workers_at_one_remote_use_each_others_results(
    two: tuple[Repo, Repo], raw: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    run("run", "--push", *WORDS)
    monkeypatch.chdir(other.root)
    done = run("run", "--push", *WORDS)
    assert "cached" in done.err
    assert worked(other.root) == 0
    assert (other.root / "out.txt").read_text() == "1212"
    assert other.version("double").id == one.version("double").id
    other.delete("double@v1", force=True)
    other.push()
    monkeypatch.chdir(raw)
    run("run", "--push", *WORDS)
    assert worked(raw) == 2
    assert one.version("double").ref == "double@v2"


def test_what_a_run_publishes_has_its_record_there(
    two: tuple[Repo, Repo], raw: Path, run: Runner, tmp_path: Path
) -> None:
    one, _ = two
    inner = (sys.executable, "-m", "art", "create", "--push", "inner", "double.py")
    run("run", "--push", *WORDS)
    run("run", "--name", "outer", "--", *inner)
    clone = art.clone(str(tmp_path / "shared"), tmp_path / "clone")
    for past in one.runs():
        assert clone.get_run(past.id).document == past.document
    assert [past.name for past in clone.runs()] == ["outer", Path(sys.executable).name]


def test_a_result_that_was_claimed_and_never_published_is_made_by_the_next(
    two: tuple[Repo, Repo], raw: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    monkeypatch.setattr(Running, "_publish_made", lambda *_: None)  # as if it were killed there
    run("run", "--push", *WORDS)
    monkeypatch.undo()
    monkeypatch.chdir(other.root)
    run("run", "--push", *WORDS)
    assert worked(other.root) == 0
    id = other.version("double@v1").id
    one.fetch()
    one.push()
    assert [each.id for each in one.history("double")] == [id]
    other.fetch()
    assert [each.id for each in other.history("double")] == [id]


def test_many_workers_at_one_remote_make_a_version_once(
    two: tuple[Repo, Repo], raw: Path, tmp_path: Path
) -> None:
    code = "import os; open('out', 'w').write(str(os.getpid()))"
    words = ["run", "--push", "--out", "k=out", "--", sys.executable, "-c", code]
    places = [repo.root for repo in two]
    for turn in range(2):
        places.append(art.clone(str(tmp_path / "shared"), tmp_path / f"more{turn}").root)
    begun = [
        subprocess.Popen([sys.executable, "-m", "art", *words], cwd=place, stderr=subprocess.PIPE)
        for place in places * 3
    ]
    for process in begun:
        _, err = process.communicate()
        assert process.returncode == 0, err
    ids = set()
    for place in places:
        with Repo(place) as repo:
            repo.fetch()
            ids |= {version.id for version in repo.history("k")}
    assert len(ids) == 1


def test_a_remote_that_cannot_be_reached_does_not_cost_the_work(
    two: tuple[Repo, Repo], raw: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnavailableError("the remote does not answer")

    monkeypatch.setattr(Shared, "ship", away)
    done = run("run", "--push", *WORDS)
    assert "does not answer" in done.err
    assert two[0].version("double").text() == "1212"
