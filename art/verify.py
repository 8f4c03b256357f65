"""Whether a version is signed by whom it must be, and whether a folder is what a version says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from art.catalog import NOTES, SETTINGS, tag_log
from art.config import Config
from art.errors import DeniedError, NotFoundError, UsageError
from art.index import Index
from art.memory import NoMemory
from art.model import Entry, heads
from art.reporter import Reporter
from art.rows import Record
from art.signing import BadSignatureError, Signers, entry_text, signature_by, version_text
from art.store import Store
from art.tree import Node
from art.version import Version
from art.worktree import Ingest, Source, measured_node
from art.writer import TreeHasher

REQUIRED = "require_signature"


@dataclass(frozen=True)
class Signed:
    """A signature that is right: of what it is, who made it, with which key."""

    ref: str
    by: str
    key: str


class Verifier:
    """Checks the signatures of one repository."""

    def __init__(self, index: Index, config: Config, history: str) -> None:
        """`history` is the id that all clones share."""
        self._index = index
        self._config = config
        self._history = history

    def is_required(self, key: str | None) -> bool:
        """Whether what is unsigned is not to be taken out: a setting here says so, or one of the key.

        What signed settings of a key require, only signed ones take back.
        """
        return bool(self._config.get(REQUIRED).value) or self._declared(key)[0]

    def is_locked(self, key: str) -> bool:
        """Whether signed settings of a key require it, so that only signed ones take that back."""
        return self._declared(key)[1]

    def why_required(self, key: str) -> str | None:
        """Return why what is unsigned is not to be taken out, None where it is."""
        try:
            is_required, is_locked = self._declared(key)
        except DeniedError as error:  # nothing is taken out then
            return f"it cannot be told who signed the settings: {error.message}"
        if is_locked:
            return "signed settings say so, and only a signed change takes that back"
        if is_required:
            return "the settings say so"
        return f"{REQUIRED} is set in this place" if self._config.get(REQUIRED).value else None

    def _declared(self, key: str | None) -> tuple[bool, bool]:
        """Return whether settings of a key require signatures, and whether that was signed."""
        is_required = is_locked = False
        for entry in self._effective(key):
            if _requires(entry):
                is_required = True
                is_locked = is_locked or self._is_right(key, entry)
            elif not is_locked or self._is_right(key, entry):
                is_required = is_locked = False
        return is_required, is_locked

    def check_version(self, record: Record) -> Signed:
        """Return whose signature a version has. Raise DeniedError where it has no right one."""
        entries = self._index.fresh_log(record.key, NOTES)
        found = [entry for entry in entries if entry.version_id == record.id and _has(entry)]
        return self._first(record.ref, version_text(record.id), found[::-1])

    def check_tag(self, key: str, tag: str) -> Signed:
        """Return who signed that a tag is where it is. Raise DeniedError where nobody did who may."""
        head, _ = heads(self._index.fresh_log(key, tag_log(tag)))
        if head is None or head.version_id is None:
            raise NotFoundError(f"{key} has no tag {tag!r}", hint=f"art tag list {key}")
        text = entry_text("tag", self._history, head.document)
        return self._first(f"{key}@{tag}", text, [head] if _has(head) else [])

    def _first(self, ref: str, text: bytes, entries: list[Entry]) -> Signed:
        signers, problem = self._signers(), "it is not signed"
        for entry in entries:
            signature = entry.document["signature"]
            try:
                return Signed(ref, signers.check(text, signature), signature_by(signature))
            except BadSignatureError as error:
                problem = error.message
        raise DeniedError(
            f"{ref} is not trusted: {problem}; expected is a signature by one of {signers.path}",
            hint="art config get signers says whose signatures count",
        )

    def _is_right(self, key: str | None, entry: Entry) -> bool:
        text = entry_text("settings", self._history, entry.document)
        try:
            return _has(entry) and bool(self._signers().check(text, entry.document["signature"]))
        except (BadSignatureError, UsageError):
            return False

    def _effective(self, key: str | None) -> list[Entry]:
        entries = self._index.fresh_log(key, SETTINGS) if key is not None else []
        _, superseded = heads(entries)
        return [entry for entry in entries if entry.uid not in superseded]

    def _signers(self) -> Signers:
        path = self._path("signers")
        if path is None:
            raise UsageError(
                "it is not said whose signatures count", hint="art config set signers PATH"
            )
        return Signers(path, self._path("revoked_signers"))

    def _path(self, setting: str) -> Path | None:
        text = self._config.get(setting).value
        root = Path(self._config.backend.root).parent  # not where the command happens to run
        return root / Path(text).expanduser() if text else None


def _requires(entry: Entry) -> bool:
    settings = entry.document.get("settings")
    return isinstance(settings, dict) and bool(settings.get(REQUIRED))


def _has(entry: Entry) -> bool:
    return "signature" in entry.document


@dataclass(frozen=True)
class Checked:
    """How a folder or file on the disk differs from a version."""

    ref: str
    path: str
    same: int
    changed: list[str]
    missing: list[str]
    extra: list[str]

    @property
    def is_same(self) -> bool:
        return not (self.changed or self.missing or self.extra)


def compare_with_disk(
    version: Version, store: Store, reporter: Reporter, path: str | None = None
) -> Checked:
    """Compare what lies on the disk, by default where `get` puts it, with a version. Every file is
    read. What `.artignore` leaves out is not there. Raise NotFoundError, UsageError."""
    payload = version.payload
    if payload is None or payload.tree is None:
        raise UsageError(
            f"{version.ref} is a {version.type}: only files are compared",
            hint=f"art inspect {version.ref}",
        )
    single = version.node().path if payload.file is not None else None
    target = Path(path if path is not None else (single or version.default_name))
    if single is not None and target.is_dir():
        target /= single
    if not target.exists():
        raise NotFoundError(f"there is no {str(target)!r}", hint=f"art get {version.ref} {target}")
    nodes = _nodes(store, reporter, Source(str(target.absolute()), single or ""))
    return _checked(version, str(target), nodes)


def _nodes(store: Store, reporter: Reporter, source: Source) -> list[Node]:
    found: list[Node] = []
    with TreeHasher(store.objects) as hasher:
        for line in Ingest(hasher, NoMemory(), reporter).lines([source]):
            found.append(measured_node(line))
    return found


def _checked(version: Version, target: str, nodes: Iterable[Node]) -> Checked:
    from art.diff.trees import compare_trees  # not needed where only a signature is looked for

    diff = compare_trees(version.iter_files(), nodes)
    changed = [*diff.modified, *diff.mode_changed]
    return Checked(
        version.ref,
        target,
        diff.same,
        sorted(change.old.path for change in changed),
        sorted([node.path for node in diff.removed] + [c.old.path for c in diff.renamed]),
        sorted([node.path for node in diff.added] + [c.new.path for c in diff.renamed]),
    )
