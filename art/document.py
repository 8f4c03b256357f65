"""Documents: small YAML mappings that carry their own checksum (FORMAT §3)."""

from __future__ import annotations

import datetime
from typing import Any

import yaml
from blake3 import blake3

from art.errors import CorruptError, NewerFormatError
from art.model import FORMAT, Document

SIZE_LIMIT = 1 << 20
_DEPTH_LIMIT = 64
_CHECK_LENGTH = len("check: ") + 32 + 1

try:
    _Loader: Any = yaml.CSafeLoader
    _Dumper: Any = yaml.CSafeDumper
except AttributeError:  # a PyYAML built without libyaml: slower, otherwise the same
    _Loader = yaml.SafeLoader
    _Dumper = yaml.SafeDumper


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Refuses a key that stands twice in one mapping, which YAML's own loader overwrites."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "a key stands twice", node.start_mark
            )
        return mapping


class _PlainDumper(_Dumper):  # type: ignore[misc]
    """Writes a value that occurs twice twice, instead of an anchor and an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def encode(document: Document) -> bytes:
    """Return the canonical bytes of `document`, with its checksum as the last line.

    Raise ValueError where YAML cannot carry it unchanged.
    """
    body = yaml.dump(
        document,
        Dumper=_PlainDumper,
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
        encoding="utf-8",
    )
    if not _same(_load(body), document):
        raise ValueError("the document does not survive YAML")
    return bytes(body) + b"check: " + _checksum(body) + b"\n"


def decode(data: bytes, name: str) -> Document:
    """Return the mapping in a document's bytes, without `check`.

    Raise CorruptError or NewerFormatError, naming `name`.
    """
    body = data[:-_CHECK_LENGTH]
    if len(data) > SIZE_LIMIT:
        raise _damaged(name, f"it has {len(data)} bytes, at most {SIZE_LIMIT} are possible")
    if data[-_CHECK_LENGTH:] != b"check: " + _checksum(body) + b"\n":
        raise _damaged(name, "its checksum does not match its content")
    try:
        document = _load(body)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise _damaged(name, f"not a YAML mapping ({str(error).splitlines()[0]})") from error
    return check_format(document, name)


def check_format(document: Any, name: str) -> Document:
    """Return `document` if it is a mapping of a format this program knows."""
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise _damaged(name, "not a YAML mapping")
    number = document.get("art")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise _damaged(name, f"field 'art' is {number!r}, expected {FORMAT}")
    if number > FORMAT:
        raise NewerFormatError(
            f"{name} has format {number}, this art knows {FORMAT}",
            hint="pip install --upgrade art-vcs",
        )
    return document


def load_plain(data: bytes, name: str) -> Document:
    """Return the mapping in a YAML file that people edit, such as config.yaml: no checksum."""
    try:
        document = _load(data) if len(data) <= SIZE_LIMIT else None
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise _damaged(name, f"not a YAML mapping ({str(error).splitlines()[0]})") from error
    if document is None:
        document = {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise _damaged(name, "not a YAML mapping")
    return document


def dump_plain(document: Document) -> bytes:
    """Return readable YAML without checksum."""
    text = yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)
    return str(text).encode()


def _load(body: bytes) -> Any:
    if b"&" in body or b"*" in body or b"!" in body or _may_be_deep(body):
        _refuse_tricks(body)
    return _plain(yaml.load(body, Loader=_StrictLoader))


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") + body.count(b"- -") > _DEPTH_LIMIT // 2 or (
        b" " * _DEPTH_LIMIT in body
    )


def _refuse_tricks(body: bytes) -> None:
    """Walk the events, which costs time but never recursion, before anything is built."""
    depth = 0
    for event in yaml.parse(body, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError("it has an anchor or alias")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH_LIMIT:
            raise ValueError(f"it nests deeper than {_DEPTH_LIMIT}")
        if getattr(event, "tag", None):
            raise ValueError("it has a tag")


def _plain(value: Any) -> Any:
    """Return `value`; raise ValueError where YAML made something that documents do not hold."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key is not a text")
        for item in value.values():
            _plain(item)
    elif isinstance(value, list):
        for item in value:
            _plain(item)
    elif isinstance(value, (datetime.date, bytes, set)):
        raise ValueError(f"it holds a {type(value).__name__}")
    return value


def _same(left: Any, right: Any) -> bool:
    """Whether two values are equal with their types; NaN equals NaN."""
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and (left == right or (left != left and right != right))


def _checksum(body: bytes) -> bytes:
    return blake3(body).hexdigest()[:32].encode()


def _damaged(name: str, what: str) -> CorruptError:
    return CorruptError(f"{name} is damaged: {what}", hint="art doctor")
