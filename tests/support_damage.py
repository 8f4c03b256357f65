"""A small repository with everything in it, and a look at all of it that notices every wrong answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from art.document import encode
from art.errors import ArtError, CorruptError, NewerFormatError, UsageError
from art.listing import Filter
from art.model import new_uid
from art.repo import Repo
from art.rows import Record
from tests.support_hostile import NOW
from tests.support_state import Shape, content, random_bytes, write

# So small that a file of 60 KB is cut into hundreds of chunks, whose list is cut in turn.
CHUNKING = {"algorithm": "fastcdc-2020", "min": 64, "average": 256, "max": 1024, "whole": 512}
FIRST: Shape = {
    "large": random_bytes(60_000, 1),
    "some": random_bytes(5_000, 2),
    "small": b"a few bytes",
    "sub/empty": b"",
    "sub/text": b"line\n" * 80,
}
SECOND: Shape = {**FIRST, "small": b"other bytes", "sub/more": random_bytes(3_000, 3)}
CREATED: Shape = {**SECOND, "added": b"added"}
CONTENTS: dict[str, Shape] = {
    "data@v1": FIRST,
    "data@v2": SECOND,
    "data@prod": FIRST,
    "text@v1": {"": b"# A text"},
    "one@v1": {"file": b"one file"},
    "bar@v1": {},
}


def make_damage_template(root: Path) -> Path:
    """Make a repository with a bit of everything, in small chunks; `data` beside it is stored."""
    fields = {"art": 1, "uid": new_uid(), "created": NOW, "bare": False, "chunking": CHUNKING}
    (root / ".art").mkdir(parents=True)
    (root / ".art/format.yaml").write_bytes(encode(fields))
    data = root / "data"
    with Repo(root) as repo:
        write(data, FIRST)
        repo.create("data", data, tags=["prod"], metadata={"rows": 3, "deep": {"er": [1.5, None]}})
        write(data, SECOND)
        inputs = ["data@v1"]
        partitions = {"region": "eu"}
        repo.create("data", data, inputs=inputs, partitions=partitions, labels=["a"], title="T")
        repo.note("data@v1", title="noted", description="text", add_labels=["seen"])
        repo.markdown("text", "# A text", description="inline")
        write(root, {"file": b"one file"})
        repo.create("one", root / "file")
        repo.link("link", "https://example.com/x", text="an example")
        repo.reference("ref", root / "file")
        repo.progress("bar", 40, message="half")
        repo.create(None, root / "file", title="keyless")
        repo.value("gone", 1)
        repo.delete("gone")
        repo.config.set("author", "ana")
        assert {ref: content(repo, ref) for ref in CONTENTS} == CONTENTS
    write(data, CREATED)
    return root


@dataclass
class Look:
    """Everything that is asked of a repository. Each question is answered rightly, or ends with an
    error that a user can act on; anything else is a failure."""

    root: Path
    damaged: tuple[str, ...]
    errors: list[ArtError]
    is_free: bool = False

    def everything(self) -> None:
        for question in self._questions():
            self._ask(question)

    def _ask(self, question: Callable[[], object]) -> None:
        try:
            question()
        except (CorruptError, NewerFormatError, UsageError) as error:
            self.errors.append(error)
            if not self.is_free:
                said = f"{error.message} {error.hint}"
                assert any(name in said for name in self.damaged), f"{said!r} names no file"
        except ArtError as error:
            if not self.is_free:
                raise AssertionError(f"exit code {error.exit_code}: {error.message}") from error
            self.errors.append(error)

    def _questions(self) -> Iterator[Callable[[], object]]:
        repos: list[Repo] = []
        self._ask(lambda: repos.append(Repo(self.root)))
        if not repos:
            return
        repo = repos[0]
        yield lambda: self._rows(repo, Filter())
        yield lambda: self._rows(repo, Filter(all=True))
        yield lambda: [
            repo.version(row.id).read() for row in self._rows(repo, Filter(anonymous=True))
        ]
        for ref in CONTENTS:
            yield lambda ref=ref: self._compare(repo, ref)  # type: ignore[misc]
        for key in ("data", "gone", "bar"):
            yield lambda key=key: [str(row) for row in repo.history(key)]  # type: ignore[misc]
        yield lambda: [version.ref for version in repo.tags("data").values()]
        yield lambda: repo.tag_history("data", "prod")
        yield lambda: repo.version("data@v1").notes
        yield lambda: repo.version("bar").progress
        yield lambda: repo.version("link").link
        yield lambda: repo.version("ref").read()
        yield lambda: self._get(repo)
        yield repo.status
        yield repo.du
        yield repo.config.all
        yield repo.doctor
        yield lambda: self._create(repo)
        yield lambda: repo.tag("data@v1", "later")
        yield lambda: repo.note("data@v1", title="again")
        yield lambda: repo.delete("text")
        yield lambda: repo.restore("gone")
        yield lambda: repo.move("one", "moved")
        yield lambda: repo.progress("bar", 50)
        yield repo.close

    def _rows(self, repo: Repo, filter: Filter) -> list[Record]:
        rows = repo.listing(filter=filter)
        for row in rows:
            if row.state == "damaged":
                raise CorruptError(str(row.title))
        return rows

    def _compare(self, repo: Repo, ref: str) -> None:
        found = content(repo, ref)
        assert found == CONTENTS[ref] or self.is_free, f"{ref} is another: wrong data"

    def _get(self, repo: Repo) -> None:
        target = self.root / "got"
        shutil.rmtree(target, ignore_errors=True)
        repo.version("data@v2").get(target)
        found = {
            str(path.relative_to(target)): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file()
        }
        assert found == SECOND or self.is_free

    def _create(self, repo: Repo) -> None:
        made = repo.create("data", self.root / "data")
        assert content(repo, made.version.ref) == CREATED, "what was created is not there"


def look_at_all(root: Path, *damaged: str, is_free: bool = False) -> list[ArtError]:
    """Ask everything of a repository; return the errors. All must name one of `damaged`.

    `is_free` is for repositories by a hostile author, who may well say other things.
    """
    look = Look(root, damaged, [], is_free)
    look.everything()
    return look.errors


def files_of(root: Path, *parts: str) -> list[Path]:
    """Return the files of a repository whose name holds all of `parts`."""
    found = [path for path in sorted((root / ".art").rglob("*")) if path.is_file()]
    return [path for path in found if all(part in path.as_posix() for part in parts)]
