"""The README is true: its commands exist, its tour prints what it shows, its Python runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from art.cli import NAMES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

CHANGING = [
    (r"b3:[0-9a-f]{8,64}|\b[0-9a-f]{64}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
    (r"just now|\d+ min ago", "AGE"),
    (r"\b\d+(\.\d+)? (B|KiB|MiB) stored", "SIZE stored"),
    (r"; \d+ not read again", ""),
    (r"packs +\d+, .*", "PACKS"),
    (r", \d+(\.\d+)? (B|KiB|MiB) in \d+ packs?", ", SIZE in PACKS"),
    (r"[ \t]+", " "),
]


def normal(text: str) -> str:
    """Return `text` without what differs from run to run."""
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"| `art {name}` |" in README


def test_readme_names_no_command_that_is_not_there() -> None:
    named = re.findall(r"^\| `art ([a-z]+)` \|", README, re.MULTILINE)

    assert sorted(named) == sorted(NAMES)


@pytest.mark.skipif(shutil.which("bash") is None, reason="the tour needs bash")
def test_the_tour_prints_what_it_shows(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "bin" / "art"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m art "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=":")
    monkeypatch.setenv("ART_AUTHOR", "ana@build-7")
    for block in TOUR:
        for step in re.split(r"^(?=\$ )", block, flags=re.MULTILINE)[1:]:
            line, _, shown = step.partition("\n")
            done = subprocess.run(
                ["bash", "-c", line.removeprefix("$ ")],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            printed = done.stdout.replace(str(workplace), "/home/ana/project")
            assert normal(printed) == normal(shown), line


def test_python_samples_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for sample in PYTHON:
        exec(compile(sample, "README.md", "exec"), names)

    printed = capsys.readouterr().out
    for comment in re.findall(r"^ *print\(.*\)  # (.+)$", "".join(PYTHON), re.MULTILINE):
        assert comment in printed


def test_links_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{page}: {target}"
