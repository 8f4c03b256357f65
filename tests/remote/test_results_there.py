"""Steps of many processes that look for earlier results at one remote."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import art
from art.repo import Repo
from tests.remote.conftest import Services
from tests.test_steps import JOB

_REPOSITORIES = 8
_PROCESSES = {"folder": 40}  # in which most of the time goes into starting them
_OTHERS = 40 if os.environ.get("ART_TEST_STEP") else 8


# Not moto: under load it lets two writers at once both create a name, as the probe notices.
@pytest.mark.parametrize("kind", ["folder", "ministack", "radosgw"])
def test_many_processes_in_eight_repositories_make_one_version_of_each_step(
    kind: str, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = _PROCESSES.get(kind, _OTHERS)
    service = services(kind)
    for name, value in service.environment.items():
        monkeypatch.setenv(name, service.filled(value))
    options = {name: service.filled(value) for name, value in service.options.items()}
    url = f"{service.filled(service.url)}/{uuid.uuid4().hex}"
    monkeypatch.setenv("ART_SHARED_CACHE", "true")
    places = [tmp_path / str(number) for number in range(_REPOSITORIES)]
    for place in places:
        with art.init(place) as made:
            made.remotes.add("origin", url, options)
        (place / "job.py").write_text(JOB)
    begun = [
        subprocess.Popen(
            [sys.executable, "job.py"],
            cwd=places[number % _REPOSITORIES],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    ended = [(*process.communicate(), process.returncode) for process in begun]
    assert [err for _, err, code in ended if code] == []
    assert len({out for out, _, _ in ended}) == 1, "all give the same versions"
    assert len(ended) == count
    with art.clone(url, tmp_path / "clone", options=options) as clone:
        assert [len(clone.history(key)) for key in ("first", "pid", "doubled")] == [1, 1, 1]
        assert not clone.fsck(remote="origin", data=True).problems
    for place in places:
        with Repo(place) as there:
            there.fetch()
            assert [len(there.history(key)) for key in ("first", "pid", "doubled")] == [1, 1, 1]
            assert not there.fsck(data=True).problems
