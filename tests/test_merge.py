"""Two copies of a log made one: what the remote has keeps its number, and nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from art.catalog import VERSIONS, Catalog, Log, new_entry
from art.document import encode
from art.errors import ConflictError, CorruptError
from art.index import Index
from art.merge import DivergedError, Ledger, Merger, finish_interrupted, renumbered
from art.model import Manifest, new_uid
from art.place import UNFINISHED
from art.repo import Repo
from tests.support import fresh_view, manifest_document, view
from tests.support_sync import World

LOG = Log("sales/report", VERSIONS)
HERE, THERE = new_uid(), new_uid()


def version(title: str, **fields: object) -> bytes:
    return encode(manifest_document(uid=new_uid(), title=title, **fields))


def stub_of(data: bytes) -> bytes:
    uid = LOG.parse(1, data).uid
    fields = {"art": 1, "uid": uid, "key": LOG.key, "created": "2026-11-21T08:30:00.000000Z"}
    return encode(fields | {"purged": {"id": LOG.parse(1, data).id}})  # type: ignore[union-attr]


def merger(repo: Repo, *others: Ledger) -> Merger:
    return Merger(repo._backend, repo._index, Ledger(repo._backend, THERE), others)


def put(repo: Repo, *contents: bytes) -> None:
    names = [LOG.file(number) for number in range(1, len(contents) + 1)]
    assert repo._backend.create_many(list(zip(names, contents, strict=True))) == len(contents)


def titles(repo: Repo) -> list[str | None]:
    assert view(repo) == fresh_view(repo)
    return [record.title for record in reversed(repo.history("sales/report"))]


A, B, C, X, Y, Z = (version(title) for title in "ABCXYZ")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([], [A, B], "AB"),
        ([X], [A], "AX"),
        ([X, Y, Z], [A], "AXYZ"),
        ([X], [A, B, C], "ABCX"),
        ([X, Y], [A, B, C], "ABCXY"),
        ([A, X], [A, B], "ABX"),
        ([A, B, X], [A, B], "ABX"),
        ([A, B, C], [A], "ABC"),
        ([X, A], [A, B], "ABX"),
        ([X, Y, A], [A, Y], "AYX"),
        ([A], [A], "A"),
    ],
)
def test_the_remotes_documents_keep_their_numbers_and_ours_follow_in_order(
    repo: Repo, ours: list[bytes], theirs: list[bytes], expected: str
) -> None:
    put(repo, *ours)
    view(repo)
    merged = merger(repo).merge(LOG, 1, theirs)
    assert titles(repo) == list(expected)
    assert {data for _, data in merged.added} == {data for data in theirs if data not in ours}
    for item in merged.renumbered:
        assert ours[item.old - 1] == item.data == repo._backend.read(LOG.file(item.new))
    assert merger(repo).merge(LOG, 1, theirs).renumbered == []


def test_a_plan_changes_nothing_and_says_the_same(repo: Repo) -> None:
    put(repo, A, X)
    before = view(repo)
    planned = merger(repo).plan(LOG, 1, [A, B])
    assert view(repo) == before
    assert planned == merger(repo).merge(LOG, 1, [A, B])


def test_what_has_another_number_now_is_remembered(repo: Repo) -> None:
    put(repo, X, Y)
    merger(repo).merge(LOG, 1, [A])
    moves = renumbered(repo._backend)["sales/report"]
    assert sorted((old, new) for old, new, _ in moves) == [(1, 2), (2, 3)]


def test_a_document_that_we_have_twice_after_a_crash_counts_once(repo: Repo) -> None:
    put(repo, X, Y, X, Y)
    merger(repo).merge(LOG, 1, [A])
    found = titles(repo)
    assert found[:3] == ["A", "X", "Y"]
    merger(repo).merge(LOG, 1, [A, X, Y])
    assert set(titles(repo)) == {"A", "X", "Y"}


def test_a_stub_of_theirs_wins(repo: Repo) -> None:
    put(repo, A, B)
    view(repo)
    merger(repo).merge(LOG, 1, [stub_of(A), B])
    assert [record.state for record in repo.history("sales/report")] == ["live", "purged"]
    assert view(repo) == fresh_view(repo)


def test_a_stub_of_ours_wins(repo: Repo) -> None:
    put(repo, stub_of(A), B)
    merger(repo).merge(LOG, 1, [A, B, C])
    assert [r.state for r in repo.history("sales/report")] == ["live", "live", "purged"]


@pytest.mark.parametrize("ours", [[X, stub_of(A)], [stub_of(A), X], [X, A, stub_of(A)]])
def test_a_stub_of_ours_wins_wherever_it_is(repo: Repo, ours: list[bytes]) -> None:
    put(repo, *ours)
    one = merger(repo)
    one.merge(LOG, 1, [A, B])
    assert [LOG.parse(n, repo._backend.read(LOG.file(n))).uid for n in (1, 2, 3)] == [
        LOG.parse(1, data).uid for data in (A, B, X)
    ]
    assert repo._backend.read(LOG.file(1)) == stub_of(A)
    assert one._ledger.unpurged() == [LOG.file(1)], "the remote is yet to get it"


def test_one_document_with_two_contents_is_damage(repo: Repo) -> None:
    put(repo, A)
    other = encode(manifest_document(uid=LOG.parse(1, A).uid, title="changed"))
    with pytest.raises(CorruptError, match=r"v00000001\.yaml differs"):
        merger(repo).merge(LOG, 1, [other])
    assert titles(repo) == ["A"]


def test_a_gap_in_our_log_is_refused(repo: Repo) -> None:
    put(repo, A, B, X)
    repo._backend.delete(LOG.file(2))
    with pytest.raises(CorruptError, match=r"v00000002\.yaml is missing"):
        merger(repo).merge(LOG, 1, [A, B, C])
    assert repo._backend.read(LOG.file(3)) == X


def test_a_log_that_began_to_differ_earlier_is_compared_from_the_start(repo: Repo) -> None:
    put(repo, A, X)
    with pytest.raises(DivergedError):
        merger(repo).merge(LOG, 2, [B, C])
    assert titles(repo) == ["A", "X"]


def test_what_another_remote_has_is_final(repo: Repo) -> None:
    put(repo, A, X)
    other = Ledger(repo._backend, HERE)
    other.note_end(LOG, 2)
    with pytest.raises(ConflictError, match="sales/report@v2 is published already"):
        merger(repo, other).merge(LOG, 1, [A, B])
    assert titles(repo) == ["A", "X"]
    merger(repo, other).merge(LOG, 1, [A, X, C])
    assert titles(repo) == ["A", "X", "C"]


def test_what_somebody_works_on_is_not_final(repo: Repo) -> None:
    put(repo, A, X)
    other = Ledger(repo._backend, HERE)
    other.note_end(LOG, 2)
    other.note_working()
    other.save()
    merger(repo, Ledger(repo._backend, HERE)).merge(LOG, 1, [A, B])
    assert titles(repo) == ["A", "B", "X"]


def test_a_ledger_keeps_what_other_processes_noted(repo: Repo) -> None:
    one, two = (Ledger(repo._backend, THERE) for _ in range(2))
    one.note_end(LOG, 3)
    two.note_keyless(HERE)
    two.note_progress(HERE, 4)
    one.save()
    two.save()
    found = Ledger(repo._backend, THERE)
    assert (found.end(LOG), found.keyless(), found.progress(HERE)) == (3, {HERE}, 4)
    found.forget_keyless(HERE)
    found.save()
    assert Ledger(repo._backend, THERE).keyless() == set()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"logs": 3}', b'{"logs": {"x": "y"}}', b"\xff"])
def test_a_ledger_that_is_not_whole_says_nothing(repo: Repo, content: bytes) -> None:
    repo._backend.replace(f"sync/{THERE}/published.json", content)
    assert Ledger(repo._backend, THERE).end(LOG) == 0


# -- beside others -------------------------------------------------------------------------------


def test_a_version_whose_number_another_gets_before_it_is_noted_is_known_by_its_new_one(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Catalog.create_manifest

    def late(self: Catalog, *arguments: Any) -> Manifest | None:
        manifest = create(self, *arguments)
        with Repo(repo.root) as other:
            merger(other).merge(LOG, 1, [A])
        return manifest

    monkeypatch.setattr(Catalog, "create_manifest", late)
    made = repo.value("sales/report", 1, title="X").version
    assert titles(repo) == ["A", "X"]
    assert repo.version(made.id).ref == "sales/report@v2"


@pytest.mark.parametrize("log", [LOG, Log("sales/report", "_tags/prod")])
def test_who_looks_while_numbers_change_misses_nothing(
    log: Log, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = repo.value("sales/report", 1, tags=["prod"]).version
    move = new_entry("sales/report", "b", None, {"tag": "prod", "id": made.id, "after": None})
    refresh = Index.refresh

    def late(self: Index, *arguments: str) -> None:
        refresh(self, *arguments)
        monkeypatch.setattr(Index, "refresh", refresh)
        with Repo(repo.root) as other:
            assert merger(other).merge(log, 1, [A if log == LOG else encode(move)]).renumbered

    monkeypatch.setattr(Index, "refresh", late)
    assert repo.version("sales/report@prod").id == made.id
    assert view(repo) == fresh_view(repo)


# -- interrupted ---------------------------------------------------------------------------------


def begin(repo: Repo, *target: bytes) -> None:
    begun = {"log": LOG.directory, "first": 1, "target": [data.decode() for data in target]}
    repo._backend.replace(UNFINISHED, json.dumps(begun).encode())


# What is there when `[X, Y]` and `[A, B]` become `[A, B, X, Y]` and the process is killed.
STATES = [[X, Y], [X, Y, X], [X, Y, X, Y], [X, B, X, Y], [A, B, X, Y]]


@pytest.mark.parametrize("state", STATES)
def test_whoever_comes_next_finishes(workplace: Path, repo: Repo, state: list[bytes]) -> None:
    put(repo, *state)
    begin(repo, A, B, X, Y)
    repo.close()
    with Repo(workplace) as again:
        assert titles(again) == list("ABXY")
        assert again._backend.size(UNFINISHED) is None


@pytest.mark.parametrize("state", STATES)
def test_a_process_that_was_there_before_finishes_before_it_merges(
    repo: Repo, state: list[bytes]
) -> None:
    put(repo, *state)
    begin(repo, A, B, X, Y)
    merger(repo).merge(LOG, 1, [A, B, C])
    assert titles(repo) == list("ABCXY")


def test_what_was_appended_after_an_interruption_stays_behind(repo: Repo) -> None:
    put(repo, X, Y, X, Y, Z)
    begin(repo, A, B, X, Y)
    finish_interrupted(repo._backend, repo._index)
    assert titles(repo) == list("ABXYZ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"log": 3}',
        b'{"log": "manifests/sales/report", "first": -1}',
        b'{"log": "manifests/sales/report", "first": 1}',
        b'{"log": "manifests/sales/report", "first": 1, "target": ["x", 3]}',
    ],
)
def test_an_unfinished_note_that_says_nothing_is_dropped(
    workplace: Path, repo: Repo, content: bytes
) -> None:
    put(repo, A)
    repo._backend.replace(UNFINISHED, content)
    repo.close()
    with Repo(workplace) as again:
        assert titles(again) == ["A"]
        assert again._backend.size(UNFINISHED) is None


def test_a_repository_with_damage_in_what_was_begun_opens_and_says_so_later(
    workplace: Path, repo: Repo
) -> None:
    put(repo, X, Y, X)
    begin(repo, A, B, X, Y)
    (workplace / ".art" / LOG.file(2)).write_bytes(b"damaged")
    repo.close()
    with Repo(workplace) as again:
        assert again._backend.size(UNFINISHED) is not None
        with pytest.raises(CorruptError, match=r"v00000002\.yaml"):
            merger(again).merge(LOG, 1, [A, B])
        (workplace / ".art" / LOG.file(2)).write_bytes(Y)
    with Repo(workplace) as again:
        assert titles(again) == list("ABXY")


# -- tags that were moved at both ends ------------------------------------------------------------


def test_of_two_moves_of_a_tag_the_first_that_is_published_counts(world: World) -> None:
    a, b = world.repos["a"], world.repos["b"]
    a.markdown("k", "# one", tags=["prod"])
    a.push()
    b.fetch()
    for repo in (a, b):
        repo.markdown("k", f"# {repo.root.name}", tags=["prod"])
    a.push()
    pushed = b.push()
    (lost,) = pushed.superseded
    assert (lost.key, lost.log) == ("k", "_tags/prod")
    (moved,) = pushed.renumbered
    assert (moved.old, moved.new) == (2, 3)
    assert b.version("k@prod").text() == "# a"
    a.fetch()
    assert [move.superseded for move in a.tag_history("k", "prod")] == [True, False, False]


def test_the_history_of_a_tag_says_the_numbers_of_now(world: World) -> None:
    a, b = world.repos["a"], world.repos["b"]
    a.markdown("k", "# one")
    a.push()
    b.markdown("k", "# two", tags=["best"])
    b.push()
    a.fetch()
    for repo in (a, b):
        assert [move.number for move in repo.tag_history("k", "best")] == [2]


def test_a_fetch_says_which_of_our_moves_has_no_effect_any_more(world: World) -> None:
    a, b = world.repos["a"], world.repos["b"]
    a.markdown("k", "# one")
    a.push()
    b.fetch()
    a.tag("k", "prod")
    b.tag("k", "prod")
    a.push()
    (lost,) = b.fetch().superseded
    assert "prod" in lost.what
    assert [item.what for item in b.push().superseded] == [lost.what]
    world.settle()
    world.check_equal()


def test_a_stub_goes_to_a_remote_that_has_the_manifest(world: World) -> None:
    a, b = world.repos["a"], world.repos["b"]
    a.markdown("k", "# one")
    a.markdown("k", "# two")
    a.push()
    b.fetch()
    log = Log("k", VERSIONS)
    before = world.remote.inner.read(log.file(1))
    a.purge("k@v1")
    del world.remote.documents[log.file(1)]  # which now may get other content
    a.push()
    stub = world.remote.inner.read(log.file(1))
    assert b"purged" in stub
    b.fetch()
    del world.remote.documents[log.file(1)]
    world.remote.inner.replace(log.file(1), before)  # as a backup has it
    (ledger,) = (world.root / "b/.art/sync").glob("*/published.json")
    ledger.unlink()
    b = world.reopen("b")
    b.fetch()
    b.push()
    assert world.remote.inner.read(log.file(1)) == stub
