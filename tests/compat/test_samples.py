"""What the documentation of each system shows is written here once more, with other import lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from art.compat.clearml import Task
from art.compat.prefect import (
    Artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    flow,
    task,
    update_progress_artifact,
)
from art.compat.zenml import (
    Client,
    load_artifact,
    log_metadata,
    register_artifact,
    save_artifact,
)
from art.repo import Repo

# -- Prefect: how to produce workflow artifacts ------------------------------------------------------


def test_prefect_links_of_one_key_are_its_versions(there: Repo) -> None:
    @task
    def my_first_task() -> None:
        create_link_artifact(
            key="irregular-data",
            link="https://data.example.com/bucket/highly_variable_data.csv",
            description="## Highly variable data",
        )

    @task
    def my_second_task() -> None:
        create_link_artifact(
            key="irregular-data",
            link="https://data.example.com/bucket/low_pred_data.csv",
            description="# Low prediction accuracy",
        )

    @flow
    def my_flow() -> None:
        my_first_task()
        my_second_task()

    my_flow()
    versions = [there.version(f"irregular-data@v{number}") for number in (1, 2)]
    assert [each.run and each.run["step"] for each in versions] == [
        "my-first-task",
        "my-second-task",
    ]
    assert [str(each.description)[-8:] for each in versions] == ["ble data", "accuracy"]


def test_prefect_a_link_with_a_text(there: Repo) -> None:
    @flow
    def my_flow() -> None:
        create_link_artifact(
            key="my-important-link", link="https://www.prefect.io/", link_text="Prefect"
        )

    my_flow()
    assert there.version("my-important-link").link == ("https://www.prefect.io/", "Prefect")


def test_prefect_a_progress_that_is_updated(there: Repo) -> None:
    seen = []

    def fetch_batch(i: int) -> None:
        seen.append(i)

    @task
    def fetch_in_batches() -> Any:
        progress_artifact_id = create_progress_artifact(
            progress=0.0,
            description="Indicates the progress of fetching data in batches.",
        )
        for i in range(1, 11):
            fetch_batch(i)
            update_progress_artifact(artifact_id=progress_artifact_id, progress=i * 10)
        return progress_artifact_id

    @flow
    def etl() -> Any:
        return fetch_in_batches()

    from art.compat import version_by_uid

    assert version_by_uid(there, etl()).load() == 100
    assert len(seen) == 10


def test_prefect_a_report_in_markdown(there: Repo) -> None:
    @task
    def markdown_task() -> None:
        na_revenue = 500000
        markdown_report = f"""# Sales Report

| Region        | Revenue |
|:--------------|-------:|
| North America | ${na_revenue:,} |

1. Product A - $300,000 in revenue
"""
        create_markdown_artifact(
            key="gtm-report", markdown=markdown_report, description="Quarterly Sales Report"
        )

    @flow()
    def my_flow() -> None:
        markdown_task()

    my_flow()
    assert "| North America | $500,000 |" in there.version("gtm-report").text()


def test_prefect_a_table_outside_a_flow(there: Repo) -> None:
    def my_fn() -> None:
        highest_churn_possibility = [
            {"customer_id": "12345", "name": "John Smith", "churn_probability": 0.85},
            {"customer_id": "56789", "name": "Jane Jones", "churn_probability": 0.65},
        ]
        create_table_artifact(
            key="personalized-reachout",
            table=highest_churn_possibility,
            description="# Marvin, please reach out to these customers today!",
        )

    my_fn()
    assert there.version("personalized-reachout").load()[1]["churn_probability"] == 0.65


def test_prefect_an_image(there: Repo) -> None:
    @task
    def create_image() -> str:
        image_url = "https://media.example.com/media/v1/giphy.gif"
        create_image_artifact(image_url=image_url, description="A gif.", key="gif")
        return image_url

    @flow
    def my_flow() -> str:
        return create_image()

    assert my_flow() == "https://media.example.com/media/v1/giphy.gif"
    assert there.version("gif").type == "image"


def test_prefect_an_artifact_that_is_fetched() -> None:
    assert Artifact.get("my_artifact_key") is None
    create_markdown_artifact("# hi", key="my_artifact_key")
    my_retrieved_artifact = Artifact.get("my_artifact_key")
    assert my_retrieved_artifact is not None
    assert my_retrieved_artifact.data == "# hi"


# -- ClearML: examples/reporting, and the page about tasks -------------------------------------------

ARTIFACTS = """
import os
import pandas as pd
import numpy as np
from PIL import Image
from art.compat.clearml import Task

task = Task.init(project_name='examples', task_name='Artifacts example')
df = pd.DataFrame(
    {'num_legs': [2, 4, 8, 0], 'num_wings': [2, 0, 0, 0], 'num_specimen_seen': [10, 2, 1, 8]},
    index=['falcon', 'dog', 'spider', 'fish']
)
task.register_artifact('train', df, metadata={'counting': 'legs', 'max legs': 69})
df.sample(frac=0.5, replace=True, random_state=1)
Task.current_task().get_registered_artifacts()['train'].sample(frac=0.5, replace=True, random_state=1)
task.upload_artifact('Pandas', artifact_object=df)
task.upload_artifact('local file', artifact_object=os.path.join('data_samples', 'dancing.jpg'))
task.upload_artifact('dictionary', df.to_dict())
task.upload_artifact('Numpy Eye', np.eye(100, 100))
im = Image.open(os.path.join('data_samples', 'dancing.jpg'))
task.upload_artifact('pillow_image', im)
task.upload_artifact('local folder', artifact_object=os.path.join('data_samples'))
task.upload_artifact('wildcard jpegs', artifact_object=os.path.join('data_samples', '*.jpg'))
df.loc['dog', 'num_legs'] = 3
"""


def test_clearml_artifacts_of_every_kind_are_there_for_another_program(
    there: Repo, workplace: Path
) -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    pillow = pytest.importorskip("PIL.Image")
    samples = workplace / "data_samples"
    samples.mkdir()
    pillow.new("RGB", (30, 20), "red").save(samples / "dancing.jpg")
    (samples / "sample.json").write_text("{}")
    subprocess.run([sys.executable, "-c", ARTIFACTS], check=True)
    shutil.rmtree(samples)
    assert there.keys() == [
        f"examples/artifacts-example/{name}"
        for name in (
            "Numpy-Eye", "Pandas", "dictionary", "local-file", "local-folder", "pillow_image",
            "train", "wildcard-jpegs",
        )
    ]  # fmt: skip

    artifacts_task: Any = Task.get_task(project_name="examples", task_name="artifacts example")
    frame = artifacts_task.artifacts["Pandas"].get()
    assert list(frame.index) == ["falcon", "dog", "spider", "fish"]
    assert artifacts_task.artifacts["dictionary"].get() == frame.to_dict()
    assert numpy.array_equal(artifacts_task.artifacts["Numpy Eye"].get(), numpy.eye(100, 100))
    eye = artifacts_task.artifacts["Numpy Eye"].get_local_copy()
    assert numpy.array_equal(numpy.load(eye), numpy.eye(100, 100))
    assert artifacts_task.artifacts["pillow_image"].get().size == (30, 20)
    train = artifacts_task.artifacts["train"]
    assert (train.get().loc["dog", "num_legs"], train.metadata["max legs"]) == (3, 69)
    assert len(pandas.read_parquet(train.get_local_copy())) == 4
    assert os.listdir(artifacts_task.artifacts["wildcard jpegs"].get()) == ["dancing.jpg"]
    folder = artifacts_task.artifacts["local folder"]
    assert sorted(os.listdir(folder.get())) == ["dancing.jpg", "sample.json"]
    assert zipfile.is_zipfile(folder.get_local_copy(extract_archive=False))
    local_file = artifacts_task.artifacts["local file"].get()
    with pillow.open(local_file) as picture:
        assert (local_file.name, picture.size) == ("dancing.jpg", (30, 20))


def test_clearml_a_task_uses_what_another_one_made(workplace: Path) -> None:
    (workplace / "data_samples").mkdir()
    (workplace / "data_samples/sample.json").write_text('{"some": "data"}')

    task1 = Task.init(project_name="examples", task_name="create artifact")
    task1.upload_artifact(name="data file", artifact_object="data_samples/sample.json")
    task1.close()
    task2 = Task.init(project_name="examples", task_name="use artifact from other task")
    preprocess_task: Any = Task.get_task(project_name="examples", task_name="create artifact")
    local_json = preprocess_task.artifacts["data file"].get_local_copy()
    with open(local_json) as data_file:
        assert data_file.read() == '{"some": "data"}'
    task2.close()


def test_clearml_a_mapping_as_json_and_as_yaml(there: Repo) -> None:
    task = Task.init(project_name="examples", task_name="persons")
    person_dict = {"name": "Erik", "age": 30}
    task.upload_artifact(name="person dictionary json", artifact_object=person_dict)
    task.upload_artifact(
        name="person dictionary yaml", artifact_object=person_dict, extension_name="yaml"
    )
    task.close()
    preprocess_task: Any = Task.get_task(task_id=task.id)
    assert {name: each.get() for name, each in preprocess_task.artifacts.items()} == {
        "person dictionary json": person_dict,
        "person dictionary yaml": person_dict,
    }


# -- ZenML: artifacts, managing artifacts, registering existing data, metadata -----------------------


def test_zenml_a_prediction_that_is_saved_and_loaded() -> None:
    numpy = pytest.importorskip("numpy")
    prediction = numpy.array([1.0, 2.0])
    save_artifact(prediction, name="iris_predictions")
    assert numpy.array_equal(load_artifact("iris_predictions"), prediction)
    client = Client()
    assert numpy.array_equal(client.get_artifact("iris_predictions").load(), prediction)


def test_zenml_versions_by_id_name_and_version(workplace: Path) -> None:
    made = save_artifact({"rows": 150}, name="iris_dataset", version="raw_2023")
    save_artifact({"rows": 149}, name="iris_dataset")
    client = Client()
    dataset_artifact = client.get_artifact_version(name_id_or_prefix=made.id)
    assert dataset_artifact == made
    dataset_artifact = client.get_artifact_version(name_id_or_prefix="iris_dataset")
    assert dataset_artifact.load() == {"rows": 149}
    dataset_artifact = client.get_artifact_version(
        name_id_or_prefix="iris_dataset", version="raw_2023"
    )
    assert dataset_artifact.data == {"rows": 150}
    artifact = client.get_artifact_version(name_id_or_prefix="iris_dataset")
    artifact.download_files("save.zip")
    assert zipfile.is_zipfile(workplace / "save.zip")
    artifact.visualize()


def test_zenml_a_version_named_by_a_number_with_a_dot() -> None:
    save_artifact("weights", "my_model", version="1.0")
    artifact = Client().get_artifact_version("my_model", "1.0")
    latest_artifact = Client().get_artifact_version("my_model")
    assert artifact.load() == latest_artifact.load() == "weights"


def test_zenml_a_folder_and_a_file_that_are_there_already(there: Repo) -> None:
    prefix = Client().active_stack.artifact_store.path
    test_file_name = "test_file.txt"
    preexisting_folder = os.path.join(prefix, f"my_test_folder_{uuid4()}")
    preexisting_file = os.path.join(preexisting_folder, test_file_name)
    os.mkdir(preexisting_folder)
    with open(preexisting_file, "w") as f:
        f.write("test")

    register_artifact(folder_or_file_uri=preexisting_folder, name="my_folder_artifact")
    folder_path = Client().get_artifact_version(name_id_or_prefix="my_folder_artifact").load()
    assert isinstance(folder_path, Path)
    assert os.path.isdir(folder_path)
    with open(os.path.join(folder_path, test_file_name)) as f:
        assert f.read() == "test"

    register_artifact(folder_or_file_uri=preexisting_file, name="my_file_artifact")
    file_path = Client().get_artifact_version(name_id_or_prefix="my_file_artifact").load()
    assert isinstance(file_path, Path)
    assert not os.path.isdir(file_path)
    with open(file_path) as f:
        assert f.read() == "test"


def test_zenml_checkpoints_and_a_dataset_that_may_be_registered_already(workplace: Path) -> None:
    prefix = Client().active_stack.artifact_store.path
    default_root_dir = os.path.join(prefix, uuid4().hex)
    for epoch in (1, 2):
        os.makedirs(default_root_dir, exist_ok=True)
        Path(default_root_dir, f"checkpoint-epoch={epoch:02d}.ckpt").write_bytes(b"weights")
        register_artifact(default_root_dir, name="all_my_model_checkpoints")
    assert len(os.listdir(load_artifact("all_my_model_checkpoints"))) == 2

    Path("v1data").mkdir()
    Path("v1data/a.nii").write_text("a")
    dataset_path_in_as = os.path.join(prefix, "v1_nnunet_dataset")
    shutil.copytree("v1data", dataset_path_in_as, dirs_exist_ok=True)
    for _ in range(2):
        registered_artifact = register_artifact(
            folder_or_file_uri=dataset_path_in_as, name="v1_nnunet_dataset"
        )
    assert (str(registered_artifact.name), registered_artifact.version) == (
        "v1_nnunet_dataset",
        "1",
    )
    assert os.listdir(load_artifact(name_or_id=registered_artifact.name)) == ["a.nii"]


def test_zenml_metadata_of_an_artifact() -> None:
    save_artifact([1, 2], name="my_dataset")
    log_metadata(
        metadata={"row_count": 2, "columns": ["a"], "cost": {"amount": 1.5}},
        artifact_name="my_dataset",
        artifact_version="1",
    )
    artifact = Client().get_artifact_version("my_dataset", "1")
    assert artifact.run_metadata["cost"]["amount"] == 1.5


def test_importing_a_module_imports_nothing_heavy_and_art_imports_none_of_them() -> None:
    program = """
        import sys, art
        art.Repo, art.Version
        assert not any(name.startswith("art.compat") for name in sys.modules)
        import art.compat.clearml, art.compat.prefect, art.compat.zenml
        heavy = {"asyncio", "numpy", "pandas", "pyarrow", "PIL", "yaml", "pydantic", "prefect"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    import textwrap

    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
