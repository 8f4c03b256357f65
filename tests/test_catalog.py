"""Manifests and logs as files: numbers are dense and given once, and every file is about its name."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from art import catalog as catalogs
from art.backend import LocalBackend
from art.catalog import NOTES, SETTINGS, STATE, Catalog, manifest_name, parse_number, tag_log
from art.document import encode
from art.errors import CorruptError, NewerFormatError, NotFoundError, UsageError
from art.model import Document, Entry, new_uid, now
from tests.support import ID, manifest_document, run_together


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store")


@pytest.fixture
def catalog(backend: LocalBackend) -> Catalog:
    return Catalog(backend)


def manifest(key: str | None = "sales/report", **fields: Any) -> Document:
    document = manifest_document(uid=new_uid(), key=key, **fields)
    return {name: value for name, value in document.items() if value is not None}


def entry(key: str | None = "sales/report", **fields: Any) -> Document:
    document = {"art": 1, "uid": new_uid(), "key": key, "created": now(), "author": "me"} | fields
    return {name: value for name, value in document.items() if name != "key" or value is not None}


# -- manifests -----------------------------------------------------------------------------------


def test_a_published_manifest_reads_back_under_its_number(
    catalog: Catalog, backend: LocalBackend
) -> None:
    document = manifest("X_train", title="ein Titel", future={"a": 1})
    created = catalog.create_manifest(document, 1)
    assert created
    assert catalog.manifest("X_train", 1) == created
    data = backend.read("manifests/!x_train/v00000001.yaml")
    assert created.id == "b3:" + blake3(data).hexdigest(), "b3sum gives the id"
    assert created.document == document


def test_a_number_is_given_once(catalog: Catalog) -> None:
    first = catalog.create_manifest(manifest(), 1)
    assert catalog.create_manifest(manifest(), 1) is None
    assert catalog.manifest("sales/report", 1) == first


def test_the_answer_to_a_request_whose_first_answer_was_lost_is_yes(catalog: Catalog) -> None:
    document = manifest()
    assert catalog.create_manifest(document, 1)
    assert catalog.create_manifest(document, 1), "the bytes that are there are ours"


def test_numbers_have_eight_digits_or_more(catalog: Catalog) -> None:
    assert manifest_name("a", 7) == "manifests/a/v00000007.yaml"
    assert manifest_name("a", 123_456_789) == "manifests/a/v123456789.yaml"
    for number in (1, 99_999_999, 100_000_000, 10**17):
        assert catalog.create_manifest(manifest(), number)
        assert catalog.manifest("sales/report", number).key == "sales/report"
    assert catalog.numbers("sales/report") == [1, 99_999_999, 100_000_000, 10**17]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("v00000012.yaml", 12),
        ("00000012.yaml", 12),
        ("v123456789.yaml", 123_456_789),
        ("v12.yaml", None),
        ("v00000012.yml", None),
        ("v00000012.yaml.tmp", None),
        (".v00000012.yaml", None),
        ("v00000012.yaml\n", None),
        ("v0000001x.yaml", None),
        ("v\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661.yaml", None),
        ("v" + "9" * 30 + ".yaml", None),
    ],
)
def test_only_numbered_documents_have_a_number(name: str, number: int | None) -> None:
    assert parse_number(name) == number


def test_the_next_number_is_found_from_any_known_one(catalog: Catalog) -> None:
    assert catalog.next_number("sales/report") == 1
    for number in (1, 2, 3):
        catalog.create_manifest(manifest(), number)
    assert [catalog.next_number("sales/report", known) for known in (0, 1, 2, 3)] == [4, 4, 4, 4]


def test_a_missing_version_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(NotFoundError, match="sales/report has no version v1"):
        catalog.manifest("sales/report", 1)


def test_keys_are_those_that_have_a_version(catalog: Catalog, backend: LocalBackend) -> None:
    keys = ["a", "a/b", "a/b/c.d", "X", "x", "CON/nul", "a."]
    for key in keys:
        catalog.create_manifest(manifest(key), 1)
    backend.create("manifests/empty/readme.txt", b"")
    backend.create("manifests/Foreign/v00000001.yaml", b"")
    backend.create("manifests/no/one/v1.yaml", b"")
    assert sorted(catalog.keys()) == sorted(keys)


def test_a_key_may_lie_inside_another(catalog: Catalog) -> None:
    for key in ("a", "a/v00000001", "a/v00000001/b"):
        assert catalog.create_manifest(manifest(key), 1)
    for key in ("a", "a/v00000001", "a/v00000001/b"):
        assert catalog.manifest(key, 1).key == key


def test_a_manifest_under_another_keys_name_is_damage(
    catalog: Catalog, backend: LocalBackend
) -> None:
    catalog.create_manifest(manifest("a"), 1)
    backend.create("manifests/b/v00000001.yaml", backend.read("manifests/a/v00000001.yaml"))
    with pytest.raises(
        CorruptError, match=r"^manifests/b/v00000001.yaml is damaged: it is about 'a'"
    ):
        catalog.manifest("b", 1)


def test_damage_and_a_newer_format_are_told_apart(catalog: Catalog, backend: LocalBackend) -> None:
    backend.create("manifests/a/v00000001.yaml", b"nonsense")
    backend.create("manifests/a/v00000002.yaml", encode({"art": 2, "key": "a"}))
    with pytest.raises(CorruptError, match=r"^manifests/a/v00000001.yaml is damaged"):
        catalog.manifest("a", 1)
    with pytest.raises(NewerFormatError, match=r"^manifests/a/v00000002.yaml has format 2"):
        catalog.manifest("a", 2)


def test_what_no_reader_would_take_is_not_published(
    catalog: Catalog, backend: LocalBackend
) -> None:
    for fields in ({"metadata": {"a": "x" * (1 << 20)}}, {"type": "No Type"}, {"author": 5}):
        with pytest.raises((UsageError, CorruptError)):
            catalog.create_manifest(manifest(**fields), 1)
    assert list(backend.walk("manifests")) == []


def test_keyless_versions_are_found_by_uid(catalog: Catalog, backend: LocalBackend) -> None:
    document = manifest(None)
    created = catalog.create_manifest(document, None)
    assert created
    assert catalog.anonymous(document["uid"]) == created
    assert catalog.anonymous_uids() == [document["uid"]]
    assert list(catalog.keys()) == []
    other = new_uid()
    backend.create(f"anonymous/{other}.yaml", backend.read(f"anonymous/{document['uid']}.yaml"))
    with pytest.raises(CorruptError, match="about something else"):
        catalog.anonymous(other)
    with pytest.raises(NotFoundError):
        catalog.anonymous(new_uid())


def test_a_keyed_manifest_among_the_keyless_is_damage(
    catalog: Catalog, backend: LocalBackend
) -> None:
    document = manifest("a")
    backend.create(f"anonymous/{document['uid']}.yaml", encode(document))
    with pytest.raises(CorruptError, match="about something else"):
        catalog.anonymous(document["uid"])


# -- logs ----------------------------------------------------------------------------------------


def append(catalog: Catalog, key: str | None, log: str, **fields: Any) -> Entry:
    made = catalog.append(key, log, lambda _: entry(key, **fields))
    assert made
    return made


def test_a_log_numbers_its_entries_from_1(catalog: Catalog, backend: LocalBackend) -> None:
    made = [append(catalog, "A", NOTES, id=ID, set={"title": f"{n}"}) for n in range(3)]
    assert [one.number for one in made] == [1, 2, 3]
    assert catalog.entries("A", NOTES) == made
    assert catalog.entries("A", NOTES, after=1) == made[1:]
    assert list(catalog.following("A", NOTES, 2)) == made[2:]
    assert catalog.entries("A", NOTES, after=3) == []
    assert sorted(backend.names("refs/!a/_notes")) == [f"{n:08}.yaml" for n in (1, 2, 3)]


def test_a_log_that_never_began_is_empty(catalog: Catalog) -> None:
    assert catalog.entries("a", STATE) == []
    assert list(catalog.following("a", STATE, 0)) == []
    assert catalog.logs("a") == []


def test_the_logs_of_a_key_are_listed_with_its_tags(catalog: Catalog) -> None:
    append(catalog, "a", STATE, state="deleted", versions=[{"id": ID}])
    append(catalog, "a", SETTINGS, settings={})
    append(catalog, "a", tag_log("Prod"), tag="Prod", id=ID)
    append(catalog, "a", tag_log("old"), tag="old", id=None)
    append(catalog, None, NOTES, id=ID, set={})
    assert catalog.logs("a") == ["_state", "_settings", "_tags/!prod", "_tags/old"]
    assert catalog.logs(None) == ["_notes"]
    assert catalog.logs("b") == []


def test_a_writer_that_declines_appends_nothing(catalog: Catalog, backend: LocalBackend) -> None:
    assert catalog.append("a", STATE, lambda _: None) is None
    assert list(backend.walk("")) == []


def test_a_writer_that_loses_is_asked_again_with_what_it_missed(catalog: Catalog) -> None:
    seen: list[int] = []

    def make(entries: list[Entry]) -> Document:
        seen.append(len(entries))
        if len(entries) < 3:  # another writer is faster, thrice
            append(catalog, "a", NOTES, id=ID, set={})
        return entry("a", id=ID, set={"title": "mine"})

    made = catalog.append("a", NOTES, make)
    assert made
    assert made.number == 4
    assert seen == [0, 1, 2, 3]
    assert catalog.entries("a", NOTES)[-1] == made


def test_of_many_writers_none_loses_an_entry(catalog: Catalog) -> None:
    gate = threading.Barrier(6)

    def write(writer: int) -> None:
        gate.wait()
        for turn in range(5):
            append(catalog, "a", NOTES, id=ID, set={"title": f"{writer}-{turn}"})

    run_together([lambda writer=writer: write(writer) for writer in range(6)])
    entries = catalog.entries("a", NOTES)
    assert [one.number for one in entries] == list(range(1, 31))
    titles = [one.document["set"]["title"] for one in entries]
    assert sorted(titles) == sorted(f"{writer}-{turn}" for writer in range(6) for turn in range(5))
    for writer in range(6):
        mine = [title for title in titles if title.startswith(f"{writer}-")]
        assert mine == sorted(mine), "each writer's entries stay in its order"


def test_a_gap_in_a_log_is_damage_that_is_named(catalog: Catalog, backend: LocalBackend) -> None:
    for _ in range(3):
        append(catalog, "a", NOTES, id=ID, set={})
    backend.delete("refs/a/_notes/00000002.yaml")
    with pytest.raises(CorruptError, match=r"^refs/a/_notes/00000002.yaml is missing"):
        catalog.entries("a", NOTES)
    with pytest.raises(CorruptError, match=r"00000002.yaml is missing"):
        append(catalog, "a", NOTES, id=ID, set={})


def test_a_foreign_file_in_a_log_is_left_alone(catalog: Catalog, backend: LocalBackend) -> None:
    made = append(catalog, "a", NOTES, id=ID, set={})
    backend.create("refs/a/_notes/readme.txt", b"hello")
    assert catalog.entries("a", NOTES) == [made]
    assert append(catalog, "a", NOTES, id=ID, set={}).number == 2


def test_a_damaged_entry_is_named(catalog: Catalog, backend: LocalBackend) -> None:
    backend.create("refs/a/_state/00000001.yaml", b"nonsense")
    with pytest.raises(CorruptError, match=r"^refs/a/_state/00000001.yaml is damaged"):
        catalog.entries("a", STATE)


@pytest.mark.parametrize("log", ["_notes", "_state", "_tags/prod"])
@pytest.mark.parametrize("key", ["b", None])
def test_an_entry_under_another_keys_name_is_damage(
    catalog: Catalog, backend: LocalBackend, log: str, key: str | None
) -> None:
    append(catalog, "a", log, id=ID, tag="prod")
    directory = catalogs.refs_directory(key)
    backend.create(f"{directory}/{log}/00000001.yaml", backend.read(f"refs/a/{log}/00000001.yaml"))
    with pytest.raises(CorruptError, match="is damaged: it is about something else"):
        catalog.entries(key, log)
    with pytest.raises(CorruptError, match="is damaged: it is about something else"):
        list(catalog.following(key, log, 0))


@pytest.mark.parametrize("tag", ["dev", "Prod", "", None, 5, "../prod"])
def test_a_tag_move_under_another_tags_name_is_damage(
    catalog: Catalog, backend: LocalBackend, tag: object
) -> None:
    backend.create("refs/a/_tags/prod/00000001.yaml", encode(entry("a", tag=tag, id=ID)))
    with pytest.raises(CorruptError, match="is damaged"):
        catalog.entries("a", "_tags/prod")


def test_the_log_of_a_bad_tag_is_a_usage_error() -> None:
    for tag in ("../x", "latest", "v1", ""):
        with pytest.raises(UsageError):
            tag_log(tag)


# -- progress ------------------------------------------------------------------------------------


def progress(**fields: Any) -> Document:
    return {"art": 1, "uid": new_uid(), "created": now(), "value": 5.0, "sequence": 1} | fields


def test_a_progress_is_replaced_in_place(catalog: Catalog, backend: LocalBackend) -> None:
    first = progress()
    assert catalog.progress(first["uid"]) is None
    catalog.write_progress(first)
    assert catalog.progress(first["uid"]) == first
    second = first | {"value": 50.5, "sequence": 2}
    catalog.write_progress(second)
    assert catalog.progress(first["uid"]) == second
    assert len(list(backend.walk(""))) == 1


@pytest.mark.parametrize("value", [0, 100, 12.5])
def test_a_progress_written_by_another_program_may_be_a_whole_number(
    catalog: Catalog, value: float
) -> None:
    document = progress(value=value)
    catalog.write_progress(document)
    assert catalog.progress(document["uid"]) == document


@pytest.mark.parametrize(
    "fields",
    [{"value": -1}, {"value": 100.5}, {"value": float("nan")}, {"value": "5"}, {"value": None}]
    + [{"value": True}, {"sequence": "1"}, {"sequence": 1.5}, {"sequence": None}],
    ids=str,
)
def test_a_progress_that_is_none_is_damage_that_is_named(
    catalog: Catalog, fields: dict[str, Any]
) -> None:
    document = progress(**fields)
    catalog.write_progress(document)
    with pytest.raises(CorruptError, match=f"^progress/{document['uid']}.yaml is damaged"):
        catalog.progress(document["uid"])
