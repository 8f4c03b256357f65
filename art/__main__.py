"""`python -m art` is `art`."""

from __future__ import annotations

import sys

from art.cli import main

if __name__ == "__main__":
    sys.exit(main())
