"""Whatever stops a command, what was acknowledged before it stays, and the next command works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from art import packer
from art.errors import StorageError
from tests.support_faults import Death, Fault, failing, temporary_files
from tests.support_processes import lines_of
from tests.support_state import COMMANDS, Command, check_recovery, make_template, states_around

FAULTS = [("full", False), ("full", True), ("eio", False), ("eio", True)]
FAULTS += [("death", False), ("death", True), ("lost", True)]


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make packs so small that a command writes several."""
    monkeypatch.setattr(packer, "PACK_SIZE", 64 << 10)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a repository in which a bit of everything is, and files to add."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packer, "PACK_SIZE", 64 << 10)
        return make_template(tmp_path_factory.mktemp("template"))


@pytest.mark.parametrize(("kind", "is_late"), FAULTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_failing_command_loses_nothing_and_can_be_repeated(
    name: str,
    kind: str,
    is_late: bool,
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = COMMANDS[name]
    before, after = states_around(command, template, tmp_path / "whole")
    for at in range(1, 1000):
        root = tmp_path / f"at-{at}"
        shutil.copytree(template, root, symlinks=True)
        fault = Fault(at, kind, is_late)
        failure = _run(command, root, fault, monkeypatch)
        where = f"{name}, {kind} at step {at} of {fault.steps}"
        if not fault.has_fired:
            assert failure is None, where
            assert len(fault.steps) >= 3, f"{where}: nothing was written at all"
            return
        # What fails may be something that it can do without; then all of it must be done.
        check_recovery(command, root, before if failure or kind == "lost" else after, after, where)
        shutil.rmtree(root)
    raise AssertionError("it never passed")


def _run(
    command: Command, root: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> BaseException | None:
    with failing(monkeypatch, root, fault) as repo:
        try:
            command(repo, root / "data")
        except (StorageError, Death) as error:
            if isinstance(error, StorageError):
                assert temporary_files(root) == [], f"{fault.steps}: temporary files stay behind"
            return error
    return None


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "name", ["create the next version", "create with a tag", "move", "make a progress"]
)
def test_a_command_killed_at_any_call_loses_nothing_and_can_be_repeated(
    name: str, when: str, template: Path, tmp_path: Path
) -> None:
    before, after = states_around(COMMANDS[name], template, tmp_path / "whole")
    kills = [line.split() for line in lines_of("support_killer", template, tmp_path, name, when)]
    assert kills[-1][1] == "done"
    # Threads take turns as they like, so no single kind of call is sure to be hit, but most are.
    calls = {"fsync", "link", "write", "sql", "unlink"}
    assert len(calls & {call for _, call in kills}) >= len(calls) - 1
    for number, call in kills[:-1]:
        root = tmp_path / number
        check_recovery(COMMANDS[name], root, before, after, f"{name}, killed {when} {call}")
