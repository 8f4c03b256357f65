"""Whom warnings name: the program that called art."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """\
import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import art
from art.compat import zenml

@dataclass
class Point:
    x: int

repo = art.init()
@art.step
def made():
    return Point(2)
@art.step
async def later():
    return Point(3)
async def all_of():
    return await asyncio.gather(later())

repo.save(Point(1), "point")  # here
repo.save(Point(1), "background", wait=False).result()  # here
pickled = repo.save(object, "pickle", materializer="pickle", pickle=True).version  # here
pickled.load(pickle=True)  # here
made()  # here
zenml.save_artifact(Point(4), "zenml")  # here
async def alone():
    return await later()  # here
asyncio.run(alone())
with ThreadPoolExecutor() as threads:
    threads.submit(lambda: repo.save(Point(5), "thread")).result()  # here
"""


def test_warnings_of_classes_and_pickles_name_the_line_that_called(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "always", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    warnings = [line.split(": ")[0] for line in done.stderr.splitlines() if "UserWarning" in line]
    lines = enumerate(PROGRAM.splitlines(), 1)
    assert warnings == [f"{tmp_path}/program.py:{at}" for at, line in lines if "# here" in line]
