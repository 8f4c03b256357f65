"""docs/materializers.md is true: its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from art.materialize import registry

PAGE = Path(__file__).parents[2] / "docs" / "materializers.md"


def test_the_example_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", [])
    (sample,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(sample, str(PAGE), "exec"), {"__name__": "sample"})
    assert [each.name for each in registry._registered] == ["acme-sound"]


def test_a_materializer_without_a_method_is_refused_when_it_is_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Half(registry.Stream):
        name = "half"

        def filename(self, value: object) -> str:
            return "half.bin"

    monkeypatch.setattr(registry, "_registered", [])
    with pytest.raises(registry.UsageError, match="no method 'write'"):
        registry.register(Half())
