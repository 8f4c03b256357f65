"""ClearML's calls for artifacts: what comes back, what is refused, and how a task is a run."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from art import ArtError, BusyError, ConflictError, DeniedError, NotFoundError, UsageError, document
from art.compat.clearml import Artifact, Task
from art.repo import Repo


@pytest.fixture(autouse=True)
def closed(there: Repo) -> Iterator[None]:
    yield
    if task := Task.current_task():
        task.close()


@pytest.fixture
def task(there: Repo) -> Task:
    return Task.init(project_name="My project", task_name="The task")


def uploaded(task: Task, value: Any, **options: Any) -> Artifact:
    assert task.upload_artifact("it", value, **options) is True
    return task.artifacts["it"]


def animals() -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(
        {"num_legs": [2, 4, 8, 0], "num_wings": [2, 0, 0, 0]},
        index=["falcon", "dog", "spider", "fish"],
    )


def record(repo: Repo, id: str) -> dict[str, Any]:
    return document.decode((repo.root / ".art" / "runs" / f"{id}.yaml").read_bytes(), "run")


# -- tasks -------------------------------------------------------------------------------------------


def test_a_task_is_a_run_and_its_artifacts_are_below_its_key(there: Repo, task: Task) -> None:
    task.upload_artifact("Numpy Eye", [1])
    assert there.keys() == ["my-project/the-task/Numpy-Eye"]
    version = there.version("my-project/the-task/Numpy-Eye")
    assert version.title == "Numpy Eye"
    assert version.run is not None
    assert (version.run["id"], version.run["name"]) == (task.id, "The task")
    assert str(UUID(task.id)) == task.task_id == task.id
    assert list(task.artifacts) == ["Numpy Eye"]
    assert task.get_project_name() == "My project"
    task.close()
    assert record(there, task.id)["status"] == "completed"
    assert Task.current_task() is None
    task.close()


def test_one_task_goes_on_at_a_time(task: Task) -> None:
    assert Task.init("My project", "The task") is task is Task.current_task()
    with pytest.raises(ConflictError, match="goes on") as caught:
        Task.init("My project", "Another task")
    assert caught.value.hint == "Task.current_task().close()"
    task.close()
    assert Task.init("My project", "The task").id != task.id


def test_a_task_is_found_by_its_id_and_by_its_names_in_any_case(there: Repo) -> None:
    ids = []
    for number in (1, 2):
        task = Task.init("Examples", "Artifacts example", tags=["a tag", "b"])
        task.upload_artifact("number", number)
        task.upload_artifact("same", "in both")
        ids.append(task.id)
        task.close()
    found = [Task.get_task(task_id=id) for id in ids]
    assert [each and each.artifacts["number"].get() for each in found] == [1, 2]
    assert [each and each.artifacts["same"].get() for each in found] == 2 * ["in both"]
    latest = Task.get_task(project_name="examples", task_name="artifacts example")
    assert latest is not None
    assert (latest.id, latest.name) == (ids[1], "Artifacts example")
    assert latest.get_tags() == ["a-tag", "b"]
    anywhere = Task.get_task(task_name="artifacts example", tags=["b"])
    assert anywhere is not None
    assert anywhere.id == ids[1]
    assert Task.get_task(task_name="artifacts example", tags=["c"]) is None
    assert Task.get_task(project_name="examples", task_name="other") is None
    with pytest.raises(NotFoundError, match="no task 12"):
        Task.get_task(task_id="12")
    with pytest.raises(UsageError, match="which task"):
        Task.get_task()


def test_the_task_that_goes_on_is_found_before_it_has_artifacts(task: Task) -> None:
    assert Task.get_task(task_id=task.id) is task
    assert Task.get_task(project_name="my project", task_name="THE TASK") is task


def test_a_task_that_ended_can_get_another_artifact(there: Repo, task: Task) -> None:
    task.upload_artifact("first", 1)
    task.close()
    found = Task.get_task(task_id=task.id)
    assert found is not None
    found.upload_artifact("second", 2)
    again = Task.get_task(task_id=task.id)
    assert again is not None
    assert {name: each.get() for name, each in again.artifacts.items()} == {"first": 1, "second": 2}


def test_what_a_task_reads_of_another_one_is_its_input(there: Repo, task: Task) -> None:
    task.upload_artifact("data", {"a": 1})
    task.close()
    reader = Task.init("My project", "Reader")
    made = Task.get_task(task_id=task.id)
    assert made is not None
    assert made.artifacts["data"].get() == {"a": 1}
    thread = threading.Thread(target=reader.upload_artifact, args=("result", 2))
    thread.start()
    thread.join()
    version = reader.artifacts["result"].version
    assert [each["key"] for each in version.inputs] == ["my-project/the-task/data"]
    assert version.run is not None
    assert version.run["id"] == reader.id


def test_names_are_taken_from_program_and_folder_where_none_are_given(there: Repo) -> None:
    task = Task.init()
    assert task.get_project_name() == there.root.name
    assert task.name == Path(sys.argv[0]).stem


def test_what_cannot_be_done_for_a_task_is_said(there: Repo) -> None:
    with pytest.raises(UsageError, match="cannot be continued"):
        Task.init("p", "t", continue_last_task=True)
    with pytest.raises(UsageError, match="task_filter"):
        Task.get_task(task_name="t", task_filter={"status": "x"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="part of a key"):
        Task.init("p", "模型")
    assert Task.current_task() is None
    with pytest.warns(UserWarning, match="art push"):
        Task.init("p", "t", output_uri="s3://bucket")


def test_a_name_may_look_like_that_of_a_file(there: Repo, task: Task) -> None:
    for name in ("config.yaml", "runs/über alles.csv"):
        task.upload_artifact(name, {"a": 1})
    assert sorted(task.artifacts) == ["config.yaml", "runs/über alles.csv"]
    assert there.keys() == [
        "my-project/the-task/config-yaml", "my-project/the-task/runs/uber-alles.csv",
    ]  # fmt: skip


def test_two_names_of_one_key_are_not_mixed_up(there: Repo, task: Task) -> None:
    task.upload_artifact("local file", 1)
    with pytest.raises(ConflictError, match="'local-file' and 'local file'"):
        task.upload_artifact("local-file", 2)
    task.upload_artifact("Local file", 3)
    assert {name: each.get() for name, each in task.artifacts.items()} == {
        "local file": 1, "Local file": 3,
    }  # fmt: skip


def test_a_process_that_ends_ends_its_task(there: Repo) -> None:
    program = """
        from art.compat.clearml import Task
        task = Task.init("p", "t")
        shared = {"a": 1}
        task.register_artifact("shared", shared)
        shared["a"] = 2
        print(task.id)
        if %r:
            raise SystemError("broken")
    """
    ids = []
    for fails in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program % fails)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == fails
        ids.append(done.stdout.strip())
    assert [record(there, id)["status"] for id in ids] == ["completed", "failed"]
    assert "SystemError: broken" in record(there, ids[1])["error"]
    for id in ids:
        task = Task.get_task(task_id=id)
        assert task is not None
        assert task.artifacts["shared"].get() == {"a": 2}
        version = task.artifacts["shared"].version
        assert version.run is not None
        assert version.run["id"] == id


# -- objects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"name": "Erik", "age": 30, "more": {"b": [1, None], "a": 2.5}},
        {1: "one", "two": 2, (3, 4): None},
        "some text",
        "What is this? An a/b test.",
        "two\nlines/of.txt",
        "",
        None,
        [1, "data/missing.csv"],
        b"bytes",
        math.inf,
    ],
)
def test_objects_come_back_equal_and_nothing_is_pickled(task: Task, value: Any) -> None:
    found = uploaded(task, value)
    assert found.get() == value
    assert found.version.format["materializer"] == "value"


def test_mappings_are_sorted_unless_that_is_not_wanted(task: Task) -> None:
    value = {"b": {"z": 1, "y": 2}, "a": [{"d": 1, "c": 2}]}
    assert list(uploaded(task, value).get()) == ["a", "b"]
    found = uploaded(task, dict(reversed(value.items())))
    assert (found.version.number, list(found.get()["b"])) == (1, ["y", "z"])
    assert list(uploaded(task, value, sort_keys=False).get()) == ["b", "a"]


def test_a_frame_keeps_its_index(task: Task) -> None:
    frame = animals()
    found = uploaded(task, frame)
    assert found.get().equals(frame)
    assert list(found.get().index) == ["falcon", "dog", "spider", "fish"]
    assert found.type == "table"


def test_an_array_and_a_picture_come_back_equal(task: Task) -> None:
    numpy = pytest.importorskip("numpy")
    pillow = pytest.importorskip("PIL.Image")
    eye = numpy.eye(100, 100)
    assert numpy.array_equal(uploaded(task, eye).get(), eye)
    picture = pillow.new("RGB", (4, 3), "red")
    assert uploaded(task, picture).get().tobytes() == picture.tobytes()


class Unknown:
    def __init__(self, number: int) -> None:
        self.number = number


def test_what_nobody_can_save_is_pickled_only_where_both_ends_say_so(task: Task) -> None:
    with pytest.raises(UsageError, match="no materializer") as caught:
        uploaded(task, Unknown(1))
    assert "auto_pickle=True" in str(caught.value.hint)
    with pytest.raises(UsageError, match="is a pickle"):
        uploaded(task, {"a": 1}, extension_name=".pkl")
    with pytest.warns(UserWarning, match="pickle"):
        found = uploaded(task, Unknown(4), auto_pickle=True)
    with pytest.raises(DeniedError) as denied:
        found.get()
    assert "block_unsafe_artifacts=False" in str(denied.value.hint)
    with pytest.warns(UserWarning, match="pickle"):
        assert found.get(block_unsafe_artifacts=False).number == 4
    with pytest.warns(UserWarning, match="pickle"):
        assert uploaded(task, {"a": 1}, auto_pickle=True, extension_name="pkl").type != "json"


@pytest.mark.parametrize("extension", ["yaml", ".yaml", ".yml", "YAML"])
def test_a_mapping_can_be_yaml_with_or_without_the_dot(task: Task, extension: str) -> None:
    person = {"name": "Erik", "age": 30, "more": [1, None, math.nan, {"a": True}]}
    found = uploaded(task, person, extension_name=extension, sort_keys=False)
    copy = found.get_local_copy()
    assert copy is not None
    assert Path(copy).suffix == "." + extension.lower().lstrip(".")
    assert Path(copy).read_text().startswith("name: Erik\nage: 30\n")
    assert str(found.get()) == str(person)


def test_an_extension_that_an_object_has_not_is_refused(task: Task) -> None:
    numpy = pytest.importorskip("numpy")
    cases: list[tuple[Any, str, str]] = [
        ({"a": 1}, ".bogus", r"known: \.json, \.yaml, \.yml"),
        ({"a": 1}, ".csv", "known"),
        (animals(), ".xlsx", r"\.csv\.gz"),
        (numpy.eye(2), ".csv", r"\.npz"),
        ([1], ".json", "leave extension_name out"),
    ]
    for value, extension, hint in cases:
        with pytest.raises(UsageError, match="is no extension for a") as caught:
            uploaded(task, value, extension_name=extension)
        assert caught.match(extension.replace(".", r"\."))
        assert re.search(hint, str(caught.value.hint))
    assert task.artifacts == {}


def test_a_mapping_that_is_no_json_is_not_made_something_else(task: Task) -> None:
    for extension in (".json", "json"):
        with pytest.raises(UsageError, match=r"'it\.b' cannot be JSON: its key 2"):
            uploaded(task, {"a": 1, "b": {2: 3}}, extension_name=extension)
    assert uploaded(task, {"a": {2: 3}}).get() == {"a": {2: 3}}
    with pytest.raises(UsageError, match="would not come back equal"):
        uploaded(task, {"a": (1, 2)}, extension_name=".yaml")
    with pytest.raises(UsageError, match="cannot be YAML"):
        uploaded(task, {"a": Unknown(1)}, extension_name=".yaml")


@pytest.mark.parametrize("extension", [".csv", ".csv.gz", ".parquet"])
def test_a_frame_is_written_as_its_extension_says(task: Task, extension: str) -> None:
    frame = animals()
    found = uploaded(task, frame, extension_name=extension)
    assert found.get().equals(frame)
    copy = found.get_local_copy()
    assert copy is not None
    assert copy.endswith(extension)


def test_a_frame_that_a_format_would_change_is_refused(task: Task) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"when": pandas.to_datetime(["2026-11-21", "2026-11-22"])})
    for extension in (".csv.gz", ".csv"):
        with pytest.raises(UsageError, match="would not come back equal") as caught:
            uploaded(task, frame, extension_name=extension)
        assert ".parquet" in str(caught.value.hint)
    assert uploaded(task, frame, extension_name=".feather").get().equals(frame)
    mixed = pandas.DataFrame({"a": [1, "x"]})
    with pytest.raises(UsageError, match=r"cannot be written as \.feather"):
        uploaded(task, mixed, extension_name=".feather")


@pytest.mark.parametrize("extension", [".npy", ".npz", ".csv.gz"])
def test_an_array_is_written_as_its_extension_says(task: Task, extension: str) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.random.default_rng(1).random((5, 3))
    found = uploaded(task, array, extension_name=extension)
    assert numpy.array_equal(found.get(), array)
    copy = found.get_local_copy()
    assert copy is not None
    assert copy.endswith(extension)
    for refused in (numpy.arange(3), numpy.eye(2, dtype="float32")):
        with pytest.raises(UsageError, match="would not come back equal"):
            uploaded(task, refused, extension_name=".csv.gz")
    with pytest.raises(UsageError, match="would pickle"):
        uploaded(task, numpy.array([{}, None]), extension_name=".npz")


def test_a_picture_is_written_as_its_extension_says(task: Task) -> None:
    pillow = pytest.importorskip("PIL.Image")
    picture = pillow.new("RGB", (40, 30), "red")
    found = uploaded(task, picture, extension_name="jpg")
    copy = found.get_local_copy()
    assert copy is not None
    assert copy.endswith(".jpg")
    with pillow.open(copy) as opened:
        assert opened.format == "JPEG"
    assert found.get().size == (40, 30)
    for mode in ("F", "CMYK"):
        with pytest.raises(UsageError, match=r"cannot be written as \.png"):
            uploaded(task, pillow.new(mode, (4, 4)), extension_name=".png")
    assert uploaded(task, picture, extension_name=".png").get().tobytes() == picture.tobytes()
    with pytest.raises(UsageError, match="no extension for a picture"):
        uploaded(task, picture, extension_name=".csv")
    with pytest.raises(UsageError, match="cannot be written"):
        uploaded(task, pillow.new("RGBA", (4, 4)), extension_name=".jpg")


def test_a_serialization_function_writes_and_another_one_reads(task: Task) -> None:
    found = uploaded(
        task, Unknown(3), extension_name="num",
        serialization_function=lambda value: bytes([value.number]),
    )  # fmt: skip
    assert found.get(deserialization_function=lambda data: Unknown(data[0])).number == 3
    assert found.get().read_bytes() == b"\x03"
    assert found.get().name == "it.num"
    with pytest.raises(UsageError, match="gave a str"):
        uploaded(task, 1, serialization_function=str)


# -- files, folders, wildcards, URLs -----------------------------------------------------------------


@pytest.fixture
def samples(workplace: Path) -> Path:
    folder = workplace / "data"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "c.txt", "sub/y.jpg"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_keeps_its_name_and_a_folder_its_files(task: Task, samples: Path, kind: Any) -> None:
    found = uploaded(task, kind("data/c.txt"))
    path = found.get()
    assert (path.name, path.read_text(), found.type, found.size) == ("c.txt", "c.txt", "file", 5)
    assert found.get_local_copy() == str(path)
    assert found.get_local_copy(force_download=True) != str(path)
    folder = uploaded(task, kind("data")).get()
    assert sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.*")) == [
        "a.jpg", "b.jpg", "c.txt", "sub/y.jpg",
    ]  # fmt: skip


def test_a_wildcard_means_what_it_means_in_a_shell(task: Task, samples: Path) -> None:
    folder = uploaded(task, os.path.join("data", "*.jpg")).get()
    assert sorted(os.listdir(folder)) == ["a.jpg", "b.jpg"]
    folder = uploaded(task, Path("data/**/*.jpg")).get()
    assert sorted(os.listdir(folder)) == ["a.jpg", "b.jpg", "sub"]
    one = uploaded(task, "data/c*")
    assert (os.listdir(one.get()), one.type) == (["c.txt"], "archive")
    for missing in ("data/*.gif", "*.gif"):
        with pytest.raises(NotFoundError, match="matches nothing"):
            uploaded(task, missing)


def test_several_paths_are_one_folder(task: Task, samples: Path) -> None:
    found = uploaded(task, [Path("data/a.jpg"), Path("data/sub/y.jpg")])
    assert sorted(os.listdir(found.get())) == ["a.jpg", "sub"]
    zipped = found.get_local_copy(extract_archive=False)
    assert zipped is not None
    assert zipfile.is_zipfile(zipped)


@pytest.mark.parametrize(
    "path",
    ["data/missing.csv", "missing.csv", "/nowhere/at/all", "./x", "~/x", "a missing file.csv"],
)
def test_a_path_that_leads_nowhere_is_not_stored_as_text(task: Task, path: str) -> None:
    for value in (path, Path(path)):
        with pytest.raises(NotFoundError):
            uploaded(task, value)
    assert task.artifacts == {}
    text = uploaded(task, path, extension_name=".txt")
    assert text.get() == path
    copy = text.get_local_copy()
    assert copy is not None
    assert (Path(copy).name, Path(copy).read_text()) == ("it.txt", path)


def test_a_path_has_its_extension_already(task: Task, samples: Path) -> None:
    with pytest.raises(UsageError, match="keeps its name"):
        uploaded(task, "data/c.txt", extension_name=".yaml")
    assert uploaded(task, "data/c.txt", extension_name=".txt").get().name == "c.txt"


def test_a_url_is_registered_and_not_read(task: Task) -> None:
    found = uploaded(task, "https://nowhere.invalid/data.csv", metadata={"from": "outside"})
    assert found.url == "https://nowhere.invalid/data.csv"
    assert (found.size, found.hash, found.type) == (None, None, "reference")
    with pytest.warns(UserWarning, match="no copy"):
        assert found.get_local_copy() is None
    with pytest.raises(Exception, match="nowhere.invalid"):
        found.get_local_copy(raise_on_error=True)
    with pytest.raises(UsageError, match="keeps its name"):
        uploaded(task, "https://nowhere.invalid/a", extension_name=".csv")
    assert uploaded(task, "https://x.io/a", extension_name=".txt").get() == "https://x.io/a"


def test_a_file_is_deleted_after_it_was_stored_and_only_a_file(task: Task, samples: Path) -> None:
    found = uploaded(task, "data/c.txt", delete_after_upload=True)
    assert not (samples / "c.txt").exists()
    assert found.get().read_text() == "c.txt"
    for value in ("data", "data/*.jpg", [samples / "a.jpg"]):
        with pytest.raises(UsageError, match="deletes single files"):
            uploaded(task, value, delete_after_upload=True)
    assert sorted(os.listdir(samples)) == ["a.jpg", "b.jpg", "sub"]
    assert uploaded(task, {"a": 1}, delete_after_upload=True).get() == {"a": 1}


# -- what is said of artifacts -----------------------------------------------------------------------


def test_an_artifact_tells_what_it_is(there: Repo, task: Task) -> None:
    found = uploaded(task, {"a": 1}, metadata={"counting": "legs", "max legs": 69})
    assert found.metadata == {"counting": "legs", "max legs": 69}
    assert (found.name, found.type, found.mode) == ("it", "json", "output")
    assert found.url == "art://my-project/the-task/it@v1"
    assert found.timestamp.tzinfo is not None
    assert len(str(found.hash)) == 64
    assert found.size == len(found.preview.encode())
    assert repr(found) == "<Artifact 'it' my-project/the-task/it@v1>"


def test_previews_are_bounded_and_say_so_or_are_what_is_given(task: Task) -> None:
    long = uploaded(task, "word " * 100_000)
    assert len(long.preview.encode()) <= 65_536 + 100
    assert long.preview.endswith("# cut: the artifact has more")
    assert uploaded(task, "word " * 100_000, preview="words").preview == "words"
    assert uploaded(task, "words " * 100_000, preview=False).preview == ""
    assert "num_legs" in uploaded(task, animals()).preview


def test_uploading_again_makes_a_version_where_something_changed(there: Repo, task: Task) -> None:
    for value in (1, 1, 2):
        uploaded(task, value)
    assert [each.number for each in there.history("my-project/the-task/it")] == [2, 1]
    assert task.artifacts["it"].get() == 2


def test_what_is_busy_is_tried_again_as_often_as_is_said(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [2]
    save = Repo.save

    def busy(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise BusyError("another process holds it")
        return save(*arguments, **options)

    monkeypatch.setattr(Repo, "save", busy)
    monkeypatch.setattr("art.compat.clearml._PAUSE", 0)
    assert uploaded(task, [1], retries=2).get() == [1]
    left[0] = 1
    with pytest.raises(BusyError):
        uploaded(task, [2])
    with pytest.raises(UsageError):
        uploaded(task, Unknown(1), retries=5)


# -- registered --------------------------------------------------------------------------------------


def test_a_registered_frame_makes_a_version_where_it_changed(there: Repo, task: Task) -> None:
    frame = animals()
    task.register_artifact("train", frame, metadata={"counting": "legs"})
    key = "my-project/the-task/train"
    task.flush()
    assert len(there.history(key)) == 1
    task.get_registered_artifacts()["train"].loc["dog", "num_legs"] = 3
    task.flush(wait_for_uploads=True)
    frame.index = ["hawk", "dog", "spider", "fish"]
    task.flush()
    assert len(there.history(key)) == 3
    assert task.artifacts["train"].get().equals(frame)
    assert task.artifacts["train"].get().index[0] == "hawk"
    assert task.artifacts["train"].metadata == {"counting": "legs"}
    frame.loc["dog", "num_legs"] = 4
    task.unregister_artifact("train")
    assert len(there.history(key)) == 4
    assert dict(task.get_registered_artifacts()) == {}
    task.unregister_artifact("train")


def test_another_object_takes_the_place_of_a_registered_one(there: Repo, task: Task) -> None:
    task.register_artifact("shared", {"a": 1})
    task.register_artifact("shared", {"a": 2}, metadata={"now": True})
    with pytest.raises(TypeError):
        task.get_registered_artifacts()["shared"] = {"a": 3}  # type: ignore[index]
    task.close()
    assert task.artifacts["shared"].get() == {"a": 2}
    assert task.artifacts["shared"].metadata == {"now": True}
    assert there.tracked() == {}


def test_errors_are_those_of_clearml_too(there: Repo, task: Task, tmp_path: Path) -> None:
    task.upload_artifact("number", 1)
    task.register_artifact("train", {"a": 1})
    (tmp_path / "file").write_text("text")
    task.upload_artifact("gone", (tmp_path / "file").as_uri())
    (tmp_path / "file").unlink()
    with pytest.warns(UserWarning, match="pickle"):
        task.upload_artifact("function", len, auto_pickle=True)
    for call in (
        lambda: task.upload_artifact("missing", Path("nothing.csv")),
        lambda: task.upload_artifact("missing", "folder/nothing.csv"),
        lambda: task.upload_artifact("missing", "nothing*.csv"),
        lambda: task.upload_artifact("train", 1),
        lambda: task.upload_artifact("missing", len),
        lambda: task.artifacts["gone"].get_local_copy(raise_on_error=True),
        lambda: task.artifacts["function"].get(),
    ):
        with pytest.raises(ValueError, match=".") as caught:
            call()
        assert isinstance(caught.value, ArtError)
    with pytest.raises(RuntimeError, match="goes on") as conflict:
        Task.init(project_name="other", task_name="other")
    assert isinstance(conflict.value, ConflictError)
    with pytest.raises(KeyError):
        task.artifacts["missing"]
