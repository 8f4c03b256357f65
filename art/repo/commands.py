"""A command that is run: what it reads, what it is told, and what it is to write."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from art import staging
from art.caching import Reuse, fingerprint
from art.errors import ConflictError, NotFoundError, UsageError
from art.nearest import nearest
from art.processes import CommandError, call, given_input
from art.repo.jobs import Offer
from art.runs import Run, environment

if TYPE_CHECKING:
    from art.about import About
    from art.publish import Content, Publisher
    from art.repo.running import Running
    from art.version import Version

FILES = ("file", "folder")  # types of what a command writes
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]{2,99})\}")  # not ${…}, nor what is short
_LOOKED_AT = 50  # names in braces
_ATTEMPTS = 10
_INPUT, _PARAM = "ART_IN_", "ART_PARAM_"  # beginnings of the names of variables


@dataclass(frozen=True)
class Command:
    """A command in the current folder. `versions` and `paths` are its inputs by name: what is taken out
    before, and what lies on the disk. `outputs` are paths by key, which become versions.
    `{NAME}` stands for inputs and parameters in words still."""

    repo: Running
    words: list[str]
    versions: dict[str, Version]
    paths: dict[str, str]
    outputs: dict[str, str]
    params: dict[str, Any]
    about: About

    @classmethod
    def of(
        cls,
        repo: Running,
        words: list[str],
        inputs: Mapping[str, str | Version],
        outputs: Mapping[str, str],
        params: dict[str, Any],
        about: About,
    ) -> Command:
        """Find the inputs; `about` is what is said of each output. Raise UsageError for a wrong name,
        NotFoundError for what is not there."""
        for name in inputs:
            if not _NAME.fullmatch(name):
                raise UsageError(f"input {name!r} is no name: letters, digits and '_'")
            if name in params:
                raise UsageError(f"{name} is an input and a parameter: {{{name}}} would be both")
        texts = told(params)
        paths, versions = {}, {}
        for name, given in inputs.items():
            found = filled(given, texts) if isinstance(given, str) else given
            if not isinstance(found, str):
                versions[name] = found
            elif not is_path(found):
                versions[name] = _version(repo, found)
            elif os.path.lexists(found):
                paths[name] = found
            else:
                raise NotFoundError(f"there is no file or folder {found!r} for input {name}")
        expanded = {
            repo.expand_key(key, texts): filled(path, texts) for key, path in outputs.items()
        }
        if len(expanded) < len(outputs):
            raise UsageError("two outputs have the same key")
        said: About = {
            **about,
            "partitions": repo.expand_partitions(about.get("partitions") or {}, texts),
        }
        return cls(repo, words, versions, paths, expanded, params, said)

    def mistyped(self) -> dict[str, list[str]]:
        """Return what stands in braces in words and paths, is no input or parameter, and is spelled nearly
        like some: these by that. Shells and other languages have braces, too, which stay as they are."""
        known = {*self.versions, *self.paths, *self.params}
        texts = [*self.words, *self.outputs.values()]
        found = dict.fromkeys(name for text in texts for name in _BRACES.findall(text))
        near = {
            name: nearest(name, known) for name in list(found)[:_LOOKED_AT] if name not in known
        }
        return {name: names for name, names in near.items() if names}

    def fingerprint(self, reuse: Reuse) -> str | None:
        """Return the digest of all that the outputs depend on, as far as it is known; None where nobody
        can know what the command reads on standard input."""
        given = given_input()
        if given is None:
            return None
        what = {
            "what": "command",
            "words": self.words,
            "folder": os.path.relpath(os.getcwd(), self.repo.root).replace(os.sep, "/"),
            "named": {path: self.repo.digest_of(path) for path in self._named_files()},
            "params": self.params,
            "versions": {name: version.id for name, version in self.versions.items()},
            "paths": {name: self.repo.digest_of(path) for name, path in self.paths.items()},
            "outputs": self.outputs,
            **self.repo.surroundings_of(reuse),
        }
        if partitions := self.about.get("partitions"):
            what["partitions"] = {name: str(value) for name, value in partitions.items()}
        if given:
            what["stdin"] = given
        return fingerprint(what)

    def _named_files(self) -> Iterator[str]:
        """Yield the files that words name, such as scripts: what they say is part of what is done."""
        written = {os.path.abspath(path) for path in self.outputs.values()}
        texts = told(self.params)
        for word in (filled(word, texts) for word in self.words):
            for text in {word, word.partition("=")[2]}:
                if os.path.isfile(text) and os.path.abspath(text) not in written:
                    yield text

    def work(self, run: Run) -> dict[str, Offer]:
        """Run it. Return what it wrote; raise NotFoundError where something of it is not there."""
        with ExitStack() as stack:
            places = self._inputs(run, stack)
            before = {path: _stamps(path) for path in self.outputs.values()}
            variables = {_INPUT + name: place for name, place in places.items()}
            texts = told(self.params)
            variables |= {_PARAM + name: texts[name] for name in filter(_NAME.fullmatch, texts)}
            words = [filled(word, {**texts, **places}) for word in self.words]
            try:
                call(words, {**environment(run), **variables}, keep=run.handle)
            except CommandError as error:
                run.ended["exit_status"] = error.exit_code
                raise
        run.ended["exit_status"] = 0
        for key, path in self.outputs.items():
            if not os.path.lexists(path):
                raise NotFoundError(
                    f"the command ended well, and did not write {path!r}, which is to be {key}"
                )
            if before[path] == _stamps(path):
                self.repo.reporter.warn(
                    f"{path!r}, which is to be {key}, was there before, and the command did not write it"
                )
        return {
            key: Offer(key, self._reader(key, path), self.about)
            for key, path in self.outputs.items()
        }

    def _inputs(self, run: Run, stack: ExitStack) -> dict[str, str]:
        """Take the inputs out; return their absolute paths by name."""
        places = {name: os.path.abspath(path) for name, path in self.paths.items()}
        if self.versions:
            folder = run.folder / "in"
            stack.callback(staging.remove, str(folder))
            for name, version in self.versions.items():
                target = folder / name
                target.mkdir(parents=True)
                places[name] = str(version.get(target).path)
        return places

    def _reader(self, key: str, path: str) -> Any:
        from art.worktree import find_sources

        def read(publisher: Publisher) -> Content:
            sources = find_sources((path,))
            publisher.expect(key, sources)
            return self.repo._files(publisher, sources, key, preview=True)

        return read

    def put_in_place(self, outputs: Mapping[str, Version]) -> None:
        """Put outputs from earlier where the command would have written them, perhaps while others do."""
        for key, path in self.outputs.items():
            for attempts_left in reversed(range(_ATTEMPTS)):
                try:
                    outputs[key].get(path, force=True)
                    break
                except ConflictError:  # what came into being meanwhile may be overwritten now
                    if not attempts_left:
                        raise


def _version(repo: Running, ref: str) -> Version:
    try:
        return repo.version(ref)
    except NotFoundError as error:
        if os.path.lexists(ref):
            raise NotFoundError(error.message, hint=f"the file or folder is ./{ref}") from None
        raise


def _stamps(path: str) -> list[tuple[str, int, int, int]]:
    """Return what is different when a file, or anything in a folder, was written."""
    names = [path]
    for place, folders, files in os.walk(path):
        names += [os.path.join(place, name) for name in [*folders, *files]]
    found = []
    for name in names:
        with suppress(FileNotFoundError):
            status = os.lstat(name)
            found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
    return sorted(found)


def is_path(text: str) -> bool:
    """Whether an input is a file or folder, not a reference."""
    return text.startswith(("./", "../", "/")) or (os.sep != "/" and os.path.isabs(text))


def told(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as a command is told them: texts as they are, all else as JSON."""
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in params.items()
    }
    for name in texts:
        if "\0" in texts[name]:
            raise UsageError(f"parameter {name} has a NUL, which no command can be told")
    return texts


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with each `{NAME}` of these replaced, and nothing else."""
    if not values:
        return text
    names = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({names})\}}", lambda match: values[match[1]], text)
