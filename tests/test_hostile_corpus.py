"""Every hostile repository of tests/data/hostile, looked at by every command that reads.

Each is refused in one line and with the exit code that its `NAME.expected.yaml` says, or harmless; with
little memory, without a file written where none may be, and without one deleted. What a file of
expectations does not name must end with 0. `python -m tests.data.hostile.record` writes these files.
`ART_TEST_FULL=1` runs every command, by default those that are to refuse a repository and each fourth of
the others run over it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Container, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from blake3 import blake3

import art
from art.cli import main
from art.document import encode
from art.repo import Repo
from tests.support_corpus import CORPUS, build

ROOT = Path(__file__).parent.parent
HANG_SECONDS = 300
ROOM = 256 << 20  # of memory, of which Python and the libraries take a third
ADDRESSES = 2 << 30  # of address space, where memory ends before the machine's does
NAMES = sorted(path.stem for path in CORPUS.glob("*.yaml") if not path.stem.endswith(".expected"))
CODES = range(13)
FINDINGS = ("doctor", "fsck", "fsck-data", "remote-fsck")  # they print what they find

# HERE is the folder of the sandbox, in which they are run. `repo` is the hostile repository, `remote` the same one bare, `friend`
# a good one with it as its remote. `out` is where things may be written, and what `out/link`, which the
# user names, leads to.
READING = {
    "ls": "-C repo ls --all",
    "log": "-C repo log k",
    "inspect": "-C repo inspect k",
    "inspect-raw": "-C repo inspect k@v1 --raw",
    "cat": "-C repo cat k@v1/a",
    "get": "-C repo get k HERE/out/get",
    "get-force": "-C repo get k HERE/out/full --force",
    "get-link": "-C repo get k HERE/out/link",
    "get-zip": "-C repo get k HERE/out/k.zip --zip",
    "diff": "-C repo diff k@v1 good@v1 --contents",
    "resolve": "-C repo resolve k",
    "status": "-C repo status",
    "du": "-C repo du",
    "config": "-C repo config list",
    "verify": "-C repo verify k HERE/out/full",
    "good": "-C repo cat good@v1/a",
    "doctor": "-C repo doctor",
    "fsck": "-C repo fsck",
    "fsck-data": "-C repo fsck --data",
    "export": "-C repo export --all HERE/out/all.tar",
    "clone": "clone repo HERE/out/clone --all",
    "remote-ls": "-C friend ls --remote origin",
    "remote-get": "-C friend get k HERE/out/remote-get --remote origin",
    "fetch": "-C friend fetch",
    "pull": "-C friend pull --all",
    "remote-fsck": "-C friend fsck --data --remote origin",
    "remote-gc-plan": "-C friend gc --remote origin --dry-run",
    "remote-gc": "-C friend gc --remote origin --yes",
    "prune-plan": "-C repo prune --keep-last 1 --dry-run",
    "gc-plan": "-C repo gc --dry-run",
    "gc": "-C repo gc --yes",
}
IMPORTING = {
    "import": "-C friend import HERE/archive",
    "ls": "-C friend ls --all",
    "fsck-data": "-C friend fsck --data",
    "get": "-C friend get k HERE/out/get",
}
FIRST = {"ls", "import"}  # they find what the others know then
# Of a repository's folder, what a command may change where it only reads.
OWN = ("index.sqlite", "tmp", "locks", "sync", ".gitignore", "gc")


@dataclass(frozen=True)
class Outcome:
    """What a command came to. `memory` is in bytes, at its highest."""

    code: int
    out: str
    err: str
    memory: int
    changed: list[str]


class Cases:
    """Runs cases, each in a process forked from one that has imported everything."""

    def __init__(self) -> None:
        environment = {**os.environ, "ART_JOBS": "2", "MALLOC_ARENA_MAX": "2"}
        words = [sys.executable, "-m", "tests.test_hostile_corpus"]
        self._process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def outcomes(self, name: str, folder: Path, commands: Container[str]) -> dict[str, Outcome]:
        """Run commands over a case in an empty folder."""
        assert self._process.stdin
        assert self._process.stdout
        chosen = [command for command in (*READING, *IMPORTING) if command in commands]
        self._process.stdin.write(json.dumps([name, str(folder), chosen]) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        assert isinstance(found, dict), f"{name} ended with {found}"
        return {key: Outcome(**fields) for key, fields in found.items()}

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def cases() -> Iterator[Cases]:
    made = Cases()
    yield made
    made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and measures memory as Linux does")
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_repository_is_refused_or_harmless(
    name: str, cases: Cases, tmp_path: Path
) -> None:
    expected = yaml.safe_load((CORPUS / f"{name}.expected.yaml").read_text())
    outcomes = cases.outcomes(name, tmp_path, _chosen(NAMES.index(name), expected))
    for command, outcome in outcomes.items():
        _check(command, outcome)
    assert not list(tmp_path.glob("art-error-*")), "a report of an unexpected error was written"
    found = refusals(outcomes, tmp_path)
    for command in expected.keys() | found.keys():
        assert found.get(command) == expected.get(command), f"{command}: {outcomes[command]}"


def _chosen(turn: int, expected: Collection[str]) -> set[str]:
    """Return the commands to run over a case: in four cases that follow each other, all."""
    commands = [*READING, *IMPORTING]
    if "ART_TEST_FULL" in os.environ:
        return set(commands)
    some = {command for at, command in enumerate(commands) if at % 4 == turn % 4} | set(expected)
    return some | FIRST | ({"get-force"} if "verify" in some else set())


def _check(command: str, outcome: Outcome) -> None:
    """Assert what holds of every command, whatever the repository."""
    said = f"{command}: {outcome}"
    assert outcome.code in CODES, said
    assert "Traceback" not in outcome.err, said
    assert "defect of art" not in outcome.err, said
    assert outcome.memory < ROOM, said
    assert outcome.changed == [], said
    shown = outcome.err + ("" if command == "cat" else outcome.out)
    assert all(character >= " " or character in "\n\t" for character in shown), said
    if outcome.code > 1 and outcome.err:
        lines = outcome.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1 or (outcome.out and command in FINDINGS), said
        assert not errors or lines[-1].startswith(("hint: ", "error: ")), said
        assert all(len(line) < 2_000 for line in lines), said


def refusals(outcomes: dict[str, Outcome], folder: Path) -> dict[str, Any]:
    """Return exit code and error of the commands that did not end well."""
    found = {}
    for command, outcome in outcomes.items():
        if outcome.code:
            errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
            message = errors[0].removeprefix("error: ") if errors else ""
            message = message.replace(str(folder / "sandbox"), "…")
            found[command] = {"code": outcome.code, "says": message}
    return found


def test_the_corpus_is_what_its_script_writes() -> None:
    from tests.data.hostile import archives
    from tests.data.hostile.repositories import CASES, files_of

    if "archive-right" not in CASES:
        archives.register()
    assert sorted(CASES) == NAMES
    for name, (about, _) in CASES.items():
        case = yaml.load((CORPUS / f"{name}.yaml").read_text(), Loader=yaml.CSafeLoader)
        assert case == {"about": about, "files": files_of(name)}, name
        assert f"- `{name}`: {about}\n" in (CORPUS / "README.md").read_text()


# -- in a process of its own -----------------------------------------------------------------------


def _import_all() -> None:
    """Import what commands import when they need it, once for all of them."""
    for module in pkgutil.walk_packages(art.__path__, "art."):
        if not module.name.startswith(("art.remote.", "art.__main__")):
            importlib.import_module(module.name)


def run_all(name: str, sandbox: Path, commands: Container[str]) -> Iterator[tuple[str, Outcome]]:
    """Make the case in a folder, and run those of these commands that are for it there, each in a process
    forked from this one."""
    case = yaml.load((CORPUS / f"{name}.yaml").read_text(), Loader=yaml.CSafeLoader)
    is_archive = "archive" in case["files"]
    _furnish(sandbox, case["files"], is_archive=is_archive)
    os.chdir(sandbox)
    before = _look(sandbox)
    for command, words in (IMPORTING if is_archive else READING).items():
        if command not in commands:
            continue
        code, out, err, memory = _forked(words.replace("HERE", str(sandbox)).split())
        after = _look(sandbox)
        changed = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        yield command, Outcome(code, out, err, memory, sorted(changed))
        before = after


def _furnish(sandbox: Path, files: dict[str, Any], *, is_archive: bool) -> None:
    (sandbox / "outside").mkdir(parents=True)
    (sandbox / "outside/secret").write_bytes(b"untouched")
    (sandbox / "outside/target").mkdir()
    (sandbox / "out/full").mkdir(parents=True)
    (sandbox / "out/full/a").write_bytes(b"was here")
    (sandbox / "out/link").symlink_to("../outside/target")
    (sandbox / "out/full/sub").symlink_to("../../outside")
    art.init(sandbox / "friend").close()
    if is_archive:
        build(files, sandbox)
        return
    build(files, sandbox / "repo")
    build({name.removeprefix(".art/"): spec for name, spec in files.items()}, sandbox / "remote")
    path = sandbox / "remote/format.yaml"
    if path.is_file() and path.stat().st_size < 1 << 20:
        fields = yaml.safe_load(path.read_bytes())
        del fields["check"]
        path.write_bytes(encode({**fields, "bare": True}))
    with Repo(sandbox / "friend") as friend:
        remotes = {"origin": {"url": str(sandbox / "remote"), "single_writer": True}}
        friend.config.change(lambda _: {"remotes": remotes, "authority": "origin"})


def _look(sandbox: Path) -> dict[str, str]:
    """Return a digest of everything that no command may change, by name."""
    found = {}
    for place, folders, names in os.walk(sandbox):
        here = Path(place).relative_to(sandbox)
        folders[:] = [name for name in folders if not _may_change(here / name)]
        for name in [*names, *folders]:
            path = Path(place, name)
            if not _may_change(here / name):
                found[(here / name).as_posix()] = _digest(path)
    return found


def _may_change(name: Path) -> bool:
    parts = name.parts
    if parts[0] == "out" or parts[:2] == ("outside", "target") or parts[:2] == ("friend", ".art"):
        return not (parts[0] == "friend" and parts[2:3] and parts[2] in ("hooks", "config.yaml"))
    depth = {"repo": 2, "remote": 1}.get(parts[0], 99)
    return len(parts) > depth and parts[depth].startswith(OWN)


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link {os.readlink(path)}"
    if not path.is_file():
        return "folder" if path.is_dir() else "other"
    found = path.stat()
    if found.st_size > 1 << 30:
        return f"large {found.st_size} {found.st_mtime_ns}"
    return f"{found.st_mode:o} {blake3(path.read_bytes()).hexdigest()}"


def _forked(words: list[str]) -> tuple[int, str, str, int]:
    """Run `art` in a forked process; return exit code, what it printed, and how much memory it took."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            for file, number in ((out, 1), (err, 2)):
                os.dup2(file.fileno(), number)
            os._exit(_in_child(words))
        _, status, usage = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1 << 20).decode("utf-8", "replace"))
        return code, texts[0], texts[1], usage.ru_maxrss * 1024


def _in_child(words: list[str]) -> int:
    # What a hang is, is for who started all this to say; a signal shows where it was.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(HANG_SECONDS // 3)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    try:
        return main(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _serve() -> None:
    """For each line with a case and a folder, print the outcomes, or how the process ended."""
    gc.disable()
    _import_all()
    for line in sys.stdin:
        name, folder, commands = json.loads(line)
        child = os.fork()
        if not child:
            tempfile.tempdir = os.environ["TMPDIR"] = folder
            sandbox = Path(folder) / "sandbox"
            found = {key: asdict(each) for key, each in run_all(name, sandbox, commands)}
            _answer(found)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            _answer(os.waitstatus_to_exitcode(status))


def _answer(found: object) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
