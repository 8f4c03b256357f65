"""Tables given as Python data: kept as they were given, shown as rows, refused where they are none."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from art.errors import UsageError
from art.repo import Repo

RECORDS = [{"x": 1, "y": None}, {"x": 2.5, "z": "a"}]


@pytest.mark.parametrize(
    "data",
    [
        RECORDS,
        {"x": [1, 2], "y": ["a", None]},
        [["x", "y"], [1, 2]],
        [[1, 2], [3, 4]],
        [(1, Decimal("1.50")), (2, dt.date(2026, 1, 1))],
        [{"x": float("nan")}, {"x": float("-inf")}],
        [],
        {},
    ],
    ids=["records", "columns", "header", "lists", "typed", "nan", "none", "empty"],
)
def test_a_table_comes_back_as_it_was_given(repo: Repo, data: Any) -> None:
    version = repo.table("k", data).version
    assert (version.type, repr(version.load())) == ("table", repr(data))


def test_rows_are_shown_of_each_shape(repo: Repo) -> None:
    def rows(data: Any, **options: Any) -> tuple[list[str], list[list[Any]]]:
        table = repo.table("k", data, **options).version.rows()
        return table.columns, table.rows

    assert rows(RECORDS) == (["x", "y", "z"], [[1, None, None], [2.5, None, "a"]])
    assert rows({"x": [1, 2], "y": ["a", "b"]}) == (["x", "y"], [[1, "a"], [2, "b"]])
    assert rows([["x", "y"], [1, 2]]) == (["x", "y"], [[1, 2]])
    assert rows([[1, Decimal("2")]]) == (["column 1", "column 2"], [[1, Decimal("2")]])
    assert rows([[1], [2, 3]], ragged=True) == (["column 1", "column 2"], [[1, None], [2, 3]])


def test_what_gives_rows_becomes_a_list_with_named_columns(repo: Repo) -> None:
    version = repo.table("k", ((n, n * n) for n in range(3)), columns=["n", "square"]).version
    assert version.load() == [{"n": n, "square": n * n} for n in range(3)]
    assert (version.format["columns"], version.format["rows"]) == (["n", "square"], 3)
    assert repo.table("k", RECORDS, columns=["z", "x"]).version.load() == [
        {"z": None, "x": 1},
        {"z": "a", "x": 2.5},
    ]


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        ([[1], [1, 2]], {}, "row 2 has 2 cells, expected 1"),
        ({"a": [1], "b": []}, {}, "column 'b' has 0 cells"),
        ({"a": 1}, {}, "column 'a'"),
        ([1, 2], {}, "row 1"),
        ([{"a": 1}, [1]], {}, "row 2"),
        ("no such.csv", {}, "no file"),
        (7, {}, "a table is"),
        ({1: [2]}, {}, "names are texts"),
        ([{"a": 1}], {"columns": ["a", "typo"]}, "no column 'typo'"),
        ({"a": [1]}, {"columns": ["typo"]}, "no column 'typo'"),
        ([[1, 2]], {"columns": ["a", "a"]}, "same name"),
        ([[1, 2]], {"columns": ["a"], "ragged": True}, "row 1 has 2 cells"),
    ],
)
def test_what_is_no_table_is_refused(
    repo: Repo, data: Any, options: dict[str, Any], match: str
) -> None:
    from art import ArtError

    with pytest.raises(ArtError, match=match):
        repo.table("k", data, **options)
    assert repo.keys() == []


def test_what_nearly_is_a_table_is_refused_with_what_makes_it_one(repo: Repo) -> None:
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    np, pl = pytest.importorskip("numpy"), pytest.importorskip("polars")

    class Mine(pd.DataFrame):  # type: ignore[misc,name-defined]
        pass

    for data, message, hint in (
        (
            Mine({"a": [1]}),
            "would come back as its base pandas.DataFrame",
            "convert it to DataFrame",
        ),
        (np.eye(3), "row 1 of the table is a ndarray", "give what its tolist() returns"),
        (pl.DataFrame({"a": [1]}).lazy(), "not a LazyFrame", "give what its collect() returns"),
        (pa.record_batch({"a": [1]}), "RecordBatch", "Table.from_batches"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            repo.table("k", data)
        assert hint in str(caught.value.hint)
        assert "\n" not in caught.value.message
    with pytest.raises(UsageError, match="the key is of type DataFrame, expected a text"):
        repo.save("k", pd.DataFrame({"a": [1]}))  # the wrong way round
    assert repo.keys() == []


def test_columns_of_a_frame_are_chosen_before(repo: Repo) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [1]})
    with pytest.raises(UsageError, match="columns are named"):
        repo.table("k", frame, columns=["renamed"])
    assert repo.table("k", frame).version.type == "table"


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        (range(3), "give list(…) of it"),
        (b"abc", None),
        (memoryview(b"abc"), "give what its tolist() returns"),
    ],
    ids=["range", "bytes", "memoryview"],
)
def test_a_column_that_is_no_list_is_refused_with_what_makes_one(
    repo: Repo, column: Any, hint: str | None
) -> None:
    with pytest.raises(
        UsageError, match="column 'a' of the table is a .*, expected a list"
    ) as caught:
        repo.table("t", {"a": column})
    assert caught.value.hint == hint


def test_every_table_of_arrow_is_one_also_where_parquet_has_no_room_for_its_types(
    repo: Repo,
) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"name": pa.array(["x", None]).dictionary_encode(), "n": [1, 2]})
    version = repo.table("t", table).version
    assert (version.type, version.format["name"], version.format["rows"]) == ("table", "arrow", 2)
    assert version.rows().rows == [["x", 1], [None, 2]]
    assert (version.rows(limit=1).rows, version.rows(limit=1).total_rows) == ([["x", 1]], 2)
    assert version.load() == table
    assert repo.save(table, "t").version == version
    repo.save(table.slice(0, 1), "t")
    compared = repo.compare("t@v1", "t@v2")
    assert compared.table is not None
    assert len(compared.table.rows_removed) == 1


def test_cells_that_json_has_not_are_compared_as_what_they_are(repo: Repo) -> None:
    repo.table("t", [{"day": dt.date(2020, 1, 1), "n": 1}])
    repo.table("t", [{"day": dt.date(2020, 1, 1), "n": 2}])
    compared = repo.compare("t@v1", "t@v2", key_columns=["day"])
    assert compared.table is not None
    assert len(compared.table.rows_changed) == 1
