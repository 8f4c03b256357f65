"""Tables of pandas, polars and Arrow as files."""

from __future__ import annotations

import io
import math
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst

import art
from art.errors import CorruptError, UsageError
from art.materialize import find, named, vectors
from tests.materialize.trips import assert_damage_is_told, back, restored, stored

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
MIDNIGHT = datetime.fromisoformat("2000-01-01")
relaxed = settings(deadline=None, max_examples=150, suppress_health_check=SLOW)


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, pd.Series):
        one.attrs, attrs = {}, one.attrs
        assert (attrs, one.name) == (other.attrs, other.name)
        assert type(one.name) is type(other.name)
        one, other = one.to_frame("x"), other.to_frame("x")
        other.attrs = {}
    pd.testing.assert_frame_equal(
        one, other, check_exact=True, check_freq=True, check_flags=True, check_index_type="exact",
        check_column_type="exact", check_categorical=True, check_dtype=True,
    )  # fmt: skip
    assert one.attrs == other.attrs
    for mine, theirs in ((one.index, other.index), (one.columns, other.columns)):
        assert type(mine) is type(theirs)
        assert list(map(type, mine.names)) == list(map(type, theirs.names))
        if isinstance(mine, pd.MultiIndex):
            for level, like in zip(mine.levels, theirs.levels, strict=True):
                pd.testing.assert_index_equal(level, like, exact=True)
            assert all(map(np.array_equal, mine.codes, theirs.codes))
        if isinstance(mine, pd.RangeIndex):
            assert (mine.start, mine.stop, mine.step) == (theirs.start, theirs.stop, theirs.step)


def comes_back(value):
    assert_same(back(value), value)


def frame(**columns):
    return pd.DataFrame(columns)


# --- what pandas tests itself with ---------------------------------------------------------------

DATES = pd.date_range("2000-01-01", periods=10, freq="B")
INDEXES = {
    "range": pd.RangeIndex(10, name="r"),
    "range backwards": pd.RangeIndex(20, 0, -2),
    "int": pd.Index(np.arange(10)[::-1].copy()),
    "uint8": pd.Index(np.arange(10, dtype="u1")),
    "float": pd.Index(np.linspace(-1, 1, 10), name=("a", 1)),
    "nan": pd.Index([math.nan] * 10),
    "bool": pd.Index([True, False] * 5),
    "object text": pd.Index(list("abcdefghij"), dtype=object),
    "text": pd.Index(list("abcdefghij"), dtype="str", name=5),
    "string": pd.Index(list("abcdefghi") + [None], dtype="string"),
    "Int64": pd.Index([1, None] * 5, dtype="Int64"),
    "business days": DATES,
    "zoned": pd.date_range("2000-01-01", periods=10, freq="D", tz="US/Eastern"),
    "fixed offset": pd.date_range(
        "2000-01-01", periods=10, tz=timezone(timedelta(hours=5, minutes=30))
    ),
    "no freq": pd.DatetimeIndex(DATES.tolist()),
    "month ends": pd.date_range("2000", periods=10, freq="ME", unit="s"),
    "NaT": pd.DatetimeIndex([pd.NaT, *DATES[1:]]),
    "timedelta": pd.timedelta_range("1h", periods=10, freq="90min"),
    "periods": pd.period_range("2000-01", periods=10, freq="Q-NOV"),
    "categories": pd.CategoricalIndex(list("bbaabbaabb"), categories=list("cba"), ordered=True),
    "intervals": pd.interval_range(0, 10, closed="left"),
    "interval times": pd.IntervalIndex.from_breaks(pd.date_range("2000", periods=11)),
    "levels": pd.MultiIndex.from_product([list("ab"), range(5)], names=["x", None]),
    "levels of times": pd.MultiIndex.from_arrays(
        [DATES, pd.Categorical(list("ab") * 5), np.arange(10.0)]
    ),
    "levels with nothing": pd.MultiIndex.from_arrays(
        [[1, None] * 5, list("ab") * 5], names=["i", "i"]
    ),
    "one level": pd.MultiIndex.from_arrays([range(10)]),
    "unused level": pd.MultiIndex.from_product([list("abc"), range(5)])[:10],
    "duplicates": pd.Index([1] * 10),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_every_index_comes_back_of_rows_and_of_columns(index):
    comes_back(pd.DataFrame({"a": np.arange(10.0)}, index=index))
    comes_back(pd.Series(range(10), index=index, name="s"))
    comes_back(pd.DataFrame(np.arange(20).reshape(2, 10), columns=index))


TZ = ["UTC", "Europe/Paris", "+05:30", "Asia/Kathmandu"]
COLUMNS = {
    **{name: np.array([0, 1, 2], name) for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?")},
    "ends": np.array([2**63 - 1, -(2**63), 0]),
    "unsigned end": np.array([2**64 - 1, 0, 1], "u8"),
    "floats": np.array([math.nan, -0.0, math.inf]),
    **{f"times {unit}": np.array(["2000-01-01", "NaT", "1900-01-01"], f"M8[{unit}]") for unit in ("s", "ms", "us", "ns")},
    **{f"deltas {unit}": np.array([1, "NaT", -(2**40)], f"m8[{unit}]") for unit in ("s", "ms", "us", "ns")},
    **{f"zone {zone}": pd.DatetimeIndex(["2000-01-01", None, "2000-07-01"], tz=zone) for zone in TZ},
    **{name: pd.array([0, None, 2], dtype=name) for name in ("Int8", "Int64", "UInt8", "UInt64", "Float32", "Float64")},
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "str": pd.array(["a", None, "ü\0\U0001f600"], dtype="str"),
    "string python": pd.array(["a", None, ""], dtype="string[python]"),
    "string pyarrow": pd.array(["a", None, ""], dtype="string[pyarrow]"),
    "str python": pd.array(["a", None, ""], dtype=pd.StringDtype("python", na_value=math.nan)),
    "categories": pd.Categorical(["b", None, "a"], categories=["c", "b", "a"]),
    "ordered": pd.Categorical(["b", None, "a"], categories=["c", "b", "a"], ordered=True),
    "categories of numbers": pd.Categorical([3, None, 1]),
    "categories of floats": pd.Categorical([0.5, None, math.inf]),
    "categories of times": pd.Categorical(pd.DatetimeIndex(["2000", None, "2001"], tz="UTC")),
    "categories of intervals": pd.cut([1, 5, 9], 3),
    "categories of booleans": pd.Categorical([True, None, False]),
    "categories of nothing": pd.Categorical([None, None, None]),
    "categories of objects": pd.Categorical(np.array(["a", None, "b"], object), categories=pd.Index(["a", "b"], dtype=object)),
    "periods": pd.PeriodIndex(["2000-01", None, "2001-05"], freq="M"),
    "intervals": pd.arrays.IntervalArray.from_tuples([(0.0, 1.5), None, (2, 3)], closed="both"),
    "int intervals": pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]),
    "object text": np.array(["a", None, "b"], object),
    "object text nan": np.array(["a", math.nan, "b"], object),
    "object text NA": np.array(["a", pd.NA, "b"], object),
    "object bytes": np.array([b"a", None, b"\0"], object),
    "object ints": np.array([1, 2, 3], object),
    "object bools": np.array([True, None, False], object),
    "object floats": np.array([1.5, None, -0.0], object),
    "object nothing": np.array([None, None, None], object),
    "object nan": np.array([math.nan] * 3, object),
    "object dates": np.array([date(2000, 1, 1), None, date.min], object),
    "object times": np.array([datetime.fromisoformat("0001-01-01"), pd.NaT, MIDNIGHT], object),
    "object hours": np.array([time(1, 2, 3, 4), None, time()], object),
    "object deltas": np.array([timedelta(days=-5), None, timedelta(microseconds=1)], object),
    "object decimals": np.array([Decimal("1.50"), None, Decimal("-0.25")], object),
    "arrow list": pd.array([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow struct": pd.array([{"a": 1}, None, {"a": 2}], dtype=pd.ArrowDtype(pa.struct([("a", pa.int8())]))),
    "arrow text": pd.array(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())),
    "arrow decimal": pd.array([Decimal("1.50"), None, Decimal(2)], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    "arrow time": pd.array([MIDNIGHT, None, None], dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))),
}  # fmt: skip


@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS)
def test_every_column_comes_back(values):
    series = pd.Series(values, dtype=values.dtype)
    comes_back(series)
    comes_back(frame(a=series, b=[1, 2, 3]))
    comes_back(series[:0])
    comes_back(frame(a=series).iloc[::-1])


CHANGES = {
    "mixed": (np.array([1, "a", 2.5], object), "column 'a': it mixes float and int and str"),
    "two nothings": (np.array(["a", None, math.nan], object), "it mixes None and nan and str"),
    "bool and int": (np.array([True, 1, 2], object), "it mixes bool and int"),
    "lists": (np.array([[1], [2], None], object), "objects of type list"),
    "timestamps": (np.array([pd.Timestamp(0)] * 3, object), "objects of type Timestamp"),
    "large ints": (np.array([2**70, 1, 2], object), "Arrow cannot hold"),
    "places": (
        np.array([Decimal("1.5"), Decimal("1.50"), None], object),
        "different numbers of places",
    ),
    "NaN decimals": (np.array([Decimal("NaN")] * 3, object), "not finite"),
    "zoned objects": (
        np.array([datetime(2000, 1, 1, tzinfo=timezone.utc)] * 3, object),
        "would not come back",
    ),
    "fold": (np.array([MIDNIGHT.replace(fold=1)] * 3, object), "would not come back"),
    "complex": (np.array([1j, 2, 3]), "complex128 is not Arrow's"),
    "sparse": (pd.arrays.SparseArray([0, 0, 1]), r"Sparse\[int64, 0\] is not known here"),
    "surrogates": (np.array(["\ud800", "a", "b"], object), "Arrow cannot hold"),
    "too early": (np.array([-(2**62), 0, 1], "M8[s]"), "Arrow says"),
    "union": (pd.array([1, 2, 3], dtype=pd.ArrowDtype(pa.date64())), "date64"),
}


@pytest.mark.parametrize(("values", "reason"), CHANGES.values(), ids=CHANGES)
def test_columns_that_would_not_come_back_are_refused_by_name(values, reason):
    with pytest.raises(UsageError, match=reason):
        stored(frame(a=pd.Series(values, dtype=values.dtype), b=[1, 2, 3]))


@pytest.mark.parametrize(
    "columns",
    [
        pd.Index(["a", "a", "a"]),
        pd.Index([1, "a", None], dtype=object),
        pd.Index([("a", 1), 2.5, True], dtype=object, tupleize_cols=False),
        pd.Index(["", "index", "__index_level_0__"], name="n"),
        pd.Index(["art", "a\0b", "ü" * 1000], dtype=object),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["u", "v"]),
        pd.Index([0.5, math.nan, math.inf]),
    ],
    ids=range(7),
)
def test_labels_of_columns_come_back(columns):
    comes_back(pd.DataFrame(np.eye(3), columns=columns))
    comes_back(pd.DataFrame(np.eye(3), columns=columns, index=pd.Index(list("abc"), name="a")))


@pytest.mark.parametrize("value", [
    pd.DataFrame(),
    pd.DataFrame(index=["a", "b"]),
    pd.DataFrame(index=pd.RangeIndex(5)),
    pd.DataFrame(columns=["a", "b"]),
    pd.DataFrame({"a": pd.Series([], dtype="f8")}),
    pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []])),
    pd.Series([], dtype=object),
    pd.Series([1], name=None),
    pd.Series([1], name=1.5),
    pd.Series([1], name=("a", None)),
], ids=range(10))  # fmt: skip
def test_small_tables_come_back(value):
    comes_back(value)


def test_attrs_and_flags_come_back_or_are_refused():
    value = frame(a=[1])
    value.attrs = {"unit": "m", "n": [1, 2.5, None, {"k": True}]}
    value.flags.allows_duplicate_labels = False
    comes_back(value)
    value.attrs = {"a": object()}
    with pytest.raises(UsageError, match="attrs"):
        stored(value)


def test_names_and_labels_that_are_no_single_values_are_refused():
    for wrong in (
        pd.Series([1], name=frozenset({1})),
        pd.DataFrame([[1]], columns=pd.Index([object()], dtype=object)),
    ):
        with pytest.raises(UsageError, match="the label"):
            stored(wrong)


def test_a_subclass_is_refused():
    class Mine(pd.DataFrame):
        pass

    with pytest.raises(UsageError, match="would come back as its base"):
        find(Mine())


plain = st.one_of(
    npst.integer_dtypes(endianness="="),
    npst.unsigned_integer_dtypes(endianness="="),
    npst.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
    npst.boolean_dtypes(),
    npst.datetime64_dtypes(min_period="ns", max_period="s", endianness="="),
    npst.timedelta64_dtypes(min_period="ns", max_period="s", endianness="="),
)
frames = st.lists(plain, max_size=4).flatmap(
    lambda dtypes: pdst.data_frames(
        [pdst.column(f"c{i}", dtype=dtype) for i, dtype in enumerate(dtypes)],
        index=pdst.range_indexes(max_size=8) | pdst.indexes(dtype=int, max_size=8),
    )
)


@relaxed
@given(frames)
def test_every_frame_of_numbers_and_times_comes_back_or_is_refused(value):
    try:
        stored(value)
    except UsageError as error:
        assume("Arrow says" not in error.message)  # seconds that milliseconds have no room for
        raise
    comes_back(value)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc)) | st.times() | st.timedeltas() | st.just(pd.NA)
)  # fmt: skip


@relaxed
@given(
    st.lists(scalars, max_size=5)
    | st.lists(st.text() | st.none(), max_size=5)
    | st.lists(st.decimals(places=2))
)
def test_objects_come_back_exactly_or_are_refused(values):
    array = np.empty(len(values), object)
    array[:] = values
    series = pd.Series(array, dtype=object)
    try:
        made = back(series)
    except UsageError:
        return
    assert made.dtype == object
    assert list(map(type, made)) == list(map(type, series))
    assert list(map(repr, made)) == list(map(repr, series))


@relaxed
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none()),
    st.sampled_from(["str", "string", "category"]),
)
def test_texts_come_back(values, dtype):
    comes_back(pd.Series(pd.array(values, dtype="str")).astype(dtype))


def test_many_row_groups_come_back():
    rows = 2_300_000
    value = frame(
        a=np.arange(rows),
        s=pd.Categorical.from_codes(np.arange(rows) % 3, categories=list("xyz")),
        t=pd.array(["a", None], dtype="str").repeat(rows // 2),
        o=np.array(["a", None], object).repeat(rows // 2),
    )
    value.index = pd.MultiIndex.from_product([range(2300), range(1000)], names=["i", "j"])
    found, format, data = stored(value)
    assert pyarrow.parquet.ParquetFile(io.BytesIO(data)).metadata.num_row_groups > 1
    assert_same(restored(found, format, data), value)


def test_equal_frames_give_equal_bytes():
    one = frame(a=[1, 2, 3], b=[1.5, 2, 3])
    other = pd.concat([one.iloc[:1], one.iloc[1:]])[["b", "a"]][["a", "b"]]
    assert stored(one)[2] == stored(other)[2]


def test_only_columns_whose_values_repeat_get_a_dictionary():
    chance = np.random.default_rng(3)
    rows = 100_000
    columns = {
        "floats": chance.random(rows),
        "few": chance.integers(0, 50, rows) / 3,
        "sorted": np.arange(rows) // 100,
        "numbers": np.arange(rows),
        "names": [f"n{n % 30}" for n in range(rows)],
        "keys": [f"key-{n}" for n in range(rows)],
        "category": pd.Categorical([n % 7 for n in range(rows)]),
        "a.b": chance.integers(0, 9, rows),
        "empty": [None] * rows,
    }
    value = pd.DataFrame(columns)
    for saved in (
        value,
        pa.table(
            {
                name: pa.array(each)
                for name, each in columns.items()
                if name not in ("category", "empty")
            }
        ),
    ):
        _, _, data = stored(saved)
        group = pyarrow.parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
        found = [group.column(place) for place in range(group.num_columns)]
        plain = {each.path_in_schema for each in found if "RLE_DICTIONARY" not in each.encodings}
        assert plain == {"floats", "numbers", "keys"}
        assert stored(saved)[2] == data
    assert_same(back(value), value)
    lists = pa.table({"l": [[1, 2]] * 10, "n": range(10)})
    assert back(lists) == lists


def test_others_read_what_is_written():
    value = pd.DataFrame(
        {"a": [1, 2], "c": pd.Categorical(["x", "y"])}, index=pd.Index(["u", "v"], name="k")
    )
    _, format, data = stored(value)
    assert format == {"name": "parquet", "columns": ["a", "c", "k"], "rows": 2}
    assert pl.read_parquet(io.BytesIO(data)).rows() == [(1, "x", "u"), (2, "y", "v")]


def test_damaged_frames_are_told():
    value = pd.DataFrame(
        {"a": [1, 2], "c": pd.Categorical(["x", "y"]), "o": np.array(["a", None], object)}
    )
    assert_damage_is_told(value)
    assert_damage_is_told(pd.Series([1.5], index=pd.MultiIndex.from_tuples([("a", 1)])))


def test_a_file_of_others_is_told():
    data = io.BytesIO()
    frame(a=[1]).to_parquet(data)
    with pytest.raises(CorruptError, match="it was not written by art"):
        restored(named("pandas"), {}, data.getvalue())


def test_a_zone_in_a_file_opens_no_other_file():
    for zone in ("dateutil//etc/localtime", "../../etc/localtime", "/etc/localtime", "tzlocal()"):
        spec = {"kind": "zoned", "dtype": f"datetime64[ns, {zone}]"}
        with pytest.raises(ValueError, match="there is no dtype"):
            vectors.from_spec(spec, vectors.Aside())


# --- Arrow ---------------------------------------------------------------------------------------

TABLES = {
    "plain": (pa.table({"a": [1, None], "f": [math.nan, None], "s": ["x", None]}), "parquet"),
    "nested": (pa.table({"l": [[1, None], None, []], "d": [{"a": [{"b": 1}]}, None, {"a": None}]}), "parquet"),
    "times": (pa.table({"t": pa.array([1, None], pa.timestamp("ns", "Europe/Paris")), "u": pa.array([1, 2], pa.time64("ns"))}), "parquet"),
    "decimal": (pa.table({"d": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2))}), "parquet"),
    "metadata": (pa.table({"a": [1]}).cast(pa.schema([pa.field("a", pa.int64(), False, {"k": "v"})], {"x": "y"})), "parquet"),
    "seconds": (pa.table({"t": pa.array([2**60], pa.timestamp("s"))}), "arrow"),
    "dictionary": (pa.table({"d": pa.DictionaryArray.from_arrays([1, 0, None], ["b", "a", "unused"])}), "arrow"),
    "extension": (pa.table({"u": pa.array([b"x" * 16], pa.uuid())}), "arrow"),
    "map": (pa.table({"m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8()))}), "arrow"),
    "union": (pa.table({"u": pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])])}), "arrow"),
    "null": (pa.table({"n": pa.nulls(3)}), "arrow"),
    "date64": (pa.table({"n": pa.array([86400000 + 5], pa.int64()).cast(pa.int64()).view(pa.date64())}), "arrow"),
    "duplicates": (pa.table([pa.array([1]), pa.array([2])], ["a", "a"]), "arrow"),
    "no columns": (pa.table({}), "arrow"),
    "no rows": (pa.table({"a": pa.array([], pa.string())}), "parquet"),
    "views": (pa.table({"s": pa.array(["a" * 20, None], pa.string_view())}), "arrow"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "name"), TABLES.values(), ids=TABLES)
def test_every_table_of_arrow_comes_back(table, name):
    found, format, data = stored(table)
    made = restored(found, format, data)
    assert format["name"] == name
    assert found.filename(table) == {"parquet": "content.parquet", "arrow": "content.arrows"}[name]
    assert made.schema.equals(table.schema, check_metadata=True)
    if name == "arrow":
        assert made.equals(table)
    else:  # where NaN may be, which is not equal to itself
        assert str(made.to_pydict()) == str(table.to_pydict())


def test_how_a_table_of_arrow_is_cut_does_not_matter():
    whole = pa.table({"a": list(range(100)), "d": pa.array(["x", "y"] * 50).dictionary_encode()})
    parts = pa.concat_tables([whole.slice(0, 7), whole.slice(7, 50), whole.slice(57)])
    for one, other in ((whole, parts), (whole.select(["a"]), parts.select(["a"]))):
        assert stored(one)[2] == stored(other)[2]
        assert back(other).equals(one)


def test_a_table_of_arrow_that_breaks_its_own_schema_is_refused():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    with pytest.raises(UsageError, match="Arrow says"):
        stored(pa.table([pa.array([1, None])], schema=schema))


def test_damaged_tables_of_arrow_are_told():
    assert_damage_is_told(TABLES["plain"][0])
    assert_damage_is_told(TABLES["duplicates"][0], times=60)


# --- polars --------------------------------------------------------------------------------------

POLARS = {
    "plain": pl.DataFrame(
        {
            "a": [1, None],
            "f": [math.nan, None],
            "s": ["x", None],
            "b": [b"x", None],
            "t": [True, None],
        }
    ),
    "times": pl.DataFrame(
        {
            "d": [date(2000, 1, 1)],
            "t": [datetime(2000, 1, 1, tzinfo=timezone.utc)],
            "x": [timedelta(1)],
            "y": [time(1)],
        }
    ),
    **{
        str(dtype): pl.DataFrame({"a": pl.Series([0, None], dtype=dtype)})
        for dtype in (pl.Int8, pl.UInt64, pl.Float32, pl.Int128)
    },
    "category": pl.DataFrame({"c": pl.Series(["a", None, "b"], dtype=pl.Categorical)}),
    "enum": pl.DataFrame({"c": pl.Series(["a", None, "b"], dtype=pl.Enum(["unused", "b", "a"]))}),
    "nested": pl.DataFrame({"l": [[1], None, []], "s": [{"a": [1]}, None, {"a": None}]}),
    "array": pl.DataFrame({"a": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2))}),
    "decimal": pl.DataFrame({"d": [Decimal("1.50"), None]}),
    "null": pl.DataFrame({"n": [None, None]}),
    "nothing": pl.DataFrame(),
    "no rows": pl.DataFrame(schema={"a": pl.Int8, "c": pl.Categorical}),
}


@pytest.mark.parametrize("value", POLARS.values(), ids=POLARS)
def test_every_frame_of_polars_comes_back(value):
    made = back(value)
    assert made.schema == value.schema
    assert made.equals(value, null_equal=True)


def test_objects_of_polars_are_refused():
    with pytest.raises(UsageError, match="column 'o' holds objects"):
        stored(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}))
    for wrong in (pl.Series([1]), pl.LazyFrame()):
        with pytest.raises(UsageError, match="there is no materializer"):
            find(wrong)


def test_damaged_frames_of_polars_are_told():
    found, format, data = stored(POLARS["plain"])
    for wrong in (b"", data[:-1], data[: len(data) // 2], b"PAR1" * 10):
        with pytest.raises(CorruptError, match="the table is damaged"):
            restored(found, format, wrong)


def test_tables_have_previews():
    for value in (
        frame(a=[1, 5]),
        pd.Series([1, 5], name="a"),
        pl.DataFrame({"a": [1, 5]}),
        pa.table({"a": [1, 5]}),
    ):
        found = find(value)
        assert found.kind_of(value) == "table"
        assert found.preview(value)["columns"][0]["max"] == 5


@pytest.mark.parametrize("cell", [[1], {"a": 1}])
def test_columns_of_lists_and_mappings_are_refused_with_what_keeps_them(cell, tmp_path):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(UsageError, match="it holds objects of type") as error:
        art.init(tmp_path).save(pandas.DataFrame({"x": [cell]}), "k")
    assert "ArrowDtype" in str(error.value.hint)
    assert "polars" in str(error.value.hint)


def test_without_pyarrow_a_frame_is_not_saved_and_the_extra_is_named(tmp_path, monkeypatch):
    repo = art.init(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pyarrow, which is not installed") as error:
        repo.save(pd.DataFrame({"x": [1]}), "k")
    assert error.value.hint == "pip install 'art-vcs[frames]'"


def test_durations_that_python_has_no_room_for_come_back():
    values = pa.array([2**62, None], pa.duration("ms"))
    frame = pd.DataFrame({"a": pd.arrays.ArrowExtensionArray(values)})
    assert (
        back(frame)["a"].array._pa_array.combine_chunks()
        == pa.chunked_array([values]).combine_chunks()
    )


def test_a_type_of_arrow_that_pandas_cannot_compare_is_refused():
    frame = pd.DataFrame({"a": pd.arrays.ArrowExtensionArray(pa.array(["a"], pa.string_view()))})
    with pytest.raises(UsageError, match="column 'a': its string_view"):
        stored(frame)


@pytest.mark.parametrize(
    "labels",
    [
        [date(2020, 1, 1), date(2020, 1, 2)],
        [pd.Timestamp("2020-01-01", tz="Europe/Berlin"), "a"],
        [np.int64(1), np.float32(1.5)],
        [pd.Period("2020-01", "M"), pd.NaT],
        [Decimal("1.10"), b"a"],
    ],
    ids=repr,
)
def test_labels_may_be_any_single_value(labels):
    columns = pd.Index(labels, dtype=object, name=date(2020, 1, 1))
    made = back(pd.DataFrame([[1, 2]], index=pd.Index([0], name=labels[0]), columns=columns))
    assert [(type(a), repr(a)) for a in made.columns] == [(type(b), repr(b)) for b in labels]
    assert (made.columns.name, made.index.name) == (date(2020, 1, 1), labels[0])


def test_attrs_come_back_with_their_types():
    attrs = {"unit": ("m", 2), 1: date(2020, 1, 1), "none": math.nan, "$art": {"x": np.int8(3)}}
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = attrs
    assert repr(back(frame).attrs) == repr(attrs)


@pytest.mark.parametrize("wrong", [{"a": len}, {"a": np.arange(3)}, {"a": b"x" * 10_000}], ids=str)
def test_attrs_that_are_no_plain_values_are_refused(wrong):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = wrong
    with pytest.raises(UsageError, match="its attrs, at .*'a'"):
        stored(frame)
