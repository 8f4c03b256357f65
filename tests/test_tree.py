"""Trees: lines as FORMAT says, for any path; and nothing that leads outside is read."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from art.errors import CorruptError
from art.pack import CHUNK_LIMIT
from art.tree import LINE_LIMIT, Node, Order, Seen, check_path, file_line, parse, parse_line

HEX = "ab" * 32
names = st.one_of(
    st.binary(min_size=1, max_size=6).map(os.fsdecode),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
    st.sampled_from(
        ["-", "--help", "\n", " ", "a\n", ".\n", "..\n", "...", ".a", "\\", '"', "\x7f", "é"]
    ),
).filter(lambda name: name.lower() not in (".", "..", ".art") and not set(name) & set("/\0"))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
modes = st.integers(0, 0o777)
chunks = st.lists(st.tuples(digests, st.integers(1, CHUNK_LIMIT)), min_size=1, max_size=4).map(
    tuple
)


EMPTY = blake3(b"").hexdigest()


def file_of(path: str, mode: int, b3: str, size: int) -> Node:
    return Node(path, mode, size, b3 if size else EMPTY)


def chunked(path: str, mode: int, b3: str, parts: tuple[tuple[str, int], ...]) -> Node:
    return Node(path, mode, sum(length for _, length in parts), b3, parts)


def listed(path: str, mode: int, b3: str, parts: tuple[tuple[str, int], ...], size: int) -> Node:
    return Node(path, mode, size, b3, parts, chunks_are_list=True)


nodes = st.one_of(
    st.builds(file_of, paths, modes, digests, st.integers(0, CHUNK_LIMIT)),
    st.builds(chunked, paths, modes, digests, chunks),
    st.builds(listed, paths, modes, digests, chunks, st.integers(0, 2**63 - 1)),
    st.builds(lambda path, link: Node(path, link=link), paths, paths),
    st.builds(lambda path, mode: Node(path, mode, is_dir=True), paths, modes),
)


def plain(node: Node) -> Node:
    """A link has no mode of its own."""
    return node if node.link is None else Node(node.path, link=node.link)


@settings(max_examples=300)
@given(nodes)
@example(Node("\n", 0o644, 1, HEX))
@example(Node("a/.\n", 0o644, 1, HEX))
@example(Node("\udcff\udc80", 0o644, 1, HEX))
def test_a_line_reads_back_as_the_node_it_is(node: Node) -> None:
    line = node.line()
    assert line.endswith(b"\n")
    assert parse_line(line[:-1], "t") == plain(node)


@given(nodes)
def test_a_line_is_printable_ascii_without_spaces_around(node: Node) -> None:
    line = node.line()[:-1]
    assert all(32 <= byte < 127 for byte in line)
    loaded = json.loads(line)
    assert json.dumps(loaded, separators=(",", ":")).encode() == line, (
        "there is one way to write it"
    )


def test_lines_are_as_the_format_shows_them() -> None:
    assert (
        Node("data/small.csv", 0o644, 12, HEX).line().decode()
        == f'{{"path":"data/small.csv","mode":"644","size":12,"b3":"{HEX}"}}\n'
    )
    assert (
        Node("big", 0o755, 3, HEX, ((HEX, 2), (HEX, 1))).line().decode()
        == f'{{"path":"big","mode":"755","size":3,"b3":"{HEX}","chunks":[["{HEX}",2],["{HEX}",1]]}}\n'
    )
    assert Node("empty", 0o700, is_dir=True).line() == b'{"path":"empty","mode":"700","dir":true}\n'
    assert Node("to", link="a b").line() == b'{"path":"to","link":"a b"}\n'
    assert (
        Node("é\n\U0001f600\udcff", 0o7, 1, HEX)
        .line()
        .startswith(b'{"path":"\\u00e9\\n\\ud83d\\ude00\\udcff","mode":"7","size":1,')
    )


def possible(found: list[Node]) -> list[Node]:
    """Leave out what would lie below a file or link, and folders in the place of one."""
    files = {node.path for node in found if not node.is_dir}
    kept = []
    for node in found:
        parts = node.path.split("/")
        above = {"/".join(parts[:end]) for end in range(1, len(parts))}
        if not files & above and not (node.is_dir and node.path in files):
            kept.append(node)
    return kept


@given(st.lists(nodes, unique_by=lambda node: node.order, max_size=6), st.integers(1, 50))
def test_a_tree_reads_back_in_the_order_of_its_paths_however_it_is_cut(
    found: list[Node], width: int
) -> None:
    ordered = sorted(map(plain, possible(found)), key=lambda node: node.order)
    data = b"".join(node.line() for node in ordered)
    cut = [data[at : at + width] for at in range(0, len(data), width)]
    assert list(parse(cut, "t")) == ordered


def test_a_folder_stands_right_before_what_is_in_it() -> None:
    ordered = ["a!", "a-b", "a.b", "a/", "a/b", "a0", "aa", "é", "\udcff", "\U0001f600"]
    assert sorted(ordered) == ordered
    lines = [
        Node(name.rstrip("/"), 0o755, is_dir=True)
        if name.endswith("/")
        else Node(name, 0o644, 1, HEX)
        for name in ordered
    ]
    found = list(parse([b"".join(node.line() for node in lines)], "t"))
    assert [node.order for node in found] == ordered


@pytest.mark.parametrize("pair", [("b", "a"), ("a", "a"), ("a/b", "a.b"), ("\U0001f600", "\udcff")])
def test_a_tree_out_of_order_or_with_a_path_twice_is_damaged(pair: tuple[str, str]) -> None:
    data = b"".join(Node(path, 0o644, 1, HEX).line() for path in pair)
    with pytest.raises(CorruptError, match="^t is damaged: .* is out of order"):
        list(parse([data], "t"))


BELOW = [
    [Node("a", 0o644, 1, HEX), Node("a/b", 0o644, 1, HEX)],
    [Node("a", 0o644, 1, HEX), Node("a!", 0o644, 1, HEX), Node("a/b", 0o644, 1, HEX)],
    [Node("a", link="/etc"), Node("a.b", 0o644, 1, HEX), Node("a/b/c", 0o644, 1, HEX)],
    [Node("a", link="/etc"), Node("a", 0o755, is_dir=True)],
    [Node("a", 0o644, 1, HEX), Node("a", 0o755, is_dir=True)],
    [Node("x", 0o755, is_dir=True), Node("x/a", link="b"), Node("x/a/b", link="c")],
]


@pytest.mark.parametrize("tree", BELOW, ids=range(len(BELOW)))
def test_a_tree_with_something_below_a_file_or_link_is_damaged(tree: list[Node]) -> None:
    assert sorted(tree, key=lambda node: node.order) == tree
    with pytest.raises(CorruptError, match="^t is damaged: .* lies below"):
        list(parse([b"".join(node.line() for node in tree)], "t"))


def test_files_in_a_folder_whose_name_begins_another_are_in_order() -> None:
    tree = ["a!/x", "a!b", "a-/y", "a/b", "a/b!", "a/b-/c", "ab", "ab!", "b"]
    data = b"".join(Node(path, 0o644, 1, HEX).line() for path in tree)
    assert [node.path for node in parse([data], "t")] == tree


def test_a_tree_must_end_with_a_whole_line() -> None:
    line = Node("a", 0o644, 1, HEX).line()
    with pytest.raises(CorruptError, match="ends within a line"):
        list(parse([line, line[:-1]], "t"))


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    def endless() -> Any:
        for read in range(1, 100):
            given_out.append(read)
            yield b"x" * (1 << 20)

    given_out: list[int] = []
    with pytest.raises(CorruptError, match="too long"):
        list(parse(endless(), "t"))
    assert len(given_out) <= (LINE_LIMIT >> 20) + 1


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "./a",
        "a/.",
        "a\0b",
        "\0",
        "//",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not possible"):
        check_path(path)
    with pytest.raises(CorruptError, match="^t is damaged: line"):
        parse_line(Node(path, 0o644, 1, HEX).line()[:-1], "t")


FILE: dict[str, Any] = {"path": "a", "mode": "644", "size": 1, "b3": HEX}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        [],
        None,
        "a",
        5,
        {"path": "a"},
        FILE | {"path": 5},
        FILE | {"path": None},
        FILE | {"path": ["a"]},
        FILE | {"mode": 644},
        FILE | {"mode": "648"},
        FILE | {"mode": "4755"},
        FILE | {"mode": ""},
        FILE | {"mode": "-1"},
        FILE | {"size": "1"},
        FILE | {"size": -1},
        FILE | {"size": 1.0},
        FILE | {"size": True},
        FILE | {"size": 2**63},
        FILE | {"size": None},
        FILE | {"size": 0},
        FILE | {"size": 0, "chunks": []},
        FILE | {"size": CHUNK_LIMIT + 1},
        FILE | {"b3": HEX.upper()},
        FILE | {"b3": HEX[:-1]},
        FILE | {"b3": None},
        FILE | {"chunks": 5},
        FILE | {"chunks": [[HEX]]},
        FILE | {"chunks": [[HEX, 2]]},
        FILE | {"chunks": [[HEX, 0], [HEX, 1]]},
        FILE | {"chunks": [[HEX, -1], [HEX, 2]]},
        FILE | {"chunks": [[HEX, "1"]]},
        FILE | {"chunks": [["x", 1]]},
        FILE | {"chunks": [5]},
        FILE | {"chunks": "ab"},
        FILE | {"size": CHUNK_LIMIT + 1, "chunks": [[HEX, CHUNK_LIMIT + 1]]},
        FILE | {"list": [[HEX, 36], [HEX, True]]},
        {"path": "a", "mode": "7777", "dir": True},
        {"path": "a", "dir": True},
        {"path": "a", "link": 5},
        {"path": "a", "link": ""},
        {"path": "a", "link": "a\0b"},
        {"path": "..", "link": "b"},
        {"path": "a/../b", "mode": "755", "dir": True},
    ],
    ids=str,
)
def test_a_line_that_is_not_what_it_must_be_is_damage_that_is_named(fields: Any) -> None:
    with pytest.raises(CorruptError, match="^tree 12 is damaged: line"):
        parse_line(json.dumps(fields, separators=(",", ":")).encode(), "tree 12")


@pytest.mark.parametrize("line", [b"", b"{", b"[" * 100_000, b'{"a":' * 10_000, b"\xff", b"nul"])
def test_a_line_that_is_no_json_is_damage(line: bytes) -> None:
    with pytest.raises(CorruptError, match="^t is damaged: line"):
        parse_line(line, "t")


def test_unknown_fields_of_a_line_are_passed_over() -> None:
    line = json.dumps(FILE | {"future": [1]}, separators=(",", ":")).encode()
    assert parse_line(line, "t") == Node("a", 0o644, 1, HEX)


@given(paths, modes, st.integers(0, CHUNK_LIMIT))
def test_the_short_way_to_write_a_line_writes_the_same(path: str, mode: int, size: int) -> None:
    assert file_line(json.dumps(path), mode, size, HEX) == Node(path, mode, size, HEX).line()


orders = st.lists(st.text("a!/-b", min_size=1, max_size=4), max_size=8)


@given(orders, st.booleans(), st.integers(1, 4))
@example(["a", "a!b", "a/x"], True, 2)
@example(["a/", "a/b", "a/b/c"], True, 2)
def test_nodes_taken_many_at_once_are_judged_like_each_by_itself(
    found: list[str], is_sorted: bool, width: int
) -> None:
    found = sorted(set(found)) if is_sorted else found
    parts = [found[at : at + width] for at in range(0, len(found), width)]
    assert (
        _judged([[order] for order in found], Order.take_all)
        == _judged(found, Order.take)
        == _judged(parts, Order.take_all)
    )


def _judged(items: list[Any], take: Any) -> str | None:
    order = Order("t")
    try:
        for item in items:
            take(order, item)
    except CorruptError as error:
        return error.message
    return None


def test_lines_that_were_seen_are_not_told_again_until_they_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Seen()
    assert seen.unseen([b"a", b"b"]) == [b"a", b"b"]
    assert seen.unseen([b"c", b"b", b"a"]) == [b"c"]
    monkeypatch.setattr("art.tree._SEEN_LIMIT", 0)
    assert seen.unseen([b"d"]) == [b"d"]
    assert seen.unseen([b"a", b"d"]) == [b"a"]
