"""Previews of NumPy arrays."""

from __future__ import annotations

import math
from typing import Any

from art.model import Document
from art.preview.columns import BINS, cell
from art.preview.form import FORMAT, number

ELEMENTS = 4_000_000
HEAD = (8, 8)  # rows and columns of what is shown


def of_array(array: Any) -> Document:
    """Return the preview of a NumPy array: its shape, its first elements, and statistics over at most
    four million elements, taken evenly."""
    sample, over = _sample(array)
    return {
        "art": FORMAT,
        "kind": "array",
        "cut": False,
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "size": int(array.size),
        "over": over,
        "head": _head(array),
        **_statistics(sample),
    }


def _sample(array: Any) -> tuple[Any, int]:
    """Return elements of the array, flat; a copy of few bytes, or a view."""
    if array.size <= ELEMENTS:
        return array.reshape(-1), int(array.size)
    if array.flags.c_contiguous or array.flags.f_contiguous:
        flat = array.ravel(order="K")  # a view
        step = math.ceil(array.size / ELEMENTS)
        while math.gcd(step, array.size) > 1:  # or some columns would never be looked at
            step += 1
        flat = flat[::step]
    else:
        # along the longest dimension, so that few elements are looked at and none are copied before
        axis = max(range(array.ndim), key=lambda each: array.shape[each])
        step = min(math.ceil(array.size / ELEMENTS), array.shape[axis])
        part = array[
            tuple(slice(None, None, step) if i == axis else slice(None) for i in range(array.ndim))
        ]
        return _sample(part)
    return flat, int(flat.size)


def _head(array: Any) -> list[Any]:
    if array.ndim > 2:
        array = array[(0,) * (array.ndim - 2)] if array.size else array.reshape(-1)
    if array.ndim < 2:
        return [_cell(value) for value in array.reshape(-1)[: HEAD[0] * 2]]
    return [[_cell(value) for value in row[: HEAD[1]]] for row in array[: HEAD[0]]]


def _cell(value: Any) -> Any:
    if value.dtype.kind in "mMcV":
        return cell(str(value))
    return cell(
        value.item() if value.dtype.kind != "f" or value.dtype.itemsize <= 8 else float(value)
    )


def _statistics(values: Any) -> Document:
    import numpy as np

    kind = values.dtype.kind
    missing = np.zeros(0, bool)
    if kind in "fc":
        missing = np.isnan(values)
    elif kind in "mM":
        missing = np.isnat(values)
    nulls = int(missing.sum())
    found: Document = {"count": int(values.size) - nulls, "nulls": nulls}
    if nulls:
        values = values[~missing]
    if not values.size or kind not in "iufmMb":
        return found
    low, high = values.min(), values.max()
    found |= {"min": _cell(low), "max": _cell(high)}
    if kind in "mM":
        return found | _histogram(values.astype(np.int64), (_cell(low), _cell(high)))
    with np.errstate(all="ignore"):
        found["mean"] = number(float(values.mean(dtype=np.float64)))
    if kind == "f":
        values = values[np.isfinite(values)]
    return found | _histogram(values, None)


def _histogram(values: Any, shown: tuple[Any, Any] | None) -> Document:
    import numpy as np

    if values.dtype.kind == "b" or not values.size:
        return {}
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low) or high <= low:
        return {}
    counts = np.zeros(BINS, np.int64)
    for start in range(0, values.size, 1 << 18):
        part = values[start : start + (1 << 18)].astype(np.float64)
        places = ((part - low) / (high - low) * BINS).astype(np.int64)
        counts += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
    first, last = shown or (number(low), number(high))
    return {"histogram": {"low": first, "high": last, "counts": counts.tolist()}}
