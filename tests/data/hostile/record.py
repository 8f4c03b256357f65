"""Writes what commands come to over cases of the corpus: `python -m tests.data.hostile.record NAME...`.

It is how things are, not how they should be: for what is new, and read before it is committed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support_corpus import CORPUS, dump
from tests.test_hostile_corpus import IMPORTING, NAMES, READING, Cases, refusals

if __name__ == "__main__":
    cases = Cases()
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            commands = {*READING, *IMPORTING}
            found = refusals(cases.outcomes(name, Path(folder), commands), Path(folder))
            (CORPUS / f"{name}.expected.yaml").write_text(dump(found))
    cases.close()
