"""The tools that `remote.py` compares, each with a place of its own at an S3 server or in a folder."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import Art, Dvc, Restic, Tool, ToolError, discard

_KEYS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
_REGION = "us-east-1"


@dataclass(frozen=True)
class Place:
    """Where a tool pushes to: a prefix in a bucket or, where there is no endpoint, a folder."""

    endpoint: str | None
    path: str

    @property
    def url(self) -> str:
        return f"s3://{self.path}" if self.endpoint else self.path


class RemoteTool(Tool):
    """A tool that brings `source` to a place elsewhere, and out of it again.

    `create` does what the tool does before it can push, if anything; `push` brings all that is new;
    `fresh` forgets all but what is there, as on another machine; `pull` takes the newest out, by a
    fresh clone where the tool has such. `peak` is the largest peak memory of any command in bytes,
    `cpu_seconds` what all of them took.
    """

    peak = 0
    cpu_seconds = 0.0

    def __init__(self, binary: str, place: Path, source: Path, there: Place) -> None:
        super().__init__(binary, place, source)
        self.there = there
        self.env |= surroundings(there.endpoint)

    def create(self) -> None:
        pass

    def push(self) -> None:
        raise NotImplementedError

    def fresh(self) -> None:
        discard(self.output)

    def pull(self) -> Path:
        raise NotImplementedError

    def call(self, *words: str | Path, cwd: Path | None = None) -> str:
        where = cwd or self.source.parent
        said, usage = measured([self.binary, *words], cwd=where, env=self.env)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        return said


class RemoteArt(RemoteTool, Art):
    """Push with `art push`; pull with `art clone` and `art get`."""

    def start(self) -> None:
        super().start()
        self.call("-C", self.repository.parent, "remote", "add", "origin", self.there.url)

    def create(self) -> None:
        Art.create(self)

    def push(self) -> None:
        self.call("-C", self.repository.parent, "push")

    def fresh(self) -> None:
        super().fresh()
        discard(self._clone)

    def pull(self) -> Path:
        self.call("clone", self.there.url, self._clone)
        self.call("-C", self._clone, "get", "data", self.output)
        return self.output

    @property
    def _clone(self) -> Path:
        return self.place / "clone"


class RemoteRestic(RemoteTool, Restic):
    """Push with `restic backup`, which reads and packs as well; pull with `restic restore`."""

    def start(self) -> None:
        RemoteTool.start(self)
        self.env["RESTIC_PASSWORD"] = "benchmark"
        where = self.there
        self.env["RESTIC_REPOSITORY"] = f"s3:{where.endpoint}/{where.path}"
        self.call("init")

    def create(self) -> None:
        pass

    def push(self) -> None:
        self.call("backup", self.source.name)

    def fresh(self) -> None:
        super().fresh()
        discard(self.place / "home" / "cache")

    def pull(self) -> Path:
        return Restic.get(self)


class RemoteDvc(RemoteTool, Dvc):
    """Push with `dvc push` after `dvc add`; pull with `dvc pull` in a project that has no cache."""

    def start(self) -> None:
        Dvc.start(self)
        self.call("remote", "add", "-d", "origin", self.there.url)
        if self.there.endpoint:
            self.call("remote", "modify", "origin", "endpointurl", self.there.endpoint)

    def create(self) -> None:
        Dvc.create(self)

    def push(self) -> None:
        self.call("push")

    def fresh(self) -> None:
        discard(self._clone)
        discard(self.place / "site")
        (self._clone / ".dvc").mkdir(parents=True)
        old = self.repository.parent
        shutil.copy(old / "config", self._clone / ".dvc")
        shutil.copy(old.parent / f"{self.source.name}.dvc", self._clone)

    def pull(self) -> Path:
        self.call("pull", cwd=self._clone)
        return self._clone / self.source.name

    @property
    def _clone(self) -> Path:
        return self.place / "clone"


class Rclone(RemoteTool):
    """`rclone copy`, which leaves alone what has the same size and time."""

    name = "rclone"
    title = "rclone"

    def start(self) -> None:
        super().start()
        settings = {"PROVIDER": "Other", "ENV_AUTH": "true", "NO_CHECK_BUCKET": "true"}
        settings["ENDPOINT"] = str(self.there.endpoint)
        self.env |= {f"RCLONE_S3_{name}": value for name, value in settings.items()}
        self.env["RCLONE_CONFIG"] = os.devnull

    def push(self) -> None:
        self.call("copy", self.source, f":s3:{self.there.path}")

    def pull(self) -> Path:
        self.call("copy", f":s3:{self.there.path}", self.output)
        return self.output


class S5cmd(RemoteTool):
    """`s5cmd sync` of a folder, which compares with what is there; `s5cmd cp` of a file."""

    name = "s5cmd"
    title = "s5cmd"
    version_option = "version"

    def push(self) -> None:
        if self.source.is_dir():
            self.call("sync", f"{self.source}/", f"{self.there.url}/")
        else:
            self.call("cp", self.source, f"{self.there.url}/{self.source.name}")

    def pull(self) -> Path:
        self.call("cp", f"{self.there.url}/*", f"{self.output}/")
        return self.output


class RemoteCopy(RemoteTool):
    """`cp -r` into a folder and `sync -f`."""

    name = "cp"
    title = "cp -r + sync -f"

    def push(self) -> None:
        self.call("-r", self.source, self.there.path)
        measured(["sync", "-f", self.there.path], cwd=self.place, env=self.env)


REMOTE_TOOLS: dict[str, type[RemoteTool]] = {
    tool.name: tool for tool in (RemoteArt, RemoteRestic, RemoteDvc, Rclone, S5cmd, RemoteCopy)
}


def find(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the tools that are here: name to program, `chosen` before what is on the PATH."""
    found = {name: shutil.which(chosen.get(name) or name) for name in REMOTE_TOOLS}
    return {name: str(Path(path).absolute()) for name, path in found.items() if path}


def surroundings(endpoint: str | None) -> dict[str, str]:
    """Return the environment in which all clients of S3 find the server and the credentials."""
    if endpoint is None:
        return {}
    keys = {name: os.environ.get(name, value) for name, value in _KEYS.items()}
    region = os.environ.get("AWS_DEFAULT_REGION", _REGION)
    urls = {"AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint}
    return keys | urls | {"AWS_DEFAULT_REGION": region, "AWS_EC2_METADATA_DISABLED": "true"}


def measured(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]
) -> tuple[str, resource.struct_rusage]:
    """Run a command to its end; return what it said and what it used."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        last = (said.strip().splitlines() or ["no message"])[-1]
        raise ToolError(f"{' '.join(words[:3])} … exited {process.returncode}: {last}")
    return said, usage
