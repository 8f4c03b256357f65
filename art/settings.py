"""What is declared of a key for its future: type, partitions, retention, protection (FORMAT §9.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from art import model
from art.catalog import SETTINGS, Log, new_entry
from art.errors import ConflictError, CorruptError, UsageError
from art.index import Index
from art.keys import check_tag, check_type
from art.model import Document, Entry, heads, now
from art.nearest import did_you_mean
from art.partitions import ALL, LIMIT, Declared
from art.periods import Granularity
from art.ref import PARTITION
from art.retention import SETTABLE, Policy, check_flag, check_rule, check_words, policy_of
from art.store import Store

if TYPE_CHECKING:
    from art.signing import EntrySigner

_TAG = re.compile(r"[A-Za-z0-9*?\[\]!._-]{1,200}")
_RULE = "retention."


@dataclass(frozen=True)
class Settings:
    """What holds for one key. `document` has every setting as it is stored, unknown ones too."""

    key: str | None
    type: str | None = None
    partitions: tuple[str, ...] = ()
    retention: Policy | None = None
    protected: bool = False
    protected_tags: tuple[str, ...] = ()
    document: Document = field(default_factory=dict, repr=False)
    time_partitions: Mapping[str, Granularity] = field(default_factory=dict)
    description: str | None = None
    default_tags: tuple[str, ...] = ()

    @property
    def declared(self) -> Declared:
        """What new versions' partitions must be."""
        return Declared(self.partitions, self.time_partitions)

    def protects(self, tag: str) -> bool:
        """Whether a tag is moved or taken away by force only."""
        return self.protected or self.names(tag)

    def names(self, tag: str) -> bool:
        """Whether a tag is one of `protected_tags`."""
        return any(fnmatchcase(tag, pattern) for pattern in self.protected_tags)

    def check_tag(self, tag: str, hint: str = "--force does it all the same") -> None:
        """Raise ConflictError where a tag that names a version is not to be moved."""
        if self.protects(tag):
            what = f"{self.key} is protected" if self.protected else "the tag is protected"
            raise ConflictError(
                f"tag {tag!r} of {self.key} stays where it is: {what}",
                hint=hint,
            )

    def check_type(self, *types: str | None) -> None:
        """Raise ConflictError where a new version, which is of one of these types, is not of that which
        was declared."""
        known = [type for type in types if type]
        if self.type and known and self.type not in known:
            kind = " or ".join(known)
            raise ConflictError(
                f"versions of {self.key} are declared to be of type {self.type}, this is a {kind}",
                hint=f"art settings {self.key} --unset type",
            )


@dataclass(frozen=True)
class SettingsChange:
    """All settings of a key as one change left them. `changed` is False where they were so already.

    `superseded` changes did not see those that were there, and have no effect.
    """

    key: str
    settings: Document
    created: str
    author: str
    message: str | None
    changed: bool = True
    superseded: bool = False


class KeySettings:
    """The settings of the keys of one store."""

    def __init__(self, store: Store, index: Index, author: str) -> None:
        self._store = store
        self._index = index
        self._author = author
        self.signer: EntrySigner | None = None  # signs the changes

    def of(self, key: str) -> Settings:
        """Return what holds for a key. Raise CorruptError where that cannot be told."""
        return parse(key, self._index.fresh_log(key, SETTINGS))

    def known(self, key: str) -> Settings:
        """Return what holds for a key as far as its log can be read: what is damaged is warned of."""

        def ask(index: Index) -> list[Entry]:
            index.refresh(key)
            return index.log(key, SETTINGS)

        return parse(key, self._index.ask(ask))

    def change(
        self, key: str, changes: Mapping[str, Any], message: str | None = None
    ) -> SettingsChange:
        """Change settings by name; None takes one away, `retention.RULE` is one rule of `retention`.

        Settings that other processes change at the same time are kept. Raise UsageError.
        """
        checked = {name: _checked(name, value) for name, value in changes.items()}

        def make(before: Document) -> Document:
            after = dict(before)
            for name, value in checked.items():
                _put(after, name, value)
            _fit_times(after, key, is_given="time_partitions" in checked)
            return after

        return self._append(key, message, make)

    def carry(self, key: str, new_key: str) -> None:
        """Give a key the settings of another one, unless it has or had its own."""
        found = _head(self._index.fresh_log(key, SETTINGS))
        settings = found.document.get("settings") if found else None
        if settings and not self._index.fresh_log(new_key, SETTINGS):
            self._append(new_key, f"from {key}", lambda before: before or dict(settings))

    def history(self, key: str) -> list[SettingsChange]:
        """Return all changes of a key's settings, newest first."""
        entries = self._index.fresh_log(key, SETTINGS)
        _, superseded = heads(entries)
        return [_change(key, e, superseded=e.uid in superseded) for e in reversed(entries)]

    def _append(
        self, key: str, message: str | None, make: Callable[[Document], Document]
    ) -> SettingsChange:
        head: Entry | None = None

        def entry_of(entries: list[Entry]) -> Document | None:
            nonlocal head
            head = _head(entries)
            before = _stored(head)
            after = make(before)
            is_done = after == before and (self.signer is None or self._is_mine(head))
            return None if is_done else self._entry(key, message, after, head)

        known = self._index.fresh_log(key, SETTINGS)
        entry = self._store.catalog.append(key, SETTINGS, entry_of, known)
        if entry is None and head is None:
            return SettingsChange(key, {}, now(), self._author, None, changed=False)
        return _change(key, entry or head, changed=entry is not None)  # type: ignore[arg-type]

    def _entry(
        self, key: str, message: str | None, settings: Document, head: Entry | None
    ) -> Document:
        fields = {"settings": dict(sorted(settings.items())), "after": head.uid if head else None}
        entry = new_entry(key, self._author, message, fields)
        return entry | ({"signature": self.signer.sign(entry)} if self.signer else {})

    def _is_mine(self, head: Entry | None) -> bool:
        return bool(self.signer and head and self.signer.has_signed(head.document))


def parse(key: str, entries: list[Entry]) -> Settings:
    """Return what holds after these entries. Raise CorruptError where a known setting is impossible."""
    head = _head(entries)
    stored = _stored(head)
    known: dict[str, Any] = {}
    for name in KNOWN.keys() & stored.keys():
        try:
            known[name] = _checked(name, stored[name])
        except UsageError as error:
            where = Log(key, SETTINGS).file(head.number if head else 0)
            raise CorruptError(
                f"{where} is damaged: {error.message}", hint=f"art settings {key} --unset {name}"
            ) from error
    rules = known.get("retention")
    return Settings(
        key,
        known.get("type"),
        tuple(known.get("partitions") or ()),
        policy_of(rules) if rules else None,
        bool(known.get("protected")),
        tuple(known.get("protected_tags") or ()),
        stored,
        {name: Granularity(word) for name, word in (known.get("time_partitions") or {}).items()},
        known.get("description"),
        tuple(known.get("default_tags") or ()),
    )


def _head(entries: list[Entry]) -> Entry | None:
    head, _ = heads(entries)
    return head


def _stored(head: Entry | None) -> Document:
    found = head.document.get("settings") if head else None
    return dict(found) if isinstance(found, dict) else {}


def _change(
    key: str, entry: Entry, *, changed: bool = True, superseded: bool = False
) -> SettingsChange:
    said = (entry.created, entry.author, entry.message)
    return SettingsChange(key, _stored(entry), *said, changed, superseded)


def _put(settings: Document, name: str, value: Any) -> None:
    """Set one setting, or take it away; what is left empty goes, too."""
    if name.startswith(_RULE):
        rules = settings.get("retention")
        rules = dict(rules) if isinstance(rules, dict) else {}
        _put(rules, name.removeprefix(_RULE), value)
        name, value = "retention", rules
    if value in (None, {}, []):
        settings.pop(name, None)
    else:
        settings[name] = value


def _fit_times(settings: Document, key: str, *, is_given: bool) -> None:
    """Let only what is a partition be time. Raise UsageError where something else was just said to be."""
    times = settings.get("time_partitions")
    if not isinstance(times, dict):
        return
    names = settings.get("partitions") or ()
    for name in [name for name in times if name not in names]:
        if is_given:
            raise UsageError(
                f"{key} has no partition {name} that could be time",
                hint=f"art declare {key} --time-partition {name}:{times[name]}",
            )
        del times[name]
    _put(settings, "time_partitions", times)


# -- checking what is given ------------------------------------------------------------------------


def _checked(name: str, value: object) -> Any:
    """Return the value of a setting as documents hold it; None takes it away. Raise UsageError."""
    rule = name.removeprefix(_RULE) if name.startswith(_RULE) else None
    if name not in KNOWN and rule not in SETTABLE:
        names = (*KNOWN, *(_RULE + each for each in SETTABLE))
        hint = did_you_mean(name, names) or f"known: {', '.join(names)}"
        raise UsageError(f"there is no setting {name!r}", hint=hint)
    if value is None or value == "":
        return None
    return check_rule(rule, value) if rule else KNOWN[name](value, name)


def _type(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r}, expected the type of a version, such as table")
    return check_type(value)


def _partitions(value: object, name: str) -> list[str]:
    words = check_words(value, name)
    for word in words:
        if not PARTITION.fullmatch(word):
            raise UsageError(f"{name} has {word!r}, expected names such as region")
        if word == ALL:
            raise UsageError(f"{name} has {ALL!r}, which means all partitions where one is named")
    if len(words) > LIMIT:
        raise UsageError(f"{name} has {len(words)} names, at most {LIMIT} are possible")
    return list(words)


def time_partitions(value: object, name: str = "time_partitions") -> dict[str, str]:
    """Return which partitions are time: from a mapping, or from words such as `day` or `due:month`, of
    which each is a name, a granularity, or both. Raise UsageError."""
    if isinstance(value, Mapping):
        pairs = [(str(key), word) for key, word in value.items()]
    else:
        split = [word.partition(":") for word in check_words(value, name)]
        pairs = [(key, granularity or key) for key, _, granularity in split]
    for key, _ in pairs:
        _partitions(key, name)
    found = {key: Granularity.named(word).value for key, word in pairs}
    if len(found) < len(pairs):
        raise UsageError(f"{name} has a name twice")
    return dict(sorted(found.items()))


def _description(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r}, expected a text")
    return str(model.check_metadata(value, name))


def _default_tags(value: object, name: str) -> list[str]:
    return [check_tag(word) for word in check_words(value, name)]


def _tags(value: object, name: str) -> list[str]:
    words = check_words(value, name)
    for word in words:
        if not _TAG.fullmatch(word):
            raise UsageError(f"{name} has {word!r}, expected tags or globs such as release-*")
    return list(words)


def _retention(value: object, name: str) -> Document:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{name} is {value!r}, expected rules", hint="for example retention.keep_last=10"
        )
    policy_of(value)
    return {rule: check_rule(rule, item) for rule, item in value.items() if item is not None}


KNOWN: Mapping[str, Callable[[object, str], Any]] = {
    "type": _type,
    "description": _description,
    "partitions": _partitions,
    "time_partitions": time_partitions,
    "default_tags": _default_tags,
    "retention": _retention,
    "protected": check_flag,
    "protected_tags": _tags,
    "require_signature": check_flag,
}
