"""What a repository holds and how it is: counts, weights, findings."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from art import catalog as catalogs
from art.addresses import RemoteSetting
from art.backend import LocalBackend
from art.catalog import Catalog
from art.config import Config
from art.errors import ArtError, CorruptError, DeniedError, UnavailableError
from art.evidence import Awaited
from art.index import Index
from art.keys import ANONYMOUS, glob_pattern, unescape
from art.marks import damaged_packs, read_marks
from art.objects import layout_directory
from art.pack import OVERHEAD, RECORD, Location, pack_name
from art.remotes import Remotes
from art.rows import Record
from art.store import Store
from art.stored import StoredPayload

_LOCAL = {
    ".gitignore",
    "index.sqlite",
    "index.sqlite-journal",
    "tmp",
    "locks",
    "hooks",
    "sync",
    "quarantine",
}
_SHARED = {
    "format.yaml",
    "mirror.yaml",
    "features",
    "config.yaml",
    "manifests",
    "anonymous",
    "refs",
    "progress",
    "packs",
    "layouts",
    "previews",
    "runs",
    "cache",
    "drafts",
    "gc",
    "checkpoints",
}
_LOW_SPACE = 1 << 30
_MEND = "`art create` from the same files stores what is missing again"


@dataclass(frozen=True)
class Status:
    """Counts of a repository; sizes in bytes. `states` counts versions by state."""

    root: str
    id: str
    keys: int
    versions: int
    anonymous: int
    states: dict[str, int]
    packs: int
    pack_bytes: int
    missing_payloads: list[str]
    damaged: list[str]


@dataclass(frozen=True)
class KeyUsage:
    """What one key's live versions weigh, in bytes: as files, in packs, in packs for this key alone;
    all keyless versions where the key is None."""

    key: str | None
    versions: int
    size: int
    stored: int
    unique: int


@dataclass(frozen=True)
class Usage:
    """What keys weigh, and what lies on the disk. `unreferenced` no live version needs."""

    keys: list[KeyUsage]
    size: int
    pack_bytes: int
    other_bytes: int
    unreferenced: int


@dataclass(frozen=True)
class Finding:
    """Something seen by `doctor`: `ok`, `warning` or `error`, and the command that helps."""

    level: str
    message: str
    hint: str | None = None


def status(store: Store, index: Index, root: str, marks: Mapping[str, str] | None = None) -> Status:
    """Return the counts of a repository. `marks` says what is wrong with versions, by id."""

    def ask(index: Index) -> tuple[list[Record], list[Record]]:
        index.refresh_all()
        return index.everything(), index.versions(None)

    records, anonymous = index.ask(ask)
    live = [record for record in (*records, *anonymous) if record.is_live]
    sizes = [item.size for item in store.backend.walk("packs")]
    return Status(
        root,
        store.id,
        len({record.key for record in records if record.is_live}),
        len(records),
        len(anonymous),
        dict(Counter(record.state for record in (*records, *anonymous))),
        len(sizes),
        sum(sizes),
        [record.ref for record in live if not _has_payload(store, record)],
        [str(record.title) for record in records if record.state == "damaged"]
        + [f"{r.ref}: {marks[r.id]}" for r in (*records, *anonymous) if marks and r.id in marks],
    )


def _has_payload(store: Store, record: Record) -> bool:
    return not record.payload or bool(store.backend.names(layout_directory(record.payload)))


def usage(store: Store, index: Index, patterns: tuple[str, ...]) -> Usage:
    """Return what each key weighs. Chunks that several keys share count as stored for each of them."""

    def ask(index: Index) -> list[Record]:
        index.refresh_all()
        return [record for record in index.all() if record.is_live]

    globs = [re.compile(glob_pattern(pattern)) for pattern in patterns]
    groups: dict[str | None, list[Record]] = {}
    for record in index.ask(ask):
        groups.setdefault(record.key, []).append(record)
    packs_seen: dict[str, int] = {}
    weights = {key: _chunks(store, records, packs_seen) for key, records in groups.items()}
    owners = Counter(place for chunks in weights.values() for place in chunks)
    keys = [
        KeyUsage(
            key,
            len(records),
            sum(record.size or 0 for record in records),
            sum(weights[key].values()),
            sum(length for place, length in weights[key].items() if owners[place] == 1),
        )
        for key, records in sorted(groups.items(), key=lambda group: (group[0] is None, group[0]))
        if not globs or (key and any(glob.fullmatch(key) for glob in globs))
    ]
    packs = sum(item.size for item in store.backend.walk("packs"))
    everything = sum(item.size for item in store.backend.walk(""))
    needed = {place: length for chunks in weights.values() for place, length in chunks.items()}
    used = len({place >> 32 for place in needed})  # packs of which anything is needed
    return Usage(
        keys,
        sum(key.size for key in keys),
        packs,
        everything - packs,
        max(0, packs - sum(needed.values()) - used * OVERHEAD),
    )


def _chunks(store: Store, records: list[Record], packs: dict[str, int]) -> dict[int, int]:
    """Return how much of packs everything that these versions need takes, in directories too, by place.

    A place is one number, as there may be millions: that of the pack in `packs`, and the offset.
    """
    found: dict[int, int] = {}
    for payload in sorted({record.payload for record in records if record.payload}):
        stored = store.objects.stored(payload)
        for place in _needed(stored) if stored else ():
            at = packs.setdefault(place.pack, len(packs)) << 32 | place.offset
            found[at] = place.length + RECORD.size
    return found


def _needed(stored: StoredPayload) -> Iterator[Location]:
    """Yield where the chunks lie that a payload's tree names: a layout that extends another one
    gives chunks of the other one's tree, too."""
    if stored.layout is stored.root:
        yield from stored.places()
        return
    yield from (piece.location for piece in stored.layout.pieces())
    for node in stored.tree():
        digests = [digest for digest, _ in stored.chunks(node)] if node.is_file else []
        if node.is_file and node.chunks_are_list:
            digests += [bytes.fromhex(digest) for digest, _ in node.chunks]
        for digest in digests:
            if location := stored.find(digest):
                yield location


def examine(
    store: Store,
    index: Index,
    backend: LocalBackend,
    config: Config,
    *,
    is_thorough: bool,
    remotes: Remotes | None = None,
    unpublished: Callable[[], dict[str, set[str]]] = dict,
) -> list[Finding]:
    """Look at everything that is quick to look at; with `is_thorough`, read every byte of the packs
    that live versions need. `unpublished` tells the references that each remote does not have."""
    findings = [Finding("ok", f"format 1, repository {store.id}")]
    findings += _examine_surroundings(backend, config)
    findings += _examine_names(backend)
    findings += _examine_manifests(store, index)
    findings += _examine_logs(store, index)
    findings += _examine_marks(backend, index)
    awaited = Awaited(backend)  # first: what is there soon is known to be then
    unknown = _unpublished(findings, unpublished)
    findings += _examine_payloads(store, index, unknown, awaited, is_thorough=is_thorough)
    if remotes is not None:
        findings += _examine_remotes(remotes, config, unknown)
    if index.was_rebuilt:
        findings.append(
            Finding("warning", "index.sqlite was damaged or foreign; it was built anew")
        )
    return findings


def _examine_surroundings(backend: LocalBackend, config: Config) -> list[Finding]:
    findings = []
    for name, value in (("python", sys.version.split()[0]), ("system", sys.platform)):
        findings.append(Finding("ok", f"{name} {value}"))
    free = shutil.disk_usage(backend.root).free
    level = "warning" if free < _LOW_SPACE else "ok"
    findings.append(Finding(level, f"{free:,} bytes free on this disk"))
    try:
        config.all()
    except ArtError as error:
        findings.append(Finding("error", error.message, error.hint))
    if not os.access(backend.root, os.W_OK):
        findings.append(Finding("warning", f"{backend.root} is read-only: nothing can be created"))
    return findings


def _examine_marks(backend: LocalBackend, index: Index) -> list[Finding]:
    """Tell of the versions that a repair could not heal, and of the packs that a check found damaged."""
    findings = [
        Finding("error", f"{pack_name(pack)} is damaged, a check found", "art fsck --repair")
        for pack in sorted(damaged_packs(backend))
        if backend.size(pack_name(pack)) is not None
    ]
    for id, why in read_marks(backend).items():
        for record in index.ask(partial(Index.by_id, prefix=id)):
            if record.state not in ("purged", "moved"):
                text = f"{record.ref} is damaged, and could not be healed: {why}"
                findings.append(Finding("error", text, "art fsck --repair --from PATH"))
    return findings


def _examine_names(backend: LocalBackend) -> list[Finding]:
    findings = []
    for name in backend.names(""):
        if name.rstrip("/") not in _LOCAL | _SHARED:
            findings.append(Finding("warning", f"{name} is not art's; it is left alone"))
    leftovers = list(backend.walk("tmp"))
    if leftovers:
        size = sum(item.size for item in leftovers)
        oldest = (time.time() - min(item.modified for item in leftovers)) / 3600
        findings.append(
            Finding(
                "warning",
                f"{len(leftovers)} temporary files with {size:,} bytes, the oldest {oldest:.0f} h old",
                "those older than a day go with the next `art create`",
            )
        )
    return findings


def _examine_manifests(store: Store, index: Index) -> list[Finding]:
    """Read every manifest from its file, whatever the index says."""
    findings = []
    count = 0
    catalog = store.catalog
    for key in sorted(catalog.keys()):
        numbers = catalog.numbers(key)
        for before, after in zip([0, *numbers], numbers, strict=False):
            if after > before + 1:
                missing = catalogs.manifest_name(key, before + 1)
                more = f" and {after - before - 2:,} more after it" if after > before + 2 else ""
                findings.append(Finding("error", f"{missing} is missing{more}"))
        for number in numbers:
            with _noting(findings):
                catalog.manifest(key, number)
                count += 1
    for uid in catalog.anonymous_uids():
        with _noting(findings):
            catalog.anonymous(uid)
            count += 1
    return [Finding("ok", f"{count} manifests are whole"), *findings]


def _examine_logs(store: Store, index: Index) -> list[Finding]:
    findings: list[Finding] = []
    count = 0
    for key in _keys_of_logs(store.catalog):
        for log in store.catalog.logs(key):
            with _noting(findings):
                count += len(store.catalog.entries(key, log))
    return [Finding("ok", f"{count} entries of logs are whole"), *findings]


def _keys_of_logs(catalog: Catalog) -> list[str | None]:
    directories = {
        item.name.split("/_", 1)[0].removeprefix("refs/")
        for item in catalog.backend.walk("refs")
        if f"refs/{ANONYMOUS}/" not in item.name
    }
    keys = [unescape(name) for name in sorted(directories)]
    return [None, *(key for key in keys if key)]


def _unpublished(
    findings: list[Finding], ask: Callable[[], dict[str, set[str]]]
) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with _noting(findings):
        found.update(ask())
    return found


def _examine_payloads(
    store: Store,
    index: Index,
    unpublished: dict[str, set[str]],
    awaited: Awaited,
    *,
    is_thorough: bool,
) -> list[Finding]:
    """Look at payloads. One that is not here is fine where a remote has a version with it."""

    def ask(index: Index) -> list[Record]:
        index.refresh_all()
        return [record for record in index.all() if record.state in ("live", "deleted", "moved")]

    findings: list[Finding] = []
    versions: dict[str, list[str]] = {}
    records = index.ask(ask)
    known = _payloads_at_remotes(records, unpublished, awaited)
    for record in records:
        if record.payload and record.is_live:
            versions.setdefault(record.payload, []).append(record.ref)
    packs: dict[str, list[str]] = {}
    elsewhere = 0
    for payload, refs in versions.items():
        with _noting(findings, _names(refs)):
            stored = store.objects.stored(payload)
            if stored is None and payload in known:
                elsewhere += 1
                continue
            if stored is None:
                raise CorruptError("the payload is not in this repository", hint=_MEND)
            for pack in stored.packs():
                packs.setdefault(pack, []).extend(refs)
    for pack, refs in sorted(packs.items()):
        with _noting(findings, _names(refs)):
            store.objects.directory(pack)
            if is_thorough:
                store.objects.check_pack(pack)
    read = ", every byte read" if is_thorough else ""
    there = f", {elsewhere} at remotes only" if elsewhere else ""
    what = f"{len(versions) - elsewhere} payloads have layouts, in {len(packs)} packs{read}{there}"
    return [Finding("ok", what), *findings]


def _payloads_at_remotes(
    records: list[Record], unpublished: dict[str, set[str]], awaited: Awaited
) -> set[str]:
    """Return the payloads of versions that a remote has, also under the key they were moved from."""
    return {
        record.payload
        for record in records
        if record.payload
        and (
            any(record.ref not in only for only in unpublished.values())
            or awaited.has(record.key, record.number, record.uid, is_live=record.is_live)
        )
    }


def _examine_remotes(
    remotes: Remotes, config: Config, unpublished: dict[str, set[str]]
) -> list[Finding]:
    """Look at each remote, which may take as long as a remote that does not answer is waited for."""
    findings: list[Finding] = []
    settings: list[RemoteSetting] = []
    with _noting(findings):
        settings = remotes.all()
        if len(settings) > 1 and not config.document().get("authority"):
            first = settings[0].name
            message = f"no authority is named, so {first} gives versions their numbers"
            findings.append(Finding("warning", message, f"art config set authority {first}"))
    for setting in settings:
        findings += _examine_remote(remotes, setting)
        count = len(unpublished.get(setting.name, ()))
        if count:
            message = f"{count:,} versions are not published at {setting.name}"
            findings.append(Finding("ok", message, f"art push --remote {setting.name}"))
    return findings


def _examine_remote(remotes: Remotes, setting: RemoteSetting) -> Iterator[Finding]:
    name = setting.name
    try:
        store = remotes.open(name)
    except (DeniedError, UnavailableError) as error:
        yield Finding("warning", error.message, error.hint)
        return
    except ArtError as error:
        yield Finding("error", error.message, error.hint)
        return
    role = "gives versions their numbers" if setting.is_authority else "is a mirror"
    yield Finding("ok", f"remote {name} answers: {setting.where}, repository {store.id}, {role}")
    if not store.is_bare:
        yield Finding("ok", f"remote {name} is a working repository: nobody pushes into it")
    elif setting.single_writer:
        message = (
            f"remote {name} must have a single writer: a second one could replace its versions"
        )
        yield Finding("warning", message, "art remote check tells whether several people may push")
    elif not setting.probed:
        message = f"the first push tries whether several people may push to remote {name}"
        yield Finding("ok", message, f"art remote check {name}")


def _names(refs: list[str]) -> str:
    more = f" and {len(refs) - 5} more" if len(refs) > 5 else ""
    return f"{', '.join(refs[:5])}{more}: "


@contextlib.contextmanager
def _noting(findings: list[Finding], where: str = "") -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        findings.append(Finding("error", f"{where}{error.args[0]} is missing"))
    except ArtError as error:
        findings.append(Finding("error", where + error.message, error.hint))
