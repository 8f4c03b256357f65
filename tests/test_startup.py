"""What is imported when: slow modules must not be loaded by commands that do not need them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from art.repo import Repo

SLOW = {"asyncio", "fsspec", "http", "importlib.metadata", "pyarrow", "pydantic", "rich", "yaml"}

LOADED = """
import json, sys
before = set(sys.modules)
{code}
sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))
"""


def modules_loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(code=code)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr))


def test_import_art_loads_nothing_else() -> None:
    assert modules_loaded_by("import art") == {"art"}


def test_public_names_are_sorted_complete_and_there() -> None:
    import art

    assert sorted(art.__all__, key=str.lower) == sorted(set(art.__all__), key=str.lower)
    assert set(art.__all__) <= set(dir(art))
    for name in art.__all__:
        assert getattr(art, name) is not None
    with pytest.raises(AttributeError, match="nope"):
        _ = art.nope  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "words", [["ls"], ["ls", "-o", "csv"], ["log", "k"], ["resolve", "k"], ["completion", "bash"]]
)
def test_quick_commands_load_nothing_slow(repo: Repo, words: list[str]) -> None:
    repo.value("k", 1)
    repo.remotes.add("origin", "../shared")
    repo.listing()
    code = f"import contextlib, io\nfrom art.cli import main\nassert main({words!r}) == 0"

    assert modules_loaded_by(code) & SLOW == set()


def test_only_the_module_of_the_command_is_loaded(repo: Repo) -> None:
    loaded = modules_loaded_by("from art.cli import main\nassert main(['ls']) == 0")

    commands = {name for name in loaded if name.startswith("art.cli.")}
    assert commands == {"art.cli.common", "art.cli.ls", "art.cli.rows"}
