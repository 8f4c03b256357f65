"""Which version a reference means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from blake3 import blake3

from art.backend import LocalBackend
from art.catalog import NOTES, STATE, Catalog, manifest_name, tag_log
from art.database import DamagedError
from art.document import READ_LIMIT
from art.errors import REPAIR, ArtError, CorruptError, NotFoundError, UsageError
from art.evidence import published_number
from art.index import Index
from art.model import Entry, Manifest
from art.nearest import nearest
from art.place import RENUMBERED
from art.ref import Ref, likely_selector, literal, names_key
from art.rows import LIVE, Record
from art.store import Store

_MOVES_FOLLOWED = 16
_SUGGESTIONS = 3
_CHECKED = 1000  # versions of a history whose manifests are read
_SHOWN = 5


class Resolver:
    """Finds versions in one store. The index is brought up to date before it is asked."""

    def __init__(
        self, store: Store, index: Index, warn: Callable[[str], None] = lambda message: None
    ) -> None:
        self._store = store
        self._index = index
        self._warn = warn

    def record(self, ref: Ref, *, deleted: bool = False) -> Record:
        """Return what `ref` means. Moved versions are followed to where they are now.

        Raise NotFoundError, for a deleted version too unless `deleted`, UsageError where an id is
        ambiguous or a path is named, CorruptError where the manifest is damaged.
        """
        if ref.path:
            raise UsageError(
                f"{ref} names a path in a version, and a whole version is wanted here",
                hint=f"{str(ref).removesuffix('/' + ref.path)} alone; art cat and art get take a path",
            )
        return self._index.ask(lambda _: self._find(ref, deleted))

    def ids(self, text: str) -> list[str]:
        """Return the ids of the versions that `KEY` (all of them) or `KEY@SELECTOR` (one) means, in any
        state. Raise NotFoundError or UsageError."""
        ref = Ref.parse(text)
        if not names_key(text):
            return [self.record(ref, deleted=True).id]

        def ask(index: Index) -> list[str]:
            index.refresh(ref.key)
            return [record.id for record in index.versions(ref.key) if record.id]

        found = self._index.ask(ask)
        if not found:
            raise self._index.ask(lambda _: self.no_key(ref.key))
        return found

    def has_key(self, key: str) -> bool:
        """Whether a key has a version, in any state."""

        def ask(index: Index) -> bool:
            index.refresh(key)
            return index.latest_number(key) > 0

        return self._index.ask(ask)

    def latest(self, key: str) -> Record | None:
        """Return a key's latest version, None where it has none. No other key is looked at."""

        def ask(index: Index) -> Record | None:
            index.refresh(key)
            return self._find(Ref(key), False) if index.latest_number(key) else None

        try:
            return self._index.ask(ask)
        except NotFoundError:
            return None

    def manifest(self, record: Record) -> Manifest:
        """Return the manifest of a record, read from its file and verified.

        Raise CorruptError where it is not the one that was indexed.
        """
        catalog = self._store.catalog
        if record.state == "damaged":
            raise self.damage(record)
        if record.key is None:
            manifest = catalog.anonymous(record.uid)
        else:
            assert record.number is not None
            manifest = self._present(record.key, record.number)
        if manifest.id != record.id:
            present = self._index.ask(lambda _: self._present_number(record))
            if present is not None:  # a sync has just given the number to another version
                return catalog.manifest(record.key or "", present)
            raise CorruptError(
                f"the manifest of {record.ref} is not the one that was published: "
                f"its id is {manifest.id[:15]}, expected {record.id[:15]}",
                hint=REPAIR,
            )
        return manifest

    def _present_number(self, record: Record) -> int | None:
        """Return the number that a version has now, None where it is still the same."""
        if record.key is None:
            return None
        self._index.refresh(record.key)
        numbers = [found.number for found in self._index.by_id(record.id, record.key)]
        return next((number for number in numbers if number != record.number), None)

    def checked(self, records: list[Record], limit: int | None = None) -> list[Record]:
        """Return a key's versions as their files are now. The manifests of the first `_CHECKED` are read;
        of the others it is looked whether they are there. What is not is `damaged`, and warned of."""
        key = str(records[0].key)
        is_long = len(records) > _CHECKED
        there = set(self._store.catalog.numbers(key)) if is_long else set()
        highest = records[0].number or 0
        used = self._index.ask(lambda index: index.lost_number(key, highest))
        following = max(used, published_number(self._store.backend, key), highest) + 1
        found: list[Record] = []
        for at, record in enumerate(records):
            number = record.number or 0
            found += self._missing(key, following - 1, number)
            is_right = self._is_as_known(record) if at < _CHECKED else number in there
            found.append(record if is_right else self._as_it_is(record))
            following = number
        if limit is None or len(records) < limit:
            found += self._missing(key, following - 1, 0)
        return found[:limit]

    def _missing(self, key: str, last: int, before: int) -> Iterator[Record]:
        """Yield what is to be shown of versions that are not there, down to the one after `before`."""
        for number in range(last, before, -1)[:_CHECKED]:
            title = f"{manifest_name(key, number)} is missing"
            self._tell_damage(title)
            yield Record(
                key,
                number,
                "",
                "",
                "damaged",
                "",
                "",
                None,
                None,
                None,
                title,
                ("{}",),
                [],
                "damaged",
            )

    def _tell_damage(self, title: str | None) -> None:
        self._warn(f"{title}; `{REPAIR}` may bring it back")

    def _is_as_known(self, record: Record) -> bool:
        """Whether a version's manifest is the one that the index knows. A stub has another one's id."""
        name = manifest_name(str(record.key), record.number or 0)
        try:
            data = self._store.backend.read(name, 0, READ_LIMIT)
        except (FileNotFoundError, CorruptError):
            return False
        is_same = record.id == f"b3:{blake3(data).hexdigest()}"
        return is_same or record.state == "purged"

    def _as_it_is(self, record: Record) -> Record:
        key, number = str(record.key), record.number or 0
        found = self._index.ask(lambda index: index.look_again(key, number))
        if found is None:
            title = f"{manifest_name(key, number)} is missing"
            found = record._replace(state="damaged", title=title)
        if found.state == "damaged":
            self._tell_damage(found.title)
        return found

    def damage(self, record: Record) -> ArtError:
        """Return what is wrong with a damaged version: corrupt, or of a newer format."""
        return damage(self._store.catalog, record)

    def _present(self, key: str, number: int) -> Manifest:
        try:
            return self._store.catalog.manifest(key, number)
        except NotFoundError:
            raise CorruptError(f"the manifest of {key}@v{number} is missing", hint=REPAIR) from None

    def _find(self, ref: Ref, deleted: bool) -> Record:
        for _ in range(_MOVES_FOLLOWED):
            record = self._find_here(ref)
            if record.state != "damaged" and ref.is_narrow and not self._fits(record, ref):
                raise self._unfit(record, ref)
            if record.state != "moved":
                return record if deleted else self._usable(record)
            ref = self._follow(ref, self._moved_to(record))
        raise CorruptError(f"{ref} was moved in a circle", hint=f"art log {ref.key}")

    def _follow(self, ref: Ref, target: Ref) -> Ref:
        """Return where a reference to a moved version goes on: an exact one at that version, `latest`
        and tags at what they mean under the new key today."""
        if ref.is_exact:
            return target
        self._index.refresh(target.key, *_log_of(ref))
        if ref.back is None and self._index.tag(target.key, ref.selector) is None:
            return target
        return replace(ref, key=target.key)

    def _find_here(self, ref: Ref) -> Record:
        if not ref.key:
            self._index.refresh_all()
            return self._one(self._index.by_id(ref.selector), ref)
        self._index.refresh(ref.key, *_log_of(ref))
        if ref.number is not None:
            return self._by_number(ref.key, ref.number)
        if ref.back is not None:
            return self._latest(ref, ref.back)
        if ref.selector.startswith("b3:"):
            return self._one(self._index.by_id(ref.selector, ref.key), ref)
        return self._tagged(ref.key, ref.selector)

    def _by_number(self, key: str, number: int) -> Record:
        record = self._index.by_number(key, number)
        if record:
            self._warn_of_renumbering(record)
            return record
        latest = self._index.latest_number(key)
        if number and self._store.catalog.has(key, number):
            self._store.catalog.manifest(key, number)  # says what is wrong with it, if anything is
            raise DamagedError  # the index lost it; `ask` builds a new one and asks again
        if not latest:
            raise self.no_key(key)
        if number and number < latest:
            raise CorruptError(f"the manifest of {key}@v{number} is missing", hint=REPAIR)
        raise NotFoundError(f"{key} has no v{number}, its last is v{latest}", hint=f"art log {key}")

    def _warn_of_renumbering(self, record: Record) -> None:
        """Say so where the number was that of another version until it was published."""
        backend = self._store.backend
        if not isinstance(backend, LocalBackend) or backend.size(RENUMBERED) is None:
            return
        from art.merge import renumbered

        for old, _, uid in renumbered(backend).get(record.key or "", ()):
            if old == record.number and uid != record.uid:
                for other in self._index.versions(record.key):
                    if other.uid == uid:
                        self._warn(
                            f"{record.ref} was another version here until it was published: "
                            f"that one is v{other.number} now"
                        )

    def _latest(self, ref: Ref, back: int) -> Record:
        key = ref.key
        live = self._newest(ref, back + 1)
        damaged = self._index.damaged(key)
        if damaged and (not live or (damaged.number or 0) > (live[0].number or 0)):
            raise self.damage(damaged)  # an older version is not what `latest` means
        if len(live) > back:
            if ref.by and ref.by not in live[back].partitions:
                self._check_names(ref)
            return live[back]
        everything = self._index.versions(key, limit=1)
        if not everything:
            raise self.no_key(key)
        if live:
            count = "1 live version" if len(live) == 1 else f"{len(live)} live versions"
            raise NotFoundError(
                f"{key} has {count}{_of(ref)}, no latest-{back}", hint=f"art log {key}"
            )
        if everything[0].state == "damaged":
            raise self.damage(everything[0])
        fitting = self._matching(ref, live=False)
        if not fitting:
            self._check_names(ref)
            raise NotFoundError(f"{key} has no version{_of(ref)}", hint=self._partition_hint(ref))
        moved = [record for record in fitting if record.state == "moved"]
        return moved[back] if len(moved) > back else fitting[0]

    def _newest(self, ref: Ref, count: int) -> list[Record]:
        """Return the newest live versions, of the partitions that are asked for."""
        if not ref.is_narrow:
            return self._index.versions(ref.key, live=True, limit=count)
        return self._matching(ref, live=True, limit=count)

    def _matching(self, ref: Ref, *, live: bool, limit: int | None = None) -> list[Record]:
        from art import matching

        if not ref.is_narrow:
            return self._index.versions(ref.key, live=live, limit=limit)
        return self._index.selected(matching.of_key(self._index, ref, live=live, limit=limit))

    def _fits(self, record: Record, ref: Ref) -> bool:
        """Whether a version is of the partitions that are asked for."""
        from art import matching

        if ref.back is not None:
            return True  # it was chosen among those
        asked = matching.of_id(self._index, ref, record.key, record.id)
        return bool(self._index.count(asked))

    def _unfit(self, record: Record, ref: Ref) -> NotFoundError:
        has = ", ".join(f"{name}={value}" for name, value in record.partitions.items())
        return NotFoundError(
            f"{record.ref} is not{_of(ref, '')}: it is of {has or 'no partition'}",
            hint=f"art log {record.key} --columns version,partitions" if record.key else None,
        )

    def _check_names(self, ref: Ref) -> None:
        """Raise NotFoundError where a partition is asked for that there is not."""
        from art import matching

        names = [*dict(ref.partitions), *([ref.by] if ref.by else ())]
        matching.check_names(self._index, names, [ref.key])

    def _partition_hint(self, ref: Ref) -> str:
        from art import matching, partitions

        everything = matching.of_key(self._index, Ref(ref.key), live=True)
        known = [
            f"{name}={literal(str(group.value))}"
            for name, _ in ref.partitions
            for group in self._index.groups(everything, partitions.field_of(name))
            if group.value is not None
        ]
        times = partitions.Declared.of(self._index.settings(ref.key).get(ref.key, {})).times
        for name, text in ref.partitions:
            if name not in times and partitions.looks_relative(text):
                return (
                    f"it would be a time after: art declare {ref.key} --time-partition {name}:day"
                )
        if not known:
            return f"art log {ref.key} --columns version,partitions"
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        return f"there are {', '.join(sorted(known)[:_SHOWN])}{more}"

    def _tagged(self, key: str, tag: str) -> Record:
        id = self._index.tag(key, tag)
        if id is None:
            if not self._index.latest_number(key):
                raise self.no_key(key)
            raise NotFoundError(f"{key} has no tag {tag!r}", hint=self._tag_hint(key, tag))
        found = self._index.by_id(id, key)
        if not found:
            damaged = [r.title for r in self._index.versions(key) if r.state == "damaged"]
            why = f"; {damaged[0]}" if damaged else ""
            raise CorruptError(
                f"tag {tag!r} of {key} names {id[:15]}, which is missing{why}", hint=REPAIR
            )
        return found[0]

    def _tag_hint(self, key: str, tag: str) -> str:
        tags = list(self._index.tags(key))
        near = nearest(tag, tags)
        if not near and (likely := likely_selector(tag)):
            return f"did you mean {key}@{likely}?"
        near = near or tags[:_SUGGESTIONS]
        return f"tags: {', '.join(near)}" if near else f"art tag set {key} {tag}"

    def _one(self, found: list[Record], ref: Ref) -> Record:
        if not found:
            if self._index.has_hidden(ref.selector):
                raise DamagedError
            raise NotFoundError(
                f"no version has an id that begins with {ref.selector}", hint="art ls -a"
            )
        if len({record.id for record in found}) > 1:
            refs = ", ".join(record.ref for record in found[:5])
            raise UsageError(f"{ref} is ambiguous: {refs}", hint="use more digits")
        return found[0]

    def _usable(self, record: Record) -> Record:
        if record.state in (LIVE, "swept"):
            return record
        if record.state == "damaged":
            raise self.damage(record)
        entry = self.last_state(record)
        when = f" on {entry.created[:10]} by {entry.author}" if entry else ""
        hint = f"art restore {record.ref}" if record.state == "deleted" else None
        raise NotFoundError(f"{record.ref} was {record.state}{when}", hint=hint)

    def last_state(self, record: Record) -> Entry | None:
        """Return the last entry of the state log that names this version."""
        for entry in reversed(self._index.log(record.key, STATE)):
            if any(version["id"] == record.id for version in entry.document.get("versions") or []):
                return entry
        return None

    def notes(self, record: Record) -> list[Entry]:
        """Return what was said of a version later, oldest first."""
        entries = self._index.fresh_log(record.key, NOTES)
        return [entry for entry in entries if entry.version_id == record.id]

    def _moved_to(self, record: Record) -> Ref:
        entry = self.last_state(record)
        versions = entry.document["versions"] if entry else []
        for version in versions:
            if version["id"] == record.id and "to" in version:
                return Ref(version["to"]["key"], version["to"]["id"])
        raise CorruptError(f"{record.ref} was moved, but nothing says where to", hint=REPAIR)

    def no_key(self, key: str) -> NotFoundError:
        """Return the error for an unknown key, with the nearest known ones."""
        self._index.refresh_all()
        keys = self._index.keys()
        for known in keys:
            if key.startswith(known + "/"):
                rest = key.removeprefix(known + "/")
                return NotFoundError(
                    f"there is no key {key!r}", hint=f"a path in a version: {known}@latest/{rest}"
                )
        near = nearest(key, keys)
        near += [known for known in keys if known.endswith("/" + key)][:_SUGGESTIONS]
        hint = "`art ls` shows the keys there are"
        if near:
            hint = f"did you mean {', '.join(dict.fromkeys(near))}?"
        elif likely := likely_selector(key):
            hint = f"a version is named by KEY@{likely}"
            if re.fullmatch("[0-9a-f]{8,64}", key):
                hint = f"an id begins with b3: as in b3:{key}"
        return NotFoundError(f"there is no key {key!r}", hint=hint)


def _log_of(ref: Ref) -> tuple[str, ...]:
    """Return the log that must be whole to know what a reference means, beside the states."""
    return () if ref.is_exact or ref.back is not None else (tag_log(ref.selector),)


def _of(ref: Ref, of: str = " of") -> str:
    """Return such as " of region=eu", nothing where any partition will do."""
    words = ", ".join(f"{name}={value}" for name, value in ref.partitions)
    return f"{of} {words}" if words else ""


def damage(catalog: Catalog, record: Record) -> ArtError:
    """Return what is wrong with a damaged version: corrupt, or of a newer format."""
    try:
        if record.key is None:
            catalog.anonymous(record.uid)
        else:
            catalog.manifest(record.key, record.number or 0)
    except ArtError as error:
        return error
    return CorruptError(record.title or f"{record.ref} is damaged", hint=REPAIR)
