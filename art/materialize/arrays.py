"""NumPy's arrays and scalars, in the npy format of version 1.0."""

from __future__ import annotations

import math
import re
import struct
from typing import Any, BinaryIO

from art import preview
from art.errors import ArtError, CorruptError
from art.materialize.base import Stream, unequal
from art.model import Document

_MAGIC = b"\x93NUMPY\x01\x00"
_PIECE = 16 << 20
# Booleans, numbers, times, bytes and texts. Nothing of these makes anything run when it is read.
_KINDS = "biufcmMSU"
_HEADER = re.compile(
    r"\{'descr': '([<>|][biufcmMSU][0-9]{1,10}(?:\[[0-9]{0,10}[a-zA-Zμ]{0,7}\])?)', "
    r"'fortran_order': (True|False), 'shape': \(((?:[0-9]{1,19}, ?)*(?:[0-9]{1,19})?)\), \} *\n"
)


class Arrays(Stream):
    """Arrays, and scalars such as `np.float64(1.5)`, which come back as scalars of the same type.

    Shape, byte order and the order of elements, C's or Fortran's, are kept; an array that is in neither comes
    back in C's. Structured arrays and such of objects are refused, and so are subclasses of ndarray.
    Writing copies no array that is contiguous; reading fills the array as bytes arrive.
    """

    name = "numpy"
    types = ("numpy.ndarray",)
    kind = "array"

    def matches(self, cls: type) -> bool:
        import numpy as np

        return issubclass(cls, np.generic) and cls.__module__.partition(".")[0] == "numpy"

    file = "content.npy"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        import numpy as np

        array = np.asarray(value)
        _check(value, array.dtype)
        format: Document = {"name": "npy", "dtype": str(array.dtype), "shape": list(array.shape)}
        if isinstance(value, np.generic):
            _check_scalar(value, array)
            format["scalar"] = type(value).__name__
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        stream.write(_header(array, is_fortran=is_fortran))
        _write(array.T if is_fortran else array, stream)
        return format

    def read(self, stream: BinaryIO, format: Document) -> Any:
        try:
            array = _read(stream)
        except (ValueError, TypeError, OverflowError, struct.error) as error:
            if isinstance(error, ArtError):
                raise
            raise CorruptError(f"the array is damaged: {error}") from None
        if "scalar" not in format:
            return array
        if array.ndim:
            raise CorruptError(f"the scalar is damaged: it has {array.size:,} elements")
        return array[()]

    def preview(self, value: Any) -> Document:
        import numpy as np

        return preview.of_array(np.asarray(value))


def _check(value: Any, dtype: Any) -> None:
    """Raise UsageError where an array of this type would not come back."""
    if dtype.names is not None:
        names = ", ".join(dtype.names[:5])
        raise unequal(
            value, f"it is structured ({names})", "save its fields as a dict, or as a DataFrame"
        )
    if dtype.kind == "O":
        raise unequal(
            value, "it holds objects of Python", "array.astype(…), or save array.tolist()"
        )
    if dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise unequal(value, f"its type {dtype} has no form in npy", "array.astype(…)")
    if dtype.metadata:
        raise unequal(value, "its dtype has metadata, which npy has no room for")


def _check_scalar(value: Any, array: Any) -> None:
    """Raise UsageError where NumPy would make another scalar of the array: texts lose zeros at their
    ends, and some types have two names."""
    back = array.view(array.dtype.str)[()]  # as its type is called in the file
    if array.dtype.kind in "SU":
        is_same = back == value
    elif array.dtype.char in "gG":  # of which some bytes mean nothing
        is_same = repr(back) == repr(value)
    else:
        is_same = back.tobytes() == value.tobytes()
    if type(back) is not type(value) or not is_same:
        name = type(back).__name__
        raise unequal(value, f"it would come back as {name} {back!r}", f"save np.{name}(…)")


def _header(array: Any, *, is_fortran: bool) -> bytes:
    text = (
        f"{{'descr': {array.dtype.str!r}, 'fortran_order': {is_fortran}, "
        f"'shape': {tuple(int(n) for n in array.shape)!r}, }}"
    )
    used = len(_MAGIC) + 2 + len(text) + 1
    header = text + " " * (-used % 64) + "\n"
    return _MAGIC + struct.pack("<H", len(header)) + header.encode("latin-1")


def _write(array: Any, stream: BinaryIO) -> None:
    import numpy as np

    if not array.size:
        return
    if array.flags.c_contiguous:
        flat = memoryview(array.reshape(-1).view(np.uint8))
        for start in range(0, len(flat), _PIECE):
            stream.write(flat[start : start + _PIECE])
        return
    flags = ["external_loop", "buffered"]
    size = max(1, _PIECE // array.itemsize)
    for piece in np.nditer(array, flags=flags, buffersize=size, order="C"):  # type: ignore[call-overload,unused-ignore]
        stream.write(piece.tobytes())


def _read(stream: BinaryIO) -> Any:
    import numpy as np

    descr, is_fortran, shape = _parsed(stream)
    dtype = np.dtype(descr)
    if dtype.str != descr:
        raise ValueError(f"its type is {descr!r}")
    try:
        # Memory is taken as it is written to, so a header that claims too much costs nothing.
        flat: Any = np.empty(math.prod(shape), dtype)
    except MemoryError:
        raise ArtError(f"there is no memory for an array of {shape} of {dtype}") from None
    if flat.size:
        fill(memoryview(flat.view(np.uint8)), stream)
    if stream.read(1):
        raise ValueError("it is longer than its header says")
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _parsed(stream: BinaryIO) -> tuple[str, bool, tuple[int, ...]]:
    start = exactly(stream, len(_MAGIC) + 2)
    if not start.startswith(_MAGIC):
        raise ValueError("it is not npy, version 1.0")
    (length,) = struct.unpack("<H", start[-2:])
    header = exactly(stream, length).decode("latin-1")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise ValueError(f"its header is {header[:80]!r}")
    shape = tuple(int(each) for each in match[3].replace(",", " ").split())
    return match[1], match[2] == "True", shape


def exactly(stream: BinaryIO, size: int) -> bytes:
    """Return so many bytes. Raise ValueError where there are less."""
    pieces = []
    while size:
        piece = stream.read(size)
        if not piece:
            raise ValueError("it ends too early")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def fill(view: memoryview, stream: BinaryIO) -> None:
    """Fill all of it with what the stream has. Raise ValueError where that is less."""
    readinto = getattr(stream, "readinto", None)
    done = 0
    while done < len(view):
        part = view[done : done + _PIECE]
        if readinto is not None:
            count = readinto(part)
        else:
            piece = stream.read(len(part))
            count = len(piece)
            part[:count] = piece
        if not count:
            raise ValueError(f"it ends after {done:,} of {len(view):,} bytes")
        done += count
