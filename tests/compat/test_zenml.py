"""ZenML's calls for artifacts: versions, names, types, tags, metadata, files that stay where they are."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from uuid import UUID

import pytest

from art import ConflictError, NotFoundError, UsageError
from art.compat.zenml import (
    ArtifactType,
    Client,
    load_artifact,
    log_artifact_metadata,
    log_metadata,
    register_artifact,
    save_artifact,
)
from art.repo import Repo


def test_versions_are_numbered_and_the_last_one_is_loaded(there: Repo) -> None:
    made = [save_artifact(number, "answer") for number in (42, 43, 44)]
    assert [each.version for each in made] == ["1", "2", "3"]
    assert load_artifact("answer") == 44
    assert [load_artifact("answer", version) for version in ("1", "2", 3)] == [42, 43, 44]
    assert load_artifact(made[0].id) == load_artifact(str(made[0].id)) == 42
    assert there.keys() == ["answer"]


def test_saving_the_same_again_is_a_version_of_its_own() -> None:
    assert [save_artifact("same", "it").version for _ in range(2)] == ["1", "2"]


def test_parallel_saves_are_all_versions(there: Repo) -> None:
    program = "from art.compat.zenml import save_artifact\nsave_artifact(42, 'it')\n" * 5
    others = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    threads = [threading.Thread(target=save_artifact, args=(42, "it")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0]
    assert sorted(each.number or 0 for each in there.history("it")) == list(range(1, 21))


def test_a_version_can_have_a_name_that_nothing_else_has(there: Repo) -> None:
    save_artifact("first", "iris")
    made = save_artifact("raw", "iris", version="raw_2023", tags=["a tag", "b"])
    save_artifact("third", "iris", version="v2")
    assert (made.version, made.tags, made.stored.tags) == ("raw_2023", ["a-tag", "b"], ["raw_2023"])
    assert load_artifact("iris", "raw_2023") == "raw"
    assert load_artifact("iris", "v2") == "third"
    assert load_artifact("iris") == "third"
    assert there.version("iris@raw_2023").load() == "raw"
    for version in ("raw_2023", "v2", "1", 1):
        with pytest.raises(ConflictError, match="already"):
            save_artifact("again", "iris", version=version)
    for version in ("2", "7", "0", "other", "latest"):
        with pytest.raises(NotFoundError, match="has no version"):
            load_artifact("iris", version)
    assert len(there.history("iris")) == 3
    save_artifact("fourth", "iris", version="latest")
    assert load_artifact("iris", "latest") == "fourth"


def test_a_version_can_have_a_number_for_a_name() -> None:
    save_artifact("a", "model", version=42)
    assert Client().get_artifact_version("model").version == "42"
    assert load_artifact("model", 42) == load_artifact("model", "42") == "a"
    with pytest.raises(NotFoundError):
        load_artifact("model", 1)


def test_of_two_that_take_a_name_at_once_one_gets_it(there: Repo) -> None:
    outcomes: list[object] = []
    begin = threading.Barrier(4, timeout=60)

    def save(number: int) -> None:
        begin.wait()
        try:
            outcomes.append(save_artifact(number, "it", version="final").stored.load())
        except ConflictError:
            outcomes.append(None)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [each for each in outcomes if each is not None]
    assert load_artifact("it", "final") == there.version("it@final").load() == winner
    assert len(Client().list_artifact_versions(name="it")) == 1


def test_what_is_said_of_an_artifact_is_kept() -> None:
    numpy = pytest.importorskip("numpy")
    metadata = {"rows": 3, "nested": {"a": [1, 2]}, "kinds": {"b", "a"}, "at": Path("x/y")}
    made = save_artifact(
        numpy.eye(3), "My Model", artifact_type=ArtifactType.MODEL, tags=["prod"],
        user_metadata=metadata, extract_metadata=False,
    )  # fmt: skip
    found = Client().get_artifact_version("My Model")
    assert found == made
    assert hash(found) == hash(made)
    assert isinstance(found.id, UUID)
    assert (found.name, found.type, found.tags) == ("My Model", ArtifactType.MODEL, ["prod"])
    assert found.metadata == found.run_metadata == {
        "rows": 3, "nested": {"a": [1, 2]}, "kinds": ["a", "b"], "at": "x/y",
    }  # fmt: skip
    assert found.uri == "art://My-Model@v1"
    assert found.created.tzinfo is not None
    assert numpy.array_equal(found.data, numpy.eye(3))
    shown = found.visualize()
    assert shown is not None
    assert shown["shape"] == [3, 3]
    assert save_artifact(numpy.eye(4), "it", include_visualizations=False).visualize() is None
    assert (save_artifact(1, "m", is_model_artifact=True).type, save_artifact(1, "n").type) == (
        ArtifactType.MODEL, ArtifactType.DATA,
    )  # fmt: skip


def test_metadata_is_logged_later_and_the_latest_entry_wins(there: Repo) -> None:
    first = save_artifact(1, "it", user_metadata={"a": 1})
    save_artifact(2, "it")
    log_metadata({"a": 2, "b": {"c": 1}}, artifact_name="it", artifact_version="1")
    log_metadata({"a": 3}, artifact_version_id=first.id)
    log_artifact_metadata({"of": "latest"}, artifact_name="it")
    log_artifact_metadata({"of": "first"}, "it", 1)
    versions = [Client().get_artifact_version("it", number) for number in (1, 2)]
    assert [each.metadata for each in versions] == [
        {"a": 3, "b": {"c": 1}, "of": "first"}, {"of": "latest"},
    ]  # fmt: skip
    assert len(there.version("it@v1").notes) == 3
    with pytest.raises(UsageError, match="artifacts only"):
        log_metadata({"a": 1})
    with pytest.raises(NotFoundError):
        log_metadata({"a": 1}, artifact_name="other")


def test_files_and_folders_are_registered_wherever_they_are(there: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    made = register_artifact(str(folder), "folder", artifact_metadata={"epoch": 3}, tags=["t"])
    assert (made.stored.type, made.uri) == ("reference", folder.as_uri())
    loaded = load_artifact("folder")
    assert isinstance(loaded, Path)
    assert [each.read_text() for each in loaded.iterdir()] == ["a"]
    register_artifact(folder / "a.txt", name="file")
    assert load_artifact("file").read_text() == "a"
    assert (
        register_artifact(str(folder), "folder", artifact_metadata={"epoch": 3}, tags=["t"]) == made
    )
    (folder / "a.txt").write_text("b")
    assert register_artifact(str(folder), "folder").version == "2"
    with pytest.raises(NotFoundError):
        register_artifact(str(tmp_path / "nowhere"), "missing")


def test_versions_are_listed_with_filters() -> None:
    for number in range(3):
        save_artifact(number, "a", tags=["x"] if number else ["x", "y z"])
    save_artifact(9, "b", version="raw", artifact_type=ArtifactType.MODEL)
    client = Client()
    listed = client.list_artifact_versions()
    assert [(each.name, each.version) for each in listed] == [
        ("a", "1"), ("a", "2"), ("a", "3"), ("b", "raw"),
    ]  # fmt: skip
    assert [
        each.version for each in client.list_artifact_versions(name="a", tag="x", tags=["y z"])
    ] == ["1"]
    assert client.list_artifact_versions(version="raw")[0].load() == 9
    assert [each.name for each in client.list_artifact_versions(type="ModelArtifact")] == ["b"]
    page = client.list_artifact_versions("desc:version_number", page=2, size=3)
    assert [(each.name, each.version) for each in page] == [("a", "1")]
    assert (len(page), page.total, page.total_pages, page.index) == (1, 4, 2, 2)
    assert len(client.list_artifact_versions(artifact="c")) == 0
    with pytest.raises(UsageError, match="no order"):
        client.list_artifact_versions("size")
    with pytest.raises(UsageError, match="page 0"):
        client.list_artifact_versions(page=0)


def test_files_are_downloaded_into_a_zip(tmp_path: Path, workplace: Path) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    target = workplace / "to.zip"
    for value in (folder, folder / "a.txt", {"a": 1}):
        save_artifact(value, "it").download_files(target, overwrite=True)
        assert zipfile.ZipFile(target).testzip() is None
        assert len(zipfile.ZipFile(target).namelist()) == 1
    for path in (folder, folder / "a.txt"):
        register_artifact(path, "it").download_files(target, overwrite=True)
        with zipfile.ZipFile(target) as file:
            assert [file.read(name) for name in file.namelist() if not name.endswith("/")] == [b"a"]
    found = Client().get_artifact_version("it")
    with pytest.raises(ConflictError, match="is there"):
        found.download_files(target)
    with pytest.raises(UsageError, match=r"\.zip"):
        found.download_files(workplace / "to.tar")
    assert [each.name for each in workplace.iterdir() if each.name != ".art"] == ["to.zip"]


def test_a_large_file_is_downloaded_as_it_was(tmp_path: Path, workplace: Path) -> None:
    import random

    data = random.Random(1).randbytes(5_000_000)
    (tmp_path / "large").write_bytes(data)
    save_artifact(tmp_path / "large", "large").download_files("to.zip")
    with zipfile.ZipFile("to.zip") as file:
        assert file.read("large") == data


def test_names_that_are_no_keys_are_kept_and_not_mixed_up(there: Repo) -> None:
    made = save_artifact(1, "pipeline::step::output")
    assert (made.name, made.stored.key) == ("pipeline::step::output", "pipeline-step-output")
    assert load_artifact("pipeline::step::output") == load_artifact("pipeline-step-output") == 1
    with pytest.raises(ConflictError, match="would both be"):
        save_artifact(2, "pipeline step output")
    with pytest.raises(NotFoundError, match="no artifact 'pipeline step output'"):
        load_artifact("pipeline step output")
    with pytest.raises(UsageError, match="part of a key"):
        save_artifact(2, "")


def test_what_art_cannot_do_is_refused(there: Repo) -> None:
    class Materializer:
        pass

    with pytest.raises(UsageError, match="is a class"):
        save_artifact(1, "it", materializer=Materializer)
    with pytest.raises(UsageError, match="uri"):
        save_artifact(1, "it", uri="somewhere")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no type of ZenML"):
        save_artifact(1, "it", artifact_type="Thing")
    with pytest.raises(UsageError, match="no materializer"):
        save_artifact(Materializer(), "it")
    with pytest.raises(NotFoundError, match="no artifact with the id"):
        load_artifact(UUID(int=1))
    assert there.keys() == []


def test_a_materializer_can_be_named() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1]})
    assert save_artifact(frame, "it", materializer="pandas").load().equals(frame)
