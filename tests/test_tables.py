"""Tables are read from five formats; what is malformed is told with its line."""

import csv
import io
import json
import math
import sys
import tracemalloc
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art.errors import UsageError
from art.tables import (
    CELL_LIMIT,
    Table,
    cell_text,
    describe_table,
    json_value,
    load_json,
    read_table,
    table_format,
)

# Surrogates are no text in UTF-8; NUL is refused by the csv module of Python 3.10.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
json_cells = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_ending_of_a_name_tells_the_format():
    names = ["a.csv", "A.CSV", "x/b.tsv", "c.json", "d.jsonl", "d.ndjson", "e.parquet"]

    assert list(map(table_format, names)) == [
        "csv",
        "csv",
        "tsv",
        "json",
        "jsonl",
        "jsonl",
        "parquet",
    ]


@pytest.mark.parametrize("name", ["a.txt", "csv", "a.csv.gz", "", ".csv"])
def test_another_ending_is_refused(name):
    with pytest.raises(UsageError, match="not known as a table"):
        table_format(name)


def test_csv_cells_remain_text_and_a_byte_order_mark_is_no_part_of_a_name():
    table = read_table(b'\xef\xbb\xbfid,name\r\n1,"a, b"\r\n2,"two\nlines"\r\n', "csv")

    assert table == Table(["id", "name"], [["1", "a, b"], ["2", "two\nlines"]], 2, False)


def test_tsv_is_cut_at_tabs():
    assert read_table(b"a\tb\n1,5\t2\n", "tsv").rows == [["1,5", "2"]]


def test_a_limit_cuts_rows_and_all_of_them_are_counted():
    table = read_table(b"a\n1\n2\n3\n", "csv", limit=2)

    assert table == Table(["a"], [["1"], ["2"]], 3, True)


def test_a_known_number_of_rows_spares_reading_the_rest():
    stream = io.BytesIO(b"a\n1\n2\n" + b"3\n" * 100)

    table = read_table(stream, "csv", limit=1, known_rows=102)

    assert (table.total_rows, table.is_cut) == (102, True)
    assert stream.tell() < 10


def test_a_known_number_is_not_believed_when_all_rows_are_read():
    assert read_table(b"a\n1\n2\n", "csv", known_rows=7).total_rows == 2


def test_reading_for_people_fills_short_rows_and_names_surplus_cells():
    table = read_table(b"a,b\n1\n1,2,3\n\xff,x\n", "csv")

    assert table.columns == ["a", "b", "column 3"]
    assert table.rows == [["1", None, None], ["1", "2", "3"], ["\ufffd", "x", None]]


def test_lists_of_objects_give_all_names_in_the_order_of_their_appearance():
    table = read_table(b'[{"a": 1}, {"b": [2], "a": null}]', "json")

    assert table == Table(["a", "b"], [[1, None], [None, [2]]], 2, False)


def test_lists_of_lists_are_named_by_the_first_if_it_holds_different_texts():
    assert read_table(b'[["x", "y"], [1, 2]]', "json") == Table(["x", "y"], [[1, 2]], 1, False)
    assert read_table(b"[[1, 2]]", "json").columns == ["column 1", "column 2"]
    assert read_table(b'[["x", "x"]]', "json").total_rows == 1


def test_an_object_of_lists_holds_columns():
    assert read_table(b'{"a": [1, 2], "b": [3]}', "json").rows == [[1, 3], [2, None]]


def test_json_lines_skip_empty_lines():
    table = read_table(b'{"a": 1}\n\n{"a": 2, "b": 3}', "jsonl")

    assert table == Table(["a", "b"], [[1, None], [2, 3]], 2, False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b\n1,2\n3,4\n"),
        ("t.tsv", "a\tb\n1\t2\n3\t4"),
        ("t.json", '[{"a": 1, "b": 2}, {"a": 3}]'),
        ("t.jsonl", '["a", "b"]\n[1, 2]\n[3, 4]\n'),
    ],
)
def test_a_description_has_format_columns_and_number_of_rows(tmp_path, name, content):
    description = describe_table(write(tmp_path, name, content))

    assert description == {"name": name[2:], "columns": ["a", "b"], "rows": 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "a,b\n1,2\n1,2,3\n", "t.csv: line 3 has 3 cells, expected 2"),
        ("t.csv", "a,b\n1\n", "t.csv: line 2 has 1 cell, expected 2"),
        ("t.csv", 'a\n"one\ntwo"\n"x', "t.csv: line 4: unexpected end of data"),
        ("t.csv", "", "t.csv: is empty"),
        ("t.csv", b"a\nb\n\xe9\n", "t.csv: line 3 is not UTF-8: byte 0xe9"),
        ("t.csv", "a,b\n".encode("utf-16"), "t.csv: is UTF-16, expected UTF-8"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "t.jsonl: line 2: not JSON"),
        ("t.jsonl", '{"a": 1}\n\n7\n', "t.jsonl: line 3 is a number, expected an object"),
        ("t.jsonl", '["a"]\n[1, 2]\n', "t.jsonl: line 2 has 2 cells, expected 1"),
        ("t.json", '{"a": [1], "b": []}', "t.json: column 'b' has 0 values, expected 1"),
        ("t.json", '"x"', "t.json: is a text, expected a list of objects"),
        ("t.json", "[1]", "t.json: row 1 is a number, expected an object or a list"),
        ("t.json", "[" * 5000 + "]" * 5000, "nested"),
        ("t.parquet", b"PAR1 and no more", "t.parquet: cannot be read as parquet"),
    ],
)
def test_what_is_malformed_is_told_with_its_place(tmp_path, name, content, message):
    with pytest.raises(UsageError, match="^.*" + message.replace("(", r"\(")):
        describe_table(write(tmp_path, name, content))


def test_a_description_names_a_bounded_number_of_short_columns(tmp_path):
    path = write(tmp_path, "t.csv", ",".join(["x" * 500] * 3000) + "\n")

    columns = describe_table(path)["columns"]

    assert len(columns) == 1000
    assert len(columns[0]) == 200


def test_describing_a_large_file_takes_little_memory(tmp_path):
    path = write(tmp_path, "t.csv", "a,b,c\n" + "1000,2000,3000\n" * 300_000)

    tracemalloc.start()
    try:
        rows = describe_table(path)["rows"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert rows == 300_000
    assert peak < path.stat().st_size / 4


def test_a_table_whose_rows_would_fill_the_memory_is_refused():
    lines = "".join(f'{{"k{number}": 1}}\n' for number in range(math.isqrt(CELL_LIMIT) + 100))

    with pytest.raises(UsageError, match="cells"):
        read_table(lines.encode(), "jsonl")


def test_parquet_keeps_types(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    when = datetime(2026, 11, 21, 8, 30)  # noqa: DTZ001 - parquet has times without zone
    content = {"n": [1, 2, 3], "when": [when, None, when], "list": [[1], [], None]}
    path = tmp_path / "t.parquet"
    parquet.write_table(arrow.table(content), path)

    table = read_table(path.read_bytes(), "parquet", limit=2)

    assert table == Table(["n", "when", "list"], [[1, when, [1]], [2, None, []]], 3, True)
    assert describe_table(path) == {"name": "parquet", "columns": ["n", "when", "list"], "rows": 3}


def test_parquet_times_finer_than_those_of_python_are_text(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    nanoseconds = arrow.array([1001], arrow.timestamp("ns"))
    parquet.write_table(arrow.table({"t": nanoseconds}), tmp_path / "t.parquet")

    table = read_table((tmp_path / "t.parquet").read_bytes(), "parquet")

    assert table.rows == [["1970-01-01 00:00:00.000001001"]]


def test_parquet_is_read_from_a_stream_that_only_goes_forward(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"n": [7]}), tmp_path / "t.parquet")

    class Forward(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    with Forward((tmp_path / "t.parquet").read_bytes()) as stream:
        assert read_table(stream, "parquet").rows == [[7]]


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(UsageError, match="needs pyarrow") as caught:
        read_table(b"PAR1", "parquet")

    assert caught.value.hint == "pip install pyarrow"


def test_reading_leaves_the_stream_open():
    stream = io.BytesIO(b"a\n1\n")

    read_table(stream, "csv")

    assert not stream.closed


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=8))
def test_what_csv_wrote_is_read_back(rows):
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    writer.writerows(rows)

    table = read_table(out.getvalue().encode(), "csv")

    assert table == Table(["a", "b"], rows, len(rows), False)


@given(st.lists(st.dictionaries(texts, json_cells, max_size=4), max_size=6))
def test_every_object_is_found_again_in_its_row(records):
    data = "".join(json.dumps(record) + "\n" for record in records)

    table = read_table(data.encode(), "jsonl")

    assert table.total_rows == len(table.rows) == len(records)
    for row, record in zip(table.rows, records, strict=True):
        shown = dict(zip(table.columns, row, strict=True))
        assert {name: value for name, value in shown.items() if name in record} == record
        assert all(shown[name] is None for name in shown if name not in record)


@given(
    st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet"]),
    st.binary(max_size=60) | st.text('ab,"\n\t[]{}:1 ', max_size=40).map(str.encode),
)
def test_any_bytes_give_a_table_or_a_usage_error(format_name, data):
    try:
        table = read_table(data, format_name, limit=3)
    except UsageError:
        return

    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.is_cut == (table.total_rows > len(table.rows))


def test_cells_are_shown_as_people_read_them():
    values = [None, "x", True, 1, 1.5, b"ab", date(2026, 1, 2), Decimal("1.10"), {"a": [1, None]}]

    assert list(map(cell_text, values)) == [
        "",
        "x",
        "true",
        "1",
        "1.5",
        "<2 bytes>",
        "2026-01-02",
        "1.10",
        '{"a": [1, null]}',
    ]


def test_a_value_for_json_has_only_what_json_can_carry():
    value = {
        "t": datetime(2026, 1, 2, tzinfo=timezone.utc),
        "n": [math.nan, -math.inf, 1.5],
        3: b"",
    }

    text = json.dumps(json_value(value), allow_nan=False)

    assert json.loads(text) == {
        "t": "2026-01-02T00:00:00+00:00",
        "n": ["NaN", "-Infinity", 1.5],
        "3": "<0 bytes>",
    }


def test_json_is_refused_where_it_is_nested_too_deeply():
    assert load_json("[" * 50 + "]" * 50)
    for depth in (101, 100_000):
        with pytest.raises(ValueError, match="nested"):
            load_json("[" * depth + "]" * depth)
