"""What the tests of compatibility modules share: a repository in the working folder, and no run around."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from art import compat
from art.repo import Repo

SERVICES = ("GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE", "TF_BUILD")


@pytest.fixture(autouse=True)
def there(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    """Return the repository that the calls work on."""
    for name in SERVICES:
        monkeypatch.delenv(name, raising=False)
    yield repo
    compat.close()


@pytest.fixture
def run_script(workplace: Path) -> Callable[[str], str]:
    """Return what runs a program, as people do, and returns what that prints."""

    def run(text: str) -> str:
        (workplace / "program.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "program.py"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
