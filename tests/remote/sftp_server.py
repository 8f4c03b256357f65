"""An SFTP server that, as OpenSSH's, refuses to rename over a file unless it is asked to replace it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class _Files(SFTPServerInterface):
    """The disk of this machine. Who logs in as `reader` may not write."""

    def __init__(self, server: _Door, *values: object, **more: object) -> None:
        super().__init__(server, *values, **more)
        self._may_write = server.user != "reader"

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        if flags & _WRITING and not self._may_write:
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            handle = os.open(path, flags, 0o644)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)
        mode = "wb" if flags & (os.O_WRONLY | os.O_RDWR) else "rb"
        opened = _Handle(flags)
        file = os.fdopen(handle, mode)
        opened.readfile = opened.writefile = file  # type: ignore[attr-defined]
        return opened

    def list_folder(self, path: str) -> list[SFTPAttributes] | int:
        try:
            return [
                SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name)
                for entry in os.scandir(path)
            ]
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)

    def stat(self, path: str) -> SFTPAttributes | int:
        try:
            return SFTPAttributes.from_stat(os.stat(path))
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)

    lstat = stat

    def rename(self, oldpath: str, newpath: str) -> int:
        try:
            os.link(oldpath, newpath)
            os.unlink(oldpath)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)
        return paramiko.SFTP_OK

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        return self._do(lambda: os.replace(oldpath, newpath))

    def remove(self, path: str) -> int:
        return self._do(lambda: os.unlink(path))

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        return self._do(lambda: os.mkdir(path))

    def _do(self, action: object) -> int:
        if not self._may_write:
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            action()  # type: ignore[operator]
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)
        return paramiko.SFTP_OK


class _Handle(SFTPHandle):
    def stat(self) -> SFTPAttributes:
        self.writefile.flush()  # type: ignore[attr-defined]
        return SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))  # type: ignore[attr-defined]


class _Door(paramiko.ServerInterface):
    def __init__(self, key: paramiko.PKey) -> None:
        self._key = key
        self.user = ""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.user = username
        is_right = key == self._key
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"


@dataclass(frozen=True)
class Sftp:
    """A running server, and the files that a client needs."""

    port: int
    key_file: Path
    known_hosts: Path
    transports: list[paramiko.Transport]

    def hang_up(self) -> None:
        """End all connections."""
        while self.transports:
            self.transports.pop().close()


@contextlib.contextmanager
def serve_sftp(folder: Path) -> Iterator[Sftp]:
    """Run a server; what a client needs lies in `folder` afterwards."""
    host_key, user_key = paramiko.RSAKey.generate(2048), paramiko.RSAKey.generate(2048)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    key_file, known_hosts = folder / "id_rsa", folder / "known_hosts"
    user_key.write_private_key_file(str(key_file))
    known_hosts.write_text(f"[127.0.0.1]:{port} ssh-rsa {host_key.get_base64()}\n")
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=welcome, args=(client,), daemon=True).start()

    def welcome(client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        transports.append(transport)
        transport.add_server_key(host_key)
        transport.set_subsystem_handler("sftp", SFTPServer, _Files)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=_Door(user_key))

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield Sftp(port, key_file, known_hosts, transports)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for transport in transports:
            transport.close()
