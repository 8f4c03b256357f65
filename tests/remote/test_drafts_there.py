"""Jobs with repositories of their own make one version at a remote, while answers are lost."""

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

_JOBS = 8 if "ART_TEST_FULL" in os.environ else 4
_JOB = """
import json, sys
from pathlib import Path
import art
from art.remote import failures
from tests.remote.test_push import hurried, persistently
failures.time = hurried()
url, options, folder, number, count = json.loads(sys.argv[1])
repo = art.init(folder)
persistently(lambda: repo.remotes.add("origin", url, options))
content = Path(folder, "content")
content.write_bytes(bytes([number]) * 200_000)
persistently(lambda: repo.part("k/x", content, draft="run", name=f"job{number}"))

def sealed():
    while True:
        try:
            return repo.seal("k/x", draft="run", expect=count)
        except art.NotFoundError:  # others are not through
            continue

print(json.dumps(persistently(sealed).version.id))
"""


@pytest.mark.parametrize("kind", ["folder", "ministack", "gcs", "azure", "sftp", "radosgw"])
def test_jobs_that_all_seal_make_one_version_of_all_parts(
    kind: str,
    services: Services,
    proxied: Proxied,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with placed(services(kind), proxied, monkeypatch) as place:
        with art.init(tmp_path / "first") as first:
            persistently(lambda: first.remotes.add("origin", place.url, place.lossy_options))
        children = []
        for number in range(_JOBS):
            told = [place.url, place.lossy_options, str(tmp_path / str(number)), number, _JOBS]
            words = [sys.executable, "-c", _JOB, json.dumps(told)]
            children.append(
                subprocess.Popen(
                    words, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
        ended = [(*child.communicate(), child.returncode) for child in children]
        assert [err for _, err, code in ended if code] == []
        ids = {json.loads(out) for out, _, _ in ended}
        assert len(ids) == 1
        options = place.lossy_options
        with persistently(
            lambda: art.clone(place.url, tmp_path / "fresh", options=options)
        ) as fresh:
            assert [record.id for record in fresh.history("k/x")] == list(ids)
            version = fresh.version("k/x")
            for number in range(_JOBS):
                path = f"job{number}/content"
                assert persistently(lambda path=path: version.read(path)) == (  # type: ignore[misc]
                    bytes([number]) * 200_000
                )
            assert persistently(lambda: fresh.fsck(remote="origin", data=True)).is_whole
