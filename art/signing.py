"""Signatures: texts that ssh-keygen signs and checks with SSH keys, as git does (FORMAT §9.5)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from art.errors import ArtError, DeniedError, UsageError
from art.model import Document

NAMESPACE = "art"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,100000}={0,2}")
_LINE = 70


class BadSignatureError(ArtError):
    """A signature that says nothing: the message is why."""


def version_text(id: str) -> bytes:
    """Return what is signed of a version. It holds in every repository."""
    return _text({"purpose": "version", "id": id})


def entry_text(purpose: str, history: str, entry: Document) -> bytes:
    """Return what is signed of an entry with a head, a `tag` or `settings`: all of it but the
    signature, with what came before it, and the history it belongs to."""
    said = {name: value for name, value in entry.items() if name != "signature"}
    return _text({"purpose": purpose, "history": history, "entry": said})


def _text(fields: Document) -> bytes:
    text = {"art": "signature 1", **fields}
    return json.dumps(text, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class Signer:
    """Signs with one key. `key` is the path of its public or private part, or the public part itself
    where an agent has the private one. `by` is its fingerprint."""

    key: str
    by: str

    @classmethod
    def find(cls, setting: str | None) -> Signer:
        """Return what signs with the key of the setting `signing_key`, else with ~/.ssh/id_ed25519
        or the first key of the agent. Raise UsageError where there is none."""
        key = setting or _default_key()
        if key is None:
            raise UsageError(
                "there is no key to sign with: no ~/.ssh/id_ed25519.pub and no agent that has one",
                hint="art config set signing_key ~/.ssh/KEY.pub",
            )
        with _as_file(key) as path:
            done = _run("-l", "-E", "sha256", "-f", path)
        words = done.stdout.decode("utf-8", "replace").split()
        if done.returncode or len(words) < 2:
            raise UsageError(
                f"{key} is no key to sign with", hint="art config set signing_key PATH"
            )
        return cls(key, words[1])

    def sign(self, text: bytes) -> Document:
        """Return the signature of a text as it stands in an entry. Raise DeniedError."""
        with _as_file(self.key) as path:
            done = _run("-Y", "sign", "-n", NAMESPACE, "-f", path, given=text)
        lines = done.stdout.decode("ascii", "replace").split()
        if done.returncode or _BEGIN.split()[0] not in lines:
            raise DeniedError(
                f"the key {self.by} does not sign: {_reason(done)}",
                hint="ssh-add makes an agent remember it",
            )
        data = "".join(done.stdout.decode("ascii").split(_BEGIN)[1].split(_END)[0].split())
        return {"format": "ssh", "by": self.by, "data": data}

    def has_signed(self, text: bytes, signature: Any) -> bool:
        """Whether this key made the signature, of this text: what it says of itself may be a lie."""
        if signature is None:
            return False
        try:
            with _signature_file(signature) as path:
                done = _run("-Y", "check-novalidate", "-n", NAMESPACE, "-s", path, given=text)
        except BadSignatureError:
            return False
        return not done.returncode and self.by in done.stdout.decode("utf-8", "replace").split()


@dataclass(frozen=True)
class EntrySigner:
    """Signs entries for one purpose, `tag` or `settings`, in one history."""

    signer: Signer
    purpose: str
    history: str

    def sign(self, entry: Document) -> Document:
        """Return the signature of an entry as it is to stand in it. Raise DeniedError."""
        return self.signer.sign(entry_text(self.purpose, self.history, entry))

    def has_signed(self, entry: Document) -> bool:
        """Whether an entry has the signature that this key would give it."""
        text = entry_text(self.purpose, self.history, entry)
        return self.signer.has_signed(text, entry.get("signature"))


@dataclass(frozen=True)
class Signers:
    """Whose signatures count: a file in the form of ALLOWED SIGNERS of ssh-keygen, and perhaps one of
    keys that are revoked."""

    path: Path
    revoked: Path | None = None

    def check(self, text: bytes, signature: Any) -> str:
        """Return who signed the text. Raise BadSignatureError where nobody did who may."""
        for path in filter(None, (self.path, self.revoked)):
            if not path.is_file():
                raise DeniedError(f"there is no {path}", hint="art config set signers PATH")
        with _signature_file(signature) as file:
            names = _run("-Y", "find-principals", "-f", str(self.path), "-s", file)
            found = names.stdout.decode("utf-8", "replace").splitlines()
            for name in [found[0]] if found and not names.returncode else []:
                return self._checked(name, file, text)
        raise BadSignatureError(
            f"{signature_by(signature)} is not in {self.path}, or not any more: "
            "nobody there made the signature"
        )

    def _checked(self, name: str, file: str, text: bytes) -> str:
        words = ["-Y", "verify", "-f", str(self.path), "-I", name, "-n", NAMESPACE, "-s", file]
        if self.revoked:
            words += ["-r", str(self.revoked)]
        done = _run(*words, given=text)
        if done.returncode:
            raise BadSignatureError(
                f"the signature in the name of {name} is wrong: {_reason(done)}"
            )
        return name


def signature_by(signature: Any) -> str:
    """Return the key that a signature says it was made with; it may lie."""
    by = signature.get("by") if isinstance(signature, dict) else None
    return by if isinstance(by, str) and by else "an unnamed key"


@contextmanager
def _signature_file(signature: Any) -> Iterator[str]:
    """Yield the path of a file with a signature, for the time. Raise BadSignatureError."""
    text = _armoured(signature)
    with tempfile.TemporaryDirectory(prefix="art-") as folder:
        path = Path(folder, "signature")
        path.write_text(text)
        yield str(path)


def _armoured(signature: Any) -> str:
    data = signature.get("data") if isinstance(signature, dict) else None
    if not isinstance(data, str) or signature.get("format") != "ssh" or not _BASE64.fullmatch(data):
        raise BadSignatureError("what should be a signature is none")
    lines = [data[at : at + _LINE] for at in range(0, len(data), _LINE)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def _default_key() -> str | None:
    path = Path("~/.ssh/id_ed25519.pub").expanduser()
    if path.is_file():
        return str(path)
    adder = shutil.which("ssh-add")
    if adder is None:
        return None
    done = subprocess.run([adder, "-L"], capture_output=True, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return lines[0] if lines and not done.returncode else None


@contextmanager
def _as_file(key: str) -> Iterator[str]:
    """Yield the path of a key; one that is given as itself gets a file for the time."""
    if not key.startswith(("ssh-", "ecdsa-", "sk-")) or " " not in key:
        yield os.path.expanduser(key)  # noqa: PTH111 - it stays the text that it is
        return
    with tempfile.TemporaryDirectory(prefix="art-") as folder:
        path = Path(folder, "key.pub")
        path.write_text(key + "\n")
        yield str(path)


def _run(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise DeniedError(
            "signatures can be neither made nor checked: there is no ssh-keygen",
            hint="install OpenSSH 8.2 or newer",
        )
    environment = {**os.environ, "LC_ALL": "C"}
    command = [program, *words]
    return subprocess.run(command, input=given, capture_output=True, check=False, env=environment)


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace")
    lines = [line.strip().rstrip(".") for line in said.splitlines()]
    return "; ".join(filter(None, lines))[:500] or f"exit code {done.returncode}"
