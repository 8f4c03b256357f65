"""A job is killed (SIGKILL) at each of its requests to a remote behind HTTP, before or after it was answered.

Another job on another machine goes on then, and does the same to its end; then the first one does, too.
`ART_TEST_STEP=1` tries every request, before and after, by default only some are tried.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import art
from art.repo import Repo
from tests.remote.conftest import Proxied, Services
from tests.remote.test_push import _ROOT

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
_STEP = int(os.environ.get("ART_TEST_STEP", "251"))
_OPEN = """
import json, os, sys
from pathlib import Path
import art
url, options, folder = json.loads(sys.argv[1])
repo = art.open(folder)
os.chdir(folder)
"""
_SEALS = """
for name in ("a", "b"):
    Path(name).write_bytes(name.encode() * 100_000)
    repo.part("k", name, draft="run", name=name)
made = repo.seal("k", draft="run", expect=["a", "b"], tags=["prod"]).version
print(json.dumps([made.id]))
"""
_RUNS = """
from art.caching import Reuse
code = "import os; [open(name, 'wb').write(os.urandom(50_000)) for name in ('x', 'y')]"
outputs = {"k": "x", "other": "y"}
ran = repo.run_command([sys.executable, "-c", code], outputs=outputs, reuse=Reuse(is_shared=True))
print(json.dumps([ran.outputs["k"].id, ran.outputs["other"].id]))
"""
_WATCHES = """
import threading
from art.listing import Filter
from art.repo.reacting import Waiting
stop = threading.Event()
waiting = Waiting(Filter(since="1d"), "cursor", interval=0.01, remote="origin")
def is_through():
    log = Path("log")
    return log.exists() and len(log.read_text().split()) >= 2 and not list(Path().glob("cursor.d/*.task"))
if not is_through():
    for done in repo.react('echo "$ART_NUMBER" >> log', "seen", waiting=waiting, stop=stop):
        if is_through():
            stop.set()
print(json.dumps([]))
"""
_JOBS = {"part and seal": _SEALS, "cached run": _RUNS, "watch": _WATCHES}
_CASES = [(name, is_late) for is_late in (False, True) for name in _JOBS]
if "ART_TEST_STEP" not in os.environ:
    _CASES = [("part and seal", True), ("cached run", False), ("watch", True)]


def _begin(job: str, url: str, options: dict[str, str], place: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", _OPEN + job, json.dumps([url, options, str(place)])]
    return subprocess.Popen(
        words, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _done(job: str, url: str, options: dict[str, str], place: Path) -> list[str]:
    """Do a job to its end; return the ids of the versions that it gave."""
    process = _begin(job, url, options, place)
    out, err = process.communicate()
    assert process.returncode == 0, err
    ids: list[str] = json.loads(out)
    return ids


@pytest.mark.parametrize(("name", "is_late"), _CASES)
def test_a_job_that_is_killed_at_a_request_makes_nothing_twice_and_loses_nothing(
    name: str,
    is_late: bool,
    services: Services,
    proxied: Proxied,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service, job = services("ministack"), _JOBS[name]
    proxy = proxied(service)
    for variable, value in service.environment.items():
        monkeypatch.setenv(variable, service.filled(value))
    options = {key: service.filled(value) for key, value in service.options.items()}
    watched = {key: service.at(proxy.port).filled(value) for key, value in service.options.items()}
    at = 1
    while True:
        url = f"{service.url}/{uuid.uuid4().hex}"
        one, other = tmp_path / f"{at}-one", tmp_path / f"{at}-other"
        with art.init(other) as repo:
            repo.remotes.add("origin", url, options, probe=False)
            repo.value("seen", 1)
            repo.value("seen", 2)
            repo.push()
        with art.init(one) as repo:
            repo.remotes.add("origin", url, watched, probe=False)
        process = _begin(job, url, watched, one)
        proxy.kill(process.pid, at, is_late=is_late)
        process.communicate()
        has_ended = process.returncode == 0
        assert has_ended or process.returncode == -signal.SIGKILL
        proxy.kill(None)
        made = [_done(job, url, options, other), _done(job, url, watched, one)]
        assert made[0] == made[1]
        _check(name, one, other, made[0])
        if has_ended:
            assert at > 5
            return
        at += _STEP


def _check(name: str, one: Path, other: Path, made: list[str]) -> None:
    """See to it that both know the same versions, each once, and that all is whole."""
    if name == "watch":
        for place in (one, other):
            assert sorted((place / "log").read_text().split()) == ["1", "2"]
        return
    for place in (one, other):
        with Repo(place) as repo:
            repo.fetch()
            keys = ["k"] if len(made) == 1 else ["k", "other"]
            assert [[each.id for each in repo.history(key)] for key in keys] == [[m] for m in made]
            assert repo.fsck(remote="origin", data=True).is_whole
