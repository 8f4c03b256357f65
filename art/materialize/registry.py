"""Which materializer is for an object."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from art.errors import NotFoundError, UsageError
from art.materialize.base import Folder, Materializer, Stream

ENTRY_POINT = "art.materializers"

# Names of the built-in ones and where they are: a module is imported when it is needed.
_BUILTIN = {
    "value": "values:Values",
    "path": "paths:Paths",
    "text": "texts:Texts",
    "numpy": "arrays:Arrays",
    "pandas": "frames:PandasFrames",
    "pandas-series": "frames:PandasSeries",
    "polars": "tabular:PolarsFrames",
    "arrow": "tabular:ArrowTables",
    "pillow": "pictures:Pictures",
    "matplotlib": "pictures:MatplotlibFigures",
    "plotly": "pictures:PlotlyFigures",
    "torch": "models:TorchStates",
    "safetensors": "models:Tensors",
    "skops": "models:Estimators",
    "pickle": "pickles:Pickles",
}
# Packages whose objects a built-in one may be for, so that others are never imported for a look.
_PACKAGES = {
    "numpy": ("numpy",),
    "pandas": ("pandas", "pandas-series"),
    "polars": ("polars",),
    "pyarrow": ("arrow",),
    "PIL": ("pillow",),
    "matplotlib": ("matplotlib",),
    "plotly": ("plotly",),
    "torch": ("torch",),
    "sklearn": ("skops",),
    "pathlib": ("path",),
    "art": ("text",),
}
# What helps with objects of well-known classes that nobody can save, and with all others.
_ADVICE = {
    "torch.Module": "save its state_dict()",
    "torch.Optimizer": "save its state_dict()",
    "builtins.memoryview": "save bytes(…) of it",
    "builtins.generator": "save list(…) of it",
    "types.SimpleNamespace": "save vars(…) of it",
    "collections.ChainMap": "save dict(…) of it",
    "collections.UserDict": "save dict(…) of it",
    "numpy.MaskedArray": "save its .data and its .mask, in a dict",
    "pandas.Index": "save its to_series(), or its to_frame()",
    "pandas.ExtensionArray": "save pandas.Series(…) of it",
    "polars.LazyFrame": "save what its collect() returns",
    "polars.Series": "save its to_frame()",
    "pyarrow.RecordBatch": "save pyarrow.Table.from_batches([…])",
    "pyarrow.Array": "save pyarrow.table({…: it})",
    "pyarrow.ChunkedArray": "save pyarrow.table({…: it})",
    "matplotlib.Artist": "save its figure",
    "plotly.BasePlotlyType": "save plotly.graph_objects.Figure(…) of it",
}
_OTHERWISE = "art.register_materializer(…), or pickle=True on both ends, which runs code on loading"
# The same where the object is part of another one, for which there is a materializer.
PICKLED = 'art.register_materializer(…), or materializer="pickle", pickle=True for the whole of it'
_registered: list[Materializer] = []


def register(materializer: Materializer) -> Materializer:
    """Let a materializer be found by its types and its name; the last one registered comes first.

    Raise UsageError where it is none, or one of another class has its name already.
    """
    _check(materializer, repr(materializer))
    for other in _registered:
        if other.name == materializer.name and type(other) is not type(materializer):
            raise UsageError(f"there is a materializer {materializer.name!r} already: {other!r}")
    _registered[:] = [m for m in _registered if m.name != materializer.name]
    _registered.insert(0, materializer)
    return materializer


def _check(materializer: object, what: str) -> None:
    """Raise UsageError where an object is no materializer, or has a name that it cannot have."""
    if not isinstance(materializer, (Stream, Folder)):
        raise UsageError(
            f"{what} is no materializer",
            hint="give an object of a class derived from art.materialize.Stream or Folder",
        )
    name = getattr(materializer, "name", None)
    if not isinstance(name, str) or not name:
        raise UsageError(f"{what} has no name, which a manifest needs")
    if name in _BUILTIN:
        raise UsageError(f"{what}: {name!r} is the name of a built-in materializer")
    if lacking := _lacking(materializer):
        raise UsageError(
            f"{what} has no method {lacking!r}", hint="docs/materializers.md says what is needed"
        )


def _lacking(materializer: Stream | Folder) -> str | None:
    """Return the name of a method that every materializer must have, and this one has not."""
    base = Stream if isinstance(materializer, Stream) else Folder
    needed: tuple[str, ...] = ("write", "read") if base is Stream else ("save", "load")
    if isinstance(materializer, Stream) and not materializer.file:
        needed = ("filename", *needed)
    found = (n for n in needed if getattr(type(materializer), n) is getattr(base, n))
    return next(found, None)


def named(name: str) -> Materializer:
    """Return the materializer that a manifest names. Raise NotFoundError where it is not installed."""
    for materializer in _registered:
        if materializer.name == name:
            return materializer
    if name in _BUILTIN:
        return _builtin(name)
    for materializer in _plugins():
        if materializer.name == name:
            return materializer
    raise NotFoundError(
        f"there is no materializer {name!r} here",
        hint="install the package that has it, or art.register_materializer(…)",
    )


def asked(wanted: object, value: object) -> Materializer:
    """Return the materializer that is given, or named, for an object.

    Raise UsageError where it is none, or a built-in one for other objects: the object would come back
    as something else. One of one's own decides for itself.
    """
    if not isinstance(wanted, (str, Materializer)):
        raise UsageError(f"{wanted!r} is no materializer", hint="give one, or the name of one")
    found = named(wanted) if isinstance(wanted, str) else wanted
    if found.name in _BUILTIN and not _suits(found.name, value):
        raise UsageError(
            f"the materializer {found.name!r} is for other types than {_name(type(value))}",
            hint="leave it out: each type has one",
        )
    return found


def _suits(name: str, value: object) -> bool:
    """Whether a built-in materializer is for an object, as far as its type can tell."""
    if name in ("pickle", "safetensors") or (name == "torch" and is_state(value)):
        return True
    package = type(value).__module__.partition(".")[0]
    is_possible = name == "value" or name in _PACKAGES.get(package, ())
    return is_possible and _is_for(_builtin(name), type(value))


def find(value: object, *, is_part: bool = False) -> Materializer:
    """Return the materializer for an object: of its exact type, else of its nearest base. A mapping of
    texts to tensors of torch, and nothing else, is a state dict. `is_part` says that the object lies in
    another one.

    Raise UsageError where there is none, or where it takes no subclasses.
    """
    cls = type(value)
    for base in cls.__mro__[:-1]:
        found = _for(base)
        if found is None:
            continue
        if base is not cls and not found.takes_subclasses:
            raise UsageError(
                f"a {_name(cls)} would come back as its base {_name(base)}: it is not saved",
                hint=_ADVICE.get(_short(cls))
                or f"convert it to {base.__name__}, or art.register_materializer(…) for it",
            )
        return _builtin("torch") if found.name == "value" and is_state(value) else found
    known = (_ADVICE.get(_short(base)) for base in cls.__mro__)
    hint = next(filter(None, known), PICKLED if is_part else _OTHERWISE)
    raise UsageError(f"there is no materializer for {_name(cls)}", hint=hint)


def is_state(value: object) -> bool:
    """Whether it is what `state_dict()` of a module of torch gives: every name a text, and every value
    a tensor."""
    if type(value) not in (dict, OrderedDict) or not value:
        return False
    first = type(next(iter(value.values())))  # type: ignore[attr-defined]
    return _short(first) == "torch.Tensor" and all(
        type(name) is str and type(each) is first
        for name, each in value.items()  # type: ignore[attr-defined]
    )


def _for(cls: type) -> Materializer | None:
    """Return the materializer for objects of exactly this class."""
    return next((each for each in _candidates(cls) if _is_for(each, cls)), None)


def _candidates(cls: type) -> Iterator[Materializer]:
    yield from _registered
    yield from _plugins()
    for name in _PACKAGES.get(cls.__module__.partition(".")[0], ()):
        yield _builtin(name)
    yield _builtin("value")


def _is_for(materializer: Materializer, cls: type) -> bool:
    names = (cls, _short(cls))
    return any(each in names for each in materializer.types) or materializer.matches(cls)


@cache
def _builtin(name: str) -> Materializer:
    module, _, attribute = _BUILTIN[name].partition(":")
    made: Any = getattr(import_module(f"art.materialize.{module}"), attribute)()
    assert made.name == name
    return made  # type: ignore[no-any-return]


@cache
def _plugins() -> tuple[Materializer, ...]:
    """Return those that installed packages bring. An entry point names a class or an object."""
    found = []
    for point in entry_points(group=ENTRY_POINT):
        what = f"the entry point {point.value} of {ENTRY_POINT}"
        try:
            made = point.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"{what} cannot be loaded: {error}", hint="mend or remove the package that has it"
            ) from error
        made = made() if isinstance(made, type) else made
        _check(made, what)
        found.append(made)
    return tuple(found)


def _short(cls: type) -> str:
    """Return how `types` name a class: the package that it lies in, and its name."""
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
