"""A remote that one may only read: all that looks and takes out works, and what writes is refused plainly."""

from __future__ import annotations

import io
from pathlib import Path

import art
from tests.conftest import Runner
from tests.remote.conftest import Services
from tests.remote.fake_gcs import Google, serve_google
from tests.remote.servers import BUCKET

_CONTENT = b"content" * 1000


def objects(google: Google) -> dict[str, bytes]:
    return {name: each.content for name, each in google.buckets[BUCKET].items()}


def test_who_may_only_read_looks_and_takes_out_and_is_refused_when_pushing(
    services: Services, run: Runner, workplace: Path, tmp_path: Path
) -> None:
    with serve_google() as (google, port):
        google.buckets[BUCKET] = {}
        service = services("gcs").at(port)
        options = {name: service.filled(value) for name, value in service.options.items()}
        url = f"{service.url}/shared"
        with art.init(tmp_path / "owner") as owner:
            owner.remotes.add("origin", url, options)
            owner.create_stream("k", io.BytesIO(_CONTENT), name="x.txt", tags=["prod"])
            owner.push()
        google.is_read_only = True
        before = objects(google)

        words = [f"--option={name}={value}" for name, value in options.items()]
        run("clone", url, "reader", *words)
        run("-C", "reader", "fetch")
        assert run("-C", "reader", "ls", "--remote", "origin", "--json").json[0]["key"] == "k"
        assert "x.txt" in run("-C", "reader", "inspect", "k@prod", "--remote", "origin").out
        run("-C", "reader", "get", "k", "out", "--remote", "origin")
        assert (workplace / "reader" / "out").read_bytes() == _CONTENT

        for change in (
            ["create", "k", "--value", "2"],
            ["tag", "set", "k", "prod"],
            ["purge", "k@v2", "--yes", "--force"],
        ):
            run("-C", "reader", *change)
            refused = run("-C", "reader", "push", code=7)
            assert "access denied" in refused.error
        assert objects(google) == before
