"""What ZenML's documentation shows of steps and pipelines is written here once more, with other import lines."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from art import ConflictError
from art.compat.zenml import (
    ArtifactConfig,
    Client,
    ExternalArtifact,
    StepRetryConfig,
    get_pipeline_context,
    get_step_context,
    load_artifact,
    log_artifact_metadata,
    log_metadata,
    pipeline,
    save_artifact,
    step,
)
from art.repo import Repo

# -- developing pipelines, caching, fetching what they made ------------------------------------------


@step
def load_data() -> dict[str, Any]:
    training_data = [[1, 2], [3, 4], [5, 6]]
    labels = [0, 1, 0]
    return {"features": training_data, "labels": labels}


@step
def train_model(data: dict[str, Any]) -> None:
    total_features = sum(map(sum, data["features"]))
    total_labels = sum(data["labels"])
    print(f"features {total_features}, labels {total_labels}")  # noqa: T201


@pipeline
def simple_ml_pipeline() -> None:
    dataset = load_data()
    train_model(dataset)


def test_a_simple_pipeline_and_nothing_done_again(capsys: pytest.CaptureFixture[str]) -> None:
    run = simple_ml_pipeline()
    assert capsys.readouterr().out == "features 21, labels 1\n"
    assert [each.status.value for each in run.steps.values()] == ["completed", "completed"]
    again = simple_ml_pipeline()
    assert capsys.readouterr().out == ""
    assert {name: each.status.value for name, each in again.steps.items()} == {
        "load_data": "cached", "train_model": "cached",
    }  # fmt: skip
    assert again.status == "cached"
    assert again.steps["load_data"].output.load() == load_data.entrypoint()
    forced = simple_ml_pipeline.with_options(enable_cache=False)()
    assert capsys.readouterr().out == "features 21, labels 1\n"
    assert forced.steps["load_data"].output.version == "2"


SVC = """
import pandas as pd
from typing import Annotated, Tuple
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from art.compat.zenml import Client, pipeline, step


@step
def training_data_loader() -> Tuple[
    Annotated[pd.DataFrame, "X_train"],
    Annotated[pd.DataFrame, "X_test"],
    Annotated[pd.Series, "y_train"],
    Annotated[pd.Series, "y_test"],
]:
    iris = load_iris(as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(
        iris.data, iris.target, test_size=0.2, shuffle=True, random_state=42
    )
    return X_train, X_test, y_train, y_test


@step
def svc_trainer(
    X_train: pd.DataFrame, y_train: pd.Series, gamma: float = 0.001
) -> Tuple[Annotated[ClassifierMixin, "trained_model"], Annotated[float, "training_acc"]]:
    model = SVC(gamma=gamma)
    model.fit(X_train.to_numpy(), y_train.to_numpy())
    return model, model.score(X_train.to_numpy(), y_train.to_numpy())


@pipeline
def training_pipeline(gamma: float = 0.002):
    X_train, X_test, y_train, y_test = training_data_loader()
    svc_trainer(gamma=gamma, X_train=X_train, y_train=y_train)


if __name__ == "__main__":
    last_run = training_pipeline()
    assert last_run == training_pipeline.model.last_run
    assert last_run == Client().get_pipeline("training_pipeline").last_run
    assert Client().get_pipeline_run(last_run.id).steps["svc_trainer"].inputs["X_train"].version == "1"
    last_run = training_pipeline(gamma=0.0001)
    assert [each.status.value for each in last_run.steps.values()] == ["cached", "completed"]
    model = last_run.steps["svc_trainer"].outputs["trained_model"].load()
    X_test = last_run.steps["training_data_loader"].outputs["X_test"].load()
    print(model.gamma, len(model.predict(X_test.to_numpy())))
"""


def test_a_model_is_trained_and_fetched(run_script: Any, there: Repo) -> None:
    pytest.importorskip("skops")
    pytest.importorskip("pandas")
    assert run_script(SVC) == "0.0001 30\n"
    assert [each.number for each in there.history("trained_model")] == [2, 1]
    assert [each.number for each in there.history("X_train")] == [1]


def test_an_example_from_end_to_end() -> None:
    np = pytest.importorskip("numpy")

    @step
    def get_data():  # type: ignore[no-untyped-def]
        x = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
        y = np.array([0, 1, 0, 1])
        return x, y

    @step
    def process_data(data: tuple[Any, Any]) -> tuple[Any, Any]:
        x, y = data
        return x * 2, y

    @step
    def train_and_evaluate(processed_data: tuple[Any, Any]) -> float:
        x, y = processed_data
        predictions = [1 if sum(sample) > 10 else 0 for sample in x]
        return sum(p == actual for p, actual in zip(predictions, y, strict=True)) / len(y)

    @pipeline
    def simple_example_pipeline() -> None:
        raw_data = get_data()
        processed_data = process_data(raw_data)
        train_and_evaluate(processed_data)

    run = simple_example_pipeline()
    assert run.steps["train_and_evaluate"].output.load() == 0.75
    assert list(run.steps["process_data"].outputs) == ["output_0", "output_1"]


# -- managing artifacts ------------------------------------------------------------------------------


def test_a_version_that_is_named_can_be_made_once() -> None:
    @step
    def training_data_loader() -> Annotated[
        dict[str, int], ArtifactConfig(name="iris_dataset", version="raw_2023")
    ]:
        return {"rows": 150}

    @pipeline(enable_cache=False)
    def feature_engineering_pipeline() -> None:
        training_data_loader()

    run = feature_engineering_pipeline()
    assert run.steps["training_data_loader"].outputs["iris_dataset"].version == "raw_2023"
    assert load_artifact("iris_dataset", "raw_2023") == {"rows": 150}
    with pytest.raises(ConflictError, match="has a version 'raw_2023' already"):
        feature_engineering_pipeline()
    assert feature_engineering_pipeline.with_options(enable_cache=True)().status == "cached"


@step
def annotated() -> Annotated[
    str, ArtifactConfig(name="artifact_name", run_metadata={"key": "value"}, tags=["tag_name"])
]:
    return "string"


@step
def functional() -> Annotated[str, "artifact_name"]:
    step_context = get_step_context()
    step_context.add_output_metadata(output_name="artifact_name", metadata={"key": "value"})
    step_context.add_output_tags(output_name="artifact_name", tags=["tag_name"])
    return "string"


@step
def both() -> Annotated[
    str, ArtifactConfig(name="artifact_name", run_metadata={"key": "value"}, tags=["tag_name"])
]:
    step_context = get_step_context()
    step_context.add_output_metadata(output_name="artifact_name", metadata={"key2": "value2"})
    step_context.add_output_tags(output_name="artifact_name", tags=["tag_name2", "tag_name"])
    assert step_context.get_output_metadata() == {"key": "value", "key2": "value2"}
    return "string"


@pytest.mark.parametrize("approach", [annotated, functional, both])
def test_metadata_and_tags_are_annotated_or_added(approach: Any) -> None:
    assert approach() == "string"
    found = Client().get_artifact_version("artifact_name")
    is_both = approach is both
    assert found.run_metadata == {"key": "value"} | ({"key2": "value2"} if is_both else {})
    assert found.tags == ["tag_name"] + ["tag_name2"] * is_both


def test_a_value_from_outside_becomes_an_artifact(capsys: pytest.CaptureFixture[str]) -> None:
    np = pytest.importorskip("numpy")

    @step
    def print_data(data: Any) -> None:
        print(data)  # noqa: T201

    @pipeline
    def printing_pipeline() -> None:
        data = ExternalArtifact(value=np.array([0]))
        print_data(data=data)

    run = printing_pipeline()
    assert capsys.readouterr().out == "[0]\n"
    assert run.steps["print_data"].inputs["data"].load() == np.array([0])


def test_artifacts_of_other_pipelines_are_fetched_in_a_pipeline() -> None:
    made = save_artifact({"rows": 150}, "iris_dataset", version="raw_2023")
    save_artifact({"rows": 149}, "iris_dataset")

    @step
    def trainer(dataset: dict[str, int]) -> int:
        return dataset["rows"]

    @pipeline
    def training_pipeline() -> None:
        client = Client()
        trainer(dataset=client.get_artifact_version(name_id_or_prefix=made.id))
        trainer(dataset=client.get_artifact_version(name_id_or_prefix="iris_dataset"))
        trainer(client.get_artifact_version(name_id_or_prefix="iris_dataset", version="raw_2023"))

    steps = training_pipeline().steps
    assert [each.output.load() for each in steps.values()] == [150, 149, 150]
    assert [each.status.value for each in steps.values()] == ["completed", "completed", "cached"]
    assert steps["trainer"].input == made
    assert Client().get_artifact("iris_dataset").versions["raw_2023"] == made


FINETUNING = """
from typing import Annotated, Optional, Tuple
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from art.compat.zenml import ArtifactConfig, pipeline, step, log_artifact_metadata
from art.compat.zenml import save_artifact, load_artifact
from art.compat.zenml import Client


@step
def versioned_data_loader_step() -> Annotated[
    Tuple[np.ndarray, np.ndarray],
    ArtifactConfig(name="my_dataset", tags=["digits", "computer vision", "classification"]),
]:
    digits = load_digits()
    return (digits.images.reshape((len(digits.images), -1))[:200], digits.target[:200])


@step
def model_finetuner_step(
    model: ClassifierMixin, dataset: Tuple[np.ndarray, np.ndarray]
) -> Annotated[
    ClassifierMixin,
    ArtifactConfig(name="my_model", is_model_artifact=True, tags=["SVC", "trained"]),
]:
    model.fit(dataset[0], dataset[1])
    accuracy = model.score(dataset[0], dataset[1])
    log_artifact_metadata(metadata={"accuracy": float(accuracy)})
    return model


@pipeline
def model_finetuning_pipeline(
    dataset_version: Optional[str] = None, model_version: Optional[str] = None
):
    client = Client()
    if dataset_version:
        dataset = client.get_artifact_version(
            name_id_or_prefix="my_dataset", version=dataset_version
        )
    else:
        dataset = versioned_data_loader_step()
    model = client.get_artifact_version(name_id_or_prefix="my_model", version=model_version)
    model_finetuner_step(model=model, dataset=dataset)


def main():
    untrained_model = SVC(gamma=0.001)
    save_artifact(untrained_model, name="my_model", version="1", tags=["SVC", "untrained"])
    model_finetuning_pipeline()
    model_finetuning_pipeline(dataset_version="1")
    latest_trained_model = load_artifact("my_model")
    old_dataset = load_artifact("my_dataset", version="1")
    print(len(latest_trained_model.predict(old_dataset[0])))
    found = Client().get_artifact_version("my_model")
    print(found.version, found.type.name, found.tags, found.run_metadata["accuracy"] > 0.9)


if __name__ == "__main__":
    main()
"""


def test_a_model_is_finetuned_on_an_older_dataset(run_script: Any) -> None:
    pytest.importorskip("skops")
    assert run_script(FINETUNING) == "200\n3 MODEL ['SVC', 'trained'] True\n"


# -- names -------------------------------------------------------------------------------------------


def test_placeholders_in_names_are_replaced() -> None:
    @step
    def extract_data(source: str) -> Annotated[str, "{dataset_type}_data"]:
        return source

    @pipeline
    def data_pipeline() -> None:
        extract_data.with_options(substitutions={"dataset_type": "train"})(source="train_source")
        extract_data.with_options(substitutions={"dataset_type": "test"})(source="test_source")

    data_pipeline()
    assert load_artifact("train_data") == "train_source"
    assert load_artifact("test_data") == "test_source"


@step(substitutions={"funny_name": "cats"})
def demo() -> tuple[
    Annotated[int, "dummy_at_{date}_{time}"],
    Annotated[str, ArtifactConfig(name="{funny_name}_of_{who}")],
]:
    return 42, "x"


@pipeline(substitutions={"who": "ana"})
def my_pipeline() -> None:
    demo()


def test_names_with_the_time_stay_where_nothing_is_done_again() -> None:
    without_cache = my_pipeline.with_options(enable_cache=False)()
    with_cache = my_pipeline.with_options(enable_cache=True)()
    names = list(without_cache.steps["demo"].outputs)
    began = without_cache.start_time
    assert names == [f"dummy_at_{began:%Y_%m_%d_%H_%M_%S_%f}", "cats_of_ana"]
    assert list(with_cache.steps["demo"].outputs) == names
    assert load_artifact(names[0]) == 42


def create_step(prefix: str) -> Any:
    def _entrypoint(
        data: Any,
    ) -> Annotated[dict[str, Any], f"{prefix}_artifact"]:  # type: ignore[valid-type]
        context = get_step_context()
        return {"processed_data": data, "step_name": context.step_name}

    _entrypoint.__annotations__["return"] = Annotated[
        dict[str, Any], ArtifactConfig(name=f"{prefix}_artifact")
    ]
    _entrypoint.__name__ = f"dynamic_step_{prefix}"
    return step(_entrypoint)


def test_steps_are_made_by_functions() -> None:
    train_step, test_step = create_step(prefix="train"), create_step(prefix="test")
    train_step.resolve()

    @pipeline
    def dynamic_artifact_pipeline(train_data: int, test_data: int) -> None:
        train_step(train_data)
        test_step(test_data)

    run = dynamic_artifact_pipeline(train_data=1, test_data=3)
    assert load_artifact("train_artifact") == {
        "processed_data": 1, "step_name": "dynamic_step_train",
    }  # fmt: skip
    assert run.steps["dynamic_step_test"].outputs["test_artifact"].load()["processed_data"] == 3


def test_artifacts_of_one_name_are_told_apart_by_metadata() -> None:
    @step
    def generic_step(data: Any, prefix: str) -> Annotated[dict[str, Any], "dataset"]:
        step_context = get_step_context()
        step_context.add_output_metadata(output_name="dataset", metadata={"custom_prefix": prefix})
        return {"processed_data": data}

    @pipeline
    def metadata_artifact_pipeline(train_data: int, val_data: int) -> None:
        generic_step(train_data, prefix="train")
        generic_step(val_data, prefix="validation")

    metadata_artifact_pipeline(train_data=1, val_data=2)
    found = {
        artifact.run_metadata.get("custom_prefix"): artifact.load()["processed_data"]
        for artifact in Client().list_artifact_versions(name="dataset")
    }
    assert found == {"train": 1, "validation": 2}


# -- steps and pipelines -----------------------------------------------------------------------------


def test_a_step_is_run_alone_or_as_a_function() -> None:
    @step
    def divide(a: int, b: int) -> tuple[Annotated[int, "quotient"], Annotated[int, "remainder"]]:
        return a // b, a % b

    quotient, remainder = divide(a=7, b=2)
    assert (quotient, remainder) == divide.entrypoint(a=7, b=2) == (3, 1)
    (run,) = Client().list_pipeline_runs(pipeline="divide")
    assert run.steps["divide"].outputs["remainder"].load() == 1
    assert run.steps["divide"].config.parameters == {"a": 7, "b": 2}


def test_a_tuple_is_one_output_or_several() -> None:
    @step
    def one() -> tuple[int, int]:
        output_value = (0, 1)
        return output_value  # noqa: RET504 - that it is no tuple that is written out is the point

    @step
    def any_length(condition: bool) -> tuple[int, ...]:
        output_value = (0, 1) if condition else (0, 1, 2)
        return output_value  # noqa: RET504

    @step
    def named() -> Annotated[tuple[int, ...], "my_output"]:
        return 0, 1

    @step
    def several() -> tuple[int, int]:
        return 0, 1

    @pipeline
    def tuples() -> None:
        one()
        any_length(False)
        named()
        several()

    steps = tuples().steps
    assert steps["one"].output.load() == (0, 1)
    assert steps["any_length"].output.load() == (0, 1, 2)
    assert steps["named"].outputs["my_output"].load() == (0, 1)
    assert {name: each.load() for name, each in steps["several"].outputs.items()} == {
        "output_0": 0, "output_1": 1,
    }  # fmt: skip


def test_a_pipeline_in_a_pipeline_is_part_of_it() -> None:
    @step
    def load(mode: str) -> str:
        return mode

    @step
    def preprocess(data: str) -> str:
        return data.upper()

    @pipeline
    def data_pipeline(mode: str) -> Any:
        processed_data = preprocess(load(mode))
        return processed_data  # noqa: RET504

    @step
    def evaluate(train: str, test: str) -> str:
        return train + test

    @pipeline
    def training_pipeline() -> None:
        training_data = data_pipeline(mode="train")
        evaluate(train=training_data, test=data_pipeline(mode="test"))

    run = training_pipeline()
    assert list(run.steps) == ["load", "preprocess", "load_2", "preprocess_2", "evaluate"]
    assert run.steps["evaluate"].output.load() == "TRAINTEST"
    assert {name: each.name for name, each in run.steps["evaluate"].inputs.items()} == {
        "train": "training_pipeline::preprocess::output",
        "test": "training_pipeline::preprocess::output",
    }


@step
def load_step() -> str:
    return "Hello"


@step
def process_step(input_data: str) -> str:
    return input_data


@step
def combine_step(step_prefix: str, output_name: str) -> Annotated[dict[str, str], "combined"]:
    run_name = get_step_context().pipeline_run.name
    run = Client().get_pipeline_run(run_name)
    processed_results = {}
    for step_name, step_info in run.steps.items():
        if step_name.startswith(step_prefix):
            output = step_info.outputs[output_name][0]
            processed_results[step_info.name] = output.load()
    return processed_results


@pipeline(enable_cache=False)
def fan_out_fan_in_pipeline(parallel_count: int) -> None:
    input_data = load_step()
    after = []
    for i in range(parallel_count):
        artifact = process_step(input_data, id=f"process_{i}")
        after.append(artifact)
    combine_step(step_prefix="process_", output_name="output", after=after)


def test_what_many_steps_made_is_combined_in_the_same_run() -> None:
    run = fan_out_fan_in_pipeline(parallel_count=4)
    assert load_artifact("combined") == {f"process_{i}": "Hello" for i in range(4)}
    assert len(run.steps) == 6


def test_calls_of_a_step_have_ids() -> None:
    @step
    def my_step() -> None:
        pass

    @pipeline
    def example_pipeline() -> None:
        my_step()
        my_step()
        my_step(id="my_custom_invocation_id")

    run = example_pipeline()
    assert list(run.steps) == ["my_step", "my_step_2", "my_custom_invocation_id"]


def test_runs_have_names() -> None:
    named = simple_ml_pipeline.with_options(run_name="custom_pipeline_run_name")
    run = named()
    assert Client().get_pipeline_run("custom_pipeline_run_name") == run
    with pytest.raises(ValueError, match="there is a run 'custom_pipeline_run_name' already"):
        named()
    dated = simple_ml_pipeline.with_options(run_name="custom_{{date}}_{time}")()
    assert dated.name == f"custom_{dated.start_time:%Y_%m_%d_%H_%M_%S_%f}"
    plain = simple_ml_pipeline()
    assert plain.name == f"simple_ml_pipeline-{plain.start_time:%Y_%m_%d-%H_%M_%S_%f}"
    assert Client().get_pipeline_run(plain.name) == plain
    assert Client().get_pipeline_run("simple_ml_pipeline-") == plain


@step
def look_back() -> Annotated[str, "previous"]:
    current_run_name = get_step_context().pipeline_run.name
    current_run = Client().get_pipeline_run(current_run_name)
    assert current_run.status.value == "running"
    previous_run = current_run.pipeline.runs[1]
    return previous_run.name


@pipeline(enable_cache=False)
def looking_pipeline(is_first: bool) -> None:
    if not is_first:
        look_back()


def test_a_step_finds_the_run_before_its_own() -> None:
    first = looking_pipeline(is_first=True)
    looking_pipeline(is_first=False)
    assert load_artifact("previous") == first.name


def test_the_configuration_of_a_pipeline_makes_its_steps() -> None:
    @step
    def train(model_class: str) -> str:
        return model_class

    @pipeline(extra={"model_configs": ["DecisionTreeClassifier", "RandomForestClassifier"]})
    def my_pipeline() -> None:
        context = get_pipeline_context()
        for i, model_class in enumerate(context.extra["model_configs"]):
            train(model_class=model_class, id=f"train_model_{i}")

    run = my_pipeline()
    assert run.steps["train_model_1"].output.load() == "RandomForestClassifier"


def test_steps_are_tried_again_and_hooks_are_called() -> None:
    said: list[str] = []
    turns = iter(range(9))

    def on_failure(exception: BaseException) -> None:
        context = get_step_context()
        said.append(f"{context.step_run.name}: {exception}")
        said.append(str(context.step_run.config.parameters))

    def on_success() -> None:
        said.append("done")

    @step(retry=StepRetryConfig(max_retries=3, delay=0, backoff=2))
    def unreliable_step() -> int:
        turn = next(turns)
        if turn < 3:
            raise OSError(turn)
        return turn

    @step(on_failure=on_failure)
    def my_step(some_parameter: int = 1) -> None:
        raise ValueError("My exception")

    @pipeline(on_success=on_success)
    def it() -> None:
        assert unreliable_step().load() == 3
        my_step()

    with pytest.raises(ValueError, match="My exception"):
        it()
    assert said == ["done", "my_step: My exception", "{'some_parameter': 1}"]
    run = Client().get_pipeline("it").last_run
    assert (run.status.value, run.steps["my_step"].status.is_failed) == ("failed", True)


# -- metadata ----------------------------------------------------------------------------------------


@step
def process_data_step(rows: int) -> int:
    log_metadata(metadata={"data_stats": {"row_count": rows}}, infer_artifact=True)
    log_metadata(metadata={"seconds": 2})
    log_metadata(metadata={"git": "abc"}, run_id_name_or_prefix=get_step_context().pipeline_run.id)
    return rows


@step
def split_data_step(data: int) -> tuple[int, Annotated[int, "rest"]]:
    assert get_step_context().inputs["data"].run_metadata["data_stats"] == {"row_count": 9}
    log_metadata(metadata={"train_size": 4}, artifact_name="output_0", infer_artifact=True)
    log_artifact_metadata(artifact_name="rest", version=None, metadata={"test_size": 5})
    return 4, data - 4


@pipeline
def metadata_pipeline() -> None:
    split_data_step(process_data_step(9))


def test_metadata_of_steps_runs_and_outputs() -> None:
    metadata_pipeline()
    run = Client().get_pipeline_run(metadata_pipeline().id)
    processed, split = run.steps.values()
    assert run.status == "cached"
    assert processed.output.run_metadata["data_stats"] == {"row_count": 9}
    assert processed.run_metadata == {"seconds": 2}
    assert [each.run_metadata for each in split.outputs.values()] == [
        {"train_size": 4}, {"test_size": 5},
    ]  # fmt: skip
    first = Client().get_pipeline("metadata_pipeline").runs[1]
    assert first.run_metadata == {"process_data_step::git": "abc"}
