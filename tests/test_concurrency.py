"""Many processes at once: nothing is lost, nothing is seen half-done, nobody waits for a lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import art
from art.backend import Item, LocalBackend
from art.catalog import Catalog, parse_number
from art.changes import Changes
from art.index import Index
from art.listing import Filter
from art.publish import Publisher
from art.repo import Repo
from tests.support_processes import finish, run_together, started


@pytest.fixture
def forget(repo: Repo) -> Path:
    """Return the path of the index, to be removed where only the files are to be believed."""
    return repo.root / ".art" / "index.sqlite"


def test_twenty_processes_on_one_key_make_v1_to_v20(
    repo: Repo, tmp_path: Path, forget: Path
) -> None:
    script = """
text = f"version of process {number}\\n" * 500
Path(f"file-{number}").write_text(text)
made = repo.create("sales/report", f"file-{number}", metadata={"process": number})
say(ref=made.version.ref, id=made.version.id, created=made.created)
"""
    said = [lines[0] for lines in run_together(tmp_path / "all", *[script] * 20)]

    assert all(line["created"] for line in said)
    assert {line["ref"] for line in said} == {f"sales/report@v{n}" for n in range(1, 21)}
    forget.unlink()
    for number, line in enumerate(said):
        version = art.open().version(line["ref"])
        assert (version.id, version.metadata) == (line["id"], {"process": number})
        assert version.read().decode() == f"version of process {number}\n" * 500
    assert [record.number for record in repo.history("sales/report")] == [*range(20, 0, -1)]


def test_eight_processes_with_fifty_versions_each_make_v1_to_v400(
    repo: Repo, tmp_path: Path, forget: Path
) -> None:
    script = """
for turn in range(50):
    made = repo.json("k", [number, turn, "x" * (5000 if turn % 10 == 0 else 10)])
    say(number=made.version.number, turn=turn)
"""
    said = run_together(tmp_path / "all", *[script] * 8)

    owners = {line["number"]: (n, line["turn"]) for n, lines in enumerate(said) for line in lines}
    assert sorted(owners) == [*range(1, 401)]
    for lines in said:
        numbers = [line["number"] for line in lines]
        assert numbers == sorted(numbers)
    forget.unlink()
    with art.open() as fresh:
        records = fresh.history("k")
        assert [record.number for record in records] == [*range(400, 0, -1)]
        for record in records:
            number, turn, _ = json.loads(fresh.version(record.ref).read())
            assert owners[record.number or 0] == (number, turn)


def test_readers_see_only_whole_versions_while_others_write(repo: Repo, tmp_path: Path) -> None:
    writer = """
for turn in range(12):
    data = Path(f"data-{number}-{turn}")
    data.mkdir()
    for name in ("a", "b", "c"):
        (data / name).write_text(f"{number} {turn} " * 30_000)
    made = repo.create("k", data, metadata={"process": number, "turn": turn}, tags=["newest"])
    say(ref=made.version.ref)
"""
    reader = """
from art.listing import Filter
last = looks = 0
while not Path(folder, "stop").exists():
    looks += 1
    try:
        latest = repo.version("k")
    except art.NotFoundError:
        continue
    assert latest.number >= last, (latest.number, last)
    last = latest.number
    said = latest.metadata
    for ref in ("k@latest", f"k@v{last}"):
        version = repo.version(ref)
        expected = "{process} {turn} ".format(**version.metadata) * 30_000
        assert [node.path for node in version.files] == ["a", "b", "c"], version
        assert all(version.read(name).decode() == expected for name in "abc"), version
    latest.get(f"out-{number}-{looks}")
    history = [record.number for record in repo.history("k")]
    assert history == [*range(history[0], 0, -1)] and history[0] >= last, history
    [row] = repo.listing("k")
    assert row.is_live and row.number >= last, row
    assert len(repo.listing("k", filter=Filter(all=True))) >= last
say(looks=looks, last=last)
"""
    with started(tmp_path / "all", writer, writer, reader, reader) as children:
        written = [line["ref"] for child in children[:2] for line in finish(child)]
        (tmp_path / "all" / "stop").touch()
        read = [finish(child)[0] for child in children[2:]]

    assert sorted(written) == sorted(f"k@v{number}" for number in range(1, 25))
    assert all(line["looks"] > 1 and line["last"] > 1 for line in read), read


def test_the_same_content_from_many_processes_is_one_version(repo: Repo, tmp_path: Path) -> None:
    Path("same").write_bytes(b"the same bytes\n" * 10_000)
    script = """
made = repo.create("k", "same", title="the same")
say(id=made.version.id, created=made.created)
"""
    said = [lines[0] for lines in run_together(tmp_path / "all", *[script] * 12)]

    assert len({line["id"] for line in said}) == 1
    assert [line["created"] for line in said].count(True) == 1
    assert len(repo.history("k")) == 1


def test_content_that_alternates_between_processes_never_stands_twice_in_a_row(
    repo: Repo, tmp_path: Path
) -> None:
    script = "for turn in range(15): repo.value('k', number % 2)"
    run_together(tmp_path / "all", *[script] * 6)

    values = [repo.version(record.ref).read() for record in repo.history("k")]
    assert len(values) > 1
    assert all(one != next for one, next in zip(values, values[1:], strict=False)), values


@pytest.mark.parametrize(
    ("owner", "moment", "is_before"),
    [
        (Index, "latest_number", True),
        (Index, "latest_number", False),
        (Index, "versions", True),
        (Index, "versions", False),
        (Publisher, "_same", False),
        (Catalog, "next_number", True),
        (Catalog, "next_number", False),
        (Catalog, "create_manifest", True),
    ],
)
def test_a_version_that_appears_while_a_number_is_claimed_is_compared_too(
    owner: type, moment: str, is_before: bool, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.value("k", 1)
    original = getattr(owner, moment)
    rivals = ["one"]

    def come() -> None:
        while rivals:
            rivals.pop()
            assert art.open().value("k", 2).version.ref == "k@v2"

    def late(self: object, *arguments: object, **named: object) -> object:
        if is_before:
            come()
        result = original(self, *arguments, **named)
        come()
        return result

    monkeypatch.setattr(owner, moment, late)
    made = repo.value("k", 2)

    assert not rivals
    assert (made.version.ref, made.created) == ("k@v2", False)
    assert len(repo.history("k")) == 2


def test_moves_of_one_tag_by_many_processes_are_all_in_its_history(
    repo: Repo, tmp_path: Path
) -> None:
    for value in range(8):
        repo.value("k", value)
    script = """
for turn in range(5):
    move = repo.tag(f"k@v{(number + turn) % count + 1}", "prod", message=f"{number}-{turn}")
    say(message=f"{number}-{turn}" if move.changed else None)
"""
    said = run_together(tmp_path / "all", *[script] * 8)

    history = repo.tag_history("k", "prod")
    moved = [line["message"] for lines in said for line in lines if line["message"]]
    assert sorted(move.message or "" for move in history) == sorted(moved)
    assert not any(move.superseded for move in history)
    names = sorted(path.name for path in (repo.root / ".art/refs/k/_tags/prod").iterdir())
    assert names == [f"{number:08}.yaml" for number in range(1, len(history) + 1)]
    assert repo.version("k@prod").id == history[0].id


def test_notes_by_many_processes_are_merged(repo: Repo, tmp_path: Path) -> None:
    repo.value("k", 1)
    script = """
for turn in range(8):
    repo.note("k@v1", metadata={f"m{number}-{turn}": turn}, add_labels=[f"l{number}-{turn}"])
"""
    run_together(tmp_path / "all", *[script] * 6)

    version = repo.version("k@v1")
    assert version.metadata == {f"m{p}-{turn}": turn for p in range(6) for turn in range(8)}
    assert version.labels == sorted(f"l{p}-{turn}" for p in range(6) for turn in range(8))


def test_updates_of_one_progress_by_many_processes_are_all_counted(
    repo: Repo, tmp_path: Path
) -> None:
    script = "for turn in range(20): repo.progress('bar', number * 10 + turn / 10)"
    run_together(tmp_path / "all", *[script] * 8)

    assert [record.ref for record in repo.history("bar")] == ["bar@v1"]
    progress = repo.version("bar").progress
    assert progress is not None
    # Those who made it at the same time each set the value of the one that came first.
    assert progress.sequence == 8 * 20


def test_deleting_and_restoring_by_many_processes_leaves_a_dense_log(
    repo: Repo, tmp_path: Path, forget: Path
) -> None:
    for value in range(6):
        repo.value("k", value)
    script = """
for turn in range(6):
    for change in (lambda ref: repo.execute_delete(repo.plan_delete(ref)), repo.restore):
        try:
            if change(f"k@v{(number + turn) % 6 + 1}"):
                say(changed=True)
        except (art.NotFoundError, art.UsageError):
            pass  # another process was first
"""
    said = run_together(tmp_path / "all", *[script] * 6)

    log = repo.root / ".art/refs/k/_state"
    names = sorted(path.name for path in log.iterdir())
    assert len(names) == sum(len(lines) for lines in said) > 12
    assert names == [f"{number:08}.yaml" for number in range(1, len(names) + 1)]
    states = {record.ref: record.state for record in repo.history("k")}
    forget.unlink()
    with art.open() as fresh:
        assert {record.ref: record.state for record in fresh.history("k")} == states
        last = {f"k@v{number}": "live" for number in range(1, 7)}
        for entry in Catalog(fresh._backend).entries("k", "_state"):
            for version in entry.document["versions"]:
                state = entry.document["state"]
                last[f"k@v{version['number']}"] = "live" if state == "restored" else state
        assert states == last


def test_what_is_created_while_its_key_is_moved_is_not_lost(repo: Repo, tmp_path: Path) -> None:
    repo.value("old", -1)
    writer = "for turn in range(20): say(id=repo.value('old', number * 100 + turn).version.id)"
    mover = """
for turn in range(5):
    try:
        repo.move("old", "new")
    except art.NotFoundError:
        pass  # everything is there already
"""
    said = run_together(tmp_path / "all", writer, writer, mover)

    for line in said[0] + said[1]:
        version = repo.version(line["id"])
        assert version.key in ("old", "new")
    values = [int(repo.version(r.ref).read()) for r in repo.listing(filter=Filter(all=True))]
    assert sorted(values) == sorted([-1, *range(20), *range(100, 120)])


def test_several_processes_that_make_a_repository_make_one(repo: Repo, tmp_path: Path) -> None:
    there = tmp_path / "there"
    script = f"say(id=art.init({str(there)!r}).id)"
    said = run_together(tmp_path / "all", *[script] * 8)

    assert {lines[0]["id"] for lines in said} == {art.open(there).id}


def test_a_key_that_twenty_processes_move_is_moved_once(repo: Repo, tmp_path: Path) -> None:
    for value in range(10):
        repo.value("a", value)
    repo.tag("a@v7", "prod")
    script = """
try:
    say(moved=len(repo.move("a", "b").versions))
except art.NotFoundError:
    say(moved=0)
"""
    said = run_together(tmp_path / "all", *[script] * 20)

    assert sorted(line["moved"] for lines in said for line in lines) == [0] * 19 + [10]
    values = [json.loads(repo.version(record.ref).read()) for record in repo.history("b")]
    assert values == [*range(9, -1, -1)]
    assert {record.state for record in repo.history("a")} == {"moved"}
    assert json.loads(repo.version("b@prod").read()) == 6


@pytest.mark.parametrize(
    ("say", "title", "tags"),
    [
        (lambda repo: repo.note("a@v1", title="T"), "T", {}),
        (lambda repo: repo.tag("a@v2", "prod"), None, {"prod": "b@v2"}),
        (lambda repo: repo.tag("a@v2", "new"), None, {"new": "b@v2"}),
    ],
    ids=["note", "tag", "new tag"],
)
@pytest.mark.parametrize(
    ("is_mover", "owner", "moment", "is_before"),
    [
        (True, Changes, "set_state", True),
        (True, Changes, "set_state", False),
        (False, Catalog, "append", True),
        (False, Catalog, "append", False),
    ],
    ids=["before it is moved", "after", "moved before it is said", "moved after"],
)
def test_what_is_said_of_versions_while_they_move_holds_where_they_are(  # noqa: PLR0913
    is_mover: bool,
    owner: type,
    moment: str,
    is_before: bool,
    say: Callable[[Repo], object],
    title: str | None,
    tags: dict[str, str],
    repo: Repo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repo.value("a", 1, tags=["prod"])
    repo.value("a", 2)
    works = [lambda repo: repo.move("a", "b"), say]
    rival, mine = works if not is_mover else works[::-1]
    original = getattr(owner, moment)

    def late(self: object, *arguments: object, **named: object) -> object:
        monkeypatch.setattr(owner, moment, original)
        result = None if is_before else original(self, *arguments, **named)
        with art.open() as other:
            rival(other)
        return original(self, *arguments, **named) if is_before else result

    monkeypatch.setattr(owner, moment, late)
    mine(repo)
    found = {tag: version.ref for tag, version in repo.tags("b").items()}
    assert found == {"prod": "b@v1", **tags}
    assert repo.version("b@v1").title == title


def test_a_tag_that_is_taken_away_while_its_version_moves_is_gone_there_too(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.value("a", 1, tags=["prod", "old"])
    original = Changes.set_state

    def late(self: Changes, *arguments: Any) -> object:
        with art.open() as other:
            other.untag("a", "old")
        return original(self, *arguments)

    monkeypatch.setattr(Changes, "set_state", late)
    repo.move("a", "b")
    assert list(repo.tags("b")) == ["prod"]


def test_a_version_that_many_processes_copy_is_copied_once(repo: Repo, tmp_path: Path) -> None:
    for value in range(10):
        repo.value("a", value)
    script = "say(one=repo.copy('a@v1', 'b').made, all=repo.copy('a', 'c').made)"
    said = [lines[0] for lines in run_together(tmp_path / "all", *[script] * 4)]

    assert (sum(line["one"] for line in said), sum(line["all"] for line in said)) == (1, 10)
    assert (len(repo.history("b")), len(repo.history("c"))) == (1, 10)


def test_versions_that_many_processes_delete_are_counted_once(repo: Repo, tmp_path: Path) -> None:
    for value in range(30):
        repo.value("k", value)
    script = """
plan = repo.plan_delete("k")
while len(list(folder.glob("planned-*"))) < count:
    (folder / f"planned-{number}").touch()
say(deleted=repo.execute_delete(plan))
"""
    said = run_together(tmp_path / "all", *[script] * 4)
    assert sum(line["deleted"] for lines in said for line in lines) == 30


def test_versions_that_many_processes_restore_are_counted_once(repo: Repo, tmp_path: Path) -> None:
    for value in range(30):
        repo.value("k", value)
    repo.delete("k")
    script = """
try:
    say(restored=len(repo.restore("k")))
except art.NotFoundError:
    say(restored=0)
"""
    said = run_together(tmp_path / "all", *[script] * 4)
    assert sum(line["restored"] for lines in said for line in lines) == 30


@pytest.mark.parametrize(
    ("act", "place"),
    [
        (lambda repo: repo.value("k", 1), "manifests/k"),
        (lambda repo: repo.tag("k@v1", "prod"), "refs/k/_tags/prod"),
        (lambda repo: repo.note("k@v1", title="T"), "refs/k/_notes"),
        (lambda repo: repo.set_settings("k", description="D"), "refs/k/_settings"),
        (lambda repo: repo.part("k", "file", draft="d", name="p"), "drafts/k/_/d"),
        (lambda repo: repo.seal("k", draft="d", expect=1), "drafts/k/_/d"),
        (lambda repo: repo.seal("k", draft="d", expect=1), "manifests/k"),
        (lambda repo: repo.run_command(["true"], outputs={"r": "file"}), "manifests/r"),
    ],
    ids=["version", "tag", "note", "settings", "part", "seal", "sealed version", "result"],
)
def test_what_another_has_just_done_is_durable_before_it_is_told_to_be_there(
    act: Callable[[Repo], object], place: str, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer may be between giving it its name and making that durable."""
    Path("file").write_text("content")
    repo.value("k", 1)
    repo.part("k", "file", draft="d", name="p")
    act(repo)
    synced: list[str] = []
    monkeypatch.setattr(LocalBackend, "sync_directory", lambda _, path: synced.append(path))
    with art.open() as other:
        act(other)
    assert str(repo.root / ".art" / place) in synced


@pytest.fixture
def torn(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Let the first listing of a directory lack the last document but one, as that of a large one may
    that comes meanwhile. Return the directories that were listed so; each that is taken out is again."""
    names, walk = LocalBackend.names, LocalBackend.walk
    listed: set[str] = set()

    def is_late(name: str, kind: str, found: Collection[str]) -> bool:
        directory = name.rpartition("/")[0]
        beside = [each for each in found if each.rpartition("/")[0] == directory]
        numbered = sorted(each for each in beside if parse_number(each.rpartition("/")[2]))
        if name not in numbered[-2:-1] or f"{kind} {directory}" in listed:
            return False
        listed.add(f"{kind} {directory}")
        return True

    def torn_names(self: LocalBackend, directory: str) -> list[str]:
        found = {f"{directory}/{name}": name for name in names(self, directory)}
        return [name for path, name in found.items() if not is_late(path, "names", found)]

    def torn_walk(self: LocalBackend, prefix: str) -> Iterator[Item]:
        found = {item.name: item for item in walk(self, prefix)}
        yield from (item for name, item in found.items() if not is_late(name, "walk", found))

    monkeypatch.setattr(LocalBackend, "names", torn_names)
    monkeypatch.setattr(LocalBackend, "walk", torn_walk)
    return listed


@pytest.mark.parametrize(
    "look",
    [
        lambda repo: repo.version("k@v3"),
        lambda repo: repo.version("k@prod"),
        lambda repo: repo.tag_history("k", "prod"),
        lambda repo: repo.history("k"),
        lambda repo: repo.listing("k"),
        lambda repo: repo.gc(),
    ],
    ids=["version", "tag", "tag history", "history", "listing", "gc"],
)
def test_what_comes_while_a_directory_is_listed_is_not_taken_for_lost(
    look: Callable[[Repo], object], repo: Repo, forget: Path, torn: set[str]
) -> None:
    for value in range(4):
        repo.value("k", value, tags=["prod"])
    repo.delete("k@v1")
    repo.delete("k@v2")
    forget.unlink()
    torn.clear()
    with art.open() as fresh:
        look(fresh)
        assert [record.number for record in fresh.history("k")] == [4, 3, 2, 1]
        assert fresh.version("k@v3").state == "live"
    assert torn


def test_parts_that_come_while_a_draft_is_listed_are_not_taken_for_lost(
    repo: Repo, torn: set[str]
) -> None:
    for part in "abc":
        Path(part).write_text(part)
        repo.part("k", part, draft="d", name=part)
    for look in (repo.drafts, repo.gc, lambda: repo.seal("k", draft="d", expect=3)):
        torn.clear()
        look()
        assert torn


def test_threads_may_share_a_repository(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for turn in range(4):
            (tmp_path / f"{number}-{turn}").write_text(f"{number} {turn}")
            repo.create("k", tmp_path / f"{number}-{turn}")
            repo.value("small", f"{number} {turn}")
            assert repo.history("k")

    with art.init(tmp_path / "repo") as repo:
        with ThreadPoolExecutor(20) as threads:
            for future in [threads.submit(work, number) for number in range(20)]:
                future.result()
        found = {repo.version(f"k@v{number}").text() for number in range(1, 81)}
        assert len(found) == len(repo.history("small")) == 80


def test_processes_save_objects_under_one_key(repo: Repo, tmp_path: Path) -> None:
    script = """
repo.save({"process": number, "items": list(range(2000))}, "k")
repo.save(number, "small", wait=False)
repo.flush()
"""
    run_together(tmp_path / "all", *[script] * 8)
    assert {repo.version(f"k@v{n}").load()["process"] for n in range(1, 9)} == set(range(8))
    assert {repo.version(f"small@v{n}").load() for n in range(1, 9)} == set(range(8))
