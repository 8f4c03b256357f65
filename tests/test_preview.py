"""Previews: what to show of a payload without reading it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import tarfile
import zipfile
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from art import preview
from art.errors import CorruptError, NewerFormatError, UsageError

SOME = {"art": 1, "kind": "text", "cut": False, "text": "a", "size": 1}


def column(document, name):
    [found] = [each for each in document["columns"] if each["name"] == name]
    return found


# --- encode and parse ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=50,
)


@given(JSON)
def test_any_value_becomes_a_preview_that_is_read_back(value):
    document = preview.of_json(value)
    data = preview.encode(document)
    assert preview.parse(data)["kind"] == "json"
    assert preview.encode(preview.parse(data)) == data


@given(st.text(), st.integers(0, 2**62))
def test_any_text_is_read_back_as_it_is(text, more):
    size = len(text.encode("utf-8", "surrogatepass"))
    found = preview.parse(preview.encode(preview.of_text(text, size + more)))
    assert found["text"] == text
    assert found["cut"] == (more > 0)


@pytest.mark.parametrize(
    "document",
    [
        SOME | {"text": "\U0001f600" * 10**6},
        {"art": 1, "kind": "json", "cut": False, "value": [["x" * 500] * 1000] * 50},
        {
            "art": 1,
            "kind": "json",
            "cut": False,
            "value": {"k" * 10_000 + str(i): i for i in range(5000)},
        },
        {"art": 1, "kind": "json", "cut": False, "value": [[[[[[1.5] * 90] * 90] * 90] * 2] * 2]},
        {
            "art": 1,
            "kind": "image",
            "cut": False,
            "thumbnail": {"media": "image/png", "width": 1, "height": 1, "data": "A" * 10**6},
        },
        {
            "art": 1,
            "kind": "table",
            "cut": False,
            "columns": [{"name": f"{i} " + "n" * 300, "dtype": "int"} for i in range(3000)],
            "head": [["y" * 200] * 3000] * 10,
        },
    ],
)
def test_what_is_too_large_is_cut_and_marked(document):
    data = preview.encode(document)
    assert len(data) <= preview.LIMIT
    assert preview.parse(data)["cut"] is True


def test_a_table_keeps_as_many_cells_in_a_row_as_columns_when_it_is_cut():
    names = [f"column {i} " + "é" * 100 for i in range(400)]
    found = preview.parse(preview.encode(preview.of_rows(names, [["x" * 100] * 400] * 20)))
    assert found["cut"]
    assert {len(row) for row in found["head"]} == {len(found["columns"])}
    assert found["width"] == 400


def test_a_thumbnail_is_there_as_a_whole_or_not_at_all():
    wide = {"art": 1, "kind": "image", "cut": False, "mode": "RGB"}
    small = wide | {"thumbnail": {"media": "image/png", "data": "A" * 16_000}}
    assert preview.parse(preview.encode(small)) == small
    assert "thumbnail" not in preview.parse(preview.encode(small | {"more": ["x" * 9000] * 90}))


def test_numbers_that_json_has_not_are_texts():
    document = {
        "art": 1,
        "kind": "array",
        "cut": False,
        "min": math.nan,
        "max": math.inf,
        "mean": 10**30,
    }
    found = preview.parse(preview.encode(document))
    assert (found["min"], found["max"], found["mean"]) == ("NaN", "Infinity", str(10**30))


def test_what_is_no_preview_is_not_encoded():
    for wrong in (
        {},
        {"art": 1, "kind": "text"},
        SOME | {"art": 2},
        SOME | {"text": 5},
        SOME | {"x": object()},
        SOME | {"kind": "../x"},
    ):
        with pytest.raises(UsageError, match="not a preview"):
            preview.encode(wrong)


def test_fields_and_kinds_that_are_not_known_are_kept():
    strange = {"art": 1, "kind": "sound", "cut": False, "seconds": 5}
    assert preview.parse(preview.encode(strange)) == strange
    assert preview.parse(preview.encode(SOME | {"new": [1]}))["new"] == [1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"art":1}',
        b'{"art":true,"cut":false,"kind":"text"}',
        b'{"art":1,"cut":0,"kind":"text"}',
        b'{"art":1,"cut":false,"kind":"text","text":[]}',
        b'{"art":1,"cut":false,"kind":"text","size":-1}',
        b'{"art":1,"cut":false,"kind":"text","size":true}',
        b'{"art":1,"cut":false,"kind":"text","x":NaN}',
        b'{"art":1,"cut":false,"kind":"text","x":1e999}',
        b'{"art":1,"cut":false,"kind":"text","x":' + b"9" * 9000 + b"}",
        b'{"art":1,"cut":false,"kind":"text","x":' + b"[" * 30000 + b"]" * 30000 + b"}",
        b'{"art":1,"cut":false,"kind":"table","columns":[1]}',
        b'{"art":1,"cut":false,"kind":"table","columns":[{"name":1}]}',
        b'{"art":1,"cut":false,"kind":"table","columns":[{"histogram":[]}]}',
        b'{"art":1,"cut":false,"kind":"table","columns":[{"histogram":{"counts":["x"]}}]}',
        b'{"art":1,"cut":false,"kind":"table","columns":[{"top":[["a"]]}]}',
        b'{"art":1,"cut":false,"kind":"table","head":[[[]]]}',
        b'{"art":1,"cut":false,"kind":"array","shape":[1.5]}',
        b'{"art":1,"cut":false,"kind":"array","head":[[[]]]}',
        b'{"art":1,"cut":false,"kind":"image","thumbnail":{"data":5}}',
        b'{"art":1,"cut":false,"kind":"archive","entries":[{"name":null}]}',
        b'{"art":1,"cut":false,"kind":"text","text":"' + b"a" * 70_000 + b'"}',
    ],
    ids=range(26),
)
def test_damaged_previews_are_refused(data):
    with pytest.raises(CorruptError, match="preview"):
        preview.parse(data)


def test_a_preview_of_a_newer_art_is_no_damage():
    with pytest.raises(NewerFormatError, match="format 2"):
        preview.parse(json.dumps(SOME | {"art": 2}).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_preview_or_refused(data):
    with pytest.raises(CorruptError):
        preview.parse(data)


# --- texts and values ---------------------------------------------------------------------------


def test_the_head_of_a_text_is_kept_as_it_is():
    found = preview.of_text(b"\x1b[31mred\r\n", 5000)
    assert found["text"] == "\x1b[31mred\r\n"
    assert (found["size"], found["cut"]) == (5000, True)


def test_a_character_that_was_cut_through_is_left_out():
    assert preview.of_text("aé".encode()[:2], 3)["text"] == "a"


def test_a_deep_and_wide_value_is_cut():
    deep = value = []
    for _ in range(5000):
        value.append([])
        value = value[0]
    for large in (
        deep,
        list(range(10**6)),
        {i: "x" * 10**6 for i in range(500)},
        [[[1] * 99] * 99] * 99,
    ):
        found = preview.parse(preview.encode(preview.of_json(large)))
        assert found["cut"]
        assert found["length"] == len(large)


# --- tables from rows ---------------------------------------------------------------------------


def test_what_cannot_say_what_it_is_is_shown_as_its_type():
    class Dumb:
        def __repr__(self):
            return self.nothing

    found = preview.of_json({"a": Dumb(), Dumb(): 1, "b": 2})
    assert found["value"] == {"a": "<Dumb>", "<Dumb>": 1, "b": 2}


def test_columns_of_rows_are_described():
    rows = [[1, 2.5, "x", True, None], [2, math.nan, "x", False, None], [4, 0.5, "y", True, None]]
    found = preview.of_rows(["i", "f", "s", "b", "n"], rows)
    assert (found["rows"], found["over"], found["cut"]) == (3, 3, False)
    i = column(found, "i")
    assert (i["dtype"], i["min"], i["max"], i["nulls"], i["uniques"]) == ("int", 1, 4, 0, 3)
    assert i["mean"] == pytest.approx(7 / 3)
    assert sum(i["histogram"]["counts"]) == 3
    f = column(found, "f")
    assert (f["count"], f["nulls"], f["mean"]) == (2, 1, 1.5)
    assert column(found, "s")["top"] == [["x", 2], ["y", 1]]
    assert column(found, "b")["top"] == [[True, 2], [False, 1]]
    assert column(found, "n")["count"] == 0
    assert found["head"][1] == [2, "NaN", "x", False, None]


def test_times_and_decimals_of_rows_are_described():
    day, hour = date(2026, 1, 1), timedelta(hours=1)
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    rows = [
        [day + i * timedelta(1), moment + i * hour, i * hour, Decimal(i) / 4] for i in range(11)
    ]
    found = preview.of_rows(list("dmtn"), rows)
    assert column(found, "d")["max"] == "2026-01-11"
    assert column(found, "m")["histogram"]["high"] == "2026-01-01T10:00:00+00:00"
    assert column(found, "t")["dtype"] == "timedelta"
    assert (column(found, "n")["max"], column(found, "n")["mean"]) == ("2.5", 1.25)


@given(
    st.lists(
        st.lists(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.binary()
            | st.decimals()
            | st.dates()
            | st.datetimes(timezones=st.none() | st.timezones())
            | st.times()
            | st.timedeltas()
            | st.lists(st.integers())
            | st.just(pd.NA)
            | st.just(Decimal("sNaN")),
            max_size=4,
        ),
        max_size=8,
    )
)
def test_any_rows_have_a_preview(rows):
    found = preview.parse(preview.encode(preview.of_rows(list("abc"), rows)))
    assert found["rows"] == len(rows)
    assert all(len(row) == 3 for row in found["head"])


def test_statistics_say_over_how_many_rows_they_are():
    found = preview.of_rows(["i"], ([i] for i in range(25_000)))
    assert (found["rows"], found["over"]) == (25_000, 10_000)
    assert found["columns"][0]["uniques_exact"] is False


def test_cells_of_csv_are_the_numbers_and_times_they_stand_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "i,f,t,zip,s,e\n1,1.5,2026-01-01,007,x,\n2,nan,2026-02-01,123,,\n,2e3,2026-03-01,5,x,\n"
    )
    found = preview.of_file(path)
    kinds = {each["name"]: each["dtype"] for each in found["columns"]}
    assert kinds == {"i": "int", "f": "float", "t": "date", "zip": "text", "s": "text", "e": ""}
    assert column(found, "i")["nulls"] == 1
    assert found["rows"] == 3


@pytest.mark.parametrize("name", ["t.tsv", "t.jsonl", "t.parquet", "t.csv"])
def test_files_of_tables_have_previews(tmp_path, name):
    path = tmp_path / name
    frame = pd.DataFrame({"a": [1, 2, 3], "s": ["x", "y", None]})
    if name == "t.parquet":
        frame.to_parquet(path)
    elif name == "t.jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t" if name == "t.tsv" else ",", index=False)
    found = preview.parse(preview.encode(preview.of_file(path)))
    assert found["kind"] == "table"
    assert found["rows"] == 3
    assert (column(found, "a")["min"], column(found, "s")["nulls"]) == (1, 1)
    assert preview.of_table_file(path, rows=7)["rows"] == (3 if name == "t.parquet" else 7)


def test_a_table_of_json_is_one_where_that_is_asked_for(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": 1}, {"a": 2, "b": "x"}]')
    assert preview.of_file(path)["kind"] == "json"
    found = preview.of_table_file(path)
    assert [each["name"] for each in found["columns"]] == ["a", "b"]


# --- tables of libraries ------------------------------------------------------------------------


def test_a_frame_of_pandas_is_described_with_its_index():
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, 3], dtype="Int64"),
            "c": pd.Categorical(["x", "y", "x"]),
            "t": pd.date_range("2026-01-01", periods=3, tz="Europe/Paris"),
            "o": [1, "a", None],
            "p": pd.period_range("2026-01", periods=3, freq="M"),
            ("a", "b"): [0.5, math.nan, math.inf],
        },
        index=pd.MultiIndex.from_tuples([("u", 1), ("u", 2), ("v", 1)], names=["k", None]),
    )
    found = preview.parse(preview.encode(preview.of_frame(frame)))
    assert [each["name"] for each in found["columns"]] == [
        "k",
        "",
        "n",
        "c",
        "t",
        "o",
        "p",
        "a / b",
    ]
    assert column(found, "k") == {
        "name": "k",
        "index": True,
        "dtype": str(frame.index.dtypes.iloc[0]),
        "count": 3,
        "nulls": 0,
        "uniques": 2,
        "uniques_exact": True,
        "top": [["u", 2], ["v", 1]],
    }
    assert column(found, "n")["nulls"] == 1
    assert column(found, "c")["top"] == [["x", 2], ["y", 1]]
    assert column(found, "t")["min"] == "2026-01-01T00:00:00+01:00"
    assert column(found, "o")["uniques"] == 2
    assert column(found, "a / b")["max"] == "Infinity"
    assert column(found, "a / b")["nulls"] == 1
    assert found["head"][0][-2:] == ["2026-01", 0.5]


def test_a_series_is_a_table_of_one_column():
    found = preview.of_frame(pd.Series([3, 1], name="x"))
    assert (found["width"], found["head"], column(found, "x")["max"]) == (1, [[3], [1]], 3)


def test_frames_of_polars_and_arrow_are_described():
    frame = pl.DataFrame(
        {"a": [1, 2, None], "s": ["x", "x", "y"], "l": [[1], [2], []], "o": [b"a", b"b", None]}
    )
    for table in (frame, frame.to_arrow()):
        found = preview.parse(preview.encode(preview.of_frame(table)))
        assert (found["rows"], found["width"]) == (3, 4)
        assert (column(found, "a")["nulls"], column(found, "a")["mean"]) == (1, 1.5)
        assert column(found, "s")["top"] == [["x", 2], ["y", 1]]
        assert found["head"][0] == [1, "x", "[1]", "<1 bytes>"]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None], pa.time64("ns")),
        pa.array([1, 2], pa.timestamp("ns")),
        pa.array([1, 2**62], pa.duration("ns")),
        pa.array([Decimal("1.5"), None], pa.decimal128(5, 2)),
        pa.array(["a", None], pa.string_view()),
        pa.array([b"a", b"b"], pa.binary(1)),
        pa.array([{"a": 1}, None]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([None, None]),
        pa.array(np.array([1, 2], np.float16)),
        pa.array([2**64 - 1, 0], pa.uint64()),
        pa.array([1, 2], pa.date64()),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16], pa.binary(16))),
        pa.array([]),
    ],
    ids=lambda values: f"{values.type}"[:20] + str(len(values)),
)
def test_every_type_of_arrow_has_a_preview(values):
    found = preview.parse(preview.encode(preview.of_frame(pa.table({"x": values}))))
    assert column(found, "x")["count"] == len(values) - values.null_count
    assert len(found["head"]) == len(values)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
        pa.array([2**62, 0], pa.timestamp("us")),
        pa.array([2**49, 0], pa.timestamp("ms", "UTC")),
        pa.array([0], pa.timestamp("ms", "Mars/Base")),
        pa.array([2**62], pa.duration("s")),
        pa.array([[2**49]], pa.list_(pa.timestamp("ms"))),
        pa.array([2**49], pa.timestamp("ms")).dictionary_encode(),
        pa.Array.from_buffers(
            pa.string(), 1, [None, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")]
        ),
    ],
    ids=lambda values: f"{values.type}"[:20],
)
def test_values_that_python_has_no_room_for_have_a_preview(values):
    found = preview.parse(preview.encode(preview.of_frame(pa.table({"x": values}))))
    assert column(found, "x")["count"] == len(values)
    assert all(type(cell) is str for [cell] in found["head"])


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("x", [2**49]).cast(pl.Datetime("ms")),
        pl.Series("x", [2**62]).cast(pl.Duration("ms")),
        pl.Series("x", [2**49]).cast(pl.Datetime("ms")).implode(),
    ],
    ids=lambda series: str(series.dtype),
)
def test_values_of_polars_that_python_has_no_room_for_have_a_preview(series):
    found = preview.parse(preview.encode(preview.of_frame(series.to_frame())))
    assert (column(found, "x")["count"], len(found["head"])) == (1, 1)


def test_statistics_of_a_large_frame_are_over_rows_taken_evenly():
    frame = pd.DataFrame({"a": np.arange(2_500_000), "s": ["x", "y"] * 1_250_000})
    for table in (frame, pl.from_pandas(frame), pa.table(frame)):
        found = preview.of_frame(table)
        assert found["over"] == 833_334
        low, high = column(found, "a")["min"], column(found, "a")["max"]
        assert low < 5000
        assert high > 2_495_000
        assert column(found, "a")["uniques_exact"] is False
        assert column(found, "s")["uniques"] == 2


def test_a_column_that_is_looked_at_in_fewer_rows_than_others_says_so():
    texts = [f"{n}" + "x" * 3000 for n in range(30_000)]
    objects = pd.Series([n if n % 2 else f"{n}" for n in range(30_000)], dtype=object)
    found = preview.of_frame(pd.DataFrame({"a": range(30_000), "s": texts, "o": objects}))
    assert found["over"] == 30_000
    assert "over" not in column(found, "a")
    assert column(found, "a")["count"] == 30_000
    for name in ("s", "o"):
        over = column(found, name)["over"]
        assert 5000 < over < 30_000
        assert column(found, name)["count"] + column(found, name)["nulls"] == over
        assert column(found, name).get("uniques_exact") in (None, False)
    assert preview.parse(preview.encode(found))["columns"] == found["columns"]


def test_frames_without_rows_or_columns_have_previews():
    for frame in (
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame({"a": []}),
        pl.DataFrame(),
        pa.table({}),
    ):
        assert preview.parse(preview.encode(preview.of_frame(frame)))["kind"] == "table"
    with pytest.raises(UsageError, match="no table"):
        preview.of_frame([1])


# --- arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4),
        np.array(1.5),
        np.zeros((0, 3)),
        np.array([1 + 2j, math.nan]),
        np.array(["a", "b"]),
        np.array([b"a"]),
        np.array(["2026-01-01", "NaT"], "M8[ns]"),
        np.array([1, 2], "m8[h]"),
        np.array([1, 2], ">i4"),
        np.array([1, math.inf], np.float16),
        np.array([1, 2], np.longdouble),
        np.array([True, False]),
        np.arange(3 * 4 * 5).reshape(3, 4, 5)[::2, :, ::-1],
        np.array([2**64 - 1], np.uint64),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_every_kind_of_array_has_a_preview(array):
    found = preview.parse(preview.encode(preview.of_array(array)))
    assert found["shape"] == list(array.shape)
    assert found["dtype"] == str(array.dtype)
    assert found["count"] + found["nulls"] == array.size


def test_an_array_is_described():
    found = preview.of_array(np.array([[1.0, math.nan], [3.0, 9.0]]))
    assert (found["min"], found["max"], found["nulls"]) == (1.0, 9.0, 1)
    assert found["mean"] == pytest.approx(13 / 3)
    assert found["histogram"]["counts"] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert preview.encode(found)
    assert found["head"][1] == [3.0, 9.0]


def test_statistics_of_a_large_array_look_at_every_column():
    array = np.zeros((1_250_000, 10))
    array[:, 3] = 1
    for each in (array, np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2]):
        found = preview.of_array(each)
        assert 1_000_000 < found["over"] <= 4_000_000
        assert found["mean"] == pytest.approx(0.1, abs=0.001)


# --- pictures, archives, other files ------------------------------------------------------------


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]
)
def test_a_picture_of_every_mode_has_a_thumbnail(mode):
    found = preview.parse(preview.encode(preview.of_image(Image.new(mode, (300, 100)))))
    assert (found["width"], found["height"], found["mode"]) == (300, 100, mode)
    small = Image.open(io.BytesIO(base64.b64decode(found["thumbnail"]["data"])))
    assert small.size == (found["thumbnail"]["width"], found["thumbnail"]["height"]) == (96, 32)


def test_a_noisy_picture_has_a_small_thumbnail(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    path = tmp_path / "x.png"
    Image.fromarray(noise).save(path)
    found = preview.of_file(path)
    assert (found["format"], found["width"]) == ("png", 700)
    assert len(found["thumbnail"]["data"]) < 16 << 10


def test_what_only_says_it_is_a_picture_is_shown_as_what_it_is(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    assert preview.of_file(path) is None
    path.write_text("words")
    assert preview.of_file(path)["kind"] == "text"
    with pytest.raises(UsageError, match="not a picture"):
        preview.of_image(path)


def test_the_names_in_a_zip_are_listed(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d/", "")
        for i in range(300):
            archive.writestr(f"d/{i}", "x" * 100)
    found = preview.parse(preview.encode(preview.of_file(path)))
    assert (found["format"], found["count"], found["size"], found["cut"]) == (
        "zip",
        301,
        30_000,
        True,
    )
    assert found["entries"][0] == {"name": "d/", "size": 0, "dir": True}
    assert len(found["entries"]) == 200


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_the_names_in_a_tar_are_listed(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.addfile(tarfile.TarInfo("../../etc/passwd"))
        member = tarfile.TarInfo("b" * 300)
        member.size = 10_000
        archive.addfile(member, io.BytesIO(b"x" * 10_000))
    found = preview.of_file(path)
    assert found["format"] == ("tar." + kind).rstrip(".")
    assert [each["name"] for each in found["entries"]] == ["../../etc/passwd", "b" * 300]
    assert (found["count"], found["size"], found["cut"]) == (2, 10_000, False)


def test_of_an_archive_that_unpacks_to_more_only_the_beginning_is_looked_at(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("zeros")
        member.size = 100 << 20
        archive.addfile(member, io.BytesIO(bytes(100 << 20)))
        archive.addfile(tarfile.TarInfo("after"))
    found = preview.of_file(path)
    assert found["cut"]
    assert [each["name"] for each in found["entries"]] == ["zeros"]


@pytest.mark.parametrize(
    "start", [b"PK\3\4", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]
)
def test_a_damaged_archive_has_no_preview(tmp_path, start):
    path = tmp_path / "a.zip"
    path.write_bytes(start + b"\x80\xff\0" * 100)
    assert preview.of_file(path) is None
    with pytest.raises(UsageError, match="no archive"):
        preview.of_archive(path)


def test_a_packed_file_that_is_no_tar_has_no_preview(tmp_path):
    path = tmp_path / "words.gz"
    path.write_bytes(gzip.compress(b"words"))
    assert preview.of_file(path) is None


def test_other_files_are_texts_or_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert preview.of_file(path)["text"] == ""
    path.write_bytes("é".encode() * 100_000)
    found = preview.of_file(path)
    assert (found["kind"], found["size"], found["cut"]) == ("text", 200_000, True)
    path.write_bytes(b"a" + "é".encode() * 100_000)
    assert preview.of_file(path)["kind"] == "text"
    for data in (b"\0\1\2", b"\xff" * 10, "é".encode()[:1]):
        path.write_bytes(data)
        assert preview.of_file(path) is None
    assert preview.of_file(tmp_path) is None
