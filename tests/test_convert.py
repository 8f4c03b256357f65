"""What a version holds, in other forms."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import tracemalloc
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art import convert, tables
from art.convert.rows import Rows
from art.errors import ArtError, ConflictError, UsageError
from art.render.terminal import render_version
from art.repo import Repo
from art.tables import cell_text
from art.version import Version


def made(version: Version, form: str, path: str = "") -> bytes:
    stream = io.BytesIO()
    convert.write(version, form, stream, path=path)
    assert not stream.closed
    return stream.getvalue()


def as_json(version: Version, path: str = "") -> Any:
    return json.loads(made(version, "json", path), parse_constant=pytest.fail)


def as_csv(version: Version, path: str = "") -> list[list[str]]:
    return list(csv.reader(io.StringIO(made(version, "csv", path).decode())))


def as_parquet(version: Version) -> Any:
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(io.BytesIO(made(version, "parquet")))


def as_xlsx(version: Version) -> Any:
    openpyxl = pytest.importorskip("openpyxl")
    return openpyxl.load_workbook(io.BytesIO(made(version, "xlsx"))).active


def table(repo: Repo, text: str, name: str = "t.csv") -> Version:
    Path(name).write_text(text, encoding="utf-8")
    return repo.table(Path(name).stem, name).version


# --- tables of texts ------------------------------------------------------------------------------


def test_csv_as_csv_is_the_file_itself(repo):
    text = 'a;b,"c"\r\n1, 2\r\n'

    assert made(table(repo, text), "csv") == text.encode()


def test_columns_of_csv_that_are_all_numbers_are_numbers_in_json(repo):
    text = "id,count,price,code,mixed\n007,1,2.50,1e5,1\n008,,3,2,x\n"

    assert as_json(table(repo, text)) == [
        {"id": "007", "count": 1, "price": 2.5, "code": 100000.0, "mixed": "1"},
        {"id": "008", "count": None, "price": 3.0, "code": 2.0, "mixed": "x"},
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "007",
        "-0",
        "+1",
        "9223372036854775808",
        "1.2345678901234567",
        "1e999",
        "1e-999",
        " 1",
        "NaN",
    ],
)
def test_a_text_that_a_number_would_change_stays_a_text(repo, cell):
    assert as_json(table(repo, f"a\n{cell}\n")) == [{"a": cell}]


@given(st.text(st.sampled_from("0123456789.-+eE"), max_size=22))
def test_a_number_made_of_a_text_is_the_number_that_the_text_says(cell):
    (row,) = Rows(["a"], lambda: iter([[cell]]), texts=True).typed()

    if isinstance(row[0], (int, float)):
        exact = Decimal(cell)
        assert abs(Decimal(row[0]) - exact) <= abs(exact) * Decimal("1e-15")


def test_every_form_of_text_becomes_csv(repo):
    rows = [["day", "price"], ["1", "2.5"], ["2", ""]]

    assert as_csv(table(repo, "day\tprice\n1\t2.5\n2\t\n", "a.tsv")) == rows
    assert as_csv(table(repo, '{"day":1,"price":2.5}\n{"day":2}\n', "b.jsonl")) == rows
    assert as_csv(table(repo, '[{"day":1,"price":2.5},{"day":2}]', "c.json")) == rows
    assert as_csv(table(repo, '{"day":[1,2],"price":[2.5,null]}', "d.json")) == rows


def test_a_column_that_only_the_last_row_has_is_a_column(repo):
    version = table(repo, '{"a":1}\n{"a":2,"b":[1,{"c":null}]}\n', "t.jsonl")

    assert as_csv(version) == [["a", "b"], ["1", ""], ["2", '[1, {"c": null}]']]
    assert as_json(version)[0] == {"a": 1, "b": None}


def test_types_of_csv_in_parquet(repo):
    found = as_parquet(table(repo, "a,b,c\n1,1.5,x\n,2,\n"))

    assert [str(field.type) for field in found.schema] == ["int64", "double", "string"]
    assert found.to_pylist() == [{"a": 1, "b": 1.5, "c": "x"}, {"a": None, "b": 2.0, "c": ""}]


def test_malformed_files_are_refused_with_the_line(repo, workplace):
    (workplace / "bad.csv").write_text("a,b\n1\n")
    (workplace / "latin.csv").write_bytes(b"a\n\xe4\n")

    for name, line in (("bad.csv", "line 2 has 1 cell"), ("latin.csv", "line 2 is not UTF-8")):
        version = repo.create("k", name).version
        with pytest.raises(UsageError, match=line):
            made(version, "json")


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_two_columns_of_one_name_are_refused_where_one_would_be_lost(repo, form):
    with pytest.raises(UsageError, match="'a'"):
        made(table(repo, "a,a\n1,2\n"), form)


def test_a_table_without_rows(repo):
    version = table(repo, "a,b\n")

    assert as_json(version) == []
    assert as_parquet(version).num_rows == 0
    assert made(version, "md") == b"| a | b |\n| --- | --- |\n"
    assert [cell.value for cell in as_xlsx(version)[1]] == ["a", "b"]


def test_long_csv_takes_little_memory(repo, workplace):
    with (workplace / "long.csv").open("w") as stream:
        stream.write("number,text\n")
        stream.writelines(f"{number},{'x' * 2000}\n" for number in range(15_000))
    version = repo.create("long", "long.csv", preview=False).version

    for form in ("csv", "json", "parquet"):
        with (workplace / "out").open("wb") as out:
            tracemalloc.start()
            convert.write(version, form, out)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 16 << 20, (form, peak)


# --- typed cells ----------------------------------------------------------------------------------

ZONED = datetime(2026, 11, 21, 8, 30, tzinfo=timezone(timedelta(hours=1)))
NAIVE = ZONED.replace(tzinfo=None)
ROW = {
    "decimal": Decimal("1.10"),
    "when": ZONED,
    "day": date(2026, 11, 21),
    "bytes": b"\x00\xff",
    "nan": float("nan"),
    "infinite": float("-inf"),
    "flag": True,
    "none": None,
    "list": [1, {"a": float("nan")}],
}


def test_typed_cells_as_texts(repo):
    version = repo.table("t", [ROW]).version

    assert as_csv(version)[1] == [
        "1.10", "2026-11-21T08:30:00+01:00", "2026-11-21", "AP8=", "NaN", "-Infinity", "true", "",
        '[1, {"a": null}]',
    ]  # fmt: skip


def test_typed_cells_in_json(repo):
    (row,) = as_json(repo.table("t", [ROW]).version)

    assert list(row.values()) == [
        "1.10", "2026-11-21T08:30:00+01:00", "2026-11-21", "AP8=", None, "-Infinity", True, None,
        [1, {"a": None}],
    ]  # fmt: skip


def test_typed_cells_in_parquet(repo):
    row = as_parquet(repo.table("t", [ROW, {}]).version).to_pylist()[0]

    assert row["when"] == ZONED
    assert row["day"] == date(2026, 11, 21)
    assert row["bytes"] == b"\x00\xff"
    assert row["nan"] != row["nan"]
    assert row["decimal"] == "1.10"
    assert row["list"] == '[1, {"a": null}]'


def test_formulas_are_texts_in_xlsx(repo):
    version = table(repo, "=1+1,b\n=HYPERLINK(),#N/A\n")

    cells = [cell for row in as_xlsx(version).iter_rows() for cell in row]

    assert [cell.value for cell in cells] == ["=1+1", "b", "=HYPERLINK()", "#N/A"]
    assert {cell.data_type for cell in cells} == {"s"}


def test_what_a_sheet_cannot_hold_is_a_text_or_refused(repo):
    values = [2**60, float("nan"), ZONED, date(1850, 1, 1), "a\x1bb", NAIVE]
    version = repo.table("t", [[*map(str, range(6))], values]).version

    assert [cell.value for cell in as_xlsx(version)[2]] == [
        str(2**60), "NaN", ZONED.isoformat(), "1850-01-01", "a\ufffdb", NAIVE,
    ]  # fmt: skip
    with pytest.raises(UsageError, match="32,767"):
        made(repo.table("long", [["a"], ["x" * 40_000]]).version, "xlsx")


def test_html_is_escaped_and_needs_nothing_else(repo):
    text = made(table(repo, 'a,<b>\n<script>x</script>,"1""&"\n'), "html").decode()

    assert "<script" not in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text
    assert "<th>&lt;b&gt;</th>" in text
    assert "http" not in text.replace("http-equiv", "")


def test_cells_cannot_leave_a_table_in_markdown(repo):
    version = table(repo, 'a,b\n"x|y\nz",<b>*\n')

    assert made(version, "md").splitlines()[2] == rb"| x\|y<br>z | \<b\>\* |"


# --- frames and arrays ----------------------------------------------------------------------------


def test_frames_of_pandas_with_their_index(repo):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "month": pandas.period_range("2026-01", periods=2, freq="M"),
            "n": pandas.array([1, None], "Int64"),
        },
        index=pandas.Index(["a", "b"], name="key"),
    )
    version = repo.save(frame, "frame").version

    assert as_csv(version) == [["key", "month", "n"], ["a", "2026-01", "1"], ["b", "2026-02", ""]]
    assert as_json(version)[1] == {"key": "b", "month": "2026-02", "n": None}
    assert as_parquet(version).to_pylist()[1] == {"key": "b", "month": "2026-02", "n": None}
    plain = repo.save(pandas.Series([1.5, float("nan")], name="x"), "series").version
    assert made(plain, "parquet") == plain.read()
    assert as_csv(plain) == [["x"], ["1.5"], ["NaN"]]
    assert as_json(plain) == [{"x": 1.5}, {"x": None}]


def test_rows_of_frames_are_those_of_csv(repo):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "bin": pandas.cut([1, 4, 9], [0, 3, 6]),
            "span": pandas.arrays.IntervalArray.from_breaks([0, 3, 6, 9]),
            "month": pandas.PeriodIndex(["2026-01", "NaT", "2026-03"], freq="M"),
            "n": pandas.Series([1, 2, 3], dtype="int8").to_numpy(),
        },
        index=pandas.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["key", None]),
    )
    version = repo.save(frame, "frame").version
    shown = as_csv(version)
    for table in (version.rows(), version.rows(limit=2)):
        rows = [[cell_text(cell) for cell in row] for row in table.rows]
        assert table.columns == shown[0] == ["key", "level 2", "bin", "span", "month", "n"]
        assert table.total_rows == 3
        assert rows == [
            [cell.replace("NaN", "nan") for cell in row] for row in shown[1 : 1 + len(rows)]
        ]
    assert shown[1] == ["a", "1", "(0, 3]", "(0, 3]", "2026-01", "1"]
    stored = as_parquet(version)
    assert stored.column_names == shown[0]
    assert str(stored.schema.field("n").type) == "int8"
    assert stored.to_pylist()[0] == dict(
        zip(shown[0], ["a", 1, "(0, 3]", "(0, 3]", "2026-01", 1], strict=True)
    )


def test_rows_of_frames_are_shown_and_compared_as_csv_shows_them(repo):
    pandas = pytest.importorskip("pandas")
    spans = pandas.arrays.IntervalArray.from_breaks([0, 3, 6])
    version = repo.save(pandas.Series(spans, index=[5, 6], name="span"), "k").version
    shown = io.StringIO()
    render_version(version, shown)
    assert "(0, 3]" in shown.getvalue()
    assert "__index_level" not in shown.getvalue().split("version ")[0]
    repo.save(pandas.Series(spans, index=[5, 7], name="span"), "k")
    compared = repo.compare("k@v1", "k@v2")
    assert "column='index', old=6, new=7" in str(compared.table)


def test_numbers_of_numpy_are_cells_as_any(repo):
    np = pytest.importorskip("numpy")
    rows = [{"acc": np.float64(0.9), "n": np.int64(3), "ok": np.bool_(True), "l": [np.int64(1)]}]
    version = repo.table("metrics", rows).version
    assert repr(version.load()) == repr(rows)
    assert repr(version.rows().rows) == "[[0.9, 3, True, [np.int64(1)]]]"
    assert as_json(version) == [{"acc": 0.9, "n": 3, "ok": True, "l": [1]}]


def test_frames_of_polars_and_tables_of_arrow(repo):
    polars = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    frame = polars.DataFrame({"a": [1, None], "b": ["x", "y"]})
    pairs = pa.table({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))})

    assert as_csv(repo.save(frame, "polars").version) == [["a", "b"], ["1", "x"], ["", "y"]]
    assert as_json(repo.save(frame.to_arrow(), "arrow").version)[1] == {"a": None, "b": "y"}
    assert as_json(repo.save(pairs, "stream").version) == [{"m": [["k", 1]]}]


def test_an_object_that_is_a_table_has_the_forms_of_one(repo):
    day = date(2020, 1, 1)
    rows = repo.save([{"day": day, "n": 1}, {"day": day, "n": 2}], "rows").version
    assert as_csv(rows) == [["day", "n"], ["2020-01-01", "1"], ["2020-01-01", "2"]]
    assert as_csv(repo.save({"day": (day,), "n": [1]}, "columns").version)[1] == ["2020-01-01", "1"]
    for other in (day, {"day": day}, [day], {"day": "x"}):
        with pytest.raises(UsageError, match=r"is no table|expected a"):
            made(repo.save(other, "other").version, "csv")


def test_times_that_python_has_no_room_for_are_texts_in_every_form(repo):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    moment = 562_949_953_421_000  # in the year 19809
    far = pa.array([moment], pa.timestamp("ms"))
    for value in (
        pandas.DataFrame({"a": far.cast(pa.timestamp("s")).to_numpy()}),
        polars.DataFrame({"a": polars.Series([moment]).cast(polars.Datetime("ms"))}),
        pa.table({"a": far}),
        pa.table({"a": far.dictionary_encode()}),  # for which Parquet has no room
    ):
        version = repo.save(value, "far").version
        assert "19809-" in as_csv(version)[1][0] or as_csv(version)[1][0] == tables.BEYOND
        assert as_json(version)[0]["a"] == as_csv(version)[1][0]
        assert as_xlsx(version)["A2"].value == as_csv(version)[1][0]
        assert all(made(version, form) for form in ("md", "html", "parquet"))


def test_arrays_of_at_most_two_dimensions_as_tables(repo):
    np = pytest.importorskip("numpy")
    flat = repo.save(np.array([1.5, np.nan]), "flat").version
    cube = repo.save(np.zeros((1, 2, 2), "int8"), "cube").version
    times = repo.save(np.array([["2026-01-01", "NaT"]], "datetime64[ns]"), "times").version

    assert as_csv(flat) == [["column 1"], ["1.5"], ["NaN"]]
    assert as_json(flat) == [1.5, None]
    assert as_json(cube) == [[[0, 0], [0, 0]]]
    assert as_csv(times)[1] == ["2026-01-01T00:00:00.000000000", "NaT"]
    assert as_json(repo.save(np.float64(2), "scalar").version) == 2.0
    assert as_json(repo.save(np.zeros((0, 3)), "none").version) == []
    with pytest.raises(UsageError, match="3 dimensions"):
        made(cube, "csv")


@pytest.mark.parametrize("shape", [(10**15, 0), (0, 10**15), (1, 200_000)])
def test_arrays_that_would_be_endless_lists_are_refused(repo, workplace, shape):
    numpy = pytest.importorskip("numpy")
    numpy.save(workplace / "a.npy", numpy.zeros(shape, "int8"))

    with pytest.raises(UsageError):
        made(repo.create("k", "a.npy").version, "csv")


def test_a_file_of_numpy_that_is_none(repo, workplace):
    pytest.importorskip("numpy")
    (workplace / "bad.npy").write_bytes(b"not an array")

    with pytest.raises(UsageError, match=r"bad\.npy"):
        made(repo.create("k", "bad.npy").version, "csv")


# --- documents ------------------------------------------------------------------------------------


def test_markdown_as_html_runs_and_fetches_nothing(repo):
    text = "# T\n\n<script>1</script> [x](javascript:alert(1)) **b**\n\n| a |\n|---|\n| 1 |\n"
    version = repo.markdown("report", text).version

    page = made(version, "html").decode()

    assert made(version, "md").decode() == text
    assert "<h1>T</h1>" in page
    assert "<strong>b</strong>" in page
    assert "<td>1</td>" in page
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert "default-src 'none'" in page


def test_values_as_json(repo):
    @dataclasses.dataclass
    class Point:
        x: float

    assert as_json(repo.json("j", {"a": [1]}).version) == {"a": [1]}
    assert as_json(repo.value("v", float("nan")).version) is None
    assert as_json(repo.value("w", "text").version) == "text"
    assert as_json(repo.save({1: (Decimal("2.0"), {3})}, "o").version) == {"1": ["2.0", [3]]}
    with pytest.raises(UsageError, match="two keys"):
        made(repo.save({1: 1, "1": 2}, "p").version, "json")


def test_json_files_stay_as_they_are_but_for_what_json_has_not(repo, workplace):
    (workplace / "a.json").write_text('{ "a": 1.10 }')
    (workplace / "b.json").write_text('{"a": NaN, "b": -Infinity}')
    (workplace / "c.json").write_text("{")

    assert made(repo.create("a", "a.json").version, "json") == b'{ "a": 1.10 }'
    assert as_json(repo.create("b", "b.json").version) == {"a": None, "b": "-Infinity"}
    with pytest.raises(UsageError, match="not JSON"):
        made(repo.create("c", "c.json").version, "json")


def test_half_characters_are_kept_in_json(repo):
    assert as_json(repo.save(["\ud800"], "k").version) == ["\ud800"]


def test_other_things_have_no_other_form(repo, workplace):
    (workplace / "x.bin").write_bytes(b"x")
    (workplace / "many").mkdir()
    (workplace / "many" / "a.csv").write_text("a\n1\n")
    (workplace / "many" / "b.csv").write_text("a\n1\n")
    many = repo.create("many", "many").version

    with pytest.raises(UsageError, match="no table or document"):
        made(repo.create("k", "x.bin").version, "csv")
    with pytest.raises(UsageError, match="without content"):
        made(repo.progress("p", 1).version, "json")
    with pytest.raises(UsageError, match="one must be named"):
        made(many, "json")
    with pytest.raises(UsageError, match="yaml"):
        made(many, "yaml")
    assert as_json(many, "a.csv") == [{"a": 1}]


@pytest.mark.parametrize(("form", "library", "extra"), [
    ("xlsx", "openpyxl", "xlsx"), ("parquet", "pyarrow", "tables"),
])  # fmt: skip
def test_a_missing_library_is_named_with_its_extra(repo, monkeypatch, form, library, extra):
    monkeypatch.setitem(__import__("sys").modules, library, None)

    with pytest.raises(UsageError, match=library) as caught:
        made(table(repo, "a\n1\n"), form)
    assert caught.value.hint == f"pip install 'art-vcs[{extra}]'"


# --- taking out -----------------------------------------------------------------------------------


def test_get_names_the_file_and_is_careful(repo, workplace):
    version = table(repo, "a\n1\n", "prices.csv")
    (workplace / "out").mkdir()

    assert convert.get(version, "json").path == workplace / "prices.json"
    assert convert.get(version, "json").unchanged == 1
    assert convert.get(version, "md", "out").path == workplace / "out/prices.md"
    (workplace / "prices.json").write_text("mine")
    with pytest.raises(ConflictError):
        convert.get(version, "json")
    assert (workplace / "prices.json").read_text() == "mine"
    assert convert.get(version, "json", force=True).written == 1
    assert repo.save([1, 2], "saved").version
    assert convert.get(repo.version("saved"), "json").path == workplace / "saved.json"


def test_nothing_is_left_where_it_fails(repo, workplace):
    version = table(repo, "a,a\n1,2\n", "t.csv")

    with pytest.raises(ArtError):
        convert.get(version, "json", "new.json")
    assert sorted(path.name for path in workplace.iterdir()) == [".art", "t.csv"]
