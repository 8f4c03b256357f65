"""`python -m art` is `art`. What starts slowly is imported where an interruption is still answered."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command line; return the exit code, also when interrupted while starting."""
    try:
        from art.cli import main
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted before anything was done\n")
        return 130
    return main()


if __name__ == "__main__":
    sys.exit(run())
