"""Files of the formats that ClearML writes objects in, where an extension asks for one.

What is written is read back and compared at once: an object that a format would change is refused. Pictures
alone may lose what their format loses.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from art import UsageError

PICKLES = (".pkl", ".pickle")
# What art keeps by itself: the extension that means that, and the others by kind of object.
_OWN = {"dict": ".json", "frame": ".parquet", "array": ".npy", "picture": ".png", "text": ".txt"}

_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # modes of pictures that PNG has


@dataclass(frozen=True)
class Written:
    """An object as one file. `type` is that of the version, and tells `read` what to do."""

    type: str
    suffix: str
    data: bytes


@dataclass(frozen=True)
class _Form:
    write: Callable[[Any, str], bytes]
    read: Callable[[bytes], Any]
    is_same: Callable[[Any, Any], bool]


def kind_of(value: Any) -> str | None:
    """Return which kind of object this is, without importing the library that it would be of."""
    package = type(value).__module__.partition(".")[0]
    if package == "pandas" and type(value).__name__ == "DataFrame":
        return "frame"
    if package == "numpy" and type(value).__name__ == "ndarray":
        return "array"
    if package == "PIL" and hasattr(value, "save"):
        return "picture"
    return "dict" if type(value) is dict else "text" if type(value) is str else None


def normal(extension: str) -> str:
    """Return an extension with its dot: `yaml` is `.yaml`."""
    return "." + extension.lower().lstrip(".")


def is_own(value: Any, extension: str) -> bool:
    """Whether an extension means what art does by itself."""
    kind = kind_of(value)
    if kind == "picture" and value.mode not in _PNG:
        return False  # art stores it as TIFF
    return kind is not None and _OWN[kind] == extension


def written(value: Any, extension: str, name: str) -> Written:
    """Return an object as a file with this extension. Raise UsageError for an extension that its kind
    has not, and where it would not come back equal."""
    kind = kind_of(value)
    if kind == "picture":
        return Written(f"picture+{extension[1:]}", extension, _drawn(value, extension))
    form = _forms().get((kind or "", extension))
    if form is None:
        raise _unknown(value, kind, extension)
    try:
        data = form.write(value, name)
        same = form.is_same(form.read(data), value)
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"{name!r} cannot be written as {extension}: {error}") from error
    if not same:
        hint = f"without an extension it is stored as it is ({_OWN[kind or '']})"
        raise UsageError(f"{name!r} would not come back equal from {extension}", hint=hint)
    return Written(f"{kind}+{extension[1:]}", extension, data)


def read(type: str, data: bytes) -> Any:
    """Return the object in a file. Raise UsageError for a type that is none of these."""
    kind, _, extension = type.partition("+")
    if kind == "picture":
        return _picture(data)
    form = _forms().get((kind, "." + extension))
    if form is None:
        raise UsageError(f"no object is read from a {type}")
    return form.read(data)


def is_read(type: str) -> bool:
    """Whether versions of this type are files that `read` reads."""
    kind, _, extension = type.partition("+")
    return (kind == "picture" and bool(extension)) or (kind, "." + extension) in _forms()


def _unknown(value: Any, kind: str | None, extension: str) -> UsageError:
    known = sorted(ext for of, ext in _forms() if of == kind)
    own = [_OWN[kind]] if kind else []
    what = type(value).__name__
    hint = f"known: {', '.join(own + known)}" if own else "leave extension_name out"
    return UsageError(f"{extension!r} is no extension for a {what}", hint=hint)


def _forms() -> dict[tuple[str, str], _Form]:
    yaml = _Form(_yaml, _from_yaml, _is_same)
    csv = _Form(_csv, _from_csv, _is_same_frame)
    feather = _Form(_feather, _from_feather, _is_same_frame)
    zipped = _Form(
        lambda value, name: _gzip(_csv(value, name)),
        lambda data: _from_csv(gzip.decompress(data)),
        _is_same_frame,
    )
    return {
        ("dict", ".yaml"): yaml,
        ("dict", ".yml"): yaml,
        ("frame", ".csv"): csv,
        ("frame", ".csv.gz"): zipped,
        ("frame", ".feather"): feather,
        ("array", ".npz"): _Form(_npz, _from_npz, _is_same_array),
        ("array", ".csv.gz"): _Form(_numbers, _from_numbers, _is_same_array),
    }


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # equal objects give equal bytes


def _yaml(value: Any, name: str) -> bytes:
    import yaml

    try:
        made = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, encoding="utf-8")
    except yaml.YAMLError as error:
        raise UsageError(f"{name!r} cannot be YAML: {' '.join(str(error).split())}") from None
    return bytes(made)


def _from_yaml(data: bytes) -> Any:
    import yaml

    return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _is_same(one: Any, other: Any) -> bool:
    """Whether two objects are equal in their types, too: True is not 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            _is_same(mine, theirs) for mine, theirs in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other) or (one != one and other != other)


def _csv(value: Any, name: str) -> bytes:
    return bytes(value.to_csv().encode())


def _from_csv(data: bytes) -> Any:
    import pandas

    return pandas.read_csv(io.BytesIO(data), index_col=0)


def _feather(value: Any, name: str) -> bytes:
    stream = io.BytesIO()
    value.to_feather(stream)
    return stream.getvalue()


def _from_feather(data: bytes) -> Any:
    import pandas

    return pandas.read_feather(io.BytesIO(data))


def _is_same_frame(one: Any, other: Any) -> bool:
    indexes = (one.index, other.index), (one.columns, other.columns)
    return bool(
        one.equals(other)
        and one.dtypes.tolist() == other.dtypes.tolist()
        and all(a.dtype == b.dtype and list(a.names) == list(b.names) for a, b in indexes)
    )


def _npz(value: Any, name: str) -> bytes:
    import numpy

    if value.dtype.hasobject:
        raise UsageError(f"{name!r} holds Python objects, which .npz would pickle")
    stream = io.BytesIO()
    numpy.savez_compressed(stream, **{name.replace("/", "_"): value})
    return stream.getvalue()


def _from_npz(data: bytes) -> Any:
    import numpy

    with numpy.load(io.BytesIO(data), allow_pickle=False) as arrays:
        (array,) = arrays.values()
        return array


def _numbers(value: Any, name: str) -> bytes:
    import numpy

    stream = io.StringIO()
    numpy.savetxt(stream, value, delimiter=",")
    return _gzip(stream.getvalue().encode())


def _from_numbers(data: bytes) -> Any:
    import numpy

    return numpy.loadtxt(io.StringIO(gzip.decompress(data).decode()), delimiter=",")


def _is_same_array(one: Any, other: Any) -> bool:
    return bool(
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


def _drawn(value: Any, extension: str) -> bytes:
    from PIL import Image

    format = Image.registered_extensions().get(extension)
    if format is None or format not in Image.SAVE:
        raise UsageError(f"{extension!r} is no extension for a picture", hint="known: .png, .jpg …")
    stream = io.BytesIO()
    try:
        value.save(stream, format)
    except (OSError, ValueError) as error:
        raise UsageError(f"the picture cannot be written as {extension}: {error}") from error
    return stream.getvalue()


def _picture(data: bytes) -> Any:
    from PIL import Image

    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture
