"""Wherever gc, a push, a restoration or a pruning dies, and who pushes while another one collects, at a
remote of each kind behind a server.

`ART_TEST_FULL=1` tries every single write and 50 races at each. By default each work dies at one kind of
remote, once, and there is one race at one of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.conftest import Opener, Services
from tests.support_gc_crash import (
    IS_FULL,
    WORKS,
    Snapshot,
    cut_off_everywhere,
    cut_off_once,
    make_snapshot,
)
from tests.support_gc_races import race, run_race

_KINDS = ["ministack", "gcs", "azure", "sftp", "radosgw"]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"))


def cases() -> list[tuple[str, str]]:
    """Return kinds of remotes, each with a work: all, or each work once, and again at radosgw."""
    pairs = [(kind, name) for kind in _KINDS for name in WORKS]
    turn = {kind: number % 4 for number, kind in enumerate(_KINDS)}
    return [
        (kind, name)
        for number, (kind, name) in enumerate(pairs)
        if IS_FULL or number % 4 == turn[kind]
    ]


@pytest.mark.parametrize(("kind", "name"), cases())
def test_dying_at_any_write_to_the_remote_loses_nothing(
    kind: str, name: str, snapshot: Snapshot, services: Services, connect: Opener, tmp_path: Path
) -> None:
    service = services(kind)
    if IS_FULL:
        cut_off_everywhere(name, snapshot, tmp_path, lambda _: connect(service), 1)
    else:
        cut_off_once(name, snapshot, tmp_path, lambda _: connect(service))


@pytest.mark.parametrize("kind", _KINDS if IS_FULL else _KINDS[:1])
def test_who_pushes_while_gc_runs_there_loses_nothing(
    kind: str, snapshot: Snapshot, services: Services, connect: Opener, tmp_path: Path
) -> None:
    service = services(kind)
    for number in range(50 if IS_FULL else 1):
        run_race(race(number), snapshot, tmp_path / str(number), connect(service))
