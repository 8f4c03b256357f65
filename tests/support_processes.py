"""Several Python processes at once, all let go at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HANG_SECONDS = 300  # only a hang takes so long
_ROOT = Path(__file__).parent.parent
_PROLOGUE = """
import json, os, sys, time
from pathlib import Path
import art
from art import packer
number, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
def say(**fields):
    print(json.dumps(fields), flush=True)
Path(folder, f"ready-{number}").touch()
sys.stdin.read()  # ends when all may go
repo = art.open()
"""


def lines_of(module: str, *words: object) -> list[str]:
    """Run one of the modules beside this one, in a process of its own; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.{module}", *map(str, words)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def started(folder: Path, *scripts: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Start one process for each script and let them go together; they are killed at the end.

    A script finds `repo`, its `number` from 0, the `count` of processes and `say(name=value)`.
    """
    folder.mkdir()
    waiting, go = os.pipe()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _PROLOGUE + script, str(number), str(len(scripts)), str(folder)],
            stdin=waiting,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, script in enumerate(scripts)
    ]
    os.close(waiting)
    try:
        with os.fdopen(go, "wb"):  # that it is closed lets them go
            _wait_until_ready(folder, children)
        yield children
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _wait_until_ready(folder: Path, children: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while len(list(folder.glob("ready-*"))) < len(children):
        assert time.monotonic() < deadline, "the processes do not start"
        assert all(child.poll() is None for child in children), children[0].communicate()
        time.sleep(0.01)


def finish(child: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait for a process; return what it said. Fail with what it wrote to stderr."""
    out, err = child.communicate(timeout=HANG_SECONDS)
    assert child.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def run_together(folder: Path, *scripts: str) -> list[list[dict[str, Any]]]:
    """Run scripts at once; return what each said."""
    with started(folder, *scripts) as children:
        return [finish(child) for child in children]
