"""Writes the corpus anew, the same bytes each time: `python -m tests.data.hostile.make`.

What a case is made of is in `NAME.yaml`; what must happen with it is in `NAME.expected.yaml`, which this
leaves alone: tests/test_hostile_corpus.py says how that is written.
"""

from __future__ import annotations

from tests.data.hostile import archives
from tests.data.hostile.repositories import CASES, files_of
from tests.support_corpus import CORPUS, dump

_MARK = "<!-- cases -->"


def main() -> None:
    archives.register()
    for name, (about, _) in CASES.items():
        (CORPUS / f"{name}.yaml").write_text(dump({"about": about, "files": files_of(name)}))
    for path in CORPUS.glob("*.yaml"):
        if path.name.partition(".")[0] not in CASES:
            path.unlink()
    introduction = (CORPUS / "README.md").read_text().partition(_MARK)[0]
    rows = [f"- `{name}`: {about}\n" for name, (about, _) in sorted(CASES.items())]
    (CORPUS / "README.md").write_text(f"{introduction}{_MARK}\n\n{''.join(rows)}")


if __name__ == "__main__":
    main()
