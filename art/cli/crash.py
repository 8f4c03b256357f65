"""A report of an unexpected error, in a file that a person can send."""

import platform
import sys
import tempfile
import traceback
from importlib import metadata

from art import __version__

_LIBRARIES = ["typer", "rich", "PyYAML", "blake3", "zstandard", "pyfastcdc", "fsspec"]


def write_report(words: list[str]) -> str:
    """Write a report about the exception that is being handled; return its path."""
    lines = [
        f"art {__version__}, Python {platform.python_version()}, {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _LIBRARIES),
        f"command: {words!r}",
        "",
        traceback.format_exc(),
    ]
    text = "\n".join(lines).encode("utf-8", "backslashreplace")
    try:
        with tempfile.NamedTemporaryFile(prefix="art-error-", suffix=".txt", delete=False) as file:
            file.write(text)
            return file.name
    except OSError:  # no place to write to: better on the terminal than nowhere
        sys.stderr.write(text.decode())
        return "the lines above"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
