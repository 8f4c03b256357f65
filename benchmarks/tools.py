"""The tools that are compared, each driven through its command line as a user would drive it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import data

_MANY_FILES = 1000
_FOREIGN = ("ART_", "BORG_", "BUP_", "DVC_", "GIT_", "PYTHON", "RESTIC_", "XDG_")


class ToolError(Exception):
    """A tool did not do what it was asked to do; the message is its last line."""


def run(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> str:
    """Run a command to its end and return its standard output; a failure is a `ToolError`."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "no message"
        raise ToolError(f"{' '.join(words[:3])} … exited {done.returncode}: {reason}")
    return done.stdout.decode(errors="replace")


def discard(path: Path) -> None:
    """Take a tree away. Many files are only renamed, and go with the folder of the whole run: ext4 does
    not use the inode of a removed file for half a minute, and whoever makes a file then looks through
    all of these, which takes several times as long as making it."""
    if not path.exists():
        return
    if path.is_file():
        path.unlink()
        return
    if sum(len(files) for _, _, files in os.walk(path)) < _MANY_FILES:
        shutil.rmtree(path)
        return
    path.rename(path.with_name(f"{path.name}-discarded-{time.monotonic_ns()}"))


class Tool:
    """One tool with one repository of its own in the folder `place`, which versions `source`.

    `start` makes the repository, once; `create` then makes a version as often as wanted, `get`
    takes the newest out again. `source` may be a copy of the tool's own: change it through the
    attribute. What is timed is `create` and `get` alone.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version_option: ClassVar[str] = "--version"

    def __init__(self, binary: str, place: Path, source: Path) -> None:
        self.binary = binary
        self.place = place
        self.source = source
        self.output = place / "output"
        self.env = environment(place / "home")

    @property
    def repository(self) -> Path:
        return self.place / "repository"

    def start(self) -> None:
        (self.place / "home").mkdir(parents=True)

    def create(self) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        """Remove what `get` wrote, so that it can be timed again."""
        discard(self.output)

    def get(self) -> Path:
        """Take the newest version out and return where its copy of `source` now lies."""
        raise NotImplementedError

    def stored(self) -> int:
        return data.stored_bytes(self.repository)

    def call(self, *words: str | Path, cwd: Path | None = None) -> str:
        return run([self.binary, *words], cwd=cwd or self.source.parent, env=self.env)


class Art(Tool):
    name = "art"
    title = "art"

    @property
    def repository(self) -> Path:
        return self.place / "repository" / ".art"

    def start(self) -> None:
        super().start()
        self.call("init", self.repository.parent)

    def create(self) -> None:
        self.call("-C", self.repository.parent, "create", "data", self.source)

    def get(self) -> Path:
        self.call("-C", self.repository.parent, "get", "data", self.output)
        return self.output


class Copy(Tool):
    """A full copy for each version, and `sync -f`, which flushes the file system it lies on."""

    name = "cp"
    title = "cp -r + sync -f"
    copies = 0

    def start(self) -> None:
        super().start()
        self.repository.mkdir()

    def create(self) -> None:
        self.copies += 1
        target = self.repository / f"copy-{self.copies}"
        self.call("-r", self.source, target)
        run(["sync", "-f", target], cwd=self.place, env=self.env)


class Git(Tool):
    """`git add` and `git commit` of files outside the repository's folder; no background gc."""

    name = "git"
    title = "git"

    def start(self) -> None:
        super().start()
        self.call("init", "-q", "--bare", self.repository)
        for setting in ("core.bare=false", "gc.auto=0", "user.name=b", "user.email=b@example.org"):
            self._git("config", *setting.split("="))

    def create(self) -> None:
        self._git("add", "--", self.source.name)
        # Without it, git reports a commit that changes nothing as a failure.
        self._git("commit", "-q", "--allow-empty", "-m", "version")

    def get(self) -> Path:
        self.output.mkdir()
        tree = f"--work-tree={self.output}"
        self._git(tree, "checkout", "-q", "-f", "HEAD", "--", ".", cwd=self.output)
        return self.output / self.source.name

    def _git(self, *words: str, cwd: Path | None = None) -> None:
        self.call(
            f"--git-dir={self.repository}", f"--work-tree={self.source.parent}", *words, cwd=cwd
        )


class Restic(Tool):
    name = "restic"
    title = "restic"
    version_option = "version"

    def start(self) -> None:
        super().start()
        self.env["RESTIC_PASSWORD"] = "benchmark"
        self.env["RESTIC_REPOSITORY"] = str(self.repository)
        self.call("init")

    def create(self) -> None:
        self.call("backup", self.source.name)

    def get(self) -> Path:
        self.call("restore", "latest", "--target", self.output)
        return self.output / self.source.name


class Dvc(Tool):
    """DVC without git; it versions what lies in its own folder, so it gets a copy of the source."""

    name = "dvc"
    title = "DVC"

    @property
    def repository(self) -> Path:
        return self.place / "repository" / ".dvc" / "cache"

    def start(self) -> None:
        super().start()
        workspace = self.place / "repository"
        workspace.mkdir()
        self.source = _copied(self.source, workspace)
        self.env["DVC_NO_ANALYTICS"] = "1"
        self.env["DVC_SITE_CACHE_DIR"] = str(self.place / "site")
        self.call("init", "--no-scm", "-q")
        self.call("config", "core.analytics", "false")
        self.call("config", "core.check_update", "false")

    def create(self) -> None:
        self.call("add", self.source.name)

    def clear(self) -> None:
        discard(self.source)

    def get(self) -> Path:
        self.call("checkout")
        return self.source


class Borg(Tool):
    name = "borg"
    title = "borg"
    archives = 0

    def start(self) -> None:
        super().start()
        self.env["BORG_BASE_DIR"] = str(self.place / "home")
        self.call("init", "--encryption=none", self.repository)

    def create(self) -> None:
        self.archives += 1
        self.call("create", f"{self.repository}::version-{self.archives}", self.source.name)


class Bup(Tool):
    name = "bup"
    title = "bup"

    def start(self) -> None:
        super().start()
        self._bup("init")

    def create(self) -> None:
        self._bup("index", self.source.name)
        self._bup("save", "-q", "-n", "main", self.source.name)

    def _bup(self, *words: str) -> None:
        self.call("-d", self.repository, *words)


TOOLS: dict[str, type[Tool]] = {
    tool.name: tool for tool in (Art, Copy, Git, Restic, Dvc, Borg, Bup)
}


def find(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the tools that are here: name to program, `chosen` before what is on the PATH."""
    found = {name: shutil.which(chosen.get(name) or name) for name in TOOLS}
    return {name: str(Path(path).absolute()) for name, path in found.items() if path}


def version(tool: type[Tool], binary: str, scratch: Path) -> str:
    """Return what the tool says about its version, in one line."""
    scratch.mkdir(parents=True, exist_ok=True)
    words = [binary, tool.version_option]
    try:
        said = run(words, cwd=scratch, env=environment(scratch)).split("\n", 1)[0].strip()
    except ToolError as error:
        return f"version unknown: {error}"
    return said if tool.name in said.lower() else f"{tool.name} {said}"


def python_of(binary: str | None) -> str:
    """Return the interpreter beside an installed console script, else the one that runs this."""
    beside = Path(binary).resolve().parent / "python" if binary else None
    return str(beside) if beside and beside.exists() else sys.executable


def environment(home: Path) -> dict[str, str]:
    """Return the environment without anybody's settings: a home and caches below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return kept | places | {"GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}


def _copied(source: Path, folder: Path) -> Path:
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
    return target
