"""Folders of other machines over SFTP.

A name is given once by a plain SFTP rename, which servers that follow the protocol refuse where the
target exists. Not every server does: the probe finds out.
"""

from __future__ import annotations

import contextlib
import os
import queue
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from art.backend import Item
from art.remote.base import Page, Remote, silence
from art.remote.failures import Advice, BrokenAnswerError, TakenError
from art.remote.options import Options
from art.remote.url import Address

OPTIONS = ("key_file", "known_hosts", "timeout")
_CONNECT_SECONDS = 5
_BLOCK = 1 << 20
_READ_AHEAD = 64


class UnknownHostError(Exception):
    """The server's key is not among those that this machine knows."""


@dataclass(frozen=True)
class _Connection:
    """A client and what would close it on being forgotten."""

    ssh: Any
    files: Any


class SFTP(Remote):
    """A folder on a machine. Each request has a connection for itself, kept for later ones."""

    def __init__(self, address: Address, given: Mapping[str, str], *, single_writer: bool) -> None:
        options = Options(given, OPTIONS, "sftp://")
        machine = f"{address.user}@{address.host}" if address.user else address.host
        port = f" -p {address.port}" if address.port else ""
        advice = Advice(
            f"folder {address.path}",
            f"ssh-add, then: ssh{port} {machine}",
            f"look at what you may do there: ssh{port} {machine}",
        )
        super().__init__(
            str(address), address.path.removeprefix("/~/"), advice, single_writer=single_writer
        )
        self._address = address
        self._key_file = options.text("key_file")
        self._known_hosts = options.text("known_hosts")
        self._timeout = options.seconds("timeout", 60)
        self._idle: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._made: set[str] = set()

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().ssh.close()

    # -- connections ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        """Give a client to one thread: they do not work in two. One that failed is not used again."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        is_usable = False
        try:
            yield connection.files
            is_usable = True
        except (FileNotFoundError, PermissionError, TakenError):
            is_usable = True  # that was the server's answer
            raise
        finally:
            if is_usable:
                self._idle.put(connection)
            else:
                connection.ssh.close()

    def _connect(self) -> _Connection:
        from paramiko import SSHClient

        silence("paramiko")
        settings = self._settings()
        ssh = SSHClient()
        if self._known_hosts:
            ssh.load_host_keys(self._known_hosts)
        else:
            ssh.load_system_host_keys()
        ssh.set_missing_host_key_policy(_refuse_unknown())
        seconds = min(_CONNECT_SECONDS, self._timeout)
        try:
            ssh.connect(
                **settings, timeout=seconds, banner_timeout=seconds, auth_timeout=2 * seconds
            )
            files: Any = ssh.open_sftp()
            files.get_channel().settimeout(self._timeout)
        except BaseException:
            ssh.close()
            raise
        return _Connection(ssh, files)

    def _settings(self) -> dict[str, Any]:
        """Return what the URL says, completed by the user's configuration of ssh."""
        from paramiko import ProxyCommand, SSHConfig

        file = Path("~/.ssh/config").expanduser()
        config = SSHConfig.from_path(str(file)) if file.exists() else SSHConfig()
        known = config.lookup(self._address.host.strip("[]"))
        settings: dict[str, Any] = {
            "hostname": known.get("hostname", self._address.host.strip("[]")),
            "port": self._address.port or int(known.get("port", 22)),
            "username": self._address.user or known.get("user"),
        }
        key_files = [self._key_file] if self._key_file else known.get("identityfile")
        if key_files:
            settings["key_filename"] = [str(Path(name).expanduser()) for name in key_files]
        if "proxycommand" in known:
            settings["sock"] = ProxyCommand(known["proxycommand"])
        return settings

    # -- single requests -----------------------------------------------------------------------

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        with self._connection() as client, client.open(key, "rb") as file:
            size = int(file.stat().st_size)
            end = size if length is None else min(size, start + length)
            if end <= start:
                return b""
            content = b"".join(
                file.readv(_spans(start, end), max_concurrent_prefetch_requests=_READ_AHEAD)
            )
            if len(content) != end - start:
                raise BrokenAnswerError(f"{len(content)} of {end - start} bytes")
            return content

    def _head(self, key: str) -> tuple[int, float]:
        with self._connection() as client:
            found = client.stat(key)
        return int(found.st_size or 0), float(found.st_mtime or 0)

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        with self._temporary(key) as (client, name):
            with client.open(name, "wxb") as file:
                file.set_pipelined(True)
                file.write(content)
                _flush(client, file)
            self._rename(client, name, key, only_new=only_new)

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        began = file.tell()

        def send() -> None:
            file.seek(began)
            with self._temporary(key) as (client, name):
                with client.open(name, "wxb") as output:
                    output.set_pipelined(True)
                    _copy(file, output, size)
                    _flush(client, output)
                self._rename(client, name, key, only_new=False)

        self._try("", send)

    @contextlib.contextmanager
    def _temporary(self, key: str) -> Iterator[tuple[Any, str]]:
        """Give a client and a new temporary name, and remove what is left under it."""
        name = f"{self._prefix}tmp/{os.getpid()}-{os.urandom(8).hex()}"
        with self._connection() as client:
            self._make_parent(client, name)
            self._make_parent(client, key)
            try:
                yield client, name
            except FileNotFoundError:
                self._made.clear()  # somebody removed a folder: the next try makes it again
                raise BrokenAnswerError(f"a folder of {key} vanished") from None
            finally:
                with contextlib.suppress(OSError, EOFError):
                    client.remove(name)

    def _rename(self, client: Any, name: str, key: str, *, only_new: bool) -> None:
        if not only_new:
            client.posix_rename(name, key)
            return
        try:
            client.rename(name, key)
        except OSError as error:
            # The protocol's answer to all that goes wrong here is just "Failure".
            if error.errno is None and _exists(client, key):
                raise TakenError(key) from None
            raise

    def _make_parent(self, client: Any, key: str) -> None:
        folder = key.rpartition("/")[0]
        if folder in self._made or not folder:
            return
        if not _exists(client, folder):
            if f"{folder}/" != self._prefix:
                self._make_parent(client, folder)
            try:
                client.mkdir(folder)
            except OSError:
                if not _exists(client, folder):
                    raise
        self._made.add(folder)

    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        items: list[Item] = []
        directories: list[str] = []
        pending = [prefix]
        with self._connection() as client:
            while pending:
                folder = pending.pop()
                for entry in _entries(client, folder):
                    name = folder + entry.filename
                    if not stat.S_ISDIR(entry.st_mode or 0):
                        items.append(
                            Item(name, int(entry.st_size or 0), float(entry.st_mtime or 0))
                        )
                    elif deep:
                        pending.append(f"{name}/")
                    else:
                        directories.append(name)
        return Page(items, directories)

    def _delete(self, key: str) -> None:
        with self._connection() as client:
            client.remove(key)


def _refuse_unknown() -> Any:
    from paramiko import MissingHostKeyPolicy

    class Refuse(MissingHostKeyPolicy):
        def missing_host_key(self, client: object, hostname: str, key: Any) -> None:
            raise UnknownHostError(
                f"the key of {hostname} is not known here: {key.get_name()} {key.fingerprint}"
            )

    return Refuse()


def _spans(start: int, end: int) -> list[tuple[int, int]]:
    return [(at, min(_BLOCK, end - at)) for at in range(start, end, _BLOCK)]


def _copy(source: BinaryIO, target: Any, size: int) -> None:
    while size > 0 and (block := source.read(min(size, _BLOCK))):
        target.write(block)
        size -= len(block)


def _flush(client: Any, file: Any) -> None:
    """Wait for the answers to all writes, and make them durable where the server can do that."""
    from paramiko.sftp import CMD_EXTENDED

    file.set_pipelined(False)
    file.flush()
    file.stat()  # answered after all writes, whose errors it raises
    with contextlib.suppress(OSError):  # the server does not know the extension
        client._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)


def _exists(client: Any, path: str) -> bool:
    try:
        client.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _entries(client: Any, folder: str) -> list[Any]:
    try:
        return list(client.listdir_attr(folder or "."))
    except FileNotFoundError:
        return []
