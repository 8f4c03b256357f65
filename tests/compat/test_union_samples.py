"""What the user guide of Union shows of artifacts is written here once more, with other import lines.

Annotations are objects, as they are there: they name artifacts that functions have.
"""

import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest

import art.compat.union as union
from art import NotFoundError, UsageError
from art.compat.union import Inputs, OnArtifact
from art.repo import Repo


def sample_frame() -> pd.DataFrame:
    return pd.DataFrame({"station": [1, 2, 3], "wind": ["low", "high", "low"]})


def test_a_task_declares_an_artifact(there: Repo) -> None:
    weather = union.Artifact(name="weather_basic")

    @union.task(container_image=union.ImageSpec(packages=["pandas==2.2.2"]))
    def measure() -> Annotated[pd.DataFrame, weather]:
        return weather.create_from(sample_frame())

    @union.workflow
    def wf() -> pd.DataFrame:
        return measure()

    assert wf().equals(there.version("weather_basic").load())


def test_the_time_is_known_when_the_task_runs(there: Repo) -> None:
    weather = union.Artifact(
        name="weather",
        time_partitioned=True,
        time_partition_granularity=union.Granularity.HOUR,
    )

    @union.task
    def measure() -> Annotated[pd.DataFrame, weather]:
        when = datetime.now()  # noqa: DTZ005 - as it is written there
        return weather.create_from(sample_frame(), time_partition=when)

    @union.workflow
    def wf() -> pd.DataFrame:
        return measure()

    wf()
    assert there.version("weather").partitions["time_partition"].endswith("Z")


def test_the_time_is_an_input(there: Repo) -> None:
    weather = union.Artifact(
        name="weather",
        time_partitioned=True,
        time_partition_granularity=union.Granularity.HOUR,
    )

    @union.task
    def measure(date: datetime) -> Annotated[pd.DataFrame, weather(time_partition=Inputs.date)]:
        return sample_frame()

    @union.workflow
    def wf(run_date: datetime) -> pd.DataFrame:
        return measure(date=run_date)

    wf(run_date=datetime(2026, 11, 21, 14, 5))  # noqa: DTZ001
    assert there.version("weather", time_partition="2026-11-21T14Z").load().equals(sample_frame())


def test_keys_are_inputs_and_queries_find_them_again(there: Repo) -> None:
    weather = union.Artifact(
        name="weather",
        time_partitioned=True,
        time_partition_granularity=union.Granularity.HOUR,
        partition_keys=["coast"],
    )

    @union.task
    def measure(coast: str, date: datetime) -> Annotated[pd.DataFrame, weather(coast=Inputs.coast)]:
        return weather.create_from(sample_frame(), time_partition=date)

    @union.workflow
    def wf() -> None:
        for coast in ("north", "east", "south"):
            measure(coast=coast, date=datetime(2026, 11, 21, 14))  # noqa: DTZ001

    wf()
    by_name = union.Artifact(name="weather")
    asked = by_name.query(time_partition=Inputs.dt, coast=Inputs.coast)
    seen: list[tuple[str, int]] = []

    @union.task
    def show(coast: str, data: pd.DataFrame) -> None:
        seen.append((coast, len(data)))

    @union.workflow
    def query_wf(coast: str, dt: datetime, data: pd.DataFrame = asked) -> None:
        show(coast=coast, data=data)

    query_wf(coast="east", dt=datetime(2026, 11, 21, 14))  # noqa: DTZ001
    assert seen == [("east", 3)]
    assert there.runs("query_wf")[0].inputs[0].partitions["coast"] == "east"
    with pytest.raises(NotFoundError):
        query_wf(coast="east", dt=datetime(2026, 11, 21, 15))  # noqa: DTZ001


def test_a_card_tells_of_a_model(there: Repo) -> None:
    weather = union.Artifact(name="weather_card")

    def card_of(frame: pd.DataFrame) -> str:
        return "# Weather\n\n" + "\n".join(f"- {name}" for name in frame.columns)

    @union.task
    def measure() -> Annotated[pd.DataFrame, weather]:
        frame = sample_frame()
        return weather.create_from(frame, union.ModelCard(card_of(frame)))

    measure()
    assert there.version("weather_card").description == "# Weather\n\n- station\n- wind"


def test_an_annotation_that_cannot_be_read_is_told(there: Repo) -> None:
    def measure() -> "Annotated[int, nothing]":  # type: ignore[name-defined]  # noqa: F821
        return 3

    with pytest.raises(UsageError, match="an annotation of measure has no meaning"):
        union.task(measure)


def test_a_workflow_is_called_for_each_version_of_an_artifact(
    there: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream_artifact = union.Artifact(
        name="my_upstream_artifact",
        time_partitioned=True,
        partition_keys=["key1"],
    )

    @union.task(container_image=union.ImageSpec(packages=["pandas==2.2.2"]))
    def upstream_t1(key1: str) -> Annotated[pd.DataFrame, upstream_artifact(key1=Inputs.key1)]:
        dt = datetime.now()  # noqa: DTZ005 - as it is written there
        my_df = pd.DataFrame({"col1": [1, 2, 3], "col2": ["a", "b", "c"]})
        return upstream_artifact.create_from(my_df, key1=key1, time_partition=dt)

    @union.workflow
    def upstream_wf() -> pd.DataFrame:
        return upstream_t1(key1="value1")

    on_upstream = OnArtifact(
        trigger_on=upstream_artifact,
    )

    @union.task
    def downstream_t1():
        print("Downstream task triggered")  # noqa: T201

    @union.workflow
    def downstream_wf():
        downstream_t1()
        if len(there.runs("downstream_wf")) == 3:  # two tasks and a workflow: the test is to end
            stop.set()

    downstream_triggered = union.LaunchPlan.create(
        "downstream_with_trigger_lp", downstream_wf, trigger=on_upstream
    )

    stop = threading.Event()
    stop.set()
    downstream_triggered.serve(cursor=tmp_path / "cursor", stop=stop)  # from now on
    stop.clear()
    upstream_wf()
    upstream_wf()
    downstream_triggered.serve(cursor=tmp_path / "cursor", stop=stop)
    assert capsys.readouterr().out == "Downstream task triggered\n" * 2
