"""Everything a user can do, in any order, against a model that is a few dictionaries."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import art
from art.errors import ArtError, ConflictError, NotFoundError, UsageError
from art.listing import Filter
from tests.support import fresh_view, get_files, lay_out, view

KEYS = ("a", "b/c", "B")
TAGS = ("prod", "Prod")
NAMES = ("x", "y", "in/z", "-odd name\n")

keys = st.sampled_from(KEYS)
tags = st.sampled_from(TAGS)
BLOBS = {"empty": b"", "one": b"1", "two": b"22", "no text": b"\xff\x00", "alike": b"z" * 70_000}
BLOBS["large"] = random.Random(3).randbytes(200_000)
TEXTS = {"empty": "", "short": "hello", "lines": "# Hi\r\n", "long": "ä" * 3000}
blobs = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(sorted(BLOBS)), max_size=3)
texts = st.sampled_from(sorted(TEXTS))
picks = st.integers(0, 10**6)

Content = str | dict[str, bytes]


@dataclass
class Known:
    """What the model knows of one version."""

    id: str
    content: Content
    state: str = "live"
    title: str | None = None
    labels: set[str] = field(default_factory=set)
    moved_to: tuple[str, int] | None = None
    origin: str | None = None
    is_described: bool = False  # a copy, whose manifest has the title and labels that were noted


class Machine(RuleBasedStateMachine):
    """A repository and its model. Numbers are positions in the list of a key's versions, from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.root = Path(self.place.name)
        self.repo = art.init(self.root / "repo")
        self.versions: dict[str, list[Known]] = {key: [] for key in KEYS}
        self.heads: dict[tuple[str, str], list[tuple[str, int] | None]] = {}
        self.backs: set[tuple[str, str, int]] = set()
        self.folders = 0

    def teardown(self) -> None:
        self.repo.close()
        self.place.cleanup()

    # -- the model -------------------------------------------------------------------------------

    def live(self, key: str) -> list[int]:
        """Return the numbers of a key's live versions, oldest first."""
        return [n for n, known in enumerate(self.versions[key], 1) if known.state == "live"]

    def pick(self, key: str, pick: int) -> int:
        """Return one of a key's numbers."""
        return pick % len(self.versions[key]) + 1

    def known(self, key: str, number: int) -> Known:
        return self.versions[key][number - 1]

    def follow(self, key: str, number: int) -> tuple[str, int]:
        """Return where a version is now."""
        while (target := self.known(key, number).moved_to) and self.known(
            key, number
        ).state == "moved":
            key, number = target
        return key, number

    def tagged(self, key: str, number: int) -> bool:
        return any(
            moves and moves[-1] == (key, number)
            for (of, _), moves in self.heads.items()
            if of == key
        )

    # -- making ----------------------------------------------------------------------------------

    def publish(self, key: str, content: Content, always: bool, make: Callable[..., Any]) -> None:
        live = self.live(key)
        latest = self.known(key, live[-1]) if live and not always else None
        made = make(always=always)
        if latest and latest.content == content and not latest.is_described:
            assert (made.created, made.version.id) == (False, latest.id)
            return
        assert made.created
        assert made.version.number == len(self.versions[key]) + 1
        self.versions[key].append(Known(made.version.id, content))

    def write(self, chosen: dict[str, str]) -> tuple[Path, dict[str, bytes]]:
        """Write files into a new folder; return it and them."""
        self.folders += 1
        content = {name: BLOBS[blob] for name, blob in chosen.items()}
        return lay_out(self.root / f"data-{self.folders}", content), content

    @rule(key=keys, chosen=blobs, always=st.booleans())
    def create_files(self, key: str, chosen: dict[str, str], always: bool) -> None:
        folder, content = self.write(chosen)
        self.publish(key, content, always, lambda **more: self.repo.create(key, folder, **more))

    @rule(key=keys, chosen=texts, always=st.booleans())
    def create_text(self, key: str, chosen: str, always: bool) -> None:
        text = TEXTS[chosen]
        self.publish(key, text, always, lambda **more: self.repo.markdown(key, text, **more))

    @rule(key=keys, pick=picks, chosen=blobs.filter(bool))
    def create_from_base(self, key: str, pick: int, chosen: dict[str, str]) -> None:
        sources = [n for n in self.live(key) if isinstance(self.known(key, n).content, dict)]
        if not sources:
            return
        number = sources[pick % len(sources)]
        base = self.known(key, number).content
        assert isinstance(base, dict)
        folder, content = self.write(chosen)
        added = [f"{name}={folder / name}" for name in content]
        self.publish(
            key,
            base | content,
            True,
            lambda **more: self.repo.create(key, base=f"{key}@v{number}", add=added, **more),
        )

    # -- changing --------------------------------------------------------------------------------

    @precondition(lambda self: any(self.versions.values()))
    @rule(key=keys, pick=picks, tag=tags)
    def tag(self, key: str, pick: int, tag: str) -> None:
        if not self.versions[key]:
            return
        number = self.pick(key, pick)
        target, target_number = self.follow(key, number)
        ref = f"{key}@v{number}"
        if self.known(target, target_number).state != "live":
            self.expect(NotFoundError, lambda: self.repo.tag(ref, tag))
            return
        moves = self.heads.setdefault((target, tag), [])
        was_there = bool(moves) and moves[-1] == (target, target_number)
        assert self.repo.tag(ref, tag).changed != was_there
        if not was_there:
            moves.append((target, target_number))

    @rule(key=keys, tag=tags)
    def untag(self, key: str, tag: str) -> None:
        moves = self.heads.get((key, tag), [])
        if not moves or moves[-1] is None:
            self.expect(NotFoundError, lambda: self.repo.untag(key, tag))
            return
        self.repo.untag(key, tag)
        moves.append(None)

    @rule(key=keys, tag=tags)
    def tag_back(self, key: str, tag: str) -> None:
        moves = self.heads.get((key, tag), [])
        trail: list[tuple[str, int]] = []
        for number, move in enumerate(moves):
            if move in trail and (key, tag, number) in self.backs:
                while trail[-1] != move:
                    trail.pop()
            elif move:
                trail.append(move)
        behind = [
            place for place in trail if place != moves[-1] and self.known(*place).state == "live"
        ]
        if not behind:
            self.expect(NotFoundError, lambda: self.repo.tag_back(key, tag))
            return
        assert (key, self.repo.tag_back(key, tag).number) == behind[-1]
        self.backs.add((key, tag, len(moves)))
        moves.append(behind[-1])

    @rule(
        key=keys,
        pick=picks,
        title=st.sampled_from([None, "one", "two", ""]),
        label=st.sampled_from("lm"),
    )
    def note(self, key: str, pick: int, title: str | None, label: str) -> None:
        if not self.live(key):
            return
        number = self.live(key)[pick % len(self.live(key))]
        known = self.known(key, number)
        is_there = label in known.labels
        change: dict[str, Any] = {"remove_labels" if is_there else "add_labels": [label]}
        noted = self.repo.note(f"{key}@v{number}", title=title, **change)
        known.labels ^= {label}
        known.title = known.title if title is None else title or None
        assert noted.id == known.id

    @rule(key=keys, pick=picks, force=st.booleans())
    def delete(self, key: str, pick: int, force: bool) -> None:
        if not self.live(key):
            self.expect(NotFoundError, lambda: self.repo.delete(f"{key}@v1000"))
            return
        number = self.live(key)[pick % len(self.live(key))]
        if self.tagged(key, number) and not force:
            self.expect(ConflictError, lambda: self.repo.delete(f"{key}@v{number}"))
            return
        assert len(self.repo.delete(f"{key}@v{number}", force=force).versions) == 1
        self.known(key, number).state = "deleted"

    @rule(key=keys)
    def delete_key(self, key: str) -> None:
        live = self.live(key)
        if not live:
            self.expect(NotFoundError, lambda: self.repo.delete(key))
            return
        plan = self.repo.plan_delete(key)
        going = [number for number in live if not self.tagged(key, number)]
        assert sorted(record.number or 0 for record in plan.versions) == going
        assert self.repo.execute_delete(plan) == len(going)
        for number in going:
            self.known(key, number).state = "deleted"

    @rule(key=keys, pick=picks)
    def restore(self, key: str, pick: int) -> None:
        if not self.versions[key]:
            return
        number = self.pick(key, pick)
        known = self.known(key, number)
        target, target_number = self.follow(key, number)
        state = self.known(target, target_number).state
        if state == "live":  # what is done already is no error
            assert self.repo.restore(f"{key}@v{number}") == []
            return
        if state != "deleted":
            self.expect(UsageError, lambda: self.repo.restore(f"{key}@v{number}"))
            return
        (restored,) = self.repo.restore(f"{key}@v{number}")
        known = self.known(target, target_number)
        assert (restored.id, restored.number) == (known.id, target_number)
        known.state = "live"

    # -- moving ----------------------------------------------------------------------------------

    def take_copies(
        self, key: str, numbers: list[int], new_key: str, existing: list[int]
    ) -> dict[int, int]:
        """Put copies into the model as art does, unless `existing` are those; return their numbers."""
        places = {}
        for number in numbers:
            known = self.known(key, number)
            there = [n for n in existing if self.known(new_key, n).origin == known.id]
            if not there:
                version = self.repo.version(f"{new_key}@v{len(self.versions[new_key]) + 1}")
                copy = Known(version.id, known.content, title=known.title, labels=set(known.labels))
                copy.origin = known.id
                copy.is_described = bool(known.title or known.labels)
                self.versions[new_key].append(copy)
                there = [len(self.versions[new_key])]
            places[number] = there[-1]
        return places

    @rule(key=keys, new_key=keys, pick=picks)
    def copy(self, key: str, new_key: str, pick: int) -> None:
        if not self.live(key) or key == new_key:
            return
        number = self.live(key)[pick % len(self.live(key))]
        existing = sorted(self.live(new_key))[-1:]
        copied = self.repo.copy(f"{key}@v{number}", new_key)
        places = self.take_copies(key, [number], new_key, existing)
        assert copied.versions == [(f"{key}@v{number}", f"{new_key}@v{places[number]}")]

    @rule(key=keys, new_key=keys)
    def move(self, key: str, new_key: str) -> None:
        live = self.live(key)
        ids = {known.id for known in self.versions[key]}
        if not live:
            self.expect(NotFoundError, lambda: self.repo.move(key, new_key))
            return
        if key == new_key:
            self.expect(UsageError, lambda: self.repo.move(key, new_key))
            return
        if any(self.known(new_key, number).origin not in ids for number in self.live(new_key)):
            self.expect(ConflictError, lambda: self.repo.move(key, new_key))
            return
        existing = self.live(new_key)
        self.repo.move(key, new_key)
        places = self.take_copies(key, live, new_key, existing)
        for (of, tag), moves in list(self.heads.items()):
            head = moves[-1] if moves else None
            if of == key and head and head[1] in places and head[0] == key:
                target = (new_key, places[head[1]])
                others = self.heads.setdefault((new_key, tag), [])
                if not others or others[-1] != target:
                    others.append(target)
        for number in live:
            self.known(key, number).state = "moved"
            self.known(key, number).moved_to = (new_key, places[number])

    def expect(self, error: type[ArtError], work: Callable[[], object]) -> None:
        with pytest.raises(error):
            work()

    # -- the index -------------------------------------------------------------------------------

    @rule()
    def reopen(self) -> None:
        self.repo.close()
        self.repo = art.open(self.root / "repo")

    @rule()
    def delete_index(self) -> None:
        self.repo.close()
        (self.root / "repo/.art/index.sqlite").unlink(missing_ok=True)

    @rule(seed=picks, kind=st.sampled_from(["page", "half", "junk", "empty"]))
    def damage_index(self, seed: int, kind: str) -> None:
        self.repo.close()
        path = self.root / "repo/.art/index.sqlite"
        if not path.exists():
            return
        data = bytearray(path.read_bytes())
        if kind == "page" and data:
            start = seed % (len(data) // 4096) * 4096
            data[start : start + 4096] = random.Random(seed).randbytes(4096)
        damaged = {"half": data[: len(data) // 2], "junk": b"junk" * 2000, "empty": b""}
        path.write_bytes(damaged.get(kind, data))

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def live_versions_read_back_exactly(self) -> None:
        for key in KEYS:
            for number in self.live(key)[-2:]:
                known = self.known(key, number)
                version = self.repo.version(f"{key}@v{number}")
                assert version.id == known.id
                assert (version.title, set(version.labels)) == (known.title, known.labels)
                if isinstance(known.content, str):
                    assert version.text() == known.content
                else:
                    assert version.payload
                    assert version.payload.tree
                    found = get_files(self.repo._store.objects, version.payload.tree)
                    assert found == known.content

    @invariant()
    def selectors_find_what_the_model_says(self) -> None:
        for key in KEYS:
            if live := self.live(key):
                assert self.repo.version(key).number == live[-1]
            for number, known in enumerate(self.versions[key], 1):
                target = self.follow(key, number)
                if self.known(*target).state == "live":
                    found = self.repo.version(f"{key}@v{number}")
                    assert (found.key, found.number) == target
                elif known.state == "deleted":
                    self.expect(
                        NotFoundError, lambda k=key, n=number: self.repo.version(f"{k}@v{n}")
                    )

    @invariant()
    def listing_and_history_are_those_of_the_model(self) -> None:
        expected = {f"{key}@v{self.live(key)[-1]}" for key in KEYS if self.live(key)}
        assert {record.ref for record in self.repo.listing()} == expected
        everything = {f"{key}@v{number}" for key in KEYS for number in self.live(key)}
        assert {record.ref for record in self.repo.listing(filter=Filter(all=True))} == everything
        for key in KEYS:
            if self.versions[key]:
                history = [(r.number, r.id, r.state) for r in self.repo.history(key)][::-1]
                assert history == [
                    (number, known.id, known.state)
                    for number, known in enumerate(self.versions[key], 1)
                ]
            else:
                self.expect(NotFoundError, lambda k=key: self.repo.history(k))

    @invariant()
    def tags_are_those_of_the_model(self) -> None:
        for key in KEYS:
            if not self.versions[key]:
                continue
            heads = {
                tag: moves[-1]
                for (of, tag), moves in self.heads.items()
                if of == key and moves and moves[-1]
            }
            assert sorted(self.repo.tag_names(key)) == sorted(heads)
            for (of, tag), moves in self.heads.items():
                if of == key and moves:
                    shown = [move.number for move in self.repo.tag_history(key, tag)][::-1]
                    assert shown == [move[1] if move else None for move in moves]
            for tag, head in heads.items():
                assert head
                target = self.follow(*head)
                if self.known(*target).state == "live":
                    found = self.repo.version(f"{key}@{tag}")
                    assert (found.key, found.number) == target

    @invariant()
    def the_index_says_what_the_files_say(self) -> None:
        assert view(self.repo) == fresh_view(self.repo)


class TestMachine(Machine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=25, stateful_step_count=25)
