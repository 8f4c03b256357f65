"""Lock files: written for people and merges, believed in nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from art.errors import (
    ArtError,
    ConflictError,
    CorruptError,
    NewerFormatError,
    NotFoundError,
    UsageError,
)
from art.lock import read
from art.repo import Repo
from tests.conftest import Runner
from tests.support_processes import run_together

ID = "b3:" + "6f" * 32
LOCK = Path("art.lock")


@pytest.fixture
def data(repo: Repo) -> Repo:
    """Return a repository with two versions of data, the first tagged, and one of other."""
    repo.json("data", [1], tags=["prod"])
    repo.json("data", [2])
    repo.json("other", [3])
    return repo


def put(text: str) -> None:
    LOCK.write_text(text)


def entry(ref: str = "data@prod", id: str = ID, more: str = "") -> str:
    return f"art_lock: 1\nversions:\n  {ref}:\n    key: data\n    id: {id}\n{more}"


def test_a_lock_file_is_sorted_and_readable(data: Repo) -> None:
    data.lock("other", "data@prod")

    text = LOCK.read_text()
    prod = data.version("data@prod")
    assert text.startswith("# ")
    assert yaml.safe_load(text)["versions"]["data@prod"] == {
        "key": "data",
        "id": prod.id,
        "number": 1,
        "created": prod.record.created,
    }
    assert list(yaml.safe_load(text)["versions"]) == ["data@prod", "other@latest"]


def test_the_order_of_words_does_not_change_the_file(data: Repo) -> None:
    data.lock("other", "data@prod", "data")
    one = LOCK.read_bytes()
    LOCK.unlink()
    data.lock("data")
    data.lock("data@prod")
    data.lock("art://other@latest", "data")

    assert LOCK.read_bytes() == one


def test_what_is_locked_stays_until_it_is_updated(data: Repo) -> None:
    data.lock("data", "other")
    data.json("data", [9])

    (seen,) = data.lock("data")
    assert (seen.state, seen.pin.number, seen.now) == ("behind", 2, "data@v3")
    assert data.locked("data").read() == data.version("data@v2").read()
    assert {each.ref: each.state for each in data.lock()} == {
        "data@latest": "behind",
        "other@latest": "current",
    }
    assert [each.state for each in data.lock(update=True)] == ["updated", "current"]
    assert data.locked("data").number == 3


def test_one_reference_is_updated_alone(data: Repo) -> None:
    data.lock("data", "other")
    data.json("data", [9])
    data.json("other", [9])

    data.lock("other", update=True)

    assert (data.locked("data").number, data.locked("other").number) == (2, 2)


def test_a_file_without_news_is_not_written_again(data: Repo) -> None:
    data.lock("data")
    before = LOCK.stat()

    data.lock(update=True)

    assert (LOCK.stat().st_ino, LOCK.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_all_references_are_locked_or_none(data: Repo) -> None:
    with pytest.raises(NotFoundError):
        data.lock("data", "nope")

    assert not LOCK.exists()
    assert os.listdir() == [".art"]


_LOCK = """
for each in range(5):
    repo.lock(f"k{number}-{each}")
"""


def test_what_several_processes_lock_at_once_is_in_the_file(repo: Repo, tmp_path: Path) -> None:
    wanted = [f"k{number}-{each}" for number in range(6) for each in range(5)]
    for key in wanted:
        repo.json(key, 1)

    run_together(tmp_path / "go", *[_LOCK] * 6)

    assert list(read(LOCK)) == [f"{key}@latest" for key in wanted]
    assert [name for name in os.listdir() if "lock" in name] == ["art.lock"]


def test_what_a_killed_one_left_beside_the_file_is_taken_away(data: Repo) -> None:
    Path(".art.lock.lock").touch()

    data.lock("data")

    assert sorted(os.listdir()) == [".art", "art.lock"]


def test_what_is_not_in_the_file_is_refused(data: Repo) -> None:
    data.lock("data@prod")

    with pytest.raises(NotFoundError, match="data@latest is not in art.lock"):
        data.locked("data")
    with pytest.raises(NotFoundError, match="no lock file"):
        data.locked("data", file="none.lock")


def test_a_version_that_is_not_there_is_refused(data: Repo) -> None:
    put(entry())

    with pytest.raises(NotFoundError, match="data@prod is locked to a version that cannot be had"):
        data.locked("data@prod")
    (lost,) = data.lock()
    assert lost.state == "lost"


def test_a_deleted_version_is_lost_until_it_is_restored(data: Repo) -> None:
    data.lock("other")
    data.delete("other@v1")

    (lost,) = data.lock()
    assert (lost.state, "deleted" in str(lost.why)) == ("lost", True)
    with pytest.raises(NotFoundError) as caught:
        data.locked("other")
    assert caught.value.hint == "art restore other@v1"


def test_a_tag_that_went_away_leaves_its_pin(data: Repo) -> None:
    data.lock("data@prod")
    data.untag("data", "prod")

    assert [each.state for each in data.lock()] == ["behind"]
    assert data.locked("data@prod").number == 1


def test_a_moved_version_is_found_where_it_is(data: Repo) -> None:
    data.lock("other")
    data.move("other", "else")

    assert data.locked("other").ref == "else@v1"
    assert [each.state for each in data.lock()] == ["current"]


def test_partitions_and_keyless_versions_can_be_locked(repo: Repo) -> None:
    repo.json("data", [1], partitions={"region": "eu"})
    repo.json("data", [2], partitions={"region": "us"})
    keyless = repo.json(None, [3]).version

    repo.lock("data?region=eu", keyless.id)

    assert repo.locked("data?region=eu").number == 1
    assert repo.locked(keyless.id).id == keyless.id
    assert "key" not in yaml.safe_load(LOCK.read_text())["versions"][keyless.id]


def test_a_path_in_a_version_is_not_locked(data: Repo) -> None:
    with pytest.raises(UsageError, match="whole versions"):
        data.lock("data@v1/content.json")


HOSTILE = {
    "nothing": "",
    "another file": "name: x\n",
    "a list": "- art_lock\n",
    "a truth value": "art_lock: true\nversions: {}\n",
    "a list of versions": "art_lock: 1\nversions: [a]\n",
    "an anchor": "art_lock: 1\nversions: &a\n  x: *a\n",
    "a tag of YAML": "art_lock: 1\nversions: !!python/object/apply:os.system ['true']\n",
    "deep nesting": "art_lock: 1\nversions: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n",
    "a reference that is none": entry("../../etc/passwd"),
    "a reference with a path": entry("data@v1/x"),
    "a short id": entry(id="b3:12345678"),
    "an id with more behind": entry(id=f'"{ID}\\n"'),
    "an id that is a list": entry(id="[1]"),
    "a key that is none": entry().replace("key: data", "key: ../x"),
    "a key that is a number": entry().replace("key: data", "key: 7"),
    "a number that is none": entry(more="    number: -1\n"),
    "a number that is true": entry(more="    number: true\n"),
    "a time that is none": entry(more='    created: "\\e[31m"\n'),
    "a block twice": entry() + "  data@prod:\n    id: " + ID + "\n",
    "a reference twice": entry("data") + "  data@latest:\n    id: " + ID + "\n",
    "a block of text": "art_lock: 1\nversions:\n  data: text\n",
    "too much": "#" * (2 << 20),
    "no text": "\0\x01\x02",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_lock_file_is_refused_and_left_alone(data: Repo, what: str) -> None:
    put(HOSTILE[what])

    for attempt in (
        lambda: read(LOCK),
        lambda: data.lock("other"),
        lambda: data.lock(update=True),
        lambda: data.locked("data@prod"),
    ):
        with pytest.raises(CorruptError) as caught:
            attempt()
        assert "fsck" not in str(caught.value.hint)
        assert len(caught.value.message) < 400
    assert LOCK.read_text() == HOSTILE[what]


def test_bytes_that_are_no_text_are_refused(data: Repo) -> None:
    LOCK.write_bytes(b"art_lock: \xff\xfe\n")

    with pytest.raises(CorruptError):
        data.lock()


def test_the_marks_of_a_merge_are_told(data: Repo) -> None:
    put(f"<<<<<<< HEAD\n{entry()}=======\n{entry()}>>>>>>> other\n")

    with pytest.raises(ConflictError, match="marks of a merge"):
        data.lock()


def test_a_newer_format_is_told(data: Repo) -> None:
    put("art_lock: 2\nversions: {}\n")

    with pytest.raises(NewerFormatError):
        data.locked("data")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_folders_pipes_and_devices_are_refused(data: Repo) -> None:
    LOCK.mkdir()
    with pytest.raises(ArtError):
        data.lock("data")
    LOCK.rmdir()
    os.mkfifo(LOCK)
    with pytest.raises(CorruptError):
        data.lock()
    with pytest.raises(CorruptError, match="too large"):
        data.lock(file="/dev/zero")


def test_a_link_is_replaced_and_not_followed(data: Repo, tmp_path: Path) -> None:
    other = tmp_path / "theirs"
    LOCK.symlink_to(other)
    with pytest.raises(NotFoundError):
        data.lock("data")
    other.write_text(entry())

    data.lock("data@prod", update=True)

    assert other.read_text() == entry()
    assert not LOCK.is_symlink()


def test_the_mode_of_the_file_stays(data: Repo) -> None:
    data.lock("data")
    assert LOCK.stat().st_mode & 0o777 == 0o644
    LOCK.chmod(0o600)

    data.lock("other")

    assert LOCK.stat().st_mode & 0o777 == 0o600


def test_two_branches_merge_line_by_line(data: Repo) -> None:
    data.lock("data", "other")
    base = LOCK.read_text()
    data.json("data", [9])
    data.lock("data", update=True)

    assert len(set(LOCK.read_text().splitlines()) - set(base.splitlines())) == 3


# --- on the command line --------------------------------------------------------------------------


def test_get_and_cat_take_what_is_locked(data: Repo, run: Runner) -> None:
    run("lock", "data")
    data.json("data", [9])

    assert run("cat", "data", "--locked").out.split() == ["[", "2", "]"]
    assert run("cat", "data").out.split() == ["[", "9", "]"]
    assert run("get", "data", "out.json", "--locked", "--json").json["ref"] == "data@v2"
    assert "not in art.lock" in run("cat", "other", "--locked", code=4).error
    assert "no lock file" in run("cat", "data", "--lock-file", "x.lock", code=4).error


def test_a_lock_file_may_have_another_name(data: Repo, run: Runner) -> None:
    run("lock", "data@prod", "--file", "prod.lock")

    assert run("cat", "data@prod", "--lock-file", "prod.lock").out.split() == ["[", "1", "]"]
    assert not LOCK.exists()


def test_the_command_says_what_is_behind_and_lost(data: Repo, run: Runner) -> None:
    assert "added" in run("lock", "data", "other").out
    assert run("lock", "--error-on-noop", code=9).out.count("current") == 2
    data.json("data", [9])
    assert "now data@v3" in run("lock").out
    data.delete("other@v1")

    lost = run("lock", code=4)

    assert "other@latest is locked to a version that cannot be had" in lost.error
    assert [each["state"] for each in run("lock", "--json", code=4).json] == ["behind", "lost"]


def test_without_a_file_there_is_nothing_to_look_at(data: Repo, run: Runner) -> None:
    assert "no lock file" in run("lock", code=4).error
    assert "no lock file" in run("lock", "--update", code=4).error
