"""Remotes: the place that a URL names, as a backend.

Importing this imports no library of a cloud; `open_backend` imports the one that the URL needs.
"""

from __future__ import annotations

from collections.abc import Mapping

from art.backend import Backend, LocalBackend
from art.errors import UsageError
from art.remote.options import Options
from art.remote.url import Address, check_url, is_remote, local_path, parse, redact

__all__ = ["check_url", "is_remote", "open_backend", "redact"]

_EXTRAS = {"s3": "s3", "gs": "gcs", "abfs": "azure", "sftp": "sftp"}
_LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "sftp": "paramiko"}


def open_backend(
    url: str, options: Mapping[str, str] | None = None, *, single_writer: bool = False
) -> Backend:
    """Return the backend of a folder, a `file://` URL or the URL of a remote. Nothing is asked yet.

    | URL | options |
    |---|---|
    | `s3://bucket/folder` | `endpoint_url`, `profile`, `region`, `anon`, `addressing_style`, `timeout` |
    | `gs://bucket/folder` | `endpoint_url`, `project`, `anon`, `timeout` |
    | `abfs://container@account/folder`, `az://container/folder` | `account`, `anon`, `timeout` |
    | `sftp://user@host:port/path`, `sftp://host/~/path` | `key_file`, `known_hosts`, `timeout` |
    | `memory://name` | none |
    | any other of fsspec | what fsspec knows |

    `timeout` is how many seconds a server may be silent, `anon` asks without credentials. Credentials
    come from each cloud's own chain, never from here.

    A remote that cannot tell which of two writers was first must be probed (`art.remote.probe`) and
    refused, or be opened with `single_writer`, where a look before each write stands for that.

    Raise UsageError for a URL or an option that is not possible, or a library that is missing.
    """
    given = dict(options or {})
    if not is_remote(url):
        Options(given, (), "a folder")
        return LocalBackend(local_path(url))
    address = parse(url)
    _require_library(address)
    return _open(address, given, single_writer=single_writer)


def _open(address: Address, given: Mapping[str, str], *, single_writer: bool) -> Backend:
    if address.scheme == "s3":
        from art.remote.s3 import S3

        return S3(address, given, single_writer=single_writer)
    if address.scheme == "gs":
        from art.remote.gcs import GCS

        return GCS(address, given, single_writer=single_writer)
    if address.scheme == "abfs":
        from art.remote.azure import Azure

        return Azure(address, given, single_writer=single_writer)
    if address.scheme == "sftp":
        from art.remote.sftp import SFTP

        return SFTP(address, given, single_writer=single_writer)
    if address.scheme == "memory":
        from art.remote.memory import Memory

        return Memory(address, given, single_writer=single_writer)
    from art.remote.other import Other

    return Other(address, given, single_writer=single_writer)


def _require_library(address: Address) -> None:
    from importlib.util import find_spec

    library = _LIBRARIES.get(address.scheme)
    if library and find_spec(library) is None:
        raise UsageError(
            f"{address.scheme}:// needs {library}, which is not installed",
            hint=f"pip install 'art-vcs[{_EXTRAS[address.scheme]}]'",
        )
