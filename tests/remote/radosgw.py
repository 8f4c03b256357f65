"""A Ceph of one machine, with its gateway of S3, on 127.0.0.1 and in memory.

As a program, `python3 -m tests.remote.radosgw`, it says where it is reached and with what keys, and
runs until it is ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.remote.processes import free_port, running

PACKAGES = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"
_PROGRAMS = (
    "radosgw",
    "radosgw-admin",
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
)
# Whoever is named in the keyring from which the monitor is made may do everything.
_ACTORS = ("mon.", "client.admin", "osd.0")
_COMMAND_SECONDS = 60
# Nothing from outside: what would be added to every command line, and where settings would be.
_ENVIRONMENT = {"CEPH_ARGS": "", "CEPH_CONF": ""}

# The gateway makes its pools one after the other, and the monitor would wait before each for more to
# decide on. Sockets and logs are not made where they have no name: that of a socket may be too long.
_SETTINGS = """\
[global]
fsid = {fsid}
mon host = {monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
mon data = {folder}/mon/data
osd data = {folder}/osd/data
osd objectstore = memstore
memstore device bytes = 8589934592
osd pool default size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
paxos propose interval = 0.05
mon data avail crit = 0
admin socket =
log file =
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


@dataclass(frozen=True)
class Gateway:
    """Where the gateway listens, and its process."""

    port: int
    process: int


@contextlib.contextmanager
def serve_ceph(folder: Path, access_key: str, secret_key: str) -> Iterator[Gateway]:
    """Run monitor, store and gateway, all below an empty folder, with one user who has these keys."""
    _require()
    cluster = _Cluster(folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(cluster.monitor())
        stack.enter_context(cluster.store())
        process = stack.enter_context(cluster.gateway())
        keys = ["--access-key", access_key, "--secret-key", secret_key]
        cluster.run("radosgw-admin", "user", "create", "--uid=art", "--display-name=art", *keys)
        yield Gateway(cluster.port, process.pid)


def _require() -> None:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not installed: {PACKAGES}")


class _Cluster:
    """The parts of a Ceph, each of which runs in a folder named after it."""

    def __init__(self, folder: Path) -> None:
        self.port, self._monitor_port = free_port(), free_port()
        self._folder = folder
        self._fsid = str(uuid.uuid4())
        self._monitor = f"[v2:127.0.0.1:{self._monitor_port}]"
        for part in ("mon/data", "osd/data", "rgw"):
            (folder / part).mkdir(parents=True)
        settings = _SETTINGS.format(
            fsid=self._fsid, monitor=self._monitor, folder=folder, port=self.port
        )
        (folder / "ceph.conf").write_text(settings)

    def monitor(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        self._make_keys()
        map, keyring = str(self._folder / "map"), str(self._folder / "keyring")
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", self._monitor, map)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", map, "--keyring", keyring)
        return self._running("mon", ["ceph-mon", "-i", "a"], self._monitor_port)

    def _make_keys(self) -> None:
        everything = [word for part in ("mon", "osd") for word in ("--cap", part, "allow *")]
        for actor in _ACTORS:
            keyring = ["--create-keyring"] if actor == _ACTORS[0] else []
            keyring += [str(self._folder / "keyring"), "--gen-key", "-n", actor]
            self._run("ceph-authtool", *keyring, *everything)

    def store(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        name = str(uuid.uuid4())
        self.run("ceph", "osd", "new", name)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", name)
        return self._running("osd", ["ceph-osd", "-i", "0"], None)

    def gateway(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        return self._running("rgw", ["radosgw", "-n", "client.admin"], self.port)

    def run(self, program: str, *words: str) -> None:
        """Run a command of Ceph to its end, with the settings of this one."""
        self._run(program, "-c", str(self._folder / "ceph.conf"), *words)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr[-2000:]}")

    def _running(
        self, part: str, command: list[str], port: int | None
    ) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        words = [*command, "-f", "-c", str(self._folder / "ceph.conf")]
        return running(words, port, self._folder / part, _ENVIRONMENT)


def main() -> None:
    # Whether it is interrupted or terminated: everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    keys = ("artaccesskey", "artsecretkey")
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="art-ceph-") as folder,
        serve_ceph(Path(folder), *keys) as gateway,
    ):
        said = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gateway.port}",
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        lines = [f"export {name}={value}" for name, value in said.items()]
        sys.stdout.write("\n".join([*lines, f"# to end it: kill {os.getpid()}", ""]))
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
