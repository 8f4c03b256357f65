"""What the tests of compatibility modules share: a repository in the working folder, and no run around."""

from __future__ import annotations

from collections.abc import Iterator

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
