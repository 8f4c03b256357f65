"""Which version a reference means."""

from __future__ import annotations

from art.catalog import NOTES, STATE
from art.database import DamagedError
from art.errors import ArtError, CorruptError, NotFoundError, UsageError
from art.index import LIVE, Index, Record
from art.model import Entry, Manifest, Ref
from art.store import Store

_MOVES_FOLLOWED = 16
_SUGGESTIONS = 3


class Resolver:
    """Finds versions in one store. The index is brought up to date before it is asked."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index

    def record(self, ref: Ref, *, deleted: bool = False) -> Record:
        """Return what `ref` means. Moved versions are followed to where they are now.

        Raise NotFoundError, for a deleted version too unless `deleted`, UsageError where an id is
        ambiguous or a path is named, CorruptError where the manifest is damaged.
        """
        if ref.path:
            raise UsageError(
                f"{ref} names a path in a version, and a whole version is wanted here",
                hint=f"leave out /{ref.path}",
            )
        return self._index.ask(lambda _: self._find(ref, deleted))

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
            raise CorruptError(
                f"the manifest of {record.ref} is not the one that was published: "
                f"its id is {manifest.id[:15]}, expected {record.id[:15]}",
                hint="art doctor",
            )
        return manifest

    def damage(self, record: Record) -> ArtError:
        """Return what is wrong with a damaged version: corrupt, or of a newer format."""
        catalog = self._store.catalog
        try:
            if record.key is None:
                catalog.anonymous(record.uid)
            else:
                catalog.manifest(record.key, record.number or 0)
        except ArtError as error:
            return error
        return CorruptError(record.title or f"{record.ref} is damaged", hint="art doctor")

    def _present(self, key: str, number: int) -> Manifest:
        try:
            return self._store.catalog.manifest(key, number)
        except NotFoundError:
            raise CorruptError(
                f"the manifest of {key}@v{number} is missing", hint="art doctor"
            ) from None

    def _find(self, ref: Ref, deleted: bool) -> Record:
        for _ in range(_MOVES_FOLLOWED):
            record = self._find_here(ref)
            if record.state != "moved":
                return record if deleted else self._usable(record)
            ref = self._follow(ref, self._moved_to(record))
        raise CorruptError(f"{ref} was moved in a circle", hint=f"art log {ref.key}")

    def _follow(self, ref: Ref, target: Ref) -> Ref:
        """Return where a reference to a moved version goes on: an exact one at that version, `latest`
        and tags at what they mean under the new key today."""
        if ref.is_exact:
            return target
        self._index.refresh(target.key)
        if ref.back is None and self._index.tag(target.key, ref.selector) is None:
            return target
        return Ref(target.key, ref.selector)

    def _find_here(self, ref: Ref) -> Record:
        if not ref.key:
            self._index.refresh_all()
            return self._one(self._index.by_id(ref.selector), ref)
        self._index.refresh(ref.key)
        if ref.number is not None:
            return self._by_number(ref.key, ref.number)
        if ref.back is not None:
            return self._latest(ref.key, ref.back)
        if ref.selector.startswith("b3:"):
            return self._one(self._index.by_id(ref.selector, ref.key), ref)
        return self._tagged(ref.key, ref.selector)

    def _by_number(self, key: str, number: int) -> Record:
        record = self._index.by_number(key, number)
        if record:
            return record
        latest = self._index.latest_number(key)
        if number and self._store.catalog.has(key, number):
            self._store.catalog.manifest(key, number)  # says what is wrong with it, if anything is
            raise DamagedError  # the index lost it; `ask` builds a new one and asks again
        if not latest:
            raise self.no_key(key)
        if number and number < latest:
            raise CorruptError(f"the manifest of {key}@v{number} is missing", hint="art doctor")
        raise NotFoundError(f"{key} has no v{number}, its last is v{latest}", hint=f"art log {key}")

    def _latest(self, key: str, back: int) -> Record:
        live = self._index.versions(key, live=True, limit=back + 1)
        damaged = self._index.damaged(key)
        if damaged and (not live or (damaged.number or 0) > (live[0].number or 0)):
            raise self.damage(damaged)  # an older version is not what `latest` means
        if len(live) > back:
            return live[back]
        everything = self._index.versions(key, limit=1)
        if not everything:
            raise self.no_key(key)
        if live:
            raise NotFoundError(
                f"{key} has {len(live)} live versions, no latest-{back}", hint=f"art log {key}"
            )
        if everything[0].state == "damaged":
            raise self.damage(everything[0])
        moved = [record for record in self._index.versions(key) if record.state == "moved"]
        return moved[back] if len(moved) > back else everything[0]

    def _tagged(self, key: str, tag: str) -> Record:
        id = self._index.tag(key, tag)
        if id is None:
            if not self._index.latest_number(key):
                raise self.no_key(key)
            tags = list(self._index.tags(key))
            near = suggest(tag, tags) or tags[:_SUGGESTIONS]
            hint = f"tags: {', '.join(near)}" if near else f"art tag set {key} {tag}"
            raise NotFoundError(f"{key} has no tag {tag!r}", hint=hint)
        found = self._index.by_id(id, key)
        if not found:
            damaged = [r.title for r in self._index.versions(key) if r.state == "damaged"]
            why = f"; {damaged[0]}" if damaged else ""
            raise CorruptError(
                f"tag {tag!r} of {key} names {id[:15]}, which is missing{why}", hint="art doctor"
            )
        return found[0]

    def _one(self, found: list[Record], ref: Ref) -> Record:
        if not found:
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
        raise CorruptError(f"{record.ref} was moved, but nothing says where to", hint="art doctor")

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
        near = suggest(key, keys)
        near += [known for known in keys if known.endswith("/" + key)][:_SUGGESTIONS]
        hint = (
            f"did you mean {', '.join(dict.fromkeys(near))}?"
            if near
            else "`art ls` shows the keys there are"
        )
        return NotFoundError(f"there is no key {key!r}", hint=hint)


def suggest(word: str, known: list[str]) -> list[str]:
    """Return the known words that are nearest to a mistyped one."""
    from difflib import get_close_matches

    return get_close_matches(word, known, _SUGGESTIONS)
