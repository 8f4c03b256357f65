"""What ClearML's `upload_artifact` makes of an object, a path, a text or a URL."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from art import ConflictError, NotFoundError, Repo, UsageError
from art.compat import extensions
from art.compat.errors import also

if TYPE_CHECKING:
    from art.repo import Published

_PATH_LENGTH = 2048  # a longer text is no path
_TEXT = ".txt"  # says that a text is one
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}")
_ROOTS = ("/", "./", "../", "~", ".\\", "..\\")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One upload: what is said of the version, and how an object becomes one. `shows` asks for a preview,
    `extension` for a format; `pickles` permits that, `sorts` puts mappings in the order of their keys."""

    repo: Repo
    key: str
    name: str
    about: dict[str, Any]
    shows: bool
    extension: str | None
    pickles: bool
    sorts: bool

    def data(self, data: Any) -> Published:
        """Store what a serialization function gave."""
        if not isinstance(data, (bytes, bytearray)):
            kind = type(data).__name__
            raise UsageError(
                f"serialization_function gave a {kind} for {self.name!r}, expected bytes"
            )
        name = Path(self.key).name + (self.extension or ".bin")
        return self.repo.create_stream(self.key, io.BytesIO(data), name=name, **self.about)

    @also(ValueError, NotFoundError)
    def object(self, value: Any) -> Published:
        """Store an object, or what a text or path leads to."""
        if isinstance(value, str) and _URL.match(value) and self.extension != _TEXT:
            self._refuse_extension("a URL")
            return self.repo.reference(self.key, value, measure=False, **self.about)
        if isinstance(value, os.PathLike) or (isinstance(value, str) and self._is_path(value)):
            return self._paths([os.fspath(value)])
        if isinstance(value, (list, tuple)) and value and _all_paths(value):
            return self._paths([os.fspath(path) for path in value], together=True)
        return self._value(value)

    def _is_path(self, text: str) -> bool:
        """Whether a text is meant as a path. Raise NotFoundError where it looks so and leads nowhere."""
        if self.extension == _TEXT and not text.endswith(_TEXT):
            return False
        if not text or len(text) > _PATH_LENGTH or "\n" in text or "\0" in text:
            return False
        if os.path.lexists(text):
            return True
        if not _looks_like_path(text):
            return False
        if glob.has_magic(text):
            return True  # what matches nothing is refused where it is read
        raise NotFoundError(
            f"there is no file or folder {text!r} in {Path.cwd()}",
            hint='extension_name=".txt" says that it is meant as a text',
        )

    def _paths(self, paths: list[str], *, together: bool = False) -> Published:
        """Store a file, a folder, or what a wildcard or several paths name, as files of one folder."""
        for path in paths:
            if self.extension and not path.endswith(self.extension):
                self._refuse_extension(f"the path {path!r}")
        if together or not os.path.lexists(paths[0]):
            about = {**self.about, "type": "archive"}
            return self.repo.create(self.key, *paths, preview=self.shows, **about)
        if Path(paths[0]).is_dir():
            return self.repo.folder(self.key, paths[0], **self.about)
        return self.repo.create(self.key, paths[0], preview=self.shows, **self.about)

    def _refuse_extension(self, what: str) -> None:
        if self.extension:
            raise UsageError(
                f"{what} keeps its name: extension_name={self.extension!r} is not possible"
            )

    def _value(self, value: Any) -> Published:
        extension = self.extension
        if type(value) is dict and self.sorts:
            value = _sorted(value)
        if extension in extensions.PICKLES:
            if not self.pickles:
                raise UsageError(
                    f"{extension} is a pickle, which runs code when it is loaded",
                    hint="auto_pickle=True says so",
                )
            return self._saved(value, materializer="pickle")
        if extension is None or extensions.is_own(value, extension):
            if extension == ".json":
                _check_json(value, self.name)
            return self._saved(value)
        file = extensions.written(value, extension, self.name)
        name = Path(self.key).name + file.suffix
        about = {**self.about, "type": file.type}
        return self.repo.create_stream(self.key, io.BytesIO(file.data), name=name, **about)

    def _saved(self, value: Any, materializer: str | None = None) -> Published:
        try:
            made: Published = self.repo.save(
                value,
                self.key,
                materializer=materializer,
                pickle=self.pickles,
                preview=self.shows,
                **self.about,
            )
            return made
        except UsageError as error:
            if error.hint and "pickle=True" in error.hint:
                hint = "auto_pickle=True, and get(block_unsafe_artifacts=False), which runs code"
                raise UsageError(error.message, hint=hint) from None
            raise


def _all_paths(values: Iterable[Any]) -> bool:
    return all(isinstance(value, os.PathLike) for value in values)


def _looks_like_path(text: str) -> bool:
    """Whether a text that leads nowhere may have been meant to lead somewhere."""
    is_word = not any(map(str.isspace, text))
    return (
        text.startswith(_ROOTS)
        or (is_word and ("/" in text or "\\" in text))
        or _SUFFIX.fullmatch(Path(text).suffix) is not None
    )


def _sorted(value: Any) -> Any:
    """Return mappings, also those inside, in the order of their keys, where these are texts."""
    if type(value) is list:
        return [_sorted(item) for item in value]
    if type(value) is not dict:
        return value
    names = sorted(value) if all(type(name) is str for name in value) else value
    return {name: _sorted(value[name]) for name in names}


def _check_json(value: Any, where: str) -> None:
    """Raise UsageError where a mapping has a key that JSON has not."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if type(name) is not str:
                raise UsageError(
                    f"{where!r} cannot be JSON: its key {name!r} is no text",
                    hint="without an extension it is stored as it is",
                )
            _check_json(item, f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_json(item, where)


def check_deletable(value: Any) -> bool:
    """Return whether there is a file to be deleted after the upload; an object leaves none behind. Raise
    UsageError for more than a file."""
    if isinstance(value, (list, tuple)) and value and _all_paths(value):
        raise UsageError("delete_after_upload deletes single files, not several")
    if not isinstance(value, (str, os.PathLike)):
        return False
    is_there = os.path.lexists(value)
    if is_there and Path(value).is_dir():
        raise UsageError(f"delete_after_upload deletes single files, not the folder {value}")
    path = os.fspath(value)
    if not is_there and glob.has_magic(path) and _looks_like_path(path):
        raise UsageError(f"delete_after_upload deletes single files, not what {path} matches")
    return is_there


def delete(repo: Repo, path: str, made: Published) -> None:
    """Delete the file that was uploaded. Raise ConflictError where it is not any more what was stored."""
    if not repo.verify(made.version.ref, path).is_same:
        raise ConflictError(f"{path} changed after it was stored, and is not deleted")
    Path(path).unlink()
