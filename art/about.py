"""What is said of a version that is to be made, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypedDict

from art import model
from art.errors import UsageError
from art.keys import check_key
from art.model import Document
from art.partitions import LIMIT, value_text
from art.ref import PARTITION
from art.settings import Settings

_LABEL = re.compile(r"[^\s,\x00-\x1f\ud800-\udfff]{1,200}")


class HasRef(Protocol):
    """A version, or what else names one."""

    @property
    def ref(self) -> str: ...


class About(TypedDict, total=False):
    """What a user says of a new version."""

    type: str
    title: str | None
    description: str | None
    metadata: Mapping[str, Any] | None
    labels: Iterable[str]
    partitions: Mapping[str, Any] | None
    allow_undeclared: bool
    inputs: Iterable[str | Mapping[str, Any] | HasRef]
    tags: Iterable[str]
    message: str | None
    always: bool


def check_about(about: Mapping[str, Any]) -> None:
    """Raise UsageError for a word that means nothing here, and for a text where a list belongs."""
    for name, value in about.items():
        if name not in About.__annotations__:
            raise UsageError(
                f"a version has no {name!r}", hint=f"known: {', '.join(About.__annotations__)}"
            )
        if name in ("labels", "inputs", "tags") and isinstance(value, str):
            raise UsageError(f"{name} is the text {value!r}, expected a list of texts")
        if name in ("title", "description", "message") and not isinstance(value, (str, type(None))):
            raise UsageError(f"{name} is {value!r}, expected a text")


def check_labels(labels: Iterable[str]) -> list[str]:
    """Return labels sorted and without repeats; raise UsageError where one is not possible."""
    found = sorted(set(labels))
    for label in found:
        if not _LABEL.fullmatch(label):
            raise UsageError(
                f"label {label!r} is not possible: no spaces, commas or control characters"
            )
    return found


def check_partitions(
    partitions: Mapping[str, Any], settings: Settings, *, allows: bool
) -> dict[str, str]:
    """Return partitions as they are stored. Raise UsageError for what is not possible, or, unless it
    `allows` that, not as it was declared."""
    if len(partitions) > LIMIT:
        raise UsageError(f"{len(partitions)} partitions are given, at most {LIMIT} are possible")
    declared = settings.declared
    found = {}
    for name, value in sorted(partitions.items()):
        if not PARTITION.fullmatch(name):
            raise UsageError(
                f"partition {name!r} is not possible: letters, digits, '_', '.' and '-'"
            )
        found[name] = value_text(name, value, declared.times.get(name))
        check_text(found[name], f"partition {name}")
    if not allows:
        declared.check(settings.key, found)
    return found


def check_text(text: str | None, what: str) -> str | None:
    """Return `text`; raise UsageError where it is not valid or too long."""
    if text is None:
        return None
    plain = str(model.check_metadata(text, what))
    if len(plain.encode()) > 1 << 16:
        raise UsageError(
            f"the {what} has more than 64 KiB", hint="store it as a file of the version"
        )
    return plain


def ref_of(given: object) -> str:
    """Return the reference that is given, or that of a version."""
    ref = given if isinstance(given, str) else getattr(given, "ref", None)
    if not isinstance(ref, str):
        raise UsageError(f"input {given!r} is no version: give a reference such as 'sales/data@v3'")
    return ref


def check_distant(given: Mapping[str, Any]) -> Document:
    """Return what a manifest says of an input that is in another repository. Raise UsageError."""
    from art.addresses import normal_url

    key, id, number = (given.get(name) for name in ("key", "id", "number"))
    url = given.get("url")
    is_id = isinstance(id, str) and re.fullmatch("b3:[0-9a-f]{64}", id)
    is_number = number is None or (type(number) is int and number > 0)
    if not (is_id and is_number and isinstance(url, str) and isinstance(key, (str, type(None)))):
        raise UsageError(
            f"input {dict(given)!r} is not possible: expected key, id, number and url of a version "
            "in another repository"
        )
    fields = (("key", key and check_key(key)), ("id", id), ("number", number))
    return {name: value for name, value in fields if value} | {"url": normal_url(url)}
