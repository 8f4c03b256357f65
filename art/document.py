"""Documents: small YAML mappings that carry their own checksum (FORMAT §3)."""

from __future__ import annotations

import datetime
import re
from functools import cache
from typing import Any

from blake3 import blake3

from art.errors import REPAIR, CorruptError, NewerFormatError, UsageError
from art.model import FORMAT, Document

SIZE_LIMIT = 1 << 20
RUN_LIMIT = 8 << 20  # of the record of a run, which may have read and made much
READ_LIMIT = SIZE_LIMIT + 1  # enough to see that a document is too large
_DEPTH_LIMIT = 64
_CHECK_LENGTH = len("check: ") + 32 + 1
_INTEGER_LIMIT = 100  # characters; YAML's numbers of base 60 take time that grows with their square


@cache
def _yaml() -> tuple[Any, Any, Any]:
    """Return the yaml module, a strict loader and a plain dumper. Importing them takes a while, and
    most documents are plain enough to be read without."""
    import yaml

    # A PyYAML built without libyaml is slower, otherwise the same.
    safe_loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    safe_dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class StrictLoader(safe_loader):  # type: ignore[misc]
        """Refuses a key that stands twice in a mapping, which YAML's own loader overwrites."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            mapping = super().construct_mapping(node, deep=deep)
            if len(mapping) != len(node.value):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key stands twice", node.start_mark
                )
            return mapping

        def construct_yaml_int(self, node: Any) -> Any:
            if len(node.value) > _INTEGER_LIMIT:
                raise yaml.constructor.ConstructorError(
                    None, None, "a number is too long", node.start_mark
                )
            return super().construct_yaml_int(node)

    StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_yaml_int)

    class PlainDumper(safe_dumper):  # type: ignore[misc]
        """Writes a value that occurs twice twice, instead of an anchor and an alias."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml, StrictLoader, PlainDumper


def encode(document: Document, limit: int = SIZE_LIMIT) -> bytes:
    """Return the canonical bytes of `document`, with its checksum as the last line.

    Raise UsageError where YAML cannot carry it unchanged, or no reader would take it.
    """
    yaml, _, dumper = _yaml()
    options = {"sort_keys": False, "allow_unicode": True, "width": 2**30, "encoding": "utf-8"}
    try:
        body = yaml.dump(document, Dumper=dumper, **options)
        is_same = len(body) > limit or _same(_load(body), document)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"what is to be written does not survive YAML ({error})") from None
    if len(body) + _CHECK_LENGTH > limit:
        raise UsageError(
            f"what is to be written has {len(body)} bytes, at most {limit} are possible",
            hint="store what is large as a file of the version",
        )
    if not is_same:
        raise UsageError("what is to be written does not survive YAML")
    return bytes(body) + b"check: " + _checksum(body) + b"\n"


def limit_of(name: str) -> int:
    """Return how many bytes a document of this name may have (FORMAT §3)."""
    return RUN_LIMIT if name.startswith("runs/") else SIZE_LIMIT


def decode(data: bytes, name: str) -> Document:
    """Return the mapping in a document's bytes, without `check`.

    Raise CorruptError or NewerFormatError, naming `name`.
    """
    body = data[:-_CHECK_LENGTH]
    if len(data) > (limit := limit_of(name)):
        raise _damaged(name, f"it is too large, at most {limit} bytes are possible")
    if data[-_CHECK_LENGTH:] != b"check: " + _checksum(body) + b"\n" or body[-1:] != b"\n":
        raise _damaged(name, "its checksum does not match its content")
    return check_format(_loaded(body, name), name)


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
    if len(data) > SIZE_LIMIT:
        raise _damaged(name, f"it is too large, at most {SIZE_LIMIT} bytes are possible")
    document = _loaded(data, name)
    if document is None:
        document = {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise _damaged(name, "not a YAML mapping")
    return document


def dump_plain(document: Document) -> bytes:
    """Return readable YAML without checksum."""
    yaml, _, dumper = _yaml()
    text = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(text).encode()


def _loaded(body: bytes, name: str) -> Any:
    plain = _read_plain(body)
    if plain is not None:
        return plain
    yaml, _, _ = _yaml()
    try:
        return _load(body)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _damaged(name, f"not a YAML mapping ({reason})") from error


def _load(body: bytes) -> Any:
    yaml, loader, _ = _yaml()
    if b"&" in body or b"*" in body or b"!" in body or _may_be_deep(body):
        _refuse_tricks(body)
    return _plain(yaml.load(body, Loader=loader))


# Most documents are so plain that a few patterns read them, exactly as YAML would, in a tenth of the
# time. Whatever does not fit is left to YAML.

_LINE = re.compile(
    r"((?:  ){0,3})(- )?(?:(?!(?:y|n|yes|no|on|off|true|false|null):)([a-z][a-z0-9_]{0,63}):(?: (.+))?|(.+))"
)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,25}(?:e[+-][0-9]{1,3})?")
_QUOTED = re.compile(r"'([ -&(-~\u00c0-\u024f]*)'")
_WORD = re.compile(  # or several, with one space between any two
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)-{0,2}[A-Za-z\u00c0-\u024f]"
    r"[A-Za-z0-9_./@\u00c0-\u024f-]{0,250}(?: [A-Za-z0-9_./@(),+%=\u00c0-\u024f-]+)*"
    r"|b3:[0-9a-f]{64}|[0-9]{1,9}(?:\.[0-9]{1,9}){2}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?!0b)(?=[0-9]*[a-f])[0-9a-f]{40}(?:[0-9a-f]{24})?",
    re.IGNORECASE,
)
_PLACE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}:/)?/[A-Za-z0-9_./@~+:-]{0,249}[A-Za-z0-9_/]")
_CONSTANTS = {"true": True, "false": False, "null": None}


class _NotPlainError(Exception):
    """The document needs all of YAML."""


def _read_plain(body: bytes) -> Document | None:
    """Return the mapping in a document of the plain kind, None where it is of another."""
    try:
        text = body.decode().removesuffix("\n")
        lines = [_split_line(line) for line in text.split("\n")]
        document, end = _read_mapping(lines, 0, 0)
    except (_NotPlainError, UnicodeDecodeError):
        return None
    return document if end == len(lines) else None


_PlainLine = tuple[int, bool, "str | None", "str | None"]  # depth, whether an item, key, value


def _split_line(line: str) -> _PlainLine:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _NotPlainError
    indent, dash, key, value, item = match.groups()
    return len(indent) // 2, dash is not None, key, item if key is None else value


def _read_mapping(lines: list[_PlainLine], at: int, depth: int) -> tuple[Document, int]:
    """Read the keys at `depth` from line `at` on; return them and the line that follows."""
    mapping: Document = {}
    while at < len(lines) and lines[at][0] == depth and not lines[at][1]:
        _, _, key, text = lines[at]
        if key is None or key in mapping:
            raise _NotPlainError
        at += 1
        if text is not None:
            mapping[key] = _read_scalar(text)
        elif at < len(lines) and lines[at][0] == depth and lines[at][1]:
            mapping[key], at = _read_list(lines, at, depth)
        elif at < len(lines) and lines[at][0] == depth + 1 and not lines[at][1]:
            mapping[key], at = _read_mapping(lines, at, depth + 1)
        else:
            raise _NotPlainError
    return mapping, at


def _read_list(lines: list[_PlainLine], at: int, depth: int) -> tuple[list[Any], int]:
    """Read the items of a list, which stand as deep as its key."""
    items: list[Any] = []
    while at < len(lines) and lines[at][0] == depth and lines[at][1]:
        _, _, key, text = lines[at]
        if key is None:
            items.append(_read_scalar(str(text)))
            at += 1
        else:
            lines[at] = (depth + 1, False, key, text)  # its other keys stand right below
            item, at = _read_mapping(lines, at, depth + 1)
            items.append(item)
    return items, at


def _read_scalar(text: str) -> Any:
    if _WORD.fullmatch(text) or _PLACE.fullmatch(text):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if quoted := _QUOTED.fullmatch(text):
        return quoted.group(1)
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    raise _NotPlainError


# A level is opened by a bracket, or costs a column of indicators and spaces at the head of a line; of
# a list in a mapping it costs half a column.
_DEEP = re.compile(rb"[ \t?:-]{%d}" % (_DEPTH_LIMIT // 2))


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > _DEPTH_LIMIT // 4 or bool(_DEEP.search(body))


def _refuse_tricks(body: bytes) -> None:
    """Walk the events, which costs time but never recursion, before anything is built."""
    yaml, loader, _ = _yaml()
    depth = 0
    for event in yaml.parse(body, Loader=loader):
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
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("it holds a number of more than 64 bits")
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
    return CorruptError(f"{name} is damaged: {what}", hint=REPAIR)
