"""Wherever gc, a push, a restoration or a pruning dies, at a remote of each kind behind a server.

`ART_TEST_FULL=1` tries every single write, by default only a few of them are tried.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.conftest import Opener, Services
from tests.support_gc_crash import WORKS, Snapshot, cut_off_everywhere, make_snapshot


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"))


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("kind", ["ministack", "gcs", "azure", "sftp", "radosgw"])
def test_dying_at_any_write_to_the_remote_loses_nothing(
    kind: str, name: str, snapshot: Snapshot, services: Services, connect: Opener, tmp_path: Path
) -> None:
    service = services(kind)
    cut_off_everywhere(name, snapshot, tmp_path, lambda _: connect(service), 83)
