"""One place in the format of FORMAT.md: its objects, its catalog, its parameters."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from art import document as documents
from art.backend import Backend
from art.catalog import Catalog
from art.errors import ConflictError, CorruptError, NewerFormatError, NoRepositoryError
from art.model import FORMAT, Chunking, Document, is_uid, new_uid, now

if TYPE_CHECKING:
    from art.objects import ObjectStore

_FORMAT = "format.yaml"
_LEVELS = ("read", "write", "gc")
_KNOWN_FEATURES: frozenset[str] = frozenset()


class Store:
    """A repository's data, local or remote: the same class for both."""

    def __init__(self, backend: Backend, format: Document) -> None:
        self.backend = backend
        self.id = str(format["uid"])
        self.is_bare = bool(format["bare"])
        self.history = str(format.get("history") or self.id)  # the id that clones share
        self.catalog = Catalog(backend)
        self.chunking = _chunking(format)

    @cached_property
    def objects(self) -> ObjectStore:
        """Its packs and layouts. Listings never need them, so they are loaded when asked for."""
        from art.objects import ObjectStore

        return ObjectStore(self.backend, self.chunking)

    @classmethod
    def open(cls, backend: Backend, where: str) -> Store:
        """Raise NoRepositoryError, CorruptError or NewerFormatError."""
        try:
            data = backend.read(_FORMAT, 0, documents.READ_LIMIT)
        except FileNotFoundError:
            raise NoRepositoryError(f"no repository at {where}", hint="art init") from None
        name = str(backend.path(_FORMAT) or _FORMAT)  # which repository it is, helps most here
        document = documents.decode(data, name)
        for field, is_right in (("uid", is_uid), ("bare", lambda value: isinstance(value, bool))):
            if not is_right(document.get(field)):
                raise CorruptError(
                    f"{name} is damaged: field {field!r} is {document.get(field)!r}",
                    hint=f"bring {_FORMAT} back from a backup",
                )
        _check_features(backend)
        return cls(backend, document)

    @classmethod
    def init(
        cls,
        backend: Backend,
        *,
        bare: bool = False,
        chunking: Chunking | None = None,
        history: str | None = None,
    ) -> Store:
        """Create the repository, with a history of its own unless `history` names one. Raise
        ConflictError where there is one."""
        chunking = chunking or Chunking()
        document: Document = {
            "art": FORMAT,
            "uid": new_uid(),
            "created": now(),
            "bare": bare,
            "chunking": {
                "algorithm": "fastcdc-2020",
                "min": chunking.min,
                "average": chunking.average,
                "max": chunking.max,
                "whole": chunking.whole,
            },
        }
        if history is not None:
            document["history"] = history
        if not backend.create(_FORMAT, documents.encode(document)):
            raise ConflictError("there is a repository already")
        return cls(backend, document)


def _chunking(document: Document) -> Chunking:
    fields = document.get("chunking")
    if not isinstance(fields, dict):
        raise CorruptError(f"{_FORMAT} is damaged: field 'chunking' is missing", hint="art doctor")
    if fields.get("algorithm") != "fastcdc-2020":
        raise NewerFormatError(
            f"{_FORMAT} asks for chunking by {fields.get('algorithm')!r}, this art knows 'fastcdc-2020'",
            hint="pip install --upgrade art-vcs",
        )
    sizes = [fields.get(name) for name in ("min", "average", "max", "whole")]
    low, average, high, whole = (size if type(size) is int else 0 for size in sizes)
    is_cut = 64 <= low <= 1 << 20 and 256 <= average <= 4 << 20 and 1024 <= high <= 8 << 20
    if not is_cut or not low <= average <= high or not 0 < whole <= 8 << 20:
        raise CorruptError(f"{_FORMAT} is damaged: its chunk sizes are {sizes}", hint="art doctor")
    return Chunking(low, average, high, whole)


def _check_features(backend: Backend) -> None:
    """Refuse what asks for more than this program knows (FORMAT §11)."""
    for name in backend.names("features"):
        level, _, word = name.partition("-")
        if level not in _LEVELS or word not in _KNOWN_FEATURES:
            raise NewerFormatError(
                f"the repository needs the feature {name!r}, which this art does not know",
                hint="pip install --upgrade art-vcs",
            )
