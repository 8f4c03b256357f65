"""`art demo`: the main job from beginning to end, on real files in a temporary folder."""

import filecmp
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from art.cli.common import Output, option, shared
from art.errors import ArtError

_REGIONS = ("north", "south", "east", "west")
_PRODUCTS = ("apples", "bread", "coffee", "dates", "eggs")
_ROWS = 20_000


@shared
def command(
    output: Output,
    keep: Annotated[bool, option("--keep", help="The folder stays")] = False,
) -> None:
    """Run the main job in a temporary folder and show what happens

    Makes a repository and files, versions, changes, compares, tags, takes out, verifies, pushes,
    clones, deletes and restores them. Every command line that is shown is run.

    \b
    Examples:
      art demo
      art demo --keep
    """
    folder = Path(tempfile.mkdtemp(prefix="art-demo-"))
    try:
        steps = _Demo(output, folder).run()
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    what = f"kept in {folder}" if keep else f"{folder} is removed again; --keep keeps it"
    document = {"folder": str(folder), "kept": keep, "steps": steps, "verified": True}
    output.show(f"\nAll of it was real: {what}", document)


class _Demo:
    """Runs command lines in a folder and shows them with their output."""

    def __init__(self, output: Output, folder: Path) -> None:
        self._output = output
        self._folder = folder
        self._steps: list[dict[str, object]] = []

    def run(self) -> list[dict[str, object]]:
        """Run the demo; return what was run. Raise ArtError where anything is not as promised."""
        self._tell(f"A folder with {_ROWS:,} rows of sales, notes and a report, in {self._folder}")
        _write_files(self._folder)
        self._publish()
        self._look()
        self._take_out()
        self._share()
        self._undo()
        return self._steps

    def _publish(self) -> None:
        self._tell("Make a repository and a first version. Nothing to install or start beside it.")
        self._art("init")
        self._art("create", "sales/data", "data", "-m", "First delivery", "-M", f"rows:={_ROWS}")
        self._tell("The same again is the same version: safe to repeat in a job.")
        self._art("create", "sales/data", "data", "-m", "First delivery", "-M", f"rows:={_ROWS}")
        self._tell("Correct one price, add a note. Only what is new is stored.")
        _change_files(self._folder)
        self._art("create", "sales/data", "data", "-m", "Price corrected", "-M", f"rows:={_ROWS}")
        self._tell("A report that says what it was made from, and a table.")
        self._art("create", "sales/report", "--markdown", "report.md", "--input", "sales/data@v2")
        self._art("create", "sales/totals", "--table", "totals.csv", "-l", "weekly")

    def _look(self) -> None:
        self._tell("What is there, what happened, what changed.")
        self._art("ls")
        self._art("log", "sales/data")
        self._art("diff", "sales/data@v1", "@v2", "--contents")
        self._art("inspect", "sales/report")

    def _take_out(self) -> None:
        self._tell("Give the good version a name, and take it out by that name.")
        self._art("tag", "set", "sales/data@v2", "prod", "-m", "checked")
        self._art("get", "sales/data@prod", "out")
        self._verify("data", "out")
        self._art("get", "sales/data@v1/notes", "old-notes")

    def _share(self) -> None:
        self._tell("Push to a shared folder, which could be a bucket, and clone what is there.")
        self._art("remote", "add", "origin", "shared")
        self._art("push")
        self._art("clone", "shared", "colleague")
        self._tell("A clone has the history; bytes come when they are needed, and are verified.")
        self._art("-C", "colleague", "get", "sales/data@prod", "theirs")
        self._verify("data", "colleague/theirs")

    def _undo(self) -> None:
        self._tell("What has a tag is not deleted by accident, and what is deleted comes back.")
        self._art("delete", "sales/data@prod", expected=5)
        self._art("delete", "sales/data@v1")
        self._art("get", "sales/data@v1", "old", expected=4)
        self._art("restore", "sales/data@v1")
        self._art("get", "sales/data@v1", "old")
        self._art("status")

    def _verify(self, left: str, right: str) -> None:
        """Compare two folders byte by byte, without art."""
        files = [_files_below(self._folder / name) for name in (left, right)]
        _, different, failed = filecmp.cmpfiles(
            self._folder / left, self._folder / right, files[0], shallow=False
        )
        if files[0] != files[1] or different or failed:
            raise ArtError(f"{left} and {right} differ: {sorted(different + failed)}")
        self._tell(
            f"Compared without art: all {len(files[0])} files in {left} and {right} are equal."
        )

    def _tell(self, text: str) -> None:
        if not self._output.is_json:
            print(f"\n# {text}", flush=True)

    def _art(self, *words: str, expected: int = 0) -> None:
        """Run a command line, show it and what it said; raise ArtError for another exit code."""
        line = shlex.join(["art", *words])
        done = subprocess.run(
            [sys.executable, "-m", "art", *words],
            cwd=self._folder,
            env=_clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._steps.append({"command": line, "exit_code": done.returncode, "output": done.stdout})
        if not self._output.is_json:
            print(f"$ {line}\n{done.stdout.rstrip()}", flush=True)
        if done.returncode != expected:
            raise ArtError(f"`{line}` ended with {done.returncode}, expected {expected}")


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings of art, which would change the demo."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ART_")}
    return {**kept, "PYTHONIOENCODING": "utf-8"}


def _files_below(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _write_files(folder: Path) -> None:
    """Write the same files in every run."""
    chance = random.Random(7)
    rows = ["day,region,product,price"]
    for day in range(_ROWS):
        region, product = chance.choice(_REGIONS), chance.choice(_PRODUCTS)
        rows.append(f"{day},{region},{product},{chance.randint(100, 9999) / 100:.2f}")
    (folder / "data" / "notes").mkdir(parents=True)
    (folder / "data" / "sales.csv").write_text("\n".join(rows) + "\n")
    (folder / "data" / "README.txt").write_text("Sales by day.\nPrices in euro.\n")
    for region in _REGIONS:
        (folder / "data" / "notes" / f"{region}.txt").write_text(f"Nothing new in the {region}.\n")
    (folder / "report.md").write_text("# Sales\n\nThe **north** leads, see `totals.csv`.\n")
    totals = [f"{region},{chance.randint(1000, 9999)}" for region in _REGIONS]
    (folder / "totals.csv").write_text("\n".join(["region,total", *totals]) + "\n")


def _change_files(folder: Path) -> None:
    sales = folder / "data" / "sales.csv"
    rows = sales.read_text().splitlines()
    day, region, product, _ = rows[_ROWS // 2].split(",")
    rows[_ROWS // 2] = f"{day},{region},{product},12.34"
    sales.write_text("\n".join(rows) + "\n")
    (folder / "data" / "notes" / "north.txt").write_text("New: a shop in the north.\n")
