"""Folders of other machines over SFTP.

A name is given once by a plain SFTP rename, which servers that follow the protocol refuse where the
target exists. Not every server does: the probe finds out.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from art.backend import Item
from art.remote.base import Page, Remote, silence
from art.remote.failures import Advice, BrokenAnswerError, SilentError, TakenError
from art.remote.options import Options
from art.remote.url import Address

OPTIONS = ("key_file", "known_hosts", "timeout")
_CONNECT_SECONDS = 5
_BLOCK = 1 << 20
_REQUEST = 32 << 10  # what every server gives at once
_REQUESTS_AT_ONCE = 64
_CONNECTION_COUNT = 8  # a server of OpenSSH turns away who opens more than ten at once


class UnknownHostError(Exception):
    """The server's key is not among those that this machine knows."""


@dataclass(frozen=True)
class _Connection:
    """A client and what would close it on being forgotten."""

    ssh: Any
    files: Any

    @property
    def is_open(self) -> bool:
        transport = self.ssh.get_transport()
        return transport is not None and transport.is_active() and not self.files.sock.closed


class SFTP(Remote):
    """A folder on a machine. Each request has a connection for itself, kept for later ones; where all
    are in use, a thread waits."""

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
        self._idle: deque[_Connection] = deque()
        self._free = threading.BoundedSemaphore(_CONNECTION_COUNT)
        self._made: set[str] = set()

    def close(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().ssh.close()

    # -- connections ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        """Give a client to one thread: they do not work in two. One that failed is not used again."""
        with self._free:
            connection = self._idle_one() or self._connect()
            is_usable = False
            try:
                yield connection.files
                is_usable = True
            except (FileNotFoundError, PermissionError, TakenError):
                is_usable = True  # that was the server's answer
                raise
            except OSError as error:
                if connection.is_open:
                    raise
                raise BrokenAnswerError(f"the connection ended: {error}") from error
            finally:
                if is_usable:
                    self._idle.append(connection)
                else:
                    connection.ssh.close()

    def _idle_one(self) -> _Connection | None:
        """Return a connection that the server has not ended meanwhile, None where there is none."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_open:
                return connection
            connection.ssh.close()

    def _connect(self) -> _Connection:
        from paramiko import SSHClient, SSHException

        silence("paramiko")
        settings = self._settings()
        ssh = SSHClient()
        if self._known_hosts:
            ssh.load_host_keys(self._known_hosts)
        else:
            ssh.load_system_host_keys()
        ssh.set_missing_host_key_policy(_refuse_unknown())
        seconds = min(_CONNECT_SECONDS, self._timeout)
        began = time.monotonic()
        try:
            ssh.connect(
                **settings, timeout=seconds, banner_timeout=seconds, auth_timeout=2 * seconds
            )
            files: Any = ssh.open_sftp()
            files.get_channel().settimeout(self._timeout)
        except BaseException as error:
            ssh.close()
            is_late = time.monotonic() - began > 0.9 * seconds
            is_strange = is_late or "banner" in str(error)
            if type(error) is SSHException and is_strange and not self._has_answered:
                raise SilentError("nothing there speaks SSH") from error
            raise
        self._has_answered = True
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
            return _Reading(client, file.handle, start, end).finish()

    def _head(self, key: str) -> tuple[int, float]:
        with self._connection() as client:
            found = client.stat(key)
        return int(found.st_size or 0), float(found.st_mtime or 0)

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        with self._temporary(key) as (client, name):
            with client.open(name, "wxb") as file:
                file.set_pipelined(True)
                file.write(content)
                _flush(client, file, len(content))
            self._rename(client, name, key, only_new=only_new)

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        began = file.tell()

        def send() -> None:
            file.seek(began)
            with self._temporary(key) as (client, name):
                with client.open(name, "wxb") as output:
                    output.set_pipelined(True)
                    _copy(file, output, size)
                    _flush(client, output, size)
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


class _Reading:
    """Bytes that are read by several requests at once. Paramiko's own way to do that sleeps between
    them, or forgets that it asked and then asks one by one."""

    def __init__(self, client: Any, handle: bytes, start: int, end: int) -> None:
        self._client, self._handle, self._start = client, handle, start
        self._content = bytearray(end - start)
        self._to_ask = deque((at, min(_REQUEST, end - at)) for at in range(start, end, _REQUEST))
        self._asked: dict[int, tuple[int, int]] = {}
        self._error: Exception | None = None

    def finish(self) -> bytes:
        """Return the bytes when all have come."""
        while self._to_ask or self._asked:
            while self._to_ask and len(self._asked) < _REQUESTS_AT_ONCE:
                self._ask(*self._to_ask.popleft())
            self._client._read_response()
        if self._error:
            raise self._error
        return bytes(self._content)

    def _ask(self, at: int, length: int) -> None:
        from paramiko.sftp import CMD_READ, int64

        number = self._client._async_request(self, CMD_READ, self._handle, int64(at), length)
        self._asked[number] = (at, length)

    def _async_response(self, kind: int, message: Any, number: int) -> None:
        """Take an answer; paramiko calls this."""
        from paramiko.sftp import CMD_DATA

        at, length = self._asked.pop(number)
        if kind != CMD_DATA:
            self._fail(message)
            return
        data = message.get_binary()
        self._content[at - self._start : at - self._start + len(data)] = data
        if 0 < len(data) < length:  # a server may give less than it was asked for
            self._to_ask.append((at + len(data), length - len(data)))

    def _fail(self, message: Any) -> None:
        """Keep the error until all answers have come, so that the connection can be used again."""
        self._to_ask.clear()
        try:
            self._client._convert_status(message)
        except (OSError, EOFError) as error:
            self._error = error


def _copy(source: BinaryIO, target: Any, size: int) -> None:
    while size > 0 and (block := source.read(min(size, _BLOCK))):
        target.write(block)
        size -= len(block)


def _flush(client: Any, file: Any, size: int) -> None:
    """Wait for the answers to all writes, which must have come to `size` bytes, and make them durable
    where the server can do that."""
    from paramiko.sftp import CMD_EXTENDED

    file.set_pipelined(False)
    file.flush()
    found = file.stat().st_size  # answered after all writes, whose errors it raises
    if found != size:
        raise BrokenAnswerError(f"{found} of {size} bytes")
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
