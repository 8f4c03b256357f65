"""What a comparison reports leads from the left value to the right one."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from art.diff import (
    Comparison,
    JsonChange,
    TableDiff,
    TreeDiff,
    compare_json,
    compare_lines,
    compare_mappings,
    compare_tables,
    compare_trees,
    compare_versions,
)
from art.diff.sequences import find_gaps
from art.diff.versions import CONTENT_LIMIT
from art.errors import NotFoundError, UsageError
from art.model import Payload
from art.tables import Table
from art.tree import Node

few = st.lists(st.integers(0, 3), max_size=14)
many = st.lists(st.integers(0, 30), max_size=30)
lines = st.lists(st.sampled_from(["", "a", "b", "-c", "+d", "@@ e", "\ré"]), max_size=12)
cells = st.sampled_from(["1", "2", "3", 1, 1.5, None, True, [1], {"a": None}])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", 0.5])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)


# --- sequences and lines --------------------------------------------------------------------------


@given(st.tuples(few, few) | st.tuples(many, many))
def test_filling_the_gaps_of_the_left_gives_the_right(pair):
    left, right = pair
    filled, place = [], 0
    for a_from, a_to, b_from, b_to in find_gaps(left, right):
        filled += left[place:a_from] + right[b_from:b_to]
        place = a_to

    assert filled + left[place:] == right


@given(few, few)
def test_no_gap_begins_or_ends_with_what_is_equal(left, right):
    for a_from, a_to, b_from, b_to in find_gaps(left, right):
        assert (a_from, b_from) != (a_to, b_to)
        if a_from < a_to and b_from < b_to:
            assert not set(left[a_from:a_to]) & set(right[b_from:b_to])


def test_a_large_shuffled_sequence_is_compared_without_quadratic_time():
    left = list(range(100_000))
    right = left.copy()
    random.Random(1).shuffle(right)

    gaps = find_gaps(left, right)

    kept = len(left) - sum(a_to - a_from for a_from, a_to, _, _ in gaps)
    assert kept > 500  # the longest rising part of n shuffled numbers has about 2·√n


def apply_lines(text: str, hunks: list[str]) -> str:
    """Apply a unified diff as patch does: every context and removed line must match."""
    old = text.split("\n")
    result: list[str] = []
    place = 0
    for hunk in hunks:
        if hunk.startswith("@@"):
            start, _, length = hunk.split()[1][1:].partition(",")
            begin = int(start) - (length != "0")
            result += old[place:begin]
            place = begin
        elif hunk.startswith("\\"):
            continue
        else:
            if hunk[0] in " -":
                assert old[place] == hunk[1:]
                place += 1
            if hunk[0] in " +":
                result.append(hunk[1:])
    return "\n".join(result + old[place:])


@given(lines, lines)
def test_applying_the_lines_gives_the_other_text(left, right):
    # Both end in the same line, so that newlines at the end are a matter of the next test.
    old, new = "\n".join([*left, "end", ""]), "\n".join([*right, "end", ""])

    assert apply_lines(old, compare_lines(old, new)) == new


def test_lines_come_as_hunks_with_three_lines_of_context():
    old = "".join(f"{number}\n" for number in range(1, 21))
    new = old.replace("10\n", "ten\n").replace("20\n", "")

    assert compare_lines(old, new) == [
        *("@@ -7,7 +7,7 @@", " 7", " 8", " 9", "-10", "+ten", " 11", " 12", " 13"),
        *("@@ -17,4 +17,3 @@", " 17", " 18", " 19", "-20"),
    ]


def test_a_missing_newline_at_the_end_is_a_difference():
    assert compare_lines("a\n", "a") == ["@@ -1 +1 @@", "-a", "+a", "\\ No newline at end of file"]
    assert compare_lines("", "a\n") == ["@@ -0,0 +1 @@", "+a"]
    assert compare_lines("a\u2028b", "a\u2028b") == []


# --- JSON -----------------------------------------------------------------------------------------


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@given(values, values)
def test_values_differ_exactly_where_changes_are_reported(left, right):
    assert (compare_json(left, right) == []) == (canonical(left) == canonical(right))


def at(value: Any, path: str) -> Any:
    """Look up a path such as `$.a[1]`, which names of one letter keep simple."""
    for step in path[1:].replace("[", ".[").split(".")[1:]:
        value = value[int(step[1:-1])] if step.startswith("[") else value[step]
    return value


@given(values, values)
def test_what_is_new_stands_at_its_path_on_the_right(left, right):
    for change in compare_json(left, right):
        if change.kind in ("added", "changed"):
            assert at(right, change.path) == change.new


def test_paths_name_the_place_of_a_change():
    left = {"a": {"b": [1, 2, 3]}, "gone": 1, "x y": None}
    right = {"a": {"b": [0, 1, 2, {"c": 3}]}, "new": [], "x y": True}

    assert compare_json(left, right) == [
        JsonChange("$.a.b[0]", "added", new=0),
        JsonChange("$.a.b[3]", "changed", 3, {"c": 3}),
        JsonChange("$.gone", "removed", old=1),
        JsonChange('$["x y"]', "changed", None, True),
        JsonChange("$.new", "added", new=[]),
    ]


def test_one_is_not_true_but_equal_to_one_point_zero_and_nan_to_itself():
    assert compare_json([1, 1, float("nan")], [True, 1.0, float("nan")]) == [
        JsonChange("$[0]", "changed", 1, True)
    ]


def test_mappings_have_paths_without_a_root():
    changes = compare_mappings({"metadata": {"rows": 1}}, {"metadata": {"rows": 2}})

    assert changes == [JsonChange("metadata.rows", "changed", 1, 2)]


# --- tables ---------------------------------------------------------------------------------------


def table(*rows: list[Any], columns: str = "abc") -> Table:
    return Table(list(columns), list(rows), len(rows), False)


def applied(diff: TableDiff, left: Table, size: int) -> list[Any]:
    """Return the right rows by what the difference says, without looking at them."""
    result: list[Any] = [None] * size
    changed = {change.left: change for change in diff.rows_changed}
    moved = dict(diff.rows_moved)
    removed = {row.number for row in diff.rows_removed}
    for row in diff.rows_added:
        result[row.number - 1] = row.cells
    for number, change in changed.items():
        new = {cell.column: cell.new for cell in change.cells}
        old = zip(left.columns, left.rows[number - 1], strict=True)
        result[change.right - 1] = [new.get(column, cell) for column, cell in old]
    for number, place in moved.items():
        result[place - 1] = left.rows[number - 1]
    gone = removed | set(changed) | set(moved)
    rest = [number for number in range(1, len(left.rows) + 1) if number not in gone]
    assert len(rest) == diff.rows_same
    for place, row in enumerate(result):
        if row is None:
            result[place] = left.rows[rest.pop(0) - 1]
    assert not rest
    return result


rows = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=10)


@given(rows, rows)
def test_applying_a_table_difference_gives_the_other_table(old, new):
    left, right = table(*old), table(*new)

    diff = compare_tables(left, right)

    assert compare_json(applied(diff, left, len(new)), new) == []
    assert diff.is_same == (compare_json(old, new) == [])


@given(rows, rows)
def test_with_key_columns_the_same_rows_are_reached_in_any_order(old, new):
    left, right = table(*old), table(*new)

    diff = compare_tables(left, right, ["a"])

    kept = {number + 1: row for number, row in enumerate(old)}
    for removed in diff.rows_removed:
        del kept[removed.number]
    for change in diff.rows_changed:
        fresh = {cell.column: cell.new for cell in change.cells}
        pairs = zip("abc", kept[change.left], strict=True)
        kept[change.left] = [fresh.get(name, cell) for name, cell in pairs]
        assert compare_json(change.key, [new[change.right - 1][0]]) == []
    result = [*kept.values(), *(row.cells for row in diff.rows_added)]
    assert Counter(map(canonical, result)) == Counter(map(canonical, new))


def test_a_changed_row_is_found_by_the_column_that_tells_rows_apart():
    left = table(["1", "ann", "3.5"], ["2", "bob", "4.5"], ["3", "cem", "5.5"])
    right = table(
        ["0", "new", "1.5"], ["1", "ann", "3.6"], ["2", "bob", "4.6"], ["3", "cem", "5.6"]
    )

    diff = compare_tables(left, right)

    assert [row.number for row in diff.rows_added] == [1]
    assert [(change.left, change.right) for change in diff.rows_changed] == [(1, 2), (2, 3), (3, 4)]
    assert [(c.column, c.old, c.new) for c in diff.rows_changed[0].cells] == [("c", "3.5", "3.6")]


def test_that_column_is_enough_where_every_other_cell_changed():
    left, right = table(["1", "a", "x"], ["2", "b", "y"]), table(["1", "c", "z"], ["2", "d", "w"])

    assert [len(row.cells) for row in compare_tables(left, right).rows_changed] == [2, 2]


def test_without_such_a_column_rows_that_agree_in_half_of_their_cells_belong_together():
    left = table(["x", "y", "1"], ["x", "y", "1"], ["p", "q", "2"])
    right = table(["x", "y", "1"], ["x", "y", "9"], ["r", "s", "t"])

    diff = compare_tables(left, right)

    assert [(change.left, change.right) for change in diff.rows_changed] == [(2, 2)]
    assert [row.cells for row in diff.rows_removed] == [["p", "q", "2"]]
    assert [row.cells for row in diff.rows_added] == [["r", "s", "t"]]


def test_a_row_that_changed_its_place_has_moved_unless_there_are_key_columns():
    left = table(["1", "", ""], ["2", "", ""], ["3", "", ""])
    right = table(["2", "", ""], ["3", "", ""], ["1", "", ""])

    assert compare_tables(left, right).rows_moved == [(1, 3)]
    assert compare_tables(left, right, ["a"]).is_same


def test_rows_with_equal_keys_belong_together_in_their_order():
    left, right = table(["k", "1", ""], ["k", "2", ""]), table(["k", "1", ""], ["k", "3", ""])

    diff = compare_tables(left, right, ["a"])

    assert [(change.left, change.right) for change in diff.rows_changed] == [(2, 2)]


def test_columns_are_compared_by_name_and_rows_in_those_that_both_have():
    diff = compare_tables(table([1, 2, 3], columns="abc"), table([3, 1, 9], columns="cad"))

    assert (diff.columns_added, diff.columns_removed) == (["d"], ["b"])
    assert diff.columns_reordered
    assert diff.rows_same == 1


def test_columns_of_one_name_are_told_apart():
    diff = compare_tables(table([1, 2], columns="xx"), table([1, 5], columns="xx"))

    assert [cell.column for cell in diff.rows_changed[0].cells] == ["x #2"]


def test_an_unknown_key_column_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="'id' is not in both tables, expected one of 'a', 'b'"):
        compare_tables(table(), table(), ["id"])


def test_a_large_table_in_which_every_row_changed_is_matched_row_by_row():
    old = [[str(number), "eu", str(number % 7)] for number in range(20_000)]
    new = [[key, region, value + "0"] for key, region, value in old]

    diff = compare_tables(table(*old), table(*new))

    assert len(diff.rows_changed) == 20_000


# --- trees ----------------------------------------------------------------------------------------

paths = st.lists(st.sampled_from(["a", "b", "b/c", "b-c", "d/e", "d/f"]), unique=True)


@st.composite
def trees(draw: Callable[..., Any]) -> list[Node]:
    nodes = []
    for path in draw(paths):
        content = draw(st.sampled_from([b"", b"one", b"two", b"three"]))
        kinds = [
            Node(path, draw(st.sampled_from([0o644, 0o755])), len(content), digest(content)),
            Node(path, link="a"),
            Node(path, 0o700, is_dir=True),
        ]
        nodes.append(draw(st.sampled_from(kinds)))
    return sorted(nodes, key=lambda node: node.order)


def digest(data: bytes) -> str:
    return blake3(data).hexdigest()


def file(path: str, content: bytes = b"", mode: int = 0o644) -> Node:
    return Node(path, mode, len(content), digest(content))


@given(trees(), trees())
def test_applying_a_tree_difference_gives_the_other_tree(left, right):
    diff = compare_trees(iter(left), iter(right))

    result = {node.path: node for node in left}
    for node in diff.removed:
        del result[node.path]
    for change in diff.renamed:
        assert (change.old.b3, change.old.size > 0) == (change.new.b3, True)
        del result[change.old.path]
    for change in [*diff.modified, *diff.mode_changed]:
        assert change.old == result[change.new.path] != change.new
    changes = [*diff.modified, *diff.mode_changed, *diff.renamed]
    for node in [*(change.new for change in changes), *diff.added]:
        result[node.path] = node
    assert result == {node.path: node for node in right}
    assert diff.is_same == (left == right)
    assert diff.same == len(set(left) & set(right))


@given(trees(), trees())
def test_a_path_stands_in_one_list_only(left, right):
    diff = compare_trees(left, right)

    old = Counter(node.path for node in diff.removed)
    new = Counter(node.path for node in diff.added)
    for change in [*diff.modified, *diff.mode_changed, *diff.renamed]:
        old[change.old.path] += 1
        new[change.new.path] += 1
    assert set(old.values()) | set(new.values()) <= {1}
    assert not {node.path for node in diff.removed} & {node.path for node in diff.added}


def test_a_file_that_became_a_folder_is_modified_wherever_trees_put_folders():
    left = [Node("b", 0o700, is_dir=True)]
    right = [file("b"), file("b-c")]

    diff = compare_trees(left, right)

    assert [(change.old.path, change.new.is_file) for change in diff.modified] == [("b", True)]
    assert [node.path for node in diff.added] == ["b-c"]


def test_empty_files_are_not_taken_for_renamed():
    assert compare_trees([file("a")], [file("b")]).renamed == []


def test_each_kind_of_change_is_told_apart():
    left = [file("a", b"1"), file("b", b"2"), file("c", b"3"), file("d/x", b"4")]
    right = [file("a", b"9"), file("b", b"2", 0o755), file("e", b"5"), file("f/x", b"4")]

    diff = compare_trees(left, right)

    assert [change.new.path for change in diff.modified] == ["a"]
    assert [change.new.path for change in diff.mode_changed] == ["b"]
    assert [(change.old.path, change.new.path) for change in diff.renamed] == [("d/x", "f/x")]
    assert [node.path for node in diff.removed] == ["c"]
    assert [node.path for node in diff.added] == ["e"]
    assert (diff.left_files, diff.right_files, diff.left_size, diff.right_size) == (4, 4, 4, 4)


def test_of_equal_files_those_with_the_same_name_are_taken_for_renamed():
    left = [file("a/one", b"x"), file("a/two", b"x")]
    right = [file("b/two", b"x"), file("b/zwei", b"x")]

    renamed = [(change.old.path, change.new.path) for change in compare_trees(left, right).renamed]

    assert renamed == [("a/two", "b/two"), ("a/one", "b/zwei")]


def test_the_way_a_file_was_cut_is_no_difference():
    cut = Node("a", 0o644, 2, digest(b"ab"), ((digest(b"a"), 1), (digest(b"b"), 1)))

    assert compare_trees([cut], [file("a", b"ab")]).is_same


# --- versions -------------------------------------------------------------------------------------


@dataclass
class Held:
    """A version held in memory."""

    contents: dict[str, bytes] = field(default_factory=dict)
    ref: str = "key@v1"
    type: str = "file"
    title: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    partitions: dict[str, str] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    format: dict[str, Any] | None = None
    payload: Payload | None = None
    progress: None = None

    @property
    def files(self) -> list[Node]:
        return sorted(file(path, data) for path, data in self.contents.items())

    def read(self, path: str | None = None) -> bytes:
        if self.payload and self.payload.inline is not None:
            return self.payload.inline.encode()
        assert path is not None
        return self.contents[path]


def single(name: str, content: str | bytes, **about: Any) -> Held:
    data = content if isinstance(content, bytes) else content.encode()
    payload = Payload(tree=digest(file(name, data).line()), size=len(data), files=1, file=name)
    return Held({name: data}, payload=payload, **about)


def folder(**contents: str) -> Held:
    held = {path.replace("__", "/"): text.encode() for path, text in contents.items()}
    tree = digest(b"".join(file(path, data).line() for path, data in sorted(held.items())))
    return Held(held, type="folder", payload=Payload(tree=tree, size=0, files=len(held)))


def inline(text: str, **about: Any) -> Held:
    return Held(payload=Payload(inline=text, size=len(text), b3=digest(text.encode())), **about)


def assert_is_json(comparison: Comparison) -> dict[str, Any]:
    document = comparison.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    return document


def test_a_version_is_the_same_as_itself():
    for held in (single("a.csv", "a\n1\n"), folder(a="1"), inline("x"), Held()):
        comparison = compare_versions(held, held)

        assert comparison.is_same
        assert assert_is_json(comparison)["is_same"] is True


def test_metadata_is_always_compared():
    left = inline("x", title="Old", metadata={"rows": 1}, labels=["a", "b"])
    right = inline("x", title="New", metadata={"rows": 2}, labels=["a", "c"])

    comparison = compare_versions(left, right)

    assert comparison.payload == "identical"
    assert not comparison.is_same
    assert [change.path for change in comparison.metadata] == [
        "title",
        "metadata.rows",
        "labels[1]",
    ]


def test_csv_is_compared_by_rows_and_cells_whatever_its_type():
    comparison = compare_versions(single("a.csv", "a,b\n1,2\n"), single("a.csv", "a,b\n1,3\n"))

    assert comparison.payload == "table"
    assert comparison.table
    assert comparison.table.rows_changed[0].cells[0].new == "3"
    assert assert_is_json(comparison)["table"]["rows_changed"][0]["left"] == 1


def test_csv_and_typed_formats_are_compared_as_text():
    typed = single("a.jsonl", '{"a": 1, "b": true}\n')

    comparison = compare_versions(single("a.csv", "a,b\n1,true\n"), typed)

    assert comparison.table
    assert comparison.table.is_same
    assert not comparison.is_same


def test_json_is_compared_by_paths_and_as_a_table_where_it_is_one():
    left, right = '[{"id": 1, "n": 2}]', '[{"id": 1, "n": 3}]'

    plain = compare_versions(single("a.json", left), single("a.json", right))
    about = {"type": "table", "format": {"name": "json"}}
    declared = compare_versions(single("a", left, **about), single("a", right, **about))
    keyed = compare_versions(single("a.json", left), single("a.json", right), key_columns=["id"])

    assert plain.json == [JsonChange("$[0].n", "changed", 2, 3)]
    assert declared.payload == keyed.payload == "table"


@pytest.mark.parametrize(
    ("name", "left", "right", "note"),
    [
        ("a.json", '{"a": ', '{"a": 1}', "not compared as JSON"),
        ("a.jsonl", "x\n", "y\n", "not compared as tables"),
        ("a.parquet", "x\n", "y\n", "not compared as tables"),
    ],
)
def test_what_is_not_what_its_name_says_is_compared_as_text(name, left, right, note):
    comparison = compare_versions(single(name, left), single(name, right))

    assert comparison.payload == "text"
    assert note in comparison.notes[0]


def test_text_is_compared_by_lines_also_in_the_manifest():
    assert compare_versions(inline("a\nb\n"), inline("a\nc\n")).lines == [
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]


def test_what_is_not_text_is_compared_by_digest():
    comparison = compare_versions(single("a.bin", b"\x00"), single("a.bin", b"\xff\xff"))

    assert comparison.payload == "binary"
    assert [change.path for change in comparison.payload_changes] == ["size", "b3"]


def test_large_content_is_compared_by_digest_without_being_read():
    left, right = single("a.csv", "a\n"), single("a.csv", "b\n")
    large = file("a.csv", b"")._replace(size=CONTENT_LIMIT + 1)

    class Large(Held):
        @property
        def files(self) -> list[Node]:
            return [large]

        def read(self, path: str | None = None) -> bytes:
            raise AssertionError("it is too large to be read")

    comparison = compare_versions(left, Large(payload=right.payload))

    assert comparison.payload == "binary"
    assert "16 MiB" in comparison.notes[0]


def test_a_single_file_under_another_name_is_identical_but_not_the_same():
    comparison = compare_versions(single("a.csv", "a\n"), single("b.csv", "a\n"))

    assert comparison.payload == "identical"
    assert not comparison.is_same
    assert comparison.payload_changes == [JsonChange("file", "changed", "a.csv", "b.csv")]


def test_folders_are_compared_by_files_and_their_lines_on_request():
    left = folder(a="1\n", b="x", d__e="\0")
    right = folder(a="2\n", c="x", d__e="\0\0")

    plain = compare_versions(left, right)
    full = compare_versions(left, right, contents=True)

    assert isinstance(plain.tree, TreeDiff)
    assert plain.contents == {}
    assert full.contents == {"a": ["@@ -1 +1 @@", "-1", "+2"]}
    assert assert_is_json(full)["tree"]["renamed"][0]["new"]["path"] == "c"


def test_one_path_of_each_version_can_be_compared():
    left, right = folder(x__a="1\n", y="2\n"), folder(z__a="1\n", z__b="2\n")

    files = compare_versions(left, right, paths=("y", "z/a"))
    folders = compare_versions(left, right, paths=("x", "z"))

    assert (files.left, files.lines) == ("key@v1/y", ["@@ -1 +1 @@", "-2", "+1"])
    assert folders.tree
    assert [node.path for node in folders.tree.added] == ["b"]
    with pytest.raises(NotFoundError, match="no file 'q'"):
        compare_versions(left, right, paths=("q", "z"))


def test_a_version_without_content_has_everything_added():
    assert compare_versions(Held(), inline("a\n")).lines == ["@@ -0,0 +1 @@", "+a"]
    added = compare_versions(Held(), folder(a="1")).tree
    assert added
    assert [node.path for node in added.added] == ["a"]


def test_references_are_compared_by_what_is_recorded():
    left = Held(payload=Payload(url="s3://b/a", size=1, checksum="b3:" + "0" * 64))
    right = Held(payload=Payload(url="s3://b/a", size=2))

    comparison = compare_versions(left, right)

    assert comparison.payload == "reference"
    assert [change.path for change in comparison.payload_changes] == ["size", "checksum"]
    assert "no checksum" in comparison.notes[0]
    assert compare_versions(left, left).is_same


def test_key_columns_are_refused_for_what_is_no_table():
    with pytest.raises(UsageError, match="key columns are for tables"):
        compare_versions(inline("a"), inline("b"), key_columns=["id"])


def test_versions_of_a_repository_are_compared(repo, workplace):
    (workplace / "prices.csv").write_text("day,price\n1,2.50\n2,3.00\n")
    repo.create("prices", "prices.csv", title="Prices")
    (workplace / "prices.csv").write_text("day,price\n1,2.50\n2,3.10\n3,1.00\n")
    repo.create("prices", "prices.csv", title="Prices")

    table = repo.compare("prices@v1", "prices@v2", key_columns=["day"]).table

    assert [row.cells for row in table.rows_added] == [["3", "1.00"]]
    assert [(change.key, change.cells[0].new) for change in table.rows_changed] == [(["2"], "3.10")]
