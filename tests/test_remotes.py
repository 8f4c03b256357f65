"""Remotes by name: what `config.yaml` says, what is checked, what is refused."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

import art
from art.addresses import is_place
from art.backend import LocalBackend
from art.errors import (
    ConflictError,
    CorruptError,
    DeniedError,
    NoRepositoryError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from art.opening import open_url
from art.remote import open_backend
from art.remotes import Remotes
from art.repo import Repo
from art.store import Store
from tests.support import run_together


@pytest.fixture
def memory() -> str:
    """Return the URL of an empty store of its own."""
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def warned(repo: Repo) -> list[str]:
    """Return what the user is warned of."""
    said: list[str] = []

    class Listening:
        def start(self, what: str, *, total_bytes: int | None = None) -> None: ...

        def advance(self, *, files: int = 0, size_bytes: int = 0) -> None: ...

        def finish(self) -> None: ...

        def warn(self, message: str) -> None:
            said.append(message)

    repo.reporter = Listening()
    return said


def config() -> str:
    return Path(".art/config.yaml").read_text()


def write_config(text: str) -> None:
    Path(".art/config.yaml").write_text(text)


# --- add ------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_bare_repository_and_the_authority(repo: Repo, workplace: Path) -> None:
    added = repo.remotes.add("origin", "../shared")

    folder = workplace.parent / "shared"
    assert (added.name, added.url, added.options) == ("origin", str(folder), {})
    assert added.probed
    assert added.is_authority
    assert not added.single_writer
    store = Store.open(LocalBackend(folder), "here")
    assert store.is_bare
    assert store.id == added.repository != repo.id
    assert not [path for path in (folder / "tmp").rglob("*") if path.is_file()]
    assert repo.remotes.all() == [added] == [repo.remotes.get(), *[]]


def test_a_store_in_memory_becomes_a_repository(repo: Repo, memory: str) -> None:
    repo.remotes.add("origin", memory)

    assert repo.remotes.open("origin").is_bare
    assert repo.remotes.open(memory).id == repo.remotes.get("origin").repository


def test_a_repository_that_is_there_is_taken_as_it_is(
    repo: Repo, memory: str, warned: list[str]
) -> None:
    there = Store.init(open_backend(memory), bare=True)

    assert repo.remotes.add("origin", memory).repository == there.id
    assert warned == []


def test_only_the_first_remote_becomes_the_authority(repo: Repo, memory: str) -> None:
    repo.remotes.add("origin", memory)
    repo.remotes.add("mirror", f"{memory}2")

    assert [(each.name, each.is_authority) for each in repo.remotes.all()] == [
        ("origin", True),
        ("mirror", False),
    ]
    assert repo.remotes.get().name == "origin"


def test_the_same_again_changes_nothing(repo: Repo, memory: str) -> None:
    first = repo.remotes.add("origin", memory)
    before = config()

    assert repo.remotes.add("origin", memory) == first
    assert config() == before


def test_a_name_that_is_taken_is_refused(repo: Repo, memory: str) -> None:
    repo.remotes.add("origin", memory)

    with pytest.raises(ConflictError, match="origin") as caught:
        repo.remotes.add("origin", f"{memory}2")
    assert "set-url" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "a/b", "-x", "x y", "latest", "v1", "a.yaml", "ä"])
def test_names_are_single_words(repo: Repo, memory: str, name: str) -> None:
    with pytest.raises(UsageError, match="remote of the name"):
        repo.remotes.add(name, memory)


@pytest.mark.parametrize(
    "url", ["", "s3://key:secret@bucket/x", "s3://", "https://host/x?sig=abc", "nope://x/y"]
)
def test_urls_that_are_not_possible_are_refused(repo: Repo, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        repo.remotes.add("origin", url)
    assert "secret@" not in caught.value.message
    assert "abc" not in caught.value.message
    assert not Path(".art/config.yaml").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("password", "hunter2"),
        ("token", "hunter2"),
        ("secret_key", "hunter2"),
        ("passphrase", "hunter2"),
        ("key", "hunter2"),
        ("endpoint_url", "http://u:hunter2@host"),
        ("endpoint_url", "http://host/?sig=hunter2"),
    ],
)
def test_secrets_among_the_options_are_refused(repo: Repo, option: str, value: str) -> None:
    with pytest.raises(UsageError, match="stored readably") as caught:
        repo.remotes.add("origin", "s3://bucket/x", {option: value})
    assert "hunter2" not in caught.value.message
    write_config(f"remotes:\n  origin:\n    url: s3://b/x\n    {option}: {value}\n")
    with pytest.raises(UsageError, match="stored readably") as caught:
        repo.remotes.all()
    assert "hunter2" not in caught.value.message


def test_unknown_options_are_refused(repo: Repo, memory: str) -> None:
    with pytest.raises(UsageError, match="no option 'colour'"):
        repo.remotes.add("origin", memory, {"colour": "red"})


def test_a_repository_is_no_remote_of_itself(repo: Repo, workplace: Path) -> None:
    for url in (".", str(workplace), ".art", f"file://{workplace}"):
        with pytest.raises(UsageError, match="this repository itself"):
            repo.remotes.add("origin", url)


def test_no_repository_is_made_beside_other_files(repo: Repo, files: Path) -> None:
    with pytest.raises(ConflictError, match="README.txt and 1 more"):
        repo.remotes.add("origin", str(files))
    assert sorted(path.name for path in files.iterdir()) == ["README.txt", "eu"]


def test_no_repository_is_made_over_the_remains_of_one(repo: Repo, memory: str) -> None:
    open_backend(memory).create("manifests/x/v00000001.yaml", b"x")

    with pytest.raises(CorruptError, match=r"no format\.yaml"):
        repo.remotes.add("origin", memory)


def test_the_folder_above_must_be_there(repo: Repo, workplace: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder"):
        repo.remotes.add("origin", "not/mounted/shared")
    assert not Path("not").exists()


def test_a_working_repository_can_be_read_but_not_pushed_to(
    repo: Repo, warned: list[str], workplace: Path
) -> None:
    with art.init(workplace.parent / "other") as other:
        added = repo.remotes.add("ana", "../other")
        assert repo.remotes.open("ana").id == other.id
    assert warned == [f"{added.url} is a working repository: nobody pushes into it"]
    with pytest.raises(ConflictError, match="nobody pushes into"):
        repo.remotes.open_shared(added)


def test_a_bare_repository_in_a_folder_can_be_pushed_to(repo: Repo, workplace: Path) -> None:
    with art.init(workplace.parent / "other", bare=True) as other:
        added = repo.remotes.add("ana", "../other")
        assert repo.remotes.open_shared(added).id == other.id


def test_what_is_no_safe_store_is_refused(
    repo: Repo, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.remote.memory.Memory.create", _create_always)

    with pytest.raises(ConflictError, match="lets a name be written again") as caught:
        repo.remotes.add("origin", memory)
    assert "--single-writer" in str(caught.value.hint)
    assert repo.remotes.all() == []
    added = repo.remotes.add("origin", memory, single_writer=True)
    assert (added.single_writer, added.probed) == (True, True)
    assert repo.remotes.open_shared(added).is_bare


def _create_always(self: object, name: str, content: bytes) -> bool:
    self.replace(name, content)  # type: ignore[attr-defined]
    return True


def test_what_was_not_tried_is_tried_before_the_first_push(
    repo: Repo, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = repo.remotes.add("origin", memory, probe=False)
    assert not added.probed

    with monkeypatch.context() as patched:
        patched.setattr("art.remote.memory.Memory.create", _create_always)
        with pytest.raises(ConflictError, match="lets a name be written again"):
            repo.remotes.open_shared(added)
    assert not repo.remotes.get("origin").probed
    repo.remotes.open_shared(added)
    assert repo.remotes.get("origin").probed


def test_a_repository_that_can_only_be_read_is_added_with_a_warning(
    repo: Repo, memory: str, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.init(open_backend(memory), bare=True)

    def refuse(*_: object) -> bool:
        raise DeniedError("you may not write there")

    monkeypatch.setattr("art.remote.memory.Memory.create", refuse)
    assert not repo.remotes.add("origin", memory).probed
    assert warned == [f"{memory} can only be read: you may not write there"]
    checked = repo.remotes.check("origin")
    assert not checked.is_writable
    assert not checked.is_shareable
    with pytest.raises(DeniedError, match="remote origin"):
        repo.remotes.open_shared(repo.remotes.get())


# --- the file -------------------------------------------------------------------------------------


def test_people_may_write_the_file(repo: Repo) -> None:
    write_config(
        "author: ana\nfuture: {a: 1}\nremotes:\n  cloud:\n    url: S3A://bucket/x/\n    timeout: 20\n"
        "    anon: yes\n  disk:\n    url: /mnt/x\n    single_writer: true\nauthority: disk\n"
    )

    cloud, disk = repo.remotes.all()
    assert (cloud.url, cloud.options) == ("s3://bucket/x", {"timeout": "20", "anon": "true"})
    assert (disk.is_authority, disk.single_writer, disk.probed) == (True, True, False)
    repo.remotes.remove("disk")
    assert "future" in config()
    assert "timeout: 20" in config()
    assert repo.remotes.get().name == "cloud"


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("remotes: 5", "remotes", "names with values"),
        ("remotes: {a: s3://b/x}", "remotes.a", "names with values"),
        ("remotes: {a: {}}", "remotes.a.url", "URL"),
        ("remotes: {a: {url: 5}}", "remotes.a.url", "URL"),
        ("remotes: {a: {url: ../x}}", "remotes.a.url", "absolute path"),
        ("remotes: {a: {url: s3://k:s@b/x}}", "remotes.a", "stored readably"),
        ("remotes: {a: {url: /x, probed: 1}}", "remotes.a.probed", "true or false"),
        ("remotes: {a: {url: /x, single_writer: 'no'}}", "single_writer", "true or false"),
        ("remotes: {a: {url: /x, profile: [1]}}", "remotes.a.profile", "a text"),
        ("remotes: {a: {url: /x, repository: 1}}", "remotes.a.repository", "the id"),
        ("remotes: {a/b: {url: /x}}", "remotes.a/b", "a remote of the name"),
        ("remotes: {a: {url: /x}}\nauthority: b", "authority", "the name of a remote"),
    ],
)
def test_what_people_write_wrongly_is_named(
    repo: Repo, workplace: Path, text: str, field: str, expected: str
) -> None:
    write_config(text)

    with pytest.raises(UsageError) as caught:
        repo.remotes.all()
    assert str(workplace / ".art/config.yaml") in caught.value.message
    assert field in caught.value.message
    assert expected in caught.value.message


def test_changes_at_the_same_time_are_all_kept(repo: Repo, memory: str) -> None:
    names = [f"r{number}" for number in range(8)]

    def add(name: str) -> None:
        with art.open() as mine:
            mine.remotes.add(name, f"{memory}{name}")
            mine.config.set("author", name)

    run_together([lambda name=name: add(name) for name in names])  # type: ignore[misc]

    assert sorted(each.name for each in repo.remotes.all()) == names
    assert sum(each.is_authority for each in repo.remotes.all()) == 1


def test_the_authority_is_a_setting_and_must_be_a_remote(repo: Repo, memory: str) -> None:
    repo.remotes.add("origin", memory)
    repo.remotes.add("mirror", f"{memory}2")

    repo.config.set("authority", "mirror")
    assert repo.remotes.get().name == "mirror"
    with pytest.raises(UsageError, match="no remote 'nope'"):
        repo.config.set("authority", "nope")
    repo.config.unset("authority")
    assert repo.remotes.get().name == "origin"


# --- get, remove, set_url -------------------------------------------------------------------------


def test_an_unknown_remote_is_told_with_the_nearest(repo: Repo, memory: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        repo.remotes.get()
    assert caught.value.hint == "art remote add origin URL"
    repo.remotes.add("origin", memory)
    with pytest.raises(NotFoundError) as caught:
        repo.remotes.get("orign")
    assert caught.value.hint == "did you mean origin?"
    with pytest.raises(NotFoundError, match="no remote 'zzz'"):
        repo.remotes.open("zzz")


def test_removing_the_authority_hands_it_on(repo: Repo, memory: str, warned: list[str]) -> None:
    repo.remotes.add("origin", memory)
    repo.remotes.add("mirror", f"{memory}2")

    repo.remotes.remove("origin")
    assert warned == ["mirror gives versions their numbers now"]
    assert repo.remotes.get().name == "mirror"
    repo.remotes.remove("mirror")
    assert repo.config.document() == {}
    with pytest.raises(NotFoundError):
        repo.remotes.remove("mirror")


def test_a_remote_can_move(repo: Repo, workplace: Path) -> None:
    before = repo.remotes.add("origin", "../shared")
    (repo.root / ".art/sync" / str(before.repository)).mkdir(parents=True)
    (workplace.parent / "shared").rename(workplace.parent / "moved")

    with pytest.raises(UnavailableError, match="no folder"):
        repo.remotes.open("origin")
    after = repo.remotes.set_url("origin", "../moved")
    assert (after.repository, after.probed) == (before.repository, True)
    assert repo.remotes.open("origin").id == before.repository


def test_a_remote_does_not_become_another_repository(repo: Repo, memory: str) -> None:
    before = repo.remotes.add("origin", memory)
    assert repo.remotes.set_url("origin", f"{memory}2").repository != before.repository
    known = str(repo.remotes.get().repository)
    (repo.root / ".art/sync" / known).mkdir(parents=True)

    for url in (memory, f"{memory}3"):
        with pytest.raises(ConflictError, match=known) as caught:
            repo.remotes.set_url("origin", url)
        assert "art remote rm origin" in str(caught.value.hint)
    assert list(open_backend(f"{memory}3").walk("")) == []


def test_a_repository_that_was_put_in_the_place_of_another_is_noticed(
    repo: Repo, memory: str
) -> None:
    repo.remotes.add("origin", memory)
    backend = open_backend(memory)
    backend.delete("format.yaml")
    with pytest.raises(NoRepositoryError, match=f"remote origin: no repository at {memory}"):
        repo.remotes.open("origin")
    Store.init(backend, bare=True)
    with pytest.raises(ConflictError, match="remote origin"):
        repo.remotes.open("origin")


# --- check and open -------------------------------------------------------------------------------


def test_check_tells_what_was_found_and_records_it(repo: Repo, memory: str) -> None:
    repo.remotes.add("origin", memory, probe=False)

    checked = repo.remotes.check("origin")
    assert (checked.name, checked.url, checked.problems) == ("origin", memory, [])
    assert checked.is_shareable
    assert (checked.format, checked.repository) == (1, repo.remotes.get().repository)
    assert repo.remotes.get().probed


def test_check_tells_what_a_store_does_not_keep(
    repo: Repo, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.remotes.add("origin", memory)
    monkeypatch.setattr("art.remote.memory.Memory.create", _create_always)

    checked = repo.remotes.check("origin")
    assert "lets a name be written again that must be given once" in checked.problems
    assert not checked.is_shareable
    assert not repo.remotes.get().probed


def test_check_looks_at_places_without_a_repository(
    repo: Repo, memory: str, workplace: Path
) -> None:
    assert repo.remotes.check(memory).repository is None
    assert repo.remotes.check(memory).is_shareable
    assert not repo.remotes.check("./nothing").is_shareable
    assert not (workplace / "nothing").exists()
    with art.init(workplace.parent / "other"):
        assert repo.remotes.check("../other").problems == [
            "is a working repository, which nobody pushes into"
        ]


def test_a_repository_is_opened_by_url_and_folder(repo: Repo, memory: str) -> None:
    store = Store.init(open_backend(memory), bare=True)
    assert open_url(memory).id == repo.remotes.open(memory).id == store.id
    assert open_url(".").id == repo.id
    with pytest.raises(UnavailableError, match="no folder"):
        open_url("./nothing")
    with pytest.raises(NoRepositoryError, match=f"no repository at {memory}2"):
        open_url(f"{memory}2")


def test_an_option_beside_a_name_is_refused(repo: Repo, memory: str) -> None:
    repo.remotes.add("origin", memory)

    with pytest.raises(UsageError, match="options of its own"):
        repo.remotes.open("origin", {"timeout": "3"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("origin", False), ("s3://b/x", True), ("/x", True), ("./x", True), (".", True), ("x", True)],
)
def test_a_place_is_told_from_a_name(workplace: Path, text: str, expected: bool) -> None:
    (workplace / "x").mkdir()

    assert is_place(text) is expected


def test_remotes_need_no_repo(repo: Repo, memory: str) -> None:
    assert Remotes(repo.config).add("origin", memory).name == "origin"
