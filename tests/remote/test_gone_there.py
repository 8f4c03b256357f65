"""What was deleted, with its bytes, is nowhere, here or at a remote of any kind; what others share with it
stays."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from art.backend import Backend
from art.remote import open_backend
from tests.remote.conftest import Opener, Services
from tests.support_gc_crash import World
from tests.support_state import random_bytes

_ALONE, _SHARED = random_bytes(20_000, 1), random_bytes(20_000, 2)


def holders(place: Backend, data: bytes) -> list[str]:
    """Return the names under which these bytes lie: what is random is stored as it is."""
    return [item.name for item in place.walk("") if data[:1000] in place.read(item.name)]


@pytest.mark.parametrize("kind", ["folder", "memory", "moto", "gcs", "azure", "sftp", "radosgw"])
def test_bytes_that_only_a_deleted_version_had_are_gone_and_others_stay(
    kind: str, services: Services, connect: Opener, tmp_path: Path
) -> None:
    remote = connect(services(kind))
    with contextlib.closing(World(tmp_path, remote)) as world:
        keeper = world.add("keeper")
        world.make("keeper", "gone", {"alone": _ALONE, "shared": _SHARED})
        kept = world.make("keeper", "kept", {"shared": _SHARED})
        world.push("keeper")
        here = open_backend(str(keeper.root / ".art"))
        assert holders(here, _ALONE)
        assert holders(remote, _ALONE)

        keeper.delete("gone")
        world.push("keeper")
        keeper.gc(grace="0s")
        world.collect(2.0, 2.0)

        for place in (here, remote):
            assert holders(place, _ALONE) == []
            assert holders(place, _SHARED)
        assert world.check() == {kept}
        assert keeper.version("kept").read("shared") == _SHARED
