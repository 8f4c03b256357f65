"""NumPy's arrays and scalars as files."""

from __future__ import annotations

import io
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from art.errors import ArtError, CorruptError, UsageError
from art.materialize import find, named
from tests.materialize.trips import assert_damage_is_told, back, restored, stored

dtypes = (
    npst.boolean_dtypes()
    | npst.integer_dtypes(endianness="?")
    | npst.unsigned_integer_dtypes(endianness="?")
    | npst.floating_dtypes(endianness="?")
    | npst.complex_number_dtypes(endianness="?")
    | npst.datetime64_dtypes(endianness="?")
    | npst.timedelta64_dtypes(endianness="?")
    | npst.unicode_string_dtypes(endianness="?")
    | npst.byte_string_dtypes(endianness="?")
)
arrays = dtypes.flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0))
)


def assert_same(one, other):
    assert type(one) is type(other)
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert one.tobytes() == other.tobytes()


@settings(max_examples=300, deadline=None)
@given(arrays)
def test_every_array_comes_back(array):
    assert_same(back(array), array)


@settings(deadline=None)
@given(arrays.filter(lambda array: array.ndim > 0), st.integers(-3, 3).filter(bool))
def test_views_come_back_as_their_values(array, step):
    for view in (
        array[::step],
        array.T,
        np.asfortranarray(array),
        np.broadcast_to(array, (2, *array.shape)),
    ):
        assert_same(back(view), np.array(view))


def test_the_order_of_elements_is_kept():
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert back(array).flags.f_contiguous
    assert not back(array).flags.c_contiguous
    assert back(array.copy("C")).flags.c_contiguous


def test_what_is_written_is_what_numpy_reads():
    array = np.arange(12, dtype=">i2").reshape(3, 4)
    data = stored(array)[2]
    assert_same(np.load(io.BytesIO(data), allow_pickle=False), array)
    mine = io.BytesIO()
    np.save(mine, array)
    assert len(data) % 64 == 24


scalars = dtypes.flatmap(lambda dtype: npst.arrays(dtype.newbyteorder("="), ())).map(
    lambda array: array[()]
)


@settings(max_examples=200, deadline=None)
@given(scalars)
def test_every_scalar_comes_back_with_its_type(scalar):
    if isinstance(scalar, (np.str_, np.bytes_)) and len(scalar) == 0:
        return
    assert_same(back(scalar), scalar)


@pytest.mark.parametrize(
    "scalar",
    [
        np.float64(math.nan),
        np.float64(-0.0),
        np.datetime64("NaT"),
        np.timedelta64(5, "h"),
        np.bool_(True),
        np.str_("ü"),
    ],
    ids=repr,
)
def test_scalars_are_no_values_of_python(scalar):
    assert find(scalar).name == "numpy"
    made = back(scalar)
    assert type(made) is type(scalar)
    assert repr(made) == repr(scalar)


@pytest.mark.parametrize("scalar", [np.bytes_(b"a\0"), np.str_("a\0")], ids=repr)
def test_a_scalar_that_numpy_would_shorten_is_refused(scalar):
    with pytest.raises(UsageError, match="would come back as"):
        stored(scalar)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.array([1, "a", None], dtype=object), "objects of Python"),
        (np.zeros(2, [("a", "i4"), ("b", "f8")]), r"structured \(a, b\)"),
        (np.zeros(2, [("a", "i4")])[0], "structured"),
        (np.zeros(2, "V8"), "no form in npy"),
        (np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), "metadata"),
        (np.ma.masked_array([1, 2], [True, False]), "would come back as its base"),
        (np.rec.array([(1, 2.0)]), "would come back as its base"),
        (
            np.arange(4).reshape(2, 2).view(type("Mine", (np.ndarray,), {})),
            "would come back as its base",
        ),
    ],
    ids=range(8),
)
def test_what_would_not_come_back_is_refused_with_the_reason(value, reason):
    with pytest.raises(UsageError, match=reason):
        stored(value)


def test_a_memmap_is_refused(tmp_path):
    with pytest.raises(UsageError, match="numpy.ndarray"):
        stored(np.memmap(tmp_path / "x", float, "w+", shape=3))


def npy(header, body=b""):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x02\x00" + b"\0" * 100,
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"\x80\x04N."),
        npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (), }\n", b"\0" * 8),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", b"\0" * 8),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 9),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n", b"\0" * 9),
        npy("{'descr': '<f9', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 9),
        npy("{'descr': '<U9999999999', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 9),
        npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 100 + "), }\n",
            b"\0" * 8,
        ),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9999999999999999999), }\n"),
        npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999999999, 9999999), }\n"
        ),
        npy("(" * 5000),
    ],
    ids=range(14),
)
def test_damaged_arrays_are_told(data):
    with pytest.raises(CorruptError, match="the array is damaged"):
        restored(named("numpy"), {}, data)


def test_a_header_that_claims_too_much_costs_nothing():
    huge = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (900000000000000,), }\n", b"abc")
    with pytest.raises(ArtError, match="no memory|damaged"):
        restored(named("numpy"), {}, huge)
    large = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2000000000,), }\n", b"abc")
    with pytest.raises(CorruptError, match="ends after 3 of 2,000,000,000 bytes"):
        restored(named("numpy"), {}, large)


def test_a_changed_file_is_read_or_told():
    assert_damage_is_told(np.arange(10.0))


def test_an_array_is_no_scalar():
    found, format, data = stored(np.arange(3))
    with pytest.raises(CorruptError, match="3 elements"):
        restored(found, format | {"scalar": "int64"}, data)


def test_arrays_have_previews():
    assert named("numpy").preview(np.arange(5))["max"] == 4
    assert named("numpy").preview(np.float64(2.5))["shape"] == []


# Two types of one size have one name in files: which of them is the other one, the system decides.
OTHERS = [
    each
    for each in (np.intc, np.uintc, np.int_, np.uint, np.longlong, np.ulonglong)
    if np.dtype(np.dtype(each).str).type is not each
]


@pytest.mark.parametrize("type", OTHERS)
def test_a_scalar_that_would_come_back_as_another_type_of_its_size_is_refused(type):
    with pytest.raises(UsageError, match="it would come back as u?int[0-9]+"):
        stored(type(3))


def test_the_longest_floats_come_back_though_some_of_their_bytes_mean_nothing():
    value = np.longdouble("1.1")
    assert (type(back(value)), back(value)) == (np.longdouble, value)
