"""Lineage: what versions were made from and what was made from them, followed and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

import art
from art.errors import NotFoundError, UsageError
from art.lineage import Graph
from art.model import new_uid
from art.repo import Repo
from tests.support_hostile import NOW, document

ABSENT = "b3:" + "5" * 64


def refs(graph: Graph) -> list[tuple[int, str]]:
    return [(node.level, node.ref) for node in graph.nodes]


def steps(graph: Graph) -> list[str]:
    names = {node.id: node.ref for node in graph.nodes}
    return sorted(f"{names[edge.source]} > {names[edge.target]}" for edge in graph.edges)


def put(repo: Repo, key: str, inputs: list[dict[str, object]]) -> dict[str, object]:
    """Write the manifest of a version as another program may have; return how others name it."""
    fields = {"art": 1, "uid": new_uid(), "key": key, "type": "value", "created": NOW}
    data = document({**fields, "author": "eve", "inputs": inputs})
    folder = repo.root / ".art" / "manifests" / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "v00000001.yaml").write_bytes(data)
    return {"key": key, "id": f"b3:{blake3(data).hexdigest()}", "number": 1}


def put_move(repo: Repo, old: dict[str, object], new: dict[str, object]) -> None:
    """Write an entry that says a version was moved."""
    folder = repo.root / ".art" / "refs" / str(old["key"]) / "_state"
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"art": 1, "uid": new_uid(), "key": old["key"], "created": NOW, "author": "eve"}
    versions = [{"id": old["id"], "number": 1, "to": new}]
    name = f"{len(list(folder.iterdir())) + 1:08d}.yaml"
    (folder / name).write_bytes(document({**fields, "state": "moved", "versions": versions}))


@pytest.fixture
def chain(repo: Repo) -> Repo:
    """Return a repository where raw became clean and lookup, and these became model."""
    repo.value("raw", 1)
    repo.value("clean", 2, inputs=["raw"])
    repo.value("lookup", 3, inputs=["raw@v1"])
    repo.value("model", 4, inputs=["clean", "lookup"])
    return repo


def test_lineage_goes_up_and_down(chain: Repo) -> None:
    graph = chain.lineage("clean")

    assert refs(graph) == [(0, "clean@v1"), (-1, "raw@v1"), (1, "model@v1")]
    assert steps(graph) == ["clean@v1 > model@v1", "raw@v1 > clean@v1"]
    assert graph.root == chain.version("clean").id


def test_one_direction_is_enough(chain: Repo) -> None:
    up = chain.lineage("model", down=False)
    down = chain.lineage("raw", up=False)

    assert refs(up) == [(0, "model@v1"), (-1, "clean@v1"), (-1, "lookup@v1"), (-2, "raw@v1")]
    assert refs(down) == [(0, "raw@v1"), (1, "clean@v1"), (1, "lookup@v1"), (2, "model@v1")]
    assert len(up.edges) == len(down.edges) == 4


def test_depth_bounds_and_says_that_there_is_more(chain: Repo) -> None:
    near = chain.lineage("raw", depth=1)
    whole = chain.lineage("raw", depth=2)

    assert (refs(near)[1:], near.is_cut) == ([(1, "clean@v1"), (1, "lookup@v1")], True)
    assert (len(whole.nodes), whole.is_cut) == (4, False)
    assert len(chain.lineage("raw", depth=0).nodes) == 1
    with pytest.raises(UsageError, match="depth -1"):
        chain.lineage("raw", depth=-1)


def test_an_unknown_version_has_no_lineage(chain: Repo) -> None:
    with pytest.raises(NotFoundError):
        chain.lineage("nope")
    with pytest.raises(NotFoundError):
        chain.usage("raw@v9")


def test_deleted_and_purged_versions_are_shown_as_such(chain: Repo) -> None:
    chain.delete("model")
    chain.purge("lookup@v1", force=True)

    states = {node.ref: node.state for node in chain.lineage("raw").nodes}

    assert states["model@v1"] == "deleted"
    assert states["raw@v1"] == states["clean@v1"] == "live"
    up = {node.ref: node.state for node in chain.lineage("model@v1").nodes}
    assert up["lookup@v1"] == "purged"


def test_a_moved_version_is_shown_where_it_is_now(chain: Repo) -> None:
    chain.move("clean", "tidy")
    chain.move("tidy", "neat")

    assert steps(chain.lineage("raw", up=False)) == [
        "lookup@v1 > model@v1",
        "neat@v1 > model@v1",
        "raw@v1 > lookup@v1",
        "raw@v1 > neat@v1",
    ]
    assert refs(chain.lineage("clean@v1")) == refs(chain.lineage("neat"))
    assert [each.record.ref for each in chain.usage("neat")] == ["model@v1"]


def test_a_copy_is_told_from_what_was_made_of_it(chain: Repo) -> None:
    chain.copy("raw@v1", "mirror")

    kinds = {each.record.ref: each.kind for each in chain.usage("raw")}

    assert kinds == {"mirror@v1": "copy", "clean@v1": "input", "lookup@v1": "input"}
    (edge,) = chain.lineage("mirror", down=False).edges
    assert (edge.kind, edge.source) == ("copy", chain.version("raw").id)


def test_an_origin_in_metadata_is_no_copy(repo: Repo) -> None:
    repo.value("raw", 1, metadata={"origin": {"id": "Paris"}, "more": {"origin": {}}})

    assert refs(repo.lineage("raw")) == [(0, "raw@v1")]


def test_keyless_versions_have_lineage(repo: Repo) -> None:
    raw = repo.value(None, 1).version
    made = repo.value(None, 2, inputs=[raw.id]).version

    graph = repo.lineage(raw.id)

    assert refs(graph) == [(0, raw.id), (1, made.id)]


def test_what_is_not_here_is_shown_by_key_and_id(repo: Repo) -> None:
    put(repo, "made", [{"key": "away/raw", "id": ABSENT, "number": 7}])

    node = repo.lineage("made").nodes[1]

    assert (node.ref, node.id, node.state, node.record) == (
        "away/raw@v7",
        ABSENT,
        "missing",
        None,
    )


def test_two_that_use_the_same_absent_version_meet_in_it(repo: Repo) -> None:
    for key in ("one", "two"):
        put(repo, key, [{"id": ABSENT}])

    assert refs(repo.lineage("one")) == [(0, "one@v1"), (-1, ABSENT)]
    assert [each.ref for each in repo.lineage("two").nodes] == ["two@v1", ABSENT]


def test_a_circle_ends(repo: Repo) -> None:
    first = put(repo, "a", [])
    second = put(repo, "b", [first])
    third = put(repo, "c", [second])
    put_move(repo, first, third)  # nobody can make a circle of digests, but of moves

    graph = repo.lineage("b@v1")

    assert steps(graph) == ["b@v1 > c@v1", "c@v1 > b@v1"]


def test_moves_in_a_circle_end(repo: Repo) -> None:
    first, second = put(repo, "a", []), put(repo, "b", [])
    made = put(repo, "c", [first])
    put_move(repo, first, second)
    put_move(repo, second, first)

    graph = repo.lineage("c")

    assert len(graph.nodes) == 2
    assert graph.root == made["id"]


def test_a_long_chain_has_its_whole_lineage(repo: Repo) -> None:
    last = put(repo, "k0", [])
    for number in range(1, 1500):  # deeper than Python recurses
        last = put(repo, f"k{number}", [last])

    assert len(repo.lineage("k0").nodes) == len(repo.lineage("k1499").nodes) == 1500


def test_usage_has_live_ones_first_then_the_newest(repo: Repo) -> None:
    repo.value("raw", 1)
    repo.value("gone", 1, inputs=["raw"])
    repo.value("old", 1, inputs=["raw"], tags=["prod"])
    with repo.run("train", step="fit"):
        repo.value("new", 1, inputs=["raw"])
    repo.delete("gone")

    used = repo.usage("raw")

    assert [each.record.ref for each in used] == ["new@v1", "old@v1", "gone@v1"]
    assert used[0].run["name"] == "train"
    assert used[1].record.tags == ["prod"]
    assert used[2].record.state == "deleted"


def test_records_of_runs_are_found_and_damaged_ones_left_out(repo: Repo) -> None:
    with repo.run("train"):
        one = repo.value("one", 1).version
    with repo.run("train"):
        two = repo.value("two", 1).version
    ids = [version.document["run"]["id"] for version in (one, two)]
    (repo.root / ".art" / "runs" / f"{ids[1]}.yaml").write_text("damaged")

    found = repo.run_records([*ids, "../../etc/passwd", new_uid()])

    assert list(found) == [ids[0]]
    assert found[ids[0]]["status"] == "completed"


def test_a_clone_has_the_lineage_of_what_it_was_cloned_from(chain: Repo, tmp_path: Path) -> None:
    chain.remotes.add("origin", str(tmp_path / "shared"))
    chain.push()

    with art.clone(str(tmp_path / "shared"), tmp_path / "clone") as clone:
        assert refs(clone.lineage("clean")) == refs(chain.lineage("clean"))
