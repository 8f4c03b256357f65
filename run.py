"""Set art up and run it, with nothing but Python and pip.

    python3 run.py demo      the main job, in a temporary folder
    python3 run.py test      the tests; what follows goes to pytest

The environment is made once, in .venv, and made again when pyproject.toml changes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = Path(os.environ.get("ART_VENV") or ROOT / ".venv")
PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PIP = "pip>=25.1"  # the first that knows dependency groups
MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes: more than twice what all tests need at a time


def main(words: list[str]) -> int:
    if words[:1] == ["demo"]:
        prepare("demo", [])
        command = ["-m", "art", "demo", *words[1:]]
    elif words[:1] == ["test"]:
        prepare("test", ["--group", "dev"])
        command = ["-m", "pytest", "-n", "auto", *go_to_memory(), *words[1:]]
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return subprocess.run([PYTHON, *command], cwd=ROOT).returncode


def go_to_memory() -> list[str]:
    """Let tests write to memory where there is room: with a disk they take twice as long. Return what
    pytest needs to know. TMPDIR chooses another place."""
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    if "TMPDIR" in os.environ or not has_room:
        return []
    os.environ["TMPDIR"] = str(MEMORY)
    return ["-o", "tmp_path_retention_policy=failed"]


def prepare(purpose: str, extra: list[str]) -> None:
    """Make the environment unless it was made for this purpose from this pyproject.toml."""
    stamp = HOME / f"ready-for-{purpose}"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"setting up {HOME} (once)", file=sys.stderr)
    make_environment()
    run_pip([PYTHON, "-m", "pip"], "--editable", str(ROOT), *extra)
    stamp.write_text(wanted)


def make_environment() -> None:
    """Make a virtual environment with a pip that is new enough."""
    has_own_pip = importlib.util.find_spec("ensurepip") is not None
    if not PYTHON.exists():
        venv.create(HOME, with_pip=has_own_pip)
    # Debian's Python comes without ensurepip: there the pip outside fills the environment.
    outside = [Path(sys.executable), "-m", "pip", "--python", PYTHON]
    run_pip([PYTHON, "-m", "pip"] if has_own_pip else outside, PIP)


def run_pip(pip: list[str | Path], *arguments: str) -> None:
    options = ["install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *options, *arguments], cwd=ROOT, stdout=sys.stderr)
    if done.returncode:
        sys.exit(f"error: pip could not install {' '.join(arguments)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
