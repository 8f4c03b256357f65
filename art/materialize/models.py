"""Tensors, in the format of safetensors, and estimators of scikit-learn, in that of skops.

Both formats hold data only: reading them runs nothing that the file says.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from art import preview
from art.errors import ArtError, DeniedError
from art.materialize.arrays import exactly, fill
from art.materialize.base import Stream, unequal
from art.materialize.libraries import damage, require
from art.model import Document

_HEADER = 100_000_000  # bytes; what the library itself accepts
_PIECE = 16 << 20
_ALIASES = "art.aliases"
_VERSIONS = "art.versions"
_SHOWN = 500


class Tensors(Stream):
    """A dict of texts to NumPy arrays, where one asks for it by `materializer="safetensors"`.

    Arrays of booleans, integers and floats of 16, 32 and 64 bits; others are refused. They come back in C's
    order.
    """

    name = "safetensors"
    kind = "model"
    file = "content.safetensors"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        parts = [_numpy_part(value, name, array) for name, array in _items(value)]
        if type(value) is not dict:
            raise unequal(value, "it would come back as a dict", "dict(…)")
        _write(parts, {}, stream)
        return {"name": "safetensors", "tensors": len(parts)}

    def read(self, stream: BinaryIO, format: Document) -> Any:
        require("numpy", "numpy")
        with damage("the file of tensors", struct.error, UnicodeDecodeError):
            found, _ = _read(stream)
            return {name: _as_numpy(part) for name, part in found.items()}

    def preview(self, value: Any) -> Document:
        return _shown((name, str(array.dtype), array.shape) for name, array in value.items())


class TorchStates(Stream):
    """A tensor of torch, and a state dict: a mapping of texts to tensors, with the versions of its modules.

    They must lie on the CPU, without gradients. Tensors that are the same memory, as tied weights are, are
    stored once and come back as the same. What is not contiguous comes back so.
    """

    name = "torch"
    types = ("torch.Tensor",)
    kind = "model"
    file = "content.safetensors"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        torch = require("torch", "torch")
        format: Document = {"name": "safetensors"}
        if type(value) is torch.Tensor:
            tensors = [("tensor", value)]
            format["of"] = "tensor"
        else:
            tensors = _items(value)
            format["of"] = type(value).__name__
        parts, aliases = _torch_parts(value, tensors)
        about = {_ALIASES: json.dumps(aliases)} if aliases else {}
        _write(parts, about | _versions(value, format["of"]), stream)
        return format | {"tensors": len(tensors)}

    def read(self, stream: BinaryIO, format: Document) -> Any:
        torch = require("torch", "torch")
        with damage("the file of tensors", struct.error, UnicodeDecodeError, RuntimeError):
            found, metadata = _read(stream)
            made = {name: _as_torch(torch, part) for name, part in found.items()}
            state = _arranged(made, json.loads(metadata.get(_ALIASES, "{}")), format)
            if _VERSIONS in metadata:
                state._metadata = _versions_of(metadata[_VERSIONS])
            return state

    def preview(self, value: Any) -> Document:
        tensors = value if isinstance(value, Mapping) else {"tensor": value}
        return _shown((name, str(each.dtype), each.shape) for name, each in tensors.items())


def _items(value: Any) -> list[tuple[str, Any]]:
    from collections import OrderedDict

    if type(value) not in (dict, OrderedDict):
        raise unequal(value, "it is no dict of tensors", "choose another materializer")
    for name in value:
        if type(name) is not str or name == "__metadata__":
            raise unequal(value, f"the name {name!r} is not possible in safetensors")
    return list(value.items())


def _shown(tensors: Any) -> Document:
    rows = [
        [name, dtype, " x ".join(map(str, shape)), math.prod(shape)]
        for name, dtype, shape in tensors
    ]
    return preview.of_rows(["name", "dtype", "shape", "elements"], rows[:_SHOWN], len(rows))


# --- the format ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A tensor: the name of its type, its shape, and its bytes, or what gives them when they are needed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: Callable[[], Any]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * _SIZES[self.dtype]


_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


def _write(parts: list[_Part], metadata: dict[str, str], stream: BinaryIO) -> None:
    """Write parts in the order that they have, those of the largest elements first, for alignment."""
    ordered = sorted(parts, key=lambda part: -_SIZES[part.dtype])
    header: Document = {"__metadata__": metadata} if metadata else {}
    start = 0
    offsets = {}
    for part in ordered:
        offsets[part.name] = [start, start + part.size]
        start += part.size
    for part in parts:
        header[part.name] = {
            "dtype": part.dtype,
            "shape": list(part.shape),
            "data_offsets": offsets[part.name],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    for part in ordered:
        view = memoryview(part.data()).cast("B") if part.size else memoryview(b"")
        for place in range(0, len(view), _PIECE):
            stream.write(view[place : place + _PIECE])


def _read(stream: BinaryIO) -> tuple[dict[str, _Part], dict[str, str]]:
    """Return the tensors in the order of the header. Raise ValueError where the file is none."""
    (length,) = struct.unpack("<Q", exactly(stream, 8))
    if length > _HEADER:
        raise ValueError(f"its header is {length:,} bytes long")
    header = json.loads(exactly(stream, length))
    metadata = header.pop("__metadata__", {})
    parts = {name: _described(name, each) for name, each in header.items()}
    place = 0
    for name in sorted(parts, key=lambda name: header[name]["data_offsets"]):
        if header[name]["data_offsets"] != [place, place + parts[name].size]:
            raise ValueError(f"the offsets of {name!r} are not where it must be")
        place += parts[name].size
        data = _filled(parts[name].size, stream)
        parts[name] = _Part(name, parts[name].dtype, parts[name].shape, lambda data=data: data)  # type: ignore[misc]
    if stream.read(1):
        raise ValueError("it is longer than its header says")
    return parts, metadata


def _described(name: str, each: Any) -> _Part:
    shape = each["shape"]
    if each["dtype"] not in _SIZES:
        raise ValueError(f"{name!r} is of type {each['dtype']!r}")
    if len(shape) > 64 or any(type(n) is not int or not 0 <= n < 2**48 for n in shape):
        raise ValueError(f"the shape of {name!r} is {str(shape)[:80]}")
    return _Part(name, each["dtype"], tuple(shape), bytes)


def _filled(size: int, stream: BinaryIO) -> Any:
    """Return so many bytes of the stream. Memory is taken as it is written to."""
    import numpy as np

    try:
        data: Any = np.empty(size, np.uint8)
    except MemoryError:
        raise ArtError(f"there is no memory for a tensor of {size:,} bytes") from None
    if size:
        fill(memoryview(data), stream)
    return data


# --- NumPy --------------------------------------------------------------------------------------

_NUMPY = {
    "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<u2": "U16", "<i2": "I16", "<f2": "F16", "<u4": "U32",
    "<i4": "I32", "<f4": "F32", "<u8": "U64", "<i8": "I64", "<f8": "F64", "<c8": "C64",
}  # fmt: skip


def _numpy_part(value: Any, name: str, array: Any) -> _Part:
    import numpy as np

    if type(array) is not np.ndarray:
        raise unequal(value, f"{name!r} is a {type(array).__name__}, no array of NumPy")
    if array.dtype.str not in _NUMPY:
        raise unequal(
            value, f"{name!r} is of {array.dtype}, which safetensors has not", "astype(…)"
        )

    def data() -> Any:
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    return _Part(name, _NUMPY[array.dtype.str], array.shape, data)


def _as_numpy(part: _Part) -> Any:
    for dtype, name in _NUMPY.items():
        if name == part.dtype:
            return part.data().view(dtype).reshape(part.shape)
    raise ValueError(f"{part.name!r} is of type {part.dtype}, which NumPy has not")


# --- torch --------------------------------------------------------------------------------------

_TORCH = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "uint16": "U16", "int16": "I16", "float16": "F16", "bfloat16": "BF16", "uint32": "U32", "int32": "I32",
    "float32": "F32", "uint64": "U64", "int64": "I64", "float64": "F64", "complex64": "C64",
}  # fmt: skip


def _torch_parts(value: Any, tensors: list[tuple[str, Any]]) -> tuple[list[_Part], dict[str, str]]:
    """Return what is stored, and, where tensors are stored by another name, by which one each of them is."""
    parts: list[_Part] = []
    aliases: dict[str, str] = {}
    seen: dict[Any, str] = {}
    for name, tensor in tensors:
        part = _torch_part(value, name, tensor)
        memory = (
            tensor.data_ptr(),
            tuple(tensor.shape),
            tensor.stride(),
            tensor.dtype,
            tensor.is_conj(),
            tensor.is_neg(),
        )
        if tensor.numel() and memory in seen:
            aliases[name] = seen[memory]
            continue
        seen[memory] = name
        parts.append(part)
    if aliases:  # their order, too, is to come back
        aliases = {name: aliases.get(name, name) for name, _ in tensors}
    return parts, aliases


def _versions(value: Any, of: str) -> dict[str, str]:
    """Return what torch has put on a state dict beside its items: a version of each module."""
    beside = vars(value) if of == "OrderedDict" else {}
    if not beside:
        return {}
    text = json.dumps(beside.get("_metadata"), default=repr)
    if list(beside) != ["_metadata"] or not _is_same(_versions_of(text), beside["_metadata"]):
        raise unequal(value, f"it has attributes beyond its items: {', '.join(beside)}")
    return {_VERSIONS: text}


def _versions_of(text: str) -> Any:
    from collections import OrderedDict

    found = json.loads(text)
    return OrderedDict(found) if isinstance(found, dict) else None


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def _torch_part(value: Any, name: str, tensor: Any) -> _Part:
    import torch

    if reason := _refused(torch, tensor):
        raise unequal(value, f"{name!r} {reason[0]}", reason[1])

    def data() -> Any:
        plain = tensor.resolve_conj().resolve_neg().contiguous()
        return plain.reshape(-1).view(torch.uint8).numpy()

    return _Part(name, _TORCH[_dtype(tensor)], tuple(tensor.shape), data)


def _refused(torch: Any, tensor: Any) -> tuple[str, str] | None:
    """Return why a tensor cannot be stored, and what makes one of it that can; None where it can."""
    if type(tensor) is not torch.Tensor:
        return f"is a {type(tensor).__name__}, no plain tensor", "torch.as_tensor(…).detach()"
    if tensor.device.type != "cpu":
        return f"lies on {tensor.device}", "tensor.cpu()"
    if tensor.requires_grad:
        return "requires gradients", "tensor.detach()"
    if tensor.is_nested:
        return "is nested, which safetensors has not", "tensor.unbind()"
    if tensor.layout != torch.strided:
        return f"is of {tensor.layout}, which safetensors has not", "tensor.to_dense()"
    if _dtype(tensor) not in _TORCH:
        return f"is of {_dtype(tensor)}, which safetensors has not", "tensor.to(…)"
    return None


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _as_torch(torch: Any, part: _Part) -> Any:
    for name, stored in _TORCH.items():
        if stored == part.dtype and hasattr(torch, name):
            dtype = getattr(torch, name)
            if not part.size:
                return torch.empty(part.shape, dtype=dtype)
            return torch.from_numpy(part.data()).view(dtype).reshape(part.shape)
    raise ValueError(f"{part.name!r} is of type {part.dtype}, which this torch has not")


def _arranged(tensors: dict[str, Any], aliases: dict[str, str], format: Document) -> Any:
    from collections import OrderedDict

    if format.get("of") == "tensor":
        return tensors["tensor"]
    made = {name: tensors[other] for name, other in aliases.items()}
    made |= {name: tensor for name, tensor in tensors.items() if name not in made}
    return OrderedDict(made) if format.get("of") == "OrderedDict" else made


# --- scikit-learn -------------------------------------------------------------------------------


class Estimators(Stream):
    """Estimators of scikit-learn, fitted or not, as skops.

    Only what consists of types that skops trusts, of decision trees, and of a few classes that only hold
    attributes, such as those that split data, is saved and read: no classes of
    one's own, no functions.
    Estimators cannot be compared: that one can be read, with the same parameters, is proved before it is
    written. The same estimator gives different bytes each time.
    """

    name = "skops"
    kind = "model"

    def matches(self, cls: type) -> bool:
        from sklearn.base import BaseEstimator

        return issubclass(cls, BaseEstimator) and cls.__module__.partition(".")[0] == "sklearn"

    file = "content.skops"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        io = require("skops.io", "models")
        import sklearn

        try:
            data = io.dumps(value)
            untrusted = _untrusted(io, data)
            back: Any = None if untrusted else io.loads(data, trusted=_TRUSTED)
        except (
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
            NotImplementedError,
        ) as error:
            raise unequal(value, f"skops says {str(error).splitlines()[0][:200]}") from None
        if untrusted:
            names = ", ".join(untrusted[:5])
            raise unequal(value, f"skops does not trust {names}", _PICKLED)
        if type(back) is not type(value) or repr(back.get_params()) != repr(value.get_params()):
            raise unequal(value, "its parameters would not come back equal")
        stream.write(data)
        return {
            "name": "skops",
            "class": f"{type(value).__module__}.{type(value).__qualname__}",
            "sklearn": sklearn.__version__,
        }

    def read(self, stream: BinaryIO, format: Document) -> Any:
        import zipfile

        io = require("skops.io", "models")
        require("sklearn", "models")
        data = stream.read()
        errors = (zipfile.BadZipFile, ImportError, RecursionError, OSError, NotImplementedError)
        with damage("the estimator", *errors):
            untrusted = _untrusted(io, data)
            if untrusted:
                raise DeniedError(
                    f"the estimator has types that are not trusted: {', '.join(untrusted[:5])}",
                    hint="get the file, and skops.io.load(file, trusted=…) if you trust them",
                )
            made = io.loads(data, trusted=_TRUSTED)
            for tree in _trees(made):
                _check_tree(tree)
            return made

    def preview(self, value: Any) -> Document:
        return preview.of_text(repr(value))


_PICKLED = 'materializer="pickle", pickle=True, and pickle=True on loading, which runs code'
# Classes of Python beyond what skops trusts, which only hold attributes, and these are looked at as well.
_SPLITS = (
    *("KFold", "StratifiedKFold", "GroupKFold", "StratifiedGroupKFold", "TimeSeriesSplit"),
    *(
        "ShuffleSplit",
        "StratifiedShuffleSplit",
        "GroupShuffleSplit",
        "LeaveOneOut",
        "PredefinedSplit",
    ),
)
_TRUSTED = [
    "sklearn.tree._tree.Tree",  # not of Python: it follows the numbers in its arrays, see `_check_tree`
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.metrics._scorer._PassthroughScorer",
    *(f"sklearn.model_selection._split.{name}" for name in _SPLITS),
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
]


def _untrusted(io: Any, data: bytes) -> list[str]:
    return [name for name in io.get_untrusted_types(data=data) if name not in _TRUSTED]


def _trees(value: Any) -> Iterator[Any]:
    """Yield the decision trees that an estimator consists of."""
    import numpy as np
    from sklearn.tree._tree import Tree

    seen: set[int] = set()
    rest = [value]
    while rest:
        part = rest.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Tree):
            yield part
        elif isinstance(part, Mapping):
            rest.extend(part.values())
        elif isinstance(part, (list, tuple, set)):
            rest.extend(part)
        elif isinstance(part, np.ndarray):
            rest.extend(part.ravel().tolist() if part.dtype == object else ())
        else:
            rest.append(getattr(part, "__dict__", {}))


def _check_tree(tree: Any) -> None:
    """Raise ValueError where following the tree would lead out of it, or in circles."""
    import numpy as np

    nodes = np.arange(tree.node_count)
    left, right = tree.children_left, tree.children_right
    inner = left != -1
    for children in (left[inner], right[inner]):
        if (children <= nodes[inner]).any() or (children >= tree.node_count).any():
            raise ValueError("a decision tree leads out of itself")
    features = tree.feature[inner]
    if (features < 0).any() or (features >= tree.n_features).any():
        raise ValueError("a decision tree asks for a feature that is not there")
