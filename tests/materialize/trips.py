"""There and back: objects through materializers, and what damage does to their files."""

from __future__ import annotations

import io
import random

import pytest

from art.errors import ArtError
from art.materialize import find, named


class Forward(io.RawIOBase):
    """A stream that only goes forward and gives little at once, as a pipe does."""

    def __init__(self, data):
        self.rest = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.rest.readinto(memoryview(buffer)[: 1 << 16])


def stored(value, materializer=None):
    """Return materializer, format and bytes of an object that is one file."""
    found = named(materializer) if materializer else find(value)
    stream = io.BytesIO()
    format = found.write(value, stream)
    return found, format, stream.getvalue()


def restored(found, format, data):
    return found.read(io.BufferedReader(Forward(data)), format)


def back(value, materializer=None):
    """Return what comes back of an object; what that gives when it is stored are the same bytes."""
    found, format, data = stored(value, materializer)
    made = restored(found, format, data)
    assert stored(made, found.name)[1:] == (format, data)
    return made


def assert_damage_is_told(value, materializer=None, times=150):
    """Change, cut and lengthen the file: it loads, or says that it cannot, and never does anything else."""
    found, format, data = stored(value, materializer)
    for wrong in (b"", data[:1], data[: len(data) // 2], b"\0" * len(data)):
        with pytest.raises(ArtError):
            restored(found, format, wrong)
    chance = random.Random(5)
    for _ in range(times):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            restored(found, format, bytes(changed))
        except ArtError as error:
            assert "\n" not in error.message
