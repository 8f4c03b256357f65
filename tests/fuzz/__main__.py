"""Searches one target with coverage as its guide, as libFuzzer does: `python -m tests.fuzz TARGET [-runs=N]`.

    python -m tests.fuzz                                  the targets there are
    python -m tests.fuzz layout -max_total_time=300       five minutes
    python -m tests.fuzz layout crash-…                   what a file that was found comes to

Options are libFuzzer's: https://llvm.org/docs/LibFuzzer.html#options. It needs atheris, which is not among
the packages for development, as it is not there for every Python: `pip install atheris`. What it finds
is written to `crash-…`; keep it as a seed of the target, or as a test, with the repair.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

DEFAULTS = ["-max_len=4096", "-rss_limit_mb=700", "-timeout=20"]


def main(words: list[str]) -> int:
    try:
        import atheris
    except ImportError:
        sys.stderr.write(
            "error: atheris is not installed, which finds inputs by the coverage they reach\n"
            "hint: pip install atheris; without it, pytest tests/test_fuzz.py tries inputs by chance\n"
        )
        return 2
    with atheris.instrument_imports(include=["art"]):
        from tests.fuzz.targets import TARGETS, attempt
    if not words or words[0] not in TARGETS:
        sys.stderr.write(f"usage: python -m tests.fuzz TARGET [-runs=N]: {', '.join(TARGETS)}\n")
        return 2
    name, *options = words
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            Path(folder, str(number)).write_bytes(seed)
        places = [] if any(not word.startswith("-") for word in options) else [folder]
        atheris.Setup(
            [sys.argv[0], *DEFAULTS, *options, *places], lambda data: attempt(name, data) and None
        )
        atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
