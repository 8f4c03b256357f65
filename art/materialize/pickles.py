"""Whatever Python can pickle, only where that is asked for: loading it runs code."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO, ClassVar

from art.errors import CorruptError
from art.materialize.base import Stream, unequal
from art.materialize.classes import name_of
from art.model import Document
from art.warned import warn

_PROTOCOL = 5
_DAMAGE = (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, OverflowError)


class Pickles(Stream):
    """Is found for no type: it must be named, with `pickle=True`."""

    name: ClassVar[str] = "pickle"
    file = "content.pickle"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        """Write a pickle, and warn. Nothing is known of whether it comes back equal."""
        warn(
            "an object is saved as a pickle: only who has the same classes can load it, and "
            "loading it runs code"
        )
        try:
            pickle.dump(value, stream, protocol=_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            raise unequal(value, f"it cannot be pickled ({error})") from None
        return {"name": "pickle", "protocol": _PROTOCOL, "class": name_of(type(value))}

    def read(self, stream: BinaryIO, format: Document) -> Any:
        """Run the pickle, and warn."""
        warn("an object is loaded from a pickle, which runs whatever code its author put into it")
        try:
            return pickle.load(stream)
        except (ImportError, AttributeError) as error:
            raise CorruptError(
                f"the pickle needs what is not here: {error}",
                hint="install or import what it names",
            ) from error
        except _DAMAGE as error:
            raise CorruptError(f"the pickle is damaged: {error}", hint="art doctor") from error
