"""Objects of classes that programs define: enums, named tuples, dataclasses, models of pydantic.

Their class stands by its name, `module:Name`. It is looked for among the modules that are imported
already, and nothing of it is run: neither `__init__` nor a validator, property or hook.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from enum import Enum, EnumMeta, Flag, IntFlag
from functools import cached_property
from types import MemberDescriptorType
from typing import Any

from art.errors import ConflictError, NotFoundError
from art.materialize.base import unequal
from art.materialize.scalars import Form, exactly, integer, is_plain, mapping, text
from art.model import Document
from art.warned import warn

# Yields what is inside an object, with its place there, and gets how it stands in JSON: so nesting takes
# no stack.
Steps = Generator[tuple[Any, Any], Any, Any]

_AS_TEXT = "version.text(), or art cat REF, gives what was saved, as JSON"


@dataclasses.dataclass(frozen=True)
class ClassForm:
    """As `Form`, for the objects of all classes of a kind that hold others."""

    tag: str
    write: Callable[[Any], Steps]
    read: Callable[..., Any]


def form_of(cls: type) -> Form | ClassForm | None:
    """Return how objects of this class are written."""
    if issubclass(cls, Enum):
        return _FLAG if issubclass(cls, Flag) else _ENUM
    if _is_named_tuple(cls):
        return _NAMED_TUPLE
    if _is_model(cls):
        return _MODEL
    return _DATACLASS if _is_dataclass(cls) else None


def form_named(tag: str) -> Form | ClassForm | None:
    """Return how objects are read that stand under this word."""
    forms = (_ENUM, _FLAG, _NAMED_TUPLE, _DATACLASS, _MODEL)
    return next((form for form in forms if form.tag == tag), None)


# -- classes by name ---------------------------------------------------------------------------------


def name_of(cls: type) -> str:
    """Return the name of a class, `module:Name`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _name(value: Any) -> str:
    """Return the name of an object's class. Raise UsageError where it would not be found by that."""
    name = name_of(type(value))
    try:
        found = _find(name)
    except NotFoundError:
        found = None
    if found is not type(value):
        hint = "define it at the top of a module"
        if name.endswith("]"):  # of a generic model of pydantic
            hint = f"give it a name at the top of a module: class Name({type(value).__qualname__})"
        raise unequal(value, f"its class is not found as {name}", hint=hint)
    if type(value).__module__ == "__main__":
        path = type(value).__qualname__
        warn(
            f"{path} is a class of __main__: no other program can load this; define it in a module"
        )
    return name


def _find(name: str) -> type:
    """Return a class by its name. Raise NotFoundError where its module is not imported or has no
    such class: a module is not asked for what it would make only then."""
    module, _, path = exactly(str, name).partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"{module!r} is no module")
    found: Any = sys.modules.get(module)
    if found is None:
        raise NotFoundError(
            f"this holds a {path} of the module {module}, which is not imported",
            hint=f"import {module} first; {_AS_TEXT}",
        )
    for part in path.split("."):
        found = _own(found).get(part)
    if not issubclass(type(found), type):
        raise NotFoundError(
            f"this holds a {path}, and the module {module} has no such class", hint=_AS_TEXT
        )
    return found  # type: ignore[no-any-return]


def _own(owner: Any) -> Mapping[str, Any]:
    """Return what a module or class has itself, without running what it may have for others."""
    getter = type.__getattribute__ if issubclass(type(owner), type) else object.__getattribute__
    try:
        return getter(owner, "__dict__")  # type: ignore[no-any-return]
    except AttributeError:
        return {}


def _find_as(name: str, is_one: Callable[[type], bool], what: str) -> type:
    cls = _find(name)
    if not is_one(cls):
        raise ConflictError(
            f"{name} was {what} when this was saved, and is none now", hint=_AS_TEXT
        )
    return cls


def _same_fields(name: str, saved: Iterable[str], present: Iterable[str]) -> None:
    saved, present = list(saved), list(present)
    if saved != present:
        raise ConflictError(
            f"{name} has other fields than when this was saved: "
            f"{', '.join(present) or 'none'} instead of {', '.join(saved) or 'none'}",
            hint=_AS_TEXT,
        )


def _fields(names: Iterable[str], state: Mapping[str, Any]) -> Steps:
    """Return how attributes stand in JSON."""
    pairs = []
    for name in names:
        pairs.append((text(name), (yield f".{name}", state[name])))
    return mapping(pairs)


# -- enums -------------------------------------------------------------------------------------------


_NOT_PLAIN = object()
_MISSING: Any = (Flag._missing_.__func__, IntFlag._missing_.__func__)  # type: ignore[attr-defined]


def _write_enum(value: Any) -> Document:
    """The value of a member stands beside its name where JSON has it, so that a change of it is seen."""
    name, member = _name(value), value._name_
    if _members(type(value)).get(member) is not value:
        raise unequal(value, f"it is no member of {name}")
    known = {"value": value._value_} if is_plain(value._value_) else {}
    return {"type": name, "member": text(member), **known}


def _read_enum(type: str, member: str, value: Any = _NOT_PLAIN) -> Any:
    cls = _find_as(type, lambda cls: issubclass(cls, Enum), "an enum")
    found: Any = _members(cls).get(exactly(str, member))
    if found is None:
        raise ConflictError(f"{type} has no member {member} now", hint=_AS_TEXT)
    now = found._value_ if is_plain(found._value_) else _NOT_PLAIN
    if now.__class__ is not value.__class__ or (now is not value and now != value):
        raise ConflictError(
            f"{type}.{member} has another value than when this was saved", hint=_AS_TEXT
        )
    return found


def _members(cls: Any) -> Any:
    return cls._member_map_


def _write_flag(value: Any) -> Document:
    name = _name(value)
    if _flag(type(value), exactly(int, value._value_)) is None:
        raise unequal(value, f"{name} makes its members in its own way")
    return {"type": name, "value": integer(value._value_)}


def _read_flag(type: str, value: int) -> Any:
    cls = _find_as(type, lambda cls: issubclass(cls, Flag), "a flag")
    made = _flag(cls, exactly(int, value))
    if made is None:
        raise ConflictError(f"{type} has no value {value:#x} now", hint=_AS_TEXT)
    return made


def _flag(cls: Any, value: int) -> Any:
    """Return the member or the union of members that has a value, None where there is none, or where
    code that is not Python's own would have to be run for it."""
    known = cls._value2member_map_.get(value)
    if known is None and cls._missing_.__func__ in _MISSING and type(cls) is EnumMeta:
        try:
            known = cls(value)
        except ValueError:
            return None
    return known if known is not None and known._value_ == value else None


# -- named tuples ------------------------------------------------------------------------------------


def _is_named_tuple(cls: type) -> bool:
    if not issubclass(cls, tuple) or not hasattr(cls, "_make"):
        return False
    fields = getattr(cls, "_fields", None)
    return isinstance(fields, tuple) and all(type(name) is str for name in fields)


def _write_named_tuple(value: Any) -> Steps:
    name, names = _name(value), type(value)._fields
    if getattr(value, "__dict__", None):
        raise unequal(value, f"it has attributes beyond its fields: {', '.join(value.__dict__)}")
    if len(names) != tuple.__len__(value):
        raise unequal(value, f"it has {tuple.__len__(value)} items for {len(names)} fields")
    state = dict(zip(names, tuple.__iter__(value), strict=True))
    return {"type": name, "fields": (yield from _fields(names, state))}


def _read_named_tuple(type: str, fields: Document) -> Any:
    cls: Any = _find_as(type, _is_named_tuple, "a named tuple")
    _same_fields(type, exactly(dict, fields), cls._fields)
    return tuple.__new__(cls, fields.values())


# -- dataclasses -------------------------------------------------------------------------------------


def _is_dataclass(cls: type) -> bool:
    return dataclasses.is_dataclass(cls)


def _write_dataclass(value: Any) -> Steps:
    """A field that has no value is noted, so that it has none again."""
    name, cls = _name(value), type(value)
    _make_empty(value, cls)
    names = _field_names(cls)
    state = _state(value, names)
    unset = [field for field in names if field not in state]
    written = yield from _fields([field for field in names if field in state], state)
    return {"type": name, "fields": written, **({"unset": unset} if unset else {})}


def _read_dataclass(type: str, fields: Document, unset: Iterable[str] = ()) -> Any:
    cls = _find_as(type, _is_dataclass, "a dataclass")
    names = [*exactly(dict, fields), *unset]
    _same_fields(type, sorted(names), sorted(_field_names(cls)))
    made = _made(type, cls)
    for name, value in fields.items():
        slot = _attribute(cls, name)
        if isinstance(slot, MemberDescriptorType):
            slot.__set__(made, value)
        elif _is_in_charge(slot):
            raise ConflictError(f"{type}.{name} is no plain field now")
        else:
            vars(made)[name] = value
    return made


def _field_names(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _state(value: Any, fields: Iterable[str]) -> Document:
    """Return the values of fields, as they are kept in the object or else in its class. Raise
    UsageError where it keeps something else too."""
    cls = type(value)
    state = dict(getattr(value, "__dict__", {})) | _slots(value)
    for name in fields:
        kept = _attribute(cls, name)
        if isinstance(kept, MemberDescriptorType):
            continue
        if _is_in_charge(kept):
            raise unequal(value, f"its field {name} is a {type(kept).__name__}, which runs code")
        if name not in state and any(name in vars(base) for base in cls.__mro__):
            state[name] = kept
    _refuse_beyond(value, state, fields)
    return state


def _refuse_beyond(value: Any, state: Iterable[str], fields: Iterable[str]) -> None:
    """Raise UsageError where an object keeps more than its fields, what can be computed again, and the
    arguments that its class was given when it was made, `Box[int](1)`: they do not count as it compares."""
    beyond = [
        name
        for name in state
        if name not in (*fields, "__orig_class__")
        and not isinstance(_attribute(type(value), name), cached_property)
    ]
    if beyond:
        raise unequal(
            value,
            f"it has attributes beyond its fields: {', '.join(sorted(beyond))}",
            hint="make fields of them, or del them",
        )


def _slots(value: Any) -> Document:
    found: Document = {}
    for base in type(value).__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, MemberDescriptorType) and name not in found:
                try:
                    found[name] = slot.__get__(value)
                except AttributeError:
                    continue
    return found


def _is_in_charge(attribute: Any) -> bool:
    """Whether what a class has under a name, a property say, is run when that is set."""
    return hasattr(type(attribute), "__set__")


def _attribute(cls: type, name: str) -> Any:
    """Return what a class has under a name, as it is kept there."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _make_empty(value: Any, cls: type) -> Any:
    """Return a new object of a class. Raise UsageError where that takes more than memory."""
    try:
        return object.__new__(cls)
    except TypeError as error:
        raise unequal(value, f"a {name_of(cls)} cannot be made anew ({error})") from None


def _made(name: str, cls: type) -> Any:
    try:
        return object.__new__(cls)
    except TypeError as error:
        raise ConflictError(f"a {name} cannot be made now ({error})") from None


# -- models of pydantic ------------------------------------------------------------------------------


def _base_model() -> Any:
    """Return the base of all models, None where no program can have one."""
    base = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base if hasattr(base, "__pydantic_fields_set__") else None  # pydantic 1 has it not


def _is_model(cls: type) -> bool:
    base = _base_model()
    return base is not None and issubclass(cls, base) and cls is not base


def _write_model(value: Any) -> Steps:
    """What a model was given, what was set on it, and what it keeps for itself."""
    name, cls = _name(value), type(value)
    _make_empty(value, cls)
    names = list(cls.model_fields)
    given, extra, private = vars(value), value.__pydantic_extra__, value.__pydantic_private__
    _refuse_beyond(value, given, names)
    unset = [each for each in names if each not in given]
    made = {
        "type": name,
        "fields": (yield from _fields([each for each in names if each in given], given)),
        "set": [text(each) for each in sorted(value.__pydantic_fields_set__)],
    }
    if unset:
        made["unset"] = unset
    if mistyped := _mistyped(cls, {each: given[each] for each in names if each in given}):
        made["mistyped"] = mistyped
    if extra is not None:
        made["extra"] = yield from _fields(extra, extra)
    if private is not None:
        made["private"] = yield from _fields(sorted(private), private)
    return made


def _read_model(  # its parameters are what stands in a file
    type: str,
    fields: Document,
    set: list[str],
    unset: Iterable[str] = (),
    extra: Document | None = None,
    private: Document | None = None,
    mistyped: Iterable[str] = (),
) -> Any:
    cls: Any = _find_as(type, _is_model, "a model of pydantic")
    _same_fields(type, sorted([*exactly(dict, fields), *unset]), sorted(cls.model_fields))
    keeps = cls.model_config.get("extra") == "allow"
    if (extra is not None) != keeps or not {*(private or ())} <= {*cls.__private_attributes__}:
        raise ConflictError(
            f"{type} keeps other attributes than when this was saved", hint=_AS_TEXT
        )
    given = {*fields, *(extra or ())}
    if not all(exactly(str, name) in given for name in set):
        raise ValueError("a field is set that is not there")
    if changed := [name for name in _mistyped(cls, fields) if name not in mistyped]:
        what = f"{type}.{changed[0]} has another type than when this was saved"
        raise ConflictError(what, hint=_AS_TEXT)
    made = _made(type, cls)
    vars(made).update(fields)
    state = {
        "__pydantic_fields_set__": {*set},
        "__pydantic_extra__": extra,
        "__pydantic_private__": private,
    }
    for name, value in state.items():
        slot = _attribute(cls, name)
        if isinstance(slot, MemberDescriptorType):  # a model of one value has None in its class
            slot.__set__(made, value)
    return made


# Python's own types, of which a field's value must be, where the field was annotated with one when it is
# loaded: a validator is not run, since it may be code of the model.
_PLAIN = (bool, int, float, str, bytes, list, dict, set, tuple)


def _mistyped(cls: Any, fields: Document) -> list[str]:
    """Return the fields that have one of Python's own types, and a value of another."""
    wanted = {name: cls.model_fields[name].annotation for name in fields}
    return [
        name
        for name, value in fields.items()
        if wanted[name] in _PLAIN and value.__class__ in _PLAIN and value.__class__ != wanted[name]
    ]


_ENUM = Form("enum", _write_enum, _read_enum)
_FLAG = Form("flag", _write_flag, _read_flag)
_NAMED_TUPLE = ClassForm("namedtuple", _write_named_tuple, _read_named_tuple)
_DATACLASS = ClassForm("dataclass", _write_dataclass, _read_dataclass)
_MODEL = ClassForm("pydantic", _write_model, _read_model)
