"""Workers with repositories of their own find each other's results at a remote, while answers are lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import art
from tests.remote.conftest import Proxied, Services
from tests.remote.test_push import _ROOT, persistently, placed

_WORKERS = 8 if "ART_TEST_FULL" in os.environ else 4
_JOB = """
import json, os, sys
from pathlib import Path
import art
from art.caching import Reuse
from art.remote import failures
from tests.remote.test_push import hurried, persistently
failures.time = hurried()
url, options, folder = json.loads(sys.argv[1])
repo = art.init(folder)
persistently(lambda: repo.remotes.add("origin", url, options))
os.chdir(folder)
code = "import os; [open(name, 'wb').write(os.urandom(50_000)) for name in ('x', 'y')]"
outputs = {"k": "x", "other": "y"}

def published():
    made = repo.run_command(["make", "it"], outputs=outputs, reuse=Reuse(is_shared=True))
    assert not repo.push().left
    return made

Path("make").write_text(f"#!{sys.executable}\\n{code}\\n")
os.chmod("make", 0o755)
os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
made = persistently(published).outputs
print(json.dumps([made["k"].id, made["other"].id]))
"""


@pytest.mark.parametrize("kind", ["folder", "ministack", "gcs"])
def test_workers_make_each_version_once(
    kind: str,
    services: Services,
    proxied: Proxied,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with placed(services(kind), proxied, monkeypatch) as place:
        options = place.lossy_options
        with art.init(tmp_path / "first") as first:
            persistently(lambda: first.remotes.add("origin", place.url, options))
        children = []
        for number in range(_WORKERS):
            told = json.dumps([place.url, options, str(tmp_path / str(number))])
            words = [sys.executable, "-c", _JOB, told]
            children.append(
                subprocess.Popen(
                    words, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
        ended = [(*child.communicate(), child.returncode) for child in children]
        assert [err for _, err, code in ended if code] == []
        made = {out for out, _, _ in ended}
        assert len(made) == 1
        with persistently(
            lambda: art.clone(place.url, tmp_path / "fresh", options=options)
        ) as fresh:
            for key, id in zip(("k", "other"), json.loads(made.pop()), strict=True):
                assert [record.id for record in fresh.history(key)] == [id]
            assert persistently(lambda: fresh.fsck(remote="origin", data=True)).is_whole
