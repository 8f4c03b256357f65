"""`art demo`: real command lines in a real folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner


@pytest.mark.parametrize("keep", [True, False])
def test_demo_runs_to_its_end(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    document = run("demo", "--json", *(["--keep"] if keep else [])).json

    assert document["verified"] is True
    assert Path(document["folder"]).exists() is keep
    lines = [step["command"] for step in document["steps"]]
    for command in ("init", "create", "ls", "log", "diff", "tag", "get", "delete", "restore"):
        assert any(line.startswith(f"art {command}") for line in lines), command
